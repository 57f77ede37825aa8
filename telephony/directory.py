"""Who is who: extensions compared with RingCentral, lead owners with the users of Zoho.

The vendor decides who there is and what they are called. Which extensions are processed, to which office and department
they belong, who gets leads and with what weight are local choices; a comparison never changes them.
"""

from __future__ import annotations

import datetime as dt
import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from django.db import models, transaction
from django.utils import timezone

from crm.zoho.client import ZohoClient
from crm.zoho.schema import User
from portal.models import Connection, Cursor
from portal.remote import errors
from telephony.models import Call, Extension, LeadOwner, Office
from telephony.ringcentral.client import RingCentralClient
from telephony.ringcentral.records import ExtensionRow

logger = logging.getLogger(__name__)

ONCE_IN = dt.timedelta(hours=1)
# RingCentral's words for what is one of our kinds under another name; any other word is "Other".
KINDS = {kind.value: kind for kind in Extension.Kind} | {
    "VirtualUser": Extension.Kind.USER,
    "DigitalUser": Extension.Kind.USER,
    "FlexibleUser": Extension.Kind.USER,
    "Limited": Extension.Kind.USER,
    "RoomConnector": Extension.Kind.ROOM,
}
# What RingCentral told of an extension; these columns follow it.
TOLD = ("number", "name", "kind", "kind_told", "status", "email", "site", "members")
WRITTEN = (*TOLD, "is_gone", "synced_at")
# Of a lead owner who was compared before, or whom Zoho does not have as an active user, the state is worth a line.
STATE_WORDS = {
    LeadOwner.ZohoState.ACTIVE: "active in Zoho again",
    LeadOwner.ZohoState.INACTIVE: "not active in Zoho",
    LeadOwner.ZohoState.MISSING: "not found in Zoho",
}


@dataclass
class SyncReport:
    """What a comparison found: how many the vendor listed, and names by what happened to them.

    `problem` is set when the answer was not believed, or not complete: nothing was taken for gone then.
    """

    subject: str
    listed: int = 0
    names: dict[str, list[str]] = field(default_factory=dict)
    problem: str = ""

    def note(self, what: str, name: str) -> None:
        self.names.setdefault(what, []).append(name)

    @property
    def counts(self) -> dict[str, int]:
        return {what: len(names) for what, names in self.names.items()}

    def __str__(self) -> str:
        """New 2, renamed 1."""
        changes = ", ".join(f"{what} {count:,}" for what, count in self.counts.items())
        return f"{self.subject}: {self.listed:,} listed. {changes.capitalize() or 'Nothing changed'}."


# --- extensions ---------------------------------------------------------------------------------------------------------


def sync_extensions(client: RingCentralClient, connection: Connection) -> SyncReport:
    """Compares with GET /account/~/extension, /call-queues and the members of each queue, all pages.

    Everything is read before anything is written: an error of RingCentral changes nothing.
    """
    listed = {row.id: row for row in client.extensions()}
    for queue in client.queues():
        if queue.id not in listed:
            listed[queue.id] = ExtensionRow(
                id=queue.id, number=queue.number, name=queue.name, kind=Extension.Kind.QUEUE.value, status="",
                email="", site="",
            )  # fmt: skip
    report = SyncReport("Extensions", len(listed))
    if not listed:
        report.problem = "RingCentral listed no extension at all, which no account has. Nothing was changed."
        return report
    members = {row.id: _members(client, row, report) for row in listed.values() if row.kind == Extension.Kind.QUEUE}
    with transaction.atomic():
        # Of two comparisons at once the second one waits here.
        Connection.objects.select_for_update().filter(pk=connection.pk).values_list("pk").first()
        _Sync(connection, report).apply(listed, members)
    return report


def refresh_when_unknown(client: RingCentralClient, connection: Connection, ids: Iterable[str]) -> SyncReport | None:
    """Compares the extensions when the call log names ids that are not known here, once an hour at most.

    None when there was no need, or RingCentral does not let this connection list extensions: calls can do without.
    """
    unknown = set(ids) - set(Extension.objects.filter(connection=connection).values_list("rc_id", flat=True))
    if not unknown or not _is_due(connection):
        return None
    try:
        return sync_extensions(client, connection)
    except (errors.Rejected, errors.MissingScope) as error:
        logger.warning("extensions of connection %s were not compared: %s", connection.pk, error)
        return None


@transaction.atomic
def _is_due(connection: Connection) -> bool:
    """Whether the last comparison of this kind is an hour ago; takes the turn if so."""
    Cursor.objects.get_or_create(name=f"directory:{connection.pk}")
    cursor = Cursor.objects.select_for_update().get(name=f"directory:{connection.pk}")
    now = timezone.now()
    last = cursor.value.get("asked_at")
    if last is not None and now - dt.datetime.fromisoformat(last) < ONCE_IN:
        return False
    cursor.value = {"asked_at": now.isoformat()}
    cursor.save()
    return True


def _members(client: RingCentralClient, queue: ExtensionRow, report: SyncReport) -> list[str] | None:
    """Ids of the queue's members; None when RingCentral refuses to tell them, which spoils nothing else."""
    try:
        return sorted(client.queue_members(queue.id))
    except errors.Rejected:
        report.note("members not told", queue.name)
        return None


class _Sync:
    """One comparison of the extensions of a connection, inside a transaction."""

    def __init__(self, connection: Connection, report: SyncReport) -> None:
        self.connection = connection
        self.report = report
        self.rows = {row.rc_id: row for row in Extension.objects.filter(connection=connection)}
        # Imported from files, which know no account.
        self.imported = {row.rc_id: row for row in Extension.objects.filter(connection=None)}
        self.offices = list(Office.objects.filter(is_active=True))
        self.now = timezone.now()

    def apply(self, listed: dict[str, ExtensionRow], members: dict[str, list[str] | None]) -> None:
        found = self._imported_rows(listed)
        for told in listed.values():
            row, imported = self.rows.get(told.id), found.get(told.id)
            if row is not None and imported is not None:
                self._merge(row, imported)
            elif row is None:
                row = imported
            self._take_over(row, told, members.get(told.id))
        for row in self.rows.values():
            if row.rc_id not in listed and not row.is_gone:
                row.is_gone, row.synced_at = True, self.now
                self.report.note("gone", str(row))
        touched = [row for row in self.rows.values() if row.synced_at == self.now]
        # Only what RingCentral tells is written: a choice that somebody makes meanwhile stays.
        Extension.objects.bulk_update([row for row in touched if row.pk is not None], WRITTEN)
        Extension.objects.bulk_create([row for row in touched if row.pk is None])

    def _imported_rows(self, listed: dict[str, ExtensionRow]) -> dict[str, Extension]:
        """Imported rows by the RingCentral id they belong to: the same id, else the number that old files have as id."""
        found = {rc_id: row for rc_id, row in self.imported.items() if rc_id in listed}
        by_number = {rc_id: row for rc_id, row in self.imported.items() if rc_id not in listed}
        for told in listed.values():
            if told.id not in found and told.number in by_number:
                found[told.id] = by_number.pop(told.number)
        return found

    def _merge(self, row: Extension, imported: Extension) -> None:
        """Takes the local choices of an imported row that turns out to be an extension that is known already."""
        row.office_id = row.office_id or imported.office_id
        row.department = row.department or imported.department
        row.process_calls = row.process_calls and imported.process_calls
        row.save(update_fields=["office", "department", "process_calls"])
        LeadOwner.objects.filter(extension=imported).update(extension=row)
        Call.objects.filter(extension=imported).update(extension=row)
        Call.objects.filter(answered_by=imported).update(answered_by=row)
        imported.delete()
        self.report.note("merged with an imported one", str(row))

    def _take_over(self, row: Extension | None, told: ExtensionRow, members: list[str] | None) -> None:
        before = {name: getattr(row, name) for name in TOLD} if row is not None else {}
        is_adopted = row is not None and row.connection_id is None
        was_gone = row is not None and row.is_gone
        if row is None:
            row = Extension(office=self._office_of(told))
        row.connection, row.rc_id, row.is_gone, row.synced_at = self.connection, told.id, False, self.now
        for name, value in _values(told).items():
            setattr(row, name, value)
        if members is not None:
            row.members = members
        elif row.kind != Extension.Kind.QUEUE:
            row.members = []
        self.rows[told.id] = row
        if row.pk is None or is_adopted:
            self.report.note("adopted from the import" if is_adopted else "new", str(row))
            if row.office_id is None:
                self.report.note("without an office", str(row))
            if is_adopted:
                row.save(update_fields=["rc_id", "connection"])
            return
        self._note_changes(row, before, was_gone=was_gone)

    def _note_changes(self, row: Extension, before: dict[str, Any], *, was_gone: bool) -> None:
        if was_gone:
            self.report.note("back", str(row))
        differing = [name for name in TOLD if getattr(row, name) != before[name]]
        if "name" in differing:
            self.report.note("renamed", f"{before['name']} → {row.name}")
        if "number" in differing:
            self.report.note("renumbered", f"{row.name}: {before['number'] or 'none'} → {row.number or 'none'}")
        if set(differing) - {"name", "number"}:
            self.report.note("otherwise changed", str(row))

    def _office_of(self, told: ExtensionRow) -> Office | None:
        """The only active office, or the one that is called like the site; else a person must say."""
        if len(self.offices) == 1:
            return self.offices[0]
        site = told.site.casefold()
        named = [each for each in self.offices if site and site in (each.name.casefold(), each.slug.casefold())]
        return named[0] if len(named) == 1 else None


def _values(told: ExtensionRow) -> dict[str, Any]:
    """The columns as RingCentral tells them, cut to what they hold."""
    values = {
        "number": told.number, "name": told.name, "kind": KINDS.get(told.kind, Extension.Kind.OTHER).value,
        "kind_told": told.kind, "status": told.status, "email": told.email, "site": told.site,
    }  # fmt: skip
    return {name: value[: _width(name)] for name, value in values.items()}


def _width(name: str) -> int | None:
    column = Extension._meta.get_field(name)
    assert isinstance(column, models.Field)
    return column.max_length


# --- lead owners --------------------------------------------------------------------------------------------------------


def sync_owners(client: ZohoClient, connection: Connection) -> SyncReport:
    """Compares the lead owners of all offices with GET /users, all pages: name, e-mail, role and state follow Zoho."""
    users = {user.id: user for user in client.users()}
    report = SyncReport("Lead owners", len(users))
    with transaction.atomic():
        owners = list(LeadOwner.objects.select_for_update(of=("self",)).select_related("office"))
        if owners and not any(owner.zoho_id in users for owner in owners):
            report.problem = (
                f"None of the {len(owners):,} lead owners is a user of the organisation of “{connection.name}”. That is "
                "rather another organisation than everybody leaving: nothing was changed."
            )
            return report
        for owner in owners:
            _compare(owner, users.get(owner.zoho_id), report)
            owner.synced_at = timezone.now()
        LeadOwner.objects.bulk_update(owners, ("name", "email", "role", "zoho_state", "synced_at"))
    return report


def _compare(owner: LeadOwner, user: User | None, report: SyncReport) -> None:
    before = (owner.name, owner.email, owner.role)
    old_state, where = owner.zoho_state, f"{owner} in {owner.office}"
    if user is None:
        owner.zoho_state = LeadOwner.ZohoState.MISSING
    else:
        owner.zoho_state = _state(user)
        owner.name, owner.email, owner.role = _cut(user)
    if before[0] and owner.name != before[0]:
        report.note("renamed", f"{before[0]} → {owner.name}")
    if (owner.email, owner.role) != before[1:]:
        report.note("e-mail or role changed", where)
    is_first_look = not old_state and owner.zoho_state == LeadOwner.ZohoState.ACTIVE
    if owner.zoho_state != old_state and not is_first_look:
        report.note(STATE_WORDS[LeadOwner.ZohoState(owner.zoho_state)], where)


def _state(user: User) -> LeadOwner.ZohoState:
    return LeadOwner.ZohoState.ACTIVE if user.is_active else LeadOwner.ZohoState.INACTIVE


def _cut(user: User) -> tuple[str, str, str]:
    """Name, e-mail address and role, cut to what their columns hold."""
    return user.name[:120], user.email[:254], user.role[:120]


@dataclass(frozen=True)
class Offer:
    """Active users of Zoho who are no owners of the office yet, by name; `total` and `roles` are those of any role."""

    users: list[User]
    roles: list[str]
    total: int


def offer_users(client: ZohoClient, office: Office, role: str = "") -> Offer:
    """Whom to make lead owners: everybody, or those of one role."""
    present = set(LeadOwner.objects.filter(office=office).values_list("zoho_id", flat=True))
    users = [user for user in client.users() if user.is_active and user.id not in present]
    roles = sorted({user.role for user in users if user.role})
    chosen = [user for user in users if not role or user.role == role]
    return Offer(sorted(chosen, key=lambda user: (user.name.casefold(), user.id)), roles, len(users))


@transaction.atomic
def add_owners(office: Office, users: Sequence[User]) -> list[LeadOwner]:
    """Makes lead owners of these users, with weight 1; who is one already stays as they are."""
    now = timezone.now()
    made = []
    for user in users:
        name, email, role = _cut(user)
        owner, is_new = LeadOwner.objects.get_or_create(
            office=office, zoho_id=user.id,
            defaults={"name": name, "email": email, "role": role, "zoho_state": _state(user), "synced_at": now},
        )  # fmt: skip
        if is_new:
            made.append(owner)
    return made
