"""Whether an office is open at a moment: weekdays and clock times as people on the spot read them."""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo

from telephony.models import AssignmentRules, Office

ONE_DAY = dt.timedelta(days=1)


def is_open(rules: AssignmentRules, office: Office, at: dt.datetime) -> bool:
    """Whether `at` lies in the hours of the rules: the start belongs to them, the end does not.

    Hours that pass midnight belong to the weekday on which they began. An equal start and end means the whole day.
    """
    zone = ZoneInfo(rules.hours_zone or office.zone)
    local = at.astimezone(zone)
    # Of yesterday's hours the part after midnight may still last.
    return any(
        str(day.isoweekday()) in rules.hours_days and _is_within(rules, day, local)
        for day in (local.date(), local.date() - ONE_DAY)
    )


def _is_within(rules: AssignmentRules, day: dt.date, local: dt.datetime) -> bool:
    """Whether the clock has shown the start of that day's hours, and not yet their end."""
    start, end = rules.hours_start, rules.hours_end
    if start == end:
        return local.date() == day
    last_day = day if start < end else day + ONE_DAY
    return _has_passed(dt.datetime.combine(day, start), local) and not _has_passed(
        dt.datetime.combine(last_day, end), local
    )


def _has_passed(boundary: dt.datetime, local: dt.datetime) -> bool:
    """Whether the local clock has shown the boundary (without zone) by then.

    A time that daylight saving skips counts as shown when the clock jumps over it. Of a time shown twice the first
    time counts, so that an office does not open or close a second time in the repeated hour.
    """
    if local.replace(tzinfo=None) >= boundary:
        return True
    first, second = (boundary.replace(tzinfo=local.tzinfo, fold=fold).utcoffset() for fold in (0, 1))
    assert first is not None  # the zone gives every time an offset
    assert second is not None
    is_repeated = first > second
    # A boundary in the repeated hour of the same night lies ahead on the clock only because the clock was set back.
    return local.fold == 1 and is_repeated and boundary - local.replace(tzinfo=None) < first - second


def after_open_time(rules: AssignmentRules, office: Office, begin: dt.datetime, span: dt.timedelta) -> dt.datetime:
    """The moment at which the office has been open for `span` since `begin`.

    Without any hours in the next 14 days, `span` after `begin` by the clock.
    """
    zone = ZoneInfo(rules.hours_zone or office.zone)
    day = begin.astimezone(zone).date() - ONE_DAY
    left, at = span, begin
    for _ in range(16):
        if str(day.isoweekday()) in rules.hours_days:
            start, end = _hours_of(rules, day, zone)
            start = max(start, at)
            if start < end:
                if end - start >= left:
                    return start + left
                left -= end - start
                at = end
        day += ONE_DAY
    return begin + span


def _hours_of(rules: AssignmentRules, day: dt.date, zone: ZoneInfo) -> tuple[dt.datetime, dt.datetime]:
    """Start and end of that day's hours in UTC: of a time shown twice the first one."""
    start, end = rules.hours_start, rules.hours_end
    first = dt.time.min if start == end else start
    last_day = day if start < end else day + ONE_DAY
    last = dt.time.min if start == end else end
    return _shown_at(dt.datetime.combine(day, first), zone), _shown_at(dt.datetime.combine(last_day, last), zone)


def _shown_at(boundary: dt.datetime, zone: ZoneInfo) -> dt.datetime:
    """When the local clock first shows the boundary (without zone), or jumps over it, in UTC."""
    at = boundary.replace(tzinfo=zone).astimezone(dt.UTC)
    ahead = at.astimezone(zone).replace(tzinfo=None) - boundary
    # In a skipped hour the result lies as far behind the jump as the boundary does.
    return at if not ahead else _jump_before(at, ahead, zone)


def _jump_before(at: dt.datetime, within: dt.timedelta, zone: ZoneInfo) -> dt.datetime:
    """The moment within so long before `at` at which the zone's offset changed, by halving."""
    low, high = at - within, at
    offset = high.astimezone(zone).utcoffset()
    while high - low > dt.timedelta(seconds=1):
        middle = low + (high - low) / 2
        low, high = (low, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, high)
    return high.replace(microsecond=0)
