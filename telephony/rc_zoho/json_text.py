"""JSON of strangers: strictly what the standard allows, of bounded depth, with line and column for what is wrong."""

from __future__ import annotations

import codecs
import json
import math
import re
from dataclasses import dataclass, field
from typing import Any

MOST_BYTES = 2 * 1024 * 1024
MOST_DEPTH = 30
LONGEST_NUMBER = 30

_TOKEN = re.compile(
    r"""(?P<blank>[ \t\r\n]+)
      | (?P<string>"[^"\\\x00-\x1f]*(?:\\.[^"\\\x00-\x1f]*)*")
      | (?P<number>-?[0-9][0-9.eE+-]*)
      | (?P<word>[A-Za-z_]+)
      | (?P<mark>[{}\[\],:])""",
    re.VERBOSE,
)
_IS_KEY = re.compile(r"[ \t\r\n]*:")
# U+0000 cannot be stored by PostgreSQL, and half of a surrogate pair by nobody.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


class Unreadable(Exception):
    """The text is no JSON that can be taken; the message begins with line and column."""


def load(content: bytes) -> Any:
    """The value of a JSON file. Raises Unreadable with the place of the first thing that is wrong."""
    text = _decoded(content)
    try:
        _Scan(text).run()
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise Unreadable(f"line {error.lineno}, column {error.colno}: this is no JSON ({error.msg}).") from error


def _decoded(content: bytes) -> str:
    for mark, name in (
        (codecs.BOM_UTF8, "UTF-8"), (codecs.BOM_UTF16_LE, "UTF-16"), (codecs.BOM_UTF16_BE, "UTF-16"),
    ):  # fmt: skip
        if content.startswith(mark):
            raise Unreadable(
                f"line 1, column 1: the file begins with a byte order mark ({name}). Save it as UTF-8 without one."
            )
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        before = content[: error.start].decode("utf-8")
        raise Unreadable(f"{_place(before, len(before))}: the text is not UTF-8. Save the file as UTF-8.") from error


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position) + 1
    column = position - (text.rfind("\n", 0, position) + 1) + 1
    return f"line {line}, column {column}"


@dataclass
class _Scan:
    """Finds what json.loads takes silently (NaN, repeated keys, endless numbers) or dies of (depth)."""

    text: str
    # For each open bracket the keys seen in it; None in a list.
    _open: list[set[str] | None] = field(default_factory=list)

    def run(self) -> None:
        position = 0
        while position < len(self.text):
            match = _TOKEN.match(self.text, position)
            if match is None:
                raise self._stray(position)
            self._look(match)
            position = match.end()

    def _look(self, match: re.Match[str]) -> None:
        piece, start = match.group(), match.start()
        if match.lastgroup == "mark":
            self._bracket(piece, start)
        elif match.lastgroup == "string":
            self._string(piece, start, match.end())
        elif match.lastgroup == "number":
            self._number(piece, start)
        elif match.lastgroup == "word" and piece not in ("true", "false", "null"):
            raise self._wrong(start, f"{piece[:20]} is no value of JSON. Texts stand in double quotes.")

    def _bracket(self, piece: str, start: int) -> None:
        if piece in "{[":
            self._open.append(set() if piece == "{" else None)
            if len(self._open) > MOST_DEPTH:
                raise self._wrong(start, f"more than {MOST_DEPTH} levels of brackets inside each other.")
        elif piece in "}]" and self._open:
            self._open.pop()

    def _string(self, piece: str, start: int, end: int) -> None:
        value = json.loads(piece)
        if _UNSTORABLE.search(value):
            raise self._wrong(start, "this text holds a character that cannot be stored (NUL or half a pair).")
        keys = self._open[-1] if self._open else None
        if keys is not None and _IS_KEY.match(self.text, end):
            if value in keys:
                raise self._wrong(start, "this key stands twice in the same object. Remove one of them.")
            keys.add(value)

    def _number(self, piece: str, start: int) -> None:
        if len(piece) > LONGEST_NUMBER:
            raise self._wrong(start, f"a number of {len(piece):,} characters; {LONGEST_NUMBER} are enough.")
        try:
            is_finite = math.isfinite(float(piece))
        except ValueError:
            return  # json.loads says what is wrong with it
        if not is_finite:
            raise self._wrong(start, "this number is too large.")

    def _stray(self, position: int) -> Unreadable:
        if self.text.startswith(("//", "/*", "#"), position):
            return self._wrong(position, "a comment. JSON has none: remove it.")
        if self.text[position] == '"':
            return self._wrong(position, "this text has no closing quote, or holds a line break or a tab.")
        return self._wrong(position, "a character that JSON has no use for here.")

    def _wrong(self, position: int, what: str) -> Unreadable:
        return Unreadable(f"{_place(self.text, position)}: {what}")
