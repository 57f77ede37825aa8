"""COQL: checking a parsed query against the org and running it, by an index wherever one leads to the rows."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from portal.standin.messages import Refusal, Reply, Request
from portal.standin.zoho.conditions import Comparison, Group, Node, comparisons, compiled, conjuncts, required
from portal.standin.zoho.errors import refuse
from portal.standin.zoho.org import Org
from portal.standin.zoho.query_parser import Chain, Expression, Parser, Query, Term
from portal.standin.zoho.schema import Field, Module
from portal.standin.zoho.table import Table
from portal.standin.zoho.tokens import Tokens, allows
from portal.standin.zoho.values import BadValue, condition_value

MAX_LIMIT = 2_000
MAX_OFFSET = 100_000
MAX_COLUMNS = 50
MAX_IN = 100
MAX_CRITERIA = 25
MAX_ORDER = 10
MAX_JOINS = 2
_USER_COLUMNS = ("id", "email", "first_name", "last_name", "full_name", "status")
_EXACT_TYPES = ("text", "email", "phone", "autonumber")


@dataclass(frozen=True)
class _Plan:
    table: Table
    columns: tuple[str, ...]
    where: Node
    order_by: tuple[tuple[str, bool], ...]


def _invalid(column: str, reason: str) -> Refusal:
    return refuse(400, "INVALID_QUERY", "column given seems to be invalid", column_name=column, reason=reason)


def _too_many(what: str, limit: int) -> Refusal:
    return refuse(400, "LIMIT_EXCEEDED", f"too many {what}", limit=limit, clause=what)


class Coql:
    def __init__(self, org: Org, tokens: Tokens) -> None:
        self.org = org
        self.tokens = tokens

    def call(self, request: Request) -> Reply:
        query = self._parsed(request)
        plan = self._plan(query)
        self._check_scope(request, plan.table.module)
        found = self._rows(plan, query)
        ids = found[query.offset : query.offset + query.limit]
        if not ids:
            return Reply(204)
        request.records = len(ids)
        cells = [self._cell(plan.table, path) for path in plan.columns]
        rows = [
            {**{path: cell(record_id) for path, cell in zip(plan.columns, cells, strict=True)}, "id": record_id}
            for record_id in ids
        ]
        more = len(found) > query.offset + query.limit
        return Reply.of(200, {"data": rows, "info": {"count": len(rows), "more_records": more}})

    def price(self, request: Request) -> int:
        """By the limit that is asked for, whatever comes back."""
        try:
            limit = self._parsed(request).limit
        except Refusal:
            return 1
        return 1 if limit <= 200 else 2 if limit <= 1_000 else 3

    def _parsed(self, request: Request) -> Query:
        body = request.json()
        text = body.get("select_query") if isinstance(body, dict) else None
        if not isinstance(text, str):
            raise refuse(400, "MANDATORY_NOT_FOUND", "required field not found", api_name="select_query")
        return Parser(text).parse()

    def _check_scope(self, request: Request, module: Module) -> None:
        scopes = self.tokens.authenticate(request).scopes
        if not allows(scopes, f"ZohoCRM.modules.{module.api_name}.READ"):
            raise refuse(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")

    # Checking

    def _plan(self, query: Query) -> _Plan:
        table = self._table(query.module)
        if query.limit > MAX_LIMIT or query.limit < 1:
            raise _too_many("limit", MAX_LIMIT)
        if query.offset > MAX_OFFSET:
            raise _too_many("offset", MAX_OFFSET)
        if len(query.columns) > MAX_COLUMNS:
            raise _too_many("select", MAX_COLUMNS)
        if len(query.order_by) > MAX_ORDER:
            raise _too_many("order by", MAX_ORDER)
        columns = tuple(self._path(table.module, path)[0] for path in query.columns)
        where = self._node(table.module, query.where)
        if sum(1 for _ in comparisons(where)) > MAX_CRITERIA:
            raise _too_many("where", MAX_CRITERIA)
        if query.cvid is not None:
            view = self.org.views[self.org.view(query.cvid, table.module.api_name)]
            where = where if view.node is None else Group("and", (view.node, where))
        order_by = tuple((self._path(table.module, path)[0], descends) for path, descends in query.order_by)
        paths = {*columns, *(path for path, _ in order_by), *(item.field for item in comparisons(where))}
        if len({path.partition(".")[0] for path in paths if "." in path}) > MAX_JOINS:
            raise _too_many("joins", MAX_JOINS)
        return _Plan(table, columns, where, order_by)

    def _table(self, name: str) -> Table:
        for module in self.org.modules.values():
            if module.listed and module.api_name.lower() == name.lower():
                return self.org.tables[module.api_name]
        raise refuse(400, "INVALID_QUERY", "invalid query formed", module=name, reason="the module is not supported")

    def _path(self, module: Module, path: str) -> tuple[str, Field]:
        """The path with the spelling of the schema, and the field at its end."""
        own, _, inner = path.partition(".")
        field = module.by_lower_name.get(own.lower())
        if field is None or (field.hidden and field.api_name != "$approval_state"):
            raise _invalid(path, "the column does not exist")
        if not inner:
            return field.api_name, field
        if field.data_type in ("ownerlookup", "userlookup"):
            if inner not in _USER_COLUMNS:
                raise _invalid(path, "the column does not exist")
            return f"{field.api_name}.{inner}", Field(inner, inner)
        target = self.org.modules.get(field.lookup)
        if target is None or inner.lower() not in target.by_lower_name:
            raise _invalid(path, "the column does not exist")
        joined = target.by_lower_name[inner.lower()]
        return f"{field.api_name}.{joined.api_name}", joined

    def _node(self, module: Module, expression: Expression) -> Node:
        if isinstance(expression, Chain):
            return Group(expression.operator, tuple(self._node(module, term) for term in expression.terms))
        return self._comparison(module, expression)

    def _comparison(self, module: Module, term: Term) -> Comparison:
        path, field = self._path(module, term.path)
        if field.data_type == "textarea":
            raise _invalid(term.path, "multi-line columns are not supported in criteria")
        if len(term.values) > MAX_IN:
            raise _too_many("in", MAX_IN)
        if not term.values:
            return Comparison(path, term.operator)
        if term.operator.endswith("like"):
            return Comparison(path, term.operator, term.values[0])
        try:
            values = tuple(condition_value(field, value) for value in term.values)
        except (ValueError, BadValue):
            raise refuse(
                400,
                "INVALID_QUERY",
                "value given seems to be invalid for the column",
                column_name=term.path,
                data_type=field.data_type,
                operator=term.operator,
            ) from None
        several = term.operator.endswith(("in", "between"))
        return Comparison(path, term.operator, values if several else values[0])

    # Running

    def _rows(self, plan: _Plan, query: Query) -> list[str]:
        """Matching ids in order, at least up to one past the page so that `more_records` can be told."""
        table = plan.table
        test = compiled(plan.where, self.org.reader(table))
        enough = query.offset + query.limit + 1
        candidates = self._by_value(plan)
        if candidates is None:
            ordered = self._in_order(plan)
            if ordered is not None:
                return list(islice(filter(test, ordered), enough))
            candidates = self._by_time(plan) or _slice_of_ids(plan)
        found = sorted(filter(test, candidates))
        # The least important column first: Python's sort keeps the order of equals.
        for path, descends in reversed(plan.order_by):
            read = self.org.reader(table)(path)
            found.sort(key=_null_first(read), reverse=descends)
        return found

    def _in_order(self, plan: _Plan) -> Iterable[str] | None:
        """Ids already in the wanted order, when an index gives it."""
        first = plan.order_by[0] if plan.order_by else ("id", False)
        if first[0] == "id":
            ids = _slice_of_ids(plan)
            return reversed(ids) if first[1] else ids
        rest = plan.order_by[1:]
        if first[0] == "Modified_Time" and ((not rest and not first[1]) or rest[:1] == (("id", first[1]),)):
            low, high = _bounds(plan, "Modified_Time", float("-inf"), float("inf"))
            return plan.table.time_index().between(low, high, descending=first[1])
        return None

    def _by_time(self, plan: _Plan) -> Iterable[str] | None:
        low, high = _bounds(plan, "Modified_Time", float("-inf"), float("inf"))
        if (low, high) == (float("-inf"), float("inf")):
            return None
        return plan.table.time_index().between(low, high)

    def _by_value(self, plan: _Plan) -> Iterable[str] | None:
        """Few ids that contain all matches, when values lead to them: `id in (..)`, `Phone = .. or Mobile = ..`."""
        for node in conjuncts(plan.where):
            found = self._values_of(plan.table, node)
            if found is not None:
                return found
        return None

    def _values_of(self, table: Table, node: Node) -> set[str] | None:
        if isinstance(node, Group):
            if node.operator != "or":
                return None
            parts = [self._values_of(table, term) for term in node.terms]
            return None if None in parts else set().union(*(part for part in parts if part is not None))
        if node.operator not in ("=", "in") or "." in node.field:
            return None
        values = node.value if node.operator == "in" else (node.value,)
        if node.field == "id":
            return {value for value in values if table.exists(value)}
        if table.module.by_name[node.field].data_type not in _EXACT_TYPES:
            return None
        index = table.value_index(node.field, "exact", str)
        return {record_id for value in values for record_id in index.find(value)}

    def _cell(self, table: Table, path: str) -> Callable[[str], Any]:
        read = self.org.reader(table)(path)
        present = self.org.presenter(self._path(table.module, path)[1])
        if present is None:
            return read
        return lambda record_id: None if (value := read(record_id)) is None else present(value)


def _null_first(read: Callable[[str], Any]) -> Callable[[str], tuple[bool, Any]]:
    def key(record_id: str) -> tuple[bool, Any]:
        value = read(record_id)
        return (value is not None, str(value) if isinstance(value, list | dict) else (0 if value is None else value))

    return key


def _bounds(plan: _Plan, field: str, low: Any, high: Any) -> tuple[Any, Any]:
    """The range that the required comparisons leave for a field; its ends are included, the test does the rest."""
    for node in required(plan.where):
        if node.field != field:
            continue
        if node.operator in (">", ">=", "="):
            low = max(low, node.value)
        if node.operator in ("<", "<=", "="):
            high = min(high, node.value)
        if node.operator == "between":
            low, high = max(low, node.value[0]), min(high, node.value[1])
    return low, high


def _slice_of_ids(plan: _Plan) -> list[str]:
    ids = plan.table.ids()
    low, high = _bounds(plan, "id", "", "~")
    return ids[bisect_left(ids, low) : bisect_right(ids, high)]
