"""What must not happen when runs, people and vendors get in each other's way: nothing lost, nothing twice, no end missed."""

from __future__ import annotations

import datetime as dt

import pytest
from django.utils import timezone

from portal import runs
from portal.models import Run, RunItem
from telephony import call_slices, call_sync, processing, review
from telephony.models import Call, CallLogRow, CallSettings, CallStep, Extension, Office
from telephony.pull import CallStore
from tests.telephony.conftest import ago

NEW = "+12155550142"
OTHER = "+12155550143"


def leads_with(standin, number):
    return [record for i in standin.ids("Leads") if (record := standin.record("Leads", i)).get("Phone") == number]


def only_lead(standin, number):
    (lead,) = leads_with(standin, number)
    return lead


def notes(standin, lead_id, module="Leads"):
    return [note["Note_Content"] for note in standin.notes_of(module, lead_id)]


def files(standin, lead_id, module="Leads"):
    return dict(standin.files_of(module, lead_id))


def call_of(made):
    return Call.objects.get(key=made.session)


def count(standin, method, path):
    """How many such requests reached the vendor."""
    rows = standin.counters.journal_rows(lambda entry: entry.method == method and entry.path.endswith(path))
    return len(rows)


@pytest.fixture
def read_again(standin, ringcentral):
    """RingCentral changes the row of a call, and a reading beside the run brings it."""

    def change(made, **changed):
        for row in CallLogRow.objects.filter(session_key=call_of(made).key):
            legs = [leg | changed for leg in row.payload.get("legs", [])]
            standin.ringcentral.log.change(row.row_id, 0, changed | {"legs": legs})
            CallStore(ringcentral).add([row.payload | changed | {"legs": legs}])

    return change


@pytest.fixture
def sync_once(zoho, ringcentral, office):
    """Works a run until it waits for something."""

    def once():
        run = call_sync.start(offices=[office])
        for _ in range(20):
            runs.wake(run.pk)
            run.refresh_from_db()
            if run.state != Run.State.QUEUED:
                break
        return run

    return once


@pytest.fixture
def between(monkeypatch):
    """Does something once, when a step of the processing begins."""

    def hook(owner, name, act):
        real = getattr(owner, name)
        done = []

        def hooked(self, *args, **kwargs):
            if not done:
                done.append(True)
                act()
            return real(self, *args, **kwargs)

        monkeypatch.setattr(owner, name, hooked)

    return hook


# --- a run and a reading beside it ------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["_set_statuses", "_plan_media", "_finish"])
def test_what_a_reading_changes_while_a_run_has_the_call_is_written_by_the_next_run(
    sync, standin, phones, owners, read_again, between, step
):
    made = phones.accepted(ago(hours=2), caller=NEW, duration=60)
    between(processing.Processor, step, lambda: read_again(made, duration=777))
    sync()
    assert call_of(made).state == Call.State.PENDING
    sync()
    call = call_of(made)
    assert (call.state, call.total_seconds) == (Call.State.DONE, 777)
    (note,) = notes(standin, only_lead(standin, NEW)["id"])
    assert "777" in note


def test_a_call_that_changes_while_its_files_are_moved_leaves_no_item_open(
    sync, standin, phones, owners, read_again, between
):
    made = phones.accepted(ago(hours=2), caller=NEW, duration=60, recorded=True)
    between(call_slices.CallSlice, "_media", lambda: read_again(made, duration=777))
    run = sync()
    assert (run.planned, run.ok + run.skipped) == (1, 1)
    sync()
    assert call_of(made).state == Call.State.DONE
    lead = only_lead(standin, NEW)["id"]
    (note,) = notes(standin, lead)
    assert "777" in note
    assert len(files(standin, lead)) == 1


def test_a_call_that_is_joined_to_another_one_while_a_run_has_it_stays_joined(
    sync, standin, phones, owners, ringcentral, between
):
    main = phones.missed(ago(hours=3), caller=OTHER)
    sync()
    part = phones.accepted(ago(hours=2), caller=NEW)
    between(processing.Processor, "_finish", lambda: CallStore(ringcentral)._merge([call_of(part)], call_of(main)))
    sync()
    assert (call_of(part).state, call_of(part).reason_code) == (Call.State.NOT_PROCESSED, "MERGED")


# --- a run and people -------------------------------------------------------------------------------------------------


def test_what_a_person_ignores_before_the_run_gets_to_it_is_not_written(sync, standin, phones, owners, person, between):
    made = phones.accepted(ago(hours=2), caller=NEW)
    user = person("Operator")
    between(call_slices.CallSlice, "_process", lambda: review.ignore(call_of(made), reason="spam", user=user))
    run = sync()
    assert leads_with(standin, NEW) == []
    assert (call_of(made).state, call_of(made).reason_code) == (Call.State.NOT_PROCESSED, "IGNORED")
    assert (run.state, run.skipped) == (Run.State.FINISHED, 1)


def test_what_a_person_decided_about_an_old_call_is_done_by_the_next_run(sync, standin, phones, owners, person):
    one, _ = standin.add_lead(Phone=NEW), standin.add_lead(Phone=NEW)
    made = phones.accepted(ago(hours=90), caller=NEW)
    sync(since=ago(hours=100), until=ago(hours=80))
    assert call_of(made).state == Call.State.REVIEW
    review.choose(call_of(made), module="Leads", record_id=one, user=person("Operator"))
    sync()
    assert len(notes(standin, one)) == 1
    assert call_of(made).state == Call.State.DONE


def test_a_call_whose_lead_got_no_answer_can_be_tried_again(sync, standin, phones, owners, person, work):
    made = phones.accepted(ago(hours=2), caller=NEW)
    standin.faults.add(method="POST", path="/Leads$", drop="before", times=50)
    sync()
    assert (call_of(made).state, call_of(made).reason_code) == (Call.State.FAILED, "NO_ANSWER")
    standin.faults.clear()
    user = person("Operator")
    review.again(call_of(made), user=user)
    work(call_sync.start_calls([call_of(made)], user=user))
    assert call_of(made).state == Call.State.DONE
    assert len(notes(standin, only_lead(standin, NEW)["id"])) == 1


# --- every call has a way out -----------------------------------------------------------------------------------------


def test_a_call_that_the_log_shows_days_late_is_processed(sync, standin, phones, owners):
    phones.accepted(ago(hours=95), caller=OTHER)
    sync(hours_back=100)
    phones.accepted(ago(hours=60), caller=NEW, appears_after=60 * 3600 + 600)
    sync()
    standin.clock.advance(1200)
    sync()
    assert Call.objects.filter(number=NEW).count() == 1
    assert len(leads_with(standin, NEW)) == 1


def test_a_dry_run_of_old_days_hands_none_of_their_calls_to_the_next_run(sync, standin, phones, owners):
    sync()
    phones.accepted(ago(days=20), caller=NEW)
    sync(since=ago(days=21), until=ago(days=19), dry_run=True)
    sync()
    assert leads_with(standin, NEW) == []


def test_old_calls_get_processed_when_their_extension_gets_an_office(sync, standin, phones, owners, office):
    west = Office.objects.create(slug="west", name="West", order=2)
    phones.accepted(ago(hours=90), caller=NEW, agent="101")
    sync(offices=[office, west], since=ago(hours=100), until=ago(hours=80))
    Extension.objects.filter(number="101").update(office=office)
    sync()
    assert len(leads_with(standin, NEW)) == 1


def test_calls_of_no_office_say_so_also_where_offices_are_worked_side_by_side(
    sync, phones, owners, office, ringcentral, zoho, work
):
    west = Office.objects.create(slug="west", name="West", order=2)
    CallSettings.objects.update(parallel_offices=True)
    made = phones.accepted(ago(hours=2), caller=NEW, agent="101")
    for run in call_sync.start_all(offices=[office, west]):
        work(run)
    assert (call_of(made).state, call_of(made).reason_code) == (Call.State.NOT_PROCESSED, "NO_OFFICE")


def test_a_call_that_moves_to_another_office_meanwhile_is_written(sync, standin, phones, owners, office, between):
    west = Office.objects.create(slug="west", name="West", order=2)
    phones.accepted(ago(hours=5), caller=OTHER, agent="103")
    Extension.objects.update(office=office)
    sync()
    Extension.objects.update(office=office)
    made = phones.accepted(ago(hours=2), caller=NEW, agent="101")
    between(call_slices.CallSlice, "_process", lambda: Call.objects.filter(key=made.session).update(office=west))
    sync()
    assert len(leads_with(standin, NEW)) == 1


def test_an_unclear_call_that_becomes_clear_is_processed(sync, standin, phones, owners, read_again):
    made = phones.with_result(ago(hours=2), result="Brand New Result", caller=NEW)
    sync()
    assert call_of(made).state == Call.State.REVIEW
    read_again(made, result="Missed")
    sync()
    assert call_of(made).state == Call.State.DONE
    assert len(leads_with(standin, NEW)) == 1


# --- no run turns for ever --------------------------------------------------------------------------------------------


def test_a_note_that_is_never_answered_ends_as_failed(sync, standin, phones, owners):
    made = phones.accepted(ago(hours=2), caller=NEW)
    standin.faults.add(method="POST", path="/Notes$", drop="before", times=500)
    run = sync()
    assert run.state == Run.State.FINISHED_WITH_ERRORS
    assert (call_of(made).state, call_of(made).reason_code) == (Call.State.FAILED, "NO_ANSWER")


def test_a_status_that_is_never_answered_ends_as_failed(sync, standin, phones, owners):
    standin.add_lead(Phone=NEW, Lead_Status="New")
    made = phones.missed(ago(hours=2), caller=NEW)
    standin.faults.add(method="PUT", path="/Leads$", drop="before", times=500)
    run = sync()
    assert run.state == Run.State.FINISHED_WITH_ERRORS
    assert call_of(made).state == Call.State.FAILED


def test_a_change_of_a_note_that_is_never_answered_ends_as_failed(sync, standin, phones, owners):
    CallSettings.objects.update(max_attachment_mb=1)
    made = phones.accepted(ago(hours=2), caller=NEW, recorded={"size": 2_000_000})
    standin.faults.add(method="PUT", path="/Notes", drop="before", times=500)
    sync()
    assert call_of(made).state == Call.State.FAILED
    assert count(standin, "PUT", "/Notes") <= 5


def test_a_recording_that_ringcentral_cannot_give_holds_up_nothing_else(sync, standin, phones, owners):
    broken = phones.accepted(ago(hours=3), caller=NEW, recorded=True)
    phones.accepted(ago(hours=2), caller=OTHER, recorded=True)
    standin.faults.add(path=f"/recording/{broken.recording}/content", status=500, times=5000)
    run = sync()
    assert run.state == Run.State.FINISHED
    assert call_of(broken).state == Call.State.WAITING
    assert len(files(standin, only_lead(standin, OTHER)["id"])) == 1


def wait_is_over(run=None):
    CallStep.objects.filter(state=CallStep.State.WAITING).update(not_before=timezone.now())
    if run is not None:
        Run.objects.filter(pk=run.pk).update(not_before=timezone.now())


def follow_ups():
    return Run.objects.filter(relation=call_sync.FOLLOW_UP, state__in=Run.OPEN)


def test_the_recording_of_a_call_that_failed_otherwise_is_still_fetched(sync, standin, phones, owners, work):
    made = phones.accepted(ago(minutes=10), caller=NEW, duration=60, recorded={"ready_after": 3600})
    sync()
    call_of(made).steps.filter(kind=CallStep.Kind.NOTE).update(state=CallStep.State.FAILED, code="REFUSED")
    Call.objects.update(state=Call.State.FAILED)
    standin.clock.advance(3700)
    later = follow_ups().get()
    wait_is_over(later)
    work(later)
    assert len(files(standin, only_lead(standin, NEW)["id"])) == 1
    assert not follow_ups().exists()


@pytest.mark.parametrize("state", [Call.State.NOT_PROCESSED, Call.State.REVIEW])
def test_media_of_a_call_that_is_over_start_no_endless_row_of_runs(sync, phones, owners, work, state):
    phones.accepted(ago(minutes=10), caller=NEW, duration=60, recorded={"ready_after": 36000})
    sync()
    Call.objects.update(state=state)
    later = follow_ups().get()
    wait_is_over(later)
    work(later)
    assert not follow_ups().exists()


def test_media_of_a_call_that_another_run_has_start_no_endless_row_of_runs(sync, phones, owners, work, ringcentral):
    phones.accepted(ago(minutes=10), caller=NEW, duration=60, recorded={"ready_after": 36000})
    sync()
    later = follow_ups().get()
    wait_is_over(later)
    other = Run.objects.create(kind=call_sync.KIND, title="Other", state=Run.State.WAITING, connection=ringcentral)
    Call.objects.update(run=other)
    work(later)
    assert not follow_ups().exists()


def test_a_medium_that_is_due_sooner_brings_the_later_run_forward(sync, phones, owners):
    phones.accepted(ago(minutes=20), caller=NEW, duration=60, recorded={"ready_after": 36000})
    sync()
    late = timezone.now() + dt.timedelta(hours=4)
    CallStep.objects.filter(state=CallStep.State.WAITING).update(not_before=late)
    Run.objects.filter(pk=follow_ups().get().pk).update(not_before=late)
    phones.accepted(ago(minutes=10), caller=OTHER, duration=60, recorded={"ready_after": 36000})
    sync()
    assert follow_ups().get().not_before < timezone.now() + dt.timedelta(minutes=10)


def test_an_office_that_is_deleted_while_files_are_moved_ends_its_calls(sync, phones, owners, office, between):
    made = phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    between(call_slices.CallSlice, "_media", lambda: Call.objects.update(office=None))
    run = sync()
    assert not run.is_open
    assert call_of(made).state == Call.State.PENDING


# --- the right record, once -------------------------------------------------------------------------------------------


def test_a_call_whose_record_was_deleted_is_written_whole_to_the_next_one(sync, standin, phones, owners, person, work):
    made = phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    sync()
    gone = only_lead(standin, NEW)["id"]
    standin.remove("Leads", gone)
    user = person("Operator")
    review.again(call_of(made), user=user)
    work(call_sync.start_calls([call_of(made)], user=user))
    lead = only_lead(standin, NEW)["id"]
    assert lead != gone
    assert len(notes(standin, lead)) == 1
    assert len(files(standin, lead)) == 1


def test_a_file_is_found_by_the_name_it_was_sent_with(sync, standin, phones, owners, office, between):
    phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    standin.faults.add(method="POST", path="/Attachments$", nth=1, drop="after")
    from telephony.media import Mover

    between(Mover, "_settle", lambda: Office.objects.update(zone="Asia/Tokyo"))
    sync()
    assert len(files(standin, only_lead(standin, NEW)["id"])) == 1


def test_of_two_calls_close_together_one_entry_of_zoho_stands_for_one(sync, standin, phones, owners):
    lead, at = standin.add_lead(Phone=NEW), ago(hours=2)
    standin.add_record(
        "Calls",
        {
            "Subject": "Logged by another integration",
            "Call_Type": "Inbound",
            "Call_Start_Time": at.isoformat(),
            "Call_Duration": "00:20",
            "What_Id": lead,
        },
    )
    phones.missed(at, caller=NEW, duration=20)
    sync(until=at + dt.timedelta(seconds=30), since=ago(hours=24))
    second = phones.accepted(at + dt.timedelta(seconds=60), caller=NEW)
    sync()
    (note,) = notes(standin, lead)
    assert second.session in note


def test_items_always_add_up(sync, phones, owners):
    phones.accepted(ago(hours=3), caller=NEW, recorded=True)
    phones.anonymous(ago(hours=2))
    phones.missed(ago(hours=1), caller=OTHER)
    run = sync()
    assert run.planned == run.ok + run.failed + run.skipped + run.unknown
    assert not RunItem.objects.filter(run=run, state=RunItem.State.PLANNED).exists()
    assert not Call.objects.filter(run__isnull=False).exists()
    assert runs.sweep() == 0


def test_leads_that_cannot_be_looked_through_make_no_lead(sync_once, standin, phones, owners, office, monkeypatch):
    monkeypatch.setattr("crm.phone_index.sources", lambda connection, modules: [])
    phones.accepted(ago(hours=2), caller=NEW)
    run = sync_once()
    assert (run.state, run.wait) == (Run.State.WAITING, Run.Wait.RECONNECTION)
    assert leads_with(standin, NEW) == []


def test_a_later_session_of_joined_calls_belongs_to_the_one_that_stays(sync, phones, owners, ringcentral):
    first, second = phones.missed(ago(hours=3), caller=OTHER), phones.accepted(ago(hours=2), caller=NEW)
    sync()
    store = CallStore(ringcentral)
    rows = [CallLogRow.objects.get(session_key=made.session).payload for made in (second, first)]
    third = rows[1] | {"id": "third-row", "telephonySessionId": "s-third", "startTime": rows[1]["startTime"]}
    third["legs"] = [leg | {"telephonySessionId": "s-third"} for leg in third.get("legs", [])]
    from telephony import pull
    from telephony.ringcentral.records import LogRow

    folded = pull.fold([LogRow.parse(row) for row in (*rows, third)], store._directory)
    store._save([folded])
    main = Call.objects.get(key=first.session)
    assert set(main.sessions.values_list("key", flat=True)) == {first.session, second.session, "s-third"}
    assert call_of(second).merged_into == main
