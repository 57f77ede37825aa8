"""Downloads: the records of a look as CSV or JSON Lines, in pieces, with an account of what is missing.

The form of the files is described in crm/README.md under "Exports".
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from crm import metadata, record_order, viewer, wide_reading
from crm.record_source import Listing, Look, Refused
from crm.zoho.client import Record, ZohoClient
from crm.zoho.schema import text_of
from portal.csvfiles import BOM, safe_cell
from portal.remote import errors

ROWS_PER_PIECE = 200
INCOMPLETE = "# INCOMPLETE: "
NOT_RETURNED = "# NOT RETURNED BY ZOHO: "


@dataclass
class Account:
    """What became of an export. `planned` None: Zoho did not say how many there are. `reason` is set when it broke."""

    planned: int | None = None
    ok: int = 0
    not_returned: list[str] = field(default_factory=list)
    reason: str = ""
    error: errors.RemoteError | None = None

    @property
    def is_partial(self) -> bool:
        return bool(self.reason)

    def counts(self) -> dict[str, int]:
        """planned = ok + failed; what was not reached counts as failed."""
        seen = self.ok + len(self.not_returned)
        planned = max(self.planned or 0, seen) if self.is_partial else seen
        return {"planned": planned, "ok": self.ok, "failed": planned - self.ok}


def records(look: Look, account: Account) -> Iterator[Record]:
    """The records in the order of the look, as they are read; the account is complete when the iterator ends.

    Never raises for the vendor: the reason is in the account then. Memory stays bounded by one window of records.
    """
    try:
        with metadata.client_for(look.source.connection) as client:
            account.planned = planned(client, look)
            ids = record_order.walk(client, look)
            for record_id, record in wide_reading.read(client, look.source.module, ids, look.field_names):
                if record is None:
                    account.not_returned.append(record_id)
                else:
                    account.ok += 1
                    yield {"id": record_id} | {name: record.get(name) for name in look.field_names if name != "id"}
    except errors.RemoteError as error:
        account.error = error
        account.reason = " ".join([errors.describe(error).what, f"({error.code})" if error.code else ""]).strip()
    except Refused as refusal:
        account.reason = str(refusal)


def planned(client: ZohoClient, look: Look) -> int | None:
    """How many records there are, as far as that is known without reading them."""
    if look.search:
        return None
    if isinstance(look.source, Listing):
        return record_order.count(client, look.source)
    return look.source.count


def as_csv(look: Look, account: Account) -> Iterator[str]:
    """Byte order mark, header of labels, a row a record, and at the end a marked row for each thing that is missing."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    buffer.write(BOM)
    writer.writerow([safe_cell(name) for name in header(look)])
    for number, record in enumerate(records(look, account), start=1):
        writer.writerow([safe_cell(text_of(record[name])) for name in record])
        if number % ROWS_PER_PIECE == 0:
            yield _emptied(buffer)
    for record_id in account.not_returned:
        writer.writerow([f"{NOT_RETURNED}{record_id}"])
    if account.is_partial:
        writer.writerow([f"{INCOMPLETE}{account.reason}"])
    yield _emptied(buffer)


def as_json_lines(look: Look, account: Account) -> Iterator[str]:
    """One object a line; lookups as {"id", "name"}. What is missing follows in objects that have no id."""
    lines: list[str] = []
    for number, record in enumerate(records(look, account), start=1):
        lines.append(_json({name: _plain(value) for name, value in record.items()}))
        if number % ROWS_PER_PIECE == 0:
            yield "".join(lines)
            lines.clear()
    lines += [_json({"$not_returned": record_id}) for record_id in account.not_returned]
    if account.is_partial:
        lines.append(_json({"$incomplete": account.reason}))
    yield "".join(lines)


WRITERS: dict[str, Callable[[Look, Account], Iterator[str]]] = {"csv": as_csv, "jsonl": as_json_lines}
CONTENT_TYPES = {"csv": "text/csv; charset=utf-8", "jsonl": "application/x-ndjson; charset=utf-8"}


def header(look: Look) -> list[str]:
    """Labels; with the API name where a label repeats, so that columns stay distinguishable."""
    return ["id", *viewer.labels_of(look.fields).values()]


def _plain(value: object) -> object:
    """Lookups and owners as id and name only; everything else as Zoho gave it."""
    if isinstance(value, dict) and "id" in value:
        return {"id": str(value["id"]), "name": value.get("name")}
    return value


def _json(value: dict[str, object]) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def _emptied(buffer: io.StringIO) -> str:
    text = buffer.getvalue()
    buffer.seek(0)
    buffer.truncate()
    return text
