"""Fixtures that all tests share: the stand-in with a connection to it, people of each role, a worker without processes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.contrib.auth.models import Group, User
from django.test import Client
from django.utils import timezone

from portal import runs
from portal.models import Connection, Run
from portal.standin import Standin, StandinServer


@pytest.fixture(autouse=True)
def quick_waits(settings: Any) -> None:
    """No test waits for an unanswered call to settle, nor for a back-off, longer than it must."""
    settings.RUN_SETTLE_SECONDS = 0
    settings.REMOTE_BACKOFF_S = 0.01


@pytest.fixture
def standin() -> Standin:
    return Standin(leads=3000)


@pytest.fixture
def standin_server(standin: Standin) -> Iterator[StandinServer]:
    with StandinServer(standin) as server:
        yield server


@pytest.fixture
def standin_url(standin_server: StandinServer) -> str:
    return standin_server.url


def connection_to(url: str, **values: Any) -> Connection:
    """A Zoho connection whose vendor is the stand-in at that address."""
    defaults: dict[str, Any] = {
        "vendor": "zoho",
        "name": "Demo",
        "accounts_url": url,
        "api_domain": url,
        "client_id": "standin-client",
        "client_secret": "standin-secret",
        "refresh_token": "standin-refresh",
        "is_default": True,
        "environment": Connection.Environment.STANDIN,
        "state": Connection.State.WORKING,
    }
    return Connection.objects.create(**defaults | values)


@pytest.fixture
def zoho(db: None, standin_url: str) -> Connection:
    return connection_to(standin_url)


def ringcentral_connection_to(url: str, **values: Any) -> Connection:
    """A RingCentral connection whose vendor is the stand-in at that address."""
    defaults: dict[str, Any] = {
        "vendor": "ringcentral",
        "name": "Demo phones",
        "accounts_url": url,
        "client_id": "standin-rc-client",
        "client_secret": "standin-rc-secret",
        "jwt": "standin-rc-jwt",
        "is_default": True,
        "environment": Connection.Environment.STANDIN,
        "state": Connection.State.WORKING,
    }
    return Connection.objects.create(**defaults | values)


@pytest.fixture
def ringcentral(db: None, standin_url: str) -> Connection:
    return ringcentral_connection_to(standin_url)


@pytest.fixture
def person(db: None) -> Callable[..., User]:
    """Makes a user of a role: person("Operator")."""

    def make(role: str | None = None, name: str = "", **values: Any) -> User:
        user = User.objects.create_user(name or (role or "nobody").lower(), password="correct horse battery", **values)
        if role:
            user.groups.add(Group.objects.get(name=role))
        return user

    return make


@pytest.fixture
def login(person: Callable[..., User]) -> Callable[..., Client]:
    """A browser in which somebody of the role is logged in."""

    def make(role: str | None = None, **values: Any) -> Client:
        client = Client()
        client.force_login(person(role, **values), backend="django.contrib.auth.backends.ModelBackend")
        return client

    return make


@pytest.fixture
def work() -> Callable[[Run], Run]:
    """Works a run as a worker would, slice by slice, until it ends or needs a person; waits end at once."""

    def until_idle(run: Run, slices: int = 200) -> Run:
        for _ in range(slices):
            runs.wake(run.pk)
            run.refresh_from_db()
            if not run.is_open or run.waits_for_people:
                return run
            Run.objects.filter(pk=run.pk, not_before__isnull=False).update(not_before=timezone.now())
        raise AssertionError(f"run {run.pk} is still {run.state} ({run.wait}: {run.wait_detail})")

    return until_idle
