"""The HTTP door: the stand-in on a port of this machine, with keep-alive."""

from __future__ import annotations

import contextlib
import logging
import socket
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from types import TracebackType
from typing import Any

from portal.standin.messages import ConnectionDropped, Reply
from portal.standin.standin import Standin

logger = logging.getLogger(__name__)

_PHRASES = {status.value: status.phrase for status in HTTPStatus}
# These have no body, and a client that waits for one would hang.
_WITHOUT_BODY = frozenset({204, 304})


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    # A client that opens its whole pool at once must not be refused.
    request_queue_size = 128

    def __init__(self, standin: Standin, host: str, port: int) -> None:
        super().__init__((host, port), _Handler)
        self.standin = standin
        self._connections: dict[socket.socket, tuple[str, int]] = {}
        self._connections_lock = Lock()

    def process_request(self, request: Any, client_address: Any) -> None:
        """Connections are remembered in the order in which they came, before a thread of their own takes them over."""
        with self._connections_lock:
            self._connections[request] = client_address
        super().process_request(request, client_address)

    def forget(self, connection: socket.socket) -> None:
        with self._connections_lock:
            self._connections.pop(connection, None)

    def clients(self) -> frozenset[tuple[str, int]]:
        with self._connections_lock:
            return frozenset(self._connections.values())

    def hang_up(self) -> None:
        """End idle keep-alive connections, whose threads would wait for a next request for ever."""
        with self._connections_lock:
            connections = list(self._connections)
        for connection in connections:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that hangs up in the middle is no news: a crash test does it all day."""
        logger.debug("a connection ended early")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Small answers on a kept-alive connection would wait 40 ms for the client's delayed acknowledgement.
    disable_nagle_algorithm = True
    server: _Server

    def finish(self) -> None:
        self.server.forget(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def _serve(self) -> None:
        body = self._read_body()
        url = f"http://{self.headers.get('Host') or self._address()}{self.path}"
        try:
            reply = self.server.standin.handle(self.command, url, dict(self.headers.items()), body)
        except ConnectionDropped:
            self._drop()
            return
        except Exception:
            logger.exception("the stand-in failed on %s", self.command)
            text = "the stand-in itself failed; its log has the traceback"
            reply = Reply.of(500, {"code": "STANDIN_BUG", "details": {}, "message": text, "status": "error"})
        self._send(reply)

    do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = _serve  # noqa: N815 - names of the standard library

    def _address(self) -> str:
        host, port = self.server.server_address[:2]
        return f"{host!s}:{port}"

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._read_chunks()
        length = int(self.headers.get("Content-Length") or 0)
        return self.rfile.read(length) if length else b""

    def _read_chunks(self) -> bytes:
        chunks = []
        while True:
            size = int(self.rfile.readline().split(b";")[0], 16)
            if size == 0:
                break
            chunks.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(chunks)

    def _drop(self) -> None:
        """No answer at all; the client sees its connection closed."""
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, reply: Reply) -> None:
        """Head and body in one write: two writes are two packets, and the second would wait."""
        lines = [f"HTTP/1.1 {reply.status} {_PHRASES.get(reply.status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in reply.headers.items()]
        body = b"" if reply.status in _WITHOUT_BODY else reply.body
        if reply.status not in _WITHOUT_BODY:
            lines.append(f"Content-Length: {len(body)}")
        if self.command == "HEAD":
            body = b""
        head = "\r\n".join(lines).encode("latin-1", "replace") + b"\r\n\r\n"
        self.wfile.write(head + body)

    def log_message(self, format: str, *args: object) -> None:
        """The journal tells what was asked; a line per request would drown a test's output."""


class StandinServer:
    """`with StandinServer(Standin()) as server: …` serves on `server.url` until the block ends."""

    def __init__(self, standin: Standin, port: int = 0, host: str = "127.0.0.1") -> None:
        self.standin = standin
        self._server = _Server(standin, host, port)
        self._thread: Thread | None = None
        self.host, self.port = host, int(self._server.server_address[1])

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port}"

    def start(self) -> StandinServer:
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        self._thread.start()
        return self

    def clients(self) -> frozenset[tuple[str, int]]:
        """Host and port of everybody who is connected."""
        return self._server.clients()

    def serve_forever(self) -> None:
        """In this thread, for a command that does nothing else."""
        self._server.serve_forever()

    def stop(self) -> None:
        if self._thread is not None:
            self._server.shutdown()
            self._thread.join()
            self._thread = None
        self._server.hang_up()
        self._server.server_close()

    def __enter__(self) -> StandinServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
