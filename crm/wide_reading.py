"""Reading any number of fields of any number of records: parallel calls, given order, bounded memory."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

from crm.zoho.client import Part, Record, ZohoClient, field_groups, id_batches
from portal.remote import errors

# Records that are held at once: calls complete in any order, and a slow one must not let the others pile up.
WINDOW = 2000

Row = tuple[str, Record | None]


def read(client: ZohoClient, module: str, ids: Iterable[str], fields: Sequence[str]) -> Iterator[Row]:
    """Each id, in the order given, with its record; None where Zoho did not return it.

    `ids` is consumed as rows are taken. More than 50 fields are read 50 at a time and merged by id. Raises RemoteError
    at the first record that could not be read, after all rows before it.
    """
    groups = field_groups(["id", *fields])
    source = iter(ids)
    while chunk := list(islice(source, WINDOW)):
        yield from _Window(client, module, chunk, groups).rows()


class _Window:
    """Some ids and what was read of them so far."""

    def __init__(self, client: ZohoClient, module: str, ids: Sequence[str], groups: Sequence[Sequence[str]]) -> None:
        self._client = client
        self._module = module
        self._batches = list(id_batches(ids))
        self._groups = groups
        self._records: dict[str, Record] = {}
        self._times_returned: Counter[str] = Counter()
        self._calls_left = Counter({number: len(groups) for number in range(len(self._batches))})
        self._error: errors.RemoteError | None = None
        self._parts = deque(
            Part(batch, group, number) for number, batch in enumerate(self._batches) for group in groups
        )

    def rows(self) -> Iterator[Row]:
        # A refused call may come back as two smaller ones after the stream has asked for the last part.
        while self._parts and self._error is None:
            for part, result in self._client.read_parts(self._module, self._next_parts()):
                self._take(part, result)
        for number, batch in enumerate(self._batches):
            if self._calls_left[number]:
                break
            for record_id in batch:
                is_whole = self._times_returned[record_id] >= len(self._groups)
                yield record_id, self._records.get(record_id) if is_whole else None
        if self._error is not None:
            raise self._error

    def _next_parts(self) -> Iterator[Part]:
        while self._parts and self._error is None:
            yield self._parts.popleft()

    def _take(self, part: Part, result: dict[str, Record] | errors.RemoteError) -> None:
        if isinstance(result, errors.RemoteError):
            if not is_about_an_id(result):
                self._error = self._error or result
                return
            self._split(part)
            result = {}
        for record_id, record in result.items():
            self._records.setdefault(record_id, {}).update(record)
            self._times_returned[record_id] += 1
        self._calls_left[part.tag] -= 1

    def _split(self, part: Part) -> None:
        """One id that Zoho does not take for an id refuses the whole call: smaller calls find the others."""
        middle = len(part.ids) // 2
        if not middle:
            return
        self._calls_left[part.tag] += 2
        self._parts.extend(Part(ids, part.fields, part.tag) for ids in (part.ids[:middle], part.ids[middle:]))


def is_about_an_id(error: errors.RemoteError) -> bool:
    """Whether a call was refused for an id in it, so that the other ids of the call can still be read."""
    return (
        isinstance(error, errors.Rejected)
        and error.code == "INVALID_DATA"
        and (error.details.get("param_name") == "ids" or error.details.get("api_name") == "id")
    )
