"""Re-encryption of stored secrets."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command

from portal import connections, key_rotation
from portal.models import AccessToken, Connection

pytestmark = pytest.mark.django_db
NEW = Fernet.generate_key().decode()


@pytest.fixture
def old(settings):
    """The key in force when the secrets were stored."""
    row = Connection.objects.create(vendor="zoho", name="A", client_id="x", client_secret="s-1", refresh_token="r-1")
    Connection.objects.create(vendor="zoho", name="B", client_id="x", client_secret="s-2")
    AccessToken.objects.create(connection=row, value="token-1")
    return settings.FIELD_ENCRYPTION_KEYS[0]


def run() -> dict:
    out = StringIO()
    call_command("rotate_keys", "--json", stdout=out)
    return json.loads(out.getvalue().splitlines()[-1])


def test_after_rotation_the_old_key_can_be_dropped(old, settings):
    settings.FIELD_ENCRYPTION_KEYS = [NEW, old]
    assert run() == {"run": None, "state": "finished", "rotated": 4, "current": 0, "unreadable": 0}
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    row = Connection.objects.get(name="A")
    assert (row.client_secret, row.refresh_token, row.access_token.value) == ("s-1", "r-1", "token-1")


def test_a_second_run_changes_nothing(old, settings):
    settings.FIELD_ENCRYPTION_KEYS = [NEW, old]
    run()
    before = key_rotation.stored_texts(Connection, "client_secret")
    assert run() == {"run": None, "state": "finished", "rotated": 0, "current": 4, "unreadable": 0}
    assert key_rotation.stored_texts(Connection, "client_secret") == before


def test_small_batches_lose_nothing(old, settings, monkeypatch):
    monkeypatch.setattr(key_rotation.stored_texts, "__kwdefaults__", {"after": 0, "limit": 1})
    settings.FIELD_ENCRYPTION_KEYS = [NEW, old]
    assert run()["rotated"] == 4


def test_a_secret_that_no_key_opens_is_counted_and_left_alone(old, settings, capsys):
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    before = key_rotation.stored_texts(Connection, "client_secret")
    out = StringIO()
    with pytest.raises(SystemExit) as exit_status:
        call_command("rotate_keys", "--json", stdout=out, stderr=StringIO())
    assert exit_status.value.code == 1
    assert json.loads(out.getvalue().splitlines()[-1])["unreadable"] == 4
    assert key_rotation.stored_texts(Connection, "client_secret") == before


def test_a_wrong_key_is_wrong_use(old, settings):
    settings.FIELD_ENCRYPTION_KEYS = ["not a key", old]
    with pytest.raises(CommandError, match="Key number 1") as error:
        call_command("rotate_keys")
    assert error.value.returncode == 2


def test_secrets_of_login_sessions_are_rotated_too(login, standin_url, settings):
    client = login("Operator")
    client.post(
        "/connections/temporary/",
        {
            "vendor": "zoho",
            "accounts_url": standin_url,
            "client_id": "standin-client",
            "client_secret": "standin-secret",
            "refresh_token": "standin-refresh",
        },
    )
    settings.FIELD_ENCRYPTION_KEYS = [NEW, *settings.FIELD_ENCRYPTION_KEYS]
    assert run()["rotated"] == 2
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    row = Connection.objects.get(source="temporary")
    assert connections.resolve_credentials(row).client_secret == "standin-secret"
