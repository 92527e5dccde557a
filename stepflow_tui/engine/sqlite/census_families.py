"""Gives columns tied by foreign keys one type: the strongest that all their values meet, counted anew."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.types import ColumnType
from stepflow_tui.engine.plan.families import Member, Ref, attempts, conflict, families
from stepflow_tui.engine.plan.types import Decision
from stepflow_tui.engine.sqlite.census_findings import contradicted, listed, shared
from stepflow_tui.engine.sqlite.census_table import ColumnWork, TableWork

Recount = Callable[[TableWork, list[ColumnWork]], Awaitable[None]]
"""Counts the violations of columns of one table again."""


@dataclass(slots=True)
class _Family:
    refs: tuple[Ref, ...]
    columns: tuple[ColumnWork, ...]
    tries: tuple[tuple[ColumnType, ...], ...]

    def try_next(self) -> list[tuple[Ref, ColumnWork]]:
        """Give the next types; the columns that changed."""
        types, self.tries = self.tries[0], self.tries[1:]
        changed = []
        for ref, column, kind in zip(self.refs, self.columns, types, strict=True):
            if kind != column.type:
                names = [f"{t}.{c}" for t, c in self.refs if (t, c) != ref]
                reason = f"one type with {listed(names, 3)}, tied by foreign keys; {column.decision.reason}"
                column.decision = Decision(type=kind, reason=reason)
                changed.append((ref, column))
        return changed

    @property
    def settled(self) -> bool:
        """Whether every value meets its column's type, or nothing weaker is left."""
        return not self.tries or not any(c.counted.violations for c in self.columns)


async def settle_families(schema: SourceSchema, works: dict[str, TableWork], recount: Recount) -> list[Finding]:
    """Change the types of `works` until every family has one.

    Args:
        recount: runs the census' phase 2 for some columns of a table.

    Returns:
        Findings about families that changed or can't agree.
    """
    columns = {
        (t, c): column for t, work in works.items() for c, column in work.columns.items() if column.target is None
    }
    found: list[Finding] = []
    open_families = []
    for refs in families(schema, columns):
        members = [_member(ref, columns[ref]) for ref in refs]
        tries = attempts(members)
        if conflict(members):
            found.append(contradicted(list(refs), sorted({m.type.sql for m in members if m.wished})))
        elif tries:
            open_families.append(_Family(refs, tuple(columns[r] for r in refs), tries))
    changed_families = list(open_families)
    while open_families:
        await _recount(works, [pair for family in open_families for pair in family.try_next()], recount)
        open_families = [f for f in open_families if not f.settled]
    found += [shared(list(f.refs), f.columns[0].type.sql) for f in changed_families]
    return found


def _member(ref: Ref, column: ColumnWork) -> Member:
    return Member(ref=ref, type=column.type, profile=column.profile, wished=column.wish is not None)


async def _recount(works: dict[str, TableWork], changed: list[tuple[Ref, ColumnWork]], recount: Recount) -> None:
    tables: dict[str, list[ColumnWork]] = {}
    for (table, _), column in changed:
        tables.setdefault(table, []).append(column)
    await asyncio.gather(*(recount(works[table], columns) for table, columns in tables.items()))
