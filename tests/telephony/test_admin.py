"""The admin of the phone side: what is set up can be changed and is recorded, the rest is for looking, no secret shows."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from portal.models import AuditEntry, Connection
from telephony import models
from telephony.models import CallSettings, DepartmentPool, Extension, LeadOwner, MailSettings, Office

pytestmark = pytest.mark.django_db

EDITABLE = [
    models.AssignmentRules,
    models.CallRule,
    models.DepartmentPool,
    models.ExcludedNumber,
    models.Extension,
    models.FieldMapping,
    models.LeadOwner,
    models.Office,
    models.OverwritableStatus,
    models.Recipient,
    models.StatusName,
]
LOOKING_ONLY = [
    models.AssignmentDecision,
    models.Call,
    models.Caller,
    models.CallLogRow,
    models.CallSession,
    models.CallStep,
    models.MissedCard,
    models.Rotation,
    models.Subscription,
]
LISTS = [*EDITABLE, *LOOKING_ONLY]


@pytest.fixture
def superuser() -> Client:
    client = Client()
    client.force_login(
        User.objects.create_superuser("root", password="correct horse battery"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return client


@pytest.fixture
def administrator(login: Callable[..., Client]) -> Client:
    return login("Administrator", is_staff=True)


def fill(n: int) -> dict[str, Any]:
    """A row of each table; the names hold the number."""
    now = timezone.now()
    phones = Connection.objects.create(
        vendor="ringcentral", name=f"Phones {n}", client_id="x", client_secret="secret-one", jwt="secret-two"
    )
    office = Office.objects.create(slug=f"office-{n}", name=f"Office {n}")
    extension = Extension.objects.create(
        connection=phones, rc_id=f"7{n}", number=f"{n}", name=f"Phone {n}", office=office
    )
    owner = LeadOwner.objects.create(office=office, zoho_id=f"10{n}", name=f"Owner {n}", extension=extension)
    rules = models.AssignmentRules.objects.create(office=office)
    pool = DepartmentPool.objects.create(rules=rules, department="Sales")
    pool.owners.add(owner)
    call = models.Call.objects.create(
        connection=phones, office=office, key=f"s-{n}", direction="inbound", outcome="missed", outcome_reason="x",
        digest="x", started_at=now, extension=extension, answered_by=extension,
    )  # fmt: skip
    return {
        "office": office,
        "extension": extension,
        "leadowner": owner,
        "assignmentrules": rules,
        "departmentpool": pool,
        "callrule": models.CallRule.objects.create(office=office),
        "excludednumber": models.ExcludedNumber.objects.create(office=office, number=f"+1510555{n:04}"),
        "fieldmapping": models.FieldMapping.objects.create(
            office=office, call_type="missed", field="Last_Name", template="Unknown"
        ),
        "overwritablestatus": models.OverwritableStatus.objects.create(office=office, value="New"),
        "recipient": models.Recipient.objects.create(office=office, email="a@example.com"),
        "statusname": models.StatusName.objects.create(office=office, key="new", value="New"),
        "call": call,
        "callstep": models.CallStep.objects.create(call=call, kind="note"),
        "assignmentdecision": models.AssignmentDecision.objects.create(
            call=call, office=office, owner_id="1", how="rotation", reason="x"
        ),
        "rotation": models.Rotation.objects.create(office=office),
        "caller": models.Caller.objects.create(connection=phones, number=f"+1510555{n:04}", creating=call),
        "calllogrow": models.CallLogRow.objects.create(
            connection=phones, row_id=f"r-{n}", session_key=f"s-{n}", payload={}, digest="x"
        ),
        "callsession": models.CallSession.objects.create(connection=phones, key=f"s-{n}", call=call),
        "missedcard": models.MissedCard.objects.create(
            connection=phones, first_call=call, opened_at=now, last_at=now, number=f"+1510555{n:04}"
        ),
        "subscription": models.Subscription.objects.create(
            connection=phones, key=f"k-{n}", verification="secret-three"
        ),
    }


def address(model: Any, page: str, *args: Any) -> str:
    return reverse(f"admin:telephony_{model._meta.model_name}_{page}", args=args)


def test_every_table_of_the_phone_side_is_in_the_admin() -> None:
    tables = {getattr(models, name) for name in models.__all__}
    assert tables == {*LISTS, CallSettings, MailSettings}
    assert all(admin.site.is_registered(model) for model in tables)


@pytest.mark.parametrize("model", EDITABLE, ids=lambda model: model.__name__)
def test_an_administrator_opens_every_table_that_is_set_up_by_people(administrator: Client, model: Any) -> None:
    row = fill(1)[model._meta.model_name]
    assert administrator.get(address(model, "changelist"), {"q": "x"}).status_code == 200
    assert administrator.get(address(model, "add")).status_code == 200
    page = administrator.get(address(model, "change", row.pk))
    assert 'name="_save"' in page.content.decode()


@pytest.mark.parametrize("model", LOOKING_ONLY, ids=lambda model: model.__name__)
def test_what_the_portal_wrote_can_be_looked_at_and_not_changed(superuser: Client, model: Any) -> None:
    row = fill(1)[model._meta.model_name]
    assert (
        superuser.get(address(model, "changelist"), {"q": "x"} if model is not models.Rotation else {}).status_code
        == 200
    )
    assert superuser.get(address(model, "add")).status_code == 403
    page = superuser.get(address(model, "change", row.pk))
    assert page.status_code == 200
    assert 'name="_save"' not in page.content.decode()
    assert superuser.post(address(model, "delete", row.pk)).status_code == 403


@pytest.mark.parametrize("model", LISTS, ids=lambda model: model.__name__)
def test_a_list_needs_no_more_queries_for_more_rows(superuser: Client, model: Any) -> None:
    def queries() -> int:
        with CaptureQueriesContext(database) as captured:
            assert superuser.get(address(model, "changelist")).status_code == 200
        return len(captured)

    for n in range(2):
        fill(n)
    queries()
    few = queries()
    for n in range(2, 8):
        fill(n)
    assert queries() == few


def test_no_page_shows_or_even_opens_a_secret(superuser: Client, settings: Any) -> None:
    rows = fill(1)
    MailSettings.objects.create(password="secret-four", server="mail.example.com")
    pages = [address(model, "changelist") for model in LISTS]
    pages += [address(model, "change", rows[model._meta.model_name].pk) for model in LISTS]
    pages.append(address(MailSettings, "changelist"))
    settings.FIELD_ENCRYPTION_KEYS = ["uYtxAHxXqkNoGRlOOd-Ow2bXJJwHQWOOQxJ8Bl7cJgY="]
    for page in pages:
        answer = superuser.get(page, follow=True)
        assert answer.status_code == 200
        assert "secret-" not in answer.content.decode()


def test_a_viewer_has_no_business_in_the_admin(login: Callable[..., Client]) -> None:
    viewer = login("Viewer", is_staff=True)
    for model in (*LISTS, CallSettings, MailSettings):
        assert viewer.get(address(model, "changelist")).status_code == 403


# --- settings with one row ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", [CallSettings, MailSettings], ids=lambda model: model.__name__)
def test_settings_have_one_row_that_cannot_be_added_or_deleted(superuser: Client, model: Any) -> None:
    for _ in range(2):
        answer = superuser.get(address(model, "changelist"), follow=True)
        assert 'name="_save"' in answer.content.decode()
    row = model.objects.get()
    assert superuser.get(address(model, "add")).status_code == 403
    assert superuser.post(address(model, "delete", row.pk), {"post": "yes"}).status_code == 403
    assert model.objects.count() == 1


def mail_form(**values: Any) -> dict[str, Any]:
    return {"server": "mail.example.com", "port": "587", "max_calls_in_detail": "50", "error_threshold": "3"} | values


def test_the_mail_password_goes_in_stays_and_is_forgotten_and_is_never_recorded(administrator: Client) -> None:
    page = address(MailSettings, "change", MailSettings.load().pk)
    assert administrator.post(page, mail_form(new_password=" pass word ")).status_code == 302
    assert MailSettings.load().password == " pass word "
    assert administrator.post(page, mail_form(port="25")).status_code == 302
    saved = MailSettings.load()
    assert (saved.password, saved.port) == (" pass word ", 25)
    assert "pass word" not in administrator.get(page).content.decode()
    assert administrator.post(page, mail_form(forget_password="on")).status_code == 302
    assert MailSettings.load().password == ""
    assert not AuditEntry.objects.filter(details__icontains="pass word").exists()


def test_wrong_call_settings_are_refused_with_words(administrator: Client) -> None:
    row = CallSettings.load()
    form = {
        field.name: str(getattr(row, field.name))
        for field in CallSettings._meta.fields
        if field.editable and field.name != "id" and getattr(row, field.name) is not False
    }
    page = address(CallSettings, "change", row.pk)
    answer = administrator.post(page, form | {"default_zone": "Berlin", "max_attachment_mb": "500"})
    assert answer.status_code == 200
    assert "is no time zone" in answer.content.decode()
    assert administrator.post(page, form | {"default_zone": "Europe/Berlin"}).status_code == 302
    assert CallSettings.load().default_zone == "Europe/Berlin"


# --- changing ----------------------------------------------------------------------------------------------------------


def office_form(**values: Any) -> dict[str, Any]:
    empty = {
        f"{prefix}-{name}": "0"
        for prefix in ("assignment_rules", "lead_owners", "recipients")
        for name in ("TOTAL_FORMS", "INITIAL_FORMS")
    }
    office = {
        "name": "Berlin",
        "slug": "berlin",
        "order": "1",
        "is_active": "on",
        "zone": "Europe/Berlin",
        "region": "DE",
    }
    return empty | office | values


def test_an_office_is_made_with_its_owners_and_each_of_them_is_recorded(administrator: Client) -> None:
    owner = {"zoho_id": "1", "name": "Anna", "is_active": "on", "weight": "1.5", "position": "1"}
    form = office_form(main_number="030 901820") | {
        "lead_owners-TOTAL_FORMS": "1", **{f"lead_owners-0-{name}": value for name, value in owner.items()},
    }  # fmt: skip
    assert administrator.post(address(Office, "add"), form).status_code == 302
    office = Office.objects.get()
    assert office.main_number == "+4930901820"
    assert office.lead_owners.get().weight == Decimal("1.5")
    assert set(AuditEntry.objects.values_list("action", "target")) >= {
        ("office added", "Berlin"),
        ("lead owner added", "Anna"),
    }


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"zone": "Berlin"}, "is no time zone"),
        ({"region": "XX"}, "is no country code"),
        ({"main_number": "12"}, "is no complete number"),
    ],
)
def test_a_wrong_office_is_refused_with_words(administrator: Client, values: dict[str, str], words: str) -> None:
    assert words in administrator.post(address(Office, "add"), office_form(**values)).content.decode()
    assert not Office.objects.exists()


def test_a_weight_of_zero_is_refused(administrator: Client) -> None:
    owner = fill(1)["leadowner"]
    form = {"office": owner.office_id, "zoho_id": "1", "weight": "0", "position": "1"}
    answer = administrator.post(address(LeadOwner, "change", owner.pk), form)
    assert "A weight is greater than 0" in answer.content.decode()


def test_a_pool_takes_owners_of_its_own_office_only(administrator: Client) -> None:
    here, there = fill(1), fill(2)
    form = {"rules": here["assignmentrules"].pk, "department": "Sales", "owners": [there["leadowner"].pk]}
    page = address(DepartmentPool, "change", here["departmentpool"].pk)
    assert "Owner 2: no owner of Office 1." in administrator.post(page, form).content.decode()
    assert administrator.post(page, form | {"owners": [here["leadowner"].pk]}).status_code == 302


def test_the_rules_of_an_office_offer_its_own_owners_for_the_pools(administrator: Client) -> None:
    here = fill(1)
    fill(2)
    page = administrator.get(address(models.AssignmentRules, "change", here["assignmentrules"].pk)).content.decode()
    assert "Owner 1" in page
    assert "Owner 2" not in page


def test_a_removed_row_is_recorded(administrator: Client) -> None:
    row = fill(1)["excludednumber"]
    assert administrator.post(address(models.ExcludedNumber, "delete", row.pk), {"post": "yes"}).status_code == 302
    assert AuditEntry.objects.filter(action="excluded number removed").exists()


# --- actions -----------------------------------------------------------------------------------------------------------


def run_action(client: Client, model: Any, action: str, *rows: Any) -> None:
    form = {"action": action, "_selected_action": [row.pk for row in rows]}
    assert client.post(address(model, "changelist"), form).status_code == 302


def test_extensions_are_switched_off_and_on_in_one_go(administrator: Client) -> None:
    rows = [fill(n)["extension"] for n in range(3)]
    run_action(administrator, Extension, "switch_off", *rows[:2])
    assert list(Extension.objects.order_by("pk").values_list("process_calls", flat=True)) == [False, False, True]
    run_action(administrator, Extension, "switch_on", *rows)
    assert not Extension.objects.filter(process_calls=False).exists()
    recorded = AuditEntry.objects.filter(action__startswith="extension switched")
    assert [each.action for each in recorded.order_by("pk")] == [
        *["extension switched off"] * 2,
        *["extension switched on"] * 2,
    ]


def test_owners_are_away_until_midnight_of_their_own_office(administrator: Client) -> None:
    owners = [fill(n)["leadowner"] for n in range(2)]
    Office.objects.filter(pk=owners[1].office_id).update(zone="Asia/Tokyo")
    run_action(administrator, LeadOwner, "away_until_tomorrow", *owners)
    for owner in LeadOwner.objects.select_related("office"):
        assert owner.away_until is not None
        local = owner.away_until.astimezone(owner.office.tz)
        assert local.time() == dt.time()
        assert dt.timedelta(0) < owner.away_until - timezone.now() <= dt.timedelta(days=1)
    run_action(administrator, LeadOwner, "switch_off", *owners)
    assert not LeadOwner.objects.filter(is_active=True).exists()
    run_action(administrator, LeadOwner, "switch_on", *owners)
    assert not LeadOwner.objects.filter(is_active=False).exists()


def test_who_may_only_look_cannot_run_an_action(person: Callable[..., User]) -> None:
    looker = person(name="looker", is_staff=True)
    looker.user_permissions.add(Permission.objects.get(codename="view_extension"))
    client = Client()
    client.force_login(looker, backend="django.contrib.auth.backends.ModelBackend")
    row = fill(1)["extension"]
    client.post(address(Extension, "changelist"), {"action": "switch_off", "_selected_action": [row.pk]})
    row.refresh_from_db()
    assert row.process_calls
