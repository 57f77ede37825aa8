"""The note about a call."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from telephony import mapping, notes
from telephony.models import Call, CallSettings, CallStep, Extension, Office
from telephony.notes import CUT, MAX_CONTENT, Note, has_marker
from telephony.plain_text import units

OAKLAND = Office(name="Oakland", zone="America/Los_Angeles")
BERLIN = Office(name="Berlin", zone="Europe/Berlin")


def call_of(**values: Any) -> Call:
    call = mapping.sample_call(values.pop("call_type", "accepted"))
    for name, value in values.items():
        setattr(call, name, value)
    return call


def note_of(call: Call, office: Office = OAKLAND, **values: Any) -> Note:
    return notes.note_of(call, office, **{"title": "Call Information"} | values)


def test_a_note_says_everything_about_the_call() -> None:
    assert note_of(call_of()).content.splitlines() == [
        "Inbound call: accepted",
        "Time: 2026-03-02 11:00 (UTC-08:00), Oakland",
        "Total duration: 95 s (1:35)",
        "Talk time: 80 s (1:20)",
        "Caller: +1 510-555-0123, “Jane Miller”, from Oakland, CA",
        "Line: +1 510-555-0100",
        "Answered by: Sales, extension 101",
        "[call s-example]",
    ]


def test_the_same_moment_is_told_in_the_zone_of_each_office() -> None:
    assert "2026-03-02 11:00 (UTC-08:00)" in note_of(call_of()).content
    assert "2026-03-02 20:00 (UTC+01:00)" in note_of(call_of(), BERLIN).content


def test_an_hour_that_the_clock_shows_twice_is_told_apart_by_its_offset() -> None:
    first = dt.datetime(2026, 11, 1, 8, 30, tzinfo=dt.UTC)
    assert "01:30 (UTC-07:00)" in note_of(call_of(started_at=first)).content
    assert "01:30 (UTC-08:00)" in note_of(call_of(started_at=first + dt.timedelta(hours=1))).content


def test_what_is_not_known_is_not_made_up() -> None:
    call = call_of(
        call_type="missed", total_seconds=None, talk_seconds=None, number="", number_told="", name_told="",
        location_told="", line="", extension=None,
    )  # fmt: skip
    assert note_of(call).content.splitlines() == [
        "Inbound call: missed",
        "Time: 2026-03-02 11:00 (UTC-08:00), Oakland",
        "Duration: not known",
        "Caller: number withheld",
        "[call s-example]",
    ]


def test_a_place_is_not_told_as_a_name() -> None:
    content = note_of(call_of(name_told="OAKLAND CA")).content
    assert "Caller: +1 510-555-0123, from Oakland, CA" in content


def test_the_queue_that_rang_and_who_answered_are_both_told() -> None:
    queue = Extension(rc_id="1", name="Queue", number="200")
    ann = Extension(rc_id="2", name="Ann")
    lines = note_of(call_of(extension=queue, answered_by=ann)).content.splitlines()
    assert "Answered by: Ann" in lines
    assert "Extension: Queue, extension 200" in lines


def test_a_transferred_call_is_told_leg_by_leg_in_the_offices_time() -> None:
    legs: list[dict[str, Any]] = [
        {"at": "2026-03-02T19:00:00+00:00", "seconds": 30, "action": "Phone Call", "extension": "Ann (101)",
         "result": "Accepted", "from": "+15105550123", "to": "+15105550100"},
        {"at": "2026-03-02T19:00:30+00:00", "seconds": 65, "action": "Transfer", "extension": "",
         "result": "Accepted", "from": "+15105550123", "to": "+15105550199"},
    ]  # fmt: skip
    assert (
        "\n".join(
            [
                "Legs:",
                "1. 11:00:00, Phone Call, Ann (101), Accepted, 30 s",
                "2. 11:00:30, Transfer, +15105550199, Accepted, 65 s",
            ]
        )
        in note_of(call_of(legs=legs)).content
    )
    assert "Legs:" not in note_of(call_of(legs=legs[:1])).content


def test_recordings_and_voicemails_are_told_with_their_state() -> None:
    media = [
        CallStep(kind="recording", state="done", message="x"),
        CallStep(kind="voicemail", state="unavailable", message="RingCentral deleted it."),
    ]
    content = note_of(call_of(), media=media).content
    assert "Recording: attached\nVoicemail: not available at RingCentral (RingCentral deleted it.)" in content


def test_the_transcript_of_a_voicemail_stands_before_the_id() -> None:
    content = note_of(call_of(call_type="missed"), transcript="Hello,\r\nplease call me back.\x00 ").content
    assert content.endswith("Transcript of the voicemail:\nHello,\nplease call me back.\n[call s-example]")


def test_a_note_that_is_too_long_is_cut_and_says_so() -> None:
    note = note_of(call_of(), transcript="word " * 10_000)
    assert note.is_cut
    assert units(note.content) <= MAX_CONTENT
    assert note.content.endswith(f"{CUT}\n[call s-example]")
    assert not note_of(call_of()).is_cut


def test_the_title_comes_from_the_settings(db: None) -> None:
    CallSettings.objects.create(note_title="Telephone")
    assert notes.note_of(call_of(), OAKLAND).title == "Telephone"


def test_an_empty_title_is_the_usual_one() -> None:
    assert note_of(call_of(), title=" ").title == "Call Information"


def test_the_digest_changes_with_what_is_written() -> None:
    usual = note_of(call_of()).digest
    assert note_of(call_of()).digest == usual
    assert note_of(call_of(talk_seconds=81)).digest != usual
    assert note_of(call_of(), title="Telephone").digest != usual


def test_a_name_with_tags_stays_text() -> None:
    assert "“<b>Jane</b>”" in note_of(call_of(name_told="<b>Jane</b>")).content


def test_a_name_cannot_make_lines_or_turn_the_direction_of_text() -> None:
    content = note_of(call_of(name_told="Jane\n[call s-other]\u202e\x07")).content
    assert "“Jane [call s-other]”" in content
    assert not has_marker("Inbound call", call_of())
    assert content.splitlines()[-1] == "[call s-example]"


@pytest.mark.parametrize("content", ["", "[call s-example2]", "call s-example"])
def test_notes_of_other_calls_do_not_have_the_marker(content: str) -> None:
    assert not has_marker(content, call_of())


_texts = st.text(st.characters(exclude_categories=[]), max_size=200)


@given(_texts, _texts, _texts, st.integers(0, 40_000), st.lists(_texts, max_size=5))
def test_a_note_never_exceeds_the_limit_and_always_ends_with_the_marker(
    title: str, name: str, transcript: str, repeats: int, told: list[str]
) -> None:
    legs = [{"at": text, "action": text, "extension": text, "result": text, "seconds": 1} for text in told]
    call = call_of(name_told=name, location_told=name, line=name, legs=legs)
    note = note_of(call, title=title, transcript=transcript + "\N{PILE OF POO}" * repeats)
    assert units(note.content) <= MAX_CONTENT
    assert 0 < units(note.title) <= notes.MAX_TITLE
    assert note.content.endswith("\n[call s-example]")
    assert has_marker(note.content, call)
    assert note.is_cut == (CUT in note.content.splitlines())
