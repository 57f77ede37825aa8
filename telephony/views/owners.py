"""Who gets the new leads of an office: the pool, what comes next, plan and reality, and the log of decisions."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from django.contrib import messages
from django.db import transaction
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm.zoho.client import ZohoClient
from crm.zoho.schema import User
from portal import audit, connections
from portal.access import client_address, permission_required
from portal.models import Vendor
from portal.remote import errors
from portal.tables import paged
from telephony import assignment, directory, queries
from telephony.forms import OwnerForm, owner_initial
from telephony.models import AssignmentRules, LeadOwner, Office
from telephony.tables import DecisionTable

NEXT_LEADS = 20
DAYS = 30


@permission_required("telephony.view_calls")
@require_GET
def owners(request: HttpRequest) -> HttpResponse:
    offices = list(queries.offices_for(request.user))
    office = next((each for each in offices if each.slug == request.GET.get("office")), offices[0] if offices else None)
    context: dict[str, Any] = {"offices": offices, "office": office}
    if office is not None:
        context |= _of_office(request, office)
    return render(request, "telephony/owners.html", context)


def _of_office(request: HttpRequest, office: Office) -> dict[str, Any]:
    now = timezone.now()
    pool = queries.pool(office, now)
    shares = assignment.planned_and_actual(office, now - dt.timedelta(days=DAYS))
    rules = AssignmentRules.objects.filter(office=office).prefetch_related("pools__owners").first()
    return {
        "rules": rules,
        "pool": [(row, _form(row.owner, office)) for row in pool],
        "is_empty": not any(row.is_available for row in pool),
        "next_owners": assignment.simulate(office, "", NEXT_LEADS),
        "departments": [
            (each.department, assignment.simulate(office, each.department, NEXT_LEADS)) for each in rules.pools.all()
        ] if rules is not None and rules.by_department else [],
        "shares": shares,
        "most": max([share.rotated + share.otherwise for share in shares] + [round(share.planned) for share in shares], default=0),
        "days": DAYS,
        "table": paged(request, DecisionTable(queries.decisions(office), zone=office.tz)),
        "may_configure": request.user.has_perm("telephony.configure_calls"),
        "now": now,
    }  # fmt: skip


def _form(owner: LeadOwner, office: Office) -> OwnerForm:
    return OwnerForm(initial=owner_initial(owner, office.tz), auto_id=f"owner-{owner.pk}-%s")


def _owner(request: HttpRequest, pk: int) -> LeadOwner:
    rows = LeadOwner.objects.filter(office__in=queries.offices_for(request.user))
    return get_object_or_404(rows.select_related("office"), pk=pk)


def _back(office: Office) -> HttpResponse:
    return redirect(f"{reverse('lead-owners')}?office={office.slug}")


@require_POST
@permission_required("telephony.view_calls", "telephony.configure_calls")
def toggle(request: HttpRequest, pk: int) -> HttpResponse:
    """Switches the owner on or off. The state to set is in the form, so that a second click changes nothing."""
    owner = _owner(request, pk)
    is_active = request.POST.get("active") == "on"
    if LeadOwner.objects.filter(pk=pk, is_active=not is_active).update(is_active=is_active):
        audit.record(
            "lead owner switched on" if is_active else "lead owner switched off", user=request.user,
            address=client_address(request), target=f"{owner.office}: {owner}",
        )  # fmt: skip
    messages.success(request, f"{owner} {'gets leads again' if is_active else 'gets no more leads'}.")
    return _back(owner.office)


@require_POST
@permission_required("telephony.view_calls", "telephony.configure_calls")
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """Weight and absence. The rotation keeps its values: the new weights count from the next lead on."""
    owner = _owner(request, pk)
    form = OwnerForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for found in form.errors.values() for error in found))
        return _back(owner.office)
    weight: Decimal = form.cleaned_data["weight"]
    away_until = form.away_until_in(owner.office.tz)
    audit.record(
        "lead owner changed", user=request.user, address=client_address(request), target=f"{owner.office}: {owner}",
        weight=str(weight), weight_before=str(owner.weight), away_until=away_until.isoformat() if away_until else "",
    )  # fmt: skip
    LeadOwner.objects.filter(pk=pk).update(weight=weight, away_until=away_until)
    messages.success(request, f"{owner} is changed. It counts from the next lead on; what was given stays.")
    return _back(owner.office)


# --- new ones from Zoho -------------------------------------------------------------------------------------------------


@permission_required("telephony.view_calls", "telephony.configure_calls")
@require_http_methods(["GET", "HEAD", "POST"])
def add(request: HttpRequest) -> HttpResponse:
    """Makes lead owners of users of Zoho, whom it reads anew each time. Office and role are in the address."""
    offices = list(queries.offices_for(request.user))
    office = _office_to_add_to(request, offices)
    # The default connection, because calls are written with that one.
    connection = connections.choose(None, Vendor.ZOHO)
    chosen = list(dict.fromkeys(request.POST.getlist("user")))
    role = request.GET.get("role", "")
    context: dict[str, Any] = {
        "offices": offices, "office": office, "connection": connection, "role": role, "chosen": chosen,
    }  # fmt: skip
    if request.method == "POST" and not chosen:
        messages.error(request, "Nobody was chosen, so nobody was added. Tick the users who are to get leads.")
        return redirect(request.get_full_path())
    if office is not None and connection is not None:
        try:
            with ZohoClient(connections.session_for(connection, read_only=True)) as client:
                if chosen:
                    return _add(request, office, client.users(), chosen)
                context["offer"] = directory.offer_users(client, office, role)
        except errors.RemoteError as error:
            context["problem"] = errors.describe(error)
    return render(request, "telephony/owners_add.html", context)


def _office_to_add_to(request: HttpRequest, offices: Sequence[Office]) -> Office | None:
    """The office that the address names. Only for looking the first one stands in for none."""
    slug = request.GET.get("office", "")
    office = next((each for each in offices if each.slug == slug), None)
    if office is None and (slug or request.method == "POST"):
        raise Http404
    return office or next(iter(offices), None)


def _add(request: HttpRequest, office: Office, users: Sequence[User], chosen: Sequence[str]) -> HttpResponse:
    """Adds those of the chosen who can be owners, and says of each other one why not."""
    by_id = {user.id: user for user in users}
    found = [by_id[each] for each in chosen if each in by_id]
    with transaction.atomic():
        made = directory.add_owners(office, [user for user in found if user.is_active])
        if made:
            audit.record(
                "lead owners added", user=request.user, address=client_address(request), target=str(office),
                zoho_ids=[owner.zoho_id for owner in made],
            )  # fmt: skip
    if made:
        words = f"{len(made):,} owner{'' if len(made) == 1 else 's'} added."
        messages.success(request, f"{words} They start level with the others.")
    added = {owner.zoho_id for owner in made}
    left_out = {
        f"an owner of {office} already": [
            user.name or user.id for user in found if user.is_active and user.id not in added
        ],
        "not active in Zoho": [user.name or user.id for user in found if not user.is_active],
        "no user of Zoho": [each[:30] for each in chosen if each not in by_id],
    }
    for reason, names in left_out.items():
        if names:
            messages.warning(request, f"Not added, {reason}: {', '.join(names)}.")
    return _back(office)
