"""Connections of one login session."""

from __future__ import annotations

import pytest
from django.contrib.sessions.models import Session
from django.db import connection as database
from django.test import Client

from portal import connections
from portal.connections import temporary as temporary_connections
from portal.models import AccessToken, AuditEntry, Connection, Run
from portal.remote.errors import NotConfigured

pytestmark = pytest.mark.django_db
FORM = "/connections/temporary/"


@pytest.fixture
def entered(standin_url):
    return {
        "vendor": "zoho",
        "accounts_url": standin_url,
        "client_id": "standin-client",
        "client_secret": "standin-secret",
        "refresh_token": "standin-refresh",
    }


@pytest.fixture
def opened(login, entered):
    """The client that opened a temporary connection, and the connection."""
    client = login("Operator")
    response = client.post(FORM, entered)
    assert response.status_code == 302, response.content
    return client, Connection.objects.get(source="temporary")


def test_it_is_checked_and_chosen_at_once(opened):
    client, row = opened
    assert row.state == Connection.State.WORKING
    assert row.environment == Connection.Environment.STANDIN
    assert client.session[connections.CHOICE] == {"zoho": row.pk}
    assert AuditEntry.objects.filter(action="temporary connection opened").exists()


def test_its_secrets_are_neither_in_the_row_nor_readable_in_the_session(opened):
    client, _ = opened
    with database.cursor() as cursor:
        cursor.execute("SELECT * FROM portal_connection")
        dump = repr(cursor.fetchall())
    assert "standin-secret" not in dump
    assert "standin-refresh" not in dump
    decoded = repr(Session.objects.get(pk=client.session.session_key).get_decoded())
    assert "standin-secret" not in decoded
    assert "standin-refresh" not in decoded


def test_the_worker_reads_its_secrets_through_the_session_store(opened):
    _, row = opened
    assert connections.resolve_credentials(row).refresh_token == "standin-refresh"


def test_nobody_else_sees_or_uses_it(opened, login):
    _, row = opened
    other = login("Administrator", name="boss")
    assert f"/connections/{row.pk}/" not in other.get("/connections/").content.decode()
    assert other.get(f"/connections/{row.pk}/").status_code == 404
    for action in ("use", "check", "default"):
        assert other.post(f"/connections/{row.pk}/{action}/").status_code == 404


def test_the_same_person_in_another_browser_does_not_see_it(opened, person):
    _, row = opened
    other = Client()
    other.force_login(row.created_by, backend="django.contrib.auth.backends.ModelBackend")
    assert other.get(f"/connections/{row.pk}/").status_code == 404


def test_logout_takes_secrets_token_and_row_away(opened):
    client, row = opened
    session_key = client.session.session_key
    assert AccessToken.objects.filter(connection=row).exists()
    client.post("/accounts/logout/")
    assert not Connection.objects.filter(pk=row.pk).exists()
    assert not AccessToken.objects.exists()
    assert not Session.objects.filter(pk=session_key).exists()
    assert AuditEntry.objects.filter(action="temporary connection forgotten").exists()


def test_at_logout_a_row_with_runs_stays_but_cannot_be_opened(opened):
    client, row = opened
    Run.objects.create(kind="crm.bulk_update", title="t", connection=row)
    client.post("/accounts/logout/")
    row.refresh_from_db()
    assert row.state == Connection.State.RECONNECT
    assert row.state_reason == temporary_connections.ENDED
    with pytest.raises(NotConfigured, match="session"):
        connections.resolve_credentials(row)


def test_an_ended_session_opens_nothing_and_is_tidied_up(opened):
    _, row = opened
    Session.objects.all().delete()
    with pytest.raises(NotConfigured, match="session"):
        connections.resolve_credentials(row)
    assert temporary_connections.forget_ended() == 1
    assert not Connection.objects.filter(pk=row.pk).exists()


def test_a_live_session_is_not_tidied_up(opened):
    assert temporary_connections.forget_ended() == 0


def test_a_changed_password_keeps_it(opened):
    client, row = opened
    before = client.session.session_key
    response = client.post(
        "/accounts/password/",
        {
            "old_password": "correct horse battery",
            "new_password1": "staple orange tree",
            "new_password2": "staple orange tree",
        },
    )
    assert response.status_code == 302
    assert client.session.session_key != before
    client.get("/connections/")
    assert client.get(f"/connections/{row.pk}/").status_code == 200
    row.refresh_from_db()
    assert connections.resolve_credentials(row).client_secret == "standin-secret"


def test_it_can_be_forgotten_before_logout(opened):
    client, row = opened
    client.post("/connections/temporary/forget/")
    assert not Connection.objects.filter(pk=row.pk).exists()
    assert client.get("/connections/").status_code == 200


def test_another_one_replaces_it(opened, entered):
    client, row = opened
    client.post(FORM, entered)
    assert Connection.objects.filter(source="temporary").count() == 1
    assert not Connection.objects.filter(pk=row.pk).exists()


def test_all_secrets_are_asked_for(login, entered):
    response = login("Operator").post(FORM, entered | {"refresh_token": ""})
    assert response.status_code == 200
    assert "Enter the refresh token." in response.content.decode()
    assert not Connection.objects.exists()


def test_a_viewer_may_not_open_one(login, entered):
    client = login("Viewer")
    assert client.get(FORM).status_code == 403
    assert client.post(FORM, entered).status_code == 403


def test_it_never_becomes_the_default(opened, login):
    assert opened
    assert connections.choose(None) is None
