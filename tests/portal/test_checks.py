"""System checks: each has an id, a sentence and a hint."""

from __future__ import annotations

from pathlib import Path

import pytest
from django.conf import settings as project
from django.core import checks as framework

from portal import checks
from portal.models import Connection

EXAMPLE = Path(project.BASE_DIR) / ".env.example"


def ids(found) -> list[str]:
    assert all(message.hint for message in found)
    return [message.id for message in found]


def own(**options) -> list[str]:
    return ids([message for message in framework.run_checks(**options) if str(message.id).startswith("portal.")])


def test_sane_settings_are_clean():
    assert own() == []


@pytest.mark.django_db
def test_a_readable_database_is_clean():
    Connection.objects.create(vendor="zoho", name="A", client_secret="s")
    assert checks.stored_secrets(None, databases=["default"]) == []


@pytest.mark.django_db
def test_an_unreadable_secret_is_named_without_its_value(settings):
    Connection.objects.create(vendor="zoho", name="A", client_secret="s")
    settings.FIELD_ENCRYPTION_KEYS = ["e0JkJzrxRCa0oFOZnGyGBpKXOmMIPdlqmNTRTbUGG1s="]
    found = checks.stored_secrets(None, databases=["default"])
    assert ids(found) == ["portal.W002"]
    assert "connection (client secret)" in found[0].msg


@pytest.mark.parametrize("keys", [[], ["no key"], ["HUsXB1gezvWLeXnx_bvxu7KZhWfIHZkbdm2IQbvMjkY=", "x"]])
def test_every_encryption_key_must_be_one(settings, keys):
    settings.FIELD_ENCRYPTION_KEYS = keys
    found = checks.encryption_keys(None)
    assert ids(found) == ["portal.E001"]
    assert "HUsX" not in found[0].msg


def test_folders_must_be_writable(settings, tmp_path):
    (tmp_path / "file").touch()
    settings.MEDIA_ROOT = tmp_path / "file"
    found = checks.writable_folders(None)
    assert ids(found) == ["portal.E003"]
    assert "MEDIA_ROOT" in found[0].msg


def test_a_folder_that_may_be_made_is_fine(settings, tmp_path):
    settings.MEDIA_ROOT = tmp_path / "a" / "b"
    assert checks.writable_folders(None) == []


@pytest.mark.parametrize("module", ["crm.no_such_module", "no_such_app.module"])
def test_each_kind_of_run_needs_its_module(settings, module):
    settings.RUN_KINDS = {"x": module}
    assert ids(checks.run_kinds(None)) == ["portal.E004"]


@pytest.mark.parametrize("url", ["http://127.0.0.1:8900", "https://localhost", "http://accounts.zoho.com"])
def test_insecure_vendors_are_refused_unless_allowed(settings, url):
    settings.ZOHO_ACCOUNTS_URL = url
    settings.ALLOW_INSECURE_VENDORS = False
    assert ids(checks.vendor_addresses(None)) == ["portal.E005"]


def test_a_stand_in_is_fine_where_it_is_allowed(settings):
    settings.ZOHO_ACCOUNTS_URL = "http://127.0.0.1:8900"
    settings.ALLOW_INSECURE_VENDORS = True
    assert checks.vendor_addresses(None) == []


def test_an_unknown_accounts_server_is_an_error(settings):
    settings.ZOHO_ACCOUNTS_URL = "https://accounts.zoho.example/oauth/v2/token"
    assert ids(checks.vendor_addresses(None)) == ["portal.E006"]


def test_missing_variables_are_named(settings):
    settings.ZOHO_CLIENT_ID = "x"
    found = checks.vendor_variables(None)
    assert ids(found) == ["portal.W007"]
    assert "ZOHO_CLIENT_SECRET and ZOHO_REFRESH_TOKEN are not set" in found[0].msg


def test_queue_timings_must_be_in_order(settings):
    settings.RUN_LEASE_SECONDS = 5.0
    assert ids(checks.queue_timings(None)) == ["portal.E008"]
    settings.RUN_LEASE_SECONDS = 75.0
    settings.Q_CLUSTER = settings.Q_CLUSTER | {"retry": 60}
    assert ids(checks.queue_timings(None)) == ["portal.E008"]


def test_the_log_format_is_one_of_two(settings):
    settings.LOG_FORMAT = "xml"
    assert ids(checks.log_format(None)) == ["portal.E009"]


def test_the_example_describes_every_variable_that_the_settings_read():
    import re

    source = (Path(project.BASE_DIR) / "portal" / "settings.py").read_text()
    read = set(re.findall(r'(?:env\.\w+|_key)\(\s*"([A-Z_]+)"', source))
    lines = EXAMPLE.read_text().splitlines()
    described = {
        match[1]: number for number, line in enumerate(lines) if (match := re.match(r"(?:# )?([A-Z_]+)=", line))
    }
    assert set(described) == read
    assert all(lines[number - 1].startswith("# ") for number in described.values())


@pytest.mark.parametrize(("rate", "expected"), [(0, []), (500, []), (-1, ["portal.E010"]), (501, ["portal.E010"])])
def test_calls_a_minute_are_none_or_as_many_as_can_be_counted(settings, rate, expected):
    settings.ZOHO_PER_MINUTE = rate
    assert ids(checks.calls_a_minute(None)) == expected
