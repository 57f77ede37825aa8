"""The note about a call that Zoho gets: everything the log said, in the office's time, and the call's id."""

from __future__ import annotations

import datetime as dt
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from portal import phone
from telephony.caller_names import person_of
from telephony.mapping import marker_of
from telephony.models import Call, CallSettings, CallStep, Extension, Office
from telephony.plain_text import cut, line, plain, units
from telephony.reasons import TOO_LARGE
from telephony.template_text import clock

# Zoho's documents disagree between 32,000 and 65,535 characters for a note.
MAX_CONTENT = 32_000
MAX_TITLE = 120
DEFAULT_TITLE = "Call Information"
CUT = "[… the rest was cut: a note holds no more]"
MEDIA_STATES: dict[str, str] = {
    CallStep.State.PLANNED: "to be attached",
    CallStep.State.SENT: "being attached",
    CallStep.State.WAITING: "not ready at RingCentral yet",
    CallStep.State.DONE: "attached",
    CallStep.State.SKIPPED: "not attached",
    CallStep.State.UNAVAILABLE: "not available at RingCentral",
    CallStep.State.FAILED: "could not be attached",
}
_GAP = re.compile(r"\n{3,}")


@dataclass(frozen=True)
class Note:
    """`digest` changes with what would be written; `is_cut` says that the content was longer than a note may be."""

    title: str
    content: str
    digest: str
    is_cut: bool = False


def note_of(
    call: Call, office: Office, *, media: Sequence[CallStep] = (), transcript: str = "", title: str | None = None
) -> Note:
    """Pure apart from `title`, which is read from the settings when it is not given.

    `media`: the steps of recordings and voicemails, for a line about each. `transcript`: of the voicemail.
    """
    told = CallSettings.load().note_title if title is None else title
    name = cut(line(told), MAX_TITLE).rstrip() or DEFAULT_TITLE
    lines = [line(part) for part in _facts(call, office)]
    lines += [line(part) for part in _legs(call, office)]
    lines += [line(part) for part in _media(media)]
    spoken = _GAP.sub("\n\n", plain(transcript).strip())
    if spoken:
        lines += ["Transcript of the voicemail:", spoken]
    content, is_cut = _within("\n".join(lines), marker_of(call))
    digest = hashlib.sha256(f"{name}\n{content}".encode()).hexdigest()
    return Note(name, content, digest, is_cut)


def has_marker(content: str, call: Call) -> bool:
    """Whether a note of Zoho was written for this call."""
    return marker_of(call) in (content or "")


def _within(body: str, marker: str) -> tuple[str, bool]:
    """The body, then the marker on a line of its own, which is never cut."""
    room = MAX_CONTENT - units(marker) - 1
    if units(body) <= room:
        return f"{body}\n{marker}", False
    kept = cut(body, room - units(CUT) - 1).rstrip()
    return f"{kept}\n{CUT}\n{marker}", True


def _facts(call: Call, office: Office) -> Iterator[str]:
    yield f"{Call.Direction(call.direction).label} call: {Call.Outcome(call.outcome).label.lower()}"
    yield f"Time: {clock(call.started_at.astimezone(office.tz))}, {office.name}"
    yield from _lengths(call)
    yield _other_party(call)
    if call.line:
        yield f"Line: {phone.shown(call.line)}"
    if call.answered_by:
        yield f"Answered by: {_named(call.answered_by)}"
    if call.extension and call.extension != call.answered_by:
        yield f"Extension: {_named(call.extension)}"


def _lengths(call: Call) -> Iterator[str]:
    if call.total_seconds is None:
        yield "Duration: not known"
    else:
        yield f"Total duration: {length(call.total_seconds)}"
    if call.talk_seconds is not None:
        yield f"Talk time: {length(call.talk_seconds)}"


def length(seconds: int) -> str:
    """Seconds, and minutes with seconds beside them from one minute on: 95 s (1:35)."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{seconds} s ({hours}:{minutes:02}:{rest:02})"
    return f"{seconds} s ({minutes}:{rest:02})" if minutes else f"{seconds} s"


def _other_party(call: Call) -> str:
    """The number with the name as it was told; a place is called one."""
    word = "Caller" if call.direction == Call.Direction.INBOUND else "Called"
    number = phone.shown(call.number) if call.number else call.number_told or "number withheld"
    name = person_of(call.name_told, call.location_told)
    told = [number, f"“{name}”" if name else "", f"from {call.location_told}" if call.location_told else ""]
    return f"{word}: {', '.join(part for part in told if part)}"


def _named(extension: Extension) -> str:
    known = extension.name or extension.rc_id
    return f"{known}, extension {extension.number}" if extension.number else known


def _legs(call: Call, office: Office) -> Iterator[str]:
    """One line a leg in their order, for calls that had more than one."""
    if len(call.legs) < 2:
        return
    yield "Legs:"
    for number, leg in enumerate(call.legs, start=1):
        yield f"{number}. {_leg(leg, office)}"


def _leg(leg: dict[str, Any], office: Office) -> str:
    """A leg as telephony.folding stores it."""
    seconds = leg.get("seconds")
    who = leg.get("extension") or leg.get("to") or leg.get("from")
    parts = (_leg_time(leg.get("at"), office), leg.get("action"), who, leg.get("result"))
    told = [str(part) for part in parts if part]
    return ", ".join([*told, f"{seconds} s"] if isinstance(seconds, int) else told) or "nothing known"


def _leg_time(told: object, office: Office) -> str:
    try:
        return f"{dt.datetime.fromisoformat(str(told)).astimezone(office.tz):%H:%M:%S}"
    except ValueError:
        return ""


def _media(media: Sequence[CallStep]) -> Iterator[str]:
    for step in media:
        kind = CallStep.Kind(step.kind).label
        why = f" ({step.message})" if step.message and step.state != CallStep.State.DONE else ""
        state = "kept at RingCentral" if step.code == TOO_LARGE else MEDIA_STATES[step.state]
        yield f"{kind}: {state}{why}"
