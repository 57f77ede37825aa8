"""Repeats what failed in a run."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from crm import bulk_update, restore, retry
from portal.management.run_command import RunCommand
from portal.models import Run


class Command(RunCommand):
    help = "Starts a new run over the records of a run that failed or whose outcome is unknown."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int)
        parser.add_argument("--code", action="append", default=[], help="Only records that failed with this code.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        parent = self.run_of(options["run"], (bulk_update.KIND, restore.KIND))
        try:
            child = retry.start(parent, codes=options["code"], trigger=Run.Trigger.COMMAND)
        except bulk_update.Invalid as error:
            raise CommandError(str(error), returncode=2) from error
        self.finish(child, options)
