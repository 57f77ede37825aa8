"""What is done once an hour, however many supervisors ask. The tasks are named in HOURLY_TASKS."""

from __future__ import annotations

import datetime as dt
import logging

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string
from django_q.tasks import async_task

from portal.models import Cursor

logger = logging.getLogger(__name__)


def enqueue() -> None:
    """Queues the tasks one by one, so that one that hangs or fails does not hold up the others."""
    for name in settings.HOURLY_TASKS:
        async_task("portal.hourly.work", name, group="hourly")


def work(name: str, now: dt.datetime | None = None) -> bool:
    """Does the task unless this hour has seen it; whether it was done. What it raises is logged and tried next hour."""
    if not _take(name, now or timezone.now()):
        return False
    try:
        import_string(name)()
    except Exception:
        logger.exception("the hourly task %s failed", name)
        return False
    return True


def _take(name: str, now: dt.datetime) -> bool:
    """Of several who ask in one hour, one UPDATE matches."""
    key, hour = f"hourly:{name}", f"{now.astimezone(dt.UTC):%Y-%m-%dT%H}"
    Cursor.objects.get_or_create(name=key, defaults={"value": {"hour": ""}})
    return bool(Cursor.objects.filter(name=key).exclude(value__hour=hour).update(value={"hour": hour}))
