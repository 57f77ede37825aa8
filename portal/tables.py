"""Columns of the core's lists."""

from __future__ import annotations

import datetime as dt
from typing import Any

import django_tables2 as tables
from django.http import HttpRequest
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.html import escape, format_html, format_html_join
from django.utils.safestring import mark_safe

from portal.cron_words import cron_words
from portal.models import AuditEntry, Run, RunEvent, RunItem, Schedule
from portal.queries import details_words, shown_state
from portal.run_account import kind_of, starter_of, values_words
from portal.templatetags import portal as tags

PER_PAGE = 50
NUMBER = {"td": {"class": "num"}, "th": {"class": "num"}}
NOTHING = mark_safe('<span class="text-secondary">&ndash;</span>')
TICK_ALL = mark_safe(
    '<input class="form-check-input js-only" type="checkbox" data-select-all="key"'
    ' aria-label="Select all records of this page">'
)


def paged(request: HttpRequest, table: Any) -> Any:
    """The table with the page and the order that the query string asks for."""
    tables.RequestConfig(request, paginate={"per_page": PER_PAGE}).configure(table)
    return table


def pill(subject: Any) -> str:
    return render_to_string("partials/_state.html", tags.state_pill(subject))


def run_link(run: Run | None, words: str = "") -> str:
    if run is None:
        return NOTHING
    return format_html('<a href="{}">{}</a>', reverse("run", args=[run.pk]), words or f"Run {run.pk}")


class RunTable(tables.Table):
    number = tables.Column("Run", accessor="pk", order_by="pk", attrs=NUMBER)
    title = tables.Column("What", attrs={"td": {"class": "run-title"}})
    connection = tables.Column("Connection", order_by="connection__name")
    state = tables.Column("State")
    counts = tables.Column("Records", empty_values=(), order_by="planned")
    who = tables.Column("Started by", empty_values=(), order_by="requested_by__username")
    started_at = tables.Column("Started", order_by="created_at", empty_values=())
    duration = tables.Column("Took", orderable=False, empty_values=(), attrs=NUMBER)

    class Meta:
        order_by = "-number"

    caption = "Runs, newest first"

    def render_number(self, record: Run) -> str:
        return run_link(record, str(record.pk))

    def render_title(self, record: Run) -> str:
        return format_html('{}<div class="text-secondary">{}</div>', run_link(record, record.title), kind_of(record))

    def render_connection(self, record: Run) -> str:
        assert record.connection is not None
        environment = record.connection.get_environment_display() if record.connection.environment else ""
        return format_html('{} <div class="text-secondary">{}</div>', record.connection.name, environment)

    def render_state(self, record: Run) -> str:
        return pill(shown_state(record))

    def render_counts(self, record: Run) -> str:
        return render_to_string("portal/_run_counts.html", {"run": record})

    def render_who(self, record: Run) -> str:
        return starter_of(record)

    def render_started_at(self, record: Run) -> str:
        if record.started_at is None:
            return format_html('<span class="text-secondary">made {}</span>', tags.ago(record.created_at))
        return tags.ago(record.started_at)

    def render_duration(self, record: Run) -> str:
        return tags.duration(record.duration)


class ItemTable(tables.Table):
    """Records of a run. `record_url` is the address of a record, at the vendor or here, with {key}, or "".

    `words`: what the two first columns are called; `without`: columns that say nothing in this kind of run.
    """

    select = tables.Column(TICK_ALL, empty_values=(), orderable=False)
    key = tables.Column("Record id")
    label = tables.Column("Name", attrs={"td": {"class": "wrap-anywhere"}})
    before = tables.Column("Before", orderable=False, empty_values=())
    after = tables.Column("New value", orderable=False, empty_values=())
    state = tables.Column("Outcome")
    code = tables.Column("Code", empty_values=())
    message = tables.Column("Message", orderable=False, empty_values=(), attrs={"td": {"class": "run-message"}})

    caption = "Records of this run"
    htmx_target = "#run-items"

    def __init__(
        self,
        data: Any,
        *,
        record_url: str = "",
        selectable: bool = False,
        words: tuple[str, str] = ("Record id", "Name"),
        without: tuple[str, ...] = (),
    ) -> None:
        super().__init__(data, exclude=without if selectable else ("select", *without))
        self.is_own_page = record_url.startswith("/") and not record_url.startswith("//")
        self.record_url = record_url if self.is_own_page or record_url.startswith(("https://", "http://")) else ""
        for name, word in zip(("key", "label"), words, strict=True):
            self.columns[name].column.verbose_name = word

    def render_select(self, record: RunItem) -> str:
        return format_html(
            '<input class="form-check-input" type="checkbox" name="key" value="{}" aria-label="Select record {}">',
            record.key,
            record.key,
        )

    def render_key(self, record: RunItem) -> str:
        if not self.record_url:
            return format_html('<span class="mono">{}</span>', record.key)
        address = self.record_url.replace("{key}", record.key)
        if self.is_own_page:
            return format_html('<a class="mono" href="{}">{}</a>', address, record.key)
        return format_html(
            '<a class="mono" href="{}" target="_blank" rel="noopener noreferrer">{}</a>', address, record.key
        )

    def render_before(self, record: RunItem) -> str:
        return _value(record.before)

    def render_after(self, record: RunItem) -> str:
        return _value(record.after)

    def render_state(self, record: RunItem) -> str:
        return pill(record)

    def render_code(self, record: RunItem) -> str:
        return format_html('<span class="mono">{}</span>', record.code) if record.code else NOTHING

    def render_message(self, record: RunItem) -> str:
        return escape(record.message) if record.message else NOTHING


def _value(values: dict[str, Any] | None) -> str:
    """A stored value; what was never read differs from what is blank."""
    if values is None:
        return NOTHING
    return escape(values_words(values)) or format_html('<em class="text-secondary">{}</em>', "blank")


class EventTable(tables.Table):
    at = tables.Column("Time", order_by="pk")
    level = tables.Column("Level")
    message = tables.Column("What happened", orderable=False)

    caption = "Log of this run"

    class Meta:
        order_by = "-at"

    def render_at(self, record: RunEvent) -> str:
        return exact_time(record.at)

    def render_level(self, record: RunEvent) -> str:
        name, tone = {"error": ("circle-x", "danger"), "warning": ("alert-triangle", "warning")}.get(
            record.level, ("info-circle", "neutral")
        )
        return render_to_string(
            "partials/_state.html",
            {"state": record.level, "label": record.get_level_display(), "icon_name": name, "tone": tone},
        )


def exact_time(moment: dt.datetime) -> str:
    """Date and time to the second, with the zone."""
    local = timezone.localtime(moment)
    return format_html(
        '<time datetime="{}">{} {}</time>', local.isoformat(), f"{local:%Y-%m-%d %H:%M:%S}", local.tzname() or "UTC"
    )


class AuditTable(tables.Table):
    at = tables.Column("Time", order_by="pk")
    actor = tables.Column("Person")
    address = tables.Column("From", orderable=False)
    action = tables.Column("Action")
    target = tables.Column("What", orderable=False)
    run_id = tables.Column("Run", orderable=False)
    details = tables.Column("Details", orderable=False)

    caption = "Audit entries, newest first"

    class Meta:
        order_by = "-at"

    def render_at(self, record: AuditEntry) -> str:
        return exact_time(record.at)

    def render_run_id(self, record: AuditEntry) -> str:
        return format_html('<a href="{}">{}</a>', reverse("run", args=[record.run_id]), record.run_id)

    def render_details(self, record: AuditEntry) -> str:
        return details_words(record.details)


class ScheduleTable(tables.Table):
    """`may_change` and `may_remove` say which buttons a row has."""

    name = tables.Column("Name")
    cron = tables.Column("When", orderable=False)
    next_at = tables.Column("Next", empty_values=())
    last_at = tables.Column("Last", empty_values=())
    missed = tables.Column("If missed", orderable=False)
    last_note = tables.Column("Note", orderable=False)
    owner = tables.Column("Owner")
    buttons = tables.Column("", orderable=False, empty_values=())

    caption = "Schedules"

    def __init__(self, data: Any, *, may_change: bool, may_remove: bool) -> None:
        super().__init__(data)
        self.rights = {"may_change": may_change, "may_remove": may_remove}

    def render_cron(self, record: Schedule) -> str:
        words = cron_words(record.cron)
        return format_html('{} <span class="text-secondary">{} ({})</span>', words, record.cron, record.zone)

    def render_next_at(self, record: Schedule) -> str:
        if not record.is_active:
            return render_to_string(
                "partials/_state.html",
                {"state": "paused", "label": "Paused", "icon_name": "player-pause", "tone": "neutral"},
            )
        return tags.zone_time(record.next_at)

    def render_last_at(self, record: Schedule) -> str:
        if record.last_at is None:
            return "never"
        link = format_html_join("", " {}", [(run_link(record.last_run),)] if record.last_run else [])
        return format_html("{}{}", tags.zone_time(record.last_at), link)

    def render_missed(self, record: Schedule) -> str:
        return record.get_missed_display()

    def render_buttons(self, record: Schedule) -> str:
        return render_to_string(
            "portal/_schedule_buttons.html", {"schedule": record, **self.rights}, request=self.request
        )
