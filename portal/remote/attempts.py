"""The states of one request between `call` or `stream` and the wire."""

from __future__ import annotations

from dataclasses import dataclass

import requests

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


@dataclass(frozen=True)
class Ticket:
    """Admission of one attempt: what to send, with which token, in which slots, and whether it is a trial."""

    prepared: requests.PreparedRequest
    token: Token
    slots: tuple[Slot, ...]
    is_trial: bool


@dataclass(frozen=True)
class Sent:
    """What came of one attempt on the wire: an answer, or why there is none."""

    answer: Answer | None = None
    problem: str = ""
    reached_vendor: bool = True
    elapsed_ms: int = 0


@dataclass(frozen=True)
class Later:
    """Not now: come back in `seconds`; `error` is the outcome if nobody does. `is_blocked`: not admitted yet."""

    seconds: float
    error: RemoteError
    is_blocked: bool = False
