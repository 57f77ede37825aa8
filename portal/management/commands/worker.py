"""Works the runs."""

from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from portal import supervisor


class Command(BaseCommand):
    help = "Works queued runs until it is stopped (SIGTERM or Ctrl-C ends it after the calls in flight)."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--cluster", action="store_true", help="Used by the supervisor for the process it watches.")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["cluster"]:
            supervisor.run_cluster()
        else:
            supervisor.Supervisor().run()
