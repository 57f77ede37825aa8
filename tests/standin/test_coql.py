import json
import time
from datetime import UTC, datetime

import pytest

from portal.standin import Standin
from tests.standin.caller import Caller


@pytest.fixture
def zoho():
    standin = Standin(leads=3_000)
    standin.clock.freeze(datetime(2026, 11, 2, 12, tzinfo=UTC))
    return Caller(standin)


def found(zoho, where, tail=""):
    reply = zoho.coql(f"select id from Leads where {where} {tail}")
    return [row["id"] for row in reply.json()["data"]] if reply.status == 200 else []


def test_select_gives_columns_through_lookups_and_always_the_id(zoho):
    row = zoho.coql("select last_name, Owner, Owner.last_name from leads where id is not null limit 1").json()["data"][
        0
    ]

    assert set(row) == {"id", "Last_Name", "Owner", "Owner.last_name"}
    assert row["Owner"]["name"].endswith(row["Owner.last_name"])


def test_joined_column_of_another_module(zoho):
    query = "select Related_Account.Account_Name from Leads where Related_Account is not null limit 3"

    names = [row["Related_Account.Account_Name"] for row in zoho.coql(query).json()["data"]]

    assert all("Relocations" in name for name in names)


def test_operators(zoho):
    one, other = zoho.leads()[:2]
    zoho.standin.set_record("Leads", one, {"City": "O'Fallon", "Lead_Score": 1_000, "Website": None})
    zoho.standin.set_record("Leads", other, {"City": "Ofallon Heights", "Lead_Score": 2_000})
    both = [one, other]

    assert found(zoho, "City = 'O''Fallon'") == [one]
    assert found(zoho, "City like '%fallon%'") == both
    assert found(zoho, "Lead_Score > 999 and Lead_Score != 2000") == [one]
    assert found(zoho, "Lead_Score between 1000 and 2000") == both
    assert found(zoho, "Lead_Score not between 0 and 1500") == [other]
    assert found(zoho, "City in ('O''Fallon', 'Nowhere')") == [one]
    assert found(zoho, f"id in ('{one}','{other}') and City not in ('O''Fallon')") == [other]
    assert found(zoho, "Lead_Score >= 1000 and (City = 'x' or (Lead_Score < 1500 and City is not null))") == [one]
    assert found(zoho, "Lead_Score >= 1000 and City is null") == []


def test_equality_is_exact_as_stored(zoho):
    lead = zoho.lead()
    zoho.standin.set_record("Leads", lead, {"Phone": "(900) 555-0199"})

    assert found(zoho, "Phone = '9005550199' or Mobile = '9005550199'") == []
    assert found(zoho, "(Phone in ('(900) 555-0199') or Mobile in ('x')) and Converted__s = false") == [lead]


def test_query_sees_a_write_at_once_and_converted_leads_too(zoho):
    lead, converted = zoho.lead(), zoho.lead("converted")
    zoho.put({"id": lead, "Lead_Status": "Brand New"})

    assert found(zoho, "Lead_Status = 'Brand New'") == [lead]
    assert found(zoho, f"id = '{converted}'") == [converted]
    assert found(zoho, f"id = '{converted}' and Converted__s = 'false'") == []


def test_default_order_is_by_id_and_default_limit_200(zoho):
    ids = found(zoho, "id is not null")

    assert ids == zoho.standin.ids("Leads")[:200]


def test_order_limit_and_offset(zoho):
    rows = zoho.coql(
        "select Last_Name, Lead_Score from Leads where id is not null order by Lead_Score desc, Last_Name limit 50 offset 5"
    ).json()["data"]

    keys = [(-row["Lead_Score"], row["Last_Name"]) for row in rows]
    assert keys == sorted(keys)
    assert found(zoho, "id is not null", "limit 3 offset 2") == found(zoho, "id is not null", "limit 2, 3")


def test_keyset_walk_by_modified_time_meets_every_lead_once(zoho):
    moment, last, seen = "2020-01-01T00:00:00+00:00", "0", []
    while True:
        reply = zoho.coql(
            f"select id, Modified_Time from Leads where Modified_Time >= '{moment}' "
            f"and (Modified_Time > '{moment}' or id > '{last}') order by Modified_Time asc, id asc limit 700"
        )
        if reply.status == 204:
            break
        rows = reply.json()["data"]
        seen += [row["id"] for row in rows]
        moment, last = rows[-1]["Modified_Time"], rows[-1]["id"]

    assert len(seen) == len(set(seen)) == 3_000


def test_keyset_walk_finds_what_changed_since(zoho):
    zoho.standin.clock.advance(60)
    changed = zoho.leads()[5:8]
    zoho.put(*({"id": record_id, "City": "Reno"} for record_id in changed))

    assert found(zoho, "Modified_Time >= '2026-11-02T12:01:00+00:00'") == changed
    assert found(zoho, "Modified_Time > '2026-11-02T12:01:00+00:00'") == []


def test_more_records_tells_whether_there_are(zoho):
    first = zoho.coql("select id from Leads where id is not null limit 2000").json()["info"]
    rest = zoho.coql("select id from Leads where id is not null limit 2000 offset 2000").json()["info"]

    assert first == {"count": 2000, "more_records": True}
    assert rest == {"count": 1000, "more_records": False}


def test_a_view_may_stand_in_for_the_module(zoho):
    view = "5725767000000801003"

    rows = zoho.coql(f"select Lead_Status from Leads#{view} where id is not null").json()["data"]

    assert {row["Lead_Status"] for row in rows} == {"Not Contacted"}


def test_nothing_found_is_204(zoho):
    assert zoho.coql("select id from Leads where City = 'Nowhere'").status == 204


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("select id from Leads", "SYNTAX_ERROR"),
        ("select id Leads where id is not null", "SYNTAX_ERROR"),
        ("select id from Leads where City = Reno", "SYNTAX_ERROR"),
        ("select id from Leads where City = 'Reno' limit many", "SYNTAX_ERROR"),
        ("select id from Leads where City = 'Reno' extra", "SYNTAX_ERROR"),
        ("select id from Leads where (City = 'Reno'", "SYNTAX_ERROR"),
        ("update Leads set City = 'Reno'", "SYNTAX_ERROR"),
        ("select id from Leads where City @ 'Reno'", "SYNTAX_ERROR"),
        ("select Nowhere from Leads where id is not null", "INVALID_QUERY"),
        ("select id from Leads where Nowhere = '1'", "INVALID_QUERY"),
        ("select id from Nothing where id is not null", "INVALID_QUERY"),
        ("select id from Leads where Description = 'x'", "INVALID_QUERY"),
        ("select id from Leads where Lead_Score = 'many'", "INVALID_QUERY"),
        ("select id from Leads where id is not null limit 2001", "LIMIT_EXCEEDED"),
        ("select id from Leads where id is not null limit 1 offset 100001", "LIMIT_EXCEEDED"),
        (f"select id from Leads where City in ({','.join(['1'] * 101)})", "LIMIT_EXCEEDED"),
        (f"select id from Leads where {' and '.join(['Lead_Score > 1'] * 26)}", "LIMIT_EXCEEDED"),
        (
            "select Owner.last_name, Referred_By.Phone, Related_Account.Phone from Leads where id is not null",
            "LIMIT_EXCEEDED",
        ),
    ],
)
def test_bad_queries_are_named(zoho, query, code):
    reply = zoho.coql(query)

    assert (reply.status, zoho.code(reply)) == (400, code)


def test_syntax_error_says_where(zoho):
    details = zoho.coql("select id from Leads where City @ 'x'").json()["details"]

    assert details == {"near": "@ 'x'", "line": 1, "column": 32}


@pytest.mark.parametrize(
    "query",
    [
        "select count(id) from Leads where id is not null",
        "select Last_Name as name from Leads where id is not null",
        "select City from Leads where id is not null group by City",
    ],
)
def test_what_is_not_built_says_so(zoho, query):
    assert zoho.coql(query).status == 501


@pytest.mark.parametrize(("limit", "price"), [(200, 1), (201, 2), (1000, 2), (1001, 3), (2000, 3)])
def test_credits_follow_the_limit_asked_for(zoho, limit, price):
    before = zoho.standin.counters.credits_used

    zoho.coql(f"select id from Leads where City = 'Nowhere' limit {limit}")

    assert zoho.standin.counters.credits_used - before == price


def test_needs_the_scope_of_the_module_too(zoho):
    narrow = Caller(zoho.standin, scopes="ZohoCRM.coql.READ ZohoCRM.modules.deals.READ")

    assert narrow.code(narrow.coql("select id from Leads where id is not null")) == "OAUTH_SCOPE_MISMATCH"
    assert narrow.coql("select id from Deals where id is not null").status == 200


def test_lookup_by_phone_in_a_large_org_is_cheap_after_the_first():
    zoho = Caller(Standin(leads=100_000))
    query = {"select_query": "select id from Leads where Phone in ('1','2') or Mobile in ('1','2')"}
    zoho.send("POST", "/coql", query)

    started = time.process_time()
    zoho.send("POST", "/coql", json.loads(json.dumps(query)))

    assert time.process_time() - started < 0.02
