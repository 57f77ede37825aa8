"""The subscription by which RingCentral tells of calls at once."""

from __future__ import annotations

from django.db import models

from portal.fields import EncryptedTextField
from portal.models import Connection, Run


class Subscription(models.Model):
    """A webhook subscription of one connection. It only makes the next reading come sooner."""

    class State(models.TextChoices):
        OFF = "off", "Off"
        ACTIVE = "active", "Active"
        FAILING = "failing", "Failing"

    connection = models.OneToOneField(Connection, on_delete=models.CASCADE, related_name="subscription")
    key = models.CharField(max_length=64, unique=True, help_text="Last part of the address that RingCentral calls.")
    verification = EncryptedTextField(blank=True, default="", help_text="What each delivery must carry.")
    rc_id = models.CharField(max_length=80, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.OFF)
    reason = models.TextField(blank=True, help_text="What is wrong; in the second line what to do.")
    address = models.URLField(blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True, help_text="When RingCentral was last asked about it.")
    tried_at = models.DateTimeField(null=True, blank=True, help_text="When it was last made, or tried to be made.")
    failing_since = models.DateTimeField(null=True, blank=True)
    last_event_at = models.DateTimeField(null=True, blank=True)
    events = models.PositiveBigIntegerField(default=0)
    asked_at = models.DateTimeField(null=True, blank=True, help_text="Last event that asked for a reading.")
    minute_at = models.DateTimeField(null=True, blank=True, help_text="The minute that in_minute counts.")
    in_minute = models.PositiveIntegerField(default=0)
    next_run = models.ForeignKey(
        Run, null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+",
        help_text="The run that waits for the log to show what was told of; there is one at most.",
    )  # fmt: skip

    def __str__(self) -> str:
        return f"webhook of {self.connection_id}"
