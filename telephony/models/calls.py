"""Calls as the portal knows them: the raw rows of the log, one call per session, and each thing written for it."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.db import models
from django.urls import reverse
from django.utils import timezone

from portal.models import Connection, Run
from telephony.models.offices import Extension, Office


class CallLogRow(models.Model):
    """A row of RingCentral's call log as it came, for folding again and for diagnosis."""

    KEPT_FOR = timedelta(days=90)

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    row_id = models.CharField(max_length=120)
    session_key = models.CharField(max_length=120)
    payload = models.JSONField()
    started_at = models.DateTimeField(null=True, blank=True)
    digest = models.CharField(max_length=64, help_text="Of the payload: whether the row has changed.")
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(default=timezone.now)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=("connection", "row_id"), name="call_log_row_unique")]
        indexes: ClassVar = [
            models.Index(fields=("connection", "session_key")),
            models.Index(fields=("connection", "started_at")),
            models.Index(fields=("created_at",)),
        ]

    def __str__(self) -> str:
        return self.row_id


class Caller(models.Model):
    """Who is behind a number: the record in Zoho that calls with it belong to.

    Inserted before a lead is created: of two calls, runs or workers one creates it, the other waits for the result.
    """

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    number = models.CharField(max_length=20)
    module = models.CharField(max_length=60, blank=True)
    record_id = models.CharField(max_length=30, blank=True)
    creating = models.ForeignKey(
        "telephony.Call", null=True, blank=True, on_delete=models.SET_NULL, related_name="+",
        help_text="The call whose lead is being created for this number.",
    )  # fmt: skip
    is_chosen = models.BooleanField(default=False, help_text="A person decided that this number belongs to the record.")
    changed_at = models.DateTimeField(auto_now=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=("connection", "number"), name="caller_unique")]

    def __str__(self) -> str:
        return f"caller {self.pk}"


class Call(models.Model):
    """One telephone call, however many rows, legs and extensions it had."""

    class Direction(models.TextChoices):
        INBOUND = "inbound", "Inbound"
        OUTBOUND = "outbound", "Outbound"

    class Outcome(models.TextChoices):
        ACCEPTED = "accepted", "Accepted"
        MISSED = "missed", "Missed"
        VOICEMAIL = "voicemail", "Missed with voicemail"
        OUTBOUND = "outbound", "Outbound"
        OUTBOUND_FAILED = "outbound_failed", "Outbound, not reached"
        INTERNAL = "internal", "Internal"
        BLOCKED = "blocked", "Blocked"
        NOT_A_CALL = "not_a_call", "No conversation"
        IN_PROGRESS = "in_progress", "In progress"
        UNCLEAR = "unclear", "Unclear"

    MISSED_OUTCOMES = (Outcome.MISSED, Outcome.VOICEMAIL)

    class State(models.TextChoices):
        PENDING = "pending", "To be processed"
        REVIEW = "review", "Needs a person"
        WAITING = "waiting", "Waiting for media"
        DONE = "done", "Done"
        NOT_PROCESSED = "not_processed", "Not processed"
        FAILED = "failed", "Failed"

    connection = models.ForeignKey(Connection, on_delete=models.PROTECT, related_name="calls")
    key = models.CharField(max_length=120, help_text="Telephony session id; the first one of linked sessions.")
    office = models.ForeignKey(Office, null=True, blank=True, on_delete=models.SET_NULL, related_name="calls")
    direction = models.CharField(max_length=10, choices=Direction.choices)
    outcome = models.CharField(max_length=20, choices=Outcome.choices)
    outcome_reason = models.TextField(help_text="How the outcome follows from the legs, in words.")
    started_at = models.DateTimeField()
    ended_at = models.DateTimeField(null=True, blank=True)
    total_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="From the first ring to the end.")
    talk_seconds = models.PositiveIntegerField(null=True, blank=True, help_text="From the answer to the end.")
    number = models.CharField(max_length=20, blank=True, help_text="The other party in E.164, if it is a full number.")
    number_told = models.CharField(max_length=60, blank=True, help_text="The other party as RingCentral gave it.")
    name_told = models.CharField(max_length=120, blank=True)
    location_told = models.CharField(max_length=120, blank=True)
    line = models.CharField(max_length=60, blank=True, help_text="Our own number: the one dialled, or the one shown.")
    extension = models.ForeignKey(
        Extension, null=True, blank=True, on_delete=models.SET_NULL, related_name="calls",
        help_text="Who answered; without an answer, whose phone or queue rang first.",
    )  # fmt: skip
    answered_by = models.ForeignKey(
        Extension, null=True, blank=True, on_delete=models.SET_NULL, related_name="answered"
    )
    extension_ids = models.JSONField(default=list, blank=True, help_text="RingCentral ids of all extensions involved.")
    legs = models.JSONField(default=list, blank=True)
    media = models.JSONField(default=dict, blank=True, help_text="Recordings and voicemails that the log names.")
    digest = models.CharField(max_length=64, help_text="Of what the call's note and media depend on.")
    is_late = models.BooleanField(default=False, help_text="The log showed it only after its time had been read.")
    is_linked = models.BooleanField(default=False, help_text="Consists of several sessions (transfer, RingOut).")
    merged_into = models.ForeignKey("self", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    state = models.CharField(max_length=20, choices=State.choices, default=State.PENDING)
    reason_code = models.CharField(max_length=40, blank=True, help_text="Why it is not processed, waits or failed.")
    reason = models.TextField(blank=True)
    module = models.CharField(max_length=60, blank=True, help_text="Module of the record it belongs to.")
    record_id = models.CharField(max_length=30, blank=True)
    match_reason = models.TextField(blank=True)
    candidates = models.JSONField(default=list, blank=True, help_text="Records among which a person chooses.")
    run = models.ForeignKey(
        Run,
        null=True,
        blank=True,
        on_delete=models.SET_NULL,
        related_name="+",
        help_text="The run that has it in work.",
    )
    attempts = models.PositiveSmallIntegerField(default=0)
    created_at = models.DateTimeField(default=timezone.now)
    changed_at = models.DateTimeField(auto_now=True)
    decided_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-started_at", "-pk")
        constraints: ClassVar = [models.UniqueConstraint(fields=("connection", "key"), name="call_unique")]
        indexes: ClassVar = [
            models.Index(fields=("office", "state", "started_at")),
            models.Index(fields=("connection", "started_at")),
            models.Index(fields=("state", "started_at")),
            models.Index(fields=("number", "started_at")),
            models.Index(fields=("module", "record_id")),
        ]

    def __str__(self) -> str:
        return f"call {self.key}"

    def get_absolute_url(self) -> str:
        return reverse("call", args=[self.pk])

    @property
    def is_missed(self) -> bool:
        return self.outcome in self.MISSED_OUTCOMES

    @property
    def call_type(self) -> str:
        """What `--type` and the field mappings call it: accepted or missed; other outcomes have none."""
        if self.is_missed:
            return "missed"
        return "accepted" if self.outcome == self.Outcome.ACCEPTED else ""


class CallSession(models.Model):
    """Which call a telephony session belongs to: a transfer joins two sessions into one call."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    key = models.CharField(max_length=120)
    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="sessions")

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=("connection", "key"), name="call_session_unique")]

    def __str__(self) -> str:
        return self.key


class CallStep(models.Model):
    """One thing that is written to Zoho for a call, with its own state, retries and evidence."""

    class Kind(models.TextChoices):
        LEAD = "lead", "Lead"
        OWNER = "owner", "Owner"
        STATUS = "status", "Status"
        NOTE = "note", "Note"
        RECORDING = "recording", "Recording"
        VOICEMAIL = "voicemail", "Voicemail"

    MEDIA = (Kind.RECORDING, Kind.VOICEMAIL)

    class State(models.TextChoices):
        PLANNED = "planned", "Planned"
        SENT = "sent", "Sent, no answer yet"
        WAITING = "waiting", "Waiting"
        DONE = "done", "Done"
        SKIPPED = "skipped", "Not needed"
        UNAVAILABLE = "unavailable", "Not available"
        FAILED = "failed", "Failed"

    OPEN = (State.PLANNED, State.SENT, State.WAITING)

    call = models.ForeignKey(Call, on_delete=models.CASCADE, related_name="steps")
    kind = models.CharField(max_length=10, choices=Kind.choices)
    key = models.CharField(max_length=120, blank=True, default="", help_text="Id of the recording or message.")
    position = models.PositiveSmallIntegerField(default=0)
    state = models.CharField(max_length=12, choices=State.choices, default=State.PLANNED)
    not_before = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    source = models.JSONField(default=dict, blank=True, help_text="Where the medium is at RingCentral.")
    digest = models.CharField(
        max_length=64, blank=True, help_text="Of what was written, to notice that it has changed."
    )
    module = models.CharField(max_length=60, blank=True)
    record_id = models.CharField(max_length=30, blank=True, help_text="Record of Zoho that it was written to.")
    crm_id = models.CharField(max_length=30, blank=True, help_text="Id of the lead, note or attachment.")
    evidence = models.JSONField(default=dict, blank=True, help_text="Request id, file name, size, SHA-256.")
    code = models.CharField(max_length=60, blank=True)
    message = models.TextField(blank=True)
    run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ("call", "position", "pk")
        constraints: ClassVar = [models.UniqueConstraint(fields=("call", "kind", "key"), name="call_step_unique")]
        indexes: ClassVar = [models.Index(fields=("state", "not_before"))]

    def __str__(self) -> str:
        return f"{self.kind} of call {self.call_id}"
