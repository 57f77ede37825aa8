"""How the records of the smaller modules follow from their position."""

from __future__ import annotations

from collections.abc import Callable

from portal.standin.seed import Dice, Maker, Seed
from portal.standin.zoho import leads, modules


def other_makers(
    seed: Seed, counts: dict[str, int], user_ids: tuple[str, ...], related: dict[str, Callable[[int], str | None]]
) -> dict[str, dict[str, Maker]]:
    makers = {
        "Contacts": _contacts(Dice(seed.seed + 1), related),
        "Accounts": _accounts(Dice(seed.seed + 2)),
        "Deals": _deals(Dice(seed.seed + 3), related),
        "Tasks": _tasks(Dice(seed.seed + 4)),
        "Site_Surveys": _surveys(Dice(seed.seed + 5), related),
    }
    for name, fields in makers.items():
        dice = Dice(seed.seed + modules.MODULES[name].number)
        layout = modules.MODULES[name].layouts[0].id
        fields.update(leads.time_makers(dice, seed, counts[name]) | leads.constant_makers())
        fields.update({key: dice.pick(key, user_ids) for key in ("Owner", "Created_By", "Modified_By")})
        fields["Layout"] = dice.pick("layout", (layout,))
        fields["$approval_state"] = dice.pick("approval", ("approved",))
        fields["Locked__s"] = fields["$process_flow"] = dice.pick("state", (False,))
        fields["Tag"] = lambda index: []
    return makers


def _contacts(dice: Dice, related: dict[str, Callable[[int], str | None]]) -> dict[str, Maker]:
    first, last = dice.pick("first", leads.FIRST_NAMES), dice.pick("last", leads.LAST_NAMES)
    number, city = leads.national_number(dice), dice.pick("city", leads.CITIES)
    return {
        "First_Name": first,
        "Last_Name": last,
        "Full_Name": lambda index: f"{first(index)} {last(index)}",
        "Email": lambda index: f"contact.{index}@example.net",
        "Phone": leads.phone(dice, "phone", number),
        "Mobile": dice.sometimes("mobile", 400, leads.phone(dice, "mobile", leads.national_number(Dice(8_888)))),
        "Home_Phone": dice.sometimes("home", 100, leads.phone(dice, "home", leads.national_number(Dice(9_999)))),
        "Account_Name": related["Accounts"],
        "Mailing_City": lambda index: city(index)[0],
    }


def _accounts(dice: Dice) -> dict[str, Maker]:
    city = dice.pick("city", leads.CITIES)
    return {
        "Account_Name": lambda index: f"{leads.LAST_NAMES[index % len(leads.LAST_NAMES)]} Relocations {index + 1}",
        "Phone": leads.phone(dice, "phone", leads.national_number(dice)),
        "Website": lambda index: f"https://account{index}.example.com",
        "Annual_Revenue": dice.between("revenue", 100_000, 5_000_000),
        "Billing_City": lambda index: city(index)[0],
    }


def _deals(dice: Dice, related: dict[str, Callable[[int], str | None]]) -> dict[str, Maker]:
    return {
        "Deal_Name": lambda index: f"Move {index + 1}",
        "Stage": dice.pick("stage", modules.DEAL_STAGES),
        "Amount": dice.between("amount", 400, 20_000),
        "Closing_Date": lambda index: f"2026-{1 + index % 12:02d}-{1 + index % 28:02d}",
        "Probability": dice.pick("probability", (10, 40, 60, 100, 0)),
        "Account_Name": related["Accounts"],
        "Contact_Name": related["Contacts"],
    }


def _tasks(dice: Dice) -> dict[str, Maker]:
    return {
        "Subject": lambda index: f"Call back {index + 1}",
        "Status": dice.pick("status", modules.TASK_STATUSES),
        "Priority": dice.pick("priority", ("High", "Normal", "Low")),
        "Due_Date": lambda index: f"2026-{1 + index % 12:02d}-{1 + index % 28:02d}",
    }


def _surveys(dice: Dice, related: dict[str, Callable[[int], str | None]]) -> dict[str, Maker]:
    return {
        "Name": lambda index: f"SV-{index + 1:05d}",
        "Survey_Date": lambda index: f"2026-{1 + index % 12:02d}-{1 + index % 28:02d}",
        "Result": dice.pick("result", ("Booked", "Done", "Cancelled")),
        "Lead": related["Leads"],
        "Volume_Cuft": dice.between("volume", 100, 2000),
        "Reference": lambda index: f"ref-{index + 1:06d}",
    }
