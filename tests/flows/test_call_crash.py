"""The worker dies at each call of a run of calls, before or after the call took effect, and the end is the same.

All deaths are real: a process of its own, reached over real sockets, is ended by SIGKILL.
"""

from __future__ import annotations

import datetime as dt
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Queue
from typing import Any

import pytest
from django.utils import timezone

from portal import runs
from portal.models import Connection, Run
from portal.standin import ConnectionDropped, Request, Standin, StandinServer
from telephony import call_sync
from telephony.models import CallStep, Rotation
from tests.flows.conftest import ROOT, database_url, end, wait_until_gone
from tests.telephony.scenario_set import end_of, expected_end, make_room, open_office, play

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

GROUP = "call-crash-test"
# The calls of an undisturbed run to both vendors, tokens and metadata included.
CALLS = 50
GROUPS = ("LIGHT", "MEDIUM", "HEAVY", "AUTH")


class Workers:
    """Worker processes on the test's database, started by a parent that has everything loaded."""

    def __init__(self, folder: Path, group: str) -> None:
        # RINGCENTRAL_…: what the vendor allows is set to what the stand-in does.
        room = {f"RINGCENTRAL_{name}_PER_MINUTE": "500" for name in GROUPS}
        self.group = group
        self.parent = subprocess.Popen(
            [sys.executable, "-m", "tests.flows.forked_worker"], cwd=ROOT, text=True, start_new_session=True,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            env=os.environ | room | {
                "DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "portal.settings", "WORKER_GROUP": group,
                "VAR_DIR": str(folder), "LOG_LEVEL": "ERROR", "RUN_SETTLE_SECONDS": "1", "REMOTE_BACKOFF_S": "0.05",
            },
        )  # fmt: skip
        assert self._answer() == "ready"

    def start(self, run: Run) -> int:
        """The process that works the run."""
        return int(self._ask(f"start {run.pk}"))

    def exit_code(self, process: int) -> int:
        """Waits for the process; negative is the signal that ended it."""
        return int(self._ask(f"end {process}"))

    def release(self) -> None:
        """As the supervisor does when the group has ended."""
        runs.release_leases(f"{socket.gethostname()}:{self.group}")

    def _ask(self, order: str) -> str:
        assert self.parent.stdin is not None
        self.parent.stdin.write(f"{order}\n")
        self.parent.stdin.flush()
        return self._answer()

    def _answer(self) -> str:
        assert self.parent.stdout is not None
        return self.parent.stdout.readline().strip()


@pytest.fixture(scope="module")
def workers(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Workers]:
    made = Workers(tmp_path_factory.mktemp("var"), GROUP)
    yield made
    end(made.parent)


@pytest.fixture
def standin() -> Standin:
    return Standin(leads=60)


@pytest.fixture(autouse=True)
def room(standin: Standin, settings: Any) -> None:
    make_room(standin)
    for name in GROUPS:
        setattr(settings, f"RINGCENTRAL_{name}_PER_MINUTE", 500)


class Death:
    """Ends a worker at the first call of these. What it has sent besides and what arrives after it takes no effect."""

    def __init__(self, server: StandinServer, concerns: Callable[[int, Request], bool], moment: str) -> None:
        self.server, self.standin = server, server.standin
        self.before = server.clients()
        self.concerns = concerns
        self.moment = moment
        self.struck = False
        self._lock = threading.Lock()
        self._process: Queue[int] = Queue()
        self.standin.before_effect, self.standin.after_effect = self._before, self._after

    def awaits(self, process: int) -> None:
        """The worker may be at its first call before it is known who it is."""
        self._process.put(process)

    def _before(self, call: int, request: Request) -> None:
        if self.moment == "before" and self.concerns(call, request):
            self._strike()
        if self.struck:
            raise ConnectionDropped("the caller died while it was sending")

    def _after(self, call: int, request: Request) -> None:
        if self.moment == "after" and self.concerns(call, request):
            self._strike()

    def _strike(self) -> None:
        """One of several calls at once kills, and the others find it done."""
        with self._lock:
            if not self.struck:
                os.kill(self._process.get(timeout=10), signal.SIGKILL)
                self.struck = True

    def is_over(self) -> None:
        """When the stand-in has nothing of the dead worker left in its hands, calls have their effect again."""
        wait_until_gone(self.server, self.before)
        self.standin.before_effect = self.standin.after_effect = None


def killed(workers: Workers, run: Run, death: Death) -> bool:
    """Lets a worker meet its death; whether it did. Its leases are over then, as the supervisor sees to."""
    process = workers.start(run)
    death.awaits(process)
    was_killed = workers.exit_code(process) == -signal.SIGKILL
    death.is_over()
    workers.release()
    return was_killed


def post(path: str) -> Callable[[int, Request], bool]:
    return lambda call, request: request.method == "POST" and request.path.endswith(path)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, CALLS + 2))
def test_a_worker_killed_at_this_call_loses_and_doubles_nothing(
    number: int,
    moment: str,
    zoho: Connection,
    ringcentral: Connection,
    standin: Standin,
    standin_server: StandinServer,
    workers: Workers,
    work: Callable[[Run], Run],
) -> None:
    office, day = open_office(standin), play(standin)
    run = call_sync.start(offices=[office])
    at = standin.counters.total_calls + number
    was_killed = killed(workers, run, Death(standin_server, lambda call, request: call == at, moment))
    run = work(run)

    assert was_killed is (number <= CALLS), "the run made another number of calls than this test thinks"
    assert run.state == Run.State.FINISHED, list(run.events.values_list("message", flat=True))
    assert (run.planned, run.ok, run.skipped) == (14, 11, 3)
    assert end_of(standin, day) == expected_end(day)
    assert Rotation.objects.get(office=office, department="").turns == 7


def test_a_worker_killed_between_the_lead_and_its_row_finds_the_lead_by_its_mark(
    zoho: Connection,
    ringcentral: Connection,
    standin: Standin,
    standin_server: StandinServer,
    workers: Workers,
    work: Callable[[Run], Run],
) -> None:
    """T-B01."""
    office, day = open_office(standin), play(standin)
    run = call_sync.start(offices=[office])
    assert killed(workers, run, Death(standin_server, post("/Leads"), "after"))
    assert set(CallStep.objects.values_list("kind", "state")) == {("lead", "sent")}
    assert work(run).state == Run.State.FINISHED
    assert set(CallStep.objects.filter(kind="lead", state="done").values_list("code", flat=True)) == {"FOUND"}
    assert end_of(standin, day) == expected_end(day)


def test_a_worker_killed_between_the_note_and_the_file_leaves_the_file_to_the_next_one(
    zoho: Connection,
    ringcentral: Connection,
    standin: Standin,
    standin_server: StandinServer,
    workers: Workers,
    work: Callable[[Run], Run],
) -> None:
    """T-B02."""
    office, day = open_office(standin), play(standin)
    run = call_sync.start(offices=[office])
    assert killed(workers, run, Death(standin_server, post("/Attachments"), "before"))
    before = end_of(standin, day).totals
    assert (before["Notes"], before["Attachments"]) == (11, 0)
    assert work(run).state == Run.State.FINISHED
    assert end_of(standin, day) == expected_end(day)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("path", ["/Leads", "/Notes"])
def test_a_worker_killed_in_a_batch_of_a_hundred_is_followed_record_by_record(
    path: str,
    moment: str,
    zoho: Connection,
    ringcentral: Connection,
    standin: Standin,
    standin_server: StandinServer,
    workers: Workers,
    work: Callable[[Run], Run],
) -> None:
    """T-B12."""
    office = open_office(standin)
    before = len(standin.ids("Leads"))
    standin.ringcentral.script.many(timezone.now() - dt.timedelta(hours=5), count=120)
    run = call_sync.start(offices=[office])
    assert killed(workers, run, Death(standin_server, post(path), moment))
    run = work(run)
    assert (run.state, run.ok) == (Run.State.FINISHED, 120)
    leads = standin.ids("Leads")[before:]
    assert len(leads) == 120
    assert {len(standin.notes_of("Leads", lead)) for lead in leads} == {1}
    assert Rotation.objects.get(office=office, department="").turns == 120
