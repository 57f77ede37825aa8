"""Text files of people, and files that spreadsheets open safely."""

from __future__ import annotations

import csv
import io
import itertools
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal import csvfiles

TEXTS = st.text(
    alphabet=st.one_of(st.sampled_from("=+-@|%\t\r\n '\"0123456789,;.()aZé＝"), st.characters(codec="utf-8"))
)


# --- reading ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_the_usual_encodings_of_spreadsheets_are_recognised(encoding: str) -> None:
    text = "id,name\r\n4876876000000345001,Müller – Söhne €\r\n"
    assert csvfiles.decode(text.encode(encoding)) == (text, encoding)


def test_big_endian_utf_16_is_recognised_by_its_mark() -> None:
    assert csvfiles.decode(b"\xfe\xff" + "id\n1".encode("utf-16-be")) == ("id\n1", "utf-16")


@pytest.mark.parametrize(
    "content", [b"PK\x03\x04\x00\x00", b"1\x002\x00", b"%PDF\x00\x01", b"\xff\xfe1\x00\x002\xd8", b"\xff\xfe1"]
)
def test_what_is_no_text_is_refused_with_words(content: bytes) -> None:
    with pytest.raises(ValueError, match="not a text file"):
        csvfiles.decode(content)


@given(st.binary())
def test_any_file_is_text_or_refused_with_words(content: bytes) -> None:
    try:
        text, _ = csvfiles.decode(content)
    except ValueError as error:
        text = str(error)
    assert text == csvfiles.NOT_TEXT or "codec can" not in text


@pytest.mark.parametrize("mark", [",", ";", "\t", "|"])
def test_the_delimiter_is_found(mark: str) -> None:
    lines = [mark.join(cells) for cells in (("id", "status", "note"), ("1", "New", "a b"), ("2", "Contacted", "c d"))]
    assert csvfiles.delimiter_of("\n".join(lines)) == mark


@pytest.mark.parametrize("text", ["", "4876876000000345001", "1\n2\n3\n", "no table at all"])
def test_a_list_has_commas_when_nothing_says_otherwise(text: str) -> None:
    assert csvfiles.delimiter_of(text) == ","


@given(st.text())
def test_any_text_has_one_of_the_delimiters(text: str) -> None:
    assert csvfiles.delimiter_of(text) in ",;\t|"


# --- cells ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    ["=1+2", "+SUM(A1)", "-2+3+cmd|' /C calc'!A0", "@SUM(1)", "  =1", "\t=1", "\r=1", "\n=1", "|x", "%0A", "＝1+1",
     "-A1", "'=1", "''=1"],
)  # fmt: skip
def test_what_a_spreadsheet_would_run_is_shown_as_text(text: str) -> None:
    assert csvfiles.safe_cell(text) == f"'{text}"


@pytest.mark.parametrize(
    "value",
    ["+1 (510) 555-1234", "-12.50", "+49/30 123", "4876876000000345001", "a=b", "O'Neil", "'quoted'", "", "x+y", -3, 4.5],
)  # fmt: skip
def test_phone_numbers_numbers_and_plain_text_stay_as_they_are(value: object) -> None:
    assert csvfiles.safe_cell(value) == str(value)


def test_nothing_is_an_empty_cell() -> None:
    assert csvfiles.safe_cell(None) == ""


@given(TEXTS)
def test_our_own_downloads_can_be_fed_back_unharmed(text: str) -> None:
    assert csvfiles.unsafe_cell(csvfiles.safe_cell(text)) == text


@given(TEXTS)
def test_a_safe_cell_never_begins_like_a_formula(text: str) -> None:
    cell = csvfiles.safe_cell(text).lstrip(" ")
    is_number = set(cell[1:]) <= set("0123456789 .,()/-") or cell[1:].replace(" ", "").isdecimal()
    assert not cell.startswith(("=", "@", "\t", "\r", "|", "%"))
    assert (
        not cell.startswith(("+", "-")) or is_number or all(mark.isdecimal() or mark in " .,()/-" for mark in cell[1:])
    )


# --- files ------------------------------------------------------------------------------------------------------------


@given(
    st.lists(
        st.lists(st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\r\x00")), min_size=3, max_size=3)
    )
)
def test_a_table_comes_back_as_it_went_in(rows: list[list[str]]) -> None:
    content = "".join(csvfiles.rows_as_csv(("id", "name", "note"), rows))
    assert content.startswith(csvfiles.BOM)
    found = list(csv.reader(io.StringIO(content.removeprefix(csvfiles.BOM), newline="")))
    assert [[csvfiles.unsafe_cell(cell) for cell in row] for row in found] == [["id", "name", "note"], *rows]


def test_a_long_table_is_made_piece_by_piece() -> None:
    taken = 0

    def rows() -> Iterator[tuple[str, int]]:
        nonlocal taken
        for number in itertools.count():
            taken += 1
            yield "row", number

    pieces = csvfiles.rows_as_csv(("name", "number"), rows())
    sizes = [next(pieces).count("\r\n") for _ in range(3)]
    assert sizes == [csvfiles.ROWS_PER_CHUNK + 1, csvfiles.ROWS_PER_CHUNK, csvfiles.ROWS_PER_CHUNK]
    assert taken == 3 * csvfiles.ROWS_PER_CHUNK


def test_an_empty_table_has_its_header_and_the_mark_can_be_left_out() -> None:
    assert list(csvfiles.rows_as_csv(("id",), [], mark=False)) == ["id\r\n"]
