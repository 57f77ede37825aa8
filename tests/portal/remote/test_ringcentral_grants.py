"""Logins with the JWT credential: what is sent, what refusals mean, how often it is asked."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs

import pytest
import responses

from portal.models import AccessToken, Connection, RatePermit
from portal.remote import errors, redact
from portal.remote.oauth import Tokens
from portal.remote.transport import NoAnswer
from tests.portal.remote.conftest import (
    LOGIN_URL,
    RINGCENTRAL,
    Clock,
    Script,
    answer,
    in_threads,
    make_phones,
    rate_headers,
)

GRANT = {
    "access_token": "rc-new-token",
    "token_type": "bearer",
    "expires_in": 3599,
    "scope": "ReadAccounts ReadCallLog",
    "owner_id": "1",
    "session_id": "s",
}


@pytest.fixture
def tokens(clock: Clock) -> Tokens:
    return Tokens(sleep=clock.sleep, now=clock.now)


def refusal(status: int, code: str, word: str = "invalid_grant") -> dict[str, Any]:
    return {"status": status, "json": {"error": word, "errors": [{"errorCode": code, "message": "Words"}]}}


def test_the_jwt_is_presented_with_basic_authorization(
    tokens: Tokens, phones: Connection, clock: Clock, vendor: responses.RequestsMock
) -> None:
    vendor.post(LOGIN_URL, json=GRANT)
    token = tokens.refresh(phones, bad_generation=1)
    sent = vendor.calls[0].request
    assert {name: values[0] for name, values in parse_qs(str(sent.body)).items()} == {
        "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
        "assertion": "eyJhbGciOi.the-jwt.credential",
    }
    assert sent.headers["Authorization"] == "Basic " + base64.b64encode(b"the-rc-client:the-rc-secret").decode()
    assert sent.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert sent.url == LOGIN_URL
    assert (token.value, token.api_domain, token.generation) == ("rc-new-token", RINGCENTRAL, 2)
    assert token.expires_at == clock.after(seconds=3599)


def test_the_granted_permissions_are_kept_when_they_change(
    tokens: Tokens, phones: Connection, vendor: responses.RequestsMock
) -> None:
    vendor.post(LOGIN_URL, json=GRANT)
    tokens.refresh(phones, bad_generation=1)
    phones.refresh_from_db()
    assert phones.scopes == "ReadAccounts,ReadCallLog"


def test_a_token_is_renewed_before_it_ends_and_by_its_own_life(
    tokens: Tokens, phones: Connection, clock: Clock, vendor: responses.RequestsMock
) -> None:
    vendor.post(LOGIN_URL, json=GRANT | {"expires_in": 7199})
    tokens.current(phones)
    assert len(vendor.calls) == 0
    clock.advance(26 * 60)
    assert tokens.current(phones).expires_at == clock.after(seconds=7199)
    clock.advance(6800)
    tokens.current(phones)
    assert len(vendor.calls) == 1


@pytest.mark.parametrize(
    ("status", "code", "words"),
    [
        (400, "OAU-251", "JWT auth flow"),
        (401, "OAU-125", "JWT auth flow"),
        (403, "OAU-112", "JWT auth flow"),
        (400, "OAU-153", "Client id or client secret"),
        (401, "OAU-146", "Client id or client secret"),
        (400, "OAU-210", "Create a new one"),
        (401, "OAU-213", "Create a new one"),
        (401, "OAU-141", "user of the JWT"),
        (400, "OAU-148", "locked"),
        (403, "OAU-105", "extension"),
        (400, "OAU-165", "sandbox"),
        (400, "OAU-250", "server address"),
        (400, "OAU-347", "Developer Console"),
        (400, "OAU-999", "The login was refused: Words"),
    ],
)
def test_each_refusal_says_what_to_do_and_is_not_repeated(
    tokens: Tokens, phones: Connection, vendor: responses.RequestsMock, status: int, code: str, words: str
) -> None:
    vendor.post(LOGIN_URL, **refusal(status, code))
    for _ in range(3):
        with pytest.raises(errors.Unauthorized) as caught:
            tokens.refresh(phones, bad_generation=1)
        assert caught.value.code == code
    assert len(vendor.calls) == 1
    phones.refresh_from_db()
    assert phones.state == Connection.State.RECONNECT
    assert words in phones.state_reason


def test_a_corrected_jwt_is_tried_at_once(tokens: Tokens, phones: Connection, vendor: responses.RequestsMock) -> None:
    vendor.post(LOGIN_URL, **refusal(400, "OAU-210"))
    vendor.post(LOGIN_URL, json=GRANT)
    with pytest.raises(errors.Unauthorized):
        tokens.refresh(phones, bad_generation=1)
    phones.jwt = "eyJhbGciOi.another-jwt.credential"
    phones.save()
    assert tokens.refresh(phones, bad_generation=1).generation == 2


def test_a_throttled_login_waits_for_the_named_time(
    tokens: Tokens, phones: Connection, clock: Clock, vendor: responses.RequestsMock
) -> None:
    vendor.post(LOGIN_URL, status=429, json={}, headers={"Retry-After": "90"})
    for _ in range(3):
        with pytest.raises(errors.RateLimited) as caught:
            tokens.refresh(phones, bad_generation=1)
        assert caught.value.retry_at == clock.after(seconds=90)
    assert len(vendor.calls) == 1


def test_an_outage_with_a_named_time_is_not_asked_before_it(
    tokens: Tokens, phones: Connection, clock: Clock, vendor: responses.RequestsMock
) -> None:
    vendor.post(LOGIN_URL, status=503, json={}, headers={"Retry-After": "120"})
    for _ in range(3):
        with pytest.raises(errors.CircuitOpen) as caught:
            tokens.refresh(phones, bad_generation=1)
        assert caught.value.retry_at == clock.after(seconds=120)
    assert len(vendor.calls) == 1


@pytest.mark.parametrize("status", [500, 502, 504])
def test_a_failing_server_gets_a_second_login_ten_seconds_later(
    tokens: Tokens, phones: Connection, clock: Clock, vendor: responses.RequestsMock, status: int
) -> None:
    vendor.post(LOGIN_URL, status=status)
    vendor.post(LOGIN_URL, json=GRANT)
    assert tokens.refresh(phones, bad_generation=1).generation == 2
    assert clock.naps == [10.0]


@pytest.mark.parametrize("body", ["<html>Sign in</html>", "", "[]", "{}"])
def test_an_answer_without_token_and_error_is_never_stored(
    tokens: Tokens, phones: Connection, vendor: responses.RequestsMock, body: str
) -> None:
    vendor.post(LOGIN_URL, body=body)
    with pytest.raises(errors.BadReply):
        tokens.refresh(phones, bad_generation=1)
    assert AccessToken.objects.get().generation == 1


def test_missing_settings_are_named(tokens: Tokens, phones: Connection) -> None:
    phones.jwt = phones.client_secret = ""
    with pytest.raises(errors.NotConfigured, match=r"no client secret and no jwt"):
        tokens.refresh(phones, bad_generation=1)


@pytest.mark.parametrize("server", ["https://evil.example", "http://platform.ringcentral.com"])
def test_the_secret_goes_to_no_foreign_server(
    tokens: Tokens, phones: Connection, vendor: responses.RequestsMock, server: str
) -> None:
    phones.accounts_url = server
    with pytest.raises(errors.NotConfigured):
        tokens.refresh(phones, bad_generation=1)
    assert len(vendor.calls) == 0


def test_at_most_five_logins_a_minute_leave_this_machine(phones: Connection, clock: Clock) -> None:
    wire = Script(lambda _: answer(200, GRANT | {"expires_in": 1}))
    tokens = Tokens(transport=wire, sleep=clock.sleep, now=clock.now)
    for generation in range(1, 6):
        clock.advance(2)
        tokens.refresh(phones, bad_generation=generation)
    clock.advance(2)
    with pytest.raises(errors.RateLimited) as caught:
        tokens.refresh(phones, bad_generation=6)
    assert len(wire.sent) == 5
    clock.moment = caught.value.retry_at
    assert tokens.refresh(phones, bad_generation=6).generation == 7


def test_a_dead_server_is_asked_at_most_five_times_a_minute(phones: Connection, clock: Clock) -> None:
    asked: list[Any] = []

    def hang(_: Any) -> Any:
        asked.append(clock.now())
        return NoAnswer("ReadTimeout")

    tokens = Tokens(transport=Script(hang), sleep=clock.sleep, now=clock.now)
    for _ in range(300):
        with pytest.raises((errors.Unavailable, errors.RateLimited)):
            tokens.refresh(phones, bad_generation=1)
        clock.advance(1)
    assert all(sum(0 <= (later - start).total_seconds() < 60 for later in asked) <= 5 for start in asked)
    assert len(asked) >= 2


def test_a_login_that_leaves_none_over_is_followed_by_none_in_the_window(phones: Connection, clock: Clock) -> None:
    wire = Script(lambda _: answer(200, GRANT, **rate_headers("auth", limit=5, remaining=0)))
    tokens = Tokens(transport=wire, sleep=clock.sleep, now=clock.now)
    tokens.refresh(phones, bad_generation=1)
    with pytest.raises(errors.RateLimited) as caught:
        tokens.refresh(phones, bad_generation=2)
    assert caught.value.retry_at == clock.after(seconds=60)
    assert len(wire.sent) == 1


def test_ten_workers_with_an_expired_token_log_in_once(threads_may_connect: None) -> None:
    clock = Clock()
    phones = make_phones(clock)
    clock.advance(3600)
    wire = Script(lambda _: answer(200, GRANT))
    found = in_threads(10, lambda _: Tokens(transport=wire, now=clock.now, sleep=lambda _: None).current(phones))
    assert {token.value for token in found} == {"rc-new-token"}
    assert len(wire.sent) == 1
    assert RatePermit.objects.filter(bucket="auth", free_at__gt=clock.now()).count() == 1


def test_ten_workers_with_a_revoked_jwt_log_in_once(threads_may_connect: None) -> None:
    clock = Clock()
    phones = make_phones(clock)
    wire = Script(lambda _: answer(400, {"error": "invalid_grant", "errors": [{"errorCode": "OAU-210"}]}))

    def refresh(_: int) -> Any:
        return Tokens(transport=wire, now=clock.now, sleep=lambda _: None).refresh(phones, bad_generation=1)

    assert {type(error) for error in in_threads(10, refresh)} == {errors.Unauthorized}
    assert len(wire.sent) == 1


def test_no_secret_is_in_a_text(tokens: Tokens, phones: Connection, vendor: responses.RequestsMock) -> None:
    vendor.post(LOGIN_URL, json=GRANT)
    tokens.refresh(phones, bad_generation=1)
    text = redact.redact("the-rc-secret eyJhbGciOi.the-jwt.credential rc-new-token")
    assert text == "*** *** ***"
