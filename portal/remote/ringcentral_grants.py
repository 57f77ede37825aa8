"""Token requests and answers of RingCentral: the JWT credential is presented, an access token comes back.

The JWT is long-lived and belongs to a user; no refresh token is needed, because the JWT can be presented again (guide
“JWT auth flow”). Each login opens a session, of which a user has about five per application, so a token is shared.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Mapping
from typing import Any

import requests

from portal.remote import error_bodies, ringcentral_hosts
from portal.remote.credentials import Credentials
from portal.remote.errors import (
    NO_EXPLANATION,
    BadReply,
    CircuitOpen,
    RateLimited,
    RemoteError,
    Unauthorized,
    Unavailable,
)
from portal.remote.grants import ENDPOINT, TokenAnswer, json_of, life_s, require
from portal.remote.redact import redact
from portal.remote.replies import retry_after
from portal.remote.transport import USER_AGENT, Answer

PATH = "/restapi/oauth/token"
GRANT_TYPE = "urn:ietf:params:oauth:grant-type:jwt-bearer"
# Statuses after which the token guide advises another attempt later.
PASSING = frozenset({408, 500, 502, 503, 504})


def token_request(credentials: Credentials) -> requests.PreparedRequest:
    """The login with the JWT. Raises NotConfigured when something is missing or the server is not RingCentral's."""
    require(credentials, ringcentral_hosts.SERVICE, "client_id", "client_secret", "jwt")
    server = credentials.accounts_url or ringcentral_hosts.DEFAULT_SERVER
    client = base64.b64encode(f"{credentials.client_id}:{credentials.client_secret}".encode()).decode()
    return requests.Request(
        "POST",
        ringcentral_hosts.server_origin(server) + PATH,
        data={"grant_type": GRANT_TYPE, "assertion": credentials.jwt},
        headers={"User-Agent": USER_AGENT, "Accept": "application/json", "Authorization": f"Basic {client}"},
    ).prepare()


def read_answer(answer: Answer, credentials: Credentials, now: dt.datetime) -> TokenAnswer:
    """The token, or the RemoteError that says why there is none."""
    body = json_of(answer)
    token = body.get("access_token")
    if answer.status >= 300 or not isinstance(token, str) or not token:
        raise _refusal(answer, body, now)
    return TokenAnswer(
        access_token=token,
        expires_in_s=life_s(body),
        api_domain=ringcentral_hosts.server_origin(credentials.accounts_url or ringcentral_hosts.DEFAULT_SERVER),
        scope=str(body.get("scope") or ""),
    )


def _refusal(answer: Answer, body: Mapping[str, Any], now: dt.datetime) -> RemoteError:
    found = error_bodies.of_ringcentral(dict(body))
    text = redact(found.message)[:200] or NO_EXPLANATION
    facts: dict[str, Any] = {
        "service": ringcentral_hosts.SERVICE,
        "endpoint": ENDPOINT,
        "status": answer.status,
        "code": found.code,
    }
    if answer.status == 429:
        return RateLimited(
            "Too many logins; RingCentral grants an application about five a minute.",
            retry_at=retry_after(answer.headers, now) or now,
            **facts,
        )
    if answer.status in PASSING:
        named = retry_after(answer.headers, now)
        if named is not None:
            return CircuitOpen("The token server failed and named a time to come back.", retry_at=named, **facts)
        return Unavailable("The token server failed.", **facts)
    if found.code:
        return Unauthorized(_REFUSALS.get(found.code) or f"The login was refused: {text}", **facts)
    return BadReply("The token server's answer holds neither a token nor an error.", **facts)


_NO_JWT_FLOW = (
    "The application may not log in with a JWT. In the Developer Console, choose the JWT auth flow in its settings."
)
_WRONG_CLIENT = (
    "Client id or client secret is wrong, or the application is not active on this server. Copy both from its "
    "credentials in the Developer Console."
)
_WRONG_JWT = (
    "The JWT credential was revoked, has expired, or is not allowed for this application. Create a new one in the "
    "Developer Console, for this client id, and enter it."
)
_NO_USER = (
    "The user of the JWT credential is missing, disabled, or may not log in. Enable the user, or create a JWT with "
    "another one."
)
_LOCKED = "The user of the JWT credential is locked after failed logins. Unlock the user in RingCentral's admin portal."
# What the codes mean and what to do; from the guides, the OpenAPI file and the developer forum.
_REFUSALS: Mapping[str, str] = {
    **dict.fromkeys(("OAU-251", "OAU-125", "OAU-112", "unauthorized_client", "unsupported_grant_type"), _NO_JWT_FLOW),
    **dict.fromkeys(
        ("OAU-153", "OAU-146", "OAU-120", "OAU-121", "OAU-127", "OAU-123", "OAU-134", "OAU-151", "invalid_client"),
        _WRONG_CLIENT,
    ),
    **dict.fromkeys(("OAU-210", "OAU-128", "OAU-129", "OAU-149", "OAU-213", "invalid_grant"), _WRONG_JWT),
    **dict.fromkeys(("OAU-136", "OAU-140", "OAU-141", "OAU-142", "OAU-232", "OAU-236"), _NO_USER),
    **dict.fromkeys(("OAU-147", "OAU-148"), _LOCKED),
    **dict.fromkeys(
        ("OAU-105", "OAU-163"),
        "The JWT belongs to an extension that cannot log in, such as a call queue. Create one with a person's user.",
    ),
    "OAU-165": "These are the keys of a sandbox application. Use those of a production one.",
    "OAU-250": "The server did not understand the login. Check the server address of the connection.",
    "OAU-347": "The JWT was not made by RingCentral. Create one in the Developer Console under Credentials.",
}
