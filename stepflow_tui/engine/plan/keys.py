"""Primary keys and UNIQUE constraints, made after the load."""

from __future__ import annotations

from stepflow_tui.engine.model.plan import ObjectType, Stage, TablePlan
from stepflow_tui.engine.model.schema import SourceIndex
from stepflow_tui.engine.plan.drafts import Draft
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.plan.translate.comparisons import folded
from stepflow_tui.engine.plan.translate.values import Sort, Untranslatable


def add_primary_key(draft: Draft, table: TablePlan, parts: Parts) -> None:
    """The primary key; where SQLite let NULLs in, a unique index in its place."""
    columns = table.primary_key
    if not columns:
        return
    index = next((i for i in draft.source.indexes if i.origin == "pk"), None)
    name = draft.source.primary_key_name or ""
    label = name or _label(draft, columns)
    target = parts.relations.take(name or f"{draft.name}_pkey")
    parts.constraints.setdefault(draft.label, type(parts.relations)()).take(target)
    written = f"PRIMARY KEY ({', '.join(columns)})"
    nulls = [c for c in columns if draft.fact(c).nulls]
    reason = f"as a unique index: rows hold NULL in {', '.join(nulls)}" if nulls else ""
    object_id = parts.object(ObjectType.PRIMARY_KEY, label, draft.label, carried=True, reason=reason, sql=written)
    listed = ", ".join(pg_ident(draft.column(c).target) for c in columns)
    if nulls:
        sql = f"create unique index {pg_ident(target)} on {pg_name(table.schema, table.name)} ({listed})"
    else:
        sql = (
            f"alter table {pg_name(table.schema, table.name)} add constraint {pg_ident(target)} primary key ({listed})"
        )
    parts.statement(Stage.KEY, f"primary key {draft.label}", sql, table=draft.label, object_id=object_id, optional=True)
    draft.plain_keys.add(frozenset(columns))
    if index is not None:
        _add_folded(draft, table, index, parts)


def _label(draft: Draft, columns: tuple[str, ...]) -> str:
    return f"{draft.label}.{columns[0]}" if len(columns) == 1 else f"{draft.label}({', '.join(columns)})"


def _add_folded(draft: Draft, table: TablePlan, index: SourceIndex, parts: Parts) -> None:
    """A key under NOCASE or RTRIM refuses more than one of bytes: a second unique index says the rest."""
    if all(t.collation == "BINARY" for t in index.terms):
        return
    add_unique_index(draft, table, index, parts, label=_label(draft, table.primary_key) + " (collation)")


def add_unique(draft: Draft, table: TablePlan, index: SourceIndex, parts: Parts) -> None:
    """One UNIQUE constraint. NULLs stay distinct, as in SQLite."""
    columns = tuple(t.column or "" for t in index.terms)
    label = index.constraint or _label(draft, columns)
    if any(t.collation != "BINARY" for t in index.terms):
        add_unique_index(draft, table, index, parts, label=label)
        return
    base = index.constraint or f"{draft.name}_{'_'.join(draft.column(c).target for c in columns)}_key"
    target = parts.relations.take(base)
    parts.constraints.setdefault(draft.label, type(parts.relations)()).take(target)
    written = f"UNIQUE ({', '.join(columns)})"
    object_id = parts.object(ObjectType.UNIQUE, label, draft.label, carried=True, sql=written)
    listed = ", ".join(pg_ident(draft.column(c).target) for c in columns)
    sql = f"alter table {pg_name(table.schema, table.name)} add constraint {pg_ident(target)} unique ({listed})"
    parts.statement(
        Stage.KEY, f"unique {draft.label} {index.name}", sql, table=draft.label, object_id=object_id, optional=True
    )
    draft.plain_keys.add(frozenset(columns))


def add_unique_index(draft: Draft, table: TablePlan, index: SourceIndex, parts: Parts, *, label: str) -> None:
    """Uniqueness under NOCASE or RTRIM: a unique index over what that collation compares."""
    columns = tuple(t.column or "" for t in index.terms)
    written = "UNIQUE (" + ", ".join(f"{t.column} COLLATE {t.collation}" for t in index.terms) + ")"
    try:
        terms = [folded_term(draft, table, t.column or "", t.collation, parts) for t in index.terms]
    except Untranslatable as exc:
        parts.object(ObjectType.UNIQUE, label, draft.label, carried=False, reason=str(exc), sql=written)
        return
    reason = f"as a unique index over {', '.join(terms)}: ASCII letters only, as in SQLite"
    object_id = parts.object(ObjectType.UNIQUE, label, draft.label, carried=True, reason=reason, sql=written)
    target = parts.relations.take(f"{draft.name}_{'_'.join(draft.column(c).target for c in columns)}_key")
    sql = f"create unique index {pg_ident(target)} on {pg_name(table.schema, table.name)} ({', '.join(terms)})"
    parts.statement(
        Stage.KEY, f"unique {draft.label} {index.name}", sql, table=draft.label, object_id=object_id, optional=True
    )


def folded_term(draft: Draft, table: TablePlan, column: str, collation: str, parts: Parts) -> str:
    """A column in an index under a collation of SQLite's.

    Raises:
        Untranslatable: a collation of the application's, or one on numbers.
    """
    planned = draft.column(column)
    relation = draft.relation(parts.schema)
    found = relation.find(column)
    sort = found.value.sort if found is not None else Sort.OPAQUE
    if collation == "BINARY" or sort in (
        Sort.INT,
        Sort.REAL,
        Sort.DECIMAL,
        Sort.BOOL,
        Sort.BLOB,
        Sort.TIMESTAMP,
        Sort.DATE,
        Sort.EPOCH,
    ):
        return pg_ident(planned.target)
    if sort not in (Sort.TEXT, Sort.MIXED):
        raise Untranslatable(f"the collation {collation} on a column of type {planned.type.sql}")
    return f"({folded(pg_ident(planned.target), collation)})"
