"""Log lines for people and for programs. Both are redacted after formatting, so arguments and tracebacks are too."""

from __future__ import annotations

import datetime as dt
import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from portal.remote.redact import redact

_run: ContextVar[int | None] = ContextVar("run", default=None)


@contextmanager
def run_number(run_id: int | None) -> Iterator[None]:
    """Every line logged inside carries the number of this run."""
    token = _run.set(run_id)
    try:
        yield
    finally:
        _run.reset(token)


def _time(record: logging.LogRecord) -> str:
    return dt.datetime.fromtimestamp(record.created, dt.UTC).isoformat(timespec="milliseconds")


class TextFormatter(logging.Formatter):
    """`2026-01-31T12:00:00.123+00:00 INFO portal.remote [run 12] message`, then the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        run_id = _run.get()
        run = f" [run {run_id}]" if run_id is not None else ""
        # The inherited format adds the traceback and the stack to the message.
        return f"{_time(record)} {record.levelname} {record.name}{run} {redact(super().format(record))}"


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, run (or absent), message, exception (or absent)."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {"time": _time(record), "level": record.levelname, "logger": record.name}
        run_id = _run.get()
        if run_id is not None:
            line["run"] = run_id
        line["message"] = redact(record.getMessage())
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = redact(self.formatException(record.exc_info))
        if record.stack_info:
            line["stack"] = redact(record.stack_info)
        return json.dumps(line, ensure_ascii=False)
