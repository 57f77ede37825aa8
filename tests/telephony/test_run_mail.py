"""The mails of a run over calls: who gets which report, what it says, and word of offices that keep failing."""

from __future__ import annotations

import base64
import datetime as dt
import email
import email.policy
import socketserver
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core import mail
from django.utils import timezone

from portal import run_account, runs
from portal.models import Run, RunItem
from telephony import call_sync, run_mail, run_page
from telephony.models import MailSettings, Office, Recipient
from tests.telephony.conftest import ago
from tests.telephony.made_calls import make_call, make_office, make_step

NEW, OTHER = "+12155550142", "+12155550143"
NIGHT = dt.datetime(2026, 3, 9, 6, 30, tzinfo=dt.UTC)  # 23:30 of 8 March in California, 15:30 of 9 March in Tokyo


@pytest.fixture
def sync(sync: Callable[..., Run], django_capture_on_commit_callbacks: Any) -> Callable[..., Run]:
    """A run to its end, and what follows its commit."""

    def run(**options: Any) -> Run:
        with django_capture_on_commit_callbacks(execute=True):
            return sync(**options)

    return run


@pytest.fixture
def mails(db: None) -> MailSettings:
    return MailSettings.load()


def sent() -> dict[str, Any]:
    """The mails that went out, by address; no address got two."""
    found = {message.to[0]: message for message in mail.outbox}
    assert len(found) == len(mail.outbox)
    return found


def html_of(message: Any) -> str:
    ((content, kind),) = message.alternatives
    assert kind == "text/html"
    return content


def made_run(*offices: Office, state: str = "finished", **values: Any) -> Run:
    """A closed run over the offices, of the day before NIGHT."""
    window = {"since": (NIGHT - dt.timedelta(days=1)).isoformat(), "until": NIGHT.isoformat()}
    parameters = {
        "offices": [office.pk for office in offices], "types": ["accepted", "missed"], "dry_run": False, "email": True,
        "window": window,
    }  # fmt: skip
    parameters |= values.pop("parameters", {})
    return Run.objects.create(kind=call_sync.KIND, title="Calls", state=state, parameters=parameters, **values)


def add_item(run: Run, call: Any, state: str = "ok", code: str = "DONE", message: str = "") -> None:
    position = run.items.count()
    RunItem.objects.create(run=run, position=position, key=str(call.pk), state=state, code=code, message=message)
    runs.refresh_counts(run)


# --- from a run to a mail ---------------------------------------------------------------------------------------------


def test_after_a_run_the_people_of_the_office_get_its_report(sync, standin, phones, owners, office, settings):
    settings.PUBLIC_URL = "https://portal.example.com/"
    Recipient.objects.create(office=office, email="ana@example.com")
    Recipient.objects.create(office=office, email="errors@example.com", receive_daily=False, receive_errors=True)
    phones.accepted(ago(hours=3), caller=NEW, recorded=True)
    phones.missed(ago(hours=2), caller=OTHER)
    phones.anonymous(ago(hours=1))
    run = sync()
    message = sent()["ana@example.com"]
    assert list(sent()) == ["ana@example.com"]
    assert message.subject == f"Calls {timezone.now().astimezone(office.tz).date()}"
    for words in (
        "Processed: 2", "Accepted: 1", "Missed: 1", "Lead: 2", "Note: 2", "Recording: 1", "Not processed: 1", "NO_NUMBER: 1",
        "Failed: 0", f"https://portal.example.com/runs/{run.pk}/", "+1 215-555-0142", "Calls (3 of 3)",
    ):  # fmt: skip
        assert words in message.body, words
    assert "Calls (3 of 3)" in html_of(message)
    assert run.events.filter(message__contains="The report was sent").exists()


def test_the_numbers_of_the_report_are_those_of_the_runs_page(sync, standin, phones, owners, office):
    for place in range(3):
        phones.accepted(ago(hours=9 - place), caller=f"+1215555{place:04}", recorded=True)
    phones.voicemail(ago(hours=3), caller=NEW)
    phones.anonymous(ago(hours=2))
    phones.internal(ago(hours=1))
    run = sync()
    report = run_mail.Account(run).report(None, "", 50)
    counts = {each.value: each.count for each in run_account.state_counts(run)}
    assert (report.total, report.processed_count) == (counts[""], counts["ok"])
    assert (report.skipped_count, report.failed_count) == (counts["skipped"], counts["failed"] + counts["unknown"])
    told = {(reason.code, reason.count) for reason in (*report.skipped, *report.failed)}
    assert told == {(reason.code, reason.count) for reason in run_account.reasons_of(run)}
    facts = dict(run_page.page(run)["facts"])
    assert report.written == [(kind, int(facts[f"{kind} written"])) for kind, _ in report.written]
    assert {kind for kind, _ in report.written} >= {"Lead", "Note", "Recording", "Voicemail"}


@pytest.mark.parametrize("options", [{"email": False}, {"dry_run": True}])
def test_a_dry_run_and_one_without_mail_send_none(sync, phones, owners, office, options):
    Recipient.objects.create(office=office, email="ana@example.com", receive_errors=True, receive_combined=True)
    phones.accepted(ago(hours=2), caller=NEW)
    sync(**options)
    assert mail.outbox == []


def test_a_run_without_calls_sends_nothing_unless_that_is_wanted(sync, phones, owners, office, mails):
    Recipient.objects.create(office=office, email="ana@example.com")
    sync()
    assert mail.outbox == []
    MailSettings.objects.update(send_empty_reports=True)
    sync()
    assert "Processed: 0" in sent()["ana@example.com"].body


def test_who_started_a_long_run_is_told_once(sync, phones, owners, office, person, monkeypatch):
    monkeypatch.setattr("portal.notices.LONG", dt.timedelta(0))
    olga = person("Operator", email="olga@example.com")
    phones.accepted(ago(hours=2), caller=NEW)
    sync(user=olga)
    assert "Finished: run" in sent()["olga@example.com"].subject
    mail.outbox.clear()
    Recipient.objects.create(office=office, email="Olga@example.com")
    phones.accepted(ago(hours=1), caller=OTHER)
    sync(user=olga)
    (message,) = mail.outbox
    assert message.subject.startswith("Calls ")


def test_the_good_runs_of_a_schedule_do_not_fill_its_owners_mailbox(office, person):
    olga = person("Operator", email="olga@example.com")
    run_mail.ended(made_run(office, requested_by=olga, trigger="schedule"))
    assert mail.outbox == []
    run_mail.ended(made_run(office, requested_by=olga, trigger="schedule", state="failed"))
    assert "Failed: run" in sent()["olga@example.com"].subject


# --- who gets what ----------------------------------------------------------------------------------------------------


def two_offices() -> tuple[Office, Office, Run]:
    """A run over both: one call accepted and one missed in the first office, one accepted in the second."""
    west, east = make_office("oakland"), make_office("tokyo", zone="Asia/Tokyo", name="Tokyo", order=2)
    run = made_run(west, east)
    for office, outcome in ((west, "accepted"), (west, "missed"), (east, "accepted")):
        call = make_call(office, outcome=outcome)
        add_item(run, call)
        make_step(call, "note", run=run)
    return west, east, run


@pytest.mark.django_db
def test_each_address_gets_the_report_of_its_office_and_type_under_its_subject() -> None:
    west, east, run = two_offices()
    for name, office, values in (
        ("all", west, {}),
        ("accepted", west, {"call_type": "accepted"}),
        ("missed", west, {"call_type": "missed"}),
        ("tokyo", east, {}),
        ("tokyo-missed", east, {"call_type": "missed"}),
        ("combined", None, {"receive_combined": True}),
        ("nothing", west, {"receive_daily": False}),
    ):
        Recipient.objects.create(office=office, email=f"{name}@example.com", **values)
    run_mail.ended(run)
    told = {
        address.split("@")[0]: (message.subject, message.body.split("Processed: ")[1][0], message.body.split(":")[0])
        for address, message in sent().items()
    }
    assert told == {
        "all": ("Calls 2026-03-08", "2", "Oakland"),
        "accepted": ("Accepted calls 2026-03-08", "1", "Oakland"),
        "missed": ("Missed calls 2026-03-08", "1", "Oakland"),
        "tokyo": ("Calls 2026-03-09", "1", "Tokyo"),
        "combined": ("Calls 2026-03-09", "3", "All offices"),
    }


@pytest.mark.django_db
def test_the_period_stands_in_the_clock_of_the_office() -> None:
    west, east, run = two_offices()
    Recipient.objects.create(office=west, email="west@example.com")
    Recipient.objects.create(office=east, email="east@example.com")
    run_mail.ended(run)
    assert "from 2026-03-07 22:30 (UTC-08:00) to 2026-03-08 23:30 (UTC-07:00)" in sent()["west@example.com"].body
    assert "from 2026-03-08 15:30 (UTC+09:00) to 2026-03-09 15:30 (UTC+09:00)" in sent()["east@example.com"].body
    assert "2026-03-10 11:00 (UTC-07:00), Inbound, accepted" in sent()["west@example.com"].body
    assert "2026-03-11 03:00 (UTC+09:00), Inbound, accepted" in sent()["east@example.com"].body


@pytest.mark.django_db
def test_a_range_that_ends_at_midnight_is_of_the_day_before() -> None:
    west = make_office()
    midnight = dt.datetime(2026, 3, 9, 7, tzinfo=dt.UTC)
    window = {"since": (midnight - dt.timedelta(hours=23)).isoformat(), "until": midnight.isoformat()}
    report = run_mail.Account(made_run(west, parameters={"window": window})).report(west, "", 1)
    assert report.date == "2026-03-08"


@pytest.mark.django_db
def test_the_combined_report_needs_a_run_over_all_offices() -> None:
    west, _, _ = two_offices()
    Recipient.objects.create(email="all@example.com", receive_combined=True)
    run = made_run(west)
    add_item(run, make_call(west))
    run_mail.ended(run)
    assert mail.outbox == []


@pytest.mark.django_db
def test_no_more_calls_are_told_one_by_one_than_the_settings_say(mails: MailSettings) -> None:
    MailSettings.objects.update(max_calls_in_detail=2)
    west = make_office()
    Recipient.objects.create(office=west, email="ana@example.com")
    run = made_run(west)
    for _ in range(5):
        add_item(run, make_call(west))
    run_mail.ended(run)
    body = sent()["ana@example.com"].body
    assert "Processed: 5" in body
    assert "Calls (2 of 5)" in body
    assert body.count("Inbound, accepted") == 2


@pytest.mark.django_db
def test_failures_stand_with_code_remedy_and_address(settings: Any) -> None:
    settings.PUBLIC_URL = "https://portal.example.com"
    west = make_office()
    Recipient.objects.create(office=west, email="ana@example.com")
    run = made_run(west, state="finished_with_errors")
    call = make_call(west)
    add_item(run, call, "failed", "NO_OFFICE", "None of its extensions belongs to an office.")
    run_mail.ended(run)
    body = sent()["ana@example.com"].body
    assert "NO_OFFICE: 1. None of the extensions" in body
    assert "Assign the extension to an office" in body
    assert f"https://portal.example.com/calls/{call.pk}/" in body


@pytest.mark.django_db
def test_what_a_caller_is_called_is_text_and_no_markup() -> None:
    west = make_office()
    Recipient.objects.create(office=west, email="ana@example.com")
    run = made_run(west)
    add_item(run, make_call(west, name_told="Bob <script>alert(1)</script> & Co", number="", number_told="<b>5</b>"))
    run_mail.ended(run)
    message = sent()["ana@example.com"]
    assert "<script>" in message.body
    assert "<script>" not in html_of(message)
    assert "<b>" not in html_of(message)
    assert "&lt;script&gt;" in html_of(message)


@pytest.mark.django_db
def test_a_subject_of_several_lines_is_one_line_and_an_empty_one_the_usual_one(mails: MailSettings) -> None:
    MailSettings.objects.update(subject_combined="Report\nBcc: x@example.com {date}", subject_missed="")
    west = make_office()
    Recipient.objects.create(office=west, email="ana@example.com")
    Recipient.objects.create(office=west, email="ben@example.com", call_type="missed")
    run = made_run(west)
    add_item(run, make_call(west, outcome="missed"))
    run_mail.ended(run)
    assert sent()["ana@example.com"].subject == "Report Bcc: x@example.com 2026-03-08"
    assert sent()["ben@example.com"].subject == "Missed calls 2026-03-08"


# --- offices that keep failing ----------------------------------------------------------------------------------------


def failing(office: Office, *more: Office, **values: Any) -> Run:
    defaults: dict[str, Any] = {"state": "failed", "error": "RingCentral refuses.", "traceback": "Traceback: line 7"}
    return made_run(office, *more, **defaults | values)


@pytest.mark.django_db
def test_from_the_third_failure_in_a_row_on_it_is_told_once_and_once_that_it_works_again() -> None:
    west = make_office()
    Recipient.objects.create(office=west, email="it@example.com", receive_daily=False, receive_errors=True)
    Recipient.objects.create(office=west, email="daily@example.com")
    told = []
    for state in (
        "failed",
        "finished",
        "failed",
        "finished_with_errors",
        "failed",
        "failed",
        "stopped",
        "finished",
        "finished",
    ):
        run_mail.ended(failing(west, state=state))
        told.append([(message.subject[:21], message.to) for message in mail.outbox])
        mail.outbox.clear()
    fails, works = (
        ("Call processing failed"[:21], ["it@example.com"]),
        ("Call processing works"[:21], ["it@example.com"]),
    )
    assert told == [[], [], [], [], [fails], [], [], [works], []]


@pytest.mark.django_db
def test_a_run_that_ends_twice_counts_once() -> None:
    west = make_office()
    Recipient.objects.create(office=west, email="it@example.com", receive_errors=True)
    run = failing(west)
    for _ in range(3):
        run_mail.ended(run)
    assert mail.outbox == []


@pytest.mark.django_db
@pytest.mark.parametrize("with_trace", [True, False])
def test_the_trace_is_sent_only_where_that_is_wanted(mails: MailSettings, with_trace: bool) -> None:
    MailSettings.objects.update(error_threshold=1, include_stacktrace=with_trace)
    west = make_office()
    Recipient.objects.create(office=west, email="it@example.com", receive_errors=True)
    run_mail.ended(failing(west))
    message = sent()["it@example.com"]
    assert "RingCentral refuses." in message.body
    assert ("Traceback: line 7" in message.body) == ("Traceback: line 7" in html_of(message)) == with_trace


@pytest.mark.django_db
def test_of_a_run_over_several_offices_only_the_one_whose_calls_failed_counts(mails: MailSettings) -> None:
    MailSettings.objects.update(error_threshold=1)
    west, east = make_office("oakland"), make_office("tokyo", name="Tokyo")
    for office in (west, east):
        Recipient.objects.create(
            office=office, email=f"{office.slug}@example.com", receive_daily=False, receive_errors=True
        )
    Recipient.objects.create(email="it@example.com", receive_daily=False, receive_errors=True)
    run = made_run(west, east, state="finished_with_errors")
    add_item(run, make_call(west))
    add_item(run, make_call(east), "failed", "INVALID_DATA")
    run_mail.ended(run)
    assert sorted(sent()) == ["it@example.com", "tokyo@example.com"]
    assert "Tokyo: 1 run in a row" in sent()["it@example.com"].body
    assert "Oakland" not in sent()["it@example.com"].body


@pytest.mark.django_db
def test_who_answers_for_all_offices_gets_one_mail_about_them(mails: MailSettings) -> None:
    MailSettings.objects.update(error_threshold=1)
    west, east = make_office("oakland"), make_office("tokyo", name="Tokyo")
    Recipient.objects.create(email="it@example.com", receive_daily=False, receive_errors=True)
    run_mail.ended(failing(west, east))
    body = sent()["it@example.com"].body
    assert "Oakland: 1 run in a row" in body
    assert "Tokyo: 1 run in a row" in body


@pytest.mark.django_db
def test_a_failure_without_mail_counts_and_is_told_by_the_next_one_with_mail(mails: MailSettings) -> None:
    MailSettings.objects.update(error_threshold=2)
    west = make_office()
    Recipient.objects.create(office=west, email="it@example.com", receive_errors=True)
    run_mail.ended(failing(west, parameters={"email": False}))
    run_mail.ended(failing(west, parameters={"email": False}))
    assert mail.outbox == []
    run_mail.ended(failing(west))
    assert "3 runs in a row" in sent()["it@example.com"].body


# --- the mail server --------------------------------------------------------------------------------------------------


class _Handler(socketserver.StreamRequestHandler):
    """One SMTP session: enough of RFC 5321 for a client that behaves."""

    server: SmtpServer

    def handle(self) -> None:
        self._say("220 loopback")
        while line := self.rfile.readline().decode().strip():
            verb = line.split(" ", 1)[0].upper()
            if verb == "DATA":
                self._say("354 go on")
                self.server.messages.append(self._content())
                self._say("250 taken")
            elif verb == "STARTTLS":
                self._say("220 ready")
                self._begin_tls()
            elif verb == "AUTH":
                self.server.logins.append(base64.b64decode(line.split()[2]).decode())
                self._say("235 welcome" if self.server.takes_login else "535 wrong password")
            elif verb == "RCPT" and "refused@" in line:
                self._say("550 no such mailbox")
            elif verb == "QUIT":
                self._say("221 bye")
                return
            elif verb == "EHLO":
                self._say("\r\n".join(["250-loopback", *(f"250-{each}" for each in self.server.abilities), "250 HELP"]))
            else:
                self._say("250 fine")

    def _say(self, line: str) -> None:
        self.wfile.write(f"{line}\r\n".encode())

    def _content(self) -> Any:
        lines = []
        while (line := self.rfile.readline()) != b".\r\n":
            lines.append(line)
        return email.message_from_bytes(b"".join(lines), policy=email.policy.default)

    def _begin_tls(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.server.certificate)
        self.connection = context.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.server.is_encrypted = True

    def finish(self) -> None:
        super().finish()
        self.connection.close()


class SmtpServer(socketserver.ThreadingTCPServer):
    """On a free port of the loopback interface. `abilities`: what it offers, such as STARTTLS."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.messages: list[Any] = []
        self.logins: list[str] = []
        self.abilities: list[str] = ["AUTH PLAIN"]
        self.takes_login = True
        self.certificate = ""
        self.is_encrypted = False


@pytest.fixture
def smtp() -> Iterator[SmtpServer]:
    with SmtpServer() as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def mail_server(mails: MailSettings, smtp: SmtpServer) -> MailSettings:
    """The settings name the loopback server, without TLS and login."""
    mails.server, mails.port, mails.use_tls = "localhost", smtp.server_address[1], False
    mails.sender_email, mails.sender_name = "calls@example.com", "Calls, Oakland"
    mails.save()
    return mails


def reported(*addresses: str) -> Run:
    """The end of a run with one call, of which these people are told."""
    west = make_office(f"office-{Office.objects.count()}")
    for address in addresses:
        Recipient.objects.create(office=west, email=address)
    run = made_run(west)
    add_item(run, make_call(west))
    run_mail.ended(run)
    return run


def troubles(run: Run) -> list[str]:
    return [event.message for event in run.events.all() if event.message.startswith("SMTP-001")]


def test_the_settings_own_server_carries_the_mail_from_their_sender(
    smtp: SmtpServer, mail_server: MailSettings
) -> None:
    run = reported("ana@example.com", "ben@example.com")
    assert mail.outbox == []
    assert sorted(message["To"] for message in smtp.messages) == ["ana@example.com", "ben@example.com"]
    assert smtp.messages[0]["From"] == '"Calls, Oakland" <calls@example.com>'
    assert smtp.messages[0].get_content_type() == "multipart/alternative"
    assert (smtp.logins, troubles(run)) == ([], [])


def test_without_an_own_server_the_portals_is_used_and_its_sender(mails: MailSettings, settings: Any) -> None:
    settings.DEFAULT_FROM_EMAIL = "Portal <portal@example.com>"
    reported("ana@example.com")
    assert sent()["ana@example.com"].from_email == "Portal <portal@example.com>"


@pytest.fixture
def certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """File with key and certificate of localhost, which clients of this process trust."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = dt.datetime.now(dt.UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - dt.timedelta(days=1))
        .not_valid_after(now + dt.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = tmp_path / "localhost.pem"
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file.write_bytes(secret + made.public_bytes(serialization.Encoding.PEM))
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    return str(file)


def test_login_goes_over_tls(smtp: SmtpServer, mail_server: MailSettings, certificate: str) -> None:
    smtp.certificate, smtp.abilities = certificate, ["STARTTLS", "AUTH PLAIN"]
    mail_server.use_tls, mail_server.username, mail_server.password = True, "calls", "geheim"
    mail_server.save()
    run = reported("ana@example.com")
    assert troubles(run) == []
    assert (len(smtp.messages), smtp.is_encrypted, smtp.logins) == (1, True, ["\0calls\0geheim"])


def test_a_server_without_tls_gets_neither_password_nor_mail(smtp: SmtpServer, mail_server: MailSettings) -> None:
    mail_server.use_tls, mail_server.username, mail_server.password = True, "calls", "geheim"
    mail_server.save()
    run = reported("ana@example.com")
    assert (smtp.messages, smtp.logins) == ([], [])
    assert len(troubles(run)) == 1


def test_a_refused_login_leaves_the_run_as_it_was_and_is_told_without_secrets(
    smtp: SmtpServer, mail_server: MailSettings
) -> None:
    smtp.takes_login = False
    mail_server.username, mail_server.password = "calls", "geheim"
    mail_server.save()
    run = reported("ana@example.com")
    run.refresh_from_db()
    assert run.state == Run.State.FINISHED
    (words,) = troubles(run)
    assert words.startswith("SMTP-001: 1 of 1 mails could not be sent (SMTPAuthenticationError).")
    assert "geheim" not in words
    assert "ana@" not in words


def test_one_refused_address_does_not_keep_the_mail_from_the_others(
    smtp: SmtpServer, mail_server: MailSettings
) -> None:
    run = reported("refused@example.com", "sam@example.com")
    assert [message["To"] for message in smtp.messages] == ["sam@example.com"]
    assert "1 of 2 mails" in troubles(run)[0]
    assert "example.com" not in troubles(run)[0]


def test_a_server_that_is_down_is_told_in_the_log_and_asked_again_by_the_next_failure(
    mails: MailSettings, smtp: SmtpServer
) -> None:
    west = make_office()
    Recipient.objects.create(office=west, email="it@example.com", receive_daily=False, receive_errors=True)
    MailSettings.objects.update(server="localhost", port=1, use_tls=False, error_threshold=1)
    run = failing(west)
    run_mail.ended(run)
    assert "SMTP-001: 1 of 1 mails could not be sent (ConnectionRefusedError)" in troubles(run)[0]
    MailSettings.objects.update(port=smtp.server_address[1])
    run_mail.ended(failing(west))
    assert [message["To"] for message in smtp.messages] == ["it@example.com"]


def test_a_password_that_no_key_opens_is_told_in_the_log(mail_server: MailSettings) -> None:
    from django.db import connection as database

    with database.cursor() as cursor:
        cursor.execute("UPDATE telephony_mailsettings SET password = 'f1:damaged'")
    run = reported("ana@example.com")
    assert "cannot be decrypted" in troubles(run)[0]


# --- the engine's part ------------------------------------------------------------------------------------------------


def test_what_goes_wrong_after_the_end_changes_nothing_of_it(
    sync: Callable[..., Run], phones: Any, owners: Any, office: Office, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(run: Run) -> None:
        raise ValueError("no mail today")

    monkeypatch.setattr(call_sync, "ended", broken)
    phones.accepted(ago(hours=2), caller=NEW)
    run = sync()
    run.refresh_from_db()
    assert (run.state, run.error) == (Run.State.FINISHED, "")


# --- the test mail ----------------------------------------------------------------------------------------------------


def test_a_test_mail_goes_to_who_asks_for_it(login, mailoutbox, db):
    client = login("Administrator", email="admin@office.example")
    page = client.post("/calls/offices/test-mail/", follow=True).content.decode()
    assert "A test mail is on its way to admin@office.example." in page
    assert [mail.to for mail in mailoutbox] == [["admin@office.example"]]


def test_a_test_mail_that_fails_says_what_to_look_at(login, db):
    MailSettings.objects.create(server="127.0.0.1", port=1, use_tls=False)
    page = login("Administrator", email="admin@office.example").post("/calls/offices/test-mail/", follow=True)
    assert "SMTP-001" in page.content.decode()
    assert "firewall" in page.content.decode()


def test_who_has_no_address_is_told_so(login, db):
    page = login("Administrator").post("/calls/offices/test-mail/", follow=True).content.decode()
    assert "no e-mail address" in page
