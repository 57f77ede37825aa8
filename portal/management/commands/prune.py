"""Throws away what is no longer kept."""

import json
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import DatabaseError

from portal import retention


class Command(BaseCommand):
    help = (
        "Removes records and logs of runs that ended more than RETENTION_DAYS ago (the runs themselves and the audit"
        " stay), stops plans nobody confirmed for 7 days, and clears old meters, finished tasks and ended sessions."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="Only say what would go.")
        parser.add_argument("--json", action="store_true", help="End with one JSON object: run, state and the numbers.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Exit status: 0 done, 1 the database refused, 2 wrong configuration."""
        if settings.RETENTION_DAYS < 1:
            raise CommandError("RETENTION_DAYS must be 1 or more. Correct it in the environment.", returncode=2)
        try:
            numbers = retention.prune(dry_run=options["dry_run"])
        except DatabaseError as error:
            raise CommandError(f"The database refused: {error}. What was removed before stays removed.") from error
        words = ", ".join(f"{count:,} {name}" for name, count in numbers.items())
        self.stdout.write(f"{'Would go' if options['dry_run'] else 'Gone'}: {words}.")
        if options["json"]:
            self.stdout.write(json.dumps({"run": None, "state": "finished", "dry_run": options["dry_run"], **numbers}))
