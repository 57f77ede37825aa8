"""Comparing with the vendors: what they tell is taken over, what people chose here stays, and doubts change nothing."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.utils import timezone

from crm import metadata
from crm.zoho.schema import User
from portal.models import AuditEntry, Connection, Cursor
from portal.remote import errors
from portal.standin import Standin
from telephony import directory
from telephony.management.commands import sync_directory
from telephony.models import Call, Extension, LeadOwner, Office
from telephony.ringcentral.records import ExtensionRow, QueueRow

pytestmark = pytest.mark.django_db


class Account:
    """A RingCentral account in memory, with the methods of RingCentralClient that a comparison uses."""

    def __init__(self, *rows: ExtensionRow) -> None:
        self.rows = list(rows)
        self.extra_queues: list[QueueRow] = []
        self.members: dict[str, list[str]] = {}
        self.error: errors.RemoteError | None = None
        self.members_error: errors.RemoteError | None = None
        self.reads = 0

    def extensions(self) -> list[ExtensionRow]:
        self.reads += 1
        if self.error is not None:
            raise self.error
        return list(self.rows)

    def queues(self) -> list[QueueRow]:
        return [
            QueueRow(row.id, row.number, row.name) for row in self.rows if row.kind == "Department"
        ] + self.extra_queues

    def queue_members(self, queue_id: str) -> list[str]:
        if self.members_error is not None:
            raise self.members_error
        return self.members.get(queue_id, [])


class Organisation:
    """The users of a Zoho organisation in memory."""

    def __init__(self, *users: User) -> None:
        self.rows = list(users)

    def users(self) -> list[User]:
        return list(self.rows)


def told(rc_id: str, number: str, name: str, kind: str = "User", **values: Any) -> ExtensionRow:
    defaults = {"status": "Enabled", "email": f"{name.lower()}@example.com", "site": ""}
    return ExtensionRow(id=rc_id, number=number, name=name, kind=kind, **defaults | values)


def user(zoho_id: str, name: str, role: str = "Sales", *, is_active: bool = True) -> User:
    return User(id=zoho_id, name=name, email=f"{name.lower()}@example.com", role=role, is_active=is_active)


def refusal(kind: type[errors.RemoteError] = errors.Rejected) -> errors.RemoteError:
    return kind("Not allowed.", service="RingCentral", endpoint="extensions.list", status=403)


@pytest.fixture
def phones() -> Connection:
    return Connection.objects.create(vendor="ringcentral", name="Phones", client_id="x", is_default=True)


@pytest.fixture
def office() -> Office:
    return Office.objects.create(slug="berlin", name="Berlin")


@pytest.fixture
def sync(phones: Connection) -> Callable[[Account], directory.SyncReport]:
    return lambda account: directory.sync_extensions(account, phones)  # type: ignore[arg-type]


def row_of(rc_id: str) -> Extension:
    return Extension.objects.get(rc_id=rc_id)


# --- extensions ---------------------------------------------------------------------------------------------------------


def test_people_queues_and_members_are_taken_over_into_the_only_office(
    sync: Any, phones: Connection, office: Office
) -> None:
    account = Account(told("71", "101", "Anna"), told("75", "500", "Support", "Department", email="", site="Mitte"))
    account.members = {"75": ["72", "71"]}
    report = sync(account)
    assert (report.listed, report.counts) == (2, {"new": 2})
    anna, queue = row_of("71"), row_of("75")
    assert (anna.connection, anna.name, anna.number, anna.email) == (phones, "Anna", "101", "anna@example.com")
    assert (anna.kind, anna.office, anna.process_calls, anna.members) == ("User", office, True, [])
    assert (queue.kind, queue.site, queue.members, queue.is_machine) == ("Department", "Mitte", ["71", "72"], True)
    assert sync(account).counts == {}


def test_a_queue_that_only_the_list_of_queues_has_is_taken_over(sync: Any, office: Office) -> None:
    account = Account(told("71", "101", "Anna"))
    account.extra_queues = [QueueRow("75", "500", "Support")]
    sync(account)
    assert row_of("75").kind == Extension.Kind.QUEUE


@pytest.mark.parametrize(
    ("word", "kind"),
    [
        ("VirtualUser", "User"), ("FlexibleUser", "User"), ("IvrMenu", "IvrMenu"), ("RoomConnector", "Room"),
        ("Announcement", "Announcement"), ("Site", "Other"), ("Holodeck", "Other"),
    ],
)  # fmt: skip
def test_the_kinds_of_ringcentral_have_ours_and_its_word_is_kept(
    sync: Any, office: Office, word: str, kind: str
) -> None:
    sync(Account(told("71", "101", "X", word)))
    assert (row_of("71").kind, row_of("71").kind_told) == (kind, word)


def test_local_choices_survive_a_new_name_and_number(sync: Any, office: Office) -> None:
    other = Office.objects.create(slug="rome", name="Rome")
    account = Account(told("71", "101", "Anna"))
    sync(account)
    Extension.objects.update(process_calls=False, office=other, department="Sales")
    account.rows = [told("71", "102", "Anna B", status="Disabled")]
    report = sync(account)
    anna = row_of("71")
    assert (anna.process_calls, anna.office, anna.department) == (False, other, "Sales")
    assert (anna.name, anna.number, anna.status) == ("Anna B", "102", "Disabled")
    assert report.names == {
        "renamed": ["Anna → Anna B"],
        "renumbered": ["Anna B: 101 → 102"],
        "otherwise changed": ["Anna B (102)"],
    }


def test_two_extensions_that_swap_their_numbers_keep_their_rows(sync: Any, office: Office) -> None:
    account = Account(told("71", "101", "Anna"), told("72", "102", "Bert"))
    sync(account)
    keys = dict(Extension.objects.values_list("rc_id", "pk"))
    account.rows = [told("71", "102", "Anna"), told("72", "101", "Bert")]
    sync(account)
    assert dict(Extension.objects.values_list("rc_id", "pk")) == keys
    assert row_of("71").number == "102"


def test_who_is_not_listed_any_more_is_gone_and_may_come_back(sync: Any, office: Office) -> None:
    account = Account(told("71", "101", "Anna"), told("72", "102", "Bert"))
    sync(account)
    bert = account.rows.pop()
    assert sync(account).names == {"gone": ["Bert (102)"]}
    assert row_of("72").is_gone
    assert sync(account).counts == {}
    account.rows.append(bert)
    assert sync(account).names == {"back": ["Bert (102)"]}
    assert not row_of("72").is_gone


def test_extensions_of_another_account_are_left_alone(sync: Any, office: Office) -> None:
    other = Connection.objects.create(vendor="ringcentral", name="Other", client_id="y")
    Extension.objects.create(connection=other, rc_id="71", number="101", name="Namesake")
    sync(Account(told("71", "101", "Anna")))
    assert {row.name: row.is_gone for row in Extension.objects.all()} == {"Namesake": False, "Anna": False}


@pytest.mark.parametrize("rc_id", ["71", "101"], ids=["id", "number as id"])
def test_an_imported_row_is_adopted_with_its_choices(sync: Any, phones: Connection, office: Office, rc_id: str) -> None:
    other = Office.objects.create(slug="rome", name="Rome")
    imported = Extension.objects.create(rc_id=rc_id, name="A.", office=other, department="Sales", process_calls=False)
    report = sync(Account(told("71", "101", "Anna")))
    adopted = Extension.objects.get()
    assert (adopted.pk, adopted.rc_id, adopted.connection, adopted.name) == (imported.pk, "71", phones, "Anna")
    assert (adopted.office, adopted.department, adopted.process_calls) == (other, "Sales", False)
    assert report.names == {"adopted from the import": ["Anna (101)"]}


def test_an_imported_row_whose_id_is_an_id_is_not_taken_for_a_number(sync: Any, office: Office) -> None:
    Extension.objects.create(rc_id="101", name="By id")
    sync(Account(told("71", "101", "Anna"), told("101", "9", "Bert")))
    assert {row.rc_id: row.name for row in Extension.objects.all()} == {"71": "Anna", "101": "Bert"}


def test_an_import_that_came_after_the_first_comparison_is_merged(
    sync: Any, office: Office, phones: Connection
) -> None:
    account = Account(told("71", "101", "Anna"))
    sync(account)
    imported = Extension.objects.create(rc_id="101", department="Sales", process_calls=False)
    owner = LeadOwner.objects.create(office=office, zoho_id="1", extension=imported)
    call = Call.objects.create(
        connection=phones, key="s", direction="inbound", outcome="missed", outcome_reason="x", digest="x",
        started_at=timezone.now(), extension=imported,
    )  # fmt: skip
    report = sync(account)
    (row,) = Extension.objects.all()
    owner.refresh_from_db()
    call.refresh_from_db()
    assert (row.rc_id, row.department, row.process_calls, row.office) == ("71", "Sales", False, office)
    assert owner.extension == call.extension == row
    assert report.names == {"merged with an imported one": ["Anna (101)"]}


def test_of_several_offices_the_one_that_is_called_like_the_site_is_taken(sync: Any, office: Office) -> None:
    rome = Office.objects.create(slug="rome-office", name="Roma")
    Office.objects.create(slug="closed", name="Closed", is_active=False)
    report = sync(
        Account(
            told("71", "101", "Anna", site="BERLIN"), told("72", "102", "Bert", site="rome-office"),
            told("73", "103", "Carla", site="Closed"), told("74", "104", "Dora"),
        )
    )  # fmt: skip
    assert [row_of(rc_id).office for rc_id in ("71", "72", "73", "74")] == [office, rome, None, None]
    assert report.names["without an office"] == ["Carla (103)", "Dora (104)"]


def test_an_account_without_extensions_is_not_believed(sync: Any, office: Office) -> None:
    sync(Account(told("71", "101", "Anna")))
    report = sync(Account())
    assert "no extension at all" in report.problem
    assert not row_of("71").is_gone


def test_an_error_of_ringcentral_changes_nothing(sync: Any, office: Office) -> None:
    account = Account(told("75", "500", "Support", "Department"))
    account.members_error = errors.Unavailable("Down.", service="RingCentral", endpoint="queues.members")
    with pytest.raises(errors.Unavailable):
        sync(account)
    assert not Extension.objects.exists()


def test_members_that_are_not_told_are_kept_and_said(sync: Any, office: Office) -> None:
    account = Account(told("75", "500", "Support", "Department"))
    account.members = {"75": ["71"]}
    sync(account)
    account.members_error = refusal()
    assert sync(account).names == {"members not told": ["Support"]}
    assert row_of("75").members == ["71"]


def test_long_words_of_ringcentral_are_cut(sync: Any, office: Office) -> None:
    sync(Account(told("71", "1" * 30, "N" * 200, "K" * 60, site="S" * 200)))
    row = row_of("71")
    assert [len(each) for each in (row.number, row.name, row.kind_told, row.site)] == [20, 120, 40, 120]
    assert sync(Account(told("71", "1" * 30, "N" * 200, "K" * 60, site="S" * 200))).counts == {}


# --- unknown ids in the call log -----------------------------------------------------------------------------------------


@pytest.fixture
def refresh(phones: Connection) -> Callable[..., directory.SyncReport | None]:
    return lambda account, *ids: directory.refresh_when_unknown(account, phones, ids)


def test_unknown_ids_lead_to_a_comparison_once_an_hour(refresh: Any, office: Office) -> None:
    account = Account(told("71", "101", "Anna"))
    assert refresh(account, "71").counts == {"new": 1}
    assert refresh(account, "99") is None
    assert account.reads == 1
    an_hour_ago = (timezone.now() - dt.timedelta(hours=1)).isoformat()
    Cursor.objects.update(value={"asked_at": an_hour_ago})
    assert refresh(account, "99") is not None
    assert account.reads == 2


def test_known_ids_need_no_comparison(refresh: Any, sync: Any, office: Office) -> None:
    account = Account(told("71", "101", "Anna"))
    sync(account)
    assert refresh(account) is refresh(account, "71") is None
    assert account.reads == 1


@pytest.mark.parametrize("kind", [errors.Rejected, errors.MissingScope])
def test_a_connection_that_may_not_list_extensions_goes_on_without(
    refresh: Any, office: Office, kind: type[errors.RemoteError]
) -> None:
    account = Account()
    account.error = refusal(kind)
    assert refresh(account, "71") is None
    assert refresh(account, "71") is None
    assert account.reads == 1


# --- lead owners --------------------------------------------------------------------------------------------------------


@pytest.fixture
def compare(phones: Connection) -> Callable[..., directory.SyncReport]:
    return lambda *users: directory.sync_owners(Organisation(*users), phones)  # type: ignore[arg-type]


def owner_of(zoho_id: str) -> LeadOwner:
    return LeadOwner.objects.get(zoho_id=zoho_id)


def test_names_roles_and_states_follow_zoho_and_local_choices_stay(compare: Any, office: Office) -> None:
    LeadOwner.objects.create(office=office, zoho_id="1", name="Old", is_active=False, weight=Decimal("2.5"))
    LeadOwner.objects.create(office=office, zoho_id="2", name="Bert", email="bert@example.com", role="Sales")
    LeadOwner.objects.create(office=office, zoho_id="3", name="Carla", email="carla@example.com", role="Sales")
    report = compare(user("1", "Anna"), user("2", "Bert", is_active=False), user("9", "Other"))
    anna, bert, carla = (owner_of(each) for each in "123")
    assert (anna.name, anna.email, anna.role, anna.zoho_state) == ("Anna", "anna@example.com", "Sales", "active")
    assert (anna.is_active, anna.weight) == (False, Decimal("2.5"))
    assert (bert.zoho_state, bert.is_active) == ("inactive", True)
    assert (carla.zoho_state, carla.name, carla.email) == ("missing", "Carla", "carla@example.com")
    assert report.names == {
        "renamed": ["Old → Anna"],
        "e-mail or role changed": ["Old in Berlin"],
        "not active in Zoho": ["Bert in Berlin"],
        "not found in Zoho": ["Carla in Berlin"],
    }
    assert all(each.synced_at for each in (anna, bert, carla))
    again = compare(user("1", "Anna"), user("2", "Bert"), user("3", "Carla"))
    assert again.names == {"active in Zoho again": ["Bert in Berlin", "Carla in Berlin"]}


def test_an_organisation_that_knows_none_of_the_owners_is_not_believed(compare: Any, office: Office) -> None:
    LeadOwner.objects.create(office=office, zoho_id="1", name="Anna")
    for users in ([], [user("8", "Somebody")]):
        report = compare(*users)
        assert "rather another organisation" in report.problem
        assert owner_of("1").zoho_state == ""


def test_owners_are_chosen_among_active_users_by_role(office: Office) -> None:
    LeadOwner.objects.create(office=office, zoho_id="1", name="Anna", weight=Decimal(3))
    people = [user("1", "Anna"), user("2", "carla"), user("3", "Bert"), user("4", "Gone", is_active=False),
              user("5", "Dora", "CEO")]  # fmt: skip
    organisation: Any = Organisation(*people)
    offer = directory.offer_users(organisation, office)
    assert ([each.name for each in offer.users], offer.roles) == (["Bert", "carla", "Dora"], ["CEO", "Sales"])
    sales = directory.offer_users(organisation, office, "Sales")
    assert ([each.name for each in sales.users], sales.roles) == (["Bert", "carla"], ["CEO", "Sales"])
    made = directory.add_owners(office, [people[0], *sales.users])
    assert [each.name for each in made] == ["Bert", "carla"]
    assert (owner_of("3").zoho_state, owner_of("3").role, owner_of("3").weight) == ("active", "Sales", Decimal(1))
    assert owner_of("1").weight == 3


def test_users_come_from_zoho_with_all_pages(zoho: Connection, standin: Standin, office: Office) -> None:
    with metadata.client_for(zoho) as client:
        users = client.users()
        directory.add_owners(office, users)
        LeadOwner.objects.create(office=office, zoho_id="1", name="Nobody there")
        report = directory.sync_owners(client, zoho)
    assert report.listed == len(users) == LeadOwner.objects.exclude(zoho_state="missing").count()
    assert report.names == {"not found in Zoho": ["Nobody there in Berlin"]}
    assert {each.is_active for each in users} == {owner_of(each.id).zoho_state == "active" for each in users}


# --- the command ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch) -> Callable[..., tuple[int, str, str]]:
    """Runs sync_directory against these accounts: its exit status, its output and its complaints."""

    def run(account: Account, organisation: Organisation, *options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(
            sync_directory,
            "_extensions",
            lambda connection: directory.sync_extensions(account, connection),  # type: ignore[arg-type]
        )
        monkeypatch.setattr(
            sync_directory,
            "_owners",
            lambda connection: directory.sync_owners(organisation, connection),  # type: ignore[arg-type]
        )
        out, complaints = io.StringIO(), io.StringIO()
        try:
            call_command("sync_directory", *options, stdout=out, stderr=complaints)
        except SystemExit as end:
            return int(str(end.code)), out.getvalue(), complaints.getvalue()
        return 0, out.getvalue(), complaints.getvalue()

    return run


def test_the_command_compares_both_sides_and_says_what_changed(
    command: Any, phones: Connection, zoho: Connection, office: Office
) -> None:
    LeadOwner.objects.create(office=office, zoho_id="1", name="Anna")
    status, out, _ = command(Account(told("71", "101", "Anna")), Organisation(user("1", "Anna B")), "--json")
    assert status == 0
    assert "Extensions: 1 listed. New 1." in out
    assert "renamed: Anna → Anna B" in out
    told_last = json.loads(out.splitlines()[-1])
    assert told_last["state"] == "finished"
    assert told_last["reports"][0] == {
        "subject": "Extensions", "listed": 1, "names": {"new": ["Anna (101)"]}, "problem": "",
    }  # fmt: skip
    assert AuditEntry.objects.filter(action="directory compared", actor="command").count() == 2


def test_one_side_that_fails_does_not_hold_up_the_other(
    command: Any, phones: Connection, zoho: Connection, office: Office
) -> None:
    LeadOwner.objects.create(office=office, zoho_id="1", name="Anna")
    account = Account()
    account.error = refusal(errors.MissingScope)
    status, out, complaints = command(account, Organisation(user("1", "Anna")))
    assert status == 1
    assert "Lead owners: 1 listed." in out
    assert "RingCentral" in complaints
    assert owner_of("1").zoho_state == "active"


def test_an_answer_that_is_not_believed_is_no_success(
    command: Any, phones: Connection, zoho: Connection, office: Office
) -> None:
    status, _, complaints = command(Account(), Organisation())
    assert status == 1
    assert "no extension at all" in complaints


def test_without_connections_the_command_says_so(command: Any) -> None:
    status, out, complaints = command(Account(), Organisation(), "--json")
    assert status == 2
    assert "There is no connection to RingCentral." in complaints
    assert json.loads(out)["state"] == "not_configured"


def test_the_command_reads_the_vendors_own_lists(
    ringcentral: Connection, zoho: Connection, standin: Standin, office: Office
) -> None:
    out = io.StringIO()
    LeadOwner.objects.create(office=office, zoho_id=next(iter(standin.zoho.org.users)), name="Old name")
    call_command("sync_directory", stdout=out)
    queues = Extension.objects.filter(connection=ringcentral, kind=Extension.Kind.QUEUE)
    people = Extension.objects.filter(connection=ringcentral, kind=Extension.Kind.USER)
    assert queues
    assert people
    ids = set(Extension.objects.values_list("rc_id", flat=True))
    assert all(row.members and set(row.members) <= ids for row in queues)
    assert LeadOwner.objects.get().zoho_state == "active"
    assert f"Extensions: {len(ids):,} listed. New {len(ids):,}" in out.getvalue()
