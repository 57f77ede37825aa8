"""A day of calls that touches everything a call can come to, and what must be true at its end, written out by hand.

`play` puts the day on the stand-in, `expected_end` says what Zoho and the portal hold when each call was processed
exactly once, `end_of` reads the same from both. Whatever happened on the way, the two are equal.
"""

from __future__ import annotations

import datetime as dt
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from django.utils import timezone

from portal import phone
from portal.standin import Standin
from telephony.models import AssignmentDecision, AssignmentRules, Call, CallSettings, CallStep, LeadOwner, Office

ACCEPTED, MISSED, VOICEMAIL = "Accepted Call", "Missed Call", "Missed Call with Voicemail"
NUMBERS = {
    name: f"+121555501{place:02}"
    for place, name in enumerate(
        [
            "new",
            "known",
            "ring-all",
            "queue voicemail",
            "thrice",
            "contact",
            "twins",
            "transfer",
            "redirected",
            "several",
        ]
    )
}


@dataclass(frozen=True)
class RecordEnd:
    """One lead or contact. Calls are named as in `Day.calls`; files are SHA-256 sums; both are sorted, and double when
    something was written twice. `changes`: how often a write changed a value of it, its making included."""

    owner: str
    status: str
    marked_by: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    changes: int = 1


@dataclass(frozen=True)
class CallEnd:
    """One call as the portal tells it. `files`: the SHA-256 sums that its steps have as evidence."""

    outcome: str
    state: str
    reason: str = ""
    module: str = ""
    steps: tuple[str, ...] = ()
    files: tuple[str, ...] = ()


@dataclass(frozen=True)
class End:
    """`records` by module and number, more than one where several have it; `totals`: all that Zoho holds."""

    records: dict[str, tuple[RecordEnd, ...]]
    calls: dict[str, CallEnd]
    totals: dict[str, int]
    owners: dict[str, int]


@dataclass
class Day:
    """What was played: telephony sessions by the name of their call, media by the name of theirs, owners in rotation."""

    owners: list[str]
    stays: str
    calls: dict[str, str] = field(default_factory=dict)
    media: dict[str, list[str]] = field(default_factory=dict)
    contact_owner: str = ""
    leads_before: int = 0
    contacts_before: int = 0


def open_office(standin: Standin) -> Office:
    """One office whose new leads go to two owners in turn."""
    CallSettings.objects.update_or_create(pk=1, defaults={"settle_seconds": 0})
    office = Office.objects.create(slug="philadelphia", name="Philadelphia", zone="America/New_York", region="US")
    AssignmentRules.objects.create(office=office, answering_first=False)
    for place, user_id in enumerate(sorted(standin.zoho.org.users)[:2], 1):
        LeadOwner.objects.create(office=office, zoho_id=user_id, name=f"Owner {place}", position=place)
    return office


def make_room(standin: Standin) -> None:
    """RingCentral takes as many calls a minute as the set needs, and rows show at once."""
    vendor = standin.ringcentral.settings
    vendor.light_limit = vendor.medium_limit = vendor.heavy_limit = vendor.auth_limit = 500


def play(standin: Standin) -> Day:
    """Twelve scenes of the last day, an hour apart."""
    users = sorted(standin.zoho.org.users)
    day = Day(owners=users[:2], stays=users[3])
    phones, now = standin.ringcentral.script, timezone.now().replace(microsecond=0)

    def at(scene: int) -> dt.datetime:
        return now - dt.timedelta(hours=15 - scene)

    def keep(name: str, made: Any) -> None:
        day.calls[name] = made.session
        sounds = [standin.ringcentral.recordings.by_id[each].body()[0] for each in made.recordings]
        sounds += [standin.ringcentral.mailboxes.by_id[int(each)].content() for each in made.messages]
        day.media[name] = sorted(hashlib.sha256(sound).hexdigest() for sound in sounds)

    standin.add_lead(Phone="(215) 555-0101", Lead_Status=ACCEPTED, Owner=day.stays)
    day.contacts_before = len(standin.ids("Contacts"))
    contact = standin.add_record("Contacts", {"Last_Name": "Known", "Mobile": "215.555.0105"})
    standin.add_lead(Phone=NUMBERS["twins"], Owner=day.stays)
    standin.add_lead(Mobile="(215) 555-0106", Owner=day.stays)
    day.contact_owner = standin.record("Contacts", contact)["Owner"]["id"]  # type: ignore[index]
    day.leads_before = len(standin.ids("Leads"))

    keep("new", phones.accepted(at(1), caller=NUMBERS["new"], recorded=True))
    keep("known", phones.missed(at(2), caller=NUMBERS["known"]))
    keep("ring-all", phones.queue_answered(at(3), caller=NUMBERS["ring-all"], recorded=True))
    keep("queue voicemail", phones.voicemail(at(4), caller=NUMBERS["queue voicemail"], queue="201"))
    for turn in range(3):
        made = phones.missed(at(5) + dt.timedelta(minutes=5 * turn), caller=NUMBERS["thrice"])
        keep(f"thrice {turn + 1}", made)
    keep("contact", phones.accepted(at(6), caller=NUMBERS["contact"], recorded=True))
    keep("twins", phones.accepted(at(7), caller=NUMBERS["twins"], recorded=True))
    keep("anonymous", phones.anonymous(at(8)))
    keep("internal", phones.internal(at(9)))
    keep("transfer", phones.warm_transfer(at(10), caller=NUMBERS["transfer"], recorded=True))
    keep("redirected", phones.voicemail(at(11), caller=NUMBERS["redirected"], agent="101", mailbox="104"))
    keep("several", phones.several_recordings(at(12), caller=NUMBERS["several"]))
    return day


def expected_end(day: Day, *, rotated: bool = True) -> End:
    """What holds when every call was processed exactly once.

    With `rotated` False the owners of new leads are told as "one of the rotation": a call that came to light later than
    a younger one has another turn. How many leads each owner got is the same.
    """
    first, second = day.owners if rotated else ("one of the rotation", "one of the rotation")
    media = {name: tuple(sums) for name, sums in day.media.items()}
    lead, known = ("lead done", "note done", "status skipped"), ("note done", "status skipped")

    def made(owner: str, status: str, *calls: str) -> tuple[RecordEnd, ...]:
        return (RecordEnd(owner, status, calls[:1], calls, media[calls[0]]),)

    def written(outcome: str, steps: tuple[str, ...], name: str, *kinds: str, module: str = "Leads") -> CallEnd:
        files = tuple(f"{kind} done" for kind in kinds)
        return CallEnd(outcome, "done", module=module, steps=tuple(sorted(steps + files)), files=media[name])

    return End(
        records={
            f"Leads {NUMBERS['new']}": made(first, ACCEPTED, "new"),
            f"Leads {NUMBERS['known']}": (RecordEnd(day.stays, MISSED, (), ("known",), (), changes=2),),
            f"Leads {NUMBERS['ring-all']}": made(second, ACCEPTED, "ring-all"),
            f"Leads {NUMBERS['queue voicemail']}": made(first, VOICEMAIL, "queue voicemail"),
            f"Leads {NUMBERS['thrice']}": made(second, MISSED, "thrice 1", "thrice 2", "thrice 3"),
            f"Contacts {NUMBERS['contact']}": (RecordEnd(day.contact_owner, "", (), ("contact",), media["contact"]),),
            f"Leads {NUMBERS['twins']}": (RecordEnd(day.stays, "Not Contacted"), RecordEnd(day.stays, "Not Contacted")),
            f"Leads {NUMBERS['transfer']}": made(first, ACCEPTED, "transfer"),
            f"Leads {NUMBERS['redirected']}": made(second, VOICEMAIL, "redirected"),
            f"Leads {NUMBERS['several']}": made(first, ACCEPTED, "several"),
        },
        calls={
            "new": written("accepted", lead, "new", "recording"),
            "known": written("missed", ("note done", "status done"), "known"),
            "ring-all": written("accepted", lead, "ring-all", "recording"),
            "queue voicemail": written("voicemail", lead, "queue voicemail", "voicemail"),
            "thrice 1": written("missed", lead, "thrice 1"),
            "thrice 2": written("missed", known, "thrice 2"),
            "thrice 3": written("missed", known, "thrice 3"),
            "contact": written("accepted", known, "contact", "recording", module="Contacts"),
            "twins": CallEnd("accepted", "review", "SEVERAL_MATCHES"),
            "anonymous": CallEnd("accepted", "not_processed", "NO_NUMBER"),
            "internal": CallEnd("internal", "not_processed", "INTERNAL"),
            "transfer": written("accepted", lead, "transfer", "recording", "recording"),
            "redirected": written("voicemail", lead, "redirected", "voicemail"),
            "several": written("accepted", lead, "several", "recording", "recording", "recording"),
        },
        totals={"Leads": day.leads_before + 7, "Contacts": 1, "Notes": 11, "Attachments": 10, "decisions": 7},
        owners={day.owners[0]: 4, day.owners[1]: 3},
    )


def end_of(standin: Standin, day: Day, *, rotated: bool = True) -> End:
    """The same, as Zoho's half of the stand-in and the portal's tables hold it now."""
    names = {session: name for name, session in day.calls.items()}
    records: dict[str, list[RecordEnd]] = {}
    created: Counter[str] = Counter()
    for module in ("Leads", "Contacts"):
        for record_id in standin.ids(module):
            record = standin.record(module, record_id) or {}
            number = next((n for f in ("Phone", "Mobile") if (n := phone.normalise(record.get(f) or "", "US"))), "")
            if number not in NUMBERS.values():
                continue
            marked_by = _named(str(record.get("Description") or ""), names)
            owner = record["Owner"]["id"]
            created[owner] += bool(marked_by)
            records.setdefault(f"{module} {number}", []).append(
                RecordEnd(
                    owner="one of the rotation" if marked_by and not rotated and owner in day.owners else owner,
                    status=record.get("Lead_Status") or "",
                    marked_by=marked_by,
                    notes=tuple(
                        sorted(
                            name
                            for note in standin.notes_of(module, record_id)
                            for name in _named(note["Note_Content"], names)
                        )
                    ),
                    files=tuple(sorted(_sum(content) for _, content in standin.files_of(module, record_id))),
                    changes=standin.writes(module, record_id).effective,
                )
            )
    calls = Call.objects.filter(merged_into=None).prefetch_related("steps")
    return End(
        records={key: tuple(rows) for key, rows in records.items()},
        calls={names.get(call.key, call.key): _call_end(call) for call in calls},
        totals={
            "Leads": len(standin.ids("Leads")),
            "Contacts": len(standin.ids("Contacts")) - day.contacts_before,
            "Notes": len(list(standin.zoho.notes.table.ids())),
            "Attachments": len(list(standin.zoho.attachments.table.ids())),
            "decisions": AssignmentDecision.objects.count(),
        },
        owners={owner: count for owner, count in created.items() if count},
    )


def _call_end(call: Call) -> CallEnd:
    steps = list(call.steps.all())
    return CallEnd(
        outcome=call.outcome,
        state=call.state,
        reason=call.reason_code,
        module=call.module,
        steps=tuple(sorted(f"{step.kind} {step.state}" for step in steps)),
        files=tuple(sorted(step.evidence.get("sha256", "unknown") for step in steps if step.kind in CallStep.MEDIA)),
    )


def _named(text: str, names: dict[str, str]) -> tuple[str, ...]:
    """The calls whose sessions stand in the text; a session that nobody knows stands for itself."""
    return tuple(name for session, name in names.items() if session in text)


def _sum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
