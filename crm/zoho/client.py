"""Zoho CRM v8: one method an endpoint. It knows no models; JSON of the vendor stops here.

Facts are those of Zoho's v8 documentation and OpenAPI files: https://www.zoho.com/crm/developer/docs/api/v8/
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from crm.zoho.results import RowResult, new_rows_of, rows_of
from crm.zoho.schema import Field, Layout, Module, User, View
from portal.remote import errors
from portal.remote.session import RemoteSession, Reply, Request

API = "/crm/v8"
MAX_RECORDS_PER_WRITE = 100
MAX_FIELDS_PER_READ = 50
PAGE_SIZE = 200
# The `ids` parameter takes 1,024 characters: 50 ids of 19 digits with their commas.
IDS_PER_READ = 50
MAX_ID_CHARACTERS = 1024
# The `fields` parameter has the same length.
MAX_FIELD_CHARACTERS = 1024
COQL_PAGE_SIZE = 2000

# Message of the BadReply for an answer without a body where there should be one.
EMPTY = "The answer is empty."

Record = dict[str, Any]
Rows = Callable[[Any, Sequence[str]], list[RowResult | None]]


@dataclass(frozen=True)
class Page:
    """One page of a walk; `token` continues it, None at the end."""

    records: list[Record]
    token: str | None


@dataclass(frozen=True)
class IdPage:
    """Ids of one page, in its order, and whether others follow."""

    ids: list[str]
    has_more: bool


@dataclass(frozen=True)
class Part:
    """Some fields of some records, for one call; `tag` is the caller's own."""

    ids: Sequence[str]
    fields: Sequence[str]
    tag: Any = None


@dataclass(frozen=True)
class Write:
    """Records of one call, each with its id (new ones have none), and whatever the caller recognises it by."""

    records: Sequence[Record]
    tag: Any = None

    @property
    def ids(self) -> list[str]:
        """Of the records sent; new ones are told apart by their place."""
        return [str(record.get("id") or f"new-{place}") for place, record in enumerate(self.records)]


@dataclass(frozen=True)
class Upload:
    """One file for one record. `body` is a whole multipart body, as bytes or as a file with a length."""

    module: str
    record_id: str
    body: Any
    content_type: str
    tag: Any = None


def note(module: str, record_id: str, title: str, content: str) -> Record:
    """A new note of a record, for `add_notes`. Title up to 120 characters, content up to 32,000."""
    parent = {"module": {"api_name": module}, "id": record_id}
    return {"Parent_Id": parent, "Note_Title": title, "Note_Content": content}


def write_credits(records: int) -> int:
    """Insert, update and upsert cost one credit for each ten records, at least one."""
    return max(1, math.ceil(records / 10))


class ZohoClient:
    """Calls of one connection. A client over a read-only session refuses every write."""

    def __init__(self, session: RemoteSession) -> None:
        self.session = session

    def __enter__(self) -> ZohoClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.session.close()

    # --- metadata ---------------------------------------------------------------------------------------------------

    def modules(self) -> list[Module]:
        """GET /settings/modules, without those that the records API does not serve."""
        reply = self._get("/settings/modules", "settings.modules")
        parsed = (Module.parse(row) for row in self._rows(reply, "modules"))
        return sorted((module for module in parsed if module), key=lambda module: module.plural)

    def fields(self, module: str) -> list[Field]:
        """GET /settings/fields?module=; 204 (none) for some modules that are listed."""
        reply = self._get("/settings/fields", "settings.fields", module=module)
        return [Field.parse(row) for row in self._rows(reply, "fields")]

    def layouts(self, module: str) -> list[Layout]:
        """GET /settings/layouts?module=: only layouts say which fields are mandatory in them."""
        reply = self._get("/settings/layouts", "settings.layouts", module=module)
        return [Layout.parse(row) for row in self._rows(reply, "layouts")]

    def custom_views(self, module: str) -> list[View]:
        """GET /settings/custom_views?module=, all pages."""
        views: list[View] = []
        page = 1
        while True:
            reply = self._get(
                "/settings/custom_views", "settings.custom_views", module=module, page=page, per_page=PAGE_SIZE
            )
            views += [View.parse(row) for row in self._rows(reply, "custom_views")]
            if not self._info(reply).get("more_records"):
                return views
            page += 1

    def users(self) -> list[User]:
        """GET /users?type=AllUsers, all pages."""
        users: list[User] = []
        page = 1
        while True:
            reply = self._get("/users", "users", type="AllUsers", page=page, per_page=PAGE_SIZE)
            users += [User.parse(row) for row in self._rows(reply, "users")]
            if not self._info(reply).get("more_records"):
                return users
            page += 1

    # --- reading ----------------------------------------------------------------------------------------------------

    def view_page(self, module: str, view_id: str, fields: Sequence[str], token: str | None = None) -> Page:
        """GET /{module}?cvid=: one page of a custom view; costs 3 credits.

        Raises Rejected with code PAGINATION_LIMIT_EXCEEDED past 100,000 rows and EXPIRED_VALUE for a token of more
        than 24 hours. A `page` number would end at row 2,000, so the token is used from the second page on.
        """
        params: dict[str, Any] = {"fields": ",".join(fields), "cvid": view_id, "per_page": PAGE_SIZE}
        if token:
            params["page_token"] = token
        return self._page(self._call("GET", f"/{module}", "records.view", params=params, credits=3, heavy=True))

    def module_page(
        self, module: str, fields: Sequence[str], token: str | None = None, *, sort_by: str = "id", order: str = "asc"
    ) -> Page:
        """GET /{module}: one page of all records; sorting by id, Created_Time or Modified_Time only."""
        params: dict[str, Any] = {
            "fields": ",".join(fields),
            "per_page": PAGE_SIZE,
            "sort_by": sort_by,
            "sort_order": order,
        }
        if token:
            params["page_token"] = token
        return self._page(self._call("GET", f"/{module}", "records.list", params=params))

    def id_page(
        self, module: str, *, view_id: str | None = None, page: int, per_page: int, sort_by: str, order: str
    ) -> IdPage:
        """GET /{module}: ids of a numbered page, in the view's own order or sorted by id, Created_Time, Modified_Time.

        Numbers reach the first 2,000 rows. A view costs 3 credits and takes no sort_by.
        """
        params: dict[str, Any] = {"fields": "id", "page": page, "per_page": per_page}
        params |= {"cvid": view_id} if view_id else {"sort_by": sort_by, "sort_order": order}
        endpoint, credits = ("records.view", 3) if view_id else ("records.list", 1)
        reply = self._call("GET", f"/{module}", endpoint, params=params, credits=credits, heavy=view_id is not None)
        ids = [str(row["id"]) for row in self._rows(reply, "data")]
        return IdPage(ids, bool(self._info(reply).get("more_records")))

    def query_ids(
        self, module: str, *, view_id: str | None = None, where: str, order_by: str, limit: int, offset: int = 0
    ) -> IdPage:
        """POST /coql for ids; `where` and `order_by` are COQL. The offset reaches 100,000 rows.

        The views Shared By Me, Shared To Me and Co-owner are not known there.
        """
        source = f"{module}#{view_id}" if view_id else module
        query = f"select id from {source} where {where} order by {order_by} limit {limit} offset {offset}"  # noqa: S608 COQL; callers quote values
        reply = self.coql(query, limit=limit)
        ids = [str(row["id"]) for row in self._rows(reply, "data")]
        return IdPage(ids, bool(self._info(reply).get("more_records")))

    def view_page_by_id(self, module: str, view_id: str, after_id: str, limit: int = COQL_PAGE_SIZE) -> Page:
        """POST /coql over a custom view in the order of ids: reaches any number of rows; `token` is the last id.

        1 credit up to a limit of 200, 2 up to 1,000, 3 up to 2,000.
        """
        query = f"select id from {module}#{view_id} where id > '{after_id}' order by id asc limit {limit}"  # noqa: S608 ids are digits, module is an API name
        reply = self.coql(query, limit=limit)
        records = self._rows(reply, "data")
        more = self._info(reply).get("more_records") or len(records) == limit
        return Page(records, str(records[-1]["id"]) if records and more else None)

    def coql(self, query: str, *, limit: int = PAGE_SIZE) -> Reply:
        """POST /coql: a select statement; reads the store, so there is no index lag."""
        credits = 1 if limit <= 200 else 2 if limit <= 1000 else 3
        return self._call(
            "POST", "/coql", "coql", json={"select_query": query}, credits=credits, heavy=True, repeatable=True, write=False
        )  # fmt: skip

    def query(self, query: str, *, limit: int) -> list[Record]:
        """The records of one COQL query; `limit` is the one that stands in it."""
        return self._rows(self.coql(query, limit=limit), "data")

    def count(self, module: str, *, view_id: str | None = None) -> int:
        """GET /{module}/actions/count; may lag behind by minutes. Needs the search scope."""
        params = {"cvid": view_id} if view_id else {}
        reply = self._call("GET", f"/{module}/actions/count", "records.count", params=params)
        try:
            return int(reply.json["count"])
        except (KeyError, TypeError, ValueError) as error:
            raise self._bad(reply, "no count") from error

    def read_many(
        self, module: str, batches: Iterable[Sequence[str]], fields: Sequence[str]
    ) -> Iterator[tuple[Sequence[str], dict[str, Record] | errors.RemoteError]]:
        """GET /{module}?ids= for each batch, several at a time, as they are answered.

        Gives the ids asked for and what was found by id; an id that is missing there is not visible or not there.
        Converted and unapproved records are included. At most 50 ids and 50 fields a call.
        """
        for part, result in self.read_parts(module, (Part(ids, fields) for ids in batches)):
            yield part.ids, result

    def read_parts(
        self, module: str, parts: Iterable[Part]
    ) -> Iterator[tuple[Part, dict[str, Record] | errors.RemoteError]]:
        """`read_many` where each call has fields of its own: for more fields than one call takes."""
        requests = (self._ids_request(module, part) for part in parts)
        for request, result in self.session.stream(requests):
            yield request.tag, self._by_id(result) if isinstance(result, Reply) else result

    def _by_id(self, reply: Reply) -> dict[str, Record] | errors.BadReply:
        """An odd answer to one call is that call's error; the others go on."""
        try:
            return {str(row["id"]): row for row in self._rows(reply, "data")}
        except errors.BadReply as error:
            return error
        except (KeyError, TypeError):
            return self._bad(reply, "a record without id")

    def record(self, module: str, record_id: str) -> Record | None:
        """GET /{module}/{id} with all fields; None when Zoho has no such record."""
        reply = self._get(f"/{module}/{record_id}", "records.one")
        rows = self._rows(reply, "data")
        return rows[0] if rows else None

    # --- writing ----------------------------------------------------------------------------------------------------

    def insert_many(
        self, module: str, writes: Iterable[Write], *, automation: bool = True, assignment_rule: str = ""
    ) -> Iterator[tuple[Write, list[RowResult | None] | errors.RemoteError]]:
        """POST /{module} with up to 100 new records each. Never repeated by itself: Zoho knows no idempotency key.

        The id of a new record is `details["id"]` of its result. `assignment_rule` is the id of a Zoho rule (`lar_id`)
        that chooses the owners.
        """
        body: Record = {} if automation else {"trigger": []}
        if assignment_rule:
            body["lar_id"] = assignment_rule
        yield from self._send("POST", f"/{module}", "records.insert", writes, body, new_rows_of)

    def add_notes(self, writes: Iterable[Write]) -> Iterator[tuple[Write, list[RowResult | None] | errors.RemoteError]]:
        """POST /Notes with up to 100 notes of any records: `note(...)` makes one. Never repeated by itself."""
        yield from self._send("POST", "/Notes", "notes.insert", writes, {}, new_rows_of)

    def update_notes(
        self, writes: Iterable[Write]
    ) -> Iterator[tuple[Write, list[RowResult | None] | errors.RemoteError]]:
        """PUT /Notes with up to 100 notes, each with its id."""
        yield from self._send("PUT", "/Notes", "notes.update", writes, {}, rows_of)

    def _send(
        self, method: str, path: str, endpoint: str, writes: Iterable[Write], body: Record, read: Rows
    ) -> Iterator[tuple[Write, list[RowResult | None] | errors.RemoteError]]:
        requests = (
            Request(
                method, f"{API}{path}", endpoint, json={"data": list(write.records), **body},
                credits=write_credits(len(write.records)), heavy=len(write.records) > 10, repeatable=False, tag=write,
            )
            for write in writes
        )  # fmt: skip
        for request, result in self.session.stream(requests):
            yield request.tag, self._outcomes(request.tag, result, read)

    # --- notes and attachments of a record --------------------------------------------------------------------------

    def notes_of(self, module: str, record_id: str) -> list[Record]:
        """GET /{module}/{id}/Notes, all pages: id, Note_Title, Note_Content, youngest first."""
        return self._related(module, record_id, "Notes", "id,Note_Title,Note_Content,Created_Time")

    def attachments_of(self, module: str, record_id: str) -> list[Record]:
        """GET /{module}/{id}/Attachments, all pages: id, File_Name, Size in bytes as text."""
        return self._related(module, record_id, "Attachments", "id,File_Name,Size,Created_Time")

    def _related(self, module: str, record_id: str, related: str, fields: str) -> list[Record]:
        rows: list[Record] = []
        page = 1
        while True:
            params = {"fields": fields, "page": page, "per_page": PAGE_SIZE}
            reply = self._call("GET", f"/{module}/{record_id}/{related}", f"{related.lower()}.list", params=params)
            rows += self._rows(reply, "data")
            if not self._info(reply).get("more_records"):
                return rows
            page += 1

    def attach_many(self, uploads: Iterable[Upload]) -> Iterator[tuple[Upload, RowResult | errors.RemoteError]]:
        """POST /{module}/{id}/Attachments, one file a call; never repeated by itself: a second upload is a second file.

        Zoho refuses more than 100 MB (413), and editions may allow less.
        """
        for request, result in self.session.stream(self._upload_request(upload) for upload in uploads):
            outcome = self._outcomes(Write([{}]), result, new_rows_of)
            if isinstance(outcome, list):
                nothing_said = (
                    self._bad(result, "it says nothing about the file") if isinstance(result, Reply) else result
                )
                yield request.tag, outcome[0] or nothing_said
            else:
                yield request.tag, outcome

    def _upload_request(self, upload: Upload) -> Request:
        path = f"{API}/{upload.module}/{upload.record_id}/Attachments"
        headers = {"Content-Type": upload.content_type}
        return Request(
            "POST", path, "attachments.upload", data=upload.body, headers=headers, repeatable=False, tag=upload
        )

    def update_many(
        self, module: str, writes: Iterable[Write], *, automation: bool
    ) -> Iterator[tuple[Write, list[RowResult | None] | errors.RemoteError]]:
        """PUT /{module} with up to 100 records each, several at a time, as they are answered.

        Never repeated by itself when the outcome is open. `automation` False sends an empty `trigger`: no workflow,
        approval or blueprint runs; True leaves it out: all run.
        """
        requests = (self._update_request(module, write, automation=automation) for write in writes)
        for request, result in self.session.stream(requests):
            yield request.tag, self._outcomes(request.tag, result)

    def update_each(
        self, module: str, writes: Iterable[tuple[Write, dt.datetime | str]], *, automation: bool
    ) -> Iterator[tuple[Write, list[RowResult | None] | errors.RemoteError]]:
        """PUT /{module}/{id}, one record a call, refused (ALREADY_MODIFIED) when it changed since the given time."""
        requests = (
            self._update_request(module, write, automation=automation, unmodified_since=str(since))
            for write, since in writes
        )
        for request, result in self.session.stream(requests):
            yield request.tag, self._outcomes(request.tag, result)

    def update_one(self, module: str, record: Record, *, automation: bool, unmodified_since: str | None) -> RowResult:
        """PUT /{module}/{id}: one record at once, refused (412 ALREADY_MODIFIED) when it changed since the given time.

        Never repeated by itself when the outcome is open. Raises BadReply, outcome unknown, for an answer that says
        nothing about the record: `EMPTY` is its message when it had no body.
        """
        write = Write([record])
        request = self._update_request(module, write, automation=automation, unmodified_since=unmodified_since)
        try:
            reply = self.session.call(request)
        except errors.Rejected as refusal:
            told = self._outcomes(write, refusal)
            if isinstance(told, list) and told[0] is not None:
                return told[0]
            raise
        row = rows_of(reply.json, write.ids)[0]
        if row is None:
            raise self._bad(reply, "it says nothing about the record") if reply.body.strip() else self._empty(reply)
        return row

    def _outcomes(
        self, write: Write, result: Reply | errors.RemoteError, read: Rows = rows_of
    ) -> list[RowResult | None] | errors.RemoteError:
        """Rows of the answer; a call refused because all its records were refused still tells about each."""
        if isinstance(result, Reply):
            return read(result.json, write.ids)
        if isinstance(result, errors.Rejected) and isinstance(result.reply, dict) and "data" in result.reply:
            return read(result.reply, write.ids)
        return result

    def _update_request(
        self, module: str, write: Write, *, automation: bool, unmodified_since: str | None = None
    ) -> Request:
        body: dict[str, Any] = {"data": list(write.records)}
        if not automation:
            body["trigger"] = []
        path, headers = f"{API}/{module}", None
        if unmodified_since is not None:
            path, headers = f"{path}/{write.ids[0]}", {"If-Unmodified-Since": unmodified_since}
        return Request(
            "PUT", path, "records.update", json=body, headers=headers, credits=write_credits(len(write.records)),
            heavy=len(write.records) > 10, repeatable=False, tag=write,
        )  # fmt: skip

    def _ids_request(self, module: str, part: Part) -> Request:
        params = {
            "ids": ",".join(part.ids),
            "fields": ",".join(part.fields),
            "converted": "both",
            "per_page": PAGE_SIZE,
        }
        return Request("GET", f"{API}/{module}", "records.by_id", params=params, tag=part)

    # --- the wire ---------------------------------------------------------------------------------------------------

    def _get(self, path: str, endpoint: str, **params: Any) -> Reply:
        return self._call("GET", path, endpoint, params=params)

    def _call(self, method: str, path: str, endpoint: str, **options: Any) -> Reply:
        return self.session.call(Request(method, f"{API}{path}", endpoint, **options))

    def _rows(self, reply: Reply, key: str) -> list[dict[str, Any]]:
        """The list under `key`; 204 without a body means none. Anything else is a change at the vendor."""
        if reply.json is None and reply.status in (204, 304):
            return []
        if not isinstance(reply.json, Mapping) or not isinstance(reply.json.get(key), list):
            raise self._bad(reply, f"no list {key!r}")
        return list(reply.json[key])

    def _info(self, reply: Reply) -> Mapping[str, Any]:
        info = reply.json.get("info") if isinstance(reply.json, Mapping) else None
        return info if isinstance(info, Mapping) else {}

    def _page(self, reply: Reply) -> Page:
        info = self._info(reply)
        records = self._rows(reply, "data")
        token = info.get("next_page_token") if info.get("more_records") else None
        if info.get("more_records") and not token:
            raise self._bad(reply, "more records are announced without a page token")
        return Page(records, token)

    def _bad(self, reply: Reply, what: str) -> errors.BadReply:
        return self._bad_reply(reply, f"The answer has an unexpected form: {what}.")

    def _empty(self, reply: Reply) -> errors.BadReply:
        return self._bad_reply(reply, EMPTY)

    def _bad_reply(self, reply: Reply, message: str) -> errors.BadReply:
        return errors.BadReply(
            message,
            service="Zoho CRM",
            endpoint=reply.request.endpoint,
            status=reply.status,
            request_id=reply.request_id,
            outcome_unknown=reply.request.is_write,
        )


def id_batches(ids: Iterable[str], size: int = IDS_PER_READ) -> Iterator[list[str]]:
    """Batches that fit the `ids` parameter: at most 50 ids and 1,024 characters."""
    batch: list[str] = []
    length = 0
    for record_id in ids:
        if batch and (len(batch) == size or length + len(record_id) + 1 > MAX_ID_CHARACTERS):
            yield batch
            batch, length = [], 0
        batch.append(record_id)
        length += len(record_id) + 1
    if batch:
        yield batch


def field_groups(fields: Iterable[str]) -> list[list[str]]:
    """Groups that fit the `fields` parameter: at most 50 names and 1,024 characters."""
    groups: list[list[str]] = []
    length = 0
    for name in dict.fromkeys(fields):
        if not groups or len(groups[-1]) == MAX_FIELDS_PER_READ or length + len(name) + 1 > MAX_FIELD_CHARACTERS:
            groups.append([])
            length = 0
        groups[-1].append(name)
        length += len(name) + 1
    return groups
