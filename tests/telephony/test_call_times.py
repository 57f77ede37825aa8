"""Calls and clocks: midnight, daylight saving, zones, the edges of windows, late rows, a host that slept or runs wrong.

However the times fall, every call is known once, processed once, and shown on the day that the office's clock showed.
"""

from __future__ import annotations

import csv
import datetime as dt
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import transaction
from django.utils import timezone
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from portal import schedules
from portal.models import Connection, Run, RunItem, Schedule
from portal.standin import Standin, StandinServer
from telephony import call_slices, call_sync
from telephony.models import AssignmentRules, Call, CallSettings, Extension, LeadOwner, Office
from tests.conftest import connection_to, ringcentral_connection_to

TOKYO, LOS_ANGELES, LORD_HOWE = "Asia/Tokyo", "America/Los_Angeles", "Australia/Lord_Howe"
NOON = dt.datetime(2026, 3, 10, 12, tzinfo=dt.UTC)
HOUR, MINUTE = dt.timedelta(hours=1), dt.timedelta(minutes=1)


@pytest.fixture
def standin(time_machine: Any) -> Standin:
    """A small organisation whose clock, like ours, stands at noon of a day in March."""
    time_machine.move_to(NOON, tick=False)
    return Standin(leads=10)


def utc(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).replace(tzinfo=dt.UTC)


def number(place: int) -> str:
    return f"+1215555{place:04}"


def leads_with(standin: Standin, phone: str) -> list[Any]:
    return [record for i in standin.ids("Leads") if (record := standin.record("Leads", i)).get("Phone") == phone]


def the_note(standin: Standin, phone: str) -> str:
    """The text of the only note of the only lead with that number."""
    (lead,) = leads_with(standin, phone)
    (note,) = standin.notes_of("Leads", lead["id"])
    return note["Note_Content"]


def times_processed() -> Counter[int]:
    """How often each call was written, over all runs."""
    return Counter(int(key) for key in RunItem.objects.filter(state=RunItem.State.OK).values_list("key", flat=True))


def assert_each_once(standin: Standin, count: int) -> None:
    """That many calls, of as many numbers: each is known once, was processed once, and has its lead and one note."""
    assert Call.objects.count() == Call.objects.filter(state=Call.State.DONE).count() == count
    assert set(times_processed().values()) == {1}
    assert len(times_processed()) == count
    for place in range(count):
        the_note(standin, number(place))


# --- the day of a call ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "start", "local"),
    [
        (TOKYO, "2026-03-10 14:59:30", "2026-03-10T23:59:30+09:00"),
        (TOKYO, "2026-03-10 15:00:00", "2026-03-11T00:00:00+09:00"),
        (LOS_ANGELES, "2026-03-08 07:59:30", "2026-03-07T23:59:30-08:00"),
        (LOS_ANGELES, "2026-03-08 08:00:00", "2026-03-08T00:00:00-08:00"),
        # 8 March: 02:00 is 03:00. A call over that moment, one after it, and the last one of the short day.
        (LOS_ANGELES, "2026-03-08 09:59:30", "2026-03-08T01:59:30-08:00"),
        (LOS_ANGELES, "2026-03-08 10:00:00", "2026-03-08T03:00:00-07:00"),
        (LOS_ANGELES, "2026-03-09 06:59:59", "2026-03-08T23:59:59-07:00"),
        # 1 November: 01:30 comes twice, and the day has 25 hours.
        (LOS_ANGELES, "2026-11-01 08:30:00", "2026-11-01T01:30:00-07:00"),
        (LOS_ANGELES, "2026-11-01 09:30:00", "2026-11-01T01:30:00-08:00"),
        (LOS_ANGELES, "2026-11-02 07:59:59", "2026-11-01T23:59:59-08:00"),
        # Half an hour: 01:45 comes twice on 5 April, 02:15 never on 4 October.
        (LORD_HOWE, "2026-04-04 14:45:00", "2026-04-05T01:45:00+11:00"),
        (LORD_HOWE, "2026-04-04 15:15:00", "2026-04-05T01:45:00+10:30"),
        (LORD_HOWE, "2026-10-03 15:29:30", "2026-10-04T01:59:30+10:30"),
        (LORD_HOWE, "2026-10-03 15:30:00", "2026-10-04T02:30:00+11:00"),
    ],
)
def test_page_file_note_and_run_show_a_call_on_the_day_of_the_offices_clock(
    sync: Callable[..., Run],
    standin: Standin,
    phones: Any,
    office: Office,
    owners: Any,
    login: Any,
    time_machine: Any,
    zone: str,
    start: str,
    local: str,
) -> None:
    Office.objects.update(zone=zone)
    office.refresh_from_db()
    time_machine.move_to(utc(start) + HOUR, tick=False)
    phones.accepted(utc(start), caller=number(0), duration=90)
    run = sync()
    day, shown = dt.date.fromisoformat(local[:10]), f"{local[:10]} {local[11:16]} (UTC{local[19:]})"
    assert f"Time: {shown}," in the_note(standin, number(0))
    assert run.items.get().label.startswith(shown)
    client = login("Administrator")
    for days in range(-1, 2):
        other = day + dt.timedelta(days=days)
        page = client.get(f"/calls/?office={office.slug}&since={other}&until={other}")
        assert len(page.context["table"].rows) == (1 if other == day else 0)
    response = client.get(f"/calls/calls.csv?office={office.slug}&since={day}&until={day}")
    lines = b"".join(response.streaming_content).decode().lstrip("\ufeff").splitlines()
    (row,) = csv.DictReader(lines)
    assert (row["Started (UTC)"], row["Started (office)"]) == (f"{start.replace(' ', 'T')}+00:00", local)


@pytest.mark.parametrize(
    ("zone", "now", "first", "last"),
    [
        (LOS_ANGELES, "2026-03-09 19:00", "2026-03-08 08:00:00", "2026-03-09 06:59:59"),
        (LOS_ANGELES, "2026-11-02 20:00", "2026-11-01 07:00:00", "2026-11-02 07:59:59"),
        (LORD_HOWE, "2026-04-06 02:00", "2026-04-04 13:00:00", "2026-04-05 13:29:59"),
        (TOKYO, "2026-03-11 03:00", "2026-03-09 15:00:00", "2026-03-10 14:59:59"),
    ],
)
def test_yesterday_is_the_offices_whole_day_and_nothing_of_the_days_beside_it(
    sync: Callable[..., Run],
    standin: Standin,
    phones: Any,
    office: Office,
    owners: Any,
    login: Any,
    work: Callable[[Run], Run],
    time_machine: Any,
    zone: str,
    now: str,
    first: str,
    last: str,
) -> None:
    Office.objects.update(zone=zone)
    time_machine.move_to(utc(now), tick=False)
    second = dt.timedelta(seconds=1)
    for place, start in enumerate((utc(first) - second, utc(first), utc(last), utc(last) + second)):
        phones.accepted(start, caller=number(place), duration=30)
    login("Operator").post("/calls/process/", {"office": office.slug, "types": ["accepted"], "period": "yesterday"})
    run = work(Run.objects.get())
    assert (run.state, run.ok) == (Run.State.FINISHED, 2)
    assert [len(leads_with(standin, number(place))) for place in range(4)] == [0, 1, 1, 0]


# --- the edges of windows ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("end_included", [True, False])
def test_calls_on_the_edges_of_consecutive_runs_are_processed_once(
    sync: Callable[..., Run],
    standin: Standin,
    phones: Any,
    owners: Any,
    time_machine: Any,
    end_included: bool,
) -> None:
    standin.ringcentral.settings.date_to_inclusive = end_included
    CallSettings.objects.update(overlap_hours=1)
    starts = [NOON - HOUR, NOON, NOON + HOUR]
    for place, start in enumerate(starts):
        phones.accepted(start, caller=number(place), duration=0, appears_after=0)
    for hours in range(3):
        time_machine.move_to(NOON + hours * HOUR, tick=False)
        sync(hours_back=1)
    time_machine.move_to(NOON + 2 * HOUR + MINUTE, tick=False)
    sync(hours_back=1)
    assert_each_once(standin, 3)


@pytest.mark.parametrize("end_included", [True, False])
def test_ranges_that_touch_share_no_call_and_leave_none_out(
    sync: Callable[..., Run], standin: Standin, phones: Any, owners: Any, end_included: bool
) -> None:
    standin.ringcentral.settings.date_to_inclusive = end_included
    for place, hours in enumerate((6, 4, 2)):
        phones.accepted(NOON - hours * HOUR, caller=number(place), duration=60)
    earlier = sync(since=NOON - 6 * HOUR, until=NOON - 4 * HOUR)
    assert [len(leads_with(standin, number(place))) for place in range(3)] == [1, 0, 0]
    later = sync(since=NOON - 4 * HOUR, until=NOON - 1 * HOUR)
    assert (earlier.planned, later.planned) == (1, 2)
    assert_each_once(standin, 3)


def test_a_call_over_the_edge_of_two_windows_is_processed_by_the_second_run(
    sync: Callable[..., Run], standin: Standin, phones: Any, owners: Any, time_machine: Any
) -> None:
    phones.accepted(NOON - MINUTE, caller=number(0), duration=600)
    assert sync(hours_back=1).planned == 0
    time_machine.move_to(NOON + HOUR, tick=False)
    assert sync(hours_back=1).planned == 1
    assert_each_once(standin, 1)


def test_a_call_of_six_hours_is_processed_when_it_has_ended(
    sync: Callable[..., Run], standin: Standin, phones: Any, owners: Any, time_machine: Any
) -> None:
    phones.accepted(NOON - 30 * MINUTE, caller=number(0), duration=6 * 3600)
    for hours in range(0, 8, 2):
        time_machine.move_to(NOON + hours * HOUR, tick=False)
        sync(hours_back=1)
    assert_each_once(standin, 1)
    assert Call.objects.get().total_seconds == 6 * 3600


def test_calls_that_start_together_are_all_read_and_planned(
    sync: Callable[..., Run], standin: Standin, phones: Any, owners: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("telephony.ringcentral.client.PAGE_SIZE", 2)
    monkeypatch.setattr(call_slices, "PLAN_CHUNK", 2)
    for place in range(7):
        phones.accepted(NOON - 2 * HOUR, caller=number(place), duration=60)
    sync()
    assert_each_once(standin, 7)


# --- what comes late --------------------------------------------------------------------------------------------------


def test_a_row_that_appears_later_than_any_overlap_is_processed_when_the_feed_brings_it(
    sync: Callable[..., Run], standin: Standin, phones: Any, owners: Any, time_machine: Any
) -> None:
    sync(hours_back=48)
    phones.accepted(NOON - HOUR, caller=number(0), duration=60, appears_after=60 * 3600)
    for hours in (20, 43, 62, 63):
        time_machine.move_to(NOON + hours * HOUR, tick=False)
        sync(hours_back=1)
    assert_each_once(standin, 1)


def test_an_old_call_that_another_offices_range_brings_waits_for_its_own(
    sync: Callable[..., Run], standin: Standin, phones: Any, owners: Any, office: Office, time_machine: Any
) -> None:
    sync(hours_back=2)
    phones.accepted(NOON - 50 * HOUR, caller=number(0), duration=60)
    other = Office.objects.create(slug="other", name="Other", order=2)
    Office.objects.filter(pk=office.pk).update(main_number="+15125550100")
    Extension.objects.update(office=office)
    time_machine.move_to(NOON + HOUR, tick=False)
    assert sync(offices=[other], since=NOON - 60 * HOUR, until=NOON - 40 * HOUR).planned == 0
    assert sync(hours_back=1).planned == 0
    assert Call.objects.get().state == Call.State.PENDING


def test_a_call_that_was_long_in_progress_is_processed_when_it_has_ended(
    sync: Callable[..., Run], standin: Standin, phones: Any, owners: Any, time_machine: Any
) -> None:
    """Longer than the overlap: its first row says that it goes on, its last one how it ended."""
    made = phones.accepted(NOON - HOUR, caller=number(0), duration=60, result="In Progress", appears_after=-30)
    sync(hours_back=2)
    assert Call.objects.get().outcome == Call.Outcome.IN_PROGRESS
    standin.ringcentral.script.change_row(
        made.row, at=NOON + 60 * HOUR, result="Accepted", legs=_ended_legs(standin, made)
    )
    for hours in (20, 43, 62, 63):
        time_machine.move_to(NOON + hours * HOUR, tick=False)
        sync(hours_back=1)
    assert_each_once(standin, 1)


def _ended_legs(standin: Standin, made: Any) -> list[Any]:
    entry = standin.ringcentral.log.find(made.row)
    assert entry is not None
    row = entry.row(2**60)
    assert row is not None
    return [leg | {"result": "Accepted"} for leg in row["legs"]]


def test_a_host_that_slept_three_days_catches_up(
    sync: Callable[..., Run], standin: Standin, phones: Any, owners: Any, time_machine: Any
) -> None:
    sync(hours_back=1)
    for place in range(12):
        phones.accepted(NOON + place * 6 * HOUR + MINUTE, caller=number(place), duration=60)
    time_machine.move_to(NOON + 72 * HOUR, tick=False)
    run = sync(hours_back=1)
    assert (
        run.events.filter(message__contains="72 hours").exists()
        or run.events.filter(message__contains="3 days").exists()
    )
    sync(hours_back=1)
    assert_each_once(standin, 12)


def test_a_range_of_today_does_not_hide_the_days_that_were_slept_through(
    sync: Callable[..., Run], standin: Standin, phones: Any, owners: Any, time_machine: Any
) -> None:
    sync(hours_back=1)
    phones.accepted(NOON + HOUR, caller=number(0), duration=60)
    phones.accepted(NOON + 71 * HOUR, caller=number(1), duration=60)
    time_machine.move_to(NOON + 72 * HOUR, tick=False)
    sync(since=NOON + 70 * HOUR)
    assert [len(leads_with(standin, number(place))) for place in range(2)] == [0, 1]
    sync(hours_back=1)
    assert_each_once(standin, 2)


# --- clocks that disagree ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ahead_s", [600, -600])
def test_a_clock_ten_minutes_wrong_loses_no_call(
    sync: Callable[..., Run], standin: Standin, phones: Any, owners: Any, time_machine: Any, ahead_s: int
) -> None:
    standin.clock.advance(-ahead_s)
    for place in range(24):
        phones.accepted(NOON + place * 5 * MINUTE, caller=number(place), duration=60 * (place % 7))
    for turn in range(8):
        time_machine.move_to(NOON + turn * 30 * MINUTE, tick=False)
        sync(hours_back=1)
    assert_each_once(standin, 24)


def test_a_change_right_after_the_first_reading_is_noticed_though_our_clock_is_ahead(
    sync: Callable[..., Run], standin: Standin, phones: Any, owners: Any, time_machine: Any
) -> None:
    """An old call is corrected at RingCentral between its first reading and the hour that our clock shows."""
    standin.clock.advance(-600)
    made = phones.missed(NOON - 60 * HOUR, caller=number(0))
    sync(since=NOON - 70 * HOUR)
    phones.change_row(made.row, name=None, **{"from": {"phoneNumber": number(0), "name": "Ida Novak"}})
    time_machine.move_to(NOON + MINUTE, tick=False)
    sync(hours_back=1)
    assert Call.objects.get().name_told == "Ida Novak"


# --- schedules --------------------------------------------------------------------------------------------------------


def scheduled(cron: str, zone: str, **parameters: Any) -> Schedule:
    user, _ = User.objects.get_or_create(username="planner")
    return schedules.create(
        name="Calls", kind=call_sync.KIND, connection=Connection.objects.get(vendor="ringcentral"), cron=cron, zone=zone,
        missed=Schedule.Missed.SKIP, parameters={"hours_back": 1, "email": False} | parameters, user=user,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("zone", "start", "due"),
    [
        (LOS_ANGELES, "2026-03-08 08:00", "2026-03-08 10:30"),
        (LOS_ANGELES, "2026-11-01 07:00", "2026-11-01 10:30"),
        ("Europe/Berlin", "2026-03-29 00:00", "2026-03-29 01:30"),
        ("Europe/Berlin", "2026-10-25 00:00", "2026-10-25 00:30"),
        (LORD_HOWE, "2026-10-03 13:30", "2026-10-03 15:30"),
    ],
)
def test_a_schedule_of_calls_at_half_past_two_runs_once_on_the_day_the_clock_changes(
    zoho: Connection, ringcentral: Connection, office: Office, time_machine: Any, zone: str, start: str, due: str
) -> None:
    time_machine.move_to(utc(start), tick=False)
    scheduled("30 2 * * *", zone)
    started = {}
    for minutes in range(0, 22 * 60, 10):
        time_machine.move_to(utc(start) + minutes * MINUTE, tick=False)
        for run in schedules.fire_due():
            started[run.pk] = timezone.now()
            Run.objects.filter(pk=run.pk).update(state=Run.State.FINISHED)
    assert list(started.values()) == [utc(due)]


@pytest.mark.parametrize(
    ("zone", "start"),
    [(LOS_ANGELES, "2026-03-08 05:00"), (LOS_ANGELES, "2026-11-01 04:00"), (LORD_HOWE, "2026-04-04 10:00")],
)
def test_hourly_runs_over_the_night_of_the_change_process_every_call_once(
    zoho: Connection,
    ringcentral: Connection,
    standin: Standin,
    phones: Any,
    office: Office,
    owners: Any,
    work: Callable[[Run], Run],
    time_machine: Any,
    zone: str,
    start: str,
) -> None:
    Office.objects.update(zone=zone)
    begin = utc(start)
    time_machine.move_to(begin, tick=False)
    hours, every = 8, 20 * MINUTE
    count = hours * 3
    for place in range(count):
        lag = (place * 37 % 90) * 60
        phones.accepted(begin + place * every, caller=number(place), duration=(place * 53 % 30) * 60, appears_after=lag)
    scheduled("0 * * * *", zone)
    fired = 0
    for minutes in range(0, (hours + 4) * 60, 5):
        time_machine.move_to(begin + minutes * MINUTE, tick=False)
        for run in schedules.fire_due():
            assert work(run).state == Run.State.FINISHED
            fired += 1
    assert fired >= hours + 2
    assert_each_once(standin, count)


# --- any times --------------------------------------------------------------------------------------------------------

MINUTES = st.integers(0, 96 * 60)
CALLS = st.lists(
    st.tuples(MINUTES, st.sampled_from([0, 1, 30, 360]), st.sampled_from([0, 1, 20, 120, 1800, 2400])),
    min_size=1,
    max_size=6,
)


@settings(
    max_examples=8, deadline=None, derandomize=True, phases=(Phase.explicit, Phase.generate),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(
    made=CALLS,
    times=st.lists(MINUTES, max_size=3),
    overlap=st.sampled_from([1, 24]),
    end_included=st.booleans(),
    skew_s=st.sampled_from([0, 600, -600]),
)
# The row came when the token of the change feed had run out, and far behind the overlap.
@example(made=[(288, 30, 2400)], times=[92, 698], overlap=1, end_included=False, skew_s=600)
def test_whenever_calls_and_runs_happen_each_call_is_processed_once(
    office: Office,
    work: Callable[[Run], Run],
    time_machine: Any,
    settings: Any,
    made: list[tuple[int, int, int]],
    times: list[int],
    overlap: int,
    end_included: bool,
    skew_s: int,
) -> None:
    """Calls as (start, length, lag of the row) and runs in minutes of four days; then one more run, when all is there."""
    for group in ("LIGHT", "MEDIUM", "HEAVY", "AUTH"):
        setattr(settings, f"RINGCENTRAL_{group}_PER_MINUTE", 500)
    time_machine.move_to(NOON, tick=False)
    vendor = Standin(leads=0)
    limits = vendor.ringcentral.settings
    limits.light_limit = limits.medium_limit = limits.heavy_limit = limits.auth_limit = 500
    limits.date_to_inclusive = end_included
    vendor.clock.advance(skew_s)
    for place, (start, length, lag) in enumerate(made):
        vendor.ringcentral.script.accepted(
            NOON + start * MINUTE, caller=number(place), duration=length * 60, appears_after=lag * 60
        )
    with StandinServer(vendor) as server, transaction.atomic():
        connection_to(server.url)
        ringcentral_connection_to(server.url)
        CallSettings.objects.update(overlap_hours=overlap)
        owner = sorted(vendor.zoho.org.users)[0]
        AssignmentRules.objects.create(office=office, answering_first=False)
        LeadOwner.objects.create(office=office, zoho_id=owner, name="Owner", position=1)
        for minutes in [0, *sorted(set(times) - {0}), 144 * 60]:
            time_machine.move_to(NOON + minutes * MINUTE, tick=False)
            assert work(call_sync.start(offices=[office], hours_back=1)).state == Run.State.FINISHED
        assert_each_once(vendor, len(made))
        transaction.set_rollback(True)
