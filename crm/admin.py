"""Administration of the CRM app: how picklist values are offered, which fields are sent along on demand."""

from django.contrib import admin

from crm.models import MandatoryField, PicklistPreference


@admin.register(PicklistPreference)
class PicklistPreferenceAdmin(admin.ModelAdmin):
    list_display = ("module", "field", "value", "position", "is_hidden", "is_default")
    list_display_links = ("value",)
    list_editable = ("position", "is_hidden")
    list_filter = ("module", "field", "is_hidden")
    search_fields = ("value",)


@admin.register(MandatoryField)
class MandatoryFieldAdmin(admin.ModelAdmin):
    list_display = ("module", "field")
    list_filter = ("module",)
    search_fields = ("field",)
