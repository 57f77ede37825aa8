"""Exactly once: a day of calls comes to the same end, whatever goes wrong on the way and however often it is read.

The deaths of this file are exceptions that nothing catches; tests/flows has those of real processes.
"""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.utils import timezone

from portal import runs, schedules
from portal.models import RatePermit, RemoteState, Run, Schedule
from portal.remote.oauth import Tokens
from portal.standin import Standin
from portal.standin.faults import FaultScript
from telephony import call_sync, reasons, review
from telephony.models import AssignmentDecision, Call, CallSettings, CallStep, Office, Rotation
from tests.telephony.conftest import ago
from tests.telephony.scenario_set import Day, end_of, expected_end, play

NEW = "+12155550142"
OTHER = "+12155550143"


@pytest.fixture
def day(standin: Standin, phones: Any, owners: Any, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Day:
    """The day is played; a vendor that fails often is not left alone, and no limit is waited for in this process.

    A token that is refused is a token that ended: none is the second in a minute because a right is missing.
    """
    monkeypatch.setattr(Tokens, "is_replacement", lambda tokens, connection, token: False)
    settings.REMOTE_BREAKER_FAILURES = 1000
    settings.REMOTE_MAX_PAUSE_S = 0
    standin.zoho.settings.token_requests_per_window = 500
    return play(standin)


class Killed(BaseException):
    """The process ends here, without a last word."""


def kill() -> None:
    raise Killed


@contextmanager
def at_commit(number: int, act: Callable[[], object]) -> Iterator[None]:
    """Does `act` just before the n-th fenced commit from now on."""
    original, count = runs.Lease.commit, 0

    def commit(lease: runs.Lease, **options: Any) -> Any:
        nonlocal count
        count += 1
        if count == number:
            act()
        return original(lease, **options)

    runs.Lease.commit = commit
    try:
        yield
    finally:
        runs.Lease.commit = original


def slice_of(run: Run) -> Run:
    """The next slice, as if its hour had come, a dead worker's lease had run out and each limit were over."""
    Run.objects.filter(pk=run.pk, not_before__isnull=False).update(not_before=timezone.now())
    RemoteState.objects.all().delete()
    RatePermit.objects.update(free_at=timezone.now())
    try:
        runs.wake(run.pk)
    except Killed:
        pass
    Run.objects.filter(pk=run.pk, lease_until__isnull=False).update(lease_until=None)
    return Run.objects.get(pk=run.pk)


def through(run: Run) -> Run:
    """Works the run to its end, and then the runs for media that came late."""
    for _ in range(100):
        run = slice_of(run)
        if not run.is_open:
            break
    assert not run.is_open, f"{run.state} {run.wait} {run.wait_detail} {run.error}"
    for _ in range(20):
        CallStep.objects.filter(state=CallStep.State.WAITING).update(not_before=timezone.now())
        later = Run.objects.filter(state__in=Run.OPEN).first()
        if later is None:
            return run
        slice_of(later)
    raise AssertionError("media are still waited for")


def leads_with(standin: Standin, number: str) -> list[Any]:
    rows = (standin.record("Leads", record_id) for record_id in standin.ids("Leads"))
    return [row for row in rows if row is not None and row.get("Phone") == number]


def only_lead(standin: Standin, number: str) -> Any:
    (lead,) = leads_with(standin, number)
    return lead


def writes(standin: Standin) -> list[tuple[str, str]]:
    entries = standin.counters.journal_rows(lambda entry: entry.method != "GET" and "/crm/v8/" in entry.path)
    return [(entry["method"], entry["path"]) for entry in entries if not entry["path"].endswith("/coql")]


# --- the end, as written down -----------------------------------------------------------------------------------------


def test_a_day_ends_as_it_is_written_down(sync, standin, day):
    run = sync()
    assert (run.state, run.planned, run.ok, run.skipped) == (Run.State.FINISHED, 14, 11, 3)
    end, expected = end_of(standin, day), expected_end(day)
    assert end.records == expected.records
    assert end.calls == expected.calls
    assert end == expected


def test_a_day_that_is_read_again_is_not_written_again(sync, standin, day):
    sync()
    before = writes(standin)
    run = sync()
    assert (run.state, run.planned) == (Run.State.FINISHED, 0)
    assert writes(standin) == before
    assert end_of(standin, day) == expected_end(day)


def test_a_day_whose_rows_all_change_is_read_again_and_doubles_nothing(sync, standin, day):
    """The vendor touches each row; what is written for it hangs on other facts."""
    sync()
    for entry in list(standin.ringcentral.log.everything()):
        standin.ringcentral.script.change_row(entry.id, lastModifiedTime="2030-01-01T00:00:00.000Z")
    run = sync(hours_back=24)
    assert run.state == Run.State.FINISHED
    assert end_of(standin, day) == expected_end(day)


def test_calls_that_a_person_processes_again_are_not_written_again(sync, standin, day, work, person):
    sync()
    before, operator = writes(standin), person("Operator")
    calls = list(Call.objects.filter(state=Call.State.DONE))
    for call in calls:
        review.again(call, user=operator)
    work(call_sync.start_calls(calls, user=operator))
    assert writes(standin) == before
    assert end_of(standin, day) == expected_end(day)


# --- faults -----------------------------------------------------------------------------------------------------------

API = r"^/crm/v8/|^/restapi/v1\.0/"
# A sound file that is shorter than it was, with a length that says so, is told from a whole one by nobody.
NOT_SOUND = r"^(?!.*/content).*(/crm/v8/|/restapi/v1\.0/)"
FAULTS: dict[str, dict[str, Any]] = {
    "an error before the effect": {"path": API, "status": 500},
    "an error after the effect": {"path": API, "status": 503, "when": "after"},
    "a page of a proxy": {"path": API, "status": 502, "html": True, "when": "after"},
    "the connection lost before the effect": {"path": API, "drop": "before"},
    "the connection lost after the effect": {"path": API, "drop": "after"},
    "an answer that is no JSON": {"path": NOT_SOUND, "malformed": True},
    "a truncated answer": {"path": NOT_SOUND, "truncate": 30},
    "too many calls at RingCentral": {"path": r"^/restapi/v1\.0/", "status": 429, "headers": {"Retry-After": "1"}},
    "too many calls at Zoho": {"path": "^/crm/v8/", "status": 429, "headers": {"Retry-After": "1"}},
    "an answer that is silent about one of the records written": {"method": "POST", "path": "/Leads$|/Notes$", "omit": 0},
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda name: name.replace(" ", "-"))
def test_a_fault_in_ten_percent_of_all_calls_changes_nothing_at_the_end(
    fault, sync, standin, day, office, zoho, ringcentral
):
    standin.faults = FaultScript(len(fault))
    rule = standin.faults.add(probability=0.1, **FAULTS[fault])
    rule_hit_at_least_once = standin.faults.add(nth=3, times=1, **FAULTS[fault])
    run = through(call_sync.start(offices=[office]))
    assert rule.fired + rule_hit_at_least_once.fired
    assert run.state == Run.State.FINISHED, run.error
    assert end_of(standin, day) == expected_end(day)


@pytest.mark.parametrize("seed", range(8))
def test_all_faults_together_change_nothing_at_the_end(seed, standin, day, office, zoho, ringcentral):
    standin.faults = FaultScript(seed)
    for rule in FAULTS.values():
        standin.faults.add(probability=0.1 / len(FAULTS), **rule)
    run = through(call_sync.start(offices=[office]))
    assert run.state == Run.State.FINISHED, run.error
    assert end_of(standin, day) == expected_end(day)


@pytest.mark.parametrize("seed", range(3))
def test_rows_that_the_log_leaves_out_are_found_by_the_next_runs(seed, standin, day, office, zoho, ringcentral):
    """Such a call has a later turn of the rotation: who owns its lead differs, how many each owner gets does not."""
    standin.faults = FaultScript(seed)
    for row in range(4):
        standin.faults.add(path="/call-log", nth=1, omit=row * 3 + seed)
    through(call_sync.start(offices=[office]))
    missing = expected_end(day).totals["Leads"] - end_of(standin, day).totals["Leads"]
    standin.faults.clear()
    through(call_sync.start(offices=[office]))
    assert missing >= 0
    assert end_of(standin, day, rotated=False) == expected_end(day, rotated=False)


@pytest.mark.parametrize("every", [13, 20, 31])
def test_tokens_of_both_vendors_that_end_in_the_middle_change_nothing(every, standin, day, office, zoho, ringcentral):
    def expire(call: int, request: Any) -> None:
        if call % every == 0:
            standin.zoho.tokens.invalidate_access()
            standin.ringcentral.tokens.end_all()

    standin.before_effect = expire
    run = through(call_sync.start(offices=[office]))
    assert run.state == Run.State.FINISHED, run.error
    assert end_of(standin, day) == expected_end(day)


# --- deaths and lost leases -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", range(1, 60, 4))
def test_a_worker_that_dies_before_a_commit_leaves_what_the_next_one_needs(
    number, standin, day, office, zoho, ringcentral
):
    run = call_sync.start(offices=[office])
    with at_commit(number, kill):
        slice_of(run)
    run = through(run)
    assert run.state == Run.State.FINISHED, run.error
    assert end_of(standin, day) == expected_end(day)


@pytest.mark.parametrize("number", range(2, 60, 4))
def test_a_worker_that_lost_its_lease_writes_nothing_more(number, standin, day, office, zoho, ringcentral):
    """Another worker takes the run over in the middle and works it to its end, and only then the first one goes on."""
    run = call_sync.start(offices=[office])

    def steal() -> None:
        Run.objects.filter(pk=run.pk).update(lease_until=None)
        runs.wake(run.pk)

    with at_commit(number, steal):
        slice_of(run)
    run = through(run)
    assert run.state == Run.State.FINISHED, run.error
    assert end_of(standin, day) == expected_end(day)


@pytest.mark.parametrize("seed", range(8))
def test_whatever_happens_one_after_the_other_the_end_is_the_same(seed, standin, day, office, zoho, ringcentral):
    dice = random.Random(seed)
    run = call_sync.start(offices=[office])

    def steal() -> None:
        Run.objects.filter(pk=run.pk).update(lease_until=None)
        runs.wake(run.pk)

    for _ in range(8):
        match dice.choice(["die", "lose", "fault", "stop and resume", "expire"]):
            case "die":
                with at_commit(dice.randint(1, 25), kill):
                    slice_of(run)
            case "lose":
                with at_commit(dice.randint(1, 25), steal):
                    slice_of(run)
            case "fault":
                standin.faults.add(times=1, **dice.choice(list(FAULTS.values())))
                with at_commit(dice.randint(1, 25), kill):
                    slice_of(run)
            case "stop and resume":
                with at_commit(dice.randint(1, 25), lambda: runs.stop(Run.objects.get(pk=run.pk))):
                    slice_of(run)
                slice_of(run)
                runs.resume(Run.objects.get(pk=run.pk))
            case "expire":
                standin.zoho.tokens.invalidate_access()
                standin.ringcentral.tokens.end_all()
    standin.faults.clear()
    run = through(run)
    assert run.state == Run.State.FINISHED, run.error
    assert end_of(standin, day) == expected_end(day)


@pytest.mark.parametrize("number", [20, 24, 28])
def test_a_run_that_was_stopped_at_its_files_goes_on_with_them(number, standin, day, office, zoho, ringcentral):
    run = call_sync.start(offices=[office])
    with at_commit(number, lambda: runs.stop(Run.objects.get(pk=run.pk))):
        slice_of(run)
    slice_of(run)
    runs.resume(Run.objects.get(pk=run.pk))
    run = through(run)
    assert (run.state, run.ok, run.skipped) == (Run.State.FINISHED, 11, 3)
    assert end_of(standin, day) == expected_end(day)


@pytest.mark.parametrize("number", range(8, 36, 4))
def test_a_run_that_learns_of_its_stop_between_two_calls_to_zoho_leaves_nothing_out(
    number, standin, day, office, zoho, ringcentral, monkeypatch
):
    monkeypatch.setattr(runs, "HEARTBEAT_SECONDS", 0)
    run = call_sync.start(offices=[office])
    with at_commit(number, lambda: runs.stop(Run.objects.get(pk=run.pk))):
        slice_of(run)
    run = slice_of(run)
    assert run.state == Run.State.STOPPED
    runs.resume(run)
    run = through(run)
    assert (run.state, run.ok, run.skipped) == (Run.State.FINISHED, 11, 3)
    assert end_of(standin, day) == expected_end(day)


# --- single promises --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [{"drop": "after"}, {"status": 504, "when": "after"}, {"malformed": True}])
def test_a_lead_whose_answer_got_lost_is_open_until_it_was_looked_for(
    fault, standin, phones, owners, office, zoho, ringcentral
):
    """T-B03: a time-out after Zoho accepted the write; the state is unknown until a look-up resolves it."""
    phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    standin.faults.add(method="POST", path="/Leads$", times=1, **fault)
    run = call_sync.start(offices=[office])
    run = slice_of(run)
    step = CallStep.objects.get(kind=CallStep.Kind.LEAD)
    assert (step.state, run.state, run.wait) == (CallStep.State.SENT, Run.State.WAITING, Run.Wait.SETTLE)
    run = through(run)
    step.refresh_from_db()
    lead = only_lead(standin, NEW)
    assert (step.state, step.code, step.crm_id) == (CallStep.State.DONE, "FOUND", lead["id"])
    assert (len(standin.notes_of("Leads", lead["id"])), len(standin.files_of("Leads", lead["id"]))) == (1, 1)


def test_a_call_told_by_the_feed_again_and_again_and_by_the_log_is_one_set(sync, standin, phones, owners):
    """T-B04, the half that pulls: the feed delivers the row twice, the log once more."""
    made = phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    sync()
    for _ in range(2):
        standin.ringcentral.script.change_row(made.row, lastModifiedTime="2030-01-01T00:00:00.000Z")
        sync()
    standin.ringcentral.sync.expire_tokens()
    sync()
    lead = only_lead(standin, NEW)
    assert Call.objects.count() == 1
    assert (len(standin.notes_of("Leads", lead["id"])), len(standin.files_of("Leads", lead["id"]))) == (1, 1)


def test_a_lead_made_just_now_that_no_query_shows_yet_gets_the_next_call_too(sync, standin, phones, owners):
    """T-B08: our own ledger answers while Zoho's queries do not know the lead."""
    phones.accepted(ago(hours=3), caller=NEW)
    sync()
    standin.faults.add(path="/coql$", status=204)
    phones.missed(ago(hours=1), caller=NEW)
    sync()
    lead = only_lead(standin, NEW)
    assert len(standin.notes_of("Leads", lead["id"])) == 2
    assert lead["Lead_Status"] == "Missed Call"


def test_a_batch_of_a_hundred_of_which_the_answer_tells_a_part_is_resumed_lead_by_lead(
    standin, phones, owners, office, zoho, ringcentral
):
    """T-B12: three records of a batch have no answer, and the worker dies before it stores the others."""
    phones.many(ago(hours=10), count=120)
    standin.faults.add(method="POST", path="/Leads$", nth=1, omit=7)
    run = call_sync.start(offices=[office])
    for number in (30, 12, 9, 7, 5):
        with at_commit(number, kill):
            slice_of(run)
    run = through(run)
    assert (run.state, run.ok) == (Run.State.FINISHED, 120)
    numbers = [f"+1737{2_000_000 + turn:07d}" for turn in range(120)]
    assert [len(leads_with(standin, number)) for number in numbers] == [1] * 120
    assert {len(standin.notes_of("Leads", only_lead(standin, number)["id"])) for number in numbers} == {1}
    assert Rotation.objects.get(department="").turns == 120


def test_no_file_is_attached_twice_and_calls_of_one_second_do_not_collide(sync, standin, phones, owners):
    """T-D07."""
    at = ago(hours=2)
    made = [phones.accepted(at, caller=NEW, agent=agent, recorded=True) for agent in ("101", "102")]
    sync()
    sync()
    Call.objects.update(state=Call.State.PENDING)
    sync()
    files = standin.files_of("Leads", only_lead(standin, NEW)["id"])
    wanted = {each.recording: standin.ringcentral.recordings.by_id[each.recording].body()[0] for each in made}
    assert len(files) == len({name for name, _ in files}) == 2
    assert sorted(content for _, content in files) == sorted(wanted.values())
    assert all(content == wanted[next(key for key in wanted if key in name)] for name, content in files)


@pytest.mark.parametrize("status", [500, 503])
def test_an_attachment_that_fails_for_a_while_keeps_the_lead_and_is_tried_again(
    status, standin, phones, owners, office, zoho, ringcentral
):
    """T-D08, where Zoho is out of order."""
    phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    standin.faults.add(path="/Attachments$", method="POST", status=status, times=3)
    run = through(call_sync.start(offices=[office]))
    lead = only_lead(standin, NEW)
    assert run.state == Run.State.FINISHED
    assert (len(standin.notes_of("Leads", lead["id"])), len(standin.files_of("Leads", lead["id"]))) == (1, 1)


def test_an_attachment_that_zoho_refuses_keeps_the_lead_and_a_person_starts_it_again(
    sync, standin, phones, owners, work, person
):
    """T-D08, where Zoho says no."""
    phones.accepted(ago(hours=2), caller=NEW, recorded=True)
    standin.faults.add(path="/Attachments$", method="POST", status=400, times=1)
    run = sync()
    call, lead = Call.objects.get(), only_lead(standin, NEW)
    assert (run.state, call.state) == (Run.State.FINISHED_WITH_ERRORS, Call.State.FAILED)
    assert (len(standin.notes_of("Leads", lead["id"])), standin.files_of("Leads", lead["id"])) == (1, [])
    review.again(call, user=person("Operator"))
    work(call_sync.start_calls([call], user=None))
    call.refresh_from_db()
    assert call.state == Call.State.DONE
    assert only_lead(standin, NEW)["id"] == lead["id"]
    assert (len(standin.notes_of("Leads", lead["id"])), len(standin.files_of("Leads", lead["id"]))) == (1, 1)


def test_a_lead_that_failed_and_is_tried_again_keeps_its_owner(sync, standin, phones, owners, work, person):
    """T-N05."""
    phones.accepted(ago(hours=3), caller=NEW)
    standin.faults.add(method="POST", path="/Leads$", status=400, times=1)
    sync()
    call, decision = Call.objects.get(), AssignmentDecision.objects.get()
    assert (call.state, leads_with(standin, NEW)) == (Call.State.FAILED, [])
    phones.accepted(ago(hours=2), caller=OTHER)
    sync()
    call.refresh_from_db()
    review.again(call, user=person("Operator"))
    work(call_sync.start_calls([call], user=None))
    assert only_lead(standin, NEW)["Owner"]["id"] == decision.owner_id == owners[0].zoho_id
    assert only_lead(standin, OTHER)["Owner"]["id"] == owners[1].zoho_id
    assert Rotation.objects.get(department="").turns == 2


def test_a_second_start_of_an_office_is_refused_by_name_of_the_first(office, zoho, ringcentral, person):
    first = call_sync.start(offices=[office])
    operator = person("Operator")
    schedule = schedules.create(
        name="Calls", kind=call_sync.KIND, connection=ringcentral, cron="* * * * *", zone="UTC",
        missed=Schedule.Missed.ONCE, parameters={}, user=operator,
    )  # fmt: skip
    Schedule.objects.filter(pk=schedule.pk).update(next_at=timezone.now())
    assert schedules.fire_due() == []
    assert list(Run.objects.values_list("pk", flat=True)) == [first.pk]
    assert Office.objects.get(pk=office.pk).sync_run_id == first.pk


# --- what the note has to say about media that are lost -----------------------------------------------------------------


@pytest.fixture
def lost(standin, phones, owners, zoho, ringcentral, office, monkeypatch):
    """Two calls whose recordings are gone: one says so at the first look, after the note was written."""
    monkeypatch.setattr(runs, "HEARTBEAT_SECONDS", 0)
    for number in (NEW, OTHER):
        phones.accepted(ago(hours=2), caller=number, recorded={"size": 2_000_000})
    CallSettings.objects.update(max_attachment_mb=1)
    return call_sync.start(offices=[office])


def assert_both_notes_say_it(standin):
    for number in (NEW, OTHER):
        (note,) = standin.notes_of("Leads", only_lead(standin, number)["id"])
        assert "kept at RingCentral" in note["Note_Content"]
    assert set(Call.objects.values_list("state", "reason_code")) == {(Call.State.DONE, "TOO_LARGE")}


@pytest.mark.parametrize("number", range(25, 39, 2))
def test_a_stop_before_the_note_tells_of_a_lost_recording_leaves_that_to_the_next_run(
    number, lost, sync, standin, settings, office
):
    settings.REMOTE_MAX_PAUSE_S = 0
    with at_commit(number, lambda: runs.stop(Run.objects.get(pk=lost.pk))):
        run = slice_of(lost)
    if run.is_open:
        run = slice_of(run)
    assert run.state in (Run.State.STOPPED, Run.State.FINISHED)
    sync()
    assert_both_notes_say_it(standin)


def test_a_limit_before_the_note_tells_of_a_lost_recording_is_waited_for(lost, standin):
    standin.faults.add(method="PUT", path="/Notes", status=429, headers={"Retry-After": "120"}, times=1)
    run = slice_of(lost)
    assert (run.state, run.wait) == (Run.State.WAITING, Run.Wait.RATE_LIMIT)
    through(run)
    assert_both_notes_say_it(standin)


# --- calls whose end is never told ------------------------------------------------------------------------------------


@pytest.fixture
def endless(sync, standin, phones, owners, time_machine):
    """A call that the log calls unfinished for more than a week, which one run has found out."""
    start = ago(hours=1)
    made = phones.accepted(start, caller=NEW, duration=60, result="In Progress", appears_after=-30)
    for days in (0, 6):
        time_machine.move_to(start + dt.timedelta(days=days, hours=2))
        assert sync().planned == 0
        assert Call.objects.get().state == Call.State.PENDING
    time_machine.move_to(start + dt.timedelta(days=7, hours=2))
    assert sync(dry_run=True).items.get().code == reasons.NEVER_ENDED
    assert Call.objects.get().state == Call.State.PENDING
    run = sync(types=["missed"])
    assert (run.state, run.planned, run.skipped) == (Run.State.FINISHED, 1, 1)
    assert run.items.get().code == reasons.NEVER_ENDED
    return made


def end(standin, made):
    entry = standin.ringcentral.log.find(made.row)
    legs = [leg | {"result": "Accepted"} for leg in entry.row(2**60)["legs"]]
    standin.ringcentral.script.change_row(made.row, at=timezone.now(), result="Accepted", legs=legs)


def note_of(standin):
    (note,) = standin.notes_of("Leads", only_lead(standin, NEW)["id"])
    return note["Note_Content"]


def test_a_call_whose_end_is_never_told_is_a_question_after_a_week_and_asked_once(sync, standin, endless):
    call = Call.objects.get()
    assert (call.state, call.reason_code) == (Call.State.REVIEW, reasons.NEVER_ENDED)
    assert "7 days" in call.reason
    assert reasons.advice(call.reason_code) is not None
    assert writes(standin) == []
    assert sync().planned == 0


def test_an_end_that_is_told_after_all_is_processed_as_usual(sync, standin, endless):
    end(standin, endless)
    sync()
    call = Call.objects.get()
    assert (call.outcome, call.state) == (Call.Outcome.ACCEPTED, Call.State.DONE)
    assert "Inbound call: accepted" in note_of(standin)
    assert only_lead(standin, NEW)["Lead_Status"] == "Accepted Call"


def test_what_a_person_decides_about_a_call_without_an_end_is_done_and_its_end_brought_in_later(
    sync, standin, endless, person
):
    review.create_lead(Call.objects.get(), user=person("Operator"))
    sync()
    assert Call.objects.get().state == Call.State.DONE
    assert "Inbound call: in progress" in note_of(standin)
    end(standin, endless)
    sync()
    assert Call.objects.get().state == Call.State.DONE
    assert "Inbound call: accepted" in note_of(standin)


def test_a_call_without_an_end_that_is_ignored_or_tried_again_is_asked_about_as_a_person_says(sync, endless, person):
    operator = person("Operator")
    review.again(Call.objects.get(), user=operator)
    assert sync().skipped == 1
    assert Call.objects.get().reason_code == reasons.NEVER_ENDED
    review.ignore(Call.objects.get(), reason="A test", user=operator)
    assert sync().planned == 0
    assert Call.objects.get().reason_code == reasons.IGNORED
