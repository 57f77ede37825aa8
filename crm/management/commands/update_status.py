"""Changes a picklist field of many records from the command line."""

from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from crm import bulk_update
from crm.forms import MAX_FILE_BYTES
from crm.selection import Selection, parse
from portal.csvfiles import decode
from portal.management.run_command import RunCommand
from portal.models import Run
from portal.remote import errors

MAX_NAMED_REJECTS = 20


class Command(RunCommand):
    help = "Sets a picklist field (Lead_Status of Leads, if not said otherwise) of many records to one value."

    def add_arguments(self, parser: CommandParser) -> None:
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("--ids-file", type=Path, help="TXT or CSV file with record ids, or id,value lines.")
        source.add_argument("--cvid", help="Number of a custom view; all its pages are read.")
        parser.add_argument("--status", required=True, help="The new value, as Zoho's picklist has it.")
        parser.add_argument("--module", default="Leads")
        parser.add_argument("--field", default="Lead_Status")
        parser.add_argument("--automation", choices=("on", "off"), default="on", help="Whether workflows run (on).")
        parser.add_argument(
            "--dry-run", action="store_true", help="Show the plan; a client that refuses to write reads."
        )
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        connection = self.connection(options)
        selection = self._selection(options["ids_file"]) if options["ids_file"] else None
        change = {
            "field": options["field"], "value": options["status"], "automation": options["automation"] == "on",
        }  # fmt: skip
        try:
            run = bulk_update.start(
                connection=connection, module=options["module"], source=_source(options), selection=selection,
                change=change, confirmed=not options["dry_run"], dry_run=options["dry_run"],
                trigger=Run.Trigger.COMMAND,
            )  # fmt: skip
        except bulk_update.Invalid as error:
            raise CommandError(str(error), returncode=2) from error
        except errors.RemoteError as error:
            advice = errors.describe(error)
            raise CommandError(f"{advice.what} {advice.remedy}", returncode=2) from error
        self.finish(run, options)

    def is_success(self, run: Run) -> bool:
        is_plan = bool(run.parameters.get("dry_run")) and run.wait == Run.Wait.CONFIRMATION
        return is_plan or super().is_success(run)

    def _selection(self, path: Path) -> Selection:
        try:
            if path.stat().st_size > MAX_FILE_BYTES:
                raise CommandError(f"{path} is larger than 5 MB. Split it.", returncode=2)
            text, _ = decode(path.read_bytes())
        except (OSError, ValueError) as error:
            raise CommandError(f"{path} cannot be read: {error}", returncode=2) from error
        selection = parse(text)
        for reject in selection.rejects[:MAX_NAMED_REJECTS]:
            self.stderr.write(f"{path}:{reject.line}: {reject.text!r} left out: {reject.reason}")
        if len(selection.rejects) > MAX_NAMED_REJECTS:
            self.stderr.write(f"… and {len(selection.rejects) - MAX_NAMED_REJECTS:,} more lines left out.")
        if selection.duplicates:
            self.stderr.write(f"{selection.duplicates:,} duplicates removed.")
        return selection


def _source(options: dict[str, Any]) -> dict[str, Any]:
    if options["ids_file"]:
        return {"type": "ids", "name": options["ids_file"].name[:100]}
    view = str(options["cvid"])
    if not (view.isascii() and view.isdigit()):
        raise CommandError(f"--cvid {view!r} is not a view number: it has digits only.", returncode=2)
    return {"type": "view", "id": view, "name": f"number {view}", "all_pages": True}
