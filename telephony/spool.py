"""Recordings and voicemails while they rest with us: encrypted piece by piece, readable only with the portal's key.

A file is a row of pieces, each a Fernet token with its number inside; the last one says that it is the last. A file that
was cut, reordered or changed does not open.
"""

from __future__ import annotations

import hashlib
import secrets
import struct
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Self

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.utils import timezone

from portal.fields import Undecryptable, cipher

PIECE = 64 * 1024
_HEAD = struct.Struct(">Q?")
ABANDONED_AFTER_S = 24 * 3600


def folder() -> Path:
    path = Path(settings.VAR_DIR) / "spool"
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    return path


def sweep() -> int:
    """Removes files of workers that died a day ago; what they held is fetched again. Returns how many."""
    oldest = timezone.now().timestamp() - ABANDONED_AFTER_S
    removed = 0
    for path in folder().iterdir():
        if path.is_file() and path.stat().st_mtime < oldest:
            path.unlink(missing_ok=True)
            removed += 1
    return removed


class SealedFile:
    """Written once from start to end, then read as often as needed; `size` and `sha256` are of the plain bytes.

    Removed when closed.
    """

    def __init__(self) -> None:
        self._path = folder() / secrets.token_hex(16)
        self._out = self._path.open("xb")
        self._path.chmod(0o600)
        self._hash = hashlib.sha256()
        self._pending = bytearray()
        self._pieces = 0
        self._is_sealed = False
        self._reader: Iterator[bytes] | None = None
        self._buffer = b""
        self._position = 0
        self.size = 0
        self.start = b""

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    # --- writing ----------------------------------------------------------------------------------------------------

    def write(self, data: bytes) -> int:
        if self._is_sealed:
            raise ValueError("The file is complete.")
        self._hash.update(data)
        if len(self.start) < 16:
            self.start += bytes(data[: 16 - len(self.start)])
        self.size += len(data)
        self._pending += data
        while len(self._pending) > PIECE:
            self._put(bytes(self._pending[:PIECE]), is_last=False)
            del self._pending[:PIECE]
        return len(data)

    def _put(self, data: bytes, *, is_last: bool) -> None:
        token = cipher().encrypt(_HEAD.pack(self._pieces, is_last) + data)
        self._out.write(token + b"\n")
        self._pieces += 1

    def _seal(self) -> None:
        if not self._is_sealed:
            self._put(bytes(self._pending), is_last=True)
            self._pending.clear()
            self._out.close()
            self._is_sealed = True

    # --- reading ----------------------------------------------------------------------------------------------------

    def seek(self, position: int, whence: int = 0) -> int:
        """To the start only: a second attempt begins anew."""
        if position != 0 or whence != 0:
            raise OSError("Only the start can be gone to.")
        self._seal()
        self._reader, self._buffer, self._position = self._plain(), b"", 0
        return 0

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        if self._reader is None:
            self.seek(0)
        assert self._reader is not None
        while size < 0 or len(self._buffer) < size:
            piece = next(self._reader, None)
            if piece is None:
                break
            self._buffer += piece
        wanted = len(self._buffer) if size < 0 else size
        data, self._buffer = self._buffer[:wanted], self._buffer[wanted:]
        self._position += len(data)
        return data

    def _plain(self) -> Iterator[bytes]:
        with self._path.open("rb") as pieces:
            for number, line in enumerate(pieces):
                try:
                    piece = cipher().decrypt(line.rstrip(b"\n"))
                except InvalidToken as error:
                    raise Undecryptable("A stored recording cannot be decrypted.") from error
                told, is_last = _HEAD.unpack(piece[: _HEAD.size])
                if told != number:
                    raise Undecryptable("A stored recording is damaged.")
                yield piece[_HEAD.size :]
                if is_last:
                    return
        raise Undecryptable("A stored recording is not complete.")

    # --- the end ----------------------------------------------------------------------------------------------------

    def close(self) -> None:
        if not self._out.closed:
            self._out.close()
        self._reader = None
        self._path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MultipartFile:
    """A multipart body with one file, read from its sealed pieces while it is sent; never whole in memory."""

    def __init__(self, file: SealedFile, name: str, content_type: str) -> None:
        boundary = secrets.token_hex(16)
        self.content_type = f"multipart/form-data; boundary={boundary}"
        self._file = file
        # Names are made by us of digits, letters, dots and dashes, so that no quoting is needed.
        self._head = (
            f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{name}"\r\n'
            f"Content-Type: {content_type}\r\n\r\n"
        ).encode("ascii")
        self._tail = f"\r\n--{boundary}--\r\n".encode("ascii")
        self._position = 0
        self._rest = self._head
        self._is_tail = False
        self.seek(0)

    def __len__(self) -> int:
        return len(self._head) + self._file.size + len(self._tail)

    def __iter__(self) -> Iterator[bytes]:
        while data := self.read(PIECE):
            yield data

    def seek(self, position: int, whence: int = 0) -> int:
        if position != 0 or whence != 0:
            raise OSError("Only the start can be gone to.")
        self._file.seek(0)
        self._position, self._rest = 0, self._head
        self._is_tail = False
        return 0

    def tell(self) -> int:
        return self._position

    def read(self, size: int = -1) -> bytes:
        data = bytearray()
        while size < 0 or len(data) < size:
            if not self._rest and not self._is_tail:
                self._rest = self._file.read(PIECE)
                if not self._rest:
                    self._rest, self._is_tail = self._tail, True
            if not self._rest:
                break
            wanted = len(self._rest) if size < 0 else size - len(data)
            data += self._rest[:wanted]
            self._rest = self._rest[wanted:]
        self._position += len(data)
        return bytes(data)
