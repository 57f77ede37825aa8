"""Which calls set the status of their lead, and why the others do not: for the run that does it and the dry run."""

from __future__ import annotations

import datetime as dt
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import dataclass

from django.db.models import Max, Q

from telephony.matching import LEADS, Candidate
from telephony.models import Call, CallStep
from telephony.qualifying import Desk
from telephony.statuses import Statuses
from telephony.writing import Writer

State = CallStep.State
Kind = CallStep.Kind
# Code of a status that the lead had already: to the calls before it this is as good as set.
SAME = "SAME"
SAME_STATUS = "The lead has this status already."
MADE_WITH_IT = "The lead was made with its status."


@dataclass(frozen=True)
class StatusChange:
    """What the status step of a call comes to: `status` is set, unless `why_not` says why it is not."""

    call: Call
    step: CallStep
    status: str
    why_not: str


class StatusChanges:
    """The status steps of some calls in the order of time, with the `records` that they belong to.

    `offered`: the statuses that Zoho's list has.
    """

    def __init__(
        self,
        calls: Sequence[Call],
        records: Mapping[tuple[str, str], Candidate],
        desks: Mapping[int, Desk],
        writer: Writer,
        offered: Container[str],
    ) -> None:
        self._calls = calls
        self._records = records
        self._desks = desks
        self._writer = writer
        self._offered = offered
        self._last = {call.record_id: call for call in calls if call.module == LEADS}

    def due(self) -> Iterator[StatusChange]:
        """For each call whose step is not through yet; the last call of a lead sets its status."""
        newer = self._newer()
        for call in self._calls:
            step = self._writer.step(call, Kind.STATUS)
            status = self._statuses(call).of(call)
            is_here = step.record_id in ("", call.record_id)
            if is_here and step.state in (State.DONE, State.SKIPPED) and step.digest == status:
                continue
            yield StatusChange(call, step, status, self._why_not(call, status, newer))

    def _why_not(self, call: Call, status: str, newer: Mapping[str, dt.datetime]) -> str:
        record = self._records.get((call.module, call.record_id))
        if call.module != LEADS:
            return "Contacts have no lead status."
        if record is None or record.is_converted:
            return "The lead is converted."
        if not status:
            return "No status is set for such calls."
        if status not in self._offered:
            return f"Zoho's list of lead statuses has no “{status}”."
        if self._has_just_made_it(call):
            return MADE_WITH_IT
        if self._last[call.record_id] is not call or newer.get(call.record_id, call.started_at) > call.started_at:
            return "A later call sets the status."
        if record.status == status:
            return SAME_STATUS
        may, why = self._statuses(call).may_replace(record.status)
        return "" if may else why

    def _statuses(self, call: Call) -> Statuses:
        return self._desks[call.office_id or 0].mappings.statuses

    def _has_just_made_it(self, call: Call) -> bool:
        made = self._writer.step(call, Kind.LEAD).state == State.DONE
        return made and self._writer.step(call, Kind.STATUS).pk is None

    def _newer(self) -> dict[str, dt.datetime]:
        """Start of the youngest call that has set the status of each lead, found it set, or made the lead."""
        rows = Call.objects.filter(
            Q(steps__state=State.DONE) | Q(steps__code=SAME),
            module=LEADS, record_id__in=list(self._last), steps__kind__in=(Kind.STATUS, Kind.LEAD),
        )  # fmt: skip
        return dict(rows.order_by().values_list("record_id").annotate(at=Max("started_at")))
