"""The form that makes a schedule for calls: presets, options, refusals, and the right instants in the zone."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse

from portal import schedules
from portal.models import AuditEntry, Schedule
from tests.telephony.made_calls import make_office, ringcentral

pytestmark = pytest.mark.django_db
Login = Callable[..., Client]
URL = "/calls/schedules/new/"


def values(**changes: Any) -> dict[str, Any]:
    return {
        "name": "Calls each morning", "types": ["accepted", "missed"], "preset": "0 8 * * *", "cron": "",
        "zone": "America/Los_Angeles", "hours_back": "24", "missed": "once", "email": "on",
    } | changes  # fmt: skip


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


@pytest.mark.parametrize(
    ("preset", "hours", "instants"),
    [
        # Pacific time; on Sunday, 8 March 2026, the clocks go forward.
        ("0 8 * * *", "24", ["2026-03-06T16:00", "2026-03-07T16:00", "2026-03-08T15:00"]),
        ("0 8,14 * * 1-5", "66", ["2026-03-06T16:00", "2026-03-06T22:00", "2026-03-09T15:00"]),
        ("0 */4 * * *", "4", ["2026-03-06T12:00", "2026-03-06T16:00", "2026-03-06T20:00"]),
    ],
)
def test_the_presets_fire_at_the_right_instants(login: Login, preset: str, hours: str, instants: list[str]) -> None:
    ringcentral()
    make_office()
    reply = login("Administrator").post(URL, values(preset=preset, hours_back=hours))
    assert reply.status_code == 302, text_of(reply)
    schedule = Schedule.objects.get()
    moment, found = datetime(2026, 3, 6, 9, 0, tzinfo=UTC), []
    for _ in instants:
        moment = schedules.next_time(schedule.cron, schedule.zone, moment)
        found.append(f"{moment:%Y-%m-%dT%H:%M}")
    assert found == instants
    assert schedule.parameters["hours_back"] == int(hours)


def test_the_options_are_kept_with_the_schedule(login: Login) -> None:
    connection = ringcentral()
    make_office("berlin")
    make_office("oakland")
    changes = {
        "offices": ["oakland"],
        "types": ["missed"],
        "dry_run": "on",
        "debug": "on",
        "preset": "",
        "cron": " 30 6 * * 1-5 ",
    }
    data = values(**changes)
    del data["email"]
    login("Administrator").post(URL, data)
    schedule = Schedule.objects.get()
    assert schedule.kind == "telephony.call_sync"
    assert schedule.connection == connection
    assert schedule.cron == "30 6 * * 1-5"
    assert schedule.parameters == {
        "offices": ["oakland"], "types": ["missed"], "hours_back": 24, "dry_run": True, "debug": True, "email": False,
    }  # fmt: skip
    assert AuditEntry.objects.filter(action="schedule made").exists()


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"types": []}, "Choose accepted calls"),
        ({"offices": ["nowhere"]}, "nowhere"),
        ({"preset": "", "cron": ""}, "choose one of those above"),
        ({"preset": "", "cron": "99 6 * * *"}, "five parts"),
        ({"preset": "", "cron": "@daily"}, "five parts"),
        ({"preset": "* * * * *"}, "* * * * *"),
        ({"zone": "Berlin"}, "is not a time zone"),
        ({"zone": "../etc/passwd"}, "is not a time zone"),
        ({"hours_back": "169"}, "at most 168 hours"),
        ({"hours_back": "0"}, "greater than or equal to 1"),
        ({"name": " "}, "required"),
    ],
)
def test_what_cannot_run_is_refused_with_the_value_named(login: Login, change: dict[str, Any], words: str) -> None:
    ringcentral()
    make_office()
    reply = login("Administrator").post(URL, values(**change))
    assert reply.status_code == 200
    assert words in text_of(reply)
    assert not Schedule.objects.exists()


def test_a_name_is_given_once(login: Login) -> None:
    ringcentral()
    make_office()
    client = login("Administrator")
    client.post(URL, values())
    assert "There is a schedule" in text_of(client.post(URL, values()))
    assert Schedule.objects.count() == 1


def test_without_a_connection_or_an_office_the_page_says_what_to_do(login: Login) -> None:
    client = login("Administrator")
    assert "no connection to RingCentral" in text_of(client.get(URL))
    client.post(URL, values())
    ringcentral()
    assert "There is no office yet." in text_of(client.get(URL))
    assert not Schedule.objects.exists()


def test_operators_may_not_make_schedules_and_the_list_leads_here_for_those_who_may(login: Login) -> None:
    assert login("Operator").get(URL).status_code == 403
    assert f'href="{URL}"' in login("Administrator").get(reverse("schedules")).content.decode()
