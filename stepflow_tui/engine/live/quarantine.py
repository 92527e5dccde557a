"""Rows that the tail set aside, as they are shown: key, column and reason, by source table. Reads them; the tail owns them."""

from __future__ import annotations

import asyncio
import re
import sqlite3
from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from stepflow_tui.engine.model.discrepancy import SET_ASIDE, DiffClass, Discrepancy, Reject, Scalar, TableVerdict, Truth
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.sensitive import Mask, is_fingerprint
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.postgres import progress
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.connect import open_living
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.verify.printed import source_scalar

if TYPE_CHECKING:
    import asyncpg

NAMED = 10_000
"""Rows that are named; all are counted."""

_WHOLE = frozenset({Kind.INTEGER, Kind.BOOLEAN})
_NUMBERS = frozenset({Kind.DECIMAL, Kind.EPOCH})

Named = tuple[tuple[str, Scalar], ...]
"""A key in an order that doesn't depend on who names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Quarantine:
    """What is set aside. `counts`: by source table, all of it; `rows`: the oldest ones, `NAMED` at most."""

    counts: Mapping[str, int] = field(default_factory=dict)
    rows: tuple[Reject, ...] = ()

    @property
    def by_key(self) -> dict[str, dict[Named, Reject]]:
        """The named rows, by table and key."""
        found: dict[str, dict[Named, Reject]] = {}
        for row in self.rows:
            found.setdefault(row.table, {})[_named(row.key)] = row
        return found


async def read_quarantine(
    conn: asyncpg.Connection, run: str, source: Path, tables: Iterable[TablePlan], mask: Mask
) -> Quarantine:
    """What a run's tail has set aside; nothing where the target has no such list.

    Args:
        conn: to the target.
        run: the run's id.
        source: the living file: rows that the log names by their rowid are shown by their declared key.
        tables: of the plan.
        mask: hides sensitive values of those keys.

    Raises:
        StepFlowError: it can't be read.
    """
    with pg_errors("look for the quarantine"):
        there = await conn.fetchval("select to_regclass('_stepflow.poison')") is not None
    if not there:
        return Quarantine()
    plans = {t.source: t for t in tables}
    counts = await progress.count_poison(conn, run)
    found = await progress.list_poison(conn, run, limit=NAMED) if counts else []
    rows = [_row(p, plans.get(p.table)) for p in found]
    return Quarantine(counts=counts, rows=tuple(await asyncio.to_thread(_declared, rows, source, plans, mask)))


def _declared(rows: list[Reject], source: Path, plans: Mapping[str, TablePlan], mask: Mask) -> list[Reject]:
    named = {t: p for t, p in plans.items() if p.primary_key and not set(p.live_key) <= set(p.primary_key)}
    if not any(row.table in named for row in rows):
        return rows
    with (
        sqlite_errors(f"The rows of {source} that are set aside"),
        closing(open_living(source, exact_rows=True)) as lite,
    ):
        return [_by_primary(lite, row, named[row.table], mask) if row.table in named else row for row in rows]


def _by_primary(lite: sqlite3.Connection, row: Reject, table: TablePlan, mask: Mask) -> Reject:
    """The row by its declared key; by its rowid where it is gone, and beside a NULL, which SQLite takes there any number of
    times."""
    names = ", ".join(map(lite_ident, table.primary_key))
    where = " and ".join(f"{lite_ident(name)} = ?" for name in row.key)
    found = lite.execute(
        f"select {names} from {lite_ident(table.source)} where {where}", [*row.key.values()]
    ).fetchone()
    if found is None:
        return row
    key = dict(zip(table.primary_key, map(source_scalar, found), strict=True))
    shown = mask.shown_key(table.source, key)
    return replace(row, key=shown | row.key if None in found else shown)


def _row(found: progress.Poison, table: TablePlan | None) -> Reject:
    names = table.live_key if table is not None else tuple(f"key {n}" for n in range(1, len(found.key) + 1))
    kinds = {c.source: c.type.kind for c in table.columns} if table is not None else {}
    key = {name: _value(text, kinds.get(name)) for name, text in zip(names, found.key, strict=True)}
    return Reject(table=found.table, key=key, column=found.column, reason=found.reason, file=SET_ASIDE)


def _value(text: str, kind: Kind | None) -> Scalar:
    """The value that the tail showed as this text."""
    if kind is None or is_fingerprint(text):
        return text
    if kind in (_WHOLE | _NUMBERS) and re.fullmatch(r"-?\d+", text, re.ASCII):
        return int(text)
    if kind in _NUMBERS or kind is Kind.REAL:
        try:
            return float(text)
        except ValueError:
            return text
    if kind is Kind.BLOB and re.fullmatch(r"\\x(?:[0-9a-f]{2})*", text):
        return bytes.fromhex(text[2:])
    return text


def _named(key: Mapping[str, Scalar]) -> Named:
    return tuple(sorted(key.items()))


def explained(verdict: TableVerdict, known: Mapping[Named, Reject]) -> TableVerdict:
    """A verdict whose missing rows are said to be set aside, and why, where they are. They get no repair: it would be refused
    too. They stay differences, for they are missing."""
    found = [_explained(d, known) for d in verdict.discrepancies]
    count = sum(new is not old for new, old in zip(found, verdict.discrepancies, strict=True))
    if not count:
        return verdict
    said = f"{count} of them set aside, because the target can't hold them"
    return replace(
        verdict,
        reason=f"{verdict.reason}, {said}" if verdict.reason else said,
        rejected_rows=verdict.rejected_rows + count,
        discrepancies=tuple(found),
    )


def _explained(found: Discrepancy, known: Mapping[Named, Reject]) -> Discrepancy:
    row = known.get(_named(found.key)) if found.cls is DiffClass.MISSING else None
    if row is None:
        return found
    truth = None if found.truth is None else Truth(key=found.truth.key, repair_sql="")
    return replace(found, column=row.column, cause=f"set aside: {row.reason}", repair_sql="", truth=truth)
