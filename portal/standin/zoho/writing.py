"""Insert, update, upsert and delete: each record succeeds or fails for itself, in the order of the request."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.zoho.errors import RowError, not_built, refuse
from portal.standin.zoho.org import Org
from portal.standin.zoho.reading import header_time
from portal.standin.zoho.rules import Rules
from portal.standin.zoho.schema import Module
from portal.standin.zoho.table import Table, Values
from portal.standin.zoho.values import format_time

MAX_RECORDS = 100
_UNKNOWN_ID = "the id given seems to be invalid"
_MARK_CREATED = ("Created_By", "Modified_By", "Created_Time", "Modified_Time", "Last_Activity_Time")

RowResult = JsonObject
RowWork = Callable[[JsonObject, int], RowResult]


def rows_of(request: Request, *, maximum: int = MAX_RECORDS) -> list[Any]:
    """The `data` of a body. A wrong body or too many records fail the call as a whole."""
    body = request.json()
    if not isinstance(body, dict):
        raise refuse(400, "INVALID_DATA", "body", expected_data_type="jsonobject")
    rows = body.get("data")
    if rows is None:
        raise refuse(400, "MANDATORY_NOT_FOUND", "required field not found", api_name="data", json_path="$.data")
    if not isinstance(rows, list) or not rows:
        raise refuse(400, "INVALID_DATA", "invalid data", expected_data_type="jsonarray", api_name="data")
    if len(rows) > maximum:
        raise refuse(400, "LIMIT_EXCEEDED", f"maximum {maximum} records per call", limit=maximum, json_path="$.data")
    trigger = body.get("trigger")
    request.records = len(rows)
    request.trigger = trigger if isinstance(trigger, list) else None
    return rows


def fires_workflows(request: Request) -> bool:
    """Absent means that every automation runs; an empty list means none."""
    return request.trigger is None or "workflow" in request.trigger


class Writing:
    def __init__(self, org: Org) -> None:
        self.org = org
        self.rules = Rules(org)

    def answer(self, results: list[RowResult], *, all_ok: int) -> Reply:
        failed = sum(1 for result in results if result["status"] == "error")
        if failed == 0:
            status = all_ok
        else:
            status = self.org.settings.all_failed_status if failed == len(results) else 207
        return Reply.of(status, {"data": results})

    def each(self, rows: Iterable[Any], work: RowWork) -> list[RowResult]:
        results: list[RowResult] = []
        for position, row in enumerate(rows):
            try:
                if not isinstance(row, dict):
                    raise RowError("INVALID_DATA", "invalid data", expected_data_type="jsonobject")
                results.append(work(row, position))
            except RowError as problem:
                results.append(problem.as_row())
        return results

    # Insert

    def insert(self, request: Request) -> Reply:
        table = self.org.table(request.params["module"])
        results = self.each(rows_of(request), lambda row, position: self.insert_row(request, table, row, position))
        return self.answer(results, all_ok=201)

    def insert_row(self, request: Request, table: Table, row: JsonObject, position: int) -> RowResult:
        self.rules.check_mandatory(table, row, position)
        values = self.rules.stored(table, row, position, None)
        if row.get("$approved") is False:
            values["$approval_state"] = "approval_process_pending"
        record_id = self.add(table, values, by=request.principal, fired=fires_workflows(request))
        return self.success(table, record_id, "record added")

    def add(self, table: Table, values: Values, *, by: str, fired: bool) -> str:
        """A new record with the system's own fields filled in."""
        now, record_id = self.org.now(), table.next_id()
        complete = {
            "Owner": by,
            "Layout": table.module.layouts[0].id,
            "Record_Status__s": "Available",
            "Locked__s": False,
            "$approval_state": "approved",
            "$process_flow": False,
            "$currency_symbol": "$",
            "$editable": True,
            "Tag": [],
            **dict.fromkeys(_MARK_CREATED[:2], by),
            **dict.fromkeys(_MARK_CREATED[2:], now),
            **values,
        }
        if "Converted__s" in table.module.by_name:
            complete.setdefault("Converted__s", False)
        if "Full_Name" in table.module.by_name:
            complete["Full_Name"] = _full_name(complete)
        self.org.index_later(table, record_id, None)
        table.insert(record_id, complete)
        self.org.counters.wrote(table.module.api_name, record_id, changed=True, fired=fired)
        return record_id

    # Update

    def update(self, request: Request) -> Reply:
        table = self.org.table(request.params["module"])
        rows = rows_of(request)
        self._check_unmodified(request, table, rows)
        results = self.each(rows, lambda row, position: self.update_row(request, table, row, position))
        return self.answer(results, all_ok=200)

    def update_one(self, request: Request) -> Reply:
        """The same, with the id in the path."""
        table = self.org.table(request.params["module"])
        rows = rows_of(request, maximum=1)
        if isinstance(rows[0], dict):
            rows = [{**rows[0], "id": request.params["id"]}]
        self._check_unmodified(request, table, rows)
        results = self.each(rows, lambda row, position: self.update_row(request, table, row, position))
        return self.answer(results, all_ok=200)

    def _check_unmodified(self, request: Request, table: Table, rows: list[Any]) -> None:
        """One record that moved on turns the whole call away, before any of it takes effect."""
        limit = header_time(request, "if-unmodified-since")
        if limit is None:
            return
        for row in rows:
            record_id = row.get("id") if isinstance(row, dict) else None
            if isinstance(record_id, str) and table.exists(record_id) and self._moved(table, record_id) > limit:
                raise refuse(412, "ALREADY_MODIFIED", "record has been already modified", id=record_id)

    def _moved(self, table: Table, record_id: str) -> int:
        return int(table.value(record_id, "Modified_Time"))

    def update_row(self, request: Request, table: Table, row: JsonObject, position: int) -> RowResult:
        record_id = row.get("id")
        if record_id is None:
            raise RowError(
                "MANDATORY_NOT_FOUND", "required field not found", api_name="id", json_path=f"$.data[{position}].id"
            )
        if not isinstance(record_id, str) or not table.exists(record_id):
            raise RowError("INVALID_DATA", _UNKNOWN_ID, api_name="id", json_path=f"$.data[{position}].id")
        self.rules.check_state(table, record_id, row, position)
        self.rules.check_layout(table, record_id, row, position)
        values = self.rules.stored(table, row, position, record_id)
        self.change(table, record_id, values, by=request.principal, fired=fires_workflows(request))
        return self.success(table, record_id, "record updated")

    def change(self, table: Table, record_id: str, values: Values, *, by: str, fired: bool) -> bool:
        """Store what differs. Modified_Time moves only when something did."""
        different = {name: value for name, value in values.items() if table.value(record_id, name) != value}
        if different:
            if not different.keys().isdisjoint(("First_Name", "Last_Name")) and "Full_Name" in table.module.by_name:
                names = {name: table.value(record_id, name) for name in ("First_Name", "Last_Name")}
                different["Full_Name"] = _full_name(names | different)
            different |= {"Modified_Time": self.org.now(), "Modified_By": by}
            if self.org.settings.search_lag_s > 0:
                self.org.index_later(table, record_id, {name: table.value(record_id, name) for name in different})
            table.change(record_id, different)
        self.org.counters.wrote(table.module.api_name, record_id, changed=bool(different), fired=fired)
        return bool(different)

    # Upsert

    def upsert(self, request: Request) -> Reply:
        table = self.org.table(request.params["module"])
        if not table.module.upsertable:
            raise refuse(400, "NOT_SUPPORTED", "upsert is not supported for the module")
        rows = rows_of(request)
        checks = _duplicate_checks(table.module, request.json().get("duplicate_check_fields"))
        results = self.each(rows, lambda row, position: self._upsert_row(request, table, row, position, checks))
        return self.answer(results, all_ok=200 if any(row.get("action") == "update" for row in results) else 201)

    def _upsert_row(
        self, request: Request, table: Table, row: JsonObject, position: int, checks: list[str]
    ) -> RowResult:
        record_id, by_field = row.get("id"), "id"
        if record_id is None:
            record_id, by_field = self._duplicate_of(table, row, checks)
        if record_id is None:
            return {**self.insert_row(request, table, row, position), "action": "insert", "duplicate_field": None}
        updated = self.update_row(request, table, {**row, "id": record_id}, position)
        return {**updated, "action": "update", "duplicate_field": by_field}

    def _duplicate_of(self, table: Table, row: JsonObject, checks: list[str]) -> tuple[str | None, str]:
        """Of several matches the record that changed last is taken."""
        for name in checks:
            if row.get(name) in (None, ""):
                continue
            ids = table.value_index(name, "lower", lambda value: str(value).lower()).find(row[name])
            if ids:
                return max(ids, key=lambda record_id: self._moved(table, record_id)), name
        return None, ""

    # Delete

    def delete(self, request: Request) -> Reply:
        table = self.org.table(request.params["module"])
        ids = [part for part in request.query.get("ids", "").split(",") if part]
        if not ids:
            raise refuse(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="ids")
        if len(ids) > MAX_RECORDS:
            raise refuse(400, "LIMIT_EXCEEDED", f"maximum {MAX_RECORDS} records per call", limit=MAX_RECORDS)
        return self._delete_ids(request, table, ids)

    def delete_one(self, request: Request) -> Reply:
        return self._delete_ids(request, self.org.table(request.params["module"]), [request.params["id"]])

    def _delete_ids(self, request: Request, table: Table, ids: list[str]) -> Reply:
        request.records = len(ids)
        if not table.module.listed:
            raise not_built(f"deleting from {table.module.api_name}")

        def work(row: JsonObject, position: int) -> RowResult:
            if not table.exists(row["id"]):
                raise RowError("INVALID_DATA", _UNKNOWN_ID, id=row["id"])
            self.remove(table, row["id"], by=request.principal)
            return {
                "code": "SUCCESS",
                "details": {"id": row["id"]},
                "message": "record deleted",
                "status": "success",
            }

        return self.answer(self.each([{"id": record_id} for record_id in ids], work), all_ok=200)

    def remove(self, table: Table, record_id: str, *, by: str) -> None:
        """Into the recycle bin, where only its name and its times remain to be seen."""
        self.org.deleted[table.module.api_name][record_id] = {
            "id": record_id,
            "display_name": table.value(record_id, table.module.name_field),
            "type": "recycle",
            "deleted_time": self.org.now(),
            "deleted_by": self.org.user_reference(by),
            "created_by": self.org.user_reference(table.value(record_id, "Created_By")),
        }
        table.remove(record_id)

    def success(self, table: Table, record_id: str, message: str) -> RowResult:
        read = table.value
        details = {
            "id": record_id,
            "Created_Time": format_time(read(record_id, "Created_Time")),
            "Modified_Time": format_time(read(record_id, "Modified_Time")),
            "Created_By": self.org.user_reference(read(record_id, "Created_By")),
            "Modified_By": self.org.user_reference(read(record_id, "Modified_By")),
            "$approval_state": read(record_id, "$approval_state") or "approved",
        }
        return {"code": "SUCCESS", "details": details, "message": message, "status": "success"}


def _full_name(values: Values) -> str:
    return " ".join(part for part in (values.get("First_Name"), values.get("Last_Name")) if part)


def _duplicate_checks(module: Module, asked: Any) -> list[str]:
    """Fields by which upsert looks for an existing record; a field that is not unique is an error."""
    own = [module.duplicate_field] if module.duplicate_field else []
    allowed = [*own, *module.unique_fields]
    if asked is None:
        return allowed
    if not isinstance(asked, list) or any(name not in allowed for name in asked):
        raise refuse(400, "INVALID_DATA", "invalid data", api_name="duplicate_check_fields", supported_values=allowed)
    return [*asked, *(name for name in module.unique_fields if name not in asked)]
