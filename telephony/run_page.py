"""What the processing of calls adds to the page of its run: what it was about, what came of it, what can be done next."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django.db.models import Count, QuerySet
from django.urls import reverse

from portal.access import Person
from portal.models import Run, RunItem
from portal.runs import Action
from telephony import reasons, sooner
from telephony.models import Call, CallStep, Office

STEPS = {
    sooner.PHASE: "Waiting until the call log shows the calls",
    "pull": "Reading the call log",
    "plan": "Listing the calls",
    "process": "Writing leads and notes",
    "media": "Fetching recordings and voicemails",
}


def page(run: Run) -> dict[str, Any]:
    """See portal.run_account.kind_page for the keys."""
    return {
        "step": STEPS.get(run.phase, ""),
        # The address of a call with the key in place of its number.
        "record_url": reverse("call", args=[0]).replace("0", "{key}"),
        "item_words": ("Call", "What it was"),
        "without": ("before", "after"),
        "advice": reasons.advice,
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


def actions(run: Run, user: Person) -> list[Action]:
    """Calls that failed are processed once more by a run of their own."""
    if run.is_open or not run.failed or not user.has_perm("telephony.process_calls"):
        return []
    again = reverse("calls-of-run-again", args=[run.pk])
    return [Action(f"Process failed calls again ({run.failed:,})", again, style="primary")]


def failed_calls(run: Run) -> list[Call]:
    """Those that are still as the run left them."""
    keys = run.items.filter(state=RunItem.State.FAILED).values_list("key", flat=True)
    pks = [int(key) for key in keys if key.isdigit()]
    found: list[Call] = []
    for first in range(0, len(pks), 500):
        found += Call.objects.filter(pk__in=pks[first : first + 500], state=Call.State.FAILED)
    return found
