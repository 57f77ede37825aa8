"""Writes CRM records to a file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from django.core.management.base import CommandError, CommandParser

from crm import export_files, metadata, selection, viewer
from crm.export import Account
from crm.record_source import GivenIds, Listing, Look, Source
from portal import audit
from portal.csvfiles import decode
from portal.management.run_command import RunCommand
from portal.models import Connection
from portal.remote import errors

WRONG_USE = 2


class Command(RunCommand):
    help = "Writes fields of CRM records to a CSV, JSON Lines or Parquet file. Exit status: 0 all, 1 some, 2 wrong use."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--module", required=True, help="API name, for example Leads.")
        source = parser.add_mutually_exclusive_group(required=True)
        source.add_argument("--ids-file", type=Path, help="Text or CSV file with record ids.")
        source.add_argument("--cvid", help="Number of a custom view.")
        source.add_argument("--replica", action="store_true", help="The local replica of the module.")
        parser.add_argument("--fields", required=True, help="API names separated by commas; the id is always written.")
        parser.add_argument("--output", required=True, type=Path)
        parser.add_argument("--format", choices=export_files.FORMATS, default="csv")
        parser.add_argument("--overwrite", action="store_true", help="Replace the output file if it exists.")
        parser.add_argument("--json", action="store_true", help="End with one line that is a JSON object.")
        parser.add_argument("--connection", help="Name of the connection; without it the default one.")

    def handle(self, *args: Any, **options: Any) -> None:
        self._check_output(options)
        try:
            look, rejected = self._look(options)
        except (errors.Unauthorized, errors.NotConfigured) as error:
            raise _wrong(_words(error)) from error
        except errors.RemoteError as error:
            raise CommandError(_words(error), returncode=1) from error
        try:
            account, path = export_files.write(look, options["output"], options["format"])
        except OSError as error:
            raise _wrong(f"{options['output']} cannot be written: {error.strerror}.") from error
        self._report(look, account, path, rejected, as_json=options["json"])
        if isinstance(account.error, errors.Unauthorized | errors.NotConfigured) and not account.ok:
            raise SystemExit(WRONG_USE)
        if account.is_partial or account.not_returned or rejected:
            raise SystemExit(1)

    def _check_output(self, options: dict[str, Any]) -> None:
        path: Path = options["output"]
        if options["replica"]:
            raise _wrong("--replica is not available: there is no replica in this installation yet. Use --cvid.")
        if not export_files.can_write(options["format"]):
            raise _wrong("--format parquet needs the library pyarrow. Install it: pip install pyarrow")
        if path.is_dir() or not path.parent.is_dir():
            raise _wrong(f"{path} cannot be written: name a file in a folder that exists.")
        if path.exists() and not options["overwrite"]:
            raise _wrong(f"{path} exists. Choose another name, or add --overwrite to replace it.")

    def _look(self, options: dict[str, Any]) -> tuple[Look, int]:
        """What to write, and how many lines of the ids file were left out."""
        chosen = self.connection(options)
        module = options["module"]
        modules = [each.api_name for each in metadata.modules(chosen)]
        if module not in modules:
            raise _wrong(f"There is no module {module}.{metadata.did_you_mean(module, modules)}")
        columns = metadata.fields(chosen, module)
        names = [name.strip() for name in options["fields"].split(",") if name.strip()]
        fields, unknown = viewer.choose_fields(columns, names)
        if unknown:
            known = [column.api_name for column in columns]
            raise _wrong(
                " ".join(f"{module} has no field {name}.{metadata.did_you_mean(name, known)}" for name in unknown)
            )
        if not fields:
            raise _wrong("--fields needs at least one field besides id.")
        source, rejected = self._source(chosen, module, options)
        return Look(source, {column.api_name: column for column in columns}, fields), rejected

    def _source(self, connection: Connection, module: str, options: dict[str, Any]) -> tuple[Source, int]:
        if options["cvid"]:
            number = options["cvid"]
            if not (number.isascii() and number.isdigit()):
                raise _wrong(f"--cvid is the number of a custom view, not {number}.")
            return Listing(connection, module, f"view {number}", number), 0
        path: Path = options["ids_file"]
        try:
            text, _ = decode(path.read_bytes())
        except (OSError, ValueError) as error:
            raise _wrong(f"{path} cannot be read: {error}") from error
        found = selection.parse(text)
        for reject in found.rejects:
            self.stderr.write(f"{path}, line {reject.line}: {reject.text!r} is left out: {reject.reason}")
        if not found.rows:
            raise _wrong(f"{path} holds no usable record id.")
        ids = tuple(row.id for row in found.rows)
        title = f"ids of {path.name}"
        return GivenIds(connection, module, title, f"file-{path.name}", len(ids), ids), len(found.rejects)

    def _report(self, look: Look, account: Account, path: Path, rejected: int, *, as_json: bool) -> None:
        state = "partial" if account.is_partial else "finished"
        counts: dict[str, Any] = account.counts()
        for record_id in account.not_returned:
            self.stderr.write(f"Not returned by Zoho: {record_id}")
        if account.is_partial:
            advice = f" {errors.describe(account.error).remedy}" if account.error else ""
            self.stderr.write(f"Incomplete: {account.reason}{advice} What was read is in {path}.")
        self.stdout.write(f"{counts['ok']:,} of {counts['planned']:,} records written to {path}.")
        audit.record(
            "records exported", actor="command", target=f"{look.source.module}: {look.source.title}",
            fields=look.field_names, output=path.name, state=state, **counts,
        )  # fmt: skip
        if as_json:
            result = {"run": None, "state": state, **counts, "rejected": rejected, "output": str(path)}
            self.stdout.write(json.dumps(result))


def _wrong(message: str) -> CommandError:
    return CommandError(message, returncode=WRONG_USE)


def _words(error: errors.RemoteError) -> str:
    advice = errors.describe(error)
    return f"{advice.what} {advice.remedy}"
