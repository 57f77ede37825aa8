"""Unknown keys, mappings that read both ways, and values that nobody has filled in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from telephony.models import (
    CallSettings,
    Extension,
    FieldMapping,
    MailSettings,
    Office,
    Recipient,
)  # fmt: skip
from tests.telephony.rc_zoho import trees
from tests.telephony.rc_zoho.conftest import errors_of, warnings_of
from tests.telephony.rc_zoho.trees import EXTENSIONS, MAIL, MAPPINGS, OFFICES, changed

pytestmark = pytest.mark.django_db


def test_unknown_keys_are_kept_and_listed(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    tree = changed(trees.offices(), "offices.philadelphia.address.country", "US")
    changed(tree, "offices.philadelphia.fax", "+12155550199")
    changed(tree, "global_config.theme", "dark")
    trees.write_m(tmp_path)
    trees.put(tmp_path, OFFICES, tree)
    numbers = trees.extensions()
    for entry in numbers["extensions"]:
        entry["colour"] = "red"
    trees.put(tmp_path, EXTENSIONS, numbers | {"version": 2})

    said = run_import(tmp_path)

    office = Office.objects.get(slug="philadelphia")
    assert office.extra == {"address": {"country": "US"}, "fax": "+12155550199", "extensions.json": {"version": 2}}
    assert Extension.objects.get(rc_id="101").extra == {"colour": "red"}
    assert CallSettings.load().extra == {"offices.json": {"global_config": {"theme": "dark"}}}
    assert said.file(OFFICES)["unknown_keys"] == {
        "offices.philadelphia.address.country": 1, "offices.philadelphia.fax": 1, "global_config.theme": 1,
    }  # fmt: skip
    assert said.file(EXTENSIONS)["unknown_keys"] == {"extensions[].colour": 8, "version": 1}
    assert "extensions[].colour (8×)" in said.text
    assert "Zero changes" in run_import(tmp_path).text


def test_an_unknown_key_that_is_named_like_a_secret_is_not_kept_in_clear(
    tmp_path: Path, run_import: Callable[..., Any], everything: Callable[[], Any]
) -> None:
    trees.put(tmp_path, MAIL, trees.mail() | {"smtp_password": "in-clear-1", "login": {"api_key": "in-clear-2"}})
    said = run_import(tmp_path)
    assert "named like a secret" in warnings_of(said, MAIL)
    assert "in-clear" not in said.text
    assert "in-clear" not in str(everything())


@pytest.mark.parametrize(
    ("key", "value"),
    [("Mobile", "Phone"), ("caller_name", "Last_Name"), ("Phone", "Mobile"), ("Fax", "Fax"), ("First_Name", "Company")],
)
def test_a_mapping_that_reads_both_ways_is_switched_off_with_a_question(
    tmp_path: Path, run_import: Callable[..., Any], key: str, value: str
) -> None:
    trees.put(tmp_path, MAPPINGS, {"accepted_calls": {key: value}})
    said = run_import(tmp_path)
    row = FieldMapping.objects.get()
    assert said.code == 0
    assert (row.field, row.template, row.is_active) == (key, value, False)
    assert row.question
    assert row.question in said.file(MAPPINGS)["questions"][0]
    assert "Zero changes" in run_import(tmp_path).text

    # A person decides; the next import leaves that alone.
    FieldMapping.objects.update(template="${caller_name}", is_active=True)
    assert "Zero changes" in run_import(tmp_path).text
    assert FieldMapping.objects.get().is_active


def test_templates_with_variables_transforms_and_text_are_taken(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    template = "Called ${extension_name:uppercase} on ${call_time:date} for ${call_duration:minutes} min"
    trees.put(tmp_path, MAPPINGS, {"accepted_calls": {"Custom_Field": template, "Lead_Owner": "${lead_owner_id}"}})
    assert run_import(tmp_path).code == 0
    assert dict(FieldMapping.objects.values_list("field", "template")) == {
        "Custom_Field": template, "Owner.id": "${lead_owner_id}",
    }  # fmt: skip


def test_what_nobody_filled_in_is_recognised_and_skipped(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.put(
        tmp_path, MAIL,
        {
            "smtp_settings": {
                "server": "smtp.example.com", "port": 587, "username": "your_username", "password": "your_password",
                "use_tls": True, "from_address": "your_email@example.com",
            },
            "recipients": {
                "accepted_calls": ["user1@example.com", "user2@example.com"], "missed_calls": ["real@corp.test"],
            },
        },
    )  # fmt: skip

    said = run_import(tmp_path)

    mail = MailSettings.load()
    assert (mail.server, mail.username, mail.password, mail.sender_email) == ("", "", "", "")
    assert [(row.email, row.call_type) for row in Recipient.objects.all()] == [("real@corp.test", "missed")]
    assert said.counts("mail recipients") == {"new": 1, "skipped": 2}
    assert "example values that nobody has filled in" in warnings_of(said, MAIL)
    assert said.code == 0


def test_an_extension_of_another_office_stays_there(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, "sorted/boston/extensions.json", {"extensions": [{"id": 101}, {"id": 999}]})
    said = run_import(tmp_path)
    assert Extension.objects.get(rc_id="101").office.slug == "philadelphia"
    assert Extension.objects.get(rc_id="999").office.slug == "boston"
    assert "belongs to the office “Philadelphia” already" in warnings_of(said, "sorted/boston/extensions.json")


def test_owners_where_extensions_belong_are_refused(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, EXTENSIONS, trees.owners())
    said = run_import(tmp_path)
    assert "it holds lead owners, but extensions belong here" in errors_of(said, EXTENSIONS)
    assert not Extension.objects.exists()


def test_a_report_of_a_thousand_errors_stays_short(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, EXTENSIONS, {"extensions": [{"id": []}] * 1000})
    said = run_import(tmp_path)
    assert len(said.file(EXTENSIONS)["errors"]) == 100
    assert "and 900 more" in said.text


def test_characters_that_steer_a_terminal_are_not_printed(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path)
    tree = changed(trees.offices(), "offices.philadelphia.timezone", "\x1b[2J\x07Zone")
    trees.put(tmp_path, OFFICES, tree | {"\x1b]0;title": 1})
    said = run_import(tmp_path)
    assert "\x1b" not in said.text
    assert "\x07" not in said.text
