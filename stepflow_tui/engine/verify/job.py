"""What to verify, and how far: the input of every comparison."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from stepflow_tui.engine.model.config import BadValue, Level
from stepflow_tui.engine.model.discrepancy import Reject
from stepflow_tui.engine.model.plan import ColumnFacts, Plan, TableFacts, TablePlan
from stepflow_tui.engine.model.sensitive import NO_MASK, Mask
from stepflow_tui.engine.postgres.connect import Target


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyJob:
    """Everything a verification needs to know.

    Args:
        level: how much is compared.
        source: the SQLite file.
        frozen: the file is ours and can't change (read without locks, as Arrow, in worker processes); otherwise it is
            read in slices of at most 200 ms.
        target: the PostgreSQL database.
        tables: the tables to compare.
        facts: what the census counted, by source table; only speed depends on it.
        rejects: rows the copy refused, by source table; they are not reported as missing.
        utf16: the file stores text as UTF-16.
        streams: worker processes.
        named: at most this many differences are named per table; all are counted.
        on_bad_value: what the copy did with text PostgreSQL can't hold.
        as_of_ms: time to stamp on verdicts, when the source is a living one.
        plan: the whole plan, for the catalog part of `comprehensive`; None leaves that part out.
        slow_link: the target is far away: digests instead of values over the wire.
        left_out: keys of records that functional probes may have left in the target, by table and column (names of either
            side): a surplus row with such a key is counted apart, and is no difference.
        mask: hides values of sensitive columns in everything that is named.
    """

    level: Level
    source: Path
    frozen: bool
    target: Target
    tables: tuple[TablePlan, ...]
    facts: dict[str, TableFacts] = field(default_factory=dict)
    rejects: dict[str, tuple[Reject, ...]] = field(default_factory=dict)
    utf16: bool = False
    streams: int = 2
    named: int = 1_000
    on_bad_value: BadValue = BadValue.REJECT
    as_of_ms: int | None = None
    plan: Plan | None = None
    slow_link: bool = False
    mask: Mask = NO_MASK
    left_out: Mapping[str, Mapping[str, Collection[str]]] = field(default_factory=dict)

    def left_out_of(self, table: TablePlan) -> dict[str, frozenset[str]]:
        """Keys by source column."""
        named = self.left_out.get(table.source) or self.left_out.get(table.name) or {}
        columns = {name: column.source for column in table.columns for name in (column.target, column.source)}
        return {columns[name]: frozenset(keys) for name, keys in named.items() if name in columns}

    def table_facts(self, table: TablePlan) -> TableFacts:
        """The census' facts about a table; without any, nothing is assumed."""
        return self.facts.get(table.source) or TableFacts(rows=0, columns={c.source: UNKNOWN for c in table.columns})

    def column_facts(self, table: TablePlan, column: str) -> ColumnFacts:
        """The census' facts about a column."""
        return self.table_facts(table).columns.get(column, UNKNOWN)


UNKNOWN = ColumnFacts(violations=1, mean_bytes=64.0, max_bytes=1 << 40)
"""A column nobody looked at: anything may be in it."""
