"""The pages that repeat or put back what a run did."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.urls import reverse

from crm import bulk_update, restore, retry
from crm.selection import parse
from portal.models import AuditEntry, Connection, Run
from portal.standin import Standin

pytestmark = pytest.mark.django_db

Work = Callable[[Run], Run]
CHANGE = {"field": "Lead_Status", "value": "Junk Lead", "automation": False}


@pytest.fixture
def browser(login: Callable[..., Client], zoho: Connection) -> Client:
    return login("Supervisor")


@pytest.fixture
def leads(plain_leads: Callable[[int], list[str]]) -> list[str]:
    return plain_leads(12)


@pytest.fixture
def ended(zoho: Connection, standin: Standin, leads: list[str], work: Work) -> Run:
    """A run over twelve records of which four failed: two were locked, two were taken over by a blueprint."""
    run = work(
        bulk_update.start(
            connection=zoho, module="Leads", source={"type": "ids"}, selection=parse("\n".join(leads)), change=CHANGE
        )
    )
    for record_id in leads[:2]:
        standin.set_record("Leads", record_id, {"Locked__s": True})
    standin.faults.add(method="PUT", nth=1, when="after", status=200, body=answer(leads))
    bulk_update.confirm(run, user=None, fingerprint=run.fingerprint)
    run = work(run)
    assert (run.state, run.ok, run.failed) == (Run.State.FINISHED_WITH_ERRORS, 8, 4)
    return run


def answer(leads: list[str]) -> dict[str, Any]:
    """Zoho's rows: records 0 and 1 are locked, 2 and 3 hold a bad value, the others were updated."""

    def row(number: int, record_id: str) -> dict[str, Any]:
        if number < 4:
            code = "RECORD_LOCKED" if number < 2 else "INVALID_DATA"
            return {"status": "error", "code": code, "message": f"refused <{number}>", "details": {"api_name": "Email"}}
        return {"status": "success", "code": "SUCCESS", "message": "record updated", "details": {"id": record_id}}

    return {"data": [row(number, record_id) for number, record_id in enumerate(leads)]}


def text_of(response: Any) -> str:
    if response.streaming:
        return b"".join(response.streaming_content).decode()
    return response.content.decode()


def child_of(response: Any) -> Run:
    assert response.status_code == 302, text_of(response)
    return Run.objects.order_by("-pk").first()


def test_a_retry_asks_with_its_number_and_looking_starts_nothing(browser: Client, ended: Run) -> None:
    page = text_of(browser.get(reverse("run-retry", args=[ended.pk])))
    assert "Retry 4 records?" in page
    assert "Retry 4 records</button>" in page
    assert ended.children.count() == 0


def test_all_that_failed_is_retried_in_a_run_of_its_own(
    browser: Client, standin: Standin, ended: Run, leads: list[str], work: Work
) -> None:
    for record_id in leads[:2]:
        standin.set_record("Leads", record_id, {"Locked__s": False, "Lead_Status": "On Hold"})
    child = work(child_of(browser.post(reverse("run-retry", args=[ended.pk]))))
    assert (child.parent_id, child.relation, child.planned) == (ended.pk, "retry", 4)
    assert child.requested_by.username == "supervisor"
    assert child.ok + child.skipped == 4
    ended.refresh_from_db()
    assert ended.failed == 4


@pytest.mark.parametrize(
    ("fields", "count"),
    [({"code": "RECORD_LOCKED"}, 2), ({"code": ["RECORD_LOCKED", "INVALID_DATA"]}, 4), ({"code": "NONSENSE"}, 0)],
    ids=str,
)
def test_one_reason_alone_can_be_retried(
    browser: Client, ended: Run, work: Work, fields: dict[str, Any], count: int
) -> None:
    page = text_of(browser.get(reverse("run-retry", args=[ended.pk]), fields))
    assert f"Retry {count} record" in page
    response = browser.post(reverse("run-retry", args=[ended.pk]), fields)
    if count:
        assert work(child_of(response)).planned == count
    else:
        assert response.url == ended.get_absolute_url()
        assert ended.children.count() == 0
        assert "There is nothing to retry" in text_of(browser.get(response.url))


def test_selected_records_are_retried_and_only_failed_ones(
    browser: Client, ended: Run, leads: list[str], work: Work
) -> None:
    chosen = {"key": [leads[0], leads[3], leads[10], "999"]}
    assert "Retry 2 records?" in text_of(browser.get(reverse("run-retry", args=[ended.pk]), chosen))
    child = work(child_of(browser.post(reverse("run-retry", args=[ended.pk]), chosen)))
    assert set(child.items.values_list("key", flat=True)) == {leads[0], leads[3]}


def test_what_still_runs_is_not_retried(browser: Client, ended: Run) -> None:
    Run.objects.filter(pk=ended.pk).update(state=Run.State.RUNNING)
    response = browser.post(reverse("run-retry", args=[ended.pk]))
    assert "has not ended yet" in text_of(browser.get(response.url))
    assert ended.children.count() == 0


def test_the_download_of_the_failures_can_be_fed_back(
    browser: Client, ended: Run, leads: list[str], work: Work
) -> None:
    response = browser.get(reverse("run-items-csv", args=[ended.pk]), {"outcome": "failed", "state": "failed"})
    content = text_of(response)
    rows = list(csv.DictReader(io.StringIO(content.removeprefix("\ufeff"))))
    failed = [row for row in rows if row["outcome"] == "Failed"]
    assert [row["id"] for row in failed] == leads[:4]
    assert {row["message"] for row in failed} == {f"refused <{number}>. Field: Email." for number in range(4)}
    file = SimpleUploadedFile("failed.csv", content.encode())
    again = browser.post(reverse("bulk-update"), {"module": "Leads", "source": "file", "file": file})
    plan = work(Run.objects.get(pk=int(again.url.rstrip("/").rsplit("/", 1)[1])))
    assert set(leads[:4]) <= set(plan.items.values_list("key", flat=True))


def test_the_words_of_zoho_stay_text(browser: Client, ended: Run) -> None:
    page = text_of(browser.get(ended.get_absolute_url() + "?tab=items"))
    assert "refused <0>" not in page
    assert "refused &lt;0&gt;" in page


# --- restore ------------------------------------------------------------------------------------------------------------


def test_a_restore_has_a_preview_and_what_was_changed_since_is_left_unless_ticked(
    browser: Client, standin: Standin, ended: Run, leads: list[str], work: Work
) -> None:
    before = {item.key: item.before["Lead_Status"] for item in ended.items.filter(state="ok")}
    standin.set_record("Leads", leads[5], {"Lead_Status": "Contacted"})
    standin.remove("Leads", leads[6])
    page = text_of(browser.get(reverse("run-restore", args=[ended.pk])))
    assert "Restore the previous values of 8 records?" in page
    assert "is not undone by it" in page
    assert ended.children.count() == 0

    plan = work(child_of(browser.post(reverse("run-restore", args=[ended.pk]))))
    url = reverse("bulk-update-plan", args=[plan.pk])
    page = text_of(browser.get(url))
    assert "6 of 8 records will change" in page
    assert "each record's previous value" in page or "each record&#x27;s previous value" in page
    assert "Contacted” since" in text_of(browser.get(url + "?show=CHANGED_SINCE"))
    browser.post(reverse("bulk-update-override", args=[plan.pk]), {"choose": [leads[5], leads[6], leads[7]]})
    assert "7 of 8 records will change" in text_of(browser.get(url))
    plan.refresh_from_db()
    assert "Restore Lead Status of 7 records?" in text_of(browser.get(reverse("bulk-update-confirm", args=[plan.pk])))
    browser.post(reverse("bulk-update-confirm", args=[plan.pk]), {"fingerprint": plan.fingerprint})
    work(plan)

    assert (plan.ok, plan.skipped, plan.relation, plan.parent_id) == (7, 1, "restore", ended.pk)
    for record_id in (*leads[4:6], *leads[7:]):
        assert standin.record("Leads", record_id)["Lead_Status"] == before[record_id]
    assert AuditEntry.objects.filter(run=plan, action="restore override").get().details == {"records": 1}


def test_the_change_of_a_restore_cannot_be_chosen(browser: Client, ended: Run, work: Work) -> None:
    plan = work(child_of(browser.post(reverse("run-restore", args=[ended.pk]), {"automation": "on"})))
    assert plan.parameters["automation"] is True
    response = browser.post(reverse("bulk-update-change", args=[plan.pk]), {"field": "Lead_Status", "value": "On Hold"})
    assert response.url == reverse("bulk-update-plan", args=[plan.pk])
    plan.refresh_from_db()
    assert "value" not in plan.parameters


def test_nothing_overwritten_means_nothing_to_restore(
    browser: Client, zoho: Connection, leads: list[str], work: Work
) -> None:
    run = work(
        bulk_update.start(
            connection=zoho, module="Leads", source={"type": "ids"}, selection=parse(leads[0]), change=CHANGE
        )
    )
    assert "disabled>Prepare the restore" in text_of(browser.get(reverse("run-restore", args=[run.pk])))
    response = browser.post(reverse("run-restore", args=[run.pk]))
    assert response.url == run.get_absolute_url()
    assert run.children.count() == 0
    with pytest.raises(bulk_update.Invalid, match="overwritten nothing"):
        restore.start(run)
    with pytest.raises(bulk_update.Invalid, match="not ended yet"):
        retry.start(run)


def test_a_run_of_another_kind_has_no_such_page(browser: Client, ended: Run) -> None:
    Run.objects.filter(pk=ended.pk).update(kind="another")
    for name in ("run-retry", "run-restore"):
        assert browser.get(reverse(name, args=[ended.pk])).status_code == 404
