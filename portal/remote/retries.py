"""Whether and when a failed attempt is sent again: one decision for all calls."""

from __future__ import annotations

import datetime as dt
import random

from django.conf import settings

from portal.remote.errors import RateLimited, RemoteError, Unavailable
from portal.remote.messages import Request


def backoff_s(attempt: int) -> float:
    """Seconds before the attempt after `attempt` (1, 2, …): exponential, capped, with full jitter."""
    ceiling = min(settings.REMOTE_MAX_PAUSE_S, settings.REMOTE_BACKOFF_S * 2 ** (attempt - 1))
    return random.uniform(0, ceiling)  # noqa: S311 spreads load, protects nothing


def pause_s(attempt: int) -> float:
    """Seconds that everybody waits after a refusal without a time: the upper half of the backoff, never nothing."""
    ceiling = min(settings.REMOTE_MAX_PAUSE_S, settings.REMOTE_BACKOFF_S * 2 ** (attempt - 1))
    return random.uniform(ceiling / 2, ceiling)  # noqa: S311 spreads load, protects nothing


def delay_s(
    request: Request, error: RemoteError, *, attempt: int, sent: bool, retry_at: dt.datetime | None, now: dt.datetime
) -> float | None:
    """Seconds until the next attempt, None when there must be none.

    What was refused for its rate, or never left this machine, had no effect and may always be repeated; a server
    failure or a lost answer only where the request is repeatable. The vendor's own time wins over the backoff.
    """
    if attempt >= settings.REMOTE_MAX_ATTEMPTS:
        return None
    harmless = isinstance(error, RateLimited) or not sent
    if not harmless and not (isinstance(error, Unavailable) and request.is_repeatable):
        return None
    seconds = backoff_s(attempt) if retry_at is None else max((retry_at - now).total_seconds(), 0.0)
    return None if seconds > settings.REMOTE_MAX_PAUSE_S else seconds
