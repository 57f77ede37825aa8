"""The connections that environment variables define: rows without secrets, which are read from the settings at use."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import ProtectedError
from django.utils.crypto import salted_hmac

from portal import runs
from portal.models import AccessToken, Connection, Vendor
from portal.remote import ringcentral_hosts, zoho_hosts
from portal.remote.credentials import Credentials
from portal.remote.errors import NotConfigured

NAME = "environment"
DIGEST = "credentials"


@dataclass(frozen=True)
class Variables:
    """Names of the settings of one vendor; a connection needs all of `required`."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()


VARIABLES: dict[str, Variables] = {
    Vendor.ZOHO: Variables(
        ("ZOHO_CLIENT_ID", "ZOHO_CLIENT_SECRET", "ZOHO_REFRESH_TOKEN"),
        ("ZOHO_ACCOUNTS_URL", "ZOHO_API_DOMAIN", "ZOHO_UPLOAD_URL"),
    ),
    Vendor.RINGCENTRAL: Variables(("RINGCENTRAL_CLIENT_ID", "RINGCENTRAL_CLIENT_SECRET", "RINGCENTRAL_JWT")),
}


def missing_variables(vendor: str) -> list[str]:
    """Required variables that are not set."""
    return [name for name in VARIABLES[vendor].required if not getattr(settings, name)]


def is_defined(vendor: str) -> bool:
    """Whether any variable of the vendor is set; those with a default of their own do not count."""
    variables = VARIABLES[vendor]
    return any(getattr(settings, name) for name in (*variables.required, *variables.optional))


def accounts_url(vendor: str) -> str:
    """The address that the variables name; Zoho's default is the US data centre, as documented in `.env.example`."""
    if vendor == Vendor.ZOHO:
        return str(settings.ZOHO_ACCOUNTS_URL or zoho_hosts.accounts_url("US"))
    return str(settings.RINGCENTRAL_SERVER_URL or ringcentral_hosts.DEFAULT_SERVER)


def credentials(vendor: str) -> Credentials:
    """What the settings hold now. Raises NotConfigured with the names of the variables that are missing."""
    missing = missing_variables(vendor)
    if missing:
        raise NotConfigured(_missing_text(missing), service=Vendor(vendor).label, endpoint="settings")
    if vendor == Vendor.ZOHO:
        return Credentials(
            client_id=settings.ZOHO_CLIENT_ID,
            client_secret=settings.ZOHO_CLIENT_SECRET,
            refresh_token=settings.ZOHO_REFRESH_TOKEN,
            accounts_url=zoho_hosts.accounts_origin(accounts_url(vendor)),
            api_domain=settings.ZOHO_API_DOMAIN,
        )
    return Credentials(
        client_id=settings.RINGCENTRAL_CLIENT_ID,
        client_secret=settings.RINGCENTRAL_CLIENT_SECRET,
        accounts_url=ringcentral_hosts.server_origin(accounts_url(vendor)),
        jwt=settings.RINGCENTRAL_JWT,
    )


def _missing_text(missing: list[str]) -> str:
    verb = "is" if len(missing) == 1 else "are"
    return f"{' and '.join(missing)} {verb} not set."


def sync(vendor: str) -> None:
    """Makes the vendor's `environment` row say what the settings say. Writes only when something changed."""
    row = Connection.objects.filter(vendor=vendor, source=Connection.Source.ENVIRONMENT).first()
    if not is_defined(vendor):
        if row is not None:
            _retire(row)
        return
    if row is None:
        row, _ = Connection.objects.get_or_create(
            vendor=vendor, name=NAME, defaults={"source": Connection.Source.ENVIRONMENT}
        )
    try:
        wanted = _wanted(vendor)
    except NotConfigured as error:
        _change(row, {"client_id": "", "is_default": False} | _broken(error.message))
        return
    digest = _digest(vendor)
    if dict(row.report or {}).get(DIGEST) != digest:
        _renew(row, wanted, digest)
    else:
        _change(row, wanted)


def _wanted(vendor: str) -> dict[str, Any]:
    """Columns of the row as the settings define them. Raises NotConfigured for a missing variable or unknown host."""
    found = credentials(vendor)
    wanted: dict[str, Any] = {"client_id": found.client_id, "accounts_url": found.accounts_url}
    if vendor == Vendor.ZOHO:
        wanted |= {
            "data_centre": zoho_hosts.data_centre_of(found.accounts_url),
            "api_domain": zoho_hosts.checked_api_url(found.api_domain) if found.api_domain else "",
            "upload_url": settings.ZOHO_UPLOAD_URL,
            "concurrency": settings.ZOHO_CONCURRENCY,
        }
        if settings.ZOHO_UPLOAD_URL:
            zoho_hosts.check_vendor_url(settings.ZOHO_UPLOAD_URL)
    return wanted


def _digest(vendor: str) -> str:
    """Changes with the credentials and tells nothing about them: keyed with SECRET_KEY."""
    found = credentials(vendor)
    parts = (found.client_id, found.client_secret, found.refresh_token, found.jwt, found.accounts_url, found.api_domain)
    return salted_hmac("portal.connections.environment", "\0".join(parts), algorithm="sha256").hexdigest()


def _renew(row: Connection, wanted: dict[str, Any], digest: str) -> None:
    """Other credentials: the old access token is forgotten and the runs that waited for them go on."""
    AccessToken.objects.filter(connection=row).delete()
    unchecked: dict[str, Any] = {"report": {DIGEST: digest}, "state": Connection.State.UNCHECKED, "state_reason": ""}
    unchecked |= {"scopes": "", "daily_credits": 0}
    _change(row, wanted | unchecked)
    runs.reconnected(row)


def _broken(reason: str) -> dict[str, Any]:
    return {"state": Connection.State.RECONNECT, "state_reason": reason, "report": {}}


def _retire(row: Connection) -> None:
    """The variables are gone: so is the row, unless runs tell their history with it."""
    AccessToken.objects.filter(connection=row).delete()
    try:
        row.delete()
    except ProtectedError:
        names = ", ".join(VARIABLES[row.vendor].required)
        _change(row, {"client_id": "", "is_default": False} | _broken(f"{names} are not set any more."))


def _change(row: Connection, values: dict[str, Any]) -> None:
    changed = {name: value for name, value in values.items() if getattr(row, name) != value}
    if changed:
        Connection.objects.filter(pk=row.pk).update(**changed)
    for name, value in changed.items():
        setattr(row, name, value)
