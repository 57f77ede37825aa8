"""The secrets of one connection while they are used. Where they are kept is not known here."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from portal.models import Connection


@dataclass(frozen=True)
class Credentials:
    """What opens an account. Addresses are checked when they are used, not here; secrets stay out of `repr`."""

    client_id: str
    client_secret: str = field(default="", repr=False)
    refresh_token: str = field(default="", repr=False)
    accounts_url: str = ""
    api_domain: str = ""
    jwt: str = field(default="", repr=False)

    @property
    def fingerprint(self) -> str:
        """Changes with the secrets, tells nothing about them: what was refused for one set may work for the next."""
        parts = (self.client_id, self.client_secret, self.refresh_token, self.jwt, self.accounts_url)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:12]


def of_row(connection: Connection) -> Credentials:
    """The credentials stored in the row itself."""
    return Credentials(
        client_id=connection.client_id,
        client_secret=connection.client_secret,
        refresh_token=connection.refresh_token,
        accounts_url=connection.accounts_url,
        api_domain=connection.api_domain,
        jwt=connection.jwt,
    )
