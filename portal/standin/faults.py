"""A fault script: which calls go wrong, and how.

A rule is a JSON object (or the same keys as keyword arguments). It matches admitted calls by `method`, by `path` (a
regular expression searched in path and query) and, among those that match, by one of `nth`, `every` or `probability`;
`times` ends it. What it does: `status` (with `body`, `headers` or `html`), `delay_s`, `drop` ("before" or "after" the
effect), `malformed`, `truncate` (keep that many bytes), `omit` (drop row k of the answer). A `status` replaces the call,
unless `when` is "after": then the effect happens and only the answer is replaced.
"""

from __future__ import annotations

import json
import random
import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from threading import Lock
from typing import Any

from portal.standin.messages import JsonObject, Reply, Request

_HTML = "<html><head><title>Error</title></head><body><h1>{status}</h1>The server is busy.</body></html>"
# The key under which a vendor's answer holds its rows.
_ROW_KEYS = ("data", "records")


@dataclass
class Fault:
    method: str = ""
    path: str = ""
    nth: int | None = None
    every: int | None = None
    probability: float | None = None
    times: int | None = None
    status: int | None = None
    when: str = "before"
    body: Any = None
    headers: dict[str, str] = field(default_factory=dict)
    html: bool = False
    delay_s: float = 0.0
    drop: str = ""
    malformed: bool = False
    truncate: int | None = None
    omit: int | None = None
    name: str = ""
    seen: int = 0
    fired: int = 0

    def __post_init__(self) -> None:
        self._path = re.compile(self.path)
        self.method = self.method.upper()
        if self.drop not in ("", "before", "after") or self.when not in ("before", "after"):
            raise ValueError("`drop` and `when` are 'before' or 'after'")

    def concerns(self, request: Request) -> bool:
        if self.times is not None and self.fired >= self.times:
            return False
        if self.method and self.method != request.method:
            return False
        return self._path.search(request.path) is not None or self._path.search(request.url) is not None

    def is_due(self, dice: random.Random) -> bool:
        """Counts the call, then decides; every call that the rule concerns is counted exactly once."""
        self.seen += 1
        if self.nth is not None:
            return self.seen == self.nth
        if self.every is not None:
            return self.seen % self.every == 0
        if self.probability is not None:
            return dice.random() < self.probability
        return True

    @property
    def label(self) -> str:
        if self.name:
            return self.name
        if self.drop:
            return f"drop {self.drop}"
        return f"status {self.status}" if self.status is not None else "altered answer"

    def replacement(self, error_body: JsonObject) -> Reply | None:
        if self.status is None:
            return None
        if self.html:
            return Reply(
                self.status,
                {"Content-Type": "text/html;charset=UTF-8", **self.headers},
                _HTML.format(status=self.status).encode(),
            )
        if isinstance(self.body, str):
            return Reply(self.status, {"Content-Type": "text/plain", **self.headers}, self.body.encode())
        if self.status in (204, 304):
            return Reply(self.status, dict(self.headers))
        reply = Reply.of(self.status, error_body if self.body is None else self.body)
        reply.headers.update(self.headers)
        return reply

    def altered(self, reply: Reply) -> Reply:
        """The answer as the caller gets it after the effect took place."""
        body = reply.body
        if self.omit is not None:
            body = _without_row(body, self.omit)
        if self.malformed:
            body = body[: max(1, len(body) // 2)] + b'\x00}{"'
        if self.truncate is not None:
            body = body[: self.truncate]
        return Reply(reply.status, dict(reply.headers), body)


def _without_row(body: bytes, row: int) -> bytes:
    try:
        payload = json.loads(body)
    except ValueError:
        return body
    rows = next((payload[key] for key in _ROW_KEYS if isinstance(payload.get(key), list)), None)
    if rows is None or row >= len(rows):
        return body
    del rows[row]
    return json.dumps(payload, ensure_ascii=False).encode()


class FaultScript:
    """The active rules, in order; the first rule that is due wins."""

    def __init__(self, seed: int = 1) -> None:
        self._lock = Lock()
        self._dice = random.Random(seed)
        self.rules: list[Fault] = []

    def add(self, **rule: Any) -> Fault:
        fault = Fault(**rule)
        with self._lock:
            self.rules.append(fault)
        return fault

    def extend(self, rules: Iterable[JsonObject]) -> None:
        faults = [Fault(**rule) for rule in rules]
        with self._lock:
            self.rules.extend(faults)

    def load(self, path: Path) -> None:
        """A JSON file: a list of rules, or an object with `rules` and optionally `seed`."""
        script = json.loads(path.read_text(encoding="utf-8"))
        if isinstance(script, dict):
            if "seed" in script:
                self._dice.seed(script["seed"])
            script = script["rules"]
        self.extend(script)

    def clear(self) -> None:
        with self._lock:
            self.rules.clear()

    def match(self, request: Request) -> Fault | None:
        with self._lock:
            due: Fault | None = None
            for rule in self.rules:
                # Later rules keep counting even when an earlier one fires, so that `nth` means what it says.
                if rule.concerns(request) and rule.is_due(self._dice) and due is None:
                    rule.fired += 1
                    due = rule
            return due
