from datetime import UTC, datetime

import pytest

from portal.standin import Standin
from tests.standin.caller import Caller


@pytest.fixture
def zoho():
    standin = Standin(leads=3_000)
    standin.clock.freeze(datetime(2026, 11, 1, 12, tzinfo=UTC))
    return Caller(standin)


def codes(reply):
    return [row["code"] for row in reply.json()["data"]]


def test_update_changes_only_what_is_sent_and_moves_the_time(zoho):
    lead = zoho.lead()
    before = zoho.standin.record("Leads", lead)

    reply = zoho.put({"id": lead, "Lead_Status": "On Hold", "Unknown_Key": 1, "Created_Time": "2020"})

    after = zoho.standin.record("Leads", lead)
    assert reply.status == 200
    details = reply.json()["data"][0]["details"]
    assert (details["id"], details["$approval_state"]) == (lead, "approved")
    assert details["Modified_Time"] == after["Modified_Time"] == "2026-11-01T07:00:00-05:00"
    changed = {name for name in after if after[name] != before[name]}
    assert changed <= {"Lead_Status", "Modified_Time", "Modified_By"}


def test_writing_the_same_value_again_moves_nothing(zoho):
    lead = zoho.lead()
    status = zoho.standin.record("Leads", lead)["Lead_Status"]
    before = zoho.standin.record("Leads", lead)["Modified_Time"]

    assert zoho.put({"id": lead, "Lead_Status": status}).status == 200

    assert zoho.standin.record("Leads", lead)["Modified_Time"] == before
    writes = zoho.standin.writes("Leads", lead)
    assert (writes.writes, writes.effective) == (1, 0)


def test_rows_fail_one_by_one_in_the_order_of_the_call(zoho):
    states = ("plain", "converted", "locked", "blueprint", "pending", "strict")
    rows = [{"id": zoho.lead(state), "Lead_Status": "On Hold"} for state in states]
    rows += [{"id": "5725767010009999999", "Lead_Status": "On Hold"}, {"Lead_Status": "On Hold"}]

    reply = zoho.put(*rows)

    assert reply.status == 207
    assert codes(reply) == [
        *("SUCCESS", "CONVERTED_RECORD", "RECORD_LOCKED", "RECORD_IN_BLUEPRINT", "NOT_APPROVED"),
        *("MANDATORY_NOT_FOUND", "INVALID_DATA", "MANDATORY_NOT_FOUND"),
    ]
    unknown, without_id = reply.json()["data"][-2:]
    assert "id" not in unknown["details"]
    assert unknown["details"]["json_path"] == "$.data[6].id"
    assert without_id["details"]["api_name"] == "id"


def test_all_failed_is_400(zoho):
    assert zoho.put({"id": zoho.lead("locked"), "Lead_Status": "On Hold"}).status == 400


def test_strict_layout_names_each_field_that_is_missing_until_all_are_there(zoho):
    lead = zoho.lead("strict")
    name = zoho.standin.record("Leads", lead)["Last_Name"]

    first = zoho.put({"id": lead, "Lead_Status": "On Hold"}).json()["data"][0]
    second = zoho.put({"id": lead, "Lead_Status": "On Hold", "Last_Name": name}).json()["data"][0]
    third = zoho.put({"id": lead, "Lead_Status": "On Hold", "Last_Name": name, "Company": "Co"}).json()["data"][0]

    assert (first["details"]["api_name"], second["details"]["api_name"]) == ("Last_Name", "Company")
    assert first["details"]["json_path"] == "$.data[0].Last_Name"
    assert third["code"] == "SUCCESS"


def test_blueprint_blocks_the_status_and_nothing_else(zoho):
    assert codes(zoho.put({"id": zoho.lead("blueprint"), "City": "Reno"})) == ["SUCCESS"]


@pytest.mark.parametrize(
    ("field", "value", "detail"),
    [
        ("Origin_Floor", "three", "expected_data_type"),
        ("Insurance", "yes", "expected_data_type"),
        ("Move_Date", "31.12.2026", "expected_data_type"),
        ("Survey_At", "2026-11-01T10:00:00", "expected_data_type"),
        ("Services", "Packing", "expected_data_type"),
        ("Email", "nobody", "regex"),
        ("Phone", "call <me>", "regex"),
        ("City", "x" * 101, "maximum_length"),
        ("Referred_By", {"id": "1"}, "json_path"),
        ("Owner", {"id": "5725767000000001012"}, "json_path"),
    ],
)
def test_value_of_a_wrong_type_is_invalid_data(zoho, field, value, detail):
    row = zoho.put({"id": zoho.lead(), field: value}).json()["data"][0]

    assert row["code"] == "INVALID_DATA"
    assert detail in row["details"]


def test_unknown_picklist_value_is_stored(zoho):
    lead = zoho.lead()

    assert codes(zoho.put({"id": lead, "Lead_Status": "No Such Status"})) == ["SUCCESS"]
    assert zoho.standin.record("Leads", lead)["Lead_Status"] == "No Such Status"


def test_unique_field_refuses_the_value_of_another_record(zoho):
    one, other = zoho.leads()[:2]
    taken = zoho.standin.record("Leads", other)["External_Lead_Id"]

    row = zoho.put({"id": one, "External_Lead_Id": taken}).json()["data"][0]

    assert row["code"] == "DUPLICATE_DATA"
    assert row["details"]["duplicate_record"]["id"] == other


def test_null_clears_and_multi_select_replaces_or_appends(zoho):
    lead = zoho.lead()
    zoho.put({"id": lead, "Services": ["Piano"], "City": None})
    zoho.put({"id": lead, "Services": ["Storage"], "$append_values": {"Services": True}})

    record = zoho.standin.record("Leads", lead)
    assert (record["Services"], record["City"]) == (["Piano", "Storage"], None)


def test_more_than_a_hundred_records_fail_as_a_whole(zoho):
    ids = zoho.leads()[:101]

    reply = zoho.put(*({"id": record_id, "City": "Reno"} for record_id in ids))

    assert (reply.status, zoho.code(reply)) == (400, "LIMIT_EXCEEDED")
    assert zoho.standin.writes("Leads", ids[0]).writes == 0


@pytest.mark.parametrize("body", [[], {}, {"data": {}}, {"data": []}, "text"])
def test_malformed_body_fails_as_a_whole(zoho, body):
    reply = zoho.send("PUT", "/Leads", body)

    assert reply.status == 400
    assert reply.json()["status"] == "error"


def test_if_unmodified_since_lost_is_412_and_changes_nothing(zoho):
    lead = zoho.lead()
    header = {"If-Unmodified-Since": "2026-11-01T12:00:00+00:00"}
    assert zoho.put({"id": lead, "City": "Reno"}, headers=header).status == 200

    zoho.standin.clock.advance(60)
    zoho.standin.set_record("Leads", lead, {"City": "Elko"})
    reply = zoho.send("PUT", f"/Leads/{lead}", {"data": [{"City": "Reno"}]}, headers=header)

    assert (reply.status, zoho.code(reply)) == (412, "ALREADY_MODIFIED")
    assert zoho.standin.record("Leads", lead)["City"] == "Elko"


def test_insert_fills_in_system_fields(zoho):
    reply = zoho.post("/Leads", {"First_Name": "Ann", "Last_Name": "Lee"}, {"First_Name": "Nobody"})

    assert reply.status == 207
    record_id = reply.json()["data"][0]["details"]["id"]
    record = zoho.standin.record("Leads", record_id)
    assert (record["Full_Name"], record["Layout"]["name"], record["Converted__s"]) == ("Ann Lee", "Standard", False)
    assert record_id > zoho.standin.zoho.org.tables["Leads"].base_id(2_999)
    assert codes(reply)[1] == "MANDATORY_NOT_FOUND"


def test_insert_into_a_layout_wants_what_the_layout_wants(zoho):
    reply = zoho.post("/Leads", {"Last_Name": "Lee", "Layout": {"id": "5725767000000190002"}})

    assert reply.json()["data"][0]["details"]["api_name"] == "Company"


def test_trigger_decides_whether_workflows_fire(zoho):
    lead = zoho.lead()
    zoho.put({"id": lead, "City": "One"})
    zoho.put({"id": lead, "City": "Two"}, trigger=[])
    zoho.put({"id": lead, "City": "Three"}, trigger=["approval"])
    zoho.put({"id": lead, "City": "Four"}, trigger=["workflow"])

    writes = zoho.standin.writes("Leads", lead)
    assert (writes.writes, writes.effective, writes.workflows) == (4, 4, 2)
    assert [entry.trigger for entry in zoho.standin.counters.journal][-4:] == [None, [], ["approval"], ["workflow"]]


def test_upsert_updates_by_email_or_inserts(zoho):
    zoho.standin.set_record("Leads", zoho.lead(), {"Email": "known@example.com"})

    reply = zoho.post(
        "/Leads/upsert",
        {"Last_Name": "Known", "Email": "KNOWN@example.com"},
        {"Last_Name": "New", "Email": "new@example.com"},
        duplicate_check_fields=["Email"],
    )

    assert reply.status == 200
    rows = reply.json()["data"]
    assert [row["action"] for row in rows] == ["update", "insert"]
    assert rows[0]["duplicate_field"] == "Email"
    assert rows[0]["details"]["id"] == zoho.lead()


def test_upsert_by_a_field_that_is_not_unique_is_refused(zoho):
    reply = zoho.post("/Leads/upsert", {"Last_Name": "A", "Phone": "1"}, duplicate_check_fields=["Phone"])

    assert (reply.status, zoho.code(reply)) == (400, "INVALID_DATA")
    assert zoho.code(zoho.post("/Tasks/upsert", {"Subject": "A"})) == "NOT_SUPPORTED"


def test_delete_reports_each_id(zoho):
    lead = zoho.lead()

    reply = zoho.send("DELETE", f"/Leads?ids={lead},5725767010009999999")

    assert (reply.status, codes(reply)) == (207, ["SUCCESS", "INVALID_DATA"])
    assert zoho.standin.record("Leads", lead) is None
    assert codes(zoho.put({"id": lead, "City": "Reno"})) == ["INVALID_DATA"]


def test_other_modules_take_writes_too(zoho):
    deal = zoho.standin.ids("Deals")[0]

    assert zoho.send("PUT", "/Deals", {"data": [{"id": deal, "Stage": "Closed Won"}]}).status == 200
    assert zoho.post("/Site_Surveys", {"Name": "SV", "Lead": {"id": zoho.lead()}}).status == 201
    assert zoho.post("/Tasks", {"Subject": "Call"}).status == 201


def test_mass_update_by_ids_answers_per_record(zoho):
    plain, locked = zoho.leads()[:3], zoho.lead("locked")

    reply = zoho.post("/Leads/actions/mass_update", {"Lead_Status": "Junk Lead"}, ids=[*plain, locked])

    assert (reply.status, codes(reply)) == (207, ["SUCCESS"] * 3 + ["RECORD_LOCKED"])
    assert zoho.standin.writes("Leads", plain[0]).workflows == 1


def test_mass_update_takes_500_ids_and_only_fields_that_allow_it(zoho):
    many = zoho.post("/Leads/actions/mass_update", {"City": "Reno"}, ids=["1"] * 501)
    email = zoho.post("/Leads/actions/mass_update", {"Email": "a@b.co"}, ids=[zoho.lead()])

    assert zoho.code(many) == "LIMIT_EXCEEDED"
    assert zoho.code(email) == "INVALID_DATA"


def test_mass_update_of_a_view_is_a_job_that_takes_time(zoho):
    view = "5725767000000801003"
    started = zoho.post("/Leads/actions/mass_update", {"Lead_Status": "Contacted"}, cvid=view)
    job = started.json()["data"][0]["details"]["job_id"]

    def status():
        return zoho.get("/Leads/actions/mass_update", job_id=job).json()["data"][0]

    assert status()["Status"] == "SCHEDULED"
    again = zoho.post("/Leads/actions/mass_update", {"Lead_Status": "Contacted"}, cvid=view)
    assert zoho.code(again) == "ALREADY_SCHEDULED"
    zoho.standin.clock.advance(2.2)
    running = status()
    assert running["Status"] == "RUNNING"
    assert 0 < running["Updated_Count"] < running["Total_Count"]
    zoho.standin.clock.advance(600)
    done = status()
    assert done["Status"] == "COMPLETED"
    assert done["Updated_Count"] + done["Failed_Count"] == done["Total_Count"]
    assert done["Failed_Count"] > 0


def test_mass_update_of_an_empty_view_finds_nothing(zoho):
    reply = zoho.post("/Leads/actions/mass_update", {"City": "Reno"}, cvid="5725767000000801004")

    assert zoho.code(reply) == "NO_RECORDS_FOUND"
