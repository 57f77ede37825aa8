"""Pages of one record: all its fields, and the form that changes some of them."""

from __future__ import annotations

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods

from crm import record_edit, record_screen
from crm.record_screen import Editing
from portal.access import client_address, permission_required
from portal.remote import errors


@require_GET
@never_cache
@permission_required("crm.view_records")
def record(request: HttpRequest, module: str, record_id: int) -> HttpResponse:
    screen = record_screen.read(request, module, str(record_id))
    found = record_screen.page(screen, may_edit=request.user.has_perm("crm.update_records"))
    return render(request, "crm/record.html", found, status=screen.status)


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@permission_required("crm.view_records", "crm.update_records")
def edit(request: HttpRequest, module: str, record_id: int) -> HttpResponse:
    """The form. Sent once it shows the change (step preview), sent again it saves (save) or shows the form (back)."""
    screen = record_screen.read(request, module, str(record_id))
    if screen.record is None:
        return render(request, "crm/record.html", record_screen.page(screen, may_edit=False), status=screen.status)
    editing = record_screen.editing(request, screen)
    if request.method == "POST":
        if request.POST.get("step") == "save" and editing.form.is_valid() and editing.save_form.is_valid():
            return _save(request, editing)
        if request.POST.get("step") != "back":
            record_screen.preview(editing)
    return render(request, "crm/record_edit.html", record_screen.context(editing))


def _save(request: HttpRequest, editing: Editing) -> HttpResponse:
    screen, given = editing.screen, editing.save_form.cleaned_data
    assert screen.connection is not None
    try:
        outcome = record_edit.save(
            connection=screen.connection, module=screen.module, record_id=screen.record_id,
            changes=editing.form.changes(), automation=given["automation"] == "on", shown_at=given["shown_at"], record=screen.record,
            user=request.user, address=client_address(request),
        )  # fmt: skip
    except errors.RemoteError as error:
        editing.problem = record_screen.problem_of(error, screen)
        return render(request, "crm/record_edit.html", record_screen.context(editing))
    if outcome.is_saved or outcome.result == record_edit.Result.NOTHING:
        saved = f"Saved: {', '.join(editing.form.columns[name].label for name in outcome.fields)}. "
        level = messages.SUCCESS if outcome.is_saved else messages.INFO
        code = f" ({outcome.code})" if outcome.code else ""
        messages.add_message(request, level, f"{saved if outcome.is_saved else ''}{outcome.what}{code}")
        return redirect(screen.url)
    record_screen.take(editing, outcome)
    return render(request, "crm/record_edit.html", record_screen.context(editing))
