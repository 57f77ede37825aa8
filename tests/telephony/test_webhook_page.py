"""The page of the webhook: what it says in each state, and what its buttons do."""

from __future__ import annotations

import datetime as dt

import pytest
from django.urls import reverse
from django.utils import timezone

from telephony.models import Subscription
from tests.telephony.made_calls import make_call
from tests.telephony.webhooks import open_door, switched_on

URL = "/calls/webhook/"
State = Subscription.State


@pytest.fixture
def door(standin, settings, phones):
    return open_door(standin, settings)


@pytest.fixture
def admin(login):
    return login("Administrator")


def text_of(reply):
    return " ".join(reply.content.decode().split())


def press(client, act):
    return client.post(URL, {"act": act}, follow=True)


def test_without_a_connection_it_says_what_to_do(admin, db):
    assert "There is no connection to RingCentral." in text_of(admin.get(URL))
    assert "There is no connection to RingCentral yet" in text_of(press(admin, "on"))
    assert not Subscription.objects.exists()


def test_without_a_public_address_it_cannot_be_switched_on(admin, ringcentral, settings):
    settings.PUBLIC_URL = ""
    page = text_of(admin.get(URL))
    assert "PUBLIC_URL is not set" in page
    assert "disabled>Switch on" in page
    settings.PUBLIC_URL = "http://portal.example.com"
    assert "PUBLIC_URL is no https:// address." in text_of(admin.get(URL))
    assert "PUBLIC_URL is no https:// address." in text_of(press(admin, "on"))
    assert not Subscription.objects.exists()


def test_it_is_off_until_somebody_switches_it_on_and_shows_then_how_it_is(admin, door, ringcentral):
    assert "It is off." in text_of(admin.get(URL))
    assert not Subscription.objects.exists()
    page = text_of(press(admin, "on"))
    row = Subscription.objects.get()
    assert "RingCentral tells the portal of calls." in page
    assert row.state == State.ACTIVE
    for words in ("<span>On</span>", "none yet", "renewed two days before", f"/api/calls/events/{row.key[:6]}…/"):
        assert words in page
    assert row.key not in page
    assert row.verification not in page


def test_it_is_switched_off_by_a_button(admin, door, ringcentral):
    press(admin, "on")
    assert "ended at RingCentral" in text_of(press(admin, "off"))
    assert Subscription.objects.get().state == State.OFF
    assert "It is off." in text_of(admin.get(URL))


def test_a_failure_is_told_with_its_remedy_and_tried_again_by_a_button(admin, door, ringcentral):
    door.refuses = 500
    page = text_of(press(admin, "on"))
    assert "It does not work: Something answered" in page
    assert "<span>Failing</span>" in page
    assert "What to do:" in page
    door.refuses = 0
    Subscription.objects.update(tried_at=timezone.now() - dt.timedelta(minutes=1))
    assert "RingCentral tells the portal of calls." in text_of(press(admin, "check"))


def test_a_gap_and_a_missing_schedule_are_said(admin, door, ringcentral):
    switched_on(ringcentral)
    long_ago = timezone.now() - dt.timedelta(days=3)
    Subscription.objects.update(tried_at=long_ago, last_event_at=long_ago)
    make_call(started_at=timezone.now() - dt.timedelta(days=2))
    page = text_of(admin.get(URL))
    assert "A gap:" in page
    assert "1 call was read since" in page
    assert "No schedule reads the calls." in page
    assert reverse("call-schedule-new") in page


def test_a_failed_look_at_a_living_one_is_a_warning(admin, door, ringcentral):
    switched_on(ringcentral)
    Subscription.objects.update(reason="RingCentral did not answer.\nTry later.")
    assert "The last look at the subscription failed" in text_of(admin.get(URL))


@pytest.mark.parametrize("act", ["", "nonsense", "check", "off"])
def test_what_does_not_apply_does_nothing(admin, door, ringcentral, act):
    assert press(admin, act).status_code == 200
    assert not Subscription.objects.exists()


def test_only_who_may_set_calls_up_comes_in(login, ringcentral):
    for role in ("Viewer", "Operator", "Supervisor"):
        client = login(role)
        assert client.get(URL).status_code == 403
        assert client.post(URL, {"act": "on"}).status_code == 403
        assert URL not in client.get(reverse("calls")).content.decode()


def test_the_page_works_without_the_key_of_the_secrets(admin, door, ringcentral, settings):
    switched_on(ringcentral)
    settings.FIELD_ENCRYPTION_KEYS = ["AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="]
    assert admin.get(URL).status_code == 200
