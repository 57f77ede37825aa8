"""A killer ends a random process of the worker's group again and again; the run finishes by itself."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable

import environ
import psutil
import pytest

from crm import bulk_update
from crm.selection import parse
from portal.models import Connection, Run, RunItem
from portal.standin import Standin
from tests.crm.test_bulk_update import plain_leads

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

STORM_SECONDS = environ.Env().float("KILL_STORM_SECONDS", default=20.0)
LEADS = 2500


@pytest.fixture
def standin() -> Standin:
    return Standin(leads=4000, latency_ms=250)


def test_a_run_survives_random_kills_of_its_worker(
    zoho: Connection, standin: Standin, manage: Callable[..., subprocess.Popen[str]]
) -> None:
    leads = plain_leads(standin, LEADS)
    supervisor = psutil.Process(manage("worker").pid)
    run = start(zoho, leads)
    dice = random.Random(7)
    kills = 0
    storm_ends = time.monotonic() + STORM_SECONDS
    while time.monotonic() < storm_ends:
        time.sleep(dice.uniform(1.0, 2.0))
        kills += kill_one(supervisor, dice)
        if not Run.objects.get(pk=run.pk).is_open:
            assert_all_is_right(run, standin, leads)
            leads = leads[::-1]
            run = start(zoho, leads, value="On Hold" if run.parameters["value"] == "Junk Lead" else "Junk Lead")
    assert kills >= STORM_SECONDS / 4, "the storm was none"
    wait_for_the_end(run)
    assert_all_is_right(run, standin, leads)


def start(zoho: Connection, leads: list[str], value: str = "Junk Lead") -> Run:
    return bulk_update.start(
        connection=zoho,
        module="Leads",
        source={"type": "ids"},
        selection=parse("\n".join(leads)),
        change={"field": "Lead_Status", "value": value, "automation": True},
        confirmed=True,
    )


def kill_one(supervisor: psutil.Process, dice: random.Random) -> int:
    """Kills one process of the cluster: its main process, the sentinel, a worker, the monitor or the pusher."""
    family = supervisor.children(recursive=True)
    if not family:
        return 0
    try:
        dice.choice(family).kill()
    except psutil.NoSuchProcess:
        return 0
    return 1


def wait_for_the_end(run: Run, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while Run.objects.get(pk=run.pk).is_open:
        assert time.monotonic() < deadline, f"{run} is still {Run.objects.get(pk=run.pk).state}"
        time.sleep(0.5)


def assert_all_is_right(run: Run, standin: Standin, leads: list[str]) -> None:
    run.refresh_from_db()
    assert run.state == Run.State.FINISHED, list(run.events.values_list("message", flat=True))
    assert (run.planned, run.ok) == (len(leads), len(leads))
    assert not run.items.exclude(state=RunItem.State.OK).exists()
    runs = Run.objects.filter(state=Run.State.FINISHED).count()
    for record_id in leads:
        record, writes = standin.record("Leads", record_id), standin.writes("Leads", record_id)
        assert record is not None
        assert record["Lead_Status"] == run.parameters["value"]
        assert (writes.effective, writes.workflows) == (runs, runs), (
            f"{record_id} was written more often than once a run"
        )
