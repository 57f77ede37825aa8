"""Rows become calls: which belong together, who talked with whom, how long, and what was recorded."""

from __future__ import annotations

import datetime as dt
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.folding import FoldedCall, fold, group
from telephony.models import Call
from telephony.ringcentral.records import LogRow
from tests.telephony import log_rows as log
from tests.telephony.log_rows import DIRECTORY, JSON, folded, leg, outgoing, own, recording, row, voicemail

Outcome = Call.Outcome


def groups(*rows: JSON) -> list[list[str]]:
    return [[each.id for each in some] for some in group([LogRow.parse(told) for told in rows])]


# --- which rows are one call --------------------------------------------------------------------------------------------


def test_rows_of_one_session_are_one_call_in_order_of_time() -> None:
    rows = [row("Missed", key=key, begins=begins, telephonySessionId="s") for key, begins in (("2", 9), ("1", 3))]
    assert groups(*rows, row("Missed", key="3")) == [["row-3"], ["row-1", "row-2"]]


def test_a_warm_transfer_ties_two_sessions() -> None:
    first = row("Accepted", key="1", transferTarget={"telephonySessionId": "s-2"})
    second = row("Accepted", key="2", begins=30)
    by_leg = row("Accepted", leg("103", "Accepted", transferee={"telephonySessionId": "s-2"}), key="3", begins=60)
    assert groups(second, by_leg, first) == [["row-1", "row-2", "row-3"]]


def test_the_session_zero_ties_nothing() -> None:
    rows = [row("Missed", key=key, sessionId="0", telephonySessionId=None) for key in "12"]
    assert groups(*rows) == [["row-1"], ["row-2"]]


def ringout(apart: int = 2000, later: float = 4, **fields: Any) -> tuple[JSON, JSON]:
    """The own phone rings first, then the number."""
    inbound = row(
        "Accepted", key="1", sessionId="500000", action="RingOut Web", to=own("101") | {"phoneNumber": "+1700"}
    )
    called = {"phoneNumber": "+1700", "extensionId": "101"}
    outbound = outgoing(
        "Call connected", key="2", sessionId=str(500000 + apart), begins=later, action="RingOut Web",
        **{"from": called},
    )  # fmt: skip
    return inbound, outbound | fields


def test_the_two_rows_of_a_ringout_are_one_outgoing_call() -> None:
    rows = ringout()
    assert groups(*rows) == [["row-1", "row-2"]]
    call = folded(*rows)
    assert (call.direction, call.outcome, call.number_told) == (Call.Direction.OUTBOUND, Outcome.OUTBOUND, log.CALLER)
    assert (call.line, call.extension_id, call.is_linked) == ("+1700", "101", True)


@pytest.mark.parametrize(
    "rows",
    [
        ringout(apart=999),
        ringout(apart=4001),
        ringout(later=61),
        ringout(to=log.outside("+15105550000")),
        ringout(to=log.outside("+1510555XXXX")),
        ringout(direction="Inbound"),
        tuple(told | {"action": "Phone Call"} for told in ringout()),
    ],
)
def test_rows_that_are_no_ringout_stay_apart(rows: tuple[JSON, JSON]) -> None:
    assert groups(*rows) == [["row-1"], ["row-2"]]


# --- who with whom ------------------------------------------------------------------------------------------------------


def test_an_incoming_call_with_all_its_facts() -> None:
    call = folded(
        row(
            "Accepted",
            leg("", "Accepted"),
            leg("101", "Missed", begins=5),
            leg("102", "Accepted", begins=15, seconds=45),
        )
    )
    assert (call.key, call.keys, call.is_linked) == ("s-1", ("s-1",), False)
    assert (call.direction, call.outcome) == (Call.Direction.INBOUND, Outcome.ACCEPTED)
    assert (call.number_told, call.name_told, call.location_told) == (log.CALLER, "OAKLAND CA", "Oakland, CA")
    assert call.line == log.MAIN_NUMBER
    assert (call.extension_id, call.answered_by_id, call.extension_ids) == ("102", "102", ["101", "102"])
    assert (call.started_at, call.ended_at) == (log.START, log.START + dt.timedelta(seconds=60))
    assert (call.total_seconds, call.talk_seconds) == (60, 45)
    assert not call.is_deleted


def test_an_outgoing_call_names_the_one_who_called() -> None:
    call = folded(outgoing("Call connected", seconds=90))
    assert (call.direction, call.number_told, call.line) == (Call.Direction.OUTBOUND, log.CALLER, log.MAIN_NUMBER)
    assert (call.extension_id, call.answered_by_id, call.extension_ids) == ("101", "", ["101"])
    assert (call.total_seconds, call.talk_seconds) == (90, 90)


def test_without_an_answer_the_first_that_rang_stands_for_the_call() -> None:
    menu_then_queue = [leg("910", "Accepted"), leg("900", "Accepted", begins=5), leg("103", "Missed", begins=6)]
    assert folded(row("Missed", *menu_then_queue)).extension_id == "900"
    assert folded(row("Missed", leg("103", "Missed", begins=3), leg("102", "Missed", begins=9))).extension_id == "103"
    assert folded(row("Missed")).extension_id == ""


def test_a_secretary_who_took_the_call_answered_it() -> None:
    call = folded(row("Accepted", to=own("101"), delegate={"id": "102", "name": "Omar"}))
    assert (call.answered_by_id, call.extension_ids) == ("102", ["102", "101"])


def test_a_blind_transfer_is_one_call_of_the_last_who_talked() -> None:
    call = folded(
        row(
            "Accepted",
            leg("101", "Accepted", begins=5, seconds=30),
            leg("103", "Accepted", begins=35, seconds=85, action="Transfer", legType="TransferCall"),
            seconds=120,
        )
    )
    assert (call.answered_by_id, call.extension_id) == ("103", "103")
    assert call.outcome_reason == "Answered by Jane Miller (101) after 5 s, then by Ana Silva (103)."
    assert [each["extension_id"] for each in call.legs if each["answered"]] == ["101", "103"]
    assert (call.total_seconds, call.talk_seconds) == (120, 115)


def test_a_warm_transfer_is_one_inbound_call_of_the_last_who_talked() -> None:
    first = row("Accepted", leg("101", "Accepted", begins=5, seconds=60), transferTarget={"telephonySessionId": "s-2"})
    asked = {"from": own("101"), "to": own("103")}
    second = row(
        "Call connected",
        leg("101", "Call connected", begins=40, seconds=80, direction="Outbound", **asked),
        key="2", begins=40, seconds=80, direction="Outbound", action="VoIP Call", **asked,
    )  # fmt: skip
    call = folded(second, first)
    assert (call.keys, call.is_linked) == (("s-1", "s-2"), True)
    assert (call.direction, call.outcome) == (Call.Direction.INBOUND, Outcome.ACCEPTED)
    assert (call.answered_by_id, call.number_told, call.line) == ("103", log.CALLER, log.MAIN_NUMBER)
    assert [each["extension"] for each in call.legs] == ["Jane Miller (101)", "Ana Silva (103)"]
    assert (call.total_seconds, call.talk_seconds) == (120, 115)


def test_a_forwarding_row_does_not_turn_an_incoming_call_around() -> None:
    forward = outgoing("No Answer", key="2", telephonySessionId="s-1", action="FindMe", to=log.outside("+15105550777"))
    call = folded(row("Missed", begins=1, extension={"id": 101}), forward)
    assert (call.direction, call.outcome, call.number_told) == (Call.Direction.INBOUND, Outcome.MISSED, log.CALLER)


def test_a_withheld_number_stays_empty_and_a_masked_one_as_told() -> None:
    assert folded(row("Missed", **{"from": {"name": "Anonymous"}})).number_told == ""
    assert folded(row("Missed", **{"from": {"phoneNumber": "+1510555XXXX"}})).number_told == "+1510555XXXX"


# --- legs and times -----------------------------------------------------------------------------------------------------


def test_legs_are_told_in_order_of_time_and_each_once() -> None:
    shared = leg("101", "Missed", begins=9)
    one = row("Missed", leg("", "Accepted"), shared, key="1", telephonySessionId="s")
    other = row("Missed", shared, leg("102", "Missed", begins=3), key="2", telephonySessionId="s")
    legs = folded(one, other).legs
    assert [(each["at"], each["extension_id"]) for each in legs] == [
        ("2026-05-04T12:00:00+00:00", ""), ("2026-05-04T12:00:03+00:00", "102"), ("2026-05-04T12:00:09+00:00", "101"),
    ]  # fmt: skip
    assert legs[2] == {
        "at": "2026-05-04T12:00:09+00:00", "seconds": 10, "kind": "Accept", "action": "Phone Call", "direction": "Inbound",
        "result": "Missed", "reason": "", "extension_id": "101", "extension": "Jane Miller (101)", "from": log.CALLER,
        "to": log.MAIN_NUMBER, "recording": "", "voicemail": "", "answered": False,
    }  # fmt: skip
    assert json.loads(json.dumps(legs)) == legs


def test_an_agents_row_and_the_same_leg_of_the_company_row_are_one_ring() -> None:
    company = row("Missed", leg("900", "Accepted"), leg("101", "Missed", begins=4))
    agent = row("Missed", key="2", begins=5, telephonySessionId="s-1", extension={"id": 101})
    assert [each["extension_id"] for each in folded(company, agent).legs] == ["900", "101"]


def test_rows_of_members_with_equal_legs_stay_two_rings() -> None:
    rows = [row("Missed", leg("", "Missed"), key=key, telephonySessionId="s", extension={"id": 100 + int(key)})
            for key in "12"]  # fmt: skip
    assert folded(*rows).outcome_reason == "Nobody answered: 2 extensions rang."


def test_a_call_over_midnight_and_a_clock_change_lasts_as_long_as_it_lasted() -> None:
    begins = dt.datetime(2026, 3, 29, 0, 59, 30, tzinfo=dt.UTC)
    told = row("Accepted", startTime="2026-03-29T00:59:30.000+0000", seconds=90, to=own("101"))
    call = folded(told)
    assert (call.started_at, call.total_seconds) == (begins, 90)
    assert call.ended_at == begins + dt.timedelta(seconds=90)


def test_nobody_talked_in_a_missed_call() -> None:
    call = folded(row("Missed", leg("101", "Missed", seconds=20), seconds=20))
    assert (call.total_seconds, call.talk_seconds) == (20, 0)
    unknown = folded(row("Missed", seconds=None))
    assert (unknown.ended_at, unknown.total_seconds, unknown.talk_seconds) == (None, None, None)


# --- media --------------------------------------------------------------------------------------------------------------


def test_recordings_of_rows_and_legs_come_once_and_in_order_of_time() -> None:
    call = folded(
        row(
            "Accepted",
            leg("103", "Accepted", begins=35, recording=recording(2)),
            leg("101", "Accepted", begins=5, recording=recording(1)),
            recording=recording(2),
        )
    )
    assert [(medium.id, medium.extension_id) for medium in call.recordings] == [("1", "101"), ("2", "103")]
    assert call.recordings[0].source() == {
        "id": "1", "kind": "Automatic", "at": "2026-05-04T12:00:05+00:00", "extension_id": "101",
        "content_uri": "https://media.ringcentral.com/restapi/v1.0/account/1/recording/1/content",
    }  # fmt: skip
    assert [each["recording"] for each in call.legs] == ["1", "2"]


def test_a_voicemail_is_fetched_from_the_mailbox_that_its_address_names() -> None:
    call = folded(row("Missed", leg("101", "Missed", message=voicemail(55, "900")), message=voicemail(55, "900")))
    (medium,) = call.voicemails
    assert (medium.mailbox, medium.extension_id, medium.source()["uri"]) == ("900", "101", voicemail(55, "900")["uri"])


def test_a_recording_too_short_to_be_kept_is_said() -> None:
    assert folded(row("Accepted", shortRecording=True, to=own("101"))).is_short_recording


# --- rows that change ---------------------------------------------------------------------------------------------------


def test_the_newest_state_of_a_row_counts() -> None:
    old = row("Missed", leg("101", "Missed"), lastModifiedTime=log.at(100))
    new = row("Voicemail", leg("101", "Missed"), lastModifiedTime=log.at(400), message=voicemail())
    assert folded(new, old) == folded(old, new) == folded(new)


def test_a_deleted_row_still_tells_of_the_call_and_that_it_is_gone() -> None:
    assert folded(row("Missed", deleted=True)).is_deleted
    assert not folded(row("Missed", deleted=True), row("Missed", key="2", telephonySessionId="s-1")).is_deleted
    with pytest.raises(ValueError, match="no row with a start"):
        folded({"id": "row-1", "deleted": True})


def changed(**fields: Any) -> str:
    return folded(row("Accepted", leg("101", "Accepted", begins=5), **fields)).digest


def test_the_digest_follows_what_is_written_and_nothing_else() -> None:
    base = changed()
    assert changed(lastModifiedTime=log.at(999), billing={"costIncluded": 1}, uri="other", transport="VoIP") == base
    others = [
        changed(recording=recording(1)), changed(message=voicemail()), changed(duration=61), changed(shortRecording=True),
        changed(**{"from": log.outside("+15105550198")}), changed(to={"phoneNumber": "+14155550101"}),
        changed(legs=[leg("102", "Accepted", begins=5)]), changed(startTime=log.at(1)), changed(telephonySessionId="s-9"),
    ]  # fmt: skip
    assert len({base, *others}) == len(others) + 1


def test_a_renamed_extension_does_not_change_the_digest() -> None:
    renamed = type(DIRECTORY)(dict(DIRECTORY.entries) | {"101": DIRECTORY.entries["102"]})
    told = row("Accepted", leg("101", "Accepted"))
    assert folded(told, directory=renamed).digest == folded(told).digest
    assert folded(told, directory=renamed).legs != folded(told).legs


# --- whatever comes -----------------------------------------------------------------------------------------------------

RESULTS = st.sampled_from(
    [
        "Accepted",
        "Missed",
        "Voicemail",
        "Call connected",
        "Stopped",
        "Answered Elsewhere",
        "Hang Up",
        "Blocked",
        "",
        "New",
        "In Progress",
        "Busy",
        "Answered Not Accepted",
        "Unknown",
    ]
)
PARTIES = st.sampled_from(
    [log.outside(), log.outside("+15105550198"), own("101"), own("102"), {}, {"extensionId": "777"}]
)
DIRECTIONS = st.sampled_from(["Inbound", "Outbound", None])
ACTIONS = st.sampled_from(["Phone Call", "VoIP Call", "RingOut Web", "FindMe", "Monitoring", "Transfer"])
EXTENSIONS = st.sampled_from(["", "101", "102", "900", "910", "777"])
SECONDS = st.none() | st.integers(0, 5000)


@st.composite
def a_leg(draw: st.DrawFn) -> JSON:
    found = leg(
        draw(EXTENSIONS), draw(RESULTS), begins=draw(st.integers(-50, 300)), seconds=draw(SECONDS),
        direction=draw(DIRECTIONS), action=draw(ACTIONS), **{"from": draw(PARTIES), "to": draw(PARTIES)},
    )  # fmt: skip
    if draw(st.booleans()):
        found["recording"] = recording(draw(st.integers(1, 3)))
    if draw(st.integers(0, 3)) == 0:
        found["message"] = voicemail(draw(st.integers(1, 3)))
    return found


@st.composite
def a_row(draw: st.DrawFn) -> JSON:
    key = str(draw(st.integers(1, 6)))
    found = row(
        draw(RESULTS), *draw(st.lists(a_leg(), max_size=3)), key=key, begins=draw(st.integers(0, 200)),
        seconds=draw(SECONDS), direction=draw(DIRECTIONS), action=draw(ACTIONS),
        telephonySessionId=draw(st.sampled_from(["s-1", "s-2", "s-3", None])),
        sessionId=draw(st.sampled_from(["0", "1000", "3000", "9000", None])),
        **{"from": draw(PARTIES), "to": draw(PARTIES)},
    )  # fmt: skip
    if draw(st.integers(0, 3)) == 0:
        found["transferTarget"] = {"telephonySessionId": draw(st.sampled_from(["s-1", "s-2", "s-4"]))}
    if draw(st.integers(0, 3)) == 0:
        found["extension"] = {"id": draw(st.sampled_from([101, 102, 777]))}
    return found


def rows_of(told: list[JSON]) -> list[LogRow]:
    return [LogRow.parse(each) for each in told]


@given(st.lists(a_row(), max_size=6), st.randoms())
def test_grouping_is_a_partition_that_no_order_changes(told: list[JSON], random: Any) -> None:
    rows = rows_of(told)
    parts = group(rows)
    assert sorted(map(repr, itertools.chain.from_iterable(parts))) == sorted(map(repr, rows))
    keys = [{each.session_key for each in part} for part in parts]
    assert sum(map(len, keys)) == len(set().union(*keys))
    shuffled = list(rows)
    random.shuffle(shuffled)
    assert group(shuffled) == parts


@given(st.lists(a_row(), min_size=1, max_size=4), st.randoms())
def test_folding_does_not_depend_on_order_or_repetition(told: list[JSON], random: Any) -> None:
    rows = rows_of(told)
    again = rows + [random.choice(rows) for _ in range(3)]
    random.shuffle(again)
    assert fold(again, DIRECTORY) == fold(rows, DIRECTORY)


def content(call: FoldedCall) -> Any:
    """What a note, a status and the media of a call depend on."""
    legs = [{key: value for key, value in each.items() if key != "extension"} for each in call.legs]
    return (
        call.keys, call.direction, call.outcome, call.started_at, call.ended_at, call.talk_seconds, call.number_told,
        call.name_told, call.location_told, call.line, call.extension_id, call.answered_by_id, call.extension_ids, legs,
        [medium.id for medium in call.recordings], [medium.id for medium in call.voicemails], call.is_short_recording,
    )  # fmt: skip


@given(st.lists(a_row(), min_size=1, max_size=3), st.lists(a_row(), min_size=1, max_size=3))
def test_digests_are_equal_exactly_when_the_content_is(one: list[JSON], other: list[JSON]) -> None:
    first, second = fold(rows_of(one), DIRECTORY), fold(rows_of(other), DIRECTORY)
    assert (first.digest == second.digest) == (content(first) == content(second))
    later = [told | {"lastModifiedTime": log.at(9000)} for told in {told["id"]: told for told in one}.values()]
    unchanged = list({told["id"]: told for told in one}.values())
    assert fold(rows_of(later), DIRECTORY).digest == fold(rows_of(unchanged), DIRECTORY).digest


@given(st.lists(a_row(), min_size=1, max_size=4))
def test_what_always_holds(told: list[JSON]) -> None:
    call = fold(rows_of(told), DIRECTORY)
    assert call.outcome_reason.endswith(".")
    assert call.talk_seconds is None or call.talk_seconds <= call.total_seconds
    assert (call.ended_at is None) == (call.total_seconds is None)
    assert call.ended_at is None or call.ended_at >= call.started_at
    assert [each["at"] for each in call.legs] == sorted(each["at"] for each in call.legs)
    assert len({medium.id for medium in call.recordings}) == len(call.recordings)
    assert not call.answered_by_id or call.answered_by_id in call.extension_ids
    assert not DIRECTORY.is_machine(call.answered_by_id)
    accepted = {leg["extension_id"] for leg in call.legs if leg["answered"]}
    assert call.outcome != Outcome.ACCEPTED or accepted
    assert call.outcome not in Call.MISSED_OUTCOMES or not accepted
    json.dumps([call.legs, call.extension_ids, [medium.source() for medium in call.recordings + call.voicemails]])
