"""What goes wrong when two people act at the same moment, or when a run is repeated that nobody had confirmed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client
from django.utils import timezone

from crm import bulk_update, restore, retry
from portal import connections, runs
from portal.models import Connection, Run, RunItem
from portal.standin import Fault, Standin
from tests.crm.test_bulk_update import outcome, plain_leads, plan, strict_leads

Work = Callable[[Run], Run]
ItemState = RunItem.State


@pytest.fixture
def leads(standin: Standin) -> list[str]:
    return plain_leads(standin, 120)


def writes(standin: Standin) -> int:
    return sum(entry.method == "PUT" for entry in standin.counters.journal)


def plan_with_unread_records(
    standin: Standin, zoho: Connection, leads: list[str], work: Work, **options: object
) -> Run:
    """A plan of 60 records, the first 50 of which could not be read."""
    refusal = {"code": "NO_PERMISSION", "message": "permission denied"}
    standin.faults.add(method="GET", path="ids=", status=403, body=refusal, nth=1)
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
    refusal = {"code": "NO_PERMISSION", "message": "permission denied"}
    standin.faults.add(method="GET", path="ids=", status=403, body=refusal, nth=1)
    run = work(plan(zoho, leads[:60]))
    assert run.failed

    child = work(retry.start(run))

    assert child.state == Run.State.FINISHED
    assert outcome(child)["ok"] == run.failed


def test_a_second_click_on_retry_finds_the_first_ones_run(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    refusal = {"code": "NO_PERMISSION", "message": "permission denied"}
    standin.faults.add(method="GET", path="ids=", status=403, body=refusal, nth=1)
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


def unanswered(zoho: Connection, standin: Standin, leads: list[str], settings: Any) -> Run:
    """A run that waits to read back what its only call did, of a connection that was removed meanwhile."""
    settings.RUN_SETTLE_SECONDS = 60
    standin.faults.add(method="PUT", nth=1, drop="after")
    run = plan(zoho, leads[:100])
    runs.wake(run.pk)
    assert run.items.filter(state=ItemState.SENT).count() == 100
    connections.remove(Connection.objects.get(pk=zoho.pk), user=AnonymousUser())
    settings.RUN_SETTLE_SECONDS = 0
    Run.objects.filter(pk=run.pk).update(not_before=timezone.now())
    return run


def test_a_run_can_be_stopped_although_its_connection_is_gone_for_good(
    zoho: Connection, standin: Standin, leads: list[str], work: Work, settings: Any
) -> None:
    """Its open outcomes become unknown: waiting for a removed connection would never end."""
    run = unanswered(zoho, standin, leads, settings)

    assert runs.stop(run)
    work(run)

    assert run.state == Run.State.NEEDS_DECISION
    assert outcome(run)["unknown"] == 100
    assert set(run.items.values_list("code", flat=True)) == {"NOT_CHECKED"}


def test_without_a_stop_the_open_outcomes_wait_for_the_connection(
    zoho: Connection, standin: Standin, leads: list[str], settings: Any
) -> None:
    run = unanswered(zoho, standin, leads, settings)

    runs.wake(run.pk)

    run.refresh_from_db()
    assert (run.state, run.wait) == (Run.State.WAITING, Run.Wait.RECONNECTION)
    assert run.items.filter(state=ItemState.SENT).count() == 100


def test_nobody_writes_with_the_account_of_somebody_elses_login_session(
    zoho: Connection, leads: list[str], login: Callable[..., Client], work: Work
) -> None:
    operator, supervisor = login("Operator"), login("Supervisor")
    owner = User.objects.get(username="operator")
    Connection.objects.filter(pk=zoho.pk).update(source="temporary", created_by=owner, is_default=False)
    run = plan(zoho, leads[:5], confirmed=False, user=owner)
    Run.objects.filter(pk=run.pk).update(state=Run.State.WAITING, wait=Run.Wait.CONFIRMATION, fingerprint="f")
    confirm, stop, resume = (f"/crm/bulk-update/{run.pk}/confirm/", f"/runs/{run.pk}/stop/", f"/runs/{run.pk}/resume/")

    assert supervisor.post(confirm, {"fingerprint": "f"}).status_code == 403
    assert supervisor.post(stop).status_code == 302
    assert supervisor.post(resume).status_code == 403
    assert supervisor.post(f"/crm/runs/{run.pk}/retry/").status_code == 403
    assert supervisor.post(f"/crm/runs/{run.pk}/restore/").status_code == 403
    assert operator.post(resume).status_code == 302
    run.refresh_from_db()
    assert run.confirmed_at is None


def test_the_download_of_a_plan_is_in_the_audit(
    zoho: Connection, leads: list[str], login: Callable[..., Client], work: Work
) -> None:
    operator = login("Operator")
    owner = User.objects.get(username="operator")
    run = work(plan(zoho, leads[:5], confirmed=False, user=owner))

    operator.get(f"/crm/bulk-update/{run.pk}/plan.csv")

    assert run.audit.get(action="plan downloaded").user == owner


class Picky:
    """Faults of a vendor that refuses to read a whole list of ids because it does not take one of them for an id."""

    def __init__(self, standin: Standin, bad: str) -> None:
        self.bad, self.inner = bad, standin.faults

    def match(self, request: Any) -> Fault | None:
        if request.method == "GET" and self.bad in request.query.get("ids", ""):
            details = {"param_name": "ids"}
            return Fault(status=400, body={"code": "INVALID_DATA", "details": details, "message": "invalid data"})
        return self.inner.match(request)


def test_one_id_that_zoho_does_not_take_for_an_id_does_not_keep_the_others_from_being_changed(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    bad = "99999999999999999999"
    standin.faults = Picky(standin, bad)
    run = work(plan(zoho, [*leads[:30], bad, *leads[30:80]]))

    assert outcome(run) == {"ok": 80, "failed": 1, "skipped": 0, "unknown": 0}
    assert run.items.get(state=ItemState.FAILED).key == bad
