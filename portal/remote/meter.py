"""What calls cost, hour by hour, and how many credits a run may still spend."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.conf import settings
from django.db.models import F, Sum

from portal.models import ApiUsage
from portal.remote.state import SharedState

CACHE_S = 1.0
WINDOW = dt.timedelta(hours=24)
HOUR = dt.timedelta(hours=1)
# The vendor's own figure counts other programs too, but it ages while nothing is called.
VENDOR_FIGURE_AGE = dt.timedelta(hours=1)


def hour_of(moment: dt.datetime) -> dt.datetime:
    return moment.replace(minute=0, second=0, microsecond=0)


def charge(key: str, moment: dt.datetime, endpoint: str, *, credits_spent: int, failed: bool, elapsed_ms: int) -> None:
    """Adds one attempt to the row of its hour and endpoint."""
    row = ApiUsage.objects.filter(key=key, hour=hour_of(moment), endpoint=endpoint[:60])
    changes = {
        "calls": F("calls") + 1,
        "failures": F("failures") + int(failed),
        "credits": F("credits") + credits_spent,
        "elapsed_ms": F("elapsed_ms") + elapsed_ms,
    }
    if not row.update(**changes):
        ApiUsage.objects.bulk_create(
            [ApiUsage(key=key, hour=hour_of(moment), endpoint=endpoint[:60])], ignore_conflicts=True
        )
        row.update(**changes)


def used_credits(key: str, now: dt.datetime) -> int:
    """Credits of the rolling 24 hours. Rows are whole hours, so up to one hour too much is counted."""
    rows = ApiUsage.objects.filter(key=key, hour__gte=hour_of(now - WINDOW))
    return rows.aggregate(total=Sum("credits"))["total"] or 0


def free_again_at(key: str, now: dt.datetime, needed: int) -> dt.datetime:
    """When the oldest hours that leave the window have given back `needed` credits; an hour from now if unknown."""
    hours = (
        ApiUsage.objects.filter(key=key, hour__gte=hour_of(now - WINDOW), credits__gt=0)
        .values_list("hour")
        .annotate(total=Sum("credits"))
        .order_by("hour")
    )
    returned = 0
    for hour, total in hours:
        returned += total
        if returned >= needed:
            return hour + WINDOW + HOUR
    return now + HOUR


class Meter:
    """The credits of one session's limit: charges calls and knows what is left, at most CACHE_S old."""

    def __init__(
        self,
        state: SharedState,
        daily_credits: int,
        *,
        now: Callable[[], dt.datetime],
        monotonic: Callable[[], float],
    ) -> None:
        self._state = state
        self._daily = daily_credits
        self._now = now
        self._monotonic = monotonic
        self._used = 0
        self._read_at = float("-inf")
        self._reported: int | None = None
        self._reported_at = float("-inf")

    def charge(self, endpoint: str, *, credits_spent: int, failed: bool, elapsed_ms: int) -> None:
        self._used += credits_spent
        charge(
            self._state.key,
            self._now(),
            endpoint,
            credits_spent=credits_spent,
            failed=failed,
            elapsed_ms=elapsed_ms,
        )

    def used(self) -> int:
        if self._monotonic() - self._read_at > CACHE_S:
            self._used = used_credits(self._state.key, self._now())
            self._read_at = self._monotonic()
        return self._used

    def learn(self, remaining: int) -> None:
        """Keeps the vendor's own figure; written at most once a second."""
        if remaining == self._reported or self._monotonic() - self._reported_at < CACHE_S:
            return
        self._state.row()
        self._state.change(credits_remaining=remaining, credits_seen_at=self._now())
        self._reported = remaining
        self._reported_at = self._monotonic()

    def refusal(self, cost: int) -> dt.datetime | None:
        """None when a run may spend `cost` credits, else when it may try again.

        Nothing is refused while the daily credits are not known: there is no figure to keep a reserve of.
        """
        if not self._daily:
            return None
        reserve = -(-self._daily * settings.CREDIT_RESERVE_PERCENT // 100)
        now = self._now()
        missing = self.used() + cost + reserve - self._daily
        if missing > 0:
            return free_again_at(self._state.key, now, missing)
        row = self._state.row()
        if row.credits_remaining is None or row.credits_seen_at is None:
            return None
        expires = row.credits_seen_at + VENDOR_FIGURE_AGE
        return expires if expires > now and row.credits_remaining - cost < reserve else None
