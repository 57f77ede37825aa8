import pytest

from portal.standin import Standin
from tests.standin.caller import Caller

STATUSES = [
    *("Not Contacted", "Self Storage Questions Sent", "Move Questionnaire Sent", "Move Questionnaire Follow Up"),
    *("Move Questionnaire Completed", "Onsite Survey Booked", "On Hold", "Duplicate Lead", "Closed Lost"),
    *("Junk Lead", "Not Qualified", "Contacted"),
]


@pytest.fixture(scope="module")
def zoho():
    return Caller(Standin(leads=200))


def fields_of(zoho):
    return {field["api_name"]: field for field in zoho.get("/settings/fields", module="Leads").json()["fields"]}


def test_leads_have_many_fields_of_all_common_types(zoho):
    fields = fields_of(zoho)

    assert len(fields) >= 60
    types = {field["data_type"] for field in fields.values()}
    assert types >= {
        *("text", "textarea", "email", "phone", "picklist", "multiselectpicklist", "integer", "double", "currency"),
        *("boolean", "date", "datetime", "lookup", "ownerlookup", "website", "autonumber", "formula"),
    }


def test_two_fields_share_a_label(zoho):
    labels = [field["field_label"] for field in fields_of(zoho).values()]

    assert len(labels) == len(set(labels)) + 1


def test_lead_status_offers_the_values_of_the_old_tools(zoho):
    values = [option["actual_value"] for option in fields_of(zoho)["Lead_Status"]["pick_list_values"]]

    assert set(values) == {*STATUSES, "New", "Accepted Call", "Missed Call", "Missed Call with Voicemail"}


def test_a_picklist_shows_other_words_than_it_stores(zoho):
    options = fields_of(zoho)["Industry"]["pick_list_values"]

    assert any(option["display_value"] != option["actual_value"] for option in options)


def test_every_id_has_nineteen_digits(zoho):
    ids = [field["id"] for field in fields_of(zoho).values()]
    ids += [module["id"] for module in zoho.get("/settings/modules").json()["modules"]]
    ids += [view["id"] for view in zoho.get("/settings/custom_views", module="Leads").json()["custom_views"]]
    ids += [layout["id"] for layout in zoho.get("/settings/layouts", module="Leads").json()["layouts"]]
    ids += [*zoho.standin.ids("Leads"), *zoho.standin.ids("Site_Surveys"), zoho.standin.add_lead()]

    assert {len(one) for one in ids} == {19}
    assert all(one.isdigit() for one in ids)
    assert len(set(ids)) == len(ids)


def test_pick_list_values_of_one_field(zoho):
    status = fields_of(zoho)["Lead_Status"]["id"]

    values = zoho.get(f"/settings/fields/{status}/pick_list_values", module="Leads").json()["pick_list_values"]

    assert len(values) == 16


def test_layouts_differ_in_required_fields_and_picklists(zoho):
    layouts = {one["name"]: one for one in zoho.get("/settings/layouts", module="Leads").json()["layouts"]}

    def named(layout, field):
        return next(
            item for section in layouts[layout]["sections"] for item in section["fields"] if item["api_name"] == field
        )

    assert not named("Standard", "Company")["required"]
    assert named("Strict", "Company")["required"]
    assert len(named("Strict", "Lead_Status")["pick_list_values"]) < len(
        named("Standard", "Lead_Status")["pick_list_values"]
    )


def test_custom_views_are_listed_and_one_tells_its_criteria(zoho):
    views = {view["name"]: view for view in zoho.get("/settings/custom_views", module="Leads").json()["custom_views"]}
    assert list(views) == ["All Leads", "Unread leads", "Status is Not Contacted", "Empty view"]
    assert "criteria" not in views["Status is Not Contacted"]

    one = zoho.get(f"/settings/custom_views/{views['Status is Not Contacted']['id']}", module="Leads").json()

    assert one["custom_views"][0]["criteria"]["value"] == "Not Contacted"


def test_users_are_filtered_by_type_and_paged(zoho):
    first = zoho.get("/users", type="ActiveUsers", per_page=5).json()
    rest = zoho.get("/users", type="ActiveUsers", per_page=5, page=2).json()
    current = zoho.get("/users", type="CurrentUser").json()["users"]

    assert first["info"]["more_records"]
    assert len(first["users"]) == 5
    assert not rest["info"]["more_records"]
    assert [user["profile"]["name"] for user in current] == ["Administrator"]
    assert zoho.get("/users", type="ActiveUsers", page=9).status == 204
    assert {user["status"] for user in zoho.get("/users", type="DeactiveUsers").json()["users"]} == {"disabled"}


def test_org_roles_profiles_and_one_module(zoho):
    assert zoho.get("/org").json()["org"][0]["zgid"]
    assert zoho.get("/settings/roles").json()["roles"]
    assert zoho.get("/settings/profiles").json()["profiles"]
    assert zoho.get("/settings/modules/Leads").json()["modules"][0]["api_name"] == "Leads"


def test_unknown_module_and_missing_parameter(zoho):
    assert zoho.code(zoho.get("/settings/fields", module="Nothing")) == "INVALID_MODULE"
    assert zoho.code(zoho.get("/settings/fields")) == "REQUIRED_PARAM_MISSING"
    assert zoho.code(zoho.get("/Nothing", fields="id")) == "INVALID_MODULE"


@pytest.mark.parametrize("path", ["/Leads/1/actions/convert", "/__composite_requests", "/settings/wizards"])
def test_unknown_endpoint_answers_501(zoho, path):
    reply = zoho.get(path)

    assert reply.status == 501
    assert path.split("?")[0] in reply.json()["message"]


def test_what_would_be_ignored_is_refused_instead(zoho):
    assert zoho.get("/Leads", fields="id", territory_id="1").status == 501
    assert zoho.get("/Leads/1", headers={"X-EXTERNAL": "Leads.External_Lead_Id"}).status == 501
