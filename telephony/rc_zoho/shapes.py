"""Typed reading of the objects in a file: what is of the wrong type is named by its path, the value and the remedy."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from telephony.rc_zoho.report import FileReport, printable, shown

MOST_ELEMENTS = 5000
_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,60}")
_CLOCK = re.compile(r"([01]?[0-9]|2[0-3]):([0-5][0-9])")
# Unknown keys are kept as they are, in clear: what is named like a secret is not.
_SECRET_NAME = re.compile(r"secret|passw|token|jwt|credential|api_?key|private_?key", re.IGNORECASE)


class Table:
    """An object of the file. A method for each type; None where the key is missing, null, or wrong (then reported)."""

    def __init__(self, value: dict[str, Any], path: str, file: FileReport) -> None:
        self._value = value
        self._path = path
        self._file = file
        self._seen: set[str] = set()
        self._inner: dict[str, Table] = {}
        self._rest: dict[str, Any] | None = None

    def at(self, key: str = "") -> str:
        """Where a key stands, as messages name it."""
        step = key if _PLAIN_KEY.fullmatch(key) else f"“{printable(key)}”"
        return ".".join(part for part in (self._path, step if key else "") if part) or "the file"

    def names(self) -> list[str]:
        return list(self._value)

    def peek(self, key: str) -> Any:
        """The raw value; the key stays unknown until something reads it."""
        return self._value.get(key)

    def take(self, key: str) -> Any:
        self._seen.add(key)
        return self._value.get(key)

    def wrong(self, key: str, what: str) -> None:
        self._file.fail(f"{self.at(key)}: {shown(self._value.get(key))} {what}")

    def text(self, key: str, most: int) -> str | None:
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, str):
            self.wrong(key, "is no text. Write it in double quotes.")
            return None
        value = value.strip()
        if len(value) > most:
            self.wrong(key, f"has {len(value):,} characters; at most {most} are kept. Shorten it.")
            return None
        return value

    def secret(self, key: str, most: int = 4000) -> str | None:
        """As text, but no message ever shows the value."""
        value = self.take(key)
        if value is None:
            return None
        if not isinstance(value, str) or len(value) > most:
            self._file.fail(f"{self.at(key)}: the value is no text of at most {most} characters. Write it in quotes.")
            return None
        return value.strip()

    def identifier(self, key: str, most: int) -> str | None:
        """An id or a short number: text, or a whole number that becomes text."""
        value = self.take(key)
        if isinstance(value, int) and not isinstance(value, bool):
            value = str(value)
        if value is None:
            return None
        if not isinstance(value, str):
            self.wrong(key, 'is no id. Write it in double quotes, such as "101".')
            return None
        value = value.strip()
        if not value or len(value) > most or not value.isprintable():
            self.wrong(key, f"is no id: one to {most} characters are expected.")
            return None
        return value

    def whole(self, key: str, low: int = 0, high: int = 1_000_000) -> int | None:
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int):
            self.wrong(key, "is no whole number. Write digits without quotes, such as 1.")
            return None
        if not low <= value <= high:
            self.wrong(key, f"is out of range: {low:,} to {high:,} is possible.")
            return None
        return value

    def weight(self, key: str) -> Decimal | None:
        value = self.take(key)
        if value is None:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.wrong(key, "is no number. Write it without quotes, such as 1.5.")
            return None
        if value <= 0:
            self.wrong(key, "is no weight: it must be greater than 0. To leave somebody out, set active to false.")
            return None
        weight = round(Decimal(str(value)), 3)
        if not 0 < weight < 10_000:
            self.wrong(key, "is out of range: 0.001 to 9999 is possible.")
            return None
        return weight

    def flag(self, key: str) -> bool | None:
        value = self.take(key)
        if value is not None and not isinstance(value, bool):
            self.wrong(key, "is neither true nor false. Write one of them without quotes.")
            return None
        return value

    def email(self, key: str) -> str | None:
        value = self.text(key, 254)
        return self._address(value, self.at(key)) if value else value

    def clock(self, key: str) -> dt.time | None:
        value = self.take(key)
        if value is None:
            return None
        match = _CLOCK.fullmatch(value.strip()) if isinstance(value, str) else None
        if match is None:
            self.wrong(key, 'is no time of day. Write hours and minutes, such as "09:00".')
            return None
        return dt.time(int(match.group(1)), int(match.group(2)))

    def table(self, key: str) -> Table:
        """The object below the key; an empty one where it is missing."""
        if key not in self._inner:
            value = self.take(key)
            if value is not None and not isinstance(value, dict):
                self.wrong(key, "is no object. Write it in braces: { … }.")
                value = None
            self._inner[key] = Table(value or {}, self.at(key), self._file)
        return self._inner[key]

    def tables(self, key: str) -> list[Table]:
        """The objects in the list below the key."""
        return tables_of(self._elements(key), self.at(key), self._file)

    def emails(self, key: str) -> list[str]:
        """The addresses in the list below the key, each once, whatever the case of its letters."""
        found: dict[str, str] = {}
        for place, value in self._texts(key, "address"):
            address = self._address(value, place)
            if address and found.setdefault(address.lower(), address) is not address:
                self._file.warn(f"{place}: {shown(address)} is listed before; taken once.")
        return list(found.values())

    def ids(self, key: str) -> list[str]:
        return list(dict.fromkeys(value for _, value in self._texts(key, "id")))

    def rest(self) -> dict[str, Any]:
        """Keys that mean nothing here, also of the objects below, to be kept. Each is listed in the report."""
        if self._rest is not None:
            return self._rest
        kept = self._rest = {}
        for key, value in self._value.items():
            if key in self._inner:
                below = self._inner[key].rest()
                if below:
                    kept[key] = below
            elif key not in self._seen:
                self._file.unknown[re.sub(r"\[\d+\]", "[]", self.at(key))] += 1
                if _holds_secret(key, value):
                    self._file.warn(f"{self.at(key)}: unknown and named like a secret, so it is not kept.")
                else:
                    kept[key] = value
        return kept

    def _elements(self, key: str) -> list[Any]:
        value = self.take(key)
        if value is None:
            return []
        if not isinstance(value, list):
            self.wrong(key, "is no list. Write it in brackets: [ … ].")
            return []
        if len(value) > MOST_ELEMENTS:
            self._file.fail(f"{self.at(key)}: {len(value):,} elements; at most {MOST_ELEMENTS:,} are taken.")
            return []
        return value

    def _texts(self, key: str, what: str) -> list[tuple[str, str]]:
        found = []
        for index, value in enumerate(self._elements(key)):
            place = f"{self.at(key)}[{index}]"
            is_number = what == "id" and isinstance(value, int) and not isinstance(value, bool)
            text = str(value).strip() if is_number or isinstance(value, str) else ""
            if not text or (what == "id" and len(text) > 30):
                self._file.fail(f"{place}: {shown(value)} is no {what}. Write it in double quotes.")
            else:
                found.append((place, text))
        return found

    def _address(self, value: str, place: str) -> str | None:
        try:
            validate_email(value)
        except ValidationError:
            self._file.fail(f"{place}: {shown(value)} is no e-mail address. Write it like name@company.com.")
            return None
        return value


def tables_of(values: list[Any], path: str, file: FileReport) -> list[Table]:
    """The objects of a list; what is none is an error."""
    if len(values) > MOST_ELEMENTS:
        file.fail(f"{path or 'the file'}: {len(values):,} elements; at most {MOST_ELEMENTS:,} are taken.")
        return []
    found = []
    for index, value in enumerate(values):
        place = f"{path}[{index}]"
        if isinstance(value, dict):
            found.append(Table(value, place, file))
        else:
            file.fail(f"{place}: {shown(value)} is no object. Write it in braces: {{ … }}.")
    return found


def given(**values: Any) -> dict[str, Any]:
    """Those that the file says something about."""
    return {name: value for name, value in values.items() if value is not None}


def _holds_secret(key: str, value: Any) -> bool:
    if _SECRET_NAME.search(key):
        return True
    if isinstance(value, dict):
        return any(_holds_secret(name, below) for name, below in value.items())
    return isinstance(value, list) and any(_holds_secret("", below) for below in value)
