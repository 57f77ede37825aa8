"""What the board of missed calls shows, with a fixed number of queries."""

from __future__ import annotations

import datetime as dt
import statistics
from collections import defaultdict, deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from django.db.models import Case, Count, F, OrderBy, Q, QuerySet, When
from django.utils import timezone

from portal.access import Person
from telephony.models import Call, Caller, MissedCard
from telephony.queries import NO_OFFICE, calls_for, within_offices
from telephony.reasons import IGNORED

State = MissedCard.State
# Older waits are one click away: after a back-fill of a year nobody wants them among those of today.
SHOWN_DAYS = 30
CLOSED_DAYS = 7
# Of one column, at first and at most.
SOME_CARDS, MOST_CARDS = 40, 400
# Of the attempts of one card, the last ones: a machine rings ten thousand times.
SHOWN_CALLS = 50
# The last quarter of the time until a card is due.
SOON = 0.25


@dataclass(frozen=True)
class BoardChoice:
    """`office`: a slug, NO_OFFICE, or "" for all; `mine`: what the person took; `older`: waits of any age.

    `cards`: how many of each column.
    """

    office: str = ""
    mine: bool = False
    older: bool = False
    cards: int = SOME_CARDS


@dataclass(frozen=True)
class Urgency:
    """How a wait stands to its target: a tone and words, never a colour alone."""

    tone: str
    icon_name: str
    words: str


@dataclass
class BoardRow:
    """`told`: what the log gave in place of a complete number; `closing`: the call back, if the person may see it."""

    card: MissedCard
    told: str
    calls: Sequence[Call]
    closing: Call | None
    urgency: Urgency | None
    record: Caller | None
    record_link: str = ""

    @property
    def unlisted(self) -> int:
        """Attempts that are not among the calls."""
        return self.card.attempts - len(self.calls)

    @property
    def waited(self) -> dt.timedelta:
        return (self.card.closed_at or timezone.now()) - self.card.opened_at


@dataclass(frozen=True)
class Column:
    state: str
    label: str
    count: int
    rows: list[BoardRow]

    @property
    def more(self) -> int:
        return self.count - len(self.rows)


@dataclass(frozen=True)
class BoardFacts:
    """Counts of the board, and how quickly callers of the last days were called back."""

    open: int
    overdue: int
    older: int
    withheld: int
    in_time: int
    with_target: int
    median: dt.timedelta | None


def cards_for(user: Person) -> QuerySet[MissedCard]:
    """Cards of the person's own offices; people who belong to no office see all."""
    return within_offices(MissedCard.objects.all(), user)


def open_counts(user: Person, now: dt.datetime) -> dict[str, int]:
    """`open` and `overdue` waits of the last days, for the home page: one query."""
    rows = cards_for(user).filter(state=State.OPEN, opened_at__gt=now - dt.timedelta(days=SHOWN_DAYS)).order_by()
    return rows.aggregate(open=Count("pk"), overdue=Count("pk", filter=Q(due_at__lt=now)))


def card_of(call: Call) -> MissedCard | None:
    """The card that a missed call belongs to."""
    if not call.is_missed:
        return None
    cards = MissedCard.objects.filter(connection_id=call.connection_id).select_related("closed_by", "taken_by")
    if not call.number:
        return cards.filter(first_call=call).first()
    on_line = cards.filter(number=call.number, line=call.line)
    return on_line.filter(opened_at__lte=call.started_at, last_at__gte=call.started_at).first()


def _chosen(user: Person, choice: BoardChoice) -> QuerySet[MissedCard]:
    rows = cards_for(user)
    if choice.office == NO_OFFICE:
        rows = rows.filter(office__isnull=True)
    elif choice.office:
        rows = rows.filter(office__slug=choice.office)
    return rows.filter(taken_by_id=user.pk) if choice.mine else rows


def columns(user: Person, choice: BoardChoice, now: dt.datetime, *, with_calls: bool = True) -> list[Column]:
    """The four columns, what was closed last on top.

    Of the open ones those that can still be called back in time come first, by when they are due; then those that are
    overdue, the latest first: who was missed an hour ago is reached more easily than who was missed last week.
    """
    chosen = _chosen(user, choice).select_related("office", "taken_by", "closed_by")
    conditions = {state: Q(state=state, closed_at__gt=now - dt.timedelta(days=CLOSED_DAYS)) for state in State}
    conditions[State.OPEN] = Q(state=State.OPEN)
    if not choice.older:
        conditions[State.OPEN] &= Q(opened_at__gt=now - dt.timedelta(days=SHOWN_DAYS))
    sums = {state.value: Count("pk", filter=condition) for state, condition in conditions.items()}
    counts = chosen.order_by().aggregate(**sums)
    cards: dict[str, list[MissedCard]] = {}
    told: dict[int, str] = {}
    for state, condition in conditions.items():
        order = _open_order(now) if state == State.OPEN else (F("closed_at").desc(),)
        rows = chosen.filter(condition).annotate(told=F("first_call__number_told")).order_by(*order, "pk")
        some = list(rows[: choice.cards])
        cards[state] = list(some)
        told |= {card.pk: card.told for card in some}
    shown = [card for some in cards.values() for card in some]
    calls, closing = _calls_of(user, shown) if with_calls else ({}, {})
    records = _records(shown)
    return [
        Column(
            state.value, str(state.label), counts[state.value],
            [
                BoardRow(
                    card, told[card.pk], calls.get(card.pk, ()), closing.get(card.closing_call_id or 0),
                    _urgency(card, now), records.get(card.number),
                )
                for card in cards[state]
            ],
        )
        for state in State
    ]  # fmt: skip


def _open_order(now: dt.datetime) -> tuple[OrderBy, ...]:
    in_time = Case(When(due_at__gte=now, then=F("due_at")))
    return in_time.asc(nulls_last=True), F("opened_at").desc()


def _calls_of(user: Person, cards: Iterable[MissedCard]) -> tuple[dict[int, deque[Call]], dict[int, Call]]:
    """The last missed calls of each card, the earliest first, and the calls that closed them: one query."""
    by_number: dict[str, list[MissedCard]] = defaultdict(list)
    for card in cards:
        by_number[card.number].append(card)
    closing_ids = {card.closing_call_id for some in by_number.values() for card in some}
    withheld = {card.first_call_id: card for card in by_number.pop("", [])}
    earliest = min((card.opened_at for some in by_number.values() for card in some), default=timezone.now())
    missed = Q(number__in=by_number, started_at__gte=earliest, outcome__in=Call.MISSED_OUTCOMES)
    rows = calls_for(user).filter(
        Q(pk__in=withheld) | Q(pk__in=closing_ids - {None}) | missed & ~Q(reason_code=IGNORED)
    )
    wanted = rows.only("connection", "number", "line", "outcome", "started_at").order_by("started_at", "pk")
    found: dict[int, deque[Call]] = defaultdict(lambda: deque(maxlen=SHOWN_CALLS))
    closing: dict[int, Call] = {}
    for call in wanted.iterator(chunk_size=1000):
        if call.pk in closing_ids:
            closing[call.pk] = call
        elif call.pk in withheld:
            found[withheld[call.pk].pk].append(call)
        for card in by_number.get(call.number, ()) if call.is_missed else ():
            is_its = (card.line, card.connection_id) == (call.line, call.connection_id)
            if is_its and card.opened_at <= call.started_at <= card.last_at:
                found[card.pk].append(call)
    return found, closing


def _records(cards: Iterable[MissedCard]) -> dict[str, Caller]:
    """The record in Zoho that calls with a number belong to, first of all that of the default connection: one query."""
    rows = Caller.objects.filter(number__in={card.number for card in cards} - {""}).exclude(record_id="")
    return {row.number: row for row in rows.order_by("connection__is_default", "pk")}


def _urgency(card: MissedCard, now: dt.datetime) -> Urgency | None:
    """Of an open card how much of its time is left; of one called back whether that was in time; None without a target."""
    if card.due_at is None or card.state in MissedCard.DECIDED:
        return None
    if card.state == State.CALLED_BACK:
        in_time = card.closed_at is not None and card.closed_at <= card.due_at
        return Urgency("success", "circle-check", "in time") if in_time else Urgency("warning", "clock", "late")
    if now > card.due_at:
        return Urgency("danger", "alert-triangle", "overdue")
    is_soon = card.due_at - now < (card.due_at - card.opened_at) * SOON
    return Urgency("warning", "hourglass", "due soon") if is_soon else Urgency("success", "clock", "in time")


def facts(user: Person, choice: BoardChoice, now: dt.datetime) -> BoardFacts:
    """Three queries."""
    chosen = _chosen(user, choice).order_by()
    shown_since, closed_since = now - dt.timedelta(days=SHOWN_DAYS), now - dt.timedelta(days=CLOSED_DAYS)
    is_shown = Q(state=State.OPEN) if choice.older else Q(state=State.OPEN, opened_at__gt=shown_since)
    counts = chosen.aggregate(
        open=Count("pk", filter=is_shown), overdue=Count("pk", filter=is_shown & Q(due_at__lt=now)),
        older=Count("pk", filter=Q(state=State.OPEN, opened_at__lte=shown_since)),
    )  # fmt: skip
    returned = chosen.filter(state=State.CALLED_BACK, closed_at__gt=closed_since)
    rows = [
        (opened, closed, due)
        for opened, closed, due in returned.values_list("opened_at", "closed_at", "due_at")
        if closed is not None
    ]
    waits = [(closed - opened).total_seconds() for opened, closed, _ in rows]
    withheld = calls_for(user).filter(number="", outcome=Call.Outcome.MISSED, started_at__gt=closed_since)
    if choice.office == NO_OFFICE:
        withheld = withheld.filter(office__isnull=True)
    elif choice.office:
        withheld = withheld.filter(office__slug=choice.office)
    return BoardFacts(
        **counts,
        withheld=withheld.count(),
        with_target=sum(due is not None for _, _, due in rows),
        in_time=sum(due is not None and closed <= due for _, closed, due in rows),
        median=dt.timedelta(seconds=statistics.median(waits)) if waits else None,
    )
