from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portal.standin import Standin
from tests.standin.phone_caller import NOON, PhoneCaller

EARLIER = NOON - timedelta(hours=2)


@pytest.fixture
def phone():
    standin = Standin(leads=10)
    standin.clock.freeze(NOON)
    return PhoneCaller(standin).unlimited()


def feed(phone, path="/call-log-sync", **query):
    return phone.get(path, **query).json()


def token(body):
    return body["syncInfo"]["syncToken"]


def ids(body):
    return [row["id"] for row in body["records"]]


def test_full_then_new_and_changed_rows_each_once(phone):
    old, changing = phone.script.accepted(EARLIER), phone.script.voicemail(NOON - timedelta(minutes=2), link_after=180)
    full = feed(phone, syncType="FSync", recordCount=100, view="Detailed")
    nothing = feed(phone, syncType="ISync", syncToken=token(full))
    phone.standin.clock.advance(200)
    fresh = phone.script.accepted(NOON + timedelta(minutes=1), duration=30)

    more = feed(phone, syncType="ISync", syncToken=token(nothing))
    after = feed(phone, syncType="ISync", syncToken=token(more))

    assert ids(full) == [changing.row, old.row]
    assert ids(nothing) == []
    assert ids(more) == [fresh.row, changing.row]
    assert "legs" in more["records"][0]
    assert ids(after) == []


def test_a_row_that_arrives_in_the_same_frozen_moment_is_not_lost(phone):
    full = feed(phone, syncType="FSync")
    late = phone.script.accepted(NOON - timedelta(hours=5))

    assert ids(feed(phone, syncType="ISync", syncToken=token(full))) == [late.row]


def test_more_than_250_changes_force_a_full_sync(phone):
    full = feed(phone, syncType="FSync")
    phone.script.many(EARLIER, count=251)

    reply = phone.get("/call-log-sync", syncType="ISync", syncToken=token(full))

    assert reply.status == 400
    assert "max sync record number limit is exceeded" in reply.json()["message"]
    assert len(feed(phone, syncType="FSync", recordCount=250)["records"]) == 250
    assert phone.get("/call-log-sync", syncType="FSync", recordCount=251).status == 400


def test_tokens_expire_by_time_and_by_order_and_must_be_real(phone):
    full = feed(phone, syncType="FSync")
    phone.standin.ringcentral.sync.expire_tokens()
    assert phone.code(phone.get("/call-log-sync", syncType="ISync", syncToken=token(full))) == "CLG-101"

    phone.standin.clock.advance(1)
    full = feed(phone, syncType="FSync")
    phone.standin.clock.advance(3_000)
    assert phone.get("/call-log-sync", syncType="ISync", syncToken=token(full)).status == 200
    phone.standin.ringcentral.settings.sync_token_life_s = 1_000
    assert phone.code(phone.get("/call-log-sync", syncType="ISync", syncToken=token(full))) == "CLG-101"
    assert phone.code(phone.get("/call-log-sync", syncType="ISync", syncToken="x")) == "CLG-102"
    # A token of one feed is none of another.
    assert phone.code(phone.get("/call-log-extract-sync", syncType="ISync", syncToken=token(full))) == "CLG-102"


def test_missed_calls_alone_and_deleted_rows(phone):
    accepted, missed = phone.script.accepted(EARLIER), phone.script.missed(EARLIER)
    full = feed(phone, syncType="FSync", statusGroup="Missed")
    phone.script.delete_row(accepted.row)

    assert ids(full) == [missed.row]
    assert ids(feed(phone, syncType="ISync", syncToken=token(full))) == []
    shown = feed(phone, syncType="ISync", syncToken=token(full), showDeleted="true")
    assert [(row["id"], row["deleted"]) for row in shown["records"]] == [(accepted.row, True)]


def test_an_extension_has_its_own_feed(phone):
    phone.script.queue_answered(EARLIER, queue="201", agent="102")

    rows = feed(phone, "/extension/700000101/call-log-sync", syncType="FSync")["records"]

    assert [row["result"] for row in rows] == ["Missed"]


def test_extract_gives_everything_updated_since_in_portions(phone):
    made = phone.script.many(NOON, count=30, every_s=10, duration=5)
    phone.standin.clock.advance(600)

    body = feed(
        phone, "/call-log-extract-sync", syncType="FSync", recordCount=12, view="Detailed", dateFrom="2026-11-02"
    )
    found, portions = ids(body), 1
    phone.standin.ringcentral.script.accepted(NOON + timedelta(minutes=9), duration=1)
    while body["syncInfo"]["newerRecordsExist"]:
        body = feed(phone, "/call-log-extract-sync", syncType="ISync", syncToken=token(body))
        found, portions = found + ids(body), portions + 1

    assert found[:30] == made.rows
    assert (len(found), portions) == (31, 2)
    assert ids(feed(phone, "/call-log-extract-sync", syncType="ISync", syncToken=token(body))) == []


def test_extract_keeps_rows_of_one_millisecond_together(phone):
    phone.script.many(EARLIER, count=40)

    body = feed(phone, "/call-log-extract-sync", syncType="FSync", recordCount=5)

    assert (len(body["records"]), body["syncInfo"]["newerRecordsExist"]) == (40, False)


def test_a_changed_row_comes_once_with_its_newest_state(phone):
    made = phone.script.corrected(NOON - timedelta(minutes=3), after=240)
    body = feed(phone, "/call-log-extract-sync", syncType="FSync")
    phone.standin.clock.advance(300)

    again = feed(phone, "/call-log-extract-sync", syncType="ISync", syncToken=token(body))

    assert [(row["id"], row["duration"]) for row in body["records"]] == [(made.row, 120)]
    assert [(row["id"], row["duration"]) for row in again["records"]] == [(made.row, 135)]


@pytest.mark.parametrize(("status", "code"), [(403, "CMN-403"), (404, "CMN-102")])
def test_extract_may_not_be_there(phone, status, code):
    phone.standin.ringcentral.settings.extract_sync_status = status

    reply = phone.get("/call-log-extract-sync", syncType="FSync")

    assert (reply.status, phone.code(reply)) == (status, code)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("call"), st.integers(0, 900)),
        st.tuples(st.just("voicemail"), st.integers(0, 900)),
        st.tuples(st.just("wait"), st.integers(0, 400)),
        st.tuples(st.just("change"), st.integers(0, 100)),
        st.tuples(st.just("poll"), st.just(0)),
    ),
    max_size=25,
)


@pytest.mark.parametrize("path", ["/call-log-sync", "/call-log-extract-sync"])
@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_who_follows_the_feed_ends_with_the_list_whatever_happens(path, steps):
    standin = Standin(leads=0)
    standin.clock.freeze(NOON)
    standin.ringcentral.settings.token_life_s = 86_400
    phone = PhoneCaller(standin).unlimited()
    body = feed(phone, path, syncType="FSync", view="Detailed", dateFrom="2026-11-01")
    copy, made = {}, []

    def follow():
        nonlocal body
        while True:
            body = feed(phone, path, syncType="ISync", syncToken=token(body))
            copy.update({row["id"]: row for row in body["records"]})
            if not body["syncInfo"].get("newerRecordsExist"):
                return

    for kind, number in steps:
        if kind == "wait":
            standin.clock.advance(number)
        elif kind == "poll":
            follow()
        elif kind == "change" and made:
            phone.script.change_row(made[number % len(made)], duration=number)
        elif kind == "call":
            made += phone.script.accepted(standin.clock.now() - timedelta(seconds=number), duration=60).rows
        elif kind == "voicemail":
            at = standin.clock.now() - timedelta(seconds=number)
            made += phone.script.voicemail(at, link_after=number / 2).rows
    standin.clock.advance(3_600)
    follow()

    assert copy == {row["id"]: row for row in phone.log()}
