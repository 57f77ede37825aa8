"""What the pages about calls look up; each with a fixed number of queries. `calls_for` decides who sees which calls."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

from django.db.models import Count, Exists, Model, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Coalesce
from django.utils import timezone

from portal.access import Person
from portal.models import Run
from telephony.looks import step_marks
from telephony.models import (
    AssignmentDecision,
    AssignmentRules,
    Call,
    CallLogRow,
    CallSettings,
    CallStep,
    ExcludedNumber,
    LeadOwner,
    Office,
)

Row = TypeVar("Row", bound=Model)
RUN_KIND = "telephony.call_sync"
NO_OFFICE = "-"  # as a filter: calls that belong to no office
# How long RingCentral keeps recordings and voicemails (90 days, or 100,000 files).
MEDIA_DAYS = 90
# Open calls are told of so long before their recordings are deleted there.
EXPIRY_WARNING = dt.timedelta(days=14)

IS_WRITTEN = Exists(CallStep.objects.filter(call=OuterRef("pk"), state=CallStep.State.DONE))
STATES: tuple[tuple[str, str, Q], ...] = (
    ("", "All", Q()),
    *((state.value, str(state.label), Q(state=state)) for state in Call.State),
    ("not_in_crm", "Not in CRM", Q(is_written=False)),
)


# --- who sees what ------------------------------------------------------------------------------------------------------


def offices_for(user: Person) -> QuerySet[Office]:
    """The person's own offices; all of them for people who belong to none."""
    own = memberships(user)
    return Office.objects.filter(~Exists(own) | Exists(own.filter(office_id=OuterRef("pk"))))


def calls_for(user: Person) -> QuerySet[Call]:
    """Calls of the person's own offices; people who belong to no office see all, those without an office included.

    Calls that were joined to another one (a transfer) are left out: that one shows what they were.
    """
    return within_offices(Call.objects.filter(merged_into__isnull=True), user)


def within_offices(rows: QuerySet[Row], user: Person) -> QuerySet[Row]:
    """Rows that have an `office`: those of the person's own offices; all for people who belong to none."""
    own = memberships(user)
    return rows.filter(~Exists(own) | Exists(own.filter(office_id=OuterRef("office_id"))))


def memberships(user: Person) -> QuerySet[Any]:
    """Rows with the `office_id` of each office that the person belongs to."""
    through: type[Model] = Office.people.through
    return through._default_manager.filter(user_id=user.pk)


# --- the ledger ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class CallChoice:
    """Which calls: "" and None mean no restriction. Days are those of the office's zone, the last one included."""

    office: str = ""
    state: str = ""
    outcome: str = ""
    since: dt.date | None = None
    until: dt.date | None = None
    text: str = ""

    @property
    def is_narrowed(self) -> bool:
        return self != CallChoice()


@dataclass(frozen=True)
class Facet:
    value: str
    label: str
    count: int
    is_chosen: bool


def zone_of(office: Office | None) -> ZoneInfo:
    """The clock on which days are meant: the office's, without one that of the call settings."""
    return office.tz if office else ZoneInfo(CallSettings.load().default_zone)


def midnight(day: dt.date, zone: ZoneInfo) -> dt.datetime:
    return dt.datetime.combine(day, dt.time.min, tzinfo=zone).astimezone(dt.UTC)


def ledger(user: Person, choice: CallChoice, zone: ZoneInfo) -> QuerySet[Call]:
    """The calls of a choice with what a row shows, newest first: the calls in one query, their steps in another."""
    return (
        _narrowed(user, choice, zone)
        .select_related("office", "extension", "answered_by")
        .prefetch_related("steps")
        .defer("legs", "candidates", "outcome_reason", "match_reason")
        .order_by("-started_at", "-pk")
    )


def state_facets(user: Person, choice: CallChoice, zone: ZoneInfo) -> list[Facet]:
    """How many calls each state would leave under the other filters: one query."""
    rows = _narrowed(user, choice, zone, with_state=False).order_by()
    counts = rows.aggregate(**{name or "all": Count("pk", filter=condition) for name, _, condition in STATES})
    return [Facet(name, label, counts[name or "all"], name == choice.state) for name, label, _ in STATES]


def _narrowed(user: Person, choice: CallChoice, zone: ZoneInfo, *, with_state: bool = True) -> QuerySet[Call]:
    rows = calls_for(user).annotate(is_written=IS_WRITTEN)
    if choice.office == NO_OFFICE:
        rows = rows.filter(office__isnull=True)
    elif choice.office:
        rows = rows.filter(office__slug=choice.office)
    if choice.outcome:
        rows = rows.filter(outcome=choice.outcome)
    if choice.since:
        rows = rows.filter(started_at__gte=midnight(choice.since, zone))
    if choice.until:
        rows = rows.filter(started_at__lt=midnight(choice.until + dt.timedelta(days=1), zone))
    if choice.text:
        rows = rows.filter(_search(choice.text))
    if with_state:
        rows = rows.filter(next(condition for name, _, condition in STATES if name == choice.state))
    return rows


def _search(text: str) -> Q:
    """By name or id of the call; by number where the text has the digits of one, however it is written."""
    found = Q(name_told__icontains=text) | Q(key__icontains=text) | Q(number_told__icontains=text)
    digits = "".join(character for character in text if character in "0123456789")
    if len(digits) >= 3 and not any(character.isalpha() for character in text):
        # A national form starts with a zero (020 …) that the international one does not have.
        found |= Q(number__contains=digits.lstrip("0"))
    return found


CSV_HEADER = (
    "Call id", "Started (UTC)", "Started (office)", "Office", "Direction", "Outcome", "Number", "Number told", "Name",
    "Line", "Answered by", "Total seconds", "Talk seconds", "State", "Reason code", "Reason", "Module", "Record id",
    "Steps",
)  # fmt: skip


def csv_rows(calls: QuerySet[Call]) -> Iterator[tuple[Any, ...]]:
    """Calls as cells of the download, read in portions."""
    for call in calls.iterator(chunk_size=1000):
        started = call.started_at.astimezone(dt.UTC)
        local = started.astimezone(call.office.tz) if call.office else None
        yield (
            call.key, started.isoformat(timespec="seconds"), local.isoformat(timespec="seconds") if local else "",
            call.office.name if call.office else "", call.get_direction_display(), call.get_outcome_display(),
            call.number, call.number_told, call.name_told, call.line, str(call.answered_by or ""), call.total_seconds,
            call.talk_seconds, call.get_state_display(), call.reason_code, call.reason, call.module, call.record_id,
            "; ".join(f"{mark.label}: {mark.words}" for mark in step_marks(call.steps.all())),
        )  # fmt: skip


# --- how it goes --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SyncState:
    """For the home page: the last run over calls, whatever came of it, and how many calls need something."""

    last_run: Run | None
    total: int
    pending: int
    waiting: int
    review: int
    failed: int
    expiring: int

    @property
    def needing(self) -> int:
        """Calls that only a person brings on."""
        return self.review + self.failed


def sync_state(user: Person) -> SyncState:
    """Two queries."""
    counted = (Call.State.PENDING, Call.State.WAITING, Call.State.REVIEW, Call.State.FAILED)
    oldest = timezone.now() - dt.timedelta(days=MEDIA_DAYS)
    expiring = Q(state__in=counted, started_at__gt=oldest, started_at__lt=oldest + EXPIRY_WARNING)
    counts = calls_for(user).order_by().aggregate(
        total=Count("pk"), expiring=Count("pk", filter=expiring),
        **{state.value: Count("pk", filter=Q(state=state)) for state in counted},
    )  # fmt: skip
    last = Run.objects.filter(kind=RUN_KIND).defer("parameters", "traceback").order_by("-pk").first()
    return SyncState(last, **counts)


# --- why were no calls processed? ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class FilterStep:
    """One question that a call must pass; `stopped` are the calls that the step before let through and this one not."""

    label: str
    count: int
    stopped: int
    remedy: str
    url_name: str = ""


@dataclass(frozen=True)
class ReasonCount:
    code: str
    state: str
    count: int
    example: str
    newest_id: int


def funnel(
    user: Person, office: Office | None, types: list[str], since: dt.datetime, until: dt.datetime
) -> list[FilterStep]:
    """How many calls of a window pass each question, one after the other, by the settings as they are now: two queries.

    Without an office: of all offices together.
    """
    outcomes = {"accepted": [Call.Outcome.ACCEPTED], "missed": list(Call.MISSED_OUTCOMES)}
    wanted = [outcome for name in types for outcome in outcomes[name]]
    excluded = ExcludedNumber.objects.filter(
        Q(office__isnull=True) | Q(office=OuterRef("office")), number=OuterRef("number")
    )
    conditions = [
        Q(office=office) if office else Q(office__isnull=False),
        ~Q(extension__process_calls=False),
        Q(is_excluded=False),
        Q(outcome__in=wanted),
        ~Q(record_id=""),
        Q(is_written=True),
    ]
    passed, sums = Q(), {"log": Count("pk")}
    for position, condition in enumerate(conditions):
        passed = passed & condition
        sums[f"passed_{position}"] = Count("pk", filter=passed)
    rows = calls_for(user).filter(started_at__gte=since, started_at__lt=until).order_by()
    counts = rows.annotate(is_written=IS_WRITTEN, is_excluded=Exists(excluded)).aggregate(**sums)
    numbers = [counts["log"], *(counts[f"passed_{position}"] for position in range(len(conditions)))]
    return [
        FilterStep(label, number, before - number, remedy, url_name)
        for (label, remedy, url_name), number, before in zip(
            _questions(office), numbers, [numbers[0], *numbers], strict=False
        )
    ]


def _questions(office: Office | None) -> list[tuple[str, str, str]]:
    """Label, what to do about calls that stop here, and the page for it."""
    where = f"of {office.name}" if office else "of some office"
    return [
        (
            "In the call log",
            "If calls are missing here: read the log again for these hours (“Process calls”), and check the connection "
            "to RingCentral. Calls appear in the log some minutes after they end.",
            "calls",
        ),
        (
            f"At an extension {where}",
            "The extensions of these calls belong to no office or another one. Assign them to this office.",
            "offices",
        ),
        ("Extension is switched on", "Switch “process calls” on for the extensions that should count.", "offices"),
        ("Number is not excluded", "Remove the number from the excluded numbers.", "offices"),
        (
            "Of the chosen types",
            "Internal, outbound, blocked and unfinished calls are neither accepted nor missed. Choose more types above "
            "if one is left out.",
            "",
        ),
        (
            "Belongs to a record",
            "Calls without a full number, those that several records fit, and those not processed yet stop here. The "
            "reasons below say which.",
            "call-review",
        ),
        (
            "Written to Zoho",
            "Calls that wait or failed stop here. Open one to see its steps, and process it again.",
            "calls",
        ),
    ]


def rows_read(since: dt.datetime, until: dt.datetime) -> int:
    """Rows of RingCentral's log that we hold of the window; a call has one or several."""
    return CallLogRow.objects.filter(started_at__gte=since, started_at__lt=until).count()


def reason_counts(user: Person, office: Office | None, since: dt.datetime, until: dt.datetime) -> list[ReasonCount]:
    """Why calls of the window are not done, as it was decided for each, most frequent first; with a newest example."""
    rows = calls_for(user).filter(started_at__gte=since, started_at__lt=until).exclude(state=Call.State.DONE)
    if office:
        rows = rows.filter(office=office)
    newest = rows.filter(reason_code=OuterRef("reason_code"), state=OuterRef("state")).order_by("-started_at", "-pk")
    groups = (
        rows.order_by()
        .values("reason_code", "state")
        .annotate(
            count=Count("pk"), newest=Subquery(newest.values("pk")[:1]), example=Subquery(newest.values("reason")[:1])
        )
        .order_by("-count", "reason_code")
    )
    return [
        ReasonCount(
            row["reason_code"], Call.State(row["state"]).label, row["count"], row["example"] or "", row["newest"]
        )
        for row in groups
    ]


# --- owners and offices -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PoolRow:
    """An owner of the office's pool and the share of the rotation that follows from the weights, in percent."""

    owner: LeadOwner
    is_available: bool
    percent: float


def pool(office: Office, now: dt.datetime) -> list[PoolRow]:
    """The owners of the office; the shares are those among all who are available now, equal where weights are off."""
    rules = AssignmentRules.objects.filter(office=office).first()
    is_weighted = rules is None or rules.respect_weights
    owners = list(office.lead_owners.select_related("extension"))
    weights = {owner.pk: (owner.weight if is_weighted else 1) for owner in owners if owner.is_available(now)}
    total = sum(weights.values())
    return [
        PoolRow(owner, owner.pk in weights, float(100 * weights[owner.pk] / total) if owner.pk in weights else 0.0)
        for owner in owners
    ]


def decisions(office: Office) -> QuerySet[AssignmentDecision]:
    """The log of who got which lead and why, newest first."""
    return (
        AssignmentDecision.objects.filter(office=office)
        .select_related("call")
        .defer("call__legs", "call__candidates")
        .order_by("-pk")
    )


def offices_overview(user: Person) -> QuerySet[Office]:
    """Offices with how many extensions, owners and calls of the last day they have: one query."""
    day = timezone.now() - dt.timedelta(days=1)
    return (
        offices_for(user)
        .select_related("sync_run")
        .defer("sync_run__parameters", "sync_run__traceback")
        .annotate(
            extension_count=_counted("extensions", Q(extensions__is_gone=False)),
            switched_on=_counted("extensions", Q(extensions__is_gone=False, extensions__process_calls=True)),
            owner_count=_counted("lead_owners", Q()),
            owners_on=_counted("lead_owners", Q(lead_owners__is_active=True)),
            people_count=_counted("people", Q()),
            calls_today=_counted("calls", Q(calls__started_at__gte=day, calls__merged_into__isnull=True)),
        )
        .order_by("order", "name", "pk")
    )


def _counted(relation: str, condition: Q) -> Any:
    """A count in a subquery of its own: several joins at once would multiply each other."""
    rows = Office.objects.filter(condition, pk=OuterRef("pk")).order_by().values("pk")
    return Coalesce(Subquery(rows.annotate(found=Count(f"{relation}__pk", distinct=True)).values("found")), 0)
