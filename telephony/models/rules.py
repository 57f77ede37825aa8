"""What is written to Zoho for which calls: rules, field mappings, statuses and those that may be overwritten."""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models

from telephony.models.offices import Office, unique_per_office


class CallRule(models.Model):
    """What happens with calls of one kind. The first rule that fits decides: own office before all, then position."""

    class Direction(models.TextChoices):
        ANY = "", "Any direction"
        INBOUND = "inbound", "Inbound"
        OUTBOUND = "outbound", "Outbound"

    class Hours(models.TextChoices):
        ANY = "", "Any time"
        INSIDE = "inside", "Inside office hours"
        OUTSIDE = "outside", "Outside office hours"

    class Action(models.TextChoices):
        FULL = "full", "Create a lead for a new caller, update a known one"
        EXISTING = "existing", "Write to known leads and contacts only"
        IGNORE = "ignore", "Write nothing"

    office = models.ForeignKey(
        Office, null=True, blank=True, on_delete=models.CASCADE, related_name="call_rules", help_text="Empty: all."
    )
    position = models.PositiveIntegerField(default=100)
    direction = models.CharField(max_length=10, choices=Direction.choices, blank=True, default="")
    outcome = models.CharField(max_length=20, blank=True, default="", help_text="Outcome of the call; empty: any.")
    hours = models.CharField(max_length=10, choices=Hours.choices, blank=True, default="")
    action = models.CharField(max_length=10, choices=Action.choices, default=Action.FULL)
    with_media = models.BooleanField(default=True, help_text="Attach recordings and voicemails.")
    is_active = models.BooleanField(default=True)

    class Meta:
        ordering = ("position", "pk")

    def __str__(self) -> str:
        words = [self.get_direction_display(), self.outcome or "any outcome", self.get_hours_display()]
        return f"{', '.join(words)}: {self.get_action_display()}"

    def clean(self) -> None:
        from telephony.models.calls import Call

        if self.outcome and self.outcome not in Call.Outcome.values:
            raise ValidationError(
                {"outcome": f"“{self.outcome}” is no outcome. Known: {', '.join(Call.Outcome.values)}."}
            )


class FieldMapping(models.Model):
    """A field of the leads that calls of one type create, and the template that fills it."""

    class CallType(models.TextChoices):
        ACCEPTED = "accepted", "Accepted calls"
        MISSED = "missed", "Missed calls"

    office = models.ForeignKey(
        Office, null=True, blank=True, on_delete=models.CASCADE, related_name="field_mappings", help_text="Empty: all."
    )
    call_type = models.CharField(max_length=10, choices=CallType.choices)
    field = models.CharField(max_length=120, help_text="API name of the field in Zoho, such as Last_Name or Owner.id.")
    template = models.TextField(help_text="Text with ${variables} and ${variable:transform}.")
    position = models.PositiveIntegerField(default=100)
    is_active = models.BooleanField(default=True)
    question = models.TextField(blank=True, help_text="What a person must decide before this can be switched on.")

    class Meta:
        ordering = ("call_type", "position", "pk")
        constraints: ClassVar = unique_per_office("call_type", "field", name="field_mapping_unique")

    def __str__(self) -> str:
        return f"{self.field} = {self.template}"

    def clean(self) -> None:
        from telephony import mapping

        mapping.check(self.template, self.field)


class StatusName(models.Model):
    """The Lead_Status that a kind of call sets."""

    class Key(models.TextChoices):
        NEW = "new", "New lead"
        ACCEPTED = "accepted", "Accepted call"
        MISSED = "missed", "Missed call"
        VOICEMAIL = "voicemail", "Missed call with voicemail"
        DUPLICATE = "duplicate", "Duplicate"

    DEFAULTS: ClassVar[dict[str, str]] = {
        "new": "New",
        "accepted": "Accepted Call",
        "missed": "Missed Call",
        "voicemail": "Missed Call with Voicemail",
        "duplicate": "Duplicate",
    }

    office = models.ForeignKey(
        Office, null=True, blank=True, on_delete=models.CASCADE, related_name="status_names", help_text="Empty: all."
    )
    key = models.CharField(max_length=10, choices=Key.choices)
    value = models.CharField(max_length=120, blank=True, help_text="Empty: the status is left alone.")

    class Meta:
        ordering = ("office__order", "key")
        constraints: ClassVar = unique_per_office("key", name="status_name_unique")

    def __str__(self) -> str:
        return f"{self.get_key_display()}: {self.value or '–'}"


class OverwritableStatus(models.Model):
    """A status of an existing lead that a call may replace; all others were set by people and stay.

    The statuses that calls themselves set, and an empty one, may always be replaced.
    """

    office = models.ForeignKey(
        Office, null=True, blank=True, on_delete=models.CASCADE, related_name="overwritable", help_text="Empty: all."
    )
    value = models.CharField(max_length=120)

    class Meta:
        ordering = ("value",)
        verbose_name_plural = "overwritable statuses"
        constraints: ClassVar = unique_per_office("value", name="overwritable_unique")

    def __str__(self) -> str:
        return self.value
