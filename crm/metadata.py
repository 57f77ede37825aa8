"""Zoho's metadata with a visible age: read once an hour at most, or when a person asks."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from difflib import get_close_matches
from typing import Any, Literal

from django.utils import timezone

from crm.models import Metadata, PicklistPreference
from crm.zoho.client import ZohoClient
from crm.zoho.schema import Choice, Field, Layout, Module, View
from portal.connections import session_for
from portal.models import Connection

MAX_AGE = dt.timedelta(hours=1)


def client_for(
    connection: Connection, *, purpose: Literal["interactive", "run"] = "interactive", read_only: bool = False
) -> ZohoClient:
    return ZohoClient(session_for(connection, purpose=purpose, read_only=read_only))


def modules(connection: Connection, *, reload: bool = False) -> list[Module]:
    rows = _cached(connection, "modules", lambda client: client.modules(), reload=reload)
    return [Module(**row) for row in rows]


def fields(connection: Connection, module: str, *, reload: bool = False) -> list[Field]:
    rows = _cached(connection, f"fields:{module}", lambda client: client.fields(module), reload=reload)
    return [Field.load(row) for row in rows]


def layouts(connection: Connection, module: str, *, reload: bool = False) -> list[Layout]:
    rows = _cached(connection, f"layouts:{module}", lambda client: client.layouts(module), reload=reload)
    return [Layout.load(row) for row in rows]


def views(connection: Connection, module: str, *, reload: bool = False) -> list[View]:
    rows = _cached(connection, f"views:{module}", lambda client: client.custom_views(module), reload=reload)
    return [View(**row) for row in rows]


def reload(connection: Connection, module: str) -> None:
    """Forgets what is kept of a module, so that the next look reads it anew."""
    names = ["modules", *(f"{kind}:{module}" for kind in ("fields", "layouts", "views"))]
    Metadata.objects.filter(connection=connection, name__in=names).delete()


def did_you_mean(name: str, known: Sequence[str]) -> str:
    """A sentence with the API names most like it, whatever the case of the letters; "" when none is near."""
    folded = {each.casefold(): each for each in known}
    near = [folded[each] for each in get_close_matches(name.casefold(), folded, n=3, cutoff=0.5)]
    return f" Did you mean {', '.join(near)}?" if near else ""


def fetched_at(connection: Connection, module: str) -> dt.datetime | None:
    """When the fields of the module were read."""
    row = Metadata.objects.filter(connection=connection, name=f"fields:{module}").only("fetched_at").first()
    return row.fetched_at if row else None


def _cached(
    connection: Connection, name: str, read: Callable[[ZohoClient], Sequence[Any]], *, reload: bool
) -> list[dict[str, Any]]:
    stored = Metadata.objects.filter(connection=connection, name=name).first()
    if stored and not reload and timezone.now() - stored.fetched_at < MAX_AGE:
        content: list[dict[str, Any]] = stored.content
        return content
    with client_for(connection) as client:
        content = [asdict(entry) for entry in read(client)]
    Metadata.objects.update_or_create(
        connection=connection, name=name, defaults={"content": content, "fetched_at": timezone.now()}
    )
    return content


# --- what a change may choose -----------------------------------------------------------------------------------------


def field(connection: Connection, module: str, api_name: str) -> Field | None:
    return next((entry for entry in fields(connection, module) if entry.api_name == api_name), None)


def picklist_fields(connection: Connection, module: str) -> list[Field]:
    """Fields of the module whose value can be chosen from a list and written."""
    return [entry for entry in fields(connection, module) if entry.data_type == "picklist" and entry.is_writable]


@dataclass(frozen=True)
class Offer:
    """A picklist as it is offered here: Zoho's live values in our order."""

    choices: tuple[Choice, ...]
    default: str
    stale: tuple[str, ...]


def offer(module: str, field_: Field) -> Offer:
    """The live values, ordered, hidden and preselected by the preferences; preferences Zoho does not know are stale."""
    preferences = {row.value: row for row in PicklistPreference.objects.filter(module=module, field=field_.api_name)}
    live = {choice.value for choice in field_.choices}

    def place(indexed: tuple[int, Choice]) -> tuple[int, int]:
        index, choice = indexed
        preference = preferences.get(choice.value)
        return (preference.position if preference else 10_000, index)

    shown = [
        choice
        for _, choice in sorted(enumerate(field_.choices), key=place)
        if not (choice.value in preferences and preferences[choice.value].is_hidden)
    ]
    values = {choice.value for choice in shown}
    default = next((row.value for row in preferences.values() if row.is_default and row.value in values), "")
    return Offer(tuple(shown), default, tuple(value for value in preferences if value not in live))
