"""The checked form of a schedule for calls: what cannot run is refused when it is made, not at three in the morning."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import available_timezones

from croniter import croniter
from django import forms
from django.core.exceptions import ValidationError

from portal.models import Schedule
from telephony.forms import TYPES
from telephony.models import CallSettings, Office

# Cron expression → words. The hours back must reach from one time to the next one.
PRESETS = (
    ("0 8 * * *", "Every day at 08:00"),
    ("0 8,14 * * 1-5", "At 08:00 and 14:00 from Monday to Friday"),
    ("0 */4 * * *", "Every 4 hours"),
    ("", "At other times, as given below"),
)


class CallScheduleForm(forms.Form):
    """Which calls a schedule processes, how, and when."""

    name = forms.CharField(max_length=80)
    offices = forms.MultipleChoiceField(
        label="Offices", required=False, widget=forms.CheckboxSelectMultiple,
        help_text="None: all offices, in their order, those that are added later too.",
    )  # fmt: skip
    types = forms.MultipleChoiceField(
        label="Types", choices=TYPES, initial=["accepted", "missed"], widget=forms.CheckboxSelectMultiple,
        error_messages={"required": "Choose accepted calls, missed calls, or both."},
    )  # fmt: skip
    preset = forms.ChoiceField(
        label="When", choices=PRESETS, required=False, initial="0 8 * * *", widget=forms.RadioSelect
    )  # fmt: skip
    cron = forms.CharField(
        label="Other times", max_length=80, required=False,
        help_text="Minute, hour, day, month, weekday. “30 6 * * 1-5” is 06:30 from Monday to Friday.",
    )  # fmt: skip
    zone = forms.CharField(label="Time zone", max_length=60, help_text="For example Europe/Berlin.")
    hours_back = forms.IntegerField(
        label="Hours back", min_value=1,
        help_text="At least the time from one run to the next. What was processed before is not done twice.",
    )  # fmt: skip
    missed = forms.ChoiceField(
        label="Times the portal slept through", choices=Schedule.Missed.choices, initial=Schedule.Missed.ONCE
    )  # fmt: skip
    dry_run = forms.BooleanField(label="Dry run: writes nothing to Zoho", required=False)
    debug = forms.BooleanField(label="Detailed log", required=False)
    email = forms.BooleanField(label="Send the report by mail", required=False, initial=True)

    def __init__(self, *args: Any, offices: Sequence[Office], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.settings = CallSettings.load()
        self.by_slug = {office.slug: office for office in offices}
        chosen = self.fields["offices"]
        assert isinstance(chosen, forms.MultipleChoiceField)
        chosen.choices = [(slug, office.name) for slug, office in self.by_slug.items()]
        self.fields["hours_back"].initial = self.settings.default_hours_back
        self.fields["zone"].initial = offices[0].zone if len(offices) == 1 else self.settings.default_zone

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        if Schedule.objects.filter(name=name).exists():
            raise ValidationError(f"There is a schedule “{name}” already. Choose another name.")
        return name

    def clean_zone(self) -> str:
        zone = str(self.cleaned_data["zone"]).strip()
        if zone not in available_timezones():
            raise ValidationError(f"“{zone}” is not a time zone. Use a name such as Europe/Berlin.")
        return zone

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        if "preset" in data and "cron" in data:
            data["cron"] = data["preset"] or " ".join(data["cron"].split())
            if len(data["cron"].split()) != 5 or not croniter.is_valid(data["cron"]):
                words = f"“{data['cron']}” is not a time: five parts are needed, for example 30 6 * * 1-5."
                self.add_error("cron", words if data["cron"] else "Give the times, or choose one of those above.")
        hours = data.get("hours_back")
        for office in [self.by_slug[slug] for slug in data.get("offices") or self.by_slug]:
            most = office.max_hours_back or self.settings.max_hours_back
            if hours and hours > most:
                self.add_error("hours_back", f"{office.name} allows at most {most} hours. Give {most} or less.")
                break
        return data

    def parameters(self) -> dict[str, Any]:
        """What the schedule keeps for its runs."""
        data = self.cleaned_data
        return {
            "offices": data["offices"], "types": data["types"], "hours_back": data["hours_back"],
            "dry_run": data["dry_run"], "debug": data["debug"], "email": data["email"],
        }  # fmt: skip
