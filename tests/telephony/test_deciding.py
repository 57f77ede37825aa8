"""What became of a call: over all rows and legs, with the reason in words."""

from __future__ import annotations

from typing import Any

import pytest

from telephony.deciding import LOGIN, RESULTS, Result, result_of
from telephony.folding import Directory
from telephony.models import Call
from tests.telephony import log_rows as log
from tests.telephony.log_rows import JSON, folded, leg, outgoing, row, voicemail

Outcome = Call.Outcome


def verdict(*rows: JSON, **options: Any) -> tuple[str, str]:
    call = folded(*rows, **options)
    return call.outcome, call.outcome_reason


# --- answered or missed -------------------------------------------------------------------------------------------------


def test_a_queue_of_three_that_one_answers_is_accepted_once() -> None:
    legs = [
        leg("", "Accepted"), leg("900", "Accepted", begins=1), leg("101", "Missed", begins=2),
        leg("102", "Accepted", begins=12, seconds=48), leg("103", "Stopped", begins=2),
    ]  # fmt: skip
    assert verdict(row("Accepted", *legs)) == (
        Outcome.ACCEPTED, "Answered by Omar Haddad (102) after 12 s; 2 other extensions rang.",
    )  # fmt: skip


def test_missed_rows_of_queue_members_do_not_make_an_answered_call_missed() -> None:
    session = {"telephonySessionId": "s-1"}
    rows = [
        row("Accepted", key="1", extension={"id": 900}, **session),
        row("Missed", key="2", extension={"id": 101}, **session),
        row("Accepted", key="3", extension={"id": 102}, **session),
        row("Missed", key="4", extension={"id": 103}, **session),
    ]
    assert verdict(*rows) == (Outcome.ACCEPTED, "Answered by Omar Haddad (102); 2 other extensions rang.")


def test_a_queue_that_nobody_answers_is_missed_although_the_queue_accepted() -> None:
    legs = [leg("900", "Accepted"), *(leg(member, "Missed", begins=2) for member in ("101", "102", "103"))]
    assert verdict(row("Accepted", *legs)) == (Outcome.MISSED, "Nobody answered: 3 extensions rang.")


def test_one_extension_that_does_not_answer() -> None:
    assert verdict(row("Missed", leg("101", "Missed"))) == (Outcome.MISSED, "Nobody answered: 1 extension rang.")
    assert verdict(row("Declined", leg("101", "Declined"))) == (
        Outcome.MISSED, "Nobody answered: 1 extension rang (“Declined”).",
    )  # fmt: skip


def test_a_call_without_legs_is_judged_by_its_row() -> None:
    assert verdict(row("Accepted", to=log.own("101")))[0] == Outcome.ACCEPTED
    assert verdict(row("Missed", to=log.own("101")))[0] == Outcome.MISSED
    # RingCentral's own samples have inbound rows that name no extension at all.
    assert verdict(row("Accepted")) == (
        Outcome.ACCEPTED, "Answered by somebody whom the call log does not name.",
    )  # fmt: skip
    assert verdict(row("Missed")) == (
        Outcome.MISSED, "Nobody answered: the call log names no extension that rang.",
    )  # fmt: skip


def test_the_entry_of_the_company_is_nobody_who_answers() -> None:
    legs = [leg("", "Accepted"), leg("101", "Missed", begins=3), leg("102", "No Answer", begins=3)]
    assert verdict(row("Accepted", *legs)) == (Outcome.MISSED, "Nobody answered: 2 extensions rang.")


def test_the_caller_hangs_up_in_the_menu() -> None:
    assert verdict(row("Hang Up", leg("", "Accepted"), leg("910", "Accepted", begins=1))) == (
        Outcome.MISSED, "The caller hung up in the menu (Main menu (910)) before any phone rang.",
    )  # fmt: skip
    assert verdict(row("Hang Up", leg("", "Hang Up"))) == (
        Outcome.MISSED, "The caller hung up on the main line or in its menu: no extension rang (“Hang Up”).",
    )  # fmt: skip
    assert verdict(row("Accepted", leg("910", "Accepted")))[0] == Outcome.MISSED
    assert verdict(row("Accepted", leg("920", "Accepted"))) == (
        Outcome.MISSED, "The caller reached only Closed today (920); no phone rang.",
    )  # fmt: skip


def test_the_caller_gives_up_in_the_queue() -> None:
    assert verdict(row("Abandoned", leg("900", "Abandoned"))) == (
        Outcome.MISSED, "Nobody answered: the caller waited in Sales (900) and left (“Abandoned”).",
    )  # fmt: skip


def test_a_queue_whose_members_the_log_does_not_show_is_unclear() -> None:
    assert verdict(row("Accepted", leg("900", "Accepted")))[0] == Outcome.UNCLEAR


def test_a_forwarded_call_is_answered_on_the_mobile_and_stays_inbound() -> None:
    mobile = leg("101", "Call connected", begins=8, direction="Outbound", action="FindMe", legType="FindMe",
                 **{"from": log.outside(), "to": {"phoneNumber": "+15105550777"}})  # fmt: skip
    call = folded(row("Accepted", leg("101", "Missed"), mobile))
    assert (call.direction, call.outcome, call.answered_by_id) == (Call.Direction.INBOUND, Outcome.ACCEPTED, "101")
    assert call.outcome_reason == "Answered by Jane Miller (101) on a forwarded phone after 8 s."


def test_a_queue_that_overflows_to_an_outside_phone_is_answered_there() -> None:
    out = leg("900", "Call connected", begins=20, direction="Outbound", action="FindMe",
              to={"phoneNumber": "+15105550777"})  # fmt: skip
    call = folded(row("Accepted", leg("900", "Accepted"), leg("101", "Missed"), out))
    assert (call.outcome, call.answered_by_id) == (Outcome.ACCEPTED, "")
    assert call.outcome_reason == "Answered by a forwarded phone after 20 s; 1 other extension rang."


def test_picked_up_but_not_confirmed_counts_unless_a_voicemail_says_otherwise() -> None:
    legs = [leg("101", "Answered Not Accepted")]
    assert verdict(row("Answered Not Accepted", *legs)) == (
        Outcome.ACCEPTED, "Answered by Jane Miller (101). It was picked up but not confirmed there.",
    )  # fmt: skip
    assert verdict(row("Missed", *legs, message=voicemail()))[0] == Outcome.VOICEMAIL
    assert verdict(row("Voicemail", *legs))[0] == Outcome.VOICEMAIL


def test_a_listening_supervisor_has_not_answered() -> None:
    legs = [leg("101", "Missed"), leg("102", "Accepted", begins=3, action="Monitoring", legType="SilentMonitoring")]
    assert verdict(row("Missed", *legs))[0] == Outcome.MISSED


# --- voicemail ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["VoiceMail", "Voicemail", "voicemail"])
def test_a_voicemail_on_row_or_leg_makes_a_missed_call_one_with_voicemail(kind: str) -> None:
    words = "Nobody answered: 1 extension rang. The caller left a voicemail."
    on_row = row("Missed", leg("101", "Missed"), message=voicemail(kind=kind))
    on_leg = row("Missed", leg("101", "Missed", message=voicemail(kind=kind)))
    assert verdict(on_row) == verdict(on_leg) == (Outcome.VOICEMAIL, words)


def test_a_mailbox_that_accepts_is_no_person() -> None:
    assert verdict(row("Voicemail", leg("101", "Accepted", message=voicemail())))[0] == Outcome.VOICEMAIL


@pytest.mark.parametrize("result", ["Voicemail", "Sent to Voicemail"])
def test_the_result_voicemail_is_believed_before_the_message_is_there(result: str) -> None:
    outcome, words = verdict(row(result, leg("101", "Missed")))
    assert outcome == Outcome.VOICEMAIL
    assert words.endswith("The call went to voicemail; the log names no message.")


def test_somebody_who_talked_before_the_voicemail_answered_the_call() -> None:
    legs = [leg("101", "Accepted"), leg("102", "Voicemail", begins=30, message=voicemail())]
    call = folded(row("Accepted", *legs))
    assert (call.outcome, call.answered_by_id, len(call.voicemails)) == (Outcome.ACCEPTED, "101", 1)


def test_a_fax_that_hangs_on_a_call_is_no_voicemail() -> None:
    assert verdict(row("Missed", leg("101", "Missed"), message=voicemail(kind="Fax")))[0] == Outcome.MISSED


# --- doubt --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("result", ["Answered Elsewhere", "Stopped"])
def test_answered_by_somebody_whose_row_is_missing_is_unclear(result: str) -> None:
    words = "Somebody else answered, but the call log lacks the row that says who."
    assert verdict(row(result, extension={"id": 101})) == (Outcome.UNCLEAR, words)
    rows = [row("Missed", extension={"id": 102}), row(result, key="2", telephonySessionId="s-1", extension={"id": 101})]
    assert verdict(*rows) == (Outcome.UNCLEAR, words)


def test_phones_that_fell_silent_when_the_caller_left_are_missed() -> None:
    assert verdict(row("Missed", leg("101", "Stopped"), leg("102", "Stopped")))[0] == Outcome.MISSED


def test_a_result_of_tomorrow_is_named_and_never_missed() -> None:
    assert verdict(row("Missed", leg("101", "Teleported"))) == (
        Outcome.UNCLEAR, "The call log gives a result that is not known here: “Teleported”.",
    )  # fmt: skip
    assert verdict(row("Teleported", duration=None))[0] == Outcome.UNCLEAR
    assert verdict(outgoing("Teleported"))[0] == Outcome.UNCLEAR
    assert verdict(row("Accepted", leg("101", "Accepted"), leg("102", "Teleported")))[0] == Outcome.ACCEPTED


def test_a_call_of_which_a_part_cannot_be_read_is_not_called_missed() -> None:
    assert verdict(row("Missed", legs=[leg("101", "Missed"), "?"]))[0] == Outcome.UNCLEAR
    assert verdict(row("Accepted", legs=[leg("101", "Accepted"), "?"]))[0] == Outcome.ACCEPTED


def test_an_unlisted_extension_is_a_person_unless_it_can_be_a_queue() -> None:
    nobody = Directory()
    assert verdict(row("Accepted", leg("777", "Accepted")), directory=nobody)[0] == Outcome.ACCEPTED
    legs = [leg("777", "Accepted"), leg("101", "Missed", begins=2)]
    outcome, words = verdict(row("Accepted", *legs))
    assert outcome == Outcome.UNCLEAR
    assert "Extension 777" in words
    assert folded(row("Accepted", *legs)).unknown_ids == ("777",)
    later = [leg("900", "Accepted"), leg("101", "Missed", begins=2), leg("777", "Accepted", begins=9)]
    assert verdict(row("Accepted", *later))[0] == Outcome.ACCEPTED


def test_a_row_that_contradicts_its_legs_is_unclear() -> None:
    assert verdict(row("Accepted", leg("101", "Missed")))[0] == Outcome.UNCLEAR
    assert verdict(row("", leg("101", "")))[0] == Outcome.UNCLEAR


# --- no lead in it ------------------------------------------------------------------------------------------------------


def test_colleagues_among_themselves() -> None:
    parties = {"from": log.own("101"), "to": log.own("102")}
    for direction in ("Inbound", "Outbound"):
        assert verdict(row("Accepted", leg("102", "Accepted"), direction=direction, **parties)) == (
            Outcome.INTERNAL, "Both parties are extensions of the account.",
        )  # fmt: skip


@pytest.mark.parametrize(
    "fields",
    [{"type": "Fax", "result": "Received"}, {"action": "Monitoring"}, {"action": "Barge In Call"}, {"action": "Paging"},
     {"action": "Conference Call"}, {"action": "RC Meetings"}, {"action": "Phone Login"}, {"action": "E911 Update"},
     {"action": "Support"}, {"result": "Phone Login"}, {"result": "Fax Poor Line"}],
    ids=str,
)  # fmt: skip
def test_what_is_no_conversation(fields: JSON) -> None:
    assert verdict(row("Accepted") | fields)[0] == Outcome.NOT_A_CALL


def test_a_supervisor_who_listens_in_does_not_change_the_call() -> None:
    listening = row("Accepted", key="2", telephonySessionId="s-1", action="Monitoring", extension={"id": 102})
    assert verdict(row("Accepted", leg("101", "Accepted")), listening) == (
        Outcome.ACCEPTED, "Answered by Jane Miller (101).",
    )  # fmt: skip


def test_blocked_callers() -> None:
    assert verdict(row("Blocked"))[0] == Outcome.BLOCKED
    assert verdict(row("Rejected", leg("101", "Rejected", reason="Number Blocked")))[0] == Outcome.BLOCKED
    one_of_two = row("Missed", leg("101", "Blocked"), leg("102", "Missed"))
    assert verdict(one_of_two)[0] == Outcome.MISSED


@pytest.mark.parametrize("caller", [{}, {"name": "Anonymous"}, {"phoneNumber": "+1510555XXXX"}], ids=str)
def test_withheld_and_masked_callers_keep_their_outcome(caller: JSON) -> None:
    assert verdict(row("Missed", leg("101", "Missed"), **{"from": caller}))[0] == Outcome.MISSED
    assert verdict(row("Accepted", leg("101", "Accepted"), **{"from": caller}))[0] == Outcome.ACCEPTED


@pytest.mark.parametrize(
    "fields",
    [{"result": "In Progress"}, {"result": None, "duration": None}, {"finished": False},
     {"result": None, "legs": [leg("101", "In Progress", seconds=None)]}],
    ids=str,
)  # fmt: skip
def test_a_call_that_still_goes_on_is_left_alone(fields: JSON) -> None:
    call = folded(row("Accepted") | fields)
    assert (call.outcome, call.is_in_progress) == (Outcome.IN_PROGRESS, True)
    assert (call.ended_at, call.total_seconds, call.talk_seconds) == (None, None, None)


# --- outgoing -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("result", "outcome"),
    [("Call connected", Outcome.OUTBOUND), ("Accepted", Outcome.OUTBOUND), ("No Answer", Outcome.OUTBOUND_FAILED),
     ("Busy", Outcome.OUTBOUND_FAILED), ("Wrong Number", Outcome.OUTBOUND_FAILED),
     ("International Disabled", Outcome.OUTBOUND_FAILED), ("Call Failed", Outcome.OUTBOUND_FAILED),
     ("Unknown", Outcome.UNCLEAR), ("Stopped", Outcome.UNCLEAR), ("", Outcome.UNCLEAR)],
)  # fmt: skip
def test_outgoing_calls(result: str, outcome: Outcome) -> None:
    assert verdict(outgoing(result))[0] == outcome


def test_the_own_phone_of_a_ringout_is_not_the_number_that_was_called() -> None:
    legs = [
        leg("101", "Call connected", legType="RingOutWebToSubscriber", direction="Outbound", to=log.own("101")),
        leg("", "No Answer", begins=5, legType="RingOutWebToCaller", direction="Outbound", to=log.outside()),
    ]
    assert verdict(outgoing("No Answer", *legs, action="RingOut Web")) == (
        Outcome.OUTBOUND_FAILED, "The number was not reached: “No Answer”.",
    )  # fmt: skip


# --- the tables ---------------------------------------------------------------------------------------------------------

INBOUND = {
    Result.ANSWERED: {Outcome.ACCEPTED},
    Result.NOT_ANSWERED: {Outcome.MISSED, Outcome.VOICEMAIL, Outcome.BLOCKED},
    Result.ELSEWHERE: {Outcome.UNCLEAR},
    Result.LIVE: {Outcome.IN_PROGRESS},
    Result.FAILED: {Outcome.MISSED},
    Result.REFUSED: {Outcome.UNCLEAR},
    Result.FAX: {Outcome.NOT_A_CALL},
}


@pytest.mark.parametrize("value", sorted({value for values in RESULTS.values() for value in values} - {"", LOGIN}))
def test_every_documented_result_has_its_outcome(value: str) -> None:
    assert verdict(row(value, leg("101", value)))[0] in INBOUND[result_of(value)]


# All values of CallResultEnum in RingCentral's OpenAPI file of August 2026.
DOCUMENTED = [
    "911",
    "933",
    "Abandoned",
    "Accepted",
    "Answered Not Accepted",
    "Blocked",
    "Busy",
    "Call Failed",
    "Call Failure",
    "Call connected",
    "Carrier is not active",
    "Declined",
    "EDGE trunk misconfigured",
    "Fax Not Sent",
    "Fax Partially Sent",
    "Fax Poor Line",
    "Fax Receipt Error",
    "Fax on Demand",
    "Hang Up",
    "IP Phone Offline",
    "In Progress",
    "Internal Error",
    "International Disabled",
    "International Restricted",
    "Missed",
    "No Answer",
    "No Calling Credit",
    "Not Allowed",
    "Partial Receive",
    "Phone Login",
    "Receive Error",
    "Received",
    "Rejected",
    "Reply",
    "Restricted Number",
    "Send Error",
    "Sent",
    "Sent to Voicemail",
    "Stopped",
    "Suspended account",
    "Unknown",
    "Voicemail",
    "Wrong Number",
    "Answered Elsewhere",
    "Callback requested",
]


@pytest.mark.parametrize("value", DOCUMENTED)
def test_every_value_of_the_vendors_list_is_in_a_table(value: str) -> None:
    assert result_of(value) is not Result.UNKNOWN
    assert verdict(row(value))[1]
