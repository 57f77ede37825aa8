"""Missed callers of the tests of the board, without a call log; and what a person does on its page."""

from __future__ import annotations

import datetime as dt
import re
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from telephony.missed_board import MissedBoard
from telephony.models import Call, MissedCard, Office
from tests.telephony.made_calls import NOON, make_call, ringcentral

PAGE = "/calls/missed/"


class Moment:
    """The present of a test: what lies ten minutes apart does so to the second."""

    now = timezone.now()


@pytest.fixture
def moment() -> None:
    Moment.now = timezone.now().replace(microsecond=0)


def ago(**span: float) -> dt.datetime:
    return Moment.now - dt.timedelta(**span)


def after(**span: float) -> dt.datetime:
    return NOON + dt.timedelta(**span)


def follow(*calls: Call) -> None:
    MissedBoard(ringcentral()).follow(calls)


def missed(office: Office | None = None, **values: Any) -> Call:
    made = make_call(office, **{"outcome": "missed", "talk_seconds": None} | values)
    follow(made)
    return made


def returned(office: Office | None = None, **values: Any) -> Call:
    made = make_call(office, **{"outcome": "outbound", "direction": "outbound"} | values)
    follow(made)
    return made


def text_of(response: Any) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", response.content.decode()))


def act(client: Client, name: str, card: MissedCard, **values: Any) -> Any:
    values = {"seen": card.changed_at.isoformat(), "next": PAGE} | values
    return client.post(reverse(f"missed-{name}", args=[card.pk]), values, follow=True)
