"""The processing of a window of calls: qualify, match, assign, write."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from django.db.models import prefetch_related_objects
from django.utils import timezone

from crm import metadata
from crm.zoho.client import ZohoClient
from portal import notices
from portal.models import Connection, Run, RunEvent, RunItem
from portal.rows import overwrite
from portal.runs import Lease
from telephony import media, reasons, statuses
from telephony.assignment import replacement_for, warning
from telephony.lead_status import SAME, SAME_STATUS, StatusChanges
from telephony.mapping import lead_values, marker_of, with_marker
from telephony.matching import LEADS, Candidate, Match, Matcher
from telephony.models import AssignmentDecision, Call, Caller, CallSettings, CallStep, Office
from telephony.qualifying import Action, Desk, Verdict, desk_of, qualify
from telephony.writing import Creation, Writer

ItemState = RunItem.State
State = CallStep.State
Kind = CallStep.Kind
CALL_FIELDS = (
    "state",
    "reason_code",
    "reason",
    "module",
    "record_id",
    "match_reason",
    "candidates",
    "decided_at",
    "run",
)
ITEM_FIELDS = ("state", "code", "message", "after", "finished_at")
LINKED = "LINKED"
# The states of calls that end before it matters to whom they belong; NOT_PROCESSED for all other reasons.
STOPPED_STATES = {
    reasons.UNCLEAR: Call.State.REVIEW,
    reasons.NEVER_ENDED: Call.State.REVIEW,
    reasons.IN_PROGRESS: Call.State.PENDING,
}
LOST = "The record that was chosen for it is not in Zoho any more."
# Code of an item whose call waits for its files only.
AT_MEDIA = "AT_MEDIA"


class NotSetUp(Exception):
    """The settings do not fit Zoho, so that no lead could be found again; the text is for people."""


def item_is_over(item: RunItem, state: str, code: str, message: str, after: Any = None) -> RunItem:
    """Sets the outcome of an item; the caller saves it."""
    item.state, item.code, item.message, item.after = state, code[:60], message, after
    item.finished_at = timezone.now()
    return item


class Processor:
    """Works some calls of one run during one slice, and tells each its item."""

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
        self.zoho = zoho
        self.matcher = matcher
        self.desks = desks
        self.settings = settings
        self.fields = metadata.fields(zoho, LEADS)
        self._gone: dict[tuple[str, int], bool] = {}
        # Calls that wait for an answer that is still open, ours or another run's.
        self.must_wait = False

    # --- one window --------------------------------------------------------------------------------------------------

    def work(self, items: Sequence[RunItem]) -> None:
        """Takes each call as far as it goes now. Raises the RemoteError that concerns all; nothing is lost by it."""
        self.items = {int(item.key): item for item in items}
        self.calls = self._claimed()
        self.writer = Writer(self.lease, self.client, list(self.calls.values()), self.settings)
        self.verdicts = self._qualified()
        going = [self.calls[pk] for pk in self.verdicts]
        self._place(going)
        placed = [call for call in going if call.record_id]
        self._replace_owners(placed)
        self._raise_held()
        self._set_statuses(placed)
        self._raise_held()
        self._write_notes(placed)
        self._raise_held()
        if self.lease.is_stopping:
            return  # what was not sent any more has left no step, so nothing tells here which calls are through
        self._plan_media(placed)
        self._finish(placed)
        self.must_wait = self.must_wait or self.writer.has_open_answers

    def _raise_held(self) -> None:
        if self.writer.held is not None:
            raise self.writer.held

    def _claimed(self) -> dict[int, Call]:
        """The calls of the items, held by this run. One that another open run holds is left to it."""
        pks = list(self.items)
        run = self.lease.run
        with self.lease.commit(progress=False):
            rows = Call.objects.select_for_update().filter(pk__in=pks).order_by("pk")
            found = {pk: told for pk, *told in rows.values_list("pk", "run_id", "state", "reason_code")}
            holders = Run.objects.filter(pk__in={run_id for run_id, *_ in found.values() if run_id}).exclude(pk=run.pk)
            busy = set(holders.filter(state__in=Run.OPEN).values_list("pk", flat=True))
            ignored = {pk for pk, (_, *told) in found.items() if told == [Call.State.NOT_PROCESSED, reasons.IGNORED]}
            free = [pk for pk, (run_id, *_) in found.items() if run_id not in busy and pk not in ignored]
            Call.objects.filter(pk__in=free).update(run=run)
            taken = [item for pk, item in self.items.items() if pk not in set(free)]
            for item in taken:
                if int(item.key) in ignored:
                    words = "A person decided meanwhile that nothing is to be written for it."
                    item_is_over(item, ItemState.SKIPPED, reasons.IGNORED, words)
                else:
                    item_is_over(item, ItemState.SKIPPED, "IN_WORK", "Another run is working on this call.")
            overwrite(taken, ITEM_FIELDS)
        rows = Call.objects.filter(pk__in=free).select_related("office", "extension", "answered_by")
        return {call.pk: call for call in rows}

    def _qualified(self) -> dict[int, Verdict]:
        """Verdicts of the calls that are processed; the others end here, with their reason."""
        verdicts: dict[int, Verdict] = {}
        stopped = []
        for call in self._in_time(self.calls.values()):
            verdict = qualify(call, desk_of(call, self.desks))
            if verdict.is_processed:
                verdicts[call.pk] = verdict
                continue
            state = STOPPED_STATES.get(verdict.code, Call.State.NOT_PROCESSED)
            self._decide(call, state, verdict.code, verdict.reason)
            stopped.append((call, ItemState.SKIPPED, verdict.code, verdict.reason))
        self._end(stopped)
        return verdicts

    def _in_time(self, calls: Iterable[Call]) -> list[Call]:
        return sorted(calls, key=lambda call: (call.started_at, call.pk))

    def _decide(self, call: Call, state: str, code: str, reason: str) -> None:
        call.state, call.reason_code, call.reason, call.decided_at = state, code[:40], reason, timezone.now()

    def _end(self, ended: Sequence[tuple[Call, str, str, str]]) -> None:
        """Stores calls and their items; the calls are free again."""
        if not ended:
            return
        items = []
        for call, state, code, message in ended:
            call.run = None
            items.append(item_is_over(self.items[call.pk], state, code, message))
        with self.lease.commit():
            store_calls([call for call, *_ in ended])
            overwrite(items, ITEM_FIELDS)

    # --- to whom they belong -----------------------------------------------------------------------------------------

    def _place(self, calls: Sequence[Call]) -> None:
        """Gives each call its record: the one it has, the one that has its number, or a new lead."""
        self.records: dict[tuple[str, str], Candidate] = self.matcher.read(
            {(call.module, call.record_id) for call in calls if call.record_id}
        )
        for call in calls:
            if call.record_id and (call.module, call.record_id) not in self.records:
                call.module = call.record_id = ""  # deleted in Zoho since: looked for anew
        self._need_no_lead([call for call in calls if call.record_id])
        homeless = [call for call in calls if not call.record_id and call.number]
        self._end(self._lost([call for call in calls if not call.record_id and not call.number]))
        numbers = {call.number for call in homeless}
        rows = Caller.objects.filter(connection=self.zoho, number__in=numbers)
        seen = dict(rows.values_list("number", "record_id"))
        matches = self.matcher.look_up(numbers)
        strangers: dict[str, list[Call]] = {}
        stopped: list[tuple[Call, str, str, str]] = []
        by_number: dict[str, list[Call]] = defaultdict(list)
        for call in homeless:
            by_number[call.number].append(call)
        for number, group in by_number.items():
            match = matches[number]
            found = self._by_marker(group, match) or found_for(group, match)
            if found is not None:
                self._belong(group, found, match.reason)
            elif match.is_several and not wants_new_lead(group):
                stopped += self._review(group, match)
            else:
                strangers[number] = group
                for call in group:
                    call.match_reason = match.reason
        creations, unknown = self._creations(strangers, seen)
        self._end(stopped + unknown)
        with self.lease.commit():
            changed = [call for call in homeless if call.record_id]
            overwrite(changed, ("module", "record_id", "match_reason", "candidates"))
            self.writer.save(step for call in changed for step in self.writer.steps_of(call, Kind.LEAD))
        self._create(creations)
        self._raise_held()

    def _lost(self, calls: Sequence[Call]) -> list[tuple[Call, str, str, str]]:
        """Calls without a number whose record, chosen by a person, is there no more."""
        for call in calls:
            self._decide(call, Call.State.REVIEW, "NO_NUMBER", LOST)
        return [(call, str(ItemState.SKIPPED), "NO_NUMBER", LOST) for call in calls]

    def _need_no_lead(self, calls: Sequence[Call]) -> None:
        """A person chose the record while the making of a lead was open: nobody waits for that answer any more."""
        steps = [
            step for call in calls for step in self.writer.steps_of(call, Kind.LEAD) if step.state in CallStep.OPEN
        ]
        for step in steps:
            self.writer.finish(step, State.SKIPPED, "KNOWN", "The caller is known by now.")
        if steps:
            with self.lease.commit():
                self.writer.save(steps)

    def _by_marker(self, group: Sequence[Call], match: Match) -> Candidate | None:
        """The lead that one of these calls made although no answer said so."""
        call, mine = marked_by(group, match)
        if call is None or mine is None:
            return None
        step = self.writer.step(call, Kind.LEAD)
        if step.pk is not None and step.state != State.DONE:
            message = "No answer came; the lead was found by the call's mark."
            self.writer.finish(step, State.DONE, "FOUND", message, crm_id=mine.id, module=LEADS, record_id=mine.id)
        return mine

    def _belong(self, group: Sequence[Call], found: Candidate, reason: str) -> None:
        self.records[found.module, found.id] = found
        for call in group:
            call.module, call.record_id, call.match_reason, call.candidates = found.module, found.id, reason, []
            step = self.writer.step(call, Kind.LEAD)
            if step.pk is not None and step.state in CallStep.OPEN:
                self.writer.finish(step, State.SKIPPED, "KNOWN", "The caller is known by now.")

    def _review(self, group: Sequence[Call], match: Match) -> list[tuple[Call, str, str, str]]:
        stopped = []
        for call in group:
            call.candidates = [candidate.as_json() for candidate in match.candidates]
            call.match_reason = match.reason
            self._decide(call, Call.State.REVIEW, "SEVERAL_MATCHES", match.reason)
            stopped.append((call, str(ItemState.SKIPPED), "SEVERAL_MATCHES", match.reason))
        return stopped

    # --- new leads ---------------------------------------------------------------------------------------------------

    def _creations(
        self, strangers: dict[str, list[Call]], seen: dict[str, str]
    ) -> tuple[list[Creation], list[tuple[Call, str, str, str]]]:
        """Who makes the lead for each number that nobody has, while the others with it wait; and the calls that end."""
        makers = {number: makers_of(group, self.verdicts) for number, group in strangers.items()}
        chosen = self._claim_numbers({number: some for number, some in makers.items() if some}, seen)
        creations: list[Creation] = []
        stopped: list[tuple[Call, str, str, str]] = []
        for number, group in strangers.items():
            maker = chosen.get(number)
            step = self.writer.step(maker, Kind.LEAD) if maker is not None else None
            if not makers[number]:
                reason = f"{group[0].match_reason} No lead is made: {self.verdicts[group[0].pk].reason}"
                stopped += self._stop(group, Call.State.NOT_PROCESSED, ItemState.SKIPPED, "NOT_KNOWN", reason)
            elif maker is None or step is None or (step.state == State.SENT and not self.writer.may_repeat(step)):
                self.must_wait = True
            else:
                creations.append(Creation(maker, {}, None, [call for call in group if call is not maker]))
        return creations, stopped

    def _stop(
        self, group: Sequence[Call], state: Call.State, item_state: str, code: str, reason: str
    ) -> list[tuple[Call, str, str, str]]:
        for call in group:
            self._decide(call, state, code, reason)
        return [(call, str(item_state), code, reason) for call in group]

    def _claim_numbers(self, makers: dict[str, list[Call]], seen: dict[str, str]) -> dict[str, Call]:
        """Of all calls, runs and workers that want a lead for a number one gets the right to make it.

        A number is left out while another open run has it, or when the record behind it changed since the look-up.
        """
        chosen: dict[str, Call] = {}
        # Rows are locked in one order by everybody, here and where the leads are made.
        numbers = sorted(makers)
        with self.lease.commit(progress=False):
            new = [Caller(connection=self.zoho, number=number) for number in numbers]
            Caller.objects.bulk_create(new, batch_size=500, ignore_conflicts=True)
            rows = self._locked_callers(numbers)
            for row in rows:
                own = next((call for call in makers[row.number] if call.pk == row.creating_id), None)
                if row.record_id != seen.get(row.number, "") or (own is None and self._is_held(row)):
                    continue
                row.creating = chosen[row.number] = own or makers[row.number][0]
            overwrite([row for row in rows if row.number in chosen], ("creating",))
        return chosen

    def _locked_callers(self, numbers: Sequence[str]) -> list[Caller]:
        """Inside a transaction.

        Their calls are read after the lock is there: PostgreSQL does not look at joined rows again after a wait.
        """
        rows = Caller.objects.select_for_update().filter(connection=self.zoho, number__in=numbers).order_by("number")
        locked = list(rows)
        prefetch_related_objects(locked, "creating__run")
        return locked

    def _is_held(self, row: Caller) -> bool:
        return row.creating is not None and self._is_busy(row.creating, self.lease.run)

    def _is_busy(self, holder: Call, run: Run) -> bool:
        """Whether another call may still be making the lead: its run is open, or its request has no answer yet."""
        if holder.run is not None and holder.run_id != run.pk and holder.run.is_open:
            return True
        step = CallStep.objects.filter(call=holder, kind=Kind.LEAD).first()
        return step is not None and step.state == State.SENT and not self.writer.may_repeat(step)

    def _create(self, creations: Sequence[Creation]) -> None:
        by_office: dict[int, list[Creation]] = defaultdict(list)
        for creation in creations:
            by_office[creation.call.office_id or 0].append(creation)
        for office_id, some in by_office.items():
            desk = self.desks[office_id]
            with self.lease.commit(progress=False):
                decisions = desk.assigner.decide_many([creation.call for creation in some])
            self._tell_unowned(desk.office, decisions.values())
            for creation in some:
                creation.decision = decisions[creation.call.pk]
                filled = lead_values(creation.call, desk.office, creation.decision, desk.mappings, self.fields)
                try:
                    creation.values = with_marker(filled.values, self.settings.marker_field, creation.call, self.fields)
                except ValueError as problem:
                    raise NotSetUp(f"{problem} Change it in the call settings of the administration.") from problem
                creation.remarks = tuple(f"{remark.field}: {remark.what}" for remark in filled.remarks)
        self.writer.create_leads(creations, self._settle)

    def _tell_unowned(self, office: Office, decisions: Iterable[AssignmentDecision]) -> None:
        """New leads for whom no rule found an owner: in the run's log, and by mail once a day."""
        for words in dict.fromkeys(filter(None, map(warning, decisions))):
            self.lease.log(words, RunEvent.Level.WARNING)
            body = f"{words}\n\nSee the decisions of {office} under Calls, Lead owners."
            notices.attention_needed("nobody for new leads", office.slug, f"Nobody for the leads of {office}", body)

    def _settle(self, creations: Sequence[Creation]) -> None:
        """Inside the commit of an answer: leads made or not, their calls, and the numbers behind them."""
        by_number = {creation.call.number: creation for creation in creations}
        callers = self._locked_callers(sorted(by_number))
        for row in callers:
            creation = by_number[row.number]
            row.creating = None
            if creation.lead_id:
                row.module, row.record_id = LEADS, creation.lead_id
        overwrite(callers, ("module", "record_id", "creating"))
        made = [call for creation in creations if creation.lead_id for call in self._created(creation)]
        overwrite(made, ("module", "record_id", "match_reason"))
        ended = [call for creation in creations if not creation.lead_id for call in self._not_created(creation)]
        store_calls(ended)
        overwrite([self.items[call.pk] for call in ended], ITEM_FIELDS)

    def _created(self, creation: Creation) -> list[Call]:
        lead_id, status = creation.lead_id, str(creation.values.get(statuses.FIELD) or "")
        self.records[LEADS, lead_id] = Candidate(LEADS, lead_id, "", status=status)
        calls = [creation.call, *creation.waiting]
        for call in calls:
            call.module, call.record_id = LEADS, lead_id
        creation.call.match_reason += " A new lead was made."
        for call in creation.waiting:
            call.match_reason = f"The lead {lead_id} was made for an earlier call of the same number."
        return calls

    def _not_created(self, creation: Creation) -> list[Call]:
        words = creation.words
        ended = [(creation.call, f"The lead could not be made. {words}")]
        ended += [(call, f"The lead for this number could not be made. {words}") for call in creation.waiting]
        for call, reason in ended:
            self._decide(call, Call.State.FAILED, creation.code, reason)
            call.run = None
            item_is_over(self.items[call.pk], ItemState.FAILED, creation.code, reason)
        return [call for call, _ in ended]

    # --- owners who left ---------------------------------------------------------------------------------------------

    def _replace_owners(self, calls: Sequence[Call]) -> None:
        """A known lead whose owner is not active in Zoho any more goes to the next one, where the rules say so."""
        last: dict[str, Call] = {}
        for call in calls:
            record = self.records.get((call.module, call.record_id))
            desk = self.desks[call.office_id or 0]
            if record is None or record.is_converted or call.module != LEADS or not record.owner_id:
                continue
            if desk.assigner.rules.zoho_rule_id or not self._is_gone(record.owner_id, desk):
                continue
            last[call.record_id] = call
        wanted = []
        for call in last.values():
            desk = self.desks[call.office_id or 0]
            with self.lease.commit(progress=False):
                decision = desk.assigner.decide_many([call])[call.pk]
            if decision.owner_id and decision.owner_id != self.records[LEADS, call.record_id].owner_id:
                wanted.append((call, decision))
        self._close_owners(calls, [call for call, _ in wanted])
        self.writer.set_owners(wanted)

    def _close_owners(self, calls: Sequence[Call], wanted: Sequence[Call]) -> None:
        """An answer that got lost is not waited for when the lead has an owner who is there."""
        others = {call.pk for call in calls} - {call.pk for call in wanted}
        steps = [step for call in calls if call.pk in others for step in self.writer.steps_of(call, Kind.OWNER)]
        still_open = [step for step in steps if step.state in CallStep.OPEN]
        for step in still_open:
            state = State.DONE if step.state == State.SENT else State.SKIPPED
            self.writer.finish(step, state, "FOUND", "The lead has an owner who is active.")
        if still_open:
            with self.lease.commit():
                self.writer.save(still_open)

    def _is_gone(self, owner_id: str, desk: Desk) -> bool:
        known = self._gone.get((owner_id, desk.office.pk))
        if known is None:
            known = self._gone[owner_id, desk.office.pk] = replacement_for(owner_id, desk.office)
        return known

    # --- status ------------------------------------------------------------------------------------------------------

    def _set_statuses(self, calls: Sequence[Call]) -> None:
        """The status of known leads, by the last call of each. A status that a person set stays."""
        changes = StatusChanges(calls, self.records, self.desks, self.writer, statuses.offered(self.fields))
        wanted: list[tuple[Call, str]] = []
        skipped: list[CallStep] = []
        for change in changes.due():
            call, step, why = change.call, change.step, change.why_not
            step.digest = change.status
            if why:
                state, code = State.SKIPPED, ""
                if why == SAME_STATUS:
                    code = SAME
                    if step.state == State.SENT:
                        state, code, why = State.DONE, "FOUND", "No answer came; the lead has the status."
                self.writer.finish(step, state, code, why, module=call.module, record_id=call.record_id)
                skipped.append(step)
            else:
                wanted.append((call, change.status))
        if skipped:
            with self.lease.commit():
                self.writer.save(skipped)
        self.writer.set_statuses(wanted)

    # --- note and media ----------------------------------------------------------------------------------------------

    def _write_notes(self, calls: Sequence[Call]) -> None:
        fresh = [call for call in calls if self.writer.step(call, Kind.NOTE).pk is None]
        linked = []
        if fresh and self.settings.link_call_entries:
            for pk, entry in self.matcher.call_entries(fresh).items():
                step = self.writer.step(self.calls[pk], Kind.NOTE)
                message = "Zoho has an entry for this call already, made by another integration; no note was added."
                self.writer.finish(
                    step, State.SKIPPED, LINKED, message,
                    crm_id=entry.id, module=self.calls[pk].module, record_id=self.calls[pk].record_id,
                )  # fmt: skip
                linked.append(step)
        if linked:
            with self.lease.commit():
                self.writer.save(linked)
        self.writer.write_notes([(call, self._office(call)) for call in calls])

    def _office(self, call: Call) -> Office:
        return self.desks[call.office_id or 0].office

    def _plan_media(self, calls: Sequence[Call]) -> None:
        new: list[CallStep] = []
        for call in calls:
            if self.verdicts[call.pk].with_media:
                told = call.media
                new += media.plan_steps(self.writer, call, told.get("recordings", []), told.get("voicemails", []))
            new += [
                step for step in self.writer.steps_of(call, *CallStep.MEDIA) if self.writer.follow_record(call, step)
            ]
        if new:
            with self.lease.commit():
                self.writer.save(new)

    # --- the end -----------------------------------------------------------------------------------------------------

    def _finish(self, calls: Sequence[Call]) -> None:
        """Calls without open steps are done; those with media go on with them."""
        ended = []
        moving = []
        for call in calls:
            steps = self.writer.steps_of(call)
            if any(step.state in CallStep.OPEN and step.kind not in CallStep.MEDIA for step in steps):
                continue
            if any(step.state in (State.PLANNED, State.SENT) or is_due(step) for step in steps):
                call.state = Call.State.WAITING
                call.reason_code, call.reason = "", "Its recording or voicemail is on its way."
                moving.append(call)
            else:
                ended.append(end_of(call, steps))
        if moving:
            items = [self.items[call.pk] for call in moving]
            for item in items:
                item.code, item.message = AT_MEDIA, "Its recording or voicemail is on its way."
            with self.lease.commit():
                store_calls(moving)
                overwrite(items, ITEM_FIELDS)
        self._end(ended)


def wants_new_lead(group: Sequence[Call]) -> bool:
    """Whether a person decided so for one of the calls of a number."""
    return any(call.reason_code == reasons.NEW_LEAD for call in group)


def found_for(group: Sequence[Call], match: Match) -> Candidate | None:
    return None if wants_new_lead(group) else match.found


def marked_by(group: Sequence[Call], match: Match) -> tuple[Call, Candidate] | tuple[None, None]:
    """The call whose mark one of the records found bears, and that record."""
    for call in group:
        mine = next((found for found in match.candidates if marker_of(call) in found.marker_text), None)
        if mine is not None:
            return call, mine
    return None, None


def makers_of(group: Sequence[Call], verdicts: Mapping[int, Verdict]) -> list[Call]:
    """Of the calls of an unknown number those for which a lead may be made; the first of them makes it for all."""
    return [call for call in group if verdicts[call.pk].action == Action.FULL]


def store_calls(calls: Sequence[Call]) -> None:
    """Stores what a run made of its calls, inside a transaction.

    A reading of the log may have changed a call meanwhile, or joined it to another one: its state is then left as the
    reading set it, so that a later run writes what is new.
    """
    rows = Call.objects.select_for_update().filter(pk__in=[call.pk for call in calls]).order_by("pk")
    stored = {row.pk: row for row in rows.only("digest", "merged_into_id", "state", "reason_code", "reason")}
    for call in calls:
        now = stored[call.pk]
        if (now.digest, now.merged_into_id) != (call.digest, call.merged_into_id):
            call.state, call.reason_code, call.reason = now.state, now.reason_code, now.reason
    overwrite(calls, CALL_FIELDS)


def is_due(step: CallStep) -> bool:
    """Whether a waiting step is to be tried now."""
    return step.state == State.WAITING and (step.not_before is None or step.not_before <= timezone.now())


def end_of(call: Call, steps: Sequence[CallStep]) -> tuple[Call, str, str, str]:
    """The state of a call whose steps are as far as they go now, and what its item says."""
    failed = [step for step in steps if step.state == State.FAILED]
    waiting = [step for step in steps if step.state == State.WAITING]
    call.decided_at = timezone.now()
    if failed:
        step = failed[0]
        call.state, call.reason_code = Call.State.FAILED, step.code[:40]
        call.reason = f"{Kind(step.kind).label}: {step.message}"
        return call, str(ItemState.FAILED), step.code, call.reason
    if waiting:
        first = min(step.not_before or timezone.now() for step in waiting)
        call.state, call.reason_code = Call.State.WAITING, "MEDIA_NOT_READY"
        call.reason = f"{waiting[0].message} Next try at {first:%Y-%m-%d %H:%M} UTC."
        return call, str(ItemState.OK), "MEDIA_NOT_READY", f"Written; {call.reason}"
    missing = [step for step in steps if step.state == State.UNAVAILABLE]
    call.state, call.reason_code, call.reason = Call.State.DONE, "", ""
    if missing:
        gone = [step for step in missing if step.code != reasons.TOO_LARGE]
        call.reason_code = "MEDIA_GONE" if gone else reasons.TOO_LARGE
        call.reason = (gone or missing)[0].message
    return call, str(ItemState.OK), call.reason_code or "DONE", call.reason or written(steps)


def written(steps: Sequence[CallStep]) -> str:
    """What was written for a call, in words."""
    done = [Kind(step.kind).label.lower() for step in steps if step.state == State.DONE]
    return f"Written: {', '.join(done)}." if done else "Everything was there already."
