"""From an answer on the wire to a Reply or an error named by its remedy. One table for statuses, one for codes."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any

from portal.remote.errors import (
    NO_EXPLANATION,
    BadReply,
    CreditsExhausted,
    MissingScope,
    RateLimited,
    Rejected,
    RemoteError,
    Unauthorized,
    Unavailable,
)
from portal.remote.messages import Reply, Request
from portal.remote.redact import redact
from portal.remote.transport import Answer
from portal.remote.vendors import Traits

MESSAGE_LIMIT = 200
# Code of a download that is larger than the caller takes.
TOO_LARGE = "TOO_LARGE"
# Statuses of 5xx that no repetition changes: the address is wrong, not the server ill.
NEVER_BETTER = frozenset({501, 505})


def request_id_of(headers: Mapping[str, str], traits: Traits) -> str:
    return next((headers[name][:80] for name in traits.request_id_headers if headers.get(name)), "")


def credits_remaining(headers: Mapping[str, str], traits: Traits) -> int | None:
    """Credits left today according to the vendor; Zoho sends the header only after half of them are used."""
    value = headers.get(traits.credits_header, "") if traits.credits_header else ""
    return int(value) if value.isascii() and value.isdigit() else None


def retry_after(headers: Mapping[str, str], now: dt.datetime) -> dt.datetime | None:
    """Moment named by Retry-After, in seconds or as an HTTP date; None when absent or unreadable."""
    value = headers.get("Retry-After", "").strip()
    if not value:
        return None
    try:
        return now + dt.timedelta(seconds=max(float(value), 0.0))
    except (ValueError, OverflowError):
        pass
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=dt.UTC)
    return max(moment, now)


def read(answer: Answer, request: Request, traits: Traits, now: dt.datetime) -> Reply:
    """The reply of a usable answer.

    Raises the RemoteError that fits any other; `retry_at` of a RateLimited is `now` when the vendor names no time.
    """
    request_id = request_id_of(answer.headers, traits)
    if not (200 <= answer.status < 300 or answer.status == 304):
        raise _error(answer, request, traits, now, request_id)
    if request.is_streamed and answer.truncated:
        raise too_large(request, traits, answer.status)
    return Reply(
        status=answer.status,
        headers=answer.headers,
        json=_json_of_success(answer, request, traits, request_id),
        body=answer.body,
        request_id=request_id,
        elapsed_ms=answer.elapsed_ms,
        request=request,
        file=answer.file,
    )


def too_large(request: Request, traits: Traits, status: int) -> Rejected:
    megabytes = request.largest_file / 1_000_000
    return Rejected(
        f"The file is larger than the {megabytes:,.1f} MB that are accepted here.",
        service=traits.service,
        endpoint=request.endpoint,
        status=status,
        code=TOO_LARGE,
    )


def _json_of_success(answer: Answer, request: Request, traits: Traits, request_id: str) -> Any:
    if answer.file is not None or not answer.body.strip():
        return None

    def bad(message: str) -> BadReply:
        return BadReply(
            message,
            service=traits.service,
            endpoint=request.endpoint,
            status=answer.status,
            request_id=request_id,
            outcome_unknown=request.is_write,
        )

    if answer.truncated:
        raise bad("The answer is larger than this program accepts in memory.")
    kind = answer.headers.get("Content-Type", "").lower()
    if "html" in kind:
        raise bad("A web page came back instead of data.")
    if "json" in kind or answer.body.lstrip()[:1] in (b"{", b"["):
        try:
            return json.loads(answer.body)
        except ValueError:
            raise bad("The answer is not valid JSON.") from None
    return None


def _json_of_error(answer: Answer) -> Any:
    """The error body where it is JSON; None for web pages, empty and cut bodies."""
    if answer.body.lstrip()[:1] not in (b"{", b"["):
        return None
    try:
        return json.loads(answer.body)
    except ValueError:
        return None


def _error(answer: Answer, request: Request, traits: Traits, now: dt.datetime, request_id: str) -> RemoteError:
    reply = _json_of_error(answer)
    body = traits.read_error(reply)
    text = redact(body.message)[:MESSAGE_LIMIT] or NO_EXPLANATION
    facts: dict[str, Any] = {
        "service": traits.service,
        "endpoint": request.endpoint,
        "status": answer.status,
        "code": body.code,
        "details": body.details,
        "request_id": request_id,
    }
    kind = _class(answer.status, body.code, traits)
    if kind is RateLimited:
        remaining = credits_remaining(answer.headers, traits)
        spent = remaining == 0 or (traits.credits_pattern is not None and bool(traits.credits_pattern.search(text)))
        limited = CreditsExhausted if spent else RateLimited
        return limited(text, retry_at=retry_after(answer.headers, now) or now, **facts)
    if kind is Rejected:
        return Rejected(text, reply=reply, **facts)
    if kind is MissingScope and body.permission:
        text = f"{text.rstrip('.')}. Missing permission: {body.permission}."
    if kind is Unavailable:
        facts["outcome_unknown"] = request.is_write
    return kind(text, **facts)


def _class(status: int, code: str, traits: Traits) -> type[RemoteError]:
    """The classification table: codes first, because they are more exact than statuses."""
    by_code: tuple[tuple[bool, type[RemoteError]], ...] = (
        (code in traits.scope_codes, MissingScope),
        (code in traits.rate_codes, RateLimited),
        (code in traits.outage_codes, Unavailable),
        (status == 401, Unauthorized),
        (status == 429, RateLimited),
        (400 <= status < 500, Rejected),
        (status in NEVER_BETTER, BadReply),
        (status >= 500, Unavailable),
    )
    return next((kind for fits, kind in by_code if fits), BadReply)
