"""What the pages of one record show: its fields, the form, and the change before it is saved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlencode

from django.http import HttpRequest
from django.urls import reverse

from crm import metadata, queries, record_edit
from crm.record_form import RecordForm, SaveForm, is_editable, why_not
from crm.viewer import Cell, cell_of
from crm.viewer_screen import Problem, no_connection
from crm.zoho.client import Record
from crm.zoho.schema import Field, name_field, text_of
from portal import connections
from portal.models import Connection
from portal.remote import errors

OTHERS_CONNECTION = Problem(
    "This address names a connection that you cannot work with.", "Open the record from the Records page."
)


@dataclass(frozen=True)
class Line:
    """One field of the record as it is shown; `edit_url` is "" where it cannot be edited here, for the reason given."""

    field: Field
    cell: Cell
    edit_url: str
    why_not: str


@dataclass(frozen=True)
class Difference:
    """A field before and after."""

    field: Field
    before: Cell
    after: Cell


@dataclass
class Screen:
    """Context of both pages. `record` is None when Zoho has none, or when `problem` says why it was not read."""

    module: str
    record_id: str
    connection: Connection | None = None
    columns: list[Field] = field(default_factory=list)
    record: Record | None = None
    problem: Problem | None = None
    status: int = 200

    @property
    def title(self) -> str:
        return text_of((self.record or {}).get(name_field(self.module))) or self.record_id

    @property
    def query(self) -> dict[str, str]:
        return {"connection": str(self.connection.pk)} if self.connection else {}

    @property
    def url(self) -> str:
        return f"{reverse('record', args=[self.module, self.record_id])}?{urlencode(self.query)}"

    @property
    def zoho_url(self) -> str:
        return queries.record_address(self.connection, self.module, self.record_id)

    @property
    def shown_at(self) -> str:
        return str((self.record or {}).get("Modified_Time") or "")

    def edit_url(self, names: Sequence[str] = ()) -> str:
        query = [*self.query.items(), *(("field", name) for name in names)]
        return f"{reverse('record-edit', args=[self.module, self.record_id])}?{urlencode(query)}"

    def refuse(self, problem: Problem, status: int = 200) -> None:
        self.problem, self.status = problem, status


def read(request: HttpRequest, module: str, record_id: str) -> Screen:
    """The record, live, with all its fields; or why there is none."""
    screen = Screen(module, record_id, _connection(request))
    if screen.connection is None:
        screen.refuse(OTHERS_CONNECTION if request.GET.get("connection") else no_connection())
        return screen
    try:
        _read(screen, screen.connection)
    except errors.RemoteError as error:
        screen.refuse(problem_of(error, screen))
    return screen


def _connection(request: HttpRequest) -> Connection | None:
    """The one that the address names, if this person may see it; else the one that this person works with."""
    number = request.GET.get("connection", "")
    if not number:
        return connections.choose(request)
    pk = int(number) if number.isascii() and number.isdigit() and len(number) < 18 else 0
    return connections.choices_of(connections.visible_in(request)).filter(pk=pk, vendor="zoho").first()


def _read(screen: Screen, connection: Connection) -> None:
    known = {each.api_name for each in metadata.modules(connection)}
    if screen.module not in known:
        near = metadata.did_you_mean(screen.module, sorted(known))
        what = f"This connection shows no module {screen.module}."
        screen.refuse(Problem(what, f"Check its API name.{near}", target=f"Record {screen.record_id}"), 404)
        return
    screen.columns = metadata.fields(connection, screen.module)
    with metadata.client_for(connection) as client:
        screen.record = client.record(screen.module, screen.record_id)
    if screen.record is None:
        what, remedy = record_edit.not_found(screen.module, screen.record_id)
        screen.refuse(Problem(what, remedy, target=f"Connection: {connection.name}", code="NOT_FOUND"), 404)


def problem_of(error: errors.RemoteError, screen: Screen) -> Problem:
    advice = errors.describe(error)
    return Problem(
        advice.what, advice.remedy, f"{screen.module}, record {screen.record_id}.", error.code, error.request_id,
        action_url=screen.url, action_label="Try again",
    )  # fmt: skip


# --- the page of the record -------------------------------------------------------------------------------------------


def page(screen: Screen, *, may_edit: bool) -> dict[str, Any]:
    lines = _lines(screen, may_edit=may_edit) if screen.record is not None else []
    return {
        "screen": screen,
        "problem": screen.problem,
        "filled": [line for line in lines if line.cell.text],
        "blank": [line for line in lines if not line.cell.text],
        "may_edit": may_edit and any(line.edit_url for line in lines),
    }


def _lines(screen: Screen, *, may_edit: bool) -> list[Line]:
    record = screen.record or {}
    return [
        Line(
            field=column,
            cell=_cell(column, record.get(column.api_name)),
            edit_url=screen.edit_url([column.api_name]) if may_edit and is_editable(column) else "",
            why_not=why_not(column),
        )
        for column in screen.columns
        if column.api_name != "id" and not column.api_name.startswith("$")
    ]


def _cell(column: Field, value: Any) -> Cell:
    return cell_of(column, column.label, value)


# --- the form and the change ------------------------------------------------------------------------------------------


@dataclass
class Editing:
    """The edit page's state: a form, and once something changed, the differences that wait to be saved."""

    screen: Screen
    chosen: list[Field]
    closed: list[Line]
    unknown: list[str]
    form: RecordForm
    save_form: SaveForm
    shown_at: str
    differences: list[Difference] = field(default_factory=list)
    problem: Problem | None = None
    notice: str = ""


def editing(request: HttpRequest, screen: Screen) -> Editing:
    """The form of the fields that the address names, or of all that can be edited, as it was sent or for a first look."""
    names = list(dict.fromkeys(request.GET.getlist("field")))
    known = {column.api_name: column for column in screen.columns}
    wanted = [known[name] for name in names if name in known] if names else screen.columns
    chosen = [column for column in wanted if is_editable(column)]
    lines = _lines(replace(screen, columns=wanted), may_edit=True)
    is_confirmed = request.POST.get("step") == "save"
    form = RecordForm(
        request.POST if request.method == "POST" else None, module=screen.module, fields=chosen, record=screen.record,
        is_confirmed=is_confirmed,
    )  # fmt: skip
    save_form = SaveForm(request.POST if is_confirmed else None, initial={"shown_at": screen.shown_at})
    return Editing(
        screen, chosen, [line for line in lines if line.why_not], [name for name in names if name not in known],
        form, save_form, request.POST.get("shown_at", "") or screen.shown_at,
    )  # fmt: skip


def preview(edit: Editing) -> None:
    """Shows what will change, against what the record holds now."""
    if not edit.form.is_valid():
        return
    record = edit.screen.record or {}
    changes = edit.form.changes()
    edit.differences = _differences(edit.chosen, record, changes)
    edit.notice = "" if edit.differences else "Nothing is different from what the record holds, so nothing is saved."
    if edit.differences and not record_edit.is_same_time(edit.shown_at, edit.screen.shown_at):
        edit.problem = _problem_of_outcome(record_edit.conflict(record, tuple(changes)))


def _differences(columns: Sequence[Field], record: Mapping[str, Any], changes: Mapping[str, Any]) -> list[Difference]:
    return [
        Difference(column, _cell(column, record.get(column.api_name)), _cell(column, changes[column.api_name]))
        for column in columns
        if column.api_name in changes and not record_edit.is_same(record.get(column.api_name), changes[column.api_name])
    ]


def take(edit: Editing, outcome: record_edit.Outcome) -> None:
    """Shows what came of a save that did not work out."""
    edit.problem = _problem_of_outcome(outcome)
    if outcome.result == record_edit.Result.REFUSED:
        if outcome.field in edit.form.fields:
            edit.form.add_error(outcome.field, "Zoho refused this value; the reason stands above.")
        return
    if outcome.record is not None:
        edit.screen.record = outcome.record
        edit.differences = _differences(edit.chosen, outcome.record, edit.form.changes())
        edit.save_form = SaveForm(
            initial={"shown_at": edit.screen.shown_at, "automation": edit.save_form.cleaned_data["automation"]}
        )


def _problem_of_outcome(outcome: record_edit.Outcome) -> Problem:
    return Problem(outcome.what, outcome.remedy, code=outcome.code, request_id=outcome.request_id)


def context(edit: Editing) -> dict[str, Any]:
    names = [each.field.api_name for each in edit.differences]
    return {
        "screen": edit.screen,
        "edit": edit,
        "form": edit.form,
        "problem": edit.problem,
        "given": edit.form.given_values(names) if names else [],
        "save_url": edit.screen.edit_url(names),
    }
