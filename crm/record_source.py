"""What the record viewer and the export look at: a list of ids, an earlier run, a custom view or a whole module."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from django.contrib.auth.models import User

from crm.models import RecordSet
from crm.selection import Selection
from crm.zoho.schema import Field
from portal.models import Connection, Run

MAX_KEPT_REJECTS = 1000
CHUNK = 2000


class Refused(Exception):
    """Something that cannot be shown this way; `remedy` says what can be done instead."""

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what} {remedy}")
        self.what = what
        self.remedy = remedy


@dataclass(frozen=True)
class IdList:
    """Ids that are known: `name` is unique among all lists and names the same ids while it is cached."""

    connection: Connection
    module: str
    title: str
    name: str
    count: int

    def part(self, start: int, stop: int) -> list[str]:
        raise NotImplementedError

    def walk(self) -> Iterator[str]:
        """All ids in their order, some thousand in memory at a time."""
        for start in range(0, self.count, CHUNK):
            yield from self.part(start, start + CHUNK)


@dataclass(frozen=True)
class GivenIds(IdList):
    ids: tuple[str, ...]

    def part(self, start: int, stop: int) -> list[str]:
        return list(self.ids[start:stop])


@dataclass(frozen=True)
class RunIds(IdList):
    run: Run

    def part(self, start: int, stop: int) -> list[str]:
        return list(self.run.items.order_by("position").values_list("key", flat=True)[start:stop])


@dataclass(frozen=True)
class Listing:
    """Records that Zoho lists: those of a custom view, or with `view_id` "" all of the module."""

    connection: Connection
    module: str
    title: str
    view_id: str = ""

    @property
    def name(self) -> str:
        return f"view-{self.view_id}" if self.view_id else f"module-{self.module}"


Source = IdList | Listing


@dataclass(frozen=True)
class Look:
    """A source, the columns wanted of it, and their order.

    `columns` are all fields of the module by API name; `fields` the chosen ones, without id. `sort` and `search_field`
    are API names; "" sorts as the source does.
    """

    source: Source
    columns: dict[str, Field]
    fields: tuple[Field, ...]
    sort: str = ""
    descending: bool = False
    search: str = ""
    search_field: str = "id"
    page: int = 1

    @property
    def field_names(self) -> list[str]:
        return [field.api_name for field in self.fields]


def keep(*, owner: User, connection: Connection, module: str, selection: Selection, name: str = "") -> RecordSet:
    """Stores cleaned ids so that they can be paged through; pruned after a week."""
    ids = [row.id for row in selection.rows]
    return RecordSet.objects.create(
        owner=owner,
        connection=connection,
        module=module,
        name=name,
        ids="\n".join(ids),
        count=len(ids),
        duplicates=selection.duplicates,
        rejected=len(selection.rejects),
        rejects=[[reject.line, reject.text, reject.reason] for reject in selection.rejects[:MAX_KEPT_REJECTS]],
    )


def of_set(record_set: RecordSet) -> GivenIds:
    noun = "record" if record_set.count == 1 else "records"
    return GivenIds(
        connection=record_set.connection,
        module=record_set.module,
        title=record_set.name or f"list of {record_set.count:,} {noun}",
        name=f"set-{record_set.pk}",
        count=record_set.count,
        ids=tuple(record_set.ids.split()),
    )


def of_run(run: Run) -> RunIds:
    """The records of a run. Raises Refused when the run is not about records of one CRM module."""
    module = run.parameters.get("module") if isinstance(run.parameters, dict) else None
    if run.connection is None or not module:
        raise Refused(
            f"Run {run.pk} has no CRM records to show.", "Choose a run that reads or changes records of a module."
        )
    count = run.items.count()
    return RunIds(
        connection=run.connection,
        module=str(module),
        title=f"records of run {run.pk}",
        name=f"run-{run.pk}-{count}",
        count=count,
        run=run,
    )
