"""What a test may set on the RingCentral half, and the state that its parts share."""

from __future__ import annotations

from dataclasses import dataclass
from threading import RLock

from portal.standin.clock import Clock
from portal.standin.counters import Counters
from portal.standin.messages import Request
from portal.standin.ringcentral.people import Directory

ALL_SCOPES = "ReadAccounts ReadCallLog ReadCallRecording ReadMessages SubscriptionWebhook CallControl"


@dataclass
class Settings:
    """The defaults are those of the developer guide where it names one."""

    token_life_s: int = 3600
    scopes: str = ALL_SCOPES
    """Scopes of the app, space separated; a token has them as of its login."""
    live_sessions: int = 5
    jwt_flow: bool = True
    owner_enabled: bool = True
    """False: the user of the JWT credential was disabled."""
    light_limit: int = 50
    medium_limit: int = 40
    heavy_limit: int = 10
    auth_limit: int = 5
    window_s: float = 60
    penalty_s: float = 60
    retry_after: bool = True
    """Whether a 429 names its wait; the vendor sometimes does not."""
    row_lag_s: float = 20
    """From the end of a call until its row is in the call log."""
    date_to_inclusive: bool = True
    company_call_log: bool = True
    """False: the user's role lost the permission to read the company's call log."""
    other_mailboxes: bool = True
    """False: mailboxes and logs of other extensions are refused with CMN-419."""
    extract_sync_status: int = 200
    """403 or 404: call-log-extract-sync is not there for this account."""
    sync_token_life_s: float = 86_400
    media_url: str = ""
    """Origin of the links to audio; empty means the address under which the stand-in was asked."""
    media_chunk_bytes: int = 0
    """Above zero, audio comes as 206 in pieces of this size, also to callers who asked for all of it."""
    subscriptions: int = 30


@dataclass(frozen=True)
class Office:
    """The made-up company: clock, lock, settings and people, for every part of this half."""

    clock: Clock
    lock: RLock
    counters: Counters
    settings: Settings
    people: Directory

    def now_ms(self) -> int:
        return round(self.clock.timestamp() * 1_000)

    def media_origin(self, request: Request) -> str:
        return self.settings.media_url or request.base_url
