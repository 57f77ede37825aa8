"""RingCentral's token endpoint: the JWT grant, sessions, revocation."""

from __future__ import annotations

import base64
import binascii
import secrets
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import unquote

from portal.standin.messages import Refusal, Reply, Request
from portal.standin.ringcentral.errors import oauth_refusal, refuse
from portal.standin.ringcentral.settings import Office
from portal.standin.router import Gate, Route

DEFAULT_RC_CLIENT, DEFAULT_RC_CLIENT_PASS, DEFAULT_JWT = "standin-rc-client", "standin-rc-secret", "standin-rc-jwt"
JWT_GRANT = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_FORM = "application/x-www-form-urlencoded"
_SHORTEST_S, _LONGEST_S = 600, 3_600


@dataclass(frozen=True, slots=True)
class Session:
    """One login: its access token dies with it."""

    client_id: str
    scopes: frozenset[str]
    expires_at: float


def client_of(request: Request) -> tuple[str, str]:
    """Id and password of the Basic header; two empty texts when there is none that can be read."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return "", ""
    try:
        plain = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return "", ""
    name, _, password = plain.partition(":")
    return unquote(name), unquote(password)


class Tokens:
    def __init__(self, office: Office) -> None:
        self._office = office
        self.clients: dict[str, str] = {DEFAULT_RC_CLIENT: DEFAULT_RC_CLIENT_PASS}
        self.credentials: set[str] = {DEFAULT_JWT}
        """JWT credentials that are neither revoked nor expired."""
        self.sessions: dict[str, Session] = {}
        self._order: dict[str, deque[str]] = {}

    def routes(self, gate: Gate) -> Iterable[Route]:
        yield Route("POST", "/restapi/oauth/token", self.login, gate)
        yield Route("POST", "/restapi/oauth/revoke", self.logout, gate)

    def login(self, request: Request) -> Reply:
        if not request.headers.get("content-type", "").startswith(_FORM):
            raise Refusal(Reply.of(415, {"error": "invalid_request", "error_description": "Unsupported media type"}))
        client_id = self._check_client(request)
        form, settings = request.form(), self._office.settings
        self._office.counters.spend("ringcentral logins", 1)
        if form.get("grant_type") != JWT_GRANT:
            raise oauth_refusal(400, "invalid_request", "OAU-250", "Unsupported grant type")
        if not settings.jwt_flow:
            raise oauth_refusal(400, "unauthorized_client", "OAU-251", "Unauthorized for this grant type")
        if not form.get("assertion"):
            raise oauth_refusal(400, "invalid_request", "OAU-250", "Assertion is missing")
        if form["assertion"] not in self.credentials:
            raise oauth_refusal(400, "invalid_grant", "OAU-210", "Assertion is expired or invalid")
        if not settings.owner_enabled:
            raise oauth_refusal(401, "invalid_grant", "OAU-141", "Extension is disabled")
        return self._open(client_id, form)

    def _check_client(self, request: Request) -> str:
        scheme = request.headers.get("authorization", "").partition(" ")[0].lower()
        if scheme not in ("", "basic"):
            raise oauth_refusal(401, "invalid_client", "OAU-123", "Unsupported authentication method")
        client_id, password = client_of(request)
        if not client_id:
            raise oauth_refusal(400, "invalid_client", "OAU-153", "Client id is empty")
        if self.clients.get(client_id) != password:
            raise oauth_refusal(401, "invalid_client", "OAU-146", "Invalid client credentials")
        return client_id

    def _open(self, client_id: str, form: dict[str, str]) -> Reply:
        settings = self._office.settings
        life = settings.token_life_s
        if "access_token_ttl" in form:
            asked = form["access_token_ttl"]
            if not asked.isdigit() or not _SHORTEST_S <= int(asked) <= _LONGEST_S:
                raise oauth_refusal(400, "invalid_request", "OAU-250", "access_token_ttl is out of range")
            life = min(life, int(asked))
        granted = frozenset(settings.scopes.split())
        if form.get("scope"):
            granted &= frozenset(form["scope"].replace(",", " ").split())
        name = f"U0{secrets.token_hex(24)}"
        self.sessions[name] = Session(client_id, granted, self._office.clock.timestamp() + life)
        order = self._order.setdefault(client_id, deque())
        order.append(name)
        while len(order) > settings.live_sessions:
            self.sessions.pop(order.popleft(), None)
        body = {
            "access_token": name,
            "token_type": "bearer",
            "expires_in": life,
            "scope": " ".join(sorted(granted)),
            "owner_id": self._office.people.owner.id,
            "endpoint_id": "standin",
            "session_id": secrets.token_hex(8),
        }
        return Reply.of(200, body)

    def logout(self, request: Request) -> Reply:
        self._check_client(request)
        self.sessions.pop(request.form().get("token", ""), None)
        return Reply(200)

    def authenticate(self, request: Request) -> Session:
        """The session of a call. A token that is gone and one that is over have different codes."""
        scheme, _, name = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not name:
            raise refuse(401, "CMN-405", "Login to extension required", legacy="AgentLoginRequired")
        session = self.sessions.get(name)
        if session is None:
            raise refuse(401, "OAU-213", "Token not found", legacy="TokenInvalid")
        if session.expires_at <= self._office.clock.timestamp():
            raise refuse(401, "OAU-128", "Access token expired", legacy="TokenExpired")
        return session

    def end_all(self) -> None:
        """Every session ends, as after a change of the owner's password."""
        self.sessions.clear()
        self._order.clear()
