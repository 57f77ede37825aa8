"""The exact requests to RingCentral, and what its answers become; then the same against the stand-in."""

from __future__ import annotations

import datetime as dt
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import responses
from django.utils import timezone

from portal.models import AccessToken, Connection
from portal.remote import errors
from portal.remote.session import RemoteSession, Request
from portal.standin import Standin
from telephony.folding import Directory, FoldedCall, fold, group
from telephony.models import Call, Extension
from telephony.ringcentral.client import NotAvailable, RingCentralClient, TokenExpired, stamp
from telephony.ringcentral.records import LogRow, Message, Recording
from tests.telephony import log_rows as log

pytestmark = pytest.mark.django_db

SERVER = "https://platform.ringcentral.com"
MEDIA = "https://media.ringcentral.com"
ACCOUNT = f"{SERVER}/restapi/v1.0/account/~"
SUBSCRIPTION = f"{SERVER}/restapi/v1.0/subscription"
SINCE = dt.datetime(2026, 5, 4, 12, 30, 0, 123456, tzinfo=dt.timezone(dt.timedelta(hours=2)))
UNTIL = dt.datetime(2026, 5, 5, tzinfo=dt.UTC)
NEXT = {"nextPage": {"uri": "https://platform.ringcentral.com/next"}}


@pytest.fixture(autouse=True)
def _room_in_the_buckets(settings: Any) -> None:
    for bucket in ("LIGHT", "MEDIUM", "HEAVY"):
        setattr(settings, f"RINGCENTRAL_{bucket}_PER_MINUTE", 200)


@pytest.fixture
def vendor() -> Iterator[responses.RequestsMock]:
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        yield mock


def open_client(*, read_only: bool = False) -> RingCentralClient:
    connection = Connection.objects.create(
        vendor="ringcentral", name="phones", client_id="c", client_secret="s", jwt="j", accounts_url=SERVER
    )
    AccessToken.objects.create(
        connection=connection, value="rc-token", api_domain=SERVER, generation=1, issued_at=timezone.now(),
        expires_at=timezone.now() + dt.timedelta(hours=1),
    )  # fmt: skip
    return RingCentralClient(RemoteSession(connection, read_only=read_only, sleep=lambda seconds: None))


@pytest.fixture
def client(vendor: responses.RequestsMock) -> Iterator[RingCentralClient]:
    with open_client() as client:
        yield client


@pytest.fixture
def requests(client: RingCentralClient, monkeypatch: pytest.MonkeyPatch) -> list[Request]:
    """What the client hands to the session."""
    seen: list[Request] = []
    call = client.session.call
    monkeypatch.setattr(client.session, "call", lambda request: seen.append(request) or call(request))
    return seen


def query(vendor: responses.RequestsMock, number: int = 0) -> dict[str, list[str]]:
    return parse_qs(urlsplit(str(vendor.calls[number].request.url)).query)


def refusal(code: str, message: str = "m", **more: str) -> dict[str, Any]:
    return {"errorCode": code, "message": message, "errors": [{"errorCode": code, "message": message, **more}]}


# --- call log -----------------------------------------------------------------------------------------------------------


def test_a_page_of_the_log_is_asked_for_in_utc_with_all_results_and_legs(
    client: RingCentralClient, vendor: responses.RequestsMock, requests: list[Request]
) -> None:
    row = log.row("Missed")
    vendor.get(f"{ACCOUNT}/call-log", json={"records": [row], "navigation": {}, "paging": {"page": 3, "totalPages": 9}})
    page = client.log_page(SINCE, UNTIL, 3)
    assert query(vendor) == {
        "dateFrom": ["2026-05-04T10:30:00.123Z"], "dateTo": ["2026-05-05T00:00:00.000Z"], "type": ["Voice"],
        "view": ["Detailed"], "page": ["3"], "perPage": ["1000"],
    }  # fmt: skip
    assert (page.rows, page.has_next, page.unreadable) == ([row], False, 0)
    assert [(each.endpoint, each.bucket) for each in requests] == [("calllog.list", "heavy")]


@pytest.mark.parametrize(
    ("body", "has_next"),
    [
        ({"records": [{"id": "1"}], "navigation": NEXT, "paging": {"totalPages": 1}}, True),
        ({"records": [], "navigation": NEXT}, True),
        ({"records": [{"id": "1"}], "navigation": {"firstPage": {"uri": "u"}}, "paging": {"totalPages": 7}}, False),
        ({"records": [{"id": "1"}]}, True),
        ({"records": []}, False),
    ],
    ids=str,
)
def test_only_the_link_to_the_next_page_says_that_there_is_one(
    client: RingCentralClient, vendor: responses.RequestsMock, body: dict[str, Any], has_next: bool
) -> None:
    vendor.get(f"{ACCOUNT}/call-log", json=body)
    assert client.log_page(SINCE, UNTIL, 1).has_next is has_next


@pytest.mark.parametrize("body", [{}, {"records": None}, {"records": {}}, [], "text", 7, {"message": "odd"}], ids=str)
def test_an_answer_without_rows_is_an_error_and_not_an_empty_log(
    client: RingCentralClient, vendor: responses.RequestsMock, body: Any
) -> None:
    for path in ("call-log", "call-log-extract-sync", "call-log-sync", "extension", "call-queues"):
        vendor.get(f"{ACCOUNT}/{path}", json=body)
    calls = (
        lambda: client.log_page(SINCE, UNTIL, 1), lambda: client.changes(None, SINCE), lambda: client.sync(None, SINCE),
        client.extensions, client.queues,
    )  # fmt: skip
    for call in calls:
        with pytest.raises(errors.BadReply):
            call()


def test_one_odd_entry_loses_no_other_row_of_its_page(
    client: RingCentralClient, vendor: responses.RequestsMock
) -> None:
    body = {"records": [None, log.row("Missed"), "x", {"id": None}], "navigation": {}}
    vendor.get(f"{ACCOUNT}/call-log", json=body)
    page = client.log_page(SINCE, UNTIL, 1)
    assert ([row["id"] for row in page.rows], page.unreadable) == (["row-1", None], 2)


@pytest.mark.parametrize("status", [400, 403, 500])
def test_a_page_that_fails_is_never_the_end_of_the_log(
    client: RingCentralClient, vendor: responses.RequestsMock, status: int
) -> None:
    vendor.get(f"{ACCOUNT}/call-log", status=status, json=refusal("CMN-101"))
    with pytest.raises(errors.RemoteError):
        client.log_page(SINCE, UNTIL, 2)


def feed_body(**info: Any) -> dict[str, Any]:
    return {"records": [{"id": "1"}], "syncInfo": {"syncType": "FSync", "syncToken": "t2", **info}}


def test_the_change_feed_starts_in_full_and_goes_on_with_its_token(
    client: RingCentralClient, vendor: responses.RequestsMock, requests: list[Request]
) -> None:
    vendor.get(f"{ACCOUNT}/call-log-extract-sync", json=feed_body(newerRecordsExist=True))
    first = client.changes(None, SINCE)
    client.changes("t2", SINCE)
    assert (first.rows, first.token, first.has_more) == ([{"id": "1"}], "t2", True)
    assert query(vendor) == {
        "syncType": ["FSync"], "dateFrom": ["2026-05-04T10:30:00.123Z"], "recordCount": ["1000"], "view": ["Detailed"],
    }  # fmt: skip
    assert query(vendor, 1) == {"syncType": ["ISync"], "syncToken": ["t2"]}
    assert {each.bucket for each in requests} == {"heavy"}


def test_the_older_feed_says_when_its_250_rows_are_not_all(
    client: RingCentralClient, vendor: responses.RequestsMock
) -> None:
    vendor.get(f"{ACCOUNT}/call-log-sync", json=feed_body() | {"records": [{"id": str(n)} for n in range(250)]})
    assert client.sync(None, SINCE).has_more
    assert not client.sync("t1", SINCE).has_more
    assert query(vendor)["recordCount"] == ["250"]
    assert query(vendor, 1) == {"syncType": ["ISync"], "syncToken": ["t1"], "showDeleted": ["true"]}


@pytest.mark.parametrize(
    "info", [{"syncToken": None}, {"newerRecordsExist": None}, {"newerRecordsExist": "no"}], ids=str
)
def test_a_feed_that_cannot_be_continued_is_an_error(
    client: RingCentralClient, vendor: responses.RequestsMock, info: dict[str, Any]
) -> None:
    vendor.get(f"{ACCOUNT}/call-log-extract-sync", json=feed_body(**({"newerRecordsExist": False} | info)))
    with pytest.raises(errors.BadReply):
        client.changes(None, SINCE)


@pytest.mark.parametrize(
    "body",
    [
        *(refusal(f"CLG-10{number}") for number in range(1, 6)),
        {"errorCode": "InvalidParameter", "errors": [{"errorCode": "CLG-102"}]},
        refusal("CMN-101", "syncToken is invalid [max sync record number limit is exceeded]"),
        refusal("CMN-101", parameterName="syncToken"),
    ],
    ids=str,
)
def test_a_token_that_is_over_is_told_apart(
    client: RingCentralClient, vendor: responses.RequestsMock, body: dict[str, Any]
) -> None:
    vendor.get(f"{ACCOUNT}/call-log-extract-sync", status=400, json=body)
    vendor.get(f"{ACCOUNT}/call-log-sync", status=400, json=body)
    for read in (client.changes, client.sync):
        with pytest.raises(TokenExpired):
            read("t1", SINCE)


@pytest.mark.parametrize(
    ("status", "code"), [(403, "CMN-403"), (403, "CMN-401"), (404, "CMN-102"), (400, "CMN-102"), (404, "CMN-999")]
)
def test_a_feed_that_the_account_does_not_have_is_told_apart(
    client: RingCentralClient, vendor: responses.RequestsMock, status: int, code: str
) -> None:
    vendor.get(f"{ACCOUNT}/call-log-extract-sync", status=status, json=refusal(code))
    with pytest.raises(NotAvailable) as caught:
        client.changes(None, SINCE)
    assert (caught.value.status, caught.value.code) == (status, code)


def test_any_other_refusal_of_a_feed_stays_what_it_is(
    client: RingCentralClient, vendor: responses.RequestsMock
) -> None:
    vendor.get(f"{ACCOUNT}/call-log-extract-sync", status=400, json=refusal("CMN-101", parameterName="dateFrom"))
    with pytest.raises(errors.Rejected) as caught:
        client.changes("t1", SINCE)
    assert type(caught.value) is errors.Rejected


# --- the account --------------------------------------------------------------------------------------------------------


def test_extensions_queues_and_members_are_read_to_the_last_page(
    client: RingCentralClient, vendor: responses.RequestsMock, requests: list[Request]
) -> None:
    for number in (1, 2):
        navigation = NEXT if number == 1 else {}
        vendor.get(f"{ACCOUNT}/extension", json={"records": [{"id": number, "name": "A"}], "navigation": navigation})
        vendor.get(f"{ACCOUNT}/call-queues", json={"records": [{"id": str(number)}], "navigation": navigation})
        vendor.get(f"{ACCOUNT}/call-queues/9/members", json={"records": [{"id": number}], "navigation": navigation})
    assert [row.id for row in client.extensions()] == ["1", "2"]
    assert [row.id for row in client.queues()] == ["1", "2"]
    assert client.queue_members("9") == ["1", "2"]
    assert [each.bucket for each in requests] == ["medium"] * 4 + ["light"] * 2
    assert query(vendor, 1) == {"page": ["2"], "perPage": ["1000"]}


def test_an_extension_without_id_is_no_shorter_list(client: RingCentralClient, vendor: responses.RequestsMock) -> None:
    vendor.get(f"{ACCOUNT}/extension", json={"records": [{"id": 1}, {"name": "x"}], "navigation": {}})
    with pytest.raises(errors.BadReply, match="an entry without id"):
        client.extensions()


# --- media --------------------------------------------------------------------------------------------------------------


def test_a_recording_is_fetched_where_its_row_says(client: RingCentralClient, vendor: responses.RequestsMock) -> None:
    uri = f"{MEDIA}:443/restapi/v1.0/account/1/recording/9/content"
    request = client.recording_request(Recording("9", uri, "Automatic"), io.BytesIO, 1000, tag="mine")
    assert (request.path_or_url, request.stream, request.max_bytes) == (uri, True, 1000)
    assert (request.bucket, request.endpoint, request.tag) == ("heavy", "recording.content", "mine")


def test_a_recording_of_which_only_the_id_is_known_is_on_the_media_host(client: RingCentralClient) -> None:
    request = client.recording_request(Recording("9", "", ""))
    assert request.path_or_url == f"{MEDIA}/restapi/v1.0/account/~/recording/9/content"


def test_the_token_does_not_follow_a_row_to_another_host(client: RingCentralClient) -> None:
    for uri in (
        "https://media.ringcentral.com.evil.example/9",
        "http://media.ringcentral.com/9",
        "https://evil.example/",
    ):
        with pytest.raises(errors.NotConfigured):
            client.session.call(client.recording_request(Recording("9", uri, "")))


def test_a_voicemail_is_read_where_its_row_says(
    client: RingCentralClient, vendor: responses.RequestsMock, requests: list[Request]
) -> None:
    message = Message("55", "VoiceMail", f"{SERVER}/restapi/v1.0/account/1/extension/900/message-store/55", "900")
    parts = [{"id": 77, "type": "AudioTranscription", "uri": f"{MEDIA}/t"}, {"id": 55, "type": "AudioRecording"}]
    vendor.get(message.uri, json={"id": 55, "attachments": parts, "vmTranscriptionStatus": "Completed"})
    found = client.voicemail(message)
    assert found.mailbox == "900"
    assert found.audio is not None
    assert found.audio.uri == f"{MEDIA}/restapi/v1.0/account/~/extension/900/message-store/55/content/55"
    assert found.transcript is not None
    request = client.attachment_request(found.transcript, max_bytes=7)
    assert (request.path_or_url, request.bucket, request.stream, request.max_bytes) == (f"{MEDIA}/t", "medium", True, 7)
    assert requests[0].bucket == "light"


@pytest.mark.parametrize("body", [{}, [], {"id": None}], ids=str)
def test_a_message_that_is_none_is_an_error(
    client: RingCentralClient, vendor: responses.RequestsMock, body: Any
) -> None:
    vendor.get(f"{ACCOUNT}/extension/900/message-store/55", json=body)
    with pytest.raises(errors.BadReply):
        client.voicemail(Message("55", "VoiceMail", "", "900"))


# --- webhooks -----------------------------------------------------------------------------------------------------------

TOLD = {
    "id": "ab", "status": "Active", "expirationTime": "2026-05-11T12:00:00.000Z", "eventFilters": ["/x"],
    "deliveryMode": {"transportType": "WebHook", "address": "https://example.com/hook"},
}  # fmt: skip


def test_subscriptions_are_made_renewed_listed_and_ended(
    client: RingCentralClient, vendor: responses.RequestsMock, requests: list[Request]
) -> None:
    vendor.post(SUBSCRIPTION, json=TOLD)
    vendor.post(f"{SUBSCRIPTION}/ab/renew", json=TOLD)
    vendor.get(SUBSCRIPTION, json={"records": [TOLD]})
    vendor.delete(f"{SUBSCRIPTION}/ab", status=204)
    vendor.delete(f"{SUBSCRIPTION}/gone", status=404, json=refusal("CMN-102"))

    made = client.subscribe("https://example.com/hook", ["/x"], "secret", dt.timedelta(days=1))
    assert json.loads(vendor.calls[0].request.body or "") == {
        "eventFilters": ["/x"],
        "deliveryMode": {
            "transportType": "WebHook", "address": "https://example.com/hook", "verificationToken": "secret",
        },
        "expiresIn": 86400,
    }  # fmt: skip
    assert made == client.renew("ab") == client.subscriptions()[0]
    assert (made.id, made.status, made.address) == ("ab", "Active", "https://example.com/hook")
    client.unsubscribe("ab")
    client.unsubscribe("gone")
    assert [each.bucket for each in requests] == ["medium", "light", "light", "medium", "medium"]


def test_a_subscription_whose_making_is_not_answered_is_not_made_twice(
    client: RingCentralClient, vendor: responses.RequestsMock
) -> None:
    vendor.post(SUBSCRIPTION, status=500)
    with pytest.raises(errors.Unavailable) as caught:
        client.subscribe("https://example.com/hook", ["/x"], "secret")
    assert caught.value.outcome_unknown
    assert len(vendor.calls) == 1


def test_a_read_only_client_subscribes_to_nothing(vendor: responses.RequestsMock) -> None:
    with open_client(read_only=True) as client, pytest.raises(errors.ReadOnly):
        client.subscribe("https://example.com/hook", ["/x"], "secret")
    assert len(vendor.calls) == 0


def test_times_are_written_with_z_and_milliseconds() -> None:
    assert stamp(SINCE) == "2026-05-04T10:30:00.123Z"


# --- against the stand-in -----------------------------------------------------------------------------------------------


class Phones:
    """A client whose vendor is the stand-in, with calls that began twenty minutes ago."""

    def __init__(self, standin: Standin, connection: Connection) -> None:
        self.vendor = standin.ringcentral
        self.vendor.settings.heavy_limit = self.vendor.settings.light_limit = self.vendor.settings.medium_limit = 1000
        self.script = self.vendor.script
        self.now = self.vendor.office.clock.now()
        self.at = self.now - dt.timedelta(minutes=20)
        self.client = RingCentralClient(RemoteSession(connection, sleep=lambda seconds: None))

    def rows(self, per_page: int = 1000) -> list[LogRow]:
        found: list[LogRow] = []
        page = 1
        while True:
            got = self.client.log_page(self.at - dt.timedelta(hours=1), self.now, page, per_page)
            found += [LogRow.parse(row) for row in got.rows]
            if not got.has_next:
                return found
            page += 1

    def calls(self) -> list[FoldedCall]:
        return [fold(rows, self.directory()) for rows in group(self.rows())]

    def directory(self) -> Directory:
        for row in self.client.extensions():
            kind = row.kind if row.kind in Extension.Kind.values else Extension.Kind.OTHER
            values = {"number": row.number, "name": row.name, "kind": kind}
            Extension.objects.get_or_create(connection=self.client.session.connection, rc_id=row.id, defaults=values)
        return Directory.load(self.client.session.connection)

    def number_of(self, extension_id: str) -> str:
        return self.vendor.people.by_id[extension_id].number if extension_id else ""


@pytest.fixture
def phones(standin: Standin, ringcentral: Connection) -> Iterator[Phones]:
    found = Phones(standin, ringcentral)
    with found.client:
        yield found


SCENARIOS: list[tuple[str, dict[str, Any], str, str]] = [
    ("accepted", {}, "accepted", "101"),
    ("accepted", {"agent": "103", "recorded": True}, "accepted", "103"),
    ("missed", {}, "missed", ""),
    ("queue_answered", {"agent": "104"}, "accepted", "104"),
    ("queue_missed", {}, "missed", ""),
    ("queue_missed", {"result": "Accepted"}, "missed", ""),
    ("voicemail", {}, "voicemail", ""),
    ("voicemail", {"queue": "201"}, "voicemail", ""),
    ("voicemail", {"result": "Missed", "on": "leg"}, "voicemail", ""),
    ("outbound", {}, "outbound", ""),
    ("outbound", {"connected": False}, "outbound_failed", ""),
    ("ringout", {}, "outbound", ""),
    ("blind_transfer", {}, "accepted", "102"),
    ("blind_transfer", {"rows": 2}, "accepted", "102"),
    ("warm_transfer", {}, "accepted", "102"),
    ("several_recordings", {}, "accepted", "103"),
    ("in_progress", {"duration": 7200}, "in_progress", ""),
    ("internal", {}, "internal", ""),
    ("forwarded_to_mobile", {}, "accepted", "101"),
    ("forwarded_to_mobile", {"answered": False}, "missed", ""),
    ("menu_hangup", {}, "missed", ""),
    ("blocked", {}, "blocked", ""),
    ("anonymous", {}, "accepted", "101"),
    ("anonymous", {"result": "Missed"}, "missed", ""),
    ("masked", {}, "accepted", "101"),
    ("with_result", {"result": "Answered Elsewhere"}, "unclear", ""),
    ("with_result", {"result": "Teleported"}, "unclear", ""),
    ("with_result", {"result": "IP Phone Offline"}, "missed", ""),
]


@pytest.mark.parametrize(("scenario", "options", "outcome", "agent"), SCENARIOS, ids=str)
def test_each_scenario_is_one_call_with_its_outcome(
    phones: Phones, scenario: str, options: dict[str, Any], outcome: str, agent: str
) -> None:
    made = getattr(phones.script, scenario)(phones.at, **options)
    (call,) = phones.calls()
    assert (call.outcome, phones.number_of(call.answered_by_id)) == (outcome, agent)
    assert set(call.keys) == set(made.sessions)
    assert {medium.id for medium in call.recordings} == set(made.recordings)
    assert {medium.id for medium in call.voicemails} == set(made.messages)
    assert call.unknown_ids == ()


def test_a_conference_joins_no_callers(phones: Phones) -> None:
    phones.script.conference(phones.at, telephony=False)
    assert [call.outcome for call in phones.calls()] == [Call.Outcome.NOT_A_CALL] * 2


def test_a_fax_is_not_in_the_log_of_calls(phones: Phones) -> None:
    phones.script.fax(phones.at)
    assert phones.calls() == []


def test_six_hundred_calls_without_totals_are_six_hundred(phones: Phones) -> None:
    made = phones.script.many(phones.at - dt.timedelta(minutes=30), count=600)
    assert {row.id for row in phones.rows(per_page=250)} == set(made.rows)


def test_the_feeds_of_the_stand_in(phones: Phones) -> None:
    first = phones.script.accepted(phones.at)
    since = phones.at - dt.timedelta(hours=1)
    for read in (phones.client.changes, phones.client.sync):
        full = read(None, since)
        assert first.row in {row["id"] for row in full.rows}
        assert not read(full.token, since).rows
        phones.vendor.sync.expire_tokens()
        with pytest.raises(TokenExpired):
            read(full.token, since)
    for status in (403, 404):
        phones.vendor.settings.extract_sync_status = status
        with pytest.raises(NotAvailable):
            phones.client.changes(None, since)


def test_media_of_the_stand_in(phones: Phones) -> None:
    phones.script.accepted(phones.at, recorded=True)
    phones.script.voicemail(phones.at, mailbox="105")
    calls = phones.calls()
    (tape,) = (medium for call in calls for medium in call.recordings)
    (message,) = (medium for call in calls for medium in call.voicemails)
    reply = phones.client.session.call(phones.client.recording_request(Recording(tape.id, tape.uri, tape.kind)))
    assert reply.file is not None
    with reply.file:
        assert reply.file.read(4) == b"RIFF"
    found = phones.client.voicemail(Message(message.id, message.kind, message.uri, message.mailbox))
    assert phones.number_of(found.mailbox) == "105"
    assert found.audio is not None
    assert found.transcript is not None
    reply = phones.client.session.call(phones.client.attachment_request(found.transcript))
    assert reply.file is not None
    with reply.file:
        assert reply.file.read().startswith(b"Hello")


def test_people_and_queues_of_the_stand_in(phones: Phones) -> None:
    directory = phones.directory()
    queues = {queue.number: queue for queue in phones.client.queues()}
    assert sorted(queues) == ["201", "202", "203"]
    assert all(directory.is_queue(queue.id) for queue in queues.values())
    assert sorted(map(phones.number_of, phones.client.queue_members(queues["202"].id))) == ["105", "106", "107"]
