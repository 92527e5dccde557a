"""The order both sides share: key columns as SQL on either side, ranges over them, key values as literals and JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from stepflow_tui.engine.model.codec import from_plain, to_plain
from stepflow_tui.engine.model.discrepancy import Scalar
from stepflow_tui.engine.model.plan import ColumnPlan, CompareKind, TablePlan
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import lite_ident, lite_literal, pg_ident, pg_literal
from stepflow_tui.engine.verify.job import VerifyJob

KeyValue = tuple[int | str | bytes, ...]
"""The values of the key columns, in order: int, TEXT as `str`, BLOB as bytes."""

_C_TYPES = ("text", "varchar", "character varying")


class Order(Protocol):
    """An order in which both sides give their rows, and ranges of it."""

    @property
    def unique(self) -> bool:
        """Whether it is a key, by which rows are paired."""
        ...

    @property
    def lite(self) -> tuple[str, ...]:
        """SQLite expressions to order by."""
        ...

    @property
    def pg_order(self) -> tuple[str, ...]:
        """PostgreSQL's ORDER BY terms."""
        ...

    def lite_range(self, lo: KeyValue | None, hi: KeyValue | None) -> str:
        """Rows of a range, as SQLite's condition."""
        ...

    def pg_range(self, lo: KeyValue | None, hi: KeyValue | None) -> str:
        """Rows of a range, as PostgreSQL's condition."""
        ...


@dataclass(frozen=True, slots=True)
class Key:
    """A key by which both sides sort alike: integers, text by its UTF-8 bytes, blobs."""

    columns: tuple[ColumnPlan, ...]

    @property
    def unique(self) -> bool:
        """A key pairs rows."""
        return True

    @property
    def lite(self) -> tuple[str, ...]:
        """SQLite expressions, in SQLite's own bytewise order whatever the columns' collations."""
        return tuple(
            f"{lite_ident(c.source)} collate binary" if c.type.kind is Kind.TEXT else lite_ident(c.source)
            for c in self.columns
        )

    @property
    def pg(self) -> tuple[str, ...]:
        """PostgreSQL expressions in the same order."""
        return tuple(_pg_term(c) for c in self.columns)

    @property
    def pg_order(self) -> tuple[str, ...]:
        """PostgreSQL's ORDER BY terms."""
        return self.pg

    def lite_range(self, lo: KeyValue | None, hi: KeyValue | None) -> str:
        """`lo < key <= hi` for SQLite, "1" without bounds."""
        return _between(self.lite, lo, hi, _lite_value) or "1"

    def pg_range(self, lo: KeyValue | None, hi: KeyValue | None) -> str:
        """`lo < key <= hi` for PostgreSQL, "true" without bounds."""
        return _between(self.pg, lo, hi, pg_value) or "true"

    def names(self, value: Sequence[Scalar]) -> dict[str, Scalar]:
        """Key column → value, as reports show it."""
        return {c.source: v for c, v in zip(self.columns, value, strict=True)}


@dataclass(frozen=True, slots=True)
class AllColumns:
    """All columns of a table without a key, ranges cut by the first: an integer column without NULL, or no ranges."""

    columns: tuple[ColumnPlan, ...]

    @property
    def unique(self) -> bool:
        """Rows may be there several times."""
        return False

    @property
    def lite(self) -> tuple[str, ...]:
        """SQLite expressions; NULL sorts first there."""
        return Key(self.columns).lite

    @property
    def pg_order(self) -> tuple[str, ...]:
        """PostgreSQL's ORDER BY terms, as SQLite sorts."""
        return tuple(f"{term} nulls first" for term in Key(self.columns).pg)

    def lite_range(self, lo: KeyValue | None, hi: KeyValue | None) -> str:
        """`lo < first column <= hi`."""
        return Key(self.columns[:1]).lite_range(lo, hi)

    def pg_range(self, lo: KeyValue | None, hi: KeyValue | None) -> str:
        """`lo < first column <= hi`."""
        return Key(self.columns[:1]).pg_range(lo, hi)


def key_of(job: VerifyJob, table: TablePlan) -> Key | None:
    """The table's key if both sides really sort alike by it, else None.

    The plan decides; this looks again, because rows would be called missing and extra where the orders differ.
    """
    if table.compare.kind is not CompareKind.KEY or not table.compare.columns:
        return None
    columns = tuple(next((c for c in table.columns if c.source == name), None) for name in table.compare.columns)
    if any(c is None for c in columns):
        return None
    known = tuple(c for c in columns if c is not None)
    allowed = (Kind.INTEGER,) if job.utf16 else (Kind.INTEGER, Kind.TEXT, Kind.BLOB)
    alias_only = len(known) == 1 and known[0].source == table.rowid_alias
    for column in known:
        facts = job.column_facts(table, column.source)
        if column.type.kind not in allowed or (not alias_only and (facts.violations or facts.nulls)):
            return None
    return Key(known)


def columns_of(table: TablePlan, key: Key | None) -> tuple[ColumnPlan, ...]:
    """A table's columns in the order they are compared in: the key's first."""
    first = key.columns if key else ()
    return (*first, *(c for c in table.columns if c not in first))


def _pg_term(column: ColumnPlan) -> str:
    name = pg_ident(column.target)
    if column.type.kind is not Kind.TEXT:
        return name
    plain = column.type.sql.lower().startswith(_C_TYPES)
    return f'{name} collate "C"' if plain else f'{name}::text collate "C"'


def _between(
    terms: Sequence[str], lo: KeyValue | None, hi: KeyValue | None, value: Callable[[int | str | bytes], str]
) -> str:
    left = _row(terms)
    parts = []
    if lo is not None:
        parts.append(f"{left}>{_row([value(v) for v in lo])}")
    if hi is not None:
        parts.append(f"{left}<={_row([value(v) for v in hi])}")
    return " and ".join(parts)


def _row(parts: Sequence[str]) -> str:
    return parts[0] if len(parts) == 1 else f"({','.join(parts)})"


def _lite_value(value: int | str | bytes) -> str:
    return lite_literal(value)


def pg_value(value: int | str | bytes) -> str:
    """A key value as a PostgreSQL literal of its type."""
    if isinstance(value, int):
        return f"({value})::int8"
    if isinstance(value, str):
        return f"{pg_literal(value)}::text"
    return f"{pg_literal(chr(92) + 'x' + value.hex())}::bytea"


def to_json(value: KeyValue | None) -> str | None:
    """A bound as the ledger keeps it."""
    return None if value is None else json.dumps(to_plain(list(value)), ensure_ascii=False)


def from_json(text: str | None) -> KeyValue | None:
    """The inverse of `to_json`."""
    return None if text is None else tuple(from_plain(Scalar, v) for v in json.loads(text))
