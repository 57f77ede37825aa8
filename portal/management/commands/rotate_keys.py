"""Re-encrypts all stored secrets with the newest key."""

import json
import sys
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal import checks, key_rotation


class Command(BaseCommand):
    help = (
        "Re-encrypts all stored secrets with the first of FIELD_ENCRYPTION_KEYS. Put the new key first and keep the old "
        "one behind it, run this, then drop the old one. Exit status: 0 all done, 1 some could not be opened, 2 wrong keys."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--json", action="store_true", help="The last line is one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        wrong = checks.encryption_keys(None)
        if wrong:
            raise CommandError(f"{wrong[0].msg} {wrong[0].hint}", returncode=2)
        counts = key_rotation.rotate_all()
        self.stdout.write(
            f"{counts.rotated} secrets re-encrypted, {counts.current} were under the newest key already, "
            f"{counts.unreadable} could not be opened with any key."
        )
        if counts.unreadable:
            self.stderr.write("Add the key that encrypted them to FIELD_ENCRYPTION_KEYS, or enter those secrets again.")
        if options["json"]:
            state = "finished_with_errors" if counts.unreadable else "finished"
            self.stdout.write(json.dumps({"run": None, "state": state, **asdict(counts)}))
        if counts.unreadable:
            sys.exit(1)
