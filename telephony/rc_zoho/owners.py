"""lead_owners.json: M has owners and assignment rules, R is a bare list of {id, name, email} that take turns."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.exceptions import ValidationError

from telephony.models import AssignmentRules, DepartmentPool, LeadOwner, Office
from telephony.models.offices import check_zone
from telephony.rc_zoho.collection import ConfigFile
from telephony.rc_zoho.report import FileReport, shown
from telephony.rc_zoho.rows import put
from telephony.rc_zoho.shapes import Table, given, tables_of

ID_LENGTH = 30
SYNCED = ("name", "email", "role")


def apply(file: ConfigFile, office: Office) -> None:
    """Stores owners, rules and departments of one office. Owners that the file no longer lists stay."""
    report = file.report
    if file.family == "R":
        entries, top = tables_of(file.value, "", report), Table({}, "", report)
    else:
        top = Table(file.value, "", report)
        entries = top.tables("lead_owners")
    _owners(entries, office, report)
    _meta(top.table("meta"), office, report)
    rules = top.table("assignment_rules")
    known = {row.zoho_id: row for row in office.lead_owners.all()}
    _rules(rules, top, office, known, report)


def _owners(entries: list[Table], office: Office, report: FileReport) -> None:
    present = {row.zoho_id: row for row in office.lead_owners.all()}
    seen: dict[str, str] = {}
    for position, entry in enumerate(entries, 1):
        zoho_id = entry.identifier("id", ID_LENGTH)
        if zoho_id is None:
            if entry.take("id") is None:
                report.fail(f"{entry.at('id')}: missing. Every owner needs the id of a Zoho user.")
            continue
        if zoho_id in seen:
            report.fail(f"{entry.at('id')}: {shown(zoho_id)} is the id of {seen[zoho_id]} too. Remove one of them.")
            continue
        seen[zoho_id] = entry.at()
        values = given(
            name=entry.text("name", 120),
            email=entry.email("email"),
            role=entry.text("role", 120),
            is_active=entry.flag("active"),
            weight=entry.weight("assignment_weight"),
        )
        put(
            report, "lead owners", present.get(zoho_id), model=LeadOwner, place=entry.at(),
            identity={"office": office, "zoho_id": zoho_id}, values=values,
            defaults={"is_active": True, "weight": Decimal(1), "position": position}, extra=entry.rest(), synced=SYNCED,
        )  # fmt: skip


def _meta(meta: Table, office: Office, report: FileReport) -> None:
    meta.take("last_updated")
    total = meta.whole("total_active")
    active = office.lead_owners.filter(is_active=True).count()
    if total is not None and total != active:
        report.warn(f"{meta.at('total_active')}: it says {total:,}, and {active:,} are active. The list counts.")


def _rules(table: Table, top: Table, office: Office, known: dict[str, LeadOwner], report: FileReport) -> None:
    hours, departments = table.table("office_hours"), table.table("department_specific")
    values = given(
        round_robin=table.flag("round_robin"),
        respect_weights=table.flag("respect_weights"),
        fallback_owner_id=_owner_id(table, "fallback_owner_id", known, report),
        after_hours_owner_id=_owner_id(table, "after_hours_owner_id", known, report),
        office_hours_only=table.flag("office_hours_only"),
        hours_start=hours.clock("start"),
        hours_end=hours.clock("end"),
        hours_zone=_zone(hours, report),
        hours_days=_days(hours),
        by_department=departments.flag("enabled"),
    )
    pools = departments.table("mappings")
    found = {name: pools.ids(name) for name in pools.names()}
    for name in found:
        if not name.strip() or len(name) > 120:
            report.fail(f"{pools.at(name)}: a department has a name of at most 120 characters.")
    row = AssignmentRules.objects.filter(office=office).first()
    rules = put(
        report, "assignment rules", row, model=AssignmentRules, place=table.at(), identity={"office": office},
        values=values, extra=top.rest(),
    )  # fmt: skip
    if rules is None or report.errors:
        return
    if rules.hours_start == rules.hours_end:
        report.warn(f"{hours.at()}: start and end are the same time, so the hours say nothing. Correct one of them.")
    for name, ids in found.items():
        _pool(rules, name.strip(), ids, known, report, pools.at(name))


def _owner_id(table: Table, key: str, known: dict[str, LeadOwner], report: FileReport) -> str | None:
    value = table.identifier(key, ID_LENGTH) if table.take(key) != "" else ""
    if value and value not in known:
        report.warn(f"{table.at(key)}: {shown(value)} is none of the lead owners. It must at least be a user in Zoho.")
    return value


def _zone(hours: Table, report: FileReport) -> str | None:
    value = hours.text("timezone", 60)
    if not value:
        return value
    try:
        check_zone(value)
    except ValidationError:
        report.warn(f"{hours.at('timezone')}: {shown(value)} is no time zone; the office's own is taken.")
        return None
    return value


def _days(hours: Table) -> str | None:
    """ISO weekdays as the model keeps them: [1, 2, 3] is "123". The manual shows 1 to 5 for a working week."""
    days: Any = hours.take("days")
    if days is None:
        return None
    is_right = isinstance(days, list) and 0 < len(days) <= 7
    if not is_right or any(type(day) is not int or not 1 <= day <= 7 for day in days) or len(set(days)) < len(days):
        hours.wrong("days", "is no list of weekdays. Monday is 1, Sunday 7, each once, such as [1, 2, 3, 4, 5].")
        return None
    return "".join(map(str, sorted(days)))


def _pool(
    rules: AssignmentRules, name: str, ids: list[str], known: dict[str, LeadOwner], report: FileReport, place: str
) -> None:
    missing = [each for each in ids if each not in known]
    if missing:
        words = ", ".join(map(shown, missing[:10]))
        report.warn(f"{place}: {words} {'is' if len(missing) == 1 else 'are'} none of the lead owners; left out.")
    wanted = {known[each].pk for each in ids if each in known}
    pool = DepartmentPool.objects.filter(rules=rules, department=name).first()
    tally = report.tally("departments")
    if pool is None:
        pool = DepartmentPool.objects.create(rules=rules, department=name)
        pool.owners.set(wanted)
        tally.new += 1
    elif set(pool.owners.values_list("pk", flat=True)) != wanted:
        pool.owners.set(wanted)
        tally.changed += 1
        report.change(f"{place}: owners")
    else:
        tally.unchanged += 1
