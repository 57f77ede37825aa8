"""What the calls feature needs of the Zoho half."""

from __future__ import annotations

from hashlib import sha256

import pytest

from portal.standin import Standin
from tests.standin.caller import API, Caller
from tests.standin.test_notes_and_attachments import note, upload


@pytest.fixture
def zoho():
    return Caller(Standin(leads=1_500))


def test_a_hundred_notes_are_changed_in_one_call(zoho):
    lead = zoho.lead()
    ids = [row["details"]["id"] for row in zoho.post("/Notes", *[note(lead)] * 100).json()["data"]]
    rows = [{"id": note_id, "Note_Content": f"Text {position}"} for position, note_id in enumerate(ids)]

    reply = zoho.send("PUT", "/Notes", {"data": [*rows[:99], {"id": "1", "Note_Content": "x"}]})
    too_many = zoho.send("PUT", "/Notes", {"data": [*rows, rows[0]]})

    assert reply.status == 207
    assert [row["code"] for row in reply.json()["data"]].count("SUCCESS") == 99
    assert [row["Note_Content"] for row in zoho.standin.notes_of("Leads", lead)][:3] == ["Text 0", "Text 1", "Text 2"]
    assert zoho.code(too_many) == "LIMIT_EXCEEDED"


def test_notes_and_files_of_a_record_can_be_looked_at(zoho):
    lead = zoho.lead()
    zoho.post("/Notes", note(lead, Note_Title="One"))
    upload(zoho, lead, b"sound", name="call.wav")

    shown = zoho.standin.handle("GET", f"{API[:-7]}/_standin/files?module=Leads&id={lead}", {}, None).json()

    assert [row["Note_Title"] for row in zoho.standin.notes_of("Leads", lead)] == ["One"]
    assert zoho.standin.files_of("Leads", lead) == [("call.wav", b"sound")]
    assert shown["files"] == [{"name": "call.wav", "size": 5, "sha256": sha256(b"sound").hexdigest()}]


def test_calls_logged_by_somebody_else_can_be_found(zoho):
    lead = zoho.lead()
    call = zoho.standin.add_record(
        "Calls",
        {
            "Subject": "Incoming call",
            "Call_Type": "Inbound",
            "Call_Start_Time": "2026-11-02T10:00:00+00:00",
            "Call_Duration": "02:00",
            "What_Id": lead,
            "Description": "s-123",
        },
    )

    rows = zoho.coql(
        "select id, Subject, Call_Type, Call_Start_Time, Call_Duration, Who_Id, What_Id, Description, Created_Time, "
        f"Modified_Time from Calls where What_Id = '{lead}' order by id limit 200"
    ).json()["data"]

    assert [(row["id"], row["Call_Duration"], row["What_Id"]["id"]) for row in rows] == [(call, "02:00", lead)]
    assert zoho.get("/Calls", fields="id,Subject").json()["data"][0]["Subject"] == "Incoming call"


def test_phones_of_all_leads_are_walked_by_id(zoho):
    found, last = [], "0"
    while True:
        query = "select id, Phone, Mobile, Owner, Lead_Status, Modified_Time from Leads"
        reply = zoho.coql(f"{query} where id > '{last}' order by id limit 200")
        if reply.status == 204:
            break
        found += [row["id"] for row in reply.json()["data"]]
        last = found[-1]

    assert found == zoho.standin.ids("Leads")


def test_leads_changed_since_come_in_order_with_or_without_converted_ones(zoho):
    table = zoho.standin.zoho.org.tables["Leads"]
    query = (
        "select id, Phone, Converted__s, Modified_Time from Leads where Modified_Time >= '2024-01-01T00:00:00+00:00'"
    )
    order = "order by Modified_Time, id limit 2000"

    rows = zoho.coql(f"{query} and Converted__s in ('true', 'false') {order}").json()["data"]
    converted = zoho.coql(f"{query} and Converted__s = 'true' {order}").json()["data"]

    assert [row["id"] for row in rows] == sorted(table.ids(), key=lambda i: (table.value(i, "Modified_Time"), i))
    assert {row["id"] for row in converted} == set(zoho.leads("converted"))


def test_contacts_have_four_numbers(zoho):
    contact = zoho.standin.ids("Contacts")[0]
    zoho.send("PUT", "/Contacts", {"data": [{"id": contact, "Home_Phone": "+15035551", "Other_Phone": "+15035552"}]})
    row = zoho.coql(f"select Phone, Mobile, Home_Phone, Other_Phone from Contacts where id = '{contact}'").json()

    assert row["data"][0]["Other_Phone"] == "+15035552"
    assert row["data"][0].keys() == {"Phone", "Mobile", "Home_Phone", "Other_Phone", "id"}
