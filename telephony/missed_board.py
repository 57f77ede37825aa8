"""The board of missed calls: cards follow the calls whenever they are folded; people take, close and reopen them.

A card closes by itself when somebody of ours has talked to the caller, from whichever extension. A call back from a
phone that RingCentral does not know closes nothing: a person does.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from django.db import transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from portal import audit
from portal.access import Person
from portal.models import Connection, Vendor
from portal.rows import overwrite
from portal.templatetags.portal import duration
from telephony import office_hours
from telephony.call_backs import COUNTED, LONGEST_TALK, Wait, fold_waits
from telephony.exclusions import Exclusions
from telephony.models import AssignmentRules, Call, CallSettings, MissedCard, Office
from telephony.reasons import IGNORED

State = MissedCard.State
CHUNK = 500
# Missed calls without a card are looked at again for so long: what hid them may have been a mistake.
LOOKED_BACK = dt.timedelta(days=30)
# What follows from the calls, and what people said on a card that has become a part of this one.
FOLLOWING = (
    "office", "line", "name", "first_call", "attempts", "voicemails", "tries", "opened_at", "last_at", "due_at", "state",
    "closed_at", "closing_call", "closed_by", "reason", "not_by", "taken_by", "taken_at",
)  # fmt: skip
# A reading locks cards in this order, and so does who locks several: else two would wait for each other.
LOCKED_BY = ("number", "pk")
GONE = "This card is gone: its calls need no call back after all, or belong to another card now."


class Stale(Exception):
    """The card is not as the person saw it; nothing was changed. The text says what it is now."""


class MissedBoard:
    """The cards of one account. Settings are read once, so that it serves one reading of the log and no longer."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    @cached_property
    def _exclusions(self) -> Exclusions:
        return Exclusions.load()

    @cached_property
    def _offices(self) -> dict[int, Office]:
        return {office.pk: office for office in Office.objects.all()}

    @cached_property
    def _hours(self) -> dict[int, AssignmentRules]:
        """Of the offices that have hours."""
        return {rules.office_id: rules for rules in AssignmentRules.objects.filter(office_hours_only=True)}

    @cached_property
    def _target(self) -> dt.timedelta:
        return dt.timedelta(minutes=CallSettings.load().call_back_minutes)

    @transaction.atomic
    def follow(self, calls: Collection[Call], left: Iterable[tuple[str, dt.datetime]] = ()) -> None:
        """Brings the cards in line with these calls, which were just stored, and all others with their numbers.

        `left`: number and start that some of them had before.
        """
        since: dict[str, dt.datetime] = {}
        for number, at in (*((call.number, call.started_at) for call in calls), *left):
            _note(since, number, at)
        by_pk = {call.pk: call for call in calls}
        keys = list(by_pk)
        for first in range(0, len(keys), CHUNK):
            self._follow_moved(by_pk, keys[first : first + CHUNK], since)
        self._follow_withheld([call for call in calls if not call.number])
        self._follow_numbers(since)

    @transaction.atomic
    def follow_again(self, cards: Iterable[MissedCard]) -> None:
        """Looks at the numbers of these cards again: settings, or what a person decided, may have changed them."""
        since: dict[str, dt.datetime] = {}
        withheld = []
        for card in cards:
            _note(since, card.number, card.opened_at)
            if not card.number:
                withheld.append(card.first_call_id)
        self._follow_withheld(list(self._calls().filter(pk__in=withheld)))
        self._follow_numbers(since)

    def look_again(self) -> None:
        """At all open cards, and at the missed calls that have none."""
        for cards in _in_chunks(self._cards().filter(state=State.OPEN)):
            self.follow_again(cards)
        on_card = MissedCard.objects.filter(
            connection=OuterRef("connection"), number=OuterRef("number"), line=OuterRef("line"),
            opened_at__lte=OuterRef("started_at"), last_at__gte=OuterRef("started_at"),
        )  # fmt: skip
        missed = self._calls().filter(outcome__in=Call.MISSED_OUTCOMES, merged_into__isnull=True)
        missed = missed.exclude(number="", outcome=Call.Outcome.MISSED).exclude(reason_code=IGNORED)
        for calls in _in_chunks(missed.filter(~Exists(on_card), started_at__gt=timezone.now() - LOOKED_BACK)):
            self.follow(calls)

    def _follow_moved(self, calls: dict[int, Call], keys: Sequence[int], since: dict[str, dt.datetime]) -> None:
        """A call that has another number now, or none, takes the card that it began, and leaves those of its old one."""
        moved = []
        for card in self._cards().filter(Q(first_call__in=keys) | Q(closing_call__in=keys)):
            _note(since, card.number, card.opened_at)
            first = calls.get(card.first_call_id)
            if first is not None and card.number != first.number:
                moved.append(card.pk)
        cards = list(self._cards().select_for_update().filter(pk__in=moved).order_by(*LOCKED_BY))
        for card in cards:
            card.number = calls[card.first_call_id].number
        overwrite(cards, ("number",))

    def _cards(self) -> Any:
        return MissedCard.objects.filter(connection=self._connection)

    def _calls(self) -> Any:
        rows = Call.objects.filter(connection=self._connection)
        return rows.select_related("answered_by", "extension").defer("legs", "candidates", "media", "outcome_reason")

    def _follow_withheld(self, calls: Sequence[Call]) -> None:
        """Callers without a number cannot be told apart nor called; a card is worth it where they left a message."""
        cards = {
            card.first_call_id: card
            for card in self._cards()
            .select_for_update()
            .filter(first_call__in=[call.pk for call in calls], number="")
            .order_by(*LOCKED_BY)
        }
        waits, over = [], []
        for call in calls:
            card = cards.get(call.pk)
            if call.outcome == Call.Outcome.VOICEMAIL and self._counts(call):
                decided = card if card is not None and card.state in MissedCard.DECIDED else None
                waits.append((Wait(call.line, [call], decided=decided), [card] if card else []))
            elif card is not None:
                over.append(card.pk)
        self._store(waits)
        MissedCard.objects.filter(pk__in=over).delete()

    def _follow_numbers(self, since: dict[str, dt.datetime]) -> None:
        numbers = sorted(since)
        for first in range(0, len(numbers), CHUNK):
            self._follow_some({number: since[number] for number in numbers[first : first + CHUNK]})

    def _follow_some(self, since: dict[str, dt.datetime]) -> None:
        cards: dict[str, list[MissedCard]] = defaultdict(list)
        for card in self._cards().select_for_update().filter(number__in=since).order_by(*LOCKED_BY):
            cards[card.number].append(card)
        begins = {number: _begin(cards[number], at) for number, at in since.items()}
        calls: dict[str, list[Call]] = defaultdict(list)
        earliest = min(begins.values(), default=timezone.now()) - LONGEST_TALK
        rows = self._calls().filter(
            number__in=since, merged_into__isnull=True, outcome__in=COUNTED, started_at__gte=earliest
        )
        for call in rows:
            if not call.is_missed or self._counts(call):
                calls[call.number].append(call)
        waits, over = [], set()
        for number, begin in begins.items():
            mine = [card for card in cards[number] if card.closed_at is None or card.closed_at >= begin]
            paired = _pair(mine, _fold(calls[number], mine, begin))
            waits += paired
            over |= {card.pk for card in mine} - {found[0].pk for _, found in paired if found}
        MissedCard.objects.filter(pk__in=over).delete()
        self._store(waits)

    def _counts(self, call: Call) -> bool:
        """Whether a missed call is one that somebody should return."""
        office = self._offices.get(call.office_id or 0)
        if call.merged_into_id is not None or call.reason_code == IGNORED or (office and not office.is_active):
            return False
        return not self._exclusions.is_stopped(call)

    # --- storing -----------------------------------------------------------------------------------------------------

    def _store(self, waits: Sequence[tuple[Wait, list[MissedCard]]]) -> None:
        """Each wait with its card, if it has one, and the cards that have become a part of that."""
        new, changed = [], []
        for wait, found in waits:
            if not found:
                card = MissedCard(connection=self._connection, number=wait.missed[0].number)
                self._fill(card, wait)
                new.append(card)
                continue
            card, *others = found
            before = _facts(card)
            _inherit(card, others)
            self._fill(card, wait)
            if _facts(card) != before:
                card.changed_at = timezone.now()
                changed.append(card)
        overwrite(changed, (*FOLLOWING, "changed_at"))
        # Of two who see a missed call for the first time at one moment, one makes its card.
        MissedCard.objects.bulk_create(new, batch_size=CHUNK, ignore_conflicts=True)

    def _fill(self, card: MissedCard, wait: Wait) -> None:
        first, last = wait.missed[0], wait.missed[-1]
        opened_before = card.opened_at
        card.office_id, card.line, card.first_call = last.office_id, wait.line, first
        card.name = next((call.name_told for call in reversed(wait.missed) if call.name_told), "")
        card.attempts = len(wait.missed)
        card.voicemails = sum(call.outcome == Call.Outcome.VOICEMAIL for call in wait.missed)
        card.tries, card.opened_at, card.last_at = wait.tries, first.started_at, last.started_at
        if card.closed_at is not None and wait.decided is not None:
            card.closed_at = max(card.closed_at, card.last_at)
            return
        card.closed_by = None
        if wait.closing is None:
            card.state, card.closed_at, card.closing_call, card.reason = State.OPEN, None, None, ""
        else:
            card.state, card.closed_at, card.closing_call = State.CALLED_BACK, wait.closing.started_at, wait.closing
            card.reason = _how(wait)
        # What was due is history once it is closed: a new target does not change it.
        if card.is_open or card.due_at is None or opened_before != card.opened_at:
            card.due_at = self._due(card)

    def _due(self, card: MissedCard) -> dt.datetime | None:
        if not self._target:
            return None
        office, rules = self._offices.get(card.office_id or 0), self._hours.get(card.office_id or 0)
        if office is None or rules is None:
            return card.opened_at + self._target
        return office_hours.after_open_time(rules, office, card.opened_at, self._target)


def _note(since: dict[str, dt.datetime], number: str, at: dt.datetime) -> None:
    """The number is to be looked at again, from this time on at the latest."""
    if number:
        since[number] = min(at, since.get(number, at))


def _begin(cards: Sequence[MissedCard], at: dt.datetime) -> dt.datetime:
    """From when on the number is folded again: no card that is not folded reaches past it."""
    for card in sorted(cards, key=lambda card: card.opened_at, reverse=True):
        if card.closed_at is None or card.closed_at >= at:
            at = min(at, card.opened_at)
    return at


def _fold(calls: Sequence[Call], cards: Sequence[MissedCard], begin: dt.datetime) -> list[Wait]:
    decided = [card for card in cards if card.state in MissedCard.DECIDED]
    not_by = {pk for card in cards for pk in card.not_by}
    return fold_waits(calls, decided, not_by, begin)


def _pair(cards: Sequence[MissedCard], waits: Sequence[Wait]) -> list[tuple[Wait, list[MissedCard]]]:
    """Each wait with the cards of which it is made: the first one stays, what people said on the others goes there."""
    by_call = {card.first_call_id: card for card in cards if card.state not in MissedCard.DECIDED}
    pairs = []
    for wait in waits:
        begun = [by_call.pop(call.pk) for call in wait.missed if call.pk in by_call]
        pairs.append((wait, [wait.decided, *begun] if wait.decided is not None else begun))
    for card in by_call.values():
        # The call that it began with has left it; the others have not.
        found = (mine for wait, mine in pairs if wait.line == card.line and _has_some_of(card, wait))
        next(found, []).append(card)
    return pairs


def _has_some_of(card: MissedCard, wait: Wait) -> bool:
    return any(card.opened_at <= call.started_at <= card.last_at for call in wait.missed)


def _inherit(card: MissedCard, others: Sequence[MissedCard]) -> None:
    for other in others:
        card.not_by = [*card.not_by, *(pk for pk in other.not_by if pk not in card.not_by)]
        if card.taken_by_id is None:
            card.taken_by_id, card.taken_at = other.taken_by_id, other.taken_at


def _facts(card: MissedCard) -> tuple[Any, ...]:
    return tuple(getattr(card, field.attname) for field in MissedCard._meta.concrete_fields if field.name in FOLLOWING)


def _how(wait: Wait) -> str:
    """Returned by Ana Lopez (102) after 14 min."""
    assert wait.closing is not None
    who = wait.closing.answered_by or wait.closing.extension or "somebody"
    after = duration((wait.closing.started_at - wait.opened_at).total_seconds())
    if wait.closing.direction == Call.Direction.OUTBOUND:
        return f"Returned by {who} after {after}."
    return f"The caller rang again, and {who} answered after {after}."


def follow_open() -> None:
    """Once an hour: numbers excluded since, or no more, extensions switched off or on, another target reach the board."""
    for connection in Connection.objects.filter(vendor=Vendor.RINGCENTRAL):
        MissedBoard(connection).look_again()


def _in_chunks(rows: Any) -> Iterator[list[Any]]:
    """Rows by their key, read anew for each portion: the one before may have changed them."""
    last = 0
    while some := list(rows.filter(pk__gt=last).order_by("pk")[:CHUNK]):
        yield some
        last = some[-1].pk


def follow_call(pk: int) -> None:
    """After a person decided about the call."""
    call = Call.objects.select_related("connection", "answered_by").get(pk=pk)
    MissedBoard(call.connection).follow([call])


# --- what people decide ---------------------------------------------------------------------------------------------------


def take(card: MissedCard, *, user: Person, address: str | None = None) -> None:
    """Says that this person calls back. Raises Stale when somebody else was faster."""
    _decide(card, user, address, "missed caller taken", taken_by_id=user.pk, taken_at=timezone.now())


def give_back(card: MissedCard, *, user: Person, address: str | None = None) -> None:
    _decide(card, user, address, "missed caller given back", taken_by_id=None, taken_at=None)


def close(card: MissedCard, state: str, *, reason: str, user: Person, address: str | None = None) -> None:
    """Resolved (called from a mobile, met in person …) or ignored; stays so whatever is read later. Raises Stale."""
    _decide(
        card, user, address, "missed caller resolved" if state == State.RESOLVED else "missed caller ignored",
        # RingCentral's clock may be ahead of ours; the decision is about all attempts that the card shows.
        reason=reason, state=state, closed_at=max(timezone.now(), card.last_at), closed_by_id=user.pk, closing_call=None,
    )  # fmt: skip


def reopen(card: MissedCard, *, user: Person, address: str | None = None) -> str:
    """Takes back what closed it: a person's decision, or the call that was taken for a call back. Raises Stale.

    Says what became of the card: a call that the decision made irrelevant may close it again.
    """
    with transaction.atomic():
        if card.number:
            others = MissedCard.objects.filter(connection_id=card.connection_id, number=card.number)
            list(others.select_for_update().order_by(*LOCKED_BY))
        not_by = [*card.not_by, card.closing_call_id] if card.closing_call_id else card.not_by
        _decide(
            card, user, address, "missed caller opened again", was_open=False, state=State.OPEN, closed_at=None,
            closed_by_id=None, closing_call=None, reason="", not_by=not_by,
        )  # fmt: skip
        MissedBoard(card.connection).follow_again([card])
    now = MissedCard.objects.filter(pk=card.pk).first()
    if now is None:
        return GONE
    return "The card is open again." if now.is_open else f"The card is “{now.get_state_display()}” again: {now.reason}"


def _decide(
    card: MissedCard, user: Person, address: str | None, action: str, *, was_open: bool = True, **values: Any
) -> None:
    """One conditional UPDATE on the card as the person saw it."""
    rows = MissedCard.objects.filter(pk=card.pk, changed_at=card.changed_at)
    rows = rows.filter(state=State.OPEN) if was_open else rows.exclude(state=State.OPEN)
    with transaction.atomic():
        if not rows.update(changed_at=timezone.now(), **values):
            raise Stale(_present(card))
        reason = {"reason": values["reason"]} if values.get("reason") else {}
        audit.record(action, user=user, address=address, target=f"missed caller {card.pk}", **reason)


def _present(card: MissedCard) -> str:
    now = MissedCard.objects.select_related("taken_by").filter(pk=card.pk).first()
    if now is None:
        return GONE
    facts = f"“{now.get_state_display()}” with {now.attempts:,} attempt{'' if now.attempts == 1 else 's'}"
    taken = f", taken by {now.taken_by.get_username()}" if now.taken_by else ""
    return f"Nothing was changed, the card is not as you saw it: it is now {facts}{taken}. {now.reason}".strip()
