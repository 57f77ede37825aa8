"""The cleaning of a list of ids: nothing is lost, nothing is invented, every line has its account."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from crm import selection
from crm.selection import Row, parse
from portal import csvfiles, run_account

A, B, C = "4876876000000345001", "4876876000000345002", "4876876000000345003"

TOKENS = st.one_of(
    st.from_regex(r"[0-9]{1,24}", fullmatch=True),
    st.sampled_from(
        [A, B, f"zcrm_{A}", "²", "٣٤", "1.23E+18", "12a", "id", "status", "value", "Junk Lead", '"', "'", "=1"]
    ),
    st.text(max_size=6),
)
LINES = st.lists(st.lists(TOKENS, max_size=4), max_size=12)
MARKS = st.sampled_from([",", ";", "\t", " ", ", ", "|"])


def ids(text: str) -> list[str]:
    return [row.id for row in parse(text).rows]


def reasons(text: str) -> dict[int, str]:
    return {reject.line: reject.reason for reject in parse(text).rejects}


# --- properties -------------------------------------------------------------------------------------------------------


@given(LINES, MARKS)
@example([[A], ['"', B], [C]], ",")
def test_every_line_becomes_a_record_a_duplicate_a_reject_or_is_blank(lines: list[list[str]], mark: str) -> None:
    text = "\n".join(mark.join(cells) for cells in lines)
    found = parse(text)
    assert found.lines == len(text.lstrip(csvfiles.BOM).splitlines())
    assert all(1 <= entry.line <= found.lines for entry in (*found.rows, *found.rejects))
    assert all(reject.reason for reject in found.rejects)
    assert len({row.id for row in found.rows}) == len(found.rows)


@given(st.text())
@example('"' * 5)
@example("\x00")
@example("id\n" + "\x1e".join(["1", "2"]))
def test_no_text_breaks_it_and_every_id_has_ascii_digits_only(text: str) -> None:
    for row in parse(text).rows:
        assert row.id.isascii()
        assert row.id.isdigit()
        assert 1 <= len(row.id) <= 20
        assert row.target is None or (row.target and "\n" not in row.target and "\t" not in row.target)


@given(st.lists(st.from_regex(r"[0-9]{15,19}", fullmatch=True), min_size=1, max_size=40), st.data())
def test_a_plain_list_keeps_its_order_and_counts_its_repeats(numbers: list[str], data: st.DataObject) -> None:
    marks = st.sampled_from(["\n", "\r\n", "\n\n  ", " \n", " "])
    text = "".join(number + data.draw(marks) for number in numbers)
    found = parse(text)
    assert [row.id for row in found.rows] == list(dict.fromkeys(numbers))
    assert found.duplicates == len(numbers) - len(found.rows)
    assert found.rejects == []


@given(st.lists(st.tuples(st.from_regex(r"[0-9]{18,19}", fullmatch=True), st.text(max_size=30), st.text(max_size=30)),
                min_size=1, max_size=25, unique_by=lambda row: row[0]))  # fmt: skip
def test_our_own_list_of_failures_gives_the_same_ids_and_values(rows: list[tuple[str, str, str]]) -> None:
    table = [(key, name, "New", "Junk Lead", "Failed", "INVALID_DATA", message) for key, name, message in rows]
    text = "".join(csvfiles.rows_as_csv(run_account.CSV_HEADER, [[tidy(cell) for cell in row] for row in table]))
    found = parse(csvfiles.decode(text.encode())[0])
    assert [(row.id, row.target) for row in found.rows] == [(key, "Junk Lead") for key, *_ in table]


def tidy(text: str) -> str:
    """Without what no vendor's text holds: marks that end a line elsewhere than in a CSV file."""
    return "".join(mark for mark in text if mark == "\n" or mark.isprintable())[:30]


# --- what people paste ------------------------------------------------------------------------------------------------


def test_blanks_empty_lines_and_other_line_ends_are_cleaned_away() -> None:
    assert ids(f"  {A} \r\n\r\n\t{B}\t\n\n{C}") == [A, B, C]


def test_five_lines_with_two_repeats_are_three_records() -> None:
    found = parse("\n".join([A, B, A, C, B]))
    assert [row.id for row in found.rows] == [A, B, C]
    assert found.duplicates == 2


@pytest.mark.parametrize("line", [f"{A},{B}", f"{A} {B}", f"{A}; {B}", f"{A}\t{B}", f"zcrm_{A},zcrm_{B}"])
def test_several_ids_on_a_line_are_all_taken(line: str) -> None:
    assert ids(line) == [A, B]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("12a", "not a record id"),
        ("³", "digits of another script"),
        ("٣٤٥", "digits of another script"),
        ("４８７６", "digits of another script"),
        ("1.23457E+18", "rounded"),
        ("4,87688E+18", "rounded"),
        ("123456789012345678901", "too long"),
        ("-5", "not a record id"),
        ("0x1F", "not a record id"),
    ],
)
def test_what_is_no_id_is_left_out_with_its_line_and_the_reason(text: str, reason: str) -> None:
    found = parse(f'{A}\n"{text}"\n{B}')
    assert [row.id for row in found.rows] == [A, B]
    assert [(reject.line, reject.text) for reject in found.rejects] == [(2, text)]
    assert reason in found.rejects[0].reason


def test_one_bad_id_does_not_take_the_rest_of_its_line_along() -> None:
    found = parse(f"{A} oops {B}")
    assert [row.id for row in found.rows] == [A, B]
    assert [reject.text for reject in found.rejects] == ["oops"]


def test_a_list_of_many_ids_on_one_line_is_read() -> None:
    numbers = [str(4876876000000000000 + number) for number in range(10_000)]
    assert ids(" ".join(numbers)) == numbers
    assert ids(",".join(numbers)) == numbers


def test_a_list_beyond_the_limit_names_what_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(selection, "MAX_ROWS", 2)
    found = parse(f"{A}\n{B}\n{A}\n{C}")
    assert [row.id for row in found.rows] == [A, B]
    assert [(reject.line, reject.text) for reject in found.rejects] == [(4, C)]
    assert found.duplicates == 1


# --- values of their own ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "target"),
    [
        (f"{A},Junk Lead", "Junk Lead"),
        (f"{A};Phase 2 done", "Phase 2 done"),
        (f'{A},"Closed, lost"', "Closed, lost"),
        (f"zcrm_{A}\tContacted", "Contacted"),
    ],
)
def test_a_line_may_name_a_value_for_its_record(line: str, target: str) -> None:
    assert parse(line).rows == [Row(1, A, target)]


@pytest.mark.parametrize(
    "header",
    [
        "id,status",
        "ID;Value",
        "Record Id\tLead Status",
        '"lead id","new_value"',
        "name,id,note,status",
        "\ufeffid,target",
    ],
)
def test_a_header_says_which_columns_hold_the_id_and_the_value(header: str) -> None:
    mark = csvfiles.delimiter_of(header)
    names = [cell.strip('"\ufeff').lower() for cell in header.split(mark)]
    cells = dict.fromkeys(names, "x") | {
        name: A if name in ("id", "record id", "lead id") else "Contacted"
        for name in names
        if name not in ("name", "note")
    }
    found = parse(f"{header}\n" + mark.join(cells[name] for name in names))
    assert found.rows == [Row(2, A, "Contacted")]
    assert found.rejects == []


def test_a_table_without_an_id_in_a_row_says_so_and_reads_no_other_column() -> None:
    found = parse(f"id,status,phone\n{A},New,5551234567\n,New,5557654321\n")
    assert [row.id for row in found.rows] == [A]
    assert [(reject.line, reject.reason) for reject in found.rejects] == [(3, "no id in this row")]


def test_line_breaks_inside_a_quoted_cell_do_not_make_records() -> None:
    text = f'id,note,status\n{A},"Call\n5551234567\nafter noon",New\n{B},x,Contacted\n'
    found = parse(text)
    assert [(row.line, row.id, row.target) for row in found.rows] == [(2, A, "New"), (5, B, "Contacted")]
    assert found.rejects == []


def test_a_quote_that_is_never_closed_does_not_swallow_the_list() -> None:
    numbers = [str(4876876000000000000 + number) for number in range(60)]
    numbers[1] = f'"{numbers[1]}'
    assert ids("\n".join(numbers)) == [number.strip('"') for number in numbers]


def test_the_same_value_twice_is_a_duplicate_and_two_values_are_a_conflict() -> None:
    found = parse(f"id,status\n{A},New\n{A},New\n{B},New\n{B},Contacted\n{C},New")
    assert [row.id for row in found.rows] == [A, C]
    assert found.duplicates == 1
    assert {(reject.line, reject.text) for reject in found.rejects} == {(4, B), (5, B)}
    assert "line 4 and line 5" in {reject.line: reject.reason for reject in found.rejects}[5]


def test_a_value_with_a_tab_or_a_line_break_is_one_line_of_text() -> None:
    assert parse(f'id,status\n{A},"Not\tyet\ncontacted"').rows == [Row(2, A, "Not yet contacted")]


def test_a_line_of_something_else_is_left_out_and_the_next_one_read() -> None:
    assert ids(f"'=1\n{A}") == [A]
    assert reasons(f"'=1\n{A}") == {1: "not a record id: only digits are allowed"}


def test_a_failures_file_of_the_portal_is_a_table_with_values() -> None:
    text = "".join(
        csvfiles.rows_as_csv(run_account.CSV_HEADER, [(A, "=cmd", "New", "Junk Lead", "Failed", "X", "why")])
    )
    assert next(csv.reader(io.StringIO(text.removeprefix(csvfiles.BOM)))) == list(run_account.CSV_HEADER)
    found: Any = parse(text)
    assert found.has_targets
    assert found.rows == [Row(2, A, "Junk Lead")]
