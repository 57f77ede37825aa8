"""Office hours: boundaries, weekdays, midnight, and the nights on which the clock is changed."""

from __future__ import annotations

import datetime as dt
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony.models import AssignmentRules, Office
from telephony.office_hours import is_open

BERLIN = "Europe/Berlin"


def hours(start: str, end: str, days: str = "12345", zone: str = "") -> AssignmentRules:
    return AssignmentRules(
        hours_start=dt.time.fromisoformat(start), hours_end=dt.time.fromisoformat(end), hours_days=days, hours_zone=zone
    )


def opens(rules: AssignmentRules, local: str, *, zone: str = BERLIN, fold: int = 0) -> bool:
    """Whether the office is open at a local time, which goes in as UTC."""
    at = dt.datetime.fromisoformat(local).replace(tzinfo=ZoneInfo(zone), fold=fold).astimezone(dt.UTC)
    return is_open(rules, Office(zone=zone), at)


@pytest.mark.parametrize(
    ("clock", "expected"),
    [
        ("08:59", False),
        ("08:59:59.999999", False),
        ("09:00", True),
        ("16:59", True),
        ("16:59:59", True),
        ("17:00", False),
    ],
)
def test_the_start_belongs_to_the_hours_and_the_end_does_not(clock: str, expected: bool) -> None:
    assert opens(hours("09:00", "17:00"), f"2026-03-04T{clock}") is expected


@pytest.mark.parametrize("day", range(1, 8))
def test_monday_is_1_and_sunday_is_7(day: int) -> None:
    monday = dt.date(2026, 3, 2)
    rules = hours("09:00", "17:00", str(day))
    open_days = [n for n in range(1, 8) if opens(rules, f"{monday + dt.timedelta(n - 1)}T12:00")]
    assert open_days == [day]


def test_the_rules_own_zone_counts_before_the_offices() -> None:
    at = dt.datetime(2026, 3, 4, 13, 30, tzinfo=dt.UTC)  # 14:30 in Berlin, 08:30 in New York
    assert is_open(hours("09:00", "17:00"), Office(zone=BERLIN), at)
    assert not is_open(hours("09:00", "17:00", zone="America/New_York"), Office(zone=BERLIN), at)


def test_the_weekday_is_that_of_the_office_not_of_utc() -> None:
    at = dt.datetime(2026, 3, 2, 3, 0, tzinfo=dt.UTC)  # Monday in UTC, Sunday evening in Los Angeles
    assert not is_open(hours("09:00", "23:00"), Office(zone="America/Los_Angeles"), at)


@pytest.mark.parametrize(
    ("local", "expected"),
    [
        ("2026-03-06T21:59", False),  # Friday
        ("2026-03-06T22:00", True),
        ("2026-03-07T05:59", True),  # the hours of Friday
        ("2026-03-07T06:00", False),
        ("2026-03-07T23:00", False),  # Saturday has none
        ("2026-03-09T01:00", False),  # nor has Sunday
        ("2026-03-09T22:00", True),
    ],
)
def test_hours_past_midnight_belong_to_the_day_on_which_they_began(local: str, expected: bool) -> None:
    assert opens(hours("22:00", "06:00"), local) is expected


def test_an_equal_start_and_end_means_the_whole_day() -> None:
    rules = hours("09:00", "09:00", "1")
    assert [opens(rules, f"2026-03-0{day}") for day in "123"] == [False, True, False]
    assert opens(rules, "2026-03-02T23:59:59")
    assert opens(hours("00:00", "00:00", "1234567"), "2026-03-08T03:00")


# Berlin sets its clock to 03:00 at 02:00 on 29 March 2026, and to 02:00 at 03:00 on 25 October 2026; both are Sundays.


def test_a_start_that_the_clock_skips_is_the_moment_of_the_jump() -> None:
    rules = hours("02:30", "05:00", "7")
    assert not opens(rules, "2026-03-29T01:59:59")
    assert opens(rules, "2026-03-29T03:00")


def test_an_end_that_the_clock_skips_is_the_moment_of_the_jump() -> None:
    rules = hours("00:30", "02:30", "7")
    assert opens(rules, "2026-03-29T01:59:59")
    assert not opens(rules, "2026-03-29T03:00")


def test_in_the_repeated_hour_the_office_closes_once() -> None:
    rules = hours("00:00", "02:30", "7")
    moments = [("02:29", 0), ("02:30", 0), ("02:10", 1), ("02:40", 1), ("03:00", 0)]
    assert [opens(rules, f"2026-10-25T{clock}", fold=fold) for clock, fold in moments] == [True, *[False] * 4]


def test_in_the_repeated_hour_the_office_opens_once() -> None:
    rules = hours("02:30", "04:00", "7")
    moments = [("02:29", 0), ("02:30", 0), ("02:10", 1), ("02:40", 1), ("03:59", 0)]
    assert [opens(rules, f"2026-10-25T{clock}", fold=fold) for clock, fold in moments] == [False, *[True] * 4]


@pytest.mark.parametrize(("day", "length"), [("2026-03-29", 23), ("2026-10-25", 25), ("2026-03-28", 24)])
def test_a_whole_day_is_as_long_as_the_day_is(day: str, length: int) -> None:
    rules = hours("00:00", "00:00", str(dt.date.fromisoformat(day).isoweekday()))
    noon = dt.datetime.fromisoformat(f"{day}T12:00+00:00")
    around = [noon + dt.timedelta(minutes=15 * n) for n in range(-80, 80)]
    assert sum(is_open(rules, Office(zone=BERLIN), at) for at in around) == length * 4


@given(
    start=st.times(), end=st.times(), days=st.sets(st.sampled_from("1234567"), min_size=1),
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "UTC"]),
    day=st.dates(dt.date(2025, 1, 1), dt.date(2027, 12, 31)),
)  # fmt: skip
def test_within_any_four_days_the_office_opens_at_most_once_for_each_day_of_its_list(
    start: dt.time, end: dt.time, days: set[str], zone: str, day: dt.date
) -> None:
    rules = AssignmentRules(hours_start=start, hours_end=end, hours_days="".join(sorted(days)))
    first = dt.datetime.combine(day, dt.time(), ZoneInfo(zone)).astimezone(dt.UTC)
    states = [is_open(rules, Office(zone=zone), first + dt.timedelta(minutes=10 * n)) for n in range(4 * 144)]
    openings = sum(now and not before for before, now in pairwise(states))
    weekdays = [str((day + dt.timedelta(n)).isoweekday()) for n in range(-1, 5)]
    assert openings <= sum(each in days for each in weekdays)
    if not any(each in days for each in weekdays):
        assert not any(states)
