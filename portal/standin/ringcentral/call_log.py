"""The endpoints of the call log: lists and single rows, of the company and of one extension."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.ringcentral.errors import not_built, not_found, refuse
from portal.standin.ringcentral.extensions import ACCOUNT_PATH, Extensions
from portal.standin.ringcentral.log import CallLog, presented
from portal.standin.ringcentral.paging import page_of
from portal.standin.ringcentral.people import Extension
from portal.standin.ringcentral.queries import Wanted, Window, is_detailed
from portal.standin.ringcentral.settings import Office

# What an extension's own row takes from its leg.
_OF_LEG = ("startTime", "direction", "action", "result", "reason", "duration", "durationMs", "from", "to")
_MEDIA = ("recording", "message")


class CallLogCalls:
    def __init__(self, office: Office, log: CallLog, extensions: Extensions) -> None:
        self._office = office
        self._log = log
        self._extensions = extensions

    def shown(
        self, request: Request, rows: Iterable[JsonObject | None], *, detailed: bool | None = None
    ) -> list[JsonObject]:
        """The rows in the view that the call asks for, or as told."""
        origin, media_origin = request.base_url, self._office.media_origin(request)
        whole = is_detailed(request) if detailed is None else detailed
        return [presented(row, origin, media_origin, detailed=whole) for row in rows if row is not None]

    def check_company(self) -> None:
        if not self._office.settings.company_call_log:
            name = "FullCompanyCallLog"
            text = f"In order to call this API endpoint, user needs to have [{name}] permission"
            raise refuse(403, "CMN-408", text, legacy="InsufficientPermissions", permissionName=name)

    def list_company(self, request: Request) -> Reply:
        self.check_company()
        now_ms = self._office.now_ms()
        wanted, window = Wanted(request, now_ms), self._window(request, now_ms)
        entries, envelope = page_of(request, wanted.rows(self._log.between(window.low_ms, window.high_ms)))
        return Reply.of(200, {**envelope, "records": self.shown(request, (entry.row(now_ms) for entry in entries))})

    def _window(self, request: Request, now_ms: int) -> Window:
        if "sessionId" in request.query:
            # The look-up by session takes no dates.
            return Window(0, now_ms)
        return Window.of(request, now_ms, end_included=self._office.settings.date_to_inclusive)

    def one_of_company(self, request: Request) -> Reply:
        self.check_company()
        row_id = request.params["row"]
        if "," in row_id:
            raise not_built("several rows in one call")
        entry = self._log.find(row_id)
        row = entry.row(self._office.now_ms()) if entry else None
        if row is None or row.get("deleted"):
            raise not_found("callRecordId", row_id)
        request.records = 1
        return Reply.of(200, self.shown(request, [row])[0])

    # One extension

    def list_of_extension(self, request: Request) -> Reply:
        """The rows of everyone who was rung: own ids, one session, and Missed for those who did not pick up."""
        extension, now_ms = self.permitted(request), self._office.now_ms()
        wanted, window = Wanted(request, now_ms), self._window(request, now_ms)
        rows, envelope = page_of(request, (row for row in self._own_rows(extension, window) if _suits(wanted, row)))
        return Reply.of(200, {**envelope, "records": self.shown(request, rows)})

    def permitted(self, request: Request) -> Extension:
        """The extension of the path, if the user of the token may look at it."""
        extension = self._extensions.named(request)
        if extension != self._office.people.owner and not self._office.settings.other_mailboxes:
            raise refuse(403, "CMN-419", "Extended scope is required to read data of other extensions")
        return extension

    def _own_rows(self, extension: Extension, window: Window) -> Iterator[JsonObject]:
        now_ms = self._office.now_ms()
        for entry in self._log.between(window.low_ms, window.high_ms):
            row = entry.row(now_ms)
            if row is not None:
                own = own_row(row, extension)
                if own is not None:
                    yield own


def own_row(row: JsonObject, extension: Extension) -> JsonObject | None:
    """The row as the extension's own log has it, or None when the call did not reach the extension."""
    legs = [leg for leg in row.get("legs", ()) if _is_of(leg, extension)]
    if not legs:
        return None
    # Who was rung twice sees the answered try.
    leg = next((leg for leg in legs if leg.get("result") in ("Accepted", "Call connected")), legs[0])
    own = {key: value for key, value in row.items() if key not in (*_OF_LEG, *_MEDIA)}
    own |= {key: leg[key] for key in (*_OF_LEG, *_MEDIA) if key in leg}
    row_id = f"{row['id']}-{extension.number}"
    reference = {"id": int(extension.id), "uri": f"{ACCOUNT_PATH}/extension/{extension.id}"}
    uri = f"{ACCOUNT_PATH}/extension/{extension.id}/call-log/{row_id}"
    return {**own, "id": row_id, "uri": uri, "extension": reference, "legs": legs}


def _is_of(leg: JsonObject, extension: Extension) -> bool:
    own = str(leg["extension"]["id"]) if "extension" in leg else ""
    return extension.id in (own, leg.get("to", {}).get("extensionId"), leg.get("from", {}).get("extensionId"))


def _suits(wanted: Wanted, row: JsonObject) -> bool:
    return wanted.concerns(row["type"], row["direction"]) and wanted.accepts(row)
