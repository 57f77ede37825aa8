"""Rate buckets: at most so many requests of a kind in so many seconds, over all processes and machines.

A bucket of N is N rows. Each may be used once, by a conditional UPDATE that also looks for a pause, and is free again a
window later: so no window, wherever it starts, holds more than N requests, and none is sent while a pause lasts. A
request during RingCentral's penalty would start the penalty anew for everybody (rate-limit guide).
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.db.models import Exists, Max, Min

from portal.models import RateBucket, RateGroup, RatePermit, RemoteState
from portal.remote.state import SharedState
from portal.remote.vendors import Traits

WINDOW_S = 60
# The vendor counts arrivals: a request that was on its way for long and a quick one come closer than they were sent.
MARGIN_S = 1.0
# Without Retry-After (rate-limit guide).
LEAST_PENALTY_S = 30.0
# How long one session believes what it read about buckets; what it learns itself it knows at once.
FRESH_FOR_S = 30.0
LONGEST_NAME = 40
# More in one window is no limit that this program could meet, and each is a row.
LARGEST_LIMIT = 500
# Rows that are tried one after the other while other processes take them.
CANDIDATES = 16
USED_UP = "bucket used up"
# The bucket of a vendor that has none, where the settings limit its calls.
OWN = "all"


@dataclass(frozen=True)
class Rate:
    """What the headers of an answer say about its bucket; None where they say nothing, or nothing credible."""

    group: str
    limit: int | None
    remaining: int | None
    window_s: int | None


def stated_rate(headers: Mapping[str, str]) -> Rate | None:
    """X-Rate-Limit-Group, -Limit, -Remaining and -Window; one page of the guide writes X-RateLimit-…"""

    def value(name: str) -> str:
        return headers.get(f"X-Rate-Limit-{name}") or headers.get(f"X-RateLimit-{name}") or ""

    group = value("Group").strip().lower()[:LONGEST_NAME]
    if not group:
        return None
    return Rate(
        group,
        limit=_whole(value("Limit"), 1, 10_000),
        remaining=_whole(value("Remaining"), 0, 10_000),
        window_s=_whole(value("Window"), 1, 3600),
    )


def _whole(text: str, least: int, most: int) -> int | None:
    text = text.strip()
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        return None
    return int(text) if least <= int(text) <= most else None


def _own_bucket(traits: Traits) -> Mapping[str, Callable[[], int]]:
    rate = traits.own_rate
    return {OWN: rate} if rate is not None and rate() > 0 else {}


@dataclass(frozen=True, slots=True)
class Permit:
    """Leave to send one request; `free_at` tells whether it was given to somebody else since."""

    bucket: str
    number: int
    free_at: dt.datetime


class Buckets:
    """The rate buckets of one limit as one session meets them."""

    def __init__(
        self, key: str, traits: Traits, *, now: Callable[[], dt.datetime], monotonic: Callable[[], float]
    ) -> None:
        self._key = key
        self._assumed = traits.buckets or _own_bucket(traits)
        self._global_codes = traits.global_rate_codes
        self._now = now
        self._monotonic = monotonic
        self._groups: dict[str, str] = {}
        self._rates: dict[str, tuple[int, int]] = {}
        self._read_at = float("-inf")
        self._made: dict[str, int] = {}

    def __bool__(self) -> bool:
        """Whether there are buckets at all, the vendor's or one of our own."""
        return bool(self._assumed)

    def bucket_of(self, endpoint: str, assumed: str) -> str:
        """The bucket that the vendor named for the endpoint, else the assumed one. Raises ValueError without any."""
        self._read()
        if OWN in self._assumed:
            return OWN
        bucket = self._groups.get(endpoint[:60], assumed)
        if not bucket:
            raise ValueError(f"The request {endpoint} names no rate bucket; this vendor counts each in one.")
        return bucket

    def acquire(self, bucket: str) -> Permit | dt.datetime:
        """Leave to send one request of the bucket now, or when to ask again."""
        self._read()
        now = self._now()
        limit, window_s = self._rates.get(bucket) or (self._assumed_limit(bucket), WINDOW_S)
        permits = RatePermit.objects.filter(key=self._key, bucket=bucket)
        is_paused = Exists(RemoteState.objects.filter(key__in=self._pause_keys(bucket), pause_until__gt=now))
        free_at = now + dt.timedelta(seconds=window_s + MARGIN_S)
        self._make(bucket, limit, now)
        # Counted over all rows: after the vendor named a smaller limit, some beyond it are still in their window.
        if permits.filter(free_at__gt=now).count() < limit:
            free = permits.filter(number__lt=limit, free_at__lte=now).order_by("free_at")
            numbers = list(free.values_list("number", flat=True)[:CANDIDATES])
            # In random order, so that processes do not queue for the same row.
            random.shuffle(numbers)
            for number in numbers:
                rows = permits.exclude(is_paused).filter(number=number, free_at__lte=now)
                if rows.update(free_at=free_at):
                    return Permit(bucket, number, free_at)
        return self._free_again_at(bucket, now)

    def give_back(self, permit: Permit) -> None:
        """For a request that the vendor has never seen."""
        RatePermit.objects.filter(
            key=self._key, bucket=permit.bucket, number=permit.number, free_at=permit.free_at
        ).update(free_at=self._now())

    def learn(self, endpoint: str, status: int, headers: Mapping[str, str], permit: Permit) -> None:
        """Believes an answer about the bucket: its name, its size, and that nothing is left of it.

        Nothing is ever left after a refusal, which names its own time.
        """
        rate = stated_rate(headers)
        if rate is None:
            return
        if rate.group != permit.bucket:
            self._learn_group(endpoint[:60], rate.group, permit)
        if rate.limit is not None:
            self._learn_limit(rate.group, min(rate.limit, LARGEST_LIMIT), rate.window_s or WINDOW_S)
        if rate.remaining == 0 and status != 429:
            until = self._now() + dt.timedelta(seconds=rate.window_s or WINDOW_S)
            self._state(rate.group).pause(until, USED_UP)

    def refused(
        self, bucket: str, code: str, headers: Mapping[str, str], named: dt.datetime | None
    ) -> tuple[dt.datetime, bool]:
        """Starts the penalty after a 429. Returns when it ends, and whether it concerns the whole connection.

        A refusal without rate-limit headers comes from a limit above the buckets (rate-limit guide).
        """
        now = self._now()
        until = named if named is not None and named > now else now + dt.timedelta(seconds=LEAST_PENALTY_S)
        rate = stated_rate(headers)
        is_global = rate is None or code in self._global_codes
        if not is_global:
            self._state(rate.group if rate is not None else bucket).pause(until, code or "rate limit")
        return until, is_global

    # --- rows ---------------------------------------------------------------------------------------------------------

    def _pause_keys(self, bucket: str) -> tuple[str, str]:
        return (self._key, f"{self._key}:{bucket}")

    def _state(self, bucket: str) -> SharedState:
        return SharedState(f"{self._key}:{bucket}", now=self._now, monotonic=self._monotonic)

    def _assumed_limit(self, bucket: str) -> int:
        """A bucket that the vendor named but never sized is taken for the smallest one."""
        known = self._assumed.get(bucket)
        limit = known() if known is not None else min(each() for each in self._assumed.values())
        return max(limit, 1)

    def _make(self, bucket: str, limit: int, now: dt.datetime) -> None:
        """The rows that a bucket of this size has and that do not exist yet."""
        if self._made.get(bucket, 0) >= limit:
            return
        known = set(RatePermit.objects.filter(key=self._key, bucket=bucket).values_list("number", flat=True))
        missing = [number for number in range(limit) if number not in known]
        RatePermit.objects.bulk_create(
            [RatePermit(key=self._key, bucket=bucket, number=number, free_at=now) for number in missing],
            ignore_conflicts=True,
        )
        self._made[bucket] = limit

    def _free_again_at(self, bucket: str, now: dt.datetime) -> dt.datetime:
        permits = RatePermit.objects.filter(key=self._key, bucket=bucket, free_at__gt=now)
        pauses = RemoteState.objects.filter(key__in=self._pause_keys(bucket), pause_until__gt=now)
        paused = pauses.aggregate(at=Max("pause_until"))["at"]
        return paused or permits.aggregate(at=Min("free_at"))["at"] or now

    # --- what answers have said ---------------------------------------------------------------------------------------

    def _read(self) -> None:
        if self._monotonic() - self._read_at <= FRESH_FOR_S:
            return
        self._groups = dict(RateGroup.objects.filter(key=self._key).values_list("endpoint", "bucket"))
        rates = RateBucket.objects.filter(key=self._key).values_list("bucket", "limit", "window_s")
        self._rates = {bucket: (limit, window_s) for bucket, limit, window_s in rates}
        self._read_at = self._monotonic()

    def _learn_group(self, endpoint: str, bucket: str, permit: Permit) -> None:
        """The endpoint is counted elsewhere: the request leaves the assumed bucket and is booked in the other one."""
        if self._groups.get(endpoint) != bucket:
            RateGroup.objects.update_or_create(key=self._key, endpoint=endpoint, defaults={"bucket": bucket})
            self._groups[endpoint] = bucket
        self.give_back(permit)
        self.acquire(bucket)

    def _learn_limit(self, bucket: str, limit: int, window_s: int) -> None:
        if (self._rates.get(bucket) or (self._assumed_limit(bucket), WINDOW_S)) == (limit, window_s):
            return
        RateBucket.objects.update_or_create(
            key=self._key, bucket=bucket, defaults={"limit": limit, "window_s": window_s}
        )
        self._rates[bucket] = (limit, window_s)
