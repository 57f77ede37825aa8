"""Retry: a child run over the items of an earlier run that did not work out. The parent is never edited."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.db import transaction

from crm import bulk_update, loading
from portal import runs
from portal.access import Person
from portal.models import Run, RunItem

RETRYABLE = (RunItem.State.FAILED, RunItem.State.UNKNOWN)


def source_of(parent: Run, *, codes: Sequence[str] = (), keys: Sequence[str] = ()) -> dict[str, Any]:
    """Names the items of `parent` to repeat: all that failed or are unknown, those with one code, or those selected."""
    return {"type": "run", "id": parent.pk, "states": list(RETRYABLE), "codes": list(codes), "keys": list(keys)}


@transaction.atomic
def start(
    parent: Run,
    *,
    codes: Sequence[str] = (),
    keys: Sequence[str] = (),
    user: Person | None = None,
    trigger: Run.Trigger = Run.Trigger.USER,
    address: str | None = None,
) -> Run:
    """Begins the retry; present values are read again before anything is written.

    What was never confirmed asks for the confirmation, and the retry of a dry run is a dry run. Raises
    bulk_update.Invalid when the parent still runs, none of its items fits, or the same retry is at work.
    """
    # Of two clicks at the same moment the second waits here, and then finds the first one's run.
    parent = Run.objects.select_for_update().get(pk=parent.pk)
    if parent.is_open:
        raise bulk_update.Invalid("This run has not ended yet. Stop it, or wait for its end, and retry then.")
    source = source_of(parent, codes=codes, keys=keys)
    count = loading.chosen(parent, source).count()
    if not count:
        raise bulk_update.Invalid("There is nothing to retry: no failed or unknown record fits.")
    twin = _at_work(parent, source)
    if twin is not None:
        raise bulk_update.Invalid(f"Run {twin.pk} retries the same records at the moment. Wait for its end.")
    dropped = ("source", "cleaning")
    parameters = {name: value for name, value in parent.parameters.items() if name not in dropped}
    parameters |= {"source": source, "confirmed": _was_confirmed(parent)}
    number = parent.children.filter(relation="retry").count() + 1
    return runs.start(
        kind=parent.kind, title=f"Retry {number} of run {parent.pk}: {parent.title}", connection=parent.connection,
        user=user, trigger=trigger, parameters=parameters, phase=bulk_update.LOAD, parent=parent, relation="retry",
        address=address,
    )  # fmt: skip


def _was_confirmed(parent: Run) -> bool:
    """Whether somebody, or the command or schedule itself, allowed this change to be written."""
    return bool(parent.confirmed_at or parent.parameters.get("confirmed")) and not parent.parameters.get("dry_run")


def _at_work(parent: Run, source: dict[str, Any]) -> Run | None:
    """An open retry of the same items."""
    retries = parent.children.filter(relation="retry", state__in=Run.OPEN)
    return next((each for each in retries if each.parameters["source"] == source), None)
