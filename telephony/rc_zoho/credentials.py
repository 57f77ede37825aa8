"""credentials.enc with its encryption.key: the secrets of both vendors, as stored connections. No value is ever said.

The key lay beside what it opens, so all of it should be replaced after the import.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings
from django.contrib.auth.models import AnonymousUser

from portal import connections
from portal.connections import environment as environment_connections
from portal.connections.forms import ConnectionForm
from portal.fields import Undecryptable
from portal.models import Connection, Vendor
from portal.remote import redact, zoho_hosts
from telephony.rc_zoho.collection import ConfigFile
from telephony.rc_zoho.json_text import Unreadable, load
from telephony.rc_zoho.report import FileReport
from telephony.rc_zoho.shapes import Table

# Vendor → column of the connection → key, by family: nested objects in M, all keys beside each other in R.
_KEYS_M = {
    Vendor.RINGCENTRAL: {"client_id": "client_id", "client_secret": "client_secret", "jwt": "jwt_private_key"},
    Vendor.ZOHO: {"client_id": "client_id", "client_secret": "client_secret", "refresh_token": "refresh_token"},
}
_KEYS_R = {
    Vendor.RINGCENTRAL: {"client_id": "rc_client_id", "client_secret": "rc_client_secret", "jwt": "rc_jwt"},
    Vendor.ZOHO: {
        "client_id": "zoho_client_id", "client_secret": "zoho_client_secret", "refresh_token": "zoho_refresh_token",
    },
}  # fmt: skip
_INFORMATIONAL = ("timestamp", "last_accessed")
OWN_ACCOUNT = "~"
DEFAULT_CENTRE = "US"
LONGEST_NAME = 80
ROTATE = (
    "Replace all of these secrets soon: the key that opened them lay beside them. Make a new client secret and JWT in "
    "RingCentral's developer console and a new client secret in Zoho's API console, then authorise anew."
)


@dataclass(frozen=True)
class Opened:
    """What the file holds: per vendor the values by column, and RingCentral's account where it is not the own one."""

    values: dict[Vendor, dict[str, str]]
    account: str


def apply(file: ConfigFile, name: str, data_centre: str) -> list[Connection]:
    """Stores a connection of each vendor whose values are complete, and returns them all."""
    report = file.report
    opened = _opened(file)
    if opened is None or report.errors:
        return []
    stored = []
    for vendor, values in opened.values.items():
        if not values:
            continue
        missing = [
            column.replace("_", " ") for column in ("client_id", *connections.SECRETS[vendor]) if not values.get(column)
        ]
        if missing:
            report.fail(f"{vendor.label}: the file holds no {' and no '.join(missing)}, so nothing of it was stored.")
            continue
        connection = _store(vendor, values, connection_name(name), opened.account, data_centre, report)
        if connection is not None:
            stored.append(connection)
    return stored


def connection_name(source: str) -> str:
    """The installation's name, unless that is kept for the environment's connections."""
    name = source.strip()[:LONGEST_NAME] or "imported"
    return "imported environment" if name.lower() == environment_connections.NAME else name


def _opened(file: ConfigFile) -> Opened | None:
    """The decrypted values; None with an error in the report. A file that does not open is not “no credentials”."""
    report = file.report
    try:
        plain = Fernet(file.key.strip()).decrypt(file.content.strip())
    except ValueError:
        report.fail("encryption.key holds no Fernet key (44 characters), so nothing was opened or stored.")
        return None
    except InvalidToken:
        report.fail("encryption.key does not open this file, so nothing was stored. Is it the key of another one?")
        return None
    try:
        value = load(plain)
    except Unreadable as error:
        report.fail(f"the opened content: {error}")
        return None
    if not isinstance(value, dict):
        report.fail("the opened content is no object with credentials.")
        return None
    return _values(value, report)


def _values(value: dict[str, Any], report: FileReport) -> Opened:
    top = Table(value, "", report)
    is_m = any(isinstance(value.get(vendor), dict) for vendor in Vendor.values)
    report.family = "M" if is_m else "R"
    found: dict[Vendor, dict[str, str]] = {}
    for vendor, keys in (_KEYS_M if is_m else _KEYS_R).items():
        table = top.table(vendor.value) if is_m else top
        read = {column: table.secret(key) for column, key in keys.items()}
        found[vendor] = {column: text for column, text in read.items() if text}
        redact.remember(*(text for column, text in found[vendor].items() if column != "client_id"))
    account = "" if is_m else (top.secret("rc_account", 40) or "")
    for key in () if is_m else _INFORMATIONAL:
        top.take(key)
    count = sum(map(len, found.values())) + bool(account)
    report.tally("credential values").unchanged += count
    if not count:
        report.fail("the opened content holds no credentials of RingCentral or Zoho.")
    # Only names are listed: what is unknown here may be a secret of something else.
    top.rest()
    return Opened(found, "" if account == OWN_ACCOUNT else account)


def _store(
    vendor: Vendor, values: dict[str, str], name: str, account: str, data_centre: str, report: FileReport
) -> Connection | None:
    row = Connection.objects.filter(vendor=vendor, name=name, source=Connection.Source.STORED).defer(
        *connections.SECRET_COLUMNS
    ).first()  # fmt: skip
    place = _place(vendor, row, data_centre, report)
    # Validating the form writes into the row, so what was there is looked up first.
    before = {column: getattr(row, column) for column in ConnectionForm.Meta.fields} if row else {}
    form = _form(vendor, name, row, values, place)
    if not form.is_valid():
        for column, said in form.errors.items():
            report.fail(f"{vendor.label}: {column.replace('_', ' ')}: {' '.join(map(str, said))}")
        return None
    secrets = {key: text for key, text in form.secrets().items() if text and not _is_stored(row, key, text)}
    columns = [each for each in ConnectionForm.Meta.fields if form.cleaned_data[each] != before.get(each, "")]
    connection: Connection = form.save(commit=False)
    if vendor == Vendor.RINGCENTRAL and account and connection.organisation_id != account:
        connection.organisation_id = account
        columns.append("organisation_id")
    tally = report.tally("connections")
    if not columns and not secrets:
        tally.unchanged += 1
        return connection
    connections.save(connection, secrets=secrets, changed=columns, user=AnonymousUser(), actor="import")
    if row is None:
        tally.new += 1
    else:
        tally.changed += 1
        report.change(f"connection {vendor.label}: {', '.join(sorted([*columns, *secrets]))}")
    return connection


def _place(vendor: Vendor, row: Connection | None, data_centre: str, report: FileReport) -> dict[str, str]:
    """Where the account lives. The file does not say; a present connection keeps its place unless one is named."""
    if vendor == Vendor.RINGCENTRAL:
        return {} if row else {"accounts_url": settings.RINGCENTRAL_SERVER_URL}
    if row is not None and not data_centre:
        return {}
    if not data_centre:
        report.warn(
            "The file does not say in which data centre the Zoho account lives; the US are taken, as in the earlier "
            "tool. If that is wrong, name it with --data-centre."
        )
    return {"accounts_url": zoho_hosts.accounts_url(data_centre or DEFAULT_CENTRE), "data_centre": ""}


def _form(
    vendor: Vendor, name: str, row: Connection | None, values: dict[str, str], place: dict[str, str]
) -> ConnectionForm:
    """The form of the screens, with the same rules; what the file does not say stays as it is."""
    present = {bound.name: bound.value() for bound in ConnectionForm(instance=row)}
    kept = {column: "" if value is None else value for column, value in present.items()}
    return ConnectionForm(kept | {"vendor": vendor, "name": name} | place | values, instance=row)


def _is_stored(row: Connection | None, secret: str, value: str) -> bool:
    if row is None:
        return False
    try:
        return bool(getattr(row, secret) == value)
    except Undecryptable:
        return False
