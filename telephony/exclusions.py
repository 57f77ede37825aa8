"""Calls that are none of the portal's business by who rang and whose number it is."""

from __future__ import annotations

from dataclasses import dataclass

from portal import phone
from telephony.models import Call, ExcludedNumber, Extension, Office


@dataclass(frozen=True)
class Exclusions:
    """What the settings say, read once. Numbers are in E.164; `numbers` by office, those for all offices under None."""

    numbers: dict[int | None, frozenset[str]]
    own_lines: frozenset[str]
    extensions: dict[str, bool]

    @classmethod
    def load(cls) -> Exclusions:
        numbers: dict[int | None, set[str]] = {}
        for office_id, number in ExcludedNumber.objects.values_list("office_id", "number"):
            numbers.setdefault(office_id, set()).add(number)
        lines = Office.objects.exclude(main_number="").values_list("main_number", "region")
        return cls(
            numbers={office_id: frozenset(some) for office_id, some in numbers.items()},
            own_lines=frozenset(phone.normalise(number, region) for number, region in lines) - {""},
            extensions=dict(Extension.objects.values_list("rc_id", "process_calls")),
        )

    def switched_off(self, call: Call) -> str:
        """Why its extensions stop the call, or "". Who answered decides; else one that is switched on is enough."""
        if call.answered_by is not None:
            answerer = call.answered_by
            return "" if answerer.process_calls else f"Calls of {answerer}, who answered, are not processed."
        known = [rc_id for rc_id in call.extension_ids if rc_id in self.extensions]
        if known and not any(self.extensions[rc_id] for rc_id in known):
            return "Processing is switched off for every extension that rang."
        return ""

    def is_own_line(self, call: Call) -> bool:
        return bool(call.number) and call.number in self.own_lines

    def is_excluded(self, call: Call) -> bool:
        none: frozenset[str] = frozenset()
        return call.number in self.numbers.get(None, none) or call.number in self.numbers.get(call.office_id, none)

    def is_stopped(self, call: Call) -> bool:
        return self.is_own_line(call) or self.is_excluded(call) or bool(self.switched_off(call))
