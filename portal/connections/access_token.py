"""The first step of every check: does the vendor still grant access tokens to this connection?"""

from __future__ import annotations

from typing import Any

from django.utils import timezone

from portal import connections
from portal.connections.findings import Examination
from portal.models import AccessToken, Connection, Vendor
from portal.remote import errors

STEP = "Access token"
State = Connection.State
# A younger access token is proof enough that the secrets work; Zoho grants ten in ten minutes, RingCentral five a
# minute.
PROOF_AGE_S = 600
GRANTORS = {Vendor.ZOHO: "Zoho", Vendor.RINGCENTRAL: "RingCentral"}


def proved(examination: Examination) -> bool:
    """Proves that the stored secrets still work: an access token older than ten minutes is renewed for it."""
    connection = examination.connection
    try:
        token = connections.current_tokens.current(connection)
        if (timezone.now() - token.issued_at).total_seconds() > PROOF_AGE_S:
            token = connections.current_tokens.refresh(connection, bad_generation=token.generation)
    except errors.Unauthorized as error:
        examination.add_error(STEP, error)
        examination.ends(State.RECONNECT, error.message)
        return False
    except errors.RateLimited as error:
        examination.add_error(STEP, error)
        return False
    except errors.RemoteError as error:
        examination.add_error(STEP, error)
        examination.ends(State.RECONNECT if isinstance(error, errors.NotConfigured) else State.FAILING, error.message)
        return False
    examination.add(STEP, "ok", f"{GRANTORS[Vendor(connection.vendor)]} grants access tokens to this connection.")
    return True


def facts(connection: Connection) -> dict[str, Any]:
    """When the shared token was issued, when it ends, and the API address that came with it; empty without one."""
    columns = ("issued_at", "expires_at", "api_domain")
    return AccessToken.objects.filter(connection_id=connection.pk).values(*columns).first() or {}
