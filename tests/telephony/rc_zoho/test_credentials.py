"""Encrypted credentials of both families: stored as connections, checked, never shown; a wrong key stores nothing."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.management import CommandError, call_command
from django.db import connection as database

from portal.models import AuditEntry, Connection
from telephony.models import LeadOwner, MailSettings
from telephony.rc_zoho.collection import from_folder
from telephony.rc_zoho.credentials import ROTATE, connection_name
from telephony.rc_zoho.importing import Importing
from tests.conftest import connection_to
from tests.telephony.rc_zoho import trees

pytestmark = pytest.mark.django_db
ENC = "data/credentials.enc"


def zoho_only(**values: str) -> dict[str, Any]:
    return {"zoho": {"client_id": "c", "client_secret": "s-e-c-r-e-t", "refresh_token": "t-o-k-e-n"} | values}


@pytest.mark.parametrize(
    ("secrets", "family", "number"), [(trees.SECRETS_R, "R", 7), (trees.SECRETS_M, "M", 6)], ids=["R", "M"]
)
def test_both_layouts_become_two_connections_named_after_the_installation(
    tmp_path: Path, run_import: Callable[..., Any], checks: list[Connection], secrets: Any, family: str, number: int
) -> None:
    folder = tmp_path / "harbour"
    trees.write_credentials(folder, secrets)

    said = run_import(folder, "--with-credentials")

    assert said.code == 0, said.text
    zoho = Connection.objects.get(vendor="zoho", name="harbour", source="stored")
    assert (zoho.client_id, zoho.client_secret, zoho.refresh_token) == (
        "1000.ZOHOCLIENT", "zoho-client-secret-value", "1000.refresh.token",
    )  # fmt: skip
    phones = Connection.objects.get(vendor="ringcentral", name="harbour", source="stored")
    assert (phones.client_id, phones.client_secret, phones.jwt) == (
        "rc-client-id", "rc-client-secret-value", "jwt-of-the-old-one",
    )  # fmt: skip
    assert said.file(ENC)["family"] == family
    assert said.counts("credential values") == {"unchanged": number}
    assert {row.pk for row in checks} == {zoho.pk, phones.pk}
    assert said.account["advice"] == [ROTATE]
    assert said.file(ENC)["unknown_keys"] == {}


def test_credentials_are_encrypted_at_rest_and_absent_from_audit_and_log(
    tmp_path: Path, run_import: Callable[..., Any], caplog: Any
) -> None:
    caplog.set_level(logging.DEBUG)
    trees.write_r(tmp_path)
    run_import(tmp_path, "--with-credentials")
    with database.cursor() as cursor:
        cursor.execute("SELECT client_secret, refresh_token, jwt FROM portal_connection")
        rows = str(cursor.fetchall())
        cursor.execute("SELECT password FROM telephony_mailsettings")
        rows += str(cursor.fetchall())
    audit = json.dumps(list(AuditEntry.objects.values_list("details", flat=True)))
    for value in trees.SECRET_VALUES:
        assert value not in rows + audit + caplog.text
    assert MailSettings.load().password == trees.SMTP_PASSWORD


def test_without_being_asked_credentials_are_not_read(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_r(tmp_path)
    trees.put(tmp_path, "data/encryption.key", b"broken")
    said = run_import(tmp_path)
    assert said.code == 0
    assert said.file(ENC)["note"] == "Not read: ask for it with --with-credentials."
    assert not Connection.objects.exists()


@pytest.mark.parametrize(
    ("key", "content", "says"),
    [
        (Fernet.generate_key(), None, "encryption.key does not open this file, so nothing was stored"),
        (b"no key at all", None, "encryption.key holds no Fernet key"),
        (b"", None, "encryption.key holds no Fernet key"),
        (b"\xff\xfe\x00", None, "encryption.key holds no Fernet key"),
        (trees.KEY, b"gAAAA-not-a-token", "encryption.key does not open this file"),
        (trees.KEY, Fernet(trees.KEY).encrypt(b"{"), "the opened content: line 1, column 2: this is no JSON"),
        (trees.KEY, Fernet(trees.KEY).encrypt(b"[]"), "the opened content is no object"),
        (trees.KEY, Fernet(trees.KEY).encrypt(b"{}"), "the opened content holds no credentials"),
        (trees.KEY, Fernet(trees.KEY).encrypt(b'{"rc_jwt": {"a": "hidden-value"}}'), "rc_jwt: the value is no text"),
        (trees.KEY, Fernet(trees.KEY).encrypt(b'{"zoho_client_id": "x"}'), "Zoho CRM: the file holds no client secret"),
    ],
)  # fmt: skip
def test_what_does_not_open_stores_nothing_and_erases_nothing(
    tmp_path: Path, run_import: Callable[..., Any], key: bytes, content: bytes | None, says: str
) -> None:
    trees.write_r(tmp_path / "branch")
    run_import(tmp_path / "branch", "--with-credentials")
    trees.put(tmp_path / "branch", "data/encryption.key", key)
    if content is not None:
        trees.put(tmp_path / "branch", ENC, content)

    said = run_import(tmp_path / "branch", "--with-credentials")

    assert said.code == 1
    assert says in " | ".join(said.file(ENC)["errors"])
    assert "hidden-value" not in said.text
    assert said.account["connections"] == []
    assert Connection.objects.get(vendor="zoho").refresh_token == "1000.refresh.token"
    assert Connection.objects.get(vendor="ringcentral").jwt == "jwt-of-the-old-one"


@pytest.mark.parametrize(("name", "says"), [("data/encryption.key", "its key"), (ENC, "There is no such file")])
def test_a_missing_half_is_said(tmp_path: Path, run_import: Callable[..., Any], name: str, says: str) -> None:
    trees.write_r(tmp_path)
    (tmp_path / name).unlink()
    said = run_import(tmp_path, "--with-credentials")
    assert said.code == 1
    assert says in " | ".join(said.file(ENC)["errors"])
    assert not Connection.objects.exists()


def test_one_vendor_without_all_its_values_stops_the_other_too(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_credentials(tmp_path, {key: trees.SECRETS_R[key] for key in trees.SECRETS_R if key != "rc_jwt"})
    said = run_import(tmp_path, "--with-credentials")
    assert "RingCentral: the file holds no jwt" in " | ".join(said.file(ENC)["errors"])
    assert not Connection.objects.exists()


def test_a_changed_secret_is_changed_and_named_without_its_value(
    tmp_path: Path, run_import: Callable[..., Any]
) -> None:
    trees.write_credentials(tmp_path, trees.SECRETS_R)
    run_import(tmp_path, "--with-credentials")
    trees.write_credentials(tmp_path, trees.SECRETS_R | {"rc_jwt": "another-jwt-value", "last_accessed": "2024"})
    said = run_import(tmp_path, "--with-credentials")
    assert said.counts("connections") == {"changed": 1, "unchanged": 1}
    assert said.file(ENC)["changes"] == ["connection RingCentral: jwt"]
    assert "another-jwt-value" not in said.text
    assert Connection.objects.get(vendor="ringcentral").jwt == "another-jwt-value"


def test_an_account_that_is_not_the_own_one_is_kept(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_credentials(tmp_path, trees.SECRETS_R | {"rc_account": "400123"})
    run_import(tmp_path, "--with-credentials")
    assert Connection.objects.get(vendor="ringcentral").organisation_id == "400123"
    assert "Zero changes" in run_import(tmp_path, "--with-credentials").text


def test_the_data_centre_is_assumed_aloud_or_named(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_credentials(tmp_path, zoho_only())
    said = run_import(tmp_path, "--with-credentials")
    assert "the US are taken" in " ".join(said.file(ENC)["warnings"])
    assert Connection.objects.get().data_centre == "US"
    run_import(tmp_path, "--with-credentials", "--data-centre", "EU")
    assert Connection.objects.get().accounts_url == "https://accounts.zoho.eu"
    assert "Zero changes" in run_import(tmp_path, "--with-credentials").text
    assert Connection.objects.get().data_centre == "EU"


def test_unknown_names_are_listed_and_their_values_not_kept(
    tmp_path: Path, run_import: Callable[..., Any], everything: Callable[[], Any]
) -> None:
    trees.write_credentials(tmp_path, trees.SECRETS_R | {"stripe": "value-of-another"})
    said = run_import(tmp_path, "--with-credentials")
    assert said.file(ENC)["unknown_keys"] == {"stripe": 1}
    assert "value-of-another" not in said.text + str(everything())


def test_the_environments_name_is_not_taken() -> None:
    assert connection_name("environment") == "imported environment"
    assert connection_name("x" * 100) == "x" * 80


# --- with a real check --------------------------------------------------------------------------------------------------


def imported(folder: Path, capsys: Any) -> tuple[int, dict[str, Any]]:
    code = 0
    try:
        call_command("import_rc_zoho", "--config-dir", str(folder), "--with-credentials", "--json")
    except (CommandError, SystemExit) as end:
        code = int(getattr(end, "returncode", 0) or getattr(end, "code", 0) or 0)
    return code, json.loads(capsys.readouterr().out.splitlines()[-1])


def test_a_connection_that_works_is_said_to(tmp_path: Path, capsys: Any, standin_url: str) -> None:
    connection_to(standin_url, name=tmp_path.name, refresh_token="outdated", state="reconnect")
    trees.write_credentials(
        tmp_path,
        zoho_only(client_id="standin-client", client_secret="standin-secret", refresh_token="standin-refresh"),
    )
    _, account = imported(tmp_path, capsys)
    findings = {each["step"]: each["level"] for each in account["connections"][0]["findings"]}
    assert findings["Access token"] == "ok"
    assert Connection.objects.get().state == Connection.State.WORKING


def test_a_vendor_that_cannot_be_reached_is_a_finding_and_the_import_stays(tmp_path: Path, capsys: Any) -> None:
    connection_to("http://127.0.0.1:9", name=tmp_path.name, refresh_token="outdated")
    trees.write_credentials(tmp_path, zoho_only())
    code, account = imported(tmp_path, capsys)
    assert code == 1
    assert account["state"] == "finished_with_errors"
    assert "fail" in {each["level"] for each in account["connections"][0]["findings"]}
    assert Connection.objects.get().refresh_token == "t-o-k-e-n"


def test_after_an_import_zoho_says_what_it_does_not_have(tmp_path: Path, capsys: Any, zoho: Connection) -> None:
    tree = trees.mappings()
    tree["accepted_calls"]["No_Such_Field"] = "${caller_name}"
    tree["lead_status"]["new"] = "Never Heard Of"
    trees.write_m(tmp_path)
    trees.put(tmp_path, "data/zoho_field_mappings.json", tree)

    code, account = imported(tmp_path, capsys)

    said = " ".join(each["what"] for each in account["connections"][-1]["findings"])
    assert "5 of 5 owners are no active users in Zoho" in said
    assert "No_Such_Field" in said
    assert "“Never Heard Of” is not in Zoho's list of Lead_Status" in said
    assert code == 1  # asked for credentials that are not there
    assert {each["level"] for each in account["connections"][-1]["findings"]} == {"warn"}


def test_a_zoho_that_does_not_answer_leaves_the_import_as_it_is(tmp_path: Path) -> None:
    connection_to("http://127.0.0.1:9")
    trees.write_m(tmp_path)
    report = Importing(from_folder(tmp_path)).run()
    assert [each.level for each in report.checked[-1].findings] == ["warn"]
    assert "Not compared." in report.checked[-1].findings[0].what
    assert not report.has_failures
    assert LeadOwner.objects.count() == 5
