"""Rows of a call log as RingCentral writes them, and the extensions of a small company."""

from __future__ import annotations

import datetime as dt
from typing import Any

from telephony.folding import Directory, Entry, FoldedCall, fold
from telephony.models import Extension
from telephony.ringcentral.records import LogRow

START = dt.datetime(2026, 5, 4, 12, 0, tzinfo=dt.UTC)
CALLER, MAIN_NUMBER = "+15105550199", "+14155550100"
KINDS = Extension.Kind
DIRECTORY = Directory(
    {
        "101": Entry(KINDS.USER, "Jane Miller", "101"),
        "102": Entry(KINDS.USER, "Omar Haddad", "102"),
        "103": Entry(KINDS.USER, "Ana Silva", "103"),
        "900": Entry(KINDS.QUEUE, "Sales", "900", is_machine=True),
        "910": Entry(KINDS.MENU, "Main menu", "910", is_machine=True),
        "920": Entry(KINDS.ANNOUNCEMENT, "Closed today", "920", is_machine=True),
    }
)

JSON = dict[str, Any]


def at(seconds: float) -> str:
    return (START + dt.timedelta(seconds=seconds)).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def own(extension: str) -> JSON:
    """An extension as party; its id and its number are the same here."""
    return {"extensionNumber": extension, "extensionId": extension, "name": DIRECTORY.label(extension)}


def outside(number: str = CALLER) -> JSON:
    return {"phoneNumber": number, "name": "OAKLAND CA", "location": "Oakland, CA"}


def leg(extension: str, result: str, *, begins: float = 0, seconds: int | None = 10, **fields: Any) -> JSON:
    """A leg of an inbound call; without extension the entry of the company."""
    found: JSON = {
        "startTime": at(begins), "duration": seconds, "type": "Voice", "direction": "Inbound", "action": "Phone Call",
        "legType": "PstnToSip", "result": result, "from": outside(), "to": {"phoneNumber": MAIN_NUMBER},
    }  # fmt: skip
    if extension:
        found |= {"extension": {"id": int(extension), "uri": "u"}, "legType": "Accept"}
    return found | fields


def row(result: str, *legs: JSON, key: str = "1", begins: float = 0, seconds: int | None = 60, **fields: Any) -> JSON:
    """A row of an inbound call to the main number; `key` is its id and, unless told otherwise, its session."""
    found: JSON = {
        "id": f"row-{key}", "sessionId": f"7000{key}", "telephonySessionId": f"s-{key}", "type": "Voice",
        "direction": "Inbound", "action": "Phone Call", "result": result, "startTime": at(begins), "duration": seconds,
        "from": outside(), "to": {"phoneNumber": MAIN_NUMBER}, "lastModifiedTime": at(300),
    }  # fmt: skip
    if legs:
        found["legs"] = list(legs)
    return found | fields


def outgoing(result: str, *legs: JSON, extension: str = "101", **fields: Any) -> JSON:
    parties = {"from": own(extension) | {"phoneNumber": MAIN_NUMBER}, "to": outside()}
    return row(result, *legs, **({"direction": "Outbound", "action": "VoIP Call"} | parties | fields))


def recording(number: int) -> JSON:
    uri = f"https://media.ringcentral.com/restapi/v1.0/account/1/recording/{number}/content"
    return {"id": str(number), "type": "Automatic", "contentUri": uri, "uri": "u"}


def voicemail(number: int = 55, mailbox: str = "900", kind: str = "VoiceMail") -> JSON:
    uri = f"https://platform.ringcentral.com/restapi/v1.0/account/1/extension/{mailbox}/message-store/{number}"
    return {"id": str(number), "type": kind, "uri": uri}


def folded(*rows: JSON, directory: Directory = DIRECTORY) -> FoldedCall:
    return fold([LogRow.parse(each) for each in rows], directory)
