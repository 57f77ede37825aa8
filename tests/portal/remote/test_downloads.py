"""Files of the vendor: where they are written, how large they may be, redirects, parts, and files that are sent."""

from __future__ import annotations

import io
from collections.abc import Callable, Iterator
from typing import IO, Any

import pytest
import responses

from portal.connections import session_for
from portal.models import Connection, RatePermit, RemoteState
from portal.remote import errors
from portal.remote.session import RemoteSession, Request
from portal.remote.transport import HttpTransport, NoAnswer, Target, Timeouts
from portal.standin import Standin
from portal.standin.ringcentral.recordings import Recording
from tests.portal.remote.conftest import LOGIN_URL, Clock, OpenSession, rate_headers
from tests.portal.remote.test_transport import QUICK, get, http, serve, wire

__all__ = ["serve", "wire"]
pytestmark = pytest.mark.django_db
MEDIA = "https://media.ringcentral.com:443/restapi/v1.0/account/1/recording/2/content"
AUDIO = bytes(range(256)) * 40


class Sink:
    """Opens a new file at each call and remembers them all."""

    def __init__(self, fails: bool = False) -> None:
        self.files: list[io.BytesIO] = []
        self.fails = fails

    def __call__(self) -> IO[bytes]:
        if self.fails:
            raise OSError(28, "No space left on device")
        self.files.append(io.BytesIO())
        return self.files[-1]


def media(sink: Callable[[], IO[bytes]] | None = None, **more: Any) -> Request:
    return Request("GET", MEDIA, "rc.recording", bucket="heavy", stream=True, sink=sink, **more)


def test_the_body_is_written_where_the_caller_wants_it(
    open_phones: OpenSession, vendor: responses.RequestsMock
) -> None:
    vendor.get(MEDIA, body=AUDIO, content_type="audio/mpeg", headers=rate_headers("heavy"))
    sink = Sink()
    reply = open_phones().call(media(sink))
    assert reply.file is sink.files[0]
    assert reply.file is not None
    assert (reply.file.read(), reply.body) == (AUDIO, b"")
    assert vendor.calls[0].request.headers["Accept-Encoding"] == "identity"


def test_an_error_is_not_written(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get(MEDIA, status=404, json={"errors": [{"errorCode": "CMN-102", "message": "not found"}]})
    sink = Sink()
    with pytest.raises(errors.Rejected) as caught:
        open_phones().call(media(sink))
    assert caught.value.code == "CMN-102"
    assert sink.files == []


@pytest.mark.parametrize("announced", [True, False])
def test_a_body_larger_than_allowed_is_not_kept(
    open_phones: OpenSession, vendor: responses.RequestsMock, announced: bool
) -> None:
    vendor.get(MEDIA, body=AUDIO, auto_calculate_content_length=announced)
    sink = Sink()
    with pytest.raises(errors.Rejected) as caught:
        open_phones().call(media(sink, max_bytes=len(AUDIO) - 1))
    assert caught.value.code == "TOO_LARGE"
    assert all(file.closed for file in sink.files)
    assert len(sink.files) == (0 if announced else 1)
    assert len(vendor.calls) == 1


def test_a_body_of_exactly_the_allowed_size_is_kept(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get(MEDIA, body=AUDIO)
    reply = open_phones().call(media(Sink(), max_bytes=len(AUDIO)))
    assert reply.file is not None
    assert reply.file.read() == AUDIO


def test_a_repeated_attempt_starts_a_new_file(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get(MEDIA, body=AUDIO[:50], headers={"Content-Length": str(len(AUDIO))})
    vendor.get(MEDIA, body=AUDIO)
    sink = Sink()
    reply = open_phones().call(media(sink))
    assert reply.file is sink.files[1]
    assert sink.files[0].closed
    assert sink.files[1].read() == AUDIO


def test_a_full_disk_is_not_the_vendors_failure(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get(MEDIA, body=AUDIO)
    with pytest.raises(OSError, match="No space left"):
        open_phones().call(media(Sink(fails=True)))
    assert not RemoteState.objects.filter(failures__gt=0).exists()
    assert len(vendor.calls) == 1


def test_less_than_announced_is_no_answer(wire: HttpTransport, serve: Any) -> None:
    url = serve(http("200 OK", AUDIO)[:-10])
    file = io.BytesIO()
    with pytest.raises(NoAnswer):
        wire.send(get(url), QUICK, to_file=Target(lambda _: file, 10**6))
    assert file.closed


def test_an_endless_body_is_cut_off_by_the_total_time(wire: HttpTransport, serve: Any) -> None:
    file = io.BytesIO()
    with pytest.raises(NoAnswer, match="TotalTimeout"):
        wire.send(get(serve(http("200 OK", AUDIO))), Timeouts(2, 2, -1), to_file=Target(lambda _: file, 10**6))
    assert file.closed


def test_a_file_of_a_run_ends_before_the_lease_of_the_run(
    open_phones: OpenSession, settings: Any, vendor: responses.RequestsMock
) -> None:
    settings.REMOTE_READ_TIMEOUT_S, settings.RUN_LEASE_SECONDS = 60, 75
    assert open_phones(purpose="run")._time_limit_s(media()) == 65
    assert open_phones()._time_limit_s(media()) > 600


# --- redirects ----------------------------------------------------------------------------------------------------


def redirect(vendor: responses.RequestsMock, to: str, status: int = 302) -> None:
    vendor.get(MEDIA, status=status, headers={"Location": to})


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_vendors_hosts_is_followed(
    open_phones: OpenSession, vendor: responses.RequestsMock, status: int
) -> None:
    redirect(vendor, "https://media2.ringcentral.com/a?b=1", status)
    vendor.get("https://media2.ringcentral.com/a?b=1", status=302, headers={"Location": "/c"})
    vendor.get("https://media2.ringcentral.com/c", body=AUDIO)
    reply = open_phones().call(media())
    assert reply.file is not None
    with reply.file as file:
        assert file.read() == AUDIO
    assert vendor.calls[-1].request.headers["Authorization"] == "Bearer rc-access-token"


@pytest.mark.parametrize(
    "to",
    [
        "https://evil.example/a",
        "http://media.ringcentral.com/a",
        "//evil.example/a",
        "https://media.ringcentral.com:8443/a",
        "https://media.ringcentral.com@evil.example/",
    ],
)
def test_a_redirect_to_a_foreign_address_is_an_error(
    open_phones: OpenSession, vendor: responses.RequestsMock, to: str
) -> None:
    redirect(vendor, to)
    with pytest.raises(errors.BadReply, match="not the vendor's"):
        open_phones().call(media())
    assert len(vendor.calls) == 1


def test_redirects_without_end_are_an_error(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    redirect(vendor, MEDIA)
    with pytest.raises(errors.BadReply):
        open_phones().call(media())
    assert len(vendor.calls) == 4


def test_redirects_of_other_calls_are_not_followed(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    redirect(vendor, "https://media2.ringcentral.com/a")
    with pytest.raises(errors.BadReply):
        open_phones().call(Request("GET", MEDIA, "rc.x", bucket="heavy"))
    assert len(vendor.calls) == 1


# --- parts --------------------------------------------------------------------------------------------------------


def part(vendor: responses.RequestsMock, first: int, last: int, total: int = len(AUDIO), **more: Any) -> None:
    headers = {"Content-Range": f"bytes {first}-{last}/{total}"} | more
    vendor.get(MEDIA, status=206, body=AUDIO[first : last + 1], headers=headers)


def test_a_file_that_comes_in_parts_is_fetched_whole(
    open_phones: OpenSession, clock: Clock, vendor: responses.RequestsMock
) -> None:
    end = len(AUDIO) - 1
    part(vendor, 0, 999)
    part(vendor, 1000, 4999)
    part(vendor, 5000, end)
    sink = Sink()
    reply = open_phones().call(media(sink))
    assert reply.file is not None
    assert reply.file.read() == AUDIO
    assert len(sink.files) == 1
    assert [call.request.headers.get("Range") for call in vendor.calls] == [None, "bytes=1000-", "bytes=5000-"]
    assert RatePermit.objects.filter(bucket="heavy", free_at__gt=clock.now()).count() == 3


@pytest.mark.parametrize(("first", "last", "total"), [(100, 199, 10_240), (0, 99, 50), (0, 5, 3), (1000, 999, 10_240)])
def test_a_part_that_does_not_fit_is_an_error(
    open_phones: OpenSession, vendor: responses.RequestsMock, first: int, last: int, total: int
) -> None:
    part(vendor, first, last, total)
    sink = Sink()
    with pytest.raises(errors.BadReply):
        open_phones().call(media(sink))
    assert all(file.closed for file in sink.files)


def test_a_part_without_its_place_is_an_error(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get(MEDIA, status=206, body=AUDIO[:100])
    with pytest.raises(errors.BadReply, match="does not say which"):
        open_phones().call(media())


def test_a_file_that_is_too_large_is_known_from_its_first_part(
    open_phones: OpenSession, vendor: responses.RequestsMock
) -> None:
    part(vendor, 0, 999)
    sink = Sink()
    with pytest.raises(errors.Rejected) as caught:
        open_phones().call(media(sink, max_bytes=5000))
    assert caught.value.code == "TOO_LARGE"
    assert sink.files[0].closed


def test_a_part_that_fails_starts_the_file_anew(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    part(vendor, 0, 999)
    vendor.get(MEDIA, status=503)
    vendor.get(MEDIA, body=AUDIO)
    sink = Sink()
    reply = open_phones().call(media(sink))
    assert reply.file is sink.files[1]
    assert sink.files[1].read() == AUDIO
    assert sink.files[0].closed
    assert vendor.calls[-1].request.headers.get("Range") is None


def test_a_server_that_ignores_the_range_sends_the_whole_file_anew(
    open_phones: OpenSession, vendor: responses.RequestsMock
) -> None:
    part(vendor, 0, 999)
    vendor.get(MEDIA, body=AUDIO)
    reply = open_phones().call(media(Sink()))
    assert reply.file is not None
    assert reply.file.read() == AUDIO


def test_a_range_that_was_asked_for_is_given_as_it_is(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    part(vendor, 0, 99)
    reply = open_phones().call(media(Sink(), headers={"Range": "bytes=0-99"}))
    assert reply.file is not None
    assert (reply.status, reply.file.read()) == (206, AUDIO[:100])


def test_only_a_part_in_memory_is_an_error(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    part(vendor, 0, 99)
    with pytest.raises(errors.BadReply):
        open_phones().call(Request("GET", MEDIA, "rc.x", bucket="heavy"))


# --- files that are sent ------------------------------------------------------------------------------------------


class Spool:
    """A body made while it is read, with a length and a start."""

    def __init__(self, data: bytes) -> None:
        self._file = io.BytesIO(data)
        self._length = len(data)
        self.most_at_once = 0

    def __len__(self) -> int:
        return self._length

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(size)
        self.most_at_once = max(self.most_at_once, len(chunk))
        return chunk

    def seek(self, offset: int, whence: int = 0) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()


class Iterable(Spool):
    def __iter__(self) -> Iterator[bytes]:
        while chunk := self.read(8192):
            yield chunk


@pytest.mark.parametrize("kind", [Spool, Iterable])
def test_a_body_made_while_read_is_streamed_with_its_length_and_whole_each_time(
    kind: type[Spool], zoho: Connection, standin: Standin
) -> None:
    data = b"--b\r\nContent-Disposition: form-data; name=x\r\n\r\n" + b"a" * 300_000 + b"\r\n--b--\r\n"
    body = kind(data)
    seen: list[tuple[dict[str, str], bytes]] = []
    real = standin.handle

    def watch(method: str, url: str, headers: Any = None, sent: Any = b"", **more: Any) -> Any:
        if method == "POST" and "upload-test" in url:
            seen.append(({name.lower(): value for name, value in dict(headers).items()}, bytes(sent)))
        return real(method, url, headers, sent, **more)

    standin.handle = watch  # type: ignore[method-assign]
    request = Request(
        "POST",
        "/upload-test",
        "crm.upload",
        data=body,
        headers={"Content-Type": "multipart/form-data; boundary=b"},
        repeatable=True,
    )
    with session_for(zoho) as session:
        for _ in range(2):
            with pytest.raises(errors.RemoteError):
                session.call(request)
    assert [sent for _, sent in seen] == [data, data]
    assert seen[0][0]["content-length"] == str(len(data))
    assert seen[0][0]["content-type"] == "multipart/form-data; boundary=b"
    assert "transfer-encoding" not in seen[0][0]
    assert 0 < body.most_at_once < len(data)


# --- at the stand-in ----------------------------------------------------------------------------------------------


def test_a_recording_in_pieces_comes_whole_from_the_stand_in(ringcentral: Connection, standin: Standin) -> None:
    recording = Recording("77", duration_s=10, ready_ms=0, size=12_000)
    standin.ringcentral.recordings.by_id["77"] = recording
    standin.ringcentral.settings.media_chunk_bytes = 5000
    path = "/restapi/v1.0/account/~/recording/77/content"
    sink = Sink()
    with session_for(ringcentral) as session:
        reply = session.call(Request("GET", path, "rc.recording", bucket="heavy", sink=sink))
    assert reply.file is not None
    assert reply.file.read() == recording.body()[0]
    assert reply.headers["Content-Type"] == "audio/wav"
    assert len(sink.files) == 1


def test_logins_are_not_part_of_a_download(open_phones: OpenSession, vendor: responses.RequestsMock) -> None:
    vendor.get(MEDIA, status=401, json={"errors": [{"errorCode": "OAU-213"}]})
    vendor.get(MEDIA, body=AUDIO)
    vendor.post(LOGIN_URL, json={"access_token": "rc-new-token", "expires_in": 3600, "scope": ""})
    reply = open_phones().call(media(Sink()))
    assert reply.file is not None
    assert reply.file.read() == AUDIO


def test_sessions_close_files_of_downloads_that_were_abandoned(
    open_phones: OpenSession, vendor: responses.RequestsMock
) -> None:
    vendor.get(MEDIA, body=AUDIO)
    sink = Sink()
    session: RemoteSession = open_phones()
    stream = session.stream([media(sink)] * 3, width=2)
    _, first = next(stream)
    stream.close()
    session.close()
    assert isinstance(first, errors.RemoteError) is False
    assert [file.closed for file in sink.files].count(False) == 1
