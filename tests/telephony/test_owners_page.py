"""Lead owners and offices: shares, switches, what comes next, plan and reality, and what is still to be set up."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from portal.models import AuditEntry, Connection, Run
from portal.standin import Standin
from telephony import assignment, queries, setup_steps
from telephony.models import AssignmentRules, LeadOwner, Recipient, Rotation
from tests.telephony.made_calls import make_call, make_extension, make_office, make_owner, ringcentral

pytestmark = pytest.mark.django_db
Login = Callable[..., Client]
PAGE = "/calls/owners/"


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def test_shares_follow_from_the_weights_of_those_who_are_available(login: Login) -> None:
    office = make_office()
    make_owner(office, "Ana", weight=Decimal(2))
    make_owner(office, "Ben", weight=Decimal(1))
    make_owner(office, "Cem", weight=Decimal(1))
    away = make_owner(office, "Dua", weight=Decimal(4), away_until=timezone.now() + timedelta(days=1))
    rows = queries.pool(office, timezone.now())
    assert [(row.owner.name, row.percent) for row in rows] == [("Ana", 50), ("Ben", 25), ("Cem", 25), ("Dua", 0)]
    words = text_of(login("Viewer").get(PAGE))
    assert "50.0 %" in words
    assert "Away until" in words
    AssignmentRules.objects.create(office=office, respect_weights=False)
    assert {round(row.percent) for row in queries.pool(office, timezone.now()) if row.owner != away} == {33}


def test_the_next_leads_are_shown_without_using_up_a_turn(login: Login) -> None:
    office = make_office()
    for name, weight in (("Ana", 3), ("Ben", 1)):
        make_owner(office, name, weight=Decimal(weight))
    page = login("Viewer").get(PAGE)
    names = [owner.name for owner in page.context["next_owners"]]
    assert len(names) == 20
    assert (names.count("Ana"), names.count("Ben")) == (15, 5)
    assert not Rotation.objects.exists()


def test_plan_reality_and_the_log_of_decisions_are_told(login: Login) -> None:
    office = make_office()
    make_owner(office, "Ana", weight=Decimal(2))
    make_owner(office, "Ben", weight=Decimal(1))
    for _ in range(6):
        assignment.decide_owner(make_call(office), office, timezone.now())
    page = login("Viewer").get(PAGE)
    shares = {share.name: (round(share.planned, 1), share.rotated) for share in page.context["shares"]}
    assert shares == {"Ana": (4.0, 4), "Ben": (2.0, 2)}
    assert len(page.context["table"].rows) == 6
    assert "Rotation of the office" in text_of(page)


def test_an_owner_is_switched_off_and_on_by_those_who_set_up(login: Login) -> None:
    owner = make_owner(make_office(), "Ana")
    url = reverse("lead-owner-toggle", args=[owner.pk])
    assert login("Supervisor").post(url).status_code == 403
    admin = login("Administrator")
    for _ in range(2):  # a second click changes nothing
        admin.post(url)
        assert not LeadOwner.objects.get().is_active
    assert AuditEntry.objects.filter(action="lead owner switched off").count() == 1
    admin.post(url, {"active": "on"})
    assert LeadOwner.objects.get().is_active


def test_weight_and_absence_are_changed_on_the_offices_clock(login: Login) -> None:
    owner = make_owner(make_office(), "Ana")
    url = reverse("lead-owner-edit", args=[owner.pk])
    admin = login("Administrator")
    admin.post(url, {"weight": "2.5", "away_until": "2026-07-01T09:00"})
    owner.refresh_from_db()
    assert owner.weight == Decimal("2.5")
    assert owner.away_until is not None
    assert owner.away_until.isoformat() == "2026-07-01T16:00:00+00:00"
    assert 'value="2026-07-01T09:00"' in admin.get(PAGE).content.decode()
    admin.post(url, {"weight": "2.5", "away_until": ""})
    owner.refresh_from_db()
    assert owner.away_until is None
    assert login("Operator").post(url, {"weight": "9"}).status_code == 403


@pytest.mark.parametrize("weight", ["0", "-1", "x", "", "NaN", "Infinity"])
def test_a_weight_is_greater_than_nothing(login: Login, weight: str) -> None:
    owner = make_owner(make_office(), "Ana")
    login("Administrator").post(reverse("lead-owner-edit", args=[owner.pk]), {"weight": weight})
    owner.refresh_from_db()
    assert owner.weight == 1


def test_an_empty_or_absent_pool_says_who_gets_the_leads(login: Login) -> None:
    client = login("Viewer")
    assert "No office yet" in text_of(client.get(PAGE))
    office = make_office()
    assert "No owner yet" in text_of(client.get(PAGE))
    make_owner(office, "Ana", is_active=False)
    assert "Nobody is available." in text_of(client.get(PAGE))


def test_owners_of_other_offices_are_closed_to_people_of_one(login: Login) -> None:
    mine, other = make_office("oakland"), make_office("berlin")
    owner = make_owner(other, "Ana")
    admin = login("Administrator")
    mine.people.add(User.objects.get(username="administrator"))
    assert admin.get(f"{PAGE}?office=berlin").context["office"] == mine
    assert admin.post(reverse("lead-owner-toggle", args=[owner.pk])).status_code == 404


def test_the_overview_counts_without_multiplying(login: Login, person: Callable[..., User]) -> None:
    office = make_office()
    make_extension(office)
    make_extension(office, process_calls=False)
    make_extension(office, is_gone=True)
    for name in ("Ana", "Ben", "Cem"):
        make_owner(office, name)
    make_owner(office, "Dua", is_active=False)
    for _ in range(5):
        make_call(office, started_at=timezone.now())
    found = queries.offices_overview(person("Viewer")).get()
    assert (found.extension_count, found.switched_on) == (2, 1)
    assert (found.owner_count, found.owners_on) == (4, 3)
    assert (found.calls_today, found.people_count) == (5, 0)
    assert "1 of 2 on" in text_of(login("Viewer", name="another").get(reverse("offices")))


def test_owners_are_compared_with_zoho_by_a_button(zoho: Connection, login: Login) -> None:
    owner = make_owner(make_office(), "Ana")
    page = login("Administrator").post(reverse("lead-owners-sync"), follow=True)
    assert "None of the 1 lead owners is a user of the organisation" in text_of(page)
    owner.refresh_from_db()
    assert owner.is_active
    assert AuditEntry.objects.filter(action="directory compared").exists()
    assert login("Operator").post(reverse("lead-owners-sync")).status_code == 403


def test_the_comparison_leads_back_to_the_office_that_was_looked_at(zoho: Connection, login: Login) -> None:
    make_office()
    make_office("reno", order=2)
    client, address = login("Administrator"), reverse("lead-owners-sync")
    assert client.post(f"{address}?office=reno").headers["Location"].endswith("?office=reno")
    assert client.post(f"{address}?office=nowhere").headers["Location"] == reverse("lead-owners")


def test_without_a_connection_the_comparison_says_so(login: Login) -> None:
    page = login("Administrator").post(reverse("extensions-sync"), follow=True)
    assert "There is no connection to RingCentral yet." in text_of(page)


def test_a_vendor_that_does_not_answer_changes_nothing(zoho: Connection, standin: Standin, login: Login) -> None:
    standin.faults.add(status=503, path="users")
    page = login("Administrator").post(reverse("lead-owners-sync"), follow=True)
    assert "Nothing was changed." in text_of(page)


def test_extensions_without_an_office_are_told(login: Login) -> None:
    make_extension(None)
    assert "1 extension belongs to no office" in text_of(login("Viewer").get(reverse("offices")))


def test_the_setup_list_turns_done_item_by_item(login: Login, person: Callable[..., User]) -> None:
    user = person("Administrator")

    def done() -> int:
        return sum(step.is_done for step in setup_steps.checklist(user))

    assert done() == 0
    ringcentral()
    Connection.objects.create(vendor="zoho", name="Zoho", client_id="x", is_default=True, state="working")
    assert done() == 1
    office = make_office()
    make_extension(office)
    assert done() == 2
    make_owner(office, "Ana")
    assert done() == 3
    Recipient.objects.create(email="ana@example.com")
    assert done() == 4
    Run.objects.create(kind=queries.RUN_KIND, title="Calls", state="finished")
    assert done() == len(setup_steps.checklist(user))
