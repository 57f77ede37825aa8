"""The list of calls: who sees which, filters, the form that processes them, the download, and why none were processed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from portal.models import AuditEntry, Connection, Run
from telephony import queries
from telephony.models import Call, CallLogRow, CallSettings, ExcludedNumber
from tests.telephony.made_calls import (
    NOON,
    NotedSync,
    make_call,
    make_extension,
    make_office,
    make_step,
    noted_sync,
    ringcentral,
)

pytestmark = pytest.mark.django_db
Login = Callable[..., Client]
PAGE = "/calls/"


@pytest.fixture
def sync(monkeypatch: pytest.MonkeyPatch) -> NotedSync:
    return noted_sync(monkeypatch)


def text_of(response: Any) -> str:
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body.decode()))


def shown(client: Client, query: str = "") -> list[int]:
    return sorted(row.record.pk for row in client.get(PAGE + query).context["table"].rows)


# --- who sees what ------------------------------------------------------------------------------------------------------


def test_people_of_an_office_see_its_calls_only_and_others_see_all(login: Login) -> None:
    oakland, berlin = make_office("oakland"), make_office("berlin", zone="Europe/Berlin")
    mine, theirs, homeless = make_call(oakland), make_call(berlin), make_call(None)
    client = login("Supervisor")
    assert shown(client) == [mine.pk, theirs.pk, homeless.pk]
    oakland.people.add(User.objects.get(username="supervisor"))
    assert shown(client) == [mine.pk]
    assert shown(client, "?office=berlin") == [mine.pk]  # no office of theirs: the filter is left out
    for name in ("call", "call-choose", "call-ignore", "call-again"):
        method = client.get if name == "call" else client.post
        assert method(reverse(name, args=[theirs.pk])).status_code == 404
    assert "berlin" not in text_of(client.get(reverse("offices"))).lower()
    assert text_of(client.get(reverse("calls-csv"))).count("s-0000") == 1


def test_a_person_of_two_offices_sees_both(person: Callable[..., User]) -> None:
    user = person("Viewer")
    offices = [make_office(slug) for slug in ("a", "b", "c")]
    calls = [make_call(office) for office in offices]
    offices[0].people.add(user)
    offices[1].people.add(user)
    assert set(queries.calls_for(user)) == set(calls[:2])
    assert list(queries.offices_for(user)) == offices[:2]


def test_calls_that_were_joined_to_another_one_are_not_listed_and_lead_to_it(login: Login) -> None:
    main = make_call()
    part = make_call(merged_into=main, state="not_processed")
    client = login("Viewer")
    assert shown(client) == [main.pk]
    assert client.get(part.get_absolute_url()).url == main.get_absolute_url()


def test_viewers_look_and_operators_act(login: Login, sync: NotedSync) -> None:
    make_office()
    viewer = login("Viewer")
    assert "Process calls</h2>" not in viewer.get(PAGE).content.decode()
    assert viewer.post(reverse("calls-process")).status_code == 403
    assert viewer.get(reverse("calls-csv")).status_code == 403
    assert "Process calls</h2>" in login("Operator").get(PAGE).content.decode()


# --- a row ----------------------------------------------------------------------------------------------------------------


def test_a_row_says_when_who_what_and_what_was_written(login: Login) -> None:
    office = make_office()
    call = make_call(office, answered_by=make_extension(office), module="Leads", record_id="4876876000000345001")
    make_step(call, "lead")
    make_step(call, "note", "failed", message="Zoho refused it.")
    make_step(call, "recording", "waiting", key="r1")
    make_step(call, "recording", "done", key="r2")
    page = login("Operator").get(PAGE)
    words, html = text_of(page), page.content.decode()
    assert re.search("10 Mar( 2026)?, 11:00 PDT", words)  # the year is left out while it is this one
    assert 'title="2026-03-10 18:00:00 UTC"' in html
    for part in ("+1 510-555-0142", "WIRELESS CALLER", "Oakland", "Accepted", "Ana Lopez (100)", "Inbound, 3 min"):
        assert part in words
    assert 'href="/crm/records/Leads/4876876000000345001/"' in html
    assert "Lead : Done" in words
    assert "Note : Failed: Zoho refused it." in words
    assert "Recording ×2 : Waiting, Done" in words


def test_what_a_caller_gave_as_name_is_text_and_never_a_tag(login: Login) -> None:
    make_call(name_told="<script>alert(1)</script>", number="", number_told="<b>Unknown</b>", reason="<i>x</i>")
    html = login("Viewer").get(PAGE).content.decode()
    for text in ("<script>alert", "<b>Unknown", "<i>x"):
        assert text not in html


@pytest.mark.parametrize("rows", [2, 45])
def test_the_list_takes_the_same_number_of_queries_for_few_and_for_many_calls(login: Login, rows: int) -> None:
    office = make_office()
    extension = make_extension(office)
    for _ in range(rows):
        call = make_call(office, answered_by=extension, extension=extension)
        make_step(call, "lead")
        make_step(call, "note")
    client = login("Operator")
    with CaptureQueriesContext(database) as counted:
        client.get(PAGE)
    assert len(counted) <= 20


# --- filters --------------------------------------------------------------------------------------------------------------


def test_filters_are_in_the_address_and_add_up(login: Login) -> None:
    office = make_office()
    written = make_call(office)
    make_step(written)
    failed = make_call(office, state="failed", outcome="missed", name_told="Jane Doe", number="+493090182000")
    review = make_call(None, state="review")
    client = login("Viewer")
    assert shown(client, "?state=failed") == [failed.pk]
    assert shown(client, "?state=not_in_crm") == [failed.pk, review.pk]
    assert shown(client, "?outcome=missed") == [failed.pk]
    assert shown(client, "?office=-") == [review.pk]
    assert shown(client, "?office=oakland&state=failed&q=jane") == [failed.pk]
    assert shown(client, "?state=review&outcome=missed") == []
    counts = {facet.value: facet.count for facet in client.get(PAGE).context["facets"]}
    assert counts == {
        "": 3,
        "pending": 0,
        "review": 1,
        "waiting": 0,
        "done": 1,
        "not_processed": 0,
        "failed": 1,
        "not_in_crm": 2,
    }


@pytest.mark.parametrize("text", ["510 555 0142", "(510) 555-0142", "5105550142", "+1 510", "wireless", "s-00000"])
def test_search_finds_a_number_however_it_is_written_a_name_and_a_call_id(login: Login, text: str) -> None:
    found = make_call()
    make_call(number="+493090182000", number_told="", name_told="Jane", key="other")
    client = login("Viewer")
    assert [row.record for row in client.get(PAGE, {"q": text}).context["table"].rows] == [found]


def test_days_are_those_of_the_office_also_when_the_clock_is_changed(login: Login) -> None:
    # 8 March 2026 has 23 hours in California: it begins at 08:00 and ends at 07:00 UTC.
    office = make_office()
    before = make_call(office, started_at=datetime(2026, 3, 8, 7, 59, tzinfo=UTC))
    first = make_call(office, started_at=datetime(2026, 3, 8, 8, 0, tzinfo=UTC))
    last = make_call(office, started_at=datetime(2026, 3, 9, 6, 59, tzinfo=UTC))
    after = make_call(office, started_at=datetime(2026, 3, 9, 7, 0, tzinfo=UTC))
    client = login("Viewer")
    day = "&since=2026-03-08&until=2026-03-08"
    assert shown(client, f"?office=oakland{day}") == [first.pk, last.pk]
    assert shown(client, f"?state={day}") == [before.pk, first.pk]  # all offices: days of the settings' zone, UTC
    assert after.pk in shown(client, "?office=oakland&since=2026-03-09")


def test_what_makes_no_sense_in_the_address_is_left_out(login: Login) -> None:
    make_call()
    client = login("Viewer")
    for query in (
        "?state=x",
        "?office=nowhere",
        "?since=yesterday",
        "?outcome=1",
        "?page=99",
        "?sort=nothing",
        "?q=%00",
    ):
        assert client.get(PAGE + query).status_code == 200, query


@pytest.mark.parametrize(
    ("role", "query", "words"),
    [
        ("Operator", "", "No call yet"),
        ("Viewer", "", "when an operator or a schedule has processed them"),
        ("Viewer", "?state=review", "No call needs a person"),
        ("Viewer", "?q=nobody", "No call fits these filters"),
    ],
)
def test_an_empty_list_says_what_to_do(login: Login, role: str, query: str, words: str) -> None:
    make_office()
    assert words in text_of(login(role).get(PAGE + query))


def test_without_an_office_the_page_leads_to_its_making(login: Login) -> None:
    page = login("Operator").get(PAGE).content.decode()
    assert "No office yet" in page
    assert reverse("offices") in page


# --- the download ---------------------------------------------------------------------------------------------------------


def test_the_download_has_the_filtered_calls_and_no_formula(login: Login) -> None:
    call = make_call(make_office(), name_told="=HYPERLINK(1)", state="failed")
    make_step(call, "note", "failed")
    make_call(name_told="Other")
    response = login("Operator").get(reverse("calls-csv") + "?state=failed")
    lines = b"".join(response.streaming_content).decode("utf-8-sig").splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("Call id,Started (UTC)")
    for part in (
        "'=HYPERLINK(1)",
        "2026-03-10T18:00:00+00:00",
        "2026-03-10T11:00:00-07:00",
        "+15105550142",
        "Note: Failed",
    ):
        assert part in lines[1]
    entry = AuditEntry.objects.get(action="calls downloaded")
    assert entry.details["state"] == "failed"


def test_the_download_takes_the_same_number_of_queries_for_few_and_for_many_calls(login: Login) -> None:
    CallSettings.load()
    client = login("Operator")
    client.get(reverse("calls-csv"))
    numbers = []
    for _ in range(2):
        for _ in range(30):
            make_step(make_call())
        with CaptureQueriesContext(database) as counted:
            list(client.get(reverse("calls-csv")).streaming_content)
        numbers.append(len(counted))
    assert numbers[0] == numbers[1]


# --- processing -----------------------------------------------------------------------------------------------------------


def wanted(**values: Any) -> dict[str, Any]:
    return {
        "office": "",
        "types": ["accepted", "missed"],
        "period": "hours",
        "hours_back": "24",
        "email": "on",
    } | values


def test_the_form_starts_a_run_of_all_active_offices_in_their_order(login: Login, sync: NotedSync) -> None:
    second, first = make_office("berlin", order=2), make_office("oakland", order=1)
    make_office("closed", is_active=False, order=0)
    response = login("Operator").post(reverse("calls-process"), wanted())
    run = Run.objects.get()
    assert response.url == run.get_absolute_url()
    told = sync.started[0]
    assert told["offices"] == [first, second]
    assert told["types"] == ["accepted", "missed"]
    assert (told["hours_back"], told["since"], told["until"]) == (24, None, None)
    assert (told["dry_run"], told["debug"], told["email"]) == (False, False, True)
    assert told["user"].username == "operator"
    assert told["address"] == "127.0.0.1"


def test_one_office_one_type_a_dry_run_in_detail_without_mail(login: Login, sync: NotedSync) -> None:
    make_office("berlin")
    oakland = make_office("oakland")
    values = wanted(office="oakland", types=["missed"], dry_run="on", debug="on", hours_back="48")
    del values["email"]
    login("Operator").post(reverse("calls-process"), values)
    told = sync.started[0]
    assert (told["offices"], told["types"], told["hours_back"]) == ([oakland], ["missed"], 48)
    assert (told["dry_run"], told["debug"], told["email"]) == (True, True, False)


def test_days_mean_those_of_the_office(login: Login, sync: NotedSync) -> None:
    make_office("berlin", zone="Europe/Berlin")
    client = login("Operator")
    values = wanted(office="berlin", period="dates", since="2026-03-29", until="2026-03-29")
    client.post(reverse("calls-process"), values)
    told = sync.started[0]
    # The day on which the clocks go forward in Berlin has 23 hours.
    assert told["since"] == datetime(2026, 3, 28, 23, 0, tzinfo=UTC)
    assert told["until"] == datetime(2026, 3, 29, 22, 0, tzinfo=UTC)
    assert told["hours_back"] is None


@pytest.mark.parametrize("period", ["today", "yesterday", "week", "month"])
def test_presets_begin_at_midnight_of_the_office(login: Login, sync: NotedSync, period: str) -> None:
    office = make_office("tokyo", zone="Asia/Tokyo")
    login("Operator").post(reverse("calls-process"), wanted(office="tokyo", period=period, hours_back=""))
    told = sync.started[0]
    today = timezone.now().astimezone(office.tz).date()
    first = {
        "today": today, "yesterday": today - timedelta(days=1), "week": today - timedelta(days=6),
        "month": today.replace(day=1),
    }[period]  # fmt: skip
    assert told["since"] == queries.midnight(first, office.tz)
    assert told["until"] == (queries.midnight(today, office.tz) if period == "yesterday" else None)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"types": []}, "Choose accepted calls, missed calls, or both."),
        ({"hours_back": "0"}, "greater than or equal to 1"),
        ({"hours_back": "169"}, "Oakland allows at most 168 hours"),
        ({"hours_back": ""}, "Give the number of hours"),
        ({"office": "nowhere"}, "nowhere"),
        ({"period": "dates"}, "Give the first day."),
        ({"period": "dates", "since": "2026-03-02", "until": "2026-03-01"}, "before the first one"),
        ({"period": "dates", "since": "2999-01-01"}, "still to come"),
    ],
)
def test_what_cannot_be_processed_is_refused_with_the_value_named(
    login: Login, sync: NotedSync, change: dict[str, Any], words: str
) -> None:
    make_office()
    response = login("Operator").post(reverse("calls-process"), wanted(**change))
    assert words in text_of(response)
    assert sync.started == []


def test_the_maximum_is_the_offices_own_where_it_has_one(login: Login, sync: NotedSync) -> None:
    make_office("berlin", max_hours_back=24)
    client = login("Operator")
    assert "Berlin allows at most 24 hours" in text_of(client.post(reverse("calls-process"), wanted(hours_back="25")))
    assert client.post(reverse("calls-process"), wanted(hours_back="24")).status_code == 302


def test_a_second_start_is_refused_with_a_link_to_the_run_in_the_way(login: Login, sync: NotedSync) -> None:
    make_office()
    run = Run.objects.create(kind="telephony.call_sync", title="Calls", connection=ringcentral())
    sync.refuse_with = (f"Oakland is in work by run {run.pk}.", run)
    response = login("Operator").post(reverse("calls-process"), wanted())
    assert response.status_code == 409
    assert f"Oakland is in work by run {run.pk}." in text_of(response)
    assert f'href="{run.get_absolute_url()}"' in response.content.decode()
    assert Run.objects.count() == 1


def test_people_of_an_office_process_their_own_only(login: Login, sync: NotedSync) -> None:
    mine = make_office("oakland")
    make_office("berlin")
    client = login("Operator")
    mine.people.add(User.objects.get(username="operator"))
    client.post(reverse("calls-process"), wanted())
    assert sync.started[0]["offices"] == [mine]
    assert client.post(reverse("calls-process"), wanted(office="berlin")).status_code == 200
    assert len(sync.started) == 1


def test_a_quick_action_opens_the_form_with_its_type(login: Login) -> None:
    make_office()
    form = login("Operator").get(f"{PAGE}?process=missed").context["form"]
    assert form["types"].value() == ["missed"]


# --- why were no calls processed? -----------------------------------------------------------------------------------------


def test_every_question_says_how_many_calls_pass_and_how_many_stop_there(login: Login) -> None:
    oakland, berlin = make_office("oakland"), make_office("berlin")
    on, off = make_extension(oakland), make_extension(oakland, process_calls=False)
    ExcludedNumber.objects.create(number="+15105550199", office=oakland)
    ExcludedNumber.objects.create(number="+15105550142", office=berlin)
    common = {"extension": on, "state": "not_processed"}
    make_call(berlin)
    make_call(None)
    make_call(oakland, extension=off, state="not_processed")
    make_call(oakland, number="+15105550199", **common)
    make_call(oakland, outcome="internal", reason_code="INTERNAL", reason="Both are our own.", **common)
    make_call(oakland, **common)
    matched = make_call(oakland, module="Leads", record_id="1", **common | {"state": "failed"})
    written = make_call(oakland, module="Leads", record_id="1", **common | {"state": "done"})
    make_step(matched, state="failed")
    make_step(written)
    make_call(oakland, started_at=NOON - timedelta(days=40))
    CallLogRow.objects.create(
        connection=ringcentral(), row_id="1", session_key="s", payload={}, digest="x", started_at=NOON
    )  # fmt: skip

    page = login("Viewer").get("/calls/why/?office=oakland&since=2026-03-10&until=2026-03-10")
    assert [(step.count, step.stopped) for step in page.context["steps"]] == [
        (8, 0), (6, 2), (5, 1), (4, 1), (3, 1), (2, 1), (1, 1),
    ]  # fmt: skip
    assert page.context["rows_read"] == 1
    assert "Both are our own." in text_of(page)
    assert sum(each.count for each in page.context["reasons"]) == 5


def test_of_missed_calls_only_the_missed_ones_pass(login: Login) -> None:
    office = make_office()
    make_call(office)
    make_call(office, outcome="voicemail")
    page = login("Viewer").get("/calls/why/?types=missed&since=2026-03-10&until=2026-03-10")
    assert [step.count for step in page.context["steps"]][:6] == [2, 2, 2, 2, 1, 0]


def test_an_empty_window_says_that_the_log_may_not_have_been_read(login: Login) -> None:
    page = text_of(login("Operator").get("/calls/why/"))
    assert "No call of this window is known here." in page
    assert "enough hours to look back" in page


def test_looking_makes_the_settings_row_at_most(login: Login) -> None:
    client = login("Viewer")
    client.get(PAGE)
    assert CallSettings.objects.count() <= 1
    assert Call.objects.count() == 0


# --- with the call sync itself --------------------------------------------------------------------------------------------


def test_of_two_starts_for_an_office_the_second_is_refused_with_the_first_ones_run(login: Login) -> None:
    ringcentral()
    Connection.objects.create(vendor="zoho", name="Zoho", client_id="x", is_default=True, state="working")
    make_office()
    client = login("Operator")
    first = client.post(reverse("calls-process"), wanted())
    run = Run.objects.get()
    assert first.url == run.get_absolute_url()
    second = client.post(reverse("calls-process"), wanted(types=["missed"]))
    assert second.status_code == 409
    assert f'href="{run.get_absolute_url()}"' in second.content.decode()
    assert Run.objects.count() == 1


def test_a_start_without_connections_is_refused_with_what_to_do(login: Login) -> None:
    make_office()
    response = login("Operator").post(reverse("calls-process"), wanted())
    assert response.status_code == 409
    assert "There is no connection to RingCentral yet. Add one on the Connections page." in text_of(response)
    assert not Run.objects.exists()
