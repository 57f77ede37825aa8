import time
from datetime import UTC, datetime

import pytest

from portal.standin import Standin
from tests.standin.caller import Caller

VIEW = "5725767000000801001"
UNREAD = "5725767000000801002"
NOT_CONTACTED = "5725767000000801003"
EMPTY = "5725767000000801004"


@pytest.fixture
def zoho():
    standin = Standin(leads=3_000)
    standin.clock.freeze(datetime(2026, 11, 1, 12, tzinfo=UTC))
    return Caller(standin)


@pytest.fixture(scope="module")
def large():
    return Caller(Standin(leads=12_000))


def ids_of(reply):
    return [row["id"] for row in reply.json()["data"]]


def walked(zoho, **query):
    reply = zoho.get("/Leads", **query)
    found = ids_of(reply)
    while token := reply.json()["info"]["next_page_token"]:
        reply = zoho.get("/Leads", **query, page_token=token)
        found += ids_of(reply)
    return found


def test_list_wants_fields_and_at_most_fifty(zoho):
    assert zoho.code(zoho.get("/Leads")) == "REQUIRED_PARAM_MISSING"
    assert zoho.code(zoho.get("/Leads", fields=",".join(f"F{n}" for n in range(51)))) == "LIMIT_EXCEEDED"


def test_list_gives_the_asked_fields_youngest_first(zoho):
    reply = zoho.get("/Leads", fields="Last_Name,Owner,Nonsense,$approval_state", per_page=3)

    row = reply.json()["data"][0]
    assert set(row) == {"id", "Last_Name", "Owner", "$approval_state"}
    assert set(row["Owner"]) == {"id", "name", "email"}
    assert ids_of(reply) == sorted(ids_of(reply), reverse=True)
    assert reply.json()["info"]["more_records"] is True


def test_converted_leads_hide_unless_asked_for(zoho):
    converted = zoho.lead("converted")

    assert zoho.get("/Leads", fields="id", ids=converted).status == 204
    assert ids_of(zoho.get("/Leads", fields="id", ids=converted, converted="both")) == [converted]
    assert set(walked(zoho, fields="id", converted="true")) == set(zoho.leads("converted"))


def test_approval_filter(zoho):
    pending = zoho.leads("pending")

    assert set(ids_of(zoho.get("/Leads", fields="id", approved="false"))) == set(pending)
    assert set(pending).isdisjoint(walked(zoho, fields="id", approved="true"))


def test_pages_reach_two_thousand_rows_and_tokens_the_rest(zoho):
    assert zoho.get("/Leads", fields="id", page=10).status == 200
    beyond = zoho.get("/Leads", fields="id", page=11)
    assert (beyond.status, zoho.code(beyond)) == (400, "DISCRETE_PAGINATION_LIMIT_EXCEEDED")

    found = walked(zoho, fields="id")

    assert len(found) == len(set(found)) == 3_000 - len(zoho.leads("converted"))


def test_page_token_is_bound_to_the_other_parameters(zoho):
    token = zoho.get("/Leads", fields="id").json()["info"]["next_page_token"]

    assert zoho.code(zoho.get("/Leads", fields="id,Email", page_token=token)) == "TOKEN_BOUND_DATA_MISMATCH"
    assert zoho.code(zoho.get("/Leads", fields="id", page_token=token, page=2)) == "AMBIGUITY_DURING_PROCESSING"
    assert zoho.code(zoho.get("/Leads", fields="id", page_token="made-up")) == "INVALID_DATA"
    assert zoho.get("/Leads", fields="id", page_token=token).status == 200


def test_page_token_expires_after_a_day(zoho):
    token = zoho.get("/Leads", fields="id").json()["info"]["next_page_token"]
    zoho.standin.clock.advance(86_401)
    zoho.token = zoho.ask_token(grant_type="authorization_code", code=zoho.standin.zoho.tokens.mint_code())[
        "access_token"
    ]

    assert zoho.code(zoho.get("/Leads", fields="id", page_token=token)) == "EXPIRED_VALUE"


def test_walk_keeps_its_rows_while_others_join_and_leave(zoho):
    first = zoho.get("/Leads", fields="id")
    zoho.standin.add_lead()

    second = zoho.get("/Leads", fields="id", page_token=first.json()["info"]["next_page_token"])

    assert set(ids_of(first)).isdisjoint(ids_of(second))


def test_view_and_sorting_exclude_each_other(zoho):
    reply = zoho.get("/Leads", fields="id", cvid=VIEW, sort_by="Modified_Time")

    assert zoho.code(reply) == "AMBIGUITY_DURING_PROCESSING"


def test_sorting_by_a_time_and_by_nothing_else(zoho):
    rows = zoho.get("/Leads", fields="Modified_Time", sort_by="Modified_Time", sort_order="asc").json()["data"]
    times = [datetime.fromisoformat(row["Modified_Time"]) for row in rows]

    assert times == sorted(times)
    assert zoho.code(zoho.get("/Leads", fields="id", sort_by="Email")) == "INVALID_DATA"


def test_nothing_modified_answers_304_and_something_only_itself(zoho):
    header = {"If-Modified-Since": "2026-10-01T00:00:00+00:00"}
    assert zoho.get("/Leads", fields="id", headers=header).status == 304

    lead = zoho.lead()
    zoho.standin.set_record("Leads", lead, {"City": "Moved"})

    assert ids_of(zoho.get("/Leads", fields="id", headers=header)) == [lead]


def test_empty_view_answers_204_without_a_body(zoho):
    reply = zoho.get("/Leads", fields="id", cvid=EMPTY)

    assert (reply.status, reply.body) == (204, b"")
    assert zoho.code(zoho.get("/Leads", fields="id", cvid="1")) == "INVALID_DATA"


def test_unread_view_holds_2350_open_leads_in_any_large_org(large):
    assert large.get("/Leads/actions/count", cvid=UNREAD).json() == {"count": "2350"}
    assert len(walked(large, fields="id", cvid=UNREAD)) == 2_350
    assert set(walked(large, fields="id", cvid=UNREAD)).isdisjoint(large.leads("converted"))


def test_status_view_follows_the_status(zoho):
    before = walked(zoho, fields="id", cvid=NOT_CONTACTED)
    plain = set(zoho.leads())
    lead = next(record_id for record_id in before if record_id in plain)

    zoho.put({"id": lead, "Lead_Status": "Contacted"})

    assert set(before) - set(walked(zoho, fields="id", cvid=NOT_CONTACTED)) == {lead}


def test_list_by_ids_is_limited_by_length(zoho):
    ids = zoho.leads()[:60]

    assert set(ids_of(zoho.get("/Leads", fields="id", ids=",".join(ids[:50])))) == set(ids[:50])
    assert zoho.code(zoho.get("/Leads", fields="id", ids=",".join(ids))) == "LIMIT_EXCEEDED"


def test_one_record_has_all_fields_and_an_unknown_one_is_204(zoho):
    row = zoho.get(f"/Leads/{zoho.lead('blueprint')}").json()["data"][0]

    assert len(row) > 60
    assert row["$process_flow"] is True
    assert zoho.get("/Leads/5725767010009999999").status == 204


def test_times_carry_the_zone_of_the_org_and_no_fraction(zoho):
    moment = zoho.get(f"/Leads/{zoho.lead()}").json()["data"][0]["Created_Time"]

    assert datetime.fromisoformat(moment).utcoffset() is not None
    assert "." not in moment
    assert not moment.endswith("Z")


def test_count_of_all_and_by_criteria(zoho):
    assert zoho.get("/Leads/actions/count").json() == {"count": str(3_000 - len(zoho.leads("converted")))}
    assert zoho.get("/Leads/actions/count", criteria="(Lead_Status:equals:Nope)").json() == {"count": "0"}
    both = zoho.get("/Leads/actions/count", cvid=VIEW, phone="12345")
    assert zoho.code(both) == "AMBIGUITY_DURING_PROCESSING"


def test_deleted_records_are_listed_with_their_time(zoho):
    lead = zoho.lead()
    assert zoho.get("/Leads/deleted").status == 204

    zoho.send("DELETE", f"/Leads?ids={lead}")

    assert [row["id"] for row in zoho.get("/Leads/deleted").json()["data"]] == [lead]
    assert zoho.get("/Leads/deleted", headers={"If-Modified-Since": "2027-01-01T00:00:00+00:00"}).status == 304
    assert zoho.get(f"/Leads/{lead}").status == 204


def test_same_seed_gives_the_same_records_and_another_seed_others():
    first, again, other = (Standin(leads=100, seed=seed) for seed in (1, 1, 2))
    lead = first.ids("Leads")[7]

    assert first.record("Leads", lead) == again.record("Leads", lead)
    assert first.record("Leads", lead) != other.record("Leads", lead)


def test_a_hundred_thousand_leads_start_at_once_and_late_pages_cost_no_more():
    started = time.process_time()
    zoho = Caller(Standin(leads=101_000))
    assert time.process_time() - started < 1

    token = zoho.get("/Leads", fields="Last_Name").json()["info"]["next_page_token"]
    pages, slowest = 1, 0.0
    while True:
        begun = time.process_time()
        reply = zoho.get("/Leads", fields="Last_Name", page_token=token)
        slowest = max(slowest, time.process_time() - begun)
        if reply.status != 200:
            break
        token, pages = reply.json()["info"]["next_page_token"], pages + 1

    assert (pages, zoho.code(reply)) == (500, "PAGINATION_LIMIT_EXCEEDED")
    assert slowest < 0.1
