"""The supervisor's decisions, with a child that is none; real processes are the matter of the flows."""

from __future__ import annotations

import datetime as dt
import signal
import subprocess
import time
from typing import Any

import pytest
from django.db import DatabaseError
from django.utils import timezone
from django_q.models import OrmQ
from django_q.tasks import async_task

from portal import runs, schedules, supervisor
from portal.models import Run, Worker

pytestmark = pytest.mark.django_db


class Child:
    """Stands for the cluster's process: `returncode` None while it lives."""

    pid = 4_000_000

    def __init__(self) -> None:
        self.returncode: int | None = None
        self.terminated = 0
        self.hangs = False

    def poll(self) -> int | None:
        return self.returncode

    def terminate(self) -> None:
        self.terminated += 1

    def wait(self, seconds: float | None = None) -> int:
        if self.hangs and seconds is not None:
            self.hangs = False
            raise subprocess.TimeoutExpired("cluster", seconds)
        return 0


@pytest.fixture
def killed(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    sent: list[tuple[int, int]] = []
    monkeypatch.setattr(supervisor.os, "killpg", lambda group, number: sent.append((group, number)))
    return sent


@pytest.fixture
def boss(monkeypatch: pytest.MonkeyPatch, killed: Any) -> supervisor.Supervisor:
    """A supervisor whose first cluster has just started; its clock is the machine's."""
    started: list[Child] = []

    def popen(command: list[str], **options: Any) -> Child:
        assert command[-2:] == ["worker", "--cluster"]
        assert options["start_new_session"] is True
        assert options["env"]["WORKER_GROUP"]
        started.append(Child())
        return started[-1]

    monkeypatch.setattr(supervisor.subprocess, "Popen", popen)
    monkeypatch.setattr(supervisor.db.connections, "close_all", lambda: None)
    boss = supervisor.Supervisor()
    boss._next_sweep = boss._next_ping = boss._next_hour = float("inf")
    boss.started = started
    Worker.objects.create(name=boss.name)
    boss._start("")
    return boss


def worker(boss: supervisor.Supervisor) -> Worker:
    return Worker.objects.get(name=boss.name)


def silent_for(boss: supervisor.Supervisor, seconds: float) -> None:
    Worker.objects.filter(name=boss.name).update(heartbeat_at=timezone.now() - dt.timedelta(seconds=seconds))


# --- the death of the cluster -------------------------------------------------------------------------------------------


def test_a_cluster_that_ended_is_started_again_with_its_whole_group(boss: Any, killed: Any) -> None:
    boss.child.returncode = -9
    boss._beat()
    assert len(boss.started) == 2
    assert killed == [(Child.pid, signal.SIGKILL)]
    assert (worker(boss).restarts, worker(boss).last_restart_reason) == (1, "the cluster ended with exit code -9")


def test_what_the_dead_cluster_held_goes_on_at_once(boss: Any) -> None:
    later = timezone.now() + dt.timedelta(minutes=1)
    values = {"kind": "crm.bulk_update", "title": "x", "state": Run.State.RUNNING, "lease_until": later}
    mine = Run.objects.create(lease_owner=f"{boss.name}:abc", **values)
    other = Run.objects.create(lease_owner="elsewhere:1:abc", **values)
    async_task("portal.runs.wake", mine.pk, group=f"run-{mine.pk}")
    OrmQ.objects.update(lock=later)

    boss.child.returncode = 1
    boss._beat()
    assert OrmQ.objects.filter(lock__gt=timezone.now()).count() == 0
    assert runs.claim(mine.pk) is not None
    assert runs.claim(other.pk) is None


def test_tasks_that_a_living_cluster_elsewhere_may_hold_stay_locked(boss: Any) -> None:
    async_task("portal.supervisor.ping")
    OrmQ.objects.update(lock=timezone.now() + dt.timedelta(minutes=1))
    Worker.objects.create(name="elsewhere:1")
    boss.child.returncode = 1
    boss._beat()
    assert OrmQ.objects.filter(lock__gt=timezone.now()).count() == 1


# --- the sign of life ---------------------------------------------------------------------------------------------------


def test_one_ping_is_sent_at_a_time(boss: Any) -> None:
    silent_for(boss, 4)
    for _ in range(3):
        boss._ping()
    assert [task.group() for task in OrmQ.objects.all()] == ["ping"]


def test_work_that_comes_through_is_sign_enough(boss: Any) -> None:
    boss._ping()
    assert not OrmQ.objects.exists()


def test_a_cluster_through_which_nothing_comes_is_restarted_but_not_while_it_starts(boss: Any) -> None:
    silent_for(boss, supervisor.FROZEN_SECONDS + 5)
    boss._ping()
    assert len(boss.started) == 1, "it has only just been started"
    boss._started = time.monotonic() - supervisor.FROZEN_SECONDS - 1
    boss._ping()
    assert len(boss.started) == 2
    assert "no task came through" in worker(boss).last_restart_reason


def test_a_task_that_came_through_renews_the_sign_of_life_of_its_own_group(boss: Any, settings: Any) -> None:
    silent_for(boss, 100)
    settings.WORKER_GROUP = ""
    supervisor.passed_through(sender=None)
    assert timezone.now() - worker(boss).heartbeat_at > dt.timedelta(seconds=90)
    settings.WORKER_GROUP = boss.group
    supervisor.passed_through(sender=None)
    assert timezone.now() - worker(boss).heartbeat_at < dt.timedelta(seconds=10)


# --- the alarm clock ----------------------------------------------------------------------------------------------------


def test_the_sweep_and_the_schedules_are_asked_every_other_second(boss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(runs, "sweep", lambda: asked.append("sweep"))
    monkeypatch.setattr(schedules, "fire_due", lambda: asked.append("schedules"))
    boss._next_sweep = 0.0
    for _ in range(3):
        boss._beat()
    assert sorted(asked) == ["schedules", "sweep"]


def test_a_database_that_is_away_for_a_moment_does_not_end_the_supervisor(
    boss: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away() -> None:
        raise DatabaseError("away")

    naps: list[float] = []
    monkeypatch.setattr(runs, "sweep", away)
    monkeypatch.setattr(supervisor.time, "sleep", naps.append)
    boss._next_sweep = 0.0
    boss._beat()
    assert naps == [1]
    assert len(boss.started) == 1


# --- the end ------------------------------------------------------------------------------------------------------------


def test_stopping_asks_the_main_process_and_then_ends_what_is_left(boss: Any, killed: Any) -> None:
    boss._end_child()
    assert boss.child.terminated == 1
    assert killed == [(Child.pid, signal.SIGKILL)]


def test_a_cluster_that_does_not_stop_is_killed(boss: Any, killed: Any, caplog: pytest.LogCaptureFixture) -> None:
    boss.child.hangs = True
    boss._end_child()
    assert killed == [(Child.pid, signal.SIGKILL)]
    assert "did not stop" in caplog.text


def test_a_supervisor_that_is_stopped_leaves_no_trace(boss: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor.signal, "signal", lambda number, handler: None)
    monkeypatch.setattr(boss, "_beat", lambda: boss._stop(signal.SIGTERM, None))
    monkeypatch.setattr(supervisor.time, "sleep", lambda seconds: None)
    boss.run()
    assert not Worker.objects.filter(name=boss.name).exists()
    assert boss.child.terminated == 1


@pytest.mark.parametrize(("code", "kills"), [(0, 0), (None, 0), (-9, 1), (1, 1)])
def test_a_process_of_the_cluster_that_died_takes_the_group_along(
    code: int | None, kills: int, killed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor.cluster.Sentinel, "reincarnate", lambda self, process: None)
    sentinel = supervisor.StrictSentinel.__new__(supervisor.StrictSentinel)
    process = type("Process", (), {"exitcode": code})()
    sentinel.reincarnate(process)
    assert len(killed) == kills
