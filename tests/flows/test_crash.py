"""The worker dies at each call of a run, before or after the call took effect, and the end is the same."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Callable

import pytest

from crm import bulk_update
from crm.selection import parse
from portal import runs
from portal.models import AccessToken, Connection, Run, RunItem
from portal.standin import ConnectionDropped, Request, Standin, StandinServer
from tests.crm.test_bulk_update import plain_leads
from tests.flows.conftest import wait_until_gone

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

GROUP = "crash-test"
# Token, five reads, three writes: the calls of an undisturbed run, and one more that never comes.
CALLS = 10


@pytest.fixture
def standin() -> Standin:
    return Standin(leads=600)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, CALLS + 1))
def test_a_worker_killed_at_this_call_loses_and_doubles_nothing(
    number: int,
    moment: str,
    zoho: Connection,
    standin: Standin,
    standin_server: StandinServer,
    manage: Callable[..., subprocess.Popen[str]],
    work: Callable[[Run], Run],
) -> None:
    leads = plain_leads(standin, 250)
    run = bulk_update.start(
        connection=zoho,
        module="Leads",
        source={"type": "ids"},
        selection=parse("\n".join(leads)),
        change={"field": "Lead_Status", "value": "Junk Lead", "automation": True},
        confirmed=True,
    )
    AccessToken.objects.all().delete()
    first, before = standin.counters.total_calls, standin_server.clients()
    process = manage("work_run", str(run.pk), WORKER_GROUP=GROUP)

    def kill(call: int, request: Request) -> None:
        if call == first + number:
            process.kill()
            if moment == "before":
                raise ConnectionDropped("the caller died while it was sending")

    setattr(standin, f"{moment}_effect", kill)
    process.communicate(timeout=60)
    wait_until_gone(standin_server, before)
    standin.before_effect = standin.after_effect = None
    was_killed = process.returncode == -9
    runs.release_leases(f"{socket.gethostname()}:{GROUP}")
    run = work(run)

    assert was_killed is (number < CALLS), "the run made another number of calls than this test thinks"
    assert run.state == Run.State.FINISHED, list(run.events.values_list("message", flat=True))
    assert (run.planned, run.ok) == (250, 250)
    assert not run.items.exclude(state=RunItem.State.OK).exists()
    for record_id in leads:
        record, writes = standin.record("Leads", record_id), standin.writes("Leads", record_id)
        assert record is not None
        assert record["Lead_Status"] == "Junk Lead"
        assert (writes.effective, writes.workflows) == (1, 1)
