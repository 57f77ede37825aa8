"""What strangers and colleagues may send: addresses, long texts, pages that stay in a browser."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client, RequestFactory

from portal.access import client_address
from portal.logs import JsonFormatter, TextFormatter
from portal.models import AuditEntry, Run
from portal.remote.redact import LONGEST_TEXT, redact

RIGHT, WRONG = "correct horse battery", "wrong"


def log_in(password: str, forwarded_for: str, username: str = "operator") -> int:
    data = {"username": username, "password": password}
    return Client().post("/accounts/login/", data, headers={"x-forwarded-for": forwarded_for}).status_code


def test_a_stranger_behind_the_same_proxy_does_not_lock_a_colleague_out(
    person: Callable[..., User], settings: Any
) -> None:
    settings.TRUSTED_PROXIES = 1
    person("Operator")
    statuses = [log_in(WRONG, f"203.0.113.{number}, 198.51.100.7") for number in range(6)]

    assert statuses[-1] == 429, "what the stranger writes before the proxy's entry does not count"
    assert log_in(RIGHT, "192.0.2.1") == 302


def test_without_a_trusted_proxy_a_made_up_address_does_not_get_round_the_lock(person: Callable[..., User]) -> None:
    person("Operator")
    statuses = [log_in(WRONG, f"203.0.113.{number}") for number in range(6)]

    assert statuses[-1] == 429
    assert log_in(RIGHT, "192.0.2.1") == 429


@pytest.mark.parametrize("forwarded_for", ["unknown", "198.51.100.7:4711, nonsense", "'; drop table"])
def test_a_forwarded_address_that_is_none_is_not_written_into_the_audit(
    person: Callable[..., User], settings: Any, forwarded_for: str
) -> None:
    settings.TRUSTED_PROXIES = 1
    person("Operator")
    assert log_in(RIGHT, forwarded_for) == 302
    assert AuditEntry.objects.get(action="logged in").address == "127.0.0.1"


def test_the_peer_of_a_unix_socket_has_no_address() -> None:
    assert client_address(RequestFactory().get("/", REMOTE_ADDR="")) is None


@pytest.mark.parametrize(
    "unit", ["a", "1-", "eyJ", "eyJ-", "://", "=/", "secret", "a.", "a@", '"token":"', "+1", "://a:", "1000.aaaaaa."]
)
def test_redacting_takes_time_in_proportion_to_the_text_whatever_a_stranger_writes(unit: str) -> None:
    started = time.process_time()
    redact(unit * (30_000 // len(unit)))
    # Around a tenth of a second; a search that takes the square of the length needs more than a minute.
    assert time.process_time() - started < 5


def test_an_endless_text_is_cut_after_its_secrets_were_taken_out() -> None:
    text = redact(f"client_secret=s3 {'x ' * LONGEST_TEXT}")
    assert len(text) < LONGEST_TEXT + 20
    assert "s3" not in text


@pytest.mark.parametrize(
    "path", ["/", "/runs/", "/runs/1/items.csv", "/crm/records/", "/connections/", "/audit/", "/nowhere/"]
)
def test_no_page_stays_in_the_browser_for_who_sits_there_next(login: Callable[..., Client], path: str) -> None:
    Run.objects.create(kind="crm.bulk_update", title="Leads", parameters={"module": "Leads", "source": {}})
    response = login("Administrator").get(path)
    assert "no-store" in response.headers["Cache-Control"]


@pytest.mark.parametrize("name", ["django", "django.request", "django.server", "django.security.csrf"])
def test_no_line_of_the_log_goes_round_the_redaction(name: str) -> None:
    """Django's own settings give some loggers a handler, whose lines nobody redacts."""
    logger: logging.Logger | None = logging.getLogger(name)
    formatters = []
    while logger is not None and logger.parent is not None:
        formatters += [handler.formatter for handler in logger.handlers]
        logger = logger.parent if logger.propagate else None
    assert all(isinstance(each, TextFormatter | JsonFormatter) for each in formatters)
    assert logger is not None, "the lines reach the root's handler"
