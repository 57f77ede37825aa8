"""What a person decides about a call: which record it belongs to, a new lead, nothing at all, or once more.

Every decision is one conditional UPDATE on the call as the person saw it: of two people the second one is told.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from django.db import transaction
from django.utils import timezone

from portal import audit, connections
from portal.access import Person
from portal.models import Vendor
from telephony import missed_board
from telephony.models import Call, Caller, CallStep
from telephony.reasons import BEFORE_MATCH, IGNORED, NEW_LEAD
from telephony.writing import UNANSWERED

State = Call.State
# Of these nothing is written yet, or what is written can be taken up again: the record may still be chosen.
DECIDABLE = (State.REVIEW, State.PENDING, State.NOT_PROCESSED, State.FAILED)
# A step that may be tried again by hand; one that was sent is resolved by the run itself, which looks before it repeats.
RETRYABLE = (CallStep.State.FAILED, CallStep.State.UNAVAILABLE, CallStep.State.WAITING)


class Taken(Exception):
    """Nothing was changed: somebody else decided meanwhile, a run has the call, or its state does not allow it.

    The text says what there is now.
    """


def may_choose(call: Call) -> bool:
    """Whether the choice of a record would change anything: not where a rule stops the call before that."""
    return call.state in DECIDABLE and call.reason_code not in BEFORE_MATCH


def choose(
    call: Call, *, module: str, record_id: str, name: str = "", always: bool = False, user: Person,
    address: str | None = None,
) -> None:  # fmt: skip
    """The call belongs to this record. `always`: so do later calls with its number. Raises Taken."""
    _require_choice(call)
    words = f"{user.get_username()} chose it{' for all calls with this number' if always else ''}."
    with transaction.atomic():
        _decide(
            call, user=user, state=State.PENDING, module=module, record_id=record_id, match_reason=words,
            reason_code="", reason="", decided_at=timezone.now(),
        )  # fmt: skip
        zoho = connections.choose(None, Vendor.ZOHO) if always and call.number else None
        if zoho is not None:
            Caller.objects.update_or_create(
                connection=zoho, number=call.number,
                defaults={"module": module, "record_id": record_id, "is_chosen": True, "creating": None},
            )  # fmt: skip
        _record("call: record chosen", call, user, address, module=module, record_id=record_id, always=always)


def create_lead(call: Call, *, user: Person, address: str | None = None) -> None:
    """The caller gets a new lead although records with the number exist. Raises Taken."""
    _require_choice(call)
    if not call.number:
        raise Taken("Nothing was changed: a new lead needs a complete number, or its next call makes another one.")
    words = f"{user.get_username()} decided that the caller gets a new lead."
    with transaction.atomic():
        _decide(
            call, user=user, state=State.PENDING, module="", record_id="", match_reason=words, reason_code=NEW_LEAD,
            reason=words, decided_at=timezone.now(),
        )  # fmt: skip
        _record("call: new lead chosen", call, user, address)


def ignore(call: Call, *, reason: str, user: Person, address: str | None = None) -> None:
    """Nothing is written for the call. Raises Taken."""
    with transaction.atomic():
        _decide(
            call, user=user, state=State.NOT_PROCESSED, reason_code=IGNORED,
            reason=f"{user.get_username()}: {reason}", decided_at=timezone.now(),
        )  # fmt: skip
        missed_board.follow_call(call.pk)
        _record("call ignored", call, user, address, reason=reason)


def again(call: Call, *, user: Person, address: str | None = None, step: CallStep | None = None) -> None:
    """The call, or one step of it, is to be tried once more; steps that are done stay as they are. Raises Taken."""
    with transaction.atomic():
        steps = CallStep.objects.filter(call=call, state__in=RETRYABLE)
        steps = steps.filter(pk=step.pk) if step else steps
        anew = {"attempts": 0, "not_before": None, "code": "", "message": "", "finished_at": None}
        unanswered = steps.filter(state=CallStep.State.FAILED, code__in=UNANSWERED)
        count = unanswered.update(state=CallStep.State.SENT, **anew)
        count += steps.update(state=CallStep.State.PLANNED, **anew)
        if step and not count:
            raise Taken("This step is not waiting for another try any more.")
        _decide(call, user=user, allowed=tuple(State), state=State.PENDING, reason_code="", reason="", attempts=0)
        missed_board.follow_call(call.pk)
        _record("call processed again", call, user, address, steps=count, kind=step.kind if step else "")


def _require_choice(call: Call) -> None:
    if call.reason_code in BEFORE_MATCH:
        raise Taken(f"Nothing was changed: the call is stopped before its record matters. {call.reason}".strip())


def _decide(call: Call, *, user: Person, allowed: tuple[Any, ...] = DECIDABLE, **values: Any) -> None:
    """Writes the decision if the call is as it was read; a call that a run has in work is left to it."""
    # The run is looked at when the row is ours: beside it, PostgreSQL would judge by what stood there before a wait.
    rows = Call.objects.select_for_update().filter(pk=call.pk, changed_at=call.changed_at, state__in=allowed)
    now = rows.first()
    if now is None or (now.run is not None and now.run.is_open):
        raise Taken(_present(call))
    Call.objects.filter(pk=call.pk).update(changed_at=timezone.now(), **values)


def _present(call: Call) -> str:
    now = Call.objects.select_related("run").get(pk=call.pk)
    if now.run is not None and now.run.is_open:
        return f"Run {now.run.pk} has this call in work. Look again when it has ended."
    if now.changed_at == call.changed_at:
        return f"This call is “{now.get_state_display()}”: what is written already stays."
    last = now.match_reason if now.state == State.PENDING else now.reason
    return f"Somebody was faster, nothing was changed: the call is now “{now.get_state_display()}”. {last}".strip()


def _record(action: str, call: Call, user: Person, address: str | None, **details: Any) -> None:
    audit.record(action, user=user, address=address, target=f"call {call.pk}", **details)


def as_seen(call: Call, seen: str) -> Call:
    """The call with the time of the state that the person looked at, so that a later change is noticed."""
    call.changed_at = moment_seen(seen) or call.changed_at
    return call


def moment_seen(text: str) -> datetime | None:
    """When what a person looks at was last changed, as their form says it; None for none, or for nonsense."""
    try:
        return datetime.fromisoformat(text).astimezone(UTC)
    except (ValueError, OverflowError):
        return None
