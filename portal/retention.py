"""What is thrown away when: old records of runs, plans nobody confirmed, meters, finished tasks, ended sessions.

The rows of the runs stay, with their counts, and so does the audit: what was done, by whom and with what result is kept
for good; which records it touched and their values are kept for RETENTION_DAYS.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.apps import apps
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models import Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils import timezone
from django_q.models import Task

from portal import runs
from portal.connections import temporary
from portal.models import ApiUsage, Cursor, Run, RunEvent, RunInput, RunItem, Worker

# Rows deleted in one transaction: web and worker get their turn in between.
BATCH = 1000
PLANS_AFTER = dt.timedelta(days=7)
USAGE_AFTER = dt.timedelta(days=90)
TASKS_AFTER = dt.timedelta(days=7)
WORKERS_AFTER = dt.timedelta(days=7)
DAILY = "daily retention"


def prune(*, dry_run: bool = False, now: dt.datetime | None = None) -> dict[str, int]:
    """Throws away what is due and returns the numbers; with `dry_run` the numbers only."""
    now = now or timezone.now()
    plans = _abandoned_plans(now)
    act: Callable[[QuerySet], int] = QuerySet.count if dry_run else _delete
    result = {"plans": len(plans) if dry_run else sum(runs.stop(run) for run in plans)}
    for name, rows in _due(now).items():
        result[name] = act(rows)
    if not dry_run:
        temporary.forget_ended()
    return result


def _due(now: dt.datetime) -> dict[str, QuerySet]:
    old = _old_runs(now).values("pk")
    return {
        "inputs": RunInput.objects.filter(run__in=old),
        "items": RunItem.objects.filter(run__in=old),
        "events": RunEvent.objects.filter(run__in=old),
        "usage": ApiUsage.objects.filter(hour__lt=now - USAGE_AFTER),
        "tasks": Task.objects.filter(stopped__lt=now - TASKS_AFTER),
        "sessions": Session.objects.filter(expire_date__lt=now),
        "workers": Worker.objects.filter(heartbeat_at__lt=now - WORKERS_AFTER),
    } | {
        # Rows of the apps that are kept for a fixed time say so themselves; the core does not know them.
        str(model._meta.verbose_name_plural): model._default_manager.filter(created_at__lt=now - model.KEPT_FOR)
        for model in apps.get_models()
        if hasattr(model, "KEPT_FOR")
    }


def daily(now: dt.datetime | None = None) -> dict[str, int] | None:
    """`prune`, once a day however many workers ask; None when it was done already."""
    now = now or timezone.now()
    Cursor.objects.get_or_create(name=DAILY, defaults={"value": {"day": ""}})
    today = now.date().isoformat()
    taken = Cursor.objects.filter(name=DAILY).exclude(value__day=today).update(value={"day": today})
    return prune(now=now) if taken else None


def _old_runs(now: dt.datetime) -> QuerySet[Run]:
    """Ended long enough ago, and no open retry or restore reads their records."""
    ended = Run.objects.filter(state__in=Run.CLOSED, finished_at__lt=now - dt.timedelta(days=settings.RETENTION_DAYS))
    in_use = Run.objects.filter(state__in=Run.OPEN, parent__isnull=False).values("parent")
    return ended.exclude(pk__in=in_use)


def _abandoned_plans(now: dt.datetime) -> list[Run]:
    """Plans that have waited for a person for so long that their values mean nothing any more."""
    waiting = Q(state=Run.State.WAITING, wait__in=Run.WAITS_FOR_PEOPLE)
    rows = Run.objects.annotate(touched_at=Coalesce("heartbeat_at", "created_at"))
    return list(rows.filter(waiting, touched_at__lt=now - PLANS_AFTER))


def _delete(rows: QuerySet) -> int:
    """Deletes in batches, each a transaction of its own, and returns how many rows went."""
    total = 0
    while True:
        keys = list(rows.order_by("pk").values_list("pk", flat=True)[:BATCH])
        if not keys:
            return total
        rows.model._default_manager.filter(pk__in=keys).delete()
        total += len(keys)
