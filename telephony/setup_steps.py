"""What the phone side needs before its first lead, and what of it is done."""

from __future__ import annotations

from dataclasses import dataclass

from django.contrib import admin
from django.db.models import Model
from django.urls import reverse

from portal.access import Person
from portal.models import Connection, Run, Vendor
from telephony.models import Extension, FieldMapping, LeadOwner, Office, Recipient
from telephony.queries import RUN_KIND, offices_for


@dataclass(frozen=True)
class Step:
    """One line of a checklist; `url` is "" for those that this person may not open."""

    label: str
    text: str
    url: str
    is_done: bool


def checklist(user: Person) -> list[Step]:
    """The steps of the set-up in their order, for calls."""
    vendors = set(
        Connection.objects.filter(is_default=True, state=Connection.State.WORKING).values_list("vendor", flat=True)
    )
    configure = user.has_perm("telephony.configure_calls")
    connect = reverse("connections") if user.has_perm("portal.manage_connections") else ""
    owners = LeadOwner.objects.filter(is_active=True, office__is_active=True).values("office")
    without_owner = Office.objects.filter(is_active=True).exclude(pk__in=owners).exists()
    has_office = Office.objects.filter(is_active=True).exists()
    has_run = Run.objects.filter(
        kind=RUN_KIND, state__in=(Run.State.FINISHED, Run.State.FINISHED_WITH_ERRORS)
    ).exists()  # fmt: skip
    extensions = Extension.objects.filter(office__isnull=False, is_gone=False, process_calls=True)

    def page(name: str) -> str:
        return reverse(name) if configure else ""

    return [
        Step(
            "Connect RingCentral and Zoho CRM", "Both connections answer and are the default ones.", connect,
            {Vendor.RINGCENTRAL, Vendor.ZOHO} <= vendors,
        ),
        Step(
            "Offices and their extensions", "Each extension whose calls count belongs to an office.", page("offices"),
            has_office and extensions.exists(),
        ),
        Step(
            "Lead owners", "Each office has somebody who gets its new leads.", _owners_page(user) if configure else "",
            has_office and not without_owner,
        ),
        Step(
            "Who gets the reports", "At least one person is told by mail what was done.",
            admin_page(user, Recipient),
            Recipient.objects.exists(),
        ),
        Step(
            "Field mappings (optional)", "Without them a lead gets the caller's number and name.",
            admin_page(user, FieldMapping), FieldMapping.objects.exists() or has_run,
        ),
        Step(
            "Process calls", "A dry run first: it says what would be done, and writes nothing.",
            f"{reverse('calls')}?process=all" if user.has_perm("telephony.process_calls") else "",
            has_run,
        ),
    ]  # fmt: skip


def _owners_page(user: Person) -> str:
    """Where owners are added to the first office that has none at all; else where they are switched on."""
    office = offices_for(user).filter(is_active=True, lead_owners=None).first()
    return f"{reverse('lead-owners-add')}?office={office.slug}" if office else reverse("lead-owners")


def admin_page(user: Person, model: type[Model]) -> str:
    """Address of the list of these rows in the administration; "" for those who may not change them there."""
    label = f"{model._meta.app_label}_{model._meta.model_name}"
    permission = f"{model._meta.app_label}.change_{model._meta.model_name}"
    is_open = getattr(user, "is_staff", False) and admin.site.is_registered(model) and user.has_perm(permission)
    return reverse(f"admin:{label}_changelist") if is_open else ""
