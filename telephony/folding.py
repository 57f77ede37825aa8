"""All rows of one telephone call become one call. Pure: no database, no clock, and no difference by the order of rows.

A call can be several rows (one for each extension that rang), several sessions (a warm transfer), or two rows of two
sessions for one RingOut: first the own phone rings, then the number.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from telephony.deciding import Evidence, Ring, answering, is_conversation, is_outside, outcome_of, result_of
from telephony.models import Call
from telephony.ringcentral.records import Leg, LogRow, Message, Party, Recording
from telephony.switchboard import Directory, Entry

__all__ = ["Directory", "Entry", "FoldedCall", "Medium", "fold", "group", "twins"]

RINGOUT = "ringout"
# RingCentral's own widgets join the two rows of a RingOut by these: session numbers 1000 to 4000 apart.
TWIN_SESSIONS = range(1000, 4001)
TWIN_APART = dt.timedelta(seconds=60)
# A row without legs and a leg of another row are the same ring when they start so close together.
SAME_RING = dt.timedelta(seconds=2)
# Legs that take a call further; as rows of their own they do not say who called whom.
FORWARDING = frozenset({"findme", "followme", "hunting", "sip forwarding"})
LONGEST = 2**31 - 1
Bearer = tuple[dt.datetime, str, Recording | None, Message | None]
EARLIEST = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass(frozen=True)
class Medium:
    """A recording or voicemail of a call. `uri`: of the recording's content, or of the message in its `mailbox`."""

    id: str
    uri: str
    kind: str
    at: dt.datetime
    extension_id: str
    mailbox: str = ""
    is_voicemail: bool = False

    def source(self) -> dict[str, str]:
        """As JSON, for `CallStep.source`: id, kind, at, extension_id, and content_uri or uri with mailbox."""
        shared = {"id": self.id, "kind": self.kind, "at": self.at.isoformat(), "extension_id": self.extension_id}
        if self.is_voicemail:
            return shared | {"uri": self.uri, "mailbox": self.mailbox}
        return shared | {"content_uri": self.uri}


@dataclass(frozen=True)
class FoldedCall:
    """One call. Extension ids are RingCentral's; `keys` are the session keys of its rows, the first in time first.

    `legs` are JSON-ready: at, seconds, kind, action, direction, result, reason, extension_id, extension (label), from, to,
    recording, voicemail, answered. `total_seconds` runs from the first ring to the last end, `talk_seconds` from the
    answer to the end of the last talk; both None while the call goes on. `unknown_ids` are extensions that the directory
    does not list. `is_deleted`: RingCentral's log shows none of its rows any more.
    """

    keys: tuple[str, ...]
    direction: Call.Direction
    outcome: Call.Outcome
    outcome_reason: str
    started_at: dt.datetime
    ended_at: dt.datetime | None
    total_seconds: int | None
    talk_seconds: int | None
    number_told: str
    name_told: str
    location_told: str
    line: str
    extension_id: str
    answered_by_id: str
    extension_ids: list[str]
    legs: list[dict[str, Any]]
    recordings: tuple[Medium, ...]
    voicemails: tuple[Medium, ...]
    is_short_recording: bool
    is_deleted: bool
    unknown_ids: tuple[str, ...]
    digest: str

    @property
    def key(self) -> str:
        return self.keys[0]

    @property
    def is_linked(self) -> bool:
        return len(self.keys) > 1

    @property
    def is_in_progress(self) -> bool:
        return self.outcome == Call.Outcome.IN_PROGRESS


# --- which rows are one call --------------------------------------------------------------------------------------------


def group(rows: Sequence[LogRow]) -> list[list[LogRow]]:
    """The rows of each call: those of a session, of sessions tied by a transfer, and RingOut twins.

    Every row stands in exactly one list, also a repeated one; lists and rows are in order of time.
    """
    joined = _Union()
    for row in rows:
        joined.join(row.session_key, *row.linked)
    for inbound, outbound in twins(rows):
        joined.join(inbound.session_key, outbound.session_key)
    groups: dict[str, list[LogRow]] = {}
    for row in sorted(rows, key=_in_time):
        groups.setdefault(joined.root(row.session_key), []).append(row)
    return list(groups.values())


class _Union:
    """Sets that only grow together."""

    def __init__(self) -> None:
        self._above: dict[str, str] = {}

    def root(self, key: str) -> str:
        self._above.setdefault(key, key)
        while self._above[key] != key:
            self._above[key] = self._above[self._above[key]]
            key = self._above[key]
        return key

    def join(self, first: str, *others: str) -> None:
        for other in others:
            self._above[self.root(other)] = self.root(first)


def _in_time(row: LogRow) -> tuple[dt.datetime, str, str]:
    return row.started_at or EARLIEST, row.id, repr(row)


def twins(rows: Iterable[LogRow]) -> list[tuple[LogRow, LogRow]]:
    """Pairs of an inbound and an outbound row that are one RingOut of two sessions."""
    by_number: dict[tuple[str, ...], list[LogRow]] = {}
    for row in rows:
        pair = _pair(row)
        if pair and row.session_id.isascii() and row.session_id.isdigit() and row.session_id != "0":
            by_number.setdefault(pair, []).append(row)
    return [
        (inbound, outbound)
        for candidates in by_number.values()
        for inbound in candidates
        if inbound.direction.casefold() == "inbound"
        for outbound in candidates
        if _is_twin(inbound, outbound) and abs(int(inbound.session_id) - int(outbound.session_id)) in TWIN_SESSIONS
    ]


def _is_twin(inbound: LogRow, outbound: LogRow) -> bool:
    """Opposite directions, the same two numbers, begun together, and started by a click."""
    return (
        inbound.direction.casefold() == "inbound"
        and outbound.direction.casefold() == "outbound"
        and RINGOUT in (_action(inbound), _action(outbound))
        and _pair(inbound) == _pair(outbound) != ()
        and inbound.started_at is not None
        and outbound.started_at is not None
        and abs(inbound.started_at - outbound.started_at) <= TWIN_APART
    )


def _action(row: LogRow) -> str:
    return RINGOUT if row.action.casefold().startswith(RINGOUT) else row.action.casefold()


def _pair(row: LogRow) -> tuple[str, ...]:
    """Both numbers in one order whoever called; empty when one is missing."""
    numbers = sorted(_digits(party) for party in (row.caller, row.callee))
    return tuple(numbers) if all(numbers) else ()


def _digits(party: Party) -> str:
    """Comparable digits; a masked number is comparable to none."""
    told = party.told
    if "x" in told.casefold():
        return ""
    digits = "".join(letter for letter in told if letter.isdigit())
    # With and without the country code of North America.
    return digits[1:] if len(digits) == 11 and digits.startswith("1") else digits


# --- one call -----------------------------------------------------------------------------------------------------------


def fold(rows: Sequence[LogRow], directory: Directory) -> FoldedCall:
    """The call that the rows of one group are. Raises ValueError when no row says when it was."""
    current = _current(rows)
    if not current:
        raise ValueError("There is no row with a start to fold.")
    talks = tuple(row for row in current if is_conversation(row))
    main = _principal(talks or current)
    direction = _direction(main)
    is_internal = not _is_external(main)
    toward_us = is_internal or direction == Call.Direction.INBOUND
    evidence = Evidence(
        direction=direction,
        is_internal=is_internal,
        started_at=_start(_rings(current, toward_us=toward_us), current),
        rows=talks,
        told=_speaking(talks, direction),
        rings=_rings(talks, toward_us=toward_us),
        directory=directory,
    )
    return _folded(current, main, evidence, _rings(current, toward_us=toward_us))


def _folded(rows: tuple[LogRow, ...], main: LogRow, evidence: Evidence, rings: tuple[Ring, ...]) -> FoldedCall:
    outcome, reason = outcome_of(evidence)
    is_over = outcome != Call.Outcome.IN_PROGRESS
    ended_at = _end(rings, rows) if is_over else None
    talking = _talking(evidence, outcome)
    answered_by = _last_person(talking, evidence) if evidence.direction == Call.Direction.INBOUND else ""
    outside = _outside_parties(main, evidence.rows or rows)
    own = main.callee if evidence.direction == Call.Direction.INBOUND else main.caller
    ids = _extension_ids(rows, rings)
    call = FoldedCall(
        keys=tuple(dict.fromkeys(row.session_key for row in rows)),
        direction=evidence.direction,
        outcome=outcome,
        outcome_reason=reason,
        started_at=evidence.started_at,
        ended_at=ended_at,
        total_seconds=_span(evidence.started_at, ended_at),
        talk_seconds=_talk_seconds(talking, ended_at),
        number_told=_first(party.told for party in outside)[:60],
        name_told=_first(party.name for party in outside)[:120],
        location_told=_first(party.location for party in outside)[:120],
        line=own.told[:60],
        extension_id=answered_by or _first_extension(main, evidence, ids),
        answered_by_id=answered_by,
        extension_ids=ids,
        legs=[_leg_json(ring, evidence.directory, answered=ring in talking) for ring in rings],
        recordings=_recordings(rows, rings),
        voicemails=_voicemails(rows, rings),
        is_short_recording=any(row.is_short_recording for row in rows),
        is_deleted=all(row.is_deleted for row in rows),
        unknown_ids=tuple(found for found in ids if not evidence.directory.knows(found)),
        digest="",
    )
    return replace(call, digest=_digest(call))


def _current(rows: Iterable[LogRow]) -> tuple[LogRow, ...]:
    """The newest state of each row, in order of time. A deleted row of which only the id came says nothing."""
    newest: dict[str, LogRow] = {}
    for row in sorted(rows, key=lambda row: (row.modified_at or EARLIEST, repr(row))):
        if row.started_at is not None:
            newest[row.id] = row
    return tuple(sorted(newest.values(), key=_in_time))


# --- who called whom ----------------------------------------------------------------------------------------------------


def _is_external(row: LogRow) -> bool:
    return is_outside(row.callee if _direction(row) == Call.Direction.OUTBOUND else row.caller)


def _direction(row: LogRow) -> Call.Direction:
    """The row's own; without one, who is outside: legs never say it, a forwarded call has outbound ones."""
    told = row.direction.casefold()
    if told in Call.Direction.values:
        return Call.Direction(told)
    is_ours = is_outside(row.callee) and not is_outside(row.caller)
    return Call.Direction.OUTBOUND if is_ours else Call.Direction.INBOUND


def _principal(rows: Sequence[LogRow]) -> LogRow:
    """The row that says who called whom: the first one with an outside party that is no mere part of a RingOut."""
    outbound = [row for row in rows if _direction(row) == Call.Direction.OUTBOUND]
    others = [row for row in rows if not any(_is_twin(row, twin) for twin in outbound)]
    leading = [row for row in others if row.action.casefold() not in FORWARDING] or others or list(rows)
    return min(leading, key=_leading_order)


def _leading_order(row: LogRow) -> tuple[bool, dt.datetime, bool, bool, str]:
    is_outbound = _direction(row) == Call.Direction.OUTBOUND
    # The row of the number that was dialled comes before those of the extensions it rang.
    return not _is_external(row), row.started_at or EARLIEST, is_outbound, bool(row.extension_id), row.id


def _speaking(rows: tuple[LogRow, ...], direction: Call.Direction) -> tuple[LogRow, ...]:
    """Rows whose result is that of the call: of an outgoing one not that of the own phone or of a consultation."""
    if direction == Call.Direction.INBOUND:
        return rows
    return tuple(row for row in rows if _direction(row) == direction and _is_external(row))


def _outside_parties(main: LogRow, rows: tuple[LogRow, ...]) -> list[Party]:
    """The other party as the main row gives it, then as other rows of the same direction do."""
    direction = _direction(main)
    same = [row for row in rows if _direction(row) == direction and _is_external(row) == _is_external(main)]
    return [row.callee if direction == Call.Direction.OUTBOUND else row.caller for row in (main, *same)]


def _first(values: Iterable[str]) -> str:
    return next((value for value in values if value), "")


# --- legs ---------------------------------------------------------------------------------------------------------------


def _rings(rows: Iterable[LogRow], *, toward_us: bool) -> tuple[Ring, ...]:
    """The legs of all rows in order of time, each once. A row without legs is one, unless another row has it as leg."""
    found: set[Ring] = set()
    whole: list[Ring] = []
    for row in rows:
        rings = [_ring(leg, row, toward_us=toward_us) for leg in row.legs]
        found.update(rings)
        if not rings or (row.extension_id and row.extension_id not in {ring.extension_id for ring in rings}):
            whole.append(_row_ring(row, toward_us=toward_us))
    distinct = {ring for ring in found if not any(_says_more(other, ring) for other in found)}
    for ring in sorted(whole, key=_ring_order):
        if not any(_is_same_ring(ring, other) for other in distinct):
            distinct.add(ring)
    return tuple(sorted(distinct, key=_ring_order))


def _ring_order(ring: Ring) -> tuple[dt.datetime, str]:
    return ring.at, repr(ring)


def _ring(leg: Leg, row: LogRow, *, toward_us: bool) -> Ring:
    extension_id, is_named = _extension_of(leg, row, toward_us=toward_us)
    return Ring(
        at=leg.started_at or row.started_at or EARLIEST,
        seconds=leg.duration,
        direction=leg.direction or row.direction,
        kind=leg.leg_type,
        action=leg.action,
        result=leg.result,
        reason=leg.reason,
        caller=leg.caller,
        callee=leg.callee,
        extension_id=extension_id,
        is_named=is_named,
        recording=leg.recording,
        message=leg.message,
    )


def _row_ring(row: LogRow, *, toward_us: bool) -> Ring:
    whole = Leg(
        started_at=row.started_at, duration=row.duration, direction=row.direction, action=row.action, leg_type="",
        result=row.result, reason=row.reason, caller=row.caller, callee=row.callee, extension_id=row.extension_id,
        recording=row.recording, message=row.message, session=row.telephony_session_id, is_master=False,
    )  # fmt: skip
    return _ring(whole, replace(row, legs=(whole,)), toward_us=toward_us)


def _says_more(one: Ring, other: Ring) -> bool:
    """The same leg, in another row, with an extension or with one that is named."""
    if replace(one, extension_id="", is_named=False) != replace(other, extension_id="", is_named=False):
        return False
    if one.extension_id != other.extension_id:
        return not other.extension_id
    return one.is_named and not other.is_named


def _is_same_ring(one: Ring, other: Ring) -> bool:
    same = (one.extension_id, result_of(one.result)) == (other.extension_id, result_of(other.result))
    return same and abs(one.at - other.at) <= SAME_RING


def _extension_of(leg: Leg, row: LogRow, *, toward_us: bool) -> tuple[str, bool]:
    """The extension of a leg and whether the leg (not only its party) names it.

    A leg to a colleague belongs to the colleague who picked it up. The only leg of a row belongs to the row's extension,
    and where a secretary took the call, to the one who really handled it.
    """
    is_outbound = leg.direction.casefold() == "outbound"
    is_lone = len(row.legs) == 1
    if is_outbound and toward_us and leg.callee.extension_id:
        return leg.callee.extension_id, True
    if is_lone and row.delegate_id:
        return row.delegate_id, True
    if leg.extension_id:
        return leg.extension_id, True
    own = leg.caller if is_outbound else leg.callee
    if own.extension_id or not is_lone:
        return own.extension_id, False
    if row.extension_id:
        return row.extension_id, True
    own = row.caller if _direction(row) == Call.Direction.OUTBOUND else row.callee
    return own.extension_id, False


def _leg_json(ring: Ring, directory: Directory, *, answered: bool) -> dict[str, Any]:
    voicemail = ring.message if ring.message and ring.message.is_voicemail else None
    return {
        "at": ring.at.isoformat(),
        "seconds": ring.seconds,
        "kind": ring.kind,
        "action": ring.action,
        "direction": ring.direction,
        "result": ring.result,
        "reason": ring.reason,
        "extension_id": ring.extension_id,
        "extension": directory.label(ring.extension_id),
        "from": ring.caller.told,
        "to": ring.callee.told,
        "recording": ring.recording.id if ring.recording else "",
        "voicemail": voicemail.id if voicemail else "",
        "answered": answered,
    }


# --- people -------------------------------------------------------------------------------------------------------------


def _talking(evidence: Evidence, outcome: Call.Outcome) -> list[Ring]:
    """The rings in which somebody talks with the other party."""
    if outcome in (Call.Outcome.ACCEPTED, Call.Outcome.INTERNAL):
        return answering(evidence)
    if outcome != Call.Outcome.OUTBOUND:
        return []
    reached = [ring for ring in evidence.rings if ring.is_talk and ring.is_forwarded]
    return reached or [ring for ring in evidence.rings if ring.is_talk]


def _last_person(talking: Sequence[Ring], evidence: Evidence) -> str:
    """After a transfer the one who talked last. A phone outside the account has no extension."""
    persons = [ring for ring in talking if ring.extension_id and not evidence.directory.is_machine(ring.extension_id)]
    return persons[-1].extension_id if persons else ""


def _first_extension(main: LogRow, evidence: Evidence, ids: list[str]) -> str:
    """Without an answer: of an outgoing call the one who called; else the first person's or queue's phone that rang."""
    if evidence.direction == Call.Direction.OUTBOUND:
        return _row_ring(main, toward_us=False).extension_id or _first(ids)
    directory = evidence.directory
    rang = [ring.extension_id for ring in evidence.rings if ring.extension_id]
    wanted = (found for found in rang if directory.is_queue(found) or not directory.is_machine(found))
    return _first(wanted) or _first(ids)


def _extension_ids(rows: Iterable[LogRow], rings: Iterable[Ring]) -> list[str]:
    """All extensions involved, in order of time."""
    dated = [(ring.at, ring.extension_id) for ring in rings]
    for row in rows:
        at = row.started_at or EARLIEST
        parties = (row.callee, row.caller)
        dated += [(at, found) for found in (row.extension_id, row.delegate_id, *(p.extension_id for p in parties))]
    return list(dict.fromkeys(found for _, found in sorted(dated, key=lambda one: one[0]) if found))


# --- times --------------------------------------------------------------------------------------------------------------


def _start(rings: Iterable[Ring], rows: Iterable[LogRow]) -> dt.datetime:
    return min([ring.at for ring in rings] + [row.started_at for row in rows if row.started_at])


def _end(rings: Iterable[Ring], rows: Iterable[LogRow]) -> dt.datetime | None:
    ends = [ring.at + dt.timedelta(seconds=ring.seconds) for ring in rings if ring.seconds is not None]
    ends += [
        row.started_at + dt.timedelta(seconds=row.duration)
        for row in rows
        if row.started_at is not None and row.duration is not None
    ]
    return max(ends, default=None)


def _span(start: dt.datetime, end: dt.datetime | None) -> int | None:
    return None if end is None else min(max(round((end - start).total_seconds()), 0), LONGEST)


def _talk_seconds(talking: Sequence[Ring], ended_at: dt.datetime | None) -> int | None:
    """From the first answer to the end of the last talk; 0 when nobody talked, None when the end is not known."""
    if ended_at is None:
        return None
    if not talking:
        return 0
    is_open = any(ring.seconds is None for ring in talking)
    return _span(talking[0].at, ended_at if is_open else _end(talking, ()))


# --- media --------------------------------------------------------------------------------------------------------------


def _recordings(rows: Iterable[LogRow], rings: Iterable[Ring]) -> tuple[Medium, ...]:
    return _each_once(
        Medium(found.id, found.content_uri, found.kind, at, extension_id)
        for at, extension_id, found, _ in _bearers(rows, rings)
        if found
    )


def _voicemails(rows: Iterable[LogRow], rings: Iterable[Ring]) -> tuple[Medium, ...]:
    return _each_once(
        Medium(found.id, found.uri, found.kind, at, extension_id, found.mailbox, is_voicemail=True)
        for at, extension_id, _, found in _bearers(rows, rings)
        if found and found.is_voicemail
    )


def _bearers(rows: Iterable[LogRow], rings: Iterable[Ring]) -> Iterator[Bearer]:
    """What rows and legs carry, with when it began and whose leg it was."""
    yield from ((ring.at, ring.extension_id, ring.recording, ring.message) for ring in rings)
    yield from ((row.started_at or EARLIEST, "", row.recording, row.message) for row in rows)


def _each_once(media: Iterable[Medium]) -> tuple[Medium, ...]:
    """Rows and legs repeat the same id: the one that says most and came first stays, in order of time."""
    kept: dict[str, Medium] = {}
    for medium in sorted(media, key=lambda one: (not one.uri, not one.extension_id, one.at, repr(one))):
        kept.setdefault(medium.id, medium)
    return tuple(sorted(kept.values(), key=lambda one: (one.at, one.id)))


# --- digest -------------------------------------------------------------------------------------------------------------


def _digest(call: FoldedCall) -> str:
    """Of what a note, a status and the media depend on. Names from the directory are left out: they change by a sync."""
    content = [
        call.keys, call.direction, call.outcome, call.started_at.isoformat(),
        call.ended_at.isoformat() if call.ended_at else None, call.total_seconds, call.talk_seconds,
        call.number_told, call.name_told, call.location_told, call.line, call.extension_id, call.answered_by_id,
        call.extension_ids, [{**leg, "extension": ""} for leg in call.legs],
        [medium.id for medium in call.recordings], [medium.id for medium in call.voicemails], call.is_short_recording,
    ]  # fmt: skip
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
