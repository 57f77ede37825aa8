"""Who gets reports: of one office, of all offices together, or as the mail settings list them."""

from __future__ import annotations

from typing import Any

from telephony.models import Office, Recipient
from telephony.rc_zoho.report import FileReport
from telephony.rc_zoho.rows import put


def store(
    report: FileReport,
    office: Office | None,
    email: str,
    *,
    values: dict[str, Any],
    defaults: dict[str, Any] | None = None,
    is_combined: bool = False,
    call_type: str = "",
) -> None:
    """One address is one recipient in each office and for each sort of report, whatever the case of its letters."""
    found = Recipient.objects.filter(
        office=office, email__iexact=email, receive_combined=is_combined, call_type=call_type
    ).first()
    noun = "recipients of all offices" if is_combined else "recipients of an office" if office else "mail recipients"
    put(
        report, noun, found, model=Recipient, place=f"recipient {email}",
        identity={"office": office, "email": email, "receive_combined": is_combined, "call_type": call_type},
        values=values, defaults=defaults,
    )  # fmt: skip
