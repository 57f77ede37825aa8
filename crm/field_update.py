"""Changing one field of many records: load the list, read what is there, write what differs, account for each.

Bulk update and restore are this, with different lists. `decide` is the one place that says what happens to a record;
the preview shows its decision and the write follows it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from django.db.models import Q, QuerySet
from django.utils import timezone

from crm import metadata, wide_reading
from crm.zoho.client import ZohoClient, id_batches
from crm.zoho.schema import name_field, text_of
from portal.models import Run, RunItem
from portal.remote import errors
from portal.runs import Lease

# Values read longer ago than this are read again before they are overwritten.
MAX_VALUE_AGE = dt.timedelta(minutes=10)
WINDOW = 500
READ_FIELDS = ("before", "label", "state", "code", "message", "details", "read_at", "finished_at")
# Fields that a blueprint takes charge of; a record inside one refuses other ways to change them.
BLUEPRINT_FIELDS = {"Lead_Status", "Stage", "Status"}

ItemState = RunItem.State


@dataclass(frozen=True)
class Decision:
    """What happens to a record: PLANNED (it will be written) or SKIPPED with a code and words."""

    state: RunItem.State
    code: str = ""
    message: str = ""


def target_of(item: RunItem, field: str) -> Any:
    return (item.after or {}).get(field)


def decide(item: RunItem, field: str, record: dict[str, Any] | None) -> Decision:
    """The rule for one record as Zoho shows it now; None when Zoho did not return it."""
    if record is None:
        return _skip("NOT_FOUND", "Zoho did not return this record: it was deleted, or this connection may not see it.")
    current, target = record.get(field), target_of(item, field)
    if current == target:
        return _skip("UNCHANGED", "It already has this value.")
    if record.get("Converted__s"):
        return _skip("CONVERTED_RECORD", "The lead has been converted; change the contact or deal instead.")
    if record.get("Locked__s"):
        return _skip("RECORD_LOCKED", "The record is locked in Zoho; unlock it there and retry.")
    if record.get("$process_flow") and field in BLUEPRINT_FIELDS:
        return _skip("RECORD_IN_BLUEPRINT", "A blueprint is in charge of this field; move the record in Zoho.")
    if "expected" in item.details and current != item.details["expected"] and not item.details.get("override"):
        return _skip("CHANGED_SINCE", f"Somebody changed it to “{text_of(current) or 'blank'}” since.")
    return Decision(ItemState.PLANNED)


def _skip(code: str, message: str) -> Decision:
    return Decision(ItemState.SKIPPED, code, message)


# --- reading ----------------------------------------------------------------------------------------------------------


def fields_to_read(module: str, field: str) -> list[str]:
    """The changed field and what decides whether it can be changed."""
    fields = ["id", field, name_field(module), "Modified_Time", "Modified_By", "Locked__s", "$process_flow"]
    if module == "Leads":
        fields.append("Converted__s")
    return list(dict.fromkeys(fields))


def read(lease: Lease, client: ZohoClient, which: Q | None = None) -> bool:
    """Reads the current value of each planned item that has none yet, and decides. Returns whether all are read."""
    module, field = lease.run.parameters["module"], lease.run.parameters["field"]
    unread = lease.items.filter(which if which is not None else Q(read_at__isnull=True), state=ItemState.PLANNED)
    asked: dict[str, RunItem] = {}
    held = _Held()
    halves: deque[Sequence[str]] = deque()
    batches = _unread_batches(lease, unread, asked, held)
    while True:
        for ids, found in client.read_many(module, batches, fields_to_read(module, field)):
            if len(ids) > 1 and isinstance(found, errors.RemoteError) and wide_reading.is_about_an_id(found):
                # One id that Zoho does not take for an id refuses the whole call: smaller calls read the others.
                halves.extend((ids[: len(ids) // 2], ids[len(ids) // 2 :]))
                continue
            items = [asked.pop(record_id) for record_id in ids]
            if isinstance(found, errors.RemoteError):
                held.add(lease, items, found)
            else:
                _store_reading(lease, items, field, module, found)
        if not halves or _must_end(lease, held):
            break
        batches = _halves(lease, halves, held)
    held.raise_first()
    return not unread.exists()


def _must_end(lease: Lease, held: _Held) -> bool:
    return lease.time_is_up or lease.is_stopping or held.error is not None


def _halves(lease: Lease, halves: deque[Sequence[str]], held: _Held) -> Iterator[Sequence[str]]:
    while halves and not _must_end(lease, held):
        lease.keep()
        yield halves.popleft()


def _unread_batches(
    lease: Lease, unread: QuerySet[RunItem], asked: dict[str, RunItem], held: _Held
) -> Iterator[Sequence[str]]:
    """One batch a pull, in the order of the list, until the slice is over; `asked` holds what is under way."""
    for items in windows(unread):
        asked.update((item.key, item) for item in items)
        for batch in id_batches(item.key for item in items):
            if _must_end(lease, held):
                return
            lease.keep()
            yield batch


def windows(items: QuerySet[RunItem]) -> Iterator[list[RunItem]]:
    """The items in the order of the list, in pieces; each piece is looked up behind the one before."""
    last = -1
    while window := list(items.filter(position__gt=last).order_by("position")[:WINDOW]):
        last = window[-1].position
        yield window


class _Held:
    """An error that makes the run wait is raised after the answers in flight are stored."""

    def __init__(self) -> None:
        self.error: errors.RemoteError | None = None

    def add(self, lease: Lease, items: Sequence[RunItem], error: errors.RemoteError) -> None:
        if isinstance(error, errors.Rejected):
            # Without its present value a record is not touched: it could not be restored.
            fail(lease, items, "READ_FAILED", f"Its present value could not be read, so it was left alone. {error}")
        else:
            self.error = self.error or error

    def raise_first(self) -> None:
        if self.error is not None:
            raise self.error


def _store_reading(
    lease: Lease, items: Sequence[RunItem], field: str, module: str, found: dict[str, dict[str, Any]]
) -> None:
    now = timezone.now()
    for item in items:
        record = found.get(item.key)
        decision = decide(item, field, record)
        item.state, item.code, item.message = decision.state, decision.code, decision.message
        item.read_at = now
        item.finished_at = now if decision.state == ItemState.SKIPPED else None
        if record is not None:
            item.before = {field: record.get(field)}
            item.label = text_of(record.get(name_field(module)))[:255]
            item.details = item.details | {
                "modified_at": record.get("Modified_Time"),
                "modified_by": text_of(record.get("Modified_By")),
            }
    store(lease, items, READ_FIELDS)


def store(lease: Lease, items: Sequence[RunItem], fields: Sequence[str]) -> None:
    """Writes the given columns of the items in one statement, fenced by the lease."""
    with lease.commit():
        RunItem.objects.bulk_create(
            items, update_conflicts=True, unique_fields=["run", "key"], update_fields=list(fields)
        )


def fail(
    lease: Lease, items: Sequence[RunItem], code: str, message: str, details: dict[str, Any] | None = None
) -> None:
    with lease.commit():
        RunItem.objects.filter(pk__in=[item.pk for item in items]).update(
            state=ItemState.FAILED, code=code[:60], message=message, finished_at=timezone.now(),
            **({"details": details} if details is not None else {}),
        )  # fmt: skip


# --- the plan as people see it ------------------------------------------------------------------------------------------


def fingerprint(run: Run) -> str:
    """Hash of what will be written: module, field, automation, and each planned record with its new value."""
    field = run.parameters["field"]
    digest = hashlib.sha256(f"{run.parameters['module']}|{field}|{run.parameters.get('automation')}".encode())
    rows = run.items.filter(state=ItemState.PLANNED).order_by("key").values_list("key", "after")
    for key, after in rows.iterator(chunk_size=2000):
        digest.update(f"\n{key}={(after or {}).get(field)!r}".encode())
    return digest.hexdigest()


def stale() -> Q:
    """Planned items whose stored value is too old to be overwritten on its word."""
    return Q(read_at__isnull=True) | Q(read_at__lt=timezone.now() - MAX_VALUE_AGE)


def client_of(lease: Lease) -> ZohoClient:
    connection = lease.run.connection
    assert connection is not None, "a run of the CRM has a connection"
    return metadata.client_for(connection, purpose="run", read_only=bool(lease.run.parameters.get("dry_run")))
