"""A call and its answer, as the client packages see them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings

SAFE_METHODS = frozenset({"GET", "HEAD"})


@dataclass(frozen=True)
class Request:
    """One call.

    `path_or_url`: a path below the connection's API address, or an absolute address of the vendor (uploads, downloads).
    `endpoint`: a short name for logs, prices and errors (at most 60 characters are kept); never with data in it.
    `credits`: what the vendor charges for it. `heavy`: it also counts against the vendor's limit for heavy calls.
    `repeatable`: sending it twice does no harm; None means GET and HEAD only. `write`: it changes the vendor's data;
    None means everything but GET and HEAD. `stream`: the body goes to `Reply.file` instead of memory.
    `tag` is the caller's own and comes back untouched.
    """

    method: str
    path_or_url: str
    endpoint: str
    params: Mapping[str, Any] | None = None
    json: Any = None
    data: Any = None
    files: Any = None
    headers: Mapping[str, str] | None = None
    credits: int = 1
    heavy: bool = False
    repeatable: bool | None = None
    write: bool | None = None
    tag: Any = None
    stream: bool = False

    @property
    def is_safe(self) -> bool:
        return self.method.upper() in SAFE_METHODS

    @property
    def is_repeatable(self) -> bool:
        return self.is_safe if self.repeatable is None else self.repeatable

    @property
    def is_write(self) -> bool:
        return not self.is_safe if self.write is None else self.write

    @property
    def time_limit_s(self) -> float:
        """Longest time from sending to the last byte; files get ten times the read time-out, all else twice."""
        factor = 10 if self.stream or self.files else 2
        return float(settings.REMOTE_CONNECT_TIMEOUT_S + factor * settings.REMOTE_READ_TIMEOUT_S)


@dataclass(frozen=True)
class Reply:
    """A usable answer: 2xx or 304. `json` is None when there is no body (204) or the body is not JSON.

    `file` is set for requests with `stream`: an open temporary file at its start, which the caller closes.
    """

    status: int
    headers: Mapping[str, str]
    json: Any
    body: bytes
    request_id: str
    elapsed_ms: int
    request: Request
    file: IO[bytes] | None = None
