"""The pages of the bulk update, from the list of records to the run."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from portal.models import AuditEntry, Connection, Run
from portal.standin import Standin
from tests.crm.clicking import PAGE, Work, choose, confirm, plan_of, preview, text_of, url_of, writes_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def browser(login: Callable[..., Client], zoho: Connection) -> Client:
    return login("Operator")


@pytest.fixture
def leads(plain_leads: Callable[[int], list[str]]) -> list[str]:
    return plain_leads(40)


# --- from the list to the result --------------------------------------------------------------------------------------


def test_the_four_steps_lead_from_ids_to_changed_records(
    browser: Client, standin: Standin, leads: list[str], work: Work
) -> None:
    assert "Load the records" in text_of(browser.get(PAGE))
    run = plan_of(choose(browser, ids="\n".join(leads[:3])))
    assert "Loading the records" in text_of(browser.get(url_of(run)))
    work(run)
    page = text_of(browser.get(url_of(run)))
    assert "What should change in 3 records?" in page
    assert all(record_id in page for record_id in leads[:3])
    response = browser.post(url_of(run, "change"), {"field": "Lead_Status", "value": "Junk Lead", "automation": "off"})
    assert response.url == url_of(run)
    assert "Reading the present values" in text_of(browser.get(url_of(run)))
    work(run)
    page = text_of(browser.get(url_of(run)))
    assert "3 of 3 records will change" in page
    assert "Update 3 records" in page
    assert "off: no workflow" in page
    page = text_of(browser.get(url_of(run, "confirm")))
    assert "Update Lead Status of 3 records in Leads?" in page
    assert "<strong>Junk Lead</strong>" in page
    assert "cannot be undone" in page
    assert not writes_of(standin)

    response = confirm(browser, run)
    assert response.url == run.get_absolute_url()
    work(run)
    assert (run.state, run.ok) == (Run.State.FINISHED, 3)
    (put,) = writes_of(standin)
    assert (put.method, put.path, put.records, put.trigger) == ("PUT", "/crm/v8/Leads", 3, [])
    assert {standin.record("Leads", record_id)["Lead_Status"] for record_id in leads[:3]} == {"Junk Lead"}
    actions = AuditEntry.objects.filter(run=run, user__isnull=False).order_by("pk").values_list("action", flat=True)
    assert list(actions) == ["run requested", "change chosen", "run confirmed"]
    assert set(AuditEntry.objects.filter(run=run, user__isnull=False).values_list("address", flat=True)) == {
        "127.0.0.1"
    }


def test_every_step_tells_where_it_is(browser: Client, leads: list[str], work: Work) -> None:
    run = preview(browser, work, leads[:2])
    for name, step in (("plan", "Preview"), ("change", "Change"), ("confirm", "Confirm")):
        page = text_of(browser.get(url_of(run, name)))
        current = page.split('aria-current="step">')[1]
        assert step in current.split("</li>")[0]


def test_the_part_that_polls_hands_over_to_the_whole_page(browser: Client, leads: list[str], work: Work) -> None:
    run = plan_of(choose(browser, ids=leads[0]))
    part = browser.get(url_of(run), headers={"HX-Request": "true"})
    assert "<html" not in text_of(part)
    assert 'hx-trigger="every 1s"' in text_of(part)
    work(run)
    done = browser.get(url_of(run), headers={"HX-Request": "true"})
    assert done.headers["HX-Redirect"] == url_of(run)


def test_a_loading_list_can_be_cancelled(browser: Client, standin: Standin, leads: list[str], work: Work) -> None:
    run = plan_of(choose(browser, ids=leads[0]))
    browser.post(reverse("run-stop", args=[run.pk]))
    work(run)
    assert run.state == Run.State.STOPPED
    assert browser.get(url_of(run)).url == run.get_absolute_url()
    assert not writes_of(standin)


def test_discarding_a_preview_leaves_everything_untouched(
    browser: Client, standin: Standin, leads: list[str], work: Work
) -> None:
    run = preview(browser, work, leads[:2])
    browser.post(reverse("run-stop", args=[run.pk]))
    response = confirm(browser, run)
    assert response.status_code == 302
    run.refresh_from_db()
    assert run.state == Run.State.STOPPED
    assert not writes_of(standin)


# --- the list under review is the list that is sent ---------------------------------------------------------------------


def view_of(standin: Standin, name: str) -> Any:
    return next(view for view in standin.zoho.org.views.values() if view.name == name)


def test_loading_a_view_replaces_the_pasted_list_and_what_is_shown_is_what_is_sent(
    browser: Client, standin: Standin, leads: list[str], work: Work
) -> None:
    # The view that shows no lead of the seed shows these three.
    shown = leads[:3]
    for record_id in shown:
        standin.set_record("Leads", record_id, {"Lead_Status": "No lead has this"})
    view = view_of(standin, "Empty view").id
    choose(browser, ids=leads[9])

    run = work(plan_of(choose(browser, ids=leads[9], source="view", view_number=view)))
    page = text_of(browser.get(url_of(run)))
    assert "What should change in 3 records?" in page
    assert leads[9] not in page
    browser.post(url_of(run, "change"), {"field": "Lead_Status", "value": "Junk Lead", "automation": "off"})
    work(run)
    confirm(browser, run)
    work(run)

    assert {record_id for (_, record_id) in standin.counters.writes} == set(shown)
    assert standin.record("Leads", leads[9])["Lead_Status"] != "Junk Lead"


def test_a_view_that_is_not_a_number_is_refused_without_any_request_for_it(browser: Client, standin: Standin) -> None:
    browser.get(PAGE)
    before = standin.counters.total_calls
    page = text_of(choose(browser, source="view", view_number="12ab"))
    assert "“12ab” is not a view number" in page
    assert standin.counters.total_calls == before
    assert not Run.objects.exists()


def test_only_the_first_page_of_a_view_is_read_when_asked_so(browser: Client, standin: Standin, work: Work) -> None:
    view = view_of(standin, "All Leads")
    assert "checked" in text_of(browser.get(PAGE)).split('name="all_pages"')[1].split(">")[0], "all pages by default"
    run = plan_of(browser.post(PAGE, {"module": "Leads", "source": "view", "view_number": view.id}))
    work(run)
    assert run.planned == 200
    assert [entry.query["per_page"] for entry in standin.counters.journal if "cvid" in entry.query] == ["200"]


def test_an_empty_view_says_so_and_cannot_be_started(browser: Client, standin: Standin, work: Work) -> None:
    run = work(plan_of(choose(browser, source="view", view_number=view_of(standin, "Empty view").id)))
    assert run.state == Run.State.FAILED
    assert "is empty" in run.error
    assert "is empty" in text_of(browser.get(run.get_absolute_url()))
    assert confirm(browser, run).status_code == 302
    assert not writes_of(standin)


def test_a_module_that_zoho_does_not_know_is_refused(browser: Client, standin: Standin) -> None:
    for module in ("Nonsense", "settings/users", "Leads?x=1"):
        response = choose(browser, module=module, ids="1")
        assert response.status_code == 200, module
        assert "not one of the available choices" in text_of(response)
    assert not Run.objects.exists()


# --- cleaning -----------------------------------------------------------------------------------------------------------


def test_the_cleaning_is_told_line_by_line(browser: Client, leads: list[str], work: Work) -> None:
    text = f" {leads[0]} \r\n\r\n{leads[1]}\r\n{leads[0]}\r\n12a\r\n³\r\n٣٤\r\n4.87688E+18\r\n{leads[1]}"
    run = work(plan_of(choose(browser, ids=text)))
    page = text_of(browser.get(url_of(run)))
    for part in ("<strong>2</strong> ids from 9 lines", "<strong>2</strong> duplicates removed", "4</strong> left out"):
        assert part in page
    for line, text, reason in ((5, "12a", "only digits"), (6, "³", "another script"), (8, "4.87688E+18", "rounded")):
        row = page.split(f'<td class="mono">{text}</td>')
        assert f'<td class="num">{line}</td>' in row[0][-40:]
        assert reason in row[1][:160]
    rejected = list(csv.reader(io.StringIO(text_of(browser.get(url_of(run, "rejects-csv"))).removeprefix("\ufeff"))))
    assert rejected[0] == ["line", "text", "reason"]
    assert [row[:2] for row in rejected[1:]] == [["5", "12a"], ["6", "³"], ["7", "٣٤"], ["8", "4.87688E+18"]]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"ids": ""}, "The list is empty. Give at least one record id."),
        ({"ids": "abc"}, "Line 1, “abc”: not a record id: only digits are allowed."),
        ({"source": "file"}, "Choose a TXT or CSV file"),
        ({"source": "view"}, "Choose a custom view, or give its number"),
        ({"source": "nonsense", "ids": "1"}, "is not one of the available choices"),
    ],
)
def test_what_is_missing_is_said_at_its_field_and_nothing_starts(
    browser: Client, fields: dict[str, str], words: str
) -> None:
    response = choose(browser, **fields)
    assert response.status_code == 200
    assert words in text_of(response)
    assert not Run.objects.exists()


# --- files --------------------------------------------------------------------------------------------------------------


def upload(browser: Client, content: bytes, name: str = "leads.csv") -> Any:
    return choose(browser, source="file", file=SimpleUploadedFile(name, content))


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
@pytest.mark.parametrize("mark", [",", ";", "\t"])
def test_a_file_with_values_of_its_own_is_read_in_any_usual_form(
    browser: Client, leads: list[str], work: Work, encoding: str, mark: str
) -> None:
    rows = [
        ("Record Id", "Näme", "Status"),
        (leads[0], "Änne", "contacted"),
        (leads[1], "Bo", ""),
        (leads[2], "C", "Nope"),
    ]
    run = work(plan_of(upload(browser, "\r\n".join(mark.join(row) for row in rows).encode(encoding))))
    page = text_of(browser.get(url_of(run)))
    assert "Records with a value of their own in the list get that one" in page
    browser.post(url_of(run, "change"), {"field": "Lead_Status", "value": "Junk Lead", "automation": "off"})
    work(run)
    after = dict(run.items.values_list("key", "after__Lead_Status"))
    assert (after[leads[0]], after[leads[1]]) == ("Contacted", "Junk Lead")
    refused = run.items.get(key=leads[2])
    assert (refused.code, refused.details["line"]) == ("INVALID_VALUE", 4)
    assert "“Nope” is not a value" in text_of(browser.get(url_of(run) + "?show=INVALID_VALUE"))


def test_two_values_for_one_record_are_shown_before_anything_starts(
    browser: Client, leads: list[str], work: Work
) -> None:
    content = f"id,status\n{leads[0]},Contacted\n{leads[0]},Junk Lead\n{leads[1]},Contacted\n"
    run = work(plan_of(upload(browser, content.encode())))
    assert "given twice with different values: line 2 and line 3" in text_of(browser.get(url_of(run)))
    assert list(run.items.values_list("key", flat=True)) == [leads[1]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"PK\x03\x04\x00\x00\x08", "The file is not a text file"),
        (b"1\x002\x003", "The file is not a text file"),
        (b"\xff\xfe1\x00\x00", "The file is not a text file"),
        (b"", "The submitted file is empty"),
        (b"name,phone\nMary,5551234567x\n", "No record id was found"),
    ],
)
def test_a_file_that_is_none_is_refused_with_words(browser: Client, content: bytes, words: str) -> None:
    assert words in text_of(upload(browser, content))
    assert not Run.objects.exists()


def test_a_file_that_is_too_large_is_refused_with_its_size(browser: Client) -> None:
    page = text_of(upload(browser, b"4876876000000345001\n" * 270_000, "big.txt"))
    assert "“big.txt” has 5.4 MB; the limit is 5 MB. Split it." in page


@pytest.mark.parametrize("query", ["set=²", "set=99999999999999999999999", "set=x", "view=abc", "module=%00"])
def test_nonsense_in_the_address_is_ignored(browser: Client, query: str) -> None:
    assert "Which records?" in text_of(browser.get(f"{PAGE}?{query}"))
