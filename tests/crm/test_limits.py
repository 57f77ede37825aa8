"""What a bulk update does about Zoho's limits: credits, concurrency, rate limits, the shared token."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import connections as database

from crm import bulk_update, metadata, queries
from portal import runs
from portal.models import ApiUsage, Connection, Run
from portal.standin import Standin
from tests.crm.test_bulk_update import outcome, plain_leads, plan

Work = Callable[[Run], Run]


@pytest.fixture
def leads(standin: Standin) -> list[str]:
    return plain_leads(standin, 350)


def test_a_run_whose_credits_are_spent_waits_and_goes_on_when_there_are_more(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, leads[:300], confirmed=False))
    used = standin.zoho.credits.used
    standin.zoho.settings.daily_credits = used + 12
    assert bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    runs.wake(run.pk)
    run.refresh_from_db()

    assert (run.state, run.wait) == (Run.State.WAITING, Run.Wait.CREDITS), run.wait_detail
    assert run.not_before is not None, "the page says until when"
    assert outcome(run)["failed"] == 0
    standin.zoho.settings.daily_credits = 60_000
    database["default"].cursor().execute("update portal_remotestate set pause_until = null")
    assert outcome(work(run))["ok"] == 300


def test_runs_leave_the_reserve_to_people_and_other_programs(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    Connection.objects.filter(pk=zoho.pk).update(daily_credits=40, concurrency=1)
    run = plan(zoho, leads[:300])
    for _ in range(5):
        runs.wake(run.pk)
    run.refresh_from_db()
    assert (run.state, run.wait) == (Run.State.WAITING, Run.Wait.CREDITS)
    assert sum(ApiUsage.objects.values_list("credits", flat=True)) <= 32
    assert metadata.views(zoho, "Leads"), "people still can look"


def test_the_estimate_is_what_the_writing_costs(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, leads[:347], confirmed=False))
    estimate = queries.cost_of(run, 347)
    before = standin.zoho.credits.used
    bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    work(run)
    assert standin.zoho.credits.used - before == estimate.credits == 35
    assert estimate.calls == 4


def test_a_rate_limit_in_the_middle_is_waited_out_and_fails_nothing(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    standin.faults.add(path="/crm/v8/Leads", every=3, status=429, headers={"Retry-After": "0"}, times=10)
    assert outcome(work(plan(zoho, leads)))["ok"] == 350


def test_a_long_retry_after_frees_the_worker_and_is_kept(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, leads[:200], confirmed=False))
    standin.faults.add(method="PUT", times=1, status=429, headers={"Retry-After": "120"})
    bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    runs.wake(run.pk)
    run.refresh_from_db()
    assert (run.state, run.wait) == (Run.State.WAITING, Run.Wait.RATE_LIMIT)
    assert run.not_before is not None
    assert (run.not_before - run.heartbeat_at).total_seconds() > 100


@pytest.mark.django_db(transaction=True)
def test_two_runs_at_once_share_the_slots_of_the_connection(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    standin.latency_ms = 20
    Connection.objects.filter(pk=zoho.pk).update(concurrency=4)
    both = [plan(zoho, leads[:175]), plan(zoho, leads[175:])]

    def finish(run: Run) -> Run:
        try:
            return work(run)
        finally:
            database.close_all()

    with ThreadPoolExecutor(2) as pool:
        ended = list(pool.map(finish, both))

    assert [run.ok for run in ended] == [175, 175]
    assert standin.counters.max_in_flight <= 4


@pytest.mark.django_db(transaction=True)
def test_ten_workers_that_meet_an_expired_token_refresh_it_once(zoho: Connection, standin: Standin) -> None:
    metadata.modules(zoho)
    requests = standin.counters.token_requests
    standin.clock.advance(3700)

    def look(_: int) -> int:
        try:
            return len(metadata.modules(zoho, reload=True))
        finally:
            database.close_all()

    with ThreadPoolExecutor(10) as pool:
        assert all(pool.map(look, range(10)))
    assert standin.counters.token_requests == requests + 1
