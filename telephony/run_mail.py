"""The mails of a run over calls: a short report of what it did, and word of an office that keeps failing.

The numbers are those of the run's own page. No mail that cannot be sent changes how a run ended: its log says so.
"""

from __future__ import annotations

import datetime as dt
import smtplib
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from email.utils import formataddr, parseaddr
from zoneinfo import ZoneInfo

from django.conf import settings as django_settings
from django.core.mail import EmailMessage, EmailMultiAlternatives, get_connection
from django.core.mail.backends.base import BaseEmailBackend
from django.db import transaction
from django.db.models import Q
from django.template.loader import render_to_string
from django.utils import timezone

from portal import notices, phone, run_account, runs
from portal.access import Person
from portal.fields import Undecryptable
from portal.models import Cursor, Run, RunEvent, RunItem
from portal.remote import redact
from portal.run_account import ItemChoice
from telephony import reasons, run_page
from telephony.caller_names import person_of
from telephony.models import Call, CallSettings, CallStep, MailSettings, Office, Recipient
from telephony.notes import length
from telephony.pull import Window
from telephony.template_text import clock

SMTP_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
# On this port TLS begins with the connection, without STARTTLS.
IMPLICIT_TLS_PORT = 465
CHUNK = 500
WELL = (Run.State.FINISHED,)
ILL = (Run.State.FAILED, Run.State.FINISHED_WITH_ERRORS, Run.State.NEEDS_DECISION)
NOT_DONE = (RunItem.State.FAILED, RunItem.State.UNKNOWN)
OUTCOMES = {
    Recipient.CallType.ACCEPTED.value: (Call.Outcome.ACCEPTED,),
    Recipient.CallType.MISSED.value: Call.MISSED_OUTCOMES,
}


def ended(run: Run) -> None:
    """What the engine calls once the end of a run is stored: report, word of failures, and a notice to who started it.

    A run that was told to send no mail sends none; its failures are counted.
    """
    try:
        settings = MailSettings.load()
    except Undecryptable:
        _log_failure(run, "The password of the mail server cannot be decrypted.")
        return
    post = Post(run, settings)
    if "window" in run.parameters and not run.parameters["dry_run"]:
        if run.parameters["email"]:
            post.reports()
        post.failures()
    post.tell_starter()


# --- what a report says -----------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Line:
    """A call of the report: what was, what came of it, and the address of its page."""

    time: str
    words: str
    result: str
    code: str
    url: str


@dataclass(frozen=True)
class Reason:
    """A code that calls share, and what to do about it."""

    code: str
    count: int
    what: str = ""
    remedy: str = ""


@dataclass
class Report:
    """What a run did with the calls of one office or of all, of one type or of all.

    `processed` and `written` are (words, count); `calls` are at most as many as the settings allow, of `total`.
    """

    place: str
    since: str
    until: str
    date: str
    state: str
    error: str
    url: str
    total: int = 0
    processed: list[tuple[str, int]] = field(default_factory=list)
    written: list[tuple[str, int]] = field(default_factory=list)
    skipped: list[Reason] = field(default_factory=list)
    failed: list[Reason] = field(default_factory=list)
    failures: list[Line] = field(default_factory=list)
    calls: list[Line] = field(default_factory=list)

    @property
    def processed_count(self) -> int:
        return sum(count for _, count in self.processed)

    @property
    def skipped_count(self) -> int:
        return sum(reason.count for reason in self.skipped)

    @property
    def failed_count(self) -> int:
        return sum(reason.count for reason in self.failed)


@dataclass(frozen=True)
class _Fact:
    """An item of the run and what is known of its call."""

    key: int
    state: str
    code: str
    message: str
    office_id: int | None
    outcome: str


class Account:
    """The items of a run, read once; each report counts a part of them."""

    def __init__(self, run: Run) -> None:
        self.run = run
        self.facts = self._facts()

    def _facts(self) -> list[_Fact]:
        rows = run_account.items_of(self.run, ItemChoice()).values_list("key", "state", "code", "message")
        items = [(int(key), state, code, message) for key, state, code, message in rows]
        calls: dict[int, tuple[int | None, str]] = {}
        for first in range(0, len(items), CHUNK):
            pks = [key for key, *_ in items[first : first + CHUNK]]
            for pk, office, outcome in Call.objects.filter(pk__in=pks).values_list("pk", "office", "outcome"):
                calls[pk] = office, outcome
        return [_Fact(*item, *calls.get(item[0], (None, ""))) for item in items]

    def report(self, office: Office | None, call_type: str, most: int) -> Report:
        """Of one office, or without one of all that the run was about; `most` calls are told one by one."""
        outcomes = OUTCOMES.get(call_type)
        facts = [
            fact
            for fact in self.facts
            if (office is None or fact.office_id == office.pk) and (outcomes is None or fact.outcome in outcomes)
        ]
        steps = run_page.written_by(self.run)
        if office is not None:
            steps = steps.filter(call__office=office)
        if outcomes is not None:
            steps = steps.filter(call__outcome__in=outcomes)
        found = self._headed(office)
        found.total = len(facts)
        done = Counter(fact.outcome for fact in facts if fact.state == RunItem.State.OK)
        found.processed = [(str(label), done[value]) for value, label in Call.Outcome.choices if done[value]]
        written = Counter(steps.values_list("kind", flat=True))
        found.written = [(str(label), written[value]) for value, label in CallStep.Kind.choices if written[value]]
        found.skipped = _by_code(fact for fact in facts if fact.state == RunItem.State.SKIPPED)
        troubled = [fact for fact in facts if fact.state in NOT_DONE]
        found.failed = _by_code(troubled)
        found.failures, found.calls = self._lines(troubled[:most]), self._lines(facts[:most])
        return found

    def _headed(self, office: Office | None) -> Report:
        zone = office.tz if office else ZoneInfo(CallSettings.load().default_zone)
        window = Window.of_json(self.run.parameters["window"])
        # A range that ends at midnight is one of the day before.
        day = (window.until - dt.timedelta(microseconds=1)).astimezone(zone).date()
        return Report(
            place=office.name if office else "All offices",
            since=clock(window.since.astimezone(zone)),
            until=clock(window.until.astimezone(zone)),
            date=day.isoformat(),
            state=self.run.get_state_display(),
            error=self.run.error,
            url=link(self.run.get_absolute_url()),
        )

    def _lines(self, facts: Sequence[_Fact]) -> list[Line]:
        calls: dict[int, Call] = {}
        for first in range(0, len(facts), CHUNK):
            rows = Call.objects.select_related("office", "answered_by").defer("legs", "candidates")
            calls |= rows.in_bulk([fact.key for fact in facts[first : first + CHUNK]])
        return [_line(fact, calls[fact.key]) for fact in facts if fact.key in calls]


def _by_code(facts: Iterable[_Fact]) -> list[Reason]:
    found = []
    for code, count in Counter(fact.code for fact in facts).most_common():
        advice = reasons.advice(code)
        found.append(Reason(code, count, advice.what, advice.remedy) if advice else Reason(code, count))
    return found


def _line(fact: _Fact, call: Call) -> Line:
    zone = call.office.tz if call.office else ZoneInfo(CallSettings.load().default_zone)
    number = phone.shown(call.number) if call.number else call.number_told or "number withheld"
    words = (
        f"{call.get_direction_display()}, {call.get_outcome_display().lower()}",
        number,
        person_of(call.name_told, call.location_told),
        f"answered by {call.answered_by}" if call.answered_by else "",
        length(call.total_seconds) if call.total_seconds is not None else "",
    )
    return Line(
        clock(call.started_at.astimezone(zone)),
        ", ".join(word for word in words if word),
        fact.message or RunItem.State(fact.state).label,
        fact.code,
        link(call.get_absolute_url()),
    )


def link(path: str) -> str:
    """The address as a mail needs it; only the path where PUBLIC_URL is not set."""
    return f"{django_settings.PUBLIC_URL.strip().rstrip('/')}{path}"


# --- offices that keep failing ----------------------------------------------------------------------------------------


@dataclass
class Streak:
    """How many runs of an office in a row failed, and whether its people were told. `run` is the one counted last."""

    cursor: Cursor
    failures: int
    run: int
    is_told: bool

    @classmethod
    def of(cls, office: Office) -> Streak:
        cursor, _ = Cursor.objects.select_for_update().get_or_create(name=f"calls-failures:{office.pk}")
        known = cursor.value
        return cls(cursor, known.get("failures", 0), known.get("run", 0), known.get("told", False))

    def save(self) -> None:
        self.cursor.value = {"failures": self.failures, "run": self.run, "told": self.is_told}
        self.cursor.save()


def _failing(run: Run) -> set[int]:
    """Ids of the run's offices for which it did not go well: of a run over several, those whose calls failed."""
    every = set(run.parameters["offices"])
    if run.state in WELL:
        return set()
    if run.state == Run.State.FAILED:
        return every
    own = {fact.office_id for fact in Account(run).facts if fact.state in NOT_DONE}
    return every & {office_id for office_id in own if office_id is not None} or every


# --- sending ----------------------------------------------------------------------------------------------------------


class Post:
    """The mails of one run. `told` are the addresses, in small letters, that got one."""

    def __init__(self, run: Run, settings: MailSettings) -> None:
        self.run = run
        self.settings = settings
        self.told: set[str] = set()
        self.offices = list(Office.objects.filter(pk__in=run.parameters.get("offices", [])))

    # --- reports

    def reports(self) -> None:
        """To the people of each office, and of a run over all offices to those who get the report over all."""
        account = Account(self.run)
        messages = [
            message
            for office in self.offices
            for message in self._reports_to(account, office, office.recipients.filter(receive_daily=True))
        ]
        if not Office.objects.filter(is_active=True).exclude(pk__in=self.run.parameters["offices"]).exists():
            combined = Recipient.objects.filter(receive_combined=True)
            if len(self.offices) == 1:  # their own report says the same
                combined = combined.exclude(office=self.offices[0], receive_daily=True)
            messages += self._reports_to(account, None, combined)
        sent = self.deliver(messages)
        if sent:
            runs.log(self.run, f"The report was sent: {len(sent):,} mails.")

    def _reports_to(
        self, account: Account, office: Office | None, recipients: Iterable[Recipient]
    ) -> list[EmailMultiAlternatives]:
        """One mail for each address and type of calls."""
        found: dict[tuple[str, str], EmailMultiAlternatives] = {}
        reports: dict[str, Report] = {}
        for recipient in recipients:
            call_type = recipient.call_type
            if call_type not in reports:
                reports[call_type] = account.report(office, call_type, self.settings.max_calls_in_detail)
            report = reports[call_type]
            if report.total or self.settings.send_empty_reports:
                context = {"report": report, "words": Recipient.CallType(call_type).label}
                subject = self._subject(f"subject_{call_type or 'combined'}", report.date)
                found.setdefault(
                    (recipient.email.lower(), call_type), self._message("report", subject, context, recipient.email)
                )
        return list(found.values())

    def _subject(self, name: str, date: str) -> str:
        """Of an emptied template the one that a new row has."""
        template: str = getattr(self.settings, name) or getattr(MailSettings(), name)
        return " ".join(template.replace("{date}", date).split())

    # --- failures

    def failures(self) -> None:
        """Counts the failures of each office in a row, and tells of the one that is too much, and of the end of it."""
        if self.run.state not in (*WELL, *ILL):
            return
        failing = _failing(self.run)
        turned: dict[bool, list[Office]] = {True: [], False: []}
        streaks: dict[int, int] = {}
        for office in self.offices:
            with transaction.atomic():
                streak = Streak.of(office)
                is_failing = office.pk in failing
                if is_failing and streak.run != self.run.pk:
                    streak.failures += 1
                elif not is_failing:
                    streak.failures = 0
                streak.run = self.run.pk
                streak.save()
            streaks[office.pk] = streak.failures
            if streak.is_told != is_failing and (not is_failing or streak.failures >= self.settings.error_threshold):
                turned[is_failing].append(office)
        if not self.run.parameters["email"]:
            return
        for is_failing, offices in turned.items():
            self._tell_failures(offices, streaks, is_failing=is_failing)

    def _tell_failures(self, offices: Sequence[Office], streaks: dict[int, int], *, is_failing: bool) -> None:
        """One mail for each address about all its offices. An office counts as told when one of its mails went out."""
        by_address: dict[str, list[Office]] = {}
        for office in offices:
            rows = Recipient.objects.filter(Q(office=office) | Q(office__isnull=True), receive_errors=True)
            for address in sorted({email.lower() for email in rows.values_list("email", flat=True)}):
                by_address.setdefault(address, []).append(office)
        if not by_address:
            return
        account = Account(self.run)
        messages = []
        for address, own in by_address.items():
            day = timezone.now().astimezone(own[0].tz).date().isoformat()
            context = {
                "is_failing": is_failing,
                "offices": [(office.name, streaks[office.pk]) for office in own],
                "reports": [account.report(office, "", self.settings.max_calls_in_detail) for office in own],
                "run": self.run,
                "url": link(self.run.get_absolute_url()),
                "trace": self.run.traceback if self.settings.include_stacktrace and is_failing else "",
            }
            subject = self._subject("subject_error", day) if is_failing else f"Call processing works again {day}"
            messages.append(self._message("failures", subject, context, address))
        reached = {message.to[0] for message in self.deliver(messages)}
        told = {office.pk: office for address in reached for office in by_address[address]}
        for office in told.values():
            with transaction.atomic():
                streak = Streak.of(office)
                streak.is_told = is_failing
                streak.save()

    def tell_starter(self) -> None:
        """Who started the run, unless a mail about it has reached them, or it is one of many that a schedule started."""
        user = self.run.requested_by
        is_usual = self.run.trigger == Run.Trigger.SCHEDULE and self.run.state in WELL
        if user is None or is_usual or user.email.lower() in self.told:
            return
        counts = {name: getattr(self.run, name) for name in ("planned", "ok", "failed", "skipped", "unknown")}
        notices.run_ended(self.run, Run.State(self.run.state), counts)

    # --- the mail itself

    def _message(self, name: str, subject: str, context: dict[str, object], address: str) -> EmailMultiAlternatives:
        text = render_to_string(f"telephony/mail/{name}.txt", context)
        message = EmailMultiAlternatives(subject, text, sender(self.settings), [address])
        message.attach_alternative(render_to_string(f"telephony/mail/{name}.html", context), "text/html")
        return message

    def deliver(self, messages: Sequence[EmailMultiAlternatives]) -> list[EmailMultiAlternatives]:
        """Sends them over one connection; returns those that the server took. The log tells of the others."""
        if not messages:
            return []
        sent: list[EmailMultiAlternatives] = []
        problems: list[str] = []
        server = server_of(self.settings)
        try:
            server.open()
            for message in messages:
                try:
                    server.send_messages([message])
                except (OSError, ValueError) as error:
                    # Its text may hold addresses.
                    problems.append(type(error).__name__)
                else:
                    sent.append(message)
        except (OSError, ValueError) as error:
            problems.append(type(error).__name__)
        finally:
            _close(server)
        if problems:
            kinds = ", ".join(sorted(set(problems)))
            _log_failure(self.run, f"{len(messages) - len(sent)} of {len(messages)} mails could not be sent ({kinds}).")
        self.told |= {address.lower() for message in sent for address in message.to}
        return sent


def _close(server: BaseEmailBackend) -> None:
    try:
        server.close()
    except OSError:
        pass  # what was to be sent is sent


def _log_failure(run: Run, words: str) -> None:
    runs.log(run, f"SMTP-001: {words} Check the mail server in the mail settings.", RunEvent.Level.WARNING)


def server_of(settings: MailSettings) -> BaseEmailBackend:
    """The mail server of the reports; without one of their own the portal's."""
    if not settings.server:
        return get_connection()
    is_implicit = settings.port == IMPLICIT_TLS_PORT
    return get_connection(
        SMTP_BACKEND, host=settings.server, port=settings.port, username=settings.username, password=settings.password,
        use_tls=settings.use_tls and not is_implicit, use_ssl=settings.use_tls and is_implicit,
        timeout=django_settings.EMAIL_TIMEOUT,
    )  # fmt: skip


def sender(settings: MailSettings) -> str:
    """The From header; without an address of the settings the portal's."""
    name, address = parseaddr(django_settings.DEFAULT_FROM_EMAIL)
    return formataddr((settings.sender_name or name, settings.sender_email or address))


class NotSent(Exception):
    """A mail that did not go out; the text says what the server answered and what to look at."""


def send_test(user: Person) -> str:
    """Sends a line to the person over the server of the reports; returns the address. Raises NotSent."""
    address = str(getattr(user, "email", "") or "")
    if not address:
        raise NotSent("Your account has no e-mail address. Enter it in the administration, then try again.")
    settings = MailSettings.load()
    mail = EmailMessage(
        "Test of the mail settings", "The reports about calls are sent with these settings.", sender(settings), [address],
        connection=server_of(settings),
    )  # fmt: skip
    try:
        mail.send()
    except smtplib.SMTPResponseException as error:
        said = redact.redact(
            error.smtp_error.decode("utf-8", "replace")
            if isinstance(error.smtp_error, bytes)
            else str(error.smtp_error)
        )
        raise NotSent(
            f"SMTP-001: the mail server answered {error.smtp_code} {said}. Check user name, password and sender."
        ) from error
    except (OSError, smtplib.SMTPException) as error:
        raise NotSent(
            f"SMTP-001: no mail could be handed over ({type(error).__name__}). Check server, port and TLS, and whether a "
            "firewall lets this server out."
        ) from error
    return address
