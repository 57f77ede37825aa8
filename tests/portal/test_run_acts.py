"""What people may do to a run: stop, resume, confirm; alone, twice, and at the same moment as a worker."""

from __future__ import annotations

import datetime as dt
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connection as database
from django.utils import timezone
from django_q.models import OrmQ

from crm import bulk_update
from crm.selection import parse
from portal import connections, runs
from portal.models import AuditEntry, Connection, Run, RunItem
from portal.runs import Done, Failed, Lease, More, Outcome, Pause

pytestmark = pytest.mark.django_db

State, Wait, ItemState = Run.State, Run.Wait, RunItem.State
LATER = timezone.now() + dt.timedelta(days=1)


def begin(items: dict[str, int] | None = None, **values: Any) -> Run:
    run = runs.start(kind="test", title="A run")
    states = [state for state, count in (items or {}).items() for _ in range(count)]
    RunItem.objects.bulk_create(
        RunItem(run=run, position=number, key=str(number), state=state) for number, state in enumerate(states)
    )
    Run.objects.filter(pk=run.pk).update(**values)
    OrmQ.objects.all().delete()
    return Run.objects.get(pk=run.pk)


# --- stopping ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"state": State.QUEUED},
        {"state": State.WAITING, "wait": Wait.CHANGE},
        {"state": State.WAITING, "wait": Wait.CONFIRMATION},
        {"state": State.WAITING, "wait": Wait.CREDITS, "not_before": LATER},
        {"state": State.WAITING, "wait": Wait.HOUR, "not_before": LATER},
    ],
    ids=str,
)
def test_a_run_that_nobody_works_on_stops_at_once(kind: Any, values: dict[str, Any]) -> None:
    run = begin({"ok": 1, "planned": 1}, **values)
    assert runs.stop(run)
    run.refresh_from_db()
    assert (run.state, run.stop_requested, run.not_before) == (State.STOPPED, False, None)
    assert run.finished_at is not None
    runs.wake(run.pk)
    run.refresh_from_db()
    assert run.state == State.STOPPED


def test_a_waiting_run_with_open_outcomes_settles_them_before_it_counts_as_stopped(kind: Any) -> None:
    def work(lease: Lease) -> Outcome:
        assert lease.is_stopping
        with lease.commit():
            lease.items.filter(state=ItemState.SENT).update(state=ItemState.OK)
        return Done()

    kind.work = work
    run = begin({"sent": 2, "planned": 1}, state=State.WAITING, wait=Wait.OUTAGE, not_before=LATER)
    assert runs.stop(run)
    run.refresh_from_db()
    assert run.state == State.STOPPING
    runs.wake(run.pk)
    run.refresh_from_db()
    assert (run.state, run.ok, run.remaining) == (State.STOPPED, 2, 1)


def test_a_run_at_work_is_asked_to_stop_and_ends_after_what_it_is_doing(kind: Any) -> None:
    run = begin({"planned": 4})
    done: list[bool] = []

    def work(lease: Lease) -> Outcome:
        for item in lease.items.filter(state=ItemState.PLANNED):
            lease._renewed -= 10
            lease.keep()
            if lease.is_stopping:
                return Done()
            with lease.commit():
                lease.items.filter(pk=item.pk).update(state=ItemState.OK)
            done.append(True)
            if len(done) == 2:
                assert runs.stop(Run.objects.get(pk=run.pk))
        return Done()

    kind.work = work
    runs.wake(run.pk)
    run.refresh_from_db()
    assert (run.state, run.ok, run.remaining, run.stop_requested) == (State.STOPPED, 2, 2, False)


@pytest.mark.parametrize("outcome", [Pause(Wait.CONFIRMATION, "?"), Pause(Wait.OUTAGE, "out", LATER)], ids=repr)
def test_a_slice_that_would_wait_ends_a_run_that_is_to_stop(kind: Any, outcome: Outcome) -> None:
    def work(lease: Lease) -> Outcome:
        runs.stop(Run.objects.get(pk=lease.run.pk))
        return outcome

    kind.work = work
    run = begin({"planned": 1})
    runs.wake(run.pk)
    run.refresh_from_db()
    assert (run.state, run.wait) == (State.STOPPED, "")


def test_a_stopping_run_with_open_outcomes_waits_for_them_and_is_not_looked_at_before(kind: Any) -> None:
    kind.work = lambda lease: Pause(Wait.SETTLE, "settling", LATER)
    run = begin({"sent": 1}, state=State.STOPPING, stop_requested=True)
    runs.wake(run.pk)
    run.refresh_from_db()
    assert (run.state, run.wait, run.not_before) == (State.STOPPING, Wait.SETTLE, LATER)
    assert runs.sweep() == 0


def test_stopping_before_anything_was_loaded_is_a_stop_and_no_success(kind: Any) -> None:
    run = begin(state=State.STOPPING, stop_requested=True)
    runs.wake(run.pk)
    run.refresh_from_db()
    assert run.state == State.STOPPED


def test_a_run_that_had_nothing_left_is_finished_although_a_stop_came_late(kind: Any) -> None:
    run = begin({"ok": 2}, state=State.STOPPING, stop_requested=True)
    runs.wake(run.pk)
    run.refresh_from_db()
    assert (run.state, run.stop_requested) == (State.FINISHED, False)


@pytest.mark.parametrize("state", Run.CLOSED)
def test_what_has_ended_cannot_be_stopped(kind: Any, state: str) -> None:
    run = begin(state=state)
    assert not runs.stop(run)
    assert not AuditEntry.objects.filter(action="run stop requested").exists()
    assert Run.objects.get(pk=run.pk).stop_requested is False


# --- resuming ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "values",
    [
        {"state": State.STOPPED},
        {"state": State.FAILED, "error": "broken", "attempts": 9},
        {"state": State.WAITING, "wait": Wait.RECONNECTION, "not_before": LATER},
        {"state": State.WAITING, "wait": Wait.HOUR, "not_before": LATER},
    ],
    ids=str,
)
def test_resuming_goes_on_with_what_is_left(kind: Any, values: dict[str, Any]) -> None:
    run = begin({"ok": 1, "planned": 1}, finished_at=timezone.now(), **values)
    assert runs.resume(run)
    assert not runs.resume(run), "a second click does nothing"
    run.refresh_from_db()
    assert (run.state, run.wait, run.not_before, run.error, run.attempts, run.finished_at) == (
        State.QUEUED, "", None, "", 0, None,
    )  # fmt: skip
    assert OrmQ.objects.count() == 1


@pytest.mark.parametrize(
    "values",
    [
        {"state": State.QUEUED},
        {"state": State.RUNNING},
        {"state": State.WAITING, "wait": Wait.CONFIRMATION},
        {"state": State.WAITING, "wait": Wait.APPROVAL},
        {"state": State.FINISHED},
        {"state": State.FINISHED_WITH_ERRORS},
        {"state": State.NEEDS_DECISION},
    ],
    ids=str,
)
def test_there_is_nothing_to_resume_in_other_states(kind: Any, values: dict[str, Any]) -> None:
    run = begin(**values)
    assert not runs.resume(run)
    assert not OrmQ.objects.exists()


def test_reconnecting_wakes_the_runs_that_were_held_for_that_connection_only(kind: Any, zoho: Connection) -> None:
    held = {"state": State.WAITING, "wait": Wait.RECONNECTION, "not_before": LATER}
    mine = begin(connection=zoho, **held)
    other = begin(**held)
    waits_for_credits = begin(connection=zoho, **held | {"wait": Wait.CREDITS})
    connections.save(zoho, secrets={"refresh_token": "new"}, changed=[], user=AnonymousUser())
    for run in (mine, other, waits_for_credits):
        runs.wake(run.pk)
    states = [Run.objects.get(pk=run.pk).state for run in (mine, other, waits_for_credits)]
    assert states == [State.FINISHED, State.WAITING, State.WAITING]


# --- acts at the same moment ------------------------------------------------------------------------------------------


def in_threads(count: int, act: Any) -> list[Any]:
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        try:
            barrier.wait(10)
            return act(number)
        finally:
            database.close()

    with ThreadPoolExecutor(count) as executor:
        return list(executor.map(one, range(count)))


@pytest.mark.django_db(transaction=True)
def test_two_confirmations_at_the_same_moment_are_one(zoho: Connection, standin: Any, work: Any) -> None:
    ids = standin.ids("Leads")[:20]
    run = work(
        bulk_update.start(
            connection=zoho, module="Leads", source={"type": "ids"}, selection=parse("\n".join(ids)),
            change={"field": "Lead_Status", "value": "Junk Lead", "automation": False},
        )
    )  # fmt: skip
    OrmQ.objects.all().delete()

    def confirm(number: int) -> bool:
        return bulk_update.confirm(Run.objects.get(pk=run.pk), user=None, fingerprint=run.fingerprint)

    assert sorted(in_threads(4, confirm)) == [False, False, False, True]
    assert OrmQ.objects.count() == 1
    assert AuditEntry.objects.filter(action="run confirmed").count() == 1
    work(run)
    assert all(standin.writes("Leads", record_id).writes <= 1 for record_id in ids)


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("attempt", range(5))
def test_a_stop_and_a_claim_at_the_same_moment_end_in_a_stopped_run(kind: Any, attempt: int) -> None:
    def work(lease: Lease) -> Outcome:
        lease._renewed -= 10
        lease.keep()
        return Done() if lease.is_stopping else More()

    kind.work = work
    run = begin({"planned": 1})
    in_threads(2, lambda number: runs.wake(run.pk) if number else runs.stop(run))
    for _ in range(3):
        runs.wake(run.pk)
    run.refresh_from_db()
    assert run.state == State.STOPPED


def test_a_stop_between_the_claim_and_the_slice_is_not_overwritten(kind: Any) -> None:
    run = begin({"planned": 1})
    lease = runs.claim(run.pk)
    assert lease is not None
    runs.stop(run)
    run.refresh_from_db()
    assert (run.state, run.stop_requested) == (State.STOPPING, True)
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now())
    again = runs.claim(run.pk)
    assert again is not None
    assert again.is_stopping
    assert again.run.state == State.STOPPING


def test_a_failure_while_stopping_is_a_failure(kind: Any) -> None:
    kind.work = lambda lease: Failed("no")
    run = begin({"planned": 1}, state=State.STOPPING, stop_requested=True)
    runs.wake(run.pk)
    run.refresh_from_db()
    assert (run.state, run.error, run.stop_requested) == (State.FAILED, "no", False)
