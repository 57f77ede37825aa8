"""The other modules of the made-up org: contacts, accounts, deals, tasks, calls, a custom module, notes, attachments."""

from __future__ import annotations

from portal.standin.zoho.leads_schema import LEADS
from portal.standin.zoho.schema import Field, Layout, Module, options, system_fields

_LAYOUT = Field("Layout", "Layout", "layout")


def _module(
    api_name: str, singular: str, number: int, name_field: str, fields: tuple[Field, ...], **more: str | bool
) -> Module:
    all_fields = (*system_fields(), _LAYOUT, *fields)
    required = tuple(item.api_name for item in fields if item.mandatory)
    return Module(
        api_name=api_name,
        singular=singular,
        plural=api_name.replace("_", " "),
        number=number,
        name_field=name_field,
        fields=all_fields,
        layouts=(Layout(f"5725767000{number:04d}90001", "Standard", required=required),),
        **more,  # type: ignore[arg-type]  # the keyword names are Module's own
    )


CONTACTS = _module(
    "Contacts",
    "Contact",
    12,
    "Full_Name",
    (
        Field("First_Name", "First Name", length=40),
        Field("Last_Name", "Last Name", length=80, mandatory=True),
        Field("Full_Name", "Full Name", read_only=True),
        Field("Account_Name", "Account Name", "lookup", lookup="Accounts"),
        Field("Email", "Email", "email"),
        Field("Phone", "Phone", "phone"),
        Field("Mobile", "Mobile", "phone"),
        Field("Home_Phone", "Home Phone", "phone"),
        Field("Other_Phone", "Other Phone", "phone"),
        Field("Mailing_City", "Mailing City"),
        Field("Description", "Description", "textarea"),
    ),
    duplicate_field="Email",
)
ACCOUNTS = _module(
    "Accounts",
    "Account",
    13,
    "Account_Name",
    (
        Field("Account_Name", "Account Name", length=200, mandatory=True),
        Field("Phone", "Phone", "phone"),
        Field("Website", "Website", "website"),
        Field("Annual_Revenue", "Annual Revenue", "currency", length=16),
        Field("Billing_City", "Billing City"),
    ),
    duplicate_field="Account_Name",
)
DEAL_STAGES = ("Qualification", "Proposal", "Negotiation", "Closed Won", "Closed Lost")
DEALS = _module(
    "Deals",
    "Deal",
    14,
    "Deal_Name",
    (
        Field("Deal_Name", "Deal Name", length=120, mandatory=True),
        Field("Stage", "Stage", "picklist", options=options(*DEAL_STAGES), mandatory=True),
        Field("Amount", "Amount", "currency", length=16),
        Field("Closing_Date", "Closing Date", "date"),
        Field("Account_Name", "Account Name", "lookup", lookup="Accounts"),
        Field("Contact_Name", "Contact Name", "lookup", lookup="Contacts"),
        Field("Probability", "Probability (%)", "percent", length=5),
    ),
    duplicate_field="Deal_Name",
    status_field="Stage",
)
TASK_STATUSES = ("Not Started", "In Progress", "Completed", "Deferred")
TASKS = _module(
    "Tasks",
    "Task",
    15,
    "Subject",
    (
        Field("Subject", "Subject", length=300, mandatory=True),
        Field("Status", "Status", "picklist", options=options(*TASK_STATUSES)),
        Field("Priority", "Priority", "picklist", options=options("High", "Normal", "Low")),
        Field("Due_Date", "Due Date", "date"),
        Field("Description", "Description", "textarea"),
    ),
    upsertable=False,
)
CALLS = _module(
    "Calls",
    "Call",
    19,
    "Subject",
    (
        Field("Subject", "Subject", length=255, mandatory=True),
        Field("Call_Type", "Call Type", "picklist", options=options("Inbound", "Outbound", "Missed"), mandatory=True),
        Field("Call_Start_Time", "Call Start Time", "datetime", mandatory=True),
        Field("Call_Duration", "Call Duration", length=20, mandatory=True),
        Field("Who_Id", "Contact Name", "lookup", lookup="Contacts"),
        # In a real org any module; leads are what calls of this one are about.
        Field("What_Id", "Related To", "lookup", lookup="Leads"),
        Field("$se_module", "Related Module", hidden=True),
        Field("Description", "Description", "textarea"),
    ),
    upsertable=False,
)
SITE_SURVEYS = _module(
    "Site_Surveys",
    "Site Survey",
    16,
    "Name",
    (
        Field("Name", "Site Survey Name", length=120, mandatory=True),
        Field("Survey_Date", "Survey Date", "date", custom=True),
        Field("Result", "Result", "picklist", options=options("Booked", "Done", "Cancelled"), custom=True),
        Field("Lead", "Lead", "lookup", lookup="Leads", custom=True),
        Field("Volume_Cuft", "Volume (cu ft)", "double", length=10, custom=True),
        Field("Reference", "Reference", custom=True, unique=True, length=60),
    ),
    duplicate_field="Name",
    custom=True,
)
NOTES = _module(
    "Notes",
    "Note",
    17,
    "Note_Title",
    (
        Field("Note_Title", "Note Title", length=120),
        Field("Note_Content", "Note Content", "textarea", length=65_535, mandatory=True),
        Field("Parent_Id", "Parent Id", "parent"),
    ),
    upsertable=False,
    listed=False,
)
ATTACHMENTS = _module(
    "Attachments",
    "Attachment",
    18,
    "File_Name",
    (
        Field("File_Name", "File Name"),
        Field("Size", "Size", "bigint"),
        Field("Parent_Id", "Parent Id", "parent"),
        Field("$file_id", "File Id", hidden=True),
        Field("$type", "Type", hidden=True),
        Field("$link_url", "Link", hidden=True),
    ),
    upsertable=False,
    listed=False,
)

RECORD_MODULES = (LEADS, CONTACTS, ACCOUNTS, DEALS, TASKS, CALLS, SITE_SURVEYS)
MODULES = {module.api_name: module for module in (*RECORD_MODULES, NOTES, ATTACHMENTS)}
