"""Rows of the core: connections to the vendors, runs and their items, limits that all workers share, the audit."""

from __future__ import annotations

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.urls import reverse
from django.utils import timezone

from portal.fields import EncryptedTextField


class Vendor(models.TextChoices):
    ZOHO = "zoho", "Zoho CRM"
    RINGCENTRAL = "ringcentral", "RingCentral"


class Connection(models.Model):
    """One account at one vendor, with the secrets that open it."""

    class Source(models.TextChoices):
        STORED = "stored", "Stored here"
        ENVIRONMENT = "environment", "Environment variables"
        TEMPORARY = "temporary", "This login session only"

    class State(models.TextChoices):
        UNCHECKED = "unchecked", "Not checked yet"
        WORKING = "working", "Working"
        RECONNECT = "reconnect", "Reconnect needed"
        FAILING = "failing", "Failing"

    class Environment(models.TextChoices):
        UNKNOWN = "", "Unknown environment"
        PRODUCTION = "production", "Production"
        SANDBOX = "sandbox", "Sandbox"
        DEVELOPER = "developer", "Developer edition"
        STANDIN = "standin", "Demo"

    vendor = models.CharField(max_length=20, choices=Vendor.choices)
    name = models.CharField(max_length=80)
    source = models.CharField(max_length=20, choices=Source.choices, default=Source.STORED)
    data_centre = models.CharField(max_length=10, blank=True, help_text="US, EU, IN, AU, CN, JP, CA, SA or UK.")
    accounts_url = models.URLField(blank=True)
    api_domain = models.URLField(blank=True, help_text="Only to override what the token answer says.")
    upload_url = models.URLField(blank=True)
    client_id = models.CharField(max_length=200, blank=True)
    client_secret = EncryptedTextField(blank=True, default="")
    refresh_token = EncryptedTextField(blank=True, default="")
    jwt = EncryptedTextField(blank=True, default="")
    user_email = models.EmailField(blank=True, help_text="CRM user whose account authorised this connection.")
    scopes = models.TextField(blank=True, help_text="Scopes granted, comma separated, when known.")
    concurrency = models.PositiveSmallIntegerField(default=10)
    daily_credits = models.PositiveIntegerField(default=0, help_text="0: not known.")
    is_default = models.BooleanField(default=False)

    state = models.CharField(max_length=20, choices=State.choices, default=State.UNCHECKED)
    state_reason = models.TextField(blank=True)
    environment = models.CharField(max_length=20, choices=Environment.choices, blank=True, default="")
    organisation_id = models.CharField(max_length=40, blank=True)
    organisation_name = models.CharField(max_length=200, blank=True)
    crm_url = models.URLField(blank=True, help_text="Base of links to records in the vendor's own screens.")
    report = models.JSONField(default=list, blank=True)
    checked_at = models.DateTimeField(null=True, blank=True)
    last_success_at = models.DateTimeField(null=True, blank=True)

    session_key = models.CharField(max_length=40, blank=True)
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    created_at = models.DateTimeField(auto_now_add=True)
    secret_changed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    secret_changed_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("vendor", "name")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=("vendor", "name"), condition=~Q(source="temporary"), name="connection_name_unique"
            ),
            models.UniqueConstraint(fields=("vendor",), condition=Q(is_default=True), name="connection_one_default"),
        ]
        permissions: ClassVar = [("manage_connections", "May add, authorise, check and remove connections")]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("connection", args=[self.pk])

    @property
    def limit_key(self) -> str:
        """What shares one set of limits: the organisation when it is known, else this connection alone."""
        if self.organisation_id:
            return f"{self.vendor}:{self.organisation_id}"
        return f"{self.vendor}:connection-{self.pk}"


class AccessToken(models.Model):
    """The access token of a connection, shared by all workers. One of them refreshes at a time."""

    connection = models.OneToOneField(Connection, on_delete=models.CASCADE, related_name="access_token")
    value = EncryptedTextField(blank=True, default="")
    api_domain = models.URLField(blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    issued_at = models.DateTimeField(null=True, blank=True)
    generation = models.PositiveIntegerField(default=0, help_text="Grows with each new token.")
    refresh_owner = models.CharField(max_length=64, blank=True)
    refresh_until = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return f"access token of {self.connection_id}"


class RemoteState(models.Model):
    """What every worker must know before the next call: pauses, the breaker, credits."""

    key = models.CharField(max_length=120, unique=True, help_text="limit key, with :bucket where a vendor has buckets")
    pause_until = models.DateTimeField(null=True, blank=True)
    pause_reason = models.CharField(max_length=40, blank=True)
    failures = models.PositiveIntegerField(default=0, help_text="Server failures in a row.")
    open_until = models.DateTimeField(null=True, blank=True, help_text="Breaker open until then.")
    trial_until = models.DateTimeField(null=True, blank=True, help_text="One trial call may be under way until then.")
    credits_remaining = models.IntegerField(null=True, blank=True)
    credits_seen_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.key


class ConcurrencySlot(models.Model):
    """One call in flight. A slot whose lease ran out belonged to a process that died."""

    key = models.CharField(max_length=120)
    number = models.PositiveSmallIntegerField()
    owner = models.CharField(max_length=64, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=("key", "number"), name="slot_unique")]

    def __str__(self) -> str:
        return f"{self.key} #{self.number}"


class RatePermit(models.Model):
    """One of the requests that a rate bucket allows in its window. Used at most once between two values of `free_at`."""

    key = models.CharField(max_length=80, help_text="limit key")
    bucket = models.CharField(max_length=40)
    number = models.PositiveSmallIntegerField()
    free_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=("key", "bucket", "number"), name="permit_unique")]

    def __str__(self) -> str:
        return f"{self.key} {self.bucket} #{self.number}"


class RateBucket(models.Model):
    """What the vendor's answers say about one bucket: how many requests in how many seconds."""

    key = models.CharField(max_length=80, help_text="limit key")
    bucket = models.CharField(max_length=40)
    limit = models.PositiveSmallIntegerField()
    window_s = models.PositiveSmallIntegerField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=("key", "bucket"), name="bucket_unique")]

    def __str__(self) -> str:
        return f"{self.key} {self.bucket}: {self.limit} in {self.window_s} s"


class RateGroup(models.Model):
    """The bucket in which the vendor counts an endpoint, where its answers name another one than was assumed."""

    key = models.CharField(max_length=80, help_text="limit key")
    endpoint = models.CharField(max_length=60)
    bucket = models.CharField(max_length=40)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=("key", "endpoint"), name="rate_group_unique")]

    def __str__(self) -> str:
        return f"{self.endpoint}: {self.bucket}"


class ApiUsage(models.Model):
    """Calls and credits of one endpoint in one hour: the meter and the price list of what was done."""

    key = models.CharField(max_length=120)
    hour = models.DateTimeField()
    endpoint = models.CharField(max_length=60)
    calls = models.PositiveIntegerField(default=0)
    failures = models.PositiveIntegerField(default=0)
    credits = models.PositiveIntegerField(default=0)
    elapsed_ms = models.PositiveBigIntegerField(default=0)

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=("key", "hour", "endpoint"), name="usage_unique")]
        indexes: ClassVar = [models.Index(fields=("key", "hour"))]

    def __str__(self) -> str:
        return f"{self.endpoint} {self.hour:%Y-%m-%d %H}h"


class Run(models.Model):
    """Everything that takes time, from the click to the account of each item."""

    class State(models.TextChoices):
        QUEUED = "queued", "Queued"
        RUNNING = "running", "Running"
        WAITING = "waiting", "Waiting"
        STOPPING = "stopping", "Stopping"
        NEEDS_DECISION = "needs_decision", "Needs a decision"
        FINISHED = "finished", "Finished"
        FINISHED_WITH_ERRORS = "finished_with_errors", "Finished with errors"
        STOPPED = "stopped", "Stopped"
        FAILED = "failed", "Failed"

    OPEN = (State.QUEUED, State.RUNNING, State.WAITING, State.STOPPING)
    CLOSED = (State.NEEDS_DECISION, State.FINISHED, State.FINISHED_WITH_ERRORS, State.STOPPED, State.FAILED)

    class Trigger(models.TextChoices):
        USER = "user", "Person"
        SCHEDULE = "schedule", "Schedule"
        COMMAND = "command", "Command line"
        PROGRAM = "program", "Program"

    class Wait(models.TextChoices):
        NONE = "", "–"
        CHANGE = "change", "for the change to be chosen"
        CONFIRMATION = "confirmation", "for confirmation"
        APPROVAL = "approval", "for approval"
        CREDITS = "credits", "for API credits"
        RATE_LIMIT = "rate_limit", "for a rate limit to end"
        RECONNECTION = "reconnection", "for the connection to be renewed"
        OUTAGE = "outage", "for the vendor to answer again"
        HOUR = "hour", "for its hour"
        SETTLE = "settle", "for unanswered calls to settle"

    # Waits that only a person ends; all others end by the clock.
    WAITS_FOR_PEOPLE = (Wait.CHANGE, Wait.CONFIRMATION, Wait.APPROVAL)

    kind = models.CharField(max_length=40)
    title = models.CharField(max_length=200)
    trigger = models.CharField(max_length=10, choices=Trigger.choices, default=Trigger.USER)
    requested_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="runs"
    )
    confirmed_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    approved_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    connection = models.ForeignKey(Connection, null=True, blank=True, on_delete=models.PROTECT, related_name="runs")
    parent = models.ForeignKey("self", null=True, blank=True, on_delete=models.PROTECT, related_name="children")
    relation = models.CharField(max_length=10, blank=True, help_text="What this run is to its parent: retry, restore.")
    parameters = models.JSONField(default=dict, blank=True)
    fingerprint = models.CharField(max_length=64, blank=True, db_index=True, help_text="Hash of the confirmed plan.")
    phase = models.CharField(max_length=20, blank=True, help_text="Step of its kind's work that comes next.")
    position = models.JSONField(default=dict, blank=True, help_text="Where a walk through pages continues.")

    state = models.CharField(max_length=20, choices=State.choices, default=State.QUEUED)
    wait = models.CharField(max_length=20, choices=Wait.choices, blank=True, default="")
    wait_detail = models.TextField(blank=True)
    not_before = models.DateTimeField(null=True, blank=True)
    stop_requested = models.BooleanField(default=False)
    error = models.TextField(blank=True)
    traceback = models.TextField(blank=True, default="", help_text="Of the last internal error, redacted; for staff.")

    planned = models.PositiveIntegerField(default=0)
    ok = models.PositiveIntegerField(default=0)
    failed = models.PositiveIntegerField(default=0)
    skipped = models.PositiveIntegerField(default=0)
    unknown = models.PositiveIntegerField(default=0)

    lease_owner = models.CharField(max_length=100, blank=True)
    lease_until = models.DateTimeField(null=True, blank=True)
    heartbeat_at = models.DateTimeField(null=True, blank=True)
    attempts = models.PositiveIntegerField(default=0, help_text="Claims since the last progress.")
    created_at = models.DateTimeField(default=timezone.now)
    confirmed_at = models.DateTimeField(null=True, blank=True)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("-pk",)
        indexes: ClassVar = [
            models.Index(fields=("state", "not_before")),
            models.Index(fields=("kind", "-id")),
        ]
        permissions: ClassVar = [
            ("operate_run", "May stop, resume, retry and restore own runs"),
            ("operate_any_run", "May stop, resume, retry and restore everybody's runs"),
            ("approve_run", "May approve large runs"),
        ]

    def __str__(self) -> str:
        return f"Run {self.pk}: {self.title}"

    def get_absolute_url(self) -> str:
        return reverse("run", args=[self.pk])

    @property
    def is_open(self) -> bool:
        return self.state in self.OPEN

    @property
    def waits_for_people(self) -> bool:
        return self.state == self.State.WAITING and self.wait in self.WAITS_FOR_PEOPLE

    @property
    def done(self) -> int:
        return self.ok + self.failed + self.skipped + self.unknown

    @property
    def remaining(self) -> int:
        """Items still planned or sent."""
        return max(self.planned - self.done, 0)

    @property
    def duration(self) -> dt.timedelta | None:
        if self.started_at is None:
            return None
        return (self.finished_at or timezone.now()) - self.started_at


class RunInput(models.Model):
    """The list a run was given, as text, one row a line; expanded into items by the worker."""

    run = models.OneToOneField(Run, on_delete=models.CASCADE, related_name="input")
    lines = models.TextField()

    def __str__(self) -> str:
        return f"input of run {self.run_id}"


class RunItem(models.Model):
    """One record of a run: what was planned, what was sent, what came of it."""

    class State(models.TextChoices):
        PLANNED = "planned", "Planned"
        SENT = "sent", "Sent"
        OK = "ok", "OK"
        FAILED = "failed", "Failed"
        SKIPPED = "skipped", "Skipped"
        UNKNOWN = "unknown", "Unknown"

    FINAL = (State.OK, State.FAILED, State.SKIPPED, State.UNKNOWN)

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="items")
    position = models.PositiveIntegerField()
    key = models.CharField(max_length=64)
    label = models.CharField(max_length=255, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.PLANNED)
    batch = models.PositiveIntegerField(null=True, blank=True)
    attempts = models.PositiveSmallIntegerField(default=0)
    before = models.JSONField(null=True, blank=True)
    after = models.JSONField(null=True, blank=True)
    code = models.CharField(max_length=60, blank=True)
    message = models.TextField(blank=True)
    details = models.JSONField(default=dict, blank=True)
    read_at = models.DateTimeField(null=True, blank=True)
    sent_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering = ("position",)
        constraints: ClassVar = [models.UniqueConstraint(fields=("run", "key"), name="item_key_unique")]
        indexes: ClassVar = [
            models.Index(fields=("run", "state", "position")),
            models.Index(fields=("run", "position")),
            models.Index(fields=("run", "code")),
        ]

    def __str__(self) -> str:
        return f"{self.key} of run {self.run_id}"


class RunEvent(models.Model):
    """A line of a run's log: what happened, never with a secret or a customer's data."""

    class Level(models.TextChoices):
        INFO = "info", "Info"
        WARNING = "warning", "Warning"
        ERROR = "error", "Error"

    run = models.ForeignKey(Run, on_delete=models.CASCADE, related_name="events")
    at = models.DateTimeField(default=timezone.now)
    level = models.CharField(max_length=10, choices=Level.choices, default=Level.INFO)
    message = models.TextField()

    class Meta:
        ordering = ("pk",)

    def __str__(self) -> str:
        return self.message


class Cursor(models.Model):
    """How far a repeated read of a vendor has come."""

    name = models.CharField(max_length=160, unique=True)
    value = models.JSONField(default=dict)
    updated_at = models.DateTimeField(auto_now=True)

    def __str__(self) -> str:
        return self.name


class Worker(models.Model):
    """A process group started by `manage.py worker`, and when it last proved that tasks pass through it."""

    name = models.CharField(max_length=120, unique=True, help_text="host and process id of the supervisor")
    started_at = models.DateTimeField(default=timezone.now)
    heartbeat_at = models.DateTimeField(default=timezone.now)
    restarts = models.PositiveIntegerField(default=0)
    last_restart_reason = models.CharField(max_length=200, blank=True)

    def __str__(self) -> str:
        return self.name


class AuditEntry(models.Model):
    """Who did what to what, from where. Written once, never changed."""

    at = models.DateTimeField(default=timezone.now, db_index=True)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, null=True, blank=True, on_delete=models.SET_NULL, related_name="+"
    )
    actor = models.CharField(max_length=150, help_text="User name at the time, or the command.")
    address = models.GenericIPAddressField(null=True, blank=True)
    action = models.CharField(max_length=60, db_index=True)
    target = models.CharField(max_length=200, blank=True)
    run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="audit")
    details = models.JSONField(default=dict, blank=True)

    class Meta:
        ordering = ("-pk",)
        verbose_name_plural = "audit entries"

    def __str__(self) -> str:
        return f"{self.at:%Y-%m-%d %H:%M} {self.actor} {self.action}"


class Schedule(models.Model):
    """Starts a run of one kind at the times of a cron expression, read in the schedule's own zone."""

    class Missed(models.TextChoices):
        SKIP = "skip", "Skip what was missed"
        ONCE = "once", "Catch up once"

    name = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=40)
    parameters = models.JSONField(default=dict, blank=True)
    connection = models.ForeignKey(Connection, null=True, blank=True, on_delete=models.PROTECT, related_name="+")
    cron = models.CharField(max_length=80, help_text="Minute, hour, day, month, weekday; for example 30 6 * * 1-5.")
    zone = models.CharField(max_length=60, default="UTC", help_text="For example Europe/Berlin.")
    missed = models.CharField(
        max_length=10,
        choices=Missed.choices,
        default=Missed.ONCE,
        help_text="What happens to times the portal slept through.",
    )
    is_active = models.BooleanField(default=True)
    next_at = models.DateTimeField(null=True, blank=True)
    last_at = models.DateTimeField(null=True, blank=True)
    last_run = models.ForeignKey(Run, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    last_note = models.CharField(max_length=200, blank=True)
    owner = models.ForeignKey(settings.AUTH_USER_MODEL, null=True, on_delete=models.SET_NULL, related_name="+")

    class Meta:
        ordering = ("name",)

    def __str__(self) -> str:
        return self.name
