"""What the help page says. States, pages, data centres, scopes and codes come from the code that uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from django.apps import apps
from django.conf import settings
from django.db.models import Choices

from portal import navigation
from portal.access import Person
from portal.connections.forms import DATA_CENTRE_NAMES
from portal.connections.oauth_setup import CONSOLES
from portal.connections.ringcentral_permissions import PERMISSIONS
from portal.connections.scopes import proposed, scopes_for
from portal.models import Connection, Run, RunItem
from portal.remote.errors import Advice
from portal.remote.zoho_hosts import DATA_CENTRES

SECTIONS = (
    ("pages", "What each page does"),
    ("connect", "Connecting Zoho CRM"),
    ("phones", "Connecting RingCentral"),
    ("update", "How a bulk update goes"),
    ("calls", "How calls become leads"),
    ("states", "What the states mean"),
    ("codes", "What the codes mean"),
    ("data-centres", "Data centres"),
    ("logs", "Where to look when something is wrong"),
)
# By the name of the page's address, as in portal.navigation.NAV.
PAGES: dict[str, str] = {
    "home": "Whether all is well: connections, worker, credits, what waits for you, the last runs.",
    "records": "Looks at the records of any module: a view, a whole module, pasted ids or the records of a run; any "
    "fields, sorted, searched, downloaded. The id of a row leads to the record, where its fields can be changed.",
    "bulk-update": "Gives a picklist field of many records a new value, after a preview of each record.",
    "calls": "Every call of RingCentral with what was written to Zoho for it, and why not: processing, the review of calls "
    "that several records fit, lead owners, offices.",
    "runs": "Everything that takes time: progress, the outcome of each record, the log; stop, resume, retry, restore.",
    "schedules": "Repeats a bulk update or the processing of calls at set hours.",
    "connections": "Accounts at Zoho and RingCentral: add, authorise, check, choose the one to work with.",
    "audit": "Who did what, when and from where.",
    "admin:index": "Users and their roles, order and defaults of picklists, raw tables.",
}
RUN_STATES: dict[Run.State, str] = {
    Run.State.QUEUED: "It starts as soon as a worker is free.",
    Run.State.RUNNING: "A worker is at it. The page can be closed; it goes on.",
    Run.State.WAITING: "It stands still for the reason named beside it (below).",
    Run.State.STOPPING: "No new call is sent; those under way are still answered and accounted for.",
    Run.State.NEEDS_DECISION: "All is done, but the outcome of some records is not known and could not be read back. "
    "Look at them, and retry those that need it.",
    Run.State.FINISHED: "Every record worked out or was skipped for a reason that is named.",
    Run.State.FINISHED_WITH_ERRORS: "Some records failed. The others are done; “Retry failed” repeats the rest.",
    Run.State.STOPPED: "A person stopped it. What was done stays done; Resume goes on with the rest.",
    Run.State.FAILED: "The run as a whole could not go on. Remove the cause, then press Resume.",
}
WAITS: dict[Run.Wait, str] = {
    Run.Wait.CHANGE: "The records are loaded; somebody has to choose the field and its value.",
    Run.Wait.CONFIRMATION: "The preview is ready; somebody has to look at it and confirm.",
    Run.Wait.APPROVAL: "A supervisor has to approve it.",
    Run.Wait.CREDITS: "The API credits that runs may use are spent. It goes on as credits come back over the day.",
    Run.Wait.RATE_LIMIT: "The vendor asked for a pause, or its requests of this minute are used up. It goes on by itself.",
    Run.Wait.RECONNECTION: "The connection has to be renewed by an administrator. It then goes on by itself.",
    Run.Wait.OUTAGE: "The vendor does not answer. It tries again by itself.",
    Run.Wait.HOUR: "It is planned for later.",
    Run.Wait.SETTLE: "Some requests had no answer, and what they did is read back in a moment; or another run is reading "
    "the same call log.",
}
ITEM_STATES: dict[RunItem.State, str] = {
    RunItem.State.PLANNED: "Nothing was sent for it yet.",
    RunItem.State.SENT: "The call is under way, or its answer is being looked for.",
    RunItem.State.OK: "Zoho confirmed the change, or reading the record back shows it.",
    RunItem.State.FAILED: "Zoho refused it; code and message say why.",
    RunItem.State.SKIPPED: "Nothing was sent, for the reason given by its code.",
    RunItem.State.UNKNOWN: "It may or may not have been changed, and reading back did not settle it.",
}
CONNECTION_STATES: dict[Connection.State, str] = {
    Connection.State.UNCHECKED: "Its credentials are new; “Check now” tries them.",
    Connection.State.WORKING: "The last check or call succeeded.",
    Connection.State.RECONNECT: "The vendor does not accept it any more: authorise it again.",
    Connection.State.FAILING: "The last check found a problem, which its page names.",
}
CALL_STATES: dict[str, str] = {
    "pending": "It is known from the call log; the next run decides about it and writes what is to be written.",
    "review": "Several records have its number, or its legs do not say what came of it. Somebody has to decide, in the "
    "review.",
    "waiting": "All but a recording or voicemail is written; that is asked for again by itself.",
    "done": "All that was to be written is in Zoho.",
    "not_processed": "Nothing is written for it, by the rule that its page names, with what to change.",
    "failed": "Something could not be written. Its page says what; “Retry” repeats that step only.",
}
STEP_STATES: dict[str, str] = {
    "planned": "It is still to be written.",
    "sent": "It was sent and has no answer yet. Before it is repeated, Zoho is asked whether it arrived.",
    "waiting": "RingCentral does not have the file yet.",
    "done": "Zoho confirmed it.",
    "skipped": "There was nothing to write: it is there already, or a rule says so.",
    "unavailable": "RingCentral does not have the file any more, or never had one.",
    "failed": "Zoho or RingCentral refused it; code and message say why.",
}


@dataclass(frozen=True)
class Place:
    """A page of the portal; `url` is "" for those that this person may not open."""

    label: str
    url: str
    words: str


@dataclass(frozen=True)
class Meaning:
    state: str
    label: str
    words: str


def context(user: Person) -> dict[str, Any]:
    return {
        "sections": SECTIONS,
        "places": _places(user),
        "run_states": _meanings(Run.State, RUN_STATES),
        "waits": _meanings(Run.Wait, WAITS),
        "item_states": _meanings(RunItem.State, ITEM_STATES),
        "connection_states": _meanings(Connection.State, CONNECTION_STATES),
        "call_states": _meanings(_choices("Call"), CALL_STATES),
        "step_states": _meanings(_choices("CallStep"), STEP_STATES),
        "codes": sorted(codes().items()),
        "scopes": ",".join(scopes_for(proposed())),
        "permissions": PERMISSIONS,
        "centres": [
            (code, DATA_CENTRE_NAMES[code], centre.accounts_host, centre.crm_host, CONSOLES[code])
            for code, centre in DATA_CENTRES.items()
        ],
        "log_format": settings.LOG_FORMAT,
        "retention_days": settings.RETENTION_DAYS,
    }


def codes() -> dict[str, Advice]:
    """Codes of all kinds of runs. A kind's module may have CODES: code → Advice."""
    found: dict[str, Advice] = {}
    for path in dict.fromkeys(settings.RUN_KINDS.values()):
        found |= getattr(import_module(path), "CODES", {})
    return found


def _choices(model: str) -> type[Choices]:
    """The states of a model of the phone side, looked up by name: the core does not import the apps."""
    found: type[Choices] = apps.get_model("telephony", model).State
    return found


def _places(user: Person) -> list[Place]:
    allowed = {link["label"]: link["url"] for link in navigation.links(user, "")}
    return [Place(page.label, allowed.get(page.label, ""), PAGES[page.url_name]) for page in navigation.NAV]


def _meanings(states: type[Choices], words: Mapping[Any, str]) -> list[Meaning]:
    """One for each member of the enumeration but the empty one, in its order."""
    return [Meaning(state.value, str(state.label), words[state]) for state in states if state.value]
