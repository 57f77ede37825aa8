"""A local Zoho CRM and RingCentral to try the portal against."""

import signal
from pathlib import Path
from threading import Event
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.standin import Standin, StandinServer


class Command(BaseCommand):
    help = "Serves the stand-in for the vendors on the loopback interface until it is stopped."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--port", type=int, default=8900)
        parser.add_argument("--leads", type=int, default=12_000)
        parser.add_argument("--calls", type=int, default=0)
        parser.add_argument("--seed", type=int, default=1)
        parser.add_argument("--latency-ms", type=float, default=0)
        parser.add_argument("--faults", type=Path, help="JSON file with the rules of what goes wrong.")

    def handle(self, *args: Any, **options: Any) -> None:
        standin = Standin(
            leads=options["leads"], seed=options["seed"], calls=options["calls"], latency_ms=options["latency_ms"]
        )
        if options["faults"]:
            try:
                standin.faults.load(options["faults"])
            except (OSError, ValueError, TypeError) as error:
                raise CommandError(f"{options['faults']} cannot be used: {error}", returncode=2) from error
        end = Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: end.set())
        standin.ringcentral.settle()
        with StandinServer(standin, port=options["port"]) as server:
            self.stdout.write(f"Zoho CRM stand-in with {options['leads']:,} leads at {server.url}")
            self.stdout.write(f"RingCentral stand-in with {options['calls']:,} calls at the same address")
            self.stdout.flush()
            end.wait()
