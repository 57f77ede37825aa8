"""Smooth weighted rotation, without a database: whose turn it is.

Each owner has a value. At each turn everybody's value rises by their weight, the one with the highest value gets the
lead (of equals the first in order), and their value falls by the sum of all weights W. This is the smooth weighted
round robin of nginx. All values are decimals, so nothing is rounded while members and weights stay as they are.

What it guarantees. Call value / W an owner's balance: the leads they are behind their share (below zero: ahead). After
n turns with k owners the balance is exactly n · weight / W minus the leads they got, counted from their first balance,
and all balances together are zero. From that follows, for any weights and any n:

- Nobody is ahead by a whole lead. Before the lead falls the balances sum up to 1, so the highest is at least 1/k, and
  at least 1/k - 1 is left to who takes it. Everybody else only rises.
- Nobody is behind by more than 1/2 + 1/3 + … + 1/k leads. The mean balance of the j owners furthest behind is never
  above 1/(j+1) + … + 1/k: a turn whose lead goes to one of them adds at most 1 to their sum and takes 1 from it; if it
  goes to somebody else, that one was at least as far behind as they are, so the j + 1 owners together bound the mean.
  For up to three owners this is below one lead; for four it is 1.08, for five 1.28. It is a bound: the weights
  2 : 1.5 : 1 : 1 : 1 never get there, their rotation repeats after 13 leads and stays within 0.7.

When members or weights change, balances (not values) are carried over, so that nobody's count starts anew:

- A newcomer, and who comes back, has balance zero: level with the plan, whatever was missed. By the first guarantee
  they get less than one lead above their share from then on.
- Who leaves takes no balance along; it falls on those who stay by their weights, so that the sum stays zero. By that
  much, and no more, the two bounds can be exceeded until the next turns have levelled it.
- A changed weight changes what is due from now on. Neither guarantee looks at weights: both hold on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

# What is kept of an owner: {"value": "-1.5", "weight": "2"}.
State = Mapping[str, Mapping[str, str]]

ZERO = Decimal(0)
# Carried balances are rounded here, once for each change: exact fractions would grow with every change.
PRECISION = Decimal("0.000001")


@dataclass
class Wheel:
    """The owners of one pool in their order with their weights, and where each of them stands."""

    weights: dict[str, Decimal]
    values: dict[str, Decimal]

    @classmethod
    def load(cls, state: State, weights: dict[str, Decimal]) -> Wheel:
        """The wheel as it was left, for the owners and weights of now; there is at least one, all above zero."""
        old = {owner: Decimal(entry["weight"]) for owner, entry in state.items()}
        values = {owner: Decimal(entry["value"]) for owner, entry in state.items()}
        if old != weights:
            values = _carried(values, sum(old.values(), ZERO), weights)
        return cls(weights, values)

    def turn(self) -> str:
        """The owner whose turn it is."""
        for owner, weight in self.weights.items():
            self.values[owner] += weight
        taken = max(self.weights, key=lambda owner: self.values[owner])
        self.values[taken] -= sum(self.weights.values(), ZERO)
        return taken

    def dump(self) -> dict[str, dict[str, str]]:
        return {
            owner: {"value": as_text(self.values[owner]), "weight": as_text(weight)}
            for owner, weight in self.weights.items()
        }


def _carried(values: dict[str, Decimal], old_total: Decimal, weights: dict[str, Decimal]) -> dict[str, Decimal]:
    """The values after a change of members or weights: same balances for who stays, zero for who is new."""
    total = sum(weights.values(), ZERO)
    balances = {owner: Fraction(values.get(owner, ZERO)) / Fraction(old_total or 1) for owner in weights}
    left = sum(balances.values())
    carried = {
        owner: _rounded(balance * Fraction(total) - left * Fraction(weights[owner]))
        for owner, balance in balances.items()
    }
    first = next(iter(carried))
    carried[first] -= sum(carried.values(), ZERO)
    return carried


def _rounded(value: Fraction) -> Decimal:
    return (Decimal(value.numerator) / Decimal(value.denominator)).quantize(PRECISION)


def as_text(value: Decimal) -> str:
    """Without trailing zeros: 1.500 is 1.5, 2.000 is 2."""
    return f"{value.normalize():f}"
