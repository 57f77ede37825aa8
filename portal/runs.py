"""The run engine: one way to do everything that takes time.

A run is rows; the queue only wakes it. `wake` claims the run under a lease, works a slice, and enqueues the next
wake-up. A second delivery finds the lease taken and does nothing; a worker that lost its lease can neither call nor
commit (each commit matches on the lease owner); `sweep` wakes runs whose lease ran out or whose hour has come.
"""

from __future__ import annotations

import datetime as dt
import logging
import os
import socket
import time
import traceback
import uuid
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.conf import settings
from django.db import transaction
from django.db.models import Case, Count, F, Q, Value, When
from django.db.models.functions import Coalesce
from django.utils import timezone
from django_q.tasks import async_task

from portal import audit, logs, notices
from portal.access import Person
from portal.models import Connection, Run, RunEvent, RunInput, RunItem
from portal.remote import errors, redact

logger = logging.getLogger(__name__)

State = Run.State
Wait = Run.Wait
MAX_ATTEMPTS_WITHOUT_PROGRESS = 8
MAX_TRACEBACK = 20_000
# How often the heartbeat and the stored counts of a working run are renewed.
HEARTBEAT_SECONDS = 1.0
# Counting a large run takes longer, so it is done less often: at most one second of so many goes into it.
COUNT_ONE_SECOND_OF = 20


class LeaseLost(Exception):
    """Another worker has this run now; this one must end without a trace."""


class Refused(Exception):
    """A start that cannot be; the text is for people. `run` is the one that is in the way, if there is one."""

    def __init__(self, message: str, run: Run | None = None) -> None:
        super().__init__(message)
        self.run = run


@dataclass(frozen=True)
class More:
    """The slice is over, the work is not."""


@dataclass(frozen=True)
class Done:
    """Nothing is left to do."""


@dataclass(frozen=True)
class Failed:
    """The run as a whole cannot go on; the reason is for people."""

    reason: str


@dataclass(frozen=True)
class Pause:
    """The run waits: for what, why in words, and until when (None: until a person acts).

    `connection`: which one is to be renewed, where it is not the run's own.
    """

    wait: Run.Wait
    detail: str
    until: dt.datetime | None = None
    is_failure: bool = False
    connection: Connection | None = None


Outcome = More | Done | Failed | Pause


# --- starting -------------------------------------------------------------------------------------------------------


@transaction.atomic
def start(
    *,
    kind: str,
    title: str,
    connection: Connection | None = None,
    user: Person | None = None,
    trigger: Run.Trigger = Run.Trigger.USER,
    parameters: dict[str, Any] | None = None,
    lines: Iterable[str] | None = None,
    phase: str = "",
    parent: Run | None = None,
    relation: str = "",
    not_before: dt.datetime | None = None,
    address: str | None = None,
) -> Run:
    """Writes the run, its input and its audit entry, and queues the first wake-up, all or nothing."""
    run = Run.objects.create(
        kind=kind,
        title=title[:200],
        connection=connection,
        requested_by_id=user.pk if user else None,
        trigger=trigger,
        parameters=parameters or {},
        phase=phase,
        parent=parent,
        relation=relation,
        state=State.WAITING if not_before else State.QUEUED,
        wait=Wait.HOUR if not_before else Wait.NONE,
        not_before=not_before,
    )
    if lines is not None:
        RunInput.objects.create(run=run, lines="\n".join(lines))
    audit.record("run requested", user=user, actor=_actor(user, trigger), address=address, target=title, run=run)
    enqueue(run.pk)
    return run


def _actor(user: Person | None, trigger: Run.Trigger) -> str:
    return user.get_username() if user else trigger.label.lower()


def enqueue(run_id: int) -> None:
    """Queues a wake-up. Inside a transaction it is part of it, because the queue is a table."""
    async_task("portal.runs.wake", run_id, group=f"run-{run_id}")


# --- the lease ------------------------------------------------------------------------------------------------------


def process_owner() -> str:
    """Prefix of the leases of this worker group; the supervisor releases them when the group has ended."""
    return f"{socket.gethostname()}:{settings.WORKER_GROUP or os.getpid()}"


class Lease:
    """The right to work on one run for a while, and the only way to write its items."""

    def __init__(self, run: Run, *, seconds: float | None = None) -> None:
        self.run = run
        self.owner = run.lease_owner
        self._renewed = time.monotonic()
        self._deadline = self._renewed + (seconds or settings.RUN_SLICE_SECONDS)
        # Half-way to the end of the lease, so that what is then under way still ends within it.
        self._last_deadline = max(self._deadline, self._renewed + settings.RUN_LEASE_SECONDS / 2)
        self._has_progressed = False
        self._count_again_at = self._renewed
        self._stopping = run.stop_requested

    @property
    def time_is_up(self) -> bool:
        """Whether the slice should end: not before it has got anything done, however slow the machine is."""
        return time.monotonic() >= (self._deadline if self._has_progressed else self._last_deadline)

    @property
    def is_stopping(self) -> bool:
        """Whether a person asked the run to stop; no new batch may be sent then."""
        return self._stopping

    @property
    def items(self) -> Any:
        return RunItem.objects.filter(run=self.run)

    def keep(self) -> None:
        """Before each call: proves that the lease is still ours, prolongs it, and learns of a stop."""
        now = time.monotonic()
        if now - self._renewed < HEARTBEAT_SECONDS:
            return
        with self.commit(progress=False):
            pass
        self._stopping = Run.objects.values_list("stop_requested", flat=True).get(pk=self.run.pk)
        self._renewed = now
        if now >= self._count_again_at:
            refresh_counts(self.run, owner=self.owner)
            counted = time.monotonic()
            self._count_again_at = counted + COUNT_ONE_SECOND_OF * (counted - now)

    @contextmanager
    def commit(self, *, progress: bool = True) -> Iterator[None]:
        """A transaction that only the lease's owner can commit. Raises LeaseLost and writes nothing otherwise."""
        now = timezone.now()
        values: dict[str, Any] = {"lease_until": now + _lease(), "heartbeat_at": now}
        if progress:
            values["attempts"] = 0
        with transaction.atomic():
            if not Run.objects.filter(pk=self.run.pk, lease_owner=self.owner).update(**values):
                raise LeaseLost
            yield
        self._has_progressed |= progress

    def save(self, **values: Any) -> None:
        """Sets fields of the run itself, fenced. It is no progress: a step that then fails was not done."""
        with self.commit(progress=False):
            Run.objects.filter(pk=self.run.pk).update(**values)
        for name, value in values.items():
            setattr(self.run, name, value)

    def log(self, message: str, level: RunEvent.Level = RunEvent.Level.INFO) -> None:
        log(self.run, message, level)


def log(run: Run, message: str, level: RunEvent.Level = RunEvent.Level.INFO) -> None:
    """A line of the run's log; redacted, because vendor texts end up in it."""
    RunEvent.objects.create(run=run, level=level, message=redact.redact(message)[:2000])


def _lease() -> dt.timedelta:
    return dt.timedelta(seconds=settings.RUN_LEASE_SECONDS)


def claim(run_id: int) -> Lease | None:
    """Takes the run when it is its turn: one conditional UPDATE, so that one of many takers wins."""
    now = timezone.now()
    owner = f"{process_owner()}:{uuid.uuid4().hex}"
    due = Q(not_before__isnull=True) | Q(not_before__lte=now)
    is_claimable = (
        Q(state=State.QUEUED) & due
        | Q(state=State.WAITING, not_before__lte=now)
        | Q(state__in=(State.RUNNING, State.STOPPING)) & (Q(lease_until__isnull=True) | Q(lease_until__lte=now)) & due
    )
    # A wait for a person ends by that person's act, which queues the run again.
    # A stop that comes at the same moment is either seen here or finds the run at work; it is never overwritten.
    taken = Run.objects.filter(is_claimable, pk=run_id).update(
        lease_owner=owner, lease_until=now + _lease(), heartbeat_at=now, attempts=F("attempts") + 1,
        state=Case(When(stop_requested=True, then=Value(State.STOPPING)), default=Value(State.RUNNING)),
        wait=Wait.NONE, wait_detail="", not_before=None, started_at=Coalesce(F("started_at"), now),
    )  # fmt: skip
    if not taken:
        return None
    rows = Run.objects.select_related("connection", "requested_by", "parent")
    # The secrets are read by the first call, where one that no key opens makes the run wait for reconnection.
    return Lease(
        rows.defer(*(f"connection__{name}" for name in ("client_secret", "refresh_token", "jwt"))).get(pk=run_id)
    )


# --- working --------------------------------------------------------------------------------------------------------


def wake(run_id: int) -> None:
    """The task: one slice of one run. Its argument is the id and nothing else."""
    lease = claim(run_id)
    if lease is None:
        return
    with logs.run_number(run_id):
        try:
            outcome = _work(lease)
            _settle(lease, outcome)
        except LeaseLost:
            logger.warning("lease lost, ending without a commit")


def run_here(run_id: int, report: Any = None) -> Run:
    """Works the run in this process until it ends or needs a person; used by commands with --wait.

    `report(run)` is called after each slice. Waits for the vendor are slept through by the caller's own process; a
    connection to be renewed needs a person, after whom a worker goes on.
    """
    while True:
        wake(run_id)
        run = Run.objects.get(pk=run_id)
        if report is not None:
            report(run)
        if not run.is_open or run.waits_for_people or run.wait == Wait.RECONNECTION:
            return run
        pause_until(run)


def pause_until(run: Run, *, sleep: Any = time.sleep, longest: float = 5.0) -> None:  # noqa: TID251 the only waiter outside the queue
    """Sleeps until the run's hour, in steps, so that an early wake-up or a stop is noticed."""
    if run.not_before is not None:
        wait = (run.not_before - timezone.now()).total_seconds()
    elif run.state == State.RUNNING and run.lease_until is not None:
        wait = 0.5  # another worker has it: look again
    else:
        wait = 0.0
    if wait > 0:
        sleep(min(wait, longest))


def _work(lease: Lease) -> Outcome:
    """Runs the kind's own code and turns what it raises into what people should do."""
    run = lease.run
    if run.attempts > MAX_ATTEMPTS_WITHOUT_PROGRESS:
        return Failed(f"Gave up after {MAX_ATTEMPTS_WITHOUT_PROGRESS} attempts without progress. {run.error}".strip())
    try:
        outcome: Outcome = import_module(settings.RUN_KINDS[run.kind]).work(lease)
        return outcome
    except LeaseLost:
        raise
    except errors.RemoteError as error:
        held = pause_for(error)
        if isinstance(held, Pause) and held.is_failure:
            _keep_error(lease, held.detail)
        return held
    except Exception as error:
        logger.exception("slice of run %s failed", run.pk)
        text = redact.redact(f"{type(error).__name__}: {error}")[:500]
        _keep_error(lease, text, traceback.format_exc())
        lease.log(f"The slice ended with an internal error: {text}", RunEvent.Level.ERROR)
        return Pause(
            Wait.OUTAGE, "An internal error; trying again.", timezone.now() + dt.timedelta(seconds=5), is_failure=True
        )


def _keep_error(lease: Lease, text: str, trace: str = "") -> None:
    """What the last attempt failed with, for the case that no later one succeeds."""
    rows = Run.objects.filter(pk=lease.run.pk, lease_owner=lease.owner)
    rows.update(error=redact.redact(text), traceback=redact.redact(trace)[-MAX_TRACEBACK:])


def step_by_step(lease: Lease, step: Callable[[], Outcome]) -> Outcome:
    """Goes straight on when a step ended by moving to the next phase: a new slice would open all connections anew."""
    while True:
        phase = lease.run.phase
        outcome = step()
        has_moved_on = isinstance(outcome, More) and lease.run.phase != phase
        if not has_moved_on or lease.time_is_up or lease.is_stopping:
            return outcome


def pause_for(error: errors.RemoteError) -> Outcome:
    """What a run does about an error of the vendor: wait, wait for a person, or give up."""
    now = timezone.now()
    advice = errors.describe(error, with_time=False)  # the pages show when the run goes on
    text = f"{advice.what} {advice.remedy}"
    if isinstance(error, errors.Unauthorized | errors.NotConfigured):
        return Pause(Wait.RECONNECTION, text, now + dt.timedelta(minutes=1))
    if isinstance(error, errors.CreditsExhausted):
        return Pause(Wait.CREDITS, text, error.retry_at)
    if isinstance(error, errors.RateLimited):
        return Pause(Wait.RATE_LIMIT, text, error.retry_at)
    if isinstance(error, errors.CircuitOpen):
        return Pause(Wait.OUTAGE, text, error.retry_at)
    if isinstance(error, errors.Unavailable):
        return Pause(Wait.OUTAGE, text, now + dt.timedelta(seconds=30))
    if isinstance(error, errors.BadReply):
        # A damaged answer comes once; a vendor that changed something answers so each time, and the run gives up.
        return Pause(Wait.OUTAGE, text, now + dt.timedelta(seconds=10), is_failure=True)
    return Failed(text)


def _settle(lease: Lease, outcome: Outcome) -> None:
    """Writes what the slice came to, gives the lease back, and sees to the next wake-up."""
    with lease.commit(progress=False):
        # The row is locked from here on, so a stop comes before this or finds the new state.
        is_stopping = Run.objects.values_list("stop_requested", flat=True).get(pk=lease.run.pk)
        if is_stopping and isinstance(outcome, Pause):
            if outcome.wait == Wait.RECONNECTION:
                _leave_unknown(lease)
            if not lease.items.filter(state=RunItem.State.SENT).exists():
                outcome = Done()  # nobody waits for anything in a run that is to stop
        if isinstance(outcome, Failed):
            _leave_unknown(lease)
        counts = refresh_counts(lease.run)
        values = _values_after(outcome, counts, is_stopping=is_stopping)
        Run.objects.filter(pk=lease.run.pk).update(lease_owner="", lease_until=None, **values)
        if isinstance(outcome, More):
            enqueue(lease.run.pk)
        if values["state"] in Run.CLOSED:
            _closed(lease.run, Run.State(values["state"]), counts)
    if isinstance(outcome, Pause):
        _log_wait(lease.run, outcome)
        connection = outcome.connection or lease.run.connection
        if outcome.wait == Wait.RECONNECTION and connection is not None:
            notices.reconnect_needed(connection, outcome.detail)


def _leave_unknown(lease: Lease) -> None:
    """Sent items of a run that ends here, when nothing more can be read: the connection may never come back."""
    lease.items.filter(state=RunItem.State.SENT).update(
        state=RunItem.State.UNKNOWN, code="NOT_CHECKED", finished_at=timezone.now(),
        message="No answer came, and the run ended before the outcome could be read. A retry reads it first.",
    )  # fmt: skip


def _values_after(outcome: Outcome, counts: dict[str, int], *, is_stopping: bool) -> dict[str, Any]:
    """Columns of the run after a slice with that outcome."""
    now = timezone.now()
    match outcome:
        case More():
            return {"state": State.STOPPING if is_stopping else State.QUEUED}
        case Pause(wait=wait, detail=detail, until=until):
            # A wait for a known reason is no failed attempt.
            attempts = {} if outcome.is_failure else {"attempts": 0}
            state = State.STOPPING if is_stopping else State.WAITING
            return {"state": state, "wait": wait, "wait_detail": redact.redact(detail), "not_before": until} | attempts
        case Failed(reason):
            return {
                "state": State.FAILED,
                "error": redact.redact(reason),
                "finished_at": now,
                "stop_requested": False,
            }
        case Done():
            is_cut_short = is_stopping and (_is_unfinished(counts) or not counts["planned"])
            state = State.STOPPED if is_cut_short else _final_state(counts)
            # The text of an error that a later attempt got over is no news any more; the log keeps it.
            return {"state": state, "finished_at": now, "stop_requested": False, "error": ""}


def _log_wait(run: Run, outcome: Pause) -> None:
    """One line for each wait, not one for each look whether it is over."""
    message = redact.redact(f"Waiting {Wait(outcome.wait).label}. {outcome.detail}")[:2000]
    last = run.events.order_by("-pk").values_list("message", flat=True).first()
    if last != message:
        log(run, message)


def _is_unfinished(counts: dict[str, int]) -> bool:
    return counts["planned"] > counts["ok"] + counts["failed"] + counts["skipped"] + counts["unknown"]


def _final_state(counts: dict[str, int]) -> Run.State:
    if counts["unknown"]:
        return State.NEEDS_DECISION
    return State.FINISHED_WITH_ERRORS if counts["failed"] or _is_unfinished(counts) else State.FINISHED


def _closed(run: Run, state: Run.State, counts: dict[str, int]) -> None:
    log(run, f"{state.label}: " + ", ".join(f"{count:,} {name}" for name, count in counts.items()) + ".")
    audit.record("run ended", actor="worker", target=run.title, run=run, state=state.value, counts=counts)
    transaction.on_commit(lambda: _tell_end(run, state, counts))


def _tell_end(run: Run, state: Run.State, counts: dict[str, int]) -> None:
    """Mails about the end. Where the kind sends its own, they take the place of the notice to who started the run.

    Nothing that goes wrong here changes how the run ended.
    """
    ended = getattr(kind_module(run), "ended", None)
    if ended is None:
        notices.run_ended(run, state, counts)
        return
    try:
        ended(Run.objects.select_related("requested_by").get(pk=run.pk))
    except Exception:
        logger.exception("what follows the end of run %s failed", run.pk)


def refresh_counts(run: Run, *, owner: str | None = None) -> dict[str, int]:
    """Counts the items anew and stores the result; counts are derived, so they cannot drift.

    With `owner` they are stored only while that lease holds: a loser's older count must not replace a newer one.
    """
    found = dict(RunItem.objects.filter(run=run).order_by().values_list("state").annotate(Count("pk")))
    counts = {"planned": sum(found.values())} | {
        name: found.get(name, 0) for name in ("ok", "failed", "skipped", "unknown")
    }
    rows = Run.objects.filter(pk=run.pk)
    (rows if owner is None else rows.filter(lease_owner=owner)).update(**counts)
    for name, count in counts.items():
        setattr(run, name, count)
    return counts


# --- the alarm clock ------------------------------------------------------------------------------------------------


def sweep() -> int:
    """Wakes each run whose lease ran out or whose hour has come. Waking one too many does no harm."""
    now = timezone.now()
    is_due = Q(not_before__isnull=True) | Q(not_before__lte=now)
    is_free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
    abandoned = Q(state__in=(State.RUNNING, State.STOPPING)) & is_free & is_due
    waited = Q(state=State.WAITING, not_before__lte=now)
    ids = list(
        Run.objects.filter(abandoned | waited | Q(state=State.QUEUED) & is_due)
        .order_by(F("heartbeat_at").asc(nulls_first=True), "pk")
        .values_list("pk", flat=True)[:500]
    )
    waiting = _queued_run_ids()
    woken = 0
    for run_id in ids:
        if run_id not in waiting:
            enqueue(run_id)
            woken += 1
    return woken


def _queued_run_ids() -> set[int]:
    """Runs with a wake-up in the queue that no worker holds yet, so that each sweep does not add another."""
    from django_q.models import OrmQ

    found = set()
    for task in OrmQ.objects.filter(Q(lock__isnull=True) | Q(lock__lte=timezone.now()))[:2000]:
        group = str(task.group() or "")
        if group.startswith("run-"):
            found.add(int(group.removeprefix("run-")))
    return found


def release_leases(owner_prefix: str) -> int:
    """Ends the leases of a worker group that is known to be dead, so that its runs go on at once."""
    now = timezone.now()
    return Run.objects.filter(lease_owner__startswith=f"{owner_prefix}:", lease_until__gt=now).update(lease_until=now)


# --- what people may do to a run --------------------------------------------------------------------------------------


def stop(run: Run, *, user: Person | None = None, address: str | None = None) -> bool:
    """Asks the run to stop after the batches in flight; one that nobody works on stops at once.

    Returns False when the run had already ended.
    """
    changed = Run.objects.filter(pk=run.pk, state__in=Run.OPEN).update(stop_requested=True)
    if not changed:
        return False
    audit.record("run stop requested", user=user, address=address, target=run.title, run=run)
    idle = Q(state__in=(State.QUEUED, State.WAITING))
    if not run.items.filter(state=RunItem.State.SENT).exists():
        Run.objects.filter(idle, pk=run.pk).update(
            state=State.STOPPED, stop_requested=False, finished_at=timezone.now(), not_before=None
        )
    # Items whose outcome is open are read back before the run counts as stopped.
    Run.objects.filter(idle, pk=run.pk).update(state=State.STOPPING, not_before=None)
    Run.objects.filter(pk=run.pk, state=State.RUNNING).update(state=State.STOPPING)
    enqueue(run.pk)
    return True


def resume(run: Run, *, user: Person | None = None, address: str | None = None) -> bool:
    """Lets a stopped, failed or waiting run go on from where it is. Returns False when there is nothing to resume."""
    is_resumable = Q(state__in=(State.STOPPED, State.FAILED)) | Q(state=State.WAITING) & ~Q(
        wait__in=Run.WAITS_FOR_PEOPLE
    )
    changed = Run.objects.filter(is_resumable, pk=run.pk).update(
        state=State.QUEUED, wait=Wait.NONE, wait_detail="", not_before=None, finished_at=None, attempts=0,
        stop_requested=False, error="",
    )  # fmt: skip
    if changed:
        audit.record("run resumed", user=user, address=address, target=run.title, run=run)
        enqueue(run.pk)
    return bool(changed)


def proceed(run: Run, *, waiting_for: Run.Wait, **values: Any) -> bool:
    """A person's act that ends a wait. One UPDATE: of two clicks, one returns True."""
    changed = Run.objects.filter(pk=run.pk, state=State.WAITING, wait=waiting_for).update(
        state=State.QUEUED, wait=Wait.NONE, wait_detail="", **{"not_before": None} | values
    )
    if changed:
        enqueue(run.pk)
    return bool(changed)


def reconnected(connection: Connection) -> int:
    """Lets the runs that were held for this connection go on."""
    ids = list(
        Run.objects.filter(connection=connection, state=State.WAITING, wait=Wait.RECONNECTION).values_list(
            "pk", flat=True
        )
    )
    Run.objects.filter(pk__in=ids).update(not_before=timezone.now())
    for run_id in ids:
        enqueue(run_id)
    return len(ids)


# --- what a kind adds to the page of its runs -------------------------------------------------------------------------


@dataclass(frozen=True)
class Action:
    """A button on a run's page; `fields` are sent along as (name, value).

    `name` says where it stands: "" at the head of the page, "code" beside a reason (sends that reason as `code`),
    "selected" below the records (sends the ticked ones as `key`).
    """

    label: str
    url: str
    method: str = "post"
    style: str = ""
    name: str = ""
    fields: tuple[tuple[str, str], ...] = ()


def kind_module(run: Run) -> Any:
    """The module of the run's kind. It may define actions(run, user) -> [Action], page(run) -> dict, CODES,
    ended(run), which is called once the end of the run is stored, and items_for(run, user, items) and
    events_for(run, user, events), which leave out the items and log lines that the person may not see."""
    return import_module(settings.RUN_KINDS[run.kind])
