"""Reading people's text files and writing files that spreadsheets open safely."""

from __future__ import annotations

import codecs
import csv
import io
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

BOM = "\ufeff"
ROWS_PER_CHUNK = 500
NOT_TEXT = "The file is not a text file. Save it as CSV or as plain text and choose it again."
# Full-width signs start a formula too where the spreadsheet converts them.
_FORMULA_START = ("=", "+", "-", "@", "|", "%", "\t", "\r", "\n", "＝", "＋", "－", "＠")
_PLAIN_NUMBER = re.compile(r"[+-]?[\d .,()/-]+")


def decode(content: bytes) -> tuple[str, str]:
    """Text and the name of its encoding: what the byte order mark says, else strict UTF-8, else cp1252.

    Guessing libraries name the wrong code page for short files; this rule is right for what spreadsheets write. Raises
    ValueError for bytes that are no text at all.
    """
    for mark, encoding in (
        (codecs.BOM_UTF8, "utf-8-sig"),
        (codecs.BOM_UTF16_LE, "utf-16"),
        (codecs.BOM_UTF16_BE, "utf-16"),
    ):
        if content.startswith(mark):
            try:
                return content.decode(encoding), encoding
            except UnicodeDecodeError as error:
                raise ValueError(NOT_TEXT) from error
    if b"\x00" in content:
        raise ValueError(NOT_TEXT)
    try:
        return content.decode("utf-8"), "utf-8"
    except UnicodeDecodeError:
        return content.decode("cp1252", errors="replace"), "cp1252"


def delimiter_of(text: str) -> str:
    """The cell separator of a CSV text, judged by its first lines; a comma when there is none."""
    head = "\n".join(text.splitlines()[:20])
    try:
        return csv.Sniffer().sniff(head, delimiters=",;\t|").delimiter
    except csv.Error:
        return ","


def safe_cell(value: Any) -> str:
    """The value as text that a spreadsheet shows instead of running it; numbers and phone numbers stay as they are."""
    if value is None:
        return ""
    text = str(value)
    # An apostrophe before a formula may be the text's own: it gets another, so that `unsafe_cell` gives it back.
    start = text.lstrip(" '")
    if start.startswith(_FORMULA_START) and not _PLAIN_NUMBER.fullmatch(start):
        return f"'{text}"
    return text


def unsafe_cell(text: str) -> str:
    """What `safe_cell` was given, so that our own downloads can be fed back."""
    if text.startswith("'") and safe_cell(text[1:]) == text:
        return text[1:]
    return text


def rows_as_csv(header: Sequence[str], rows: Iterable[Sequence[Any]], *, mark: bool = True) -> Iterator[str]:
    """The table as CSV text in pieces of some hundred rows; a byte order mark first, so that Excel reads UTF-8."""
    buffer = io.StringIO()
    writer = csv.writer(buffer)
    if mark:
        buffer.write(BOM)
    writer.writerow([safe_cell(cell) for cell in header])
    for number, row in enumerate(rows, start=1):
        writer.writerow([safe_cell(cell) for cell in row])
        if number % ROWS_PER_CHUNK == 0:
            yield buffer.getvalue()
            buffer.seek(0)
            buffer.truncate()
    yield buffer.getvalue()
