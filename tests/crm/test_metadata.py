"""Zoho's metadata here: how old it is, when it is read again, and how its picklists are offered."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.test import Client
from django.utils import timezone

from crm import mandatory, metadata
from crm.models import Metadata, PicklistPreference
from portal.models import Connection
from portal.remote import errors
from portal.standin import Standin

pytestmark = pytest.mark.django_db

# The values of the program that this portal replaces, in its order.
STATUSES = [
    "Not Contacted", "Self Storage Questions Sent", "Move Questionnaire Sent", "Move Questionnaire Follow Up",
    "Move Questionnaire Completed", "Onsite Survey Booked", "On Hold", "Duplicate Lead", "Closed Lost", "Junk Lead",
    "Not Qualified",
]  # fmt: skip


def settings_calls(standin: Standin) -> int:
    return sum("/settings/" in entry.path for entry in standin.counters.journal)


def test_metadata_is_read_once_an_hour(zoho: Connection, standin: Standin) -> None:
    first = metadata.fields(zoho, "Leads")
    assert metadata.fields(zoho, "Leads") == first
    assert settings_calls(standin) == 1
    Metadata.objects.update(fetched_at=timezone.now() - dt.timedelta(minutes=61))
    metadata.fields(zoho, "Leads")
    assert settings_calls(standin) == 2
    assert timezone.now() - metadata.fetched_at(zoho, "Leads") < dt.timedelta(minutes=1)


def test_reloading_reads_what_is_new(zoho: Connection, standin: Standin) -> None:
    status = metadata.field(zoho, "Leads", "Lead_Status")
    row = Metadata.objects.get(name="fields:Leads")
    for field in row.content:
        if field["api_name"] == "Lead_Status":
            field["choices"] = []
    row.save()
    assert metadata.field(zoho, "Leads", "Lead_Status").choices == ()
    metadata.reload(zoho, "Leads")
    assert metadata.fetched_at(zoho, "Leads") is None
    assert metadata.field(zoho, "Leads", "Lead_Status") == status


def test_all_kinds_come_back_from_the_store_as_they_were_read(zoho: Connection) -> None:
    for read in (lambda: metadata.modules(zoho), lambda: metadata.fields(zoho, "Leads"),
                 lambda: metadata.layouts(zoho, "Leads"), lambda: metadata.views(zoho, "Leads")):  # fmt: skip
        assert read() == read()
        assert read()


def test_what_cannot_be_read_is_an_error_and_is_not_kept(zoho: Connection, standin: Standin) -> None:
    standin.faults.add(path="settings/fields", status=403, times=1)
    with pytest.raises(errors.RemoteError):
        metadata.fields(zoho, "Leads")
    assert not Metadata.objects.exists()
    assert metadata.fields(zoho, "Leads")


def test_an_unknown_field_is_none(zoho: Connection) -> None:
    assert metadata.field(zoho, "Leads", "Nonsense") is None


def test_only_picklists_that_can_be_written_are_offered(zoho: Connection) -> None:
    found = metadata.picklist_fields(zoho, "Leads")
    assert {entry.data_type for entry in found} == {"picklist"}
    assert all(entry.is_writable for entry in found)
    assert "Lead_Status" in [entry.api_name for entry in found]


# --- how a picklist is offered ------------------------------------------------------------------------------------------


def status_of(zoho: Connection) -> Any:
    return metadata.field(zoho, "Leads", "Lead_Status")


def test_a_new_portal_offers_the_eleven_statuses_in_their_order_with_junk_lead_preselected(zoho: Connection) -> None:
    offer = metadata.offer("Leads", status_of(zoho))
    assert [choice.value for choice in offer.choices][: len(STATUSES)] == STATUSES
    assert offer.default == "Junk Lead"
    assert offer.stale == ()


def test_order_hiding_default_and_stale_entries_follow_the_preferences(zoho: Connection) -> None:
    PicklistPreference.objects.filter(value="Junk Lead").update(is_default=False)
    PicklistPreference.objects.filter(value="On Hold").update(position=0, is_default=True)
    PicklistPreference.objects.filter(value="Not Qualified").update(is_hidden=True)
    PicklistPreference.objects.create(value="Gone from Zoho", position=1)
    offer = metadata.offer("Leads", status_of(zoho))
    values = [choice.value for choice in offer.choices]
    assert values[0] == offer.default == "On Hold"
    assert "Not Qualified" not in values
    assert "Gone from Zoho" not in values
    assert offer.stale == ("Gone from Zoho",)


def test_a_default_that_zoho_does_not_know_is_none(zoho: Connection) -> None:
    PicklistPreference.objects.update(is_default=False)
    PicklistPreference.objects.create(value="Gone from Zoho", is_default=True)
    assert metadata.offer("Leads", status_of(zoho)).default == ""


def test_a_default_that_is_hidden_is_not_preselected(zoho: Connection) -> None:
    PicklistPreference.objects.filter(value="Junk Lead").update(is_hidden=True)
    assert metadata.offer("Leads", status_of(zoho)).default == ""


def test_there_is_one_default_a_field() -> None:
    other = PicklistPreference(value="Another", is_default=True)
    with pytest.raises(ValidationError):
        other.full_clean()
    with pytest.raises(IntegrityError), transaction.atomic():
        other.save()


def test_mandatory_fields_are_those_of_the_layouts_and_those_an_administrator_added(
    zoho: Connection, login: Callable[..., Client]
) -> None:
    of_layouts = mandatory.required_fields(zoho, "Leads")
    assert "Last_Name" in of_layouts
    administrator = login("Administrator", is_staff=True)
    administrator.post("/admin/crm/mandatoryfield/add/", {"module": "Leads", "field": "Rating"})
    administrator.post("/admin/crm/mandatoryfield/add/", {"module": "Contacts", "field": "Phone"})
    assert mandatory.required_fields(zoho, "Leads") == [*of_layouts, "Rating"]
