"""Reading pages of records: sources, order, search, many fields, missing ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.cache import cache

from crm import metadata, record_order, record_source, viewer, wide_reading
from crm.record_source import GivenIds, Listing, Look, Refused
from portal.models import Connection, Run, RunItem
from portal.remote import errors
from portal.standin import Standin
from portal.standin.zoho.views import ALL_LEADS, EMPTY_VIEW, NOT_CONTACTED, UNREAD_LEADS


@pytest.fixture(autouse=True)
def fresh_cache(settings: Any) -> Iterator[None]:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    cache.clear()
    yield
    cache.clear()


def look_at(zoho: Connection, source: Any, fields: str = "Full_Name,Email", **values: Any) -> Look:
    columns = metadata.fields(zoho, source.module)
    chosen, unknown = viewer.choose_fields(columns, fields.split(","))
    assert not unknown
    return Look(source, {column.api_name: column for column in columns}, chosen, **values)


def given(zoho: Connection, ids: list[str]) -> GivenIds:
    return GivenIds(zoho, "Leads", "list", f"test-{len(ids)}", len(ids), tuple(ids))


def texts(shown: viewer.Shown, column: int) -> list[str]:
    return [row.cells[column].text for row in shown.rows]


def test_a_page_of_a_list_reads_only_its_fifty_ids(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:120]
    look = look_at(zoho, given(zoho, ids), page=2)
    standin.counters.journal.clear()

    shown = viewer.show(look)

    assert [row.id for row in shown.rows] == ids[50:100], "the order is the list's"
    assert (shown.first, shown.last, shown.total, shown.has_more) == (51, 100, 120, True)
    assert [entry.records for entry in standin.counters.journal if entry.method == "GET"] == [50]


def test_more_than_fifty_fields_are_read_in_several_calls_and_merged_by_id(zoho: Connection, standin: Standin) -> None:
    names = [column.api_name for column in metadata.fields(zoho, "Leads")]
    assert len(names) > 60
    ids = standin.ids("Leads")[:7]

    shown = viewer.show(look_at(zoho, given(zoho, ids), ",".join(names)))

    for record_id, row in zip(ids, shown.rows, strict=True):
        record = standin.record("Leads", record_id)
        by_name = dict(zip([column.name for column in shown.columns[1:]], row.cells, strict=True))
        assert by_name["Full_Name"].text == record["Full_Name"]
        assert by_name["Owner"].text == record["Owner"]["name"], "lookups are shown by name"
        assert by_name["Email_Opt_Out"].text == ("yes" if record["Email_Opt_Out"] else "no")
        assert by_name["Full_Address"].text == record["Full_Address"], "a field of the last group"


def test_ids_that_zoho_does_not_return_are_named(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:5]
    standin.remove("Leads", ids[1])
    asked = [*ids, "5725767000099999999"]

    shown = viewer.show(look_at(zoho, given(zoho, asked)))

    assert shown.missing == [ids[1], "5725767000099999999"]
    assert [row.id for row in shown.rows] == [ids[0], *ids[2:]]


def test_a_field_that_a_record_lacks_stays_an_empty_column(zoho: Connection, standin: Standin) -> None:
    record_id = standin.add_lead()

    shown = viewer.show(look_at(zoho, given(zoho, [record_id]), "Email,Company"))

    assert [column.name for column in shown.columns] == ["id", "Email", "Company"]
    assert [cell.text for cell in shown.rows[0].cells] == ["", ""]


def test_labels_that_repeat_carry_their_api_names(zoho: Connection, standin: Standin) -> None:
    shown = viewer.show(look_at(zoho, given(zoho, standin.ids("Leads")[:1]), "Comments,Comments1,Email"))

    assert [column.label for column in shown.columns[1:]] == ["Comments (Comments)", "Comments (Comments1)", "Email"]


def test_a_list_is_sorted_by_a_column_with_empty_values_last(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:130]
    standin.set_record("Leads", ids[5], {"Lead_Score": 999})
    standin.set_record("Leads", ids[6], {"Lead_Score": None})

    highest = viewer.show(look_at(zoho, given(zoho, ids), "Lead_Score", sort="Lead_Score", descending=True))
    last = viewer.show(look_at(zoho, given(zoho, ids), "Lead_Score", sort="Lead_Score", page=3))

    scores = [int(text) for text in texts(highest, 0)]
    assert highest.rows[0].id == ids[5]
    assert scores == sorted(scores, reverse=True)
    assert last.rows[-1].id == ids[6], "nothing sorts last, in both directions"


def test_sorting_reads_the_column_once_and_keeps_it_encrypted(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:200]
    look = look_at(zoho, given(zoho, ids), "Email", sort="Email")
    viewer.show(look)
    standin.counters.journal.clear()

    viewer.show(look_at(zoho, given(zoho, ids), "Email", sort="Email", descending=True))

    assert sum(entry.method == "GET" for entry in standin.counters.journal) == 1, "only the page itself"
    kept = cache.get(f"records:{zoho.pk}:Leads:test-200:Email")
    assert "example.com" not in kept


def test_a_list_is_searched_in_one_column(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:100]
    standin.set_record("Leads", ids[80], {"Company": "Zebra Removals"})

    shown = viewer.show(look_at(zoho, given(zoho, ids), "Company", search="zebra", search_field="Company"))

    assert [row.id for row in shown.rows] == [ids[80]]
    assert shown.total == 1


def test_sorting_a_list_names_all_ids_that_are_gone(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:110]
    standin.remove("Leads", ids[100])

    shown = viewer.show(look_at(zoho, given(zoho, ids), "Email", sort="Email"))

    assert shown.missing == [ids[100]]
    assert shown.missing_everywhere
    assert shown.total == 109


def test_a_list_beyond_the_limit_is_sorted_by_id_only_and_says_so(zoho: Connection, standin: Standin) -> None:
    ids = [str(5725767010001000001 + number) for number in range(record_order.MAX_ARRANGED + 1)]
    shown = viewer.show(look_at(zoho, given(zoho, ids), sort="id", descending=True))
    assert shown.missing[0] == ids[-1]

    with pytest.raises(Refused, match="5,000"):
        viewer.show(look_at(zoho, given(zoho, ids), sort="Email"))
    columns = viewer.columns_of(look_at(zoho, given(zoho, ids)))
    assert [column.is_sortable for column in columns] == [True, False, False]


def test_a_small_view_is_shown_in_its_own_order_and_counted(zoho: Connection, standin: Standin) -> None:
    source = Listing(zoho, "Leads", "view", NOT_CONTACTED)

    shown = viewer.show(look_at(zoho, source, "Lead_Status", page=2))

    assert set(texts(shown, 0)) == {"Not Contacted"}
    assert len(shown.rows) == 50
    assert shown.total is not None
    assert shown.total > 100


def test_every_record_of_a_view_beyond_two_thousand_rows_is_on_exactly_one_page(
    zoho: Connection, standin: Standin
) -> None:
    source = Listing(zoho, "Leads", "view", ALL_LEADS)
    look = look_at(zoho, source)
    with metadata.client_for(zoho) as client:
        total = record_order.count(client, source)
        assert total is not None
        assert total > 2000
        seen: list[str] = []
        for page in range(1, -(-total // 50) + 1):
            seen += record_order.page(client, look_at(zoho, source, page=page)).ids
        walked = list(record_order.walk(client, look))

    assert len(seen) == len(set(seen)) == total
    assert walked == seen, "a download has the order of the pages"


def test_a_view_is_sorted_and_searched_by_zoho(zoho: Connection, standin: Standin) -> None:
    source = Listing(zoho, "Leads", "view", UNREAD_LEADS)
    look = look_at(zoho, source, "Last_Name,City", sort="City", search="o'br", search_field="Last_Name")

    shown = viewer.show(look)

    assert shown.rows
    assert set(texts(shown, 0)) == {"O'Brien"}
    assert texts(shown, 1) == sorted(texts(shown, 1))


@pytest.mark.parametrize("sort", ["Created_Time", "Lead_Score", "id"])
def test_a_whole_module_is_sorted_by_zoho(zoho: Connection, standin: Standin, sort: str) -> None:
    source = Listing(zoho, "Leads", "all Leads")

    ascending = viewer.show(look_at(zoho, source, "Lead_Score,Created_Time", sort=sort))
    descending = viewer.show(look_at(zoho, source, "Lead_Score,Created_Time", sort=sort, descending=True))

    assert len(ascending.rows) == len(descending.rows) == 50
    assert ascending.rows[0].id != descending.rows[0].id


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"sort": "Services"}, "cannot sort"),
        ({"search": "x", "search_field": "Description"}, "cannot search"),
        ({"search": "50%", "search_field": "Email"}, "%"),
        ({"page": 3000}, "100,000"),
    ],
)
def test_what_zoho_cannot_do_is_refused_with_a_way_out(
    zoho: Connection, standin: Standin, values: dict[str, Any], words: str
) -> None:
    with pytest.raises(Refused, match=words) as refused:
        viewer.show(look_at(zoho, Listing(zoho, "Leads", "view", UNREAD_LEADS), **values))
    assert refused.value.remedy


def test_an_empty_view_is_empty_and_a_failing_one_is_an_error(zoho: Connection, standin: Standin) -> None:
    assert viewer.show(look_at(zoho, Listing(zoho, "Leads", "view", EMPTY_VIEW))).is_empty

    look = look_at(zoho, Listing(zoho, "Leads", "view", NOT_CONTACTED))
    standin.faults.add(path="/Leads", status=500)
    with pytest.raises(errors.Unavailable):
        viewer.show(look)


def test_the_records_of_a_run_are_those_of_its_items(zoho: Connection, standin: Standin) -> None:
    run = Run.objects.create(kind="crm.bulk_update", title="t", connection=zoho, parameters={"module": "Leads"})
    ids = standin.ids("Leads")[:3]
    RunItem.objects.bulk_create(
        [RunItem(run=run, position=2 - number, key=record_id) for number, record_id in enumerate(ids)]
    )

    shown = viewer.show(look_at(zoho, record_source.of_run(run)))

    assert [row.id for row in shown.rows] == ids[::-1]
    run.parameters = {}
    with pytest.raises(Refused, match="no CRM records"):
        record_source.of_run(run)


def test_one_text_that_is_no_id_does_not_hide_the_others(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:9]
    refusal = {
        "code": "INVALID_DATA",
        "details": {"param_name": "ids"},
        "message": "the id given seems to be invalid",
        "status": "error",
    }
    asked = [*ids[:4], "1", *ids[4:]]
    fault = standin.faults.add(path=r"[=,C]1(%2C|,|&|$)", status=400, body=refusal)

    with metadata.client_for(zoho) as client:
        rows = list(wide_reading.read(client, "Leads", asked, ["Email"]))

    assert [record_id for record_id, _ in rows] == asked
    assert [record_id for record_id, record in rows if record is None] == ["1"]
    assert fault.fired >= 4, "the call was halved until the text stood alone"


def test_rows_before_a_failing_call_are_given_before_the_error(zoho: Connection, standin: Standin) -> None:
    ids = standin.ids("Leads")[:500]
    Connection.objects.filter(pk=zoho.pk).update(concurrency=1)
    zoho.refresh_from_db()
    standin.faults.add(path="ids=", nth=4, status=403, body={"code": "NO_PERMISSION", "status": "error"})
    got: list[str] = []

    with metadata.client_for(zoho) as client:
        rows = wide_reading.read(client, "Leads", ids, ["Email"])
        with pytest.raises(errors.RemoteError):
            got.extend(record_id for record_id, _ in rows)

    assert got == ids[:150]
