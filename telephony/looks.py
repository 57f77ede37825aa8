"""How states of calls look: an icon and a tone each, never a colour alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from telephony.models import Call, CallStep, LeadOwner

STATES: dict[str, tuple[str, str]] = {
    Call.State.PENDING: ("clock", "neutral"),
    Call.State.REVIEW: ("help-circle", "warning"),
    Call.State.WAITING: ("hourglass", "info"),
    Call.State.DONE: ("circle-check", "success"),
    Call.State.NOT_PROCESSED: ("circle-minus", "neutral"),
    Call.State.FAILED: ("circle-x", "danger"),
}
OUTCOMES: dict[str, tuple[str, str]] = {
    Call.Outcome.ACCEPTED: ("circle-check", "success"),
    Call.Outcome.MISSED: ("circle-x", "danger"),
    Call.Outcome.VOICEMAIL: ("inbox", "warning"),
    Call.Outcome.OUTBOUND: ("arrow-right", "neutral"),
    Call.Outcome.OUTBOUND_FAILED: ("circle-minus", "neutral"),
    Call.Outcome.INTERNAL: ("circle-minus", "neutral"),
    Call.Outcome.BLOCKED: ("lock", "neutral"),
    Call.Outcome.NOT_A_CALL: ("circle-minus", "neutral"),
    Call.Outcome.IN_PROGRESS: ("loader-2", "info"),
    Call.Outcome.UNCLEAR: ("help-circle", "warning"),
}
STEPS: dict[str, tuple[str, str]] = {
    CallStep.State.PLANNED: ("circle-dashed", "neutral"),
    CallStep.State.SENT: ("send", "info"),
    CallStep.State.WAITING: ("hourglass", "info"),
    CallStep.State.DONE: ("check", "success"),
    CallStep.State.SKIPPED: ("circle-minus", "neutral"),
    CallStep.State.UNAVAILABLE: ("alert-triangle", "warning"),
    CallStep.State.FAILED: ("x", "danger"),
}
OWNERS: dict[str, tuple[str, str]] = {
    LeadOwner.ZohoState.UNKNOWN: ("help-circle", "neutral"),
    LeadOwner.ZohoState.ACTIVE: ("circle-check", "success"),
    LeadOwner.ZohoState.INACTIVE: ("alert-triangle", "danger"),
    LeadOwner.ZohoState.MISSING: ("alert-triangle", "danger"),
}
# Of several steps of one kind the list shows the one that most needs attention.
URGENCY = (
    CallStep.State.FAILED, CallStep.State.UNAVAILABLE, CallStep.State.SENT, CallStep.State.WAITING,
    CallStep.State.PLANNED, CallStep.State.DONE, CallStep.State.SKIPPED,
)  # fmt: skip


@dataclass(frozen=True)
class Pill:
    """What partials/_state.html shows."""

    state: str
    label: str
    icon_name: str
    tone: str


@dataclass(frozen=True)
class StepMark:
    """The steps of one kind of a call as one small label; `words` say the state of all of them."""

    label: str
    words: str
    icon_name: str
    tone: str


def pill_of(state: str, label: str, looks: dict[str, tuple[str, str]]) -> Pill:
    icon_name, tone = looks.get(state, ("help-circle", "neutral"))
    return Pill(state, label, icon_name, tone)


def call_pill(call: Call) -> Pill:
    label = call.get_state_display()
    if call.state == Call.State.WAITING and call.reason_code:
        label = "Waiting"  # the reason beside it says for what; it is not always media
    return pill_of(call.state, label, STATES)


def outcome_pill(call: Call) -> Pill:
    label = "Voicemail" if call.outcome == Call.Outcome.VOICEMAIL else call.get_outcome_display()
    return pill_of(call.outcome, label, OUTCOMES)


def step_pill(step: CallStep) -> Pill:
    return pill_of(step.state, step.get_state_display(), STEPS)


def step_marks(steps: Iterable[CallStep]) -> list[StepMark]:
    """One for each kind of step that the call has, in the order of the kinds."""
    found: dict[str, list[CallStep]] = {}
    for step in steps:
        found.setdefault(step.kind, []).append(step)
    return [_mark(str(kind.label), found[kind]) for kind in CallStep.Kind if kind in found]


def _mark(kind: str, steps: list[CallStep]) -> StepMark:
    worst = min(steps, key=lambda step: URGENCY.index(CallStep.State(step.state)))
    icon_name, tone = STEPS[worst.state]
    label = kind if len(steps) == 1 else f"{kind} ×{len(steps)}"
    return StepMark(label, ", ".join(_words(step) for step in steps), icon_name, tone)


def _words(step: CallStep) -> str:
    words = step.get_state_display()
    return f"{words}: {step.message}" if step.message and step.state != CallStep.State.DONE else words
