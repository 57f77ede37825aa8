"""What the viewer's page shows for an address: the form, the table, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any

from django.http import HttpRequest, QueryDict
from django.urls import reverse
from django.utils import timezone

from crm import metadata, record_order, record_source, viewer
from crm.models import RecordSet
from crm.record_source import IdList, Listing, Look, Refused, Source
from crm.viewer_forms import DEFAULT_MODULE, Address, SearchForm, ViewerForm
from crm.zoho.schema import Field, Module, View, name_field
from portal import connections
from portal.models import Connection, Run
from portal.remote import errors

# Fields that are ticked before anybody has chosen, besides the one that names a record.
FIRST_FIELDS = ("Lead_Status", "Stage", "Status", "Email", "Phone", "Owner", "Created_Time")


@dataclass(frozen=True)
class Problem:
    """Why something is not shown. `what`, `target`, `remedy`; code and request id where the vendor gave them."""

    what: str
    remedy: str
    target: str = ""
    code: str = ""
    request_id: str = ""
    action_url: str = ""
    action_label: str = ""


@dataclass
class Choices:
    """What there is to choose from in a module, live from Zoho or at most an hour old."""

    modules: list[Module] = field(default_factory=list)
    columns: list[Field] = field(default_factory=list)
    views: list[View] = field(default_factory=list)


@dataclass
class Screen:
    """Context of the page. `look` is None until source and fields are chosen; `shown` until they are read."""

    address: Address
    connection: Connection | None = None
    module: str = ""
    choices: Choices = field(default_factory=Choices)
    source: Source | None = None
    record_set: RecordSet | None = None
    look: Look | None = None
    shown: viewer.Shown | None = None
    problem: Problem | None = None
    metadata_at: Any = None

    @property
    def is_ready(self) -> bool:
        """Whether the choices are there to choose from."""
        return bool(self.choices.columns)


def prepare(request: HttpRequest, query: QueryDict) -> Screen:
    """Finds source and fields of the address; nothing of the records is read yet."""
    screen = Screen(Address.parse(query))
    try:
        _find_source(request, screen)
        if screen.connection is None:
            screen.problem = no_connection()
            return screen
        _load_choices(screen)
        if screen.source is not None:
            _aim(screen)
    except Refused as refusal:
        screen.problem = Problem(refusal.what, refusal.remedy)
    except errors.RemoteError as error:
        screen.problem = problem_of(error, f"Reading the metadata of {screen.module or 'the modules'}.", screen)
    return screen


def locate(request: HttpRequest, query: QueryDict) -> Screen:
    """Connection and module of the address only."""
    screen = Screen(Address.parse(query))
    try:
        _find_source(request, screen)
    except Refused:
        screen.connection = connections.choose(request)
    return screen


def read(screen: Screen) -> Screen:
    """Reads the page's records."""
    if screen.look is None or screen.problem is not None:
        return screen
    try:
        screen.shown = viewer.show(screen.look)
    except Refused as refusal:
        screen.problem = Problem(
            refusal.what, refusal.remedy, action_url=_url(screen, sort="", search="", page=1),
            action_label="Show without order and search",
        )  # fmt: skip
    except errors.RemoteError as error:
        target = f"{screen.module}: {screen.look.source.title}, page {screen.look.page}."
        screen.problem = problem_of(error, target, screen)
    return screen


def problem_of(error: errors.RemoteError, target: str, screen: Screen) -> Problem:
    advice = errors.describe(error)
    return Problem(
        advice.what,
        advice.remedy,
        target,
        error.code,
        error.request_id,
        action_url=_url(screen),
        action_label="Try again",
    )


def form_of(screen: Screen, data: Any = None) -> ViewerForm:
    """The form as the address has it, or with what was sent."""
    address = screen.address
    kept = screen.source.title if isinstance(screen.source, IdList) and address.kind == "set" else ""
    names = address.field_names(screen.choices.columns)
    initial = {
        "module": screen.module,
        "kept": address.number if kept else "",
        "source": address.kind or "view",
        "view": address.number if address.kind == "view" else "",
        "run": address.number if address.kind == "run" else "",
        "chosen": names or [name_field(screen.module), *FIRST_FIELDS],
    }
    if initial["view"] and initial["view"] not in {view.id for view in screen.choices.views}:
        initial |= {"view": "", "view_text": address.number}
    return ViewerForm(data, initial=initial, columns=screen.choices.columns, views=screen.choices.views, kept=kept)


def context(screen: Screen, form: ViewerForm | None = None) -> dict[str, Any]:
    """Values of the templates."""
    look = screen.look
    form = form or (form_of(screen) if screen.is_ready else None)
    return {
        "screen": screen,
        "form": form,
        "look": look,
        "shown": screen.shown,
        "problem": screen.problem,
        "search_form": _search_form(screen),
        "state_query": screen.address.query(page=1),
        "columns": _columns(screen),
        "pages": [(number, number and _url(screen, page=number)) for number in screen.shown.pages]
        if screen.shown
        else [],
        "clear_url": _url(screen, search="", page=1),
        "bulk_update_query": viewer.bulk_update_query(look) if look else {},
        "download_query": screen.address.query(page=1),
        "count": screen.shown.total if screen.shown else None,
        "chosen_count": _chosen_count(form) if form else 0,
        "now": timezone.now(),
    }


def _columns(screen: Screen) -> list[tuple[viewer.Column, str]]:
    """Each column with the address that sorts by it, or turns its order round."""
    if screen.shown is None:
        return []
    return [
        (column, _url(screen, sort=column.name, descending=column.order == "ascending", page=1))
        for column in screen.shown.columns
    ]


def _chosen_count(form: ViewerForm) -> int:
    known = {column.api_name for column in form.columns}
    return len(known.intersection(form["chosen"].value() or []))


def hidden_values(address: Address) -> list[tuple[str, str]]:
    """The address without the search, for a form that searches."""
    query = QueryDict(address.query(search="", page=1))
    return [(name, str(value)) for name, value in query.items()]


# --- the parts ----------------------------------------------------------------------------------------------------------


def _find_source(request: HttpRequest, screen: Screen) -> None:
    address = screen.address
    screen.module = address.module or DEFAULT_MODULE
    if address.kind == "run" and not request.user.has_perm("portal.view_run"):
        raise Refused("You may not look at runs.", "Ask an administrator for the permission.")
    if address.kind in ("set", "run"):
        screen.source = _of_set(screen) if address.kind == "set" else _of_run(screen)
        screen.module = screen.source.module
        # Read anew through the visitor's own eyes: a temporary connection is its owner's alone.
        screen.connection = connections.visible_in(request).filter(pk=screen.source.connection.pk).first()
        if screen.connection is None:
            screen.source = None
            raise Refused(
                "These records belong to a connection of somebody else's login session.",
                "Paste the ids again to read them with your own connection.",
            )
        screen.source = replace(screen.source, connection=screen.connection)
    else:
        screen.connection = connections.choose(request)


def _of_set(screen: Screen) -> IdList:
    number = _pk(screen.address.number)
    screen.record_set = RecordSet.objects.select_related("connection").filter(pk=number).first()
    if screen.record_set is None:
        raise Refused(
            f"The list {screen.address.number} is not kept any more.", "Lists are kept for a week; paste the ids again."
        )
    return record_source.of_set(screen.record_set)


def _of_run(screen: Screen) -> IdList:
    run = Run.objects.select_related("connection").filter(pk=_pk(screen.address.number)).first()
    if run is None:
        raise Refused(f"There is no run {screen.address.number}.", "Choose one on the Runs page.")
    return record_source.of_run(run)


def _pk(text: str) -> int:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 18 else 0


def _load_choices(screen: Screen) -> None:
    assert screen.connection is not None
    choices = screen.choices
    choices.modules = [module for module in metadata.modules(screen.connection) if module.is_viewable]
    if screen.module not in {module.api_name for module in choices.modules}:
        raise Refused(
            f"This connection shows no module {screen.module}.",
            "Choose another one, or reload the metadata if it is new.",
        )
    # What names a record comes first, in the form and so in the table.
    name = name_field(screen.module)
    choices.columns = sorted(metadata.fields(screen.connection, screen.module), key=lambda each: each.api_name != name)
    choices.views = metadata.views(screen.connection, screen.module)
    screen.metadata_at = metadata.fetched_at(screen.connection, screen.module)
    if not choices.columns:
        raise Refused(
            f"Zoho describes no fields of {screen.module}.",
            "Choose another module: some that Zoho lists cannot be read.",
        )
    if screen.address.kind in ("view", "all"):
        screen.source = _listing(screen, screen.connection)


def _listing(screen: Screen, connection: Connection) -> Listing:
    if screen.address.kind == "all":
        return Listing(connection, screen.module, f"all {screen.module.replace('_', ' ')}")
    number = screen.address.number
    if not (number.isascii() and number.isdigit()):
        raise Refused("A custom view is named by its number.", "Choose the view in the form.")
    name = next((view.name for view in screen.choices.views if view.id == number), number)
    return Listing(connection, screen.module, f"view “{name}”", number)


def _aim(screen: Screen) -> None:
    """Makes the look; the form says it when there is no field to show."""
    assert screen.source is not None
    address, columns = screen.address, screen.choices.columns
    chosen, unknown = viewer.choose_fields(columns, address.field_names(columns))
    if unknown:
        raise Refused(
            f"{screen.module} has no field {', '.join(unknown[:5])}.",
            "Choose its fields in the form, or reload the metadata if the field is new.",
        )
    if not chosen:
        return
    known = {column.api_name: column for column in columns}
    for name in (address.sort, address.search_field):
        if name not in ("", "id") and name not in known:
            raise Refused(f"{screen.module} has no field {name}.", "Choose another column to sort by or to search in.")
    screen.look = Look(
        source=screen.source,
        columns=known,
        fields=chosen,
        sort=address.sort,
        descending=address.descending,
        search=address.search,
        search_field=address.search_field or _first_searchable(screen.source, known, chosen),
        page=address.page,
    )


def _first_searchable(source: Source, known: dict[str, Field], chosen: tuple[Field, ...]) -> str:
    look = Look(source, known, chosen)
    return next((each.api_name for each in chosen if record_order.is_searchable(look, each)), "id")


def _search_form(screen: Screen) -> SearchForm | None:
    look = screen.look
    if look is None:
        return None
    searchable = [each for each in look.fields if record_order.is_searchable(look, each)]
    extra = look.columns.get(look.search_field)
    if extra is not None and extra not in searchable and record_order.is_searchable(look, extra):
        searchable.append(extra)
    form = SearchForm(look=look, searchable=searchable)
    form.hidden_values = hidden_values(screen.address)  # type: ignore[attr-defined]
    return form


def _url(screen: Screen, **changes: Any) -> str:
    return f"{reverse('records')}?{screen.address.query(**changes)}"


def no_connection() -> Problem:
    return Problem(
        "There is no Zoho connection to read records with.",
        "Add one on the Connections page, or ask an administrator to.",
        action_url=reverse("connections"),
        action_label="Connections",
    )
