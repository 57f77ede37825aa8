"""Custom views: which records they hold and how the API describes them."""

from __future__ import annotations

from dataclasses import dataclass

from portal.standin.messages import JsonObject
from portal.standin.zoho.conditions import Comparison, Node
from portal.standin.zoho.schema import Module
from portal.standin.zoho.table import Table

ALL_LEADS = "5725767000000801001"
UNREAD_LEADS = "5725767000000801002"
NOT_CONTACTED = "5725767000000801003"
EMPTY_VIEW = "5725767000000801004"
UNREAD_COUNT = 2_350
_COMPARATORS = {"=": "equal", "in": "in"}


@dataclass(frozen=True)
class View:
    id: str
    name: str
    module: str
    system_name: str | None
    node: Node | None = None
    hide_criteria: bool = False
    """A view of fixed members: its real criterion is of no use to the caller."""


def unread_members(table: Table, wanted: int) -> frozenset[str]:
    """Every fifth lead that is not converted, up to the wanted number: a stored list, the same at each start."""
    is_converted = table.getter("Converted__s")
    found: list[str] = []
    for record_id in table.ids()[::5]:
        if len(found) >= wanted:
            break
        if not is_converted(record_id):
            found.append(record_id)
    return frozenset(found)


def made_up_views(modules: tuple[Module, ...], leads: Table) -> dict[str, View]:
    unread = Comparison("id", "in", unread_members(leads, UNREAD_COUNT))
    views = [
        View(ALL_LEADS, "All Leads", "Leads", "ALLVIEWS"),
        View(UNREAD_LEADS, "Unread leads", "Leads", None, unread, hide_criteria=True),
        View(NOT_CONTACTED, "Status is Not Contacted", "Leads", None, Comparison("Lead_Status", "=", "Not Contacted")),
        View(EMPTY_VIEW, "Empty view", "Leads", None, Comparison("Lead_Status", "=", "No lead has this")),
    ]
    views += [
        View(f"57257670000008{module.number:02d}001", f"All {module.plural}", module.api_name, "ALLVIEWS")
        for module in modules
        if module.api_name != "Leads"
    ]
    return {view.id: view for view in views}


def criteria_of(view: View, module: Module) -> JsonObject | None:
    if not isinstance(view.node, Comparison) or view.hide_criteria:
        return None
    return {
        "comparator": _COMPARATORS[view.node.operator],
        "field": {"api_name": view.node.field, "id": module.field_id(view.node.field)},
        "value": view.node.value,
    }
