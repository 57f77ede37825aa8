"""Recordings and voicemails: from RingCentral through an encrypted spool to the record in Zoho, each once.

What is not there yet is asked for again, less and less often, until a limit after the call; then that is said. A file
counts only when it is a sound file: RingCentral answers some errors with a page. Before a file is sent again it is
looked for among the record's attachments by its name, which carries the medium's id.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from django.conf import settings as django_settings
from django.utils import timezone

from crm.zoho.client import Upload, ZohoClient
from crm.zoho.results import RowResult
from portal.models import RunEvent
from portal.remote import errors
from portal.remote.session import Reply
from portal.runs import Lease
from telephony.models import Call, CallSettings, CallStep, Office
from telephony.queries import MEDIA_DAYS
from telephony.reasons import TOO_LARGE
from telephony.ringcentral.client import RingCentralClient
from telephony.ringcentral.records import Message, Recording, VoicemailMessage
from telephony.spool import MultipartFile, SealedFile
from telephony.writing import CHECK_FAILED, MAX_SENDS, NO_ANSWER, Writer

State = CallStep.State
Kind = CallStep.Kind
# So many files are under way at once.
WIDTH = 4
RETRY_FIRST = dt.timedelta(minutes=5)
RETRY_LONGEST = dt.timedelta(hours=4)
# RingCentral deletes recordings after 90 days, unless the account says otherwise.
KEPT_AT_SOURCE = dt.timedelta(days=MEDIA_DAYS)
# RingCentral failed: that says nothing about the file.
OUTAGE = "OUTAGE"
MAX_OUTAGES = 3
LARGEST_TRANSCRIPT = 100_000

_BY_START: tuple[tuple[bytes, str, str], ...] = (
    (b"RIFF", "wav", "audio/wav"),
    (b"ID3", "mp3", "audio/mpeg"),
    (b"\xff\xfb", "mp3", "audio/mpeg"),
    (b"\xff\xf3", "mp3", "audio/mpeg"),
    (b"\xff\xf2", "mp3", "audio/mpeg"),
    (b"OggS", "ogg", "audio/ogg"),
    (b"fLaC", "flac", "audio/flac"),
)


@dataclass(frozen=True)
class Sound:
    """The type of a sound file, told by its first bytes and else by what the vendor called it."""

    extension: str
    content_type: str


class NoSound(Exception):
    """What came is no sound file; the text says what it is instead."""


def sound_of(start: bytes, size: int, told: str) -> Sound:
    """Raises NoSound. `told`: the Content-Type of the answer."""
    told = told.partition(";")[0].strip().lower()
    if size == 0:
        raise NoSound("an empty file came")
    for magic, extension, content_type in _BY_START:
        if start.startswith(magic) and (magic != b"RIFF" or start[8:12] in (b"WAVE", b"")):
            return Sound(extension, content_type)
    if start[4:8] == b"ftyp":
        return Sound("m4a", "audio/mp4")
    text = start.lstrip().lower()
    if text.startswith((b"<", b"{", b"[")) or told.startswith("text/") or "html" in told or "json" in told:
        raise NoSound("a page came instead of a sound file")
    if told.startswith("audio/"):
        return Sound("audio", told)
    raise NoSound(f"the file is of the unknown type {told or 'without a name'}")


def name_of(call: Call, office: Office, kind: str, key: str) -> str:
    """Name of the file without its extension: time in the office's zone, kind, id of the medium."""
    at = call.started_at.astimezone(office.tz)
    safe = "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in key)
    return f"{at:%Y-%m-%d_%H-%M-%S}_{kind}_{safe}"


def plan_steps(
    writer: Writer, call: Call, recordings: Sequence[dict[str, Any]], voicemails: Sequence[dict[str, Any]]
) -> list[CallStep]:
    """Steps for the media of a call that are not known yet; returned to be saved."""
    new: list[CallStep] = []
    for kind, media in ((Kind.RECORDING, recordings), (Kind.VOICEMAIL, voicemails)):
        for place, source in enumerate(media):
            step = writer.step(call, kind, str(source["id"]))
            if step.pk is None:
                step.source = dict(source)
                step.position += place
                new.append(step)
    return new


@dataclass
class Task:
    """One medium of one call in one slice."""

    step: CallStep
    call: Call
    office: Office
    file: SealedFile | None = None
    sound: Sound | None = None

    @property
    def name(self) -> str:
        return name_of(self.call, self.office, self.step.kind, self.step.key)


class Mover:
    """Moves due media of one run during one slice."""

    def __init__(
        self, lease: Lease, ringcentral: RingCentralClient, zoho: ZohoClient, writer: Writer, settings: CallSettings
    ) -> None:
        self.lease = lease
        self.held: errors.RemoteError | None = None
        self._ringcentral = ringcentral
        self._zoho = zoho
        self._writer = writer
        self._settings = settings
        self._largest = settings.max_attachment_mb * 1024 * 1024

    def move(self, tasks: Sequence[Task]) -> None:
        """A few files: looks for those sent without an answer, fetches the others, attaches what came."""
        due = [task for task in tasks if task.step.state != State.SENT or self._settle(task)]
        with ExitStack() as files:
            self._fetch(due, files)
            self._attach([task for task in due if task.file is not None])

    # --- what an earlier attempt came to ----------------------------------------------------------------------------

    def _settle(self, task: Task) -> bool:
        """Looks whether a file that was sent without an answer arrived. True when it is to be sent (again)."""
        step = task.step
        self.lease.keep()
        try:
            attached = self._zoho.attachments_of(step.module, step.record_id)
        except errors.Rejected as error:
            if error.status == 403:
                self._end(task, State.FAILED, CHECK_FAILED, f"No answer came, and Zoho cannot be asked: {error}")
                return False
            attached = []
        except errors.RemoteError as error:
            self.held = self.held or error
            return False
        # By the name that was sent: the clock of the office or the start of the call can have changed since.
        sent = str(step.evidence.get("name") or task.name).rpartition(".")[0] or task.name
        mine = next((row for row in attached if str(row.get("File_Name") or "").startswith(f"{sent}.")), None)
        if mine is not None:
            evidence = step.evidence | {"name": mine["File_Name"], "size": mine.get("Size")}
            message = "No answer came; the file was found among the attachments."
            self._end(task, State.DONE, "FOUND", message, crm_id=str(mine["id"]), evidence=evidence)
            return False
        if not self._writer.may_repeat(step):
            return False
        if step.attempts >= MAX_SENDS:
            self._end(task, State.FAILED, NO_ANSWER, f"Zoho gave no answer {MAX_SENDS} times.")
            return False
        return True

    # --- from RingCentral -------------------------------------------------------------------------------------------

    def _fetch(self, tasks: Sequence[Task], files: ExitStack) -> None:
        def sink() -> SealedFile:
            file = SealedFile()
            files.callback(file.close)
            return file

        def requests() -> Iterator[Any]:
            for task in tasks:
                if self.held is not None or self.lease.is_stopping:
                    return
                self.lease.keep()
                request = self._request(task, sink)
                if request is not None:
                    yield request

        for request, outcome in self._ringcentral.session.stream(requests(), WIDTH):
            task: Task = request.tag
            if isinstance(outcome, Reply):
                self._take_file(task, outcome)
            else:
                self._take_error(task, outcome)

    def _request(self, task: Task, sink: Any) -> Any:
        """The download of a medium; None when there is nothing to download (yet), which is then settled here."""
        source = task.step.source
        if task.step.kind == Kind.RECORDING:
            recording = Recording(
                str(source["id"]), str(source.get("content_uri") or ""), str(source.get("kind") or "")
            )
            return self._ringcentral.recording_request(recording, sink=sink, max_bytes=self._largest, tag=task)
        message = Message(
            str(source["id"]),
            str(source.get("kind") or ""),
            str(source.get("uri") or ""),
            str(source.get("mailbox") or ""),
        )
        try:
            voicemail = self._ringcentral.voicemail(message)
        except errors.RemoteError as error:
            self._take_error(task, error)
            return None
        if voicemail.audio is None:
            self._not_ready(task, "The voicemail has no sound file yet.")
            return None
        self._keep_transcript(task, voicemail)
        return self._ringcentral.attachment_request(voicemail.audio, sink=sink, max_bytes=self._largest, tag=task)

    def _keep_transcript(self, task: Task, voicemail: VoicemailMessage) -> None:
        """What was spoken, as far as RingCentral wrote it down; its absence holds nothing up."""
        evidence = task.step.evidence | {"transcription": voicemail.transcription_status}
        if voicemail.transcript is not None and "transcript" not in evidence:
            request = self._ringcentral.attachment_request(voicemail.transcript, max_bytes=LARGEST_TRANSCRIPT)
            try:
                reply = self._ringcentral.session.call(request)
            except (errors.Rejected, errors.MissingScope, errors.Unavailable, errors.BadReply):
                reply = None
            if reply is not None and reply.file is not None:
                with reply.file:
                    evidence["transcript"] = reply.file.read().decode("utf-8", "replace").replace("\0", "")
        task.step.evidence = evidence

    def _take_file(self, task: Task, reply: Reply) -> None:
        file = reply.file
        assert isinstance(file, SealedFile)
        try:
            task.sound = sound_of(file.start, file.size, reply.headers.get("Content-Type", ""))
        except NoSound as problem:
            file.close()
            self._not_ready(task, f"RingCentral answered, but {problem}.", code="NO_SOUND")
            return
        task.file = file

    def _take_error(self, task: Task, error: errors.RemoteError) -> None:
        if isinstance(error, errors.MissingScope):
            self._later(task, "NO_PERMISSION", f"The connection may not read it: {error.message}")
        elif isinstance(error, errors.Rejected) and error.code == TOO_LARGE:
            address = str(task.step.source.get("content_uri") or task.step.source.get("uri") or "").partition("?")[0]
            message = f"It is larger than {self._settings.max_attachment_mb} MB. It is there as {address}"
            self._end(task, State.UNAVAILABLE, TOO_LARGE, message.strip())
        elif isinstance(error, errors.Rejected) and error.status == 404:
            self._not_ready(task, "RingCentral does not have it (yet).")
        elif isinstance(error, errors.Rejected):
            self._later(task, error.code or f"HTTP_{error.status}", f"RingCentral refused it: {error.message}")
        elif isinstance(error, errors.BadReply):
            self._later(task, "BAD_ANSWER", f"RingCentral's answer cannot be used: {error.message}")
        elif isinstance(error, errors.Unavailable) and not isinstance(error, errors.CircuitOpen):
            self._take_outage(task, error)
        else:
            self.held = self.held or error

    def _take_outage(self, task: Task, error: errors.Unavailable) -> None:
        """The run waits for RingCentral, but not for ever for one file that it cannot give: others are behind it."""
        step = task.step
        outages = int(step.evidence.get("outages") or 0) + 1
        step.evidence = step.evidence | {"outages": outages}
        if outages >= MAX_OUTAGES:
            del step.evidence["outages"]
            self._later(task, OUTAGE, f"RingCentral could not give it: {error.message}")
            return
        with self.lease.commit(progress=False):
            self._writer.save([step])
        self.held = self.held or error

    def _not_ready(self, task: Task, message: str, code: str = "NOT_READY") -> None:
        """Not there yet, gone or never made: only the age of the call tells them apart."""
        age = timezone.now() - (task.call.ended_at or task.call.started_at)
        if age >= KEPT_AT_SOURCE:
            text = "RingCentral does not have it any more: it keeps recordings for 90 days."
            self._end(task, State.UNAVAILABLE, "EXPIRED", text)
        else:
            self._later(task, code, message)

    def _later(self, task: Task, code: str, message: str) -> None:
        """Once more after a while; after the limit that is the end."""
        step = task.step
        now = timezone.now()
        age = now - (task.call.ended_at or task.call.started_at)
        first_seen = now - step.created_at
        limit = dt.timedelta(hours=self._settings.media_give_up_hours)
        # A call read long after it happened gets its chances too.
        has_had_chances = code != OUTAGE and (step.attempts >= 2 or age >= KEPT_AT_SOURCE)
        if age >= limit and (first_seen >= limit or has_had_chances):
            self._end(task, State.UNAVAILABLE, code, f"{message} Not asked for any more.")
            return
        step.attempts += 1
        step.state, step.code, step.message = State.WAITING, code, message
        step.not_before = now + min(RETRY_FIRST * 2 ** (step.attempts - 1), RETRY_LONGEST)
        with self.lease.commit():
            self._writer.save([step])

    # --- to Zoho ----------------------------------------------------------------------------------------------------

    def _attach(self, tasks: Sequence[Task]) -> None:
        def uploads() -> Iterator[Upload]:
            for task in tasks:
                if self.held is not None or self.lease.is_stopping:
                    return
                self.lease.keep()
                yield self._claimed(task)

        for upload, outcome in self._zoho.attach_many(uploads()):
            self._take_answer(upload.tag, outcome)

    def _claimed(self, task: Task) -> Upload:
        assert task.file is not None
        assert task.sound is not None
        step = task.step
        name = f"{task.name}.{task.sound.extension}"
        step.evidence = step.evidence | {"name": name, "size": task.file.size, "sha256": task.file.sha256}
        if step.sent_at is None:
            step.attempts = 0  # how often RingCentral was asked says nothing about Zoho
        step.state, step.sent_at, step.run = State.SENT, timezone.now(), self.lease.run
        step.module, step.record_id = task.call.module, task.call.record_id
        step.attempts += 1
        with self.lease.commit(progress=False):
            self._writer.save([step])
        body = MultipartFile(task.file, name, task.sound.content_type)
        return Upload(step.module, step.record_id, body, body.content_type, tag=task)

    def _take_answer(self, task: Task, outcome: RowResult | errors.RemoteError) -> None:
        step = task.step
        if isinstance(outcome, RowResult):
            if outcome.ok:
                crm_id = str(outcome.details.get("id") or "")
                self._end(task, State.DONE, outcome.code, "Attached.", crm_id=crm_id)
            else:
                self._end(task, State.FAILED, outcome.code, outcome.words)
        elif outcome.outcome_unknown:
            self.lease.log(f"No usable answer for a file: {outcome}", RunEvent.Level.WARNING)
        elif isinstance(outcome, errors.Rejected):
            code = outcome.code or f"HTTP_{outcome.status}"
            self._end(task, State.FAILED, code, f"Zoho refused the file: HTTP {outcome.status}: {outcome.message}")
        else:
            step.state, step.sent_at = State.PLANNED, None
            step.attempts -= 1
            with self.lease.commit(progress=False):
                self._writer.save([step])
            self.held = self.held or outcome

    def _end(self, task: Task, state: State, code: str, message: str, **values: Any) -> None:
        self._writer.finish(task.step, state, code, message, **values)
        with self.lease.commit():
            self._writer.save([task.step])


def settle_until() -> dt.datetime:
    """When the effect of what was sent just now is visible."""
    return timezone.now() + dt.timedelta(seconds=django_settings.RUN_SETTLE_SECONDS)
