"""The small reads by which a RingCentral connection is examined. Raw JSON of the vendor stops here."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portal.remote.errors import BadReply
from portal.remote.ringcentral_hosts import SERVICE
from portal.remote.session import RemoteSession, Request

ACCOUNT = "/restapi/v1.0/account/~"


@dataclass(frozen=True)
class Account:
    """`status`: Initial, Unconfirmed, Confirmed or Disabled."""

    number: str
    status: str


@dataclass(frozen=True)
class Owner:
    """Whoever the JWT belongs to. `company`: the firm in the contact data, which is the only place that names it."""

    email: str
    company: str
    status: str


class Probes:
    """Reads of one session. Each method raises RemoteError; nothing here writes."""

    def __init__(self, session: RemoteSession) -> None:
        self.session = session

    def account(self) -> Account:
        """GET /restapi/v1.0/account/~"""
        body = self._body(Request("GET", ACCOUNT, "rc.account", bucket="light"))
        if not body.get("id"):
            raise self._bad("rc.account", "id")
        return Account(str(body["id"]), str(body.get("status") or ""))

    def owner(self) -> Owner:
        """GET /restapi/v1.0/account/~/extension/~"""
        body = self._body(Request("GET", f"{ACCOUNT}/extension/~", "rc.own_extension", bucket="light"))
        contact = body.get("contact")
        facts = contact if isinstance(contact, Mapping) else {}
        return Owner(str(facts.get("email") or ""), str(facts.get("company") or ""), str(body.get("status") or ""))

    def extensions(self) -> int:
        """Number of extensions on a first page of one."""
        return len(self._records("rc.extensions", f"{ACCOUNT}/extension", {"perPage": 1}, "medium"))

    def calls(self, since: dt.datetime) -> int:
        """0 or 1: one row of the company's detailed call log is asked for."""
        moment = since.astimezone(dt.UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")
        params = {"view": "Detailed", "type": "Voice", "perPage": 1, "dateFrom": moment}
        return len(self._records("rc.call_log", f"{ACCOUNT}/call-log", params, "heavy"))

    def messages(self) -> int:
        """0 or 1: one voicemail of the mailbox of the JWT's own user is asked for."""
        params = {"messageType": "VoiceMail", "perPage": 1}
        return len(self._records("rc.messages", f"{ACCOUNT}/extension/~/message-store", params, "light"))

    def _records(self, endpoint: str, path: str, params: Mapping[str, Any], bucket: str) -> list[Any]:
        records = self._body(Request("GET", path, endpoint, params=params, bucket=bucket)).get("records")
        if not isinstance(records, list):
            raise self._bad(endpoint, "records")
        return records

    def _body(self, request: Request) -> Mapping[str, Any]:
        body = self.session.call(request).json
        if not isinstance(body, Mapping):
            raise BadReply("The answer is no object.", service=SERVICE, endpoint=request.endpoint)
        return body

    def _bad(self, endpoint: str, key: str) -> BadReply:
        return BadReply(f"The answer has no “{key}”.", service=SERVICE, endpoint=endpoint)
