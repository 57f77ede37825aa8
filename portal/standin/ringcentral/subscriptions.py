"""Webhook subscriptions: the handshake, events, and what happens when the receiver fails."""

from __future__ import annotations

import ipaddress
import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from typing import Any
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.ringcentral import shapes
from portal.standin.ringcentral.errors import bad_parameter, not_built, not_found, refuse
from portal.standin.ringcentral.people import ACCOUNT_ID
from portal.standin.ringcentral.settings import Office
from portal.standin.ringcentral.times import SECOND, stamp
from portal.standin.ringcentral.tokens import Tokens

Deliver = Callable[[str, dict[str, str], bytes], tuple[int, Mapping[str, str]]]
"""Posts a body to an address; gives status and headers, raises OSError when nobody is there."""
DEFAULT_LIFE_S, LONGEST_LIFE_S = 604_799, 315_360_000
TIME_LIMIT_S = 3
_ROOT = f"/restapi/v1.0/account/{ACCOUNT_ID}"
_OPTIONS = frozenset({"direction", "statusCode"})


def deliver_to_loopback(url: str, headers: dict[str, str], body: bytes) -> tuple[int, Mapping[str, str]]:
    """The stand-in calls nobody outside this machine."""
    parts = urlsplit(url)
    if not _is_loopback(url):
        raise ConnectionRefusedError("the stand-in calls this machine only")
    connection = HTTPConnection(str(parts.hostname), parts.port or 80, timeout=TIME_LIMIT_S)
    try:
        connection.request("POST", parts.path + (f"?{parts.query}" if parts.query else ""), body, headers)
        response = connection.getresponse()
        response.read()
        return response.status, dict(response.getheaders())
    except HTTPException as problem:
        raise ConnectionResetError("no proper answer") from problem
    finally:
        connection.close()


def _is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


@dataclass
class Subscription:
    id: str
    filters: list[str]
    address: str
    verification_token: str
    created_ms: int
    expires_ms: int
    status: str = "Active"
    reason: str = ""

    def shown(self, origin: str, now_ms: int) -> JsonObject:
        row: JsonObject = {
            "uri": f"{origin}/restapi/v1.0/subscription/{self.id}",
            "id": self.id,
            "eventFilters": self.filters,
            "creationTime": stamp(self.created_ms),
            "expirationTime": stamp(self.expires_ms),
            "expiresIn": max(0, (self.expires_ms - now_ms) // SECOND),
            "status": self.status,
            "deliveryMode": {"transportType": "WebHook", "encryption": False, "address": self.address},
        }
        if self.reason:
            row["blacklistedData"] = {"reason": self.reason}
        return row


class Subscriptions:
    def __init__(self, office: Office, tokens: Tokens) -> None:
        self._office = office
        self._tokens = tokens
        self.by_id: dict[str, Subscription] = {}
        self.deliver: Deliver = deliver_to_loopback
        self._sequence = 0

    # The calls

    def _living(self) -> list[Subscription]:
        """What has expired is gone without a trace."""
        now_ms = self._office.now_ms()
        for subscription in [item for item in self.by_id.values() if item.expires_ms <= now_ms]:
            del self.by_id[subscription.id]
        return list(self.by_id.values())

    def _named(self, request: Request) -> Subscription:
        self._living()
        subscription = self.by_id.get(request.params["subscription"])
        if subscription is None:
            raise not_found("subscriptionId", request.params["subscription"])
        return subscription

    def _shown(self, request: Request, subscription: Subscription) -> Reply:
        return Reply.of(200, subscription.shown(request.base_url, self._office.now_ms()))

    def list_all(self, request: Request) -> Reply:
        now_ms = self._office.now_ms()
        rows = [subscription.shown(request.base_url, now_ms) for subscription in self._living()]
        return Reply.of(200, {"uri": f"{request.base_url}{request.path}", "records": rows})

    def one(self, request: Request) -> Reply:
        return self._shown(request, self._named(request))

    def create(self, request: Request) -> Reply:
        """The receiver is asked first, with the lock held: its answer must not need the stand-in."""
        body = _body(request)
        mode = body.get("deliveryMode")
        if not isinstance(mode, dict) or mode.get("transportType") != "WebHook":
            raise bad_parameter("deliveryMode.transportType", str(mode.get("transportType") if mode else ""))
        filters, life_s = self._filters(request, body), _life_s(body)
        if len(self._living()) >= self._office.settings.subscriptions:
            raise refuse(403, "SUB-505", "Subscriptions limit exceeded")
        address = str(mode.get("address", ""))
        self._check_receiver(address, str(mode.get("verificationToken", "")))
        now_ms = self._office.now_ms()
        subscription = Subscription(
            id=str(UUID(bytes=secrets.token_bytes(16))),
            filters=filters,
            address=address,
            verification_token=str(mode.get("verificationToken", "")),
            created_ms=now_ms,
            expires_ms=now_ms + life_s * SECOND,
        )
        self.by_id[subscription.id] = subscription
        return self._shown(request, subscription)

    def _check_receiver(self, address: str, verification_token: str) -> None:
        """It must echo the token within three seconds."""
        if not address.startswith("https://") and not (address.startswith("http://") and _is_loopback(address)):
            raise refuse(400, "SUB-523", "The address of a webhook must use HTTPS", parameterName="address")
        token = secrets.token_hex(16)
        headers = {"Validation-Token": token, "Content-Type": "application/json", "Content-Length": "0"}
        if verification_token:
            headers["Verification-Token"] = verification_token
        try:
            status, answered = self.deliver(address, headers, b"")
        except OSError:
            raise refuse(400, "SUB-521", "The address of the webhook is not reachable") from None
        echoed = {name.lower(): value for name, value in answered.items()}.get("validation-token")
        if status != 200 or echoed != token:
            raise refuse(400, "SUB-525", "The webhook did not answer the validation as expected")

    def _filters(self, request: Request, body: JsonObject) -> list[str]:
        filters = body.get("eventFilters")
        if not isinstance(filters, list) or not filters:
            raise bad_parameter("eventFilters", "")
        return [self._filter(request, str(item)) for item in filters]

    def _filter(self, request: Request, text: str) -> str:
        """The filter with ids in the place of `~`."""
        owner = self._office.people.owner.id
        path, _, options = text.partition("?")
        path = path.replace("/account/~", f"/account/{ACCOUNT_ID}").replace("/extension/~", f"/extension/{owner}")
        if path.startswith("/restapi/v1.0/subscription/"):
            raise not_built("reminders of subscriptions")
        kind = path.removeprefix(_ROOT).rsplit("/extension/", 1)[-1].partition("/")[2]
        if not path.startswith(_ROOT) or kind not in ("telephony/sessions", "sessions", "voicemail", "message-store"):
            raise refuse(400, "SUB-508", "Event filters are wrong", parameterName="eventFilters")
        if not _OPTIONS.issuperset(parse_qs(options)):
            raise not_built(f"the filter options {options}")
        needed = "CallControl" if kind.endswith("sessions") else "ReadMessages"
        if needed not in self._tokens.authenticate(request).scopes:
            text = f"In order to call this API endpoint, application needs to have [{needed}] permission"
            raise refuse(403, "CMN-401", text, legacy="InsufficientPermissions", permissionName=needed)
        return f"{path}?{options}" if options else path

    def update(self, request: Request) -> Reply:
        """Also with an empty body: then it only lives longer."""
        subscription, body = self._named(request), _body(request)
        if "eventFilters" in body:
            subscription.filters = self._filters(request, body)
        return self._prolong(request, subscription, _life_s(body))

    def renew(self, request: Request) -> Reply:
        return self._prolong(request, self._named(request), DEFAULT_LIFE_S)

    def _prolong(self, request: Request, subscription: Subscription, life_s: int) -> Reply:
        if subscription.status == "Active":
            subscription.expires_ms = self._office.now_ms() + life_s * SECOND
        return self._shown(request, subscription)

    def delete(self, request: Request) -> Reply:
        del self.by_id[self._named(request).id]
        return Reply(204)

    # Events

    def emit(self, event: str, body: JsonObject) -> list[int]:
        """Sends an event (its path below the account) to all who want it; statuses, 0 for no answer.

        A receiver that fails is blacklisted: it gets nothing more until it subscribes anew.
        """
        statuses = []
        with self._office.lock:
            path = f"{_ROOT}{event}"
            receivers = [item for item in self._living() if item.status == "Active" and _wants(item, path, body)]
        for receiver in receivers:
            status = self._post(receiver, path, body)
            statuses.append(status)
            if not 200 <= status < 300:
                receiver.status, receiver.reason = "Blacklisted", f"HTTP {status}" if status else "not reachable"
        return statuses

    def _post(self, receiver: Subscription, path: str, body: JsonObject) -> int:
        notification = {
            "uuid": secrets.token_hex(16),
            "event": path,
            "timestamp": stamp(self._office.now_ms()),
            "subscriptionId": receiver.id,
            "ownerId": self._office.people.owner.id,
            "body": body,
        }
        headers = {"Content-Type": "application/json;charset=UTF-8"}
        if receiver.verification_token:
            headers["Verification-Token"] = receiver.verification_token
        try:
            return self.deliver(receiver.address, headers, json.dumps(notification).encode())[0]
        except OSError:
            return 0

    def emit_telephony(
        self,
        session: str,
        *,
        code: str = "Disconnected",
        reason: str | None = None,
        caller: str | None = None,
        agent: str = "101",
        direction: str = "Inbound",
        sequence: int | None = None,
        **party: Any,
    ) -> list[int]:
        """One telephony-session event of one party; `sequence` repeats or reorders at will."""
        self._sequence += 1
        extension = self._office.people.numbered(agent)
        status = {"code": code, "rcc": False} | ({"reason": reason} if reason else {})
        body = {
            "sequence": self._sequence if sequence is None else sequence,
            "sessionId": str(600_000_000_000 + self._sequence),
            "telephonySessionId": session,
            "serverId": "10.0.0.1",
            "eventTime": stamp(self._office.now_ms()),
            "parties": [
                {
                    "accountId": ACCOUNT_ID,
                    "extensionId": extension.id,
                    "id": f"p-{session.removeprefix('s-')}-1",
                    "direction": direction,
                    "from": shapes.outsider(caller) if direction == "Inbound" else shapes.insider(extension),
                    "to": shapes.insider(extension) if direction == "Inbound" else shapes.outsider(caller),
                    "status": status,
                    "missedCall": False,
                    **party,
                }
            ],
            "origin": {"type": "Call"},
        }
        return self.emit("/telephony/sessions", body)

    def emit_voicemail(self, message: JsonObject) -> list[int]:
        """The event of a new voicemail; the body is the message as the mailbox shows it."""
        return self.emit(f"/extension/{message['extensionId']}/voicemail", message)


def _body(request: Request) -> JsonObject:
    if not request.body:
        return {}
    body = request.json()
    if not isinstance(body, dict):
        raise refuse(400, "CMN-101", "The body is not a JSON object")
    return body


def _life_s(body: JsonObject) -> int:
    life = body.get("expiresIn", DEFAULT_LIFE_S)
    if not isinstance(life, int) or isinstance(life, bool) or not 0 < life <= LONGEST_LIFE_S:
        raise bad_parameter("expiresIn", str(life))
    return life


def _wants(subscription: Subscription, path: str, body: JsonObject) -> bool:
    for text in subscription.filters:
        wanted, _, options = text.partition("?")
        asked = {name: values[-1] for name, values in parse_qs(options).items()}
        parties = body.get("parties", [{}])
        if wanted == path and any(
            asked.get("direction", party.get("direction")) == party.get("direction")
            and asked.get("statusCode", party.get("status", {}).get("code")) == party.get("status", {}).get("code")
            for party in parties
        ):
            return True
    return False
