"""Columns of the lists about calls."""

from __future__ import annotations

import dataclasses
from typing import Any
from zoneinfo import ZoneInfo

import django_tables2 as tables
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe

from portal import phone
from portal.tables import NOTHING
from portal.templatetags import portal as tags
from telephony import looks
from telephony.models import AssignmentDecision, Call, Caller
from telephony.templatetags.telephony import office_time

UTC = ZoneInfo("UTC")


def pill(found: looks.Pill) -> str:
    return render_to_string("partials/_state.html", dataclasses.asdict(found))


def record_address(module: str, record_id: str) -> str:
    """The portal's own page of the record; "" where the call has none."""
    is_address = module.isidentifier() and record_id.isdecimal()
    return reverse("record", args=[module, int(record_id)]) if is_address else ""


class CallTable(tables.Table):
    """`zone` is the clock for calls without an office. Times of all others are those of their own office."""

    started_at = tables.Column("Time", attrs={"td": {"class": "text-nowrap"}})
    caller = tables.Column(
        "Caller", empty_values=(), order_by=("name_told", "number"), attrs={"td": {"class": "call-caller"}}
    )
    line = tables.Column("Line, office", empty_values=(), orderable=False)
    outcome = tables.Column("Outcome, answered by", attrs={"td": {"class": "call-person"}})
    record = tables.Column("CRM record", empty_values=(), orderable=False)
    steps = tables.Column("Written", empty_values=(), orderable=False, attrs={"td": {"class": "call-steps-cell"}})
    state = tables.Column("State", attrs={"td": {"class": "call-state"}})

    caption = "Calls, newest first"

    class Meta:
        order_by = "-started_at"

    def __init__(self, data: Any, *, zone: ZoneInfo = UTC, may_view_records: bool = True) -> None:
        super().__init__(data)
        self.zone = zone
        self.may_view_records = may_view_records

    def render_started_at(self, record: Call) -> str:
        time = office_time(record.started_at, record.office.tz if record.office else self.zone)
        length = tags.duration(record.talk_seconds) if record.talk_seconds else ""
        words = f"{record.get_direction_display()}{', ' + length if length else ''}"
        return format_html(
            '<a href="{}">{}</a><div class="text-secondary">{}</div>', record.get_absolute_url(), time, words
        )

    def render_caller(self, record: Call) -> str:
        return format_html("{}{}", caller_words(record), _second(record.name_told))

    def render_line(self, record: Call) -> str:
        office = record.office.name if record.office else "No office"
        return format_html("{}{}", number_words(record.line) if record.line else NOTHING, _second(office))

    def render_outcome(self, record: Call) -> str:
        return format_html("{}{}", SafeString(pill(looks.outcome_pill(record))), _second(str(record.answered_by or "")))

    def render_record(self, record: Call) -> str:
        if record.state == Call.State.REVIEW:
            return format_html(
                '<a class="text-nowrap" href="{}#call-{}">Choose …</a>', reverse("call-review"), record.pk
            )
        return record_link(record, may_view_records=self.may_view_records)

    def render_steps(self, record: Call) -> str:
        marks = looks.step_marks(record.steps.all())
        return render_to_string("telephony/_step_marks.html", {"marks": marks}) if marks else NOTHING

    def render_state(self, record: Call) -> str:
        return format_html("{}{}", SafeString(pill(looks.call_pill(record))), _second(record.reason, "call-reason"))


def _second(words: str, css: str = "") -> str:
    """A second, quieter line of a cell."""
    return format_html('<div class="text-secondary {}">{}</div>', css, words) if words else ""


def number_words(number: str) -> str:
    return format_html('<span class="text-nowrap">{}</span>', phone.shown(number))


def caller_words(call: Call) -> str:
    """The other party's number as people read it, or what was told instead of one."""
    if call.number:
        return number_words(call.number)
    return (
        escape(call.number_told) if call.number_told else mark_safe('<em class="text-secondary">number withheld</em>')
    )


def record_link(call: Call | Caller, *, may_view_records: bool) -> str:
    if not call.record_id:
        return NOTHING
    words = call.module.removesuffix("s") or "Record"
    url = record_address(call.module, call.record_id)
    if not may_view_records or not url:
        return format_html('{} <span class="mono">{}</span>', words, call.record_id)
    return format_html(
        '<a class="text-nowrap" href="{}" title="Record {}">{} …{}</a>', url, call.record_id, words, call.record_id[-5:]
    )


class DecisionTable(tables.Table):
    """Who got which lead and why."""

    at = tables.Column("Time", order_by="pk")
    owner_name = tables.Column("Owner", empty_values=(), order_by=("owner_name",))
    how = tables.Column("Rule")
    reason = tables.Column("Why", orderable=False, attrs={"td": {"class": "run-message"}})
    call = tables.Column("Call", orderable=False)

    caption = "Decisions, newest first"

    class Meta:
        order_by = "-at"

    def __init__(self, data: Any, *, zone: ZoneInfo) -> None:
        super().__init__(data)
        self.zone = zone

    def render_at(self, record: AssignmentDecision) -> str:
        return office_time(record.at, self.zone)

    def render_owner_name(self, record: AssignmentDecision) -> str:
        return escape(record.owner_name or record.owner_id) or NOTHING

    def render_how(self, record: AssignmentDecision) -> str:
        return record.get_how_display()

    def render_call(self, record: AssignmentDecision) -> str:
        return format_html('<a href="{}">{}</a>', record.call.get_absolute_url(), f"Call {record.call_id}")
