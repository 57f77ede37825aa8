"""The page of a call: its story, why it was or was not processed, what was written, and what a person can do about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from portal.models import AuditEntry, Connection, Run
from portal.standin import Standin
from telephony import reasons
from telephony.models import AssignmentDecision, Call, CallLogRow, CallStep
from tests.telephony.made_calls import (
    NotedSync,
    candidate,
    make_call,
    make_extension,
    make_office,
    make_owner,
    make_step,
    noted_sync,
    ringcentral,
)

pytestmark = pytest.mark.django_db
Login = Callable[..., Client]
LEG = {
    "at": "2026-03-10T18:00:04+00:00", "seconds": 186, "kind": "Accept", "action": "Phone Call", "direction": "Inbound",
    "result": "Accepted", "reason": "", "extension_id": "6100", "extension": "Ana Lopez (100)", "from": "+15105550142",
    "to": "+15105550100", "recording": "r1", "voicemail": "", "answered": True,
}  # fmt: skip


@pytest.fixture
def sync(monkeypatch: pytest.MonkeyPatch) -> NotedSync:
    return noted_sync(monkeypatch)


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def post(client: Client, name: str, call: Call, *more: int, **values: Any) -> Any:
    values = {"seen": call.changed_at.isoformat()} | values
    return client.post(reverse(name, args=[call.pk, *more]), values, follow=True)


# --- what it tells --------------------------------------------------------------------------------------------------------


def test_it_tells_the_legs_the_decision_the_match_the_owner_and_each_write(login: Login) -> None:
    office = make_office()
    omar, kim = make_owner(office, "Omar Reyes"), make_owner(office, "Kim Vu")
    call = make_call(
        office, legs=[LEG], answered_by=make_extension(office), match_reason="No lead or contact has this number.",
        module="Leads", record_id="4876876000000345001",
    )  # fmt: skip
    AssignmentDecision.objects.create(
        call=call, office=office, owner_id=omar.zoho_id, owner_name="Omar Reyes", how="rotation",
        reason="Turn 7 of the rotation.",
        rotation={"owners": {omar.zoho_id: {"value": "-1.5", "weight": "2"}, kim.zoho_id: {"value": "1.5", "weight": "1"}}},
    )  # fmt: skip
    run = Run.objects.create(kind="telephony.call_sync", title="Calls", connection=ringcentral())
    make_step(
        call, "recording", key="r1", attempts=2, run=run, crm_id="4876876000000999", finished_at=timezone.now(),
        evidence={"request_id": "req-77", "file_name": "call-r1.mp3", "size": 91_122},
    )  # fmt: skip
    page = login("Operator").get(call.get_absolute_url())
    words = text_of(page)
    for part in (
        "11:00:04", "Ana Lopez (100) talked", "+15105550142 → +15105550100", "recorded", "Ana Lopez answered after 6 s.",
        "No lead or contact has this number.", "Rotation of the office. Turn 7 of the rotation.", "Kim Vu", "-1.5",
        "req-77", "call-r1.mp3", "91,122", "4876876000000999", f"Run {run.pk}", "3 min 10 s in all, 3 min of talk",
    ):  # fmt: skip
        assert part in words, part


@pytest.mark.parametrize("code", sorted(reasons.CODES))
def test_a_call_that_was_not_processed_says_which_rule_stopped_it_and_what_to_change(login: Login, code: str) -> None:
    call = make_call(state="not_processed", reason_code=code, reason="As it was decided.")
    words = text_of(login("Viewer").get(call.get_absolute_url()))
    advice = reasons.CODES[code]
    assert "Why it was not processed" in words
    assert "As it was decided." in words
    assert text_of_plain(advice.remedy) in words.replace("&#x27;", "'")


def text_of_plain(text: str) -> str:
    return re.sub(r"\s+", " ", text)


def test_media_that_are_not_fetched_yet_have_a_clock(login: Login) -> None:
    call = make_call(started_at=timezone.now() - timedelta(days=80, hours=1), state="waiting")
    make_step(call, "recording", "waiting", key="r1")
    page = login("Viewer").get(call.get_absolute_url())
    assert "9 of 90 days left" in text_of(page)
    assert page.context["media"].is_urgent
    CallStep.objects.update(state="done")
    assert "of 90 days left" not in text_of(login("Operator").get(call.get_absolute_url()))


def test_raw_rows_are_for_those_who_set_the_portal_up(login: Login) -> None:
    call = make_call()
    CallLogRow.objects.create(
        connection=ringcentral(), row_id="row-1", session_key=call.key, payload={"from": {"name": "<b>x"}}, digest="x"
    )  # fmt: skip
    assert "row-1" not in text_of(login("Supervisor").get(call.get_absolute_url()))
    page = login("Administrator").get(call.get_absolute_url())
    assert "row-1" in text_of(page)
    assert "<b>x" not in page.content.decode()


def test_the_page_takes_the_same_number_of_queries_for_few_and_for_many_steps(login: Login) -> None:
    call = make_call(make_office())
    client = login("Operator")
    numbers = []
    for _ in range(2):
        for number in range(6):
            make_step(call, "recording", key=f"{CallStep.objects.count()}-{number}")
        with CaptureQueriesContext(database) as counted:
            client.get(call.get_absolute_url())
        numbers.append(len(counted))
    assert numbers[0] == numbers[1] <= 20


# --- acting ---------------------------------------------------------------------------------------------------------------


def test_a_viewer_sees_no_button_and_may_not_act(login: Login, sync: NotedSync) -> None:
    call = make_call(state="failed")
    step = make_step(call, "note", "failed")
    viewer = login("Viewer")
    page = viewer.get(call.get_absolute_url()).content.decode().partition("<main")[2]
    assert "<form" not in page
    for name in ("call-choose", "call-new-lead", "call-ignore", "call-again"):
        assert viewer.post(reverse(name, args=[call.pk])).status_code == 403
    assert viewer.post(reverse("call-step-again", args=[call.pk, step.pk])).status_code == 403
    assert Call.objects.get().state == "failed"


def test_one_step_is_retried_and_the_others_stay(login: Login, sync: NotedSync) -> None:
    call = make_call(state="failed", reason_code="NOTE_FAILED")
    done, failed = make_step(call, "lead"), make_step(call, "note", "failed", code="X", message="Refused.", attempts=5)
    other = make_step(call, "recording", "failed")
    page = post(login("Operator"), "call-step-again", call, failed.pk)
    assert f"Run {Run.objects.get().pk} does it." in text_of(page)
    assert [step.state for step in (refreshed(done), refreshed(failed), refreshed(other))] == [
        "done",
        "planned",
        "failed",
    ]
    assert failed.attempts == 0
    assert Call.objects.get().state == "pending"
    assert [[each.pk for each in calls] for calls in sync.calls] == [[call.pk]]
    assert AuditEntry.objects.get(action="call processed again").details == {"kind": "note", "steps": 1}


def test_a_step_that_is_done_or_under_way_is_not_retried(login: Login, sync: NotedSync) -> None:
    call = make_call()
    for state in ("done", "sent", "planned"):
        step = make_step(call, state, state)
        post(login("Operator", name=state), "call-step-again", call, step.pk)
        assert refreshed(step).state == state
    assert sync.calls == []


def refreshed(step: CallStep) -> CallStep:
    step.refresh_from_db()
    return step


def test_a_call_is_processed_again_with_all_that_failed(login: Login, sync: NotedSync) -> None:
    call = make_call(state="not_processed", reason_code="IGNORED", reason="operator: spam")
    step = make_step(call, "note", "unavailable")
    post(login("Operator"), "call-again", call)
    found = Call.objects.get()
    assert (found.state, found.reason_code, found.reason, refreshed(step).state) == ("pending", "", "", "planned")


def test_when_no_run_can_start_now_the_next_one_takes_the_call_up(login: Login, sync: NotedSync) -> None:
    call = make_call(state="failed")
    sync.refuse_with = ("Oakland is in work.", None)
    page = post(login("Operator"), "call-again", call)
    assert "It is done by the next run: Oakland is in work." in text_of(page)
    assert Call.objects.get().state == "pending"


def test_a_call_that_a_run_has_in_work_is_left_to_it(login: Login, sync: NotedSync) -> None:
    run = Run.objects.create(kind="telephony.call_sync", title="Calls", connection=ringcentral(), state="running")
    call = make_call(state="failed", run=run)
    client = login("Operator")
    assert "nothing can be decided here meanwhile" in text_of(client.get(call.get_absolute_url()))
    page = post(client, "call-ignore", call, reason="spam")
    assert f"Run {run.pk} has this call in work" in text_of(page)
    assert Call.objects.get().state == "failed"


def test_a_call_is_ignored_with_a_reason_only(login: Login, sync: NotedSync) -> None:
    call = make_call(state="failed")
    client = login("Operator")
    assert "Say why" in text_of(post(client, "call-ignore", call, reason=" "))
    assert Call.objects.get().state == "failed"
    post(client, "call-ignore", call, reason="A wrong number")
    found = Call.objects.get()
    assert (found.state, found.reason_code) == ("not_processed", reasons.IGNORED)
    assert found.reason == "operator: A wrong number"
    assert AuditEntry.objects.get(action="call ignored").details["reason"] == "A wrong number"
    assert sync.calls == []


def test_a_record_that_zoho_has_can_be_chosen_by_its_id(
    zoho: Connection, standin: Standin, login: Login, sync: NotedSync
) -> None:
    call = make_call(state="failed")
    record_id = standin.ids("Leads")[0]
    post(login("Operator"), "call-choose", call, module="Leads", record_id=record_id)
    found = Call.objects.get()
    assert (found.module, found.record_id, found.state) == ("Leads", record_id, "pending")
    assert found.match_reason == "operator chose it."


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"module": "Leads", "record_id": "99999"}, "Zoho has no record 99999 in Leads"),
        ({"module": "Leads", "record_id": "12a"}, "A record id has digits only"),
        ({"module": "Leads", "record_id": "²³"}, "A record id has digits only"),
        ({"module": "Leads", "record_id": ""}, "Choose a record"),
        ({"record": "Users:1"}, "not among the candidates"),
    ],
)
def test_a_record_that_does_not_exist_is_refused(
    zoho: Connection, login: Login, sync: NotedSync, values: dict[str, str], words: str
) -> None:
    call = make_call(state="review", candidates=[candidate("487")])
    assert words in text_of(post(login("Operator"), "call-choose", call, **values))
    assert Call.objects.get().state == "review"


def test_a_vendor_that_does_not_answer_is_said_and_nothing_is_chosen(
    zoho: Connection, standin: Standin, login: Login, sync: NotedSync
) -> None:
    standin.faults.add(status=503, path="Leads/")
    call = make_call(state="failed")
    page = post(login("Operator"), "call-choose", call, module="Leads", record_id=standin.ids("Leads")[0])
    assert "could not be looked up" in text_of(page)
    assert Call.objects.get().record_id == ""


def test_what_is_written_already_keeps_its_record(login: Login, sync: NotedSync) -> None:
    call = make_call(state="done", record_id="1", module="Leads", candidates=[candidate("487")])
    page = post(login("Operator"), "call-choose", call, record="Leads:487")
    assert "what is written already stays" in text_of(page)
    assert Call.objects.get().record_id == "1"
