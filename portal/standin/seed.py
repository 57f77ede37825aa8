"""Deterministic made-up data: every value is a function of the seed and a record's position, computed when asked."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, TypeVar
from zlib import crc32

T = TypeVar("T")
Maker = Callable[[int], Any]

_MASK = (1 << 64) - 1
_MULTIPLY = 0x9E3779B97F4A7C15
_MIX = 0xBF58476D1CE4E5B9


@dataclass(frozen=True)
class Seed:
    """How much data, and which. `until` is the youngest time in it, fixed so that two starts give the same records."""

    leads: int = 12_000
    seed: int = 1
    calls: int = 0
    since: datetime = datetime(2024, 7, 1, tzinfo=UTC)
    until: datetime = datetime(2026, 6, 30, tzinfo=UTC)


class Dice:
    """Repeatable randomness by position. `salt` keeps the fields of one record independent of each other."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def number(self, salt: str) -> Callable[[int], int]:
        start = crc32(f"{self._seed}:{salt}".encode()) * _MULTIPLY & _MASK

        def roll(index: int) -> int:
            mixed = ((index + 1) * _MULTIPLY + start) & _MASK
            mixed = ((mixed ^ (mixed >> 30)) * _MIX) & _MASK
            return mixed ^ (mixed >> 29)

        return roll

    def between(self, salt: str, low: int, high: int) -> Callable[[int], int]:
        roll, width = self.number(salt), high - low + 1
        return lambda index: low + roll(index) % width

    def pick(self, salt: str, choices: Sequence[T]) -> Callable[[int], T]:
        roll, count = self.number(salt), len(choices)
        return lambda index: choices[roll(index) % count]

    def chance(self, salt: str, per_thousand: int) -> Callable[[int], bool]:
        roll = self.number(salt)
        return lambda index: roll(index) % 1000 < per_thousand

    def sometimes(self, salt: str, per_thousand: int, maker: Callable[[int], T]) -> Callable[[int], T | None]:
        """The maker's value for a share of the records, None for the rest."""
        present = self.chance(f"{salt} present", per_thousand)
        return lambda index: maker(index) if present(index) else None
