"""Schedules: which runs start when. The supervisor's sweep asks; each due time is taken by one conditional UPDATE."""

import datetime as dt
import logging
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

from croniter import croniter
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from portal import audit, runs
from portal.access import Person
from portal.models import Connection, Run, Schedule

logger = logging.getLogger(__name__)

# A time counts as missed when the portal was this late for it.
GRACE = dt.timedelta(minutes=10)


def next_time(cron: str, zone: str, after: dt.datetime) -> dt.datetime:
    """The first time of the expression after `after`, in UTC.

    The expression is read on the wall clock of the zone: an hour that daylight saving skips moves to the next valid
    one, an hour that it repeats counts once, because `after` is compared on the wall clock.
    """
    wall = after.astimezone(ZoneInfo(zone)).replace(tzinfo=None)
    found: dt.datetime = croniter(cron, wall).get_next(dt.datetime)
    result = found.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
    while result <= after:
        found = croniter(cron, found).get_next(dt.datetime)
        result = found.replace(tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
    return result


def create(
    *, name: str, kind: str, connection: Connection, cron: str, zone: str, missed: str, parameters: dict[str, Any],
    user: Person | None, address: str | None = None,
) -> Schedule:  # fmt: skip
    """Writes an active schedule; its values were checked by the form."""
    schedule = Schedule.objects.create(
        name=name, kind=kind, connection=connection, cron=cron, zone=zone, missed=missed, parameters=parameters,
        owner_id=user.pk if user else None, next_at=next_time(cron, zone, timezone.now()),
    )  # fmt: skip
    audit.record("schedule made", user=user, address=address, target=name, cron=cron, zone=zone, parameters=parameters)
    return schedule


def fire_due(now: dt.datetime | None = None) -> list[Run]:
    """Starts a run for each schedule whose time has come; one bad schedule does not hold up the others."""
    now = now or timezone.now()
    started = []
    due = Schedule.objects.filter(is_active=True).exclude(next_at__gt=now).order_by("pk")
    for pk in list(due.values_list("pk", flat=True)):
        try:
            # One by one: a secret that no key opens spoils the reading of its own schedule only.
            schedule = due.filter(pk=pk).select_related("connection", "last_run", "owner").first()
            run = _fire(schedule, now) if schedule else None
        except runs.Refused as refusal:
            which = f" Run {refusal.run.pk} is at it." if refusal.run else ""
            Schedule.objects.filter(pk=pk).update(last_note=f"Not started: {refusal}{which}"[:200])
            continue
        except Exception as error:
            logger.exception("schedule %s could not start", pk)
            Schedule.objects.filter(pk=pk).update(last_note=f"Could not start: {type(error).__name__}"[:200])
            continue
        if run is not None:
            started.append(run)
    return started


def _fire(schedule: Schedule, now: dt.datetime) -> Run | None:
    due = schedule.next_at
    following = next_time(schedule.cron, schedule.zone, now)
    # Whoever moves next_at on has taken this time; a second supervisor finds it changed.
    if not Schedule.objects.filter(pk=schedule.pk, next_at=due).update(next_at=following):
        return None
    if due is None:
        return None
    if now - due > GRACE and schedule.missed == Schedule.Missed.SKIP:
        Schedule.objects.filter(pk=schedule.pk).update(last_note=f"Skipped the missed time {due:%Y-%m-%d %H:%M} UTC.")
        return None
    if schedule.last_run is not None and schedule.last_run.is_open:
        Schedule.objects.filter(pk=schedule.pk).update(last_note="Not started: its previous run is still open.")
        return None
    if schedule.owner is None or not schedule.owner.is_active:
        note = "Not started: who made it is no longer active here. Remove it and make it anew."
        Schedule.objects.filter(pk=schedule.pk).update(last_note=note)
        return None
    run: Run = import_module(settings.RUN_KINDS[schedule.kind]).start_scheduled(schedule)
    Schedule.objects.filter(pk=schedule.pk).update(last_at=now, last_run=run, last_note="")
    return run


def toggle(schedule: Schedule, *, user: Person | None = None, address: str | None = None) -> bool:
    """Pauses an active schedule, activates a paused one; returns whether it is active now.

    Times that passed during the pause are not caught up.
    """
    following = None if schedule.is_active else next_time(schedule.cron, schedule.zone, timezone.now())
    schedule.is_active, schedule.next_at = not schedule.is_active, following
    schedule.save(update_fields=["is_active", "next_at"])
    action = "schedule activated" if schedule.is_active else "schedule paused"
    audit.record(action, user=user, address=address, target=schedule.name)
    return schedule.is_active


def remove(schedule: Schedule, *, user: Person | None = None, address: str | None = None) -> None:
    """Removes the schedule; the runs that it started stay."""
    with transaction.atomic():
        audit.record("schedule removed", user=user, address=address, target=schedule.name, cron=schedule.cron)
        schedule.delete()
