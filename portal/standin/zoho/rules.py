"""Whether one record may be written as asked, and what would be stored."""

from __future__ import annotations

from typing import Any

from portal.standin.messages import JsonObject
from portal.standin.zoho.errors import RowError
from portal.standin.zoho.org import Org
from portal.standin.zoho.schema import Field
from portal.standin.zoho.table import Table, Values
from portal.standin.zoho.values import BadValue, stored_value

REFERENCES = ("lookup", "ownerlookup", "userlookup")


class Rules:
    def __init__(self, org: Org) -> None:
        self.org = org

    def check_state(self, table: Table, record_id: str, row: JsonObject, position: int) -> None:
        """States of the stored record that block an edit."""
        if table.value(record_id, "Converted__s"):
            raise RowError("CONVERTED_RECORD", "the record is converted", id=record_id)
        if table.value(record_id, "Locked__s"):
            raise RowError("RECORD_LOCKED", "record is locked", id=record_id)
        if table.value(record_id, "$approval_state") not in (None, "approved"):
            raise RowError("NOT_APPROVED", "record is under approval process", id=record_id)
        status_field = table.module.status_field
        if status_field in row and table.value(record_id, "$process_flow"):
            raise RowError(
                "RECORD_IN_BLUEPRINT",
                "record is in blueprint; the field cannot be updated",
                api_name=status_field,
                json_path=f"$.data[{position}].{status_field}",
            )

    def check_layout(self, table: Table, record_id: str, row: JsonObject, position: int) -> None:
        """A strict layout wants its mandatory fields in the body of every write, changed or not."""
        layout = table.module.layout(table.value(record_id, "Layout"))
        for name in layout.required:
            if layout.name == "Strict":
                self._require(row, name, position)
            elif name in row and row[name] in (None, ""):
                raise RowError("MANDATORY_NOT_FOUND", "required field not found", **_place(name, position))

    def check_mandatory(self, table: Table, row: JsonObject, position: int) -> None:
        """Of a new record: the system's mandatory fields, and those of the layout if it names one."""
        names = list(table.module.mandatory)
        layout = row.get("Layout")
        if isinstance(layout, dict):
            names += [name for name in table.module.layout(layout.get("id")).required if name not in names]
        for name in names:
            self._require(row, name, position)

    def _require(self, row: JsonObject, name: str, position: int) -> None:
        if row.get(name) in (None, ""):
            raise RowError("MANDATORY_NOT_FOUND", "required field not found", **_place(name, position))

    def stored(self, table: Table, row: JsonObject, position: int, record_id: str | None) -> Values:
        """The row in stored form. Unknown and read-only keys are ignored, as Zoho does."""
        values: Values = {}
        appended = row.get("$append_values") or {}
        for name, given in row.items():
            field = table.module.by_name.get(name)
            if field is None or not field.is_writable:
                continue
            value = self._stored_one(field, given, position)
            if appended.get(name) and isinstance(value, list) and record_id is not None:
                before = table.value(record_id, name) or []
                value = [*before, *(item for item in value if item not in before)]
            values[name] = value
        self._check_unique(table, values, position, record_id)
        return values

    def _stored_one(self, field: Field, given: Any, position: int) -> Any:
        try:
            value = stored_value(field, given)
        except BadValue as problem:
            details = {**problem.details, **_place(field.api_name, position)}
            raise RowError("INVALID_DATA", "invalid data", **details) from None
        if value is not None and field.data_type in REFERENCES and not self._refers(field, value):
            place = {"api_name": field.api_name, "json_path": f"$.data[{position}].{field.api_name}.id"}
            raise RowError("INVALID_DATA", "the id given seems to be invalid", **place)
        return value

    def _refers(self, field: Field, record_id: str) -> bool:
        if field.data_type == "lookup":
            return self.org.tables[field.lookup].exists(record_id)
        user = self.org.users.get(record_id)
        return user is not None and user.status == "active"

    def _check_unique(self, table: Table, values: Values, position: int, record_id: str | None) -> None:
        for name in table.module.unique_fields:
            if values.get(name) in (None, ""):
                continue
            others = [other for other in table.value_index(name, "exact", str).find(values[name]) if other != record_id]
            if others:
                owner = self.org.user_reference(table.value(others[0], "Owner"))
                module = {"api_name": table.module.api_name, "id": table.module.id}
                duplicate = {"id": others[0], "Owner": owner, "module": module}
                raise RowError("DUPLICATE_DATA", "duplicate data", duplicate_record=duplicate, **_place(name, position))


def _place(name: str, position: int) -> JsonObject:
    return {"api_name": name, "json_path": f"$.data[{position}].{name}"}
