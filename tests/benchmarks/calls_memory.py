"""Whether ten times the calls need more memory, or more than ten times the time, when the log of months is caught up.

A back-fill of made-up calls of all sorts (answered, missed, queued, outbound, internal, masked …) into leads, statuses
and notes; a rule leaves recordings out, which RingCentral's own bucket would hold up. Peak memory is the resident size
of the process that works the run. The latency is small, so that the portal's own work is what is timed. Queries are
counted in this process, on a run of its own.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

from django.conf import settings
from django.db import connection as database
from django.utils import timezone

from portal import runs
from portal.models import Run
from telephony import call_sync
from telephony.models import CallRule
from tests.benchmarks import arena, switchboard
from tests.benchmarks.arena import StandinProcess

COUNTED, SMALL, LARGE = 2_000, 5_000, 50_000
LEADS = 12_000
LATENCY_MS = 5
# The stand-in spreads its calls over the last seven days.
SPAN = dt.timedelta(days=8)
QUERIES_PER_CALL = 2


def main() -> None:
    with arena.database() as kind:
        title = f"Back-fill of {LARGE:,} calls against {SMALL:,}, {LATENCY_MS} ms latency, {kind}"
        table = arena.Table(title)
        queries = counted_queries()
        small, large = filled(SMALL), filled(LARGE)
        table.row("peak memory of the working process", large.peak_mb, small.peak_mb, unit="MB", at_most=1.3)
        factor = LARGE / SMALL
        table.row(f"time for each {SMALL:,} calls", large.seconds / factor, small.seconds, at_most=1.25)
        table.row(
            f"processor time for each {SMALL:,} calls", large.cpu_seconds / factor, small.cpu_seconds, at_most=1.25
        )
        table.row("milliseconds for each call", large.seconds / LARGE * 1000, unit="ms")
        table.row("queries for each call", queries / COUNTED, unit="", at_most=QUERIES_PER_CALL)
        for worked in (small, large):
            run = worked.run
            table.note(
                f"{run.planned:,} calls: {run.state}, {run.ok:,} ok, {run.failed:,} failed, {run.skipped:,} skipped; "
                f"{worked.seconds:.0f} s, {worked.peak_mb:.0f} MB"
            )


def filled(count: int) -> arena.Worked:
    with arena.standin(leads=LEADS, latency_ms=LATENCY_MS, calls=count) as (vendor, _):
        [worked] = arena.work(backfill(vendor))
    # Some leads of the stand-in are locked, in a blueprint, not approved or lack a mandatory field: their status is
    # refused, and the call failed.
    assert worked.run.state in (Run.State.FINISHED, Run.State.FINISHED_WITH_ERRORS), (
        worked.run.state,
        worked.run.error,
    )
    return worked


def backfill(vendor: StandinProcess) -> Run:
    switchboard.phones(vendor)
    office = switchboard.office(vendor)
    CallRule.objects.create(office=office, direction=CallRule.Direction.INBOUND, with_media=False)
    return call_sync.start(offices=[office], since=timezone.now() - SPAN, until=timezone.now())


def counted_queries() -> int:
    """Statements of a run that is worked here."""
    count = 0

    def counted(execute: Callable[..., Any], *arguments: Any) -> Any:
        nonlocal count
        count += 1
        return execute(*arguments)

    with arena.standin(leads=LEADS, latency_ms=LATENCY_MS, calls=COUNTED) as (vendor, _):
        run = backfill(vendor)
        for group in switchboard.GROUPS:
            setattr(settings, f"RINGCENTRAL_{group.upper()}_PER_MINUTE", switchboard.WIDE)
        with database.execute_wrapper(counted):
            runs.run_here(run.pk)
    return count


if __name__ == "__main__":
    main()
