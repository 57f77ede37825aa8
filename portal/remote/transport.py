"""Bytes out, bytes in: the only module that speaks HTTP. It knows no database, so threads may share it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import IO, Protocol

import requests
import urllib3
from django.conf import settings
from requests.adapters import HTTPAdapter

ERROR_BODY_LIMIT = 64 * 1024
BODY_LIMIT = 64 * 1024 * 1024
CHUNK = 64 * 1024
USER_AGENT = "backoffice-portal/1.0"


class NotSent(Exception):
    """The connection never came about: the vendor has seen nothing."""


class NoAnswer(Exception):
    """The request may have arrived, but no complete answer came back."""


@dataclass(frozen=True)
class Timeouts:
    """Seconds: to connect, between two bytes, and in total from sending to the last byte."""

    connect_s: float
    read_s: float
    total_s: float


@dataclass(frozen=True)
class Target:
    """Where the body of a success goes: into what `open(status)` gives, if it has no more than `max_bytes` bytes."""

    open: Callable[[int], IO[bytes]]
    max_bytes: int


@dataclass(frozen=True)
class Answer:
    """What came over the wire. `body` of an error is cut at ERROR_BODY_LIMIT; `truncated` says that a body was cut.

    `file` stands at its end, behind the `file_bytes` that were written; a file that would have been cut is not kept.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: int
    file: IO[bytes] | None = None
    truncated: bool = False
    file_bytes: int = 0


class FileFailed(Exception):
    """The file that was to take the body could not be opened or written, for `cause`."""

    def __init__(self, cause: OSError) -> None:
        self.cause = cause
        super().__init__(type(cause).__name__)


class Transport(Protocol):
    """Sends one prepared request. Any status is an answer. Must be thread-safe.

    Raises NotSent or NoAnswer, and FileFailed where a target was given.
    """

    def send(
        self, prepared: requests.PreparedRequest, timeouts: Timeouts, *, to_file: Target | None = None
    ) -> Answer: ...

    def close(self) -> None: ...


class HttpTransport:
    """One pool of connections, shared by the threads of a session and never changed after it was made."""

    def __init__(self, width: int) -> None:
        self._session = requests.Session()
        # Proxies, .netrc and certificate bundles of the environment must not redirect or sign a call unasked.
        self._session.trust_env = False
        if settings.OUTGOING_PROXY:
            self._session.proxies = {"https": settings.OUTGOING_PROXY}
        # No cookie is kept: they would be shared state between threads and between accounts.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Retries are decided in one place, which is not here. pool_block keeps sockets within the width.
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=max(width, 1), pool_block=True, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        self._session.close()

    def send(self, prepared: requests.PreparedRequest, timeouts: Timeouts, *, to_file: Target | None = None) -> Answer:
        started = time.monotonic()
        try:
            with self._session.send(
                prepared, timeout=(timeouts.connect_s, timeouts.read_s), stream=True, allow_redirects=False
            ) as response:
                return _read(response, started, timeouts.total_s, to_file)
        except requests.RequestException as error:
            raise _translated(error) from None
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswer(type(error).__name__) from None


def _read(response: requests.Response, started: float, total_s: float, target: Target | None) -> Answer:
    """The body, bounded in size and time. All but successes stay in memory even when there is a target."""
    deadline = started + total_s
    body, file, size, truncated = b"", None, 0, False
    if target is not None and 200 <= response.status_code < 300:
        file, size = _to_file(response, target, deadline)
        truncated = file is None
    else:
        body, truncated = _in_memory(response, deadline)
    elapsed_ms = int((time.monotonic() - started) * 1000)
    return Answer(response.status_code, response.headers, body, elapsed_ms, file, truncated, size)


def _in_memory(response: requests.Response, deadline: float) -> tuple[bytes, bool]:
    """The body and whether it was cut."""
    limit = ERROR_BODY_LIMIT if response.status_code >= 400 else BODY_LIMIT
    body = bytearray()
    for chunk in response.iter_content(CHUNK):
        if time.monotonic() > deadline:
            raise NoAnswer("TotalTimeout")
        body += chunk
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


def _to_file(response: requests.Response, target: Target, deadline: float) -> tuple[IO[bytes] | None, int]:
    """The file with the whole body and its size; no file when the body is larger than the target takes."""
    announced = _announced_bytes(response)
    if announced is not None and announced > target.max_bytes:
        return None, 0
    try:
        file = target.open(response.status_code)
    except OSError as error:
        raise FileFailed(error) from error
    try:
        size = 0
        for chunk in response.iter_content(CHUNK):
            if time.monotonic() > deadline:
                raise NoAnswer("TotalTimeout")
            size += len(chunk)
            if size > target.max_bytes:
                file.close()
                return None, 0
            _write(file, chunk)
        if announced is not None and size != announced:
            raise NoAnswer("IncompleteBody")
    except BaseException:
        file.close()
        raise
    return file, size


def _write(file: IO[bytes], chunk: bytes) -> None:
    try:
        file.write(chunk)
    except OSError as error:
        raise FileFailed(error) from error


def _announced_bytes(response: requests.Response) -> int | None:
    """Content-Length where it counts the bytes that arrive here; a compressed body has another length unpacked."""
    value = response.headers.get("Content-Length", "")
    is_plain = response.headers.get("Content-Encoding", "identity").lower() == "identity"
    return int(value) if is_plain and value.isascii() and value.isdigit() else None


def _translated(error: requests.RequestException) -> NotSent | NoAnswer:
    """NotSent only where it is certain. The exception's own text is dropped: it holds the address with its query."""
    name = type(error).__name__
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return NotSent(name)
    # Other TLS failures can also happen in the middle of an answer.
    if isinstance(error, requests.exceptions.SSLError) and "CERTIFICATE_VERIFY_FAILED" in str(error):
        return NotSent("CertificateNotTrusted")
    cause = error.args[0] if error.args else None
    reason = getattr(cause, "reason", None)
    if isinstance(reason, urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError):
        return NotSent(type(reason).__name__)
    return NoAnswer(name)
