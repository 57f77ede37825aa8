"""What is written to Zoho for calls: leads, statuses and notes, each a step with its own state.

Claim, act, confirm: a step is marked sent and committed before its call, and done after the answer. What stays sent is
looked for by the call's marker before it is sent again, because Zoho repeats what it is told twice.
"""

from __future__ import annotations

import datetime as dt
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.conf import settings as django_settings
from django.utils import timezone

from crm import mandatory
from crm.zoho.client import MAX_FIELDS_PER_READ, MAX_RECORDS_PER_WRITE, Write, ZohoClient, id_batches, note
from crm.zoho.results import RowResult
from portal.models import RunEvent
from portal.remote import errors
from portal.rows import overwrite
from portal.runs import Lease
from telephony import notes
from telephony.matching import LEADS
from telephony.models import AssignmentDecision, Call, CallSettings, CallStep, Office

State = CallStep.State
Kind = CallStep.Kind
MAX_SENDS = 5
POSITIONS = {Kind.LEAD: 0, Kind.OWNER: 1, Kind.STATUS: 2, Kind.NOTE: 3, Kind.RECORDING: 10, Kind.VOICEMAIL: 20}
SPLITTABLE_STATUS = (400, 413)
WORTH_A_LINE = (State.UNAVAILABLE, State.SKIPPED, State.FAILED)
DUPLICATE = "DUPLICATE_DATA"
# What Zoho says about an id that it does not have.
GONE = "INVALID_DATA"
NO_ANSWER = "NO_ANSWER"
CHECK_FAILED = "CHECK_FAILED"
# Steps that failed with these may have taken effect: before they are sent again they are looked for.
UNANSWERED = (NO_ANSWER, CHECK_FAILED)
STEP_FIELDS = (
    "state", "attempts", "sent_at", "finished_at", "crm_id", "module", "record_id", "code", "message", "digest",
    "evidence", "run", "not_before",
)  # fmt: skip


@dataclass
class Creation:
    """A lead to be made for a call, and all calls with the same number that wait for it."""

    call: Call
    values: dict[str, Any]
    decision: AssignmentDecision | None
    waiting: list[Call] = field(default_factory=list)
    remarks: tuple[str, ...] = ()
    # What came of it: the lead's id, or why there is none.
    lead_id: str = ""
    code: str = ""
    words: str = ""


@dataclass(frozen=True)
class Sent:
    """A step on its way, and the record of Zoho's JSON that it stands for."""

    step: CallStep
    record: dict[str, Any]
    tag: Any = None


class Writer:
    """Writes the steps of one window of calls during one slice. Errors that concern everything are kept in `held`."""

    def __init__(self, lease: Lease, client: ZohoClient, calls: Sequence[Call], settings: CallSettings) -> None:
        self.lease = lease
        self.client = client
        self.note_title = settings.note_title
        self.held: errors.RemoteError | None = None
        self._steps: dict[int, dict[tuple[str, str], CallStep]] = {call.pk: {} for call in calls}
        rows = CallStep.objects.filter(call_id__in=[call.pk for call in calls])
        for step in rows:
            self._steps[step.call_id][step.kind, step.key] = step

    # --- steps -------------------------------------------------------------------------------------------------------

    def step(self, call: Call, kind: str, key: str = "") -> CallStep:
        """The step of a call; made, not saved, when it does not exist yet."""
        own = self._steps.setdefault(call.pk, {})
        known = own.get((kind, key))
        if known is None:
            known = own[kind, key] = CallStep(call=call, kind=kind, key=key, position=POSITIONS[Kind(kind)])
        return known

    def steps_of(self, call: Call, *kinds: str) -> list[CallStep]:
        """The saved steps of a call, of these kinds or of all."""
        saved = (step for step in self._steps.get(call.pk, {}).values() if step.pk is not None)
        found = [step for step in saved if not kinds or step.kind in kinds]
        return sorted(found, key=lambda step: (step.position, step.key))

    def save(self, steps: Iterable[CallStep]) -> None:
        """Writes steps; to be called inside a commit."""
        steps = list(steps)
        new = [step for step in steps if step.pk is None]
        known = [step for step in steps if step.pk is not None]
        CallStep.objects.bulk_create(new, batch_size=500)
        overwrite(known, STEP_FIELDS)

    def finish(self, step: CallStep, state: State, code: str = "", message: str = "", **values: Any) -> None:
        """Sets a step's outcome; the caller saves it."""
        step.state, step.code, step.message = state, code[:60], message
        step.finished_at = timezone.now()
        step.not_before = None
        for name, value in values.items():
            setattr(step, name, value)

    @property
    def has_open_answers(self) -> bool:
        steps = (step for own in self._steps.values() for step in own.values())
        return any(step.state == State.SENT and step.kind not in CallStep.MEDIA for step in steps)

    def may_repeat(self, step: CallStep) -> bool:
        """Whether a sent step is old enough that its effect, if any, would be visible by now."""
        horizon = timezone.now() - dt.timedelta(seconds=django_settings.RUN_SETTLE_SECONDS)
        return step.sent_at is None or step.sent_at <= horizon

    def follow_record(self, call: Call, step: CallStep) -> bool:
        """What was written to another record is to be looked for in the call's present one, and written there else.

        Zoho takes notes and files along when it joins records; those of a deleted record are gone with it.
        """
        if step.pk is None or step.record_id in ("", call.record_id):
            return False
        step.state, step.sent_at, step.attempts = State.SENT, None, 0
        step.module, step.record_id, step.crm_id, step.digest = call.module, call.record_id, "", ""
        return True

    # --- leads -------------------------------------------------------------------------------------------------------

    def create_leads(self, creations: Sequence[Creation], settle: Callable[[Sequence[Creation]], None]) -> None:
        """Makes the leads, up to 100 a call. `settle` gets those that an answer told about, made or not, inside the
        commit that stores the outcome."""
        settled: list[Creation] = []
        by_rule: dict[str, list[Creation]] = {}
        for creation in creations:
            rule = str((creation.decision.rotation or {}).get("zoho_rule", "")) if creation.decision else ""
            by_rule.setdefault(rule, []).append(creation)

        def done(sent: Sent, row: RowResult) -> None:
            lead_id = str(row.details.get("id") or "")
            evidence = {"remarks": list(sent.tag.remarks)} if sent.tag.remarks else {}
            self.finish(
                sent.step,
                State.DONE,
                row.code,
                "Created.",
                crm_id=lead_id,
                module=LEADS,
                record_id=lead_id,
                evidence=evidence,
            )
            sent.tag.lead_id = lead_id
            settled.append(sent.tag)

        def refused(sent: Sent, code: str, words: str, details: dict[str, Any]) -> None:
            if code == DUPLICATE and _duplicate_of(details):
                # Which value is the same is not told: it need not be the number, so a person looks at that record.
                words = f"{words} The other record is {_duplicate_of(details)}."
            self.finish(sent.step, State.FAILED, code, words)
            sent.tag.code, sent.tag.words = code, words
            settled.append(sent.tag)

        def stored() -> None:
            settle(settled)
            settled.clear()

        for rule, some in by_rule.items():
            sends = [Sent(self.step(creation.call, Kind.LEAD), creation.values, creation) for creation in some]

            def call(writes: Iterator[Write], rule: str = rule) -> Any:
                return self.client.insert_many(LEADS, writes, assignment_rule=rule)

            self._send(sends, call, done, refused, stored)

    # --- statuses ----------------------------------------------------------------------------------------------------

    def set_statuses(self, wanted: Sequence[tuple[Call, str]]) -> None:
        """PUT of Lead_Status. Writing the same value twice does no harm, so an open answer is simply sent again."""

        def done(sent: Sent, row: RowResult) -> None:
            self.finish(sent.step, State.DONE, row.code, f"Set to “{sent.tag}”.", crm_id=sent.record["id"])

        sends = []
        for call, status in wanted:
            step = self.step(call, Kind.STATUS)
            step.module, step.record_id = call.module, call.record_id
            sends.append(Sent(step, {"id": call.record_id, "Lead_Status": status}, status))
        self._update_leads(sends, done)

    # --- owners ------------------------------------------------------------------------------------------------------

    def set_owners(self, wanted: Sequence[tuple[Call, AssignmentDecision]]) -> None:
        """PUT of Owner, for leads whose owner has left; like a status it may be sent twice."""

        def done(sent: Sent, row: RowResult) -> None:
            self.finish(sent.step, State.DONE, row.code, f"Given to {sent.tag.owner_name or sent.tag.owner_id}.")

        sends = []
        for call, decision in wanted:
            step = self.step(call, Kind.OWNER)
            step.module, step.record_id = call.module, call.record_id
            sends.append(Sent(step, {"id": call.record_id, "Owner": {"id": decision.owner_id}}, decision))
        self._update_leads(sends, done)

    def _update_leads(self, sends: Sequence[Sent], done: Callable[[Sent, RowResult], None]) -> None:
        """Updates in batches; a lead whose layout demands other fields too is sent once more with their present values."""
        demanding: list[Sent] = []

        def refused(sent: Sent, code: str, words: str, details: dict[str, Any]) -> None:
            self.finish(sent.step, State.FAILED, code, words)
            if code == mandatory.NOT_FOUND:
                demanding.append(sent)

        self._send(sends, lambda writes: self.client.update_many(LEADS, writes, automation=True), done, refused)
        if demanding and self.held is None and not self.lease.is_stopping:
            self._refill(demanding, done)

    def _refill(self, sends: Sequence[Sent], done: Callable[[Sent, RowResult], None]) -> None:
        """One record a call, refused by Zoho if somebody changed it since its values were read."""

        def refused(sent: Sent, code: str, words: str, details: dict[str, Any]) -> None:
            self.finish(sent.step, State.FAILED, code, words)

        fields = ["id", "Modified_Time", *mandatory.required_fields(self.client.session.connection, LEADS)]
        by_id = {str(sent.record["id"]): sent for sent in sends}
        for _, found in self.client.read_many(LEADS, id_batches(by_id), fields[:MAX_FIELDS_PER_READ]):
            if isinstance(found, errors.RemoteError):
                self.held = self.held or (None if isinstance(found, errors.Rejected) else found)
                continue
            for record_id, record in found.items():
                sent = by_id[record_id]
                filled = mandatory.present_values(record, tuple(sent.record)) | sent.record
                since = str(record.get("Modified_Time") or "")

                def call(writes: Iterator[Write], since: str = since) -> Any:
                    return self.client.update_each(LEADS, ((write, since) for write in writes), automation=True)

                self._send([Sent(sent.step, filled, sent.tag)], call, done, refused)

    # --- notes -------------------------------------------------------------------------------------------------------

    def write_notes(self, calls: Sequence[tuple[Call, Office]]) -> None:
        """A new note for each call, or the new text of a note whose call has changed since."""
        new: list[Sent] = []
        changed: list[Sent] = []
        for call, office in calls:
            step = self.step(call, Kind.NOTE)
            # Media on their way are not mentioned: their arrival would make each note be written twice.
            missing = [each for each in self.steps_of(call, *CallStep.MEDIA) if each.state in WORTH_A_LINE]
            spoken = " ".join(
                str(each.evidence.get("transcript") or "") for each in self.steps_of(call, Kind.VOICEMAIL)
            )
            wanted = notes.note_of(call, office, media=missing, title=self.note_title, transcript=spoken.strip())
            self.follow_record(call, step)
            if step.state == State.SENT and not step.crm_id and not self._settle_note(call, step):
                continue
            if step.state in (State.DONE, State.SKIPPED) and step.digest == wanted.digest:
                continue
            if step.state == State.SKIPPED and step.code == "LINKED":
                continue
            step.module, step.record_id, step.digest = call.module, call.record_id, wanted.digest
            step.evidence = {"cut": True} if wanted.is_cut else {}
            if step.crm_id:
                record = {"id": step.crm_id, "Note_Title": wanted.title, "Note_Content": wanted.content}
                changed.append(Sent(step, record, "Updated."))
            else:
                new.append(Sent(step, note(call.module, call.record_id, wanted.title, wanted.content), "Added."))

        def done(sent: Sent, row: RowResult) -> None:
            note_id = sent.step.crm_id or str(row.details.get("id") or "")
            self.finish(sent.step, State.DONE, row.code, sent.tag, crm_id=note_id)

        def refused(sent: Sent, code: str, words: str, details: dict[str, Any]) -> None:
            if sent.step.crm_id and code == GONE:
                # Somebody removed the note: it is not forced upon them again.
                self.finish(sent.step, State.SKIPPED, code, "The note is not in Zoho any more; it was removed there.")
            else:
                self.finish(sent.step, State.FAILED, code, words, digest="")

        self._send(new, self.client.add_notes, done, refused)
        self._send(changed, self.client.update_notes, done, refused)

    def _settle_note(self, call: Call, step: CallStep) -> bool:
        """Looks for a note that was sent without an answer. True when it is clear what to do next."""
        self.lease.keep()
        try:
            found = self.client.notes_of(step.module, step.record_id)
        except errors.Rejected as error:
            if error.status == 403:
                self._fail_check(step, error)
                return False
            found = []  # the record is gone: the note would have gone with it
        mine = next((row for row in found if notes.has_marker(str(row.get("Note_Content") or ""), call)), None)
        if mine is not None:
            # Its digest is left empty, so that the text is brought in line once.
            self.finish(
                step, State.DONE, "FOUND", "No answer came; the note was found by its mark.", crm_id=str(mine["id"])
            )
            with self.lease.commit():
                self.save([step])
            return True
        return self.may_repeat(step)

    def _fail_check(self, step: CallStep, error: errors.RemoteError) -> None:
        self.finish(step, State.FAILED, CHECK_FAILED, f"No answer came, and Zoho cannot be asked: {error}")
        with self.lease.commit():
            self.save([step])

    # --- the way of every write --------------------------------------------------------------------------------------

    def _send(
        self,
        sends: Sequence[Sent],
        call: Callable[[Iterator[Write]], Any],
        done: Callable[[Sent, RowResult], None],
        refused: Callable[[Sent, str, str, dict[str, Any]], None],
        stored: Callable[[], None] = lambda: None,
    ) -> None:
        """Batches of 100, several at a time; a batch refused as a whole is halved until the bad record stands alone.

        `stored` is called once for each answer, inside the commit that stores what `done` and `refused` were told.
        """
        spent = [sent for sent in sends if sent.step.state == State.SENT and sent.step.attempts >= MAX_SENDS]
        if spent:
            with self.lease.commit():
                for sent in spent:
                    refused(sent, NO_ANSWER, f"Zoho gave no answer {MAX_SENDS} times, and nothing of it is there.", {})
                stored()
                self.save(sent.step for sent in spent)
            sends = [sent for sent in sends if sent.step.state != State.FAILED]
        size = min(django_settings.ZOHO_BATCH_SIZE, MAX_RECORDS_PER_WRITE)
        queue: deque[list[Sent]] = deque(list(sends[first : first + size]) for first in range(0, len(sends), size))

        def pull() -> Iterator[Write]:
            while queue and self.held is None and not self.lease.is_stopping:
                self.lease.keep()
                yield self._claimed(queue.popleft())

        while queue and self.held is None and not self.lease.is_stopping:
            for write, outcome in call(pull()):
                batch: list[Sent] = write.tag
                if isinstance(outcome, errors.RemoteError):
                    queue.extend(self._take_error(batch, outcome, refused, stored))
                else:
                    self._take_rows(batch, outcome, done, refused, stored)
        self._plan_again(sent.step for batch in queue for sent in batch)

    def _plan_again(self, unsent: Iterable[CallStep]) -> None:
        """Of what was done before, a change was held up: it is open again, so that nobody takes the call for through."""
        changed = [step for step in unsent if step.state == State.DONE]
        if changed:
            for step in changed:
                step.state = State.PLANNED
            with self.lease.commit(progress=False):
                self.save(changed)

    def _claimed(self, batch: list[Sent]) -> Write:
        now = timezone.now()
        for sent in batch:
            step = sent.step
            if step.state in (State.DONE, State.SKIPPED):
                step.attempts = 0  # something new is sent
            step.state, step.sent_at, step.run = State.SENT, now, self.lease.run
            step.attempts += 1
            step.code = step.message = ""
        with self.lease.commit(progress=False):
            self.save(sent.step for sent in batch)
        return Write([sent.record for sent in batch], tag=batch)

    def _take_rows(
        self,
        batch: list[Sent],
        rows: list[RowResult | None],
        done: Callable[[Sent, RowResult], None],
        refused: Callable[[Sent, str, str, dict[str, Any]], None],
        stored: Callable[[], None],
    ) -> None:
        with self.lease.commit():
            for sent, row in zip(batch, rows, strict=True):
                if row is None:
                    continue  # the answer says nothing about it: it stays sent and is looked for
                if row.ok:
                    done(sent, row)
                else:
                    refused(sent, row.code, row.words, row.details)
            stored()
            self.save(sent.step for sent, row in zip(batch, rows, strict=True) if row is not None)

    def _take_error(
        self,
        batch: list[Sent],
        error: errors.RemoteError,
        refused: Callable[[Sent, str, str, dict[str, Any]], None],
        stored: Callable[[], None],
    ) -> list[list[Sent]]:
        """What remains to be sent of the batch, in smaller parts."""
        if error.outcome_unknown:
            self.lease.log(f"No usable answer for a batch of {len(batch)}: {error}", RunEvent.Level.WARNING)
            return []
        if not isinstance(error, errors.Rejected):
            self._put_back(batch)
            self.held = self.held or error
            return []
        if error.status in SPLITTABLE_STATUS and len(batch) > 1:
            self._put_back(batch)
            middle = len(batch) // 2
            return [batch[:middle], batch[middle:]]
        with self.lease.commit():
            for sent in batch:
                refused(
                    sent, error.code or f"HTTP_{error.status}", f"HTTP {error.status}: {error.message}", error.details
                )
            stored()
            self.save(sent.step for sent in batch)
        return []

    def _put_back(self, batch: list[Sent]) -> None:
        for sent in batch:
            sent.step.state, sent.step.sent_at = State.PLANNED, None
            sent.step.attempts -= 1
        with self.lease.commit(progress=False):
            self.save(sent.step for sent in batch)


def _duplicate_of(details: dict[str, Any]) -> str:
    """Id of the record that has the same unique value, where the refusal names it."""
    other = details.get("duplicate_record")
    if isinstance(other, dict) and other.get("id"):
        return str(other["id"])
    return str(details.get("id") or "")
