"""Bulk update: one picklist field of many records gets a new value.

The web half writes the plan step by step (`start`, `choose_change`, `confirm`); the worker half loads the list, reads
what is there, and after the confirmation writes. A run waits for people between the steps, so nothing is lost when the
browser closes, and the plan that was shown is the plan that is sent.
"""

from __future__ import annotations

import datetime as dt
import difflib
from collections.abc import Iterable
from typing import Any

from django.db import transaction
from django.db.models import Q
from django.utils import timezone

from crm import field_update, loading, metadata
from crm.run_page import actions, page
from crm.selection import Selection
from crm.writing import Writer
from crm.zoho.client import ZohoClient
from crm.zoho.codes import CODES
from portal import audit, runs
from portal.access import Person
from portal.models import Connection, Run, RunItem, Schedule
from portal.remote import errors
from portal.runs import Lease

__all__ = [
    "CODES",
    "KIND",
    "Invalid",
    "actions",
    "choose_change",
    "confirm",
    "leave_out",
    "page",
    "same_plan",
    "start",
    "start_scheduled",
    "work",
]

KIND = "crm.bulk_update"
LOAD, READ, WRITE = "load", "read", "write"
# From this number on the person types it before the run starts.
TYPE_THE_NUMBER_FROM = 1000
SAME_PLAN_WITHIN = dt.timedelta(days=30)
MAX_SHOWN_REJECTS = 1000


class Invalid(Exception):
    """A plan that cannot be; `field` names the input at fault."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(message)
        self.field = field


# --- the web half -----------------------------------------------------------------------------------------------------


def start(
    *,
    connection: Connection,
    module: str,
    source: dict[str, Any],
    selection: Selection | None = None,
    change: dict[str, Any] | None = None,
    confirmed: bool = False,
    dry_run: bool = False,
    user: Person | None = None,
    trigger: Run.Trigger = Run.Trigger.USER,
    address: str | None = None,
) -> Run:
    """Begins a plan.

    source: {"type": "ids", "name": …} with `selection`, {"type": "view", "id", "name", "all_pages"}, or
    {"type": "run", "id", "codes"|"keys"|"states"}. `change` ({"field", "value", "automation"}) may follow later;
    `confirmed` lets the run write without another question (commands, schedules); a `dry_run` can never write.
    """
    parameters: dict[str, Any] = {"module": module, "source": source, "confirmed": confirmed, "dry_run": dry_run}
    lines: Iterable[str] | None = None
    if selection is not None:
        if not selection.rows:
            raise Invalid("There is no usable record id in the list.", "ids")
        parameters["cleaning"] = cleaning_report(selection)
        lines = (f"{row.id}\t{row.target or ''}\t{row.line}" for row in selection.rows)
    if change is not None:
        parameters |= checked_change(connection, module, **change)
    return runs.start(
        kind=KIND, title=title_of(parameters), connection=connection, user=user, trigger=trigger,
        parameters=parameters, lines=lines, phase=LOAD, address=address,
    )  # fmt: skip


def cleaning_report(selection: Selection) -> dict[str, Any]:
    """What the cleaning found, for the review page; the whole list of rejected lines is kept up to a limit."""
    return {
        "lines": selection.lines,
        "records": len(selection.rows),
        "duplicates": selection.duplicates,
        "rejected": len(selection.rejects),
        "rejects": [[reject.line, reject.text, reject.reason] for reject in selection.rejects[:MAX_SHOWN_REJECTS]],
        "has_targets": selection.has_targets,
    }


def checked_change(
    connection: Connection, module: str, *, field: str, value: str, automation: bool = True
) -> dict[str, Any]:
    """The change as parameters, checked against live metadata: Zoho itself stores any text in a picklist."""
    modules = [entry.api_name for entry in metadata.modules(connection)]
    if module not in modules:
        raise Invalid(f"Zoho has no module {module}.{did_you_mean(module, modules)}", "module")
    known = metadata.field(connection, module, field)
    if known is None:
        raise Invalid(f"{module} has no field {field}. Choose one of its picklist fields.", "field")
    if known.data_type != "picklist" or not known.is_writable:
        raise Invalid(f"{known.full_label} is not a picklist field that can be written.", "field")
    allowed = [choice.value for choice in known.choices]
    if value not in allowed:
        raise Invalid(f"“{value}” is not a value of {known.label}. Allowed: {', '.join(allowed)}.", "value")
    return {
        "field": field,
        "field_label": known.label,
        "value": value,
        "automation": automation,
        "allowed": allowed,
    }


def did_you_mean(word: str, known: list[str]) -> str:
    near = difflib.get_close_matches(word, known, n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(near)}?" if near else f" There are: {', '.join(known[:30])}."


def title_of(parameters: dict[str, Any]) -> str:
    if "field" not in parameters:
        return f"Bulk update of {parameters['module']}"
    return f"{parameters['module']}: set {parameters['field_label']} to {parameters['value']}"


def choose_change(
    run: Run, *, field: str, value: str, automation: bool, user: Person | None = None,
    address: str | None = None,
) -> bool:  # fmt: skip
    """Sets what the plan changes; the worker then reads the present values. False when the plan has moved on."""
    assert run.connection is not None
    parameters = run.parameters | checked_change(
        run.connection, run.parameters["module"], field=field, value=value, automation=automation
    )
    # A second look at the same plan with another change reads everything again.
    if not run.items.filter(sent_at__isnull=False).exists():
        waiting = Q(state=Run.State.WAITING, wait__in=(Run.Wait.CHANGE, Run.Wait.CONFIRMATION))
        changed = Run.objects.filter(waiting, pk=run.pk).update(
            parameters=parameters, title=title_of(parameters), phase="aim", state=Run.State.QUEUED,
            wait=Run.Wait.NONE, wait_detail="", fingerprint="",
        )  # fmt: skip
        if changed:
            audit.record(
                "change chosen", user=user, address=address, target=title_of(parameters), run=run,
                field=field, value=value, automation=automation,
            )  # fmt: skip
            runs.enqueue(run.pk)
        return bool(changed)
    return False


def same_plan(run: Run) -> Run | None:
    """An earlier run that was confirmed with the very same plan, so that doing it again is asked about."""
    if not run.fingerprint:
        return None
    since = timezone.now() - SAME_PLAN_WITHIN
    earlier = Run.objects.filter(fingerprint=run.fingerprint, confirmed_at__gte=since).exclude(pk=run.pk)
    return earlier.order_by("-pk").first()


def locked(run: Run) -> Run | None:
    """The plan as it is now, held until the end of the transaction; None when it does not wait for confirmation.

    What is confirmed, left out or ticked at the same moment happens one after the other.
    """
    waiting = Run.objects.filter(state=Run.State.WAITING, wait=Run.Wait.CONFIRMATION)
    return waiting.select_for_update().filter(pk=run.pk).first()


@transaction.atomic
def confirm(
    run: Run, *, user: Person | None, typed: str = "", again: bool = False, fingerprint: str,
    address: str | None = None,
) -> bool:  # fmt: skip
    """Starts the writing. Raises Invalid when something is missing; False when it had been confirmed already."""
    plan = locked(run)
    if plan is None:
        return False
    run = plan
    count = run.items.filter(state=RunItem.State.PLANNED).count()
    if run.parameters.get("dry_run"):
        raise Invalid("This plan was made as a dry run, which never writes. Start a new bulk update.")
    if not count:
        raise Invalid("There is nothing to change: no record of this plan needs a new value.")
    if fingerprint != run.fingerprint:
        raise Invalid("The plan has changed since this page was shown. Look at the preview again.")
    if count >= TYPE_THE_NUMBER_FROM and typed.strip().replace(",", "") != str(count):
        raise Invalid(f"Type the number of records, {count}, to confirm.", "typed")
    earlier = same_plan(run)
    if earlier is not None and not again:
        raise Invalid(f"The same plan was already run as run {earlier.pk}. Tick the box to run it again.", "again")
    confirmed = runs.proceed(
        run,
        waiting_for=Run.Wait.CONFIRMATION,
        phase=WRITE,
        confirmed_at=timezone.now(),
        confirmed_by_id=user.pk if user else None,
    )
    if confirmed:
        audit.record("run confirmed", user=user, address=address, target=run.title, run=run, records=count)
    return confirmed


@transaction.atomic
def leave_out(run: Run, keys: Iterable[str], *, user: Person | None, address: str | None = None) -> int:
    """Takes records out of a plan that waits for confirmation; they stay listed as skipped."""
    if locked(run) is None:
        return 0
    count = run.items.filter(state=RunItem.State.PLANNED, key__in=list(keys)).update(
        state=RunItem.State.SKIPPED, code="LEFT_OUT", message="Left out by hand.", finished_at=timezone.now()
    )
    if count:
        Run.objects.filter(pk=run.pk).update(fingerprint=field_update.fingerprint(run))
        runs.refresh_counts(run)
        audit.record("records left out", user=user, address=address, target=run.title, run=run, records=count)
    return int(count)


def start_scheduled(schedule: Schedule) -> Run:
    """A run by schedule: a view's records at that moment, confirmed when the schedule was made."""
    parameters = schedule.parameters
    assert schedule.connection is not None
    return start(
        connection=schedule.connection,
        module=parameters["module"],
        source={"type": "view", "id": parameters["view"], "name": parameters.get("view_name", ""), "all_pages": True},
        change={key: parameters[key] for key in ("field", "value", "automation")},
        confirmed=True,
        user=schedule.owner,
        trigger=Run.Trigger.SCHEDULE,
    )


# --- the worker half ----------------------------------------------------------------------------------------------------


def work(lease: Lease) -> runs.Outcome:
    """One slice, through as many steps as it gets."""
    with field_update.client_of(lease) as client:
        return runs.step_by_step(lease, lambda: _step(lease, client))


def _step(lease: Lease, client: ZohoClient) -> runs.Outcome:
    match lease.run.phase:
        case "load":
            return loading.load(lease, client, next_phase="aim")
        case "aim":
            return _aim(lease)
        case "read":
            return read(lease, client)
        case _:
            return write(lease, client)


def _aim(lease: Lease) -> runs.Outcome:
    """Gives each item its new value; values from the list itself are checked against the picklist."""
    parameters = lease.run.parameters
    if lease.is_stopping:
        return runs.Done()
    if "field" not in parameters:
        return runs.Pause(runs.Wait.CHANGE, "The list is loaded. Choose what to change.")
    loading.aim(lease)
    lease.save(phase=READ)
    return runs.More()


def read(lease: Lease, client: Any) -> runs.Outcome:
    """Reads present values; then asks for the confirmation, or goes on when there is one."""
    if not field_update.read(lease, client):
        return runs.Done() if lease.is_stopping else runs.More()
    lease.save(fingerprint=field_update.fingerprint(lease.run))
    if lease.run.parameters.get("dry_run"):
        return runs.Pause(runs.Wait.CONFIRMATION, "Dry run: this is the plan, nothing was written.")
    if not lease.run.parameters.get("confirmed"):
        return runs.Pause(runs.Wait.CONFIRMATION, "The preview is ready. Nothing has been written yet.")
    lease.save(phase=WRITE, confirmed_at=timezone.now(), confirmed_by=lease.run.requested_by)
    return runs.More()


def write(lease: Lease, client: Any) -> runs.Outcome:
    """Writes, after values that have become too old were read again."""
    if not lease.is_stopping:
        old = field_update.stale() & ~Q(code__in=("MANDATORY_NOT_FOUND",))
        if not field_update.read(lease, client, old):
            return runs.More()
    try:
        return Writer(lease, client).work()
    except errors.Rejected as error:
        return runs.Failed(f"Zoho refused a step of this run: {error}")
