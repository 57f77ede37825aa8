"""What people of an office see of a run of calls, and what they can do with it: the calls of their own offices."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal import run_account, runs
from portal.models import Run, RunItem
from telephony.models import Call, Office
from tests.telephony.made_calls import NotedSync, make_call, make_office, noted_sync, ringcentral

pytestmark = pytest.mark.django_db
Login = Callable[..., Client]
LEFT_OUT = "Items of other offices are not shown"
NONE_SHOWN = "No item of this run is shown to you"


@pytest.fixture
def oakland(db: None) -> Office:
    return make_office("oakland")


@pytest.fixture
def berlin(db: None) -> Office:
    return make_office("berlin", zone="Europe/Berlin", order=2)


@pytest.fixture
def member(login: Login, oakland: Office) -> Client:
    """A supervisor, who may do everything with every run, and belongs to Oakland."""
    client = login("Supervisor", name="member", is_staff=True)
    oakland.people.add(User.objects.get(username="member"))
    return client


@pytest.fixture
def outsider(login: Login) -> Client:
    """Belongs to no office and so sees all."""
    return login("Supervisor", name="outsider")


@pytest.fixture
def sync(monkeypatch: pytest.MonkeyPatch) -> NotedSync:
    return noted_sync(monkeypatch)


def run_over(*calls: Call, state: str = Run.State.FINISHED_WITH_ERRORS, **parameters: Any) -> Run:
    """An ended run; an item ended as its call did, and its label, code, message and log line name the call's office."""
    run = Run.objects.create(
        kind="telephony.call_sync", title="Calls of two offices", state=state, connection=ringcentral(), phase="media",
        parameters={"offices": sorted({call.office_id for call in calls if call.office_id})} | parameters,
    )  # fmt: skip
    for position, call in enumerate(calls):
        name = call.office.name if call.office else "Nowhere"
        RunItem.objects.create(
            run=run, position=position, key=str(call.pk), label=f"label of {name}", message=f"message of {name}",
            state="failed" if call.state == "failed" else "ok", code=f"CODE_{name.upper()}",
        )  # fmt: skip
        runs.log(run, f"Call {call.pk}: told of {name}")
    runs.log(run, "Call for help: told of the whole run")
    runs.log(run, "A line about the whole run.")
    runs.refresh_counts(run)
    return run


def text_of(response: Any) -> str:
    body = b"".join(response.streaming_content) if response.streaming else response.content
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", body.decode()))


def shown(client: Client, run: Run, query: str = "") -> list[str]:
    table = client.get(f"{run.get_absolute_url()}{query}").context["items_table"]
    return [row.record.key for row in table.paginated_rows]


def keys(*calls: Call) -> list[str]:
    return [str(call.pk) for call in calls]


def lines(page: Any) -> list[str]:
    return sorted(row.record.message for row in page.context["table"].paginated_rows)


# --- the records --------------------------------------------------------------------------------------------------------


def test_a_member_of_an_office_sees_the_items_of_its_calls_only(
    member: Client, outsider: Client, oakland: Office, berlin: Office
) -> None:
    mine, theirs, homeless = make_call(oakland), make_call(berlin), make_call(None)
    run = run_over(mine, theirs, homeless)
    assert shown(member, run) == keys(mine)
    assert shown(outsider, run) == keys(mine, theirs, homeless)
    words = text_of(member.get(run.get_absolute_url()))
    for left_out in ("label of Berlin", "message of Berlin", "of Nowhere", theirs.get_absolute_url()):
        assert left_out not in words


def test_a_member_of_both_offices_sees_the_items_of_both(member: Client, oakland: Office, berlin: Office) -> None:
    berlin.people.add(User.objects.get(username="member"))
    mine, theirs, homeless = make_call(oakland), make_call(berlin), make_call(None)
    assert shown(member, run_over(mine, theirs, homeless)) == keys(mine, theirs)


def test_people_of_another_office_do_not_limit_those_of_none(outsider: Client, member: Client, berlin: Office) -> None:
    theirs = make_call(berlin)
    page = outsider.get(run_over(theirs).get_absolute_url())
    assert LEFT_OUT not in text_of(page)
    assert [row.record.key for row in page.context["items_table"].rows] == keys(theirs)


def test_the_page_says_that_something_is_left_out_and_keeps_the_counts_of_the_whole_run(
    member: Client, oakland: Office, berlin: Office
) -> None:
    run = run_over(make_call(oakland), make_call(berlin), make_call(berlin, state="failed"))
    page = member.get(run.get_absolute_url())
    words = text_of(page)
    assert LEFT_OUT in words
    assert "ask an administrator" in words
    assert (page.context["run"].planned, page.context["run"].failed) == (3, 1)
    assert "1 record failed." in words
    assert {each.value: each.count for each in page.context["states"] if each.count} == {"": 1, "ok": 1}


def test_where_nothing_is_left_out_nothing_is_said(member: Client, oakland: Office) -> None:
    run = run_over(make_call(oakland), make_call(oakland, state="failed"))
    for tab in ("records", "log"):
        assert LEFT_OUT not in text_of(member.get(f"{run.get_absolute_url()}?tab={tab}"))


def test_a_run_of_other_offices_is_listed_with_its_counts_and_shows_no_item(member: Client, berlin: Office) -> None:
    run = run_over(make_call(berlin))
    assert [row.record for row in member.get(reverse("runs")).context["table"].rows] == [run]
    words = text_of(member.get(run.get_absolute_url()))
    assert NONE_SHOWN in words
    assert LEFT_OUT in words
    assert "All (0)" not in words
    assert NONE_SHOWN in text_of(member.get(f"{run.get_absolute_url()}?state=failed&q=label"))


def test_items_that_are_no_longer_kept_are_said_to_be_gone_and_not_to_be_of_others(
    member: Client, berlin: Office
) -> None:
    run = run_over(make_call(berlin))
    run.items.all().delete()
    words = text_of(member.get(run.get_absolute_url()))
    assert "no longer kept" in words
    assert LEFT_OUT not in words


def test_reasons_name_no_code_that_only_calls_of_others_have(member: Client, oakland: Office, berlin: Office) -> None:
    run = run_over(make_call(oakland, state="failed"), make_call(berlin, state="failed"))
    page = member.get(run.get_absolute_url())
    assert [(each.code, each.count) for each in page.context["reasons"]] == [("CODE_OAKLAND", 1)]
    assert "CODE_BERLIN" not in text_of(page)


@pytest.mark.parametrize(
    "query", ["?q={theirs}", "?q=label+of+Berlin", "?code=CODE_BERLIN", "?state=failed", "?page=2"]
)
def test_no_filter_and_no_search_brings_an_item_of_another_office_to_light(
    member: Client, oakland: Office, berlin: Office, query: str
) -> None:
    mine, theirs = make_call(oakland), make_call(berlin, state="failed")
    run = run_over(mine, theirs)
    query = query.format(theirs=theirs.pk)
    assert set(shown(member, run, query)) <= set(keys(mine))
    part = member.get(reverse("run-items", args=[run.pk]) + query, headers={"HX-Request": "true"})
    assert {row.record.key for row in part.context["items_table"].paginated_rows} <= set(keys(mine))
    # What was searched for stands in its field again; nothing else names the other office.
    assert "message of Berlin" not in text_of(part)


@pytest.mark.parametrize("query", ["", "?state=failed", "?code=CODE_BERLIN", "?q=Berlin"])
def test_downloads_hold_no_item_of_another_office(
    member: Client, outsider: Client, oakland: Office, berlin: Office, query: str
) -> None:
    run = run_over(make_call(oakland, state="failed"), make_call(berlin, state="failed"))
    address = reverse("run-items-csv", args=[run.pk]) + query
    assert "Berlin" not in text_of(member.get(address))
    assert "message of Berlin" in text_of(outsider.get(address))


def test_the_part_that_renews_itself_names_no_item(member: Client, berlin: Office) -> None:
    run = run_over(make_call(berlin), state=Run.State.RUNNING)
    words = text_of(member.get(reverse("run-progress", args=[run.pk])))
    assert "label of Berlin" not in words
    assert "message of Berlin" not in words


def test_a_call_that_moved_to_another_office_moves_out_of_sight(
    member: Client, oakland: Office, berlin: Office
) -> None:
    call = make_call(oakland)
    run = run_over(call)
    assert shown(member, run) == keys(call)
    Call.objects.update(office=berlin)
    assert shown(member, run) == []


def test_runs_of_other_kinds_show_everything_to_everybody(member: Client) -> None:
    run = Run.objects.create(kind="crm.bulk_update", title="Leads", state="finished", parameters={"module": "Leads"})
    RunItem.objects.create(run=run, position=0, key="4876876000000345001", state="ok")
    runs.refresh_counts(run)
    runs.log(run, "Call 7: a line as any other.")
    assert shown(member, run) == ["4876876000000345001"]
    assert lines(member.get(f"{run.get_absolute_url()}?tab=log")) == ["Call 7: a line as any other."]


def test_the_portal_itself_sees_all_items_of_a_run(oakland: Office, berlin: Office) -> None:
    run = run_over(make_call(oakland), make_call(berlin))
    assert run_account.items_of(run, run_account.ItemChoice()).count() == 2


# --- the other tabs -----------------------------------------------------------------------------------------------------


def test_the_log_leaves_out_lines_about_calls_of_other_offices_and_says_so(
    member: Client, outsider: Client, oakland: Office, berlin: Office
) -> None:
    mine, theirs = make_call(oakland), make_call(berlin)
    run = run_over(mine, theirs, debug=True)
    about_run = ["A line about the whole run.", "Call for help: told of the whole run"]
    page = member.get(f"{run.get_absolute_url()}?tab=log")
    assert lines(page) == sorted([*about_run, f"Call {mine.pk}: told of Oakland"])
    assert LEFT_OUT in text_of(page)
    assert f"Call {theirs.pk}: told of Berlin" in lines(outsider.get(f"{run.get_absolute_url()}?tab=log"))


@pytest.mark.parametrize("tab", ["audit", "technical"])
def test_the_other_tabs_tell_nothing_about_single_calls(member: Client, berlin: Office, tab: str) -> None:
    run = run_over(make_call(berlin))
    words = text_of(member.get(f"{run.get_absolute_url()}?tab={tab}"))
    for told in ("label of Berlin", "message of Berlin", "told of Berlin"):
        assert told not in words


# --- acting -------------------------------------------------------------------------------------------------------------


def test_only_failed_calls_of_ones_own_offices_are_offered_and_processed_again(
    member: Client, sync: NotedSync, oakland: Office, berlin: Office
) -> None:
    mine, theirs = make_call(oakland, state="failed"), make_call(berlin, state="failed")
    run = run_over(mine, theirs)
    assert "Process failed calls again (1)" in text_of(member.get(run.get_absolute_url()))
    member.post(reverse("calls-of-run-again", args=[run.pk]))
    assert [[call.pk for call in calls] for calls in sync.calls] == [[mine.pk]]
    theirs.refresh_from_db()
    assert theirs.state == "failed"


def test_nothing_is_offered_nor_done_where_only_calls_of_others_failed(
    member: Client, sync: NotedSync, oakland: Office, berlin: Office
) -> None:
    run = run_over(make_call(oakland), make_call(berlin, state="failed"))
    assert "Process failed calls again" not in text_of(member.get(run.get_absolute_url()))
    member.post(reverse("calls-of-run-again", args=[run.pk]))
    assert sync.calls == []


@pytest.mark.parametrize("name", ["run-retry", "run-restore"])
def test_a_run_of_calls_cannot_be_retried_or_restored_as_one_of_records(
    member: Client, berlin: Office, name: str
) -> None:
    run = run_over(make_call(berlin, state="failed"))
    assert member.post(reverse(name, args=[run.pk])).status_code == 404
    assert Run.objects.count() == 1


# --- what it costs ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tab", ["records", "log"])
def test_the_page_takes_as_many_queries_for_many_calls_as_for_few_and_for_members_as_for_others(
    member: Client, outsider: Client, oakland: Office, berlin: Office, tab: str
) -> None:
    few = run_over(make_call(oakland, state="failed"), make_call(berlin, state="failed"), debug=True)
    some = [make_call(office, state="failed") for office in (oakland, berlin) for _ in range(20)]
    many = run_over(*some, debug=True)
    counts = set()
    for client in (member, outsider):
        for run in (few, many):
            with CaptureQueriesContext(database) as captured:
                client.get(f"{run.get_absolute_url()}?tab={tab}")
            counts.add(len(captured))
    assert len(counts) == 1
