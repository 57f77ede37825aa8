"""Says whether everything that the processing of calls needs is there and fits both accounts."""

from __future__ import annotations

import json
import sys
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal import connections
from portal.connections import check as connection_check
from portal.connections.findings import Finding
from portal.models import Connection, Vendor
from portal.remote import errors
from telephony.models import Extension, Office
from telephony.rc_zoho import zoho_side
from telephony.ringcentral.client import RingCentralClient

STEP = "Extensions"


class Command(BaseCommand):
    help = (
        "Checks both connections, then whether the extensions exist at RingCentral and owners, mappings and statuses fit "
        "Zoho. Writes to neither. Exit status: 0 all ok, 1 remarks or failures, 2 nothing is configured."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="The last line is one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        connections.sync_environment()
        found: list[Finding] = []
        configured = 0
        for vendor in (Vendor.RINGCENTRAL, Vendor.ZOHO):
            connection = connections.choose(None, vendor)
            if connection is None:
                found.append(
                    Finding("Connections", "fail", f"There is none to {vendor.label}.", "Add one under /connections/.")
                )
                continue
            configured += 1
            found += connection_check.check(connection)
            if vendor == Vendor.RINGCENTRAL:
                found += _extensions(connection)
        compared = zoho_side.compare()
        found += compared.findings if compared else []
        if not Office.objects.filter(is_active=True).exists():
            found.append(Finding("Offices", "fail", "There is no active office.", "Add one, or switch one on."))
        self._tell(found, configured, as_json=options["json"])

    def _tell(self, found: list[Finding], configured: int, *, as_json: bool) -> None:
        for each in found:
            remedy = f" What to do: {each.remedy}" if each.remedy else ""
            self.stdout.write(f"{each.level:4} {each.step}: {each.what}{remedy}")
        counts = Counter(each.level for each in found)
        status = 2 if not configured else 1 if counts["warn"] or counts["fail"] else 0
        if as_json:
            state = {0: "finished", 1: "finished_with_errors", 2: "not_configured"}[status]
            findings = [vars(each) for each in found]
            self.stdout.write(json.dumps({"run": None, "state": state, **counts, "findings": findings}))
        if status:
            sys.exit(status)


def _extensions(connection: Connection) -> list[Finding]:
    """Extensions that are known here and not at RingCentral."""
    try:
        with RingCentralClient(connections.session_for(connection, read_only=True)) as client:
            listed = {row.id for row in client.extensions()}
    except errors.RemoteError as error:
        advice = errors.describe(error)
        return [Finding(STEP, "fail", advice.what, advice.remedy)]
    known = Extension.objects.filter(connection=connection) | Extension.objects.filter(connection__isnull=True)
    missing = [str(row) for row in known.filter(is_gone=False) if row.rc_id not in listed and row.number not in listed]
    if missing:
        words = f"Not at RingCentral: {', '.join(missing[:20])}."
        return [Finding(STEP, "warn", words, "Run sync_directory; correct or remove what is left.")]
    return [Finding(STEP, "ok", f"RingCentral lists {len(listed):,}; all that are known here are among them.")]
