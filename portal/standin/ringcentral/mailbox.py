"""The mailboxes: voicemails of each extension, with audio and transcription."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from portal.standin.messages import JsonObject, Reply, Request
from portal.standin.ringcentral.call_log import CallLogCalls
from portal.standin.ringcentral.errors import bad_parameter, not_found, refuse
from portal.standin.ringcentral.extensions import ACCOUNT_PATH
from portal.standin.ringcentral.media import WAV, audio, content_reply
from portal.standin.ringcentral.paging import counted_page, positive
from portal.standin.ringcentral.people import Extension
from portal.standin.ringcentral.queries import Window, choices, digits
from portal.standin.ringcentral.settings import Office
from portal.standin.ringcentral.times import SECOND, stamp

_TEXT_OFFSET = 500_000_000
"""The id of a transcription is that of its message plus this."""
_OVERLAP_MS = 5 * SECOND
_GONE = ("Deleted", "Purged")


@dataclass(slots=True)
class Voicemail:
    id: int
    extension: Extension
    caller: JsonObject
    created_ms: int
    duration_s: int
    transcript: str = ""
    transcript_ms: float = 0
    """When the text is there; without text the feature is off for that mailbox."""
    audio_ms: float = 0
    """When the audio is there."""
    content_type: str = WAV
    kind: str = "audio"
    availability: str = "Alive"
    read: bool = False

    @property
    def uri(self) -> str:
        return f"{ACCOUNT_PATH}/extension/{self.extension.id}/message-store/{self.id}"

    def reference(self) -> JsonObject:
        """What a row of the call log says of it."""
        return {"id": str(self.id), "type": "VoiceMail", "uri": self.uri}

    def shown(self, origin: str, media_origin: str, now_ms: int) -> JsonObject:
        if self.availability in _GONE:
            return {"id": self.id, "uri": origin + self.uri, "availability": self.availability}
        has_text = bool(self.transcript) and self.transcript_ms <= now_ms
        status = "Completed" if has_text else "InProgress" if self.transcript else "NotAvailable"
        return {
            "id": self.id,
            "uri": origin + self.uri,
            "extensionId": self.extension.id,
            "type": "VoiceMail",
            "direction": "Inbound",
            "creationTime": stamp(self.created_ms),
            "lastModifiedTime": stamp(round(max(self.created_ms, self.transcript_ms if has_text else 0))),
            "from": self.caller,
            "to": [{"name": self.extension.name}],
            "readStatus": "Read" if self.read else "Unread",
            "priority": "Normal",
            "messageStatus": "Received",
            "availability": self.availability,
            "vmTranscriptionStatus": status,
            "attachments": list(self._attachments(media_origin, has_text=has_text)),
        }

    def _attachments(self, media_origin: str, *, has_text: bool) -> Iterator[JsonObject]:
        if has_text:
            # Before the audio: who takes the first attachment for it gets the text.
            text_id = self.id + _TEXT_OFFSET
            uri = f"{media_origin}{self.uri}/content/{text_id}"
            yield {"id": text_id, "uri": uri, "type": "AudioTranscription", "contentType": "text/plain"}
        yield {
            "id": self.id,
            "uri": f"{media_origin}{self.uri}/content/{self.id}",
            "type": "AudioRecording",
            "contentType": self.content_type,
            "vmDuration": self.duration_s,
        }

    def content(self) -> bytes:
        return b"" if self.kind == "empty" else audio(f"voicemail {self.id}", self.content_type)


class Mailboxes:
    def __init__(self, office: Office, calls: CallLogCalls) -> None:
        self._office = office
        self._calls = calls
        self.by_id: dict[int, Voicemail] = {}

    def _shown(self, request: Request, message: Voicemail) -> JsonObject:
        return message.shown(request.base_url, self._office.media_origin(request), self._office.now_ms())

    def _of(self, extension: Extension) -> list[Voicemail]:
        """What is in the mailbox by now, youngest first."""
        now_ms = self._office.now_ms()
        found = [
            message
            for message in self.by_id.values()
            if message.extension == extension and message.created_ms <= now_ms
        ]
        return sorted(found, key=lambda message: (message.created_ms, message.id), reverse=True)

    def list_all(self, request: Request) -> Reply:
        extension = self._calls.permitted(request)
        window = Window.of(request, self._office.now_ms())
        found = [
            message
            for message in self._of(extension)
            if window.low_ms <= message.created_ms <= window.high_ms and _is_wanted(request, message)
        ]
        rows, envelope = counted_page(request, found)
        return Reply.of(200, {**envelope, "records": [self._shown(request, message) for message in rows]})

    def _named(self, request: Request) -> Voicemail:
        extension, text = self._calls.permitted(request), request.params["message"]
        message = self.by_id.get(int(text)) if text.isdigit() else None
        is_there = message is not None and message.extension == extension
        if message is None or not is_there or message.created_ms > self._office.now_ms():
            raise not_found("messageId", text)
        return message

    def one(self, request: Request) -> Reply:
        message = self._named(request)
        if message.availability == "Purged":
            raise not_found("messageId", request.params["message"])
        request.records = 1
        return Reply.of(200, self._shown(request, message))

    def content(self, request: Request) -> Reply:
        message, attachment = self._named(request), request.params["attachment"]
        now_ms = self._office.now_ms()
        if message.availability not in _GONE:
            if attachment == str(message.id) and message.audio_ms <= now_ms:
                chunk = self._office.settings.media_chunk_bytes
                return content_reply(request, message.content(), message.content_type, chunk)
            has_text = message.transcript and message.transcript_ms <= now_ms
            if attachment == str(message.id + _TEXT_OFFSET) and has_text:
                return content_reply(request, message.transcript.encode(), "text/plain;charset=UTF-8")
        raise not_found("attachmentId", attachment)

    def sync(self, request: Request) -> Reply:
        """Windows overlap by five seconds on purpose, so that the same message can come twice."""
        extension, now_ms = self._calls.permitted(request), self._office.now_ms()
        found = [message for message in self._of(extension) if message.availability != "Purged"]
        if choices(request, "syncType")[-1:] == ["ISync"]:
            since_ms = _since(request.query.get("syncToken", ""))
            found = [message for message in found if message.created_ms > since_ms - _OVERLAP_MS]
        else:
            window = Window.of(request, now_ms)
            found = [message for message in found if window.low_ms <= message.created_ms <= window.high_ms]
            found = found[: positive(request, "recordCount", 250)]
        request.records = len(found)
        info = {
            "syncType": choices(request, "syncType")[-1] if "syncType" in request.query else "FSync",
            "syncToken": f"messages-{now_ms}",
            "syncTime": stamp(now_ms),
        }
        return Reply.of(200, {"records": [self._shown(request, message) for message in found], "syncInfo": info})


def _since(token: str) -> int:
    name, _, at_ms = token.partition("-")
    if name != "messages" or not at_ms.isdigit():
        raise refuse(400, "MSG-333", "syncToken is invalid, full synchronization is required")
    return int(at_ms)


def _is_wanted(request: Request, message: Voicemail) -> bool:
    query, lists = request.query, request.query_lists()
    types = [kind.lower() for kind in lists.get("messageType", [])]
    statuses = lists.get("readStatus", [])
    if any(status not in ("Read", "Unread") for status in statuses):
        raise bad_parameter("readStatus", ",".join(statuses))
    return (
        (not types or "voicemail" in types)
        and ("direction" not in query or "Inbound" in choices(request, "direction"))
        and (not statuses or ("Read" if message.read else "Unread") in statuses)
        and message.availability in lists.get("availability", ["Alive"])
        and (
            "phoneNumber" not in query or digits(message.caller.get("phoneNumber", "")) == digits(query["phoneNumber"])
        )
    )
