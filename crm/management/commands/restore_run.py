"""Puts back the values that a run overwrote."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from crm import bulk_update, restore
from portal.management.run_command import RunCommand
from portal.models import Run


class Command(RunCommand):
    help = "Starts a run that restores previous values; what somebody changed since is left alone and listed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int)
        parser.add_argument("--automation", choices=("on", "off"), default="off", help="Whether workflows run (off).")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        parent = self.run_of(options["run"], (bulk_update.KIND, restore.KIND))
        try:
            child = restore.start(
                parent, confirmed=True, automation=options["automation"] == "on", trigger=Run.Trigger.COMMAND
            )
        except bulk_update.Invalid as error:
            raise CommandError(str(error), returncode=2) from error
        self.finish(child, options)
