"""The record viewer's pages: who may, what they show, and what they say when there is nothing to show."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from django.contrib.auth.models import User
from django.core.cache import cache
from django.db import connection as database
from django.http import QueryDict
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from crm import metadata
from crm.models import Metadata, RecordSet
from crm.viewer_forms import Address, fields_part
from portal.models import AuditEntry, Connection, Run, RunItem
from portal.standin import Standin
from portal.standin.zoho.views import EMPTY_VIEW, NOT_CONTACTED, UNREAD_LEADS

Login = Callable[..., Client]
PAGE = "/crm/records/"


@pytest.fixture(autouse=True)
def fresh_cache(settings: Any) -> Iterator[None]:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def operator(login: Login) -> Client:
    return login("Operator")


def keep(zoho: Connection, ids: list[str], **values: Any) -> RecordSet:
    owner = User.objects.first()
    assert owner is not None
    return RecordSet.objects.create(
        owner=owner, connection=zoho, module="Leads", ids="\n".join(ids), count=len(ids), **values
    )


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def record_reads(standin: Standin) -> int:
    return sum("settings" not in entry.path and entry.path.startswith("/crm/") for entry in standin.counters.journal)


# --- who may ------------------------------------------------------------------------------------------------------------


def test_anonymous_visitors_are_sent_to_the_login(client: Client) -> None:
    for name in ("records", "records-options", "records-download"):
        assert client.get(reverse(name)).status_code == 302


def test_without_permission_nothing_is_shown(zoho: Connection, login: Login, standin: Standin) -> None:
    visitor = login(None)

    for name in ("records", "records-options", "records-download"):
        assert visitor.get(reverse(name)).status_code == 403
    assert visitor.post(reverse("records-reload")).status_code == 403
    assert standin.counters.journal == type(standin.counters.journal)()


def test_a_viewer_may_look_but_not_download(zoho: Connection, login: Login, standin: Standin) -> None:
    viewer = login("Viewer")
    query = f"?view={NOT_CONTACTED}&fields=Email"

    page = viewer.get(PAGE + query)

    assert page.status_code == 200
    assert reverse("records-download") not in page.content.decode()
    assert "Bulk update these records" not in page.content.decode()
    assert viewer.get(reverse("records-download") + query).status_code == 403


def test_metadata_is_reloaded_by_post_only(zoho: Connection, operator: Client, standin: Standin) -> None:
    operator.get(PAGE)
    assert Metadata.objects.filter(name="fields:Leads").exists()

    assert operator.get(reverse("records-reload")).status_code == 405
    answer = operator.post(reverse("records-reload"), {"state": f"module=Leads&view={NOT_CONTACTED}&fields=Email"})

    assert not Metadata.objects.filter(name="fields:Leads").exists()
    assert answer.url == f"{PAGE}?module=Leads&view={NOT_CONTACTED}&fields=Email"
    assert operator.post(reverse("records-reload"), {"state": "https://evil.example/"}).url.startswith(PAGE)


# --- choosing -----------------------------------------------------------------------------------------------------------


def test_the_first_look_offers_what_there_is_and_reads_no_record(
    zoho: Connection, operator: Client, standin: Standin
) -> None:
    page = operator.get(PAGE)

    text = text_of(page)
    assert "No records chosen yet" in text
    assert "Unread leads" in text
    assert "Comments (Comments)" in text
    assert "Comments (Comments1)" in text
    assert "Fields and views read from Zoho" in text
    assert record_reads(standin) == 0


def test_pasted_ids_are_cleaned_kept_and_shown(zoho: Connection, operator: Client, standin: Standin) -> None:
    ids = standin.ids("Leads")[:60]
    pasted = "\n".join([*ids, ids[0], "12a"])

    answer = operator.post(PAGE, {"module": "Leads", "source": "ids", "ids": pasted, "chosen": ["Email", "Full_Name"]})
    page = operator.get(answer.url)
    second = operator.get(f"{answer.url}&page=2")

    stored = RecordSet.objects.get()
    assert parse_qs(urlsplit(answer.url).query) == {
        "module": ["Leads"], "set": [str(stored.pk)], "fields": ["Email,Full_Name"],
    }  # fmt: skip
    text = text_of(page)
    assert "Showing 1–50 of 60 · read live at" in text
    assert "60 records loaded , 1 repeated id merged , 1 left out".replace(" ,", ",") in text.replace(" ,", ",")
    assert "Line 62, “12a”" in text
    assert f"?set={stored.pk}" in page.content.decode(), "on to the bulk update"
    assert "Showing 51–60 of 60" in text_of(second)
    assert "CSV (60 rows)" in text


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"source": "all"}, "Choose at least one field besides the record id."),
        ({"source": "ids", "ids": "", "chosen": ["Email"]}, "Paste at least one record id."),
        ({"source": "ids", "ids": "³\n", "chosen": ["Email"]}, "No line holds a usable record id."),
        ({"source": "view", "chosen": ["Email"]}, "Choose a view, or enter its name or number."),
        ({"source": "view", "view_text": "No such view", "chosen": ["Email"]}, "There is no view of this name"),
        ({"source": "run", "run": "77", "chosen": ["Email"]}, "There is no run 77."),
        ({"source": "run", "chosen": ["Email"]}, "Enter the number of the run."),
    ],
)
def test_what_is_missing_is_said_at_the_form_and_nothing_is_read(
    zoho: Connection, operator: Client, standin: Standin, values: dict[str, Any], words: str
) -> None:
    page = operator.post(PAGE, {"module": "Leads", **values})

    assert page.status_code == 200
    assert words in text_of(page)
    assert record_reads(standin) == 0
    assert not RecordSet.objects.exists()


@pytest.mark.parametrize("text", ["unread LEADS", UNREAD_LEADS])
def test_a_view_is_found_by_name_or_number(zoho: Connection, operator: Client, text: str) -> None:
    answer = operator.post(PAGE, {"module": "Leads", "source": "view", "view_text": text, "chosen": ["Email"]})

    assert answer.url == f"{PAGE}?module=Leads&view={UNREAD_LEADS}&fields=Email"


def test_many_fields_make_a_short_address() -> None:
    columns = [metadata.Field(f"Field_{number}", "x", "text", True, False, True, None) for number in range(300)]
    names = [column.api_name for column in columns if column.api_name != "Field_7"]

    part = fields_part(names, columns)

    assert part == ("all", "-Field_7")
    address = Address.parse(QueryDict(Address(module="Leads", kind="all", fields=part).query()))
    assert address.field_names(columns) == names
    assert fields_part(["Field_1"], columns) == ("Field_1",)


def test_another_module_has_its_own_fields_and_views(zoho: Connection, operator: Client) -> None:
    fragment = operator.get(reverse("records-options"), {"module": "Deals"}, headers={"HX-Request": "true"})

    text = text_of(fragment)
    assert "<html" not in fragment.content.decode()
    assert "Stage (Stage)" in text
    assert "All Deals" in text
    assert "Unread leads" not in text


# --- the table ----------------------------------------------------------------------------------------------------------


def test_sorting_search_and_page_are_in_the_address(zoho: Connection, operator: Client) -> None:
    query = f"?module=Leads&view={UNREAD_LEADS}&fields=Last_Name,City&q=smith&in=Last_Name&sort=-City"

    page = operator.get(PAGE + query)
    html = page.content.decode()

    assert 'aria-sort="descending"' in html
    assert 'value="smith"' in html
    assert "sort=City" in html, "a click turns the order round"
    assert "Bulk update these records" not in html, "it would change what the search leaves out"
    assert (
        f"?module=Leads&amp;view={UNREAD_LEADS}" in operator.get(PAGE + query.replace("q=smith", "")).content.decode()
    )
    fragment = operator.get(PAGE + query, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in fragment
    assert 'id="records-result"' in fragment


def test_text_of_the_crm_never_becomes_html(zoho: Connection, operator: Client, standin: Standin) -> None:
    record_id = standin.add_lead(Company="<script>alert(1)</script>", City='"><img src=x onerror=alert(1)>')
    stored = keep(zoho, [record_id], rejects=[[1, "<b>x</b>", "no"]], rejected=1)

    html = operator.get(f"{PAGE}?set={stored.pk}&fields=Company,City").content.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html
    assert "<script>alert" not in html
    assert "<img src=x" not in html
    assert "<b>x</b>" not in html


def test_ids_are_text_with_a_copy_button_and_a_link_to_zoho(
    zoho: Connection, operator: Client, standin: Standin
) -> None:
    Connection.objects.update(crm_url="https://crm.zoho.eu/crm/org1")
    record_id = standin.ids("Leads")[0]
    stored = keep(zoho, [record_id])

    html = operator.get(f"{PAGE}?set={stored.pk}&fields=Email").content.decode()

    assert f'data-copy="{record_id}"' in html
    assert f'href="https://crm.zoho.eu/crm/org1/tab/Leads/{record_id}"' in html


def test_missing_ids_are_listed_and_counted(zoho: Connection, operator: Client, standin: Standin) -> None:
    stored = keep(zoho, [standin.ids("Leads")[0], "5725767000099999999"])

    text = text_of(operator.get(f"{PAGE}?set={stored.pk}&fields=Email"))

    assert "Zoho did not return 1 of the ids on this page." in text
    assert "5725767000099999999" in text


def test_the_records_of_a_run_lead_back_to_it(zoho: Connection, operator: Client, standin: Standin) -> None:
    run = Run.objects.create(kind="crm.bulk_update", title="t", connection=zoho, parameters={"module": "Leads"})
    RunItem.objects.create(run=run, position=0, key=standin.ids("Leads")[0])

    html = operator.get(f"{PAGE}?run={run.pk}&fields=Email").content.decode()

    assert "Showing 1–1 of 1" in html
    assert reverse("run", args=[run.pk]) in html


# --- nothing to show ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "words"),
    [
        (f"view={EMPTY_VIEW}&fields=Email", "This view is empty"),
        (f"view={UNREAD_LEADS}&fields=Email&q=zzzz&in=Email", "No record matches the search"),
        (f"view={UNREAD_LEADS}&fields=Email&page=900", "This page is past the end"),
        (f"view={UNREAD_LEADS}&fields=Emial", "Leads has no field Emial."),
        (f"view={UNREAD_LEADS}&fields=Email&sort=Nope", "Leads has no field Nope."),
        (f"view={UNREAD_LEADS}&fields=Services&sort=Services", "cannot sort by Services"),
        ("module=Nope&all=1&fields=Email", "This connection shows no module Nope."),
        ("set=99&fields=Email", "is not kept any more"),
        ("run=99&fields=Email", "There is no run 99."),
        ("view=x&fields=Email", "A custom view is named by its number."),
    ],
)
def test_each_kind_of_nothing_has_its_own_words(zoho: Connection, operator: Client, query: str, words: str) -> None:
    page = operator.get(f"{PAGE}?{query}")

    assert page.status_code == 200
    assert words in text_of(page)


def test_without_a_connection_the_page_says_where_to_add_one(operator: Client) -> None:
    assert "There is no Zoho connection" in text_of(operator.get(PAGE))


def test_metadata_that_cannot_be_read_is_an_error_with_a_retry(
    zoho: Connection, operator: Client, standin: Standin
) -> None:
    standin.faults.add(path="/settings/", status=500)

    page = operator.get(PAGE)

    assert "did not answer" in text_of(page)
    assert "Try again" in text_of(page)


def test_a_vendor_error_has_three_parts_and_a_retry(zoho: Connection, operator: Client, standin: Standin) -> None:
    operator.get(PAGE)
    refusal = {"code": "OAUTH_SCOPE_MISMATCH", "message": "invalid oauth scope"}
    standin.faults.add(path="cvid=|/coql", status=401, body=refusal)

    text = text_of(operator.get(f"{PAGE}?view={NOT_CONTACTED}&fields=Email"))

    assert "is not allowed to call" in text
    assert "Leads: view “Status is Not Contacted”, page 1." in text
    assert "Authorise the connection again" in text
    assert "OAUTH_SCOPE_MISMATCH" in text
    assert "Try again" in text


def test_without_the_right_to_count_the_pages_follow_without_a_total(
    zoho: Connection, operator: Client, standin: Standin
) -> None:
    refusal = {"code": "OAUTH_SCOPE_MISMATCH", "message": "invalid oauth scope"}
    standin.faults.add(path="/actions/count", status=401, body=refusal)

    text = text_of(operator.get(f"{PAGE}?view={NOT_CONTACTED}&fields=Email&page=2"))

    assert "Showing 51–100, more follow" in text
    assert "CSV (all found)" in text


def test_records_of_somebody_elses_temporary_connection_are_not_shown(
    zoho: Connection, operator: Client, standin: Standin
) -> None:
    stored = keep(zoho, standin.ids("Leads")[:1])
    Connection.objects.update(source=Connection.Source.TEMPORARY, session_key="other", is_default=False)

    text = text_of(operator.get(f"{PAGE}?set={stored.pk}&fields=Email"))

    assert "somebody else" in text
    assert record_reads(standin) == 0


# --- download and cost --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "start"), [("csv", "\ufeffid,Email"), ("jsonl", '{"id":"')])
def test_a_download_is_streamed_and_recorded(
    zoho: Connection, operator: Client, standin: Standin, kind: str, start: str
) -> None:
    stored = keep(zoho, standin.ids("Leads")[:450])

    answer = operator.get(reverse("records-download"), {"set": stored.pk, "fields": "Email", "format": kind})
    pieces = list(answer.streaming_content)

    content = b"".join(pieces).decode()
    assert answer.streaming
    assert len(pieces) == 3
    assert content.startswith(start)
    assert len(content.splitlines()) == 450 + (kind == "csv")
    assert re.fullmatch(rf'attachment; filename="Leads-\d{{8}}-\d{{6}}\.{kind}"', answer["Content-Disposition"])
    entry = AuditEntry.objects.get(action="records downloaded")
    assert entry.user is not None
    assert entry.details == {"format": kind, "state": "finished", "planned": 450, "ok": 450, "failed": 0}


def test_a_download_that_the_browser_breaks_off_is_recorded_as_such(
    zoho: Connection, operator: Client, standin: Standin
) -> None:
    stored = keep(zoho, standin.ids("Leads")[:450])
    answer = operator.get(reverse("records-download"), {"set": stored.pk, "fields": "Email"})

    next(iter(answer.streaming_content))
    answer._iterator.close()  # close() itself would end the database connection with this test's transaction

    assert AuditEntry.objects.get(action="records downloaded").details["state"] == "broken off"


def test_a_download_of_nothing_leads_back_with_words(zoho: Connection, operator: Client) -> None:
    answer = operator.get(reverse("records-download"), {"set": "99", "fields": "Email"}, follow=True)

    assert "is not kept any more" in text_of(answer)


def test_the_number_of_queries_does_not_grow_with_the_rows(
    zoho: Connection, operator: Client, standin: Standin
) -> None:
    few, many = keep(zoho, standin.ids("Leads")[:2]), keep(zoho, standin.ids("Leads")[:50])
    operator.get(f"{PAGE}?set={few.pk}&fields=Email")
    counts = []
    for stored in (few, many):
        with CaptureQueriesContext(
            database,
        ) as queries:
            operator.get(f"{PAGE}?set={stored.pk}&fields=Email,Owner")
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 45
