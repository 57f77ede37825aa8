"""Guided authorisation at Zoho: the way to the consent page and back, and the code of a self client.

Facts: Zoho's accounts documentation. The answer carries `code`, `location` and `accounts-server`; the code is exchanged
at that server at once, because it lives two minutes and works once.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.utils import timezone

from portal import audit, connections, runs
from portal.connections import Person
from portal.connections import check as connection_check
from portal.connections import scopes as connection_scopes
from portal.connections.advice import describe
from portal.connections.findings import Finding
from portal.connections.zoho import api_centre
from portal.models import Connection
from portal.remote import errors, zoho_hosts
from portal.remote.addresses import origin
from portal.remote.credentials import Credentials
from portal.remote.errors import Advice
from portal.remote.grants import TokenAnswer

STATES = "oauth_states"
STATE_LIFE_S = 600
MOST_STATES = 5
# Where an application is registered, by data centre; China and Canada have consoles of their own domains.
CONSOLES = {
    code: f"https://api-console.{centre.accounts_host.removeprefix('accounts.')}"
    for code, centre in zoho_hosts.DATA_CENTRES.items()
}


class Refused(Exception):
    """The authorisation did not come about; `advice` says why and what to do."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(what)
        self.advice = Advice(what, remedy)


@dataclass(frozen=True)
class Pending:
    """What this session asked Zoho for."""

    connection_id: int
    scopes: tuple[str, ...]
    redirect_uri: str


@dataclass(frozen=True)
class Granted:
    """What came of it: the findings of the check that followed, and how many runs go on."""

    findings: list[Finding]
    data_centre: str
    resumed_runs: int


# --- the way there --------------------------------------------------------------------------------------------------


def authorisation_url(session: SessionBase, connection: Connection, *, scopes: list[str], redirect_uri: str) -> str:
    """Address of the consent page; the session remembers a random state for it, for ten minutes and one answer.

    Raises NotConfigured for an unknown accounts host.
    """
    base = zoho_hosts.accounts_origin(connection.accounts_url)
    state = secrets.token_urlsafe(32)
    _remember(session, state, connection, scopes, redirect_uri)
    query = {
        "client_id": connection.client_id,
        "response_type": "code",
        "scope": ",".join(scopes),
        "redirect_uri": redirect_uri,
        "access_type": "offline",
        "prompt": "consent",
        "state": state,
    }
    return f"{base}/oauth/v2/auth?{urlencode(query)}"


def _remember(session: SessionBase, state: str, connection: Connection, scopes: list[str], redirect_uri: str) -> None:
    kept = [(name, entry) for name, entry in session.get(STATES, {}).items() if entry["until"] > time.time()]
    entry = {
        "connection": connection.pk,
        "scopes": scopes,
        "redirect_uri": redirect_uri,
        "until": time.time() + STATE_LIFE_S,
    }
    session[STATES] = dict([*kept, (state, entry)][-MOST_STATES:])


# --- the way back ---------------------------------------------------------------------------------------------------


def take_state(session: SessionBase, state: str) -> Pending:
    """What this session asked for with this state, once. Raises Refused for a foreign, used or old one."""
    states = dict(session.get(STATES, {}))
    entry = states.pop(state, None) if state else None
    if entry is not None:
        session[STATES] = states
    if entry is None or entry["until"] <= time.time():
        raise Refused(
            "This answer does not belong to an authorisation that was started here within the last ten minutes.",
            "Nothing was changed. Open the connection and start the authorisation again in this browser.",
        )
    return Pending(entry["connection"], tuple(entry["scopes"]), entry["redirect_uri"])


def finish(
    connection: Connection, pending: Pending, answer: Mapping[str, str], *, user: Person, address: str | None
) -> Granted:
    """Exchanges the code of the answer and stores the tokens. Raises Refused with cause and remedy.

    `answer`: the query of the callback: code or error, location, accounts-server.
    """
    if answer.get("error"):
        error = errors.Unauthorized(
            "The authorisation was refused.", service="Zoho CRM", endpoint="oauth.auth", code=answer["error"][:60]
        )
        advice = describe(error, connection, pending.redirect_uri)
        raise Refused(advice.what, advice.remedy)
    code = answer.get("code", "")
    if not code:
        raise Refused("Zoho's answer holds no code.", "Start the authorisation again.")
    server = _answering_server(connection, answer.get("accounts-server", ""))
    granted = _exchange(connection, server, code, pending.redirect_uri)
    return _store(connection, server, granted, pending.scopes, user=user, address=address)


def finish_self_client(connection: Connection, code: str, *, user: Person, address: str | None) -> Granted:
    """The same for a code that a self client made in the API console; no redirect address takes part."""
    server = zoho_hosts.accounts_origin(connection.accounts_url)
    return _store(connection, server, _exchange(connection, server, code, ""), (), user=user, address=address)


def _answering_server(connection: Connection, named: str) -> str:
    """The accounts server that the answer names, if it is Zoho's, or on this machine if the connection's is that one.

    The client secret goes there, so nothing else is believed.
    """
    own = zoho_hosts.accounts_origin(connection.accounts_url)
    if not named:
        return own
    try:
        is_local = zoho_hosts.data_centre_of(named) == zoho_hosts.LOCAL
    except errors.NotConfigured:
        is_known = False
    else:
        is_known = not is_local or origin(named) == own
    if not is_known:
        raise Refused(
            "The answer names an accounts server that is not Zoho's; the code was not sent there.",
            "Start again from this page. If it happens again, something between this server and Zoho changes answers.",
        )
    return origin(named)


def _exchange(connection: Connection, server: str, code: str, redirect_uri: str) -> TokenAnswer:
    """Tokens for the code. Raises Refused, also when no refresh token came along."""
    try:
        stored = connections.resolve_credentials(connection)
        credentials = Credentials(
            stored.client_id,
            stored.client_secret,
            accounts_url=server,
            api_domain=_kept_override(stored.api_domain, server),
        )
        granted = connections.current_tokens.exchange_code(credentials, code=code, redirect_uri=redirect_uri)
    except errors.RemoteError as error:
        advice = describe(error, connection, redirect_uri)
        raise Refused(advice.what, advice.remedy) from error
    if not granted.refresh_token:
        raise Refused(
            "Zoho granted access for an hour only: its answer holds no refresh token.",
            "Start again from this page, which asks for lasting access. For a self client, make a new code.",
        )
    return granted


def _kept_override(api_domain: str, server: str) -> str:
    """The connection's own API address (a sandbox, say), unless the account turned out to live elsewhere."""
    return api_domain if api_centre(api_domain) == zoho_hosts.data_centre_of(server) else ""


def _store(
    connection: Connection,
    server: str,
    granted: TokenAnswer,
    asked: tuple[str, ...],
    *,
    user: Person,
    address: str | None,
) -> Granted:
    """Keeps the tokens, tells the audit, lets held runs go on and checks the connection."""
    scopes = connection_scopes.split(granted.scope) or list(asked)
    data_centre = zoho_hosts.data_centre_of(server)
    now = timezone.now()
    with transaction.atomic():
        Connection.objects.filter(pk=connection.pk).update(
            refresh_token=granted.refresh_token,
            accounts_url=server,
            api_domain=_kept_override(connection.api_domain, server),
            data_centre=data_centre,
            scopes=",".join(scopes),
            secret_changed_by_id=user.pk,
            secret_changed_at=now,
            state=Connection.State.UNCHECKED,
            state_reason="",
        )
        audit.record(
            "connection authorised",
            user=user,
            address=address,
            target=str(connection),
            data_centre=data_centre,
            scopes=scopes,
        )
    connection.refresh_from_db()
    connections.current_tokens.adopt(connection, granted)
    resumed = runs.reconnected(connection)
    return Granted(connection_check.check(connection), data_centre, resumed)
