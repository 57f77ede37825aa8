"""The company's call log: rows that become visible, change and disappear by the clock."""

from __future__ import annotations

from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from portal.standin.messages import JsonObject
from portal.standin.ringcentral.settings import Office
from portal.standin.ringcentral.times import read_time, stamp

Content = JsonObject | Callable[[], JsonObject]
Position = tuple[int, int]
"""A place in the feed of changes: when a version became visible, and the order of its arrival in the stand-in."""
_DETAILED_ONLY = ("legs", "billing", "lastModifiedTime")


@dataclass(slots=True)
class Version:
    visible_ms: int
    number: int
    modified_ms: int
    content: Content

    @property
    def position(self) -> Position:
        return self.visible_ms, self.number


@dataclass(slots=True)
class Entry:
    """One row of the call log with all its versions, past and to come, in the order in which they show."""

    id: str
    start_ms: int
    type: str
    direction: str
    versions: list[Version] = field(default_factory=list)

    def at(self, now_ms: int) -> Version | None:
        """What the API shows at that time; None while the row is not there yet."""
        shown = None
        for version in self.versions:
            if version.visible_ms > now_ms:
                break
            shown = version
        return shown

    def row(self, now_ms: int) -> JsonObject | None:
        version = self.at(now_ms)
        if version is None:
            return None
        return {**_changed(version.content, {}), "lastModifiedTime": stamp(version.modified_ms)}


class CallLog:
    def __init__(self, office: Office) -> None:
        self._office = office
        self._entries: dict[str, Entry] = {}
        self._by_start: list[tuple[int, str]] = []
        self._changes: list[tuple[int, int, str]] = []
        self._versions = 0

    def add(self, row: JsonObject, visible_ms: int, later: Iterable[tuple[int, JsonObject]] = ()) -> None:
        """A row with its later states. What should have been visible before now is so from now on: it comes late."""
        entry = Entry(row["id"], read_time(row["startTime"]), row["type"], row["direction"])
        with self._office.lock:
            for planned_ms, content in ((visible_ms, row), *later):
                entry.versions.append(self._version(planned_ms, content))
            self._put(entry)

    def _version(self, planned_ms: int, content: Content) -> Version:
        self._versions += 1
        return Version(max(planned_ms, self._office.now_ms()), self._versions, planned_ms, content)

    def _put(self, entry: Entry) -> None:
        if entry.id in self._entries:
            raise ValueError(f"there is a row {entry.id} already")
        entry.versions.sort(key=lambda version: version.position)
        self._entries[entry.id] = entry
        insort(self._by_start, (entry.start_ms, entry.id))
        for version in entry.versions:
            insort(self._changes, (*version.position, entry.id))

    def add_many(self, entries: Iterable[tuple[Entry, int, Content]]) -> None:
        """Many past rows at once: entry, time of its appearance, and its content or how to make it."""
        for entry, visible_ms, content in entries:
            self._versions += 1
            entry.versions.append(Version(visible_ms, self._versions, visible_ms, content))
            self._entries[entry.id] = entry
            self._by_start.append((entry.start_ms, entry.id))
            self._changes.append((visible_ms, self._versions, entry.id))
        self._by_start.sort()
        self._changes.sort()

    def change(self, row_id: str, at_ms: int, changes: JsonObject) -> None:
        """From that time (now, if it is past) on the row has these values; None takes a key away. Start times stay."""
        with self._office.lock:
            self._change(row_id, at_ms, changes)

    def _change(self, row_id: str, at_ms: int, changes: JsonObject) -> None:
        entry, moment_ms = self._entries[row_id], max(at_ms, self._office.now_ms())
        shown = entry.at(moment_ms)
        for version in entry.versions:
            if version.visible_ms > moment_ms:
                version.content = _changed(version.content, changes)
        if shown is None:
            # The row is not there yet: it will come changed.
            return
        version = self._version(max(at_ms, shown.modified_ms), _changed(shown.content, changes))
        entry.versions.append(version)
        entry.versions.sort(key=lambda version: version.position)
        insort(self._changes, (*version.position, row_id))

    def __len__(self) -> int:
        return len(self._entries)

    def find(self, row_id: str) -> Entry | None:
        return self._entries.get(row_id)

    def between(self, low_ms: float, high_ms: float) -> Iterator[Entry]:
        """Entries that started in that range (ends included), youngest first, visible or not."""
        first = bisect_left(self._by_start, (low_ms, ""))
        last = bisect_right(self._by_start, (high_ms, "~"))
        for position in range(last - 1, first - 1, -1):
            yield self._entries[self._by_start[position][1]]

    def everything(self) -> Iterator[Entry]:
        return self.between(float("-inf"), float("inf"))

    def end_of_feed(self) -> Position:
        return self._office.now_ms(), self._versions

    def changed_since(self, position: Position) -> Iterator[tuple[Position, Entry]]:
        """Rows whose present state is younger than the position, oldest change first."""
        now_ms = self._office.now_ms()
        start = bisect_right(self._changes, (*position, "~"))
        for visible_ms, number, row_id in self._changes[start:]:
            if visible_ms > now_ms:
                break
            entry = self._entries[row_id]
            shown = entry.at(now_ms)
            if shown is not None and shown.number == number:
                yield (visible_ms, number), entry


def _changed(content: Content, changes: JsonObject) -> JsonObject:
    before = content() if callable(content) else content
    return {key: value for key, value in {**before, **changes}.items() if value is not None}


def presented(row: JsonObject, origin: str, media_origin: str, *, detailed: bool) -> JsonObject:
    """A stored row as the API gives it: links with their origin, and without the legs in the simple view."""
    shown = _linked(
        {key: value for key, value in row.items() if detailed or key not in _DETAILED_ONLY}, origin, media_origin
    )
    if str(shown.get("uri", "")).startswith(origin):
        shown["uri"] += f"?view={'Detailed' if detailed else 'Simple'}"
    return shown


def _linked(value: Any, origin: str, media_origin: str) -> Any:
    if isinstance(value, list):
        return [_linked(item, origin, media_origin) for item in value]
    if not isinstance(value, dict):
        return value
    row = {}
    for key, item in value.items():
        if key in ("uri", "contentUri") and isinstance(item, str) and item.startswith("/"):
            row[key] = (media_origin if key == "contentUri" else origin) + item
        elif isinstance(item, dict | list):
            row[key] = _linked(item, origin, media_origin)
        else:
            row[key] = item
    return row
