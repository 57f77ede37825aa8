"""What the pages of a plan and of a run cost at 1,000 and at 100,000 records: queries, and time on the server.

The items are written straight into the database, because only the pages are measured; the time is the median of five.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from crm import bulk_update, field_update
from portal import runs
from portal.models import Connection, Run, RunItem
from tests.benchmarks import arena

SMALL, LARGE = 1_000, 100_000
LIMIT_MS = 500
REPEATS = 5
CHUNK = 5_000
VALUES = ("Not Contacted", "Contacted", "Attempted to Contact", "Lost Lead", None)
SKIPPED = ("UNCHANGED", "CONVERTED_RECORD", "NOT_FOUND")
State = RunItem.State


def main() -> None:
    with arena.database() as kind, arena.standin(leads=10, latency_ms=0) as (_, connection):
        user = User.objects.create_superuser("benchmark")
        browser = Client()
        browser.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        pages: dict[str, list[str]] = {}
        for count in (SMALL, LARGE):
            for what, url in addresses(connection, user, count):
                pages.setdefault(what, []).append(url)
        measure(arena.Table(f"Pages with {LARGE:,} records against {SMALL:,}, {kind}"), browser, pages)


def addresses(connection: Connection, user: User, count: int) -> list[tuple[str, str]]:
    change = make(connection, user, count, Run.Wait.CHANGE)
    plan = make(connection, user, count, Run.Wait.CONFIRMATION)
    working = make(connection, user, count, Run.Wait.NONE)
    ended = make(connection, user, count, None)
    return [
        ("review of the list, choice of the change", f"/crm/bulk-update/{change.pk}/"),
        ("preview", f"/crm/bulk-update/{plan.pk}/"),
        ("preview, searched by name", f"/crm/bulk-update/{plan.pk}/?search=lead+99"),
        ("preview, sorted by name", f"/crm/bulk-update/{plan.pk}/?sort=label"),
        ("preview, last page", f"/crm/bulk-update/{plan.pk}/?page={count // 100}"),
        ("confirmation", f"/crm/bulk-update/{plan.pk}/confirm/"),
        ("run at work", f"/runs/{working.pk}/"),
        ("run at work, the part that polls", f"/runs/{working.pk}/progress/"),
        ("run ended", f"/runs/{ended.pk}/"),
        ("run ended, failed records", f"/runs/{ended.pk}/?state=failed"),
        ("run ended, searched by name", f"/runs/{ended.pk}/items/?q=lead+99"),
        ("run ended, last page of records", f"/runs/{ended.pk}/items/?page={count // 100}"),
        ("list of runs", "/runs/"),
        ("home", "/"),
    ]


def measure(table: arena.Table, browser: Client, pages: dict[str, list[str]]) -> None:
    growing = []
    for what, (small_url, large_url) in pages.items():
        small_ms, small_queries = cost(browser, small_url)
        large_ms, large_queries = cost(browser, large_url)
        label = f"{what}: {large_queries} queries"
        table.row(label, large_ms, small_ms, unit="ms", at_most=LIMIT_MS, judge_measured=True)
        if large_queries > small_queries:
            growing.append(f"{what}: {small_queries} → {large_queries}")
    table.row("pages that need more queries for more records", len(growing), unit="", at_most=0)
    for text in growing:
        table.note(text)


def cost(browser: Client, url: str) -> tuple[float, int]:
    """Milliseconds and number of queries of one page; the first calls warm caches up and are not timed."""
    browser.get(url)
    with CaptureQueriesContext(database) as queries:
        response = browser.get(url)
    number = len(queries)
    assert response.status_code in (200, 286), (url, response.status_code)
    return statistics.median(timed(lambda: browser.get(url)) for _ in range(REPEATS)) * 1000, number


def timed(act: Callable[[], object]) -> float:
    elapsed = arena.stopwatch()
    act()
    return elapsed()


def make(connection: Connection, user: User, count: int, wait: Run.Wait | None) -> Run:
    """A bulk update with that many items: waiting for a person, at work (`NONE`), or ended (`None`)."""
    change = {"field": "Lead_Status", "field_label": "Lead Status", "value": "Junk Lead", "automation": True}
    parameters = {"module": "Leads", "source": {"type": "ids", "name": "a list"}, "allowed": ["Junk Lead"]}
    is_waiting = wait in Run.WAITS_FOR_PEOPLE
    run = Run.objects.create(
        kind=bulk_update.KIND, title=f"Leads: {count:,}", connection=connection, requested_by=user,
        parameters=parameters | ({} if wait == Run.Wait.CHANGE else change), phase="read" if is_waiting else "write",
        state=Run.State.WAITING if is_waiting else Run.State.RUNNING if wait is not None else Run.State.FINISHED_WITH_ERRORS,
        wait=wait or "", started_at=timezone.now(), finished_at=timezone.now() if wait is None else None,
    )  # fmt: skip
    for first in range(0, count, CHUNK):
        last = min(first + CHUNK, count)
        RunItem.objects.bulk_create([item(run, position, count, wait) for position in range(first, last)])
    if wait == Run.Wait.CONFIRMATION:
        Run.objects.filter(pk=run.pk).update(fingerprint=field_update.fingerprint(run))
    runs.refresh_counts(run)
    return run


def item(run: Run, position: int, count: int, wait: Run.Wait | None) -> RunItem:
    row = RunItem(run=run, position=position, key=str(4_150_868_000_000_000_000 + position), label=f"Lead {position}")
    if wait == Run.Wait.CHANGE:
        return row
    now = timezone.now()
    row.before, row.after = {"Lead_Status": VALUES[position % len(VALUES)]}, {"Lead_Status": "Junk Lead"}
    row.details, row.read_at = {"line": position, "modified_by": "Somebody"}, now
    if position % 7 == 0:
        row.state, row.code, row.finished_at = State.SKIPPED, SKIPPED[position % len(SKIPPED)], now
    elif wait is None or (wait == Run.Wait.NONE and position < count // 2):
        is_ok = position % 11 != 0
        row.state, row.code = (State.OK, "SUCCESS") if is_ok else (State.FAILED, "RECORD_LOCKED")
        row.finished_at = now
    return row


if __name__ == "__main__":
    main()
