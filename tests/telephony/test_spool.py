"""Media at rest: unreadable without the key, whole or not at all, gone when done."""

from __future__ import annotations

import hashlib

import pytest
import requests
from cryptography.fernet import Fernet
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from portal.fields import Undecryptable
from telephony import spool
from telephony.spool import PIECE, MultipartFile, SealedFile


@pytest.fixture(autouse=True)
def own_folder(settings, tmp_path):
    settings.VAR_DIR = tmp_path


def stored_bytes():
    return b"".join(path.read_bytes() for path in spool.folder().iterdir())


def test_what_was_written_comes_back_and_rests_unreadable():
    content = b"RIFF plain words of a caller " * 10_000
    with SealedFile() as file:
        for first in range(0, len(content), 7_001):
            file.write(content[first : first + 7_001])
        file.seek(0)
        assert b"plain words" not in stored_bytes()
        assert file.read() == content
        assert file.sha256 == hashlib.sha256(content).hexdigest()
        assert file.size == len(content)
        file.seek(0)
        assert file.read(10) == content[:10]


def test_another_key_does_not_open_it(settings):
    with SealedFile() as file:
        file.write(b"secret")
        file.seek(0)
        settings.FIELD_ENCRYPTION_KEYS = [Fernet.generate_key().decode()]
        with pytest.raises(Undecryptable):
            file.read()


def test_it_is_gone_when_it_is_closed():
    with SealedFile() as file:
        file.write(b"x")
    assert list(spool.folder().iterdir()) == []


@pytest.mark.parametrize("damage", ["cut", "swapped", "changed"])
def test_a_damaged_file_does_not_open(damage):
    with SealedFile() as file:
        file.write(b"a" * PIECE * 3)
        file.seek(0)
        path = next(spool.folder().iterdir())
        lines = path.read_bytes().splitlines(keepends=True)
        if damage == "cut":
            lines = lines[:-1]
        elif damage == "swapped":
            lines[0], lines[1] = lines[1], lines[0]
        else:
            lines[1] = lines[1][:100] + b"A" + lines[1][101:]
        path.write_bytes(b"".join(lines))
        with pytest.raises(Undecryptable):
            file.read()


def test_only_its_owner_may_read_the_file():
    with SealedFile():
        path = next(spool.folder().iterdir())
        assert path.stat().st_mode & 0o777 == 0o600
        assert spool.folder().stat().st_mode & 0o777 == 0o700


def test_files_of_dead_workers_are_swept_after_a_day():
    import os

    file = SealedFile()
    file.write(b"x")
    assert spool.sweep() == 0
    path = next(spool.folder().iterdir())
    os.utime(path, (1, 1))
    assert spool.sweep() == 1
    file.close()


@hypothesis_settings(max_examples=40, deadline=None)
@given(content=st.binary(max_size=3 * PIECE), steps=st.integers(1, PIECE))
def test_a_multipart_body_has_the_length_it_says_however_it_is_read(content, steps):
    with SealedFile() as file:
        file.write(content)
        body = MultipartFile(file, "a.wav", "audio/wav")
        for _ in range(2):
            body.seek(0)
            read = b""
            while piece := body.read(steps):
                read += piece
            assert len(read) == len(body)
            assert content in read
        body.seek(0)
        prepared = requests.Request("POST", "http://127.0.0.1/", data=body).prepare()
        assert prepared.headers["Content-Length"] == str(len(body))
