"""What a call puts into the fields of the lead that it creates: mappings, their check, and the values.

Values fit their fields as Zoho's metadata describes them. What does not fit is left out and said in a remark, which
repeats nothing that the caller gave.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from django.core.exceptions import ValidationError
from django.db.models import Q

from crm.zoho.schema import Field
from portal import phone
from telephony import caller_names
from telephony.field_values import Fitted, Unfit, fit, longest
from telephony.models import AssignmentDecision, Call, CallSettings, Extension, FieldMapping, Office
from telephony.plain_text import cut, line, units
from telephony.statuses import Key, Problem, Statuses, check_picklist
from telephony.template_text import Template, Value, clock, parse

CallType = FieldMapping.CallType
OWNER = "Owner"
# The owner's field is named in several ways: Zoho's own, with the part that is written, and as older files have it.
OWNER_NAMES = (OWNER, "Owner.id", "Lead_Owner", "Lead_Owner.id")
FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]*")
USER_ID = re.compile(r"[0-9]{1,20}")
# What leads of calls get when nothing is configured for the type of call.
DEFAULTS: Mapping[str, str] = {
    "Phone": "Phone",
    "First_Name": "First_Name",
    "Last_Name": "Last_Name",
    "Company": "Company",
    "Email": "Email",
    "Lead_Source": "Lead_Source",
    "Lead_Status": "Lead_Status",
    OWNER: "${lead_owner_id}",
}
# Without these a lead is refused, found by nobody, or belongs to nobody: configured mappings are completed with them,
# unless a row switches one off.
ESSENTIAL = ("Phone", "Last_Name", "Lead_Source", "Lead_Status", OWNER)
# Fields that Zoho demands although a caller may be unknown.
NAMED_FALLBACK = ("Last_Name", "Company")
MARKED_TYPES = ("text", "textarea")
# Of the longest id that a call can have here.
LONGEST_MARKER = 127


@dataclass(frozen=True)
class Mapped:
    """A field of Zoho and the template that fills it; `target` is the API name that is written."""

    target: str
    template: Template


@dataclass(frozen=True)
class Contact:
    """What is known of the caller from elsewhere than the call."""

    name: str = ""
    company: str = ""
    email: str = ""


NOBODY = Contact()


@dataclass(frozen=True)
class Remark:
    """A field that was left out or shortened, and why."""

    field: str
    what: str


@dataclass(frozen=True)
class LeadValues:
    """Zoho's JSON by API name, without empty values, and what could not be written as it was wanted."""

    values: dict[str, Any]
    remarks: list[Remark]


@dataclass(frozen=True)
class Mappings:
    """All that an office has configured for new leads; load it once a run."""

    accepted: tuple[Mapped, ...]
    missed: tuple[Mapped, ...]
    statuses: Statuses
    lead_source: str
    marker_field: str
    broken: tuple[Problem, ...] = ()
    number_format: str = "e164"

    @classmethod
    def load(cls, office: Office | None) -> Mappings:
        """An office's own row for a field comes before the row for all offices; a row that is off leaves the field out.

        Rows with an open question count as absent.
        """
        scope = Q(office__isnull=True) | Q(office=office)
        rows = [row for row in FieldMapping.objects.filter(scope) if row.is_active or not row.question]
        settings = CallSettings.load()
        problems: list[Problem] = []
        return cls(
            accepted=_merged(rows, CallType.ACCEPTED, problems),
            missed=_merged(rows, CallType.MISSED, problems),
            statuses=Statuses.load(office),
            lead_source=settings.lead_source.strip(),
            marker_field=settings.marker_field,
            broken=tuple(problems),
            number_format=settings.number_format,
        )

    def of(self, call: Call) -> tuple[Mapped, ...]:
        """Calls of other outcomes that create a lead, such as outbound ones, are mapped like accepted ones."""
        return self.missed if call.is_missed else self.accepted

    def with_rows(self, call_type: str, rows: Sequence[FieldMapping]) -> Mappings:
        """The same with other rows for one type of call, saved or not."""
        problems: list[Problem] = []
        merged = _merged(rows, call_type, problems)
        if call_type == CallType.MISSED:
            return replace(self, missed=merged, broken=tuple(problems))
        return replace(self, accepted=merged, broken=tuple(problems))


def default_rows(office: Office | None, call_type: str) -> list[FieldMapping]:
    """The built-in mapping as unsaved rows, to start from."""
    return [
        FieldMapping(office=office, call_type=call_type, field=target, template=template, position=position)
        for position, (target, template) in enumerate(DEFAULTS.items(), start=1)
    ]


def _merged(rows: Sequence[FieldMapping], call_type: str, problems: list[Problem]) -> tuple[Mapped, ...]:
    own = [row for row in rows if row.call_type == call_type]
    chosen = {
        target_of(row.field): row for row in sorted(own, key=lambda row: (row.office_id is not None, row.position))
    }
    ordered = sorted(chosen.items(), key=lambda entry: entry[1].position)
    found: dict[str, Mapped] = {}
    for target, row in ordered:
        if row.is_active:
            try:
                found[target] = Mapped(target, parse(row.template))
            except ValidationError as error:
                problems.append(Problem(row.field, " ".join(error.messages)))
    left_out = [target for target, row in chosen.items() if not row.is_active]
    for target in ESSENTIAL if any(row.is_active for row in own) else DEFAULTS:
        if target not in found and target not in left_out:
            found[target] = Mapped(target, parse(DEFAULTS[target]))
    return tuple(found.values())


def target_of(field_name: str) -> str:
    """The API name that is written for a field as it is named in a mapping."""
    return OWNER if field_name in OWNER_NAMES else field_name


def check(template: str, field: str) -> None:
    """Raises ValidationError, with the errors of `field` and `template`; those of the template name their position."""
    wrong: dict[str, Any] = {}
    if field not in OWNER_NAMES and not FIELD_NAME.fullmatch(field):
        wrong["field"] = f"“{field}” is no API name of a field, such as Last_Name."
    try:
        parsed = parse(template)
    except ValidationError as error:
        wrong["template"] = error
    else:
        if target_of(field) == OWNER and not _is_owner(parsed):
            wrong["template"] = (
                "The owner takes ${lead_owner_id} or the id of a Zoho user, in digits, and nothing else."
            )
    if wrong:
        raise ValidationError(wrong)


def _is_owner(template: Template) -> bool:
    return str(template) == "${lead_owner_id}" or (
        template.is_constant and USER_ID.fullmatch(str(template)) is not None
    )


# --- the values -------------------------------------------------------------------------------------------------------


def lead_values(
    call: Call, office: Office, decision: AssignmentDecision | None, mappings: Mappings, fields: Sequence[Field],
    *, contact: Contact = NOBODY,
) -> LeadValues:  # fmt: skip
    """The fields of a new lead. `fields`: those of Leads as Zoho describes them now."""
    known = {entry.api_name: entry for entry in fields}
    values = _variables(call, office, decision, contact)
    sources = _sources(call, office, mappings, contact, values)
    found: dict[str, Any] = {}
    remarks = [Remark(problem.place, f"{problem.what} Left out.") for problem in mappings.broken]
    for mapped in mappings.of(call):
        try:
            filled = _fill(known.get(mapped.target), mapped.template, values, sources, office)
        except Unfit as unfit:
            remarks.append(Remark(mapped.target, f"{unfit} Left out."))
            continue
        if filled.value not in ("", None, []):
            is_number = known[mapped.target].data_type == "phone"
            found[mapped.target] = phone.written(filled.value, mappings.number_format) if is_number else filled.value
        if filled.remark:
            remarks.append(Remark(mapped.target, filled.remark))
    for name in NAMED_FALLBACK:
        if name not in found and _must_be_named(name, known):
            found[name] = _unnamed(call)
    return LeadValues(found, remarks)


def _fill(
    field: Field | None, template: Template, values: Mapping[str, Value], sources: Mapping[str, str], office: Office
) -> Fitted:
    """The value for the field; "" when there is none. Raises Unfit."""
    if field is None:
        raise Unfit("Zoho's leads have no such field that the connection can see.")
    # In a list that has a value such as “Phone”, the word is that value: no number belongs there.
    is_choice = template.source in [choice.value for choice in field.choices]
    value = template.source if is_choice else template.render(values, sources)
    if value == "":
        return Fitted("")
    try:
        return fit(field, value, office)
    except Unfit as unfit:
        # A word of our own settings may be repeated; what the caller gave may not.
        is_ours = template.is_constant or template.source in ("Lead_Source", "Lead_Status")
        raise Unfit(f"“{value}”: {unfit}" if is_ours and field.data_type == "picklist" else str(unfit)) from None


def _variables(call: Call, office: Office, decision: AssignmentDecision | None, contact: Contact) -> dict[str, Value]:
    extension = call.answered_by or call.extension
    return {
        "caller_name": line(caller_names.person_of(call.name_told, call.location_told) or contact.name),
        "caller_number": call.number,
        "caller_company": line(contact.company),
        "caller_location": line(call.location_told),
        "call_time": call.started_at.astimezone(office.tz),
        "call_duration": "" if call.total_seconds is None else call.total_seconds,
        "extension_name": line(extension.name) if extension else "",
        "lead_owner_id": decision.owner_id if decision else "",
        "call_id": call.key,
        "call_direction": str(Call.Direction(call.direction).label),
        "call_outcome": str(Call.Outcome(call.outcome).label),
        "office_name": office.name,
        "City": office.city,
        "State": office.state,
        "Street": office.street,
        "Zip_Code": office.zip_code,
    }


def _sources(
    call: Call, office: Office, mappings: Mappings, contact: Contact, values: Mapping[str, Value]
) -> dict[str, str]:
    first, last = caller_names.split(str(values["caller_name"]))
    return {
        "Phone": str(values["caller_number"]),
        "First_Name": first,
        "Last_Name": last,
        "Company": str(values["caller_company"]),
        "Email": contact.email,
        "Description": _about(call, office),
        "City": office.city,
        "State": office.state,
        "Street": office.street,
        "Zip_Code": office.zip_code,
        "Lead_Status": mappings.statuses.of_new_lead(call),
        "Lead_Source": mappings.lead_source or str(values["extension_name"]),
    }


def _about(call: Call, office: Office) -> str:
    length = "" if call.total_seconds is None else f", {call.total_seconds} s"
    outcome = Call.Outcome(call.outcome).label.lower()
    return f"{Call.Direction(call.direction).label} call, {outcome}, {clock(call.started_at.astimezone(office.tz))}{length}"


def _must_be_named(name: str, known: Mapping[str, Field]) -> bool:
    """Zoho refuses every lead without a last name; a company only where the organisation made it mandatory."""
    return name == "Last_Name" or (name in known and known[name].is_mandatory)


def _unnamed(call: Call) -> str:
    """The whole number stands in its own field; the name goes into mails and lists."""
    return f"Unknown {phone.masked(call.number)}" if call.number else "Unknown caller"


# --- the call's marker in the lead ------------------------------------------------------------------------------------


def marker_of(call: Call) -> str:
    """Text by which what was written for a call is found again, whole: “[call s-abc123]”."""
    return f"[call {call.key}]"


def with_marker(values: Mapping[str, Any], field_name: str, call: Call, fields: Sequence[Field]) -> dict[str, Any]:
    """The values with the call's marker at the end of a text field; what stood there is cut before the marker is.

    Raises ValueError when the field cannot hold it: without a marker a lead is not found again after a broken call.
    """
    marker = marker_of(call)
    field = _named(field_name, fields)
    wrong = _why_no_marker(field, units(marker))
    if wrong or field is None:
        raise ValueError(f"The marker field {field_name} cannot be used: {wrong}")
    between = "\n" if field.data_type == "textarea" else " "
    before = cut(str(values.get(field_name) or ""), longest(field) - units(between + marker)).rstrip()
    return {**values, field_name: f"{before}{between}{marker}" if before else marker}


def has_marker(record: Mapping[str, Any], field_name: str, call: Call) -> bool:
    return marker_of(call) in str(record.get(field_name) or "")


def _why_no_marker(field: Field | None, needed: int) -> str:
    if field is None:
        return "Zoho's leads have no such field that the connection can see."
    if not field.is_writable:
        return "Zoho does not let programs change it."
    if field.data_type not in MARKED_TYPES:
        return f"It has the type {field.data_type}; choose a text field."
    if longest(field) < needed:
        return f"It holds {longest(field)} characters, and the marker has {needed}."
    return ""


# --- the check against Zoho -------------------------------------------------------------------------------------------


def check_against(mappings: Mappings, fields: Sequence[Field]) -> list[Problem]:
    """What of the mappings Zoho's metadata does not bear out."""
    found = list(mappings.broken)
    for call_type in CallType:
        found.extend(_misfits(call_type, mappings, fields))
    named = {f"Status, {Key(key).label}": value for key, value in mappings.statuses.names.items()}
    found.extend(check_picklist(named, fields))
    wrong = _why_no_marker(_named(mappings.marker_field, fields), LONGEST_MARKER)
    if wrong:
        found.append(Problem(f"Marker field {mappings.marker_field}", wrong))
    return found


def _misfits(call_type: CallType, mappings: Mappings, fields: Sequence[Field]) -> list[Problem]:
    mapped = mappings.of(sample_call(call_type))
    wrong = {entry.target: misfit(entry, call_type, mappings, fields) for entry in mapped}
    filled = {*wrong, *NAMED_FALLBACK}
    for field in fields:
        if field.is_mandatory and field.is_writable and field.api_name not in filled:
            wrong[field.api_name] = "Zoho demands this field, and no mapping fills it."
    found = [Problem(f"{call_type.label}, {name}", what) for name, what in wrong.items() if what]
    if not any(_takes_number(entry, fields) for entry in mapped):
        what = "No telephone field takes the caller's number, so the next call makes another lead."
        found.append(Problem(call_type.label, what))
    return found


def misfit(mapped: Mapped, call_type: str, mappings: Mappings, fields: Sequence[Field]) -> str:
    """Why the field cannot take what its template gives for an invented call of that type; "" when it can."""
    field = _named(mapped.target, fields)
    template = mapped.template
    is_list = field is not None and field.data_type == "picklist" and field.is_writable
    if is_list and not template.is_constant and template.source != "Lead_Source":
        return ""  # which value comes out is known with the call only; the statuses are checked by themselves
    call = sample_call(call_type)
    values = _variables(call, SAMPLE_OFFICE, SAMPLE_DECISION, SAMPLE_CONTACT)
    sources = _sources(call, SAMPLE_OFFICE, mappings, SAMPLE_CONTACT, values)
    try:
        filled = _fill(field, template, values, sources, SAMPLE_OFFICE)
    except Unfit as unfit:
        return str(unfit)
    return filled.remark if template.is_constant else ""


def _named(api_name: str, fields: Sequence[Field]) -> Field | None:
    return next((entry for entry in fields if entry.api_name == api_name), None)


def _takes_number(mapped: Mapped, fields: Sequence[Field]) -> bool:
    field = _named(mapped.target, fields)
    is_number = mapped.template.source == "Phone" or "caller_number" in mapped.template.variables
    return field is not None and field.data_type == "phone" and is_number


# --- an invented call, for the check and where none has come yet ------------------------------------------------------

SAMPLE_OFFICE = Office(
    name="Office", city="Oakland", state="CA", street="1 Main Street", zip_code="94601", zone="UTC", region="US"
)
SAMPLE_DECISION = AssignmentDecision(owner_id="4876876000000123001", owner_name="Ann Example")
SAMPLE_CONTACT = Contact(company="Example Movers", email="jane@example.com")


def sample_call(call_type: str) -> Call:
    """A call of that type that nobody made; it is not saved."""
    is_missed = call_type == CallType.MISSED
    start = dt.datetime(2026, 3, 2, 19, 0, tzinfo=dt.UTC)
    seconds = 20 if is_missed else 95
    extension = Extension(rc_id="101", number="101", name="Sales")
    return Call(
        key="s-example",
        direction=Call.Direction.INBOUND,
        outcome=Call.Outcome.MISSED if is_missed else Call.Outcome.ACCEPTED,
        started_at=start,
        ended_at=start + dt.timedelta(seconds=seconds),
        total_seconds=seconds,
        talk_seconds=0 if is_missed else 80,
        number="+15105550123",
        number_told="+15105550123",
        name_told="Jane Miller",
        location_told="Oakland, CA",
        line="+15105550100",
        extension=extension,
        answered_by=None if is_missed else extension,
    )
