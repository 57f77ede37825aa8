"""Credentials from the configuration file of an earlier tool: its .env, or its JSON with the same keys.

Nothing of the file gets into this process's environment, and no value of it into a message.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from django.contrib.auth.models import AnonymousUser
from django.db import transaction

from portal import connections
from portal.connections.forms import ConnectionForm
from portal.fields import Undecryptable
from portal.models import Connection, Vendor
from portal.remote import zoho_hosts
from portal.remote.errors import NotConfigured

DEFAULT_NAME = "imported"
# Column or secret of the connection → names of the keys, in any case of letters.
KEYS: dict[str, tuple[str, ...]] = {
    "client_id": ("ZOHO_CLIENT_ID", "CLIENT_ID"),
    "client_secret": ("ZOHO_CLIENT_SECRET", "CLIENT_SECRET", "CLIENT_VALUE_TMP"),
    "refresh_token": ("ZOHO_REFRESH_TOKEN", "REFRESH_TOKEN", "REFRESH_VALUE_TMP"),
    "accounts_url": ("ZOHO_ACCOUNTS_URL", "ACCOUNTS_URL", "REFRESH_TOKEN_URL"),
    "api_domain": ("ZOHO_API_DOMAIN", "API_DOMAIN"),
    "upload_url": ("ZOHO_UPLOAD_URL",),
    "concurrency": ("ZOHO_CONCURRENCY",),
    "user_email": ("USER_EMAIL", "ZOHO_USER_EMAIL"),
}
REQUIRED = ("client_id", "client_secret", "refresh_token")
COLUMN_OF = {key: column for column, keys in KEYS.items() for key in keys}
_LINE = re.compile(r"\s*(?:export\s+)?([A-Za-z_][A-Za-z0-9_.-]*)\s*=\s*(.*?)\s*", re.DOTALL)
_QUOTED = re.compile(r"""(?:'([^']*)'|"((?:[^"\\]|\\.)*)")\s*(?:\#.*)?""")
_ESCAPED = {"n": "\n", "r": "\r", "t": "\t"}
# What templates of the earlier tools hold before somebody fills them in.
_PLACEHOLDER = re.compile(r"your[_ -].*|<.*>|\.\.\.", re.IGNORECASE)


class Unusable(Exception):
    """The file cannot become a connection; the text says why, without a value."""


@dataclass
class Found:
    """What a file holds. `names`: the key that each column came from; `ignored`: keys that mean nothing here."""

    values: dict[str, str] = field(default_factory=dict)
    names: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    unreadable: list[int] = field(default_factory=list)

    @property
    def missing(self) -> list[str]:
        return [" or ".join(KEYS[column][:2]) for column in REQUIRED if column not in self.values]


@dataclass(frozen=True)
class Stored:
    """`changed`: columns and secrets that are new or differ. `assumed_us`: no address in the file named the place."""

    connection: Connection
    is_new: bool
    changed: list[str]
    assumed_us: bool


def read(text: str) -> Found:
    """The keys of the file. Raises Unusable when two names of one thing have different values, or for broken JSON."""
    found = Found()
    for name, value in _json_pairs(text) if text.lstrip().startswith("{") else _env_pairs(text, found):
        column = COLUMN_OF.get(name.upper())
        if column is None:
            found.ignored.append(name)
        elif value and not _PLACEHOLDER.fullmatch(value):
            if found.values.get(column, value) != value:
                raise Unusable(f"{found.names[column]} and {name} have different values. Remove one of them.")
            found.values[column] = value
            found.names.setdefault(column, name)
    return found


def _env_pairs(text: str, found: Found) -> list[tuple[str, str]]:
    """NAME=value lines: quotes, `export`, comments. The numbers of lines that are none of it are kept."""
    pairs = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        value = _value(match.group(2)) if match else None
        if match is None or value is None:
            found.unreadable.append(number)
        else:
            pairs[match.group(1)] = value
    return list(pairs.items())


def _value(text: str) -> str | None:
    """The value behind the equals sign; None for a quote that does not end."""
    if text[:1] in ("'", '"'):
        quoted = _QUOTED.fullmatch(text)
        if quoted is None:
            return None
        if quoted.group(1) is not None:
            return quoted.group(1)
        return re.sub(r"\\(.)", lambda match: _ESCAPED.get(match.group(1), match.group(1)), quoted.group(2))
    return "" if text.startswith("#") else re.split(r"\s+#", text, maxsplit=1)[0]


def _json_pairs(text: str) -> list[tuple[str, str]]:
    try:
        content: dict[str, Any] = json.loads(text)
    except ValueError as error:
        raise Unusable("The file begins like JSON but is none.") from error
    return [(name, value if isinstance(value, str) else "") for name, value in content.items()]


@transaction.atomic
def store(found: Found, name: str) -> Stored:
    """Adds the connection of that name, or changes the one that is stored. Raises Unusable."""
    if found.missing:
        raise Unusable(f"The file lacks {', '.join(found.missing)}.")
    rows = Connection.objects.filter(vendor=Vendor.ZOHO, name=name, source=Connection.Source.STORED)
    row = rows.defer(*connections.SECRET_COLUMNS).first()
    values, assumed_us = _placed(found)
    # Validating the form writes into the row, so what was there is looked up first.
    before = {column: getattr(row, column) for column in ConnectionForm.Meta.fields} if row else {}
    form = _form(values, name, row)
    if not form.is_valid():
        raise Unusable(" ".join(_told(found, column, list(map(str, said))) for column, said in form.errors.items()))
    secrets = {key: value for key, value in form.secrets().items() if value and not _is_stored(row, key, value)}
    columns = [each for each in ConnectionForm.Meta.fields if form.cleaned_data[each] != before.get(each, "")]
    connection = form.save(commit=False)
    if columns or secrets:
        connections.save(connection, secrets=secrets, changed=columns, user=AnonymousUser(), actor="command")
    return Stored(connection, row is None, sorted([*columns, *secrets]), assumed_us)


def _placed(found: Found) -> tuple[dict[str, str], bool]:
    """The values with an accounts address. Without one the API's address says where; without both it is the US, which
    is what the earlier tools took. An API address that Zoho names by itself is not stored."""
    values = dict(found.values)
    assumed_us = "accounts_url" not in values and "api_domain" not in values
    try:
        if "api_domain" in values:
            centre = zoho_hosts.data_centre_of_api(values["api_domain"])
            accounts = values.setdefault("accounts_url", _accounts_url(centre))
            if zoho_hosts.data_centre_of(accounts) != centre:
                raise Unusable(
                    f"{found.names['accounts_url']} belongs to {zoho_hosts.data_centre_of(accounts)} and "
                    f"{found.names['api_domain']} to {centre}. An account has one data centre: correct one of them."
                )
            if centre in zoho_hosts.DATA_CENTRES and values["api_domain"].rstrip("/") == zoho_hosts.api_url(centre):
                values["api_domain"] = ""
        values.setdefault("accounts_url", zoho_hosts.accounts_url("US"))
    except NotConfigured as error:
        raise Unusable(error.message) from error
    return values, assumed_us


def _accounts_url(centre: str) -> str:
    if centre == zoho_hosts.LOCAL:
        raise Unusable(f"The file lacks {' or '.join(KEYS['accounts_url'][:2])}.")
    return zoho_hosts.accounts_url(centre)


def _form(values: dict[str, str], name: str, row: Connection | None) -> ConnectionForm:
    """The form of the screens, with the same rules; what the file does not say stays as it is."""
    present = {bound.name: bound.value() for bound in ConnectionForm(instance=row)}
    kept = {column: "" if value is None else value for column, value in present.items()}
    return ConnectionForm(kept | {"data_centre": "", "vendor": Vendor.ZOHO, "name": name} | values, instance=row)


def _told(found: Found, column: str, said: list[str]) -> str:
    return f"{found.names.get(column, '--name' if column == 'name' else column)}: {' '.join(said)}"


def _is_stored(row: Connection | None, secret: str, value: str) -> bool:
    if row is None:
        return False
    try:
        return bool(getattr(row, secret) == value)
    except Undecryptable:
        return False
