"""The stand-in of Zoho CRM v8: one organisation, its accounts server and its API."""

from __future__ import annotations

from collections.abc import Iterator
from threading import RLock

from portal.standin.clock import Clock
from portal.standin.counters import Counters
from portal.standin.router import Handler, Route
from portal.standin.seed import Seed
from portal.standin.zoho import gate
from portal.standin.zoho.attachments import Attachments
from portal.standin.zoho.coql import Coql
from portal.standin.zoho.mass_update import MassUpdate
from portal.standin.zoho.metadata import Metadata
from portal.standin.zoho.notes import Notes
from portal.standin.zoho.org import Org
from portal.standin.zoho.organisation import Organisation
from portal.standin.zoho.reading import Reading
from portal.standin.zoho.search import Search
from portal.standin.zoho.tokens import AccountsGate, Tokens
from portal.standin.zoho.writing import Writing

_API = "/crm/v8"
_SEARCH_SCOPE = "ZohoSearch.securesearch.READ"


class Zoho:
    def __init__(self, seed: Seed, clock: Clock, lock: RLock, counters: Counters) -> None:
        self.org = Org(seed, clock, lock, counters)
        self.settings = self.org.settings
        self.tokens = Tokens(self.org)
        self.credits = gate.Credits(self.org)
        self.limits = gate.Limits(self.org, self.tokens, self.credits)
        self.search = Search(self.org)
        self.reading = Reading(self.org, self.search)
        self.writing = Writing(self.org)
        self.coql = Coql(self.org, self.tokens)
        self.mass_update = MassUpdate(self.org, self.writing)
        self.notes = Notes(self.org, self.writing, self.reading)
        self.attachments = Attachments(self.org, self.writing)

    def settle(self) -> None:
        """Let scheduled work take the effect that the clock says it has had by now."""
        self.mass_update.settle()

    def routes(self) -> Iterator[Route]:
        yield from self.tokens.routes(AccountsGate())
        yield from self._settings_routes()
        yield from self._record_routes()
        yield from self._action_routes()
        yield from self._related_routes()

    def _route(
        self,
        method: str,
        path: str,
        handler: Handler,
        *scopes: str,
        price: gate.Price = gate.one,
        is_heavy: gate.Weight = gate.never,
    ) -> Route:
        return Route(method, _API + path, handler, gate.ApiGate(self.limits, scopes, price, is_heavy))

    def _settings_routes(self) -> Iterator[Route]:
        metadata, organisation = Metadata(self.org), Organisation(self.org)
        for path, handler, scope in (
            ("/org", organisation.about, "ZohoCRM.org.READ"),
            ("/users", organisation.users, "ZohoCRM.users.READ"),
            ("/users/actions/count", organisation.count, "ZohoCRM.users.READ"),
            ("/users/{id}", organisation.one_user, "ZohoCRM.users.READ"),
            ("/settings/roles", organisation.roles, "ZohoCRM.settings.roles.READ"),
            ("/settings/profiles", organisation.profiles, "ZohoCRM.settings.profiles.READ"),
            ("/settings/modules", metadata.modules, "ZohoCRM.settings.modules.READ"),
            ("/settings/modules/{module}", metadata.one_module, "ZohoCRM.settings.modules.READ"),
            ("/settings/fields", metadata.fields, "ZohoCRM.settings.fields.READ"),
            ("/settings/fields/{field_id}", metadata.one_field, "ZohoCRM.settings.fields.READ"),
            (
                "/settings/fields/{field_id}/pick_list_values",
                metadata.pick_list_values,
                "ZohoCRM.settings.fields.READ",
            ),
            ("/settings/layouts", metadata.layouts, "ZohoCRM.settings.layouts.READ"),
            ("/settings/layouts/{id}", metadata.one_layout, "ZohoCRM.settings.layouts.READ"),
            ("/settings/custom_views", metadata.custom_views, "ZohoCRM.settings.custom_views.READ"),
            ("/settings/custom_views/{id}", metadata.one_custom_view, "ZohoCRM.settings.custom_views.READ"),
        ):
            yield self._route("GET", path, handler, scope)

    def _record_routes(self) -> Iterator[Route]:
        read, create, update, delete = (
            f"ZohoCRM.modules.{{module}}.{operation}" for operation in ("READ", "CREATE", "UPDATE", "DELETE")
        )
        reading, writing = self.reading, self.writing
        by_ten, many = gate.per_ten_records, gate.more_than_ten
        yield self._route("GET", "/{module}", reading.list_records, read, price=gate.list_price, is_heavy=gate.by_view)
        yield self._route("GET", "/{module}/{id}", reading.one_record, read)
        yield self._route("GET", "/{module}/deleted", reading.deleted, read, price=gate.two)
        yield self._route("GET", "/{module}/search", self.search.call, read, _SEARCH_SCOPE)
        yield self._route("GET", "/{module}/actions/count", reading.count, read, _SEARCH_SCOPE)
        yield self._route("POST", "/{module}", writing.insert, create, price=by_ten, is_heavy=many)
        yield self._route("PUT", "/{module}", writing.update, update, price=by_ten, is_heavy=many)
        yield self._route("PUT", "/{module}/{id}", writing.update_one, update)
        yield self._route("POST", "/{module}/upsert", writing.upsert, create, update, price=by_ten, is_heavy=many)
        yield self._route("DELETE", "/{module}", writing.delete, delete)
        yield self._route("DELETE", "/{module}/{id}", writing.delete_one, delete)

    def _action_routes(self) -> Iterator[Route]:
        jobs, path = self.mass_update, "/{module}/actions/mass_update"
        yield self._route("POST", path, jobs.start, "ZohoCRM.mass_update.{module}.UPDATE")
        yield self._route("GET", path, jobs.status, "ZohoCRM.mass_update.{module}.READ")
        yield self._route(
            "POST", "/coql", self.coql.call, "ZohoCRM.coql.READ", price=self.coql.price, is_heavy=gate.always
        )

    def _related_routes(self) -> Iterator[Route]:
        notes, files = self.notes, self.attachments
        scope, own = "ZohoCRM.modules.notes", "/{module}/{parent_id}/Notes"
        yield self._route("GET", "/Notes", notes.list_all, f"{scope}.READ")
        yield self._route("POST", "/Notes", notes.insert, f"{scope}.CREATE", price=gate.per_ten_records)
        yield self._route("PUT", "/Notes", notes.update, f"{scope}.UPDATE", price=gate.per_ten_records)
        yield self._route("GET", "/Notes/{id}", notes.one, f"{scope}.READ")
        yield self._route("PUT", "/Notes/{id}", notes.update_one, f"{scope}.UPDATE")
        yield self._route("DELETE", "/Notes/{id}", notes.delete_one, f"{scope}.DELETE")
        yield self._route("GET", own, notes.list_of, f"{scope}.READ")
        yield self._route("POST", own, notes.insert_of, f"{scope}.CREATE", price=gate.per_ten_records)
        scope, own = "ZohoCRM.modules.attachments", "/{module}/{parent_id}/Attachments"
        yield self._route("GET", own, files.list_of, f"{scope}.READ")
        yield self._route("POST", own, files.upload, f"{scope}.CREATE")
        yield self._route("GET", f"{own}/{{id}}", files.download, f"{scope}.READ")
        yield self._route("DELETE", f"{own}/{{id}}", files.delete_one, f"{scope}.DELETE")
