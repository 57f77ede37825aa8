"""Bulk update against the stand-in: the plan, the write, and the account of each record."""

from collections.abc import Callable
from dataclasses import replace

import pytest
from django.contrib.auth.models import AnonymousUser
from django.db import connections as connections_of_this_thread
from django.utils import timezone

from crm import bulk_update, restore, retry
from crm.selection import parse
from portal import connections, runs
from portal.models import Connection, Run, RunItem
from portal.standin import Fault, Standin

Work = Callable[[Run], Run]
CHANGE = {"field": "Lead_Status", "value": "Junk Lead", "automation": False}


def plan(zoho: Connection, ids: list[str], **options: object) -> Run:
    options = {"change": CHANGE, "confirmed": True} | options
    return bulk_update.start(
        connection=zoho, module="Leads", source={"type": "ids"}, selection=parse("\n".join(ids)), **options
    )


def outcome(run: Run) -> dict[str, int]:
    run.refresh_from_db()
    assert run.planned == run.ok + run.failed + run.skipped + run.unknown + run.remaining
    return {"ok": run.ok, "failed": run.failed, "skipped": run.skipped, "unknown": run.unknown}


@pytest.fixture
def leads(standin: Standin) -> list[str]:
    """Ids of leads that nothing keeps from being changed."""
    return plain_leads(standin, 350)


def plain_leads(standin: Standin, count: int) -> list[str]:
    found = []
    for record_id in standin.ids("Leads"):
        record = standin.record("Leads", record_id)
        blocked = record["Converted__s"] or record["Locked__s"] or record["$process_flow"]
        if blocked or record["Layout"]["name"] != "Standard" or record["$approval_state"] != "approved":
            continue
        if record["Lead_Status"] != "Junk Lead":
            found.append(record_id)
        if len(found) == count:
            return found
    raise AssertionError("the stand-in has too few plain leads")


def test_every_lead_of_the_list_gets_the_value_in_batches_of_a_hundred(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, leads[:250]))

    assert run.state == Run.State.FINISHED
    assert outcome(run) == {"ok": 250, "failed": 0, "skipped": 0, "unknown": 0}
    assert {standin.record("Leads", record_id)["Lead_Status"] for record_id in leads[:250]} == {"Junk Lead"}
    puts = [entry for entry in standin.counters.journal if entry.method == "PUT"]
    assert sorted(entry.records for entry in puts) == [50, 100, 100]
    assert all(entry.trigger == [] for entry in puts)


def test_present_values_are_stored_before_the_write_and_can_be_restored(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    before = {record_id: standin.record("Leads", record_id)["Lead_Status"] for record_id in leads[:120]}
    run = work(plan(zoho, leads[:120]))

    restored = work(restore.start(run, confirmed=True))

    assert restored.state == Run.State.FINISHED
    assert outcome(restored)["ok"] == 120
    assert {record_id: standin.record("Leads", record_id)["Lead_Status"] for record_id in before} == before
    assert work(restore.start(restored, confirmed=True)).ok == 120, "a restore can itself be restored"


def test_restore_leaves_alone_what_somebody_changed_since_unless_ticked(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, leads[:10]))
    standin.set_record("Leads", leads[3], {"Lead_Status": "Contacted"})
    standin.remove("Leads", leads[4])

    preview = work(restore.start(run))

    assert preview.wait == Run.Wait.CONFIRMATION
    changed = preview.items.get(key=leads[3])
    assert (changed.state, changed.code) == ("skipped", "CHANGED_SINCE")
    assert "Contacted" in changed.message
    assert preview.items.get(key=leads[4]).code == "NOT_FOUND"
    restore.override(preview, [leads[3]], user=None)
    preview.refresh_from_db()
    assert bulk_update.confirm(preview, user=None, fingerprint=preview.fingerprint)
    assert outcome(work(preview)) == {"ok": 9, "failed": 0, "skipped": 1, "unknown": 0}
    assert standin.record("Leads", leads[3])["Lead_Status"] != "Contacted"


def test_a_blank_previous_value_is_restored_as_blank(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    standin.set_record("Leads", leads[0], {"Lead_Status": None})
    run = work(plan(zoho, leads[:1]))
    assert standin.record("Leads", leads[0])["Lead_Status"] == "Junk Lead"
    work(restore.start(run, confirmed=True))
    assert standin.record("Leads", leads[0])["Lead_Status"] is None


def test_the_plan_names_what_will_not_change_and_why(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    standin.set_record("Leads", leads[0], {"Lead_Status": "Junk Lead"})
    standin.set_record("Leads", leads[1], {"Locked__s": True})
    standin.set_record("Leads", leads[2], {"Converted__s": True})
    standin.remove("Leads", leads[3])

    run = work(plan(zoho, leads[:6], confirmed=False))

    assert run.wait == Run.Wait.CONFIRMATION
    codes = dict(run.items.values_list("key", "code"))
    assert [codes[record_id] for record_id in leads[:6]] == [
        "UNCHANGED", "RECORD_LOCKED", "CONVERTED_RECORD", "NOT_FOUND", "", "",
    ]  # fmt: skip
    assert not any(entry.method == "PUT" for entry in standin.counters.journal)


def test_records_with_a_value_of_their_own_get_that_value_and_an_unknown_one_is_refused_by_name(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    lines = [f"{leads[0]},contacted", f"{leads[1]},No Such Status", leads[2]]
    run = work(plan(zoho, lines))

    assert standin.record("Leads", leads[0])["Lead_Status"] == "Contacted"
    assert standin.record("Leads", leads[2])["Lead_Status"] == "Junk Lead"
    refused = run.items.get(key=leads[1])
    assert (refused.state, refused.code) == ("skipped", "INVALID_VALUE")
    assert "No Such Status" in refused.message


def test_a_value_that_the_picklist_lacks_is_refused_before_any_call_writes(zoho: Connection, leads: list[str]) -> None:
    with pytest.raises(bulk_update.Invalid, match="not a value of Lead Status"):
        plan(zoho, leads[:3], change=CHANGE | {"value": "Nonsense"})
    assert not Run.objects.exists()


@pytest.mark.parametrize(
    "fault",
    [
        {"drop": "before"},
        {"drop": "after"},
        {"status": 500},
        {"status": 503, "when": "after"},
        {"status": 502, "html": True},
        {"malformed": True},
        {"truncate": 40},
        {"status": 204, "when": "after"},
        {"status": 429, "headers": {"Retry-After": "0"}},
    ],
    ids=str,
)
def test_an_answer_that_went_wrong_changes_nothing_about_the_end(
    zoho: Connection, standin: Standin, leads: list[str], work: Work, fault: dict[str, object]
) -> None:
    standin.faults.add(method="PUT", nth=2, **fault)
    run = work(plan(zoho, leads[:250]))

    assert run.state == Run.State.FINISHED, list(run.events.values_list("message", flat=True))
    assert outcome(run)["ok"] == 250
    writes = [standin.writes("Leads", record_id) for record_id in leads[:250]]
    assert all(write.effective == 1 for write in writes)
    assert sum(write.writes for write in writes) <= 350


def test_an_id_that_the_answer_leaves_out_is_settled_by_one_reading(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    standin.faults.add(method="PUT", nth=1, omit=7)
    run = work(plan(zoho, leads[:100]))

    assert outcome(run) == {"ok": 100, "failed": 0, "skipped": 0, "unknown": 0}
    assert run.items.get(key=leads[7]).code == "CONFIRMED"
    assert standin.writes("Leads", leads[7]).writes == 1


def test_each_refused_record_keeps_zohos_code_and_words_and_the_counts_add_up(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, leads[:200], confirmed=False))
    for record_id in leads[20:40]:
        standin.set_record("Leads", record_id, {"Locked__s": True})
    bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    run = work(run)

    assert run.state == Run.State.FINISHED_WITH_ERRORS
    assert outcome(run) == {"ok": 180, "failed": 20, "skipped": 0, "unknown": 0}
    failed = run.items.filter(state="failed")
    assert set(failed.values_list("key", flat=True)) == set(leads[20:40])
    assert set(failed.values_list("code", flat=True)) == {"RECORD_LOCKED"}
    assert all(failed.values_list("message", flat=True))


def test_a_retry_is_a_child_that_repeats_only_what_failed(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, leads[:20], confirmed=False))
    for record_id in leads[:5]:
        standin.set_record("Leads", record_id, {"Locked__s": True})
    bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    work(run)
    for record_id in leads[:5]:
        standin.set_record("Leads", record_id, {"Locked__s": False})

    child = work(retry.start(run, codes=["RECORD_LOCKED"]))

    assert (child.parent_id, child.relation) == (run.pk, "retry")
    assert outcome(child) == {"ok": 5, "failed": 0, "skipped": 0, "unknown": 0}
    run.refresh_from_db()
    assert run.failed == 5
    with pytest.raises(bulk_update.Invalid, match="nothing to retry"):
        retry.start(child)


def test_a_batch_refused_as_a_whole_is_split_until_the_bad_record_stands_alone(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    bad = leads[13]
    refusing = Refusing(standin, bad)
    standin.faults = refusing
    run = work(plan(zoho, leads[:100]))

    assert outcome(run) == {"ok": 99, "failed": 1, "skipped": 0, "unknown": 0}
    assert run.items.get(state="failed").key == bad
    assert refusing.refused <= 8


class Refusing:
    """Faults of a vendor that refuses a whole call when one certain record is in it."""

    def __init__(self, standin: Standin, bad: str) -> None:
        self.bad, self.refused, self.inner = bad, 0, standin.faults

    def match(self, request: object) -> Fault | None:
        if request.method == "PUT" and self.bad in request.body.decode():
            self.refused += 1
            body = {"code": "INVALID_DATA", "details": {}, "message": "the body is not valid", "status": "error"}
            return Fault(status=400, body=body)
        return self.inner.match(request)


def test_a_forbidden_call_fails_its_own_batch_and_the_others_go_on(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    body = {"code": "NO_PERMISSION", "details": {}, "message": "permission denied", "status": "error"}
    standin.faults.add(method="PUT", nth=2, status=403, body=body)
    run = work(plan(zoho, leads[:250]))

    assert run.failed in (50, 100)
    assert run.ok == 250 - run.failed
    assert set(run.items.filter(state="failed").values_list("code", flat=True)) == {"NO_PERMISSION"}


def test_a_mandatory_field_is_sent_along_only_after_zoho_asked_for_it(
    zoho: Connection, standin: Standin, work: Work
) -> None:
    strict = strict_leads(standin, 3)
    companies = {record_id: standin.record("Leads", record_id)["Company"] for record_id in strict}
    run = work(plan(zoho, strict))

    assert outcome(run)["ok"] == 3, list(run.items.values_list("code", "message"))
    for record_id in strict:
        assert standin.record("Leads", record_id)["Lead_Status"] == "Junk Lead"
        assert standin.record("Leads", record_id)["Company"] == companies[record_id]


def test_a_colleagues_edit_during_the_refill_is_not_undone(zoho: Connection, standin: Standin, work: Work) -> None:
    record_id = strict_leads(standin, 1)[0]
    standin.clock.freeze()

    def meddle(number: int, request: object) -> None:
        if request.method == "PUT" and request.path.endswith(record_id):
            standin.before_effect = None
            standin.clock.advance(5)
            standin.set_record("Leads", record_id, {"Company": "Changed by a colleague"})

    standin.before_effect = meddle
    run = work(plan(zoho, [record_id]))

    assert standin.record("Leads", record_id)["Company"] == "Changed by a colleague"
    assert run.items.get().code == "ALREADY_MODIFIED"
    assert outcome(work(retry.start(run)))["ok"] == 1


def strict_leads(standin: Standin, count: int) -> list[str]:
    found = [
        record_id
        for record_id in standin.ids("Leads")
        if (record := standin.record("Leads", record_id))["Layout"]["name"] == "Strict"
        and not (record["Converted__s"] or record["Locked__s"] or record["$process_flow"])
        and record["Lead_Status"] != "Junk Lead"
        and record["Company"]
        and record["$approval_state"] == "approved"
    ]
    assert len(found) >= count
    return found[:count]


def test_a_view_of_several_pages_is_loaded_completely_with_page_tokens(
    zoho: Connection, standin: Standin, work: Work
) -> None:
    view = next(view for view in standin.zoho.org.views.values() if view.name == "All Leads")
    source = {"type": "view", "id": view.id, "name": view.name, "all_pages": True}
    run = work(bulk_update.start(connection=zoho, module="Leads", source=source))

    assert run.wait == Run.Wait.CHANGE
    assert run.planned > 2000
    assert run.items.values("key").distinct().count() == run.planned
    pages = [entry for entry in standin.counters.journal if "cvid" in entry.query]
    assert all(entry.query["per_page"] == "200" for entry in pages)


def test_a_double_confirmation_starts_one_run_and_the_same_plan_again_asks(
    zoho: Connection, leads: list[str], standin: Standin, work: Work
) -> None:
    run = work(plan(zoho, leads[:5], confirmed=False))
    assert bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    run.refresh_from_db()
    assert not bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    work(run)
    for record_id in leads[:5]:
        standin.set_record("Leads", record_id, {"Lead_Status": "Contacted"})

    again = work(plan(zoho, leads[:5], confirmed=False))
    with pytest.raises(bulk_update.Invalid, match="already run"):
        bulk_update.confirm(again, user=None, fingerprint=again.fingerprint)
    assert bulk_update.confirm(again, user=None, again=True, fingerprint=again.fingerprint)


def test_from_a_thousand_records_on_the_number_must_be_typed(
    zoho: Connection, standin: Standin, work: Work, monkeypatch: pytest.MonkeyPatch, leads: list[str]
) -> None:
    monkeypatch.setattr(bulk_update, "TYPE_THE_NUMBER_FROM", 100)
    run = work(plan(zoho, leads[:100], confirmed=False))
    with pytest.raises(bulk_update.Invalid, match="Type the number"):
        bulk_update.confirm(run, user=None, typed="10", fingerprint=run.fingerprint)
    assert bulk_update.confirm(run, user=None, typed="100", fingerprint=run.fingerprint)


def test_a_dry_run_reads_the_plan_and_writes_nothing(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, leads[:50], dry_run=True))
    assert run.items.filter(state="planned").count() == 50
    assert all(entry.method in ("GET", "POST") for entry in standin.counters.journal)
    with pytest.raises(bulk_update.Invalid, match="dry run"):
        bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)


def test_a_revoked_token_makes_the_run_wait_and_reconnecting_lets_it_go_on(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, leads[:150], confirmed=False))
    tokens = standin.zoho.tokens.refresh
    tokens["another-refresh"] = replace(tokens["standin-refresh"])
    standin.zoho.tokens.revoke("standin-refresh")
    bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    for _ in range(12):
        runs.wake(run.pk)
        Run.objects.filter(pk=run.pk).update(not_before=timezone.now())
    run.refresh_from_db()

    assert (run.state, run.wait) == (Run.State.WAITING, Run.Wait.RECONNECTION)
    assert outcome(run)["failed"] == 0
    assert run.events.filter(message__contains="Waiting for the connection").count() <= 2
    zoho.refresh_from_db()
    assert zoho.state == Connection.State.RECONNECT
    connections.save(zoho, secrets={"refresh_token": "another-refresh"}, changed=[], user=AnonymousUser())
    assert outcome(work(run))["ok"] == 150


def test_a_token_that_expires_in_the_middle_is_refreshed_once_and_nothing_fails(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, leads[:250], confirmed=False))
    tokens = standin.counters.token_requests
    standin.clock.advance(3700)
    bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    assert outcome(work(run))["ok"] == 250
    assert standin.counters.token_requests == tokens + 1


@pytest.mark.django_db(transaction=True)
def test_stopping_ends_after_the_calls_in_flight_and_resuming_finishes_the_rest(
    zoho: Connection, standin: Standin, leads: list[str], work: Work, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runs, "HEARTBEAT_SECONDS", 0)
    Connection.objects.filter(pk=zoho.pk).update(concurrency=1)
    run = plan(zoho, leads[:300])

    def ask_to_stop(number: int, request: object) -> None:
        if request.method == "PUT":
            standin.after_effect = None
            runs.stop(Run.objects.get(pk=run.pk))
            connections_of_this_thread.close_all()

    standin.after_effect = ask_to_stop
    run = work(run)

    assert run.state == Run.State.STOPPED
    assert run.items.filter(state=RunItem.State.SENT).count() == 0
    assert 100 <= run.ok < 300
    assert runs.resume(run)
    assert outcome(work(run))["ok"] == 300
    assert all(standin.writes("Leads", record_id).writes == 1 for record_id in leads[:300])


def test_the_failed_records_of_a_run_can_get_another_change(
    zoho: Connection, standin: Standin, leads: list[str], work: Work
) -> None:
    run = work(plan(zoho, [f"{leads[0]},Contacted", *leads[1:10]], confirmed=False))
    for record_id in leads[:4]:
        standin.set_record("Leads", record_id, {"Locked__s": True})
    bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    work(run)
    for record_id in leads[:4]:
        standin.set_record("Leads", record_id, {"Locked__s": False})

    source = {"type": "run", "id": run.pk, "states": ["failed", "unknown"]}
    other = bulk_update.start(
        connection=zoho, module="Leads", source=source, change=CHANGE | {"value": "On Hold"}, confirmed=True
    )

    assert outcome(work(other)) == {"ok": 4, "failed": 0, "skipped": 0, "unknown": 0}
    assert {standin.record("Leads", record_id)["Lead_Status"] for record_id in leads[:4]} == {"On Hold"}
