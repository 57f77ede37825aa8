"""Calls as they happen in an office: answered, missed, queued, left on voicemail, passed on."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from portal.standin.messages import JsonObject
from portal.standin.ringcentral import shapes
from portal.standin.ringcentral.mailbox import Voicemail
from portal.standin.ringcentral.media import WAV
from portal.standin.ringcentral.oddities import Oddities
from portal.standin.ringcentral.shapes import NOTHING, Attached
from portal.standin.ringcentral.stage import CALLER, Recorded, Scripted, Tape
from portal.standin.ringcentral.times import SECOND, ms_of

TRANSCRIPT = "Hello, I am calling about a quote for my move. Please call me back."


class Script(Oddities):
    """`standin.ringcentral.script.accepted(at=…)` and so on. Agents, queues and mailboxes are short numbers ("101").

    `caller` is the number as the call log shows it, None for a withheld one. `at` is the start, `duration` and all
    `…_after` are seconds, the latter counted from the end of the call. `appears_after` is the lag of the row.
    """

    def accepted(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        agent: str = "101",
        duration: int = 120,
        recorded: Recorded = False,
        on: str = "both",
        name: str | None = None,
        result: str = "Accepted",
        appears_after: float | None = None,
    ) -> Scripted:
        """To an agent's own number, answered; with any other `result` a direct call that ended that way.

        A recording whose `link_after` is above zero is named by a later state of the row.
        """
        made, ids, at_ms = Scripted(), self._ids(), ms_of(at)
        end_ms, tape = at_ms + duration * SECOND, Tape.of(recorded)
        party, extension = shapes.outsider(caller, name), self._extension(agent)
        attached = self._record(tape, end_ms, duration, made) if tape else NOTHING

        def state(media: Attached) -> JsonObject:
            return shapes.direct(ids, at_ms, duration, party, extension, result, media, on=on)

        self._put_taped(made, tape, attached, end_ms, appears_after, state)
        return made

    def missed(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        agent: str = "101",
        duration: int = 25,
        result: str = "Missed",
        appears_after: float | None = None,
    ) -> Scripted:
        return self.accepted(
            at, caller=caller, agent=agent, duration=duration, result=result, appears_after=appears_after
        )

    def queue_answered(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        queue: str = "201",
        agent: str = "102",
        duration: int = 180,
        recorded: Recorded = False,
        on: str = "both",
        appears_after: float | None = None,
    ) -> Scripted:
        """All members ring and one answers: one row; the legs of the others say Missed."""
        made, ids, at_ms = Scripted(), self._ids(), ms_of(at)
        end_ms, tape, ring = at_ms + duration * SECOND, Tape.of(recorded), self._extension(queue)
        attached = self._record(tape, end_ms, duration, made) if tape else NOTHING
        rung = list(self._office.people.members(ring))
        answering = self._extension(agent)
        if answering not in rung:
            raise ValueError(f"{agent} is no member of {queue}")

        def state(media: Attached) -> JsonObject:
            party = shapes.outsider(caller)
            return shapes.queued(ids, at_ms, duration, party, ring, rung, answering, "Accepted", media, on=on)

        self._put_taped(made, tape, attached, end_ms, appears_after, state)
        return made

    def queue_missed(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        queue: str = "201",
        duration: int = 45,
        result: str = "Missed",
        appears_after: float | None = None,
    ) -> Scripted:
        """All members ring and nobody answers."""
        made, ids, at_ms, ring = Scripted(), self._ids(), ms_of(at), self._extension(queue)
        rung, party = self._office.people.members(ring), shapes.outsider(caller)
        row = shapes.queued(ids, at_ms, duration, party, ring, rung, None, result)
        self._put(made, row, at_ms + duration * SECOND, appears_after)
        return made

    def voicemail(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        agent: str = "101",
        queue: str | None = None,
        mailbox: str | None = None,
        duration: int = 60,
        message_s: int = 25,
        result: str = "Voicemail",
        on: str = "both",
        link_after: float = 0,
        message_after: float = 0,
        audio_after: float = 0,
        transcript: str = TRANSCRIPT,
        transcript_after: float = 0,
        content_type: str = WAV,
        content: str = "audio",
        appears_after: float | None = None,
    ) -> Scripted:
        """Nobody answers and the caller speaks.

        The message lands in `mailbox`: by default the queue's own for a queue call, else the dialled agent's; any
        other one is a redirected mailbox that only the link's address tells. `result="Missed", on="leg"` is the row
        that hides its message. With `link_after` the row says Missed without a message first.
        """
        made, ids, at_ms = Scripted(), self._ids(), ms_of(at)
        end_ms = at_ms + duration * SECOND
        message = Voicemail(
            id=self._message_id(),
            extension=self._extension(mailbox or queue or agent),
            caller=shapes.outsider(caller),
            created_ms=end_ms + round(message_after * SECOND),
            duration_s=message_s,
            transcript=transcript,
            transcript_ms=end_ms + transcript_after * SECOND,
            audio_ms=end_ms + audio_after * SECOND,
            content_type=content_type,
            kind=content,
        )
        attached = self._leave_message(message, made)

        def state(result: str, media: Attached) -> JsonObject:
            if queue is None:
                return shapes.direct(ids, at_ms, duration, message.caller, self._extension(agent), result, media, on=on)
            ring = self._extension(queue)
            rung = self._office.people.members(ring)
            return shapes.queued(ids, at_ms, duration, message.caller, ring, rung, None, result, media, on=on)

        linked = state(result, attached)
        if link_after > 0:
            linked_ms = end_ms + round(link_after * SECOND)
            self._put(made, state("Missed", NOTHING), end_ms, appears_after, [(linked_ms, linked)])
        else:
            self._put(made, linked, end_ms, appears_after)
        return made

    def outbound(
        self,
        at: datetime,
        *,
        callee: str = CALLER,
        agent: str = "101",
        duration: int = 90,
        connected: bool = True,
        recorded: Recorded = False,
        result: str | None = None,
        appears_after: float | None = None,
    ) -> Scripted:
        made, ids, at_ms = Scripted(), self._ids(), ms_of(at)
        end_ms, tape = at_ms + duration * SECOND, Tape.of(recorded)
        attached = self._record(tape, end_ms, duration, made) if tape else NOTHING
        outcome = result or ("Call connected" if connected else "No Answer")

        def state(media: Attached) -> JsonObject:
            party = shapes.outsider(callee)
            return shapes.outgoing(ids, at_ms, duration, self._extension(agent), party, outcome, media)

        self._put_taped(made, tape, attached, end_ms, appears_after, state)
        return made

    def blind_transfer(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        first: str = "101",
        second: str = "102",
        first_s: int = 40,
        second_s: int = 80,
        rows: int = 1,
        recorded: Recorded = False,
        appears_after: float | None = None,
    ) -> Scripted:
        """The first agent passes the call on unseen: one session, a leg for each; with `rows=2` also a row for each."""
        made, ids, at_ms, party = Scripted(), self._ids(), ms_of(at), shapes.outsider(caller)
        switch_ms, end_ms, tape = at_ms + first_s * SECOND, at_ms + (first_s + second_s) * SECOND, Tape.of(recorded)
        one, two = self._extension(first), self._extension(second)
        attached = [self._record(tape, end_ms, length, made) if tape else NOTHING for length in (first_s, second_s)]
        row = shapes.direct(ids, at_ms, first_s + second_s, party, one, "Accepted", attached[0], on="leg")
        row["legs"][0] |= {"duration": first_s, "durationMs": first_s * SECOND}
        passed_on = shapes.leg(
            ids, switch_ms, second_s, party, shapes.insider(two), "Accepted", extension=two, action="Transfer",
            leg_type="TransferCall", attached=attached[1],
        )  # fmt: skip
        if rows == 1:
            row["legs"].append(passed_on)
            self._put(made, row, end_ms, appears_after)
            return made
        self._put(made, row | {"duration": first_s, "durationMs": first_s * SECOND}, switch_ms, appears_after)
        second_ids = ids.other_row(self._row_id())
        other = shapes.row(
            second_ids, switch_ms, second_s, party, shapes.insider(two), "Accepted", [passed_on], action="Transfer"
        )
        self._put(made, other, end_ms, appears_after)
        return made

    def warm_transfer(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        first: str = "101",
        second: str = "102",
        first_s: int = 60,
        second_s: int = 120,
        recorded: Recorded = False,
        appears_after: float | None = None,
    ) -> Scripted:
        """The first agent asks the second one before: two sessions, each naming the other."""
        made, at_ms, tape = Scripted(), ms_of(at), Tape.of(recorded)
        ids, consult = self._ids(), self._ids()
        one, two, party = self._extension(first), self._extension(second), shapes.outsider(caller)
        switch_ms, end_ms = at_ms + first_s * SECOND, at_ms + (first_s + second_s) * SECOND
        attached = [self._record(tape, end_ms, length, made) if tape else NOTHING for length in (first_s, second_s)]
        row = shapes.direct(ids, at_ms, first_s, party, one, "Accepted", attached[0])
        row["transferTarget"] = {"telephonySessionId": consult.telephony}
        self._put(made, row, switch_ms, appears_after)
        other = shapes.internal(consult, switch_ms - 15 * SECOND, second_s + 15, one, two, "Call connected")
        for part in (other, *other["legs"]):
            part |= attached[1].fields()
        other["transferee"] = {"telephonySessionId": ids.telephony}
        self._put(made, other, end_ms, appears_after)
        return made

    def several_recordings(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        agents: Sequence[str] = ("101", "102", "103"),
        leg_s: int = 40,
        appears_after: float | None = None,
    ) -> Scripted:
        """A call that wanders from agent to agent, each with a recording; the row repeats that of its first leg."""
        made, ids, at_ms, party = Scripted(), self._ids(), ms_of(at), shapes.outsider(caller)
        end_ms = at_ms + leg_s * len(agents) * SECOND
        attached = [self._record(Tape(), end_ms, leg_s, made) for _ in agents]
        legs = [
            shapes.leg(
                ids, at_ms + position * leg_s * SECOND, leg_s, party, shapes.insider(self._extension(agent)), "Accepted",
                extension=self._extension(agent), master=position == 0, attached=attached[position],
                leg_type="TransferCall" if position else "Accept", action="Transfer" if position else "Phone Call",
            )
            for position, agent in enumerate(agents)
        ]  # fmt: skip
        row = shapes.row(
            ids, at_ms, leg_s * len(agents), party, shapes.insider(self._extension(agents[0])), "Accepted",
            # The vendor promises no order of legs.
            reversed(legs), attached=attached[0],
        )  # fmt: skip
        self._put(made, row, end_ms, appears_after)
        return made

    def repeated(
        self,
        at: datetime,
        *,
        caller: str = CALLER,
        times: int = 6,
        every_s: int = 100,
        agent: str = "101",
        result: str = "Missed",
        duration: int = 20,
    ) -> Scripted:
        """The same caller again and again."""
        made, start_ms = Scripted(), ms_of(at)
        for turn in range(times):
            moment = datetime.fromtimestamp((start_ms + turn * every_s * SECOND) / SECOND, at.tzinfo)
            made.take(self.accepted(moment, caller=caller, agent=agent, duration=duration, result=result))
        return made

    def many(
        self, at: datetime, *, count: int = 600, every_s: float = 1, duration: int = 30, recorded: Recorded = False
    ) -> Scripted:
        """That many calls of different callers, for a walk through several pages."""
        made, start_ms, agents = Scripted(), ms_of(at), self._office.people.agents
        for turn in range(count):
            moment = datetime.fromtimestamp((start_ms + round(turn * every_s * SECOND)) / SECOND, at.tzinfo)
            made.take(
                self.accepted(
                    moment,
                    caller=f"+1737{2_000_000 + turn:07d}",
                    agent=agents[turn % len(agents)].number,
                    duration=duration,
                    recorded=recorded,
                    result="Missed" if turn % 4 == 3 else "Accepted",
                )
            )
        return made
