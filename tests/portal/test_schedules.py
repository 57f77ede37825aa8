"""Schedules: the hour they mean in their zone, who takes it, and what happens to hours that passed unseen."""

from __future__ import annotations

import datetime as dt
import threading
import types
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from portal import runs, schedules
from portal.models import AuditEntry, Connection, Run, Schedule

BERLIN = "Europe/Berlin"
NOW = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.UTC)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


# --- the hour ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cron", "zone", "after", "due"),
    [
        ("30 6 * * 1-5", BERLIN, "2026-05-04 12:00", "2026-05-05 04:30"),
        ("30 6 * * 1-5", BERLIN, "2026-01-05 12:00", "2026-01-06 05:30"),
        ("30 6 * * 1-5", BERLIN, "2026-05-08 12:00", "2026-05-11 04:30"),
        ("0 0 * * *", "America/New_York", "2026-05-04 04:00", "2026-05-05 04:00"),
        ("0 9 1 * *", "Asia/Tokyo", "2026-05-04 12:00", "2026-06-01 00:00"),
        ("*/15 * * * *", "UTC", "2026-05-04 12:07", "2026-05-04 12:15"),
        # 29 March: the clock goes from 02:00 to 03:00, and 02:30 does not exist.
        ("30 2 * * *", BERLIN, "2026-03-28 12:00", "2026-03-29 01:30"),
        ("30 2 * * *", BERLIN, "2026-03-29 01:30", "2026-03-30 00:30"),
        ("0 3 * * *", BERLIN, "2026-03-28 12:00", "2026-03-29 01:00"),
        # 25 October: 02:30 comes twice, at 00:30 and 01:30 UTC.
        ("30 2 * * *", BERLIN, "2026-10-24 12:00", "2026-10-25 00:30"),
        ("30 2 * * *", BERLIN, "2026-10-25 00:30", "2026-10-26 01:30"),
        ("30 2 * * *", BERLIN, "2026-10-25 01:10", "2026-10-26 01:30"),
    ],
)
def test_an_expression_is_read_on_the_wall_clock_of_its_zone(cron: str, zone: str, after: str, due: str) -> None:
    assert schedules.next_time(cron, zone, utc(after)) == utc(due)


@given(
    st.integers(0, 220 * 24 * 60),
    st.sampled_from(["30 2 * * *", "*/20 * * * *", "0 * * * *", "15 1,2,3 * * *"]),
    st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "UTC"]),
)
def test_the_next_time_is_always_later_and_never_far(minutes: int, cron: str, zone: str) -> None:
    start = utc("2026-03-27 00:00") + dt.timedelta(minutes=minutes)
    due = schedules.next_time(cron, zone, start)
    assert start < due <= start + dt.timedelta(hours=26)


@pytest.mark.parametrize("zone", [BERLIN, "America/New_York", "Australia/Lord_Howe"])
def test_a_daily_hour_comes_once_on_every_day_of_the_year(zone: str) -> None:
    moment = dt.datetime(2026, 1, 1, tzinfo=ZoneInfo(zone)).astimezone(dt.UTC)
    days = []
    for _ in range(365):
        moment = schedules.next_time("30 2 * * *", zone, moment)
        days.append(moment.astimezone(ZoneInfo(zone)).date())
    assert days == [dt.date(2026, 1, 1) + dt.timedelta(days=number) for number in range(365)]


# --- starting runs ----------------------------------------------------------------------------------------------------


@pytest.fixture
def kind(kind: types.ModuleType) -> types.ModuleType:
    """A kind of run that can be scheduled; `kind.started` holds the schedules that started one."""
    kind.started = []

    def start_scheduled(schedule: Schedule) -> Run:
        if schedule.name.startswith("bad"):
            raise ValueError("broken")
        kind.started.append(schedule.pk)
        return runs.start(kind="test", title=schedule.name, trigger=Run.Trigger.SCHEDULE, user=schedule.owner)

    kind.start_scheduled = start_scheduled
    return kind


def make(name: str = "Each hour", **values: Any) -> Schedule:
    owner, _ = User.objects.get_or_create(username="planner")
    defaults = {"kind": "test", "cron": "0 * * * *", "zone": "UTC", "next_at": NOW, "owner": owner}
    return Schedule.objects.create(name=name, **defaults | values)


@pytest.mark.django_db
def test_a_due_schedule_starts_one_run_and_moves_on(kind: Any) -> None:
    schedule = make()
    assert schedules.fire_due(NOW - dt.timedelta(seconds=1)) == []
    (run,) = schedules.fire_due(NOW + dt.timedelta(seconds=1))
    assert schedules.fire_due(NOW + dt.timedelta(seconds=2)) == []
    schedule.refresh_from_db()
    assert (run.trigger, schedule.last_run, schedule.next_at) == (
        Run.Trigger.SCHEDULE, run, NOW + dt.timedelta(hours=1),
    )  # fmt: skip


@pytest.mark.django_db
def test_a_schedule_without_a_time_gets_one_and_starts_nothing(kind: Any) -> None:
    schedule = make(next_at=None)
    assert schedules.fire_due(NOW) == []
    schedule.refresh_from_db()
    assert schedule.next_at == NOW + dt.timedelta(hours=1)


@pytest.mark.django_db
def test_a_paused_schedule_starts_nothing_and_does_not_catch_up(kind: Any) -> None:
    schedule = make(is_active=False)
    assert schedules.fire_due(NOW + dt.timedelta(days=3)) == []
    assert schedules.toggle(schedule)
    schedule.refresh_from_db()
    assert schedule.next_at > timezone.now()
    assert schedules.fire_due(timezone.now()) == []
    assert not schedules.toggle(schedule)
    assert list(AuditEntry.objects.order_by("pk").values_list("action", flat=True)) == [
        "schedule activated", "schedule paused",
    ]  # fmt: skip


@pytest.mark.django_db
@pytest.mark.parametrize(("missed", "count"), [("skip", 0), ("once", 1)])
def test_after_three_days_asleep_at_most_one_run_starts(kind: Any, missed: str, count: int) -> None:
    schedule = make(missed=missed)
    later = NOW + dt.timedelta(days=3, minutes=30)
    assert len(schedules.fire_due(later)) == count
    assert schedules.fire_due(later + dt.timedelta(minutes=1)) == []
    schedule.refresh_from_db()
    assert schedule.next_at == NOW + dt.timedelta(days=3, hours=1)
    assert bool(schedule.last_note) == (missed == "skip")
    if missed == "skip":
        assert "2026-05-04 12:00 UTC" in schedule.last_note


@pytest.mark.django_db
def test_a_little_late_is_not_missed(kind: Any) -> None:
    make(missed="skip")
    assert len(schedules.fire_due(NOW + dt.timedelta(minutes=9))) == 1


@pytest.mark.django_db(transaction=True)
def test_of_several_supervisors_one_starts_the_run(kind: Any) -> None:
    make()
    barrier = threading.Barrier(4)

    def fire(number: int) -> int:
        try:
            barrier.wait(10)
            return len(schedules.fire_due(NOW))
        finally:
            database.close()

    with ThreadPoolExecutor(4) as executor:
        assert sum(executor.map(fire, range(4))) == 1
    assert Run.objects.count() == 1


@pytest.mark.django_db
def test_one_bad_schedule_does_not_hold_up_the_others(kind: Any, zoho: Connection, settings: Any) -> None:
    bad = [make("bad start"), make("bad cron", cron="not a cron"), make("bad zone", zone="Mars/Olympus")]
    locked = make("bad secret", connection=zoho)
    good = make("Good")
    settings.FIELD_ENCRYPTION_KEYS = ["Zm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyZm9vYmFyMTI="]
    assert len(schedules.fire_due(NOW)) == 1
    assert kind.started == [good.pk]
    notes = dict(Schedule.objects.values_list("pk", "last_note"))
    assert notes[good.pk] == ""
    assert all(notes[schedule.pk].startswith("Could not start: ") for schedule in (*bad, locked))


@pytest.mark.django_db
def test_while_the_previous_run_is_open_none_is_started_and_that_is_said(kind: Any) -> None:
    schedule = make()
    (first,) = schedules.fire_due(NOW)
    assert schedules.fire_due(NOW + dt.timedelta(hours=1)) == []
    schedule.refresh_from_db()
    assert schedule.last_note == "Not started: its previous run is still open."
    runs.wake(first.pk)
    assert len(schedules.fire_due(NOW + dt.timedelta(hours=2))) == 1
    schedule.refresh_from_db()
    assert schedule.last_note == ""


@pytest.mark.django_db
def test_removing_a_schedule_keeps_its_runs(kind: Any) -> None:
    schedule = make()
    (run,) = schedules.fire_due(NOW)
    schedules.remove(schedule)
    assert Run.objects.filter(pk=run.pk).exists()
    assert AuditEntry.objects.get(action="schedule removed").details == {"cron": "0 * * * *"}


@pytest.mark.django_db
def test_a_scheduled_bulk_update_writes_the_view_of_that_moment(
    zoho: Connection, standin: Any, work: Any, person: Any
) -> None:
    owner: User = person("Administrator")
    view = next(view for view in standin.zoho.org.views.values() if view.name == "All Leads")
    parameters = {
        "module": "Leads", "view": view.id, "view_name": view.name, "field": "Lead_Status", "value": "Junk Lead",
        "automation": False,
    }  # fmt: skip
    make("Sweep", kind="crm.bulk_update", connection=zoho, parameters=parameters, owner=owner)
    (run,) = schedules.fire_due(NOW)
    assert (run.requested_by, run.parameters["confirmed"]) == (owner, True)
    assert run.parameters["source"]["id"] == view.id


def test_the_schedule_of_somebody_who_left_starts_nothing_and_says_so(person: Any) -> None:
    owner = person("Administrator")
    schedule = Schedule.objects.create(
        name="left", kind="crm.bulk_update", cron="* * * * *", owner=owner, next_at=timezone.now()
    )
    owner.is_active = False
    owner.save()
    assert schedules.fire_due() == []
    schedule.refresh_from_db()
    assert "no longer active" in schedule.last_note
    assert not Run.objects.exists()
