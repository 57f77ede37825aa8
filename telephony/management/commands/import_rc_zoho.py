"""Takes the configuration folder of an earlier RingCentral and Zoho integration over."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.remote.zoho_hosts import DATA_CENTRES
from telephony.rc_zoho.collection import Unusable, from_folder
from telephony.rc_zoho.importing import Importing
from telephony.rc_zoho.report import Report

WRONG_USE = 2


class Command(BaseCommand):
    help = (
        "Imports offices, extensions, lead owners, field mappings and mail settings; each file whole or not at all. A "
        "second import changes nothing. Exit status: 0 all taken, 1 a file was refused or a connection that came "
        "along does not work, 2 nothing to import."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--config-dir", required=True, type=Path, help="The folder with “data” or “sorted” in it.")
        parser.add_argument("--dry-run", action="store_true", help="Say what would change, and store nothing.")
        parser.add_argument("--office", default="", metavar="ID", help="Only this office and its own files.")
        parser.add_argument(
            "--with-credentials", action="store_true",
            help="Also open credentials.enc with encryption.key and store both connections, named after the folder.",
        )  # fmt: skip
        parser.add_argument(
            "--data-centre", default="", choices=sorted(DATA_CENTRES), help="Of the Zoho account; else US is assumed."
        )
        parser.add_argument("--json", action="store_true", help="The last line is one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            collection = from_folder(options["config_dir"], with_credentials=options["with_credentials"])
            importing = Importing(
                collection, only_office=options["office"], data_centre=options["data_centre"], actor="command"
            )
            report = importing.dry_run() if options["dry_run"] else importing.run()
        except Unusable as error:
            raise CommandError(f"{error} Nothing was stored.", returncode=WRONG_USE) from error
        self._say(report)
        if options["json"]:
            self.stdout.write(json.dumps(report.as_json()))
        if report.has_failures:
            sys.exit(1)

    def _say(self, report: Report) -> None:
        for line in report.lines():
            self.stdout.write(line)
