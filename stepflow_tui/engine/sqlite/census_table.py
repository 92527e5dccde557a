"""The census of one table: sample, count violations, look closer where there are some, count again."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from stepflow_tui.engine.model.census import TargetColumn
from stepflow_tui.engine.model.config import BadValue, Types
from stepflow_tui.engine.model.plan import ColumnFacts, TableFacts
from stepflow_tui.engine.model.schema import Generated, SourceColumn, SourceTable
from stepflow_tui.engine.model.types import ColumnType, Kind
from stepflow_tui.engine.plan.profile import Profile, profile_sample
from stepflow_tui.engine.plan.proposals import propose
from stepflow_tui.engine.plan.types import Decision, Wish, decide, declared_scale, wish_for, wish_for_made
from stepflow_tui.engine.sqlite.census_counts import COUNTED, ColumnSql, Counted, may_be_long
from stepflow_tui.engine.sqlite.census_lane import Aggregate, Lane
from stepflow_tui.engine.sqlite.census_sample import take_sample
from stepflow_tui.engine.sqlite.census_texts import BadTexts, find_bad_texts, renders_distinct

TEXT_KINDS = frozenset({Kind.TEXT, Kind.MIXED_TEXT, Kind.JSONB, Kind.OTHER})
"""Kinds that send text as it is, so that PostgreSQL must be able to decode it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """What the census was told: the `types` section, what happens to bad text, tables made beforehand, and whether the
    application goes on writing (`growing`)."""

    types: Types
    on_bad_value: BadValue
    existing: Mapping[str, Mapping[str, TargetColumn]]
    utf16: bool
    growing: bool = False

    def decide(
        self, column: SourceColumn, profile: Profile, wish: Wish | None = None, *, plain: bool = False
    ) -> Decision:
        """A column's type under these rules."""
        return decide(column, profile, wish, on_bad_value=self.on_bad_value, plain=plain, growing=self.growing)


@dataclass(slots=True, kw_only=True)
class ColumnWork:
    """One column on its way to a decision. `profile` is of the sample until phase 3 looked at all rows."""

    column: SourceColumn
    sql: ColumnSql
    wish: Wish | None
    target: TargetColumn | None
    sample: Profile
    profile: Profile
    decision: Decision
    counted: Counted
    measured: bool
    invalid: int = 0

    @property
    def type(self) -> ColumnType:
        """The type as it stands."""
        return self.decision.type


@dataclass(slots=True, kw_only=True)
class TableWork:
    """One table on its way through the census."""

    table: SourceTable
    rows: int = 0
    columns: dict[str, ColumnWork] = field(default_factory=dict)
    bad: BadTexts = field(default_factory=BadTexts)

    def facts(self) -> TableFacts:
        """What was counted."""
        return TableFacts(
            rows=self.rows,
            columns={name: _facts(self.table, work, self.rows) for name, work in self.columns.items()},
            bad_rowids=tuple(sorted(self.bad.keys)),
        )


async def census_table(
    lane: Lane, table: SourceTable, rules: Rules, *, leave_out: frozenset[Generated] = frozenset()
) -> TableWork:
    """Decide every column of one table over all its rows.

    Args:
        leave_out: columns made in these ways are not read.

    Raises:
        sqlite3.Error: the table can't be read.
    """
    columns = tuple(c for c in table.columns if c.generated is not Generated.HIDDEN and c.generated not in leave_out)
    work = TableWork(table=table)
    if not columns:
        work.rows = (await lane.scan(table, ()))[0]
        return work
    sample = await lane.run(take_sample, lane.connection, table, columns)
    for column, values in zip(columns, sample.columns, strict=True):
        work.columns[column.name] = _begin(table, column, profile_sample(values, declared_scale(column)), rules)
    await count(lane, work, work.columns.values())
    closer = [c for c in work.columns.values() if _needs_a_look(c)]
    _widen(work, rules)
    await _look_closer(lane, work, closer, rules)
    await _settle(lane, work, closer, rules)
    await _find_bad(lane, work, rules)
    return work


def _begin(table: SourceTable, column: SourceColumn, sample: Profile, rules: Rules) -> ColumnWork:
    target = rules.existing.get(table.name, {}).get(column.name)
    wish = (
        wish_for_made(table.name, column, target, rules.types) if target else wish_for(table.name, column, rules.types)
    )
    return ColumnWork(
        column=column,
        sql=ColumnSql(column, alias=column.name == table.rowid_alias, utf16=rules.utf16),
        wish=wish,
        target=target,
        sample=sample,
        profile=sample,
        decision=rules.decide(column, sample, wish),
        counted=Counted(0, None, None),
        measured=may_be_long(column, sample),
    )


async def count(lane: Lane, work: TableWork, columns: Iterable[ColumnWork]) -> None:
    """Phase 2: count the rows that break each column's type."""
    wanted = list(columns)
    aggregates = [c.sql.violations(c.type, measure=c.measured) for c in wanted]
    flat: list[Aggregate] = [a for one in aggregates for a in one]
    work.rows, *found = await lane.scan(work.table, flat)
    for i, column in enumerate(wanted):
        row = found[COUNTED * i : COUNTED * (i + 1)]
        column.counted = column.sql.counted(row, measured=column.measured)


def _needs_a_look(work: ColumnWork) -> bool:
    """Whether the sample's guess isn't the whole truth: violations, several classes, values where the sample had none."""
    values = work.counted.values
    unseen = not work.sample.values and (values is None or values > 0)
    counts_named = work.sample.mixed and work.type.kind is not Kind.DECIMAL
    depends = work.wish is not None and work.type.kind in (Kind.TIMESTAMP, Kind.EPOCH, Kind.OTHER, Kind.DECIMAL)
    return bool(work.counted.violations or counts_named or unseen or depends)


def _widen(work: TableWork, rules: Rules) -> None:
    """The sample's bounds decided a decimal's precision; now all rows' bounds do. The term stays the same."""
    for column in work.columns.values():
        if column.type.kind is Kind.DECIMAL and column.wish is None and not column.counted.violations:
            column.profile = replace(column.profile, low=column.counted.low, high=column.counted.high)
            column.decision = rules.decide(column.column, column.profile)


async def _look_closer(lane: Lane, work: TableWork, columns: list[ColumnWork], rules: Rules) -> None:
    """Phase 3: count everything about these columns, and decide again."""
    if not columns or not work.rows:
        return
    aggregates = [c.sql.everything(c.wish) for c in columns]
    width = len(aggregates[0])
    rows, *found = await lane.scan(work.table, [a for one in aggregates for a in one])
    for i, column in enumerate(columns):
        profile = column.sql.profile(found[width * i : width * i + width], rows)
        profile = replace(profile, mean_bytes=column.sample.mean_bytes, shape=column.sample.shape)
        if profile.texts and (profile.integers or profile.reals) and not profile.blobs and column.wish is None:
            profile = replace(profile, distinct=await renders_distinct(lane, work.table, column.column.name))
        column.profile = profile
        column.decision = rules.decide(column.column, profile, column.wish)


async def _settle(lane: Lane, work: TableWork, columns: list[ColumnWork], rules: Rules) -> None:
    """Count again; a type chosen by itself that still has violations gives way to the storage class's own."""
    if not columns or not work.rows:
        return
    await count(lane, work, columns)
    failed = [c for c in columns if c.decision.sure and c.counted.violations]
    for column in failed:
        column.decision = rules.decide(column.column, column.profile, plain=True)
    if failed:
        await count(lane, work, failed)


async def _find_bad(lane: Lane, work: TableWork, rules: Rules) -> None:
    """Look for undecodable text in columns that send text, and keep it as bytea where that was asked for."""
    texts = {c.column.name: c for c in work.columns.values() if c.type.kind in TEXT_KINDS and c.sample.rows}
    if rules.utf16 or not work.rows:  # the terms of a UTF-16 file already exclude lone surrogates
        return
    work.bad = await find_bad_texts(lane, work.table, {n: c.sample.mean_bytes for n, c in texts.items()})
    changed = []
    for name, n in work.bad.counts.items():
        column = texts[name]
        column.invalid = n
        if rules.on_bad_value is BadValue.BYTEA and column.wish is None:
            known = (
                column.profile if column.profile.exact else replace(column.profile, texts=max(1, column.profile.texts))
            )
            column.profile = replace(known, invalid=n)
            column.decision = rules.decide(column.column, column.profile)
            changed.append(column)
    if changed:
        await count(lane, work, changed)
        if all(c.type.kind is Kind.MIXED_BYTEA for n, c in texts.items() if n in work.bad.counts):
            work.bad.keys.clear()  # as bytea those rows travel like any other


def _facts(table: SourceTable, work: ColumnWork, rows: int) -> ColumnFacts:
    exact = work.profile if work.profile.exact else None
    values = work.counted.values
    nulls = exact.nulls if exact else rows - values if values is not None else 0
    return ColumnFacts(
        nulls=nulls,
        violations=work.counted.violations,
        integers=exact.integers if exact else 0,
        reals=exact.reals if exact else 0,
        texts=exact.texts if exact else 0,
        blobs=exact.blobs if exact else 0,
        minimum=exact.minimum if exact else None,
        maximum=exact.maximum if exact else None,
        mean_bytes=round(work.sample.mean_bytes, 1),
        max_bytes=exact.max_bytes if exact and work.counted.max_bytes is None else work.counted.max_bytes,
        nul_values=exact.nul_values if exact else 0,
        invalid_utf8=work.invalid or (exact.invalid if exact else 0),
        proposal="" if work.wish else propose(table.name, work.column, work.type, work.profile),
    )


UNREADABLE = (sqlite3.Error, sqlite3.Warning, OverflowError, MemoryError)
"""What reading a damaged or foreign table may raise; it concerns that table only."""
