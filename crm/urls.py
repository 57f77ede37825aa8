"""Addresses of the CRM pages."""

from django.urls import path

from crm.views import bulk_update, record, records, repeat, schedule

urlpatterns = [
    path("bulk-update/", bulk_update.choose_records, name="bulk-update"),
    path("bulk-update/views/", bulk_update.view_options, name="bulk-update-views"),
    path("bulk-update/schedule/", schedule.new, name="bulk-update-schedule"),
    path("bulk-update/<int:pk>/", bulk_update.plan, name="bulk-update-plan"),
    path("bulk-update/<int:pk>/change/", bulk_update.choose_change, name="bulk-update-change"),
    path("bulk-update/<int:pk>/values/", bulk_update.value_options, name="bulk-update-values"),
    path("bulk-update/<int:pk>/leave-out/", bulk_update.leave_out, name="bulk-update-leave-out"),
    path("bulk-update/<int:pk>/override/", bulk_update.override, name="bulk-update-override"),
    path("bulk-update/<int:pk>/confirm/", bulk_update.confirm, name="bulk-update-confirm"),
    path("bulk-update/<int:pk>/plan.csv", bulk_update.plan_csv, name="bulk-update-plan-csv"),
    path("bulk-update/<int:pk>/rejects.csv", bulk_update.rejects_csv, name="bulk-update-rejects-csv"),
    path("runs/<int:pk>/retry/", repeat.retry, name="run-retry"),
    path("runs/<int:pk>/restore/", repeat.restore_run, name="run-restore"),
    path("records/", records.viewer, name="records"),
    path("records/options/", records.options, name="records-options"),
    path("records/reload/", records.reload_metadata, name="records-reload"),
    path("records/download/", records.download, name="records-download"),
    path("records/<slug:module>/<int:record_id>/", record.record, name="record"),
    path("records/<slug:module>/<int:record_id>/edit/", record.edit, name="record-edit"),
]
