"""Calls become leads, notes and files, exactly once: each scenario from RingCentral's log to Zoho's records."""

from __future__ import annotations

import datetime as dt
import hashlib

import pytest
from django.urls import reverse
from django.utils import timezone

from portal import schedules
from portal.models import Run, RunItem, Schedule
from telephony import call_slices, call_sync, processing, review
from telephony.models import (
    AssignmentDecision,
    Call,
    Caller,
    CallLogRow,
    CallRule,
    CallSettings,
    CallStep,
    ExcludedNumber,
    Extension,
    LeadOwner,
    Office,
    OverwritableStatus,
)
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


def original(standin, recording_id):
    """The bytes of a recording as RingCentral has them."""
    return standin.ringcentral.recordings.by_id[recording_id].body()[0]


def writes(standin):
    """Method and path of each write that reached Zoho."""
    entries = standin.counters.journal_rows(lambda entry: entry.method != "GET" and "/crm/v8/" in entry.path)
    return [(entry["method"], entry["path"]) for entry in entries if not entry["path"].endswith("/coql")]


def call_of(made):
    return Call.objects.get(key=made.session)


# --- new callers ------------------------------------------------------------------------------------------------------


def test_a_call_of_a_new_caller_becomes_a_lead_with_note_and_recording(sync, standin, phones, owners):
    made = phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    run = sync()
    assert (run.state, run.planned, run.ok) == (Run.State.FINISHED, 1, 1), run.error
    lead = only_lead(standin, NEW)
    assert (lead["Lead_Status"], lead["Lead_Source"]) == ("Accepted Call", "RingCentral Integration")
    assert lead["Owner"]["id"] == owners[0].zoho_id
    (note,) = notes(standin, lead["id"])
    assert made.session in note
    ((name, content),) = files(standin, lead["id"]).items()
    assert made.recording in name
    assert name.endswith(".wav")
    assert content == original(standin, made.recording)
    call = call_of(made)
    assert (call.state, call.module, call.record_id) == (Call.State.DONE, "Leads", lead["id"])
    step = call.steps.get(kind=CallStep.Kind.RECORDING)
    assert step.evidence["sha256"] == hashlib.sha256(content).hexdigest()


def test_the_same_window_again_writes_nothing(sync, standin, phones, owners):
    phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    phones.missed(ago(hours=1), caller=OTHER)
    sync()
    before = writes(standin)
    run = sync()
    assert (run.state, run.planned) == (Run.State.FINISHED, 0)
    assert writes(standin) == before


def test_six_calls_of_one_new_caller_make_one_lead_with_six_notes(sync, standin, phones, owners):
    phones.repeated(ago(hours=3), caller=NEW, times=6)
    sync()
    assert len(notes(standin, only_lead(standin, NEW)["id"])) == 6
    assert AssignmentDecision.objects.count() == 1


def test_a_lead_that_the_search_does_not_show_yet_is_known_from_our_own_ledger(
    sync, standin, phones, owners, monkeypatch
):
    phones.accepted(ago(hours=3), caller=NEW)
    sync()
    phones.accepted(ago(hours=1), caller=NEW)
    monkeypatch.setattr("crm.phone_index.PhoneIndex.find", lambda self, numbers: {})
    sync()
    assert len(notes(standin, only_lead(standin, NEW)["id"])) == 2


@pytest.mark.parametrize(
    ("outcome", "status"),
    [("missed", "Missed Call"), ("voicemail", "Missed Call with Voicemail"), ("accepted", "Accepted Call")],
)
def test_the_status_of_a_new_lead_follows_the_outcome(sync, standin, phones, owners, outcome, status):
    getattr(phones, outcome)(ago(hours=2), caller=NEW)
    sync()
    assert only_lead(standin, NEW)["Lead_Status"] == status


def test_a_place_is_no_name(sync, standin, phones, owners):
    phones.accepted(ago(hours=2), caller=NEW, name="PHILADELPHIA PA")
    sync()
    assert "PHILADELPHIA" not in only_lead(standin, NEW)["Last_Name"].upper()


def test_the_owners_take_turns_over_runs(sync, standin, phones, owners):
    numbers = [f"+1215555{place:04}" for place in range(4)]
    for place, number in enumerate(numbers):
        phones.accepted(ago(hours=5 - place), caller=number)
        sync()
    assert [only_lead(standin, number)["Owner"]["id"] for number in numbers] == [owner.zoho_id for owner in owners] * 2


def test_the_marker_stands_in_the_lead(sync, standin, phones, owners):
    made = phones.accepted(ago(hours=2), caller=NEW)
    sync()
    assert made.session in only_lead(standin, NEW)["Description"]


# --- known callers ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "stored", ["(215) 555-0142", "215.555.0142", "+1 215 555 0142", "2155550142", "215-555-0142 x7"]
)
@pytest.mark.parametrize("field", ["Phone", "Mobile"])
def test_a_known_lead_is_found_however_its_number_is_written(sync, standin, phones, owners, stored, field):
    lead = standin.add_lead(**{field: stored})
    phones.accepted(ago(hours=2), caller=NEW)
    sync()
    assert len(notes(standin, lead)) == 1
    assert leads_with(standin, NEW) == ([] if stored != NEW else [standin.record("Leads", lead)])


def test_the_owner_of_a_known_lead_stays(sync, standin, phones, owners):
    stays = sorted(standin.zoho.org.users)[3]
    lead = standin.add_lead(Phone=NEW, Owner=stays)
    phones.accepted(ago(hours=2), caller=NEW)
    sync()
    assert standin.record("Leads", lead)["Owner"]["id"] == stays
    assert not AssignmentDecision.objects.exists()


def test_a_status_that_a_person_set_stays(sync, standin, phones, owners):
    lead = standin.add_lead(Phone=NEW, Lead_Status="Onsite Survey Booked")
    made = phones.missed(ago(hours=2), caller=NEW)
    sync()
    assert standin.record("Leads", lead)["Lead_Status"] == "Onsite Survey Booked"
    step = call_of(made).steps.get(kind=CallStep.Kind.STATUS)
    assert (step.state, "stays" in step.message) == (CallStep.State.SKIPPED, True)


def test_a_status_that_may_be_replaced_is(sync, standin, phones, owners):
    OverwritableStatus.objects.create(value="Not Contacted")
    lead = standin.add_lead(Phone=NEW, Lead_Status="Not Contacted")
    phones.missed(ago(hours=2), caller=NEW)
    sync()
    assert standin.record("Leads", lead)["Lead_Status"] == "Missed Call"


def test_a_lead_whose_layout_demands_other_fields_gets_its_status_all_the_same(sync, standin, phones, owners):
    records = ((i, standin.record("Leads", i)) for i in standin.ids("Leads"))
    lead = next(i for i, each in records if each["Layout"]["name"] == "Strict" and not each["Converted__s"])
    standin.set_record("Leads", lead, {"Phone": NEW, "Lead_Status": "New", "Last_Name": "Doe", "Company": "Kept"})
    made = phones.missed(ago(hours=2), caller=NEW)
    sync()
    record = standin.record("Leads", lead)
    assert (record["Lead_Status"], record["Company"]) == ("Missed Call", "Kept")
    assert call_of(made).state == Call.State.DONE


def test_of_several_calls_the_last_one_sets_the_status(sync, standin, phones, owners):
    lead = standin.add_lead(Phone=NEW, Lead_Status="New")
    phones.missed(ago(hours=2), caller=NEW)
    phones.accepted(ago(hours=1), caller=NEW)
    sync()
    assert standin.record("Leads", lead)["Lead_Status"] == "Accepted Call"


def test_an_older_call_that_is_read_later_does_not_turn_the_status_back(sync, standin, phones, owners):
    lead = standin.add_lead(Phone=NEW, Lead_Status="New")
    phones.accepted(ago(hours=1), caller=NEW)
    sync(hours_back=2)
    phones.missed(ago(hours=50), caller=NEW)
    sync(since=ago(hours=60), until=ago(hours=40))
    assert standin.record("Leads", lead)["Lead_Status"] == "Accepted Call"
    assert len(notes(standin, lead)) == 2


def test_a_contact_gets_the_note_and_no_lead_is_made(sync, standin, phones, owners):
    contact = standin.add_record("Contacts", {"Last_Name": "Known", "Mobile": "(215) 555-0142"})
    phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    sync()
    assert len(notes(standin, contact, "Contacts")) == 1
    assert len(files(standin, contact, "Contacts")) == 1
    assert leads_with(standin, NEW) == []


def test_a_converted_lead_is_no_reason_for_a_new_one(sync, standin, phones, owners):
    lead = standin.add_lead(Phone=NEW)
    standin.set_record("Leads", lead, {"Converted__s": True})
    made = phones.accepted(ago(hours=2), caller=NEW)
    sync()
    assert [record["id"] for record in leads_with(standin, NEW)] == [lead]
    assert call_of(made).record_id == lead


def test_two_leads_with_one_number_are_a_question_for_a_person(sync, standin, phones, owners):
    one, two = standin.add_lead(Phone=NEW), standin.add_lead(Mobile="(215) 555-0142")
    made = phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    run = sync()
    call = call_of(made)
    assert (call.state, call.reason_code) == (Call.State.REVIEW, "SEVERAL_MATCHES")
    assert {candidate["id"] for candidate in call.candidates} == {one, two}
    assert notes(standin, one) == notes(standin, two) == []
    assert (run.planned, run.skipped) == (1, 1)


@pytest.mark.parametrize(("policy", "place"), [("newest", 1), ("oldest", 0)])
def test_by_rule_one_of_two_leads_gets_the_note(sync, standin, phones, owners, policy, place):
    CallSettings.objects.update(several_matches=policy)
    leads = [standin.add_lead(Phone=NEW)]
    standin.clock.advance(60)
    leads.append(standin.add_lead(Phone=NEW))
    phones.accepted(ago(hours=2), caller=NEW)
    sync()
    assert [len(notes(standin, lead)) for lead in leads] == [1 if i == place else 0 for i in range(2)]


def test_a_persons_choice_for_a_number_is_kept(sync, standin, phones, owners, zoho):
    chosen, _ = standin.add_lead(Phone=NEW), standin.add_lead(Phone=NEW)
    Caller.objects.create(connection=zoho, number=NEW, module="Leads", record_id=chosen, is_chosen=True)
    phones.accepted(ago(hours=2), caller=NEW)
    sync()
    assert len(notes(standin, chosen)) == 1


def test_a_call_that_zoho_shows_already_is_linked_and_not_noted_again(sync, standin, phones, owners):
    lead, at = standin.add_lead(Phone=NEW), ago(hours=2)
    entry = standin.add_record(
        "Calls",
        {
            "Subject": "Logged by another integration",
            "Call_Type": "Inbound",
            "Call_Start_Time": (at + dt.timedelta(seconds=20)).isoformat(),
            "Call_Duration": "02:00",
            "What_Id": lead,
        },
    )
    made = phones.accepted(at, caller=NEW, recorded=True)
    sync()
    step = call_of(made).steps.get(kind=CallStep.Kind.NOTE)
    assert (step.state, step.code, step.crm_id) == (CallStep.State.SKIPPED, processing.LINKED, entry)
    assert notes(standin, lead) == []
    assert len(files(standin, lead)) == 1


# --- which calls are processed ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("scenario", "code"),
    [
        ("anonymous", "NO_NUMBER"),
        ("masked", "NO_NUMBER"),
        ("internal", "INTERNAL"),
        ("blocked", "BLOCKED"),
    ],
)
def test_calls_that_are_no_leads_are_left_out_with_their_reason(sync, standin, phones, owners, scenario, code):
    made = getattr(phones, scenario)(ago(hours=2))
    run = sync()
    call = call_of(made)
    assert (call.state, call.reason_code) == (Call.State.NOT_PROCESSED, code)
    assert call.reason
    assert (run.state, run.skipped) == (Run.State.FINISHED, 1)
    assert writes(standin) == []


def test_a_fax_is_not_even_read(sync, phones, owners):
    phones.fax(ago(hours=2))
    assert sync().planned == 0


def test_an_unknown_result_is_a_question_and_never_a_missed_call(sync, standin, phones, owners):
    made = phones.with_result(ago(hours=2), result="Brand New Result", caller=NEW)
    sync()
    call = call_of(made)
    assert (call.outcome, call.state) == (Call.Outcome.UNCLEAR, Call.State.REVIEW)
    assert "Brand New Result" in call.reason
    assert leads_with(standin, NEW) == []


def test_what_a_person_decided_about_an_unclear_call_is_done(sync, standin, phones, owners, person):
    lead = standin.add_lead(Phone="+12155550177")
    chosen = phones.with_result(ago(hours=2), result="Brand New Result", caller=None)
    new = phones.with_result(ago(hours=2), result="Brand New Result", caller=NEW)
    sync()
    user = person("Operator")
    review.choose(call_of(chosen), module="Leads", record_id=lead, user=user)
    review.create_lead(call_of(new), user=user)
    sync()
    assert len(notes(standin, lead)) == 1
    assert len(notes(standin, only_lead(standin, NEW)["id"])) == 1
    assert {call_of(made).state for made in (chosen, new)} == {Call.State.DONE}


def test_an_extension_that_is_switched_off_keeps_its_calls_to_itself(sync, standin, phones, owners, ringcentral):
    phones.accepted(ago(hours=3), caller=OTHER, agent="103")
    sync()
    Extension.objects.filter(number="101").update(process_calls=False)
    made = phones.accepted(ago(hours=2), caller=NEW, agent="101")
    sync()
    assert call_of(made).reason_code == "EXTENSION_OFF"
    assert leads_with(standin, NEW) == []


def test_an_excluded_number_is_left_out(sync, standin, phones, owners):
    ExcludedNumber.objects.create(number=NEW)
    made = phones.accepted(ago(hours=2), caller=NEW)
    sync()
    assert call_of(made).reason_code == "EXCLUDED_NUMBER"


def test_outbound_calls_are_written_only_where_a_rule_says_so(sync, standin, phones, owners):
    lead = standin.add_lead(Phone=NEW)
    made = phones.outbound(ago(hours=2), callee=NEW)
    sync()
    assert call_of(made).reason_code == "RULE"
    CallRule.objects.create(direction="outbound", action=CallRule.Action.EXISTING)
    later = phones.outbound(ago(hours=1), callee=NEW)
    stranger = phones.outbound(ago(hours=1), callee=OTHER)
    sync()
    assert len(notes(standin, lead)) == 1
    assert call_of(later).record_id == lead
    assert call_of(stranger).reason_code == "NOT_KNOWN"
    assert leads_with(standin, OTHER) == []


def test_a_rule_for_one_office_comes_before_the_rule_for_all(sync, standin, phones, owners, office):
    CallRule.objects.create(outcome="missed", action=CallRule.Action.IGNORE)
    CallRule.objects.create(office=office, outcome="missed", action=CallRule.Action.FULL)
    phones.missed(ago(hours=2), caller=NEW)
    sync()
    assert len(leads_with(standin, NEW)) == 1


def test_a_run_of_missed_calls_leaves_the_accepted_ones_for_later(sync, standin, phones, owners):
    phones.accepted(ago(hours=3), caller=NEW)
    phones.missed(ago(hours=2), caller=OTHER)
    sync(types=["missed"])
    assert (len(leads_with(standin, NEW)), len(leads_with(standin, OTHER))) == (0, 1)
    sync(types=["accepted"])
    assert (len(leads_with(standin, NEW)), len(leads_with(standin, OTHER))) == (1, 1)


# --- one call, many rows ----------------------------------------------------------------------------------------------


def test_a_queue_call_that_one_of_many_answers_is_accepted_once(sync, standin, phones, owners):
    made = phones.queue_answered(ago(hours=2), caller=NEW, queue="201", agent="102")
    sync()
    call = call_of(made)
    assert call.outcome == Call.Outcome.ACCEPTED
    assert call.answered_by.number == "102"
    assert only_lead(standin, NEW)["Lead_Status"] == "Accepted Call"
    assert Call.objects.count() == 1


def test_a_queue_call_that_nobody_answers_is_missed_once(sync, standin, phones, owners):
    phones.queue_missed(ago(hours=2), caller=NEW)
    sync()
    assert Call.objects.get().outcome == Call.Outcome.MISSED
    assert len(notes(standin, only_lead(standin, NEW)["id"])) == 1


@pytest.mark.parametrize("transfer", ["blind_transfer", "warm_transfer"])
def test_a_transfer_is_one_call_of_the_last_talker(sync, standin, phones, owners, transfer):
    getattr(phones, transfer)(ago(hours=2), caller=NEW)
    sync()
    call = Call.objects.get(merged_into=None, number=NEW)
    assert call.outcome == Call.Outcome.ACCEPTED
    assert len(call.legs) >= 2
    assert len(notes(standin, only_lead(standin, NEW)["id"])) == 1


def test_both_rows_of_a_ringout_are_one_call(sync, phones, owners):
    phones.ringout(ago(hours=2))
    sync()
    assert Call.objects.filter(merged_into=None).count() == 1


def test_conference_rows_with_the_session_zero_are_not_merged(sync, phones, owners):
    phones.conference(ago(hours=2))
    sync()
    rows = CallLogRow.objects.count()
    assert Call.objects.count() == rows


def test_a_call_in_progress_is_left_alone_until_it_has_ended(sync, standin, phones, owners):
    at = ago(minutes=30)
    phones.in_progress(at, caller=NEW, duration=3600)
    sync()
    assert leads_with(standin, NEW) == []
    standin.clock.advance(3600)
    sync()
    assert len(leads_with(standin, NEW)) == 1


def test_a_row_that_appears_late_is_found_by_the_next_run(sync, standin, phones, owners):
    phones.accepted(ago(minutes=20), caller=NEW, appears_after=3600)
    assert sync().planned == 0
    standin.clock.advance(3600)
    sync()
    assert len(leads_with(standin, NEW)) == 1


def test_a_note_follows_a_call_that_changed(sync, standin, phones, owners):
    made = phones.voicemail(ago(minutes=30), caller=NEW, link_after=2400)
    sync()
    lead = only_lead(standin, NEW)
    assert lead["Lead_Status"] == "Missed Call"
    standin.clock.advance(3600)
    sync()
    (note,) = notes(standin, lead["id"])
    assert "voicemail" in note.lower()
    assert standin.record("Leads", lead["id"])["Lead_Status"] == "Missed Call with Voicemail"
    assert [made.message in name for name in files(standin, lead["id"])] == [True]


def test_a_note_that_somebody_removed_is_not_forced_upon_them_again(sync, standin, phones, owners):
    made = phones.voicemail(ago(minutes=30), caller=NEW, link_after=2400)
    sync()
    call = call_of(made)
    note = call.steps.get(kind=CallStep.Kind.NOTE)
    standin.zoho.notes.table.remove(note.crm_id)
    standin.clock.advance(3600)
    run = sync()
    note.refresh_from_db()
    assert run.state == Run.State.FINISHED
    assert (note.state, "removed" in note.message) == (CallStep.State.SKIPPED, True)


# --- media ------------------------------------------------------------------------------------------------------------


def test_a_recording_that_is_not_ready_is_attached_later(sync, standin, phones, owners, work):
    made = phones.accepted(ago(minutes=10), caller=NEW, duration=60, recorded={"ready_after": 3600})
    run = sync()
    lead = only_lead(standin, NEW)
    assert (run.state, call_of(made).state) == (Run.State.FINISHED, Call.State.WAITING)
    assert len(notes(standin, lead["id"])) == 1
    assert files(standin, lead["id"]) == {}
    standin.clock.advance(3700)
    later = Run.objects.get(relation=call_sync.FOLLOW_UP)
    CallStep.objects.filter(state=CallStep.State.WAITING).update(not_before=timezone.now())
    Run.objects.filter(pk=later.pk).update(not_before=timezone.now())
    work(later)
    assert len(files(standin, lead["id"])) == 1
    assert call_of(made).state == Call.State.DONE


def test_a_recording_that_never_comes_is_given_up_and_said_in_the_note(sync, standin, phones, owners):
    made = phones.accepted(ago(hours=20), caller=NEW, recorded={"gone_after": 0})
    CallSettings.objects.update(media_give_up_hours=1)
    sync()
    CallStep.objects.filter(state=CallStep.State.WAITING).update(not_before=timezone.now())
    sync()
    step = call_of(made).steps.get(kind=CallStep.Kind.RECORDING)
    CallStep.objects.filter(state=CallStep.State.WAITING).update(not_before=timezone.now())
    sync()
    step.refresh_from_db()
    assert step.state == CallStep.State.UNAVAILABLE
    assert call_of(made).reason_code == "MEDIA_GONE"
    (note,) = notes(standin, only_lead(standin, NEW)["id"])
    assert "not available" in note


def test_an_old_recording_has_expired_at_once(sync, standin, phones, owners):
    made = phones.accepted(ago(days=100), caller=NEW, recorded={"gone_after": 0})
    sync(since=ago(days=101), until=ago(days=99))
    step = call_of(made).steps.get(kind=CallStep.Kind.RECORDING)
    assert (step.state, step.code) == (CallStep.State.UNAVAILABLE, "EXPIRED")


@pytest.mark.parametrize("content", ["html", "empty"])
def test_what_is_no_sound_file_is_not_attached(sync, standin, phones, owners, content):
    made = phones.accepted(ago(hours=2), caller=NEW, recorded={"content": content})
    sync()
    assert files(standin, only_lead(standin, NEW)["id"]) == {}
    assert call_of(made).state == Call.State.WAITING


def test_a_recording_larger_than_the_limit_stays_at_ringcentral(sync, standin, phones, owners):
    CallSettings.objects.update(max_attachment_mb=1)
    made = phones.accepted(ago(hours=2), caller=NEW, recorded={"size": 2_000_000})
    sync()
    step = call_of(made).steps.get(kind=CallStep.Kind.RECORDING)
    assert (step.state, step.code) == (CallStep.State.UNAVAILABLE, "TOO_LARGE")
    assert (call_of(made).state, call_of(made).reason_code) == (Call.State.DONE, "TOO_LARGE")
    (note,) = notes(standin, only_lead(standin, NEW)["id"])
    assert (
        f"Recording: kept at RingCentral (It is larger than 1 MB. It is there as {step.source['content_uri']})" in note
    )


@pytest.mark.parametrize(
    "where", [{}, {"queue": "201"}, {"agent": "101", "mailbox": "104"}, {"result": "Missed", "on": "leg"}]
)
def test_a_voicemail_is_fetched_from_the_mailbox_it_lies_in(sync, standin, phones, owners, where):
    made = phones.voicemail(ago(hours=2), caller=NEW, **where)
    sync()
    lead = only_lead(standin, NEW)
    assert lead["Lead_Status"] == "Missed Call with Voicemail"
    ((name, _),) = files(standin, lead["id"]).items()
    assert made.message in name


def test_the_words_of_a_voicemail_stand_in_the_note(sync, standin, phones, owners):
    phones.voicemail(ago(hours=2), caller=NEW, transcript="Please call me back about the piano.")
    sync()
    (note,) = notes(standin, only_lead(standin, NEW)["id"])
    assert "Please call me back about the piano." in note


def test_a_full_disk_is_said_and_the_run_goes_on_when_there_is_room(sync, standin, phones, owners, office, monkeypatch):
    from telephony import spool

    phones.accepted(ago(hours=2), caller=NEW, recorded=True)

    def full(self, data):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(spool.SealedFile, "write", full)
        run = sync_once(office)
        assert (run.state, run.wait) == (Run.State.WAITING, Run.Wait.OUTAGE)
        assert "IO-001" in run.wait_detail
    assert len(notes(standin, only_lead(standin, NEW)["id"])) == 1


def test_each_recording_of_a_call_is_attached_once(sync, standin, phones, owners):
    made = phones.several_recordings(ago(hours=2), caller=NEW)
    sync()
    names = list(files(standin, only_lead(standin, NEW)["id"]))
    assert len(names) == len(set(made.recordings))


def test_a_short_recording_is_no_reason_to_wait(sync, standin, phones, owners):
    made = phones.accepted(ago(hours=2), caller=NEW, recorded={"short": True})
    sync()
    assert call_of(made).state == Call.State.DONE


def test_the_spool_is_empty_after_a_run(sync, phones, owners, settings, tmp_path):
    settings.VAR_DIR = tmp_path
    phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    sync()
    assert list((tmp_path / "spool").iterdir()) == []


# --- the log ----------------------------------------------------------------------------------------------------------


def test_six_hundred_calls_without_totals_are_all_read(sync, standin, phones, owners, monkeypatch):
    monkeypatch.setattr("telephony.ringcentral.client.PAGE_SIZE", 250)
    phones.many(ago(hours=20), count=600)
    sync()
    assert Call.objects.count() == 600


def test_a_failing_page_moves_no_cursor_and_loses_nothing(sync, standin, phones, owners, monkeypatch, settings):
    monkeypatch.setattr("telephony.ringcentral.client.PAGE_SIZE", 100)
    phones.many(ago(hours=20), count=250)
    settings.REMOTE_MAX_ATTEMPTS = 1
    standin.faults.add(path="/call-log", nth=2, status=500)
    run = sync()
    assert run.state == Run.State.FINISHED
    assert Call.objects.count() == 250


def test_a_host_that_slept_three_days_misses_nothing(sync, standin, phones, owners, office):
    phones.accepted(ago(hours=90), caller=OTHER)
    sync(hours_back=100)
    from portal.models import Cursor

    for cursor in Cursor.objects.filter(name__startswith="calls"):
        for key in ("through", *call_sync.TYPES):
            if key in cursor.value:
                cursor.value[key] = ago(hours=72).isoformat()
        cursor.save()
    phones.accepted(ago(hours=60), caller=NEW)
    sync(hours_back=1)
    assert len(leads_with(standin, NEW)) == 1


def test_a_change_feed_that_the_account_does_not_have_is_done_without(sync, standin, phones, owners):
    standin.ringcentral.settings.extract_sync_status = 403
    phones.accepted(ago(hours=2), caller=NEW)
    sync()
    sync()
    assert len(leads_with(standin, NEW)) == 1


def test_an_expired_feed_token_starts_the_feed_anew(sync, standin, phones, owners):
    phones.accepted(ago(hours=3), caller=NEW)
    sync()
    standin.ringcentral.sync.expire_tokens()
    phones.accepted(ago(hours=2), caller=OTHER)
    assert sync().state == Run.State.FINISHED
    assert len(leads_with(standin, OTHER)) == 1


# --- dry runs, starts, offices ----------------------------------------------------------------------------------------


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(sync, standin, phones, owners):
    phones.accepted(ago(hours=3), caller=NEW, recorded=True)
    phones.accepted(ago(hours=2), caller=NEW)
    phones.anonymous(ago(hours=1))
    run = sync(dry_run=True)
    assert writes(standin) == []
    assert not CallStep.objects.exists()
    assert not AssignmentDecision.objects.exists()
    assert Call.objects.filter(state=Call.State.PENDING).count() == 3
    first, second, third = run.items.order_by("position")
    assert first.after["actions"] == [
        "make a lead for Owner 1 (rotation of the office)",
        "add a note",
        "attach 1 recording",
    ]
    assert second.after["actions"][0] == "write to the lead that the earlier call makes"
    assert (third.state, third.code) == (RunItem.State.SKIPPED, "NO_NUMBER")
    sync()
    assert len(leads_with(standin, NEW)) == 1


def test_a_dry_run_cannot_write_even_if_it_wanted_to(sync, standin, phones, owners, monkeypatch):
    monkeypatch.setattr(call_slices, "Rehearsal", None)
    monkeypatch.setattr(call_slices.CallSlice, "_rehearse", lambda self, rehearsal: self._process_for_real())

    def for_real(self):
        from crm import metadata
        from telephony.matching import Matcher
        from telephony.qualifying import desks

        with metadata.client_for(self.zoho, purpose="run", read_only=self.is_dry) as client:
            matcher = Matcher(client, self.zoho, self.settings)
            processor = processing.Processor(self.lease, client, self.zoho, matcher, desks(self.offices), self.settings)
            processor.work(self._next_items())

    monkeypatch.setattr(call_slices.CallSlice, "_process_for_real", for_real, raising=False)
    monkeypatch.setattr(call_slices, "Rehearsal", lambda *args: None)
    phones.accepted(ago(hours=3), caller=NEW)
    run = sync(dry_run=True)
    assert run.state == Run.State.FAILED
    assert writes(standin) == []


def test_one_office_is_processed_by_one_run_at_a_time(office, zoho, ringcentral):
    first = call_sync.start(offices=[office])
    with pytest.raises(call_sync.Refused) as refused:
        call_sync.start(offices=[office])
    assert refused.value.run == first
    call_sync.start(offices=[office], dry_run=True)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"hours_back": 0}, "1 to 168"),
        ({"hours_back": 200}, "1 to 168"),
        ({"types": []}, "at least one type"),
        ({"types": ["faxes"]}, "at least one type"),
        ({"until": timezone.now()}, "either"),
        ({"since": timezone.now() + dt.timedelta(days=1)}, "in the past"),
    ],
)
def test_a_start_that_cannot_be_says_why(office, zoho, ringcentral, options, words):
    with pytest.raises(call_sync.Refused, match=words):
        call_sync.start(offices=[office], **options)
    assert not Run.objects.exists()


def test_without_ringcentral_nothing_starts(office, zoho):
    with pytest.raises(call_sync.Refused, match="RingCentral"):
        call_sync.start(offices=[office])


def test_calls_of_two_offices_go_to_their_own(sync, standin, phones, owners, office, ringcentral):
    phones.accepted(ago(hours=5), caller="+12155550100")
    sync()
    west = Office.objects.create(slug="west", name="West", order=2, zone="America/Los_Angeles")
    Extension.objects.update(office=office)
    Extension.objects.filter(number="103").update(office=west)
    phones.accepted(ago(hours=2), caller=NEW, agent="101")
    phones.accepted(ago(hours=2), caller=OTHER, agent="103")
    sync()
    assert (len(leads_with(standin, NEW)), len(leads_with(standin, OTHER))) == (1, 0)
    sync(offices=[west])
    assert len(leads_with(standin, OTHER)) == 1


def test_calls_of_no_office_say_so_and_are_taken_up_when_they_have_one(sync, standin, phones, owners, office):
    west = Office.objects.create(slug="west", name="West", order=2)
    made = phones.accepted(ago(hours=2), caller=NEW, agent="101")
    sync(offices=[office, west])
    assert call_of(made).reason_code == "NO_OFFICE"
    Extension.objects.filter(number="101").update(office=office)
    sync()
    assert len(leads_with(standin, NEW)) == 1


def test_all_offices_are_worked_in_their_order(sync, standin, phones, owners, office):
    phones.accepted(ago(hours=5), caller="+12155550100")
    sync()
    first = Office.objects.create(slug="first", name="First", order=0)
    Extension.objects.filter(number="101").update(office=office)
    Extension.objects.filter(number="103").update(office=first)
    phones.accepted(ago(hours=3), caller=NEW, agent="101")
    phones.accepted(ago(hours=2), caller=OTHER, agent="103")
    run = sync(offices=[office, first])
    numbers = [Call.objects.get(pk=item.key).number for item in run.items.order_by("position")]
    assert numbers == [OTHER, NEW]


# --- trouble ----------------------------------------------------------------------------------------------------------


def test_a_failing_search_makes_no_lead(sync, standin, phones, owners, settings):
    settings.REMOTE_MAX_ATTEMPTS = 1
    lead = standin.add_lead(Phone="(215) 555-0142")
    phones.accepted(ago(hours=2), caller=NEW)
    standin.faults.add(path="/coql", status=500, times=3)
    run = sync()
    assert run.state == Run.State.FINISHED
    assert leads_with(standin, NEW) == []
    assert len(notes(standin, lead)) == 1


def test_a_known_lead_that_one_answer_leaves_out_is_not_taken_for_gone(sync, standin, phones, owners):
    lead = standin.add_lead(Phone=NEW)
    phones.accepted(ago(hours=2), caller=NEW)
    standin.faults.add(method="GET", path="/Leads.*ids=", nth=1, omit=0)
    run = sync()
    assert run.state == Run.State.FINISHED
    assert [record["id"] for record in leads_with(standin, NEW)] == [lead]


def test_a_lead_that_was_deleted_gives_way_to_a_new_one(sync, standin, phones, owners):
    phones.accepted(ago(hours=3), caller=NEW)
    sync()
    standin.remove("Leads", only_lead(standin, NEW)["id"])
    phones.accepted(ago(hours=2), caller=NEW)
    sync()
    assert len(notes(standin, only_lead(standin, NEW)["id"])) == 1


@pytest.mark.parametrize("path", ["/Leads", "/Notes", "/Attachments"])
@pytest.mark.parametrize(
    "fault", [{"drop": "after"}, {"drop": "before"}, {"status": 500, "when": "after"}, {"malformed": True}]
)
def test_an_answer_that_got_lost_doubles_nothing(sync, standin, phones, owners, path, fault):
    phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    standin.faults.add(method="POST", path=f"{path}$", nth=1, **fault)
    run = sync()
    assert run.state == Run.State.FINISHED, run.error
    lead = only_lead(standin, NEW)
    assert len(notes(standin, lead["id"])) == 1
    assert len(files(standin, lead["id"])) == 1


def test_a_lead_that_zoho_refuses_needs_attention_and_holds_up_nobody(sync, standin, phones, owners):
    LeadOwner.objects.filter(pk=owners[0].pk).update(zoho_id="5725767000000009999")  # no user of the organisation
    made = phones.accepted(ago(hours=3), caller=NEW)
    phones.missed(ago(hours=2), caller=OTHER)
    run = sync()
    assert len(leads_with(standin, OTHER)) == 1
    assert leads_with(standin, NEW) == []
    call = call_of(made)
    assert (call.state, call.reason_code) == (Call.State.FAILED, "INVALID_DATA")
    assert "Owner" in call.reason
    assert (run.state, run.ok, run.failed) == (Run.State.FINISHED_WITH_ERRORS, 1, 1)


def test_ten_percent_faults_change_nothing_at_the_end(sync, standin, phones, owners):
    for place in range(12):
        phones.accepted(ago(hours=12 - place), caller=f"+12155550{place // 2:03}", recorded=True)
    standin.faults.add(path="/crm/v8/|/call-log|/recording", probability=0.1, status=500)
    run = sync()
    standin.faults.clear()
    assert run.state == Run.State.FINISHED, run.error
    for place in range(6):
        lead = only_lead(standin, f"+12155550{place:03}")
        assert len(notes(standin, lead["id"])) == 2
        assert len(files(standin, lead["id"])) == 2


def test_ringcentral_that_limits_media_does_not_hold_up_the_rest(sync, standin, phones, owners):
    for place in range(15):
        phones.accepted(ago(hours=15 - place), caller=f"+12155550{place:03}", recorded=True)
    standin.ringcentral.settings.heavy_limit = 10
    run = sync_once(office=Office.objects.get())
    assert sum(len(leads_with(standin, f"+12155550{place:03}")) for place in range(15)) == 15
    assert (run.state, run.wait) == (Run.State.WAITING, Run.Wait.RATE_LIMIT)
    assert standin.counters.penalty_violations == 0


def sync_once(office):
    from portal import runs

    run = call_sync.start(offices=[office])
    for _ in range(20):
        runs.wake(run.pk)
        run.refresh_from_db()
        if run.state == Run.State.WAITING:
            return run
    return run


def test_a_stopped_run_keeps_what_is_done_and_the_next_one_goes_on(sync, standin, phones, owners, office):
    from portal import runs

    for place in range(5):
        phones.accepted(ago(hours=5 - place), caller=f"+12155550{place:03}", recorded=True)
    run = call_sync.start(offices=[office])
    runs.stop(run)
    run.refresh_from_db()
    assert run.state == Run.State.STOPPED
    sync()
    assert sum(len(leads_with(standin, f"+12155550{place:03}")) for place in range(5)) == 5


def test_a_call_that_shows_up_two_days_late_is_processed_by_the_next_run(sync, standin, phones, owners):
    phones.accepted(ago(hours=90), caller=OTHER)
    sync(hours_back=100)
    sync()
    phones.accepted(ago(hours=60), caller=NEW, appears_after=0)
    sync(hours_back=1)
    assert len(leads_with(standin, NEW)) == 1
    assert Call.objects.get(number=NEW).is_late


def test_a_dry_run_over_last_month_gives_later_runs_nothing_to_write(sync, standin, phones, owners):
    phones.accepted(ago(days=20), caller=NEW)
    sync(since=ago(days=21), until=ago(days=19), dry_run=True)
    sync()
    assert leads_with(standin, NEW) == []


def test_what_is_neither_accepted_nor_missed_is_decided_by_any_run(sync, phones, owners):
    made = phones.internal(ago(hours=2))
    sync(types=["accepted"])
    assert call_of(made).reason_code == "INTERNAL"


def test_runs_of_one_type_catch_up_their_own_type(sync, standin, phones, owners, office):
    from portal.models import Cursor

    sync(types=["missed"])
    cursor = Cursor.objects.get(name=f"calls-of-office:{office.pk}")
    assert set(cursor.value) == {"missed"}
    cursor.value = {"missed": ago(hours=100).isoformat()}
    cursor.save()
    run = call_sync.start(offices=[office], types=["missed"], dry_run=True)
    assert dt.datetime.fromisoformat(run.parameters["window"]["since"]) < ago(hours=100)
    run = call_sync.start(offices=[office], types=["accepted"], dry_run=True)
    assert dt.datetime.fromisoformat(run.parameters["window"]["since"]) > ago(hours=25)


@pytest.mark.parametrize("policy", ["keep", "reassign"])
def test_a_lead_whose_owner_has_left_follows_the_policy(sync, standin, phones, owners, office, policy):
    gone = sorted(standin.zoho.org.users)[3]
    LeadOwner.objects.create(office=office, zoho_id=gone, name="Gone", zoho_state=LeadOwner.ZohoState.INACTIVE)
    office.assignment_rules.inactive_owner = policy
    office.assignment_rules.save()
    lead = standin.add_lead(Phone=NEW, Owner=gone)
    phones.accepted(ago(hours=3), caller=NEW)
    phones.accepted(ago(hours=2), caller=NEW)
    sync()
    expected = gone if policy == "keep" else owners[0].zoho_id
    assert standin.record("Leads", lead)["Owner"]["id"] == expected
    assert AssignmentDecision.objects.count() == (0 if policy == "keep" else 1)


def test_a_marker_field_that_zoho_lacks_stops_the_run_before_the_first_lead(sync, standin, phones, owners):
    CallSettings.objects.update(marker_field="No_Such_Field")
    phones.accepted(ago(hours=3), caller=NEW)
    run = sync()
    assert run.state == Run.State.FAILED
    assert "No_Such_Field" in run.error
    assert leads_with(standin, NEW) == []


def test_the_failed_calls_of_a_run_are_processed_again_from_its_page(sync, standin, phones, owners, login, work):
    phones.accepted(ago(hours=3), caller=NEW)
    body = {"code": "INVALID_DATA", "details": {"api_name": "Phone"}, "message": "invalid data", "status": "error"}
    standin.faults.add(method="POST", path="/Leads$", status=400, body=body)
    run = sync()
    assert (run.state, run.failed) == (Run.State.FINISHED_WITH_ERRORS, 1)
    standin.faults.clear()
    client = login("Operator")
    assert "Process failed calls again (1)" in client.get(run.get_absolute_url()).content.decode()
    client.post(reverse("calls-of-run-again", args=[run.pk]))
    again = work(Run.objects.order_by("-pk").first())
    assert (again.state, again.ok) == (Run.State.FINISHED, 1)
    assert len(leads_with(standin, NEW)) == 1
    client.post(reverse("calls-of-run-again", args=[run.pk]))
    assert Run.objects.order_by("-pk").first() == again


def test_a_schedule_whose_office_is_in_work_says_which_run_is_at_it(office, zoho, ringcentral, person):
    running = call_sync.start(offices=[office])
    schedule = Schedule.objects.create(
        name="Calls", kind=call_sync.KIND, cron="0 * * * *", zone="UTC", next_at=timezone.now(), connection=ringcentral,
        owner=person("Administrator"), parameters={"offices": [office.slug], "hours_back": 24},
    )  # fmt: skip
    assert schedules.fire_due() == []
    schedule.refresh_from_db()
    assert f"Run {running.pk} is at it." in schedule.last_note
    Run.objects.update(state=Run.State.FINISHED)
    Schedule.objects.update(next_at=timezone.now())
    (run,) = schedules.fire_due()
    assert (run.kind, run.trigger, run.parameters["offices"]) == (call_sync.KIND, Run.Trigger.SCHEDULE, [office.pk])


@pytest.mark.parametrize(("form", "written"), [("national", "(215) 555-0142"), ("international", "+1 215-555-0142")])
def test_numbers_of_new_leads_are_written_as_the_settings_say_and_found_again(
    sync, standin, phones, owners, form, written
):
    CallSettings.objects.update(number_format=form)
    phones.accepted(ago(hours=3), caller=NEW)
    sync()
    lead = only_lead(standin, written)
    phones.accepted(ago(hours=2), caller=NEW)
    sync()
    assert len(notes(standin, lead["id"])) == 2


def test_leads_that_nobody_is_there_for_are_told_to_the_administrators(
    sync, standin, phones, owners, person, mailoutbox, office
):
    person("Administrator", email="admin@office.example")
    LeadOwner.objects.update(is_active=False)
    office.assignment_rules.fallback_owner_id = owners[1].zoho_id
    office.assignment_rules.save()
    phones.accepted(ago(hours=3), caller=NEW)
    phones.accepted(ago(hours=2), caller=OTHER)
    run = sync()
    assert only_lead(standin, NEW)["Owner"]["id"] == owners[1].zoho_id
    assert run.events.filter(message__startswith="Nobody was available for a new lead").count() == 1
    assert [mail.subject for mail in mailoutbox] == ["Nobody for the leads of Philadelphia"]


def test_a_file_that_took_long_to_be_ready_has_all_its_sends_left(sync, standin, phones, owners):
    made = phones.accepted(ago(hours=2), caller=NEW, recorded={"content": "html"})
    sync()
    step = call_of(made).steps.get(kind=CallStep.Kind.RECORDING)
    CallStep.objects.filter(pk=step.pk).update(attempts=9, not_before=timezone.now())
    standin.ringcentral.recordings.by_id[made.recording].kind = "audio"
    standin.faults.add(method="POST", path="/Attachments$", nth=1, drop="before")
    sync()
    assert len(files(standin, only_lead(standin, NEW)["id"])) == 1


def test_a_dry_run_knows_that_a_person_wants_a_new_lead(sync, standin, phones, owners, person):
    standin.add_lead(Phone=NEW)
    standin.add_lead(Phone=NEW)
    made = phones.accepted(ago(hours=2), caller=NEW)
    sync()
    review.create_lead(call_of(made), user=person("Operator"))
    assert sync(dry_run=True).items.get().after["actions"][0].startswith("make a lead for Owner 1")
