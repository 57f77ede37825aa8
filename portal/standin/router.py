"""From method and path to the handler, with the gate that stands before it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from portal.standin.messages import JsonObject, Reply, Request

Handler = Callable[[Request], Reply]
_PARAMETER = re.compile(r"\{(\w+)\}")


class Gate(Protocol):
    """What a vendor checks before a call (credentials, limits) and settles after it."""

    def enter(self, request: Request) -> None:
        """Raise `Refusal` to turn the call away."""

    def leave(self, request: Request, reply: Reply | None) -> None:
        """Give back what `enter` took; `reply` is None when the connection broke."""

    def error_body(self, status: int) -> JsonObject:
        """How this vendor words an error of this status, for scripted faults."""


@dataclass(frozen=True, slots=True)
class Route:
    method: str
    pattern: str
    handler: Handler
    gate: Gate

    @property
    def name(self) -> str:
        return f"{self.method} {self.pattern}"


class Router:
    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes: dict[tuple[str, int], list[tuple[re.Pattern[str], Route]]] = defaultdict(list)
        # Fixed paths first, so that `{module}` never swallows a word that has its own meaning.
        for route in sorted(routes, key=lambda route: route.pattern.count("{")):
            key = (route.method, route.pattern.count("/"))
            self._routes[key].append((_compiled(route.pattern), route))

    def find(self, request: Request) -> Route | None:
        """The route, with the path's parameters written into the request."""
        for pattern, route in self._routes.get((request.method, request.path.count("/")), ()):
            found = pattern.fullmatch(request.path)
            if found:
                request.params = found.groupdict()
                return route
        return None


def _compiled(pattern: str) -> re.Pattern[str]:
    """`{id}` and `{parent_id}` match digits only, so that `/Leads/upsert` is never an id."""

    def group(match: re.Match[str]) -> str:
        name = match[1]
        if name.endswith("id"):
            return rf"(?P<{name}>\d+)"
        # A vendor's modules begin with a capital; `__apis` or `files` is an endpoint, not a module.
        return rf"(?P<{name}>[A-Z]\w*)" if name == "module" else rf"(?P<{name}>[^/]+)"

    return re.compile(_PARAMETER.sub(group, pattern))
