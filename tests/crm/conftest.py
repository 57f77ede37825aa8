"""What the tests of the CRM share: records that nothing keeps from being changed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from portal.standin import Standin


@pytest.fixture
def plain_leads(standin: Standin) -> Callable[[int], list[str]]:
    """So many ids of leads that are no Junk Lead, neither converted nor locked, and in no blueprint or approval."""

    def is_plain(record_id: str) -> bool:
        record = standin.record("Leads", record_id)
        blocked = record["Converted__s"] or record["Locked__s"] or record["$process_flow"]
        usual = record["Layout"]["name"] == "Standard" and record["$approval_state"] == "approved"
        return usual and not blocked and record["Lead_Status"] not in ("Junk Lead", "Contacted")

    def find(count: int) -> list[str]:
        found: list[str] = []
        for record_id in standin.ids("Leads"):
            if is_plain(record_id):
                found.append(record_id)
            if len(found) == count:
                return found
        raise AssertionError("the stand-in has too few plain leads")

    return find
