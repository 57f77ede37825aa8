"""What every address of a vendor must be before a secret goes there, whoever the vendor is."""

from __future__ import annotations

from urllib.parse import urlsplit

from django.conf import settings

from portal.remote.errors import NotConfigured

LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


def refuse(message: str, service: str) -> NotConfigured:
    return NotConfigured(message, service=service, endpoint="settings")


def checked_host(url: str, service: str) -> str:
    """Host of an address that may be used: https, or the loopback interface where settings allow it.

    Raises NotConfigured for any other scheme, an unusual port, or a user name in the address.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError:
        raise refuse("An address of the connection is not valid.", service) from None
    host = (parts.hostname or "").lower()
    if parts.username or parts.password:
        raise refuse("An address of the connection holds a user name or password. Remove it.", service)
    if host in LOOPBACK and parts.scheme in {"http", "https"}:
        if settings.ALLOW_INSECURE_VENDORS:
            return host
        raise refuse(f"The address {host} is on this machine, which only ALLOW_INSECURE_VENDORS=true permits.", service)
    if parts.scheme != "https" or not host:
        raise refuse("An address of the connection does not start with https://.", service)
    if port not in (None, 443):
        raise refuse(f"The host {host} is given with an unusual port. Remove the port.", service)
    return host


def origin(url: str) -> str:
    """Scheme, host and port of an address, without a path: both a base and a full token address are accepted."""
    parts = urlsplit(url.strip())
    return f"{parts.scheme}://{parts.netloc}"
