"""CREATE TABLE, and how each table is walked by the copy and compared by the verification."""

from __future__ import annotations

from dataclasses import replace

from stepflow_tui.engine.model.plan import (
    ColumnPlan,
    Compare,
    CompareKind,
    ObjectType,
    Stage,
    TablePlan,
    Walk,
    WalkKind,
)
from stepflow_tui.engine.model.schema import TableKind
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.drafts import Draft, is_integer_alias
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.plan.virtual import rowid_source

_KEY_KINDS = frozenset({Kind.INTEGER, Kind.TEXT, Kind.BLOB})
_ORDERED_KINDS = frozenset(
    {Kind.INTEGER, Kind.BOOLEAN, Kind.DECIMAL, Kind.TEXT, Kind.BLOB, Kind.TIMESTAMP, Kind.DATE, Kind.EPOCH}
)


def plan_table(draft: Draft, parts: Parts, *, utf16: bool, existing: bool = False) -> TablePlan:
    """The table's plan, columns completed with keys, defaults and generated expressions."""
    source = draft.source
    if draft.impossible is not None:
        return TablePlan(
            source=source.name, schema=parts.schema, name=draft.name, columns=tuple(draft.columns),
            walk=Walk(kind=WalkKind.SINGLE), compare=Compare(kind=CompareKind.MULTISET), impossible=draft.impossible)  # fmt: skip
    compare = _compare(draft, utf16)
    columns = tuple(_column(draft, c, compare, parts, existing) for c in draft.columns)
    rowid = rowid_source(source) if source.kind is TableKind.VIRTUAL else None
    return TablePlan(
        source=source.name,
        schema=parts.schema,
        name=draft.name,
        columns=columns,
        walk=_walk(draft, utf16),
        compare=compare,
        primary_key=(rowid,) if rowid else source.primary_key,
        without_rowid=source.without_rowid,
        rowid_alias=source.rowid_alias,
        rowid_name=source.rowid_name,
        rowid_column=draft.rowid_column,
        existing=existing,
        live_key=draft.live_key,
        uncapturable=draft.uncapturable,
    )


def _column(draft: Draft, column: ColumnPlan, compare: Compare, parts: Parts, existing: bool) -> ColumnPlan:
    source = draft.sources[column.source]
    nulls = draft.fact(column.source).nulls
    wanted = source.not_null or column.source == draft.source.rowid_alias
    if wanted and nulls and not existing:
        reason = f"NOT NULL: {nulls} rows hold NULL"
        parts.object(
            ObjectType.CHECK,
            f"{draft.label}.{column.source}",
            draft.label,
            carried=False,
            reason=reason,
            sql="NOT NULL",
        )
    key_text = compare.kind is CompareKind.KEY and column.source in compare.columns and column.type.kind is Kind.TEXT
    return replace(
        column,
        not_null=wanted and not nulls,
        default=draft.defaults.get(column.source),
        identity=column.identity or (column.source == draft.source.rowid_alias and is_integer_alias(draft)),
        generated=draft.generated.get(column.source),
        collation="C" if key_text and not existing else None,
    )


def _walk(draft: Draft, utf16: bool) -> Walk:
    source = draft.source
    if not source.without_rowid:
        name = source.rowid_name or source.rowid_alias
        return Walk(kind=WalkKind.ROWID, columns=(name,)) if name else Walk(kind=WalkKind.SINGLE)
    # keys with lone surrogates change on their way through Python
    unsafe = utf16 and any(draft.column(c).type.kind not in (Kind.INTEGER, Kind.BOOLEAN) for c in source.primary_key)
    return Walk(kind=WalkKind.SINGLE) if unsafe else Walk(kind=WalkKind.PRIMARY, columns=source.primary_key)


def _compare(draft: Draft, utf16: bool) -> Compare:
    source = draft.source
    rowid = rowid_source(source)
    if rowid is not None:
        return Compare(kind=CompareKind.KEY, columns=(rowid,))
    if is_integer_alias(draft):
        assert source.rowid_alias is not None
        return Compare(kind=CompareKind.KEY, columns=(source.rowid_alias,))
    if source.primary_key and all(comparable(draft, c, utf16) for c in source.primary_key):
        return Compare(kind=CompareKind.KEY, columns=source.primary_key)
    plain = all(c.type.kind in _ORDERED_KINDS and not draft.fact(c.source).violations for c in draft.columns)
    cut = any(c.type.kind is Kind.INTEGER and not draft.fact(c.source).nulls for c in draft.columns)
    return Compare(kind=CompareKind.ORDERED if plain and cut and not utf16 else CompareKind.MULTISET)


def comparable(draft: Draft, column: str, utf16: bool) -> bool:
    """An ordered key common to both sides: bytes compare alike, and every value took the fast way."""
    planned, fact = draft.column(column), draft.fact(column)
    if planned.type.kind not in _KEY_KINDS or fact.nulls or fact.violations or fact.nul_values or fact.invalid_utf8:
        return False
    if planned.type.kind is Kind.TEXT and (utf16 or planned.type.sql != "text"):
        return False
    terms = [t for i in draft.source.indexes if i.origin == "pk" for t in i.terms if t.column == column]
    collations = {t.collation for t in terms} | {draft.sources[column].collation}
    return collations == {"BINARY"}


def add_table(table: TablePlan, parts: Parts) -> None:
    """CREATE TABLE: columns, NOT NULL, defaults, generated columns; keys come after the load.

    Identity sequences are named here: a name PostgreSQL chose by itself might be that of a later table or index.
    """
    sequences = {c.target: parts.relations.take(f"{table.name}_{c.target}_seq") for c in table.columns if c.identity}
    lines = [f"  {_definition(c, table.schema, sequences.get(c.target, ''))}" for c in table.columns]
    body = "\n" + ",\n".join(lines) + "\n" if lines else ""
    parts.statement(
        Stage.TABLE, table.source, f"create table {pg_name(table.schema, table.name)} ({body})", table=table.source
    )


def _definition(column: ColumnPlan, schema: str, sequence: str) -> str:
    sql = f"{pg_ident(column.target)} {column.type.sql}"
    if column.collation is not None:
        sql += f" collate {pg_ident(column.collation)}"
    if column.identity:
        sql += f" generated by default as identity (sequence name {pg_name(schema, sequence)})"
    if column.generated is not None:
        sql += f" generated always as ({column.generated}) stored"
    elif column.default is not None:
        sql += f" default {column.default}"
    return sql + (" not null" if column.not_null else "")
