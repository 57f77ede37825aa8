"""What the examination of a connection finds, and what it writes down."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from django.utils import timezone

from portal.connections.advice import describe
from portal.models import Connection
from portal.remote import errors

Level = Literal["ok", "warn", "fail", "skip"]
FINDINGS = "findings"


@dataclass(frozen=True)
class Finding:
    """One step: what was looked at, how it came out, and what to do when it is not ok."""

    step: str
    level: Level
    what: str
    remedy: str = ""


@dataclass
class Examination:
    """A check under way: findings so far, the columns to write at its end, and what the report keeps beside them."""

    connection: Connection
    findings: list[Finding] = field(default_factory=list)
    values: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)

    def add(self, step: str, level: Level, what: str, remedy: str = "") -> None:
        self.findings.append(Finding(step, level, what, remedy))

    def add_error(self, step: str, error: errors.RemoteError, level: Level = "fail") -> None:
        advice = describe(error, self.connection)
        self.add(step, level, advice.what, advice.remedy)

    def ends(self, state: Connection.State, reason: str = "") -> None:
        self.values |= {"state": state, "state_reason": reason}

    def write(self) -> None:
        """One UPDATE of the columns that the check found; the secrets are not touched."""
        findings = [asdict(finding) for finding in self.findings]
        report = dict(self.connection.report or {}) | self.facts | {FINDINGS: findings}
        values = self.values | {"checked_at": timezone.now(), "report": report}
        Connection.objects.filter(pk=self.connection.pk).update(**values)
        for name, value in values.items():
            setattr(self.connection, name, value)


def findings_of(connection: Connection) -> list[Finding]:
    """Findings of the last check."""
    return [Finding(**finding) for finding in dict(connection.report or {}).get(FINDINGS, [])]
