"""Takes the Zoho credentials of an earlier tool over from its configuration file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from portal.connections import env_file
from portal.connections.env_file import Found, Stored
from portal.csvfiles import decode

WRONG_USE = 2


class Command(BaseCommand):
    help = (
        "Adds a stored connection, or changes one, from a .env file with ZOHO_CLIENT_ID … or CLIENT_ID …. Exit status: "
        "0 all read, 1 stored although some lines could not be read, 2 nothing stored. Values are never printed."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--file", required=True, type=Path, help="The .env file, or a JSON file with its keys.")
        parser.add_argument(
            "--name", default=env_file.DEFAULT_NAME, help=f"Name of the connection ({env_file.DEFAULT_NAME})."
        )
        parser.add_argument("--json", action="store_true", help="The last line is one JSON object.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            found = env_file.read(self._text(options["file"]))
            self._name_keys(options["file"], found)
            stored = env_file.store(found, options["name"].strip())
        except env_file.Unusable as error:
            raise CommandError(f"{error} Nothing was stored.", returncode=WRONG_USE) from error
        self._report(stored)
        if options["json"]:
            self.stdout.write(json.dumps(_account(found, stored)))
        if found.unreadable:
            sys.exit(1)

    def _text(self, path: Path) -> str:
        try:
            text, _ = decode(path.read_bytes())
        except (OSError, ValueError) as error:
            reason = error.strerror if isinstance(error, OSError) else error
            raise CommandError(f"{path} cannot be read: {reason}.", returncode=WRONG_USE) from error
        return text.removeprefix("\ufeff")

    def _name_keys(self, path: Path, found: Found) -> None:
        """Names only: what is ignored may be a secret of something else."""
        if found.names:
            self.stdout.write(f"Read: {', '.join(found.names.values())}.")
        if found.ignored:
            self.stdout.write(f"Ignored: {', '.join(found.ignored)}.")
        for number in found.unreadable:
            self.stderr.write(f"{path}:{number}: not a line NAME=value; left out.")

    def _report(self, stored: Stored) -> None:
        if stored.assumed_us:
            self.stdout.write("The file names no accounts address, so it is that of the US, as in the earlier tools.")
        name = f"Connection “{stored.connection.name}” ({stored.connection.data_centre})"
        if not stored.changed:
            self.stdout.write(f"{name} holds all of it already.")
            return
        done = "was added" if stored.is_new else f"was changed: {', '.join(stored.changed)}"
        self.stdout.write(f"{name} {done}. Try it: manage.py check_connections")


def _account(found: Found, stored: Stored) -> dict[str, Any]:
    return {
        "run": None, "state": "finished_with_errors" if found.unreadable else "finished",
        "connection": stored.connection.name, "data_centre": stored.connection.data_centre, "created": stored.is_new,
        "changed": stored.changed, "read": list(found.names.values()), "ignored": found.ignored,
        "unreadable_lines": found.unreadable,
    }  # fmt: skip
