from __future__ import annotations

import json
import logging
import re
import sys
from collections.abc import Iterator

import pytest

from portal.logs import JsonFormatter, TextFormatter, run_number
from portal.remote import redact

PHONE, TOKEN, RECORD = "+1 415 555 0100", "1000.abcdef123456.abcdef", "3652397000000649013"


@pytest.fixture(autouse=True)
def _no_remembered_secrets() -> Iterator[None]:
    redact.forget_all()
    yield
    redact.forget_all()


def record(message: str, *values: object, failed: bool = False) -> logging.LogRecord:
    trace = None
    if failed:
        try:
            raise ValueError(f"bad {TOKEN} for {PHONE}")
        except ValueError:
            trace = sys.exc_info()
    return logging.LogRecord("portal.runs", logging.INFO, "x.py", 1, message, values, trace)


def test_a_line_names_time_level_logger_and_message() -> None:
    line = TextFormatter().format(record("batch %d done", 3))
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}\+00:00 INFO portal\.runs batch 3 done", line)


def test_a_line_inside_a_run_carries_its_number() -> None:
    with run_number(12):
        with run_number(13):
            assert " portal.runs [run 13] go" in TextFormatter().format(record("go"))
        assert json.loads(JsonFormatter().format(record("go")))["run"] == 12
    assert "run" not in json.loads(JsonFormatter().format(record("go")))


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_arguments_and_tracebacks_are_redacted(formatter: logging.Formatter) -> None:
    redact.remember("opaque-secret")
    line = formatter.format(record("call %s with %s and %s", PHONE, TOKEN, "opaque-secret", failed=True))
    assert "ValueError" in line
    for secret in ("555", "abcdef", "opaque-secret"):
        assert secret not in line


@pytest.mark.parametrize("formatter", [TextFormatter(), JsonFormatter()])
def test_record_ids_stay_readable(formatter: logging.Formatter) -> None:
    assert RECORD in formatter.format(record("updated %s", RECORD))


def test_json_lines_stay_json_whatever_they_hold() -> None:
    line = JsonFormatter().format(
        record('said "%s"\n%s', "client_secret='x\"y'", {"refresh_token": "z\\"}, failed=True)
    )
    parsed = json.loads(line)
    assert "\n" not in line
    assert set(parsed) == {"time", "level", "logger", "message", "exception"}
    assert "'x" not in parsed["message"]
