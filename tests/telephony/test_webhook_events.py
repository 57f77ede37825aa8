"""What arrives from outside: an event asks for one reading, everything wrong is refused without a word."""

from __future__ import annotations

import datetime as dt
import json
import logging
from concurrent.futures import ThreadPoolExecutor

import pytest
from django.db import DatabaseError, connections
from django.test import Client
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from portal.models import AuditEntry, Run
from telephony import call_sync, sooner, webhook
from telephony.models import Call, CallSettings, Office, Subscription
from tests.telephony import made_calls
from tests.telephony.conftest import ago
from tests.telephony.webhooks import event, open_door, open_readings, path_of, post, switched_on

NEW = "+12155550142"


@pytest.fixture
def door(standin, settings, phones):
    return open_door(standin, settings)


@pytest.fixture
def row(door, zoho, ringcentral, office):
    return switched_on(ringcentral)


def deliver(row, body=None, token=None, header="Verification-Token", client=None):
    given_token = row.verification if token is None else token
    text = json.dumps(event()) if body is None else body
    return post(path_of(row), text, {header: given_token} if given_token else {}, client)


def fresh(row):
    return Subscription.objects.get(pk=row.pk)


# --- an event makes the next reading come sooner ----------------------------------------------------------------------


@pytest.mark.parametrize("header", ["Verification-Token", "Validation-Token"])
def test_an_event_asks_for_one_reading_once_the_log_must_show_the_call(row, header):
    CallSettings.objects.update(settle_seconds=120)
    before = timezone.now()
    reply = deliver(row, header=header)
    assert (reply.status_code, reply.content) == (200, b"")
    (run,) = open_readings()
    assert (run.kind, run.trigger, run.state) == (call_sync.KIND, Run.Trigger.PROGRAM, Run.State.WAITING)
    assert dt.timedelta(seconds=150) <= run.not_before - before < dt.timedelta(seconds=160)
    assert (fresh(row).events, fresh(row).next_run) == (1, run)


def test_a_thousand_events_and_replays_are_one_run(row):
    client = Client()
    for _ in range(1000):
        assert deliver(row, client=client).status_code == 200
    assert len(open_readings()) == 1
    assert fresh(row).events == 1000
    assert Run.objects.count() == 1


@pytest.mark.django_db(transaction=True)
def test_events_at_the_same_moment_are_one_run(zoho, office):
    values = {"key": "k" * 43, "verification": "shared", "state": Subscription.State.ACTIVE}
    row = Subscription.objects.create(connection=made_calls.ringcentral(), **values)

    def send(number):
        try:
            return post(path_of(row), json.dumps(event()), {"Verification-Token": "shared"}).status_code
        finally:
            connections.close_all()

    with ThreadPoolExecutor(6) as threads:
        assert set(threads.map(send, range(60))) == {200}
    assert len(open_readings()) == 1
    assert fresh(row).events == 60


def test_a_flood_costs_one_write_a_second_and_is_still_answered(row, monkeypatch):
    monkeypatch.setattr(webhook, "MOST_PER_MINUTE", 5)
    noon = timezone.now().replace(second=5, microsecond=0)
    monkeypatch.setattr(webhook.timezone, "now", lambda: noon)
    for _ in range(20):
        assert deliver(row).status_code == 200
    assert (fresh(row).events, fresh(row).asked_at) == (5, noon)
    later = noon + dt.timedelta(seconds=10)
    monkeypatch.setattr(webhook.timezone, "now", lambda: later)
    deliver(row)
    assert (fresh(row).events, fresh(row).asked_at) == (5, later)
    monkeypatch.setattr(webhook.timezone, "now", lambda: noon + dt.timedelta(minutes=1))
    deliver(row)
    assert fresh(row).events == 6


def test_a_call_told_of_twice_and_read_once_more_by_the_poll_makes_one_set_of_artefacts(
    row, standin, phones, owners, sync, work
):
    made = phones.accepted(ago(minutes=30), caller=NEW, recorded=True)
    hooks = standin.ringcentral.subscriptions
    assert hooks.emit_telephony(made.session, caller=NEW, sequence=1) == [200]
    assert hooks.emit_telephony(made.session, caller=NEW, sequence=1) == [200]
    (run,) = open_readings()
    run = work(run)
    assert (run.state, run.planned, run.ok) == (Run.State.FINISHED, 1, 1), run.error
    sync()
    hooks.emit_telephony(made.session, caller=NEW, sequence=1)
    (again,) = open_readings()
    assert work(again).planned == 0
    (lead,) = [r for i in standin.ids("Leads") if (r := standin.record("Leads", i)).get("Phone") == NEW]
    assert len(standin.notes_of("Leads", lead["id"])) == 1
    assert len(standin.files_of("Leads", lead["id"])) == 1
    assert Call.objects.count() == 1


def test_a_reading_covers_all_active_offices_and_no_other(row, work, owners):
    Office.objects.create(slug="closed", name="Closed", is_active=False)
    second = Office.objects.create(slug="oakland", name="Oakland", order=2)
    deliver(row)
    run = work(open_readings()[0])
    assert run.parameters["offices"] == [Office.objects.get(slug="philadelphia").pk, second.pk]
    assert run.state == Run.State.FINISHED


def test_a_waiting_reading_is_in_nobodys_way(row, sync, owners):
    deliver(row)
    assert sync().state == Run.State.FINISHED
    assert len(open_readings()) == 1


def test_while_another_run_has_the_offices_the_reading_comes_after_it(row, office, owners, work):
    busy = call_sync.start(offices=[office])
    deliver(row)
    (reading,) = open_readings()
    Run.objects.filter(pk=reading.pk).update(not_before=timezone.now())
    call_sync.runs.wake(reading.pk)
    reading.refresh_from_db()
    assert (reading.state, reading.phase) == (Run.State.WAITING, sooner.PHASE)
    assert f"Run {busy.pk} is at it." in reading.wait_detail
    deliver(row)
    assert len(open_readings()) == 1, "events fold into the one that waits"
    assert work(busy).state == Run.State.FINISHED
    assert work(reading).state == Run.State.FINISHED


def test_what_is_told_while_a_reading_is_at_work_asks_for_another_one(row, work, owners):
    deliver(row)
    (first,) = open_readings()
    Run.objects.filter(pk=first.pk).update(phase="pull", state=Run.State.RUNNING)
    deliver(row)
    (second,) = open_readings()
    assert second.pk != first.pk


def test_an_event_that_came_too_late_for_its_reading_asks_for_another_one(row, work, owners):
    deliver(row)
    (first,) = open_readings()
    late = timezone.now()
    Subscription.objects.update(asked_at=late)
    work(first)
    (second,) = open_readings()
    assert second.not_before == late + sooner.delay()
    Subscription.objects.update(asked_at=late - dt.timedelta(minutes=5))
    work(second)
    assert open_readings() == []


def test_a_reading_that_somebody_stopped_is_followed_by_the_next_one(row):
    deliver(row)
    (first,) = open_readings()
    call_sync.runs.stop(first)
    deliver(row)
    assert [run.pk for run in open_readings()] == [first.pk + 1]


def test_without_an_active_office_the_reading_says_so(row, work):
    Office.objects.update(is_active=False)
    deliver(row)
    run = work(open_readings()[0])
    assert (run.state, run.error) == (Run.State.FAILED, "There is no active office. Add one, or switch one on.")


def test_without_a_zoho_connection_an_event_is_counted_and_nothing_started(row, zoho):
    type(zoho).objects.filter(pk=zoho.pk).update(is_default=False)
    assert deliver(row).status_code == 200
    assert (fresh(row).events, open_readings()) == (1, [])


@pytest.mark.parametrize("code", ["Setup", "Proceeding", "Answered", "Hold"])
def test_a_call_that_goes_on_is_counted_and_asks_for_nothing(row, code):
    deliver(row, json.dumps(event(body={"parties": [{"status": {"code": code}}]})))
    assert (fresh(row).events, open_readings()) == (1, [])


def test_another_kind_of_event_is_answered_and_does_nothing(row):
    assert deliver(row, json.dumps(event(event="/restapi/v1.0/subscription/~"))).status_code == 200
    assert (fresh(row).events, open_readings()) == (0, [])


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["parties", "status", "code"]), inner),
    max_leaves=8,
)


@given(body=json_values)
def test_whatever_an_event_holds_it_is_read_without_a_failure(body):
    assert webhook.is_end({"body": body}) in (True, False)


def test_when_the_database_fails_ringcentral_is_answered_all_the_same(row, monkeypatch, caplog):
    def fail(*args, **values):
        raise DatabaseError("no")

    monkeypatch.setattr(webhook.sooner, "ask", fail)
    assert deliver(row).status_code == 200
    assert "an event could not be noted" in caplog.text


# --- the handshake ----------------------------------------------------------------------------------------------------


def test_the_handshake_echoes_the_token_in_a_small_answer(row, settings):
    settings.SECURE_HSTS_SECONDS = 31_536_000
    reply = post(path_of(row), b"", {"Validation-Token": "f00" * 20, "Verification-Token": row.verification})
    assert (reply.status_code, reply.content, reply.headers["Validation-Token"]) == (200, b"", "f00" * 20)
    size = sum(len(name) + len(value) + 4 for name, value in reply.headers.items()) + len("HTTP/1.1 200 OK\r\n\r\n")
    assert size < 700, "RingCentral takes 1,024 bytes, and servers in front add theirs"
    assert reply.cookies == {}


@pytest.mark.parametrize("token", [None, "", "x" * 257, "caf\u00e9"])
def test_a_handshake_without_a_usable_token_is_refused(row, token):
    reply = post(path_of(row), b"", {} if token is None else {"Validation-Token": token})
    assert (reply.status_code, reply.content) == (400, b"")
    assert "Validation-Token" not in reply.headers


def test_a_handshake_with_a_wrong_token_of_ours_is_refused(row):
    reply = post(path_of(row), b"", {"Validation-Token": "abc", "Verification-Token": "wrong"})
    assert (reply.status_code, "Validation-Token" in reply.headers) == (403, False)


# --- what is refused --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["x", "A" * 43, "0" * 5000, "%00", "%F0%9F%93%9E"])
def test_a_wrong_key_is_refused_like_anything_else(row, key):
    for headers in ({}, {"Verification-Token": row.verification}, {"Validation-Token": "abc"}):
        reply = post(f"/api/calls/events/{key}/", json.dumps(event()), headers)
        assert (reply.status_code, reply.content) == (403, b"")


@pytest.mark.parametrize("token", ["", "wrong", "caf\u00e9"])
def test_a_wrong_token_is_refused(row, token):
    reply = deliver(row, token=token)
    assert (reply.status_code, reply.content) == (403, b"")
    assert (fresh(row).events, open_readings()) == (0, [])


def test_without_a_stored_token_nothing_is_verified(row):
    Subscription.objects.update(verification="")
    assert post(path_of(row), json.dumps(event()), {"Verification-Token": ""}).status_code == 403


@pytest.mark.parametrize(
    "body",
    ["no json", "[1]", '"text"', "\u0000", "[" * 60_000, '{"event": ', b"\xff\xfe{}"],
    ids=["words", "list", "text", "nul", "deep", "cut", "bytes"],
)
def test_what_is_no_json_object_is_refused(row, body):
    reply = deliver(row, body)
    assert (reply.status_code, reply.content) == (400, b"")
    assert fresh(row).events == 0


def test_a_huge_body_is_refused_without_being_read(row):
    body = json.dumps(event(padding="x" * 65_536))
    assert deliver(row, body).status_code == 400
    reply = Client().generic("POST", path_of(row), b"{}", headers={"Verification-Token": row.verification},
                             CONTENT_LENGTH="99999999999999")  # fmt: skip
    assert (reply.status_code, reply.content) == (400, b"")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD", "OPTIONS"])
def test_only_post_is_taken(row, method):
    reply = Client().generic(method, path_of(row))
    assert (reply.status_code, reply.content) == (405, b"")


def test_an_event_of_a_webhook_that_is_off_is_refused(row):
    Subscription.objects.update(state=Subscription.State.OFF)
    assert deliver(row).status_code == 403
    assert post(path_of(row), b"", {"Validation-Token": "abc"}).status_code == 403


def test_an_event_of_a_removed_connection_is_refused(row, ringcentral):
    type(ringcentral).objects.filter(pk=ringcentral.pk).update(client_id="")
    assert deliver(row).status_code == 403
    row.delete()
    assert deliver(row).status_code == 403


def test_a_token_that_no_key_opens_is_no_open_door(row, settings):
    settings.FIELD_ENCRYPTION_KEYS = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
    assert deliver(row).status_code == 403


def test_no_cross_site_token_is_asked_for_and_no_login(row):
    client = Client(enforce_csrf_checks=True)
    reply = client.post(path_of(row), json.dumps(event()), content_type="application/json",
                        headers={"Verification-Token": row.verification})  # fmt: skip
    assert reply.status_code == 200


def test_the_log_holds_nothing_of_an_event(row, caplog):
    from portal.logs import TextFormatter

    caplog.set_level(logging.DEBUG)
    secret = event(body={"parties": [{"from": {"phoneNumber": NEW, "name": "Ana Lopez"}, "status": {}}]})
    deliver(row, json.dumps(secret))
    deliver(row, json.dumps(secret), token="wrong")
    deliver(row, json.dumps(secret)[:-1])
    Client().get(path_of(row))
    lines = "\n".join(TextFormatter().format(record) for record in caplog.records)
    for word in (NEW, "5550142", "Ana Lopez", row.key, row.verification):
        assert word not in lines


def test_the_audit_names_the_runs_that_events_asked_for(row):
    deliver(row)
    entry = AuditEntry.objects.get(action="run requested")
    assert entry.actor == "program"
