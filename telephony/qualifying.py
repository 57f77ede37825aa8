"""Whether a call is processed, and what may be written for it: the first rule that stops it is named."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from dataclasses import dataclass

from django.utils import timezone

from telephony import office_hours
from telephony.assignment import Assigner
from telephony.exclusions import Exclusions
from telephony.mapping import Mappings
from telephony.models import Call, CallRule, Office
from telephony.reasons import IN_PROGRESS, NEVER_ENDED, NEW_LEAD, UNCLEAR, UNTOLD

Action = CallRule.Action
Outcome = Call.Outcome

# A call that RingCentral calls unfinished after so long is not waited for any more: its last row has got lost.
LONGEST_CALL = dt.timedelta(days=7)
_STOPPED_BY_OUTCOME = {
    Outcome.INTERNAL: "INTERNAL",
    Outcome.BLOCKED: "BLOCKED",
    Outcome.NOT_A_CALL: "NOT_A_CALL",
    Outcome.IN_PROGRESS: IN_PROGRESS,
    Outcome.UNCLEAR: UNCLEAR,
}
_INBOUND = (Outcome.ACCEPTED, Outcome.MISSED, Outcome.VOICEMAIL)


@dataclass(frozen=True)
class Verdict:
    """`code` is empty when the call is processed; `reason` is a sentence either way."""

    action: str
    with_media: bool
    code: str
    reason: str

    @property
    def is_processed(self) -> bool:
        return not self.code


@dataclass
class Desk:
    """Everything that the rules of one office say, read once for a run."""

    office: Office
    mappings: Mappings
    assigner: Assigner
    rules: list[CallRule]
    exclusions: Exclusions

    @classmethod
    def load(cls, office: Office) -> Desk:
        rules = CallRule.objects.filter(is_active=True)
        return cls(
            office=office,
            mappings=Mappings.load(office),
            assigner=Assigner(office),
            rules=[*rules.filter(office=office), *rules.filter(office__isnull=True)],
            exclusions=Exclusions.load(),
        )

    def is_open_at(self, call: Call) -> bool:
        return office_hours.is_open(self.assigner.rules, self.office, call.started_at)


def qualify(call: Call, desk: Desk | None) -> Verdict:
    """What happens with a call. `desk` is that of its office, None without one."""
    if call.merged_into_id is not None:
        return _no("MERGED", "It is a part of another call.")
    # Where a person decided to which record it belongs, it needs neither a number nor a clear outcome.
    is_placed = bool(call.record_id) or call.reason_code == NEW_LEAD
    stopped = _by_outcome(call)
    if stopped is not None and not (is_placed and stopped.code in UNTOLD):
        return stopped
    if desk is None:
        return _no("NO_OFFICE", "None of its extensions belongs to an office, and the line is no office's main number.")
    if not desk.office.is_active:
        return _no("OFFICE_OFF", f"The office {desk.office} is switched off.")
    off = desk.exclusions.switched_off(call)
    if off:
        return _no("EXTENSION_OFF", off)
    if not call.number and not is_placed:
        told = "withheld" if not call.number_told else "not a complete number: a part is masked, or it is a short one"
        return _no("NO_NUMBER", f"The number of the other party is {told}.")
    if desk.exclusions.is_own_line(call):
        return _no("OWN_LINE", "The other party's number is a main number of one of our offices.")
    if desk.exclusions.is_excluded(call):
        return _no("EXCLUDED_NUMBER", "The number is in the list of excluded numbers.")
    return _by_rules(call, desk, is_told=stopped is None)


def _by_outcome(call: Call) -> Verdict | None:
    """The refusal of a call that is no conversation, or of which the log does not tell what came of it."""
    if call.outcome == Outcome.IN_PROGRESS and call.started_at < timezone.now() - LONGEST_CALL:
        return _no(
            NEVER_ENDED, f"{LONGEST_CALL.days} days after its start RingCentral's log still calls it unfinished."
        )
    code = _STOPPED_BY_OUTCOME.get(Outcome(call.outcome))
    return _no(code, call.outcome_reason) if code else None


def _by_rules(call: Call, desk: Desk, *, is_told: bool) -> Verdict:
    for rule in desk.rules:
        if not _fits(rule, call, desk):
            continue
        if rule.action == Action.IGNORE:
            return _no("RULE", f"The rule “{rule}” says so.")
        return Verdict(rule.action, rule.with_media, "", f"By the rule “{rule}”.")
    if call.outcome in _INBOUND or not is_told:
        return Verdict(
            Action.FULL, with_media=True, code="", reason="No rule says otherwise: inbound calls are written."
        )
    return _no("RULE", "Outbound calls are written only where a rule says so.")


def _fits(rule: CallRule, call: Call, desk: Desk) -> bool:
    if rule.direction and rule.direction != call.direction:
        return False
    if rule.outcome and rule.outcome != call.outcome:
        return False
    if not rule.hours:
        return True
    return (rule.hours == CallRule.Hours.INSIDE) == desk.is_open_at(call)


def _no(code: str, reason: str) -> Verdict:
    return Verdict(Action.IGNORE, with_media=False, code=code, reason=reason)


def desks(offices: Sequence[Office]) -> dict[int, Desk]:
    return {office.pk: Desk.load(office) for office in offices}


def desk_of(call: Call, known: dict[int, Desk]) -> Desk | None:
    """The desk of the call's office, read when it is not known yet: a reading of the log can move a call."""
    if call.office is not None and call.office.pk not in known:
        known[call.office.pk] = Desk.load(call.office)
    return known[call.office.pk] if call.office is not None else None


def outcomes_of(types: Sequence[str]) -> list[str]:
    """Outcomes that a run of these types (accepted, missed) is about: all but those of a type that was not chosen.

    What is neither, an internal call say, is decided by whichever run comes first.
    """
    left_out: set[str] = set()
    if "accepted" not in types:
        left_out.add(Outcome.ACCEPTED)
    if "missed" not in types:
        left_out.update(Call.MISSED_OUTCOMES)
    return [outcome for outcome in Outcome.values if outcome not in left_out]
