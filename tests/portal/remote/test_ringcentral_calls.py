"""Calls of a RingCentral connection: authorization, errors by code, tokens that are refused."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
import responses
from hypothesis import given
from hypothesis import strategies as st

from portal.models import AccessToken, Connection, Vendor
from portal.remote import error_bodies, errors, replies
from portal.remote.errors import MissingScope, RateLimited, Rejected, RemoteError, Unauthorized, Unavailable
from portal.remote.session import Request
from portal.remote.vendors import TRAITS
from tests.portal.remote.conftest import LOGIN_URL, RINGCENTRAL, Clock, OpenSession, Script, answer

NOW = dt.datetime(2026, 5, 4, 12, 30, tzinfo=dt.UTC)
LOG = Request("GET", "/restapi/v1.0/account/~/call-log", "rc.call_log", bucket="heavy")
LOG_URL = f"{RINGCENTRAL}{LOG.path_or_url}"
GRANT = {"access_token": "rc-new-token", "expires_in": 3600, "scope": "ReadCallLog"}


def body(code: str, message: str = "m", top: str = "", **more: str) -> dict[str, Any]:
    return {"errorCode": top or code, "message": message, "errors": [{"errorCode": code, "message": message, **more}]}


def test_a_call_carries_the_bearer_token(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get(LOG_URL, json={"records": []})
    assert open_phones().call(LOG).json == {"records": []}
    assert vendor.calls[0].request.headers["Authorization"] == "Bearer rc-access-token"


@pytest.mark.parametrize("url", ["https://evil.example/x", "https://media.ringcentral.com.evil.example/x"])
def test_the_token_is_not_sent_to_foreign_hosts(
    open_phones: OpenSession, vendor: responses.RequestsMock, url: str
) -> None:
    with pytest.raises(errors.NotConfigured):
        open_phones().call(Request("GET", url, "rc.media", bucket="heavy"))
    assert len(vendor.calls) == 0


@pytest.mark.parametrize(
    ("status", "reply", "kind", "code"),
    [
        (400, body("CMN-101"), Rejected, "CMN-101"),
        (404, body("CMN-102"), Rejected, "CMN-102"),
        (400, body("CLG-101"), Rejected, "CLG-101"),
        (416, body("CMN-107"), Rejected, "CMN-107"),
        (401, body("OAU-213", top="TokenInvalid"), Unauthorized, "OAU-213"),
        (401, {"errorCode": "TokenInvalid", "message": "m"}, Unauthorized, "TokenInvalid"),
        (403, body("CMN-401", top="InsufficientPermissions"), MissingScope, "CMN-401"),
        (403, {"errorCode": "InsufficientPermissions", "message": "m"}, MissingScope, "InsufficientPermissions"),
        (403, body("CMN-402"), MissingScope, "CMN-402"),
        (403, body("CMN-403"), MissingScope, "CMN-403"),
        (403, body("CMN-404"), MissingScope, "CMN-404"),
        (403, body("CMN-408"), MissingScope, "CMN-408"),
        (403, body("CMN-419"), MissingScope, "CMN-419"),
        (429, body("CMN-301"), RateLimited, "CMN-301"),
        (429, body("CMN-302"), RateLimited, "CMN-302"),
        (429, body("CMN-304"), RateLimited, "CMN-304"),
        (429, body("CMN-310", "daily quota"), RateLimited, "CMN-310"),
        (503, body("CMN-201"), Unavailable, "CMN-201"),
        (500, body("CMN-203"), Unavailable, "CMN-203"),
        (502, None, Unavailable, ""),
    ],
)
def test_each_refusal_has_the_class_of_its_remedy(status: int, reply: Any, kind: type[RemoteError], code: str) -> None:
    with pytest.raises(RemoteError) as caught:
        replies.read(answer(status, reply), LOG, TRAITS[Vendor.RINGCENTRAL], NOW)
    assert (type(caught.value), caught.value.code) == (kind, code)


def test_a_missing_permission_is_named_and_personal_data_is_not() -> None:
    reply = body("CMN-401", "Ask joe@example.com or +14155550100", permissionName="ReadCallLog")
    with pytest.raises(MissingScope) as caught:
        replies.read(answer(403, reply), LOG, TRAITS[Vendor.RINGCENTRAL], NOW)
    text = str(caught.value)
    assert "Missing permission: ReadCallLog." in text
    assert "joe@" not in text
    assert "4155550100" not in text
    advice = errors.describe(caught.value)
    assert "It lacks ReadCallLog." in advice.what
    assert "Developer Console" in advice.remedy


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["errors", "errorCode", "message", "permissionName", "code", "error", "data", "details", "other"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(json_values)
def test_any_json_is_read_as_an_error_body(value: Any) -> None:
    for read in (error_bodies.of_zoho, error_bodies.of_ringcentral):
        found = read(value)
        assert isinstance(found.code, str)
        assert len(found.code) <= error_bodies.LONGEST_CODE
        assert isinstance(found.message, str)
        assert isinstance(found.permission, str)


# --- tokens -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["OAU-128", "OAU-129", "OAU-149", "OAU-213"])
def test_a_refused_token_is_renewed_once_and_the_call_goes_on(
    open_phones: OpenSession, vendor: responses.RequestsMock, code: str
) -> None:
    vendor.get(LOG_URL, status=401, json=body(code, top="TokenInvalid"))
    vendor.get(LOG_URL, json={"records": []})
    vendor.post(LOGIN_URL, json=GRANT)
    assert open_phones().call(LOG).status == 200
    assert vendor.calls[-1].request.headers["Authorization"] == "Bearer rc-new-token"


def test_a_new_token_that_is_refused_lacks_a_right_and_is_not_renewed_again(
    open_phones: OpenSession, phones: Connection, clock: Clock, vendor: responses.RequestsMock
) -> None:
    vendor.get(LOG_URL, status=401, json=body("OAU-213"))
    vendor.post(LOGIN_URL, json=GRANT)
    for _ in range(3):
        with pytest.raises(errors.MissingScope):
            open_phones().call(LOG)
        clock.advance(5)
    assert [call.request.method for call in vendor.calls] == ["GET", "POST", "GET", "GET", "GET"]
    phones.refresh_from_db()
    assert phones.state == Connection.State.UNCHECKED


def test_a_token_that_is_revoked_as_soon_as_it_was_granted_is_replaced(
    open_phones: OpenSession, clock: Clock, vendor: responses.RequestsMock
) -> None:
    AccessToken.objects.update(issued_at=clock.now())
    clock.advance(5)
    vendor.get(LOG_URL, status=401, json=body("OAU-213", top="TokenInvalid"))
    vendor.get(LOG_URL, json={"records": []})
    vendor.post(LOGIN_URL, json=GRANT)
    assert open_phones().call(LOG).status == 200
    assert [call.request.method for call in vendor.calls] == ["GET", "POST", "GET"]


def test_a_new_token_that_is_refused_costs_one_login_whoever_calls(
    open_phones: OpenSession, phones: Connection, clock: Clock, vendor: responses.RequestsMock
) -> None:
    """Sessions of other processes included; after a minute the right may have been granted, and a login is tried."""
    AccessToken.objects.update(issued_at=clock.now())
    vendor.get(LOG_URL, status=401, json=body("OAU-213"))
    vendor.post(LOGIN_URL, json=GRANT)
    for pause_s in (5, 5, 55, 5):
        with pytest.raises(errors.MissingScope, match="a right is missing"):
            open_phones().call(LOG)
        clock.advance(pause_s)
    methods = [call.request.method for call in vendor.calls]
    assert methods == ["GET", "POST", "GET", "GET", "GET", "GET", "POST", "GET"]
    phones.refresh_from_db()
    assert phones.state == Connection.State.UNCHECKED


def test_the_replacement_of_a_token_that_is_revoked_later_is_replaced_too(
    open_phones: OpenSession, clock: Clock, vendor: responses.RequestsMock
) -> None:
    for _ in range(2):
        vendor.get(LOG_URL, status=401, json=body("OAU-213"))
        vendor.get(LOG_URL, json={"records": []})
    vendor.post(LOGIN_URL, json=GRANT)
    session = open_phones()
    for _ in range(2):
        assert session.call(LOG).status == 200
        clock.advance(61)
    assert [call.request.method for call in vendor.calls].count("POST") == 2


def test_a_missing_permission_asks_for_no_token(open_phones: OpenSession) -> None:
    wire = Script(lambda _: answer(403, body("CMN-401")))
    with pytest.raises(errors.MissingScope):
        open_phones(transport=wire).call(LOG)
    assert len(wire.sent) == 1


def test_a_call_without_a_bucket_is_a_mistake_of_the_program(open_phones: OpenSession) -> None:
    with pytest.raises(ValueError, match="names no rate bucket"):
        open_phones(transport=Script(lambda _: answer(200, {}))).call(Request("GET", "/restapi/v1.0/x", "rc.x"))


def test_a_token_issued_by_another_process_is_taken_over(
    open_phones: OpenSession, clock: Clock, vendor: responses.RequestsMock
) -> None:
    session = open_phones()
    vendor.get(LOG_URL, json={"records": []})
    session.call(LOG)
    AccessToken.objects.update(value="rc-other-process", generation=2, issued_at=clock.now())
    clock.advance(2)
    session.call(LOG)
    assert vendor.calls[-1].request.headers["Authorization"] == "Bearer rc-other-process"


# --- codes for people ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "reference"),
    [
        (Unauthorized("m", service="RingCentral", endpoint="e"), "RC-401"),
        (MissingScope("m", service="RingCentral", endpoint="e"), "RC-401"),
        (RateLimited("m", retry_at=NOW, service="RingCentral", endpoint="e"), "RC-429"),
        (Unauthorized("m", service="Zoho CRM", endpoint="e"), "ZOHO-401"),
        (Rejected("m", service="Zoho CRM", endpoint="e", code="MANDATORY_NOT_FOUND"), "ZOHO-422"),
        (Rejected("m", service="Zoho CRM", endpoint="e", status=422), "ZOHO-422"),
        (Rejected("m", service="Zoho CRM", endpoint="e", code="NOT_FOUND", status=404), ""),
        (Unavailable("m", service="RingCentral", endpoint="e"), ""),
        (Unauthorized("m", service="Another", endpoint="e"), ""),
    ],
)
def test_common_errors_have_a_code_beside_their_words(error: RemoteError, reference: str) -> None:
    assert errors.reference(error) == reference
    assert (f"({reference})" in errors.describe(error).what) is bool(reference)


def test_invalid_data_names_its_field() -> None:
    error = Rejected(
        "required field not found",
        service="Zoho CRM",
        endpoint="crm.insert",
        code="MANDATORY_NOT_FOUND",
        details={"api_name": "Last_Name"},
    )
    assert errors.describe(error).what.endswith("Field: Last_Name. (ZOHO-422)")
