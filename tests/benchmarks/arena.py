"""What the benchmarks share: a fresh database, the stand-in in another process, runs worked by `manage.py work_run`."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
from django.core.management import call_command
from django.db import connections as databases

from crm import bulk_update
from crm.selection import parse
from portal.models import Connection, Run, Vendor
from tests import benchmarks
from tests.conftest import connection_to

ROOT = Path(__file__).resolve().parents[2]
FACTS = ["id", "Lead_Status", "Converted__s", "Locked__s", "$process_flow", "$approval_state", "Layout"]


@contextmanager
def database() -> Iterator[str]:
    """A migrated database for this process and those it starts; gives the name of its kind."""
    if benchmarks.IS_POSTGRESQL:
        _on_server(f'CREATE DATABASE "{benchmarks.NAME}"')
    try:
        call_command("migrate", verbosity=0)
        yield "PostgreSQL" if benchmarks.IS_POSTGRESQL else "SQLite"
    finally:
        databases.close_all()
        if benchmarks.IS_POSTGRESQL:
            _on_server(f'DROP DATABASE "{benchmarks.NAME}" WITH (FORCE)')
        shutil.rmtree(benchmarks.FOLDER)


def _on_server(statement: str) -> None:
    with psycopg.connect(benchmarks.SERVER_URL, autocommit=True) as server:
        server.execute(statement)


def manage(*arguments: str, **options: Any) -> subprocess.Popen[str]:
    environment = os.environ | {"DJANGO_SETTINGS_MODULE": "portal.settings"}
    return subprocess.Popen([sys.executable, "manage.py", *arguments], cwd=ROOT, env=environment, text=True, **options)


class StandinProcess:
    """The vendor in another process, steered over its control door."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        self.url = process.stdout.readline().split()[-1]

    def get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/_standin/{path}", timeout=60) as reply:
            return json.load(reply)

    def post(self, path: str, body: Any) -> Any:
        content = {"Content-Type": "application/json"}
        request = urllib.request.Request(f"{self.url}/_standin/{path}", json.dumps(body).encode(), content)
        with urllib.request.urlopen(request, timeout=120) as reply:
            return json.load(reply)

    def leads(self) -> tuple[list[str], list[str]]:
        """Ids of all leads, and of those that nothing keeps from being changed in a batch to Junk Lead."""
        rows = self.post("records", {"module": "Leads", "fields": FACTS})["data"]
        return [row["id"] for row in rows], [row["id"] for row in rows if _is_plain(row)]


def _is_plain(row: dict[str, Any]) -> bool:
    blocked = row["Converted__s"] or row["Locked__s"] or row["$process_flow"] or row["$approval_state"] != "approved"
    return not blocked and row["Layout"]["name"] == "Standard" and row["Lead_Status"] != "Junk Lead"


@contextmanager
def standin(*, leads: int, latency_ms: int, calls: int = 0) -> Iterator[tuple[StandinProcess, Connection]]:
    """A stand-in with nothing done to it yet, and the only connection, which leads to it."""
    data = (f"--leads={leads}", f"--calls={calls}", f"--latency-ms={latency_ms}")
    process = manage("standin", "--port=0", *data, stdout=subprocess.PIPE)
    try:
        vendor = StandinProcess(process)
        Connection.objects.update(is_default=False)
        number = Connection.objects.count()
        yield vendor, connection_to(vendor.url, name=f"Benchmark {number}", vendor=Vendor.ZOHO, concurrency=10)
    finally:
        process.terminate()
        process.communicate()


def plan(connection: Connection, ids: Iterable[str], value: str = "Junk Lead") -> Run:
    return bulk_update.start(
        connection=connection,
        module="Leads",
        source={"type": "ids"},
        selection=parse("\n".join(ids)),
        change={"field": "Lead_Status", "value": value, "automation": True},
        confirmed=True,
    )


@dataclass(frozen=True)
class Worked:
    """A run that ended: seconds from its first claim to its end, the processor's seconds, the peak memory in MB."""

    run: Run
    seconds: float
    cpu_seconds: float
    peak_mb: float


def work(*runs: Run) -> list[Worked]:
    """Works each run in a process of its own, all at once."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    processes = [(run, manage("work_run", str(run.pk), **quiet)) for run in runs]
    worked = []
    for run, process in processes:
        cpu_seconds, peak_mb = _watch(process)
        run.refresh_from_db()
        assert run.started_at is not None, f"{run} was never worked"
        assert run.finished_at is not None, f"{run} is {run.state}: {run.wait_detail} {run.error}"
        seconds = (run.finished_at - run.started_at).total_seconds()
        worked.append(Worked(run, seconds, cpu_seconds, peak_mb))
    return worked


def _watch(process: subprocess.Popen[str]) -> tuple[float, float]:
    """Processor seconds and peak memory in MB until the process ends.

    The peak is read while it lives: what the system reports afterwards begins with the size of the process that
    started it.
    """
    status, peak_kb = Path(f"/proc/{process.pid}/status"), 0
    while True:
        pid, _, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = 0  # reaped here, so that its resources could be read
            return usage.ru_utime + usage.ru_stime, peak_kb / 1024
        found = re.search(r"^VmHWM:\s+(\d+)", status.read_text(), re.MULTILINE)
        # Between fork and exec it is still the memory of this process.
        if found and b"work_run" in Path(f"/proc/{process.pid}/cmdline").read_bytes():
            peak_kb = int(found[1])
        time.sleep(0.05)


class Table:
    """Lines of what, measured, baseline, ratio, target and whether it was met."""

    FORM = "{:<58} {:>12} {:>12} {:>8} {:>10}  {}\n"

    def __init__(self, title: str) -> None:
        sys.stdout.write(f"\n{title}\n" + self.FORM.format("what", "measured", "baseline", "ratio", "target", ""))

    def row(
        self, what: str, measured: float, baseline: float | None = None, *, unit: str = "s", ratio: float | None = None,
        at_most: float | None = None, at_least: float | None = None, judge_measured: bool = False,
    ) -> None:  # fmt: skip
        """`ratio` is measured ÷ baseline unless given. The target is one for the ratio, or without one for `measured`."""
        if ratio is None and baseline:
            ratio = measured / baseline
        judged = measured if ratio is None or judge_measured else ratio
        target = f"≤ {at_most:g}" if at_most is not None else f"≥ {at_least:g}" if at_least is not None else ""
        met = (at_most is None or judged <= at_most) and (at_least is None or judged >= at_least)
        cells = [what, f"{measured:,.2f} {unit}", f"{baseline:,.2f} {unit}" if baseline is not None else ""]
        cells += [f"{ratio:.2f}" if ratio is not None else "", target, ("met" if met else "NOT MET") if target else ""]
        sys.stdout.write(self.FORM.format(*cells))
        sys.stdout.flush()

    def note(self, text: str) -> None:
        sys.stdout.write(f"  {text}\n")


def stopwatch() -> Any:
    """A function that gives the seconds since now."""
    started = time.perf_counter()
    return lambda: time.perf_counter() - started
