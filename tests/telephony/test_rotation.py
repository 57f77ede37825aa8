"""The smooth weighted rotation: exact counts, its two guarantees, and what happens when members or weights change."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal
from fractions import Fraction
from itertools import groupby
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from telephony.rotation import PRECISION, Wheel

WEIGHTS = st.lists(st.decimals("0.001", "9999", places=3), min_size=1, max_size=9).map(
    lambda weights: {f"owner {n}": weight for n, weight in enumerate(weights)}
)


def pool(**weights: str) -> dict[str, Decimal]:
    return {owner: Decimal(weight) for owner, weight in weights.items()}


def turns(state: dict[str, Any], weights: dict[str, Decimal], count: int) -> tuple[list[str], dict[str, Any]]:
    """That many turns, each from a state that went through a database."""
    taken = []
    for _ in range(count):
        wheel = Wheel.load(json.loads(json.dumps(state)), weights)
        taken.append(wheel.turn())
        state = wheel.dump()
    return taken, state


def longest_run(taken: Iterable[str]) -> int:
    return max(len(list(same)) for _, same in groupby(taken))


def most_behind(owners: int) -> Fraction:
    """1/2 + 1/3 + … + 1/owners."""
    return sum((Fraction(1, n) for n in range(2, owners + 1)), Fraction(0))


def test_of_450_leads_the_weights_2_and_a_half_and_1_give_200_150_100_without_long_runs() -> None:
    taken, _ = turns({}, pool(anna="2.0", bert="1.5", carla="1.0"), 450)
    assert Counter(taken) == {"anna": 200, "bert": 150, "carla": 100}
    assert longest_run(taken) <= 2


def test_equal_weights_go_round_in_order() -> None:
    taken, _ = turns({}, pool(anna="1", bert="1", carla="1"), 7)
    assert taken == ["anna", "bert", "carla", "anna", "bert", "carla", "anna"]


def test_the_weights_of_the_example_are_never_a_lead_away_from_their_share() -> None:
    weights = pool(anna="2", bert="1.5", carla="1", dora="1", emil="1")
    total = Fraction(sum(weights.values()))
    got: Counter[str] = Counter()
    taken, _ = turns({}, weights, 130)
    for n, owner in enumerate(taken, start=1):
        got[owner] += 1
        assert all(abs(got[each] - n * Fraction(weight) / total) < Fraction(7, 10) for each, weight in weights.items())


@given(weights=WEIGHTS, count=st.integers(1, 120))
def test_for_any_weights_nobody_is_a_lead_ahead_or_behind_by_more_than_the_harmonic_bound(
    weights: dict[str, Decimal], count: int
) -> None:
    wheel, total, owners = Wheel.load({}, weights), Fraction(sum(weights.values())), len(weights)
    got: Counter[str] = Counter()
    for n in range(1, count + 1):
        got[wheel.turn()] += 1
        behind = [n * Fraction(weight) / total - got[owner] for owner, weight in weights.items()]
        assert min(behind) >= Fraction(1, owners) - 1
        assert max(behind) <= most_behind(owners)
        assert sum(wheel.values.values()) == 0


@given(first=WEIGHTS, changes=st.lists(st.integers(0, 9), min_size=1, max_size=8), data=st.data())
def test_the_guarantees_hold_while_weights_change(first: dict[str, Decimal], changes: list[int], data: Any) -> None:
    weights, state, owners = first, {}, len(first)
    slack = len(changes) * owners * Fraction(PRECISION) * 10_000
    for count in changes:
        wheel = Wheel.load(state, weights)
        for _ in range(count):
            wheel.turn()
            balances = [Fraction(value) / Fraction(sum(weights.values())) for value in wheel.values.values()]
            assert min(balances) >= Fraction(1, owners) - 1 - slack
            assert max(balances) <= most_behind(owners) + slack
        state = wheel.dump()
        weights = {owner: data.draw(st.decimals("0.1", "50", places=3)) for owner in weights}


@given(weights=WEIGHTS, before=st.integers(0, 40), away=st.integers(1, 60), after=st.integers(1, 60), data=st.data())
def test_who_comes_back_gets_less_than_one_lead_above_their_share_however_long_they_were_away(
    weights: dict[str, Decimal], before: int, away: int, after: int, data: Any
) -> None:
    weights = {owner: min(max(weight, Decimal("0.1")), Decimal(50)) for owner, weight in weights.items()} | {
        "away": Decimal(data.draw(st.sampled_from(["0.5", "1", "7.25"])))
    }
    _, state = turns({}, weights, before)
    rest = {owner: weight for owner, weight in weights.items() if owner != "away"}
    _, state = turns(state, rest, away)
    assert "away" not in state
    taken, state = turns(state, weights, after)
    share = Fraction(weights["away"]) / Fraction(sum(weights.values()))
    assert taken.count("away") - after * share < 1
    assert sum(Decimal(entry["value"]) for entry in state.values()) == 0


def test_who_comes_back_after_100_leads_takes_turns_as_before() -> None:
    everybody = pool(anna="1", bert="1", carla="1")
    _, state = turns({}, everybody, 30)
    taken, state = turns(state, pool(anna="1", carla="1"), 100)
    assert Counter(taken) == {"anna": 50, "carla": 50}
    taken, _ = turns(state, everybody, 30)
    assert Counter(taken) == {"anna": 10, "bert": 10, "carla": 10}
    assert longest_run(taken) == 1


def test_a_changed_weight_keeps_the_counters_and_shifts_only_what_follows() -> None:
    taken, state = turns({}, pool(anna="1", bert="1"), 5)
    assert Counter(taken) == {"anna": 3, "bert": 2}
    assert state["anna"]["value"] == "-1"  # half a lead ahead, of two owners with weight 1
    wheel = Wheel.load(state, pool(anna="3", bert="1"))
    assert wheel.values == {"anna": Decimal("-2"), "bert": Decimal(2)}  # still half a lead, in the new weights
    taken, _ = turns(state, pool(anna="3", bert="1"), 40)
    assert abs(taken.count("anna") - 30) <= 1


def test_what_a_leaver_was_owed_falls_on_the_others_by_weight() -> None:
    _, state = turns({}, pool(anna="2", bert="1", carla="1"), 1)
    assert {owner: entry["value"] for owner, entry in state.items()} == {"anna": "-2", "bert": "1", "carla": "1"}
    wheel = Wheel.load(state, pool(anna="2", bert="1"))
    # Balances were -1/2, 1/4 and 1/4; of carla's 1/4 anna takes 1/6 and bert 1/12: -1/3 and 1/3, times 3.
    assert wheel.values == {"anna": Decimal(-1), "bert": Decimal(1)}


def test_members_that_come_and_go_all_day_do_not_make_the_state_grow() -> None:
    everybody, state = pool(anna="2.3", bert="1.7", carla="0.9", dora="3.1"), {}
    for n in range(300):
        present = {owner: weight for k, (owner, weight) in enumerate(everybody.items()) if (n // (k + 1)) % 3}
        if present:
            _, state = turns(state, present, 1)
    assert all(len(entry["value"]) <= 12 for entry in state.values())
