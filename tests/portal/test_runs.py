"""The run engine: who may work on a run, what a slice leaves behind, and what wakes it again."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.db import transaction
from django.utils import timezone
from django_q.models import OrmQ

from portal import runs
from portal.models import AuditEntry, Connection, Run, RunEvent, RunItem
from portal.remote import errors
from portal.runs import Done, Failed, Lease, LeaseLost, More, Pause

pytestmark = pytest.mark.django_db

State, Wait, ItemState = Run.State, Run.Wait, RunItem.State
FACTS = {"service": "Zoho CRM", "endpoint": "records.update"}


def begin(items: int = 0, **values: Any) -> Run:
    run = runs.start(kind="test", title="A run")
    RunItem.objects.bulk_create(RunItem(run=run, position=number, key=str(number)) for number in range(items))
    Run.objects.filter(pk=run.pk).update(**values)
    run.refresh_from_db()
    return run


def soon() -> dt.datetime:
    return timezone.now() + dt.timedelta(days=1)


def ago(**span: float) -> dt.datetime:
    return timezone.now() - dt.timedelta(**span)


def wake_ups(run: Run) -> int:
    return sum(task.group() == f"run-{run.pk}" for task in OrmQ.objects.all())


def worked(run: Run, slices: int = 1) -> Run:
    for _ in range(slices):
        Run.objects.filter(pk=run.pk, not_before__isnull=False).update(not_before=timezone.now())
        runs.wake(run.pk)
    run.refresh_from_db()
    return run


# --- starting ---------------------------------------------------------------------------------------------------------


def test_a_run_its_input_its_audit_and_its_wake_up_are_written_together(kind: Any, person: Callable[..., User]) -> None:
    operator = person("Operator")
    run = runs.start(kind="test", title="A run", user=operator, lines=["1", "2"], address="127.0.0.1")

    assert (run.state, run.input.lines, wake_ups(run)) == (State.QUEUED, "1\n2", 1)
    entry = AuditEntry.objects.get(run=run)
    assert (entry.action, entry.user, entry.actor, entry.address) == (
        "run requested", operator, "operator", "127.0.0.1",
    )  # fmt: skip


def test_a_start_that_fails_leaves_nothing_behind(kind: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("the queue is away")

    monkeypatch.setattr(runs, "async_task", broken)
    with pytest.raises(RuntimeError):
        runs.start(kind="test", title="A run", lines=["1"])
    assert [model.objects.count() for model in (Run, AuditEntry, OrmQ)] == [0, 0, 0]


def test_a_wake_up_is_part_of_the_callers_transaction(kind: Any) -> None:
    with transaction.atomic():
        runs.start(kind="test", title="A run")
        transaction.set_rollback(True)
    assert not OrmQ.objects.exists()


def test_the_argument_of_a_wake_up_is_the_id_alone(kind: Any) -> None:
    run = begin()
    assert [(task.func(), task.args()) for task in OrmQ.objects.all()] == [("portal.runs.wake", (run.pk,))]


def test_a_run_for_later_waits_for_its_hour(kind: Any) -> None:
    run = runs.start(kind="test", title="Later", not_before=soon())
    runs.wake(run.pk)
    run.refresh_from_db()
    assert (run.state, run.wait) == (State.WAITING, Wait.HOUR)
    assert worked(run).state == State.FINISHED


# --- one worker at a time ---------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_of_many_claims_at_the_same_moment_one_wins(kind: Any) -> None:
    run = begin()
    barrier = threading.Barrier(6)

    def claim(number: int) -> bool:
        try:
            barrier.wait(10)
            return runs.claim(run.pk) is not None
        finally:
            database.close()

    with ThreadPoolExecutor(6) as executor:
        assert sum(executor.map(claim, range(6))) == 1


def test_a_second_delivery_of_a_live_run_does_nothing(kind: Any) -> None:
    run = begin()
    seen: list[str] = []

    def work(lease: Lease) -> Done:
        seen.append(lease.owner)
        runs.wake(run.pk)
        return Done()

    kind.work = work
    runs.wake(run.pk)
    runs.wake(run.pk)
    assert len(seen) == 1


@pytest.mark.parametrize(
    "values",
    [
        {"state": State.RUNNING, "lease_until": soon()},
        {"state": State.STOPPING, "lease_until": soon()},
        {"state": State.WAITING, "wait": Wait.OUTAGE, "not_before": soon()},
        {"state": State.WAITING, "wait": Wait.CONFIRMATION},
        {"state": State.STOPPING, "not_before": soon()},
        *({"state": state} for state in Run.CLOSED),
    ],
    ids=str,
)
def test_a_run_whose_turn_it_is_not_is_neither_claimed_nor_woken(kind: Any, values: dict[str, Any]) -> None:
    run = begin(**values)
    OrmQ.objects.all().delete()
    assert runs.claim(run.pk) is None
    assert runs.sweep() == 0
    assert not OrmQ.objects.exists()


@pytest.mark.parametrize(
    "values",
    [
        {"state": State.QUEUED},
        {"state": State.RUNNING, "lease_until": ago(seconds=1), "lease_owner": "gone:1:x"},
        {"state": State.RUNNING, "lease_until": None},
        {"state": State.STOPPING, "lease_until": None, "stop_requested": True},
        {"state": State.WAITING, "wait": Wait.CREDITS, "not_before": ago(seconds=1)},
    ],
    ids=str,
)
def test_a_run_that_nobody_works_on_is_woken_once_however_often_is_swept(kind: Any, values: dict[str, Any]) -> None:
    run = begin(**values)
    OrmQ.objects.all().delete()
    assert [runs.sweep(), runs.sweep(), runs.sweep()] == [1, 0, 0]
    assert wake_ups(run) == 1
    assert runs.claim(run.pk) is not None


def test_a_wake_up_that_a_dead_worker_took_with_it_is_made_again(kind: Any) -> None:
    run = begin()
    OrmQ.objects.update(lock=soon())
    assert [runs.sweep(), runs.sweep()] == [1, 0]
    assert wake_ups(run) == 2


def test_leases_of_a_dead_worker_group_end_and_those_of_others_do_not(kind: Any) -> None:
    values = {"state": State.RUNNING, "lease_until": soon()}
    mine = begin(lease_owner="host:12:aaa", **values)
    others = [begin(lease_owner=owner, **values) for owner in ("host:123:bbb", "host:1:ccc", "other:12:ddd")]

    assert runs.release_leases("host:12") == 1
    assert runs.claim(mine.pk) is not None
    assert [runs.claim(run.pk) for run in others] == [None] * 3


# --- fencing ----------------------------------------------------------------------------------------------------------


def test_a_worker_that_lost_its_lease_writes_nothing_and_calls_nobody(kind: Any) -> None:
    run = begin(items=2)
    calls: list[int] = []

    def work(lease: Lease) -> Done:
        for number in range(2):
            with lease.commit():
                lease.items.filter(position=number).update(state=ItemState.SENT)
            calls.append(number)
            Run.objects.filter(pk=run.pk).update(lease_owner="another:1:x", lease_until=soon())
        return Done()

    kind.work = work
    run = worked(run)

    assert calls == [0]
    assert list(run.items.values_list("state", flat=True)) == [ItemState.SENT, ItemState.PLANNED]
    assert (run.state, run.lease_owner, run.finished_at) == (State.RUNNING, "another:1:x", None)
    assert not run.events.exists()


@pytest.mark.parametrize("outcome", [Done(), More(), Failed("no"), Pause(Wait.OUTAGE, "out", soon())], ids=repr)
def test_the_end_of_a_slice_whose_lease_is_lost_is_not_written(kind: Any, outcome: runs.Outcome) -> None:
    run = begin(items=1)
    OrmQ.objects.all().delete()

    def work(lease: Lease) -> runs.Outcome:
        Run.objects.filter(pk=run.pk).update(lease_owner="another:1:x")
        return outcome

    kind.work = work
    run = worked(run)
    assert (run.state, run.lease_owner, run.wait, run.error) == (State.RUNNING, "another:1:x", "", "")
    assert not OrmQ.objects.exists()


def test_every_way_to_write_asks_for_the_lease_and_keeping_it_prolongs_it(kind: Any) -> None:
    run = begin()
    lease = runs.claim(run.pk)
    assert lease is not None
    Run.objects.filter(pk=run.pk).update(lease_until=timezone.now())
    lease._renewed -= 10
    lease.keep()
    run.refresh_from_db()
    assert run.lease_until > timezone.now() + dt.timedelta(seconds=30)

    Run.objects.filter(pk=run.pk).update(lease_owner="another:1:x")
    lease._renewed -= 10
    for write in (lease.keep, lambda: lease.save(phase="x"), lambda: lease.commit().__enter__()):
        with pytest.raises(LeaseLost):
            write()


# --- what a slice comes to --------------------------------------------------------------------------------------------


def test_a_slice_is_not_over_before_it_has_got_anything_done(kind: Any, settings: Any) -> None:
    """On a machine so slow that the preparation takes as long as a slice, the run would never get on."""
    settings.RUN_SLICE_SECONDS = 1e-9
    lease = runs.claim(begin().pk)
    assert lease is not None
    lease.keep()
    lease.save(phase="loading")
    assert not lease.time_is_up
    with lease.commit():
        pass
    assert lease.time_is_up


def test_a_slice_that_gets_nothing_done_is_over_before_its_lease_is(kind: Any, settings: Any) -> None:
    settings.RUN_SLICE_SECONDS = settings.RUN_LEASE_SECONDS = 1e-9
    lease = runs.claim(begin().pk)
    assert lease is not None
    assert lease.time_is_up


def test_a_slice_with_more_to_do_enqueues_the_next_and_gives_the_lease_back(kind: Any) -> None:
    kind.work = lambda lease: More()
    run = begin()
    OrmQ.objects.all().delete()
    run = worked(run)
    assert (run.state, run.lease_owner, run.lease_until, wake_ups(run)) == (State.QUEUED, "", None, 1)


@pytest.mark.parametrize(
    ("states", "end"),
    [
        ([ItemState.OK, ItemState.OK], State.FINISHED),
        ([ItemState.OK, ItemState.SKIPPED], State.FINISHED),
        ([ItemState.OK, ItemState.FAILED], State.FINISHED_WITH_ERRORS),
        ([ItemState.OK, ItemState.PLANNED], State.FINISHED_WITH_ERRORS),
        ([ItemState.FAILED, ItemState.UNKNOWN], State.NEEDS_DECISION),
    ],
)
def test_the_end_of_a_run_follows_from_its_items(kind: Any, states: list[str], end: str) -> None:
    run = begin(items=2)
    for position, state in enumerate(states):
        run.items.filter(position=position).update(state=state)
    run = worked(run)
    assert run.state == end
    assert run.finished_at is not None
    assert run.planned == run.ok + run.failed + run.skipped + run.unknown + run.remaining == 2
    assert AuditEntry.objects.get(run=run, action="run ended").details["state"] == end


@pytest.mark.parametrize(
    ("error", "wait"),
    [
        (errors.Unauthorized("revoked", **FACTS), Wait.RECONNECTION),
        (errors.MissingScope("scope", **FACTS), Wait.RECONNECTION),
        (errors.NotConfigured("no secret", **FACTS), Wait.RECONNECTION),
        (errors.CreditsExhausted("spent", retry_at=soon(), **FACTS), Wait.CREDITS),
        (errors.RateLimited("slow", retry_at=soon(), **FACTS), Wait.RATE_LIMIT),
        (errors.CircuitOpen("open", retry_at=soon(), **FACTS), Wait.OUTAGE),
        (errors.Unavailable("down", **FACTS), Wait.OUTAGE),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else "",
)
def test_each_error_of_the_vendor_is_a_wait_that_says_for_what_and_until_when(
    kind: Any, error: errors.RemoteError, wait: str
) -> None:
    def work(lease: Lease) -> Done:
        raise error

    kind.work = work
    run = worked(begin(), slices=12)
    assert (run.state, run.wait, run.attempts) == (State.WAITING, wait, 0), "a known wait is no failed attempt"
    assert run.not_before > timezone.now()
    assert run.wait_detail
    assert run.events.count() == 1, "one line for a wait, not one for each look whether it is over"


def test_an_odd_answer_is_tried_again_and_given_up_when_it_stays_odd(kind: Any) -> None:
    def work(lease: Lease) -> Done:
        raise errors.BadReply("The answer is odd.", **FACTS)

    kind.work = work
    run = worked(begin())
    assert (run.state, run.wait, run.attempts) == (State.WAITING, Wait.OUTAGE, 1)
    run = worked(run, slices=runs.MAX_ATTEMPTS_WITHOUT_PROGRESS)
    assert run.state == State.FAILED
    assert "The answer is odd." in run.error


@pytest.mark.parametrize("error", [errors.Rejected("no", **FACTS), errors.ReadOnly("dry run", **FACTS)], ids=repr)
def test_an_error_that_waiting_cannot_cure_fails_the_run_with_words(kind: Any, error: errors.RemoteError) -> None:
    def work(lease: Lease) -> Done:
        raise error

    kind.work = work
    run = worked(begin())
    assert (run.state, run.wait) == (State.FAILED, "")
    assert errors.describe(error).what in run.error


# --- internal errors --------------------------------------------------------------------------------------------------


def test_an_internal_error_is_redacted_shown_and_tried_again(kind: Any, caplog: pytest.LogCaptureFixture) -> None:
    def work(lease: Lease) -> Done:
        raise ValueError("Zoho-oauthtoken 1000.abcdef0123456789.abcdef0123456789 of mary@example.com")

    kind.work = work
    run = worked(begin())

    assert (run.state, run.wait, run.attempts) == (State.WAITING, Wait.OUTAGE, 1)
    assert run.error.startswith("ValueError: ")
    told = run.error + run.wait_detail + "".join(run.events.values_list("message", flat=True))
    assert "1000.abcdef" not in told
    assert "mary@" not in told
    assert "Traceback" in run.traceback
    assert "raise ValueError" in run.traceback
    assert "1000.abcdef" not in run.traceback
    assert run.events.filter(level=RunEvent.Level.ERROR).count() == 1
    kind.work = lambda lease: Done()
    run = worked(run)
    assert (run.state, run.error) == (State.FINISHED, "")


def test_a_run_without_progress_is_given_up_after_the_limit_and_can_be_resumed(kind: Any) -> None:
    def work(lease: Lease) -> Done:
        raise ValueError("broken")

    kind.work = work
    run = worked(begin(), slices=runs.MAX_ATTEMPTS_WITHOUT_PROGRESS)
    assert run.state == State.WAITING
    run = worked(run)
    assert run.state == State.FAILED
    assert "Gave up after 8 attempts" in run.error
    assert "ValueError: broken" in run.error

    kind.work = lambda lease: Done()
    assert runs.resume(run)
    run = worked(run)
    assert (run.state, run.error) == (State.FINISHED, "")


def test_a_worker_killed_again_and_again_without_progress_gives_the_run_up(kind: Any) -> None:
    run = begin()
    for _ in range(runs.MAX_ATTEMPTS_WITHOUT_PROGRESS):
        assert runs.claim(run.pk) is not None
        Run.objects.filter(pk=run.pk).update(lease_until=ago(seconds=1))
    assert worked(run).state == State.FAILED


def test_attempts_with_progress_are_never_too_many(kind: Any) -> None:
    run = begin(items=30)

    def work(lease: Lease) -> Done:
        item = lease.items.filter(state=ItemState.PLANNED).first()
        if item is None:
            return Done()
        with lease.commit():
            lease.items.filter(pk=item.pk).update(state=ItemState.OK)
        raise ValueError("broken")

    kind.work = work
    run = worked(run, slices=31)
    assert (run.state, run.ok) == (State.FINISHED, 30)


def test_a_run_whose_secrets_no_key_opens_waits_for_reconnection(zoho: Connection, settings: Any) -> None:
    run = runs.start(
        kind="crm.bulk_update", title="A view", connection=zoho, phase="load",
        parameters={"module": "Leads", "source": {"type": "view", "id": "1"}},
    )  # fmt: skip
    settings.FIELD_ENCRYPTION_KEYS = ["Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyMTI="]
    run = worked(run)
    assert (run.state, run.wait) == (State.WAITING, Wait.RECONNECTION)
    assert "FIELD_ENCRYPTION_KEYS" in run.wait_detail
