from __future__ import annotations

import io
import socket
import threading
from collections.abc import Callable, Iterator

import pytest
import requests

from portal.remote import transport as module
from portal.remote.transport import HttpTransport, NoAnswer, NotSent, Target, Timeouts

QUICK = Timeouts(connect_s=2, read_s=2, total_s=4)
Serve = Callable[[bytes], str]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Answers each connection with these bytes and closes it."""
    listener = socket.create_server(("127.0.0.1", 0))

    def start(raw: bytes) -> str:
        def loop() -> None:
            while True:
                try:
                    peer, _ = listener.accept()
                except OSError:
                    return
                with peer:
                    peer.recv(65536)
                    peer.sendall(raw)

        threading.Thread(target=loop, daemon=True).start()
        return f"http://127.0.0.1:{listener.getsockname()[1]}"

    yield start
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()


@pytest.fixture
def wire() -> Iterator[HttpTransport]:
    transport = HttpTransport(2)
    yield transport
    transport.close()


def get(url: str) -> requests.PreparedRequest:
    return requests.Request("GET", url).prepare()


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    head = "\r\n".join([f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", "Connection: close", *headers])
    return head.encode() + b"\r\n\r\n" + body


def test_a_refused_connection_was_not_sent(wire: HttpTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    with pytest.raises(NotSent):
        wire.send(get(f"http://127.0.0.1:{port}/x?phone=1"), QUICK)


def test_a_dropped_connection_may_have_been_sent(wire: HttpTransport, serve: Serve) -> None:
    with pytest.raises(NoAnswer) as caught:
        wire.send(get(serve(b"") + "/x?phone=415"), QUICK)
    assert "415" not in str(caught.value)


def test_half_an_answer_is_no_answer(wire: HttpTransport, serve: Serve) -> None:
    with pytest.raises(NoAnswer):
        wire.send(get(serve(http("200 OK", b"0123456789")[:-4])), QUICK)


def test_what_is_not_http_is_no_answer(wire: HttpTransport, serve: Serve) -> None:
    with pytest.raises(NoAnswer):
        wire.send(get(serve(b"\x00\x01\x02 not http\r\n\r\n")), QUICK)


def test_a_silent_server_ends_in_a_time_out(wire: HttpTransport) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener, pytest.raises(NoAnswer):
        wire.send(get(f"http://127.0.0.1:{listener.getsockname()[1]}"), Timeouts(1, 0.05, 1))


def test_a_body_that_never_ends_is_cut_off_by_the_total_time(wire: HttpTransport, serve: Serve) -> None:
    url = serve(http("200 OK", b"x" * 10))
    with pytest.raises(NoAnswer, match="TotalTimeout"):
        wire.send(get(url), Timeouts(2, 2, total_s=-1))


def test_the_body_of_an_error_is_bounded(wire: HttpTransport, serve: Serve) -> None:
    answer = wire.send(get(serve(http("500 Oops", b"x" * (module.ERROR_BODY_LIMIT + 5000)))), QUICK)
    assert (answer.status, len(answer.body), answer.truncated) == (500, module.ERROR_BODY_LIMIT, True)


def test_the_error_of_a_download_is_not_put_into_the_file(wire: HttpTransport, serve: Serve) -> None:
    answer = wire.send(
        get(serve(http("404 Not Found", b'{"code":"X"}'))), QUICK, to_file=Target(lambda _: io.BytesIO(), 1000)
    )
    assert (answer.file, answer.body) == (None, b'{"code":"X"}')


def test_redirects_are_answers(wire: HttpTransport, serve: Serve) -> None:
    assert wire.send(get(serve(http("302 Found", b"", "Location: http://127.0.0.1:1/"))), QUICK).status == 302


def test_proxies_of_the_environment_are_ignored(
    wire: HttpTransport, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    assert wire.send(get(serve(http("200 OK"))), QUICK).status == 200


def test_cookies_are_not_kept(wire: HttpTransport, serve: Serve) -> None:
    wire.send(get(serve(http("200 OK", b"", "Set-Cookie: session=1; Path=/"))), QUICK)
    assert not list(wire._session.cookies)


def test_calls_to_the_vendors_go_through_the_proxy_that_is_set(settings):
    heard: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as proxy:

        def answer() -> None:
            connection, _ = proxy.accept()
            with connection:
                heard.append(connection.recv(4096))
                connection.sendall(b"HTTP/1.1 403 Forbidden\r\n\r\n")

        listener = threading.Thread(target=answer)
        listener.start()
        settings.OUTGOING_PROXY = f"http://127.0.0.1:{proxy.getsockname()[1]}"
        transport = HttpTransport(1)
        prepared = requests.Request("GET", "https://platform.ringcentral.com/restapi").prepare()
        with pytest.raises((NotSent, NoAnswer)):
            transport.send(prepared, Timeouts(2, 2, 4))
        listener.join(5)
        transport.close()
    assert heard[0].startswith(b"CONNECT platform.ringcentral.com:443")
