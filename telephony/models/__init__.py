"""Rows of the phone side: offices and their rules, calls and what was written for them."""

from telephony.models.assignment import AssignmentDecision, AssignmentRules, DepartmentPool, LeadOwner, Rotation
from telephony.models.calls import Call, Caller, CallLogRow, CallSession, CallStep
from telephony.models.mail import MailSettings, Recipient
from telephony.models.missed import MissedCard
from telephony.models.offices import CallSettings, ExcludedNumber, Extension, Office
from telephony.models.rules import CallRule, FieldMapping, OverwritableStatus, StatusName
from telephony.models.webhooks import Subscription

__all__ = [
    "AssignmentDecision",
    "AssignmentRules",
    "Call",
    "CallLogRow",
    "CallRule",
    "CallSession",
    "CallSettings",
    "CallStep",
    "Caller",
    "DepartmentPool",
    "ExcludedNumber",
    "Extension",
    "FieldMapping",
    "LeadOwner",
    "MailSettings",
    "MissedCard",
    "Office",
    "OverwritableStatus",
    "Recipient",
    "Rotation",
    "StatusName",
    "Subscription",
]
