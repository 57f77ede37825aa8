from __future__ import annotations

import datetime as dt
import io
import json
import logging
import re
from typing import Any

import pytest
import requests
import responses

from portal.models import ApiUsage, ConcurrencySlot, Connection, RatePermit, RemoteState
from portal.remote import errors
from portal.remote.session import Request
from portal.remote.transport import NoAnswer, NotSent
from tests.portal.remote.conftest import API, TOKEN_URL, Clock, OpenSession, Script, answer

READ = Request("GET", "/crm/v8/Leads", "crm.records.list", params={"phone": "+14155550100"})
INSERT = Request("POST", "/crm/v8/Leads", "crm.records.insert", json={"data": [{"Last_Name": "Miller"}]}, credits=3)
UPDATE = Request("PUT", "/crm/v8/Leads", "crm.records.update", json={"data": []}, repeatable=True)
BUSY = {"code": "INTERNAL_ERROR", "message": "Internal server error", "status": "error", "details": {}}


@pytest.fixture(autouse=True)
def _no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("random.uniform", lambda low, high: high)


def script(*answers: Any) -> Script:
    """Gives these answers in turn, the last one for ever."""
    left = list(answers)
    return Script(lambda _: left.pop(0) if len(left) > 1 else left[0])


# --- the bytes ----------------------------------------------------------------------------------------------------


def test_a_call_carries_the_token_and_returns_the_json(
    open_session: OpenSession, vendor: responses.RequestsMock
) -> None:
    vendor.get(f"{API}/crm/v8/org", json={"org": [{"id": "1"}]}, headers={"X-Request-Id": "r-1"})
    reply = open_session().call(Request("GET", "/crm/v8/org", "crm.org", params={"since": "10:00+01:00"}))
    sent = vendor.calls[0].request
    assert (reply.json, reply.status, reply.request_id) == ({"org": [{"id": "1"}]}, 200, "r-1")
    assert sent.headers["Authorization"] == "Zoho-oauthtoken 1000.aaaa.bbbb"
    assert sent.url == f"{API}/crm/v8/org?since=10%3A00%2B01%3A00"


def test_json_goes_out_as_json(open_session: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.post(f"{API}/crm/v8/Leads", json={"data": []}, status=201)
    open_session().call(INSERT)
    sent = vendor.calls[0].request
    assert sent.headers["Content-Type"] == "application/json"
    assert json.loads(sent.body) == {"data": [{"Last_Name": "Miller"}]}


def test_no_content_is_a_reply_without_json(open_session: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get(f"{API}/crm/v8/Leads", status=204)
    reply = open_session().call(READ)
    assert (reply.status, reply.json, reply.body) == (204, None, b"")


def test_not_modified_is_a_reply(open_session: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get(f"{API}/crm/v8/Leads", status=304)
    assert open_session().call(READ).status == 304


def test_a_streamed_body_arrives_as_a_file(open_session: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get(f"{API}/crm/v8/files", body=b"id,name\n1,a\n", content_type="text/csv")
    reply = open_session().call(Request("GET", "/crm/v8/files", "crm.file", stream=True))
    assert reply.file is not None
    with reply.file as file:
        assert file.read() == b"id,name\n1,a\n"
    assert reply.body == b""


def test_a_redirect_is_not_followed(open_session: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get(f"{API}/crm/v8/Leads", status=302, headers={"Location": "https://elsewhere.example/"})
    with pytest.raises(errors.BadReply):
        open_session().call(READ)
    assert len(vendor.calls) == 1


@pytest.mark.parametrize(
    "url", ["https://evil.example/crm", "https://zoho.com.evil.example/x", "http://www.zohoapis.eu/x"]
)
def test_the_token_is_not_sent_to_foreign_hosts(
    open_session: OpenSession, vendor: responses.RequestsMock, url: str
) -> None:
    with pytest.raises(errors.NotConfigured):
        open_session().call(Request("GET", url, "crm.download"))
    assert len(vendor.calls) == 0


def test_a_download_address_of_the_vendor_is_called(open_session: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get("https://download-accl.zoho.eu/v2/result", body=b"zip", content_type="application/zip")
    reply = open_session().call(Request("GET", "https://download-accl.zoho.eu/v2/result", "crm.download"))
    assert reply.body == b"zip"


# --- dry run ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("request_", [INSERT, UPDATE, Request("DELETE", "/crm/v8/Leads/1", "crm.delete")])
def test_a_read_only_session_sends_no_write(open_session: OpenSession, request_: Request) -> None:
    wire = script(answer(200, {}))
    with pytest.raises(errors.ReadOnly):
        open_session(read_only=True, transport=wire).call(request_)
    assert wire.sent == []


def test_a_read_only_session_sends_a_query_by_post(open_session: OpenSession) -> None:
    wire = script(answer(200, {"data": []}))
    open_session(read_only=True, transport=wire).call(Request("POST", "/crm/v8/coql", "crm.coql", json={}, write=False))
    assert len(wire.sent) == 1


# --- what is repeated ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("failure", [answer(500, BUSY), answer(503), NoAnswer("ReadTimeout"), NotSent("Refused")])
@pytest.mark.parametrize("request_", [READ, UPDATE])
def test_a_repeatable_call_survives_an_outage_of_three_attempts(
    open_session: OpenSession, clock: Clock, request_: Request, failure: Any
) -> None:
    wire = script(failure, failure, failure, answer(200, {"data": []}))
    assert open_session(transport=wire).call(request_).status == 200
    assert clock.naps == [2.0, 4.0, 8.0]


@pytest.mark.parametrize("failure", [answer(500, BUSY), answer(502), NoAnswer("ReadTimeout")])
def test_a_write_without_answer_is_not_sent_again(open_session: OpenSession, failure: Any) -> None:
    wire = script(failure)
    with pytest.raises(errors.Unavailable) as caught:
        open_session(transport=wire).call(INSERT)
    assert caught.value.outcome_unknown
    assert len(wire.sent) == 1


@pytest.mark.parametrize("refusal", [NotSent("NewConnectionError"), answer(429, {"code": "TOO_MANY_REQUESTS"})])
def test_an_insert_that_had_no_effect_is_sent_again(open_session: OpenSession, refusal: Any) -> None:
    wire = script(refusal, answer(201, {"data": []}))
    assert open_session(transport=wire).call(INSERT).status == 201
    assert len(wire.sent) == 2


def test_an_insert_that_never_left_has_a_known_outcome(open_session: OpenSession) -> None:
    with pytest.raises(errors.Unavailable) as caught:
        open_session(transport=script(NotSent("NewConnectionError"))).call(INSERT)
    assert not caught.value.outcome_unknown


def test_a_refusal_after_a_lost_answer_leaves_the_outcome_unknown(open_session: OpenSession) -> None:
    wire = script(NoAnswer("ReadTimeout"), answer(400, {"code": "INVALID_DATA", "message": "m"}))
    with pytest.raises(errors.Rejected) as caught:
        open_session(transport=wire).call(UPDATE)
    assert caught.value.outcome_unknown


def test_a_read_never_has_an_unknown_outcome(open_session: OpenSession) -> None:
    with pytest.raises(errors.Unavailable) as caught:
        open_session(transport=script(NoAnswer("ReadTimeout"))).call(READ)
    assert not caught.value.outcome_unknown


@pytest.mark.parametrize("status", [400, 403, 404, 405, 409, 412, 413, 415, 501])
def test_what_repetition_cannot_change_is_sent_once(open_session: OpenSession, clock: Clock, status: int) -> None:
    wire = script(answer(status, {"code": "X", "message": "m"}))
    with pytest.raises(errors.RemoteError):
        open_session(transport=wire).call(READ)
    assert (len(wire.sent), clock.naps) == (1, [])


def test_attempts_are_bounded(open_session: OpenSession, settings: Any) -> None:
    settings.REMOTE_MAX_ATTEMPTS = 3
    wire = script(answer(500, BUSY))
    with pytest.raises(errors.Unavailable):
        open_session(transport=wire).call(READ)
    assert len(wire.sent) == 3


def test_a_file_is_sent_whole_in_each_attempt(open_session: OpenSession) -> None:
    bodies = []

    def read(prepared: requests.PreparedRequest) -> Any:
        body: Any = prepared.body
        bodies.append(body if isinstance(body, bytes) else body.read())
        return answer(429, {}) if len(bodies) % 2 else answer(200, {})

    session = open_session(transport=Script(read))
    session.call(Request("POST", "/crm/v8/files", "crm.upload", files={"file": ("a.csv", io.BytesIO(b"id\n1\n"))}))
    session.call(Request("POST", "/crm/v8/files", "crm.upload", data=io.BytesIO(b"plain")))
    assert bodies[0] == bodies[1]
    assert b"id\n1\n" in bodies[1]
    assert bodies[2:] == [b"plain", b"plain"]


# --- waiting ------------------------------------------------------------------------------------------------------


def test_retry_after_in_seconds_wins_over_the_backoff(open_session: OpenSession, clock: Clock) -> None:
    open_session(transport=script(answer(429, {}, Retry_After="7"), answer(200, {}))).call(READ)
    assert clock.naps == [7.0]


def test_retry_after_as_a_date_wins_over_the_backoff(open_session: OpenSession, clock: Clock) -> None:
    date = clock.after(seconds=11).strftime("%a, %d %b %Y %H:%M:%S GMT")
    open_session(transport=script(answer(503, {}, Retry_After=date), answer(200, {}))).call(READ)
    assert clock.naps == [11.0]


def test_a_long_pause_is_raised_instead_of_slept(open_session: OpenSession, clock: Clock) -> None:
    with pytest.raises(errors.RateLimited) as caught:
        open_session(transport=script(answer(429, {}, Retry_After="600"))).call(READ)
    assert caught.value.retry_at == clock.after(minutes=10)
    assert clock.naps == []


def test_a_429_stops_the_other_sessions_too(open_session: OpenSession, clock: Clock) -> None:
    with pytest.raises(errors.RateLimited):
        open_session(transport=script(answer(429, {}, Retry_After="600"))).call(READ)
    wire = script(answer(200, {}))
    with pytest.raises(errors.RateLimited) as caught:
        open_session(transport=wire).call(READ)
    assert caught.value.retry_at == clock.after(minutes=10)
    assert wire.sent == []
    clock.advance(601)
    assert open_session(transport=wire).call(READ).status == 200


def test_a_short_pause_of_others_is_slept_through(open_session: OpenSession, account: Connection, clock: Clock) -> None:
    RemoteState.objects.create(key=account.limit_key, pause_until=clock.after(seconds=5))
    assert open_session(transport=script(answer(200, {}))).call(READ).status == 200
    assert sum(clock.naps) == pytest.approx(5.5)


def test_spent_credits_are_told_apart_from_concurrency(open_session: OpenSession, clock: Clock) -> None:
    body = {"code": "TOO_MANY_REQUESTS", "message": "You have exhausted your API credits"}
    with pytest.raises(errors.CreditsExhausted) as caught:
        open_session(transport=script(answer(429, body))).call(READ)
    assert clock.now() < caught.value.retry_at <= clock.after(minutes=15)


# --- tokens -------------------------------------------------------------------------------------------------------

EXPIRED = {"code": "INVALID_TOKEN", "message": "invalid oauth token", "status": "error", "details": {}}


@pytest.mark.parametrize("request_", [READ, INSERT])
def test_an_expired_token_is_renewed_once_and_the_call_goes_on(
    open_session: OpenSession, vendor: responses.RequestsMock, request_: Request
) -> None:
    vendor.add(request_.method, f"{API}/crm/v8/Leads", status=401, json=EXPIRED)
    vendor.add(request_.method, f"{API}/crm/v8/Leads", status=200, json={"data": []})
    vendor.post(TOKEN_URL, json={"access_token": "1000.new.token", "expires_in": 3600, "api_domain": API})
    assert open_session().call(request_).status == 200
    assert vendor.calls[-1].request.headers["Authorization"] == "Zoho-oauthtoken 1000.new.token"


def test_a_second_refusal_of_a_new_token_asks_for_reconnection(
    open_session: OpenSession, account: Connection, vendor: responses.RequestsMock
) -> None:
    vendor.get(f"{API}/crm/v8/Leads", status=401, json=EXPIRED)
    vendor.post(TOKEN_URL, json={"access_token": "1000.new.token", "expires_in": 3600, "api_domain": API})
    with pytest.raises(errors.Unauthorized):
        open_session().call(READ)
    account.refresh_from_db()
    assert account.state == Connection.State.RECONNECT
    assert [call.request.method for call in vendor.calls] == ["GET", "POST", "GET"]


@pytest.mark.parametrize("status", [401, 403])
def test_a_missing_scope_is_not_refreshed(open_session: OpenSession, account: Connection, status: int) -> None:
    wire = script(answer(status, {"code": "OAUTH_SCOPE_MISMATCH", "message": "invalid oauth scope"}))
    with pytest.raises(errors.MissingScope):
        open_session(transport=wire).call(READ)
    account.refresh_from_db()
    assert (len(wire.sent), account.state) == (1, Connection.State.UNCHECKED)


# --- books --------------------------------------------------------------------------------------------------------


def test_every_attempt_is_charged_and_slots_come_back(open_session: OpenSession, account: Connection) -> None:
    wire = script(answer(500, BUSY), NotSent("Refused"), answer(200, {}))
    open_session(transport=wire).call(Request("PUT", "/x", "crm.put", credits=5, repeatable=True))
    usage = ApiUsage.objects.get(key=account.limit_key, endpoint="crm.put")
    assert (usage.calls, usage.failures, usage.credits) == (3, 2, 10)
    assert usage.hour == dt.datetime(2026, 5, 4, 12, tzinfo=dt.UTC)
    assert not ConcurrencySlot.objects.exclude(owner="").exists()


def test_the_vendors_own_credit_figure_is_kept(open_session: OpenSession, account: Connection, clock: Clock) -> None:
    open_session(transport=script(answer(200, {}, X_API_CREDITS_REMAINING="4711"))).call(READ)
    state = RemoteState.objects.get(key=account.limit_key)
    assert (state.credits_remaining, state.credits_seen_at) == (4711, clock.now())


def test_a_success_is_shown_on_the_connection(open_session: OpenSession, account: Connection, clock: Clock) -> None:
    open_session(transport=script(answer(200, {}))).call(READ)
    account.refresh_from_db()
    assert account.last_success_at == clock.now()


def test_a_broken_off_call_gives_its_slot_back(open_session: OpenSession) -> None:
    def stop(_: requests.PreparedRequest) -> Any:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        open_session(transport=Script(stop)).call(READ)
    assert not ConcurrencySlot.objects.exclude(owner="").exists()


def test_a_defect_of_the_transport_is_an_unknown_outcome(open_session: OpenSession) -> None:
    def break_(_: requests.PreparedRequest) -> Any:
        raise RuntimeError("defect")

    with pytest.raises(errors.Unavailable) as caught:
        open_session(transport=Script(break_)).call(INSERT)
    assert caught.value.outcome_unknown


def test_log_lines_and_errors_hold_neither_query_nor_payload(
    open_session: OpenSession, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    refusal = {"code": "INVALID_DATA", "message": "bad value joe@example.com", "details": {"Phone": "4155550100"}}
    session = open_session(transport=script(answer(400, refusal, X_Request_Id="r-9")))
    with pytest.raises(errors.Rejected) as caught:
        session.call(READ)
    line = next(record.getMessage() for record in caplog.records if record.name == "portal.remote.session")
    assert re.fullmatch(r"crm\.records\.list HTTP 400 in 7 ms, attempt 1, request id r-9", line)
    assert str(caught.value) == "bad value *** (Zoho CRM crm.records.list, HTTP 400, INVALID_DATA, request r-9)"
    assert caught.value.reply == refusal
    assert caught.value.details == {"Phone": "4155550100"}


# --- calls a minute, where the settings want that -------------------------------------------------------------------


def test_zoho_gets_no_more_calls_a_minute_than_the_settings_allow(
    open_session: OpenSession, clock: Clock, settings: Any
) -> None:
    settings.ZOHO_PER_MINUTE = 3
    wire = script(*[answer(200, {})] * 9)
    first, second = open_session(transport=wire), open_session(transport=wire)
    for session in (first, second, first):
        session.call(READ)
    with pytest.raises(errors.RateLimited) as caught:
        second.call(READ)
    assert (len(wire.sent), caught.value.retry_at) == (3, clock.after(seconds=61))
    clock.advance(61)
    second.call(READ)
    assert len(wire.sent) == 4


def test_with_such_a_limit_a_429_pauses_as_without_it(open_session: OpenSession, clock: Clock, settings: Any) -> None:
    settings.ZOHO_PER_MINUTE = 100
    open_session(transport=script(answer(429, {}, Retry_After="7"), answer(200, {}))).call(READ)
    assert clock.naps == [7.0]
    body = {"code": "TOO_MANY_REQUESTS", "message": "You have exhausted your API credits"}
    with pytest.raises(errors.CreditsExhausted):
        open_session(transport=script(answer(429, body))).call(READ)


def test_without_such_a_limit_no_call_is_counted_by_the_minute(open_session: OpenSession) -> None:
    open_session(transport=script(answer(200, {}))).call(READ)
    assert not RatePermit.objects.exists()
