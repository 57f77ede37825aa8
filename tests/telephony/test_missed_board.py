"""Cards of missed calls follow the call log by themselves, and keep what people decided."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import hypothesis
import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from portal.models import AuditEntry, Connection, Run
from telephony import missed_board, office_hours, review
from telephony.missed_board import MissedBoard
from telephony.models import AssignmentRules, Call, CallSettings, ExcludedNumber, Extension, MissedCard, Office
from tests.telephony.conftest import ago
from tests.telephony.made_calls import make_call, make_extension, make_office
from tests.telephony.made_cards import after, follow, missed, returned

pytestmark = pytest.mark.django_db

CALLER = "+12155550142"
Sync = Callable[..., Run]


def cards() -> list[tuple[str, int, str]]:
    return [(card.state, card.attempts, card.reason) for card in MissedCard.objects.order_by("opened_at")]


# --- from RingCentral's log ---------------------------------------------------------------------------------------------


def test_six_calls_in_ten_minutes_are_one_card_with_their_count(sync: Sync, phones: Any, owners: Any) -> None:
    """T-C07."""
    phones.repeated(ago(hours=2), caller=CALLER, times=6, every_s=100)
    sync()
    card = MissedCard.objects.get()
    assert (card.state, card.attempts, card.number) == ("open", 6, CALLER)
    assert card.last_at - card.opened_at == dt.timedelta(seconds=500)


def test_a_call_back_from_another_extension_closes_the_card_and_says_who_and_when(
    sync: Sync, phones: Any, owners: Any
) -> None:
    """T-C08."""
    at = ago(hours=2)
    phones.missed(at, caller=CALLER, agent="101")
    sync()
    assert cards() == [("open", 1, "")]
    phones.outbound(at + dt.timedelta(minutes=14), callee=CALLER, agent="102")
    sync()
    answerer = Extension.objects.get(number="102")
    assert cards() == [("called_back", 1, f"Returned by {answerer} after 14 min.")]


def test_a_call_back_from_a_mobile_leaves_the_card_to_a_person(
    sync: Sync, phones: Any, owners: Any, django_user_model: Any
) -> None:
    """T-C08: RingCentral does not know that call."""
    phones.missed(ago(hours=2), caller=CALLER)
    sync()
    sync()
    card = MissedCard.objects.get()
    assert card.state == "open"
    user = django_user_model.objects.create_user("ana")
    missed_board.close(card, "resolved", reason="Called from my mobile", user=user)
    sync()
    assert cards() == [("resolved", 1, "Called from my mobile")]


def test_a_dry_run_fills_the_board_too(sync: Sync, phones: Any, owners: Any) -> None:
    """Who is to be called back does not depend on whether anything is written to Zoho."""
    phones.missed(ago(hours=2), caller=CALLER)
    sync(dry_run=True)
    assert cards() == [("open", 1, "")]


def test_a_queue_that_one_member_answers_makes_no_card(sync: Sync, phones: Any, owners: Any) -> None:
    phones.queue_answered(ago(hours=2), caller=CALLER)
    sync()
    assert cards() == []


def test_a_call_back_that_is_still_going_on_closes_the_card_when_the_log_has_it(
    sync: Sync, phones: Any, owners: Any
) -> None:
    at = ago(hours=2)
    phones.missed(at, caller=CALLER)
    phones.outbound(at + dt.timedelta(minutes=5), callee=CALLER, agent="102", appears_after=3 * 3600)
    sync()
    assert cards() == [("open", 1, "")]


# --- whose calls count --------------------------------------------------------------------------------------------------


def test_callers_who_are_excluded_wait_for_nobody() -> None:
    office = make_office()
    ExcludedNumber.objects.create(number="+15105550142", office=office)
    missed(office)
    assert cards() == []


def test_an_exclusion_of_another_office_leaves_the_card() -> None:
    ExcludedNumber.objects.create(number="+15105550142", office=make_office("reno"))
    missed(make_office())
    assert cards() == [("open", 1, "")]


def test_callers_who_are_excluded_later_leave_the_board_within_the_hour() -> None:
    missed(make_office())
    ExcludedNumber.objects.create(number="+15105550142")
    missed_board.follow_open()
    assert cards() == []


def test_calls_of_extensions_that_are_switched_off_make_no_card() -> None:
    office = make_office()
    off = make_extension(office, process_calls=False)
    missed(office, extension_ids=[off.rc_id])
    on = make_extension(office, "Ben")
    missed(office, extension_ids=[off.rc_id, on.rc_id], number="+15105550143")
    assert [card.number for card in MissedCard.objects.all()] == ["+15105550143"]


def test_a_call_between_offices_makes_no_card() -> None:
    missed(make_office(main_number="+15105550142"))
    assert cards() == []


def test_a_call_that_somebody_ignores_leaves_the_board_and_comes_back_with_it() -> None:
    call, user = missed(make_office(), state="review"), User.objects.create_user("ana")
    review.ignore(call, reason="wrong number", user=user)
    assert cards() == []
    call.refresh_from_db()
    review.again(call, user=user)
    assert cards() == [("open", 1, "")]


def test_withheld_numbers_have_a_card_each_only_where_they_left_a_message() -> None:
    missed(number="", number_told="")
    missed(number="", number_told="", outcome="voicemail")
    missed(number="", number_told="", outcome="voicemail", started_at=after(minutes=1))
    assert [(card.attempts, card.voicemails) for card in MissedCard.objects.all()] == [(1, 1), (1, 1)]
    returned(number="", started_at=after(minutes=5))
    assert {card.state for card in MissedCard.objects.all()} == {"open"}


# --- the log changes its mind ---------------------------------------------------------------------------------------------


def test_a_call_that_was_answered_after_all_takes_its_card_with_it() -> None:
    call = missed(make_office())
    call.outcome = "accepted"
    call.save()
    follow(call)
    assert cards() == []


def test_an_earlier_attempt_that_comes_late_joins_the_card_and_who_took_it_keeps_it() -> None:
    office, user = make_office(), User.objects.create_user("ana")
    missed(office)
    missed_board.take(MissedCard.objects.get(), user=user)
    missed(office, started_at=after(minutes=-10))
    card = MissedCard.objects.get()
    assert (card.attempts, card.opened_at, card.taken_by) == (2, after(minutes=-10), user)


def test_a_call_back_that_comes_late_splits_the_card() -> None:
    office = make_office()
    missed(office)
    missed(office, started_at=after(hours=2))
    assert cards() == [("open", 2, "")]
    returned(office, started_at=after(hours=1))
    assert [(state, count) for state, count, _ in cards()] == [("called_back", 1), ("open", 1)]


def test_a_call_back_that_was_none_after_all_opens_the_card_again() -> None:
    office = make_office()
    missed(office)
    back = returned(office, started_at=after(minutes=5))
    assert cards()[0][0] == "called_back"
    back.outcome = "outbound_failed"
    back.save()
    follow(back)
    card = MissedCard.objects.get()
    assert (card.state, card.tries, card.closing_call, card.closed_at) == ("open", 1, None, None)


def test_a_number_that_is_understood_later_moves_its_card() -> None:
    call = missed(number="", number_told="510 555 0142", outcome="voicemail")
    call.number = "+15105550142"
    call.save()
    follow(call)
    assert [card.number for card in MissedCard.objects.all()] == ["+15105550142"]


def test_a_number_that_turns_out_to_be_another_one_leaves_the_other_calls_their_card() -> None:
    first = missed(make_office())
    missed(None, started_at=after(minutes=1))
    first.number = "+15105550999"
    first.save()
    follow(first)
    assert [(card.number, card.attempts) for card in MissedCard.objects.order_by("number")] == [
        ("+15105550142", 1),
        ("+15105550999", 1),
    ]


def test_a_call_in_the_middle_that_turns_out_to_be_of_another_number_leaves_the_card(
    sync: Sync, phones: Any, standin: Any, owners: Any
) -> None:
    at = ago(hours=3)
    phones.missed(at, caller=CALLER)
    middle = phones.missed(at + dt.timedelta(minutes=5), caller=CALLER)
    phones.missed(at + dt.timedelta(minutes=9), caller=CALLER)
    sync()
    row = standin.ringcentral.log.find(middle.row).row(2**60)
    other = "+12155550199"
    legs = [leg | {"from": leg["from"] | {"phoneNumber": other}} for leg in row["legs"]]
    standin.ringcentral.script.change_row(
        middle.row, at=timezone.now(), legs=legs, **{"from": row["from"] | {"phoneNumber": other}}
    )
    sync()
    assert dict(MissedCard.objects.values_list("number", "attempts")) == {CALLER: 2, other: 1}


def test_a_part_of_another_call_is_no_attempt_of_its_own() -> None:
    main, part = missed(make_office()), missed(None, started_at=after(seconds=20))
    assert cards() == [("open", 2, "")]
    part.merged_into = main
    part.save()
    follow(main, part)
    assert cards() == [("open", 1, "")]


def test_following_the_same_calls_again_writes_nothing() -> None:
    calls = [missed(make_office()), returned(None, started_at=after(minutes=5))]
    before = list(MissedCard.objects.values())
    with CaptureQueriesContext(database) as queries:
        follow(*calls)
    assert list(MissedCard.objects.values()) == before
    assert not [query for query in queries.captured_queries if query["sql"].startswith(("INSERT", "UPDATE"))]


def test_the_number_of_queries_does_not_grow_with_the_calls() -> None:
    def cost(first: int, count: int) -> int:
        office = Office.objects.first() or make_office()
        calls = [
            make_call(office, outcome="missed", number=f"+1510556{first + place:04}", started_at=after(minutes=place))
            for place in range(count)
        ]
        with CaptureQueriesContext(database) as queries:
            follow(*calls)
        return len(queries)

    CallSettings.load()
    assert cost(0, 3) == cost(100, 40)


CALLS = st.lists(
    st.tuples(
        st.sampled_from(["missed", "voicemail", "accepted", "outbound", "outbound_failed"]),
        st.integers(0, 50),
        st.sampled_from(["+15105550100", "+15105550200"]),
        st.integers(0, 600),
    ),
    max_size=8,
    unique_by=lambda each: each[1],
)


@hypothesis.settings(deadline=None, max_examples=30)
@given(CALLS, st.randoms())
def test_reading_calls_one_by_one_in_any_order_ends_as_reading_them_at_once(facts: Any, dice: Any) -> None:
    MissedCard.objects.all().delete()
    Call.objects.all().delete()
    calls = [
        make_call(
            None, outcome=outcome, started_at=after(minutes=minute), line=line, total_seconds=seconds,
            direction="outbound" if outcome.startswith("outbound") else "inbound",
        )
        for outcome, minute, line, seconds in facts
    ]  # fmt: skip
    follow(*calls)
    names = ("line", "first_call", "attempts", "tries", "opened_at", "last_at", "state", "closed_at", "closing_call")
    at_once = set(MissedCard.objects.values_list(*names))
    MissedCard.objects.all().delete()
    stored = list(calls)
    Call.objects.all().delete()
    dice.shuffle(stored)
    for call in stored:
        call.save(force_insert=True)
        follow(call)
    assert set(MissedCard.objects.values_list(*names)) == at_once


# --- people ---------------------------------------------------------------------------------------------------------------


def test_of_two_who_take_a_caller_the_second_is_told() -> None:
    missed(make_office())
    card, ana, ben = MissedCard.objects.get(), User.objects.create_user("ana"), User.objects.create_user("ben")
    missed_board.take(card, user=ana)
    with pytest.raises(missed_board.Stale, match="taken by ana"):
        missed_board.take(card, user=ben)
    assert MissedCard.objects.get().taken_by == ana


def test_a_decision_about_a_card_that_closed_meanwhile_is_told_and_changes_nothing() -> None:
    office = make_office()
    missed(office)
    card = MissedCard.objects.get()
    returned(office, started_at=after(minutes=5))
    with pytest.raises(missed_board.Stale, match="Called back"):
        missed_board.close(card, "ignored", reason="spam", user=User.objects.create_user("ana"))
    assert cards()[0][0] == "called_back"


def test_a_decision_about_a_card_that_is_gone_is_told() -> None:
    call = missed(make_office())
    card = MissedCard.objects.get()
    call.outcome = "accepted"
    call.save()
    follow(call)
    with pytest.raises(missed_board.Stale, match="gone"):
        missed_board.take(card, user=User.objects.create_user("ana"))


def test_what_a_person_closed_stays_and_the_next_missed_call_opens_another_card() -> None:
    office = make_office()
    missed(office, started_at=timezone.now() - dt.timedelta(hours=1))
    missed_board.close(
        MissedCard.objects.get(), "ignored", reason="sells toner", user=User.objects.create_user("ana")
    )  # fmt: skip
    missed(office, started_at=timezone.now() + dt.timedelta(seconds=1))
    assert cards() == [("ignored", 1, "sells toner"), ("open", 1, "")]
    entry = AuditEntry.objects.get(action="missed caller ignored")
    assert (entry.actor, entry.details["reason"]) == ("ana", "sells toner")


def test_a_card_that_an_answering_machine_closed_is_opened_again_and_stays_open() -> None:
    office, user = make_office(), User.objects.create_user("ana")
    missed(office)
    returned(office, started_at=after(minutes=5))
    missed_board.reopen(MissedCard.objects.get(), user=user)
    follow(*Call.objects.all())
    card = MissedCard.objects.get()
    assert (card.state, card.tries) == ("open", 1)
    returned(office, started_at=after(minutes=30))
    assert cards()[0][0] == "called_back"


def test_a_reopened_card_takes_in_the_attempts_since() -> None:
    office, user = make_office(), User.objects.create_user("ana")
    missed(office, started_at=ago(hours=3))
    missed_board.close(MissedCard.objects.get(), "resolved", reason="met them", user=user)
    missed(office, started_at=timezone.now() + dt.timedelta(seconds=1))
    missed_board.reopen(MissedCard.objects.get(state="resolved"), user=user)
    assert cards() == [("open", 2, "")]


def test_an_open_card_cannot_be_opened_again() -> None:
    missed(make_office())
    with pytest.raises(missed_board.Stale):
        missed_board.reopen(MissedCard.objects.get(), user=User.objects.create_user("ana"))


# --- the target -------------------------------------------------------------------------------------------------------------


def due_of(office: Office, **values: Any) -> dt.datetime | None:
    missed(office, **values)
    return MissedCard.objects.get().due_at


def test_a_card_is_due_after_the_minutes_of_the_settings() -> None:
    CallSettings.objects.update_or_create(pk=1, defaults={"call_back_minutes": 30})
    assert due_of(make_office()) == after(minutes=30)


def test_without_a_target_nothing_is_due() -> None:
    CallSettings.objects.update_or_create(pk=1, defaults={"call_back_minutes": 0})
    assert due_of(make_office()) is None


def test_the_time_until_a_card_is_due_counts_the_hours_of_the_office() -> None:
    """Missed on Friday half an hour before it closes: due half an hour after it opens on Monday."""
    office = make_office(zone="America/New_York")
    AssignmentRules.objects.create(office=office, office_hours_only=True)
    friday = dt.datetime(2026, 3, 6, 21, 30, tzinfo=dt.UTC)  # 16:30 in New York; the clock changes on Sunday
    assert due_of(office, started_at=friday) == dt.datetime(2026, 3, 9, 13, 30, tzinfo=dt.UTC)


def test_a_new_target_reaches_open_cards_within_the_hour_and_leaves_closed_ones() -> None:
    office = make_office()
    missed(office)
    returned(office, started_at=after(minutes=5))
    missed(office, number="+15105550143")
    CallSettings.objects.update_or_create(pk=1, defaults={"call_back_minutes": 15})
    missed_board.follow_open()
    due = dict(MissedCard.objects.values_list("state", "due_at"))
    assert due == {"called_back": after(minutes=60), "open": after(minutes=15)}


HOURS = st.times().map(lambda time: time.replace(second=0, microsecond=0, tzinfo=None))


@hypothesis.settings(deadline=None, max_examples=30)
@given(
    start=HOURS, end=HOURS, minutes=st.integers(1, 600), begin=st.integers(0, 7 * 24 * 60),
    days=st.sets(st.sampled_from("1234567"), min_size=1),
    week=st.sampled_from([dt.date(2026, 3, 4), dt.date(2026, 5, 4), dt.date(2026, 10, 28)]),
)  # fmt: skip
def test_the_office_is_open_for_exactly_that_long_until_a_card_is_due(
    start: dt.time, end: dt.time, minutes: int, begin: int, days: set[str], week: dt.date
) -> None:
    office = Office(zone="America/New_York")
    rules = AssignmentRules(hours_start=start, hours_end=end, hours_days="".join(sorted(days)))
    at = dt.datetime.combine(week, dt.time(), tzinfo=dt.UTC) + dt.timedelta(minutes=begin)
    due = office_hours.after_open_time(rules, office, at, dt.timedelta(minutes=minutes))
    length = int((due - at).total_seconds() // 60)
    open_for = sum(office_hours.is_open(rules, office, at + dt.timedelta(minutes=passed)) for passed in range(length))
    # An office that opens for a minute a week does not reach the target within two weeks: the clock counts then.
    assert open_for == minutes or length == minutes


def test_cards_of_two_accounts_are_apart() -> None:
    missed(make_office())
    other = Connection.objects.create(vendor="ringcentral", name="Other", client_id="x")
    call = make_call(None, connection=other, outcome="missed")
    MissedBoard(other).follow([call])
    assert MissedCard.objects.count() == 2
