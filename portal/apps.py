"""The core app: what happens when Django starts and after each migration."""

from typing import Any

from django.apps import AppConfig
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.db.models.signals import post_migrate


class PortalConfig(AppConfig):
    name = "portal"
    verbose_name = "Portal"

    def ready(self) -> None:
        from django_q.signals import post_execute

        from portal import audit, checks, connections, supervisor  # noqa: F401 the checks register themselves

        post_execute.connect(supervisor.passed_through, dispatch_uid="portal.supervisor.passed_through")
        post_migrate.connect(_after_migrate, dispatch_uid="portal.after_migrate")
        user_logged_in.connect(audit.logged_in, dispatch_uid="portal.audit.logged_in")
        user_logged_out.connect(audit.logged_out, dispatch_uid="portal.audit.logged_out")
        user_logged_out.connect(connections.forget_session, dispatch_uid="portal.connections.forget_session")
        user_login_failed.connect(audit.login_failed, dispatch_uid="portal.audit.login_failed")


def _after_migrate(sender: AppConfig, using: str, **kwargs: Any) -> None:
    """Once, after the last app: permissions of all apps exist only then."""
    from django.apps import apps

    if using != "default" or sender.label != list(apps.get_app_configs())[-1].label:
        return
    from portal import access, connections

    access.grant_roles()
    connections.sync_environment()
