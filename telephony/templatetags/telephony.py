"""Tags and filters of the pages about calls."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any
from zoneinfo import ZoneInfo

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from portal import phone
from portal.templatetags.portal import DASH, duration
from telephony import looks
from telephony.models import Call, CallStep, LeadOwner, Office

register = template.Library()


@register.inclusion_tag("partials/_state.html")
def call_state(call: Call) -> dict[str, str]:
    return _context(looks.call_pill(call))


@register.inclusion_tag("partials/_state.html")
def call_outcome(call: Call) -> dict[str, str]:
    return _context(looks.outcome_pill(call))


@register.inclusion_tag("partials/_state.html")
def step_state(step: CallStep) -> dict[str, str]:
    return _context(looks.step_pill(step))


@register.inclusion_tag("partials/_state.html")
def owner_state(owner: LeadOwner) -> dict[str, str]:
    return _context(looks.pill_of(owner.zoho_state, owner.get_zoho_state_display(), looks.OWNERS))


def _context(pill: looks.Pill) -> dict[str, str]:
    return dataclasses.asdict(pill)


@register.filter
def number(value: str) -> str:
    """A number in E.164 as people read it."""
    return phone.shown(value) if value else DASH


@register.filter
def in_zone(moment: dt.datetime | None, office: Office | None) -> str:
    """Date and time on the clock of the office (UTC without one), the time in UTC in its title; this year without it."""
    if moment is None:
        return DASH
    return office_time(moment, office.tz if office else ZoneInfo("UTC"))


def office_time(moment: dt.datetime, zone: ZoneInfo) -> SafeString:
    local, utc = moment.astimezone(zone), moment.astimezone(dt.UTC)
    day = f"{local.day} {local:%b}" if local.year == dt.datetime.now(zone).year else f"{local.day} {local:%b %Y}"
    return format_html(
        '<time datetime="{}" title="{}">{}</time>',
        utc.isoformat(timespec="seconds"),
        f"{utc:%Y-%m-%d %H:%M:%S} UTC",
        f"{day}, {local:%H:%M} {zone_name(local)}",
    )


def zone_name(local: dt.datetime) -> str:
    """PST, CET; a zone without a name of its own is written as UTC-03."""
    name = local.tzname() or "UTC"
    return f"UTC{name}" if name[0] in "+-" else name


@dataclasses.dataclass(frozen=True)
class Leg:
    """A leg of a call for the screen; `result` is RingCentral's own word."""

    time: str
    title: str
    result: str
    tone: str
    words: str


@register.simple_tag
def call_leg(leg: dict[str, Any], call: Call) -> Leg:
    """A leg as telephony.folding stores it: who rang when, for how long, and what came of it."""
    told = str(leg.get("at") or "")
    zone = call.office.tz if call.office else ZoneInfo("UTC")
    time = f"{dt.datetime.fromisoformat(told).astimezone(zone):%H:%M:%S}" if told else DASH
    who = str(leg.get("extension") or leg.get("to") or leg.get("from") or "unknown")
    seconds = leg.get("seconds")
    facts = [
        str(leg.get("action") or ""),
        f"{leg['from']} → {leg['to']}" if leg.get("from") and leg.get("to") else "",
        duration(seconds) if seconds else "",
        str(leg.get("reason") or ""),
        "recorded" if leg.get("recording") else "",
        "voicemail left" if leg.get("voicemail") else "",
    ]
    title = f"{who} talked" if leg.get("answered") else who
    tone = "success" if leg.get("answered") else "neutral"
    return Leg(time, title, str(leg.get("result") or ""), tone, " · ".join(fact for fact in facts if fact))
