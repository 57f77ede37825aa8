"""Pages of the bulk update: records, change, preview, confirmation. Each step has an address of its own."""

from __future__ import annotations

import re
from typing import Any

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST
from django_htmx.http import HttpResponseClientRedirect
from django_tables2 import RequestConfig

from crm import bulk_update, metadata, queries, restore
from crm.forms import ChangeForm, ConfirmForm, RecordsForm
from crm.models import RecordSet
from crm.tables import PlanTable
from crm.zoho.schema import Module
from portal import audit, connections
from portal.access import client_address, may_use, permission_required
from portal.csvfiles import rows_as_csv
from portal.models import Connection, Run, RunItem
from portal.remote import errors

PER_PAGE = 50
API_NAME = re.compile(r"[A-Za-z]\w{0,59}", re.ASCII)
KINDS = (bulk_update.KIND, restore.KIND)


def _plan_or_404(request: HttpRequest, pk: int) -> Run:
    """A plan of the visitor, or of anybody for those who may operate everybody's runs."""
    run = get_object_or_404(Run.objects.select_related("connection", "requested_by", "parent"), pk=pk, kind__in=KINDS)
    is_allowed = run.requested_by_id == request.user.pk or request.user.has_perm("portal.operate_any_run")
    if not is_allowed or not may_use(request.user, run.connection):
        raise PermissionDenied
    return run


# --- step 1: records --------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@permission_required("crm.update_records")
def choose_records(request: HttpRequest) -> HttpResponse:
    connection = connections.choose(request)
    if connection is None:
        return render(request, "crm/bulk_update_no_connection.html", status=200)
    module = str(request.POST.get("module") or request.GET.get("module") or "Leads")
    modules, views, problem = _choices(connection, module)
    form = RecordsForm(
        request.POST or None, request.FILES or None, modules=modules, views=views, initial=_initial(request, module)
    )
    if request.method == "POST" and form.is_valid():
        run = bulk_update.start(
            connection=connection, module=form.cleaned_data["module"], source=form.to_source,
            selection=form.selection, user=request.user, address=client_address(request),
        )  # fmt: skip
        return redirect("bulk-update-plan", pk=run.pk)
    context = {"form": form, "connection": connection, "problem": problem, "step": 1}
    return render(request, "crm/bulk_update_records.html", context)


def _choices(connection: Connection, module: str) -> tuple[list[Module], list[Any], errors.Advice | None]:
    """Modules that can be changed, views of the chosen one, and what went wrong when Zoho did not say."""
    try:
        modules = [entry for entry in metadata.modules(connection) if entry.is_editable]
    except errors.RemoteError as error:
        name = module if API_NAME.fullmatch(module) else "Leads"
        return [Module(name, name, name, is_viewable=True, is_editable=True)], [], errors.describe(error)
    if module not in [entry.api_name for entry in modules]:
        return modules, [], None
    try:
        return modules, metadata.views(connection, module), None
    except errors.RemoteError as error:
        return modules, [], errors.describe(error)


def _initial(request: HttpRequest, module: str) -> dict[str, Any]:
    """What the address brings along: a view, a loaded set of records, or the records of an earlier run."""
    initial: dict[str, Any] = {"module": module}
    if request.GET.get("view"):
        initial |= {"source": "view", "view": request.GET["view"]}
    number = request.GET.get("set", "")
    if number.isascii() and number.isdigit():
        record_set = RecordSet.objects.filter(pk=number, owner_id=request.user.pk).first()
        if record_set is not None:
            initial |= {"module": record_set.module, "source": "paste", "ids": record_set.ids}
    return initial


@require_GET
@permission_required("crm.update_records")
def view_options(request: HttpRequest) -> HttpResponse:
    """The custom views of a module, as options of the select."""
    connection = connections.choose(request)
    views: list[Any] = []
    if connection is not None:
        _, views, _ = _choices(connection, str(request.GET.get("module") or "Leads"))
    return render(request, "crm/_view_options.html", {"views": views})


# --- steps 2 and 3: change and preview ----------------------------------------------------------------------------------


@require_GET
@permission_required("crm.update_records")
def plan(request: HttpRequest, pk: int) -> HttpResponse:
    """Where the plan stands: loading, waiting for its change, reading, or the preview."""
    run = _plan_or_404(request, pk)
    if run.phase == bulk_update.WRITE or not run.is_open:
        return _onward(request, run.get_absolute_url())
    context: dict[str, Any] = {"run": run, "now": timezone.now()}
    if not run.waits_for_people:
        return _render_working(request, context)
    if request.htmx:  # type: ignore[attr-defined]
        # The part that polls has nothing more to show: the whole page takes over.
        return HttpResponseClientRedirect(request.path)
    if run.wait == Run.Wait.CHANGE:
        context |= _change_context(request, run)
        return render(request, "crm/bulk_update_change.html", context)
    context |= _preview_context(request, run)
    return render(request, "crm/bulk_update_preview.html", context)


def _onward(request: HttpRequest, url: str) -> HttpResponse:
    return HttpResponseClientRedirect(url) if request.htmx else redirect(url)  # type: ignore[attr-defined]


def _render_working(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    run: Run = context["run"]
    context |= {"is_loading": run.phase == bulk_update.LOAD, "read": 0}
    if not context["is_loading"]:
        context["read"] = run.items.filter(read_at__isnull=False).count()
    context["total"] = run.items.count()
    template = "crm/_bulk_update_working.html" if request.htmx else "crm/bulk_update_working.html"  # type: ignore[attr-defined]
    return render(request, template, context)


def _table(request: HttpRequest, run: Run, show: str) -> dict[str, Any]:
    search = request.GET.get("search", "").strip()
    items = queries.plan_items(run, show=show, search=search)
    table = PlanTable(items, run=run, exclude=_empty_columns(show))
    RequestConfig(request, paginate={"per_page": PER_PAGE}).configure(table)
    return {"table": table, "show": show, "search": search}


def _empty_columns(show: str) -> tuple[str, ...]:
    """Columns that say nothing in this part of the plan."""
    if not show:  # the change is not chosen yet
        return ("choose", "before", "after", "message")
    if show == "change":
        return ("message",)
    return () if show == "CHANGED_SINCE" else ("choose",)


def _change_context(request: HttpRequest, run: Run, form: ChangeForm | None = None) -> dict[str, Any]:
    context: dict[str, Any] = {"step": 2, "cleaning": run.parameters.get("cleaning"), "count": run.items.count()}
    try:
        context["form"] = form or _change_form(run, request.GET.get("field", ""))
    except errors.RemoteError as error:
        context["problem"] = errors.describe(error)
    assert run.connection is not None
    context["fetched_at"] = metadata.fetched_at(run.connection, run.parameters["module"])
    return context | _table(request, run, "")


def _change_form(run: Run, field: str, data: Any = None) -> ChangeForm:
    assert run.connection is not None
    module = run.parameters["module"]
    fields = metadata.picklist_fields(run.connection, module)
    wanted = field or run.parameters.get("field") or ("Lead_Status" if module == "Leads" else "")
    chosen = next((entry for entry in fields if entry.api_name == wanted), fields[0] if fields else None)
    offer = metadata.offer(module, chosen) if chosen else None
    initial = {"field": chosen.api_name if chosen else ""}
    if run.parameters.get("field") == initial["field"]:
        initial |= {
            "value": run.parameters["value"],
            "automation": "on" if run.parameters.get("automation", True) else "off",
        }
    return ChangeForm(data, fields=fields, offer=offer, initial=initial)


@require_GET
@permission_required("crm.update_records")
def value_options(request: HttpRequest, pk: int) -> HttpResponse:
    """The values of a field, as the control of the form."""
    form = _change_form(_plan_or_404(request, pk), request.GET.get("field", ""))
    return render(request, "crm/_value_field.html", {"field": form["value"]})


@require_http_methods(["GET", "POST"])
@permission_required("crm.update_records")
def choose_change(request: HttpRequest, pk: int) -> HttpResponse:
    run = _plan_or_404(request, pk)
    if run.kind != bulk_update.KIND or not run.waits_for_people:
        return redirect("bulk-update-plan", pk=run.pk)
    form = None
    if request.method == "POST":
        form = _change_form(run, request.POST.get("field", ""), request.POST)
        if form.is_valid():
            data = form.cleaned_data
            bulk_update.choose_change(
                run, field=data["field"], value=data["value"], automation=data["automation"] == "on",
                user=request.user, address=client_address(request),
            )  # fmt: skip
            return redirect("bulk-update-plan", pk=run.pk)
    context = {"run": run} | _change_context(request, run, form)
    return render(request, "crm/bulk_update_change.html", context)


def _preview_context(request: HttpRequest, run: Run) -> dict[str, Any]:
    will_change = run.items.filter(state=RunItem.State.PLANNED).count()
    return {
        "step": 3,
        "will_change": will_change,
        "total": run.items.count(),
        "reasons": queries.skipped_reasons(run),
        "facets": queries.before_values(run),
        "cost": queries.cost_of(run, will_change),
        "earlier": bulk_update.same_plan(run),
        "is_restore": run.kind == restore.KIND,
        "is_dry_run": bool(run.parameters.get("dry_run")),
        "cleaning": run.parameters.get("cleaning"),
        "oldest": run.items.order_by("read_at").values_list("read_at", flat=True).filter(read_at__isnull=False).first(),
    } | _table(request, run, request.GET.get("show", "change"))


@require_POST
@permission_required("crm.update_records")
def leave_out(request: HttpRequest, pk: int) -> HttpResponse:
    run = _plan_or_404(request, pk)
    count = bulk_update.leave_out(
        run, request.POST.getlist("choose"), user=request.user, address=client_address(request)
    )
    messages.info(request, f"{count:,} records were left out of the plan." if count else "No record was selected.")
    return redirect("bulk-update-plan", pk=run.pk)


@require_POST
@permission_required("crm.update_records")
def override(request: HttpRequest, pk: int) -> HttpResponse:
    run = _plan_or_404(request, pk)
    count = restore.override(run, request.POST.getlist("choose"), user=request.user, address=client_address(request))
    text = f"{count:,} records will be restored although somebody changed them since."
    messages.info(request, text if count else "No record was selected that somebody changed since.")
    return redirect("bulk-update-plan", pk=run.pk)


# --- step 4: confirmation -----------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@permission_required("crm.update_records")
def confirm(request: HttpRequest, pk: int) -> HttpResponse:
    run = _plan_or_404(request, pk)
    if run.wait != Run.Wait.CONFIRMATION:
        # A second click, a reload or the back button: the run is on its way.
        return redirect("run" if run.phase == bulk_update.WRITE else "bulk-update-plan", pk=run.pk)
    form = ConfirmForm(request.POST or None)
    problem: bulk_update.Invalid | None = None
    if request.method == "POST" and form.is_valid():
        try:
            bulk_update.confirm(run, user=request.user, address=client_address(request), **form.cleaned_data)
            return redirect("run", pk=run.pk)
        except bulk_update.Invalid as error:
            problem = error
    context = {"run": run, "problem": problem, "must_type": False} | _preview_context(request, run)
    context["must_type"] = context["will_change"] >= bulk_update.TYPE_THE_NUMBER_FROM
    context["step"] = 4
    return render(request, "crm/bulk_update_confirm.html", context, status=422 if problem else 200)


# --- downloads ----------------------------------------------------------------------------------------------------------


@require_GET
@permission_required("crm.update_records", "crm.export_records")
def plan_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The plan as a file: id, name, present and new value, what happens and why."""
    run = _plan_or_404(request, pk)
    field = run.parameters.get("field", "")
    audit.record("plan downloaded", user=request.user, address=client_address(request), target=run.title, run=run)
    items = run.items.order_by("position").iterator(chunk_size=2000)
    rows = (
        (
            item.key,
            item.label,
            queries.value_of(item, "before", field),
            queries.value_of(item, "after", field),
            item.get_state_display(),
            item.code,
            item.message,
        )
        for item in items
    )
    header = ("id", "name", "current", "new_value", "state", "code", "note")
    return _csv(f"plan-of-run-{run.pk}", rows_as_csv(header, rows))


@require_GET
@permission_required("crm.update_records")
def rejects_csv(request: HttpRequest, pk: int) -> StreamingHttpResponse:
    """The lines that the cleaning left out, with their reasons."""
    run = _plan_or_404(request, pk)
    rejects = run.parameters.get("cleaning", {}).get("rejects", [])
    return _csv(f"rejected-lines-of-run-{run.pk}", rows_as_csv(("line", "text", "reason"), rejects))


def _csv(name: str, content: Any) -> StreamingHttpResponse:
    stamp = timezone.localtime().strftime("%Y%m%d-%H%M%S")
    headers = {"Content-Disposition": f'attachment; filename="{name}-{stamp}.csv"'}
    return StreamingHttpResponse(content, content_type="text/csv; charset=utf-8", headers=headers)
