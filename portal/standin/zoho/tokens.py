"""Zoho's accounts server: authorization codes, access tokens, revocation, and the limit on asking for them."""

from __future__ import annotations

import secrets
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import urlencode

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.router import Route
from portal.standin.zoho.errors import refuse
from portal.standin.zoho.org import Org

DEFAULT_CLIENT, DEFAULT_CLIENT_PASS, DEFAULT_REFRESH = "standin-client", "standin-secret", "standin-refresh"
_ACCOUNTS = {
    "us": "https://accounts.zoho.com",
    "eu": "https://accounts.zoho.eu",
    "in": "https://accounts.zoho.in",
    "au": "https://accounts.zoho.com.au",
    "jp": "https://accounts.zoho.jp",
    "ca": "https://accounts.zohocloud.ca",
    "sa": "https://accounts.zoho.sa",
    "cn": "https://accounts.zoho.com.cn",
}


@dataclass
class Refresh:
    """A refresh token: who it acts for and what it may do. `scopes` None means everything."""

    client_id: str
    user_id: str
    scopes: frozenset[str] | None = None
    access: deque[str] = field(default_factory=deque)
    window_started: float = 0.0
    requests_in_window: int = 0


@dataclass
class Access:
    user_id: str
    expires_at: float
    scopes: frozenset[str] | None


@dataclass
class Code:
    client_id: str
    user_id: str
    expires_at: float
    scopes: frozenset[str] | None
    redirect_uri: str | None
    offline: bool


class Tokens:
    def __init__(self, org: Org) -> None:
        self.org = org
        self.clients: dict[str, str] = {DEFAULT_CLIENT: DEFAULT_CLIENT_PASS}
        self.refresh: dict[str, Refresh] = {DEFAULT_REFRESH: Refresh(DEFAULT_CLIENT, org.admin.id)}
        self.access: dict[str, Access] = {}
        self.codes: dict[str, Code] = {}

    def routes(self, gate: AccountsGate) -> Iterable[Route]:
        yield Route("GET", "/oauth/v2/auth", self.authorize, gate)
        yield Route("POST", "/oauth/v2/token", self.token, gate)
        yield Route("POST", "/oauth/v2/token/revoke", self.revoke_call, gate)
        yield Route("GET", "/oauth/v2/token/revoke", self.revoke_call, gate)
        yield Route("GET", "/oauth/serverinfo", self.server_info, gate)

    def authorize(self, request: Request) -> Reply:
        """The consent page, answered with yes at once."""
        query = request.query
        if query.get("client_id") not in self.clients or self.org.settings.wrong_data_centre:
            return Reply.of(400, {"error": "invalid_client"})
        if query.get("response_type") != "code" or not query.get("redirect_uri"):
            return Reply.of(400, {"error": "invalid_request"})
        code = self.mint_code(
            scopes=query.get("scope"),
            client_id=query["client_id"],
            redirect_uri=query["redirect_uri"],
            offline=query.get("access_type") == "offline",
        )
        answer = {
            "state": query.get("state", ""),
            "code": code,
            "location": self.org.settings.location,
            "accounts-server": request.base_url,
        }
        joint = "&" if "?" in query["redirect_uri"] else "?"
        return Reply(302, {"Location": f"{query['redirect_uri']}{joint}{urlencode(answer)}"})

    def mint_code(
        self,
        *,
        scopes: str | None = None,
        client_id: str = DEFAULT_CLIENT,
        redirect_uri: str | None = None,
        offline: bool = True,
        user_id: str = "",
        life_s: int | None = None,
    ) -> str:
        """An authorization code; without a redirect address it is one of a self client."""
        code = f"1000.{secrets.token_hex(16)}"
        life = self.org.settings.code_life_s if life_s is None else life_s
        self.codes[code] = Code(
            client_id, user_id or self.org.admin.id, self.org.now() + life, _scope_set(scopes), redirect_uri, offline
        )
        return code

    def token(self, request: Request) -> Reply:
        """Errors arrive with status 200, as the real server sends them."""
        self.org.counters.token_requests += 1
        form = request.form()
        if form.get("client_id") not in self.clients or self.org.settings.wrong_data_centre:
            return Reply.of(200, {"error": "invalid_client"})
        if self.clients[form["client_id"]] != form.get("client_secret"):
            return Reply.of(200, {"error": "invalid_client_secret"})
        match form.get("grant_type"):
            case "authorization_code":
                return self._from_code(request, form)
            case "refresh_token":
                return self._from_refresh(request, form)
        return Reply.of(200, {"error": "unsupported_grant_type"})

    def _from_code(self, request: Request, form: dict[str, str]) -> Reply:
        code = self.codes.pop(form.get("code", ""), None)
        if code is None or code.client_id != form["client_id"] or code.expires_at <= self.org.now():
            return Reply.of(200, {"error": "invalid_code"})
        if code.redirect_uri is not None and code.redirect_uri != form.get("redirect_uri"):
            return Reply.of(200, {"error": "invalid_redirect_uri"})
        refresh = Refresh(code.client_id, code.user_id, code.scopes)
        answer = self._issue(request, refresh)
        if code.offline:
            name = f"1000.{secrets.token_hex(16)}"
            self.refresh[name] = refresh
            answer["refresh_token"] = name
        return Reply.of(200, answer)

    def _from_refresh(self, request: Request, form: dict[str, str]) -> Reply:
        refresh = self.refresh.get(form.get("refresh_token", ""))
        if refresh is None or refresh.client_id != form["client_id"]:
            return Reply.of(200, {"error": "invalid_code"})
        if self.org.users[refresh.user_id].status != "active":
            return Reply.of(200, {"error": "invalid_code"})
        if self._is_throttled(refresh):
            self.org.counters.reject("token requests")
            text = "You have made too many requests continuously. Please try again after some time."
            return Reply.of(400, {"error_description": text, "error": "Access Denied", "status": "failure"})
        return Reply.of(200, self._issue(request, refresh))

    def _is_throttled(self, refresh: Refresh) -> bool:
        settings, now = self.org.settings, self.org.clock.timestamp()
        if now - refresh.window_started >= settings.token_window_s:
            refresh.window_started, refresh.requests_in_window = now, 0
        refresh.requests_in_window += 1
        return refresh.requests_in_window > settings.token_requests_per_window

    def _issue(self, request: Request, refresh: Refresh) -> JsonObject:
        settings = self.org.settings
        name = f"1000.{secrets.token_hex(16)}"
        self.access[name] = Access(refresh.user_id, self.org.clock.timestamp() + settings.token_life_s, refresh.scopes)
        refresh.access.append(name)
        while len(refresh.access) > settings.live_access_tokens:
            self.access.pop(refresh.access.popleft(), None)
        answer = {
            "access_token": name,
            "api_domain": settings.api_domain or request.base_url,
            "token_type": "Bearer",
            "expires_in": settings.token_life_s,
        }
        if refresh.scopes is not None:
            answer["scope"] = " ".join(sorted(refresh.scopes))
        return answer

    def revoke_call(self, request: Request) -> Reply:
        if self.revoke(request.form().get("token", "")):
            return Reply.of(200, {"status": "success"})
        return Reply.of(400, {"status": "failure", "error": "invalid_token"})

    def revoke(self, token: str = DEFAULT_REFRESH) -> bool:
        """End a refresh token with all that came from it, or one access token."""
        refresh = self.refresh.pop(token, None)
        if refresh is None:
            return self.access.pop(token, None) is not None
        for name in refresh.access:
            self.access.pop(name, None)
        return True

    def invalidate_access(self) -> None:
        """All access tokens end; refresh tokens live on."""
        self.access.clear()

    def server_info(self, request: Request) -> Reply:
        locations = {**_ACCOUNTS, self.org.settings.location: request.base_url}
        return Reply.of(200, {"result": "success", "locations": locations})

    def authenticate(self, request: Request) -> Access:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        if scheme not in ("Zoho-oauthtoken", "Bearer") or not token:
            raise refuse(401, "AUTHENTICATION_FAILURE", "Authentication failed")
        access = self.access.get(token)
        if access is None or access.expires_at <= self.org.clock.timestamp():
            raise refuse(401, "INVALID_TOKEN", "invalid oauth token")
        if self.org.users[access.user_id].status != "active":
            raise refuse(401, "AUTHENTICATION_FAILURE", "Authentication failed")
        return access


class AccountsGate:
    """The accounts server asks for no token and costs no credits."""

    def enter(self, request: Request) -> None:
        pass

    def leave(self, request: Request, reply: Reply | None) -> None:
        pass

    def error_body(self, status: int) -> JsonObject:
        return {"error": "general_error", "status": "failure"}


def _scope_set(scopes: str | None) -> frozenset[str] | None:
    if not scopes:
        return None
    return frozenset(scope.strip() for scope in scopes.replace(",", " ").split())


def allows(scopes: frozenset[str] | None, needed: str) -> bool:
    """Whether the granted scopes cover one like `ZohoCRM.modules.Leads.READ`; case does not matter."""
    if scopes is None:
        return True
    *place, operation = needed.lower().split(".")
    for scope in scopes:
        *granted_place, granted = scope.lower().split(".")
        covers = granted in ("all", operation) or (granted == "write" and operation in ("create", "update"))
        if covers and place[: len(granted_place)] == granted_place:
            return True
    return False
