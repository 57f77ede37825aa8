"""What the core's lists show: runs with their facets, the audit, schedules, signs of life."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db import DatabaseError, connection
from django.db.models import Count, Exists, OuterRef, Q, QuerySet
from django.utils import timezone

from portal.access import Person
from portal.context import WORKER_SILENCE
from portal.models import AuditEntry, Run, Schedule, Worker

State = Run.State
SHOWN_WAITING = 5
# How long an ended run with failures stays on the list of what needs somebody.
FRESH = dt.timedelta(days=7)
# A run whose worker gave a sign of life so lately is only between two slices of its work.
BETWEEN_SLICES = dt.timedelta(seconds=5)
# A join to a connection must not read its secrets: a page works without the key that opens them.
WITHOUT_SECRETS = ("connection__client_secret", "connection__refresh_token", "connection__jwt")

WAITING = Q(state=State.WAITING, wait__in=Run.WAITS_FOR_PEOPLE)
RUN_STATES = (
    ("", "All started"),
    ("open", "Open"),
    ("waiting", "Waiting for people"),
    ("finished", "Finished"),
    ("errors", "With errors"),
    ("ended", "Stopped or failed"),
)
STATES: dict[str, Q] = {
    "": ~WAITING,
    "open": Q(state__in=Run.OPEN) & ~WAITING,
    "waiting": WAITING,
    "finished": Q(state=State.FINISHED),
    "errors": Q(state__in=(State.FINISHED_WITH_ERRORS, State.NEEDS_DECISION)),
    "ended": Q(state__in=(State.STOPPED, State.FAILED)),
}


@dataclass(frozen=True)
class RunChoice:
    """Which runs: "" and None mean no restriction; person 0 means started by no person."""

    state: str = ""
    kind: str = ""
    person: int | None = None
    text: str = ""

    @property
    def is_narrowed(self) -> bool:
        return bool(self.state or self.kind or self.text or self.person is not None)


@dataclass(frozen=True)
class AuditChoice:
    """Which audit entries; `since` and `until` are moments, the second one excluded."""

    actor: str = ""
    action: str = ""
    run: int | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None

    @property
    def is_narrowed(self) -> bool:
        return self != AuditChoice()


@dataclass(frozen=True)
class Facet:
    """One value to filter by, and how many rows it would leave."""

    value: str
    label: str
    count: int
    is_chosen: bool


@dataclass(frozen=True)
class Facets:
    states: list[Facet]
    kinds: list[Facet]
    people: list[Facet]

    @property
    def open_count(self) -> int:
        return next(facet.count for facet in self.states if facet.value == "open")


def kind_words(kind: str) -> str:
    """crm.bulk_update → Bulk update."""
    return kind.rpartition(".")[2].replace("_", " ").capitalize()


def person_words(username: str, first_name: str, last_name: str) -> str:
    return f"{first_name} {last_name}".strip() or username


def shown_state(run: Run, now: dt.datetime | None = None) -> Run | str:
    """Subject of the state pill. A run that is queued for a moment between two slices counts as running."""
    heartbeat = run.heartbeat_at
    if run.state == State.QUEUED and heartbeat and (now or timezone.now()) - heartbeat < BETWEEN_SLICES:
        return State.RUNNING.value
    return run


# --- runs -------------------------------------------------------------------------------------------------------------


def runs_of(choice: RunChoice) -> QuerySet[Run]:
    """The runs of a choice, newest first, with what a row of the list shows."""
    rows = Run.objects.select_related("connection", "requested_by", "parent").defer(
        *WITHOUT_SECRETS, "parameters", "traceback"
    )
    return rows.filter(_narrowed(choice)).order_by("-pk")


def waiting_runs(choice: RunChoice) -> list[Run]:
    """Plans and approvals that a person must end, as far as the other filters let them through."""
    return list(runs_of(RunChoice("waiting", choice.kind, choice.person, choice.text))[:SHOWN_WAITING])


def run_facets(choice: RunChoice) -> Facets:
    """Counts of each value, each facet under the other filters: three queries."""
    of_state = Run.objects.filter(_narrowed(choice, leave="state")).aggregate(
        **{name or "all": Count("pk", filter=condition) for name, condition in STATES.items()}
    )
    of_kind = Run.objects.filter(_narrowed(choice, leave="kind")).order_by("kind").values_list("kind")
    people = Run.objects.filter(_narrowed(choice, leave="person")).order_by()
    of_person = people.values_list(
        "requested_by", "requested_by__username", "requested_by__first_name", "requested_by__last_name"
    )
    return Facets(
        [Facet(name, label, of_state[name or "all"], name == choice.state) for name, label in RUN_STATES],
        [
            Facet(kind, kind_words(kind), count, kind == choice.kind)
            for kind, count in of_kind.annotate(count=Count("pk"))
        ],
        sorted(
            (
                Facet(str(pk or 0), person_words(*names) if pk else "No person", count, (pk or 0) == choice.person)
                for pk, *names, count in of_person.annotate(count=Count("pk"))
            ),
            key=lambda facet: facet.label.lower(),
        ),
    )


def _narrowed(choice: RunChoice, leave: str = "") -> Q:
    condition = Q() if leave == "state" else STATES[choice.state]
    if choice.kind and leave != "kind":
        condition &= Q(kind=choice.kind)
    if choice.person is not None and leave != "person":
        condition &= Q(requested_by=choice.person) if choice.person else Q(requested_by__isnull=True)
    if choice.text:
        number = int(choice.text) if choice.text.isascii() and choice.text.isdigit() else 0
        condition &= Q(title__icontains=choice.text) | Q(pk=number)
    return condition


def needing(user: Person, now: dt.datetime, limit: int = 10) -> list[Run]:
    """Runs that stand still until a person acts, and those that ended badly lately and were not retried.

    Plans are their makers' matter, so others see them only with the right to operate everybody's runs.
    """
    own = Q(requested_by_id=user.pk)
    if user.has_perm("portal.operate_any_run"):
        own = Q()
    stuck = WAITING & ~Q(wait=Run.Wait.APPROVAL) | Q(state=State.WAITING, wait=Run.Wait.RECONNECTION)
    bad = Q(state__in=(State.FINISHED_WITH_ERRORS, State.FAILED), finished_at__gte=now - FRESH)
    condition = (stuck | bad | Q(state=State.NEEDS_DECISION)) & own
    if user.has_perm("portal.approve_run"):
        condition |= Q(state=State.WAITING, wait=Run.Wait.APPROVAL)
    retried = Run.objects.filter(parent=OuterRef("pk"), relation="retry")
    rows = Run.objects.filter(condition).exclude(Exists(retried))
    return list(
        rows.select_related("connection", "requested_by").defer(*WITHOUT_SECRETS, "parameters", "traceback")[:limit]
    )


# --- the audit --------------------------------------------------------------------------------------------------------


def audit_actions() -> list[str]:
    return list(AuditEntry.objects.order_by("action").values_list("action", flat=True).distinct())


def audit_entries(choice: AuditChoice) -> QuerySet[AuditEntry]:
    """Newest first."""
    rows = AuditEntry.objects.order_by("-pk")
    if choice.actor:
        rows = rows.filter(actor__icontains=choice.actor)
    if choice.action:
        rows = rows.filter(action=choice.action)
    if choice.run:
        rows = rows.filter(run_id=choice.run)
    if choice.since:
        rows = rows.filter(at__gte=choice.since)
    if choice.until:
        rows = rows.filter(at__lt=choice.until)
    return rows


AUDIT_HEADER = ("time", "person", "address", "action", "target", "run", "details")


def audit_row(entry: AuditEntry) -> tuple[Any, ...]:
    """One entry as cells of the download; the time in UTC."""
    at = entry.at.astimezone(dt.UTC).isoformat(timespec="seconds")
    return at, entry.actor, entry.address, entry.action, entry.target, entry.run_id, details_words(entry.details)


def details_words(details: dict[str, Any]) -> str:
    """{"records": 3, "field": "Lead_Status"} → records: 3, field: Lead_Status."""
    return ", ".join(f"{name.replace('_', ' ')}: {_plain(value)}" for name, value in sorted(details.items()))


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(str(each) for each in value)
    return "none" if value is None or value == "" else str(value)


# --- schedules and signs of life ----------------------------------------------------------------------------------------


def schedules() -> QuerySet[Schedule]:
    return Schedule.objects.select_related("connection", "last_run", "owner").defer(
        *WITHOUT_SECRETS, "last_run__parameters"
    )


def worker_is_alive(now: dt.datetime | None = None) -> bool:
    return Worker.objects.filter(heartbeat_at__gte=(now or timezone.now()) - WORKER_SILENCE).exists()


def health() -> dict[str, str]:
    """{"status": "ok" | "degraded", "database": "ok" | "down", "worker": "alive" | "none" | "unknown"}."""
    try:
        connection.ensure_connection()
        worker = "alive" if worker_is_alive() else "none"
    except DatabaseError:
        return {"status": "degraded", "database": "down", "worker": "unknown"}
    return {"status": "ok" if worker == "alive" else "degraded", "database": "ok", "worker": worker}


def retention_words() -> str:
    return f"Records and logs of a run are kept for {settings.RETENTION_DAYS} days after its end."
