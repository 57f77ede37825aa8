"""Why a call is not processed, waits or failed: the codes of `Call.reason_code`, each with what to do about it."""

from __future__ import annotations

from portal.remote.errors import Advice

IGNORED = "IGNORED"
TOO_LARGE = "TOO_LARGE"
NEW_LEAD = "NEW_LEAD"
IN_PROGRESS = "IN_PROGRESS"
UNCLEAR = "UNCLEAR"
NEVER_ENDED = "NEVER_ENDED"
# The log does not tell what came of the call: a person decides, unless the log tells it after all.
UNTOLD = frozenset({UNCLEAR, NEVER_ENDED})

# Codes of the calls themselves and of their steps. Vendors' own codes keep their own words.
CODES: dict[str, Advice] = {
    "NO_OFFICE": Advice(
        "None of the extensions that rang belongs to an office.",
        "Assign the extension to an office, then process the call again.",
    ),
    "OFFICE_OFF": Advice("The office is switched off.", "Switch the office on, then process the call again."),
    "EXTENSION_OFF": Advice(
        "Calls of this extension are not processed.",
        "Switch “process calls” on for the extension, then process the call again.",
    ),
    "OWN_LINE": Advice(
        "The other party's number is the main number of one of our offices.",
        "Nothing: calls between offices are not written to Zoho. Correct the main number if it is wrong.",
    ),
    "MERGED": Advice("It is a part of another call.", "Look at that call: a transfer joins both."),
    "EXCLUDED_NUMBER": Advice(
        "The number is among the excluded numbers.",
        "Remove it from there if its calls should count, then process the call again.",
    ),
    "NO_NUMBER": Advice(
        "The caller's number is withheld or not complete, so no record can be found or made for it.",
        "Nothing: what is known of the caller can be noted in Zoho by hand.",
    ),
    "INTERNAL": Advice("Both ends are extensions of this account.", "Nothing: internal calls are not written to Zoho."),
    "BLOCKED": Advice("RingCentral blocked the call.", "Unblock the number at RingCentral if that is not wanted."),
    "NOT_A_CALL": Advice(
        "It is a fax, a message or an attempt without a conversation.",
        "Nothing: only conversations are written to Zoho.",
    ),
    IN_PROGRESS: Advice("The call had not ended when the log was read.", "Nothing: the next run reads it again."),
    UNCLEAR: Advice(
        "The legs of the call do not say what came of it.",
        "Look at the legs on the page of the call; ignore it there, or note it in Zoho by hand.",
    ),
    NEVER_ENDED: Advice(
        "RingCentral's log never said how this call ended.",
        "Ask who had the call; on its page ignore it, or choose the record that its note belongs to. If the log tells "
        "the end after all, the call is processed by itself.",
    ),
    "RULE": Advice(
        "A call rule says that nothing is written for such calls.", "Change the rule if that is not wanted."
    ),
    "TYPE_NOT_CHOSEN": Advice(
        "The run was told to process other types of calls.", "Process calls again with this type chosen."
    ),
    "NOT_KNOWN": Advice(
        "No lead or contact has this number, and a rule says that no lead is made for such calls.",
        "Change the rule, or choose the record on the page of the call.",
    ),
    "SEVERAL_MATCHES": Advice(
        "Several records have this number.", "Choose the right one in the review; “always” keeps the choice."
    ),
    "MEDIA_NOT_READY": Advice(
        "The recording or voicemail is not ready at RingCentral yet.", "Nothing: it is asked for again by itself."
    ),
    "CHANGED": Advice(
        "RingCentral changed the call while its files were on the way.", "Nothing: the next run goes on with it."
    ),
    "MEDIA_GONE": Advice(
        "RingCentral does not have the recording or voicemail any more.",
        "Nothing can bring it back. Process calls more often than every 90 days.",
    ),
    TOO_LARGE: Advice(
        "A recording or voicemail is larger than the largest file that is attached.",
        "Listen to it at RingCentral, within 90 days. The call settings have the limit.",
    ),
    "IN_WORK": Advice("Another run was working on this call.", "Nothing: that run's page says what came of it."),
    "AT_MEDIA": Advice("All is written but its recording or voicemail.", "Nothing: the files come one after another."),
    "DRY_RUN": Advice("It was a dry run: nothing was written.", "Start the run without “dry run” to write it."),
    "DONE": Advice("Everything that the call needs is in Zoho.", "Nothing."),
    "NO_ANSWER": Advice("Zoho did not answer several times, and nothing of it is there.", "Process the call again."),
    "CHECK_FAILED": Advice(
        "Zoho did not answer, and what it did cannot be read.",
        "Look at the record in Zoho. Give the connection the right to read notes and attachments.",
    ),
    IGNORED: Advice("A person decided that nothing is to be written for it.", "“Process again” takes that back."),
    NEW_LEAD: Advice("A person decided that the caller gets a new lead.", "Nothing: the next run makes it."),
}

# These stop a call before it matters to which record it belongs.
BEFORE_MATCH = frozenset(
    {"NO_OFFICE", "OFFICE_OFF", "EXTENSION_OFF", "EXCLUDED_NUMBER", "OWN_LINE", "INTERNAL", "BLOCKED", "NOT_A_CALL",
     IN_PROGRESS, "RULE", "MERGED"}
)  # fmt: skip


def advice(code: str) -> Advice | None:
    return CODES.get(code)
