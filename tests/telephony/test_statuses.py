"""Which status a call sets, and which it may replace."""

from __future__ import annotations

import pytest

from crm.zoho.schema import Choice, Field
from telephony.models import Call, Office, OverwritableStatus, StatusName
from telephony.statuses import Statuses, check_picklist

Outcome = Call.Outcome


@pytest.fixture
def oakland(db: None) -> Office:
    return Office.objects.create(slug="oakland", name="Oakland")


@pytest.fixture
def berlin(db: None) -> Office:
    return Office.objects.create(slug="berlin", name="Berlin")


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        (Outcome.ACCEPTED, "Accepted Call"),
        (Outcome.MISSED, "Missed Call"),
        (Outcome.VOICEMAIL, "Missed Call with Voicemail"),
        (Outcome.OUTBOUND, ""),
        (Outcome.INTERNAL, ""),
        (Outcome.UNCLEAR, ""),
    ],
)
def test_the_outcome_decides_the_status(oakland: Office, outcome: str, status: str) -> None:
    assert Statuses.load(oakland).of(Call(outcome=outcome)) == status


def test_a_new_lead_without_a_status_of_its_call_is_new(oakland: Office) -> None:
    StatusName.objects.create(key="missed", value="")
    statuses = Statuses.load(oakland)
    assert statuses.of_new_lead(Call(outcome=Outcome.MISSED)) == "New"
    assert statuses.of_new_lead(Call(outcome=Outcome.OUTBOUND)) == "New"
    assert statuses.of_new_lead(Call(outcome=Outcome.ACCEPTED)) == "Accepted Call"


def test_the_office_comes_before_all_offices_and_these_before_the_defaults(oakland: Office, berlin: Office) -> None:
    StatusName.objects.create(key="missed", value="Call back")
    StatusName.objects.create(key="missed", value="Zurückrufen", office=berlin)
    call = Call(outcome=Outcome.MISSED)
    assert Statuses.load(oakland).of(call) == "Call back"
    assert Statuses.load(berlin).of(call) == "Zurückrufen"
    assert Statuses.load(None).of(call) == "Call back"


def test_an_empty_status_of_an_office_leaves_the_status_alone(oakland: Office) -> None:
    StatusName.objects.create(key="accepted", value="", office=oakland)
    assert Statuses.load(oakland).of(Call(outcome=Outcome.ACCEPTED)) == ""
    assert Statuses.load(None).of(Call(outcome=Outcome.ACCEPTED)) == "Accepted Call"


@pytest.mark.parametrize("current", [None, "", " ", "-None-", "New", "Missed Call", "accepted call"])
def test_an_empty_status_and_one_that_calls_set_may_be_replaced(oakland: Office, current: str | None) -> None:
    assert Statuses.load(oakland).may_replace(current)[0]


@pytest.mark.parametrize("current", ["Quote sent", "Missed Call today", "Duplicate"])
def test_what_a_person_set_stays(oakland: Office, current: str) -> None:
    allowed, reason = Statuses.load(oakland).may_replace(current)
    assert not allowed
    assert reason == f"“{current}” was set by a person and stays."


def test_a_status_on_the_list_may_be_replaced_in_its_office_only(oakland: Office, berlin: Office) -> None:
    OverwritableStatus.objects.create(value="Not Contacted", office=oakland)
    OverwritableStatus.objects.create(value="Web Form")
    assert Statuses.load(oakland).may_replace("Not Contacted")[0]
    assert not Statuses.load(berlin).may_replace("Not Contacted")[0]
    assert Statuses.load(oakland).may_replace("Web Form")[0]
    assert Statuses.load(berlin).may_replace("Web Form")[0]


def test_a_status_that_calls_of_another_office_set_may_be_replaced(oakland: Office, berlin: Office) -> None:
    StatusName.objects.create(key="missed", value="Zurückrufen", office=berlin)
    assert Statuses.load(oakland).may_replace("Zurückrufen")[0]


def test_loading_takes_two_queries(oakland: Office, django_assert_num_queries: object) -> None:
    with django_assert_num_queries(2):  # type: ignore[operator]
        statuses = Statuses.load(oakland)
    with django_assert_num_queries(0):  # type: ignore[operator]
        statuses.of(Call(outcome=Outcome.MISSED))
        statuses.may_replace("New")


def picklist(*values: str, is_writable: bool = True) -> list[Field]:
    choices = tuple(Choice(value, value) for value in values)
    return [Field("Lead_Status", "Lead Status", "picklist", is_writable, False, True, None, choices)]


def test_statuses_are_compared_with_the_live_picklist() -> None:
    fields = picklist("New", "Missed Call")
    assert check_picklist({"New lead": "New", "Accepted call": ""}, fields) == []
    (problem,) = check_picklist({"Missed call": "Missed Cal"}, fields)
    assert problem.place == "Missed call"
    assert "Did you mean Missed Call?" in problem.what


def test_a_status_field_that_cannot_be_written_is_a_problem() -> None:
    assert "no field Lead_Status" in check_picklist({"New lead": "New"}, [])[0].what
    locked = check_picklist({"New lead": "New"}, picklist("New", is_writable=False))
    assert "does not let programs change" in locked[0].what
