"""Pages of the core: runs, their records, the audit, schedules, the health check."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.cache import patch_vary_headers
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST

from portal import audit, queries, run_account, runs, schedules
from portal import help_page as help_words
from portal.access import client_address, may_operate, may_use, permission_required
from portal.csvfiles import rows_as_csv
from portal.forms import AuditFilter, ItemFilter, RunFilter
from portal.models import AuditEntry, Run, Schedule
from portal.run_page import TABS, items_part, live_part, page_context
from portal.tables import AuditTable, RunTable, ScheduleTable, paged

STOP_POLLING = 286  # htmx ends its polling when it gets this status


@login_not_required
@never_cache
@require_GET
def healthz(request: HttpRequest) -> HttpResponse:
    """For load balancers and monitors: no login, no secrets, no versions."""
    health = queries.health()
    return JsonResponse(health, status=200 if health["database"] == "ok" else 503)


@require_GET
def help_page(request: HttpRequest) -> HttpResponse:
    """Everybody who is logged in."""
    return render(request, "portal/help.html", help_words.context(request.user))


# --- runs -------------------------------------------------------------------------------------------------------------


@permission_required("portal.view_run")
@require_GET
def run_list(request: HttpRequest) -> HttpResponse:
    choice = RunFilter(request.GET).to_choice()
    facets = queries.run_facets(choice)
    context = {
        "table": paged(request, RunTable(queries.runs_of(choice))),
        "choice": choice,
        "facets": facets,
        "waiting": queries.waiting_runs(choice) if not choice.state else [],
        "refreshes": facets.open_count > 0,
        "checked_at": timezone.now(),
    }
    return _page_or_part(request, "portal/run_list.html", "portal/_run_list.html", context)


@permission_required("portal.view_run")
@require_GET
def run_page(request: HttpRequest, pk: int) -> HttpResponseBase:
    run = get_object_or_404(run_account.runs_with_relations(), pk=pk)
    if _wants_part(request):
        return run_items(request, pk)
    tab = request.GET.get("tab", TABS[0])
    return _varying(render(request, "portal/run.html", page_context(request, run, tab)))


@permission_required("portal.view_run")
@require_GET
def run_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """The part that is asked for every two seconds; its last answer says so and brings the rest up to date."""
    run = get_object_or_404(run_account.runs_with_relations(), pk=pk)
    context = live_part(run, request.user)
    context["actions_too"] = request.GET.get("seen") != run.state
    response = render(request, "portal/_run_progress.html", context)
    if not context["live"].polls:
        response.status_code = STOP_POLLING
        response.headers["HX-Trigger"] = "run-ended"
    return response


@permission_required("portal.view_run")
@require_GET
def run_items(request: HttpRequest, pk: int) -> HttpResponse:
    run = get_object_or_404(run_account.runs_with_relations(), pk=pk)
    return _varying(render(request, "portal/_run_items.html", items_part(request, run)))


@permission_required("portal.view_run", "crm.export_records")
@require_GET
def run_items_csv(request: HttpRequest, pk: int) -> HttpResponseBase:
    run = get_object_or_404(Run, pk=pk)
    choice = ItemFilter(request.GET).to_choice()
    audit.record(
        "run records downloaded", user=request.user, address=client_address(request), target=run.title, run=run,
        outcome=choice.state or "all", code=choice.code,
    )  # fmt: skip
    rows = run_account.csv_rows(run_account.items_of(run, choice, request.user))
    return _csv(f"run-{run.pk}-{choice.state or 'all'}", run_account.CSV_HEADER, rows)


@require_POST
@permission_required("portal.view_run", "portal.operate_run")
def run_stop(request: HttpRequest, pk: int) -> HttpResponse:
    run = _operable(request, pk)
    was_plan = run.waits_for_people
    if not runs.stop(run, user=request.user, address=client_address(request)):
        messages.info(request, f"Run {pk} had ended already, nothing was stopped.")
    elif Run.objects.filter(pk=pk, state=Run.State.STOPPED).exists():
        done = "Nothing was written; Resume brings the plan back." if was_plan else "What was done stays done."
        messages.success(request, f"{'Plan' if was_plan else 'Run'} {pk} is stopped. {done}")
    else:
        messages.success(request, f"Run {pk} stops after the calls in flight. What was done stays done.")
    return redirect("run", pk)


@require_POST
@permission_required("portal.view_run", "portal.operate_run")
def run_resume(request: HttpRequest, pk: int) -> HttpResponse:
    run = _operable(request, pk)
    if not may_use(request.user, run.connection):
        raise PermissionDenied
    if runs.resume(run, user=request.user, address=client_address(request)):
        messages.success(request, f"Run {pk} goes on from where it is. Records that are done are not repeated.")
    else:
        messages.info(request, f"Run {pk} cannot be resumed: it is at work, waits for a decision, or is finished.")
    return redirect("run", pk)


def _operable(request: HttpRequest, pk: int) -> Run:
    run = get_object_or_404(Run, pk=pk)
    if not may_operate(request.user, run):
        raise PermissionDenied
    return run


# --- the audit --------------------------------------------------------------------------------------------------------


@permission_required("portal.view_auditentry")
@require_GET
def audit_list(request: HttpRequest) -> HttpResponseBase:
    form = AuditFilter(request.GET, actions=queries.audit_actions())
    choice = form.to_choice()
    entries: QuerySet[AuditEntry] = queries.audit_entries(choice)
    if request.GET.get("format") == "csv":
        rows = (queries.audit_row(entry) for entry in entries.iterator(chunk_size=2000))
        return _csv("audit", queries.AUDIT_HEADER, rows)
    context = {"form": form, "choice": choice, "table": paged(request, AuditTable(entries))}
    return render(request, "portal/audit_list.html", context)


# --- schedules ----------------------------------------------------------------------------------------------------------


@permission_required("portal.view_schedule")
@require_GET
def schedule_list(request: HttpRequest) -> HttpResponse:
    table = ScheduleTable(
        queries.schedules(),
        may_change=request.user.has_perm("portal.change_schedule"),
        may_remove=request.user.has_perm("portal.delete_schedule"),
    )
    return render(request, "portal/schedule_list.html", {"table": paged(request, table)})


@require_POST
@permission_required("portal.change_schedule")
def schedule_toggle(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = get_object_or_404(Schedule, pk=pk)
    is_active = schedules.toggle(schedule, user=request.user, address=client_address(request))
    what = "is active again; times that passed meanwhile are left out" if is_active else "is paused"
    messages.success(request, f"“{schedule.name}” {what}.")
    return redirect("schedules")


@require_POST
@permission_required("portal.delete_schedule")
def schedule_remove(request: HttpRequest, pk: int) -> HttpResponse:
    schedule = get_object_or_404(Schedule, pk=pk)
    schedules.remove(schedule, user=request.user, address=client_address(request))
    messages.success(request, f"“{schedule.name}” is removed. The runs that it started stay.")
    return redirect("schedules")


# --- shapes of answers --------------------------------------------------------------------------------------------------


def _wants_part(request: HttpRequest) -> bool:
    htmx: Any = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request


def _page_or_part(request: HttpRequest, page: str, part: str, context: dict[str, Any]) -> HttpResponse:
    return _varying(render(request, part if _wants_part(request) else page, context))


def _varying(response: HttpResponse) -> HttpResponse:
    """Page and part share an address, so a browser must not show one from its cache where the other belongs."""
    patch_vary_headers(response, ["HX-Request"])
    return response


def _csv(name: str, header: tuple[str, ...], rows: Iterable[tuple[Any, ...]]) -> StreamingHttpResponse:
    """A download in constant memory, its name with the time in UTC."""
    response = StreamingHttpResponse(rows_as_csv(header, rows), content_type="text/csv; charset=utf-8")
    response.headers["Content-Disposition"] = f'attachment; filename="{name}-{timezone.now():%Y%m%d-%H%M%S}.csv"'
    return response
