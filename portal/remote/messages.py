"""A call and its answer, as the client packages see them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import IO, Any

from django.conf import settings

SAFE_METHODS = frozenset({"GET", "HEAD"})
# No vendor's file is larger; what claims to be fills no disk.
LARGEST_FILE = 2 * 1024**3


@dataclass(frozen=True)
class Request:
    """One call.

    `path_or_url`: a path below the connection's API address, or an absolute address of the vendor (uploads, downloads).
    `endpoint`: a short name for logs, prices and errors (at most 60 characters are kept); never with data in it.
    `credits`: what the vendor charges for it. `heavy`: it also counts against Zoho's limit for heavy calls.
    `repeatable`: sending it twice does no harm; None means GET and HEAD only. `write`: it changes the vendor's data;
    None means everything but GET and HEAD. `tag` is the caller's own and comes back untouched.
    `data` may be a file with a length and `seek`; it is streamed, and read from its start again for a second attempt.
    `stream`: the body goes to `Reply.file` instead of memory, there into what `sink` opens (a temporary file if not
    given). What `sink` opened is closed when the attempt fails, and opened anew for the next one. A body of more than
    `max_bytes` ends the call with the code TOO_LARGE. Redirects of such a GET are followed within the vendor's hosts.
    `bucket`: the rate bucket that the vendor is expected to count it in; empty where the vendor has none.
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
    sink: Callable[[], IO[bytes]] | None = None
    max_bytes: int | None = None
    bucket: str = ""

    @property
    def price(self) -> int:
        """Credits that the call costs: as configured for its endpoint, else as documented."""
        return int(settings.ZOHO_CREDIT_PRICES.get(self.endpoint, self.credits))

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
    def is_streamed(self) -> bool:
        """Whether the body of a success goes into a file."""
        return self.stream or self.sink is not None

    @property
    def carries_file(self) -> bool:
        return bool(self.is_streamed or self.files or hasattr(self.data, "read"))

    @property
    def largest_file(self) -> int:
        return LARGEST_FILE if self.max_bytes is None else self.max_bytes

    @property
    def time_limit_s(self) -> float:
        """Longest time from sending to the last byte; files get ten times the read time-out, all else twice."""
        factor = 10 if self.carries_file else 2
        return float(settings.REMOTE_CONNECT_TIMEOUT_S + factor * settings.REMOTE_READ_TIMEOUT_S)


@dataclass(frozen=True)
class Reply:
    """A usable answer: 2xx or 304. `json` is None when there is no body (204) or the body is not JSON.

    `file` is set for requests with `stream` or `sink`: the open file at its start, whole, which the caller closes.
    """

    status: int
    headers: Mapping[str, str]
    json: Any
    body: bytes
    request_id: str
    elapsed_ms: int
    request: Request
    file: IO[bytes] | None = None
