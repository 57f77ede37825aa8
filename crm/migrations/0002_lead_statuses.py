"""The order in which lead statuses are offered at first; an administrator changes it at will."""

from django.db import migrations

STATUSES = (
    "Not Contacted",
    "Self Storage Questions Sent",
    "Move Questionnaire Sent",
    "Move Questionnaire Follow Up",
    "Move Questionnaire Completed",
    "Onsite Survey Booked",
    "On Hold",
    "Duplicate Lead",
    "Closed Lost",
    "Junk Lead",
    "Not Qualified",
)


def add(apps, schema_editor):
    preference = apps.get_model("crm", "PicklistPreference")
    for position, value in enumerate(STATUSES, start=1):
        preference.objects.get_or_create(
            module="Leads",
            field="Lead_Status",
            value=value,
            defaults={"position": position * 10, "is_default": value == "Junk Lead"},
        )


class Migration(migrations.Migration):
    dependencies = [("crm", "0001_initial")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
