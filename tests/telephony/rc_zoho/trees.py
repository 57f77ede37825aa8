"""Configuration folders of both families, written file by file from what the importer specification says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from cryptography.fernet import Fernet

KEY = b"AHGimzGlfx9UH2Xxr5ySq0xad6X2ba2j1Dc8XFAylgE="
SMTP_PASSWORD = "pa55-of-the-mail"
SECRETS_R = {
    "rc_jwt": "jwt-of-the-old-one",
    "rc_client_id": "rc-client-id",
    "rc_client_secret": "rc-client-secret-value",
    "rc_account": "~",
    "zoho_client_id": "1000.ZOHOCLIENT",
    "zoho_client_secret": "zoho-client-secret-value",
    "zoho_refresh_token": "1000.refresh.token",
    "timestamp": "2024-05-09T10:00:00",
}
SECRETS_M = {
    "ringcentral": {
        "client_id": "rc-client-id",
        "client_secret": "rc-client-secret-value",
        "jwt_private_key": "jwt-of-the-old-one",
    },
    "zoho": {
        "client_id": "1000.ZOHOCLIENT",
        "client_secret": "zoho-client-secret-value",
        "refresh_token": "1000.refresh.token",
    },
}
SECRET_VALUES = [
    SMTP_PASSWORD, KEY.decode(), "jwt-of-the-old-one", "rc-client-secret-value", "zoho-client-secret-value",
    "1000.refresh.token",
]  # fmt: skip


# Where the files of the sample tree lie.
OFFICES, EXTENSIONS = "sorted/data/offices.json", "sorted/philadelphia/extensions.json"
OWNERS = "sorted/philadelphia/lead_owners.json"
MAPPINGS, MAIL = "data/zoho_field_mappings.json", "data/email_config.json"


def put(root: Path, name: str, value: Any) -> Path:
    """A file below the root: bytes and text as they are, anything else as JSON."""
    path = root / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(value, bytes):
        path.write_bytes(value)
    else:
        path.write_text(value if isinstance(value, str) else json.dumps(value, indent=2))
    return path


def office(name: str, order: int, number: str, zip_code: str) -> dict[str, Any]:
    return {
        "name": name,
        "processing_order": order,
        "timezone": "America/New_York",
        "main_number": number,
        "address": {"street": f"{order} Main Street", "city": name, "state": "PA", "zip": zip_code},
        "email_report": {"recipients": [f"{name.lower()}@corp.test"]},
    }


def offices() -> dict[str, Any]:
    return {
        "offices": {
            "philadelphia": office("Philadelphia", 1, "+12155550101", "01910"),
            "pittsburgh": office("Pittsburgh", 2, "+14125550102", "15222"),
            "boston": office("Boston", 3, "+16175550103", "02108"),
            "newark": office("Newark", 3, "+19735550104", "07102"),
            "baltimore": office("Baltimore", 5, "+14105550105", "21202"),
        },
        "global_config": {
            "default_timezone": "America/New_York",
            "email_report": {"recipients": ["all@corp.test"]},
            "processing": {"default_hours_back": 24, "max_hours_back": 168, "parallel_processing": False},
        },
    }


def extensions() -> dict[str, Any]:
    def one(number: int, kind: str, *, process: bool = True, **more: Any) -> dict[str, Any]:
        return {
            "id": str(number), "name": f"Extension {number}", "type": kind, "number": str(1000 + number),
            "process_calls": process, "site": "Main", **more,
        }  # fmt: skip

    return {
        "extensions": [
            one(101, "Department", department="Sales"),
            one(102, "Department", department="Support"),
            *(one(each, "User", email=f"u{each}@corp.test") for each in (201, 202, 203, 204)),
            one(205, "User"),
            one(301, "Room", process=False),
        ],
        "meta": {"last_updated": "2024-05-09T10:00:00-04:00", "total": 8},
    }


def owners() -> dict[str, Any]:
    def one(zoho_id: str, name: str, weight: float) -> dict[str, Any]:
        return {
            "id": zoho_id, "name": name, "email": f"{name.lower()}@corp.test", "role": "Sales", "active": True,
            "assignment_weight": weight,
        }  # fmt: skip

    return {
        "lead_owners": [
            one("5678901234", "Sarah", 2.0),
            one("6789012345", "David", 1.5),
            one("7890123456", "Maria", 1.0),
            one("8901234567", "James", 1),
            one("9012345678", "Lisa", 1),
        ],
        "assignment_rules": {
            "round_robin": True,
            "respect_weights": True,
            "fallback_owner_id": "5678901234",
            "office_hours_only": False,
            "department_specific": {
                "enabled": True,
                "mappings": {"Sales": ["5678901234", "6789012345"], "Support": ["7890123456"]},
            },
        },
        "meta": {"last_updated": "2024-05-09T10:00:00-04:00", "total_active": 5},
    }


def mappings() -> dict[str, Any]:
    plain = [
        "Phone", "First_Name", "Last_Name", "Company", "Lead_Status", "Lead_Source", "Email", "Description", "City",
        "State", "Street", "Zip_Code",
    ]  # fmt: skip
    owner = {"Lead_Owner": {"id": "${lead_owner_id}"}}
    return {
        "accepted_calls": {name: name for name in plain} | owner,
        "missed_calls": {name: name for name in plain[:6]} | owner,
        "lead_status": {
            "new": "New",
            "accepted_call": "Accepted Call",
            "missed_call": "Missed Call",
            "missed_call_with_voicemail": "Missed Call with Voicemail",
            "duplicate": "Duplicate",
        },
        "lead_source": "RingCentral",
    }


def mail() -> dict[str, Any]:
    def person(name: str, *, errors: bool) -> dict[str, Any]:
        return {
            "name": name,
            "email": f"{name.lower()}@corp.test",
            "receive_daily": True,
            "receive_errors": errors,
        }

    return {
        "smtp_server": "smtp.corp.test",
        "smtp_port": 2525,
        "use_tls": False,
        "sender_email": "integration@corp.test",
        "sender_name": "Phones",
        "recipients": [person("Admin", errors=True), person("Manager", errors=False)],
        "report_settings": {
            "send_empty_reports": True, "include_charts": False, "include_raw_logs": True, "max_calls_in_detail": 20,
        },
        "subject_templates": {
            "accepted_calls": "Accepted {date}",
            "missed_calls": "Missed {date}",
            "combined": "All {date}",
            "error": "Error {date}",
        },
        "error_notification": {"threshold": 4, "include_stacktrace": True},
    }  # fmt: skip


def write_m(root: Path) -> Path:
    """The sample tree: five offices, of which one has files of its own."""
    put(root, "sorted/data/offices.json", offices())
    put(root, "sorted/philadelphia/extensions.json", extensions())
    put(root, "sorted/philadelphia/lead_owners.json", owners())
    put(root, "data/zoho_field_mappings.json", mappings())
    put(root, "data/email_config.json", mail())
    return root


def write_r(root: Path) -> Path:
    """A folder of the working edition, with mail settings and encrypted credentials."""
    put(
        root, "data/extensions.json",
        [
            {"id": 62001, "name": "Sales queue", "extensionNumber": "N/A"},
            {"id": "62002", "name": "Support queue", "extensionNumber": "1002"},
        ],
    )  # fmt: skip
    put(
        root, "data/lead_owners.json",
        [{"id": f"41{each}", "name": f"Owner {each}", "email": f"owner{each}@corp.test"} for each in (1, 2, 3)],
    )  # fmt: skip
    put(
        root, "data/email_config.json",
        {
            "smtp_settings": {
                "server": "mail.corp.test", "port": 465, "username": "robot", "password": SMTP_PASSWORD,
                "use_tls": True, "from_address": "robot@corp.test",
            },
            "recipients": {"accepted_calls": ["a@corp.test", "b@corp.test"], "missed_calls": ["a@corp.test"]},
        },
    )  # fmt: skip
    write_credentials(root, SECRETS_R)
    return root


def write_credentials(root: Path, secrets: Any, *, key: bytes = KEY) -> None:
    put(root, "data/encryption.key", key)
    put(root, "data/credentials.enc", Fernet(KEY).encrypt(json.dumps(secrets).encode()))


def changed(tree: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """The tree with another value at a path such as offices.boston.name or extensions.0.id."""
    *way, last = path.split(".")
    at: Any = tree
    for step in way:
        at = at[int(step)] if isinstance(at, list) else at.setdefault(step, {})
    at[int(last) if isinstance(at, list) else last] = value
    return tree
