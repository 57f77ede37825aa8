"""The demo: a stand-in, the web server and a worker as one process tree that ends as a whole."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import FrameType
from typing import Any

from django.conf import settings
from django.contrib.auth.models import Group, User
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections as database

from portal import connections
from portal.connections import check as connection_check
from portal.models import Connection, Vendor
from portal.processes import die_with_parent
from telephony import demo_offices

# For made-up data behind the loopback interface only.
PASSWORD = "demo"  # noqa: S105
PEOPLE = (("viewer", "Viewer"), ("operator", "Operator"), ("supervisor", "Supervisor"), ("admin", "Administrator"))
LEADS = 12_000
CALLS = 400
LATENCY_MS = 150
# RingCentral's own limits (10 recordings a minute) would make a first look at a week of calls take a quarter of an hour.
CALLS_PER_MINUTE = 300
START_SECONDS = 60.0
STOP_SECONDS = 20.0


class Command(BaseCommand):
    help = "Starts everything needed to try the portal without an account anywhere; Ctrl-C ends it all."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8000)
        parser.add_argument("--fresh", action="store_true", help="Forget what was done in earlier demos.")
        # The parent starts this command once more with the demo's settings, to prepare the database.
        parser.add_argument("--prepare", action="store_true", help="Used by the command itself.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["prepare"]:
            prepare()
            return
        Demo(options["port"], fresh=options["fresh"], say=self._say).run()

    def _say(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.flush()


def prepare() -> None:
    """Database, people, checked connections and offices, with the demo's own settings."""
    call_command("migrate", verbosity=0)
    for name, role in PEOPLE:
        user, _ = User.objects.get_or_create(username=name, defaults={"is_staff": role == "Administrator"})
        if not user.check_password(PASSWORD):
            user.set_password(PASSWORD)
            user.save()
        user.groups.add(Group.objects.get(name=role))
    connections.sync_environment()
    zoho, ringcentral = _checked(Vendor.ZOHO), _checked(Vendor.RINGCENTRAL)
    demo_offices.set_up(ringcentral, zoho, User.objects.get(username="admin"))
    database.close_all()


def _checked(vendor: str) -> Connection:
    connection = connections.choose(None, vendor)
    if connection is None:
        raise CommandError(f"The demo's connection to {Vendor(vendor).label} is missing.", returncode=2)
    connection_check.check(connection)
    return connection


class Demo:
    """Starts the parts in order, watches them, and ends all of them when one ends or when it is told to."""

    def __init__(self, port: int, *, fresh: bool, say: Any) -> None:
        self.port = port
        self.say = say
        # By port, so that two demos at the same time do not share a database.
        self.folder = Path(settings.VAR_DIR) / "demo" / str(port)
        self.children: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.is_stopping = False
        self._require_free(port, "--port")
        if fresh:
            shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.standin_port = _free_port()

    def run(self) -> None:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._stop)
        try:
            self._start("stand-in", "standin", f"--port={self.standin_port}", f"--leads={LEADS}", f"--calls={CALLS}",
                        f"--latency-ms={LATENCY_MS}", output=subprocess.DEVNULL)  # fmt: skip
            self._until_answers(f"{self._vendor}/_standin/state", "stand-in")
            self._widen_limits()
            self._prepare()
            self._start("worker", "worker")
            self._start_web()
            self._until_answers(f"http://127.0.0.1:{self.port}/healthz", "web server")
            self._welcome()
            self._watch()
        finally:
            self._end()

    def _welcome(self) -> None:
        names = ", ".join(f"{name} ({role})" for name, role in PEOPLE)
        self.say(
            f"\nThe portal is ready:  http://127.0.0.1:{self.port}/\n"
            f"Log in as:            {names}\n"
            f"Password:             {PASSWORD}\n"
            f"{LEADS:,} made-up leads are in the stand-in for Zoho CRM, {CALLS} calls of the last seven days in that for "
            f"RingCentral. Ctrl-C ends everything.\n"
        )

    @property
    def _vendor(self) -> str:
        return f"http://127.0.0.1:{self.standin_port}"

    def _widen_limits(self) -> None:
        """The portal learns the limits from the answers of the stand-in."""
        limits = {f"{group}_limit": CALLS_PER_MINUTE for group in ("light", "medium", "heavy")}
        urllib.request.urlopen(
            f"{self._vendor}/_standin/ringcentral/settings", json.dumps(limits).encode(), timeout=10
        ).close()

    def _environment(self) -> dict[str, str]:
        limits = {f"RINGCENTRAL_{group}_PER_MINUTE": str(CALLS_PER_MINUTE) for group in ("LIGHT", "MEDIUM", "HEAVY")}
        return os.environ | {
            "DEBUG": "true",
            "HTTPS": "false",
            "DATABASE_URL": f"sqlite:///{self.folder / 'portal.sqlite3'}",
            "ALLOW_INSECURE_VENDORS": "true",
            "ALLOWED_HOSTS": "127.0.0.1,localhost",
            "PUBLIC_URL": f"http://127.0.0.1:{self.port}",
            "ZOHO_CLIENT_ID": "standin-client",
            "ZOHO_CLIENT_SECRET": "standin-secret",
            "ZOHO_REFRESH_TOKEN": "standin-refresh",
            "ZOHO_ACCOUNTS_URL": self._vendor,
            "ZOHO_API_DOMAIN": self._vendor,
            "RINGCENTRAL_SERVER_URL": self._vendor,
            "RINGCENTRAL_MEDIA_URL": self._vendor,
            "RINGCENTRAL_CLIENT_ID": "standin-rc-client",
            "RINGCENTRAL_CLIENT_SECRET": "standin-rc-secret",
            "RINGCENTRAL_JWT": "standin-rc-jwt",
            "LOG_LEVEL": os.environ.get("LOG_LEVEL", "WARNING"),
            "PYTHONUNBUFFERED": "1",
            **limits,
        }

    def _require_free(self, port: int, option: str) -> None:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError as error:
                text = f"Port {port} is in use. Choose another one with {option}, for example {option} {port + 1}."
                raise CommandError(text, returncode=2) from error

    def _prepare(self) -> None:
        self.say("Preparing the database …")
        done = subprocess.run([sys.executable, sys.argv[0], "demo", "--prepare"], env=self._environment(), check=False)
        if done.returncode:
            raise CommandError("The database could not be prepared; the reason stands above.", returncode=2)

    def _start(self, name: str, *arguments: str, output: int | None = None) -> None:
        self._launch(name, [sys.executable, sys.argv[0], *arguments], output=output)

    def _start_web(self) -> None:
        self._launch(
            "web server",
            [sys.executable, "-m", "gunicorn", "portal.wsgi", f"--bind=127.0.0.1:{self.port}", "--workers=1",
             "--threads=8", "--log-level=warning"],
        )  # fmt: skip

    def _launch(self, name: str, command: list[str], output: int | None = None) -> None:
        process = subprocess.Popen(
            command, env=self._environment(), start_new_session=True, preexec_fn=die_with_parent, stdout=output
        )
        self.children.append((name, process))

    def _until_answers(self, url: str, name: str) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline and not self.is_stopping:
            self._require_alive()
            try:
                with urllib.request.urlopen(url, timeout=2):
                    return
            except urllib.error.HTTPError:
                return
            except OSError:
                time.sleep(0.1)
        if not self.is_stopping:
            raise CommandError(f"The {name} did not answer within {START_SECONDS:.0f} seconds.", returncode=1)

    def _require_alive(self) -> None:
        for name, process in self.children:
            if process.poll() is not None and not self.is_stopping:
                raise CommandError(f"The {name} ended with exit code {process.returncode}.", returncode=1)

    def _watch(self) -> None:
        while not self.is_stopping:
            self._require_alive()
            time.sleep(0.2)

    def _stop(self, number: int, frame: FrameType | None) -> None:
        self.is_stopping = True

    def _end(self) -> None:
        """Web first, so that nobody starts anything new; then the worker; the stand-in last."""
        self.is_stopping = True
        for _, process in reversed(self.children):
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                pass
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass  # it and all its children have ended
            process.wait()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number
