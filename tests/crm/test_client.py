"""The exact requests to Zoho CRM v8, and what its answers become."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from django.utils import timezone

from crm.zoho.client import Part, Write, ZohoClient, field_groups, id_batches, write_credits
from portal.models import AccessToken, ApiUsage, Connection
from portal.remote import errors
from portal.remote.session import RemoteSession

pytestmark = pytest.mark.django_db

API = "https://www.zohoapis.eu/crm/v8"
IDS = ["4876876000000345001", "4876876000000345002"]


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def open_client(*, read_only: bool = False) -> ZohoClient:
    connection = Connection.objects.create(
        vendor="zoho", name="main", client_id="c", client_secret="s", refresh_token="r",
        accounts_url="https://accounts.zoho.eu",
    )  # fmt: skip
    AccessToken.objects.create(
        connection=connection, value="1000.token", api_domain="https://www.zohoapis.eu", generation=1,
        issued_at=timezone.now(), expires_at=timezone.now() + dt.timedelta(hours=1),
    )  # fmt: skip
    return ZohoClient(RemoteSession(connection, read_only=read_only, sleep=lambda seconds: None))


@pytest.fixture
def client(vendor: responses.RequestsMock) -> Iterator[ZohoClient]:
    with open_client() as client:
        yield client


def sent(vendor: responses.RequestsMock, number: int = 0) -> tuple[str, str, dict[str, str]]:
    request = vendor.calls[number].request
    parts = urlsplit(str(request.url))
    return request.method, parts.path, {name: values[0] for name, values in parse_qs(parts.query).items()}


# --- writing ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("automation", "body"),
    [
        (True, b'{"data": [{"id": "4876876000000345001", "Lead_Status": "Junk Lead"}]}'),
        (False, b'{"data": [{"id": "4876876000000345001", "Lead_Status": "Junk Lead"}], "trigger": []}'),
    ],
)
def test_an_update_is_one_call_whose_trigger_is_absent_or_empty(
    client: ZohoClient, vendor: responses.RequestsMock, automation: bool, body: bytes
) -> None:
    row = {"code": "SUCCESS", "status": "success", "message": "record updated", "details": {"id": IDS[0]}}
    vendor.put(f"{API}/Leads", json={"data": [row]})
    write = Write([{"id": IDS[0], "Lead_Status": "Junk Lead"}], tag="mine")
    ((back, outcome),) = client.update_many("Leads", [write], automation=automation)

    request = vendor.calls[0].request
    assert json.loads(request.body) == json.loads(body)
    assert sent(vendor) == ("PUT", "/crm/v8/Leads", {})
    assert request.headers["Authorization"] == "Zoho-oauthtoken 1000.token"
    assert request.headers["Content-Type"] == "application/json"
    assert back.tag == "mine"
    assert [row.ok for row in outcome] == [True]


def test_a_blank_value_is_sent_as_null(client: ZohoClient, vendor: responses.RequestsMock) -> None:
    vendor.put(f"{API}/Leads", json={"data": []})
    list(client.update_many("Leads", [Write([{"id": IDS[0], "Lead_Status": None}])], automation=True))
    assert json.loads(vendor.calls[0].request.body) == {"data": [{"id": IDS[0], "Lead_Status": None}]}


def test_a_guarded_update_names_the_record_and_the_time_it_was_read(
    client: ZohoClient, vendor: responses.RequestsMock
) -> None:
    body = {"code": "ALREADY_MODIFIED", "status": "error", "message": "modified", "details": {}}
    vendor.put(f"{API}/Leads/{IDS[0]}", json={"data": [body]}, status=412)
    since = "2026-05-04T12:00:00+02:00"
    ((_, outcome),) = client.update_each("Leads", [(Write([{"id": IDS[0], "X": 1}]), since)], automation=False)
    assert vendor.calls[0].request.headers["If-Unmodified-Since"] == since
    assert [row.code for row in outcome] == ["ALREADY_MODIFIED"]


@pytest.mark.parametrize(
    ("answer", "unknown"),
    [
        ({"status": 500}, True),
        ({"status": 200, "body": b'{"data": [{"co'}, True),
        ({"status": 200, "body": b"<html></html>", "content_type": "text/html"}, True),
        ({"status": 403, "json": {"code": "NO_PERMISSION", "message": "no", "status": "error", "details": {}}}, False),
    ],
    ids=str,
)
def test_a_write_without_a_usable_answer_is_an_error_and_is_not_sent_again(
    client: ZohoClient, vendor: responses.RequestsMock, answer: dict[str, Any], unknown: bool
) -> None:
    vendor.put(f"{API}/Leads", **answer)
    ((_, outcome),) = client.update_many("Leads", [Write([{"id": IDS[0]}])], automation=True)
    assert isinstance(outcome, errors.RemoteError)
    assert outcome.outcome_unknown is unknown
    assert len(vendor.calls) == 1


def test_an_update_answered_with_204_says_nothing_about_its_records(
    client: ZohoClient, vendor: responses.RequestsMock
) -> None:
    vendor.put(f"{API}/Leads", status=204)
    ((_, outcome),) = client.update_many("Leads", [Write([{"id": record_id} for record_id in IDS])], automation=True)
    assert outcome == [None, None]


def test_a_call_refused_because_all_its_records_were_tells_about_each(
    client: ZohoClient, vendor: responses.RequestsMock
) -> None:
    rows = [{"code": "INVALID_DATA", "status": "error", "message": "m", "details": {"api_name": name}} for name in "ab"]
    vendor.put(f"{API}/Leads", json={"data": rows}, status=400)
    ((_, outcome),) = client.update_many("Leads", [Write([{"id": record_id} for record_id in IDS])], automation=True)
    assert [(row.ok, row.field) for row in outcome] == [(False, "a"), (False, "b")]


def test_a_read_only_client_refuses_a_write_before_it_is_sent(vendor: responses.RequestsMock) -> None:
    with open_client(read_only=True) as client:
        ((_, outcome),) = client.update_many("Leads", [Write([{"id": IDS[0]}])], automation=True)
        assert isinstance(outcome, errors.ReadOnly)
        vendor.post(f"{API}/coql", json={"data": [{"id": IDS[0]}], "info": {"more_records": False}})
        assert client.coql("select id from Leads").status == 200
    assert [call.request.method for call in vendor.calls] == ["POST"]


@pytest.mark.parametrize(("records", "credits"), [(1, 1), (10, 1), (11, 2), (100, 10)])
def test_a_write_is_charged_by_tens(
    client: ZohoClient, vendor: responses.RequestsMock, records: int, credits: int
) -> None:
    vendor.put(f"{API}/Leads", status=204)
    list(client.update_many("Leads", [Write([{"id": str(number)} for number in range(records)])], automation=True))
    assert ApiUsage.objects.get().credits == write_credits(records) == credits


# --- reading ------------------------------------------------------------------------------------------------------------


def test_records_are_read_by_id_with_the_converted_ones(client: ZohoClient, vendor: responses.RequestsMock) -> None:
    vendor.get(f"{API}/Leads", json={"data": [{"id": IDS[1], "Lead_Status": "New"}]})
    ((ids, found),) = client.read_many("Leads", [IDS], ["id", "Lead_Status"])
    assert sent(vendor) == (
        "GET", "/crm/v8/Leads",
        {"ids": ",".join(IDS), "fields": "id,Lead_Status", "converted": "both", "per_page": "200"},
    )  # fmt: skip
    assert (ids, found) == (IDS, {IDS[1]: {"id": IDS[1], "Lead_Status": "New"}})


def test_nothing_found_is_no_record_and_no_error(client: ZohoClient, vendor: responses.RequestsMock) -> None:
    vendor.get(f"{API}/Leads", status=204)
    vendor.get(f"{API}/Leads/{IDS[0]}", status=204)
    assert [found for _, found in client.read_many("Leads", [IDS], ["id"])] == [{}]
    assert client.record("Leads", IDS[0]) is None


def test_one_part_that_cannot_be_read_does_not_end_the_others(
    client: ZohoClient, vendor: responses.RequestsMock
) -> None:
    def answer(request: Any) -> tuple[int, dict[str, str], str]:
        if IDS[0] in request.url:
            return 403, {}, json.dumps({"code": "NO_PERMISSION", "message": "no", "status": "error", "details": {}})
        return 200, {}, json.dumps({"data": [{"id": IDS[1]}]})

    vendor.add_callback("GET", f"{API}/Leads", answer, content_type="application/json")
    found = {part.tag: result for part, result in client.read_parts(
        "Leads", [Part([IDS[0]], ["id"], "a"), Part([IDS[1]], ["id"], "b")]
    )}  # fmt: skip
    assert isinstance(found["a"], errors.Rejected)
    assert found["b"] == {IDS[1]: {"id": IDS[1]}}


@pytest.mark.parametrize("body", [{"message": "odd"}, {"data": [{"name": "x"}]}, {"data": [None]}, []], ids=str)
def test_an_odd_answer_to_one_part_is_its_own_error(
    client: ZohoClient, vendor: responses.RequestsMock, body: Any
) -> None:
    vendor.get(f"{API}/Leads", json=body)
    ((_, found),) = client.read_many("Leads", [IDS], ["id"])
    assert isinstance(found, errors.BadReply)


def test_a_view_is_walked_by_page_tokens(client: ZohoClient, vendor: responses.RequestsMock) -> None:
    vendor.get(f"{API}/Leads", json={"data": [{"id": "1"}], "info": {"more_records": True, "next_page_token": "t1"}})
    vendor.get(f"{API}/Leads", json={"data": [{"id": "2"}], "info": {"more_records": False, "next_page_token": None}})
    first = client.view_page("Leads", "99", ["id", "Full_Name"])
    second = client.view_page("Leads", "99", ["id", "Full_Name"], first.token)
    assert [first.records, second.records, second.token] == [[{"id": "1"}], [{"id": "2"}], None]
    assert sent(vendor)[2] == {"fields": "id,Full_Name", "cvid": "99", "per_page": "200"}
    assert sent(vendor, 1)[2] == {"fields": "id,Full_Name", "cvid": "99", "per_page": "200", "page_token": "t1"}
    assert ApiUsage.objects.get().credits == 6


def test_more_rows_without_a_token_are_an_error_and_not_an_end(
    client: ZohoClient, vendor: responses.RequestsMock
) -> None:
    vendor.get(f"{API}/Leads", json={"data": [{"id": "1"}], "info": {"more_records": True}})
    with pytest.raises(errors.BadReply, match="without a page token"):
        client.view_page("Leads", "99", ["id"])


def test_beyond_the_reach_of_tokens_the_walk_goes_on_in_the_order_of_ids(
    client: ZohoClient, vendor: responses.RequestsMock
) -> None:
    vendor.post(f"{API}/coql", json={"data": [{"id": "7"}, {"id": "9"}], "info": {"more_records": True}})
    page = client.view_page_by_id("Leads", "99", "5", limit=2000)
    assert page.token == "9"
    assert json.loads(vendor.calls[0].request.body) == {
        "select_query": "select id from Leads#99 where id > '5' order by id asc limit 2000"
    }
    assert ApiUsage.objects.get().credits == 3


def test_the_last_page_of_that_walk_has_no_successor(client: ZohoClient, vendor: responses.RequestsMock) -> None:
    vendor.post(f"{API}/coql", status=204)
    assert client.view_page_by_id("Leads", "99", "5").token is None


def test_numbered_pages_of_a_view_and_of_the_module(client: ZohoClient, vendor: responses.RequestsMock) -> None:
    vendor.get(f"{API}/Leads", json={"data": [{"id": 1}], "info": {"more_records": True}})
    assert client.id_page("Leads", view_id="99", page=2, per_page=50, sort_by="id", order="asc").ids == ["1"]
    assert client.id_page("Leads", page=2, per_page=50, sort_by="Created_Time", order="desc").has_more
    assert sent(vendor)[2] == {"fields": "id", "page": "2", "per_page": "50", "cvid": "99"}
    assert sent(vendor, 1)[2] == {
        "fields": "id", "page": "2", "per_page": "50", "sort_by": "Created_Time", "sort_order": "desc",
    }  # fmt: skip


def test_records_are_counted(client: ZohoClient, vendor: responses.RequestsMock) -> None:
    vendor.get(f"{API}/Leads/actions/count", json={"count": 12})
    assert client.count("Leads", view_id="99") == 12
    assert sent(vendor)[2] == {"cvid": "99"}
    vendor.replace("GET", f"{API}/Leads/actions/count", json={"total": 1})
    with pytest.raises(errors.BadReply, match="no count"):
        client.count("Leads")


def test_custom_views_are_read_to_the_last_page(client: ZohoClient, vendor: responses.RequestsMock) -> None:
    url = f"{API}/settings/custom_views"
    for number, more in ((1, True), (2, False)):
        row = {"id": number, "name": f"View {number}", "category": "created_by_me", "default": number == 1}
        vendor.get(url, json={"custom_views": [row], "info": {"more_records": more}})
    assert [(view.id, view.name, view.is_default) for view in client.custom_views("Leads")] == [
        ("1", "View 1", True), ("2", "View 2", False),
    ]  # fmt: skip
    assert sent(vendor, 1)[2] == {"module": "Leads", "page": "2", "per_page": "200"}


@pytest.mark.parametrize("body", [[], {"modules": None}, {"data": []}, "text", 7, {"modules": {}}], ids=str)
def test_metadata_of_an_unknown_shape_is_an_error_with_words(
    client: ZohoClient, vendor: responses.RequestsMock, body: Any
) -> None:
    vendor.get(f"{API}/settings/modules", json=body)
    with pytest.raises(errors.BadReply):
        client.modules()


# --- what fits a call ---------------------------------------------------------------------------------------------------


def test_ids_and_fields_are_cut_to_what_a_parameter_takes() -> None:
    ids = [str(10**18 + number) for number in range(120)]
    batches = list(id_batches(ids))
    assert [record_id for batch in batches for record_id in batch] == ids
    assert [len(batch) for batch in batches] == [50, 50, 20]
    long = ["9" * 40 for _ in range(60)]
    assert all(len(",".join(batch)) <= 1024 for batch in id_batches(long))
    groups = field_groups([f"Field_{number}" for number in range(130)] + ["Field_1"])
    assert [len(group) for group in groups] == [50, 50, 30]
    assert all(len(",".join(group)) <= 1024 for group in field_groups(["F" * 60 + str(number) for number in range(90)]))
