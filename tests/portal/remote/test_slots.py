from __future__ import annotations

import threading
from typing import Any

import pytest

from portal.models import ConcurrencySlot
from portal.remote import slots as module
from portal.remote.session import RemoteSession, Reply, Request
from portal.remote.slots import Slots, is_dead_here, owner_name
from tests.portal.remote.conftest import Clock, Script, answer, in_threads, make_account

pytestmark = pytest.mark.django_db


def make(clock: Clock, size: int = 3, owner: str = "") -> Slots:
    return Slots("zoho:1", size, owner or owner_name(), now=clock.now, monotonic=clock.monotonic)


def test_no_more_slots_than_the_limit_are_given_out(clock: Clock) -> None:
    first, second = make(clock), make(clock)
    assert [first.acquire(60) is not None, second.acquire(60) is not None, first.acquire(60) is not None] == [True] * 3
    assert first.acquire(60) is None
    assert second.acquire(60) is None


def test_a_released_slot_is_taken_again_with_one_query(clock: Clock, django_assert_num_queries: Any) -> None:
    slots = make(clock)
    slot = slots.acquire(60)
    assert slot is not None
    slots.release(slot)
    with django_assert_num_queries(1):
        assert slots.acquire(60) is not None


def test_a_lease_that_ran_out_is_free(clock: Clock) -> None:
    dead, living = make(clock, size=1), make(clock, size=1)
    assert dead.acquire(60) is not None
    clock.advance(60 + module.LEASE_MARGIN_S - 1)
    assert living.acquire(60) is None
    clock.advance(2)
    assert living.acquire(60) is not None


def test_a_late_release_does_not_free_the_slot_of_the_next_holder(clock: Clock) -> None:
    late, next_ = make(clock, size=1), make(clock, size=1)
    slot = late.acquire(60)
    clock.advance(120)
    assert slot is not None
    assert next_.acquire(60) is not None
    late.release(slot)
    assert make(clock, size=1).acquire(60) is None


def test_a_lower_limit_leaves_the_surplus_slots_unused(clock: Clock) -> None:
    wide = make(clock, size=5)
    for slot in [wide.acquire(60) for _ in range(5)]:
        assert slot is not None
        wide.release(slot)
    narrow = make(clock, size=2)
    assert [narrow.acquire(60) is not None for _ in range(4)] == [True, True, False, False]


def test_slots_of_a_killed_process_open_after_its_calls_settled(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    killed, living = make(clock, size=1, owner="here:1:ff"), make(clock, size=1)
    monkeypatch.setattr(module, "is_dead_here", lambda owner: owner == "here:1:ff")
    assert killed.acquire(600) is not None
    assert living.acquire(60) is None
    clock.advance(1)
    assert living.acquire(60) is None
    clock.advance(1.5)
    assert living.acquire(60) is not None


def test_only_processes_of_this_machine_are_judged(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_such_process(pid: int, signal: int) -> None:
        raise ProcessLookupError

    mine = owner_name()
    assert not is_dead_here(mine)
    monkeypatch.setattr("os.kill", no_such_process)
    assert is_dead_here(mine)
    assert not is_dead_here("elsewhere:1:ff")
    assert not is_dead_here("")


def test_a_session_above_its_share_lets_a_waiting_one_go_first(clock: Clock) -> None:
    greedy, waiting = make(clock, size=4), make(clock, size=4)
    held = [slot for slot in (greedy.acquire(60) for _ in range(4)) if slot]
    assert waiting.acquire(60) is None
    clock.advance(0.5)
    greedy.release(held.pop())
    assert greedy.acquire(60) is None
    assert waiting.acquire(60) is not None
    clock.advance(0.5)
    greedy.release(held.pop())
    assert greedy.acquire(60) is not None


def test_a_waiting_session_that_went_away_is_not_waited_for(clock: Clock) -> None:
    greedy, gone = make(clock, size=2), make(clock, size=2)
    held = [slot for slot in (greedy.acquire(60) for _ in range(2)) if slot]
    assert gone.acquire(60) is None
    clock.advance(5)
    greedy.release(held.pop())
    assert greedy.acquire(60) is not None


def test_many_threads_never_hold_more_than_the_limit(threads_may_connect: None) -> None:
    clock = Clock()
    lock = threading.Lock()
    holding, peak = 0, 0

    def hold(_: int) -> int:
        nonlocal holding, peak
        slots, times = make(clock, size=3), 0
        for _ in range(40):
            slot = slots.acquire(60)
            if slot is None:
                continue
            with lock:
                holding += 1
                peak = max(peak, holding)
            times += 1
            with lock:
                holding -= 1
            slots.release(slot)
        return times

    results = in_threads(8, hold)
    assert all(isinstance(times, int) for times in results), results
    assert sum(results) > 0
    assert peak <= 3
    assert not ConcurrencySlot.objects.filter(key="zoho:1").exclude(owner="").exists()


def test_sessions_of_several_workers_stay_within_the_limit_together(threads_may_connect: None, settings: Any) -> None:
    settings.REMOTE_MAX_PAUSE_S = 10_000.0
    clock = Clock()
    account = make_account(clock, concurrency=4)
    wire = Script(lambda _: answer(200, {}))

    def work(_: int) -> list[Any]:
        # Each worker has a clock of its own for its naps: shared, they would let each other's leases run out.
        own = Clock()
        with RemoteSession(
            account, transport=wire, purpose="run", sleep=own.sleep, now=clock.now, monotonic=own.monotonic
        ) as session:
            return [outcome for _, outcome in session.stream(Request("GET", f"/{i}", "crm.get") for i in range(25))]

    outcomes = [outcome for result in in_threads(3, work) for outcome in result]
    assert len(outcomes) == 75
    assert all(isinstance(outcome, Reply) for outcome in outcomes)
    assert wire.peak <= 4


def test_heavy_calls_have_a_limit_of_their_own(clock: Clock, settings: Any) -> None:
    settings.ZOHO_HEAVY_CONCURRENCY = 2
    account = make_account(clock, concurrency=5)
    heavy, light = Request("POST", "/x", "crm.coql", heavy=True), Request("GET", "/x", "crm.get")
    with RemoteSession(account, transport=Script(lambda _: answer(200, {})), now=clock.now) as session:
        limits = session.limits
        held = [limits.acquire(heavy) for _ in range(3)]
        assert [slots is not None for slots in held] == [True, True, False]
        assert [limits.acquire(light) is not None for _ in range(4)] == [True, True, True, False]
        assert held[0] is not None
        limits.release(held[0])
        assert limits.acquire(heavy) is not None
