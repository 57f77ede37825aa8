"""Links, pipes, huge files and office ids that look like paths; and two imports at once."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.db import connection as database

from telephony.models import (
    CallSettings,
    Extension,
    FieldMapping,
    LeadOwner,
    MailSettings,
    Office,
    Recipient,
    StatusName,
)  # fmt: skip
from telephony.rc_zoho.collection import from_folder
from telephony.rc_zoho.importing import Importing
from telephony.rc_zoho.json_text import MOST_BYTES
from tests.telephony.rc_zoho import trees
from tests.telephony.rc_zoho.conftest import errors_of
from tests.telephony.rc_zoho.trees import EXTENSIONS, MAIL, MAPPINGS, OFFICES, OWNERS

pytestmark = pytest.mark.django_db


def test_a_link_out_of_the_folder_is_not_followed(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    folder = trees.write_m(tmp_path / "inside")
    outside = trees.put(tmp_path, "outside.json", trees.mappings())
    (folder / MAPPINGS).unlink()
    (folder / MAPPINGS).symlink_to(outside)
    said = run_import(folder)
    assert "a link to a place outside of the folder" in errors_of(said, MAPPINGS)
    assert not StatusName.objects.exists()


def test_a_folder_that_is_a_link_out_is_not_entered(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path / "other")
    folder = tmp_path / "inside"
    trees.put(folder, OFFICES, trees.offices())
    (folder / "sorted/philadelphia").symlink_to(tmp_path / "other/sorted/philadelphia")
    said = run_import(folder)
    assert "outside of the folder" in errors_of(said, EXTENSIONS)
    assert not Extension.objects.exists()


def test_a_link_within_the_folder_is_followed(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path)
    (tmp_path / MAPPINGS).rename(tmp_path / "shared.json")
    (tmp_path / MAPPINGS).symlink_to(tmp_path / "shared.json")
    assert run_import(tmp_path).code == 0
    assert StatusName.objects.count() == 5


def test_what_is_no_ordinary_file_is_not_opened(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path)
    (tmp_path / MAPPINGS).unlink()
    os.mkfifo(tmp_path / MAPPINGS)
    (tmp_path / MAIL).unlink()
    (tmp_path / MAIL).mkdir()
    (tmp_path / OWNERS).unlink()
    (tmp_path / OWNERS).symlink_to("lead_owners.json")
    said = run_import(tmp_path)
    assert "no ordinary file" in errors_of(said, MAPPINGS)
    assert "cannot be read" in errors_of(said, MAIL) or "no ordinary file" in errors_of(said, MAIL)
    assert "cannot be read" in errors_of(said, OWNERS)
    assert said.code == 1


def test_a_folder_that_cannot_be_entered_is_not_taken_for_an_empty_one(
    tmp_path: Path, run_import: Callable[..., Any]
) -> None:
    trees.write_m(tmp_path / "in")
    (tmp_path / "in/sorted/philadelphia").rename(tmp_path / "in/elsewhere")
    (tmp_path / "in/sorted/philadelphia").symlink_to("philadelphia")
    said = run_import(tmp_path / "in")
    assert said.code == 1
    assert "cannot be read" in errors_of(said, EXTENSIONS)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path, run_import: Callable[..., Any]) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, MAPPINGS, b" " * (MOST_BYTES + 1))
    assert "larger than 2 MB" in errors_of(run_import(tmp_path), MAPPINGS)


@pytest.mark.parametrize("slug", ["../../etc", "..", "a/b", "a b", "é", "x" * 61, "", "a\\b"])
def test_an_office_id_is_never_a_way_to_another_folder(
    tmp_path: Path, run_import: Callable[..., Any], slug: str
) -> None:
    trees.put(tmp_path / "in", OFFICES, {"offices": {slug: {"name": "Trick"}}})
    trees.put(tmp_path, "etc/extensions.json", trees.extensions())
    said = run_import(tmp_path / "in")
    assert "is no office id" in errors_of(said, OFFICES)
    assert not Office.objects.exists()


# --- two at once --------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_two_imports_at_once_make_everything_once(tmp_path: Path) -> None:
    trees.write_m(tmp_path)
    start, reports = threading.Barrier(2), []

    def work() -> None:
        try:
            start.wait(30)
            reports.append(Importing(from_folder(tmp_path)).run())
        finally:
            database.close()

    threads = [threading.Thread(target=work) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert [report.has_errors for report in reports] == [False, False]
    # Offices (one switched on), extensions, owners, rules, departments, mappings, statuses, recipients: added once.
    assert sum(report.totals.new for report in reports) == 5 + 1 + 8 + 5 + 1 + 2 + 20 + 5 + 8
    assert (Office.objects.count(), Extension.objects.count(), LeadOwner.objects.count()) == (5, 8, 5)
    assert (FieldMapping.objects.count(), Recipient.objects.count(), StatusName.objects.count()) == (20, 8, 5)
    assert CallSettings.objects.count() == MailSettings.objects.count() == 1
