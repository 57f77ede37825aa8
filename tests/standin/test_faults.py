import json

import pytest

from portal.standin import ConnectionDropped, Standin
from tests.standin.caller import Caller


@pytest.fixture
def zoho():
    return Caller(Standin(leads=300))


def move(zoho, city="Reno"):
    return zoho.put({"id": zoho.lead(), "City": city}, {"id": zoho.leads()[1], "City": city})


def city(zoho):
    return zoho.standin.record("Leads", zoho.lead())["City"]


def test_a_status_replaces_the_call(zoho):
    zoho.standin.faults.add(method="PUT", path="/Leads$", status=429, headers={"Retry-After": "7"}, times=1)

    reply = move(zoho)

    assert (reply.status, reply.headers["Retry-After"], zoho.code(reply)) == (429, "7", "TOO_MANY_REQUESTS")
    assert city(zoho) != "Reno"
    assert move(zoho).status == 200


def test_a_status_after_the_effect_replaces_only_the_answer(zoho):
    zoho.standin.faults.add(method="PUT", status=204, when="after")

    reply = move(zoho)

    assert (reply.status, reply.body) == (204, b"")
    assert city(zoho) == "Reno"


def test_an_html_page_instead_of_json(zoho):
    zoho.standin.faults.add(status=503, html=True)

    reply = zoho.get("/org")

    assert reply.headers["Content-Type"].startswith("text/html")
    assert reply.body.startswith(b"<html>")


@pytest.mark.parametrize(("drop", "expected"), [("before", False), ("after", True)])
def test_a_dropped_connection_leaves_the_caller_in_doubt(zoho, drop, expected):
    zoho.standin.faults.add(method="PUT", drop=drop)

    with pytest.raises(ConnectionDropped):
        move(zoho)

    assert (city(zoho) == "Reno") is expected
    assert zoho.standin.counters.in_flight == 0
    assert zoho.standin.zoho.limits.slots.taken == 0


@pytest.mark.parametrize("damage", [{"malformed": True}, {"truncate": 20}])
def test_a_damaged_body_is_no_json(zoho, damage):
    zoho.standin.faults.add(method="PUT", **damage)

    reply = move(zoho)

    assert reply.status == 200
    with pytest.raises(json.JSONDecodeError):
        reply.json()
    assert city(zoho) == "Reno"


def test_an_answer_may_omit_a_record(zoho):
    zoho.standin.faults.add(method="PUT", omit=0)

    rows = move(zoho).json()["data"]

    assert [row["details"]["id"] for row in rows] == [zoho.leads()[1]]
    assert city(zoho) == "Reno"


def statuses(zoho, calls):
    return [zoho.get("/org").status for _ in range(calls)]


def test_nth_call_every_kth_call_and_times(zoho):
    zoho.standin.faults.add(path="/org", nth=2, status=500)
    assert statuses(zoho, 4) == [200, 500, 200, 200]

    zoho.standin.faults.clear()
    zoho.standin.faults.add(path="/org", every=2, times=2, status=500)
    assert statuses(zoho, 8) == [200, 500, 200, 500, 200, 200, 200, 200]


def test_probability_repeats_with_the_seed():
    def run():
        zoho = Caller(Standin(leads=10, seed=5))
        zoho.standin.faults.add(path="/org", probability=0.5, status=500)
        return statuses(zoho, 30)

    assert run() == run()
    assert set(run()) == {200, 500}


def test_delay_is_slept_without_the_lock(zoho):
    slept = []
    zoho.standin._sleep = lambda seconds: slept.append((seconds, zoho.standin.lock._is_owned()))
    zoho.standin.latency_ms = 20
    zoho.standin.faults.add(path="/org", delay_s=1.5)

    zoho.get("/org")

    assert slept == [(0.02, False), (1.5, False)]


def test_token_calls_can_fail_too(zoho):
    zoho.standin.faults.add(path="/oauth/v2/token", status=500, times=1)

    assert zoho.post_form("/token", grant_type="refresh_token").status == 500


def test_a_script_is_read_from_a_file(zoho, tmp_path):
    script = tmp_path / "faults.json"
    script.write_text(json.dumps({"seed": 3, "rules": [{"path": "/org", "status": 500}]}))

    zoho.standin.faults.load(script)

    assert statuses(zoho, 1) == [500]


def test_a_rule_with_a_wrong_word_is_refused(zoho):
    with pytest.raises(ValueError, match="before"):
        zoho.standin.faults.add(drop="sometimes")
    with pytest.raises(TypeError):
        zoho.standin.faults.add(statsu=500)


class WorkerDied(BaseException):
    pass


@pytest.mark.parametrize(("hook", "expected"), [("before_effect", False), ("after_effect", True)])
def test_hooks_stand_around_the_effect(zoho, hook, expected):
    def die(number, request):
        if request.method == "PUT":
            raise WorkerDied

    setattr(zoho.standin, hook, die)

    with pytest.raises(WorkerDied):
        move(zoho)

    assert (city(zoho) == "Reno") is expected
    assert zoho.standin.zoho.limits.slots.taken == 0


def test_the_journal_names_the_fault(zoho):
    zoho.standin.faults.add(method="PUT", drop="after", times=1)
    with pytest.raises(ConnectionDropped):
        move(zoho)
    move(zoho)

    lost, answered = list(zoho.standin.counters.journal)[-2:]
    assert (lost.status, lost.records, lost.fault) == (None, 2, "drop after")
    assert (answered.status, answered.records, answered.fault) == (200, 2, "")
