"""What the processing of calls costs: against the scripts that the portal replaces, and against RingCentral's limit.

A day of 1,000 calls: four of ten callers are new, every second call was answered and recorded, of the others one half
was answered and one half missed. Both vendors answer after the latency. The replaced scripts make one call after the
other on connections of their own: nine searches for a new caller, then the lead, the note, the list of attachments and
the upload. They are measured on a few calls of the same mix and extrapolated linearly. Their pause of half a second
for each call is left out; it would add eight minutes.

Recordings come out of a bucket of ten a minute, which nothing can make faster. Here that bucket is wide on both sides,
so that everything else is measured; what the bucket takes is reckoned.
"""

from __future__ import annotations

import base64
import datetime as dt
import json
import urllib.parse
import urllib.request
from collections import Counter
from dataclasses import dataclass
from typing import Any

from django.utils import timezone

from portal import phone
from portal.models import Run
from telephony import call_sync
from telephony.models import Call
from tests.benchmarks import arena, switchboard
from tests.benchmarks.arena import StandinProcess
from tests.benchmarks.switchboard import Traffic

CALLS = 1000
LEADS = 12_000
LATENCY_MS = 100
BASELINE_CALLS = 40
SPREAD_S = 20 * 3600
# Requests for content a minute (developer guide: heavy).
BUCKET_PER_MINUTE = 10
PHONE_FIELDS = {
    "Leads": ("Phone", "Mobile", "Fax", "Second_Phone"),
    "Contacts": ("Phone", "Mobile", "Home_Phone", "Other_Phone"),
}
SEARCHES_OF_A_STRANGER = 9
SEARCHES_OF_A_LEAD = 2
API = "/crm/v8"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass(frozen=True)
class Planned:
    """A call of the day. `lead` is the id behind the number, empty for a new caller."""

    at: dt.datetime
    number: str
    lead: str
    is_answered: bool
    is_recorded: bool


def main() -> None:
    with arena.database() as kind:
        title = f"{CALLS:,} calls, {LATENCY_MS} ms latency on both sides, {LEADS:,} leads in Zoho, {kind}"
        table = arena.Table(title)
        with arena.standin(leads=LEADS, latency_ms=LATENCY_MS) as (vendor, _):
            replaced, replaced_s = replaced_scripts(vendor, day(vendor, BASELINE_CALLS))
        with arena.standin(leads=LEADS, latency_ms=LATENCY_MS) as (vendor, _):
            switchboard.phones(vendor)
            office = switchboard.office(vendor)
            calls = day(vendor, CALLS)
            for call in calls:
                place(vendor, call)
            started, first, worked = synced(vendor, office)
            describe(table, vendor, calls, started, first, worked, replaced, replaced_s)
            _, again, worked = synced(vendor, office)
            table.row("second run: writes and uploads", again.writes + again.uploads, unit="", at_most=0)
            table.row("second run: Zoho calls", again.zoho, unit="", at_most=3)
            table.row("second run: reads of the call log", again.log_reads, unit="", at_most=2)
            table.note(f"second run: {worked.run.state}, {worked.seconds:.1f} s, {worked.run.planned} calls to process")


# --- the day ----------------------------------------------------------------------------------------------------------


def day(vendor: StandinProcess, count: int) -> list[Planned]:
    known = leads_of_one_number(vendor)
    start = timezone.now() - dt.timedelta(seconds=SPREAD_S)
    calls = []
    for turn in range(count):
        is_new = turn % 5 < 2
        lead, number = ("", f"+1737{2_000_000 + turn:07d}") if is_new else known[turn]
        at = start + dt.timedelta(seconds=turn * SPREAD_S / count - 60)
        calls.append(Planned(at, number, lead, is_answered=turn % 4 != 3, is_recorded=turn % 2 == 0))
    return calls


def leads_of_one_number(vendor: StandinProcess) -> list[tuple[str, str]]:
    """Id and number of leads that nothing keeps from a change and whose number nobody else has."""
    plain = set(vendor.leads()[1])
    rows = {
        module: vendor.post("records", {"module": module, "fields": ["id", *fields]})["data"]
        for module, fields in PHONE_FIELDS.items()
    }
    told = (row[name] for module, fields in PHONE_FIELDS.items() for row in rows[module] for name in fields)
    holders = Counter(phone.normalise(text, "US") for text in told if text)
    leads = ((row["id"], phone.normalise(row["Phone"] or "", "US")) for row in rows["Leads"] if row["id"] in plain)
    return [(lead, number) for lead, number in leads if number and holders[number] == 1]


def place(vendor: StandinProcess, call: Planned) -> None:
    scenario = {"scenario": "accepted", "recorded": call.is_recorded} if call.is_answered else {"scenario": "missed"}
    vendor.post("call", scenario | {"at": call.at.isoformat(), "caller": call.number})


# --- the portal -------------------------------------------------------------------------------------------------------


def synced(vendor: StandinProcess, office: Any) -> tuple[float, Traffic, arena.Worked]:
    """A run over the last day: the stand-in's time at its start, what was called, and the run."""
    run = call_sync.start(offices=[office], hours_back=24)
    before = switchboard.traffic(vendor)
    started = dt.datetime.fromisoformat(vendor.get("state")["now"]).timestamp()
    [worked] = arena.work(run)
    return started, switchboard.between(before, switchboard.traffic(vendor)), worked


def describe(
    table: arena.Table, vendor: StandinProcess, calls: list[Planned], started: float, first: Traffic,
    worked: arena.Worked, replaced: Traffic, replaced_s: float,
) -> None:  # fmt: skip
    recorded = sum(call.is_recorded for call in calls)
    table.row("Zoho calls for each call, without uploads", first.zoho / CALLS, replaced.zoho / BASELINE_CALLS, unit="",
              at_most=0.10, judge_measured=True)  # fmt: skip
    table.row(
        "reads of RingCentral's log", first.log_reads, replaced.log_reads, unit="", at_most=2, judge_measured=True
    )
    table.row("uploads for each recording", first.uploads / recorded, replaced.uploads / sum(
        call.is_recorded for call in calls[:BASELINE_CALLS]), unit="", at_most=1)  # fmt: skip
    table.row("downloads for each recording", first.downloads / recorded, unit="", at_most=1)
    scale = CALLS / BASELINE_CALLS
    table.row(
        f"all of it, media included: the replaced scripts ({BASELINE_CALLS} calls, extrapolated)", worked.seconds,
        replaced_s * scale, ratio=replaced_s * scale / worked.seconds, at_least=8,
    )  # fmt: skip
    downloads = vendor.get("journal?path=/recording/")["journal"]
    before_media_s = min(entry["at"] for entry in downloads) - started
    bucket_s = recorded / BUCKET_PER_MINUTE * 60
    table.row(
        "everything before the first recording, against the bucket's time", before_media_s, bucket_s, at_most=0.05
    )
    table.row("all of it, against the bucket's time", worked.seconds, bucket_s, at_most=0.1)
    run = worked.run
    written = {name: vendor.get(f"writes?module={name}")["writes"] for name in ("Notes", "Attachments")}
    table.note(
        f"run: {run.state}, {run.ok:,} ok, {run.failed} failed, {run.skipped} skipped; {written['Notes']:,} notes, "
        f"{written['Attachments']:,} attachments; {worked.cpu_seconds:.1f} s of processor time, {worked.peak_mb:.0f} MB; "
        f"Zoho: {first.reads} reads, {first.writes} writes, {first.uploads} uploads"
    )
    states = Counter(Call.objects.values_list("state", flat=True))
    assert states == {Call.State.DONE: CALLS}, states
    assert run.state == Run.State.FINISHED, (run.state, run.error)


# --- the replaced scripts ---------------------------------------------------------------------------------------------


def replaced_scripts(vendor: StandinProcess, calls: list[Planned]) -> tuple[Traffic, float]:
    """What the scripts call, one after the other, and the seconds it takes. The log is read for each extension.

    Whether a search finds anything does not matter here: it is known which lead a call belongs to.
    """
    switchboard.phones(vendor)
    for call in calls:
        place(vendor, call)
    extensions = [row["id"] for row in vendor.get("ringcentral")["extensions"] if row["type"] == "User"]
    before = switchboard.traffic(vendor)
    elapsed = arena.stopwatch()
    scripts = ReplacedScripts(vendor.url)
    tapes = [tape for extension in extensions for tape in scripts.log_of(extension, calls[0].at)]
    for call in calls:
        scripts.process(call, tapes.pop() if call.is_recorded else "")
    return switchboard.between(before, switchboard.traffic(vendor)), elapsed()


class ReplacedScripts:
    """The order of calls of rc_zoho's scripts for accepted and missed calls."""

    def __init__(self, url: str) -> None:
        self.url = url
        zoho = {"grant_type": "refresh_token", "refresh_token": "standin-refresh", "client_id": "standin-client",
                "client_secret": "standin-secret"}  # fmt: skip
        self.zoho = {"Authorization": f"Zoho-oauthtoken {self._token('/oauth/v2/token', zoho, {})}"}
        grant = {"grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer", "assertion": "standin-rc-jwt"}
        basic = base64.b64encode(b"standin-rc-client:standin-rc-secret").decode()
        token = self._token("/restapi/oauth/token", grant, {"Authorization": f"Basic {basic}"})
        self.phones = {"Authorization": f"Bearer {token}"}

    def _token(self, path: str, form: dict[str, str], headers: dict[str, str]) -> str:
        token = self._json("POST", path, headers | FORM, urllib.parse.urlencode(form).encode())["access_token"]
        return str(token)

    def log_of(self, extension: str, since: dt.datetime) -> list[str]:
        """Addresses of the recordings."""
        query = urllib.parse.urlencode({"dateFrom": since.isoformat(), "view": "Detailed", "perPage": 1000})
        path = f"/restapi/v1.0/account/~/extension/{extension}/call-log?{query}"
        rows = self._json("GET", path, self.phones)["records"]
        return [row["recording"]["contentUri"] for row in rows if "recording" in row]

    def process(self, call: Planned, tape: str) -> None:
        lead = call.lead
        if lead:
            self._search(call.number, SEARCHES_OF_A_LEAD)
            if call.is_answered:
                change = {"data": [{"id": lead, "Lead_Status": "Contacted"}]}
                self._json("PUT", f"{API}/Leads/{lead}", self.zoho, json.dumps(change).encode())
        else:
            self._search(call.number, SEARCHES_OF_A_STRANGER)
            new = {"data": [{"Last_Name": "Unknown Caller", "Phone": call.number, "Lead_Status": "Contacted"}]}
            lead = self._json("POST", f"{API}/Leads", self.zoho, json.dumps(new).encode())["data"][0]["details"]["id"]
        note = {"data": [{"Note_Title": "Call", "Note_Content": f"A call at {call.at:%H:%M}."}]}
        self._json("POST", f"{API}/Leads/{lead}/Notes", self.zoho, json.dumps(note).encode())
        if tape:
            content = self._call("GET", tape, self.phones)
            self._call("GET", f"{API}/Leads/{lead}/Attachments?fields=id,File_Name", self.zoho)
            head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="call.wav"\r\n\r\n'
            body = head + content + b"\r\n--x--\r\n"
            headers = self.zoho | {"Content-Type": "multipart/form-data; boundary=x"}
            self._json("POST", f"{API}/Leads/{lead}/Attachments", headers, body)

    def _search(self, number: str, times: int) -> None:
        for turn in range(times):
            module = ("Leads", "Contacts")[turn % 2]
            query = urllib.parse.urlencode({"phone": number, "fields": "id"})
            self._call("GET", f"{API}/{module}/search?{query}", self.zoho)

    def _json(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> Any:
        return json.loads(self._call(method, path, headers, body))

    def _call(self, method: str, path: str, headers: dict[str, str], body: bytes | None = None) -> bytes:
        url = path if path.startswith("http") else f"{self.url}{path}"
        request = urllib.request.Request(url, body, {"Content-Type": "application/json"} | headers, method=method)
        with urllib.request.urlopen(request, timeout=60) as reply:
            content: bytes = reply.read()
        return content


if __name__ == "__main__":
    main()
