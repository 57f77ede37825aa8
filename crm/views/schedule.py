"""The page on which a scheduled bulk update is made."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from crm import bulk_update, metadata
from crm.schedule_forms import ScheduleForm
from portal import connections, schedules
from portal.access import client_address, permission_required
from portal.models import Connection
from portal.remote import errors


@require_http_methods(["GET", "POST"])
@permission_required("portal.add_schedule", "crm.update_records")
def new(request: HttpRequest) -> HttpResponse:
    connection = connections.choose(None)
    if connection is None:
        return render(request, "crm/bulk_update_no_connection.html")
    module = str(request.POST.get("module") or request.GET.get("module") or "Leads")
    try:
        form = _form(request, connection, module)
    except errors.RemoteError as error:
        return render(request, "crm/schedule_new.html", {"problem": errors.describe(error), "module": module})
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        schedules.create(
            name=data["name"], kind=bulk_update.KIND, connection=connection, cron=data["cron"], zone=data["zone"],
            missed=data["missed"], parameters=_parameters(form, module), user=request.user,
            address=client_address(request),
        )  # fmt: skip
        messages.success(request, f"The schedule “{data['name']}” is active.")
        return redirect("schedules")
    context = {"form": form, "module": module, "connection": connection}
    return render(request, "crm/schedule_new.html", context)


def _form(request: HttpRequest, connection: Connection, module: str) -> ScheduleForm:
    fields = metadata.picklist_fields(connection, module)
    wanted = request.POST.get("field") or request.GET.get("field") or "Lead_Status"
    chosen = next((entry for entry in fields if entry.api_name == wanted), fields[0] if fields else None)
    offer = metadata.offer(module, chosen) if chosen else None
    initial: dict[str, Any] = {"field": chosen.api_name if chosen else "", "value": offer.default if offer else ""}
    views = metadata.views(connection, module)
    return ScheduleForm(request.POST or None, views=views, fields=fields, offer=offer, initial=initial)


def _parameters(form: ScheduleForm, module: str) -> dict[str, Any]:
    data = form.cleaned_data
    kept = {name: data[name] for name in ("view", "field", "value", "automation")}
    return kept | {"module": module, "view_name": form.views[data["view"]]}
