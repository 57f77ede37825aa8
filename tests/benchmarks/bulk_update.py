"""How fast a bulk update is: against the least time its calls take, and against the tool that the portal replaces.

The run's time is from its first claim to its end: loading the list, reading all present values, writing. It does not
hold the start of the Python process. The replaced tool reads nothing and sends batches of 100 one after another, with
half a second between them; that is measured on a few batches and extrapolated linearly.
"""

from __future__ import annotations

import json
import time
import urllib.parse
import urllib.request
from typing import Any

from tests.benchmarks import arena

LATENCY_MS = 250
CONCURRENCY = 10
LEADS = 10_000
BASELINE_BATCHES = 5
BATCH = 100
PAUSE_S = 0.5
WORKERS = 10
LEADS_PER_WORKER = 600


def main() -> None:
    with arena.database() as kind:
        table = arena.Table(f"Bulk update of {LEADS:,} leads, {LATENCY_MS} ms latency, concurrency 10, {kind}")
        with arena.standin(leads=22_000, latency_ms=LATENCY_MS) as (vendor, connection):
            everything, plain = vendor.leads()
            replaced_s = replaced_tool(vendor, plain[LEADS : LEADS + BASELINE_BATCHES * BATCH])
            measure(table, vendor, connection, "plain leads", plain[:LEADS], replaced_s)
        with arena.standin(leads=22_000, latency_ms=LATENCY_MS) as (vendor, connection):
            measure(table, vendor, connection, "leads of all sorts", everything[:LEADS])
        with arena.standin(leads=15_000, latency_ms=LATENCY_MS) as (vendor, connection):
            ten_at_once(table, vendor, connection)


def measure(
    table: arena.Table, vendor: arena.StandinProcess, connection: Any, what: str, ids: list[str],
    replaced_s: float | None = None,
) -> None:  # fmt: skip
    run = arena.plan(connection, ids)
    before = vendor.get("counters")
    [worked] = arena.work(run)
    after = vendor.get("counters")
    calls = after["total_calls"] - before["total_calls"]
    least_s = calls * LATENCY_MS / 1000 / CONCURRENCY
    has_target = replaced_s is not None
    table.row(
        f"{what}: {calls} calls × latency ÷ concurrency", worked.seconds, least_s, at_most=1.3 if has_target else None
    )
    if replaced_s is not None:
        table.row(
            f"{what}: the replaced tool ({BASELINE_BATCHES} batches, extrapolated)", worked.seconds, replaced_s,
            ratio=replaced_s / worked.seconds, at_least=8,
        )  # fmt: skip
    table.row(f"{what}: calls in flight at most", after["max_in_flight"], unit="", at_most=CONCURRENCY)
    run = worked.run
    table.note(
        f"run: {run.state}, {run.ok:,} ok, {run.failed:,} failed, {run.skipped:,} skipped, {run.unknown:,} unknown; "
        f"{worked.cpu_seconds:.1f} s of processor time, start of Python included"
    )


def replaced_tool(vendor: arena.StandinProcess, ids: list[str]) -> float:
    """Seconds for all leads: measured on the given ones, the pause after the last batch taken off."""
    token = _post(f"{vendor.url}/oauth/v2/token", urllib.parse.urlencode({
        "grant_type": "refresh_token", "refresh_token": "standin-refresh", "client_id": "standin-client",
        "client_secret": "standin-secret",
    }).encode(), {})["access_token"]  # fmt: skip
    headers = {"Authorization": f"Zoho-oauthtoken {token}", "Content-Type": "application/json"}
    elapsed = arena.stopwatch()
    for first in range(0, len(ids), BATCH):
        records = [{"id": record_id, "Lead_Status": "Junk Lead"} for record_id in ids[first : first + BATCH]]
        _post(f"{vendor.url}/crm/v8/Leads", json.dumps({"data": records}).encode(), headers, "PUT")
        time.sleep(PAUSE_S)
    return elapsed() * LEADS / len(ids) - PAUSE_S


def _post(url: str, body: bytes, headers: dict[str, str], method: str = "POST") -> Any:
    with urllib.request.urlopen(urllib.request.Request(url, body, headers, method=method), timeout=30) as reply:
        return json.load(reply)


def ten_at_once(table: arena.Table, vendor: arena.StandinProcess, connection: Any) -> None:
    """Ten processes with a run each share one limit."""
    _, plain = vendor.leads()
    runs = [
        arena.plan(connection, plain[first : first + LEADS_PER_WORKER])
        for first in range(0, WORKERS * LEADS_PER_WORKER, LEADS_PER_WORKER)
    ]
    before = vendor.get("counters")["total_calls"]
    worked = arena.work(*runs)
    counters = vendor.get("counters")
    least_s = (counters["total_calls"] - before) * LATENCY_MS / 1000 / CONCURRENCY
    started = min(each.run.started_at for each in worked if each.run.started_at)
    ended = max(each.run.finished_at for each in worked if each.run.finished_at)
    table.row(f"{WORKERS} processes at once: calls in flight at most", counters["max_in_flight"], unit="", at_most=10)
    table.row(f"{WORKERS} processes at once: first claim to last end", (ended - started).total_seconds(), least_s)
    refused = counters["rejected"]
    table.note(f"states {sorted({each.run.state for each in worked})}, refused by the vendor: {refused or 'none'}")


if __name__ == "__main__":
    main()
