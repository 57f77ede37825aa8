"""Reading the call log: every row once, none passed over, folded into calls.

One company-level walk for all offices. The cursor of a connection says from when until when the log is known without a
hole; it moves only when the last page of a walk was stored. Each walk goes back behind it, because the log is sorted by
the start of calls: a long call appears when it ends. The change feed, where the account has it, brings rows that change
later than that. Everything may be read twice: rows are kept by their id, calls by their session.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_
from typing import Any

from django.db.models import Min, Q
from django.utils import timezone

from portal import phone
from portal.models import Connection, Cursor, RunEvent
from portal.remote import errors
from portal.rows import overwrite
from portal.runs import Lease
from telephony import directory, reasons
from telephony.folding import TWIN_APART, FoldedCall, fold, group, twins
from telephony.missed_board import MissedBoard
from telephony.models import Call, CallLogRow, CallSession, CallSettings, Extension, Office
from telephony.qualifying import LONGEST_CALL
from telephony.ringcentral.client import NotAvailable, RingCentralClient, TokenExpired
from telephony.ringcentral.records import DamagedRow, LogRow
from telephony.switchboard import Directory

# RingCentral keeps calls about this long.
RETENTION = dt.timedelta(days=365)
GAP_WORTH_TELLING = dt.timedelta(hours=6)
DIRECTORY_AGE = dt.timedelta(hours=24)
MOST_HOMELESS = 5000
MOST_UNSURE = 2000
CHUNK = 500
# A change feed that starts anew goes back by this: more than our clock may be ahead of RingCentral's.
FEED_OVERLAP = dt.timedelta(hours=1)
FEED_LONGEST = dt.timedelta(days=30)
_FOLDED = (
    "direction", "outcome", "outcome_reason", "started_at", "ended_at", "total_seconds", "talk_seconds", "number",
    "number_told", "name_told", "location_told", "line", "extension", "answered_by", "extension_ids", "legs", "digest",
    "is_linked", "media", "office", "state", "reason_code", "reason", "attempts", "is_late",
)  # fmt: skip
# A person's word about a call outlives a change of its row.
KEPT_REASONS = ("MERGED", reasons.IGNORED, reasons.NEW_LEAD)


@dataclass(frozen=True)
class Window:
    """Starts of the calls that a run is about."""

    since: dt.datetime
    until: dt.datetime

    def as_json(self) -> dict[str, str]:
        return {"since": self.since.isoformat(), "until": self.until.isoformat()}

    @classmethod
    def of_json(cls, stored: dict[str, str]) -> Window:
        return cls(dt.datetime.fromisoformat(stored["since"]), dt.datetime.fromisoformat(stored["until"]))


def cursor_of(connection: Connection) -> Cursor:
    """How far the log of this connection is known: {"since", "through", "token", "feed", "fed"}."""
    return Cursor.objects.get_or_create(name=f"calls:{connection.pk}")[0]


class Puller:
    """The reading half of one run. Its walks stand in the run's position, so that a crash continues on the page."""

    def __init__(self, lease: Lease, client: RingCentralClient, connection: Connection) -> None:
        self._lease = lease
        self._client = client
        self._connection = connection
        self._settings = CallSettings.load()
        self._store = CallStore(connection)

    def work(self, window: Window, *, is_backfill: bool) -> bool:
        """Reads until all is read (True) or the slice is over (False). Raises RemoteError; the cursor then stays."""
        position = self._lease.run.position
        if "walks" not in position:
            self._know_extensions()
            position = position | {"walks": self._walks(window, is_backfill=is_backfill), "feed": "open"}
            self._lease.save(position=position)
        while position["walks"]:
            if self._lease.time_is_up or self._lease.is_stopping:
                return False
            position = self._page(position)
        if position["feed"] == "open":
            if not self._drain_feed():
                return False
            self._lease.save(position=position | {"feed": "done"})
        self._refresh_directory()
        return True

    # --- which times -------------------------------------------------------------------------------------------------

    def _walks(self, window: Window, *, is_backfill: bool) -> list[dict[str, Any]]:
        """The ranges to read. Their ends are fixed here: an end that moves on pushes rows from page to page."""
        known = cursor_of(self._connection).value
        if is_backfill or not known:
            return [self._walk(window.since, window.until)]
        through = dt.datetime.fromisoformat(known["through"])
        since = dt.datetime.fromisoformat(known["since"])
        gap = window.until - through
        if gap > GAP_WORTH_TELLING:
            self._lease.log(
                f"The log was last read {_hours(gap)} before this run's end; what happened since is read now."
            )
        start = min(through - dt.timedelta(hours=self._settings.overlap_hours), self._oldest_open(through) or through)
        walks = [self._walk(max(start, since), window.until)]
        if window.since < since:
            walks.append(self._walk(window.since, since))
        return walks

    def _walk(self, since: dt.datetime, until: dt.datetime) -> dict[str, Any]:
        oldest = timezone.now() - RETENTION
        if since < oldest:
            self._lease.log(
                "RingCentral keeps about 12 months of calls; older ones of this range may be missing there.",
                RunEvent.Level.WARNING,
            )
        return Window(since, until).as_json() | {"page": 1}

    def _oldest_open(self, through: dt.datetime) -> dt.datetime | None:
        """Start of the oldest call that was still going on at the last reading; its final row comes later.

        Counted back from that reading: after a long sleep of the host such a call is still read once more.
        """
        rows = Call.objects.filter(connection=self._connection, outcome=Call.Outcome.IN_PROGRESS)
        recent = rows.filter(started_at__gte=through - LONGEST_CALL)
        oldest: dt.datetime | None = recent.aggregate(at=Min("started_at"))["at"]
        return oldest

    # --- reading -----------------------------------------------------------------------------------------------------

    def _page(self, position: dict[str, Any]) -> dict[str, Any]:
        """One page: its rows, their calls and the place behind it are stored together."""
        walk, *others = position["walks"]
        window = Window.of_json(walk)
        self._lease.keep()
        page = self._client.log_page(window.since, window.until, walk["page"])
        walks = [walk | {"page": walk["page"] + 1}, *others] if page.has_next else others
        with self._lease.commit():
            self._tell_damaged(self._store.add(page.rows), page.unreadable)
            position = position | {
                "walks": walks,
                "rows": position.get("rows", 0) + len(page.rows),
                "unsure": sorted({*position.get("unsure", ()), *self._store.unsure_sessions})[:MOST_UNSURE],
                "unknown": sorted({*position.get("unknown", ()), *self._store.unknown_extensions})[:MOST_UNSURE],
            }
            if not page.has_next:
                self._move_cursor(window)
        self._lease.save(position=position)
        return position

    def _move_cursor(self, window: Window) -> None:
        """Joins the range that was read to the known one; a range apart from it leaves the cursor where it is."""
        cursor = cursor_of(self._connection)
        known = cursor.value
        if not known.get("through"):
            cursor.value = known | window.as_json() | {"through": window.until.isoformat()}
            cursor.value.pop("until", None)
        else:
            through = dt.datetime.fromisoformat(known["through"])
            since = dt.datetime.fromisoformat(known["since"])
            if window.since > through or window.until < since:
                return
            cursor.value = known | {
                "since": min(since, window.since).isoformat(),
                "through": max(through, window.until).isoformat(),
            }
        cursor.save()

    def _drain_feed(self) -> bool:
        """Rows that changed since the last look, however old. False when the slice ended before all were read."""
        cursor = cursor_of(self._connection)
        feed = cursor.value.get("feed", "changes")
        if feed == "none":
            return True
        token = cursor.value.get("token")
        while True:
            if self._lease.time_is_up or self._lease.is_stopping:
                return False
            self._lease.keep()
            read = self._client.changes if feed == "changes" else self._client.sync
            now = timezone.now()
            since = self._feed_start(cursor.value, now)
            try:
                changes = read(token, since)
            except TokenExpired:
                self._lease.log("The token of the change feed has run out; it starts anew.")
                self._save_feed(cursor, feed, None)
                token = None
                continue
            except NotAvailable:
                feed = "sync" if feed == "changes" else "none"
                self._save_feed(cursor, feed, None)
                token = None
                if feed == "none":
                    return True
                continue
            with self._lease.commit():
                self._tell_damaged(self._store.add(changes.rows), changes.unreadable)
                is_all = not changes.has_more
                self._save_feed(cursor, feed, changes.token, **({"fed": now.isoformat()} if is_all else {}))
            token = changes.token
            # A full answer of the small feed never holds everything; what it leaves out the walk has read.
            if not changes.has_more or feed == "sync":
                return True

    def _feed_start(self, known: dict[str, Any], now: dt.datetime) -> dt.datetime:
        """Where a feed without a token begins: where the last one was read to its end."""
        fed = dt.datetime.fromisoformat(known["fed"]) if "fed" in known else now
        return max(fed - FEED_OVERLAP, now - FEED_LONGEST)

    def _save_feed(self, cursor: Cursor, feed: str, token: str | None, **more: str) -> None:
        cursor.refresh_from_db()
        cursor.value = cursor.value | {"feed": feed, "token": token} | more
        cursor.save()

    def _tell_damaged(self, row_ids: Sequence[str], unreadable: int) -> None:
        if unreadable:
            self._lease.log(f"{unreadable} entries of the call log are no objects.", RunEvent.Level.WARNING)
        for row_id in row_ids:
            self._lease.log(
                f"Row {row_id} of the call log cannot be read; it is kept as it came.", RunEvent.Level.WARNING
            )

    # --- whose extensions they are -----------------------------------------------------------------------------------

    def _know_extensions(self) -> None:
        """Once a day, before the log is read: which extension is a queue decides what its legs mean."""
        known = Extension.objects.filter(connection=self._connection, is_gone=False)
        if known.filter(synced_at__gt=timezone.now() - DIRECTORY_AGE).exists():
            return
        self._lease.keep()
        try:
            directory.sync_extensions(self._client, self._connection)
        except (errors.Rejected, errors.MissingScope) as error:
            self._lease.log(f"The extensions could not be compared with RingCentral: {error}", RunEvent.Level.WARNING)
        self._store = CallStore(self._connection)

    def _refresh_directory(self) -> None:
        """A queue or person that is new at RingCentral: calls that name them are folded again with what is known now."""
        position = self._lease.run.position
        unknown = self._store.unknown_extensions | set(position.get("unknown", ()))
        if unknown:
            directory.refresh_when_unknown(self._client, self._connection, unknown)
        with self._lease.commit(progress=False):
            store = CallStore(self._connection)
            store.refold(self._store.unsure_sessions | set(position.get("unsure", ())))
            store.place_homeless()


class CallStore:
    """Stores rows of the log and folds their sessions into calls. Used inside a transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._settings = CallSettings.load()
        self._offices = {office.pk: office for office in Office.objects.all()}
        self._extensions = {row.rc_id: row for row in Extension.objects.filter(connection=connection)}
        self._directory = Directory.load(connection)
        self._board = MissedBoard(connection)
        known = cursor_of(connection).value
        self._known = Window.of_json(known | {"until": known["through"]}) if "through" in known else None
        self.unknown_extensions: set[str] = set()
        self.unsure_sessions: set[str] = set()

    def add(self, payloads: Sequence[dict[str, Any]]) -> list[str]:
        """Stores the rows that are new or changed and folds what they belong to; returns ids of unreadable ones."""
        damaged: list[str] = []
        changed: dict[str, LogRow] = {}
        now = timezone.now()
        rows = []
        for payload, digest in self._changed(payloads):
            row_id = str(payload.get("id") or "")
            try:
                parsed = LogRow.parse(payload)
            except DamagedRow:
                damaged.append(row_id or "without id")
                if not row_id:
                    continue
                key, started = f"damaged:{row_id}"[:120], None
            else:
                key, started = parsed.session_key, parsed.started_at
                changed[row_id] = parsed
            rows.append(
                CallLogRow(
                    connection=self._connection, row_id=row_id, session_key=key, payload=_storable(payload), started_at=started,
                    digest=digest, created_at=now, changed_at=now,
                )
            )  # fmt: skip
        CallLogRow.objects.bulk_create(
            rows, batch_size=CHUNK, update_conflicts=True, unique_fields=("connection", "row_id"),
            update_fields=("session_key", "payload", "started_at", "digest", "changed_at"),
        )  # fmt: skip
        self._fold(changed.values())
        return damaged

    def _changed(self, payloads: Sequence[dict[str, Any]]) -> list[tuple[dict[str, Any], str]]:
        told = {str(payload.get("id") or index): payload for index, payload in enumerate(payloads)}
        digests = {row_id: _digest(payload) for row_id, payload in told.items()}
        ids = list(told)
        known: dict[str, str] = {}
        for first in range(0, len(ids), CHUNK):
            rows = CallLogRow.objects.filter(connection=self._connection, row_id__in=ids[first : first + CHUNK])
            known |= dict(rows.values_list("row_id", "digest"))
        return [(payload, digests[row_id]) for row_id, payload in told.items() if known.get(row_id) != digests[row_id]]

    # --- folding -----------------------------------------------------------------------------------------------------

    def _fold(self, changed: Iterable[LogRow]) -> None:
        changed = list(changed)
        if not changed:
            return
        calls = [fold(rows, self._directory) for rows in group(self._with_relatives(changed)) if _is_worth(rows)]
        self._save(calls)

    def refold(self, session_keys: set[str]) -> None:
        """Folds these sessions again, after the directory has learnt more about their extensions."""
        rows = CallLogRow.objects.filter(connection=self._connection)
        for some in _chunks(sorted(session_keys)):
            self._fold(_readable(rows.filter(session_key__in=some).values_list("payload", flat=True)))

    def _with_relatives(self, changed: Sequence[LogRow]) -> list[LogRow]:
        """The changed rows with all others of their sessions, of linked sessions, and RingOut twins beside them."""
        keys = {row.session_key for row in changed} | {link for row in changed for link in row.linked}
        keys |= self._twins_of(changed)
        sessions = CallSession.objects.filter(connection=self._connection)
        call_ids: set[int] = set()
        for some in _chunks(sorted(keys)):
            call_ids |= set(sessions.filter(key__in=some).values_list("call_id", flat=True))
        for some_ids in _chunks(sorted(call_ids)):
            keys |= set(sessions.filter(call_id__in=some_ids).values_list("key", flat=True))
        rows = CallLogRow.objects.filter(connection=self._connection)
        payloads: dict[str, dict[str, Any]] = {}
        for some in _chunks(sorted(keys)):
            payloads |= dict(rows.filter(session_key__in=some).values_list("row_id", "payload"))
        return _readable(payloads.values())

    def _twins_of(self, changed: Sequence[LogRow]) -> set[str]:
        """Session keys of RingOuts of which one row is among the changed ones and the other one may be stored already."""
        starts = [row.started_at for row in changed if row.started_at is not None]
        if not starts:
            return set()
        rows = CallLogRow.objects.filter(connection=self._connection)
        within = (min(starts) - TWIN_APART, max(starts) + TWIN_APART)
        stored = list(
            rows.filter(started_at__range=within, payload__action__startswith="RingOut").values_list(
                "payload", flat=True
            )
        )
        beside = [
            Q(started_at__range=(row.started_at - TWIN_APART, row.started_at + TWIN_APART))
            for row in changed
            if row.action.startswith("RingOut") and row.started_at is not None
        ]
        for some in _chunks(beside):
            stored += rows.filter(reduce(or_, some)).values_list("payload", flat=True)
        ids = {row.id for row in changed}
        pairs = twins([*changed, *(row for row in _readable(stored) if row.id not in ids)])
        return {row.session_key for pair in pairs for row in pair}

    def _save(self, folded: Sequence[FoldedCall]) -> None:
        sessions = self._known_sessions(folded)
        new: list[Call] = []
        updated: list[Call] = []
        owners: list[tuple[FoldedCall, Call]] = []
        joined: list[Call] = []
        left: list[tuple[str, dt.datetime]] = []
        for each in folded:
            found = sorted({sessions[key] for key in each.keys if key in sessions}, key=lambda call: call.pk)
            self.unknown_extensions |= set(each.unknown_ids)
            if each.unknown_ids:
                self.unsure_sessions |= set(each.keys)
            if not found:
                call = Call(connection=self._connection, key=each.keys[0], is_late=self._is_late(each))
                self._fill(call, each)
                new.append(call)
                owners.append((each, call))
                continue
            call, *others = found
            owners.append((each, call))
            if call.digest != each.digest or others:
                # A long call that has ended: no window comes back to its start.
                call.is_late = call.is_late or (call.outcome == Call.Outcome.IN_PROGRESS and self._is_late(each))
                left.append((call.number, call.started_at))
                self._fill(call, each)
                updated.append(call)
            self._merge(others, call)
            joined += others
        Call.objects.bulk_create(new, batch_size=CHUNK)
        overwrite(updated, _FOLDED)
        # New sessions belong to the call that stays, not to one that was joined to it.
        links = [
            CallSession(connection=self._connection, key=key, call=owner)
            for each, owner in owners
            for key in each.keys
            if key not in sessions
        ]
        CallSession.objects.bulk_create(links, batch_size=CHUNK, ignore_conflicts=True)
        self._board.follow([*new, *updated, *joined], left)

    def _is_late(self, folded: FoldedCall) -> bool:
        """Whether its time had been read before, so that no window would come back to it."""
        return self._known is not None and self._known.since <= folded.started_at <= self._known.until

    def _known_sessions(self, folded: Sequence[FoldedCall]) -> dict[str, Call]:
        keys = sorted({key for each in folded for key in each.keys})
        found: dict[str, int] = {}
        for some in _chunks(keys):
            rows = CallSession.objects.filter(connection=self._connection, key__in=some)
            found |= dict(rows.values_list("key", "call_id"))
        # One object for one call, or two updates of it would undo each other.
        # Locked: a run or a person who decides about one of them at this moment comes before this reading or after it.
        calls: dict[int, Call] = {}
        for some_ids in _chunks(sorted(set(found.values()))):
            calls |= {call.pk: call for call in Call.objects.select_for_update().filter(pk__in=some_ids).order_by("pk")}
        return {key: calls[pk] for key, pk in found.items()}

    def _merge(self, others: Sequence[Call], main: Call) -> None:
        """Two calls turned out to be one (a transfer whose halves came apart): what was written stays as it is."""
        for other in others:
            other.merged_into = main
            Call.objects.filter(pk=other.pk).update(
                merged_into=main, state=Call.State.NOT_PROCESSED, reason_code="MERGED",
                reason="It is a part of another call: a transfer joins both.",
            )  # fmt: skip
            CallSession.objects.filter(call=other).update(call=main)

    def _fill(self, call: Call, folded: FoldedCall) -> None:
        """The folded facts; a call whose facts changed is looked at again, its finished steps stay finished."""
        for name in (
            "direction", "outcome", "outcome_reason", "started_at", "ended_at", "total_seconds", "talk_seconds",
            "line", "legs", "digest", "is_linked",
        ):  # fmt: skip
            setattr(call, name, getattr(folded, name))
        call.number_told, call.name_told = folded.number_told, folded.name_told
        call.location_told = folded.location_told
        call.media = {
            "recordings": [medium.source() for medium in folded.recordings],
            "voicemails": [medium.source() for medium in folded.voicemails],
        }
        call.extension = self._extensions.get(folded.extension_id)
        call.answered_by = self._extensions.get(folded.answered_by_id)
        call.extension_ids = list(folded.extension_ids)
        call.office = self._office_of(call)
        call.number = phone.normalise(folded.number_told, self._region(call.office))
        is_asked = call.state == Call.State.REVIEW and call.reason_code not in reasons.UNTOLD
        if call.reason_code not in KEPT_REASONS and not is_asked:
            call.state, call.reason_code, call.reason, call.attempts = Call.State.PENDING, "", "", 0

    def _region(self, office: Office | None) -> str:
        return office.region if office else self._settings.default_region

    def _office_of(self, call: Call) -> Office | None:
        """Of who answered; else of whose phone rang, if they agree; else of the main number; else the only one."""
        for extension in (call.answered_by, call.extension):
            if extension is not None and extension.office_id is not None:
                return self._offices.get(extension.office_id)
        known = (self._extensions[rc_id].office_id for rc_id in call.extension_ids if rc_id in self._extensions)
        rang = {office_id for office_id in known if office_id is not None}
        if len(rang) == 1:
            return self._offices.get(rang.pop())
        line = phone.normalise(call.line, self._settings.default_region)
        by_number = [office for office in self._offices.values() if line and office.main_number == line]
        if by_number:
            return by_number[0]
        active = [office for office in self._offices.values() if office.is_active]
        return active[0] if len(active) == 1 else None

    def place_homeless(self) -> int:
        """Looks again for extension and office of calls that had none: the directory may know more now."""
        waiting = Q(state=Call.State.PENDING) | Q(reason_code="NO_OFFICE")
        calls = Call.objects.filter(waiting, connection=self._connection, office__isnull=True, merged_into__isnull=True)
        placed = []
        for call in calls.select_related("extension", "answered_by").order_by("-pk")[:MOST_HOMELESS]:
            call.office = self._office_of(call)
            if call.office is not None:
                call.number = phone.normalise(call.number_told, self._region(call.office))
                call.state, call.reason_code, call.reason = Call.State.PENDING, "", ""
                placed.append(call)
        overwrite(placed, ("office", "number", "state", "reason_code", "reason"))
        self._board.follow(placed)
        return len(placed)


def _is_worth(rows: Sequence[LogRow]) -> bool:
    """A fax is no call, and a deleted row says nothing any more; the change feed brings both."""
    return any(not row.is_deleted and row.type.casefold() != "fax" for row in rows)


def _readable(payloads: Iterable[dict[str, Any]]) -> list[LogRow]:
    """The rows that can be read; the others were told when they came."""
    found = []
    for payload in payloads:
        try:
            found.append(LogRow.parse(payload))
        except DamagedRow:
            continue
    return found


def _digest(payload: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(payload, sort_keys=True, default=str).encode()).hexdigest()


def _storable(payload: dict[str, Any]) -> dict[str, Any]:
    """Without NUL characters, which JSON may hold and PostgreSQL may not."""
    text = json.dumps(payload)
    if "\\u0000" not in text:
        return payload
    stored: dict[str, Any] = json.loads(text.replace("\\u0000", ""))
    return stored


def _chunks(values: Sequence[Any]) -> Iterable[Sequence[Any]]:
    for first in range(0, len(values), CHUNK):
        yield values[first : first + CHUNK]


def _hours(span: dt.timedelta) -> str:
    hours = int(span.total_seconds() // 3600)
    return f"{hours // 24} days and {hours % 24} hours" if hours >= 48 else f"{hours} hours"
