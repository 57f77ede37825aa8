"""prune: what goes, what stays, and what it says."""

from __future__ import annotations

import datetime as dt
import json
from io import StringIO
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.management import CommandError, call_command
from django.db import OperationalError
from django.utils import timezone
from django_q.models import Task

from portal import retention
from portal.models import ApiUsage, AuditEntry, Run, RunEvent, RunInput, RunItem, Worker

pytestmark = pytest.mark.django_db

NOW = timezone.now()


def ago(days: float) -> dt.datetime:
    return NOW - dt.timedelta(days=days)


def make_run(state: str = Run.State.FINISHED, *, ended: dt.datetime | None, items: int = 3, **values: Any) -> Run:
    run = Run.objects.create(
        kind="crm.bulk_update", title="x", state=state, finished_at=ended, planned=items, ok=items, **values
    )
    RunInput.objects.create(run=run, lines="1\n2")
    RunEvent.objects.create(run=run, message="x")
    RunItem.objects.bulk_create(
        RunItem(run=run, position=position, key=str(position), state="ok") for position in range(items)
    )
    return run


def rows_of(run: Run) -> tuple[int, int, int]:
    return run.items.count(), run.events.count(), RunInput.objects.filter(run=run).count()


def test_old_runs_lose_their_records_and_keep_their_counts_and_audit(settings: Any) -> None:
    settings.RETENTION_DAYS = 30
    old, young = make_run(ended=ago(31)), make_run(ended=ago(29))
    AuditEntry.objects.create(actor="olga", action="run requested", run=old, at=ago(400))
    result = retention.prune()
    assert (result["items"], result["events"], result["inputs"]) == (3, 1, 1)
    assert rows_of(old) == (0, 0, 0)
    assert rows_of(young) == (3, 1, 1)
    old.refresh_from_db()
    assert (old.planned, old.ok) == (3, 3)
    assert AuditEntry.objects.filter(run=old).exists()


def test_open_runs_and_parents_of_open_runs_keep_their_records(settings: Any) -> None:
    settings.RETENTION_DAYS = 30
    is_open = make_run(Run.State.RUNNING, ended=None, created_at=ago(99))
    parent = make_run(ended=ago(99))
    make_run(Run.State.QUEUED, ended=None, parent=parent, relation="restore")
    retention.prune()
    assert rows_of(is_open) == rows_of(parent) == (3, 1, 1)


def test_more_rows_than_one_batch_go_in_several(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.RETENTION_DAYS = 30
    monkeypatch.setattr(retention, "BATCH", 2)
    run = make_run(ended=ago(31), items=5)
    assert retention.prune()["items"] == 5
    assert rows_of(run) == (0, 0, 0)


def test_plans_nobody_confirmed_for_a_week_are_stopped() -> None:
    def plan(made: dt.datetime, **values: Any) -> Run:
        return Run.objects.create(
            kind="crm.bulk_update", title="x", state=Run.State.WAITING, wait=Run.Wait.CONFIRMATION, created_at=made,
            **values,
        )  # fmt: skip

    abandoned, fresh, touched = plan(ago(8)), plan(ago(6)), plan(ago(8), heartbeat_at=ago(1))
    waiting = Run.objects.create(
        kind="crm.bulk_update", title="x", state=Run.State.WAITING, wait=Run.Wait.RECONNECTION, created_at=ago(8)
    )
    assert retention.prune()["plans"] == 1
    states = {run.pk: run.state for run in Run.objects.all()}
    assert states[abandoned.pk] == Run.State.STOPPED
    assert {states[fresh.pk], states[touched.pk], states[waiting.pk]} == {Run.State.WAITING}


def test_meters_tasks_sessions_and_workers_of_the_past_go() -> None:
    for days in (91, 89):
        ApiUsage.objects.create(key="zoho:1", hour=ago(days), endpoint="x")
    for name, days in (("old", 8), ("young", 6)):
        Task.objects.create(id=name, name=name, func="x", started=ago(days), stopped=ago(days), success=days > 7)
        Worker.objects.create(name=name, heartbeat_at=ago(days))
    Session.objects.create(session_key="over", session_data="", expire_date=ago(1))
    Session.objects.create(session_key="open", session_data="", expire_date=ago(-1))
    result = retention.prune()
    assert {result[name] for name in ("usage", "tasks", "sessions", "workers")} == {1}
    assert Task.objects.get().name == Worker.objects.get().name == "young"
    assert Session.objects.get().session_key == "open"


def test_a_dry_run_says_the_same_numbers_and_removes_nothing(settings: Any) -> None:
    settings.RETENTION_DAYS = 30
    run = make_run(ended=ago(31))
    plan = Run.objects.create(kind="x", title="x", state=Run.State.WAITING, wait=Run.Wait.CHANGE, created_at=ago(8))
    said = retention.prune(dry_run=True)
    assert rows_of(run) == (3, 1, 1)
    plan.refresh_from_db()
    assert plan.state == Run.State.WAITING
    assert retention.prune() == said


def test_the_command_ends_with_one_json_object() -> None:
    out = StringIO()
    call_command("prune", "--dry-run", "--json", stdout=out)
    result = json.loads(out.getvalue().splitlines()[-1])
    assert result["state"] == "finished"
    assert result["dry_run"] is True
    assert result["items"] == 0


def test_a_wrong_retention_is_wrong_configuration(settings: Any) -> None:
    settings.RETENTION_DAYS = 0
    with pytest.raises(CommandError, match="RETENTION_DAYS") as caught:
        call_command("prune")
    assert caught.value.returncode == 2


def test_a_database_that_refuses_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(**options: Any) -> dict[str, int]:
        raise OperationalError("database is locked")

    monkeypatch.setattr(retention, "prune", refuse)
    with pytest.raises(CommandError, match="database is locked") as caught:
        call_command("prune")
    assert caught.value.returncode == 1
