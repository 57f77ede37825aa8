"""What goes wrong when two people act at the same moment, or when a run is repeated that nobody had confirmed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from crm import bulk_update, restore, retry
from portal import runs
from portal.models import Connection, Run, RunItem
from portal.standin import Standin
from tests.crm.test_bulk_update import outcome, plain_leads, plan, strict_leads

Work = Callable[[Run], Run]
ItemState = RunItem.State


@pytest.fixture
def leads(standin: Standin) -> list[str]:
    return plain_leads(standin, 120)


def writes(standin: Standin) -> int:
    return sum(entry.method == "PUT" for entry in standin.counters.journal)


def plan_with_unread_records(standin: Standin, zoho: Connection, leads: list[str], work: Work, **options: object) -> Run:
    """A plan of 60 records, the first 50 of which could not be read."""
    refusal = {"code": "INVALID_DATA", "message": "The id is invalid."}
    standin.faults.add(method="GET", path="ids=", status=400, body=refusal, nth=1)
    run = work(plan(zoho, leads[:60], **options))
    assert run.wait == Run.Wait.CONFIRMATION
    assert run.items.filter(code="READ_FAILED").exists()
    return run


def test_a_retry_of_a_dry_run_writes_nothing(zoho: Connection, standin: Standin, leads: list[str], work: Work) -> None:
    run = plan_with_unread_records(standin, zoho, leads, work, dry_run=True)
    runs.stop(run)
    run.refresh_from_db()

    child = work(retry.start(run))

    assert writes(standin) == 0
    assert child.wait == Run.Wait.CONFIRMATION
    with pytest.raises(bulk_update.Invalid, match="dry run"):
        bulk_update.confirm(child, user=None, fingerprint=child.fingerprint)


def test_a_retry_of_a_plan_that_nobody_confirmed_asks_for_the_confirmation(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = plan_with_unread_records(standin, zoho, leads, work, confirmed=False)
    runs.stop(run)
    run.refresh_from_db()

    child = work(retry.start(run))

    assert writes(standin) == 0
    assert (child.state, child.wait) == (Run.State.WAITING, Run.Wait.CONFIRMATION)
    assert bulk_update.confirm(child, user=None, fingerprint=child.fingerprint)
    assert outcome(work(child))["ok"] == child.planned


def test_the_retry_of_a_confirmed_run_needs_no_second_confirmation(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    refusal = {"code": "INVALID_DATA", "message": "The id is invalid."}
    standin.faults.add(method="GET", path="ids=", status=400, body=refusal, nth=1)
    run = work(plan(zoho, leads[:60]))
    assert run.failed

    child = work(retry.start(run))

    assert child.state == Run.State.FINISHED
    assert outcome(child)["ok"] == run.failed


def test_a_second_click_on_retry_finds_the_first_ones_run(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    refusal = {"code": "INVALID_DATA", "message": "The id is invalid."}
    standin.faults.add(method="GET", path="ids=", status=400, body=refusal, nth=1)
    run = work(plan(zoho, leads[:60]))
    child = retry.start(run)

    with pytest.raises(bulk_update.Invalid, match=f"Run {child.pk} retries the same records"):
        retry.start(run)

    work(child)
    assert run.children.count() == 1


def test_a_plan_that_changed_while_it_was_confirmed_is_not_written(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    """The confirmation has read the run; before it acts, another tab ticks a record that was to be left alone."""
    done = work(plan(zoho, leads[:10]))
    standin.set_record("Leads", leads[3], {"Lead_Status": "Contacted"})
    seen = work(restore.start(done))
    restore.override(seen, [leads[3]], user=None)

    with pytest.raises(bulk_update.Invalid, match="plan has changed"):
        bulk_update.confirm(seen, user=None, fingerprint=seen.fingerprint)

    seen.refresh_from_db()
    assert seen.wait == Run.Wait.CONFIRMATION


def test_nothing_is_left_out_of_a_plan_that_was_confirmed_meanwhile(
    zoho: Connection, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, leads[:10], confirmed=False))
    assert bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    assert bulk_update.leave_out(run, [leads[0]], user=None) == 0
    assert outcome(work(run))["ok"] == 10


def test_the_value_that_a_refill_overwrites_is_the_one_a_restore_puts_back(
    zoho: Connection, standin: Standin, work: Work
) -> None:
    record_id = strict_leads(standin, 1)[0]

    def meddle(number: int, request: object) -> None:
        if request.method == "PUT":
            standin.before_effect = None
            standin.set_record("Leads", record_id, {"Lead_Status": "Contacted"})

    standin.before_effect = meddle
    run = work(plan(zoho, [record_id]))
    assert outcome(run)["ok"] == 1
    assert run.items.get().before == {"Lead_Status": "Contacted"}

    work(restore.start(run, confirmed=True))
    assert standin.record("Leads", record_id)["Lead_Status"] == "Contacted"


def test_a_refill_does_not_touch_what_somebody_changed_since_the_restore_was_planned(
    zoho: Connection, standin: Standin, work: Work
) -> None:
    record_id = strict_leads(standin, 1)[0]
    done = work(plan(zoho, [record_id]))

    def meddle(number: int, request: object) -> None:
        if request.method == "PUT":
            standin.before_effect = None
            standin.set_record("Leads", record_id, {"Lead_Status": "Contacted"})

    standin.before_effect = meddle
    run = work(restore.start(done, confirmed=True))

    assert run.items.get().code == "CHANGED_SINCE"
    assert outcome(run)["skipped"] == 1
    assert standin.record("Leads", record_id)["Lead_Status"] == "Contacted"
