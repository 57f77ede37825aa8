"""A small in-process client of the stand-in: signs in, speaks JSON, remembers nothing else."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlencode

from portal.standin import Reply, Standin

API = "https://zoho.test/crm/v8"
ACCOUNTS = "https://zoho.test/oauth/v2"
CLIENT = {"client_id": "standin-client", "client_secret": "standin-secret"}


class Caller:
    def __init__(self, standin: Standin, *, scopes: str | None = None) -> None:
        self.standin = standin
        self.standin.zoho.settings.search_lag_s = 0
        code = standin.zoho.tokens.mint_code(scopes=scopes)
        self.token = self.ask_token(grant_type="authorization_code", code=code)["access_token"]

    def ask_token(self, **form: str) -> dict[str, Any]:
        return self.post_form("/token", **CLIENT, **form).json()

    def post_form(self, path: str, **form: str) -> Reply:
        return self.standin.handle("POST", ACCOUNTS + path, {}, urlencode(form))

    def send(self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None) -> Reply:
        signed = {"Authorization": f"Zoho-oauthtoken {self.token}", "Content-Type": "application/json"}
        content = None if body is None else json.dumps(body)
        return self.standin.handle(method, API + path, signed | (headers or {}), content)

    def get(self, path: str, *, headers: dict[str, str] | None = None, **query: Any) -> Reply:
        return self.send("GET", f"{path}?{urlencode(query)}" if query else path, headers=headers)

    def put(self, *rows: dict[str, Any], headers: dict[str, str] | None = None, **more: Any) -> Reply:
        return self.send("PUT", "/Leads", {"data": list(rows), **more}, headers=headers)

    def post(self, path: str, *rows: dict[str, Any], **more: Any) -> Reply:
        return self.send("POST", path, {"data": list(rows), **more})

    def coql(self, query: str) -> Reply:
        return self.send("POST", "/coql", {"select_query": query})

    def code(self, reply: Reply) -> str:
        """The error code, of the call or of its only row."""
        body = reply.json()
        return (body["data"][0] if "data" in body else body)["code"]

    def lead(self, wanted: str = "plain") -> str:
        """The first lead in a state: plain, converted, locked, blueprint, pending or strict."""
        return self.leads(wanted)[0]

    def leads(self, wanted: str = "plain") -> list[str]:
        table = self.standin.zoho.org.tables["Leads"]
        return [record_id for record_id in table.ids() if state_of(table.value, record_id) == wanted]


def state_of(value: Any, record_id: str) -> str:
    if value(record_id, "Converted__s"):
        return "converted"
    if value(record_id, "Locked__s"):
        return "locked"
    if value(record_id, "$process_flow"):
        return "blueprint"
    if value(record_id, "$approval_state") != "approved":
        return "pending"
    return "strict" if value(record_id, "Layout").endswith("90002") else "plain"
