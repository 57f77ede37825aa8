"""Changing one record while a person waits: read it, send what differs, and say what came of it.

Nothing is overwritten that the person has not seen: Zoho refuses the write when the record changed since it was read.
The audit keeps which fields of which record were changed, not their values, which are customers' data.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from crm import mandatory, metadata
from crm.zoho.client import EMPTY, Record, ZohoClient
from crm.zoho.codes import advice
from crm.zoho.results import RowResult
from crm.zoho.schema import text_of
from portal import audit
from portal.access import Person
from portal.models import Connection
from portal.remote import errors

CHANGED_SINCE = "ALREADY_MODIFIED"


class Result(StrEnum):
    SAVED = "saved"
    CONFIRMED = "confirmed"  # no usable answer, but reading back shows the new values
    NOTHING = "nothing to change"
    NOT_SAVED = "not saved"  # no usable answer, and reading back shows the old values
    UNKNOWN = "unknown"
    REFUSED = "refused"
    CONFLICT = "changed meanwhile"
    NOT_FOUND = "not found"


ACTIONS = {
    Result.SAVED: "record edited",
    Result.CONFIRMED: "record edited",
    Result.UNKNOWN: "record edited, outcome unknown",
}


@dataclass(frozen=True)
class Outcome:
    """What came of it. `fields` are those that were to change; `record` is what Zoho holds now, where it was read."""

    result: Result
    what: str
    remedy: str = ""
    fields: tuple[str, ...] = ()
    code: str = ""
    field: str = ""
    request_id: str = ""
    record: Record | None = None

    @property
    def is_saved(self) -> bool:
        return self.result in (Result.SAVED, Result.CONFIRMED)


def save(
    *, connection: Connection, module: str, record_id: str, changes: Mapping[str, Any], automation: bool,
    shown_at: str = "", record: Record | None = None, user: Person | None = None, actor: str = "", address: str | None = None,
) -> Outcome:  # fmt: skip
    """Sends what differs of `changes` (API name → Zoho's JSON) and leaves an audit entry.

    `shown_at`: Modified_Time of the record that the person saw; "" trusts what is read now. `record`: all of it, when it
    was read just now. Raises RemoteError when nothing was sent: no connection, no credits, an outage.
    """
    result, code = "broken off", ""
    try:
        with metadata.client_for(connection) as client:
            outcome = _Edit(client, module, record_id, automation=automation).save(changes, shown_at, record)
        result, code = outcome.result.value, outcome.code
        return outcome
    except errors.RemoteError as error:
        result, code = "not sent", error.code
        raise
    finally:
        if result != Result.NOTHING:
            action = "record edited, outcome unknown" if result == "broken off" else "record edit not saved"
            audit.record(
                ACTIONS.get(result, action), user=user, actor=actor, address=address,  # type: ignore[call-overload]
                target=f"{connection.name}: {module} {record_id}", module=module, record=record_id,
                fields=sorted(changes), automation=automation, result=result, code=code,
            )  # fmt: skip


class _Edit:
    def __init__(self, client: ZohoClient, module: str, record_id: str, *, automation: bool) -> None:
        self.client = client
        self.module = module
        self.record_id = record_id
        self.automation = automation

    def save(self, wanted: Mapping[str, Any], shown_at: str, record: Record | None) -> Outcome:
        record = record or self.client.record(self.module, self.record_id)
        if record is None:
            return self._not_found()
        if shown_at and not is_same_time(record.get("Modified_Time"), shown_at):
            return conflict(record, tuple(wanted))
        changes = {name: value for name, value in wanted.items() if not is_same(record.get(name), value)}
        if not changes:
            return Outcome(Result.NOTHING, "The record has these values already; nothing was sent.", record=record)
        try:
            row = self._send(record, changes)
        except errors.RemoteError as error:
            return self._after_error(error, record, changes)
        return self._after_answer(row, tuple(changes))

    def _send(self, record: Record, changes: dict[str, Any]) -> RowResult:
        """The write; once more with the fields that the layout demands, if Zoho asks for them."""
        row = self._update(record, changes)
        if row.code != mandatory.NOT_FOUND:
            return row
        names = {*mandatory.required_fields(self.client.session.connection, self.module), row.field}
        demanded = {name: value for name, value in record.items() if name in names}
        filled = mandatory.present_values(demanded, changes)
        return self._update(record, filled | changes) if filled else row

    def _update(self, record: Record, values: dict[str, Any]) -> RowResult:
        return self.client.update_one(
            self.module, {"id": self.record_id, **values}, automation=self.automation,
            unmodified_since=record.get("Modified_Time"),
        )  # fmt: skip

    def _after_answer(self, row: RowResult, fields: tuple[str, ...]) -> Outcome:
        if row.ok:
            return Outcome(Result.SAVED, f"Zoho says: {row.message or row.code}.", fields=fields, code=row.code)
        if row.code == CHANGED_SINCE:
            return self._conflict(fields)
        if row.code == "INVALID_DATA" and row.field == "id":
            return self._not_found()
        known = advice(row.code)
        remedy = known.remedy if known else "Correct what the message names, then save again."
        return Outcome(
            Result.REFUSED, f"Zoho refused the change: {row.words}", remedy, fields=fields, code=row.code,
            field=row.field,
        )  # fmt: skip

    def _after_error(self, error: errors.RemoteError, before: Record, changes: dict[str, Any]) -> Outcome:
        fields = tuple(changes)
        if isinstance(error, errors.Rejected):
            if error.status == 412 or error.code == CHANGED_SINCE:
                return self._conflict(fields)
            words = errors.describe(error)
            known = advice(error.code)
            return Outcome(
                Result.REFUSED, words.what, known.remedy if known else words.remedy, fields=fields, code=error.code,
                field=str(error.details.get("api_name") or ""), request_id=error.request_id,
            )  # fmt: skip
        if error.outcome_unknown:
            return self._read_back(error, before, changes)
        raise error

    def _conflict(self, fields: tuple[str, ...]) -> Outcome:
        try:
            record = self.client.record(self.module, self.record_id)
        except errors.RemoteError:
            what = "Somebody changed this record in the meantime, and it could not be read again."
            return Outcome(
                Result.CONFLICT, what, "Nothing was overwritten. Open the record anew.", fields, CHANGED_SINCE
            )
        return conflict(record, fields) if record else self._not_found()

    def _not_found(self) -> Outcome:
        return Outcome(Result.NOT_FOUND, *not_found(self.module, self.record_id), code="NOT_FOUND")

    # --- no usable answer ---------------------------------------------------------------------------------------------

    def _read_back(self, error: errors.RemoteError, before: Record, changes: dict[str, Any]) -> Outcome:
        cause = _cause(error)
        try:
            record = self.client.record(self.module, self.record_id)
        except errors.RemoteError as failure:
            finding = f"Reading the record back failed, too: {failure.message}"
            return self._open(error, changes, f"{cause} {finding}", None)
        if record is None:
            return self._open(error, changes, f"{cause} Reading it back, the record is not there any more.", None)
        if all(is_same(record.get(name), value) for name, value in changes.items()):
            what = f"{cause} Reading the record back shows the new values: they are saved."
            return Outcome(Result.CONFIRMED, what, "", tuple(changes), "CONFIRMED", record=record)
        if all(is_same(record.get(name), before.get(name)) for name in changes):
            return Outcome(
                Result.NOT_SAVED, f"{cause} Reading the record back shows the old values: nothing is saved so far.",
                "Save again. Should the first attempt take effect late, Zoho refuses the second one.",
                tuple(changes), "NO_ANSWER", request_id=error.request_id, record=record,
            )  # fmt: skip
        return self._open(error, changes, f"{cause} Reading it back shows neither the old nor the new values.", record)

    def _open(self, error: errors.RemoteError, changes: dict[str, Any], what: str, record: Record | None) -> Outcome:
        return Outcome(
            Result.UNKNOWN, f"{what} Whether the change took effect is not known.",
            "Look at the record in Zoho before you change it again.", tuple(changes), "NO_ANSWER",
            request_id=error.request_id, record=record,
        )  # fmt: skip


def _cause(error: errors.RemoteError) -> str:
    if isinstance(error, errors.BadReply):
        return "Zoho's answer was empty." if error.message == EMPTY else "Zoho's answer had an unexpected form."
    return f"Zoho gave no answer: {error.message}"


def conflict(record: Record, fields: tuple[str, ...]) -> Outcome:
    """Somebody was faster; `record` is what they left."""
    who = text_of(record.get("Modified_By")) or "Somebody"
    return Outcome(
        Result.CONFLICT, f"{who} changed this record after you opened it. Nothing was overwritten.",
        "Compare the present values with yours, and save again if yours are right.", fields, CHANGED_SINCE,
        record=record,
    )  # fmt: skip


def not_found(module: str, record_id: str) -> tuple[str, str]:
    """What and remedy for a record that Zoho does not return."""
    return (
        f"Zoho has no record {record_id} in {module}, or does not show it to this connection.",
        "Check the id and the module. A deleted record stays in Zoho's recycle bin for 60 days.",
    )


def is_same(one: Any, other: Any) -> bool:
    """Whether two values of a field are the same to Zoho: blank is blank, times are moments, line ends do not count."""
    return bool(_comparable(one) == _comparable(other))


def _comparable(value: Any) -> Any:
    if value is None or value is False or value == "" or value == []:
        return None
    if isinstance(value, list):
        return sorted(map(str, value))
    if isinstance(value, str):
        moment = _moment(value)
        return moment or value.replace("\r\n", "\n").strip()
    return value


def is_same_time(one: Any, other: Any) -> bool:
    return one == other or (_moment(one) is not None and _moment(one) == _moment(other))


def _moment(value: Any) -> dt.datetime | None:
    """An aware moment of Zoho's ISO text; None for anything else."""
    try:
        moment = dt.datetime.fromisoformat(str(value))
    except ValueError:
        return None
    return moment if moment.tzinfo else None
