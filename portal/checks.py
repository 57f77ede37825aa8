"""System checks: what would fail later is said at the start, each with a hint."""

from __future__ import annotations

import os
from collections.abc import Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register
from django.db import connections as databases_by_alias

from portal import key_rotation
from portal.connections import environment as environment_connections
from portal.fields import Undecryptable, decrypt
from portal.models import Vendor
from portal.remote import zoho_hosts
from portal.remote.addresses import LOOPBACK
from portal.remote.buckets import LARGEST_LIMIT
from portal.remote.errors import NotConfigured

SAMPLE = 1000
LOG_FORMATS = ("text", "json")
VENDOR_URLS = (
    "ZOHO_ACCOUNTS_URL",
    "ZOHO_API_DOMAIN",
    "ZOHO_UPLOAD_URL",
    "RINGCENTRAL_SERVER_URL",
    "RINGCENTRAL_MEDIA_URL",
)


@register(Tags.security)
def encryption_keys(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """All keys must be Fernet keys, and there must be one."""
    hint = (
        "Make one with: python -c 'from cryptography.fernet import Fernet; print(Fernet.generate_key().decode())' "
        "and list the newest first, separated by commas."
    )
    if not settings.FIELD_ENCRYPTION_KEYS:
        return [Error("FIELD_ENCRYPTION_KEYS is empty.", hint=hint, id="portal.E001")]
    for number, key in enumerate(settings.FIELD_ENCRYPTION_KEYS, start=1):
        try:
            Fernet(key)
        except ValueError:
            return [Error(f"Key number {number} of FIELD_ENCRYPTION_KEYS is not valid.", hint=hint, id="portal.E001")]
    return []


@register(Tags.database)
def stored_secrets(app_configs: Any, databases: Sequence[str] | None = None, **kwargs: Any) -> list[CheckMessage]:
    """A warning, not an error: `migrate` runs this check too and must stay possible while a key is looked for."""
    if not databases or "default" not in databases or encryption_keys(None):
        return []
    tables = set(databases_by_alias["default"].introspection.table_names())
    found = [
        f"{model._meta.verbose_name} ({name.replace('_', ' ')})"
        for model, names in key_rotation.encrypted_columns()
        if model._meta.db_table in tables
        for name in names
        if any(not _opens(stored) for _, stored in key_rotation.stored_texts(model, name, limit=SAMPLE))
    ]
    if not found:
        return []
    return [
        Warning(
            f"Stored secrets cannot be decrypted: {', '.join(found)}.",
            hint="Add the key that encrypted them to FIELD_ENCRYPTION_KEYS, or enter these secrets again.",
            id="portal.W002",
        )
    ]


def _opens(stored: str) -> bool:
    try:
        decrypt(stored)
    except Undecryptable:
        return False
    return True


@register(Tags.files)
def writable_folders(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    hint = "Give the account that runs the portal write permission to it, or name another folder."
    return [
        Error(f"{name} ({path}) cannot be written to.", hint=hint, id="portal.E003")
        for name, path in (("VAR_DIR", settings.VAR_DIR), ("MEDIA_ROOT", settings.MEDIA_ROOT))
        if not is_writable(Path(path))
    ]


def is_writable(path: Path) -> bool:
    """Also true of a folder that does not exist yet but may be made."""
    existing = next(each for each in (path, *path.parents) if each.exists())
    return existing.is_dir() and os.access(existing, os.W_OK | os.X_OK)


@register()
def run_kinds(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Looks the modules up without running them."""
    messages: list[CheckMessage] = []
    for kind, module in settings.RUN_KINDS.items():
        try:
            is_there = find_spec(module) is not None
        except ImportError:
            is_there = False
        if not is_there:
            hint = "Correct RUN_KINDS in portal/settings.py: each kind names a module with a function work(lease)."
            messages.append(
                Error(f"The module {module} of the kind {kind} does not exist.", hint=hint, id="portal.E004")
            )
    return messages


@register(Tags.security)
def vendor_addresses(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Plain HTTP and loopback addresses are for the stand-in; an unknown accounts server is never taken for the US."""
    messages: list[CheckMessage] = []
    for name in VENDOR_URLS:
        parts = urlsplit(getattr(settings, name))
        is_insecure = parts.scheme == "http" or parts.hostname in LOOPBACK
        if is_insecure and not settings.ALLOW_INSECURE_VENDORS:
            hint = "Use the vendor's https:// address. For a stand-in only, set ALLOW_INSECURE_VENDORS=true."
            messages.append(Error(f"{name} is on this machine or uses plain HTTP.", hint=hint, id="portal.E005"))
    if messages or not settings.ZOHO_ACCOUNTS_URL:
        return messages
    try:
        zoho_hosts.data_centre_of(settings.ZOHO_ACCOUNTS_URL)
    except NotConfigured as error:
        hint = "Set ZOHO_ACCOUNTS_URL to the accounts server of the data centre where the account lives."
        messages.append(Error(f"ZOHO_ACCOUNTS_URL: {error.message}", hint=hint, id="portal.E006"))
    return messages


@register()
def vendor_variables(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """Some of a vendor's variables are set and others are not."""
    messages: list[CheckMessage] = []
    for vendor in Vendor:
        missing = environment_connections.missing_variables(vendor)
        if missing and environment_connections.is_defined(vendor):
            verb = "is" if len(missing) == 1 else "are"
            messages.append(
                Warning(
                    f"{' and '.join(missing)} {verb} not set, other variables of {vendor.label} are.",
                    hint="Set all of them, or none and add the connection on the Connections page.",
                    id="portal.W007",
                )
            )
    return messages


@register()
def queue_timings(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    """slice < lease < timeout < retry: else a run is worked twice, or waits for a net that is too wide."""
    queue = settings.Q_CLUSTER
    order = (
        ("RUN_SLICE_SECONDS", settings.RUN_SLICE_SECONDS),
        ("RUN_LEASE_SECONDS", settings.RUN_LEASE_SECONDS),
        ("Q_CLUSTER timeout", queue["timeout"]),
        ("Q_CLUSTER retry", queue["retry"]),
    )
    hint = "Keep this order: RUN_SLICE_SECONDS < RUN_LEASE_SECONDS < Q_CLUSTER timeout < Q_CLUSTER retry."
    return [
        Error(f"{small} ({smaller}) must be less than {large} ({larger}).", hint=hint, id="portal.E008")
        for (small, smaller), (large, larger) in pairwise(order)
        if not smaller < larger
    ]


@register()
def log_format(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if settings.LOG_FORMAT in LOG_FORMATS:
        return []
    hint = f"Set LOG_FORMAT to {' or '.join(LOG_FORMATS)}."
    return [Error(f"LOG_FORMAT is “{settings.LOG_FORMAT}”.", hint=hint, id="portal.E009")]


@register()
def calls_a_minute(app_configs: Any, **kwargs: Any) -> list[CheckMessage]:
    if 0 <= settings.ZOHO_PER_MINUTE <= LARGEST_LIMIT:
        return []
    hint = f"Set it to a number from 1 to {LARGEST_LIMIT}, or to 0 for no such limit."
    return [Error(f"ZOHO_PER_MINUTE is {settings.ZOHO_PER_MINUTE}.", hint=hint, id="portal.E010")]
