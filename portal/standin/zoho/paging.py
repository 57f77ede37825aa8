"""Page tokens: a walk over a frozen list of ids, bound to the call's other parameters and to a day."""

from __future__ import annotations

import secrets
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass

from portal.standin.messages import JsonObject, Request
from portal.standin.zoho.errors import refuse
from portal.standin.zoho.org import Org
from portal.standin.zoho.values import format_time

REACH_BY_PAGE = 2_000
REACH_BY_TOKEN = 100_000
# A walk may hold on to 100,000 ids, so the number of walks is what must stay small; the least used is forgotten.
_KEPT_WALKS = 40
_KEPT_TOKENS_PER_WALK = 2_000
_NOT_BOUND = frozenset({"page", "page_token"})


@dataclass(frozen=True, slots=True)
class PageToken:
    call: tuple[object, ...]
    walk: Sequence[str]
    start: int
    expires_at: int


class PageTokens:
    def __init__(self, org: Org) -> None:
        self._org = org
        self._tokens: dict[str, PageToken] = {}
        self._walks: OrderedDict[int, deque[str]] = OrderedDict()

    def links(self, request: Request, walk: Sequence[str], start: int, per_page: int) -> JsonObject:
        """The part of `info` that leads to the pages before and after."""
        expires_at = self._org.now() + self._org.settings.page_token_life_s
        more = len(walk) > start + per_page
        following = self._mint(request, walk, start + per_page, expires_at) if more else None
        previous = self._mint(request, walk, start - per_page, expires_at) if start >= per_page else None
        return {
            "next_page_token": following,
            "previous_page_token": previous,
            "page_token_expiry": format_time(expires_at) if following or previous else None,
        }

    def _mint(self, request: Request, walk: Sequence[str], start: int, expires_at: int) -> str:
        name = secrets.token_hex(24)
        self._tokens[name] = PageToken(_call_of(request), walk, start, expires_at)
        names = self._walks.setdefault(id(walk), deque())
        self._walks.move_to_end(id(walk))
        names.append(name)
        if len(names) > _KEPT_TOKENS_PER_WALK:
            del self._tokens[names.popleft()]
        if len(self._walks) > _KEPT_WALKS:
            _, forgotten = self._walks.popitem(last=False)
            for old in forgotten:
                del self._tokens[old]
        return name

    def open(self, request: Request) -> tuple[Sequence[str], int]:
        token = self._tokens.get(request.query["page_token"])
        if token is None:
            raise refuse(400, "INVALID_DATA", "the page token is invalid", param_name="page_token")
        if token.expires_at <= self._org.now():
            raise refuse(400, "EXPIRED_VALUE", "the page token has expired", param_name="page_token")
        if token.call != _call_of(request):
            text = "the page token was made for a call with other parameters"
            raise refuse(400, "TOKEN_BOUND_DATA_MISMATCH", text, param_name="page_token")
        if token.start >= REACH_BY_TOKEN:
            text = "You have reached the limit of records that page_token can fetch"
            raise refuse(400, "PAGINATION_LIMIT_EXCEEDED", text, limit=REACH_BY_TOKEN)
        return token.walk, token.start


def _call_of(request: Request) -> tuple[object, ...]:
    """What a token is bound to: the user, the path and every parameter but the position."""
    others = sorted(item for item in request.query.items() if item[0] not in _NOT_BOUND)
    return (request.principal, request.path, *others)
