"""The record viewer's address and its form."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlencode

from django import forms
from django.http import QueryDict

from crm.record_source import Look
from crm.selection import Selection, parse
from crm.zoho.schema import Field, View
from portal.models import Run

ALL_FIELDS = "all"
DEFAULT_MODULE = "Leads"
SOURCES = ("set", "run", "view")


@dataclass(frozen=True)
class Address:
    """What the viewer's address says: all state of the page, so that a link shows the same to a colleague.

    `kind`: "set", "run", "view", "all" or "" for nothing chosen; `number` is the id that goes with it. `fields` are API
    names, or "all" followed by those left out, each with a minus sign in front.
    """

    module: str = ""
    kind: str = ""
    number: str = ""
    fields: tuple[str, ...] = ()
    sort: str = ""
    descending: bool = False
    search: str = ""
    search_field: str = ""
    page: int = 1

    @classmethod
    def parse(cls, query: QueryDict) -> Address:
        kind = next((name for name in SOURCES if query.get(name)), "all" if query.get("all") else "")
        fields = [name.strip() for value in query.getlist("fields") for name in value.split(",")]
        sort, page = query.get("sort", ""), query.get("page", "")
        return cls(
            module=query.get("module", ""),
            kind=kind,
            number=query.get(kind, "") if kind in SOURCES else "",
            fields=tuple(dict.fromkeys(name for name in fields if name)),
            sort=sort.removeprefix("-"),
            descending=sort.startswith("-"),
            search=query.get("q", "").strip()[:100],
            search_field=query.get("in", ""),
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 8 else 1,
        )

    def query(self, **changes: Any) -> str:
        """The query string, without what has its default value."""
        to = replace(self, **changes) if changes else self
        values = {
            "module": to.module,
            "all" if to.kind == "all" else to.kind: "1" if to.kind == "all" else to.number,
            "fields": ",".join(to.fields),
            "q": to.search,
            "in": to.search_field if to.search else "",
            "sort": f"-{to.sort}" if to.sort and to.descending else to.sort,
            "page": str(to.page) if to.page > 1 else "",
        }
        return urlencode({name: value for name, value in values.items() if name and value}, safe=",")

    def field_names(self, columns: Sequence[Field]) -> list[str]:
        if ALL_FIELDS not in self.fields:
            return list(self.fields)
        left_out = {name.removeprefix("-") for name in self.fields if name.startswith("-")}
        return [column.api_name for column in columns if column.api_name not in left_out]


def fields_part(chosen: Iterable[str], columns: Sequence[Field]) -> tuple[str, ...]:
    """The shorter way to name the chosen fields in an address, which servers cut at some thousand characters."""
    names = tuple(chosen)
    left_out = tuple(f"-{column.api_name}" for column in columns if column.api_name not in set(names))
    return (ALL_FIELDS, *left_out) if len(left_out) < len(names) else names


class ViewerForm(forms.Form):
    """Which records and which fields. `selection` holds the cleaned ids where ids were pasted."""

    module = forms.CharField(widget=forms.HiddenInput)
    kept = forms.CharField(widget=forms.HiddenInput, required=False)
    source = forms.ChoiceField(label="Which records", widget=forms.RadioSelect)
    view = forms.ChoiceField(label="Custom view", required=False)
    view_text = forms.CharField(label="Or its name or number", required=False, max_length=120, strip=True)
    ids = forms.CharField(
        label="Record ids",
        required=False,
        widget=forms.Textarea(attrs={"rows": 5, "spellcheck": "false", "class": "mono"}),
        help_text="One a line, or several separated by commas; a column of a spreadsheet can be pasted as it is.",
    )
    run = forms.IntegerField(label="Run number", required=False, min_value=1)
    chosen = forms.MultipleChoiceField(
        label="Fields",
        required=False,
        widget=forms.CheckboxSelectMultiple,
    )

    def __init__(self, *args: Any, columns: Sequence[Field], views: Sequence[View], kept: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.columns = list(columns)
        self.views = list(views)
        self.selection: Selection | None = None
        sources = [("view", "A custom view"), ("all", "The whole module"), ("ids", "Pasted ids"), ("run", "A run")]
        if kept:
            sources.insert(0, ("set", f"The loaded {kept}"))
        self.fields["source"].choices = sources  # type: ignore[attr-defined]
        self.fields["view"].choices = [  # type: ignore[attr-defined]
            ("", "Choose a view"),
            *((view.id, f"{view.name} ({view.id})") for view in self.views),
        ]
        self.fields["chosen"].choices = [  # type: ignore[attr-defined]
            (column.api_name, column.full_label) for column in self.columns if column.api_name != "id"
        ]

    def clean_chosen(self) -> list[str]:
        chosen: list[str] = self.cleaned_data["chosen"]
        if not chosen:
            raise forms.ValidationError("Choose at least one field besides the record id.")
        return chosen

    def clean(self) -> dict[str, Any]:
        cleaned = super().clean() or {}
        check = {"view": self._check_view, "ids": self._check_ids, "run": self._check_run}.get(
            cleaned.get("source", "")
        )
        if check is not None:
            check(cleaned)
        return cleaned

    def _check_view(self, cleaned: dict[str, Any]) -> None:
        text = cleaned.get("view_text", "")
        if not text:
            if not cleaned.get("view") and "view" not in self.errors:
                self.add_error("view", "Choose a view, or enter its name or number.")
            return
        if text.isascii() and text.isdigit():
            cleaned["view"] = text
            return
        found = [view for view in self.views if view.name.casefold() == text.casefold()]
        if len(found) == 1:
            cleaned["view"] = found[0].id
        elif found:
            numbers = ", ".join(view.id for view in found)
            self.add_error("view_text", f"{len(found)} views have this name; enter the number of one: {numbers}.")
        else:
            self.add_error("view_text", "There is no view of this name in the module. Check the spelling.")

    def _check_ids(self, cleaned: dict[str, Any]) -> None:
        self.selection = parse(cleaned.get("ids", ""))
        if self.selection.rows:
            return
        if not self.selection.rejects:
            self.add_error("ids", "Paste at least one record id.")
            return
        first = self.selection.rejects[0]
        self.add_error("ids", f"No line holds a usable record id. Line {first.line}, “{first.text}”: {first.reason}.")

    def _check_run(self, cleaned: dict[str, Any]) -> None:
        number = cleaned.get("run")
        if number is None:
            if "run" not in self.errors:
                self.add_error("run", "Enter the number of the run.")
        elif not Run.objects.filter(pk=number).exists():
            self.add_error("run", f"There is no run {number}.")

    def address(self, record_set: int | None = None) -> Address:
        """Where the valid form leads; `record_set` is the stored list where ids were pasted."""
        data = self.cleaned_data
        kind = data["source"]
        numbers = {"view": data["view"], "run": data["run"], "set": data["kept"], "ids": record_set}
        return Address(
            module=data["module"],
            kind="set" if kind == "ids" else kind,
            number=str(numbers.get(kind) or ""),
            fields=fields_part(data["chosen"], [column for column in self.columns if column.api_name != "id"]),
        )


class SearchForm(forms.Form):
    """The search above the table; the rest of the address travels in hidden inputs."""

    q = forms.CharField(label="Search", required=False, max_length=100)

    def __init__(self, *args: Any, look: Look, searchable: Iterable[Field], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [("id", "Record id"), *((each.api_name, each.full_label) for each in searchable)]
        self.fields["in"] = forms.ChoiceField(label="In", required=False, choices=choices)
        self.initial = {"q": look.search, "in": look.search_field}
