"""Restore: a run that puts back the values an earlier run overwrote, with a preview of its own.

What somebody changed since is listed and left alone unless ticked. Workflows, mails and tasks that the update set off
are not undone by it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.db import transaction

from crm import bulk_update, field_update, loading
from crm.run_page import actions, is_restorable, page
from crm.zoho.client import ZohoClient
from crm.zoho.codes import CODES
from portal import audit, runs
from portal.access import Person
from portal.models import Run, RunItem
from portal.runs import Lease

__all__ = ["CODES", "KIND", "actions", "override", "page", "start", "work"]

KIND = "crm.restore"


def start(
    parent: Run, *, user: Person | None = None, trigger: Run.Trigger = Run.Trigger.USER,
    automation: bool = False, confirmed: bool = False, address: str | None = None,
) -> Run:  # fmt: skip
    """Begins the restore of a run. Raises bulk_update.Invalid when there is nothing to put back."""
    if not is_restorable(parent):
        raise bulk_update.Invalid("This run has overwritten nothing whose previous value is known.")
    kept = ("module", "field", "field_label", "allowed")
    parameters: dict[str, Any] = {name: parent.parameters[name] for name in kept if name in parent.parameters}
    parameters |= {
        "automation": automation,
        "confirmed": confirmed,
        "source": {"type": "run", "id": parent.pk, "states": [RunItem.State.OK], "restore": True},
    }
    return runs.start(
        kind=KIND, title=f"Restore of run {parent.pk}: {parent.title}", connection=parent.connection, user=user,
        trigger=trigger, parameters=parameters, phase=bulk_update.LOAD, parent=parent, relation="restore",
        address=address,
    )  # fmt: skip


@transaction.atomic
def override(run: Run, keys: Iterable[str], *, user: Person | None, address: str | None = None) -> int:
    """Ticks records that somebody changed since, so that they are restored all the same."""
    if bulk_update.locked(run) is None:
        return 0
    ticked = list(run.items.filter(state=RunItem.State.SKIPPED, code="CHANGED_SINCE", key__in=list(keys)))
    for item in ticked:
        item.state, item.code, item.message, item.finished_at = RunItem.State.PLANNED, "", "", None
        item.details = item.details | {"override": True}
    RunItem.objects.bulk_update(ticked, ["state", "code", "message", "details", "finished_at"], batch_size=500)
    if ticked:
        Run.objects.filter(pk=run.pk).update(fingerprint=field_update.fingerprint(run))
        runs.refresh_counts(run)
        audit.record("restore override", user=user, address=address, target=run.title, run=run, records=len(ticked))
    return len(ticked)


def work(lease: Lease) -> runs.Outcome:
    """As a bulk update, but the values come from the parent run."""
    with field_update.client_of(lease) as client:
        return runs.step_by_step(lease, lambda: _step(lease, client))


def _step(lease: Lease, client: ZohoClient) -> runs.Outcome:
    match lease.run.phase:
        case "load":
            return loading.load(lease, client, next_phase=bulk_update.READ)
        case "read":
            return bulk_update.read(lease, client)
        case _:
            return bulk_update.write(lease, client)
