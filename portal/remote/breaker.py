"""Stops calling a vendor that fails, and lets one call of all processes find out whether it is back.

States, all in RemoteState: closed (no `open_until`), open (`open_until` ahead), half-open (`open_until` passed).
Server failures, time-outs and drops count; whatever the vendor answers below 500 proves that it lives.
"""

from __future__ import annotations

import datetime as dt
from enum import Enum

from django.conf import settings
from django.db.models import F, Q

from portal.models import RemoteState
from portal.remote.state import SharedState


class Gate(Enum):
    CLOSED = "closed"
    OPEN = "open"
    TRIAL = "trial is due"
    WAIT = "trial is under way"


class Breaker:
    def __init__(self, state: SharedState) -> None:
        self._state = state

    def gate(self) -> Gate:
        row = self._state.row()
        if row.open_until is None:
            return Gate.CLOSED
        # One second is too old here: the verdict of a trial decides about the next call.
        row = self._state.row(fresh=True)
        now = self._state.now()
        if row.open_until is None:
            return Gate.CLOSED
        if row.open_until > now:
            return Gate.OPEN
        return Gate.WAIT if row.trial_until is not None and row.trial_until > now else Gate.TRIAL

    def retry_at(self) -> dt.datetime:
        """When the next call makes sense: at the end of the open time, or of a trial that is under way."""
        row = self._state.row()
        now = self._state.now()
        return max((moment for moment in (row.open_until, row.trial_until, now) if moment is not None), default=now)

    def claim_trial(self, lease_s: float) -> bool:
        """Whether this caller may send the one trial. The claim ends by itself when its holder dies."""
        now = self._state.now()
        return self._state.change(
            Q(open_until__lte=now),
            Q(trial_until__isnull=True) | Q(trial_until__lte=now),
            trial_until=now + dt.timedelta(seconds=lease_s),
        )

    def failed(self, *, trial: bool) -> None:
        self._state.row()
        self._state.change(failures=F("failures") + 1)
        row = self._state.row(fresh=True)
        if trial or (row.open_until is None and row.failures >= settings.REMOTE_BREAKER_FAILURES):
            self._open(row)

    def answered(self, *, trial: bool) -> None:
        """Ends the series of failures. A late answer from before the breaker opened does not close it; a trial does."""
        row = self._state.row()
        if trial:
            self._state.change(failures=0, open_until=None, trial_until=None)
        elif row.failures and row.open_until is None:
            self._state.change(Q(open_until__isnull=True), failures=0)

    def _open(self, row: RemoteState) -> None:
        until = self._state.now() + dt.timedelta(seconds=settings.REMOTE_BREAKER_OPEN_S)
        self._state.change(Q(open_until=row.open_until), open_until=until, trial_until=None)
