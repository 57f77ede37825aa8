"""The home page: tiles, what needs somebody, the first steps."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from portal.models import ApiUsage, Connection, Run, Worker
from tests.telephony.made_calls import make_call, ringcentral

pytestmark = pytest.mark.django_db


def zoho_connection(**values: Any) -> Connection:
    defaults = {"vendor": "zoho", "name": "Main", "client_id": "x", "is_default": True, "state": "working"}
    return Connection.objects.create(**defaults | values)


def make_run(state: str, **values: Any) -> Run:
    return Run.objects.create(kind="crm.bulk_update", title=f"{state} run", state=state, **values)


def page_of(client: Client) -> str:
    return client.get("/").content.decode()


def test_without_a_connection_the_first_steps_are_shown(login: Callable[..., Client]) -> None:
    client = login("Administrator")
    page = client.get("/")
    assert [step.is_done for step in page.context["steps"]] == [False, False, False]
    assert "First steps" in page.content.decode()
    assert "Not connected" in page.content.decode()
    assert "/connections/new/" in page.content.decode()


def test_the_first_steps_end_with_the_first_bulk_update(login: Callable[..., Client]) -> None:
    zoho_connection()
    client = login("Operator")
    assert [step.is_done for step in client.get("/").context["steps"]] == [True, True, False]
    make_run(Run.State.FINISHED, confirmed_at=timezone.now())
    assert "First steps" not in page_of(client)


def test_a_failing_connection_says_why_and_links_to_the_cure(login: Callable[..., Client]) -> None:
    connection = zoho_connection(state="reconnect", state_reason="Zoho no longer accepts the refresh token.")
    page = page_of(login("Administrator"))
    assert "Reconnect needed" in page
    assert "no longer accepts" in page
    assert f'href="/connections/{connection.pk}/">Fix it' in page


def test_connections_of_other_login_sessions_are_not_shown(login: Callable[..., Client]) -> None:
    zoho_connection(source="temporary", is_default=False, session_key="other", organisation_name="Secret Ltd")
    assert "Secret Ltd" not in page_of(login("Administrator"))


def test_the_worker_tile_tells_whether_one_is_running(login: Callable[..., Client]) -> None:
    client = login("Viewer")
    assert "Not running" in page_of(client)
    Worker.objects.create(name="host:1")
    assert "Last sign of life" in page_of(client)
    assert "Not running" not in page_of(client)


def test_credits_are_shown_with_their_limit_and_by_endpoint(login: Callable[..., Client]) -> None:
    connection = zoho_connection(daily_credits=1000)
    hour = timezone.now().replace(minute=0, second=0, microsecond=0)
    ApiUsage.objects.create(key=connection.limit_key, hour=hour, endpoint="read records", calls=4, credits=120)
    ApiUsage.objects.create(
        key=connection.limit_key, hour=hour - dt.timedelta(days=2), endpoint="long ago", calls=4, credits=999
    )
    page = page_of(login("Viewer"))
    assert "12 % used, 880 left" in page
    assert "read records" in page
    assert "long ago" not in page


def test_an_unknown_limit_of_credits_is_called_unknown(login: Callable[..., Client]) -> None:
    zoho_connection()
    assert "limit is not known yet" in page_of(login("Viewer"))


def test_own_plans_failures_and_open_questions_need_the_operator(
    login: Callable[..., Client], person: Callable[..., User]
) -> None:
    client = login("Operator")
    own = {"requested_by": User.objects.get(username="operator")}
    now = timezone.now()
    mine = [
        make_run(Run.State.WAITING, wait=Run.Wait.CONFIRMATION, **own),
        make_run(Run.State.WAITING, wait=Run.Wait.RECONNECTION, **own),
        make_run(Run.State.NEEDS_DECISION, finished_at=now, **own),
        make_run(Run.State.FINISHED_WITH_ERRORS, finished_at=now, **own),
    ]
    make_run(Run.State.FINISHED_WITH_ERRORS, finished_at=now - dt.timedelta(days=30), **own)
    retried = make_run(Run.State.FINISHED_WITH_ERRORS, finished_at=now, **own)
    make_run(Run.State.FINISHED, finished_at=now, parent=retried, relation="retry", **own)
    make_run(Run.State.WAITING, wait=Run.Wait.RATE_LIMIT, **own)
    make_run(Run.State.WAITING, wait=Run.Wait.CONFIRMATION, requested_by=person("Operator", "another"))
    make_run(Run.State.WAITING, wait=Run.Wait.APPROVAL, **own)
    assert sorted(run.pk for run in client.get("/").context["needing"]) == [run.pk for run in mine]


def test_approvals_need_those_who_may_approve(login: Callable[..., Client]) -> None:
    run = make_run(Run.State.WAITING, wait=Run.Wait.APPROVAL)
    assert login("Supervisor").get("/").context["needing"] == [run]


def test_a_calm_portal_says_so_with_a_time(login: Callable[..., Client]) -> None:
    make_run(Run.State.FINISHED, finished_at=timezone.now())
    page = page_of(login("Viewer"))
    assert "Nothing needs you." in page
    assert "the last run ended" in page


def test_people_without_a_role_see_no_runs(login: Callable[..., Client]) -> None:
    make_run(Run.State.FINISHED, finished_at=timezone.now())
    assert "finished run" not in page_of(login(None))


def test_the_calls_of_ones_offices_that_need_somebody_are_told(login: Callable[..., Client]) -> None:
    for state in ("review", "review", "failed", "waiting", "pending", "done"):
        make_call(state=state)
    page = re.sub(r"\s+", " ", page_of(login("Viewer")))
    for words in (
        "2 need a person",
        "1 failed",
        "1 to be processed",
        "1 waits for media",
        "6 calls",
        "Not processed yet",
    ):
        assert words in page
    assert "Nothing needs you." in page
    assert "Nothing needs you." not in page_of(login("Operator"))
    run = make_run(Run.State.FINISHED)
    Run.objects.update(kind="telephony.call_sync")
    assert f"Run {run.pk}</a>, the last one, made" in page_of(login("Viewer", name="another"))


def test_quick_actions_are_for_those_who_may_take_them(login: Callable[..., Client]) -> None:
    assert "Process missed calls" not in page_of(login("Viewer"))
    page = page_of(login("Operator"))
    assert 'href="/calls/?process=accepted"' in page
    assert 'href="/calls/?process=missed"' in page


def test_the_first_steps_with_calls_are_shown_once_phones_are_connected(login: Callable[..., Client]) -> None:
    client = login("Administrator")
    assert "First steps with calls" not in page_of(client)
    ringcentral()
    assert "First steps with calls" in page_of(client)


@pytest.mark.parametrize("rows", [1, 30])
def test_home_takes_the_same_number_of_queries_for_1_and_for_30_runs(
    login: Callable[..., Client], rows: int, django_assert_max_num_queries: Any
) -> None:
    connection = zoho_connection()
    client = login("Supervisor")
    for _ in range(rows):
        make_run(Run.State.FINISHED_WITH_ERRORS, finished_at=timezone.now(), connection=connection)
    with django_assert_max_num_queries(18):
        client.get("/")


def test_open_calls_whose_recordings_are_about_to_be_deleted_are_told(login: Callable[..., Client]) -> None:
    make_call(state="waiting", started_at=timezone.now() - timedelta(days=80))
    make_call(state="done", started_at=timezone.now() - timedelta(days=80))
    make_call(state="waiting", started_at=timezone.now() - timedelta(days=5))
    assert "1 open call older than 76 days" in page_of(login("Operator"))
