"""Secrets in the database: unreadable there, readable here, and never shown by accident."""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.fernet import Fernet
from django.core.exceptions import FieldError
from django.db import connection as database
from django.db.models import F
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from portal import fields
from portal.fields import PREFIX, Secret, Undecryptable, decrypt, encrypt
from portal.models import Connection

OLD, NEW = Fernet.generate_key().decode(), Fernet.generate_key().decode()


@given(st.text(alphabet=st.characters(codec="utf-8")))
@hypothesis_settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_what_is_encrypted_comes_back_and_cannot_be_seen(text: str) -> None:
    stored = encrypt(text)
    assert stored.startswith(PREFIX)
    assert len(text) < 6 or text not in stored
    assert decrypt(stored) == text


def test_the_same_text_is_stored_differently_each_time() -> None:
    assert encrypt("secret") != encrypt("secret")


@pytest.mark.parametrize(
    "stored", ["hunter2", "", "f1:", "f1:garbage", "f2:" + "x" * 80, PREFIX + Fernet(OLD).encrypt(b"x").decode()]
)
def test_what_no_key_opens_is_an_error_and_never_a_value(stored: str) -> None:
    with pytest.raises(Undecryptable) as caught:
        decrypt(stored)
    assert len(stored) < 4 or stored[3:] not in str(caught.value)


def test_the_newest_key_encrypts_and_older_ones_still_open(settings: Any) -> None:
    settings.FIELD_ENCRYPTION_KEYS = [OLD]
    stored = encrypt("secret")
    settings.FIELD_ENCRYPTION_KEYS = [NEW, OLD]
    assert decrypt(stored) == "secret"
    renewed = encrypt("secret")
    settings.FIELD_ENCRYPTION_KEYS = [NEW]
    assert decrypt(renewed) == "secret"
    with pytest.raises(Undecryptable, match="FIELD_ENCRYPTION_KEYS"):
        decrypt(stored)


def test_a_secret_does_not_show_itself() -> None:
    secret = Secret("hunter2")
    assert secret == "hunter2"
    assert "hunter2" not in repr(secret)
    assert "hunter2" not in repr({"password": secret})
    assert "hunter2" not in f"{[secret]}"


# --- the column ---------------------------------------------------------------------------------------------------------


def raw(name: str = "refresh_token") -> str:
    with database.cursor() as cursor:
        cursor.execute(f"select {name} from portal_connection")
        return cursor.fetchone()[0]


@pytest.mark.django_db
def test_the_database_holds_no_secret() -> None:
    Connection.objects.create(
        vendor="zoho", name="x", client_secret="the-client-secret", refresh_token="1000.refresh", jwt="the.j.w.t"
    )
    for name, plain in (
        ("client_secret", "the-client-secret"),
        ("refresh_token", "1000.refresh"),
        ("jwt", "the.j.w.t"),
    ):
        assert raw(name).startswith(PREFIX)
        assert plain not in raw(name)
    found = Connection.objects.get()
    assert found.refresh_token == "1000.refresh"
    assert isinstance(found.refresh_token, Secret)


@pytest.mark.django_db
def test_empty_stays_empty_and_every_way_to_write_encrypts() -> None:
    row = Connection.objects.create(vendor="zoho", name="x")
    assert raw() == ""
    Connection.objects.update(refresh_token="one")
    assert decrypt(raw()) == "one"
    row.refresh_token = "two"
    Connection.objects.bulk_update([row], ["refresh_token"])
    assert decrypt(raw()) == "two"
    Connection.objects.filter(pk=row.pk).delete()
    Connection.objects.bulk_create([Connection(vendor="zoho", name="y", refresh_token="three")])
    assert decrypt(raw()) == "three"
    Connection.objects.update(refresh_token=F("client_secret"))
    assert raw() == ""


@pytest.mark.django_db
@pytest.mark.parametrize(
    "lookup", ["refresh_token", "refresh_token__contains", "refresh_token__in", "refresh_token__gt"]
)
def test_a_secret_cannot_be_searched(lookup: str) -> None:
    with pytest.raises(FieldError, match="encrypted and cannot be searched"):
        list(Connection.objects.filter(**{lookup: "x"}))
    assert list(Connection.objects.filter(refresh_token__isnull=True)) == []


@pytest.mark.django_db
def test_a_row_that_holds_plain_text_is_an_error_when_read() -> None:
    Connection.objects.create(vendor="zoho", name="x", refresh_token="secret")
    with database.cursor() as cursor:
        cursor.execute("update portal_connection set refresh_token = 'plain'")
    with pytest.raises(Undecryptable):
        Connection.objects.get()
    assert Connection.objects.defer(*("client_secret", "refresh_token", "jwt")).get().name == "x"
    assert fields.PREFIX == "f1:"
