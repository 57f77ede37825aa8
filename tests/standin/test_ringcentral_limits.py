from __future__ import annotations

import pytest

from portal.standin import Standin
from tests.standin.phone_caller import NOON, PhoneCaller


@pytest.fixture
def phone():
    standin = Standin(leads=10)
    standin.clock.freeze(NOON)
    return PhoneCaller(standin)


def test_heavy_calls_share_one_bucket_of_ten(phone):
    replies = [phone.get("/call-log") for _ in range(5)] + [phone.get("/recording/1") for _ in range(6)]

    assert [reply.status for reply in replies] == [200] * 5 + [404] * 5 + [429]
    assert replies[0].headers["X-Rate-Limit-Group"] == "heavy"
    assert [replies[0].headers["X-Rate-Limit-Remaining"], replies[9].headers["X-Rate-Limit-Remaining"]] == ["9", "0"]
    assert replies[0].headers["X-Rate-Limit-Window"] == "60"


def test_a_429_names_its_code_and_wait(phone):
    phone.standin.ringcentral.settings.heavy_limit = 0

    reply = phone.get("/call-log")

    assert (reply.status, phone.code(reply), reply.headers["Retry-After"]) == (429, "CMN-301", "60")
    assert phone.standin.counters.rejected == {"ringcentral heavy": 1}
    assert phone.standin.counters.penalty_violations == 0


def test_groups_are_independent(phone):
    phone.standin.ringcentral.settings.heavy_limit = 0

    assert phone.get("/call-log").status == 429
    assert phone.get("/extension").headers["X-Rate-Limit-Group"] == "medium"
    assert phone.get("").headers["X-Rate-Limit-Group"] == "light"


def test_the_window_slides(phone):
    for _ in range(2):
        for _ in range(5):
            phone.get("/call-log")
        phone.standin.clock.advance(31)

    assert [phone.get("/call-log").status for _ in range(6)] == [200] * 5 + [429]


def test_any_call_in_the_penalty_restarts_it(phone):
    for _ in range(11):
        phone.get("/call-log")
    phone.standin.clock.advance(59)
    assert phone.get("/call-log").status == 429
    phone.standin.clock.advance(59)
    assert phone.get("/call-log").status == 429
    phone.standin.clock.advance(60)
    assert phone.get("/call-log").status == 200

    assert phone.standin.counters.penalty_violations == 2
    assert phone.standin.counters.as_dict()["penalty_violations"] == 2


def test_waiting_the_penalty_out_is_enough(phone):
    for _ in range(11):
        phone.get("/call-log")
    phone.standin.clock.advance(60)

    assert phone.get("/call-log").status == 200
    assert phone.standin.counters.penalty_violations == 0


def test_five_logins_a_minute(phone):
    assert [phone.login().status for _ in range(5)] == [200] * 4 + [429]


def test_a_scripted_fault_has_the_vendors_words_and_the_bucket_counts_it(phone):
    phone.standin.faults.add(path="/call-log", status=503, headers={"Retry-After": "7"})

    reply = phone.get("/call-log")

    assert (reply.status, phone.code(reply), reply.headers["Retry-After"]) == (503, "CMN-201", "7")
    assert reply.headers["X-Rate-Limit-Remaining"] == "9"


def test_a_429_may_come_without_a_wait(phone):
    phone.standin.ringcentral.settings.heavy_limit, phone.standin.ringcentral.settings.retry_after = 0, False

    assert "Retry-After" not in phone.get("/call-log").headers
