"""Every address of the portal: who may open it, by which method, and that looking changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.apps import apps
from django.conf import settings
from django.contrib.auth.models import AnonymousUser, Permission, User
from django.db import transaction
from django.http import HttpResponseBase
from django.test import Client, RequestFactory
from django.urls import NoReverseMatch, get_resolver, reverse
from django.utils import timezone

from portal.access import ROLES, client_address, may_operate
from portal.models import Connection, Run, RunItem, Schedule
from portal.standin import Standin
from tests.telephony.made_calls import make_call, make_office, make_owner, make_step

pytestmark = pytest.mark.django_db

LOGGED_IN = ()
SEE, OPERATE, MANAGE = ("portal.view_run",), ("portal.view_run", "portal.operate_run"), ("portal.manage_connections",)
LOOK, UPDATE = ("crm.view_records",), ("crm.update_records",)
EXPORT = ("crm.export_records",)
CALLS = ("telephony.view_calls",)
PROCESS, SET_UP = (*CALLS, "telephony.process_calls"), (*CALLS, "telephony.configure_calls")
REPEAT = (*UPDATE, "portal.operate_run")

# Name of the address → method that it is for, and the permissions that it asks for.
ADDRESSES: dict[str, tuple[str, tuple[str, ...]]] = {
    "home": ("GET", LOGGED_IN),
    "help": ("GET", LOGGED_IN),
    "logout": ("POST", LOGGED_IN),
    "password_change": ("GET", LOGGED_IN),
    "password_change_done": ("GET", LOGGED_IN),
    "runs": ("GET", SEE),
    "run": ("GET", SEE),
    "run-progress": ("GET", SEE),
    "run-items": ("GET", SEE),
    "run-items-csv": ("GET", (*SEE, *EXPORT)),
    "run-stop": ("POST", OPERATE),
    "run-resume": ("POST", OPERATE),
    "audit": ("GET", ("portal.view_auditentry",)),
    "schedules": ("GET", ("portal.view_schedule",)),
    "schedule-toggle": ("POST", ("portal.change_schedule",)),
    "schedule-remove": ("POST", ("portal.delete_schedule",)),
    "connections": ("GET", SEE),
    "connection": ("GET", SEE),
    "connection-use": ("POST", SEE),
    # A shared connection; of a temporary one its own person may ask.
    "connection-check": ("POST", ("portal.operate_run", *MANAGE)),
    "connection-temporary": ("GET", ("portal.operate_run",)),
    "connection-temporary-forget": ("POST", ("portal.operate_run",)),
    "connection-new": ("GET", MANAGE),
    "connection-callback": ("GET", MANAGE),
    "connection-edit": ("GET", MANAGE),
    "connection-authorise": ("POST", MANAGE),
    "connection-code": ("POST", MANAGE),
    "connection-default": ("POST", MANAGE),
    "connection-remove": ("POST", MANAGE),
    "bulk-update": ("GET", UPDATE),
    "bulk-update-views": ("GET", UPDATE),
    "bulk-update-schedule": ("GET", ("portal.add_schedule", *UPDATE)),
    "bulk-update-plan": ("GET", UPDATE),
    "bulk-update-change": ("GET", UPDATE),
    "bulk-update-values": ("GET", UPDATE),
    "bulk-update-leave-out": ("POST", UPDATE),
    "bulk-update-override": ("POST", UPDATE),
    "bulk-update-confirm": ("GET", UPDATE),
    "bulk-update-plan-csv": ("GET", (*UPDATE, *EXPORT)),
    "bulk-update-rejects-csv": ("GET", UPDATE),
    "run-retry": ("GET", REPEAT),
    "run-restore": ("GET", REPEAT),
    "records": ("GET", LOOK),
    "records-options": ("GET", LOOK),
    "records-reload": ("POST", LOOK),
    "records-download": ("GET", (*LOOK, *EXPORT)),
    "record": ("GET", LOOK),
    "record-edit": ("GET", (*LOOK, *UPDATE)),
    "calls": ("GET", CALLS),
    "calls-process": ("POST", PROCESS),
    "calls-csv": ("GET", (*CALLS, *EXPORT)),
    "calls-why": ("GET", CALLS),
    "call": ("GET", CALLS),
    "call-review": ("GET", CALLS),
    "missed-calls": ("GET", CALLS),
    "missed-take": ("POST", PROCESS),
    "missed-give-back": ("POST", PROCESS),
    "missed-resolve": ("POST", PROCESS),
    "missed-ignore": ("POST", PROCESS),
    "missed-reopen": ("POST", PROCESS),
    "call-choose": ("POST", PROCESS),
    "call-new-lead": ("POST", PROCESS),
    "call-ignore": ("POST", PROCESS),
    "call-again": ("POST", PROCESS),
    "calls-of-run-again": ("POST", PROCESS),
    "call-step-again": ("POST", PROCESS),
    "offices": ("GET", CALLS),
    "lead-owners": ("GET", CALLS),
    "extensions-sync": ("POST", SET_UP),
    "calls-test-mail": ("POST", SET_UP),
    "lead-owners-sync": ("POST", SET_UP),
    "lead-owners-add": ("GET", SET_UP),
    "lead-owner-toggle": ("POST", SET_UP),
    "lead-owner-edit": ("POST", SET_UP),
    "call-mappings": ("GET", SET_UP),
    "call-mapping-preview": ("POST", SET_UP),
    "call-statuses": ("POST", SET_UP),
    "calls-import": ("GET", ("telephony.configure_calls",)),
    "calls-import-apply": ("POST", ("telephony.configure_calls",)),
    "call-webhook": ("GET", SET_UP),
    "call-schedule-new": ("GET", ("portal.add_schedule", "telephony.process_calls")),
}
OPEN_TO_ALL = {"login", "healthz", "call-events"}
# A download of customers' data is itself an act that the audit records.
RECORDED = {"run-items-csv", "records-download", "bulk-update-plan-csv", "calls-csv"}
# The settings of calls are one row, made with its defaults by who asks first.
BOOKKEEPING = {"CallSettings", "ApiUsage", "RemoteState", "ConcurrencySlot", "AccessToken", "Metadata"}
PARAMETERS = {
    "module": "Leads", "field": "Lead_Status", "field_label": "Lead Status", "value": "Junk Lead", "automation": False,
    "allowed": ["Junk Lead"], "source": {"type": "ids", "name": "pasted ids"}, "cleaning": {},
}  # fmt: skip


def names_of(resolver: Any) -> Iterator[str]:
    """Names of all addresses outside the administration; an address without a name has its pattern instead."""
    for entry in resolver.url_patterns:
        if getattr(entry, "namespace", None) == "admin":
            continue
        if hasattr(entry, "url_patterns"):
            yield from names_of(entry)
        else:
            yield entry.name or str(entry.pattern)


def make_run(owner: User | None, **values: Any) -> Run:
    defaults: dict[str, Any] = {
        "kind": "crm.bulk_update", "title": "A plan", "phase": "read", "state": Run.State.WAITING,
        "wait": Run.Wait.CONFIRMATION, "parameters": PARAMETERS, "requested_by": owner,
        "connection": Connection.objects.first(),
    }  # fmt: skip
    run = Run.objects.create(**defaults | values)
    RunItem.objects.create(
        run=run, position=0, key="4876876000000345001", before={"Lead_Status": "Contacted"},
        after={"Lead_Status": "Junk Lead"}, read_at=timezone.now(),
    )  # fmt: skip
    return run


@pytest.fixture
def address_of(zoho: Connection, standin: Standin) -> Callable[[str, User | None], str]:
    """The address of that name, for a plan of the given person."""

    def find(name: str, owner: User | None = None) -> str:
        try:
            return reverse(name)
        except NoReverseMatch:
            pass
        if name in ("record", "record-edit"):
            return reverse(name, args=["Leads", standin.ids("Leads")[0]])
        if name.startswith("lead-owner-"):
            return reverse(name, args=[make_owner(make_office(), "Ana").pk])
        if name == "call-step-again":
            call = make_call(state="failed")
            return reverse(name, args=[call.pk, make_step(call, "note", "failed").pk])
        if name == "call" or name.startswith("call-"):
            return reverse(name, args=[make_call().pk])
        if name.startswith("schedule"):
            values = {"kind": "crm.bulk_update", "cron": "0 6 * * *", "connection": zoho}
            return reverse(name, args=[Schedule.objects.create(name="Each morning", **values).pk])
        if name.startswith("connection"):
            return reverse(name, args=[zoho.pk])
        return reverse(name, args=[make_run(owner).pk])

    return find


def ask(client: Client, method: str, url: str) -> HttpResponseBase:
    """The answer, and nothing of what it changed; a download is read to its end."""
    with transaction.atomic():
        response = client.generic(method, url)
        if getattr(response, "streaming", False):
            list(response.streaming_content)
        transaction.set_rollback(True)
    return response


def is_sent_to_login(response: Any) -> bool:
    return response.status_code == 302 and response.url.startswith(reverse("login"))


# --- the table --------------------------------------------------------------------------------------------------------


def test_every_address_is_in_the_table_and_nothing_else() -> None:
    assert set(names_of(get_resolver())) == set(ADDRESSES) | OPEN_TO_ALL


def test_the_roles_hold_what_the_table_asks_for_and_only_existing_permissions() -> None:
    existing = {f"{app}.{code}" for app, code in Permission.objects.values_list("content_type__app_label", "codename")}
    asked = {permission for _, permissions in ADDRESSES.values() for permission in permissions}
    granted = {permission for permissions in ROLES.values() for permission in permissions}
    assert asked <= granted <= existing


@pytest.mark.parametrize("name", ADDRESSES)
def test_only_those_whose_role_says_so_come_in(
    name: str, address_of: Callable[..., str], person: Callable[..., User]
) -> None:
    method, permissions = ADDRESSES[name]
    url = address_of(name)
    assert is_sent_to_login(ask(Client(), method, url))
    assert is_sent_to_login(ask(Client(), "POST", url)) or name == "logout"
    for role, granted in {None: (), **ROLES}.items():
        user, client = person(role), Client()
        Run.objects.update(requested_by=user)
        client.force_login(user, backend="django.contrib.auth.backends.ModelBackend")
        response = ask(client, method, url)
        expected = set(permissions) <= set(granted)
        is_in = response.status_code not in (401, 403) and not (name != "logout" and is_sent_to_login(response))
        assert is_in == expected, f"{role}: {response.status_code}"
        assert response.status_code < 500


@pytest.mark.parametrize("name", [name for name, (method, _) in ADDRESSES.items() if method == "POST"])
def test_what_changes_something_is_not_done_by_a_link(
    name: str, address_of: Callable[..., str], person: Callable[..., User], admin_client: Client
) -> None:
    assert ask(admin_client, "GET", address_of(name)).status_code == 405


@pytest.mark.parametrize("name", [name for name, (method, _) in ADDRESSES.items() if method == "POST"])
def test_a_form_without_its_token_is_refused(name: str, address_of: Callable[..., str], admin_user: User) -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(admin_user, backend="django.contrib.auth.backends.ModelBackend")
    assert ask(client, "POST", address_of(name)).status_code == 403


def rows_of_everything(without: set[str]) -> dict[str, list[Any]]:
    found = {}
    for app in ("portal", "crm", "telephony", "auth", "django_q"):
        for model in apps.get_app_config(app).get_models():
            if model.__name__ in without:
                continue
            columns = [field.name for field in model._meta.concrete_fields if field.name != "last_success_at"]
            found[model.__name__] = list(model.objects.order_by("pk").values_list(*columns))
    return found


@pytest.mark.parametrize("name", [name for name, (method, _) in ADDRESSES.items() if method == "GET"])
def test_looking_changes_nothing(name: str, address_of: Callable[..., str], admin_client: Client) -> None:
    url = address_of(name)
    without = BOOKKEEPING | ({"AuditEntry"} if name in RECORDED else set())
    before = rows_of_everything(without)
    for parameters in ("", "?module=Leads&show=skipped&search=1&sort=-label&page=2&tab=log&field=Lead_Status"):
        response = admin_client.get(url + parameters)
        if response.streaming:
            list(response.streaming_content)
        assert response.status_code < 500
    assert rows_of_everything(without) == before


@pytest.mark.parametrize(
    "name", ["run", "run-items", "bulk-update-plan", "bulk-update-confirm", "run-retry", "connection"]
)
def test_a_number_that_nothing_has_is_not_found(name: str, admin_client: Client) -> None:
    for number in (999, 10**30):
        assert admin_client.get(reverse(name, args=[number])).status_code == 404


# --- whose run it is --------------------------------------------------------------------------------------------------

OF_ONE_PERSON = [
    *(name for name in ADDRESSES if name.startswith("bulk-update-") and name not in ("bulk-update-views", "bulk-update-schedule")),
    "run-retry", "run-restore", "run-stop", "run-resume",
]  # fmt: skip


@pytest.mark.parametrize("name", OF_ONE_PERSON)
def test_somebody_elses_plan_is_closed_to_operators_and_open_to_supervisors(
    name: str, address_of: Callable[..., str], person: Callable[..., User], login: Callable[..., Client]
) -> None:
    method, _ = ADDRESSES[name]
    url = address_of(name, person("Operator", name="owner"))
    state = list(Run.objects.values())
    assert ask(login("Operator", name="colleague"), method, url).status_code == 403
    assert list(Run.objects.values()) == state
    assert ask(login("Supervisor"), method, url).status_code in (200, 302)


def test_a_run_that_no_person_started_needs_the_stronger_permission(zoho: Connection, person: Any) -> None:
    run = make_run(None)
    assert [may_operate(person(role), run) for role in ROLES] == [False, False, True, True]
    assert not may_operate(AnonymousUser(), run)


# --- the administration -----------------------------------------------------------------------------------------------


def admin_addresses() -> Iterator[str]:
    admin = next(entry for entry in get_resolver().url_patterns if getattr(entry, "namespace", None) == "admin")

    def walk(resolver: Any) -> Iterator[str]:
        for entry in resolver.url_patterns:
            if hasattr(entry, "url_patterns"):
                yield from walk(entry)
            elif entry.name and entry.name != "login":
                yield entry.name

    return walk(admin)


@pytest.mark.parametrize("role", [None, "Viewer", "Operator", "Supervisor"])
def test_the_administration_is_closed_to_all_other_roles(role: str | None, login: Callable[..., Client]) -> None:
    anonymous, member = Client(), login(role)
    arguments: dict[str, list[Any]] = {"app_list": ["portal"], "view_on_site": [1, 1]}
    for name in admin_addresses():
        needs_id = name.endswith(("_change", "_delete", "_history", "_user_password_change"))
        url = reverse(f"admin:{name}", args=arguments.get(name, [1] if needs_id and name != "password_change" else []))
        for client in (anonymous, member):
            response = client.get(url)
            assert response.status_code in (302, 403), f"{name}: {response.status_code}"


# --- where a visitor comes from ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "", "10.0.0.9"),
        (0, "1.2.3.4", "10.0.0.9"),
        (1, "1.2.3.4", "1.2.3.4"),
        (1, "6.6.6.6, 1.2.3.4", "1.2.3.4"),
        (2, "6.6.6.6, 1.2.3.4, 10.0.0.1", "1.2.3.4"),
        (2, "1.2.3.4", "10.0.0.9"),
    ],
)
def test_the_visitors_address_is_what_trusted_proxies_say_and_nobody_else(
    proxies: int, forwarded: str, address: str, settings: Any
) -> None:
    settings.TRUSTED_PROXIES = proxies
    headers = {"HTTP_X_FORWARDED_FOR": forwarded} if forwarded else {}
    request = RequestFactory().get("/", REMOTE_ADDR="10.0.0.9", **headers)
    assert client_address(request) == address


def test_a_command_has_no_address() -> None:
    assert client_address(None) is None
    assert settings.LOGIN_URL == "login"
