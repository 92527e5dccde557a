"""What the copy reads and writes for one table, as SQL and formats. Pure: made in the engine, sent to the workers.

The terms of the types divide the rows: those that keep all terms go the fast way, all others the slow way.
"""

from __future__ import annotations

from dataclasses import dataclass

from stepflow_tui.engine.bulk.bounds import Key, in_range
from stepflow_tui.engine.bulk.exact import char_limit
from stepflow_tui.engine.model.plan import ColumnPlan, TableFacts, TablePlan, WalkKind
from stepflow_tui.engine.model.schema import Affinity
from stepflow_tui.engine.model.sensitive import NO_MASK, Mask
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.declared import affinity
from stepflow_tui.engine.plan.kinds import Build, conjunction, term, wire
from stepflow_tui.engine.plan.quote import lite_ident


@dataclass(frozen=True, slots=True, kw_only=True)
class FastColumn:
    """One target column of the Arrow path. `width` counts the expressions it is read from (1, decimals 2)."""

    target: str
    expressions: tuple[str, ...]
    format: str
    build: Build
    scale: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class CopySpec:
    """One table, ready for the workers.

    Args:
        table: source name.
        schema, name: of the target.
        columns: the columns that are copied, in the target's order.
        fast: how each is read as Arrow; empty when every row takes the slow way.
        terms: the condition that fast rows keep; None when no row is known to break it.
        bad_keys: rowids of rows with undecodable text, left out of the fast way.
        walk: raw names of the walk's columns; empty for a table that is one segment.
        walk_is_rowid: the walk goes by the table's own tree.
        key: raw names of the columns that name a row in a report.
        rowid: name of the rowid, which joins the key where a part of it is NULL; None where it is not needed.
        encoding: of the file's text: utf-8, utf-16-le, utf-16-be.
        batch_rows: an upper bound of the rows in a fast segment.
        rows: rows of the table, as the census counted them.
        replace: `on_bad_value: replace`.
        mask: hides values of sensitive columns in the list of rejects and in messages.
    """

    table: str
    schema: str
    name: str
    columns: tuple[ColumnPlan, ...]
    fast: tuple[FastColumn, ...]
    terms: str | None
    bad_keys: tuple[int, ...]
    walk: tuple[str, ...]
    walk_is_rowid: bool
    key: tuple[str, ...]
    rowid: str | None
    encoding: str
    batch_rows: int
    rows: int
    replace: bool
    mask: Mask = NO_MASK

    @property
    def hidden(self) -> frozenset[str]:
        """The target's names of the sensitive columns."""
        return frozenset(c.target for c in self.columns if self.mask.covers(self.table, c.source))

    @property
    def all_slow(self) -> bool:
        """Whether no row may take the fast way."""
        return not self.fast

    @property
    def splits(self) -> bool:
        """Whether some rows take the fast and some the slow way."""
        return bool(self.fast) and (self.terms is not None or bool(self.bad_keys))

    def fast_sql(self, lo: Key | None, hi: Key | None) -> str:
        """The query of a fast segment; every expression is named after its target column."""
        names = [
            f"{expression} as {lite_ident(column.target if not i else f'{column.target} {i}')}"
            for column in self.fast
            for i, expression in enumerate(column.expressions)
        ]
        return (
            f"select {','.join(names)} from {lite_ident(self.table)}{self._where(lo, hi, self._fast_condition(lo, hi))}"
        )

    def slow_from(self, lo: Key | None, hi: Key | None, *, resent: bool = False) -> str:
        """FROM and WHERE of a slow segment's rows.

        Args:
            lo, hi: the bounds.
            resent: the rows of a fast segment, because that way refused them.
        """
        condition = self._fast_condition(lo, hi) if resent else self._slow_condition(lo, hi)
        return f"from {lite_ident(self.table)}{self._where(lo, hi, condition)}"

    def _where(self, lo: Key | None, hi: Key | None, condition: str | None) -> str:
        parts = [*in_range(self.walk, lo, hi), *([condition] if condition else [])]
        return f" where {' and '.join(parts)}" if parts else ""

    def _fast_condition(self, lo: Key | None, hi: Key | None) -> str | None:
        parts = [f"({self.terms})"] if self.terms else []
        bad = self._bad(lo, hi)
        if bad:
            parts.append(f"{lite_ident(self.walk[0])} not in ({bad})")
        return " and ".join(parts) or None

    def _slow_condition(self, lo: Key | None, hi: Key | None) -> str | None:
        if self.all_slow:
            return None
        # a term may be NULL, so `not (…)` would lose rows that neither way copies
        parts = [f"({self.terms}) is not 1"] if self.terms else []
        bad = self._bad(lo, hi)
        if bad:
            parts.append(f"{lite_ident(self.walk[0])} in ({bad})")
        return f"({' or '.join(parts)})" if parts else "0"

    def _bad(self, lo: Key | None, hi: Key | None) -> str:
        low, high = (lo or (None,))[0], (hi or (None,))[0]
        inside = (
            k
            for k in self.bad_keys
            if (low is None or (isinstance(low, int) and k > low))
            and (high is None or (isinstance(high, int) and k <= high))
        )
        return ",".join(map(str, inside))


def make_spec(
    table: TablePlan,
    facts: TableFacts,
    *,
    encoding: str,
    batch_rows: int,
    replace: bool = False,
    mask: Mask = NO_MASK,
) -> CopySpec:
    """The spec of one table.

    Args:
        table: its plan.
        facts: what the census counted.
        encoding: SQLite's name of the file's text encoding.
        batch_rows: rows per fast segment (`segments.rows_per_segment`).
        replace: `on_bad_value: replace`.
        mask: of the whole source.
    """
    utf16 = encoding.upper() != "UTF-8"
    columns = table.copied
    terms = _split_terms(table, facts, utf16=utf16)
    all_slow = any(c.type.always_slow for c in columns) or "0" in terms
    walk = table.walk.columns if table.walk.kind is not WalkKind.SINGLE else ()
    return CopySpec(
        table=table.source,
        schema=table.schema,
        name=table.name,
        columns=columns,
        fast=() if all_slow else tuple(_fast(c) for c in columns),
        terms=conjunction(terms) if terms and not all_slow else None,
        bad_keys=tuple(sorted(facts.bad_rowids)) if table.walk.kind is WalkKind.ROWID else (),
        walk=walk,
        walk_is_rowid=table.walk.kind is WalkKind.ROWID,
        key=_key(table),
        # SQLite lets NULL into primary keys, any number of times: such a key names no row
        rowid=table.rowid_name if table.primary_key and table.rowid_alias is None and not table.without_rowid else None,
        encoding={"UTF-8": "utf-8", "UTF-16LE": "utf-16-le", "UTF-16BE": "utf-16-be"}[encoding.upper()],
        batch_rows=batch_rows,
        rows=facts.rows,
        replace=replace,
        mask=mask.of(table.source),
    )


def _key(table: TablePlan) -> tuple[str, ...]:
    if table.primary_key:
        return table.primary_key
    if table.rowid_alias or table.rowid_name:
        return (table.rowid_alias or table.rowid_name or "rowid",)
    return table.walk.columns if table.walk.kind is WalkKind.ROWID else ()


def _fast(column: ColumnPlan) -> FastColumn:
    how = wire(column.source, column.type)
    return FastColumn(
        target=column.target,
        expressions=how.expressions,
        format=how.format,
        build=how.build,
        scale=column.type.scale or 0,
    )


def _split_terms(table: TablePlan, facts: TableFacts, *, utf16: bool) -> list[str]:
    """Terms of the columns that have rows breaking them. A column without such rows needs none: the file can't change."""
    found = []
    for column in table.copied:
        known = facts.columns.get(column.source)
        sized = _sized_term(column)
        if known is None or known.violations or (utf16 and column.type.kind is Kind.MIXED_BYTEA):
            text = term(
                column.source,
                column.type,
                affinity=_affinity(column.declared),
                utf16=utf16,
                nullable=not column.not_null,
                rowid_alias=column.source == table.rowid_alias,
            )
            found += [text] if text else []
        found += [sized] if sized else []
    return ["0"] if any(text == "0" or text.endswith(" or (0))") for text in found) else found


def _sized_term(column: ColumnPlan) -> str | None:
    """PostgreSQL cuts blanks off a text too long for varchar(n) and pads char(n) with them, in both forms of COPY."""
    sized = char_limit(column.type.sql) if column.type.kind is Kind.TEXT else None
    if sized is None:
        return None
    x = lite_ident(column.source)
    return f"({x} is null or length({x}){'=' if sized[1] else '<='}{sized[0]})"


def _affinity(declared: str) -> Affinity:
    # ANY keeps every value's class in a STRICT table; the stricter term only sends more rows the slow way
    return Affinity.BLOB if declared.strip().upper() == "ANY" else affinity(declared)
