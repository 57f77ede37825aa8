"""Administration of the phone side: what is set up can be changed, what the portal wrote can be looked at."""

from __future__ import annotations

import datetime as dt
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.db.models import Model, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone

from portal import audit
from portal.access import client_address
from portal.admin import ReadOnlyAdmin
from portal.connections import SECRET_COLUMNS
from portal.models import Connection, Vendor
from portal.queries import WITHOUT_SECRETS
from telephony.models import (
    AssignmentDecision,
    AssignmentRules,
    Call,
    Caller,
    CallLogRow,
    CallRule,
    CallSession,
    CallSettings,
    CallStep,
    DepartmentPool,
    ExcludedNumber,
    Extension,
    FieldMapping,
    LeadOwner,
    MailSettings,
    MissedCard,
    Office,
    OverwritableStatus,
    Recipient,
    Rotation,
    StatusName,
    Subscription,
)


class AuditedAdmin(admin.ModelAdmin):
    """Who changed what here is recorded: names of fields, never their values."""

    list_per_page = 50

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 Django's signature
        super().save_model(request, obj, form, change)
        if not change or form.changed_data:
            self._record(request, obj, "changed" if change else "added", fields=form.changed_data)

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:  # noqa: FBT001 Django's signature
        super().save_formset(request, form, formset, change)
        for row in formset.new_objects:
            self._record(request, row, "added")
        for row, fields in formset.changed_objects:
            self._record(request, row, "changed", fields=fields)
        for row in formset.deleted_objects:
            self._record(request, row, "removed")

    def delete_model(self, request: HttpRequest, obj: Any) -> None:
        self._record(request, obj, "removed")
        super().delete_model(request, obj)

    def delete_queryset(self, request: HttpRequest, queryset: QuerySet[Any]) -> None:
        for row in queryset:
            self._record(request, row, "removed")
        super().delete_queryset(request, queryset)

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.related_model is Connection:
            # Without the secrets, so that the page works without the key that opens them.
            kwargs["queryset"] = Connection.objects.filter(vendor=Vendor.RINGCENTRAL).defer(*SECRET_COLUMNS)
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    def _record(self, request: HttpRequest, row: Model, what: str, **details: Any) -> None:
        audit.record(
            f"{row._meta.verbose_name} {what}", user=request.user, address=client_address(request),
            target=str(row), **details,
        )  # fmt: skip


class SingletonAdmin(AuditedAdmin):
    """A table with one row: its list is that row's page."""

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        # Only its key: reading the row would open its secrets.
        key = self.model.objects.order_by("pk").values_list("pk", flat=True).first() or self.model.load().pk
        return HttpResponseRedirect(reverse(f"admin:telephony_{self.model._meta.model_name}_change", args=[key]))

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


# --- offices, extensions, owners ----------------------------------------------------------------------------------------


class AssignmentRulesInline(admin.StackedInline):
    model = AssignmentRules
    show_change_link = True  # its own page has the pools


class LeadOwnerInline(admin.TabularInline):
    model = LeadOwner
    extra = 0
    fields = ("name", "zoho_id", "email", "role", "is_active", "weight", "away_until", "extension", "position")
    autocomplete_fields = ("extension",)
    show_change_link = True


class RecipientInline(admin.TabularInline):
    model = Recipient
    extra = 0


@admin.register(Office)
class OfficeAdmin(AuditedAdmin):
    list_display = ("name", "slug", "order", "is_active", "zone", "region", "main_number")
    list_editable = ("order",)
    list_filter = ("is_active",)
    search_fields = ("name", "slug", "city", "main_number")
    prepopulated_fields = {"slug": ("name",)}
    filter_horizontal = ("people",)
    inlines = (AssignmentRulesInline, LeadOwnerInline, RecipientInline)


@admin.register(Extension)
class ExtensionAdmin(AuditedAdmin):
    list_display = ("name", "number", "kind", "status", "office", "department", "process_calls", "is_gone")
    list_filter = ("office", "kind", "process_calls", "is_gone", "status")
    list_editable = ("process_calls",)
    list_display_links = ("name", "number")
    search_fields = ("name", "number", "rc_id", "email", "site", "department")
    readonly_fields = ("kind_told", "members", "synced_at")
    actions = ("switch_on", "switch_off")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Extension]:
        rows: QuerySet[Extension] = super().get_queryset(request)
        return rows.select_related("office", "connection").defer(*WITHOUT_SECRETS)

    @admin.action(description="Process the calls of these extensions", permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[Extension]) -> None:
        self._switch(request, queryset, to=True)

    @admin.action(description="Do not process the calls of these extensions", permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[Extension]) -> None:
        self._switch(request, queryset, to=False)

    def _switch(self, request: HttpRequest, queryset: QuerySet[Extension], *, to: bool) -> None:
        rows = list(queryset.filter(process_calls=not to))
        Extension.objects.filter(pk__in=[row.pk for row in rows]).update(process_calls=to)
        for row in rows:
            self._record(request, row, "switched on" if to else "switched off")
        messages.success(request, f"{len(rows):,} extensions switched {'on' if to else 'off'}.")


@admin.register(LeadOwner)
class LeadOwnerAdmin(AuditedAdmin):
    list_display = ("name", "office", "role", "is_active", "weight", "away_until", "zoho_state", "position")
    list_display_links = ("name",)
    list_filter = ("office", "is_active", "zoho_state", "role")
    list_editable = ("is_active", "weight", "position")
    list_select_related = ("office",)
    search_fields = ("name", "email", "zoho_id", "role")
    readonly_fields = ("zoho_state", "synced_at")
    autocomplete_fields = ("extension",)
    actions = ("switch_on", "switch_off", "away_until_tomorrow")

    @admin.action(description="Give leads to these owners", permissions=["change"])
    def switch_on(self, request: HttpRequest, queryset: QuerySet[LeadOwner]) -> None:
        self._switch(request, queryset, to=True)

    @admin.action(description="Give no leads to these owners", permissions=["change"])
    def switch_off(self, request: HttpRequest, queryset: QuerySet[LeadOwner]) -> None:
        self._switch(request, queryset, to=False)

    @admin.action(description="Away until tomorrow", permissions=["change"])
    def away_until_tomorrow(self, request: HttpRequest, queryset: QuerySet[LeadOwner]) -> None:
        rows = list(queryset.select_related("office"))
        for row in rows:
            local = timezone.now().astimezone(row.office.tz)
            tomorrow = local.date() + dt.timedelta(days=1)
            LeadOwner.objects.filter(pk=row.pk).update(
                away_until=dt.datetime.combine(tomorrow, dt.time(), row.office.tz)
            )
            self._record(request, row, "changed", fields=["away_until"])
        messages.success(request, f"{len(rows):,} owners get no leads until tomorrow, 00:00 in their office.")

    def _switch(self, request: HttpRequest, queryset: QuerySet[LeadOwner], *, to: bool) -> None:
        rows = list(queryset.filter(is_active=not to))
        LeadOwner.objects.filter(pk__in=[row.pk for row in rows]).update(is_active=to)
        for row in rows:
            self._record(request, row, "switched on" if to else "switched off")
        messages.success(request, f"{len(rows):,} owners switched {'on' if to else 'off'}.")


class PoolForm(forms.ModelForm):
    """A pool takes owners of its own office only: others would never get a turn."""

    class Meta:
        model = DepartmentPool
        fields = ("rules", "department", "owners")

    def clean(self) -> dict[str, Any] | None:
        cleaned = super().clean() or {}
        rules = cleaned.get("rules")
        if rules is None:
            return cleaned
        strangers = [str(each) for each in cleaned.get("owners", ()) if each.office_id != rules.office_id]
        if strangers:
            words = f"{', '.join(strangers)}: no owner of {rules.office}. Add them to the office first."
            self.add_error("owners", words)
        return cleaned


class PoolInline(admin.StackedInline):
    model = DepartmentPool
    form = PoolForm
    extra = 0

    def get_formset(self, request: HttpRequest, obj: Any = None, **kwargs: Any) -> Any:
        """Offers the owners of the office whose rules these are."""
        formset = super().get_formset(request, obj, **kwargs)
        owners = formset.form.base_fields["owners"]
        assert isinstance(owners, forms.ModelMultipleChoiceField)
        owners.queryset = LeadOwner.objects.filter(office=obj.office_id) if obj else LeadOwner.objects.none()
        return formset


@admin.register(AssignmentRules)
class AssignmentRulesAdmin(AuditedAdmin):
    list_display = (
        "office", "answering_first", "by_department", "office_hours_only", "round_robin", "respect_weights",
        "fallback_owner_id", "zoho_rule_id",
    )  # fmt: skip
    list_select_related = ("office",)
    list_filter = ("round_robin", "by_department", "office_hours_only")
    search_fields = ("office__name", "office__slug")
    inlines = (PoolInline,)


@admin.register(DepartmentPool)
class DepartmentPoolAdmin(AuditedAdmin):
    form = PoolForm
    list_display = ("department", "office", "members")
    list_filter = ("rules__office",)
    search_fields = ("department",)
    filter_horizontal = ("owners",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[DepartmentPool]:
        return super().get_queryset(request).select_related("rules__office").prefetch_related("owners")

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "rules":
            kwargs["queryset"] = AssignmentRules.objects.select_related("office")
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description="office", ordering="rules__office__name")
    def office(self, pool: DepartmentPool) -> str:
        return str(pool.rules.office)

    @admin.display(description="owners")
    def members(self, pool: DepartmentPool) -> str:
        return ", ".join(str(owner) for owner in pool.owners.all()) or "none"


# --- rules of what is written -------------------------------------------------------------------------------------------


@admin.register(ExcludedNumber)
class ExcludedNumberAdmin(AuditedAdmin):
    list_display = ("number", "office", "note")
    list_filter = ("office",)
    list_select_related = ("office",)
    search_fields = ("number", "note")


@admin.register(CallRule)
class CallRuleAdmin(AuditedAdmin):
    list_display = ("position", "office", "direction", "outcome", "hours", "action", "with_media", "is_active")
    list_display_links = ("position", "action")
    list_filter = ("office", "action", "is_active")
    list_editable = ("is_active",)
    list_select_related = ("office",)
    search_fields = ("outcome",)

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        if db_field.name == "outcome":
            choices = [("", "Any outcome"), *Call.Outcome.choices]
            return forms.ChoiceField(choices=choices, required=False, help_text=db_field.help_text)
        return super().formfield_for_dbfield(db_field, request, **kwargs)


@admin.register(FieldMapping)
class FieldMappingAdmin(AuditedAdmin):
    list_display = ("field", "template", "call_type", "office", "position", "is_active", "question")
    list_filter = ("office", "call_type", "is_active")
    list_editable = ("position", "is_active")
    list_select_related = ("office",)
    search_fields = ("field", "template")


@admin.register(StatusName)
class StatusNameAdmin(AuditedAdmin):
    list_display = ("key", "value", "office")
    list_filter = ("office", "key")
    list_select_related = ("office",)
    search_fields = ("value",)


@admin.register(OverwritableStatus)
class OverwritableStatusAdmin(AuditedAdmin):
    list_display = ("value", "office")
    list_filter = ("office",)
    list_select_related = ("office",)
    search_fields = ("value",)


@admin.register(Recipient)
class RecipientAdmin(AuditedAdmin):
    list_display = ("email", "name", "office", "receive_daily", "receive_combined", "receive_errors", "call_type")
    list_filter = ("office", "call_type", "receive_daily", "receive_combined", "receive_errors")
    list_select_related = ("office",)
    search_fields = ("email", "name")


# --- settings with one row ----------------------------------------------------------------------------------------------


@admin.register(CallSettings)
class CallSettingsAdmin(SingletonAdmin):
    pass


class MailSettingsForm(forms.ModelForm):
    """The password goes in and never comes out."""

    new_password = forms.CharField(
        label="Password",
        required=False,
        strip=False,
        widget=forms.PasswordInput(render_value=False, attrs={"autocomplete": "new-password"}),
        help_text="Empty: stays as it is.",
    )
    forget_password = forms.BooleanField(required=False, help_text="Log in at the server without a password.")

    class Meta:
        model = MailSettings
        exclude = ("password",)  # noqa: DJ006 everything else is editable, and a new setting should be too

    def save(self, commit: bool = True) -> MailSettings:  # noqa: FBT001, FBT002 Django's signature
        if self.cleaned_data["forget_password"]:
            self.instance.password = ""
        elif self.cleaned_data["new_password"]:
            self.instance.password = self.cleaned_data["new_password"]
        saved: MailSettings = super().save(commit)
        return saved


@admin.register(MailSettings)
class MailSettingsAdmin(SingletonAdmin):
    form = MailSettingsForm

    def get_queryset(self, request: HttpRequest) -> QuerySet[MailSettings]:
        """The password is not even read; what is not read is not written back either."""
        rows: QuerySet[MailSettings] = super().get_queryset(request)
        return rows.defer("password")


# --- what the portal wrote ----------------------------------------------------------------------------------------------


class CallRowsAdmin(ReadOnlyAdmin):
    """Rows with a connection, whose secrets a join must not read."""

    joined: tuple[str, ...] = ("connection",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Any]:
        return super().get_queryset(request).select_related(*self.joined).defer(*WITHOUT_SECRETS)


class ReadOnlyInline(admin.TabularInline):
    extra = 0
    can_delete = False
    show_change_link = True

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class CallStepInline(ReadOnlyInline):
    model = CallStep
    fields = ("position", "kind", "state", "attempts", "code", "message", "crm_id", "finished_at")
    readonly_fields = fields


class DecisionInline(ReadOnlyInline):
    model = AssignmentDecision
    fields = ("owner_name", "owner_id", "how", "reason", "at")
    readonly_fields = fields


@admin.register(Call)
class CallAdmin(CallRowsAdmin):
    list_display = ("started_at", "office", "direction", "outcome", "state", "reason_code", "extension", "key")
    list_filter = ("office", "state", "outcome", "direction")
    search_fields = ("=key", "=number", "=record_id")
    joined = ("connection", "office", "extension", "answered_by")
    inlines = (CallStepInline, DecisionInline)


@admin.register(CallStep)
class CallStepAdmin(ReadOnlyAdmin):
    list_display = ("id", "call_id", "kind", "state", "attempts", "code", "not_before", "finished_at")
    list_filter = ("kind", "state")
    search_fields = ("=call__key", "=crm_id")
    list_select_related = ("call",)


@admin.register(AssignmentDecision)
class AssignmentDecisionAdmin(ReadOnlyAdmin):
    list_display = ("at", "office", "owner_name", "how", "reason")
    list_filter = ("office", "how")
    list_select_related = ("office",)
    search_fields = ("owner_name", "=owner_id", "=call__key")


@admin.register(Rotation)
class RotationAdmin(ReadOnlyAdmin):
    list_display = ("office", "department", "turns", "updated_at")
    list_filter = ("office",)
    list_select_related = ("office",)


@admin.register(MissedCard)
class MissedCardAdmin(CallRowsAdmin):
    list_display = ("opened_at", "office", "number", "line", "attempts", "state", "due_at", "closed_at", "taken_by")
    list_filter = ("office", "state")
    search_fields = ("=number", "=line")
    joined = ("connection", "office", "taken_by")


@admin.register(Caller)
class CallerAdmin(CallRowsAdmin):
    list_display = ("number", "module", "record_id", "is_chosen", "changed_at")
    list_filter = ("module", "is_chosen")
    search_fields = ("=number", "=record_id")
    joined = ("connection", "creating")


@admin.register(CallLogRow)
class CallLogRowAdmin(CallRowsAdmin):
    list_display = ("row_id", "session_key", "started_at", "changed_at")
    search_fields = ("=row_id", "=session_key")


@admin.register(CallSession)
class CallSessionAdmin(CallRowsAdmin):
    list_display = ("key", "call")
    search_fields = ("=key",)
    joined = ("connection", "call")


@admin.register(Subscription)
class SubscriptionAdmin(CallRowsAdmin):
    """Without what each delivery must carry, which is not even read."""

    list_display = ("connection", "state", "reason", "expires_at", "last_event_at", "events")
    list_filter = ("state",)
    exclude = ("verification",)

    def get_queryset(self, request: HttpRequest) -> QuerySet[Subscription]:
        return super().get_queryset(request).defer(*WITHOUT_SECRETS, "verification")
