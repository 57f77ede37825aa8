"""A run through random stops, resumptions, deaths of its worker, thefts of its lease and faults of the vendor.

Whatever the order, nothing is lost, nothing is written twice, and the numbers add up after each step.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils import timezone
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from crm import bulk_update
from crm.selection import parse
from portal import runs
from portal.models import Connection, RemoteState, Run, RunItem
from portal.standin import Standin

pytestmark = pytest.mark.django_db

State, ItemState = Run.State, RunItem.State
RECORDS = 40
FAULTS = st.sampled_from(
    [
        {"drop": "before"}, {"drop": "after"}, {"status": 500}, {"status": 503, "when": "after"}, {"malformed": True},
        {"status": 204, "when": "after"}, {"status": 429, "headers": {"Retry-After": "0"}}, {"truncate": 30},
    ]
)  # fmt: skip
COMMITS_OF_A_SLICE = 9
NUMBERS = st.integers(1, COMMITS_OF_A_SLICE)
STEPS = st.one_of(
    st.just(("wake", 0)),
    st.just(("stop and resume", 0)),
    st.just(("second delivery", 0)),
    st.tuples(st.just("die"), NUMBERS),
    st.tuples(st.just("lose"), NUMBERS),
    st.tuples(st.just("stop within"), NUMBERS),
    st.tuples(st.just("fault"), FAULTS),
)


class Killed(BaseException):
    """The process ends here, without a last word."""


class Trial:
    """One run and what must be true of it at any time."""

    def __init__(self, connection: Connection, standin: Standin, ids: list[str]) -> None:
        self.standin, self.ids = standin, ids
        change = {"field": "Lead_Status", "value": "Junk Lead", "automation": False}
        self.run = bulk_update.start(
            connection=connection, module="Leads", source={"type": "ids"}, selection=parse("\n".join(ids)),
            change=change, confirmed=True,
        )  # fmt: skip
        self.final: dict[str, str] = {}

    def do(self, step: str, argument: Any) -> None:
        match step:
            case "wake":
                self.wake()
            case "stop and resume":
                runs.stop(self.fresh())
                self.check()
                self.wake()
                runs.resume(self.fresh())
            case "second delivery":
                with at_commit(3, lambda: runs.wake(self.run.pk)):
                    self.wake()
            case "die":
                with at_commit(argument, kill):
                    self.wake()
            case "lose":
                with at_commit(argument, self.steal):
                    self.wake()
            case "stop within":
                with at_commit(argument, lambda: runs.stop(self.fresh())):
                    self.wake()
                self.check()
                runs.resume(self.fresh())
            case "fault":
                self.standin.faults.add(method="PUT", times=1, **argument)
                self.wake()

    def fresh(self) -> Run:
        return Run.objects.get(pk=self.run.pk)

    def steal(self) -> None:
        """The lease runs out while the worker still lives, and another one works a slice."""
        Run.objects.filter(pk=self.run.pk).update(lease_until=None)
        runs.wake(self.run.pk)

    def wake(self) -> None:
        """The next slice, as if its hour had come and a dead worker's lease had run out."""
        Run.objects.filter(pk=self.run.pk, not_before__isnull=False).update(not_before=timezone.now())
        RemoteState.objects.all().delete()
        try:
            runs.wake(self.run.pk)
        except Killed:
            pass
        Run.objects.filter(pk=self.run.pk, lease_until__isnull=False).update(lease_until=None)

    def check(self) -> None:
        run = self.fresh()
        runs.refresh_counts(run)
        items = dict(run.items.values_list("key", "state"))
        assert run.planned == len(items) <= len(self.ids)
        assert run.planned == run.ok + run.failed + run.skipped + run.unknown + run.remaining
        for key, state in self.final.items():
            assert items[key] == state, "what has its outcome keeps it"
        self.final = {key: state for key, state in items.items() if state in RunItem.FINAL}
        for key in self.ids:
            writes, value = self.standin.writes("Leads", key), self.standin.record("Leads", key)["Lead_Status"]
            assert writes.writes <= 1, "what has happened is found by reading and not repeated"
            assert items.get(key) != ItemState.OK or value == "Junk Lead"
        if run.state in Run.CLOSED:
            assert ItemState.SENT not in items.values()

    def finish(self) -> None:
        self.standin.faults.clear()
        for _ in range(60):
            runs.resume(self.fresh())
            self.wake()
            self.check()
            if self.fresh().state == State.FINISHED:
                return
        raise AssertionError(f"still {self.fresh().state}: {self.fresh().error}")


def kill() -> None:
    raise Killed


@contextmanager
def at_commit(number: int, act: Any) -> Iterator[None]:
    """Does `act` just before the n-th fenced commit of a slice."""
    original, count = runs.Lease.commit, 0

    def commit(lease: runs.Lease, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            act()
        return original(lease, **options)

    runs.Lease.commit = commit
    try:
        yield
    finally:
        runs.Lease.commit = original


@pytest.fixture
def leads(plain_leads: Callable[[int], list[str]]) -> list[str]:
    return plain_leads(RECORDS)


@pytest.fixture
def small_batches(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of five records, and slices that end after some commits instead of some seconds."""
    settings.ZOHO_BATCH_SIZE = 5
    settings.REMOTE_BREAKER_FAILURES = 1000
    original, counts = runs.Lease.commit, defaultdict(int)

    def counted(lease: runs.Lease, **options: Any) -> Any:
        counts[lease.owner] += 1
        return original(lease, **options)

    monkeypatch.setattr(runs.Lease, "commit", counted)
    is_over = property(lambda lease: counts[lease.owner] >= COMMITS_OF_A_SLICE)
    monkeypatch.setattr(runs.Lease, "time_is_up", is_over)


@hypothesis_settings(
    max_examples=25, deadline=None, derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(steps=st.lists(STEPS, min_size=2, max_size=12))
def test_whatever_happens_each_record_is_written_once_and_the_numbers_add_up(
    zoho: Connection, standin: Standin, leads: list[str], small_batches: None, steps: list[tuple[str, Any]]
) -> None:
    standin.reset()
    Connection.objects.filter(pk=zoho.pk).update(concurrency=20)
    trial = Trial(Connection.objects.get(pk=zoho.pk), standin, leads)
    for step, argument in steps:
        trial.do(step, argument)
        trial.check()
    trial.finish()
    assert {standin.record("Leads", key)["Lead_Status"] for key in leads} == {"Junk Lead"}
    assert all(standin.writes("Leads", key).writes == 1 for key in leads)
    assert trial.fresh().ok == RECORDS
