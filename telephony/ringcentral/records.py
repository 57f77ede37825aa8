"""RingCentral's call log, extensions and voicemail as our own types. Each has `parse` for the vendor's JSON.

Nearly every field of the vendor is optional, so a missing or odd value becomes an empty one. What makes an entry
unusable raises DamagedRow; what was lost of a usable one stands in `LogRow.oddities`.
Ids are text: the same id comes as a number in one list and as text in another.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

# Longer ids do not occur; they would not fit the columns that keep them.
MAX_ID_LENGTH = 100
# A duration beyond this is a defect of the entry, not a telephone call.
MAX_SECONDS = 31 * 24 * 3600
YEARS = range(1990, 2200)

_EXTENSION = re.compile(r"/extension/(\d+)(?:/|$)")
_MESSAGE = re.compile(r"/message-store/(\d+)(?:[/?]|$)")
_RECORDING = re.compile(r"/recording/(\d+)(?:[/?]|$)")


class DamagedRow(Exception):
    """An entry that cannot be used. The text names its id and the field, never a value."""

    def __init__(self, what: str, row_id: str, problem: str) -> None:
        self.row_id = row_id
        super().__init__(f"{what} {row_id or 'without id'}: {problem}.")


# --- values -------------------------------------------------------------------------------------------------------------


def text(value: Any) -> str:
    """A text or a whole number as text that every database takes; anything else is empty."""
    if isinstance(value, bool):
        return ""
    if isinstance(value, int):
        return str(value) if abs(value) < 10**MAX_ID_LENGTH else ""
    if not isinstance(value, str):
        return ""
    # NUL and halves of surrogate pairs are valid in JSON, but not in PostgreSQL or UTF-8.
    return value.replace("\0", "").encode("utf-8", "replace").decode("utf-8").strip()


def identifier(value: Any) -> str:
    """An id as text; empty for none and for what cannot be one."""
    found = text(value)
    return found if len(found) <= MAX_ID_LENGTH else ""


def moment(value: Any) -> dt.datetime | None:
    """A time of the vendor, aware and in UTC. Written with Z, +0000 or +00:00, with or without milliseconds."""
    try:
        found = dt.datetime.fromisoformat(text(value))
        # All times of the vendor are UTC, so one that does not say so is too.
        found = found.replace(tzinfo=dt.UTC) if found.tzinfo is None else found.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        return None
    return found if found.year in YEARS else None


def seconds(data: Mapping[str, Any]) -> int | None:
    """`duration` in seconds, else `durationMs`; None while a call is in progress and for odd values."""
    whole = _number(data.get("duration"))
    if whole is None:
        milliseconds = _number(data.get("durationMs"))
        whole = None if milliseconds is None else milliseconds / 1000
    return int(whole) if whole is not None and 0 <= whole <= MAX_SECONDS else None


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) else None


def mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _id_in(pattern: re.Pattern[str], uri: str) -> str:
    found = pattern.search(uri)
    return identifier(found.group(1)) if found else ""


# --- parts of a row -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Party:
    """`from` or `to`. `name` of an outside caller can be a place (“OAKLAND CA”); no number: withheld or internal."""

    number: str = ""
    extension_number: str = ""
    extension_id: str = ""
    name: str = ""
    location: str = ""

    @classmethod
    def parse(cls, value: Any) -> Party:
        data = mapping(value)
        extension_number, extension_id = text(data.get("extensionNumber")), identifier(data.get("extensionId"))
        number = text(data.get("phoneNumber"))
        if not number and not extension_number and not extension_id:
            number = text(data.get("dialerPhoneNumber")) or text(data.get("dialedPhoneNumber"))
        return cls(
            number=number,
            extension_number=extension_number,
            extension_id=extension_id,
            name=text(data.get("name")),
            location=text(data.get("location")),
        )

    @property
    def told(self) -> str:
        """The number, or the short one of an internal party."""
        return self.number or self.extension_number


@dataclass(frozen=True)
class Recording:
    id: str
    content_uri: str
    kind: str

    @classmethod
    def parse(cls, value: Any) -> Recording | None:
        data = mapping(value)
        content_uri = text(data.get("contentUri"))
        found = (
            identifier(data.get("id")) or _id_in(_RECORDING, content_uri) or _id_in(_RECORDING, text(data.get("uri")))
        )
        return cls(found, content_uri, text(data.get("type"))) if found else None


@dataclass(frozen=True)
class Message:
    """A voicemail or fax that hangs on a call. `mailbox` is the extension id in its address: not always the one called."""

    id: str
    kind: str
    uri: str
    mailbox: str

    @classmethod
    def parse(cls, value: Any) -> Message | None:
        data = mapping(value)
        uri = text(data.get("uri"))
        found = identifier(data.get("id")) or _id_in(_MESSAGE, uri)
        return cls(found, text(data.get("type")), uri, _id_in(_EXTENSION, uri)) if found else None

    @property
    def is_voicemail(self) -> bool:
        """The vendor writes VoiceMail in one place and Voicemail in another."""
        return self.kind.replace(" ", "").casefold() == "voicemail"


@dataclass(frozen=True)
class Leg:
    """One ring or connection of a call. `started_at` is the row's where the leg has none."""

    started_at: dt.datetime | None
    duration: int | None
    direction: str
    action: str
    leg_type: str
    result: str
    reason: str
    caller: Party
    callee: Party
    extension_id: str
    recording: Recording | None
    message: Message | None
    session: str
    is_master: bool

    @classmethod
    def parse(cls, data: Mapping[str, Any]) -> Leg:
        return cls(
            started_at=moment(data.get("startTime")),
            duration=seconds(data),
            direction=text(data.get("direction")),
            action=text(data.get("action")),
            leg_type=text(data.get("legType")),
            result=text(data.get("result")),
            reason=text(data.get("reason")),
            caller=Party.parse(data.get("from")),
            callee=Party.parse(data.get("to")),
            extension_id=identifier(mapping(data.get("extension")).get("id")),
            recording=Recording.parse(data.get("recording")),
            message=Message.parse(data.get("message")),
            session=identifier(data.get("telephonySessionId")),
            is_master=data.get("master") is True,
        )


# --- rows ---------------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LogRow:
    """A row of the call log. `started_at` is None only for a deleted row, of which nothing but the id may come.

    `oddities`: what of the row could not be read, in words without data.
    """

    id: str
    session_id: str
    telephony_session_id: str
    type: str
    direction: str
    action: str
    result: str
    reason: str
    started_at: dt.datetime | None
    duration: int | None
    caller: Party
    callee: Party
    extension_id: str
    recording: Recording | None
    is_short_recording: bool
    message: Message | None
    delegate_id: str
    delegation_type: str
    linked: tuple[str, ...]
    modified_at: dt.datetime | None
    is_deleted: bool
    legs: tuple[Leg, ...]
    is_finished: bool | None = None
    oddities: tuple[str, ...] = ()

    @classmethod
    def parse(cls, json: Any) -> LogRow:
        """Raises DamagedRow for what is no object, and for a row without id or start."""
        data = mapping(json)
        row_id = identifier(data.get("id"))
        if not row_id:
            raise DamagedRow("Call log row", "", "it is no object with an id")
        told = _parts(data)
        legs = tuple(Leg.parse(part) for part in told if isinstance(part, Mapping))
        is_deleted = data.get("deleted") is True
        started_at = moment(data.get("startTime"))
        oddities = ["the start"] if started_at is None and not is_deleted else []
        if started_at is None:
            started_at = min((leg.started_at for leg in legs if leg.started_at), default=None)
        if started_at is None and not is_deleted:
            raise DamagedRow("Call log row", row_id, "it has no readable startTime")
        if len(legs) < len(told):
            oddities.append(f"{len(told) - len(legs)} of {len(told)} legs")
        return cls(
            id=row_id,
            session_id=identifier(data.get("sessionId")),
            telephony_session_id=identifier(data.get("telephonySessionId")),
            type=text(data.get("type")),
            direction=text(data.get("direction")),
            action=text(data.get("action")),
            result=text(data.get("result")),
            reason=text(data.get("reason")),
            started_at=started_at,
            duration=seconds(data),
            caller=Party.parse(data.get("from")),
            callee=Party.parse(data.get("to")),
            extension_id=identifier(mapping(data.get("extension")).get("id")),
            recording=Recording.parse(data.get("recording")),
            is_short_recording=any(mapping(part).get("shortRecording") is True for part in (data, *told)),
            message=Message.parse(data.get("message")),
            delegate_id=identifier(mapping(data.get("delegate")).get("id")),
            delegation_type=text(data.get("delegationType")),
            linked=_linked(data, told),
            modified_at=moment(data.get("lastModifiedTime")),
            is_deleted=is_deleted,
            legs=legs,
            is_finished=data["finished"] if isinstance(data.get("finished"), bool) else None,
            oddities=tuple(oddities),
        )

    @property
    def session_key(self) -> str:
        """What the rows of one call share. The older `sessionId` is "0" for conferences, which joins nothing."""
        if self.telephony_session_id:
            return self.telephony_session_id
        return f"session:{self.session_id}" if self.session_id not in ("", "0") else f"row:{self.id}"


def _parts(data: Mapping[str, Any]) -> list[Any]:
    """The legs as they came; something else than a list counts as one leg that cannot be read."""
    legs = data.get("legs")
    if isinstance(legs, list):
        return legs
    return [] if legs is None else [None]


def _linked(data: Mapping[str, Any], legs: list[Any]) -> tuple[str, ...]:
    """Telephony sessions that a warm transfer ties to this one."""
    found = (
        identifier(mapping(mapping(part).get(key)).get("telephonySessionId"))
        for part in (data, *legs)
        for key in ("transferTarget", "transferee")
    )
    return tuple(sorted({session for session in found if session}))


# --- the account --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ExtensionRow:
    """An extension of the account. `kind` and `status` are the vendor's words; `number` may be missing."""

    id: str
    number: str
    name: str
    kind: str
    status: str
    email: str
    site: str
    is_hidden: bool = False

    @classmethod
    def parse(cls, json: Any) -> ExtensionRow:
        """Raises DamagedRow for an entry without id."""
        data = mapping(json)
        found = identifier(data.get("id"))
        if not found:
            raise DamagedRow("Extension", "", "it is no object with an id")
        contact = mapping(data.get("contact"))
        person = " ".join(filter(None, (text(contact.get("firstName")), text(contact.get("lastName")))))
        return cls(
            id=found,
            number=text(data.get("extensionNumber")),
            name=text(data.get("name")) or person,
            kind=text(data.get("type")),
            status=text(data.get("status")),
            email=text(contact.get("email")),
            site=text(mapping(data.get("site")).get("name")),
            is_hidden=data.get("hidden") is True,
        )


@dataclass(frozen=True)
class QueueRow:
    id: str
    number: str
    name: str

    @classmethod
    def parse(cls, json: Any) -> QueueRow:
        """Raises DamagedRow for an entry without id."""
        data = mapping(json)
        found = identifier(data.get("id"))
        if not found:
            raise DamagedRow("Call queue", "", "it is no object with an id")
        return cls(found, text(data.get("extensionNumber")), text(data.get("name")))


@dataclass(frozen=True)
class SubscriptionRow:
    """A webhook subscription. `status` is Active, or Blacklisted once deliveries failed for good."""

    id: str
    status: str
    expires_at: dt.datetime | None
    address: str
    filters: tuple[str, ...]

    @classmethod
    def parse(cls, json: Any) -> SubscriptionRow:
        """Raises DamagedRow for an entry without id."""
        data = mapping(json)
        found = identifier(data.get("id"))
        if not found:
            raise DamagedRow("Subscription", "", "it is no object with an id")
        filters = data.get("eventFilters")
        return cls(
            id=found,
            status=text(data.get("status")),
            expires_at=moment(data.get("expirationTime")),
            address=text(mapping(data.get("deliveryMode")).get("address")),
            filters=tuple(text(entry) for entry in filters) if isinstance(filters, list) else (),
        )


# --- voicemail ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Attachment:
    """A file of a message: AudioRecording or AudioTranscription. `seconds` only of audio."""

    id: str
    uri: str
    content_type: str
    kind: str
    seconds: int | None

    @classmethod
    def parse(cls, value: Any) -> Attachment | None:
        data = mapping(value)
        found = identifier(data.get("id"))
        if not found:
            return None
        return cls(
            id=found,
            uri=text(data.get("uri")),
            content_type=text(data.get("contentType")),
            kind=text(data.get("type")),
            seconds=seconds({"duration": data.get("vmDuration")}),
        )


@dataclass(frozen=True)
class VoicemailMessage:
    """A voicemail. Its transcript comes after the audio, if at all: `transcription_status` says which.

    NotAvailable (the account has no such feature), InProgress, TimedOut, Completed, CompletedPartially, Failed, Unknown.
    """

    id: str
    mailbox: str
    created_at: dt.datetime | None
    from_number: str
    transcription_status: str
    audio: Attachment | None
    transcript: Attachment | None

    @classmethod
    def parse(cls, json: Any) -> VoicemailMessage:
        """Raises DamagedRow for an entry without id."""
        data = mapping(json)
        found = identifier(data.get("id"))
        if not found:
            raise DamagedRow("Message", "", "it is no object with an id")
        told = data.get("attachments")
        attachments = [part for part in map(Attachment.parse, told if isinstance(told, list) else []) if part]
        return cls(
            id=found,
            mailbox=identifier(data.get("extensionId")) or _id_in(_EXTENSION, text(data.get("uri"))),
            created_at=moment(data.get("creationTime")),
            from_number=Party.parse(data.get("from")).told,
            transcription_status=text(data.get("vmTranscriptionStatus")),
            audio=_of_kind(attachments, "AudioRecording"),
            transcript=_of_kind(attachments, "AudioTranscription"),
        )


def _of_kind(attachments: list[Attachment], kind: str) -> Attachment | None:
    """By type, not by position: the order of attachments is not promised."""
    return next((part for part in attachments if part.kind.casefold() == kind.casefold()), None)
