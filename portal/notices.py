"""Mails: what only a person can mend, once and not once a run; and how a long run ended."""

from __future__ import annotations

import datetime as dt
import logging

from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.utils import timezone

from portal import audit
from portal.models import AuditEntry, Connection, Run

logger = logging.getLogger(__name__)

QUIET = dt.timedelta(hours=24)
RECONNECT = "reconnect notice sent"
# Who waited at the screen for a shorter run has seen its end.
LONG = dt.timedelta(minutes=1)


def reconnect_needed(connection: Connection, reason: str) -> bool:
    """Tells the administrators that work is held until the connection is renewed. Returns whether a mail went out."""
    return attention_needed(
        RECONNECT,
        f"connection {connection.pk}",
        f"Reconnect {connection.get_vendor_display()}: work is held",
        f"The connection “{connection.name}” to {connection.get_vendor_display()} needs to be renewed.\n\n{reason}\n\n"
        "Runs that use it are held and go on by themselves after it was renewed on the Connections page of the portal.",
    )


def attention_needed(action: str, target: str, subject: str, body: str) -> bool:
    """Tells the administrators what only a person can mend, once in 24 hours for one action (in the audit) and target.

    Returns whether a mail went out.
    """
    if AuditEntry.objects.filter(action=action, target=target, at__gte=timezone.now() - QUIET).exists():
        return False
    audit.record(action, actor="worker", target=target)
    addresses = list(
        User.objects.filter(groups__name="Administrator", is_active=True)
        .exclude(email="")
        .values_list("email", flat=True)
    )
    return _send(subject, body, addresses) if addresses else False


def run_ended(run: Run, state: Run.State, counts: dict[str, int]) -> bool:
    """Tells who started a long run, or one by schedule, how it ended, unless they wanted no mail.

    Returns whether a mail went out.
    """
    if run.parameters.get("email") is False:
        return False
    user = run.requested_by
    is_awaited = run.trigger == Run.Trigger.SCHEDULE or (run.duration is not None and run.duration >= LONG)
    if user is None or not user.is_active or not user.email or not is_awaited or state == Run.State.STOPPED:
        return False
    account = "\n".join(f"{name}: {count:,}" for name, count in counts.items())
    body = f"Run {run.pk}: {run.title}\n\n{state.label}\n\n{account}\n\nThe account of each record: {run.get_absolute_url()}"
    return _send(f"{state.label}: run {run.pk}, {counts['failed']:,} failed", body, [user.email])


def _send(subject: str, body: str, addresses: list[str]) -> bool:
    try:
        send_mail(subject, body, None, addresses)
    except OSError:
        # The pages show the same; a mail server that is down must not end a run's slice.
        logger.exception("a notice could not be sent")
        return False
    return True
