from __future__ import annotations

import json

import pytest

from portal.standin import Standin
from portal.standin.ringcentral.control import _SCENARIOS
from tests.standin.phone_caller import HOST, NOON, PhoneCaller


@pytest.fixture
def phone():
    standin = Standin(leads=10)
    standin.clock.freeze(NOON)
    return PhoneCaller(standin).unlimited()


def control(phone, method, path, **body):
    reply = phone.standin.handle(method, f"{HOST}/_standin/{path}", {}, json.dumps(body) if body else None)
    return reply.status, reply.json()


@pytest.mark.parametrize("scenario", _SCENARIOS)
def test_every_scenario_can_be_asked_for(phone, scenario):
    more = {"result": "Brand New Result"} if scenario == "with_result" else {}

    status, made = control(phone, "POST", "call", scenario=scenario, at="2026-11-02T10:00:00Z", **more)

    assert status == 200
    assert [phone.row(row_id)["id"] for row_id in made["rows"]] == made["rows"]


def test_a_call_without_a_time_is_over_by_now(phone):
    _, made = control(phone, "POST", "call", scenario="accepted", recorded={"content": "html"}, duration=60)

    assert phone.row(made["rows"][0])["startTime"] == "2026-11-02T11:40:00.000Z"
    assert phone.get(f"/recording/{made['recordings'][0]}/content").headers["Content-Type"].startswith("text/html")


def test_rows_are_added_changed_and_read(phone):
    _, made = control(
        phone, "POST", "ringcentral/row", result="Odd", later=[{"at": "2026-11-02T12:10:00Z", "values": {"result": "Odder"}}]
    )  # fmt: skip
    _, changed = control(phone, "POST", "ringcentral/change", id=made["rows"][0], values={"duration": 5})
    _, rows = control(phone, "GET", f"ringcentral/rows?session={made['sessions'][0]}")

    phone.standin.clock.advance(600)
    later = phone.row(made["rows"][0])

    assert (changed["row"]["result"], changed["row"]["duration"]) == ("Odd", 5)
    assert (later["result"], later["duration"]) == ("Odder", 5)
    assert [row["id"] for row in rows["rows"]] == made["rows"]


def test_settings_state_and_counters(phone):
    _, settings = control(phone, "POST", "ringcentral/settings", heavy_limit=0)
    wrong, _ = control(phone, "POST", "ringcentral/settings", speed=1)
    phone.get("/call-log")
    phone.get("/call-log")
    _, counters = control(phone, "GET", "counters")
    _, state = control(phone, "GET", "ringcentral")

    assert (settings["heavy_limit"], wrong) == (0, 400)
    assert (counters["rejected"], counters["penalty_violations"]) == ({"ringcentral heavy": 2}, 1)
    assert (state["rows"], state["sessions"], len(state["extensions"])) == (0, 1, 20)


def test_sessions_and_sync_tokens_end_and_events_are_sent(phone):
    full = phone.get("/call-log-sync", syncType="FSync").json()
    control(phone, "POST", "ringcentral/expire-sync")
    assert phone.get("/call-log-sync", syncType="ISync", syncToken=full["syncInfo"]["syncToken"]).status == 400

    assert control(phone, "POST", "ringcentral/emit", session="s-1") == (200, {"statuses": []})
    control(phone, "POST", "ringcentral/revoke", credential=True)
    assert phone.get("").status == 401
    assert phone.code(phone.login()) == "OAU-210"


def test_a_reset_empties_the_log_and_takes_another_number_of_calls(phone):
    phone.script.accepted(NOON)
    _, state = control(phone, "POST", "reset", calls=7)

    fresh = PhoneCaller(phone.standin).unlimited()
    assert state["calls"] == 7
    assert len(fresh.log()) == 7


def test_an_unknown_scenario_is_refused_with_the_known_ones(phone):
    status, answer = control(phone, "POST", "call", scenario="teleport")

    assert status == 400
    assert "queue_answered" in answer["error"]
