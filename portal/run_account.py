"""The account of one run: its items, why some did not work out, how fast it goes, and what its kind adds."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from django.db.models import Count, Q, QuerySet

from portal.access import Person
from portal.models import Run, RunEvent, RunItem
from portal.queries import WITHOUT_SECRETS, kind_words, person_words, shown_state, worker_is_alive
from portal.remote import redact
from portal.remote.errors import Advice
from portal.runs import Action, kind_module

ItemState = RunItem.State
NOT_OK = (ItemState.FAILED, ItemState.UNKNOWN, ItemState.SKIPPED)
MAX_REASONS = 30
# The pace is that of the newest results: so many of each state at most, none older than the span.
SAMPLE = 1000
SPAN = dt.timedelta(seconds=60)
SILENCE = dt.timedelta(seconds=20)
# Longer lists in the parameters are cut on the page.
SHOWN_VALUES = 20
CSV_HEADER = ("id", "name", "before", "new_value", "outcome", "code", "message")


@dataclass(frozen=True)
class ItemChoice:
    """Which items of a run."""

    state: str = ""
    code: str = ""
    text: str = ""

    @property
    def is_narrowed(self) -> bool:
        return bool(self.state or self.code or self.text)


@dataclass(frozen=True)
class StateCount:
    value: str
    label: str
    count: int


@dataclass(frozen=True)
class Reason:
    """A code that items share; `is_retryable` when they failed or are unknown. `advice`: the kind's words for it."""

    state: str
    code: str
    count: int
    is_retryable: bool
    advice: Advice | None = None


@dataclass(frozen=True)
class Live:
    """What changes while a run works. `state` is the subject of the state pill; `rate` (items a second) and `left` (words) are None when they are not known."""

    state: Run | str
    checked_at: dt.datetime
    sent: int
    rate: float | None
    left: str | None
    worker_alive: bool
    polls: bool
    title: str


# --- the run ----------------------------------------------------------------------------------------------------------


def runs_with_relations() -> QuerySet[Run]:
    rows = Run.objects.select_related("connection", "requested_by", "confirmed_by", "approved_by", "parent")
    return rows.defer(*WITHOUT_SECRETS, "parent__parameters")


def children_of(run: Run) -> list[Run]:
    return list(Run.objects.filter(parent=run).defer("parameters").order_by("pk"))


def starter_of(run: Run) -> str:
    """The person, or what started it instead."""
    user = run.requested_by
    if user is None:
        return run.get_trigger_display()
    return person_words(user.get_username(), user.first_name, user.last_name)


def kind_of(run: Run) -> str:
    words = kind_words(run.kind)
    return f"{words} (retry)" if run.relation == "retry" else words


def relation_words(run: Run, number: int = 1) -> str:
    """What a child is to its parent, for its link there."""
    if run.relation == "restore":
        return f"Restored by run {run.pk}"
    return f"Retry {number}: run {run.pk}" if run.relation == "retry" else f"Run {run.pk}"


def child_links(run: Run) -> list[tuple[Run, str]]:
    retries = 0
    links = []
    for child in children_of(run):
        retries += child.relation == "retry"
        links.append((child, relation_words(child, retries)))
    return links


def kind_page(run: Run) -> dict[str, Any]:
    """What the kind says about its run; all optional.

    change (words), step (what goes on now), record_url (address with {key}), next_url and next_label (where a person
    ends the wait), facts ([(name, value)]), advice (code -> Advice or None), item_words (heads of the items' first two
    columns), without (columns of the items that this kind does not have), left_out (words for a person who does not see
    all items or log lines, where the kind has items_for and events_for).
    """
    page = getattr(kind_module(run), "page", None)
    return page(run) if page else {}


def kind_actions(run: Run, user: Person) -> list[Action]:
    actions = getattr(kind_module(run), "actions", None)
    return list(actions(run, user)) if actions else []


def parameters_text(run: Run) -> str:
    """The parameters as JSON for the technical view, long lists cut, redacted."""
    return redact.redact(json.dumps(_cut(run.parameters), indent=2, ensure_ascii=False, sort_keys=True))


def _cut(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _cut(each) for key, each in value.items()}
    if isinstance(value, list):
        rest = len(value) - SHOWN_VALUES
        return [_cut(each) for each in value[:SHOWN_VALUES]] + ([f"… {rest:,} more"] if rest > 0 else [])
    return value


# --- its items --------------------------------------------------------------------------------------------------------


def items_for(run: Run, user: Person | None) -> QuerySet[RunItem]:
    """The items that the person may see; None is the portal itself, which sees all."""
    rows = RunItem.objects.filter(run=run)
    limit = getattr(kind_module(run), "items_for", None) if user is not None else None
    return limit(run, user, rows) if limit else rows


def events_for(run: Run, user: Person) -> QuerySet[RunEvent]:
    """The lines of the log that the person may see."""
    rows = RunEvent.objects.filter(run=run)
    limit = getattr(kind_module(run), "events_for", None)
    return limit(run, user, rows) if limit else rows


def items_of(run: Run, choice: ItemChoice, user: Person | None = None) -> QuerySet[RunItem]:
    """In the order of the list."""
    rows = items_for(run, user).order_by("position")
    if choice.state:
        rows = rows.filter(state=choice.state)
    if choice.code:
        rows = rows.filter(code=choice.code)
    if choice.text:
        rows = rows.filter(Q(key__contains=choice.text) | Q(label__icontains=choice.text))
    return rows


def state_counts(run: Run, user: Person | None = None) -> list[StateCount]:
    """All, then each state. OK, failed, skipped, unknown and planned are always there, sent only while it is not 0."""
    rows = items_for(run, user).order_by("state").values_list("state")
    found = dict(rows.annotate(count=Count("pk")))
    order = (ItemState.OK, ItemState.FAILED, ItemState.SKIPPED, ItemState.UNKNOWN, ItemState.SENT, ItemState.PLANNED)
    counts = [StateCount(state.value, state.label, found.get(state.value, 0)) for state in order]
    shown = [each for each in counts if each.count or each.value != ItemState.SENT]
    return [StateCount("", "All", sum(found.values())), *shown]


def reasons_of(
    run: Run, advice: Callable[[str], Advice | None] = lambda code: None, user: Person | None = None
) -> list[Reason]:
    """Codes of what did not become OK, the most frequent first."""
    rows = items_for(run, user).filter(state__in=NOT_OK).exclude(code="").order_by().values_list("state", "code")
    found = rows.annotate(count=Count("pk")).order_by("-count", "code")[:MAX_REASONS]
    return [Reason(state, code, count, state != ItemState.SKIPPED, advice(code)) for state, code, count in found]


def values_words(values: dict[str, Any] | None) -> str:
    """{"Lead_Status": "New"} → New; several fields → name: value; "" for none or blank."""
    if not values:
        return ""
    if len(values) == 1:
        return _words(next(iter(values.values())))
    return "; ".join(f"{name}: {_words(value)}" for name, value in values.items())


def _words(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, dict):
        return str(value.get("name") or value.get("id") or json.dumps(value, ensure_ascii=False))
    if isinstance(value, list):
        return ", ".join(_words(each) for each in value)
    return str(value)


def csv_rows(items: QuerySet[RunItem]) -> Iterator[tuple[Any, ...]]:
    """Cells under CSV_HEADER, read in pieces; id and new_value can be given to a bulk update again."""
    for item in items.only("key", "label", "before", "after", "state", "code", "message").iterator(chunk_size=2000):
        yield (
            item.key,
            item.label,
            values_words(item.before),
            values_words(item.after),
            ItemState(item.state).label,
            item.code,
            item.message,
        )


# --- its progress -----------------------------------------------------------------------------------------------------


def live(run: Run, now: dt.datetime) -> Live:
    """At most four small queries, whatever the size of the run."""
    rate = pace(run, now) if run.is_open and run.state != Run.State.WAITING else None
    left = time_left_words(run.remaining / rate) if rate and run.remaining else None
    sent = RunItem.objects.filter(run=run, state=ItemState.SENT).count() if run.is_open else 0
    polls = run.is_open and not run.waits_for_people
    return Live(shown_state(run, now), now, sent, rate, left, worker_is_alive(now), polls, _title(run))


def pace(run: Run, now: dt.datetime) -> float | None:
    """Results a second over the newest ones; None when there are too few or the last one is too long ago."""
    moments: list[dt.datetime] = []
    for state in (ItemState.OK, ItemState.FAILED):
        newest = RunItem.objects.filter(run=run, state=state).order_by("-position")
        moments += [at for at in newest.values_list("finished_at", flat=True)[:SAMPLE] if at and now - at <= SPAN]
    if not moments or now - max(moments) > SILENCE:
        return None
    first = min(moments)
    later = sum(moment > first for moment in moments)
    seconds = (now - first).total_seconds()
    return later / seconds if later and seconds > 0 else None


def time_left_words(seconds: float) -> str:
    """172.0 → about 3 minutes left."""
    if seconds < 50:
        return "less than a minute left"
    minutes = round(seconds / 60)
    if minutes < 90:
        return f"about {minutes} minute{'' if minutes == 1 else 's'} left"
    hours = round(minutes / 60)
    return f"about {hours} hours left"


def _title(run: Run) -> str:
    """What the browser's tab says before the name of the page."""
    if not run.is_open or run.waits_for_people:
        return run.get_state_display() if not run.waits_for_people else f"Waiting {run.get_wait_display()}"
    failed = f", {run.failed:,} failed" if run.failed else ""
    return f"{run.done:,} of {run.planned:,}{failed}" if run.planned else run.get_state_display()
