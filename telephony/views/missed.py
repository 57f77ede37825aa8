"""The board of missed calls, and what a person does with a card."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from django import forms
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_POST

from portal.access import client_address, permission_required, way_back
from telephony import missed_board, missed_queries, queries
from telephony.models import CallSettings, MissedCard
from telephony.queries import NO_OFFICE
from telephony.review import moment_seen
from telephony.tables import record_link

State = MissedCard.State


class CloseForm(forms.Form):
    """Words are wanted where nothing else says why nobody needs to call back."""

    reason = forms.CharField(
        label="Reason", max_length=200, error_messages={"required": "Say why: it is shown on the card."}
    )


@permission_required("telephony.view_calls")
@require_GET
def board(request: HttpRequest) -> HttpResponse:
    """`wall=1`: for a screen on the wall, which renews itself and has no buttons."""
    offices = list(queries.offices_for(request.user))
    wanted = request.GET.get("office", "")
    choice = missed_queries.BoardChoice(
        office=wanted if wanted == NO_OFFICE or any(each.slug == wanted for each in offices) else "",
        mine=request.GET.get("mine") == "1",
        older=request.GET.get("older") == "1",
        cards=_cards(request.GET.get("cards", "")),
    )
    now, is_wall = timezone.now(), request.GET.get("wall") == "1"
    columns = missed_queries.columns(request.user, choice, now, with_calls=not is_wall)
    may_view_records = request.user.has_perm("crm.view_records")
    for row in (row for column in columns for row in column.rows):
        if row.record is not None:
            row.record_link = record_link(row.record, may_view_records=may_view_records)
    context: dict[str, Any] = {
        "offices": offices,
        "choice": choice,
        "columns": columns,
        "facts": missed_queries.facts(request.user, choice, now),
        "target": CallSettings.load().call_back_minutes,
        "now": now,
        "is_wall": is_wall,
        "may_process": request.user.has_perm("telephony.process_calls") and not is_wall,
        "closed_days": missed_queries.CLOSED_DAYS,
        "shown_days": missed_queries.SHOWN_DAYS,
        "more_cards": min(choice.cards * 3, missed_queries.MOST_CARDS),
        "here": request.get_full_path(),
    }
    return render(request, "telephony/_missed_board.html" if request.htmx else "telephony/missed.html", context)  # type: ignore[attr-defined]


def _cards(text: str) -> int:
    wanted = int(text) if text.isdecimal() and len(text) < 6 else missed_queries.SOME_CARDS
    return min(max(wanted, missed_queries.SOME_CARDS), missed_queries.MOST_CARDS)


def _act(request: HttpRequest, pk: int, done: str, act: Callable[[MissedCard], str | None]) -> HttpResponse:
    """Does it with the card as the person saw it, and leads back to the board. What `act` says comes before `done`."""
    card = missed_queries.cards_for(request.user).select_related("connection").filter(pk=pk).first()
    if card is None and MissedCard.objects.filter(pk=pk).exists():
        raise Http404
    try:
        if card is None:
            raise missed_board.Stale(missed_board.GONE)
        # A form without the moment, or with nonsense: the card as it is now.
        card.changed_at = moment_seen(request.POST.get("seen", "")) or card.changed_at
        messages.success(request, act(card) or done)
    except missed_board.Stale as stale:
        messages.error(request, str(stale))
    return _back(request)


def _back(request: HttpRequest) -> HttpResponse:
    return HttpResponseRedirect(way_back(request, reverse("missed-calls")))


@require_POST
@permission_required("telephony.view_calls", "telephony.process_calls")
def take(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(
        request, pk, "You call back. The card closes by itself when RingCentral has the call.",
        lambda card: missed_board.take(card, user=request.user, address=client_address(request)),
    )  # fmt: skip


@require_POST
@permission_required("telephony.view_calls", "telephony.process_calls")
def give_back(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(
        request, pk, "Nobody has this caller any more.",
        lambda card: missed_board.give_back(card, user=request.user, address=client_address(request)),
    )  # fmt: skip


@require_POST
@permission_required("telephony.view_calls", "telephony.process_calls")
def resolve(request: HttpRequest, pk: int) -> HttpResponse:
    return _close(request, pk, State.RESOLVED, "The card is resolved.")


@require_POST
@permission_required("telephony.view_calls", "telephony.process_calls")
def ignore(request: HttpRequest, pk: int) -> HttpResponse:
    return _close(
        request, pk, State.IGNORED, "The card is ignored. Another missed call of this number opens a new one."
    )


def _close(request: HttpRequest, pk: int, state: State, done: str) -> HttpResponse:
    form = CloseForm(request.POST)
    if not form.is_valid():
        messages.error(request, " ".join(str(error) for found in form.errors.values() for error in found))
        return _back(request)
    reason = form.cleaned_data["reason"]
    return _act(
        request, pk, done,
        lambda card: missed_board.close(
            card, state, reason=reason, user=request.user, address=client_address(request)
        ),
    )  # fmt: skip


@require_POST
@permission_required("telephony.view_calls", "telephony.process_calls")
def reopen(request: HttpRequest, pk: int) -> HttpResponse:
    return _act(
        request, pk, "The card is open again.",
        lambda card: missed_board.reopen(card, user=request.user, address=client_address(request)),
    )  # fmt: skip
