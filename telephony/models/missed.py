"""Missed calls that wait for somebody to call back."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone

from portal.models import Connection
from telephony.models.calls import Call
from telephony.models.offices import Office


class MissedCard(models.Model):
    """One caller who was missed on one line, from the first attempt until somebody talked to them or decided.

    What calls say (attempts, times, the call back) follows from the calls whenever they are folded; what people decided
    stays. The links to calls have no constraint in the database: it would make this row wait for whoever works on the
    call, and the other way round.
    """

    class State(models.TextChoices):
        OPEN = "open", "Open"
        CALLED_BACK = "called_back", "Called back"
        RESOLVED = "resolved", "Resolved"
        IGNORED = "ignored", "Ignored"

    DECIDED = (State.RESOLVED, State.IGNORED)

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    office = models.ForeignKey(Office, null=True, blank=True, on_delete=models.SET_NULL, related_name="missed_cards")
    number = models.CharField(max_length=20, blank=True, help_text="Empty: withheld; such a card has one call.")
    line = models.CharField(max_length=60, blank=True)
    name = models.CharField(max_length=120, blank=True)
    first_call = models.OneToOneField(Call, on_delete=models.CASCADE, related_name="missed_card", db_constraint=False)
    attempts = models.PositiveIntegerField(default=1)
    voicemails = models.PositiveIntegerField(default=0)
    tries = models.PositiveIntegerField(default=0, help_text="Calls back that reached nobody.")
    opened_at = models.DateTimeField()
    last_at = models.DateTimeField(help_text="The last attempt.")
    due_at = models.DateTimeField(null=True, blank=True, help_text="Until when to call back; empty: no target.")
    state = models.CharField(max_length=12, choices=State.choices, default=State.OPEN)
    closed_at = models.DateTimeField(null=True, blank=True)
    closing_call = models.ForeignKey(
        Call, null=True, blank=True, on_delete=models.SET_NULL, related_name="+", db_constraint=False
    )
    closed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    reason = models.TextField(blank=True, help_text="How it was closed, in words.")
    not_by = models.JSONField(default=list, blank=True, help_text="Calls that a person says were no call back.")
    taken_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="Who said that they call back.",
    )  # fmt: skip
    taken_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("-opened_at", "-pk")
        indexes: ClassVar = [
            models.Index(fields=("connection", "number", "opened_at")),
            models.Index(fields=("state", "opened_at")),
            models.Index(fields=("state", "closed_at")),
            models.Index(fields=("due_at",), condition=Q(state="open"), name="missed_card_due"),
        ]

    def __str__(self) -> str:
        return f"missed caller {self.pk}"

    @property
    def is_open(self) -> bool:
        return self.state == self.State.OPEN
