"""Making lead owners of Zoho's users: who is offered, who is added, and what is said of everybody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from portal.models import AuditEntry, Connection
from portal.standin import Standin
from portal.standin.zoho.people import User as ZohoUser
from telephony import setup_steps
from telephony.models import LeadOwner, Office
from tests.telephony.made_calls import make_office, make_owner

pytestmark = pytest.mark.django_db
Login = Callable[..., Client]
PAGE = "/calls/owners/add/?office=oakland"


def address(**parameters: str) -> str:
    return f"{reverse('lead-owners-add')}?{urlencode(parameters)}"


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def names_on(response: Any) -> list[str]:
    return [user.name for user in response.context["offer"].users]


@pytest.fixture
def office(db: None) -> Office:
    return make_office()


@pytest.fixture
def people(standin: Standin) -> list[ZohoUser]:
    """Users of Zoho who are active, the administrator first."""
    return [user for user in standin.zoho.org.users.values() if user.status == "active"]


@pytest.fixture
def gone(standin: Standin) -> ZohoUser:
    return next(user for user in standin.zoho.org.users.values() if user.status == "disabled")


@pytest.fixture
def admin(zoho: Connection, login: Login) -> Client:
    """An administrator in a portal that is connected to Zoho."""
    return login("Administrator")


# --- who is offered -----------------------------------------------------------------------------------------------------


def test_active_users_who_are_no_owners_yet_are_offered_and_nobody_is_ticked(
    admin: Client, office: Office, people: list[ZohoUser]
) -> None:
    make_owner(make_office("berlin"), "An owner elsewhere")
    LeadOwner.objects.create(office=office, zoho_id=people[1].id, name="Old name")
    page = admin.get(PAGE)
    offered = [people[0], *people[2:]]
    assert sorted(names_on(page)) == sorted(user.full_name for user in offered)
    assert f"{len(offered)} users of Zoho" in text_of(page)
    assert offered[0].email in text_of(page)
    assert " checked" not in page.content.decode()


def test_roles_are_a_filter_in_the_address(admin: Client, office: Office, people: list[ZohoUser]) -> None:
    roles = admin.get(PAGE).context["offer"].roles
    assert len(roles) == 2
    by_role = [names_on(admin.get(address(office="oakland", role=role))) for role in roles]
    assert all(by_role)
    assert sorted(by_role[0] + by_role[1]) == sorted(user.full_name for user in people)


def test_a_role_that_nobody_has_leads_back_to_all(admin: Client, office: Office) -> None:
    page = admin.get(address(office="oakland", role="Pilot"))
    assert "No user with this role" in text_of(page)
    assert 'href="?office=oakland"' in page.content.decode()


def test_when_everybody_is_an_owner_the_page_says_so(admin: Client, office: Office, people: list[ZohoUser]) -> None:
    for user in people:
        LeadOwner.objects.create(office=office, zoho_id=user.id, name=user.full_name)
    assert "Everybody is an owner already" in text_of(admin.get(PAGE))


def test_without_a_connection_the_page_says_what_to_do(login: Login, office: Office) -> None:
    words = text_of(login("Administrator").get(PAGE))
    assert "There is no connection to Zoho CRM." in words
    assert "make it the default one" in words


def test_without_an_office_the_page_leads_to_the_offices(admin: Client) -> None:
    assert "No office yet" in text_of(admin.get(reverse("lead-owners-add")))


def test_a_vendor_that_does_not_answer_is_told_in_three_parts(admin: Client, office: Office, standin: Standin) -> None:
    standin.faults.add(status=503, path="users")
    page = admin.get(PAGE)
    words = text_of(page)
    assert "Zoho CRM did not answer" in words
    assert "there is nobody to choose" in words
    assert "What to do:" in words
    assert page.status_code == 200


def test_the_page_takes_the_same_number_of_queries_for_1_and_for_30_owners(
    admin: Client, office: Office, django_assert_num_queries: Any
) -> None:
    admin.get(PAGE)  # the token is fetched and kept
    with CaptureQueriesContext(connection) as first:
        admin.get(PAGE)
    for number in range(30):
        make_owner(office, f"Owner {number}")
    with django_assert_num_queries(len(first)):
        admin.get(PAGE)


# --- who is added -------------------------------------------------------------------------------------------------------


def test_the_chosen_become_owners_of_the_office(admin: Client, office: Office, people: list[ZohoUser]) -> None:
    chosen = people[1:4]
    page = admin.post(PAGE, {"user": [user.id for user in chosen]}, follow=True)
    assert page.redirect_chain == [(f"{reverse('lead-owners')}?office=oakland", 302)]
    assert "3 owners added. They start level with the others." in text_of(page)
    made = {owner.zoho_id: owner for owner in LeadOwner.objects.filter(office=office)}
    assert {user.id: user.full_name for user in chosen} == {key: owner.name for key, owner in made.items()}
    assert {(owner.weight, owner.zoho_state, owner.is_active) for owner in made.values()} == {
        (Decimal(1), "active", True)
    }
    entry = AuditEntry.objects.get(action="lead owners added")
    assert entry.target == "Oakland"
    assert entry.details == {"zoho_ids": [user.id for user in chosen]}


def test_a_second_click_adds_nobody_twice(admin: Client, office: Office, people: list[ZohoUser]) -> None:
    for _ in range(2):
        page = admin.post(PAGE, {"user": [people[1].id, people[1].id]}, follow=True)
    assert LeadOwner.objects.filter(office=office).count() == 1
    assert f"Not added, an owner of Oakland already: {people[1].full_name}." in text_of(page)
    assert AuditEntry.objects.filter(action="lead owners added").count() == 1


def test_who_cannot_be_an_owner_is_named_and_the_others_are_added(
    admin: Client, office: Office, people: list[ZohoUser], gone: ZohoUser
) -> None:
    owner = LeadOwner.objects.create(office=office, zoho_id=people[1].id, name="Old name", weight=3)
    ids = [people[1].id, gone.id, "404", people[2].id]
    words = text_of(admin.post(PAGE, {"user": ids}, follow=True))
    assert "1 owner added." in words
    assert f"Not added, an owner of Oakland already: {people[1].full_name}." in words
    assert f"Not added, not active in Zoho: {gone.full_name}." in words
    assert "Not added, no user of Zoho: 404." in words
    assert set(LeadOwner.objects.values_list("zoho_id", flat=True)) == {people[1].id, people[2].id}
    owner.refresh_from_db()
    assert (owner.name, owner.weight) == ("Old name", Decimal(3))


def test_the_same_user_may_be_an_owner_of_two_offices(admin: Client, office: Office, people: list[ZohoUser]) -> None:
    other = make_office("berlin")
    LeadOwner.objects.create(office=other, zoho_id=people[1].id, name="There")
    admin.post(PAGE, {"user": people[1].id})
    assert set(LeadOwner.objects.values_list("office", flat=True)) == {office.pk, other.pk}


def test_choosing_nobody_is_told_and_keeps_office_and_role(admin: Client, office: Office) -> None:
    url = address(office="oakland", role="CEO")
    page = admin.post(url, follow=True)
    assert page.redirect_chain == [(url, 302)]
    assert "Nobody was chosen" in text_of(page)
    assert not LeadOwner.objects.exists()


def test_when_zoho_does_not_answer_the_choice_is_kept(
    admin: Client, office: Office, people: list[ZohoUser], standin: Standin
) -> None:
    standin.faults.add(status=503, path="users")
    page = admin.post(PAGE, {"user": [people[1].id, people[2].id]})
    assert "Nobody was added." in text_of(page)
    assert "Try again with the 2 chosen" in text_of(page)
    assert page.content.decode().count('type="hidden" name="user"') == 2
    assert not LeadOwner.objects.exists()
    assert not AuditEntry.objects.filter(action="lead owners added").exists()


def test_without_a_connection_nobody_is_added(login: Login, office: Office) -> None:
    assert "There is no connection" in text_of(login("Administrator").post(PAGE, {"user": "1"}))
    assert not LeadOwner.objects.exists()


# --- who may, and where it is found -------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["Viewer", "Operator", "Supervisor"])
def test_only_those_who_configure_add_owners(
    zoho: Connection, login: Login, office: Office, people: list[ZohoUser], role: str
) -> None:
    client = login(role)
    assert client.get(PAGE).status_code == 403
    assert client.post(PAGE, {"user": people[1].id}).status_code == 403
    assert not LeadOwner.objects.exists()


def test_nobody_adds_to_an_office_of_others_or_to_none(admin: Client, office: Office, people: list[ZohoUser]) -> None:
    make_office("berlin")
    office.people.add(User.objects.get(username="administrator"))
    for url in (address(office="berlin"), address(office="nowhere"), reverse("lead-owners-add")):
        assert admin.post(url, {"user": people[1].id}).status_code == 404
    assert admin.get(address(office="berlin")).status_code == 404
    assert not LeadOwner.objects.exists()


def test_the_page_of_the_owners_leads_there_for_those_who_may(admin: Client, login: Login, office: Office) -> None:
    owners = reverse("lead-owners")
    page = admin.get(owners)
    assert page.content.decode().count(f'href="{PAGE}"') == 2  # the button, and the empty pool
    assert "An administrator adds owners." not in text_of(page)
    words = text_of(login("Supervisor").get(owners))
    assert "Add from Zoho" not in words
    assert "An administrator adds owners." in words


def test_the_setup_list_leads_to_the_office_without_owners(
    login: Login, person: Callable[..., User], office: Office
) -> None:
    empty = make_office("berlin", order=2)
    owner = make_owner(office, "Ana", is_active=False)
    user, viewer = person("Administrator"), person("Viewer")

    def link(of: User) -> str:
        return next(step.url for step in setup_steps.checklist(of) if step.label == "Lead owners")

    assert link(user) == address(office="berlin")
    assert link(viewer) == ""
    owner.office.people.add(user)
    assert link(user) == reverse("lead-owners")
    make_owner(empty, "Ben")
    assert link(user) == reverse("lead-owners")
