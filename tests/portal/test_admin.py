"""The admin: everything opens, the core's rows are for looking only, no secret is shown, nobody promotes themselves."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib import admin
from django.contrib.auth.models import Group, User
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from django_q import models as queue

from crm.models import PicklistPreference
from portal import models
from portal.models import AuditEntry, Connection, Run, RunItem

pytestmark = pytest.mark.django_db

LOOKING_ONLY = [
    models.Run,
    models.RunItem,
    models.RunEvent,
    models.AuditEntry,
    models.ApiUsage,
    models.Worker,
    models.Connection,
    queue.Failure,
    queue.OrmQ,
]


@pytest.fixture
def superuser() -> Client:
    client = Client()
    client.force_login(
        User.objects.create_superuser("root", password="correct horse battery"),
        backend="django.contrib.auth.backends.ModelBackend",
    )
    return client


@pytest.fixture
def rows() -> dict[str, Any]:
    connection = Connection.objects.create(
        vendor="zoho",
        name="Main",
        client_id="x",
        client_secret="secret-one",
        refresh_token="secret-two",
        jwt="secret-three",
    )
    run = Run.objects.create(kind="crm.bulk_update", title="Cleaning", connection=connection)
    return {
        "connection": connection,
        "run": run,
        "runitem": RunItem.objects.create(run=run, position=0, key="1"),
        "runevent": models.RunEvent.objects.create(run=run, message="x"),
        "auditentry": AuditEntry.objects.create(actor="x", action="y"),
        "apiusage": models.ApiUsage.objects.create(key="zoho:1", hour=timezone.now(), endpoint="x"),
        "worker": models.Worker.objects.create(name="host:1"),
    }


@pytest.mark.parametrize("model", LOOKING_ONLY, ids=lambda model: model.__name__)
def test_the_rows_of_the_core_can_be_looked_at_and_not_changed(
    superuser: Client, rows: dict[str, Any], model: Any
) -> None:
    app, name = model._meta.app_label, model._meta.model_name
    assert superuser.get(reverse(f"admin:{app}_{name}_changelist")).status_code == 200
    assert superuser.get(reverse(f"admin:{app}_{name}_add")).status_code == 403
    if name in rows:
        page = superuser.get(reverse(f"admin:{app}_{name}_change", args=[rows[name].pk]))
        assert page.status_code == 200
        assert 'name="_save"' not in page.content.decode()
        assert superuser.post(reverse(f"admin:{app}_{name}_delete", args=[rows[name].pk])).status_code == 403


def test_no_page_of_the_admin_shows_a_secret(superuser: Client, rows: dict[str, Any]) -> None:
    for name in ("connection", "run"):
        for address in (
            reverse(f"admin:portal_{name}_changelist"),
            reverse(f"admin:portal_{name}_change", args=[rows[name].pk]),
        ):
            assert "secret-" not in superuser.get(address).content.decode()


def test_access_tokens_and_the_queues_own_schedules_are_not_in_the_admin() -> None:
    for model in (models.AccessToken, queue.Schedule, queue.Success):
        assert not admin.site.is_registered(model)


def test_an_administrator_edits_how_picklist_values_are_offered(login: Callable[..., Client]) -> None:
    administrator = login("Administrator", is_staff=True)
    preference = PicklistPreference.objects.create(module="Leads", field="Rating", value="Hot")
    address = reverse("admin:crm_picklistpreference_change", args=[preference.pk])
    assert administrator.get(reverse("admin:crm_picklistpreference_changelist")).status_code == 200
    values = {"module": "Leads", "field": "Rating", "value": "Hot", "position": "5", "is_hidden": "on"}
    assert administrator.post(address, values).status_code == 302
    preference.refresh_from_db()
    assert (preference.position, preference.is_hidden) == (5, True)


def user_form(user: User, **values: Any) -> dict[str, Any]:
    joined = user.date_joined
    return {
        "username": user.username,
        "is_active": "on",
        "date_joined_0": f"{joined:%Y-%m-%d}",
        "date_joined_1": f"{joined:%H:%M:%S}",
    } | values


def test_an_administrator_gives_roles_and_the_change_is_recorded(
    login: Callable[..., Client], person: Callable[..., User]
) -> None:
    administrator, user = login("Administrator", is_staff=True), person("Viewer")
    role = Group.objects.get(name="Operator")
    form = user_form(user, groups=[role.pk])
    assert administrator.post(reverse("admin:auth_user_change", args=[user.pk]), form).status_code == 302
    assert list(user.groups.all()) == [role]
    recorded = AuditEntry.objects.get(action="user changed")
    assert (recorded.actor, recorded.target) == ("administrator", "viewer")
    assert "groups" in recorded.details["fields"]


def test_an_administrator_cannot_make_a_superuser(login: Callable[..., Client], person: Callable[..., User]) -> None:
    administrator, user = login("Administrator", is_staff=True), person("Viewer")
    form = user_form(user, is_superuser="on", user_permissions=["1"])
    administrator.post(reverse("admin:auth_user_change", args=[user.pk]), form)
    user.refresh_from_db()
    assert not user.is_superuser
    assert not user.user_permissions.exists()


def test_an_administrator_cannot_change_a_superuser_or_its_password(login: Callable[..., Client]) -> None:
    administrator = login("Administrator", is_staff=True)
    root = User.objects.create_superuser("root", password="correct horse battery")
    answer = administrator.post(reverse("admin:auth_user_change", args=[root.pk]), user_form(root, email="a@b.de"))
    assert answer.status_code == 403
    assert administrator.get(reverse("admin:auth_user_password_change", args=[root.pk])).status_code == 403
