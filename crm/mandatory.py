"""Fields that a record's layout demands in an update: which they are, and what to send along for them.

Zoho refuses an update that leaves one out with MANDATORY_NOT_FOUND. Only then are present values sent along, and only
with `If-Unmodified-Since`: writing back old values blindly would undo a colleague's work.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

from crm import metadata
from crm.models import MandatoryField
from portal.models import Connection

NOT_FOUND = "MANDATORY_NOT_FOUND"


def required_fields(connection: Connection, module: str) -> list[str]:
    """API names that any layout of the module makes mandatory, and those that an administrator added.

    All layouts count, because a record does not say which one judges it.
    """
    of_layouts = [name for layout in metadata.layouts(connection, module) for name in layout.required]
    added = MandatoryField.objects.filter(module=module).values_list("field", flat=True)
    return list(dict.fromkeys([*of_layouts, *added]))


def present_values(record: dict[str, Any], changed: Container[str]) -> dict[str, Any]:
    """Values of what was read of a record, in the form a write takes; blank ones cannot help and stay out."""
    values = {}
    for name, value in record.items():
        if name.startswith("$") or name in ("id", "Modified_Time") or name in changed or value in (None, "", []):
            continue
        values[name] = {"id": value["id"]} if isinstance(value, dict) and "id" in value else value
    return values
