from __future__ import annotations

import datetime as dt

import pytest

from portal.models import ApiUsage, Connection, RemoteState
from portal.remote import errors, meter
from portal.remote.session import Request
from tests.portal.remote.conftest import Clock, OpenSession, Script, answer, in_threads

pytestmark = pytest.mark.django_db
READ = Request("GET", "/crm/v8/Leads", "crm.list", credits=10)


@pytest.fixture(autouse=True)
def _a_thousand_credits_a_day(account: Connection) -> None:
    account.daily_credits = 1000


def spend(account: Connection, clock: Clock, hours_ago: int, credits_spent: int) -> dt.datetime:
    hour = meter.hour_of(clock.after(hours=-hours_ago))
    ApiUsage.objects.create(key=account.limit_key, hour=hour, endpoint="crm.list", credits=credits_spent, calls=1)
    return hour


def ok() -> Script:
    return Script(lambda _: answer(200, {}))


def test_a_run_may_not_touch_the_reserve(open_session: OpenSession, account: Connection, clock: Clock) -> None:
    oldest = spend(account, clock, 20, 50)
    spend(account, clock, 3, 745)
    wire = ok()
    with pytest.raises(errors.CreditsExhausted) as caught:
        open_session(transport=wire, purpose="run").call(READ)
    assert caught.value.retry_at == oldest + dt.timedelta(hours=25)
    assert wire.sent == []


def test_a_run_may_spend_up_to_the_reserve(open_session: OpenSession, account: Connection, clock: Clock) -> None:
    spend(account, clock, 3, 780)
    session = open_session(transport=ok(), purpose="run")
    assert [session.call(READ).status, session.call(READ).status] == [200, 200]
    with pytest.raises(errors.CreditsExhausted):
        session.call(READ)


def test_people_may_use_the_reserve(open_session: OpenSession, account: Connection, clock: Clock) -> None:
    spend(account, clock, 3, 995)
    assert open_session(transport=ok()).call(READ).status == 200


def test_credits_older_than_a_day_are_back(open_session: OpenSession, account: Connection, clock: Clock) -> None:
    spend(account, clock, 25, 900)
    assert open_session(transport=ok(), purpose="run").call(READ).status == 200


def test_nothing_is_reserved_of_an_unknown_amount(open_session: OpenSession, account: Connection, clock: Clock) -> None:
    account.daily_credits = 0
    spend(account, clock, 3, 900_000)
    assert open_session(transport=ok(), purpose="run").call(READ).status == 200


def test_the_vendors_lower_figure_counts(open_session: OpenSession, account: Connection, clock: Clock) -> None:
    RemoteState.objects.create(key=account.limit_key, credits_remaining=205, credits_seen_at=clock.now())
    with pytest.raises(errors.CreditsExhausted) as caught:
        open_session(transport=ok(), purpose="run").call(READ)
    assert caught.value.retry_at == clock.after(hours=1)


def test_an_old_figure_of_the_vendor_is_not_believed(
    open_session: OpenSession, account: Connection, clock: Clock
) -> None:
    RemoteState.objects.create(key=account.limit_key, credits_remaining=0, credits_seen_at=clock.after(hours=-2))
    assert open_session(transport=ok(), purpose="run").call(READ).status == 200


def test_accounts_of_one_organisation_share_their_credits(clock: Clock, account: Connection) -> None:
    account.organisation_id = "77"
    assert account.limit_key == "zoho:77"
    meter.charge("zoho:77", clock.now(), "a", credits_spent=4, failed=False, elapsed_ms=1)
    meter.charge("zoho:77", clock.now(), "b", credits_spent=5, failed=True, elapsed_ms=1)
    assert meter.used_credits(account.limit_key, clock.now()) == 9


def test_charges_of_several_processes_add_up(threads_may_connect: None) -> None:
    clock = Clock()

    def spend_(_: int) -> None:
        for _ in range(10):
            meter.charge("zoho:1", clock.now(), "crm.list", credits_spent=3, failed=True, elapsed_ms=2)

    assert in_threads(5, spend_) == [None] * 5
    usage = ApiUsage.objects.get(key="zoho:1")
    assert (usage.calls, usage.failures, usage.credits, usage.elapsed_ms) == (50, 50, 150, 100)


def test_the_price_of_a_call_follows_the_organisations_own_list(settings):
    settings.ZOHO_CREDIT_PRICES = {"records.update": 7}
    assert Request("PUT", "/crm/v8/Leads", "records.update", credits=10).price == 7
    assert Request("GET", "/crm/v8/Leads", "records.list", credits=3).price == 3
