"""Pages of the connections: cards, one connection with its guided authorisation, forms, temporary ones."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, QueryDict
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from portal.access import client_address, permission_required
from portal.connections import (
    choices_of,
    choose,
    make_default,
    oauth_setup,
    remove,
    revoke,
    save,
    stored_secrets,
    use,
    visible_in,
)
from portal.connections import scopes as connection_scopes
from portal.connections.check import check
from portal.connections.findings import Finding, findings_of
from portal.connections.forms import AuthoriseForm, CodeForm, ConnectionForm, TemporaryConnectionForm
from portal.connections.ringcentral_permissions import PERMISSIONS
from portal.connections.temporary import forget_session, open_temporary
from portal.models import AccessToken, Connection, Vendor
from portal.remote import zoho_hosts
from portal.remote.errors import NotConfigured

MANAGE = "portal.manage_connections"
SEE = "portal.view_run"
# A temporary connection acts with the person's own account at the vendor, so who may work may open one.
WORK = "portal.operate_run"


@dataclass(frozen=True)
class Card:
    """One connection as the list shows it; `problems` are the findings that are not ok."""

    connection: Connection
    problems: list[Finding]
    token_issued_at: object
    is_chosen: bool
    is_usable: bool


def _cards(request: HttpRequest) -> list[Card]:
    rows = list(visible_in(request).select_related("created_by", "secret_changed_by"))
    issued = dict(AccessToken.objects.values_list("connection_id", "issued_at"))
    chosen = {row.pk for vendor in Vendor.values if (row := choose(request, vendor))}
    return [
        Card(
            connection=row,
            problems=[finding for finding in findings_of(row) if finding.level in ("warn", "fail")],
            token_issued_at=issued.get(row.pk),
            is_chosen=row.pk in chosen,
            is_usable=bool(row.client_id),
        )
        for row in rows
    ]


def _posted(request: HttpRequest) -> QueryDict | None:
    return request.POST if request.method == "POST" else None


def _one(request: HttpRequest, pk: int) -> Connection:
    """The connection, if this person may see it; a temporary one of somebody else is not there."""
    return get_object_or_404(visible_in(request), pk=pk)


def _stored(request: HttpRequest, pk: int) -> Connection:
    """A connection that may be changed here: neither the environment's nor a temporary one."""
    connection = _one(request, pk)
    if connection.source != Connection.Source.STORED:
        raise PermissionDenied
    return connection


@require_GET
@permission_required(SEE)
def connections(request: HttpRequest) -> HttpResponse:
    return render(request, "portal/connections.html", {"cards": _cards(request), "now": timezone.now()})


@require_GET
@never_cache
@permission_required(SEE)
def connection(request: HttpRequest, pk: int) -> HttpResponse:
    return _page(request, _one(request, pk))


def _page(
    request: HttpRequest,
    row: Connection,
    *,
    authorise_form: AuthoriseForm | None = None,
    code_form: CodeForm | None = None,
    refused: oauth_setup.Refused | None = None,
) -> HttpResponse:
    can_authorise = row.source == Connection.Source.STORED and row.vendor == Vendor.ZOHO and bool(row.client_id)
    context = {
        "connection": row,
        "findings": findings_of(row),
        "token": AccessToken.objects.filter(connection=row).values("issued_at", "expires_at").first(),
        "stored_secrets": stored_secrets(row),
        "can_authorise": can_authorise and request.user.has_perm(MANAGE),
        "redirect_uri": _redirect_uri(request),
        "console": oauth_setup.CONSOLES.get(row.data_centre, ""),
        "consoles": oauth_setup.CONSOLES,
        "authorise_form": authorise_form or AuthoriseForm(),
        "code_form": code_form or CodeForm(),
        "proposed_scopes": ",".join(connection_scopes.scopes_for(connection_scopes.proposed())),
        "permissions": PERMISSIONS,
        "refused": refused.advice if refused else None,
    }
    response = render(request, "portal/connection.html", context, status=400 if refused else 200)
    if can_authorise:
        _allow_redirect(response, row)
    return response


def _allow_redirect(response: HttpResponse, row: Connection) -> None:
    """The button's POST is answered with a redirect to Zoho, to which browsers apply the page's form-action."""
    try:
        accounts = zoho_hosts.accounts_origin(row.accounts_url)
    except NotConfigured:
        return
    response._csp_update = {"form-action": [accounts]}  # type: ignore[attr-defined]  # read by django-csp


def _redirect_uri(request: HttpRequest) -> str:
    return request.build_absolute_uri(reverse("connection-callback"))


@require_http_methods(["GET", "POST"])
@never_cache
@permission_required(MANAGE)
def connection_new(request: HttpRequest) -> HttpResponse:
    form = ConnectionForm(_posted(request))
    if request.method == "POST" and form.is_valid():
        row = save(
            form.save(commit=False),
            secrets=form.secrets(),
            changed=form.changed_data,
            user=request.user,
            address=client_address(request),
        )
        step = "Authorise it or check it now." if row.vendor == Vendor.ZOHO else "Check it now."
        messages.success(request, f"The connection “{row}” was added. {step}")
        return redirect(row)
    return render(request, "portal/connection_form.html", {"form": form, "connection": None})


@require_http_methods(["GET", "POST"])
@never_cache
@permission_required(MANAGE)
def connection_edit(request: HttpRequest, pk: int) -> HttpResponse:
    row = _stored(request, pk)
    form = ConnectionForm(_posted(request), instance=row)
    if request.method == "POST" and form.is_valid():
        save(
            form.save(commit=False),
            secrets=form.secrets(),
            changed=form.changed_data,
            user=request.user,
            address=client_address(request),
        )
        messages.success(request, f"The connection “{row}” was changed.")
        return redirect(row)
    return render(request, "portal/connection_form.html", {"form": form, "connection": row})


@require_POST
@permission_required(WORK)
def connection_check(request: HttpRequest, pk: int) -> HttpResponse:
    row = _one(request, pk)
    if row.source != Connection.Source.TEMPORARY and not request.user.has_perm(MANAGE):
        raise PermissionDenied
    findings = check(row, user=request.user, address=client_address(request))
    _tell(request, row, findings)
    return redirect(row)


def _tell(request: HttpRequest, row: Connection, findings: list[Finding]) -> None:
    counts = {level: sum(finding.level == level for finding in findings) for level in ("fail", "warn")}
    if counts["fail"]:
        messages.error(request, f"“{row}” does not work: {counts['fail']} of the steps failed. See below what to do.")
    elif counts["warn"]:
        messages.warning(request, f"“{row}” works, with {counts['warn']} remarks below.")
    else:
        messages.success(request, f"“{row}” works.")


@require_POST
@permission_required(MANAGE)
def connection_authorise(request: HttpRequest, pk: int) -> HttpResponse:
    row = _stored(request, pk)
    form = AuthoriseForm(request.POST)
    if not form.is_valid():
        return _page(request, row, authorise_form=form)
    try:
        url = oauth_setup.authorisation_url(
            request.session, row, scopes=form.scopes(), redirect_uri=_redirect_uri(request)
        )
    except NotConfigured as error:
        messages.error(request, f"{error.message} Correct the address under “Edit”.")
        return redirect(row)
    return redirect(url)


@require_GET
@never_cache
@permission_required(MANAGE)
def connection_callback(request: HttpRequest) -> HttpResponse:
    """Where Zoho sends the browser back to. It changes something by GET because OAuth has it so; the state guards it."""
    row = None
    try:
        pending = oauth_setup.take_state(request.session, request.GET.get("state", ""))
        row = _stored(request, pending.connection_id)
        granted = oauth_setup.finish(
            row, pending, request.GET.dict(), user=request.user, address=client_address(request)
        )
    except oauth_setup.Refused as refused:
        if row is None:
            return render(request, "portal/connection_refused.html", {"refused": refused.advice}, status=400)
        return _page(request, row, refused=refused)
    return _granted(request, row, granted)


def _granted(request: HttpRequest, row: Connection, granted: oauth_setup.Granted) -> HttpResponse:
    place = "on this machine" if granted.data_centre == zoho_hosts.LOCAL else f"in data centre {granted.data_centre}"
    runs = f" Waiting runs that go on: {granted.resumed_runs}." if granted.resumed_runs else ""
    messages.success(request, f"Zoho authorised “{row}”; the account lives {place}.{runs}")
    _tell(request, row, granted.findings)
    return redirect(row)


@require_POST
@permission_required(MANAGE)
def connection_code(request: HttpRequest, pk: int) -> HttpResponse:
    row = _stored(request, pk)
    form = CodeForm(request.POST)
    if not form.is_valid():
        return _page(request, row, code_form=form)
    try:
        granted = oauth_setup.finish_self_client(
            row, form.cleaned_data["code"], user=request.user, address=client_address(request)
        )
    except oauth_setup.Refused as refused:
        return _page(request, row, refused=refused)
    return _granted(request, row, granted)


@require_POST
@permission_required(MANAGE)
def connection_default(request: HttpRequest, pk: int) -> HttpResponse:
    row = _one(request, pk)
    if row.source == Connection.Source.TEMPORARY or not row.client_id:
        raise PermissionDenied
    make_default(row, user=request.user, address=client_address(request))
    messages.success(request, f"“{row}” is the default for {row.get_vendor_display()} from now on.")
    return redirect("connections")


@require_POST
@permission_required(MANAGE)
def connection_remove(request: HttpRequest, pk: int) -> HttpResponse:
    row = _stored(request, pk)
    name = str(row)
    if request.POST.get("revoke") and not revoke(row, user=request.user, address=client_address(request)):
        messages.warning(request, "Zoho did not revoke the token. Revoke it there: Account, Security, Connected apps.")
    is_gone = remove(row, user=request.user, address=client_address(request))
    kept = "" if is_gone else " Its secrets are erased; the row stays, because runs were made with it."
    messages.success(request, f"“{name}” was removed.{kept}")
    return redirect("connections")


@require_POST
@permission_required(SEE)
def connection_use(request: HttpRequest, pk: int) -> HttpResponse:
    row = get_object_or_404(choices_of(visible_in(request)), pk=pk)
    use(request, row)
    messages.success(request, f"Until you log out, you work with “{row}”.")
    return redirect("connections")


@require_http_methods(["GET", "POST"])
@never_cache
@permission_required(WORK)
def connection_temporary(request: HttpRequest) -> HttpResponse:
    form = TemporaryConnectionForm(_posted(request))
    if request.method == "POST" and form.is_valid():
        row = form.save(commit=False)
        row.name = f"Temporary of {request.user.get_username()}"[:80]
        open_temporary(request, row, form.secrets())
        use(request, row)
        _tell(request, row, check(row))
        return redirect(row)
    return render(request, "portal/connection_temporary.html", {"form": form})


@require_POST
@permission_required(WORK)
def connection_temporary_forget(request: HttpRequest) -> HttpResponse:
    forget_session(None, request, request.user)
    messages.success(request, "The temporary connection and its secrets are gone.")
    return redirect("connections")
