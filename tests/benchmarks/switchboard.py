"""What the benchmarks of the calls share: the phone side of a stand-in, an office, and counts of what was called."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass

from portal.models import Connection
from telephony.models import AssignmentRules, CallSettings, LeadOwner, Office, OverwritableStatus
from tests.benchmarks.arena import StandinProcess
from tests.conftest import ringcentral_connection_to

OWNERS = 5
# The most that the portal's own buckets hold; with windows of a second on the vendor's side they are no limit here.
WIDE = 500
GROUPS = ("light", "medium", "heavy", "auth")


def phones(vendor: StandinProcess) -> Connection:
    """The only RingCentral connection; its buckets on both sides are wide, for this process and those it starts."""
    for group in GROUPS:
        os.environ[f"RINGCENTRAL_{group.upper()}_PER_MINUTE"] = str(WIDE)
    limits = {f"{group}_limit": 10_000 for group in GROUPS}
    vendor.post("ringcentral/settings", limits | {"window_s": 1, "token_life_s": 10**6})
    return ringcentral_connection_to(
        vendor.url, name=f"Phones {Connection.objects.count()}", client_id="standin-rc-client", concurrency=10
    )


def office(vendor: StandinProcess) -> Office:
    """The only office, with owners in rotation; every call of the account is its own and may set any lead's status."""
    CallSettings.objects.update_or_create(pk=1, defaults={"settle_seconds": 0})
    Office.objects.all().delete()
    made = Office.objects.create(slug="philadelphia", name="Philadelphia", zone="America/New_York", region="US")
    AssignmentRules.objects.create(office=made, answering_first=False)
    rows = vendor.post("records", {"module": "Leads", "fields": ["Owner", "Lead_Status"]})["data"]
    statuses = sorted({row["Lead_Status"] for row in rows if row["Lead_Status"]})
    OverwritableStatus.objects.bulk_create(OverwritableStatus(office=made, value=status) for status in statuses)
    users = sorted({row["Owner"]["id"] for row in rows})[:OWNERS]
    LeadOwner.objects.bulk_create(
        LeadOwner(office=made, zoho_id=user, name=f"Owner {place}", position=place)
        for place, user in enumerate(users, 1)
    )
    return made


@dataclass(frozen=True)
class Traffic:
    """How many calls reached the vendors. `reads` and `writes` of Zoho are without uploads; COQL is a read."""

    reads: int
    writes: int
    uploads: int
    log_reads: int
    downloads: int

    @property
    def zoho(self) -> int:
        """Without the uploads, of which each file needs one."""
        return self.reads + self.writes


def traffic(vendor: StandinProcess) -> Mapping[str, int]:
    """Calls since the start by route, to be taken before and after."""
    counted: dict[str, int] = vendor.get("counters")["calls"]
    return counted


def between(before: Mapping[str, int], after: Mapping[str, int]) -> Traffic:
    sums = dict.fromkeys(("reads", "writes", "uploads", "log_reads", "downloads"), 0)
    for route, count in after.items():
        kind = _kind(*route.split(" ", 1))
        if kind:
            sums[kind] += count - before.get(route, 0)
    return Traffic(**sums)


def _kind(method: str, path: str) -> str:
    if "/crm/" in path:
        if method == "GET" or path.endswith("/coql"):
            return "reads"
        return "uploads" if path.endswith("/Attachments") else "writes"
    if "/recording/" in path or "/content/" in path:
        return "downloads"
    return "log_reads" if "/call-log" in path else ""
