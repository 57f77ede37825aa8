"""The connection pages: who may, what is refused, and that no secret ever comes out."""

from __future__ import annotations

import pytest
from django.test import Client
from django.utils import timezone

from portal.models import AccessToken, AuditEntry, Connection, Run
from portal.remote import oauth

pytestmark = pytest.mark.django_db
SECRET, REFRESH = "client-secret-value-1", "refresh-token-value-1"
ENTERED = {
    "vendor": "zoho",
    "name": "Main",
    "data_centre": "EU",
    "client_id": "the-client-id",
    "client_secret": SECRET,
    "refresh_token": REFRESH,
    "concurrency": "10",
    "daily_credits": "0",
}


@pytest.fixture
def row() -> Connection:
    return Connection.objects.create(
        vendor="zoho",
        name="Main",
        data_centre="EU",
        accounts_url="https://accounts.zoho.eu",
        client_id="the-client-id",
        client_secret=SECRET,
        refresh_token=REFRESH,
        is_default=True,
    )


READS = ("/connections/", "/connections/{pk}/")
MANAGER_READS = ("/connections/new/", "/connections/{pk}/edit/", "/connections/callback/?state=x")
WORKER_READS = ("/connections/temporary/",)
MANAGER_POSTS = (
    "/connections/new/",
    "/connections/{pk}/check/",
    "/connections/{pk}/edit/",
    "/connections/{pk}/authorise/",
    "/connections/{pk}/code/",
    "/connections/{pk}/default/",
    "/connections/{pk}/remove/",
)
OTHER_POSTS = ("/connections/{pk}/use/", "/connections/temporary/", "/connections/temporary/forget/")
POST_ONLY = (*MANAGER_POSTS[1:2], *MANAGER_POSTS[3:], OTHER_POSTS[0], OTHER_POSTS[2])


@pytest.mark.parametrize("url", [*READS, *MANAGER_READS, *WORKER_READS])
def test_anonymous_visitors_are_sent_to_the_login(row, url):
    response = Client().get(url.format(pk=row.pk))
    assert response.status_code == 302
    assert response.url.startswith("/accounts/login/")


@pytest.mark.parametrize("url", [*MANAGER_POSTS, *OTHER_POSTS])
def test_anonymous_posts_change_nothing(row, url):
    assert Client().post(url.format(pk=row.pk), ENTERED).url.startswith("/accounts/login/")
    assert Connection.objects.count() == 1


@pytest.mark.parametrize("url", [*READS, *MANAGER_READS, *WORKER_READS])
def test_without_a_role_every_page_is_refused(row, login, url):
    assert login(None).get(url.format(pk=row.pk)).status_code == 403


@pytest.mark.parametrize("url", READS)
@pytest.mark.parametrize("role", ["Viewer", "Administrator"])
def test_the_state_may_be_seen_by_who_sees_runs(row, login, url, role):
    assert login(role).get(url.format(pk=row.pk)).status_code == 200


@pytest.mark.parametrize("url", MANAGER_READS)
def test_a_supervisor_may_not_manage(row, login, url):
    assert login("Supervisor").get(url.format(pk=row.pk)).status_code == 403


@pytest.mark.parametrize("url", MANAGER_POSTS)
def test_a_supervisor_may_not_change_anything(row, login, url):
    assert login("Supervisor").post(url.format(pk=row.pk), ENTERED | {"name": "Changed"}).status_code == 403
    row.refresh_from_db()
    assert (row.name, row.client_secret) == ("Main", SECRET)


@pytest.mark.parametrize("url", POST_ONLY)
def test_changes_are_never_made_by_get(row, login, url):
    assert login("Administrator").get(url.format(pk=row.pk)).status_code == 405


def test_an_unknown_connection_is_not_found(login, row):
    client = login("Administrator")
    assert client.get("/connections/999999/").status_code == 404
    assert client.post("/connections/999999/remove/").status_code == 404


def test_no_page_holds_a_secret(row, login):
    AccessToken.objects.create(
        connection=row, value="access-token-value", issued_at=timezone.now(), expires_at=timezone.now()
    )
    client = login("Administrator")
    for url in ("/connections/", f"/connections/{row.pk}/", f"/connections/{row.pk}/edit/"):
        html = client.get(url).content.decode()
        for secret in (SECRET, REFRESH, "access-token-value"):
            assert secret not in html


def test_a_refused_form_does_not_show_the_entered_secret_again(login):
    response = login("Administrator").post("/connections/new/", ENTERED | {"client_id": ""})
    assert response.status_code == 200
    html = response.content.decode()
    assert SECRET not in html
    assert REFRESH not in html
    assert not Connection.objects.exists()


def test_a_connection_is_added_with_an_audit_entry_that_holds_no_secret(login):
    response = login("Administrator").post("/connections/new/", ENTERED)
    row = Connection.objects.get()
    assert response.url == f"/connections/{row.pk}/"
    assert (row.accounts_url, row.client_secret, row.is_default) == ("https://accounts.zoho.eu", SECRET, True)
    assert row.secret_changed_by.username == "administrator"
    entry = AuditEntry.objects.get(action="connection added")
    assert entry.details["secrets"] == ["client_secret", "refresh_token"]
    assert SECRET not in repr(entry.details)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"data_centre": "", "accounts_url": "https://accounts.zoho.example"}, "is not an accounts server of Zoho"),
        ({"data_centre": "", "accounts_url": "http://accounts.zoho.com"}, "https://"),
        ({"data_centre": "", "accounts_url": ""}, "Choose the data centre"),
        ({"data_centre": "US", "accounts_url": "https://accounts.zoho.eu"}, "belongs to EU"),
        ({"data_centre": "XX"}, "valid choice"),
        ({"api_domain": "https://evil.example"}, "is not an API host of Zoho"),
        ({"upload_url": "https://evil.example"}, "does not belong to Zoho"),
        ({"name": "environment"}, "kept for the connection"),
        ({"name": ""}, "required"),
        ({"client_secret": ""}, "Enter the client secret"),
        ({"concurrency": "0"}, "greater than or equal to 1"),
        ({"vendor": "other"}, "valid choice"),
        ({"user_email": "nobody"}, "valid email"),
        ({"vendor": "ringcentral", "accounts_url": "https://evil.example"}, "not a server of RingCentral"),
    ],
)
def test_wrong_input_is_named_and_nothing_is_stored(login, changed, words):
    response = login("Administrator").post("/connections/new/", ENTERED | changed)
    assert response.status_code == 200
    assert words in response.content.decode()
    assert not Connection.objects.exists()


def test_an_empty_post_is_a_form_with_errors(login):
    response = login("Administrator").post("/connections/new/", {})
    assert "Please correct what is marked below." in response.content.decode()


def test_a_loopback_vendor_is_refused_where_settings_forbid_it(login, settings):
    settings.ALLOW_INSECURE_VENDORS = False
    entered = ENTERED | {"data_centre": "", "accounts_url": "http://127.0.0.1:8900"}
    response = login("Administrator").post("/connections/new/", entered)
    assert "ALLOW_INSECURE_VENDORS" in response.content.decode()
    assert not Connection.objects.exists()


def test_a_full_token_address_is_accepted(login):
    entered = ENTERED | {"data_centre": "", "accounts_url": "https://accounts.zohocloud.ca/oauth/v2/token"}
    login("Administrator").post("/connections/new/", entered)
    row = Connection.objects.get()
    assert (row.accounts_url, row.data_centre) == ("https://accounts.zohocloud.ca", "CA")


def test_a_name_is_used_once_per_vendor(row, login):
    response = login("Administrator").post("/connections/new/", ENTERED)
    assert "has this name already" in response.content.decode()
    login("Administrator", name="second").post(
        "/connections/new/", ENTERED | {"vendor": "ringcentral", "data_centre": "", "jwt": "j" * 20}
    )
    assert Connection.objects.count() == 2


def test_an_edit_without_secrets_keeps_them(row, login):
    entered = ENTERED | {"name": "Renamed", "client_secret": "", "refresh_token": ""}
    response = login("Administrator").post(f"/connections/{row.pk}/edit/", entered)
    assert response.status_code == 302
    row = Connection.objects.get()
    assert (row.name, row.client_secret, row.refresh_token) == ("Renamed", SECRET, REFRESH)
    assert row.secret_changed_at is None


def test_a_replaced_secret_is_shown_by_who_and_when_only(row, login):
    client = login("Administrator")
    client.post(f"/connections/{row.pk}/edit/", ENTERED | {"client_secret": "", "refresh_token": "another-refresh"})
    html = client.get(f"/connections/{row.pk}/").content.decode()
    assert "by administrator" in html
    assert "another-refresh" not in html
    assert Connection.objects.get().refresh_token == "another-refresh"


def test_lost_keys_can_be_answered_by_entering_the_secrets_again(row, login, settings):
    client = login("Administrator")
    settings.FIELD_ENCRYPTION_KEYS = ["e0JkJzrxRCa0oFOZnGyGBpKXOmMIPdlqmNTRTbUGG1s="]
    for url in ("/connections/", f"/connections/{row.pk}/", f"/connections/{row.pk}/edit/"):
        assert client.get(url).status_code == 200
    response = client.post(
        f"/connections/{row.pk}/edit/", ENTERED | {"client_secret": "s" * 10, "refresh_token": "r" * 10}
    )
    assert response.status_code == 302
    assert Connection.objects.get(pk=row.pk).refresh_token == "r" * 10


def test_moving_to_another_data_centre_moves_the_accounts_address(row, login):
    entered = ENTERED | {"data_centre": "IN", "client_secret": "", "refresh_token": ""}
    login("Administrator").post(f"/connections/{row.pk}/edit/", entered)
    row.refresh_from_db()
    assert row.accounts_url == "https://accounts.zoho.in"


@pytest.mark.parametrize("action", ["edit", "authorise", "code", "remove"])
def test_the_environment_is_read_only_on_the_screens(login, action):
    row = Connection.objects.create(vendor="zoho", name="environment", source="environment", client_id="x")
    client = login("Administrator")
    assert client.post(f"/connections/{row.pk}/{action}/", ENTERED).status_code == 403
    assert f"/connections/{row.pk}/{action}/" not in client.get(f"/connections/{row.pk}/").content.decode()
    row.refresh_from_db()
    assert row.name == "environment"


def test_an_environment_with_a_missing_variable_is_shown_but_cannot_be_used(login):
    row = Connection.objects.create(
        vendor="zoho", name="environment", source="environment", state="reconnect", state_reason="ZOHO_X is not set."
    )
    client = login("Administrator")
    html = client.get("/connections/").content.decode()
    assert "ZOHO_X is not set." in html
    assert f"/connections/{row.pk}/use/" not in html
    assert client.post(f"/connections/{row.pk}/use/").status_code == 404
    assert client.post(f"/connections/{row.pk}/default/").status_code == 403


def test_the_default_is_chosen_by_an_administrator(row, login):
    other = Connection.objects.create(vendor="zoho", name="Other", client_id="x")
    assert login("Administrator").post(f"/connections/{other.pk}/default/").status_code == 302
    assert Connection.objects.get(is_default=True) == other


def test_a_viewer_chooses_what_the_session_works_with(row, login):
    other = Connection.objects.create(vendor="zoho", name="Other", client_id="x")
    client = login("Viewer")
    client.post(f"/connections/{other.pk}/use/")
    assert client.session["connection_choice"] == {"zoho": other.pk}
    assert Connection.objects.get(is_default=True) == row


def test_a_removed_connection_is_gone(row, login):
    login("Administrator").post(f"/connections/{row.pk}/remove/")
    assert not Connection.objects.exists()
    assert AuditEntry.objects.filter(action="connection removed").exists()


def test_a_removed_connection_with_runs_says_that_it_stays(row, login):
    Run.objects.create(kind="crm.bulk_update", title="t", connection=row)
    response = login("Administrator").post(f"/connections/{row.pk}/remove/", follow=True)
    assert "Its secrets are erased" in response.content.decode()
    assert Connection.objects.get().refresh_token == ""


def test_removal_can_revoke_the_token_at_zoho(zoho, standin, login):
    login("Administrator").post(f"/connections/{zoho.pk}/remove/", {"revoke": "on"})
    assert not Connection.objects.exists()
    assert "standin-refresh" not in standin.zoho.tokens.refresh
    assert AuditEntry.objects.filter(action="connection revoked").exists()


def test_a_failed_revocation_does_not_stop_the_removal(zoho, login, monkeypatch):
    monkeypatch.setattr(oauth, "ATTEMPT_PAUSE_S", 0)
    Connection.objects.update(accounts_url="http://127.0.0.1:9", api_domain="")
    response = login("Administrator").post(f"/connections/{zoho.pk}/remove/", {"revoke": "on"}, follow=True)
    assert "did not revoke" in response.content.decode()
    assert not Connection.objects.exists()


def test_without_connections_the_page_says_what_to_do(login):
    assert "ZOHO_REFRESH_TOKEN" in login("Administrator").get("/connections/").content.decode()
    assert "An administrator adds" in login("Viewer").get("/connections/").content.decode()


def test_the_list_makes_a_fixed_number_of_queries(row, login, django_assert_max_num_queries):
    client = login("Administrator")
    client.get("/connections/")
    for number in range(5):
        Connection.objects.create(vendor="zoho", name=f"More {number}", client_id="x")
    with django_assert_max_num_queries(14):
        client.get("/connections/")


def test_the_check_button_says_what_came_out(zoho, login):
    response = login("Administrator").post(f"/connections/{zoho.pk}/check/", follow=True)
    html = response.content.decode()
    assert "“Demo” works." in html
    assert "Zoho grants access tokens to this connection." in html
