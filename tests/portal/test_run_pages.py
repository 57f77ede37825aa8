"""The list of runs, the page of one run, its records and downloads, stopping and resuming, schedules, the health check."""

from __future__ import annotations

import csv
import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from crm import selection
from portal import queries, run_account, runs
from portal.cron_words import cron_words
from portal.models import AuditEntry, Connection, Run, RunItem, Schedule, Worker
from portal.runs import Action

pytestmark = pytest.mark.django_db

PARAMETERS = {
    "module": "Leads",
    "field": "Lead_Status",
    "field_label": "Lead Status",
    "value": "Contacted",
    "source": {"type": "ids", "name": "leads.csv"},
}
HTMX = {"HX-Request": "true"}


def make_run(state: str = Run.State.FINISHED, items: dict[str, int] | None = None, **values: Any) -> Run:
    """A run with so many items of each state; failed ones alternate between two codes."""
    defaults = {"kind": "crm.bulk_update", "title": "Leads: set Lead Status to Contacted", "parameters": PARAMETERS}
    run = Run.objects.create(state=state, **defaults | values)
    rows = []
    for item_state, count in (items or {}).items():
        for number in range(count):
            position = len(rows)
            is_failed = item_state == "failed"
            rows.append(
                RunItem(
                    run=run, position=position, key=str(7000 + position), label=f"Lead {position}", state=item_state,
                    before={"Lead_Status": "New"}, after={"Lead_Status": "Contacted"},
                    code=("INVALID_DATA", "RECORD_LOCKED")[number % 2] if is_failed else "",
                    message="invalid data" if is_failed else "", finished_at=timezone.now(),
                )
            )  # fmt: skip
    RunItem.objects.bulk_create(rows)
    runs.refresh_counts(run)
    return run


def text_of(response: Any) -> str:
    if response.streaming:
        return b"".join(response.streaming_content).decode()
    return response.content.decode()


@pytest.fixture
def operator(login: Callable[..., Client]) -> Client:
    return login("Operator")


def user_of(client: Client) -> User:
    return User.objects.get(pk=client.session["_auth_user_id"])


# --- who may ------------------------------------------------------------------------------------------------------------


def test_anonymous_visitors_are_sent_to_the_login(client: Client) -> None:
    assert client.get("/runs/").url == "/accounts/login/?next=/runs/"


@pytest.mark.parametrize("name", ["run", "run-progress", "run-items", "run-items-csv"])
def test_the_pages_of_a_run_need_the_right_to_look_at_runs(login: Callable[..., Client], name: str) -> None:
    run = make_run()
    assert login(None).get(reverse(name, args=[run.pk])).status_code == 403


def test_records_are_downloaded_only_by_those_who_may_export(login: Callable[..., Client]) -> None:
    run = make_run(items={"ok": 1})
    viewer = login("Viewer")
    assert viewer.get(reverse("run-items-csv", args=[run.pk])).status_code == 403
    assert "items.csv" not in text_of(viewer.get(reverse("run", args=[run.pk])))


@pytest.mark.parametrize("name", ["run-stop", "run-resume"])
def test_stop_and_resume_answer_to_post_only(operator: Client, name: str) -> None:
    assert operator.get(reverse(name, args=[make_run().pk])).status_code == 405


# --- the list -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [1, 60])
def test_the_list_takes_the_same_number_of_queries_for_1_and_for_60_runs(
    operator: Client, rows: int, django_assert_max_num_queries: Any
) -> None:
    connection = Connection.objects.create(vendor="zoho", name="Main", client_id="x", is_default=True)
    for number in range(rows):
        make_run(title=f"Run of {number}", connection=connection, requested_by=user_of(operator))
    with django_assert_max_num_queries(14):
        page = operator.get("/runs/")
    assert page.context["table"].paginated_rows[0].record.connection == connection


def test_each_state_has_a_facet_with_its_count(operator: Client) -> None:
    for state in Run.State:
        make_run(state)
    make_run(Run.State.WAITING, wait=Run.Wait.CONFIRMATION)
    facets = {facet.value: facet.count for facet in operator.get("/runs/").context["facets"].states}
    assert facets == {"": 9, "open": 4, "waiting": 1, "finished": 1, "errors": 2, "ended": 2}


def test_a_plan_that_nobody_confirmed_stands_apart_from_what_was_started(operator: Client) -> None:
    plan = make_run(Run.State.WAITING, wait=Run.Wait.CONFIRMATION, title="Only a plan")
    page = operator.get("/runs/")
    assert page.context["waiting"] == [plan]
    assert list(page.context["table"].rows) == []
    assert "Waiting for you" in text_of(page)
    assert [row.record for row in operator.get("/runs/?state=waiting").context["table"].rows] == [plan]


def test_filters_by_kind_person_and_words_narrow_the_list_and_its_facets(operator: Client) -> None:
    mine = make_run(requested_by=user_of(operator), title="Cleaning")
    make_run(kind="crm.restore", title="Putting back")
    for query in (f"person={mine.requested_by_id}", "q=clean", f"q={mine.pk}", "kind=crm.bulk_update"):
        page = operator.get(f"/runs/?{query}")
        assert [row.record for row in page.context["table"].rows] == [mine], query
        assert page.context["facets"].states[0].count == 1
    assert operator.get("/runs/?person=0").context["table"].rows[0].record.title == "Putting back"


def test_nonsense_in_the_query_string_is_left_out(operator: Client) -> None:
    make_run()
    page = operator.get("/runs/?state=nonsense&person=x&page=99&sort=nothing")
    assert len(page.context["table"].rows) == 1


def test_links_to_other_facets_keep_the_present_filters(operator: Client) -> None:
    make_run(title="Cleaning")
    assert 'href="?q=clean&amp;state=finished"' in text_of(operator.get("/runs/?q=clean&page=1"))


def test_the_list_asks_again_only_while_something_is_open(operator: Client) -> None:
    run = make_run(Run.State.RUNNING)
    assert 'hx-trigger="every 5s"' in text_of(operator.get("/runs/"))
    Run.objects.filter(pk=run.pk).update(state=Run.State.FINISHED)
    part = text_of(operator.get("/runs/", headers=HTMX))
    assert "hx-trigger" not in part
    assert "<html" not in part


@pytest.mark.parametrize(
    ("query", "words"),
    [("", "No run yet"), ("?q=none", "No run fits these filters"), ("?state=waiting", "Nothing waits for people")],
)
def test_an_empty_list_says_why_it_is_empty(operator: Client, query: str, words: str) -> None:
    assert words in text_of(operator.get(f"/runs/{query}"))


# --- one run ------------------------------------------------------------------------------------------------------------


def test_the_page_of_a_run_names_its_state_starter_environment_and_relatives(operator: Client) -> None:
    connection = Connection.objects.create(vendor="zoho", name="Main", client_id="x", environment="sandbox")
    run = make_run(Run.State.FINISHED_WITH_ERRORS, {"failed": 2}, connection=connection, requested_by=user_of(operator))
    retry = make_run(parent=run, relation="retry")
    restore = make_run(kind="crm.restore", parent=run, relation="restore")
    page = text_of(operator.get(run.get_absolute_url()))
    for words in ("Finished with errors", "operator", "Sandbox", f"Retry 1: run {retry.pk}"):
        assert words in page
    assert f"Restored by run {restore.pk}" in page
    assert f"Retry of run {run.pk}" in text_of(operator.get(retry.get_absolute_url()))


def test_a_page_reads_no_secret_of_the_connection(operator: Client) -> None:
    connection = Connection.objects.create(vendor="zoho", name="Main", client_id="x", client_secret="very-secret")
    Connection.objects.filter(pk=connection.pk).update(refresh_token="not encrypted with our key")
    run = make_run(connection=connection)
    for address in ("/runs/", run.get_absolute_url(), reverse("run-progress", args=[run.pk])):
        assert "very-secret" not in text_of(operator.get(address))


def test_a_kind_without_a_page_of_its_own_is_shown_all_the_same(operator: Client, settings: Any) -> None:
    settings.RUN_KINDS = {"plain": "portal.csvfiles"}
    page = operator.get(make_run(kind="plain", items={"ok": 1}).get_absolute_url())
    assert page.status_code == 200
    assert page.context["kind_actions"] == []


def test_actions_of_the_kind_stand_where_they_belong(operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    run = make_run(Run.State.FINISHED_WITH_ERRORS, {"failed": 3})
    actions = [
        Action("Retry all", "/all/", fields=(("states", "failed"),)),
        Action("Retry this reason", "/code/", name="code"),
        Action("Retry ticked", "/ticked/", name="selected"),
    ]
    monkeypatch.setattr(run_account, "kind_actions", lambda run, user: actions)
    page = text_of(operator.get(f"{run.get_absolute_url()}?code=INVALID_DATA&state=failed"))
    assert '<input type="hidden" name="states" value="failed">' in page
    assert "Retry this reason (2)" in page
    assert '<input type="hidden" name="code" value="INVALID_DATA">' in page
    assert '<input class="form-check-input" type="checkbox" name="key" value="7000"' in page


def test_the_audit_tab_needs_its_right_and_the_technical_tab_staff(
    operator: Client, login: Callable[..., Client]
) -> None:
    run = make_run()
    AuditEntry.objects.create(actor="olga", action="run requested", run=run)
    assert operator.get(f"{run.get_absolute_url()}?tab=technical").context["tab"] == "records"
    assert operator.get(run.get_absolute_url()).context["tabs"] == ["records", "log"]
    supervisor = login("Supervisor", is_staff=True)
    assert "olga" in text_of(supervisor.get(f"{run.get_absolute_url()}?tab=audit"))
    assert "&quot;field&quot;: &quot;Lead_Status&quot;" in text_of(
        supervisor.get(f"{run.get_absolute_url()}?tab=technical")
    )


def test_the_log_tab_shows_the_events_newest_first(operator: Client) -> None:
    run = make_run()
    runs.log(run, "first line")
    runs.log(run, "second line")
    page = text_of(operator.get(f"{run.get_absolute_url()}?tab=log"))
    assert page.index("second line") < page.index("first line")


# --- progress -------------------------------------------------------------------------------------------------------------


def test_polling_goes_on_while_the_run_is_open_and_shows_numbers_that_add_up(operator: Client) -> None:
    run = make_run(Run.State.RUNNING, {"ok": 5, "failed": 2, "skipped": 1, "unknown": 1, "sent": 3, "planned": 8})
    answer = operator.get(reverse("run-progress", args=[run.pk]), {"seen": "running"}, headers=HTMX)
    part = text_of(answer)
    assert answer.status_code == 200
    assert 'hx-trigger="every 2s"' in part
    assert 'data-title="9 of 20, 2 failed"' in part
    assert "3 of these are sent" in part
    assert "11 to do" in part
    assert "run-actions" not in part


@pytest.mark.parametrize(
    ("state", "wait"),
    [*((state, "") for state in Run.CLOSED), (Run.State.WAITING, Run.Wait.CONFIRMATION)],
)
def test_polling_ends_by_itself_and_renews_buttons_and_records(operator: Client, state: str, wait: str) -> None:
    run = make_run(state, {"ok": 1}, wait=wait)
    answer = operator.get(reverse("run-progress", args=[run.pk]), {"seen": "running"}, headers=HTMX)
    assert answer.status_code == 286
    assert answer.headers["HX-Trigger"] == "run-ended"
    assert "every 2s" not in text_of(answer)
    assert 'id="run-actions" class="run-actions" hx-swap-oob="true"' in text_of(answer)


def test_a_wait_for_the_clock_says_why_and_until_when_and_offers_another_try(operator: Client) -> None:
    until = timezone.now() + dt.timedelta(minutes=12)
    run = make_run(
        Run.State.WAITING, wait=Run.Wait.CREDITS, wait_detail="Zoho's credits are used up.", not_before=until,
        requested_by=user_of(operator),
    )  # fmt: skip
    page = text_of(operator.get(run.get_absolute_url()))
    assert "Waiting for API credits" in page
    assert "credits are used up" in page
    assert f'datetime="{until.isoformat(timespec="seconds")}"' in page
    assert "Try now" in page


def test_a_queued_run_says_that_no_worker_is_running(operator: Client) -> None:
    run = make_run(Run.State.QUEUED)
    address = reverse("run-progress", args=[run.pk])
    assert "manage.py worker" in text_of(operator.get(address, headers=HTMX))
    Worker.objects.create(name="host:1")
    assert "manage.py worker" not in text_of(operator.get(address, headers=HTMX))


def test_the_pace_is_that_of_the_newest_results() -> None:
    run = make_run(Run.State.RUNNING, {"ok": 40, "planned": 60})
    now = timezone.now()
    for position in range(40):
        run.items.filter(position=position).update(finished_at=now - dt.timedelta(seconds=40 - position))
    pace = run_account.pace(run, now)
    assert pace == pytest.approx(1.0, rel=0.05)
    assert run_account.live(run, now).left == "about 1 minute left"


@pytest.mark.parametrize("age", [0, 3600])
def test_the_time_left_is_not_guessed_from_one_moment_or_from_old_results(age: int) -> None:
    run = make_run(Run.State.RUNNING, {"ok": 5, "planned": 5})
    now = timezone.now()
    run.items.update(finished_at=now - dt.timedelta(seconds=age))
    assert run_account.live(run, now).left is None


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (3, "less than a minute left"),
        (172, "about 3 minutes left"),
        (60, "about 1 minute left"),
        (7200, "about 2 hours left"),
    ],
)
def test_time_left_is_told_in_words(seconds: float, words: str) -> None:
    assert run_account.time_left_words(seconds) == words


def test_a_run_between_two_slices_counts_as_running() -> None:
    run = make_run(Run.State.QUEUED, heartbeat_at=timezone.now())
    assert queries.shown_state(run) == Run.State.RUNNING
    run.heartbeat_at = timezone.now() - dt.timedelta(minutes=1)
    assert queries.shown_state(run) is run


# --- records --------------------------------------------------------------------------------------------------------------


def test_chips_and_reasons_have_counts_and_filter_the_records(operator: Client) -> None:
    run = make_run(Run.State.FINISHED_WITH_ERRORS, {"ok": 60, "failed": 3})
    page = operator.get(run.get_absolute_url())
    assert [(each.value, each.count) for each in page.context["states"]] == [
        ("", 63), ("ok", 60), ("failed", 3), ("skipped", 0), ("unknown", 0), ("planned", 0),
    ]  # fmt: skip
    assert [(each.code, each.count) for each in page.context["reasons"]] == [("INVALID_DATA", 2), ("RECORD_LOCKED", 1)]
    assert len(page.context["items_table"].paginated_rows) == 50
    narrowed = operator.get(f"{run.get_absolute_url()}?state=failed&code=INVALID_DATA")
    assert {row.record.code for row in narrowed.context["items_table"].rows} == {"INVALID_DATA"}
    assert "invalid data" in text_of(narrowed)


@pytest.mark.parametrize("text", ["7004", "lead 4"])
def test_records_are_found_by_id_and_by_name(operator: Client, text: str) -> None:
    run = make_run(items={"ok": 10})
    page = operator.get(reverse("run-items", args=[run.pk]), {"q": text}, headers=HTMX)
    assert [row.record.key for row in page.context["items_table"].rows] == ["7004"]
    assert "<html" not in text_of(page)


def test_the_page_of_a_run_takes_few_queries_however_many_records_it_has(
    operator: Client, django_assert_max_num_queries: Any
) -> None:
    run = make_run(Run.State.RUNNING, {"ok": 120, "failed": 30})
    with django_assert_max_num_queries(19):
        operator.get(run.get_absolute_url())


def test_records_that_are_no_longer_kept_are_said_to_be_gone(operator: Client) -> None:
    run = make_run(items={"ok": 2})
    run.items.all().delete()
    assert "no longer kept" in text_of(operator.get(run.get_absolute_url()))


def test_the_download_of_failures_has_their_rows_and_can_be_given_to_a_bulk_update_again(operator: Client) -> None:
    run = make_run(Run.State.FINISHED_WITH_ERRORS, {"ok": 5, "failed": 3})
    answer = operator.get(reverse("run-items-csv", args=[run.pk]), {"state": "failed"})
    text = text_of(answer)
    rows = list(csv.DictReader(text.lstrip("\ufeff").splitlines()))
    assert f"run-{run.pk}-failed-" in answer.headers["Content-Disposition"]
    assert [row["id"] for row in rows] == ["7005", "7006", "7007"]
    assert rows[0]["before"] == "New"
    assert rows[0]["code"] == "INVALID_DATA"
    again = selection.parse(text).rows
    assert (len(again), again[0].id, again[0].target) == (3, "7005", "Contacted")
    assert AuditEntry.objects.filter(action="run records downloaded", run=run).exists()


def test_cells_that_a_spreadsheet_would_run_are_made_harmless(operator: Client) -> None:
    run = make_run(items={"ok": 1})
    run.items.update(label="=HYPERLINK(1)")
    assert "'=HYPERLINK(1)" in text_of(operator.get(reverse("run-items-csv", args=[run.pk])))


def test_names_in_a_record_cannot_become_markup(operator: Client) -> None:
    run = make_run(items={"failed": 1})
    run.items.update(label="<script>1</script>", message="<b>x</b>", after={"Lead_Status": "<i>"})
    page = text_of(operator.get(run.get_absolute_url()))
    for markup in ("<script>1", "<b>x", "<i>"):
        assert markup not in page


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (None, ""),
        ({"Lead_Status": None}, ""),
        ({"Owner": {"name": "Ada", "id": "1"}}, "Ada"),
        ({"Tag": ["a", "b"]}, "a, b"),
        ({"A": 1, "B": None}, "A: 1; B: "),
    ],
)
def test_stored_values_are_told_in_words(values: Any, words: str) -> None:
    assert run_account.values_words(values) == words


# --- stop and resume --------------------------------------------------------------------------------------------------------


def test_stopping_a_run_at_work_lets_the_calls_in_flight_end(operator: Client) -> None:
    run = make_run(Run.State.RUNNING, {"sent": 1}, requested_by=user_of(operator))
    page = operator.post(reverse("run-stop", args=[run.pk]), follow=True)
    run.refresh_from_db()
    assert run.state == Run.State.STOPPING
    assert "stops after the calls in flight" in text_of(page)


def test_a_stopped_run_can_be_resumed_and_a_finished_one_cannot(operator: Client) -> None:
    run = make_run(Run.State.STOPPED, {"planned": 1}, requested_by=user_of(operator))
    assert "goes on from where it is" in text_of(operator.post(reverse("run-resume", args=[run.pk]), follow=True))
    Run.objects.filter(pk=run.pk).update(state=Run.State.FINISHED)
    assert "cannot be resumed" in text_of(operator.post(reverse("run-resume", args=[run.pk]), follow=True))
    assert "ended already" in text_of(operator.post(reverse("run-stop", args=[run.pk]), follow=True))


@pytest.mark.parametrize("name", ["run-stop", "run-resume"])
def test_the_runs_of_others_need_the_stronger_right(login: Callable[..., Client], name: str) -> None:
    run = make_run(Run.State.STOPPED, {"planned": 1})
    assert login("Operator").post(reverse(name, args=[run.pk])).status_code == 403
    assert login("Supervisor").post(reverse(name, args=[run.pk])).status_code == 302


# --- schedules --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def schedule() -> Schedule:
    return Schedule.objects.create(
        name="Morning", kind="crm.bulk_update", cron="30 6 * * 1-5", zone="Europe/Berlin", next_at=timezone.now()
    )


def test_a_schedule_is_shown_in_words_paused_activated_and_removed(
    login: Callable[..., Client], schedule: Schedule
) -> None:
    administrator = login("Administrator")
    assert "Monday to Friday at 06:30" in text_of(administrator.get("/schedules/"))
    toggle = reverse("schedule-toggle", args=[schedule.pk])
    assert "is paused" in text_of(administrator.post(toggle, follow=True))
    assert "is active again" in text_of(administrator.post(toggle, follow=True))
    schedule.refresh_from_db()
    assert schedule.next_at is not None
    assert schedule.next_at > timezone.now()
    administrator.post(reverse("schedule-remove", args=[schedule.pk]))
    assert not Schedule.objects.exists()
    assert AuditEntry.objects.filter(action="schedule removed", target="Morning").exists()


def test_schedules_need_their_rights_and_change_by_post_only(login: Callable[..., Client], schedule: Schedule) -> None:
    toggle = reverse("schedule-toggle", args=[schedule.pk])
    assert login("Operator").get("/schedules/").status_code == 403
    assert login("Supervisor").post(toggle).status_code == 403
    assert login("Administrator").get(toggle).status_code == 405


@pytest.mark.parametrize(
    ("cron", "words"),
    [
        ("30 6 * * *", "Every day at 06:30"),
        ("0 7 * * 1", "Every Monday at 07:00"),
        ("0 7 * * mon,3", "Monday, Wednesday at 07:00"),
        ("*/15 * * * *", "Every 15 minutes"),
        ("5 * * * *", "Every hour at minute 5"),
        ("* * * * *", "Every minute"),
        ("0 */4 * * *", "Every day every 4 hours at minute 0"),
        ("0 3 1 * *", "On day 1 of each month at 03:00"),
        ("0 3 1 * 1", ""),
        ("*/7 * * * *", ""),
        ("*/0 * * * *", ""),
        ("0 3 1 1 *", ""),
        ("1,2 3 * * *", ""),
        ("0 3 * * 1#2", ""),
        ("nonsense", ""),
    ],
)
def test_simple_cron_expressions_have_words_and_others_none(cron: str, words: str) -> None:
    assert cron_words(cron) == words


# --- the health check ---------------------------------------------------------------------------------------------------------


def test_the_health_check_needs_no_login_and_tells_whether_a_worker_is_alive(client: Client) -> None:
    assert client.get("/healthz").json() == {"status": "degraded", "database": "ok", "worker": "none"}
    Worker.objects.create(name="host:1")
    assert client.get("/healthz").json() == {"status": "ok", "database": "ok", "worker": "alive"}


def test_the_health_check_answers_503_without_a_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(now: Any = None) -> bool:
        raise OperationalError("password=secret host=db")

    monkeypatch.setattr(queries, "worker_is_alive", refuse)
    answer = client.get("/healthz")
    assert answer.status_code == 503
    assert answer.json() == {"status": "degraded", "database": "down", "worker": "unknown"}
