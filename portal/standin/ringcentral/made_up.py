"""Made-up calls of the last days: each row follows from its position, its content made only when somebody looks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from portal.standin.messages import JsonObject
from portal.standin.ringcentral import shapes
from portal.standin.ringcentral.log import CallLog, Content, Entry
from portal.standin.ringcentral.mailbox import Mailboxes, Voicemail
from portal.standin.ringcentral.people import FAX_DESK, Extension
from portal.standin.ringcentral.recordings import Recording, Recordings
from portal.standin.ringcentral.settings import Office
from portal.standin.ringcentral.shapes import NOTHING, Attached, Ids
from portal.standin.ringcentral.times import DAY, MINUTE, SECOND
from portal.standin.seed import Dice

SPREAD_MS = 7 * DAY
_LATEST_MS = 15 * MINUTE
"""The youngest call began this long ago, so that every call is over and its row is there."""
_AREAS = ("512", "503", "303", "617", "312", "305", "408", "206")
_KINDS = (("accepted", 55), ("missed", 20), ("voicemail", 8), ("outbound", 12))
_ODDITIES = ("internal", "fax", "anonymous", "masked", "menu", "blocked", "conference")
_SECONDS = {
    "accepted": (30, 600),
    "missed": (10, 45),
    "voicemail": (40, 90),
    "outbound": (20, 400),
    "internal": (20, 300),
}
_BRIEF = (10, 60)
_TRANSCRIPTS = (
    "Hi, I need a quote for a two bedroom move next month. Please call me back.",
    "Hello, we spoke last week about the storage unit. Can you call me?",
    "This is about the delivery window on Friday. Thank you.",
    "",
)

LeadNumber = Callable[[int], str | None]
"""The number of some lead in the CRM (by a position of any size) as E.164, None when that lead has none."""


class MadeUpCalls:
    def __init__(
        self,
        office: Office,
        log: CallLog,
        recordings: Recordings,
        mailboxes: Mailboxes,
        count: int,
        seed: int,
        lead_number: LeadNumber,
    ) -> None:
        self._office = office
        self._log = log
        self._recordings = recordings
        self._mailboxes = mailboxes
        self._count = count
        self._lead_number = lead_number
        self._filled = False
        self._numbers: list[str] = []
        self._first_ms = 0
        dice = Dice(seed + 77)
        self._lot = dice.between("kind", 0, 99)
        self._length, self._jitter = dice.number("length"), dice.number("jitter")
        self._agent, self._queue = dice.number("agent"), dice.number("queue")
        self._is_queued, self._is_recorded = dice.chance("queued", 500), dice.chance("recorded", 500)
        self._is_known, self._lead, self._stranger = (
            dice.chance("known", 600),
            dice.number("lead"),
            dice.number("stranger"),
        )
        self._connects, self._odd, self._text = dice.chance("connects", 700), dice.number("odd"), dice.number("text")
        self._rings_again = dice.chance("again", 250)

    def fill(self) -> None:
        """On the first look, so that the calls lie before the clock that a test may have set until then."""
        if self._filled:
            return
        self._filled = True
        self._first_ms = self._office.now_ms() - SPREAD_MS
        # Kept, not computed later: a lead whose number somebody edits does not change who called.
        self._numbers = list(self._callers())
        self._log.add_many(self._entries())

    def _entries(self) -> Iterator[tuple[Entry, int, Content]]:
        for index in range(self._count):
            kind = self._kind(index)
            direction = "Outbound" if kind in ("outbound", "internal") else "Inbound"
            start_ms, seconds = self._start_ms(index), self._seconds(index)
            end_ms = start_ms + seconds * SECOND
            if kind == "accepted" and self._is_recorded(index):
                tape = Recording(str(820_000_000_000 + index), seconds, end_ms + 30 * SECOND)
                self._recordings.by_id[tape.id] = tape
            if kind == "voicemail":
                self._leave_message(index, end_ms)
            entry = Entry(f"MU{index:09d}Bw", start_ms, "Fax" if kind == "fax" else "Voice", direction)
            yield entry, end_ms + 20 * SECOND, partial(self._row, index)

    def _kind(self, index: int) -> str:
        lot = self._lot(index)
        for kind, share in _KINDS:
            if lot < share:
                return kind
            lot -= share
        return _ODDITIES[self._odd(index) % len(_ODDITIES)]

    def _start_ms(self, index: int) -> int:
        step = max(1, (SPREAD_MS - _LATEST_MS) // self._count)
        return self._first_ms + index * step + self._jitter(index) % step

    def _seconds(self, index: int) -> int:
        low, high = _SECONDS.get(self._kind(index), _BRIEF)
        return low + self._length(index) % (high - low + 1)

    def _leave_message(self, index: int, end_ms: int) -> None:
        text = _TRANSCRIPTS[self._text(index) % len(_TRANSCRIPTS)]
        message = Voicemail(
            id=420_000_000 + index,
            extension=self._ring(index) or self._taken_by(index),
            caller=shapes.outsider(self._numbers[index]),
            created_ms=end_ms,
            duration_s=max(3, self._seconds(index) - 30),
            transcript=text,
            transcript_ms=end_ms + MINUTE,
        )
        self._mailboxes.by_id[message.id] = message

    def _ring(self, index: int) -> Extension | None:
        queues = self._office.people.queues
        return queues[self._queue(index) % len(queues)] if self._is_queued(index) else None

    def _taken_by(self, index: int) -> Extension:
        ring, people = self._ring(index), self._office.people
        group = list(people.members(ring)) if ring else people.agents
        return group[self._agent(index) % len(group)]

    def _callers(self) -> Iterator[str]:
        """Outbound calls, and some of those who are answered, are about the caller who was missed last."""
        missed: list[str] = []
        for index in range(self._count):
            kind = self._kind(index)
            is_return = kind == "outbound" or (kind == "accepted" and self._rings_again(index))
            number = missed[-1] if is_return and missed else self._caller_of(index)
            if kind in ("missed", "voicemail"):
                missed.append(number)
            elif is_return and missed and (kind == "accepted" or self._connects(index)):
                missed.pop()
            yield number

    def _caller_of(self, index: int) -> str:
        known = self._lead_number(self._lead(index)) if self._is_known(index) else None
        roll = self._stranger(index)
        return known or f"+1{_AREAS[roll % len(_AREAS)]}{2_000_000 + roll // 8 % 7_999_993:07d}"

    def _row(self, index: int) -> JsonObject:
        session = 500_000_000_000 + index * 10_000
        ids = Ids(f"MU{index:09d}Bw", str(session), f"s-a1{session:x}z1b{session % 977:04x}")
        start_ms, seconds, kind = self._start_ms(index), self._seconds(index), self._kind(index)
        agent, caller = self._taken_by(index), shapes.outsider(self._numbers[index])
        if kind in ("accepted", "missed", "voicemail"):
            result = {"accepted": "Accepted", "missed": "Missed", "voicemail": "Voicemail"}[kind]
            ring, media = self._ring(index), self._attached(index)
            if ring is None:
                return shapes.direct(ids, start_ms, seconds, caller, agent, result, media)
            answered = agent if kind == "accepted" else None
            rung = self._office.people.members(ring)
            return shapes.queued(ids, start_ms, seconds, caller, ring, rung, answered, result, media)
        if kind == "outbound":
            result = "Call connected" if self._connects(index) else "No Answer"
            return shapes.outgoing(ids, start_ms, seconds, agent, caller, result)
        return self._odd_row(kind, ids, start_ms, seconds, agent, caller)

    def _attached(self, index: int) -> Attached:
        tape = self._recordings.by_id.get(str(820_000_000_000 + index))
        message = self._mailboxes.by_id.get(420_000_000 + index)
        if tape is None and message is None:
            return NOTHING
        return Attached(tape.reference() if tape else None, message.reference() if message else None)

    def _odd_row(
        self, kind: str, ids: Ids, start_ms: int, seconds: int, agent: Extension, caller: JsonObject
    ) -> JsonObject:
        if kind == "internal":
            others = [other for other in self._office.people.agents if other != agent]
            other = others[seconds % len(others)]
            return shapes.internal(ids, start_ms, seconds, agent, other, "Call connected")
        if kind == "fax":
            return shapes.fax(ids, start_ms, seconds, caller, self._office.people.numbered(FAX_DESK), "Received")
        if kind == "menu":
            return shapes.menu(ids, start_ms, seconds, caller, "Hang Up")
        if kind == "anonymous":
            caller = shapes.outsider(None)
        if kind == "masked":
            caller = {**caller, "phoneNumber": f"{caller['phoneNumber'][:-4]}XXXX"}
        result = "Blocked" if kind == "blocked" else "Accepted"
        row = shapes.direct(ids, start_ms, seconds, caller, agent, result)
        return {**row, "sessionId": "0", "action": "Conference Call"} if kind == "conference" else row
