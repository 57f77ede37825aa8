"""Simple cron expressions in words; the others are shown as they are."""

from __future__ import annotations

DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
NAMES = {name[:3].lower(): name for name in DAYS}


def cron_words(cron: str) -> str:
    """30 6 * * 1-5 → Monday to Friday at 06:30. "" for an expression that has no short words."""
    parts = cron.lower().split()
    if len(parts) != 5:
        return ""
    minute, hour, day, month, weekday = parts
    if month != "*":
        return ""
    if (hour, day, weekday) == ("*", "*", "*"):
        return _within_the_hour(minute)
    clock = _clock(minute, hour)
    if not clock or (day != "*" and weekday != "*"):
        return ""
    if day != "*":
        return f"On day {day} of each month {clock}" if day.isdigit() else ""
    days = _days(weekday)
    return f"{days} {clock}" if days else ""


def _within_the_hour(minute: str) -> str:
    if minute == "*":
        return "Every minute"
    if minute.isdigit():
        return f"Every hour at minute {int(minute)}"
    step = minute.removeprefix("*/")
    return (
        f"Every {int(step)} minutes" if step.isdigit() and step != minute and int(step) and 60 % int(step) == 0 else ""
    )


def _clock(minute: str, hour: str) -> str:
    if not minute.isdigit():
        return ""
    if hour.isdigit():
        return f"at {int(hour):02}:{int(minute):02}"
    step = hour.removeprefix("*/")
    if step != hour and step.isdigit() and int(step) and 24 % int(step) == 0:
        return f"every {int(step)} hours at minute {int(minute)}"
    return ""


def _days(weekday: str) -> str:
    """1-5 → Monday to Friday; 1,3 → Monday, Wednesday; * → Every day; "" when it is something else."""
    if weekday == "*":
        return "Every day"
    first, dash, last = weekday.partition("-")
    if dash:
        found = [_day(first), _day(last)]
        return " to ".join(found) if all(found) else ""
    found = [_day(name) for name in weekday.split(",")]
    if not all(found):
        return ""
    return f"Every {found[0]}" if len(found) == 1 else ", ".join(found)


def _day(name: str) -> str:
    if name in NAMES:
        return NAMES[name]
    return DAYS[int(name)] if name.isdigit() and int(name) < len(DAYS) else ""
