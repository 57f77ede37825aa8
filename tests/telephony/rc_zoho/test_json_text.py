"""Text that is no JSON is told with its line and column; all that is JSON is read as it is."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from telephony.models import (
    Extension,
    StatusName,
)  # fmt: skip
from telephony.rc_zoho.json_text import Unreadable, load
from tests.telephony.rc_zoho import trees
from tests.telephony.rc_zoho.conftest import errors_of
from tests.telephony.rc_zoho.trees import MAPPINGS

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"\xef\xbb\xbf{}", "line 1, column 1: the file begins with a byte order mark (UTF-8)"),
        ("{}".encode("utf-16"), "line 1, column 1: the file begins with a byte order mark (UTF-16)"),
        (b'{\n  // an office\n  "offices": {}}', "line 2, column 3: a comment"),
        (b'{"a": 1, /* b */ "c": 2}', "line 1, column 10: a comment"),
        (b"{}\n# end", "line 2, column 1: a comment"),
        (b'{"a": 1,\n "b": }', "line 2, column 7: this is no JSON"),
        (b'{"a": [1, 2,]}', "line 1, column"),
        (b"", "line 1, column 1: this is no JSON"),
        (b'{"a": "\xe9"}', "line 1, column 8: the text is not UTF-8"),
        (b'\n{"name": "x",\n "name": "y"}', "line 3, column 2: this key stands twice"),
        (b'{"a": NaN}', "line 1, column 7: NaN is no value of JSON"),
        (b'{"a": -Infinity}', "line 1, column 7: a character that JSON has no use for"),
        (b'{"a": ' + b"9" * 5000 + b"}", "line 1, column 7: a number of 5,000 characters"),
        (b'{"a": 1e999}', "line 1, column 7: this number is too large"),
        (b"[" * 100_000, "line 1, column 31: more than 30 levels"),
        (b'{"a":' * 50_000, "more than 30 levels"),
        (b'{"a": "\\u0000"}', "cannot be stored"),
        (b'{"a": "\\ud800"}', "cannot be stored"),
        (b'{"a": "open', "line 1, column 7: this text has no closing quote"),
        (b'{"a": "\x01"}', "line 1, column 7: this text has no closing quote"),
        (b"{'a': 1}", "line 1, column 2: a character that JSON has no use for"),
        (b'{"a": True}', "True is no value of JSON"),
    ],
    ids=lambda value: str(value)[:25],
)
def test_what_is_no_json_is_told_with_line_and_column(
    tmp_path: Path, run_import: Callable[..., Any], content: bytes, says: str
) -> None:
    trees.write_m(tmp_path)
    trees.put(tmp_path, MAPPINGS, content)

    said = run_import(tmp_path)

    assert said.code == 1
    assert says in errors_of(said, MAPPINGS)
    assert not StatusName.objects.exists()
    assert Extension.objects.count() == 8


JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**20), 10**20) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])),
    lambda below: st.lists(below, max_size=4)
    | st.dictionaries(st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"])), below, max_size=4),
    max_leaves=20,
)  # fmt: skip


@given(JSON, st.booleans())
@settings(deadline=None, max_examples=150)
def test_every_valid_json_is_read_as_it_is(value: Any, is_ascii: bool) -> None:
    assert load(json.dumps(value, ensure_ascii=is_ascii, indent=1).encode()) == value


@given(st.binary(max_size=200) | st.text(alphabet='{}[]:,"\\ /#1e-tN\n').map(str.encode))
@settings(deadline=None, max_examples=300)
def test_any_bytes_are_read_or_refused_with_a_place(content: bytes) -> None:
    refusal = ""
    try:
        load(content)
    except Unreadable as error:
        refusal = str(error)
    assert not refusal or refusal.startswith("line ")
