"""What the portal's features need to be allowed at RingCentral (permissions of the application; guide, OpenAPI file)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Permission:
    """`use`: what does not work without it. `is_required`: nothing of the calls feature works without it."""

    name: str
    use: str
    is_required: bool = False
    is_optional: bool = False


PERMISSIONS: tuple[Permission, ...] = (
    Permission("ReadAccounts", "extensions and call queues", is_required=True),
    Permission("ReadCallLog", "the company's calls", is_required=True),
    Permission("ReadCallRecording", "recordings"),
    Permission("ReadMessages", "voicemails"),
    Permission("SubscriptionWebhook", "notices of new calls as they end", is_optional=True),
    Permission("CallControl", "notices of new calls as they end", is_optional=True),
)
# ReadCallRecording includes ReadCallLog (guide).
_INCLUDED_IN = {"ReadCallLog": ("ReadCallRecording",)}


def has(granted: Iterable[str], name: str) -> bool:
    """Whether a permission is among the granted ones. Older answers write “CallLog” for ReadCallLog; case is ignored."""
    have = {each.lower() for each in granted}
    wanted = (name, *_INCLUDED_IN.get(name, ()))
    return any(each.lower() in have or each.removeprefix("Read").lower() in have for each in wanted)
