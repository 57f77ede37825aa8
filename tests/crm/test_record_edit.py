"""One record: its page, its form, what is sent, and the words for each way in which it can go wrong."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from django.core.cache import cache
from django.core.management import CommandError, call_command
from django.http import QueryDict
from django.test import Client
from django.urls import reverse

from crm import metadata, record_edit
from crm.record_edit import Outcome, Result, is_same
from crm.record_form import EDITORS, RecordForm
from crm.zoho.schema import Choice, Field
from portal.models import AuditEntry, Connection
from portal.standin import Standin
from portal.standin.zoho.leads_schema import STRICT_LAYOUT

Login = Callable[..., Client]
OTHER_USER = "Somebody else"


@pytest.fixture(autouse=True)
def fresh_cache(settings: Any) -> Iterator[None]:
    settings.CACHES = {"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}
    settings.REMOTE_MAX_ATTEMPTS = 1
    cache.clear()
    yield
    cache.clear()


@pytest.fixture
def lead(standin: Standin) -> str:
    return standin.add_lead(Last_Name="Muster", Company="Muster AG", Mobile="+15550100", Lead_Status="Contacted")


@pytest.fixture
def save(zoho: Connection, lead: str) -> Callable[..., Outcome]:
    def run(record_id: str = lead, automation: bool = True, shown_at: str = "", **changes: Any) -> Outcome:
        return record_edit.save(
            connection=zoho, module="Leads", record_id=record_id, changes=changes, automation=automation,
            shown_at=shown_at, actor="test",
        )  # fmt: skip

    return run


@pytest.fixture
def operator(zoho: Connection, login: Login) -> Client:
    return login("Operator")


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode())).replace("&#x27;", "'")


def page_of(lead: str) -> str:
    return reverse("record", args=["Leads", lead])


def form_of(lead: str, *fields: str) -> str:
    return reverse("record-edit", args=["Leads", lead]) + "?" + "&".join(f"field={name}" for name in fields)


def inputs_of(response: Any) -> dict[str, list[str]]:
    """What a browser would send of the page's hidden inputs."""
    found: dict[str, list[str]] = {}
    for tag in re.findall(r'<input type="hidden"[^>]*>', response.content.decode()):
        name, value = re.search(r'name="([^"]*)"', tag), re.search(r'value="([^"]*)"', tag)
        assert name is not None
        found.setdefault(name.group(1), []).append(value.group(1).replace("&amp;", "&") if value else "")
    found.pop("csrfmiddlewaretoken", None)
    return found


def puts(standin: Standin) -> list[Any]:
    return [entry for entry in standin.counters.journal if entry.method == "PUT"]


def preview(client: Client, url: str, **values: Any) -> Any:
    sent = inputs_of(client.get(url)) | {f"f-{name}": value for name, value in values.items()}
    return client.post(url, sent)


def confirm(client: Client, shown: Any, automation: str = "on") -> Any:
    action = re.search(r'action="([^"]*/edit/[^"]*)"', shown.content.decode())
    assert action is not None
    return client.post(
        action.group(1).replace("&amp;", "&"), inputs_of(shown) | {"automation": automation, "step": "save"}
    )


# --- the use case -----------------------------------------------------------------------------------------------------


def test_only_what_differs_is_sent_and_the_audit_names_the_fields_without_values(
    save: Callable[..., Outcome], standin: Standin, lead: str
) -> None:
    outcome = save(Mobile="+15550199", Lead_Status="Contacted")

    assert outcome.result == Result.SAVED
    assert outcome.fields == ("Mobile",)
    assert "record updated" in outcome.what
    assert standin.record("Leads", lead)["Mobile"] == "+15550199"  # type: ignore[index]
    entry = AuditEntry.objects.get(action="record edited")
    assert entry.details["fields"] == ["Lead_Status", "Mobile"]
    assert entry.details["record"] == lead
    assert "+15550199" not in json.dumps(entry.details)
    assert "+15550100" not in json.dumps(entry.details)


def test_nothing_is_sent_when_the_record_has_the_values_already(save: Callable[..., Outcome], standin: Standin) -> None:
    assert save(Mobile="+15550100").result == Result.NOTHING
    assert not puts(standin)
    assert not AuditEntry.objects.exists()


@pytest.mark.parametrize(("automation", "fired"), [(True, 1), (False, 0)])
def test_automation_runs_only_when_it_is_switched_on(
    save: Callable[..., Outcome], standin: Standin, lead: str, automation: bool, fired: int
) -> None:
    save(automation=automation, Mobile="+15550199")
    assert standin.writes("Leads", lead).workflows == fired


def test_a_record_that_somebody_changed_since_it_was_shown_is_not_overwritten(
    save: Callable[..., Outcome], standin: Standin, lead: str
) -> None:
    shown_at = standin.record("Leads", lead)["Modified_Time"]  # type: ignore[index]
    standin.clock.advance(60)
    standin.set_record("Leads", lead, {"Mobile": "+15550142"})

    outcome = save(shown_at=shown_at, Mobile="+15550199")

    assert outcome.result == Result.CONFLICT
    assert outcome.record is not None
    assert outcome.record["Mobile"] == "+15550142"
    assert standin.record("Leads", lead)["Mobile"] == "+15550142"  # type: ignore[index]
    assert not puts(standin)


def test_a_change_between_reading_and_writing_is_refused_by_zoho(
    save: Callable[..., Outcome], zoho: Connection, standin: Standin, lead: str
) -> None:
    with metadata.client_for(zoho) as client:
        record = client.record("Leads", lead)
    standin.clock.advance(60)
    standin.set_record("Leads", lead, {"Mobile": "+15550142"})

    outcome = record_edit.save(
        connection=zoho, module="Leads", record_id=lead, changes={"Mobile": "+15550199"}, automation=True, record=record
    )

    assert len(puts(standin)) == 1
    assert (outcome.result, outcome.code) == (Result.CONFLICT, "ALREADY_MODIFIED")
    assert outcome.record is not None
    assert outcome.record["Mobile"] == "+15550142"
    assert standin.record("Leads", lead)["Mobile"] == "+15550142"  # type: ignore[index]


def test_mandatory_fields_are_sent_along_once_zoho_asks_for_them(
    save: Callable[..., Outcome], standin: Standin, lead: str
) -> None:
    standin.set_record("Leads", lead, {"Layout": STRICT_LAYOUT})

    assert save(Mobile="+15550199").result == Result.SAVED
    assert len(puts(standin)) == 2
    assert standin.record("Leads", lead)["Mobile"] == "+15550199"  # type: ignore[index]


def test_a_mandatory_field_that_is_blank_is_named(save: Callable[..., Outcome], standin: Standin, lead: str) -> None:
    standin.set_record("Leads", lead, {"Layout": STRICT_LAYOUT, "Company": None})

    outcome = save(Mobile="+15550199")

    assert (outcome.result, outcome.code, outcome.field) == (Result.REFUSED, "MANDATORY_NOT_FOUND", "Company")
    assert "Company" in outcome.what
    assert len(puts(standin)) == 2


SAYS = {
    "no answer": "Zoho gave no answer",
    "empty": "Zoho's answer was empty.",
    "malformed": "Zoho's answer had an unexpected form.",
    "silent": "Zoho's answer had an unexpected form.",
}
FAULTS: dict[str, dict[str, Any]] = {
    "no answer": {"drop": "after"},
    "empty": {"truncate": 0},
    "malformed": {"malformed": True},
    "silent": {"omit": 0},
}


@pytest.mark.parametrize("fault", FAULTS)
def test_without_a_usable_answer_reading_back_tells_that_it_is_saved(
    save: Callable[..., Outcome], standin: Standin, fault: str
) -> None:
    standin.faults.add(method="PUT", **FAULTS[fault])

    outcome = save(Mobile="+15550199")

    assert outcome.result == Result.CONFIRMED
    assert outcome.what.startswith(SAYS[fault])
    assert len(puts(standin)) == 1


def test_without_an_answer_reading_back_tells_that_it_is_not_saved(
    save: Callable[..., Outcome], standin: Standin
) -> None:
    standin.faults.add(method="PUT", drop="before")

    outcome = save(Mobile="+15550199")

    assert outcome.result == Result.NOT_SAVED
    assert "old values" in outcome.what
    assert AuditEntry.objects.get().action == "record edit not saved"


def test_what_reading_back_cannot_settle_is_unknown(save: Callable[..., Outcome], standin: Standin) -> None:
    standin.faults.add(method="PUT", drop="before")
    standin.faults.add(method="GET", path="/crm/v8/Leads/", nth=2, status=500)

    outcome = save(Mobile="+15550199")

    assert outcome.result == Result.UNKNOWN
    assert "not known" in outcome.what
    assert AuditEntry.objects.get().action == "record edited, outcome unknown"


def test_a_record_that_is_not_there_is_not_found(save: Callable[..., Outcome]) -> None:
    outcome = save(record_id="5725767000009999999", Mobile="+15550199")
    assert (outcome.result, outcome.code) == (Result.NOT_FOUND, "NOT_FOUND")
    assert "5725767000009999999" in outcome.what


def test_a_refused_value_names_field_and_reason(save: Callable[..., Outcome]) -> None:
    outcome = save(Email="no address")
    assert (outcome.result, outcome.code, outcome.field) == (Result.REFUSED, "INVALID_DATA", "Email")
    assert "Email" in outcome.what


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, "", True), (None, [], True), (None, False, True), (None, 0, False), (0, False, False), ("a ", "a", True),
        ("a\r\nb", "a\nb", True), (5, 5.0, True), (["b", "a"], ["a", "b"], True), (["a"], ["b"], False),
        ("2025-03-01T09:30:00+01:00", "2025-03-01T08:30:00+00:00", True), ("2025-03-01", "2025-03-02", False),
    ],
)  # fmt: skip
def test_values_that_mean_the_same_to_zoho_are_the_same(one: Any, other: Any, same: bool) -> None:
    assert is_same(one, other) is same


# --- the form ---------------------------------------------------------------------------------------------------------


def make_field(data_type: str, **values: Any) -> Field:
    defaults: dict[str, Any] = {
        "api_name": "X", "label": "X", "is_writable": True, "is_mandatory": False, "is_sortable": False, "length": None,
        "choices": (Choice("A", "Aa"), Choice("B", "B")) if "picklist" in data_type else (),
    }  # fmt: skip
    return Field(data_type=data_type, **defaults | values)


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data_type", "entered", "sent"),
    [
        ("text", "a", "a"), ("text", "", None), ("textarea", "a\r\nb", "a\nb"), ("email", "a@b.example", "a@b.example"),
        ("phone", "+1 555 0100", "+1 555 0100"), ("website", "www.b.example", "www.b.example"), ("picklist", "A", "A"),
        ("picklist", "", None), ("multiselectpicklist", ["A", "B"], ["A", "B"]), ("multiselectpicklist", [], []),
        ("boolean", "on", True), ("boolean", [], False), ("date", "2025-03-01", "2025-03-01"), ("date", "", None),
        ("datetime", "2025-03-01T09:30", "2025-03-01T09:30:00+00:00"), ("integer", "0", 0), ("integer", "", None),
        ("bigint", "123456789012345678", "123456789012345678"), ("double", "12.5", 12.5), ("currency", "12", 12),
        ("percent", "-0.25", -0.25),
    ],
)  # fmt: skip
def test_each_type_is_sent_as_zoho_takes_it(data_type: str, entered: Any, sent: Any) -> None:
    form = RecordForm(_data(entered), module="Leads", fields=[make_field(data_type)], is_confirmed=True)
    assert form.is_valid(), form.errors
    assert form.changes() == {"X": sent}
    assert type(form.changes()["X"]) is type(sent)


def _data(entered: Any) -> QueryDict:
    data = QueryDict(mutable=True)
    data.setlist("f-X", entered if isinstance(entered, list) else [entered])
    return data


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data_type", "entered"),
    [
        ("email", "a@"), ("phone", "☎"), ("website", "b"), ("picklist", "C"), ("multiselectpicklist", ["A", "C"]),
        ("date", "1.3.25"), ("datetime", "tomorrow"), ("integer", "1.5"), ("integer", "1234567890"), ("bigint", "x"),
        ("double", "NaN"), ("currency", "1234567890123456.123456789"), ("text", "x" * 256),
    ],
)  # fmt: skip
def test_what_does_not_fit_the_type_is_refused_here(data_type: str, entered: Any) -> None:
    assert not RecordForm(_data(entered), module="Leads", fields=[make_field(data_type)], is_confirmed=True).is_valid()


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("data_type", "present"),
    [
        ("text", "a "), ("textarea", "a\nb"), ("email", "broken@"), ("picklist", "Gone"), ("picklist", None),
        ("multiselectpicklist", ["A", "Gone"]), ("boolean", True), ("boolean", None), ("date", "2025-03-01"),
        ("datetime", "2025-03-01T09:30:15-05:00"), ("integer", 5), ("double", 12.5), ("currency", 400.0),
        ("bigint", "123"), ("phone", "☎"), ("website", None),
    ],
)  # fmt: skip
def test_what_nobody_touched_is_not_a_change_and_not_an_error(data_type: str, present: Any) -> None:
    form = RecordForm(None, module="Leads", fields=[make_field(data_type)], record={"X": present})
    html = form["X"].as_widget() + "".join(form.shown_values())
    data: dict[str, list[str]] = {}
    for name, value in re.findall(r'<input(?=[^>]*type="(?:text|tel|email|number|hidden|date|datetime-local)")'
                                  r'[^>]*?name="([^"]+)"(?: value="([^"]*)")?', html):  # fmt: skip
        data.setdefault(name, []).append(value)
    for name, value in re.findall(r'<input type="checkbox" name="([^"]+)"(?: value="([^"]*)")?[^>]*checked', html):
        data.setdefault(name, []).append(value or "on")
    for value in re.findall(r'<option value="([^"]*)" selected', html):
        data["f-X"] = [value]
    if area := re.search(r"<textarea[^>]*>\s*(.*?)</textarea>", html, re.S):
        data["f-X"] = [area.group(1).replace("\n", "\r\n")]
    sent = _data([])
    for name, values in data.items():
        sent.setlist(name, values)

    again = RecordForm(sent, module="Leads", fields=[make_field(data_type)], record={"X": present})

    assert again.is_valid(), again.errors
    assert again.changes() == {}


def test_every_writable_type_of_the_leads_has_an_editor_or_a_reason(zoho: Connection) -> None:
    types = {field.data_type for field in metadata.fields(zoho, "Leads") if field.is_writable}
    assert types - set(EDITORS) == {"ownerlookup", "lookup", "userlookup", "layout", "tag"} & types


# --- the pages --------------------------------------------------------------------------------------------------------


def test_the_page_shows_all_fields_with_api_names_and_leads_to_the_form(operator: Client, lead: str) -> None:
    page = text_of(operator.get(page_of(lead)))

    assert "Muster AG" in page
    assert "Mobile Mobile +15550100" in page
    assert "Lead_Status" in page
    assert "Blank fields" in page
    assert "Edit" in page


def test_a_viewer_sees_the_record_and_no_way_to_change_it(zoho: Connection, login: Login, lead: str) -> None:
    viewer = login("Viewer")
    response = viewer.get(page_of(lead))
    assert response.status_code == 200
    assert "/edit/" not in response.content.decode()
    assert viewer.get(form_of(lead, "Mobile")).status_code == 403
    assert (
        viewer.post(form_of(lead, "Mobile"), {"step": "save", "f-Mobile": "1", "automation": "on"}).status_code == 403
    )


def test_a_record_that_is_not_there_is_said_with_404(operator: Client) -> None:
    response = operator.get(page_of("5725767000009999999"))
    assert response.status_code == 404
    assert "Zoho has no record 5725767000009999999 in Leads" in text_of(response)


def test_an_unknown_module_is_named_with_those_that_are_like_it(operator: Client, lead: str) -> None:
    response = operator.get(reverse("record", args=["Lead", lead]))
    assert response.status_code == 404
    assert "Did you mean Leads" in text_of(response)


def test_the_change_is_shown_before_it_is_saved(operator: Client, standin: Standin, lead: str) -> None:
    shown = preview(operator, form_of(lead, "Mobile"), Mobile="+15550199")

    assert "+15550100" in text_of(shown)
    assert "+15550199" in text_of(shown)
    assert not puts(standin)

    done = confirm(operator, shown, "off")

    assert done.status_code == 302
    assert standin.record("Leads", lead)["Mobile"] == "+15550199"  # type: ignore[index]
    assert standin.writes("Leads", lead).workflows == 0
    page = text_of(operator.get(done.url))
    assert "Saved: Mobile." in page
    assert "SUCCESS" in page


def test_the_whole_form_sends_only_what_was_touched(operator: Client, standin: Standin, lead: str) -> None:
    url = form_of(lead)
    form = operator.get(url).context["form"]
    standin.clock.advance(60)
    sent = inputs_of(operator.get(url))
    for bound in form:
        value = bound.value()
        if value is not None and value is not False:
            formatted = bound.field.widget.format_value(value)
            sent[f"f-{bound.name}"] = formatted if isinstance(formatted, list) else [formatted]
    sent["f-Mobile"] = ["+15550199"]
    standin.set_record("Leads", lead, {"Company": "New Name AG"})

    shown = operator.post(url, sent)

    assert [each.field.api_name for each in shown.context["edit"].differences] == ["Mobile"]
    assert "changed this record after you opened it" in text_of(shown)
    assert confirm(operator, shown).status_code == 302
    record = standin.record("Leads", lead)
    assert record is not None
    assert (record["Mobile"], record["Company"]) == ("+15550199", "New Name AG")


def test_a_change_by_somebody_else_meanwhile_is_shown_and_can_be_saved_over_knowingly(
    operator: Client, standin: Standin, lead: str
) -> None:
    shown = preview(operator, form_of(lead, "Mobile"), Mobile="+15550199")
    standin.clock.advance(60)
    standin.set_record("Leads", lead, {"Mobile": "+15550142"})

    again = confirm(operator, shown)

    assert again.status_code == 200
    assert "Nothing was overwritten" in text_of(again)
    assert "+15550142" in text_of(again)
    assert standin.record("Leads", lead)["Mobile"] == "+15550142"  # type: ignore[index]
    assert confirm(operator, again).status_code == 302
    assert standin.record("Leads", lead)["Mobile"] == "+15550199"  # type: ignore[index]


def test_after_a_refusal_the_form_still_holds_every_change(operator: Client, standin: Standin, lead: str) -> None:
    shown = preview(operator, form_of(lead, "Mobile", "Company"), Mobile="+15550199", Company="Other AG")
    standin.faults.add(
        method="PUT", times=1, status=400,
        body={"data": [{"code": "INVALID_DATA", "status": "error", "message": "invalid data",
                        "details": {"api_name": "Mobile"}}]},
    )  # fmt: skip

    refused = confirm(operator, shown)

    assert "Zoho refused the change: invalid data. Field: Mobile." in text_of(refused)
    assert "INVALID_DATA" in text_of(refused)
    sent = inputs_of(refused) | {"f-Mobile": ["+15550188"], "f-Company": ["Other AG"]}
    again = operator.post(form_of(lead, "Mobile", "Company"), sent)
    assert {each.field.api_name for each in again.context["edit"].differences} == {"Mobile", "Company"}


def test_going_back_keeps_what_was_entered(operator: Client, standin: Standin, lead: str) -> None:
    shown = preview(operator, form_of(lead, "Mobile"), Mobile="+15550199")

    back = operator.post(form_of(lead, "Mobile"), inputs_of(shown) | {"step": "back"})

    assert 'value="+15550199"' in back.content.decode()
    assert "Show the change" in text_of(back)
    again = operator.post(form_of(lead, "Mobile"), inputs_of(back) | {"f-Mobile": "+15550199"})
    assert [each.field.api_name for each in again.context["edit"].differences] == ["Mobile"]
    assert not puts(standin)


def test_a_field_that_cannot_be_edited_here_says_so(operator: Client, lead: str) -> None:
    page = text_of(operator.get(form_of(lead, "Owner")))
    assert "Fields of the type ownerlookup cannot be edited here" in page
    assert "Leads has no field Mobil" in text_of(operator.get(form_of(lead, "Mobil")))


def test_an_outage_is_an_error_with_its_remedy_and_keeps_the_form(
    operator: Client, standin: Standin, lead: str
) -> None:
    shown = preview(operator, form_of(lead, "Mobile"), Mobile="+15550199")
    standin.faults.add(method="PUT", status=500)

    page = text_of(confirm(operator, shown))

    assert "nothing is saved so far" in page
    assert "Save to Zoho" in page


def test_rows_of_the_viewer_lead_to_the_record(operator: Client, zoho: Connection) -> None:
    page = operator.get("/crm/records/?module=Leads&all=1&fields=Email").content.decode()
    assert re.search(rf'href="/crm/records/Leads/\d+/\?connection={zoho.pk}"', page)


def test_a_connection_of_somebody_else_is_not_used(operator: Client, zoho: Connection, lead: str) -> None:
    page = operator.get(page_of(lead) + "?connection=999999")
    assert "cannot work with" in text_of(page)


# --- the command ------------------------------------------------------------------------------------------------------


def call(capsys: Any, *arguments: str) -> tuple[int, list[str]]:
    code = 0
    try:
        call_command("update_record", *arguments)
    except CommandError as error:
        code = error.returncode
        return code, [str(error)]
    except SystemExit as end:
        code = int(end.code or 0)
    written = capsys.readouterr()
    return code, [*written.err.splitlines(), *written.out.splitlines()]


def test_the_command_saves_and_prints_one_line_a_field_without_values(
    zoho: Connection, standin: Standin, lead: str, capsys: Any
) -> None:
    code, lines = call(
        capsys, "--id", lead, "--set", "Mobile=+15550199", "--set", "Services=Packing; Piano",
        "--set", "Insurance=yes", "--automation", "off", "--json",
    )  # fmt: skip

    assert code == 0
    assert lines[:3] == ["Mobile: saved", "Services: saved", "Insurance: saved"]
    assert "+15550199" not in "".join(lines)
    account = json.loads(lines[-1])
    assert (account["state"], account["ok"], account["code"]) == ("finished", 1, "SUCCESS")
    record = standin.record("Leads", lead)
    assert record is not None
    assert (record["Mobile"], record["Services"], record["Insurance"]) == ("+15550199", ["Packing", "Piano"], True)
    assert standin.writes("Leads", lead).workflows == 0
    assert AuditEntry.objects.get().actor == "command"


def test_the_command_says_when_nothing_differs(zoho: Connection, lead: str, capsys: Any) -> None:
    code, lines = call(capsys, "--id", lead, "--set", "Mobile=+15550100")
    assert (code, lines[0]) == (0, "Mobile: nothing to change")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--set", "Mobil=1"], "Did you mean Mobile"),
        (["--set", "Mobile"], "write --set"),
        (["--set", "Mobile=1", "--set", "Mobile=2"], "twice"),
        (["--set", "Lead_Status=Nonsense"], "Not Contacted"),
        (["--set", "Owner=1"], "cannot be edited here"),
        (["--set", "Full_Name=X"], "does not let programs change it"),
        (["--set", "Insurance=perhaps"], "yes or no"),
        (["--set", "Mobile=1", "--module", "Lead"], "Did you mean Leads"),
        (["--set", "Mobile=1", "--id", "12x"], "digits only"),
        (["--set", "Mobile=1", "--connection", "Nowhere"], "no connection"),
    ],
)
def test_wrong_use_of_the_command_ends_with_2(
    zoho: Connection, standin: Standin, lead: str, capsys: Any, arguments: list[str], says: str
) -> None:
    code, lines = call(capsys, "--id", lead, *arguments)
    assert code == 2
    assert says in " ".join(lines)
    assert not puts(standin)


@pytest.mark.parametrize(
    ("fault", "says", "state"),
    [
        ({"drop": "before"}, "not saved", "needs_decision"),
        ({"status": 400, "body": {"code": "NO_PERMISSION", "status": "error", "message": "no", "details": {}}},
         "refused", "failed"),
    ],
)  # fmt: skip
def test_the_command_ends_with_1_when_it_is_not_saved(
    zoho: Connection, standin: Standin, lead: str, capsys: Any, fault: dict[str, Any], says: str, state: str
) -> None:
    standin.faults.add(method="PUT", **fault)
    code, lines = call(capsys, "--id", lead, "--set", "Mobile=+15550199", "--json")
    assert code == 1
    assert f"Mobile: {says}" in lines
    assert json.loads(lines[-1])["state"] == state


def test_the_command_ends_with_1_for_a_record_that_is_not_there(zoho: Connection, capsys: Any) -> None:
    code, lines = call(capsys, "--id", "5725767000009999999", "--set", "Mobile=1")
    assert code == 1
    assert "Mobile: not found" in lines
