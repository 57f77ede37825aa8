"""The checked form of a schedule: what cannot run is refused when it is made, not at three in the morning."""

from __future__ import annotations

from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from croniter import croniter
from django import forms
from django.core.exceptions import ValidationError

from crm.metadata import Offer
from crm.zoho.schema import Field, View
from portal.models import Schedule


class ScheduleForm(forms.Form):
    """A bulk update that a schedule starts: the records of a view at that moment get one value."""

    name = forms.CharField(max_length=80)
    view = forms.ChoiceField(label="Records of the custom view", help_text="As the view is when the schedule runs.")
    field = forms.ChoiceField(widget=forms.HiddenInput)
    value = forms.ChoiceField(label="New value")
    automation = forms.BooleanField(required=False, initial=True, label="Let Zoho's automation run")
    cron = forms.CharField(
        label="When",
        max_length=80,
        initial="30 6 * * 1-5",
        help_text="Minute, hour, day, month, weekday. “30 6 * * 1-5” is 06:30 from Monday to Friday.",
    )
    zone = forms.CharField(label="Time zone", initial="UTC", max_length=60, help_text="For example Europe/Berlin.")
    missed = forms.ChoiceField(
        label="Times the portal slept through", choices=Schedule.Missed.choices, initial=Schedule.Missed.ONCE
    )

    def __init__(self, *args: Any, views: list[View], fields: list[Field], offer: Offer | None, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.views = {view.id: view.name for view in views}
        self.fields["view"].choices = list(self.views.items())  # type: ignore[attr-defined]
        self.fields["field"].choices = [(entry.api_name, entry.full_label) for entry in fields]  # type: ignore[attr-defined]
        choices = offer.choices if offer else ()
        self.fields["value"].choices = [(choice.value, choice.label) for choice in choices]  # type: ignore[attr-defined]

    def clean_name(self) -> str:
        name = str(self.cleaned_data["name"]).strip()
        if Schedule.objects.filter(name=name).exists():
            raise ValidationError(f"There is a schedule “{name}” already. Choose another name.")
        return name

    def clean_cron(self) -> str:
        cron = " ".join(str(self.cleaned_data["cron"]).split())
        if len(cron.split()) != 5 or not croniter.is_valid(cron):
            raise ValidationError(f"“{cron}” is not a time: five parts are needed, for example 30 6 * * 1-5.")
        return cron

    def clean_zone(self) -> str:
        zone = str(self.cleaned_data["zone"]).strip()
        try:
            ZoneInfo(zone)
        except (ZoneInfoNotFoundError, ValueError, OSError) as error:
            raise ValidationError(f"“{zone}” is not a time zone. Use a name such as Europe/Berlin.") from error
        return zone
