"""Telephone numbers in one form, E.164, so that equal numbers are equal text."""

from __future__ import annotations

import re

import phonenumbers
from phonenumbers import PhoneNumberFormat

# A number with a part withheld for privacy ("+1510555XXXX") is no number: it would match everybody behind it.
_MASKED = re.compile(r"[xX*#•]{2,}")
_DIGITS = re.compile(r"\d")
MOST_DIGITS = 15


def normalise(raw: str, region: str) -> str:
    """E.164 (`+15105551234`) of a number as people store it, read with the country `region` (ISO 3166, "US").

    Empty for what is no complete public number: short and internal numbers, masked ones, text, impossible lengths.
    An extension after the number is dropped.
    """
    raw = raw.strip()
    if not raw or len(raw) > 60 or _is_masked(raw):
        return ""
    try:
        number = phonenumbers.parse(raw, region.upper() or None)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(number):
        return _with_missing_plus(raw)
    if phonenumbers.is_possible_number_with_reason(number) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return ""  # possible without its area code only: too short to be anybody's number
    return str(phonenumbers.format_number(number, PhoneNumberFormat.E164))


def _with_missing_plus(raw: str) -> str:
    """A foreign number whose plus got lost, as spreadsheets and some call logs give it."""
    digits = "".join(_DIGITS.findall(raw))
    if raw.startswith(("+", "0")) or not 11 <= len(digits) <= MOST_DIGITS:
        return ""
    try:
        number = phonenumbers.parse(f"+{digits}")
    except phonenumbers.NumberParseException:
        return ""
    return (
        str(phonenumbers.format_number(number, PhoneNumberFormat.E164)) if phonenumbers.is_valid_number(number) else ""
    )


def _is_masked(raw: str) -> bool:
    # "x" before an extension is one letter: "+1 510 555 1234 x12".
    return _MASKED.search(raw) is not None


def shown(number: str) -> str:
    """A number as people read it (`+1 510-555-1234`); what is no number comes back as it is."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return str(phonenumbers.format_number(parsed, PhoneNumberFormat.INTERNATIONAL))


def national(number: str) -> str:
    """A number in the form of its own country (`(510) 555-1234`)."""
    try:
        parsed = phonenumbers.parse(number)
    except phonenumbers.NumberParseException:
        return number
    return str(phonenumbers.format_number(parsed, PhoneNumberFormat.NATIONAL))


def written(number: str, form: str) -> str:
    """An E.164 number as `form` (e164, international, national) writes it."""
    forms = {"international": shown, "national": national}
    return forms[form](number) if form in forms else number


def is_region(region: str) -> bool:
    return region.upper() in phonenumbers.SUPPORTED_REGIONS


def masked(number: str) -> str:
    """What may be shown where the number itself may not: its last two digits."""
    return f"…{number[-2:]}" if len(number) > 4 else "…"
