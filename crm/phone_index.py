"""Which records have a telephone number, whatever format it was typed in.

Zoho compares stored text, so a number typed as (510) 555-1234 is not found by +15105551234. The numbers of a module are
therefore read once by COQL, 2,000 records a call, and kept in E.164; each look-up first reads what has changed since.
COQL reads the store, so there is no lag of a search index. What is found here is a place to look: the caller reads the
records themselves before it believes them.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from django.db import transaction
from django.utils import timezone

from crm import metadata
from crm.models import PhoneEntry
from crm.zoho.client import COQL_PAGE_SIZE, PAGE_SIZE, ZohoClient
from portal import phone
from portal.models import Connection, Cursor

# Records are read again when they changed this long before the youngest change seen: Zoho writes side by side.
OVERLAP = dt.timedelta(minutes=10)
# The same index soon afterwards: what the overlap holds was read a moment ago.
OVERLAP_AGAIN = dt.timedelta(minutes=1)
MAX_PHONE_FIELDS = 10
REBUILT_EVERY = dt.timedelta(days=30)
FIRST_ID = "0"
_LOOKUP = 500


@dataclass(frozen=True)
class Source:
    """A module that is looked through, and its telephone fields."""

    module: str
    fields: tuple[str, ...]
    has_converted: bool


def sources(connection: Connection, modules: Sequence[str]) -> list[Source]:
    """Those of the modules that the connection may read and that have telephone fields."""
    readable = {module.api_name for module in metadata.modules(connection) if module.is_viewable}
    found = []
    for module in modules:
        if module not in readable:
            continue
        fields = metadata.fields(connection, module)
        phones = tuple(field.api_name for field in fields if field.data_type == "phone")[:MAX_PHONE_FIELDS]
        if phones:
            names = {field.api_name for field in fields}
            found.append(Source(module, phones, "Converted__s" in names))
    return found


class PhoneIndex:
    """The numbers of one Zoho organisation. `regions`: countries in which a number without one may be meant."""

    def __init__(
        self,
        client: ZohoClient,
        connection: Connection,
        sources: Sequence[Source],
        regions: Sequence[str],
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._connection = connection
        self._sources = sources
        self._regions = tuple(sorted(set(regions)))
        self._keep = keep
        self._followed: set[str] = set()

    # --- looking up -------------------------------------------------------------------------------------------------

    def find(self, numbers: Iterable[str]) -> dict[str, list[tuple[str, str]]]:
        """(module, record id) of each number, as of the last refresh."""
        wanted = sorted(set(numbers))
        modules = [source.module for source in self._sources]
        found: dict[str, list[tuple[str, str]]] = defaultdict(list)
        for first in range(0, len(wanted), _LOOKUP):
            rows = PhoneEntry.objects.filter(
                connection=self._connection, number__in=wanted[first : first + _LOOKUP], module__in=modules
            )
            for number, module, record_id in rows.values_list("number", "module", "record_id"):
                found[number].append((module, record_id))
        return found

    def forget(self, module: str, record_ids: Sequence[str]) -> None:
        """Records that turned out to be gone."""
        self._rows(module).filter(record_id__in=record_ids).delete()

    def numbers_of(self, record: dict[str, Any], fields: Sequence[str]) -> set[str]:
        """The numbers in those fields of a record, in E.164."""
        told = [str(record[name]) for name in fields if record.get(name)]
        return {number for text in told for region in self._regions if (number := phone.normalise(text, region))}

    # --- keeping it fresh -------------------------------------------------------------------------------------------

    def refresh(self) -> None:
        """Reads what changed since the last time; everything, the first time or when the fields have changed.

        Stops nowhere in between without having stored how far it came. Raises RemoteError: then nothing is known.
        """
        for source in self._sources:
            cursor = self._cursor(source)
            if "after_id" in cursor.value:
                self._build(source, cursor)
            self._follow(source, cursor)

    def _cursor(self, source: Source) -> Cursor:
        cursor, _ = Cursor.objects.get_or_create(name=f"phones:{self._connection.pk}:{source.module}")
        shape = {"fields": list(source.fields), "regions": list(self._regions)}
        if cursor.value.get("shape") != shape:
            youngest = self._youngest_change(source)
            with transaction.atomic():
                cursor = Cursor.objects.select_for_update().get(pk=cursor.pk)
                # Another run may have begun meanwhile: what it has read already must not be thrown away again.
                if cursor.value.get("shape") != shape:
                    self._rows(source.module).delete()
                    cursor.value = {"shape": shape, "after_id": FIRST_ID, "since": youngest}
                    cursor.save()
        elif "after_id" not in cursor.value and _is_old(cursor.value.get("built_at", "")):
            # Restored records and those that came into sight do not count as changed. What is known stays meanwhile.
            cursor.value = cursor.value | {"after_id": FIRST_ID}
            cursor.save()
        return cursor

    def _youngest_change(self, source: Source) -> str:
        """Zoho's own clock, told by its youngest change: ours may differ. Empty when the module is empty."""
        query = (
            f"select id, Modified_Time from {source.module} where {self._all(source)}"  # noqa: S608 names of the metadata
            " order by Modified_Time desc limit 1"
        )
        rows = self._client.query(query, limit=1)
        return str(rows[0]["Modified_Time"]) if rows else ""

    def _build(self, source: Source, cursor: Cursor) -> None:
        """All records in the order of their ids; continues after a crash where it was."""
        while True:
            self._keep()
            after = cursor.value["after_id"]
            rows = self._read(source, f"id > '{after}'", "id asc", COQL_PAGE_SIZE)
            with transaction.atomic():
                self._store(source, rows)
                if len(rows) < COQL_PAGE_SIZE:
                    del cursor.value["after_id"]
                    cursor.value["built_at"] = timezone.now().isoformat()
                else:
                    cursor.value["after_id"] = str(rows[-1]["id"])
                cursor.save()
            if "after_id" not in cursor.value:
                return

    def _follow(self, source: Source, cursor: Cursor) -> None:
        """Changes since the youngest one seen, in their order; small first, because a small page costs less."""
        youngest = cursor.value["since"]
        overlap = OVERLAP_AGAIN if source.module in self._followed else OVERLAP
        at = _earlier(youngest, overlap) if youngest else ""
        last_id, limit = FIRST_ID, PAGE_SIZE
        while True:
            self._keep()
            since = f"(Modified_Time > '{at}' or (Modified_Time = '{at}' and id > '{last_id}'))" if at else "id > '0'"
            rows = self._read(source, since, "Modified_Time asc, id asc", limit)
            if rows:
                at, last_id = str(rows[-1]["Modified_Time"]), str(rows[-1]["id"])
                if not youngest or _instant(at) > _instant(youngest):
                    youngest = at
            with transaction.atomic():
                self._store(source, rows)
                if cursor.value["since"] != youngest:
                    cursor.value["since"] = youngest
                    cursor.save()
            if len(rows) < limit:
                self._followed.add(source.module)
                return
            limit = COQL_PAGE_SIZE

    def _read(self, source: Source, condition: str, order: str, limit: int) -> list[dict[str, Any]]:
        columns = ", ".join(("id", "Modified_Time", *source.fields))
        where = f"({self._all(source)} and {condition})" if source.has_converted else condition
        query = f"select {columns} from {source.module} where {where} order by {order} limit {limit}"  # noqa: S608 names of the metadata, ids and times of Zoho
        return self._client.query(query, limit=limit)

    def _all(self, source: Source) -> str:
        """Converted leads too: where queries leave them out, naming both values brings them in."""
        return "(Converted__s = true or Converted__s = false)" if source.has_converted else "id is not null"

    def _store(self, source: Source, rows: Sequence[dict[str, Any]]) -> None:
        """Replaces what was known of these records. Most are as they were: they are only compared."""
        told = {str(row["id"]): self.numbers_of(row, source.fields) for row in rows}
        ids = list(told)
        for first in range(0, len(ids), _LOOKUP):
            some = ids[first : first + _LOOKUP]
            known: dict[str, set[str]] = defaultdict(set)
            stored = self._rows(source.module).filter(record_id__in=some)
            for record_id, number in stored.values_list("record_id", "number"):
                known[record_id].add(number)
            changed = [record_id for record_id in some if known[record_id] != told[record_id]]
            stored.filter(record_id__in=[record_id for record_id in changed if known[record_id]]).delete()
            entries = [
                PhoneEntry(connection=self._connection, module=source.module, record_id=record_id, number=number)
                for record_id in changed
                for number in sorted(told[record_id])
            ]
            PhoneEntry.objects.bulk_create(entries, batch_size=_LOOKUP, ignore_conflicts=True)

    def _rows(self, module: str) -> Any:
        return PhoneEntry.objects.filter(connection=self._connection, module=module)


def _is_old(built_at: str) -> bool:
    return not built_at or timezone.now() - _instant(built_at) > REBUILT_EVERY


def _instant(told: str) -> dt.datetime:
    return dt.datetime.fromisoformat(told)


def _earlier(told: str, by: dt.timedelta) -> str:
    return (_instant(told) - by).isoformat(timespec="seconds")
