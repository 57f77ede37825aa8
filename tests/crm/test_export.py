"""Downloads and the command export_records: what the files hold, and what they say when something is missing."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command

from crm import export, export_files, metadata, viewer
from crm.record_source import GivenIds, Listing, Look
from portal.models import AuditEntry, Connection
from portal.standin import Standin
from portal.standin.zoho.views import ALL_LEADS, NOT_CONTACTED, UNREAD_LEADS

FIELDS = "Full_Name,Owner,Email_Opt_Out,Created_Time,Call_Count,Services"


@pytest.fixture(autouse=True)
def fresh_cache(settings: Any) -> Iterator[None]:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    yield
    cache.clear()


def look_at(zoho: Connection, source: Any, fields: str = FIELDS, **values: Any) -> Look:
    columns = metadata.fields(zoho, source.module)
    chosen, _ = viewer.choose_fields(columns, fields.split(","))
    return Look(source, {column.api_name: column for column in columns}, chosen, **values)


def given(zoho: Connection, ids: list[str]) -> GivenIds:
    return GivenIds(zoho, "Leads", "list", f"test-{len(ids)}", len(ids), tuple(ids))


def csv_of(look: Look, account: export.Account | None = None) -> list[list[str]]:
    text = "".join(export.as_csv(look, account or export.Account()))
    assert text.startswith("\ufeff")
    return list(csv.reader(io.StringIO(text.removeprefix("\ufeff"))))


def test_csv_holds_ids_as_text_lookups_as_names_and_times_unchanged(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:3]

    header, *rows = csv_of(look_at(zoho, given(zoho, ids)))

    assert header == ["id", "Full Name", "Owner", "Email Opt Out", "Created Time", "Call Count", "Services"]
    for record_id, row in zip(ids, rows, strict=True):
        record = standin.record("Leads", record_id)
        assert row[:2] == [record_id, record["Full_Name"]]
        assert row[2] == record["Owner"]["name"]
        assert row[3] == ("yes" if record["Email_Opt_Out"] else "no")
        assert row[4] == record["Created_Time"]


def test_cells_that_a_spreadsheet_would_run_are_neutralised_but_phone_numbers_stay(
    zoho: Connection, standin: Standin
) -> None:
    record_id = standin.add_lead(
        Company="=cmd|' /C calc'!A0", Phone="+1 512 555 0100", City="<script>alert(1)</script>"
    )

    _, row = csv_of(look_at(zoho, given(zoho, [record_id]), "Company,Phone,City"))

    assert row == [record_id, "'=cmd|' /C calc'!A0", "+1 512 555 0100", "<script>alert(1)</script>"]


def test_labels_that_repeat_carry_their_api_names(zoho: Connection, standin: Standin) -> None:
    header, _ = csv_of(look_at(zoho, given(zoho, standin.ids("Leads")[:1]), "Comments,Comments1"))

    assert header == ["id", "Comments (Comments)", "Comments (Comments1)"]


def test_json_lines_keep_types_and_lookups_as_id_and_name(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:2]
    text = "".join(export.as_json_lines(look_at(zoho, given(zoho, ids)), export.Account()))

    rows = [json.loads(line) for line in text.splitlines()]

    for record_id, row in zip(ids, rows, strict=True):
        record = standin.record("Leads", record_id)
        assert list(row) == ["id", *FIELDS.split(",")]
        assert row["Owner"] == {"id": record["Owner"]["id"], "name": record["Owner"]["name"]}
        assert row["Email_Opt_Out"] is record["Email_Opt_Out"]
        assert row["Services"] == record["Services"]


def test_a_view_of_more_than_two_thousand_rows_is_complete(zoho: Connection, standin: Standin) -> None:
    account = export.Account()

    _, *rows = csv_of(look_at(zoho, Listing(zoho, "Leads", "view", ALL_LEADS), "Email"), account)

    expected = [each for each in standin.ids("Leads") if not standin.record("Leads", each)["Converted__s"]]
    assert sorted(row[0] for row in rows) == expected
    assert account.counts() == {"planned": len(expected), "ok": len(expected), "failed": 0}


def test_a_download_has_the_order_and_the_search_of_the_page(zoho: Connection, standin: Standin) -> None:
    source = Listing(zoho, "Leads", "view", UNREAD_LEADS)
    values = {"sort": "City", "search": "smith", "search_field": "Last_Name"}

    _, *rows = csv_of(look_at(zoho, source, "Last_Name,City", **values))
    page = viewer.show(look_at(zoho, source, "Last_Name,City", **values))

    assert {row[1] for row in rows} == {"Smith"}
    assert [row[0] for row in rows[: len(page.rows)]] == [row.id for row in page.rows]


def test_ids_that_zoho_did_not_return_are_listed_at_the_end(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:4]
    standin.remove("Leads", ids[2])

    _, *rows = csv_of(look_at(zoho, given(zoho, ids)))
    lines = "".join(export.as_json_lines(look_at(zoho, given(zoho, ids)), export.Account())).splitlines()

    assert rows[-1] == [f"# NOT RETURNED BY ZOHO: {ids[2]}"]
    assert json.loads(lines[-1]) == {"$not_returned": ids[2]}


def test_a_file_that_broke_off_says_so_in_its_last_line(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:2500]
    look = look_at(zoho, given(zoho, ids), "Email")
    standin.faults.add(path="ids=", nth=45, status=403, body={"code": "NO_PERMISSION", "message": "permission denied"})
    account = export.Account()

    _, *rows = csv_of(look, account)

    assert rows[-1][0].startswith("# INCOMPLETE: ")
    assert "NO_PERMISSION" in rows[-1][0]
    assert account.is_partial
    counts = account.counts()
    assert counts["planned"] == 2500
    assert counts["ok"] + counts["failed"] == 2500
    assert 2000 <= counts["ok"] < 2500
    assert [row[0] for row in rows[:-1]] == ids[: counts["ok"]]
    standin.faults.add(path="ids=", status=403, body={"code": "NO_PERMISSION"})
    lines = "".join(export.as_json_lines(look, export.Account())).splitlines()
    assert list(json.loads(lines[-1])) == ["$incomplete"]


def test_an_export_holds_a_window_of_records_only_and_reads_ahead_no_further(
    zoho: Connection, standin: Standin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("crm.wide_reading.WINDOW", 100)
    look = look_at(zoho, given(zoho, standin.ids("Leads")), "Email")
    standin.counters.journal.clear()

    pieces = export.as_csv(look, export.Account())
    next(pieces)
    reads = sum(entry.method == "GET" for entry in standin.counters.journal)
    pieces.close()

    assert reads <= 6, "200 rows were asked for"


# --- the command ----------------------------------------------------------------------------------------------------


def run_command(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, dict[str, Any], str]:
    status = 0
    try:
        call_command("export_records", *arguments, "--json")
    except SystemExit as error:
        status = int(str(error.code))
    output = capsys.readouterr()
    return status, json.loads(output.out.splitlines()[-1]), output.err


def ids_file(tmp_path: Path, ids: list[str]) -> str:
    path = tmp_path / "ids.txt"
    path.write_text("\n".join(ids))
    return str(path)


def test_the_command_writes_a_file_and_counts(
    zoho: Connection, standin: Standin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "leads.jsonl"
    ids = standin.ids("Leads")[:60]

    status, result, _ = run_command(
        capsys, "--module=Leads", f"--ids-file={ids_file(tmp_path, ids)}", "--fields=Email,Owner", f"--output={target}",
        "--format=jsonl",
    )  # fmt: skip

    assert status == 0
    assert result == {
        "run": None, "state": "finished", "planned": 60, "ok": 60, "failed": 0, "rejected": 0, "output": str(target),
    }  # fmt: skip
    assert [json.loads(line)["id"] for line in target.read_text().splitlines()] == ids
    assert [path.name for path in tmp_path.iterdir() if path.suffix == ".partial"] == []
    assert AuditEntry.objects.filter(action="records exported").count() == 1


def test_the_command_exports_a_view(
    zoho: Connection, standin: Standin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "leads.csv"

    status, result, _ = run_command(
        capsys, "--module=Leads", f"--cvid={NOT_CONTACTED}", "--fields=Lead_Status", f"--output={target}"
    )

    rows = list(csv.reader(io.StringIO(target.read_text("utf-8-sig"))))
    assert status == 0
    assert len(rows) == result["ok"] + 1
    assert {row[1] for row in rows[1:]} == {"Not Contacted"}


def test_missing_ids_and_rejected_lines_end_with_status_one(
    zoho: Connection, standin: Standin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "leads.csv"
    ids = [standin.ids("Leads")[0], "5725767000099999999", "12a"]

    status, result, errors = run_command(
        capsys, "--module=Leads", f"--ids-file={ids_file(tmp_path, ids)}", "--fields=Email", f"--output={target}"
    )

    assert status == 1
    assert (result["state"], result["planned"], result["ok"], result["failed"]) == ("finished", 2, 1, 1)
    assert result["rejected"] == 1
    assert "5725767000099999999" in errors
    assert "line 3" in errors


def test_a_partial_file_keeps_its_other_name(
    zoho: Connection, standin: Standin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "leads.csv"
    standin.faults.add(path="ids=", nth=3, status=403, body={"code": "NO_PERMISSION"})

    status, result, _ = run_command(
        capsys, "--module=Leads", f"--ids-file={ids_file(tmp_path, standin.ids('Leads')[:300])}", "--fields=Email",
        f"--output={target}",
    )  # fmt: skip

    assert status == 1
    assert result["state"] == "partial"
    assert result["output"] == f"{target}.partial"
    assert not target.exists()
    assert "# INCOMPLETE" in (tmp_path / "leads.csv.partial").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--module=Leds", "--cvid=1", "--fields=Email"], "Did you mean Leads"),
        (["--module=Leads", "--cvid=1", "--fields=Emial,Phone"], "has no field Emial. Did you mean Email"),
        (["--module=Leads", "--cvid=1", "--fields=id"], "at least one field"),
        (["--module=Leads", "--cvid=all", "--fields=Email"], "--cvid"),
        (["--module=Leads", "--ids-file=/nowhere/ids.txt", "--fields=Email"], "cannot be read"),
        (["--module=Leads", "--replica", "--fields=Email"], "no replica in this installation yet"),
    ],
)
def test_wrong_use_ends_with_status_two_and_says_what_is_wrong(
    zoho: Connection, standin: Standin, tmp_path: Path, arguments: list[str], words: str
) -> None:
    with pytest.raises(CommandError, match=words) as error:
        call_command("export_records", *arguments, f"--output={tmp_path / 'x.csv'}")
    assert error.value.returncode == 2
    assert not (tmp_path / "x.csv").exists()


def test_an_existing_file_is_replaced_only_when_told_to(
    zoho: Connection, standin: Standin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "leads.csv"
    target.write_text("precious")
    arguments = [
        "--module=Leads", f"--ids-file={ids_file(tmp_path, standin.ids('Leads')[:1])}", "--fields=Email",
        f"--output={target}",
    ]  # fmt: skip

    with pytest.raises(CommandError, match="--overwrite") as error:
        call_command("export_records", *arguments)
    assert error.value.returncode == 2
    assert target.read_text() == "precious"

    assert run_command(capsys, *arguments, "--overwrite")[0] == 0
    assert target.read_text("utf-8-sig").startswith("id,Email")


def test_parquet_without_its_library_is_wrong_use_with_advice(
    zoho: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export_files, "find_spec", lambda name: None)

    with pytest.raises(CommandError, match="pip install pyarrow") as error:
        call_command(
            "export_records", "--module=Leads", "--cvid=1", "--fields=Email", "--format=parquet",
            f"--output={tmp_path / 'x.parquet'}",
        )  # fmt: skip
    assert error.value.returncode == 2


@pytest.mark.skipif(not export_files.can_write("parquet"), reason="needs pyarrow")
def test_parquet_has_typed_columns(
    zoho: Connection, standin: Standin, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "leads.parquet"
    ids = standin.ids("Leads")[:70]

    status, _, _ = run_command(
        capsys, "--module=Leads", f"--ids-file={ids_file(tmp_path, ids)}", "--format=parquet",
        "--fields=Email,Owner,Email_Opt_Out,Lead_Score,Call_Count", f"--output={target}",
    )  # fmt: skip

    import pyarrow.parquet

    rows = pyarrow.parquet.read_table(target).to_pylist()
    record = standin.record("Leads", ids[0])
    assert status == 0
    assert [row["id"] for row in rows] == ids
    assert rows[0]["Owner"] == record["Owner"]["name"]
    assert rows[0]["Email_Opt_Out"] is record["Email_Opt_Out"]
    assert rows[0]["Lead_Score"] == record["Lead_Score"]
    assert rows[0]["Call_Count"] == record["Call_Count"]
