"""Every address of the portal."""

from django.contrib import admin
from django.contrib.auth import views as auth_views
from django.urls import include, path

from portal import dashboard, views
from portal.connections import views as connection_views

admin.site.site_header = "Portal administration"
admin.site.site_title = "Portal"

urlpatterns = [
    path("", dashboard.home, name="home"),
    path("healthz", views.healthz, name="healthz"),
    path("accounts/login/", auth_views.LoginView.as_view(redirect_authenticated_user=True), name="login"),
    path("accounts/logout/", auth_views.LogoutView.as_view(), name="logout"),
    path("accounts/password/", auth_views.PasswordChangeView.as_view(), name="password_change"),
    path("accounts/password/done/", auth_views.PasswordChangeDoneView.as_view(), name="password_change_done"),
    path("runs/", views.run_list, name="runs"),
    path("runs/<int:pk>/", views.run_page, name="run"),
    path("runs/<int:pk>/progress/", views.run_progress, name="run-progress"),
    path("runs/<int:pk>/items/", views.run_items, name="run-items"),
    path("runs/<int:pk>/items.csv", views.run_items_csv, name="run-items-csv"),
    path("runs/<int:pk>/stop/", views.run_stop, name="run-stop"),
    path("runs/<int:pk>/resume/", views.run_resume, name="run-resume"),
    path("help/", views.help_page, name="help"),
    path("audit/", views.audit_list, name="audit"),
    path("schedules/", views.schedule_list, name="schedules"),
    path("schedules/<int:pk>/toggle/", views.schedule_toggle, name="schedule-toggle"),
    path("schedules/<int:pk>/remove/", views.schedule_remove, name="schedule-remove"),
    path("connections/", connection_views.connections, name="connections"),
    path("connections/new/", connection_views.connection_new, name="connection-new"),
    path("connections/callback/", connection_views.connection_callback, name="connection-callback"),
    path("connections/temporary/", connection_views.connection_temporary, name="connection-temporary"),
    path(
        "connections/temporary/forget/",
        connection_views.connection_temporary_forget,
        name="connection-temporary-forget",
    ),
    path("connections/<int:pk>/", connection_views.connection, name="connection"),
    path("connections/<int:pk>/check/", connection_views.connection_check, name="connection-check"),
    path("connections/<int:pk>/edit/", connection_views.connection_edit, name="connection-edit"),
    path("connections/<int:pk>/authorise/", connection_views.connection_authorise, name="connection-authorise"),
    path("connections/<int:pk>/code/", connection_views.connection_code, name="connection-code"),
    path("connections/<int:pk>/default/", connection_views.connection_default, name="connection-default"),
    path("connections/<int:pk>/use/", connection_views.connection_use, name="connection-use"),
    path("connections/<int:pk>/remove/", connection_views.connection_remove, name="connection-remove"),
    path("crm/", include("crm.urls")),
    path("calls/", include("telephony.urls")),
    path("api/calls/", include("telephony.api_urls")),
    path("admin/", admin.site.urls),
]
