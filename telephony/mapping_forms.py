"""Forms of the page about mappings: the rows of one type of call, the statuses, and what a call may overwrite."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Sequence
from typing import Any, cast

from django import forms
from django.core.exceptions import ValidationError
from django.db import transaction

from crm.zoho.schema import Field
from telephony import mapping, statuses
from telephony.field_values import is_fillable
from telephony.mapping import Mapped, Mappings
from telephony.models import FieldMapping, Office, OverwritableStatus, StatusName
from telephony.template_text import parse

MAX_ROWS = 200
STEP = 10
INHERIT, NONE, VALUE = "inherit", "none", "="
NOT_LISTED = "not in Zoho's list"


class Stale(Exception):
    """Somebody else saved the rows after they were shown."""


class RowForm(forms.Form):
    """One field and its template. A row with neither is no row."""

    pk = forms.IntegerField(required=False, widget=forms.HiddenInput)
    field = forms.CharField(
        label="Field", required=False, max_length=120,
        widget=forms.TextInput(attrs={"list": "mapping-fields", "autocomplete": "off", "class": "mono"}),
    )  # fmt: skip
    template = forms.CharField(
        label="Template", required=False, max_length=2000,
        widget=forms.TextInput(attrs={"autocomplete": "off", "spellcheck": "false", "class": "mono"}),
    )  # fmt: skip
    position = forms.IntegerField(
        label="Order", required=False, min_value=0, max_value=99_999,
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )  # fmt: skip
    is_active = forms.BooleanField(label="On", required=False, initial=True)
    remove = forms.BooleanField(label="Remove", required=False)

    question = ""

    @property
    def is_row(self) -> bool:
        data = self.cleaned_data
        return not data.get("remove") and bool(data.get("field") or data.get("template"))

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if self.is_row and not self.errors and (data["is_active"] or not self.question):
            mapping.check(data["template"], data["field"])
        return data


class Rows(forms.BaseFormSet):
    """The rows of one type of call in one office, or for all offices. Use `rows_of` to make it.

    `columns` are Zoho's fields, or None where they could not be read: then nothing is compared with Zoho.
    """

    def __init__(
        self, *args: Any, office: Office | None, call_type: str, stored: Sequence[FieldMapping],
        columns: Sequence[Field] | None, **kwargs: Any,
    ) -> None:  # fmt: skip
        self.office, self.call_type, self.columns = office, call_type, columns
        self.questions = {row.pk: row.question for row in stored if row.question}
        super().__init__(*args, **kwargs)

    def add_fields(self, form: forms.Form, index: int | None) -> None:
        super().add_fields(form, index)
        assert isinstance(form, RowForm)
        told = str(form["pk"].value() or "")
        form.question = self.questions.get(int(told), "") if told.isdecimal() else ""

    def clean(self) -> None:
        if any(self.errors):
            return
        taken: dict[str, str] = {}
        found = Mappings.load(self.office)
        for form in self.rows:
            data, name = form.cleaned_data, form.cleaned_data["field"]
            target = mapping.target_of(name)
            if target in taken:
                form.add_error("field", f"{name} writes the same field as {taken[target]}. Remove one of them.")
                continue
            taken[target] = name
            if data["is_active"] and self.columns is not None:
                mapped = Mapped(target, parse(data["template"]))
                wrong = mapping.misfit(mapped, self.call_type, found, self.columns)
                if wrong:
                    form.add_error("template", f"{wrong} Change the row, or switch it off.")
        if any(form.errors for form in self.forms):
            raise ValidationError("Please correct what is marked below.")

    @property
    def rows(self) -> list[RowForm]:
        """Those with content, in the order given; equal numbers keep their place."""
        rows = [form for form in self.forms if isinstance(form, RowForm) and form.is_row]
        return sorted(rows, key=lambda form: _place(form.cleaned_data.get("position")))

    def to_rows(self, *, only_valid: bool = False) -> list[FieldMapping]:
        """Unsaved rows. With `only_valid` those that were entered without a mistake, for the preview."""
        chosen = [form for form in self.rows if not (only_valid and form.errors)]
        return [
            FieldMapping(
                office=self.office, call_type=self.call_type, field=form.cleaned_data["field"],
                template=form.cleaned_data["template"], position=number * STEP,
                is_active=form.cleaned_data["is_active"],
                question="" if form.cleaned_data["is_active"] else form.question,
            )
            for number, form in enumerate(chosen, start=1)
        ]  # fmt: skip


def rows_of(
    office: Office | None, call_type: str, columns: Sequence[Field] | None, data: Any = None, *, extra: int = 1
) -> Rows:
    """The formset over the stored rows; `extra` empty rows at the end.

    Where nothing is configured it starts with the built-in mapping, which rows of one's own take the place of.
    """
    stored = stored_rows(office, call_type)
    is_configured = stored or (office is not None and any(row.is_active for row in stored_rows(None, call_type)))
    shown = stored if is_configured else mapping.default_rows(office, call_type)
    made = cast(
        type[Rows], forms.formset_factory(RowForm, formset=Rows, extra=extra, max_num=MAX_ROWS, validate_max=True)
    )
    initial = [
        {"pk": row.pk, "field": row.field, "template": row.template, "position": row.position,
         "is_active": row.is_active}
        for row in shown
    ]  # fmt: skip
    return made(data, prefix="row", initial=initial, office=office, call_type=call_type, stored=stored, columns=columns)


def stored_rows(office: Office | None, call_type: str) -> list[FieldMapping]:
    return list(FieldMapping.objects.filter(office=office, call_type=call_type))


def digest_of(rows: Iterable[FieldMapping]) -> str:
    """What the page showed, to notice that somebody else has saved since."""
    told = [[row.pk, row.field, row.template, row.position, row.is_active, row.question] for row in rows]
    return hashlib.sha256(json.dumps(told).encode()).hexdigest()[:16]


@transaction.atomic
def save_rows(rows: Rows, seen: str) -> tuple[list[str], list[str]]:
    """Puts the rows in the place of the stored ones; gives both as text, before and after. Raises Stale."""
    stored = list(
        FieldMapping.objects.select_for_update().filter(office=rows.office, call_type=rows.call_type)
    )  # fmt: skip
    if digest_of(stored) != seen:
        raise Stale
    new = rows.to_rows()
    # All anew: two rows that exchange their fields would meet the rule that each field is there once.
    FieldMapping.objects.filter(pk__in=[row.pk for row in stored]).delete()
    FieldMapping.objects.bulk_create(new)
    return [_words(row) for row in stored], [_words(row) for row in new]


def fillable(columns: Sequence[Field]) -> list[Field]:
    """Fields that a mapping can fill, by their label."""
    return sorted((field for field in columns if is_fillable(field)), key=lambda field: field.label.casefold())


def _words(row: FieldMapping) -> str:
    return str(row) if row.is_active else f"{row} (off)"


def _place(position: int | None) -> tuple[bool, int]:
    """Rows without a number come last."""
    return position is None, position or 0


class StatusForm(forms.Form):
    """The statuses of an office, or of all offices, and those that calls may replace there."""

    overwritable = forms.MultipleChoiceField(
        label="Calls may also replace", required=False, widget=forms.CheckboxSelectMultiple,
        help_text="Calls always replace an empty status and those that they set themselves. All others stay.",
    )  # fmt: skip

    def __init__(self, data: Any = None, *, office: Office | None, columns: Sequence[Field] | None) -> None:
        super().__init__(data, prefix="status")
        self.office = office
        own = {row.key: row.value for row in StatusName.objects.filter(office=office)}
        common = statuses.Statuses.load(None).names if office else StatusName.DEFAULTS
        allowed = list(OverwritableStatus.objects.filter(office=office).values_list("value", flat=True))
        known = _picklist(columns)
        self.live = [value for value, _ in known]
        for key in StatusName.Key:
            told = own.get(key)
            usual = f"{'As for all offices' if office else 'Usual'}: {common[key] or 'leave the status alone'}"
            choices = [(INHERIT, usual), (NONE, "Leave the status alone"), *self._with(known, [told] if told else [])]
            value = INHERIT if told is None else f"{VALUE}{told}" if told else NONE
            self.fields[key.value] = forms.ChoiceField(
                label=str(key.label), choices=choices, initial=value, required=False
            )  # fmt: skip
        overwritable = self.fields.pop("overwritable")
        assert isinstance(overwritable, forms.MultipleChoiceField)
        overwritable.choices = self._with(known, allowed)
        overwritable.initial = [f"{VALUE}{value}" for value in allowed]
        self.fields["overwritable"] = overwritable

    def _with(self, known: list[tuple[str, str]], stored: list[str]) -> list[tuple[str, str]]:
        """The live picklist, and what is stored besides."""
        missing = [(value, f"{value} ({NOT_LISTED})") for value in stored if value not in self.live]
        return [(f"{VALUE}{value}", label) for value, label in (*known, *missing)]

    @transaction.atomic
    def save(self) -> dict[str, Any]:
        """Gives what holds now, by key, with the overwritable ones as a list."""
        told: dict[str, Any] = {}
        for key in StatusName.Key:
            choice = self.cleaned_data[key.value]
            rows = StatusName.objects.filter(office=self.office, key=key)
            if choice in ("", INHERIT):
                rows.delete()
                continue
            told[key.value] = "" if choice == NONE else choice.removeprefix(VALUE)
            if not rows.update(value=told[key.value]):
                StatusName.objects.create(office=self.office, key=key, value=told[key.value])
        told["overwritable"] = [choice.removeprefix(VALUE) for choice in self.cleaned_data["overwritable"]]
        stored = OverwritableStatus.objects.filter(office=self.office)
        stored.exclude(value__in=told["overwritable"]).delete()
        present = set(stored.values_list("value", flat=True))
        OverwritableStatus.objects.bulk_create(
            OverwritableStatus(office=self.office, value=value)
            for value in told["overwritable"] if value not in present
        )  # fmt: skip
        return told


def _picklist(columns: Sequence[Field] | None) -> list[tuple[str, str]]:
    """Value and words of Zoho's statuses; the usual ones where Zoho could not be asked."""
    field = next((entry for entry in columns or () if entry.api_name == statuses.FIELD), None)
    if field is None:
        return [(value, value) for value in StatusName.DEFAULTS.values()]
    return [
        (entry.value, entry.label if entry.label == entry.value else f"{entry.label} ({entry.value})")
        for entry in field.choices
    ]
