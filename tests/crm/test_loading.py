"""From a source to the items of a run, whatever interrupts the way, and reading that survives odd answers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from crm import bulk_update, loading
from crm.selection import parse
from portal import runs
from portal.models import Connection, Run, RunItem
from portal.standin import Standin

pytestmark = pytest.mark.django_db

Work = Callable[[Run], Run]
CHANGE = {"field": "Lead_Status", "value": "Junk Lead", "automation": False}


@pytest.fixture
def view(standin: Standin) -> str:
    return next(view.id for view in standin.zoho.org.views.values() if view.name == "All Leads")


def plan_of_view(zoho: Connection, view: str, **source: Any) -> Run:
    return bulk_update.start(
        connection=zoho,
        module="Leads",
        source={"type": "view", "id": view, "name": "All Leads", "all_pages": True} | source,
    )


def plan_of_ids(zoho: Connection, ids: list[str], **options: Any) -> Run:
    return bulk_update.start(
        connection=zoho, module="Leads", source={"type": "ids"}, selection=parse("\n".join(ids)), **options
    )


def shown_ids(standin: Standin) -> set[str]:
    return {record_id for record_id in standin.ids("Leads") if not standin.record("Leads", record_id)["Converted__s"]}


def test_a_list_keeps_its_order_and_its_lines(zoho: Connection, standin: Standin, work: Work) -> None:
    ids = list(reversed(standin.ids("Leads")[:30]))
    run = work(plan_of_ids(zoho, [ids[0], "oops", *ids]))
    items = list(run.items.order_by("position").values_list("key", "details__line"))
    assert [key for key, _ in items] == ids
    assert [line for _, line in items] == [1, *range(4, 33)]


def test_a_list_of_many_slices_is_loaded_once(
    zoho: Connection, monkeypatch: pytest.MonkeyPatch, work: Work, settings: Any
) -> None:
    monkeypatch.setattr(loading, "CHUNK", 7)
    settings.RUN_SLICE_SECONDS = 0.001
    ids = [str(10**18 + number) for number in range(100)]
    run = work(plan_of_ids(zoho, ids))
    assert list(run.items.order_by("position").values_list("key", flat=True)) == ids


def test_a_worker_killed_between_two_pages_loses_and_doubles_nothing(
    zoho: Connection, standin: Standin, view: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    original, calls = loading.insert, []

    def dying(lease: Any, items: Any, position: Any) -> None:
        original(lease, items, position)
        calls.append(len(items))
        if len(calls) in (2, 5):
            raise KeyboardInterrupt

    monkeypatch.setattr(loading, "insert", dying)
    run = plan_of_view(zoho, view)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            runs.wake(run.pk)
        Run.objects.filter(pk=run.pk).update(lease_until=None)
    run = work(run)
    keys = list(run.items.values_list("key", flat=True))
    assert len(keys) == len(set(keys)) == run.planned
    assert set(keys) == shown_ids(standin)


def test_a_page_token_that_expired_starts_the_walk_again_without_doubles(
    zoho: Connection, standin: Standin, view: str, work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs.Lease, "time_is_up", property(lambda lease: lease.run.position.get("count", 0) == 400))
    run = plan_of_view(zoho, view)
    runs.wake(run.pk)
    run.refresh_from_db()
    assert run.position["count"] == 400
    monkeypatch.undo()
    standin.clock.advance(25 * 3600)
    run = work(run)
    assert set(run.items.values_list("key", flat=True)) == shown_ids(standin)
    assert run.events.filter(message__contains="page token has expired").exists()


def test_beyond_the_reach_of_page_tokens_a_view_is_still_loaded_completely(
    zoho: Connection, standin: Standin, view: str, work: Work
) -> None:
    body = {"code": "PAGINATION_LIMIT_EXCEEDED", "details": {}, "message": "limit", "status": "error"}
    standin.faults.add(path="page_token", nth=3, status=400, body=body)
    run = work(plan_of_view(zoho, view))
    # The walk by id shows converted leads too; the preview leaves them alone.
    assert shown_ids(standin) <= set(run.items.values_list("key", flat=True))
    assert run.events.filter(message__contains="order of ids").exists()
    assert standin.counters.calls.get("coql") or any(entry.path.endswith("/coql") for entry in standin.counters.journal)


def test_a_view_that_does_not_exist_fails_with_zohos_words(zoho: Connection, work: Work) -> None:
    run = work(plan_of_view(zoho, "123"))
    assert run.state == Run.State.FAILED
    assert run.error
    assert not run.items.exists()


@pytest.mark.parametrize(
    "fault",
    [
        {"malformed": True},
        {"truncate": 40},
        {"status": 503, "html": True},
        {"drop": "after"},
        {"status": 200, "body": {"odd": 1}},
    ],
    ids=str,
)
@pytest.mark.parametrize("path", ["cvid", "ids="])
def test_an_answer_that_goes_wrong_while_reading_changes_nothing_about_the_end(
    zoho: Connection, standin: Standin, view: str, work: Work, fault: dict[str, Any], path: str
) -> None:
    ids = sorted(shown_ids(standin))[:120]
    standin.faults.add(method="GET", path=path, nth=2, **fault)
    run = plan_of_view(zoho, view) if path == "cvid" else plan_of_ids(zoho, ids, change=CHANGE)
    run = work(run)
    assert run.wait in (Run.Wait.CHANGE, Run.Wait.CONFIRMATION), run.error
    assert run.planned == (len(shown_ids(standin)) if path == "cvid" else 120)
    assert not run.items.filter(state=RunItem.State.FAILED).exists()


def test_a_record_whose_present_value_cannot_be_read_is_left_alone(
    zoho: Connection, standin: Standin, work: Work
) -> None:
    ids = sorted(shown_ids(standin))[:60]
    standin.faults.add(method="GET", path="ids=", nth=1, status=403)
    run = work(plan_of_ids(zoho, ids, change=CHANGE, confirmed=True))
    unread = run.items.filter(code="READ_FAILED")
    assert unread.count() in (10, 50)
    assert all(standin.writes("Leads", key).writes == 0 for key in unread.values_list("key", flat=True))
    assert run.planned == run.ok + run.failed + run.skipped + run.unknown == 60


def test_values_that_became_too_old_are_read_again_before_they_are_overwritten(
    zoho: Connection, standin: Standin, work: Work
) -> None:
    ids = [
        key for key in sorted(shown_ids(standin))
        if (record := standin.record("Leads", key))["Lead_Status"] != "Junk Lead" and not record["Locked__s"]
        and not record["$process_flow"] and record["Layout"]["name"] == "Standard"
        and record["$approval_state"] == "approved"
    ][:3]  # fmt: skip
    run = work(plan_of_ids(zoho, ids, change=CHANGE))
    standin.set_record("Leads", ids[0], {"Lead_Status": "On Hold"})
    standin.set_record("Leads", ids[1], {"Lead_Status": "Junk Lead"})
    run.items.update(read_at=run.created_at.replace(year=2020))
    bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    run = work(run)
    assert run.items.get(key=ids[0]).before == {"Lead_Status": "On Hold"}
    assert run.items.get(key=ids[1]).code == "UNCHANGED"
    assert (run.ok, run.skipped) == (2, 1)


def test_a_connection_renewed_while_loading_goes_on_where_it_was(
    zoho: Connection, standin: Standin, view: str, work: Work
) -> None:
    tokens = standin.zoho.tokens.refresh
    tokens["another-refresh"] = replace(tokens["standin-refresh"])
    run = plan_of_view(zoho, view)
    standin.zoho.tokens.revoke("standin-refresh")
    runs.wake(run.pk)
    run.refresh_from_db()
    assert run.wait == Run.Wait.RECONNECTION
    zoho.refresh_token = "another-refresh"
    zoho.save()
    runs.reconnected(zoho)
    assert work(run).planned == len(shown_ids(standin))
