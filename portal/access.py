"""Who may do what: the four roles, and the guard of each view."""

from collections.abc import Callable
from functools import wraps
from ipaddress import ip_address
from typing import Any

from django.conf import settings
from django.contrib.auth.middleware import LoginRequiredMiddleware
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest
from django.http.response import HttpResponseBase
from django.utils.http import url_has_allowed_host_and_scheme
from django_htmx.http import HttpResponseClientRefresh

from portal.models import Connection, Run

# Who acts: somebody logged in, or nobody (a command, a schedule).
Person = User | AnonymousUser

VIEWER = ("portal.view_run", "crm.view_records", "telephony.view_calls")
OPERATOR = (*VIEWER, "portal.operate_run", "crm.update_records", "crm.export_records", "telephony.process_calls")
SUPERVISOR = (*OPERATOR, "portal.operate_any_run", "portal.approve_run", "portal.view_auditentry")
ADMINISTRATOR = (
    *SUPERVISOR,
    "portal.manage_connections",
    "portal.view_connection",
    "portal.view_apiusage",
    "portal.view_worker",
    "portal.add_schedule",
    "portal.change_schedule",
    "portal.delete_schedule",
    "portal.view_schedule",
    "crm.add_picklistpreference",
    "crm.change_picklistpreference",
    "crm.delete_picklistpreference",
    "crm.view_picklistpreference",
    "crm.add_mandatoryfield",
    "crm.change_mandatoryfield",
    "crm.delete_mandatoryfield",
    "crm.view_mandatoryfield",
    "telephony.configure_calls",
    *(
        f"telephony.{act}_{model}"
        for act in ("add", "change", "delete", "view")
        for model in (
            "assignmentrules",
            "callrule",
            "departmentpool",
            "excludednumber",
            "extension",
            "fieldmapping",
            "leadowner",
            "office",
            "overwritablestatus",
            "recipient",
            "statusname",
        )
    ),
    *(f"telephony.{act}_{model}" for act in ("change", "view") for model in ("callsettings", "mailsettings")),
    *(f"telephony.view_{model}" for model in ("assignmentdecision", "call", "callstep", "caller", "subscription")),
    "auth.add_user",
    "auth.change_user",
    "auth.view_user",
    "auth.view_group",
)
ROLES: dict[str, tuple[str, ...]] = {
    "Viewer": VIEWER,
    "Operator": OPERATOR,
    "Supervisor": SUPERVISOR,
    "Administrator": ADMINISTRATOR,
}


def grant_roles() -> None:
    """Makes the role groups and gives them what ROLES says; what an administrator added to a group stays.

    Runs after each migration, because permissions of a new app exist only then.
    """
    permissions = {
        f"{app_label}.{codename}": pk
        for pk, app_label, codename in Permission.objects.values_list("pk", "content_type__app_label", "codename")
    }
    for role, names in ROLES.items():
        group, _ = Group.objects.get_or_create(name=role)
        group.permissions.add(*(permissions[name] for name in names))


class LoginRequired(LoginRequiredMiddleware):
    def handle_no_permission(self, request: HttpRequest, view_func: Callable[..., Any]) -> Any:
        """Of a page that renews a part of itself after the login has ended, all is loaded anew: the login page."""
        if getattr(request, "htmx", False):
            return HttpResponseClientRefresh()
        return super().handle_no_permission(request, view_func)


def way_back(request: HttpRequest, otherwise: str) -> str:
    """The address of this portal that a form names as `next`."""
    wanted = request.POST.get("next", "")
    is_ours = wanted.startswith("/") and url_has_allowed_host_and_scheme(wanted, allowed_hosts=None)
    return wanted if is_ours else otherwise


def permission_required(
    *permissions: str,
) -> Callable[[Callable[..., HttpResponseBase]], Callable[..., HttpResponseBase]]:
    """Refuses with 403 who lacks any of the permissions; login itself is the middleware's matter."""

    def decorate(view: Callable[..., HttpResponseBase]) -> Callable[..., HttpResponseBase]:
        @wraps(view)
        def guarded(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
            if not request.user.has_perms(permissions):
                raise PermissionDenied
            return view(request, *args, **kwargs)

        return guarded

    return decorate


def may_operate(user: Person, run: Run) -> bool:
    """Own runs need one permission, everybody else's the stronger one."""
    needed = "portal.operate_run" if run.requested_by_id == user.pk else "portal.operate_any_run"
    return bool(user.has_perm(needed))


def may_use(user: Person, connection: Connection | None) -> bool:
    """A temporary connection acts with its owner's own account at the vendor: nobody else starts anything with it."""
    is_temporary = connection is not None and connection.source == Connection.Source.TEMPORARY
    return not is_temporary or connection.created_by_id == user.pk  # type: ignore[union-attr]


def client_address(request: HttpRequest | None) -> str | None:
    """The visitor's address: the peer's, or what the configured number of trusted proxies says."""
    if request is None:
        return None
    peer = _valid_address(request.META.get("REMOTE_ADDR", ""))
    if settings.TRUSTED_PROXIES:
        hops = [hop.strip() for hop in request.META.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
        if len(hops) >= settings.TRUSTED_PROXIES:
            return _valid_address(hops[-settings.TRUSTED_PROXIES]) or peer
    return peer


def _valid_address(text: str) -> str | None:
    """None for what is no address, such as the peer of a Unix socket: the audit has a column for addresses only."""
    try:
        return str(ip_address(text))
    except ValueError:
        return None


def attempted_name(request: HttpRequest, credentials: dict[str, Any] | None = None) -> str | None:
    """The user name of a login attempt, cut to what the database of attempts can hold."""
    name = (credentials or request.POST).get("username")
    return str(name)[:150] if name is not None else None
