"""offices.json (family M): offices, who gets their reports, and what holds for all of them."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ValidationError

from portal import phone
from telephony.models import CallSettings, Office
from telephony.models.offices import LAST_IN_ORDER, check_zone
from telephony.rc_zoho import recipients
from telephony.rc_zoho.collection import (
    FILE_NAMES,
    MOST_OFFICES,
    OFFICE_ID,
    SINGLE_COMPANY,
    Collection,
    ConfigFile,
    Kind,
)  # fmt: skip
from telephony.rc_zoho.report import FileReport, shown
from telephony.rc_zoho.rows import put
from telephony.rc_zoho.shapes import Table, given

# Also how a later import knows that it was this one that left the office off.
NO_FILES = "The import found no extensions and no lead owners of this office."
HIGHEST_ORDER = 32_767
LONGEST_WINDOW_HOURS = 24 * 366


def apply(file: ConfigFile, collection: Collection, only_office: str) -> None:
    """Stores the offices; with `only_office` that one alone, and nothing that holds for all."""
    top = Table(file.value, "", file.report)
    offices = top.table("offices")
    settings = CallSettings.load()
    if not only_office:
        _global_config(top.table("global_config"), settings, file.report)
    if len(offices.names()) > MOST_OFFICES:
        file.report.fail(f"offices: {len(offices.names()):,} offices; at most {MOST_OFFICES} are taken.")
        return
    for slug in offices.names():
        if only_office and slug != only_office:
            offices.take(slug)
            continue
        if not OFFICE_ID.fullmatch(slug):
            offices.take(slug)
            file.report.fail(
                f"offices: {shown(slug)} is no office id. Use letters, digits, - and _ only, at most 60 of them."
            )
            continue
        _office(slug, offices.table(slug), collection, settings, file.report)
    if not only_office:
        _keep_rest(top, settings, file.report)


def _global_config(table: Table, settings: CallSettings, report: FileReport) -> None:
    processing = table.table("processing")
    zone = _zone(table, "default_timezone", report, "the time zone stays as it is")
    values = given(
        default_zone=zone,
        default_hours_back=processing.whole("default_hours_back", 1, LONGEST_WINDOW_HOURS),
        max_hours_back=processing.whole("max_hours_back", 1, LONGEST_WINDOW_HOURS),
        parallel_offices=processing.flag("parallel_processing"),
    )
    put(report, "call settings", settings, model=CallSettings, place=table.at(), identity={}, values=values)
    if settings.default_hours_back > settings.max_hours_back:
        report.fail(f"{processing.at('default_hours_back')}: it is larger than max_hours_back. Lower it.")
    for email in table.table("email_report").emails("recipients"):
        recipients.store(report, None, email, is_combined=True, values={}, defaults={"receive_daily": False})


def _keep_rest(top: Table, settings: CallSettings, report: FileReport) -> None:
    """Unknown keys beside the offices and in global_config; those of an office stay with the office."""
    rest = {key: value for key, value in top.rest().items() if key != "offices"}
    if rest:
        put(
            report, "call settings", settings, model=CallSettings, place="the file", identity={}, values={},
            extra={FILE_NAMES[Kind.OFFICES]: rest},
        )  # fmt: skip


def _office(slug: str, table: Table, collection: Collection, settings: CallSettings, report: FileReport) -> None:
    row = Office.objects.filter(slug=slug).first()
    address = table.table("address")
    fallback = f"taken as {settings.default_zone}" if row is None else "the office keeps its own"
    zone = _zone(table, "timezone", report, fallback)
    if zone is None and row is None and not table.take("timezone"):
        report.warn(f"{table.at('timezone')}: missing; taken as {settings.default_zone}.")
    values = given(
        name=table.text("name", 120),
        order=table.whole("processing_order", 0, HIGHEST_ORDER),
        zone=zone,
        street=address.text("street", 200),
        city=address.text("city", 100),
        state=address.text("state", 100),
        zip_code=address.text("zip", 20),
        main_number=_main_number(table, settings.default_region if row is None else row.region, report),
    )
    emails = table.table("email_report").emails("recipients")
    stays_off = _waiting(slug, row, collection, table, report)
    office = put(
        report, "offices", row, model=Office, place=table.at(), identity={"slug": slug},
        values=values,
        defaults={
            "name": slug, "order": LAST_IN_ORDER, "zone": settings.default_zone, "region": settings.default_region,
        } | stays_off,
        extra=table.rest(),
    )  # fmt: skip
    if office is not None:
        for email in emails:
            recipients.store(report, office, email, values={"receive_daily": True}, defaults={"receive_errors": False})


def _waiting(slug: str, row: Office | None, collection: Collection, table: Table, report: FileReport) -> dict[str, Any]:
    """How a new office begins: switched off, until extensions of it are stored. An office without own files stays so."""
    if row is not None and row.is_active:
        return {}
    own = collection.own_files(slug)
    if Kind.EXTENSIONS not in own:
        name = FILE_NAMES[Kind.EXTENSIONS]
        report.warn(f"{table.at()}: no {name} that could be read came with it, so the office is not active.")
    elif row is None and Kind.LEAD_OWNERS not in own:
        report.warn(f"{table.at()}: no {FILE_NAMES[Kind.LEAD_OWNERS]} that could be read came with it.")
    return {"is_active": False, "inactive_reason": NO_FILES}


def switch_on(office: Office, report: FileReport) -> None:
    """Makes an office active that only waited for its extensions; one that a person switched off stays off."""
    if not office.is_active and office.inactive_reason == NO_FILES:
        office.is_active, office.inactive_reason = True, ""
        office.save(update_fields=["is_active", "inactive_reason"])
        report.tally("offices switched on").new += 1


def _zone(table: Table, key: str, report: FileReport, otherwise: str) -> str | None:
    value = table.text(key, 60)
    if not value:
        return None
    try:
        check_zone(value)
    except ValidationError:
        report.warn(
            f"{table.at(key)}: {shown(value)} is no time zone; {otherwise}. Use a name such as America/New_York."
        )
        return None
    return value


def _main_number(table: Table, region: str, report: FileReport) -> str | None:
    value = table.text("main_number", 60)
    if not value:
        return value
    number = phone.normalise(value, region)
    if not number:
        report.warn(
            f"{table.at('main_number')}: {shown(value)} is no complete number; left out. Write +1 510 555 1234."
        )
        return None
    return number


def single_company(report: FileReport) -> Office:
    """The one office of an installation that has no offices file."""
    row = Office.objects.filter(slug=SINGLE_COMPANY).first()
    if row is None:
        settings = CallSettings.load()
        row = Office.objects.create(
            slug=SINGLE_COMPANY, name="Single company", zone=settings.default_zone, region=settings.default_region
        )
        report.tally("offices").new += 1
        report.warn(f"There is no offices file, so the office “{SINGLE_COMPANY}” was made. Check its time zone.")
    return row
