"""Several workers at once on the calls of one account: leads are made once, turns are taken once, limits are kept.

Threads stand for workers where two acts must meet at one moment; real processes where a whole run is worked.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from portal import connections, runs, schedules
from portal.models import Connection, RateBucket, Run, Schedule
from portal.standin import Request, Standin, StandinServer
from telephony import call_sync, directory
from telephony.assignment import decide_owner
from telephony.models import (
    AssignmentDecision,
    AssignmentRules,
    Call,
    CallSettings,
    Extension,
    LeadOwner,
    Office,
    Rotation,
)  # fmt: skip
from telephony.ringcentral.client import RingCentralClient
from tests.flows.conftest import end, wait_until_gone
from tests.flows.test_call_crash import GROUPS, Workers
from tests.telephony.scenario_set import end_of, expected_end, make_room, open_office, play

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

SHARED = [f"+1215555{place:04}" for place in range(12)]


@pytest.fixture(scope="module")
def workers(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Workers]]:
    """Three worker groups, each of which has one process at a time here."""
    made = [Workers(tmp_path_factory.mktemp("var"), f"call-storm-{name}") for name in "abc"]
    yield made
    for each in made:
        end(each.parent)


@pytest.fixture
def standin() -> Standin:
    return Standin(leads=60)


@pytest.fixture(autouse=True)
def room(standin: Standin, settings: Any) -> None:
    make_room(standin)
    for name in GROUPS:
        setattr(settings, f"RINGCENTRAL_{name}_PER_MINUTE", 500)


@pytest.fixture
def two_offices(standin: Standin, zoho: Connection, ringcentral: Connection) -> list[Office]:
    """East with extension 101, west with 103, and one owner list each."""
    offices = [open_office(standin), Office.objects.create(slug="west", name="West", order=2, zone="America/Denver")]
    AssignmentRules.objects.create(office=offices[1], answering_first=False)
    for place, user_id in enumerate(sorted(standin.zoho.org.users)[2:4], 1):
        LeadOwner.objects.create(office=offices[1], zoho_id=user_id, name=f"Owner {place}", position=place)
    with RingCentralClient(connections.session_for(ringcentral, purpose="run")) as client:
        directory.sync_extensions(client, ringcentral)
    for office, number in zip(offices, ("101", "103"), strict=True):
        Extension.objects.filter(number=number).update(office=office)
    CallSettings.objects.update(parallel_offices=True)
    return offices


def at_once(*acts: Callable[[], Any]) -> list[Any]:
    """Does all acts at the same moment, each in a thread with its own connection; exceptions are results."""
    gate = threading.Barrier(len(acts))

    def one(act: Callable[[], Any]) -> Any:
        try:
            gate.wait(10)
            return act()
        except Exception as error:
            return error
        finally:
            connection.close()

    with ThreadPoolExecutor(len(acts)) as pool:
        return list(pool.map(one, acts))


def leads_by_number(standin: Standin) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for record_id in standin.ids("Leads"):
        phone = (standin.record("Leads", record_id) or {}).get("Phone") or ""
        found.setdefault(phone, []).append(record_id)
    return found


def share_callers(standin: Standin) -> None:
    """Each of the callers is new and calls both offices within minutes."""
    begin = timezone.now().replace(microsecond=0) - dt.timedelta(hours=5)
    for place, number in enumerate(SHARED):
        at = begin + dt.timedelta(minutes=place)
        standin.ringcentral.script.accepted(at, caller=number, agent="101", recorded=True)
        standin.ringcentral.script.missed(at + dt.timedelta(seconds=200), caller=number, agent="103")


def assert_each_caller_is_one_lead(standin: Standin) -> None:
    by_number = leads_by_number(standin)
    assert [len(by_number.get(number, [])) for number in SHARED] == [1] * len(SHARED)
    for number in SHARED:
        (lead,) = by_number[number]
        assert len(standin.notes_of("Leads", lead)) == 2
        assert len(standin.files_of("Leads", lead)) == 1
        assert (standin.record("Leads", lead) or {})["Lead_Status"] == "Missed Call"
    decisions = AssignmentDecision.objects.filter(call__number__in=SHARED)
    assert decisions.count() == len(SHARED)
    assert sum(Rotation.objects.values_list("turns", flat=True)) == len(SHARED)
    for office in Office.objects.all():
        turns = [each.rotation["turn"] for each in decisions.filter(office=office).order_by("pk")]
        assert sorted(turns) == list(range(1, len(turns) + 1)), "a turn was skipped or taken twice"


def make_them_meet(standin: Standin) -> None:
    """The first leads are held on their way until the other run has looked for the callers, and had time to make its own."""
    first, has_looked, other = threading.Lock(), threading.Event(), threading.Event()

    def hold(call: int, request: Request) -> None:
        if request.path.endswith("/coql") and first.locked():
            has_looked.set()
        if request.method == "POST" and request.path.endswith("/Leads"):
            if first.acquire(blocking=False):
                assert has_looked.wait(20), "the runs did not meet"
                other.wait(1)
            else:
                other.set()

    standin.before_effect = hold


# --- two runs at once -------------------------------------------------------------------------------------------------


def test_two_threads_on_two_offices_with_the_same_new_callers_make_one_lead_each(
    zoho: Connection, standin: Standin, two_offices: list[Office]
) -> None:
    share_callers(standin)
    make_them_meet(standin)
    started = [call_sync.start(offices=[office]) for office in two_offices]
    results = at_once(*(lambda run=run: runs.run_here(run.pk) for run in started))
    assert [run.state for run in results] == [Run.State.FINISHED] * 2, [run.error for run in results]
    assert_each_caller_is_one_lead(standin)


def test_two_processes_on_two_offices_with_the_same_new_callers_make_one_lead_each(
    zoho: Connection, standin: Standin, two_offices: list[Office], workers: list[Workers]
) -> None:
    share_callers(standin)
    make_them_meet(standin)
    started = [call_sync.start(offices=[office]) for office in two_offices]
    processes = [worker.start(run) for worker, run in zip(workers, started, strict=False)]
    assert [worker.exit_code(process) for worker, process in zip(workers, processes, strict=False)] == [0, 0]
    assert {Run.objects.get(pk=run.pk).state for run in started} == {Run.State.FINISHED}
    assert_each_caller_is_one_lead(standin)


def test_three_processes_on_one_run_work_it_once(
    zoho: Connection, ringcentral: Connection, standin: Standin, workers: list[Workers]
) -> None:
    office, day = open_office(standin), play(standin)
    run = call_sync.start(offices=[office])
    processes = [worker.start(run) for worker in workers]
    assert [worker.exit_code(process) for worker, process in zip(workers, processes, strict=True)] == [0, 0, 0]
    assert Run.objects.get(pk=run.pk).state == Run.State.FINISHED
    assert end_of(standin, day) == expected_end(day)


@pytest.mark.parametrize("seed", range(3))
def test_processes_that_are_killed_at_random_times_come_to_the_same_end(
    seed: int,
    zoho: Connection,
    ringcentral: Connection,
    standin: Standin,
    standin_server: StandinServer,
    workers: list[Workers],
    work: Callable[[Run], Run],
) -> None:
    """SIGKILL after a random time, again and again, with a vendor that takes its time."""
    office, day = open_office(standin), play(standin)
    standin.latency_ms = 20
    run, dice = call_sync.start(offices=[office]), random.Random(seed)
    for _ in range(6):
        before = standin_server.clients()
        process = workers[0].start(run)
        timer = threading.Timer(dice.uniform(0.1, 1.2), os.kill, (process, signal.SIGKILL))
        timer.start()
        code = workers[0].exit_code(process)
        timer.cancel()
        wait_until_gone(standin_server, before)
        workers[0].release()
        if code == 0:
            break
    standin.latency_ms = 0
    assert work(Run.objects.get(pk=run.pk)).state == Run.State.FINISHED
    assert end_of(standin, day) == expected_end(day)


# --- two starts at once -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("turn", range(4))
def test_of_two_starts_of_one_office_one_is_refused_and_names_the_other(
    turn: int, zoho: Connection, ringcentral: Connection, standin: Standin
) -> None:
    office = open_office(standin)
    results = at_once(*[lambda: call_sync.start(offices=[office])] * 4)
    (run,) = Run.objects.all()
    refused = [each for each in results if isinstance(each, call_sync.Refused)]
    assert [each for each in results if isinstance(each, Run)] == [run]
    assert [each.run for each in refused] == [run] * 3


@pytest.mark.parametrize("turn", range(4))
def test_of_a_schedule_and_a_person_at_one_moment_one_starts_the_run(
    turn: int, zoho: Connection, ringcentral: Connection, standin: Standin, person: Callable[..., User]
) -> None:
    office, operator = open_office(standin), person("Operator")
    schedule = schedules.create(
        name="Calls", kind=call_sync.KIND, connection=ringcentral, cron="* * * * *", zone="UTC",
        missed=Schedule.Missed.ONCE, parameters={}, user=operator,
    )  # fmt: skip
    Schedule.objects.filter(pk=schedule.pk).update(next_at=timezone.now())
    at_once(lambda: call_sync.start(offices=[office]), schedules.fire_due, schedules.fire_due)
    (run,) = Run.objects.all()
    office.refresh_from_db()
    assert office.sync_run == run


# --- turns ------------------------------------------------------------------------------------------------------------


def test_workers_that_assign_at_once_skip_no_turn_and_take_none_twice(
    zoho: Connection, ringcentral: Connection, standin: Standin
) -> None:
    """T-N02."""
    office = open_office(standin)
    calls = [
        Call.objects.create(
            connection=ringcentral, key=f"s-{place}", office=office, direction="inbound", outcome="accepted",
            outcome_reason="", started_at=timezone.now(), digest="",
        )
        for place in range(16)
    ]  # fmt: skip
    for some in (calls[:4], calls[4:8], calls[8:12], calls[12:]):
        at_once(*(lambda call=call: decide_owner(call, office) for call in some))
    decisions = AssignmentDecision.objects.filter(office=office)
    owners = list(decisions.values_list("owner_id", flat=True))
    assert sorted(each.rotation["turn"] for each in decisions) == list(range(1, 17))
    assert {owner: owners.count(owner) for owner in owners} == dict.fromkeys(set(owners), 8)
    again = at_once(*(lambda call=call: decide_owner(call, office) for call in calls[:4]))
    assert {each.owner_id for each in again} <= set(owners)
    assert Rotation.objects.get(office=office, department="").turns == 16


# --- limits -----------------------------------------------------------------------------------------------------------


def test_two_runs_that_share_a_small_bucket_send_nothing_into_a_penalty(
    zoho: Connection, ringcentral: Connection, standin: Standin, two_offices: list[Office]
) -> None:
    """Four recordings in a second for both runs together; the wait is real and the vendor's own."""
    vendor = standin.ringcentral.settings
    vendor.heavy_limit, vendor.window_s, vendor.penalty_s = 4, 1, 1
    RateBucket.objects.create(key=ringcentral.limit_key, bucket="heavy", limit=4, window_s=1)
    begin = timezone.now().replace(microsecond=0) - dt.timedelta(hours=5)
    for place in range(10):
        at = begin + dt.timedelta(minutes=place)
        caller, agent = SHARED[place], ("101", "103")[place % 2]
        standin.ringcentral.script.accepted(at, caller=caller, agent=agent, recorded=True)
    started = [call_sync.start(offices=[office]) for office in two_offices]
    results = at_once(*(lambda run=run: runs.run_here(run.pk) for run in started))
    assert [run.state for run in results] == [Run.State.FINISHED] * 2, [run.error for run in results]
    by_number = leads_by_number(standin)
    assert [len(standin.files_of("Leads", by_number[number][0])) for number in SHARED[:10]] == [1] * 10
    assert standin.counters.penalty_violations == 0
    assert standin.counters.rejected["ringcentral heavy"] == 0
