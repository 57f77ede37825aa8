"""A dry run: what would be done with each call, told by the code that does it, and nothing written."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from portal.models import RunItem
from portal.rows import overwrite
from portal.runs import Lease
from telephony.matching import LEADS, Candidate, Match, Matcher
from telephony.models import Call
from telephony.processing import ITEM_FIELDS, item_is_over
from telephony.qualifying import Action, Desk, Verdict, desk_of, qualify
from telephony.reasons import NEW_LEAD

ItemState = RunItem.State


class Rehearsal:
    """What a run would do, told item by item. It reads Zoho and writes to nothing but the items of its run."""

    def __init__(self, lease: Lease, matcher: Matcher, desks: dict[int, Desk]) -> None:
        self.lease = lease
        self.matcher = matcher
        self.desks = desks

    def work(self, items: Sequence[RunItem]) -> None:
        by_pk = {int(item.key): item for item in items}
        rows = Call.objects.filter(pk__in=by_pk).select_related("office", "extension", "answered_by")
        calls = sorted(rows, key=lambda call: (call.started_at, call.pk))
        verdicts = {call.pk: qualify(call, desk_of(call, self.desks)) for call in calls}
        going = [call for call in calls if verdicts[call.pk].is_processed]
        matches = self.matcher.look_up({call.number for call in going if not call.record_id})
        owners = self._owners([call for call in going if self._makes_lead(call, verdicts[call.pk], matches)])
        for call in calls:
            verdict, item = verdicts[call.pk], by_pk[call.pk]
            if not verdict.is_processed:
                item_is_over(item, ItemState.SKIPPED, verdict.code, verdict.reason)
                continue
            actions = self._actions(call, verdict, matches.get(call.number), owners.get(call.pk))
            item_is_over(item, ItemState.SKIPPED, "DRY_RUN", f"Would: {'; '.join(actions)}.", {"actions": actions})
        with self.lease.commit():
            overwrite(by_pk.values(), ITEM_FIELDS)

    def _makes_lead(self, call: Call, verdict: Verdict, matches: dict[str, Match]) -> bool:
        if call.record_id or verdict.action != Action.FULL:
            return False
        return matches[call.number].is_none or call.reason_code == NEW_LEAD

    def _owners(self, makers: Sequence[Call]) -> dict[int, str]:
        """Who would get the lead of the first call of each number; no turn is used up."""
        first: dict[str, Call] = {}
        for call in makers:
            first.setdefault(call.number, call)
        by_office: dict[int, list[Call]] = defaultdict(list)
        for call in first.values():
            by_office[call.office_id or 0].append(call)
        owners: dict[int, str] = {}
        for office_id, some in by_office.items():
            for pk, decision in self.desks[office_id].assigner.decide_many(some, dry_run=True).items():
                name = decision.owner_name or decision.owner_id
                how = decision.get_how_display().lower()
                owners[pk] = f"{name} ({how})" if name else how
        return owners

    def _actions(self, call: Call, verdict: Verdict, match: Match | None, owner: str | None) -> list[str]:
        desk = self.desks[call.office_id or 0]
        if call.record_id:
            actions = [f"write to {call.module} {call.record_id}"]
        elif owner is not None:
            actions = [f"make a lead for {owner}"]
        elif match is not None and match.found is not None:
            actions = [f"write to {match.found.words}", *self._status(call, match.found, desk)]
        elif match is not None and match.is_several:
            return [f"ask a person: {match.reason}"]
        elif verdict.action != Action.FULL:
            return [f"write nothing: {match.reason if match else ''} {verdict.reason}"]
        else:
            actions = ["write to the lead that the earlier call makes"]
        actions.append("add a note")
        if verdict.with_media:
            for kind in ("recordings", "voicemails"):
                count = len(call.media.get(kind, []))
                if count:
                    actions.append(f"attach {count} {kind if count > 1 else kind[:-1]}")
        return actions

    def _status(self, call: Call, found: Candidate, desk: Desk) -> list[str]:
        status = desk.mappings.statuses.of(call)
        if found.module != LEADS or found.is_converted or not status or status == found.status:
            return []
        may, _ = desk.mappings.statuses.may_replace(found.status)
        return [f"set the status “{status}”"] if may else []
