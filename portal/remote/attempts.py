"""The states of one request between `call` or `stream` and the wire."""

from __future__ import annotations

from dataclasses import dataclass
from typing import IO

import requests

from portal.remote.buckets import Permit
from portal.remote.errors import RemoteError
from portal.remote.messages import Request
from portal.remote.oauth import Token
from portal.remote.outgoing import Outgoing
from portal.remote.slots import Slot
from portal.remote.transport import Answer


@dataclass
class Job:
    """One request on its way: what happened to it so far."""

    request: Request
    attempt: int = 0
    waited_s: float = 0.0
    token_renewed: bool = False
    # An earlier attempt of this write may have taken effect; no later refusal makes that undone.
    uncertain: bool = False
    outgoing: Outgoing | None = None
    # A download of which the vendor sent only a part so far: the file, the bytes in it, the parts.
    file: IO[bytes] | None = None
    received: int = 0
    parts: int = 0

    def give_up_file(self) -> None:
        """What arrived in parts is dropped: the next attempt starts at the first byte."""
        if self.file is not None:
            self.file.close()
        self.file, self.received, self.parts = None, 0, 0


@dataclass(frozen=True)
class Ticket:
    """Admission of one attempt: what to send, with which token, in which slots and bucket, and whether on trial."""

    prepared: requests.PreparedRequest
    token: Token
    slots: tuple[Slot, ...]
    is_trial: bool
    permit: Permit | None = None


@dataclass(frozen=True)
class Sent:
    """What came of one attempt on the wire: an answer, or why there is none.

    `local_error`: the file that was to take the answer failed, or the answer led to a foreign host; not the vendor.
    """

    answer: Answer | None = None
    problem: str = ""
    reached_vendor: bool = True
    elapsed_ms: int = 0
    local_error: Exception | None = None


@dataclass(frozen=True)
class Later:
    """Not now: come back in `seconds`; `error` is the outcome if nobody does. `is_blocked`: not admitted yet."""

    seconds: float
    error: RemoteError
    is_blocked: bool = False
