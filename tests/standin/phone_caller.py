"""A small in-process client of the RingCentral half: logs in, asks, walks pages."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode

from portal.standin import Reply, Standin

HOST = "https://phone.test"
ACCOUNT = f"{HOST}/restapi/v1.0/account/~"
CLIENT, JWT = ("standin-rc-client", "standin-rc-secret"), "standin-rc-jwt"
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
NOON = datetime(2026, 11, 2, 12, 0, tzinfo=UTC)


def basic(name: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class PhoneCaller:
    def __init__(self, standin: Standin) -> None:
        self.standin = standin
        self.script = standin.ringcentral.script
        self.token = self.login().json()["access_token"]

    def unlimited(self) -> PhoneCaller:
        settings = self.standin.ringcentral.settings
        settings.light_limit = settings.medium_limit = settings.heavy_limit = settings.auth_limit = 100_000
        return self

    def login(self, *, client: tuple[str, str] = CLIENT, headers: dict[str, str] | None = None, **form: str) -> Reply:
        body = urlencode({"grant_type": JWT_GRANT, "assertion": JWT, **form})
        signed = {"Authorization": basic(*client), "Content-Type": "application/x-www-form-urlencoded"}
        return self.standin.handle("POST", f"{HOST}/restapi/oauth/token", signed | (headers or {}), body)

    def send(self, method: str, url: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        signed = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return self.standin.handle(method, url, signed | (headers or {}), body)

    def get(self, path: str, *, headers: dict[str, str] | None = None, **query: Any) -> Reply:
        url = path if path.startswith("http") else ACCOUNT + path
        return self.send("GET", f"{url}?{urlencode(query, doseq=True)}" if query else url, headers=headers)

    def walk(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """All rows, page after page."""
        rows, reply = [], self.get(path, **query)
        while True:
            body = reply.json()
            rows += body["records"]
            following = body["navigation"].get("nextPage")
            if following is None:
                return rows
            reply = self.get(following["uri"])

    def log(self, **query: Any) -> list[dict[str, Any]]:
        return self.walk("/call-log", **{"view": "Detailed", "perPage": 1000, "dateFrom": "2020-01-01", **query})

    def row(self, row_id: str) -> dict[str, Any]:
        return self.get(f"/call-log/{row_id}", view="Detailed").json()

    def code(self, reply: Reply) -> str:
        return reply.json()["errors"][0]["errorCode"]
