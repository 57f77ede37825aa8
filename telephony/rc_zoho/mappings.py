"""zoho_field_mappings.json (family M): how the fields of new leads are filled, and the statuses that calls set."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from django.core.exceptions import ValidationError

from telephony import mapping
from telephony.models import CallSettings, FieldMapping, StatusName
from telephony.rc_zoho.collection import FILE_NAMES, ConfigFile, Kind
from telephony.rc_zoho.report import FileReport, printable
from telephony.rc_zoho.rows import put
from telephony.rc_zoho.shapes import Table
from telephony.template_text import OPEN, SOURCES

CALL_TYPES = {"accepted_calls": FieldMapping.CallType.ACCEPTED, "missed_calls": FieldMapping.CallType.MISSED}
STATUSES = {
    "new": StatusName.Key.NEW,
    "accepted_call": StatusName.Key.ACCEPTED,
    "missed_call": StatusName.Key.MISSED,
    "missed_call_with_voicemail": StatusName.Key.VOICEMAIL,
    "duplicate": StatusName.Key.DUPLICATE,
}
OWNER_KEYS = ("Lead_Owner", "Owner")
OWNER_FIELD = "Owner.id"
LONGEST_TEMPLATE = 2000
_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,100}(?:\.id)?")


@dataclass(frozen=True)
class Entry:
    """One field. With a question it is stored switched off until a person has answered."""

    field: str
    template: str
    question: str = ""


def apply(file: ConfigFile) -> None:
    """Stores the mappings and statuses of all offices. Fields that the file no longer lists stay."""
    report = file.report
    top = Table(file.value, "", report)
    for key, call_type in CALL_TYPES.items():
        _call_type(top.table(key), call_type, report)
    _statuses(top.table("lead_status"), report)
    settings = CallSettings.load()
    source = top.text("lead_source", 120)
    extra, name = top.rest(), FILE_NAMES[Kind.MAPPINGS]
    put(
        report, "call settings", settings, model=CallSettings, place="lead_source", identity={},
        values={} if source is None else {"lead_source": source}, extra={name: extra} if extra else None,
    )  # fmt: skip


def _call_type(table: Table, call_type: FieldMapping.CallType, report: FileReport) -> None:
    present = {row.field: row for row in FieldMapping.objects.filter(office=None, call_type=call_type)}
    seen: dict[str, str] = {}
    for position, key in enumerate(table.names(), 1):
        entry = _entry(table, key)
        if entry is None:
            continue
        if entry.field in seen:
            report.fail(f"{table.at(key)}: it fills {entry.field}, as {seen[entry.field]} does. Remove one of them.")
            continue
        seen[entry.field] = table.at(key)
        _store(entry, call_type, present.get(entry.field), position, table.at(key), report)


def _store(
    entry: Entry, call_type: FieldMapping.CallType, row: FieldMapping | None, position: int, place: str,
    report: FileReport,
) -> None:  # fmt: skip
    values: dict[str, Any] = {"template": entry.template}
    # What a person has made of the question since then stays.
    is_settled = row is not None and (row.is_active or not row.question)
    if entry.question:
        if is_settled:
            report.tally("field mappings").unchanged += 1
            return
        report.ask(f"{place}: {entry.question}")
        values |= {"question": entry.question, "is_active": False}
    elif row is not None and row.question:
        values |= {"question": "", "is_active": True}
    put(
        report, "field mappings", row, model=FieldMapping, place=place,
        identity={"office": None, "call_type": call_type, "field": entry.field},
        values=values, defaults={"position": position * 10},
    )  # fmt: skip


def _entry(table: Table, key: str) -> Entry | None:
    """The field and its template; None when the entry is wrong (reported)."""
    if key in OWNER_KEYS and isinstance(table.take(key), dict):
        owner = table.table(key)
        template = owner.text("id", LONGEST_TEMPLATE)
        if not template:
            if owner.take("id") is None:
                table.wrong(key, "names no owner. Write {“id”: “${lead_owner_id}”}.")
            return None
        return _checked(table, key, OWNER_FIELD, template)
    value = table.text(key, LONGEST_TEMPLATE)
    if not value:
        if table.take(key) in (None, "") or (isinstance(table.take(key), str) and not value):
            table.wrong(key, "fills nothing. Give a text, or remove the key.")
        return None
    if not _FIELD_NAME.fullmatch(key):
        table.wrong(key, "belongs to no field: a field has a name such as Last_Name. Correct the key.")
        return None
    field = OWNER_FIELD if key in OWNER_KEYS else key
    if OPEN in value:
        return _checked(table, key, field, value)
    if value == key and key in SOURCES:
        return Entry(field, value)
    return Entry(field, value, _question(key, value))


def _question(key: str, value: str) -> str:
    name = printable(value, 60)
    if value == key:
        return (
            f"Nothing about a call is called {key}. What shall fill the field {key}? Write a template and switch it on."
        )
    return (
        f"“{key}: {name}” can be read both ways. Shall the Zoho field {key} be filled with {name}, or the Zoho field "
        f"{name} with {key}? Correct the row and switch it on, or delete it."
    )


def _checked(table: Table, key: str, field: str, template: str) -> Entry | None:
    try:
        mapping.check(template, field)
    except ValidationError as error:
        table.wrong(key, f"is no template that works. {' '.join(error.messages)}")
        return None
    return Entry(field, template)


def _statuses(table: Table, report: FileReport) -> None:
    for name, key in STATUSES.items():
        value = table.text(name, 120)
        if value is not None:
            row = StatusName.objects.filter(office=None, key=key).first()
            put(
                report, "statuses", row, model=StatusName, place=table.at(name),
                identity={"office": None, "key": key}, values={"value": value},
            )  # fmt: skip
