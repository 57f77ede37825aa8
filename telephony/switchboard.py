"""Who is behind an extension id: a person, a queue, a menu. Calls are judged by it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from portal.models import Connection
from telephony.models import Extension


@dataclass(frozen=True)
class Entry:
    """An extension. `kind` is a value of Extension.Kind; a machine picks up by itself."""

    kind: str
    name: str = ""
    number: str = ""
    is_machine: bool = False

    @property
    def label(self) -> str:
        return f"{self.name} ({self.number})" if self.name and self.number else self.name or self.number


@dataclass(frozen=True)
class Directory:
    """The extensions of one account by RingCentral id."""

    entries: Mapping[str, Entry] = field(default_factory=dict)

    @classmethod
    def load(cls, connection: Connection) -> Directory:
        """From the extensions stored for the connection; those that are gone too: old calls name them."""
        rows = Extension.objects.filter(connection=connection)
        return cls({row.rc_id: Entry(row.kind, row.name, row.number, row.is_machine) for row in rows})

    def knows(self, extension_id: str) -> bool:
        return extension_id in self.entries

    def is_machine(self, extension_id: str) -> bool:
        """Picks up by itself. Of an extension that is not listed this is not known."""
        entry = self.entries.get(extension_id)
        return entry is not None and entry.is_machine

    def is_queue(self, extension_id: str) -> bool:
        return self._kind(extension_id) == Extension.Kind.QUEUE

    def is_menu(self, extension_id: str) -> bool:
        return self._kind(extension_id) == Extension.Kind.MENU

    def _kind(self, extension_id: str) -> str:
        entry = self.entries.get(extension_id)
        return entry.kind if entry else ""

    def label(self, extension_id: str) -> str:
        """Name and number for people; what is not listed is named by its id."""
        entry = self.entries.get(extension_id)
        return (entry.label if entry else "") or (f"extension {extension_id}" if extension_id else "")
