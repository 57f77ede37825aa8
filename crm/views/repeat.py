"""What can be done with a run that has ended: repeat what failed, or put back what it overwrote."""

from __future__ import annotations

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_http_methods

from crm import bulk_update, loading, restore
from crm import retry as retries
from portal.access import client_address, may_operate, may_use, permission_required
from portal.models import Run, RunItem


def _run_or_403(request: HttpRequest, pk: int) -> Run:
    run = get_object_or_404(Run.objects.select_related("connection"), pk=pk, kind__in=(bulk_update.KIND, restore.KIND))
    if not may_operate(request.user, run) or not may_use(request.user, run.connection):
        raise PermissionDenied
    return run


@require_http_methods(["GET", "POST"])
@permission_required("crm.update_records", "portal.operate_run")
def retry(request: HttpRequest, pk: int) -> HttpResponse:
    """Asks with the count (GET) and starts the retry (POST): all that failed, one code, or those selected."""
    run = _run_or_403(request, pk)
    wanted = request.POST if request.method == "POST" else request.GET
    codes, keys = wanted.getlist("code"), wanted.getlist("key")
    if "selected" in wanted and not keys:
        # Without this, nothing ticked would mean everything.
        messages.error(request, "No record was selected. Tick the records to retry, or use “Retry failed”.")
        return redirect("run", pk=run.pk)
    count = loading.chosen(run, retries.source_of(run, codes=codes, keys=keys)).count()
    if request.method == "POST":
        try:
            child = retries.start(run, codes=codes, keys=keys, user=request.user, address=client_address(request))
            return redirect("run", pk=child.pk)
        except bulk_update.Invalid as error:
            messages.error(request, str(error))
            return redirect("run", pk=run.pk)
    context = {"run": run, "count": count, "codes": codes, "keys": keys}
    return render(request, "crm/retry.html", context)


@require_http_methods(["GET", "POST"])
@permission_required("crm.update_records", "portal.operate_run")
def restore_run(request: HttpRequest, pk: int) -> HttpResponse:
    """Explains what a restore does (GET) and begins its plan (POST), which has a preview of its own."""
    run = _run_or_403(request, pk)
    if request.method == "POST":
        try:
            child = restore.start(
                run, user=request.user, automation=request.POST.get("automation") == "on",
                address=client_address(request),
            )  # fmt: skip
            return redirect("bulk-update-plan", pk=child.pk)
        except bulk_update.Invalid as error:
            messages.error(request, str(error))
            return redirect("run", pk=run.pk)
    count = run.items.filter(state=RunItem.State.OK, before__isnull=False).count()
    return render(request, "crm/restore.html", {"run": run, "count": count})
