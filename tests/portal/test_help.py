"""The help page: for everybody, complete by the code's own lists, and free of dead links."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client
from django.urls import reverse

from crm.zoho.codes import CODES, advice
from portal import help_page, navigation
from portal.access import ROLES
from portal.models import Connection, Run, RunItem
from portal.remote.zoho_hosts import DATA_CENTRES
from portal.standin import Standin
from telephony import reasons
from telephony.models import Call, CallStep

Login = Callable[..., Client]
pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("role", [None, *ROLES])
def test_everybody_who_is_logged_in_can_read_it(login: Login, role: str | None) -> None:
    assert login(role).get(reverse("help")).status_code == 200


def test_strangers_cannot(client: Client) -> None:
    assert client.get(reverse("help")).status_code == 302


def test_every_state_every_page_and_every_data_centre_is_explained(login: Login) -> None:
    assert set(help_page.RUN_STATES) == set(Run.State)
    assert set(help_page.WAITS) == set(Run.Wait) - {Run.Wait.NONE}
    assert set(help_page.ITEM_STATES) == set(RunItem.State)
    assert set(help_page.CONNECTION_STATES) == set(Connection.State)
    assert set(help_page.CALL_STATES) == set(Call.State)
    assert set(help_page.STEP_STATES) == set(CallStep.State)
    assert set(help_page.PAGES) == {page.url_name for page in navigation.NAV}
    page = login("Viewer").get(reverse("help")).content.decode()
    for label in [
        *Call.State.labels,
        *CallStep.State.labels,
        *Run.State.labels,
        *RunItem.State.labels,
        *Connection.State.labels,
        *Run.Wait.labels[1:],
    ]:
        assert label in page
    for centre in DATA_CENTRES.values():
        assert centre.accounts_host in page


def test_links_to_pages_are_given_to_those_who_may_open_them(login: Login) -> None:
    main = login("Viewer").get(reverse("help")).content.decode().partition("<main")[2]
    assert f'href="{reverse("records")}"' in main
    assert f'href="{reverse("audit")}"' not in main
    assert "not for your role" in main


def test_every_anchor_leads_somewhere_and_no_id_is_given_twice(login: Login) -> None:
    page = login("Administrator").get(reverse("help")).content.decode()
    ids = re.findall(r' id="([^"]+)"', page)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'href="#([^"]+)"', page)) <= set(ids)
    assert {f"code-{code}" for code in CODES} <= set(ids)


def test_the_menu_of_the_person_leads_to_it(login: Login) -> None:
    assert f'href="{reverse("help")}"' in login("Viewer").get(reverse("home")).content.decode()


def test_every_code_that_this_program_gives_is_explained() -> None:
    given = set()
    for path in (Path(settings.BASE_DIR) / "crm").glob("*.py"):
        text = path.read_text()
        given |= set(re.findall(r'_skip\("([A-Z_]{4,})"', text))
        given |= set(re.findall(r'\bcode="([A-Z_]{4,})"', text))
        given |= set(re.findall(r'(?:fail|_unknown|_store_ok)\([^"\n]*"([A-Z_]{4,})"', text))
    assert given >= {"UNCHANGED", "CONFIRMED", "READ_FAILED", "NOT_FOUND"}
    assert {code for code in given if advice(code) is None} == {"SUCCESS"}


def test_every_reason_why_a_call_is_not_processed_is_explained() -> None:
    text = (Path(settings.BASE_DIR) / "telephony" / "qualifying.py").read_text()
    given = set(re.findall(r'(?:_no\(|: )"([A-Z_]{4,})"', text))
    assert given >= {"NO_OFFICE", "EXTENSION_OFF", "INTERNAL", "EXCLUDED_NUMBER"}
    assert given <= set(reasons.CODES)


def test_statuses_without_a_code_are_explained_and_unknown_codes_are_not_made_up() -> None:
    found = advice("CHECK_FAILED_HTTP_502")
    assert found is not None
    assert "502" in found.what
    assert advice("SOMETHING_NEW") is None


def test_the_run_page_explains_the_reason_that_is_chosen(zoho: Connection, login: Login, standin: Standin) -> None:
    run = Run.objects.create(
        kind="crm.bulk_update", title="A run", connection=zoho, state=Run.State.FINISHED_WITH_ERRORS, planned=1,
        failed=1, parameters={"module": "Leads", "source": {"type": "ids", "name": "pasted ids"}},
    )  # fmt: skip
    RunItem.objects.create(run=run, position=0, key=standin.ids("Leads")[0], state="failed", code="RECORD_LOCKED")
    client = login("Operator")
    assert CODES["RECORD_LOCKED"].what in client.get(run.get_absolute_url()).content.decode()
    page = client.get(f"{run.get_absolute_url()}?state=failed&code=RECORD_LOCKED").content.decode()
    assert CODES["RECORD_LOCKED"].remedy in page
    assert f"{reverse('help')}#code-RECORD_LOCKED" in page
