"""Tables of the bulk update."""

from typing import Any

import django_tables2 as tables
from django.utils.html import format_html
from django.utils.safestring import SafeString

from crm.queries import record_url, value_of
from portal.models import Run, RunItem


class PlanTable(tables.Table):
    """Records of a plan: present and new value, or why nothing changes."""

    choose = tables.CheckBoxColumn(
        accessor="key", attrs={"th__input": {"data-select-all": "choose", "aria-label": "Select all on this page"}}
    )
    key = tables.Column(verbose_name="Record id", attrs={"td": {"class": "mono"}})
    label = tables.Column(
        verbose_name="Record", order_by=("label",), default="–", attrs={"td": {"class": "wrap-anywhere"}}
    )
    before = tables.Column(verbose_name="Current", empty_values=(), orderable=False)
    after = tables.Column(verbose_name="New", empty_values=(), orderable=False)
    message = tables.Column(verbose_name="Note", default="", order_by=("code",))

    class Meta:
        model = RunItem
        fields = ("choose", "key", "label", "before", "after", "message")
        order_by = ("position",)
        empty_text = "No record fits this filter."
        attrs = {"class": "table table-vcenter card-table table-cards"}

    def __init__(self, *args: Any, run: Run, **kwargs: Any) -> None:
        self.run = run
        self.field = run.parameters.get("field", "")
        super().__init__(*args, **kwargs)

    def render_key(self, value: str) -> SafeString | str:
        url = record_url(self.run, value)
        return format_html('<a href="{}" rel="noreferrer">{}</a>', url, value) if url else value

    def render_before(self, record: RunItem) -> str:
        if record.before is None:
            return "not read" if record.read_at is None else "–"
        return value_of(record, "before", self.field) or "blank"

    def render_after(self, record: RunItem) -> SafeString | str:
        if record.state == RunItem.State.SKIPPED:
            return "–"
        value = value_of(record, "after", self.field) or "blank"
        return format_html('<span class="changed" title="will change">→ {}</span>', value)
