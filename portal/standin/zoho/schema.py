"""What a Zoho module and its fields are. The values of the org live in `leads_schema` and `modules`."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

# The JSON type that the fields call reports for each data type; text is the rest.
_JSON_TYPES = {
    "integer": "integer",
    "bigint": "string",
    "double": "double",
    "percent": "double",
    "currency": "double",
    "boolean": "boolean",
    "multiselectpicklist": "jsonarray",
    "lookup": "jsonobject",
    "ownerlookup": "jsonobject",
    "userlookup": "jsonobject",
    "layout": "jsonobject",
    "tag": "jsonarray",
}
_LENGTHS = {"textarea": 32_000, "email": 100, "phone": 30, "website": 450, "integer": 9, "picklist": 120}
# Types that Zoho's mass update refuses whatever the field.
_NEVER_MASS_UPDATED = frozenset(
    {"email", "lookup", "ownerlookup", "userlookup", "textarea", "autonumber", "formula", "layout"}
)
TEXT_TYPES = frozenset({"text", "textarea", "website", "autonumber"})
NUMBER_TYPES = frozenset({"integer", "double", "percent", "currency"})


@dataclass(frozen=True, slots=True)
class Option:
    """One picklist entry. What the API reads and writes is `actual`; people see `display`."""

    display: str
    actual: str


def options(*values: str) -> tuple[Option, ...]:
    return tuple(Option(value, value) for value in values)


@dataclass(frozen=True)
class Field:
    api_name: str
    label: str
    data_type: str = "text"
    length: int = 0
    options: tuple[Option, ...] = ()
    lookup: str = ""
    mandatory: bool = False
    read_only: bool = False
    custom: bool = False
    unique: bool = False
    textarea: str = "large"
    formula: str = ""
    """Return type of a formula."""
    hidden: bool = False
    """A system key: usable in `fields`, absent from the fields call."""

    @property
    def max_length(self) -> int:
        return self.length or _LENGTHS.get(self.data_type, 255)

    @property
    def is_writable(self) -> bool:
        return not self.read_only and self.data_type not in ("formula", "autonumber")

    @property
    def allows_mass_update(self) -> bool:
        return self.is_writable and not self.unique and self.data_type not in _NEVER_MASS_UPDATED

    @property
    def json_type(self) -> str:
        return _JSON_TYPES.get(self.formula or self.data_type, "string")


@dataclass(frozen=True)
class Layout:
    id: str
    name: str
    required: tuple[str, ...]
    excluded_options: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Picklist values that this layout does not offer, by field."""


@dataclass(frozen=True)
class Module:
    api_name: str
    singular: str
    plural: str
    number: int
    """Two digits inside every id of this module."""
    name_field: str
    fields: tuple[Field, ...]
    layouts: tuple[Layout, ...]
    duplicate_field: str = ""
    """Zoho's own duplicate-check field, used by upsert beside the unique fields."""
    custom: bool = False
    status_field: str = ""
    """The field that a blueprint owns."""
    upsertable: bool = True
    listed: bool = True

    @cached_property
    def by_name(self) -> dict[str, Field]:
        return {item.api_name: item for item in self.fields}

    @cached_property
    def by_lower_name(self) -> dict[str, Field]:
        """COQL does not care about the case of column names."""
        return {item.api_name.lower(): item for item in self.fields}

    @cached_property
    def mandatory(self) -> tuple[str, ...]:
        return tuple(item.api_name for item in self.fields if item.mandatory)

    @cached_property
    def unique_fields(self) -> tuple[str, ...]:
        return tuple(item.api_name for item in self.fields if item.unique)

    @property
    def id(self) -> str:
        return f"5725767000{self.number:04d}00001"

    def field_id(self, api_name: str) -> str:
        position = next((n for n, item in enumerate(self.fields) if item.api_name == api_name), 0)
        return f"5725767000{self.number:04d}{1000 + position:05d}"

    def layout(self, layout_id: Any) -> Layout:
        return next((layout for layout in self.layouts if layout.id == layout_id), self.layouts[0])


def system_fields() -> tuple[Field, ...]:
    """Fields that every module has."""
    return (
        Field("id", "Record Id", "bigint", read_only=True),
        Field("Owner", "Owner", "ownerlookup"),
        Field("Created_By", "Created By", "ownerlookup", read_only=True),
        Field("Modified_By", "Modified By", "ownerlookup", read_only=True),
        Field("Created_Time", "Created Time", "datetime", read_only=True),
        Field("Modified_Time", "Modified Time", "datetime", read_only=True),
        Field("Last_Activity_Time", "Last Activity Time", "datetime", read_only=True),
        Field("Tag", "Tag", "tag", length=2000),
        Field("Record_Status__s", "Record Status", "picklist", options=options("Available", "Draft"), read_only=True),
        Field("Locked__s", "Locked", "boolean", read_only=True),
        Field("$approval_state", "Approval State", "text", read_only=True, hidden=True),
        Field("$process_flow", "Process Flow", "boolean", read_only=True, hidden=True),
        Field("$currency_symbol", "Currency Symbol", "text", read_only=True, hidden=True),
        Field("$editable", "Editable", "boolean", read_only=True, hidden=True),
    )
