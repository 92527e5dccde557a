"""Foreign keys: made NOT VALID, then validated; one that SQLite itself could never enforce is named."""

from __future__ import annotations

from stepflow_tui.engine.model.plan import ObjectType, Stage, TablePlan
from stepflow_tui.engine.model.schema import SourceForeignKey
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.drafts import Draft
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident, pg_name

_COMPARABLE = (frozenset({Kind.INTEGER, Kind.DECIMAL}), frozenset({Kind.TEXT, Kind.MIXED_TEXT}))
"""Kinds that PostgreSQL compares with each other, as SQLite does."""

_ACTIONS = frozenset({"CASCADE", "SET NULL", "SET DEFAULT", "RESTRICT"})


def add_foreign_keys(draft: Draft, table: TablePlan, drafts: dict[str, Draft], parts: Parts) -> None:
    """All foreign keys of a table.

    Args:
        drafts: all carried tables, by lower-case source name.
    """
    for number, key in enumerate(draft.source.foreign_keys, 1):
        parent = drafts.get(key.ref_table.lower())
        reason = _refusal(draft, key, parent)
        if reason is not None or parent is None:
            label = key.name or _label(draft, key)
            parts.object(
                ObjectType.FOREIGN_KEY, label, draft.label, carried=False, reason=reason or "", sql=_written(key)
            )
            continue
        _add(draft, table, key, parent, parts, number=number)


def _label(draft: Draft, key: SourceForeignKey) -> str:
    return f"{draft.label}.{key.columns[0]}" if len(key.columns) == 1 else f"{draft.label}({', '.join(key.columns)})"


def _written(key: SourceForeignKey) -> str:
    deferrable = " DEFERRABLE" if key.deferrable else ""
    deferred = " INITIALLY DEFERRED" if key.initially_deferred else ""
    columns = f" ({', '.join(key.ref_columns)})" if key.ref_columns else ""
    return (
        f"FOREIGN KEY ({', '.join(key.columns)}) REFERENCES {key.ref_table}{columns}"
        f" ON UPDATE {key.on_update} ON DELETE {key.on_delete}{deferrable}{deferred}"
    )


def _refusal(draft: Draft, key: SourceForeignKey, parent: Draft | None) -> str | None:
    if parent is None:
        return f"its parent table {key.ref_table} doesn't exist or isn't carried"
    if parent.impossible:
        return f"its parent table {key.ref_table} can't be carried"
    if not key.ref_columns:
        return f"its parent {key.ref_table} has no such columns, or no primary key"
    if any(c not in parent.sources for c in key.ref_columns):
        return f"its parent {key.ref_table} lacks a column it names"
    names = {n.lower(): n for n in draft.sources}
    if any(c.lower() not in names for c in key.columns):
        return "it names a column that isn't there"
    if frozenset(key.ref_columns) not in parent.plain_keys:
        return f"{key.ref_table} ({', '.join(key.ref_columns)}) is not unique, which SQLite needs too, or only under a collation"
    for child, target in zip(key.columns, key.ref_columns, strict=True):
        one, other = draft.column(names[child.lower()]).type, parent.column(target).type
        if one.sql != other.sql and not any({one.kind, other.kind} <= group for group in _COMPARABLE):
            return f"{child} is {one.sql} and {key.ref_table}.{target} is {other.sql}"
    return None


def _add(draft: Draft, table: TablePlan, key: SourceForeignKey, parent: Draft, parts: Parts, *, number: int) -> None:
    names = {n.lower(): n for n in draft.sources}
    columns = [draft.column(names[c.lower()]).target for c in key.columns]
    target = parts.constraint(draft.label, key.name or f"{draft.name}_{'_'.join(columns)}_fkey")
    label = key.name or _label(draft, key)
    object_id = parts.object(ObjectType.FOREIGN_KEY, label, draft.label, carried=True, sql=_written(key))
    refs = ", ".join(pg_ident(parent.column(c).target) for c in key.ref_columns)
    actions = "".join(
        f" on {event} {action.lower()}"
        for event, action in (("update", key.on_update), ("delete", key.on_delete))
        if action in _ACTIONS
    )
    timing = " deferrable" + (" initially deferred" if key.initially_deferred else "") if key.deferrable else ""
    alter = f"alter table {pg_name(table.schema, table.name)}"
    listed = ", ".join(pg_ident(c) for c in columns)
    sql = (
        f"{alter} add constraint {pg_ident(target)} foreign key ({listed})"
        f" references {pg_name(table.schema, parent.name)} ({refs}){actions}{timing} not valid"
    )
    name = f"{draft.label} {number}"
    parts.statement(Stage.FOREIGN_KEY, name, sql, table=draft.label, object_id=object_id, optional=True)
    validate = f"{alter} validate constraint {pg_ident(target)}"
    parts.statement(Stage.VALIDATE, name, validate, table=draft.label, object_id=object_id, optional=True)
