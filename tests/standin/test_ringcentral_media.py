from __future__ import annotations

import io
import wave
from datetime import timedelta

import pytest

from portal.standin import Standin
from portal.standin.ringcentral.media import MP3, WAV, audio
from tests.standin.phone_caller import NOON, PhoneCaller

EARLIER = NOON - timedelta(hours=2)


@pytest.fixture
def phone():
    standin = Standin(leads=10)
    standin.clock.freeze(NOON)
    return PhoneCaller(standin).unlimited()


def content(phone, recording, **headers):
    return phone.get(f"/recording/{recording}/content", headers=headers)


def test_wav_is_playable_deterministic_and_different_for_each_id():
    sound = audio("810000000001")
    with wave.open(io.BytesIO(sound)) as opened:
        assert (opened.getnchannels(), opened.getframerate()) == (1, 8000)
        assert opened.getnframes() > 8000

    assert sound == audio("810000000001")
    assert len({audio(str(number)) for number in range(200)}) == 200
    assert all(10_000 <= len(audio(str(number))) < 41_000 for number in range(50))


def test_mp3_has_a_tag_and_frames():
    sound = audio("5", MP3, 20_000)

    assert sound.startswith(b"ID3\x03")
    assert sound[-417:-413] == b"\xff\xfb\x90\xc0"


def test_the_link_of_a_row_leads_to_its_audio(phone):
    made = phone.script.accepted(EARLIER, recorded=True)
    link = phone.row(made.row)["recording"]

    about, sound = phone.get(link["uri"]).json(), phone.get(link["contentUri"])

    assert (about["contentUri"], about["duration"], about["contentType"]) == (link["contentUri"], 120, WAV)
    assert (sound.headers["Content-Type"], sound.body) == (WAV, audio(made.recording))


def test_audio_may_live_on_another_host(phone):
    phone.standin.ringcentral.settings.media_url = "https://media.test"
    made = phone.script.accepted(EARLIER, recorded=True)

    row = phone.row(made.row)

    assert row["recording"]["contentUri"].startswith("https://media.test/restapi/")
    assert row["uri"].startswith("https://phone.test/restapi/")


def test_a_recording_is_not_ready_then_there_then_expired(phone):
    made = phone.script.accepted(
        NOON - timedelta(minutes=2), duration=120, recorded={"ready_after": 90, "gone_after": 600}
    )
    early = content(phone, made.recording)
    phone.standin.clock.advance(90)
    there = content(phone, made.recording)
    phone.standin.clock.advance(600)
    gone = content(phone, made.recording)

    assert [early.status, there.status, gone.status] == [404, 200, 404]
    assert phone.code(early) == phone.code(gone) == "CMN-102"


def test_content_may_be_a_page_empty_or_large(phone):
    page, empty, large = (
        phone.script.accepted(EARLIER, recorded=kind).recording
        for kind in ({"content": "html"}, {"content": "empty"}, {"size": 2_000_000})
    )

    assert content(phone, page).headers["Content-Type"].startswith("text/html")
    assert (content(phone, empty).status, content(phone, empty).body) == (200, b"")
    assert len(content(phone, large).body) > 2_000_000


def test_ranges_and_pieces_join_to_the_whole(phone):
    recording = phone.script.accepted(EARLIER, recorded=True).recording
    whole = audio(recording)
    part = content(phone, recording, Range="bytes=10-19")

    assert (part.status, part.body) == (206, whole[10:20])
    assert part.headers["Content-Range"] == f"bytes 10-19/{len(whole)}"
    assert content(phone, recording, Range="bytes=-5").body == whole[-5:]
    assert phone.code(content(phone, recording, Range=f"bytes={len(whole)}-")) == "CMN-107"

    phone.standin.ringcentral.settings.media_chunk_bytes = 4_000
    joined = content(phone, recording)
    assert joined.status == 206
    body = joined.body
    while len(body) < len(whole):
        body += content(phone, recording, Range=f"bytes={len(body)}-").body
    assert body == whole


def test_a_voicemail_has_audio_and_a_text_that_comes_first(phone):
    made = phone.script.voicemail(EARLIER, agent="101")
    message = phone.get(f"/extension/700000101/message-store/{made.message}").json()

    kinds = [item["type"] for item in message["attachments"]]
    text, sound = (phone.get(item["uri"]) for item in message["attachments"])

    assert kinds == ["AudioTranscription", "AudioRecording"]
    assert "quote for my move" in text.body.decode()
    assert sound.body == audio(f"voicemail {made.message}")
    assert sound.headers["X-Rate-Limit-Group"] == "medium"


def test_text_and_audio_of_a_voicemail_can_lag(phone):
    made = phone.script.voicemail(
        NOON - timedelta(minutes=1), duration=60, audio_after=60, transcript_after=120, appears_after=0
    )
    path = f"/extension/700000101/message-store/{made.message}"
    message = phone.get(path).json()

    assert message["vmTranscriptionStatus"] == "InProgress"
    assert phone.get(message["attachments"][0]["uri"]).status == 404
    phone.standin.clock.advance(120)
    assert phone.get(path).json()["vmTranscriptionStatus"] == "Completed"
    assert phone.get(message["attachments"][0]["uri"]).status == 200


def test_a_mailbox_lists_its_own_messages_of_the_last_day(phone):
    mine = phone.script.voicemail(EARLIER, agent="101", caller="+13035550111")
    phone.script.voicemail(EARLIER, agent="102")
    phone.script.voicemail(NOON - timedelta(days=2), agent="101")

    def ids(**query):
        body = phone.get("/extension/700000101/message-store", **query).json()
        assert body["paging"]["totalElements"] == len(body["records"])
        return [str(row["id"]) for row in body["records"]]

    assert ids() == ids(messageType="VoiceMail") == ids(messageType="Voicemail", readStatus="Unread") == [mine.message]
    assert ids(messageType="Fax") == ids(direction="Outbound") == ids(readStatus="Read") == []
    assert ids(phoneNumber="+13035550111") == [mine.message]
    assert len(ids(dateFrom="2026-10-01")) == 2


def test_a_deleted_message_keeps_its_id_only(phone):
    made = phone.script.voicemail(EARLIER)
    phone.standin.ringcentral.mailboxes.by_id[int(made.message)].availability = "Deleted"
    path = f"/extension/700000101/message-store/{made.message}"

    assert phone.get(path).json()["availability"] == "Deleted"
    assert "attachments" not in phone.get(path).json()
    assert phone.get(f"{path}/content/{made.message}").status == 404


def test_another_mailbox_needs_extended_rights(phone):
    made = phone.script.voicemail(EARLIER, agent="101")
    phone.standin.ringcentral.settings.other_mailboxes = False

    assert phone.code(phone.get(f"/extension/700000101/message-store/{made.message}")) == "CMN-419"
    assert phone.get("/extension/~/message-store").status == 200


def test_message_sync_gives_new_messages_twice_rather_than_never(phone):
    first = phone.script.voicemail(EARLIER)
    full = phone.get("/extension/700000101/message-sync", syncType="FSync", recordCount=10).json()
    phone.standin.clock.advance(60)
    second = phone.script.voicemail(NOON, duration=30)

    more = phone.get(
        "/extension/700000101/message-sync", syncType="ISync", syncToken=full["syncInfo"]["syncToken"]
    ).json()
    wrong = phone.get("/extension/700000101/message-sync", syncType="ISync", syncToken="x")

    assert [str(row["id"]) for row in full["records"]] == [first.message]
    assert [str(row["id"]) for row in more["records"]] == [second.message]
    assert (wrong.status, phone.code(wrong)) == (400, "MSG-333")
