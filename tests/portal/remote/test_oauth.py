from __future__ import annotations

import datetime as dt
from typing import Any
from urllib.parse import parse_qs

import pytest
import requests
import responses

from portal.models import AccessToken, Connection, RemoteState
from portal.remote import errors, redact
from portal.remote.credentials import Credentials, of_row
from portal.remote.oauth import Tokens
from portal.remote.transport import NoAnswer
from tests.portal.remote.conftest import API, TOKEN_URL, Clock, Script, answer, in_threads, make_account

GRANT = {"access_token": "1000.new.token", "expires_in": 3600, "api_domain": API, "token_type": "Bearer"}


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens(sleep=clock.sleep, now=clock.now)


def row(account: Connection) -> AccessToken:
    return AccessToken.objects.get(connection=account)


def form(call: Any) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(call.request.body).items()}


# --- when a token is asked for ------------------------------------------------------------------------------------


def test_a_fresh_token_is_used_without_asking(
    tokens: Tokens, account: Connection, vendor: responses.RequestsMock
) -> None:
    assert tokens.current(account).value == "1000.aaaa.bbbb"
    assert len(vendor.calls) == 0


def test_the_refresh_puts_secrets_in_the_body_only(
    tokens: Tokens, account: Connection, clock: Clock, vendor: responses.RequestsMock
) -> None:
    vendor.post(TOKEN_URL, json=GRANT)
    clock.advance(3600)
    token = tokens.current(account)
    assert (token.value, token.generation, token.expires_at) == ("1000.new.token", 2, clock.after(hours=1))
    assert vendor.calls[0].request.url == TOKEN_URL
    assert form(vendor.calls[0]) == {
        "grant_type": "refresh_token",
        "client_id": "1000.CLIENTID",
        "client_secret": "the-client-secret",
        "refresh_token": "1000.refresh.token",
    }


@pytest.mark.parametrize(("age_s", "asks"), [(3299, False), (3301, True)])
def test_a_token_is_renewed_five_minutes_early(
    tokens: Tokens, account: Connection, clock: Clock, vendor: responses.RequestsMock, age_s: int, asks: bool
) -> None:
    vendor.post(TOKEN_URL, json=GRANT)
    clock.advance(age_s)
    tokens.current(account)
    assert len(vendor.calls) == int(asks)


@pytest.mark.parametrize(("age_s", "asks"), [(20, False), (40, True)])
def test_a_short_lived_token_is_used_for_half_its_life(
    tokens: Tokens, account: Connection, clock: Clock, vendor: responses.RequestsMock, age_s: int, asks: bool
) -> None:
    AccessToken.objects.update(expires_at=clock.after(seconds=60))
    vendor.post(TOKEN_URL, json=GRANT)
    clock.advance(age_s)
    tokens.current(account)
    assert len(vendor.calls) == int(asks)


def test_an_early_renewal_that_fails_does_no_harm(
    tokens: Tokens, account: Connection, clock: Clock, vendor: responses.RequestsMock
) -> None:
    vendor.post(TOKEN_URL, status=500)
    clock.advance(3400)
    assert tokens.current(account).value == "1000.aaaa.bbbb"


def test_a_token_that_another_process_renewed_is_taken_over(
    tokens: Tokens, account: Connection, vendor: responses.RequestsMock
) -> None:
    AccessToken.objects.update(value="1000.other.process", generation=2)
    assert tokens.refresh(account, bad_generation=1).value == "1000.other.process"
    assert len(vendor.calls) == 0


@pytest.mark.parametrize(
    "life", [{"expires_in": 7200}, {"expires_in": 7200000, "expires_in_sec": 7200}, {"expires_in": 2592000000 // 360}]
)
def test_seconds_and_legacy_milliseconds_are_understood(
    tokens: Tokens, account: Connection, clock: Clock, vendor: responses.RequestsMock, life: dict[str, int]
) -> None:
    vendor.post(TOKEN_URL, json=GRANT | life)
    assert tokens.refresh(account, bad_generation=1).expires_at == clock.after(hours=2)


# --- one of many --------------------------------------------------------------------------------------------------


def test_ten_workers_that_meet_an_expired_token_ask_once(threads_may_connect: None) -> None:
    clock = Clock()
    account = make_account(clock)
    clock.advance(3600)
    wire = Script(lambda _: answer(200, GRANT))
    found = in_threads(10, lambda _: Tokens(transport=wire, now=clock.now, sleep=lambda _: None).current(account))
    assert {token.value for token in found} == {"1000.new.token"}
    assert len(wire.sent) == 1


def test_ten_workers_whose_token_was_refused_ask_once(threads_may_connect: None) -> None:
    clock = Clock()
    account = make_account(clock)
    wire = Script(lambda _: answer(200, GRANT))

    def refresh(_: int) -> Any:
        return Tokens(transport=wire, now=clock.now, sleep=lambda _: None).refresh(account, bad_generation=1)

    assert {token.generation for token in in_threads(10, refresh)} == {2}
    assert len(wire.sent) == 1


def test_ten_workers_with_revoked_credentials_ask_once(threads_may_connect: None) -> None:
    clock = Clock()
    account = make_account(clock)
    wire = Script(lambda _: answer(200, {"error": "invalid_code"}))

    def refresh(_: int) -> Any:
        return Tokens(transport=wire, now=clock.now, sleep=lambda _: None).refresh(account, bad_generation=1)

    assert {type(error) for error in in_threads(10, refresh)} == {errors.Unauthorized}
    assert len(wire.sent) == 1


def test_the_lock_of_a_vanished_worker_ends_by_itself(
    tokens: Tokens, account: Connection, clock: Clock, vendor: responses.RequestsMock
) -> None:
    AccessToken.objects.update(refresh_owner="elsewhere:1:ff", refresh_until=clock.after(seconds=30))
    vendor.post(TOKEN_URL, json=GRANT)
    assert tokens.refresh(account, bad_generation=1).generation == 2
    assert 30 <= sum(clock.naps) < 31


def test_the_lock_of_a_dead_process_of_this_machine_is_taken_over(
    tokens: Tokens, account: Connection, clock: Clock, vendor: responses.RequestsMock, monkeypatch: pytest.MonkeyPatch
) -> None:
    AccessToken.objects.update(refresh_owner="here:1:ff", refresh_until=clock.after(seconds=30))
    monkeypatch.setattr("portal.remote.oauth.is_dead_here", lambda owner: owner == "here:1:ff")
    vendor.post(TOKEN_URL, json=GRANT)
    assert tokens.refresh(account, bad_generation=1).generation == 2
    assert clock.naps == []


def test_a_worker_that_waits_in_vain_gives_up(tokens: Tokens, account: Connection, clock: Clock) -> None:
    AccessToken.objects.update(refresh_owner="elsewhere:1:ff", refresh_until=clock.after(hours=1))
    with pytest.raises(errors.Unavailable):
        tokens.refresh(account, bad_generation=1)
    assert sum(clock.naps) < 45


# --- refusals -----------------------------------------------------------------------------------------------------


def test_a_revoked_refresh_token_asks_for_reconnection_and_is_not_tried_again(
    tokens: Tokens, account: Connection, clock: Clock, vendor: responses.RequestsMock
) -> None:
    vendor.post(TOKEN_URL, status=200, json={"error": "invalid_code"})
    for _ in range(3):
        with pytest.raises(errors.Unauthorized):
            tokens.refresh(account, bad_generation=1)
    account.refresh_from_db()
    assert account.state == Connection.State.RECONNECT
    assert "revoked" in account.state_reason
    assert len(vendor.calls) == 1
    assert row(account).value == "1000.aaaa.bbbb"


def test_corrected_credentials_are_tried_at_once_and_end_the_reconnection(
    tokens: Tokens, account: Connection, vendor: responses.RequestsMock
) -> None:
    vendor.post(TOKEN_URL, json={"error": "invalid_code"})
    vendor.post(TOKEN_URL, json=GRANT)
    with pytest.raises(errors.Unauthorized):
        tokens.refresh(account, bad_generation=1)
    account.refresh_token = "1000.corrected.token"
    account.save()
    assert tokens.refresh(account, bad_generation=1).generation == 2
    account.refresh_from_db()
    assert (account.state, account.state_reason) == (Connection.State.WORKING, "")


@pytest.mark.parametrize("code", ["invalid_client", "invalid_client_secret"])
def test_a_wrong_client_names_both_possible_causes(
    tokens: Tokens, account: Connection, vendor: responses.RequestsMock, code: str
) -> None:
    vendor.post(TOKEN_URL, json={"error": code})
    with pytest.raises(errors.Unauthorized, match=r"client (id|secret) is wrong, or .* another data centre"):
        tokens.refresh(account, bad_generation=1)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (400, {"error": "Access Denied", "error_description": "You have made too many requests continuously."}),
        (200, {"error": "access_denied"}),
        (429, {}),
    ],
)
def test_too_many_token_requests_are_remembered_by_all_workers(
    tokens: Tokens, account: Connection, clock: Clock, vendor: responses.RequestsMock, status: int, body: Any
) -> None:
    vendor.post(TOKEN_URL, status=status, json=body)
    for _ in range(3):
        with pytest.raises(errors.RateLimited) as caught:
            tokens.refresh(account, bad_generation=1)
        assert caught.value.retry_at == clock.after(minutes=1)
    assert len(vendor.calls) == 1
    account.refresh_from_db()
    assert account.state == Connection.State.UNCHECKED


def test_repeated_throttling_waits_longer_up_to_ten_minutes(
    tokens: Tokens, account: Connection, clock: Clock, vendor: responses.RequestsMock
) -> None:
    vendor.post(TOKEN_URL, status=400, json={"error": "Access Denied"})
    waits = []
    for _ in range(6):
        with pytest.raises(errors.RateLimited) as caught:
            tokens.refresh(account, bad_generation=1)
        waits.append((caught.value.retry_at - clock.now()) / dt.timedelta(minutes=1))
        clock.moment = caught.value.retry_at
    assert waits == [1, 2, 4, 8, 10, 10]


def test_a_hanging_token_server_is_a_time_out_and_the_lock_is_given_back(clock: Clock, account: Connection) -> None:
    wire = Script(lambda _: NoAnswer("ReadTimeout"))
    tokens = Tokens(transport=wire, sleep=clock.sleep, now=clock.now)
    with pytest.raises(errors.Unavailable):
        tokens.refresh(account, bad_generation=1)
    with pytest.raises(errors.CircuitOpen):
        tokens.refresh(account, bad_generation=1)
    assert len(wire.sent) == 2
    assert row(account).refresh_owner == ""


def test_a_blip_of_the_token_server_is_bridged(clock: Clock, account: Connection) -> None:
    answers = [NoAnswer("ReadTimeout"), answer(200, GRANT)]
    tokens = Tokens(transport=Script(lambda _: answers.pop(0)), sleep=clock.sleep, now=clock.now)
    assert tokens.refresh(account, bad_generation=1).generation == 2


@pytest.mark.parametrize("body", ["<html>maintenance</html>", "", "[]", "{}", '{"access_token": null}'])
def test_an_answer_without_token_and_error_is_never_stored(
    tokens: Tokens, account: Connection, vendor: responses.RequestsMock, body: str
) -> None:
    vendor.post(TOKEN_URL, status=200, body=body)
    with pytest.raises(errors.BadReply):
        tokens.refresh(account, bad_generation=1)
    assert row(account).generation == 1


def test_missing_settings_are_named(tokens: Tokens, account: Connection) -> None:
    account.refresh_token = ""
    account.client_secret = ""
    with pytest.raises(errors.NotConfigured, match="no client secret and no refresh token"):
        tokens.refresh(account, bad_generation=1)


# --- where the API is ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answered", "override", "expected"),
    [
        ("https://www.zohoapis.in", "", "https://www.zohoapis.in"),
        ("https://sandbox.zohoapis.eu", "", "https://sandbox.zohoapis.eu"),
        (None, "", API),
        ("https://www.zohoapis.in", "https://developer.zohoapis.eu/crm", "https://developer.zohoapis.eu"),
    ],
)
def test_the_api_address_comes_from_override_answer_or_table(
    tokens: Tokens,
    account: Connection,
    vendor: responses.RequestsMock,
    answered: str | None,
    override: str,
    expected: str,
) -> None:
    account.api_domain = override
    vendor.post(TOKEN_URL, json=GRANT | {"api_domain": answered})
    assert tokens.refresh(account, bad_generation=1).api_domain == expected


@pytest.mark.parametrize(
    "domain", ["https://evil.example", "http://www.zohoapis.eu", "https://zohoapis.eu.evil.example"]
)
def test_a_foreign_api_address_is_refused(
    tokens: Tokens, account: Connection, vendor: responses.RequestsMock, domain: str
) -> None:
    vendor.post(TOKEN_URL, json=GRANT | {"api_domain": domain})
    with pytest.raises(errors.NotConfigured):
        tokens.refresh(account, bad_generation=1)
    assert (row(account).generation, row(account).refresh_owner) == (1, "")


# --- codes, adoption, revocation ----------------------------------------------------------------------------------


def test_a_code_is_exchanged_at_the_given_server(
    tokens: Tokens, account: Connection, vendor: responses.RequestsMock
) -> None:
    vendor.post("https://accounts.zoho.in/oauth/v2/token", json=GRANT | {"refresh_token": "1000.r.r", "scope": "a,b"})
    credentials = Credentials("1000.ID", "secret-of-client", accounts_url="https://accounts.zoho.in/oauth/v2/token")
    granted = tokens.exchange_code(credentials, code="1000.code", redirect_uri="https://portal.example/back")
    assert (granted.refresh_token, granted.scope) == ("1000.r.r", "a,b")
    assert form(vendor.calls[0])["redirect_uri"] == "https://portal.example/back"
    assert "1000.r.r" not in repr(granted)
    adopted = tokens.adopt(account, granted)
    assert (adopted.value, adopted.generation) == ("1000.new.token", 2)


def test_adoption_forgets_earlier_refusals(tokens: Tokens, account: Connection, vendor: responses.RequestsMock) -> None:
    vendor.post(TOKEN_URL, json={"error": "invalid_code"})
    vendor.post(TOKEN_URL, json=GRANT)
    with pytest.raises(errors.Unauthorized):
        tokens.refresh(account, bad_generation=1)
    tokens.adopt(account, tokens.exchange_code(of_row(account), code="1000.code"))
    assert not RemoteState.objects.filter(pause_until__isnull=False).exists()
    account.refresh_from_db()
    assert account.state == Connection.State.WORKING


def test_a_forgotten_token_is_not_used_and_a_late_refresh_not_stored(
    tokens: Tokens, account: Connection, clock: Clock
) -> None:
    def change_account_meanwhile(_: requests.PreparedRequest) -> Any:
        tokens.forget(account)
        return answer(200, GRANT)

    late = Tokens(transport=Script(change_account_meanwhile), sleep=clock.sleep, now=clock.now)
    assert late.refresh(account, bad_generation=1).value == "1000.new.token"
    assert (row(account).value, row(account).generation) == ("", 2)


@pytest.mark.parametrize("body", [{"status": "success"}, {"error": "invalid_code"}])
def test_revoking_ends_the_refresh_token(
    tokens: Tokens, account: Connection, vendor: responses.RequestsMock, body: dict[str, str]
) -> None:
    vendor.post(f"{TOKEN_URL}/revoke", json=body)
    tokens.revoke(of_row(account))
    assert form(vendor.calls[0]) == {"token": "1000.refresh.token"}
    assert vendor.calls[0].request.url == f"{TOKEN_URL}/revoke"


def test_secrets_are_kept_out_of_logs_from_then_on(
    tokens: Tokens, account: Connection, vendor: responses.RequestsMock
) -> None:
    vendor.post(TOKEN_URL, json=GRANT | {"access_token": "plain-opaque-token"})
    tokens.refresh(account, bad_generation=1)
    assert redact.redact("the-client-secret plain-opaque-token") == "*** ***"
    assert "the-client-secret" not in repr(of_row(account))
