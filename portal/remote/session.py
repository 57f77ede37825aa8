"""The one path of a call: admit → transmit → settle.

`admit` and `settle` do all database work in the caller's thread; `transmit` is HTTP only and runs in any thread.
`call` loops over the three for one request, `stream` (portal.remote.streaming) for many at once.
Not to be used inside a transaction: other processes would not see the slots, and a database would wait for a vendor.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import wait
from types import TracebackType
from typing import Any, Literal, Self

import requests
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from portal.models import Connection
from portal.remote import downloads, replies, retries
from portal.remote.attempts import Job, Later, Sent, Ticket
from portal.remote.breaker import Breaker, Gate
from portal.remote.buckets import Permit
from portal.remote.credentials import Credentials, of_row
from portal.remote.errors import (
    CircuitOpen,
    MissingScope,
    RateLimited,
    ReadOnly,
    RemoteError,
    Unauthorized,
    Unavailable,
)
from portal.remote.limits import Limits
from portal.remote.messages import Reply, Request
from portal.remote.oauth import Token, Tokens, mark_connection
from portal.remote.outgoing import Outgoing
from portal.remote.state import SharedState
from portal.remote.streaming import Flight, Stream
from portal.remote.transport import Answer, FileFailed, HttpTransport, NoAnswer, NotSent, Timeouts, Transport
from portal.remote.vendors import traits_of

__all__ = ["RemoteSession", "Reply", "Request"]

logger = logging.getLogger(__name__)

POLL_S = 0.05
SUCCESS_SHOWN_EVERY = dt.timedelta(minutes=1)
# A run that waits for one file beyond its lease would be taken over by another worker in the middle of it.
LEASE_MARGIN_S = 10.0


class RemoteSession:
    """Calls of one connection. One thread owns it; close it, or use it as a context manager."""

    def __init__(
        self,
        connection: Connection,
        *,
        purpose: Literal["interactive", "run"] = "interactive",
        read_only: bool = False,
        transport: Transport | None = None,
        resolve_credentials: Callable[[Connection], Credentials] = of_row,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], dt.datetime] = timezone.now,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.connection = connection
        self.read_only = read_only
        self.traits = traits_of(connection)
        self.sleep, self.now, self.monotonic = sleep, now, monotonic
        self._transport = transport or HttpTransport(connection.concurrency)
        self._owns_transport = transport is None
        state = SharedState(connection.limit_key, now=now, monotonic=monotonic)
        self.limits = Limits(connection, self.traits, state, is_run=purpose == "run", now=now, monotonic=monotonic)
        self._is_run = purpose == "run"
        self._breaker = Breaker(state)
        self._tokens = Tokens(resolve_credentials=resolve_credentials, transport=transport, sleep=sleep, now=now)
        self._token: Token | None = None
        self._token_checked_at = float("-inf")
        self._abandoned: list[Flight] = []
        # Attempts that were refused for their rate and are not settled yet: nothing may follow them before.
        self._refused: set[int] = set()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Gives back what is held. Calls that a closed stream left under way get a moment to end."""
        if self._abandoned:
            wait([flight.future for flight in self._abandoned], timeout=settings.RUN_SETTLE_SECONDS)
            self._book_abandoned()
        if self._owns_transport:
            self._transport.close()

    def call(self, request: Request) -> Reply:
        """Sends one request and waits for its reply. Raises RemoteError subclasses only."""
        job = Job(request)
        while True:
            step: Ticket | Reply | Later = self.admit(job)
            if isinstance(step, Ticket):
                step = self.settle(job, step, self._transmit_here(job, step))
            if isinstance(step, Reply):
                return step
            self.sleep(step.seconds)

    def _transmit_here(self, job: Job, ticket: Ticket) -> Sent:
        try:
            return self.transmit(job, ticket)
        except BaseException:  # a stop signal: the call is broken off, so its slot is free
            self.limits.release(ticket.slots)
            raise

    def stream(
        self, requests: Iterable[Request], width: int | None = None
    ) -> Iterator[tuple[Request, Reply | RemoteError]]:
        """Sends many requests at once and yields each with its outcome, as they complete.

        The next request is taken from the iterator, in this thread, only when it can be sent soon; at most `width`
        (the connection's concurrency by default) are under way. Errors are yielded, not raised: whether a run goes on
        after one is decided by the source, which is asked again only after the error was seen. When the source raises,
        the calls under way are waited for and yielded first; none of them is repeated then. When the generator is
        closed early, nothing is waited for.
        """
        return Stream(self, requests, min(width or self.connection.concurrency, self.connection.concurrency)).outcomes()

    def abandon(self, flights: Iterable[Flight]) -> None:
        """Calls that a stream left under way. They are booked when they are done and this session is used or closed;
        until then, or until their lease ends, they keep their slots."""
        self._abandoned.extend(flights)

    def _book_abandoned(self) -> None:
        left = []
        for flight in self._abandoned:
            if flight.future.cancelled():
                self.limits.release(flight.ticket.slots)
            elif flight.future.done():
                sent = flight.future.result()
                outcome = self._outcome(flight.job, sent)
                self._book(flight.job, flight.ticket, sent, outcome)
                if isinstance(outcome, RateLimited):
                    self._pause_after(flight.job, flight.ticket, sent, outcome)
                if isinstance(outcome, Reply) and outcome.file is not None:
                    outcome.file.close()
                flight.job.give_up_file()
                self._refused.discard(id(flight.ticket))
            else:
                left.append(flight)
        self._abandoned = left

    # --- admit --------------------------------------------------------------------------------------------------------

    def admit(self, job: Job) -> Ticket | Later:
        """Everything that must be true before a call is sent. Raises the RemoteError that forbids it."""
        self._book_abandoned()
        request = job.request
        if self.read_only and request.is_write:
            raise ReadOnly("A dry run does not send writes.", **self._facts(request))
        try:
            if self._refused:
                return Later(POLL_S, self._no_slot(request), is_blocked=True)
            paused_until = self.limits.paused_until()
            if paused_until is not None:
                return self._wait(job, (paused_until - self.now()).total_seconds(), self.limits.pause_error(request))
            self.limits.check_credits(request)
            gate = self._breaker.gate()
            if gate in (Gate.OPEN, Gate.WAIT):
                error = self._circuit_open(request)
                return self._wait(job, POLL_S if gate is Gate.WAIT else float("inf"), error)
            token = self._current_token()
            prepared = self._prepared(job, token)
            slots = self.limits.acquire(request)
            if slots is None:
                return self._wait(job, POLL_S, self._no_slot(request))
            permit = self.limits.permit(request)
            if isinstance(permit, RateLimited):
                self.limits.release(slots)
                return self._wait(job, max((permit.retry_at - self.now()).total_seconds(), POLL_S), permit)
            if gate is Gate.TRIAL and not self._breaker.claim_trial(request.time_limit_s):
                self.limits.release(slots)
                self._give_back(permit)
                return self._wait(job, POLL_S, self._circuit_open(request))
        except RemoteError as error:
            error.outcome_unknown |= job.uncertain
            raise
        job.attempt += 1
        return Ticket(prepared, token, slots, is_trial=gate is Gate.TRIAL, permit=permit)

    def _give_back(self, permit: Permit | None) -> None:
        if permit is not None:
            self.limits.buckets.give_back(permit)

    def _wait(self, job: Job, seconds: float, error: RemoteError) -> Later:
        """Come back after `seconds` and a little; raises the error when one call would wait too long in total."""
        if job.waited_s + seconds > settings.REMOTE_MAX_PAUSE_S:
            raise error
        # Without the little, everybody who waits for one pause would come back in the same millisecond.
        seconds += random.uniform(0, min(seconds, 1.0) / 2)  # noqa: S311 spreads load, protects nothing
        job.waited_s += seconds
        return Later(seconds, error, is_blocked=True)

    def _circuit_open(self, request: Request) -> CircuitOpen:
        return CircuitOpen(
            "The call was not sent: the last calls all failed.",
            retry_at=self._breaker.retry_at(),
            **self._facts(request),
        )

    def _no_slot(self, request: Request) -> RateLimited:
        return RateLimited(
            "The call was not sent: other work uses all calls that the vendor allows at once.",
            retry_at=self.now() + dt.timedelta(seconds=settings.REMOTE_BACKOFF_S),
            **self._facts(request),
        )

    def _current_token(self) -> Token:
        """The shared token, looked up again once a second so that a renewed connection is noticed."""
        age = self.monotonic() - self._token_checked_at
        if self._token is None or age > 1.0 or self._token.expires_at <= self.now():
            self._token = self._tokens.current(self.connection)
            self._token_checked_at = self.monotonic()
        return self._token

    def _prepared(self, job: Job, token: Token) -> requests.PreparedRequest:
        if job.outgoing is None:
            job.outgoing = Outgoing(job.request, token.api_domain, self.traits)
        return job.outgoing.signed(self.traits.authorization.format(token=token.value), job.received)

    def _facts(self, request: Request) -> dict[str, Any]:
        return {"service": self.traits.service, "endpoint": request.endpoint}

    # --- transmit: no database, any thread ----------------------------------------------------------------------------

    def transmit(self, job: Job, ticket: Ticket) -> Sent:
        """One attempt on the wire. Never raises for what the network, the vendor or the receiving file did."""
        started = time.monotonic()
        try:
            answer = self._send(job, ticket.prepared, started + self._time_limit_s(job.request))
        except NotSent as error:
            return Sent(None, str(error), reached_vendor=False, elapsed_ms=_ms_since(started))
        except NoAnswer as error:
            return Sent(None, str(error), elapsed_ms=_ms_since(started))
        except FileFailed as error:
            return Sent(None, "FileFailed", elapsed_ms=_ms_since(started), local_error=error.cause)
        except RemoteError as error:  # a redirect that must not be followed
            return Sent(None, "Redirect", elapsed_ms=_ms_since(started), local_error=error)
        except Exception as error:  # a transport's own defect must not keep the slot, nor hide that it was sent
            logger.exception("%s broke in the transport", job.request.endpoint)
            return Sent(None, type(error).__name__, elapsed_ms=_ms_since(started))
        if answer.status == 429:
            self._refused.add(id(ticket))
        return Sent(answer, elapsed_ms=answer.elapsed_ms)

    def _send(self, job: Job, prepared: requests.PreparedRequest, deadline: float) -> Answer:
        """One request and, for a download, the redirects that it meets."""
        for _ in range(downloads.MOST_REDIRECTS + 1):
            timeouts = Timeouts(
                settings.REMOTE_CONNECT_TIMEOUT_S, settings.REMOTE_READ_TIMEOUT_S, deadline - time.monotonic()
            )
            answer = self._transport.send(prepared, timeouts, to_file=downloads.target_of(job))
            following = downloads.next_hop(answer, prepared, job.request, self.traits)
            if following is None:
                break
            prepared = following
        return answer

    def _time_limit_s(self, request: Request) -> float:
        if self._is_run and request.carries_file:
            return min(request.time_limit_s, max(settings.RUN_LEASE_SECONDS - LEASE_MARGIN_S, LEASE_MARGIN_S))
        return request.time_limit_s

    # --- settle -------------------------------------------------------------------------------------------------------

    def settle(self, job: Job, ticket: Ticket, sent: Sent) -> Reply | Later:
        """Books one attempt and decides: the reply, a retry later, or the raised error."""
        try:
            outcome = self._outcome(job, sent)
            # The penalty first: with the slot given back, another worker might send into it.
            until = self._pause_after(job, ticket, sent, outcome) if isinstance(outcome, RateLimited) else None
            with transaction.atomic():
                self._book(job, ticket, sent, outcome)
        finally:
            self._refused.discard(id(ticket))
        if isinstance(outcome, Reply):
            return outcome
        if isinstance(outcome, Later):
            job.attempt = 0
            return outcome
        job.give_up_file()
        if isinstance(sent.local_error, Exception) and not isinstance(sent.local_error, RemoteError):
            raise sent.local_error
        job.uncertain |= outcome.outcome_unknown
        outcome.outcome_unknown = job.uncertain
        if isinstance(outcome, Unauthorized):
            return self._after_unauthorized(job, ticket, outcome)
        headers = sent.answer.headers if sent.answer is not None else {}
        seconds = retries.delay_s(
            job.request,
            outcome,
            attempt=job.attempt,
            sent=sent.reached_vendor,
            retry_at=until or replies.retry_after(headers, self.now()),
            now=self.now(),
        )
        if seconds is None:
            raise outcome
        return Later(seconds, outcome)

    def _outcome(self, job: Job, sent: Sent) -> Reply | RemoteError | Later:
        """The reply or error of one attempt; Later when a download has come in part and the rest is to be fetched."""
        request = job.request
        if isinstance(sent.local_error, RemoteError):
            return sent.local_error
        try:
            if sent.answer is not None:
                if downloads.is_part(sent.answer, request) and not downloads.add_part(sent.answer, job, self.traits):
                    return Later(0.0, self._incomplete(request))
                return self._reply(job, sent.answer)
        except RemoteError as error:
            if sent.answer is not None and sent.answer.file is not None:
                sent.answer.file.close()
            return error
        what = "No complete answer came back" if sent.reached_vendor else "No connection came about"
        return Unavailable(
            f"{what} ({sent.problem}).",
            outcome_unknown=sent.reached_vendor and request.is_write,
            **self._facts(request),
        )

    def _reply(self, job: Job, answer: Answer) -> Reply:
        reply = replies.read(answer, job.request, self.traits, self.now())
        if reply.file is not None:
            reply.file.seek(0)
            # The file is the caller's from here on.
            job.file = None
        return reply

    def _incomplete(self, request: Request) -> Unavailable:
        return Unavailable("Only a part of the file has come so far.", **self._facts(request))

    def _book(self, job: Job, ticket: Ticket, sent: Sent, outcome: Reply | RemoteError | Later) -> None:
        """Slot, bucket, price, breaker and log line of one attempt."""
        request = job.request
        self.limits.release(ticket.slots)
        failed = isinstance(outcome, RemoteError)
        self.limits.meter.charge(
            request.endpoint,
            credits_spent=request.price if sent.reached_vendor else 0,
            failed=failed,
            elapsed_ms=sent.elapsed_ms,
        )
        if isinstance(outcome, Unavailable) and sent.local_error is None:
            self._breaker.failed(trial=ticket.is_trial)
        else:
            self._breaker.answered(trial=ticket.is_trial)
        status: int | None = None
        request_id = ""
        if sent.answer is not None:
            headers = sent.answer.headers
            status, request_id = sent.answer.status, replies.request_id_of(headers, self.traits)
            remaining = replies.credits_remaining(headers, self.traits)
            if remaining is not None:
                self.limits.meter.learn(remaining)
            if ticket.permit is not None:
                self.limits.buckets.learn(request.endpoint, status, headers, ticket.permit)
        elif not sent.reached_vendor:
            self._give_back(ticket.permit)
        if not failed:
            self._show_success()
        logger.info(
            "%s %s in %d ms, attempt %d, request id %s",
            request.endpoint,
            f"HTTP {status}" if status is not None else sent.problem,
            sent.elapsed_ms,
            job.attempt,
            request_id or "-",
        )

    def _show_success(self) -> None:
        now = self.now()
        last = self.connection.last_success_at
        if last is None or now - last > SUCCESS_SHOWN_EVERY:
            Connection.objects.filter(pk=self.connection.pk).update(last_success_at=now)
            self.connection.last_success_at = now

    def _after_unauthorized(self, job: Job, ticket: Ticket, error: Unauthorized) -> Later:
        """A refused token is renewed once and the call sent once more; it had no effect, so any call may be."""
        if isinstance(error, MissingScope):
            raise error
        if error.code in self.traits.refresh_codes and self._tokens.is_replacement(self.connection, ticket.token):
            raise self._right_missing(error)
        if job.token_renewed or error.code not in self.traits.refresh_codes:
            mark_connection(self.connection, working=False, reason=error.message)
            raise error
        job.token_renewed = True
        self._token = None
        try:
            self._token = self._tokens.replace(self.connection, ticket.token)
        except RemoteError as failure:
            failure.outcome_unknown |= job.uncertain
            raise
        self._token_checked_at = self.monotonic()
        return Later(0.0, error)

    def _right_missing(self, error: Unauthorized) -> MissingScope:
        return MissingScope(
            f"A token from a fresh login is refused for this call too: a right is missing. {error.message}",
            service=error.service,
            endpoint=error.endpoint,
            status=error.status,
            code=error.code,
            details=error.details,
            request_id=error.request_id,
            outcome_unknown=error.outcome_unknown,
        )

    def _pause_after(self, job: Job, ticket: Ticket, sent: Sent, error: RateLimited) -> dt.datetime:
        """A rate limit pauses everybody, with or without a time that the vendor names."""
        headers = sent.answer.headers if sent.answer is not None else {}
        named = replies.retry_after(headers, self.now())
        error.retry_at = self.limits.pause_after(error, named, job.attempt, headers, ticket.permit)
        return error.retry_at


def _ms_since(started: float) -> int:
    return int((time.monotonic() - started) * 1000)
