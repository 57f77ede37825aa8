"""The audit: who may look, filters, download."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from portal import queries
from portal.models import AuditEntry, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def supervisor(login: Callable[..., Client]) -> Client:
    """Logged in, with an audit that holds nothing else than what the test writes."""
    client = login("Supervisor")
    AuditEntry.objects.all().delete()
    return client


def entry(**values: Any) -> AuditEntry:
    return AuditEntry.objects.create(**{"actor": "olga", "action": "run requested"} | values)


def shown(client: Client, query: str) -> list[int]:
    return [row.record.pk for row in client.get(f"/audit/?{query}").context["table"].rows]


def test_the_audit_needs_its_right(login: Callable[..., Client]) -> None:
    assert login("Operator").get("/audit/").status_code == 403


def test_entries_are_found_by_person_action_run_and_day(supervisor: Client) -> None:
    run = Run.objects.create(kind="crm.bulk_update", title="x")
    wanted = entry(actor="Carla", action="run confirmed", run=run, at=dt.datetime(2026, 3, 5, 12, tzinfo=dt.UTC))
    entry(at=dt.datetime(2026, 3, 6, 0, 0, tzinfo=dt.UTC))
    queries_of = ("actor=carl", "action=run+confirmed", f"run={run.pk}", "since=2026-03-05&until=2026-03-05")
    for query in queries_of:
        assert shown(supervisor, query) == [wanted.pk], query


def test_nonsense_in_a_filter_is_marked_and_left_out(supervisor: Client) -> None:
    made = entry()
    page = supervisor.get("/audit/?run=x&since=never&action=unheard")
    assert [row.record.pk for row in page.context["table"].rows] == [made.pk]
    assert "Enter a whole number" in page.content.decode()


def test_entries_are_listed_newest_first_with_their_details(supervisor: Client) -> None:
    entry(action="old one")
    entry(
        action="new one", details={"field_name": "Lead_Status", "automation": True, "codes": ["A", "B"], "none": None}
    )
    page = supervisor.get("/audit/").content.decode()
    table = page[page.index("<tbody") :]
    assert table.index("new one") < table.index("old one")
    assert "automation: yes, codes: A, B, field name: Lead_Status, none: none" in table


def test_the_download_has_the_filtered_entries_and_harmless_cells(supervisor: Client) -> None:
    entry(actor="=cmd()", action="login failed", address="10.0.0.1")
    entry()
    answer = supervisor.get("/audit/?action=login+failed&format=csv")
    text = b"".join(answer.streaming_content).decode().lstrip("\ufeff")
    rows = list(csv.DictReader(text.splitlines()))
    assert [row["person"] for row in rows] == ["'=cmd()"]
    assert rows[0]["address"] == "10.0.0.1"
    assert tuple(rows[0]) == queries.AUDIT_HEADER
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="audit-')


@pytest.mark.parametrize(
    ("query", "words"), [("", "Nothing is recorded yet"), ("?actor=x", "No entry fits these filters")]
)
def test_an_empty_audit_says_why(supervisor: Client, query: str, words: str) -> None:
    assert words in supervisor.get(f"/audit/{query}").content.decode()


@pytest.mark.parametrize("rows", [1, 60])
def test_the_audit_takes_the_same_number_of_queries_for_1_and_for_60_entries(
    supervisor: Client, rows: int, django_assert_max_num_queries: Any
) -> None:
    run = Run.objects.create(kind="crm.bulk_update", title="x")
    AuditEntry.objects.bulk_create(
        AuditEntry(actor="olga", action="run requested", run=run, at=timezone.now()) for _ in range(rows)
    )
    with django_assert_max_num_queries(11):
        supervisor.get("/audit/")
