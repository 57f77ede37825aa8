"""Access tokens: one row per connection, renewed by one process while all others wait for its result.

Zoho grants 10 tokens in 10 minutes per refresh token, RingCentral 5 logins a minute, so a token is shared by all
workers, a refusal is remembered in RemoteState, and nobody asks again before its time.
"""

from __future__ import annotations

import datetime as dt
import logging
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import ModuleType

import requests
from django.db.models import F, Q
from django.utils import timezone

from portal.models import AccessToken, Connection, Vendor
from portal.remote import grants, redact, ringcentral_grants, zoho_hosts
from portal.remote.buckets import Buckets, Permit
from portal.remote.credentials import Credentials, of_row
from portal.remote.errors import (
    BadReply,
    CircuitOpen,
    NotConfigured,
    RateLimited,
    RemoteError,
    Unauthorized,
    Unavailable,
)
from portal.remote.grants import ENDPOINT, TokenAnswer
from portal.remote.replies import retry_after
from portal.remote.slots import is_dead_here, owner_name
from portal.remote.state import SharedState
from portal.remote.transport import Answer, HttpTransport, NoAnswer, NotSent, Timeouts, Transport
from portal.remote.vendors import AUTH_BUCKET, traits_of

logger = logging.getLogger(__name__)

SLACK = dt.timedelta(minutes=5)
# Two attempts and their pause fit into one lease, and the lease into the time for which others wait.
LEASE = dt.timedelta(seconds=38)
TIMEOUTS = Timeouts(connect_s=3.0, read_s=10.0, total_s=13.0)
ATTEMPTS = 2
ATTEMPT_PAUSE_S = 1.0
# RingCentral's token guide: 10 seconds after a failure or a time-out, at once never.
LOGIN_PAUSE_S = 10.0
POLL_S = 0.1
LONGEST_WAIT_S = 40.0
# Zoho blocks until its ten minutes are over, RingCentral for one minute.
THROTTLE_FIRST_S, THROTTLE_LONGEST_S = 60.0, 600.0
OUTAGE_FIRST_S, OUTAGE_LONGEST_S = 5.0, 300.0
REFUSED_S = 600.0
_OUTAGE = "unavailable"
_THROTTLE = "throttled"
# Each module has token_request(credentials) and read_answer(answer, credentials, now).
_GRANTS: Mapping[str, ModuleType] = {Vendor.ZOHO: grants, Vendor.RINGCENTRAL: ringcentral_grants}


@dataclass(frozen=True)
class Token:
    """A usable access token. `generation` tells a later refresh which token was found bad."""

    value: str = field(repr=False)
    api_domain: str
    generation: int
    issued_at: dt.datetime
    expires_at: dt.datetime


class Tokens:
    """Gets, refreshes and revokes tokens. Every function raises RemoteError subclasses only."""

    def __init__(
        self,
        *,
        resolve_credentials: Callable[[Connection], Credentials] = of_row,
        transport: Transport | None = None,
        sleep: Callable[[float], None] = time.sleep,
        now: Callable[[], dt.datetime] = timezone.now,
    ) -> None:
        self._resolve = resolve_credentials
        self._transport = transport
        self._sleep = sleep
        self._now = now

    def current(self, connection: Connection) -> Token:
        """The shared token, refreshed when it ends within 5 minutes (half its life, if that is shorter).

        While it still works, a failing or busy refresh does no harm.
        """
        row = self._row(connection)
        if self._is_good(row):
            return _token(row)
        if not self._still_works(row):
            return self.refresh(connection, bad_generation=row.generation)
        if row.refresh_until is not None and row.refresh_until > self._now():
            return _token(row)
        try:
            return self.refresh(connection, bad_generation=row.generation)
        except (RateLimited, Unavailable) as error:
            logger.warning("access token not renewed yet, the old one still works: %s", error)
            return _token(row)

    def refresh(self, connection: Connection, *, bad_generation: int) -> Token:
        """A token newer than `bad_generation`: another process's, or one that this process fetches alone."""
        owner = owner_name()
        waited_s = 0.0
        while True:
            row = self._row(connection)
            if row.generation != bad_generation and self._still_works(row):
                return _token(row)
            credentials = self._resolve(connection)
            self._raise_remembered(connection, credentials)
            if self._claim(row, owner):
                try:
                    # Once more: the last holder of the claim may have been refused since the look above.
                    self._raise_remembered(connection, credentials)
                    return self._fetch(connection, credentials, owner)
                finally:
                    AccessToken.objects.filter(pk=row.pk, refresh_owner=owner).update(
                        refresh_owner="", refresh_until=None
                    )
            if waited_s >= LONGEST_WAIT_S:
                raise Unavailable(
                    "Another process is renewing the access token and does not finish.",
                    service=traits_of(connection).service,
                    endpoint=ENDPOINT,
                )
            pause_s = random.uniform(POLL_S / 2, POLL_S * 1.5)  # noqa: S311 spreads load, protects nothing
            self._sleep(pause_s)
            waited_s += pause_s

    def replace(self, connection: Connection, refused: Token) -> Token:
        """A token in place of one that the vendor refused; that it is such a one is remembered for all processes."""
        token = self.refresh(connection, bad_generation=refused.generation)
        until = token.issued_at + dt.timedelta(seconds=traits_of(connection).fresh_token_s)
        state = self._state(connection, "replaced")
        state.row()
        state.change(pause_until=until, pause_reason=str(token.generation))
        return token

    def is_replacement(self, connection: Connection, token: Token) -> bool:
        """Whether the token was granted a moment ago in place of a refused one, so that a login would only repeat it."""
        row = self._state(connection, "replaced").row()
        is_recent = row.pause_until is not None and self._now() < row.pause_until
        return is_recent and row.pause_reason == str(token.generation)

    def exchange_code(self, credentials: Credentials, *, code: str, redirect_uri: str = "") -> TokenAnswer:
        """Tokens for an authorisation code. Used once and at once: a code lives a minute or two."""
        redact.remember(code, credentials.client_secret)
        answer = self._post(lambda: grants.code_request(credentials, code, redirect_uri), attempts=1, pause_s=0)
        granted = grants.read_answer(answer, credentials, self._now())
        redact.remember(granted.access_token, granted.refresh_token)
        return granted

    def adopt(self, connection: Connection, answer: TokenAnswer) -> Token:
        """Stores a token that was just granted, and forgets earlier refusals. The refresh token is the caller's."""
        row = self._row(connection)
        self._store(row.pk, answer)
        self._state(connection).change(pause_until=None, pause_reason="", failures=0)
        mark_connection(connection, working=True)
        return _token(self._row(connection))

    def forget(self, connection: Connection) -> None:
        """Drops the shared token and remembered refusals: the connection's account or secrets were changed."""
        AccessToken.objects.filter(connection_id=connection.pk).update(
            value="",
            api_domain="",
            issued_at=None,
            expires_at=None,
            generation=F("generation") + 1,
            # A refresh under way was for the old account: without its claim it cannot store its token.
            refresh_owner="",
            refresh_until=None,
        )
        self._state(connection).change(pause_until=None, pause_reason="", failures=0)

    def revoke(self, credentials: Credentials) -> None:
        """Ends the refresh token at the vendor."""
        redact.remember(credentials.refresh_token)
        answer = self._post(lambda: grants.revoke_request(credentials), attempts=ATTEMPTS, pause_s=ATTEMPT_PAUSE_S)
        grants.check_revoked(answer, self._now())

    # --- the row ------------------------------------------------------------------------------------------------------

    def _row(self, connection: Connection) -> AccessToken:
        row = AccessToken.objects.filter(connection_id=connection.pk).first()
        if row is None:
            AccessToken.objects.bulk_create([AccessToken(connection=connection)], ignore_conflicts=True)
            row = AccessToken.objects.get(connection_id=connection.pk)
        redact.remember(row.value)
        return row

    def _is_good(self, row: AccessToken) -> bool:
        if row.expires_at is None or not self._still_works(row):
            return False
        life = row.expires_at - (row.issued_at or row.expires_at - 2 * SLACK)
        return self._now() < row.expires_at - min(SLACK, life / 2)

    def _still_works(self, row: AccessToken) -> bool:
        return bool(row.value) and row.expires_at is not None and self._now() < row.expires_at

    def _claim(self, row: AccessToken, owner: str) -> bool:
        now = self._now()
        free = Q(refresh_until__isnull=True) | Q(refresh_until__lte=now)
        if is_dead_here(row.refresh_owner):
            free |= Q(refresh_owner=row.refresh_owner)
        return (
            AccessToken.objects.filter(free, pk=row.pk, generation=row.generation).update(
                refresh_owner=owner, refresh_until=now + LEASE
            )
            > 0
        )

    def _store(self, pk: int, answer: TokenAnswer, **conditions: str) -> bool:
        now = self._now()
        stored = AccessToken.objects.filter(pk=pk, **conditions).update(
            value=answer.access_token,
            api_domain=answer.api_domain,
            issued_at=now,
            expires_at=now + dt.timedelta(seconds=answer.expires_in_s),
            generation=F("generation") + 1,
            refresh_owner="",
            refresh_until=None,
        )
        return stored > 0

    # --- the request --------------------------------------------------------------------------------------------------

    def _fetch(self, connection: Connection, credentials: Credentials, owner: str) -> Token:
        """Asks the vendor while `owner` has the claim."""
        redact.remember(credentials.client_secret, credentials.refresh_token, credentials.jwt)
        row = self._row(connection)
        grant = _GRANTS[connection.vendor]
        try:
            answer = self._post_counted(connection, lambda: grant.token_request(credentials))
            granted: TokenAnswer = grant.read_answer(answer, credentials, self._now())
            redact.remember(granted.access_token)
            is_stored = self._store(row.pk, granted, refresh_owner=owner)
        except RemoteError as error:
            self._remember_failure(connection, credentials, error)
            raise
        state = self._state(connection)
        if state.row().pause_until is not None:
            state.change(pause_until=None, pause_reason="", failures=0)
        mark_connection(connection, working=True)
        if traits_of(connection).names_scopes:
            _note_scopes(connection, granted)
        if not is_stored:
            # The claim ran out or was withdrawn; the token is good for this caller all the same.
            now = self._now()
            ends = now + dt.timedelta(seconds=granted.expires_in_s)
            return Token(granted.access_token, granted.api_domain, row.generation, now, ends)
        return _token(self._row(connection))

    def _post_counted(self, connection: Connection, build: Callable[[], requests.PreparedRequest]) -> Answer:
        """One token request, within the vendor's bucket for them where it has one."""
        traits = traits_of(connection)
        if AUTH_BUCKET not in traits.buckets:
            return self._post(build, attempts=ATTEMPTS, pause_s=ATTEMPT_PAUSE_S, service=traits.service)
        buckets = Buckets(connection.limit_key, traits, now=self._now, monotonic=time.monotonic)
        permits: list[Permit] = []

        def admit() -> dt.datetime | None:
            found = buckets.acquire(AUTH_BUCKET)
            if not isinstance(found, Permit):
                return found
            permits.append(found)
            return None

        answer = self._post(build, attempts=ATTEMPTS, pause_s=LOGIN_PAUSE_S, service=traits.service, admit=admit)
        buckets.learn(ENDPOINT, answer.status, answer.headers, permits[-1])
        return answer

    def _post(
        self,
        build: Callable[[], requests.PreparedRequest],
        *,
        attempts: int,
        pause_s: float,
        service: str = zoho_hosts.SERVICE,
        admit: Callable[[], dt.datetime | None] | None = None,
    ) -> Answer:
        """Sends a token request; a failing server gets one more chance where repeating does no harm.

        `admit` says before each attempt when there is room for it, None for now.
        """
        transport = self._transport or HttpTransport(1)
        try:
            prepared = build()
            for left in range(attempts - 1, -1, -1):
                retry_at = admit() if admit is not None else None
                if retry_at is not None:
                    raise RateLimited(
                        "No login was tried: as many as are allowed were made a moment ago.",
                        retry_at=retry_at,
                        service=service,
                        endpoint=ENDPOINT,
                    )
                try:
                    answer = transport.send(prepared, TIMEOUTS)
                except (NotSent, NoAnswer) as error:
                    if not left:
                        raise Unavailable(
                            f"The token server gave no answer ({error}).", service=service, endpoint=ENDPOINT
                        ) from None
                else:
                    logger.info("%s HTTP %d in %d ms", ENDPOINT, answer.status, answer.elapsed_ms)
                    # Who names a time is not asked before it.
                    is_final = answer.status < 500 or retry_after(answer.headers, self._now()) is not None
                    if is_final or not left:
                        return answer
                self._sleep(pause_s)
        finally:
            if self._transport is None:
                transport.close()
        raise AssertionError("attempts must be at least 1")

    # --- remembered failures ------------------------------------------------------------------------------------------

    def _state(self, connection: Connection, name: str = "token") -> SharedState:
        return SharedState(
            f"{connection.vendor}:connection-{connection.pk}:{name}", now=self._now, monotonic=time.monotonic
        )

    def _raise_remembered(self, connection: Connection, credentials: Credentials) -> None:
        """Raises what the last attempt of any process met, while asking again would only repeat it."""
        row = self._state(connection).row()
        if row.pause_until is None or row.pause_until <= self._now():
            return
        code, _, fingerprint = row.pause_reason.rpartition(":")
        service = traits_of(connection).service
        if code == _THROTTLE:
            raise RateLimited(
                "Too many access tokens were asked for.", retry_at=row.pause_until, service=service, endpoint=ENDPOINT
            )
        if code == _OUTAGE:
            raise CircuitOpen(
                "The token server failed a moment ago.", retry_at=row.pause_until, service=service, endpoint=ENDPOINT
            )
        if fingerprint == credentials.fingerprint:
            raise Unauthorized(
                "The vendor refused these credentials a moment ago. Reconnect, or correct them.",
                service=service,
                endpoint=ENDPOINT,
                code=code,
            )

    def _remember_failure(self, connection: Connection, credentials: Credentials, error: RemoteError) -> None:
        if isinstance(error, NotConfigured) or (isinstance(error, RateLimited) and error.status is None):
            return  # nothing was asked: there is nothing that the vendor said
        state = self._state(connection)
        failures = state.row().failures
        until = self._now() + dt.timedelta(seconds=REFUSED_S)
        code = error.code[:20] or "refused"
        if isinstance(error, RateLimited):
            wait = dt.timedelta(seconds=min(THROTTLE_LONGEST_S, THROTTLE_FIRST_S * 2 ** min(failures, 9)))
            until = error.retry_at = max(error.retry_at, self._now() + wait)
            code = _THROTTLE
        elif isinstance(error, Unavailable | BadReply):
            until = self._now() + dt.timedelta(seconds=min(OUTAGE_LONGEST_S, OUTAGE_FIRST_S * 2 ** min(failures, 9)))
            if isinstance(error, CircuitOpen):
                until = max(until, error.retry_at)
            code = _OUTAGE
        state.change(pause_until=until, pause_reason=f"{code}:{credentials.fingerprint}", failures=F("failures") + 1)
        if isinstance(error, Unauthorized):
            mark_connection(connection, working=False, reason=error.message)


def mark_connection(connection: Connection, *, working: bool, reason: str = "") -> None:
    """Sets RECONNECT with its reason, or takes it back. Other states are left to the check of the connection."""
    rows = Connection.objects.filter(pk=connection.pk)
    if working:
        changed = rows.filter(state=Connection.State.RECONNECT).update(state=Connection.State.WORKING, state_reason="")
        if changed:
            connection.state, connection.state_reason = Connection.State.WORKING, ""
        return
    rows.update(state=Connection.State.RECONNECT, state_reason=reason)
    connection.state, connection.state_reason = Connection.State.RECONNECT, reason


def _note_scopes(connection: Connection, granted: TokenAnswer) -> None:
    """What the vendor grants from now on, if it is something else than before."""
    scopes = ",".join(granted.scope.replace(",", " ").split())
    if scopes and scopes != connection.scopes:
        Connection.objects.filter(pk=connection.pk).update(scopes=scopes)
        connection.scopes = scopes


def _token(row: AccessToken) -> Token:
    if row.expires_at is None:
        raise AssertionError("a usable token has an end")
    return Token(row.value, row.api_domain, row.generation, row.issued_at or row.expires_at - 2 * SLACK, row.expires_at)


tokens = Tokens()
