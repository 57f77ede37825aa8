"""What the portal's features need to be allowed at Zoho: the table behind the wizard and the checks.

Scopes are `ZohoCRM.<group>.<sub>.<operation>` (Zoho's scopes page and the OpenAPI files of v8). Search needs
`ZohoSearch.securesearch.READ` beside the module, COQL `ZohoCRM.coql.READ`; uploads of Bulk Write `ZohoFiles.files.ALL`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True)
class Feature:
    """One thing the portal does. `{module}` in a scope stands for one module's name and a dot, or for nothing: all.

    `is_proposed`: ticked in the wizard from the start, because something that exists today needs it.
    """

    key: str
    label: str
    scopes: tuple[str, ...]
    is_proposed: bool = True


FEATURES: tuple[Feature, ...] = (
    Feature("records", "Show records", ("ZohoCRM.modules.{module}READ",)),
    Feature("update", "Update records", ("ZohoCRM.modules.{module}UPDATE",)),
    Feature(
        "metadata",
        "Know modules, fields, layouts and views",
        (
            "ZohoCRM.settings.modules.READ",
            "ZohoCRM.settings.fields.READ",
            "ZohoCRM.settings.layouts.READ",
            "ZohoCRM.settings.custom_views.READ",
        ),
    ),
    Feature("users", "Know users and owners", ("ZohoCRM.users.READ",)),
    Feature("org", "Know the organisation, its edition and environment", ("ZohoCRM.org.READ",)),
    Feature("search", "Search records", ("ZohoSearch.securesearch.READ",)),
    Feature("coql", "Read many records by a query (COQL)", ("ZohoCRM.coql.READ",)),
    Feature("create", "Create records", ("ZohoCRM.modules.{module}CREATE",), is_proposed=False),
    Feature("notes", "Write notes", ("ZohoCRM.modules.notes.ALL",), is_proposed=False),
    Feature("attachments", "Attach files", ("ZohoCRM.modules.attachments.ALL",), is_proposed=False),
    Feature("bulk", "Import and copy in bulk", ("ZohoCRM.bulk.ALL", "ZohoFiles.files.ALL"), is_proposed=False),
)
BY_KEY = {feature.key: feature for feature in FEATURES}
MODULE_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_]{0,99}")


def proposed() -> list[str]:
    return [feature.key for feature in FEATURES if feature.is_proposed]


def scopes_for(features: Iterable[str], modules: Iterable[str] = ()) -> list[str]:
    """Scopes of the features, each once, in the table's order; `modules` limits those about records to some modules."""
    wanted = set(features)
    places = [f"{module}." for module in modules] or [""]
    scopes = [
        scope.format(module=place)
        for feature in FEATURES
        if feature.key in wanted
        for scope in feature.scopes
        for place in (places if "{module}" in scope else [""])
    ]
    return list(dict.fromkeys(scopes))


def split(scopes: str) -> list[str]:
    """Zoho separates scopes by commas in requests and by blanks in answers."""
    return [scope for scope in re.split(r"[\s,]+", scopes) if scope]


def covers(granted: Iterable[str], needed: str) -> bool:
    """Whether any granted scope includes the needed one. ALL includes every operation, a group its parts.

    Case does not matter; WRITE includes CREATE and UPDATE.
    """
    *place, operation = needed.lower().split(".")
    for scope in granted:
        *granted_place, granted_operation = scope.lower().split(".")
        is_operation_covered = granted_operation in ("all", operation) or (
            granted_operation == "write" and operation in ("create", "update")
        )
        if is_operation_covered and place[: len(granted_place)] == granted_place:
            return True
    return False


def missing(granted: Iterable[str], feature: str, module: str) -> list[str]:
    """Scopes of the feature for records of one module that are not among the granted ones."""
    have = list(granted)
    return [scope for scope in scopes_for([feature], [module]) if not covers(have, scope)]
