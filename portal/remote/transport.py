"""Bytes out, bytes in: the only module that speaks HTTP. It knows no database, so threads may share it."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookiejar import DefaultCookiePolicy
from typing import IO, Protocol

import requests
import urllib3
from requests.adapters import HTTPAdapter

ERROR_BODY_LIMIT = 64 * 1024
BODY_LIMIT = 64 * 1024 * 1024
SPOOL_IN_MEMORY = 1024 * 1024
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
class Answer:
    """What came over the wire. `body` of an error is cut at ERROR_BODY_LIMIT; `truncated` says that a body was cut."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: int
    file: IO[bytes] | None = None
    truncated: bool = False


class Transport(Protocol):
    """Sends one prepared request. Raises NotSent or NoAnswer; any status is an answer. Must be thread-safe."""

    def send(self, prepared: requests.PreparedRequest, timeouts: Timeouts, *, to_file: bool = False) -> Answer: ...

    def close(self) -> None: ...


class HttpTransport:
    """One pool of connections, shared by the threads of a session and never changed after it was made."""

    def __init__(self, width: int) -> None:
        self._session = requests.Session()
        # Proxies, .netrc and certificate bundles of the environment must not redirect or sign a call.
        self._session.trust_env = False
        # No cookie is kept: they would be shared state between threads and between accounts.
        self._session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
        # Retries are decided in one place, which is not here. pool_block keeps sockets within the width.
        adapter = HTTPAdapter(pool_connections=4, pool_maxsize=max(width, 1), pool_block=True, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)

    def close(self) -> None:
        self._session.close()

    def send(self, prepared: requests.PreparedRequest, timeouts: Timeouts, *, to_file: bool = False) -> Answer:
        started = time.monotonic()
        try:
            with self._session.send(
                prepared, timeout=(timeouts.connect_s, timeouts.read_s), stream=True, allow_redirects=False
            ) as response:
                return _read(response, started, timeouts.total_s, to_file=to_file)
        except requests.RequestException as error:
            raise _translated(error) from None
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswer(type(error).__name__) from None


def _read(response: requests.Response, started: float, total_s: float, *, to_file: bool) -> Answer:
    """The body, bounded in size and time. Errors stay in memory even when a file was asked for."""
    is_error = response.status_code >= 400
    limit = ERROR_BODY_LIMIT if is_error else BODY_LIMIT
    file: IO[bytes] | None = None
    if to_file and not is_error:
        file = tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY)  # noqa: SIM115 the caller closes it
    try:
        body, truncated = _fill(response, file, limit, started + total_s)
    except BaseException:
        if file is not None:
            file.close()
        raise
    if file is not None:
        file.seek(0)
    elapsed_ms = int((time.monotonic() - started) * 1000)
    return Answer(response.status_code, response.headers, body, elapsed_ms, file, truncated)


def _fill(response: requests.Response, file: IO[bytes] | None, limit: int, deadline: float) -> tuple[bytes, bool]:
    body = bytearray()
    for chunk in response.iter_content(CHUNK):
        if time.monotonic() > deadline:
            raise NoAnswer("TotalTimeout")
        if file is not None:
            file.write(chunk)
            continue
        body += chunk
        if len(body) > limit:
            return bytes(body[:limit]), True
    return bytes(body), False


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
