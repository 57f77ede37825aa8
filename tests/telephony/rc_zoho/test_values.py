"""Wrong and doubtful values are named with their place; a file with a wrong one is not taken at all."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telephony.models import (
    AssignmentRules,
    CallSettings,
    DepartmentPool,
    Extension,
    FieldMapping,
    LeadOwner,
    Office,
    Recipient,
    StatusName,
)  # fmt: skip
from telephony.rc_zoho.shapes import MOST_ELEMENTS
from tests.telephony.rc_zoho import trees
from tests.telephony.rc_zoho.conftest import errors_of, warnings_of
from tests.telephony.rc_zoho.trees import EXTENSIONS, MAIL, MAPPINGS, OFFICES, OWNERS, changed

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("name", "tree", "path", "value", "says"),
    [
        (OFFICES, trees.offices, "offices.philadelphia.processing_order", "first",
         "offices.philadelphia.processing_order: “first” is no whole number. Write digits"),
        (OFFICES, trees.offices, "offices.philadelphia.processing_order", -1, "-1 is out of range"),
        (OFFICES, trees.offices, "offices.philadelphia.processing_order", 10**25, "is out of range"),
        (OFFICES, trees.offices, "offices.philadelphia.name", ["x"], "offices.philadelphia.name: a list is no text"),
        (OFFICES, trees.offices, "offices.philadelphia.name", "x" * 121, "has 121 characters; at most 120"),
        (OFFICES, trees.offices, "offices.philadelphia.name", "", "offices.philadelphia: name: This field cannot be blank"),
        (OFFICES, trees.offices, "offices.philadelphia.address", "street", "address: “street” is no object"),
        (OFFICES, trees.offices, "offices.philadelphia.address.zip", 1910, "address.zip: 1910 is no text"),
        (OFFICES, trees.offices, "offices.philadelphia.email_report.recipients", ["nobody"],
         "offices.philadelphia.email_report.recipients[0]: “nobody” is no e-mail address"),
        (OFFICES, trees.offices, "offices.philadelphia", 3, "offices.philadelphia: 3 is no object"),
        (OFFICES, trees.offices, "offices.../etc", {}, "offices: “” is no office id"),
        (OFFICES, trees.offices, "global_config.processing.max_hours_back", 12, "it is larger than max_hours_back"),
        (OFFICES, trees.offices, "global_config.processing.default_hours_back", True, "true is no whole number"),
        (OFFICES, trees.offices, "global_config.processing.parallel_processing", "no", "“no” is neither true nor false"),
        (EXTENSIONS, trees.extensions, "extensions.0.id", None, "extensions[0].id: missing"),
        (EXTENSIONS, trees.extensions, "extensions.1.id", "101", "extensions[1].id: “101” is the id of extensions[0] too"),
        (EXTENSIONS, trees.extensions, "extensions.1.id", 101, "“101” is the id of extensions[0] too"),
        (EXTENSIONS, trees.extensions, "extensions.0.id", {"x": 1}, "extensions[0].id: an object is no id"),
        (EXTENSIONS, trees.extensions, "extensions.3", "desk", "extensions[3]: “desk” is no object"),
        (EXTENSIONS, trees.extensions, "extensions.0.process_calls", 1, "1 is neither true nor false"),
        (EXTENSIONS, trees.extensions, "extensions", "none", "extensions: “none” is no list"),
        (EXTENSIONS, trees.extensions, "extensions", [{"id": each} for each in range(MOST_ELEMENTS + 1)],
         "extensions: 5,001 elements; at most 5,000"),
        (OWNERS, trees.owners, "lead_owners.0.assignment_weight", 0, "0 is no weight: it must be greater than 0"),
        (OWNERS, trees.owners, "lead_owners.0.assignment_weight", -1.5, "-1.5 is no weight"),
        (OWNERS, trees.owners, "lead_owners.0.assignment_weight", "2", "“2” is no number"),
        (OWNERS, trees.owners, "lead_owners.0.assignment_weight", 1e15, "is out of range"),
        (OWNERS, trees.owners, "lead_owners.1.id", "5678901234", "is the id of lead_owners[0] too"),
        (OWNERS, trees.owners, "assignment_rules.office_hours.start", "25:00", "“25:00” is no time of day"),
        (OWNERS, trees.owners, "assignment_rules.office_hours.days", [0, 1], "a list is no list of weekdays"),
        (OWNERS, trees.owners, "assignment_rules.office_hours.days", [1, 1], "each once"),
        (OWNERS, trees.owners, "assignment_rules.department_specific.mappings", {"Sales": "me"}, "“me” is no list"),
        (MAPPINGS, trees.mappings, "accepted_calls.Custom", "${caller_shoe}",
         "accepted_calls.Custom: “${caller_shoe}” is no template that works."),
        (MAPPINGS, trees.mappings, "accepted_calls.Custom", 5, "accepted_calls.Custom: 5 is no text"),
        (MAPPINGS, trees.mappings, "accepted_calls.Custom", "", "fills nothing"),
        (MAPPINGS, trees.mappings, "accepted_calls.no field", "Phone", "belongs to no field"),
        (MAPPINGS, trees.mappings, "accepted_calls.Owner", "${lead_owner_id}", "it fills Owner.id, as"),
        (MAIL, trees.mail, "smtp_port", 70_000, "smtp_port: 70000 is out of range"),
        (MAIL, trees.mail, "subject_templates.combined", "Calls {time}", "unknown placeholder"),
        (MAIL, trees.mail, "recipients.1.email", "ADMIN@corp.test", "is listed before"),
        (MAIL, trees.mail, "recipients.1.email", None, "recipients[1].email: missing"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_named_and_its_file_not_taken(
    tmp_path: Path, run_import: Callable[..., Any], name: str, tree: Callable[[], Any], path: str, value: Any, says: str
) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, name, changed(tree(), path, value))

    said = run_import(tmp_path)

    assert said.code == 1
    assert says in errors_of(said, name)
    assert said.file(name)["counts"] == {}
    stored = {
        OFFICES: Office.objects.count() + Recipient.objects.filter(office__isnull=False).count(),
        EXTENSIONS: Extension.objects.count(),
        OWNERS: LeadOwner.objects.count() + AssignmentRules.objects.count() + DepartmentPool.objects.count(),
        MAPPINGS: FieldMapping.objects.count() + StatusName.objects.count(),
        MAIL: Recipient.objects.filter(office=None, receive_combined=False).count(),
    }
    assert stored[name] == 0
    assert CallSettings.load().lead_source == ("RingCentral" if name != MAPPINGS else "RingCentral Integration")


@pytest.mark.parametrize(
    ("name", "tree", "path", "value", "says"),
    [
        (OFFICES, trees.offices, "offices.philadelphia.timezone", "EST5",
         "offices.philadelphia.timezone: “EST5” is no time zone; taken as America/New_York"),
        (OFFICES, trees.offices, "offices.philadelphia.timezone", None, "missing; taken as America/New_York"),
        (OFFICES, trees.offices, "offices.philadelphia.main_number", "555-01", "is no complete number"),
        (EXTENSIONS, trees.extensions, "meta.total", 9, "meta.total: it says 9, the list has 8"),
        (OWNERS, trees.owners, "meta.total_active", 4, "it says 4, and 5 are active"),
        (OWNERS, trees.owners, "assignment_rules.fallback_owner_id", "42", "“42” is none of the lead owners"),
        (OWNERS, trees.owners, "assignment_rules.after_hours_owner_id", "42", "“42” is none of the lead owners"),
        (OWNERS, trees.owners, "assignment_rules.department_specific.mappings.Sales", ["5678901234", "x"],
         "department_specific.mappings.Sales: “x” is none of the lead owners; left out"),
        (OWNERS, trees.owners, "assignment_rules.office_hours", {"timezone": "Mars"}, "the office's own is taken"),
        (OWNERS, trees.owners, "assignment_rules.office_hours", {"start": "9:00", "end": "09:00"}, "the same time"),
        (MAIL, trees.mail, "smtp_server", "smtp.example.com", "an example, left out"),
    ],
)  # fmt: skip
def test_a_doubtful_value_is_a_warning_and_the_rest_is_taken(
    tmp_path: Path, run_import: Callable[..., Any], name: str, tree: Callable[[], Any], path: str, value: Any, says: str
) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, name, changed(tree(), path, value))
    said = run_import(tmp_path)
    assert said.code == 0, said.text
    assert says in warnings_of(said, name)
    assert "Zero changes" in run_import(tmp_path).text


def test_an_office_whose_extensions_are_refused_stays_off_until_they_are_right(
    tmp_path: Path, run_import: Callable[..., Any]
) -> None:
    trees.write_m(tmp_path)
    for broken in ("{", json.dumps(changed(trees.extensions(), "extensions.0.id", []))):
        trees.put(tmp_path, EXTENSIONS, broken)
        assert run_import(tmp_path).code == 1
        assert not Office.objects.filter(is_active=True).exists()
    trees.put(tmp_path, EXTENSIONS, trees.extensions())
    assert run_import(tmp_path).counts("offices switched on") == {"new": 1}
    assert Office.objects.get(is_active=True).slug == "philadelphia"


def test_a_zone_that_is_none_falls_back_to_the_global_one(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, OFFICES, changed(trees.offices(), "offices.philadelphia.timezone", "Mars/Base"))
    run_import(tmp_path)
    assert Office.objects.get(slug="philadelphia").zone == "America/New_York"


def test_a_missing_order_is_the_last_one(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.put(tmp_path, "data/offices.json", {"offices": {"a": {"name": "A", "timezone": "UTC"}}})
    run_import(tmp_path)
    assert Office.objects.get().order == 999


def test_a_broken_offices_file_leaves_the_shared_files_alone(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, OFFICES, "{")
    said = run_import(tmp_path)
    assert said.code == 1
    assert not Office.objects.exists()
    assert StatusName.objects.count() == 5
