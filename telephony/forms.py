"""Forms of the pages about calls: what to process, which calls to list, and the decisions of a person."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django import forms
from django.core.exceptions import ValidationError
from django.http import QueryDict
from django.utils import timezone

from telephony.models import Call, CallSettings, LeadOwner, Office
from telephony.models.assignment import check_weight
from telephony.queries import NO_OFFICE, STATES, CallChoice, midnight

TYPES = (("accepted", "Accepted calls"), ("missed", "Missed calls"))
DATE = forms.DateInput(attrs={"type": "date"})


class ProcessForm(forms.Form):
    """Which calls to read and process. Days are those of the office's zone, of all offices those of the settings'."""

    PERIODS = (
        ("hours", "The last hours"),
        ("today", "Today"),
        ("yesterday", "Yesterday"),
        ("week", "Last 7 days"),
        ("month", "This month"),
        ("dates", "From … to …"),
    )

    office = forms.ChoiceField(label="Office", required=False)
    types = forms.MultipleChoiceField(
        label="Types", choices=TYPES, initial=["accepted", "missed"], widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose accepted calls, missed calls, or both."},
    )  # fmt: skip
    period = forms.ChoiceField(label="Calls of", choices=PERIODS, initial="hours")
    hours_back = forms.IntegerField(label="Hours back", min_value=1, required=False)
    since = forms.DateField(label="From", required=False, widget=DATE)
    until = forms.DateField(label="To", required=False, widget=DATE)
    dry_run = forms.BooleanField(
        label="Dry run", required=False, help_text="Says what would be done, and writes nothing to Zoho."
    )
    debug = forms.BooleanField(label="Detailed log", required=False)
    email = forms.BooleanField(label="Send the report by mail", required=False, initial=True)

    def __init__(self, *args: Any, offices: Sequence[Office], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.offices = list(offices)
        self.settings = CallSettings.load()
        chosen = self.fields["office"]
        assert isinstance(chosen, forms.ChoiceField)
        everywhere = [("", "All offices, in their order")] if len(self.offices) != 1 else []
        chosen.choices = [*everywhere, *((office.slug, office.name) for office in self.offices)]
        hours = self.fields["hours_back"]
        hours.initial = self.settings.default_hours_back
        hours.help_text = "At most " + ", ".join(self._maxima())

    def _maxima(self) -> list[str]:
        own = [office for office in self.offices if office.max_hours_back]
        return [f"{self.settings.max_hours_back}", *(f"{office.max_hours_back} in {office.name}" for office in own)]

    def chosen_offices(self) -> list[Office]:
        slug = self.cleaned_data["office"]
        return [office for office in self.offices if not slug or office.slug == slug]

    @property
    def zone(self) -> ZoneInfo:
        offices = self.chosen_offices()
        return offices[0].tz if len(offices) == 1 else ZoneInfo(self.settings.default_zone)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "office" not in data or "period" not in data:
            return data
        if not self.offices:
            raise ValidationError("There is no office whose calls could be processed. Make one first.")
        if data["period"] == "hours":
            self._clean_hours(data)
        elif data["period"] == "dates":
            self._clean_dates(data)
        return data

    def _clean_hours(self, data: dict[str, Any]) -> None:
        hours = data.get("hours_back")
        if hours is None:
            if "hours_back" not in self.errors:
                self.add_error("hours_back", "Give the number of hours to look back.")
            return
        for office in self.chosen_offices():
            most = office.max_hours_back or self.settings.max_hours_back
            if hours > most:
                self.add_error("hours_back", f"{office.name} allows at most {most} hours. Give {most} or less.")
                return

    def _clean_dates(self, data: dict[str, Any]) -> None:
        since, until = data.get("since"), data.get("until")
        if since is None and "since" not in self.errors:
            self.add_error("since", "Give the first day.")
        if since and until and until < since:
            self.add_error("until", "The last day is before the first one.")
        if since and since > timezone.now().astimezone(self.zone).date():
            self.add_error("since", "This day is still to come.")

    def window(self) -> tuple[dt.datetime | None, dt.datetime | None]:
        """The moments that the days mean; none where hours were chosen, and no end for an open one."""
        period = self.cleaned_data["period"]
        today = timezone.now().astimezone(self.zone).date()
        first, last = {
            "hours": (None, None),
            "today": (today, None),
            "yesterday": (today - dt.timedelta(days=1), today - dt.timedelta(days=1)),
            "week": (today - dt.timedelta(days=6), None),
            "month": (today.replace(day=1), None),
            "dates": (self.cleaned_data.get("since"), self.cleaned_data.get("until")),
        }[period]
        since = midnight(first, self.zone) if first else None
        until = midnight(last + dt.timedelta(days=1), self.zone) if last else None
        return since, until if until and until < timezone.now() else None

    def to_start(self) -> dict[str, Any]:
        """Arguments of `call_sync.start`, without who started it."""
        data = self.cleaned_data
        since, until = self.window()
        return {
            "offices": self.chosen_offices(),
            "types": data["types"],
            "since": since,
            "until": until,
            "hours_back": data["hours_back"] if data["period"] == "hours" else None,
            "dry_run": data["dry_run"],
            "debug": data["debug"],
            "email": data["email"],
        }


class CallFilter(forms.Form):
    """Filters of the list: the query string as typed values. What makes no sense in it is left out."""

    office = forms.ChoiceField(label="Office", required=False)
    outcome = forms.ChoiceField(
        label="Outcome", choices=[("", "Any outcome"), *Call.Outcome.choices], required=False
    )  # fmt: skip
    since = forms.DateField(label="From", required=False, widget=DATE)
    until = forms.DateField(label="To", required=False, widget=DATE)
    q = forms.CharField(label="Number, name or call id", max_length=120, required=False)
    state = forms.ChoiceField(
        choices=[(name, label) for name, label, _ in STATES], required=False, widget=forms.HiddenInput
    )

    def __init__(self, data: QueryDict, *, offices: Sequence[Office]) -> None:
        super().__init__(data)
        chosen = self.fields["office"]
        assert isinstance(chosen, forms.ChoiceField)
        chosen.choices = [
            ("", "All offices"), *((office.slug, office.name) for office in offices), (NO_OFFICE, "No office"),
        ]  # fmt: skip

    def to_choice(self) -> CallChoice:
        self.is_valid()
        found = self.cleaned_data
        return CallChoice(
            found.get("office", ""), found.get("state", ""), found.get("outcome", ""), found.get("since"),
            found.get("until"), found.get("q", ""),
        )  # fmt: skip


class WhyForm(forms.Form):
    """The window of “Why were no calls processed?”. Without days: the last 24 hours."""

    office = forms.ChoiceField(label="Office", required=False)
    types = forms.MultipleChoiceField(label="Types", choices=TYPES, required=False, widget=forms.CheckboxSelectMultiple)
    since = forms.DateField(label="From", required=False, widget=DATE)
    until = forms.DateField(label="To", required=False, widget=DATE)

    def __init__(self, data: QueryDict, *, offices: Sequence[Office]) -> None:
        super().__init__(data)
        self.by_slug = {office.slug: office for office in offices}
        chosen = self.fields["office"]
        assert isinstance(chosen, forms.ChoiceField)
        chosen.choices = [("", "All offices"), *((office.slug, office.name) for office in offices)]
        if not data.getlist("types"):
            self.data = data.copy()
            self.data.setlist("types", [name for name, _ in TYPES])

    @property
    def chosen_office(self) -> Office | None:
        return self.by_slug.get(self.cleaned_data.get("office", ""))

    def window(self, zone: ZoneInfo) -> tuple[dt.datetime, dt.datetime]:
        now = timezone.now()
        since, until = self.cleaned_data.get("since"), self.cleaned_data.get("until")
        end = midnight(until + dt.timedelta(days=1), zone) if until else now
        return (midnight(since, zone) if since else end - dt.timedelta(hours=24)), end


class RecordForm(forms.Form):
    """The record that a person chooses for a call: a candidate as “module:id”, or another one by module and id."""

    MODULES = (("Leads", "Lead"), ("Contacts", "Contact"))

    seen = forms.CharField(widget=forms.HiddenInput, required=False)
    record = forms.CharField(widget=forms.HiddenInput, required=False)
    module = forms.ChoiceField(label="Module", choices=MODULES, required=False)
    record_id = forms.RegexField(
        r"^[0-9]{1,20}$", label="Record id", required=False,
        help_text="The digits at the end of the record's address in Zoho.",
        error_messages={"invalid": "A record id has digits only, such as 5725767000000411001."},
        widget=forms.TextInput(attrs={"inputmode": "numeric", "autocomplete": "off", "maxlength": 20}),
    )  # fmt: skip
    always = forms.BooleanField(label="Always for this number", required=False)

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        module, _, record_id = (data.get("record") or "").partition(":")
        if module:
            data["module"], data["record_id"] = module, record_id
        if not data.get("record_id") and "record_id" not in self.errors:
            self.add_error("record_id", "Choose a record, or give its id.")
        return data


class IgnoreForm(forms.Form):
    seen = forms.CharField(widget=forms.HiddenInput, required=False)
    reason = forms.CharField(
        label="Reason", max_length=200, error_messages={"required": "Say why: it is shown with the call."}
    )


class OwnerForm(forms.Form):
    """Weight and absence of an owner; the time is one of the office's clock."""

    weight = forms.DecimalField(max_digits=7, decimal_places=3, validators=[check_weight])
    away_until = forms.DateTimeField(
        label="Away until", required=False, input_formats=["%Y-%m-%dT%H:%M"],
        widget=forms.DateTimeInput(attrs={"type": "datetime-local"}, format="%Y-%m-%dT%H:%M"),
    )  # fmt: skip

    def away_until_in(self, zone: ZoneInfo) -> dt.datetime | None:
        found: dt.datetime | None = self.cleaned_data["away_until"]
        return found.replace(tzinfo=zone).astimezone(dt.UTC) if found else None


def owner_initial(owner: LeadOwner, zone: ZoneInfo) -> dict[str, Any]:
    away = owner.away_until.astimezone(zone) if owner.away_until else None
    return {"weight": owner.weight.normalize(), "away_until": away.replace(tzinfo=None) if away else None}
