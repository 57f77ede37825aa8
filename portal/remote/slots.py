"""Calls in flight over all processes and machines: a call holds one row, claimed by a conditional UPDATE.

A lease outlives the longest call, so an expired one belongs to a process that died. On the same machine a dead process
is noticed earlier; its slots then stay closed only as long as the vendor may still be working on its calls.
"""

from __future__ import annotations

import datetime as dt
import os
import random
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from django.conf import settings
from django.db.models import Q

from portal.models import ConcurrencySlot

LEASE_MARGIN_S = 5.0
WAITING = ":waiting"
# A waiting session renews its sign at each poll; a sign this old belongs to one that went away.
WAITING_FRESH_S = 1.0
WAITING_READ_EVERY_S = 0.25


def owner_name() -> str:
    """Unique name of one session: machine, process, random part."""
    return f"{_machine()}:{os.getpid()}:{secrets.token_hex(4)}"


@cache
def _machine() -> str:
    """Host and process-id namespace: containers may share a host name, but not their process numbers."""
    try:
        namespace = Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        namespace = 0
    return f"{socket.gethostname().replace(':', '-')[:24]}.{namespace}"


def is_dead_here(owner: str) -> bool:
    """Whether the owner was a process of this machine that exists no more. False when that cannot be known."""
    machine, _, rest = owner.rpartition(":")[0].rpartition(":")
    if machine != _machine() or not rest.isdigit():
        return False
    try:
        os.kill(int(rest), 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False


@dataclass(frozen=True, slots=True)
class Slot:
    key: str
    number: int


class Slots:
    """The slots of one limit as one session sees them; `size` of them may be used."""

    def __init__(
        self, key: str, size: int, owner: str, *, now: Callable[[], dt.datetime], monotonic: Callable[[], float]
    ) -> None:
        self.key = key
        self.size = max(size, 1)
        self.owner = owner
        self._now = now
        self._monotonic = monotonic
        self._likely: list[int] = []
        self._made = False
        self._held = 0
        self._waiters = 0
        self._waiters_read_at = float("-inf")
        self._has_sign = False

    def acquire(self, lease_s: float) -> Slot | None:
        """A slot for `lease_s` seconds, or None when all are taken or it is somebody else's turn.

        Usually one UPDATE: a number that this session used before is tried first.
        """
        if self._must_yield():
            return None
        now = self._now()
        lease_until = now + dt.timedelta(seconds=lease_s + LEASE_MARGIN_S)
        while self._likely:
            slot = self._claim(self._likely.pop(), now, lease_until)
            if slot:
                return slot
        self._likely = self._free_numbers(now)
        while self._likely:
            slot = self._claim(self._likely.pop(), now, lease_until)
            if slot:
                return slot
        self._shorten_leases_of_the_dead(now)
        self._show_waiting(now)
        return None

    def release(self, slot: Slot) -> None:
        self._held -= 1
        ConcurrencySlot.objects.filter(key=self.key, number=slot.number, owner=self.owner).update(
            owner="", lease_until=None
        )
        self._likely.append(slot.number)

    def _claim(self, number: int, now: dt.datetime, lease_until: dt.datetime) -> Slot | None:
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
        taken = ConcurrencySlot.objects.filter(free, key=self.key, number=number).update(
            owner=self.owner, lease_until=lease_until
        )
        if not taken:
            return None
        self._held += 1
        self._hide_waiting()
        return Slot(self.key, number)

    def _free_numbers(self, now: dt.datetime) -> list[int]:
        """Numbers that look free, in random order so that processes do not queue for the same one."""
        if not self._made:
            rows = [ConcurrencySlot(key=self.key, number=number) for number in range(self.size)]
            if ConcurrencySlot.objects.filter(key=self.key, number__lt=self.size).count() < self.size:
                ConcurrencySlot.objects.bulk_create(rows, ignore_conflicts=True)
            self._made = True
        free = Q(lease_until__isnull=True) | Q(lease_until__lte=now)
        numbers = list(
            ConcurrencySlot.objects.filter(free, key=self.key, number__lt=self.size).values_list("number", flat=True)
        )
        random.shuffle(numbers)
        return numbers

    def _shorten_leases_of_the_dead(self, now: dt.datetime) -> None:
        """The vendor may still work on the calls of a killed process, so their slots open only after settling."""
        soon = now + dt.timedelta(seconds=settings.RUN_SETTLE_SECONDS)
        held = ConcurrencySlot.objects.filter(key=self.key, lease_until__gt=soon).exclude(owner=self.owner)
        for owner in set(held.values_list("owner", flat=True)):
            if is_dead_here(owner):
                ConcurrencySlot.objects.filter(key=self.key, owner=owner, lease_until__gt=soon).update(lease_until=soon)

    # --- turns: without them a session that re-takes its own slot within a millisecond starves all others ------------

    def _must_yield(self) -> bool:
        """Whether this session holds more than its share while others wait."""
        if self._held < 2:
            return False
        if self._monotonic() - self._waiters_read_at > WAITING_READ_EVERY_S:
            fresh = self._now()
            self._waiters = (
                ConcurrencySlot.objects.filter(key=self.key + WAITING, lease_until__gt=fresh)
                .exclude(owner=self.owner)
                .count()
            )
            self._waiters_read_at = self._monotonic()
        share = -(-self.size // (1 + self._waiters))
        return self._waiters > 0 and self._held >= share

    def _show_waiting(self, now: dt.datetime) -> None:
        until = now + dt.timedelta(seconds=WAITING_FRESH_S)
        signs = ConcurrencySlot.objects.filter(key=self.key + WAITING)
        if self._has_sign and signs.filter(owner=self.owner).update(lease_until=until):
            return
        unused = signs.filter(lease_until__lte=now).values_list("number", flat=True).first()
        if unused is not None:
            self._has_sign = (
                signs.filter(number=unused, lease_until__lte=now).update(owner=self.owner, lease_until=until) > 0
            )
            return
        ConcurrencySlot.objects.bulk_create(
            [ConcurrencySlot(key=self.key + WAITING, number=signs.count(), owner=self.owner, lease_until=until)],
            ignore_conflicts=True,
        )
        self._has_sign = True

    def _hide_waiting(self) -> None:
        if self._has_sign:
            now = self._now()
            ConcurrencySlot.objects.filter(key=self.key + WAITING, owner=self.owner).update(lease_until=now)
            self._has_sign = False
