from __future__ import annotations

import time
from collections import Counter
from datetime import timedelta

import pytest

from portal.standin import Standin
from portal.standin.ringcentral.media import audio
from portal.standin.zoho.leads import as_e164
from tests.standin.phone_caller import NOON, PhoneCaller


def phone_with(calls, leads=2_000):
    standin = Standin(leads=leads, calls=calls)
    standin.clock.freeze(NOON)
    return PhoneCaller(standin).unlimited()


@pytest.fixture(scope="module")
def phone():
    return phone_with(3_000)


def test_calls_lie_in_the_week_before_the_clock_and_are_all_over(phone):
    rows = phone.log()

    assert len(rows) == 3_000
    assert rows[-1]["startTime"] >= (NOON - timedelta(days=7)).isoformat()[:19]
    assert rows[0]["startTime"] > (NOON - timedelta(hours=1)).isoformat()[:19]
    assert all(row["lastModifiedTime"] < NOON.isoformat()[:19] for row in rows)
    assert len(phone.get("/call-log", perPage=1000).json()["records"]) in range(400, 460)


def test_the_mix_is_that_of_an_office(phone):
    share = {result: count / 3_000 for result, count in Counter(row["result"] for row in phone.log()).items()}

    assert share["Accepted"] == pytest.approx(0.57, abs=0.04)
    assert share["Missed"] == pytest.approx(0.20, abs=0.04)
    assert share["Voicemail"] == pytest.approx(0.08, abs=0.02)
    assert share["Call connected"] + share["No Answer"] == pytest.approx(0.13, abs=0.03)
    assert {"Received", "Hang Up", "Blocked"} <= share.keys()


def test_more_than_half_of_the_callers_are_leads(phone):
    table = phone.standin.zoho.org.tables["Leads"]
    known = {
        as_e164(number)
        for field in ("Phone", "Mobile")
        for record_id in table.ids()
        if (number := table.value(record_id, field))
    }
    callers = [row["from"].get("phoneNumber") for row in phone.log(direction="Inbound", type="Voice")]

    assert sum(caller in known for caller in callers) / len(callers) == pytest.approx(0.6, abs=0.06)


def test_recordings_and_voicemails_of_made_up_calls_can_be_had(phone):
    rows = phone.log()
    recorded = [row for row in rows if "recording" in row]
    spoken = [row for row in rows if "message" in row]

    assert len(recorded) / sum(row["result"] == "Accepted" for row in rows) == pytest.approx(0.5, abs=0.06)
    assert phone.get(recorded[0]["recording"]["contentUri"]).body == audio(recorded[0]["recording"]["id"])
    message = phone.get(spoken[0]["message"]["uri"]).json()
    assert phone.get(message["attachments"][-1]["uri"]).status == 200
    assert {row["result"] for row in spoken} == {"Voicemail"}


def test_two_starts_make_the_same_calls(phone):
    assert phone_with(3_000).log() == phone.log()


def test_made_up_rows_can_be_changed_and_come_in_the_feeds(phone):
    phone = phone_with(50)
    full = phone.get("/call-log-sync", syncType="FSync", dateFrom="2026-10-20").json()
    changed = full["records"][3]["id"]
    phone.standin.ringcentral.script.change_row(changed, result="Brand New Result")

    more = phone.get("/call-log-sync", syncType="ISync", syncToken=full["syncInfo"]["syncToken"]).json()

    assert len(full["records"]) == 50
    assert [(row["id"], row["result"]) for row in more["records"]] == [(changed, "Brand New Result")]


def test_who_called_does_not_depend_on_later_edits_of_leads():
    phone = phone_with(100, leads=50)
    before = phone.log()
    for lead in phone.standin.ids("Leads"):
        phone.standin.set_record("Leads", lead, {"Phone": "+15035550000", "Mobile": None})
    phone.standin.add_lead(Phone="+15035550001")

    assert phone.log() == before


def test_calls_without_any_lead_are_all_from_strangers():
    assert len(phone_with(20, leads=0).log()) == 20


def test_fifty_thousand_calls_start_at_once():
    started = time.perf_counter()
    phone = phone_with(50_000, leads=100)

    assert len(phone.get("/call-log", perPage=1000).json()["records"]) == 1000
    assert time.perf_counter() - started < 5
