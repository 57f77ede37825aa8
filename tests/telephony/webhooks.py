"""A webhook that is switched on at the stand-in, whose deliveries come to the portal's own address."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from django.contrib.auth.models import AnonymousUser
from django.db import connections
from django.test import Client

from portal.models import Connection, Run
from portal.standin import Standin
from telephony import sooner, webhook
from telephony.models import Subscription

ORIGIN = "https://localhost"
TOKENS = ("Verification-Token", "Validation-Token")


class Door:
    """Delivers what the stand-in sends: events to the portal, and validations too when `validates`.

    A validation comes in a thread of the stand-in's server, where it does not see the rows of a test's transaction;
    without `validates` it is echoed here.
    """

    def __init__(self, *, validates: bool = False) -> None:
        self.validates = validates
        self.seen: list[tuple[str, dict[str, str], bytes]] = []
        self.refuses = 0

    def __call__(self, url: str, headers: dict[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
        self.seen.append((url, headers, body))
        if self.refuses:
            return self.refuses, {}
        if not body and not self.validates:
            return 200, {"Validation-Token": headers["Validation-Token"]}
        try:
            response = post(urlsplit(url).path, body, {name: headers[name] for name in TOKENS if name in headers})
        finally:
            if not body:
                connections.close_all()  # those of the server's thread
        return response.status_code, dict(response.headers)


def post(
    path: str, body: bytes | str = b"", headers: Mapping[str, str] | None = None, client: Client | None = None
) -> Any:
    return (client or Client()).post(path, body, content_type="application/json", headers=dict(headers or {}))


def open_door(standin: Standin, settings: Any, *, validates: bool = False) -> Door:
    settings.PUBLIC_URL = ORIGIN
    door = Door(validates=validates)
    standin.ringcentral.deliver = door
    return door


def switched_on(connection: Connection) -> Subscription:
    row = webhook.switch_on(connection, user=AnonymousUser())
    row.refresh_from_db()
    return row


def path_of(row: Subscription) -> str:
    return f"/api/calls/events/{row.key}/"


def event(**values: Any) -> dict[str, Any]:
    """An event of a call that has ended, as RingCentral's guide shows it."""
    return {
        "uuid": "1", "event": "/restapi/v1.0/account/700000000/telephony/sessions", "subscriptionId": "x",
        "body": {"telephonySessionId": "s-1", "parties": [{"status": {"code": "Disconnected"}}]},
    } | values  # fmt: skip


def open_readings() -> list[Run]:
    """Runs that an event asked for and that have not begun."""
    return list(Run.objects.filter(phase=sooner.PHASE, state__in=Run.OPEN))
