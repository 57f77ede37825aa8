"""Examines a connection step by step and says of each failing step what to do about it."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings

from portal import audit, connections, runs
from portal.checks import is_writable
from portal.connections import Person
from portal.connections import ringcentral as connection_ringcentral
from portal.connections import zoho as connection_zoho
from portal.connections.findings import Examination, Finding
from portal.models import Connection, Vendor
from portal.remote import errors, ringcentral_hosts, zoho_hosts

State = Connection.State


def check(connection: Connection, *, user: Person | None = None, address: str | None = None) -> list[Finding]:
    """Runs all steps and writes their outcome to the row. About ten calls at Zoho, five at RingCentral (one heavy).

    Never raises RemoteError: what the vendor did is in the findings. Runs that waited for this connection go on when
    it works. Not to be used inside a transaction.
    """
    examination = Examination(connection)
    _folders(examination)
    if _configuration(examination):
        if connection.vendor == Vendor.ZOHO:
            connection_zoho.examine(examination)
        else:
            connection_ringcentral.examine(examination)
    examination.write()
    if examination.values.get("state") == State.WORKING:
        runs.reconnected(connection)
    if user is not None:
        audit.record("connection checked", user=user, address=address, target=str(connection), state=connection.state)
    return examination.findings


# --- before any call ------------------------------------------------------------------------------------------------


def _folders(examination: Examination) -> None:
    """Downloads, uploads and the default database need these folders."""
    closed = [str(path) for path in (settings.VAR_DIR, settings.MEDIA_ROOT) if not is_writable(Path(path))]
    if closed:
        examination.add(
            "Folders of this server",
            "fail",
            f"The portal may not write to {' and '.join(closed)}.",
            "Give the account that runs the portal write permission to it.",
        )
    else:
        examination.add("Folders of this server", "ok", "The portal may write to its folders.")


def _configuration(examination: Examination) -> bool:
    """Whether everything that a call needs is there and names known hosts."""
    step, connection = "Configuration", examination.connection
    try:
        found = connections.resolve_credentials(connection)
        if connection.vendor == Vendor.ZOHO:
            zoho_hosts.data_centre_of(found.accounts_url)
            for url in filter(None, (connection.api_domain, found.api_domain)):
                zoho_hosts.checked_api_url(url)
        else:
            ringcentral_hosts.server_origin(found.accounts_url)
    except errors.NotConfigured as error:
        examination.add_error(step, error)
        examination.ends(State.RECONNECT, error.message)
        return False
    names = ("client_id", *connections.SECRETS[connection.vendor])
    missing = [name.replace("_", " ") for name in names if not getattr(found, name)]
    if missing:
        what = f"The connection has no {' and no '.join(missing)}."
        remedy = "Enter it under “Edit”."
        if missing == ["refresh token"]:
            remedy = "Authorise the connection at Zoho on this page, or paste a self client's code."
        examination.add(step, "fail", what, remedy)
        examination.ends(State.RECONNECT, what)
        return False
    examination.add(step, "ok", "Client and secrets are there.")
    return True
