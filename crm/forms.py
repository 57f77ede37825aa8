"""Forms of the bulk update: which records, which change, and the confirmation."""

from __future__ import annotations

import re
from typing import Any

from django import forms

from crm.metadata import Offer
from crm.retry import RETRYABLE
from crm.selection import Selection, parse
from crm.zoho.schema import Field, Module, View
from portal.csvfiles import decode
from portal.models import Run

MAX_FILE_BYTES = 5 * 1024 * 1024
SOURCES = (
    ("paste", "Pasted ids"),
    ("file", "A file"),
    ("view", "A custom view"),
    ("run", "Failed in a run"),
)


class RecordsForm(forms.Form):
    """Step 1: the module and where its records come from."""

    module = forms.ChoiceField(label="Module")
    source = forms.ChoiceField(label="Records from", choices=SOURCES, widget=forms.RadioSelect, initial="paste")
    ids = forms.CharField(
        label="Record ids",
        required=False,
        strip=False,
        widget=forms.Textarea(attrs={"rows": 8, "class": "mono", "spellcheck": "false", "autocomplete": "off"}),
        help_text="One id a line, or several separated by blanks or commas. "
        "“id,value” on a line gives that record a value of its own.",
    )
    file = forms.FileField(
        label="TXT or CSV file",
        required=False,
        help_text="Up to 5 MB. A column “id”, and optionally “value” or “status” for a value per record.",
    )
    view = forms.ChoiceField(label="Custom view", required=False, choices=())
    view_number = forms.CharField(
        label="or its number",
        required=False,
        max_length=20,
        help_text="The digits at the end of the view's address in Zoho.",
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off"}),
    )
    all_pages = forms.BooleanField(
        label="All pages",
        required=False,
        initial=True,
        help_text="Off: only the first 200 records of the view.",
    )

    run = forms.IntegerField(
        label="Number of the run",
        required=False,
        min_value=1,
        help_text="Its records that failed or whose outcome is unknown, for another change than before. "
        "To repeat the same change, use “Retry failed” on the run's page.",
    )

    def __init__(self, *args: Any, modules: list[Module], views: list[View], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["module"].choices = [(module.api_name, module.plural) for module in modules]  # type: ignore[attr-defined]
        self.fields["view"].choices = [("", "Choose a view"), *((view.id, view.name) for view in views)]  # type: ignore[attr-defined]
        self.views = {view.id: view.name for view in views}
        self.selection: Selection | None = None

    def clean_view_number(self) -> str:
        number = str(self.cleaned_data["view_number"]).strip()
        if number and not re.fullmatch(r"[0-9]{1,20}", number):
            raise forms.ValidationError(
                f"“{number}” is not a view number: it has digits only. Copy it from the address."
            )
        return number

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        source = data.get("source")
        if source == "paste":
            self._clean_text(data.get("ids") or "", "ids")
        elif source == "file":
            self._clean_file(data)
        elif source == "run":
            self._clean_run(data)
        elif source == "view" and not (data.get("view") or data.get("view_number") or self.errors):
            self.add_error("view", "Choose a custom view, or give its number.")
        return data

    def _clean_file(self, data: dict[str, Any]) -> None:
        file = data.get("file")
        if file is None:
            if "file" not in self.errors:
                self.add_error("file", "Choose a TXT or CSV file.")
            return
        if file.size > MAX_FILE_BYTES:
            self.add_error("file", f"“{file.name}” has {file.size / 1e6:.1f} MB; the limit is 5 MB. Split it.")
            return
        try:
            text, _ = decode(file.read())
        except ValueError as error:
            self.add_error("file", str(error))
            return
        self._clean_text(text, "file")

    def _clean_run(self, data: dict[str, Any]) -> None:
        number = data.get("run")
        if number is None:
            if "run" not in self.errors:
                self.add_error("run", "Give the number of a run; it stands in the list of runs.")
            return
        run = Run.objects.filter(pk=number, parameters__module=data.get("module")).first()
        if run is None:
            self.add_error("run", f"There is no run {number} over {data.get('module')}. Look it up under Runs.")
        elif not run.items.filter(state__in=RETRYABLE).exists():
            self.add_error("run", f"No record of run {number} failed, so there is nothing to take from it.")

    def _clean_text(self, text: str, name: str) -> None:
        self.selection = parse(text)
        if not self.selection.rows:
            rejects = self.selection.rejects
            if not rejects:
                self.add_error(name, "The list is empty. Give at least one record id.")
                return
            first = f"Line {rejects[0].line}, “{rejects[0].text}”: {rejects[0].reason}."
            self.add_error(name, f"No record id was found. {first} Give at least one id, such as 5725767000000411001.")

    @property
    def to_source(self) -> dict[str, Any]:
        """The source as the plan keeps it."""
        data = self.cleaned_data
        if data["source"] == "run":
            return {"type": "run", "id": data["run"], "states": list(RETRYABLE)}
        if data["source"] != "view":
            return {"type": "ids", "name": data["file"].name[:100] if data["source"] == "file" else "pasted ids"}
        view_id = data["view_number"] or data["view"]
        return {
            "type": "view",
            "id": view_id,
            "name": self.views.get(view_id, f"number {view_id}"),
            "all_pages": data["all_pages"],
        }


class ChangeForm(forms.Form):
    """Step 2: the field, its new value, and whether Zoho's automation runs."""

    AUTOMATION = (
        (
            "on",
            "On: workflow rules, approvals and blueprints run for each changed record, as if it were edited by hand",
        ),
        ("off", "Off: only the value changes; no workflow, mail, task or approval is set off"),
    )
    field = forms.ChoiceField(label="Field")
    value = forms.ChoiceField(label="New value")
    automation = forms.ChoiceField(label="Zoho automation", choices=AUTOMATION, widget=forms.RadioSelect, initial="on")

    def __init__(self, *args: Any, fields: list[Field], offer: Offer | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["field"].choices = [(field.api_name, field.full_label) for field in fields]  # type: ignore[attr-defined]
        choices = offer.choices if offer else ()
        self.fields["value"].choices = [  # type: ignore[attr-defined]
            (choice.value, choice.label if choice.label == choice.value else f"{choice.label} ({choice.value})")
            for choice in choices
        ]
        if offer and offer.default:
            self.fields["value"].initial = offer.default


class ConfirmForm(forms.Form):
    """Step 4: the number typed, and the question about a plan that was run before."""

    fingerprint = forms.CharField(widget=forms.HiddenInput)
    typed = forms.CharField(required=False, max_length=20)
    again = forms.BooleanField(required=False)
