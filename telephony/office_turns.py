"""Offices in their order: which run has one in work, and how far its calls are processed."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

from portal.models import Cursor, Run
from portal.runs import Refused
from telephony.models import CallSettings, Office


def by_order(office: Office) -> tuple[int, str, int]:
    """The processing order; ties by name."""
    return office.order, office.name, office.pk


def take_offices(offices: Sequence[Office], run: Run) -> None:
    """One open run for an office: the second of two starts finds the first one's name. Inside a transaction."""
    pks = [office.pk for office in offices]
    # Locked first, read then: a condition on the run beside it would be judged by what stood there before the wait.
    for office in Office.objects.select_for_update().filter(pk__in=pks).order_by("pk"):
        other = office.sync_run
        if other is not None and other.pk != run.pk and other.is_open:
            raise Refused(f"The calls of {office.name} are being processed already.", other)
    Office.objects.filter(pk__in=pks).update(sync_run=run)


def caught_up(office: Office, types: Sequence[str], since: dt.datetime, settings: CallSettings) -> dt.datetime:
    """A run that was missed is caught up: the window begins where the last complete one ended, with an overlap."""
    cursor = Cursor.objects.filter(name=office_cursor(office.pk)).first()
    known = [cursor.value[each] for each in types if each in cursor.value] if cursor else []
    if not known:
        return since
    through = min(dt.datetime.fromisoformat(each) for each in known)
    return min(since, through - dt.timedelta(hours=settings.overlap_hours))


def office_cursor(office_id: int) -> str:
    """Name of the cursor {"accepted": time, "missed": time}: processed without a hole until then."""
    return f"calls-of-office:{office_id}"
