from datetime import UTC, datetime
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest

from portal.standin import Standin
from tests.standin.caller import ACCOUNTS, API, CLIENT, Caller

REFRESH = {**CLIENT, "grant_type": "refresh_token", "refresh_token": "standin-refresh"}


@pytest.fixture
def standin():
    made = Standin(leads=50)
    made.clock.freeze(datetime(2026, 11, 1, 12, tzinfo=UTC))
    return made


@pytest.fixture
def zoho(standin):
    return Caller(standin)


def refreshed(zoho, **changes):
    return zoho.post_form("/token", **{**REFRESH, **changes})


def test_refresh_token_buys_an_access_token_for_an_hour(zoho):
    answer = refreshed(zoho).json()

    assert answer["expires_in"] == 3600
    assert answer["token_type"] == "Bearer"
    assert answer["api_domain"] == "https://zoho.test"
    assert "refresh_token" not in answer


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_secret": "wrong"}, "invalid_client_secret"),
        ({"refresh_token": "wrong"}, "invalid_code"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
    ],
)
def test_token_errors_arrive_with_status_200(zoho, changes, error):
    reply = refreshed(zoho, **changes)

    assert reply.status == 200
    assert reply.json()["error"] == error


def test_client_of_another_data_centre_is_unknown(zoho):
    zoho.standin.zoho.settings.wrong_data_centre = True

    assert refreshed(zoho).json() == {"error": "invalid_client"}


def test_consent_redirects_with_a_code_that_works_once(zoho):
    query = urlencode(
        {
            "client_id": "standin-client",
            "response_type": "code",
            "redirect_uri": "http://portal.test/back",
            "scope": "ZohoCRM.modules.ALL",
            "access_type": "offline",
            "state": "s1",
        }
    )
    location = zoho.standin.handle("GET", f"{ACCOUNTS}/auth?{query}").headers["Location"]
    answer = {name: values[0] for name, values in parse_qs(urlsplit(location).query).items()}
    form = {"grant_type": "authorization_code", "code": answer["code"], "redirect_uri": "http://portal.test/back"}

    assert answer["state"] == "s1"
    assert answer["accounts-server"] == "https://zoho.test"
    assert "refresh_token" in zoho.ask_token(**form)
    assert zoho.ask_token(**form) == {"error": "invalid_code"}


def test_code_lasts_two_minutes(zoho):
    code = zoho.standin.zoho.tokens.mint_code()
    zoho.standin.clock.advance(121)

    assert zoho.ask_token(grant_type="authorization_code", code=code) == {"error": "invalid_code"}


def test_code_is_bound_to_its_redirect_address(zoho):
    code = zoho.standin.zoho.tokens.mint_code(redirect_uri="http://a.test/")

    answer = zoho.ask_token(grant_type="authorization_code", code=code, redirect_uri="http://b.test/")

    assert answer == {"error": "invalid_redirect_uri"}


def test_access_token_expires_on_the_clock(zoho):
    zoho.standin.clock.advance(3601)

    reply = zoho.get("/org")

    assert reply.status == 401
    assert zoho.code(reply) == "INVALID_TOKEN"


def test_revoked_refresh_token_ends_its_access_tokens(zoho):
    zoho.token = refreshed(zoho).json()["access_token"]
    assert zoho.get("/org").status == 200

    assert zoho.post_form("/token/revoke", token="standin-refresh").json() == {"status": "success"}

    assert zoho.code(zoho.get("/org")) == "INVALID_TOKEN"
    assert refreshed(zoho).json() == {"error": "invalid_code"}


def test_eleventh_token_request_in_ten_minutes_is_denied_until_the_window_ends(zoho):
    for _ in range(10):
        assert "access_token" in refreshed(zoho).json()

    denied = refreshed(zoho)
    assert denied.status == 400
    assert denied.json()["error"] == "Access Denied"

    zoho.standin.clock.advance(601)
    assert "access_token" in refreshed(zoho).json()


def test_token_of_a_deleted_user_is_worth_nothing(zoho):
    zoho.standin.zoho.org.admin.status = "deleted"

    assert zoho.code(zoho.get("/org")) == "AUTHENTICATION_FAILURE"
    assert refreshed(zoho).json() == {"error": "invalid_code"}


def test_missing_header_is_an_authentication_failure(zoho):
    reply = zoho.standin.handle("GET", f"{API}/org")

    assert (reply.status, zoho.code(reply)) == (401, "AUTHENTICATION_FAILURE")


@pytest.mark.parametrize(
    ("scopes", "path", "allowed"),
    [
        ("ZohoCRM.modules.ALL", "/Leads?fields=id", True),
        ("zohocrm.modules.leads.read", "/Leads?fields=id", True),
        ("ZohoCRM.modules.contacts.READ", "/Leads?fields=id", False),
        ("ZohoCRM.modules.ALL", "/Leads/search?word=mi", False),
        ("ZohoCRM.modules.ALL,ZohoSearch.securesearch.READ", "/Leads/search?word=mi", True),
        ("ZohoCRM.settings.ALL", "/settings/fields?module=Leads", True),
        ("ZohoCRM.modules.READ", "/org", False),
    ],
)
def test_scopes_decide_what_a_token_may_do(standin, scopes, path, allowed):
    zoho = Caller(standin, scopes=scopes)

    reply = zoho.get(path)

    assert (reply.status in (200, 204)) is allowed
    if not allowed:
        assert (reply.status, zoho.code(reply)) == (401, "OAUTH_SCOPE_MISMATCH")


def test_write_scope_covers_create_and_update_but_not_delete(standin):
    zoho = Caller(standin, scopes="ZohoCRM.modules.leads.WRITE")
    lead = zoho.lead()

    assert zoho.put({"id": lead, "Lead_Status": "On Hold"}).status == 200
    assert zoho.post("/Leads", {"Last_Name": "New"}).status == 201
    assert zoho.send("DELETE", f"/Leads/{lead}").status == 401


def test_server_info_names_this_server_for_its_location(zoho):
    reply = zoho.standin.handle("GET", "https://zoho.test/oauth/serverinfo")

    assert reply.json()["locations"]["us"] == "https://zoho.test"
