"""What Zoho says about each record of a write."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

_INDEX = re.compile(r"\$\.data\[(\d+)\]")


@dataclass(frozen=True)
class RowResult:
    """Outcome of one record. `details` is Zoho's own object (field, expected values, …)."""

    ok: bool
    code: str
    message: str
    details: dict[str, Any] = field(default_factory=dict)

    @property
    def field(self) -> str:
        return str(self.details.get("api_name") or "")

    @property
    def words(self) -> str:
        """Zoho's own words, with the field and the values it expects."""
        said = self.message or self.code
        parts = [said if said.endswith((".", "!", "?")) else f"{said}."]
        if self.field:
            parts.append(f"Field: {self.field}.")
        for key, words in (
            ("expected_data_type", "Expected"),
            ("maximum_length", "Longest"),
            ("supported_values", "Allowed"),
        ):
            if self.details.get(key) is not None:
                parts.append(f"{words}: {self.details[key]}.")
        return " ".join(parts)


def rows_of(reply: Any, ids: Sequence[str]) -> list[RowResult | None]:
    """The outcome of each sent id, in the order sent; None where the answer does not say.

    Zoho answers in request order. The position decides, and an id in the answer must agree with it: on a shorter answer
    or a different id only rows that name their id, or their index in the path of the error, are taken. Two rows that
    say different things about one record say nothing.
    """
    data = reply.get("data") if isinstance(reply, dict) else None
    if not isinstance(data, list):
        return [None] * len(ids)
    found: list[RowResult | None] = [None] * len(ids)
    contradicted: set[int] = set()
    positions = {record_id: index for index, record_id in enumerate(ids)}
    rows = [(row, _details(row)) for row in data]
    in_order = len(rows) == len(ids) and all(
        str(details.get("id") or record_id) == record_id for (_, details), record_id in zip(rows, ids, strict=True)
    )
    for number, (row, details) in enumerate(rows):
        index = _position(number, details, positions, in_order=in_order) if isinstance(row, dict) else None
        if index is None or index >= len(ids):
            continue
        result = _row(row, details)
        if found[index] not in (None, result):
            contradicted.add(index)
        found[index] = result
    return [None if index in contradicted else row for index, row in enumerate(found)]


def new_rows_of(reply: Any, places: Sequence[str]) -> list[RowResult | None]:
    """The outcome of each new record, which has no id yet: by its place in an answer of full length.

    Of a shorter or longer answer only errors that name their place in their path are taken.
    """
    data = reply.get("data") if isinstance(reply, dict) else None
    found: list[RowResult | None] = [None] * len(places)
    if not isinstance(data, list):
        return found
    for number, row in enumerate(data):
        details = _details(row)
        path = _INDEX.match(str(details.get("json_path", "")))
        place = int(path.group(1)) if path else number if len(data) == len(places) else None
        if isinstance(row, dict) and place is not None and place < len(places):
            found[place] = _row(row, details)
    return found


def _details(row: Any) -> dict[str, Any]:
    given = row.get("details") if isinstance(row, dict) else None
    return given if isinstance(given, dict) else {}


def _position(number: int, details: dict[str, Any], positions: dict[str, int], *, in_order: bool) -> int | None:
    named = details.get("id")
    if named is not None:
        return positions.get(str(named))
    path = _INDEX.match(str(details.get("json_path", "")))
    if path:
        return int(path.group(1))
    return number if in_order else None


def _row(row: dict[str, Any], details: dict[str, Any]) -> RowResult:
    code = str(row.get("code") or "MISSING_CODE")
    return RowResult(
        ok=row.get("status") == "success" and code == "SUCCESS",
        code=code,
        message=str(row.get("message") or ""),
        details=details,
    )
