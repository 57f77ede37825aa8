"""The review: one call, its candidate records, one decision, also when two people decide at once."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.models import AuditEntry, Connection
from telephony import reasons, review
from telephony.models import Call, Caller
from tests.telephony.made_calls import NotedSync, candidate, make_call, make_office, noted_sync, ringcentral

pytestmark = pytest.mark.django_db
Login = Callable[..., Client]
PAGE = "/calls/review/"


@pytest.fixture
def sync(monkeypatch: pytest.MonkeyPatch) -> NotedSync:
    return noted_sync(monkeypatch)


@pytest.fixture
def zoho_row(db: None) -> Connection:
    return Connection.objects.create(vendor="zoho", name="Zoho", client_id="x", is_default=True, state="working")


def undecided(**values: Any) -> Call:
    candidates = [candidate("487001"), candidate("487002", phones={"Phone": "030 901820"})]
    defaults = {"state": "review", "reason_code": "SEVERAL_MATCHES", "reason": "2 leads have this number."}
    return make_call(values.pop("office", None), candidates=candidates, **defaults | values)


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def decide(client: Client, name: str, call: Call, **values: Any) -> Any:
    values = {"seen": call.changed_at.isoformat(), "next": PAGE} | values
    return client.post(reverse(name, args=[call.pk]), values, follow=True)


def test_a_card_shows_the_call_and_its_candidates_with_the_matching_number_marked(login: Login) -> None:
    undecided(office=make_office())
    page = login("Operator").get(PAGE)
    html, words = page.content.decode(), text_of(page)
    assert html.count("<mark>") == 1
    assert "<mark>(510) 555-0142</mark>" in html
    for part in (
        "+1 510-555-0142",
        "Oakland",
        "Lead 01",
        "lead 487001",
        "Owner: Omar Reyes",
        "2 leads have this number.",
    ):
        assert part in words
    assert "Created: 2025-01-02 10:00" in words


def test_the_oldest_call_comes_first_and_an_empty_queue_says_so(login: Login) -> None:
    client = login("Viewer")
    assert "No call needs a person" in text_of(client.get(PAGE))
    late, early = undecided(), undecided()
    Call.objects.filter(pk=early.pk).update(started_at="2026-01-01T00:00Z")
    assert [call.pk for call, *_ in client.get(PAGE).context["cards"]] == [early.pk, late.pk]
    assert "<button" not in client.get(PAGE).content.decode().partition("<main")[2]


def test_the_choice_is_kept_and_the_processing_queued(login: Login, sync: NotedSync) -> None:
    call = undecided()
    page = decide(login("Operator"), "call-choose", call, record="Leads:487002")
    found = Call.objects.get()
    assert (found.module, found.record_id, found.state, found.reason_code) == ("Leads", "487002", "pending", "")
    assert found.match_reason == "operator chose it."
    assert found.decided_at is not None
    assert [[each.pk for each in calls] for calls in sync.calls] == [[call.pk]]
    assert page.redirect_chain[-1][0] == PAGE
    assert not Caller.objects.exists()
    assert AuditEntry.objects.get(action="call: record chosen").details["record_id"] == "487002"


def test_always_keeps_the_choice_for_the_number(login: Login, sync: NotedSync, zoho_row: Connection) -> None:
    Caller.objects.create(connection=zoho_row, number="+15105550142", module="Leads", record_id="1")
    decide(login("Operator"), "call-choose", undecided(), record="Leads:487001", always="on")
    caller = Caller.objects.get()
    assert (caller.module, caller.record_id, caller.is_chosen) == ("Leads", "487001", True)
    assert "for all calls with this number" in Call.objects.get().match_reason


def test_a_new_lead_can_be_made_anyway(login: Login, sync: NotedSync) -> None:
    decide(login("Operator"), "call-new-lead", undecided())
    found = Call.objects.get()
    assert (found.state, found.reason_code, found.record_id) == ("pending", reasons.NEW_LEAD, "")
    assert len(sync.calls) == 1


def test_a_call_can_be_ignored_with_a_reason(login: Login, sync: NotedSync) -> None:
    page = decide(login("Operator"), "call-ignore", undecided(), reason="Spam")
    assert Call.objects.get().reason_code == reasons.IGNORED
    assert "No call needs a person" in text_of(page)


def test_of_two_people_the_second_one_is_told_who_was_faster(login: Login, sync: NotedSync) -> None:
    call = undecided()
    decide(login("Operator", name="ana"), "call-choose", call, record="Leads:487001")
    page = decide(login("Operator", name="kim"), "call-choose", call, record="Leads:487002")
    assert "Somebody was faster" in text_of(page)
    assert "ana chose it." in text_of(page)
    assert Call.objects.get().record_id == "487001"
    assert len(sync.calls) == 1
    assert not AuditEntry.objects.filter(actor="kim").exclude(action="logged in").exists()


@pytest.mark.parametrize("act", [review.create_lead, lambda call, user: review.ignore(call, reason="x", user=user)])
def test_a_decision_about_a_call_as_it_was_before_changes_nothing(act: Any, person: Any) -> None:
    seen, now = undecided(), Call.objects.get()
    review.ignore(now, reason="first", user=person("Operator"))
    with pytest.raises(review.Taken, match="first"):
        act(seen, user=person("Operator", name="second"))
    assert Call.objects.get().reason == "operator: first"


def test_after_a_decision_only_addresses_of_the_portal_are_gone_to(login: Login, sync: NotedSync) -> None:
    client = login("Operator")
    for address in ("https://evil.example/", "//evil.example", "javascript:alert(1)"):
        call = undecided()
        page = decide(client, "call-ignore", call, reason="x", next=address)
        assert page.redirect_chain[-1][0] == call.get_absolute_url()


def test_the_review_takes_the_same_number_of_queries_for_few_and_for_many_calls(login: Login) -> None:
    client = login("Operator")
    office = make_office()
    undecided(office=office)
    client.get(PAGE)
    numbers = []
    for _ in range(2):
        for _ in range(5):
            undecided(office=office)
        with CaptureQueriesContext(database) as counted:
            client.get(PAGE)
        numbers.append(len(counted))
    assert numbers[0] == numbers[1]
    assert ringcentral().calls.count() == 11


def test_a_call_that_a_rule_stops_before_has_no_choice_of_records(login: Login, sync: NotedSync) -> None:
    call = undecided(reason_code="RULE", reason="The rule says so.")
    client = login("Operator")
    html = client.get(PAGE).content.decode()
    assert reverse("call-new-lead", args=[call.pk]) not in html
    assert reverse("call-ignore", args=[call.pk]) in html
    page = decide(client, "call-choose", call, record="Leads:487001")
    assert "stopped before its record matters. The rule says so." in text_of(page)
    assert Call.objects.get().record_id == ""
