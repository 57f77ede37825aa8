"""`sync_calls --type accepted` under the name that earlier installations have in their task lists."""

from __future__ import annotations

from django.core.management.base import CommandParser

from telephony.management.commands import sync_calls


class Command(sync_calls.Command):
    help = "The same as sync_calls --type accepted."

    def add_arguments(self, parser: CommandParser) -> None:
        super().add_arguments(parser)
        parser.set_defaults(type="accepted")
