"""extensions.json: M is an object with `extensions`, R a bare list of {id, name, extensionNumber}."""

from __future__ import annotations

from portal import connections
from portal.models import Vendor
from telephony.models import Extension, Office
from telephony.rc_zoho.collection import FILE_NAMES, ConfigFile, Kind
from telephony.rc_zoho.offices import switch_on
from telephony.rc_zoho.report import FileReport, shown
from telephony.rc_zoho.rows import put
from telephony.rc_zoho.shapes import Table, given, tables_of

# The earlier editions' words and RingCentral's own for what is a call queue here.
_QUEUE_WORDS = {"department": Extension.Kind.QUEUE, "queue": Extension.Kind.QUEUE, "callqueue": Extension.Kind.QUEUE}
_KINDS = {str(kind).lower(): kind for kind in Extension.Kind} | _QUEUE_WORDS
NO_NUMBER = "N/A"
SYNCED = ("name", "number", "kind", "kind_told", "email", "site")


def apply(file: ConfigFile, office: Office) -> None:
    """Stores the extensions of one office. An extension that belongs to another office stays there."""
    report = file.report
    if file.family == "R":
        entries, top = tables_of(file.value, "", report), None
    else:
        top = Table(file.value, "", report)
        entries = top.tables("extensions")
        _meta(top.table("meta"), len(entries), report)
    present = _present(entries, office)
    seen: dict[str, str] = {}
    for entry in entries:
        rc_id = entry.identifier("id", 40)
        if rc_id is None:
            if entry.take("id") is None:
                report.fail(f"{entry.at('id')}: missing. Every extension needs RingCentral's id.")
        elif rc_id in seen:
            report.fail(f"{entry.at('id')}: {shown(rc_id)} is the id of {seen[rc_id]} too. Remove one of them.")
        else:
            seen[rc_id] = entry.at()
            _extension(present.get(rc_id), rc_id, entry, office, report, family=file.family)
    if office.extensions.exists():
        switch_on(office, report)
    if top is not None:
        _keep_rest(top, office, report)


def _meta(meta: Table, number: int, report: FileReport) -> None:
    meta.take("last_updated")
    total = meta.whole("total")
    if total is not None and total != number:
        report.warn(f"{meta.at('total')}: it says {total:,}, the list has {number:,}. The list counts.")


def _extension(
    row: Extension | None, rc_id: str, entry: Table, office: Office, report: FileReport, *, family: str
) -> None:
    number = entry.identifier("extensionNumber" if family == "R" else "number", 20)
    told = entry.text("type", 40)
    kind = _KINDS.get(told.lower(), Extension.Kind.OTHER) if told else None
    values = given(
        name=entry.text("name", 120),
        number="" if number == NO_NUMBER else number,
        kind=kind,
        kind_told=told,
        process_calls=entry.flag("process_calls"),
        site=entry.text("site", 120),
        email=entry.email("email"),
        department=entry.text("department", 120),
    )
    extra = entry.rest()
    if row is not None and row.office_id not in (None, office.pk):
        report.warn(f"{entry.at()}: extension {shown(rc_id)} belongs to the office “{row.office}” already; left there.")
        report.tally("extensions").skipped += 1
        return
    put(
        report, "extensions", row, model=Extension, place=entry.at(), identity={"rc_id": rc_id},
        values=values | {"office": office}, defaults={"process_calls": True}, extra=extra, synced=SYNCED,
    )  # fmt: skip


def _present(entries: list[Table], office: Office) -> dict[str, Extension]:
    """The row of each id: the office's own before that of the default account, before one that is in no account yet."""
    default = connections.choose(None, Vendor.RINGCENTRAL)

    def rank(row: Extension) -> tuple[bool, bool, bool]:
        is_default = default is not None and row.connection_id == default.pk
        return row.office_id != office.pk, not is_default, row.connection_id is not None

    found: dict[str, Extension] = {}
    ids = {str(entry.peek("id")).strip() for entry in entries}
    for row in Extension.objects.select_related("office").filter(rc_id__in=ids):
        # An id is unique in its account only: in another account it is somebody else's.
        is_other = default is not None and row.connection_id not in (None, default.pk) and row.office_id != office.pk
        if not is_other and (row.rc_id not in found or rank(row) < rank(found[row.rc_id])):
            found[row.rc_id] = row
    return found | _by_number(entries, found, office)


def _by_number(entries: list[Table], found: dict[str, Extension], office: Office) -> dict[str, Extension]:
    """Old files have short ids of their own. The first comparison with RingCentral found those extensions by their
    number and gave them the true id, so a later import finds them by their number too."""
    compared = Extension.objects.filter(office=office, synced_at__isnull=False).exclude(number="")
    rows = {row.number: row for row in compared.select_related("office") if row.rc_id not in found}
    ids = {}
    for entry in entries:
        rc_id, number = str(entry.peek("id")).strip(), entry.peek("number") or entry.peek("extensionNumber")
        if rc_id not in found and str(number).strip() in rows:
            ids[rc_id] = rows.pop(str(number).strip())
    return ids


def _keep_rest(top: Table, office: Office, report: FileReport) -> None:
    rest = top.rest()
    if rest:
        put(
            report, "offices", office, model=Office, place=f"office {office.slug}", identity={}, values={},
            extra={FILE_NAMES[Kind.EXTENSIONS]: rest},
        )  # fmt: skip
