"""The row that all workers of one limit share: pauses, the breaker, what the vendor said about credits."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.db.models import Q

from portal.models import RemoteState

FRESH_FOR_S = 1.0


class SharedState:
    """A RemoteState row, read at most once a second; all changes are single UPDATEs."""

    def __init__(self, key: str, *, now: Callable[[], dt.datetime], monotonic: Callable[[], float]) -> None:
        self.key = key
        self.now = now
        self._monotonic = monotonic
        self._row: RemoteState | None = None
        self._read_at = 0.0

    def row(self, *, fresh: bool = False) -> RemoteState:
        """The row, at most FRESH_FOR_S old. It is made when it does not exist yet."""
        row = self._row
        if row is None or fresh or self._monotonic() - self._read_at > FRESH_FOR_S:
            row = RemoteState.objects.filter(key=self.key).first()
            if row is None:
                # Another process may make the same row at this moment.
                RemoteState.objects.bulk_create([RemoteState(key=self.key)], ignore_conflicts=True)
                row = RemoteState.objects.get(key=self.key)
            self._row = row
            self._read_at = self._monotonic()
        return row

    def change(self, *conditions: Q, **values: Any) -> bool:
        """One conditional UPDATE; whether a row matched. The next `row()` reads again."""
        self._row = None
        return RemoteState.objects.filter(*conditions, key=self.key).update(**values) > 0

    def pause(self, until: dt.datetime, reason: str) -> None:
        """All workers stop until then; a longer pause that is already set stays."""
        self.row()
        self.change(Q(pause_until__isnull=True) | Q(pause_until__lt=until), pause_until=until, pause_reason=reason[:40])

    def paused_until(self) -> dt.datetime | None:
        until = self.row().pause_until
        return until if until is not None and until > self.now() else None
