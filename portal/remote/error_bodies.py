"""What a vendor's error body says, taken out of the form that each vendor gives it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST_CODE = 60


@dataclass(frozen=True)
class ErrorBody:
    """`message` is the vendor's own text, not yet without personal data; `permission` names a right that is missing."""

    code: str = ""
    message: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)
    permission: str = ""


def of_zoho(body: Any) -> ErrorBody:
    """{"code": …, "message": …, "details": {…}}; the error of a call on one record is wrapped as {"data": [{…}]}.

    Older bodies have {"code": 429, "error": "TOO_MANY_REQUESTS"}: words win.
    """
    if not isinstance(body, dict):
        return ErrorBody()
    if "code" not in body and "error" not in body and len(body) == 1:
        inner = next(iter(body.values()))
        if isinstance(inner, list) and len(inner) == 1 and isinstance(inner[0], dict):
            body = inner[0]
    details = body.get("details")
    return ErrorBody(
        code=_first_word(body, "code", "error"),
        message=_first_text(body, "message", "error_description", "error_info"),
        details=details if isinstance(details, dict) else {},
    )


def of_ringcentral(body: Any) -> ErrorBody:
    """{"errorCode": …, "message": …, "errors": [{"errorCode", "message", "parameterName"?, "permissionName"?}]}.

    Only `errors` is guaranteed; the code above it may be a legacy word (InsufficientPermissions, TokenInvalid). The
    token server has `error` and `error_description` instead (error guide; OpenAPI of 2026).
    """
    if not isinstance(body, dict):
        return ErrorBody()
    listed = body.get("errors")
    first = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    facts = {name: first.get(name) or body.get(name) for name in ("parameterName", "permissionName")}
    return ErrorBody(
        code=_first_word(first, "errorCode") or _first_word(body, "errorCode", "error"),
        message=_first_text(first, "message") or _first_text(body, "message", "error_description"),
        details={name: value for name, value in facts.items() if isinstance(value, str) and value},
        permission=str(facts["permissionName"] or "")[:LONGEST_CODE],
    )


def _first_word(body: Mapping[str, Any], *keys: str) -> str:
    values = (body.get(key) for key in keys)
    return next((each[:LONGEST_CODE] for each in values if isinstance(each, str) and each and not each.isdigit()), "")


def _first_text(body: Mapping[str, Any], *keys: str) -> str:
    values = (body.get(key) for key in keys)
    return next((each for each in values if isinstance(each, str) and each), "")
