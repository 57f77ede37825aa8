"""Compares the extensions with RingCentral and the lead owners with Zoho."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from crm import metadata
from portal import audit, connections
from portal.connections import session_for
from portal.models import Connection, Vendor
from portal.remote import errors
from telephony.directory import SyncReport, sync_extensions, sync_owners
from telephony.ringcentral.client import RingCentralClient


class Command(BaseCommand):
    help = (
        "Compares the extensions with RingCentral and the lead owners with Zoho's users; local choices stay. Exit "
        "status: 0 all compared, 1 something was not, 2 nothing is configured."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="The last line is one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        connections.sync_environment()
        done: list[SyncReport] = []
        problems: list[str] = []
        jobs: tuple[tuple[str, Callable[[Connection], SyncReport]], ...] = (
            (Vendor.RINGCENTRAL, _extensions),
            (Vendor.ZOHO, _owners),
        )
        is_configured = False
        for vendor, compare in jobs:
            connection = connections.choose(None, vendor)
            if connection is None:
                problems.append(f"There is no connection to {Vendor(vendor).label}. Add one under /connections/.")
                continue
            is_configured = True
            try:
                report = compare(connection)
            except errors.RemoteError as error:
                advice = errors.describe(error)
                problems.append(f"{advice.what} {advice.remedy}")
                continue
            done.append(report)
            changes = [f"{what} {count}" for what, count in report.counts.items()]
            audit.record("directory compared", actor="command", target=connection.name, changes=changes)
        self._tell(done, problems)
        status = 2 if not is_configured else 1 if problems or any(report.problem for report in done) else 0
        if options["json"]:
            state = {0: "finished", 1: "finished_with_errors", 2: "not_configured"}[status]
            reports = [{"subject": each.subject, "listed": each.listed, "names": each.names, "problem": each.problem}
                       for each in done]  # fmt: skip
            self.stdout.write(json.dumps({"run": None, "state": state, "reports": reports, "problems": problems}))
        if status:
            sys.exit(status)

    def _tell(self, done: list[SyncReport], problems: list[str]) -> None:
        for report in done:
            self.stdout.write(str(report))
            for what, names in report.names.items():
                self.stdout.write(f"  {what}: {', '.join(names)}")
            if report.problem:
                self.stderr.write(report.problem)
        for problem in problems:
            self.stderr.write(problem)


def _extensions(connection: Connection) -> SyncReport:
    with RingCentralClient(session_for(connection, read_only=True)) as client:
        return sync_extensions(client, connection)


def _owners(connection: Connection) -> SyncReport:
    with metadata.client_for(connection, read_only=True) as client:
        return sync_owners(client, connection)
