"""The page for single files: look first, then import exactly that; bound to the person, and no secret in the HTML."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.sessions.models import Session
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from portal.models import AuditEntry
from telephony.models import Extension, LeadOwner, MailSettings, Office, StatusName
from telephony.rc_zoho import upload
from telephony.rc_zoho.importing import AUDIT_ACTION
from tests.telephony.rc_zoho import trees

pytestmark = pytest.mark.django_db
URL, APPLY = "/calls/import/", "/calls/import/apply/"


def look(client: Client, office: str = "", **files: Any) -> Any:
    """Uploads the files: look(client, offices={…})."""
    uploads = [
        SimpleUploadedFile(f"{name}.json", value if isinstance(value, bytes) else json.dumps(value).encode())
        for name, value in files.items()
    ]
    return client.post(URL, {"uploads": uploads, "office": office})


@pytest.fixture
def administrator(login: Callable[..., Client]) -> Client:
    return login("Administrator")


def test_files_are_looked_at_first_and_then_imported_exactly_so(administrator: Client) -> None:
    seen = look(administrator, offices=trees.offices(), zoho_field_mappings=trees.mappings())

    assert seen.status_code == 200
    assert "What the import would change" in seen.content.decode()
    assert not Office.objects.exists()
    assert not AuditEntry.objects.filter(action=AUDIT_ACTION).exists()

    done = administrator.post(APPLY, {"token": seen.context["token"]})

    assert "What was imported" in done.content.decode()
    assert (Office.objects.count(), StatusName.objects.count()) == (5, 5)
    assert done.context["report"].totals == seen.context["report"].totals
    entry = AuditEntry.objects.get(action=AUDIT_ACTION)
    assert (entry.actor, entry.address) == ("administrator", "127.0.0.1")


def test_the_second_look_says_zero_changes_and_offers_no_button(administrator: Client) -> None:
    for _ in range(2):
        seen = look(administrator, offices=trees.offices())
        administrator.post(APPLY, {"token": seen.context["token"]})
    assert seen.context["token"] == ""
    assert "Zero changes" in seen.content.decode()
    assert "Import exactly this" not in seen.content.decode()


def test_extensions_and_owners_go_to_the_named_office_and_switch_it_on(administrator: Client) -> None:
    seen = look(administrator, offices=trees.offices())
    administrator.post(APPLY, {"token": seen.context["token"]})
    seen = look(administrator, "boston", extensions=trees.extensions(), lead_owners=trees.owners())
    administrator.post(APPLY, {"token": seen.context["token"]})
    boston = Office.objects.get(slug="boston")
    assert (boston.is_active, boston.extensions.count(), boston.lead_owners.count()) == (True, 8, 5)


def test_without_any_office_the_files_make_the_single_company(administrator: Client) -> None:
    seen = look(administrator, phones=[{"id": 1, "name": "Desk", "extensionNumber": "1"}])
    administrator.post(APPLY, {"token": seen.context["token"]})
    assert Extension.objects.get().office.slug == "singlecompany"


def test_among_several_offices_none_is_guessed(administrator: Client) -> None:
    for slug in ("a", "b"):
        Office.objects.create(slug=slug, name=slug)
    seen = look(administrator, lead_owners=trees.owners())
    assert "Name the office" in seen.content.decode()
    assert seen.context["token"] == ""


def test_a_password_is_neither_shown_nor_kept_in_clear(administrator: Client) -> None:
    config = {"smtp_settings": {"server": "mail.corp.test", "password": trees.SMTP_PASSWORD}}
    seen = look(administrator, email_config=config)
    session = Session.objects.get(pk=administrator.session.session_key)
    assert trees.SMTP_PASSWORD not in seen.content.decode()
    assert trees.SMTP_PASSWORD not in str(session.get_decoded())
    done = administrator.post(APPLY, {"token": seen.context["token"]})
    assert trees.SMTP_PASSWORD not in done.content.decode()
    assert MailSettings.load().password == trees.SMTP_PASSWORD
    assert upload.KEY not in administrator.session


def test_html_in_names_is_shown_as_text(administrator: Client) -> None:
    evil = "<script>alert(1)</script>"
    seen = look(administrator, offices={"offices": {evil: {"name": evil}}, evil: 1})
    seen_names = look(administrator, email_config={"recipients": [{"email": evil}]})
    for page in (seen, seen_names):
        assert evil not in page.content.decode()
        assert "&lt;script&gt;" in page.content.decode()


@pytest.mark.parametrize("role", ["Viewer", "Operator", "Supervisor"])
def test_only_administrators_may(login: Callable[..., Client], role: str) -> None:
    client = login(role)
    assert client.get(URL).status_code == 403
    assert client.post(URL).status_code == 403
    assert client.post(APPLY).status_code == 403


def test_the_button_needs_post_and_a_csrf_token(administrator: Client, person: Callable[..., Any]) -> None:
    assert administrator.get(APPLY).status_code == 405
    strict = Client(enforce_csrf_checks=True)
    strict.force_login(
        person("Administrator", "second"), backend="django.contrib.auth.backends.ModelBackend"
    )  # fmt: skip
    assert strict.post(URL, {}).status_code == 403
    assert strict.post(APPLY, {}).status_code == 403


def test_files_of_one_person_are_nothing_to_another(administrator: Client, login: Callable[..., Client]) -> None:
    seen = look(administrator, offices=trees.offices())
    other = login("Administrator", name="other")
    answer = other.post(APPLY, {"token": seen.context["token"]}, follow=True)
    assert "Nothing was imported" in answer.content.decode()
    assert not Office.objects.exists()


def test_the_button_of_an_older_look_imports_nothing(administrator: Client) -> None:
    older = look(administrator, offices=trees.offices())
    look(administrator, zoho_field_mappings=trees.mappings())
    answer = administrator.post(APPLY, {"token": older.context["token"]}, follow=True)
    assert "Nothing was imported" in answer.content.decode()
    assert not Office.objects.exists()


def test_a_button_works_once_and_for_an_hour(administrator: Client, monkeypatch: Any) -> None:
    seen = look(administrator, offices=trees.offices())
    later = timezone.now() + upload.KEPT_FOR
    with monkeypatch.context() as patch:
        patch.setattr(upload.timezone, "now", lambda: later)
        administrator.post(APPLY, {"token": seen.context["token"]})
    assert not Office.objects.exists()
    administrator.post(APPLY, {"token": seen.context["token"]})
    assert not Office.objects.exists()


@pytest.mark.parametrize(
    ("files", "says"),
    [
        ({}, "Choose at least one file."),
        ({"offices": b""}, "One of the files is empty."),
        ({"offices": b" " * (upload.MOST_FILE_BYTES + 1)}, "the limit is 512 KB"),
        ({f"part{each}": b" " * 500_000 for each in range(3)}, "larger than 1 MB"),
        ({f"part{each}": b"{}" for each in range(11)}, "Choose at most 10"),
    ],
)
def test_uploads_are_bounded(administrator: Client, files: dict[str, bytes], says: str) -> None:
    seen = look(administrator, **files)
    assert says in seen.content.decode()
    assert upload.KEY not in administrator.session


def test_an_upload_that_is_none_of_the_files_is_named(administrator: Client) -> None:
    seen = look(administrator, wages={"salary": 1}, more=b'{"offices": {}')
    said = seen.content.decode()
    assert "its content is none of offices.json" in said
    assert "line 1, column 15: this is no JSON" in said
    assert seen.context["token"] == ""


def test_one_bad_file_does_not_hold_up_the_good_one(administrator: Client) -> None:
    bad = trees.owners()
    bad["lead_owners"][0]["assignment_weight"] = 0
    seen = look(administrator, extensions=trees.extensions(), lead_owners=bad)
    assert "lead_owners[0].assignment_weight: 0 is no weight" in seen.content.decode()
    administrator.post(APPLY, {"token": seen.context["token"]})
    assert Extension.objects.count() == 8
    assert not LeadOwner.objects.exists()


def test_the_same_sort_of_file_twice_is_refused(administrator: Client) -> None:
    seen = look(administrator, one=trees.offices(), two=trees.offices())
    assert "it holds offices as one.json does" in seen.content.decode()
