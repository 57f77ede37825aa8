"""The left navigation: which pages there are, and which of them a person sees."""

from dataclasses import dataclass
from typing import TypedDict

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.urls import reverse


@dataclass(frozen=True)
class Page:
    label: str
    url_name: str
    icon: str
    permission: str = ""  # "" = everybody who is logged in
    active_prefix: str = ""  # "" = only its own address
    staff_only: bool = False


class Link(TypedDict):
    label: str
    url: str
    icon: str
    active: bool


NAV: tuple[Page, ...] = (
    Page("Home", "home", "home"),
    Page("Records", "records", "table", "crm.view_records", "/crm/records/"),
    Page("Bulk update", "bulk-update", "pencil", "crm.update_records", "/crm/bulk-update/"),
    Page("Calls", "calls", "phone", "telephony.view_calls", "/calls/"),
    Page("Runs", "runs", "list-check", "portal.view_run", "/runs/"),
    Page("Schedules", "schedules", "clock", "portal.view_schedule", "/schedules/"),
    Page("Connections", "connections", "plug-connected", "portal.view_run", "/connections/"),
    Page("Audit", "audit", "history", "portal.view_auditentry", "/audit/"),
    Page("Admin", "admin:index", "settings", active_prefix="/admin/", staff_only=True),
)


def links(user: AbstractBaseUser | AnonymousUser, path: str) -> list[Link]:
    """Links of the pages that the user may open; `path` (request.path) decides which one is marked as current."""
    return [_link(page, path) for page in NAV if _allowed(page, user)]


def _allowed(page: Page, user: AbstractBaseUser | AnonymousUser) -> bool:
    if page.staff_only and not getattr(user, "is_staff", False):
        return False
    return not page.permission or user.has_perm(page.permission)  # type: ignore[union-attr]


def _link(page: Page, path: str) -> Link:
    url = reverse(page.url_name)
    active = path.startswith(page.active_prefix) if page.active_prefix else path == url
    return {"label": page.label, "url": url, "icon": page.icon, "active": active}
