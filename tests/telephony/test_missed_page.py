"""The board as people see and use it."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection as database
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from portal.models import AuditEntry, Connection
from telephony import missed_board
from telephony.missed_board import MissedBoard
from telephony.models import Call, Caller, CallSettings, ExcludedNumber, MissedCard, Office
from tests.telephony import made_cards
from tests.telephony.made_calls import make_call, make_extension, make_office, ringcentral
from tests.telephony.made_cards import PAGE, act, ago, moment, text_of  # noqa: F401 - a fixture

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("moment")]
Login = Callable[..., Client]


def missed(office: Office | None = None, minutes_ago: float = 20, **values: Any) -> MissedCard:
    call = made_cards.missed(office, **{"started_at": ago(minutes=minutes_ago), "state": "done"} | values)
    return MissedCard.objects.filter(number=call.number).latest("pk")


def returned(minutes_ago: float, **values: Any) -> None:
    made_cards.returned(started_at=ago(minutes=minutes_ago), **values)


def columns(response: Any) -> dict[str, list[str]]:
    """The numbers in each column, from the top."""
    parts = re.split(r'id="column-(\w+)"', response.content.decode())[1:]
    return {
        state: re.findall(r'id="card-head-\d+">([^<]+)<', html)
        for state, html in zip(parts[::2], parts[1::2], strict=True)
    }


def test_a_card_shows_who_waits_since_when_how_often_and_for_which_record(login: Login) -> None:
    office = make_office()
    zoho = Connection.objects.create(vendor="zoho", name="Zoho", client_id="x")
    Caller.objects.create(connection=zoho, number="+15105550142", module="Leads", record_id="48768000000411001")
    first = missed(office, 20).first_call
    missed(office, 10, outcome="voicemail")
    page = login("Operator").get(PAGE)
    words = text_of(page)
    for part in (
        "+1 510-555-0142", "WIRELESS CALLER", "Oakland", "Waiting for 20 min", "2 attempts, 1 voicemail", "in time",
        "Lead …11001",
    ):  # fmt: skip
        assert part in words, part
    assert first.get_absolute_url() in page.content.decode()


def test_each_card_stands_in_the_column_of_its_state(login: Login) -> None:
    user = User.objects.create_user("ana")
    missed(number="+15105550001")
    missed(number="+15105550002")
    returned(5, number="+15105550002")
    for number, state in (("+15105550003", "resolved"), ("+15105550004", "ignored")):
        MissedCard.objects.filter(pk=missed(number=number).pk).update(
            state=state, closed_at=timezone.now(), closed_by=user, reason="met them"
        )
    assert columns(login("Viewer").get(PAGE)) == {
        "open": ["+1 510-555-0001"],
        "called_back": ["+1 510-555-0002"],
        "resolved": ["+1 510-555-0003"],
        "ignored": ["+1 510-555-0004"],
    }


def test_who_can_still_be_called_back_in_time_comes_first_and_then_who_was_missed_last(login: Login) -> None:
    for number, minutes in (("1", 5), ("2", 55), ("3", 3000), ("4", 70)):
        missed(number=f"+1510555000{number}", minutes_ago=minutes)
    page = login("Viewer").get(PAGE)
    assert columns(page)["open"] == ["+1 510-555-0002", "+1 510-555-0001", "+1 510-555-0004", "+1 510-555-0003"]
    words = text_of(page)
    assert (words.count("overdue"), words.count("due soon")) == (2, 1)


def test_how_quickly_callers_were_called_back_is_told(login: Login) -> None:
    for number, minutes in (("1", 10), ("2", 30), ("3", 90)):
        missed(number=f"+1510555000{number}", minutes_ago=200)
        returned(200 - minutes, number=f"+1510555000{number}")
    words = text_of(login("Viewer").get(PAGE))
    assert "Talked to within target, last 7 days 2 of 3" in words
    assert "Half of them within 30 min" in words


def test_without_a_target_nothing_is_overdue_and_the_page_says_so(login: Login) -> None:
    CallSettings.objects.update_or_create(pk=1, defaults={"call_back_minutes": 0})
    missed(minutes_ago=5000)
    words = text_of(login("Viewer").get(PAGE))
    assert "overdue" not in words
    assert "There is no target" in words


def test_an_empty_board_says_what_would_be_there(login: Login) -> None:
    words = text_of(login("Viewer").get(PAGE))
    assert "Nobody waits for a call back" in words


def test_withheld_numbers_without_a_message_are_counted(login: Login) -> None:
    call = make_call(None, outcome="missed", number="", number_told="", started_at=ago(hours=1))
    MissedBoard(ringcentral()).follow([call])
    assert "1 missed call of the last 7 days withheld the number" in text_of(login("Viewer").get(PAGE))


def test_waits_older_than_a_month_are_told_and_one_click_away(login: Login) -> None:
    missed(minutes_ago=40 * 24 * 60)
    client = login("Viewer")
    page = client.get(PAGE)
    assert columns(page)["open"] == []
    assert "1 more waits for longer than 30 days" in text_of(page)
    assert columns(client.get(PAGE, {"older": "1"}))["open"] == ["+1 510-555-0142"]


def test_a_long_column_shows_some_says_how_many_more_and_shows_them_on_demand(login: Login) -> None:
    for place in range(45):
        missed(number=f"+151055600{place:02}")
    client = login("Viewer")
    page = client.get(PAGE)
    assert len(columns(page)["open"]) == 40
    assert "and 5 more: show more" in text_of(page)
    assert len(columns(client.get(PAGE, {"cards": "120"}))["open"]) == 45
    assert len(columns(client.get(PAGE, {"cards": "99999999999"}))["open"]) == 40


def test_people_of_an_office_see_and_touch_its_cards_only(login: Login) -> None:
    mine, other = make_office(), make_office("reno")
    missed(mine, number="+15105550001")
    foreign = missed(other, number="+15105550002")
    missed(None, number="+15105550003")
    client = login("Operator")
    mine.people.add(User.objects.get(username="operator"))
    assert columns(client.get(PAGE))["open"] == ["+1 510-555-0001"]
    assert columns(client.get(PAGE, {"office": "reno"}))["open"] == ["+1 510-555-0001"]
    for name in ("take", "give-back", "resolve", "ignore", "reopen"):
        assert act(client, name, foreign, reason="x").status_code == 404
    foreign.refresh_from_db()
    assert (foreign.state, foreign.taken_by) == ("open", None)


def test_the_board_can_be_narrowed_to_an_office_and_to_what_i_took(login: Login) -> None:
    one, two = make_office(), make_office("reno")
    missed(one, number="+15105550001")
    taken = missed(two, number="+15105550002")
    client = login("Operator")
    act(client, "take", taken)
    assert columns(client.get(PAGE, {"office": "oakland"}))["open"] == ["+1 510-555-0001"]
    assert columns(client.get(PAGE, {"mine": "1"}))["open"] == ["+1 510-555-0002"]


def test_taking_a_caller_shows_the_others_who_calls_back(login: Login) -> None:
    card, client = missed(), login("Operator")
    assert "You call back" in text_of(act(client, "take", card))
    assert "operator calls back" in text_of(login("Supervisor").get(PAGE))
    card.refresh_from_db()
    act(client, "give-back", card)
    card.refresh_from_db()
    assert card.taken_by is None


def test_a_card_is_closed_with_a_reason_and_opened_again(login: Login) -> None:
    card, client = missed(), login("Operator")
    act(client, "resolve", card, reason="Called from my mobile")
    card.refresh_from_db()
    assert (card.state, card.reason, card.closed_by and card.closed_by.username) == (
        "resolved",
        "Called from my mobile",
        "operator",
    )
    assert "operator: Called from my mobile" in text_of(client.get(PAGE))
    act(client, "reopen", card)
    card.refresh_from_db()
    assert (card.state, card.reason, card.closed_by) == ("open", "", None)
    assert set(AuditEntry.objects.values_list("action", flat=True)) >= {
        "missed caller resolved",
        "missed caller opened again",
    }


@pytest.mark.parametrize("name", ["resolve", "ignore"])
def test_closing_without_a_reason_is_refused_with_words(name: str, login: Login) -> None:
    card = missed()
    assert "Say why" in text_of(act(login("Operator"), name, card, reason="  "))
    card.refresh_from_db()
    assert card.state == "open"


def test_a_second_click_and_an_old_page_change_nothing_and_say_so(login: Login) -> None:
    card, client = missed(), login("Operator")
    act(client, "resolve", card, reason="met them")
    again = text_of(act(client, "ignore", card, reason="spam"))
    assert "not as you saw it" in again
    card.refresh_from_db()
    assert (card.state, card.reason) == ("resolved", "met them")


def test_viewers_have_no_buttons_and_no_way(login: Login) -> None:
    card, client = missed(), login("Viewer")
    assert "<form" not in client.get(PAGE).content.decode().split('id="board"')[1]
    assert act(client, "take", card).status_code == 403


def test_the_way_back_leads_to_this_portal_only(login: Login) -> None:
    response = login("Operator").post(
        reverse("missed-take", args=[missed().pk]), {"next": "https://evil.example/"}
    )  # fmt: skip
    assert response.headers["Location"] == PAGE


def test_the_wall_screen_renews_itself_and_has_nothing_to_click_on_a_card(login: Login) -> None:
    missed()
    client = login("Operator")
    page = client.get(PAGE, {"wall": "1"}).content.decode()
    board = page.split('id="board"')[1]
    assert 'hx-trigger="every 30s"' in board
    assert "<form" not in board
    part = client.get(PAGE, {"wall": "1"}, headers={"HX-Request": "true"}).content.decode()
    assert "<html" not in part
    assert "+1 510-555-0142" in part


def test_names_and_reasons_are_text_and_no_markup(login: Login) -> None:
    card = missed(name_told="<b>Eve</b>")
    client = login("Operator")
    act(client, "ignore", card, reason="<script>alert(1)</script>")
    html = client.get(PAGE).content.decode()
    assert "<b>Eve" not in html
    assert "<script>alert" not in html


def test_the_number_of_queries_stays_the_same(login: Login) -> None:
    client, office = login("Operator"), make_office()
    user = User.objects.get(username="operator")

    def fill(start: int, count: int) -> int:
        for place in range(start, start + count):
            card = missed(office, number=f"+151055700{place:02}")
            MissedCard.objects.filter(pk=card.pk).update(taken_by=user)
            missed(office, number=f"+151055800{place:02}", minutes_ago=60)
            returned(30, number=f"+151055800{place:02}", answered_by=make_extension(office))
        with CaptureQueriesContext(database) as queries:
            client.get(PAGE)
        return len(queries)

    client.get(PAGE)
    assert fill(0, 2) == fill(10, 12)


def test_home_says_how_many_wait_and_leads_there(login: Login) -> None:
    missed(minutes_ago=300)
    missed(number="+15105550001")
    words = text_of(login("Operator").get("/"))
    assert "2 callers wait for a call back" in words
    assert "1 missed caller should have been called back" in words


def test_a_missed_call_tells_on_its_page_what_became_of_the_caller(login: Login) -> None:
    office = make_office()
    card = missed(office)
    returned(10)
    words = text_of(login("Viewer").get(card.first_call.get_absolute_url()))
    assert "Called back" in words
    assert "Returned by somebody after 10 min" in words


def test_excluding_a_number_is_said_to_take_its_card_away(login: Login) -> None:
    missed()
    ExcludedNumber.objects.create(number="+15105550142")
    missed_board.follow_open()
    assert columns(login("Viewer").get(PAGE))["open"] == []
    assert Call.objects.filter(number="+15105550142").count() == 1


def test_a_card_due_at_night_is_shown_on_the_clock_of_its_office(login: Login) -> None:
    at = dt.datetime.now(dt.UTC).replace(hour=12, minute=0, second=0, microsecond=0) - dt.timedelta(days=1)
    missed(make_office(zone="Asia/Tokyo"), started_at=at)
    assert "21:00 JST" in text_of(login("Viewer").get(PAGE))
