"""A Request as it goes over the wire."""

from __future__ import annotations

from typing import Any

import requests

from portal.remote.errors import NotConfigured, Rejected
from portal.remote.messages import Request
from portal.remote.transport import USER_AGENT
from portal.remote.vendors import Traits


class Outgoing:
    """Encoded once, because files can be read only once; signed anew for each attempt."""

    def __init__(self, request: Request, api_domain: str, traits: Traits) -> None:
        self._prepared = _encoded(request, api_domain, traits)
        body: Any = self._prepared.body
        self._start: int | None = body.tell() if hasattr(body, "seek") else None
        if self._start is None and not isinstance(body, str | bytes | None):
            raise TypeError("A body must be bytes, text, a form or a file: a second attempt reads it again.")

    def signed(self, authorization: str) -> requests.PreparedRequest:
        """A copy with this header; a body that is an open file starts at its beginning again."""
        prepared = self._prepared.copy()
        prepared.headers["Authorization"] = authorization
        if self._start is not None:
            body: Any = prepared.body
            body.seek(self._start)
        return prepared


def _encoded(request: Request, api_domain: str, traits: Traits) -> requests.PreparedRequest:
    """Raises NotConfigured for an address that is not the vendor's: the token must not leave for other hosts."""
    url = request.path_or_url
    if url.startswith("/"):
        url = api_domain + url
    traits.check_url(url)
    headers = {
        "User-Agent": USER_AGENT,
        "Accept": "*/*" if request.stream else "application/json",
        "Accept-Encoding": "gzip, deflate",
        **(request.headers or {}),
    }
    try:
        return requests.Request(
            request.method.upper(),
            url,
            params=request.params,
            json=request.json,
            data=request.data,
            files=request.files,
            headers=headers,
        ).prepare()
    except requests.exceptions.InvalidJSONError as error:
        raise Rejected(
            "The data cannot be written as JSON.", service=traits.service, endpoint=request.endpoint
        ) from error
    except requests.exceptions.RequestException:
        # The exception's text holds the address with its query.
        raise NotConfigured(
            "The address of the call is not valid.", service=traits.service, endpoint=request.endpoint
        ) from None
