"""The steps of a check that call RingCentral: token, permissions, account, user, and one cheap read of each feature.

A trimmed role does not always answer 403: the log may just come back empty. So an empty log is said, too.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from django.utils import timezone

from portal import connections
from portal.connections import access_token
from portal.connections import environment as environment_connections
from portal.connections.findings import Examination, Level
from portal.connections.ringcentral_permissions import PERMISSIONS, has
from portal.connections.ringcentral_probes import Probes
from portal.connections.scopes import split
from portal.models import Connection
from portal.remote import errors, ringcentral_hosts

State = Connection.State
Environment = Connection.Environment
APP_REMEDY = (
    "Add it under “Security and permissions” of the application in RingCentral's Developer Console; a new access token "
    "then holds it. Some permissions are reviewed by RingCentral first."
)
ROLE_REMEDY = (
    "Give the user of the JWT credential a role with this right in RingCentral's admin portal (Roles and permissions), "
    "or create the JWT with a user who has it."
)
# A week without any call is unusual enough to be said.
LOG_DAYS = 7


def examine(examination: Examination) -> None:
    last = examination.connection.last_success_at
    if not access_token.proved(examination):
        return
    _server(examination)
    missing = _permissions(examination)
    with connections.session_for(examination.connection, read_only=True) as session:
        probes = Probes(session)
        if not _account(examination, probes):
            return
        _owner(examination, probes)
        lacks_calls = _features(examination, probes)
    _age(examination)
    if missing or lacks_calls:
        examination.ends(State.FAILING, f"It may not read {' and '.join(missing or lacks_calls)}.")
    else:
        examination.ends(State.WORKING)
    if last is not None:
        examination.add(
            "Last success", "ok", f"The last call before this check succeeded at {last:%Y-%m-%d %H:%M} UTC."
        )


def _server(examination: Examination) -> None:
    url = connections.resolve_credentials(examination.connection).accounts_url
    if ringcentral_hosts.is_local(url):
        examination.values["environment"] = Environment.STANDIN
    elif ringcentral_hosts.is_sandbox(url):
        examination.values["environment"] = Environment.SANDBOX
    else:
        examination.values["environment"] = Environment.PRODUCTION


def _permissions(examination: Examination) -> list[str]:
    """Compares what the token answer lists. Returns the uses that nothing works without and that are missing."""
    granted = split(examination.connection.scopes)
    if not granted:
        examination.add("Permissions", "skip", "Which permissions the application has is not known.")
        return []
    missing = []
    for permission in PERMISSIONS:
        step = f"Permission {permission.name}"
        if has(granted, permission.name):
            examination.add(step, "ok", f"Granted, for {permission.use}.")
        elif permission.is_optional:
            examination.add(step, "skip", f"Not granted, and not needed: it only serves {permission.use}.")
        elif permission.is_required:
            examination.add(step, "fail", f"Missing: without it {permission.use} cannot be read.", APP_REMEDY)
            missing.append(permission.use)
        else:
            examination.add(step, "warn", f"Missing: {permission.use} cannot be read.", APP_REMEDY)
    return missing


def _account(examination: Examination, probes: Probes) -> bool:
    """Reads the account; without the right to it the other reads are still tried."""
    step, connection = "Account", examination.connection
    try:
        account = probes.account()
    except errors.MissingScope as error:
        _refused(examination, step, error, "fail")
        return True
    except errors.RemoteError as error:
        examination.add_error(step, error)
        # A rate limit passes by itself and says nothing about the connection.
        if not isinstance(error, errors.RateLimited):
            is_refused = isinstance(error, errors.Unauthorized)
            examination.ends(State.RECONNECT if is_refused else State.FAILING, error.message)
        return False
    before = connection.organisation_id
    examination.values["organisation_id"] = account.number[:40]
    if before and before != account.number:
        examination.add(
            step,
            "warn",
            f"It now opens another account: {account.number}.",
            "Check that this is meant. Runs of the earlier account must not go on with this connection.",
        )
    elif account.status not in ("Confirmed", ""):
        examination.add(
            step,
            "warn",
            f"The account {account.number} is not confirmed: its state is {account.status}.",
            "Ask RingCentral why, before the portal loses access.",
        )
    else:
        examination.add(step, "ok", f"Account {account.number}.")
    return True


def _owner(examination: Examination, probes: Probes) -> None:
    """Whose JWT it is: when that user goes, every program that uses the JWT stops."""
    step = "User of the JWT"
    account = examination.values.get("organisation_id") or examination.connection.organisation_id
    try:
        owner = probes.owner()
    except errors.MissingScope as error:
        _refused(examination, step, error, "warn")
        return
    except errors.RemoteError as error:
        examination.add_error(step, error, "warn")
        return
    examination.values["organisation_name"] = (owner.company or f"Account {account}")[:200]
    email = examination.connection.user_email
    if owner.status not in ("Enabled", ""):
        examination.add(
            step,
            "warn",
            f"The user is not enabled: the state is {owner.status}.",
            "Create the JWT with an enabled user, best with one who is there for programs only.",
        )
    elif email and owner.email and email.lower() != owner.email.lower():
        examination.add(
            step,
            "warn",
            "The JWT belongs to another user than the one entered here.",
            "Correct the address under “Edit”, or enter a JWT of that user.",
        )
    else:
        examination.add(step, "ok", "The user who made the JWT credential is enabled.")


def _features(examination: Examination, probes: Probes) -> list[str]:
    """One real call for each feature. Returns the uses that nothing works without and that were refused."""
    since = timezone.now() - dt.timedelta(days=LOG_DAYS)
    refused = []
    reads: tuple[tuple[str, str, Callable[[], int], bool], ...] = (
        ("Extensions", "extensions", probes.extensions, True),
        ("Call log", "calls of the company", lambda: probes.calls(since), True),
        ("Voicemails", "voicemails", probes.messages, False),
    )
    for step, use, read, is_required in reads:
        try:
            found = read()
        except errors.MissingScope as error:
            _refused(examination, step, error, "fail" if is_required else "warn")
            if is_required:
                refused.append(use)
        except errors.RemoteError as error:
            examination.add_error(step, error, "warn")
        else:
            _found(examination, step, found)
    examination.add("Recordings", "skip", "Not tried, because that would need a recorded call; see the permission.")
    return refused


def _found(examination: Examination, step: str, found: int) -> None:
    if found or step == "Voicemails":
        examination.add(step, "ok", "They can be read." if step != "Call log" else "The calls of all extensions.")
    elif step == "Call log":
        examination.add(
            step,
            "warn",
            f"It can be read, but holds no call of the last {LOG_DAYS} days.",
            f"If there were calls, the right to the company's call log is missing (FullCompanyCallLog). {ROLE_REMEDY}",
        )
    else:
        examination.add(step, "warn", "The list is empty.", ROLE_REMEDY)


def _refused(examination: Examination, step: str, error: errors.MissingScope, level: Level) -> None:
    """CMN-401 is the application's right, all other codes are the user's (error guide)."""
    right = error.details.get("permissionName")
    what = f"RingCentral refuses this: the permission {right} is missing." if right else f"Refused: {error.message}"
    remedy = APP_REMEDY if error.code in ("CMN-401", "InsufficientPermissions") else ROLE_REMEDY
    examination.add(step, level, f"{what} ({error.code})" if error.code else what, remedy)


def _age(examination: Examination) -> None:
    connection = examination.connection
    row = access_token.facts(connection)
    issued_at, expires_at = row.get("issued_at"), row.get("expires_at")
    facts = []
    if issued_at and expires_at:
        facts.append(f"The access token is from {issued_at:%H:%M} UTC and ends at {expires_at:%H:%M} UTC.")
    if connection.secret_changed_at:
        facts.append(f"The JWT credential is from {connection.secret_changed_at:%Y-%m-%d}.")
    facts.append("A JWT credential ends on the day chosen for it, when it is revoked, or when its user is disabled.")
    if connection.source == Connection.Source.ENVIRONMENT:
        facts.append(f"It is set by {environment_connections.VARIABLES[connection.vendor].required[-1]}.")
    examination.add("Token age", "ok", " ".join(facts))
