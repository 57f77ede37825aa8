"""RingCentral connections: what a check finds and advises, the forms, the environment."""

from __future__ import annotations

import datetime as dt
import json
import logging
from io import StringIO

import pytest
import responses
from django.core.management import call_command
from django.urls import reverse
from django.utils import timezone

from portal import connections
from portal.connections import check as connection_check
from portal.connections.ringcentral_permissions import has
from portal.models import AccessToken, AuditEntry, Connection
from portal.remote import oauth
from portal.remote.buckets import Permit
from portal.standin.ringcentral.gate import HEAVY

pytestmark = pytest.mark.django_db
SERVER = "https://platform.ringcentral.com"
LOGIN = f"{SERVER}/restapi/oauth/token"
ENTERED = {
    "vendor": "ringcentral",
    "name": "Phones",
    "client_id": "the-client",
    "client_secret": "the-client-secret",
    "jwt": "the-jwt-credential",
    "concurrency": "4",
    "daily_credits": "0",
}


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(oauth, "LOGIN_PAUSE_S", 0)


@pytest.fixture
def called(standin):
    """A company whose phones rang an hour ago."""
    standin.ringcentral.script.missed(standin.clock.now() - dt.timedelta(hours=1))


def check(row) -> dict:
    return {finding.step: finding for finding in connection_check.check(row)}


def test_a_working_connection_is_ok_in_every_step(ringcentral, standin, called):
    steps = check(ringcentral)
    assert {finding.level for finding in steps.values()} <= {"ok", "skip"}, steps
    assert {"Access token", "Account", "User of the JWT", "Extensions", "Call log", "Voicemails"} <= set(steps)
    ringcentral.refresh_from_db()
    assert ringcentral.state == Connection.State.WORKING
    assert ringcentral.environment == Connection.Environment.STANDIN
    assert ringcentral.organisation_id == "700000000"
    assert ringcentral.organisation_name
    assert "ReadCallLog" in ringcentral.scopes
    assert standin.counters.unknown_endpoints == 0


def test_a_check_costs_one_login_and_one_heavy_call(ringcentral, standin, called):
    for _ in range(3):
        check(ringcentral)
    logins = [entry for entry in standin.counters.journal if entry.path.endswith("/oauth/token")]
    logs = [entry for entry in standin.counters.journal if entry.path.endswith("/call-log")]
    assert (len(logins), len(logs)) == (1, 3)
    assert all(entry.method == "GET" or entry in logins for entry in standin.counters.journal)


def test_missing_permissions_of_the_application_are_listed_with_their_remedy(ringcentral, standin, called):
    standin.ringcentral.settings.scopes = "ReadAccounts ReadCallLog"
    steps = check(ringcentral)
    for name in ("ReadCallRecording", "ReadMessages"):
        assert steps[f"Permission {name}"].level == "warn"
        assert "Developer Console" in steps[f"Permission {name}"].remedy
    for name in ("SubscriptionWebhook", "CallControl"):
        assert steps[f"Permission {name}"].level == "skip"
    assert steps["Voicemails"].level == "warn"
    assert "ReadMessages" in steps["Voicemails"].what
    ringcentral.refresh_from_db()
    assert ringcentral.state == Connection.State.WORKING


@pytest.mark.parametrize(
    ("scopes", "step"),
    [("ReadCallLog ReadMessages", "Permission ReadAccounts"), ("ReadAccounts ReadMessages", "Permission ReadCallLog")],
)
def test_without_the_basic_permissions_the_connection_does_not_work(ringcentral, standin, scopes, step):
    standin.ringcentral.settings.scopes = scopes
    steps = check(ringcentral)
    assert steps[step].level == "fail"
    ringcentral.refresh_from_db()
    assert ringcentral.state == Connection.State.FAILING
    assert "may not read" in ringcentral.state_reason


def test_a_trimmed_role_is_told_from_a_missing_permission(ringcentral, standin, called):
    standin.ringcentral.settings.company_call_log = False
    finding = check(ringcentral)["Call log"]
    assert finding.level in ("fail", "warn")
    assert "role" in finding.remedy


def test_an_empty_log_is_said(ringcentral):
    finding = check(ringcentral)["Call log"]
    assert (finding.level, "FullCompanyCallLog" in finding.remedy) == ("warn", True)


def test_a_revoked_jwt_asks_for_a_new_one(ringcentral, standin):
    standin.ringcentral.tokens.credentials.clear()
    steps = check(ringcentral)
    assert steps["Access token"].level == "fail"
    assert "OAU-210" in steps["Access token"].what
    assert "(RC-401)" in steps["Access token"].what
    assert "Create a new one" in steps["Access token"].remedy
    ringcentral.refresh_from_db()
    assert ringcentral.state == Connection.State.RECONNECT


def test_an_application_without_the_jwt_flow_is_told(ringcentral, standin):
    standin.ringcentral.settings.jwt_flow = False
    assert "JWT auth flow" in check(ringcentral)["Access token"].remedy


def test_a_disabled_user_is_told(ringcentral, standin):
    standin.ringcentral.settings.owner_enabled = False
    assert "user of the JWT" in check(ringcentral)["Access token"].remedy


def test_missing_credentials_are_named_and_nothing_is_called(ringcentral, standin):
    Connection.objects.update(jwt="", client_secret="")
    finding = check(ringcentral)["Configuration"]
    assert finding.level == "fail"
    assert "client secret and no jwt" in finding.what
    assert standin.counters.total_calls == 0


@pytest.mark.parametrize("server", ["https://evil.example", "http://platform.ringcentral.com"])
def test_a_foreign_server_is_refused_before_any_call(ringcentral, standin, server):
    Connection.objects.update(accounts_url=server)
    steps = check(ringcentral)
    assert steps["Configuration"].level == "fail"
    assert "RingCentral" in steps["Configuration"].remedy
    assert standin.counters.total_calls == 0


def test_no_answer_is_about_the_network(ringcentral):
    Connection.objects.update(accounts_url="http://127.0.0.1:9")
    steps = check(Connection.objects.get())
    assert "network" in steps["Access token"].remedy
    ringcentral.refresh_from_db()
    assert ringcentral.state == Connection.State.FAILING


def test_what_is_no_token_server_is_told(ringcentral):
    Connection.objects.update(accounts_url=SERVER)
    with responses.RequestsMock() as vendor:
        vendor.post(LOGIN, body="<html>hello</html>")
        steps = check(Connection.objects.get())
    assert "may not be RingCentral's API server" in steps["Access token"].what


def test_another_account_than_before_is_a_remark(ringcentral, called):
    Connection.objects.update(organisation_id="1")
    assert check(Connection.objects.get())["Account"].level == "warn"


def test_another_user_than_entered_is_a_remark(ringcentral, called, monkeypatch):
    Connection.objects.update(user_email="somebody.else@example.com")
    steps = check(Connection.objects.get())
    assert steps["User of the JWT"].level in ("ok", "warn")
    assert "somebody.else" not in repr(steps)


def test_a_full_heavy_bucket_is_no_verdict_about_the_connection(ringcentral, standin, called, settings):
    settings.REMOTE_MAX_PAUSE_S = 0
    with connections.session_for(ringcentral) as session:
        bucket = session.limits.buckets
        while isinstance(bucket.acquire(HEAVY), Permit):
            pass
    finding = check(ringcentral)["Call log"]
    assert (finding.level, "(RC-429)" in finding.what) == ("warn", True)
    ringcentral.refresh_from_db()
    assert ringcentral.state == Connection.State.WORKING


def test_no_secret_is_in_findings_and_logs(ringcentral, standin, called, caplog):
    caplog.set_level(logging.DEBUG)
    findings = connection_check.check(ringcentral)
    written = repr(findings) + caplog.text + repr(Connection.objects.get().report)
    for secret in ("standin-rc-secret", "standin-rc-jwt", *standin.ringcentral.tokens.sessions):
        assert secret not in written


@pytest.mark.parametrize(
    ("granted", "name", "expected"),
    [
        (["ReadCallLog"], "ReadCallLog", True),
        (["readcalllog"], "ReadCallLog", True),
        (["CallLog"], "ReadCallLog", True),
        (["ReadCallRecording"], "ReadCallLog", True),
        (["ReadCallLog"], "ReadCallRecording", False),
        (["Messages"], "ReadMessages", True),
        ([], "ReadAccounts", False),
    ],
)
def test_old_and_new_names_of_permissions_are_understood(granted, name, expected):
    assert has(granted, name) is expected


def test_the_command_checks_both_vendors(zoho, ringcentral, called):
    out = StringIO()
    call_command("check_connections", "--json", stdout=out, stderr=StringIO())
    last = json.loads(out.getvalue().splitlines()[-1])
    assert [each["vendor"] for each in last["connections"]] == ["ringcentral", "zoho"]
    assert (last["state"], last["fail"], last["warn"]) == ("finished", 0, 0)


# --- the screens ----------------------------------------------------------------------------------------------------


def test_a_connection_is_added_with_the_production_server(login):
    client = login("Administrator")
    response = client.post("/connections/new/", ENTERED)
    row = Connection.objects.get()
    assert response.url == f"/connections/{row.pk}/"
    assert (row.vendor, row.accounts_url, row.data_centre, row.is_default) == ("ringcentral", SERVER, "", True)
    assert (row.client_secret, row.jwt) == ("the-client-secret", "the-jwt-credential")
    entry = AuditEntry.objects.get(action="connection added")
    assert entry.details["secrets"] == ["client_secret", "jwt"]
    for url in (f"/connections/{row.pk}/", f"/connections/{row.pk}/edit/", "/connections/"):
        html = client.get(url).content.decode()
        assert "the-client-secret" not in html
        assert "the-jwt-credential" not in html


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"jwt": ""}, "Enter the JWT credential"),
        ({"client_secret": ""}, "Enter the client secret"),
        ({"accounts_url": "https://evil.example"}, "not a server of RingCentral"),
        ({"accounts_url": "http://platform.ringcentral.com"}, "https://"),
        ({"accounts_url": "https://platform.ringcentral.com:8443"}, "unusual port"),
    ],
)
def test_wrong_input_is_named_and_nothing_is_stored(login, changed, words):
    response = login("Administrator").post("/connections/new/", ENTERED | changed)
    assert response.status_code == 200
    assert words in response.content.decode()
    assert not Connection.objects.exists()


def test_the_other_platform_is_accepted(login):
    login("Administrator").post("/connections/new/", ENTERED | {"accounts_url": "https://platform.ringcentral.biz/"})
    assert Connection.objects.get().accounts_url == "https://platform.ringcentral.biz"


def test_a_new_jwt_ends_the_access_token_and_an_empty_field_keeps_the_old_one(ringcentral, login):
    AccessToken.objects.create(connection=ringcentral, value="old", issued_at=timezone.now(), expires_at=timezone.now())
    client = login("Administrator")
    entered = ENTERED | {"accounts_url": ringcentral.accounts_url, "client_id": ringcentral.client_id}
    client.post(f"/connections/{ringcentral.pk}/edit/", entered | {"client_secret": "", "jwt": "", "name": "New name"})
    row = Connection.objects.get()
    assert (row.name, row.jwt, row.client_secret) == ("New name", "standin-rc-jwt", "standin-rc-secret")
    assert AccessToken.objects.exists()
    client.post(f"/connections/{ringcentral.pk}/edit/", entered | {"client_secret": "", "jwt": "another-jwt"})
    assert Connection.objects.get().jwt == "another-jwt"
    assert not AccessToken.objects.exists()


def test_the_page_says_how_to_connect_and_shows_no_wizard_of_zoho(ringcentral, login):
    html = login("Administrator").get(f"/connections/{ringcentral.pk}/").content.decode()
    assert "JWT auth flow" in html
    assert "ReadCallRecording" in html
    assert "JWT credential: stored" in html
    assert "Authorise at Zoho" not in html
    assert "Data centre" not in html


def test_the_check_button_works(ringcentral, login, called):
    html = login("Administrator").post(f"/connections/{ringcentral.pk}/check/", follow=True).content.decode()
    assert "“Demo phones” works." in html
    assert "RingCentral grants access tokens" in html


def test_a_temporary_connection_works_until_logout(standin, standin_url, login, called):
    client = login("Operator")
    entered = {
        "vendor": "ringcentral",
        "accounts_url": standin_url,
        "client_id": "standin-rc-client",
        "client_secret": "standin-rc-secret",
        "jwt": "standin-rc-jwt",
    }
    client.post("/connections/temporary/", entered)
    row = Connection.objects.get()
    assert (row.source, row.state, row.jwt) == ("temporary", "working", "")
    client.post(reverse("logout"))
    assert not Connection.objects.exists()


# --- the environment ------------------------------------------------------------------------------------------------


@pytest.fixture
def variables(settings):
    settings.RINGCENTRAL_CLIENT_ID = "environment-client"
    settings.RINGCENTRAL_CLIENT_SECRET = "environment-secret"
    settings.RINGCENTRAL_JWT = "environment-jwt"
    return settings


def test_the_variables_make_a_connection_without_secrets_in_the_database(variables):
    connections.sync_environment()
    row = Connection.objects.get()
    assert (row.vendor, row.name, row.accounts_url, row.is_default) == ("ringcentral", "environment", SERVER, True)
    assert (row.client_secret, row.jwt) == ("", "")
    assert connections.resolve_credentials(row).jwt == "environment-jwt"
    assert connections.choose(None, "ringcentral") == row


@pytest.mark.parametrize("name", ["RINGCENTRAL_CLIENT_ID", "RINGCENTRAL_CLIENT_SECRET", "RINGCENTRAL_JWT"])
def test_a_missing_variable_is_named(variables, name):
    setattr(variables, name, "")
    connections.sync_environment()
    assert Connection.objects.get().state_reason == f"{name} is not set."


def test_a_foreign_server_in_the_environment_is_refused(variables):
    variables.RINGCENTRAL_SERVER_URL = "https://evil.example"
    connections.sync_environment()
    row = Connection.objects.get()
    assert row.state == Connection.State.RECONNECT
    assert "not a server of RingCentral" in row.state_reason


def test_the_environment_connection_works(variables, standin, standin_url, called):
    variables.RINGCENTRAL_SERVER_URL = standin_url
    variables.RINGCENTRAL_CLIENT_ID = "standin-rc-client"
    variables.RINGCENTRAL_CLIENT_SECRET = "standin-rc-secret"
    variables.RINGCENTRAL_JWT = "standin-rc-jwt"
    connections.sync_environment()
    row = Connection.objects.get()
    assert check(row)["Token age"].what.endswith("It is set by RINGCENTRAL_JWT.")
    assert Connection.objects.get().state == Connection.State.WORKING
