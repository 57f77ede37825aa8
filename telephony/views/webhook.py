"""The webhook: where RingCentral's events arrive, and the page on which it is switched on and off."""

from __future__ import annotations

import json
import logging

from csp.decorators import csp_exempt
from django.contrib import messages
from django.contrib.auth.decorators import login_not_required
from django.db import DatabaseError
from django.http import HttpRequest, HttpResponse, HttpResponseNotAllowed, UnreadablePostError
from django.shortcuts import redirect, render
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_http_methods

from portal import connections
from portal.access import client_address, permission_required
from portal.fields import Undecryptable
from portal.models import Connection, Schedule, Vendor
from portal.queries import WITHOUT_SECRETS
from portal.remote.errors import Advice
from telephony import queries, sooner, webhook
from telephony.models import Subscription

logger = logging.getLogger(__name__)

# Events of a call have one to a few kilobytes.
LONGEST_BODY = 64 * 1024
LONGEST_TOKEN = 256
SESSIONS = "/telephony/sessions"
# The reference names both, and leaves open which one a delivery carries.
TOKEN_HEADERS = ("Verification-Token", "Validation-Token")


# --- events -----------------------------------------------------------------------------------------------------------


@csrf_exempt
@csp_exempt()  # type: ignore[arg-type]  # the package types views without arguments only
@login_not_required
def events(request: HttpRequest, key: str) -> HttpResponse:
    """POST by RingCentral: a validation, whose token is echoed, or an event. What is wrong gets no explanation.

    RingCentral waits 3 seconds, takes 1,024 bytes of a validation's answer including the headers, and stops for good
    after a failed delivery.
    """
    try:
        row = webhook.find(key)
    except Undecryptable:
        logger.warning("an event was refused: the verification token of its subscription cannot be decrypted")
        return HttpResponse(status=403)
    if request.method != "POST":
        return HttpResponseNotAllowed(["POST"])
    length = int(request.META.get("CONTENT_LENGTH") or 0) if _has_plain_length(request) else -1
    if row is None:
        return HttpResponse(status=403)
    if not 0 <= length <= LONGEST_BODY:
        return HttpResponse(status=400)
    if length == 0:
        return _echo(request, row)
    if not webhook.is_verified(row, [request.headers.get(name, "") for name in TOKEN_HEADERS]):
        return HttpResponse(status=403)
    return _take(request, row)


def _has_plain_length(request: HttpRequest) -> bool:
    told = request.META.get("CONTENT_LENGTH") or "0"
    return told.isascii() and told.isdigit() and len(told) < 12


def _echo(request: HttpRequest, row: Subscription) -> HttpResponse:
    """The handshake: RingCentral's own token comes back, unless it came with a wrong one of ours."""
    token = request.headers.get("Validation-Token", "")
    given = request.headers.get("Verification-Token")
    if given is not None and not webhook.is_verified(row, [given]):
        return HttpResponse(status=403)
    if not token or len(token) > LONGEST_TOKEN or not (token.isascii() and token.isprintable()):
        return HttpResponse(status=400)
    return HttpResponse(status=200, headers={"Validation-Token": token}, content_type="text/plain")


def _take(request: HttpRequest, row: Subscription) -> HttpResponse:
    try:
        event = json.loads(request.body)
    except (ValueError, RecursionError, UnreadablePostError):
        return HttpResponse(status=400)
    if not isinstance(event, dict):
        return HttpResponse(status=400)
    if str(event.get("event", "")).partition("?")[0].endswith(SESSIONS):
        try:
            webhook.note_event(row, may_be_end=webhook.is_end(event))
        except DatabaseError:
            # RingCentral would stop for good, where the next reading by schedule loses nothing.
            logger.exception("an event could not be noted")
    return HttpResponse(status=200, content_type="text/plain")


# --- the page ---------------------------------------------------------------------------------------------------------


@require_http_methods(["GET", "POST"])
@permission_required("telephony.view_calls", "telephony.configure_calls")
def page(request: HttpRequest) -> HttpResponse:
    connection = connections.choose(None, Vendor.RINGCENTRAL)
    if request.method == "POST":
        if connection is None:
            messages.error(request, "There is no connection to RingCentral yet. Add one on the Connections page.")
        else:
            _act(request, connection)
        return redirect("call-webhook")
    row = _row(connection)
    what, _, remedy = row.reason.partition("\n") if row is not None else ("", "", "")
    context = {
        "connection": connection,
        "row": row,
        "is_on": row is not None and row.state != Subscription.State.OFF,
        "what": what,
        "remedy": remedy,
        "missing": _missing(),
        "masked": _masked(row),
        "unannounced": webhook.unannounced(row) if row is not None else 0,
        "delay_s": int(sooner.delay().total_seconds()),
        "has_schedule": Schedule.objects.filter(kind=queries.RUN_KIND, is_active=True).exists(),
    }
    return render(request, "telephony/webhook.html", context)


def _row(connection: Connection | None) -> Subscription | None:
    rows = Subscription.objects.select_related("connection").defer(*WITHOUT_SECRETS, "verification")
    return rows.filter(connection=connection).first() if connection is not None else None


def _missing() -> Advice | None:
    """What of the settings keeps RingCentral from reaching the portal."""
    try:
        webhook.origin()
    except webhook.Refused as refused:
        return refused.advice
    return None


def _masked(row: Subscription | None) -> str:
    """The address with the beginning of its key: enough to tell it in RingCentral's lists."""
    return row.address.replace(row.key, f"{row.key[:6]}…") if row is not None and row.address else ""


def _act(request: HttpRequest, connection: Connection) -> None:
    act, row, address = request.POST.get("act"), _row(connection), client_address(request)
    if act == "on":
        try:
            _tell(request, webhook.switch_on(connection, user=request.user, address=address))
        except webhook.Refused as refused:
            messages.error(request, f"{refused.advice.what} {refused.advice.remedy}")
    elif act == "off" and row is not None:
        if webhook.switch_off(row, user=request.user, address=address):
            messages.success(request, "The webhook is switched off, and ended at RingCentral.")
        else:
            messages.warning(
                request,
                "The webhook is switched off: events are refused. RingCentral could not be told; the portal tries that "
                "again each hour.",
            )
    elif act == "check" and row is not None and row.state != Subscription.State.OFF:
        webhook.look_after(row, is_awaited=True)
        _tell(request, row)


def _tell(request: HttpRequest, row: Subscription) -> None:
    if row.state == Subscription.State.ACTIVE and not row.reason:
        messages.success(request, "RingCentral tells the portal of calls.")
    else:
        messages.error(request, f"It does not work: {' '.join(row.reason.splitlines())}")
