"""The bulk update as a person meets it: from the log in to the restore, with double clicks, tabs, reloads and garbage."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Page, expect

from tests.browser.driving import Demo, Visitor, overflow

VIEW = "Unread leads"
VIEW_SIZE = 2350
FINISHED = re.compile("finished")
# For what a worker does meanwhile.
PATIENCE_MS = 60_000

Visit = Callable[..., Visitor]
Slow = Callable[[int], None]


def statuses(demo: Demo) -> dict[str, str]:
    """What the stand-in holds: the status of each lead."""
    rows = demo.steer("records", {"module": "Leads", "fields": ["id", "Lead_Status"]})["data"]
    return {row["id"]: row["Lead_Status"] for row in rows}


def effective_writes(demo: Demo) -> int:
    return int(demo.steer("writes")["effective"])


def number_in(text: str | None) -> int:
    """Update 2,124 records → 2124."""
    found = re.search(r"\d[\d,]*", text or "")
    assert found, text
    return int(found.group().replace(",", ""))


def load_view(page: Page) -> None:
    """Step 1: the records of the view."""
    page.get_by_role("navigation", name="Pages").get_by_role("link", name="Bulk update").click()
    page.get_by_text("A custom view").click()
    page.get_by_role("combobox", name="Custom view").select_option(label=VIEW)
    page.get_by_role("button", name="Load the records").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(
        f"What should change in {VIEW_SIZE:,} records?", timeout=PATIENCE_MS
    )


def preview(page: Page, value: str) -> int:
    """Steps 2 and 3: the new value; returns how many records will change."""
    page.get_by_label("New value").select_option(label=value)
    page.get_by_role("button", name=f"Preview {VIEW_SIZE:,} records").click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text(re.compile(f"of {VIEW_SIZE:,} records will change"), timeout=PATIENCE_MS)
    return number_in(heading.text_content())


def to_confirmation(page: Page, count: int, verb: str = "Update") -> None:
    """Step 4, with the number typed."""
    page.get_by_role("link", name=f"{verb} {count:,} records …").click()
    button = page.get_by_role("button", name=f"{verb} {count:,} records")
    expect(button).to_be_disabled()
    field = page.get_by_label("Type the number of records")
    field.fill(str(count - 1))
    expect(button).to_be_disabled()
    field.fill(f"{count:,}")
    expect(button).to_be_enabled()


def finished(page: Page) -> None:
    expect(page.locator("#run-live [data-state]")).to_have_attribute("data-state", FINISHED, timeout=PATIENCE_MS)


def chip(page: Page, part: str, name: str) -> int:
    """The count of a filter: chip(page, "Outcome", "OK")."""
    link = page.get_by_role("navigation", name=part).get_by_role("link", name=re.compile(rf"^{name}\s"))
    return number_in((link.text_content() or "").replace(name, ""))


def row_with(page: Page, code: str) -> str:
    """The id of the first record listed with that code."""
    return page.locator("#run-items tbody tr", has_text=code).first.locator("td .mono").first.inner_text()


# --- the whole way ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "value"), [(1280, "Contacted"), (390, "On Hold")])
def test_a_new_user_updates_a_view_reads_the_failures_retries_and_restores(
    visit: Visit, demo: Demo, slow_vendor: Slow, width: int, value: str
) -> None:
    before = statuses(demo)
    visitor = visit(width=width)
    page = visitor.page
    page.goto("/crm/bulk-update/")
    page.get_by_label("Username").fill("operator")
    page.get_by_label("Password").fill("demo")
    page.keyboard.press("Enter")
    if width < 700:
        page.get_by_role("button", name="Menu").click()
    load_view(page)
    count = preview(page, value)
    assert overflow(page) == 0
    expect(page.locator("tbody tr").first).to_contain_text(f"→ {value}")
    to_confirmation(page, count)
    assert overflow(page) == 0
    slow_vendor(1500)
    page.get_by_role("button", name=f"Update {count:,} records").click()
    watch(page)
    slow_vendor(20)
    mended = read_the_failures(page, demo, count)
    retry(page, mended)
    restore(page)
    after = statuses(demo)
    assert {lead for lead in before if before[lead] != after[lead]} == {mended}
    assert after[mended] == value


def watch(page: Page) -> None:
    """The run is seen at work, in the page and in its title, and then ends by itself."""
    expect(page).to_have_url(re.compile(r"/runs/\d+/$"))
    expect(page.locator("#run-live")).to_contain_text("The work goes on on the server. You may close this tab.")
    expect(page).to_have_title(re.compile(rf"^[\d,]+ of {VIEW_SIZE:,}.* · Run \d+"))
    finished(page)
    expect(page.locator("#run-live")).to_contain_text(f"{VIEW_SIZE:,} of {VIEW_SIZE:,} done (100 %)")
    assert overflow(page) == 0


def read_the_failures(page: Page, demo: Demo, count: int) -> str:
    """The numbers add up and each failure has its reason; one lead is then mended in Zoho. Returns its id."""
    outcomes = page.get_by_role("navigation", name="Outcome")
    # The list is read anew when the run has ended; until then it may say 0.
    expect(outcomes.get_by_role("link", name=re.compile(r"^Failed\s+[1-9]"))).to_be_visible()
    failed = chip(page, "Outcome", "Failed")
    assert chip(page, "Outcome", "OK") == count - failed
    assert chip(page, "Outcome", "Skipped") == VIEW_SIZE - count
    page.get_by_role("link", name="show the failed records").click()
    rows = page.locator("#run-items tbody tr")
    expect(rows).to_have_count(failed)
    assert all("Failed" in text for text in rows.all_inner_texts())
    page.get_by_role("navigation", name="Reasons").get_by_role("link", name="MANDATORY_NOT_FOUND").click()
    expect(page).to_have_url(re.compile("code=MANDATORY_NOT_FOUND"))
    expect(rows.first).to_contain_text("Company")
    mended = row_with(page, "MANDATORY_NOT_FOUND")
    demo.steer("edit", {"module": "Leads", "id": mended, "values": {"Company": "Mended Movers"}})
    return mended


def retry(page: Page, mended: str) -> None:
    """A run of its own with the failed records: the mended one is now done. Leads back to the first run."""
    page.get_by_role("button", name="Retry failed").click()
    page.get_by_role("button", name=re.compile("^Retry .* records")).click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("Retry 1 of run")
    finished(page)
    page.reload()
    page.get_by_role("navigation", name="Outcome").get_by_role("link", name=re.compile(r"^OK\s")).click()
    expect(page.locator("#run-items tbody tr")).to_have_count(1)
    expect(page.locator("#run-items tbody tr")).to_contain_text(mended)
    page.get_by_role("link", name=re.compile("Retry of run")).click()


def restore(page: Page) -> None:
    """Puts back what the first run overwrote, after a preview of its own."""
    page.get_by_role("button", name="Restore previous values").click()
    page.get_by_role("button", name="Prepare the restore").click()
    heading = page.get_by_role("heading", level=1)
    expect(heading).to_have_text(re.compile("records will change"), timeout=PATIENCE_MS)
    count = number_in(heading.text_content())
    to_confirmation(page, count, "Restore")
    page.get_by_role("button", name=f"Restore {count:,} records").click()
    finished(page)
    expect(page.locator("#run-live")).to_contain_text(f"{count:,} of {count:,} done (100 %)")


# --- what hurried people do ---------------------------------------------------------------------------------------------


def test_a_double_click_a_reload_and_the_back_button_start_one_run(visit: Visit, demo: Demo) -> None:
    page = visit("operator").page
    load_view(page)
    count = preview(page, "Not Qualified")
    to_confirmation(page, count)
    writes = effective_writes(demo)
    page.get_by_role("button", name=f"Update {count:,} records").dblclick()
    expect(page).to_have_url(re.compile(r"/runs/\d+/$"))
    address = page.url
    page.reload()
    page.go_back()
    expect(page).to_have_url(address)
    finished(page)
    page.go_back()
    page.go_forward()
    page.goto(address)
    assert effective_writes(demo) - writes == chip(page, "Outcome", "OK")


def test_a_second_tab_shows_the_same_and_closing_the_browser_changes_nothing(
    visit: Visit, demo: Demo, slow_vendor: Slow
) -> None:
    visitor = visit("operator")
    page = visitor.page
    load_view(page)
    count = preview(page, "Junk Lead")
    to_confirmation(page, count)
    slow_vendor(1500)
    page.get_by_role("button", name=f"Update {count:,} records").click()
    expect(page).to_have_url(re.compile(r"/runs/\d+/$"))
    address = page.url
    second = visitor.context.new_page()
    second.goto(address)
    for tab in (page, second):
        expect(tab.locator("#run-live [data-state]")).to_have_attribute("data-state", re.compile("queued|running"))
    visitor.close()
    slow_vendor(20)
    page = visit("operator").page
    page.goto(address)
    finished(page)
    page.reload()
    assert chip(page, "Outcome", "OK") + chip(page, "Outcome", "Failed") == count
    assert list(statuses(demo).values()).count("Junk Lead") >= chip(page, "Outcome", "OK")


def test_garbage_an_empty_list_and_an_unknown_view_say_what_to_do(visit: Visit) -> None:
    page = visit("operator").page
    page.goto("/crm/bulk-update/")
    page.get_by_role("button", name="Load the records").click()
    expect(page.get_by_text("The list is empty. Give at least one record id.")).to_be_visible()
    page.get_by_label("Record ids").fill("hello\n<script>alert(1)</script>\n5.72577E+18")
    page.get_by_role("button", name="Load the records").click()
    expect(page.get_by_text("Line 1, “hello”: not a record id")).to_be_visible()
    expect(page.get_by_label("Record ids")).to_have_value(re.compile("hello"))
    page.get_by_text("A custom view").click()
    page.get_by_label("or its number").fill("99999")
    page.get_by_role("button", name="Load the records").click()
    expect(page.get_by_text("Zoho refused to list the view “number 99999”")).to_be_visible(timeout=PATIENCE_MS)
    page.get_by_role("button", name="Choose other records").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Which records?")


def test_a_vendor_that_is_down_is_named_and_the_plan_goes_on_when_it_is_back(visit: Visit, demo: Demo) -> None:
    page = visit("operator").page
    load_view(page)
    page.get_by_label("New value").select_option(label="Closed Lost")
    demo.steer("faults", [{"status": 503, "html": True}])
    try:
        page.get_by_role("button", name=f"Preview {VIEW_SIZE:,} records").click()
        expect(page.get_by_text("Waiting for the vendor to answer again.")).to_be_visible(timeout=PATIENCE_MS)
    finally:
        demo.steer("faults", [])
    page.goto(page.url.replace("/crm/bulk-update/", "/runs/"))
    expect(page.locator("#run-live")).to_contain_text("It goes on by itself")
    page.get_by_role("button", name="Try now").click()
    page.get_by_role("link", name="Look at the preview").first.click(timeout=PATIENCE_MS)
    expect(page.get_by_role("heading", level=1)).to_have_text(re.compile("records will change"), timeout=PATIENCE_MS)
    page.get_by_role("button", name="Discard this plan").click()
    expect(page.get_by_text("Nothing was written; Resume brings the plan back.")).to_be_visible()
