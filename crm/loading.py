"""From a source to the items of a run: a given list, a custom view of any size, or the records of an earlier run."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from itertools import islice
from typing import Any

from django.db.models import Q

from crm.zoho.client import Page, ZohoClient
from crm.zoho.schema import name_field, text_of
from portal import runs
from portal.models import Run, RunInput, RunItem
from portal.remote import errors
from portal.runs import Lease

CHUNK = 1000
ItemState = RunItem.State


def load(lease: Lease, client: ZohoClient, *, next_phase: str) -> runs.Outcome:
    """Makes the items of the run, as far as this slice gets; where to go on is kept with each chunk."""
    source = lease.run.parameters["source"]
    match source["type"]:
        case "view":
            try:
                finished = _load_view(lease, client)
            except errors.Rejected as error:
                return runs.Failed(_refused(source, error))
        case "run":
            finished = _load_run(lease)
        case _:
            finished = _load_lines(lease)
    if lease.is_stopping:
        return runs.Done()
    if not finished:
        return runs.More()
    runs.refresh_counts(lease.run)
    lease.save(phase=next_phase, position={})
    lease.log(f"Loaded {lease.run.planned:,} records.")
    if not lease.run.planned:
        return runs.Failed(_nothing(source))
    return runs.More()


def _nothing(source: dict[str, Any]) -> str:
    if source["type"] == "view":
        return f"The view “{source.get('name') or source['id']}” is empty: it shows no record to this connection."
    return "The list is empty: there is no record to change."


def _refused(source: dict[str, Any], error: errors.Rejected) -> str:
    """What happened to which view; the page of the run says what to do."""
    code = f" ({error.code})" if error.code else ""
    return f"Zoho refused to list the view “{source.get('name') or source['id']}”: {error.message.rstrip('.')}{code}."


# --- a given list -----------------------------------------------------------------------------------------------------


def _load_lines(lease: Lease) -> bool:
    first = lease.run.position.get("next", 0)
    # Found one by one: a list of its lines would need several times the memory of the text.
    lines = islice(re.finditer(r"[^\n]+", RunInput.objects.get(run=lease.run).lines), first, None)
    while not (lease.time_is_up or lease.is_stopping):
        chunk = [line[0] for line in islice(lines, CHUNK)]
        if not chunk:
            return True
        items = [_item_of(lease.run, first + index, line) for index, line in enumerate(chunk)]
        first += len(chunk)
        insert(lease, items, {"next": first})
    return False


def _item_of(run: Run, position: int, line: str) -> RunItem:
    key, target, number = line.split("\t")
    details: dict[str, Any] = {"line": int(number)}
    if target:
        details["target"] = target
    return RunItem(run=run, position=position, key=key, after=_known_value(run), details=details)


def _known_value(run: Run) -> dict[str, Any] | None:
    """The new value when it was chosen before the list was loaded; `aim` then leaves the item as it is."""
    parameters = run.parameters
    return {parameters["field"]: parameters["value"]} if "value" in parameters else None


def insert(lease: Lease, items: Sequence[RunItem], position: dict[str, Any]) -> None:
    """Adds the items, and where to go on, in one commit. A record that is there already stays as it is."""
    with lease.commit():
        RunItem.objects.bulk_create(items, ignore_conflicts=True)
        Run.objects.filter(pk=lease.run.pk).update(position=position)
    lease.run.position = position
    lease.keep()


# --- a custom view ----------------------------------------------------------------------------------------------------


def _load_view(lease: Lease, client: ZohoClient) -> bool:
    """Walks the view page by page; beyond the reach of page tokens the walk starts over in the order of ids."""
    source = lease.run.parameters["source"]
    module = lease.run.parameters["module"]
    while not (lease.time_is_up or lease.is_stopping):
        position = lease.run.position
        if position.get("finished"):
            return True
        lease.keep()
        try:
            page = _next_page(client, module, source["id"], position)
        except errors.Rejected as error:
            position = _after_refusal(lease, error, position)
            lease.save(position=position)
            continue
        _take_page(lease, page, position, name_field(module), all_pages=source.get("all_pages", True))
    return bool(lease.run.position.get("finished"))


def _next_page(client: ZohoClient, module: str, view_id: str, position: dict[str, Any]) -> Page:
    if "after_id" in position:
        return client.view_page_by_id(module, view_id, position["after_id"])
    return client.view_page(module, view_id, ["id", name_field(module)], position.get("token"))


def _after_refusal(lease: Lease, error: errors.Rejected, position: dict[str, Any]) -> dict[str, Any]:
    if error.code == "PAGINATION_LIMIT_EXCEEDED" and "after_id" not in position:
        lease.log("The view has more rows than Zoho's pages reach; going on in the order of ids.")
        return {"after_id": "0", "count": position.get("count", 0)}
    if error.code in ("EXPIRED_VALUE", "TOKEN_BOUND_DATA_MISMATCH") and position.get("token"):
        lease.log("Zoho's page token has expired; walking the view again from its start.")
        return {"count": position.get("count", 0)}
    raise error


def _take_page(lease: Lease, page: Page, position: dict[str, Any], name: str, *, all_pages: bool) -> None:
    count = position.get("count", 0)
    after = _known_value(lease.run)
    items = [
        RunItem(
            run=lease.run, position=count + index, key=str(row["id"]), label=text_of(row.get(name))[:255], after=after
        )
        for index, row in enumerate(page.records)
    ]
    following: dict[str, Any] = {"count": count + len(items)}
    if page.token is None or not all_pages:
        following["finished"] = True
    elif "after_id" in position:
        following["after_id"] = page.token
    else:
        following["token"] = page.token
    insert(lease, items, following)


# --- an earlier run ---------------------------------------------------------------------------------------------------


def _load_run(lease: Lease) -> bool:
    """Copies items of the run that the source names: those of the given states, codes or keys."""
    source = lease.run.parameters["source"]
    last = lease.run.position.get("last", -1)
    origin = chosen(Run.objects.get(pk=source["id"]), source)
    while not (lease.time_is_up or lease.is_stopping):
        chunk = list(origin.filter(position__gt=last).order_by("position")[:CHUNK])
        if not chunk:
            return True
        last = chunk[-1].position
        insert(lease, list(_copies(lease.run, chunk)), {"last": last})
    return False


def chosen(run: Run, source: dict[str, Any]) -> Any:
    """The items of `run` that a source {"states", "codes", "keys"} names; absent parts do not restrict."""
    items = run.items.all()
    for name in ("states", "codes", "keys"):
        if source.get(name):
            items = items.filter(**{f"{name.removesuffix('s')}__in": source[name]})
    return items


def _copies(run: Run, items: Iterable[RunItem]) -> Iterable[RunItem]:
    field = run.parameters.get("field", "")
    as_restore = run.parameters["source"].get("restore", False)
    is_repeat = run.relation == "retry"
    for item in items:
        details: dict[str, Any] = {}
        after = item.after
        if as_restore:
            after = item.before
            details["expected"] = (item.after or {}).get(field)
        elif is_repeat and "expected" in item.details:
            details = {name: item.details[name] for name in ("expected", "override") if name in item.details}
        if is_repeat and "target" in item.details:
            # The list's own values belong to the change that is repeated, not to another one.
            details["target"] = item.details["target"]
        yield RunItem(run=run, position=item.position, key=item.key, label=item.label, after=after, details=details)


# --- the new values ---------------------------------------------------------------------------------------------------


def aim(lease: Lease) -> None:
    """Writes the new value into each item, in one statement a kind; a value the picklist lacks is refused by name.

    Everything decided before, for another change, is taken back first.
    """
    parameters = lease.run.parameters
    field, value, allowed = parameters["field"], parameters["value"], parameters["allowed"]
    with lease.commit():
        decided = lease.items.filter(state__in=(ItemState.SKIPPED, ItemState.FAILED)).exclude(code="LEFT_OUT")
        decided.update(state=ItemState.PLANNED)
        # Most often the items were loaded like this, and a database writes a row anew even when nothing changes.
        planned = lease.items.filter(state=ItemState.PLANNED)
        planned.exclude(code="", read_at__isnull=True, after={field: value}).update(
            code="", message="", read_at=None, before=None, finished_at=None, after={field: value}
        )
    _aim_own_values(lease, field, allowed)


def _aim_own_values(lease: Lease, field: str, allowed: Sequence[str]) -> None:
    own = lease.items.filter(state=ItemState.PLANNED, details__has_key="target")
    targets = set(own.order_by().values_list("details__target", flat=True).distinct())
    by_folded = {name.casefold(): name for name in allowed}
    for target in targets:
        rows = own.filter(Q(details__target=target))
        known = by_folded.get(str(target).casefold())
        with lease.commit():
            if known is not None:
                rows.update(after={field: known})
            else:
                rows.update(
                    state=ItemState.SKIPPED,
                    code="INVALID_VALUE",
                    message=f"“{target}” is not a value of this picklist. Allowed: {', '.join(allowed)}.",
                )
