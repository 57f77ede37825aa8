"""How few calls and queries the processing of calls takes. Nothing is timed here: calls are counted, and statements."""

from __future__ import annotations

from collections.abc import Callable
from functools import partialmethod

import pytest
from django.db import connection as database
from django.test.utils import CaptureQueriesContext

from portal.models import Run
from portal.standin import Standin
from telephony.models import Call, CallLogRow, CallRule, OverwritableStatus
from telephony.ringcentral.client import RingCentralClient
from tests.telephony.conftest import ago

pytestmark = pytest.mark.usefixtures("owners")

CALLS = 200
KNOWN_NUMBER = "+1267{:07d}"
NEW_NUMBER = "+1737{:07d}"
# One call for each hundred new leads, notes and statuses, one read for each fifty known leads; and what does not grow
# with the calls: metadata of a new connection, the numbers of two modules, the call entries of other integrations.
PER_CALL = 0.10
ONCE = 5
# Statements of the first run of new connections; each call to a vendor takes about eight of them.
QUERIES_ONCE = 600
QUERIES_PER_CALL = 0.5

Traffic = Callable[[], dict[str, int]]


@pytest.fixture
def traffic(standin: Standin) -> Traffic:
    """Calls since it was last asked: Zoho's reads, writes and uploads, RingCentral's log reads and downloads."""
    seen: dict[str, int] = {}

    def since_last() -> dict[str, int]:
        found = dict.fromkeys(("reads", "writes", "uploads", "log", "downloads"), 0)
        for route, count in standin.counters.calls.items():
            kind = kind_of(*route.split(" ", 1))
            if kind:
                found[kind] += count - seen.get(route, 0)
        seen.update(standin.counters.calls)
        return found

    return since_last


def kind_of(method: str, path: str) -> str:
    if "/crm/" in path:
        if method == "GET" or path.endswith("/coql"):
            return "reads"
        return "uploads" if path.endswith("/Attachments") else "writes"
    if "/recording/" in path:
        return "downloads"
    return "log" if "/call-log" in path else ""


def a_day(standin: Standin, phones, count: int = CALLS) -> None:
    """Four of ten callers are new; every second call is recorded, of the others one half is missed."""
    OverwritableStatus.objects.create(value="Not Contacted")
    for turn in range(count):
        is_new = turn % 5 < 2
        number = (NEW_NUMBER if is_new else KNOWN_NUMBER).format(2_000_000 + turn)
        if not is_new:
            standin.add_lead(Phone=number)
        at = ago(minutes=60 + 5 * turn)
        if turn % 4 == 3:
            phones.missed(at, caller=number)
        else:
            phones.accepted(at, caller=number, recorded=turn % 2 == 0)


# --- calls to the vendors ---------------------------------------------------------------------------------------------


def test_a_day_of_calls_takes_one_call_to_zoho_for_ten_of_them_and_its_second_run_none(sync, standin, phones, traffic):
    a_day(standin, phones)
    traffic()
    run = sync()
    first = traffic()
    assert (run.state, run.ok) == (Run.State.FINISHED, CALLS), run.error
    assert first["reads"] + first["writes"] <= PER_CALL * CALLS + ONCE, first
    assert (first["uploads"], first["downloads"]) == (CALLS / 2, CALLS / 2)
    assert first["log"] <= 2

    run = sync()
    second = traffic()
    assert (run.state, run.planned) == (Run.State.FINISHED, 0)
    assert (second["writes"], second["uploads"], second["downloads"]) == (0, 0, 0)
    assert second["reads"] <= 3, second
    assert second["log"] <= 2


def test_ten_new_callers_with_recordings_take_two_writes_and_ten_uploads(sync, standin, phones, traffic):
    """The replaced scripts took 130 calls to Zoho for them, 90 of which were searches."""
    phones.accepted(ago(hours=5), caller=NEW_NUMBER.format(3_000_000))
    sync()
    for turn in range(10):
        phones.accepted(ago(minutes=30 + turn), caller=NEW_NUMBER.format(2_000_000 + turn), recorded=True)
    traffic()
    run = sync()
    counted = traffic()
    assert (run.state, run.ok) == (Run.State.FINISHED, 10), run.error
    assert (counted["writes"], counted["uploads"]) == (2, 10), counted
    # What changed in two modules, and the call entries of other integrations.
    assert counted["reads"] <= 3, counted
    assert sum(counted[kind] for kind in ("reads", "writes", "uploads")) <= 15

    sync()
    again = traffic()
    assert again["reads"] + again["writes"] + again["uploads"] == 0


@pytest.mark.parametrize(("per_page", "pages"), [(1000, 1), (250, 3)])
def test_a_page_of_the_log_holds_as_many_calls_as_asked_for(sync, phones, traffic, monkeypatch, per_page, pages):
    monkeypatch.setattr(RingCentralClient, "log_page", partialmethod(RingCentralClient.log_page, per_page=per_page))
    CallRule.objects.create(action=CallRule.Action.IGNORE)
    phones.many(ago(hours=6), count=600, every_s=20)
    traffic()
    sync()
    assert (CallLogRow.objects.count(), Call.objects.count()) == (600, 600)
    # And one look at what has changed since.
    assert traffic()["log"] == pages + 1


# --- queries ----------------------------------------------------------------------------------------------------------


def test_a_run_takes_a_bounded_number_of_queries_for_each_call(sync, standin, phones):
    CallRule.objects.create(direction=CallRule.Direction.INBOUND, with_media=False)
    a_day(standin, phones)
    with CaptureQueriesContext(database) as queries:
        run = sync()
    assert run.ok == CALLS
    assert len(queries) <= QUERIES_ONCE + QUERIES_PER_CALL * CALLS


def test_more_calls_of_new_callers_take_no_more_queries_each(sync, phones):
    """What is done for each number and each lead is done for many at once."""
    CallRule.objects.create(direction=CallRule.Direction.INBOUND, with_media=False)
    phones.accepted(ago(hours=20), caller=NEW_NUMBER.format(1_999_999))
    sync()
    counts = []
    for first, count in ((2_000_000, 10), (3_000_000, 100)):
        for turn in range(count):
            phones.accepted(ago(minutes=600 - turn), caller=NEW_NUMBER.format(first + turn))
        with CaptureQueriesContext(database) as queries:
            sync()
        counts.append(len(queries))
    few, many = counts
    assert many - few <= 0.5 * 90, counts
