"""Who gets a lead: the order of the rules, the reasons in words, and one turn for one decision whatever happens."""

from __future__ import annotations

import datetime as dt
import threading
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection as database
from django.db import connections
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from portal.models import Connection
from telephony import assignment
from telephony.assignment import Assigner, decide_owner, planned_and_actual, replacement_for, simulate, warning
from telephony.models import (
    AssignmentDecision,
    AssignmentRules,
    Call,
    DepartmentPool,
    Extension,
    LeadOwner,
    Office,
    Rotation,
)

pytestmark = pytest.mark.django_db

How = AssignmentDecision.How
NOON = dt.datetime(2026, 3, 4, 12, 0, tzinfo=dt.UTC)  # a Wednesday
NIGHT = dt.datetime(2026, 3, 4, 23, 0, tzinfo=dt.UTC)


@pytest.fixture
def phones() -> Connection:
    return Connection.objects.create(vendor="ringcentral", name="Phones", client_id="x")


@pytest.fixture
def office() -> Office:
    return Office.objects.create(slug="berlin", name="Berlin", zone="Europe/Berlin", region="DE")


@pytest.fixture
def rules(office: Office) -> AssignmentRules:
    return AssignmentRules.objects.create(office=office)


@pytest.fixture
def owner(office: Office) -> Callable[..., LeadOwner]:
    """Makes an owner of the office: owner("Anna", weight="1.5")."""

    def make(name: str, weight: str = "1", **values: Any) -> LeadOwner:
        defaults = {"office": office, "zoho_id": f"id-{name.lower()}", "weight": Decimal(weight)}
        return LeadOwner.objects.create(name=name, position=LeadOwner.objects.count(), **defaults | values)

    return make


@pytest.fixture
def extension(phones: Connection, office: Office) -> Callable[..., Extension]:
    def make(number: str, name: str = "", **values: Any) -> Extension:
        return Extension.objects.create(
            connection=phones,
            office=office,
            rc_id=f"7{number}",
            number=number,
            name=name or f"Phone {number}",
            **values,
        )

    return make


@pytest.fixture
def call(phones: Connection, office: Office) -> Callable[..., Call]:
    def make(at: dt.datetime = NOON, **values: Any) -> Call:
        return Call.objects.create(
            connection=phones, office=office, key=f"s-{Call.objects.count()}", direction="inbound", outcome="missed",
            outcome_reason="x", digest="x", started_at=at, **values,
        )  # fmt: skip

    return make


@pytest.fixture
def calls(phones: Connection, office: Office) -> Callable[[int], list[Call]]:
    """That many missed calls, a second after each other."""

    def make(count: int) -> list[Call]:
        start = Call.objects.count()
        rows = [
            Call(
                connection=phones, office=office, key=f"s-{n}", direction="inbound", outcome="missed",
                outcome_reason="x", digest="x", started_at=NOON + dt.timedelta(seconds=n),
            )
            for n in range(start, start + count)
        ]  # fmt: skip
        return Call.objects.bulk_create(rows)

    return make


def change(row: Any, **values: Any) -> None:
    for name, value in values.items():
        setattr(row, name, value)
    row.save()


# --- the order of the rules -------------------------------------------------------------------------------------------


def test_a_rule_of_zoho_comes_before_everything(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    phone = extension("101")
    owner("Anna", extension=phone)
    change(rules, zoho_rule_id="998877")
    decision = decide_owner(call(answered_by=phone), office)
    assert (decision.how, decision.owner_id) == (How.ZOHO_RULE, "")
    assert "998877" in decision.reason
    assert not Rotation.objects.exclude(turns=0).exists()


def test_who_answered_gets_the_lead_by_their_extension(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    phone = extension("101")
    owner("Anna")
    bert = owner("Bert", extension=phone)
    decision = decide_owner(call(NIGHT, answered_by=phone), office)
    assert (decision.how, decision.owner_id, decision.owner_name) == (How.ANSWERED, bert.zoho_id, "Bert")
    assert decision.reason == "Bert answered the call."


def test_who_answered_is_found_by_email_address_but_never_by_name(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    owner("Carla", email="carla@example.com")
    bert = owner("Bert", email="Bert@Example.com")
    assert (
        decide_owner(call(answered_by=extension("1", "X", email="bert@example.com")), office).owner_id == bert.zoho_id
    )
    namesake = decide_owner(call(answered_by=extension("2", "Bert")), office)
    assert namesake.how == How.ROTATION
    assert namesake.reason.startswith("Bert (2) answered but is no lead owner of Berlin.")


def test_an_owner_with_an_extension_of_their_own_is_not_looked_up_by_email(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    owner("Anna", email="desk@example.com", extension=extension("101"))
    decision = decide_owner(call(answered_by=extension("102", email="desk@example.com")), office)
    assert decision.how == How.ROTATION


def test_a_machine_that_picks_up_is_nobody_who_answered(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    menu = extension("9", kind=Extension.Kind.MENU)
    owner("Anna", extension=menu)
    assert decide_owner(call(answered_by=menu), office).how == How.ROTATION


def test_who_answered_and_is_away_is_passed_over_and_named(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    phone = extension("101")
    owner("Anna", extension=phone, away_until=dt.datetime(2026, 3, 9, 8, 0, tzinfo=dt.UTC))
    bert = owner("Bert")
    decision = decide_owner(call(answered_by=phone), office)
    assert (decision.how, decision.owner_id) == (How.ROTATION, bert.zoho_id)
    assert "Anna answered but is away until 2026-03-09 09:00." in decision.reason


def test_answering_first_can_be_switched_off(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    phone = extension("101")
    anna, _ = owner("Anna"), owner("Bert", extension=phone)
    change(rules, answering_first=False)
    assert decide_owner(call(answered_by=phone), office).owner_id == anna.zoho_id


def test_a_department_comes_before_the_office_hours_and_rotates_by_weight_inside(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    night, sales = owner("Night"), [owner("Anna", "2"), owner("Bert", "1")]
    change(rules, by_department=True, office_hours_only=True, after_hours_owner_id=night.zoho_id)
    DepartmentPool.objects.create(rules=rules, department="Sales").owners.set(sales)
    queue = extension("500", kind=Extension.Kind.QUEUE, department="sales")
    decisions = [decide_owner(call(NIGHT, extension=queue), office) for _ in range(6)]
    assert {each.how for each in decisions} == {How.DEPARTMENT}
    assert Counter(each.owner_name for each in decisions) == {"Anna": 4, "Bert": 2}
    assert decisions[0].rotation["pool"] == "Sales"
    assert decide_owner(call(NIGHT), office).how == How.AFTER_HOURS


def test_the_department_is_that_of_who_answered_before_that_of_the_queue(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    change(rules, by_department=True, answering_first=False)
    for name in ("Sales", "Service"):
        DepartmentPool.objects.create(rules=rules, department=name).owners.set([owner(name)])
    queue = extension("500", kind=Extension.Kind.QUEUE, department="Sales")
    with_own, without = extension("101", department="Service"), extension("102")
    for phone, expected in ((with_own, "Service"), (without, "Sales")):
        answered = call(extension=phone, answered_by=phone, extension_ids=[queue.rc_id, phone.rc_id])
        assert decide_owner(answered, office).owner_name == expected


def test_a_department_with_nobody_available_gives_way_to_the_next_rule(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    change(rules, by_department=True)
    DepartmentPool.objects.create(rules=rules, department="Sales").owners.set([owner("Anna", is_active=False)])
    bert = owner("Bert")
    decision = decide_owner(call(extension=extension("1", department="Sales")), office)
    assert (decision.how, decision.owner_id) == (How.ROTATION, bert.zoho_id)
    assert "Nobody of the department Sales is available." in decision.reason
    assert decision.reason.count("Anna is switched off here.") == 1


def test_a_department_without_pool_is_said(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    owner("Anna")
    change(rules, by_department=True)
    decision = decide_owner(call(extension=extension("1", department="Legal")), office)
    assert decision.reason.startswith("There is no pool for the department Legal.")


def test_outside_the_hours_the_after_hours_owner_gets_the_lead(
    office: Office, rules: AssignmentRules, owner: Any, call: Any
) -> None:
    owner("Anna")
    change(rules, office_hours_only=True, after_hours_owner_id="id-night")
    inside, outside = decide_owner(call(NOON), office), decide_owner(call(NIGHT), office)
    assert (inside.how, inside.owner_name) == (How.ROTATION, "Anna")
    assert (outside.how, outside.owner_id) == (How.AFTER_HOURS, "id-night")
    assert "2026-03-05 00:00 is outside the office hours" in outside.reason
    assert "Mon, Tue, Wed, Thu, Fri 09:00 to 17:00, Europe/Berlin" in outside.reason


def test_an_after_hours_owner_who_is_not_there_is_passed_over(
    office: Office, rules: AssignmentRules, owner: Any, call: Any
) -> None:
    owner("Anna")
    change(rules, office_hours_only=True)
    assert "no after-hours owner is set" in decide_owner(call(NIGHT), office).reason
    night = owner("Night", zoho_state="inactive")
    change(rules, after_hours_owner_id=night.zoho_id)
    decision = decide_owner(call(NIGHT), office)
    assert (decision.how, decision.owner_name) == (How.ROTATION, "Anna")
    assert "the after-hours owner Night is not active in Zoho" in decision.reason


def test_with_rotation_off_the_fallback_owner_gets_every_lead_else_the_first_owner(
    office: Office, rules: AssignmentRules, owner: Any, call: Any
) -> None:
    owner("Anna")
    bert = owner("Bert")
    change(rules, round_robin=False)
    assert [decide_owner(call(), office).owner_name for _ in range(3)] == ["Anna"] * 3
    change(rules, fallback_owner_id=bert.zoho_id)
    decision = decide_owner(call(), office)
    assert (decision.how, decision.owner_name) == (How.FIRST, "Bert")
    assert warning(decision) == ""
    change(bert, is_active=False)
    assert decide_owner(call(), office).owner_name == "Anna"


def test_an_office_without_rules_rotates(office: Office, owner: Any, call: Any) -> None:
    owner("Anna")
    owner("Bert")
    assert [decide_owner(call(), office).owner_name for _ in range(4)] == ["Anna", "Bert", "Anna", "Bert"]


# --- nobody available ----------------------------------------------------------------------------------------------------


def test_the_fallback_owner_gets_the_lead_when_nobody_is_available_and_it_is_told(
    office: Office, rules: AssignmentRules, owner: Any, call: Any
) -> None:
    owner("Anna", is_active=False)
    owner("Bert", away_until=NOON + dt.timedelta(days=1))
    owner("Carla", zoho_state="missing")
    change(rules, fallback_owner_id="id-boss")
    decision = decide_owner(call(), office)
    assert (decision.how, decision.owner_id) == (How.FALLBACK, "id-boss")
    for words in (
        "Anna is switched off here.",
        "Bert is away until",
        "Carla is not a user of Zoho.",
        "Fallback owner.",
    ):
        assert words in decision.reason
    assert warning(decision) == "Nobody was available for a new lead of Berlin. The fallback owner gets the lead."


def test_the_fallback_owner_of_another_offices_list_is_known_by_name(
    office: Office, rules: AssignmentRules, call: Any
) -> None:
    other = Office.objects.create(slug="rome", name="Rome")
    LeadOwner.objects.create(office=other, zoho_id="id-boss", name="Boss", is_active=False)
    change(rules, fallback_owner_id="id-boss")
    assert decide_owner(call(), office).owner_name == "Boss"


def test_a_fallback_owner_of_the_list_gets_the_lead_even_when_switched_off(
    office: Office, rules: AssignmentRules, owner: Any, call: Any
) -> None:
    anna = owner("Anna", is_active=False)
    change(rules, fallback_owner_id=anna.zoho_id)
    assert decide_owner(call(), office).how == How.FALLBACK


@pytest.mark.parametrize("fallback", ["", "id-gone"])
def test_without_a_usable_fallback_owner_nobody_is_said_and_told(
    office: Office, rules: AssignmentRules, owner: Any, call: Any, fallback: str
) -> None:
    owner("Gone", zoho_state="inactive")
    change(rules, fallback_owner_id=fallback)
    decision = decide_owner(call(), office)
    assert (decision.how, decision.owner_id) == (How.NOBODY, "")
    assert decision.reason.endswith("The lead stays with the user of the connection.")
    assert "stays with the user of the connection" in warning(decision)


def test_an_owner_is_back_when_the_absence_ends(office: Office, rules: AssignmentRules, owner: Any, call: Any) -> None:
    owner("Anna", away_until=NOON)
    assert decide_owner(call(NOON), office).owner_name == "Anna"


# --- the rotation -----------------------------------------------------------------------------------------------------


def test_6500_leads_in_200_runs_are_within_one_lead_of_the_weights(
    office: Office, rules: AssignmentRules, owner: Any, calls: Any
) -> None:
    weights = {"Anna": "2", "Bert": "1.5", "Carla": "1", "Dora": "1", "Emil": "1"}
    for name, weight in weights.items():
        owner(name, weight)
    sizes = [32, 33] * 100  # 6,500 leads
    for size in sizes:
        Assigner(Office.objects.get(pk=office.pk)).decide_many(calls(size))
    got = Counter(AssignmentDecision.objects.values_list("owner_name", flat=True))
    assert sum(got.values()) == 6500
    assert all(abs(got[name] - 1000 * Decimal(weight)) <= 1 for name, weight in weights.items())
    assert Rotation.objects.get().turns == 6500


def test_three_runs_of_one_call_give_three_owners_one_each(
    office: Office, rules: AssignmentRules, owner: Any, call: Any
) -> None:
    for name in ("Anna", "Bert", "Carla"):
        owner(name)
    assert [decide_owner(call(), office).owner_name for _ in range(3)] == ["Anna", "Bert", "Carla"]


def test_weights_can_be_ignored(office: Office, rules: AssignmentRules, owner: Any, calls: Any) -> None:
    owner("Anna", "5")
    owner("Bert", "0.5")
    change(rules, respect_weights=False)
    Assigner(office).decide_many(calls(20))
    assert Counter(AssignmentDecision.objects.values_list("owner_name", flat=True)) == {"Anna": 10, "Bert": 10}


def test_who_returns_after_a_leave_is_not_flooded(
    office: Office, rules: AssignmentRules, owner: Any, calls: Any
) -> None:
    owner("Anna")
    bert, _ = owner("Bert"), owner("Carla")
    Assigner(office).decide_many(calls(9))
    change(bert, is_active=False)
    Assigner(office).decide_many(calls(100))
    assert AssignmentDecision.objects.filter(owner_name="Bert").count() == 3
    change(bert, is_active=True)
    back = Assigner(office).decide_many(calls(30))
    assert Counter(each.owner_name for each in back.values()) == {"Anna": 10, "Bert": 10, "Carla": 10}


def test_a_changed_weight_counts_from_the_next_lead_and_resets_nothing(
    office: Office, rules: AssignmentRules, owner: Any, calls: Any
) -> None:
    anna, _ = owner("Anna"), owner("Bert")
    Assigner(office).decide_many(calls(21))
    change(anna, weight=Decimal(3))
    after = Assigner(office).decide_many(calls(40))
    # Anna was half a lead ahead, so the next lead is Bert's.
    assert after[min(after)].owner_name == "Bert"
    assert abs(Counter(each.owner_name for each in after.values())["Anna"] - 30) <= 1
    assert Rotation.objects.get().turns == 61


def test_leads_by_answer_use_up_no_turn(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any
) -> None:
    phone = extension("101")
    owner("Anna", extension=phone)
    owner("Bert")
    for _ in range(3):
        decide_owner(call(answered_by=phone), office)
    assert decide_owner(call(), office).owner_name == "Anna"
    assert Rotation.objects.get().turns == 1


# --- one decision, one turn --------------------------------------------------------------------------------------------


def test_a_repeated_attempt_finds_the_same_decision_and_uses_no_second_turn(
    office: Office, rules: AssignmentRules, owner: Any, call: Any
) -> None:
    anna, _ = owner("Anna"), owner("Bert")
    one = call()
    first = decide_owner(one, office)
    change(anna, is_active=False)
    again = decide_owner(Call.objects.get(pk=one.pk), office)
    assert (again.pk, again.owner_name) == (first.pk, "Anna")
    assert Rotation.objects.get().turns == 1


def test_a_call_that_is_named_twice_is_decided_once(
    office: Office, rules: AssignmentRules, owner: Any, call: Any
) -> None:
    owner("Anna")
    one = call()
    Assigner(office).decide_many([one, Call.objects.get(pk=one.pk)])
    assert AssignmentDecision.objects.count() == Rotation.objects.get().turns == 1


def test_a_crash_before_the_decision_is_stored_leaves_no_turn(
    office: Office, rules: AssignmentRules, owner: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner("Anna")
    owner("Bert")
    one = call()

    def crash(*args: Any, **kwargs: Any) -> None:
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(AssignmentDecision.objects, "bulk_create", crash)
        with pytest.raises(MemoryError):
            decide_owner(one, office)
    assert not Rotation.objects.filter(turns__gt=0).exists()
    assert not AssignmentDecision.objects.exists()
    assert decide_owner(one, office).owner_name == "Anna"


def test_a_decision_that_somebody_else_stored_in_between_stands(
    office: Office, rules: AssignmentRules, owner: Any, call: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    owner("Anna")
    one = call()
    elsewhere = Office.objects.create(slug="rome", name="Rome")
    create = AssignmentDecision.objects.bulk_create

    def late(rows: list[AssignmentDecision]) -> Any:
        monkeypatch.undo()
        AssignmentDecision.objects.create(call=one, office=elsewhere, owner_id="id-x", how=How.FALLBACK, reason="x")
        return create(rows)

    # The other one's row is part of the same transaction here and goes with it; what counts is that the second try
    # is made and uses one turn.
    monkeypatch.setattr(AssignmentDecision.objects, "bulk_create", late)
    assert decide_owner(one, office).owner_name == "Anna"
    assert AssignmentDecision.objects.count() == Rotation.objects.get().turns == 1


@pytest.mark.django_db(transaction=True)
def test_workers_side_by_side_neither_skip_nor_double_a_turn(
    office: Office, rules: AssignmentRules, owner: Any, calls: Any
) -> None:
    for name in ("Anna", "Bert", "Carla"):
        owner(name)
    rows = calls(60)
    failures: list[BaseException] = []

    def decide(mine: list[Call]) -> None:
        try:
            for row in mine:
                decide_owner(row, office)
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    # Each call is decided by two of the four workers.
    workers = [threading.Thread(target=decide, args=(rows[n % 2 :: 2],)) for n in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not failures
    assert Rotation.objects.get().turns == AssignmentDecision.objects.count() == 60
    assert Counter(AssignmentDecision.objects.values_list("owner_name", flat=True)) == dict.fromkeys(
        ("Anna", "Bert", "Carla"), 20
    )


def test_a_dry_run_tells_the_coming_decisions_and_stores_nothing(
    office: Office, rules: AssignmentRules, owner: Any, calls: Any
) -> None:
    owner("Anna")
    owner("Bert")
    rows = calls(3)
    told = Assigner(office).decide_many(rows, dry_run=True)
    assert not Rotation.objects.exists()
    assert not AssignmentDecision.objects.exists()
    made = Assigner(office).decide_many(rows)
    assert [told[row.pk].owner_name for row in rows] == [made[row.pk].owner_name for row in rows]


def test_many_decisions_need_no_more_queries_than_few(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, calls: Any
) -> None:
    change(rules, by_department=True)
    pool = [owner("Anna"), owner("Bert")]
    DepartmentPool.objects.create(rules=rules, department="Sales").owners.set(pool)
    queue = extension("500", kind=Extension.Kind.QUEUE, department="Sales")
    decide_owner(calls(1)[0], office)

    def queries(count: int) -> int:
        rows = calls(count)
        for row in rows[::2]:
            row.extension, row.extension_ids = queue, [queue.rc_id]
        with CaptureQueriesContext(database) as captured:
            Assigner(office).decide_many(rows)
        return len(captured)

    queries(2)
    few, many = queries(3), queries(400)
    assert few <= 13
    assert many <= few + 3  # SQLite takes about a hundred rows in one INSERT


# --- looking ahead and back -------------------------------------------------------------------------------------------


def test_the_next_leads_are_told_without_changing_anything(
    office: Office, rules: AssignmentRules, owner: Any, calls: Any
) -> None:
    owner("Anna", "2")
    owner("Bert")
    Assigner(office).decide_many(calls(2))
    before = Rotation.objects.values().get()
    told = [str(each) for each in simulate(office, "", 20)]
    assert Rotation.objects.values().get() == before
    made = Assigner(office).decide_many(calls(20))
    assert told == [each.owner_name for _, each in sorted(made.items())]


def test_the_next_leads_of_a_department_go_to_its_pool(office: Office, rules: AssignmentRules, owner: Any) -> None:
    change(rules, by_department=True)
    owner("Anna")
    DepartmentPool.objects.create(rules=rules, department="Sales").owners.set([owner("Bert")])
    assert [str(each) for each in simulate(office, "Sales", 3)] == ["Bert"] * 3


def test_the_next_leads_without_anybody_available_are_the_fallback_owners(
    office: Office, rules: AssignmentRules
) -> None:
    assert simulate(office, "", 3) == []
    change(rules, fallback_owner_id="id-boss")
    assert [each.zoho_id for each in simulate(office, "", 3)] == ["id-boss"] * 3
    change(rules, zoho_rule_id="1")
    assert simulate(office, "", 3) == []


def test_planned_and_actual_follow_the_weights_and_availability_at_each_turn(
    office: Office, rules: AssignmentRules, owner: Any, extension: Any, call: Any, calls: Any
) -> None:
    start, phone = timezone.now(), extension("101")
    owner("Anna", "2", extension=phone)
    bert = owner("Bert", "1")
    Assigner(office).decide_many(calls(9))
    change(bert, is_active=False)
    Assigner(office).decide_many(calls(4))
    decide_owner(call(answered_by=phone), office)
    anna, bert_share = planned_and_actual(office, start)
    assert (anna.name, anna.weight, anna.rotated, anna.otherwise) == ("Anna", Decimal(2), 10, 1)
    assert (anna.planned, anna.deviation) == (10.0, 0.0)
    assert (bert_share.planned, bert_share.rotated) == (3.0, 3)
    assert [each.planned for each in planned_and_actual(office, timezone.now())] == [0.0, 0.0]


def test_who_is_no_owner_any_more_still_shows_in_the_account(
    office: Office, rules: AssignmentRules, owner: Any, calls: Any
) -> None:
    start, anna = timezone.now(), owner("Anna")
    Assigner(office).decide_many(calls(2))
    anna.delete()
    (share,) = planned_and_actual(office, start)
    assert (share.name, share.weight, share.rotated, share.planned) == ("Anna", None, 2, 2.0)


# --- owners of existing leads -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "state", "expected"),
    [
        ("reassign", "inactive", True),
        ("reassign", "missing", True),
        ("reassign", "active", False),
        ("reassign", "", False),
        ("keep", "inactive", False),
    ],
)
def test_an_existing_lead_changes_hands_only_by_policy_and_only_when_zoho_says_the_owner_is_gone(
    office: Office, rules: AssignmentRules, owner: Any, policy: str, state: str, expected: bool
) -> None:
    change(rules, inactive_owner=policy)
    assert replacement_for(owner("Anna", zoho_state=state).zoho_id, office) is expected
    assert replacement_for("id-of-nobody-known", office) is False


def test_nothing_of_the_decision_is_left_to_the_clock_of_the_server(
    office: Office, rules: AssignmentRules, owner: Any, call: Any
) -> None:
    owner("Anna")
    change(rules, office_hours_only=True, after_hours_owner_id="id-night")
    assert assignment.decide_owner(call(NIGHT), office, NOON).how == How.ROTATION
