"""What the pages of a plan, of a run and of the calls cost when there is much: queries, and time on the server.

Plans and runs have 1,000 and 100,000 records, the list of calls 1,000 and 50,000. The rows are written straight into the database, because only the pages are measured; the time is the median of five.
"""

from __future__ import annotations

import datetime as dt
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
from telephony.models import Call, CallStep, Office
from tests.benchmarks import arena

SMALL, LARGE, CALLS = 1_000, 100_000, 50_000
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
        measure_calls(browser, kind)


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
    costs = {what: [cost(browser, url) for url in urls] for what, urls in pages.items()}
    tell(table, costs)


def measure_calls(browser: Client, kind: str) -> None:
    """The pages over all calls, at two sizes of the ledger one after the other."""
    costs: dict[str, list[tuple[float, int]]] = {}
    known = 0
    for count in (SMALL, CALLS):
        make_calls(known, count)
        known = count
        for what, url in call_pages(count):
            costs.setdefault(what, []).append(cost(browser, url))
    tell(arena.Table(f"Pages with {CALLS:,} calls against {SMALL:,}, {kind}"), costs)


def call_pages(count: int) -> list[tuple[str, str]]:
    newest = Call.objects.latest("started_at")
    return [
        ("calls", "/calls/"),
        ("calls, last page", f"/calls/?page={count // 100}"),
        ("calls that failed", "/calls/?state=failed"),
        ("calls that are not in the CRM", "/calls/?state=not_in_crm"),
        ("calls of one office", "/calls/?office=office-1"),
        ("calls, searched by number", "/calls/?q=%2B17372000999"),
        ("calls, searched by name", "/calls/?q=caller+99"),
        ("one call", f"/calls/{newest.pk}/"),
        ("calls that need a person", "/calls/review/"),
        ("why no calls were processed", "/calls/why/"),
        ("offices", "/calls/offices/"),
        ("home", "/"),
    ]


def tell(table: arena.Table, costs: dict[str, list[tuple[float, int]]]) -> None:
    growing = []
    for what, ((small_ms, small_queries), (large_ms, large_queries)) in costs.items():
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


def make_calls(first: int, last: int) -> None:
    """Calls from the place `first` to `last`, over a month and two offices, each with a lead, a note and a recording."""
    offices = [
        Office.objects.get_or_create(slug=f"office-{number}", defaults={"name": f"Office {number}"})[0]
        for number in (1, 2)
    ]
    ringcentral, _ = Connection.objects.get_or_create(vendor="ringcentral", name="Phones", client_id="phones")
    for start in range(first, last, CHUNK):
        places = range(start, min(start + CHUNK, last))
        calls = Call.objects.bulk_create([call(ringcentral, offices, place) for place in places], batch_size=500)
        kinds = (CallStep.Kind.LEAD, CallStep.Kind.NOTE, CallStep.Kind.RECORDING)
        CallStep.objects.bulk_create(
            [
                CallStep(call=each, kind=kind, position=position, state=CallStep.State.DONE)
                for each in calls
                if each.state == Call.State.DONE
                for position, kind in enumerate(kinds)
            ],
            batch_size=500,
        )


def call(ringcentral: Connection, offices: list[Office], place: int) -> Call:
    started = timezone.now() - dt.timedelta(days=30) + place * dt.timedelta(seconds=50)
    states = (*[Call.State.DONE] * 17, Call.State.FAILED, Call.State.REVIEW, Call.State.NOT_PROCESSED)
    number = f"+1737{2_000_000 + place:07d}"
    return Call(
        connection=ringcentral, key=f"s-{place:06}", office=offices[place % 2], direction=Call.Direction.INBOUND,
        outcome=(Call.Outcome.ACCEPTED, Call.Outcome.MISSED)[place % 2], outcome_reason="Somebody answered after 6 s.",
        started_at=started, ended_at=started + dt.timedelta(seconds=190), total_seconds=190, talk_seconds=180,
        number=number, number_told=number, name_told=f"Caller {place}", line="+12155550100", digest="x",
        legs=[{"at": started.isoformat(), "seconds": 180, "kind": "Accept", "result": "Accepted"}] * 4,
        state=states[place % len(states)], reason_code="SEVERAL_MATCHES" if place % len(states) == 18 else "",
    )  # fmt: skip


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
