"""The form of one record: a control for each data type that can be edited here, and its way to Zoho's JSON and back.

Data types and their JSON are those of Zoho's v8 field documentation. Numbers above what a float holds exactly are
refused, because JSON would round them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils import timezone
from django.utils.safestring import SafeString

from crm import metadata
from crm.forms import ChangeForm
from crm.viewer import labels_of
from crm.zoho.schema import Choice, Field

PREFIX = "f"
YES = ("yes", "true", "on", "1")
NO = ("no", "false", "off", "0", "")
MAX_INTEGER = 999_999_999
MAX_PHONE = 30
NOT_LISTED = "not in Zoho's list"


class NumberField(forms.DecimalField):
    """A number that JSON carries without rounding."""

    def clean(self, value: Any) -> Decimal | None:
        number: Decimal | None = super().clean(value)
        if number is not None and Decimal(repr(float(number))) != number:
            raise ValidationError("This number has more digits than can be sent exactly. Shorten it.")
        return number


class LinesField(forms.CharField):
    """Text of several lines; browsers end lines in their own way."""

    def to_python(self, value: Any) -> Any:
        text = super().to_python(value)
        return text.replace("\r\n", "\n") if isinstance(text, str) else text


# --- controls ---------------------------------------------------------------------------------------------------------


def _line(field: Field, choices: Sequence[Choice]) -> forms.Field:
    return forms.CharField(max_length=field.length or 255)


def _lines(field: Field, choices: Sequence[Choice]) -> forms.Field:
    return LinesField(max_length=field.length or 32_000, widget=forms.Textarea(attrs={"rows": 4}))


def _email(field: Field, choices: Sequence[Choice]) -> forms.Field:
    return forms.EmailField(max_length=field.length or 100)


def _phone(field: Field, choices: Sequence[Choice]) -> forms.Field:
    return forms.RegexField(
        r"^[0-9A-Za-z+\-.()\s/,;#:*]+$", max_length=min(field.length or MAX_PHONE, MAX_PHONE),
        widget=forms.TextInput(attrs={"type": "tel"}),
        error_messages={"invalid": "A phone number has digits, letters, blanks and + - . ( ) / , ; # : * only."},
    )  # fmt: skip


def _website(field: Field, choices: Sequence[Choice]) -> forms.Field:
    return forms.RegexField(
        r"^(https?://)?[^\s/]+\.[^\s]+$", max_length=field.length or 450,
        widget=forms.TextInput(attrs={"inputmode": "url"}),
        error_messages={"invalid": "This is not an address of a web page, such as https://example.com/page."},
    )  # fmt: skip


def _picklist(field: Field, choices: Sequence[Choice]) -> forms.Field:
    blank = [] if field.is_mandatory else [("", "– blank –")]
    return forms.ChoiceField(choices=[*blank, *((choice.value, _label(choice)) for choice in choices)])


def _multiselect(field: Field, choices: Sequence[Choice]) -> forms.Field:
    return forms.MultipleChoiceField(
        choices=[(choice.value, _label(choice)) for choice in choices], widget=forms.CheckboxSelectMultiple
    )


def _boolean(field: Field, choices: Sequence[Choice]) -> forms.Field:
    return forms.BooleanField()


def _date(field: Field, choices: Sequence[Choice]) -> forms.Field:
    return forms.DateField(widget=forms.DateInput(format="%Y-%m-%d", attrs={"type": "date"}))


def _datetime(field: Field, choices: Sequence[Choice]) -> forms.Field:
    widget = forms.DateTimeInput(format="%Y-%m-%dT%H:%M:%S", attrs={"type": "datetime-local", "step": 1})
    return forms.DateTimeField(widget=widget, help_text=f"Time zone: {timezone.get_current_timezone_name()}.")


def _integer(field: Field, choices: Sequence[Choice]) -> forms.Field:
    return forms.IntegerField(min_value=-MAX_INTEGER, max_value=MAX_INTEGER)


def _long(field: Field, choices: Sequence[Choice]) -> forms.Field:
    return forms.RegexField(
        r"^-?[0-9]{1,18}$", widget=forms.TextInput(attrs={"inputmode": "numeric"}),
        error_messages={"invalid": "This is a whole number of at most 18 digits."},
    )  # fmt: skip


def _number(field: Field, choices: Sequence[Choice]) -> forms.Field:
    return NumberField(widget=forms.NumberInput(attrs={"step": "any"}))


def _label(choice: Choice) -> str:
    return choice.label if choice.label == choice.value else f"{choice.label} ({choice.value})"


# --- to JSON and back -------------------------------------------------------------------------------------------------


def _text_or_null(value: Any) -> Any:
    """Empty text clears a field, which Zoho wants as null."""
    return value or None


def _plain_number(value: Decimal | None) -> int | float | None:
    if value is None:
        return None
    return int(value) if value == value.to_integral_value() else float(value)


def _iso(value: dt.date | None) -> str | None:
    """A datetime carries its offset and has no fraction: Zoho accepts neither a fraction nor a missing offset."""
    if isinstance(value, dt.datetime):
        return value.isoformat(timespec="seconds")
    return value.isoformat() if value else None


def _same(value: Any) -> Any:
    return value


def _moment(value: Any) -> Any:
    """An aware datetime of Zoho's text; what cannot be read stays text and is shown as it is."""
    try:
        return dt.datetime.fromisoformat(str(value)) if value else None
    except ValueError:
        return value


@dataclass(frozen=True)
class Editor:
    """`control` makes the form field, `to_json` what is sent of its cleaned value, `initial` its value from JSON."""

    control: Callable[[Field, Sequence[Choice]], forms.Field]
    to_json: Callable[[Any], Any] = _text_or_null
    initial: Callable[[Any], Any] = _same


EDITORS: dict[str, Editor] = {
    "text": Editor(_line),
    "textarea": Editor(_lines),
    "email": Editor(_email),
    "phone": Editor(_phone),
    "website": Editor(_website),
    "picklist": Editor(_picklist),
    "multiselectpicklist": Editor(_multiselect, list),
    "boolean": Editor(_boolean, bool),
    "date": Editor(_date, _iso),
    "datetime": Editor(_datetime, _iso, _moment),
    "integer": Editor(_integer, _same),
    "bigint": Editor(_long),
    "double": Editor(_number, _plain_number),
    "percent": Editor(_number, _plain_number),
    "currency": Editor(_number, _plain_number),
}


def is_editable(field: Field) -> bool:
    return field.is_writable and field.data_type in EDITORS and field.api_name != "id"


def why_not(field: Field) -> str:
    """Why a field has no control here; "" when it has one."""
    if is_editable(field):
        return ""
    if not field.is_writable:
        return "Zoho does not let programs change it"
    return f"fields of the type {field.data_type} cannot be edited here"


class RecordForm(forms.Form):
    """Some fields of one record. What a person changed is told from what the form showed, not from the record.

    `record`: present values, for the first display. `is_confirmed`: every field given counts as changed.
    """

    def __init__(
        self, data: Any = None, *, module: str, fields: Sequence[Field], record: dict[str, Any] | None = None,
        is_confirmed: bool = False,
    ) -> None:  # fmt: skip
        super().__init__(data, prefix=PREFIX)
        self.columns = {field.api_name: field for field in fields}
        self.is_confirmed = is_confirmed
        labels = labels_of(fields)
        for field in fields:
            present = (record or {}).get(field.api_name)
            control = EDITORS[field.data_type].control(field, _choices(module, field, present))
            control.label = labels[field.api_name]
            control.required = field.is_mandatory and field.data_type != "boolean"
            control.show_hidden_initial = True
            self.fields[field.api_name] = control
            self.initial[field.api_name] = EDITORS[field.data_type].initial(present)

    def clean(self) -> dict[str, Any]:
        """A value that was there before and that nobody touched is not judged."""
        for name in [name for name in self.errors if name in self.fields and not self.is_given(name)]:
            del self.errors[name]
        return self.cleaned_data

    def is_given(self, name: str) -> bool:
        return self.is_confirmed or name in self.changed_data

    def changes(self) -> dict[str, Any]:
        """New values by API name, as Zoho takes them."""
        return {
            name: EDITORS[self.columns[name].data_type].to_json(value)
            for name, value in self.cleaned_data.items()
            if self.is_given(name)
        }

    def shown_values(self) -> list[SafeString]:
        """Hidden inputs with what the form showed first."""
        return [bound.as_hidden(only_initial=True) for bound in self]

    def given_values(self, names: Sequence[str]) -> list[tuple[str, str]]:
        """Names and values of hidden inputs that repeat what was entered for these fields, and what was shown first."""
        inputs = [each for name in names for each in (self.add_prefix(name), self.add_initial_prefix(name))]
        return [(each, value) for each in inputs for value in self.data.getlist(each)]  # type: ignore[attr-defined]


def _choices(module: str, field: Field, present: Any) -> list[Choice]:
    """The live picklist in the portal's order, and what the record holds besides: it may stay."""
    if not field.choices:
        return []
    choices = list(metadata.offer(module, field).choices)
    listed = {choice.value for choice in choices}
    values = present if isinstance(present, list) else [present] if present else []
    known = {choice.value: choice for choice in field.choices}
    return [
        *choices,
        *(known.get(value, Choice(value, NOT_LISTED)) for value in map(str, values) if value not in listed),
    ]


def data_of_text(field: Field, text: str) -> list[str]:
    """What a browser would send for a value given as text: several values are separated by semicolons.

    Raises ValidationError for a boolean that is neither yes nor no.
    """
    if field.data_type == "multiselectpicklist":
        return [part.strip() for part in text.split(";") if part.strip()]
    if field.data_type == "boolean":
        word = text.strip().lower()
        if word not in (*YES, *NO):
            raise ValidationError(f"Give yes or no for {field.api_name}.")
        return ["true" if word in YES else "false"]
    return [text]


class SaveForm(forms.Form):
    """What goes with the change: whether Zoho's automation runs, and the Modified_Time of what was shown."""

    automation = forms.ChoiceField(
        label="Zoho automation", choices=ChangeForm.AUTOMATION, widget=forms.RadioSelect, initial="on"
    )
    shown_at = forms.CharField(widget=forms.HiddenInput, required=False, max_length=40)
