"""The calls about the organisation itself and its people."""

from __future__ import annotations

from collections.abc import Callable

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.zoho.errors import refuse, whole_number
from portal.standin.zoho.org import Org
from portal.standin.zoho.people import PROFILES, ROLES, User
from portal.standin.zoho.values import ORG_ZONE_NAME

ORG_ID, ZGID = "5725767000000004001", "760000123"


class Organisation:
    def __init__(self, org: Org) -> None:
        self.org = org

    def about(self, request: Request) -> Reply:
        row = {
            "id": ORG_ID,
            "zgid": ZGID,
            "company_name": "Stand-in Movers",
            "domain_name": "org760000123",
            "time_zone": ORG_ZONE_NAME,
            "currency": "US Dollar - USD",
            "iso_code": "USD",
            "currency_symbol": "$",
            "country_code": "US",
            "mc_status": False,
            "gapps_enabled": False,
            "type": "sandbox",
            "max_per_page": 200,
            "hierarchy_preferences": {"type": "Role_Hierarchy"},
            "hipaa_compliance_enabled": False,
            "license_details": {"paid": True, "paid_type": "enterprise", "users_license_purchased": 10},
        }
        return Reply.of(200, {"org": [row]})

    def users(self, request: Request) -> Reply:
        query = request.query
        kind = query.get("type", "AllUsers")
        if kind not in _USER_TYPES:
            raise refuse(400, "INVALID_DATA", "invalid data", param_name="type", supported_values=list(_USER_TYPES))
        found = [user for user in self.org.users.values() if self._is_of_type(user, kind, request)]
        if "ids" in query:
            wanted = query["ids"].split(",")
            found = [user for user in found if user.id in wanted]
        per_page = whole_number(query.get("per_page"), 200, "per_page", maximum=200)
        page = whole_number(query.get("page"), 1, "page")
        shown = found[(page - 1) * per_page : page * per_page]
        if not shown:
            return Reply(204)
        info = {
            "per_page": per_page,
            "count": len(shown),
            "page": page,
            "more_records": len(found) > page * per_page,
        }
        return Reply.of(200, {"users": [self._user_json(user) for user in shown], "info": info})

    def _is_of_type(self, user: User, kind: str, request: Request) -> bool:
        if kind == "CurrentUser":
            return user.id == request.principal
        return _USER_TYPES[kind](user)

    def count(self, request: Request) -> Reply:
        kind = request.query.get("type", "AllUsers")
        if kind not in _USER_TYPES:
            raise refuse(400, "INVALID_DATA", "invalid data", param_name="type")
        return Reply.of(200, {"count": sum(self._is_of_type(user, kind, request) for user in self.org.users.values())})

    def one_user(self, request: Request) -> Reply:
        user = self.org.users.get(request.params["id"])
        return Reply(204) if user is None else Reply.of(200, {"users": [self._user_json(user)]})

    def _user_json(self, user: User) -> JsonObject:
        role, profile = ROLES[0 if user.is_admin else 2], PROFILES[0 if user.is_admin else 1]
        return {
            "id": user.id,
            "full_name": user.full_name,
            "first_name": user.first_name,
            "last_name": user.last_name,
            "email": user.email,
            "zuid": str(int(user.id) % 10**9),
            "status": user.status,
            "confirm": user.confirmed,
            "role": {"name": role[1], "id": role[0]},
            "profile": {"name": profile[1], "id": profile[0]},
            "time_zone": ORG_ZONE_NAME,
            "locale": "en_US",
            "language": "en_US",
            "date_format": "MMM d, yyyy",
            "Isonline": False,
            "Modified_Time": None,
        }

    def roles(self, request: Request) -> Reply:
        names = {role_id: name for role_id, name, _ in ROLES}
        rows = [
            {
                "id": role_id,
                "name": name,
                "display_label": name,
                "reporting_to": {"name": names[above], "id": above} if above else None,
                "share_with_peers": above is None,
            }
            for role_id, name, above in ROLES
        ]
        return Reply.of(200, {"roles": rows})

    def profiles(self, request: Request) -> Reply:
        rows = [
            {"id": profile_id, "name": name, "display_label": name, "custom": False, "type": "normal_profile"}
            for profile_id, name in PROFILES
        ]
        return Reply.of(200, {"profiles": rows})


def _is_active(user: User) -> bool:
    return user.status == "active"


_USER_TYPES: dict[str, Callable[[User], bool]] = {
    "AllUsers": lambda user: user.status != "deleted",
    "ActiveUsers": _is_active,
    "DeactiveUsers": lambda user: user.status == "disabled",
    "ConfirmedUsers": lambda user: user.confirmed and user.status != "deleted",
    "NotConfirmedUsers": lambda user: not user.confirmed,
    "DeletedUsers": lambda user: user.status == "deleted",
    "ActiveConfirmedUsers": lambda user: _is_active(user) and user.confirmed,
    "AdminUsers": lambda user: user.is_admin,
    "ActiveConfirmedAdmins": lambda user: _is_active(user) and user.confirmed and user.is_admin,
    "CurrentUser": lambda user: False,
}
