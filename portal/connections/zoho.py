"""The steps of a check that call Zoho: token, data centre, organisation, credits, user, and what the scopes allow."""

from __future__ import annotations

from collections.abc import Callable
from urllib.parse import urlsplit

from django.conf import settings

from portal import connections
from portal.connections import access_token
from portal.connections import environment as environment_connections
from portal.connections import scopes as connection_scopes
from portal.connections.editions import SOURCE
from portal.connections.findings import Examination
from portal.connections.probes import ModuleAccess, Organisation, Probes, is_about_permission, module_to_read
from portal.models import Connection
from portal.remote import errors, zoho_hosts
from portal.remote.addresses import LOOPBACK

State = Connection.State
Environment = Connection.Environment
ENVIRONMENTS: dict[str, Environment] = {
    "production": Environment.PRODUCTION,
    "sandbox": Environment.SANDBOX,
    "developer": Environment.DEVELOPER,
}
REAUTHORISE = "Authorise the connection again with this scope ticked; a token keeps the scopes it was granted with."
# In the report: the figure that a check found, to tell it from one that a person entered.
DERIVED_CREDITS = "derived_credits"


def examine(examination: Examination) -> None:
    last = examination.connection.last_success_at
    if not access_token.proved(examination):
        return
    _data_centre(examination)
    with connections.session_for(examination.connection, read_only=True) as session:
        probes = Probes(session)
        is_usable = _organisation(examination, probes)
        if not is_usable:
            return
        _user(examination, probes)
        _age(examination)
        module = _modules(examination, probes)
        if module is not None:
            _features(examination, probes, module)
    examination.ends(State.WORKING)
    if last is not None:
        examination.add(
            "Last success", "ok", f"The last call before this check succeeded at {last:%Y-%m-%d %H:%M} UTC."
        )


def api_centre(url: str) -> str:
    """Data centre of an API address, LOCAL on the loopback interface, empty when it is not known."""
    host = urlsplit(url).hostname or ""
    if host in LOOPBACK:
        return zoho_hosts.LOCAL
    for centre in zoho_hosts.DATA_CENTRES.values():
        domain = centre.api_host.removeprefix("www.")
        if host in (centre.api_host, f"sandbox.{domain}", f"developer.{domain}", domain):
            return centre.code
    return ""


def _data_centre(examination: Examination) -> None:
    """The accounts server's data centre and the API's must be the same.

    The API address comes with the token unless the connection overrides it; Zoho is right, the override may not be.
    """
    step, connection = "Data centre", examination.connection
    found = connections.resolve_credentials(connection)
    accounts = zoho_hosts.data_centre_of(found.accounts_url)
    api = api_centre(str(access_token.facts(connection).get("api_domain", "")))
    if api == accounts:
        label = "this machine (stand-in)" if accounts == zoho_hosts.LOCAL else accounts
        examination.add(step, "ok", f"Accounts server and API agree: {label}.")
        return
    what = f"The accounts server is of data centre {accounts}, the API address of {api or 'none that is known'}."
    if found.api_domain:
        remedy = f"The right one is {accounts}: remove the API address of the connection, or enter that of {accounts}."
    else:
        remedy = f"The right one is {api}, because Zoho itself named it: choose it under “Edit”."
    examination.add(step, "warn", what, remedy)


def _organisation(examination: Examination, probes: Probes) -> bool:
    """Reads the organisation; without the scope for it the connection still works, but less is known."""
    step, connection = "Organisation", examination.connection
    is_local = zoho_hosts.data_centre_of(connections.resolve_credentials(connection).accounts_url) == zoho_hosts.LOCAL
    if is_local:
        examination.values["environment"] = Environment.STANDIN
    try:
        org = probes.organisation()
    except errors.MissingScope:
        scope = connection_scopes.BY_KEY["org"].scopes[0]
        examination.add(
            step, "warn", f"The scope {scope} is missing: environment and daily credits are not known.", REAUTHORISE
        )
        return True
    except errors.RemoteError as error:
        examination.add_error(step, error)
        # A rate limit passes by itself and says nothing about the connection.
        if not isinstance(error, errors.RateLimited):
            is_refused = isinstance(error, errors.Unauthorized)
            examination.ends(State.RECONNECT if is_refused else State.FAILING, error.message)
        return False
    environment = Environment.STANDIN if is_local else ENVIRONMENTS.get(org.environment, Environment.UNKNOWN)
    before = connection.organisation_id
    examination.values |= {
        "environment": environment,
        "organisation_id": org.number[:40],
        "organisation_name": org.name[:200],
        "crm_url": _crm_url(connection, org, environment),
    }
    if before and before != org.number:
        examination.add(
            step,
            "warn",
            f"It now opens another organisation: {org.name} ({environment.label}).",
            "Check that this is meant. Runs of the earlier organisation must not go on with this connection.",
        )
    else:
        examination.add(step, "ok", f"{org.name} ({environment.label}).")
    _credits(examination, org)
    return True


def _crm_url(connection: Connection, org: Organisation, environment: Environment) -> str:
    """Base of record links, /tab/<module>/<id>; empty where no source names the screens' address."""
    if environment != Environment.PRODUCTION:
        return ""
    accounts = connections.resolve_credentials(connection).accounts_url
    return f"{zoho_hosts.crm_url(zoho_hosts.data_centre_of(accounts))}/crm/org{org.number}"


def _credits(examination: Examination, org: Organisation) -> None:
    """What a person entered counts first, then the setting, then the formula of the edition."""
    step, connection, edition = "Daily credits", examination.connection, org.edition
    name = f"Edition {edition.name}{' (trial)' if edition.is_trial else ''}" if edition.name else "Edition not stated"
    derived = dict(connection.report or {}).get(DERIVED_CREDITS)
    if connection.daily_credits and connection.daily_credits != derived:
        examination.add(
            step, "ok", f"{name}: {connection.daily_credits:,} credits per 24 hours, as entered for this connection."
        )
        return
    if settings.ZOHO_DAILY_CREDITS:
        amount, source = settings.ZOHO_DAILY_CREDITS, "the setting ZOHO_DAILY_CREDITS"
    elif edition.daily_credits:
        amount, source = edition.daily_credits, f"{SOURCE} for {edition.users or 0} users"
    else:
        examination.add(
            step,
            "warn",
            f"{name}: how many API credits it has per 24 hours is not known.",
            "Look it up in Zoho (Setup, Developer Hub, APIs and SDKs) and set ZOHO_DAILY_CREDITS.",
        )
        return
    examination.values["daily_credits"] = examination.facts[DERIVED_CREDITS] = amount
    examination.add(step, "ok", f"{name}: {amount:,} credits per 24 hours, from {source}.")


def _user(examination: Examination, probes: Probes) -> None:
    step, email = "CRM user", examination.connection.user_email
    try:
        user = probes.current_user()
        if not user.is_active or not user.is_confirmed:
            examination.add(
                step,
                "warn",
                "The user who authorised the connection is not active or not confirmed.",
                "Let an active user authorise it again before this one's access ends.",
            )
        elif not email or user.email.lower() == email.lower():
            examination.add(step, "ok", "The user who authorised the connection is active.")
        elif probes.user_by_email(email) is None:
            examination.add(
                step,
                "warn",
                "No active, confirmed user of the organisation has the e-mail address of this connection.",
                "Correct the address under “Edit”, or let another user authorise the connection.",
            )
        else:
            examination.add(
                step,
                "warn",
                "Another user than the one entered here authorised the connection.",
                "Correct the address under “Edit”, or let the entered user authorise the connection.",
            )
    except errors.MissingScope:
        scope = connection_scopes.BY_KEY["users"].scopes[0]
        examination.add(step, "warn", f"The scope {scope} is missing: users and owners cannot be shown.", REAUTHORISE)
    except errors.RemoteError as error:
        examination.add_error(step, error, "warn")


def _age(examination: Examination) -> None:
    connection = examination.connection
    row = access_token.facts(connection)
    issued_at, expires_at = row.get("issued_at"), row.get("expires_at")
    facts = []
    if issued_at and expires_at:
        facts.append(f"The access token is from {issued_at:%H:%M} UTC and ends at {expires_at:%H:%M} UTC.")
    if connection.secret_changed_at:
        facts.append(f"The refresh token is from {connection.secret_changed_at:%Y-%m-%d}.")
    facts.append(
        "A refresh token does not expire: it ends when it is revoked, or when the same user authorises the same client "
        "for the 21st time."
    )
    if connection.source == Connection.Source.ENVIRONMENT:
        facts.append(f"It is set by {environment_connections.VARIABLES[connection.vendor].required[-1]}.")
    examination.add("Token age", "ok", " ".join(facts))


# --- what the connection may do -------------------------------------------------------------------------------------


def _modules(examination: Examination, probes: Probes) -> ModuleAccess | None:
    step = "Modules"
    try:
        modules = probes.modules()
    except errors.RemoteError as error:
        _feature_error(examination, step, error, "ZohoCRM.settings.modules.READ")
        return ModuleAccess("Leads", is_viewable=True, is_editable=True)
    module = module_to_read(modules)
    hidden = len([each for each in modules if not each.is_viewable])
    if module is None:
        examination.add(
            step,
            "fail",
            "No module can be read.",
            "Give the profile of the connection's user permission to see modules, in Zoho under Users and Control.",
        )
        return None
    examination.add(step, "ok", f"{len(modules)} modules, {hidden} of them closed to the connection's user.")
    return module


def _features(examination: Examination, probes: Probes, module: ModuleAccess) -> None:
    name = module.name
    reads: tuple[tuple[str, Callable[[str], int], str], ...] = (
        ("Fields", probes.fields, "ZohoCRM.settings.fields.READ"),
        ("Views", probes.views, "ZohoCRM.settings.custom_views.READ"),
        ("Show records", probes.records, f"ZohoCRM.modules.{name}.READ"),
        ("Search", probes.search, "ZohoSearch.securesearch.READ"),
        ("COQL", probes.query, "ZohoCRM.coql.READ"),
    )
    for step, probe, scope in reads:
        try:
            probe(name)
        except errors.RemoteError as error:
            _feature_error(examination, step, error, scope)
        else:
            examination.add(step, "ok", f"Works for {name}.")
    granted = connection_scopes.split(examination.connection.scopes)
    for key in ("update", "create", "notes", "attachments", "bulk"):
        _feature_by_scopes(examination, connection_scopes.BY_KEY[key], module, granted)


def _feature_error(examination: Examination, step: str, error: errors.RemoteError, scope: str) -> None:
    """One feature that does not work is a warning: the others do."""
    if isinstance(error, errors.MissingScope):
        examination.add(step, "warn", f"The scope {scope} is missing; only what needs it does not work.", REAUTHORISE)
    elif is_about_permission(error):
        examination.add(
            step,
            "warn",
            "The profile of the connection's user does not allow this in Zoho.",
            "Change the profile in Zoho under Users and Control, or let another user authorise the connection.",
        )
    else:
        examination.add_error(step, error, "warn")


def _feature_by_scopes(
    examination: Examination, feature: connection_scopes.Feature, module: ModuleAccess, granted: list[str]
) -> None:
    """Writes are not tried out: their scopes are compared where they are known."""
    if not granted:
        examination.add(
            feature.label, "skip", "Not tried, because that would write; which scopes were granted is not known."
        )
        return
    missing = connection_scopes.missing(granted, feature.key, module.name)
    if not missing:
        examination.add(feature.label, "ok", "The scopes for it are granted.")
    elif feature.is_proposed:
        names = ", ".join(missing)
        examination.add(feature.label, "warn", f"Missing: {names}. Only what needs it does not work.", REAUTHORISE)
    else:
        examination.add(feature.label, "skip", f"Not granted ({', '.join(missing)}), and not needed unless you use it.")
