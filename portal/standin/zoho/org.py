"""The state of the made-up Zoho organisation: settings, users, tables, views, and how records are shown."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from threading import RLock
from typing import Any

from portal.standin.clock import Clock
from portal.standin.counters import Counters
from portal.standin.messages import JsonObject
from portal.standin.seed import Dice, Seed
from portal.standin.zoho import modules
from portal.standin.zoho.conditions import Comparison, Group, Node, comparisons, compiled
from portal.standin.zoho.errors import refuse
from portal.standin.zoho.leads import lead_makers
from portal.standin.zoho.others import other_makers
from portal.standin.zoho.people import User, made_up_users
from portal.standin.zoho.schema import Field, Module
from portal.standin.zoho.table import Getter, Selection, Table, Values
from portal.standin.zoho.values import format_time
from portal.standin.zoho.views import made_up_views

Presenter = Callable[[Any], Any]


@dataclass
class Settings:
    """What a test may set; the defaults are those of a paid Enterprise org where the sources name one."""

    token_life_s: int = 3600
    code_life_s: int = 120
    api_domain: str = ""
    """Empty means the address under which the stand-in was asked."""
    location: str = "us"
    wrong_data_centre: bool = False
    token_requests_per_window: int = 10
    token_window_s: int = 600
    live_access_tokens: int = 10
    concurrency: int = 20
    heavy_concurrency: int = 10
    daily_credits: int = 60_000
    search_lag_s: float = 2.0
    mass_update_wait_s: float = 2.0
    mass_update_per_s: float = 500.0
    all_failed_status: int = 400
    page_token_life_s: int = 86_400


@dataclass(slots=True)
class Stale:
    """What the search index still believes of a record: its earlier values, or None for one it has not seen."""

    until: float
    earlier: Values | None


class Org:
    def __init__(self, seed: Seed, clock: Clock, lock: RLock, counters: Counters) -> None:
        self.seed = seed
        self.clock = clock
        self.lock = lock
        self.counters = counters
        self.settings = Settings()
        self.users: dict[str, User] = made_up_users()
        self.admin = next(user for user in self.users.values() if user.is_admin)
        self.modules = modules.MODULES
        self.tables = self._make_tables()
        self.views = made_up_views(modules.RECORD_MODULES, self.tables["Leads"])
        self.deleted: dict[str, dict[str, JsonObject]] = {name: {} for name in self.modules}
        self._stale: dict[str, dict[str, Stale]] = {name: {} for name in self.modules}
        self._columns: dict[tuple[str, tuple[str, ...] | None], list[tuple[str, Getter, Presenter | None]]] = {}

    def _make_tables(self) -> dict[str, Table]:
        seed, count = self.seed, self.seed.leads
        counts = {
            "Leads": count,
            "Contacts": count // 10,
            "Accounts": count // 10,
            "Deals": count // 20,
            "Tasks": count // 10,
            "Site_Surveys": count // 20,
        }
        owners = tuple(user.id for user in self.users.values() if user.status == "active" and user.confirmed)
        tables: dict[str, Table] = {}

        def related(name: str) -> Callable[[int], str | None]:
            position = Dice(seed.seed).number(f"related {name}")
            # The tables exist by the time a record is computed.
            return lambda index: tables[name].base_id(position(index) % counts[name]) if counts[name] else None

        links = {name: related(name) for name in counts}
        makers = {"Leads": lead_makers(seed, owners, links), **other_makers(seed, counts, owners, links)}
        for name, module in self.modules.items():
            tables[name] = Table(module, counts.get(name, 0), makers.get(name))
        return tables

    def module(self, name: str) -> Module:
        module = self.modules.get(name)
        if module is None or not module.listed:
            raise refuse(400, "INVALID_MODULE", "the module name given seems to be invalid", resource_path_index=0)
        return module

    def table(self, name: str) -> Table:
        return self.tables[self.module(name).api_name]

    def now(self) -> int:
        return int(self.clock.timestamp())

    # The lag of the search index

    def stale(self, table: Table) -> dict[str, Stale]:
        """Records that the index shows as they were; empty once the index has caught up."""
        entries = self._stale[table.module.api_name]
        if entries:
            now = self.clock.timestamp()
            for record_id in [record_id for record_id, entry in entries.items() if entry.until <= now]:
                del entries[record_id]
        return entries

    def index_later(self, table: Table, record_id: str, earlier: Values | None) -> None:
        """Called before a change with the values that it replaces; None for a new record."""
        lag = self.settings.search_lag_s
        if lag <= 0:
            return
        entries = self._stale[table.module.api_name]
        until = self.clock.timestamp() + lag
        entry = entries.get(record_id)
        if entry is None or entry.until <= self.clock.timestamp():
            entries[record_id] = Stale(until, earlier)
            return
        entry.until = until
        if entry.earlier is not None and earlier is not None:
            entry.earlier = {**earlier, **entry.earlier}

    # Showing records

    def presenter(self, field: Field) -> Presenter | None:
        if field.data_type == "datetime":
            return format_time
        if field.data_type in ("ownerlookup", "userlookup"):
            return self.user_reference
        if field.data_type == "lookup":
            return lambda record_id: self.record_reference(field.lookup, record_id)
        if field.data_type == "layout":
            return self._layout_reference
        return None

    def user_reference(self, user_id: str | None) -> JsonObject | None:
        user = self.users.get(user_id or "")
        return user.reference() if user else None

    def record_reference(self, module: str, record_id: str | None) -> JsonObject | None:
        if record_id is None:
            return None
        table = self.tables[module]
        return {"name": table.value(record_id, table.module.name_field), "id": record_id}

    def _layout_reference(self, layout_id: str | None) -> JsonObject | None:
        for module in self.modules.values():
            for layout in module.layouts:
                if layout.id == layout_id:
                    return {"name": layout.name, "display_label": layout.name, "id": layout.id}
        return None

    def columns(self, table: Table, fields: tuple[str, ...] | None) -> list[tuple[str, Getter, Presenter | None]]:
        """Name, reader and presenter of each wanted field; all of them for None. Unknown names are left out."""
        key = (table.module.api_name, fields)
        if key not in self._columns:
            if len(self._columns) > 500:
                self._columns.clear()
            known = table.module.by_name
            names = tuple(known) if fields is None else fields
            self._columns[key] = [
                (name, table.getter(name), self.presenter(known[name])) for name in names if name in known
            ]
        return self._columns[key]

    def shown(self, table: Table, record_id: str, fields: tuple[str, ...] | None = None) -> JsonObject:
        """One record as the API gives it; `id` is always there."""
        row: JsonObject = {}
        for name, read, present in self.columns(table, fields):
            value = read(record_id)
            row[name] = value if present is None or value is None else present(value)
        row["id"] = record_id
        return row

    # Conditions

    def reader(self, table: Table) -> Callable[[str], Getter]:
        """Getter of a field or of `Lookup.field`."""

        def getter_of(path: str) -> Getter:
            own, _, inner = path.partition(".")
            read = table.getter(own)
            if not inner:
                return read
            target = table.module.by_name[own]
            read_target = self._user_getter(inner) if target.lookup == "" else self.tables[target.lookup].getter(inner)
            return lambda record_id: None if (found := read(record_id)) is None else read_target(found)

        return getter_of

    def _user_getter(self, attribute: str) -> Getter:
        return lambda user_id: getattr(self.users[user_id], attribute, None) if user_id in self.users else None

    def selection(self, table: Table, cvid: str | None, converted: str, approved: str) -> Selection:
        """The living members of a list call, kept in order by the table."""
        key = (cvid, converted, approved)
        if key in table.selections:
            return table.selections[key]
        terms: list[Node] = []
        if cvid is not None and self.views[cvid].node is not None:
            terms.append(self.views[cvid].node)  # type: ignore[arg-type]  # checked one line above
        if converted != "both" and "Converted__s" in table.module.by_name:
            terms.append(Comparison("Converted__s", "=", converted == "true"))
        if approved != "both":
            terms.append(Comparison("$approval_state", "=" if approved == "true" else "!=", "approved"))
        if not terms:
            return table.selection(key, frozenset(), lambda record_id: True)
        node = Group("and", tuple(terms))
        fields = frozenset(comparison.field for comparison in comparisons(node))
        return table.selection(key, fields, compiled(node, self.reader(table)))

    def view(self, cvid: str, module: str) -> str:
        found = self.views.get(cvid)
        if found is None or found.module != module:
            raise refuse(400, "INVALID_DATA", "the id given seems to be invalid", param_name="cvid")
        return cvid
