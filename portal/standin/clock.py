"""The one clock of the stand-in: real time until a test freezes or moves it."""

from __future__ import annotations

import time
from datetime import UTC, datetime
from threading import Lock


class Clock:
    def __init__(self) -> None:
        self._lock = Lock()
        self._offset_s = 0.0
        self._frozen_at: float | None = None

    def timestamp(self) -> float:
        with self._lock:
            return time.time() + self._offset_s if self._frozen_at is None else self._frozen_at

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.timestamp(), UTC)

    def advance(self, seconds: float) -> None:
        with self._lock:
            if self._frozen_at is None:
                self._offset_s += seconds
            else:
                self._frozen_at += seconds

    def freeze(self, at: datetime | None = None) -> None:
        moment = self.timestamp() if at is None else at.timestamp()
        with self._lock:
            self._frozen_at = moment

    def run(self) -> None:
        """Let time flow again from where it was frozen, so that it never jumps back."""
        with self._lock:
            if self._frozen_at is not None:
                self._offset_s = self._frozen_at - time.time()
                self._frozen_at = None
