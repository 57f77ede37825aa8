"""How reports are mailed, and to whom."""

from __future__ import annotations

from typing import ClassVar

from django.core.exceptions import ValidationError
from django.db import models

from portal.fields import EncryptedTextField
from telephony.models.offices import Office, unique_per_office

PLACEHOLDERS = ("{date}",)


def check_subject(value: str) -> None:
    rest = value
    for name in PLACEHOLDERS:
        rest = rest.replace(name, "")
    if "{" in rest or "}" in rest:
        raise ValidationError(f"“{value}” has an unknown placeholder. Known: {', '.join(PLACEHOLDERS)}.")


class MailSettings(models.Model):
    """One row: the mail server of the reports and what a report holds. Without a server the portal's own is used."""

    server = models.CharField(max_length=200, blank=True)
    port = models.PositiveIntegerField(default=587)
    use_tls = models.BooleanField(default=True, help_text="STARTTLS.")
    username = models.CharField(max_length=200, blank=True)
    password = EncryptedTextField(blank=True, default="")
    sender_email = models.EmailField(blank=True)
    sender_name = models.CharField(max_length=120, blank=True)
    send_empty_reports = models.BooleanField(default=False)
    include_charts = models.BooleanField(default=True)
    include_raw_logs = models.BooleanField(default=False)
    max_calls_in_detail = models.PositiveIntegerField(default=50)
    subject_accepted = models.CharField(
        max_length=200, blank=True, default="Accepted calls {date}", validators=[check_subject]
    )
    subject_missed = models.CharField(
        max_length=200, blank=True, default="Missed calls {date}", validators=[check_subject]
    )
    subject_combined = models.CharField(max_length=200, blank=True, default="Calls {date}", validators=[check_subject])
    subject_error = models.CharField(
        max_length=200, blank=True, default="Call processing failed {date}", validators=[check_subject]
    )
    error_threshold = models.PositiveSmallIntegerField(
        default=3, help_text="Mail from this many failed runs in a row on."
    )
    include_stacktrace = models.BooleanField(default=False)
    extra = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        verbose_name = verbose_name_plural = "mail settings"

    def __str__(self) -> str:
        return self.server or "The portal's own mail server"

    @classmethod
    def load(cls) -> MailSettings:
        """The row, made with its defaults when it does not exist yet."""
        found = cls.objects.order_by("pk").first()
        return found or cls.objects.get_or_create(pk=1)[0]


class Recipient(models.Model):
    """Somebody who gets reports: of one office, or without one of all together."""

    class CallType(models.TextChoices):
        ALL = "", "All calls"
        ACCEPTED = "accepted", "Accepted calls"
        MISSED = "missed", "Missed calls"

    office = models.ForeignKey(Office, null=True, blank=True, on_delete=models.CASCADE, related_name="recipients")
    name = models.CharField(max_length=120, blank=True)
    email = models.EmailField()
    receive_daily = models.BooleanField(default=True)
    receive_errors = models.BooleanField(default=False)
    receive_combined = models.BooleanField(default=False, help_text="The report over all offices.")
    call_type = models.CharField(max_length=10, choices=CallType.choices, blank=True, default="")

    class Meta:
        ordering = ("office__order", "email")
        constraints: ClassVar = unique_per_office("email", "call_type", "receive_combined", name="recipient_unique")

    def __str__(self) -> str:
        return self.email
