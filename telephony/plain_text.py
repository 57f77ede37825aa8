"""Text that goes to Zoho: without signs that steer a screen, and within the length of its field."""

from __future__ import annotations

import re
import unicodedata

_LINE_ENDS = re.compile(r"\r\n?|[\u2028\u2029\u0085\v\f]")
# Signs that turn the direction of what follows: a name with one can make a line read as another.
_DIRECTION = frozenset("\u200e\u200f\u061c\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")


def plain(text: str) -> str:
    """Several lines: line ends in one form, no control characters, no halves of surrogate pairs."""
    return "".join(sign for sign in _LINE_ENDS.sub("\n", text) if sign in "\n\t" or not _is_control(sign))


def line(text: str) -> str:
    """One line with single blanks."""
    return " ".join(plain(text).split())


def units(text: str) -> int:
    """Length in UTF-16 units, the longest way in which a server may count."""
    return sum(2 if ord(sign) > 0xFFFF else 1 for sign in text)


def cut(text: str, limit: int) -> str:
    """The beginning of the text in at most so many UTF-16 units."""
    if limit <= 0:
        return ""
    taken = 0
    for index, sign in enumerate(text):
        taken += 2 if ord(sign) > 0xFFFF else 1
        if taken > limit:
            return text[:index]
    return text


def _is_control(sign: str) -> bool:
    return sign in _DIRECTION or unicodedata.category(sign) in ("Cc", "Cs")
