"""The frame of every page: navigation, environment, credits, worker, error pages."""

import datetime as dt
import hashlib
import re

import pytest
from django.conf import settings
from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.contrib.auth.models import Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.test import Client, RequestFactory
from django.urls import path
from django.utils import timezone

from portal import context, navigation
from portal.models import ApiUsage, Connection, RemoteState, Run, Vendor, Worker

pytestmark = [pytest.mark.django_db, pytest.mark.urls(__name__)]
SPRITE = (settings.BASE_DIR / "portal/static/vendor/tabler/icons.svg").read_text()


def page(request: HttpRequest) -> HttpResponse:
    return render(request, "base.html")


def refused(request: HttpRequest) -> HttpResponse:
    raise PermissionDenied


def broken(request: HttpRequest) -> HttpResponse:
    raise RuntimeError("the reason stays in the log")


urlpatterns = [
    path("", page, name="home"),
    path("crm/records/", page, name="records"),
    path("crm/bulk-update/", page, name="bulk-update"),
    path("calls/", page, name="calls"),
    path("runs/", page, name="runs"),
    path("connections/", page, name="connections"),
    path("schedules/", page, name="schedules"),
    path("help/", page, name="help"),
    path("audit/", page, name="audit"),
    path("refused/", refused),
    path("broken/", broken),
    path("admin/", admin.site.urls),
    path("accounts/login/", auth_views.LoginView.as_view(), name="login"),
    path("accounts/logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("accounts/password/", auth_views.PasswordChangeView.as_view(), name="password_change"),
]


@pytest.fixture
def maria():
    user = User.objects.create_user("maria", first_name="Maria", last_name="Okonkwo")
    user.user_permissions.add(Permission.objects.get(codename="view_run"))
    return user


@pytest.fixture
def browser(client, maria):
    """A browser in which Maria is logged in."""
    client.force_login(maria, backend="django.contrib.auth.backends.ModelBackend")
    return client


@pytest.fixture
def connection():
    return Connection.objects.create(
        vendor=Vendor.ZOHO,
        name="Production",
        is_default=True,
        environment=Connection.Environment.PRODUCTION,
        organisation_id="77",
        daily_credits=50_000,
    )


def request_of(user, path="/", **headers):
    request = RequestFactory().get(path, headers=headers)
    request.user = user
    return request


def spend(connection, credits, hours_ago=0.0):
    ApiUsage.objects.create(
        key=connection.limit_key,
        hour=timezone.now() - dt.timedelta(hours=hours_ago),
        endpoint=f"records-{hours_ago}",
        credits=credits,
    )


# --- navigation -------------------------------------------------------------------------------------------------------


def test_every_page_of_the_navigation_resolves_and_has_its_icon(django_user_model):
    links = navigation.links(django_user_model(is_superuser=True, is_staff=True, is_active=True), "/")
    assert [link["label"] for link in links] == [page.label for page in navigation.NAV]
    assert all(f'id="{link["icon"]}"' in SPRITE for link in links)


@pytest.mark.urls("portal.urls")
def test_every_page_of_the_navigation_exists_in_the_portal_itself(django_user_model):
    assert navigation.links(django_user_model(is_superuser=True, is_staff=True, is_active=True), "/")


def test_a_person_sees_only_the_pages_that_their_permissions_open(maria):
    assert [link["label"] for link in navigation.links(maria, "/runs/7/")] == ["Home", "Runs", "Connections"]


def test_the_page_and_what_lies_below_it_are_marked_and_home_only_for_itself(maria):
    below = {link["label"]: link["active"] for link in navigation.links(maria, "/runs/7/")}
    home = {link["label"]: link["active"] for link in navigation.links(maria, "/")}
    assert below == {"Home": False, "Runs": True, "Connections": False}
    assert home == {"Home": True, "Runs": False, "Connections": False}


# --- what the frame shows ---------------------------------------------------------------------------------------------


def test_the_frame_costs_four_queries_and_the_two_of_the_permissions(maria, connection, django_assert_num_queries):
    spend(connection, 10)
    with django_assert_num_queries(6):
        context.shell(request_of(maria))


def test_the_frame_is_computed_once_for_a_request(maria, django_assert_num_queries):
    request = request_of(maria)
    context.shell(request)
    with django_assert_num_queries(0):
        context.shell(request)


def test_anonymous_visitors_cost_no_query(client, django_assert_num_queries):
    with django_assert_num_queries(0):
        assert client.get("/accounts/login/").status_code == 200


def test_fragments_cost_no_query(browser, django_assert_num_queries):
    with django_assert_num_queries(2):  # the session and the user
        browser.get("/", headers={"HX-Request": "true"})


def test_a_page_restored_by_the_back_button_has_its_frame(browser):
    body = browser.get("/", headers={"HX-Request": "true", "HX-History-Restore-Request": "true"}).content.decode()
    assert 'aria-current="page"' in body


@pytest.mark.parametrize(("spent", "level"), [(34_999, "ok"), (35_000, "warning"), (45_000, "danger")])
def test_credits_warn_from_70_percent_and_alarm_from_90(connection, maria, spent, level):
    spend(connection, spent - 1, hours_ago=20)
    spend(connection, 1)
    spend(connection, 999, hours_ago=25)
    meter = context.shell(request_of(maria))["credits"]
    assert (meter["used"], meter["limit"], meter["remaining"]) == (spent, 50_000, 50_000 - spent)
    assert meter["level"] == level


def test_what_the_vendor_said_within_the_hour_counts_before_the_own_sum(connection, maria):
    spend(connection, 100)
    state = RemoteState.objects.create(
        key=connection.limit_key, credits_remaining=40_000, credits_seen_at=timezone.now()
    )
    assert context.shell(request_of(maria))["credits"]["used"] == 10_000
    state.credits_seen_at -= dt.timedelta(hours=2)
    state.save()
    assert context.shell(request_of(maria))["credits"]["used"] == 100


def test_without_a_known_limit_the_meter_shows_what_was_used_only(connection, maria):
    Connection.objects.update(daily_credits=0)
    spend(connection, 100)
    meter = context.shell(request_of(maria))["credits"]
    assert (meter["used"], meter["limit"], meter["percent"], meter["level"]) == (100, 0, None, "unknown")


def test_without_a_connection_the_page_says_that_credits_are_unknown(browser):
    body = browser.get("/").content.decode()
    assert "credits unknown" in body
    assert "Not connected" in body


def test_a_worker_silent_for_more_than_30_seconds_does_not_run(browser):
    worker = Worker.objects.create(name="host 1", heartbeat_at=timezone.now() - dt.timedelta(seconds=25))
    assert "No worker is running" not in browser.get("/").content.decode()
    worker.heartbeat_at -= dt.timedelta(seconds=10)
    worker.save()
    assert "No worker is running" in browser.get("/").content.decode()


def test_the_bell_counts_runs_that_wait_for_people_and_not_those_that_wait_for_the_clock(browser):
    for wait in (Run.Wait.APPROVAL, Run.Wait.CONFIRMATION, Run.Wait.CREDITS):
        Run.objects.create(kind="crm.bulk_update", title="x", state=Run.State.WAITING, wait=wait)
    Run.objects.create(kind="crm.bulk_update", title="x", state=Run.State.FINISHED)
    response = browser.get("/")
    assert (response.context["open_runs"], response.context["waiting_runs"]) == (3, 2)
    assert "2 runs wait for people" in response.content.decode()


def test_the_account_menu_names_the_highest_role(browser, maria):
    for name in ("Viewer", "Supervisor"):
        maria.groups.add(Group.objects.get_or_create(name=name)[0])
    body = browser.get("/").content.decode()
    assert "Maria Okonkwo" in body
    assert "<span>Supervisor</span>" in body


def test_the_environment_is_told_in_words(browser, connection):
    assert "<span>Production</span>" in browser.get("/").content.decode()


def test_pages_carry_no_inline_script_or_style_and_nothing_from_elsewhere(browser, connection):
    body = browser.get("/").content.decode()
    assert not re.search(r"<style|\sstyle=|\son\w+=|hx-on|javascript:", body)
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", body))
    assert not re.findall(r'(?:src|href)="(?:https?:)?//', body)
    assert "X-CSRFToken" in body


# --- error pages ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("address", "status", "words"),
    [
        ("/nowhere/", 404, "There is no such page."),
        ("/refused/", 403, "Your role does not allow this."),
        ("/broken/", 500, "The portal made a mistake."),
    ],
)
def test_an_error_page_says_what_happened_to_what_and_what_to_do(browser, address, status, words):
    browser.raise_request_exception = False
    response = browser.get(address)
    body = response.content.decode()
    assert response.status_code == status
    assert words in body
    assert "What to do:" in body
    assert "the reason stays in the log" not in body


def test_a_form_with_a_stale_token_gets_a_page_in_the_portals_own_words(maria):
    client = Client(enforce_csrf_checks=True)
    client.force_login(maria, backend="django.contrib.auth.backends.ModelBackend")
    response = client.post("/")
    assert response.status_code == 403
    assert "The form was not accepted." in response.content.decode()


def test_the_login_page_says_what_was_wrong(client):
    body = client.post("/accounts/login/", {"username": "maria", "password": "wrong"}).content.decode()
    assert "This was not accepted." in body
    assert "nav-link" not in body


# --- vendored files -------------------------------------------------------------------------------------------------


def test_vendored_files_are_what_their_list_says():
    folder = settings.BASE_DIR / "portal/static/vendor/tabler"
    listed = dict(re.findall(r"\| `([\w.]+)` \| `([0-9a-f]{64})` \|", (folder / "VENDORED.md").read_text()))
    assert set(listed) == {"tabler.min.css", "tabler.min.js", "icons.svg"}
    assert listed == {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in listed}
    assert not any(b"sourceMappingURL" in (folder / name).read_bytes() for name in listed)
