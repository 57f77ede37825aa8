"""Works one run in the foreground."""

from typing import Any

from django.core.management.base import CommandError, CommandParser

from portal.management.run_command import RunCommand
from portal.models import Run


class Command(RunCommand):
    help = "Works one run in this process until it ends or needs a person, as `--wait` does for a new one."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("run", type=int)
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        run = Run.objects.filter(pk=options["run"]).first()
        if run is None:
            raise CommandError(f"There is no run {options['run']}.", returncode=2)
        self.finish(run, options | {"wait": True})
