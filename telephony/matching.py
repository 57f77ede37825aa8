"""To whom a number belongs: one record, none, or several. A search that failed is an error and never "none".

The index of numbers says where to look; the records found there are read fresh before they count. An open lead comes
first, then a contact, then a converted lead: a caller who is a contact already is no new lead.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from crm import metadata, phone_index
from crm.phone_index import PhoneIndex, Source
from crm.zoho.client import Part, ZohoClient, id_batches
from crm.zoho.schema import name_field, text_of
from portal.models import Connection, Vendor
from portal.remote import errors
from telephony.models import Call, Caller, CallSettings, CallStep, Office

LEADS, CONTACTS = "Leads", "Contacts"
MODULES = (LEADS, CONTACTS)
MAX_CANDIDATES = 20
# Zoho's call entries begin within so many seconds of the call, written by other integrations after it.
ENTRY_TOLERANCE = dt.timedelta(seconds=90)
ENTRY_QUERY_LIMIT = 2000
# Which of several equals a policy takes: by which time, the last one or the first, and in words.
_ORDER = {
    CallSettings.Several.NEWEST: ("created", True, "the one created last"),
    CallSettings.Several.OLDEST: ("created", False, "the one created first"),
    CallSettings.Several.UPDATED: ("modified", True, "the one changed last"),
}


@dataclass(frozen=True)
class Candidate:
    """A record that has the number now."""

    module: str
    id: str
    name: str
    status: str = ""
    owner_id: str = ""
    owner_name: str = ""
    created: str = ""
    modified: str = ""
    is_converted: bool = False
    phones: dict[str, str] = field(default_factory=dict)
    marker_text: str = ""

    def as_json(self) -> dict[str, Any]:
        """For the review page; the marker's field is left out."""
        return asdict(self) | {"marker_text": ""}

    @property
    def words(self) -> str:
        kind = "converted lead" if self.is_converted else "contact" if self.module == CONTACTS else "lead"
        return f"{kind} {self.id}"


@dataclass(frozen=True)
class Match:
    """What a number leads to. `found` is None for none and for several; `candidates` are all that have the number."""

    found: Candidate | None
    candidates: tuple[Candidate, ...]
    reason: str

    @property
    def is_several(self) -> bool:
        return self.found is None and bool(self.candidates)

    @property
    def is_none(self) -> bool:
        return not self.candidates


@dataclass(frozen=True)
class CallEntry:
    """An entry of Zoho's Calls module: another integration has logged the call."""

    id: str
    record_id: str
    started_at: dt.datetime


class Matcher:
    """Looks numbers up, many at once."""

    def __init__(
        self,
        client: ZohoClient,
        connection: Connection,
        settings: CallSettings,
        keep: Callable[[], None] = lambda: None,
    ) -> None:
        self._client = client
        self._connection = connection
        self._settings = settings
        self._keep = keep
        self._sources: dict[str, Source] = {
            source.module: source for source in phone_index.sources(connection, MODULES)
        }
        self._fields = {module: {f.api_name for f in metadata.fields(connection, module)} for module in self._sources}
        self._index = PhoneIndex(client, connection, list(self._sources.values()), regions(settings), keep)

    def look_up(self, numbers: Iterable[str]) -> dict[str, Match]:
        """The match of each number (E.164), as Zoho has it now. Raises RemoteError; then nothing is known."""
        wanted = sorted(set(numbers))
        if not wanted:
            return {}
        if LEADS not in self._sources:
            # Nothing to look through is not "nobody has this number".
            raise errors.NotConfigured(
                "The connection sees no telephone field of Leads, so no caller can be looked up.",
                service=Vendor.ZOHO.label,
                endpoint="settings.fields",
            )
        self._index.refresh()
        places = self._index.find(wanted)
        chosen: dict[str, tuple[str, str]] = {}
        for caller in Caller.objects.filter(connection=self._connection, number__in=wanted).exclude(record_id=""):
            # Our own ledger knows a lead that was just made, and what a person decided.
            places.setdefault(caller.number, []).append((caller.module, caller.record_id))
            if caller.is_chosen:
                chosen[caller.number] = (caller.module, caller.record_id)
        records = self._read({place for number in wanted for place in places.get(number, [])})
        return {number: self._match(number, places.get(number, []), records, chosen.get(number)) for number in wanted}

    def read(self, places: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Candidate]:
        """Records by (module, id) as they are now; those that are gone are left out."""
        records = self._read(set(places))
        return {place: self._candidate(*place, record) for place, record in records.items()}

    # --- reading -----------------------------------------------------------------------------------------------------

    def _read(self, places: set[tuple[str, str]]) -> dict[tuple[str, str], dict[str, Any]]:
        found: dict[tuple[str, str], dict[str, Any]] = {}
        by_module: dict[str, list[str]] = defaultdict(list)
        for module, record_id in sorted(places):
            by_module[module].append(record_id)
        for module, ids in by_module.items():
            self._keep()
            parts = (Part(batch, self._columns(module)) for batch in id_batches(ids))
            for part, result in self._client.read_parts(module, parts):
                if isinstance(result, errors.RemoteError):
                    raise result
                found |= {(module, record_id): record for record_id, record in result.items()}
                gone = [record_id for record_id in part.ids if record_id not in result]
                if gone:
                    self._check_gone(module, gone)
                    self._index.forget(module, gone)
        return found

    def _check_gone(self, module: str, ids: Sequence[str]) -> None:
        """Asks in another way for records that an answer left out: taking a known lead for gone makes a second one.

        Raises BadReply when they are there.
        """
        quoted = ", ".join(f"'{record_id}'" for record_id in ids)
        query = f"select id from {module} where id in ({quoted}) limit {len(ids)}"  # noqa: S608 a module and ids of Zoho
        if self._client.query(query, limit=len(ids)):
            raise errors.BadReply(
                "The answer leaves out records that are there.", service="Zoho CRM", endpoint="records.by_id"
            )

    def _columns(self, module: str) -> list[str]:
        source = self._sources.get(module)
        known = self._fields.get(module, set())
        wanted = [
            "id", name_field(module), "Last_Name", "Owner", "Lead_Status", "Created_Time", "Modified_Time", "Converted__s",
            self._settings.marker_field, *(source.fields if source else ()),
        ]  # fmt: skip
        return list(dict.fromkeys(name for name in wanted if name == "id" or name in known))

    def _candidate(self, module: str, record_id: str, record: dict[str, Any]) -> Candidate:
        owner = record.get("Owner")
        owner = owner if isinstance(owner, dict) else {}
        source = self._sources.get(module)
        return Candidate(
            module=module,
            id=record_id,
            name=text_of(record.get(name_field(module))) or text_of(record.get("Last_Name")),
            status=text_of(record.get("Lead_Status")),
            owner_id=str(owner.get("id") or ""),
            owner_name=str(owner.get("name") or ""),
            created=text_of(record.get("Created_Time")),
            modified=text_of(record.get("Modified_Time")),
            is_converted=bool(record.get("Converted__s")),
            phones={name: text_of(record.get(name)) for name in (source.fields if source else ()) if record.get(name)},
            marker_text=text_of(record.get(self._settings.marker_field)),
        )

    # --- choosing ----------------------------------------------------------------------------------------------------

    def _match(
        self,
        number: str,
        places: Sequence[tuple[str, str]],
        records: dict[tuple[str, str], dict[str, Any]],
        chosen: tuple[str, str] | None,
    ) -> Match:
        if chosen is not None and chosen in records:
            candidate = self._candidate(*chosen, records[chosen])
            return Match(candidate, (candidate,), f"A person decided that this number belongs to {candidate.words}.")
        candidates = []
        for place in dict.fromkeys(places):
            record = records.get(place)
            source = self._sources.get(place[0])
            if record is not None and source is not None and number in self._index.numbers_of(record, source.fields):
                candidates.append(self._candidate(*place, record))
        return choose(candidates, self._settings.several_matches)

    # --- call entries of other integrations --------------------------------------------------------------------------

    def call_entries(self, calls: Sequence[Call]) -> dict[int, CallEntry]:
        """Entries that Zoho already has for these calls (by primary key): same record, same start.

        Nothing is said about calls without a record. Where the module cannot be read, there are none to link.
        """
        placed = [call for call in calls if call.record_id]
        readable = {module.api_name for module in metadata.modules(self._connection) if module.is_viewable}
        if not placed or "Calls" not in readable:
            return {}
        first = min(call.started_at for call in placed) - ENTRY_TOLERANCE
        last = max(call.started_at for call in placed) + ENTRY_TOLERANCE
        by_record: dict[str, list[Call]] = defaultdict(list)
        for call in placed:
            by_record[call.record_id].append(call)
        near = [
            (abs(entry.started_at - call.started_at), call.pk, entry.id, entry)
            for entry in self._entries(first, last)
            for call in by_record.get(entry.record_id, ())
            if abs(entry.started_at - call.started_at) <= ENTRY_TOLERANCE
        ]
        # An entry stands for one call: who rings twice in a minute is not taken for having rung once.
        steps = CallStep.objects.filter(crm_id__in={entry_id for _, _, entry_id, _ in near}, kind=CallStep.Kind.NOTE)
        taken = set(steps.exclude(call__in=placed).values_list("crm_id", flat=True))
        found: dict[int, CallEntry] = {}
        for _, pk, entry_id, entry in sorted(near, key=lambda pair: pair[:3]):
            if pk not in found and entry_id not in taken:
                found[pk] = entry
                taken.add(entry_id)
        return found

    def _entries(self, first: dt.datetime, last: dt.datetime) -> Iterable[CallEntry]:
        after = "0"
        while True:
            self._keep()
            query = (
                "select id, Call_Start_Time, Who_Id, What_Id from Calls where"  # noqa: S608 times and ids only
                f" ((Call_Start_Time >= '{_told(first)}' and Call_Start_Time <= '{_told(last)}') and id > '{after}')"
                f" order by id asc limit {ENTRY_QUERY_LIMIT}"
            )
            rows = self._client.query(query, limit=ENTRY_QUERY_LIMIT)
            for row in rows:
                for lookup in (row.get("Who_Id"), row.get("What_Id")):
                    record_id = str(lookup.get("id") or "") if isinstance(lookup, dict) else ""
                    if record_id and row.get("Call_Start_Time"):
                        yield CallEntry(str(row["id"]), record_id, dt.datetime.fromisoformat(row["Call_Start_Time"]))
            if len(rows) < ENTRY_QUERY_LIMIT:
                return
            after = str(rows[-1]["id"])


def regions(settings: CallSettings) -> list[str]:
    """Countries in which a stored number without one may be meant."""
    return [settings.default_region, *Office.objects.filter(is_active=True).values_list("region", flat=True)]


def choose(candidates: Sequence[Candidate], policy: str) -> Match:
    """One of the records that have a number, by kind first and by the policy among equals."""
    everything = tuple(candidates[:MAX_CANDIDATES])
    if not everything:
        return Match(None, (), "No lead or contact has this number.")
    kinds = (
        ("lead", [c for c in candidates if c.module == LEADS and not c.is_converted]),
        ("contact", [c for c in candidates if c.module == CONTACTS]),
        ("converted lead", [c for c in candidates if c.module == LEADS and c.is_converted]),
    )
    kind, equals = next((kind, found) for kind, found in kinds if found)
    if len(equals) == 1:
        others = len(candidates) - 1
        beside = f" {others} other record{'s' if others > 1 else ''} with it come after it." if others else ""
        return Match(equals[0], everything, f"The {kind} {equals[0].id} has this number.{beside}")
    if policy not in _ORDER:
        return Match(None, everything, f"{len(equals)} {kind}s have this number: a person chooses.")
    attribute, is_last, words = _ORDER[CallSettings.Several(policy)]
    ranked = sorted(equals, key=lambda c: (_instant(getattr(c, attribute)), int(c.id)), reverse=is_last)
    return Match(
        ranked[0], everything, f"{len(equals)} {kind}s have this number; by rule it is {words}, {ranked[0].id}."
    )


def _instant(told: str) -> dt.datetime:
    return dt.datetime.fromisoformat(told) if told else dt.datetime.min.replace(tzinfo=dt.UTC)


def _told(moment: dt.datetime) -> str:
    return moment.astimezone(dt.UTC).isoformat(timespec="seconds")
