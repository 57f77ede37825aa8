"""Words for what goes wrong while a connection is set up or checked: cause and remedy, never a secret."""

from __future__ import annotations

from portal.models import Connection, Vendor
from portal.remote import errors, ringcentral_hosts, zoho_hosts
from portal.remote.errors import Advice
from portal.remote.grants import ENDPOINT

CODE_LIFE = (
    "A code works once and not for long: two minutes when Zoho sent it here, one to ten minutes (as chosen in the API "
    "console) when a self client made it."
)
THREE_CHECKS = (
    "Check three things: client id and client secret belong together; the refresh token was made with this client; the "
    "data centre is the one where the account lives."
)


def describe(error: errors.RemoteError, connection: Connection, redirect_uri: str = "") -> Advice:
    """What happened and what to do, more exact than `errors.describe` where a connection is at stake."""
    if connection.vendor == Vendor.RINGCENTRAL:
        return _of_ringcentral(error, connection)
    by_code = _by_code(error.code, connection, redirect_uri)
    if by_code is not None:
        return by_code
    if isinstance(error, errors.BadReply) and error.endpoint == ENDPOINT:
        return Advice(
            f"{_server(connection)} answered without an access token; it may not be an accounts server.", THREE_CHECKS
        )
    if isinstance(error, errors.NotConfigured):
        return Advice(
            f"The connection is not set up completely: {error.message}",
            "Correct it under “Edit”, or the environment variables that define it. An address must be one of Zoho's.",
        )
    if _is_network(error):
        return _of_network(error, connection)
    if isinstance(error, errors.Unauthorized) and error.code == "INVALID_TOKEN":
        return Advice(
            "The API refuses an access token that the accounts server has just granted.",
            "Token and API are of different data centres, or the user was disabled. Choose the data centre where the "
            "account lives and authorise again.",
        )
    return errors.describe(error)


def _of_ringcentral(error: errors.RemoteError, connection: Connection) -> Advice:
    if isinstance(error, errors.NotConfigured):
        return Advice(
            f"The connection is not set up completely: {error.message}",
            "Correct it under “Edit”, or the environment variables that define it. The server must be RingCentral's.",
        )
    if _is_network(error):
        return _of_network(error, connection)
    if error.endpoint == ENDPOINT and isinstance(error, errors.BadReply):
        return Advice(
            f"{_server(connection)} answered without an access token; it may not be RingCentral's API server.",
            f"Use {ringcentral_hosts.DEFAULT_SERVER}, or the server that RingCentral named for this account.",
        )
    if error.endpoint == ENDPOINT and isinstance(error, errors.Unauthorized):
        code = f" ({error.code})" if error.code else ""
        return Advice(f"RingCentral refused the login{code}. ({errors.reference(error)})", error.message)
    return errors.describe(error)


def _is_network(error: errors.RemoteError) -> bool:
    return isinstance(error, errors.Unavailable) and not isinstance(error, errors.CircuitOpen) and error.status is None


def _of_network(error: errors.RemoteError, connection: Connection) -> Advice:
    return Advice(
        f"No answer over the network from {_server(connection)}: {error.message}",
        "Check the network of this server: name resolution, firewall, outgoing HTTPS. Nothing is wrong with the "
        "credentials as far as is known.",
    )


def _server(connection: Connection) -> str:
    return connection.accounts_url.split("://")[-1] or "the accounts server"


def _by_code(code: str, connection: Connection, redirect_uri: str) -> Advice | None:
    """Errors of Zoho's accounts server, by the value of `error`."""
    others = ", ".join(each for each in zoho_hosts.DATA_CENTRES if each != connection.data_centre)
    wrong_place = (
        f"the client was registered in another data centre than {connection.data_centre or 'the one entered'} "
        f"(there are also {others})"
    )
    words = {
        "invalid_code": (
            "Zoho does not accept the code or refresh token (invalid_code): it expired, was used before, was revoked, "
            "or belongs to another data centre.",
            f"Authorise the connection again. {CODE_LIFE}",
        ),
        "invalid_client": (
            f"Zoho does not know the client (invalid_client). Either the client id is wrong, or {wrong_place}.",
            "Compare the client id with the API console; choose the data centre in whose console the client is listed, "
            "or switch on multi-data-centre support for it there.",
        ),
        "invalid_client_secret": (
            f"Zoho does not accept the client secret (invalid_client_secret). Either it is wrong, or {wrong_place}: "
            "with multi-data-centre support each data centre has a secret of its own.",
            "Copy the secret of this data centre from the API console and enter it under “Edit”.",
        ),
        "invalid_redirect_uri": (
            "The redirect address is not the one registered with the client (invalid_redirect_uri).",
            f"Register exactly this address in the API console: {redirect_uri or 'the one shown on this page'}",
        ),
        "access_denied": (
            "The authorisation was refused on Zoho's page (access_denied).",
            "Start again and accept, with a user who may grant these scopes.",
        ),
        "invalid_scope": (
            "Zoho does not know one of the scopes (invalid_scope).",
            "Choose fewer features or check the names of the modules, then start again.",
        ),
    }
    found = words.get(code)
    return Advice(*found) if found else None
