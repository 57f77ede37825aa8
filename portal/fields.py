"""A text column that is encrypted at rest.

Own code on purpose: of the packages for this, one returns the ciphertext as the value when the key is wrong, the other
destroys data in `bulk_update`.
"""

from functools import cache
from typing import Any

from cryptography.fernet import Fernet, InvalidToken, MultiFernet
from django.conf import settings
from django.core.exceptions import FieldError
from django.db import models

PREFIX = "f1:"


class Undecryptable(Exception):
    """A stored secret that none of FIELD_ENCRYPTION_KEYS opens."""


@cache
def _fernet(keys: tuple[str, ...]) -> MultiFernet:
    return MultiFernet([Fernet(key) for key in keys])


def cipher() -> MultiFernet:
    """The current keys, newest first; the first one encrypts."""
    return _fernet(tuple(settings.FIELD_ENCRYPTION_KEYS))


def encrypt(value: str) -> str:
    return PREFIX + cipher().encrypt(value.encode()).decode()


def decrypt(stored: str) -> str:
    """Opens what `encrypt` made.

    Raises Undecryptable when no key fits or the text was never encrypted: returning it would leak or corrupt.
    """
    if not stored.startswith(PREFIX):
        raise Undecryptable("A stored secret is not in the encrypted format.")
    try:
        return cipher().decrypt(stored[len(PREFIX) :].encode()).decode()
    except InvalidToken as error:
        raise Undecryptable(
            "A stored secret cannot be decrypted. Add the key that encrypted it to FIELD_ENCRYPTION_KEYS."
        ) from error


class Secret(str):
    """A decrypted secret that does not show itself by accident."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "Secret('***')"


class EncryptedTextField(models.TextField):
    """Text that only FIELD_ENCRYPTION_KEYS can read; empty stays empty. It cannot be searched."""

    def from_db_value(self, value: str | None, expression: Any, connection: Any) -> str | None:
        if not value:
            return value
        return Secret(decrypt(value))

    def get_prep_value(self, value: Any) -> Any:
        value = super().get_prep_value(value)
        if not value or hasattr(value, "resolve_expression"):
            return value
        return encrypt(str(value))

    def get_lookup(self, lookup_name: str) -> Any:
        if lookup_name not in {"isnull"}:
            raise FieldError(f"{self.name} is encrypted and cannot be searched.")
        return super().get_lookup(lookup_name)
