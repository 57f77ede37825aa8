from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from threading import Barrier, Event

import pytest

from portal.standin import Standin
from tests.standin.caller import Caller


@pytest.fixture
def zoho():
    standin = Standin(leads=500)
    standin.clock.freeze(datetime(2026, 11, 2, 12, tzinfo=UTC))
    return Caller(standin)


def held(zoho, calls, probe):
    """What `probe` gives while every one of the calls is in flight."""
    arrived, release = Barrier(len(calls) + 1), Event()

    def hold(number, request):
        if request.headers.get("x-held"):
            arrived.wait(10)
            release.wait(10)

    zoho.standin.before_effect = hold
    with ThreadPoolExecutor(len(calls)) as pool:
        futures = [pool.submit(call) for call in calls]
        arrived.wait(10)
        try:
            return probe()
        finally:
            release.set()
            assert {future.result().status for future in futures} <= {200, 204}


def light(zoho):
    return zoho.get("/org", headers={"X-Held": "1"})


def heavy(zoho):
    return zoho.send("POST", "/coql", {"select_query": "select id from Leads where id is null"}, {"X-Held": "1"})


def test_the_twenty_first_call_in_flight_is_refused(zoho):
    reply = held(zoho, [lambda: light(zoho)] * 20, lambda: zoho.get("/org"))

    assert (reply.status, zoho.code(reply)) == (429, "TOO_MANY_REQUESTS")
    assert zoho.get("/org").status == 200
    assert zoho.standin.counters.rejected == {"zoho concurrency": 1}
    assert zoho.standin.zoho.limits.slots.most == 20


def test_heavy_calls_have_ten_slots_and_light_ones_the_rest(zoho):
    ids = zoho.leads()[:11]

    def probe():
        return (
            zoho.put(*({"id": record_id, "City": "Reno"} for record_id in ids)).status,
            zoho.put(*({"id": record_id, "City": "Reno"} for record_id in ids[:10])).status,
            zoho.get("/Leads", fields="id", cvid="5725767000000801001").status,
            zoho.get("/Leads", fields="id").status,
        )

    assert held(zoho, [lambda: heavy(zoho)] * 10, probe) == (429, 200, 429, 200)


def test_width_can_be_set(zoho):
    zoho.standin.zoho.settings.concurrency = 1

    assert held(zoho, [lambda: light(zoho)], lambda: zoho.get("/org")).status == 429


@pytest.mark.parametrize(("records", "price"), [(1, 1), (10, 1), (11, 2), (100, 10)])
def test_an_update_costs_a_credit_for_ten_records(zoho, records, price):
    before = zoho.standin.counters.credits_used

    zoho.put(*({"id": record_id, "City": "Reno"} for record_id in zoho.leads()[:records]))

    assert zoho.standin.counters.credits_used - before == price


def test_a_list_by_view_costs_three_credits_and_a_plain_one_one(zoho):
    before = zoho.standin.counters.credits_used
    zoho.get("/Leads", fields="id", cvid="5725767000000801001")
    zoho.get("/Leads", fields="id")

    assert zoho.standin.counters.credits_used - before == 4


def test_remaining_credits_are_told_from_half_used_on_and_429_follows(zoho):
    zoho.standin.zoho.settings.daily_credits = 4

    headers = [zoho.get("/org").headers.get("X-API-CREDITS-REMAINING") for _ in range(4)]
    refused = zoho.get("/org")

    assert headers == [None, "2", "1", "0"]
    assert (refused.status, zoho.code(refused)) == (429, "TOO_MANY_REQUESTS")


def test_credits_come_back_a_day_after_they_were_spent(zoho):
    zoho.standin.zoho.settings.daily_credits = 1
    zoho.get("/org")
    assert zoho.get("/org").status == 429

    zoho.standin.clock.advance(86_401)
    code = zoho.standin.zoho.tokens.mint_code()
    zoho.token = zoho.ask_token(grant_type="authorization_code", code=code)["access_token"]

    assert zoho.get("/org").status == 200


def test_calls_without_a_valid_token_cost_nothing(zoho):
    zoho.token = "expired"
    zoho.get("/org")

    assert zoho.standin.counters.credits_used == 0


def test_parallel_updates_lose_nothing(zoho):
    ids = zoho.leads()[:400]
    batches = [ids[start : start + 50] for start in range(0, 400, 50)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda batch: zoho.put(*({"id": one, "City": "Reno"} for one in batch)), batches))

    assert {zoho.standin.record("Leads", one)["City"] for one in ids} == {"Reno"}
    totals = zoho.standin.counters.writes_of("Leads")
    assert (totals["records"], totals["effective"], totals["effective_more_than_once"]) == (400, 400, [])
    assert zoho.standin.counters.in_flight == 0
