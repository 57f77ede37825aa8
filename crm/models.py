"""What the portal keeps of Zoho's metadata, and how its picklists are shown."""

import datetime as dt
from typing import ClassVar

from django.conf import settings
from django.db import models
from django.utils import timezone

from portal.models import Connection


class Metadata(models.Model):
    """An answer of Zoho's settings API, kept for a while: modules, fields, layouts, custom views, users."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    name = models.CharField(max_length=120, help_text="For example modules or fields:Leads.")
    content = models.JSONField()
    fetched_at = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [models.UniqueConstraint(fields=("connection", "name"), name="metadata_unique")]
        permissions: ClassVar = [
            ("view_records", "May look at CRM records"),
            ("update_records", "May change CRM records in bulk"),
            ("export_records", "May download CRM records"),
        ]

    def __str__(self) -> str:
        return self.name


class PicklistPreference(models.Model):
    """How one picklist value is offered here. Zoho's picklist decides what exists; this decides order and default."""

    module = models.CharField(max_length=60, default="Leads")
    field = models.CharField(max_length=60, default="Lead_Status")
    value = models.CharField(max_length=120, help_text="The actual value in Zoho.")
    position = models.PositiveSmallIntegerField(default=100)
    is_hidden = models.BooleanField(default=False)
    is_default = models.BooleanField(default=False)

    class Meta:
        ordering = ("module", "field", "position", "value")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=("module", "field", "value"), name="picklist_value_unique"),
            models.UniqueConstraint(
                fields=("module", "field"), condition=models.Q(is_default=True), name="picklist_one_default"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.module}.{self.field}: {self.value}"


class MandatoryField(models.Model):
    """A field to send along when Zoho demands mandatory fields, beside those that its layouts name."""

    module = models.CharField(max_length=60, default="Leads")
    field = models.CharField(max_length=60, help_text="API name, for example Company.")

    class Meta:
        ordering = ("module", "field")
        constraints: ClassVar = [models.UniqueConstraint(fields=("module", "field"), name="mandatory_field_unique")]

    def __str__(self) -> str:
        return f"{self.module}.{self.field}"


class RecordSet(models.Model):
    """Ids that somebody pasted to look at, kept so that paging, sorting and downloading need no second paste."""

    KEPT_FOR = dt.timedelta(days=7)

    owner = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    module = models.CharField(max_length=60)
    name = models.CharField(max_length=120, blank=True)
    ids = models.TextField(help_text="One id a line, without repeats, in the order given.")
    count = models.PositiveIntegerField(default=0)
    duplicates = models.PositiveIntegerField(default=0)
    rejected = models.PositiveIntegerField(default=0)
    rejects = models.JSONField(default=list, blank=True, help_text="The first of them as [line, text, reason].")
    created_at = models.DateTimeField(default=timezone.now, db_index=True)

    class Meta:
        ordering = ("-pk",)

    def __str__(self) -> str:
        return self.name or f"List {self.pk} of {self.module}"


class PhoneEntry(models.Model):
    """A telephone number in a record, in E.164: where to look for the record behind a number, in any stored format."""

    connection = models.ForeignKey(Connection, on_delete=models.CASCADE, related_name="+")
    module = models.CharField(max_length=60)
    record_id = models.CharField(max_length=30)
    number = models.CharField(max_length=20)

    class Meta:
        constraints: ClassVar = [
            models.UniqueConstraint(fields=("connection", "module", "record_id", "number"), name="phone_entry_unique")
        ]
        indexes: ClassVar = [models.Index(fields=("connection", "number"))]

    def __str__(self) -> str:
        return f"number of {self.module} {self.record_id}"
