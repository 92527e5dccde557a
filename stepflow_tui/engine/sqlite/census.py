"""The type census: over all rows of all tables, which PostgreSQL type each column gets, and why.

A sample gives a guess; the guess is counted over every row with the very terms the copy uses; only columns with
violations are looked at more closely; then columns tied by foreign keys get one type. One table that can't be read
never stops the others.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from stepflow_tui.engine.model.census import Census, Choice, TargetColumn
from stepflow_tui.engine.model.config import BadValue, Types
from stepflow_tui.engine.model.control import Control, FreeRunning, Report, silent
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.schema import Generated, SourceSchema, SourceTable, TableKind
from stepflow_tui.engine.plan.profile import Profile
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.plan.types import decide
from stepflow_tui.engine.plan.virtual import carried
from stepflow_tui.engine.sqlite.census_families import settle_families
from stepflow_tui.engine.sqlite.census_findings import findings, uncomputable, unreadable
from stepflow_tui.engine.sqlite.census_lane import Lane, connect
from stepflow_tui.engine.sqlite.census_table import UNREADABLE, ColumnWork, Rules, TableWork, census_table, count
from stepflow_tui.engine.together import together


async def take_census(
    path: str | os.PathLike[str],
    schema: SourceSchema,
    *,
    frozen: bool,
    immutable: bool = False,
    types: Types | None = None,
    on_bad_value: BadValue = BadValue.REJECT,
    existing: Mapping[str, Mapping[str, TargetColumn]] | None = None,
    growing: bool = False,
    control: Control | None = None,
    report: Report = silent,
    workers: int = 2,
) -> Census:
    """Count every table of a file and decide every column's type.

    Args:
        path: the file; a living one is read in slices that leave room for its writers.
        schema: its catalog.
        frozen: the file is ours and can't change.
        immutable: open a living file without locks (`examine` decides when that is right).
        types: the config's `types` section.
        on_bad_value: `bytea` keeps text that PostgreSQL can't hold, by making the column bytea.
        existing: columns of tables made beforehand, by source table and source column name.
        growing: the application goes on writing, so no type is bounded by the values of now.
        control: pause, stop and abort act between slices.
        report: takes progress per table, in rows.
        workers: tables read side by side.

    Raises:
        Stopping: by `control`.
        sqlite3.Error: the file itself can't be opened.
    """
    rules = Rules(
        types=types or Types(), on_bad_value=on_bad_value, existing=existing or {}, utf16=schema.utf16, growing=growing
    )
    pool = ThreadPoolExecutor(workers, thread_name_prefix="census")
    lanes: asyncio.Queue[Lane] = asyncio.Queue()
    try:
        for _ in range(workers):
            connection = await asyncio.to_thread(connect, os.fspath(path), schema, frozen=frozen, immutable=immutable)
            lanes.put_nowait(Lane(connection, pool, control or FreeRunning(), report, frozen))
        return await _take(schema, rules, lanes)
    finally:
        await _close(lanes, pool)


async def _close(lanes: asyncio.Queue[Lane], pool: ThreadPoolExecutor) -> None:
    """Wait for slices in flight (their connections may not be closed under them), then close."""
    await asyncio.to_thread(pool.shutdown, cancel_futures=True)
    while not lanes.empty():
        lanes.get_nowait().connection.close()


@dataclass(slots=True)
class _Result:
    """What the tables' tasks fill."""

    works: dict[str, TableWork] = field(default_factory=dict)
    choices: dict[str, dict[str, Choice]] = field(default_factory=dict)
    findings: dict[str, list[Finding]] = field(default_factory=dict)


async def _take(schema: SourceSchema, rules: Rules, lanes: asyncio.Queue[Lane]) -> Census:
    result = _Result()
    tables = [t for t in schema.tables if carried(t)]
    for table in tables:
        result.findings[table.name] = [unreadable(table.name, table.unreadable)] if table.unreadable else []
    readable = [t for t in tables if not t.unreadable]
    async with _borrowed(lanes) as lane:
        sizes = {t.name: await lane.run(_size, lane, t) for t in readable}
    readable.sort(key=lambda t: sizes[t.name], reverse=True)
    await together(_one(table, rules, lanes, result) for table in readable)

    async def recount(work: TableWork, columns: list[ColumnWork]) -> None:
        async with _borrowed(lanes) as lane:
            await count(lane, work, columns)

    shared = await settle_families(schema, result.works, recount)
    return _census(schema, rules, result, shared)


@asynccontextmanager
async def _borrowed(lanes: asyncio.Queue[Lane]) -> AsyncIterator[Lane]:
    lane = await lanes.get()
    try:
        yield lane
    finally:
        lanes.put_nowait(lane)


async def _one(table: SourceTable, rules: Rules, lanes: asyncio.Queue[Lane], result: _Result) -> None:
    async with _borrowed(lanes) as lane:
        try:
            result.works[table.name] = await census_table(lane, table, rules)
        except UNREADABLE as exc:
            await _without_generated(lane, table, rules, result, str(exc))


async def _without_generated(lane: Lane, table: SourceTable, rules: Rules, result: _Result, reason: str) -> None:
    """A computed column whose expression fails for some row makes every statement fail that reads it."""
    computed = [c for c in table.columns if c.generated is Generated.VIRTUAL]
    found = result.findings[table.name]
    if not computed:
        found.append(unreadable(table.name, reason))
        return
    try:
        work = await census_table(lane, table, rules, leave_out=frozenset({Generated.VIRTUAL}))
    except UNREADABLE as exc:
        found.append(unreadable(table.name, str(exc)))
        return
    result.works[table.name] = work
    for column in computed:
        decision = decide(column, Profile(rows=0))
        result.choices.setdefault(table.name, {})[column.name] = (decision.type, f"not readable: {reason}")
        found.append(uncomputable(table.name, column.name, reason))


def _size(lane: Lane, table: SourceTable) -> int:
    """A guess at the work a table is: its rowids' span times its columns. Unknown ones come first."""
    key = table.rowid_name or table.rowid_alias
    if key is None or table.kind is TableKind.VIRTUAL:
        return 2**62
    x, name = lite_ident(key), lite_ident(table.name)
    try:
        low, high = lane.connection.execute(
            f"select (select min({x}) from {name}), (select max({x}) from {name})"
        ).fetchone()
    except UNREADABLE:  # its own census names the reason
        return 0
    return 0 if low is None else (int(high) - int(low) + 1) * len(table.columns)


def _census(schema: SourceSchema, rules: Rules, result: _Result, shared: list[Finding]) -> Census:
    names = [t.name for t in schema.tables if t.name in result.works]
    for name in names:
        chosen = {c: (w.type, w.decision.reason) for c, w in result.works[name].columns.items()}
        chosen |= result.choices.get(name, {})
        result.choices[name] = {c.name: chosen[c.name] for c in schema.table(name).columns if c.name in chosen}
        result.findings[name] += findings(result.works[name], rules.on_bad_value)
    return Census(
        types={n: result.choices[n] for n in names},
        facts={n: result.works[n].facts() for n in names},
        findings=(*(f for found in result.findings.values() for f in found), *shared),
    )
