"""Takes secrets and personal data out of text that leaves the program: log lines and error messages.

Numbers of 16 digits and more stay: they are record ids, and no telephone number has more than 15 digits (E.164).
"""

from __future__ import annotations

import re
import threading

MASK = "***"
SHORTEST_SECRET = 6
REMEMBERED = 500
# What is longer is cut: a traceback may be long, a message may not be endless.
LONGEST_TEXT = 100_000

_lock = threading.Lock()
_secrets: dict[str, None] = {}
_secrets_pattern: re.Pattern[str] | None = None


def remember(*secrets: str | None) -> None:
    """Values that must not appear in any later text. Empty and very short ones are ignored: they would shred it."""
    global _secrets_pattern
    wanted = [str(secret) for secret in secrets if secret and len(secret.strip()) >= SHORTEST_SECRET]
    with _lock:
        if all(secret in _secrets for secret in wanted):
            return
        for secret in wanted:
            _secrets.pop(secret, None)
            _secrets[secret] = None
        while len(_secrets) > REMEMBERED:
            del _secrets[next(iter(_secrets))]
        longest_first = sorted(_secrets, key=len, reverse=True)
        _secrets_pattern = re.compile("|".join(map(re.escape, longest_first)))


def forget_all() -> None:
    global _secrets_pattern
    with _lock:
        _secrets.clear()
        _secrets_pattern = None


# A pattern that may begin anywhere and run on must begin at the edge of a word, or be bounded: strangers choose what is
# logged (an address of 4,000 letters), and a search that takes the square of its length would stop the process.
_CREDENTIALS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"(?i)\b(Zoho-oauthtoken)\s+[^\s\"',;]+"), rf"\1 {MASK}"),
    (re.compile(r"(?i)\b(Bearer|Basic)\s+[\w.~+/=-]{8,}"), rf"\1 {MASK}"),
    (re.compile(r"\b1000\.[A-Za-z0-9]{6,}(?:\.[A-Za-z0-9]+)*"), MASK),
    (re.compile(r"\beyJ[\w-]{1,4000}\.[\w-]+(?:\.[\w-]*)?"), MASK),
    # key=value, key: value and "key": "value" for everything that is called a secret
    (
        re.compile(
            r"(?i)((?:secret|passw(?:or)?d|assertion|api[_-]?key)[\w-]{0,60}[\"']?\s{0,9}[:=]\s{0,9})([\"']?)[^\s\"'&,;]+"
        ),
        rf"\1\2{MASK}",
    ),
    # “token” is also a word of prose, so a colon counts only behind a quoted key
    (re.compile(r"(?i)((?:token|jwt)=)[^\s\"'&,;]+"), rf"\1{MASK}"),
    (re.compile(r"(?i)((?:token|jwt|authorization)[\"']\s*:\s*[\"'])[^\"']+"), rf"\1{MASK}"),
    # user:password@ of database and mail addresses
    (re.compile(r"(://[^\s:/@]*:)[^\s/@]+@"), rf"\1{MASK}@"),
    # queries hold names and numbers that people searched for
    (re.compile(r"(://[^\s?\"'<>]{1,4000}\?)[^\s\"'<>]+"), rf"\1{MASK}"),
    (re.compile(r"((?:^|[\s\"'(=])/[^\s?\"'<>]{0,4000}\?)[^\s\"'<>]+"), rf"\1{MASK}"),
    (re.compile(r"(?<![\w.+%-])[\w.+%-]+@[\w-]+(?:\.[\w-]+)+"), MASK),
)

# The first alternatives are numbers that must stay; only the group `phone` is masked.
_NUMBERS = re.compile(
    r"""
      (?<![0-9A-Za-z])[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}(?![0-9A-Za-z])   # UUID
    | \d{16,}                                                                               # record id
    | (?<!\d)\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?)?                        # date and time
    | (?<![\d.])\d{1,3}(?:\.\d{1,3}){3}(?![\d.])                                            # IPv4 address
    | (?P<phone>
          \+\(?\d[\d\s().\-/]{5,20}\d(?!\d)                                                 # international
        | (?<![\w.+])\(?\d{2,5}\)?[\s./-]{1,2}\d{3,4}[\s.-]\d{3,4}(?!\d)                      # (415) 555-0100
        | (?<![\w.])0\d{2,4}[\s./-]\d{6,8}(?!\d)                                             # 0207 9460958
        | (?<![\w.])\d{10,15}(?![\w]|\.\d)                                                   # 4155550100
      )
    """,
    re.VERBOSE,
)
LEAST_DIGITS = 10
LEAST_DIGITS_INTERNATIONAL = 7


def _masked_number(match: re.Match[str]) -> str:
    text = match.group()
    phone = match.group("phone")
    if phone is None:
        return text
    least = LEAST_DIGITS_INTERNATIONAL if phone.startswith("+") else LEAST_DIGITS
    digits = sum(character.isdigit() for character in phone)
    return MASK if digits >= least else text


def redact(text: str) -> str:
    """The text without remembered secrets, tokens, queries of addresses, e-mail addresses and telephone numbers."""
    if _secrets_pattern is not None:
        text = _secrets_pattern.sub(MASK, text)
    if len(text) > LONGEST_TEXT:
        text = f"{text[:LONGEST_TEXT]} … cut"
    for pattern, replacement in _CREDENTIALS:
        text = pattern.sub(replacement, text)
    return _NUMBERS.sub(_masked_number, text)
