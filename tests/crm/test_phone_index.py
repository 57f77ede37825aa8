"""The index of telephone numbers: any stored format is found, changes are seen at once, failures are no answer."""

from __future__ import annotations

import pytest

from crm import metadata
from crm.models import PhoneEntry
from crm.phone_index import PhoneIndex, sources
from portal.models import Cursor
from portal.remote import errors

FORMATS = [
    "+15105551234",
    "(510) 555-1234",
    "510.555.1234",
    "510 555 1234",
    "1-510-555-1234",
    "5105551234",
    "510-555-1234 ext. 12",
    "+1 510/555-1234",
]


def index_of(zoho, regions=("US",)):
    client = metadata.client_for(zoho)
    return PhoneIndex(client, zoho, sources(zoho, ("Leads", "Contacts")), regions)


@pytest.mark.parametrize("stored", FORMATS)
@pytest.mark.parametrize("field", ["Phone", "Mobile"])
def test_a_number_is_found_in_whatever_format_it_was_typed(zoho, standin, stored, field):
    lead = standin.add_lead(**{field: stored})
    index = index_of(zoho)
    index.refresh()
    assert index.find(["+15105551234"]) == {"+15105551234": [("Leads", lead)]}


def test_a_record_made_after_the_last_look_is_found_by_the_next(zoho, standin):
    index = index_of(zoho)
    index.refresh()
    lead = standin.add_lead(Phone="+15105551234")
    index.refresh()
    assert index.find(["+15105551234"])["+15105551234"] == [("Leads", lead)]


def test_a_changed_number_is_no_longer_found_under_the_old_one(zoho, standin):
    lead = standin.add_lead(Phone="+15105551234")
    index = index_of(zoho)
    index.refresh()
    standin.set_record("Leads", lead, {"Phone": "+15105559999"})
    index.refresh()
    assert not index.find(["+15105551234"])
    assert index.find(["+15105559999"])["+15105559999"] == [("Leads", lead)]


def test_all_leads_are_read_with_two_thousand_a_call_and_changes_with_one_call(zoho, standin):
    index = index_of(zoho)
    index.refresh()
    first = standin.counters.as_dict()
    assert PhoneEntry.objects.filter(module="Leads").values("record_id").distinct().count() > 2000
    before = coql_calls(standin)
    index.refresh()
    assert coql_calls(standin) - before == 2  # one for each module
    assert first


def test_converted_leads_are_in_the_index(zoho, standin):
    lead = standin.add_lead(Phone="+15105551234")
    standin.set_record("Leads", lead, {"Converted__s": True})
    index = index_of(zoho)
    index.refresh()
    assert index.find(["+15105551234"])["+15105551234"] == [("Leads", lead)]


def test_a_reading_that_broke_off_continues_where_it_was(zoho, standin, settings):
    settings.REMOTE_MAX_ATTEMPTS = 1
    index = index_of(zoho)
    standin.faults.add(path="/coql", nth=3, status=500)
    with pytest.raises(errors.RemoteError):
        index.refresh()
    assert Cursor.objects.get(name=f"phones:{zoho.pk}:Leads").value["after_id"] != "0"
    standin.faults.clear()
    index = index_of(zoho)
    index.refresh()
    leads = {record_id: standin.record("Leads", record_id) for record_id in standin.ids("Leads")}
    expected = {record_id for record_id, lead in leads.items() if index.numbers_of(lead, ("Phone", "Mobile"))}
    assert expected <= set(PhoneEntry.objects.filter(module="Leads").values_list("record_id", flat=True))


def test_a_restored_record_is_found_after_a_month_at_the_latest(zoho, standin):
    lead = standin.add_lead(Phone="+15105551234")
    index = index_of(zoho)
    index.refresh()
    standin.clock.advance(3600)
    standin.add_lead(Phone="+15105559999")  # the overlap of the last change is over
    index.refresh()
    index.forget("Leads", [lead])
    index_of(zoho).refresh()
    assert not index_of(zoho).find(["+15105551234"])
    cursor = Cursor.objects.get(name=f"phones:{zoho.pk}:Leads")
    cursor.value["built_at"] = "2020-01-01T00:00:00+00:00"
    cursor.save()
    index_of(zoho).refresh()
    assert index_of(zoho).find(["+15105551234"])["+15105551234"] == [("Leads", lead)]


def test_a_failed_reading_is_an_error_and_not_an_empty_answer(zoho, standin):
    standin.faults.add(path="/coql", status=500)
    with pytest.raises(errors.Unavailable):
        index_of(zoho).refresh()


def test_a_second_country_reads_the_same_text_as_another_number(zoho, standin):
    lead = standin.add_lead(Phone="020 7946 0018")
    index = index_of(zoho, ("US", "GB"))
    index.refresh()
    assert index.find(["+442079460018"])["+442079460018"] == [("Leads", lead)]


def test_another_set_of_countries_reads_everything_anew(zoho, standin):
    index_of(zoho, ("US",)).refresh()
    lead = standin.add_lead(Phone="020 7946 0018")
    index = index_of(zoho, ("GB",))
    index.refresh()
    assert index.find(["+442079460018"])["+442079460018"] == [("Leads", lead)]


def coql_calls(standin):
    return len(standin.counters.journal_rows(lambda entry: entry.path.endswith("/coql")))
