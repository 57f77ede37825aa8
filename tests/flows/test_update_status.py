"""The command line, with the vendor in another process: what programs and schedules of the host rely on."""

from __future__ import annotations

import json
import subprocess
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portal.models import Connection, Run, RunItem
from tests.conftest import connection_to

pytestmark = [pytest.mark.processes, pytest.mark.django_db(transaction=True)]

LEADS = 10_000
FAULTS = [
    {"path": "/crm/v8/Leads", "probability": 0.0125, "status": 429, "headers": {"Retry-After": "0"}},
    {"path": "/crm/v8/Leads", "probability": 0.0125, "status": 500},
    {"path": "/crm/v8/Leads", "probability": 0.0125, "drop": "before"},
    {"path": "/crm/v8/Leads", "probability": 0.0125, "drop": "after"},
]


class Vendor:
    """The stand-in in another process, steered over its control door."""

    def __init__(self, url: str) -> None:
        self.url = url

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_standin/{path}", timeout=30) as reply:
            return json.load(reply)

    def post(self, path: str, body: Any) -> Any:
        request = urllib.request.Request(
            f"{self.url}/_standin/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=30) as reply:
            return json.load(reply)


Manage = Callable[..., subprocess.Popen[str]]


@pytest.fixture
def vendor(manage: Manage) -> Vendor:
    process = manage("standin", "--port=0", f"--leads={LEADS + 1000}")
    assert process.stdout is not None
    return Vendor(process.stdout.readline().split()[-1])


@pytest.fixture
def connection(vendor: Vendor) -> Connection:
    return connection_to(vendor.url)


def command(manage: Manage, *arguments: str, **extra: str) -> tuple[int, dict[str, Any], str]:
    process = manage(*arguments, **extra)
    out, err = process.communicate(timeout=280)
    lines = out.strip().splitlines()
    account = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    return process.returncode, account, out + err


def lead_ids(vendor: Vendor, count: int) -> list[str]:
    rows = vendor.post("records", {"module": "Leads", "fields": ["id"]})["data"]
    return [row["id"] for row in rows[:count]]


def test_ten_thousand_leads_are_right_and_accounted_for_though_one_call_in_twenty_fails(
    manage: Manage, vendor: Vendor, connection: Connection, tmp_path: Path
) -> None:
    vendor.post("faults", FAULTS)
    ids = lead_ids(vendor, LEADS)
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(ids))

    status, account, text = command(
        manage, "update_status", f"--ids-file={file}", "--status=Junk Lead", "--automation=off", "--wait", "--json",
        REMOTE_BACKOFF_S="0.05", REMOTE_BREAKER_FAILURES="50",
    )  # fmt: skip

    assert status in (0, 1), text
    assert account["planned"] == LEADS
    assert account["remaining"] == account["unknown"] == 0
    assert account["ok"] + account["failed"] + account["skipped"] == LEADS
    run = Run.objects.get(pk=account["run"])
    vendor.post("faults", [])
    shown = {
        row["id"]: row
        for start in range(0, LEADS, 1000)
        for row in vendor.post(
            "records", {"module": "Leads", "ids": ids[start : start + 1000], "fields": ["id", "Lead_Status"]}
        )["data"]
    }
    for item in run.items.all():
        changed = shown[item.key]["Lead_Status"] == "Junk Lead"
        if item.state == RunItem.State.OK or item.code == "UNCHANGED":
            assert changed, item.key
        else:
            assert not changed, (item.key, item.state, item.code)
    writes = vendor.get("writes?module=Leads")
    assert writes["effective_more_than_once"] == []
    assert account["failed"] == run.items.filter(state=RunItem.State.FAILED).exclude(code="").count()


def test_retry_and_restore_follow_a_run(manage: Manage, vendor: Vendor, connection: Connection, tmp_path: Path) -> None:
    file = tmp_path / "ids.csv"
    file.write_text("id\n" + "\n".join(lead_ids(vendor, 120)))
    _, account, _ = command(manage, "update_status", f"--ids-file={file}", "--status=On Hold", "--wait", "--json")

    status, restored, text = command(manage, "restore_run", str(account["run"]), "--wait", "--json")
    assert status == 0, text
    assert restored["ok"] == account["ok"]

    status, _, text = command(manage, "retry_run", str(restored["run"]), "--wait", "--json")
    assert status == 2
    assert "nothing to retry" in text


def test_a_dry_run_succeeds_and_leaves_the_vendor_as_it_was(
    manage: Manage, vendor: Vendor, connection: Connection, tmp_path: Path
) -> None:
    file = tmp_path / "ids.txt"
    file.write_text("\n".join(lead_ids(vendor, 30)))
    status, account, text = command(
        manage, "update_status", f"--ids-file={file}", "--status=On Hold", "--dry-run", "--wait", "--json"
    )
    assert status == 0, text
    assert account["planned"] == 30
    assert vendor.get("writes?module=Leads")["writes"] == 0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--ids-file=/no/such/file", "--status=On Hold"), "cannot be read"),
        (("--cvid=12a", "--status=On Hold"), "not a view number"),
        (("--cvid=123", "--status=Nonsense"), "not a value of Lead Status"),
        (("--cvid=123", "--status=On Hold", "--module=Lead"), "Did you mean Leads"),
        (("--cvid=123", "--status=On Hold", "--connection=Elsewhere"), "no connection"),
    ],
)
def test_wrong_use_says_what_is_wrong_and_ends_with_two(
    manage: Manage, connection: Connection, arguments: tuple[str, ...], words: str
) -> None:
    status, _, text = command(manage, "update_status", *arguments, "--wait", "--json")
    assert status == 2, text
    assert words in text
    assert not Run.objects.exists()
