"""What RingCentral writes becomes our own types, however odd it is."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.ringcentral.records import (
    DamagedRow,
    ExtensionRow,
    LogRow,
    QueueRow,
    SubscriptionRow,
    VoicemailMessage,
    moment,
)
from tests.telephony import log_rows as log

NOON = dt.datetime(2026, 5, 4, 12, 0, 0, 250000, tzinfo=dt.UTC)


def test_a_row_with_all_its_parts() -> None:
    found = LogRow.parse(
        log.row(
            "Accepted",
            log.leg("101", "Accepted", begins=4, recording=log.recording(9), telephonySessionId="s-1", master=True),
            extension={"id": 101},
            recording=log.recording(9),
            message=log.voicemail(55, "900"),
            delegate={"id": 102, "name": "Omar"},
            delegationType="Coworker",
            transferTarget={"telephonySessionId": "s-8"},
            transferee={"telephonySessionId": "s-7"},
            reason="Connected",
            finished=True,
        )
    )
    assert (found.id, found.session_id, found.telephony_session_id) == ("row-1", "70001", "s-1")
    assert (found.type, found.direction, found.action, found.result, found.reason) == (
        "Voice", "Inbound", "Phone Call", "Accepted", "Connected",
    )  # fmt: skip
    assert (found.started_at, found.duration, found.modified_at) == (log.START, 60, log.START + dt.timedelta(0, 300))
    assert (found.caller.number, found.caller.name, found.caller.location) == (log.CALLER, "OAKLAND CA", "Oakland, CA")
    assert (found.extension_id, found.delegate_id, found.delegation_type) == ("101", "102", "Coworker")
    assert found.linked == ("s-7", "s-8")
    assert found.message is not None
    assert (found.message.mailbox, found.message.is_voicemail) == ("900", True)
    (leg,) = found.legs
    assert (leg.extension_id, leg.session, leg.is_master, leg.leg_type) == ("101", "s-1", True, "Accept")
    assert leg.started_at == log.START + dt.timedelta(seconds=4)
    assert leg.recording == found.recording
    assert (found.is_finished, found.is_deleted, found.is_short_recording, found.oddities) == (True, False, False, ())


@pytest.mark.parametrize(
    "written",
    ["2026-05-04T12:00:00.250Z", "2026-05-04T12:00:00.250+0000", "2026-05-04T14:00:00.25+02:00",
     "2026-05-04T12:00:00.250", "2026-05-04T07:00:00.250-0500"],
)  # fmt: skip
def test_times_are_utc_however_they_are_written(written: str) -> None:
    assert moment(written) == NOON


@pytest.mark.parametrize(
    "written", ["", None, "yesterday", 1777896000, "0001-01-01T00:00:00+12:00", "2026-13-01", True]
)
def test_what_is_no_time_is_none(written: Any) -> None:
    assert moment(written) is None


@pytest.mark.parametrize(
    ("fields", "seconds"),
    [
        ({"duration": 7}, 7),
        ({"duration": "7"}, 7),
        ({"duration": None, "durationMs": 7900}, 7),
        ({"duration": 0}, 0),
        ({"duration": None}, None),
        ({"duration": -1}, None),
        ({"duration": True}, None),
        ({"duration": float("nan")}, None),
        ({"duration": 10**400}, None),
        ({"duration": [7]}, None),
    ],
    ids=str,
)
def test_a_duration_is_whole_seconds_or_none(fields: dict[str, Any], seconds: int | None) -> None:
    assert LogRow.parse(log.row("Missed", **fields)).duration == seconds


@pytest.mark.parametrize(
    ("fields", "key"),
    [
        ({}, "s-1"),
        ({"telephonySessionId": None}, "session:70001"),
        ({"telephonySessionId": "", "sessionId": 70001}, "session:70001"),
        ({"telephonySessionId": None, "sessionId": "0"}, "row:row-1"),
        ({"telephonySessionId": None, "sessionId": 0}, "row:row-1"),
        ({"telephonySessionId": None, "sessionId": None}, "row:row-1"),
    ],
    ids=str,
)
def test_rows_share_their_telephony_session_and_never_the_session_zero(fields: dict[str, Any], key: str) -> None:
    assert LogRow.parse(log.row("Missed", **fields)).session_key == key


def test_ids_are_text_also_where_they_come_as_numbers() -> None:
    found = LogRow.parse(log.row("Missed", id=4711, sessionId=12, extension={"id": 63000101}))
    assert (found.id, found.session_id, found.extension_id) == ("4711", "12", "63000101")


@pytest.mark.parametrize("damaged", [None, [], "row", 7, {}, {"id": ""}, {"id": None}, {"id": "x" * 101}], ids=str)
def test_what_has_no_id_is_damaged(damaged: Any) -> None:
    with pytest.raises(DamagedRow, match="no object with an id"):
        LogRow.parse(damaged)


def test_a_row_without_any_start_is_damaged_and_says_which_it_is() -> None:
    with pytest.raises(DamagedRow, match=r"Call log row row-1: it has no readable startTime\.") as caught:
        LogRow.parse(log.row("Missed", startTime="soon"))
    assert caught.value.row_id == "row-1"
    assert log.CALLER not in str(caught.value)


def test_the_start_of_the_first_leg_stands_in_for_that_of_the_row() -> None:
    found = LogRow.parse(log.row("Missed", log.leg("101", "Missed", begins=9), startTime=None))
    assert found.started_at == log.START + dt.timedelta(seconds=9)
    assert found.oddities == ("the start",)


def test_legs_that_are_none_are_left_out_and_said() -> None:
    found = LogRow.parse(log.row("Missed", legs=[None, "x", log.leg("101", "Missed")]))
    assert [leg.extension_id for leg in found.legs] == ["101"]
    assert found.oddities == ("2 of 3 legs",)
    assert LogRow.parse(log.row("Missed", legs="all")).oddities == ("1 of 1 legs",)


def test_a_deleted_row_may_be_nothing_but_its_id() -> None:
    found = LogRow.parse({"id": "row-1", "deleted": True})
    assert (found.is_deleted, found.started_at, found.session_key) == (True, None, "row:row-1")


def test_a_short_recording_is_told_by_row_or_leg() -> None:
    assert LogRow.parse(log.row("Accepted", shortRecording=True)).is_short_recording
    assert LogRow.parse(log.row("Accepted", log.leg("101", "Accepted", shortRecording=True))).is_short_recording


def test_ids_are_found_in_addresses_where_their_field_is_missing() -> None:
    message = {key: value for key, value in log.voicemail(55, "900").items() if key != "id"}
    tape = {key: value for key, value in log.recording(9).items() if key != "id"}
    found = LogRow.parse(log.row("Voicemail", message=message, recording=tape))
    assert found.message is not None
    assert found.recording is not None
    assert (found.message.id, found.recording.id) == ("55", "9")
    assert LogRow.parse(log.row("Missed", message={}, recording={"type": "Automatic"})).message is None


@pytest.mark.parametrize(
    ("kind", "is_voicemail"), [("VoiceMail", True), ("Voicemail", True), ("Fax", False), ("", False)]
)
def test_voicemail_is_spelled_in_two_ways(kind: str, is_voicemail: bool) -> None:
    found = LogRow.parse(log.row("Missed", message=log.voicemail(kind=kind))).message
    assert found is not None
    assert found.is_voicemail is is_voicemail


def test_the_dialled_number_counts_only_where_nothing_else_is_told() -> None:
    caller = {"dialerPhoneNumber": "5105550199"}
    assert LogRow.parse(log.row("Missed", **{"from": caller})).caller.number == "5105550199"
    masked = LogRow.parse(log.row("Missed", **{"from": caller | {"phoneNumber": "+1510555XXXX"}}))
    assert masked.caller.number == "+1510555XXXX"
    assert LogRow.parse(log.row("Missed", **{"from": {"name": "Anonymous"}})).caller.told == ""


def test_text_becomes_storable() -> None:
    found = LogRow.parse(log.row("Missed", **{"from": {"name": "A\0nn\ud800 "}}))
    assert found.caller.name == "Ann?"


def test_extensions_queues_and_subscriptions() -> None:
    contact = {"firstName": "Jane", "lastName": "Miller", "email": "jane@example.com"}
    extension = ExtensionRow.parse({"id": 101, "contact": contact, "type": "User", "status": "Enabled", "hidden": True})
    assert extension == ExtensionRow(
        "101", "", "Jane Miller", "User", "Enabled", "jane@example.com", "", is_hidden=True
    )
    assert QueueRow.parse({"id": "900", "extensionNumber": "9", "name": "Sales"}) == QueueRow("900", "9", "Sales")
    told = {
        "id": "ab", "status": "Active", "expirationTime": "2026-05-04T12:00:00.250Z", "eventFilters": ["/a"],
        "deliveryMode": {"address": "https://example.com/hook"},
    }  # fmt: skip
    assert SubscriptionRow.parse(told) == SubscriptionRow("ab", "Active", NOON, "https://example.com/hook", ("/a",))
    for parse in (ExtensionRow.parse, QueueRow.parse, SubscriptionRow.parse, VoicemailMessage.parse):
        with pytest.raises(DamagedRow):
            parse({"name": "x"})


def test_parts_of_a_voicemail_are_told_apart_by_their_type() -> None:
    told = {
        "id": 4024, "extensionId": "900", "creationTime": "2026-05-04T12:00:00.250Z", "from": {"phoneNumber": "+1"},
        "vmTranscriptionStatus": "Completed",
        "attachments": [
            {"id": 77, "type": "AudioTranscription", "contentType": "text/plain", "uri": "t"},
            {"type": "AudioRecording"},
            {"id": 4024, "type": "AudioRecording", "contentType": "audio/x-wav", "vmDuration": 25, "uri": "a"},
        ],
    }  # fmt: skip
    found = VoicemailMessage.parse(told)
    assert (found.id, found.mailbox, found.created_at, found.from_number) == ("4024", "900", NOON, "+1")
    assert found.audio is not None
    assert (found.audio.id, found.audio.seconds, found.audio.uri) == ("4024", 25, "a")
    assert found.transcript is not None
    assert (found.transcript.id, found.transcription_status) == ("77", "Completed")


# --- any JSON at all ----------------------------------------------------------------------------------------------------

SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=12)
ANYTHING = st.recursive(
    SCALARS | st.sampled_from(["2026-05-04T12:00:00Z", "0", "Voice"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=6,
)
PARTS = st.fixed_dictionaries({}, optional=dict.fromkeys(log.leg("101", "Missed"), ANYTHING)) | ANYTHING
ROWS = st.fixed_dictionaries(
    {"id": st.text(max_size=4) | st.integers()},
    optional={key: ANYTHING for key in log.row("Missed") if key != "id"}
    | dict.fromkeys(("message", "recording", "extension", "delegate", "transferTarget", "deleted"), ANYTHING)
    | {"startTime": st.just("2026-05-04T12:00:00Z") | ANYTHING, "legs": st.lists(PARTS, max_size=3) | ANYTHING},
)


@given(ROWS | ANYTHING)
def test_parsing_gives_a_row_or_says_that_it_is_damaged(told: Any) -> None:
    try:
        found = LogRow.parse(told)
    except DamagedRow:
        return
    assert found.id
    assert found.session_key
    assert found.started_at is not None or found.is_deleted
    assert found.duration is None or found.duration >= 0
    str(found).encode("utf-8")


@given(ANYTHING)
def test_other_records_are_read_or_damaged_too(told: Any) -> None:
    for parse in (ExtensionRow.parse, QueueRow.parse, SubscriptionRow.parse, VoicemailMessage.parse):
        for wrapped in (told, {"id": 1, "attachments": told, "contact": told, "site": told, "eventFilters": told}):
            try:
                assert parse(wrapped).id
            except DamagedRow:
                continue
