"""API credits per rolling 24 hours by edition of Zoho CRM.

Source: Zoho's API limits page for v7 (the newer of its published formulas; older posts name lower bases). The number
of an organisation with add-on credits differs, so a figure entered for the connection and `ZOHO_DAILY_CREDITS` count first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

SOURCE = "Zoho's published formula (API limits, v7)"


@dataclass(frozen=True)
class Formula:
    """Credits: base plus per_user for each licensed user, at most `cap` (None: no cap)."""

    base: int
    per_user: int
    cap: int | None

    def credits(self, users: int) -> int:
        total = self.base + self.per_user * users
        return total if self.cap is None else min(total, self.cap)


_STANDARD = Formula(50_000, 250, 100_000)
_ENTERPRISE = Formula(50_000, 1_000, 5_000_000)
_ULTIMATE = Formula(50_000, 2_000, None)
FORMULAS: dict[str, Formula] = {
    "free": Formula(5_000, 0, 5_000),
    "starter": _STANDARD,
    "standard": _STANDARD,
    "professional": Formula(50_000, 500, 3_000_000),
    "enterprise": _ENTERPRISE,
    "zohoone": _ENTERPRISE,
    "ultimate": _ULTIMATE,
    "crmplus": _ULTIMATE,
}


@dataclass(frozen=True)
class Edition:
    """What `org.license_details` says. `name` is empty and `daily_credits` 0 where it says nothing usable."""

    name: str
    users: int | None
    is_trial: bool
    daily_credits: int


def edition_of(license_details: Mapping[str, Any]) -> Edition:
    """Edition and credits; of a trial and of an unknown edition the credits are not guessed."""
    trial = str(license_details.get("trial_type") or "")
    is_trial = bool(trial) and license_details.get("paid") is not True
    name = trial if is_trial else str(license_details.get("paid_type") or "")
    purchased = license_details.get("users_license_purchased")
    users = purchased if isinstance(purchased, int) and purchased >= 0 else None
    formula = FORMULAS.get(re.sub(r"[^a-z]", "", name.lower()))
    is_known = formula is not None and not is_trial and (users is not None or formula.per_user == 0)
    return Edition(name, users, is_trial, formula.credits(users or 0) if formula and is_known else 0)
