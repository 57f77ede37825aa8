"""Who waits for a call back: folding the calls with one number, without a database."""

from __future__ import annotations

import datetime as dt
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from telephony.call_backs import COUNTED, TALKED, fold_waits
from telephony.models import Call, MissedCard

NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
SALES, SERVICE = "+12155550100", "+12155550200"


def call(minute: float, outcome: str = "missed", *, line: str = SALES, lasts: float = 0, pk: int | None = None) -> Call:
    is_out = outcome.startswith("outbound")
    at = NOON + dt.timedelta(minutes=minute)
    return Call(
        pk=pk if pk is not None else round(minute * 10), outcome=outcome, started_at=at, line=line,
        direction="outbound" if is_out else "inbound", ended_at=at + dt.timedelta(minutes=lasts),
    )  # fmt: skip


def decided(opened: float, closed: float, state: str = "resolved", line: str = SALES, pk: int = 1) -> MissedCard:
    return MissedCard(
        pk=pk, state=state, line=line, opened_at=NOON + dt.timedelta(minutes=opened),
        closed_at=NOON + dt.timedelta(minutes=closed),
    )  # fmt: skip


def told(waits: Any) -> list[tuple[list[int], int | None]]:
    """Of each wait its missed calls and the call that ended it, by minute times ten."""
    return [([each.pk for each in wait.missed], wait.closing.pk if wait.closing else None) for wait in waits]


def test_six_attempts_on_one_line_are_one_wait() -> None:
    assert told(fold_waits([call(minute) for minute in range(6)])) == [([0, 10, 20, 30, 40, 50], None)]


def test_two_lines_are_two_waits_and_one_conversation_ends_both() -> None:
    waits = fold_waits([call(0), call(1, line=SERVICE), call(15, "outbound")])
    assert told(waits) == [([0], 150), ([10], 150)]


def test_a_call_back_that_reaches_nobody_is_counted_and_ends_nothing() -> None:
    (wait,) = fold_waits([call(0), call(5, "outbound_failed"), call(9, "outbound_failed")])
    assert (wait.tries, wait.closing) == (2, None)


def test_who_rings_again_and_is_answered_waits_no_more() -> None:
    assert told(fold_waits([call(0), call(3, "accepted", line=SERVICE)])) == [([0], 30)]


def test_a_missed_call_after_the_call_back_opens_another_wait() -> None:
    assert told(fold_waits([call(0), call(5, "outbound"), call(60)])) == [([0], 50), ([600], None)]


def test_a_second_ring_during_the_conversation_is_no_wait() -> None:
    assert told(fold_waits([call(0, "accepted", lasts=20), call(10)])) == []


def test_a_ring_after_the_conversation_is_one() -> None:
    assert told(fold_waits([call(0, "accepted", lasts=20), call(21)])) == [([210], None)]


def test_what_a_person_closed_stays_closed_whatever_the_log_brings_later() -> None:
    waits = fold_waits([call(0), call(2), call(10, "outbound")], [decided(0, 20)])
    assert told(waits) == [([0, 20], None)]
    assert waits[0].decided is not None


def test_a_missed_call_after_the_decision_opens_another_wait() -> None:
    waits = fold_waits([call(0), call(30)], [decided(0, 20, "ignored")])
    assert [(len(wait.missed), wait.decided is not None) for wait in waits] == [(1, True), (1, False)]


def test_an_attempt_that_the_log_shows_late_belongs_to_the_card_that_was_closed() -> None:
    assert told(fold_waits([call(-5), call(0)], [decided(0, 20)])) == [([-50, 0], None)]


def test_a_conversation_that_a_person_says_was_none_ends_nothing() -> None:
    (wait,) = fold_waits([call(0), call(5, "outbound")], not_by=[50])
    assert (wait.closing, wait.tries) == (None, 1)


def test_calls_before_the_beginning_only_tell_who_was_talking() -> None:
    begin = NOON + dt.timedelta(minutes=5)
    calls = [call(0), call(1, "accepted", lasts=10), call(6), call(30)]
    assert told(fold_waits(calls, since=begin)) == [([300], None)]


@st.composite
def some_calls(draw: st.DrawFn) -> list[Call]:
    minutes = draw(st.lists(st.integers(0, 60), unique=True, max_size=12))
    return [
        call(
            minute, draw(st.sampled_from(COUNTED)), line=draw(st.sampled_from([SALES, SERVICE])),
            lasts=draw(st.integers(0, 15)),
        )
        for minute in minutes
    ]  # fmt: skip


@given(some_calls(), st.randoms())
def test_the_order_in_which_calls_are_read_changes_nothing(calls: list[Call], dice: Any) -> None:
    shuffled = list(calls)
    dice.shuffle(shuffled)
    assert told(fold_waits(calls)) == told(fold_waits(shuffled))


@given(some_calls())
def test_every_missed_call_is_in_one_wait_or_came_during_a_conversation(calls: list[Call]) -> None:
    waits = fold_waits(calls)
    counted = [each.pk for wait in waits for each in wait.missed]
    assert len(counted) == len(set(counted))
    talks = [each for each in calls if each.outcome in TALKED]
    for missed in (each for each in calls if each.is_missed):
        in_talk = any(talk.started_at <= missed.started_at <= (talk.ended_at or NOON) for talk in talks)
        assert (missed.pk in counted) is not in_talk


@given(some_calls())
def test_whom_nobody_talked_to_since_waits_on_each_line_once(calls: list[Call]) -> None:
    still_open = [wait for wait in fold_waits(calls) if wait.closing is None]
    assert len({wait.line for wait in still_open}) == len(still_open)
    last_talk = max((each.started_at for each in calls if each.outcome in TALKED), default=None)
    assert all(last_talk is None or wait.opened_at > last_talk for wait in still_open)


@given(some_calls(), st.integers(0, 60))
def test_folding_from_where_a_wait_begins_says_the_same_as_folding_all(calls: list[Call], minute: int) -> None:
    whole = fold_waits(calls)
    at = NOON + dt.timedelta(minutes=minute)
    begin = at
    for wait in reversed(whole):  # as the board does: no wait that is left out reaches past the beginning
        if wait.closing is None or wait.closing.started_at >= begin:
            begin = min(begin, wait.opened_at)
    late = [told([wait]) for wait in whole if wait.opened_at >= begin]
    assert [told([wait]) for wait in fold_waits(calls, since=begin)] == late
