"""How each field of a made-up lead follows from its position."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from portal.standin.seed import Dice, Maker, Seed
from portal.standin.zoho import leads_schema as schema
from portal.standin.zoho.table import Table

FIRST_NAMES = (
    *("Olivia", "Liam", "Emma", "Noah", "Ava", "Lucas", "Mia", "Ethan", "Sofia", "Mason", "Zoë", "Henry", "Chloe"),
    *("Daniel", "Grace", "Samuel", "Nora", "José", "Ruth", "Omar", "Ingrid", "Felix", "Aisha", "Marek", "Yuki"),
)
LAST_NAMES = (
    *("Smith", "Johnson", "Garcia", "Miller", "Nguyen", "Brown", "Kowalski", "Martinez", "O'Brien", "Müller", "Lee"),
    *("Patel", "Anderson", "Rossi", "Novak", "Clark", "Lewis", "Haddad", "Young", "King", "Ñáñez", "Okafor", "Hall"),
    *("Dubois", "Green", "Van der Berg", "Baker", "Cohen", "Rivera"),
)
CITIES = (
    ("Austin", "TX", "787"),
    ("Portland", "OR", "972"),
    ("Denver", "CO", "802"),
    ("Boston", "MA", "021"),
    ("Chicago", "IL", "606"),
    ("Miami", "FL", "331"),
    ("San José", "CA", "951"),
    ("Seattle", "WA", "981"),
)
AREA_CODES = ("512", "503", "303", "617", "312", "305", "408", "206", "737", "971", "720", "857", "773", "786", "669")
STREETS = ("Oak St", "Main St", "2nd Ave", "Maple Dr", "Lake Rd", "Hill Ct", "Sunset Blvd", "Park Ln")
_STATUS_WEIGHTS = (5, 3, 1, 3, 2, 2, 1, 1, 1, 2, 1, 1)
_PHONE_FORMATS: tuple[Callable[[str, str, str], str], ...] = (
    lambda area, middle, last: f"+1{area}{middle}{last}",
    lambda area, middle, last: f"({area}) {middle}-{last}",
    lambda area, middle, last: f"{area}-{middle}-{last}",
    lambda area, middle, last: f"{area}{middle}{last}",
    lambda area, middle, last: f"1-{area}-{middle}-{last}",
    lambda area, middle, last: f"+1 {area} {middle} {last}",
    lambda area, middle, last: f"{area}.{middle}.{last}",
    lambda area, middle, last: f"001{area}{middle}{last}",
    lambda area, middle, last: f"+1 ({area}) {middle}-{last} ext. 4",
)


def national_number(dice: Dice) -> Callable[[int], tuple[str, str, str]]:
    """Area, exchange and line. The stride keeps numbers apart; a few leads repeat an earlier lead's number."""
    repeats, back, area_of = dice.chance("phone repeats", 15), dice.between("phone back", 1, 40), dice.number("area")

    def number(index: int) -> tuple[str, str, str]:
        source = index - back(index) if repeats(index) and index > 40 else index
        digits = f"{2_000_000 + (source * 7_919) % 7_999_993:07d}"
        return AREA_CODES[area_of(source) % len(AREA_CODES)], digits[:3], digits[3:]

    return number


def phone(dice: Dice, salt: str, number: Callable[[int], tuple[str, str, str]]) -> Maker:
    style = dice.pick(f"{salt} format", _PHONE_FORMATS)
    return lambda index: style(index)(*number(index))


def time_makers(dice: Dice, seed: Seed, count: int) -> dict[str, Maker]:
    """Created_Time ascends with the id, as in a real org; Modified_Time follows within ninety days."""
    start, end = int(seed.since.timestamp()), int(seed.until.timestamp())
    step = max(1, (end - start) // max(1, count))
    jitter, later = dice.number("created"), dice.number("modified")

    def created(index: int) -> int:
        return start + index * step + jitter(index) % step

    def modified(index: int) -> int:
        return min(end, created(index) + later(index) % (90 * 86_400))

    return {"Created_Time": created, "Modified_Time": modified, "Last_Activity_Time": modified}


def constant_makers() -> dict[str, Maker]:
    return {
        "Record_Status__s": lambda index: "Available",
        "$currency_symbol": lambda index: "$",
        "$editable": lambda index: True,
    }


def state_makers(dice: Dice, modified: Maker) -> dict[str, Maker]:
    """Small fixed shares of leads in each state that blocks an edit; no lead is in two of them."""
    lot = dice.between("state", 0, 999)
    return {
        "Converted__s": lambda index: lot(index) < 5,
        "Converted_Date_Time": lambda index: modified(index) if lot(index) < 5 else None,
        "Locked__s": lambda index: 5 <= lot(index) < 10,
        "$process_flow": lambda index: 10 <= lot(index) < 15,
        "$approval_state": lambda index: "approval_process_pending" if 15 <= lot(index) < 18 else "approved",
        "Layout": lambda index: schema.STRICT_LAYOUT if 20 <= lot(index) < 30 else schema.STANDARD_LAYOUT,
    }


def lead_makers(
    seed: Seed, user_ids: tuple[str, ...], related: dict[str, Callable[[int], str | None]]
) -> dict[str, Maker]:
    dice = Dice(seed.seed)
    times = time_makers(dice, seed, seed.leads)
    return {
        **times,
        **constant_makers(),
        **state_makers(dice, times["Modified_Time"]),
        **_person(dice),
        **_place(dice),
        **_sale(dice),
        **_move(dice, times["Created_Time"]),
        "Owner": dice.pick("owner", user_ids),
        "Created_By": dice.pick("creator", user_ids),
        "Modified_By": dice.pick("editor", user_ids),
        "Coordinator": dice.sometimes("coordinator", 400, dice.pick("coordinator", user_ids)),
        "Referred_By": dice.sometimes("referred", 80, related["Contacts"]),
        "Related_Account": dice.sometimes("account", 60, related["Accounts"]),
    }


def _person(dice: Dice) -> dict[str, Maker]:
    first, last = dice.pick("first", FIRST_NAMES), dice.pick("last", LAST_NAMES)
    number, other = national_number(dice), national_number(Dice(7_777))

    def email(index: int) -> str:
        letters = f"{first(index)}.{last(index)}".lower().replace(" ", "").replace("'", "")
        ascii_letters = letters.encode("ascii", "ignore").decode()
        return f"{ascii_letters}.{index}@example.com"

    return {
        "First_Name": first,
        "Last_Name": last,
        "Full_Name": lambda index: f"{first(index)} {last(index)}",
        "Salutation": dice.sometimes("salutation", 300, dice.pick("salutation", ("Mr.", "Mrs.", "Ms.", "Dr."))),
        "Company": dice.sometimes(
            "company", 700, lambda index: f"{last(index)} {('Homes', 'LLC', 'Group')[index % 3]}"
        ),
        "Designation": dice.sometimes("title", 100, dice.pick("title", ("Owner", "Manager", "Office lead"))),
        "Email": dice.sometimes("email", 850, email),
        "Secondary_Email": dice.sometimes("email2", 50, lambda index: f"second.{index}@example.org"),
        "Phone": dice.sometimes("phone", 950, phone(dice, "phone", number)),
        "Mobile": dice.sometimes("mobile", 300, phone(dice, "mobile", other)),
        "Second_Phone": dice.sometimes("phone2", 50, phone(dice, "phone2", number)),
        "Email_Opt_Out": dice.chance("opt out", 40),
        "Language": dice.pick("language", ("English", "English", "English", "Spanish", "French")),
    }


def _place(dice: Dice) -> dict[str, Maker]:
    place, house = dice.pick("place", CITIES), dice.between("house", 1, 9999)
    street, suffix = dice.pick("street", STREETS), dice.between("zip", 0, 99)
    destination = dice.pick("destination", CITIES)

    def zip_code(index: int) -> str:
        return f"{place(index)[2]}{suffix(index):02d}"

    return {
        "Street": lambda index: f"{house(index)} {street(index)}",
        "City": lambda index: place(index)[0],
        "State": lambda index: place(index)[1],
        "Zip_Code": zip_code,
        "Country": lambda index: "United States",
        "Destination_City": lambda index: destination(index)[0],
        "Destination_Zip": lambda index: f"{destination(index)[2]}{suffix(index):02d}",
        "Full_Address": lambda index: f"{house(index)} {street(index)}, {place(index)[0]}, {zip_code(index)}",
    }


def _sale(dice: Dice) -> dict[str, Maker]:
    weighted = [
        value for value, weight in zip(schema.LEAD_STATUSES, _STATUS_WEIGHTS, strict=True) for _ in range(weight)
    ]
    industry = dice.pick("industry", [option.actual for option in schema.INDUSTRIES])
    tagged = dice.chance("tag", 30)
    return {
        "Lead_Status": dice.pick("status", weighted),
        "Lead_Source": dice.pick("source", schema.LEAD_SOURCES),
        "Industry": dice.sometimes("industry", 500, industry),
        "Rating": dice.sometimes("rating", 600, dice.pick("rating", ("Hot", "Warm", "Cold"))),
        "No_of_Employees": dice.sometimes("employees", 150, dice.between("employees", 1, 900)),
        "Annual_Revenue": dice.sometimes("revenue", 100, dice.between("revenue", 50_000, 9_000_000)),
        "Lead_Score": dice.between("score", 0, 100),
        "Call_Count": lambda index: str(index % 7),
        "Lead_Number": lambda index: f"LD-{index + 1:07d}",
        "External_Lead_Id": lambda index: f"ext-{index + 1:07d}",
        "Campaign": dice.sometimes("campaign", 300, dice.pick("campaign", ("Spring", "Summer 2025", "Students"))),
        "Landing_Page": dice.sometimes("page", 200, lambda index: f"https://movers.example/quote?v={index % 9}"),
        "Description": dice.sometimes("description", 250, lambda index: f"Asked for a quote.\nReference {index}."),
        "Comments": dice.sometimes("comments", 100, lambda index: "Call after 5 pm"),
        "Tag": lambda index: (
            [{"name": "VIP", "id": "5725767000000099001", "color_code": "#FEDA62"}] if tagged(index) else []
        ),
    }


def _move(dice: Dice, created: Maker) -> dict[str, Maker]:
    days, volume = dice.between("move days", 10, 120), dice.between("volume", 150, 2500)
    total, stored = dice.between("total", 400, 9000), dice.chance("storage", 250)
    service = dice.number("services")

    def services(index: int) -> list[str]:
        bits = service(index)
        return [name for position, name in enumerate(schema.SERVICES) if bits >> position & 1]

    return {
        "Move_Date": lambda index: _iso_date(created(index) + days(index) * 86_400),
        "Move_Size": dice.pick("size", schema.MOVE_SIZES),
        "Services": services,
        "Contact_Preference": lambda index: list(schema.CHANNELS[: 1 + index % 3]),
        "Origin_Floor": dice.between("floor", 0, 12),
        "Volume_Cuft": lambda index: volume(index) + 0.5,
        "Estimated_Weight": lambda index: volume(index) * 7.0,
        "Quote_Total": dice.sometimes("total", 500, lambda index: float(total(index))),
        "Deposit": dice.sometimes("deposit", 200, lambda index: total(index) / 10),
        "Discount": dice.sometimes("discount", 100, dice.pick("discount", (5, 10, 12.5))),
        "Insurance": dice.chance("insurance", 350),
        "Storage_Needed": stored,
        "Storage_Months": lambda index: 1 + index % 12 if stored(index) else None,
        "Survey_At": dice.sometimes("survey", 150, lambda index: created(index) // 3600 * 3600 + 5 * 86_400),
        "Price_Per_Cuft": lambda index: round(total(index) / volume(index), 2),
    }


def _iso_date(timestamp: int) -> str:
    return datetime.fromtimestamp(timestamp, UTC).date().isoformat()


class LeadNumbers:
    """The numbers of the made-up leads as E.164: what a telephone exchange shows when one of them calls."""

    def __init__(self, leads: Table) -> None:
        self._leads = leads
        self._read = leads.getter("Phone"), leads.getter("Mobile")

    def __call__(self, position: int) -> str | None:
        ids = self._leads.ids()
        if not ids:
            return None
        record_id = ids[position % len(ids)]
        return next((as_e164(stored) for read in self._read if (stored := read(record_id))), None)


def as_e164(stored: str) -> str | None:
    """One of the forms above in the international one."""
    digits = "".join(character for character in stored.partition("ext")[0] if character.isdigit())
    return f"+1{digits[-10:]}" if len(digits) >= 10 else None
