from __future__ import annotations

import datetime as dt
from typing import Any

import pytest

from portal.models import Vendor
from portal.remote import errors, replies
from portal.remote.errors import (
    BadReply,
    CreditsExhausted,
    MissingScope,
    RateLimited,
    Rejected,
    RemoteError,
    Unauthorized,
    Unavailable,
)
from portal.remote.messages import Request
from portal.remote.transport import Answer
from portal.remote.vendors import TRAITS
from tests.portal.remote.conftest import answer

NOW = dt.datetime(2026, 5, 4, 12, 30, tzinfo=dt.UTC)
READ = Request("GET", "/crm/v8/Leads", "crm.list")
WRITE = Request("POST", "/crm/v8/Leads", "crm.insert", json={})
ZOHO = TRAITS[Vendor.ZOHO]


def read(reply: Answer, request: Request = READ) -> Any:
    return replies.read(reply, request, ZOHO, NOW)


def raw(status: int, body: bytes, kind: str) -> Answer:
    return Answer(status, {"Content-Type": kind}, body, elapsed_ms=1)


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        (400, {"code": "INVALID_DATA", "message": "m"}, Rejected),
        (400, {"code": "LIMIT_EXCEEDED", "message": "m"}, Rejected),
        (403, {"code": "NO_PERMISSION", "message": "m"}, Rejected),
        (404, {"code": "INVALID_URL_PATTERN", "message": "m"}, Rejected),
        (412, {"code": "ALREADY_MODIFIED", "message": "m"}, Rejected),
        (413, {"code": "FILE_TOO_LARGE", "message": "m"}, Rejected),
        (401, {"code": "INVALID_TOKEN", "message": "m"}, Unauthorized),
        (401, {"code": "AUTHENTICATION_FAILURE", "message": "m"}, Unauthorized),
        (401, {"code": "OAUTH_SCOPE_MISMATCH", "message": "m"}, MissingScope),
        (403, {"code": "OAUTH_SCOPE_MISMATCH", "message": "m"}, MissingScope),
        (429, {"code": "TOO_MANY_REQUESTS", "message": "Too many requests at a time"}, RateLimited),
        (429, {"code": 429, "error": "TOO_MANY_REQUESTS", "error_info": "Please try later"}, RateLimited),
        (400, {"code": "TOO_MANY_REQUESTS", "message": "m"}, RateLimited),
        (429, {"code": "TOO_MANY_REQUESTS", "message": "API credits exhausted"}, CreditsExhausted),
        (429, {"code": "TOO_MANY_REQUESTS", "message": "Daily limit reached"}, CreditsExhausted),
        (500, {"code": "INTERNAL_ERROR", "message": "m"}, Unavailable),
        (400, {"code": "INTERNAL_ERROR", "message": "m"}, Unavailable),
        (503, {"code": "DEPENDENT_SERVICE_ERROR", "message": "m"}, Unavailable),
        (501, {"code": "X"}, BadReply),
        (302, None, BadReply),
    ],
)
def test_each_refusal_has_the_class_of_its_remedy(status: int, body: Any, kind: type[RemoteError]) -> None:
    with pytest.raises(RemoteError) as caught:
        read(answer(status, body))
    assert type(caught.value) is kind
    assert caught.value.status == status


def test_no_credits_left_in_the_header_means_credits() -> None:
    with pytest.raises(CreditsExhausted):
        read(answer(429, {"code": "TOO_MANY_REQUESTS"}, **{"X-API-CREDITS-REMAINING": "0"}))


@pytest.mark.parametrize(("status", "kind"), [(404, Rejected), (502, Unavailable), (401, Unauthorized)])
def test_web_pages_in_place_of_errors_are_understood_by_their_status(status: int, kind: type[RemoteError]) -> None:
    with pytest.raises(kind) as caught:
        read(raw(status, b"<html><body>Miller, +1 415 555 0100</body></html>", "text/html"))
    assert "Miller" not in str(caught.value)
    assert caught.value.code == ""


def test_the_error_of_the_only_record_explains_the_call() -> None:
    body = {
        "data": [{"code": "INVALID_DATA", "details": {"id": "1"}, "message": "the id is invalid", "status": "error"}]
    }
    with pytest.raises(Rejected) as caught:
        read(answer(400, body))
    assert (caught.value.code, caught.value.details, caught.value.reply) == ("INVALID_DATA", {"id": "1"}, body)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"data": [', "application/json"),
        (b"{broken", "text/plain"),
        (b"<html>please log in</html>", "text/html; charset=utf-8"),
    ],
)
@pytest.mark.parametrize(("request_", "unknown"), [(READ, False), (WRITE, True)])
def test_a_success_that_cannot_be_read_is_a_bad_reply(body: bytes, kind: str, request_: Request, unknown: bool) -> None:
    with pytest.raises(BadReply) as caught:
        read(raw(200, body, kind), request_)
    assert caught.value.outcome_unknown is unknown


def test_a_success_too_large_for_memory_is_a_bad_reply() -> None:
    with pytest.raises(BadReply):
        read(Answer(200, {"Content-Type": "application/json"}, b"{}", elapsed_ms=1, truncated=True))


def test_other_bodies_are_kept_as_bytes() -> None:
    reply = read(raw(200, b"id\n1\n", "text/csv"))
    assert (reply.json, reply.body) == (None, b"id\n1\n")


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("120", 120),
        ("1.5", 1.5),
        ("-5", 0),
        ("Mon, 04 May 2026 12:31:00 GMT", 60),
        ("Mon, 04 May 2026 12:00:00 GMT", 0),
        ("soon", None),
        ("inf", None),
        ("nan", None),
        ("", None),
    ],
)
def test_retry_after_is_read_in_both_forms(value: str, seconds: float | None) -> None:
    moment = replies.retry_after({"Retry-After": value}, NOW)
    assert moment == (None if seconds is None else NOW + dt.timedelta(seconds=seconds))


@pytest.mark.parametrize(("value", "expected"), [("17", 17), ("0", 0), ("", None), ("-1", None), ("many", None)])
def test_only_plain_numbers_are_credits(value: str, expected: int | None) -> None:
    assert replies.credits_remaining({"X-API-CREDITS-REMAINING": value}, ZOHO) == expected


@pytest.mark.parametrize(
    "kind",
    [
        errors.RemoteError,
        errors.Unauthorized,
        errors.MissingScope,
        errors.Rejected,
        errors.RateLimited,
        errors.CreditsExhausted,
        errors.Unavailable,
        errors.CircuitOpen,
        errors.BadReply,
        errors.ReadOnly,
        errors.NotConfigured,
    ],
)
def test_every_error_has_words_for_people(kind: Any) -> None:
    extra = {"retry_at": NOW} if kind in (errors.RateLimited, errors.CreditsExhausted, errors.CircuitOpen) else {}
    error = kind("It did not work.", service="Zoho CRM", endpoint="crm.list", outcome_unknown=True, **extra)
    advice = errors.describe(error)
    assert "Zoho CRM" in advice.what
    assert "not known" in advice.what
    assert advice.remedy.startswith("Read the record back")
    assert ("2026-05-04 12:30:00 UTC" in advice.remedy) is bool(extra)
