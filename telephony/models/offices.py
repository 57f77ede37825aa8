"""Offices, the extensions that ring in them, and what holds for all of them."""

from __future__ import annotations

from typing import ClassVar
from zoneinfo import ZoneInfo, available_timezones

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from django.urls import reverse

from portal import phone
from portal.models import Connection

LAST_IN_ORDER = 999


def check_zone(value: str) -> None:
    if value not in available_timezones():
        raise ValidationError(f"“{value}” is no time zone. Use a name such as Europe/Berlin or America/New_York.")


def check_region(value: str) -> None:
    if not phone.is_region(value):
        raise ValidationError(f"“{value}” is no country code. Use two letters such as US, GB or DE.")


def unique_per_office(*fields: str, name: str) -> list[models.BaseConstraint]:
    """Once in each office, and once among the rows for all offices: a database takes two empty offices for different."""
    return [
        models.UniqueConstraint(fields=("office", *fields), condition=Q(office__isnull=False), name=name),
        models.UniqueConstraint(fields=fields, condition=Q(office__isnull=True), name=f"{name}_for_all"),
    ]


class CallSettings(models.Model):
    """One row: what holds for all offices unless an office says otherwise."""

    class Several(models.TextChoices):
        REVIEW = "review", "Ask a person"
        NEWEST = "newest", "Take the one created last"
        OLDEST = "oldest", "Take the one created first"
        UPDATED = "updated", "Take the one changed last"

    class NumberFormat(models.TextChoices):
        E164 = "e164", "+15105551234"
        INTERNATIONAL = "international", "+1 510-555-1234"
        NATIONAL = "national", "(510) 555-1234"

    default_zone = models.CharField(max_length=60, default="UTC", validators=[check_zone])
    default_region = models.CharField(
        max_length=2,
        default="US",
        validators=[check_region],
        help_text="Country in which numbers without one are read.",
    )
    number_format = models.CharField(
        max_length=15, choices=NumberFormat.choices, default=NumberFormat.E164, help_text="Of numbers in new leads."
    )
    default_hours_back = models.PositiveSmallIntegerField(default=24, validators=[MinValueValidator(1)])
    max_hours_back = models.PositiveSmallIntegerField(default=168, validators=[MinValueValidator(1)])
    parallel_offices = models.BooleanField(default=False, help_text="Offices side by side instead of in their order.")
    several_matches = models.CharField(
        max_length=10, choices=Several.choices, default=Several.REVIEW,
        help_text="When several leads (or several contacts) have the caller's number.",
    )  # fmt: skip
    lead_source = models.CharField(
        max_length=120, default="RingCentral Integration", blank=True, help_text="Empty: the name of the extension."
    )
    call_back_minutes = models.PositiveSmallIntegerField(
        default=60, help_text="Within how long a missed caller should be called back; 0: no target."
    )
    note_title = models.CharField(max_length=120, default="Call Information")
    note_missing_media = models.BooleanField(
        default=True, help_text="Say in a note when a recording or voicemail cannot be had any more."
    )
    marker_field = models.CharField(
        max_length=60, default="Description",
        help_text="Lead field that carries the call's id, by which a lead is found again after a broken call.",
    )  # fmt: skip
    link_call_entries = models.BooleanField(
        default=True, help_text="A call that Zoho already shows as a call entry of the same time gets no second note."
    )
    overlap_hours = models.PositiveSmallIntegerField(
        default=24, validators=[MinValueValidator(1)],
        help_text="How far each reading of the call log goes back behind the last one: longer than the longest call.",
    )  # fmt: skip
    settle_seconds = models.PositiveSmallIntegerField(
        default=120, help_text="Calls appear in the log this late; younger times are read by the next run."
    )
    media_give_up_hours = models.PositiveSmallIntegerField(
        default=48, help_text="How long after the call a recording or voicemail that is not there is asked for."
    )
    max_attachment_mb = models.PositiveSmallIntegerField(
        default=20, validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="Larger files are not attached; Zoho accepts at most 100 MB.",
    )  # fmt: skip
    extra = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        verbose_name = verbose_name_plural = "call settings"

    def __str__(self) -> str:
        return "Call settings"

    @classmethod
    def load(cls) -> CallSettings:
        """The row, made with its defaults when it does not exist yet."""
        found = cls.objects.order_by("pk").first()
        return found or cls.objects.get_or_create(pk=1)[0]


class Office(models.Model):
    """A place with its own clock, people and rules. `slug` names it on command lines."""

    slug = models.SlugField(max_length=60, unique=True)
    name = models.CharField(max_length=120)
    order = models.PositiveIntegerField(default=LAST_IN_ORDER, help_text="Order of processing; ties by name.")
    is_active = models.BooleanField(default=True)
    inactive_reason = models.CharField(max_length=200, blank=True)
    zone = models.CharField(max_length=60, default="UTC", validators=[check_zone])
    region = models.CharField(
        max_length=2,
        default="US",
        validators=[check_region],
        help_text="Country in which numbers without one are read.",
    )
    main_number = models.CharField(max_length=40, blank=True)
    street = models.CharField(max_length=200, blank=True)
    city = models.CharField(max_length=100, blank=True)
    state = models.CharField(max_length=100, blank=True)
    zip_code = models.CharField(max_length=20, blank=True)
    max_hours_back = models.PositiveSmallIntegerField(
        null=True, blank=True, help_text="Empty: as in the call settings."
    )
    people = models.ManyToManyField(
        settings.AUTH_USER_MODEL, blank=True, related_name="offices",
        help_text="Who belongs here sees only the calls of own offices; people without an office see all.",
    )  # fmt: skip
    sync_run = models.ForeignKey(
        "portal.Run", null=True, blank=True, editable=False, on_delete=models.SET_NULL, related_name="+",
        help_text="The run that has this office in work; only one may.",
    )  # fmt: skip
    extra = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        ordering = ("order", "name", "pk")
        permissions: ClassVar = [
            ("view_calls", "May look at calls"),
            ("process_calls", "May start the processing of calls and repair single ones"),
            ("configure_calls", "May change offices, extensions, owners, mappings and rules"),
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return f"{reverse('calls')}?office={self.slug}"

    def clean(self) -> None:
        if self.main_number:
            number = phone.normalise(self.main_number, self.region)
            if not number:
                raise ValidationError(
                    {"main_number": f"“{self.main_number}” is no complete number; write +1 510 555 1234."}
                )
            self.main_number = number

    @property
    def tz(self) -> ZoneInfo:
        return ZoneInfo(self.zone)


class Extension(models.Model):
    """An extension of the RingCentral account: a person, a queue, a menu, a room."""

    class Kind(models.TextChoices):
        USER = "User", "User"
        QUEUE = "Department", "Call queue"
        MENU = "IvrMenu", "Menu"
        ROOM = "Room", "Room"
        FAX = "FaxUser", "Fax"
        ANNOUNCEMENT = "Announcement", "Announcement"
        VOICEMAIL = "Voicemail", "Voicemail only"
        OTHER = "Other", "Other"

    # Extensions that pick up by themselves: an "accepted" leg of theirs is no person who answered.
    MACHINES = (Kind.QUEUE, Kind.MENU, Kind.ANNOUNCEMENT, Kind.VOICEMAIL, Kind.FAX)

    connection = models.ForeignKey(
        Connection, null=True, blank=True, on_delete=models.CASCADE, related_name="extensions",
        help_text="Empty until the first sync with RingCentral finds it.",
    )  # fmt: skip
    rc_id = models.CharField("RingCentral id", max_length=40)
    number = models.CharField(max_length=20, blank=True)
    name = models.CharField(max_length=120, blank=True)
    kind = models.CharField(max_length=20, choices=Kind.choices, default=Kind.USER)
    kind_told = models.CharField(max_length=40, blank=True, editable=False, help_text="RingCentral's own word.")
    status = models.CharField(
        max_length=20, blank=True, help_text="Enabled, Disabled, NotActivated …, as RingCentral says."
    )
    email = models.EmailField(blank=True)
    site = models.CharField(max_length=120, blank=True)
    department = models.CharField(max_length=120, blank=True, help_text="Feeds the assignment by department.")
    members = models.JSONField(default=list, blank=True, editable=False, help_text="Ids of a queue's members.")
    office = models.ForeignKey(Office, null=True, blank=True, on_delete=models.SET_NULL, related_name="extensions")
    process_calls = models.BooleanField(default=True, help_text="A local choice; syncing never changes it.")
    is_gone = models.BooleanField(default=False, help_text="RingCentral does not list it any more.")
    synced_at = models.DateTimeField(null=True, blank=True, editable=False)
    extra = models.JSONField(default=dict, blank=True, editable=False)

    class Meta:
        ordering = ("office__order", "number", "name")
        constraints: ClassVar = [
            models.UniqueConstraint(fields=("connection", "rc_id"), name="extension_unique"),
            models.UniqueConstraint(
                fields=("rc_id",), condition=Q(connection__isnull=True), name="extension_unsynced_unique"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.number})" if self.number else self.name or self.rc_id

    @property
    def is_machine(self) -> bool:
        return self.kind in self.MACHINES


class ExcludedNumber(models.Model):
    """Calls from or to this number are not processed."""

    number = models.CharField(max_length=20, help_text="With country: +1 510 555 1234.")
    office = models.ForeignKey(
        Office,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        related_name="excluded_numbers",
        help_text="Empty: all.",
    )
    note = models.CharField(max_length=200, blank=True)

    class Meta:
        ordering = ("number",)
        constraints: ClassVar = unique_per_office("number", name="excluded_number_unique")

    def __str__(self) -> str:
        return self.number

    def clean(self) -> None:
        number = phone.normalise(self.number, self.office.region if self.office else CallSettings.load().default_region)
        if not number:
            raise ValidationError({"number": f"“{self.number}” is no complete number; write +1 510 555 1234."})
        self.number = number
