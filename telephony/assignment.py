"""Who gets the lead of a call: the rules of its office, in a fixed order, and the reason in words.

The order: a rule of Zoho's own where one is set; who answered; the department; the office hours; the rotation by
weight; the fallback owner. A decision is made once for a call and kept. It is stored in one transaction with the turn
of the rotation that it uses up, under the lock of the office's rotations: a repeated attempt, another worker or the
next process finds the decision, and a crash in between leaves neither decision nor turn.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models import Q
from django.utils import timezone

from telephony.models import (
    AssignmentDecision,
    AssignmentRules,
    Call,
    DepartmentPool,
    Extension,
    LeadOwner,
    Office,
    Rotation,
)
from telephony.office_hours import is_open
from telephony.rotation import Wheel

How = AssignmentDecision.How

# Decisions that somebody should know of: no rule found an owner.
WITHOUT_OWNER = (How.FALLBACK, How.NOBODY)
FROM_ROTATION = (How.ROTATION, How.DEPARTMENT)
ONE = Decimal(1)
DAY_NAMES = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def decide_owner(
    call: Call, office: Office, at: dt.datetime | None = None, *, dry_run: bool = False
) -> AssignmentDecision:
    """The decision for the call, made as of `at` (the start of the call) unless it is already stored.

    A dry run stores nothing and uses up no turn. For many calls `Assigner.decide_many` is cheaper.
    """
    return Assigner(office).decide_many([call], at=at, dry_run=dry_run)[call.pk]


def warning(decision: AssignmentDecision) -> str:
    """What to tell people when no rule found an owner for a lead; empty when one did."""
    if decision.how not in WITHOUT_OWNER:
        return ""
    consequence = (
        "The fallback owner gets the lead."
        if decision.how == How.FALLBACK
        else "The lead stays with the user of the connection."
    )
    return f"Nobody was available for a new lead of {decision.office}. {consequence}"


def replacement_for(owner_zoho_id: str, office: Office) -> bool:
    """Whether an existing lead of this owner is to be given to the next one by the rules of the office.

    Only for an owner whom Zoho has told to be inactive or unknown; of whom nothing is known keeps the lead.
    """
    rules = AssignmentRules.objects.filter(office=office).first()
    if rules is None or rules.inactive_owner != AssignmentRules.InactiveOwner.REASSIGN:
        return False
    gone = (LeadOwner.ZohoState.INACTIVE, LeadOwner.ZohoState.MISSING)
    return LeadOwner.objects.filter(zoho_id=owner_zoho_id, zoho_state__in=gone).exists()


def simulate(office: Office, department: str, n: int) -> list[LeadOwner]:
    """Who would get the next `n` leads of the department ("" for the office) from now on; nothing changes.

    Without calls nobody answers, and the hours are left out: it shows the rotation. Empty when a rule of Zoho decides
    or nobody would get them. A fallback owner who is in no list is an unsaved row.
    """
    return Assigner(office).next_owners(department, n)


# --- deciding ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    """What the rules look at: the time, who answered, and the departments, the most telling one first."""

    at: dt.datetime
    answered: Extension | None = None
    departments: tuple[str, ...] = ()


@dataclass
class _Choice:
    """What one rule decided; the account of a turn where it was the rotation."""

    how: str
    owner: LeadOwner | None
    reason: str
    rotation: dict[str, Any] = field(default_factory=dict)


class _Turns:
    """The rotations of an office while decisions are made: read once, turned in memory, written once."""

    def __init__(self, office: Office, *, is_locked: bool) -> None:
        self.office = office
        rows = Rotation.objects.filter(office=office).order_by("pk")
        if is_locked:
            # One row that always exists is what a second worker waits for, whichever pool it needs.
            Rotation.objects.get_or_create(office=office, department="")
            rows = rows.select_for_update()
        self.rows = {row.department: row for row in rows}
        self.turned: set[str] = set()

    def take(self, department: str, weights: dict[str, Decimal]) -> tuple[str, dict[str, Any]]:
        """The Zoho id of whose turn it is, and the account of the turn for the decision."""
        row = self.rows.setdefault(department, Rotation(office=self.office, department=department))
        wheel = Wheel.load(row.state, weights)
        taken = wheel.turn()
        row.state, row.turns = wheel.dump(), row.turns + 1
        self.turned.add(department)
        return taken, {"pool": department, "turn": row.turns, "owners": row.state}

    def save(self) -> None:
        for department in sorted(self.turned):
            self.rows[department].save()


class Assigner:
    """The rules, owners and pools of one office, read once, for the decisions of many calls."""

    def __init__(self, office: Office) -> None:
        self.office = office
        self.rules = AssignmentRules.objects.filter(office=office).first() or AssignmentRules(office=office)
        named = [self.rules.fallback_owner_id, self.rules.after_hours_owner_id]
        # The fallback and after-hours owners may be in another office's list, which knows their names and states.
        rows = list(LeadOwner.objects.filter(Q(office=office) | Q(zoho_id__in=[each for each in named if each])))
        self.owners = [row for row in rows if row.office_id == office.pk]
        self.known = {row.zoho_id: row for row in (*rows, *self.owners)}
        self.pools: dict[str, tuple[str, list[LeadOwner]]] = {}
        if self.rules.by_department and self.rules.pk:
            self._load_pools()
        self.rule_steps: tuple[Callable[[_Case, _Turns, list[str]], _Choice | None], ...] = (
            self._by_zoho_rule,
            self._by_answer,
            self._by_department,
            self._by_hours,
            self._by_rotation,
            self._by_fallback,
        )

    def decide_many(
        self, calls: Iterable[Call], *, at: dt.datetime | None = None, dry_run: bool = False
    ) -> dict[int, AssignmentDecision]:
        """Decisions by the calls' primary keys, in the order in which the calls began.

        Stored decisions are used again. However many calls: about a dozen queries, and an INSERT for each hundred.
        """
        each_once = {call.pk: call for call in calls}
        ordered = sorted(each_once.values(), key=lambda call: (call.started_at, call.pk))
        if dry_run:
            return self._decide(ordered, at, _Turns(self.office, is_locked=False))
        try:
            return self._decide_and_store(ordered, at)
        except IntegrityError:
            # Somebody decided about one of the calls for another office meanwhile. Their decision stands; our turns
            # were rolled back.
            return self._decide_and_store(ordered, at)

    def next_owners(self, department: str, n: int) -> list[LeadOwner]:
        case = _Case(timezone.now(), departments=(department,) if department else ())
        if self.rules.zoho_rule_id:
            return []
        turns = _Turns(self.office, is_locked=False)
        steps = (self._by_department, self._by_rotation, self._by_fallback)
        choices = [self._first_choice(steps, case, turns)[0] for _ in range(n)]
        return [choice.owner for choice in choices if choice.owner is not None]

    def _load_pools(self) -> None:
        for pool in DepartmentPool.objects.filter(rules=self.rules).prefetch_related("owners"):
            members = {owner.pk for owner in pool.owners.all()}
            in_order = [owner for owner in self.owners if owner.pk in members]
            self.pools[pool.department.casefold()] = (pool.department, in_order)

    @transaction.atomic
    def _decide_and_store(self, calls: Sequence[Call], at: dt.datetime | None) -> dict[int, AssignmentDecision]:
        turns = _Turns(self.office, is_locked=True)
        decisions = self._decide(calls, at, turns)
        turns.save()
        AssignmentDecision.objects.bulk_create([each for each in decisions.values() if each.pk is None])
        return decisions

    def _decide(self, calls: Sequence[Call], at: dt.datetime | None, turns: _Turns) -> dict[int, AssignmentDecision]:
        stored = AssignmentDecision.objects.filter(call__in=[call.pk for call in calls]).select_related("office")
        decisions = {decision.call_id: decision for decision in stored}
        undecided = [call for call in calls if call.pk not in decisions]
        for call, case in zip(undecided, self._cases(undecided, at), strict=True):
            choice, passed = self._first_choice(self.rule_steps, case, turns)
            decisions[call.pk] = AssignmentDecision(
                call=call, office=self.office, how=choice.how,
                owner_id=choice.owner.zoho_id if choice.owner else "",
                owner_name=choice.owner.name if choice.owner else "",
                reason=" ".join((*passed, choice.reason)), rotation=choice.rotation,
            )  # fmt: skip
        return decisions

    def _cases(self, calls: Sequence[Call], at: dt.datetime | None) -> list[_Case]:
        """What the rules must know of the calls, with one query for their extensions."""
        wanted = Q(pk__in={pk for call in calls for pk in (call.answered_by_id, call.extension_id) if pk})
        if self.pools:
            involved = {rc_id for call in calls for rc_id in call.extension_ids}
            wanted |= Q(rc_id__in=involved, kind=Extension.Kind.QUEUE)
        rows = Extension.objects.filter(wanted) if calls else []
        by_pk = {row.pk: row for row in rows}
        queues = {(row.connection_id, row.rc_id): row for row in rows if row.kind == Extension.Kind.QUEUE}
        cases = []
        for call in calls:
            answered = by_pk.get(call.answered_by_id or 0)
            rung = [queues.get((call.connection_id, rc_id)) for rc_id in call.extension_ids]
            extensions = (answered, by_pk.get(call.extension_id or 0), *rung)
            departments = tuple(each.department for each in extensions if each and each.department)
            cases.append(_Case(at or call.started_at, answered, departments))
        return cases

    def _first_choice(
        self, steps: Iterable[Callable[[_Case, _Turns, list[str]], _Choice | None]], case: _Case, turns: _Turns
    ) -> tuple[_Choice, list[str]]:
        """The choice of the first rule that has one, and in sentences what was passed over on the way."""
        passed: list[str] = []
        for step in steps:
            choice = step(case, turns, passed)
            if choice is not None:
                return choice, passed
        return _Choice(How.NOBODY, None, "The lead stays with the user of the connection."), passed

    # --- the rules, in their order --------------------------------------------------------------------------------

    def _by_zoho_rule(self, case: _Case, turns: _Turns, passed: list[str]) -> _Choice | None:
        if not self.rules.zoho_rule_id:
            return None
        return _Choice(How.ZOHO_RULE, None, f"Assignment rule {self.rules.zoho_rule_id} of Zoho decides.")

    def _by_answer(self, case: _Case, turns: _Turns, passed: list[str]) -> _Choice | None:
        answered = case.answered
        if not self.rules.answering_first or answered is None or answered.is_machine:
            return None
        owner = self._owner_at(answered)
        if owner is None:
            passed.append(f"{answered} answered but is no lead owner of {self.office}.")
            return None
        obstacle = self._obstacle(owner, case.at)
        if obstacle:
            passed.append(f"{owner} answered but {obstacle}.")
            return None
        return _Choice(How.ANSWERED, owner, f"{owner} answered the call.")

    def _by_department(self, case: _Case, turns: _Turns, passed: list[str]) -> _Choice | None:
        found = next((self.pools[name.casefold()] for name in case.departments if name.casefold() in self.pools), None)
        if found is None:
            if self.rules.by_department and case.departments:
                passed.append(f"There is no pool for the department {case.departments[0]}.")
            return None
        department, members = found
        available = self._available(members, case.at, passed)
        if not available:
            passed.append(f"Nobody of the department {department} is available.")
            return None
        if not self.rules.round_robin:
            return _Choice(How.FIRST, available[0], f"Rotation is off: first owner of the department {department}.")
        owner, account, words = self._turn(turns, department, available)
        return _Choice(How.DEPARTMENT, owner, f"{words} of the department {department}.", account)

    def _by_hours(self, case: _Case, turns: _Turns, passed: list[str]) -> _Choice | None:
        if not self.rules.office_hours_only or is_open(self.rules, self.office, case.at):
            return None
        outside = f"{self._local(case.at)} is outside the office hours ({self._hours()})"
        if not self.rules.after_hours_owner_id:
            passed.append(f"{outside}, but no after-hours owner is set.")
            return None
        owner = self._person(self.rules.after_hours_owner_id)
        obstacle = self._obstacle(owner, case.at)
        if obstacle:
            passed.append(f"{outside}, but the after-hours owner {owner} {obstacle}.")
            return None
        return _Choice(How.AFTER_HOURS, owner, f"{outside}: after-hours owner.")

    def _by_rotation(self, case: _Case, turns: _Turns, passed: list[str]) -> _Choice | None:
        if not self.rules.round_robin and self.rules.fallback_owner_id:
            owner = self._person(self.rules.fallback_owner_id)
            obstacle = self._obstacle(owner, case.at)
            if not obstacle:
                return _Choice(How.FIRST, owner, "Rotation is off: the fallback owner gets every lead.")
            passed.append(f"Rotation is off, but the fallback owner {owner} {obstacle}.")
        available = self._available(self.owners, case.at, passed)
        if not available:
            passed.append(f"No owner of {self.office} is available.")
            return None
        if not self.rules.round_robin:
            return _Choice(How.FIRST, available[0], "Rotation is off: first owner.")
        owner, account, words = self._turn(turns, "", available)
        return _Choice(How.ROTATION, owner, f"{words} of {self.office}.", account)

    def _by_fallback(self, case: _Case, turns: _Turns, passed: list[str]) -> _Choice | None:
        """The last resort counts even when away or switched off here; only Zoho can rule it out."""
        if not self.rules.fallback_owner_id:
            passed.append("No fallback owner is set.")
            return None
        owner = self._person(self.rules.fallback_owner_id)
        obstacle = _zoho_obstacle(owner)
        if obstacle:
            passed.append(f"The fallback owner {owner} {obstacle}.")
            return None
        return _Choice(How.FALLBACK, owner, "Fallback owner.")

    # --- owners ---------------------------------------------------------------------------------------------------

    def _owner_at(self, extension: Extension) -> LeadOwner | None:
        """By the extension set for an owner, else by e-mail address; names are not unique and are not looked at."""
        for owner in self.owners:
            if owner.extension_id == extension.pk:
                return owner
        email = extension.email.casefold()
        unset = (owner for owner in self.owners if owner.extension_id is None and owner.email)
        return next((owner for owner in unset if owner.email.casefold() == email), None)

    def _person(self, zoho_id: str) -> LeadOwner:
        """An owner named in the rules, who need not be in any list."""
        return self.known.get(zoho_id) or LeadOwner(office=self.office, zoho_id=zoho_id)

    def _available(self, owners: Sequence[LeadOwner], at: dt.datetime, passed: list[str]) -> list[LeadOwner]:
        obstacles = [(owner, self._obstacle(owner, at)) for owner in owners]
        for owner, obstacle in obstacles:
            sentence = f"{owner} {obstacle}."
            if obstacle and sentence not in passed:
                passed.append(sentence)
        return [owner for owner, obstacle in obstacles if not obstacle]

    def _obstacle(self, owner: LeadOwner, at: dt.datetime) -> str:
        """Why the owner gets nothing now, as the rest of a sentence; "" when nothing is in the way."""
        # Being switched off concerns the list of one office only.
        if not owner.is_active and owner.office_id == self.office.pk:
            return "is switched off here"
        if owner.away_until is not None and owner.away_until > at:
            return f"is away until {self._local(owner.away_until)}"
        return _zoho_obstacle(owner)

    def _turn(
        self, turns: _Turns, department: str, available: Sequence[LeadOwner]
    ) -> tuple[LeadOwner, dict[str, Any], str]:
        weights = {owner.zoho_id: owner.weight if self.rules.respect_weights else ONE for owner in available}
        taken, account = turns.take(department, weights)
        return self.known[taken], account, f"Turn {account['turn']:,} of the rotation"

    def _local(self, at: dt.datetime) -> str:
        return f"{at.astimezone(self.office.tz):%Y-%m-%d %H:%M}"

    def _hours(self) -> str:
        rules = self.rules
        days = ", ".join(DAY_NAMES[int(day) - 1] for day in sorted(rules.hours_days))
        zone = rules.hours_zone or self.office.zone
        return f"{days} {rules.hours_start:%H:%M} to {rules.hours_end:%H:%M}, {zone}"


def _zoho_obstacle(owner: LeadOwner) -> str:
    if owner.zoho_state == LeadOwner.ZohoState.INACTIVE:
        return "is not active in Zoho"
    return "is not a user of Zoho" if owner.zoho_state == LeadOwner.ZohoState.MISSING else ""


# --- fairness ---------------------------------------------------------------------------------------------------------


@dataclass
class Share:
    """An owner's part of the leads: planned by weight, got by rotation, and got by other rules.

    `planned` is the sum of the shares at each turn, so it follows who was available then and what the weights were.
    """

    zoho_id: str
    name: str
    weight: Decimal | None
    planned: float = 0.0
    rotated: int = 0
    otherwise: int = 0

    @property
    def deviation(self) -> float:
        """Leads of the rotation above the plan."""
        return self.rotated - self.planned


def planned_and_actual(office: Office, since: dt.datetime) -> list[Share]:
    """The shares of all who are owners now or got a lead since then: owners in their order, then the others by name."""
    shares = {row.zoho_id: Share(row.zoho_id, str(row), row.weight) for row in LeadOwner.objects.filter(office=office)}
    planned: dict[str, Fraction] = {}
    others: dict[str, Share] = {}
    rows = AssignmentDecision.objects.filter(office=office, at__gte=since).order_by("pk")
    for owner_id, name, how, rotation in rows.values_list("owner_id", "owner_name", "how", "rotation").iterator():
        owners = rotation.get("owners", {})
        total = sum(Fraction(entry["weight"]) for entry in owners.values())
        for member, entry in owners.items():
            planned[member] = planned.get(member, Fraction(0)) + Fraction(entry["weight"]) / total
        if not owner_id:
            continue
        share = shares.get(owner_id) or others.setdefault(owner_id, Share(owner_id, name or owner_id, None))
        if how in FROM_ROTATION:
            share.rotated += 1
        else:
            share.otherwise += 1
    for member, value in planned.items():
        share = shares.get(member) or others.setdefault(member, Share(member, member, None))
        share.planned = float(value)
    return [*shares.values(), *sorted(others.values(), key=lambda share: share.name)]
