"""The run that turns calls into leads, notes and files: pull → plan → process → media.

Which calls a run is about is fixed by its window and offices; what each of them still needs stands in its steps. So a
run that crashed, one that comes again and one that runs beside it find the same truth and write nothing twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import replace

from django.db import transaction
from django.utils import timezone

from portal import connections, runs
from portal.access import Person
from portal.models import Connection, Run, Schedule, Vendor
from portal.remote import errors
from portal.remote.errors import Advice
from portal.runs import Lease, Refused
from telephony import reasons
from telephony.call_slices import FOLLOW_UP, KIND, TYPES, CallSlice
from telephony.models import Call, CallSettings, Office
from telephony.office_turns import by_order, caught_up, take_offices
from telephony.processing import NotSetUp
from telephony.pull import Window
from telephony.run_mail import ended
from telephony.run_page import actions, events_for, items_for, page

__all__ = [
    "CODES",
    "FOLLOW_UP",
    "KIND",
    "TYPES",
    "Refused",
    "actions",
    "ended",
    "events_for",
    "items_for",
    "page",
    "start",
    "start_all",
    "start_calls",
    "start_scheduled",
    "work",
]

CODES: dict[str, Advice] = reasons.CODES


# --- starting ---------------------------------------------------------------------------------------------------------


def start(
    *,
    offices: Sequence[Office],
    types: Sequence[str] = TYPES,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    hours_back: int | None = None,
    dry_run: bool = False,
    debug: bool = False,
    email: bool = True,
    user: Person | None = None,
    trigger: Run.Trigger = Run.Trigger.USER,
    address: str | None = None,
) -> Run:
    """The first of the runs of `start_all`; with offices one after another there is only one."""
    return start_all(
        offices=offices, types=types, since=since, until=until, hours_back=hours_back, dry_run=dry_run, debug=debug,
        email=email, user=user, trigger=trigger, address=address,
    )[0]  # fmt: skip


@transaction.atomic
def start_all(
    *,
    offices: Sequence[Office],
    types: Sequence[str] = TYPES,
    since: dt.datetime | None = None,
    until: dt.datetime | None = None,
    hours_back: int | None = None,
    dry_run: bool = False,
    debug: bool = False,
    email: bool = True,
    user: Person | None = None,
    trigger: Run.Trigger = Run.Trigger.USER,
    address: str | None = None,
    keep_order: bool = False,
) -> list[Run]:
    """One run for the offices in their order (as given with `keep_order`); one for each where the settings allow them
    side by side.

    Either `hours_back` (what was missed since the office's last run is caught up) or a range, of any length. Raises
    Refused, and then nothing is started.
    """
    settings = CallSettings.load()
    ringcentral, zoho = _connections()
    chosen = list(offices) if keep_order else sorted(offices, key=by_order)
    _check(chosen, types, since, until, hours_back, settings)
    now = timezone.now()
    newest = now - dt.timedelta(seconds=settings.settle_seconds)
    hours = hours_back or settings.default_hours_back
    common = {
        "types": list(types), "dry_run": dry_run, "debug": debug, "email": email, "zoho": zoho.pk,
        "hours_back": None if since else hours, "is_backfill": since is not None,
    }  # fmt: skip
    groups = [[office] for office in chosen] if settings.parallel_offices and len(chosen) > 1 else [chosen]
    started = []
    for group in groups:
        first = since or min(caught_up(office, types, now - dt.timedelta(hours=hours), settings) for office in group)
        window = Window(first, min(until or newest, newest))
        names = ", ".join(office.name for office in group) if len(group) < 4 else f"{len(group)} offices"
        span = f"{since:%Y-%m-%d %H:%M} to {window.until:%Y-%m-%d %H:%M} UTC" if since else f"last {hours} h"
        run = runs.start(
            kind=KIND, title=f"{'Dry run: calls' if dry_run else 'Calls'} of {names}, {span}", connection=ringcentral,
            user=user, trigger=trigger, phase="pull", address=address,
            parameters=common | {"offices": [office.pk for office in group], "window": window.as_json()},
        )  # fmt: skip
        if not dry_run:
            take_offices(group, run)
        started.append(run)
    return started


@transaction.atomic
def start_calls(calls: Sequence[Call], *, user: Person | None, address: str | None = None) -> Run:
    """Processes these calls and nothing else; what is to be done anew was decided before (telephony.review).

    Raises Refused.
    """
    ringcentral, zoho = _connections()
    busy = next((call.run for call in calls if call.run is not None and call.run.is_open), None)
    if busy is not None:
        raise Refused("A run is working on this call.", busy)
    offices = {call.office_id for call in calls if call.office_id}
    what = f"call {calls[0].key}" if len(calls) == 1 else f"{len(calls)} calls"
    return runs.start(
        kind=KIND, title=f"Process {what}"[:200], connection=ringcentral, user=user, phase="plan", address=address,
        parameters={
            "offices": sorted(offices), "types": list(TYPES), "dry_run": False, "debug": False, "email": False,
            "zoho": zoho.pk, "calls": [call.pk for call in calls],
        },
    )  # fmt: skip


def start_scheduled(schedule: Schedule) -> Run:
    """Starts the run of a schedule; no offices in its parameters means all active ones. Raises Refused."""
    parameters = schedule.parameters
    slugs = parameters.get("offices") or []
    offices = Office.objects.filter(is_active=True)
    return start(
        offices=list(offices.filter(slug__in=slugs) if slugs else offices),
        types=parameters.get("types") or TYPES,
        hours_back=parameters.get("hours_back"),
        dry_run=bool(parameters.get("dry_run")),
        debug=bool(parameters.get("debug")),
        email=bool(parameters.get("email", True)),
        user=schedule.owner,
        trigger=Run.Trigger.SCHEDULE,
    )


def _connections() -> tuple[Connection, Connection]:
    found = []
    for vendor in (Vendor.RINGCENTRAL, Vendor.ZOHO):
        connection = connections.choose(None, vendor)
        if connection is None:
            raise Refused(f"There is no connection to {vendor.label} yet. Add one on the Connections page.")
        found.append(connection)
    return found[0], found[1]


def _check(
    offices: Sequence[Office],
    types: Sequence[str],
    since: dt.datetime | None,
    until: dt.datetime | None,
    hours_back: int | None,
    settings: CallSettings,
) -> None:
    if not offices:
        raise Refused("There is no active office. Add one, or switch one on.")
    off = [office.name for office in offices if not office.is_active]
    if off:
        raise Refused(f"{', '.join(off)}: switched off. Switch the office on first.")
    unknown = set(types) - set(TYPES)
    if unknown or not types:
        raise Refused(f"Choose at least one type of calls: {' or '.join(TYPES)}.")
    longest = min(office.max_hours_back or settings.max_hours_back for office in offices)
    if hours_back is not None and not 1 <= hours_back <= longest:
        raise Refused(f"“Hours back” is {hours_back}; it can be 1 to {longest} here. For older calls give dates.")
    if (until is not None and since is None) or (since is not None and hours_back is not None):
        raise Refused("Give either the hours to look back or a start, with or without an end.")
    if since is not None and since >= min(until or timezone.now(), timezone.now()):
        raise Refused("The start must be before the end, and in the past.")


# --- working ----------------------------------------------------------------------------------------------------------


def work(lease: Lease) -> runs.Outcome:
    """One slice. Which connection is to be renewed is told from the error's own service."""
    zoho = Connection.objects.defer("client_secret", "refresh_token", "jwt").get(pk=lease.run.parameters["zoho"])
    try:
        return CallSlice(lease, zoho).work()
    except NotSetUp as problem:
        return runs.Failed(str(problem))
    except (errors.Unauthorized, errors.NotConfigured) as error:
        held = runs.pause_for(error)
        is_zoho = error.service != Vendor.RINGCENTRAL.label
        return replace(held, connection=zoho) if isinstance(held, runs.Pause) and is_zoho else held
