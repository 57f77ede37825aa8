"""Times of RingCentral: UTC, ISO 8601 with milliseconds; inside they are epoch milliseconds."""

from __future__ import annotations

from datetime import UTC, datetime

SECOND, MINUTE, HOUR, DAY = 1_000, 60_000, 3_600_000, 86_400_000


def ms_of(moment: datetime) -> int:
    """Epoch milliseconds of an aware time; a naive one is a mistake of the test."""
    if moment.tzinfo is None:
        raise ValueError("the time has no zone")
    return round(moment.timestamp() * 1_000)


def stamp(at_ms: int) -> str:
    """`2026-11-02T12:00:00.000Z`"""
    return datetime.fromtimestamp(at_ms / 1_000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def read_time(text: str) -> int:
    """Epoch milliseconds of a date (midnight in UTC) or of a time with its zone. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return ms_of(moment.replace(tzinfo=UTC) if len(text) == len("2026-11-02") else moment)
