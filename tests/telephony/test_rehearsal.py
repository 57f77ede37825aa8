"""A dry run tells of each call what the real run then does, its status included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from portal.models import Run
from portal.standin import Standin
from telephony import review
from telephony.models import Call, CallRule, CallStep, Office, OverwritableStatus, StatusName
from tests.telephony.conftest import ago

NEW = "+12155550142"
OTHER = "+12155550143"
LATER = "leave the status: A later call sets the status"
SAME = "leave the status: The lead has this status already"
Sync = Callable[..., Run]


def told(run: Run) -> list[list[str]]:
    """What would be done with each call, the oldest first."""
    calls = Call.objects.in_bulk([int(key) for key in run.items.values_list("key", flat=True)])
    items = sorted(run.items.all(), key=lambda item: calls[int(item.key)].started_at)
    return [item.after["actions"] if item.after else [item.code] for item in items]


def about_status(run: Run) -> list[str]:
    return [next((action for action in actions if "the status" in action), "") for actions in told(run)]


def zoho_calls(standin: Standin) -> list[tuple[str, str]]:
    entries = standin.counters.journal_rows(lambda entry: "/crm/v8/" in entry.path)
    return [(entry["method"], entry["path"]) for entry in entries]


def steps_done() -> list[str]:
    """In the words of a dry run, what became of the status of each call whose lead had one at stake."""
    found = []
    for call in Call.objects.order_by("started_at"):
        step = call.steps.filter(kind=CallStep.Kind.STATUS).first()
        if step is None or step.message == "The lead was made with its status.":
            found.append("")
        elif step.state == CallStep.State.DONE:
            found.append(f"set the status {step.message.removeprefix('Set to ').rstrip('.')}")
        else:
            found.append(f"leave the status: {step.message.rstrip('.')}")
    return found


def test_only_the_last_call_of_a_lead_would_set_its_status(
    sync: Sync, standin: Standin, phones: Any, owners: Any
) -> None:
    standin.add_lead(Phone=NEW, Lead_Status="New")
    phones.accepted(ago(hours=3), caller=NEW)
    phones.missed(ago(hours=2), caller=NEW)
    assert about_status(sync(dry_run=True)) == [LATER, "set the status “Missed Call”"]
    sync()
    assert steps_done() == [LATER, "set the status “Missed Call”"]


def test_a_status_that_zoho_does_not_offer_would_not_be_set(
    sync: Sync, standin: Standin, phones: Any, owners: Any
) -> None:
    StatusName.objects.create(key=StatusName.Key.ACCEPTED, value="Talked to them")
    standin.add_lead(Phone=NEW, Lead_Status="New")
    phones.accepted(ago(hours=3), caller=NEW)
    words = "leave the status: Zoho's list of lead statuses has no “Talked to them”"
    assert about_status(sync(dry_run=True)) == [words]
    sync()
    assert steps_done() == [words]


def test_a_status_that_a_person_set_is_named_and_an_overwritable_one_would_be_replaced(
    sync: Sync, standin: Standin, phones: Any, owners: Any
) -> None:
    standin.add_lead(Phone=NEW, Lead_Status="Contacted")
    phones.accepted(ago(hours=3), caller=NEW)
    assert about_status(sync(dry_run=True)) == ["leave the status: “Contacted” was set by a person and stays"]
    OverwritableStatus.objects.create(value="Contacted")
    assert about_status(sync(dry_run=True)) == ["set the status “Accepted Call”"]


@pytest.mark.parametrize(
    ("second", "words"), [("missed", "set the status “Missed Call”"), ("accepted", SAME)], ids=["another", "the same"]
)
def test_the_next_call_of_a_lead_that_would_be_made_sets_the_status_of_that_lead(
    sync: Sync, phones: Any, owners: Any, second: str, words: str
) -> None:
    phones.accepted(ago(hours=3), caller=NEW)
    getattr(phones, second)(ago(hours=2), caller=NEW)
    first, following = told(sync(dry_run=True))
    assert first == ["make a lead for Owner 1 (rotation of the office)", "add a note"]
    assert following == ["write to the lead that the earlier call makes", words, "add a note"]
    sync()
    assert steps_done() == ["", words]


def test_a_later_call_that_a_run_has_processed_keeps_its_status(
    sync: Sync, standin: Standin, phones: Any, owners: Any
) -> None:
    standin.add_lead(Phone=NEW, Lead_Status="New")
    phones.missed(ago(hours=2), caller=NEW)
    sync()
    phones.accepted(ago(hours=3), caller=NEW)
    assert about_status(sync(dry_run=True)) == [LATER]


def test_a_call_whose_record_a_person_chose_is_told_with_its_status(
    sync: Sync, standin: Standin, phones: Any, owners: Any, person: Any
) -> None:
    leads = [standin.add_lead(Phone=NEW, Lead_Status="New") for _ in range(2)]
    phones.accepted(ago(hours=3), caller=NEW)
    sync()
    review.choose(Call.objects.get(), module="Leads", record_id=leads[1], user=person("Operator"))
    words = [f"write to lead {leads[1]}", "set the status “Accepted Call”", "add a note"]
    assert told(sync(dry_run=True)) == [words]
    standin.remove("Leads", leads[1])
    assert told(sync(dry_run=True))[0][0] == f"write to lead {leads[0]}"


def test_a_call_that_is_processed_again_has_no_status_to_set(
    sync: Sync, standin: Standin, phones: Any, owners: Any, person: Any
) -> None:
    lead = standin.add_lead(Phone=NEW, Lead_Status="New")
    phones.accepted(ago(hours=3), caller=NEW)
    sync()
    review.again(Call.objects.get(), user=person("Operator"))
    assert told(sync(dry_run=True)) == [[f"write to lead {lead}", "add a note"]]


def test_all_calls_of_a_number_go_where_one_of_them_may_make_a_lead(
    sync: Sync, phones: Any, owners: Any, office: Office
) -> None:
    CallRule.objects.create(office=office, outcome=Call.Outcome.MISSED, action=CallRule.Action.EXISTING)
    phones.missed(ago(hours=3), caller=NEW)
    phones.accepted(ago(hours=2), caller=NEW)
    phones.missed(ago(hours=1), caller=OTHER)
    run = sync(dry_run=True)
    assert [actions[0] for actions in told(run)[:2]] == [
        "write to the lead that a later call makes",
        "make a lead for Owner 1 (rotation of the office)",
    ]
    assert about_status(run) == [LATER, "", ""]
    assert told(run)[2][0].startswith("write nothing: No lead or contact has this number.")


def test_a_mixed_day_is_done_as_it_was_told(sync: Sync, standin: Standin, phones: Any, owners: Any) -> None:
    numbers = [f"+1215555{2000 + place}" for place in range(4)]
    standin.add_lead(Phone=numbers[0], Lead_Status="New")
    standin.add_lead(Phone=numbers[1], Lead_Status="Contacted")
    standin.add_lead(Phone=numbers[2], Lead_Status="Missed Call")
    for turn, kind in enumerate(["accepted", "missed", "voicemail", "accepted", "missed", "missed"]):
        for place, number in enumerate(numbers):
            getattr(phones, kind)(ago(hours=20 - 2 * turn, minutes=place), caller=number)
    words = about_status(sync(dry_run=True))
    assert not CallStep.objects.exists()
    sync()
    assert steps_done() == words
    assert any(word.startswith("set") for word in words)


def test_more_calls_cost_no_more_calls_to_zoho_and_nothing_is_written(
    sync: Sync, standin: Standin, phones: Any, owners: Any
) -> None:
    numbers = [f"+1215555{2000 + place}" for place in range(12)]
    for number in numbers[::2]:
        standin.add_lead(Phone=number, Lead_Status="New")
    phones.accepted(ago(hours=3), caller=numbers[0])
    sync(dry_run=True)
    counts = []
    for some in (numbers[:2], numbers[2:]):
        for number in some:
            phones.accepted(ago(hours=3), caller=number)
            phones.missed(ago(hours=2), caller=number)
        before = len(zoho_calls(standin))
        sync(dry_run=True)
        counts.append(len(zoho_calls(standin)) - before)
    assert counts[0] == counts[1]
    assert {method for method, path in zoho_calls(standin) if not path.endswith("/coql")} == {"GET"}
    assert not CallStep.objects.exists()
    assert set(Call.objects.values_list("state", "record_id", "module")) == {(Call.State.PENDING, "", "")}
