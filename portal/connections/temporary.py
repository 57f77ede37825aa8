"""Connections of one login session. Their secrets are in the session only, encrypted; the row holds none."""

from __future__ import annotations

import json
from importlib import import_module
from typing import Any

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.sessions.backends.base import SessionBase
from django.db.models import ProtectedError
from django.http import HttpRequest

from portal import audit
from portal.access import client_address
from portal.fields import Undecryptable, decrypt, encrypt
from portal.models import AccessToken, Connection
from portal.remote.credentials import Credentials
from portal.remote.errors import NotConfigured

KEY = "temporary_connections"
ENDED = "The login session that held its secrets has ended."


def open_temporary(request: HttpRequest, connection: Connection, secrets: dict[str, str]) -> Connection:
    """Saves the row without secrets and puts them into the session, so that the worker finds them there too.

    An earlier temporary connection of this session to the same vendor is forgotten. Raises ValueError without a
    saved session.
    """
    session = request.session
    if not session.session_key:
        raise ValueError("A temporary connection needs a login session.")
    for earlier in of_session(session).filter(vendor=connection.vendor):
        forget(session, earlier, "It was replaced by another temporary connection.")
    connection.source = Connection.Source.TEMPORARY
    connection.session_key = session.session_key
    connection.created_by_id = request.user.pk
    connection.save()
    held = dict(session.get(KEY, {}))
    held[str(connection.pk)] = encrypt(json.dumps(secrets))
    session[KEY] = held
    session.save()
    audit.record(
        "temporary connection opened", user=request.user, address=client_address(request), target=str(connection)
    )
    return connection


def of_session(session: SessionBase) -> Any:
    """Rows of this session's temporary connections."""
    return Connection.objects.filter(
        source=Connection.Source.TEMPORARY, session_key=session.session_key or "-", pk__in=[*session.get(KEY, {})]
    )


def follow(request: HttpRequest) -> None:
    """A session that got a new key (a changed password does that) keeps its temporary connections."""
    held = request.session.get(KEY)
    if held and request.session.session_key:
        rows = Connection.objects.filter(
            pk__in=[*held], source=Connection.Source.TEMPORARY, created_by_id=request.user.pk
        )
        rows.exclude(session_key=request.session.session_key).exclude(session_key="").update(
            session_key=request.session.session_key
        )


def session_store(session_key: str) -> SessionBase:
    """The stored session with this key; an ended one is empty."""
    store: SessionBase = import_module(settings.SESSION_ENGINE).SessionStore(session_key=session_key)
    return store


def credentials(connection: Connection) -> Credentials:
    """Read through the session store, in the web as in the worker. Raises NotConfigured when the session is over."""
    fresh = Connection.objects.filter(pk=connection.pk).values_list("session_key", "created_by_id").first()
    secrets = _secrets(connection, *fresh) if fresh else None
    if secrets is None:
        raise NotConfigured(ENDED, service=connection.get_vendor_display(), endpoint="settings")
    return Credentials(
        client_id=connection.client_id,
        client_secret=secrets.get("client_secret", ""),
        refresh_token=secrets.get("refresh_token", ""),
        accounts_url=connection.accounts_url,
        api_domain=connection.api_domain,
        jwt=secrets.get("jwt", ""),
    )


def _secrets(connection: Connection, session_key: str, user_id: int | None) -> dict[str, str] | None:
    """What the session holds; None when it is over or belongs to somebody else by now."""
    if not session_key:
        return None
    session = session_store(session_key)
    if str(session.get(SESSION_KEY, "")) != str(user_id):
        return None
    stored = session.get(KEY, {}).get(str(connection.pk))
    if not stored:
        return None
    try:
        secrets: dict[str, str] = json.loads(decrypt(stored))
    except Undecryptable as error:
        raise NotConfigured(str(error), service=connection.get_vendor_display(), endpoint="settings") from error
    return secrets


def forget(session: SessionBase, connection: Connection, reason: str) -> None:
    """Secrets and access token go; the row stays only where runs tell their history with it."""
    held = dict(session.get(KEY, {}))
    if held.pop(str(connection.pk), None) is not None:
        session[KEY] = held
    _close(connection, reason)


def _close(connection: Connection, reason: str) -> None:
    AccessToken.objects.filter(connection=connection).delete()
    try:
        connection.delete()
    except ProtectedError:
        Connection.objects.filter(pk=connection.pk).update(
            session_key="", state=Connection.State.RECONNECT, state_reason=reason
        )


def forget_session(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    """Receiver of user_logged_out, which comes before the session is emptied."""
    session = getattr(request, "session", None)
    if session is None or not session.get(KEY):
        return
    address = client_address(request)
    for connection in of_session(session):
        forget(session, connection, ENDED)
        audit.record("temporary connection forgotten", user=user, address=address, target=str(connection))
    session.pop(KEY, None)


def forget_ended() -> int:
    """Closes temporary connections whose session has run out without a logout. Returns how many."""
    closed = 0
    rows = Connection.objects.filter(source=Connection.Source.TEMPORARY).exclude(session_key="")
    for connection in rows.iterator():
        if str(connection.pk) not in session_store(connection.session_key).get(KEY, {}):
            _close(connection, ENDED)
            closed += 1
    return closed
