"""Writing one row: what is new, what differs, what is the same."""

from __future__ import annotations

from typing import Any, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Model

from telephony.rc_zoho.report import FileReport

Row = TypeVar("Row", bound=Model)


def put(
    file: FileReport,
    noun: str,
    row: Row | None,
    *,
    model: type[Row],
    place: str,
    identity: dict[str, Any],
    values: dict[str, Any],
    defaults: dict[str, Any] | None = None,
    extra: dict[str, Any] | None = None,
    synced: tuple[str, ...] = (),
) -> Row | None:
    """Adds the row, or changes what differs in the present one; None when it is not valid (reported).

    `values`: what the file says. `defaults`: for a new row only, so that local choices survive the next import.
    `extra`: unknown keys, added to those that the row has. `synced`: columns that follow the vendor once the row was
    compared with it; an older file does not undo that.
    """
    if row is not None and synced and row.synced_at is not None:  # type: ignore[attr-defined]
        values = {name: value for name, value in values.items() if name not in synced}
    is_new = row is None
    if row is None:
        row = model(**identity, **(defaults or {}))
    if extra:
        values = values | {"extra": row.extra | extra}  # type: ignore[attr-defined]
    changed = [name for name, value in values.items() if getattr(row, name) != value]
    for name in changed:
        setattr(row, name, values[name])
    if not _is_valid(file, row, place, None if is_new else set(changed)):
        return None
    tally = file.tally(noun)
    if is_new:
        row.save()
        tally.new += 1
    elif changed:
        row.save(update_fields=changed)
        tally.changed += 1
        # Names only: a value may be a number of a customer or a secret.
        file.change(f"{place}: {', '.join(changed)}")
    else:
        tally.unchanged += 1
    return row


def _is_valid(file: FileReport, row: Model, place: str, columns: set[str] | None) -> bool:
    """Whether the columns (None: all) hold what the model allows; relations were looked up before."""
    left_out = {
        each.name for each in row._meta.fields if each.is_relation or (columns is not None and each.name not in columns)
    }
    try:
        row.clean_fields(exclude=left_out)
    except ValidationError as error:
        for name, said in error.message_dict.items():
            file.fail(f"{place}: {name}: {' '.join(said)}")
        return False
    return True
