"""Many calls at once: threads wait for the vendor, everything else happens in the caller's thread."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from typing import Protocol

from portal.remote.attempts import Job, Later, Sent, Ticket
from portal.remote.errors import RemoteError
from portal.remote.messages import Reply, Request

Outcome = tuple[Request, Reply | RemoteError]


@dataclass(frozen=True)
class Flight:
    """One attempt that a thread is waiting for."""

    job: Job
    ticket: Ticket
    future: Future[Sent]


class Steps(Protocol):
    """The three steps of a call, and the clock between them."""

    sleep: Callable[[float], None]
    monotonic: Callable[[], float]

    def admit(self, job: Job) -> Ticket | Later: ...

    def transmit(self, job: Job, ticket: Ticket) -> Sent: ...

    def settle(self, job: Job, ticket: Ticket, sent: Sent) -> Reply | Later: ...

    def abandon(self, flights: Iterable[Flight]) -> None: ...


class Stream:
    """At most `width` requests are pulled and unfinished; those that wait for a retry or for admission count too."""

    def __init__(self, steps: Steps, requests: Iterable[Request], width: int) -> None:
        self._steps = steps
        self._source = iter(requests)
        self._width = width
        self._flights: dict[Future[Sent], Flight] = {}
        self._delayed: list[tuple[float, int, Job, Later]] = []
        self._order = itertools.count()
        self._source_error: BaseException | None = None
        self._ended = False

    def outcomes(self) -> Iterator[Outcome]:
        executor = ThreadPoolExecutor(self._width, thread_name_prefix="remote")
        try:
            while True:
                yield from self._start_calls(executor)
                if not self._flights and not self._delayed:
                    break
                yield from self._finish_calls()
            if self._source_error is not None:
                raise self._source_error
        finally:
            # Only after an early close is anything still under way; the HTTP time-out ends those threads.
            executor.shutdown(wait=False, cancel_futures=True)
            self._steps.abandon(self._flights.values())

    # --- towards the wire ---------------------------------------------------------------------------------------------

    def _start_calls(self, executor: ThreadPoolExecutor) -> Iterator[Outcome]:
        if self._source_error is not None:
            yield from self._give_up_delayed()
            return
        for job in self._due_jobs():
            yield from self._start(executor, job)
        while self._may_pull():
            request = self._pull()
            if request is None:
                return
            yield from self._start(executor, Job(request))

    def _due_jobs(self) -> list[Job]:
        now = self._steps.monotonic()
        jobs = []
        while self._delayed and self._delayed[0][0] <= now:
            jobs.append(heapq.heappop(self._delayed)[2])
        return jobs

    def _may_pull(self) -> bool:
        """Nothing is pulled while a request waits for admission: the next one would only wait behind it."""
        if self._ended or any(later.is_blocked for *_, later in self._delayed):
            return False
        return len(self._flights) + len(self._delayed) < self._width

    def _pull(self) -> Request | None:
        try:
            return next(self._source)
        except StopIteration:
            self._ended = True
        except BaseException as error:  # raised again after the calls under way were accounted for
            self._ended = True
            self._source_error = error
        return None

    def _start(self, executor: ThreadPoolExecutor, job: Job) -> Iterator[Outcome]:
        try:
            step = self._steps.admit(job)
        except RemoteError as error:
            yield job.request, error
            return
        if isinstance(step, Later):
            self._delay(job, step)
            return
        future = executor.submit(self._steps.transmit, job, step)
        self._flights[future] = Flight(job, step, future)

    def _delay(self, job: Job, later: Later) -> None:
        due = self._steps.monotonic() + later.seconds
        heapq.heappush(self._delayed, (due, next(self._order), job, later))

    def _give_up_delayed(self) -> Iterator[Outcome]:
        """The source has failed, so nothing may be sent any more: what waits keeps its last outcome."""
        while self._delayed:
            *_, job, later = heapq.heappop(self._delayed)
            later.error.outcome_unknown |= job.uncertain
            yield job.request, later.error

    # --- back from the wire -------------------------------------------------------------------------------------------

    def _finish_calls(self) -> Iterator[Outcome]:
        """Waits for the next completion or the next due time, and settles the oldest call that is complete.

        One at a time, so that its successor is on its way before the next answer is worked on: calls that started
        together would otherwise stay together, and the vendor would idle while their answers are stored.
        """
        pause_s = max(self._delayed[0][0] - self._steps.monotonic(), 0.0) if self._delayed else None
        if not self._flights:
            self._steps.sleep(pause_s or 0.0)
            return
        done, _ = wait(self._flights, timeout=pause_s, return_when=FIRST_COMPLETED)
        if not done:
            return
        flight = self._flights.pop(next(future for future in self._flights if future in done))
        try:
            step = self._steps.settle(flight.job, flight.ticket, flight.future.result())
        except RemoteError as error:
            yield flight.job.request, error
            return
        if isinstance(step, Later):
            self._delay(flight.job, step)
        else:
            yield flight.job.request, step
