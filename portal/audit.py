"""The record of who did what."""

from typing import Any

from django.contrib.auth.models import AbstractBaseUser, AnonymousUser
from django.http import HttpRequest

from portal.access import client_address
from portal.models import AuditEntry, Run


def record(
    action: str,
    *,
    user: AbstractBaseUser | AnonymousUser | None = None,
    actor: str = "",
    address: str | None = None,
    target: str = "",
    run: Run | None = None,
    **details: Any,
) -> AuditEntry:
    """Writes one entry. `details` must be JSON and hold no secret."""
    known = user if user is not None and user.is_authenticated else None
    return AuditEntry.objects.create(
        user_id=known.pk if known else None,
        actor=actor or (known.get_username() if known else "portal"),
        address=address,
        action=action,
        target=target[:200],
        run=run,
        details=details,
    )


def logged_in(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    record("logged in", user=user, address=client_address(request))


def logged_out(sender: Any, request: HttpRequest | None, user: Any, **kwargs: Any) -> None:
    if user is not None:
        record("logged out", user=user, address=client_address(request))


def login_failed(sender: Any, credentials: dict[str, Any], request: HttpRequest | None = None, **kwargs: Any) -> None:
    name = str(credentials.get("username", ""))[:150]
    record("login failed", actor=name or "unknown", address=client_address(request))
