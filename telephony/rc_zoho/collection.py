"""Which files an installation consists of: looked up in its folder, or uploaded one by one."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any

from telephony.rc_zoho.json_text import MOST_BYTES, Unreadable, load
from telephony.rc_zoho.report import FileReport, printable, shown

OFFICE_ID = re.compile(r"[A-Za-z0-9_-]{1,60}")
# How the earlier tool's own screens called the office of an installation without an offices file.
SINGLE_COMPANY = "singlecompany"
MOST_OFFICES = 500


class Kind(StrEnum):
    OFFICES = "offices"
    EXTENSIONS = "extensions"
    LEAD_OWNERS = "lead owners"
    MAPPINGS = "field mappings"
    MAIL = "mail settings"
    CREDENTIALS = "credentials"


# In the order in which they are taken: extensions need their office, rules their owners.
FILE_NAMES = {
    Kind.OFFICES: "offices.json",
    Kind.EXTENSIONS: "extensions.json",
    Kind.LEAD_OWNERS: "lead_owners.json",
    Kind.MAPPINGS: "zoho_field_mappings.json",
    Kind.MAIL: "email_config.json",
    Kind.CREDENTIALS: "credentials.enc",
}
OF_AN_OFFICE = (Kind.EXTENSIONS, Kind.LEAD_OWNERS)
_TOP_KEYS = {
    Kind.OFFICES: {"offices", "global_config"},
    Kind.EXTENSIONS: {"extensions"},
    Kind.LEAD_OWNERS: {"lead_owners", "assignment_rules"},
    Kind.MAIL: {
        "smtp_server", "smtp_settings", "sender_email", "recipients", "report_settings", "subject_templates",
        "error_notification",
    },
    Kind.MAPPINGS: {"accepted_calls", "missed_calls", "lead_status", "lead_source"},
}  # fmt: skip


class Unusable(Exception):
    """There is nothing to import here; the text says why."""


@dataclass
class ConfigFile:
    """A file to take. `value` is its JSON; `key` belongs to credentials, which are no JSON before they are opened."""

    report: FileReport
    kind: Kind
    office: str = ""
    value: Any = None
    content: bytes = b""
    key: bytes = b""

    @property
    def family(self) -> str:
        """M or R, by shape: a bare list, or SMTP settings in an object of their own, are R."""
        is_r = isinstance(self.value, list) or (
            self.kind == Kind.MAIL and ("smtp_settings" in self.value or isinstance(self.value.get("recipients"), dict))
        )
        return "R" if is_r else "M"


@dataclass
class Collection:
    """All files of one import. `left_out` are the reports of files that could not be read or are not meant to be."""

    source: str
    files: list[ConfigFile] = field(default_factory=list)
    left_out: list[FileReport] = field(default_factory=list)

    def own_files(self, office: str) -> set[Kind]:
        """What the office brings along that could be read."""
        return {file.kind for file in self.files if file.office == office}

    def of_kind(self, kind: Kind) -> ConfigFile | None:
        return next((file for file in self.files if file.kind == kind), None)


def kind_of(value: Any, name: str) -> Kind | None:
    """What the content is, by its shape; the file's name decides where the shape says nothing."""
    if isinstance(value, dict):
        for kind, keys in _TOP_KEYS.items():
            if keys & set(value):
                return kind
        return None
    if not isinstance(value, list):
        return None
    keys = {key for element in value if isinstance(element, dict) for key in element}
    if "extensionNumber" in keys:
        return Kind.EXTENSIONS
    if "email" in keys:
        return Kind.LEAD_OWNERS
    named = {file_name: kind for kind, file_name in FILE_NAMES.items() if kind in OF_AN_OFFICE}
    return named.get(name)


# --- from a folder ----------------------------------------------------------------------------------------------------


def from_folder(folder: Path, *, with_credentials: bool = False) -> Collection:
    """Looks in the folder and in its `core`. Raises Unusable when there is no such folder or nothing in it."""
    try:
        is_folder, base = folder.is_dir(), folder.resolve()
    except (OSError, RuntimeError) as error:
        raise Unusable(f"{folder} cannot be entered.") from error
    if not is_folder:
        raise Unusable(f"{folder} is no folder.")
    found = _Folder(base)
    found.offices_and_people()
    found.shared(Kind.MAPPINGS)
    found.shared(Kind.MAIL)
    found.credentials(is_wanted=with_credentials)
    if not found.collection.files and not found.collection.left_out:
        raise Unusable(
            f"{folder} holds no file of such an installation. Name the folder in which “data” or “sorted” lies."
        )
    return found.collection


class _Folder:
    """The search in one folder; nothing outside of it is read, whatever links point there."""

    def __init__(self, folder: Path) -> None:
        self.base = folder
        self.roots = [folder, folder / "core"]
        self.collection = Collection(folder.name or "installation")

    def offices_and_people(self) -> None:
        offices = self._first("sorted/data/offices.json", "data/offices.json")
        if offices is None:
            self._single_company()
            return
        file = self._take(offices, Kind.OFFICES)
        for name in OF_AN_OFFICE:
            for path in self._all(f"data/{FILE_NAMES[name]}"):
                self._leave_out(path, name, "Not read: it belongs to a single company, and there is an offices file.")
        listed = _office_ids(file.value) if file else []
        for office in listed:
            for kind in OF_AN_OFFICE:
                self._of_office(office, kind)
        if file is not None:
            self._unlisted(set(listed))

    def _single_company(self) -> None:
        paths = {kind: self._first(f"data/{FILE_NAMES[kind]}") for kind in OF_AN_OFFICE}
        for kind, path in paths.items():
            if path is not None and all(paths.values()):
                self._take(path, kind, SINGLE_COMPANY)
            elif path is not None:
                both = " and ".join(FILE_NAMES[each] for each in OF_AN_OFFICE)
                report = self._leave_out(path, kind, f"Not read: a single company needs both {both}.")
                report.warn("Without an offices file and without its counterpart this file belongs to no office.")

    def _of_office(self, office: str, kind: Kind) -> None:
        path = self._first(f"sorted/{office}/{FILE_NAMES[kind]}")
        if path is not None:
            self._take(path, kind, office)

    def _unlisted(self, listed: set[str]) -> None:
        """Folders of offices that the offices file has forgotten: nobody should miss them silently."""
        for root in self.roots:
            for folder in sorted(root.glob("sorted/*"))[:MOST_OFFICES]:
                for kind in OF_AN_OFFICE:
                    path = folder / FILE_NAMES[kind]
                    if folder.name not in listed and _is_there(path):
                        self._leave_out(path, kind, "Not read.").warn(
                            f"The offices file does not list “{printable(folder.name)}”."
                        )

    def shared(self, kind: Kind) -> None:
        path = self._first(f"data/{FILE_NAMES[kind]}")
        if path is not None:
            self._take(path, kind)

    def credentials(self, *, is_wanted: bool) -> None:
        path = self._first(f"data/{FILE_NAMES[Kind.CREDENTIALS]}")
        if path is None:
            if is_wanted:
                report = FileReport(f"data/{FILE_NAMES[Kind.CREDENTIALS]}", Kind.CREDENTIALS)
                report.fail("There is no such file. Leave --with-credentials out, or enter the secrets by hand.")
                self.collection.left_out.append(report)
            return
        if not is_wanted:
            self._leave_out(path, Kind.CREDENTIALS, "Not read: ask for it with --with-credentials.")
            return
        report = FileReport(self._name(path), Kind.CREDENTIALS)
        key = self._first("data/encryption.key")
        try:
            if key is None:
                raise Unreadable("its key, data/encryption.key, is missing. Without it nothing can be opened.")
            file = ConfigFile(report, Kind.CREDENTIALS, content=self._read(path), key=self._read(key))
        except Unreadable as error:
            report.fail(str(error))
            self.collection.left_out.append(report)
        else:
            self.collection.files.append(file)

    # --- single files ---

    def _all(self, *names: str) -> list[Path]:
        return [root / name for root in self.roots for name in names if _is_there(root / name)]

    def _first(self, *names: str) -> Path | None:
        """The first place that has it, in the fixed order; further ones are listed as not read."""
        found = self._all(*names)
        for path in found[1:]:
            self._leave_out(path, "", f"Not read: {self._name(found[0])} comes first.")
        return found[0] if found else None

    def _leave_out(self, path: Path, kind: Kind | str, note: str) -> FileReport:
        report = FileReport(self._name(path), str(kind), note=note)
        self.collection.left_out.append(report)
        return report

    def _name(self, path: Path) -> str:
        return printable(str(path.relative_to(self.base)), 200)

    def _take(self, path: Path, kind: Kind, office: str = "") -> ConfigFile | None:
        report = FileReport(self._name(path), kind, office=office)
        file = ConfigFile(report, kind, office)
        try:
            file.value = load(self._read(path))
            _check_shape(file, path.name)
        except Unreadable as error:
            report.fail(str(error))
            self.collection.left_out.append(report)
            return None
        report.family = file.family
        self.collection.files.append(file)
        return file

    def _read(self, path: Path) -> bytes:
        """Content of a regular file within the folder and of bounded size. Raises Unreadable."""
        try:
            real = path.resolve(strict=True)
            if not real.is_relative_to(self.base):
                raise Unreadable("it is a link to a place outside of the folder, so it was not read. Copy the file.")
            # Non-blocking: opening a named pipe would wait for its writer.
            handle = os.open(real, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOFOLLOW", 0))
            with os.fdopen(handle, "rb") as file:
                if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    raise Unreadable("it is no ordinary file.")
                content = file.read(MOST_BYTES + 1)
        except (OSError, RuntimeError) as error:
            reason = getattr(error, "strerror", None) or "its links go in a circle"
            raise Unreadable(f"it cannot be read: {reason}.") from error
        _check_size(content)
        return content


def _is_there(path: Path) -> bool:
    """Also for a link that leads nowhere and below a closed folder: such a file is unreadable, not absent."""
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError:
        return True
    return True


def _office_ids(value: Any) -> list[str]:
    offices = value.get("offices") if isinstance(value, dict) else None
    ids = [office for office in offices if OFFICE_ID.fullmatch(office)] if isinstance(offices, dict) else []
    return ids[:MOST_OFFICES]


# --- uploaded ---------------------------------------------------------------------------------------------------------


def from_uploads(uploads: Iterable[tuple[str, bytes]], office: str) -> Collection:
    """Files by name and content; each says by its shape what it is. `office`: id for extensions and owners."""
    collection = Collection("uploaded files")
    seen: dict[Kind, str] = {}
    for name, content in uploads:
        report = FileReport(printable(name, 100))
        try:
            file = _uploaded(report, name, content, office)
            if file.kind in seen:
                raise Unreadable(f"it holds {file.kind} as {seen[file.kind]} does. Import one after the other.")
        except Unreadable as error:
            report.fail(str(error))
            collection.left_out.append(report)
        else:
            seen[file.kind] = report.path
            collection.files.append(file)
    collection.files.sort(key=lambda file: list(Kind).index(file.kind))
    return collection


def _uploaded(report: FileReport, name: str, content: bytes, office: str) -> ConfigFile:
    _check_size(content)
    value = load(content)
    kind = kind_of(value, name)
    if kind is None:
        known = ", ".join(FILE_NAMES[kind] for kind in _TOP_KEYS)
        raise Unreadable(f"its content is none of {known}.")
    file = ConfigFile(report, kind, office if kind in OF_AN_OFFICE else "", value)
    report.kind, report.office, report.family = kind, file.office, file.family
    return file


def _check_size(content: bytes) -> None:
    if len(content) > MOST_BYTES:
        raise Unreadable(f"it is larger than {MOST_BYTES // 1024 // 1024} MB. A configuration has some kilobytes.")


def _check_shape(file: ConfigFile, name: str) -> None:
    """A file in whose place something else lies is refused: `extensions.json` with owners would make odd phones."""
    kind = kind_of(file.value, name)
    if kind is None and isinstance(file.value, dict) and not file.value:
        return
    if kind != file.kind:
        what = f"holds {kind}" if kind else f"is {shown(file.value)} without any key that is known"
        raise Unreadable(f"it {what}, but {file.kind} belong here.")
    if isinstance(file.value, list) and file.kind not in OF_AN_OFFICE:
        raise Unreadable(f"it is a list, but {file.kind} are an object.")
