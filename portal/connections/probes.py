"""The small reads by which a Zoho connection is examined. Raw JSON of the vendor stops here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from portal.connections.editions import Edition, edition_of
from portal.remote.errors import BadReply, RemoteError
from portal.remote.session import RemoteSession, Request

API = "/crm/v8"
# The module that the checks read; another readable one where an organisation hides it.
PREFERRED_MODULE = "Leads"
USERS_PER_PAGE = 200
LONGEST_USER_LIST = 5


@dataclass(frozen=True)
class Organisation:
    """`environment`: production, sandbox, developer, bigin, or empty; `number`: what Zoho calls zgid."""

    number: str
    name: str
    environment: str
    edition: Edition


@dataclass(frozen=True)
class ApiUser:
    email: str
    is_active: bool
    is_confirmed: bool


@dataclass(frozen=True)
class ModuleAccess:
    """One module that the API serves; `is_editable` is the permission of the connection's user."""

    name: str
    is_viewable: bool
    is_editable: bool


class Probes:
    """Reads of one session. Each method raises RemoteError; nothing here writes."""

    def __init__(self, session: RemoteSession) -> None:
        self.session = session

    def organisation(self) -> Organisation:
        """https://www.zoho.com/crm/developer/docs/api/v8/get-org-data.html"""
        request = Request("GET", f"{API}/org", "org")
        org = self._first(request, "org")
        license_details = org.get("license_details")
        return Organisation(
            number=str(org.get("zgid") or org.get("id") or ""),
            name=str(org.get("company_name") or ""),
            environment=str(org.get("type") or "").lower(),
            edition=edition_of(license_details if isinstance(license_details, Mapping) else {}),
        )

    def current_user(self) -> ApiUser:
        """Whoever authorised the connection. https://www.zoho.com/crm/developer/docs/api/v8/get-users.html"""
        return _user(self._first(Request("GET", f"{API}/users", "users", params={"type": "CurrentUser"}), "users"))

    def user_by_email(self, email: str) -> ApiUser | None:
        """An active, confirmed user with this address, looked for in the first thousand."""
        for page in range(1, LONGEST_USER_LIST + 1):
            params = {"type": "ActiveConfirmedUsers", "page": page, "per_page": USERS_PER_PAGE}
            rows = self._rows(Request("GET", f"{API}/users", "users", params=params), "users")
            for row in rows:
                if str(row.get("email") or "").lower() == email.lower():
                    return _user(row)
            if len(rows) < USERS_PER_PAGE:
                break
        return None

    def modules(self) -> list[ModuleAccess]:
        """https://www.zoho.com/crm/developer/docs/api/v8/modules-api.html"""
        rows = self._rows(Request("GET", f"{API}/settings/modules", "settings.modules"), "modules")
        return [
            ModuleAccess(str(row.get("api_name")), row.get("viewable") is not False, row.get("editable") is not False)
            for row in rows
            if row.get("api_supported") and row.get("generated_type") in ("default", "custom")
        ]

    def fields(self, module: str) -> int:
        """Number of fields."""
        request = Request("GET", f"{API}/settings/fields", "settings.fields", params={"module": module})
        return len(self._rows(request, "fields"))

    def views(self, module: str) -> int:
        """Number of views."""
        request = Request("GET", f"{API}/settings/custom_views", "settings.custom_views", params={"module": module})
        return len(self._rows(request, "custom_views"))

    def records(self, module: str) -> int:
        """0 or 1: one record is asked for."""
        params = {"fields": "id", "per_page": 1}
        return len(self._rows(Request("GET", f"{API}/{module}", "records.list", params=params), "data"))

    def query(self, module: str) -> int:
        """A COQL query by POST that changes nothing; it must have a WHERE."""
        request = Request(
            "POST",
            f"{API}/coql",
            "coql",
            json={"select_query": f"select id from {module} where id is not null limit 1"},  # noqa: S608 a module name
            heavy=True,
            write=False,
            repeatable=True,
        )
        return len(self._rows(request, "data"))

    def search(self, module: str) -> int:
        """A search for a word that no record needs to have."""
        params = {"word": "portal", "fields": "id", "per_page": 1}
        return len(self._rows(Request("GET", f"{API}/{module}/search", "records.search", params=params), "data"))

    def _rows(self, request: Request, key: str) -> list[Mapping[str, Any]]:
        """The list under `key`; an answer without a body (204) is an empty one."""
        reply = self.session.call(request)
        if reply.status == 204:
            return []
        rows = reply.json.get(key) if isinstance(reply.json, Mapping) else None
        if not isinstance(rows, list):
            raise BadReply(
                f"The answer has no list “{key}”.",
                service="Zoho CRM",
                endpoint=request.endpoint,
                status=reply.status,
                request_id=reply.request_id,
            )
        return [row for row in rows if isinstance(row, Mapping)]

    def _first(self, request: Request, key: str) -> Mapping[str, Any]:
        rows = self._rows(request, key)
        if not rows:
            raise BadReply("The answer is empty.", service="Zoho CRM", endpoint=request.endpoint)
        return rows[0]


def _user(row: Mapping[str, Any]) -> ApiUser:
    return ApiUser(
        email=str(row.get("email") or ""),
        is_active=row.get("status") == "active",
        is_confirmed=row.get("confirm") is not False,
    )


def module_to_read(modules: list[ModuleAccess]) -> ModuleAccess | None:
    """The preferred module if its records may be seen, else the first one that may."""
    viewable = [module for module in modules if module.is_viewable]
    return next((module for module in viewable if module.name == PREFERRED_MODULE), viewable[0] if viewable else None)


def is_about_permission(error: RemoteError) -> bool:
    """The profile of the connection's user forbids it: no scope helps."""
    return error.status == 403 or error.code in ("NO_PERMISSION", "AUTHORIZATION_FAILED")
