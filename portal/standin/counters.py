"""What the stand-in saw: calls, calls in flight, a journal of requests and the writes of each record."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from threading import Lock
from typing import Any

from portal.standin.messages import JsonObject, Request

JOURNAL_LENGTH = 5000


@dataclass(slots=True)
class JournalEntry:
    call_number: int
    at: float
    method: str
    path: str
    query: dict[str, str]
    status: int | None = None
    records: int = 0
    trigger: list[str] | None = None
    fault: str = ""


@dataclass(slots=True)
class Writes:
    """How often one record was written, how often a value really changed, how often workflows fired."""

    writes: int = 0
    effective: int = 0
    workflows: int = 0


@dataclass
class Counters:
    """Numbers only ever grow, but for `in_flight`. Each has its own short lock, apart from the state's."""

    calls: Counter[str] = field(default_factory=Counter)
    statuses: Counter[int] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    spent: Counter[str] = field(default_factory=Counter)
    total_calls: int = 0
    token_requests: int = 0
    unknown_endpoints: int = 0
    penalty_violations: int = 0
    """Calls that came while RingCentral's penalty ran and so restarted it."""
    in_flight: int = 0
    max_in_flight: int = 0
    journal: deque[JournalEntry] = field(default_factory=lambda: deque(maxlen=JOURNAL_LENGTH))
    writes: dict[tuple[str, str], Writes] = field(default_factory=dict)
    _lock: Any = field(default_factory=Lock, repr=False)

    @property
    def credits_used(self) -> int:
        """Credits of Zoho CRM since the start (not of the rolling day)."""
        return self.spent["zoho credits"]

    def arrive(self, request: Request, name: str, at: float) -> JournalEntry:
        with self._lock:
            self.total_calls += 1
            request.call_number = self.total_calls
            self.calls[name] += 1
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            entry = JournalEntry(self.total_calls, at, request.method, request.path, request.query)
            self.journal.append(entry)
            return entry

    def depart(self, request: Request, entry: JournalEntry, status: int | None) -> None:
        with self._lock:
            self.in_flight -= 1
            self.statuses[status or 0] += 1
            entry.status, entry.records, entry.trigger = status, request.records, request.trigger

    def reject(self, reason: str) -> None:
        with self._lock:
            self.rejected[reason] += 1

    def violate_penalty(self) -> None:
        with self._lock:
            self.penalty_violations += 1

    def spend(self, kind: str, amount: int) -> None:
        with self._lock:
            self.spent[kind] += amount

    def wrote(self, collection: str, record_id: str, *, changed: bool, fired: bool) -> None:
        """Called with the state's lock held, hence no lock of its own."""
        record = self.writes.get((collection, record_id))
        if record is None:
            record = self.writes[collection, record_id] = Writes()
        record.writes += 1
        record.effective += changed
        record.workflows += fired

    def writes_of(self, collection: str) -> JsonObject:
        """Totals for one collection; `effective_more_than_once` is what a crash test looks for."""
        rows = [(record_id, row) for (name, record_id), row in list(self.writes.items()) if name == collection]
        return {
            "records": len(rows),
            "writes": sum(row.writes for _, row in rows),
            "effective": sum(row.effective for _, row in rows),
            "workflows": sum(row.workflows for _, row in rows),
            "written_more_than_once": [record_id for record_id, row in rows if row.writes > 1],
            "effective_more_than_once": [record_id for record_id, row in rows if row.effective > 1],
        }

    def as_dict(self) -> JsonObject:
        with self._lock:
            return {
                "total_calls": self.total_calls,
                "calls": dict(self.calls),
                "statuses": {str(status): count for status, count in self.statuses.items()},
                "rejected": dict(self.rejected),
                "spent": dict(self.spent),
                "credits_used": self.credits_used,
                "token_requests": self.token_requests,
                "unknown_endpoints": self.unknown_endpoints,
                "penalty_violations": self.penalty_violations,
                "in_flight": self.in_flight,
                "max_in_flight": self.max_in_flight,
            }

    def journal_rows(self, matching: Callable[[JournalEntry], bool]) -> list[JsonObject]:
        with self._lock:
            entries = list(self.journal)
        return [asdict(entry) for entry in entries if matching(entry)]
