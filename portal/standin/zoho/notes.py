"""Notes of a record."""

from __future__ import annotations

from typing import Any

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.zoho.errors import RowError, not_built, refuse, whole_number
from portal.standin.zoho.org import Org
from portal.standin.zoho.reading import Reading, wanted_fields
from portal.standin.zoho.writing import RowResult, Writing, fires_workflows, rows_of


class Notes:
    def __init__(self, org: Org, writing: Writing, reading: Reading) -> None:
        self.org = org
        self.writing = writing
        self.reading = reading
        self.table = org.tables["Notes"]
        self.by_parent: dict[str, list[str]] = {}

    def insert(self, request: Request) -> Reply:
        results = self.writing.each(rows_of(request), lambda row, position: self._insert(request, row, position))
        return self.writing.answer(results, all_ok=201)

    def insert_of(self, request: Request) -> Reply:
        """The parent is in the path."""
        module, parent_id = request.params["module"], request.params["parent_id"]
        parent = {"module": {"api_name": self.org.module(module).api_name}, "id": parent_id}

        def work(row: JsonObject, position: int) -> RowResult:
            return self._insert(request, {**row, "Parent_Id": parent}, position)

        return self.writing.answer(self.writing.each(rows_of(request), work), all_ok=201)

    def _insert(self, request: Request, row: JsonObject, position: int) -> RowResult:
        rules = self.writing.rules
        rules.check_mandatory(self.table, row, position)
        parent = self._parent(row.get("Parent_Id"), position)
        plain = {name: value for name, value in row.items() if name != "Parent_Id"}
        values = rules.stored(self.table, plain, position, None)
        values["Parent_Id"] = parent
        note_id = self.writing.add(self.table, values, by=request.principal, fired=fires_workflows(request))
        self.by_parent.setdefault(parent["id"], []).append(note_id)
        return self.writing.success(self.table, note_id, "record added")

    def _parent(self, given: Any, position: int) -> JsonObject:
        path = f"$.data[{position}].Parent_Id"
        if given is None:
            raise RowError("MANDATORY_NOT_FOUND", "required field not found", api_name="Parent_Id", json_path=path)
        module = given.get("module") if isinstance(given, dict) else None
        name = module.get("api_name") if isinstance(module, dict) else None
        if not isinstance(name, str) or name not in self.org.modules or not self.org.modules[name].listed:
            raise RowError("INVALID_DATA", "invalid data", api_name="module", json_path=f"{path}.module")
        if not isinstance(given.get("id"), str) or not self.org.tables[name].exists(given["id"]):
            text = "the id given seems to be invalid"
            raise RowError("INVALID_DATA", text, api_name="Parent_Id", json_path=f"{path}.id")
        return {"module": {"api_name": name, "id": self.org.modules[name].id}, "id": given["id"]}

    def list_of(self, request: Request) -> Reply:
        """Notes of one record, youngest first."""
        return list_related(self.org, request, "Notes", self.by_parent)

    def list_all(self, request: Request) -> Reply:
        if not self.org.users[request.principal].is_admin:
            raise refuse(403, "NOT_SUPPORTED", "only an administrator may list all notes")
        return self.reading.list_of(request, self.table)

    def one(self, request: Request) -> Reply:
        if not self.table.exists(request.params["id"]):
            return Reply(204)
        return Reply.of(200, {"data": [self.org.shown(self.table, request.params["id"])]})

    def update(self, request: Request) -> Reply:
        """Up to a hundred notes, each with its id."""
        results = self.writing.each(rows_of(request), lambda row, position: self._update(request, row, position))
        return self.writing.answer(results, all_ok=200)

    def update_one(self, request: Request) -> Reply:

        def work(row: JsonObject, position: int) -> RowResult:
            return self._update(request, {**row, "id": request.params["id"]}, position)

        return self.writing.answer(self.writing.each(rows_of(request, maximum=1), work), all_ok=200)

    def _update(self, request: Request, row: JsonObject, position: int) -> RowResult:
        # A note stays with its record.
        plain = {name: value for name, value in row.items() if name != "Parent_Id"}
        return self.writing.update_row(request, self.table, plain, position)

    def delete_one(self, request: Request) -> Reply:
        note_id = request.params["id"]
        if not self.table.exists(note_id):
            failure = RowError("INVALID_DATA", "the id given seems to be invalid", id=note_id).as_row()
            return self.writing.answer([failure], all_ok=200)
        self.by_parent[self.table.value(note_id, "Parent_Id")["id"]].remove(note_id)
        self.table.remove(note_id)
        row = {"code": "SUCCESS", "details": {"id": note_id}, "message": "record deleted", "status": "success"}
        return Reply.of(200, {"data": [row]})


def list_related(org: Org, request: Request, related: str, by_parent: dict[str, list[str]]) -> Reply:
    """The rows that hang on a record, a page at a time; `fields` is mandatory here too."""
    fields = wanted_fields(request)
    parent_id = request.params["parent_id"]
    if not org.table(request.params["module"]).exists(parent_id):
        raise refuse(400, "INVALID_DATA", "the related id given seems to be invalid", resource_path_index=1)
    per_page = whole_number(request.query.get("per_page"), 200, "per_page", maximum=200)
    page = whole_number(request.query.get("page"), 1, "page")
    if "page_token" in request.query:
        raise not_built("page_token in related lists")
    everything = list(reversed(by_parent.get(parent_id, [])))
    start = (page - 1) * per_page
    ids = everything[start : start + per_page]
    if not ids:
        return Reply(204)
    request.records = len(ids)
    info = {
        "per_page": per_page,
        "count": len(ids),
        "page": page,
        "more_records": len(everything) > start + per_page,
        "sort_by": "id",
        "sort_order": "desc",
    }
    table = org.tables[related]
    return Reply.of(200, {"data": [org.shown(table, record_id, fields) for record_id in ids], "info": info})
