"""The records of one module: a made-up base computed on demand, and an overlay of what was changed since."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from portal.standin.seed import Maker
from portal.standin.zoho.schema import Module

ORG_PREFIX = 5_725_767 * 10**12
# Gaps between ids, as real ones have: a neighbour of an id is usually nobody.
_STRIDE = 7

Values = dict[str, Any]
Getter = Callable[[str], Any]


class ValueIndex:
    """Ids by a field's (normalized) value. Built on first use, then kept up to date."""

    def __init__(self, table: Table, field: str, normalize: Callable[[Any], str]) -> None:
        self.field = field
        self._normalize = normalize
        self._ids: dict[str, str | list[str]] = {}
        read = table.getter(field)
        for record_id in table.ids():
            self.add(record_id, read(record_id))

    def add(self, record_id: str, value: Any) -> None:
        if value is None:
            return
        key = self._normalize(value)
        present = self._ids.get(key)
        if present is None:
            self._ids[key] = record_id
        elif isinstance(present, str):
            self._ids[key] = [present, record_id]
        else:
            present.append(record_id)

    def discard(self, record_id: str, value: Any) -> None:
        if value is None:
            return
        key = self._normalize(value)
        present = self._ids.get(key)
        if present == record_id:
            del self._ids[key]
        elif isinstance(present, list) and record_id in present:
            present.remove(record_id)

    def find(self, value: Any) -> list[str]:
        return self.find_key(self._normalize(value))

    def find_key(self, key: str) -> list[str]:
        present = self._ids.get(key)
        if present is None:
            return []
        return [present] if isinstance(present, str) else list(present)

    def keys(self) -> Iterable[str]:
        return self._ids.keys()


class TimeIndex:
    """Ids by Modified_Time. A write appends and leaves its old entry behind; reading skips what is out of date."""

    def __init__(self, table: Table) -> None:
        self._read = table.getter("Modified_Time")
        self._exists = table.exists
        self._entries: list[tuple[int, str]] = sorted((self._read(record_id), record_id) for record_id in table.ids())
        self._stale = 0

    def add(self, moment: int, record_id: str) -> None:
        entry = (moment, record_id)
        position = bisect_left(self._entries, entry)
        if position < len(self._entries) and self._entries[position] == entry:
            return
        self._entries.insert(position, entry)
        self._stale += 1
        if self._stale > 50_000:
            self._entries = list(self._live(self._entries))
            self._stale = 0

    def _live(self, entries: Iterable[tuple[int, str]]) -> Iterator[tuple[int, str]]:
        for entry in entries:
            if self._exists(entry[1]) and self._read(entry[1]) == entry[0]:
                yield entry

    def between(self, low: float, high: float, *, descending: bool = False) -> Iterator[str]:
        """Ids with low <= Modified_Time <= high, in (Modified_Time, id) order or its reverse."""
        first = bisect_left(self._entries, (low, ""))
        last = bisect_right(self._entries, (high, "~"))
        entries = self._entries[first:last]
        if descending:
            entries.reverse()
        for _, record_id in self._live(entries):
            yield record_id


class Selection:
    """The ids that pass a test, ascending, kept up to date by the table so that a page costs a slice."""

    def __init__(self, table: Table, fields: frozenset[str], test: Callable[[str], bool]) -> None:
        self.fields = fields
        self._test = test
        self.members = [record_id for record_id in table.ids() if test(record_id)]
        self._frozen: dict[bool, tuple[str, ...]] = {}

    def frozen(self, *, descending: bool) -> tuple[str, ...]:
        """An immutable copy for a page token's walk; shared until the membership changes."""
        if descending not in self._frozen:
            self._frozen[descending] = tuple(reversed(self.members)) if descending else tuple(self.members)
        return self._frozen[descending]

    def refresh(self, record_id: str, *, exists: bool) -> None:
        wanted = exists and self._test(record_id)
        position = bisect_left(self.members, record_id)
        present = position < len(self.members) and self.members[position] == record_id
        if wanted and not present:
            self.members.insert(position, record_id)
            self._frozen.clear()
        elif present and not wanted:
            del self.members[position]
            self._frozen.clear()


class Table:
    def __init__(self, module: Module, count: int = 0, makers: Mapping[str, Maker] | None = None) -> None:
        self.module = module
        self._count = count
        self._makers = makers or {}
        self._first = ORG_PREFIX + module.number * 10**10 + 1_000_001
        self._overlay: dict[str, Values] = {}
        self._added: dict[str, Values] = {}
        self._removed: set[str] = set()
        self._inserted = 0
        self._ids: list[str] | None = None
        self._value_indexes: dict[tuple[str, str], ValueIndex] = {}
        self._time_index: TimeIndex | None = None
        self.selections: dict[Any, Selection] = {}

    def base_id(self, index: int) -> str:
        return str(self._first + index * _STRIDE)

    def index_of(self, record_id: str) -> int | None:
        """The position of a made-up record, or None for any other id."""
        if len(record_id) != 19 or not record_id.isdigit():
            return None
        index, rest = divmod(int(record_id) - self._first, _STRIDE)
        return index if rest == 0 and 0 <= index < self._count else None

    def ids(self) -> list[str]:
        """All living ids, ascending. Not to be changed by the caller."""
        if self._ids is None:
            last = self._first + self._count * _STRIDE
            self._ids = [str(number) for number in range(self._first, last, _STRIDE)]
        return self._ids

    def exists(self, record_id: str) -> bool:
        if record_id in self._added:
            return True
        return record_id not in self._removed and self.index_of(record_id) is not None

    def getter(self, field: str) -> Getter:
        """A fast reader of one field; every condition and every list column is one of these."""
        if field == "id":
            return lambda record_id: record_id
        overlay, added, maker, index_of = self._overlay, self._added, self._makers.get(field), self.index_of

        def read(record_id: str) -> Any:
            changes = overlay.get(record_id)
            if changes is not None and field in changes:
                return changes[field]
            if record_id in added:
                return added[record_id].get(field)
            if maker is None:
                return None
            index = index_of(record_id)
            return None if index is None else maker(index)

        return read

    def value(self, record_id: str, field: str) -> Any:
        return self.getter(field)(record_id)

    def changes(self, record_id: str) -> Values:
        """The overlay of one record, as a copy."""
        return dict(self._overlay.get(record_id) or {})

    def next_id(self) -> str:
        """A fresh id above all others; never one that was used before."""
        self._inserted += 1
        return str(self._first + 5 * 10**9 + self._inserted)

    def insert(self, record_id: str, values: Values) -> None:
        self._added[record_id] = values
        insort(self.ids(), record_id)
        for index in self._value_indexes.values():
            index.add(record_id, values.get(index.field))
        self._after(record_id, values, exists=True, everything=True)

    def change(self, record_id: str, values: Values) -> None:
        for index in self._value_indexes.values():
            if index.field in values:
                index.discard(record_id, self.value(record_id, index.field))
                index.add(record_id, values[index.field])
        self._overlay.setdefault(record_id, {}).update(values)
        self._after(record_id, values, exists=True)

    def remove(self, record_id: str) -> None:
        for index in self._value_indexes.values():
            index.discard(record_id, self.value(record_id, index.field))
        ids = self.ids()
        position = bisect_left(ids, record_id)
        if position < len(ids) and ids[position] == record_id:
            del ids[position]
        self._removed.add(record_id)
        self._added.pop(record_id, None)
        self._overlay.pop(record_id, None)
        self._after(record_id, {}, exists=False, everything=True)

    def _after(self, record_id: str, values: Values, *, exists: bool, everything: bool = False) -> None:
        if exists and self._time_index is not None and "Modified_Time" in values:
            self._time_index.add(values["Modified_Time"], record_id)
        for selection in self.selections.values():
            if everything or not selection.fields.isdisjoint(values):
                selection.refresh(record_id, exists=exists)

    def value_index(self, field: str, kind: str, normalize: Callable[[Any], str]) -> ValueIndex:
        key = (field, kind)
        if key not in self._value_indexes:
            self._value_indexes[key] = ValueIndex(self, field, normalize)
        return self._value_indexes[key]

    def time_index(self) -> TimeIndex:
        if self._time_index is None:
            self._time_index = TimeIndex(self)
        return self._time_index

    def selection(self, key: Any, fields: frozenset[str], test: Callable[[str], bool]) -> Selection:
        """The selection of that key. A dozen are kept: each costs a little on every write."""
        if key not in self.selections:
            while len(self.selections) >= 12:
                del self.selections[next(iter(self.selections))]
            self.selections[key] = Selection(self, fields, test)
        return self.selections[key]
