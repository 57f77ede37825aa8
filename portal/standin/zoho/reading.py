"""Lists, single records, counts and the recycle bin."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from itertools import islice

from portal.standin.messages import JsonObject, Refusal, Reply, Request
from portal.standin.zoho.errors import not_built, refuse, whole_number
from portal.standin.zoho.org import Org
from portal.standin.zoho.paging import REACH_BY_PAGE, PageTokens
from portal.standin.zoho.search import Search
from portal.standin.zoho.table import Table
from portal.standin.zoho.values import BadValue, format_time, parse_time

MAX_FIELDS = 50
_CHOICES = ("true", "false", "both")
_NOT_BUILT = frozenset({"uid", "startDateTime", "endDateTime", "territory_id", "include_child"})
_SORTABLE = ("id", "Created_Time", "Modified_Time")


def wanted_fields(request: Request) -> tuple[str, ...]:
    text = request.query.get("fields")
    if not text:
        raise refuse(400, "REQUIRED_PARAM_MISSING", "One of the expected parameter is missing", param_name="fields")
    fields = tuple(dict.fromkeys(name.strip() for name in text.split(",") if name.strip()))
    if len(fields) > MAX_FIELDS:
        raise refuse(400, "LIMIT_EXCEEDED", "You have exceeded the fields limit", limit=MAX_FIELDS, param_name="fields")
    return fields


def choice(request: Request, name: str, default: str) -> str:
    value = request.query.get(name, default)
    if value not in _CHOICES:
        raise refuse(400, "INVALID_DATA", "invalid data", param_name=name, supported_values=list(_CHOICES))
    return value


def header_time(request: Request, name: str) -> int | None:
    text = request.headers.get(name)
    if text is None:
        return None
    try:
        return parse_time(text)
    except BadValue:
        raise refuse(400, "INVALID_DATA", "invalid data", header_name=name) from None


class Reading:
    def __init__(self, org: Org, search: Search) -> None:
        self.org = org
        self.search = search
        self.page_tokens = PageTokens(org)

    def list_records(self, request: Request) -> Reply:
        table = self.org.table(request.params["module"])
        return self.list_of(request, table)

    def list_of(self, request: Request, table: Table) -> Reply:
        query, fields = request.query, wanted_fields(request)
        unknown = _NOT_BUILT.intersection(query)
        if unknown:
            raise not_built(f"the list parameter {min(unknown)}")
        per_page = whole_number(query.get("per_page"), 200, "per_page", maximum=200)
        if "page_token" in query:
            if "page" in query:
                raise refuse(
                    400, "AMBIGUITY_DURING_PROCESSING", "ambiguity while processing", param_names=["page", "page_token"]
                )
            walk, start = self.page_tokens.open(request)
            page = start // per_page + 1
        else:
            page = whole_number(query.get("page"), 1, "page")
            if page * per_page > REACH_BY_PAGE:
                text = "You have reached the limit of records that pages can fetch; use page_token"
                raise refuse(400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED", text, limit=REACH_BY_PAGE)
            walk, start = self._ordered(request, table), (page - 1) * per_page
        ids = [record_id for record_id in walk[start : start + per_page] if table.exists(record_id)]
        request.records = len(ids)
        more = len(walk) > start + per_page
        if not ids and not more:
            return Reply(204)
        info = self._info(request, page=page, per_page=per_page, count=len(ids), more=more)
        info |= self.page_tokens.links(request, walk, start, per_page)
        return Reply.of(200, {"data": [self.org.shown(table, record_id, fields) for record_id in ids], "info": info})

    def _info(self, request: Request, *, page: int, per_page: int, count: int, more: bool) -> JsonObject:
        return {
            "call": False,
            "email": False,
            "per_page": per_page,
            "count": count,
            "page": page,
            "sort_by": request.query.get("sort_by", "id"),
            "sort_order": request.query.get("sort_order", "desc"),
            "more_records": more,
        }

    def _ordered(self, request: Request, table: Table) -> Sequence[str]:
        """All ids of the call in its order, shared with later calls while nothing changes."""
        query = request.query
        sort_by, order = query.get("sort_by", "id"), query.get("sort_order", "desc")
        cvid = query.get("cvid")
        if cvid is not None and "sort_by" in query:
            raise refuse(
                400, "AMBIGUITY_DURING_PROCESSING", "ambiguity while processing", param_names=["cvid", "sort_by"]
            )
        if sort_by not in _SORTABLE or order not in ("asc", "desc"):
            name = "sort_by" if sort_by not in _SORTABLE else "sort_order"
            raise refuse(400, "INVALID_DATA", "invalid data", param_name=name)
        if cvid is not None:
            self.org.view(cvid, table.module.api_name)
        selection = self.org.selection(
            table, cvid, choice(request, "converted", "false"), choice(request, "approved", "both")
        )
        since = header_time(request, "if-modified-since")
        descending = order == "desc"
        if since is None and sort_by == "id" and "ids" not in query:
            return selection.frozen(descending=descending)
        chosen = self._by_ids(query["ids"], selection.members) if "ids" in query else selection.members
        return self._sorted(table, chosen, sort_by, since, descending=descending)

    def _sorted(
        self,
        table: Table,
        chosen: Sequence[str],
        sort_by: str,
        since: int | None,
        *,
        descending: bool,
    ) -> Sequence[str]:
        changed: Sequence[str] = chosen
        if since is not None:
            fresh = table.time_index().between(since + 1, float("inf"))
            changed = [record_id for record_id in fresh if _contains(chosen, record_id)]
            if not changed:
                raise Refusal(Reply(304))
        if sort_by == "id":
            return sorted(changed, reverse=descending)
        if sort_by == "Modified_Time" and since is not None:
            return changed[::-1] if descending else changed
        read = table.getter(sort_by)
        return sorted(changed, key=lambda record_id: (read(record_id), record_id), reverse=descending)

    def _by_ids(self, text: str, members: Sequence[str]) -> list[str]:
        if len(text) > 1024:
            raise refuse(400, "LIMIT_EXCEEDED", "the parameter is too long", limit=1024, param_name="ids")
        wanted = {part.strip() for part in text.split(",")}
        if not all(part.isdigit() for part in wanted):
            raise refuse(400, "INVALID_DATA", "invalid data", param_name="ids")
        return sorted(record_id for record_id in wanted if _contains(members, record_id))

    def one_record(self, request: Request) -> Reply:
        table = self.org.table(request.params["module"])
        record_id = request.params["id"]
        fields = wanted_fields(request) if request.query.get("fields") else None
        if not table.exists(record_id):
            return Reply(204)
        since = header_time(request, "if-modified-since")
        if since is not None and table.value(record_id, "Modified_Time") <= since:
            return Reply(304)
        request.records = 1
        return Reply.of(200, {"data": [self.org.shown(table, record_id, fields)]})

    def count(self, request: Request) -> Reply:
        """A string, as the specification has it."""
        table = self.org.table(request.params["module"])
        query = request.query
        selectors = [name for name in ("cvid", "criteria", "email", "phone", "word") if name in query]
        if len(selectors) > 1 and "cvid" in selectors:
            raise refuse(400, "AMBIGUITY_DURING_PROCESSING", "ambiguity while processing", param_names=selectors)
        if selectors and selectors[0] != "cvid":
            return Reply.of(200, {"count": str(len(self.search.matches(request, table)))})
        cvid = self.org.view(query["cvid"], table.module.api_name) if "cvid" in query else None
        selection = self.org.selection(
            table, cvid, choice(request, "converted", "false"), choice(request, "approved", "both")
        )
        return Reply.of(200, {"count": str(len(selection.members))})

    def deleted(self, request: Request) -> Reply:
        module = self.org.module(request.params["module"])
        per_page = whole_number(request.query.get("per_page"), 200, "per_page", maximum=200)
        page = whole_number(request.query.get("page"), 1, "page")
        if request.query.get("type", "all") not in ("all", "recycle", "permanent"):
            raise refuse(400, "INVALID_DATA", "invalid data", param_name="type")
        since = header_time(request, "if-modified-since")
        rows = [
            row
            for row in self.org.deleted[module.api_name].values()
            if (since is None or row["deleted_time"] > since) and request.query.get("type") != "permanent"
        ]
        rows.sort(key=lambda row: (row["deleted_time"], row["id"]), reverse=True)
        start = (page - 1) * per_page
        shown = [
            {**row, "deleted_time": format_time(row["deleted_time"])} for row in islice(rows, start, start + per_page)
        ]
        if not shown:
            return Reply(304 if since is not None and not rows else 204)
        more = len(rows) > start + per_page
        info = {"per_page": per_page, "count": len(shown), "page": page, "more_records": more}
        return Reply.of(200, {"data": shown, "info": info})


def _contains(members: Sequence[str], record_id: str) -> bool:
    position = bisect_left(members, record_id)
    return position < len(members) and members[position] == record_id
