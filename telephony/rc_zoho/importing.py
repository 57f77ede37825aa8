"""One import: every file in a transaction of its own, or all of them in one that is taken back (dry run)."""

from __future__ import annotations

from dataclasses import dataclass, field

from django.contrib.auth.models import AnonymousUser
from django.db import DatabaseError, transaction

from portal import audit
from portal.connections import Person
from portal.connections.check import check
from portal.fields import Undecryptable
from portal.models import Connection
from telephony.models import CallSettings, Office
from telephony.rc_zoho import credentials, extensions, mail, mappings, offices, owners, zoho_side
from telephony.rc_zoho.collection import OF_AN_OFFICE, SINGLE_COMPANY, Collection, ConfigFile, Kind, Unusable
from telephony.rc_zoho.report import Checked, Report, printable

AUDIT_ACTION = "phone configuration imported"


class _TakeBack(Exception):
    """Ends a transaction without its effect."""


@dataclass
class Importing:
    """What to import, and how. `only_office`: that office and its own files, nothing that holds for all."""

    collection: Collection
    only_office: str = ""
    data_centre: str = ""
    user: Person = field(default_factory=AnonymousUser)
    actor: str = ""
    address: str | None = None
    stored: list[Connection] = field(default_factory=list)

    def dry_run(self) -> Report:
        """The report that `run` would give, with nothing stored."""
        report = self._report(is_dry_run=True)
        try:
            with transaction.atomic():
                self._apply_all()
                raise _TakeBack
        except _TakeBack:
            pass
        return report

    def run(self) -> Report:
        """Stores the files, records the import once, checks the connections that came along and compares with Zoho.

        Not to be used inside a transaction: the checks call the vendors.
        """
        report = self._report(is_dry_run=False)
        self._apply_all()
        audit.record(
            AUDIT_ACTION, user=self.user, actor=self.actor, address=self.address, target=report.source,
            office=self.only_office, summary=report.summary,
            files=[
                {"path": file.path, "state": file.state, "errors": len(file.errors), "warnings": len(file.warnings)}
                for file in report.files
            ],
        )  # fmt: skip
        for connection in self.stored:
            findings = check(connection)
            report.checked.append(Checked(connection.vendor, connection.name, findings))
        if report.is_taken and (compared := zoho_side.compare()):
            report.checked.append(compared)
        if self.stored:
            report.advice.append(credentials.ROTATE)
        return report

    def _report(self, *, is_dry_run: bool) -> Report:
        """Raises Unusable when the office that is asked for is not there."""
        self._select()
        files = [*(file.report for file in self.collection.files), *self.collection.left_out]
        return Report(self.collection.source, is_dry_run, files)

    def _select(self) -> None:
        """Leaves out what does not belong to the office that is asked for."""
        if not self.only_office:
            return
        known = self._known_offices()
        if self.only_office not in known:
            names = ", ".join(printable(each) for each in sorted(known)) or "none"
            raise Unusable(f"There is no office “{printable(self.only_office)}” here. There is: {names}.")
        for file in list(self.collection.files):
            if file.office != self.only_office and file.kind != Kind.OFFICES:
                self.collection.files.remove(file)
                file.report.note = f"Left out: only the office “{self.only_office}” is imported."
                self.collection.left_out.append(file.report)

    def _known_offices(self) -> set[str]:
        file = self.collection.of_kind(Kind.OFFICES)
        listed = file.value.get("offices") if file else None
        own = {file.office for file in self.collection.files if file.office}
        return own | (set(listed) if isinstance(listed, dict) else set())

    def _apply_all(self) -> None:
        for file in self.collection.files:
            self._apply(file)

    def _apply(self, file: ConfigFile) -> None:
        """All of the file or nothing. What is wrong with it is in its report afterwards."""
        stored: list[Connection] = []
        try:
            with transaction.atomic():
                # Two imports at once take turns file by file; the second finds the rows of the first.
                CallSettings.objects.select_for_update().get(pk=CallSettings.load().pk)
                stored = self._take(file)
                if file.report.errors:
                    raise _TakeBack
        except _TakeBack:
            file.report.forget_counts()
        except Undecryptable as error:
            file.report.fail(str(error))
            file.report.forget_counts()
        except DatabaseError as error:
            file.report.fail(f"the database refused it ({type(error).__name__}). Try again.")
            file.report.forget_counts()
        else:
            self.stored += stored

    def _take(self, file: ConfigFile) -> list[Connection]:
        if file.kind == Kind.OFFICES:
            offices.apply(file, self.collection, self.only_office)
        elif file.kind in OF_AN_OFFICE:
            self._of_office(file)
        elif file.kind == Kind.MAPPINGS:
            mappings.apply(file)
        elif file.kind == Kind.MAIL:
            mail.apply(file)
        elif file.kind == Kind.CREDENTIALS:
            return credentials.apply(file, self.collection.source, self.data_centre)
        return []

    def _of_office(self, file: ConfigFile) -> None:
        office = Office.objects.filter(slug=file.office).first()
        if office is None and file.office == SINGLE_COMPANY:
            office = offices.single_company(file.report)
        if office is None and not file.office:
            file.report.fail("there are several offices. Name the office whose file this is.")
        elif office is None:
            file.report.fail(f"there is no office “{file.office}” to which it could belong. Import its offices first.")
        elif file.kind == Kind.EXTENSIONS:
            extensions.apply(file, office)
        else:
            owners.apply(file, office)
