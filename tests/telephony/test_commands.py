"""`sync_calls` in this process: every option has its effect, wrong use ends with 2, and the last line is for programs."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from django.core import mail
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from portal.models import Connection, Run, RunEvent
from portal.standin import Standin
from telephony import call_sync
from telephony.management.commands.sync_calls import Command
from telephony.models import Call, CallSettings, Extension, Office, Recipient
from tests.telephony.conftest import ago

NEW = "+12155550142"
OTHER = "+12155550143"
EAST, WEST = ZoneInfo("America/New_York"), ZoneInfo("America/Los_Angeles")

pytestmark = pytest.mark.django_db


@pytest.fixture
def ready(zoho: Connection, ringcentral: Connection, office: Office, phones: Any) -> Any:
    return phones


@pytest.fixture
def west(office: Office) -> Office:
    return Office.objects.create(slug="san-diego", name="San Diego", order=2, zone="America/Los_Angeles", region="US")


def sync(*arguments: Any) -> None:
    call_command("sync_calls", *(str(argument) for argument in arguments))


def refused(*arguments: Any) -> str:
    """The words of a refusal, after which nothing was started."""
    runs = Run.objects.count()
    with pytest.raises(CommandError) as caught:
        sync(*arguments)
    assert caught.value.returncode == 2
    assert Run.objects.count() == runs
    return str(caught.value)


def account(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out.strip().splitlines()[-1])
    return found


def writes(standin: Standin) -> list[str]:
    entries = standin.counters.journal_rows(lambda entry: entry.method != "GET" and "/crm/v8/" in entry.path)
    return [entry["path"] for entry in entries if not entry["path"].endswith("/coql")]


def window(run: Run | None = None) -> tuple[dt.datetime, dt.datetime]:
    stored = (run or Run.objects.latest("pk")).parameters["window"]
    return dt.datetime.fromisoformat(stored["since"]), dt.datetime.fromisoformat(stored["until"])


def labels(run: Run) -> list[str]:
    return list(run.items.order_by("position").values_list("label", flat=True))


# --- the ways to end ----------------------------------------------------------------------------------------------------


def test_with_wait_the_calls_are_written_and_the_last_line_is_the_account(
    ready: Any, standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.accepted(ago(hours=2), agent="101", caller=NEW)
    sync("--wait", "--json")
    run = Run.objects.get()
    counts = {
        "run": run.pk, "state": "finished", "wait": "", "planned": 1, "ok": 1, "failed": 0, "skipped": 0, "unknown": 0,
        "remaining": 0, "error": "",
    }  # fmt: skip
    assert account(capsys) == counts | {"runs": [counts]}
    assert Call.objects.get().state == Call.State.DONE
    assert "/crm/v8/Leads" in writes(standin)


def test_without_wait_the_run_is_queued_and_its_address_printed(ready: Any, capsys: pytest.CaptureFixture[str]) -> None:
    sync()
    run = Run.objects.get()
    assert (run.state, run.trigger, run.kind) == (Run.State.QUEUED, Run.Trigger.COMMAND, call_sync.KIND)
    assert run.get_absolute_url() in capsys.readouterr().out


def test_a_call_that_fails_ends_with_1(ready: Any, standin: Standin, capsys: pytest.CaptureFixture[str]) -> None:
    ready.accepted(ago(hours=2), agent="101", caller=NEW)
    body = {"code": "NO_PERMISSION", "details": {}, "message": "permission denied", "status": "error"}
    standin.faults.add(method="POST", path="/crm/v8/Leads", status=403, body=body, times=5)
    with pytest.raises(SystemExit) as caught:
        sync("--wait", "--json")
    assert caught.value.code == 1
    assert (found := account(capsys))["state"] == "finished_with_errors"
    assert found["failed"] == 1


def test_a_connection_to_be_renewed_ends_with_1_and_says_so(
    ready: Any, standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    standin.ringcentral.tokens.credentials.clear()
    with pytest.raises(SystemExit) as caught:
        sync("--wait", "--json")
    assert caught.value.code == 1
    out = capsys.readouterr().out
    assert "It waits for the connection to be renewed." in out
    assert json.loads(out.strip().splitlines()[-1])["state"] == "waiting"


def test_without_a_connection_nothing_can_be_done(office: Office) -> None:
    assert "There is no connection to RingCentral yet" in refused()


def test_without_zoho_nothing_can_be_done(office: Office, ringcentral: Connection) -> None:
    assert "There is no connection to Zoho CRM yet" in refused()


def test_without_an_office_nothing_can_be_done(zoho: Connection, ringcentral: Connection) -> None:
    assert "There is no active office" in refused()
    assert "There is: none" in refused("--office", "philadelphia")


# --- which offices ------------------------------------------------------------------------------------------------------


@pytest.fixture
def both(ready: Any, west: Office, office: Office, ringcentral: Connection, standin: Standin) -> Any:
    """Extension 101 is of Philadelphia, 105 of San Diego; the call of San Diego is the older one."""
    known = standin.ringcentral.people.by_number
    for number, place in (("101", office), ("105", west)):
        told = known[number]
        Extension.objects.create(
            connection=ringcentral, rc_id=told.id, number=number, name=told.name, office=place, synced_at=timezone.now()
        )
    ready.accepted(ago(hours=5), agent="105", caller=OTHER)
    ready.missed(ago(hours=2), agent="101", caller=NEW)
    return ready


def processed(run: Run) -> list[str]:
    """Offices of the items, in their order."""
    calls = Call.objects.in_bulk([int(key) for key in run.items.values_list("key", flat=True)])
    offices = (calls[int(item.key)].office for item in run.items.order_by("position"))
    return [office.slug if office else "" for office in offices]


@pytest.mark.parametrize(
    ("arguments", "offices"),
    [
        ([], ["philadelphia", "san-diego"]),
        (["--all-offices"], ["philadelphia", "san-diego"]),
        (["--office", "san-diego"], ["san-diego"]),
        (["--office-order", "san-diego,philadelphia"], ["san-diego", "philadelphia"]),
        (["--office-order", "san-diego"], ["san-diego"]),
        (["--office-order", " san-diego, ", "--all-offices"], ["san-diego", "philadelphia"]),
    ],
    ids=lambda value: " ".join(value) or "nothing",
)
def test_offices_are_processed_in_their_order_or_in_the_one_that_is_given(
    both: Any, arguments: list[str], offices: list[str]
) -> None:
    sync(*arguments, "--wait")
    assert processed(Run.objects.get()) == offices


def test_an_office_that_does_not_exist_is_named_with_those_that_do(both: Any) -> None:
    assert refused("--office", "boston") == "There is no office “boston”. There is: philadelphia, san-diego."
    assert "“boston”" in refused("--office-order", "san-diego,boston")


def test_an_office_that_is_switched_off_is_left_out_of_all_and_refused_by_name(both: Any, west: Office) -> None:
    Office.objects.filter(pk=west.pk).update(is_active=False)
    assert "San Diego: switched off" in refused("--office", "san-diego")
    sync("--all-offices", "--wait")
    assert "san-diego" not in processed(Run.objects.get())


def test_an_office_and_an_order_of_offices_exclude_each_other(both: Any) -> None:
    assert "either --office or --office-order" in refused("--office", "san-diego", "--office-order", "san-diego")


def test_an_office_in_work_is_refused_with_the_run_that_has_it(ready: Any) -> None:
    sync()
    words = refused()
    assert "are being processed already" in words
    assert Run.objects.get().get_absolute_url() in words


def test_offices_side_by_side_have_a_run_each_and_all_are_accounted_for(
    both: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    CallSettings.objects.update(parallel_offices=True)
    sync("--wait", "--json")
    told = account(capsys)
    assert [each["run"] for each in told["runs"]] == list(Run.objects.order_by("pk").values_list("pk", flat=True))
    assert len(told["runs"]) == 2
    assert (told["planned"], told["ok"], told["state"]) == (2, 2, "finished")
    assert set(Call.objects.values_list("state", flat=True)) == {Call.State.DONE}


# --- which calls --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "outcomes"),
    [
        (["--type", "accepted"], {"accepted"}),
        (["--type", "missed"], {"missed", "voicemail"}),
        (["--type", "all"], {"accepted", "missed", "voicemail"}),
        ([], {"accepted", "missed", "voicemail"}),
    ],
    ids=lambda value: " ".join(sorted(value)) or "nothing",
)
def test_only_calls_of_the_chosen_type_are_processed(ready: Any, arguments: list[str], outcomes: set[str]) -> None:
    ready.accepted(ago(hours=2), agent="101", caller=NEW)
    ready.missed(ago(hours=3), agent="102", caller=OTHER)
    ready.voicemail(ago(hours=4), agent="103", caller="+12155550144")
    sync(*arguments, "--wait")
    done = Call.objects.exclude(record_id="")
    assert set(done.values_list("outcome", flat=True)) == outcomes


def test_hours_back_say_how_far_to_look(ready: Any) -> None:
    ready.accepted(ago(hours=40), agent="101", caller=NEW)
    ready.accepted(ago(hours=3), agent="101", caller=OTHER)
    sync("--hours-back", 6, "--wait")
    first = Run.objects.latest("pk")
    assert [call.number for call in Call.objects.exclude(record_id="")] == [OTHER]
    assert first.planned == 1
    sync("--hours-back", 48, "--wait")
    assert set(Call.objects.exclude(record_id="").values_list("number", flat=True)) == {NEW, OTHER}


@pytest.mark.parametrize("hours", [0, -3, 200])
def test_hours_that_cannot_be_are_refused_with_the_maximum(ready: Any, office: Office, hours: int) -> None:
    Office.objects.filter(pk=office.pk).update(max_hours_back=72)
    assert "it can be 1 to 72 here" in refused(f"--hours-back={hours}")


@pytest.mark.parametrize(
    ("start", "end", "since", "until"),
    [
        ("2026-03-01", "2026-03-01", (2026, 3, 1), (2026, 3, 2)),
        ("2026-03-01T09:30", "2026-03-02T10:00", (2026, 3, 1, 9, 30), (2026, 3, 2, 10)),
        ("2026-03-01 09:30", "2026-03-02", (2026, 3, 1, 9, 30), (2026, 3, 3)),
        # The day on which the clocks go forward in this zone has 23 hours.
        ("2026-03-08", "2026-03-08", (2026, 3, 8), (2026, 3, 9)),
    ],
    ids=str,
)
def test_times_without_an_offset_are_those_of_the_office(
    both: Any, start: str, end: str, since: tuple[int, ...], until: tuple[int, ...]
) -> None:
    for slug, zone in (("philadelphia", EAST), ("san-diego", WEST)):
        sync("--office", slug, "--start", start, "--end", end)
        assert window() == (dt.datetime(*since, tzinfo=zone), dt.datetime(*until, tzinfo=zone))


def test_of_several_offices_the_clock_of_the_first_one_counts(both: Any) -> None:
    sync("--office-order", "san-diego,philadelphia", "--start", "2026-03-01", "--end", "2026-03-01")
    assert window() == (dt.datetime(2026, 3, 1, tzinfo=WEST), dt.datetime(2026, 3, 2, tzinfo=WEST))


def test_an_offset_that_is_given_counts(ready: Any) -> None:
    sync("--start", "2026-03-01T09:30:00Z", "--end", "2026-03-01T12:00:00+02:00")
    assert window() == (dt.datetime(2026, 3, 1, 9, 30, tzinfo=dt.UTC), dt.datetime(2026, 3, 1, 10, tzinfo=dt.UTC))


def test_only_calls_between_start_and_end_are_processed_however_long_ago(ready: Any) -> None:
    ready.accepted(ago(days=20), agent="101", caller=NEW)
    ready.accepted(ago(days=10), agent="101", caller=OTHER)
    sync("--start", ago(days=21).isoformat(), "--end", ago(days=19).isoformat(), "--wait")
    assert [call.number for call in Call.objects.exclude(record_id="")] == [NEW]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--start", "yesterday"], "--start 'yesterday' is no time"),
        (["--start", "2026-02-30"], "is no time"),
        (["--end", "2026-03-01"], "a start, with or without an end"),
        (["--start", "2026-03-01", "--hours-back", "5"], "Give either the hours"),
        (["--start", "2026-03-02", "--end", "2026-03-01T12:00"], "The start must be before the end"),
        (["--start", "2226-03-02"], "and in the past"),
    ],
    ids=str,
)
def test_what_cannot_be_meant_is_refused(ready: Any, arguments: list[str], words: str) -> None:
    assert words in refused(*arguments)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--type", "outbound"], "invalid choice"),
        (["--connection", "Other"], "unrecognized arguments"),
        (["--office", "philadelphia", "--all-offices"], "not allowed with argument"),
        (["--hours-back", "many"], "invalid int value"),
    ],
    ids=str,
)
def test_what_the_command_line_does_not_know_ends_with_2(
    ready: Any, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        Command().run_from_argv(["manage.py", "sync_calls", *arguments])
    assert caught.value.code == 2
    assert words in capsys.readouterr().err
    assert not Run.objects.exists()


# --- how ----------------------------------------------------------------------------------------------------------------


def test_a_dry_run_says_what_it_would_do_and_writes_nothing(
    ready: Any, standin: Standin, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.accepted(ago(hours=2), agent="101", caller=NEW)
    sync("--dry-run", "--wait")
    out = capsys.readouterr().out
    assert "Would: make a lead" in out
    assert "add a note" in out
    assert writes(standin) == []
    sync("--wait")
    assert Call.objects.get().state == Call.State.DONE


def test_debug_puts_a_line_for_each_call_into_the_log_and_shows_it(
    ready: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.accepted(ago(hours=2), agent="101", caller=NEW)
    lines = RunEvent.objects.filter(message__startswith="Call ")
    sync("--dry-run", "--wait")
    assert not lines.exists()
    sync("--dry-run", "--debug", "--wait")
    assert lines.count() == 1
    out = capsys.readouterr().out
    assert lines.get().message in out
    assert NEW not in lines.get().message


@pytest.mark.parametrize(("arguments", "mails"), [([], 1), (["--no-email"], 0)], ids=str)
def test_without_email_nobody_gets_the_report(
    ready: Any, office: Office, arguments: list[str], mails: int, django_capture_on_commit_callbacks: Any
) -> None:
    Recipient.objects.create(office=office, email="manager@example.com")
    ready.accepted(ago(hours=2), agent="101", caller=NEW)
    with django_capture_on_commit_callbacks(execute=True):
        sync(*arguments, "--wait")
    assert Call.objects.get().state == Call.State.DONE
    assert [message.to for message in mail.outbox] == [["manager@example.com"]] * mails


def test_the_progress_is_shown_to_a_person_who_waits(
    ready: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    ready.accepted(ago(hours=2), agent="101", caller=NEW)
    monkeypatch.setattr("django.core.management.base.OutputWrapper.isatty", lambda self: True)
    sync("--wait", "--no-color")
    assert "1/1" in capsys.readouterr().err


def test_the_check_of_calls_names_what_does_not_fit(standin, zoho, ringcentral, office, capsys):
    from django.core.management import call_command

    from telephony.models import Extension, LeadOwner

    Extension.objects.create(rc_id="999", number="999", name="Nobody")
    LeadOwner.objects.create(office=office, zoho_id="123", name="Stranger")
    with pytest.raises(SystemExit) as ended:
        call_command("check_calls", "--json")
    out = capsys.readouterr().out
    assert ended.value.code == 1
    assert "Not at RingCentral: Nobody (999)." in out
    assert "1 of 1 owners are no active users in Zoho: 123." in out
    assert json.loads(out.splitlines()[-1])["state"] == "finished_with_errors"


def test_the_check_of_calls_without_any_connection_ends_with_2(db, capsys):
    from django.core.management import call_command

    with pytest.raises(SystemExit) as ended:
        call_command("check_calls")
    assert ended.value.code == 2
    assert "There is none to RingCentral." in capsys.readouterr().out


@pytest.mark.parametrize("name", ["accepted", "missed"])
def test_the_names_of_the_earlier_scripts_process_their_type(office, zoho, ringcentral, name):
    from django.core.management import call_command

    call_command(f"process_{name}_calls", "--office", office.slug)
    assert Run.objects.get().parameters["types"] == [name]
