"""A rendered template as the JSON of one field of Zoho. Types and their JSON are those of Zoho's v8 documentation."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from django.core.exceptions import ValidationError

from crm.record_form import EDITORS, MAX_PHONE, data_of_text
from crm.zoho.schema import Field
from portal import phone
from telephony.models import Office
from telephony.plain_text import cut, line, plain, units
from telephony.template_text import Value, clock

MAX_TEXT = 255
MAX_TEXTAREA = 32_000
LOOKUPS = ("lookup", "ownerlookup", "userlookup")
_ID = re.compile(r"[0-9]{1,20}")
Moment = TypeVar("Moment", bound=dt.date)


class Unfit(ValueError):
    """The value cannot be written to the field. The words do not repeat the value: it may be the caller's."""


@dataclass(frozen=True)
class Fitted:
    """What is sent, and what was done to the value to make it fit ("" = nothing)."""

    value: Any
    remark: str = ""


def fit(field: Field, value: Value, office: Office) -> Fitted:
    """Raises Unfit. The office gives the zone of times without one, and the country of numbers without one."""
    if not field.is_writable:
        raise Unfit("Zoho does not let programs change this field.")
    kind = _KINDS.get(field.data_type)
    if kind is not None:
        return kind(field, value, office)
    if field.data_type not in EDITORS:
        raise Unfit(f"Fields of the type {field.data_type} cannot be filled from a call.")
    return Fitted(_edited(field, line(text_of(value))))


def is_fillable(field: Field) -> bool:
    return field.is_writable and field.api_name != "id" and (field.data_type in _KINDS or field.data_type in EDITORS)


def longest(field: Field) -> int:
    """How much text the field holds."""
    return field.length or (MAX_TEXTAREA if field.data_type == "textarea" else MAX_TEXT)


def text_of(value: Value) -> str:
    return clock(value) if isinstance(value, dt.datetime) else str(value)


def _line(field: Field, value: Value, office: Office) -> Fitted:
    return _shortened(line(text_of(value)), longest(field))


def _lines(field: Field, value: Value, office: Office) -> Fitted:
    return _shortened(plain(text_of(value)).strip(), longest(field))


def _shortened(text: str, limit: int) -> Fitted:
    if units(text) <= limit:
        return Fitted(text)
    return Fitted(cut(text, limit).rstrip(), f"Cut to the {limit:,} characters that the field holds.")


def _phone(field: Field, value: Value, office: Office) -> Fitted:
    number = phone.normalise(text_of(value), office.region)
    if not number or len(number) > min(field.length or MAX_PHONE, MAX_PHONE):
        raise Unfit("This is no complete telephone number.")
    return Fitted(number)


def _picklist(field: Field, value: Value, office: Office) -> Fitted:
    told = line(text_of(value))
    if told not in [choice.value for choice in field.choices]:
        raise Unfit("The value is not in Zoho's list of this field.")
    return Fitted(told)


def _datetime(field: Field, value: Value, office: Office) -> Fitted:
    moment = value if isinstance(value, dt.datetime) else _read(dt.datetime.fromisoformat, value)
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=office.tz)
    # No fraction: Zoho does not take one.
    return Fitted(moment.isoformat(timespec="seconds"))


def _date(field: Field, value: Value, office: Office) -> Fitted:
    day = value.date() if isinstance(value, dt.datetime) else _read(dt.date.fromisoformat, value)
    return Fitted(day.isoformat())


def _read(parse: Callable[[str], Moment], value: Value) -> Moment:
    try:
        return parse(str(value).strip())
    except ValueError:
        raise Unfit("This is no date or time in the form 2026-03-01T14:05.") from None


def _reference(field: Field, value: Value, office: Office) -> Fitted:
    told = str(value).strip()
    if not _ID.fullmatch(told):
        raise Unfit("This field takes the id of a record or user, which has digits only.")
    return Fitted({"id": told})


def _edited(field: Field, text: str) -> Any:
    """As the record's own form would send it."""
    editor = EDITORS[field.data_type]
    control = editor.control(field, field.choices)
    control.required = False
    try:
        given: Any = data_of_text(field, text)
        return editor.to_json(control.clean(given if field.data_type == "multiselectpicklist" else given[0]))
    except ValidationError:
        raise Unfit(f"The value does not fit a field of the type {field.data_type}.") from None


_KINDS: dict[str, Callable[[Field, Value, Office], Fitted]] = {
    "text": _line,
    "textarea": _lines,
    "phone": _phone,
    "picklist": _picklist,
    "datetime": _datetime,
    "date": _date,
    **dict.fromkeys(LOOKUPS, _reference),
}
