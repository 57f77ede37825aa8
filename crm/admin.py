"""Administration of the CRM app: how picklist values are offered."""

from django.contrib import admin

from crm.models import PicklistPreference


@admin.register(PicklistPreference)
class PicklistPreferenceAdmin(admin.ModelAdmin):
    list_display = ("module", "field", "value", "position", "is_hidden", "is_default")
    list_display_links = ("value",)
    list_editable = ("position", "is_hidden")
    list_filter = ("module", "field", "is_hidden")
    search_fields = ("value",)
