"""Fields that a record's layout demands in an update: which they are, and what to send along for them.

Zoho refuses an update that leaves one out with MANDATORY_NOT_FOUND. Only then are present values sent along, and only
with `If-Unmodified-Since`: writing back old values blindly would undo a colleague's work.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from crm import metadata
from portal.models import Connection

NOT_FOUND = "MANDATORY_NOT_FOUND"


def required_fields(connection: Connection, module: str) -> list[str]:
    """API names that any layout of the module makes mandatory; a record does not say which layout judges it."""
    layouts = metadata.layouts(connection, module)
    return list(dict.fromkeys(name for layout in layouts for name in layout.required))


def present_values(record: dict[str, Any], changed: Container[str]) -> dict[str, Any]:
    """Values of what was read of a record, in the form a write takes; blank ones cannot help and stay out."""
    values = {}
    for name, value in record.items():
        if name.startswith("$") or name in ("id", "Modified_Time") or name in changed or value in (None, "", []):
            continue
        values[name] = {"id": value["id"]} if isinstance(value, dict) and "id" in value else value
    return values
