"""Preview and confirmation of the bulk update, and the safety of its pages."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm import bulk_update
from portal import runs
from portal.models import AuditEntry, Connection, Run, RunItem
from portal.standin import Standin
from tests.crm.clicking import PAGE, Work, choose, confirm, plan_of, preview, text_of, url_of, writes_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(login: Callable[..., Client], zoho: Connection) -> Client:
    return login("Operator")


@pytest.fixture
def leads(plain_leads: Callable[[int], list[str]]) -> list[str]:
    return plain_leads(40)


# --- nothing to change, and what stands in the way ------------------------------------------------------------------------


def test_a_plan_that_changes_nothing_has_no_button_and_refuses_a_direct_post(
    browser: Client, standin: Standin, leads: list[str], work: Work
) -> None:
    for record_id in leads[:2]:
        standin.set_record("Leads", record_id, {"Lead_Status": "Junk Lead"})
    run = preview(browser, work, leads[:2])
    page = text_of(browser.get(url_of(run)))
    assert "There is nothing to change" in page
    assert "disabled>Update 0 records</button>" in page
    response = confirm(browser, run)
    assert response.status_code == 422
    assert "There is nothing to change" in text_of(response)
    run.refresh_from_db()
    assert run.wait == Run.Wait.CONFIRMATION
    assert not writes_of(standin)


def test_a_value_or_field_that_is_not_offered_is_refused(browser: Client, leads: list[str], work: Work) -> None:
    run = work(plan_of(choose(browser, ids=leads[0])))
    for change in ({"value": "Nonsense"}, {"field": "Annual_Revenue"}, {"automation": "maybe"}):
        data = {"field": "Lead_Status", "value": "Junk Lead", "automation": "off"} | change
        response = browser.post(url_of(run, "change"), data)
        assert response.status_code == 200, change
        assert "not one of the available choices" in text_of(response)
    run.refresh_from_db()
    assert run.wait == Run.Wait.CHANGE


def test_another_change_reads_and_decides_anew(browser: Client, standin: Standin, leads: list[str], work: Work) -> None:
    standin.set_record("Leads", leads[0], {"Lead_Status": "Contacted"})
    run = preview(browser, work, leads[:2], value="Contacted")
    assert run.items.get(key=leads[0]).code == "UNCHANGED"
    browser.post(url_of(run, "change"), {"field": "Lead_Status", "value": "Junk Lead", "automation": "on"})
    work(run)
    assert set(run.items.values_list("state", "after__Lead_Status")) == {("planned", "Junk Lead")}
    assert "on: workflows, approvals and blueprints run" in text_of(browser.get(url_of(run)))


def test_the_preview_names_reasons_and_present_values_and_filters_by_them(
    browser: Client, standin: Standin, leads: list[str], work: Work
) -> None:
    standin.set_record("Leads", leads[0], {"Lead_Status": "Junk Lead"})
    standin.set_record("Leads", leads[1], {"Locked__s": True})
    run = preview(browser, work, [*leads[:4], "999999"])
    page = text_of(browser.get(url_of(run)))
    assert "2 of 5 records will change" in page
    for words in ("Already have this value 1", "Locked records 1", "Not found in Zoho 1"):
        assert words in page
    assert leads[0] not in page
    assert "unlock it there" in text_of(browser.get(url_of(run) + "?show=RECORD_LOCKED"))
    found = text_of(browser.get(url_of(run) + f"?show=change&search={leads[2]}"))
    assert leads[2] in found
    assert leads[3] not in found
    rows = list(csv.DictReader(io.StringIO(text_of(browser.get(url_of(run, "plan-csv"))).removeprefix("\ufeff"))))
    assert [row["id"] for row in rows] == [*leads[:4], "999999"]
    assert [row["code"] for row in rows] == ["UNCHANGED", "RECORD_LOCKED", "", "", "NOT_FOUND"]


def test_records_are_left_out_by_hand_and_stay_listed(
    browser: Client, standin: Standin, leads: list[str], work: Work
) -> None:
    run = preview(browser, work, leads[:3])
    stale = run.fingerprint
    browser.post(url_of(run, "leave-out"), {"choose": [leads[1], "12345"]})
    page = text_of(browser.get(url_of(run)))
    assert "2 of 3 records will change" in page
    assert "Left out by hand 1" in page
    assert confirm(browser, run, fingerprint=stale).status_code == 422
    assert confirm(browser, run).status_code == 302
    assert browser.post(url_of(run, "leave-out"), {"choose": [leads[0]]}).status_code == 302
    work(run)
    assert (run.ok, run.skipped) == (2, 1)
    assert standin.writes("Leads", leads[1]).writes == 0


# --- confirming -----------------------------------------------------------------------------------------------------------


def test_from_a_limit_on_the_number_must_be_typed(
    browser: Client, standin: Standin, leads: list[str], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bulk_update, "TYPE_THE_NUMBER_FROM", 3)
    run = preview(browser, work, leads[:3])
    assert "Type the number of records" in text_of(browser.get(url_of(run, "confirm")))
    for typed in ("", "2", "33", "three"):
        response = confirm(browser, run, typed=typed)
        assert response.status_code == 422
        assert "Type the number of records, 3, to confirm" in text_of(response)
    assert not writes_of(standin)
    assert confirm(browser, run, typed=" 3 ").status_code == 302


def test_a_plan_that_changed_since_the_page_was_shown_is_not_started(
    browser: Client, standin: Standin, leads: list[str], work: Work
) -> None:
    run = preview(browser, work, leads[:2])
    shown = run.fingerprint
    browser.post(url_of(run, "change"), {"field": "Lead_Status", "value": "Contacted", "automation": "off"})
    work(run)
    response = confirm(browser, run, fingerprint=shown)
    assert response.status_code == 422
    assert "The plan has changed since this page was shown" in text_of(response)
    assert confirm(browser, run, fingerprint="").status_code in (200, 422)
    run.refresh_from_db()
    assert run.wait == Run.Wait.CONFIRMATION


def test_a_second_click_and_the_back_button_lead_to_the_run_and_start_nothing(
    browser: Client, standin: Standin, leads: list[str], work: Work
) -> None:
    run = preview(browser, work, leads[:2])
    answers = [confirm(browser, run).url, confirm(browser, run).url, browser.get(url_of(run, "confirm")).url,
               browser.get(url_of(run)).url, browser.post(url_of(run, "change"), {}).url]  # fmt: skip
    assert answers[:4] == [run.get_absolute_url()] * 4
    work(run)
    assert confirm(browser, run).url == run.get_absolute_url()
    assert len(writes_of(standin)) == 1
    assert AuditEntry.objects.filter(action="run confirmed").count() == 1


def test_the_same_plan_again_asks_first_and_names_the_earlier_run(
    browser: Client, standin: Standin, leads: list[str], work: Work
) -> None:
    first = preview(browser, work, leads[:2])
    confirm(browser, first)
    work(first)
    for record_id in leads[:2]:
        standin.set_record("Leads", record_id, {"Lead_Status": "On Hold"})
    again = preview(browser, work, leads[:2])
    assert f"run {first.pk}</a>" in text_of(browser.get(url_of(again, "confirm")))
    response = confirm(browser, again)
    assert response.status_code == 422
    assert f"already run as run {first.pk}" in text_of(response)
    assert confirm(browser, again, again="on").status_code == 302


# --- safety of the page ---------------------------------------------------------------------------------------------------


def test_text_of_the_crm_never_becomes_html(browser: Client, standin: Standin, leads: list[str], work: Work) -> None:
    nasty = "<script>alert(1)</script>"
    standin.set_record("Leads", leads[0], {"Last_Name": nasty, "Lead_Status": '"><img src=x onerror=y>'})
    run = preview(browser, work, [leads[0], "<b>12"])
    pages = [
        url_of(run),
        url_of(run, "confirm"),
        url_of(run, "change"),
        run.get_absolute_url(),
        f"{url_of(run)}?show={nasty}&search={nasty}",
    ]
    confirm(browser, run)
    for page in [text_of(browser.get(url, follow=True)) for url in pages]:
        assert nasty not in page
        assert "<img src=x" not in page
        assert "<b>12" not in page
    work(run)
    page = text_of(browser.get(run.get_absolute_url() + "?tab=items"))
    assert nasty not in page


@pytest.mark.parametrize("name", ["plan", "confirm", "change"])
def test_the_number_of_queries_does_not_grow_with_the_list(
    name: str, browser: Client, zoho: Connection, django_assert_max_num_queries: Any
) -> None:
    counts = []
    browser.get(PAGE)
    for size in (10, 500):
        run = stored_plan(zoho, User.objects.get(username="operator"), size)
        browser.get(url_of(run, name))
        with django_assert_max_num_queries(45) as queries:
            assert browser.get(url_of(run, name)).status_code == 200
        counts.append(len(queries))
    assert counts[0] == counts[1]


def stored_plan(connection: Connection, owner: User, size: int) -> Run:
    parameters = {
        "module": "Leads", "field": "Lead_Status", "field_label": "Lead Status", "value": "Junk Lead",
        "automation": False, "allowed": ["Junk Lead"], "source": {"type": "ids", "name": "pasted ids"},
    }  # fmt: skip
    run = Run.objects.create(
        kind=bulk_update.KIND, title="A plan", phase="read", state=Run.State.WAITING, wait=Run.Wait.CONFIRMATION,
        connection=connection, requested_by=owner, parameters=parameters, fingerprint=f"{size}",
    )  # fmt: skip
    now = timezone.now()
    RunItem.objects.bulk_create(
        RunItem(
            run=run, position=number, key=str(10**18 + number), label=f"Lead {number}", read_at=now,
            before={"Lead_Status": f"Status {number % 7}"}, after={"Lead_Status": "Junk Lead"},
        )
        for number in range(size)
    )  # fmt: skip
    runs.refresh_counts(run)
    return run


def test_without_a_connection_the_page_says_what_to_do(login: Callable[..., Client], db: None) -> None:
    page = text_of(login("Operator").get(PAGE))
    assert "No Zoho connection yet" in page
    assert reverse("connections") in page


def test_when_zoho_does_not_tell_its_modules_pasted_ids_still_work(
    browser: Client, standin: Standin, leads: list[str]
) -> None:
    standin.faults.add(path="settings", status=403)
    page = text_of(browser.get(PAGE))
    assert "pasted ids still work" in page
    assert plan_of(choose(browser, ids=leads[0]))
    assert choose(browser, ids=leads[0], module="settings/users").status_code == 200


def test_views_and_values_follow_the_choice(browser: Client, standin: Standin, leads: list[str], work: Work) -> None:
    options = text_of(browser.get(reverse("bulk-update-views"), {"module": "Leads"}))
    assert "All Leads" in options
    run = work(plan_of(choose(browser, ids=leads[0])))
    values = text_of(browser.get(url_of(run, "values"), {"field": "Lead_Status"}))
    assert '<option value="Junk Lead"' in values
