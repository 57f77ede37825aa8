"""Checks all connections, step by step."""

import json
import sys
from collections import Counter
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal import connections
from portal.connections import check as connection_check
from portal.connections.findings import Finding
from portal.models import Connection


class Command(BaseCommand):
    help = (
        "Checks each connection: configuration, token, organisation, user, scopes, one read of each feature. Exit status: "
        "0 all ok, 1 remarks or failures, 2 nothing is configured."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="The last line is one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        connections.sync_environment()
        # A temporary connection belongs to the person who is logged in; removed ones have nothing to check.
        rows = Connection.objects.exclude(source=Connection.Source.TEMPORARY).exclude(
            source=Connection.Source.STORED, client_id=""
        )
        checked = [self._check(row) for row in rows.defer(*connections.SECRET_COLUMNS)]
        counts = Counter(finding["level"] for each in checked for finding in each["findings"])
        status = _status(checked, counts)
        if not checked:
            self.stderr.write(
                "No connection is configured. Set ZOHO_CLIENT_ID, ZOHO_CLIENT_SECRET and ZOHO_REFRESH_TOKEN (for "
                "RingCentral RINGCENTRAL_CLIENT_ID, RINGCENTRAL_CLIENT_SECRET and RINGCENTRAL_JWT), or add one on the "
                "Connections page."
            )
        if options["json"]:
            state = {0: "finished", 1: "finished_with_errors", 2: "not_configured"}[status]
            levels = {level: counts[level] for level in ("ok", "warn", "fail", "skip")}
            self.stdout.write(json.dumps({"run": None, "state": state, **levels, "connections": checked}))
        if status:
            sys.exit(status)

    def _check(self, row: Connection) -> dict[str, Any]:
        findings = connection_check.check(row)
        for finding in findings:
            self.stdout.write(_line(row, finding))
        return {
            "vendor": row.vendor,
            "name": row.name,
            "state": str(row.state),
            "environment": str(row.environment),
            "findings": [vars(finding) for finding in findings],
        }


def _line(row: Connection, finding: Finding) -> str:
    remedy = f" What to do: {finding.remedy}" if finding.remedy else ""
    return f"{row.vendor}/{row.name} {finding.level:4} {finding.step}: {finding.what}{remedy}"


def _status(checked: list[dict[str, Any]], counts: Counter[str]) -> int:
    if not checked:
        return 2
    return 1 if counts["warn"] or counts["fail"] else 0
