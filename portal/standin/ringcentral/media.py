"""Audio made from an id: the same id always gives the same bytes, and no two ids give the same."""

from __future__ import annotations

import math
import re
import struct
from functools import lru_cache
from zlib import crc32

from portal.standin.messages import Reply, Request
from portal.standin.ringcentral.errors import error

WAV, MP3 = "audio/wav", "audio/mpeg"
_SMALLEST, _LARGEST = 10_000, 40_000
_SAMPLES_PER_S = 8_000
_MP3_FRAME = b"\xff\xfb\x90\xc0" + bytes(413)
_RANGE = re.compile(r"bytes=(\d*)-(\d*)")


def audio(media_id: str, content_type: str = WAV, size: int | None = None) -> bytes:
    """10 to 40 KB, or about `size` bytes: a tone as WAV (8 kHz, 8 bit, mono) or silence as MP3."""
    wanted = _SMALLEST + crc32(media_id.encode()) % (_LARGEST - _SMALLEST) if size is None else size
    return _mp3(media_id, wanted) if content_type == MP3 else _wav(media_id, wanted)


def _wav(media_id: str, size: int) -> bytes:
    period = _tone(20 + crc32(media_id[::-1].encode()) % 60)
    samples = (period * (size // len(period) + 1))[: size - size % 2]
    name = media_id.encode() + bytes(2 - len(media_id) % 2)
    title = b"INAM" + struct.pack("<I", len(name)) + name
    chunks = [
        b"fmt " + struct.pack("<IHHIIHH", 16, 1, 1, _SAMPLES_PER_S, _SAMPLES_PER_S, 1, 8),
        b"LIST" + struct.pack("<I", 4 + len(title)) + b"INFO" + title,
        b"data" + struct.pack("<I", len(samples)) + samples,
    ]
    body = b"WAVE" + b"".join(chunks)
    return b"RIFF" + struct.pack("<I", len(body)) + body


@lru_cache
def _tone(length: int) -> bytes:
    return bytes(round(128 + 60 * math.sin(2 * math.pi * step / length)) for step in range(length))


def _mp3(media_id: str, size: int) -> bytes:
    text = b"\x00" + media_id.encode("latin-1")
    frame = b"TIT2" + struct.pack(">I", len(text)) + b"\x00\x00" + text
    # The length of an ID3 tag has seven bits in each byte.
    length = bytes(len(frame) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x03\x00\x00" + length + frame + _MP3_FRAME * max(1, size // len(_MP3_FRAME))


def content_reply(request: Request, content: bytes, content_type: str, chunk: int = 0) -> Reply:
    """The whole body or the asked range of it; with `chunk` above zero never more than that many bytes."""
    headers = {"Content-Type": content_type, "Accept-Ranges": "bytes"}
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    if asked is None and not 0 < chunk < len(content):
        return Reply(200, headers, content)
    first, last = _ends(asked[1], asked[2], len(content)) if asked else (0, len(content) - 1)
    if first > last or first >= len(content):
        reply = Reply.of(416, error("CMN-107", "Requested range is not satisfiable"))
        reply.headers["Content-Range"] = f"bytes */{len(content)}"
        return reply
    if chunk > 0:
        last = min(last, first + chunk - 1)
    headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
    return Reply(206, headers, content[first : last + 1])


def _ends(first: str, last: str, length: int) -> tuple[int, int]:
    if not first:
        return max(0, length - int(last or 0)), length - 1
    return int(first), min(length - 1, int(last)) if last else length - 1
