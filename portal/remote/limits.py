"""What a call must pass before it may be sent: the shared pause, the credits, the slots and the rate bucket."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping

from portal.models import Connection
from portal.remote import retries
from portal.remote.buckets import Buckets, Permit
from portal.remote.errors import CreditsExhausted, RateLimited, RemoteError
from portal.remote.messages import Request
from portal.remote.meter import Meter, free_again_at
from portal.remote.slots import Slot, Slots, owner_name
from portal.remote.state import SharedState
from portal.remote.vendors import Traits

CREDITS = "credits"
# With rolling credits some come back every hour; the vendor is asked again after this long at the latest.
CREDITS_PAUSE = dt.timedelta(minutes=15)


class Limits:
    """The limits of one connection as one session meets them."""

    def __init__(
        self,
        connection: Connection,
        traits: Traits,
        state: SharedState,
        *,
        is_run: bool,
        now: Callable[[], dt.datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._traits = traits
        self._state = state
        self._is_run = is_run
        self._now = now
        self.meter = Meter(state, connection.daily_credits, now=now, monotonic=monotonic)
        owner = owner_name()
        self.buckets = Buckets(state.key, traits, now=now, monotonic=monotonic)
        self._all = Slots(state.key, connection.concurrency, owner, now=now, monotonic=monotonic)
        heavy = traits.heavy_limit() if traits.heavy_limit is not None else connection.concurrency
        self._heavy = (
            Slots(f"{state.key}:heavy", heavy, owner, now=now, monotonic=monotonic)
            if heavy < connection.concurrency
            else None
        )

    def paused_until(self) -> dt.datetime | None:
        return self._state.paused_until()

    def pause_error(self, request: Request) -> RemoteError:
        """The error for a pause that is too long to sleep through."""
        row = self._state.row()
        kind = CreditsExhausted if row.pause_reason == CREDITS else RateLimited
        return kind(
            "The call was not sent: a limit of the vendor was reached a moment ago.",
            retry_at=row.pause_until or self._now(),
            service=self._traits.service,
            endpoint=request.endpoint,
        )

    def check_credits(self, request: Request) -> None:
        """Raises CreditsExhausted when a run would touch the reserve. People may use it."""
        if not self._is_run:
            return
        retry_at = self.meter.refusal(request.price)
        if retry_at is not None:
            raise CreditsExhausted(
                "The call was not sent: the credits that are left today are reserved for people.",
                retry_at=retry_at,
                service=self._traits.service,
                endpoint=request.endpoint,
            )

    def acquire(self, request: Request) -> tuple[Slot, ...] | None:
        """The slots of one call, None when there is none free now. The scarcer heavy slot comes last."""
        slot = self._all.acquire(request.time_limit_s)
        if slot is None:
            return None
        if not request.heavy or self._heavy is None:
            return (slot,)
        heavy = self._heavy.acquire(request.time_limit_s)
        if heavy is None:
            self._all.release(slot)
            return None
        return (slot, heavy)

    def release(self, slots: tuple[Slot, ...]) -> None:
        for slot in slots:
            if slot.key == self._all.key:
                self._all.release(slot)
            elif self._heavy is not None:
                self._heavy.release(slot)

    def permit(self, request: Request) -> Permit | RateLimited | None:
        """Leave of the request's rate bucket; the error that says when to come back; None where there are no buckets."""
        if not self.buckets:
            return None
        bucket = self.buckets.bucket_of(request.endpoint, request.bucket)
        found = self.buckets.acquire(bucket)
        if isinstance(found, Permit):
            return found
        return RateLimited(
            f"The call was not sent: the requests of the group “{bucket}” are used up for now.",
            retry_at=found,
            service=self._traits.service,
            endpoint=request.endpoint,
        )

    def pause_after(
        self,
        error: RateLimited,
        named: dt.datetime | None,
        attempt: int,
        headers: Mapping[str, str],
        permit: Permit | None,
    ) -> dt.datetime:
        """Stops every worker after a 429, also those not refused yet. Returns when this call may be sent again.

        `named` is the vendor's Retry-After. Without it: a backoff, or for spent credits the hour that gives some back.
        Where the vendor counts by buckets, only the refused one pauses, unless the refusal concerns all.
        """
        now = self._now()
        if permit is not None and self._traits.buckets:
            until, is_global = self.buckets.refused(permit.bucket, error.code, headers, named)
            if is_global:
                self._state.pause(until, error.code or "rate limit")
            return until
        if isinstance(error, CreditsExhausted):
            until = named or min(free_again_at(self._state.key, now, 1), now + CREDITS_PAUSE)
            self._state.pause(until, CREDITS)
            return until
        # An announced zero would only repeat the refusal.
        if named is None or named <= now:
            named = now + dt.timedelta(seconds=retries.pause_s(attempt))
        self._state.pause(named, error.code or "rate limit")
        return named
