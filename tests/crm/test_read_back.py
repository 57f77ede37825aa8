"""Calls without an answer: what reading back finds, each finding with a code of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from crm import bulk_update, retry
from crm.selection import parse
from portal.models import Connection, Run
from portal.standin import Standin

pytestmark = pytest.mark.django_db

Work = Callable[[Run], Run]


@pytest.fixture
def plan(zoho: Connection, plain_leads: Callable[[int], list[str]], work: Work) -> Run:
    """A confirmed plan over three leads whose values were read."""
    change = {"field": "Lead_Status", "value": "Junk Lead", "automation": False}
    run = work(
        bulk_update.start(
            connection=zoho,
            module="Leads",
            source={"type": "ids"},
            selection=parse("\n".join(plain_leads(3))),
            change=change,
        )
    )
    bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    return run


def meddle_after_the_write(standin: Standin, act: Callable[[], None]) -> None:
    def hook(number: int, request: Any) -> None:
        if request.method == "PUT":
            standin.after_effect = None
            act()

    standin.after_effect = hook
    standin.faults.add(method="PUT", drop="after", times=1)


def codes(run: Run) -> list[str]:
    return list(run.items.order_by("position").values_list("code", flat=True))


def test_a_write_that_arrived_is_confirmed_and_not_repeated(plan: Run, standin: Standin, work: Work) -> None:
    standin.faults.add(method="PUT", drop="after", times=1)
    run = work(plan)
    assert (run.state, codes(run)) == (Run.State.FINISHED, ["CONFIRMED"] * 3)
    assert standin.writes("Leads", run.items.first().key).writes == 1


def test_a_record_that_is_gone_is_told_apart(plan: Run, standin: Standin, work: Work) -> None:
    keys = list(plan.items.order_by("position").values_list("key", flat=True))
    meddle_after_the_write(standin, lambda: standin.remove("Leads", keys[1]))
    run = work(plan)
    assert codes(run) == ["CONFIRMED", "NOT_FOUND_ON_CHECK", "CONFIRMED"]
    assert (run.ok, run.failed, run.state) == (2, 1, Run.State.FINISHED_WITH_ERRORS)


def test_a_value_that_is_neither_old_nor_new_needs_a_decision(plan: Run, standin: Standin, work: Work) -> None:
    keys = list(plan.items.order_by("position").values_list("key", flat=True))
    meddle_after_the_write(standin, lambda: standin.set_record("Leads", keys[0], {"Lead_Status": "On Hold"}))
    run = work(plan)
    assert codes(run) == ["CHANGED_MEANWHILE", "CONFIRMED", "CONFIRMED"]
    assert (run.unknown, run.state) == (1, Run.State.NEEDS_DECISION)
    child = work(retry.start(run))
    assert (child.planned, child.ok) == (1, 1)


@pytest.mark.parametrize(
    ("status", "code"), [(403, "PERMISSION_DENIED_ON_CHECK"), (404, "CHECK_FAILED_HTTP_404")], ids=str
)
def test_a_check_that_is_refused_leaves_the_outcome_open_and_says_why(
    plan: Run, standin: Standin, work: Work, status: int, code: str
) -> None:
    body = {"code": "NO_PERMISSION", "details": {}, "message": "permission denied", "status": "error"}
    meddle_after_the_write(
        standin, lambda: standin.faults.add(method="GET", path="ids=", status=status, body=body, times=1) and None
    )
    run = work(plan)
    assert codes(run) == [code] * 3
    assert (run.unknown, run.state) == (3, Run.State.NEEDS_DECISION)
    assert all("cannot be asked" in message for message in run.items.values_list("message", flat=True))


def test_a_vendor_that_never_answers_a_write_is_given_up_after_some_sends(
    plan: Run, standin: Standin, work: Work, settings: Any
) -> None:
    settings.REMOTE_BREAKER_FAILURES = 1000
    standin.faults.add(method="PUT", drop="before")
    run = work(plan)
    assert codes(run) == ["NO_ANSWER"] * 3
    assert set(run.items.values_list("attempts", flat=True)) == {5}
    assert all(standin.writes("Leads", key).writes == 0 for key in run.items.values_list("key", flat=True))
