"""Tasks of each hour: done once however many supervisors ask; one that fails does not hold up the others."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from django.conf import settings as present
from django.utils.module_loading import import_string
from django_q.models import OrmQ

from portal import hourly

pytestmark = pytest.mark.django_db

NOON = dt.datetime(2026, 3, 10, 12, 0, tzinfo=dt.UTC)
done: list[str] = []


def good() -> None:
    done.append("good")


def bad() -> None:
    raise OSError("disk")


@pytest.fixture(autouse=True)
def tasks(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    done.clear()
    settings.HOURLY_TASKS = ["one", "two"]
    monkeypatch.setattr(hourly, "import_string", {"one": bad, "two": good}.__getitem__)


def test_an_hour_is_taken_by_one_of_those_who_ask() -> None:
    asked = [hourly.work("two", NOON + dt.timedelta(minutes=minutes)) for minutes in (0, 5, 59, 60, 61)]
    assert (asked, done) == ([True, False, False, True, False], ["good", "good"])


def test_a_task_that_fails_is_logged_and_comes_again_in_the_next_hour(caplog: pytest.LogCaptureFixture) -> None:
    assert not hourly.work("one", NOON)
    assert "the hourly task one failed" in caplog.text
    assert hourly.work("two", NOON)
    caplog.clear()
    hourly.work("one", NOON + dt.timedelta(hours=1))
    assert "the hourly task one failed" in caplog.text


def test_the_supervisor_queues_them_one_by_one() -> None:
    hourly.enqueue()
    assert [task.task["args"] for task in OrmQ.objects.order_by("pk")] == [("one",), ("two",)]


def test_every_task_of_the_settings_is_a_function() -> None:
    from portal.settings import HOURLY_TASKS

    assert present.HOURLY_TASKS == ["one", "two"]
    assert all(callable(import_string(name)) for name in HOURLY_TASKS)
