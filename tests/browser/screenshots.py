"""Makes the pictures of the README: `python -m tests.browser.screenshots`, from the top of the repository.

Starts a demo of its own, does a bulk update and processes calls in it, and writes
`deploy/screenshots/{home,preview,run,calls,call,connections}.png`, 1280 by 800 pixels, light, each below 200 kB. Needs Chromium. To be run by hand after the pages have changed.
"""

from __future__ import annotations

import re

from playwright.sync_api import Page, sync_playwright

from tests.browser.driving import ROOT, Visitor, launch, running_demo

FOLDER = ROOT / "deploy" / "screenshots"
MAX_BYTES = 200_000
WAIT_MS = 60_000
VALUE = "Contacted"


def take(page: Page, name: str) -> None:
    path = FOLDER / f"{name}.png"
    page.mouse.move(0, 0)
    page.screenshot(path=path, caret="initial")
    assert path.stat().st_size < MAX_BYTES, f"{path.name} has {path.stat().st_size:,} bytes"


def preview(page: Page) -> None:
    page.goto("/crm/bulk-update/")
    page.get_by_text("A custom view").click()
    page.get_by_role("combobox", name="Custom view").select_option(label="Unread leads")
    page.get_by_role("button", name="Load the records").click()
    page.get_by_label("New value").select_option(label=VALUE, timeout=WAIT_MS)
    page.get_by_role("button", name=re.compile("^Preview")).click()
    page.get_by_role("link", name=re.compile("^Update .* records")).wait_for(timeout=WAIT_MS)


def update(page: Page) -> None:
    page.get_by_role("link", name=re.compile("^Update .* records")).click()
    field = page.get_by_label("Type the number of records")
    field.fill(field.get_attribute("data-expected") or "")
    page.get_by_role("button", name=re.compile("^Update")).click()
    page.locator("#run-live [data-state^=finished]").wait_for(timeout=WAIT_MS)
    page.reload()  # without what was only said at the end


def process_calls(page: Page) -> None:
    page.goto("/calls/?process=all")
    page.get_by_role("button", name="Process calls").click()
    page.locator("#run-live [data-state^=finished]").wait_for(timeout=WAIT_MS)
    page.goto("/calls/?state=done")


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    with running_demo() as demo, sync_playwright() as playwright:
        browser = launch(playwright)
        visitor = Visitor(browser, demo.url)
        page = visitor.log_in("operator")
        page.set_viewport_size({"width": 1280, "height": 800})
        preview(page)
        take(page, "preview")
        update(page)
        take(page, "run")
        process_calls(page)
        take(page, "calls")
        page.locator("table tbody tr", has_text="Recording").locator("a").first.click()
        page.get_by_role("heading", name="What happened").wait_for()
        take(page, "call")
        page.goto("/")
        take(page, "home")
        visitor.close()
        visitor = Visitor(browser, demo.url)
        page = visitor.log_in("admin")
        page.set_viewport_size({"width": 1280, "height": 800})
        page.goto("/connections/1/")
        take(page, "connections")
        visitor.close()
        browser.close()


if __name__ == "__main__":
    main()
