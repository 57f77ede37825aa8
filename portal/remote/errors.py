"""What can go wrong with a call, named by what a person or a run does about it.

The text of an error holds the endpoint's name, the status, the vendor's code, its message without personal data and
the request id. It never holds an address with a query, a payload, a name, a phone number or a token.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# What stands for the vendor's message when its answer had none.
NO_EXPLANATION = "No explanation came with the answer."


class RemoteError(Exception):
    """A call that gave no usable answer.

    `outcome_unknown` is True when a write may have taken effect although no answer says so: read before repeating.
    `details` and `Rejected.reply` are the vendor's own data: for the account of a record, never for a log.
    """

    def __init__(
        self,
        message: str,
        *,
        service: str,
        endpoint: str,
        status: int | None = None,
        code: str = "",
        details: Mapping[str, Any] | None = None,
        request_id: str = "",
        outcome_unknown: bool = False,
    ) -> None:
        self.message = message
        self.service = service
        self.endpoint = endpoint
        self.status = status
        self.code = code
        self.details: dict[str, Any] = dict(details or {})
        self.request_id = request_id
        self.outcome_unknown = outcome_unknown
        super().__init__(message)

    def __str__(self) -> str:
        facts = [f"{self.service} {self.endpoint}"]
        if self.status is not None:
            facts.append(f"HTTP {self.status}")
        if self.code:
            facts.append(self.code)
        if self.request_id:
            facts.append(f"request {self.request_id}")
        return f"{self.message} ({', '.join(facts)})"


class Unauthorized(RemoteError):
    """The vendor does not accept this connection any more: reconnect it."""


class MissingScope(Unauthorized):
    """The connection works, but not for this: authorise it again with more scopes."""


class Rejected(RemoteError):
    """The vendor understood and refused (4xx): fix the data. `reply` is the vendor's JSON, None when it sent none."""

    def __init__(self, message: str, *, reply: Any = None, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.reply = reply


class RateLimited(RemoteError):
    """Too much at once: wait until `retry_at` (aware, UTC)."""

    def __init__(self, message: str, *, retry_at: dt.datetime, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.retry_at = retry_at


class CreditsExhausted(RateLimited):
    """The API credits of the rolling 24 hours are used up, or what is left is reserved for people."""


class Unavailable(RemoteError):
    """The vendor failed (5xx), did not answer in time, or the connection dropped."""


class CircuitOpen(Unavailable):
    """Not sent: the last calls all failed. The next attempt is due at `retry_at` (aware, UTC)."""

    def __init__(self, message: str, *, retry_at: dt.datetime, **facts: Any) -> None:
        super().__init__(message, **facts)
        self.retry_at = retry_at


class BadReply(RemoteError):
    """The answer has a shape that no description knows: the vendor changed something, or something sits in between."""


class ReadOnly(RemoteError):
    """A dry run refused to send a write."""


class NotConfigured(RemoteError):
    """Settings of the connection are missing or wrong, or name a host that is not known."""


@dataclass(frozen=True, slots=True)
class Advice:
    """The words of an error for a screen: what happened to what, and what to do."""

    what: str
    remedy: str


def _at(moment: dt.datetime) -> str:
    return f"{moment.astimezone(dt.UTC):%Y-%m-%d %H:%M:%S} UTC"


# The first class that fits gives the words; {says} is the vendor's own message.
_WORDS: tuple[tuple[type[RemoteError], str, str], ...] = (
    (
        MissingScope,
        "The connection to {name} is not allowed to call {call}.{lacks}",
        "{grant} Trying again does not help.",
    ),
    (
        Unauthorized,
        "{name} no longer accepts this connection.{says}",
        "Reconnect it on the Connections page; waiting runs then go on by themselves.",
    ),
    (
        CreditsExhausted,
        "The API credits that {name} grants, or the part that runs may use, are spent.",
        "Runs go on by themselves. Credits come back over the day as older calls leave the 24-hour window.",
    ),
    (
        RateLimited,
        "{name} accepts no more calls to {call} at the moment.",
        "Nothing to do: runs go on by themselves.{often}",
    ),
    (
        CircuitOpen,
        "{name} failed several times in a row, so no call was sent to {call}.",
        "Wait a moment: runs go on by themselves, and a page works again when you reload it later.",
    ),
    (
        Unavailable,
        "{name} did not answer the call to {call}.{says}",
        "Try again later. If it lasts, look at the status page of the vendor.",
    ),
    (
        BadReply,
        "{name} answered {call} in an unexpected form.{says}",
        "Check the addresses of the connection; if they are right, report it with the request id.",
    ),
    (
        ReadOnly,
        "A dry run stopped {call} before it was sent to {name}.",
        "Start the run without “dry run” to change data.",
    ),
    (
        NotConfigured,
        "The connection to {name} is not set up completely.{says}",
        "Correct the connection on the Connections page, or the environment variables that define it.",
    ),
    (Rejected, "{name} refused {call}.{says}", "Correct the data named in the message, then retry."),
    (RemoteError, "The call {call} to {name} failed.{says}", "Try again later."),
)


# Short names of the vendors in the codes by which people and documents call the common errors.
_PREFIXES = {"Zoho CRM": "ZOHO", "RingCentral": "RC"}
# Zoho's codes for a record whose data it does not take.
_DATA_CODES = frozenset(
    {"INVALID_DATA", "MANDATORY_NOT_FOUND", "DUPLICATE_DATA", "PATTERN_NOT_MATCHED", "EXPECTED_FIELD_MISSING"}
    | {"DEPENDENT_FIELD_MISSING", "DEPENDENT_MISMATCH", "MAPPING_MISMATCH"}
)


def reference(error: RemoteError) -> str:
    """Code of a common error, shown beside its words: RC-401, RC-429, ZOHO-401, ZOHO-422; empty for others."""
    prefix = _PREFIXES.get(error.service)
    if prefix is None:
        return ""
    if isinstance(error, Unauthorized):
        return f"{prefix}-401"
    if isinstance(error, RateLimited):
        return f"{prefix}-429"
    if isinstance(error, Rejected) and (error.status == 422 or error.code in _DATA_CODES):
        return f"{prefix}-422"
    return ""


# Where a right comes from, by vendor: what the connection's account lacks is added there.
_GRANTS = {
    "Zoho CRM": "Authorise the connection again with the missing scope.",
    "RingCentral": "Give the right to the application in the Developer Console (code CMN-401) or to the role of the "
    "JWT's user in the admin portal (other codes).",
}


def describe(error: RemoteError, *, with_time: bool = True) -> Advice:
    """Words for people: what happened to what, and what to do; `with_time` adds when the next attempt is due.

    The code of a common error stands at the end of what happened.
    """
    name, call = error.service, error.endpoint
    says = f" {error.message}"
    if error.message == NO_EXPLANATION:
        says = f" The answer was HTTP {error.status} without an explanation."
    elif error.code or error.status:
        says = f" {name} says: {error.message}"
    says += "" if says.endswith((".", "!", "?", "…")) else "."
    what, remedy = next((what, remedy) for kind, what, remedy in _WORDS if isinstance(error, kind))
    permission = error.details.get("permissionName")
    field = error.details.get("api_name")
    what = what.format(name=name, call=call, says=says, lacks=f" It lacks {permission}." if permission else "")
    remedy = remedy.format(
        grant=_GRANTS.get(name, _GRANTS["Zoho CRM"]),
        often=" Lower the concurrency of the connection if it happens often." if name == "Zoho CRM" else "",
    )
    code = reference(error)
    if code.endswith("422") and isinstance(field, str):
        what += f" Field: {field}."
    if code:
        what += f" ({code})"
    if error.outcome_unknown:
        what += " Whether it took effect is not known."
        remedy = "Read the record back before sending it again. " + remedy
    retry_at = getattr(error, "retry_at", None)
    if retry_at is not None and with_time:
        remedy += f" Next attempt: {_at(retry_at)}."
    return Advice(what, remedy)
