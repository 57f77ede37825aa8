"""What Zoho says about each record of a call: never about another one, however odd the answer is."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from crm.zoho.results import RowResult, rows_of

IDS = [str(4876876000000000000 + number) for number in range(6)]
OK = {"status": "success", "code": "SUCCESS", "message": "record updated"}
BAD = {"status": "error", "code": "INVALID_DATA", "message": "invalid data"}


def answer(*rows: Any) -> dict[str, Any]:
    return {"data": list(rows)}


def ok(record_id: str) -> dict[str, Any]:
    return OK | {"details": {"id": record_id, "Modified_Time": "2026-05-04T12:00:00+02:00"}}


def refused(**details: Any) -> dict[str, Any]:
    return BAD | {"details": details}


def outcomes(reply: Any, ids: list[str]) -> list[bool | None]:
    return [None if row is None else row.ok for row in rows_of(reply, ids)]


def test_rows_come_back_in_the_order_of_the_call() -> None:
    found = rows_of(answer(ok(IDS[0]), refused(api_name="Email", json_path="$.data[1].Email"), ok(IDS[2])), IDS[:3])
    assert [row.ok for row in found if row] == [True, False, True]
    assert found[1] == RowResult(
        False, "INVALID_DATA", "invalid data", {"api_name": "Email", "json_path": "$.data[1].Email"}
    )
    assert found[1].field == "Email"


def test_an_error_row_without_an_id_belongs_to_its_position_in_a_complete_answer() -> None:
    reply = answer(ok(IDS[0]), refused(api_name="Lead_Status"), refused(), ok(IDS[3]))
    assert outcomes(reply, IDS[:4]) == [True, False, False, True]


def test_two_hundred_leads_with_twenty_refusals_are_two_hundred_outcomes() -> None:
    ids = [str(10**18 + number) for number in range(200)]
    reply = answer(*(refused() if number % 10 == 3 else ok(record_id) for number, record_id in enumerate(ids)))
    found = rows_of(reply, ids)
    assert len(found) == 200
    assert [number for number, row in enumerate(found) if row is None or not row.ok] == list(range(3, 200, 10))


@given(st.permutations(range(6)), st.sets(st.integers(0, 5)))
def test_a_shuffled_answer_reaches_the_records_that_it_names_and_no_other(order: list[int], bad: set[int]) -> None:
    rows = [refused(api_name="Email") if number in bad else ok(IDS[number]) for number in order]
    found = outcomes(answer(*rows), IDS)
    named = [number for number in order if number not in bad]
    assert all(found[number] is True for number in named)
    aligned = all(order[place] == place for place in range(6) if order[place] not in bad)
    assert all(found[number] in ((False, None) if aligned else (None,)) for number in bad)


@given(st.sets(st.integers(0, 5)), st.sets(st.integers(0, 5)))
def test_a_short_answer_leaves_what_it_does_not_name_open(left_out: set[int], bad: set[int]) -> None:
    rows = [
        refused(json_path=f"$.data[{number}].Email") if number in bad else ok(IDS[number])
        for number in range(6) if number not in left_out
    ]  # fmt: skip
    found = outcomes(answer(*rows), IDS)
    assert found == [None if number in left_out else number not in bad for number in range(6)]


def test_a_row_too_many_decides_nothing_by_position() -> None:
    assert outcomes(answer(refused(), refused(), refused()), IDS[:2]) == [None, None]


def test_an_id_that_was_not_sent_is_nobodys() -> None:
    assert outcomes(answer(ok(IDS[5]), ok(IDS[1])), IDS[:2]) == [None, True]


def test_contradictions_about_a_record_leave_it_open() -> None:
    assert outcomes(answer(ok(IDS[0]), BAD | {"details": {"id": IDS[0]}}), IDS[:2]) == [None, None]
    assert outcomes(answer(ok(IDS[0]), ok(IDS[0])), IDS[:2]) == [True, None]


def test_an_index_beyond_the_call_is_nobodys() -> None:
    assert outcomes(answer(refused(json_path="$.data[9].Email")), IDS[:2]) == [None, None]


@pytest.mark.parametrize(
    "row",
    [
        {"status": "success", "details": {"id": IDS[0]}},
        {"code": "SUCCESS", "details": {"id": IDS[0]}},
        {"status": "success", "code": "DUPLICATE_DATA", "details": {"id": IDS[0]}},
        {"status": "error", "code": "SUCCESS", "details": {"id": IDS[0]}},
    ],
)
def test_only_a_row_that_says_so_twice_is_a_success(row: dict[str, Any]) -> None:
    (found,) = rows_of(answer(row), IDS[:1])
    assert found is not None
    assert not found.ok
    assert found.code


def test_an_id_given_as_a_number_is_the_same_id() -> None:
    assert outcomes(answer(OK | {"details": {"id": int(IDS[1])}}, ok(IDS[0])), IDS[:2]) == [True, True]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8) | st.sampled_from([*IDS, "SUCCESS", "success"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["data", "details", "id", "code", "status", "json_path", "x"]), inner, max_size=4
        )
    ),
    max_leaves=12,
)


@given(st.one_of(JSON, st.builds(lambda rows: {"data": rows}, st.lists(JSON, max_size=8))))
def test_garbage_is_never_a_success_of_a_record_that_it_does_not_name(reply: Any) -> None:
    found = rows_of(reply, IDS)
    assert len(found) == len(IDS)
    rows = reply.get("data") if isinstance(reply, dict) else None
    for record_id, row in zip(IDS, found, strict=True):
        if row is not None and row.ok:
            assert isinstance(rows, list)
            named = [str(each["details"].get("id")) for each in rows
                     if isinstance(each, dict) and isinstance(each.get("details"), dict)]  # fmt: skip
            assert record_id in named or len(rows) == len(IDS) or any("json_path" in str(each) for each in rows)
