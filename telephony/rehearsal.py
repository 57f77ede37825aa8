"""A dry run: what would be done with each call, told by the code that does it, and nothing written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from crm import metadata
from crm.zoho.client import ZohoClient
from portal.models import Connection, RunItem
from portal.rows import overwrite
from portal.runs import Lease
from telephony import statuses
from telephony.lead_status import MADE_WITH_IT, StatusChange, StatusChanges
from telephony.mapping import lead_values
from telephony.matching import LEADS, Candidate, Match, Matcher
from telephony.models import AssignmentDecision, Call, CallSettings, CallStep
from telephony.processing import ITEM_FIELDS, LOST, found_for, item_is_over, makers_of, marked_by, wants_new_lead
from telephony.qualifying import Desk, Verdict, desk_of, qualify
from telephony.writing import Creation, Writer

ItemState = RunItem.State


class Rehearsal:
    """What a run would do, told item by item. It reads Zoho and writes to nothing but the items of its run.

    What the processing would find out on its way (whose call it is, the lead made for it) is set on the calls and steps
    in memory, so that the same functions go on with it.
    """

    def __init__(
        self,
        lease: Lease,
        client: ZohoClient,
        zoho: Connection,
        matcher: Matcher,
        desks: dict[int, Desk],
        settings: CallSettings,
    ) -> None:
        self.lease = lease
        self.client = client
        self.matcher = matcher
        self.desks = desks
        self.settings = settings
        self.fields = metadata.fields(zoho, LEADS)

    def work(self, items: Sequence[RunItem]) -> None:
        by_pk = {int(item.key): item for item in items}
        rows = Call.objects.filter(pk__in=by_pk).select_related("office", "extension", "answered_by")
        calls = sorted(rows, key=lambda call: (call.started_at, call.pk))
        self.verdicts = {call.pk: qualify(call, desk_of(call, self.desks)) for call in calls}
        going = [call for call in calls if self.verdicts[call.pk].is_processed]
        self.writer = Writer(self.lease, self.client, going, self.settings)
        places = self._place(going)
        placed = [call for call in going if call.record_id]
        offered = statuses.offered(self.fields)
        changes = StatusChanges(placed, self.records, self.desks, self.writer, offered).due()
        of_status = {change.call.pk: _status(change) for change in changes}
        for call in calls:
            verdict, item = self.verdicts[call.pk], by_pk[call.pk]
            if not verdict.is_processed:
                item_is_over(item, ItemState.SKIPPED, verdict.code, verdict.reason)
                continue
            actions = [places[call.pk]]
            if call.record_id:
                actions += [*of_status.get(call.pk, []), "add a note", *_media(call, verdict)]
            item_is_over(item, ItemState.SKIPPED, "DRY_RUN", f"Would: {'; '.join(actions)}.", {"actions": actions})
        with self.lease.commit():
            overwrite(by_pk.values(), ITEM_FIELDS)

    # --- to whom they would belong -----------------------------------------------------------------------------------

    def _place(self, calls: Sequence[Call]) -> dict[int, str]:
        """Gives each call its record, where it would get one; and in words, whose that is or why there is none."""
        self.records = self.matcher.read({(call.module, call.record_id) for call in calls if call.record_id})
        words: dict[int, str] = {}
        by_number: dict[str, list[Call]] = defaultdict(list)
        for call in calls:
            known = self.records.get((call.module, call.record_id))
            if known is None:
                call.module = call.record_id = ""
                by_number[call.number].append(call)
            else:
                words[call.pk] = f"write to {known.words}"
        words |= {call.pk: f"ask a person: {LOST.rstrip('.')}" for call in by_number.pop("", [])}
        matches = self.matcher.look_up(by_number)
        creations: list[Creation] = []
        for number, group in by_number.items():
            match = matches[number]
            found = marked_by(group, match)[1] or found_for(group, match)
            if found is not None:
                self._belong(group, found)
                words |= {call.pk: f"write to {found.words}" for call in group}
            elif match.is_several and not wants_new_lead(group):
                words |= {call.pk: f"ask a person: {match.reason.rstrip('.')}" for call in group}
            elif makers := makers_of(group, self.verdicts):
                waiting = [call for call in group if call is not makers[0]]
                creations.append(Creation(makers[0], {}, None, waiting))
            else:
                words |= {call.pk: self._nothing(call, match) for call in group}
        return words | self._make_leads(creations)

    def _nothing(self, call: Call, match: Match) -> str:
        return f"write nothing: {match.reason} {self.verdicts[call.pk].reason.rstrip('.')}"

    def _belong(self, group: Sequence[Call], record: Candidate) -> None:
        self.records[record.module, record.id] = record
        for call in group:
            call.module, call.record_id = record.module, record.id

    def _make_leads(self, creations: Sequence[Creation]) -> dict[int, str]:
        """Leads that only this rehearsal knows; no turn of the rotation is used up."""
        by_office: dict[int, list[Creation]] = defaultdict(list)
        for creation in creations:
            by_office[creation.call.office_id or 0].append(creation)
        words: dict[int, str] = {}
        for office_id, some in by_office.items():
            desk = self.desks[office_id]
            decisions = desk.assigner.decide_many([creation.call for creation in some], dry_run=True)
            for creation in some:
                maker, decision = creation.call, decisions[creation.call.pk]
                values = lead_values(maker, desk.office, decision, desk.mappings, self.fields).values
                status = str(values.get(statuses.FIELD) or "")
                lead = Candidate(LEADS, f"of call {maker.pk}", "", status=status)
                self._belong([maker, *creation.waiting], lead)
                self.writer.finish(self.writer.step(maker, CallStep.Kind.LEAD), CallStep.State.DONE)
                for call in creation.waiting:
                    which = "a later" if call.started_at < maker.started_at else "the earlier"
                    words[call.pk] = f"write to the lead that {which} call makes"
                words[maker.pk] = f"make a lead for {_owner(decision)}"
        return words


def _owner(decision: AssignmentDecision) -> str:
    name, how = decision.owner_name or decision.owner_id, decision.get_how_display().lower()
    return f"{name} ({how})" if name else how


def _status(change: StatusChange) -> list[str]:
    """Nothing is said where no status is at stake: of the call that makes the lead, contacts, and outbound calls."""
    if not change.why_not:
        return [f"set the status “{change.status}”"]
    is_at_stake = change.call.module == LEADS and change.status and change.why_not != MADE_WITH_IT
    return [f"leave the status: {change.why_not.rstrip('.')}"] if is_at_stake else []


def _media(call: Call, verdict: Verdict) -> list[str]:
    """What would be attached, by its number."""
    if not verdict.with_media:
        return []
    counts = {kind: len(call.media.get(kind, [])) for kind in ("recordings", "voicemails")}
    return [f"attach {count} {kind if count > 1 else kind[:-1]}" for kind, count in counts.items() if count]
