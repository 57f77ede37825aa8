"""Recordings: when they can be had, for how long, and what comes instead of audio when something is wrong."""

from __future__ import annotations

from dataclasses import dataclass

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.ringcentral.errors import not_found
from portal.standin.ringcentral.extensions import ACCOUNT_PATH
from portal.standin.ringcentral.media import MP3, WAV, audio, content_reply
from portal.standin.ringcentral.settings import Office

KINDS = ("audio", "html", "empty")
_HTML = b"<html><head><title>Error</title></head><body><h1>Something went wrong</h1></body></html>"


@dataclass(slots=True)
class Recording:
    id: str
    duration_s: int
    ready_ms: int
    gone_ms: float = float("inf")
    kind: str = "audio"
    """`audio`, or what comes with status 200 in its place: an `html` page or an `empty` body."""
    content_type: str = WAV
    size: int | None = None
    """Bytes, when a test wants another size than its own."""
    type: str = "Automatic"

    def __post_init__(self) -> None:
        if self.kind not in KINDS or self.content_type not in (WAV, MP3):
            raise ValueError(f"recordings are {', '.join(KINDS)} as {WAV} or {MP3}")

    def reference(self) -> JsonObject:
        """What a row of the call log says of it."""
        uri = f"{ACCOUNT_PATH}/recording/{self.id}"
        return {"id": self.id, "uri": uri, "type": self.type, "contentUri": f"{uri}/content"}

    def body(self) -> tuple[bytes, str]:
        """Content and its type."""
        if self.kind == "html":
            return _HTML, "text/html;charset=UTF-8"
        return b"" if self.kind == "empty" else audio(self.id, self.content_type, self.size), self.content_type


class Recordings:
    def __init__(self, office: Office) -> None:
        self._office = office
        self.by_id: dict[str, Recording] = {}

    def _named(self, request: Request) -> Recording:
        """Not ready, deleted and expired look the same from outside."""
        recording = self.by_id.get(request.params["recording"])
        if recording is None or not recording.ready_ms <= self._office.now_ms() < recording.gone_ms:
            raise not_found("callRecordingId", request.params["recording"])
        return recording

    def about(self, request: Request) -> Reply:
        recording = self._named(request)
        row = {
            "id": recording.id,
            "contentUri": f"{self._office.media_origin(request)}{ACCOUNT_PATH}/recording/{recording.id}/content",
            "contentType": recording.content_type,
            "duration": recording.duration_s,
        }
        return Reply.of(200, row)

    def content(self, request: Request) -> Reply:
        recording = self._named(request)
        body, content_type = recording.body()
        request.records = 1
        return content_reply(request, body, content_type, self._office.settings.media_chunk_bytes)
