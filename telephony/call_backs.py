"""Who still waits for a call back: the calls with one number, folded into one card per line and wait. Pure."""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from telephony.models import Call, MissedCard

Outcome = Call.Outcome
# Somebody of ours talked to them: they rang again and were answered, or a call to them was.
TALKED = (Outcome.ACCEPTED, Outcome.OUTBOUND)
COUNTED = (*Call.MISSED_OUTCOMES, *TALKED, Outcome.OUTBOUND_FAILED)
# What the log says beyond this is a defect of the log, and must hide nobody.
LONGEST_TALK = dt.timedelta(hours=24)
_LONG_AGO = dt.datetime.min.replace(tzinfo=dt.UTC)


@dataclass
class Wait:
    """One caller who waits, or waited, on one line. `decided`: the card with which a person ended it."""

    line: str
    missed: list[Call]
    tries: int = 0
    closing: Call | None = None
    decided: MissedCard | None = None

    @property
    def opened_at(self) -> dt.datetime:
        return self.missed[0].started_at


@dataclass
class _Fold:
    decided: dict[str, list[MissedCard]]
    open: dict[str, Wait] = field(default_factory=dict)
    over: list[Wait] = field(default_factory=list)
    talking_until: dt.datetime = _LONG_AGO

    def miss(self, call: Call) -> None:
        # Who rings a second time while they talk to us waits for nothing.
        if call.started_at <= self.talking_until:
            return
        if call.line in self.open:
            self.open[call.line].missed.append(call)
        else:
            self.open[call.line] = Wait(call.line, [call])

    def talk(self, call: Call) -> None:
        """A conversation ends the waits on all lines, but not those that a person has ended later."""
        self.talking_until = max(self.talking_until, _end_of(call))
        for line in [line for line in self.open if not self._is_decided(line, call.started_at)]:
            wait = self.open.pop(line)
            wait.closing = call
            self.over.append(wait)

    def try_in_vain(self) -> None:
        for wait in self.open.values():
            wait.tries += 1

    def decide(self, card: MissedCard) -> None:
        wait = self.open.pop(card.line, None)
        if wait is not None:
            wait.decided = card
            self.over.append(wait)

    def _is_decided(self, line: str, at: dt.datetime) -> bool:
        return any(card.closed_at and card.opened_at <= at <= card.closed_at for card in self.decided[line])


def fold_waits(
    calls: Iterable[Call], decided: Sequence[MissedCard] = (), not_by: Collection[int] = (),
    since: dt.datetime = _LONG_AGO,
) -> list[Wait]:  # fmt: skip
    """The waits of one number, the earliest first.

    `calls`: with one number, of the outcomes COUNTED, in any order. `decided`: cards that people closed; each ends what
    waits on its line at that moment. `not_by`: conversations that were no call back, as people say. Calls before
    `since` only tell whether a conversation was going on then.
    """
    by_line: dict[str, list[MissedCard]] = defaultdict(list)
    for card in decided:
        by_line[card.line].append(card)
    fold = _Fold(by_line)
    # At one moment the calls come first: what a person decided was decided about them.
    events: list[tuple[dt.datetime, int, int, Call | MissedCard]] = [
        *((call.started_at, 0, call.pk, call) for call in calls),
        *((card.closed_at, 1, card.pk, card) for card in decided if card.closed_at is not None),
    ]
    for at, _, _, event in sorted(events, key=lambda each: each[:3]):
        if isinstance(event, MissedCard):
            fold.decide(event)
        elif event.is_missed:
            if at >= since:
                fold.miss(event)
        elif event.outcome in TALKED and event.pk not in not_by:
            fold.talk(event)
        elif event.direction == Call.Direction.OUTBOUND:
            fold.try_in_vain()
    return sorted([*fold.over, *fold.open.values()], key=lambda wait: (wait.opened_at, wait.missed[0].pk))


def _end_of(call: Call) -> dt.datetime:
    told = call.ended_at or call.started_at + dt.timedelta(seconds=call.total_seconds or call.talk_seconds or 0)
    return min(told, call.started_at + LONGEST_TALK)
