"""Guided authorisation: the way to the consent page and back, and a self client's code."""

from __future__ import annotations

import datetime as dt
import logging
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
import time_machine
from django.utils import timezone

from portal.connections import oauth_setup
from portal.connections import scopes as connection_scopes
from portal.models import AccessToken, AuditEntry, Connection, Run

pytestmark = pytest.mark.django_db
CALLBACK = "http://testserver/connections/callback/"


@pytest.fixture
def row(standin_url) -> Connection:
    """A connection with a client, not authorised yet."""
    return Connection.objects.create(
        vendor="zoho",
        name="New",
        data_centre="LOCAL",
        accounts_url=standin_url,
        client_id="standin-client",
        client_secret="standin-secret",
        is_default=True,
    )


@pytest.fixture
def european() -> Connection:
    return Connection.objects.create(
        vendor="zoho",
        name="Europe",
        data_centre="EU",
        accounts_url="https://accounts.zoho.eu",
        client_id="the-client",
        client_secret="the-secret",
    )


@pytest.fixture
def admin(login):
    return login("Administrator")


def start(client, row, **entered):
    """The authorisation address that the button redirects to, and its query."""
    response = client.post(
        f"/connections/{row.pk}/authorise/", {"features": connection_scopes.proposed(), "modules": ""} | entered
    )
    assert response.status_code == 302, response.content
    return response.url, {name: values[0] for name, values in parse_qs(urlsplit(response.url).query).items()}


def consent(standin, url) -> str:
    """The vendor's redirect back, as an address below the portal."""
    reply = standin.handle("GET", url)
    assert reply.status == 302
    return reply.headers["Location"].removeprefix("http://testserver")


def test_the_page_shows_the_redirect_address_and_the_console(admin, european):
    html = admin.get(f"/connections/{european.pk}/").content.decode()
    assert CALLBACK in html
    assert "https://api-console.zoho.eu" in html
    assert "Server-based Applications" in html
    assert "10 minutes" in html


def test_the_page_lets_its_form_lead_to_the_accounts_server_only(admin, european):
    policy = admin.get(f"/connections/{european.pk}/").headers["Content-Security-Policy"]
    assert "form-action 'self' https://accounts.zoho.eu" in policy
    assert "accounts.zoho" not in admin.get("/connections/").headers["Content-Security-Policy"]


def test_the_authorisation_address_holds_what_zoho_asks_for(admin, european):
    url, query = start(admin, european)
    assert url.startswith("https://accounts.zoho.eu/oauth/v2/auth?")
    assert query["client_id"] == "the-client"
    assert query["response_type"] == "code"
    assert query["redirect_uri"] == CALLBACK
    assert query["access_type"] == "offline"
    assert query["prompt"] == "consent"
    assert query["scope"].split(",") == connection_scopes.scopes_for(connection_scopes.proposed())
    assert len(query["state"]) >= 40
    assert "the-secret" not in url


def test_chosen_features_and_modules_become_scopes(admin, european):
    _, query = start(admin, european, features=["records", "notes"], modules="Leads, Contacts")
    assert query["scope"] == "ZohoCRM.modules.Leads.READ,ZohoCRM.modules.Contacts.READ,ZohoCRM.modules.notes.ALL"


@pytest.mark.parametrize(
    ("entered", "words"),
    [({"features": []}, "Tick at least one feature"), ({"modules": "Leads; DROP"}, "is not the API name of a module")],
)
def test_wrong_choices_are_named(admin, european, entered, words):
    data = {"features": ["records"], "modules": ""} | entered
    response = admin.post(f"/connections/{european.pk}/authorise/", data)
    assert words in response.content.decode()


def test_from_the_button_to_a_checked_connection(admin, row, standin):
    run = Run.objects.create(kind="crm.bulk_update", title="t", connection=row, state="waiting", wait="reconnection")
    url, query = start(admin, row)
    response = admin.get(consent(standin, url), follow=True)
    row = Connection.objects.get(pk=row.pk)
    assert row.refresh_token in standin.zoho.tokens.refresh
    assert set(row.scopes.split(",")) == set(query["scope"].split(","))
    assert row.secret_changed_by.username == "administrator"
    assert row.state == Connection.State.WORKING
    assert row.environment == Connection.Environment.STANDIN
    assert AccessToken.objects.get().value
    html = response.content.decode()
    assert "the account lives on this machine" in html
    assert "Waiting runs that go on: 1." in html
    assert row.refresh_token not in html
    run.refresh_from_db()
    assert run.not_before is not None
    entry = AuditEntry.objects.get(action="connection authorised")
    assert row.refresh_token not in repr(entry.details)


def test_a_missing_or_foreign_state_is_refused_and_no_code_is_sent(admin, row, standin):
    start(admin, row)
    for query in ("code=1000.abc", "code=1000.abc&state=", "code=1000.abc&state=forged"):
        response = admin.get(f"/connections/callback/?{query}")
        assert response.status_code == 400
        assert "does not belong to an authorisation" in response.content.decode()
    assert standin.counters.token_requests == 0


def test_the_state_of_another_login_is_refused(admin, login, row, standin):
    url, _ = start(admin, row)
    other = login("Administrator", name="other")
    assert other.get(consent(standin, url)).status_code == 400
    assert standin.counters.token_requests == 0


def test_a_state_works_once(admin, row, standin):
    url, _ = start(admin, row)
    back = consent(standin, url)
    admin.get(back)
    asked = standin.counters.token_requests
    assert admin.get(back).status_code == 400
    assert standin.counters.token_requests == asked


def test_a_state_lives_ten_minutes(admin, row, standin):
    _, query = start(admin, row)
    with time_machine.travel(timezone.now() + dt.timedelta(seconds=oauth_setup.STATE_LIFE_S + 1), tick=False):
        response = admin.get(f"/connections/callback/?code=x&state={query['state']}")
    assert response.status_code == 400
    assert standin.counters.token_requests == 0


def test_a_session_remembers_few_states(admin, european):
    for _ in range(8):
        start(admin, european)
    assert len(admin.session[oauth_setup.STATES]) == oauth_setup.MOST_STATES


def test_the_refusal_on_zohos_page_is_told(admin, row):
    _, query = start(admin, row)
    response = admin.get(f"/connections/callback/?error=access_denied&state={query['state']}")
    assert response.status_code == 400
    assert "access_denied" in response.content.decode()


def test_an_answer_without_a_code_is_told(admin, row):
    _, query = start(admin, row)
    assert "holds no code" in admin.get(f"/connections/callback/?state={query['state']}").content.decode()


@pytest.mark.parametrize(
    "server", ["https://evil.example", "https://accounts.zoho.com.evil.example", "http://127.0.0.1:9", "nonsense"]
)
def test_a_code_is_never_sent_to_a_foreign_accounts_server(admin, european, server):
    _, query = start(admin, european)
    with responses.RequestsMock() as vendor:
        response = admin.get(
            "/connections/callback/", {"code": "c", "state": query["state"], "accounts-server": server}
        )
        assert len(vendor.calls) == 0
    assert response.status_code == 400
    assert "the code was not sent there" in response.content.decode()


def token_answer(vendor, host, body, status=200):
    vendor.add(responses.POST, f"https://{host}/oauth/v2/token", json=body, status=status)


def test_the_answer_names_the_right_data_centre(admin, european):
    _, query = start(admin, european)
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        token_answer(
            vendor,
            "accounts.zoho.in",
            {
                "access_token": "1000.at",
                "refresh_token": "1000.rt",
                "api_domain": "https://www.zohoapis.in",
                "expires_in": 3600,
            },
        )
        vendor.add(
            responses.GET, "https://www.zohoapis.in/crm/v8/org", status=401, json={"code": "OAUTH_SCOPE_MISMATCH"}
        )
        response = admin.get(
            "/connections/callback/",
            {
                "code": "the-code",
                "state": query["state"],
                "location": "in",
                "accounts-server": "https://accounts.zoho.in",
            },
        )
        sent = parse_qs(vendor.calls[0].request.body)
    assert response.status_code == 302
    assert sent == {
        "grant_type": ["authorization_code"],
        "client_id": ["the-client"],
        "client_secret": ["the-secret"],
        "code": ["the-code"],
        "redirect_uri": [CALLBACK],
    }
    european.refresh_from_db()
    assert (european.data_centre, european.accounts_url) == ("IN", "https://accounts.zoho.in")
    assert european.refresh_token == "1000.rt"


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"error": "invalid_code"}, ["invalid_code", "expired", "two minutes"]),
        ({"error": "invalid_client"}, ["Either the client id is wrong", "another data centre"]),
        ({"error": "invalid_client_secret"}, ["invalid_client_secret", "another data centre"]),
        ({"error": "invalid_redirect_uri"}, [CALLBACK]),
        ({}, ["without an access token", "client id and client secret", "refresh token", "data centre"]),
        ({"access_token": "1000.at", "expires_in": 3600}, ["no refresh token"]),
        ({"error": "something_new"}, ["refused the connection"]),
    ],
)
def test_each_refusal_has_its_cause_and_remedy(admin, european, body, words, caplog):
    caplog.set_level(logging.DEBUG)
    _, query = start(admin, european)
    with responses.RequestsMock() as vendor:
        token_answer(vendor, "accounts.zoho.eu", body)
        response = admin.get("/connections/callback/", {"code": "secret-code-1", "state": query["state"]})
    html = response.content.decode()
    assert response.status_code == 400
    assert all(word in html for word in words), html
    assert "What to do:" in html
    for secret in ("the-secret", "secret-code-1"):
        assert secret not in html
        assert secret not in caplog.text
    european.refresh_from_db()
    assert european.refresh_token == ""


def test_a_self_clients_code_is_exchanged_at_once(admin, row, standin):
    code = standin.zoho.tokens.mint_code()
    response = admin.post(f"/connections/{row.pk}/code/", {"code": code}, follow=True)
    row = Connection.objects.get(pk=row.pk)
    assert row.refresh_token in standin.zoho.tokens.refresh
    assert row.state == Connection.State.WORKING
    assert code not in response.content.decode()


def test_an_expired_self_client_code_is_explained(admin, row):
    response = admin.post(f"/connections/{row.pk}/code/", {"code": "1000.never-made"})
    html = response.content.decode()
    assert response.status_code == 400
    assert "one to ten minutes" in html
    assert "1000.never-made" not in html


def test_an_empty_code_is_named(admin, row):
    assert "required" in admin.post(f"/connections/{row.pk}/code/", {"code": ""}).content.decode()


def test_a_sandbox_keeps_its_api_address(admin, european):
    Connection.objects.filter(pk=european.pk).update(api_domain="https://sandbox.zohoapis.eu")
    with responses.RequestsMock(assert_all_requests_are_fired=False) as vendor:
        token_answer(
            vendor,
            "accounts.zoho.eu",
            {"access_token": "1000.at", "refresh_token": "1000.rt", "api_domain": "https://www.zohoapis.eu"},
        )
        vendor.add(
            responses.GET, "https://sandbox.zohoapis.eu/crm/v8/org", status=401, json={"code": "OAUTH_SCOPE_MISMATCH"}
        )
        admin.post(f"/connections/{european.pk}/code/", {"code": "c"})
    assert AccessToken.objects.get().api_domain == "https://sandbox.zohoapis.eu"
    european.refresh_from_db()
    assert european.api_domain == "https://sandbox.zohoapis.eu"
