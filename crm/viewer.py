"""The record viewer: one page of any fields of any records, read live."""

from __future__ import annotations

import datetime as dt
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from django.urls import reverse
from django.utils import timezone

from crm import metadata, record_order, wide_reading
from crm.queries import record_address
from crm.record_order import NUMBERS, PAGE_SIZE
from crm.record_source import GivenIds, Listing, Look
from crm.zoho.schema import Field, text_of

ID_COLUMN = Field(
    "id", "Record id", "bigint", is_writable=False, is_mandatory=False, is_sortable=True, length=None
)  # fmt: skip


@dataclass(frozen=True)
class Column:
    """`order` is "ascending", "descending" or "none"."""

    name: str
    label: str
    is_number: bool
    is_sortable: bool
    order: str


@dataclass(frozen=True)
class Cell:
    text: str
    label: str
    is_number: bool = False
    moment: dt.datetime | None = None


@dataclass(frozen=True)
class Row:
    """`page` is the record's own page here, `url` its address in Zoho's screens or ""."""

    id: str
    page: str
    url: str
    cells: list[Cell]


@dataclass(frozen=True)
class Shown:
    """A page of the viewer. `total` None: not known. `missing`: ids that Zoho did not return, on this page, or in the
    whole list where `missing_everywhere`."""

    columns: list[Column]
    rows: list[Row]
    page: int
    first: int
    last: int
    total: int | None
    has_more: bool
    read_at: dt.datetime
    missing: list[str] = field(default_factory=list)
    missing_everywhere: bool = False

    @property
    def is_empty(self) -> bool:
        return not self.rows and not self.missing

    @property
    def last_page(self) -> int | None:
        return None if self.total is None else max(1, -(-self.total // PAGE_SIZE))

    @property
    def pages(self) -> list[int | None]:
        """Numbers for the page links; None stands for those left out."""
        last = self.last_page or self.page + (1 if self.has_more else 0)
        wanted = {1, 2, self.page - 1, self.page, self.page + 1, last}
        numbers: list[int | None] = []
        for number in sorted(each for each in wanted if 1 <= each <= last):
            if numbers and numbers[-1] is not None and number - numbers[-1] > 1:
                numbers.append(None)
            numbers.append(number)
        return numbers


def show(look: Look) -> Shown:
    """Reads one page live: its ids, then their fields, several calls at a time.

    Raises RemoteError, and Refused for an order or a search that is not to be had.
    """
    with metadata.client_for(look.source.connection) as client:
        found = record_order.page(client, look)
        rows = list(wide_reading.read(client, look.source.module, found.ids, look.field_names))
    missing = [record_id for record_id, record in rows if record is None]
    labels = labels_of(look.fields)
    start = (look.page - 1) * PAGE_SIZE
    return Shown(
        columns=columns_of(look),
        rows=[_row(look, labels, record_id, record) for record_id, record in rows if record is not None],
        page=look.page,
        first=start + 1,
        last=start + len(found.ids),
        total=found.total,
        has_more=found.has_more,
        read_at=timezone.now(),
        missing=found.missing or missing,
        missing_everywhere=bool(found.missing),
    )


def columns_of(look: Look) -> list[Column]:
    labels = labels_of(look.fields)
    return [_column(look, each, labels) for each in (ID_COLUMN, *look.fields)]


def _column(look: Look, column: Field, labels: dict[str, str]) -> Column:
    name = column.api_name
    order = "none"
    if look.sort == name:
        order = "descending" if look.descending else "ascending"
    return Column(
        name=name,
        label=labels.get(name, column.label),
        is_number=column.data_type in NUMBERS and name != "id",
        is_sortable=name == "id" or record_order.is_sortable(look, column),
        order=order,
    )


def labels_of(fields: Sequence[Field]) -> dict[str, str]:
    """Label by API name; followed by the API name where several of the fields share it."""
    times = Counter(each.label for each in fields)
    return {each.api_name: each.full_label if times[each.label] > 1 else each.label for each in fields}


def _row(look: Look, labels: dict[str, str], record_id: str, record: dict[str, Any]) -> Row:
    connection, module = look.source.connection, look.source.module
    page = f"{reverse('record', args=[module, record_id])}?connection={connection.pk}"
    url = record_address(connection, module, record_id)
    return Row(
        record_id,
        page,
        url,
        [cell_of(column, labels[column.api_name], record.get(column.api_name)) for column in look.fields],
    )


def cell_of(column: Field, label: str, value: Any) -> Cell:
    text = text_of(value)
    moment = None
    if column.data_type == "datetime" and text:
        try:
            moment = dt.datetime.fromisoformat(text)
        except ValueError:
            pass
        if moment is not None and moment.tzinfo is None:
            moment = None
    return Cell(text, label, is_number=column.data_type in NUMBERS, moment=moment)


def bulk_update_query(look: Look) -> dict[str, str]:
    """Query of the bulk update page for the same records; empty where it has no such source.

    With a search there is none: the bulk update would change the records that the search leaves out, too.
    """
    source = look.source
    if look.search:
        return {}
    if isinstance(source, GivenIds):
        return {"set": source.name.removeprefix("set-")}
    if isinstance(source, Listing) and source.view_id:
        return {"module": source.module, "view": source.view_id}
    return {}


def choose_fields(columns: Sequence[Field], names: Sequence[str]) -> tuple[tuple[Field, ...], list[str]]:
    """The named fields in the order named, without id, and the names that the module does not have."""
    known = {column.api_name: column for column in columns}
    wanted = list(dict.fromkeys(name for name in names if name != "id"))
    return tuple(known[name] for name in wanted if name in known), [name for name in wanted if name not in known]
