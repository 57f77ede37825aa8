"""Whether ten times the leads need more memory, or more than ten times the time.

Peak memory is the resident size of the process that works the run (`manage.py work_run`), as the system reports it at
its end. The latency is small, so that the portal's own work is what is timed.
"""

from __future__ import annotations

from tests.benchmarks import arena

SMALL, LARGE = 10_000, 100_000
LATENCY_MS = 5
# Linear growth, and what a busy machine adds; work that is quadratic in the records would show as several times this.
LINEAR = 1.25


def main() -> None:
    with arena.database() as kind, arena.standin(leads=230_000, latency_ms=LATENCY_MS) as (vendor, connection):
        table = arena.Table(f"Bulk update of {LARGE:,} leads against {SMALL:,}, {LATENCY_MS} ms latency, {kind}")
        _, plain = vendor.leads()
        [small] = arena.work(arena.plan(connection, plain[:SMALL]))
        [large] = arena.work(arena.plan(connection, plain[SMALL : SMALL + LARGE]))
        table.row("peak memory of the working process", large.peak_mb, small.peak_mb, unit="MB", at_most=1.5)
        factor = LARGE / SMALL
        table.row(f"time for each {SMALL:,} leads", large.seconds / factor, small.seconds, at_most=LINEAR)
        table.row(
            f"processor time for each {SMALL:,} leads", large.cpu_seconds / factor, small.cpu_seconds, at_most=1.1
        )
        for worked in (small, large):
            run = worked.run
            table.note(f"{run.planned:,} leads: {run.state}, {run.ok:,} ok, {run.failed:,} failed")


if __name__ == "__main__":
    main()
