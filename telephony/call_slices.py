"""One slice of the run over calls: pull → plan → process → media, and the end.

What each call still needs stands in its steps. So a run that crashed, one that comes again and one that runs beside it
find the same truth and write nothing twice.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Sequence
from typing import Any
from zoneinfo import ZoneInfo

from django.db.models import Min, Q
from django.utils import timezone

from crm import metadata
from portal import connections, runs
from portal.models import Connection, Cursor, Run, RunEvent, RunItem
from portal.rows import overwrite
from portal.runs import Lease, Refused
from telephony import sooner
from telephony.matching import Matcher
from telephony.media import Mover, Task, settle_until
from telephony.models import Call, CallSettings, CallStep, Office
from telephony.office_turns import by_order, caught_up, office_cursor, take_offices
from telephony.processing import AT_MEDIA, ITEM_FIELDS, Processor, end_of, is_due, store_calls
from telephony.pull import Puller, Window
from telephony.qualifying import LONGEST_CALL, desks, outcomes_of
from telephony.queries import RUN_KIND
from telephony.rehearsal import Rehearsal
from telephony.ringcentral.client import RingCentralClient
from telephony.template_text import clock
from telephony.writing import Writer

KIND = RUN_KIND
TYPES = ("accepted", "missed")
FOLLOW_UP = "media"
# Calls whose media are waited for: one that failed at something else gets its recording all the same.
WITH_MEDIA = (Call.State.WAITING, Call.State.FAILED)
WINDOW = 500
MEDIA_AT_ONCE = 4
PLAN_CHUNK = 1000
PULL_WAIT_S = 3
FOLLOW_UP_GAP = dt.timedelta(minutes=1)
BUSY_WAIT = dt.timedelta(seconds=15)
DISK_WAIT = dt.timedelta(minutes=2)
ItemState = RunItem.State


class CallSlice:
    """What one slice of a run works with."""

    def __init__(self, lease: Lease, zoho: Connection) -> None:
        run = lease.run
        assert run.connection is not None
        self.lease = lease
        self.run = run
        self.connection: Connection = run.connection
        self.zoho = zoho
        self.parameters: dict[str, Any] = run.parameters
        self.settings = CallSettings.load()
        self.is_dry: bool = self.parameters["dry_run"]
        found = Office.objects.in_bulk(self.parameters["offices"])
        self.offices = [found[pk] for pk in self.parameters["offices"] if pk in found]

    def work(self) -> runs.Outcome:
        steps = {
            sooner.PHASE: self._begin,
            "pull": self._pull,
            "plan": self._plan,
            "process": self._process,
            "media": self._media,
        }
        return runs.step_by_step(self.lease, lambda: steps[self.run.phase]())

    # --- begin ------------------------------------------------------------------------------------------------------

    def _begin(self) -> runs.Outcome:
        """Offices and window of a run that was asked for ahead of its time; it follows the run that has them in work."""
        if self.lease.is_stopping:
            return runs.Done()
        offices = sorted(Office.objects.filter(is_active=True), key=by_order)
        if not offices:
            return runs.Failed("There is no active office. Add one, or switch one on.")
        now = timezone.now()
        hours = self.settings.default_hours_back
        since = min(caught_up(office, TYPES, now - dt.timedelta(hours=hours), self.settings) for office in offices)
        window = Window(since, now - dt.timedelta(seconds=self.settings.settle_seconds))
        parameters = self.parameters | {"offices": [office.pk for office in offices], "window": window.as_json()}
        try:
            with self.lease.commit():
                take_offices(offices, self.run)
                Run.objects.filter(pk=self.run.pk).update(parameters=parameters, phase="pull")
                sooner.begun(self.connection, now)
        except Refused as refused:
            which = f" Run {refused.run.pk} is at it." if refused.run else ""
            return runs.Pause(runs.Wait.HOUR, f"{refused}{which}", now + BUSY_WAIT)
        self.run.parameters, self.run.phase = parameters, "pull"
        self.parameters, self.offices = parameters, offices
        return runs.More()

    # --- pull and plan ----------------------------------------------------------------------------------------------

    def _pull(self) -> runs.Outcome:
        """The log is read by one run at a time; the others wait for it and then find it read."""
        others = Run.objects.filter(
            kind=KIND, connection=self.connection, phase="pull", pk__lt=self.run.pk, lease_until__gt=timezone.now()
        )
        if others.exists():
            wait = timezone.now() + dt.timedelta(seconds=PULL_WAIT_S)
            return runs.Pause(runs.Wait.SETTLE, "Another run is reading the call log.", wait)
        window = Window.of_json(self.parameters["window"])
        # The portal's own rows are no data of a vendor: a dry run reads and keeps the log like any other.
        session = connections.session_for(self.connection, purpose="run", read_only=True)
        with RingCentralClient(session) as client:
            if not Puller(self.lease, client, self.connection).work(window, is_backfill=self.parameters["is_backfill"]):
                return runs.Done() if self.lease.is_stopping else runs.More()
        rows = self.run.position.get("rows", 0)
        self.lease.log(f"The call log was read: {rows:,} rows.")
        self.lease.save(phase="plan")
        return runs.More()

    def _plan(self) -> runs.Outcome:
        """An item for each call that needs something: office after office, the oldest call first."""
        groups = self._groups()
        count = self.run.items.count()
        while (place := self.run.position.get("plan", [0, "", 0]))[0] < len(groups):
            self.lease.keep()
            number, at, pk = place
            rows = self._needing().filter(groups[number])
            if at:
                rows = rows.filter(Q(started_at__gt=at) | Q(started_at=at, pk__gt=pk))
            calls = list(
                rows.order_by("started_at", "pk").values_list(
                    "pk", "started_at", "direction", "outcome", "office__zone"
                )[:PLAN_CHUNK]
            )
            items = [
                RunItem(
                    run=self.run, position=count + nth, key=str(pk), details={"call": pk},
                    label=f"{self._clock(started, zone)}, {_kind(direction, outcome)}",
                )
                for nth, (pk, started, direction, outcome, zone) in enumerate(calls)
            ]  # fmt: skip
            count += len(items)
            following = (
                [number, calls[-1][1].isoformat(), calls[-1][0]] if len(calls) == PLAN_CHUNK else [number + 1, "", 0]
            )
            position = self.run.position | {"plan": following}
            with self.lease.commit():
                RunItem.objects.bulk_create(items, batch_size=500, ignore_conflicts=True)
                Run.objects.filter(pk=self.run.pk).update(position=position)
            self.run.position = position
        self.lease.save(phase="process")
        return runs.More()

    def _clock(self, moment: dt.datetime, zone: str | None) -> str:
        return clock(moment.astimezone(ZoneInfo(zone or self.settings.default_zone)))

    def _groups(self) -> list[Q]:
        """The offices in their order, and last the calls of none, which would otherwise be nobody's."""
        if "calls" in self.parameters:
            return [Q(pk__in=self.parameters["calls"])]
        return [*(Q(office=office) for office in self.offices), Q(office__isnull=True)]

    def _needing(self) -> Any:
        """Calls of this run's window that are not through, and those of its offices with steps that are due."""
        calls = Call.objects.filter(connection=self.connection, merged_into__isnull=True)
        if "calls" in self.parameters:
            return calls
        # Every condition below asks for one of these; said here, an index finds the few among all that are done.
        calls = calls.filter(state__in=(Call.State.PENDING, *WITH_MEDIA))
        unfinished = CallStep.objects.filter(state__in=(CallStep.State.PLANNED, CallStep.State.SENT))
        ready = CallStep.objects.filter(state=CallStep.State.WAITING, not_before__lte=timezone.now())
        due = Q(state=Call.State.WAITING, pk__in=unfinished.values("call")) | Q(
            ~Q(record_id=""), state__in=WITH_MEDIA, pk__in=ready.values("call")
        )
        if self.parameters.get("follow_up"):
            return calls.filter(due)
        window = Window.of_json(self.parameters["window"])
        going_on = Q(outcome=Call.Outcome.IN_PROGRESS)
        pending = Q(state=Call.State.PENDING, outcome__in=outcomes_of(self.parameters["types"])) & ~going_on
        # No window comes back to them: they are told of once, by the first run that finds them.
        never_ended = going_on & Q(state=Call.State.PENDING, started_at__lt=timezone.now() - LONGEST_CALL)
        # Without its end, so that the range of one day holds no call of the next one.
        in_window = Q(started_at__gte=window.since, started_at__lt=window.until)
        # Older ones that a run has looked at before, or that the log showed only after their time was read.
        begun = Q(is_late=True) | Q(decided_at__isnull=False) | Q(pk__in=CallStep.objects.values("call"))
        wanted = pending & (in_window | begun) | never_ended
        return calls.filter(wanted if self.is_dry else wanted | due)

    # --- process ----------------------------------------------------------------------------------------------------

    def _process(self) -> runs.Outcome:
        with metadata.client_for(self.zoho, purpose="run", read_only=self.is_dry) as client:
            matcher = Matcher(client, self.zoho, self.settings, self.lease.keep)
            by_office = desks(self.offices)
            if self.is_dry:
                return self._rehearse(Rehearsal(self.lease, client, self.zoho, matcher, by_office, self.settings))
            processor = Processor(self.lease, client, self.zoho, matcher, by_office, self.settings)
            while items := self._next_items():
                processor.work(items)
                self._tell(items)
                if self.lease.is_stopping:
                    return self._end()
                if processor.must_wait:
                    words = "Some calls to Zoho were not answered; what they did is looked for."
                    return runs.Pause(runs.Wait.SETTLE, words, settle_until())
                if not any(item.state != ItemState.PLANNED or item.code == AT_MEDIA for item in items):
                    raise AssertionError("none of the calls got any further")  # rather fail than turn for ever
                if self.lease.time_is_up:
                    return runs.More()
        self.lease.save(phase="media")
        return runs.More()

    def _next_items(self) -> list[RunItem]:
        """The next calls that are not yet at their media."""
        planned = self.lease.items.filter(state=ItemState.PLANNED).exclude(code=AT_MEDIA)
        return list(planned.order_by("position")[:WINDOW])

    def _rehearse(self, rehearsal: Rehearsal) -> runs.Outcome:
        while items := list(self.lease.items.filter(state=ItemState.PLANNED).order_by("position")[:WINDOW]):
            rehearsal.work(items)
            self._tell(items)
            if self.lease.is_stopping:
                break
            if self.lease.time_is_up:
                return runs.More()
        return self._end()

    def _tell(self, items: Iterable[RunItem]) -> None:
        """With debug on, a line for each call; by its row here, never with a number or a name."""
        if self.parameters["debug"]:
            for item in items:
                if item.state != ItemState.PLANNED:
                    self.lease.log(f"Call {item.key}: {item.get_state_display()} {item.code}. {item.message}")

    # --- media ------------------------------------------------------------------------------------------------------

    def _media(self) -> runs.Outcome:
        """A few files at a time; a limit of the media bucket pauses the run here, when all else is written."""
        with (
            RingCentralClient(connections.session_for(self.connection, purpose="run")) as ringcentral,
            metadata.client_for(self.zoho, purpose="run") as zoho,
        ):
            while True:
                calls = self._moving() or self._taken_back()
                if not calls:
                    return self._end()
                writer = Writer(self.lease, zoho, calls, self.settings)
                mover = Mover(self.lease, ringcentral, zoho, writer, self.settings)
                try:
                    mover.move(self._tasks(writer, calls))
                except OSError as error:
                    words = (
                        f"IO-001: a file cannot be kept here for the moment ({error.strerror or type(error).__name__})."
                    )
                    return runs.Pause(runs.Wait.OUTAGE, words, timezone.now() + DISK_WAIT, is_failure=True)
                self._note_media(writer, calls)
                self._end_moved(writer, calls)
                for held in (mover.held, writer.held):
                    if held is not None:
                        raise held
                if self.lease.is_stopping:
                    return self._end()
                if any(self._is_open(step) and not writer.may_repeat(step) for step in self._steps(writer, calls)):
                    words = "A file or note was sent without an answer; it is looked for."
                    return runs.Pause(runs.Wait.SETTLE, words, settle_until())
                if self.lease.time_is_up:
                    return runs.More()

    def _moving(self) -> list[Call]:
        # Files are named by the clock of the office; a call that has lost its office meanwhile is decided anew.
        strays = Call.objects.filter(run=self.run, state=Call.State.WAITING, office__isnull=True)
        with self.lease.commit(progress=False):
            strays.update(state=Call.State.PENDING)
        rows = Call.objects.filter(run=self.run, state=Call.State.WAITING).select_related(
            "office", "extension", "answered_by"
        )
        return list(rows.order_by("started_at", "pk")[:MEDIA_AT_ONCE])

    def _taken_back(self) -> list[Call]:
        """A run that was stopped at its media let go of them; resumed, it has those again that no other run took."""
        keys = self.lease.items.filter(state=ItemState.PLANNED, code=AT_MEDIA).values_list("key", flat=True)
        pks = [int(key) for key in keys]
        with self.lease.commit(progress=False):
            for first in range(0, len(pks), WINDOW):
                free = Call.objects.filter(pk__in=pks[first : first + WINDOW], run__isnull=True)
                free.filter(state=Call.State.WAITING).update(run=self.run)
        return self._moving()

    def _steps(self, writer: Writer, calls: Sequence[Call]) -> list[CallStep]:
        return [step for call in calls for step in writer.steps_of(call)]

    def _is_open(self, step: CallStep) -> bool:
        return step.state in (CallStep.State.PLANNED, CallStep.State.SENT) or is_due(step)

    def _tasks(self, writer: Writer, calls: Sequence[Call]) -> list[Task]:
        return [
            Task(step, call, call.office)
            for call in calls
            if call.office is not None
            for step in writer.steps_of(call, *CallStep.MEDIA)
            if self._is_open(step)
        ]

    def _note_media(self, writer: Writer, calls: Sequence[Call]) -> None:
        """What cannot be had any more, and what was spoken, is said in the call's note."""
        news = [
            (call, call.office)
            for call in calls
            if call.office is not None and any(self._is_news(step) for step in writer.steps_of(call))
        ]
        writer.write_notes(news)

    def _is_news(self, step: CallStep) -> bool:
        """Something that the note does not say yet: a medium that cannot be had, or the words of a voicemail."""
        if step.kind not in CallStep.MEDIA:
            return step.kind == CallStep.Kind.NOTE and step.state == CallStep.State.PLANNED
        is_lost = step.state == CallStep.State.UNAVAILABLE and self.settings.note_missing_media
        return is_lost or (step.state == CallStep.State.DONE and bool(step.evidence.get("transcript")))

    def _end_moved(self, writer: Writer, calls: Sequence[Call]) -> None:
        through = [call for call in calls if not any(self._is_open(step) for step in writer.steps_of(call))]
        items = {item.key: item for item in self.lease.items.filter(key__in=[str(call.pk) for call in through])}
        ended = []
        for call in through:
            _, state, code, message = end_of(call, writer.steps_of(call))
            call.run = None
            item = items.get(str(call.pk))
            if item is not None:
                item.state, item.code, item.message, item.finished_at = state, code[:60], message, timezone.now()
                ended.append(item)
        with self.lease.commit():
            store_calls(through)
            overwrite(ended, ITEM_FIELDS)
        self._tell(ended)

    # --- the end ----------------------------------------------------------------------------------------------------

    def _end(self) -> runs.Outcome:
        """Lets go of the calls; a complete run moves its offices' cursors and sees to the media that were not ready."""
        with self.lease.commit():
            Call.objects.filter(run=self.run).update(run=None)
            if not self.lease.is_stopping:
                # A reading of the log took them out of this run's hands; what was written for them so far stands.
                self.lease.items.filter(state=ItemState.PLANNED, code=AT_MEDIA).update(
                    state=ItemState.SKIPPED, code="CHANGED", finished_at=timezone.now(),
                    message="RingCentral changed the call meanwhile; the next run goes on with it.",
                )  # fmt: skip
            if not self.is_dry and not self.lease.is_stopping:
                self._move_office_cursors()
                self._follow_up()
        if self.run.items.filter(code="NO_OFFICE").exists():
            self.lease.log(
                "Some calls belong to no office: assign their extensions to one, or enter its main number.",
                RunEvent.Level.WARNING,
            )
        return runs.Done()

    def _move_office_cursors(self) -> None:
        """How far each type of calls of an office is processed without a hole; a range apart from it moves nothing."""
        if "window" not in self.parameters:
            return
        window = Window.of_json(self.parameters["window"])
        for office in self.offices:
            cursor, _ = Cursor.objects.get_or_create(name=office_cursor(office.pk))
            for each in self.parameters["types"]:
                known = cursor.value.get(each)
                through = dt.datetime.fromisoformat(known) if known else None
                if through is None or window.since <= through < window.until:
                    cursor.value[each] = window.until.isoformat()
            cursor.save()

    def _follow_up(self) -> None:
        """One later run for all media that wait, at the time of the first of them."""
        # Of two runs that end at once the second one finds the first one's.
        Connection.objects.select_for_update().filter(pk=self.connection.pk).values_list("pk").first()
        # Only what that run would find to do, or it would be followed by another one at once. The run that has a call
        # in work sees to its media when it ends.
        waiting = CallStep.objects.filter(
            call__connection=self.connection, call__state__in=WITH_MEDIA, call__merged_into__isnull=True,
            state=CallStep.State.WAITING, kind__in=CallStep.MEDIA,
        ).exclude(call__record_id="").exclude(call__run__state__in=Run.OPEN)  # fmt: skip
        first = waiting.aggregate(at=Min("not_before"))["at"]
        planned = Run.objects.filter(kind=KIND, relation=FOLLOW_UP, state__in=Run.OPEN).exclude(pk=self.run.pk)
        if first is None:
            return
        if planned.exists():
            planned.filter(state=Run.State.WAITING, wait=Run.Wait.HOUR, not_before__gt=first).update(not_before=first)
            return
        offices = sorted(set(waiting.exclude(call__office=None).order_by().values_list("call__office", flat=True)))
        runs.start(
            kind=KIND, title="Recordings and voicemails that were not ready", connection=self.connection,
            trigger=Run.Trigger.SCHEDULE, phase="plan", parent=self.run, relation=FOLLOW_UP,
            not_before=max(first, timezone.now() + FOLLOW_UP_GAP),
            parameters={
                "offices": offices, "types": list(TYPES), "dry_run": False, "debug": False, "email": False,
                "zoho": self.zoho.pk, "follow_up": True,
            },
        )  # fmt: skip


def _kind(direction: str, outcome: str) -> str:
    """Such as “inbound, missed”; an outcome that names the direction itself stands alone."""
    words = Call.Outcome(outcome).label.lower()
    return words if words.startswith(direction) else f"{direction}, {words}"
