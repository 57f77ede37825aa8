"""A connection with a token, a clock that only tests move, and a vendor whose bytes each test states."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
import requests
import responses
from django.db import connection as database
from requests.structures import CaseInsensitiveDict

from portal.models import AccessToken, Connection
from portal.remote import redact
from portal.remote.session import RemoteSession
from portal.remote.transport import Answer, Target, Timeouts

API = "https://www.zohoapis.eu"
TOKEN_URL = "https://accounts.zoho.eu/oauth/v2/token"


class Clock:
    """Wall clock and monotonic clock in one; sleeping moves both and is recorded."""

    def __init__(self) -> None:
        self.moment = dt.datetime(2026, 5, 4, 12, 30, tzinfo=dt.UTC)
        self.naps: list[float] = []
        self._elapsed_s = 0.0

    def now(self) -> dt.datetime:
        return self.moment

    def monotonic(self) -> float:
        return self._elapsed_s

    def sleep(self, seconds: float) -> None:
        self.naps.append(seconds)
        self.advance(seconds)

    def advance(self, seconds: float) -> None:
        self.moment += dt.timedelta(seconds=seconds)
        self._elapsed_s += seconds

    def after(self, **span: float) -> dt.datetime:
        return self.moment + dt.timedelta(**span)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture(autouse=True)
def _stated_limits(settings: Any) -> None:
    settings.REMOTE_MAX_ATTEMPTS = 4
    settings.REMOTE_BACKOFF_S = 2.0
    settings.REMOTE_MAX_PAUSE_S = 20.0
    settings.REMOTE_BREAKER_FAILURES = 5
    settings.REMOTE_BREAKER_OPEN_S = 30.0
    settings.RUN_SETTLE_SECONDS = 2.0
    settings.CREDIT_RESERVE_PERCENT = 20
    settings.ZOHO_HEAVY_CONCURRENCY = 10


@pytest.fixture(autouse=True)
def _no_secret_of_another_test() -> Iterator[None]:
    redact.forget_all()
    yield
    redact.forget_all()


@pytest.fixture
def account(clock: Clock, db: None) -> Connection:
    return make_account(clock)


def make_account(clock: Clock, **fields: Any) -> Connection:
    values: dict[str, Any] = {
        "vendor": "zoho",
        "name": "main",
        "client_id": "1000.CLIENTID",
        "client_secret": "the-client-secret",
        "refresh_token": "1000.refresh.token",
        "accounts_url": "https://accounts.zoho.eu",
    }
    account = Connection.objects.create(**(values | fields))
    AccessToken.objects.create(
        connection=account,
        value="1000.aaaa.bbbb",
        api_domain=API,
        issued_at=clock.now(),
        expires_at=clock.after(hours=1),
        generation=1,
    )
    return account


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


OpenSession = Callable[..., RemoteSession]


@pytest.fixture
def open_session(account: Connection, clock: Clock) -> Iterator[OpenSession]:
    opened: list[RemoteSession] = []

    def open_(**options: Any) -> RemoteSession:
        session = RemoteSession(account, sleep=clock.sleep, now=clock.now, monotonic=clock.monotonic, **options)
        opened.append(session)
        return session

    yield open_
    for session in opened:
        session.close()


@pytest.fixture
def threads_may_connect(transactional_db: None, tmp_path: Path) -> Iterator[None]:
    """Each thread has its own database connection, which an SQLite database in memory cannot stand: a file can."""
    settings = database.settings_dict
    if database.vendor != "sqlite" or not database.is_in_memory_db():
        yield
        return
    in_memory, name = database.connection, settings["NAME"]
    with closing(sqlite3.connect(tmp_path / "threads.sqlite3")) as file:
        in_memory.backup(file)
    database.connection, settings["NAME"] = None, str(tmp_path / "threads.sqlite3")
    yield
    database.close()
    database.connection, settings["NAME"] = in_memory, name


def in_threads(count: int, work: Callable[[int], Any]) -> list[Any]:
    """Results of `work(0) … work(count - 1)`, started together; exceptions are results."""
    barrier = threading.Barrier(count)

    def one(number: int) -> Any:
        barrier.wait(10)
        try:
            return work(number)
        except Exception as error:
            return error
        finally:
            database.close()

    with ThreadPoolExecutor(count) as executor:
        return list(executor.map(one, range(count)))


class Script:
    """A transport that answers from a function of the request; thread-safe, counts what is in flight."""

    def __init__(self, answer: Callable[[requests.PreparedRequest], Any]) -> None:
        self._answer = answer
        self._lock = threading.Lock()
        self.sent: list[requests.PreparedRequest] = []
        self.in_flight = 0
        self.peak = 0

    def send(self, prepared: requests.PreparedRequest, timeouts: Timeouts, *, to_file: Target | None = None) -> Answer:
        with self._lock:
            self.sent.append(prepared)
            self.in_flight += 1
            self.peak = max(self.peak, self.in_flight)
        try:
            answer = self._answer(prepared)
        finally:
            with self._lock:
                self.in_flight -= 1
        if isinstance(answer, Exception):
            raise answer
        return answer

    def close(self) -> None:
        return


def answer(status: int = 200, body: Any = None, **headers: str) -> Answer:
    raw = b"" if body is None else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Answer(status, CaseInsensitiveDict({"Content-Type": "application/json", **named}), raw, elapsed_ms=7)


RINGCENTRAL = "https://platform.ringcentral.com"
LOGIN_URL = f"{RINGCENTRAL}/restapi/oauth/token"


def make_phones(clock: Clock, **fields: Any) -> Connection:
    """A RingCentral account whose token is half an hour old."""
    values: dict[str, Any] = {
        "vendor": "ringcentral",
        "name": "phones",
        "client_id": "the-rc-client",
        "client_secret": "the-rc-secret",
        "jwt": "eyJhbGciOi.the-jwt.credential",
        "accounts_url": RINGCENTRAL,
    }
    account = Connection.objects.create(**(values | fields))
    AccessToken.objects.create(
        connection=account,
        value="rc-access-token",
        api_domain=RINGCENTRAL,
        issued_at=clock.after(minutes=-30),
        expires_at=clock.after(minutes=30),
        generation=1,
    )
    return account


@pytest.fixture
def phones(clock: Clock, db: None) -> Connection:
    return make_phones(clock)


@pytest.fixture
def open_phones(phones: Connection, clock: Clock) -> Iterator[OpenSession]:
    opened: list[RemoteSession] = []

    def open_(**options: Any) -> RemoteSession:
        session = RemoteSession(phones, sleep=clock.sleep, now=clock.now, monotonic=clock.monotonic, **options)
        opened.append(session)
        return session

    yield open_
    for session in opened:
        session.close()


def rate_headers(group: str, limit: int = 10, remaining: int = 5, window_s: int = 60) -> dict[str, str]:
    return {
        "X-Rate-Limit-Group": group,
        "X-Rate-Limit-Limit": str(limit),
        "X-Rate-Limit-Remaining": str(remaining),
        "X-Rate-Limit-Window": str(window_s),
    }
