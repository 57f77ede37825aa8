"""What differs from vendor to vendor, in one table; everything else in this package is the same for all."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings

from portal.models import Connection, Vendor
from portal.remote import error_bodies, ringcentral_hosts, zoho_hosts
from portal.remote.error_bodies import ErrorBody
from portal.remote.errors import NotConfigured

# The bucket in which token requests are counted.
AUTH_BUCKET = "auth"


@dataclass(frozen=True)
class Traits:
    """How one vendor signs, names and meters calls.

    `credits_pattern`: words in the message of a 429 that mean the daily credits, not the concurrency; None where there
    are no credits. `heavy_limit`: calls with `Request.heavy` in flight at once; None where there is no such limit.
    `buckets`: calls a minute of each rate bucket until the vendor states its own figure; none where calls have none.
    `own_rate`: for a vendor without buckets, calls a minute that are wanted at most; 0 for no such wish.
    `fresh_token_s`: a refused token may have been revoked, so it is replaced; when its replacement is refused at an age
    below this, a right is missing, and another login would only repeat it. `global_rate_codes`: refusals that concern
    every bucket.
    `names_scopes`: each token answer lists the granted scopes, which an administrator may have changed.
    """

    service: str
    authorization: str
    check_url: Callable[[str], None]
    read_error: Callable[[Any], ErrorBody]
    refresh_codes: frozenset[str]
    scope_codes: frozenset[str]
    rate_codes: frozenset[str]
    outage_codes: frozenset[str]
    request_id_headers: tuple[str, ...]
    credits_pattern: re.Pattern[str] | None = None
    credits_header: str = ""
    heavy_limit: Callable[[], int] | None = None
    buckets: Mapping[str, Callable[[], int]] = field(default_factory=dict)
    own_rate: Callable[[], int] | None = None
    global_rate_codes: frozenset[str] = frozenset()
    fresh_token_s: float = 0.0
    names_scopes: bool = False


TRAITS: Mapping[str, Traits] = {
    # Codes: Zoho's catalogue for v8. A 401 without any code is refreshed once too: a proxy may have eaten the body.
    Vendor.ZOHO: Traits(
        service=zoho_hosts.SERVICE,
        authorization="Zoho-oauthtoken {token}",
        check_url=zoho_hosts.check_vendor_url,
        read_error=error_bodies.of_zoho,
        refresh_codes=frozenset({"", "INVALID_TOKEN", "INVALID_OAUTHTOKEN"}),
        scope_codes=frozenset({"OAUTH_SCOPE_MISMATCH"}),
        rate_codes=frozenset({"TOO_MANY_REQUESTS"}),
        outage_codes=frozenset({"INTERNAL_ERROR", "DEPENDENT_SERVICE_ERROR"}),
        request_id_headers=("X-Request-Id",),
        credits_pattern=re.compile(r"credit|daily|24 hours|per day|quota", re.IGNORECASE),
        credits_header="X-API-CREDITS-REMAINING",
        heavy_limit=lambda: int(settings.ZOHO_HEAVY_CONCURRENCY),
        own_rate=lambda: int(settings.ZOHO_PER_MINUTE),
    ),
    # Codes and buckets: RingCentral's error and rate-limit guides. The 60 seconds are those after which App Connect,
    # RingCentral's own connector, takes a 401 for an expired token again.
    Vendor.RINGCENTRAL: Traits(
        service=ringcentral_hosts.SERVICE,
        authorization="Bearer {token}",
        check_url=ringcentral_hosts.check_vendor_url,
        read_error=error_bodies.of_ringcentral,
        refresh_codes=frozenset({"", "OAU-128", "OAU-129", "OAU-149", "OAU-213", "CMN-405", "TokenInvalid"}),
        scope_codes=frozenset(
            {"CMN-401", "CMN-402", "CMN-403", "CMN-404", "CMN-408", "CMN-419", "InsufficientPermissions"}
        ),
        rate_codes=frozenset({"CMN-301", "CMN-302", "CMN-303", "CMN-304", "CMN-310"}),
        outage_codes=frozenset({"CMN-201", "CMN-203"}),
        request_id_headers=("RCRequestId", "X-Request-Id"),
        buckets={
            "light": lambda: int(settings.RINGCENTRAL_LIGHT_PER_MINUTE),
            "medium": lambda: int(settings.RINGCENTRAL_MEDIUM_PER_MINUTE),
            "heavy": lambda: int(settings.RINGCENTRAL_HEAVY_PER_MINUTE),
            AUTH_BUCKET: lambda: int(settings.RINGCENTRAL_AUTH_PER_MINUTE),
        },
        global_rate_codes=frozenset({"CMN-310"}),
        fresh_token_s=60.0,
        names_scopes=True,
    ),
}


def traits_of(connection: Connection) -> Traits:
    """Raises NotConfigured for a vendor that is not in the table."""
    traits = TRAITS.get(connection.vendor)
    if traits is None:
        raise NotConfigured("This vendor is not supported.", service=connection.vendor or "?", endpoint="settings")
    return traits
