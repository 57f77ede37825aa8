"""What a field update adds to the page of its run: the change in words, links, and what can be done next."""

from __future__ import annotations

from typing import Any

from django.urls import reverse

from crm.queries import record_url
from crm.zoho.codes import advice
from portal.access import Person, may_operate, may_use
from portal.models import Run, RunItem
from portal.runs import Action

STEPS = {
    "load": "Loading the records",
    "aim": "Loading the records",
    "read": "Reading the present values",
    "write": "Writing to Zoho",
}


def page(run: Run) -> dict[str, Any]:
    """See portal.run_account.kind_page for the keys."""
    found: dict[str, Any] = {
        "change": _change(run),
        "step": "" if run.waits_for_people else STEPS.get(run.phase, ""),
        "record_url": record_url(run, "{key}"),
        "advice": advice,
        "facts": _facts(run),
    }
    if run.waits_for_people:
        found["next_url"] = reverse("bulk-update-plan", args=[run.pk])
        found["next_label"] = "Choose the change" if run.wait == Run.Wait.CHANGE else "Look at the preview"
    return found


def _change(run: Run) -> str:
    parameters = run.parameters
    if "field" not in parameters:
        return f"{parameters['module']}: the change is not chosen yet"
    label = f"{parameters['field_label']} of {parameters['module']}"
    if parameters["source"].get("restore") or "value" not in parameters:
        return f"{label} becomes what it was before"
    return f"{label} becomes {parameters['value']}"


def _facts(run: Run) -> list[tuple[str, str]]:
    parameters = run.parameters
    source = parameters.get("source", {})
    words = {"view": f"view “{source.get('name')}”", "run": f"run {source.get('id')}", "ids": source.get("name", "ids")}
    facts = [("Records from", words.get(source.get("type"), ""))]
    if "field" in parameters:
        facts.append(("Zoho automation", "on" if parameters.get("automation", True) else "off"))
    return facts


def is_restorable(run: Run) -> bool:
    """Whether the run has overwritten values that are known."""
    return not run.is_open and run.items.filter(state=RunItem.State.OK, before__isnull=False).exists()


def actions(run: Run, user: Person) -> list[Action]:
    """Retry and restore, for those who may; each leads to a page that asks first."""
    is_allowed = user.has_perm("crm.update_records") and may_operate(user, run) and may_use(user, run.connection)
    if run.is_open or not is_allowed:
        return []
    found = []
    if not run.planned and run.parent_id is None:
        # Nothing could be loaded: resuming the same list rarely helps.
        found.append(Action("Choose other records", reverse("bulk-update"), method="get", style="primary"))
    retry = reverse("run-retry", args=[run.pk])
    count = run.failed + run.unknown
    if count:
        found += [
            Action(f"Retry failed ({count:,})", retry, method="get", style="primary"),
            Action("Retry these", retry, method="get", name="code"),
            Action("Retry selected", retry, method="get", name="selected"),
        ]
    if is_restorable(run):
        found.append(Action("Restore previous values", reverse("run-restore", args=[run.pk]), method="get"))
    return found
