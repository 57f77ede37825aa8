"""The subscription at RingCentral: made, renewed, made anew, ended; and what is said when that does not work."""

from __future__ import annotations

import datetime as dt

import pytest
from django.contrib.auth.models import AnonymousUser
from django.core import mail
from django.utils import timezone

from portal import connections
from portal.models import AuditEntry, Connection
from telephony import webhook
from telephony.models import Subscription
from tests.telephony.made_calls import make_call
from tests.telephony.webhooks import ORIGIN, open_door, path_of, post, switched_on

State = Subscription.State
HOUR = dt.timedelta(hours=1)


@pytest.fixture
def door(standin, settings, phones):
    return open_door(standin, settings)


@pytest.fixture
def row(db, door, ringcentral):
    return switched_on(ringcentral)


def theirs(standin):
    return standin.ringcentral.subscriptions.by_id


def an_hour_later():
    """As the hourly task finds it when the last making is more than an hour ago."""
    Subscription.objects.filter(tried_at__isnull=False).update(tried_at=timezone.now() - HOUR)
    webhook.renew_due()
    return Subscription.objects.get()


def made(standin):
    rows = standin.counters.journal_rows(lambda entry: entry.method == "POST" and entry.path.endswith("/subscription"))
    return len(rows)


# --- on and off -------------------------------------------------------------------------------------------------------


@pytest.mark.django_db(transaction=True)
def test_ringcentral_validates_the_address_while_the_subscription_is_made(standin, settings, phones, ringcentral):
    door = open_door(standin, settings, validates=True)
    row = switched_on(ringcentral)
    assert (row.state, row.reason) == (State.ACTIVE, "")
    ((url, headers, body),) = door.seen
    assert (url, body) == (f"{ORIGIN}{path_of(row)}", b"")
    assert headers["Verification-Token"] == row.verification


def test_switched_on_it_is_made_for_telephone_sessions_for_seven_days(row, standin):
    (vendors,) = theirs(standin).values()
    assert vendors.filters == ["/restapi/v1.0/account/700000000/telephony/sessions"]
    assert (row.state, row.rc_id, row.address) == (State.ACTIVE, vendors.id, vendors.address)
    assert dt.timedelta(days=6, hours=23) < row.expires_at - timezone.now() <= dt.timedelta(days=7)
    assert len(row.key) >= 43
    assert row.verification == vendors.verification_token
    assert AuditEntry.objects.filter(action="webhook switched on").count() == 1


def test_a_second_click_makes_no_second_subscription(row, ringcentral, standin):
    with pytest.raises(webhook.Refused, match="already"):
        switched_on(ringcentral)
    assert made(standin) == 1


def test_switched_off_it_is_ended_at_ringcentral_and_its_address_is_closed(row, standin):
    assert webhook.switch_off(row, user=AnonymousUser())
    row.refresh_from_db()
    assert (row.state, row.rc_id, row.expires_at) == (State.OFF, "", None)
    assert theirs(standin) == {}
    assert post(path_of(row), b"{}", {"Verification-Token": row.verification}).status_code == 403


def test_switched_on_again_the_old_address_is_worth_nothing(row, ringcentral, standin):
    webhook.switch_off(row, user=AnonymousUser())
    again = switched_on(ringcentral)
    assert (again.pk, again.state) == (row.pk, State.ACTIVE)
    assert again.key != row.key
    assert again.verification != row.verification
    assert len(theirs(standin)) == 1


def test_an_end_that_ringcentral_was_not_told_of_is_told_later(row, standin, settings):
    settings.REMOTE_MAX_ATTEMPTS = 1
    standin.faults.add(status=503, path="v1.0/subscription", nth=1)
    assert not webhook.switch_off(row, user=AnonymousUser())
    assert len(theirs(standin)) == 1
    webhook.renew_due()
    assert theirs(standin) == {}
    assert Subscription.objects.get().rc_id == ""


def test_a_removed_connection_ends_its_webhook_first(row, ringcentral, standin):
    connections.remove(ringcentral, user=AnonymousUser())
    assert theirs(standin) == {}
    assert not Subscription.objects.exists()
    assert not Connection.objects.filter(pk=ringcentral.pk).exists()


def test_a_connection_is_removed_also_when_ringcentral_does_not_answer(row, ringcentral, standin, settings, caplog):
    settings.REMOTE_MAX_ATTEMPTS = 1
    standin.faults.add(status=503, path="/restapi/")
    assert connections.remove(ringcentral, user=AnonymousUser())
    assert "could not be ended" in caplog.text


# --- each hour --------------------------------------------------------------------------------------------------------


def test_it_is_renewed_when_less_than_two_days_are_left_and_not_before(row, standin):
    (vendors,) = theirs(standin).values()
    before = vendors.expires_ms
    webhook.renew_due()
    assert vendors.expires_ms == before
    vendors.expires_ms -= 6 * 86_400_000
    renewed = an_hour_later()
    assert abs(vendors.expires_ms - before) < 60_000
    assert renewed.expires_at - timezone.now() > dt.timedelta(days=6)
    assert renewed.rc_id == row.rc_id


def test_a_blacklisted_one_is_ended_and_made_anew(row, standin):
    theirs(standin)[row.rc_id].status = "Blacklisted"
    anew = an_hour_later()
    (vendors,) = theirs(standin).values()
    assert (anew.state, anew.reason, anew.rc_id) == (State.ACTIVE, "", vendors.id)
    assert anew.key != row.key
    assert AuditEntry.objects.filter(action="webhook made anew").exists()


def test_one_that_vanished_is_made_anew(row, standin):
    theirs(standin).clear()
    anew = an_hour_later()
    assert (anew.state, list(theirs(standin))) == (State.ACTIVE, [anew.rc_id])


def test_it_is_made_anew_once_an_hour_at_most(row, standin):
    for _ in range(3):
        theirs(standin).clear()
        webhook.renew_due()
    failing = Subscription.objects.get()
    assert (made(standin), failing.state) == (1, State.FAILING)
    assert "made anew once an hour at most" in failing.reason
    assert an_hour_later().state == State.ACTIVE
    assert made(standin) == 2


def test_a_changed_address_of_the_portal_is_told_to_ringcentral(row, standin, settings):
    settings.PUBLIC_URL = "https://testserver"
    anew = an_hour_later()
    (vendors,) = theirs(standin).values()
    assert vendors.address == anew.address
    assert anew.address.startswith("https://testserver/api/calls/events/")


def test_what_a_crash_left_behind_is_found_by_its_address(row, standin):
    Subscription.objects.update(rc_id="", expires_at=None, state=State.FAILING)
    webhook.renew_due()
    found = Subscription.objects.get()
    assert (found.state, found.rc_id, made(standin)) == (State.ACTIVE, row.rc_id, 1)


def test_leftovers_at_our_address_are_ended_and_those_of_others_stay(row, standin):
    hooks = theirs(standin)
    ours = hooks[row.rc_id]
    for name, address in (("left", f"{ORIGIN}/api/calls/events/old/"), ("other", "https://other.test/hook")):
        hooks[name] = type(ours)(name, ours.filters, address, "x", ours.created_ms, ours.expires_ms)
    webhook.renew_due()
    assert set(hooks) == {row.rc_id, "other"}


def test_one_that_is_off_asks_ringcentral_nothing(row, standin):
    webhook.switch_off(row, user=AnonymousUser())
    before = len(standin.counters.journal_rows(lambda entry: True))
    webhook.renew_due()
    assert len(standin.counters.journal_rows(lambda entry: True)) == before


def test_one_switched_off_while_it_was_being_made_does_not_stay_at_ringcentral(row, standin, monkeypatch):
    theirs(standin).clear()
    Subscription.objects.update(tried_at=None)
    subscribe = webhook.RingCentralClient.subscribe

    def and_off(self, *args, **values):
        answer = subscribe(self, *args, **values)
        Subscription.objects.update(state=State.OFF)
        return answer

    monkeypatch.setattr(webhook.RingCentralClient, "subscribe", and_off)
    webhook.renew_due()
    assert theirs(standin) == {}


# --- what does not work -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("prepare", "what", "remedy"),
    [
        (lambda standin, door: setattr(standin.ringcentral.settings, "subscriptions", 0), "as many", "End those"),
        (lambda standin, door: setattr(door, "refuses", 403), "Something answered", "proxy"),
        (lambda standin, door: setattr(standin.ringcentral, "deliver", None), "cannot reach", "PUBLIC_URL"),
    ],
    ids=["SUB-505", "SUB-525", "SUB-521"],
)
def test_a_refusal_is_told_in_words_with_a_remedy(standin, door, ringcentral, prepare, what, remedy):
    prepare(standin, door)
    row = switched_on(ringcentral)
    first, _, second = row.reason.partition("\n")
    assert row.state == State.FAILING
    assert what in first
    assert remedy in second
    assert row.failing_since is not None


def test_a_missing_right_is_named(standin, door, ringcentral):
    standin.ringcentral.settings.scopes = standin.ringcentral.settings.scopes.replace("CallControl", "")
    row = switched_on(ringcentral)
    assert row.state == State.FAILING
    assert "CallControl" in row.reason


@pytest.mark.parametrize(
    ("url", "what"),
    [
        ("", "not set"),
        ("http://localhost.example.com", "no https"),
        ("ftp://localhost", "no https"),
        ("localhost", "no https"),
        ("https://", "no https"),
        ("https://[", "no https"),
        ("https://localhost/portal", "more than scheme and host"),
        ("https://localhost?x=1", "more than scheme and host"),
        ("https://user:secret@localhost", "more than scheme and host"),
        ("https://elsewhere.example.com", "ALLOWED_HOSTS"),
    ],
)
def test_an_address_that_cannot_work_is_refused_before_anybody_is_asked(
    url, what, door, ringcentral, settings, standin
):
    settings.PUBLIC_URL = url
    with pytest.raises(webhook.Refused, match=what):
        switched_on(ringcentral)
    assert made(standin) == 0
    assert not Subscription.objects.exists()


def test_plain_http_is_for_a_stand_in_on_this_machine_alone(settings):
    settings.PUBLIC_URL = "http://127.0.0.1:8000/"
    assert webhook.origin() == "http://127.0.0.1:8000"
    settings.ALLOW_INSECURE_VENDORS = False
    with pytest.raises(webhook.Refused, match="no https"):
        webhook.origin()


def test_a_look_that_failed_leaves_a_living_subscription_active_and_says_so(row, standin, settings):
    settings.REMOTE_MAX_ATTEMPTS = 1
    standin.faults.add(status=503, path="v1.0/subscription", nth=1)
    webhook.renew_due()
    seen = Subscription.objects.get()
    assert seen.state == State.ACTIVE
    assert "did not answer" in seen.reason
    webhook.renew_due()
    assert Subscription.objects.get().reason == ""


def test_when_it_has_run_out_meanwhile_it_counts_as_failing(row, standin, settings):
    settings.REMOTE_MAX_ATTEMPTS = 1
    Subscription.objects.update(expires_at=timezone.now() - HOUR)
    standin.faults.add(status=503, path="v1.0/subscription", nth=1)
    webhook.renew_due()
    assert Subscription.objects.get().state == State.FAILING


def test_administrators_are_told_once_when_it_keeps_failing(row, standin, door, person):
    person("Administrator", email="admin@example.com")
    theirs(standin).clear()
    door.refuses = 500
    assert an_hour_later().state == State.FAILING
    assert mail.outbox == []
    Subscription.objects.update(failing_since=timezone.now() - 3 * HOUR)
    an_hour_later()
    an_hour_later()
    (letter,) = mail.outbox
    assert letter.to == ["admin@example.com"]
    assert "Something answered at the portal's address" in letter.body
    assert "/calls/webhook/" in letter.body
    door.refuses = 0
    well = an_hour_later()
    assert (well.state, well.failing_since) == (State.ACTIVE, None)


def test_one_that_cannot_be_looked_after_does_not_hold_up_the_others(row, standin, monkeypatch, caplog):
    def fail(*args, **values):
        raise RuntimeError("defect")

    monkeypatch.setattr(webhook, "look_after", fail)
    webhook.renew_due()
    assert "could not be looked after" in caplog.text


# --- gaps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("calls_h", "last_event_h", "gap"),
    [((30,), 31, 1), ((30, 2), 40, 2), ((30,), 29, 0), ((2,), 40, 0), ((), 40, 0), ((30,), None, 1)],
)
def test_calls_of_a_day_without_an_event_are_a_gap(row, calls_h, last_event_h, gap):
    now = timezone.now()
    for hours in calls_h:
        make_call(started_at=now - dt.timedelta(hours=hours))
    Subscription.objects.update(
        tried_at=now - dt.timedelta(hours=50),
        last_event_at=None if last_event_h is None else now - dt.timedelta(hours=last_event_h),
    )
    assert webhook.unannounced(Subscription.objects.get()) == gap
