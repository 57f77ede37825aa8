"""The search call: criteria grammar, email, phone and word, over an index that lags behind the records."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

from portal.standin.messages import Refusal, Reply, Request
from portal.standin.zoho.conditions import Comparison, Group, Node, comparisons, compiled, conjuncts, phone_key
from portal.standin.zoho.errors import refuse, whole_number
from portal.standin.zoho.org import Org
from portal.standin.zoho.schema import TEXT_TYPES, Field, Module
from portal.standin.zoho.table import Getter, Table
from portal.standin.zoho.values import BadValue, condition_value

REACH = 2_000
MAX_CRITERIA = 10
MAX_IN = 100
_OPERATORS = {
    "equals": "=",
    "not_equal": "!=",
    "greater_than": ">",
    "greater_equal": ">=",
    "less_than": "<",
    "less_equal": "<=",
    "in": "in",
    "between": "between",
    "starts_with": "starts_with",
}
_PHONE = re.compile(r"[0-9 ()\-.+]{3,50}")


def _invalid(reason: str, **details: str) -> Refusal:
    return refuse(400, "INVALID_QUERY", "Invalid query formed", reason=reason, **details)


class _Criteria:
    """Parser of `((Field:operator:value)and(Field:operator:value))`."""

    def __init__(self, text: str, module: Module) -> None:
        self._text = text
        self._module = module
        self._position = 0

    def parse(self) -> Node:
        if not self._text.startswith("("):
            self._text = f"({self._text})"
        node = self._chain()
        if self._position != len(self._text):
            raise _invalid("unexpected text after the criteria")
        return node

    def _chain(self) -> Node:
        """Terms joined by one word; Zoho reads a mixed chain from the left."""
        node = self._term()
        while True:
            word = self._word()
            if word is None:
                return node
            node = Group(word, (node, self._term()))

    def _word(self) -> str | None:
        for word in ("and", "or"):
            if self._text[self._position : self._position + len(word)].lower() == word:
                self._position += len(word)
                return word
        return None

    def _term(self) -> Node:
        if self._peek() != "(":
            raise _invalid("a criterion must stand in parentheses")
        self._position += 1
        if self._peek() == "(":
            node = self._chain()
        else:
            node = self._comparison()
        if self._peek() != ")":
            raise _invalid("a closing parenthesis is missing")
        self._position += 1
        return node

    def _peek(self) -> str:
        return self._text[self._position : self._position + 1]

    def _comparison(self) -> Comparison:
        name, operator = self._until_colon(), self._until_colon()
        values = self._values()
        field = self._module.by_name.get(name)
        if field is None:
            raise _invalid("the field is not available", api_name=name)
        if operator not in _OPERATORS:
            raise _invalid("invalid operator", api_name=name, operator=operator)
        return _comparison(field, operator, values)

    def _until_colon(self) -> str:
        end = self._text.find(":", self._position)
        if end < 0:
            raise _invalid("a criterion is field:operator:value")
        part = self._text[self._position : end]
        self._position = end + 1
        return part.strip()

    def _values(self) -> list[str]:
        """Up to the closing parenthesis; a backslash keeps parentheses, commas and backslashes literal."""
        values, current = [], ""
        while self._peek() not in ("", ")"):
            character = self._peek()
            self._position += 1
            if character == "\\":
                current += self._peek()
                self._position += 1
            elif character == ",":
                values.append(current)
                current = ""
            else:
                current += character
        return [*values, current]


def _comparison(field: Field, operator: str, raw: list[str]) -> Comparison:
    if operator not in ("in", "between"):
        raw = [",".join(raw)]
    if len(raw) > MAX_IN:
        raise refuse(400, "CRITERIA_LIMIT_EXCEEDED", "criteria limit exceeded", limit=MAX_IN)
    try:
        values = [condition_value(field, value) for value in raw]
    except (ValueError, BadValue):
        raise _invalid("the value does not suit the field", api_name=field.api_name, value=",".join(raw)) from None
    if operator == "between" and len(values) != 2:
        raise _invalid("between takes two values", api_name=field.api_name)
    meaning = _search_operator(field, operator)
    several = operator in ("in", "between") or meaning == "same number"
    return Comparison(field.api_name, meaning, values if several else values[0])


def _search_operator(field: Field, operator: str) -> str:
    """The index tokenizes: `equals` on a text finds more than equal values, on a phone any spelling."""
    if operator == "equals" and field.data_type in TEXT_TYPES:
        return "contains"
    if operator in ("equals", "in") and field.data_type == "phone":
        return "same number"
    if operator == "equals" and field.data_type == "email":
        return "same text"
    return _OPERATORS[operator]


class Search:
    def __init__(self, org: Org) -> None:
        self.org = org

    def call(self, request: Request) -> Reply:
        table = self.org.table(request.params["module"])
        per_page = whole_number(request.query.get("per_page"), 200, "per_page", maximum=200)
        page = whole_number(request.query.get("page"), 1, "page")
        if page * per_page > REACH:
            text = "You have reached the limit of records that a search can fetch"
            raise refuse(400, "LIMIT_REACHED", text, limit=str(REACH))
        fields = request.query.get("fields")
        names = tuple(name.strip() for name in fields.split(",")) if fields else None
        matches = self.matches(request, table)
        start = (page - 1) * per_page
        ids = matches[start : start + per_page]
        if not ids:
            return Reply(204)
        request.records = len(ids)
        info = {
            "per_page": per_page,
            "count": len(ids),
            "page": page,
            "sort_by": "id",
            "sort_order": "desc",
            "more_records": len(matches) > start + per_page,
        }
        return Reply.of(200, {"data": [self.org.shown(table, record_id, names) for record_id in ids], "info": info})

    def matches(self, request: Request, table: Table) -> list[str]:
        """Ids that the index finds, youngest first. Of several selectors the strongest is honoured."""
        node = self._node(request, table.module)
        hidden = self._hidden(request, table.module)
        test = compiled(Group("and", (node, *hidden)), self._reader(table))
        candidates = self._candidates(table, node)
        found = [record_id for record_id in candidates if self._is_indexed(table, record_id) and test(record_id)]
        return sorted(found, reverse=True)

    def _node(self, request: Request, module: Module) -> Node:
        query = request.query
        if query.get("criteria"):
            return self._criteria(query["criteria"], module)
        if query.get("email"):
            return _any_of(module, ("email",), "same text", query["email"])
        if query.get("phone"):
            if not _PHONE.fullmatch(query["phone"]):
                raise refuse(400, "INVALID_DATA", "invalid data", param_name="phone")
            return _any_of(module, ("phone",), "same number", [query["phone"]])
        if query.get("word"):
            if len(query["word"]) < 2:
                raise refuse(400, "INVALID_DATA", "invalid data", param_name="word")
            return _any_of(module, ("text", "email", "phone", "picklist"), "contains", query["word"])
        names = ["criteria", "email", "phone", "word"]
        raise refuse(400, "EXPECTED_PARAM_MISSING", "One of the expected parameter is missing", param_names=names)

    def _criteria(self, text: str, module: Module) -> Node:
        if len(text) > 3_000:
            raise refuse(400, "LIMIT_EXCEEDED", "the criteria are too long", limit=3_000, param_name="criteria")
        node = _Criteria(text, module).parse()
        if sum(1 for _ in comparisons(node)) > MAX_CRITERIA:
            raise refuse(400, "CRITERIA_LIMIT_EXCEEDED", "criteria limit exceeded", limit=MAX_CRITERIA)
        return node

    def _hidden(self, request: Request, module: Module) -> list[Comparison]:
        """Converted and unapproved records do not show unless asked for."""
        terms = []
        converted, approved = request.query.get("converted", "false"), request.query.get("approved", "true")
        if converted != "both" and "Converted__s" in module.by_name:
            terms.append(Comparison("Converted__s", "=", converted == "true"))
        if approved != "both":
            terms.append(Comparison("$approval_state", "=" if approved == "true" else "!=", "approved"))
        return terms

    def _candidates(self, table: Table, node: Node) -> Iterable[str]:
        """By index where values decide (an integration asks for phones and emails all day), else all."""
        for part in conjuncts(node):
            found = self._indexed(table, part)
            if found is not None:
                # A record that changed a moment ago may match by a value that the value index has forgotten.
                return found | {record_id for record_id in self.org.stale(table) if table.exists(record_id)}
        return table.ids()

    def _indexed(self, table: Table, node: Node) -> set[str] | None:
        if isinstance(node, Group):
            parts = [self._indexed(table, term) for term in node.terms] if node.operator == "or" else [None]
            known = [part for part in parts if part is not None]
            return set().union(*known) if len(known) == len(parts) else None
        if node.operator == "same text":
            return set(table.value_index(node.field, "lower", lambda value: str(value).lower()).find(node.value))
        if node.operator != "same number" or any(len(phone_key(value)) < 9 for value in node.value):
            return None
        index = table.value_index(node.field, "phone", phone_key)
        return {record_id for value in node.value for record_id in index.find(value)}

    def _is_indexed(self, table: Table, record_id: str) -> bool:
        """False for a record so young that the index has not seen it."""
        stale = self.org.stale(table).get(record_id)
        return stale is None or stale.earlier is not None

    def _reader(self, table: Table) -> Callable[[str], Getter]:
        """Reads what the index knows: the earlier value of a field that changed a moment ago."""
        stale = self.org.stale(table)
        read_now = self.org.reader(table)
        if not stale:
            return read_now

        def getter_of(path: str) -> Getter:
            current = read_now(path)

            def read(record_id: str) -> Any:
                entry = stale.get(record_id)
                if entry is not None and entry.earlier is not None and path in entry.earlier:
                    return entry.earlier[path]
                return current(record_id)

            return read

        return getter_of


def _any_of(module: Module, kinds: tuple[str, ...], operator: str, value: str | list[str]) -> Group:
    fields = [item for item in module.fields if item.data_type in kinds and not item.hidden]
    return Group("or", tuple(Comparison(item.api_name, operator, value) for item in fields))
