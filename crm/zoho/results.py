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


def rows_of(reply: Any, ids: Sequence[str]) -> list[RowResult | None]:
    """The outcome of each sent id, in the order sent; None where the answer does not say.

    Zoho answers in request order. The position decides, and an id in the answer must agree with it: on a shorter answer
    or a different id only rows that name their id, or their index in the path of the error, are taken.
    """
    data = reply.get("data") if isinstance(reply, dict) else None
    if not isinstance(data, list):
        return [None] * len(ids)
    found: list[RowResult | None] = [None] * len(ids)
    positions = {record_id: index for index, record_id in enumerate(ids)}
    for number, row in enumerate(data):
        if not isinstance(row, dict):
            continue
        given = row.get("details")
        details: dict[str, Any] = given if isinstance(given, dict) else {}
        index = _position(number, details, positions, complete=len(data) == len(ids))
        if index is not None and index < len(ids):
            found[index] = _row(row, details)
    return found


def _position(number: int, details: dict[str, Any], positions: dict[str, int], *, complete: bool) -> int | None:
    named = details.get("id")
    if named is not None:
        return positions.get(str(named))
    path = _INDEX.match(str(details.get("json_path", "")))
    if path:
        return int(path.group(1))
    return number if complete else None


def _row(row: dict[str, Any], details: dict[str, Any]) -> RowResult:
    code = str(row.get("code") or "MISSING_CODE")
    return RowResult(
        ok=row.get("status") == "success" and code == "SUCCESS",
        code=code,
        message=str(row.get("message") or ""),
        details=details,
    )
