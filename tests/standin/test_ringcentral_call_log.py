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


def test_rows_come_newest_first_and_without_totals(phone):
    made = [phone.script.accepted(NOON - timedelta(minutes=minutes)) for minutes in (90, 30, 60)]

    body = phone.get("/call-log", perPage=2).json()

    assert [row["id"] for row in body["records"]] == [made[1].row, made[2].row]
    assert body["paging"] == {"page": 1, "perPage": 2, "pageStart": 0, "pageEnd": 1}
    assert [row["id"] for row in phone.get(body["navigation"]["nextPage"]["uri"]).json()["records"]] == [made[0].row]


def test_six_hundred_rows_are_walked_by_the_links_alone(phone):
    made = phone.script.many(EARLIER, count=600)

    rows = phone.walk("/call-log", perPage=100, type=["Voice", "Fax"], dateFrom="2026-11-02T00:00:00Z")

    assert [row["id"] for row in rows] == made.rows[::-1]


def test_a_page_is_capped_at_a_thousand_without_a_word(phone):
    phone.script.many(EARLIER, count=1_001, every_s=0.1)

    assert len(phone.get("/call-log", perPage=5_000).json()["records"]) == 1_000
    assert phone.get("/call-log", perPage="max").json()["paging"]["perPage"] == 1_000


def test_an_empty_page_has_no_numbers(phone):
    assert phone.get("/call-log").json()["paging"] == {"perPage": 100}


def test_the_window_is_about_start_times_and_a_day_by_default(phone):
    old = phone.script.accepted(NOON - timedelta(hours=25), duration=3 * 3600)
    fresh = phone.script.accepted(NOON - timedelta(hours=23))

    assert [row["id"] for row in phone.get("/call-log").json()["records"]] == [fresh.row]
    window = {"dateFrom": "2026-11-01T10:00:00Z", "dateTo": "2026-11-01T13:00:00+01:00"}
    assert [row["id"] for row in phone.get("/call-log", **window).json()["records"]] == [old.row]


def test_the_end_of_the_window_can_be_told_to_exclude(phone):
    made = phone.script.accepted(EARLIER)
    end = EARLIER.isoformat().replace("+00:00", "Z")
    assert [row["id"] for row in phone.get("/call-log", dateTo=end).json()["records"]] == [made.row]

    phone.standin.ringcentral.settings.date_to_inclusive = False
    assert phone.get("/call-log", dateTo=end).json()["records"] == []


@pytest.mark.parametrize(
    "query",
    [
        {"dateFrom": "yesterday"},
        {"dateFrom": "2026-11-02T10:00:00"},
        {"view": "Full"},
        {"type": "SMS"},
        {"perPage": "0"},
        {"page": "x"},
        {"dateFrom": "2026-11-02", "dateTo": "2026-11-01"},
        {"phoneNumber": "1", "extensionNumber": "2"},
    ],
)
def test_a_bad_parameter_is_refused(phone, query):
    reply = phone.get("/call-log", **query)

    assert (reply.status, phone.code(reply)) == (400, "CMN-101")


def test_an_offset_whose_plus_became_a_space_is_refused(phone):
    assert phone.get(f"/call-log?dateFrom={NOON.isoformat()}").status == 400


def test_legs_and_modification_time_are_in_the_detailed_view_only(phone):
    row_id = phone.script.accepted(EARLIER).row

    simple, detailed = phone.get("/call-log").json()["records"][0], phone.row(row_id)

    assert not {"legs", "billing", "lastModifiedTime"} & simple.keys()
    assert detailed["legs"][0]["extension"]["id"] == 700000101
    assert detailed["lastModifiedTime"] == "2026-11-02T10:02:20.000Z"


def test_type_direction_recording_and_number_filter(phone):
    accepted = phone.script.accepted(EARLIER, recorded=True, caller="+13035550111")
    fax, out = phone.script.fax(EARLIER), phone.script.outbound(EARLIER)

    def ids(**query):
        return {row["id"] for row in phone.get("/call-log", **query).json()["records"]}

    assert ids() == {accepted.row, fax.row, out.row}
    assert ids(type="Fax") == {fax.row}
    assert ids(type=["Voice", "Fax"], direction="Outbound") == {out.row}
    assert ids(recordingType="All") == ids(recordingType="Automatic") == ids(withRecording="true") == {accepted.row}
    assert ids(recordingType="OnDemand") == set()
    assert ids(phoneNumber="13035550111") == {accepted.row}
    assert ids(extensionNumber="401") == {fax.row}
    # The vendor has no such filter; it ignores what it does not know.
    assert len(ids(result="Missed")) == 3


def test_rows_of_a_session_are_found_by_its_number_alone(phone):
    made = phone.script.blind_transfer(NOON - timedelta(days=9), rows=2)
    session = phone.row(made.row)["sessionId"]

    found = phone.get("/call-log", sessionId=session, view="Detailed").json()["records"]

    assert {row["id"] for row in found} == set(made.rows)
    assert phone.code(phone.get("/call-log", sessionId=session, type="Voice")) == "CLG-110"


def test_a_row_appears_after_its_lag(phone):
    made = phone.script.accepted(NOON - timedelta(seconds=60), duration=60, appears_after=300)
    assert phone.get(f"/call-log/{made.row}").status == 404
    assert phone.get("/call-log").json()["records"] == []

    phone.standin.clock.advance(300)
    assert phone.row(made.row)["result"] == "Accepted"


def test_a_free_row_may_be_anything_and_change(phone):
    made = phone.script.add_row(
        **{"sessionId": None, "result": "Brand New Result", "from": {"name": "X"}},
        later=[(NOON + timedelta(minutes=5), {"result": "Missed", "duration": None})],
    )
    assert (phone.row(made.row)["result"], "sessionId" in phone.row(made.row)) == ("Brand New Result", False)

    phone.standin.clock.advance(300)
    assert (phone.row(made.row)["result"], "duration" in phone.row(made.row)) == ("Missed", False)
    assert phone.row(made.row)["lastModifiedTime"] == "2026-11-02T12:05:00.000Z"


def test_a_deleted_row_shows_only_when_asked_for(phone):
    made = phone.script.accepted(EARLIER)
    phone.script.delete_row(made.row)

    assert phone.get("/call-log").json()["records"] == []
    assert phone.get("/call-log", showDeleted="true").json()["records"][0]["deleted"] is True
    assert phone.get(f"/call-log/{made.row}").status == 404


def test_an_extension_sees_a_queue_call_as_its_own_row(phone):
    made = phone.script.queue_answered(EARLIER, queue="201", agent="102")

    def own(extension):
        return phone.get(f"/extension/{extension}/call-log", view="Detailed").json()["records"]

    answered, missed, queue = own("700000102"), own("700000103"), own("700000201")
    assert [rows[0]["result"] for rows in (answered, missed, queue)] == ["Accepted", "Missed", "Accepted"]
    assert {rows[0]["telephonySessionId"] for rows in (answered, missed, queue)} == {made.session}
    assert len({rows[0]["id"] for rows in (answered, missed, queue)}) == 3
    assert own("700000112") == []


def test_another_extensions_log_needs_extended_rights(phone):
    phone.standin.ringcentral.settings.other_mailboxes = False

    assert phone.code(phone.get("/extension/700000101/call-log")) == "CMN-419"
    assert phone.get("/extension/~/call-log").status == 200


def test_extensions_are_listed_with_totals_and_filters(phone):
    everyone = phone.walk("/extension", perPage=5)
    body = phone.get("/extension", type=["Department", "IvrMenu"]).json()

    assert body["paging"]["totalElements"] == 4
    assert {row["type"] for row in body["records"]} == {"Department", "IvrMenu"}
    assert len({row["id"] for row in everyone}) == len(everyone) == 20
    assert any("extensionNumber" not in row for row in everyone)
    emails = {user.email for user in phone.standin.zoho.org.users.values()}
    assert sum(row["contact"].get("email") in emails for row in everyone) == 10


def test_queue_ids_are_text_in_one_list_and_numbers_in_the_other(phone):
    queues = phone.get("/call-queues").json()["records"]
    members = phone.get(f"/call-queues/{queues[0]['id']}/members").json()["records"]

    assert queues[0]["id"] == "700000201"
    assert [member["extensionNumber"] for member in members] == ["101", "102", "103", "104"]
    assert phone.get("/call-queues/700000101/members").status == 404


def test_what_is_not_built_says_so(phone):
    assert phone.get("/active-calls").status == 501
    assert phone.get("/call-log/A,B").status == 501
    assert phone.send("DELETE", "https://phone.test/restapi/v1.0/account/~/call-log").status == 501


def test_another_account_is_refused(phone):
    assert phone.get("https://phone.test/restapi/v1.0/account/123/call-log").status == 403
    assert phone.get("https://phone.test/restapi/v1.0/account/700000000/call-log").status == 200
