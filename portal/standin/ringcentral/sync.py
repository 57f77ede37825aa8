"""The feeds of new and changed rows: call-log-sync and call-log-extract-sync."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.ringcentral.call_log import CallLogCalls, own_row
from portal.standin.ringcentral.errors import bad_parameter, refuse
from portal.standin.ringcentral.log import CallLog, Entry, Position
from portal.standin.ringcentral.paging import own_uri, positive
from portal.standin.ringcentral.people import Extension
from portal.standin.ringcentral.queries import MISSED_RESULTS, Wanted, choices, flag, is_detailed, time_of
from portal.standin.ringcentral.settings import Office
from portal.standin.ringcentral.times import DAY, HOUR, SECOND, stamp

MAX_SYNC, MAX_EXTRACT = 250, 1_000
_OVERFLOW = "syncToken is invalid [max sync record number limit is exceeded]"
_DETAILED = "Detailed"
_RESET = "sync token expired, call log was reset"


class Sync:
    def __init__(self, office: Office, log: CallLog, calls: CallLogCalls) -> None:
        self._office = office
        self._log = log
        self._calls = calls
        self._not_before_ms = 0

    def expire_tokens(self) -> None:
        """All tokens given out so far are over; the server may do this at any time."""
        self._not_before_ms = self._office.now_ms() + 1

    # Tokens: kind, time of their making, position in the feed, view

    def _opened(self, kind: str, request: Request) -> Position:
        """The position of the call's token."""
        parts = request.query.get("syncToken", "").split(".")
        if len(parts) != 5 or parts[0] != kind or not all(part.isdigit() for part in parts[1:4]):
            raise refuse(400, "CLG-102", "syncToken is invalid", parameterName="syncToken")
        made_ms, now_ms = int(parts[1]), self._office.now_ms()
        if made_ms < self._not_before_ms or now_ms - made_ms > self._office.settings.sync_token_life_s * SECOND:
            raise refuse(400, "CLG-101", _RESET, parameterName="syncToken")
        return int(parts[2]), int(parts[3])

    def _answer(self, request: Request, kind: str, rows: list[JsonObject], position: Position, **more: bool) -> Reply:
        """The view of the first call holds for those that its token leads to."""
        request.records, now_ms = len(rows), self._office.now_ms()
        is_full = not _is_incremental(request)
        detailed = is_detailed(request) if is_full else request.query["syncToken"].endswith(_DETAILED)
        parts = (kind, now_ms, *position, _DETAILED if detailed else "Simple")
        info = {
            "syncType": "FSync" if is_full else "ISync",
            "syncToken": ".".join(map(str, parts)),
            "syncTime": stamp(now_ms),
            **more,
        }
        shown = self._calls.shown(request, rows, detailed=detailed)
        return Reply.of(200, {"uri": own_uri(request), "records": shown, "syncInfo": info})

    # call-log-sync

    def of_company(self, request: Request) -> Reply:
        self._calls.check_company()
        return self._sync(request, None)

    def of_extension(self, request: Request) -> Reply:
        return self._sync(request, self._calls.permitted(request))

    def _sync(self, request: Request, extension: Extension | None) -> Reply:
        kind = f"log-{extension.number if extension else 'company'}"
        is_full = not _is_incremental(request)
        if flag(request, "showDeleted") and is_full:
            raise bad_parameter("showDeleted", "true")
        end = self._log.end_of_feed()
        if is_full:
            return self._answer(request, kind, self._full(request, extension), end)
        entries = [entry for _, entry in self._log.changed_since(self._opened(kind, request))]
        rows = list(self._rows(request, iter(entries), extension))
        if len(rows) > MAX_SYNC:
            raise refuse(400, "CLG-104", _OVERFLOW, parameterName="syncToken")
        rows.sort(key=lambda row: str(row["startTime"]), reverse=True)
        return self._answer(request, kind, rows, end)

    def _full(self, request: Request, extension: Extension | None) -> list[JsonObject]:
        now_ms, count = self._office.now_ms(), positive(request, "recordCount", MAX_SYNC)
        if count > MAX_SYNC:
            raise bad_parameter("recordCount", str(count))
        low_ms = max(time_of(request, "dateFrom", now_ms - DAY), now_ms - 30 * DAY)
        return list(islice(self._rows(request, self._log.between(low_ms, now_ms), extension), count))

    def _rows(self, request: Request, entries: Iterator[Entry], extension: Extension | None) -> Iterator[JsonObject]:
        now_ms = self._office.now_ms()
        only_missed = "Missed" in choices(request, "statusGroup")
        for entry in Wanted(request, now_ms).rows(entries):
            row = entry.row(now_ms)
            if row is not None and extension is not None:
                row = own_row(row, extension)
            if row is not None and (not only_missed or row.get("result") in MISSED_RESULTS):
                yield row

    # call-log-extract-sync

    def extract(self, request: Request) -> Reply:
        """Everything updated after a time, oldest update first, in portions that a token continues."""
        self._calls.check_company()
        self._check_available()
        now_ms = self._office.now_ms()
        if _is_incremental(request):
            start, count = self._opened("extract", request), MAX_SYNC
        else:
            start = (time_of(request, "dateFrom", now_ms - HOUR) - 1, self._log.end_of_feed()[1])
            count = positive(request, "recordCount", MAX_SYNC)
            if count > MAX_EXTRACT:
                raise bad_parameter("recordCount", str(count))
        taken, newer = _portion(self._log.changed_since(start), count)
        end = taken[-1][0] if newer else max(start, self._log.end_of_feed())
        rows = [row for _, entry in taken if (row := entry.row(now_ms)) is not None]
        return self._answer(request, "extract", rows, end, newerRecordsExist=newer)

    def _check_available(self) -> None:
        status = self._office.settings.extract_sync_status
        if status == 403:
            raise refuse(403, "CMN-403", "Feature [CallLogExtractSync] is not available", legacy="FeatureNotAvailable")
        if status != 200:
            raise refuse(404, "CMN-102", "Resource is not found")


def _portion(found: Iterator[tuple[Position, Entry]], count: int) -> tuple[list[tuple[Position, Entry]], bool]:
    """At least `count` where there are so many: rows that changed in the same millisecond stay together."""
    taken = list(islice(found, count))
    for position, entry in found:
        if position[0] != taken[-1][0][0]:
            return taken, True
        taken.append((position, entry))
    return taken, False


def _is_incremental(request: Request) -> bool:
    return choices(request, "syncType")[-1:] == ["ISync"]
