"""Taking over the .env of an earlier tool: both families of keys, no value shown, nothing half stored."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connection as database

from portal.connections.env_file import Unusable, read
from portal.models import AuditEntry, Connection

SECRET, TOKEN, CLIENT = "s3cret#value", "1000.abcdef.fedcba", "1000.CLIENTID"

PREFIXED = f"""
# Zoho credentials
ZOHO_CLIENT_ID={CLIENT}
ZOHO_CLIENT_SECRET='{SECRET}'
export ZOHO_REFRESH_TOKEN="{TOKEN}"   # never share
ZOHO_API_DOMAIN=https://www.zohoapis.eu
ZOHO_ACCOUNTS_URL=https://accounts.zoho.eu/oauth/v2/token
"""
PLAIN = f"""CLIENT_ID = {CLIENT}\r
CLIENT_SECRET="{SECRET}"\r
REFRESH_TOKEN={TOKEN}\r
ACCOUNTS_URL=https://accounts.zoho.com.au\r
USER_EMAIL=boss@example.com\r
LEAD_ID=1\r
NEW_MOBILE=+15550100\r
"""
DOCUMENT = json.dumps({
    "client_id": CLIENT, "client_value_tmp": SECRET, "refresh_value_tmp": TOKEN, "base_url": "x", "n": 1,
})  # fmt: skip
pytestmark = pytest.mark.django_db


def call(tmp_path: Path, capsys: Any, text: str | bytes, *arguments: str) -> tuple[int, str]:
    """Exit status, and everything that was said."""
    path = tmp_path / "old.env"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    code, said = 0, ""
    try:
        call_command("import_env", "--file", str(path), *arguments)
    except CommandError as error:
        code, said = error.returncode, str(error)
    except SystemExit as end:
        code = int(end.code or 0)
    written = capsys.readouterr()
    said = written.err + written.out + said
    assert not [value for value in (SECRET, TOKEN, CLIENT) if value in said]
    return code, said


def stored(name: str = "imported") -> Connection:
    return Connection.objects.get(name=name, source=Connection.Source.STORED)


@pytest.mark.parametrize(
    ("text", "data_centre", "email"),
    [(PREFIXED, "EU", ""), (PLAIN, "AU", "boss@example.com"), (DOCUMENT, "US", ""), ("\ufeff" + PREFIXED, "EU", "")],
    ids=["prefixed", "plain", "json", "with a byte order mark"],
)
def test_both_families_of_keys_become_a_connection(
    tmp_path: Path, capsys: Any, text: str, data_centre: str, email: str
) -> None:
    environment = dict(os.environ)

    code, said = call(tmp_path, capsys, text)

    row = stored()
    assert code == 0, said
    assert (row.client_id, row.client_secret, row.refresh_token) == (CLIENT, SECRET, TOKEN)
    assert (row.data_centre, row.user_email, row.api_domain) == (data_centre, email, "")
    assert row.is_default
    assert dict(os.environ) == environment


def test_secrets_are_encrypted_and_the_audit_holds_none(tmp_path: Path, capsys: Any) -> None:
    call(tmp_path, capsys, PREFIXED)
    with database.cursor() as cursor:
        cursor.execute("select client_secret, refresh_token from portal_connection")
        raw = str(cursor.fetchall())
    assert SECRET not in raw
    assert TOKEN not in raw
    entry = AuditEntry.objects.get(action="connection added")
    assert entry.actor == "command"
    assert entry.details["secrets"] == ["client_secret", "refresh_token"]
    assert SECRET not in json.dumps(entry.details)


def test_keys_that_mean_nothing_here_are_named(tmp_path: Path, capsys: Any) -> None:
    assert "Ignored: LEAD_ID, NEW_MOBILE." in call(tmp_path, capsys, PLAIN)[1]


def test_a_missing_address_is_said_to_be_taken_for_the_us(tmp_path: Path, capsys: Any) -> None:
    assert "names no accounts address" in call(tmp_path, capsys, DOCUMENT)[1]


def test_the_api_address_says_where_the_account_lives(tmp_path: Path, capsys: Any) -> None:
    text = PREFIXED.replace("ZOHO_ACCOUNTS_URL", "#")
    assert call(tmp_path, capsys, text)[0] == 0
    assert stored().accounts_url == "https://accounts.zoho.eu"


def test_a_sandbox_stays_a_sandbox(tmp_path: Path, capsys: Any) -> None:
    assert call(tmp_path, capsys, PREFIXED.replace("www.zohoapis", "sandbox.zohoapis"))[0] == 0
    assert stored().api_domain == "https://sandbox.zohoapis.eu"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("", "The file lacks ZOHO_CLIENT_ID or CLIENT_ID, ZOHO_CLIENT_SECRET or CLIENT_SECRET"),
        (PREFIXED.replace(TOKEN, ""), "lacks ZOHO_REFRESH_TOKEN or REFRESH_TOKEN."),
        (PREFIXED.replace(TOKEN, "your_actual_refresh_token"), "lacks ZOHO_REFRESH_TOKEN or REFRESH_TOKEN."),
        (PREFIXED + "CLIENT_ID=other", "ZOHO_CLIENT_ID and CLIENT_ID have different values"),
        (PREFIXED.replace("accounts.zoho.eu", "accounts.zoho.example"), "is not an accounts server of Zoho"),
        (PLAIN.replace("accounts.zoho.com.au", "accounts.evil.example"), "is not an accounts server of Zoho"),
        (PREFIXED.replace("www.zohoapis.eu", "api.example"), "is not an API host of Zoho"),
        (PREFIXED.replace("www.zohoapis.eu", "www.zohoapis.in"), "belongs to EU and ZOHO_API_DOMAIN to IN"),
        (PLAIN.replace("boss@example.com", "boss"), "USER_EMAIL: Enter a valid email address"),
        ("{", "begins like JSON"),
        (b"\x00\x01", "cannot be read"),
    ],
)  # fmt: skip
def test_what_cannot_become_a_connection_ends_with_2_and_stores_nothing(
    tmp_path: Path, capsys: Any, text: str | bytes, says: str
) -> None:
    code, said = call(tmp_path, capsys, text)
    assert code == 2
    assert says in said
    assert not Connection.objects.exists()


def test_a_file_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="cannot be read") as raised:
        call_command("import_env", "--file", str(tmp_path / "none"))
    assert raised.value.returncode == 2


def test_lines_that_cannot_be_read_are_named_by_number_and_end_with_1(tmp_path: Path, capsys: Any) -> None:
    code, said = call(tmp_path, capsys, PREFIXED + f"some text\nOTHER='{SECRET}\n", "--json")
    assert code == 1
    assert "old.env:8:" in said
    assert "old.env:9:" in said
    account = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    assert account["state"] == "finished_with_errors"
    assert account["unreadable_lines"] == [8, 9]
    assert stored().refresh_token == TOKEN


def test_a_second_import_changes_only_what_differs(tmp_path: Path, capsys: Any) -> None:
    call(tmp_path, capsys, PLAIN, "--name", "Sales")
    Connection.objects.update(concurrency=7, daily_credits=123)

    assert "holds all of it already" in call(tmp_path, capsys, PLAIN, "--name", "Sales")[1]
    assert AuditEntry.objects.count() == 1

    code, said = call(
        tmp_path, capsys, PLAIN.replace('CLIENT_SECRET="s', 'CLIENT_SECRET="t'), "--name", "Sales", "--json"
    )
    row = stored("Sales")
    assert code == 0
    assert "was changed: client_secret." in said
    assert (row.client_secret, row.refresh_token, row.concurrency, row.daily_credits) == (
        "t" + SECRET[1:],
        TOKEN,
        7,
        123,
    )
    assert Connection.objects.count() == 1


def test_the_connection_of_the_environment_is_not_touched(tmp_path: Path, capsys: Any) -> None:
    code, said = call(tmp_path, capsys, PLAIN, "--name", "environment")
    assert code == 2
    assert "environment variables" in said


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("CLIENT_ID=a b", "a b"), ("CLIENT_ID=a#b", "a#b"), ("CLIENT_ID=a # b", "a"), ("CLIENT_ID=\"a # b\" # c", "a # b"),
        ("  export CLIENT_ID = 'a'", "a"), (r'CLIENT_ID="a\"b"', 'a"b'), (r"CLIENT_ID='a\nb'", r"a\nb"),
        ("CLIENT_ID=a=b==", "a=b=="), ("client_id=a", "a"), ("CLIENT_ID=old\nCLIENT_ID=a", "a"),
    ],
)  # fmt: skip
def test_lines_are_read_as_shells_read_them(line: str, value: str) -> None:
    assert read(line).values == {"client_id": value}


def test_a_value_never_stands_in_the_words_of_an_error() -> None:
    with pytest.raises(Unusable) as raised:
        read(f"CLIENT_SECRET={SECRET}\nZOHO_CLIENT_SECRET=other{SECRET}")
    assert SECRET not in str(raised.value)
