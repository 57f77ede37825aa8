"""The mail about a connection that only a person can renew."""

import datetime as dt
from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.core import mail
from django.utils import timezone

from portal import notices
from portal.models import Connection, Run

pytestmark = pytest.mark.django_db


@pytest.fixture
def connection() -> Connection:
    return Connection.objects.create(vendor="zoho", name="Sales")


def test_administrators_are_told_once_however_many_runs_wait(
    connection: Connection, person: Callable[..., User]
) -> None:
    person("Administrator", email="admin@example.com")
    person("Operator", email="operator@example.com")
    assert notices.reconnect_needed(connection, "The refresh token was revoked.")
    assert not notices.reconnect_needed(connection, "The refresh token was revoked.")
    assert [message.to for message in mail.outbox] == [["admin@example.com"]]
    assert "revoked" in mail.outbox[0].body


def test_nobody_to_tell_is_no_error(connection: Connection) -> None:
    assert not notices.reconnect_needed(connection, "x")
    assert mail.outbox == []


def test_a_mail_server_that_is_down_does_not_stop_the_run(
    connection: Connection, person: Callable[..., User], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object, **values: object) -> None:
        raise ConnectionRefusedError("nobody listens")

    person("Administrator", email="admin@example.com")
    monkeypatch.setattr(notices, "send_mail", refuse)
    assert not notices.reconnect_needed(connection, "x")


def test_who_started_a_long_run_is_told_how_it_ended_and_how_many_failed(person: Callable[..., User]) -> None:
    olga = person("Operator", email="olga@example.com")
    counts = {"planned": 9, "ok": 7, "failed": 2, "skipped": 0, "unknown": 0}
    long = Run.objects.create(
        kind="x", title="Clean-up", requested_by=olga, started_at=timezone.now() - dt.timedelta(minutes=5)
    )
    short = Run.objects.create(kind="x", title="Short", requested_by=olga, started_at=timezone.now())

    assert notices.run_ended(long, Run.State.FINISHED_WITH_ERRORS, counts)
    assert not notices.run_ended(short, Run.State.FINISHED, counts)

    (message,) = mail.outbox
    assert message.subject == f"Finished with errors: run {long.pk}, 2 failed"
    assert long.get_absolute_url() in message.body
