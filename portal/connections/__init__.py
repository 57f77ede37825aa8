"""Connections to the vendors: which there are for whom, where their secrets come from, and how they change."""

from __future__ import annotations

import logging
from typing import Literal

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.db import transaction
from django.db.models import ProtectedError, Q, QuerySet, TextField
from django.db.models.functions import Cast
from django.dispatch import Signal
from django.http import HttpRequest
from django.utils import timezone

from portal import audit, runs
from portal.connections import environment as environment_connections
from portal.connections import temporary as temporary_connections
from portal.connections.temporary import forget_session
from portal.fields import Undecryptable
from portal.models import AccessToken, Connection, Vendor
from portal.remote.credentials import Credentials, of_row
from portal.remote.errors import NotConfigured, RemoteError
from portal.remote.oauth import Tokens
from portal.remote.session import RemoteSession

__all__ = [
    "CHOICE",
    "SECRETS",
    "choices_of",
    "choose",
    "current_tokens",
    "forget_session",
    "make_default",
    "remove",
    "removing",
    "resolve_credentials",
    "revoke",
    "save",
    "session_for",
    "stored_secrets",
    "sync_environment",
    "use",
    "visible_in",
    "visible_to",
]

logger = logging.getLogger(__name__)

# Sent while the secrets are still there: connection and user. For apps that have something at the vendor to end.
removing = Signal()

Source = Connection.Source
Person = AbstractBaseUser | AnonymousUser

# Where a login session remembers the connections it works with: {vendor: primary key}.
CHOICE = "connection_choice"
SECRETS: dict[str, tuple[str, ...]] = {
    Vendor.ZOHO: ("client_secret", "refresh_token"),
    Vendor.RINGCENTRAL: ("client_secret", "jwt"),
}
SECRET_COLUMNS = ("client_secret", "refresh_token", "jwt")
# Columns after whose change the present access token may be of another account.
CREDENTIAL_COLUMNS = ("client_id", "accounts_url", "api_domain")


# --- which there are ------------------------------------------------------------------------------------------------


def visible_to(user: Person, session_key: str | None) -> QuerySet[Connection]:
    """Connections of the portal and, of the temporary ones, those of this person's own login session.

    The secrets are not read: a page that lists connections needs none, and works without the key that opens them.
    """
    own = Q(source=Source.TEMPORARY, session_key=session_key or "-", created_by_id=user.pk)
    return Connection.objects.filter(~Q(source=Source.TEMPORARY) | own).defer(*SECRET_COLUMNS)


def visible_in(request: HttpRequest) -> QuerySet[Connection]:
    temporary_connections.follow(request)
    return visible_to(request.user, request.session.session_key)


def choices_of(connections: QuerySet[Connection]) -> QuerySet[Connection]:
    """Those that can be worked with: removed ones and an environment whose variables are not all set have no client."""
    return connections.exclude(client_id="")


def choose(who: HttpRequest | Person | None, vendor: str = Vendor.ZOHO) -> Connection | None:
    """The connection to work with: the login session's own choice where `who` is a request, else the default."""
    if isinstance(who, HttpRequest):
        chosen = who.session.get(CHOICE, {}).get(str(vendor))
        if chosen is not None:
            found = choices_of(visible_in(who)).filter(pk=chosen, vendor=vendor).first()
            if found is not None:
                return found
    return choices_of(Connection.objects.filter(vendor=vendor, is_default=True)).defer(*SECRET_COLUMNS).first()


def use(request: HttpRequest, connection: Connection) -> None:
    """From now on this login session works with the connection."""
    request.session[CHOICE] = request.session.get(CHOICE, {}) | {connection.vendor: connection.pk}


def stored_secrets(connection: Connection) -> dict[str, bool]:
    """Which secrets are there, told from the ciphertext, so that it works without the key too."""
    names = SECRETS[connection.vendor]
    raw = Connection.objects.filter(pk=connection.pk).annotate(
        **{f"raw_{name}": Cast(name, TextField()) for name in names}
    )
    found = raw.values(*(f"raw_{name}" for name in names)).first() or {}
    return {name: bool(found.get(f"raw_{name}")) for name in names}


# --- opening one ----------------------------------------------------------------------------------------------------


def resolve_credentials(connection: Connection) -> Credentials:
    """The credentials as they are now, wherever this connection keeps them.

    Raises NotConfigured: variables missing, the login session over, the row gone, or a secret that no key opens.
    """
    if connection.source == Source.ENVIRONMENT:
        return environment_connections.credentials(connection.vendor)
    if connection.source == Source.TEMPORARY:
        return temporary_connections.credentials(connection)
    try:
        # Read anew: the object may be older than the last change of its secrets.
        return of_row(Connection.objects.get(pk=connection.pk))
    except Undecryptable as error:
        raise _unusable(connection, str(error)) from error
    except Connection.DoesNotExist as error:
        raise _unusable(connection, "The connection was removed.") from error


def _unusable(connection: Connection, message: str) -> NotConfigured:
    return NotConfigured(message, service=connection.get_vendor_display(), endpoint="settings")


current_tokens = Tokens(resolve_credentials=resolve_credentials)


def session_for(
    connection: Connection, *, purpose: Literal["interactive", "run"] = "interactive", read_only: bool = False
) -> RemoteSession:
    """The way to call the vendor with this connection; a read-only one refuses to send writes."""
    return RemoteSession(connection, purpose=purpose, read_only=read_only, resolve_credentials=resolve_credentials)


# --- changing them --------------------------------------------------------------------------------------------------


@transaction.atomic
def save(
    connection: Connection,
    *,
    secrets: dict[str, str],
    changed: list[str],
    user: Person,
    actor: str = "",
    address: str | None = None,
) -> Connection:
    """Writes a stored connection and, of the secrets, those that are given; who changed them and when is kept.

    `changed`: names of the other fields that differ, for the audit. The next call uses the new secrets.
    """
    is_new = connection.pk is None
    given = {name: value for name, value in secrets.items() if value}
    for name, value in given.items():
        setattr(connection, name, value)
    if given:
        connection.secret_changed_by_id = user.pk
        connection.secret_changed_at = timezone.now()
    if is_new:
        connection.created_by_id = user.pk
    if given or set(changed) & set(CREDENTIAL_COLUMNS):
        connection.state, connection.state_reason = Connection.State.UNCHECKED, ""
    connection.save()
    if given or set(changed) & set(CREDENTIAL_COLUMNS):
        AccessToken.objects.filter(connection=connection).delete()
    audit.record(
        "connection added" if is_new else "connection changed",
        user=user,
        actor=actor,
        address=address,
        target=_target(connection),
        fields=sorted(set(changed) - set(SECRET_COLUMNS)),
        secrets=sorted(given),
    )
    _settle_default(connection.vendor)
    if given and not is_new:
        runs.reconnected(connection)
    return connection


@transaction.atomic
def make_default(connection: Connection, *, user: Person, address: str | None = None) -> None:
    """Schedules, programs and everybody without a choice of their own work with it from now on."""
    Connection.objects.filter(vendor=connection.vendor, is_default=True).exclude(pk=connection.pk).update(
        is_default=False
    )
    Connection.objects.filter(pk=connection.pk).update(is_default=True)
    audit.record("default connection chosen", user=user, address=address, target=_target(connection))


def remove(connection: Connection, *, user: Person, address: str | None = None) -> bool:
    """Erases the secrets and the access token, and the row unless runs tell their history with it.

    Returns whether the row is gone. Open runs wait for reconnection. Not to be used inside a transaction: what was
    set up at the vendor is ended there first.
    """
    removing.send_robust(sender=Connection, connection=connection, user=user)
    return _erase(connection, user=user, address=address)


@transaction.atomic
def _erase(connection: Connection, *, user: Person, address: str | None) -> bool:
    AccessToken.objects.filter(connection=connection).delete()
    try:
        connection.delete()
        is_gone = True
    except ProtectedError:
        is_gone = False
        Connection.objects.filter(pk=connection.pk).update(
            client_id="",
            client_secret="",
            refresh_token="",
            jwt="",
            is_default=False,
            state=Connection.State.RECONNECT,
            state_reason="It was removed: its secrets are erased, its runs are kept.",
        )
    audit.record("connection removed", user=user, address=address, target=_target(connection), row_kept=not is_gone)
    _settle_default(connection.vendor)
    return is_gone


def revoke(connection: Connection, *, user: Person, address: str | None = None) -> bool:
    """Ends the refresh token at the vendor; whether that worked. Not to be used inside a transaction."""
    try:
        current_tokens.revoke(resolve_credentials(connection))
    except RemoteError as error:
        logger.warning("the token of connection %s was not revoked: %s", connection.pk, error)
        return False
    audit.record("connection revoked", user=user, address=address, target=_target(connection))
    return True


def _target(connection: Connection) -> str:
    return f"{connection.get_vendor_display()}: {connection.name}"


def sync_environment() -> None:
    """Brings the `environment` connections in line with the settings: two SELECTs when nothing changed."""
    for vendor in Vendor.values:
        environment_connections.sync(vendor)
        _settle_default(vendor)


def _settle_default(vendor: str) -> None:
    """The only connection of a vendor is its default; of several, a person chooses."""
    shared = Connection.objects.filter(vendor=vendor).exclude(source=Source.TEMPORARY)
    candidates = list(choices_of(shared).values_list("pk", "is_default")[:2])
    if len(candidates) == 1 and not candidates[0][1]:
        Connection.objects.filter(pk=candidates[0][0]).update(is_default=True)
