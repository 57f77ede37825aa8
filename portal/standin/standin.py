"""The stand-in itself: one state, one clock, one fault script, and the way a call takes through them."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from threading import RLock
from typing import Any

from portal.standin.clock import Clock
from portal.standin.control import CONTROL_PREFIX, Control
from portal.standin.counters import Counters, JournalEntry, Writes
from portal.standin.faults import Fault, FaultScript
from portal.standin.messages import ConnectionDropped, JsonObject, Refusal, Reply, Request
from portal.standin.ringcentral import RingCentral
from portal.standin.router import Route, Router
from portal.standin.seed import Seed
from portal.standin.zoho import Zoho
from portal.standin.zoho.leads import LeadNumbers
from portal.standin.zoho.rules import REFERENCES
from portal.standin.zoho.values import stored_value

Hook = Callable[[int, Request], None]


class Standin:
    """Both vendors offline. `handle` is the in-process door; `StandinServer` puts HTTP before it.

    `before_effect` and `after_effect` are called with the call's number and request around the moment in which a
    call takes effect: a crash test ends its worker exactly there. They run outside the lock.
    """

    def __init__(self, *, leads: int = 12_000, seed: int = 1, latency_ms: float = 0, calls: int = 0) -> None:
        self.lock = RLock()
        self.clock = Clock()
        self.faults = FaultScript(seed)
        self.latency_ms = latency_ms
        self.before_effect: Hook | None = None
        self.after_effect: Hook | None = None
        self._sleep = time.sleep
        self._control = Control(self)
        self._build(Seed(leads=leads, seed=seed, calls=calls))

    def _build(self, seed: Seed) -> None:
        self.seed = seed
        self.counters = Counters()
        self.zoho = Zoho(seed, self.clock, self.lock, self.counters)
        names = [(user.full_name, user.email) for user in self.zoho.org.users.values()]
        self.ringcentral = RingCentral(
            seed, self.clock, self.lock, self.counters, names, LeadNumbers(self.zoho.org.tables["Leads"])
        )
        self._router = Router([*self.zoho.routes(), *self.ringcentral.routes()])

    def reset(self, *, leads: int | None = None, seed: int | None = None, calls: int | None = None) -> None:
        """Back to the untouched data, default settings, no faults and no latency; tokens end. The clock goes on."""
        with self.lock:
            self.faults.clear()
            self.latency_ms = 0
            self.before_effect = self.after_effect = None
            self._build(
                Seed(
                    leads=self.seed.leads if leads is None else leads,
                    seed=self.seed.seed if seed is None else seed,
                    calls=self.seed.calls if calls is None else calls,
                )
            )

    # The in-process door

    def handle(
        self, method: str, url: str, headers: Mapping[str, str] | None = None, body: bytes | str | None = b""
    ) -> Reply:
        """Answer one call. Raises `ConnectionDropped` where a caller on the network would lose its connection."""
        request = Request.parse(method, url, headers, body)
        if request.path.startswith(CONTROL_PREFIX):
            return self._control.handle(request)
        # A reset in the middle of a call must not mix two states.
        counters, route = self.counters, self._router.find(request)
        entry = counters.arrive(request, route.name if route else "unknown", self.clock.timestamp())
        reply: Reply | None = None
        try:
            reply = self._unknown(request) if route is None else self._serve(request, route, entry)
            return reply
        finally:
            counters.depart(request, entry, reply.status if reply else None)

    def _unknown(self, request: Request) -> Reply:
        self.counters.unknown_endpoints += 1
        text = f"the stand-in does not know {request.method} {request.path}"
        return Reply.of(501, {"code": "STANDIN_NOT_BUILT", "details": {}, "message": text, "status": "error"})

    def _serve(self, request: Request, route: Route, entry: JournalEntry) -> Reply:
        try:
            route.gate.enter(request)
        except Refusal as refusal:
            return refusal.reply
        reply: Reply | None = None
        try:
            reply = self._perform(request, route, entry)
            return reply
        finally:
            route.gate.leave(request, reply)

    def _perform(self, request: Request, route: Route, entry: JournalEntry) -> Reply:
        fault = self.faults.match(request)
        if self.latency_ms > 0:
            self._sleep(self.latency_ms / 1000)
        if fault is not None:
            entry.fault = fault.label
            early = self._fail_before(fault, route)
            if early is not None:
                return early
        if self.before_effect is not None:
            self.before_effect(request.call_number, request)
        reply = self._effect(request, route)
        if self.after_effect is not None:
            self.after_effect(request.call_number, request)
        return reply if fault is None else self._fail_after(fault, route, reply)

    def _effect(self, request: Request, route: Route) -> Reply:
        # Parsing needs no state, so it happens before the lock.
        request.json()
        with self.lock:
            self.zoho.settle()
            try:
                return route.handler(request)
            except Refusal as refusal:
                return refusal.reply

    def _fail_before(self, fault: Fault, route: Route) -> Reply | None:
        if fault.delay_s > 0:
            self._sleep(fault.delay_s)
        if fault.drop == "before":
            raise ConnectionDropped("dropped before the effect")
        return fault.replacement(route.gate.error_body(fault.status or 500)) if fault.when == "before" else None

    def _fail_after(self, fault: Fault, route: Route, reply: Reply) -> Reply:
        if fault.drop == "after":
            raise ConnectionDropped("dropped after the effect")
        replaced = fault.replacement(route.gate.error_body(fault.status or 500))
        return fault.altered(replaced or reply)

    # Looking and steering from Python

    def record(self, module: str, record_id: str) -> JsonObject | None:
        """A record as the API would show it, or None when there is none."""
        with self.lock:
            self.zoho.settle()
            table = self.zoho.org.table(module)
            return self.zoho.org.shown(table, record_id) if table.exists(record_id) else None

    def ids(self, module: str) -> list[str]:
        """All living ids, ascending, converted ones included."""
        with self.lock:
            return list(self.zoho.org.table(module).ids())

    def writes(self, module: str, record_id: str) -> Writes:
        return self.counters.writes.get((module, record_id)) or Writes()

    def set_record(self, module: str, record_id: str, values: JsonObject, *, by: str = "") -> None:
        """A colleague's edit in Zoho's own screens; system fields such as `Locked__s` may be set too.

        It moves Modified_Time and does not count as a write of the API.
        """
        with self.lock:
            org = self.zoho.org
            table = org.table(module)
            if not table.exists(record_id):
                raise KeyError(record_id)
            stored = self._stored(module, values)
            stored = {"Modified_Time": org.now(), "Modified_By": by or org.admin.id, **stored}
            org.index_later(table, record_id, {name: table.value(record_id, name) for name in stored})
            table.change(record_id, stored)

    def add_record(self, module: str, values: JsonObject) -> str:
        """A record that somebody else created; returns its id."""
        with self.lock:
            org = self.zoho.org
            return self.zoho.writing.add(org.table(module), self._stored(module, values), by=org.admin.id, fired=False)

    def add_lead(self, **values: Any) -> str:
        return self.add_record("Leads", {"Last_Name": "Added", "Lead_Status": "Not Contacted", **values})

    def remove(self, module: str, record_id: str) -> None:
        """Deleted by somebody else: into the recycle bin."""
        with self.lock:
            self.zoho.writing.remove(self.zoho.org.table(module), record_id, by=self.zoho.org.admin.id)

    def notes_of(self, module: str, record_id: str) -> list[JsonObject]:
        """The notes of one record as the API shows them, oldest first."""
        with self.lock:
            notes = self.zoho.notes
            self.zoho.org.module(module)
            return [self.zoho.org.shown(notes.table, note_id) for note_id in notes.by_parent.get(record_id, ())]

    def files_of(self, module: str, record_id: str) -> list[tuple[str, bytes]]:
        """Name and content of the attachments of one record, oldest first."""
        with self.lock:
            files = self.zoho.attachments
            self.zoho.org.module(module)
            ids = files.by_parent.get(record_id, ())
            return [(files.table.value(file_id, "File_Name"), files.contents[file_id]) for file_id in ids]

    def _stored(self, module: str, values: JsonObject) -> JsonObject:
        fields = self.zoho.org.module(module).by_name
        stored: JsonObject = {}
        for name, value in values.items():
            field = fields[name]
            # An id alone is as good as the object that the API wants.
            as_object = (
                {"id": value} if isinstance(value, str) and field.data_type in (*REFERENCES, "layout") else value
            )
            stored[name] = stored_value(field, as_object)
        return stored
