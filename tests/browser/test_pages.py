"""Every page of the navigation for each role: it fits, in both colours, without an error; and the keyboard reaches it all."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import Page, TimeoutError, expect

from tests.browser.driving import Visitor, overflow

Visit = Callable[..., Visitor]
PAGES = {
    "viewer": ["Home", "Records", "Calls", "Runs", "Connections"],
    "operator": ["Home", "Records", "Bulk update", "Calls", "Runs", "Connections"],
    "supervisor": ["Home", "Records", "Bulk update", "Calls", "Runs", "Connections", "Audit"],
    "admin": ["Home", "Records", "Bulk update", "Calls", "Runs", "Schedules", "Connections", "Audit", "Admin"],
}


def look_at(page: Page) -> None:
    """In each width and each colour, without a reload: this is also what turning a telephone does."""
    for scheme, widths in (("light", (1280, 390)), ("dark", (390, 1280))):
        page.emulate_media(color_scheme=scheme)
        if "/admin/" not in page.url:
            expect(page.locator("html")).to_have_attribute("data-bs-theme", scheme)
        for width in widths:
            page.set_viewport_size({"width": width, "height": 900})
            assert overflow(page) == 0, f"{page.url} at {width} pixels, {scheme}"


@pytest.mark.parametrize("name", PAGES)
def test_each_page_of_the_navigation_fits_a_desk_and_a_telephone_in_light_and_dark(visit: Visit, name: str) -> None:
    page = visit(name).page
    links = page.get_by_role("navigation", name="Pages").get_by_role("link")
    addresses = links.evaluate_all("links => links.map(link => link.href)")
    labels = [label.split("\n")[0].strip() for label in links.all_inner_texts()]
    assert labels == PAGES[name]
    for address in addresses:
        reply = page.goto(address)
        assert reply is not None
        assert reply.status == 200, address
        expect(page.locator("h1").first).to_be_visible()
        look_at(page)


@pytest.mark.parametrize(
    "address",
    [
        "/schedules/",
        "/accounts/password/",
        "/runs/?state=waiting",
        "/runs/?q=nothing+is+called+like+this",
        "/connections/new/",
        "/connections/temporary/",
        "/connections/1/",
        "/crm/records/?module=Leads",
    ],
)
def test_pages_behind_the_navigation_fit_as_well(visit: Visit, address: str) -> None:
    page = visit("admin").page
    reply = page.goto(address)
    assert reply is not None
    assert reply.status == 200
    look_at(page)


def test_a_page_that_a_role_may_not_see_says_so_and_leads_home(visit: Visit) -> None:
    visitor = visit("viewer")
    visitor.expected_statuses = {403}
    page = visitor.page
    page.goto("/crm/bulk-update/")
    expect(page.get_by_role("alert")).to_contain_text("Your role does not allow this.")
    look_at(page)
    page.get_by_role("link", name="Go to the home page").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Home")


def test_five_wrong_passwords_pause_the_login_and_the_page_says_for_how_long(visit: Visit) -> None:
    visitor = visit()
    visitor.expected_statuses = {429, 403}
    page = visitor.page
    page.goto("/accounts/login/")
    look_at(page)
    for _ in range(5):
        page.get_by_label("Username").fill("mallory")
        page.get_by_label("Password").fill("wrong")
        page.keyboard.press("Enter")
        page.wait_for_load_state()
    expect(page.get_by_role("heading", level=1)).to_have_text("Login paused")
    expect(page.get_by_role("alert")).to_contain_text("Wait 15 min, then try again.")
    look_at(page)


def focused(page: Page) -> str:
    """Id, name or text of what has the focus."""
    return str(
        page.evaluate(
            "(e => e.id || e.getAttribute('name') || e.textContent.trim().replace(/\\s+/g, ' '))(document.activeElement)"
        )
    )


# A styled radio button shows its focus on the label beside it; the ring comes with a transition.
OUTLINED = """() => {
  const element = document.activeElement;
  const style = getComputedStyle(element.matches(".form-selectgroup-input") ? element.nextElementSibling : element);
  return style.outlineStyle !== "none" || style.boxShadow !== "none";
}"""


def tab_through(page: Page, steps: int) -> list[str]:
    """What gets the focus, each time with a visible outline."""
    found = []
    for _ in range(steps):
        page.keyboard.press("Tab")
        found.append(focused(page))
        try:
            page.wait_for_function(OUTLINED, timeout=2000)
        except TimeoutError as error:
            raise AssertionError(f"{found[-1]} has the focus, and nothing shows it") from error
    return found


def test_the_keyboard_alone_logs_in_skips_to_the_content_and_fills_the_form(visit: Visit) -> None:
    page = visit().page
    page.goto("/accounts/login/?next=/crm/bulk-update/")
    page.get_by_label("Username").focus()
    page.keyboard.type("operator")
    page.keyboard.press("Tab")
    page.keyboard.type("demo")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("Which records?")
    assert tab_through(page, 1) == ["Skip to the content"]
    page.keyboard.press("Enter")
    assert tab_through(page, 4) == ["id_module", "source", "id_ids", "Load the records"]
    page.keyboard.press("Shift+Tab")
    page.keyboard.type("5725767010001082706")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_have_text("What should change in 1 record?", timeout=60_000)
    page.get_by_role("button", name="Discard this plan").press("Enter")
    expect(page.get_by_text("Nothing was written")).to_be_visible()


def test_menus_open_and_close_by_keyboard_and_the_focus_returns(visit: Visit) -> None:
    page = visit("operator").page
    menu = page.locator("summary.topbar-user")
    menu.focus()
    page.keyboard.press("Enter")
    expect(page.get_by_role("button", name="Log out")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Log out")).to_be_hidden()
    expect(menu).to_be_focused()
    page.get_by_label("Colours").press("Enter")
    page.get_by_role("button", name="Dark").press("Enter")
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
    page.reload()
    expect(page.locator("html")).to_have_attribute("data-bs-theme", "dark")
