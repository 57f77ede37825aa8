"""What an import did, or would do: per file the counts, and everything that a person should know."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from portal.connections.findings import Finding

MOST_NOTES = 100
LONGEST_VALUE = 40


def shown(value: Any) -> str:
    """A value of a file, fit for a message: short, without characters that steer a terminal."""
    if isinstance(value, str):
        return f"“{printable(value)}”"
    if isinstance(value, dict):
        return "an object"
    if isinstance(value, list):
        return "a list"
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    return printable(str(value))


def printable(text: str, most: int = LONGEST_VALUE) -> str:
    clean = "".join(mark if mark.isprintable() else "\N{REPLACEMENT CHARACTER}" for mark in text[: most + 1])
    return clean if len(clean) <= most else f"{clean[:most]}…"


@dataclass
class Tally:
    """Rows of one sort. `skipped` were in the file and are not taken; a warning says why."""

    new: int = 0
    changed: int = 0
    unchanged: int = 0
    skipped: int = 0

    @property
    def total(self) -> int:
        return self.new + self.changed + self.unchanged + self.skipped

    def __str__(self) -> str:
        return ", ".join(f"{number} {name}" for name, number in asdict(self).items() if number) or "none"


@dataclass
class FileReport:
    """One file. With an error nothing of it is stored; `note` says why a file was left out on purpose."""

    path: str
    kind: str = ""
    family: str = ""
    office: str = ""
    note: str = ""
    counts: dict[str, Tally] = field(default_factory=dict)
    changes: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    questions: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    unknown: Counter[str] = field(default_factory=Counter)
    overflow: Counter[str] = field(default_factory=Counter)

    def tally(self, noun: str) -> Tally:
        return self.counts.setdefault(noun, Tally())

    def warn(self, text: str) -> None:
        self._add("warnings", text)

    def ask(self, text: str) -> None:
        self._add("questions", text)

    def fail(self, text: str) -> None:
        self._add("errors", text)

    def change(self, text: str) -> None:
        self._add("changes", text)

    def _add(self, name: str, text: str) -> None:
        """A broken file of thousands of entries must not make a report of thousands of lines."""
        notes: list[str] = getattr(self, name)
        if len(notes) < MOST_NOTES:
            notes.append(text)
        else:
            self.overflow[name] += 1

    def forget_counts(self) -> None:
        """The file was taken back."""
        self.counts.clear()
        self.changes.clear()

    @property
    def state(self) -> str:
        if self.errors:
            return "failed"
        if self.note:
            return "left out"
        return "changed" if any(tally.new or tally.changed for tally in self.counts.values()) else "unchanged"

    def as_json(self) -> dict[str, Any]:
        return {
            "path": self.path, "kind": self.kind, "family": self.family, "office": self.office, "state": self.state,
            "note": self.note, "counts": {noun: asdict(tally) for noun, tally in self.counts.items()},
            "changes": self.changes, "warnings": self.warnings, "questions": self.questions, "errors": self.errors,
            "unknown_keys": dict(self.unknown), "not_listed": dict(self.overflow),
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        about = ", ".join(filter(None, (self.kind, f"family {self.family}" if self.family else "", self.state)))
        yield f"{self.path}: {about}"
        if self.note:
            yield f"  {self.note}"
        for noun, tally in self.counts.items():
            yield f"  {noun}: {tally}"
        for sort in ("changes", "warnings", "questions", "errors"):
            word = {"changes": "change", "warnings": "warning", "questions": "question", "errors": "ERROR"}[sort]
            for text in getattr(self, sort):
                yield f"  {word}: {text}"
            if self.overflow[sort]:
                yield f"  {word}: and {self.overflow[sort]:,} more"
        if self.unknown:
            yield f"  unknown keys: {', '.join(self.unknown_words)}"

    @property
    def unknown_words(self) -> list[str]:
        """Paths of the keys that mean nothing here, the elements of a list taken together."""
        words = [f"{path} ({number}×)" if number > 1 else path for path, number in self.unknown.most_common(MOST_NOTES)]
        hidden = len(self.unknown) - len(words)
        return [*words, f"and {hidden:,} more"] if hidden else words


@dataclass
class Checked:
    """The check of a connection that this import stored."""

    vendor: str
    name: str
    findings: list[Finding]


@dataclass
class Report:
    """The whole import; `source` is the folder's name, or says that files were uploaded."""

    source: str
    is_dry_run: bool
    files: list[FileReport] = field(default_factory=list)
    checked: list[Checked] = field(default_factory=list)
    advice: list[str] = field(default_factory=list)

    @property
    def totals(self) -> Tally:
        sums = Tally()
        for file in self.files:
            for tally in file.counts.values():
                sums.new += tally.new
                sums.changed += tally.changed
                sums.unchanged += tally.unchanged
                sums.skipped += tally.skipped
        return sums

    @property
    def has_errors(self) -> bool:
        return any(file.errors for file in self.files)

    @property
    def has_failures(self) -> bool:
        """Something is wrong: a file was refused, or a connection that came along does not work."""
        return self.has_errors or any(each.level == "fail" for check in self.checked for each in check.findings)

    @property
    def has_changes(self) -> bool:
        return any(file.state == "changed" for file in self.files)

    @property
    def is_taken(self) -> bool:
        """At least one file could be read and was meant to be."""
        return any(file.state in ("changed", "unchanged") for file in self.files)

    @property
    def summary(self) -> str:
        if not self.has_changes:
            rest = " Files with errors were not taken." if self.has_errors else ""
            return f"Zero changes: everything readable is stored already.{rest}" if self.is_taken else "Nothing taken."
        verb = "would be" if self.is_dry_run else "were"
        sums = self.totals
        rest = " Files with errors are not taken at all." if self.has_errors else ""
        return f"{sums.new:,} rows {verb} added and {sums.changed:,} changed; {sums.unchanged:,} are as before.{rest}"

    def as_json(self) -> dict[str, Any]:
        return {
            "run": None, "state": "finished_with_errors" if self.has_failures else "finished",
            "dry_run": self.is_dry_run, "source": self.source, **asdict(self.totals),
            "files": [file.as_json() for file in self.files],
            "connections": [
                {"vendor": each.vendor, "name": each.name, "findings": [asdict(finding) for finding in each.findings]}
                for each in self.checked
            ],
            "advice": self.advice,
        }  # fmt: skip

    def lines(self) -> Iterator[str]:
        for file in self.files:
            yield from file.lines()
        for check in self.checked:
            for finding in check.findings:
                remedy = f" What to do: {finding.remedy}" if finding.remedy else ""
                yield f"{check.vendor}/{check.name} {finding.level:4} {finding.step}: {finding.what}{remedy}"
        yield from self.advice
        yield f"Dry run, nothing is stored. {self.summary}" if self.is_dry_run else self.summary
