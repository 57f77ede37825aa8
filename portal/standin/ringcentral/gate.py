"""What stands before every call of the RingCentral API: token, rate bucket, scopes."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field

from portal.standin.messages import JsonObject, Refusal, Reply, Request
from portal.standin.ringcentral.errors import error, error_of_status, refuse
from portal.standin.ringcentral.people import ACCOUNT_ID
from portal.standin.ringcentral.settings import Office
from portal.standin.ringcentral.tokens import Tokens, client_of

LIGHT, MEDIUM, HEAVY, AUTH = "light", "medium", "heavy", "auth"


@dataclass(slots=True)
class _Bucket:
    calls: deque[float] = field(default_factory=deque)
    penalty_until: float = 0.0


class Buckets:
    """A sliding window for each client and group. The call over the limit starts a penalty; any call in it restarts it."""

    def __init__(self, office: Office) -> None:
        self._office = office
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    def limit(self, group: str) -> int:
        return int(getattr(self._office.settings, f"{group}_limit"))

    def _bucket(self, client_id: str, group: str) -> _Bucket:
        bucket = self._buckets.setdefault((client_id, group), _Bucket())
        oldest = self._office.clock.timestamp() - self._office.settings.window_s
        while bucket.calls and bucket.calls[0] <= oldest:
            bucket.calls.popleft()
        return bucket

    def admit(self, client_id: str, group: str) -> None:
        bucket, now = self._bucket(client_id, group), self._office.clock.timestamp()
        in_penalty = now < bucket.penalty_until
        if in_penalty:
            self._office.counters.violate_penalty()
        if in_penalty or len(bucket.calls) >= self.limit(group):
            bucket.penalty_until = now + self._office.settings.penalty_s
            self._office.counters.reject(f"ringcentral {group}")
            raise Refusal(self._too_many(client_id, group))
        bucket.calls.append(now)

    def _too_many(self, client_id: str, group: str) -> Reply:
        reply = Reply.of(429, error("CMN-301", "Request rate exceeded"))
        reply.headers |= self.headers(client_id, group)
        if self._office.settings.retry_after:
            reply.headers["Retry-After"] = str(max(1, round(self._office.settings.penalty_s)))
        return reply

    def headers(self, client_id: str, group: str) -> dict[str, str]:
        used = len(self._bucket(client_id, group).calls)
        return {
            "X-Rate-Limit-Group": group,
            "X-Rate-Limit-Limit": str(self.limit(group)),
            "X-Rate-Limit-Remaining": str(max(0, self.limit(group) - used)),
            "X-Rate-Limit-Window": str(round(self._office.settings.window_s)),
        }


@dataclass(frozen=True)
class ApiGate:
    office: Office
    tokens: Tokens
    buckets: Buckets
    group: str
    scopes: tuple[str, ...]

    def enter(self, request: Request) -> None:
        with self.office.lock:
            access = self.tokens.authenticate(request)
            request.principal = access.client_id
            self.buckets.admit(access.client_id, self.group)
            for scope in self.scopes:
                if scope not in access.scopes:
                    text = f"In order to call this API endpoint, application needs to have [{scope}] permission"
                    refusal = refuse(403, "CMN-401", text, legacy="InsufficientPermissions", permissionName=scope)
                    refusal.reply.headers |= self.buckets.headers(access.client_id, self.group)
                    raise refusal
            if request.params.get("account", "~") not in ("~", ACCOUNT_ID):
                raise refuse(403, "CMN-402", "The account is not yours", parameterName="accountId")

    def leave(self, request: Request, reply: Reply | None) -> None:
        if reply is not None:
            with self.office.lock:
                reply.headers |= self.buckets.headers(request.principal, self.group)

    def error_body(self, status: int) -> JsonObject:
        return error_of_status(status)


@dataclass(frozen=True)
class AuthGate:
    """Before the token endpoint: a bucket for each client that can be told."""

    office: Office
    buckets: Buckets

    def enter(self, request: Request) -> None:
        client_id = client_of(request)[0]
        if client_id:
            with self.office.lock:
                self.buckets.admit(client_id, AUTH)

    def leave(self, request: Request, reply: Reply | None) -> None:
        client_id = client_of(request)[0]
        if reply is not None and client_id:
            with self.office.lock:
                reply.headers |= self.buckets.headers(client_id, AUTH)

    def error_body(self, status: int) -> JsonObject:
        return error_of_status(status)
