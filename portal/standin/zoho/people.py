"""The users, roles and profiles of the made-up org."""

from __future__ import annotations

from dataclasses import dataclass

from portal.standin.messages import JsonObject

ADMIN_PROFILE, STANDARD_PROFILE = "5725767000000002001", "5725767000000002002"
PROFILES = ((ADMIN_PROFILE, "Administrator"), (STANDARD_PROFILE, "Standard"))
ROLES = (
    ("5725767000000003001", "CEO", None),
    ("5725767000000003002", "Sales Manager", "5725767000000003001"),
    ("5725767000000003003", "Sales Agent", "5725767000000003002"),
)


@dataclass
class User:
    id: str
    full_name: str
    email: str
    status: str = "active"
    is_admin: bool = False
    confirmed: bool = True

    @property
    def first_name(self) -> str:
        return self.full_name.split(" ", maxsplit=1)[0]

    @property
    def last_name(self) -> str:
        return self.full_name.split(" ", maxsplit=1)[1]

    def reference(self) -> JsonObject:
        return {"name": self.full_name, "id": self.id, "email": self.email}


_NAMES = (
    *("Dana Whitfield", "Marco Silva", "Priya Raman", "Tom Becker", "Lena Fischer", "Ali Demir", "Joan Keller"),
    *("Pavel Novak", "Ruth Adeyemi", "Carl Jensen", "Iris Moreau", "Neil Shaw"),
)


def made_up_users() -> dict[str, User]:
    """The first is the administrator; the last four are inactive, inactive, unconfirmed and deleted."""
    users = [
        User(f"57257670000000010{number:02d}", name, f"{name.split()[0].lower()}@movers.example")
        for number, name in enumerate(_NAMES, start=1)
    ]
    users[0].is_admin = True
    users[-4].status = users[-3].status = "disabled"
    users[-2].confirmed = False
    users[-1].status = "deleted"
    return {user.id: user for user in users}
