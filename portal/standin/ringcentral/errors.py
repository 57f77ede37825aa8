"""RingCentral's error objects. Clients decide on `errors[].errorCode`; the upper one may be a legacy word."""

from __future__ import annotations

from typing import Any

from portal.standin.messages import JsonObject, Refusal, Reply

_CODES_BY_STATUS = {
    400: ("CMN-101", "Parameter value is invalid"),
    401: ("OAU-213", "Token not found"),
    403: ("CMN-408", "In order to call this API endpoint, user needs to have a permission"),
    404: ("CMN-102", "Resource is not found"),
    416: ("CMN-107", "Requested range is not satisfiable"),
    429: ("CMN-301", "Request rate exceeded"),
    500: ("CMN-203", "Internal server error"),
    503: ("CMN-201", "Service Temporary Unavailable"),
}


def error(code: str, message: str, *, legacy: str = "", **details: Any) -> JsonObject:
    return {
        "errorCode": legacy or code,
        "message": message,
        "errors": [{"errorCode": code, "message": message, **details}],
    }


def error_of_status(status: int) -> JsonObject:
    return error(*_CODES_BY_STATUS.get(status, _CODES_BY_STATUS[500]))


def refuse(status: int, code: str, message: str, *, legacy: str = "", **details: Any) -> Refusal:
    return Refusal(Reply.of(status, error(code, message, legacy=legacy, **details)))


def bad_parameter(name: str, value: str) -> Refusal:
    text = f"Parameter [{name}] value is invalid"
    return refuse(400, "CMN-101", text, legacy="InvalidParameter", parameterName=name, parameterValue=value)


def not_found(name: str, value: str) -> Refusal:
    text = f"Resource for parameter [{name}] is not found"
    return refuse(404, "CMN-102", text, parameterName=name, parameterValue=value)


def not_built(what: str) -> Refusal:
    """Never a quiet success: the caller must see that the stand-in does not know this."""
    return refuse(501, "STANDIN_NOT_BUILT", f"the stand-in does not know {what}")


def oauth_refusal(status: int, word: str, code: str, description: str) -> Refusal:
    body = {
        "error": word,
        "error_description": description,
        "errors": [{"errorCode": code, "message": description}],
    }
    return Refusal(Reply.of(status, body))
