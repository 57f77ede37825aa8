"""Both families come over completely, a second import changes nothing, and a dry run writes nothing."""

from __future__ import annotations

import datetime as dt
import shutil
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from portal.models import AuditEntry, Connection
from telephony.models import (
    AssignmentRules,
    CallSettings,
    Extension,
    FieldMapping,
    LeadOwner,
    MailSettings,
    Office,
    Recipient,
    StatusName,
)  # fmt: skip
from telephony.rc_zoho.importing import AUDIT_ACTION
from tests.telephony.rc_zoho import trees

pytestmark = pytest.mark.django_db


def test_the_sample_tree_comes_over_completely(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    said = run_import(trees.write_m(tmp_path))

    assert said.code == 0, said.text
    assert Office.objects.count() == 5
    assert [office.slug for office in Office.objects.filter(is_active=True)] == ["philadelphia"]
    assert sum("is not active" in text for text in said.file("sorted/data/offices.json")["warnings"]) == 4
    assert (Extension.objects.count(), Extension.objects.filter(process_calls=True).count()) == (8, 7)
    weights = LeadOwner.objects.order_by("position").values_list("weight", flat=True)
    assert list(weights) == [Decimal("2"), Decimal("1.5"), 1, 1, 1]
    assert AssignmentRules.objects.get().fallback_owner_id == "5678901234"
    for call_type, number in (("accepted", 13), ("missed", 7)):
        assert FieldMapping.objects.filter(call_type=call_type, is_active=True).count() == number
    assert dict(StatusName.objects.values_list("key", "value")) == StatusName.DEFAULTS
    assert Recipient.objects.filter(office=None, receive_combined=False).count() == 2
    assert Recipient.objects.filter(office__isnull=False, receive_daily=True, receive_errors=False).count() == 5
    assert Recipient.objects.get(receive_combined=True).email == "all@corp.test"
    assert MailSettings.load().subject_error == "Error {date}"
    assert said.counts("subject templates") == {"changed": 4}
    assert {file["family"] for file in said.account["files"]} == {"M"}


def test_every_value_of_the_sample_tree_reaches_its_place(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    run_import(trees.write_m(tmp_path))

    office = Office.objects.get(slug="philadelphia")
    assert (office.name, office.order, office.zone) == ("Philadelphia", 1, "America/New_York")
    assert (office.main_number, office.zip_code, office.state) == ("+12155550101", "01910", "PA")
    assert (office.street, office.city) == ("1 Main Street", "Philadelphia")
    settings = CallSettings.load()
    assert (settings.default_zone, settings.default_hours_back, settings.max_hours_back) == (
        "America/New_York",
        24,
        168,
    )
    assert (settings.parallel_offices, settings.lead_source) == (False, "RingCentral")
    queue, person, room = (Extension.objects.get(rc_id=each) for each in ("101", "201", "301"))
    assert (queue.kind, queue.kind_told, queue.department, queue.number) == (
        "Department",
        "Department",
        "Sales",
        "1101",
    )
    assert (person.kind, person.email, person.site, person.office) == ("User", "u201@corp.test", "Main", office)
    assert (room.kind, room.process_calls) == ("Room", False)
    rules = AssignmentRules.objects.get(office=office)
    assert (rules.round_robin, rules.respect_weights, rules.by_department) == (True, True, True)
    pools = {pool.department: {owner.name for owner in pool.owners.all()} for pool in rules.pools.all()}
    assert pools == {"Sales": {"Sarah", "David"}, "Support": {"Maria"}}
    assert LeadOwner.objects.get(name="Sarah").role == "Sales"
    owner = FieldMapping.objects.get(call_type="missed", field="Owner.id")
    assert owner.template == "${lead_owner_id}"
    mail = MailSettings.load()
    assert (mail.server, mail.port, mail.use_tls, mail.username) == ("smtp.corp.test", 2525, False, "")
    assert (mail.sender_email, mail.sender_name) == ("integration@corp.test", "Phones")
    assert (mail.send_empty_reports, mail.include_charts, mail.include_raw_logs) == (True, False, True)
    assert (mail.max_calls_in_detail, mail.error_threshold, mail.include_stacktrace) == (20, 4, True)
    assert Recipient.objects.get(name="Admin").receive_errors


def test_the_working_edition_comes_over_with_its_credentials(
    tmp_path: Path, run_import: Callable[..., Any], checks: list[Connection]
) -> None:
    said = run_import(trees.write_r(tmp_path / "branch"), "--with-credentials")

    assert said.code == 0, said.text
    office = Office.objects.get()
    assert (office.slug, office.is_active) == ("singlecompany", True)
    found = {(row.rc_id, row.number, row.process_calls) for row in Extension.objects.all()}
    assert found == {("62001", "", True), ("62002", "1002", True)}
    assert list(LeadOwner.objects.values_list("weight", "is_active")) == [(Decimal(1), True)] * 3
    rules = AssignmentRules.objects.get()
    assert (rules.round_robin, rules.fallback_owner_id) == (True, "")
    mail = MailSettings.load()
    assert (mail.server, mail.port, mail.username, mail.sender_email) == (
        "mail.corp.test", 465, "robot", "robot@corp.test",
    )  # fmt: skip
    assert mail.password == trees.SMTP_PASSWORD
    people = set(Recipient.objects.values_list("email", "call_type", "receive_daily"))
    assert people == {
        ("a@corp.test", "accepted", True), ("b@corp.test", "accepted", True), ("a@corp.test", "missed", True),
    }  # fmt: skip
    assert said.counts("credential values") == {"unchanged": 7}
    assert {(row.vendor, row.name) for row in checks} == {("zoho", "branch"), ("ringcentral", "branch")}
    assert {file["family"] for file in said.account["files"]} == {"R"}


@pytest.mark.parametrize("write", [trees.write_m, trees.write_r])
def test_a_second_import_changes_nothing_and_says_so(
    tmp_path: Path, run_import: Callable[..., Any], everything: Callable[[], Any], write: Callable[[Path], Path]
) -> None:
    run_import(write(tmp_path), "--with-credentials")
    before = everything()

    said = run_import(tmp_path, "--with-credentials")

    after = everything()
    assert (said.account["new"], said.account["changed"]) == (0, 0)
    assert "Zero changes" in said.text
    assert {name for name in after if after[name] != before[name]} == {"portal_auditentry"}


@pytest.mark.parametrize("write", [trees.write_m, trees.write_r])
def test_a_dry_run_says_the_same_and_writes_nothing(
    tmp_path: Path, run_import: Callable[..., Any], everything: Callable[[], Any], checks: list[Connection],
    write: Callable[[Path], Path],
) -> None:  # fmt: skip
    write(tmp_path)
    if write is trees.write_m:
        trees.write_credentials(tmp_path, trees.SECRETS_M)
    before = everything()

    dry = run_import(tmp_path, "--with-credentials", "--dry-run")
    assert everything() == before
    assert checks == []
    real = run_import(tmp_path, "--with-credentials")

    assert dry.account["dry_run"] is True
    assert dry.account["files"] == real.account["files"]
    assert dry.account["new"] > 0


def test_each_import_leaves_one_audit_entry_without_values(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    run_import(trees.write_m(tmp_path))
    entry = AuditEntry.objects.get(action=AUDIT_ACTION)
    assert entry.actor == "command"
    assert entry.target == tmp_path.name
    assert len(entry.details["files"]) == 5
    assert "@" not in str(entry.details)


def test_later_local_choices_survive_what_the_file_does_not_say(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_r(tmp_path)
    run_import(tmp_path)
    Extension.objects.filter(rc_id="62001").update(process_calls=False)
    LeadOwner.objects.update(weight=3, is_active=False)
    AssignmentRules.objects.update(round_robin=False)
    Office.objects.update(is_active=False, inactive_reason="Closed")

    said = run_import(tmp_path)

    assert "Zero changes" in said.text
    assert not Extension.objects.get(rc_id="62001").process_calls
    assert set(LeadOwner.objects.values_list("weight", "is_active")) == {(Decimal(3), False)}
    assert not Office.objects.get().is_active


def test_an_older_file_does_not_undo_what_the_vendors_said_since(
    tmp_path: Path, run_import: Callable[..., Any]
) -> None:
    run_import(trees.write_m(tmp_path))
    Extension.objects.filter(rc_id="101").update(name="Sales line", synced_at=timezone.now())
    LeadOwner.objects.filter(name="Sarah").update(name="Sarah Reynolds", synced_at=timezone.now())

    assert "Zero changes" in run_import(tmp_path).text

    assert Extension.objects.get(rc_id="101").name == "Sales line"
    assert LeadOwner.objects.filter(name="Sarah Reynolds").exists()


def test_extensions_that_got_their_true_ids_since_are_found_by_number(
    tmp_path: Path, run_import: Callable[..., Any]
) -> None:
    run_import(trees.write_m(tmp_path))
    for row in Extension.objects.all():
        row.rc_id, row.synced_at = f"4000{row.rc_id}", timezone.now()
        row.save()
    assert "Zero changes" in run_import(tmp_path).text
    assert Extension.objects.count() == 8


def test_what_differs_in_the_files_is_changed_and_named(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    run_import(trees.write_m(tmp_path))
    tree = trees.extensions()
    tree["extensions"][0]["process_calls"] = False
    trees.put(tmp_path, "sorted/philadelphia/extensions.json", tree)

    said = run_import(tmp_path)

    assert (said.account["new"], said.account["changed"]) == (0, 1)
    assert said.file("sorted/philadelphia/extensions.json")["changes"] == ["extensions[0]: process_calls"]
    assert not Extension.objects.get(rc_id="101").process_calls


def test_an_office_becomes_active_when_its_files_come(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    run_import(trees.write_m(tmp_path))
    other = {"extensions": [{"id": 901, "name": "Front desk"}]}
    trees.put(tmp_path, "sorted/boston/extensions.json", other)

    said = run_import(tmp_path)

    boston = Office.objects.get(slug="boston")
    assert (boston.is_active, boston.inactive_reason) == (True, "")
    assert boston.extensions.get().rc_id == "901"
    assert said.code == 0
    assert "Zero changes" in run_import(tmp_path).text


def test_one_office_alone(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    said = run_import(trees.write_m(tmp_path), "--office", "philadelphia")

    assert said.code == 0
    assert [office.slug for office in Office.objects.all()] == ["philadelphia"]
    assert Extension.objects.count() == 8
    assert not FieldMapping.objects.exists()
    assert not Recipient.objects.filter(office=None).exists()
    assert said.file("data/email_config.json")["state"] == "left out"


def test_an_office_that_is_not_there_ends_with_2(
    tmp_path: Path, run_import: Callable[..., Any], everything: Callable[[], Any]
) -> None:
    before = everything()
    said = run_import(trees.write_m(tmp_path), "--office", "phily")
    assert said.code == 2
    assert "There is no office “phily” here. There is: baltimore, boston" in said.text
    assert everything() == before


def test_the_manuals_own_examples_of_hours_and_departments(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    tree = trees.owners()
    tree["assignment_rules"] |= {
        "office_hours_only": True,
        "office_hours": {
            "start": "22:00", "end": "6:30", "timezone": "America/Chicago", "days": [1, 2, 3, 4, 5],
        },
        "after_hours_owner_id": "6789012345",
    }  # fmt: skip
    trees.write_m(tmp_path)
    trees.put(tmp_path, "sorted/philadelphia/lead_owners.json", tree)

    assert run_import(tmp_path).code == 0

    rules = AssignmentRules.objects.get()
    assert (rules.office_hours_only, rules.hours_start, rules.hours_end) == (True, dt.time(22), dt.time(6, 30))
    assert (rules.hours_zone, rules.hours_days, rules.after_hours_owner_id) == (
        "America/Chicago", "12345", "6789012345",
    )  # fmt: skip


# --- where files are looked for -----------------------------------------------------------------------------------------


def test_the_folder_core_is_searched_too(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path / "core")
    assert run_import(tmp_path).code == 0
    assert (Office.objects.count(), Extension.objects.count(), StatusName.objects.count()) == (5, 8, 5)


def test_the_first_place_wins_and_the_others_are_said_to_be_unread(
    tmp_path: Path, run_import: Callable[..., Any]
) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, "data/offices.json", {"offices": {"elsewhere": {"name": "Elsewhere"}}})
    trees.put(tmp_path, "core/data/email_config.json", {"smtp_server": "late.corp.test"})

    said = run_import(tmp_path)

    assert not Office.objects.filter(slug="elsewhere").exists()
    assert MailSettings.load().server == "smtp.corp.test"
    assert said.file("data/offices.json")["note"] == "Not read: sorted/data/offices.json comes first."
    assert said.file("core/data/email_config.json")["state"] == "left out"


def test_single_company_files_are_not_read_beside_an_offices_file(
    tmp_path: Path, run_import: Callable[..., Any]
) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, "data/extensions.json", [{"id": 1, "extensionNumber": "1"}])
    said = run_import(tmp_path)
    assert not Office.objects.filter(slug="singlecompany").exists()
    assert "belongs to a single company" in said.file("data/extensions.json")["note"]


def test_a_single_company_needs_both_of_its_files(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_r(tmp_path)
    (tmp_path / "data/lead_owners.json").unlink()
    said = run_import(tmp_path)
    assert not Office.objects.exists()
    assert said.file("data/extensions.json")["warnings"]
    assert "needs both" in said.file("data/extensions.json")["note"]


def test_a_folder_that_the_offices_file_forgot_is_named(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, "sorted/camden/extensions.json", trees.extensions())
    said = run_import(tmp_path)
    assert said.file("sorted/camden/extensions.json")["warnings"] == ["The offices file does not list “camden”."]


@pytest.mark.parametrize("name", ["", "no such folder"])
def test_nothing_to_import_ends_with_2(tmp_path: Path, run_import: Callable[..., Any], name: str) -> None:
    said = run_import(tmp_path / name)
    assert said.code == 2
    assert "Nothing was stored." in said.text


def test_the_same_folder_at_another_place_is_the_same_installation(
    tmp_path: Path, run_import: Callable[..., Any]
) -> None:
    trees.write_r(tmp_path / "one" / "branch")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    run_import(tmp_path / "one" / "branch", "--with-credentials")
    run_import(tmp_path / "two" / "branch", "--with-credentials")
    assert Connection.objects.count() == 2
