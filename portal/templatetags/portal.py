"""Tags and filters of the portal's pages."""

import datetime as dt
from typing import Any

from django import template
from django.forms import BoundField
from django.forms.boundfield import BoundWidget
from django.template.context import RequestContext
from django.templatetags.static import static
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portal.models import Connection, Run, RunItem

register = template.Library()

DASH = "\N{EN DASH}"  # stands for nothing, and between the ends of a range

# value of a state → icon and tone; the word comes from the state itself. Runs, items and connections share the words.
LOOKS: dict[str, tuple[str, str]] = {
    Run.State.QUEUED: ("clock", "neutral"),
    Run.State.RUNNING: ("loader-2", "info"),
    Run.State.WAITING: ("hourglass", "warning"),
    Run.State.STOPPING: ("player-pause", "warning"),
    Run.State.NEEDS_DECISION: ("help-circle", "warning"),
    Run.State.FINISHED: ("circle-check", "success"),
    Run.State.FINISHED_WITH_ERRORS: ("alert-triangle", "warning"),
    Run.State.STOPPED: ("player-stop", "neutral"),
    Run.State.FAILED: ("circle-x", "danger"),
    RunItem.State.PLANNED: ("circle-dashed", "neutral"),
    RunItem.State.SENT: ("send", "info"),
    RunItem.State.OK: ("circle-check", "success"),
    RunItem.State.SKIPPED: ("circle-minus", "neutral"),
    RunItem.State.UNKNOWN: ("help-circle", "warning"),
    Connection.State.UNCHECKED: ("circle-dashed", "neutral"),
    Connection.State.WORKING: ("circle-check", "success"),
    Connection.State.RECONNECT: ("key", "danger"),
    Connection.State.FAILING: ("alert-triangle", "danger"),
}
LABELS: dict[str, str] = dict([*Run.State.choices, *RunItem.State.choices, *Connection.State.choices])
MESSAGE_ICONS = {"success": "circle-check", "warning": "alert-triangle", "error": "alert-circle"}
# Kinds of form controls by the name of their widget class; every other widget is a one-line input.
CONTROLS = {
    "CheckboxInput": "checkbox",
    "CheckboxSelectMultiple": "options",
    "RadioSelect": "options",
    "Select": "select",
    "SelectMultiple": "select",
    "NullBooleanSelect": "select",
}
CONTROL_CLASSES = {"checkbox": "form-check-input", "options": "form-check-input", "select": "form-select"}


@register.simple_tag
def icon(name: str, css: str = "", label: str = "") -> SafeString:
    """An icon of the sprite; hidden from screen readers unless it has a label of its own."""
    voice = format_html('role="img" aria-label="{}"', label) if label else SafeString('aria-hidden="true"')
    return format_html(
        '<svg class="icon {}" fill="none" stroke="currentColor" stroke-linecap="round" stroke-linejoin="round" {}>'
        '<use href="{}#{}"></use></svg>',
        css,
        voice,
        static("vendor/tabler/icons.svg"),
        name,
    )


@register.inclusion_tag("partials/_state.html")
def state_pill(subject: Any) -> dict[str, str]:
    """The state of a run, an item or a connection (or a bare state value) as a pill with icon and words."""
    state = str(getattr(subject, "state", subject))
    label = LABELS.get(state, state.replace("_", " ").capitalize())
    if isinstance(subject, Run) and state == Run.State.WAITING and subject.wait:
        label = f"{label} {subject.get_wait_display()}"
    name, tone = LOOKS.get(state, ("help-circle", "neutral"))
    return {"state": state, "label": label, "icon_name": name, "tone": tone}


@register.inclusion_tag("partials/_progress.html")
def progress(run: Any, label: str = "Progress") -> dict[str, Any]:
    """Progress of anything with counts: planned, ok, failed, skipped, unknown. They always add up to planned."""
    planned: int = run.planned
    counts = [("ok", "OK"), ("failed", "Failed"), ("skipped", "Skipped"), ("unknown", "Unknown")]
    segments: list[dict[str, Any]] = []
    start = 0.0
    for key, word in counts:
        count: int = getattr(run, key)
        width = 100 * count / planned if planned else 0.0
        segments.append(
            {"key": key, "label": word, "count": count, "x": start, "width": width, "icon_name": LOOKS[key][0]}
        )
        start += width
    done = sum(segment["count"] for segment in segments)
    return {
        "label": label,
        "segments": segments,
        "planned": planned,
        "done": done,
        "remaining": max(planned - done, 0),
        "percent": int(100 * done / planned) if planned else 0,
    }


@register.filter
def num(value: Any) -> str:
    """A number with thousands separators, whole or as it is; a dash for nothing."""
    if value is None or value == "":
        return DASH
    return f"{value:,}" if isinstance(value, int | float) else str(value)


@register.filter
def duration(value: dt.timedelta | float | None) -> str:
    """A span (timedelta or seconds) in its two largest units: 1 d 2 h, 3 min 5 s, 12 s."""
    if value is None:
        return DASH
    seconds = int(value.total_seconds() if isinstance(value, dt.timedelta) else value)
    if seconds < 1:
        return "under 1 s"
    parts = []
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, size)
        parts.append((count, unit))
    first = next(position for position, (count, _) in enumerate(parts) if count)
    return " ".join(f"{count} {unit}" for count, unit in parts[first : first + 2] if count)


def _with_zone(moment: dt.datetime) -> str:
    """Local time in words, always with its zone; a zone without a name of its own is written as UTC-03."""
    local = timezone.localtime(moment)
    zone = local.tzname() or "UTC"
    if zone[0] in "+-":
        zone = f"UTC{zone}"
    return f"{local.day} {local:%b %Y, %H:%M} {zone}"


@register.filter
def zone_time(moment: dt.datetime | None) -> str:
    """A moment as date and time with its zone; a dash for nothing."""
    if moment is None:
        return DASH
    return format_html('<time datetime="{}">{}</time>', moment.isoformat(timespec="seconds"), _with_zone(moment))


@register.filter
def ago(moment: dt.datetime | None) -> str:
    """How long ago, or how soon; the full time with its zone is in the title."""
    if moment is None:
        return DASH
    seconds = (timezone.now() - moment).total_seconds()
    span = duration(abs(seconds)) if abs(seconds) < 60 else duration(abs(seconds) // 60 * 60)
    words = "just now" if abs(seconds) < 1 else f"{span} ago" if seconds > 0 else f"in {span}"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>', moment.isoformat(timespec="seconds"), _with_zone(moment), words
    )


@register.simple_tag(takes_context=True)
def query_replace(context: RequestContext, **changes: Any) -> str:
    """This page's query string with some parameters changed; None or "" removes one.

    Another filter starts at its first page, so `page` goes unless it is among the changes.
    """
    query = context["request"].GET.copy()
    query.pop("page", None)
    for name, value in changes.items():
        if value is None or value == "":
            query.pop(name, None)
        elif isinstance(value, list | tuple):
            query.setlist(name, [str(each) for each in value])
        else:
            query[name] = str(value)
    return f"?{query.urlencode()}"


@register.filter
def message_icon(tags: str) -> str:
    """Icon of a message by its level tag."""
    return MESSAGE_ICONS.get(tags, "info-circle")


@register.filter
def control_kind(field: BoundField) -> str:
    """How a field is laid out: checkbox, options (radio buttons, several checkboxes), select or input."""
    return CONTROLS.get(type(field.field.widget).__name__, "input")


@register.filter
def control(field: BoundField) -> SafeString:
    """The field's control with the classes that its kind and its errors call for."""
    return field.as_widget(attrs={"class": _classes(field)})


@register.filter
def control_options(field: BoundField) -> list[BoundWidget]:
    """The single controls of radio buttons or of several checkboxes."""
    field.field.widget.attrs["class"] = _classes(field)
    return list(field.subwidgets)


def _classes(field: BoundField) -> str:
    own = field.field.widget.attrs.get("class", "")
    kind = CONTROL_CLASSES.get(control_kind(field), "form-control")
    classes = [*own.split(), kind, "is-invalid" if field.errors else ""]
    return " ".join(dict.fromkeys(name for name in classes if name))


@register.filter
def shown_rows(table: Any) -> str:
    """Sentence about the page of a table: Showing 1 to 50 of 4,318; without the total where counting was left out."""
    page = table.page
    first = page.paginator.per_page * (page.number - 1) + 1
    try:
        total = f" of {page.paginator.count:,}"
        last = page.end_index()
    except NotImplementedError:
        total = ""
        last = first + len(page.object_list) - 1
    return f"Showing {first:,}{DASH}{last:,}{total}" if last >= first else "No rows"


@register.filter
def sort_direction(column: Any) -> str:
    """Value of aria-sort: ascending, descending or none."""
    if not column.is_ordered:
        return "none"
    return "descending" if column.order_by_alias.is_descending else "ascending"
