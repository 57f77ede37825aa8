"""What stands before every call of the CRM API: token, scopes, concurrency, credits."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.zoho.errors import error_of_status, not_built, refuse
from portal.standin.zoho.org import Org
from portal.standin.zoho.tokens import Tokens, allows

_DAY_S = 86_400
_BUCKET_S = 60
_SLOTS_TAKEN = "You have exceeded the number of concurrent calls that are allowed. Please try again later"
_CREDITS_GONE = "You have exceeded the API credits of the last 24 hours. Please try again later"

Price = Callable[[Request], int]
Weight = Callable[[Request], bool]


@dataclass
class Credits:
    """Credits over a rolling day, in buckets of a minute so that a long run stays small."""

    org: Org
    _buckets: deque[list[int]] = field(default_factory=deque)
    used: int = 0

    def settle(self) -> None:
        """Forget what is older than a day."""
        oldest = self.org.now() - _DAY_S
        while self._buckets and self._buckets[0][0] <= oldest:
            self.used -= self._buckets.popleft()[1]

    def spend(self, amount: int) -> None:
        now = self.org.now()
        if self._buckets and now - self._buckets[-1][0] < _BUCKET_S:
            self._buckets[-1][1] += amount
        else:
            self._buckets.append([now, amount])
        self.used += amount
        self.org.counters.spend("zoho credits", amount)

    @property
    def remaining(self) -> int:
        return max(0, self.org.settings.daily_credits - self.used)


@dataclass
class Slots:
    """Calls in flight at the vendor: all of them, and the heavy ones among them."""

    taken: int = 0
    heavy: int = 0
    most: int = 0
    most_heavy: int = 0


@dataclass
class Limits:
    """Shared by the gates of all routes."""

    org: Org
    tokens: Tokens
    credits: Credits
    slots: Slots = field(default_factory=Slots)
    heavy_calls: set[int] = field(default_factory=set)

    def admit(self, request: Request, *, price: int, is_heavy: bool) -> None:
        settings, slots = self.org.settings, self.slots
        if slots.taken >= settings.concurrency or (is_heavy and slots.heavy >= settings.heavy_concurrency):
            self.org.counters.reject("zoho concurrency")
            raise refuse(429, "TOO_MANY_REQUESTS", _SLOTS_TAKEN)
        self.credits.settle()
        if self.credits.used + price > settings.daily_credits:
            self.org.counters.reject("zoho credits")
            raise refuse(429, "TOO_MANY_REQUESTS", _CREDITS_GONE)
        self.credits.spend(price)
        slots.taken += 1
        slots.most = max(slots.most, slots.taken)
        if is_heavy:
            slots.heavy += 1
            slots.most_heavy = max(slots.most_heavy, slots.heavy)
            self.heavy_calls.add(request.call_number)

    def release(self, request: Request) -> None:
        self.slots.taken -= 1
        if request.call_number in self.heavy_calls:
            self.heavy_calls.discard(request.call_number)
            self.slots.heavy -= 1


@dataclass(frozen=True)
class ApiGate:
    """The gate of one route. `{module}` in a scope is the module of the path."""

    limits: Limits
    scopes: tuple[str, ...]
    price: Price
    is_heavy: Weight

    def enter(self, request: Request) -> None:
        limits = self.limits
        with limits.org.lock:
            access = limits.tokens.authenticate(request)
            request.principal = access.user_id
            if "x-external" in request.headers:
                raise not_built("external ids")
            for scope in self.scopes:
                needed = scope.format(**request.params)
                if not allows(access.scopes, needed):
                    raise refuse(401, "OAUTH_SCOPE_MISMATCH", "invalid oauth scope to access this URL")
            limits.admit(request, price=self.price(request), is_heavy=self.is_heavy(request))

    def leave(self, request: Request, reply: Reply | None) -> None:
        limits = self.limits
        with limits.org.lock:
            limits.release(request)
            if reply is not None and limits.credits.used * 2 >= limits.org.settings.daily_credits:
                reply.headers["X-API-CREDITS-REMAINING"] = str(limits.credits.remaining)

    def error_body(self, status: int) -> JsonObject:
        return error_of_status(status)


def one(request: Request) -> int:
    return 1


def never(request: Request) -> bool:
    return False


def always(request: Request) -> bool:
    return True


def record_count(request: Request) -> int:
    body = request.json()
    rows = body.get("data") if isinstance(body, dict) else None
    return len(rows) if isinstance(rows, list) else 0


def per_ten_records(request: Request) -> int:
    """One credit for each ten records, ten at most."""
    return min(10, max(1, -(-record_count(request) // 10)))


def more_than_ten(request: Request) -> bool:
    return record_count(request) > 10


def by_view(request: Request) -> bool:
    return "cvid" in request.query


def list_price(request: Request) -> int:
    return 3 if by_view(request) else 1


def two(request: Request) -> int:
    return 2
