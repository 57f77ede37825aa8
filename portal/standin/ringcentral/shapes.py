"""Rows of the call log as the vendor would write them, from the facts of a call. Links are paths without an origin."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from portal.standin.messages import JsonObject
from portal.standin.ringcentral.extensions import ACCOUNT_PATH
from portal.standin.ringcentral.people import MAIN_NUMBER, Extension
from portal.standin.ringcentral.times import SECOND, stamp

_PLACES = {
    "512": "Austin, TX",
    "503": "Portland, OR",
    "303": "Denver, CO",
    "617": "Boston, MA",
    "312": "Chicago, IL",
    "305": "Miami, FL",
    "408": "San Jose, CA",
    "206": "Seattle, WA",
}
_REASONS = {
    "Missed": "No Answer",
    "Voicemail": "No Answer",
    "Hang Up": "Hang Up",
    "Blocked": "Number Blocked",
    "Stopped": "Stopped",
    "No Answer": "No Answer",
    "Busy": "Line Busy",
}


@dataclass(frozen=True, slots=True)
class Ids:
    """Names of one row and of its sessions."""

    row: str
    session: str
    telephony: str

    def other_row(self, row: str) -> Ids:
        return replace(self, row=row)


@dataclass(frozen=True, slots=True)
class Attached:
    """What hangs on a leg: references to a recording and to a message."""

    recording: JsonObject | None = None
    message: JsonObject | None = None
    short: bool = False

    def fields(self) -> JsonObject:
        found: JsonObject = {}
        if self.recording:
            found["recording"] = self.recording
        if self.message:
            found["message"] = self.message
        if self.short:
            found["shortRecording"] = True
        return found


NOTHING = Attached()


def outsider(number: str | None, name: str | None = None) -> JsonObject:
    """A party outside the company. The name is where the number is from, as caller ids have it; None is withheld."""
    if number is None:
        return {"name": name or "Anonymous"}
    digits = "".join(character for character in number if character.isdigit())
    location = _PLACES.get(digits[-10:-7], "")
    party = {"phoneNumber": number, "name": name or location.upper().replace(",", "") or "WIRELESS CALLER"}
    return {**party, "location": location} if location else party


def insider(extension: Extension, *, number: bool = True) -> JsonObject:
    party = {"name": extension.name, "extensionId": extension.id}
    if extension.number:
        party["extensionNumber"] = extension.number
    if number and extension.phone:
        party["phoneNumber"] = extension.phone
    return party


def main_line() -> JsonObject:
    return {"phoneNumber": MAIN_NUMBER, "name": "Main Menu"}


def leg(
    ids: Ids,
    at_ms: int,
    seconds: int | None,
    caller: JsonObject,
    callee: JsonObject,
    result: str,
    *,
    extension: Extension | None = None,
    direction: str = "Inbound",
    action: str = "Phone Call",
    leg_type: str = "PstnToSip",
    master: bool = False,
    attached: Attached = NOTHING,
) -> JsonObject:
    row: JsonObject = {
        "startTime": stamp(at_ms),
        "type": "Voice",
        "direction": direction,
        "action": action,
        "legType": leg_type,
        "result": result,
        "from": caller,
        "to": callee,
        "transport": "PSTN",
        "telephonySessionId": ids.telephony,
        **_length(seconds),
        **_reason(result),
        **attached.fields(),
    }
    if extension is not None:
        row["extension"] = {"id": int(extension.id), "uri": f"{ACCOUNT_PATH}/extension/{extension.id}"}
    if master:
        row["master"] = True
    return row


def row(
    ids: Ids,
    at_ms: int,
    seconds: int | None,
    caller: JsonObject,
    callee: JsonObject,
    result: str,
    legs: Iterable[JsonObject],
    *,
    direction: str = "Inbound",
    action: str = "Phone Call",
    attached: Attached = NOTHING,
    **more: Any,
) -> JsonObject:
    """A whole row; `seconds` None is a call that still goes on."""
    return {
        "id": ids.row,
        "uri": f"{ACCOUNT_PATH}/call-log/{ids.row}",
        "sessionId": ids.session,
        "telephonySessionId": ids.telephony,
        "partyId": f"p-{ids.telephony.removeprefix('s-')}-1",
        "type": "Voice",
        "direction": direction,
        "action": action,
        "result": result,
        **_reason(result),
        "startTime": stamp(at_ms),
        **_length(seconds),
        "from": caller,
        "to": callee,
        "transport": "PSTN",
        "internalType": "LongDistance",
        "billing": {"costIncluded": 0.0, "costPurchased": 0.0},
        **attached.fields(),
        "legs": list(legs),
        **more,
    }


def _length(seconds: int | None) -> JsonObject:
    return {} if seconds is None else {"duration": seconds, "durationMs": seconds * 1_000 + 417}


def _reason(result: str) -> JsonObject:
    if result not in _REASONS:
        return {}
    return {"reason": _REASONS[result], "reasonDescription": f"The call ended with {_REASONS[result].lower()}."}


def direct(
    ids: Ids,
    at_ms: int,
    seconds: int | None,
    caller: JsonObject,
    agent: Extension,
    result: str,
    attached: Attached = NOTHING,
    *,
    on: str = "both",
) -> JsonObject:
    """To an agent's own number: the entry leg and the agent's. `on` is row, leg or both: where media are named."""
    of_leg, of_row = attached if on != "row" else NOTHING, attached if on != "leg" else NOTHING
    callee = insider(agent)
    legs = [
        leg(
            ids,
            at_ms,
            seconds,
            caller,
            callee,
            result,
            extension=agent,
            master=True,
            leg_type="Accept",
            attached=of_leg,
        )
    ]
    return row(ids, at_ms, seconds, caller, callee, result, legs, attached=of_row)


def queued(
    ids: Ids,
    at_ms: int,
    seconds: int | None,
    caller: JsonObject,
    queue: Extension,
    rung: Iterable[Extension],
    answered: Extension | None,
    result: str,
    attached: Attached = NOTHING,
    *,
    on: str = "both",
    ring_s: int = 8,
) -> JsonObject:
    """Through a queue: its own leg first, then one leg for each agent rung; all but the one who answers missed it."""
    of_leg, of_row = attached if on != "row" else NOTHING, attached if on != "leg" else NOTHING
    callee = insider(queue)
    queue_leg = leg(ids, at_ms, seconds, caller, callee, result, master=True, attached=NOTHING if answered else of_leg)
    legs = [queue_leg]
    for agent in rung:
        took = agent == answered
        length = max(0, seconds - ring_s) if took and seconds is not None else ring_s if not took else None
        legs.append(
            leg(
                ids,
                at_ms + ring_s * SECOND,
                length,
                caller,
                insider(agent, number=False),
                result if took else "Missed",
                extension=agent,
                leg_type="SipForwarding",
                attached=of_leg if took else NOTHING,
            )
        )
    return row(ids, at_ms, seconds, caller, callee, result, legs, attached=of_row)


def outgoing(
    ids: Ids,
    at_ms: int,
    seconds: int | None,
    agent: Extension,
    callee: JsonObject,
    result: str,
    attached: Attached = NOTHING,
    *,
    action: str = "VoIP Call",
) -> JsonObject:
    caller = insider(agent)
    legs = [
        leg(
            ids, at_ms, seconds, caller, callee, result, extension=agent, master=True, leg_type="SipToPstnMetered",
            attached=attached, direction="Outbound", action=action,
        )
    ]  # fmt: skip
    return row(
        ids, at_ms, seconds, caller, callee, result, legs, attached=attached, direction="Outbound", action=action
    )


def internal(ids: Ids, at_ms: int, seconds: int, caller: Extension, callee: Extension, result: str) -> JsonObject:
    """Between two extensions: short numbers only."""
    parties = insider(caller, number=False), insider(callee, number=False)
    legs = [
        leg(
            ids, at_ms, seconds, *parties, result, extension=callee, master=True, leg_type="ExtensionToExtension",
            direction="Outbound", action="VoIP Call",
        )
    ]  # fmt: skip
    made = row(ids, at_ms, seconds, *parties, result, legs, direction="Outbound", action="VoIP Call")
    return {**made, "internalType": "Local", "transport": "VoIP"}


def menu(ids: Ids, at_ms: int, seconds: int, caller: JsonObject, result: str) -> JsonObject:
    """Into the main line's menu and no further: no leg has an extension."""
    legs = [leg(ids, at_ms, seconds, caller, main_line(), result, master=True)]
    return row(ids, at_ms, seconds, caller, main_line(), result, legs)


def fax(ids: Ids, at_ms: int, seconds: int, caller: JsonObject, desk: Extension, result: str) -> JsonObject:
    made = direct(ids, at_ms, seconds, caller, desk, result)
    legs = [{**part, "type": "Fax", "action": "Incoming Fax"} for part in made["legs"]]
    return {**made, "type": "Fax", "action": "Incoming Fax", "legs": legs}
