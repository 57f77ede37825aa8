"""Pages of the record viewer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.contrib import messages
from django.contrib.auth.models import User
from django.http import HttpRequest, HttpResponse, HttpResponseBase, QueryDict, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from crm import export, metadata, record_source, viewer_screen
from crm.record_source import Look
from crm.viewer_forms import ViewerForm
from portal import audit
from portal.access import client_address, permission_required


@require_http_methods(["GET", "HEAD", "POST"])
@permission_required("crm.view_records")
def viewer(request: HttpRequest) -> HttpResponse:
    """The page; a POST of its form leads to the address that shows what was chosen."""
    if request.method == "POST":
        return _choose(request)
    screen = viewer_screen.prepare(request, request.GET)
    viewer_screen.read(screen)
    is_fragment = bool(request.htmx) and not request.htmx.boosted  # type: ignore[attr-defined]
    template = "crm/_records_list.html" if is_fragment else "crm/records.html"
    return render(request, template, viewer_screen.context(screen))


def _choose(request: HttpRequest) -> HttpResponse:
    query = QueryDict(mutable=True)
    query["module"] = request.POST.get("module", "")
    if request.POST.get("source") == "set":
        query["set"] = request.POST.get("kept", "")
    screen = viewer_screen.prepare(request, query)
    if not screen.is_ready or screen.connection is None:
        return render(request, "crm/records.html", viewer_screen.context(screen))
    screen.problem = None
    form = viewer_screen.form_of(screen, request.POST)
    if not form.is_valid():
        return render(request, "crm/records.html", viewer_screen.context(screen, form))
    address = form.address(_kept(request, screen, form))
    return redirect(f"{reverse('records')}?{address.query()}")


def _kept(request: HttpRequest, screen: viewer_screen.Screen, form: ViewerForm) -> int | None:
    """Number of the stored list where ids were pasted."""
    if form.selection is None or screen.connection is None:
        return None
    assert isinstance(request.user, User)
    stored = record_source.keep(
        owner=request.user, connection=screen.connection, module=screen.module, selection=form.selection
    )
    return stored.pk


@require_GET
@permission_required("crm.view_records")
def options(request: HttpRequest) -> HttpResponse:
    """The form for another module, as a fragment."""
    screen = viewer_screen.prepare(request, request.GET)
    return render(request, "crm/_records_form.html", viewer_screen.context(screen) | {"is_fragment": True})


@require_POST
@permission_required("crm.view_records")
def reload_metadata(request: HttpRequest) -> HttpResponse:
    """Forgets the module's metadata and goes back to where the person was."""
    screen = viewer_screen.locate(request, QueryDict(request.POST.get("state", "")))
    if screen.connection is not None:
        metadata.reload(screen.connection, screen.module)
        messages.success(request, f"The metadata of {screen.module} is read anew.")
    return redirect(f"{reverse('records')}?{screen.address.query()}")


@require_GET
@permission_required("crm.view_records", "crm.export_records")
def download(request: HttpRequest) -> HttpResponseBase:
    """All records of the address as a file, sent while it is read."""
    screen = viewer_screen.prepare(request, request.GET)
    kind = request.GET.get("format", "csv")
    if screen.look is None or screen.problem is not None or kind not in export.WRITERS:
        reason = screen.problem.what if screen.problem else "Choose records and at least one field to download."
        messages.error(request, reason)
        return redirect(f"{reverse('records')}?{screen.address.query()}")
    response = StreamingHttpResponse(_stream(request, screen.look, kind), content_type=export.CONTENT_TYPES[kind])
    name = f"{screen.module}-{timezone.localtime():%Y%m%d-%H%M%S}.{kind}"
    response["Content-Disposition"] = f'attachment; filename="{name}"'
    response["Cache-Control"] = "no-store"
    return response


def _stream(request: HttpRequest, look: Look, kind: str) -> Iterator[str]:
    """The file, with an audit entry when it begins and one that says what became of it, however it ends."""
    account = export.Account()
    facts: dict[str, Any] = {
        "user": request.user,
        "address": client_address(request),
        "target": f"{look.source.module}: {look.source.title}",
        "format": kind,
    }
    audit.record("records download started", **facts, fields=look.field_names)
    is_sent = False
    try:
        yield from export.WRITERS[kind](look, account)
        is_sent = True
    finally:
        state = "broken off" if not is_sent else "partial" if account.is_partial else "finished"
        audit.record("records downloaded", **facts | account.counts(), state=state)
