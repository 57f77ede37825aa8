"""The board of missed calls under a log that changes its mind, people in a hurry, and callers who mean no good."""

from __future__ import annotations

import datetime as dt
import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.db import connections, transaction
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from portal.models import Connection
from telephony import missed_board, review
from telephony.models import Call, Caller, ExcludedNumber, Extension, MissedCard, Office
from tests.telephony.made_calls import make_call, make_extension, make_office, ringcentral
from tests.telephony.made_cards import PAGE, act, after, ago, follow, missed, moment, returned, text_of  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("moment")]
Login = Callable[..., Client]


OTHER_LINE = "+15105550200"


def change(call: Call, **values: Any) -> None:
    """The log tells something else of the call."""
    for name, value in values.items():
        setattr(call, name, value)
    call.save()
    follow(call)


def person(name: str = "ana") -> User:
    return User.objects.create_user(name)


# --- the log changes its mind ---------------------------------------------------------------------------------------------


def test_a_call_that_turns_out_to_have_rung_on_another_line_takes_its_card_there(login: Login) -> None:
    call = missed(started_at=ago(minutes=5))
    change(call, line=OTHER_LINE)
    assert MissedCard.objects.get().line == OTHER_LINE
    assert call.get_absolute_url() in login("Viewer").get(PAGE).content.decode()


def test_a_call_back_that_was_to_another_number_leaves_the_caller_waiting() -> None:
    missed()
    back = returned(started_at=after(minutes=5))
    assert MissedCard.objects.get().state == "called_back"
    change(back, number="+15105550999")
    assert MissedCard.objects.get().state == "open"


def test_a_call_back_that_was_later_than_told_closes_the_card_then() -> None:
    missed()
    back = returned(started_at=after(minutes=5))
    missed(started_at=after(minutes=10))
    change(back, started_at=after(minutes=20))
    assert [(card.state, card.attempts) for card in MissedCard.objects.all()] == [("called_back", 2)]


def test_who_took_a_caller_keeps_them_when_the_first_attempt_was_answered_after_all() -> None:
    first = missed()
    missed(started_at=after(minutes=5))
    user = person()
    missed_board.take(MissedCard.objects.get(), user=user)
    change(first, outcome="accepted", ended_at=after(seconds=10))
    card = MissedCard.objects.get()
    assert (card.attempts, card.taken_by) == (1, user)


def test_what_a_person_said_is_no_call_back_is_none_after_two_cards_become_one() -> None:
    missed()
    between = returned(started_at=after(minutes=5))
    missed(started_at=after(minutes=10))
    machine = returned(started_at=after(minutes=15))
    missed_board.reopen(MissedCard.objects.get(closing_call=machine), user=person())
    change(between, outcome="outbound_failed")
    assert [(card.state, card.attempts) for card in MissedCard.objects.all()] == [("open", 2)]
    follow(*Call.objects.all())
    assert [(card.state, card.attempts) for card in MissedCard.objects.all()] == [("open", 2)]


def test_who_took_the_later_of_two_cards_keeps_the_one_that_they_become() -> None:
    user = person()
    missed()
    between = returned(started_at=after(minutes=5))
    missed(started_at=after(minutes=10))
    missed_board.take(MissedCard.objects.get(state="open"), user=user)
    change(between, outcome="outbound_failed")
    assert MissedCard.objects.get().taken_by == user


def test_a_card_that_a_person_closed_stays_closed_when_its_number_is_understood_later() -> None:
    call = missed(number="", number_told="510 555 0142", outcome="voicemail")
    missed_board.close(MissedCard.objects.get(), "ignored", reason="spam", user=person())
    change(call, number="+15105550142")
    card = MissedCard.objects.get()
    assert (card.number, card.state, card.reason) == ("+15105550142", "ignored", "spam")


def test_who_rings_after_a_decision_waits_also_when_ringcentrals_clock_is_ahead_of_ours() -> None:
    missed(started_at=timezone.now() + dt.timedelta(minutes=2))
    missed_board.close(MissedCard.objects.get(), "ignored", reason="spam", user=person())
    missed(started_at=timezone.now() + dt.timedelta(minutes=3))
    follow(*Call.objects.all())
    assert list(MissedCard.objects.order_by("opened_at").values_list("state", "attempts")) == [
        ("ignored", 1),
        ("open", 1),
    ]


def test_a_conversation_that_the_log_says_lasted_for_weeks_hides_nobody_for_longer_than_a_day() -> None:
    returned(ended_at=after(days=30))
    missed(started_at=after(days=2))
    assert MissedCard.objects.get().state == "open"
    follow(*Call.objects.all())
    assert MissedCard.objects.get().state == "open"


# --- settings that were wrong for an hour ---------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["number", "office", "extension"])
def test_callers_come_back_when_a_setting_that_hid_them_is_taken_back(what: str) -> None:
    office = make_office()
    extension = make_extension(office)
    missed(office, started_at=ago(hours=3), extension_ids=[extension.rc_id])

    def hide(hidden: bool) -> None:
        if what == "number" and hidden:
            ExcludedNumber.objects.create(number="+15105550142")
        elif what == "number":
            ExcludedNumber.objects.all().delete()
        Office.objects.update(is_active=not (hidden and what == "office"))
        Extension.objects.update(process_calls=not (hidden and what == "extension"))
        missed_board.follow_open()

    hide(True)
    assert not MissedCard.objects.exists()
    hide(False)
    assert MissedCard.objects.get().state == "open"


def test_calls_from_before_there_was_a_board_come_onto_it_within_the_hour() -> None:
    make_call(None, outcome="missed", started_at=ago(days=2))
    make_call(None, outcome="voicemail", number="", started_at=ago(days=2))
    make_call(None, outcome="missed", number="", started_at=ago(days=2))
    make_call(None, outcome="missed", number="+15105550999", started_at=ago(days=50))
    missed_board.follow_open()
    assert sorted(MissedCard.objects.values_list("number", flat=True)) == ["", "+15105550142"]


def test_looking_again_writes_nothing_when_nothing_has_changed() -> None:
    missed(started_at=ago(hours=3))
    returned(started_at=ago(hours=2), ended_at=ago(hours=1))
    missed(started_at=ago(hours=1.5))  # during the conversation
    missed(started_at=ago(minutes=5))
    before = list(MissedCard.objects.order_by("pk").values())
    missed_board.follow_open()
    assert list(MissedCard.objects.order_by("pk").values()) == before
    assert len(before) == 2


# --- people in a hurry ----------------------------------------------------------------------------------------------------


def test_a_caller_who_rang_again_since_is_told_to_who_acts_on_an_old_page(login: Login) -> None:
    missed(started_at=ago(minutes=20))
    seen = MissedCard.objects.get()
    missed(started_at=ago(minutes=5))
    assert "it is now “Open” with 2 attempts" in text_of(act(login("Operator"), "ignore", seen, reason="spam"))


def test_a_card_that_is_gone_is_told_and_no_page_not_found(login: Login) -> None:
    call = missed(started_at=ago(minutes=20))
    card = MissedCard.objects.get()
    change(call, outcome="accepted")
    page = act(login("Operator"), "take", card)
    assert page.status_code == 200
    assert "This card is gone" in text_of(page)


def test_opening_a_card_again_whose_caller_was_called_back_since_says_so(login: Login) -> None:
    missed(started_at=ago(minutes=20))
    missed_board.close(MissedCard.objects.get(), "resolved", reason="met them", user=person())
    returned(started_at=ago(minutes=10))
    words = text_of(act(login("Operator"), "reopen", MissedCard.objects.get()))
    assert "The card is open again" not in words
    assert "The card is “Called back” again: Returned by somebody after 10 min." in words


def test_opening_a_card_again_whose_number_is_excluded_by_now_says_so(login: Login) -> None:
    missed(started_at=ago(minutes=20))
    missed_board.close(MissedCard.objects.get(), "resolved", reason="met them", user=person())
    ExcludedNumber.objects.create(number="+15105550142")
    words = text_of(act(login("Operator"), "reopen", MissedCard.objects.get()))
    assert "The card is open again" not in words
    assert "gone" in words


@pytest.mark.parametrize("values", [
    {"next": "foo"}, {"next": "home"}, {"seen": "0001-01-01T00:00:00+23:59"}, {"seen": "9999-12-31T23:59:59-23:59"},
    {"seen": "2026-01-01"},
])  # fmt: skip
def test_odd_forms_are_answered_and_lead_back_to_the_board(values: dict[str, str], login: Login) -> None:
    missed(started_at=ago(minutes=20))
    page = act(login("Operator"), "take", MissedCard.objects.get(), **values)
    assert page.redirect_chain == [(PAGE, 302)]
    assert page.status_code == 200


# --- what the page shows --------------------------------------------------------------------------------------------------


def test_the_call_back_of_another_office_is_told_without_a_link_that_leads_nowhere(login: Login) -> None:
    mine, other = make_office(), make_office("reno")
    missed(mine, started_at=ago(minutes=20))
    back = returned(other, started_at=ago(minutes=10))
    client = login("Viewer")
    assert back.get_absolute_url() in client.get(PAGE).content.decode()
    mine.people.add(User.objects.get(username="viewer"))
    assert client.get(back.get_absolute_url()).status_code == 404
    page = client.get(PAGE)
    assert "Returned by" in text_of(page)
    assert back.get_absolute_url() not in page.content.decode()


def test_a_caller_who_rang_ten_thousand_times_makes_no_endless_page(login: Login) -> None:
    made = [
        Call(
            connection=ringcentral(), key=f"k{place}", direction="inbound", outcome="missed", outcome_reason="",
            started_at=ago(seconds=10_000 - place), number="+15105550142", line="+15105550100", digest="x", state="done",
        )
        for place in range(10_000)
    ]  # fmt: skip
    Call.objects.bulk_create(made, batch_size=500)
    follow(*Call.objects.all())
    assert MissedCard.objects.get().attempts == 10_000
    page = login("Viewer").get(PAGE)
    assert len(page.content) < 100_000
    assert "10,000 attempts" in text_of(page)
    assert made[-1].get_absolute_url() in page.content.decode()


def test_the_attempts_of_a_card_are_those_that_it_counts(login: Login) -> None:
    missed(started_at=ago(minutes=20))
    ignored = missed(started_at=ago(minutes=15), state="review")
    missed(started_at=ago(minutes=10))
    review.ignore(ignored, reason="spam", user=person())
    page = login("Viewer").get(PAGE)
    assert "2 attempts" in text_of(page)
    assert ignored.get_absolute_url() not in page.content.decode()


def test_the_figures_above_the_board_count_what_stands_below(login: Login) -> None:
    missed(started_at=ago(days=40))
    missed(started_at=ago(minutes=5), number="+15105550143")
    client = login("Viewer")
    assert (client.get(PAGE).context["facts"].open, client.get(PAGE, {"older": "1"}).context["facts"].open) == (1, 2)
    assert client.get(PAGE, {"older": "1"}).context["facts"].overdue == 1


def test_a_number_that_is_not_complete_is_shown_as_it_was_told_and_not_called_withheld(login: Login) -> None:
    missed(started_at=ago(minutes=5), number="", number_told="anonymous-77", outcome="voicemail")
    words = text_of(login("Viewer").get(PAGE))
    assert "anonymous-77" in words
    assert "Number withheld" not in words


def test_names_that_turn_the_writing_around_do_so_for_themselves_only(login: Login) -> None:
    missed(started_at=ago(minutes=5), name_told="\u202eevil\u202e")
    assert "<bdi>\u202eevil\u202e</bdi>" in login("Viewer").get(PAGE).content.decode()


def test_the_record_of_the_connection_that_calls_are_written_with_is_shown(login: Login) -> None:
    main = Connection.objects.create(vendor="zoho", name="Main", client_id="x", is_default=True)
    other = Connection.objects.create(vendor="zoho", name="Sandbox", client_id="x")
    for connection, record in ((main, "111"), (other, "222")):
        Caller.objects.create(connection=connection, number="+15105550142", module="Leads", record_id=record)
    missed(started_at=ago(minutes=5))
    words = text_of(login("Viewer").get(PAGE))
    assert "111" in words
    assert "222" not in words


def test_a_wall_screen_reads_no_attempts_that_it_does_not_show(login: Login) -> None:
    missed(started_at=ago(minutes=5))
    client = login("Viewer")
    with CaptureQueriesContext(database) as queries:
        client.get(PAGE, {"wall": "1"})
    assert not [each for each in queries.captured_queries if '"telephony_call"."legs"' in each["sql"]]


# --- two at one moment (PostgreSQL locks rows) ------------------------------------------------------------------------------

needs_rows_locked = pytest.mark.skipif("sqlite" in database.vendor, reason="SQLite has one writer at a time")


def in_thread(work: Callable[[], Any], failures: list[BaseException]) -> threading.Thread:
    def run() -> None:
        try:
            work()
        except BaseException as error:
            failures.append(error)
        finally:
            connections.close_all()

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def wait_until_somebody_waits() -> None:
    """Until another session waits for a lock."""
    for _ in range(2000):
        with database.cursor() as cursor:
            cursor.execute("select count(*) from pg_locks where not granted and pg_sleep(0.005) is not null")
            if cursor.fetchone()[0]:
                return
    raise AssertionError("nobody waits")


@needs_rows_locked
@pytest.mark.django_db(transaction=True)
def test_opening_a_card_again_while_the_log_is_read_locks_nobody_out() -> None:
    missed(started_at=ago(minutes=30))
    missed(started_at=ago(minutes=25), line=OTHER_LINE)
    user = person()
    first, second = MissedCard.objects.order_by("pk")
    missed_board.close(second, "resolved", reason="met them", user=user)
    second.refresh_from_db()
    failures: list[BaseException] = []
    with transaction.atomic():
        list(MissedCard.objects.select_for_update().filter(pk=first.pk))
        thread = in_thread(lambda: missed_board.reopen(second, user=user), failures)
        wait_until_somebody_waits()
        follow(*Call.objects.all())
    thread.join()
    assert not failures
    assert set(MissedCard.objects.values_list("state", flat=True)) == {"open"}


def test_a_wall_screen_whose_login_has_ended_shows_the_login_page_and_not_a_part_of_it(login: Login) -> None:
    client = login("Viewer")
    client.logout()
    part = client.get(PAGE, {"wall": "1"}, headers={"HX-Request": "true"})
    assert (part.status_code, part.headers["HX-Refresh"], part.content) == (200, "true", b"")
    whole = client.get(PAGE, {"wall": "1"})
    assert (whole.status_code, whole.headers["Location"].split("?")[0]) == (302, "/accounts/login/")


@pytest.mark.parametrize("values", [
    {"seen": "9999-12-31T23:59:59-23:59"}, {"seen": "yesterday"}, {"next": "foo"}, {"next": "//evil.example"},
])  # fmt: skip
def test_odd_forms_of_a_call_are_answered_and_lead_to_its_page(values: dict[str, str], login: Login) -> None:
    call = make_call(None, state="review", reason_code="UNCLEAR")
    response = login("Operator").post(reverse("call-ignore", args=[call.pk]), {"reason": "no call"} | values)
    assert (response.status_code, response.headers["Location"]) == (302, call.get_absolute_url())
