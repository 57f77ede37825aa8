"""A running demo and a Chromium that drives it, for the tests of this folder and for `screenshots.py`."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import psutil
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, Request, TimeoutError

ROOT = Path(__file__).resolve().parents[2]
PASSWORD = "demo"
START_SECONDS = 120.0
STOP_SECONDS = 40.0
LOOPBACK = {"127.0.0.1", "localhost"}
# Chromium speaks to nobody but the demo.
ARGUMENTS = (
    "--no-sandbox",
    "--headless",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
# The page reports what its content security policy refused; the console alone can be cleared.
WATCH_POLICY = """
  document.addEventListener("securitypolicyviolation", (event) =>
    console.error(`policy violation: ${event.violatedDirective} ${event.blockedURI} ${event.sourceFile || ""}`));
"""

Scheme = Literal["light", "dark"]


def chromium_path() -> str | None:
    """Where Chromium is installed; None when it is not."""
    for name in ("/usr/bin/chromium", "chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    return None


def launch(playwright: Playwright) -> Browser:
    return playwright.chromium.launch(executable_path=chromium_path(), headless=True, args=list(ARGUMENTS))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        number: int = probe.getsockname()[1]
        return number


class Demo:
    """`manage.py demo` as a subprocess on a free port, with a database of its own."""

    def __init__(self) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = ROOT / "var" / "demo" / str(self.port)
        # The vendor is asked again sooner than in real life, so that nobody waits for it here.
        variables = os.environ | {"DJANGO_SETTINGS_MODULE": "portal.settings", "REMOTE_BREAKER_OPEN_S": "5"}
        self.process = subprocess.Popen(
            [sys.executable, "manage.py", "demo", f"--port={self.port}", "--fresh"], cwd=ROOT, env=variables, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        self.family: list[psutil.Process] = []

    def wait(self) -> None:
        """Until the demo says that it is ready; fails with what it printed when it ends before that."""
        said: list[str] = []
        deadline = time.monotonic() + START_SECONDS
        assert self.process.stdout is not None
        for line in self.process.stdout:
            said.append(line)
            if "Ctrl-C ends everything" in line:
                return
            assert time.monotonic() < deadline, "".join(said)
        raise AssertionError(f"the demo ended with {self.process.wait()}:\n{''.join(said)}")

    def members(self) -> list[psutil.Process]:
        """The demo and all that it started, each in whatever session it is."""
        return [psutil.Process(self.process.pid), *psutil.Process(self.process.pid).children(recursive=True)]

    def part(self, *words: str) -> psutil.Process:
        """The process whose command line has these words: part("manage.py", "worker")."""
        for member in self.members():
            if set(words) <= set(member.cmdline()):
                return member
        raise AssertionError(f"no process of the demo has {words} on its command line")

    @property
    def standin_url(self) -> str:
        port = next(word.removeprefix("--port=") for word in self.part("standin").cmdline() if "--port=" in word)
        return f"http://127.0.0.1:{port}/_standin/"

    def steer(self, action: str, body: Any = None) -> Any:
        """The stand-in's control door: steer("latency", {"ms": 400}); without a body it only looks."""
        data = None if body is None else json.dumps(body).encode()
        with urllib.request.urlopen(urllib.request.Request(self.standin_url + action, data), timeout=10) as reply:
            return json.load(reply)

    def end(self) -> list[str]:
        """Ctrl-C; returns the command lines of what is left afterwards (and kills it), and forgets the database."""
        family = self.members() if self.process.poll() is None else []
        self.process.send_signal(signal.SIGINT)
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass  # it is then among what is left
        _, alive = psutil.wait_procs(family, timeout=5)
        left = [" ".join(member.cmdline()) for member in alive]
        for member in alive:
            member.kill()
        self.process.communicate()
        shutil.rmtree(self.folder, ignore_errors=True)
        return left


@contextmanager
def running_demo() -> Iterator[Demo]:
    demo = Demo()
    try:
        demo.wait()
        yield demo
    finally:
        left = demo.end()
    assert not left, f"the demo left processes behind: {left}"


class Visitor:
    """A browser session of one person; collects whatever went wrong on any of its pages."""

    def __init__(self, browser: Browser, url: str, *, width: int = 1280, scheme: Scheme = "light") -> None:
        height = 900 if width > 700 else 844
        self.url = url
        self.problems: list[str] = []
        self.expected_statuses: set[int] = set()
        self.context: BrowserContext = browser.new_context(
            base_url=url, viewport={"width": width, "height": height}, color_scheme=scheme, reduced_motion="reduce"
        )
        self.context.add_init_script(WATCH_POLICY)
        self.context.on("page", self._watch)
        self.page = self.context.new_page()

    def _watch(self, page: Page) -> None:
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self.problems.append(f"{page.url}: {error}"))
        page.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        # Chromium reports the status of a page that is an error page; some of them are the point of a test.
        if any(f"responded with a status of {status}" in message.text for status in self.expected_statuses):
            return
        if message.type in ("error", "warning"):
            self.problems.append(f"{message.location.get('url', '')}: {message.text}")

    def _on_request(self, request: Request) -> None:
        address = urlsplit(request.url)
        if address.scheme in ("http", "https", "ws", "wss") and address.hostname not in LOOPBACK:
            self.problems.append(f"request outside the machine: {request.url}")

    def log_in(self, name: str) -> Page:
        self.page.goto("/accounts/login/")
        self.page.get_by_label("Username").fill(name)
        self.page.get_by_label("Password").fill(PASSWORD)
        self.page.get_by_role("button", name="Log in").click()
        self.page.wait_for_url(f"{self.url}/")
        return self.page

    def close(self) -> None:
        self.context.close()


FITS = "() => document.scrollingElement.scrollWidth <= window.innerWidth"
EXCESS = "() => document.scrollingElement.scrollWidth - window.innerWidth"


def overflow(page: Page) -> int:
    """By how many pixels the page is wider than its window, once it is laid out: a busy machine takes its time."""
    try:
        page.wait_for_function(FITS, timeout=3000)
    except TimeoutError:
        return int(page.evaluate(EXCESS))
    return 0
