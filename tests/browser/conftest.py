"""One demo for all tests of this folder, a Chromium for each module, and visitors whose pages must show no problem."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

from tests.browser.driving import Demo, Visitor, chromium_path, launch, running_demo

FOLDER = Path(__file__).parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if FOLDER in item.path.parents:
            item.add_marker(pytest.mark.browser)


@pytest.fixture(scope="session")
def installed() -> None:
    """Where CI is set, the browser is a part of the proof: its absence is a failure."""
    if chromium_path() is None:
        reason = "no Chromium is installed (looked for /usr/bin/chromium, and for chromium on PATH)"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)


@pytest.fixture(scope="session")
def demo(installed: None) -> Iterator[Demo]:
    """Ends with Ctrl-C; a process that is left behind then is an error."""
    with running_demo() as demo:
        yield demo


@pytest.fixture(scope="module")
def browser(installed: None) -> Iterator[Browser]:
    """For a module, not for the session: Playwright's loop would make Django refuse the database to later tests."""
    with sync_playwright() as playwright:
        browser = launch(playwright)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, demo: Demo) -> Iterator[Callable[..., Visitor]]:
    """visit("operator", width=390) is logged in; visit() is not. At the end none of their pages had a problem."""
    visitors: list[Visitor] = []

    def make(name: str = "", **options: int) -> Visitor:
        visitor = Visitor(browser, demo.url, **options)
        visitors.append(visitor)
        if name:
            visitor.log_in(name)
        return visitor

    yield make
    for visitor in visitors:
        visitor.close()
    assert [problem for visitor in visitors for problem in visitor.problems] == []


@pytest.fixture
def slow_vendor(demo: Demo) -> Iterator[Callable[[int], None]]:
    """slow_vendor(ms) makes each of the vendor's answers take that long, until the test ends."""
    usual = demo.steer("state")["latency_ms"]

    def slow(milliseconds: int) -> None:
        demo.steer("latency", {"ms": milliseconds})

    yield slow
    demo.steer("latency", {"ms": usual})
