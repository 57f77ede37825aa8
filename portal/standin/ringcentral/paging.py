"""Offset paging: pages from 1, links that repeat the call, totals only where the vendor gives them."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice
from typing import TypeVar
from urllib.parse import urlencode

from portal.standin.messages import JsonObject, Request
from portal.standin.ringcentral.errors import bad_parameter

T = TypeVar("T")
DEFAULT_PER_PAGE, MAX_PER_PAGE = 100, 1_000


def positive(request: Request, name: str, default: int) -> int:
    text = request.query.get(name)
    if text is None:
        return default
    if not text.isdigit() or int(text) < 1:
        raise bad_parameter(name, text)
    return int(text)


def place(request: Request) -> tuple[int, int]:
    """Page and page size. A size above the maximum is capped without a word."""
    if request.query.get("perPage") == "max":
        return positive(request, "page", 1), MAX_PER_PAGE
    return positive(request, "page", 1), min(MAX_PER_PAGE, positive(request, "perPage", DEFAULT_PER_PAGE))


def own_uri(request: Request, page: int | None = None) -> str:
    items = [(name, value) for name, values in request.query_lists().items() for value in values if name != "page"]
    if page is not None:
        items.append(("page", str(page)))
    return f"{request.base_url}{request.path}{'?' if items else ''}{urlencode(items)}"


def page_of(request: Request, found: Iterable[T]) -> tuple[list[T], JsonObject]:
    """The page and its envelope, without totals. One row past the page tells whether there is a next one."""
    page, per_page = place(request)
    start = (page - 1) * per_page
    rows = list(islice(found, start, start + per_page + 1))
    more, rows = len(rows) > per_page, rows[:per_page]
    paging: JsonObject = {"perPage": per_page}
    if rows:
        paging = {"page": page, "perPage": per_page, "pageStart": start, "pageEnd": start + len(rows) - 1}
    navigation = {"firstPage": {"uri": own_uri(request, 1)}}
    if page > 1:
        navigation["previousPage"] = {"uri": own_uri(request, page - 1)}
    if more:
        navigation["nextPage"] = {"uri": own_uri(request, page + 1)}
    request.records = len(rows)
    return rows, {"uri": own_uri(request, page), "paging": paging, "navigation": navigation}


def counted_page(request: Request, found: list[T]) -> tuple[list[T], JsonObject]:
    """The same with totals, as the lists of extensions and messages have them."""
    rows, envelope = page_of(request, found)
    per_page = envelope["paging"]["perPage"]
    pages = max(1, -(-len(found) // per_page))
    envelope["paging"] |= {"totalPages": pages, "totalElements": len(found)}
    envelope["navigation"]["lastPage"] = {"uri": own_uri(request, pages)}
    return rows, envelope
