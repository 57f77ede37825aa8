"""Zoho's metadata as our own types."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import pytest

from crm.zoho.schema import Choice, Field, Layout, Module, View, name_field, text_of


def field(**values: Any) -> Field:
    return Field.parse({"api_name": "Lead_Status", "field_label": "Lead Status", "data_type": "picklist"} | values)


@pytest.mark.parametrize(
    ("data", "is_kept"),
    [
        ({"api_supported": True, "generated_type": "default"}, True),
        ({"api_supported": True, "generated_type": "custom"}, True),
        ({"api_supported": True, "generated_type": "subform"}, False),
        ({"api_supported": True, "generated_type": "linking"}, False),
        ({"api_supported": False, "generated_type": "default"}, False),
        ({}, False),
    ],
    ids=str,
)
def test_only_modules_with_records_are_kept(data: dict[str, Any], is_kept: bool) -> None:
    assert (Module.parse({"api_name": "Leads"} | data) is not None) == is_kept


def test_a_module_without_labels_is_called_by_its_name() -> None:
    module = Module.parse({"api_name": "Leads", "api_supported": True, "generated_type": "default", "editable": True})
    assert module == Module("Leads", "Leads", "Leads", is_viewable=True, is_editable=True)


def test_a_picklist_offers_what_is_in_use_by_its_stored_value() -> None:
    values = [
        {"actual_value": "-None-", "display_value": "-None-"},
        {"actual_value": "New", "display_value": "Brand new"},
        {"actual_value": "Old", "display_value": "Old", "type": "unused"},
        {"actual_value": "Won"},
        {"display_value": "no value at all"},
    ]
    assert field(pick_list_values=values).choices == (Choice("New", "Brand new"), Choice("Won", "Won"))


@pytest.mark.parametrize(
    ("values", "writable"),
    [
        ({}, True),
        ({"read_only": True}, False),
        ({"field_read_only": True}, False),
        ({"operation_type": {"api_update": False}}, False),
        ({"operation_type": {"api_update": True}, "read_only": True}, False),
        ({"operation_type": None}, True),
    ],
    ids=str,
)
def test_a_field_is_written_only_where_zoho_lets_it(values: dict[str, Any], writable: bool) -> None:
    assert field(**values).is_writable is writable


@pytest.mark.parametrize(
    ("lookup", "module"),
    [
        ({"module": {"api_name": "Accounts", "id": "1"}}, "Accounts"),
        ({"module": "Contacts"}, "Contacts"),
        ({}, ""),
        (None, ""),
    ],
    ids=str,
)
def test_a_lookup_names_its_module_in_both_forms(lookup: Any, module: str) -> None:
    assert field(lookup=lookup).lookup_module == module


def test_what_is_stored_comes_back_the_same() -> None:
    one = field(pick_list_values=[{"actual_value": "New"}], length=120, system_mandatory=True)
    stored = asdict(one)
    assert Field.load(stored | {"choices": [asdict(choice) for choice in one.choices]}) == one
    layout = Layout.parse({"id": 7, "name": "Standard", "sections": [
        {"fields": [{"api_name": "Company", "required": True}, {"api_name": "Fax", "required": False}]}, {"fields": None},
    ]})  # fmt: skip
    assert layout == Layout("7", "Standard", ("Company",))
    assert Layout.load(asdict(layout) | {"required": ["Company"]}) == layout


def test_labels_that_repeat_are_told_apart_by_the_api_name() -> None:
    assert [field(api_name=name).full_label for name in ("A", "B")] == ["Lead Status (A)", "Lead Status (B)"]


def test_a_view_is_called_what_people_see_and_its_number_is_text() -> None:
    assert View.parse({"id": 12, "name": "ALLVIEWS", "display_value": "All Leads", "default": True}) == View(
        "12", "All Leads", "", is_default=True
    )
    assert View.parse({"id": "13"}).name == "13"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), ("", ""), (0, "0"), (12.5, "12.5"), (True, "yes"), (False, "no"),
        ({"name": "Mary", "id": "1"}, "Mary"), ({"full_name": "Mary", "id": "1"}, "Mary"), ({"id": "1"}, "1"), ({}, ""),
        (["A", {"name": "B"}, None], "A; B; "), ([], ""),
    ],
    ids=str,
)  # fmt: skip
def test_values_are_read_as_people_read_them(value: Any, text: str) -> None:
    assert text_of(value) == text


def test_a_custom_module_names_its_records_by_name() -> None:
    assert (name_field("Leads"), name_field("Site_Surveys")) == ("Full_Name", "Name")
