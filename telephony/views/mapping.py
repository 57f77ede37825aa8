"""The page about mappings: which fields of a new lead a call fills, and which statuses calls set and replace."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode

from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path, reverse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from crm import metadata
from crm.viewer_screen import Problem, no_connection
from crm.zoho.schema import Field, text_of
from portal import audit, connections
from portal.access import client_address, permission_required
from portal.remote import errors
from telephony import assignment, mapping, mapping_forms, queries
from telephony.mapping import LeadValues, Mappings, sample_call
from telephony.mapping_forms import Rows, Stale, StatusForm
from telephony.models import AssignmentDecision, Call, FieldMapping, Office, OverwritableStatus
from telephony.template_text import SOURCES, TRANSFORMS, VARIABLES

MODULE = "Leads"
PERMISSIONS = ("telephony.view_calls", "telephony.configure_calls")
OUTCOMES = {
    FieldMapping.CallType.ACCEPTED: (Call.Outcome.ACCEPTED,),
    FieldMapping.CallType.MISSED: Call.MISSED_OUTCOMES,
}


@dataclass
class Screen:
    """What the address says, and Zoho's fields as far as they could be read; `office` is None for all offices."""

    call_type: FieldMapping.CallType
    office: Office | None
    offices: list[Office]
    columns: list[Field] | None = None
    problem: Problem | None = None

    @property
    def query(self) -> str:
        return urlencode({"type": self.call_type.value, "office": self.office.slug if self.office else ""})

    @property
    def url(self) -> str:
        return f"{reverse('call-mappings')}?{self.query}"


@dataclass(frozen=True)
class Line:
    """One field of the preview."""

    name: str
    label: str
    value: str


@dataclass(frozen=True)
class Preview:
    """What a call would write; `call` is invented where none of the type has come yet."""

    call: Call
    is_invented: bool
    office: Office
    lines: list[Line]
    found: LeadValues


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@permission_required(*PERMISSIONS)
def editor(request: HttpRequest) -> HttpResponse:
    """The rows of one type of call. `step` of what is sent: add (another empty row) or save."""
    screen = _screen(request)
    if request.method != "POST":
        return _page(request, screen, mapping_forms.rows_of(screen.office, screen.call_type, screen.columns))
    data = request.POST.copy()
    if data.get("step") == "add":
        count = min(_count(data.get("row-TOTAL_FORMS")), mapping_forms.MAX_ROWS - 1)
        data["row-TOTAL_FORMS"], data[f"row-{count}-is_active"] = str(count + 1), "on"
    rows = mapping_forms.rows_of(screen.office, screen.call_type, screen.columns, data)
    if not rows.is_valid() or data.get("step") == "add":
        return _page(request, screen, rows)
    try:
        before, after = mapping_forms.save_rows(rows, data.get("seen", ""))
    except Stale:
        messages.error(request, "Somebody saved these rows in the meantime. Here they are as they are now.")
        return redirect(screen.url)
    audit.record(
        "field mappings changed", user=request.user, address=client_address(request),
        target=f"{screen.office or 'All offices'}: {screen.call_type.label}", before=before, after=after,
    )  # fmt: skip
    messages.success(request, f"Saved. New leads of {screen.call_type.label.lower()} are filled this way from now on.")
    return redirect(screen.url)


@require_POST
@never_cache
@permission_required(*PERMISSIONS)
def preview(request: HttpRequest) -> HttpResponse:
    """The preview of the rows as they are typed; nothing is saved."""
    screen = _screen(request)
    rows = mapping_forms.rows_of(screen.office, screen.call_type, screen.columns, request.POST)
    rows.is_valid()
    return render(request, "telephony/mapping_preview.html", _previewed(request, screen, rows))


@require_POST
@permission_required(*PERMISSIONS)
def save_statuses(request: HttpRequest) -> HttpResponse:
    screen = _screen(request)
    form = StatusForm(request.POST, office=screen.office, columns=screen.columns)
    if not form.is_valid():
        rows = mapping_forms.rows_of(screen.office, screen.call_type, screen.columns)
        return _page(request, screen, rows, form)
    saved = form.save()
    audit.record(
        "call statuses changed", user=request.user, address=client_address(request),
        target=str(screen.office or "All offices"), **saved,
    )  # fmt: skip
    messages.success(request, "The statuses are saved. They count from the next call on.")
    return redirect(f"{screen.url}#statuses")


urlpatterns_mapping = [
    path("mappings/", editor, name="call-mappings"),
    path("mappings/preview/", preview, name="call-mapping-preview"),
    path("mappings/statuses/", save_statuses, name="call-statuses"),
]


# --- what the page shows ----------------------------------------------------------------------------------------------


def _screen(request: HttpRequest) -> Screen:
    offices = list(queries.offices_for(request.user))
    slug = request.GET.get("office", "")
    office = next((each for each in offices if each.slug == slug), None)
    if slug and office is None:
        raise Http404
    is_missed = request.GET.get("type") == FieldMapping.CallType.MISSED
    call_type = FieldMapping.CallType.MISSED if is_missed else FieldMapping.CallType.ACCEPTED
    screen = Screen(call_type, office, offices)
    connection = connections.choose(None)
    if connection is None:
        screen.problem = no_connection()
        return screen
    try:
        screen.columns = metadata.fields(connection, MODULE)
    except errors.RemoteError as error:
        advice = errors.describe(error)
        screen.problem = Problem(advice.what, advice.remedy)
    return screen


def _page(request: HttpRequest, screen: Screen, rows: Rows, form: StatusForm | None = None) -> HttpResponse:
    saved, typed = Mappings.load(screen.office), _typed(screen, rows)
    context: dict[str, Any] = {
        "screen": screen,
        "rows": rows,
        "seen": request.POST.get("seen") or mapping_forms.digest_of(
            mapping_forms.stored_rows(screen.office, screen.call_type)
        ),
        "inherited": _inherited(screen, rows, typed),
        "problems": mapping.check_against(saved, screen.columns) if screen.columns is not None else [],
        "columns": mapping_forms.fillable(screen.columns or []),
        "form": form or StatusForm(office=screen.office, columns=screen.columns),
        "common_overwritable": _common_overwritable(screen.office),
        "call_types": FieldMapping.CallType,
        "variables": [(name, entry.meaning) for name, entry in VARIABLES.items()],
        "transforms": [(name, entry.kind.value, entry.meaning) for name, entry in TRANSFORMS.items()],
        "sources": SOURCES.items(),
    }  # fmt: skip
    return render(request, "telephony/mapping.html", context | _previewed(request, screen, rows))


def _inherited(screen: Screen, rows: Rows, mappings: Mappings) -> list[tuple[str, str, str]]:
    """Fields that are filled although the page has no row of its own for them: name, template, where it comes from."""
    own = {
        mapping.target_of(str(form["field"].value() or ""))
        for form in rows.forms if form["is_active"].value() or not form.question
    }  # fmt: skip
    common = {
        mapping.target_of(row.field) for row in mapping_forms.stored_rows(None, screen.call_type) if row.is_active
    } if screen.office else set()  # fmt: skip
    mapped = mappings.of(sample_call(screen.call_type))
    return [
        (each.target, str(each.template), "All offices" if each.target in common else "Built in")
        for each in mapped
        if each.target not in own
    ]


def _common_overwritable(office: Office | None) -> Sequence[str]:
    if office is None:
        return ()
    return list(OverwritableStatus.objects.filter(office=None).values_list("value", flat=True))


def _previewed(request: HttpRequest, screen: Screen, rows: Rows) -> dict[str, Any]:
    """Context of the preview: what would be written with the rows that have no mistake."""
    if screen.columns is None:
        return {"screen": screen, "preview": None}
    mappings = _typed(screen, rows)
    call = _last_call(request, screen)
    is_invented = call is None
    call = call or sample_call(screen.call_type)
    office = screen.office or call.office or mapping.SAMPLE_OFFICE
    found = mapping.lead_values(call, office, _decision(call, office), mappings, screen.columns)
    labels = {field.api_name: field.label for field in screen.columns}
    lines = [Line(name, labels.get(name, name), text_of(value)) for name, value in found.values.items()]
    mistakes = [
        (number, error)
        for number, form in enumerate(rows.forms, start=1) if rows.is_bound
        for found_errors in form.errors.values() for error in found_errors
    ]  # fmt: skip
    return {
        "screen": screen,
        "preview": Preview(call, is_invented, office, lines, found),
        "mistakes": mistakes,
    }


def _typed(screen: Screen, rows: Rows) -> Mappings:
    """The mappings with the rows as the page shows them; rows with a mistake are left out."""
    loaded = Mappings.load(screen.office)
    if not rows.is_bound:
        return loaded
    common = mapping_forms.stored_rows(None, screen.call_type) if screen.office else []
    shown = [*common, *rows.to_rows(only_valid=True)]
    return loaded.with_rows(screen.call_type, [row for row in shown if row.is_active or not row.question])


def _last_call(request: HttpRequest, screen: Screen) -> Call | None:
    calls = queries.calls_for(request.user).filter(outcome__in=OUTCOMES[screen.call_type])
    if screen.office:
        calls = calls.filter(office=screen.office)
    return calls.select_related("office", "extension", "answered_by").order_by("-started_at").first()


def _decision(call: Call, office: Office) -> AssignmentDecision | None:
    """Who got the lead or would get it; nothing is decided by looking."""
    if call.pk is not None and office.pk is not None:
        return assignment.decide_owner(call, office, dry_run=True)
    owners = assignment.simulate(office, "", 1) if office.pk is not None else []
    return AssignmentDecision(owner_id=owners[0].zoho_id) if owners else None


def _count(told: str | None) -> int:
    return int(told) if told and told.isdecimal() else 0
