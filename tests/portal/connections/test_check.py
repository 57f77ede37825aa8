"""The examination of a connection, on the stand-in and with the answers it does not give."""

from __future__ import annotations

import json
import logging
from io import StringIO

import pytest
import responses
from django.core.management import call_command

from portal.connections import check as connection_check
from portal.connections.findings import findings_of
from portal.models import AccessToken, Connection, Run
from portal.remote import oauth

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(oauth, "ATTEMPT_PAUSE_S", 0)


@pytest.fixture
def american() -> Connection:
    return Connection.objects.create(
        vendor="zoho",
        name="US",
        data_centre="US",
        accounts_url="https://accounts.zoho.com",
        client_id="the-client",
        client_secret="the-client-secret",
        refresh_token="the-refresh-token",
    )


def by_step(findings) -> dict:
    return {finding.step: finding for finding in findings}


def refresh_token_of(standin, scopes: str) -> str:
    """A refresh token at the stand-in that grants these scopes only."""
    reply = standin.handle(
        "POST",
        "http://127.0.0.1/oauth/v2/token",
        {"Content-Type": "application/x-www-form-urlencoded"},
        "grant_type=authorization_code&client_id=standin-client&client_secret=standin-secret"
        f"&code={standin.zoho.tokens.mint_code(scopes=scopes)}",
    )
    return json.loads(reply.body)["refresh_token"]


def test_a_working_connection_is_ok_in_every_step(zoho, standin):
    findings = connection_check.check(zoho)
    assert {finding.level for finding in findings} <= {"ok", "skip"}, findings
    steps = by_step(findings)
    assert "Demo" in steps["Organisation"].what
    assert "credits per 24 hours" in steps["Daily credits"].what
    assert "21st" in steps["Token age"].what
    zoho.refresh_from_db()
    assert zoho.state == Connection.State.WORKING
    assert zoho.environment == Connection.Environment.STANDIN
    assert zoho.organisation_id
    assert zoho.organisation_name
    assert zoho.daily_credits > 0
    assert zoho.checked_at is not None
    assert findings_of(zoho) == findings
    assert standin.counters.unknown_endpoints == 0


def test_a_check_writes_nothing_at_the_vendor(zoho, standin):
    connection_check.check(zoho)
    assert not [entry for entry in standin.counters.journal if entry.method in ("PUT", "DELETE", "PATCH")]


def test_missing_credentials_are_named_and_nothing_is_called(zoho, standin):
    Connection.objects.update(refresh_token="", client_secret="")
    finding = by_step(connection_check.check(zoho))["Configuration"]
    assert finding.level == "fail"
    assert finding.what == "The connection has no client secret and no refresh token."
    zoho.refresh_from_db()
    assert zoho.state == Connection.State.RECONNECT
    assert standin.counters.token_requests == 0


def test_a_missing_refresh_token_points_to_the_authorisation(zoho):
    Connection.objects.update(refresh_token="")
    assert "Authorise" in by_step(connection_check.check(zoho))["Configuration"].remedy


def test_four_kinds_of_trouble_have_four_texts(american, settings, tmp_path):
    texts = set()
    with responses.RequestsMock() as vendor:
        vendor.add(responses.POST, "https://accounts.zoho.com/oauth/v2/token", json={"error": "invalid_client_secret"})
        credentials = by_step(connection_check.check(american))["Access token"]
    texts.add(credentials.what)
    assert "invalid_client_secret" in credentials.what

    Connection.objects.update(client_id="other-client")
    with responses.RequestsMock() as vendor:  # knows no address, so the connection fails
        network = by_step(connection_check.check(Connection.objects.get()))["Access token"]
        assert len(vendor.calls)
    texts.add(network.what)
    assert "No answer over the network" in network.what
    assert "name resolution" in network.remedy

    Connection.objects.update(accounts_url="https://accounts.zoho.example")
    address = by_step(connection_check.check(Connection.objects.get()))["Configuration"]
    texts.add(address.what)
    assert "is not an accounts server of Zoho" in address.what

    (tmp_path / "file").touch()
    settings.MEDIA_ROOT = tmp_path / "file"
    folder = by_step(connection_check.check(Connection.objects.get()))["Folders of this server"]
    texts.add(folder.what)
    assert "may not write" in folder.what
    assert len(texts) == 4


def test_a_revoked_refresh_token_needs_a_reconnection(zoho, standin):
    standin.zoho.tokens.revoke()
    finding = by_step(connection_check.check(zoho))["Access token"]
    assert finding.level == "fail"
    assert "invalid_code" in finding.what
    zoho.refresh_from_db()
    assert zoho.state == Connection.State.RECONNECT


def test_an_old_access_token_does_not_hide_a_revoked_refresh_token(zoho, standin, time_machine):
    time_machine.move_to("2026-03-10T12:00:00Z", tick=True)
    connection_check.check(zoho)
    standin.zoho.tokens.refresh.clear()
    time_machine.move_to("2026-03-10T12:15:00Z", tick=True)
    assert by_step(connection_check.check(zoho))["Access token"].level == "fail"


def test_an_access_token_is_not_asked_for_again_within_minutes(zoho, standin):
    connection_check.check(zoho)
    connection_check.check(zoho)
    assert standin.counters.token_requests == 1


@pytest.mark.parametrize(
    ("lacking", "step", "scope"),
    [
        ("ZohoCRM.org.READ", "Organisation", "ZohoCRM.org.READ"),
        ("ZohoCRM.users.READ", "CRM user", "ZohoCRM.users.READ"),
        ("ZohoCRM.coql.READ", "COQL", "ZohoCRM.coql.READ"),
        ("ZohoSearch.securesearch.READ", "Search", "ZohoSearch.securesearch.READ"),
        ("ZohoCRM.settings.fields.READ", "Fields", "ZohoCRM.settings.fields.READ"),
        ("ZohoCRM.settings.custom_views.READ", "Views", "ZohoCRM.settings.custom_views.READ"),
        ("ZohoCRM.settings.modules.READ", "Modules", "ZohoCRM.settings.modules.READ"),
    ],
)
def test_a_missing_scope_is_named_and_only_its_feature_suffers(zoho, standin, lacking, step, scope):
    scopes = {
        "ZohoCRM.modules.READ",
        "ZohoCRM.settings.modules.READ",
        "ZohoCRM.settings.fields.READ",
        "ZohoCRM.settings.custom_views.READ",
        "ZohoCRM.users.READ",
        "ZohoCRM.org.READ",
        "ZohoCRM.coql.READ",
        "ZohoSearch.securesearch.READ",
    }
    Connection.objects.update(refresh_token=refresh_token_of(standin, ",".join(scopes - {lacking})))
    steps = by_step(connection_check.check(zoho))
    assert steps[step].level == "warn"
    assert scope in steps[step].what
    assert [name for name, finding in steps.items() if finding.level in ("warn", "fail")] == [step]
    zoho.refresh_from_db()
    assert zoho.state == Connection.State.WORKING


def test_scopes_of_writes_are_compared_not_tried(zoho):
    Connection.objects.update(scopes="ZohoCRM.modules.READ,ZohoCRM.bulk.ALL")
    steps = by_step(connection_check.check(Connection.objects.get()))
    assert steps["Update records"].level == "warn"
    assert "ZohoCRM.modules.Leads.UPDATE" in steps["Update records"].what
    assert steps["Import and copy in bulk"].level == "skip"
    assert "ZohoFiles.files.ALL" in steps["Import and copy in bulk"].what


@pytest.mark.parametrize(
    ("email", "level", "words"),
    [
        ("dana@movers.example", "ok", "is active"),
        ("DANA@movers.example", "ok", "is active"),
        ("marco@movers.example", "warn", "Another user"),
        ("nobody@movers.example", "warn", "No active, confirmed user"),
        ("", "ok", "is active"),
    ],
)
def test_the_user_of_the_connection_is_looked_up(zoho, email, level, words):
    Connection.objects.update(user_email=email)
    finding = by_step(connection_check.check(Connection.objects.get()))["CRM user"]
    assert (finding.level, words in finding.what) == (level, True), finding


def test_another_organisation_behind_the_same_connection_is_noticed(zoho):
    Connection.objects.update(organisation_id="4711")
    finding = by_step(connection_check.check(Connection.objects.get()))["Organisation"]
    assert finding.level == "warn"
    assert "another organisation" in finding.what


def test_the_credits_setting_counts_before_the_formula(zoho, settings):
    settings.ZOHO_DAILY_CREDITS = 123_456
    finding = by_step(connection_check.check(zoho))["Daily credits"]
    assert "123,456" in finding.what
    assert "ZOHO_DAILY_CREDITS" in finding.what
    zoho.refresh_from_db()
    assert zoho.daily_credits == 123_456


def test_an_entered_figure_stays_and_a_found_one_follows_the_edition(zoho):
    connection_check.check(zoho)
    assert zoho.daily_credits == 60_000
    assert "formula" in by_step(connection_check.check(zoho))["Daily credits"].what
    Connection.objects.update(daily_credits=90_000)
    assert "as entered" in by_step(connection_check.check(Connection.objects.get()))["Daily credits"].what
    assert Connection.objects.get().daily_credits == 90_000


def test_a_successful_check_lets_held_runs_go_on(zoho):
    run = Run.objects.create(kind="crm.bulk_update", title="t", connection=zoho, state="waiting", wait="reconnection")
    connection_check.check(zoho)
    run.refresh_from_db()
    assert run.not_before is not None


def american_vendor(vendor, org=None, api="https://www.zohoapis.com", status=200, token_api=None):
    vendor.add(
        responses.POST,
        "https://accounts.zoho.com/oauth/v2/token",
        json={"access_token": "1000.at", "api_domain": token_api or api, "expires_in": 3600},
    )
    vendor.add(responses.GET, f"{api}/crm/v8/org", json=org or {}, status=status)


ORG = {
    "zgid": "777",
    "company_name": "Real Ltd",
    "type": "production",
    "license_details": {"paid": True, "paid_type": "unheard-of", "users_license_purchased": 5},
}


def test_a_real_organisation_gets_its_environment_and_the_address_of_its_screens(american):
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        american_vendor(vendor, {"org": [ORG]})
        steps = by_step(connection_check.check(american))
    american.refresh_from_db()
    assert american.environment == Connection.Environment.PRODUCTION
    assert american.crm_url == "https://crm.zoho.com/crm/org777"
    assert american.daily_credits == 0
    assert steps["Daily credits"].level == "warn"
    assert "ZOHO_DAILY_CREDITS" in steps["Daily credits"].remedy
    assert steps["Data centre"].level == "ok"


def test_a_sandbox_is_told_apart(american):
    Connection.objects.update(api_domain="https://sandbox.zohoapis.com")
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        american_vendor(vendor, {"org": [ORG | {"type": "sandbox"}]}, api="https://sandbox.zohoapis.com")
        steps = by_step(connection_check.check(Connection.objects.get()))
    row = Connection.objects.get()
    assert (row.environment, row.crm_url) == (Connection.Environment.SANDBOX, "")
    assert steps["Data centre"].level == "ok"


def test_the_right_data_centre_is_named_when_zoho_names_another(american):
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        american_vendor(vendor, {"org": [ORG]}, api="https://www.zohoapis.eu")
        finding = by_step(connection_check.check(american))["Data centre"]
    assert finding.level == "warn"
    assert "The right one is EU" in finding.remedy


def test_an_api_address_of_another_data_centre_is_named(american):
    Connection.objects.update(api_domain="https://www.zohoapis.in")
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        american_vendor(vendor, {"code": "INVALID_TOKEN"}, api="https://www.zohoapis.in", status=401)
        steps = by_step(connection_check.check(Connection.objects.get()))
    assert "The right one is US" in steps["Data centre"].remedy
    assert "different data centres" in steps["Organisation"].remedy
    assert Connection.objects.get().state == Connection.State.RECONNECT


def test_a_failing_api_leaves_the_connection_failing(american):
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        american_vendor(vendor, {"code": "INTERNAL_ERROR"}, status=500)
        connection_check.check(american)
    american.refresh_from_db()
    assert american.state == Connection.State.FAILING


@pytest.mark.parametrize("message", ["too many concurrent calls", "daily API credits are used up"])
def test_a_rate_limit_says_nothing_about_the_connection(american, message):
    Connection.objects.update(state=Connection.State.WORKING)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        american_vendor(vendor, {"code": "TOO_MANY_REQUESTS", "message": message}, status=429)
        finding = by_step(connection_check.check(Connection.objects.get()))["Organisation"]
    assert finding.level == "fail"
    assert "by themselves" in finding.remedy
    assert Connection.objects.get().state == Connection.State.WORKING


def test_the_last_success_is_the_one_before_the_check(zoho):
    assert "Last success" not in by_step(connection_check.check(zoho))
    assert "before this check" in by_step(connection_check.check(zoho))["Last success"].what


def test_an_answer_in_an_unknown_form_is_a_finding_not_a_crash(american):
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        american_vendor(vendor, {"organization": "?"})
        finding = by_step(connection_check.check(american))["Organisation"]
    assert finding.level == "fail"


def test_no_secret_is_in_findings_or_logs(american, caplog):
    caplog.set_level(logging.DEBUG)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        american_vendor(vendor, {"org": [ORG]})
        findings = connection_check.check(american)
    written = repr(findings) + caplog.text + repr(Connection.objects.get().report)
    for secret in ("the-client-secret", "the-refresh-token", "1000.at"):
        assert secret not in written


# --- the command ----------------------------------------------------------------------------------------------------


def command(*arguments) -> tuple[int, list[str]]:
    out = StringIO()
    try:
        call_command("check_connections", *arguments, stdout=out, stderr=StringIO())
    except SystemExit as exit_status:
        return int(exit_status.code), out.getvalue().splitlines()
    return 0, out.getvalue().splitlines()


def test_the_command_prints_a_line_per_finding_and_ends_with_json(zoho):
    status, lines = command("--json")
    assert status == 0
    last = json.loads(lines[-1])
    assert (last["run"], last["state"], last["fail"], last["warn"]) == (None, "finished", 0, 0)
    assert last["connections"][0]["name"] == "Demo"
    assert len(lines) - 1 == len(last["connections"][0]["findings"])
    assert all(line.startswith("zoho/Demo ") for line in lines[:-1])


def test_the_command_fails_with_one_when_a_connection_does(zoho, standin):
    standin.zoho.tokens.revoke()
    status, lines = command("--json")
    assert status == 1
    assert json.loads(lines[-1])["state"] == "finished_with_errors"


def test_the_command_says_that_nothing_is_configured():
    status, lines = command("--json")
    assert status == 2
    assert json.loads(lines[-1])["state"] == "not_configured"


def test_the_command_checks_the_environment(standin_url, settings):
    settings.ZOHO_CLIENT_ID = "standin-client"
    settings.ZOHO_CLIENT_SECRET = "standin-secret"
    settings.ZOHO_REFRESH_TOKEN = "standin-refresh"
    settings.ZOHO_ACCOUNTS_URL = standin_url
    status, lines = command()
    assert status == 0, lines
    assert lines[0].startswith("zoho/environment ok ")
    row = Connection.objects.get()
    assert (row.state, row.is_default) == ("working", True)
    assert AccessToken.objects.filter(connection=row).exists()
