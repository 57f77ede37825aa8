"""The record of who did what."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.test import Client
from django.urls import reverse

from portal import audit
from portal.models import AuditEntry, Run

pytestmark = pytest.mark.django_db


def last() -> AuditEntry:
    found = AuditEntry.objects.first()
    assert found is not None
    return found


def test_an_entry_names_the_person_the_address_the_target_and_the_details(person: Callable[..., User]) -> None:
    user = person("Operator", name="olga")
    run = Run.objects.create(kind="x", title="t")
    entry = audit.record("run stopped", user=user, address="::1", target="A" * 300, run=run, records=3)
    assert (entry.user, entry.actor, entry.address, entry.run, entry.details) == (
        user,
        "olga",
        "::1",
        run,
        {"records": 3},
    )
    assert len(entry.target) == 200


@pytest.mark.parametrize(
    ("values", "actor"), [({}, "portal"), ({"user": AnonymousUser()}, "portal"), ({"actor": "worker"}, "worker")]
)
def test_without_a_person_the_actor_says_what_it_was(values: dict[str, Any], actor: str) -> None:
    entry = audit.record("x", **values)
    assert (entry.user, entry.actor) == (None, actor)


def test_an_entry_outlives_the_person_and_the_run(person: Callable[..., User]) -> None:
    user = person("Operator", name="olga")
    run = Run.objects.create(kind="x", title="t")
    entry = audit.record("x", user=user, run=run)
    run.delete()
    user.delete()
    entry.refresh_from_db()
    assert (entry.user, entry.run, entry.actor) == (None, None, "olga")


def test_logging_in_and_out_and_failing_to_are_recorded_without_the_password(person: Callable[..., User]) -> None:
    person("Operator", name="olga")
    client = Client()
    page = reverse("login")
    client.post(page, {"username": "olga", "password": "wrong horse"})
    assert (last().action, last().actor, last().address) == ("login failed", "olga", "127.0.0.1")
    client.post(page, {"username": "olga", "password": "correct horse battery"})
    assert (last().action, last().user.username) == ("logged in", "olga")
    client.post(reverse("logout"))
    assert (last().action, last().actor) == ("logged out", "olga")
    assert "horse" not in str(list(AuditEntry.objects.values()))


def test_a_name_that_nobody_has_is_cut_and_recorded(client: Client) -> None:
    assert client.post(reverse("login"), {"username": "x" * 500, "password": "y"}).status_code == 200
    assert last().actor == "x" * 150
    audit.login_failed(None, {"username": "x" * 500})
    assert last().actor == "x" * 150
    audit.login_failed(None, {})
    assert last().actor == "unknown"
