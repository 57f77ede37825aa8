"""The checked form that makes a scheduled bulk update, and the run it starts."""

from collections.abc import Callable

import pytest
from django.test import Client
from django.utils import timezone

from portal import schedules
from portal.models import AuditEntry, Connection, Run, Schedule
from portal.standin import Standin

pytestmark = pytest.mark.django_db
URL = "/crm/bulk-update/schedule/"


def values(standin: Standin, **changes: str) -> dict[str, str]:
    view = next(view for view in standin.zoho.org.views.values() if view.name == "Status is Not Contacted")
    return {
        "name": "Morning clean-up", "module": "Leads", "view": view.id, "field": "Lead_Status", "value": "On Hold",
        "cron": "30 6 * * 1-5", "zone": "Europe/Berlin", "missed": "once",
    } | changes  # fmt: skip


def test_a_schedule_is_made_and_its_run_changes_the_records_of_the_view(
    zoho: Connection, standin: Standin, login: Callable[..., Client], work: Callable[[Run], Run]
) -> None:
    reply = login("Administrator").post(URL, values(standin))

    assert reply.status_code == 302, reply.content.decode()
    schedule = Schedule.objects.get()
    assert schedule.next_at is not None
    assert schedule.next_at > timezone.now()
    assert AuditEntry.objects.filter(action="schedule made").exists()
    assert schedules.fire_due() == []
    started = schedules.fire_due(schedule.next_at)
    assert [run.trigger for run in started] == ["schedule"]
    run = work(started[0])
    assert run.ok > 50
    assert run.state in (Run.State.FINISHED, Run.State.FINISHED_WITH_ERRORS)
    assert run.planned == run.ok + run.failed + run.skipped + run.unknown
    changed = run.items.filter(state="ok").values_list("key", flat=True)
    assert {standin.record("Leads", key)["Lead_Status"] for key in changed} == {"On Hold"}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"cron": "30 6 * *"}, "five parts"),
        ({"cron": "99 6 * * *"}, "five parts"),
        ({"cron": "@daily"}, "five parts"),
        ({"zone": "Berlin"}, "is not a time zone"),
        ({"zone": "../etc/passwd"}, "is not a time zone"),
        ({"value": "Nonsense"}, "Nonsense"),
        ({"view": "1"}, "1"),
    ],
)
def test_what_cannot_run_is_refused_with_the_value_named(
    zoho: Connection, standin: Standin, login: Callable[..., Client], change: dict[str, str], words: str
) -> None:
    reply = login("Administrator").post(URL, values(standin, **change))
    assert reply.status_code == 200
    assert words in reply.content.decode()
    assert not Schedule.objects.exists()


def test_an_operator_may_not_make_schedules(zoho: Connection, login: Callable[..., Client]) -> None:
    assert login("Operator").get(URL).status_code == 403


def test_a_vendor_that_does_not_answer_is_said_on_the_page(
    zoho: Connection, standin: Standin, login: Callable[..., Client]
) -> None:
    standin.faults.add(status=503, path="settings/")
    page = login("Administrator").get(URL).content.decode()
    assert "no schedule can be made" in page
