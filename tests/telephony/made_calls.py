"""Offices, calls and steps of the tests of the pages, and a call sync that only notes what it was told to start."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pytest

from portal.models import Connection, Run
from telephony import call_sync
from telephony.models import Call, CallStep, Extension, LeadOwner, Office

NOON = datetime(2026, 3, 10, 18, 0, tzinfo=UTC)  # 10 or 11 in the morning in California


def ringcentral() -> Connection:
    found = Connection.objects.filter(vendor="ringcentral").first()
    return found or Connection.objects.create(
        vendor="ringcentral", name="Phones", client_id="rc", is_default=True, state="working"
    )


def make_office(slug: str = "oakland", **values: Any) -> Office:
    defaults: dict[str, Any] = {"name": slug.capitalize(), "zone": "America/Los_Angeles", "order": 1}
    return Office.objects.create(slug=slug, **defaults | values)


def make_extension(office: Office | None, name: str = "Ana Lopez", **values: Any) -> Extension:
    number = str(100 + Extension.objects.count())
    return Extension.objects.create(
        connection=ringcentral(), rc_id=f"6{number}", number=number, name=name, office=office, **values
    )


def make_call(office: Office | None = None, **values: Any) -> Call:
    key = f"s-{Call.objects.count():05}"
    defaults: dict[str, Any] = {
        "connection": ringcentral(), "key": key, "office": office, "direction": "inbound", "outcome": "accepted",
        "outcome_reason": "Ana Lopez answered after 6 s.", "started_at": NOON, "total_seconds": 190, "talk_seconds": 180,
        "number": "+15105550142", "number_told": "+15105550142", "name_told": "WIRELESS CALLER", "line": "+15105550100",
        "digest": "x", "state": "done",
    }  # fmt: skip
    return Call.objects.create(**defaults | values)


def make_step(call: Call, kind: str = "lead", state: str = "done", **values: Any) -> CallStep:
    return CallStep.objects.create(call=call, kind=kind, state=state, **values)


def make_owner(office: Office, name: str, **values: Any) -> LeadOwner:
    zoho_id = f"48768760000002{LeadOwner.objects.count():05}"
    return LeadOwner.objects.create(office=office, zoho_id=zoho_id, name=name, zoho_state="active", **values)


def candidate(record_id: str, **values: Any) -> dict[str, Any]:
    return {
        "module": "Leads", "id": record_id, "name": f"Lead {record_id[-2:]}", "status": "Contacted", "owner_id": "1",
        "owner_name": "Omar Reyes", "created": "2025-01-02T10:00:00+01:00", "modified": "2025-03-02T10:00:00+01:00",
        "is_converted": False, "phones": {"Phone": "(510) 555-0142", "Mobile": "+49 30 901820"}, "marker_text": "",
    } | values  # fmt: skip


@dataclass
class NotedSync:
    """What the pages told the call sync. `refuse_with`: a reason for which it starts nothing, and the run in its way."""

    started: list[dict[str, Any]] = field(default_factory=list)
    calls: list[list[Call]] = field(default_factory=list)
    refuse_with: tuple[str, Run | None] | None = None


def noted_sync(monkeypatch: pytest.MonkeyPatch) -> NotedSync:
    """In place of the call sync's own starts: runs are made, but nothing works them."""
    noted = NotedSync()

    def new_run() -> Run:
        if noted.refuse_with is not None:
            raise call_sync.Refused(*noted.refuse_with)
        return Run.objects.create(kind="telephony.call_sync", title="Process calls", connection=ringcentral())

    def start(**values: Any) -> Run:
        run = new_run()
        noted.started.append(values)
        return run

    def start_calls(calls: list[Call], **values: Any) -> Run:
        run = new_run()
        noted.calls.append(list(calls))
        return run

    monkeypatch.setattr(call_sync, "start", start)
    monkeypatch.setattr(call_sync, "start_calls", start_calls)
    return noted
