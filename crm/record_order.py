"""Which ids a look shows, in which order, page by page or all of them.

A list of ids is sorted and searched here, from one column that is read for all of them; what Zoho lists is sorted and
searched by Zoho, because only Zoho can without reading everything.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from django.core.cache import cache

from crm import wide_reading
from crm.record_source import IdList, Listing, Look, Refused
from crm.zoho.client import COQL_PAGE_SIZE, ZohoClient
from crm.zoho.schema import Field, text_of
from portal.fields import Undecryptable, decrypt, encrypt
from portal.remote import errors

PAGE_SIZE = 50
# Sorting or searching a list reads one column of all its records, a call for each 50.
MAX_ARRANGED = 5000
COLUMN_KEPT_S = 300
COUNT_KEPT_S = 60
# Rows that Zoho's numbered pages reach, and rows that the offset of a query reaches.
REACH_BY_NUMBER = 2000
REACH_BY_OFFSET = 100_000
# The fields that GET /{module} sorts by.
NATIVE_SORTS = ("id", "Created_Time", "Modified_Time")
NUMBERS = ("integer", "bigint", "long", "double", "currency", "percent")
# What a query compares with `like`.
SEARCHABLE = ("text", "email", "phone", "website", "picklist", "autonumber")
NOT_SORTABLE = (
    *("textarea", "multiselectpicklist", "lookup", "ownerlookup", "userlookup", "multi_module_lookup"),
    *("multiselectlookup", "multiuserlookup", "subform", "fileupload", "imageupload", "profileimage", "layout"),
)


@dataclass(frozen=True)
class IdsShown:
    """Ids of one page. `total` None: not known. `missing`: ids of the whole list that Zoho did not return."""

    ids: list[str]
    total: int | None
    has_more: bool
    missing: list[str] = field(default_factory=list)


def page(client: ZohoClient, look: Look) -> IdsShown:
    """Raises RemoteError, and Refused for an order or a search that is not to be had."""
    if isinstance(look.source, Listing):
        return _listing_page(client, look, look.source)
    return _list_page(client, look, look.source)


def walk(client: ZohoClient, look: Look) -> Iterator[str]:
    """All ids of the look; raises as `page` does, at any point for what Zoho lists."""
    if isinstance(look.source, Listing):
        return _walk_listing(client, look, look.source)
    if not look.sort and not look.search:
        return look.source.walk()
    arranged, missing = _arranged(client, look, look.source)
    # Without a search the missing ids belong to the list, so that they are accounted for.
    return iter(arranged if look.search else [*arranged, *missing])


def is_sortable(look: Look, column: Field) -> bool:
    if isinstance(look.source, Listing):
        return column.is_sortable and column.data_type not in NOT_SORTABLE
    return look.source.count <= MAX_ARRANGED


def is_searchable(look: Look, column: Field) -> bool:
    return isinstance(look.source, IdList) or column.data_type in SEARCHABLE


# --- lists of ids -------------------------------------------------------------------------------------------------------


def _list_page(client: ZohoClient, look: Look, source: IdList) -> IdsShown:
    start = (look.page - 1) * PAGE_SIZE
    if not look.sort and not look.search:
        return IdsShown(source.part(start, start + PAGE_SIZE), source.count, start + PAGE_SIZE < source.count)
    ids, missing = _arranged(client, look, source)
    return IdsShown(ids[start : start + PAGE_SIZE], len(ids), start + PAGE_SIZE < len(ids), missing)


def _arranged(client: ZohoClient, look: Look, source: IdList) -> tuple[list[str], list[str]]:
    """Ids that match the search, in order, and those of the list that Zoho did not return."""
    column = _Column(client, look, source)
    ids = list(source.walk())
    missing: list[str] = []
    if look.search:
        values, missing = column.values(look.search_field)
        wanted = look.search.casefold()
        ids = [each for each in ids if wanted in text_of(values.get(each)).casefold()]
    if look.sort:
        values, missing = column.values(look.sort)
        ids = _sorted(ids, values, look.columns.get(look.sort), descending=look.descending)
    gone = set(missing)
    return [each for each in ids if each not in gone], missing


def _sorted(ids: list[str], values: dict[str, Any], column: Field | None, *, descending: bool) -> list[str]:
    """Empty values last in both directions; equal ones as they were."""
    keys = {each: _sort_key(values.get(each), column) for each in ids}
    filled = [each for each in ids if keys[each] is not None]
    empty = [each for each in ids if keys[each] is None]
    return sorted(filled, key=keys.__getitem__, reverse=descending) + empty  # type: ignore[arg-type]


def _sort_key(value: Any, column: Field | None) -> tuple[float, str] | None:
    """Numbers and moments by size, everything else as folded text; None for nothing."""
    text = text_of(value)
    if not text:
        return None
    data_type = column.data_type if column else "bigint"
    try:
        if data_type in NUMBERS:
            return float(text), text.zfill(20)
        if data_type == "datetime":
            return dt.datetime.fromisoformat(text).timestamp(), ""
    except ValueError:
        pass
    return 0.0, text.casefold()


class _Column:
    """One column of all records of a list, read live and kept for some minutes, encrypted: it is customers' data."""

    def __init__(self, client: ZohoClient, look: Look, source: IdList) -> None:
        self._client = client
        self._look = look
        self._source = source

    def values(self, name: str) -> tuple[dict[str, Any], list[str]]:
        """Value by id, and the ids that Zoho did not return. Raises Refused above the limit."""
        if name == "id":
            return {each: each for each in self._source.walk()}, []
        if self._source.count > MAX_ARRANGED:
            raise Refused(
                f"This list has {self._source.count:,} records, and sorting or searching by a field reads that field"
                f" of all of them, which is done for up to {MAX_ARRANGED:,}.",
                "Sort by id, load a shorter list, use a custom view (Zoho sorts and searches those), or download the"
                " list and sort the file.",
            )
        key = f"records:{self._source.connection.pk}:{self._source.module}:{self._source.name}:{name}"
        kept = _open(cache.get(key))
        if kept is None:
            kept = self._read(name)
            cache.set(key, encrypt(json.dumps(kept)), COLUMN_KEPT_S)
        return kept["values"], kept["missing"]

    def _read(self, name: str) -> dict[str, Any]:
        values: dict[str, Any] = {}
        missing: list[str] = []
        for record_id, record in wide_reading.read(self._client, self._source.module, self._source.walk(), [name]):
            if record is None:
                missing.append(record_id)
            else:
                value = record.get(name)
                values[record_id] = value if isinstance(value, int | float | str) else text_of(value)
        return {"values": values, "missing": missing}


def _open(stored: Any) -> dict[str, Any] | None:
    try:
        return json.loads(decrypt(stored)) if stored else None
    except Undecryptable:
        return None


# --- what Zoho lists ----------------------------------------------------------------------------------------------------


def _listing_page(client: ZohoClient, look: Look, source: Listing) -> IdsShown:
    total = None if look.search else count(client, source)
    start = (look.page - 1) * PAGE_SIZE
    if start + PAGE_SIZE > REACH_BY_OFFSET:
        raise Refused(
            f"Zoho's pages reach the first {REACH_BY_OFFSET:,} records.",
            "Search for something, sort the other way round, or download all of them.",
        )
    if _is_native(look, total):
        if start + PAGE_SIZE > REACH_BY_NUMBER:
            return IdsShown([], total, has_more=False)
        sort_by, order = _native_order(look)
        found = client.id_page(
            look.source.module, view_id=source.view_id or None, page=look.page, per_page=PAGE_SIZE,
            sort_by=sort_by, order=order,
        )  # fmt: skip
    else:
        found = client.query_ids(
            source.module, view_id=source.view_id or None, where=_where(look), order_by=_order_by(look),
            limit=PAGE_SIZE, offset=start,
        )  # fmt: skip
    if not found.has_more and (found.ids or look.page == 1):
        total = start + len(found.ids)  # Zoho's count lags behind by minutes; the last page knows
    return IdsShown(found.ids, total, found.has_more)


def _is_native(look: Look, total: int | None) -> bool:
    """Whether numbered pages show all of it in the wanted order; the view's own order exists only there."""
    if look.search or total is None or total > REACH_BY_NUMBER:
        return False
    assert isinstance(look.source, Listing)
    return not look.sort if look.source.view_id else (look.sort or "id") in NATIVE_SORTS


def _native_order(look: Look) -> tuple[str, str]:
    if not look.sort:
        return "id", "desc"
    return look.sort, "desc" if look.descending else "asc"


def _order_by(look: Look) -> str:
    column = look.columns.get(look.sort)
    if column is not None and look.sort != "id" and not is_sortable(look, column):
        raise Refused(f"Zoho cannot sort by {column.full_label}.", "Sort by another column.")
    name, order = _native_order(look)
    return f"id {order}" if name == "id" else f"{name} {order}, id asc"


def _where(look: Look, after: str = "") -> str:
    """The conditions, nested pairwise as COQL wants them; there must be one."""
    conditions = []
    if "Converted__s" in look.columns:
        conditions.append("Converted__s = false")  # lists leave out converted leads, queries do not
    if look.search:
        conditions.append(_search_condition(look))
    if after:
        conditions.append(after)
    if not conditions:
        return "id is not null"
    joined = conditions[0]
    for condition in conditions[1:]:
        joined = f"({joined} and {condition})"
    return joined


def _search_condition(look: Look) -> str:
    if look.search_field == "id":
        return f"id = '{look.search}'" if look.search.isascii() and look.search.isdigit() else "id is null"
    column = look.columns[look.search_field]
    if column.data_type not in SEARCHABLE:
        raise Refused(
            f"Zoho cannot search for a text in {column.full_label}.",
            "Search in a text, e-mail, phone, website or picklist field.",
        )
    for sign in ("%", "\\"):
        if sign in look.search:
            raise Refused(f"The sign {sign} cannot be searched for in what Zoho lists.", "Leave it out.")
    text = look.search.replace("'", "''")
    return f"{column.api_name} like '%{text}%'"


def count(client: ZohoClient, source: Listing) -> int | None:
    """How many records Zoho lists, kept for a minute; None where the connection may not count."""
    key = f"records-count:{source.connection.pk}:{source.module}:{source.name}"
    total = cache.get(key)
    if total is None:
        try:
            total = client.count(source.module, view_id=source.view_id or None)
        except (errors.MissingScope, errors.Rejected, errors.BadReply):
            return None
        cache.set(key, total, COUNT_KEPT_S)
    return int(total)


def _walk_listing(client: ZohoClient, look: Look, source: Listing) -> Iterator[str]:
    total = None if look.search else count(client, source)
    if _is_native(look, total):
        yield from _walk_tokens(client, look, source)
    elif look.sort in ("", "id"):
        yield from _walk_by_id(client, look, source)
    else:
        if total is not None and total > REACH_BY_OFFSET:
            raise _too_many_to_sort(look)
        yield from _walk_by_offset(client, look, source)


def _walk_tokens(client: ZohoClient, look: Look, source: Listing) -> Iterator[str]:
    token: str | None = None
    sort_by, order = _native_order(look)
    while True:
        if source.view_id:
            found = client.view_page(source.module, source.view_id, ["id"], token)
        else:
            found = client.module_page(source.module, ["id"], token, sort_by=sort_by, order=order)
        yield from (str(record["id"]) for record in found.records)
        token = found.token
        if token is None:
            return


def _walk_by_id(client: ZohoClient, look: Look, source: Listing) -> Iterator[str]:
    """Any number of records: each page starts behind the last id of the one before."""
    _, order = _native_order(look)
    after = ""
    while True:
        found = client.query_ids(
            source.module, view_id=source.view_id or None, where=_where(look, after), order_by=f"id {order}",
            limit=COQL_PAGE_SIZE,
        )  # fmt: skip
        yield from found.ids
        if not found.has_more or not found.ids:
            return
        after = f"id {'<' if order == 'desc' else '>'} '{found.ids[-1]}'"


def _walk_by_offset(client: ZohoClient, look: Look, source: Listing) -> Iterator[str]:
    for offset in range(0, REACH_BY_OFFSET, COQL_PAGE_SIZE):
        found = client.query_ids(
            source.module, view_id=source.view_id or None, where=_where(look), order_by=_order_by(look),
            limit=COQL_PAGE_SIZE, offset=offset,
        )  # fmt: skip
        yield from found.ids
        if not found.has_more:
            return
    raise _too_many_to_sort(look)


def _too_many_to_sort(look: Look) -> Refused:
    return Refused(
        f"Zoho sorts the first {REACH_BY_OFFSET:,} records by {look.sort} and reaches no further.",
        "Sort by id for all of them, or search for fewer.",
    )
