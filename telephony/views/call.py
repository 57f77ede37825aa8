"""The page of one call: what happened, what was decided about it and why, and what was written."""

from __future__ import annotations

import datetime as dt
import json
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET

from portal.access import permission_required
from telephony import missed_queries, queries, reasons, review
from telephony.forms import IgnoreForm, RecordForm
from telephony.models import AssignmentDecision, Call, CallLogRow, CallStep, LeadOwner
from telephony.tables import record_link
from telephony.views.review import candidates_of

# From so few days on the page urges to fetch what RingCentral is about to delete.
MEDIA_URGENT_DAYS = 14
HASH_LENGTH = 64


@dataclass(frozen=True)
class Media:
    """How long RingCentral still keeps the recordings and voicemails of a call that are not in Zoho yet."""

    open_count: int
    days_left: int

    @property
    def is_urgent(self) -> bool:
        return self.open_count > 0 and self.days_left <= MEDIA_URGENT_DAYS


@dataclass(frozen=True)
class StepRow:
    step: CallStep
    may_retry: bool
    evidence: list[tuple[str, str]]


@permission_required("telephony.view_calls")
@require_GET
def call(request: HttpRequest, pk: int) -> HttpResponse:
    rows = queries.within_offices(Call.objects.all(), request.user)
    found = get_object_or_404(
        rows.select_related("office", "extension", "answered_by", "run", "merged_into"), pk=pk
    )  # fmt: skip
    if found.merged_into_id is not None:
        return redirect("call", pk=found.merged_into_id)
    may_process = request.user.has_perm("telephony.process_calls")
    in_work = found.run is not None and found.run.is_open
    steps = list(found.steps.select_related("run"))
    decision = AssignmentDecision.objects.filter(call=found).first()
    context: dict[str, Any] = {
        "call": found,
        "legs": [leg for leg in found.legs if isinstance(leg, dict)],
        "record": record_link(found, may_view_records=request.user.has_perm("crm.view_records")),
        "advice": reasons.advice(found.reason_code),
        "candidates": candidates_of(found),
        "decision": decision,
        "turns": _turns(decision) if decision is not None else [],
        "steps": [_row(step, may_process=may_process and not in_work) for step in steps],
        "media": _media(found, steps),
        "card": missed_queries.card_of(found),
        "in_work": in_work,
        "may_process": may_process and not in_work,
        "may_decide": may_process and not in_work and review.may_choose(found),
        "may_ignore": may_process
        and not in_work
        and found.state in review.DECIDABLE
        and found.reason_code != reasons.IGNORED,
        "record_form": RecordForm(initial={"seen": found.changed_at.isoformat()}),
        "ignore_form": IgnoreForm(initial={"seen": found.changed_at.isoformat()}, auto_id="ignore_%s"),
        "sessions": list(found.sessions.order_by("pk").values_list("key", flat=True)),
    }
    if request.user.has_perm("telephony.configure_calls"):
        context["raw_rows"] = _raw_rows(found, context["sessions"])
    return render(request, "telephony/call.html", context)


def _row(step: CallStep, *, may_process: bool) -> StepRow:
    facts = [
        (name.replace("_", " ").capitalize(), _plain(value))
        for name, value in step.evidence.items()
        if value not in ("", None)
    ]
    if step.crm_id:
        facts.append(("Id in Zoho", step.crm_id))
    return StepRow(step, may_process and step.state in review.RETRYABLE, facts)


def _plain(value: Any) -> str:
    """Numbers with separators; of a long hash its beginning."""
    if isinstance(value, str) and len(value) == HASH_LENGTH and value.isalnum():
        return f"{value[:12]}…"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _turns(decision: AssignmentDecision) -> list[tuple[str, str, str]]:
    """Who was in the rotation at this turn, with weight and value after it; empty where no turn was taken."""
    owners = decision.rotation.get("owners", {})
    names = dict(LeadOwner.objects.filter(zoho_id__in=owners, office=decision.office_id).values_list("zoho_id", "name"))
    return [(names.get(key) or key, each.get("weight", ""), each.get("value", "")) for key, each in owners.items()]


def _media(found: Call, steps: list[CallStep]) -> Media | None:
    """None for a call without media."""
    media = [step for step in steps if step.kind in CallStep.MEDIA]
    if not media:
        return None
    left = found.started_at + dt.timedelta(days=queries.MEDIA_DAYS) - timezone.now()
    still_open = [step for step in media if step.state in (*CallStep.OPEN, CallStep.State.FAILED)]
    return Media(len(still_open), max(left.days, 0))


def _raw_rows(found: Call, sessions: list[str]) -> list[tuple[CallLogRow, str]]:
    """The rows of the log as they came, for those who set the portal up."""
    rows = CallLogRow.objects.filter(connection_id=found.connection_id, session_key__in=[found.key, *sessions])
    return [(row, json.dumps(row.payload, indent=2, ensure_ascii=False)) for row in rows.order_by("started_at", "pk")]
