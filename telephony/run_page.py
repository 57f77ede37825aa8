"""What the processing of calls adds to the page of its run: what it was about, what came of it, what can be done next."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import BigIntegerField, Case, CharField, Count, Exists, OuterRef, Q, QuerySet, Value, When
from django.db.models.functions import Cast, StrIndex, Substr
from django.urls import reverse

from portal.access import Person
from portal.models import Run, RunEvent, RunItem
from portal.runs import Action
from telephony import queries, reasons, sooner
from telephony.models import Call, CallStep, Office

STEPS = {
    sooner.PHASE: "Waiting until the call log shows the calls",
    "pull": "Reading the call log",
    "plan": "Listing the calls",
    "process": "Writing leads and notes",
    "media": "Fetching recordings and voicemails",
}
# How a line of the log begins that is about a call, with the key of its item.
ABOUT_CALL = r"^Call [0-9]+:"


def page(run: Run) -> dict[str, Any]:
    """See portal.run_account.kind_page for the keys."""
    return {
        "step": STEPS.get(run.phase, ""),
        # The address of a call with the key in place of its number.
        "record_url": reverse("call", args=[0]).replace("0", "{key}"),
        "item_words": ("Call", "What it was"),
        "without": ("before", "after"),
        "advice": reasons.advice,
        "left_out": (
            "Items of other offices are not shown, nor log lines about them; the counts above are those of the whole "
            "run. To see more, ask an administrator to add you to the office."
        ),
        "facts": _facts(run),
    }


def _facts(run: Run) -> list[tuple[str, str]]:
    parameters = run.parameters
    names = Office.objects.filter(pk__in=parameters.get("offices", [])).values_list("name", flat=True)
    unnamed = "all that are active when it begins" if run.phase == sooner.PHASE else "none"
    facts = [("Offices", ", ".join(names) or unnamed)]
    window = parameters.get("window")
    if window:
        since, until = (dt.datetime.fromisoformat(window[end]) for end in ("since", "until"))
        facts.append(("Calls from", f"{since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC"))
        facts.append(("Types", " and ".join(parameters["types"])))
    if parameters.get("dry_run"):
        facts.append(("Dry run", "nothing is written to Zoho"))
    if run.position.get("rows"):
        facts.append(("Rows of the call log read", f"{run.position['rows']:,}"))
    written = dict(written_by(run).order_by().values_list("kind").annotate(Count("pk")))
    for kind in CallStep.Kind:
        if written.get(kind.value):
            facts.append((f"{kind.label} written", f"{written[kind.value]:,}"))
    return facts


def written_by(run: Run) -> QuerySet[CallStep]:
    """What the run has written to Zoho."""
    return CallStep.objects.filter(run=run, state=CallStep.State.DONE)


def items_for(run: Run, user: Person, items: QuerySet[RunItem]) -> QuerySet[RunItem]:
    """Those of calls that queries.within_offices lets the person see; for people of no office it costs nothing."""
    own = queries.memberships(user)
    call = Call.objects.filter(pk=Cast(OuterRef("key"), BigIntegerField()), office_id__in=own.values("office_id"))
    return items.filter(~Exists(own) | Exists(call))


def events_for(run: Run, user: Person, events: QuerySet[RunEvent]) -> QuerySet[RunEvent]:
    """A line about a call goes where its item goes; all others are about the run."""
    start = len("Call ")
    key = Substr("message", start + 1, StrIndex("message", Value(":")) - start - 1)
    call_key = Case(When(message__regex=ABOUT_CALL, then=key), default=Value(""), output_field=CharField())
    item = items_for(run, user, RunItem.objects.filter(run=run, key=OuterRef("call_key")))
    return events.annotate(call_key=call_key).filter(Q(call_key="") | Exists(item))


def actions(run: Run, user: Person) -> list[Action]:
    """Calls that failed are processed once more by a run of their own."""
    if run.is_open or not run.failed or not user.has_perm("telephony.process_calls"):
        return []
    count = items_for(run, user, run.items.filter(state=RunItem.State.FAILED)).count()
    again = reverse("calls-of-run-again", args=[run.pk])
    return [Action(f"Process failed calls again ({count:,})", again, style="primary")] if count else []


def failed_calls(run: Run) -> list[Call]:
    """Those that are still as the run left them."""
    keys = run.items.filter(state=RunItem.State.FAILED).values_list("key", flat=True)
    pks = [int(key) for key in keys if key.isdigit()]
    found: list[Call] = []
    for first in range(0, len(pks), 500):
        found += Call.objects.filter(pk__in=pks[first : first + 500], state=Call.State.FAILED)
    return found
