"""Readings of the call log that come sooner than the schedule says, because RingCentral told of a call.

What an event says is not believed: it only asks for a reading once the log must show the call. One run at most waits
for that time, and events that come meanwhile fold into it. It chooses its offices and its window when it begins, so
that a waiting run is in nobody's way.
"""

from __future__ import annotations

import datetime as dt

from portal import connections, runs
from portal.models import Connection, Run, Vendor
from telephony.models import CallSettings, Subscription
from telephony.queries import RUN_KIND

PHASE = "begin"
# Beyond the settling time of the settings; RingCentral's own widget waits as long after a call has ended.
SPARE = dt.timedelta(seconds=30)


def delay() -> dt.timedelta:
    """How long after an event the log is read."""
    return dt.timedelta(seconds=CallSettings.load().settle_seconds) + SPARE


def ask(subscription: Subscription, at: dt.datetime) -> Run | None:
    """A run that reads what happened at `at`; None where one waits already, or where there is nowhere to write to.

    Inside a transaction that has locked the row of the subscription.
    """
    waiting = Subscription.objects.filter(
        pk=subscription.pk, next_run__state__in=Run.OPEN, next_run__phase=PHASE, next_run__stop_requested=False
    )
    if waiting.exists():
        return None
    zoho = connections.choose(None, Vendor.ZOHO)
    if zoho is None:
        return None
    run = runs.start(
        kind=RUN_KIND, title="Calls that RingCentral told of", connection=subscription.connection,
        trigger=Run.Trigger.PROGRAM, phase=PHASE, not_before=at + delay(),
        parameters={
            "offices": [], "types": ["accepted", "missed"], "dry_run": False, "debug": False, "email": False,
            "zoho": zoho.pk, "is_backfill": False,
        },
    )  # fmt: skip
    Subscription.objects.filter(pk=subscription.pk).update(next_run=run)
    return run


def begun(connection: Connection, now: dt.datetime) -> Run | None:
    """The waiting run reads from now on. What was told too late for it asks for another one, which is returned.

    Inside the transaction in which the run begins: an event comes before it and is seen here, or comes after it and
    finds no run that waits.
    """
    rows = Subscription.objects.filter(connection=connection)
    rows.update(next_run=None)
    row = rows.exclude(state=Subscription.State.OFF).defer("verification").first()
    if row is None or row.asked_at is None or row.asked_at + delay() <= now:
        return None
    return ask(row, row.asked_at)
