"""The little language of field mappings: text with ${variable} and ${variable:transform}; `$${` writes a plain `${`.

A template that is one of the plain names in SOURCES, such as Phone, takes what a new lead usually gets there.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from enum import Enum

from django.core.exceptions import ValidationError

from crm.metadata import did_you_mean

# Text, whole seconds, or a moment in the zone of the call's office; "" is not known.
Value = str | int | dt.datetime


class Kind(Enum):
    TEXT = "text"
    SECONDS = "a length of time"
    MOMENT = "a time"


@dataclass(frozen=True)
class Variable:
    kind: Kind
    meaning: str


@dataclass(frozen=True)
class Transform:
    kind: Kind
    meaning: str
    apply: Callable[[Value], str]


def clock(moment: dt.datetime) -> str:
    """Date and time as people read them, with the offset that makes them one moment: 2026-03-01 11:00 (UTC-08:00)."""
    offset = moment.isoformat(timespec="minutes")[16:]
    return f"{moment:%Y-%m-%d %H:%M} (UTC{offset})"


def _minutes(value: Value) -> str:
    assert isinstance(value, int)
    return str((Decimal(value) / 60).quantize(Decimal("0.1"), ROUND_HALF_UP))


def _date(value: Value) -> str:
    assert isinstance(value, dt.datetime)
    return value.date().isoformat()


def _time(value: Value) -> str:
    assert isinstance(value, dt.datetime)
    return f"{value:%H:%M}"


VARIABLES: Mapping[str, Variable] = {
    "caller_name": Variable(Kind.TEXT, "Name that RingCentral gave; empty where it is only a place"),
    "caller_number": Variable(Kind.TEXT, "Number in international form, +15105550123"),
    "caller_company": Variable(Kind.TEXT, "Company of the caller, where it is known"),
    "caller_location": Variable(Kind.TEXT, "Place of the number as RingCentral gave it"),
    "call_time": Variable(Kind.MOMENT, "Start of the call in the office's time zone"),
    "call_duration": Variable(Kind.SECONDS, "Seconds from the first ring to the end"),
    "extension_name": Variable(Kind.TEXT, "Who answered; otherwise where it rang first"),
    "lead_owner_id": Variable(Kind.TEXT, "Zoho user id that the assignment chose"),
    "call_id": Variable(Kind.TEXT, "RingCentral's id of the call"),
    "call_direction": Variable(Kind.TEXT, "Inbound or Outbound"),
    "call_outcome": Variable(Kind.TEXT, "Accepted, Missed, Missed with voicemail …"),
    "office_name": Variable(Kind.TEXT, "Name of the office"),
    "City": Variable(Kind.TEXT, "City of the office"),
    "State": Variable(Kind.TEXT, "State of the office"),
    "Street": Variable(Kind.TEXT, "Street of the office"),
    "Zip_Code": Variable(Kind.TEXT, "Postal code of the office"),
}
TRANSFORMS: Mapping[str, Transform] = {
    "uppercase": Transform(Kind.TEXT, "ANN", lambda value: str(value).upper()),
    "lowercase": Transform(Kind.TEXT, "ann", lambda value: str(value).lower()),
    "minutes": Transform(Kind.SECONDS, "with one decimal, halves rounded up: 90 s is 1.5", _minutes),
    "seconds": Transform(Kind.SECONDS, "whole seconds: 95", str),
    "date": Transform(Kind.MOMENT, "2026-03-01", _date),
    "time": Transform(Kind.MOMENT, "14:05", _time),
}
SOURCES: Mapping[str, str] = {
    "Phone": "Number in international form",
    "First_Name": "First part of the caller's name",
    "Last_Name": "Last part of the caller's name",
    "Company": "Company of the caller, where it is known",
    "Email": "E-mail address of the caller, where it is known",
    "Description": "One line about the call",
    "City": "City of the office",
    "State": "State of the office",
    "Street": "Street of the office",
    "Zip_Code": "Postal code of the office",
    "Lead_Status": "Status that the type of the call sets",
    "Lead_Source": "Lead source of the call settings, otherwise the name of the extension",
}
OPEN, CLOSE, ESCAPED = "${", "}", "$${"


@dataclass(frozen=True)
class Placeholder:
    variable: str
    transform: str = ""

    def __str__(self) -> str:
        return f"{OPEN}{self.variable}{':' if self.transform else ''}{self.transform}{CLOSE}"


@dataclass(frozen=True)
class Source:
    """A plain name that is the whole template."""

    name: str

    def __str__(self) -> str:
        return self.name


Part = str | Placeholder | Source


@dataclass(frozen=True)
class Template:
    parts: tuple[Part, ...]

    def __str__(self) -> str:
        """The template that parses to the same parts."""
        return "".join(part.replace(OPEN, ESCAPED) if isinstance(part, str) else str(part) for part in self.parts)

    @property
    def variables(self) -> tuple[str, ...]:
        return tuple(part.variable for part in self.parts if isinstance(part, Placeholder))

    @property
    def source(self) -> str:
        """The plain name that it is, or ""."""
        return next((part.name for part in self.parts if isinstance(part, Source)), "")

    @property
    def is_constant(self) -> bool:
        return all(isinstance(part, str) for part in self.parts)

    def render(self, values: Mapping[str, Value], sources: Mapping[str, str]) -> Value:
        """The filled template. One placeholder without a transform keeps its type; anything else becomes text.

        "" when all its variables are empty: words around nothing say nothing.
        """
        if self.source:
            return sources[self.source]
        if len(self.parts) == 1 and isinstance(only := self.parts[0], Placeholder) and not only.transform:
            return values[only.variable]
        if self.variables and all(values[name] == "" for name in self.variables):
            return ""
        return "".join(part if isinstance(part, str) else _text(part, values) for part in self.parts)


def parse(template: str) -> Template:
    """Raises ValidationError with the position (from 1, also in its params) of the first thing that is wrong."""
    text = template.strip()
    if not text:
        raise _wrong(1, "the template is empty. Give a text, or remove the row to leave the field out")
    if text in SOURCES:
        return Template((Source(text),))
    parts: list[Part] = []
    for part in _parts(text, len(template) - len(template.lstrip())):
        if isinstance(part, str) and parts and isinstance(parts[-1], str):
            parts[-1] += part
        else:
            parts.append(part)
    return Template(tuple(parts))


def _parts(text: str, before: int) -> Iterator[Part]:
    """`before`: how many characters of the whole template stand before the text."""
    at = 0
    while at < len(text):
        if text.startswith(ESCAPED, at):
            yield OPEN
            at += len(ESCAPED)
        elif text.startswith(OPEN, at):
            end = text.find(CLOSE, at)
            if end < 0:
                raise _wrong(
                    before + at + 1, "“${” is not closed. Add “}”, or write “$${” for the two signs themselves"
                )
            yield _placeholder(text[at + len(OPEN) : end], before + at + 1)
            at = end + len(CLOSE)
        else:
            yield text[at]
            at += 1


def _placeholder(inner: str, position: int) -> Placeholder:
    name, colon, transform = (part.strip() for part in inner.partition(":"))
    if name not in VARIABLES:
        raise _wrong(position, _unknown("variable", name, VARIABLES))
    if not colon:
        return Placeholder(name)
    if transform not in TRANSFORMS:
        raise _wrong(position, _unknown("transform", transform, TRANSFORMS))
    needed, given = TRANSFORMS[transform].kind, VARIABLES[name].kind
    if needed is not given:
        fitting = ", ".join(key for key, entry in TRANSFORMS.items() if entry.kind is given)
        raise _wrong(
            position,
            f"the transform “{transform}” takes {needed.value}, and {name} is {given.value}. For it there are {fitting}",
        )
    return Placeholder(name, transform)


def _unknown(what: str, name: str, known: Mapping[str, object]) -> str:
    near = did_you_mean(name, list(known))
    return f"there is no {what} “{name}”.{near} Known are {', '.join(known)}"


def _wrong(position: int, what: str) -> ValidationError:
    return ValidationError("Position %(position)s: %(what)s.", "template", {"position": position, "what": what})


def _text(part: Placeholder | Source, values: Mapping[str, Value]) -> str:
    assert isinstance(part, Placeholder)
    value = values[part.variable]
    if value == "":
        return ""
    if part.transform:
        return TRANSFORMS[part.transform].apply(value)
    return clock(value) if isinstance(value, dt.datetime) else str(value)
