"""The Leads module of the made-up moving company: standard fields, custom fields, two layouts."""

from __future__ import annotations

from portal.standin.zoho.schema import Field, Layout, Module, Option, options, system_fields

LEAD_STATUSES = (
    "Not Contacted",
    "Contacted",
    "Self Storage Questions Sent",
    "Move Questionnaire Sent",
    "Move Questionnaire Follow Up",
    "Move Questionnaire Completed",
    "Onsite Survey Booked",
    "On Hold",
    "Duplicate Lead",
    "Closed Lost",
    "Junk Lead",
    "Not Qualified",
)
# What an integration of the phones sets; no lead of the seed has one of them.
CALL_STATUSES = ("New", "Accepted Call", "Missed Call", "Missed Call with Voicemail")
CALL_SOURCE = "RingCentral Integration"
LEAD_SOURCES = ("Web Form", "Phone Call", "Missed Call", "Referral", "Google Ads", "Partner", "Walk-in")
INDUSTRIES = (
    Option("Private household", "Household"),
    Option("Office & retail", "Commercial"),
    Option("Public sector", "Government/Military"),
    Option("Storage operator", "Storage"),
)
MOVE_SIZES = ("Studio", "1 Bedroom", "2 Bedrooms", "3 Bedrooms", "4+ Bedrooms", "Office")
SERVICES = ("Packing", "Storage", "Piano", "Crating", "Cleaning", "Assembly")
CHANNELS = ("Phone", "Email", "SMS", "WhatsApp")

STANDARD_LAYOUT = "5725767000000190001"
STRICT_LAYOUT = "5725767000000190002"


def _text(
    api_name: str,
    label: str = "",
    *,
    length: int = 255,
    mandatory: bool = False,
    read_only: bool = False,
    custom: bool = False,
    unique: bool = False,
) -> Field:
    return Field(
        api_name,
        label or api_name.replace("_", " "),
        length=length,
        mandatory=mandatory,
        read_only=read_only,
        custom=custom,
        unique=unique,
    )


_STANDARD = (
    Field("Salutation", "Salutation", "picklist", options=options("Mr.", "Mrs.", "Ms.", "Dr.")),
    _text("First_Name", length=40),
    _text("Last_Name", length=80, mandatory=True),
    _text("Full_Name", read_only=True),
    _text("Company", length=200),
    _text("Designation", "Title", length=100),
    Field("Email", "Email", "email"),
    Field("Secondary_Email", "Secondary Email", "email"),
    Field("Phone", "Phone", "phone"),
    Field("Mobile", "Mobile", "phone"),
    Field("Fax", "Fax", "phone"),
    Field("Website", "Website", "website"),
    Field("Lead_Source", "Lead Source", "picklist", options=options(*LEAD_SOURCES, CALL_SOURCE)),
    Field("Lead_Status", "Lead Status", "picklist", options=options(*LEAD_STATUSES, *CALL_STATUSES)),
    Field("Industry", "Industry", "picklist", options=INDUSTRIES),
    Field("Rating", "Rating", "picklist", options=options("Hot", "Warm", "Cold")),
    Field("No_of_Employees", "No. of Employees", "integer"),
    Field("Annual_Revenue", "Annual Revenue", "currency", length=16),
    Field("Email_Opt_Out", "Email Opt Out", "boolean"),
    _text("Skype_ID", length=50),
    _text("Twitter", length=50),
    _text("Street", length=250),
    _text("City", length=100),
    _text("State", length=100),
    _text("Zip_Code", length=30),
    _text("Country", length=100),
    Field("Description", "Description", "textarea"),
    Field("Layout", "Layout", "layout"),
    Field("Lead_Conversion_Time", "Lead Conversion Time", "double", read_only=True),
    Field("Unsubscribed_Mode", "Unsubscribed Mode", "picklist", options=options("Consent form", "Manual")),
    Field("Unsubscribed_Time", "Unsubscribed Time", "datetime", read_only=True),
    Field("Converted__s", "Is Converted", "boolean", read_only=True),
    Field("Converted_Date_Time", "Converted Time", "datetime", read_only=True),
)
_CUSTOM = (
    Field("Lead_Number", "Lead Number", "autonumber", custom=True),
    _text("External_Lead_Id", custom=True, unique=True, length=60),
    Field("Second_Phone", "Second Phone", "phone", custom=True),
    Field("Move_Date", "Move Date", "date", custom=True),
    Field("Move_Size", "Move Size", "picklist", options=options(*MOVE_SIZES), custom=True),
    Field("Services", "Services", "multiselectpicklist", options=options(*SERVICES), custom=True),
    Field("Contact_Preference", "Contact Preference", "multiselectpicklist", options=options(*CHANNELS), custom=True),
    Field("Language", "Language", "picklist", options=options("English", "Spanish", "French"), custom=True),
    Field("Origin_Floor", "Origin Floor", "integer", custom=True),
    _text("Destination_City", custom=True),
    _text("Destination_Zip", custom=True, length=20),
    Field("Volume_Cuft", "Volume (cu ft)", "double", length=10, custom=True),
    Field("Estimated_Weight", "Estimated Weight", "double", length=10, custom=True),
    Field("Quote_Total", "Quote Total", "currency", length=16, custom=True),
    Field("Deposit", "Deposit", "currency", length=16, custom=True),
    Field("Discount", "Discount", "percent", length=5, custom=True),
    Field("Insurance", "Insurance", "boolean", custom=True),
    Field("Storage_Needed", "Storage Needed", "boolean", custom=True),
    Field("Storage_Months", "Storage Months", "integer", custom=True),
    Field("Survey_At", "Survey At", "datetime", custom=True),
    Field("Callback_At", "Callback At", "datetime", custom=True),
    Field("Referred_By", "Referred By", "lookup", lookup="Contacts", custom=True),
    Field("Related_Account", "Related Account", "lookup", lookup="Accounts", custom=True),
    Field("Coordinator", "Coordinator", "userlookup", custom=True),
    Field("Landing_Page", "Landing Page", "website", custom=True),
    _text("Campaign", custom=True),
    _text("Click_Id", custom=True, length=120),
    Field("Lead_Score", "Lead Score", "integer", custom=True),
    Field("Call_Count", "Call Count", "bigint", length=18, custom=True),
    # Two fields with one label, as real orgs have them: a label is not a key.
    _text("Comments", "Comments", custom=True),
    Field("Comments1", "Comments", "textarea", textarea="small", length=2000, custom=True),
    Field("Inventory", "Inventory", "textarea", textarea="rich_text", length=50_000, custom=True),
    Field("Full_Address", "Full Address", "formula", formula="text", read_only=True, custom=True),
    Field("Price_Per_Cuft", "Price per cu ft", "formula", formula="double", read_only=True, custom=True),
)

LEADS = Module(
    api_name="Leads",
    singular="Lead",
    plural="Leads",
    number=1,
    name_field="Full_Name",
    fields=system_fields() + _STANDARD + _CUSTOM,
    layouts=(
        Layout(STANDARD_LAYOUT, "Standard", required=("Last_Name",)),
        Layout(
            STRICT_LAYOUT,
            "Strict",
            required=("Last_Name", "Company"),
            excluded_options={"Lead_Status": ("Self Storage Questions Sent", "Junk Lead")},
        ),
    ),
    duplicate_field="Email",
    status_field="Lead_Status",
)
