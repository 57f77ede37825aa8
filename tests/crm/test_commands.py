"""The commands in this process: wrong use ends with 2, failures with 1, and the last line is JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django_q.models import OrmQ

from portal.models import Connection, Run
from portal.standin import Standin

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def quick(settings: Any) -> None:
    settings.REMOTE_MAX_ATTEMPTS = 1


@pytest.fixture
def leads(plain_leads: Callable[[int], list[str]]) -> list[str]:
    return plain_leads(8)


@pytest.fixture
def ids_file(tmp_path: Path, leads: list[str]) -> Path:
    path = tmp_path / "ids.txt"
    path.write_text("\n".join([*leads, "oops", leads[0]]))
    return path


def refused(*arguments: Any) -> str:
    with pytest.raises(CommandError) as caught:
        call_command(*(str(argument) for argument in arguments))
    assert caught.value.returncode == 2
    assert not Run.objects.exists()
    return str(caught.value)


def account(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    return json.loads(capsys.readouterr().out.strip().splitlines()[-1])


# --- wrong use ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--status", "Nonsense"], "Allowed: "),
        (["--status", "Junk Lead", "--module", "Lead"], "Did you mean Leads"),
        (["--status", "Junk Lead", "--field", "Nonsense"], "has no field Nonsense"),
        (["--status", "Junk Lead", "--field", "Company"], "not a picklist field"),
        (["--status", "Junk Lead", "--connection", "Other"], "There is: Demo"),
    ],
    ids=str,
)
def test_a_wrong_value_is_named_with_what_there_is(
    zoho: Connection, ids_file: Path, standin: Standin, arguments: list[str], words: str
) -> None:
    assert words in refused("update_status", "--ids-file", ids_file, *arguments)
    assert not any(entry.method == "PUT" for entry in standin.counters.journal)


@pytest.mark.parametrize("view", ["12a", "²", "٣", "-1"])
def test_a_view_that_is_no_number_is_refused_without_a_request_for_it(
    zoho: Connection, standin: Standin, view: str
) -> None:
    assert "digits only" in refused("update_status", f"--cvid={view}", "--status", "Junk Lead")
    assert not any("cvid" in entry.query for entry in standin.counters.journal)


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "cannot be read"), (b"PK\x00", "not a text file"), (b"oops\n", "no usable record id")],
    ids=str,
)
def test_a_file_that_holds_no_ids_is_wrong_use(
    zoho: Connection, tmp_path: Path, content: bytes | None, words: str
) -> None:
    path = tmp_path / "ids.csv"
    if content is not None:
        path.write_bytes(content)
    assert words in refused("update_status", "--ids-file", path, "--status", "Junk Lead")


def test_a_file_that_is_too_large_is_wrong_use(zoho: Connection, tmp_path: Path) -> None:
    path = tmp_path / "big.txt"
    path.write_bytes(b"1" * (5 * 1024 * 1024 + 1))
    assert "larger than 5 MB" in refused("update_status", "--ids-file", path, "--status", "Junk Lead")


def test_without_a_connection_the_command_says_which_settings_are_missing(db: None, ids_file: Path) -> None:
    assert "ZOHO_" in refused("update_status", "--ids-file", ids_file, "--status", "Junk Lead")


def test_a_vendor_that_cannot_be_asked_is_told_with_a_remedy(
    zoho: Connection, ids_file: Path, standin: Standin
) -> None:
    standin.zoho.tokens.revoke("standin-refresh")
    assert "Reconnect" in refused("update_status", "--ids-file", ids_file, "--status", "Junk Lead")


@pytest.mark.parametrize("command", ["retry_run", "restore_run"])
def test_a_run_that_does_not_exist_or_is_of_another_kind_is_wrong_use(db: None, command: str) -> None:
    assert "There is no run 99" in refused(command, 99)
    run = Run.objects.create(kind="another", title="Another")
    with pytest.raises(CommandError, match="another kind") as caught:
        call_command(command, str(run.pk))
    assert caught.value.returncode == 2


# --- right use ----------------------------------------------------------------------------------------------------------


def test_without_wait_the_run_is_queued_and_its_address_printed(
    zoho: Connection, ids_file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("update_status", "--ids-file", str(ids_file), "--status", "Junk Lead")
    run = Run.objects.get()
    shown = capsys.readouterr()
    assert run.get_absolute_url() in shown.out
    assert f"{ids_file}:9: 'oops' left out" in shown.err
    assert "1 duplicates removed" in shown.err
    assert (run.state, run.trigger, run.requested_by, OrmQ.objects.count()) == ("queued", "command", None, 1)


def test_with_wait_the_run_is_worked_here_and_the_last_line_is_its_account(
    zoho: Connection, ids_file: Path, leads: list[str], standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("update_status", "--ids-file", str(ids_file), "--status", "Junk Lead", "--wait", "--json")
    run = Run.objects.get()
    assert account(capsys) == {
        "run": run.pk, "state": "finished", "wait": "", "planned": 8, "ok": 8, "failed": 0, "skipped": 0, "unknown": 0,
        "remaining": 0, "error": "",
    }  # fmt: skip
    assert {standin.record("Leads", record_id)["Lead_Status"] for record_id in leads} == {"Junk Lead"}
    assert all(entry.trigger is None for entry in standin.counters.journal if entry.method == "PUT")


def test_automation_can_be_switched_off(zoho: Connection, ids_file: Path, standin: Standin) -> None:
    call_command("update_status", "--ids-file", str(ids_file), "--status", "Junk Lead", "--automation", "off", "--wait")
    assert all(entry.trigger == [] for entry in standin.counters.journal if entry.method == "PUT")


def test_failures_end_with_1_and_retry_and_restore_follow(
    zoho: Connection, ids_file: Path, leads: list[str], standin: Standin, capsys: pytest.CaptureFixture[str],
    work: Callable[[Run], Run],
) -> None:  # fmt: skip
    before = {record_id: standin.record("Leads", record_id)["Lead_Status"] for record_id in leads}
    body = {"code": "NO_PERMISSION", "details": {}, "message": "permission denied", "status": "error"}
    standin.faults.add(method="PUT", nth=1, status=403, body=body)
    with pytest.raises(SystemExit) as caught:
        call_command("update_status", "--ids-file", str(ids_file), "--status", "Junk Lead", "--wait", "--json")
    assert caught.value.code == 1
    first = account(capsys)
    assert (first["state"], first["failed"]) == ("finished_with_errors", 8)

    with pytest.raises(CommandError, match="nothing to retry"):
        call_command("retry_run", str(first["run"]), "--code", "NONSENSE")
    call_command("retry_run", str(first["run"]), "--wait", "--json")
    second = account(capsys)
    assert (second["state"], second["ok"]) == ("finished", 8)
    call_command("restore_run", str(second["run"]), "--wait", "--json")
    assert account(capsys)["ok"] == 8
    assert {record_id: standin.record("Leads", record_id)["Lead_Status"] for record_id in leads} == before
    with pytest.raises(CommandError, match="overwritten nothing"):
        call_command("restore_run", str(first["run"]))


def test_a_dry_run_ends_well_and_writes_nothing(
    zoho: Connection, ids_file: Path, standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    call_command("update_status", "--ids-file", str(ids_file), "--status", "Junk Lead", "--dry-run", "--wait", "--json")
    assert account(capsys) | {"run": 0} == {
        "run": 0, "state": "waiting", "wait": "confirmation", "planned": 8, "ok": 0, "failed": 0, "skipped": 0,
        "unknown": 0, "remaining": 8, "error": "",
    }  # fmt: skip
    assert not any(entry.method == "PUT" for entry in standin.counters.journal)


def test_a_connection_to_be_renewed_ends_the_waiting_with_words_and_the_run_stays_open(
    zoho: Connection, ids_file: Path, standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    def revoke(number: int, request: Any) -> None:
        if request.method == "PUT":
            standin.before_effect = None
            standin.zoho.tokens.revoke("standin-refresh")
            standin.clock.advance(4000)

    standin.before_effect = revoke
    with pytest.raises(SystemExit) as caught:
        call_command("update_status", "--cvid", view_of_all(standin), "--status", "Junk Lead", "--wait", "--json")
    assert caught.value.code == 1
    shown = capsys.readouterr().out
    assert "It waits for the connection to be renewed." in shown
    assert json.loads(shown.strip().splitlines()[-1])["state"] == "waiting"


def view_of_all(standin: Standin) -> str:
    return next(view.id for view in standin.zoho.org.views.values() if view.name == "All Leads")
