"""Templates of field mappings, and the values of a new lead that come of them."""

from __future__ import annotations

import datetime as dt
import string
from dataclasses import replace
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from hypothesis import given
from hypothesis import strategies as st

from crm.zoho.schema import Choice, Field
from telephony import mapping
from telephony.mapping import Contact, Mapped, Mappings, check_against, lead_values, marker_of, with_marker
from telephony.models import AssignmentDecision, Call, CallSettings, Extension, FieldMapping, Office, StatusName
from telephony.plain_text import units
from telephony.statuses import Statuses
from telephony.template_text import OPEN, SOURCES, TRANSFORMS, VARIABLES, Placeholder, Template, parse

OAKLAND = Office(
    slug="oakland", name="Oakland", zone="America/Los_Angeles", region="US", city="Oakland", state="CA",
    street="1 Main Street", zip_code="94601",
)  # fmt: skip
OWNER = AssignmentDecision(owner_id="4876876000000123001")


def field(api_name: str, data_type: str = "text", *, length: int | None = None, **values: Any) -> Field:
    choices = tuple(Choice(value, value) for value in values.pop("choices", ()))
    defaults: dict[str, Any] = {"is_writable": True, "is_mandatory": False, "is_sortable": True}
    return Field(api_name, api_name, data_type, length=length, choices=choices, **defaults | values)


FIELDS = (
    field("First_Name", length=40),
    field("Last_Name", length=80, is_mandatory=True),
    field("Company", length=200),
    field("Email", "email", length=100),
    field("Phone", "phone", length=30),
    field("City"),
    field("State"),
    field("Street"),
    field("Zip_Code", length=30),
    field("Owner", "ownerlookup"),
    field("Lead_Status", "picklist", choices=("New", "Accepted Call", "Missed Call", "Missed Call with Voicemail")),
    field("Lead_Source", "picklist", choices=("RingCentral Integration", "Sales", "Phone")),
    field("Description", "textarea", length=2000),
    field("Called_At", "datetime"),
    field("Called_On", "date"),
    field("Seconds", "integer"),
    field("Minutes", "double"),
    field("Text"),
    field("Serial", "autonumber"),
    field("Locked", is_writable=False),
)


def call_of(**values: Any) -> Call:
    """An accepted call of 95 seconds at 11:00 in Oakland."""
    call = mapping.sample_call(FieldMapping.CallType.ACCEPTED)
    for name, value in values.items():
        setattr(call, name, value)
    return call


def mappings_of(**templates: str) -> Mappings:
    """With these templates only, for both types of call; `Owner_id` stands for Owner.id."""
    mapped = tuple(Mapped(mapping.target_of(name), parse(template)) for name, template in templates.items())
    names = dict(StatusName.DEFAULTS)
    statuses = Statuses(names, frozenset(map(str.casefold, names.values())), frozenset())
    return Mappings(mapped, mapped, statuses, "RingCentral Integration", "Description")


def written(template: str, into: str = "Text", call: Call | None = None, **values: Any) -> Any:
    """What lands in one field; None when it is left out."""
    found = lead_values(call or call_of(), OAKLAND, OWNER, mappings_of(**{into: template}), FIELDS, **values)
    return found.values.get(into)


def remarks(found: mapping.LeadValues) -> dict[str, str]:
    return {remark.field: remark.what for remark in found.remarks}


# --- the language -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("template", "text"),
    [
        ("${caller_name}", "Jane Miller"),
        ("${caller_name:uppercase}", "JANE MILLER"),
        ("${caller_name:lowercase}", "jane miller"),
        ("${caller_number}", "+15105550123"),
        ("${caller_location}", "Oakland, CA"),
        ("${call_time}", "2026-03-02 11:00 (UTC-08:00)"),
        ("${call_time:date} at ${call_time:time}", "2026-03-02 at 11:00"),
        ("${call_duration}", "95"),
        ("${call_duration:seconds}", "95"),
        ("${call_duration:minutes}", "1.6"),
        ("${extension_name}", "Sales"),
        ("${call_id}", "s-example"),
        ("${call_direction}, ${call_outcome}", "Inbound, Accepted"),
        ("${office_name}: ${Street}, ${City} ${State} ${Zip_Code}", "Oakland: 1 Main Street, Oakland CA 94601"),
        ("costs $5 and {more}", "costs $5 and {more}"),
        ("a plain $${caller_name}", "a plain ${caller_name}"),
        ("${ caller_name : uppercase }", "JANE MILLER"),
    ],
)
def test_a_template_writes_its_text_with_the_variables_filled_in(template: str, text: str) -> None:
    assert written(template) == text


def test_ninety_seconds_are_one_and_a_half_minutes() -> None:
    assert written("${call_duration:minutes}", call=call_of(total_seconds=90)) == "1.5"


def test_letters_of_all_alphabets_are_lowered() -> None:
    assert written("${caller_name:lowercase}", call=call_of(name_told="ÅSA ÖBERG")) == "åsa öberg"


def test_the_date_is_that_of_the_office() -> None:
    late = dt.datetime(2026, 3, 3, 5, 30, tzinfo=dt.UTC)
    assert written("${call_time:date}", call=call_of(started_at=late)) == "2026-03-02"
    assert written("${call_time}", into="Called_On", call=call_of(started_at=late)) == "2026-03-02"


@pytest.mark.parametrize(
    ("template", "position", "words"),
    [
        ("${caller}", 1, "no variable “caller”. Did you mean caller_name"),
        ("To ${caller_name:upper}", 4, "no transform “upper”. Did you mean uppercase"),
        ("${caller_name} and ${x}", 20, "no variable “x”"),
        ("  ${x}", 3, "no variable “x”"),
        ("Hello ${caller_name", 7, "not closed"),
        ("${call_time:minutes}", 1, "takes a length of time, and call_time is a time"),
        ("${caller_name:}", 1, "no transform “”"),
        ("${}", 1, "no variable “”"),
        ("${caller_name:uppercase:date}", 1, "no transform “uppercase:date”"),
        ("100% ${%s}", 6, "no variable “%s”"),
        ("", 1, "empty"),
    ],
)
def test_an_unknown_word_in_a_template_is_refused_with_its_position(template: str, position: int, words: str) -> None:
    with pytest.raises(ValidationError) as caught:
        mapping.check(template, "Text")
    (error,) = caught.value.error_dict["template"]
    assert error.params["position"] == position
    assert f"Position {position}: " in error.messages[0]
    assert words in error.messages[0]


def test_an_unknown_variable_is_answered_with_all_that_exist() -> None:
    with pytest.raises(ValidationError) as caught:
        mapping.check("${nothing}", "Text")
    assert all(name in caught.value.message_dict["template"][0] for name in VARIABLES)


@pytest.mark.parametrize("name", ["Last Name", "", "1st", "Owner.name", "a-b"])
def test_a_field_without_an_api_name_is_refused(name: str) -> None:
    with pytest.raises(ValidationError) as caught:
        mapping.check("${caller_name}", name)
    assert list(caught.value.message_dict) == ["field"]


@pytest.mark.parametrize("name", mapping.OWNER_NAMES)
def test_an_owner_is_the_assigned_one_or_a_user_id(name: str) -> None:
    mapping.check("${lead_owner_id}", name)
    mapping.check("4876876000000123001", name)
    with pytest.raises(ValidationError):
        mapping.check("${caller_name}", name)


def test_saving_a_row_checks_its_template() -> None:
    row = FieldMapping(call_type="accepted", field="Text", template="${caller}")
    with pytest.raises(ValidationError, match="Position 1"):
        row.full_clean(exclude=["office"], validate_unique=False, validate_constraints=False)


_literal = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda text: not text.endswith("$") and text.strip() == text and text not in SOURCES
)
_fitting = [(name, transform) for name in VARIABLES for transform in TRANSFORMS
            if VARIABLES[name].kind is TRANSFORMS[transform].kind]  # fmt: skip
_placeholder = st.one_of(
    st.sampled_from(sorted(VARIABLES)).map(Placeholder), st.sampled_from(_fitting).map(lambda pair: Placeholder(*pair))
)
_source = st.sampled_from(sorted(SOURCES))


@given(st.lists(st.tuples(_literal, _placeholder), min_size=1, max_size=5))
def test_a_template_written_out_and_parsed_again_is_the_same(pairs: list[tuple[str, Placeholder]]) -> None:
    template = Template(tuple(part for pair in pairs for part in pair))
    assert parse(str(template)) == template


_any_template = st.one_of(
    st.text(),
    st.text(alphabet="${}: " + string.ascii_lowercase),
    st.lists(st.one_of(_placeholder.map(str), st.sampled_from([OPEN, "}", "$", "$${", "${call_time:minutes}", " x"])))
    .map("".join),
)  # fmt: skip


@given(_any_template)
def test_what_the_check_accepts_can_be_rendered_and_what_it_refuses_cannot_be_parsed(template: str) -> None:
    try:
        mapping.check(template, "Text")
    except ValidationError as error:
        position = error.error_dict["template"][0].params["position"]
        assert 1 <= position <= max(len(template), 1)
        with pytest.raises(ValidationError):
            parse(template)
        return
    parsed = parse(template)
    assert parse(str(parsed)) == parsed
    fields = [field("Text", "textarea", length=32_000)]
    found = lead_values(call_of(), OAKLAND, OWNER, mappings_of(Text=template), fields)
    assert "None" not in str(found.values.get("Text", "")) or "None" in template


# --- what a lead gets -------------------------------------------------------------------------------------------------


def test_a_plain_name_takes_what_a_lead_usually_gets_there() -> None:
    plain = {name: name for name in SOURCES if name != "Email"}
    found = lead_values(
        call_of(), OAKLAND, OWNER, mappings_of(**plain), FIELDS, contact=Contact(company="Miller Movers")
    )
    assert found.values == {
        "Phone": "+15105550123",
        "First_Name": "Jane",
        "Last_Name": "Miller",
        "Company": "Miller Movers",
        "Description": "Inbound call, accepted, 2026-03-02 11:00 (UTC-08:00), 95 s",
        "City": "Oakland",
        "State": "CA",
        "Street": "1 Main Street",
        "Zip_Code": "94601",
        "Lead_Status": "Accepted Call",
        "Lead_Source": "RingCentral Integration",
    }
    assert found.remarks == []


def test_a_time_is_sent_with_its_offset_and_without_a_fraction() -> None:
    start = dt.datetime(2026, 7, 1, 18, 0, 5, 123456, tzinfo=dt.UTC)
    assert written("${call_time}", into="Called_At", call=call_of(started_at=start)) == "2026-07-01T11:00:05-07:00"


def test_numbers_are_sent_as_numbers() -> None:
    assert written("${call_duration}", into="Seconds") == 95
    assert written("${call_duration:seconds}", into="Seconds") == 95
    assert written("${call_duration:minutes}", into="Minutes") == 1.6


def test_the_owner_is_an_id() -> None:
    for name in mapping.OWNER_NAMES:
        mappings = replace(mappings_of(), accepted=(Mapped(mapping.target_of(name), parse("${lead_owner_id}")),))
        found = lead_values(call_of(), OAKLAND, OWNER, mappings, FIELDS)
        assert found.values["Owner"] == {"id": OWNER.owner_id}
        assert "Owner" not in lead_values(call_of(), OAKLAND, None, mappings, FIELDS).values


def test_empty_values_are_left_out_and_never_become_none() -> None:
    nothing = call_of(
        name_told="", number="", location_told="", total_seconds=None, extension=None, answered_by=None
    )  # fmt: skip
    templates = {
        "Text": "${caller_name}", "City": "${caller_location}", "Seconds": "${call_duration}",
        "Minutes": "${call_duration:minutes}", "Phone": "Phone", "Company": "Company",
        "State": "of ${extension_name}", "Email": "Email",
    }  # fmt: skip
    found = lead_values(nothing, OAKLAND, None, mappings_of(**templates), FIELDS)
    assert found.values == {"Last_Name": "Unknown caller"}
    assert found.remarks == []


def test_a_call_of_no_length_is_not_an_empty_value() -> None:
    assert written("${call_duration}", into="Seconds", call=call_of(total_seconds=0)) == 0


def test_a_text_longer_than_its_field_is_cut_and_said() -> None:
    found = lead_values(call_of(name_told="x" * 100), OAKLAND, OWNER, mappings_of(Last_Name="Last_Name"), FIELDS)
    assert found.values["Last_Name"] == "x" * 80
    assert remarks(found) == {"Last_Name": "Cut to the 80 characters that the field holds."}


@pytest.mark.parametrize(
    ("name", "template"),
    [
        ("Lead_Source", "${caller_name}"),
        ("Seconds", "${caller_name}"),
        ("Seconds", "${call_duration:minutes}"),
        ("Called_At", "${caller_name}"),
        ("Called_On", "${call_time:time}"),
        ("Phone", "${caller_name}"),
        ("Email", "${caller_name}"),
        ("Owner", "${caller_name}"),
        ("Serial", "1"),
        ("Locked", "1"),
        ("Gone", "1"),
    ],
)
def test_what_does_not_fit_is_left_out_with_a_remark_that_repeats_no_name(name: str, template: str) -> None:
    found = lead_values(call_of(), OAKLAND, OWNER, mappings_of(**{name: template}), FIELDS)
    assert name not in found.values
    assert remarks(found)[name].endswith("Left out.")
    assert "Miller" not in remarks(found)[name]


def test_a_word_of_a_list_is_that_word_and_no_number() -> None:
    assert written("Phone", into="Lead_Source") == "Phone"


def test_without_a_lead_source_the_extension_names_it() -> None:
    mappings = replace(mappings_of(Lead_Source="Lead_Source"), lead_source="")
    assert lead_values(call_of(), OAKLAND, OWNER, mappings, FIELDS).values["Lead_Source"] == "Sales"


def test_of_a_queue_the_one_who_answered_is_the_extension() -> None:
    queue, ann = Extension(rc_id="1", name="Queue"), Extension(rc_id="2", name="Ann")
    assert written("${extension_name}", call=call_of(extension=queue, answered_by=ann)) == "Ann"
    assert written("${extension_name}", call=call_of(extension=queue, answered_by=None)) == "Queue"


@pytest.mark.parametrize(
    ("told", "location"),
    [
        ("OAKLAND CA", ""),
        ("SAN FRANCISCO CA", "San Francisco, CA"),
        ("Oakland, CA", "Oakland, CA"),
        ("OAKLAND", "Oakland, CA"),
        ("MOBILE AL", "Mobile, AL"),
        ("WIRELESS CALLER", ""),
        ("Anonymous", ""),
        ("Caller-ID blocked", ""),
        ("V40511370500027", ""),
        ("+1 510 555 0123", ""),
        ("…", ""),
    ],
)
def test_a_place_and_a_word_for_nobody_are_no_name(told: str, location: str) -> None:
    call = call_of(name_told=told, location_told=location)
    assert written("${caller_name}", call=call) is None
    found = lead_values(call, OAKLAND, OWNER, mappings_of(First_Name="First_Name", Last_Name="Last_Name"), FIELDS)
    assert found.values == {"Last_Name": "Unknown …23"}


@pytest.mark.parametrize(
    ("told", "first", "last"),
    [
        ("Jane Miller", "Jane", "Miller"),
        ("MILLER JANE", "MILLER", "JANE"),
        ("Miller, Jane", "Jane", "Miller"),
        ("Mary Ann Miller", "Mary Ann", "Miller"),
        ("Jane van der Berg", "Jane", "van der Berg"),
        ("Jane Miller, Jr.", "Jane", "Miller, Jr."),
        ("Jane", None, "Jane"),
        ("Acme Moving, Inc.", None, "Acme Moving, Inc."),
        ("Miller & Sons", None, "Miller & Sons"),
        ("SMITH AL", "SMITH", "AL"),
    ],
)
def test_a_name_is_split_as_it_was_told(told: str, first: str | None, last: str) -> None:
    names = mappings_of(First_Name="First_Name", Last_Name="Last_Name")
    found = lead_values(call_of(name_told=told, location_told=""), OAKLAND, OWNER, names, FIELDS).values
    assert (found.get("First_Name"), found["Last_Name"]) == (first, last)


def test_a_company_is_made_up_only_where_zoho_demands_one() -> None:
    mappings = mappings_of(Last_Name="Last_Name", Company="Company")
    demanding = [replace(entry, is_mandatory=True) if entry.api_name == "Company" else entry for entry in FIELDS]
    assert "Company" not in lead_values(call_of(), OAKLAND, OWNER, mappings, FIELDS).values
    assert lead_values(call_of(), OAKLAND, OWNER, mappings, demanding).values["Company"] == "Unknown …23"


@given(st.text(), st.text())
def test_whatever_name_is_told_a_lead_has_a_last_name_that_fits(told: str, location: str) -> None:
    call = call_of(name_told=told, location_told=location)
    names = mappings_of(First_Name="First_Name", Last_Name="Last_Name", Description="${caller_name}")
    values = lead_values(call, OAKLAND, OWNER, names, FIELDS).values
    assert 0 < units(values["Last_Name"]) <= 80
    assert units(values.get("First_Name", "")) <= 40
    assert all(value for value in values.values())


# --- which mappings hold ----------------------------------------------------------------------------------------------


@pytest.fixture
def oakland(db: None) -> Office:
    return Office.objects.create(slug="oakland", name="Oakland")


def row(office: Office | None, name: str, template: str, **values: Any) -> FieldMapping:
    defaults = {"call_type": "accepted"}
    return FieldMapping.objects.create(office=office, field=name, template=template, **defaults | values)


def templates(mapped: tuple[Mapped, ...]) -> dict[str, str]:
    return {entry.target: str(entry.template) for entry in mapped}


def test_without_configuration_there_are_sensible_defaults(oakland: Office) -> None:
    loaded = Mappings.load(oakland)
    assert templates(loaded.accepted) == templates(loaded.missed) == dict(mapping.DEFAULTS)


def test_an_office_overrides_single_fields_and_can_leave_one_out(oakland: Office) -> None:
    row(None, "Last_Name", "Last_Name")
    row(None, "City", "City")
    row(None, "Text", "for all")
    row(oakland, "Text", "for Oakland")
    row(oakland, "City", "City", is_active=False)
    loaded = templates(Mappings.load(oakland).accepted)
    assert loaded["Text"] == "for Oakland"
    assert "City" not in loaded
    everywhere = templates(Mappings.load(None).accepted)
    assert (everywhere["Text"], everywhere["City"]) == ("for all", "City")


def test_a_configured_mapping_is_completed_with_what_a_lead_cannot_do_without(oakland: Office) -> None:
    row(oakland, "Text", "x")
    assert set(templates(Mappings.load(oakland).accepted)) == {"Text", *mapping.ESSENTIAL}
    assert set(templates(Mappings.load(oakland).missed)) == set(mapping.DEFAULTS)


def test_a_row_with_an_open_question_counts_as_absent(oakland: Office) -> None:
    row(None, "Phone", "${caller_number}")
    row(oakland, "Phone", "Mobile", is_active=False, question="Which field is meant?")
    assert templates(Mappings.load(oakland).accepted)["Phone"] == "${caller_number}"


def test_a_damaged_template_is_said_and_the_rest_is_written(oakland: Office) -> None:
    row(oakland, "Text", "${nothing}")
    found = lead_values(call_of(), oakland, OWNER, Mappings.load(oakland), FIELDS)
    assert found.values["Phone"] == "+15105550123"
    assert "no variable “nothing”" in remarks(found)["Text"]


def test_loading_takes_few_queries_however_many_rows_there_are(
    oakland: Office, django_assert_max_num_queries: Any
) -> None:
    CallSettings.load()
    for number in range(20):
        row(oakland, f"Text{number}", "x")
    with django_assert_max_num_queries(4):
        Mappings.load(oakland)


# --- against Zoho -----------------------------------------------------------------------------------------------------


def problems(fields: Any = FIELDS, **templates: str) -> dict[str, str]:
    found = check_against(mappings_of(**{"Phone": "Phone", "Last_Name": "Last_Name"} | templates), fields)
    return {problem.place: problem.what for problem in found if problem.place != "Status, Duplicate"}


def test_mappings_that_fit_have_no_problems() -> None:
    every = {name: name for name in SOURCES}
    assert problems(**every, Called_At="${call_time}", Seconds="${call_duration}", Owner="${lead_owner_id}") == {}


@pytest.mark.parametrize(
    ("name", "template", "words"),
    [
        ("Gone", "x", "no such field"),
        ("Locked", "x", "does not let programs change"),
        ("Seconds", "${call_duration:minutes}", "does not fit a field of the type integer"),
        ("Called_At", "on ${call_time}", "no date or time"),
        ("Lead_Source", "Radio", "not in Zoho's list"),
        ("Zip_Code", "9" * 31, "Cut to the 30"),
        ("Serial", "x", "autonumber"),
    ],
)
def test_a_mapped_field_must_exist_and_take_its_value(name: str, template: str, words: str) -> None:
    found = problems(**{name: template})
    assert words in found[f"Accepted calls, {name}"]
    assert words in found[f"Missed calls, {name}"]


def test_a_demanded_field_that_nothing_fills_is_a_problem() -> None:
    fields = [*FIELDS, field("Region", is_mandatory=True)]
    assert "no mapping fills it" in problems(fields)["Accepted calls, Region"]


def test_mappings_that_lose_the_number_are_a_problem() -> None:
    assert "another lead" in problems(Phone="+15105550100")["Accepted calls"]


def test_a_status_that_zoho_does_not_offer_is_a_problem() -> None:
    fields = [entry for entry in FIELDS if entry.api_name != "Lead_Status"]
    few = field("Lead_Status", "picklist", choices=("New", "Accepted Call", "Missed Call"))
    assert "“Missed Call with Voicemail” is not in" in problems([*fields, few])["Status, Missed call with voicemail"]


def test_a_marker_field_that_cannot_hold_a_marker_is_a_problem() -> None:
    fields = [entry for entry in FIELDS if entry.api_name != "Description"]
    assert "no such field" in problems(fields)["Marker field Description"]
    assert "It holds 50 characters" in problems([*fields, field("Description", length=50)])["Marker field Description"]


# --- the marker -------------------------------------------------------------------------------------------------------


@given(st.text(), st.integers(min_value=20, max_value=300), st.sampled_from(["text", "textarea"]))
def test_the_marker_is_whole_however_long_the_text_before_it(before: str, limit: int, data_type: str) -> None:
    call = call_of()
    fields = [field("Description", data_type, length=limit)]
    values = with_marker({"Description": before}, "Description", call, fields)
    assert mapping.has_marker(values, "Description", call)
    assert values["Description"].endswith(marker_of(call))
    assert units(values["Description"]) <= limit


def test_the_marker_stands_alone_where_nothing_else_does() -> None:
    assert with_marker({}, "Description", call_of(), FIELDS) == {"Description": "[call s-example]"}


def test_the_marker_of_one_call_is_not_found_in_that_of_another() -> None:
    record = with_marker({}, "Description", call_of(key="s-12"), FIELDS)
    assert not mapping.has_marker(record, "Description", call_of(key="s-1"))
    assert not mapping.has_marker({"Description": None}, "Description", call_of())


@pytest.mark.parametrize("name", ["Gone", "Locked", "Seconds"])
def test_a_lead_is_not_written_without_its_marker(name: str) -> None:
    with pytest.raises(ValueError, match=f"marker field {name} cannot be used"):
        with_marker({}, name, call_of(), FIELDS)
