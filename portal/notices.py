"""Mails about what only a person can mend; each once, not once a run."""

from __future__ import annotations

import datetime as dt
import logging

from django.contrib.auth.models import User
from django.core.mail import send_mail
from django.utils import timezone

from portal import audit
from portal.models import AuditEntry, Connection

logger = logging.getLogger(__name__)

QUIET = dt.timedelta(hours=24)
RECONNECT = "reconnect notice sent"


def reconnect_needed(connection: Connection, reason: str) -> bool:
    """Tells the administrators that work is held until the connection is renewed. Returns whether a mail went out."""
    target = f"connection {connection.pk}"
    if AuditEntry.objects.filter(action=RECONNECT, target=target, at__gte=timezone.now() - QUIET).exists():
        return False
    audit.record(RECONNECT, actor="worker", target=target)
    addresses = list(
        User.objects.filter(groups__name="Administrator", is_active=True)
        .exclude(email="")
        .values_list("email", flat=True)
    )
    if not addresses:
        return False
    body = (
        f"The connection “{connection.name}” to {connection.get_vendor_display()} needs to be renewed.\n\n{reason}\n\n"
        "Runs that use it are held and go on by themselves after it was renewed on the Connections page of the portal."
    )
    try:
        send_mail(f"Reconnect {connection.get_vendor_display()}: work is held", body, None, addresses)
    except OSError:
        # The page shows the same; a mail server that is down must not end the run's slice.
        logger.exception("the notice about connection %s could not be sent", connection.pk)
        return False
    return True
