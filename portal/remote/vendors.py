"""What differs from vendor to vendor, in one table; everything else in this package is the same for all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from django.conf import settings

from portal.models import Connection, Vendor
from portal.remote import zoho_hosts
from portal.remote.errors import NotConfigured


@dataclass(frozen=True)
class Traits:
    """How one vendor signs, names and meters calls.

    `error_keys`: fields of an error body in which the code stands, in order of trust. `credits_pattern`: words in the
    message of a 429 that mean the daily credits, not the concurrency.
    """

    service: str
    authorization: str
    check_url: Callable[[str], None]
    error_keys: tuple[str, ...]
    refresh_codes: frozenset[str]
    scope_codes: frozenset[str]
    rate_codes: frozenset[str]
    outage_codes: frozenset[str]
    credits_pattern: re.Pattern[str]
    credits_header: str
    request_id_headers: tuple[str, ...]
    heavy_limit: Callable[[], int]


TRAITS: Mapping[str, Traits] = {
    # Codes: Zoho's catalogue for v8. A 401 without any code is refreshed once too: a proxy may have eaten the body.
    Vendor.ZOHO: Traits(
        service=zoho_hosts.SERVICE,
        authorization="Zoho-oauthtoken {token}",
        check_url=zoho_hosts.check_vendor_url,
        error_keys=("code", "error"),
        refresh_codes=frozenset({"", "INVALID_TOKEN", "INVALID_OAUTHTOKEN"}),
        scope_codes=frozenset({"OAUTH_SCOPE_MISMATCH"}),
        rate_codes=frozenset({"TOO_MANY_REQUESTS"}),
        outage_codes=frozenset({"INTERNAL_ERROR", "DEPENDENT_SERVICE_ERROR"}),
        credits_pattern=re.compile(r"credit|daily|24 hours|per day|quota", re.IGNORECASE),
        credits_header="X-API-CREDITS-REMAINING",
        request_id_headers=("X-Request-Id",),
        heavy_limit=lambda: int(settings.ZOHO_HEAVY_CONCURRENCY),
    ),
}


def traits_of(connection: Connection) -> Traits:
    """Raises NotConfigured for a vendor that is not in the table."""
    traits = TRAITS.get(connection.vendor)
    if traits is None:
        raise NotConfigured("This vendor is not supported.", service=connection.vendor or "?", endpoint="settings")
    return traits
