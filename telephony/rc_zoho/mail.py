"""email_config.json: M has the server at the top and recipients with flags, R `smtp_settings` and lists of addresses."""

from __future__ import annotations

import re
from typing import Any

from telephony.models import MailSettings, Recipient
from telephony.rc_zoho import recipients
from telephony.rc_zoho.collection import FILE_NAMES, ConfigFile, Kind
from telephony.rc_zoho.report import FileReport, shown
from telephony.rc_zoho.rows import put
from telephony.rc_zoho.shapes import Table, given

# What family R's program writes by itself when the file is missing.
_DUMMY_SERVER = re.compile(r"(?:smtp|mail)\.example\.(?:com|org|net)", re.IGNORECASE)
_DUMMY_TEXT = re.compile(r"your[_ .-].*", re.IGNORECASE)
_DUMMY_ADDRESS = re.compile(r"(?:user\d*|your[_.-].*)@example\.(?:com|org|net)", re.IGNORECASE)
_EXAMPLE_ADDRESS = re.compile(r".*@example\.(?:com|org|net)", re.IGNORECASE)
CALL_TYPES = {"accepted_calls": Recipient.CallType.ACCEPTED, "missed_calls": Recipient.CallType.MISSED}
SUBJECTS = {
    "accepted_calls": "subject_accepted",
    "missed_calls": "subject_missed",
    "combined": "subject_combined",
    "error": "subject_error",
}
LAST_PORT = 65_535


def apply(file: ConfigFile) -> None:
    """Stores the one row of mail settings, and the recipients that are not of an office."""
    top = Table(file.value, "", file.report)
    values = _family_r(top, file.report) if file.family == "R" else _family_m(top, file.report)
    values |= _common(top, file.report)
    unknown_of_people = _recipients_r(top, file.report) if file.family == "R" else _recipients_m(top, file.report)
    rest = top.rest() | ({"recipients": unknown_of_people} if unknown_of_people else {})
    put(
        file.report, "mail settings", MailSettings.load(), model=MailSettings, place="mail settings", identity={},
        values=values, extra={FILE_NAMES[Kind.MAIL]: rest} if rest else None,
    )  # fmt: skip


# --- server -----------------------------------------------------------------------------------------------------------


def _family_m(top: Table, report: FileReport) -> dict[str, Any]:
    values = given(
        server=top.text("smtp_server", 200),
        port=top.whole("smtp_port", 1, LAST_PORT),
        use_tls=top.flag("use_tls"),
        sender_email=top.email("sender_email"),
        sender_name=top.text("sender_name", 120),
    )
    if _DUMMY_SERVER.fullmatch(values.get("server", "")):
        for name in ("server", "port", "use_tls"):
            values.pop(name, None)
        report.tally("example values").skipped += 1
        report.warn(f"{top.at('smtp_server')}: an example, left out. Enter your mail server in the mail settings.")
    elif values.get("server"):
        report.warn("This file has no login. If the mail server wants one, enter user name and password by hand.")
    if _EXAMPLE_ADDRESS.fullmatch(values.get("sender_email", "")):
        report.warn(f"{top.at('sender_email')}: an example address. Enter your own in the mail settings.")
    return values


def _family_r(top: Table, report: FileReport) -> dict[str, Any]:
    smtp = top.table("smtp_settings")
    values = given(
        server=smtp.text("server", 200),
        port=smtp.whole("port", 1, LAST_PORT),
        use_tls=smtp.flag("use_tls"),
        username=smtp.secret("username", 200),
        password=smtp.secret("password"),
        sender_email=_sender(smtp, report),
    )
    dummies = [name for name in ("username", "password") if _DUMMY_TEXT.fullmatch(values.get(name, ""))]
    if _DUMMY_SERVER.fullmatch(values.get("server", "")):
        dummies = [name for name in values if name != "sender_email"]
        if _EXAMPLE_ADDRESS.fullmatch(values.get("sender_email", "")):
            dummies.append("sender_email")
    for name in dummies:
        del values[name]
    if dummies:
        report.tally("example values").skipped += len(dummies)
        report.warn(
            f"{smtp.at()}: example values that nobody has filled in, left out: {', '.join(dummies)}. "
            "Enter your mail server in the mail settings."
        )
    return values


def _sender(smtp: Table, report: FileReport) -> str | None:
    """The sender's address; a placeholder is no address and is left out like one that is."""
    told = smtp.text("from_address", 254)
    if told and (_DUMMY_TEXT.fullmatch(told) or _DUMMY_ADDRESS.fullmatch(told)):
        report.tally("example values").skipped += 1
        return None
    return smtp.email("from_address")


def _common(top: Table, report: FileReport) -> dict[str, Any]:
    settings, errors, subjects = (
        top.table(key) for key in ("report_settings", "error_notification", "subject_templates")
    )
    values = given(
        send_empty_reports=settings.flag("send_empty_reports"),
        include_charts=settings.flag("include_charts"),
        include_raw_logs=settings.flag("include_raw_logs"),
        max_calls_in_detail=settings.whole("max_calls_in_detail", 0, 100_000),
        error_threshold=errors.whole("threshold", 1, 1000),
        include_stacktrace=errors.flag("include_stacktrace"),
    )
    present = MailSettings.load()
    for key, column in SUBJECTS.items():
        subject = subjects.text(key, 200)
        if subject is not None:
            values[column] = subject
            tally = report.tally("subject templates")
            if getattr(present, column) == subject:
                tally.unchanged += 1
            else:
                tally.changed += 1
    return values


# --- recipients -------------------------------------------------------------------------------------------------------


def _recipients_m(top: Table, report: FileReport) -> dict[str, Any]:
    """Stores people with their flags; returns unknown keys by address, because a recipient has no place for them."""
    seen: set[str] = set()
    unknown = {}
    for entry in top.tables("recipients"):
        email = entry.email("email")
        values = given(
            name=entry.text("name", 120),
            receive_daily=entry.flag("receive_daily"),
            receive_errors=entry.flag("receive_errors"),
        )
        rest = entry.rest()
        if not email:
            if not entry.take("email"):
                report.fail(f"{entry.at('email')}: missing. Every recipient needs an address.")
            continue
        if email.lower() in seen:
            report.fail(f"{entry.at('email')}: {shown(email)} is listed before. Remove one of them.")
            continue
        seen.add(email.lower())
        if rest:
            unknown[email] = rest
        recipients.store(report, None, email, values=values)
    return unknown


def _recipients_r(top: Table, report: FileReport) -> dict[str, Any]:
    people = top.table("recipients")
    for key, call_type in CALL_TYPES.items():
        for email in people.emails(key):
            if _DUMMY_ADDRESS.fullmatch(email):
                report.tally("mail recipients").skipped += 1
                report.warn(f"{people.at(key)}: {shown(email)} is an example, left out.")
            else:
                recipients.store(report, None, email, values={"receive_daily": True}, call_type=call_type)
    return {}
