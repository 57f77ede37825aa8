"""Filters of the core's lists: the query string as typed values. What makes no sense in it is left out."""

from __future__ import annotations

import datetime as dt

from django import forms
from django.http import QueryDict
from django.utils import timezone

from portal.models import RunItem
from portal.queries import RUN_STATES, AuditChoice, RunChoice
from portal.run_account import ItemChoice


class RunFilter(forms.Form):
    state = forms.ChoiceField(choices=RUN_STATES, required=False)
    kind = forms.CharField(max_length=40, required=False)
    person = forms.IntegerField(min_value=0, required=False)
    q = forms.CharField(max_length=200, required=False)

    def to_choice(self) -> RunChoice:
        self.is_valid()
        found = self.cleaned_data
        return RunChoice(found.get("state", ""), found.get("kind", ""), found.get("person"), found.get("q", ""))


class ItemFilter(forms.Form):
    state = forms.ChoiceField(choices=[("", "All"), *RunItem.State.choices], required=False)
    code = forms.CharField(max_length=60, required=False)
    q = forms.CharField(max_length=255, required=False)

    def to_choice(self) -> ItemChoice:
        self.is_valid()
        found = self.cleaned_data
        return ItemChoice(found.get("state", ""), found.get("code", ""), found.get("q", ""))


class AuditFilter(forms.Form):
    """Shown as a form too, so its fields have words."""

    actor = forms.CharField(label="Person", max_length=150, required=False)
    action = forms.ChoiceField(label="Action", required=False)
    run = forms.IntegerField(label="Run", min_value=1, required=False)
    since = forms.DateField(label="From", required=False, widget=forms.DateInput(attrs={"type": "date"}))
    until = forms.DateField(label="To", required=False, widget=forms.DateInput(attrs={"type": "date"}))

    def __init__(self, data: QueryDict, *, actions: list[str]) -> None:
        super().__init__(data)
        chosen = self.fields["action"]
        assert isinstance(chosen, forms.ChoiceField)
        chosen.choices = [("", "All"), *((action, action) for action in actions)]

    def to_choice(self) -> AuditChoice:
        """Days are those of the portal's time zone; the last one is included."""
        self.is_valid()
        found = self.cleaned_data
        until = found.get("until")
        return AuditChoice(
            found.get("actor", ""),
            found.get("action", ""),
            found.get("run"),
            _midnight(found.get("since")),
            _midnight(until + dt.timedelta(days=1) if until else None),
        )


def _midnight(day: dt.date | None) -> dt.datetime | None:
    return timezone.make_aware(dt.datetime.combine(day, dt.time.min)) if day else None
