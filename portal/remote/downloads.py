"""What only downloads have: redirects within the vendor's hosts, and files that arrive in parts."""

from __future__ import annotations

import re
import tempfile
from typing import IO
from urllib.parse import urljoin

import requests

from portal.remote import replies
from portal.remote.attempts import Job
from portal.remote.errors import BadReply, NotConfigured, RemoteError
from portal.remote.messages import Request
from portal.remote.transport import Answer, Target
from portal.remote.vendors import Traits

SPOOL_IN_MEMORY = 1024 * 1024
MOST_REDIRECTS = 3
MOST_PARTS = 100
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_CONTENT_RANGE = re.compile(r"bytes (\d{1,15})-(\d{1,15})/(\d{1,15})")


def target_of(job: Job) -> Target | None:
    """Where this attempt writes: a part goes on in the file of the earlier ones, anything else starts a new one."""
    if not job.request.is_streamed:
        return None

    def open_(status: int) -> IO[bytes]:
        if status == 206 and job.file is not None:
            return job.file
        job.give_up_file()
        if job.request.sink is not None:
            return job.request.sink()
        return tempfile.SpooledTemporaryFile(max_size=SPOOL_IN_MEMORY)  # the caller closes it

    return Target(open_, max(job.request.largest_file - job.received, 0))


def next_hop(
    answer: Answer, prepared: requests.PreparedRequest, request: Request, traits: Traits
) -> requests.PreparedRequest | None:
    """The request that a redirect of a download asks for; None when there is none to follow.

    Raises BadReply for an address that is not the vendor's: the token goes with the request.
    """
    location = answer.headers.get("Location", "")
    if answer.status not in _REDIRECTS or not location or not request.is_streamed or request.method.upper() != "GET":
        return None
    following = prepared.copy()
    try:
        url = urljoin(prepared.url or "", location)
        traits.check_url(url)
        following.prepare_url(url, None)
    except (NotConfigured, ValueError, requests.RequestException):
        raise BadReply(
            "The download was redirected to an address that is not the vendor's; it was not followed.",
            service=traits.service,
            endpoint=request.endpoint,
            status=answer.status,
        ) from None
    return following


def is_part(answer: Answer, request: Request) -> bool:
    """Whether only a part of the file came although the whole was wanted."""
    asked = {name.lower() for name in request.headers or {}}
    return answer.status == 206 and "range" not in asked


def add_part(answer: Answer, job: Job, traits: Traits) -> bool:
    """Notes a part that was written behind the earlier ones; whether the file is whole now.

    Raises the RemoteError of a part that does not fit: a file that looks whole and is not would be worse than none.
    """

    def bad(message: str) -> RemoteError:
        return BadReply(message, service=traits.service, endpoint=job.request.endpoint, status=answer.status)

    match = _CONTENT_RANGE.fullmatch(answer.headers.get("Content-Range", "").strip())
    if match is None or answer.file is None:
        raise bad("Only a part of the file came, and the answer does not say which.")
    first, last, total = (int(group) for group in match.groups())
    if first != job.received or last < first or last >= total or answer.file_bytes != last - first + 1:
        raise bad("A part of the file came that does not fit to what is here already.")
    if total > job.request.largest_file:
        raise replies.too_large(job.request, traits, answer.status)
    job.file, job.received, job.parts = answer.file, last + 1, job.parts + 1
    if job.received == total:
        return True
    if job.parts >= MOST_PARTS:
        raise bad("The file came in too many parts.")
    return False
