"""What the pages of the bulk update look up; each with a fixed number of queries."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass
from typing import Any

from django.conf import settings
from django.db.models import Count, QuerySet, Sum
from django.utils import timezone

from crm.zoho.client import write_credits
from crm.zoho.schema import text_of
from portal.models import ApiUsage, Connection, Run, RunItem

MAX_FACETS = 12


@dataclass(frozen=True)
class Facet:
    """How many records share one present value or one reason."""

    name: str
    count: int
    code: str = ""


def before_values(run: Run) -> list[Facet]:
    """Present values of the records that will change, most frequent first; the tail is summed up."""
    field = run.parameters["field"]
    rows = (
        run.items.filter(state=RunItem.State.PLANNED)
        .order_by()
        .values_list(f"before__{field}")
        .annotate(count=Count("pk"))
        .order_by("-count")
    )
    found = [Facet(text_of(value) or "blank", count) for value, count in rows[: MAX_FACETS + 1]]
    if len(found) > MAX_FACETS:
        rest = run.items.filter(state=RunItem.State.PLANNED).count() - sum(facet.count for facet in found[:MAX_FACETS])
        found = [*found[:MAX_FACETS], Facet("other values", rest)]
    return found


def skipped_reasons(run: Run) -> list[Facet]:
    """Why records of the plan will not change, with counts."""
    rows = run.items.filter(state=RunItem.State.SKIPPED).order_by().values_list("code").annotate(count=Count("pk"))
    return [Facet(REASONS.get(code, code), count, code) for code, count in sorted(rows, key=lambda row: -row[1])]


REASONS = {
    "UNCHANGED": "already have this value",
    "NOT_FOUND": "not found in Zoho",
    "CONVERTED_RECORD": "converted leads",
    "RECORD_LOCKED": "locked records",
    "RECORD_IN_BLUEPRINT": "controlled by a blueprint",
    "CHANGED_SINCE": "changed by somebody since",
    "INVALID_VALUE": "value is not in the picklist",
    "LEFT_OUT": "left out by hand",
}


@dataclass(frozen=True)
class Cost:
    """What writing the plan takes. `seconds` and `left` are None when they are not known."""

    credits: int
    calls: int
    seconds: float | None
    left: int | None


def cost_of(run: Run, records: int) -> Cost:
    """Credits and time of writing that many records, from the price list and from how long calls took lately."""
    size = settings.ZOHO_BATCH_SIZE
    full, rest = divmod(records, size)
    calls = math.ceil(records / size)
    credits = full * write_credits(size) + (write_credits(rest) if rest else 0)
    assert run.connection is not None
    latency = _latency_s(run.connection)
    width = max(1, min(run.connection.concurrency, 10))
    seconds = math.ceil(calls / width) * latency if latency is not None else None
    return Cost(credits, calls, seconds, credits_left(run.connection))


def _latency_s(connection: Connection) -> float | None:
    since = timezone.now() - dt.timedelta(days=7)
    for endpoint in ("records.update", "records.by_id"):
        sums = ApiUsage.objects.filter(key=connection.limit_key, endpoint=endpoint, hour__gte=since).aggregate(
            calls=Sum("calls"), elapsed=Sum("elapsed_ms")
        )
        if sums["calls"]:
            return float(sums["elapsed"]) / float(sums["calls"]) / 1000
    return None


def credits_left(connection: Connection) -> int | None:
    """Credits of the rolling day that are left by our own count; None when the limit is not known."""
    if not connection.daily_credits:
        return None
    since = timezone.now() - dt.timedelta(hours=24)
    used = (
        ApiUsage.objects.filter(key=connection.limit_key, hour__gte=since).aggregate(used=Sum("credits"))["used"] or 0
    )
    return max(0, connection.daily_credits - int(used))


def plan_items(run: Run, *, show: str, search: str) -> QuerySet[RunItem]:
    """Items of a plan: those that will change, those that will not (by reason), or all; searched by id or name."""
    items = run.items.all()
    if show == "change":
        items = items.filter(state=RunItem.State.PLANNED)
    elif show:
        items = items.filter(state=RunItem.State.SKIPPED)
        items = items.filter(code=show) if show != "skipped" else items
    if search:
        items = items.filter(key__startswith=search) if search.isdigit() else items.filter(label__icontains=search)
    return items


def record_url(run: Run, record_id: str) -> str:
    return record_address(run.connection, run.parameters.get("module", ""), record_id)


def record_address(connection: Connection | None, module: str, record_id: str) -> str:
    """Address of the record in Zoho's own screens; empty when the connection does not know them."""
    base = connection.crm_url if connection else ""
    return f"{base.rstrip('/')}/tab/{module}/{record_id}" if base else ""


def value_of(item: RunItem, when: str, field: str) -> str:
    values: dict[str, Any] | None = getattr(item, when)
    return text_of(values.get(field)) if values else ""
