"""Reads the call log and turns the calls of one office or of all into leads, notes and recordings."""

from __future__ import annotations

import datetime as dt
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.utils.dateparse import parse_date, parse_datetime

from portal import connections
from portal.management.run_command import RunCommand, account_of
from portal.models import Run
from telephony import call_sync
from telephony.models import Office

COUNTS = ("planned", "ok", "failed", "skipped", "unknown", "remaining")


class Command(RunCommand):
    help = (
        "Processes calls: reads RingCentral's call log, and writes leads, statuses, notes and recordings to Zoho. Without "
        "an office: all active ones in their order. What is done already is not written twice. Exit status: 0 all ok, 1 "
        "finished with failures or not to the end, 2 wrong use or configuration."
    )
    # Calls, offices and owners belong to the default connections of both vendors.
    takes_connection = False
    items = "calls"

    def add_arguments(self, parser: CommandParser) -> None:
        which = parser.add_mutually_exclusive_group()
        which.add_argument("--office", metavar="SLUG", help="Only this office.")
        which.add_argument(
            "--all-offices", action="store_true", help="All active offices in the order of processing (the default)."
        )
        parser.add_argument(
            "--office-order", metavar="A,B,…",
            help="These offices in this order; with --all-offices these first, and then the others.",
        )  # fmt: skip
        parser.add_argument("--type", choices=(*call_sync.TYPES, "all"), default="all", help="Which calls (all).")
        parser.add_argument(
            "--hours-back", type=int, metavar="N",
            help="How far to look back; what an earlier run missed is caught up. Default and maximum: call settings.",
        )  # fmt: skip
        parser.add_argument(
            "--start", metavar="T",
            help="Instead: calls from here on, as 2026-03-01 or 2026-03-01T09:30. Without an offset (…Z, …-05:00) the "
            "time is that of the office, of several offices that of the first one.",
        )  # fmt: skip
        parser.add_argument("--end", metavar="T", help="Up to here; a day alone is meant whole. Without it: up to now.")
        parser.add_argument("--dry-run", action="store_true", help="Write nothing to Zoho and say what would be done.")
        parser.add_argument("--debug", action="store_true", help="A line in the run's log for each call.")
        parser.add_argument("--no-email", action="store_true", help="Nobody gets a mail about it.")
        super().add_arguments(parser)

    def handle(self, *args: Any, **options: Any) -> None:
        if options["office"] and options["office_order"]:
            raise _wrong("Give either --office or --office-order.")
        connections.sync_environment()
        offices = self._offices(options)
        since, until = self._range(options, offices)
        try:
            started = call_sync.start_all(
                offices=offices, keep_order=bool(options["office_order"]),
                types=call_sync.TYPES if options["type"] == "all" else (options["type"],),
                since=since, until=until, hours_back=options["hours_back"], dry_run=options["dry_run"],
                debug=options["debug"], email=not options["no_email"], trigger=Run.Trigger.COMMAND,
            )  # fmt: skip
        except call_sync.Refused as refusal:
            where = f" See {refusal.run.get_absolute_url()}" if refusal.run else ""
            raise _wrong(f"{refusal}{where}") from refusal
        self._finish_all(started, options)

    # --- what to process ---------------------------------------------------------------------------------------------

    def _offices(self, options: dict[str, Any]) -> list[Office]:
        """In the order in which they are to be processed."""
        every = {office.slug: office for office in Office.objects.all()}
        named = [options["office"]] if options["office"] else _names(options["office_order"])
        unknown = [slug for slug in named if slug not in every]
        if unknown:
            there_is = ", ".join(every) or "none; make one on the Offices page"
            raise _wrong(f"There is no office “{unknown[0]}”. There is: {there_is}.")
        first = [every[slug] for slug in named]
        if first and not options["all_offices"]:
            return first
        return [*first, *(office for office in every.values() if office.is_active and office not in first)]

    def _range(
        self, options: dict[str, Any], offices: Sequence[Office]
    ) -> tuple[dt.datetime | None, dt.datetime | None]:
        zone = offices[0].tz if offices else dt.UTC
        since = _moment(options["start"], "--start", zone) if options["start"] else None
        until = _moment(options["end"], "--end", zone, is_end=True) if options["end"] else None
        return since, until

    # --- what came of it ---------------------------------------------------------------------------------------------

    def _finish_all(self, started: Sequence[Run], options: dict[str, Any]) -> None:
        """One account for each run, and one JSON line for all of them, which is the last."""
        ended = [self._work_out(run, options) for run in started]
        if options["json"]:
            self.stdout.write(json.dumps(_account(ended)))
        if options["wait"] and not all(self.is_success(run) for run in ended):
            sys.exit(1)

    def _work_out(self, run: Run, options: dict[str, Any]) -> Run:
        """What the run noted in detail stands below its account."""
        run = self.work_out(run, options)
        if options["wait"] and options["debug"]:
            for event in run.events.all():
                self.stdout.write(f"  {event.at:%H:%M:%S} {event.message}")
        if options["wait"] and options["dry_run"]:
            for item in run.items.order_by("position").iterator(chunk_size=1000):
                self.stdout.write(f"  {item.label}: {item.message}")
        return run


def _wrong(text: str) -> CommandError:
    return CommandError(text, returncode=2)


def _names(text: str | None) -> list[str]:
    """Slugs of a comma separated list, each once."""
    return list(dict.fromkeys(part.strip() for part in (text or "").split(",") if part.strip()))


def _moment(text: str, option: str, zone: dt.tzinfo, *, is_end: bool = False) -> dt.datetime:
    """The moment that the text means in the zone; the end of a day when it is a day and an end."""
    try:
        day = parse_date(text)
        if day is not None:
            at = dt.datetime.combine(day + dt.timedelta(days=1) if is_end else day, dt.time.min)
        else:
            found = parse_datetime(text)
            if found is None:
                raise ValueError("no time")
            at = found
    except (ValueError, OverflowError) as error:
        raise _wrong(f"{option} {text!r} is no time. Write 2026-03-01 or 2026-03-01T09:30.") from error
    return (at if at.tzinfo else at.replace(tzinfo=zone)).astimezone(dt.UTC)


def _account(started: Iterable[Run]) -> dict[str, Any]:
    """The runs as programs read them: the first that is not finished, else the first, with all counts; and each run."""
    accounts = [account_of(run) for run in started]
    if len(accounts) == 1:
        return accounts[0] | {"runs": accounts}
    bad = next((each for each in accounts if each["state"] != Run.State.FINISHED), accounts[0])
    return bad | {name: sum(each[name] for each in accounts) for name in COUNTS} | {"runs": accounts}
