"""Single files by way of the browser: the form, and what is kept between the look at them and the import."""

from __future__ import annotations

import base64
import datetime as dt
import json
import secrets
from dataclasses import dataclass
from typing import Any

from django import forms
from django.contrib.sessions.backends.base import SessionBase
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.utils import timezone

from portal.fields import Undecryptable, decrypt, encrypt
from telephony.models import Office
from telephony.rc_zoho.collection import OFFICE_ID, SINGLE_COMPANY, Collection, from_uploads

MOST_FILES = 10
MOST_FILE_BYTES = 512 * 1024
# The files wait in the login session, which is read with every page.
MOST_BYTES = 1024 * 1024
KEY = "rc_zoho_import"
KEPT_FOR = dt.timedelta(hours=1)


class _FilesInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class FilesField(forms.FileField):
    """One file or several, each of bounded size; gives a list."""

    widget = _FilesInput

    def clean(self, data: Any, initial: Any = None) -> list[UploadedFile]:
        files = [super(FilesField, self).clean(each, initial) for each in (data or [None])]
        if len(files) > MOST_FILES:
            raise ValidationError(f"These are {len(files)} files. Choose at most {MOST_FILES} at once.")
        for file in files:
            if file.size > MOST_FILE_BYTES:
                raise ValidationError(
                    f"“{file.name}” has {file.size / 1e6:.1f} MB; the limit is {MOST_FILE_BYTES // 1024} KB. "
                    "Is it the right file?"
                )
        if sum(file.size for file in files) > MOST_BYTES:
            raise ValidationError("Together they are larger than 1 MB. Import them one after the other.")
        return files


class UploadForm(forms.Form):
    """The files, and the office to which extensions and lead owners belong."""

    uploads = FilesField(
        label="Configuration files",
        widget=_FilesInput(attrs={"accept": ".json,application/json"}),
        error_messages={"required": "Choose at least one file.", "empty": "One of the files is empty."},
        help_text="offices.json, extensions.json, lead_owners.json, zoho_field_mappings.json, email_config.json; "
        "one or several. Each says by its content what it is.",
    )
    office = forms.CharField(
        label="Office",
        required=False,
        max_length=60,
        widget=forms.TextInput(attrs={"list": "office-ids", "autocomplete": "off", "spellcheck": "false"}),
        help_text="Id of the office whose extensions.json or lead_owners.json these are, such as philadelphia. "
        "Empty: the only office, or the single company.",
    )

    def clean_office(self) -> str:
        office = str(self.cleaned_data["office"]).strip()
        if office and not OFFICE_ID.fullmatch(office):
            raise ValidationError("An office id has letters, digits, - and _ only, such as philadelphia.")
        return office or self._only_office()

    def _only_office(self) -> str:
        """Among several offices there is no choice to be guessed: the file then says that it belongs to none."""
        slugs = list(Office.objects.values_list("slug", flat=True)[:2])
        return slugs[0] if len(slugs) == 1 else "" if slugs else SINGLE_COMPANY

    def contents(self) -> list[tuple[str, bytes]]:
        return [(str(file.name), file.read()) for file in self.cleaned_data["uploads"]]


@dataclass(frozen=True)
class Pending:
    """Files that were looked at and not imported yet. `token` ties the button to exactly these."""

    token: str
    office: str
    files: list[tuple[str, bytes]]

    def collection(self) -> Collection:
        return from_uploads(self.files, self.office)


def keep(session: SessionBase, person: int, office: str, files: list[tuple[str, bytes]]) -> Pending:
    """Keeps the files for this person in this login session, encrypted: one of them may hold a password."""
    pending = Pending(secrets.token_urlsafe(16), office, files)
    value = {
        "person": person, "at": timezone.now().isoformat(), "token": pending.token, "office": office,
        "files": [[name, base64.b64encode(content).decode()] for name, content in files],
    }  # fmt: skip
    session[KEY] = encrypt(json.dumps(value))
    return pending


def take(session: SessionBase, person: int, token: str) -> Pending | None:
    """The files that belong to the button, once; None when they are gone, too old, or others were looked at since."""
    held = session.get(KEY)
    if not held:
        return None
    try:
        value = json.loads(decrypt(held))
    except Undecryptable:
        del session[KEY]
        return None
    is_fresh = timezone.now() - dt.datetime.fromisoformat(value["at"]) < KEPT_FOR
    if value["person"] != person or not secrets.compare_digest(value["token"].encode(), token.encode()):
        return None
    del session[KEY]
    if not is_fresh:
        return None
    files = [(name, base64.b64decode(content)) for name, content in value["files"]]
    return Pending(token, value["office"], files)


def forget(session: SessionBase) -> None:
    session.pop(KEY, None)
