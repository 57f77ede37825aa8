"""Features and scopes, editions and credits."""

from __future__ import annotations

import pytest

from portal.connections import scopes
from portal.connections.editions import edition_of


def test_the_proposal_reads_and_updates_and_nothing_more():
    proposed = scopes.scopes_for(scopes.proposed())
    assert proposed == [
        "ZohoCRM.modules.READ",
        "ZohoCRM.modules.UPDATE",
        "ZohoCRM.settings.modules.READ",
        "ZohoCRM.settings.fields.READ",
        "ZohoCRM.settings.layouts.READ",
        "ZohoCRM.settings.custom_views.READ",
        "ZohoCRM.users.READ",
        "ZohoCRM.org.READ",
        "ZohoSearch.securesearch.READ",
        "ZohoCRM.coql.READ",
    ]
    assert not any("ALL" in scope or "DELETE" in scope for scope in proposed)


def test_scopes_can_be_limited_to_modules():
    assert scopes.scopes_for(["records", "org"], ["Leads", "Contacts"]) == [
        "ZohoCRM.modules.Leads.READ",
        "ZohoCRM.modules.Contacts.READ",
        "ZohoCRM.org.READ",
    ]


@pytest.mark.parametrize(
    ("granted", "needed", "is_covered"),
    [
        ("ZohoCRM.modules.ALL", "ZohoCRM.modules.Leads.READ", True),
        ("zohocrm.modules.all", "ZohoCRM.modules.Leads.UPDATE", True),
        ("ZohoCRM.modules.READ", "ZohoCRM.modules.Leads.UPDATE", False),
        ("ZohoCRM.modules.leads.WRITE", "ZohoCRM.modules.Leads.CREATE", True),
        ("ZohoCRM.modules.contacts.ALL", "ZohoCRM.modules.Leads.READ", False),
        ("ZohoCRM.settings.ALL", "ZohoCRM.settings.fields.READ", True),
        ("ZohoCRM.modules.leads.READ", "ZohoCRM.modules.READ", False),
        ("ZohoCRM.module.ALL", "ZohoCRM.modules.READ", False),
    ],
)
def test_which_scope_includes_which(granted, needed, is_covered):
    assert scopes.covers([granted], needed) is is_covered


def test_missing_scopes_are_named_for_the_module():
    assert scopes.missing(["ZohoCRM.modules.READ"], "update", "Leads") == ["ZohoCRM.modules.Leads.UPDATE"]
    assert scopes.missing(["ZohoCRM.modules.ALL"], "update", "Leads") == []


def test_scopes_are_read_with_blanks_or_commas():
    assert scopes.split("a.b.READ, c.d.ALL  e.f.READ") == ["a.b.READ", "c.d.ALL", "e.f.READ"]


@pytest.mark.parametrize(
    ("paid_type", "users", "credits"),
    [
        ("free", 3, 5_000),
        ("standard", 10, 52_500),
        ("Standard", 1000, 100_000),
        ("professional", 10, 55_000),
        ("enterprise", 10, 60_000),
        ("zoho_one", 10, 60_000),
        ("ultimate", 10, 70_000),
        ("crm_plus", 10_000, 20_050_000),
        ("something new", 10, 0),
        ("", 10, 0),
    ],
)
def test_daily_credits_follow_the_edition_and_are_never_guessed(paid_type, users, credits):
    found = edition_of({"paid": True, "paid_type": paid_type, "users_license_purchased": users})
    assert found.daily_credits == credits


def test_the_credits_of_a_trial_and_of_an_unknown_number_of_users_are_not_guessed():
    trial = edition_of({"paid": False, "paid_type": "free", "trial_type": "enterprise", "users_license_purchased": 3})
    assert (trial.name, trial.is_trial, trial.daily_credits) == ("enterprise", True, 0)
    assert edition_of({"paid": True, "paid_type": "enterprise"}).daily_credits == 0
    assert edition_of({}).name == ""
