"""The list of calls, the form that processes them, and why none were processed."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from portal import audit
from portal.access import client_address, permission_required
from portal.csvfiles import rows_as_csv
from portal.tables import paged
from telephony import call_sync, queries
from telephony.forms import TYPES, CallFilter, ProcessForm, WhyForm
from telephony.models import CallSettings, Office
from telephony.tables import CallTable


@permission_required("telephony.view_calls")
@require_GET
def calls(request: HttpRequest) -> HttpResponse:
    return render(request, "telephony/calls.html", _page(request, _offices(request)))


@permission_required("telephony.view_calls", "telephony.process_calls")
@require_POST
def process(request: HttpRequest) -> HttpResponse:
    """Starts the processing and leads to its run; a refusal says why, with a link to the run that is in the way."""
    offices = _offices(request)
    form = ProcessForm(request.POST, offices=_active(offices))
    if not form.is_valid():
        return render(request, "telephony/calls.html", _page(request, offices, form))
    try:
        run = call_sync.start(**form.to_start(), user=request.user, address=client_address(request))
    except call_sync.Refused as refusal:
        context = _page(request, offices, form) | {"refusal": refusal}
        return render(request, "telephony/calls.html", context, status=409)
    return redirect("run", pk=run.pk)


def _page(request: HttpRequest, offices: list[Office], form: ProcessForm | None = None) -> dict[str, Any]:
    filters = CallFilter(request.GET, offices=offices)
    choice = filters.to_choice()
    zone = queries.zone_of(next((office for office in offices if office.slug == choice.office), None))
    facets = queries.state_facets(request.user, choice, zone)
    table = CallTable(
        queries.ledger(request.user, choice, zone), zone=zone,
        may_view_records=request.user.has_perm("crm.view_records"),
    )  # fmt: skip
    asked = request.GET.get("process", "")
    if form is None:
        types = [name for name, _ in TYPES if asked in (name, "all", "")]
        form = ProcessForm(offices=_active(offices), initial={"types": types, "office": choice.office})
    return {
        "form": form,
        "form_is_open": form.is_bound or bool(asked) or not (choice.is_narrowed or facets[0].count),
        "filters": filters,
        "choice": choice,
        "facets": facets,
        "review_count": next(facet.count for facet in facets if facet.value == "review"),
        "offices": offices,
        "zone": zone,
        "table": paged(request, table),
    }


def _offices(request: HttpRequest) -> list[Office]:
    return list(queries.offices_for(request.user))


def _active(offices: list[Office]) -> list[Office]:
    return [office for office in offices if office.is_active]


@permission_required("telephony.view_calls", "crm.export_records")
@require_GET
def calls_csv(request: HttpRequest) -> HttpResponseBase:
    """All calls of the filters in the address as a file, sent while they are read."""
    offices = _offices(request)
    choice = CallFilter(request.GET, offices=offices).to_choice()
    zone = queries.zone_of(next((office for office in offices if office.slug == choice.office), None))
    audit.record(
        "calls downloaded", user=request.user, address=client_address(request), target="calls",
        office=choice.office, state=choice.state, outcome=choice.outcome, since=str(choice.since or ""),
        until=str(choice.until or ""), searched=bool(choice.text),
    )  # fmt: skip
    rows = queries.csv_rows(queries.ledger(request.user, choice, zone))
    response = StreamingHttpResponse(rows_as_csv(queries.CSV_HEADER, rows), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="calls-{timezone.now():%Y%m%d-%H%M%S}.csv"'
    return response


@permission_required("telephony.view_calls")
@require_GET
def why(request: HttpRequest) -> HttpResponse:
    """Counts at each question that a call must pass, for a window and an office."""
    form = WhyForm(request.GET, offices=_offices(request))
    form.is_valid()
    office = form.chosen_office
    zone = queries.zone_of(office)
    since, until = form.window(zone)
    types = form.cleaned_data.get("types") or [name for name, _ in TYPES]
    steps = queries.funnel(request.user, office, types, since, until)
    context = {
        "form": form, "office": office, "since": since, "until": until, "steps": steps, "zone": zone,
        "blocking": max(steps[1:], key=lambda step: step.stopped), "rows_read": queries.rows_read(since, until),
        "reasons": queries.reason_counts(request.user, office, since, until), "settings": CallSettings.load(),
    }  # fmt: skip
    return render(request, "telephony/why.html", context)
