"""Which records: ids pasted or uploaded, cleaned line by line, with a reason for each line that is left out."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from portal.csvfiles import delimiter_of, unsafe_cell

MAX_ROWS = 200_000
# A quoted cell may run over so many lines; a quote that is never closed does not swallow the rest of the list.
MAX_LINES_OF_A_ROW = 20
_ID = re.compile(r"[0-9]{1,20}")
_SCIENTIFIC = re.compile(r"[0-9]+(?:[.,][0-9]+)?[eE]\+?[0-9]+")
_ID_HEADERS = {"id", "record id", "record_id", "lead id", "zoho id", "zoho_id"}
_TARGET_HEADERS = {"status", "value", "new value", "new_value", "target", "lead status", "lead_status"}


@dataclass(frozen=True)
class Row:
    """One record to change; `target` None means the value chosen for all."""

    line: int
    id: str
    target: str | None = None


@dataclass(frozen=True)
class Reject:
    """A line, or an id on it, that is left out, and why."""

    line: int
    text: str
    reason: str


@dataclass
class Selection:
    """The cleaned list. lines = empty + header + those that gave rows, duplicates or rejects."""

    rows: list[Row] = field(default_factory=list)
    rejects: list[Reject] = field(default_factory=list)
    duplicates: int = 0
    lines: int = 0

    @property
    def has_targets(self) -> bool:
        return any(row.target is not None for row in self.rows)


def parse(text: str) -> Selection:
    """Reads ids, one a line or several on a line, or a table with an id column and, optionally, a value column.

    Order is kept, repeats are merged; an id that is given two different values is left out with both lines named.
    """
    selection = Selection()
    found: dict[str, Row] = {}
    conflicting: set[str] = set()
    for row in _rows(text, selection):
        if len(found) >= MAX_ROWS and row.id not in found:
            selection.rejects.append(Reject(row.line, row.id, f"the list is limited to {MAX_ROWS:,} records"))
            continue
        first = found.setdefault(row.id, row)
        if first is row:
            continue
        if first.target == row.target:
            selection.duplicates += 1
        else:
            conflicting.add(row.id)
            reason = f"given twice with different values: line {first.line} and line {row.line}"
            selection.rejects.append(Reject(row.line, row.id, reason))
    for record_id in conflicting:
        row = found.pop(record_id)
        selection.rejects.append(Reject(row.line, row.id, "given again with a different value further down"))
    selection.rejects.sort(key=lambda reject: reject.line)
    selection.rows = list(found.values())
    return selection


def _rows(text: str, selection: Selection) -> Iterator[Row]:
    lines = text.lstrip("\ufeff").splitlines()
    selection.lines = len(lines)
    delimiter = delimiter_of(text)
    columns: tuple[int, int | None] | None = None
    seen_content = False
    for number, cells in _cells(lines, delimiter):
        if not any(cells):
            continue
        if not seen_content:
            seen_content = True
            columns = _header(cells)
            if columns is not None:
                continue
        if columns is not None:
            yield from _table_row(number, cells, columns, selection)
        else:
            yield from _free_line(number, cells, selection)


def _cells(lines: Sequence[str], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Cells of each row with the number of its first line; a quoted cell may hold the delimiter and line breaks."""
    index = 0
    while index < len(lines):
        cells, count = _row_at(lines, index, delimiter)
        yield index + 1, [unsafe_cell(cell.strip()) for cell in cells]
        index += count


def _row_at(lines: Sequence[str], index: int, delimiter: str) -> tuple[list[str], int]:
    """Cells of the row that begins at this line, and how many lines it has."""
    window = lines[index : index + MAX_LINES_OF_A_ROW]
    reader = csv.reader((f"{line}\n" for line in (*window, "")), delimiter=delimiter)
    try:
        cells = next(reader, [])
        if reader.line_num <= len(window):
            return cells, reader.line_num
        return next(csv.reader([lines[index]], delimiter=delimiter), []), 1
    except csv.Error:
        # A cell beyond the module's limit of 131,072 characters: a list of ids on one line.
        return lines[index].split(delimiter), 1


def _header(cells: Sequence[str]) -> tuple[int, int | None] | None:
    """Positions of the id column and of the value column when the cells are a header, else None."""
    names = [cell.lower() for cell in cells]
    id_column = next((index for index, name in enumerate(names) if name in _ID_HEADERS), None)
    if id_column is None:
        return None
    target = next((index for index, name in enumerate(names) if name in _TARGET_HEADERS), None)
    return id_column, target


def _table_row(
    number: int, cells: Sequence[str], columns: tuple[int, int | None], selection: Selection
) -> Iterator[Row]:
    id_column, target_column = columns
    text = cells[id_column] if id_column < len(cells) else ""
    if not text:
        selection.rejects.append(Reject(number, "", "no id in this row"))
        return
    target = None
    if target_column is not None and target_column < len(cells):
        target = cells[target_column] or None
    yield from _row(number, text, target, selection)


def _free_line(number: int, cells: Sequence[str], selection: Selection) -> Iterator[Row]:
    if len(cells) == 2 and problem_of(cells[0]) is None and _is_value(cells[1]):
        yield from _row(number, cells[0], cells[1], selection)
        return
    for cell in cells:
        for token in cell.replace(";", " ").split():
            # The comma of 4,87688E+18 is a decimal one: its digits are no ids.
            parts = [token] if _SCIENTIFIC.fullmatch(token) else token.replace(",", " ").split()
            for part in parts:
                yield from _row(number, part, None, selection)


def _is_value(text: str) -> bool:
    """Whether the second cell of a line names a value; several ids on a line are told apart by their digits."""
    if not text or all(problem_of(token) is None for token in text.split()):
        return False
    return text[0].isalpha() or not any(mark.isdigit() for mark in text)


def _row(number: int, text: str, target: str | None, selection: Selection) -> Iterator[Row]:
    problem = problem_of(text)
    if problem is not None:
        selection.rejects.append(Reject(number, text[:60], problem))
    else:
        yield Row(number, text.removeprefix("zcrm_"), " ".join(target.split()) if target else None)


def problem_of(text: str) -> str | None:
    """Why the text is no record id; None when it is one. Zoho's own exports write ids with the prefix zcrm_."""
    if _ID.fullmatch(text.removeprefix("zcrm_")):
        return None
    if _SCIENTIFIC.fullmatch(text):
        return "a spreadsheet has rounded this id; format the column as text there and export it again"
    if text.isnumeric() and not text.isascii():
        return "digits of another script; use 0 to 9"
    if text.isascii() and text.isdigit():
        return "too long for a record id (20 digits at most)"
    return "not a record id: only digits are allowed"
