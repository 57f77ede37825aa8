"""Changes fields of one record from the command line."""

from __future__ import annotations

import json
import sys
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import CommandError, CommandParser
from django.http import QueryDict

from crm import metadata, record_edit
from crm.record_edit import Outcome, Result
from crm.record_form import PREFIX, RecordForm, data_of_text, why_not
from crm.zoho.schema import Field
from portal.management.run_command import RunCommand
from portal.models import Connection
from portal.remote import errors

WRONG_USE = 2
# Which count of a record's account each result belongs to.
COUNTS = {
    Result.SAVED: "ok",
    Result.CONFIRMED: "ok",
    Result.NOTHING: "skipped",
    Result.UNKNOWN: "unknown",
    Result.NOT_SAVED: "unknown",
}


class Command(RunCommand):
    help = (
        "Changes fields of one record. Exit status: 0 saved or nothing to change, 1 not saved or unknown, 2 wrong use."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--module", default="Leads", help="API name (Leads).")
        parser.add_argument("--id", required=True, help="Id of the record: 18 or 19 digits.")
        parser.add_argument(
            "--set", required=True, action="append", metavar="FIELD=VALUE",
            help="API name and new value, for example Mobile=+15550100. Nothing after the = clears the field. "
            "Several values are separated by semicolons. May be given several times.",
        )  # fmt: skip
        parser.add_argument("--automation", choices=("on", "off"), default="on", help="Whether workflows run (on).")
        parser.add_argument("--json", action="store_true", help="End with one line that is a JSON object.")
        parser.add_argument("--connection", help="Name of the connection; without it the default one.")

    def handle(self, *args: Any, **options: Any) -> None:
        module, record_id = options["module"], options["id"]
        if not (record_id.isascii() and record_id.isdigit()):
            raise _wrong(f"--id {record_id!r} is not a record id: it has digits only.")
        given = _pairs(options["set"])
        chosen = self.connection(options)
        try:
            changes = self._changes(chosen, module, given)
            outcome = record_edit.save(
                connection=chosen, module=module, record_id=record_id, changes=changes,
                automation=options["automation"] == "on", actor="command",
            )  # fmt: skip
        except (errors.Unauthorized, errors.NotConfigured) as error:
            raise _wrong(_words(error)) from error
        except errors.RemoteError as error:
            raise CommandError(_words(error), returncode=1) from error
        self._report(outcome, list(given))
        if options["json"]:
            self.stdout.write(json.dumps(_account(outcome, module, record_id, list(given))))
        if COUNTS.get(outcome.result) not in ("ok", "skipped"):
            sys.exit(1)

    def _changes(self, connection: Connection, module: str, given: dict[str, str]) -> dict[str, Any]:
        """New values as Zoho takes them, each checked against the field's type, length and picklist."""
        modules = [each.api_name for each in metadata.modules(connection)]
        if module not in modules:
            raise _wrong(f"There is no module {module}.{metadata.did_you_mean(module, modules)}")
        known = {field.api_name: field for field in metadata.fields(connection, module)}
        for name in given:
            if name not in known:
                raise _wrong(f"{module} has no field {name}.{metadata.did_you_mean(name, list(known))}")
            if reason := why_not(known[name]):
                raise _wrong(f"{name} cannot be changed: {reason}.")
        return _checked(module, [known[name] for name in given], given)

    def _report(self, outcome: Outcome, names: list[str]) -> None:
        """One line a field, without values: they are customers' data, and what a command prints is often kept."""
        for name in names:
            changed = name in outcome.fields or not outcome.is_saved
            self.stdout.write(f"{name}: {outcome.result.value if changed else Result.NOTHING.value}")
        code = f" ({outcome.code})" if outcome.code else ""
        stream = self.stdout if outcome.is_saved or outcome.result == Result.NOTHING else self.stderr
        stream.write(" ".join(part for part in (f"{outcome.what}{code}", outcome.remedy) if part))


def _pairs(texts: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        name = name.strip()
        if not sign or not name:
            raise _wrong(f"--set {text!r} has no field and value: write --set Mobile=+15550100.")
        if name in given:
            raise _wrong(f"--set names {name} twice.")
        given[name] = value
    return given


def _checked(module: str, fields: list[Field], given: dict[str, str]) -> dict[str, Any]:
    data = QueryDict(mutable=True)
    try:
        for field in fields:
            data.setlist(f"{PREFIX}-{field.api_name}", data_of_text(field, given[field.api_name]))
    except ValidationError as error:
        raise _wrong(" ".join(error.messages)) from error
    form = RecordForm(data, module=module, fields=fields, is_confirmed=True)
    if not form.is_valid():
        problems = [f"{name}: {' '.join(map(str, found))}{_values(form, name)}" for name, found in form.errors.items()]
        raise _wrong(" ".join(problems))
    return form.changes()


def _values(form: RecordForm, name: str) -> str:
    """The picklist, where there is one."""
    choices = form.columns[name].choices if name in form.columns else ()
    return f" Zoho's picklist has: {', '.join(choice.value for choice in choices)}." if choices else ""


def _account(outcome: Outcome, module: str, record_id: str, names: list[str]) -> dict[str, Any]:
    count = COUNTS.get(outcome.result, "failed")
    counts = {name: int(name == count) for name in ("ok", "failed", "skipped", "unknown")}
    state = "finished" if count in ("ok", "skipped") else "needs_decision" if count == "unknown" else "failed"
    return {
        "run": None, "state": state, "planned": 1, **counts, "module": module, "id": record_id, "fields": names,
        "result": outcome.result.value, "code": outcome.code, "message": outcome.what,
    }  # fmt: skip


def _wrong(message: str) -> CommandError:
    return CommandError(message, returncode=WRONG_USE)


def _words(error: errors.RemoteError) -> str:
    advice = errors.describe(error)
    return f"{advice.what} {advice.remedy}"
