"""The supervisor around the task queue's cluster.

A bare cluster freezes for good when an idle worker is killed while it holds the queue's lock, and leaves orphans that
keep taking tasks when its main process is killed. So the cluster runs in a process group of its own, any unnatural
death in it ends the whole group, and the group is started again. The rows of the runs make that safe.
"""

import datetime as dt
import logging
import os
import signal
import socket
import subprocess
import sys
import time
from types import FrameType
from typing import Any

from django import db
from django.conf import settings
from django.utils import timezone
from django_q import cluster
from django_q.models import OrmQ
from django_q.tasks import async_task

from portal import connections, hourly, runs, schedules
from portal.models import Worker
from portal.processes import die_with_parent

logger = logging.getLogger(__name__)

PING_SECONDS = 5.0
SWEEP_SECONDS = 2.0
HOUR_SECONDS = 3600.0
# Longer than the queue's own time-out of a task, which is the first net.
FROZEN_SECONDS = settings.Q_CLUSTER["timeout"] + 20
STOP_SECONDS = 60.0
ALIVE_SECONDS = 30


# --- inside the cluster -----------------------------------------------------------------------------------------------


class StrictSentinel(cluster.Sentinel):
    """Ends the whole group when one of its processes was killed: a lock it held would never be released."""

    def reincarnate(self, process: Any) -> None:
        if process.exitcode not in (0, None):
            logger.error("a process of the task queue died with exit code %s, restarting all", process.exitcode)
            os.killpg(os.getpgrp(), signal.SIGKILL)
        super().reincarnate(process)


def run_cluster() -> None:
    """The child's half: the cluster in the foreground until it is told to stop."""
    die_with_parent()
    os.register_at_fork(after_in_child=die_with_parent)
    cluster.Sentinel = StrictSentinel  # Cluster.start looks the name up in its module
    cluster.Cluster().start()


def ping() -> None:
    """A task that does nothing: its way through the cluster is what is measured."""


def passed_through(sender: Any, **kwargs: Any) -> None:
    """A task came out of the cluster's last stage: the whole path works."""
    if settings.WORKER_GROUP:
        Worker.objects.filter(name=worker_name()).update(heartbeat_at=timezone.now())


def worker_name() -> str:
    return f"{socket.gethostname()}:{settings.WORKER_GROUP}"


# --- around the cluster -----------------------------------------------------------------------------------------------


class Supervisor:
    """Keeps one cluster alive; the rows it writes are what the pages show."""

    def __init__(self) -> None:
        self.group = str(os.getpid())
        self.name = f"{socket.gethostname()}:{self.group}"
        self.child: subprocess.Popen[bytes] | None = None
        self.is_stopping = False
        self._next_ping = self._next_sweep = self._next_hour = 0.0
        self._started = 0.0

    def run(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._stop)
        connections.sync_environment()
        Worker.objects.update_or_create(name=self.name, defaults={"started_at": timezone.now()})
        try:
            self._start("")
            while not self.is_stopping:
                self._beat()
                time.sleep(0.2)
        finally:
            self._end_child()
            runs.release_leases(self.name)
            Worker.objects.filter(name=self.name).delete()

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.is_stopping = True

    def _start(self, reason: str) -> None:
        """Starts the cluster; what the dead one held is released first, so that nothing waits for a time-out."""
        runs.release_leases(self.name)
        if reason:
            worker = Worker.objects.get_or_create(name=self.name)[0]
            worker.restarts += 1
            worker.last_restart_reason = reason
            worker.save(update_fields=["restarts", "last_restart_reason"])
        self._release_prefetched()
        db.connections.close_all()
        self.child = subprocess.Popen(
            [sys.executable, sys.argv[0], "worker", "--cluster"],
            env=os.environ | {"WORKER_GROUP": self.group},
            start_new_session=True,
        )
        self._started = time.monotonic()

    def _release_prefetched(self) -> None:
        """Tasks that a dead cluster had taken come back at once, unless another cluster may hold them."""
        since = timezone.now() - dt.timedelta(seconds=ALIVE_SECONDS)
        if not Worker.objects.exclude(name=self.name).filter(heartbeat_at__gte=since).exists():
            OrmQ.objects.filter(lock__gt=timezone.now()).update(lock=timezone.now())

    def _beat(self) -> None:
        assert self.child is not None
        if self.child.poll() is not None:
            self._restart(f"the cluster ended with exit code {self.child.returncode}")
            return
        try:
            self._alarm()
        except db.DatabaseError:
            logger.exception("the database does not answer the supervisor")
            db.connections.close_all()
            time.sleep(1)

    def _alarm(self) -> None:
        now = time.monotonic()
        if now >= self._next_sweep:
            self._next_sweep = now + SWEEP_SECONDS
            schedules.fire_due()
            runs.sweep()
        if now >= self._next_ping:
            self._next_ping = now + PING_SECONDS
            self._ping()
        if now >= self._next_hour:
            self._next_hour = now + HOUR_SECONDS
            hourly.enqueue()

    def _ping(self) -> None:
        worker, _ = Worker.objects.get_or_create(name=self.name)
        silent_s = (timezone.now() - worker.heartbeat_at).total_seconds()
        if silent_s > FROZEN_SECONDS and time.monotonic() - self._started > FROZEN_SECONDS:
            self._restart(f"no task came through for {silent_s:.0f} seconds")
        elif silent_s > PING_SECONDS / 2 and not self._is_ping_queued():
            async_task("portal.supervisor.ping", group="ping")

    def _is_ping_queued(self) -> bool:
        """One ping at a time: a backlog of pings would only delay the work."""
        return any(task.group() == "ping" for task in OrmQ.objects.order_by("-pk")[:50])

    def _restart(self, reason: str) -> None:
        logger.error("restarting the task queue: %s", reason)
        self._kill_group()
        self._start(reason)

    def _kill_group(self) -> None:
        assert self.child is not None
        try:
            os.killpg(self.child.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass  # all of it has ended already
        self.child.wait()

    def _end_child(self) -> None:
        """Asks the cluster's main process alone: a signal to its whole group would hang it."""
        if self.child is None:
            return
        self.child.terminate()
        try:
            self.child.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            logger.warning("the task queue did not stop in %s seconds and is killed", STOP_SECONDS)
        self._kill_group()
