"""The home page: is everything fine, and if not, where to go. The only core module that may look at the apps."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from django.db.models import Sum
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET

from crm import bulk_update
from portal import connections, queries
from portal.access import Person
from portal.context import CREDIT_WINDOW
from portal.models import ApiUsage, Connection, Run, Vendor, Worker
from portal.tables import RunTable
from telephony import missed_queries, setup_steps
from telephony import queries as telephony_queries

RECENT = 8
SHOWN_ENDPOINTS = 6


@dataclass(frozen=True)
class Usage:
    """Calls and credits of one endpoint in the last 24 hours."""

    endpoint: str
    calls: int
    failures: int
    credits: int


@dataclass(frozen=True)
class Step:
    """One line of the first-run checklist."""

    label: str
    text: str
    url: str
    is_done: bool


@require_GET
def home(request: HttpRequest) -> HttpResponse:
    """Everybody who is logged in; runs only with the right to look at them."""
    now = timezone.now()
    tiles = _tiles(request)
    context: dict[str, Any] = {"tiles": tiles, "worker": Worker.objects.order_by("-heartbeat_at").first(), "now": now}
    zoho = tiles[0][1]
    context["usage"] = usage_of(zoho, now) if zoho else []
    if request.user.has_perm("portal.view_run"):
        recent = queries.runs_of(queries.RunChoice())[:RECENT]
        context["needing"] = queries.needing(request.user, now)
        context["recent"] = RunTable(recent, orderable=False, exclude=("duration",))
        context["last_end"] = (
            Run.objects.filter(state__in=Run.CLOSED).order_by("-pk").values_list("finished_at").first()
        )
    context["steps"] = checklist(zoho, request.user)
    context["is_new"] = not all(step.is_done for step in context["steps"])
    if request.user.has_perm("telephony.view_calls"):
        context["calls"] = telephony_queries.sync_state(request.user)
        context["missed"] = missed_queries.open_counts(request.user, now)
        # Who uses the bulk update only is not asked to set up phones.
        if any(vendor == Vendor.RINGCENTRAL and found for vendor, found in tiles):
            context["call_steps"] = setup_steps.checklist(request.user)
            context["calls_are_new"] = not all(step.is_done for step in context["call_steps"])
    return render(request, "portal/home.html", context)


def _tiles(request: HttpRequest) -> list[tuple[Vendor, Connection | None]]:
    """For each vendor the connection this login session works with: its choice, the default, or any."""
    rows = list(connections.visible_in(request))
    chosen = request.session.get(connections.CHOICE, {})
    tiles = []
    for vendor in Vendor:
        own = [row for row in rows if row.vendor == vendor]
        own.sort(key=lambda row: (row.pk != chosen.get(row.vendor), not row.is_default, row.pk))
        tiles.append((vendor, own[0] if own else None))
    return tiles


def usage_of(connection: Connection, now: dt.datetime) -> list[Usage]:
    """The endpoints that cost most in the last 24 hours."""
    rows = ApiUsage.objects.filter(key=connection.limit_key, hour__gt=now - CREDIT_WINDOW).order_by()
    totals = rows.values_list("endpoint").annotate(Sum("calls"), Sum("failures"), spent=Sum("credits"))
    return [Usage(*row) for row in totals.order_by("-spent", "endpoint")[:SHOWN_ENDPOINTS]]


def checklist(zoho: Connection | None, user: Person) -> list[Step]:
    """What a new portal needs before its first result; the page shows it until all is done."""
    is_working = zoho is not None and zoho.state == Connection.State.WORKING
    has_updated = Run.objects.filter(kind=bulk_update.KIND, confirmed_at__isnull=False).exists()
    connection_url = zoho.get_absolute_url() if zoho else reverse("connections")
    may_connect = user.has_perm("portal.view_connection")
    may_update = user.has_perm("crm.update_records")
    new_url = reverse("connection-new") if user.has_perm("portal.manage_connections") else ""
    return [
        Step(
            "Connect Zoho CRM", "Sign in to Zoho once, or set the variables on the server.", new_url, zoho is not None
        ),
        Step(
            "Check the connection",
            "The check says which account answers, and what it may do.",
            connection_url if may_connect else "",
            is_working or has_updated,
        ),
        Step(
            "First bulk update",
            "A preview comes first; nothing is written before you confirm it.",
            reverse("bulk-update") if may_update and zoho else "",
            has_updated,
        ),
    ]
