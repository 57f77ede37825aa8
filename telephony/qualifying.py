"""Whether a call is processed, and what may be written for it: the first rule that stops it is named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from portal import phone
from telephony import office_hours
from telephony.assignment import Assigner
from telephony.mapping import Mappings
from telephony.models import Call, CallRule, ExcludedNumber, Extension, Office
from telephony.reasons import NEW_LEAD

Action = CallRule.Action
Outcome = Call.Outcome

_STOPPED_BY_OUTCOME = {
    Outcome.INTERNAL: "INTERNAL",
    Outcome.BLOCKED: "BLOCKED",
    Outcome.NOT_A_CALL: "NOT_A_CALL",
    Outcome.IN_PROGRESS: "IN_PROGRESS",
    Outcome.UNCLEAR: "UNCLEAR",
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
    excluded: frozenset[str]
    own_lines: frozenset[str]
    extensions: dict[str, bool] = field(default_factory=dict)

    @classmethod
    def load(cls, office: Office) -> Desk:
        shared = {"office__isnull": True}
        rules = list(CallRule.objects.filter(is_active=True, office=office)) + list(
            CallRule.objects.filter(is_active=True, **shared)
        )
        numbers = ExcludedNumber.objects.filter(office=office) | ExcludedNumber.objects.filter(**shared)
        lines = Office.objects.exclude(main_number="").values_list("main_number", "region")
        return cls(
            office=office,
            mappings=Mappings.load(office),
            assigner=Assigner(office),
            rules=rules,
            excluded=frozenset(numbers.values_list("number", flat=True)),
            own_lines=frozenset(phone.normalise(number, region) for number, region in lines) - {""},
            extensions=dict(Extension.objects.values_list("rc_id", "process_calls")),
        )

    def is_open_at(self, call: Call) -> bool:
        return office_hours.is_open(self.assigner.rules, self.office, call.started_at)


def qualify(call: Call, desk: Desk | None) -> Verdict:
    """What happens with a call. `desk` is that of its office, None without one."""
    if call.merged_into_id is not None:
        return _no("MERGED", "It is a part of another call.")
    outcome = Outcome(call.outcome)
    # Where a person decided to which record it belongs, it needs neither a number nor a clear outcome.
    is_placed = bool(call.record_id) or call.reason_code == NEW_LEAD
    if outcome in _STOPPED_BY_OUTCOME and not (is_placed and outcome == Outcome.UNCLEAR):
        return _no(_STOPPED_BY_OUTCOME[outcome], call.outcome_reason)
    if desk is None:
        return _no("NO_OFFICE", "None of its extensions belongs to an office, and the line is no office's main number.")
    if not desk.office.is_active:
        return _no("OFFICE_OFF", f"The office {desk.office} is switched off.")
    off = _switched_off(call, desk)
    if off:
        return _no("EXTENSION_OFF", off)
    if not call.number and not is_placed:
        told = "withheld" if not call.number_told else "not a complete number: a part is masked, or it is a short one"
        return _no("NO_NUMBER", f"The number of the other party is {told}.")
    if call.number and call.number in desk.own_lines:
        return _no("OWN_LINE", "The other party's number is a main number of one of our offices.")
    if call.number in desk.excluded:
        return _no("EXCLUDED_NUMBER", "The number is in the list of excluded numbers.")
    return _by_rules(call, desk, is_placed=is_placed)


def _switched_off(call: Call, desk: Desk) -> str:
    """Who answered decides; when nobody did, one extension that is switched on is enough."""
    if call.answered_by is not None:
        return (
            "" if call.answered_by.process_calls else f"Calls of {call.answered_by}, who answered, are not processed."
        )
    known = [rc_id for rc_id in call.extension_ids if rc_id in desk.extensions]
    if known and not any(desk.extensions[rc_id] for rc_id in known):
        return "Processing is switched off for every extension that rang."
    return ""


def _by_rules(call: Call, desk: Desk, *, is_placed: bool) -> Verdict:
    for rule in desk.rules:
        if not _fits(rule, call, desk):
            continue
        if rule.action == Action.IGNORE:
            return _no("RULE", f"The rule “{rule}” says so.")
        return Verdict(rule.action, rule.with_media, "", f"By the rule “{rule}”.")
    if call.outcome in _INBOUND or (is_placed and call.outcome == Outcome.UNCLEAR):
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
