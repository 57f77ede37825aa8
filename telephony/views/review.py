"""The queue of calls that need a person, and what a person can decide about a call."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.contrib import messages
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils.html import format_html
from django.views.decorators.http import require_GET, require_POST

from crm.zoho.client import ZohoClient
from portal import connections, phone
from portal.access import client_address, permission_required, way_back
from portal.models import Run, Vendor
from portal.remote import errors
from telephony import call_sync, queries, review
from telephony.forms import IgnoreForm, RecordForm
from telephony.models import Call, CallSettings, CallStep
from telephony.run_page import failed_calls
from telephony.tables import record_address

PER_PAGE = 20
# Keys of a stored candidate (telephony.matching) and their words.
FACTS = (("status", "Status"), ("owner_name", "Owner"), ("created", "Created"), ("modified", "Changed"))


@dataclass(frozen=True)
class Line:
    """A field of a candidate; `is_match` marks the number of the call."""

    label: str
    value: str
    is_match: bool


@dataclass(frozen=True)
class Candidate:
    """A record that the call may belong to."""

    key: str  # module:id
    module: str
    record_id: str
    name: str
    kind: str
    url: str
    facts: tuple[tuple[str, str], ...]
    lines: tuple[Line, ...]


def candidates_of(call: Call) -> list[Candidate]:
    """The stored candidates for the screen; what they are is the matching's matter."""
    region = call.office.region if call.office else CallSettings.load().default_region
    return [_candidate(call, stored, region) for stored in call.candidates if isinstance(stored, dict)]


def _candidate(call: Call, stored: dict[str, Any], region: str) -> Candidate:
    module, record_id = str(stored.get("module", "")), str(stored.get("id", ""))
    facts = [(label, _words(key, str(stored.get(key) or ""))) for key, label in FACTS]
    lines = tuple(
        Line(
            name.replace("_", " "), str(value), bool(call.number) and phone.normalise(str(value), region) == call.number
        )
        for name, value in (stored.get("phones") or {}).items()
    )
    return Candidate(
        f"{module}:{record_id}", module, record_id, str(stored.get("name") or "without a name"),
        "converted lead" if stored.get("is_converted") else module.removesuffix("s").lower(),
        record_address(module, record_id), tuple(fact for fact in facts if fact[1]), lines,
    )  # fmt: skip


def _words(key: str, value: str) -> str:
    """Of a moment as Zoho writes it (2026-03-10T12:00:00+01:00) the day and the hour."""
    return value[:16].replace("T", " ") if key in ("created", "modified") else value


@permission_required("telephony.view_calls")
@require_GET
def queue(request: HttpRequest) -> HttpResponse:
    """Calls that need a person, oldest first, each with its candidates."""
    rows = (
        queries.calls_for(request.user)
        .filter(state=Call.State.REVIEW)
        .select_related("office", "answered_by", "extension")
    )
    page = Paginator(rows.order_by("started_at", "pk"), PER_PAGE).get_page(request.GET.get("page"))
    may_process = request.user.has_perm("telephony.process_calls")
    cards = [(call, candidates_of(call), may_process and review.may_choose(call)) for call in page]
    context = {"page": page, "cards": cards, "may_process": may_process}
    return render(request, "telephony/review.html", context)


# --- decisions ----------------------------------------------------------------------------------------------------------


def _call(request: HttpRequest, pk: int) -> Call:
    call = get_object_or_404(queries.calls_for(request.user).select_related("office"), pk=pk)
    return review.as_seen(call, request.POST.get("seen", ""))


def _back(request: HttpRequest, call: Call) -> HttpResponse:
    """To the page where the decision was made: the queue or the call."""
    return HttpResponseRedirect(way_back(request, call.get_absolute_url()))


@require_POST
@permission_required("telephony.view_calls", "telephony.process_calls")
def choose(request: HttpRequest, pk: int) -> HttpResponse:
    """The call belongs to a candidate, or to another record whose id was typed and that Zoho has."""
    call = _call(request, pk)
    form = RecordForm(request.POST)
    if not form.is_valid():
        return _refuse(request, call, form)
    data = form.cleaned_data
    module, record_id = data["module"], data["record_id"]
    known = {candidate.key for candidate in candidates_of(call)}
    problem = "" if f"{module}:{record_id}" in known else _absent(module, record_id)
    if problem:
        messages.error(request, problem)
        return _back(request, call)
    return _decide(
        request, call, "The record is chosen.",
        lambda: review.choose(
            call, module=module, record_id=record_id, always=data["always"], user=request.user,
            address=client_address(request),
        ),
    )  # fmt: skip


@require_POST
@permission_required("telephony.view_calls", "telephony.process_calls")
def new_lead(request: HttpRequest, pk: int) -> HttpResponse:
    call = _call(request, pk)
    return _decide(
        request, call, "The caller gets a new lead.",
        lambda: review.create_lead(call, user=request.user, address=client_address(request)),
    )  # fmt: skip


@require_POST
@permission_required("telephony.view_calls", "telephony.process_calls")
def ignore(request: HttpRequest, pk: int) -> HttpResponse:
    call = _call(request, pk)
    form = IgnoreForm(request.POST)
    if not form.is_valid():
        return _refuse(request, call, form)
    try:
        review.ignore(call, reason=form.cleaned_data["reason"], user=request.user, address=client_address(request))
        messages.success(request, "The call is ignored; its page says why.")
    except review.Taken as taken:
        messages.error(request, str(taken))
    return _back(request, call)


@require_POST
@permission_required("telephony.view_calls", "telephony.process_calls")
def again(request: HttpRequest, pk: int, step: int | None = None) -> HttpResponse:
    """Processes the call, or one step of it, once more."""
    call = _call(request, pk)
    found = get_object_or_404(CallStep, pk=step, call=call) if step is not None else None
    return _decide(
        request, call, f"{found.get_kind_display()} is tried again." if found else "The call is processed again.",
        lambda: review.again(call, user=request.user, address=client_address(request), step=found),
    )  # fmt: skip


@require_POST
@permission_required("telephony.view_calls", "telephony.process_calls")
def again_of_run(request: HttpRequest, pk: int) -> HttpResponse:
    """Processes the calls that failed in a run once more; those in work or of other offices are left out."""
    run = get_object_or_404(Run, pk=pk, kind=call_sync.KIND)
    visible = set(queries.calls_for(request.user).filter(state=Call.State.FAILED).values_list("pk", flat=True))
    again: list[Call] = []
    for call in failed_calls(run):
        if call.pk in visible:
            try:
                review.again(call, user=request.user, address=client_address(request))
                again.append(call)
            except review.Taken:
                continue
    if not again:
        messages.info(request, "None of these calls is to be processed again any more.")
        return redirect("run", run.pk)
    try:
        started = call_sync.start_calls(again, user=request.user, address=client_address(request))
    except call_sync.Refused as refusal:
        messages.info(request, f"The next run processes them: {refusal}")
        return redirect("run", run.pk)
    return redirect("run", started.pk)


def _decide(request: HttpRequest, call: Call, done: str, act: Callable[[], None]) -> HttpResponse:
    """Writes the decision and starts a run for it; when none can start now, the next one takes the call up."""
    try:
        act()
    except review.Taken as taken:
        messages.error(request, str(taken))
        return _back(request, call)
    try:
        run = call_sync.start_calls([call], user=request.user, address=client_address(request))
        words = format_html('{} <a href="{}">Run {}</a> does it.', done, reverse("run", args=[run.pk]), run.pk)
        messages.success(request, words)
    except call_sync.Refused as refusal:
        messages.info(request, f"{done} It is done by the next run: {refusal}")
    return _back(request, call)


def _refuse(request: HttpRequest, call: Call, form: Any) -> HttpResponse:
    messages.error(request, " ".join(str(error) for found in form.errors.values() for error in found))
    return _back(request, call)


def _absent(module: str, record_id: str) -> str:
    """Why a typed record cannot be chosen; "" when Zoho has it."""
    if module not in dict(RecordForm.MODULES):
        return "This record is not among the candidates. Choose a lead or a contact."
    connection = connections.choose(None, Vendor.ZOHO)
    if connection is None:
        return "There is no connection to Zoho CRM, so the record cannot be looked up."
    try:
        with ZohoClient(connections.session_for(connection, read_only=True)) as client:
            found = client.record(module, record_id)
    except errors.RemoteError as error:
        advice = errors.describe(error)
        return f"The record could not be looked up. {advice.what} {advice.remedy}"
    return "" if found is not None else f"Zoho has no record {record_id} in {module}. Check the id."
