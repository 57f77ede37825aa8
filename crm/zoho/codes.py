"""What the codes mean that records of a run end with, in plain words: Zoho's own, and those that this program gives.

Zoho's codes are those of its v8 documentation (status codes and possible errors of each endpoint).
"""

from __future__ import annotations

import re

from portal.remote.errors import Advice

# Those that this program gives because Zoho was not asked, or gave no answer.
OWN_CODES: dict[str, Advice] = {
    "UNCHANGED": Advice("The record has the new value already, so nothing was sent.", "Nothing to do."),
    "NOT_FOUND": Advice(
        "Zoho did not return the record: it was deleted, or the connection may not see it.",
        "Check the id and the module. Deleted records stay in Zoho's recycle bin for 60 days.",
    ),
    "CHANGED_SINCE": Advice(
        "Somebody changed the value after the run that is being restored, so it was left alone.",
        "Tick the record in the preview of the restore if the older value is right.",
    ),
    "LEFT_OUT": Advice("A person took the record out of the plan.", "Nothing to do."),
    "INVALID_VALUE": Advice(
        "The value for this record is not in the picklist. Zoho would have stored it all the same.",
        "Correct the value in the list, or add it to the picklist in Zoho.",
    ),
    "READ_FAILED": Advice(
        "The present value could not be read, so the record was left alone: it could not have been restored.",
        "See the message for Zoho's reason, then retry.",
    ),
    "CONFIRMED": Advice(
        "Zoho gave no answer, but reading the record back shows the new value.", "Nothing to do: it is changed."
    ),
    "NO_ANSWER": Advice(
        "Zoho gave no answer, and the record still had its old value when it was read back.",
        "Retry when Zoho answers again.",
    ),
    "NOT_FOUND_ON_CHECK": Advice(
        "Zoho gave no answer, and the record was gone when it was to be read back.",
        "Look for it in Zoho's recycle bin.",
    ),
    "CHANGED_MEANWHILE": Advice(
        "Zoho gave no answer, and the record then had neither the old nor the new value: somebody else changed it.",
        "Look at the record in Zoho and decide. A retry reads it anew.",
    ),
    "PERMISSION_DENIED_ON_CHECK": Advice(
        "Zoho gave no answer, and the connection's user may not read the record, so its outcome stays open.",
        "Give the user the right to read it, then retry.",
    ),
}

# Zoho's codes that come up; others keep Zoho's own message, which stands beside each record.
ZOHO_CODES: dict[str, Advice] = {
    "INVALID_DATA": Advice(
        "A value has the wrong type, length or form, or names a record or user that does not exist.",
        "The message names the field and what it takes. Correct the value, then retry.",
    ),
    "PATTERN_NOT_MATCHED": Advice(
        "A value does not have the form that the field demands, for example of an e-mail address or phone number.",
        "Correct the value; the message names the field.",
    ),
    "MANDATORY_NOT_FOUND": Advice(
        "The record's layout demands a field that is blank in the record. Its present values were sent along, which "
        "did not help.",
        "Fill the field that the message names, in Zoho or on the record's page, then retry.",
    ),
    "DEPENDENT_FIELD_MISSING": Advice(
        "Another field has to be given together with this one.", "Change both fields in Zoho, or on the record's page."
    ),
    "DEPENDENT_MISMATCH": Advice(
        "The value does not fit the value of another field of the record.", "Choose a pair of values that Zoho allows."
    ),
    "DUPLICATE_DATA": Advice(
        "The field is unique, and another record has this value.",
        "Find the other record; its id is in the details. Merge the two, or choose another value.",
    ),
    "ALREADY_MODIFIED": Advice(
        "Somebody changed the record between reading and writing; nothing was overwritten.",
        "Retry: the record is read anew.",
    ),
    "CONVERTED_RECORD": Advice(
        "The lead has been converted; converted leads cannot be changed.",
        "Change the contact, account or deal that came of it.",
    ),
    "ID_ALREADY_CONVERTED": Advice(
        "The lead has been converted; converted leads cannot be changed.",
        "Change the contact, account or deal that came of it.",
    ),
    "RECORD_LOCKED": Advice("The record is locked in Zoho.", "Unlock it there, or ask who may, then retry."),
    "RECORD_IN_BLUEPRINT": Advice(
        "A blueprint is in charge of this field of the record.", "Move the record to its next state in Zoho."
    ),
    "NOT_APPROVED": Advice(
        "The record waits for an approval, which blocks changes.", "Approve or reject it in Zoho, then retry."
    ),
    "NO_PERMISSION": Advice(
        "The user who authorised the connection may not do this: profile or sharing rules forbid it.",
        "Ask the administrator of Zoho CRM for the permission, or authorise with another user.",
    ),
    "AUTHORIZATION_FAILED": Advice(
        "The user who authorised the connection may not do this to this record.",
        "Ask the administrator of Zoho CRM for the permission, or authorise with another user.",
    ),
    "INVALID_MODULE": Advice(
        "Zoho has no such module, or does not offer it to programs.", "Choose another module; check its API name."
    ),
    "NOT_SUPPORTED": Advice(
        "Zoho does not offer this for the module, or not in this edition.", "Make the change in Zoho itself."
    ),
    "LIMIT_EXCEEDED": Advice(
        "A call held more records or fields, or a longer value, than Zoho takes.",
        "See the message. If it concerns records of a call, lower ZOHO_BATCH_SIZE.",
    ),
    "OAUTH_SCOPE_MISMATCH": Advice(
        "The connection was authorised without a scope that this needs.",
        "Authorise it again on its page, with the feature ticked. Trying again does not help.",
    ),
    "INVALID_TOKEN": Advice(
        "Zoho no longer accepts the access, and renewing it did not help.",
        "Check the connection. If the authorisation was revoked, or the data centre is wrong, authorise it again.",
    ),
    "AUTHENTICATION_FAILURE": Advice(
        "Zoho does not accept who calls, for example because the user was disabled.",
        "Check the connection, and authorise it with an active user.",
    ),
    "TOO_MANY_REQUESTS": Advice(
        "More calls than Zoho allows at once, or the credits of the day are spent.",
        "Nothing to do: runs wait and go on by themselves. Lower “calls at once” if it happens often.",
    ),
    "INTERNAL_ERROR": Advice("Zoho failed.", "Retry later. If it lasts, look at Zoho's status page."),
}
CODES: dict[str, Advice] = ZOHO_CODES | OWN_CODES
_STATUS = re.compile(r"(CHECK_FAILED_)?HTTP_(\d{3})")


def advice(code: str) -> Advice | None:
    """Words for a code; None where only Zoho's own message says more."""
    if code in CODES:
        return CODES[code]
    status = _STATUS.fullmatch(code)
    if status is None:
        return None
    when = " when the record was to be read back" if status.group(1) else ""
    return Advice(
        f"Zoho answered with the status {status.group(2)}{when}, without a code of its own.",
        "Retry later. If it lasts, check the connection.",
    )
