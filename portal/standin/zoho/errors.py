"""Zoho's error objects."""

from __future__ import annotations

from typing import Any

from portal.standin.messages import JsonObject, Refusal, Reply

CODES_BY_STATUS = {
    400: ("INVALID_DATA", "invalid data"),
    401: ("INVALID_TOKEN", "invalid oauth token"),
    403: ("NO_PERMISSION", "permission denied"),
    404: ("INVALID_URL_PATTERN", "Please check if the URL trying to access is a correct one"),
    429: ("TOO_MANY_REQUESTS", "You have made too many requests within a certain time frame. Please try again later"),
    500: ("INTERNAL_ERROR", "Internal Server Error"),
    503: ("DEPENDENT_SERVICE_ERROR", "service unavailable"),
}


def error(code: str, message: str, **details: Any) -> JsonObject:
    return {"code": code, "details": details, "message": message, "status": "error"}


def error_of_status(status: int) -> JsonObject:
    code, message = CODES_BY_STATUS.get(status, ("INTERNAL_ERROR", "Internal Server Error"))
    return error(code, message)


def refuse(status: int, code: str, message: str, **details: Any) -> Refusal:
    return Refusal(Reply.of(status, error(code, message, **details)))


def not_built(what: str) -> Refusal:
    """Never a quiet success: the caller must see that the stand-in does not know this."""
    return refuse(501, "STANDIN_NOT_BUILT", f"the stand-in does not know {what}")


class RowError(Exception):
    """One record of a call fails; the others go on."""

    def __init__(self, code: str, message: str, **details: Any) -> None:
        super().__init__(code)
        self.code = code
        self.message = message
        self.details = details

    def as_row(self) -> JsonObject:
        return error(self.code, self.message, **self.details)


def whole_number(text: str | None, default: int, name: str, *, maximum: int | None = None) -> int:
    """A positive number from a query parameter."""
    if text is None or text == "":
        return default
    if not text.isdigit() or int(text) < 1 or (maximum is not None and int(text) > maximum):
        raise refuse(400, "INVALID_DATA", "invalid data", param_name=name)
    return int(text)
