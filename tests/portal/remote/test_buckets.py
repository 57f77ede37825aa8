"""Rate buckets: never more than N in a window, nothing inside a penalty, whoever asks."""

from __future__ import annotations

import datetime as dt
import os
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest
import requests
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from portal.models import Connection, RateBucket, RatePermit, RemoteState, Vendor
from portal.remote import buckets as module
from portal.remote import errors
from portal.remote.buckets import Buckets, Permit, stated_rate
from portal.remote.session import RemoteSession, Request
from portal.remote.transport import NotSent
from portal.remote.vendors import TRAITS
from portal.standin import Standin
from tests.flows.conftest import database_url
from tests.portal.remote.conftest import Clock, OpenSession, Script, answer, in_threads, make_account, rate_headers

pytestmark = pytest.mark.django_db
KEY = "ringcentral:1"
LOG = Request("GET", "/restapi/v1.0/account/~/call-log", "rc.call_log", bucket="heavy")
ACCOUNT = Request("GET", "/restapi/v1.0/account/~", "rc.account", bucket="light")
WINDOW_S = module.WINDOW_S + module.MARGIN_S


@pytest.fixture(autouse=True)
def _documented_limits(settings: Any) -> None:
    settings.RINGCENTRAL_LIGHT_PER_MINUTE = 50
    settings.RINGCENTRAL_MEDIUM_PER_MINUTE = 40
    settings.RINGCENTRAL_HEAVY_PER_MINUTE = 10
    settings.RINGCENTRAL_AUTH_PER_MINUTE = 5


def make(clock: Clock, key: str = KEY) -> Buckets:
    return Buckets(key, TRAITS[Vendor.RINGCENTRAL], now=clock.now, monotonic=clock.monotonic)


def taken(clock: Clock, bucket: str, count: int) -> int:
    buckets = make(clock)
    return sum(isinstance(buckets.acquire(bucket), Permit) for _ in range(count))


# --- the window ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("bucket", "limit"), [("light", 50), ("medium", 40), ("heavy", 10), ("auth", 5)])
def test_each_bucket_has_its_own_limit(clock: Clock, bucket: str, limit: int) -> None:
    assert taken(clock, bucket, limit + 5) == limit


def test_a_full_bucket_says_when_the_oldest_request_leaves_the_window(clock: Clock) -> None:
    assert taken(clock, "heavy", 4) == 4
    clock.advance(20)
    assert taken(clock, "heavy", 6) == 6
    assert make(clock).acquire("heavy") == clock.after(seconds=WINDOW_S - 20)


def test_at_the_edge_of_the_window_as_many_are_free_as_have_left_it(clock: Clock) -> None:
    assert taken(clock, "heavy", 7) == 7
    clock.advance(WINDOW_S - 0.001)
    assert taken(clock, "heavy", 10) == 3
    clock.advance(0.001)
    assert taken(clock, "heavy", 10) == 7


def test_other_buckets_and_other_accounts_are_not_touched(clock: Clock) -> None:
    assert taken(clock, "heavy", 11) == 10
    assert isinstance(make(clock).acquire("light"), Permit)
    assert isinstance(make(clock, "ringcentral:2").acquire("heavy"), Permit)


def test_a_request_that_never_left_is_not_counted(clock: Clock) -> None:
    buckets = make(clock)
    permits = [buckets.acquire("heavy") for _ in range(10)]
    assert isinstance(permits[0], Permit)
    buckets.give_back(permits[0])
    assert taken(clock, "heavy", 5) == 1


@hypothesis_settings(max_examples=25, deadline=None)
@given(
    limit=st.integers(1, 6),
    pauses=st.lists(st.floats(0, 40, allow_nan=False), min_size=1, max_size=40),
)
def test_no_window_anywhere_holds_more_than_the_limit(limit: int, pauses: list[float]) -> None:
    clock = Clock()
    RatePermit.objects.all().delete()
    RateBucket.objects.all().delete()
    RateBucket.objects.create(key=KEY, bucket="heavy", limit=limit, window_s=60)
    buckets = make(clock)
    admitted: list[dt.datetime] = []
    for pause in pauses:
        if isinstance(buckets.acquire("heavy"), Permit):
            admitted.append(clock.now())
        clock.advance(pause)
    minute = dt.timedelta(seconds=60)
    assert all(sum(start <= each < start + minute for each in admitted) <= limit for start in admitted)


def test_threads_share_the_bucket(threads_may_connect: None) -> None:
    clock = Clock()
    found = in_threads(12, lambda _: taken(clock, "heavy", 3))
    assert sum(found) == 10


WORK = """
import datetime as dt, sys, django
django.setup()
from portal.models import Vendor
from portal.remote.buckets import Buckets, Permit
from portal.remote.vendors import TRAITS
now = dt.datetime(2026, 5, 4, 12, 30, tzinfo=dt.UTC)
buckets = Buckets("ringcentral:1", TRAITS[Vendor.RINGCENTRAL], now=lambda: now, monotonic=lambda: 0.0)
print(sum(isinstance(buckets.acquire("light"), Permit) for _ in range(40)))
"""


@pytest.mark.django_db(transaction=True)
def test_processes_share_the_bucket() -> None:
    environment = os.environ | {"DATABASE_URL": database_url(), "DJANGO_SETTINGS_MODULE": "portal.settings"}
    started = [
        subprocess.Popen([sys.executable, "-c", WORK], env=environment, stdout=subprocess.PIPE, text=True)
        for _ in range(3)
    ]
    counts = [int(process.communicate(timeout=60)[0]) for process in started]
    assert sum(counts) == 50


# --- what answers say ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("spelling", ["X-Rate-Limit-", "X-RateLimit-"])
def test_both_spellings_of_the_headers_are_read(spelling: str) -> None:
    headers = {f"{spelling}{name}": value for name, value in (("Group", "Heavy"), ("Limit", "7"), ("Remaining", "0"))}
    assert stated_rate(headers) == module.Rate("heavy", limit=7, remaining=0, window_s=None)


@given(st.dictionaries(st.sampled_from([*rate_headers("x")]), st.text(max_size=12), max_size=4))
def test_any_headers_are_read_without_harm(headers: dict[str, str]) -> None:
    rate = stated_rate(headers)
    if rate is not None:
        assert rate.group
        assert rate.limit is None or rate.limit >= 1
        assert rate.window_s is None or 1 <= rate.window_s <= 3600


def test_the_stated_limit_replaces_the_assumed_one(open_phones: OpenSession, clock: Clock) -> None:
    wire = Script(lambda _: answer(200, {}, **rate_headers("Heavy", limit=3, remaining=2)))
    session = open_phones(transport=wire)
    for _ in range(3):
        session.call(LOG)
    with pytest.raises(errors.RateLimited) as caught:
        open_phones(transport=wire).call(LOG)
    assert caught.value.retry_at == clock.after(seconds=WINDOW_S)
    assert len(wire.sent) == 3


def test_a_larger_limit_is_used_too(open_phones: OpenSession, clock: Clock) -> None:
    wire = Script(lambda _: answer(200, {}, **rate_headers("Heavy", limit=25, remaining=9)))
    session = open_phones(transport=wire)
    for _ in range(25):
        session.call(LOG)
    with pytest.raises(errors.RateLimited):
        session.call(LOG)
    assert len(wire.sent) == 25


def test_the_group_that_the_vendor_names_replaces_the_assumed_one(open_phones: OpenSession) -> None:
    wire = Script(lambda _: answer(200, {}, **rate_headers("Media", limit=60, remaining=30)))
    session = open_phones(transport=wire)
    for _ in range(15):
        session.call(LOG)
    assert open_phones(transport=wire).call(LOG).status == 200
    assert RatePermit.objects.filter(bucket="media", free_at__gt=session.now()).count() == 16
    assert not RatePermit.objects.filter(bucket="heavy", free_at__gt=session.now()).exists()


def test_when_nothing_remains_the_window_is_waited_for(open_phones: OpenSession, clock: Clock) -> None:
    wire = Script(lambda _: answer(200, {}, **rate_headers("Heavy", remaining=0, window_s=60)))
    session = open_phones(transport=wire)
    session.call(LOG)
    with pytest.raises(errors.RateLimited) as caught:
        session.call(LOG)
    assert caught.value.retry_at == clock.after(seconds=60)
    assert session.call(ACCOUNT).status == 200


def test_a_short_wait_is_slept_through(open_phones: OpenSession, clock: Clock) -> None:
    wire = Script(lambda _: answer(200, {}, **rate_headers("Heavy", remaining=0, window_s=10)))
    session = open_phones(transport=wire)
    session.call(LOG)
    assert session.call(LOG).status == 200
    assert sum(clock.naps) >= 10


# --- the penalty --------------------------------------------------------------------------------------------------

TOO_MANY = {"errorCode": "CMN-301", "message": "Request rate exceeded", "errors": [{"errorCode": "CMN-301"}]}


def refusing(**headers: str) -> Script:
    return Script(lambda _: answer(429, TOO_MANY, **headers))


@pytest.mark.parametrize(("retry_after", "pause_s"), [("45", 45), ("", 30), ("0", 30)])
def test_a_429_stops_its_bucket_for_everybody_until_its_time(
    open_phones: OpenSession, clock: Clock, retry_after: str, pause_s: int
) -> None:
    headers = rate_headers("heavy", remaining=0) | ({"Retry-After": retry_after} if retry_after else {})
    with pytest.raises(errors.RateLimited) as caught:
        open_phones(transport=refusing(**headers)).call(LOG)
    assert caught.value.retry_at == clock.after(seconds=pause_s)
    wire = Script(lambda _: answer(200, {}))
    with pytest.raises(errors.RateLimited):
        open_phones(transport=wire).call(LOG)
    assert wire.sent == []
    assert open_phones(transport=wire).call(ACCOUNT).status == 200


def test_a_429_without_rate_headers_stops_the_whole_connection(open_phones: OpenSession, clock: Clock) -> None:
    with pytest.raises(errors.RateLimited):
        open_phones(transport=refusing(Retry_After="90")).call(LOG)
    wire = Script(lambda _: answer(200, {}))
    for request in (LOG, ACCOUNT):
        with pytest.raises(errors.RateLimited) as caught:
            open_phones(transport=wire).call(request)
        assert caught.value.retry_at == clock.after(seconds=90)
    assert wire.sent == []


def test_a_global_refusal_stops_the_whole_connection(open_phones: OpenSession, clock: Clock) -> None:
    body = {"errorCode": "CMN-310", "errors": [{"errorCode": "CMN-310"}]}
    wire = Script(lambda _: answer(429, body, **rate_headers("heavy"), Retry_After="40"))
    with pytest.raises(errors.RateLimited):
        open_phones(transport=wire).call(LOG)
    with pytest.raises(errors.RateLimited):
        open_phones(transport=wire).call(ACCOUNT)
    assert len(wire.sent) == 1


def test_a_session_with_an_older_view_of_the_pause_sends_nothing_into_it(open_phones: OpenSession) -> None:
    wire = Script(lambda _: answer(200, {}))
    other = open_phones(transport=wire)
    other.call(ACCOUNT)
    with pytest.raises(errors.RateLimited):
        open_phones(transport=refusing(Retry_After="90")).call(LOG)
    with pytest.raises(errors.RateLimited):
        other.call(ACCOUNT)
    assert len(wire.sent) == 1


def test_a_429_in_a_stream_is_followed_by_nothing(open_phones: OpenSession) -> None:
    wire = refusing(**rate_headers("heavy"), Retry_After="60")
    outcomes = list(open_phones(transport=wire).stream([LOG] * 8, width=1))
    assert {type(outcome) for _, outcome in outcomes} == {errors.RateLimited}
    assert len(wire.sent) == 1


def test_no_permit_is_kept_by_what_never_left(open_phones: OpenSession, clock: Clock, settings: Any) -> None:
    settings.REMOTE_MAX_ATTEMPTS = 1
    for _ in range(15):
        with pytest.raises(errors.Unavailable):
            open_phones(transport=Script(lambda _: NotSent("Refused"))).call(LOG)
        RemoteState.objects.update(failures=0, open_until=None)
    assert not RatePermit.objects.filter(free_at__gt=clock.now()).exists()


def test_zoho_has_no_buckets(clock: Clock) -> None:
    account = make_account(clock)
    with RemoteSession(account, transport=Script(lambda _: answer(200, {})), now=clock.now) as session:
        assert session.call(Request("GET", "/crm/v8/org", "crm.org")).status == 200
    assert not RatePermit.objects.exists()


# --- at the stand-in, which counts as RingCentral does ------------------------------------------------------------


@pytest.fixture
def at_standin(ringcentral: Connection, standin: Standin) -> Callable[[], RemoteSession]:
    """Sessions whose time is the stand-in's: sleeping moves it."""
    standin.clock.freeze()
    start = standin.clock.timestamp()

    def open_() -> RemoteSession:
        return RemoteSession(
            ringcentral,
            sleep=standin.clock.advance,
            now=standin.clock.now,
            monotonic=lambda: standin.clock.timestamp() - start,
        )

    return open_


def call_until_done(open_: Callable[[], RemoteSession], standin: Standin, requests_: list[Request]) -> int:
    """Works the calls as a run does: waits for the named time after each refusal. Returns how many were refused."""
    refused = 0
    for request in requests_:
        with open_() as session:
            while True:
                try:
                    session.call(request)
                    break
                except errors.RateLimited as error:
                    refused += 1
                    standin.clock.advance((error.retry_at - standin.clock.now()).total_seconds())
    return refused


def test_thirty_heavy_calls_provoke_no_refusal(at_standin: Any, standin: Standin) -> None:
    before = standin.clock.timestamp()
    call_until_done(at_standin, standin, [LOG] * 30)
    assert standin.counters.rejected == {}
    assert standin.counters.penalty_violations == 0
    assert standin.clock.timestamp() - before < 3 * 60 + 20


def test_a_smaller_limit_than_documented_is_learned_and_no_penalty_restarted(at_standin: Any, standin: Standin) -> None:
    standin.ringcentral.settings.heavy_limit = 4
    call_until_done(at_standin, standin, [LOG] * 12)
    assert standin.counters.rejected == {}
    assert standin.counters.penalty_violations == 0


def test_another_program_that_uses_the_bucket_up_costs_one_refusal_and_no_second(
    at_standin: Any, standin: Standin, standin_url: str
) -> None:
    call_until_done(at_standin, standin, [LOG])
    token = next(iter(standin.ringcentral.tokens.sessions))
    for _ in range(9):
        requests.get(
            f"{standin_url}/restapi/v1.0/account/~/call-log", headers={"Authorization": f"Bearer {token}"}, timeout=5
        )
    call_until_done(at_standin, standin, [LOG] * 5)
    assert sum(standin.counters.rejected.values()) == 1
    assert standin.counters.penalty_violations == 0
