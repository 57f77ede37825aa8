"""Zoho's metadata as our own types. Each has `parse` for the vendor's JSON and is stored as a plain dictionary."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Module:
    api_name: str
    singular: str
    plural: str
    is_viewable: bool
    is_editable: bool

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Module | None:
        """None for modules that the records API does not serve (join tables, web tabs, analytics)."""
        if not data.get("api_supported") or data.get("generated_type") not in ("default", "custom"):
            return None
        return cls(
            api_name=data["api_name"],
            singular=data.get("singular_label") or data["api_name"],
            plural=data.get("plural_label") or data["api_name"],
            is_viewable=bool(data.get("viewable", True)),
            is_editable=bool(data.get("editable", False)),
        )


@dataclass(frozen=True)
class Choice:
    """One picklist entry: `value` is written, `label` is shown in Zoho."""

    value: str
    label: str


@dataclass(frozen=True)
class Field:
    api_name: str
    label: str
    data_type: str
    is_writable: bool
    is_mandatory: bool
    is_sortable: bool
    length: int | None
    choices: tuple[Choice, ...] = ()
    lookup_module: str = ""

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Field:
        operations = data.get("operation_type") or {}
        read_only = bool(data.get("read_only") or data.get("field_read_only"))
        choices = tuple(
            Choice(str(entry["actual_value"]), str(entry.get("display_value") or entry["actual_value"]))
            for entry in data.get("pick_list_values") or []
            if entry.get("type", "used") != "unused" and entry.get("actual_value") not in (None, "-None-")
        )
        lookup = data.get("lookup") or {}
        module = lookup.get("module") or {}
        return cls(
            api_name=data["api_name"],
            label=data.get("field_label") or data.get("display_label") or data["api_name"],
            data_type=data.get("data_type") or "text",
            is_writable=bool(operations.get("api_update", not read_only)) and not read_only,
            is_mandatory=bool(data.get("system_mandatory")),
            is_sortable=bool(data.get("sortable", False)),
            length=data.get("length"),
            choices=choices,
            lookup_module=module.get("api_name", "") if isinstance(module, dict) else str(module),
        )

    @classmethod
    def load(cls, stored: dict[str, Any]) -> Field:
        choices = tuple(Choice(**choice) for choice in stored["choices"])
        return cls(**stored | {"choices": choices})

    @property
    def full_label(self) -> str:
        """Label with the API name: labels repeat, API names do not."""
        return f"{self.label} ({self.api_name})"


@dataclass(frozen=True)
class View:
    """A custom view. `name` is what people see; ids are strings of 18 or 19 digits."""

    id: str
    name: str
    category: str
    is_default: bool

    @classmethod
    def parse(cls, data: dict[str, Any]) -> View:
        return cls(
            id=str(data["id"]),
            name=data.get("display_value") or data.get("name") or str(data["id"]),
            category=data.get("category") or "",
            is_default=bool(data.get("default")),
        )


@dataclass(frozen=True)
class Layout:
    """Which fields a layout makes mandatory."""

    id: str
    name: str
    required: tuple[str, ...]

    @classmethod
    def parse(cls, data: dict[str, Any]) -> Layout:
        required = tuple(
            field["api_name"]
            for section in data.get("sections") or []
            for field in section.get("fields") or []
            if field.get("required")
        )
        return cls(id=str(data["id"]), name=data.get("name") or "", required=required)

    @classmethod
    def load(cls, stored: dict[str, Any]) -> Layout:
        return cls(**stored | {"required": tuple(stored["required"])})


@dataclass(frozen=True)
class User:
    """A user of the organisation. `is_active` is Zoho's status, which also governs whether records may be theirs."""

    id: str
    name: str
    email: str
    role: str
    is_active: bool

    @classmethod
    def parse(cls, data: dict[str, Any]) -> User:
        role = data.get("role")
        return cls(
            id=str(data["id"]),
            name=str(data.get("full_name") or data.get("name") or ""),
            email=str(data.get("email") or ""),
            role=str(role.get("name") or "") if isinstance(role, dict) else "",
            is_active=str(data.get("status") or "").lower() == "active",
        )


# The field that names a record, where it is not called Name.
NAME_FIELDS = {
    "Leads": "Full_Name",
    "Contacts": "Full_Name",
    "Accounts": "Account_Name",
    "Deals": "Deal_Name",
    "Tasks": "Subject",
    "Calls": "Subject",
    "Events": "Event_Title",
    "Products": "Product_Name",
    "Quotes": "Subject",
    "Sales_Orders": "Subject",
    "Purchase_Orders": "Subject",
    "Invoices": "Subject",
    "Campaigns": "Campaign_Name",
    "Vendors": "Vendor_Name",
    "Price_Books": "Price_Book_Name",
    "Cases": "Subject",
    "Solutions": "Solution_Title",
}


def name_field(module: str) -> str:
    return NAME_FIELDS.get(module, "Name")


def text_of(value: Any) -> str:
    """A field's value as people read it: lookups by name, lists joined, nothing as an empty text."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        return str(value.get("name") or value.get("full_name") or value.get("id") or "")
    if isinstance(value, list):
        return "; ".join(text_of(entry) for entry in value)
    return str(value)
