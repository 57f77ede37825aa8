"""What every page's frame shows: navigation, environment, credits, worker, runs that wait for people.

At most four queries for a logged-in page (and Django's own two for permissions, which the view's guard has made
already), none for anonymous visitors and for fragments that htmx puts into a page whose frame is there.
"""

import datetime as dt
from typing import Any

from django.contrib.auth import get_user_model
from django.contrib.auth.models import AbstractUser
from django.db.models import Count, Exists, Max, Q, Subquery, Sum
from django.http import HttpRequest
from django.utils import timezone

from portal import navigation
from portal.access import ROLES
from portal.models import ApiUsage, Connection, RemoteState, Run, Vendor, Worker

WORKER_SILENCE = dt.timedelta(seconds=30)
CREDIT_WINDOW = dt.timedelta(hours=24)
CREDITS_SEEN_WITHIN = dt.timedelta(hours=1)
# Percent of the daily credits from which the meter warns, and from which it alarms.
WARNING_FROM = 70
DANGER_FROM = 90


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor; computed once per request, because a table renders its template with a context of its own."""
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated or _is_fragment(request):
        return {}
    if not hasattr(request, "_portal_shell"):
        request._portal_shell = _build(user, request.path)  # type: ignore[attr-defined]
    return request._portal_shell  # type: ignore[attr-defined]


def _is_fragment(request: HttpRequest) -> bool:
    htmx = getattr(request, "htmx", None)
    return bool(htmx) and not htmx.boosted and not htmx.history_restore_request  # type: ignore[union-attr]


def _build(user: AbstractUser, path: str) -> dict[str, Any]:
    now = timezone.now()
    role, workers_alive = _role_and_worker(user, now)
    runs = Run.objects.filter(state__in=Run.OPEN).aggregate(
        open=Count("pk"), waiting=Count("pk", filter=Q(state=Run.State.WAITING, wait__in=Run.WAITS_FOR_PEOPLE))
    )
    # Without the secrets: the frame must show even when no key opens them, or nobody could enter new ones.
    default = Connection.objects.filter(vendor=Vendor.ZOHO, is_default=True)
    connection = default.defer("client_secret", "refresh_token", "jwt").first()
    return {
        "nav": navigation.links(user, path),
        "environment": _environment(connection),
        "credits": _credits(connection, now),
        "workers_alive": workers_alive,
        "open_runs": runs["open"],
        "waiting_runs": runs["waiting"],
        "role": role,
    }


def _role_and_worker(user: AbstractUser, now: dt.datetime) -> tuple[str, bool]:
    """The user's highest role, and whether a worker gave a sign of life lately."""
    alive = Worker.objects.filter(heartbeat_at__gte=now - WORKER_SILENCE)
    rows = (
        get_user_model()
        .objects.filter(pk=user.pk)
        .annotate(workers_alive=Exists(alive))
        .values_list("groups__name", "workers_alive")
    )
    groups, signs = zip(*rows, strict=True)
    role = next((name for name in reversed(ROLES) if name in groups), "")
    if user.is_superuser:
        role = "Superuser"
    return role or "No role", any(signs)


def _environment(connection: Connection | None) -> dict[str, str] | None:
    """Label and kind of the default Zoho connection's environment; None without one."""
    if connection is None:
        return None
    return {"label": connection.get_environment_display(), "kind": connection.environment or "unknown"}


def _credits(connection: Connection | None, now: dt.datetime) -> dict[str, Any] | None:
    """Credits of the last 24 hours; None without a default Zoho connection.

    `limit` is 0 and `percent` and `remaining` are None as long as the organisation's daily credits are not known. What
    the vendor said within the last hour counts before our own sum, because other programs spend credits too.
    """
    if connection is None:
        return None
    seen = RemoteState.objects.filter(
        key=connection.limit_key, credits_remaining__isnull=False, credits_seen_at__gte=now - CREDITS_SEEN_WITHIN
    )
    totals = ApiUsage.objects.filter(key=connection.limit_key, hour__gt=now - CREDIT_WINDOW).aggregate(
        spent=Sum("credits"), seen=Max(Subquery(seen.values("credits_remaining")[:1]))
    )
    used = totals["spent"] or 0
    limit = connection.daily_credits
    if not limit:
        return {"used": used, "limit": 0, "percent": None, "remaining": totals["seen"], "level": "unknown"}
    if totals["seen"] is not None:
        used = max(used, limit - totals["seen"])
    percent = min(100 * used // limit, 100)
    level = "danger" if percent >= DANGER_FROM else "warning" if percent >= WARNING_FROM else "ok"
    return {"used": used, "limit": limit, "percent": percent, "remaining": max(limit - used, 0), "level": level}
