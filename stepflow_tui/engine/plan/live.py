"""Live runs: the key by which each table's changes are logged, and the column that carries a rowid where there is no other."""

from __future__ import annotations

from stepflow_tui.engine.model.live import ROWID_COLUMN
from stepflow_tui.engine.model.plan import ColumnFacts, ColumnPlan, Stage, TableFacts, TablePlan
from stepflow_tui.engine.model.schema import Affinity, SourceColumn
from stepflow_tui.engine.plan.capture import key_of, uncapturable
from stepflow_tui.engine.plan.declared import BIGINT
from stepflow_tui.engine.plan.drafts import Draft
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.plan.tables import comparable


def add_live_key(draft: Draft, *, utf16: bool, existing: bool) -> None:
    """Settle the key. A table whose rows only their rowid tells apart gets it as a column, for as long as the run lives."""
    if draft.impossible is not None:
        return
    usable = _usable_primary(draft, utf16)
    draft.uncapturable = uncapturable(draft.source, usable)
    if draft.uncapturable is not None:
        return
    key = key_of(draft.source, usable)
    if all(name in draft.sources for name in key):
        draft.live_key = key
    elif existing:
        draft.uncapturable = "it has no key of its own, and a table made beforehand gets no column for its row numbers"
    elif any(c.target == ROWID_COLUMN for c in draft.columns):
        draft.uncapturable = f"it has a column of the name {ROWID_COLUMN}"
    else:
        _carry_rowid(draft, key[0])


def _usable_primary(draft: Draft, utf16: bool) -> bool:
    """Whether the primary key tells rows apart alike on both sides, now and later: compared by bytes, never NULL."""
    columns = draft.source.primary_key
    return bool(columns) and all(draft.sources[c].not_null and comparable(draft, c, utf16) for c in columns)


def _carry_rowid(draft: Draft, rowid: str) -> None:
    reason = "its row number: rows have no other key; removed at the end of the run"
    column = ColumnPlan(
        source=rowid, target=ROWID_COLUMN, declared="INTEGER", type=BIGINT, not_null=True, identity=True, reason=reason
    )
    draft.columns.append(column)  # last: an application that inserts by position goes on working
    numbered = SourceColumn(name=rowid, declared="INTEGER", affinity=Affinity.INTEGER, not_null=True)
    draft.sources = {**draft.sources, rowid: numbered}
    draft.facts = TableFacts(
        rows=draft.facts.rows, columns={**draft.facts.columns, rowid: ColumnFacts()}, bad_rowids=draft.facts.bad_rowids
    )
    draft.rowid_column = ROWID_COLUMN
    draft.live_key = (rowid,)


def add_rowid_index(table: TablePlan, parts: Parts) -> None:
    """The unique index that the row numbers are looked up by."""
    if table.rowid_column != ROWID_COLUMN:
        return
    name = parts.relations.take(f"{table.name}{ROWID_COLUMN}_key")
    sql = f"create unique index {pg_ident(name)} on {pg_name(table.schema, table.name)} ({pg_ident(ROWID_COLUMN)})"
    parts.statement(Stage.KEY, f"row numbers {table.source}", sql, table=table.source)
