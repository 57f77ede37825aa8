from __future__ import annotations

import pytest

from portal.standin import Standin
from tests.standin.phone_caller import CLIENT, HOST, NOON, PhoneCaller, basic


@pytest.fixture
def phone():
    standin = Standin(leads=10)
    standin.clock.freeze(NOON)
    return PhoneCaller(standin).unlimited()


def test_a_jwt_gives_a_token_with_scopes_and_life(phone):
    phone.standin.ringcentral.settings.token_life_s = 1800

    answer = phone.login().json()

    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 1800)
    assert "ReadCallLog" in answer["scope"].split()
    assert "refresh_token" not in answer
    assert phone.get("").json()["id"] == 700000000


@pytest.mark.parametrize(
    ("changes", "status", "word", "code"),
    [
        ({"grant_type": "password"}, 400, "invalid_request", "OAU-250"),
        ({"assertion": "forged"}, 400, "invalid_grant", "OAU-210"),
        ({"assertion": ""}, 400, "invalid_request", "OAU-250"),
        ({"access_token_ttl": "30"}, 400, "invalid_request", "OAU-250"),
        ({"client": ("standin-rc-client", "wrong")}, 401, "invalid_client", "OAU-146"),
        ({"client": ("", "")}, 400, "invalid_client", "OAU-153"),
        ({"headers": {"Authorization": "Digest x"}}, 401, "invalid_client", "OAU-123"),
        ({"headers": {"Authorization": "Basic ???"}}, 400, "invalid_client", "OAU-153"),
    ],
)
def test_a_wrong_login_is_refused_with_its_code(phone, changes, status, word, code):
    reply = phone.login(**changes)

    assert (reply.status, reply.json()["error"], phone.code(reply)) == (status, word, code)


def test_the_token_endpoint_wants_a_form(phone):
    assert phone.login(headers={"Content-Type": "application/json"}).status == 415


def test_login_fails_without_the_jwt_flow_and_for_a_disabled_owner(phone):
    settings = phone.standin.ringcentral.settings
    settings.jwt_flow = False
    assert phone.code(phone.login()) == "OAU-251"

    settings.jwt_flow, settings.owner_enabled = True, False
    assert phone.code(phone.login()) == "OAU-141"


def test_the_sixth_login_ends_the_oldest_session(phone):
    first = phone.token
    for _ in range(4):
        phone.login()
    assert phone.get("").status == 200

    phone.token = phone.login().json()["access_token"]
    assert phone.get("").status == 200
    phone.token = first
    reply = phone.get("")

    assert (reply.status, phone.code(reply)) == (401, "OAU-213")
    assert reply.json()["errorCode"] == "TokenInvalid"


def test_a_token_expires_and_a_revoked_one_is_unknown(phone):
    phone.standin.clock.advance(3601)
    assert phone.code(phone.get("")) == "OAU-128"

    phone.token = phone.login().json()["access_token"]
    headers = {"Authorization": basic(*CLIENT), "Content-Type": "application/x-www-form-urlencoded"}
    assert phone.standin.handle("POST", f"{HOST}/restapi/oauth/revoke", headers, f"token={phone.token}").status == 200
    assert phone.code(phone.get("")) == "OAU-213"


def test_a_call_without_a_token_is_refused(phone):
    reply = phone.get("", headers={"Authorization": ""})

    assert (reply.status, phone.code(reply)) == (401, "CMN-405")


def test_a_missing_scope_is_named(phone):
    phone.standin.ringcentral.settings.scopes = "ReadAccounts"
    phone.token = phone.login().json()["access_token"]

    reply = phone.get("/call-log")

    assert (reply.status, reply.json()["errorCode"]) == (403, "InsufficientPermissions")
    assert reply.json()["errors"][0]["errorCode"] == "CMN-401"
    assert reply.json()["errors"][0]["permissionName"] == "ReadCallLog"


def test_a_role_without_the_company_log_is_refused(phone):
    phone.standin.ringcentral.settings.company_call_log = False

    assert phone.code(phone.get("/call-log")) == "CMN-408"
    assert phone.get("/extension").status == 200
