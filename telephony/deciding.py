"""What became of a call: judged over all rows and legs of its session, never over one of them.

Values of `result`, `reason` and `action` are those of RingCentral's OpenAPI file of 2026. The list grows from version to
version, so a value that stands in no table makes a call unclear instead of missed.
"""

from __future__ import annotations

import datetime as dt
import enum
from collections.abc import Iterable
from dataclasses import dataclass

from telephony.models import Call
from telephony.ringcentral.records import LogRow, Message, Party, Recording
from telephony.switchboard import Directory

Verdict = tuple[Call.Outcome, str]


class Result(enum.Enum):
    """What a value of `result` says about one row or leg."""

    ANSWERED = "answered"
    NOT_ANSWERED = "not answered"
    ELSEWHERE = "answered on another phone or by someone else"
    LIVE = "in progress"
    FAILED = "failed on the way"
    REFUSED = "refused by a rule, or nothing known"
    FAX = "fax"
    NONE = "no value"
    UNKNOWN = "a value that stands in no table"


IN_PROGRESS = "in progress"
NOT_ACCEPTED = "answered not accepted"
VOICEMAIL = frozenset({"voicemail", "sent to voicemail"})
BLOCKED = "blocked"
BLOCKED_REASON = "number blocked"
LOGIN = "phone login"
# The caller left before somebody could answer.
GAVE_UP = frozenset({"hang up", "abandoned"})

RESULTS: dict[Result, frozenset[str]] = {
    # The third: picked up on a forwarded phone, but not confirmed there; its voicemail can have picked up.
    Result.ANSWERED: frozenset({"accepted", "call connected", NOT_ACCEPTED}),
    Result.NOT_ANSWERED: VOICEMAIL
    | {"missed", "hang up", "rejected", "busy", "no answer", "declined", "abandoned", BLOCKED, "reply"}
    | {"callback requested"},
    Result.ELSEWHERE: frozenset({"stopped", "answered elsewhere"}),
    Result.LIVE: frozenset({IN_PROGRESS}),
    Result.FAILED: frozenset(
        {"call failed", "call failure", "internal error", "ip phone offline", "no calling credit"}
        | {"carrier is not active", "edge trunk misconfigured"}
    ),
    Result.REFUSED: frozenset(
        {"restricted number", "wrong number", "international disabled", "international restricted", "not allowed"}
        | {"suspended account", "unknown", "911", "933", LOGIN}
    ),
    Result.FAX: frozenset({"received", "sent", "partial receive", "receive error", "send error"}),
    Result.NONE: frozenset({""}),
}
_KINDS = {value: kind for kind, values in RESULTS.items() for value in values}

# Actions that are no conversation with a caller.
NO_CONVERSATION = frozenset(
    {"monitoring", "barge in call", "paging", LOGIN, "support", "e911 update", "conference call", "rc meetings"}
    | {"incoming fax", "outgoing fax"}
)
# Results that do not say whether somebody answered.
NO_VERDICT = frozenset({Result.REFUSED, Result.LIVE, Result.FAX})
# Legs of a supervisor who listens: they picked up, but did not answer the call.
OBSERVING = frozenset({"monitoring", "silentmonitoring", "barge in call"})


def result_of(value: str) -> Result:
    """The vendor's spelling varies in capitals only."""
    known = value.casefold()
    if known.startswith("fax "):
        return Result.FAX
    return _KINDS.get(known, Result.UNKNOWN)


@dataclass(frozen=True)
class Ring:
    """A leg, or a row without legs, with the extension it belongs to.

    `is_named`: the leg itself names the extension; otherwise the id is that of its party, which of a first leg can be the
    account's own number.
    """

    at: dt.datetime
    seconds: int | None
    direction: str
    kind: str
    action: str
    result: str
    reason: str
    caller: Party
    callee: Party
    extension_id: str
    is_named: bool
    recording: Recording | None
    message: Message | None

    @property
    def judged(self) -> Result:
        return result_of(self.result)

    @property
    def is_talk(self) -> bool:
        """Picked up, by whoever or whatever; a leg that a voicemail hangs on was picked up by the mailbox."""
        watches = self.action.casefold() in OBSERVING or self.kind.casefold() in OBSERVING
        recorded = self.message is not None and self.message.is_voicemail
        return self.judged is Result.ANSWERED and not watches and not recorded

    @property
    def is_forwarded(self) -> bool:
        """To a phone outside the account: the mobile of a person, an answering service."""
        return self.direction.casefold() == "outbound" and is_outside(self.callee)


def is_outside(party: Party) -> bool:
    """Not an extension of the account. A withheld caller, of whom nothing is told, is outside."""
    return not party.extension_id and not party.extension_number


@dataclass(frozen=True)
class Evidence:
    """All that is known of one call. `rows` and `rings` in order of time, without those that are no conversation.

    `told`: the rows whose result speaks for the call as a whole; of an outgoing call those to the outside number.
    """

    direction: Call.Direction
    is_internal: bool
    started_at: dt.datetime
    rows: tuple[LogRow, ...]
    told: tuple[LogRow, ...]
    rings: tuple[Ring, ...]
    directory: Directory

    @property
    def parts(self) -> list[LogRow | Ring]:
        return [*self.rows, *self.rings]

    @property
    def has_voicemail(self) -> bool:
        return any(part.message is not None and part.message.is_voicemail for part in self.parts)

    @property
    def results(self) -> list[str]:
        """All values of rows and rings, each once, in order of appearance."""
        return list(dict.fromkeys(part.result for part in self.parts if part.result))


# --- rows ---------------------------------------------------------------------------------------------------------------


def is_conversation(row: LogRow) -> bool:
    """Whether the row is about people who talk or want to: no fax, no supervisor listening, no announcement to all."""
    if row.type.casefold() == "fax" or result_of(row.result) is Result.FAX or row.result.casefold() == LOGIN:
        return False
    return row.action.casefold() not in NO_CONVERSATION


def is_in_progress(row: LogRow) -> bool:
    """Still going on: the vendor says so, or the row has neither a duration nor a result."""
    if row.is_finished is False or result_of(row.result) is Result.LIVE:
        return True
    is_open = row.duration is None or any(result_of(leg.result) is Result.LIVE for leg in row.legs)
    return is_open and not row.result and row.is_finished is None


# --- who picked up ------------------------------------------------------------------------------------------------------


def answering(evidence: Evidence) -> list[Ring]:
    """The rings that a person picked up, in order of time; empty when nobody did or nobody knows.

    A queue, menu or announcement picks up by itself and is no person.
    """
    talks = [ring for ring in evidence.rings if ring.is_talk]
    persons = [ring for ring in talks if _is_person(ring, evidence)]
    certain = [ring for ring in persons if ring.result.casefold() != NOT_ACCEPTED]
    if certain:
        return certain
    if persons and not evidence.has_voicemail and not _says_voicemail(evidence):
        return persons
    return _unnamed(talks, evidence)


def _is_person(ring: Ring, evidence: Evidence) -> bool:
    directory = evidence.directory
    if directory.knows(ring.extension_id):
        return not directory.is_machine(ring.extension_id) or ring.is_forwarded
    if ring.is_forwarded:
        return True
    # An unlisted extension that comes first, before others rang, can be a new queue.
    return ring.is_named and (ring != evidence.rings[0] or set(_rang(evidence)) <= {ring.extension_id})


def _unnamed(talks: list[Ring], evidence: Evidence) -> list[Ring]:
    """A call answered by somebody whom the log does not name: no extension rang, and the row says it was answered."""
    if _rang(evidence) or any(evidence.directory.knows(ring.extension_id) for ring in evidence.rings):
        return []
    says = {result_of(row.result) for row in evidence.told} - {Result.NONE}
    return [ring for ring in talks if not ring.is_named] if says <= {Result.ANSWERED} else []


def _rang(evidence: Evidence) -> list[str]:
    """Ids of the extensions of people that rang or answered, in order of time."""
    listed = evidence.directory
    found = (
        ring.extension_id
        for ring in evidence.rings
        if ring.extension_id
        and not listed.is_machine(ring.extension_id)
        and (ring.is_named or listed.knows(ring.extension_id))
    )
    return list(dict.fromkeys(found))


def _says_voicemail(evidence: Evidence) -> bool:
    return any(result.casefold() in VOICEMAIL for result in evidence.results)


# --- the verdict --------------------------------------------------------------------------------------------------------


def outcome_of(evidence: Evidence) -> Verdict:
    """The outcome and, in words, how it follows. No rows that are a conversation: no call."""
    if not evidence.rows:
        return Call.Outcome.NOT_A_CALL, "A fax, a login, or somebody listening in: no conversation with a caller."
    if any(is_in_progress(row) for row in evidence.rows):
        return Call.Outcome.IN_PROGRESS, "The call is still going on."
    if evidence.is_internal:
        return Call.Outcome.INTERNAL, "Both parties are extensions of the account."
    if evidence.direction == Call.Direction.OUTBOUND:
        return _outbound(evidence)
    answered = answering(evidence)
    return (Call.Outcome.ACCEPTED, _answered_words(answered, evidence)) if answered else _unanswered(evidence)


def _outbound(evidence: Evidence) -> Verdict:
    """Only what the row says of the number that was called: the own phone of a RingOut picks up in any case."""
    values = [row.result for row in evidence.told if row.result]
    values = values or [ring.result for ring in evidence.rings if ring.is_forwarded and ring.result]
    kinds = {result_of(value) for value in values}
    if Result.ANSWERED in kinds:
        return Call.Outcome.OUTBOUND, "The number that was called answered."
    if not values:
        return Call.Outcome.UNCLEAR, "The call log has no result for this call."
    if kinds & {Result.UNKNOWN, Result.ELSEWHERE} or "unknown" in {value.casefold() for value in values}:
        return Call.Outcome.UNCLEAR, f"The call log does not say whether the number was reached: {_listed(values)}."
    return Call.Outcome.OUTBOUND_FAILED, f"The number was not reached: {_listed(values)}."


def _unanswered(evidence: Evidence) -> Verdict:
    """No person picked up, as far as the log says."""
    words = _nobody_words(evidence)
    if evidence.has_voicemail:
        return Call.Outcome.VOICEMAIL, f"{words} The caller left a voicemail."
    if _says_voicemail(evidence):
        return Call.Outcome.VOICEMAIL, f"{words} The call went to voicemail; the log names no message."
    if _is_blocked(evidence):
        return Call.Outcome.BLOCKED, "The number is on the list of blocked callers."
    doubt = _doubt(evidence)
    return (Call.Outcome.UNCLEAR, doubt) if doubt else (Call.Outcome.MISSED, words)


def _is_blocked(evidence: Evidence) -> bool:
    """The row says so, or every single leg does: one person's block list does not block the caller for others."""

    def says(part: LogRow | Ring) -> bool:
        return part.result.casefold() == BLOCKED or part.reason.casefold() == BLOCKED_REASON

    told = [part for part in evidence.rings if part.result or part.reason]
    return any(says(row) for row in evidence.told if row.legs or len(evidence.rows) == 1) or (
        bool(told) and all(says(part) for part in told)
    )


def _doubt(evidence: Evidence) -> str:
    """Why a call that nobody is known to have answered may not be called missed; empty when it may."""
    unknown = [value for value in evidence.results if result_of(value) is Result.UNKNOWN]
    odd = [oddity for row in evidence.rows for oddity in row.oddities if oddity.endswith("legs")]
    kinds = {result_of(value) for value in evidence.results}
    stranger = next((ring for ring in evidence.rings if _is_stranger(ring, evidence)), None)
    checks = (
        (unknown, f"The call log gives a result that is not known here: {_listed(unknown)}."),
        (odd, "A part of the call log entry could not be read."),
        (_is_elsewhere(evidence), "Somebody else answered, but the call log lacks the row that says who."),
        (stranger, _stranger_words(stranger)),
        (_is_contradiction(evidence), "The row says that the call was answered, but none of its legs says by whom."),
        (not kinds, "The call log has no result for this call."),
        (kinds <= NO_VERDICT, f"The call log gives only {_listed(evidence.results)} as its result."),
    )
    return next((words for applies, words in checks if applies), "")


def _is_stranger(ring: Ring, evidence: Evidence) -> bool:
    return ring.is_talk and ring.is_named and not evidence.directory.knows(ring.extension_id)


def _stranger_words(ring: Ring | None) -> str:
    number = ring.extension_id if ring else ""
    return f"Extension {number} picked up, which is not in the list of extensions: it can be a person or a queue."


def _is_elsewhere(evidence: Evidence) -> bool:
    """“Stopped” legs below a row that says missed are phones that fell silent when the caller left."""
    told = {result_of(row.result) for row in evidence.rows if row.legs}
    final = told and told <= {Result.NOT_ANSWERED, Result.FAILED}
    values = [row.result for row in evidence.rows] if final else evidence.results
    parts = {value.casefold() for value in values if result_of(value) is Result.ELSEWHERE}
    return bool(parts) or "answered elsewhere" in {value.casefold() for value in evidence.results}


def _is_contradiction(evidence: Evidence) -> bool:
    """Answered according to the row, while no leg was, or only a queue of which no member's phone is listed."""
    if not any(result_of(row.result) is Result.ANSWERED for row in evidence.told):
        return False
    talks = [ring for ring in evidence.rings if ring.is_talk]
    if not talks:
        return True
    queued = any(evidence.directory.is_queue(ring.extension_id) for ring in talks)
    return queued and not _rang(evidence)


# --- words --------------------------------------------------------------------------------------------------------------


def _answered_words(answered: list[Ring], evidence: Evidence) -> str:
    names = list(dict.fromkeys(_name(ring, evidence) for ring in answered))
    waited = round((answered[0].at - evidence.started_at).total_seconds())
    after = f" after {waited} s" if waited > 0 else ""
    then = "".join(f", then by {name}" for name in names[1:])
    talked = {ring.extension_id for ring in answered}
    others = len([extension for extension in _rang(evidence) if extension not in talked])
    rang = f"; {others} other {_extensions(others)} rang" if others else ""
    unsure = " It was picked up but not confirmed there." if answered[0].result.casefold() == NOT_ACCEPTED else ""
    return f"Answered by {names[0]}{after}{then}{rang}.{unsure}"


def _name(ring: Ring, evidence: Evidence) -> str:
    directory = evidence.directory
    if ring.extension_id and not directory.is_machine(ring.extension_id):
        name = directory.label(ring.extension_id)
        return f"{name} on a forwarded phone" if ring.is_forwarded else name
    return "a forwarded phone" if ring.is_forwarded else "somebody whom the call log does not name"


def _nobody_words(evidence: Evidence) -> str:
    rang = _rang(evidence)
    if rang:
        return f"Nobody answered: {len(rang)} {_extensions(len(rang))} rang{_why(evidence)}."
    directory = evidence.directory
    machines = list(dict.fromkeys(r.extension_id for r in evidence.rings if directory.is_machine(r.extension_id)))
    queues = [machine for machine in machines if directory.is_queue(machine)]
    if queues:
        return f"Nobody answered: the caller waited in {_labels(queues, evidence)} and left{_why(evidence)}."
    menus = [machine for machine in machines if directory.is_menu(machine)]
    if menus:
        return f"The caller hung up in the menu ({_labels(menus, evidence)}) before any phone rang."
    if machines:
        return f"The caller reached only {_labels(machines, evidence)}; no phone rang."
    if any(value.casefold() in GAVE_UP for value in evidence.results):
        return f"The caller hung up on the main line or in its menu: no extension rang{_why(evidence)}."
    return f"Nobody answered: the call log names no extension that rang{_why(evidence)}."


def _why(evidence: Evidence) -> str:
    """The results that say more than that nobody answered."""
    plain = {"missed", "no answer", *VOICEMAIL}
    values = [
        value
        for value in evidence.results
        if value.casefold() not in plain and result_of(value) in (Result.NOT_ANSWERED, Result.FAILED)
    ]
    return f" ({_listed(values)})" if values else ""


def _labels(extension_ids: Iterable[str], evidence: Evidence) -> str:
    return ", ".join(evidence.directory.label(extension_id) for extension_id in extension_ids)


def _listed(values: Iterable[str]) -> str:
    return ", ".join(dict.fromkeys(f"“{value[:60]}”" for value in values))


def _extensions(count: int) -> str:
    return "extension" if count == 1 else "extensions"
