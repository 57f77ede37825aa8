"""Real processes against the stand-in over real sockets, all on one database."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
from django.db import connection

from portal.standin import StandinServer

ROOT = Path(__file__).resolve().parents[2]


def database_url() -> str:
    """The test database, as another process reaches it."""
    values = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{values['NAME']}"
    password = f":{values['PASSWORD']}" if values["PASSWORD"] else ""
    return f"postgres://{values['USER']}{password}@{values['HOST']}:{values['PORT'] or 5432}/{values['NAME']}"


@pytest.fixture
def environment(transactional_db: None) -> dict[str, str]:
    """Variables of a process of the portal that works on the test's database."""
    return os.environ | {
        "DATABASE_URL": database_url(),
        "DJANGO_SETTINGS_MODULE": "portal.settings",
        "RUN_SETTLE_SECONDS": "2",
        "RUN_SLICE_SECONDS": "5",
        "LOG_LEVEL": "WARNING",
    }


@pytest.fixture
def manage(environment: dict[str, str]) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Starts `manage.py …`; what is still alive at the end of the test is killed with its children."""
    started: list[subprocess.Popen[str]] = []

    def start(*arguments: str, **extra: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment | extra, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip
        started.append(process)
        return process

    yield start
    for process in started:
        end(process)


def end(process: subprocess.Popen[str]) -> None:
    """Kills the process and all it started, and closes its pipes."""
    try:
        family = [psutil.Process(process.pid), *psutil.Process(process.pid).children(recursive=True)]
    except psutil.NoSuchProcess:
        family = []
    for member in family:
        try:
            member.send_signal(signal.SIGKILL)
        except psutil.NoSuchProcess:
            pass
    process.communicate()


def wait_until_gone(server: StandinServer, before: frozenset[tuple[str, int]]) -> None:
    """Until what a dead process had sent has had its effect: nobody is connected who was not there `before`.

    What it had sent may still lie in a socket that nobody has opened. Connections are accepted in the order in which
    they came, so when a probe is in, all that were older are.
    """
    deadline = time.monotonic() + 10
    with socket.create_connection((server.host, server.port)) as probe:
        mine = probe.getsockname()
        while mine not in server.clients() or server.clients() - before - {mine}:
            assert time.monotonic() < deadline, "a dead process is still connected"
            time.sleep(0.005)
