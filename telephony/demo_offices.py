"""Two offices on the stand-in's account, so that the demo can turn calls into leads at once."""

from __future__ import annotations

from decimal import Decimal

from django.contrib.auth.models import User
from django.db.models import Q

from crm import metadata
from crm.models import PhoneEntry
from portal.connections import session_for
from portal.models import Connection, Cursor, Schedule
from telephony import call_sync, directory
from telephony.models import (
    Call,
    Caller,
    CallLogRow,
    CallSettings,
    Extension,
    LeadOwner,
    Office,
    OverwritableStatus,
    StatusName,
)
from telephony.ringcentral.client import RingCentralClient

# Slug, name, zone, numbers of extensions, and where among the users of Zoho the owners begin.
OFFICES = (
    ("philadelphia", "Philadelphia", "America/New_York", ("101", "102", "103", "104", "105", "106", "201", "202"), 0),
    ("san-diego", "San Diego", "America/Los_Angeles", ("107", "108", "109", "110", "111", "112", "203", "301"), 3),
)
WEIGHTS = tuple(Decimal(weight) for weight in ("2", "1.5", "1", "1", "1"))
SCHEDULE = "Calls, every hour"


def set_up(ringcentral: Connection, zoho: Connection, admin: User) -> None:
    """What is there already stays as people have changed it; calls are forgotten, because the stand-in begins anew."""
    _forget(ringcentral, zoho)
    with RingCentralClient(session_for(ringcentral, read_only=True)) as phones:
        directory.sync_extensions(phones, ringcentral)
    if Office.objects.exists():
        return
    CallSettings.objects.update_or_create(pk=1, defaults={"default_zone": "America/New_York"})
    with metadata.client_for(zoho, read_only=True) as client:
        users = sorted((user for user in client.users() if user.is_active), key=lambda user: user.id)
    for order, (slug, name, zone, numbers, first) in enumerate(OFFICES, 1):
        office = Office.objects.create(slug=slug, name=name, order=order, zone=zone, region="US")
        Extension.objects.filter(connection=ringcentral, number__in=numbers).update(office=office)
        for place, owner in enumerate(directory.add_owners(office, users[first : first + len(WEIGHTS)])):
            LeadOwner.objects.filter(pk=owner.pk).update(weight=WEIGHTS[place], position=place + 1)
    StatusName.objects.create(key=StatusName.Key.DUPLICATE, value="Duplicate Lead")
    OverwritableStatus.objects.create(value="Not Contacted")
    # Paused: the first run is the visitor's own.
    Schedule.objects.create(
        name=SCHEDULE, kind=call_sync.KIND, connection=ringcentral, cron="0 * * * *", zone="America/New_York",
        parameters={"offices": [], "types": list(call_sync.TYPES), "hours_back": 24}, is_active=False, owner=admin,
    )  # fmt: skip


def _forget(ringcentral: Connection, zoho: Connection) -> None:
    """Calls of an earlier demo and the leads that were made for them: neither vendor knows them any more."""
    Call.objects.filter(connection=ringcentral).delete()
    CallLogRow.objects.filter(connection=ringcentral).delete()
    Caller.objects.filter(connection=zoho).delete()
    PhoneEntry.objects.filter(connection=zoho).delete()
    Cursor.objects.filter(Q(name__startswith="calls") | Q(name__startswith="phones:")).delete()
