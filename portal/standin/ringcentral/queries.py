"""Which rows of the call log a call asks for: its parameters, checked, as a test of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from portal.standin.messages import JsonObject, Request
from portal.standin.ringcentral.errors import bad_parameter, refuse
from portal.standin.ringcentral.log import Entry
from portal.standin.ringcentral.times import DAY, read_time

_CHOICES = {
    "type": ("Voice", "Fax"),
    "direction": ("Inbound", "Outbound"),
    "view": ("Simple", "Detailed"),
    "recordingType": ("Automatic", "OnDemand", "All"),
    "statusGroup": ("Missed", "All"),
    "syncType": ("FSync", "ISync"),
    "transport": ("PSTN", "VoIP"),
}
# The vendor says what counts as missed nowhere; its own widget counts these.
MISSED_RESULTS = frozenset({"Missed", "Hang Up", "Busy", "Voicemail", "Rejected"})
_ALONE_WITH_SESSION = ("view", "page", "perPage", "sessionId")

RowTest = Callable[[JsonObject], bool]


def choices(request: Request, name: str) -> list[str]:
    """The values of a parameter that may repeat; an unknown one is refused."""
    values = request.query_lists().get(name, [])
    for value in values:
        if value not in _CHOICES[name]:
            raise bad_parameter(name, value)
    return values


def is_detailed(request: Request) -> bool:
    return choices(request, "view")[-1:] == ["Detailed"]


def flag(request: Request, name: str, *, default: bool = False) -> bool:
    text = request.query.get(name)
    if text not in (None, "true", "false"):
        raise bad_parameter(name, text)
    return default if text is None else text == "true"


def time_of(request: Request, name: str, default_ms: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default_ms
    try:
        return read_time(text)
    except ValueError:
        raise bad_parameter(name, text) from None


@dataclass(frozen=True)
class Window:
    """Start times from `low_ms` to `high_ms`, both included."""

    low_ms: int
    high_ms: int

    @classmethod
    def of(cls, request: Request, now_ms: int, *, end_included: bool = True) -> Window:
        """`dateTo` is now and `dateFrom` a day before `dateTo` where they are not given."""
        high_ms = time_of(request, "dateTo", now_ms)
        low_ms = time_of(request, "dateFrom", high_ms - DAY)
        if low_ms > high_ms:
            raise bad_parameter("dateFrom", request.query.get("dateFrom", ""))
        return cls(low_ms, high_ms if end_included or "dateTo" not in request.query else high_ms - 1)


class Wanted:
    """The filter of one list call. Cheap facts of an entry are tested before its row is made."""

    def __init__(self, request: Request, now_ms: int) -> None:
        self._now_ms = now_ms
        self._types, self._directions = choices(request, "type"), choices(request, "direction")
        self._deleted = flag(request, "showDeleted")
        choices(request, "view")
        self._tests = list(_row_tests(request))
        query = request.query
        if "extensionNumber" in query and "phoneNumber" in query:
            raise bad_parameter("phoneNumber", query["phoneNumber"])
        if "sessionId" in query and any(name not in _ALONE_WITH_SESSION for name in query):
            text = "Parameter [sessionId] is not allowed for usage along with other parameters"
            raise refuse(400, "CLG-110", text, parameterName="sessionId")

    def concerns(self, kind: str, direction: str) -> bool:
        return (not self._types or kind in self._types) and (not self._directions or direction in self._directions)

    def accepts(self, row: JsonObject) -> bool:
        return (self._deleted or not row.get("deleted")) and all(test(row) for test in self._tests)

    def rows(self, entries: Iterator[Entry]) -> Iterator[Entry]:
        """The entries that match, their rows made only where a test needs them."""
        for entry in entries:
            shown = entry.at(self._now_ms)
            if shown is None or not self.concerns(entry.type, entry.direction):
                continue
            if self._tests or not callable(shown.content):
                row = entry.row(self._now_ms)
                if row is None or not self.accepts(row):
                    continue
            yield entry


def _row_tests(request: Request) -> Iterator[RowTest]:
    query = request.query
    if "recordingType" in query or "withRecording" in query:
        wanted = (choices(request, "recordingType") or ["All"])[-1]
        if "recordingType" in query or flag(request, "withRecording"):
            yield lambda row: any(wanted in ("All", tape["type"]) for tape in _each(row, "recording"))
    for name in ("sessionId", "telephonySessionId"):
        if name in query:
            yield lambda row, name=name: row.get(name) == query[name]  # type: ignore[misc]  # a default binds the name
    if "phoneNumber" in query:
        yield lambda row: query["phoneNumber"] in {digits(party.get("phoneNumber", "")) for party in _parties(row)}
    if "extensionNumber" in query:
        yield lambda row: query["extensionNumber"] in {party.get("extensionNumber") for party in _parties(row)}
    if choices(request, "transport"):
        yield lambda row: row.get("transport") in choices(request, "transport")
    if not flag(request, "showBlocked", default=True):
        yield lambda row: row.get("result") != "Blocked"


def _each(row: JsonObject, key: str) -> Iterator[JsonObject]:
    for part in (row, *row.get("legs", ())):
        if key in part:
            yield part[key]


def _parties(row: JsonObject) -> Iterator[JsonObject]:
    yield from _each(row, "from")
    yield from _each(row, "to")


def digits(number: str) -> str:
    return "".join(character for character in number if character.isdigit())
