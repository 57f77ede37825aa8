"""What every scenario uses: fresh ids, recordings and voicemails, and putting rows into the call log."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from portal.standin.messages import JsonObject
from portal.standin.ringcentral import shapes
from portal.standin.ringcentral.log import CallLog
from portal.standin.ringcentral.mailbox import Mailboxes, Voicemail
from portal.standin.ringcentral.media import WAV
from portal.standin.ringcentral.people import Extension
from portal.standin.ringcentral.recordings import Recording, Recordings
from portal.standin.ringcentral.settings import Office
from portal.standin.ringcentral.shapes import Attached, Ids
from portal.standin.ringcentral.times import SECOND, ms_of

CALLER = "+15125550123"
_SESSION_STRIDE = 10_000
"""Sessions of one call are neighbours, those of two calls are far apart."""

_OF_THE_LEG = ("startTime", "direction", "result", "duration", "from", "to")


@dataclass
class Scripted:
    """What a scenario made: telephony sessions, row ids, recording ids, message ids, each in the order of the call."""

    sessions: list[str] = field(default_factory=list)
    rows: list[str] = field(default_factory=list)
    recordings: list[str] = field(default_factory=list)
    messages: list[str] = field(default_factory=list)

    @property
    def session(self) -> str:
        return self.sessions[0]

    @property
    def row(self) -> str:
        return self.rows[0]

    @property
    def recording(self) -> str:
        return self.recordings[0]

    @property
    def message(self) -> str:
        return self.messages[0]

    def take(self, other: Scripted) -> None:
        self.sessions += other.sessions
        self.rows += other.rows
        self.recordings += other.recordings
        self.messages += other.messages


@dataclass(frozen=True)
class Tape:
    """How a call was recorded; seconds count from the end of the call. As JSON: `true` or an object of these."""

    ready_after: float = 0
    """From when the audio can be had."""
    link_after: float = 0
    """From when the row names the recording."""
    gone_after: float = float("inf")
    """From when it is deleted or expired; 0 never exists."""
    content: str = "audio"
    content_type: str = WAV
    size: int | None = None
    kind: str = "Automatic"
    short: bool = False
    """Too short: the row says so and there is no recording."""

    @classmethod
    def of(cls, given: Recorded) -> Tape | None:
        if isinstance(given, Tape):
            return given
        if isinstance(given, dict):
            return cls(**given)
        return cls() if given else None


Recorded = bool | JsonObject | Tape


class Stage:
    def __init__(self, office: Office, log: CallLog, recordings: Recordings, mailboxes: Mailboxes) -> None:
        self._office = office
        self._log = log
        self._recordings = recordings
        self._mailboxes = mailboxes
        self._calls = 0
        self._rows = 0
        self._media = 0

    # Names

    def _ids(self, *, offset: int = 0) -> Ids:
        """A new session; `offset` places a twin that many numbers after the newest one."""
        self._calls += 1 if not offset else 0
        session = 600_000_000_000 + self._calls * _SESSION_STRIDE + offset
        return Ids(self._row_id(), str(session), f"s-a0{session:x}z0b{session % 977:04x}")

    def _row_id(self) -> str:
        self._rows += 1
        return f"SC{self._rows:09d}Aw"

    def _extension(self, number: str) -> Extension:
        return self._office.people.numbered(number)

    # Media

    def _record(self, tape: Tape, end_ms: int, seconds: int, made: Scripted) -> Attached:
        if tape.short:
            return Attached(short=True)
        self._media += 1
        recording = Recording(
            id=str(810_000_000_000 + self._media),
            duration_s=seconds,
            ready_ms=end_ms + round(tape.ready_after * SECOND),
            gone_ms=end_ms + tape.gone_after * SECOND,
            kind=tape.content,
            content_type=tape.content_type,
            size=tape.size,
            type=tape.kind,
        )
        self._recordings.by_id[recording.id] = recording
        made.recordings.append(recording.id)
        return Attached(recording=recording.reference())

    def _leave_message(self, message: Voicemail, made: Scripted) -> Attached:
        with self._office.lock:
            self._mailboxes.by_id[message.id] = message
        made.messages.append(str(message.id))
        return Attached(message=message.reference())

    def _message_id(self) -> int:
        self._media += 1
        return 400_000_000 + self._media

    # Rows

    def _put(
        self,
        made: Scripted,
        row: JsonObject,
        end_ms: int,
        appears_after: float | None,
        later: Iterable[tuple[int, JsonObject]] = (),
    ) -> None:
        """The row shows some seconds after the end of its call; `later` are further states of it."""
        lag = self._office.settings.row_lag_s if appears_after is None else appears_after
        visible_ms = end_ms + round(lag * SECOND)
        self._log.add(row, visible_ms, [(max(at_ms, visible_ms + 1), state) for at_ms, state in later])
        made.rows.append(row["id"])
        if row.get("telephonySessionId") and row["telephonySessionId"] not in made.sessions:
            made.sessions.append(row["telephonySessionId"])

    def add_row(
        self,
        *,
        visible_at: datetime | None = None,
        later: Iterable[tuple[datetime, JsonObject]] = (),
        **fields: Any,
    ) -> Scripted:
        """A row as given, completed to an accepted inbound call of a minute; None leaves a key out.

        It shows at once, or at `visible_at`; from each time in `later` on, the keys given there have other values.
        """
        ids, now_ms = self._ids(), self._office.now_ms()
        caller, agent = shapes.outsider(CALLER), self._extension("101")
        row = shapes.direct(ids, now_ms - 120 * SECOND, 60, caller, agent, "Accepted") | fields
        if "legs" not in fields:
            # The made-up leg follows what the row was told.
            told: JsonObject = {key: row[key] for key in _OF_THE_LEG if key in row}
            row["legs"] = [_without_none({**row["legs"][0], **told})]
        row = _without_none(row)
        states, state = [], row
        for at, changes in later:
            state = _without_none({**state, **changes})
            states.append((ms_of(at), state))
        made = Scripted()
        self._log.add(row, now_ms if visible_at is None else ms_of(visible_at), states)
        made.rows.append(row["id"])
        made.sessions += [row["telephonySessionId"]] if row.get("telephonySessionId") else []
        return made

    def change_row(self, row_id: str, *, at: datetime | None = None, **changes: Any) -> None:
        """From `at` (now, if it is not given) on the row has other values. None takes a key away."""
        self._log.change(row_id, self._office.now_ms() if at is None else ms_of(at), changes)

    def delete_row(self, row_id: str, *, at: datetime | None = None) -> None:
        self.change_row(row_id, at=at, deleted=True)


def _without_none(row: JsonObject) -> JsonObject:
    return {key: value for key, value in row.items() if value is not None}
