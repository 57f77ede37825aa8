"""Calls that are no plain call, or whose rows are odd."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from portal.standin.messages import JsonObject
from portal.standin.ringcentral import shapes
from portal.standin.ringcentral.people import FAX_DESK
from portal.standin.ringcentral.shapes import NOTHING, Attached
from portal.standin.ringcentral.stage import CALLER, Scripted, Stage, Tape
from portal.standin.ringcentral.times import SECOND, ms_of

MOBILE = "+14155550999"


class Oddities(Stage):
    def _put_taped(
        self,
        made: Scripted,
        tape: Tape | None,
        attached: Attached,
        end_ms: int,
        appears_after: float | None,
        state: Callable[[Attached], JsonObject],
    ) -> None:
        """With the recording named at once, or by a later state of the row."""
        if tape is not None and tape.link_after > 0:
            linked_ms = end_ms + round(tape.link_after * SECOND)
            self._put(made, state(NOTHING), end_ms, appears_after, [(linked_ms, state(attached))])
        else:
            self._put(made, state(attached), end_ms, appears_after)

    def ringout(
        self,
        at: datetime,
        *,
        callee: str = CALLER,
        agent: str = "101",
        duration: int = 90,
        apart: int = 2_000,
        apart_s: int = 3,
        appears_after: float | None = None,
    ) -> Scripted:
        """Click to call: an outbound row and its inbound twin, in sessions whose numbers are neighbours."""
        made, at_ms, party, extension = Scripted(), ms_of(at), shapes.outsider(callee), self._extension(agent)
        end_ms = at_ms + duration * SECOND
        out = shapes.outgoing(self._ids(), at_ms, duration, extension, party, "Call connected", action="RingOut Web")
        self._put(made, out, end_ms, appears_after)
        twin = shapes.direct(
            self._ids(offset=apart), at_ms + apart_s * SECOND, duration - apart_s, party, extension, "Accepted"
        )
        self._put(made, twin, end_ms, appears_after)
        return made

    def conference(
        self,
        at: datetime,
        *,
        callers: tuple[str, ...] = ("+15035550171", "+13035550172"),
        agent: str = "101",
        duration: int = 300,
        telephony: bool = True,
        appears_after: float | None = None,
    ) -> Scripted:
        """Rows of unrelated callers that all have session id 0; without `telephony` that is the only session id."""
        made, at_ms, extension = Scripted(), ms_of(at), self._extension(agent)
        for caller in callers:
            row = shapes.direct(self._ids(), at_ms, duration, shapes.outsider(caller), extension, "Accepted")
            row |= {"sessionId": "0", "action": "Conference Call"}
            if not telephony:
                del row["telephonySessionId"], row["legs"][0]["telephonySessionId"]
            self._put(made, row, at_ms + duration * SECOND, appears_after)
        return made

    def in_progress(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        agent: str = "101",
        duration: int = 600,
        seen_after: int = 10,
    ) -> Scripted:
        """A row that is there while people talk, without a duration, and is finished after the call."""
        made, ids, at_ms = Scripted(), self._ids(), ms_of(at)
        party, extension = shapes.outsider(caller), self._extension(agent)
        running = shapes.direct(ids, at_ms, None, party, extension, "In Progress")
        finished = shapes.direct(ids, at_ms, duration, party, extension, "Accepted")
        finished_ms = at_ms + round((duration + self._office.settings.row_lag_s) * SECOND)
        self._put(made, running, at_ms, seen_after, [(finished_ms, finished)])
        return made

    def corrected(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        agent: str = "101",
        duration: int = 120,
        corrected_duration: int = 135,
        corrected_result: str = "Accepted",
        after: float = 280,
        result: str = "Accepted",
    ) -> Scripted:
        """Minutes later the row has another duration or result."""
        made, ids, at_ms = Scripted(), self._ids(), ms_of(at)
        party, extension, end_ms = shapes.outsider(caller), self._extension(agent), at_ms + duration * SECOND
        first = shapes.direct(ids, at_ms, duration, party, extension, result)
        second = shapes.direct(ids, at_ms, corrected_duration, party, extension, corrected_result)
        self._put(made, first, end_ms, None, [(end_ms + round(after * SECOND), second)])
        return made

    def internal(
        self,
        at: datetime,
        *,
        caller: str = "101",
        callee: str = "102",
        duration: int = 45,
        result: str = "Call connected",
        appears_after: float | None = None,
    ) -> Scripted:
        """From one extension to another."""
        made, at_ms = Scripted(), ms_of(at)
        parties = self._extension(caller), self._extension(callee)
        row = shapes.internal(self._ids(), at_ms, duration, *parties, result)
        self._put(made, row, at_ms + duration * SECOND, appears_after)
        return made

    def fax(self, at: datetime, *, caller: str = CALLER, duration: int = 50, result: str = "Received") -> Scripted:
        made, at_ms = Scripted(), ms_of(at)
        row = shapes.fax(self._ids(), at_ms, duration, shapes.outsider(caller), self._extension(FAX_DESK), result)
        self._put(made, row, at_ms + duration * SECOND, None)
        return made

    def forwarded_to_mobile(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        agent: str = "101",
        mobile: str = MOBILE,
        duration: int = 120,
        answered: bool = True,
        appears_after: float | None = None,
    ) -> Scripted:
        """An inbound call with an outbound leg: the agent takes it on a mobile phone."""
        made, ids, at_ms = Scripted(), self._ids(), ms_of(at)
        party, extension = shapes.outsider(caller), self._extension(agent)
        result = "Accepted" if answered else "Missed"
        row = shapes.direct(ids, at_ms, duration, party, extension, result)
        row["legs"].append(
            shapes.leg(
                ids, at_ms + 6 * SECOND, max(0, duration - 6), party, {"phoneNumber": mobile, "name": extension.name},
                "Call connected" if answered else "No Answer", extension=extension, direction="Outbound",
                action="FindMe", leg_type="FindMe",
            )
        )  # fmt: skip
        self._put(made, row, at_ms + duration * SECOND, appears_after)
        return made

    def menu_hangup(
        self,
        at: datetime,
        *,
        caller: str | None = CALLER,
        duration: int = 12,
        result: str = "Hang Up",
        appears_after: float | None = None,
    ) -> Scripted:
        """The caller gives up in the main line's menu, before any extension rings."""
        made, at_ms = Scripted(), ms_of(at)
        row = shapes.menu(self._ids(), at_ms, duration, shapes.outsider(caller), result)
        self._put(made, row, at_ms + duration * SECOND, appears_after)
        return made

    def blocked(self, at: datetime, *, caller: str = "+18005550199", agent: str = "101") -> Scripted:
        return self._brief(at, caller, agent, "Blocked")

    def with_result(self, at: datetime, *, result: str, caller: str | None = CALLER, agent: str = "101") -> Scripted:
        """A direct call of half a minute with any result, also one that nobody has heard of."""
        return self._brief(at, caller, agent, result)

    def anonymous(
        self, at: datetime, *, name: str = "Anonymous", agent: str = "101", result: str = "Accepted"
    ) -> Scripted:
        """A withheld number: a name and nothing else."""
        return self._brief(at, None, agent, result, name=name)

    def masked(
        self, at: datetime, *, caller: str = "+1512555XXXX", agent: str = "101", result: str = "Accepted"
    ) -> Scripted:
        return self._brief(at, caller, agent, result)

    def _brief(self, at: datetime, caller: str | None, agent: str, result: str, *, name: str | None = None) -> Scripted:
        made, at_ms = Scripted(), ms_of(at)
        party = shapes.outsider(caller, name)
        row = shapes.direct(self._ids(), at_ms, 30, party, self._extension(agent), result)
        self._put(made, row, at_ms + 30 * SECOND, None)
        return made
