"""Addresses of the pages about calls."""

from django.urls import path

from telephony.views import call, calls, importing, mapping, missed, offices, owners, review, schedule, webhook

urlpatterns = [
    path("", calls.calls, name="calls"),
    path("process/", calls.process, name="calls-process"),
    path("calls.csv", calls.calls_csv, name="calls-csv"),
    path("why/", calls.why, name="calls-why"),
    path("review/", review.queue, name="call-review"),
    path("missed/", missed.board, name="missed-calls"),
    path("missed/<int:pk>/take/", missed.take, name="missed-take"),
    path("missed/<int:pk>/give-back/", missed.give_back, name="missed-give-back"),
    path("missed/<int:pk>/resolve/", missed.resolve, name="missed-resolve"),
    path("missed/<int:pk>/ignore/", missed.ignore, name="missed-ignore"),
    path("missed/<int:pk>/reopen/", missed.reopen, name="missed-reopen"),
    path("offices/", offices.offices, name="offices"),
    path("offices/sync/", offices.sync_extensions, name="extensions-sync"),
    path("offices/test-mail/", offices.test_mail, name="calls-test-mail"),
    path("owners/sync/", offices.sync_owners, name="lead-owners-sync"),
    path("owners/add/", owners.add, name="lead-owners-add"),
    path("owners/", owners.owners, name="lead-owners"),
    path("owners/<int:pk>/toggle/", owners.toggle, name="lead-owner-toggle"),
    path("owners/<int:pk>/edit/", owners.edit, name="lead-owner-edit"),
    path("schedules/new/", schedule.new, name="call-schedule-new"),
    path("webhook/", webhook.page, name="call-webhook"),
    path("of-run/<int:pk>/again/", review.again_of_run, name="calls-of-run-again"),
    path("<int:pk>/", call.call, name="call"),
    path("<int:pk>/choose/", review.choose, name="call-choose"),
    path("<int:pk>/new-lead/", review.new_lead, name="call-new-lead"),
    path("<int:pk>/ignore/", review.ignore, name="call-ignore"),
    path("<int:pk>/again/", review.again, name="call-again"),
    path("<int:pk>/steps/<int:step>/again/", review.again, name="call-step-again"),
    *mapping.urlpatterns_mapping,
    *importing.urlpatterns_importing,
]
