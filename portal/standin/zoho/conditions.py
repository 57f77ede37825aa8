"""Conditions on records: one tree for COQL, search criteria, custom views and mass update."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

Getter = Callable[[str], Any]
Test = Callable[[str], bool]


@dataclass(frozen=True)
class Comparison:
    """`field operator value`; the value is already in the stored form of the field."""

    field: str
    operator: str
    value: Any = None


@dataclass(frozen=True)
class Group:
    operator: str
    terms: tuple[Node, ...]


Node = Comparison | Group


def comparisons(node: Node | None) -> Iterator[Comparison]:
    if isinstance(node, Comparison):
        yield node
    elif isinstance(node, Group):
        for term in node.terms:
            yield from comparisons(term)


def conjuncts(node: Node | None) -> Iterator[Node]:
    """The parts that every match must pass: those joined by nothing but `and`."""
    if isinstance(node, Group) and node.operator == "and":
        for term in node.terms:
            yield from conjuncts(term)
    elif node is not None:
        yield node


def required(node: Node | None) -> Iterator[Comparison]:
    return (term for term in conjuncts(node) if isinstance(term, Comparison))


def compiled(node: Node, reader: Callable[[str], Getter]) -> Test:
    """A function of an id. `reader` gives the getter of a field or of a path through a lookup."""
    if isinstance(node, Comparison):
        return _compiled_comparison(node, reader(node.field))
    tests = [compiled(term, reader) for term in node.terms]
    if node.operator == "and":
        return lambda record_id: all(test(record_id) for test in tests)
    return lambda record_id: any(test(record_id) for test in tests)


def _compiled_comparison(node: Comparison, read: Getter) -> Test:
    if node.operator == "is null":
        return lambda record_id: read(record_id) in (None, [], "")
    if node.operator == "is not null":
        return lambda record_id: read(record_id) not in (None, [], "")
    matches = _OPERATORS[node.operator](node.value)

    def test(record_id: str) -> bool:
        stored = read(record_id)
        # As in SQL, nothing compares with null: `!=` does not find empty fields.
        if stored is None:
            return False
        if isinstance(stored, list):
            return any(matches(item) for item in stored)
        try:
            return matches(stored)
        except TypeError:
            return False

    return test


def _like(pattern: str) -> Callable[[Any], bool]:
    expression = re.compile(".*".join(re.escape(part) for part in pattern.split("%")), re.IGNORECASE | re.DOTALL)
    return lambda stored: expression.fullmatch(str(stored)) is not None


def _between(bounds: Any) -> Callable[[Any], bool]:
    low, high = bounds
    return lambda stored: bool(low <= stored <= high)


def _among(values: Any) -> Callable[[Any], bool]:
    chosen = frozenset(values)
    return lambda stored: stored in chosen


def digits(value: Any) -> str:
    return "".join(character for character in str(value) if character.isdigit())


def phone_key(value: Any) -> str:
    """The last nine digits before an extension: what two spellings of one number have in common."""
    return digits(re.split(r"ext|x|#", str(value), maxsplit=1, flags=re.IGNORECASE)[0])[-9:]


def _same_number(values: Any) -> Callable[[Any], bool]:
    """Any of the numbers; a fragment that is no whole number matches anywhere inside."""
    keys = {phone_key(value) for value in values}
    whole, fragments = {key for key in keys if len(key) == 9}, [key for key in keys if len(key) < 9]
    return lambda stored: phone_key(stored) in whole or any(part in digits(stored) for part in fragments)


def _negated(matcher: Callable[[Any], Callable[[Any], bool]]) -> Callable[[Any], Callable[[Any], bool]]:
    def build(value: Any) -> Callable[[Any], bool]:
        matches = matcher(value)
        return lambda stored: not matches(stored)

    return build


_OPERATORS: dict[str, Callable[[Any], Callable[[Any], bool]]] = {
    "=": lambda value: lambda stored: bool(stored == value),
    "!=": lambda value: lambda stored: bool(stored != value),
    "<": lambda value: lambda stored: bool(stored < value),
    "<=": lambda value: lambda stored: bool(stored <= value),
    ">": lambda value: lambda stored: bool(stored > value),
    ">=": lambda value: lambda stored: bool(stored >= value),
    "in": _among,
    "not in": _negated(_among),
    "between": _between,
    "not between": _negated(_between),
    "like": _like,
    "not like": _negated(_like),
    "contains": lambda value: lambda stored: str(value).lower() in str(stored).lower(),
    "starts_with": lambda value: lambda stored: str(stored).lower().startswith(str(value).lower()),
    "same text": lambda value: lambda stored: str(value).lower() == str(stored).lower(),
    "same number": _same_number,
}
