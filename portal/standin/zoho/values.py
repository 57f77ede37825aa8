"""Between JSON and the stored form of a field: datetimes are epoch seconds, lookups are ids."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from portal.standin.zoho.schema import NUMBER_TYPES, Field

_EMAIL = re.compile(r"[^@\s]+@[^@\s]+\.[^@\s.]+")
_PHONE = re.compile(r"[0-9a-zA-Z+\-.()\s/,;#:*]{1,30}")
_WEBSITE = re.compile(r"(https?://)?[^\s/]+\.[^\s]+")
ORG_ZONE_NAME = "America/New_York"


class BadValue(ValueError):
    """A value that does not fit its field; `details` as the vendor reports them."""

    def __init__(self, **details: Any) -> None:
        super().__init__("invalid data")
        self.details = details


def _org_zone() -> tzinfo:
    try:
        return ZoneInfo(ORG_ZONE_NAME)
    except ZoneInfoNotFoundError:
        # A machine without a time zone database still runs the stand-in, at the winter offset.
        return timezone(timedelta(hours=-5))


ORG_ZONE = _org_zone()


def format_time(timestamp: float | None) -> str | None:
    """Second precision, with the offset of the organisation's zone."""
    return None if timestamp is None else datetime.fromtimestamp(int(timestamp), ORG_ZONE).isoformat()


def parse_time(text: Any) -> int:
    """Epoch seconds of an ISO time; it must carry an offset and no fraction."""
    if not isinstance(text, str) or "." in text:
        raise BadValue(expected_data_type="datetime")
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise BadValue(expected_data_type="datetime") from None
    if moment.tzinfo is None:
        raise BadValue(expected_data_type="datetime")
    return int(moment.astimezone(UTC).timestamp())


def stored_value(field: Field, value: Any) -> Any:
    """What a write leaves in the record, or `BadValue`. Picklists are not checked: Zoho stores unknown strings."""
    if value is None:
        return None
    kind = field.data_type
    if kind in NUMBER_TYPES:
        return _number(kind, value)
    if kind in ("lookup", "ownerlookup", "userlookup", "layout"):
        return _reference(value)
    if kind == "multiselectpicklist":
        return _strings(value)
    if kind == "boolean":
        if not isinstance(value, bool):
            raise BadValue(expected_data_type="boolean")
        return value
    if kind == "datetime":
        return parse_time(value)
    if kind == "date":
        return _date(value)
    if kind == "tag":
        return _tags(value)
    return _text(field, value)


def _number(kind: str, value: Any) -> int | float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise BadValue(expected_data_type=kind)
    if kind == "integer" and (isinstance(value, float) or abs(value) > 999_999_999):
        raise BadValue(expected_data_type="integer", maximum_length=9)
    return value


def _reference(value: Any) -> str:
    if isinstance(value, dict) and isinstance(value.get("id"), str):
        return str(value["id"])
    raise BadValue(expected_data_type="jsonobject")


def _strings(value: Any) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise BadValue(expected_data_type="jsonarray")
    return list(value)


def _date(value: Any) -> str:
    try:
        return date.fromisoformat(value).isoformat()
    except (TypeError, ValueError):
        raise BadValue(expected_data_type="date") from None


def _tags(value: Any) -> list[dict[str, Any]]:
    if not isinstance(value, list) or not all(isinstance(item, dict) and "name" in item for item in value):
        raise BadValue(expected_data_type="jsonarray")
    return [
        {"name": item["name"], "id": item.get("id", f"57257670000000990{n:02d}"), "color_code": None}
        for n, item in enumerate(value, start=2)
    ]


def _text(field: Field, value: Any) -> str:
    if not isinstance(value, str):
        raise BadValue(expected_data_type="bigint" if field.data_type == "bigint" else "string")
    if len(value) > field.max_length:
        raise BadValue(maximum_length=field.max_length)
    pattern = {"email": _EMAIL, "phone": _PHONE, "website": _WEBSITE}.get(field.data_type)
    if pattern is not None and value and not pattern.fullmatch(value):
        raise BadValue(expected_data_type=field.data_type, regex=pattern.pattern)
    return value


def condition_value(field: Field, text: Any) -> Any:
    """A literal of a query in the stored form of its field. Raises ValueError when it cannot be one."""
    kind = field.formula or field.data_type
    if kind in NUMBER_TYPES:
        return float(text)
    if kind == "datetime":
        return parse_time(text)
    if kind == "date":
        return _date(text)
    if kind == "boolean":
        if str(text).lower() not in ("true", "false"):
            raise ValueError("not a boolean")
        return str(text).lower() == "true"
    return str(text)
