"""Token requests and answers of Zoho: which form is posted where, and what the answer means.

Zoho (accounts documentation, official SDK): errors arrive as HTTP 200 with {"error": …}, so only an `access_token` in
the body is success. `expires_in` is seconds; legacy answers have milliseconds there and seconds in `expires_in_sec`.
Too many token requests (10 per 10 minutes and refresh token) give HTTP 400 with “Access Denied”.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import requests

from portal.remote import zoho_hosts
from portal.remote.credentials import Credentials
from portal.remote.errors import BadReply, NotConfigured, RateLimited, RemoteError, Unauthorized, Unavailable
from portal.remote.redact import redact
from portal.remote.replies import retry_after
from portal.remote.transport import USER_AGENT, Answer

ENDPOINT = "oauth.token"
DEFAULT_LIFE_S = 3600
# Values of `expires_in` above a week are milliseconds of the legacy form.
LONGEST_LIFE_S = 7 * 24 * 3600


@dataclass(frozen=True)
class TokenAnswer:
    """A granted token. `refresh_token` comes with an authorisation code only; `api_domain` is checked."""

    access_token: str = field(repr=False)
    expires_in_s: int
    api_domain: str
    refresh_token: str = field(default="", repr=False)
    scope: str = ""


def token_request(credentials: Credentials) -> requests.PreparedRequest:
    """The request for a new access token. Raises NotConfigured when something is missing."""
    require(credentials, zoho_hosts.SERVICE, "client_id", "client_secret", "refresh_token", "accounts_url")
    form = {
        "grant_type": "refresh_token",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "refresh_token": credentials.refresh_token,
    }
    return _post(credentials, "/oauth/v2/token", form)


def code_request(credentials: Credentials, code: str, redirect_uri: str) -> requests.PreparedRequest:
    """The request that turns an authorisation code (or a self-client's code, without redirect_uri) into tokens."""
    require(credentials, zoho_hosts.SERVICE, "client_id", "client_secret", "accounts_url")
    form = {
        "grant_type": "authorization_code",
        "client_id": credentials.client_id,
        "client_secret": credentials.client_secret,
        "code": code,
    }
    if redirect_uri:
        form["redirect_uri"] = redirect_uri
    return _post(credentials, "/oauth/v2/token", form)


def revoke_request(credentials: Credentials) -> requests.PreparedRequest:
    require(credentials, zoho_hosts.SERVICE, "refresh_token", "accounts_url")
    return _post(credentials, "/oauth/v2/token/revoke", {"token": credentials.refresh_token})


def require(credentials: Credentials, service: str, *names: str) -> None:
    """Raises NotConfigured with the names of what is not there."""
    missing = [name.replace("_", " ") for name in names if not getattr(credentials, name)]
    if missing:
        raise NotConfigured(f"The connection has no {' and no '.join(missing)}.", service=service, endpoint=ENDPOINT)


def _post(credentials: Credentials, path: str, form: Mapping[str, str]) -> requests.PreparedRequest:
    # In the body: an address ends up in logs of proxies and in exception texts.
    return requests.Request(
        "POST",
        zoho_hosts.accounts_origin(credentials.accounts_url) + path,
        data=form,
        headers={"User-Agent": USER_AGENT, "Accept": "application/json"},
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
        api_domain=_api_domain(body, credentials),
        refresh_token=str(body.get("refresh_token") or ""),
        scope=str(body.get("scope") or ""),
    )


def check_revoked(answer: Answer, now: dt.datetime) -> None:
    """Raises the error of a revocation that did not work; a token that is already unknown counts as revoked."""
    body = json_of(answer)
    if body.get("status") == "success" or body.get("error") in {"invalid_code", "invalid_token"}:
        return
    raise _refusal(answer, body, now)


def json_of(answer: Answer) -> dict[str, Any]:
    """The body where it is a JSON object; empty otherwise."""
    try:
        body = json.loads(answer.body)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def life_s(body: Mapping[str, Any]) -> int:
    """Seconds that the token lives."""
    try:
        life = int(body.get("expires_in_sec") or body.get("expires_in") or DEFAULT_LIFE_S)
    except (TypeError, ValueError):
        return DEFAULT_LIFE_S
    return max(life // 1000 if life > LONGEST_LIFE_S else life, 1)


def _api_domain(body: Mapping[str, Any], credentials: Credentials) -> str:
    """Base of the API: the connection's own override, else the answer's, else the table of data centres."""
    if credentials.api_domain:
        return zoho_hosts.checked_api_url(credentials.api_domain)
    answered = body.get("api_domain")
    if isinstance(answered, str) and answered:
        return zoho_hosts.checked_api_url(answered)
    centre = zoho_hosts.data_centre_of(credentials.accounts_url)
    if centre == zoho_hosts.LOCAL:
        return zoho_hosts.accounts_origin(credentials.accounts_url)
    return zoho_hosts.api_url(centre)


def _refusal(answer: Answer, body: Mapping[str, Any], now: dt.datetime) -> RemoteError:
    code = str(body.get("error") or "")[:60]
    description = redact(str(body.get("error_description") or ""))[:200]
    facts: dict[str, Any] = {
        "service": zoho_hosts.SERVICE,
        "endpoint": ENDPOINT,
        "status": answer.status,
        "code": code,
    }
    if _is_throttle(answer.status, code, description):
        return RateLimited(
            "Too many access tokens were asked for; Zoho grants 10 in 10 minutes.",
            retry_at=retry_after(answer.headers, now) or now,
            **facts,
        )
    if answer.status >= 500:
        return Unavailable("The token server failed.", **facts)
    message = _REFUSALS.get(code)
    if message is not None:
        return Unauthorized(message, **facts)
    if code:
        return Unauthorized(f"The token server refused the connection. {description}".strip(), **facts)
    return BadReply("The token server's answer holds neither a token nor an error.", **facts)


def _is_throttle(status: int, code: str, description: str) -> bool:
    text = f"{code} {description}".lower().replace("_", " ")
    return status == 429 or "access denied" in text or "too many requests" in text


_WRONG_CLIENT = (
    "Either the {what} is wrong, or the client belongs to another data centre than the accounts address names."
)
_REFUSALS: Mapping[str, str] = {
    "invalid_client": _WRONG_CLIENT.format(what="client id"),
    "invalid_client_secret": _WRONG_CLIENT.format(what="client secret"),
    "invalid_code": "The refresh token or code was revoked, already used or has expired, or is of another data centre.",
    "invalid_grant": "The refresh token or code was revoked, already used or has expired.",
    "invalid_redirect_uri": "The redirect address differs from the one registered with the client.",
}
