"""Connections as rows: who sees them, which one is chosen, where secrets come from, how they change."""

from __future__ import annotations

import pytest
from django.db import connection as database
from django.test import RequestFactory
from django.utils import timezone

from portal import connections, runs
from portal.models import AccessToken, AuditEntry, Connection, Run, Vendor
from portal.remote.errors import NotConfigured

pytestmark = pytest.mark.django_db
SECRET, REFRESH = "client-secret-value-1", "refresh-token-value-1"


def stored(name: str = "Main", **values) -> Connection:
    defaults = {
        "vendor": "zoho",
        "name": name,
        "data_centre": "EU",
        "accounts_url": "https://accounts.zoho.eu",
        "client_id": "id-of-client",
        "client_secret": SECRET,
        "refresh_token": REFRESH,
    }
    return Connection.objects.create(**defaults | values)


def request_of(user, **session):
    request = RequestFactory().get("/")
    request.user = user
    from django.contrib.sessions.backends.db import SessionStore

    request.session = SessionStore()
    request.session.update(session)
    request.session.create()
    return request


def test_secrets_are_unreadable_in_the_database():
    row = stored()
    with database.cursor() as cursor:
        cursor.execute("SELECT client_secret, refresh_token FROM portal_connection WHERE id = %s", [row.pk])
        found = " ".join(cursor.fetchone())
    assert SECRET not in found
    assert REFRESH not in found


def test_a_list_of_connections_needs_no_key(person, settings):
    stored()
    settings.FIELD_ENCRYPTION_KEYS = ["e0JkJzrxRCa0oFOZnGyGBpKXOmMIPdlqmNTRTbUGG1s="]
    listed = list(connections.visible_to(person("Viewer"), None))
    assert [row.name for row in listed] == ["Main"]
    assert connections.stored_secrets(listed[0]) == {"client_secret": True, "refresh_token": True}


def test_a_secret_that_no_key_opens_is_a_setting_to_correct(settings):
    row = stored()
    settings.FIELD_ENCRYPTION_KEYS = ["e0JkJzrxRCa0oFOZnGyGBpKXOmMIPdlqmNTRTbUGG1s="]
    with pytest.raises(NotConfigured, match="FIELD_ENCRYPTION_KEYS"):
        connections.resolve_credentials(row)


def test_credentials_are_read_anew_each_time():
    row = stored()
    Connection.objects.filter(pk=row.pk).update(refresh_token="another-refresh-token")
    assert connections.resolve_credentials(row).refresh_token == "another-refresh-token"


def test_the_credentials_of_a_removed_connection_are_gone():
    row = stored()
    Connection.objects.all().delete()
    row.pk = row.pk or 1
    with pytest.raises(NotConfigured, match="removed"):
        connections.resolve_credentials(row)


def test_the_choice_of_the_session_wins_over_the_default(person):
    user = person("Operator")
    default, other = stored("A", is_default=True), stored("B")
    request = request_of(user)
    assert connections.choose(request) == default
    connections.use(request, other)
    assert connections.choose(request) == other
    assert connections.choose(user) == default
    assert connections.choose(None) == default


def test_a_choice_that_is_gone_falls_back_to_the_default(person):
    default = stored("A", is_default=True)
    request = request_of(person("Operator"), **{connections.CHOICE: {"zoho": 999_999}})
    assert connections.choose(request) == default


def test_without_any_connection_there_is_no_choice(person):
    assert connections.choose(person("Operator")) is None
    assert connections.choose(person("Operator", name="second"), Vendor.RINGCENTRAL) is None


def test_replacing_a_secret_keeps_who_and_when_and_drops_the_token(person):
    admin = person("Administrator")
    row = stored(state=Connection.State.RECONNECT, state_reason="revoked")
    AccessToken.objects.create(connection=row, value="old", expires_at=timezone.now())
    connections.save(row, secrets={"refresh_token": "new-refresh", "client_secret": ""}, changed=[], user=admin)
    row = Connection.objects.get(pk=row.pk)
    assert (row.refresh_token, row.client_secret) == ("new-refresh", SECRET)
    assert row.secret_changed_by == admin
    assert row.secret_changed_at is not None
    assert row.state == Connection.State.UNCHECKED
    assert not AccessToken.objects.exists()
    entry = AuditEntry.objects.get(action="connection changed")
    assert entry.details == {"fields": [], "secrets": ["refresh_token"]}


def test_another_name_leaves_the_token_alone(person):
    row = stored()
    AccessToken.objects.create(connection=row, value="good")
    connections.save(row, secrets={}, changed=["name"], user=person("Administrator"))
    assert AccessToken.objects.filter(connection=row).exists()


def test_new_secrets_let_held_runs_go_on(person):
    row = stored()
    run = Run.objects.create(kind="crm.bulk_update", title="t", connection=row, state="waiting", wait="reconnection")
    connections.save(row, secrets={"refresh_token": "x" * 20}, changed=[], user=person("Administrator"))
    run.refresh_from_db()
    assert run.not_before is not None
    assert runs._queued_run_ids() == {run.pk}


def test_the_first_connection_becomes_the_default_and_the_second_does_not(person):
    admin = person("Administrator")
    for name in ("A", "B"):
        row = Connection(vendor="zoho", name=name, client_id="x")
        connections.save(row, secrets={"client_secret": "s" * 10}, changed=["name"], user=admin)
    assert list(Connection.objects.filter(is_default=True).values_list("name", flat=True)) == ["A"]


def test_there_is_one_default_per_vendor(person):
    first, second = stored("A", is_default=True), stored("B")
    other_vendor = stored("R", vendor="ringcentral", is_default=True)
    connections.make_default(second, user=person("Administrator"))
    assert set(Connection.objects.filter(is_default=True)) == {second, other_vendor}
    assert first.pk is not None


def test_a_removed_connection_without_runs_is_gone_and_the_last_one_takes_over(person):
    first, second = stored("A", is_default=True), stored("B")
    assert connections.remove(first, user=person("Administrator")) is True
    second.refresh_from_db()
    assert second.is_default


def test_a_removed_connection_with_runs_keeps_its_row_without_secrets(person):
    row = stored(is_default=True)
    AccessToken.objects.create(connection=row, value="v")
    Run.objects.create(kind="crm.bulk_update", title="t", connection=row)
    assert connections.remove(row, user=person("Administrator")) is False
    row = Connection.objects.get(pk=row.pk)
    assert (row.client_id, row.client_secret, row.refresh_token) == ("", "", "")
    assert row.state == Connection.State.RECONNECT
    assert not row.is_default
    assert not AccessToken.objects.exists()
    assert connections.choose(None) is None


def test_a_session_is_opened_with_the_credentials_of_the_connection(zoho):
    with connections.session_for(zoho, read_only=True) as session:
        from portal.remote.session import Request

        assert session.call(Request("GET", "/crm/v8/org", "org")).json["org"]
