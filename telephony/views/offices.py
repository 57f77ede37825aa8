"""The offices at a glance, what is still to be set up, and the comparison with the vendors."""

from __future__ import annotations

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_GET, require_POST

from crm.zoho.client import ZohoClient
from portal import audit, connections
from portal.access import client_address, permission_required
from portal.models import Connection, Vendor
from portal.remote import errors
from telephony import directory, queries, run_mail, setup_steps
from telephony.models import CallSettings, Extension
from telephony.ringcentral.client import RingCentralClient


@permission_required("telephony.view_calls")
@require_GET
def offices(request: HttpRequest) -> HttpResponse:
    steps = setup_steps.checklist(request.user)
    context = {
        "offices": queries.offices_overview(request.user),
        "steps": steps,
        "open_steps": sum(not step.is_done for step in steps),
        "unassigned": Extension.objects.filter(office__isnull=True, is_gone=False, process_calls=True).count(),
        "settings": CallSettings.load(),
        "may_configure": request.user.has_perm("telephony.configure_calls"),
    }
    return render(request, "telephony/offices.html", context)


@require_POST
@permission_required("telephony.view_calls", "telephony.configure_calls")
def sync_extensions(request: HttpRequest) -> HttpResponse:
    _compare(request, Vendor.RINGCENTRAL, _extensions)
    return redirect("offices")


@require_POST
@permission_required("telephony.view_calls", "telephony.configure_calls")
def sync_owners(request: HttpRequest) -> HttpResponse:
    """The address may name the office whose owners the person was looking at; all owners are compared."""
    _compare(request, Vendor.ZOHO, _owners)
    office = queries.offices_for(request.user).filter(slug=request.GET.get("office", "")).first()
    return redirect(f"{reverse('lead-owners')}?office={office.slug}" if office else "lead-owners")


@require_POST
@permission_required("telephony.view_calls", "telephony.configure_calls")
def test_mail(request: HttpRequest) -> HttpResponse:
    """Sends a mail over the server of the reports to the person who asks, and says what came of it."""
    try:
        address = run_mail.send_test(request.user)
        messages.success(request, f"A test mail is on its way to {address}.")
    except run_mail.NotSent as problem:
        messages.error(request, str(problem))
    return redirect("offices")


def _extensions(connection: Connection) -> directory.SyncReport:
    with RingCentralClient(connections.session_for(connection, read_only=True)) as client:
        return directory.sync_extensions(client, connection)


def _owners(connection: Connection) -> directory.SyncReport:
    with ZohoClient(connections.session_for(connection, read_only=True)) as client:
        return directory.sync_owners(client, connection)


def _compare(request: HttpRequest, vendor: Vendor, compare: Callable[[Connection], directory.SyncReport]) -> None:
    """Reads the vendor's list while the person waits, and says what was found; local choices stay."""
    connection = connections.choose(None, vendor)
    if connection is None:
        messages.error(request, f"There is no connection to {vendor.label} yet. Add one on the Connections page.")
        return
    try:
        report = compare(connection)
    except errors.RemoteError as error:
        advice = errors.describe(error)
        messages.error(request, f"Nothing was changed. {advice.what} {advice.remedy}")
        return
    audit.record(
        "directory compared", user=request.user, address=client_address(request), target=report.subject,
        listed=report.listed, changes=[f"{what} {count}" for what, count in report.counts.items()],
    )  # fmt: skip
    if report.problem:
        messages.warning(request, report.problem)
    else:
        messages.success(request, str(report))
