"""Account, extensions and call queues."""

from __future__ import annotations

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.ringcentral.errors import not_found
from portal.standin.ringcentral.paging import counted_page
from portal.standin.ringcentral.people import ACCOUNT_ID, MAIN_NUMBER, Extension
from portal.standin.ringcentral.settings import Office

ACCOUNT_PATH = f"/restapi/v1.0/account/{ACCOUNT_ID}"


class Extensions:
    def __init__(self, office: Office) -> None:
        self._office = office

    def account(self, request: Request) -> Reply:
        row = {
            "id": int(ACCOUNT_ID),
            "uri": request.base_url + ACCOUNT_PATH,
            "mainNumber": MAIN_NUMBER,
            "status": "Confirmed",
            "setupWizardState": "Completed",
            "serviceInfo": {
                "uri": f"{request.base_url}{ACCOUNT_PATH}/service-info",
                "brand": {"id": "1210", "name": "RingCentral", "homeCountry": {"id": "1", "isoCode": "US"}},
                "servicePlan": {"id": "1", "name": "Stand-in plan", "edition": "Enterprise"},
            },
        }
        return Reply.of(200, row)

    def list_all(self, request: Request) -> Reply:
        types, statuses = request.query_lists().get("type", []), request.query_lists().get("status", [])
        emails = [email.lower() for email in request.query_lists().get("email", [])]
        number = request.query.get("extensionNumber")
        found = [
            extension
            for extension in self._office.people.all
            if (not types or extension.type in types)
            and (not statuses or extension.status in statuses)
            and (not emails or extension.email.lower() in emails)
            and number in (None, extension.number)
        ]
        rows, envelope = counted_page(request, found)
        return Reply.of(200, {**envelope, "records": [self._shown(request, extension) for extension in rows]})

    def one(self, request: Request) -> Reply:
        return Reply.of(200, self._shown(request, self.named(request)))

    def named(self, request: Request) -> Extension:
        """The extension of the path."""
        extension = self._office.people.find(request.params["extension"])
        if extension is None:
            raise not_found("extensionId", request.params["extension"])
        return extension

    def _shown(self, request: Request, extension: Extension) -> JsonObject:
        first, _, last = extension.name.partition(" ")
        row: JsonObject = {
            "id": int(extension.id),
            "uri": f"{request.base_url}{ACCOUNT_PATH}/extension/{extension.id}",
            "name": extension.name,
            "type": extension.type,
            "status": extension.status,
            "hidden": False,
            "contact": {"firstName": first, "lastName": last},
            "site": {"id": "main-site", "name": "Main Site"},
        }
        if extension.number:
            row["extensionNumber"] = extension.number
        if extension.email:
            row["contact"]["email"] = extension.email
        if extension.is_queue:
            row["callQueueInfo"] = {"slaGoal": 80, "slaThresholdSeconds": 30, "includeAbandonedCalls": True}
        return row

    def queues(self, request: Request) -> Reply:
        """Ids are strings here and numbers in the list of extensions."""
        member = request.query.get("memberExtensionId")
        people = self._office.people
        found = [
            queue for queue in people.queues if member is None or member in {user.id for user in people.members(queue)}
        ]
        rows, envelope = counted_page(request, found)
        records = [
            {
                "uri": f"{request.base_url}{ACCOUNT_PATH}/call-queues/{queue.id}",
                "id": queue.id,
                "extensionNumber": queue.number,
                "name": queue.name,
                "status": queue.status,
            }
            for queue in rows
        ]
        return Reply.of(200, {**envelope, "records": records})

    def members(self, request: Request) -> Reply:
        queue = self._office.people.find(request.params["queue"])
        if queue is None or not queue.is_queue:
            raise not_found("groupId", request.params["queue"])
        rows, envelope = counted_page(request, list(self._office.people.members(queue)))
        records = [
            {
                "uri": f"{request.base_url}{ACCOUNT_PATH}/extension/{user.id}",
                "id": int(user.id),
                "extensionNumber": user.number,
            }
            for user in rows
        ]
        return Reply.of(200, {**envelope, "records": records})
