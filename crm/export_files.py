"""Writing an export to a file: under a temporary name beside it, renamed when it is complete."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import Any

from crm import export
from crm.export import Account
from crm.record_source import Look
from crm.zoho.schema import text_of

ROWS_PER_GROUP = 5000
PARTIAL = ".partial"
FORMATS = ("csv", "jsonl", "parquet")


def write(look: Look, path: Path, kind: str) -> tuple[Account, Path]:
    """Writes the records and returns the account and the file that is there now; a partial one keeps its other name.

    An existing file of the final name is replaced. Raises OSError.
    """
    account = Account()
    partial = path.with_name(path.name + PARTIAL)
    writer = _write_parquet if kind == "parquet" else _text_writer(kind)
    writer(look, partial, account)
    if account.is_partial:
        return account, partial
    partial.replace(path)
    return account, path


def can_write(kind: str) -> bool:
    return kind != "parquet" or find_spec("pyarrow") is not None


def _text_writer(kind: str) -> Callable[[Look, Path, Account], None]:
    def write_text(look: Look, path: Path, account: Account) -> None:
        with path.open("w", encoding="utf-8", newline="") as file:
            for piece in export.WRITERS[kind](look, account):
                file.write(piece)

    return write_text


def _write_parquet(look: Look, path: Path, account: Account) -> None:
    # Optional, and without types: only this format needs it.
    pyarrow: Any = import_module("pyarrow")
    parquet: Any = import_module("pyarrow.parquet")
    kinds = {"boolean": pyarrow.bool_(), "integer": pyarrow.int64()}
    kinds |= dict.fromkeys(("double", "currency", "percent"), pyarrow.float64())
    fields = [pyarrow.field(each.api_name, kinds.get(each.data_type, pyarrow.string())) for each in look.fields]
    schema = pyarrow.schema([pyarrow.field("id", pyarrow.string()), *fields])
    rows = _typed(look, account)
    with parquet.ParquetWriter(path, schema) as file:
        while group := list(islice(rows, ROWS_PER_GROUP)):
            file.write_table(pyarrow.Table.from_pylist(group, schema=schema))


def _typed(look: Look, account: Account) -> Iterator[dict[str, Any]]:
    """Records whose values fit the columns; a value of another type than Zoho announces becomes nothing, or text."""
    casts: dict[str, Callable[[Any], Any]] = {"boolean": bool, "integer": int}
    casts |= dict.fromkeys(("double", "currency", "percent"), float)
    types = {column.api_name: casts.get(column.data_type, text_of) for column in look.fields}
    for record in export.records(look, account):
        yield {name: _cast(types.get(name, str), value) for name, value in record.items()}


def _cast(to: Callable[[Any], Any], value: Any) -> Any:
    if value is None:
        return None
    try:
        return to(value)
    except (TypeError, ValueError):
        return None
