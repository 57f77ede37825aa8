"""Administration: looking at the rows of the core. Work is done on the portal's own pages."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.contrib.auth import get_user_model
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import AbstractUser
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from django_q import models as queue

from portal import audit
from portal.access import client_address
from portal.models import ApiUsage, AuditEntry, Connection, Run, RunEvent, RunItem, Worker
from portal.queries import WITHOUT_SECRETS

User = get_user_model()
SECRETS = ("client_secret", "refresh_token", "jwt")

# Their own admin could change pickled calls and start any function; only looking is left, and nothing of schedules.
for model in (queue.Schedule, queue.Success, queue.Failure, queue.OrmQ):
    if admin.site.is_registered(model):
        admin.site.unregister(model)
admin.site.unregister(User)


class ReadOnlyAdmin(admin.ModelAdmin):
    """Rows that only the portal itself writes."""

    show_full_result_count = False  # a second count of a big table for a number nobody needs
    list_per_page = 50

    def get_fields(self, request: HttpRequest, obj: Any = None) -> Any:
        """Every column that is not excluded; nothing is editable, so no form is made to find them out."""
        left_out = self.exclude or ()
        columns = [field.name for field in self.model._meta.fields if field.name not in left_out]
        return self.fields or columns

    def has_add_permission(self, request: HttpRequest, *args: Any) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(Run)
class RunAdmin(ReadOnlyAdmin):
    list_display = ("id", "title", "kind", "state", "planned", "ok", "failed", "skipped", "unknown", "created_at")
    list_filter = ("state", "kind", "trigger")
    search_fields = ("title",)
    exclude = ("parameters", "position")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Run]:
        return super().get_queryset(request).select_related("connection").defer(*WITHOUT_SECRETS)


@admin.register(RunItem)
class RunItemAdmin(ReadOnlyAdmin):
    list_display = ("id", "run_id", "key", "state", "code", "finished_at")
    list_filter = ("state",)
    search_fields = ("=run__id", "=key")


@admin.register(RunEvent)
class RunEventAdmin(ReadOnlyAdmin):
    list_display = ("at", "run_id", "level", "message")
    list_filter = ("level",)
    search_fields = ("=run__id",)


@admin.register(AuditEntry)
class AuditEntryAdmin(ReadOnlyAdmin):
    list_display = ("at", "actor", "action", "target", "run_id", "address")
    list_filter = ("action",)
    search_fields = ("actor", "target")


@admin.register(ApiUsage)
class ApiUsageAdmin(ReadOnlyAdmin):
    list_display = ("hour", "key", "endpoint", "calls", "failures", "credits", "elapsed_ms")
    list_filter = ("key",)
    ordering = ("-hour", "endpoint")


@admin.register(Worker)
class WorkerAdmin(ReadOnlyAdmin):
    list_display = ("name", "started_at", "heartbeat_at", "restarts", "last_restart_reason")


@admin.register(Connection)
class ConnectionAdmin(ReadOnlyAdmin):
    """Without its secrets, which are not even read; connections have a page of their own to be changed on."""

    list_display = ("name", "vendor", "source", "state", "environment", "organisation_name", "checked_at")
    list_filter = ("vendor", "state")
    exclude = (*SECRETS, "session_key")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Connection]:
        return super().get_queryset(request).defer(*SECRETS)


@admin.register(queue.Failure)
class FailureAdmin(ReadOnlyAdmin):
    """Tasks of the queue that ended with an error; the runs hold the truth."""

    list_display = ("name", "func", "started", "stopped", "attempt_count")
    fields = ("name", "func", "group", "started", "stopped", "attempt_count")


@admin.register(queue.OrmQ)
class WaitingTaskAdmin(ReadOnlyAdmin):
    """Wake-ups that wait in the queue; their content is packed and stays so."""

    list_display = ("id", "key", "lock")
    fields = ("key", "lock")


@admin.register(User)
class PersonAdmin(UserAdmin):
    """People and their roles. Only a superuser makes or changes superusers, so that nobody can promote themselves."""

    list_display = ("username", "email", "first_name", "last_name", "roles", "is_active", "is_staff")

    def get_queryset(self, request: HttpRequest) -> QuerySet[AbstractUser]:
        return super().get_queryset(request).prefetch_related("groups")

    @admin.display(description="roles")
    def roles(self, person: AbstractUser) -> str:
        return ", ".join(group.name for group in person.groups.all()) or "none"

    def get_readonly_fields(self, request: HttpRequest, obj: Model | None = None) -> Any:
        fields = tuple(super().get_readonly_fields(request, obj))
        return fields if request.user.is_superuser else (*fields, "is_superuser", "user_permissions")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        is_above = obj is not None and obj.is_superuser and not request.user.is_superuser
        return super().has_change_permission(request, obj) and not is_above

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:  # noqa: FBT001 Django's signature
        super().save_model(request, obj, form, change)
        audit.record(
            "user changed" if change else "user added", user=request.user, address=client_address(request),
            target=obj.get_username(), fields=[name for name in form.changed_data if "password" not in name],
        )  # fmt: skip
