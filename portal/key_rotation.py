"""Re-encrypts everything that FIELD_ENCRYPTION_KEYS protects with the newest key, so that older ones can be dropped."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cryptography.fernet import Fernet, InvalidToken
from django.apps import apps
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.db import transaction
from django.db.models import Model, TextField, Value
from django.db.models.functions import Cast

from portal.connections import temporary as temporary_connections
from portal.fields import PREFIX, EncryptedTextField, Undecryptable, decrypt, encrypt
from portal.models import Connection

BATCH = 500


@dataclass
class Counts:
    """Secrets looked at. `current`: already under the newest key. `unreadable`: no key opens them."""

    rotated: int = 0
    current: int = 0
    unreadable: int = 0


def rotate_all() -> Counts:
    """All encrypted columns of all models, then the secrets in sessions. Running it again changes nothing."""
    counts = Counts()
    for model, names in encrypted_columns():
        for name in names:
            _rotate_column(model, name, counts)
    _rotate_sessions(counts)
    return counts


def encrypted_columns() -> Iterator[tuple[type[Model], list[str]]]:
    """Models with encrypted columns, and the names of these."""
    for model in apps.get_models():
        names = [field.name for field in model._meta.concrete_fields if isinstance(field, EncryptedTextField)]
        if names and model._meta.managed and not model._meta.proxy:
            yield model, names


def stored_texts(model: type[Model], name: str, *, after: int = 0, limit: int = BATCH) -> list[tuple[int, str]]:
    """Primary keys and ciphertexts of one column, as they are in the database, without the empty ones."""
    rows = model._default_manager.annotate(ciphertext=Cast(name, TextField())).filter(pk__gt=after)
    return list(rows.exclude(ciphertext="").order_by("pk").values_list("pk", "ciphertext")[:limit])


def _rotate_column(model: type[Model], name: str, counts: Counts) -> None:
    last = 0
    while batch := stored_texts(model, name, after=last):
        with transaction.atomic():
            for pk, stored in batch:
                renewed = _renewed(stored, counts)
                if renewed is None:
                    continue
                # Matching on the old ciphertext leaves alone what was changed meanwhile: that is under the newest key.
                rows = model._default_manager.annotate(ciphertext=Cast(name, TextField()))
                rows.filter(pk=pk, ciphertext=stored).update(**{name: Value(renewed, output_field=TextField())})
        last = batch[-1][0]


def _renewed(stored: str, counts: Counts) -> str | None:
    """The same secret under the newest key; None when nothing is to be done or can be done."""
    if is_current(stored):
        counts.current += 1
        return None
    try:
        renewed = encrypt(decrypt(stored))
    except Undecryptable:
        counts.unreadable += 1
        return None
    counts.rotated += 1
    return renewed


def is_current(stored: str) -> bool:
    """Whether the newest key opens it."""
    try:
        Fernet(settings.FIELD_ENCRYPTION_KEYS[0]).decrypt(stored.removeprefix(PREFIX).encode())
    except InvalidToken:
        return False
    return stored.startswith(PREFIX)


def _rotate_sessions(counts: Counts) -> None:
    """Secrets of temporary connections; the rows tell in which sessions they are."""
    rows = Connection.objects.filter(source=Connection.Source.TEMPORARY).exclude(session_key="")
    for session_key in sorted(set(rows.values_list("session_key", flat=True))):
        _rotate_session(temporary_connections.session_store(session_key), counts)


def _rotate_session(session: SessionBase, counts: Counts) -> None:
    held = dict(session.get(temporary_connections.KEY, {}))
    renewed = {pk: text for pk, stored in held.items() if (text := _renewed(stored, counts)) is not None}
    if renewed:
        session[temporary_connections.KEY] = held | renewed
        session.save()
