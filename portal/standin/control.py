"""The control door under `/_standin/`: a test whose stand-in runs in another process steers and inspects it here."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, fields
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, Any

from portal.standin.messages import JsonObject, Refusal, Reply, Request
from portal.standin.ringcentral.control import RingCentralControl

if TYPE_CHECKING:
    from portal.standin.standin import Standin

CONTROL_PREFIX = "/_standin/"
_Action = Callable[[Request, JsonObject], Any]


class Control:
    def __init__(self, standin: Standin) -> None:
        self._standin = standin
        self._actions: dict[tuple[str, str], _Action] = {
            ("GET", "state"): self._state,
            ("GET", "counters"): self._counters,
            ("GET", "journal"): self._journal,
            ("GET", "record"): self._record,
            ("GET", "writes"): self._writes,
            ("GET", "faults"): self._show_faults,
            ("POST", "records"): self._records,
            ("POST", "reset"): self._reset,
            ("POST", "faults"): self._faults,
            ("POST", "clock"): self._clock,
            ("POST", "latency"): self._latency,
            ("POST", "settings"): self._settings,
            ("POST", "revoke"): self._revoke,
            ("POST", "code"): self._code,
            ("POST", "edit"): self._edit,
            ("POST", "add"): self._add,
            ("POST", "remove"): self._remove,
            ("GET", "notes"): self._notes,
            ("GET", "files"): self._files,
            **RingCentralControl(lambda: standin.ringcentral).actions(),
        }

    def handle(self, request: Request) -> Reply:
        action = self._actions.get((request.method, request.path.removeprefix(CONTROL_PREFIX)))
        if action is None:
            return Reply.of(501, {"error": f"no control {request.method} {request.path}"})
        body = request.json() if request.body else {}
        if body is None:
            return Reply.of(400, {"error": "the body is not JSON"})
        try:
            return Reply.of(200, action(request, body))
        except Refusal as refusal:
            return refusal.reply
        except (KeyError, TypeError, ValueError) as problem:
            return Reply.of(400, {"error": f"{type(problem).__name__}: {problem}"})

    # Looking

    def _state(self, request: Request, body: JsonObject) -> JsonObject:
        standin = self._standin
        zoho = standin.zoho
        with standin.lock:
            zoho.credits.settle()
            return {
                "now": standin.clock.now().isoformat(),
                "latency_ms": standin.latency_ms,
                "leads": standin.seed.leads,
                "calls": standin.seed.calls,
                "seed": standin.seed.seed,
                "settings": asdict(zoho.settings),
                "records": {name: len(table.ids()) for name, table in zoho.org.tables.items()},
                "views": {view.name: view.id for view in zoho.org.views.values()},
                "credits": {"used": zoho.credits.used, "remaining": zoho.credits.remaining},
                "slots": asdict(zoho.limits.slots),
            }

    def _counters(self, request: Request, body: JsonObject) -> JsonObject:
        return self._standin.counters.as_dict()

    def _journal(self, request: Request, body: JsonObject) -> JsonObject:
        """The last calls; `method` and `path` (a part of it) narrow them down."""
        method, path = request.query.get("method", "").upper(), request.query.get("path", "")
        rows = self._standin.counters.journal_rows(
            lambda entry: entry.method == (method or entry.method) and path in entry.path
        )
        return {"journal": rows}

    def _record(self, request: Request, body: JsonObject) -> JsonObject:
        module, record_id = request.query["module"], request.query["id"]
        return {
            "record": self._standin.record(module, record_id),
            "writes": asdict(self._standin.writes(module, record_id)),
        }

    def _records(self, request: Request, body: JsonObject) -> JsonObject:
        """Some fields of many records at once (all of them without `ids`), to check the end of a large run."""
        standin = self._standin
        with standin.lock:
            standin.zoho.settle()
            table = standin.zoho.org.table(body.get("module", "Leads"))
            ids = body.get("ids") or table.ids()
            wanted = tuple(body["fields"])
            rows = [standin.zoho.org.shown(table, record_id, wanted) for record_id in ids if table.exists(record_id)]
        return {"data": rows}

    def _notes(self, request: Request, body: JsonObject) -> JsonObject:
        return {"notes": self._standin.notes_of(request.query["module"], request.query["id"])}

    def _files(self, request: Request, body: JsonObject) -> JsonObject:
        """Names, sizes and SHA-256 of the attachments of a record, oldest first."""
        files = self._standin.files_of(request.query["module"], request.query["id"])
        return {
            "files": [
                {"name": name, "size": len(content), "sha256": sha256(content).hexdigest()} for name, content in files
            ]
        }

    def _writes(self, request: Request, body: JsonObject) -> JsonObject:
        return self._standin.counters.writes_of(request.query.get("module", "Leads"))

    def _show_faults(self, request: Request, body: JsonObject) -> JsonObject:
        return {"faults": [asdict(rule) for rule in self._standin.faults.rules]}

    # Steering

    def _reset(self, request: Request, body: JsonObject) -> JsonObject:
        self._standin.reset(leads=body.get("leads"), seed=body.get("seed"), calls=body.get("calls"))
        return self._state(request, body)

    def _faults(self, request: Request, body: Any) -> JsonObject:
        """A list of rules replaces the script; an object with `add` extends it."""
        faults = self._standin.faults
        if isinstance(body, dict):
            faults.extend(body["add"])
        else:
            faults.clear()
            faults.extend(body)
        return self._show_faults(request, {})

    def _clock(self, request: Request, body: JsonObject) -> JsonObject:
        clock = self._standin.clock
        if "freeze" in body:
            at = body["freeze"]
            if at is False:
                clock.run()
            else:
                clock.freeze(datetime.fromisoformat(at) if isinstance(at, str) else None)
        if "advance" in body:
            clock.advance(float(body["advance"]))
        return {"now": clock.now().isoformat()}

    def _latency(self, request: Request, body: JsonObject) -> JsonObject:
        self._standin.latency_ms = float(body["ms"])
        return {"latency_ms": self._standin.latency_ms}

    def _settings(self, request: Request, body: JsonObject) -> JsonObject:
        settings = self._standin.zoho.settings
        known = {item.name for item in fields(settings)}
        if not known.issuperset(body):
            raise ValueError(f"settings are {', '.join(sorted(known))}")
        for name, value in body.items():
            setattr(settings, name, value)
        return asdict(settings)

    def _revoke(self, request: Request, body: JsonObject) -> JsonObject:
        """`{"token": …}` ends one token, `{"access": true}` all access tokens, `{}` the default refresh token."""
        tokens = self._standin.zoho.tokens
        with self._standin.lock:
            if body.get("access"):
                tokens.invalidate_access()
                return {"revoked": True}
            return {"revoked": tokens.revoke(body["token"]) if "token" in body else tokens.revoke()}

    def _code(self, request: Request, body: JsonObject) -> JsonObject:
        with self._standin.lock:
            return {"code": self._standin.zoho.tokens.mint_code(**body)}

    def _edit(self, request: Request, body: JsonObject) -> JsonObject:
        self._standin.set_record(body["module"], body["id"], body["values"], by=body.get("by", ""))
        return {"record": self._standin.record(body["module"], body["id"])}

    def _add(self, request: Request, body: JsonObject) -> JsonObject:
        return {"id": self._standin.add_record(body.get("module", "Leads"), body["values"])}

    def _remove(self, request: Request, body: JsonObject) -> JsonObject:
        self._standin.remove(body["module"], body["id"])
        return {"removed": body["id"]}
