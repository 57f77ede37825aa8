"""The `environment` connection of each vendor."""

from __future__ import annotations

import pytest
from django.db import connection as database

from portal import connections
from portal.models import AccessToken, Connection, Run
from portal.remote.errors import NotConfigured

pytestmark = pytest.mark.django_db


@pytest.fixture
def variables(settings):
    settings.ZOHO_CLIENT_ID = "environment-client-id"
    settings.ZOHO_CLIENT_SECRET = "environment-client-secret"
    settings.ZOHO_REFRESH_TOKEN = "environment-refresh-token"
    return settings


def the_row() -> Connection:
    return Connection.objects.get(vendor="zoho", source="environment")


def test_without_variables_there_is_no_row():
    connections.sync_environment()
    assert not Connection.objects.exists()


def test_all_variables_make_the_default_connection_without_secrets_in_the_database(variables):
    connections.sync_environment()
    row = the_row()
    assert (row.name, row.data_centre, row.is_default) == ("environment", "US", True)
    assert row.accounts_url == "https://accounts.zoho.com"
    with database.cursor() as cursor:
        cursor.execute("SELECT * FROM portal_connection")
        dump = repr(cursor.fetchall())
    assert "environment-client-secret" not in dump
    assert "environment-refresh-token" not in dump
    assert connections.resolve_credentials(row).client_secret == "environment-client-secret"
    assert connections.choose(None) == row


def test_a_second_sync_writes_nothing(variables, django_assert_num_queries):
    connections.sync_environment()
    with django_assert_num_queries(4) as captured:
        connections.sync_environment()
    assert all(query["sql"].startswith("SELECT") for query in captured.captured_queries)


@pytest.mark.parametrize("name", ["ZOHO_CLIENT_ID", "ZOHO_CLIENT_SECRET", "ZOHO_REFRESH_TOKEN"])
def test_a_missing_variable_is_named_and_the_connection_cannot_be_chosen(variables, name):
    setattr(variables, name, "")
    connections.sync_environment()
    row = the_row()
    assert row.state == Connection.State.RECONNECT
    assert row.state_reason == f"{name} is not set."
    assert connections.choose(None) is None
    with pytest.raises(NotConfigured, match=name):
        connections.resolve_credentials(row)


def test_several_missing_variables_are_all_named(settings):
    settings.ZOHO_ACCOUNTS_URL = "https://accounts.zoho.eu"
    connections.sync_environment()
    assert the_row().state_reason == "ZOHO_CLIENT_ID and ZOHO_CLIENT_SECRET and ZOHO_REFRESH_TOKEN are not set."


def test_an_unknown_accounts_server_is_never_taken_for_the_us(variables):
    variables.ZOHO_ACCOUNTS_URL = "https://accounts.zoho.example"
    connections.sync_environment()
    row = the_row()
    assert row.state == Connection.State.RECONNECT
    assert "accounts.zoho.example" in row.state_reason
    assert connections.choose(None) is None


@pytest.mark.parametrize(
    ("url", "centre"),
    [
        ("https://accounts.zoho.com", "US"),
        ("https://accounts.zoho.eu/oauth/v2/token", "EU"),
        ("https://accounts.zoho.in", "IN"),
        ("https://accounts.zoho.com.au", "AU"),
        ("https://accounts.zoho.com.cn", "CN"),
        ("https://accounts.zoho.jp", "JP"),
        ("https://accounts.zohocloud.ca", "CA"),
        ("https://accounts.zoho.sa", "SA"),
        ("https://accounts.zoho.uk", "UK"),
        ("http://127.0.0.1:8900", "LOCAL"),
    ],
)
def test_the_accounts_url_names_the_data_centre(variables, url, centre):
    variables.ZOHO_ACCOUNTS_URL = url
    connections.sync_environment()
    row = the_row()
    assert row.data_centre == centre
    assert not row.accounts_url.endswith("/token")


def test_changed_credentials_drop_the_access_token_and_wake_held_runs(variables):
    connections.sync_environment()
    row = the_row()
    AccessToken.objects.create(connection=row, value="old")
    run = Run.objects.create(kind="crm.bulk_update", title="t", connection=row, state="waiting", wait="reconnection")
    connections.sync_environment()
    assert AccessToken.objects.filter(connection=row).exists()
    variables.ZOHO_REFRESH_TOKEN = "another-refresh-token"
    connections.sync_environment()
    assert not AccessToken.objects.filter(connection=row).exists()
    run.refresh_from_db()
    assert run.not_before is not None


def test_a_completed_environment_is_usable_again(variables):
    variables.ZOHO_CLIENT_ID = ""
    connections.sync_environment()
    variables.ZOHO_CLIENT_ID = "environment-client-id"
    connections.sync_environment()
    row = the_row()
    assert (row.state, row.state_reason, row.is_default) == ("unchecked", "", True)


def test_without_variables_the_row_goes_unless_runs_need_it(variables):
    connections.sync_environment()
    Run.objects.create(kind="crm.bulk_update", title="t", connection=the_row())
    names = ("ZOHO_CLIENT_ID", "ZOHO_CLIENT_SECRET", "ZOHO_REFRESH_TOKEN")
    for name in names:
        setattr(variables, name, "")
    connections.sync_environment()
    row = the_row()
    assert all(name in row.state_reason for name in names)
    assert connections.choose(None) is None
    Run.objects.all().delete()
    connections.sync_environment()
    assert not Connection.objects.exists()


def test_it_is_not_the_default_beside_a_stored_connection(variables):
    Connection.objects.create(vendor="zoho", name="Stored", client_id="x", is_default=True)
    connections.sync_environment()
    assert not the_row().is_default


def test_ringcentral_has_its_own_environment_connection(settings):
    settings.RINGCENTRAL_CLIENT_ID = "rc-client"
    settings.RINGCENTRAL_CLIENT_SECRET = "rc-secret"
    settings.RINGCENTRAL_JWT = "rc-jwt"
    connections.sync_environment()
    row = Connection.objects.get(vendor="ringcentral")
    assert row.accounts_url == "https://platform.ringcentral.com"
    assert connections.resolve_credentials(row).jwt == "rc-jwt"
