from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from portal.remote import redact

PROSE = st.text(alphabet="abcdefghij ,;:äß()", max_size=30)
DIGITS = st.text(alphabet="0123456789", min_size=4, max_size=4)


@pytest.mark.parametrize(
    "secret",
    [
        "1000.8cb99dxxxxxxxxxxxxx9be93.9b8xxxxxxxxxxxxxxxf",
        "Zoho-oauthtoken abcdef",
        "Bearer abc.def-ghi_jkl",
        "Authorization: Basic dXNlcjpwYXNz",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.dBjftJeZ4CVP",
        "client_secret=s3",
        "'client_secret': 's3'",
        '{"refresh_token": "r3"}',
        "catalyst-codelib-secret-key: s3",
        "refresh_token=r3&grant_type=x",
        "postgres://portal:s3@db/portal",
        "https://www.zohoapis.eu/crm/v8/Leads/search?criteria=s3",
        "Max retries exceeded with url: /crm/v8/Leads/search?phone=s3 (Caused by",
        "jane.doe+crm@mail.example.co.uk",
        "+1 (415) 555-0100",
        "+442079460958",
        "+49 30 901820",
        "(415) 555-0100",
        "415-555-0100",
        "415.555.0100",
        "020 7946 0958",
        "4155550100",
        "tel:14155550100",
    ],
)
def test_secrets_and_personal_data_do_not_survive(secret: str) -> None:
    text = redact.redact(f"before {secret} after")
    assert text.startswith("before ")
    assert redact.MASK in text
    for part in ("s3", "r3", "abcdef", "8cb99d", "jane", "555", "901820", "20794", "7946", "dXNl", "eyJ", "ghi_jkl"):
        assert part not in text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "plain words",
        "record 3652397000000649013 of module 365239700000064901",
        "2026-05-04T12:30:00.123+00:00 and 2026-05-04 12:30:00",
        "10.0.0.12 and 255.255.255.255",
        "id 6a3f2b1c-1234-5678-9012-123456789012",
        "planned 1000, ok 998, failed 2, 250 ms, attempt 3",
        "the access token: expired",
        "code=INVALID_DATA, status=400",
        "bearer of bad news",
        "user@host said ***",
        "0.1234567890123",
        "crm.records.list HTTP 200 in 250 ms, attempt 1, request id r-1",
        "what? nothing",
    ],
)
def test_harmless_text_stays_readable(text: str) -> None:
    assert redact.redact(text) == text


@given(PROSE, st.integers(200, 999), st.integers(200, 999), DIGITS, st.sampled_from(["-", " ", ".", ""]), PROSE)
def test_north_american_numbers_are_masked_in_any_text(
    before: str, area: int, exchange: int, line: str, separator: str, after: str
) -> None:
    text = redact.redact(f"{before} {area}{separator}{exchange}{separator}{line} {after}")
    assert line not in re.sub(r"\D", "", text)


@given(PROSE, st.integers(1, 99), st.integers(10**7, 10**11), PROSE)
def test_international_numbers_are_masked_in_any_text(before: str, country: int, number: int, after: str) -> None:
    assert str(number) not in redact.redact(f"{before} +{country} {number} {after}")


@given(PROSE, st.integers(10**15, 10**19), PROSE)
def test_record_ids_stay_readable_in_any_text(before: str, record_id: int, after: str) -> None:
    assert str(record_id) in redact.redact(f"{before} {record_id} {after}")


@given(st.text(max_size=200))
def test_any_text_can_be_redacted_twice(text: str) -> None:
    once = redact.redact(text)
    assert isinstance(redact.redact(once), str)


def test_remembered_values_are_masked_wherever_they_stand() -> None:
    redact.remember("opaque-value", None, "", "ab")
    assert redact.redact("xopaque-valuey ab") == "x***y ab"


def test_nothing_remembered_shreds_nothing() -> None:
    redact.remember("", None, "   ")
    assert redact.redact("every letter stays") == "every letter stays"


def test_only_the_latest_secrets_are_kept() -> None:
    for number in range(redact.REMEMBERED + 1):
        redact.remember(f"secret-{number}-x")
    assert redact.redact("secret-0-x secret-500-x") == "secret-0-x ***"
