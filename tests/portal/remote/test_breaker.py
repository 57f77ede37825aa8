from __future__ import annotations

from typing import Any

import pytest

from portal.models import RemoteState
from portal.remote import errors
from portal.remote.breaker import Breaker, Gate
from portal.remote.session import Request
from portal.remote.state import SharedState
from tests.portal.remote.conftest import Clock, OpenSession, Script, answer, in_threads

pytestmark = pytest.mark.django_db
READ = Request("GET", "/crm/v8/Leads", "crm.list")


def make(clock: Clock) -> Breaker:
    return Breaker(SharedState("zoho:1", now=clock.now, monotonic=clock.monotonic))


def opened(clock: Clock) -> Breaker:
    breaker = make(clock)
    for _ in range(5):
        breaker.failed(trial=False)
    return breaker


def test_it_opens_after_failures_in_a_row_for_all_processes(clock: Clock) -> None:
    breaker = make(clock)
    for _ in range(4):
        breaker.failed(trial=False)
    assert make(clock).gate() is Gate.CLOSED
    breaker.failed(trial=False)
    assert make(clock).gate() is Gate.OPEN
    assert make(clock).retry_at() == clock.after(seconds=30)


def test_an_answer_in_between_starts_the_count_anew(clock: Clock) -> None:
    breaker = make(clock)
    for _ in range(4):
        breaker.failed(trial=False)
    breaker.answered(trial=False)
    for _ in range(4):
        breaker.failed(trial=False)
    assert breaker.gate() is Gate.CLOSED


def test_late_failures_do_not_prolong_the_pause(clock: Clock) -> None:
    breaker = opened(clock)
    clock.advance(20)
    breaker.failed(trial=False)
    assert breaker.retry_at() == clock.after(seconds=10)


def test_a_late_answer_does_not_close_it(clock: Clock) -> None:
    breaker = opened(clock)
    breaker.answered(trial=False)
    assert breaker.gate() is Gate.OPEN


def test_one_trial_is_let_through_over_all_processes(threads_may_connect: None) -> None:
    clock = Clock()
    opened(clock)
    clock.advance(31)
    assert sorted(in_threads(10, lambda _: make(clock).claim_trial(60))) == [False] * 9 + [True]
    assert make(clock).gate() is Gate.WAIT


def test_a_successful_trial_closes_it(clock: Clock) -> None:
    breaker = opened(clock)
    clock.advance(31)
    assert breaker.gate() is Gate.TRIAL
    assert breaker.claim_trial(60)
    breaker.answered(trial=True)
    assert make(clock).gate() is Gate.CLOSED
    assert RemoteState.objects.get(key="zoho:1").failures == 0


def test_a_failed_trial_opens_it_again(clock: Clock) -> None:
    breaker = opened(clock)
    clock.advance(31)
    breaker.claim_trial(60)
    breaker.failed(trial=True)
    assert breaker.gate() is Gate.OPEN
    assert breaker.retry_at() == clock.after(seconds=30)


def test_a_trial_whose_holder_died_is_given_to_another(clock: Clock) -> None:
    breaker = opened(clock)
    clock.advance(31)
    assert breaker.claim_trial(60)
    clock.advance(61)
    assert breaker.gate() is Gate.TRIAL
    assert breaker.claim_trial(60)


@pytest.mark.parametrize(
    ("reply", "counts"),
    [(answer(500), True), (answer(503), True), (answer(400), False), (answer(404), False), (answer(429), False)],
)
def test_only_failures_of_the_vendor_count(open_session: OpenSession, settings: Any, reply: Any, counts: bool) -> None:
    settings.REMOTE_MAX_ATTEMPTS = 1
    session = open_session(transport=Script(lambda _: reply))
    with pytest.raises(errors.RemoteError):
        session.call(READ)
    assert RemoteState.objects.filter(failures__gt=0).exists() is counts


def test_an_open_breaker_sends_nothing_and_says_when(open_session: OpenSession, clock: Clock, settings: Any) -> None:
    settings.REMOTE_MAX_ATTEMPTS = 1
    wire = Script(lambda _: answer(500))
    for _ in range(5):
        with pytest.raises(errors.Unavailable):
            open_session(transport=wire).call(READ)
    with pytest.raises(errors.CircuitOpen) as caught:
        open_session(transport=wire).call(READ)
    assert caught.value.retry_at == clock.after(seconds=30)
    assert not caught.value.outcome_unknown
    assert len(wire.sent) == 5


def test_a_write_cut_off_by_the_breaker_keeps_its_unknown_outcome(open_session: OpenSession, settings: Any) -> None:
    settings.REMOTE_BREAKER_FAILURES = 1
    with pytest.raises(errors.CircuitOpen) as caught:
        open_session(transport=Script(lambda _: answer(500))).call(
            Request("PUT", "/x", "crm.update", json={}, repeatable=True)
        )
    assert caught.value.outcome_unknown


def test_calls_go_on_by_themselves_after_a_successful_trial(
    open_session: OpenSession, clock: Clock, settings: Any
) -> None:
    settings.REMOTE_MAX_ATTEMPTS = 1
    replies = [answer(500)] * 5
    wire = Script(lambda _: replies.pop() if replies else answer(200, {}))
    session = open_session(transport=wire)
    for _ in range(5):
        with pytest.raises(errors.Unavailable):
            session.call(READ)
    clock.advance(31)
    outcomes = list(session.stream([READ] * 20))
    assert [outcome.status for _, outcome in outcomes] == [200] * 20


def test_calls_during_a_trial_wait_for_its_verdict(open_session: OpenSession, account: Any, clock: Clock) -> None:
    RemoteState.objects.create(
        key=account.limit_key,
        failures=5,
        open_until=clock.after(seconds=-1),
        trial_until=clock.after(seconds=10),
    )
    assert open_session(transport=Script(lambda _: answer(200, {}))).call(READ).status == 200
    assert sum(clock.naps) >= 10
