"""What the census has to say: columns whose type may surprise, values PostgreSQL can't hold, wishes that can't be met."""

from __future__ import annotations

from collections.abc import Iterator

from stepflow_tui.engine.model.config import BadValue
from stepflow_tui.engine.model.finding import Finding, blocking, info, warning
from stepflow_tui.engine.model.plan import ColumnFacts
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.families import Ref
from stepflow_tui.engine.sqlite.census_table import ColumnWork, TableWork

_EXACT_INTEGERS = 2**53


def findings(work: TableWork, on_bad_value: BadValue) -> Iterator[Finding]:
    """The findings about one table's columns, in their order."""
    facts = work.facts()
    for name, column in work.columns.items():
        known = facts.columns[name]
        where = f"{work.table.name}.{name}"
        yield from _wished(where, column)
        if column.profile.exact and column.profile.mixed and column.type.kind is not Kind.DECIMAL:
            yield _mixed(where, column, known)
        yield from _bad_text(where, column, known, on_bad_value)
        if column.column.pk and known.nulls:
            yield warning("null_in_primary_key", where, table=work.table.name, column=name, rows=known.nulls)
        if column.target is not None and column.target.not_null and known.nulls:
            yield warning("existing_not_null", where, rows=known.nulls)


def unreadable(table: str, reason: str) -> Finding:
    """A table that can't be read; the others go on."""
    return warning("source_table_unreadable", table, table=table, reason=reason)


def uncomputable(table: str, column: str, reason: str) -> Finding:
    """A generated column whose expression fails for some row."""
    return warning("generated_column_fails", f"{table}.{column}", reason=reason)


def shared(refs: list[Ref], sql: str) -> Finding:
    """A family of columns that got one type for the sake of its foreign keys."""
    names = [f"{table}.{column}" for table, column in refs]
    return info("family_shares_type", names[0], columns=listed(names), type=sql)


def contradicted(refs: list[Ref], types: list[str]) -> Finding:
    """A family of columns for which different types were asked."""
    names = [f"{table}.{column}" for table, column in refs]
    return warning("family_types_differ", names[0], columns=listed(names), types=listed(types))


def listed(names: list[str], most: int = 8) -> str:
    """Names for a sentence: the first ones, and how many more."""
    return ", ".join(names[:most]) + (f" and {len(names) - most} more" if len(names) > most else "")


def _mixed(where: str, column: ColumnWork, known: ColumnFacts) -> Finding:
    return warning(
        "mixed_storage",
        where,
        type=column.type.sql,
        integers=known.integers,
        reals=known.reals,
        texts=known.texts,
        blobs=known.blobs,
        minimum=known.minimum,
        maximum=known.maximum,
    )


def _bad_text(where: str, column: ColumnWork, known: ColumnFacts, on_bad_value: BadValue) -> Iterator[Finding]:
    if column.type.kind in (Kind.BLOB, Kind.MIXED_BYTEA):  # bytes hold everything
        return
    for code, rows in (("nul_in_text", known.nul_values), ("invalid_utf8", known.invalid_utf8)):
        if rows:
            yield warning(code, where, rows=rows, policy=on_bad_value.value, type=column.type.sql)


def _wished(where: str, column: ColumnWork) -> Iterator[Finding]:
    wish = column.wish
    if wish is None:
        return
    common = {"type": wish.target, "origin": wish.origin}
    if column.decision.problem:
        unit = wish.unit.value if wish.unit else None
        yield blocking(
            column.decision.problem,
            where,
            **common,
            unit=unit,
            minimum=_number(column.profile.low),
            maximum=_number(column.profile.high),
        )
        return
    if column.counted.misfits:
        # Other lengths are refused; fractions of seconds are rounded without a word.
        silent = column.type.kind in (Kind.TIMESTAMP, Kind.EPOCH)
        make = blocking if silent else warning
        yield make("type_rounds_times" if silent else "type_limit", where, **common, rows=column.counted.misfits)
    rows = refused_rows(column)
    if rows:
        yield warning("type_rows_do_not_fit", where, **common, rows=rows)


def _number(value: int | float | None) -> str | None:
    return None if value is None else repr(value)


def refused_rows(column: ColumnWork) -> int:
    """At most so many rows of a wished type can't become one. Rows that merely go the slow way aren't among them."""
    profile, rows = column.profile, column.counted.violations
    if column.type.always_slow:
        return column.counted.impossible
    if not profile.exact:
        return rows
    kind = column.type.kind
    if kind is Kind.MIXED_TEXT:
        return rows - profile.reals
    if kind is Kind.REAL and profile.integers and max(abs(profile.low or 0), abs(profile.high or 0)) <= _EXACT_INTEGERS:
        return rows - profile.integers
    if kind is Kind.TIMESTAMP:
        return max(0, profile.values - sum(profile.forms.values()))
    return rows
