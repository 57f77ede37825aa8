from datetime import UTC, datetime

import pytest

from portal.standin import Standin
from tests.standin.caller import Caller


@pytest.fixture
def zoho():
    standin = Standin(leads=1_000)
    standin.clock.freeze(datetime(2026, 11, 2, 12, tzinfo=UTC))
    return Caller(standin)


def ids_of(reply):
    return [row["id"] for row in reply.json()["data"]] if reply.status == 200 else []


def search(zoho, **query):
    return zoho.get("/Leads/search", per_page=200, **query)


def test_phone_is_found_in_any_spelling_and_any_phone_field(zoho):
    one, other = zoho.leads()[:2]
    zoho.standin.set_record("Leads", one, {"Phone": "(900) 555-0199"})
    zoho.standin.set_record("Leads", other, {"Second_Phone": "+19005550199"})

    assert set(ids_of(search(zoho, phone="900-555-0199"))) == {one, other}
    assert set(ids_of(search(zoho, criteria="(Phone:equals:9005550199)"))) == {one}
    assert set(ids_of(search(zoho, criteria="((Phone:in:9005550198,9005550199)or(Second_Phone:in:9005550199))"))) == {
        one,
        other,
    }


def test_plus_in_an_address_must_be_encoded(zoho):
    zoho.standin.set_record("Leads", zoho.lead(), {"Email": "a+b@example.com"})

    assert zoho.send("GET", "/Leads/search?email=a%2Bb@example.com").status == 200
    assert zoho.send("GET", "/Leads/search?email=a+b@example.com").status == 204


def test_email_and_word(zoho):
    zoho.standin.set_record("Leads", zoho.lead(), {"Email": "Rare@example.com", "Company": "Quixotic Haulage"})

    assert ids_of(search(zoho, email="rare@EXAMPLE.com")) == [zoho.lead()]
    assert ids_of(search(zoho, word="quixotic")) == [zoho.lead()]
    assert zoho.code(search(zoho, word="q")) == "INVALID_DATA"


def test_criteria_join_and_nest(zoho):
    one, other = zoho.leads()[:2]
    zoho.standin.set_record("Leads", one, {"City": "Reno", "Lead_Score": 7, "Company": "A (B), C"})
    zoho.standin.set_record("Leads", other, {"City": "Reno", "Lead_Score": 8})

    both = search(zoho, criteria="((City:starts_with:ren)and(Lead_Score:between:7,8))")
    first = search(zoho, criteria="((City:in:Reno,Elko)and((Lead_Score:equals:7)or(Lead_Score:equals:9)))")
    escaped = search(zoho, criteria="(Company:equals:A \\(B\\)\\, C)")

    assert ids_of(both) == [other, one]
    assert ids_of(first) == [one]
    assert ids_of(escaped) == [one]


def test_equals_on_a_text_finds_more_than_equal_values(zoho):
    zoho.standin.set_record("Leads", zoho.lead(), {"City": "North Reno"})

    assert ids_of(search(zoho, criteria="(City:equals:Reno)")) == [zoho.lead()]


def test_converted_and_pending_leads_hide(zoho):
    converted, pending = zoho.lead("converted"), zoho.lead("pending")
    for record_id in (converted, pending):
        zoho.standin.set_record("Leads", record_id, {"City": "Hiddenville"})

    assert search(zoho, word="hiddenville").status == 204
    assert set(ids_of(search(zoho, word="hiddenville", converted="both", approved="both"))) == {converted, pending}


def test_index_lags_behind_the_records_on_the_clock(zoho):
    zoho.standin.zoho.settings.search_lag_s = 5
    lead = zoho.lead()
    zoho.put({"id": lead, "City": "Oldtown"})
    zoho.standin.clock.advance(6)

    zoho.put({"id": lead, "City": "Newtown"})
    added = zoho.post("/Leads", {"Last_Name": "Fresh", "City": "Newtown"}).json()["data"][0]["details"]["id"]

    assert search(zoho, word="newtown").status == 204
    assert ids_of(search(zoho, word="oldtown")) == [lead]
    zoho.standin.clock.advance(6)
    assert ids_of(search(zoho, word="newtown")) == [added, lead]
    assert search(zoho, word="oldtown").status == 204


def test_search_reaches_two_thousand_rows(zoho):
    reply = search(zoho, word="an", page=11)

    assert (reply.status, zoho.code(reply)) == (400, "LIMIT_REACHED")
    assert reply.json()["details"]["limit"] == "2000"


@pytest.mark.parametrize(
    ("criteria", "code"),
    [
        ("(City:resembles:Reno)", "INVALID_QUERY"),
        ("(Nowhere:equals:Reno)", "INVALID_QUERY"),
        ("(Lead_Score:equals:many)", "INVALID_QUERY"),
        ("(City:equals:Reno", "INVALID_QUERY"),
        ("(City)", "INVALID_QUERY"),
        ("and".join(["(City:equals:Reno)"] * 11), "CRITERIA_LIMIT_EXCEEDED"),
        (f"(City:in:{','.join('x' * 101)})", "CRITERIA_LIMIT_EXCEEDED"),
        (f"(City:equals:{'x' * 3000})", "LIMIT_EXCEEDED"),
    ],
)
def test_bad_criteria_are_named(zoho, criteria, code):
    reply = search(zoho, criteria=f"({criteria})" if "and" in criteria else criteria)

    assert (reply.status, zoho.code(reply)) == (400, code)


def test_search_without_a_selector(zoho):
    assert zoho.code(search(zoho)) == "EXPECTED_PARAM_MISSING"
