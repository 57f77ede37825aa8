"""The extensions of the made-up company. Ids never change; short numbers are what people dial."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

ACCOUNT_ID = "700000000"
MAIN_NUMBER = "+18665550100"
SERVICE, MENU, FAX_DESK, ROOM = "190", "301", "401", "501"
SALES, SERVICE_QUEUE, QUOTES = "201", "202", "203"
_NOBODY_IN_CRM = (("Gloria Marsh", "gloria@movers.example"), ("Owen Pratt", ""))


@dataclass(frozen=True, slots=True)
class Extension:
    id: str
    number: str
    name: str
    type: str = "User"
    status: str = "Enabled"
    email: str = ""
    phone: str = ""
    """Its own public number, if it has one."""
    members: tuple[str, ...] = ()
    """Short numbers of those whom a queue rings."""

    @property
    def is_queue(self) -> bool:
        return self.type == "Department"


def _extension(
    number: str, name: str, kind: str = "User", *, phone: bool = True, email: str = "", status: str = "Enabled"
) -> Extension:
    own = f"+14155550{number}" if phone else ""
    return Extension(str(int(ACCOUNT_ID) + int(number)), number, name, kind, status, email, own)


def _queue(number: str, name: str, *members: str) -> Extension:
    return Extension(
        str(int(ACCOUNT_ID) + int(number)), number, name, "Department", phone=f"+14155550{number}", members=members
    )


class Directory:
    """Users 101…112 (the first ten with the names and addresses given), three queues, and what else rings or prints."""

    def __init__(self, names: Sequence[tuple[str, str]]) -> None:
        people = [*names[:10], *_NOBODY_IN_CRM]
        users = [
            _extension(str(101 + position), name, email=email, status="Enabled" if email else "Disabled")
            for position, (name, email) in enumerate(people)
        ]
        everyone = [
            *users,
            _extension(SERVICE, "Portal Service", phone=False, email="portal@movers.example"),
            _queue(SALES, "Sales", "101", "102", "103", "104"),
            _queue(SERVICE_QUEUE, "Customer Service", "105", "106", "107"),
            _queue(QUOTES, "Moving Quotes", "101", "103", "108", "109"),
            Extension(str(int(ACCOUNT_ID) + int(MENU)), MENU, "Main Menu", "IvrMenu", phone=MAIN_NUMBER),
            _extension(FAX_DESK, "Fax Desk", "FaxUser"),
            _extension(ROOM, "Conference Room", "Room", phone=False),
            Extension(f"{ACCOUNT_ID[:-3]}999", "", "Spare phone", status="Unassigned"),
        ]
        self.all = tuple(everyone)
        self.by_number = {extension.number: extension for extension in everyone if extension.number}
        self.by_id = {extension.id: extension for extension in everyone}
        self.owner = self.by_number[SERVICE]
        self.agents = tuple(user for user in users if user.status == "Enabled")
        self.queues = tuple(extension for extension in everyone if extension.is_queue)

    def find(self, extension_id: str) -> Extension | None:
        """`~` is the user of the token."""
        return self.owner if extension_id == "~" else self.by_id.get(extension_id)

    def numbered(self, number: str) -> Extension:
        """By short number. Raises KeyError."""
        return self.by_number[number]

    def members(self, queue: Extension) -> Iterable[Extension]:
        return (self.by_number[number] for number in queue.members)
