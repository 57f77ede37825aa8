"""Who gets a new lead: owners, rules, the state of the rotation, and each decision."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models
from django.utils import timezone

from telephony.models.offices import Office, check_zone

WORKING_WEEK = "12345"


def check_weight(value: Decimal) -> None:
    if value <= 0:
        raise ValidationError("A weight is greater than 0. To leave somebody out, switch the owner off.")


def check_days(value: str) -> None:
    if not value or set(value) - set("1234567") or len(set(value)) != len(value):
        raise ValidationError(f"“{value}” is no list of weekdays. Monday is 1, Sunday 7; a working week is 12345.")


class LeadOwner(models.Model):
    """A Zoho user who gets leads of an office."""

    class ZohoState(models.TextChoices):
        UNKNOWN = "", "Not compared yet"
        ACTIVE = "active", "Active in Zoho"
        INACTIVE = "inactive", "Not active in Zoho"
        MISSING = "missing", "Not found in Zoho"

    office = models.ForeignKey(Office, on_delete=models.CASCADE, related_name="lead_owners")
    zoho_id = models.CharField("Zoho user id", max_length=30)
    name = models.CharField(max_length=120, blank=True)
    email = models.EmailField(blank=True)
    role = models.CharField(max_length=120, blank=True)
    is_active = models.BooleanField(default=True, help_text="A local choice; syncing never changes it.")
    weight = models.DecimalField(max_digits=7, decimal_places=3, default=Decimal(1), validators=[check_weight])
    away_until = models.DateTimeField(null=True, blank=True, help_text="Gets no leads until then.")
    zoho_state = models.CharField(max_length=10, choices=ZohoState.choices, blank=True, default="", editable=False)
    extension = models.ForeignKey(
        "telephony.Extension", null=True, blank=True, on_delete=models.SET_NULL, related_name="lead_owners",
        help_text="Their extension, for leads that go to who answered. Empty: found by e-mail address.",
    )  # fmt: skip
    position = models.PositiveIntegerField(default=100, help_text="Order among equals.")
    synced_at = models.DateTimeField(null=True, blank=True, editable=False)
    extra = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        ordering = ("office__order", "position", "pk")
        constraints: ClassVar = [models.UniqueConstraint(fields=("office", "zoho_id"), name="lead_owner_unique")]

    def __str__(self) -> str:
        return self.name or self.zoho_id

    def is_available(self, at: dt.datetime) -> bool:
        """Switched on here, not known to be inactive in Zoho, and not away."""
        is_usable = self.zoho_state not in (self.ZohoState.INACTIVE, self.ZohoState.MISSING)
        return self.is_active and is_usable and (self.away_until is None or self.away_until <= at)


class AssignmentRules(models.Model):
    """How an office gives its new leads to owners. Precedence: answering person, department, hours, weights, fallback."""

    class InactiveOwner(models.TextChoices):
        KEEP = "keep", "Leave the lead with them"
        REASSIGN = "reassign", "Give the lead to the next owner"

    office = models.OneToOneField(Office, on_delete=models.CASCADE, related_name="assignment_rules")
    answering_first = models.BooleanField(
        default=True, help_text="Who answered gets the lead, if they are an owner here."
    )
    round_robin = models.BooleanField(default=True, help_text="Off: always the fallback owner, or the first owner.")
    respect_weights = models.BooleanField(default=True)
    fallback_owner_id = models.CharField(max_length=30, blank=True, help_text="Zoho user id, when nobody is available.")
    office_hours_only = models.BooleanField(
        default=False, help_text="Outside the hours leads go to the after-hours owner."
    )
    hours_start = models.TimeField(default=dt.time(9))
    hours_end = models.TimeField(default=dt.time(17), help_text="Before the start: the hours pass midnight.")
    hours_zone = models.CharField(max_length=60, blank=True, validators=[check_zone], help_text="Empty: the office's.")
    hours_days = models.CharField(max_length=7, default=WORKING_WEEK, validators=[check_days])
    after_hours_owner_id = models.CharField(max_length=30, blank=True, help_text="Zoho user id.")
    by_department = models.BooleanField(default=False)
    inactive_owner = models.CharField(
        max_length=10, choices=InactiveOwner.choices, default=InactiveOwner.KEEP,
        help_text="When the owner of an existing lead is not active in Zoho any more.",
    )  # fmt: skip
    zoho_rule_id = models.CharField(
        max_length=30, blank=True, help_text="Instead of all this: a Zoho assignment rule decides. Its id."
    )
    extra = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        verbose_name_plural = "assignment rules"

    def __str__(self) -> str:
        return f"Assignment in {self.office}"


class DepartmentPool(models.Model):
    """Owners who get the leads of one department of an office."""

    rules = models.ForeignKey(AssignmentRules, on_delete=models.CASCADE, related_name="pools")
    department = models.CharField(max_length=120)
    owners = models.ManyToManyField(LeadOwner, blank=True, related_name="pools")

    class Meta:
        ordering = ("department",)
        constraints: ClassVar = [models.UniqueConstraint(fields=("rules", "department"), name="department_pool_unique")]

    def __str__(self) -> str:
        return self.department


class Rotation(models.Model):
    """Where the rotation of one pool stands: each owner's current value of the smooth weighted round robin.

    Locked while a turn is taken. `department` is empty for the pool of the whole office.
    """

    office = models.ForeignKey(Office, on_delete=models.CASCADE, related_name="rotations")
    department = models.CharField(max_length=120, blank=True, default="")
    state = models.JSONField(default=dict, help_text="Zoho user id → value and weight, as decimal text.")
    turns = models.PositiveBigIntegerField(default=0)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=("office", "department"), name="rotation_unique")]

    def __str__(self) -> str:
        return f"{self.office} {self.department}".strip()


class AssignmentDecision(models.Model):
    """Who got the lead of a call and why. Made once; a retry of the creation uses it again."""

    class How(models.TextChoices):
        ANSWERED = "answered", "Answered the call"
        DEPARTMENT = "department", "Rotation of the department"
        ROTATION = "rotation", "Rotation of the office"
        AFTER_HOURS = "after_hours", "After-hours owner"
        FIRST = "first", "Rotation is off: always the same owner"
        FALLBACK = "fallback", "Fallback owner"
        ZOHO_RULE = "zoho_rule", "Zoho's assignment rule"
        NOBODY = "nobody", "Nobody: the connection's own user"

    call = models.OneToOneField("telephony.Call", on_delete=models.CASCADE, related_name="assignment")
    office = models.ForeignKey(Office, on_delete=models.CASCADE, related_name="decisions")
    owner_id = models.CharField(max_length=30, blank=True, help_text="Zoho user id; empty where Zoho decides.")
    owner_name = models.CharField(max_length=120, blank=True)
    how = models.CharField(max_length=20, choices=How.choices)
    reason = models.TextField(help_text="In words, with what was passed over and why.")
    rotation = models.JSONField(default=dict, blank=True, help_text="Pool, weights and values after the turn.")
    at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-pk",)
        indexes: ClassVar = [models.Index(fields=("office", "owner_id"))]

    def __str__(self) -> str:
        return f"{self.owner_name or self.owner_id}: {self.get_how_display()}"
