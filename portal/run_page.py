"""What the page of a run shows: its head, its live part, and the content of each tab."""

from __future__ import annotations

from typing import Any

from django.http import HttpRequest
from django.utils import timezone

from portal import queries, run_account
from portal.access import Person, may_operate
from portal.forms import ItemFilter
from portal.models import Run
from portal.tables import AuditTable, EventTable, ItemTable, paged

TABS = ("records", "log", "audit", "technical")


def page_context(request: HttpRequest, run: Run, tab: str) -> dict[str, Any]:
    """Everything but the items of other tabs; an unknown or forbidden tab is the first one."""
    tabs = allowed_tabs(request.user)
    if tab not in tabs:
        tab = TABS[0]
    context = live_part(run, request.user)
    context |= {"tabs": tabs, "tab": tab, "child_links": run_account.child_links(run)}
    if tab == "records":
        return context | items_part(request, run, context)
    if tab == "log":
        table = paged(request, EventTable(run_account.events_for(run, request.user).order_by("-pk")))
        left_out = context["kind_page"].get("left_out", "")
        is_limited = bool(left_out) and run.events.count() > table.page.paginator.count
        context |= {"table": table, "left_out": left_out if is_limited else ""}
    elif tab == "audit":
        entries = queries.audit_entries(queries.AuditChoice(run=run.pk))
        context["table"] = paged(request, AuditTable(entries, exclude=("run_id",)))
    else:
        context["parameters"] = run_account.parameters_text(run)
    return context


def allowed_tabs(user: Person) -> list[str]:
    hidden = set()
    if not user.has_perm("portal.view_auditentry"):
        hidden.add("audit")
    if not getattr(user, "is_staff", False):
        hidden.add("technical")
    return [tab for tab in TABS if tab not in hidden]


def live_part(run: Run, user: Person) -> dict[str, Any]:
    """The part that changes while the run works, and the buttons that depend on its state."""
    operable = may_operate(user, run)
    is_resumable = run.state in (Run.State.STOPPED, Run.State.FAILED)
    return {
        "run": run,
        "kind": run_account.kind_of(run),
        "starter": run_account.starter_of(run),
        "kind_page": run_account.kind_page(run),
        "kind_actions": run_account.kind_actions(run, user),
        "live": run_account.live(run, timezone.now()),
        "may_stop": operable and run.is_open and run.state != Run.State.STOPPING,
        "may_resume": operable and is_resumable,
        "may_try_now": operable and run.state == Run.State.WAITING and not run.waits_for_people,
    }


def items_part(request: HttpRequest, run: Run, known: dict[str, Any] | None = None) -> dict[str, Any]:
    """Chips, reasons and the table of records; `known` is the live part when it has been made already."""
    choice = ItemFilter(request.GET).to_choice()
    actions = known["kind_actions"] if known else run_account.kind_actions(run, request.user)
    page = known["kind_page"] if known else run_account.kind_page(run)
    selecting = next((action for action in actions if action.name == "selected"), None)
    table = ItemTable(
        run_account.items_of(run, choice, request.user),
        record_url=page.get("record_url", ""),
        selectable=selecting is not None,
        words=page.get("item_words", ("Record id", "Name")),
        without=page.get("without", ()),
    )
    states = run_account.state_counts(run, request.user)
    is_pruned = bool(run.planned) and not run.items.exists()
    return {
        "run": run,
        "choice": choice,
        "states": states,
        "left_out": page.get("left_out", "") if run.planned > states[0].count and not is_pruned else "",
        "reasons": run_account.reasons_of(run, page.get("advice", lambda code: None), request.user),
        "selecting": selecting,
        "reason_action": next((action for action in actions if action.name == "code"), None),
        "items_table": paged(request, table),
        "is_pruned": is_pruned,
        "retention": queries.retention_words(),
    }
