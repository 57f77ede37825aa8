"""Names as telephone networks tell them: which are names of somebody at all, and which part is the last name.

A network often gives the place of a number, or a word such as WIRELESS CALLER, where a name is expected. RingCentral
passes it on in `from.name`.
"""

from __future__ import annotations

import re
import unicodedata

_US_STATES = (
    "AL AK AZ AR CA CO CT DE FL GA HI ID IL IN IA KS KY LA ME MD MA MI MN MS MO MT NE NV NH NJ NM NY NC ND OH OK OR PA "
    "RI SC SD TN TX UT VT VA WA WV WI WY DC PR VI GU"
)
_CANADIAN_PROVINCES = "AB BC MB NB NL NS NT NU ON PE QC SK YT"
REGIONS = frozenset(f"{_US_STATES} {_CANADIAN_PROVINCES}".split())
# Also first names: "SMITH AL" is somebody, unless the location says the same state.
ALSO_NAMES = frozenset({"AL", "MA", "MO", "VI"})
NOBODY = frozenset({
    "anonymous", "anonymous caller", "blocked", "blocked call", "blocked caller", "caller id blocked", "cell phone",
    "cellular call", "cellular caller", "conference", "id unavailable", "international call", "mobile", "mobile caller",
    "mobile phone", "n a", "name unavailable", "no caller id", "no name", "none", "not available", "not provided", "null",
    "number unavailable", "out of area", "pay phone", "payphone", "potential spam", "private", "private call",
    "private caller", "private name", "private number", "restricted", "restricted number", "scam likely", "spam",
    "spam likely", "spam risk", "toll free", "toll free call", "toll free caller", "toll free number", "unavailable",
    "unavailable caller", "unknown", "unknown call", "unknown caller", "unknown name", "unknown number", "unlisted",
    "voip call", "voip caller", "wireless call", "wireless caller", "withheld",
})  # fmt: skip
_COMPANY_ENDS = frozenset({
    "ag", "bv", "co", "company", "corp", "corporation", "gmbh", "inc", "kg", "limited", "llc", "llp", "lp", "ltd", "plc",
    "sa", "srl",
})  # fmt: skip
_NAME_ENDS = frozenset({"jr", "sr", "ii", "iii", "iv", "md", "phd", "dds", "esq"})
_PARTICLES = frozenset({
    "af", "al", "ben", "bin", "da", "de", "del", "della", "den", "der", "di", "dos", "du", "el", "la", "le", "mac", "ten",
    "ter", "van", "von", "zu",
})  # fmt: skip
_CITY_STATE = re.compile(r"(?P<city>[^\W\d_][^,\d]*?)(?P<comma>,\s*|\s+)(?P<region>[A-Za-z]{2})")
# CNAM of wireless and VoIP numbers: a letter and the digits of an order, "V40511370500027".
_CODE = re.compile(r"[A-Za-z]?\d[\d\s()+.-]*")


def person_of(name: str, location: str) -> str:
    """The name if it is one; "" for a place, a number, or a word that stands for nobody. `location` as RingCentral
    tells it, "Oakland, CA"."""
    name = " ".join(name.split())
    if not any(letter.isalpha() for letter in name) or _CODE.fullmatch(name) or _words(name) in NOBODY:
        return ""
    return "" if _is_place(name, location) else name


def _is_place(name: str, location: str) -> bool:
    told, where = _words(name), _words(location)
    if where and told in (where, _words(location.split(",")[0])):
        return True
    found = _CITY_STATE.fullmatch(name)
    if found is None:
        return False
    region = found["region"].upper()
    if region not in REGIONS or _words(found["region"]) in _NAME_ENDS:
        return False
    if "," in found["comma"]:
        return True
    return name.isupper() and (region not in ALSO_NAMES or where.endswith(f" {region.lower()}"))


def split(name: str) -> tuple[str, str]:
    """First and last name. Without a comma the order is kept as told; “Miller, Jane” is turned round.

    One word, and the name of a company, is a last name alone, which is the one that Zoho demands.
    """
    name = name.strip(" ,")
    plain = [_words(word) for word in name.replace(",", " ").split()]
    if not plain or plain[-1] in _COMPANY_ENDS or "&" in name:
        return "", name
    if name.count(",") == 1 and plain[-1] not in _NAME_ENDS:
        last, first = (part.strip() for part in name.split(","))
        return first, last
    return _in_order(name.split())


def _in_order(words: list[str]) -> tuple[str, str]:
    start = len(words) - 1
    while start > 1 and _words(words[start]) in _NAME_ENDS:
        start -= 1
    while start > 1 and _words(words[start - 1]) in _PARTICLES:
        start -= 1
    return " ".join(words[:start]), " ".join(words[start:])


def _words(text: str) -> str:
    """Folded, with single blanks for everything that is neither letter nor digit."""
    folded = unicodedata.normalize("NFKC", text).casefold()
    return " ".join("".join(sign if sign.isalnum() else " " for sign in folded).split())
