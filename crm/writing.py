"""The write half of a field update: claim, act, confirm.

Items are marked sent and committed before their call; the answer gives each its outcome. What stays sent, after a crash
or an answer that never came, is read back and only repeated when the reading shows that it did not happen.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Any

from django.conf import settings
from django.db.models import F, Max, QuerySet
from django.utils import timezone

from crm import field_update, mandatory
from crm.zoho.client import MAX_FIELDS_PER_READ, MAX_RECORDS_PER_WRITE, Write, ZohoClient, id_batches
from crm.zoho.results import RowResult
from portal import runs
from portal.models import RunEvent, RunItem
from portal.remote import errors
from portal.runs import Lease

ItemState = RunItem.State

MAX_SENDS = 5
# After so many single records in a row were refused for the same reason, the reason is not in the records.
SYSTEMATIC_REFUSALS = 10
SPLITTABLE_STATUS = (400, 413)
# Refusals of the call itself: splitting the batch would only repeat them.
NOT_ABOUT_RECORDS = {
    "INVALID_MODULE",
    "INVALID_URL_PATTERN",
    "INVALID_REQUEST_METHOD",
    "NO_PERMISSION",
    "NOT_SUPPORTED",
    "API_NOT_SUPPORTED",
    "FEATURE_NOT_SUPPORTED",
}
REFILL = mandatory.NOT_FOUND


class Writer:
    """Writes the planned items of one run during one slice."""

    def __init__(self, lease: Lease, client: ZohoClient) -> None:
        self.lease = lease
        self.client = client
        parameters = lease.run.parameters
        self.module: str = parameters["module"]
        self.field: str = parameters["field"]
        self.automation: bool = parameters.get("automation", True)
        self.held: errors.RemoteError | None = None
        self._splits: deque[list[RunItem]] = deque()
        self._refusals = 0
        self._refused_code = ""
        self._planned = self._in_batches()
        self._number = (lease.items.aggregate(last=Max("batch"))["last"] or 0) + 1

    def work(self) -> runs.Outcome:
        """One slice: batches first, then single refills, then reading back what no answer settled."""
        self._resolve()
        self._send_batches()
        self._raise_held()
        if self._is_systematic():
            return runs.Failed(
                f"Zoho refused {SYSTEMATIC_REFUSALS} records one by one with {self._refused_code}; the cause is not in "
                "the records. The others were not sent. Check the field and the connection, then resume."
            )
        self._refill()
        self._raise_held()
        return self._what_is_left()

    def _send_batches(self) -> None:
        """Until nothing is planned; once more when a refused batch left halves after the last pull."""
        while True:
            for write, outcome in self.client.update_many(self.module, self._batches(), automation=self.automation):
                self._take(write, outcome)
            if not self._splits or self._must_end():
                return

    def _must_end(self) -> bool:
        return self.lease.time_is_up or self.lease.is_stopping or self.held is not None or self._is_systematic()

    def _raise_held(self) -> None:
        if self.held is not None:
            raise self.held

    def _what_is_left(self) -> runs.Outcome:
        if self._resolve():
            settled = timezone.now() + dt.timedelta(seconds=settings.RUN_SETTLE_SECONDS)
            return runs.Pause(runs.Wait.SETTLE, "Some calls were not answered; their records are read back.", settled)
        is_open = self.lease.items.filter(state=ItemState.PLANNED).exists()
        return runs.More() if is_open and not self.lease.is_stopping else runs.Done()

    # --- batches ------------------------------------------------------------------------------------------------------

    def _batches(self) -> Iterator[Write]:
        """Marks the next batch as sent, commits, and hands it out; one pull is one call."""
        while not self._must_end():
            self.lease.keep()
            items = self._splits.popleft() if self._splits else next(self._planned, [])
            if not items:
                return
            yield self._send(items)

    def _in_batches(self) -> Iterator[list[RunItem]]:
        """The planned items once in this slice; what goes back to planned waits for the next one."""
        size = min(settings.ZOHO_BATCH_SIZE, MAX_RECORDS_PER_WRITE)
        for window in field_update.windows(self.lease.items.filter(state=ItemState.PLANNED).exclude(code=REFILL)):
            for first in range(0, len(window), size):
                yield window[first : first + size]

    def _send(self, items: list[RunItem], extra: dict[str, dict[str, Any]] | None = None) -> Write:
        now = timezone.now()
        with self.lease.commit(progress=False):
            _rows(items).update(state=ItemState.SENT, batch=self._number, attempts=F("attempts") + 1, sent_at=now)
        self._number += 1
        for item in items:
            item.attempts += 1
        records = [
            {"id": item.key, **(extra or {}).get(item.key, {}), self.field: field_update.target_of(item, self.field)}
            for item in items
        ]
        return Write(records, tag=items)

    # --- answers ------------------------------------------------------------------------------------------------------

    def _take(self, write: Write, outcome: list[RowResult | None] | errors.RemoteError) -> None:
        items: list[RunItem] = write.tag
        if isinstance(outcome, errors.RemoteError):
            self._take_error(items, outcome)
            return
        pairs = list(zip(items, outcome, strict=True))
        with self.lease.commit():
            self._store_ok([item for item, row in pairs if row is not None and row.ok])
            for item, row in pairs:
                if row is not None and not row.ok:
                    self._store_refused(item, row)
        if any(row is not None and row.ok for row in outcome):
            self._refusals = 0

    def _store_ok(self, items: Sequence[RunItem], code: str = "SUCCESS", message: str = "Updated.") -> None:
        if items:
            _rows(items).update(state=ItemState.OK, code=code, message=message, finished_at=timezone.now())

    def _store_refused(self, item: RunItem, row: RowResult) -> None:
        details = item.details | {"zoho": row.details}
        may_refill = row.code == REFILL and "refill" not in item.details
        if may_refill:
            details["refill"] = [row.field] if row.field else []
        _rows([item]).update(
            state=ItemState.PLANNED if may_refill else ItemState.FAILED,
            code=row.code[:60],
            message=row.words,
            details=details,
            finished_at=None if may_refill else timezone.now(),
        )

    def _take_error(self, items: list[RunItem], error: errors.RemoteError) -> None:
        if error.outcome_unknown:
            # Stays sent: only a reading can tell.
            self.lease.log(f"No usable answer for a batch of {len(items)}: {error}", RunEvent.Level.WARNING)
        elif isinstance(error, errors.Rejected):
            self._take_refusal(items, error)
        else:
            self._put_back(items)
            self.held = self.held or error

    def _take_refusal(self, items: list[RunItem], error: errors.Rejected) -> None:
        is_about_records = error.status in SPLITTABLE_STATUS and error.code not in NOT_ABOUT_RECORDS
        if is_about_records and len(items) > 1:
            self._put_back(items)
            middle = len(items) // 2
            self._splits.extend((items[:middle], items[middle:]))
            return
        if is_about_records:
            self._refusals = self._refusals + 1 if error.code == self._refused_code else 1
            self._refused_code = error.code
        code = error.code or f"HTTP_{error.status}"
        details = {"zoho": error.details, "status": error.status}
        field_update.fail(self.lease, items, code, f"HTTP {error.status}: {error.message}", details)

    def _put_back(self, items: list[RunItem]) -> None:
        with self.lease.commit(progress=False):
            _rows(items).update(state=ItemState.PLANNED, attempts=F("attempts") - 1, sent_at=None)

    def _is_systematic(self) -> bool:
        return self._refusals >= SYSTEMATIC_REFUSALS

    # --- mandatory fields ---------------------------------------------------------------------------------------------

    def _refill(self) -> None:
        """Sends refused records again, one a call, with the present values of the fields their layout demands.

        Only after Zoho asked for them, and only if nobody changed the record since they were read: writing back old
        values blindly would undo a colleague's work.
        """
        while not (self.lease.time_is_up or self.lease.is_stopping or self.held):
            waiting = self.lease.items.filter(state=ItemState.PLANNED, code=REFILL).order_by("position")
            items = {item.key: item for item in waiting[: field_update.WINDOW]}
            if not items:
                return
            found = self._read_for_refill(items)
            writes = self._refills(items, found)
            for write, outcome in self.client.update_each(self.module, writes, automation=self.automation):
                self._take(write, outcome)

    def _read_for_refill(self, items: dict[str, RunItem]) -> dict[str, dict[str, Any]]:
        """Present values of the mandatory fields; a record that cannot be read fails here."""
        named = [name for item in items.values() for name in item.details.get("refill", [])]
        fields = list(dict.fromkeys(["id", "Modified_Time", self.field, *self._required_fields(), *named]))
        records: dict[str, dict[str, Any]] = {}
        batches = list(id_batches(items))
        for ids, found in self.client.read_many(self.module, batches, fields[:MAX_FIELDS_PER_READ]):
            batch = [items[record_id] for record_id in ids]
            if isinstance(found, errors.Rejected):
                field_update.fail(self.lease, batch, "READ_FAILED", f"The mandatory fields could not be read. {found}")
            elif isinstance(found, errors.RemoteError):
                self.held = self.held or found
            else:
                gone = [item for item in batch if item.key not in found]
                field_update.fail(self.lease, gone, "NOT_FOUND", "The record disappeared during the run.")
                records |= found
        return records

    def _refills(self, items: dict[str, RunItem], found: dict[str, dict[str, Any]]) -> Iterator[tuple[Write, str]]:
        for key, record in found.items():
            if self.lease.time_is_up or self.lease.is_stopping or self.held:
                return
            self.lease.keep()
            if not self._still_planned(items[key], record):
                continue
            filled = mandatory.present_values(record, (self.field,))
            yield self._send([items[key]], {key: filled}), str(record["Modified_Time"])

    def _still_planned(self, item: RunItem, record: dict[str, Any]) -> bool:
        """Decides by the value read just now, which is also what a restore puts back: it may differ from the first."""
        decision = field_update.decide(item, self.field, record)
        item.before, now = {self.field: record.get(self.field)}, timezone.now()
        values: dict[str, Any] = {"before": item.before, "read_at": now}
        if decision.state == ItemState.SKIPPED:
            values |= {"state": decision.state, "code": decision.code, "message": decision.message, "finished_at": now}
        with self.lease.commit():
            _rows([item]).update(**values)
        return decision.state == ItemState.PLANNED

    def _required_fields(self) -> list[str]:
        connection = self.lease.run.connection
        assert connection is not None
        return mandatory.required_fields(connection, self.module)

    # --- reading back -------------------------------------------------------------------------------------------------

    def _resolve(self) -> int:
        """Settles sent items by reading them; returns how many are still too fresh to be read."""
        horizon = timezone.now() - dt.timedelta(seconds=settings.RUN_SETTLE_SECONDS)
        while True:
            sent = self.lease.items.filter(state=ItemState.SENT, sent_at__lte=horizon).order_by("position")
            items = {item.key: item for item in sent[: field_update.WINDOW]}
            if not items:
                return int(self.lease.items.filter(state=ItemState.SENT).count())
            self.lease.keep()
            for ids, found in self.client.read_many(
                self.module, id_batches(items), field_update.fields_to_read(self.module, self.field)
            ):
                self._settle_by_reading([items[record_id] for record_id in ids], found)
            self._raise_held()

    def _settle_by_reading(self, items: list[RunItem], found: dict[str, Any] | errors.RemoteError) -> None:
        if isinstance(found, errors.RemoteError):
            if isinstance(found, errors.Rejected):
                self._unknown(items, _check_code(found), f"Zoho gave no answer and cannot be asked: {found}")
            else:
                self.held = self.held or found
            return
        with self.lease.commit():
            for item in items:
                self._settle_one(item, found.get(item.key))

    def _settle_one(self, item: RunItem, record: dict[str, Any] | None) -> None:
        row = _rows([item])
        current = record.get(self.field) if record else None
        if record is None:
            row.update(
                state=ItemState.FAILED, code="NOT_FOUND_ON_CHECK", finished_at=timezone.now(),
                message="Zoho gave no answer, and the record is not there any more.",
            )  # fmt: skip
        elif current == field_update.target_of(item, self.field):
            self._store_ok([item], "CONFIRMED", "Zoho gave no answer; reading it back shows the new value.")
        elif current != (item.before or {}).get(self.field):
            self._unknown([item], "CHANGED_MEANWHILE", "Zoho gave no answer, and the value is neither old nor new.")
        elif item.attempts >= MAX_SENDS:
            row.update(
                state=ItemState.FAILED, code="NO_ANSWER", finished_at=timezone.now(),
                message=f"Zoho gave no answer {MAX_SENDS} times; the value is unchanged.",
            )  # fmt: skip
        else:
            row.update(state=ItemState.PLANNED, sent_at=None)

    def _unknown(self, items: list[RunItem], code: str, message: str) -> None:
        with self.lease.commit():
            _rows(items).update(state=ItemState.UNKNOWN, code=code, message=message, finished_at=timezone.now())


def _rows(items: Sequence[RunItem]) -> QuerySet[RunItem]:
    """Rows of the items, by their own keys only: a database without statistics would otherwise walk the whole run."""
    return RunItem.objects.filter(pk__in=[item.pk for item in items])


def _check_code(error: errors.Rejected) -> str:
    return "PERMISSION_DENIED_ON_CHECK" if error.status == 403 else f"CHECK_FAILED_HTTP_{error.status}"
