"""Import of an earlier integration's configuration files: choose, look at what would change, import exactly that."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.urls import path
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from portal.access import client_address, permission_required
from telephony.models import Office
from telephony.rc_zoho import upload
from telephony.rc_zoho.importing import Importing
from telephony.rc_zoho.report import Report
from telephony.rc_zoho.upload import UploadForm

MOST_PROPOSED = 200


@permission_required("telephony.configure_calls")
@require_http_methods(["GET", "POST"])
@never_cache
def choose(request: HttpRequest) -> HttpResponse:
    """The form; with files the report of what their import would do. Nothing is imported here."""
    upload.forget(request.session)
    if request.method != "POST":
        return _form(request, UploadForm())
    form = UploadForm(request.POST, request.FILES)
    if not form.is_valid():
        return _form(request, form)
    pending = upload.keep(request.session, _person(request), form.cleaned_data["office"], form.contents())
    report = Importing(pending.collection()).dry_run()
    if not report.has_changes:
        upload.forget(request.session)
    return _report(request, report, token=pending.token if report.has_changes else "")


@permission_required("telephony.configure_calls")
@require_POST
@never_cache
def apply(request: HttpRequest) -> HttpResponse:
    """Imports the files that were looked at last in this login session."""
    pending = upload.take(request.session, _person(request), request.POST.get("token", ""))
    if pending is None:
        messages.error(
            request,
            "Nothing was imported: these files are no longer kept, or others were looked at since. Choose them again.",
        )
        return redirect("calls-import")
    importing = Importing(pending.collection(), user=request.user, address=client_address(request))
    return _report(request, importing.run())


def _person(request: HttpRequest) -> int:
    assert request.user.pk is not None  # the permission is checked
    return int(request.user.pk)


def _form(request: HttpRequest, form: UploadForm) -> HttpResponse:
    slugs = Office.objects.values_list("slug", flat=True)[:MOST_PROPOSED]
    return render(request, "telephony/import.html", {"form": form, "slugs": slugs})


def _report(request: HttpRequest, report: Report, token: str = "") -> HttpResponse:
    context: dict[str, Any] = {"report": report, "token": token}
    return render(request, "telephony/import_report.html", context)


urlpatterns_importing = [
    path("import/", choose, name="calls-import"),
    path("import/apply/", apply, name="calls-import-apply"),
]
