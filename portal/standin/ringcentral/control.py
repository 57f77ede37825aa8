"""What the control door can do with the RingCentral half."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from portal.standin.messages import JsonObject, Request
from portal.standin.ringcentral.stage import Scripted

if TYPE_CHECKING:
    from portal.standin.ringcentral import RingCentral

Action = Callable[[Request, JsonObject], Any]
_SCENARIOS = (
    *("accepted", "anonymous", "blind_transfer", "blocked", "conference", "corrected", "fax", "forwarded_to_mobile"),
    *("in_progress", "internal", "many", "masked", "menu_hangup", "missed", "outbound", "queue_answered"),
    *("queue_missed", "repeated", "ringout", "several_recordings", "voicemail", "warm_transfer", "with_result"),
)
_LONG_AGO = timedelta(minutes=20)


class RingCentralControl:
    """Every action takes the state's lock itself, but for events, which wait for their receivers."""

    def __init__(self, half: Callable[[], RingCentral]) -> None:
        self._half = half

    def actions(self) -> dict[tuple[str, str], Action]:
        return {
            ("POST", "call"): self._call,
            ("GET", "ringcentral"): self._state,
            ("GET", "ringcentral/rows"): self._rows,
            ("POST", "ringcentral/row"): self._row,
            ("POST", "ringcentral/change"): self._change,
            ("POST", "ringcentral/settings"): self._settings,
            ("POST", "ringcentral/revoke"): self._revoke,
            ("POST", "ringcentral/expire-sync"): self._expire,
            ("POST", "ringcentral/emit"): self._emit,
        }

    def _call(self, request: Request, body: JsonObject) -> JsonObject:
        """`{"scenario": "voicemail", "at": "2026-…Z", …}`; without `at` the call began twenty minutes ago."""
        half, given = self._half(), dict(body)
        name = given.pop("scenario")
        if name not in _SCENARIOS:
            raise ValueError(f"scenarios are {', '.join(_SCENARIOS)}")
        at = given.pop("at", None)
        moment = datetime.fromisoformat(at) if at else half.office.clock.now() - _LONG_AGO
        with half.office.lock:
            made: Scripted = getattr(half.script, name)(moment, **given)
        return asdict(made)

    def _state(self, request: Request, body: JsonObject) -> JsonObject:
        half = self._half()
        with half.office.lock:
            half.settle()
            now_ms = half.office.now_ms()
            return {
                "settings": asdict(half.settings),
                "rows": len(half.log),
                "recordings": len(half.recordings.by_id),
                "messages": len(half.mailboxes.by_id),
                "sessions": len(half.tokens.sessions),
                "extensions": [asdict(extension) for extension in half.people.all],
                "subscriptions": [item.shown("", now_ms) for item in half.subscriptions.by_id.values()],
            }

    def _rows(self, request: Request, body: JsonObject) -> JsonObject:
        """All rows as they are now, youngest first; `session` and `limit` narrow them down."""
        half = self._half()
        with half.office.lock:
            half.settle()
            now_ms, session = half.office.now_ms(), request.query.get("session")
            limit = int(request.query.get("limit", "1000"))
            rows: list[JsonObject] = []
            for entry in half.log.everything():
                if len(rows) >= limit:
                    break
                row = entry.row(now_ms)
                if row is not None and session in (None, row.get("telephonySessionId")):
                    rows.append(row)
        return {"rows": rows}

    def _row(self, request: Request, body: JsonObject) -> JsonObject:
        given = dict(body)
        visible_at = given.pop("visible_at", None)
        later = [(datetime.fromisoformat(item["at"]), item["values"]) for item in given.pop("later", [])]
        half = self._half()
        with half.office.lock:
            moment = datetime.fromisoformat(visible_at) if visible_at else None
            return asdict(half.script.add_row(visible_at=moment, later=later, **given))

    def _change(self, request: Request, body: JsonObject) -> JsonObject:
        half, at = self._half(), body.get("at")
        with half.office.lock:
            half.settle()
            half.script.change_row(body["id"], at=datetime.fromisoformat(at) if at else None, **body["values"])
            entry = half.log.find(body["id"])
            return {"row": entry.row(half.office.now_ms()) if entry else None}

    def _settings(self, request: Request, body: JsonObject) -> JsonObject:
        settings = self._half().settings
        known = {item.name for item in fields(settings)}
        if not known.issuperset(body):
            raise ValueError(f"settings are {', '.join(sorted(known))}")
        for name, value in body.items():
            setattr(settings, name, value)
        return asdict(settings)

    def _revoke(self, request: Request, body: JsonObject) -> JsonObject:
        """All sessions end; with `{"credential": true}` the JWT credential is worth nothing more either."""
        half = self._half()
        with half.office.lock:
            half.tokens.end_all()
            if body.get("credential"):
                half.tokens.credentials.clear()
        return {"revoked": True}

    def _expire(self, request: Request, body: JsonObject) -> JsonObject:
        half = self._half()
        with half.office.lock:
            half.sync.expire_tokens()
        return {"expired": True}

    def _emit(self, request: Request, body: JsonObject) -> JsonObject:
        """`{"session": …, "code": …, …}` for a telephony event, or `{"event": path, "body": {…}}` for any."""
        subscriptions = self._half().subscriptions
        if "event" in body:
            return {"statuses": subscriptions.emit(body["event"], body["body"])}
        given = dict(body)
        return {"statuses": subscriptions.emit_telephony(given.pop("session"), **given)}
