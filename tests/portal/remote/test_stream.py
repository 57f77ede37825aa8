from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from portal.models import ApiUsage, ConcurrencySlot, Connection
from portal.remote import errors
from portal.remote.session import Reply, Request
from portal.remote.transport import NoAnswer
from tests.portal.remote.conftest import OpenSession, Script, answer

pytestmark = pytest.mark.django_db


class LeaseLost(Exception):
    pass


def writes(count: int) -> list[Request]:
    return [Request("POST", f"/crm/v8/Leads/{number}", "crm.insert", json={}, tag=number) for number in range(count)]


def number_of(prepared: requests.PreparedRequest) -> int:
    return int(str(prepared.url).rpartition("/")[2])


def held_slots() -> int:
    return ConcurrencySlot.objects.exclude(owner="").count()


def test_every_request_comes_back_exactly_once_with_its_tag(open_session: OpenSession, account: Connection) -> None:
    wire = Script(lambda prepared: answer(200, {"number": number_of(prepared)}))
    outcomes = list(open_session(transport=wire).stream(writes(50)))
    assert sorted(request.tag for request, _ in outcomes) == list(range(50))
    assert all(isinstance(reply, Reply) and reply.json["number"] == request.tag for request, reply in outcomes)
    assert ApiUsage.objects.get(key=account.limit_key).calls == 50
    assert held_slots() == 0


def test_calls_run_side_by_side_up_to_the_width(open_session: OpenSession) -> None:
    together = threading.Barrier(4)

    def meet(_: requests.PreparedRequest) -> Any:
        together.wait(10)
        return answer(200, {})

    wire = Script(meet)
    assert len(list(open_session(transport=wire).stream(writes(12), width=4))) == 12
    assert wire.peak == 4


def test_the_width_never_exceeds_the_connection(open_session: OpenSession, account: Connection) -> None:
    account.concurrency = 3
    wire = Script(lambda _: answer(200, {}))
    list(open_session(transport=wire).stream(writes(20), width=50))
    assert wire.peak <= 3


def test_the_source_is_not_read_ahead(open_session: OpenSession) -> None:
    pulled: list[int] = []
    finished: list[int] = []

    def source() -> Iterator[Request]:
        for request in writes(20):
            pulled.append(request.tag)
            assert len(pulled) - len(finished) <= 2
            yield request

    for request, _ in open_session(transport=Script(lambda _: answer(200, {}))).stream(source(), width=2):
        finished.append(request.tag)
    assert len(finished) == 20


def test_an_error_of_one_request_is_an_outcome_not_an_end(open_session: OpenSession) -> None:
    wire = Script(
        lambda prepared: answer(400, {"code": "INVALID_DATA"}) if number_of(prepared) == 3 else answer(200, {})
    )
    outcomes = {request.tag: outcome for request, outcome in open_session(transport=wire).stream(writes(6))}
    assert isinstance(outcomes.pop(3), errors.Rejected)
    assert all(isinstance(outcome, Reply) for outcome in outcomes.values())


def test_a_failed_attempt_is_repeated_within_the_stream(open_session: OpenSession) -> None:
    failed: set[int] = set()

    def fail_once(prepared: requests.PreparedRequest) -> Any:
        number = number_of(prepared)
        if number % 5 == 0 and number not in failed:
            failed.add(number)
            return answer(503, {})
        return answer(200, {})

    requests_ = [Request("GET", f"/crm/v8/Leads/{number}", "crm.get", tag=number) for number in range(12)]
    outcomes = list(open_session(transport=Script(fail_once)).stream(requests_))
    assert len(outcomes) == 12
    assert all(isinstance(outcome, Reply) for _, outcome in outcomes)
    assert failed == {0, 5, 10}


def test_the_consumer_sees_an_error_before_the_source_is_asked_again(open_session: OpenSession) -> None:
    stop = False

    def source() -> Iterator[Request]:
        for request in writes(100):
            if stop:
                return
            yield request

    wire = Script(lambda _: answer(429, {}, Retry_After="3600"))
    outcomes = []
    for request, outcome in open_session(transport=wire).stream(source(), width=1):
        outcomes.append((request.tag, type(outcome)))
        stop = True
    assert outcomes == [(0, errors.RateLimited)]


def test_a_failing_source_lets_the_calls_under_way_finish_first(open_session: OpenSession) -> None:
    gate = threading.Event()

    def source() -> Iterator[Request]:
        yield from writes(3)
        gate.set()
        raise LeaseLost

    def answer_late(_: requests.PreparedRequest) -> Any:
        gate.wait(10)
        return answer(200, {})

    wire = Script(answer_late)
    stream = open_session(transport=wire).stream(source(), width=5)
    outcomes: list[Any] = []
    with pytest.raises(LeaseLost):
        outcomes.extend((request.tag, type(outcome)) for request, outcome in stream)
    assert sorted(outcomes) == [(0, Reply), (1, Reply), (2, Reply)]
    assert held_slots() == 0


def test_nothing_is_repeated_after_the_source_failed(open_session: OpenSession) -> None:
    gate = threading.Event()

    def source() -> Iterator[Request]:
        yield Request("PUT", "/crm/v8/Leads/1", "crm.update", json={}, repeatable=True, tag=1)
        gate.set()
        raise LeaseLost

    def lose(_: requests.PreparedRequest) -> Any:
        gate.wait(10)
        return NoAnswer("ReadTimeout")

    wire = Script(lose)
    outcomes: list[Any] = []
    with pytest.raises(LeaseLost):
        outcomes.extend(outcome for _, outcome in open_session(transport=wire).stream(source(), width=2))
    assert len(wire.sent) == 1
    assert isinstance(outcomes[0], errors.Unavailable)
    assert outcomes[0].outcome_unknown


def test_closing_early_waits_for_nothing_and_gives_slots_back_later(open_session: OpenSession) -> None:
    gate = threading.Event()

    def hang(prepared: requests.PreparedRequest) -> Any:
        if number_of(prepared):
            gate.wait(10)
        return answer(200, {})

    session = open_session(transport=Script(hang))
    stream = session.stream(writes(10), width=3)
    request, _ = next(stream)
    stream.close()
    assert request.tag == 0
    assert held_slots() == 2
    gate.set()
    session.close()
    assert held_slots() == 0


def test_a_stream_waits_for_slots_that_others_hold(open_session: OpenSession, account: Connection) -> None:
    account.concurrency = 1
    other = open_session(transport=Script(lambda _: answer(200, {})))
    held = other.limits.acquire(writes(1)[0])
    assert held is not None
    wire = Script(lambda _: answer(200, {}))
    ((_, outcome),) = open_session(transport=wire).stream(writes(1))
    assert isinstance(outcome, errors.RateLimited)
    assert not outcome.outcome_unknown
    assert wire.sent == []
    other.limits.release(held)
    ((_, outcome),) = open_session(transport=wire).stream(writes(1))
    assert isinstance(outcome, Reply)


def test_an_empty_source_gives_nothing(open_session: OpenSession) -> None:
    assert list(open_session(transport=Script(lambda _: answer(200, {}))).stream([])) == []
