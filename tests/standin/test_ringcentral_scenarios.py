from __future__ import annotations

from datetime import timedelta

import pytest

from portal.standin import Standin
from tests.standin.phone_caller import NOON, PhoneCaller

EARLIER = NOON - timedelta(hours=2)


@pytest.fixture
def phone():
    standin = Standin(leads=10)
    standin.clock.freeze(NOON)
    return PhoneCaller(standin).unlimited()


def results(row):
    return [leg["result"] for leg in row["legs"]]


def test_a_queue_call_that_one_agent_answers_is_one_row(phone):
    made = phone.script.queue_answered(EARLIER, queue="201", agent="103")

    row = phone.row(made.row)

    assert len(phone.log()) == 1
    assert (row["result"], row["to"]["extensionId"]) == ("Accepted", "700000201")
    assert results(row) == ["Accepted", "Missed", "Missed", "Accepted", "Missed"]
    assert "extension" not in row["legs"][0]
    assert [leg["extension"]["id"] for leg in row["legs"] if leg["result"] == "Missed"] == [
        700000101, 700000102, 700000104,
    ]  # fmt: skip


def test_a_queue_call_that_nobody_answers_is_missed_by_all(phone):
    row = phone.row(phone.script.queue_missed(EARLIER, queue="202").row)

    assert (row["result"], set(results(row))) == ("Missed", {"Missed"})


@pytest.mark.parametrize(
    ("where", "mailbox"),
    [
        ({"agent": "104"}, "700000104"),
        ({"queue": "202"}, "700000202"),
        ({"queue": "202", "mailbox": "108"}, "700000108"),
        ({"agent": "104", "mailbox": "101"}, "700000101"),
    ],
)
def test_the_link_of_a_voicemail_tells_its_mailbox(phone, where, mailbox):
    made = phone.script.voicemail(EARLIER, **where)

    link = phone.row(made.row)["message"]

    assert f"/extension/{mailbox}/message-store/{made.message}" in link["uri"]
    assert phone.get(link["uri"]).json()["extensionId"] == mailbox


def test_a_row_that_says_missed_may_hide_its_message_on_a_leg(phone):
    row = phone.row(phone.script.voicemail(EARLIER, result="Missed", on="leg").row)

    assert (row["result"], "message" in row, row["legs"][0]["message"]["type"]) == ("Missed", False, "VoiceMail")


def test_a_voicemail_link_arrives_later_and_changes_the_row(phone):
    made = phone.script.voicemail(NOON - timedelta(minutes=2), duration=60, link_after=240)
    before = phone.row(made.row)

    phone.standin.clock.advance(240)
    after = phone.row(made.row)

    assert (before["result"], "message" in before) == ("Missed", False)
    assert (after["result"], after["message"]["id"]) == ("Voicemail", made.message)
    assert before["lastModifiedTime"] < after["lastModifiedTime"]


def test_a_blind_transfer_is_one_session_with_two_agents(phone):
    one, two = phone.script.blind_transfer(EARLIER), phone.script.blind_transfer(EARLIER, rows=2)

    assert [leg["extension"]["id"] for leg in phone.row(one.row)["legs"]] == [700000101, 700000102]
    rows = [phone.row(row_id) for row_id in two.rows]
    assert len({row["telephonySessionId"] for row in rows}) == 1
    assert [row["action"] for row in rows] == ["Phone Call", "Transfer"]


def test_the_two_sessions_of_a_warm_transfer_name_each_other(phone):
    made = phone.script.warm_transfer(EARLIER, recorded=True)
    first, second = (phone.row(row_id) for row_id in made.rows)

    assert first["transferTarget"]["telephonySessionId"] == second["telephonySessionId"] == made.sessions[1]
    assert second["transferee"]["telephonySessionId"] == first["telephonySessionId"]
    assert "phoneNumber" not in second["from"]
    assert len(made.recordings) == 2


def test_ringout_twins_are_neighbours_with_mirrored_numbers(phone):
    made = phone.script.ringout(EARLIER)
    out, back = (phone.row(row_id) for row_id in made.rows)

    assert (out["direction"], back["direction"]) == ("Outbound", "Inbound")
    assert 1000 <= int(back["sessionId"]) - int(out["sessionId"]) <= 4000
    assert out["to"]["phoneNumber"] == back["from"]["phoneNumber"]


def test_conference_rows_share_session_zero(phone):
    made = phone.script.conference(EARLIER, telephony=False)

    rows = [phone.row(row_id) for row_id in made.rows]
    assert {row["sessionId"] for row in rows} == {"0"}
    assert not any("telephonySessionId" in row for row in rows)


def test_a_call_in_progress_has_no_duration_until_it_is_over(phone):
    made = phone.script.in_progress(NOON - timedelta(seconds=60), duration=300, seen_after=10)
    running = phone.row(made.row)

    phone.standin.clock.advance(260)
    finished = phone.row(made.row)

    assert (running["result"], "duration" in running) == ("In Progress", False)
    assert (finished["result"], finished["duration"]) == ("Accepted", 300)


def test_a_row_is_corrected_minutes_later(phone):
    made = phone.script.corrected(NOON - timedelta(minutes=3), duration=120, corrected_duration=135, after=280)
    assert phone.row(made.row)["duration"] == 120

    phone.standin.clock.advance(300)
    assert phone.row(made.row)["duration"] == 135


def test_a_recording_link_arrives_later(phone):
    made = phone.script.accepted(NOON - timedelta(minutes=3), duration=120, recorded={"link_after": 300})
    assert "recording" not in phone.row(made.row)

    phone.standin.clock.advance(300)
    assert phone.row(made.row)["recording"]["id"] == made.recording


def test_several_recordings_hang_on_several_legs_and_the_row_repeats_one(phone):
    made = phone.script.several_recordings(EARLIER)
    row = phone.row(made.row)

    assert {leg["recording"]["id"] for leg in row["legs"]} == set(made.recordings)
    assert row["recording"]["id"] == made.recording
    assert row["legs"][0]["startTime"] > row["legs"][-1]["startTime"]


def test_withheld_and_masked_callers_have_no_usable_number(phone):
    anonymous, masked = phone.script.anonymous(EARLIER), phone.script.masked(EARLIER)

    assert phone.row(anonymous.row)["from"] == {"name": "Anonymous"}
    assert phone.row(masked.row)["from"]["phoneNumber"].endswith("XXXX")


def test_a_call_forwarded_to_a_mobile_is_inbound_with_an_outbound_leg(phone):
    row = phone.row(phone.script.forwarded_to_mobile(EARLIER).row)

    assert row["direction"] == "Inbound"
    assert [(leg["direction"], leg["legType"]) for leg in row["legs"]] == [
        ("Inbound", "Accept"),
        ("Outbound", "FindMe"),
    ]


def test_a_caller_who_gives_up_in_the_menu_reached_no_extension(phone):
    row = phone.row(phone.script.menu_hangup(EARLIER).row)

    assert row["result"] == "Hang Up"
    assert not any("extension" in leg or "extensionId" in leg["to"] for leg in row["legs"])


@pytest.mark.parametrize("result", ["Answered Elsewhere", "Sent to Voicemail", "Brand New Result", "Blocked"])
def test_any_result_can_be_had(phone, result):
    assert phone.row(phone.script.with_result(EARLIER, result=result).row)["result"] == result


def test_numbers_stay_as_they_were_given(phone):
    made = phone.script.accepted(EARLIER, caller="(866) 555-0100")

    assert phone.row(made.row)["from"]["phoneNumber"] == "(866) 555-0100"


def test_the_same_caller_six_times_is_six_sessions(phone):
    made = phone.script.repeated(EARLIER, times=6)

    assert len(set(made.sessions)) == 6
    assert len({row["from"]["phoneNumber"] for row in phone.log()}) == 1


def test_internal_calls_have_short_numbers_only_and_faxes_their_type(phone):
    internal, fax = phone.row(phone.script.internal(EARLIER).row), phone.row(phone.script.fax(EARLIER).row)

    assert (internal["from"]["extensionNumber"], internal["to"]["extensionNumber"]) == ("101", "102")
    assert "phoneNumber" not in internal["from"] | internal["to"]
    assert (fax["type"], fax["legs"][0]["type"], fax["result"]) == ("Fax", "Fax", "Received")


def test_outbound_calls_connect_or_do_not(phone):
    connected, not_connected = phone.script.outbound(EARLIER), phone.script.outbound(EARLIER, connected=False)

    assert phone.row(connected.row)["result"] == "Call connected"
    assert phone.row(not_connected.row)["result"] == "No Answer"


def test_a_short_recording_is_named_as_such_and_has_no_link(phone):
    made = phone.script.accepted(EARLIER, duration=10, recorded={"short": True})

    row = phone.row(made.row)
    assert (row["shortRecording"], "recording" in row, made.recordings) == (True, False, [])


def test_naive_times_and_strangers_to_a_queue_are_mistakes_of_the_test(phone):
    with pytest.raises(ValueError, match="zone"):
        phone.script.accepted(EARLIER.replace(tzinfo=None))
    with pytest.raises(ValueError, match="member"):
        phone.script.queue_answered(EARLIER, queue="202", agent="101")
