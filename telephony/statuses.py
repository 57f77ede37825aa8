"""The Lead_Status that calls set, and which present status of a lead a call may replace."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Q

from crm.metadata import did_you_mean
from crm.zoho.schema import Field
from telephony.models import Call, Office, OverwritableStatus, StatusName

FIELD = "Lead_Status"
Key = StatusName.Key
KEYS = {
    Call.Outcome.ACCEPTED: Key.ACCEPTED,
    Call.Outcome.MISSED: Key.MISSED,
    Call.Outcome.VOICEMAIL: Key.VOICEMAIL,
}
# A mark that somebody found a duplicate: a call may set it, and must not wipe it out.
LASTING = (Key.DUPLICATE,)
BLANK = ("", "-none-")


@dataclass(frozen=True)
class Problem:
    """What does not fit between the settings here and Zoho: where it stands, and what is wrong in words."""

    place: str
    what: str


@dataclass(frozen=True)
class Statuses:
    """The statuses of one office: `names` by StatusName.Key, and those that a call may replace, folded."""

    names: Mapping[str, str]
    set_by_calls: frozenset[str]
    overwritable: frozenset[str]

    @classmethod
    def load(cls, office: Office | None) -> Statuses:
        """Two queries, to be done once a run. Own rows come before those for all offices, and these before defaults."""
        rows = list(StatusName.objects.order_by("pk"))
        names = dict(StatusName.DEFAULTS)
        names |= {row.key: row.value.strip() for row in rows if row.office_id is None}
        names |= {row.key: row.value.strip() for row in rows if office is not None and row.office_id == office.pk}
        told = [(key, value) for key, value in names.items()] + [(row.key, row.value) for row in rows]
        scope = Q(office__isnull=True) | Q(office=office)
        allowed = OverwritableStatus.objects.filter(scope).values_list("value", flat=True)
        return cls(
            names=names,
            set_by_calls=frozenset(_folded(value) for key, value in told if key not in LASTING),
            overwritable=frozenset(map(_folded, allowed)),
        )

    def of(self, call: Call) -> str:
        """What the call sets on an existing lead; "" leaves the status alone (outbound, internal and other calls)."""
        key = KEYS.get(Call.Outcome(call.outcome))
        return self.names[key] if key else ""

    def of_new_lead(self, call: Call) -> str:
        """The status of a lead that the call creates: that of its type, otherwise that of new leads."""
        return self.of(call) or self.names[Key.NEW]

    def may_replace(self, current: str | None) -> tuple[bool, str]:
        """Whether a call may replace this status, and why. What calls do not set themselves was set by a person."""
        status = _folded(current or "")
        if status in BLANK:
            return True, "The lead has no status."
        if status in self.set_by_calls:
            return True, f"“{current}” is a status that calls set."
        if status in self.overwritable:
            return True, f"“{current}” is among the statuses that calls may replace."
        return False, f"“{current}” was set by a person and stays."


def offered(fields: Sequence[Field]) -> frozenset[str]:
    """The values of Zoho's Lead_Status; none where the connection does not see the field."""
    return frozenset(choice.value for field in fields if field.api_name == FIELD for choice in field.choices)


def check_picklist(values: Mapping[str, str], fields: Sequence[Field]) -> list[Problem]:
    """Statuses that Zoho's Lead_Status does not offer. `values`: status by the place where it is configured."""
    field = next((entry for entry in fields if entry.api_name == FIELD), None)
    if field is None:
        return [Problem(FIELD, f"Zoho's leads have no field {FIELD} that the connection can see.")]
    if not field.is_writable:
        return [Problem(FIELD, f"Zoho does not let programs change {FIELD}.")]
    known = [choice.value for choice in field.choices]
    return [
        Problem(place, f"“{value}” is not in Zoho's list of {FIELD}.{did_you_mean(value, known)}")
        for place, value in values.items()
        if value and value not in known
    ]


def _folded(status: str) -> str:
    return status.strip().casefold()
