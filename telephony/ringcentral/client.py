"""RingCentral's REST API: one method an endpoint. It knows no models; JSON of the vendor stops here.

Rows of the call log leave it as they came, because they are kept so; `LogRow.parse` reads them one by one.
Facts are those of RingCentral's OpenAPI file of 2026 and of its developer guide. `~` in a path is the token's account.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import IO, Any, TypeVar

from portal.remote import errors, ringcentral_hosts
from portal.remote.session import RemoteSession, Reply, Request
from telephony.ringcentral.records import (
    Attachment,
    DamagedRow,
    ExtensionRow,
    Message,
    QueueRow,
    Recording,
    SubscriptionRow,
    VoicemailMessage,
    identifier,
    mapping,
    text,
)

API = "/restapi/v1.0"
ACCOUNT = f"{API}/account/~"
PAGE_SIZE = 1000
# More rows than this are not given by one full sync: 250 by call-log-sync, 1,000 by call-log-extract-sync.
SYNC_SIZE = 250
EXTRACT_SIZE = 1000
# Far more pages than any account has: a server that always announces another one is not followed for ever.
MAX_PAGES = 1000
# The sync token is over, or more has changed than one answer takes: start again with a full sync.
TOKEN_CODES = frozenset({"CLG-101", "CLG-102", "CLG-103", "CLG-104", "CLG-105"})
NOT_FOUND = "CMN-102"
WEBHOOK_LIFE = dt.timedelta(days=7)

Row = dict[str, Any]
Sink = Callable[[], IO[bytes]]
Parsed = TypeVar("Parsed")


class TokenExpired(errors.Rejected):
    """The token of a feed is not accepted any more: ask again without one."""


class NotAvailable(errors.Rejected):
    """The account does not have this feed, or the connection may not use it."""


@dataclass(frozen=True)
class LogPage:
    """Rows as they came. `unreadable` counts entries that are no objects, which no other page can bring."""

    rows: list[Row]
    has_next: bool
    unreadable: int = 0


@dataclass(frozen=True)
class Changes:
    """Rows that are new or changed, deleted ones included. `has_more`: this answer does not hold all of them.

    With `changes` the next call with `token` brings the rest. A full `sync` cannot: the list must.
    """

    rows: list[Row]
    token: str
    has_more: bool
    unreadable: int = 0


class RingCentralClient:
    """Calls of one connection. A client over a read-only session refuses every write."""

    def __init__(self, session: RemoteSession) -> None:
        self.session = session

    def __enter__(self) -> RingCentralClient:
        return self

    def __exit__(self, *exc: object) -> None:
        self.session.close()

    # --- call log -----------------------------------------------------------------------------------------------------

    def log_page(self, since: dt.datetime, until: dt.datetime, page: int, per_page: int = PAGE_SIZE) -> LogPage:
        """GET call-log of the company: calls that started in the window, all results, with legs.

        `until` must be the same for all pages: new calls would push older ones to the next page.
        """
        params = {
            "dateFrom": stamp(since),
            "dateTo": stamp(until),
            "type": ["Voice"],
            "view": "Detailed",
            "page": page,
            "perPage": per_page,
        }
        reply = self._get(f"{ACCOUNT}/call-log", "calllog.list", "heavy", params)
        rows, unreadable = self._rows(reply)
        return LogPage(rows, self._has_next(reply), unreadable)

    def changes(self, token: str | None, since: dt.datetime) -> Changes:
        """GET call-log-extract-sync: what was updated after a time, however old the call; faxes too.

        Without a token from `since` on. Raises TokenExpired and NotAvailable: not every account has it.
        """
        full = {"syncType": "FSync", "dateFrom": stamp(since), "recordCount": EXTRACT_SIZE, "view": "Detailed"}
        params = {"syncType": "ISync", "syncToken": token} if token else full
        reply = self._feed(f"{ACCOUNT}/call-log-extract-sync", "calllog.extract_sync", params)
        newer = self._sync_info(reply).get("newerRecordsExist")
        if not isinstance(newer, bool):
            raise self._bad(reply, "it does not say whether newer records exist")
        return self._changes(reply, has_more=newer)

    def sync(self, token: str | None, since: dt.datetime) -> Changes:
        """GET call-log-sync: the newest 250 calls started after `since` (30 days back at most), then what changed.

        Raises TokenExpired, also when more than 250 rows changed since the token, and NotAvailable.
        """
        full = {"syncType": "FSync", "dateFrom": stamp(since), "recordCount": SYNC_SIZE, "view": "Detailed"}
        params = {"syncType": "ISync", "syncToken": token, "showDeleted": "true"} if token else full
        reply = self._feed(f"{ACCOUNT}/call-log-sync", "calllog.sync", params)
        rows, _ = self._rows(reply)
        return self._changes(reply, has_more=not token and len(rows) >= SYNC_SIZE)

    def _feed(self, path: str, endpoint: str, params: Mapping[str, Any]) -> Reply:
        try:
            return self._get(path, endpoint, "heavy", params)
        except errors.MissingScope as error:
            # A right that the list lacks too is told by the list; what is missing only here is this feed.
            raise _as(NotAvailable, error) from error
        except errors.Rejected as error:
            codes = _codes(error)
            if codes & TOKEN_CODES or ("syncToken" in params and _names_token(error)):
                raise _as(TokenExpired, error) from error
            if error.status in (403, 404) or NOT_FOUND in codes:
                raise _as(NotAvailable, error) from error
            raise

    def _sync_info(self, reply: Reply) -> Mapping[str, Any]:
        return mapping(mapping(reply.json).get("syncInfo"))

    def _changes(self, reply: Reply, *, has_more: bool) -> Changes:
        rows, unreadable = self._rows(reply)
        token = text(self._sync_info(reply).get("syncToken"))
        if not token:
            raise self._bad(reply, "no sync token")
        return Changes(rows, token, has_more, unreadable)

    # --- the account --------------------------------------------------------------------------------------------------

    def extensions(self) -> list[ExtensionRow]:
        """GET extension, all pages, of every type and status."""
        return self._all(f"{ACCOUNT}/extension", "extensions.list", "medium", ExtensionRow.parse)

    def queues(self) -> list[QueueRow]:
        """GET call-queues, all pages."""
        return self._all(f"{ACCOUNT}/call-queues", "queues.list", "medium", QueueRow.parse)

    def queue_members(self, queue_id: str) -> list[str]:
        """GET call-queues/{id}/members, all pages: the ids of their extensions."""
        path = f"{ACCOUNT}/call-queues/{queue_id}/members"
        return [row.id for row in self._all(path, "queues.members", "light", ExtensionRow.parse)]

    def _all(self, path: str, endpoint: str, bucket: str, parse: Callable[[Any], Parsed]) -> list[Parsed]:
        found: list[Parsed] = []
        for page in range(1, MAX_PAGES + 1):
            reply = self._get(path, endpoint, bucket, {"page": page, "perPage": PAGE_SIZE})
            found += [self._parsed(reply, parse, entry) for entry in self._records(reply)]
            if not self._has_next(reply):
                return found
        raise self._bad(reply, f"another page is announced after {MAX_PAGES} of them")

    # --- media --------------------------------------------------------------------------------------------------------

    def recording_request(
        self, recording: Recording, sink: Sink | None = None, max_bytes: int | None = None, tag: Any = None
    ) -> Request:
        """The download of a recording, for `session.call` or `session.stream`.

        404 with CMN-102 says not ready, deleted or expired alike; only the age of the call tells them apart.
        """
        url = recording.content_uri or self._media_url(f"{ACCOUNT}/recording/{recording.id}/content")
        return self._download(url, "recording.content", "heavy", sink, max_bytes, tag)

    def voicemail(self, message: Message) -> VoicemailMessage:
        """GET the message that hangs on a call, at the address that the call log gives: its mailbox is in there."""
        path = message.uri or f"{ACCOUNT}/extension/{message.mailbox or '~'}/message-store/{message.id}"
        reply = self._get(path, "message.one", "light")
        found = self._parsed(reply, VoicemailMessage.parse, reply.json)
        box = found.mailbox or message.mailbox or "~"
        base = f"{ACCOUNT}/extension/{box}/message-store/{found.id}/content"
        return replace(
            found,
            mailbox=found.mailbox or message.mailbox,
            audio=self._addressed(found.audio, base),
            transcript=self._addressed(found.transcript, base),
        )

    def attachment_request(
        self, attachment: Attachment, sink: Sink | None = None, max_bytes: int | None = None, tag: Any = None
    ) -> Request:
        """The download of a part of a voicemail that `voicemail` gave."""
        return self._download(attachment.uri, "message.content", "medium", sink, max_bytes, tag)

    def _addressed(self, attachment: Attachment | None, base: str) -> Attachment | None:
        if attachment is None or attachment.uri:
            return attachment
        return replace(attachment, uri=self._media_url(f"{base}/{attachment.id}"))

    def _media_url(self, path: str) -> str:
        """Contents have a host of their own; the stand-in serves them itself."""
        connection = self.session.connection
        server = connection.api_domain or connection.accounts_url or ringcentral_hosts.DEFAULT_SERVER
        return ringcentral_hosts.media_origin(server) + path

    def _download(
        self, url: str, endpoint: str, bucket: str, sink: Sink | None, max_bytes: int | None, tag: Any
    ) -> Request:
        return Request("GET", url, endpoint, bucket=bucket, stream=True, sink=sink, max_bytes=max_bytes, tag=tag)

    # --- webhooks -----------------------------------------------------------------------------------------------------

    def subscribe(
        self, address: str, filters: Sequence[str], verification: str, life: dt.timedelta = WEBHOOK_LIFE
    ) -> SubscriptionRow:
        """POST subscription. RingCentral calls the address before it answers, and waits 3 seconds for the echo."""
        body = {
            "eventFilters": list(filters),
            "deliveryMode": {"transportType": "WebHook", "address": address, "verificationToken": verification},
            "expiresIn": int(life.total_seconds()),
        }
        reply = self.session.call(
            Request("POST", f"{API}/subscription", "subscription.create", json=body, bucket="medium")
        )
        return self._parsed(reply, SubscriptionRow.parse, reply.json)

    def renew(self, subscription_id: str) -> SubscriptionRow:
        """POST subscription/{id}/renew: as long again as it was made for. Raises Rejected 404 when it is gone."""
        path = f"{API}/subscription/{subscription_id}/renew"
        reply = self.session.call(Request("POST", path, "subscription.renew", bucket="light", repeatable=True))
        return self._parsed(reply, SubscriptionRow.parse, reply.json)

    def unsubscribe(self, subscription_id: str) -> None:
        """DELETE subscription/{id}; one that is gone already is what was wanted."""
        path = f"{API}/subscription/{subscription_id}"
        try:
            self.session.call(Request("DELETE", path, "subscription.delete", bucket="medium", repeatable=True))
        except errors.Rejected as error:
            if error.status != 404:
                raise

    def subscriptions(self) -> list[SubscriptionRow]:
        """GET subscription: those of this application and user; 30 at most, on one page."""
        reply = self._get(f"{API}/subscription", "subscription.list", "light")
        return [self._parsed(reply, SubscriptionRow.parse, entry) for entry in self._records(reply)]

    # --- the wire -----------------------------------------------------------------------------------------------------

    def _get(self, path: str, endpoint: str, bucket: str, params: Mapping[str, Any] | None = None) -> Reply:
        return self.session.call(Request("GET", path, endpoint, params=params, bucket=bucket))

    def _records(self, reply: Reply) -> list[Any]:
        """The list `records`. Without it nothing is known; that is not the same as none."""
        records = mapping(reply.json).get("records")
        if not isinstance(records, list):
            raise self._bad(reply, "no list “records”")
        return records

    def _rows(self, reply: Reply) -> tuple[list[Row], int]:
        """The rows, and how many entries are none."""
        records = self._records(reply)
        rows = [entry for entry in records if isinstance(entry, dict)]
        return rows, len(records) - len(rows)

    def _has_next(self, reply: Reply) -> bool:
        """By `navigation.nextPage` alone: totals are missing from the answers. Without `navigation`, until none come."""
        navigation = mapping(reply.json).get("navigation")
        if not isinstance(navigation, Mapping):
            return bool(self._records(reply))
        return bool(navigation.get("nextPage"))

    def _parsed(self, reply: Reply, parse: Callable[[Any], Parsed], entry: Any) -> Parsed:
        try:
            return parse(entry)
        except DamagedRow as damage:
            raise self._bad(reply, "an entry without id") from damage

    def _bad(self, reply: Reply, what: str) -> errors.BadReply:
        return errors.BadReply(
            f"The answer has an unexpected form: {what}.",
            service=ringcentral_hosts.SERVICE,
            endpoint=reply.request.endpoint,
            status=reply.status,
            request_id=reply.request_id,
            outcome_unknown=reply.request.is_write,
        )


def stamp(moment: dt.datetime) -> str:
    """A time as the query takes it: UTC with Z, because the + of an offset would arrive as a space."""
    return moment.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _told(error: errors.Rejected) -> list[Mapping[str, Any]]:
    """The parts of an error body that explain it: itself and its list."""
    body = mapping(error.reply)
    listed = body.get("errors")
    return [body, *(mapping(entry) for entry in (listed if isinstance(listed, list) else []))]


def _codes(error: errors.Rejected) -> set[str]:
    """All codes of an error body: the one above the list can be a legacy word."""
    return {error.code, *(identifier(part.get("errorCode")) for part in _told(error))}


def _names_token(error: errors.Rejected) -> bool:
    """Whether a refusal is about the token: the code for too many changes is not documented."""
    words = [text(part.get(key)) for part in _told(error) for key in ("parameterName", "message")]
    return error.status == 400 and any("synctoken" in each.casefold().replace(" ", "") for each in words)


def _as(
    kind: type[TokenExpired] | type[NotAvailable], error: errors.Rejected | errors.MissingScope
) -> TokenExpired | NotAvailable:
    return kind(
        error.message,
        service=error.service,
        endpoint=error.endpoint,
        status=error.status,
        code=error.code,
        details=error.details,
        request_id=error.request_id,
        reply=error.reply if isinstance(error, errors.Rejected) else None,
    )
