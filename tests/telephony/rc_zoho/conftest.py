"""Running the command and looking at everything that is stored."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.core.management import CommandError, call_command
from django.db import connection as database

from portal.connections.findings import Finding
from portal.models import Connection
from telephony.rc_zoho import importing
from tests.telephony.rc_zoho.trees import SECRET_VALUES


@dataclass
class Said:
    """What a command left behind: exit status, text, and its JSON line."""

    code: int
    text: str
    account: dict[str, Any]

    def file(self, path: str) -> dict[str, Any]:
        return next(file for file in self.account["files"] if file["path"] == path)

    def counts(self, noun: str) -> dict[str, int]:
        """Counts of one noun over all files, without the zeros."""
        sums: dict[str, int] = {}
        for file in self.account["files"]:
            for name, number in file["counts"].get(noun, {}).items():
                sums[name] = sums.get(name, 0) + number
        return {name: number for name, number in sums.items() if number}


def errors_of(said: Said, path: str) -> str:
    return " | ".join(said.file(path)["errors"])


def warnings_of(said: Said, path: str) -> str:
    return " | ".join(said.file(path)["warnings"])


@pytest.fixture
def checks(monkeypatch: Any) -> list[Connection]:
    """Connections that were checked, without a call to anybody."""
    checked: list[Connection] = []

    def check(connection: Connection) -> list[Finding]:
        checked.append(connection)
        return [Finding("Access token", "ok", "Works.")]

    monkeypatch.setattr(importing, "check", check)
    monkeypatch.setattr(importing.zoho_side, "compare", lambda: None)
    return checked


@pytest.fixture
def run_import(capsys: Any, checks: list[Connection]) -> Callable[..., Said]:
    """run_import(folder, "--dry-run"): no secret of the sample trees is ever printed."""

    def call(folder: Path, *arguments: str) -> Said:
        code, said = 0, ""
        try:
            call_command("import_rc_zoho", "--config-dir", str(folder), "--json", *arguments)
        except CommandError as error:
            code, said = error.returncode, str(error)
        except SystemExit as end:
            code = int(end.code or 0)
        written = capsys.readouterr()
        text = written.out + written.err + said
        assert [value for value in SECRET_VALUES if value in text] == []
        lines = [line for line in written.out.splitlines() if line.startswith('{"run"')]
        return Said(code, text, json.loads(lines[-1]) if lines else {})

    return call


@pytest.fixture
def everything(db: None) -> Callable[[], dict[str, list[Any]]]:
    """All rows of all tables, as the database holds them."""

    def look() -> dict[str, list[Any]]:
        tables = sorted({model._meta.db_table for model in apps.get_models(include_auto_created=True)})
        found = {}
        with database.cursor() as cursor:
            for table in tables:
                cursor.execute(f"SELECT * FROM {database.ops.quote_name(table)}")
                found[table] = sorted(map(repr, cursor.fetchall()))
        return found

    return look
