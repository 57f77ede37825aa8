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
        if hasattr(request.data, "seek"):
            # Its length counts from where it stands, and an earlier call may have read it to its end.
            request.data.seek(0)
        self._prepared = _encoded(request, api_domain, traits)
        body: Any = self._prepared.body
        self._is_file = hasattr(body, "seek")
        if not self._is_file and not isinstance(body, str | bytes | None):
            raise TypeError("A body must be bytes, text, a form or a file: a second attempt reads it again.")

    def signed(self, authorization: str, received: int = 0) -> requests.PreparedRequest:
        """A copy with this header; a body that is an open file starts at its beginning again.

        `received`: bytes of the answer that are here already, so that only the rest is asked for.
        """
        prepared = self._prepared.copy()
        prepared.headers["Authorization"] = authorization
        if received:
            prepared.headers["Range"] = f"bytes={received}-"
        if self._is_file:
            body: Any = prepared.body
            body.seek(0)
        return prepared


def _encoded(request: Request, api_domain: str, traits: Traits) -> requests.PreparedRequest:
    """Raises NotConfigured for an address that is not the vendor's: the token must not leave for other hosts."""
    url = request.path_or_url
    if url.startswith("/"):
        url = api_domain + url
    traits.check_url(url)
    headers = {
        "User-Agent": USER_AGENT,
        "Accept": "*/*" if request.is_streamed else "application/json",
        # Files are packed already, and only unpacked lengths can be compared with what arrived.
        "Accept-Encoding": "identity" if request.is_streamed else "gzip, deflate",
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
