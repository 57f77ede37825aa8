"""What passes through either door: a request in, a reply out, or a connection that breaks."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, parse_qsl, urlsplit

JsonObject = dict[str, Any]
JSON_TYPE = "application/json;charset=UTF-8"


class ConnectionDropped(ConnectionError):
    """The connection broke before an answer arrived; whether the call took effect is unknown to the caller."""


@dataclass(slots=True)
class Request:
    """One call, parsed once. `records`, `trigger` and `principal` are filled in while it is served."""

    method: str
    url: str
    base_url: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes
    params: dict[str, str] = field(default_factory=dict)
    call_number: int = 0
    principal: str = ""
    records: int = 0
    trigger: list[str] | None = None
    parsed_body: Any = None

    @classmethod
    def parse(cls, method: str, url: str, headers: Mapping[str, str] | None, body: bytes | str | None) -> Request:
        parts = urlsplit(url)
        content = body.encode() if isinstance(body, str) else (body or b"")
        return cls(
            method=method.upper(),
            url=url,
            base_url=f"{parts.scheme}://{parts.netloc}",
            path=parts.path,
            query=dict(parse_qsl(parts.query, keep_blank_values=True)),
            headers={name.lower(): value for name, value in (headers or {}).items()},
            body=content,
        )

    def json(self) -> Any:
        """The body as JSON, or None when it is not JSON. Parsed once because the gate and the handler both ask."""
        if self.parsed_body is None and self.body[:20].lstrip()[:1] in (b"{", b"["):
            try:
                self.parsed_body = json.loads(self.body)
            except ValueError:
                return None
        return self.parsed_body

    def query_lists(self) -> dict[str, list[str]]:
        """Query parameters that may repeat (`type=Voice&type=Fax`); `query` has the last of each."""
        return parse_qs(urlsplit(self.url).query, keep_blank_values=True)

    def form(self) -> dict[str, str]:
        """Form fields; OAuth clients may also put them in the query string."""
        return {**self.query, **dict(parse_qsl(self.body.decode("utf-8", "replace"), keep_blank_values=True))}


@dataclass(slots=True)
class Reply:
    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""

    @classmethod
    def of(cls, status: int, payload: Any) -> Reply:
        content = json.dumps(payload, ensure_ascii=False, separators=(",", ":")).encode()
        return cls(status, {"Content-Type": JSON_TYPE}, content)

    def json(self) -> Any:
        return json.loads(self.body)


class Refusal(Exception):
    """Raised anywhere below a handler to end the call with this reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(f"refused with status {reply.status}")
        self.reply = reply
