"""What all commands that start a run share: --wait with a progress bar, --json, and the exit status."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal import connections, runs
from portal.models import Connection, Run, Vendor

BAR_WIDTH = 30


class RunCommand(BaseCommand):
    """Exit status: 0 all ok (or queued), 1 finished with failures or not to the end, 2 wrong use or configuration."""

    # Whether a person may choose another connection than the default one.
    takes_connection = True
    # What the run's items are called.
    items = "records"

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--wait", action="store_true", help="Work the run in this process and show its progress.")
        parser.add_argument("--json", action="store_true", help="End with one line that is a JSON object.")
        if self.takes_connection:
            parser.add_argument("--connection", help="Name of the connection; without it the default one.")

    def connection(self, options: dict[str, Any], vendor: str = Vendor.ZOHO) -> Connection:
        connections.sync_environment()
        if not options["connection"]:
            found = connections.choose(None, vendor)
            if found is None:
                raise CommandError("No connection is set up. Set the ZOHO_ variables or add one under /connections/.",
                                   returncode=2)  # fmt: skip
            return found
        stored = Connection.objects.filter(vendor=vendor).exclude(source=Connection.Source.TEMPORARY)
        found = stored.filter(name=options["connection"]).first()
        if found is None:
            names = ", ".join(stored.values_list("name", flat=True)) or "none"
            raise CommandError(f"There is no connection “{options['connection']}”. There is: {names}.", returncode=2)
        return found

    def run_of(self, number: int, kinds: tuple[str, ...]) -> Run:
        run = Run.objects.select_related("connection").filter(pk=number).first()
        if run is None:
            raise CommandError(f"There is no run {number}.", returncode=2)
        if run.kind not in kinds:
            raise CommandError(f"Run {number} ({run.title}) is of another kind.", returncode=2)
        return run

    def finish(self, run: Run, options: dict[str, Any]) -> None:
        """Waits if asked to, says what came of it, and ends with the right status."""
        run = self.work_out(run, options)
        if options["json"]:
            self.stdout.write(json.dumps(account_of(run)))
        if options["wait"] and not self.is_success(run):
            sys.exit(1)

    def work_out(self, run: Run, options: dict[str, Any]) -> Run:
        """Waits if asked to and says what came of it; returns the run as it is then."""
        if options["wait"]:
            run = runs.run_here(run.pk, report=self._show_progress)
            if self.stderr.isatty():
                self.stderr.write("")
        run.refresh_from_db()
        self.stdout.write(f"Run {run.pk}, {run.get_state_display().lower()}: {run.title}. See {run.get_absolute_url()}")
        if options["wait"]:
            self.stdout.write(
                f"{run.planned:,} {self.items}: {run.ok:,} ok, {run.failed:,} failed, {run.skipped:,} skipped, "
                f"{run.unknown:,} unknown, {run.remaining:,} not sent."
            )
            if run.wait:
                self.stdout.write(f"It waits {run.get_wait_display()}. {run.wait_detail}".strip())
            if run.error:
                self.stdout.write(run.error)
        return run

    def is_success(self, run: Run) -> bool:
        return run.state == Run.State.FINISHED

    def _show_progress(self, run: Run) -> None:
        if not self.stderr.isatty():
            return
        filled = BAR_WIDTH * run.done // run.planned if run.planned else 0
        bar = "█" * filled + "·" * (BAR_WIDTH - filled)
        what = run.wait_detail or run.get_state_display()
        self.stderr.write(f"\r{bar} {run.done:,}/{run.planned:,} {what[:60]:<60}", ending="")


def account_of(run: Run) -> dict[str, Any]:
    """The run as programs read it."""
    counts = {name: getattr(run, name) for name in ("planned", "ok", "failed", "skipped", "unknown", "remaining")}
    return {"run": run.pk, "state": run.state, "wait": run.wait, **counts, "error": run.error}
