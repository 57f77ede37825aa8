"""The page about lead fields and statuses."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.test import Client
from django.utils.html import escape

from portal.models import AuditEntry, Connection
from telephony import mapping
from telephony.models import Call, FieldMapping, Office, OverwritableStatus, StatusName

URL = "/calls/mappings/"


@pytest.fixture
def oakland(db: None) -> Office:
    return Office.objects.create(
        slug="oakland", name="Oakland", city="Oakland", state="CA", zone="America/Los_Angeles"
    )  # fmt: skip


@pytest.fixture
def administrator(login: Callable[..., Client]) -> Client:
    return login("Administrator")


def mapping_row(**values: Any) -> FieldMapping:
    return FieldMapping.objects.create(**{"call_type": "accepted", "field": "City", "template": "City"} | values)


def sent(client: Client, url: str, *rows: dict[str, Any], step: str = "save") -> dict[str, Any]:
    """What the form sends for these rows."""
    page = client.get(url).content.decode()
    seen = re.search(r'name="seen" value="(\w*)"', page)
    assert seen is not None
    data: dict[str, Any] = {
        "step": step, "seen": seen[1], "row-TOTAL_FORMS": len(rows), "row-INITIAL_FORMS": 0,
    }  # fmt: skip
    for number, entry in enumerate(rows):
        data |= {f"row-{number}-{name}": value for name, value in ({"is_active": "on"} | entry).items() if value}
    return data


def save(client: Client, *rows: dict[str, Any], url: str = URL, step: str = "save") -> Any:
    return client.post(url, sent(client, url, *rows, step=step))


def stored(**values: Any) -> list[tuple[str, str]]:
    return list(FieldMapping.objects.filter(**values).values_list("field", "template"))


# --- rows -------------------------------------------------------------------------------------------------------------


def test_accepted_and_missed_calls_have_tabs_of_their_own(administrator: Client, zoho: Connection) -> None:
    mapping_row(template="Accepted town")
    mapping_row(template="Missed town", call_type="missed")
    accepted, missed = (administrator.get(f"{URL}?type={kind}").content.decode() for kind in ("accepted", "missed"))
    assert "Accepted town" in accepted
    assert "Missed town" not in accepted
    assert "Missed town" in missed


def test_saved_rows_replace_the_old_ones_in_their_order_and_are_audited(
    administrator: Client, zoho: Connection
) -> None:
    mapping_row(field="State", template="State")
    answer = save(
        administrator,
        {"field": "Description", "template": "From ${caller_number}", "position": 30},
        {"field": "City", "template": "${City:uppercase}", "position": 10},
        {"field": "Street", "template": "Street", "position": 20, "is_active": ""},
        {"field": "", "template": ""},
    )
    assert answer.status_code == 302
    assert stored() == [("City", "${City:uppercase}"), ("Street", "Street"), ("Description", "From ${caller_number}")]
    assert list(FieldMapping.objects.values_list("is_active", flat=True)) == [True, False, True]
    entry = AuditEntry.objects.get(action="field mappings changed")
    assert entry.target == "All offices: Accepted calls"
    assert entry.details["before"] == ["State = State"]
    assert entry.details["after"][1] == "Street = Street (off)"


def test_rows_of_an_office_leave_those_of_all_offices_alone(
    administrator: Client, zoho: Connection, oakland: Office
) -> None:
    mapping_row(template="everywhere")
    save(administrator, {"field": "City", "template": "here"}, url=f"{URL}?office=oakland")
    assert stored(office=None) == [("City", "everywhere")]
    assert stored(office=oakland) == [("City", "here")]


def test_two_rows_can_exchange_their_fields(administrator: Client, zoho: Connection) -> None:
    first, second = mapping_row(field="City"), mapping_row(field="State", template="State")
    save(
        administrator,
        {"pk": first.pk, "field": "State", "template": "City", "position": 1},
        {"pk": second.pk, "field": "City", "template": "State", "position": 2},
    )
    assert stored() == [("State", "City"), ("City", "State")]


def test_a_row_ticked_for_removal_goes(administrator: Client, zoho: Connection) -> None:
    row = mapping_row()
    save(administrator, {"pk": row.pk, "field": "City", "template": "${wrong", "remove": "on"})
    assert stored() == []


@pytest.mark.parametrize(
    ("field", "template", "words"),
    [
        ("City", "${caller}", "Position 1: there is no variable “caller”. Did you mean caller_name"),
        ("City", "To ${caller_name:big}", "Position 4: there is no transform “big”"),
        ("City", "", "Position 1: the template is empty"),
        ("Last Name", "x", "“Last Name” is no API name of a field"),
        ("Nowhere", "x", "Zoho's leads have no such field"),
        ("Full_Address", "x", "Zoho does not let programs change this field"),
        ("Origin_Floor", "${caller_name}", "does not fit a field of the type integer"),
        ("Lead_Source", "Radio", "not in Zoho's list"),
    ],
)
def test_a_row_that_zoho_would_not_take_is_refused_at_the_row(
    administrator: Client, zoho: Connection, field: str, template: str, words: str
) -> None:
    answer = save(administrator, {"field": field, "template": template})
    assert answer.status_code == 200
    row = answer.content.decode().split('class="mapping-wrong"')[1].split("</tr>")[0]
    assert escape(words) in row
    assert stored() == []


def test_a_row_that_does_not_fit_can_be_kept_switched_off(administrator: Client, zoho: Connection) -> None:
    save(administrator, {"field": "Nowhere", "template": "x", "is_active": ""})
    assert stored(is_active=False) == [("Nowhere", "x")]


def test_one_field_is_not_filled_twice(administrator: Client, zoho: Connection) -> None:
    answer = save(
        administrator,
        {"field": "Owner.id", "template": "${lead_owner_id}"},
        {"field": "Owner", "template": "${lead_owner_id}"},
    )
    assert "Owner writes the same field as Owner.id" in answer.content.decode()
    assert stored() == []


def test_another_row_is_offered_without_saving_anything(administrator: Client, zoho: Connection) -> None:
    page = save(administrator, {"field": "City", "template": "typed"}, step="add").content.decode()
    assert 'name="row-1-field"' in page
    assert 'value="typed"' in page
    assert stored() == []


def test_what_somebody_else_saved_meanwhile_is_not_overwritten(administrator: Client, zoho: Connection) -> None:
    data = sent(administrator, URL, {"field": "City", "template": "mine"})
    mapping_row(template="theirs")
    page = administrator.post(URL, data, follow=True).content.decode()
    assert "Somebody saved these rows in the meantime" in page
    assert stored() == [("City", "theirs")]


def test_the_question_of_an_imported_row_is_asked_until_the_row_is_switched_on(
    administrator: Client, zoho: Connection
) -> None:
    row = mapping_row(field="Mobile", template="City?", is_active=False, question="Which one is meant?")
    assert "Which one is meant?" in administrator.get(URL).content.decode()
    save(administrator, {"pk": row.pk, "field": "Mobile", "template": "${what", "is_active": ""})
    assert FieldMapping.objects.get().question == "Which one is meant?"
    save(administrator, {"pk": FieldMapping.objects.get().pk, "field": "City", "template": "${City}"})
    assert FieldMapping.objects.get().question == ""


def test_where_nothing_is_configured_the_built_in_mapping_is_there_to_start_from(
    administrator: Client, zoho: Connection, oakland: Office
) -> None:
    page = administrator.get(f"{URL}?office=oakland").content.decode()
    assert 'name="row-1-field" value="First_Name"' in page
    assert 'value="${lead_owner_id}"' in page
    mapping_row()
    assert 'name="row-1-field" value="First_Name"' not in administrator.get(f"{URL}?office=oakland").content.decode()


def test_a_field_that_is_typed_anew_is_not_told_as_inherited(administrator: Client, zoho: Connection) -> None:
    mapping_row()
    assert '<td data-label="Field in Zoho" class="mono">Phone</td>' in administrator.get(URL).content.decode()
    typed = save(administrator, {"field": "Phone", "template": "Phone"}, step="add").content.decode()
    assert '<td data-label="Field in Zoho" class="mono">Phone</td>' not in typed
    assert '<td data-label="Field in Zoho" class="mono">Last_Name</td>' in typed


def test_fields_that_are_filled_without_a_row_are_shown_with_their_origin(
    administrator: Client, zoho: Connection, oakland: Office
) -> None:
    mapping_row(template="everywhere")
    page = administrator.get(f"{URL}?office=oakland").content.decode()
    inherited = page.split('class="mapping-inherited"')[1:]
    assert any("everywhere" in row and "All offices" in row for row in inherited)
    assert any("${lead_owner_id}" in row and "Built in" in row for row in inherited)


# --- preview ----------------------------------------------------------------------------------------------------------


def last_call(office: Office, connection: Connection, **values: Any) -> Call:
    defaults: dict[str, Any] = {
        "connection": connection, "key": "s-1", "office": office, "direction": "inbound", "outcome": "accepted",
        "outcome_reason": "", "started_at": dt.datetime(2026, 3, 2, 19, 0, tzinfo=dt.UTC), "total_seconds": 95,
        "number": "+15105550177", "name_told": "Berta Real", "digest": "",
    }  # fmt: skip
    return Call.objects.create(**defaults | values)


def test_without_a_call_the_preview_shows_an_invented_one(administrator: Client, zoho: Connection) -> None:
    page = administrator.get(URL).content.decode()
    assert "An invented call" in page
    assert "+15105550123" in page


def test_the_preview_shows_what_the_last_call_of_the_type_would_write(
    administrator: Client, zoho: Connection, oakland: Office
) -> None:
    last_call(oakland, zoho)
    last_call(oakland, zoho, key="s-2", outcome="voicemail", name_told="Vera Voice")
    data = sent(administrator, URL, {"field": "Description", "template": "At ${call_time} by ${caller_name:uppercase}"})
    part = administrator.post(f"{URL}preview/?type=accepted&office=oakland", data).content.decode()
    assert "At 2026-03-02 11:00 (UTC-08:00) by BERTA REAL" in part
    assert "<html" not in part
    assert "VERA VOICE" in administrator.post(f"{URL}preview/?type=missed", data).content.decode()
    assert stored() == []


def test_the_preview_says_what_is_wrong_while_it_is_typed(administrator: Client, zoho: Connection) -> None:
    data = sent(
        administrator, URL, {"field": "City", "template": "${x}"}, {"field": "Street", "template": "Harbour Road"}
    )
    part = administrator.post(f"{URL}preview/", data).content.decode()
    assert "Row 1 is left out of the preview. Position 1: there is no variable “x”" in part
    assert "Harbour Road" in part


def test_a_call_of_somebody_elses_office_is_not_shown(
    login: Callable[..., Client], zoho: Connection, oakland: Office
) -> None:
    client = login("Administrator")
    berlin = Office.objects.create(slug="berlin", name="Berlin")
    berlin.people.add(client.session["_auth_user_id"])
    last_call(oakland, zoho)
    page = client.get(URL).content.decode()
    assert "Berta" not in page
    assert client.get(f"{URL}?office=oakland").status_code == 404


# --- statuses ---------------------------------------------------------------------------------------------------------


def status_data(**values: Any) -> dict[str, Any]:
    keys = {f"status-{key}": "inherit" for key in StatusName.Key.values}
    return keys | {f"status-{name}": value for name, value in values.items()}


def test_statuses_and_the_guard_list_are_saved_and_audited(administrator: Client, zoho: Connection) -> None:
    OverwritableStatus.objects.create(value="Contacted")
    answer = administrator.post(
        f"{URL}statuses/", status_data(missed="=Contacted", accepted="none", overwritable=["=Not Contacted"])
    )
    assert answer.status_code == 302
    assert dict(StatusName.objects.values_list("key", "value")) == {"missed": "Contacted", "accepted": ""}
    assert list(OverwritableStatus.objects.values_list("value", flat=True)) == ["Not Contacted"]
    assert AuditEntry.objects.get(action="call statuses changed").details["missed"] == "Contacted"
    administrator.post(f"{URL}statuses/", status_data())
    assert not StatusName.objects.exists()
    assert not OverwritableStatus.objects.exists()


def test_statuses_of_an_office_are_its_own(administrator: Client, zoho: Connection, oakland: Office) -> None:
    StatusName.objects.create(key="missed", value="Contacted")
    OverwritableStatus.objects.create(value="On Hold")
    administrator.post(
        f"{URL}statuses/?office=oakland", status_data(missed="=Closed Lost", overwritable=["=Contacted"])
    )
    assert StatusName.objects.get(office=oakland).value == "Closed Lost"
    assert StatusName.objects.get(office=None).value == "Contacted"
    page = administrator.get(f"{URL}?office=oakland").content.decode()
    assert "As for all offices: Contacted" in page
    assert "In all offices calls may also replace: On Hold." in page


def test_a_status_that_zoho_does_not_offer_is_shown_as_such_and_cannot_be_chosen_anew(
    administrator: Client, zoho: Connection
) -> None:
    StatusName.objects.create(key="missed", value="Gone")
    page = administrator.get(URL).content.decode()
    assert "Gone (not in Zoho&#x27;s list)" in page
    assert escape("“Gone” is not in Zoho's list of Lead_Status") in page
    refused = administrator.post(f"{URL}statuses/", status_data(accepted="=Invented"))
    assert refused.status_code == 200
    assert not StatusName.objects.filter(key="accepted").exists()


def test_settings_that_zoho_does_not_bear_out_are_listed(administrator: Client, zoho: Connection) -> None:
    mapping_row(field="Nowhere", template="x")
    page = administrator.get(URL).content.decode()
    assert "Accepted calls, Nowhere:" in page
    assert "Accepted calls:</strong> No telephone field" not in page


# --- who, and without Zoho --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ["Viewer", "Operator", "Supervisor"])
def test_only_who_configures_calls_sees_and_changes_mappings(login: Callable[..., Client], role: str) -> None:
    client = login(role)
    assert client.get(URL).status_code == 403
    assert client.post(URL, {"step": "save"}).status_code == 403
    assert client.post(f"{URL}preview/").status_code == 403
    assert client.post(f"{URL}statuses/", status_data()).status_code == 403


def test_a_form_without_its_rows_saves_nothing(administrator: Client, zoho: Connection) -> None:
    mapping_row()
    for data in ({"step": "save"}, {"step": "add"}, {"step": "save", "row-TOTAL_FORMS": "x", "row-INITIAL_FORMS": ""}):
        assert administrator.post(URL, data).status_code in (200, 302)
    assert administrator.post(f"{URL}preview/", {}).status_code == 200
    assert stored() == [("City", "City")]


@pytest.mark.parametrize("part", ["preview/", "statuses/"])
def test_reading_an_address_changes_nothing(administrator: Client, part: str) -> None:
    assert administrator.get(f"{URL}{part}").status_code == 405


def test_without_a_connection_rows_can_be_edited_and_the_page_says_what_is_missing(administrator: Client) -> None:
    page = administrator.get(URL).content.decode()
    assert "There is no Zoho connection" in page
    assert save(administrator, {"field": "Anything", "template": "${City}"}).status_code == 302
    assert stored() == [("Anything", "${City}")]
    refused = save(administrator, {"field": "Anything", "template": "${Town}"})
    assert "there is no variable “Town”" in refused.content.decode()


def test_fields_that_cannot_be_read_are_said_with_the_remedy(administrator: Client, zoho: Connection) -> None:
    zoho.api_domain = "http://127.0.0.1:9"
    zoho.save()
    page = administrator.get(URL).content.decode()
    assert "fields could not be read" in page
    assert "A preview needs" in page


def test_the_page_has_no_inline_script_or_style(administrator: Client, zoho: Connection) -> None:
    page = administrator.get(URL).content.decode()
    assert not re.search(r"<style|\sstyle=|<script(?![^>]*\ssrc=)|\son[a-z]+=", page)


def test_another_row_is_offered_below_the_built_in_ones(administrator: Client, zoho: Connection) -> None:
    built_in = [{"field": row.field, "template": row.template} for row in mapping.default_rows(None, "accepted")]
    data = sent(administrator, URL, *built_in, {"field": "Description", "template": "x"}, step="add")
    page = administrator.post(URL, data | {"row-INITIAL_FORMS": len(built_in)}).content.decode()
    assert 'name="row-8-field" value="Description"' in page
    assert 'name="row-9-field"' in page
