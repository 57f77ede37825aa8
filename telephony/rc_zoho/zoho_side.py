"""After an import: whether Zoho has the users, fields and statuses that the files name. Only reads."""

from __future__ import annotations

from crm import metadata
from portal import connections
from portal.connections.findings import Finding
from portal.models import Connection, Vendor
from portal.remote.errors import RemoteError, describe
from telephony.mapping import Mappings, check_against
from telephony.models import AssignmentRules, LeadOwner
from telephony.rc_zoho.report import Checked, printable

STEP = "Import compared with Zoho"
MOST_NAMED = 20


def compare() -> Checked | None:
    """Findings with the default Zoho connection, each a warning; None without one.

    Not to be used inside a transaction. A vendor that does not answer is a finding: the files are stored already.
    """
    connection = connections.choose(None, Vendor.ZOHO)
    if connection is None:
        return None
    try:
        findings = [*_people(connection), *_fields(connection)]
    except RemoteError as error:
        advice = describe(error)
        findings = [Finding(STEP, "warn", f"Not compared. {advice.what}", advice.remedy)]
    return Checked(
        connection.vendor, connection.name, findings or [Finding(STEP, "ok", "Users, fields and statuses are there.")]
    )


def _people(connection: Connection) -> list[Finding]:
    named = set(LeadOwner.objects.values_list("zoho_id", flat=True))
    for pair in AssignmentRules.objects.values_list("fallback_owner_id", "after_hours_owner_id"):
        named |= set(filter(None, pair))
    if not named:
        return []
    with metadata.client_for(connection, read_only=True) as client:
        active = {user.id for user in client.users() if user.is_active}
    missing = sorted(named - active)
    if not missing:
        return []
    words = ", ".join(printable(each) for each in missing[:MOST_NAMED])
    return [Finding(
        STEP, "warn", f"{len(missing):,} of {len(named):,} owners are no active users in Zoho: {words}.",
        "Correct their ids or switch them off under lead owners.",
    )]  # fmt: skip


def _fields(connection: Connection) -> list[Finding]:
    problems = check_against(Mappings.load(None), metadata.fields(connection, "Leads"))
    return [
        Finding(STEP, "warn", f"{each.place}: {each.what}", "Correct the field mapping or the status.")
        for each in problems[:MOST_NAMED]
    ]
