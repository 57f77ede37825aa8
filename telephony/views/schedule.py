"""The page on which a schedule for calls is made."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.http import require_http_methods

from portal import connections, schedules
from portal.access import client_address, permission_required
from portal.models import Vendor
from telephony import queries
from telephony.schedule_forms import CallScheduleForm


@require_http_methods(["GET", "POST"])
@permission_required("portal.add_schedule", "telephony.process_calls")
def new(request: HttpRequest) -> HttpResponse:
    connection = connections.choose(None, Vendor.RINGCENTRAL)
    offices = list(queries.offices_for(request.user).filter(is_active=True))
    form = CallScheduleForm(request.POST or None, offices=offices)
    if request.method == "POST" and connection is not None and form.is_valid():
        data = form.cleaned_data
        schedules.create(
            name=data["name"], kind=queries.RUN_KIND, connection=connection, cron=data["cron"], zone=data["zone"],
            missed=data["missed"], parameters=form.parameters(), user=request.user, address=client_address(request),
        )  # fmt: skip
        messages.success(request, f"The schedule “{data['name']}” is active.")
        return redirect("schedules")
    context = {"form": form, "connection": connection, "offices": offices}
    return render(request, "telephony/schedule_new.html", context)
