"""Fixtures of the phone side: an office on the stand-in's account, and a run of its calls from start to end."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.utils import timezone

from portal.models import Connection, Run
from portal.standin import Standin
from telephony import call_sync
from telephony.models import AssignmentRules, CallSettings, LeadOwner, Office


@pytest.fixture
def standin() -> Standin:
    """A small organisation: its numbers are read in one call."""
    return Standin(leads=60)


@pytest.fixture
def phones(standin: Standin, settings: Any) -> Any:
    """The stand-in's script of calls, with room in the buckets on both sides."""
    for group in ("LIGHT", "MEDIUM", "HEAVY", "AUTH"):
        setattr(settings, f"RINGCENTRAL_{group}_PER_MINUTE", 500)
    vendor = standin.ringcentral.settings
    vendor.light_limit = vendor.medium_limit = vendor.heavy_limit = vendor.auth_limit = 500
    vendor.token_life_s = 10**6  # a test that moves the vendor's clock does not move ours
    return standin.ringcentral.script


@pytest.fixture
def office(db: None) -> Office:
    """One office, so that every call is its own."""
    CallSettings.objects.update_or_create(pk=1, defaults={"settle_seconds": 0})
    return Office.objects.create(
        slug="philadelphia", name="Philadelphia", order=1, zone="America/New_York", region="US"
    )


@pytest.fixture
def owners(office: Office, standin: Standin) -> list[LeadOwner]:
    """Two owners in rotation, who are users of the stand-in's organisation."""
    users = sorted(standin.zoho.org.users)[:2]
    AssignmentRules.objects.create(office=office, answering_first=False)
    return [
        LeadOwner.objects.create(office=office, zoho_id=user_id, name=f"Owner {place}", position=place)
        for place, user_id in enumerate(users, 1)
    ]


@pytest.fixture
def sync(zoho: Connection, ringcentral: Connection, office: Office, work: Callable[[Run], Run]) -> Callable[..., Run]:
    """Processes the calls of the last 24 hours as a worker would, to the end."""

    def run(**options: Any) -> Run:
        values: dict[str, Any] = {"offices": [office]} | options
        return work(call_sync.start(**values))

    return run


def ago(**span: float) -> dt.datetime:
    """A time before now, without fractions of seconds."""
    return (timezone.now() - dt.timedelta(**span)).replace(microsecond=0)
