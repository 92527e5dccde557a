"""`target.tables: existing`: tables made beforehand by the application's own tool, matched by name."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from stepflow_tui.engine.model.census import TargetColumn
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.finding import Finding, blocking, info
from stepflow_tui.engine.model.plan import Compare, CompareKind, ObjectType, Stage, TablePlan
from stepflow_tui.engine.model.schema import Generated, SourceSchema, SourceTable, TableKind
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.plan.drafts import Draft
from stepflow_tui.engine.plan.names import chosen, renamed
from stepflow_tui.engine.plan.parts import Parts
from stepflow_tui.engine.plan.quote import pg_ident, pg_literal, pg_name
from stepflow_tui.engine.plan.tables import plan_table
from stepflow_tui.engine.plan.virtual import carried

_AS_MADE = "(as made beforehand)"
_MADE = "the target's tables were made beforehand; keys, indexes and other objects are those of their maker"


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeColumn:
    """A column as it is. `sql` is its type as `format_type` writes it; `filled`: it has a default, an identity or a
    `generated` expression; `serial`: a sequence gives its numbers; `collation` None: the type's own."""

    name: str
    sql: str
    enum: bool = False
    not_null: bool = False
    filled: bool = False
    serial: bool = False
    generated: bool = False
    collation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MadeTable:
    """A table as it is."""

    name: str
    columns: tuple[MadeColumn, ...]
    primary_key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Matched:
    """Which target table and column takes which source table and column, by source names."""

    tables: dict[str, MadeTable] = field(default_factory=dict)
    columns: dict[str, dict[str, MadeColumn]] = field(default_factory=dict)
    findings: tuple[Finding, ...] = ()

    def for_census(self) -> dict[str, dict[str, TargetColumn]]:
        """What the census wants to know."""
        return {
            table: {name: TargetColumn(sql=c.sql, enum=c.enum, not_null=c.not_null) for name, c in columns.items()}
            for table, columns in self.columns.items()
        }


def match_existing(schema: SourceSchema, config: Config, made: Sequence[MadeTable]) -> Matched:
    """Find each selected source table in the target, by its name or the one the config gives it.

    An exact name wins over one that differs in case. Findings: a table or column that isn't there, and target columns that
    must have a value but get none (blocking); target tables nobody fills (info).
    """
    tables: dict[str, MadeTable] = {}
    columns: dict[str, dict[str, MadeColumn]] = {}
    findings: list[Finding] = []
    for source in schema.tables:
        if source.kind is TableKind.SHADOW or not chosen(source.name, config.tables) or not carried(source):
            continue
        wanted = renamed(source.name, config.tables.rename) or source.name
        table = _named(made, wanted)
        if table is None:
            findings.append(
                blocking("existing_table_missing", source.name, table=wanted, schema=config.target.schema_name)
            )
            continue
        tables[source.name] = table
        columns[source.name] = _columns(source, table, findings)
    taken = {t.name for t in tables.values()}
    findings += [info("existing_table_unused", t.name) for t in made if t.name not in taken]
    return Matched(tables=tables, columns=columns, findings=tuple(findings))


def _named(made: Sequence[MadeTable], wanted: str) -> MadeTable | None:
    exact = next((t for t in made if t.name == wanted), None)
    return exact or next((t for t in made if t.name.lower() == wanted.lower()), None)


def _columns(source: SourceTable, table: MadeTable, findings: list[Finding]) -> dict[str, MadeColumn]:
    found: dict[str, MadeColumn] = {}
    for column in source.columns:
        if column.generated is Generated.HIDDEN:
            continue
        made = next((c for c in table.columns if c.name == column.name), None) or next(
            (c for c in table.columns if c.name.lower() == column.name.lower()), None
        )
        if made is None:
            findings.append(blocking("existing_column_missing", f"{source.name}.{column.name}", table=table.name))
        else:
            found[column.name] = made
    taken = {c.name for c in found.values()}
    for made in table.columns:
        if made.name not in taken and made.not_null and not made.filled:
            findings.append(blocking("existing_column_unfilled", f"{table.name}.{made.name}", source=source.name))
    return found


def add_existing(drafts: list[Draft], matched: Matched, schema: SourceSchema, parts: Parts) -> list[TablePlan]:
    """Plans over tables that are there: no DDL but the next values of their sequences; objects are named as their maker's."""
    tables = []
    for draft in drafts:
        made = matched.tables.get(draft.label)
        columns = matched.columns.get(draft.label, {})
        if made is None:
            draft.impossible = draft.impossible or "the target has no such table"
        else:
            draft.name = made.name
            draft.columns = [replace(c, target=columns[c.source].name) for c in draft.columns if c.source in columns]
            draft.sources = {n: s for n, s in draft.sources.items() if n in columns}
            if draft.rowid_column not in {c.target for c in draft.columns}:
                draft.rowid_column = None
        table = plan_table(draft, parts, utf16=schema.utf16, existing=True)
        if made is not None and draft.impossible is None:
            table = _as_made(table, made, columns)
            _add_sequences(table, draft, columns, parts)
        tables.append(table)
    _name_all(schema, drafts, parts)
    return tables


def _as_made(table: TablePlan, made: MadeTable, columns: dict[str, MadeColumn]) -> TablePlan:
    """The columns as they are; a text key in another order than bytes can't be walked in step with SQLite."""
    planned = tuple(
        replace(c, not_null=columns[c.source].not_null, identity=columns[c.source].serial, default=None, collation=None,
                generated=_AS_MADE if columns[c.source].generated else None)
        for c in table.columns
    )  # fmt: skip
    compare = table.compare
    if compare.kind is CompareKind.KEY:
        text = [c for c in table.columns if c.source in compare.columns and c.type.kind is Kind.TEXT]
        keyed = {columns[c].name for c in compare.columns if c in columns} == set(made.primary_key)
        if not keyed or any(columns[c.source].collation != "C" for c in text):
            compare = Compare(kind=CompareKind.MULTISET)
    return replace(table, columns=planned, compare=compare)


def _add_sequences(table: TablePlan, draft: Draft, columns: dict[str, MadeColumn], parts: Parts) -> None:
    for column in table.columns:
        if not columns[column.source].serial:
            continue
        given = max(draft.source.sequence or 0, 0) if column.source == draft.source.rowid_alias else 0
        name = f"{table.source}.{column.source}"
        object_id = parts.object(ObjectType.SEQUENCE, name, table.source, carried=True)
        owner = pg_literal(pg_name(table.schema, table.name)).strip()
        sql = (
            f"select setval(pg_get_serial_sequence({owner}, {pg_literal(column.target).strip()}), greatest(m, 1), m >= 1)"
            f" from (select greatest(coalesce(max({pg_ident(column.target)}), 0), {given}) as m"
            f" from {pg_name(table.schema, table.name)}) as keys"
        )
        parts.statement(Stage.SEQUENCE, name, sql, table=table.source, object_id=object_id)


def _name_all(schema: SourceSchema, drafts: list[Draft], parts: Parts) -> None:
    for draft in drafts:
        name_objects(draft, parts, reason=_MADE)
    for view in schema.views:
        parts.object(ObjectType.VIEW, view.name, None, carried=False, reason=_MADE, sql=view.sql)
    for trigger in schema.triggers:
        parts.object(ObjectType.TRIGGER, trigger.name, trigger.table, carried=False, reason=_MADE, sql=trigger.sql)


def name_objects(draft: Draft, parts: Parts, *, reason: str) -> None:
    """Name everything that belongs to a table as not carried."""
    label = draft.label
    for index in draft.source.indexes:
        kind = {"pk": ObjectType.PRIMARY_KEY, "u": ObjectType.UNIQUE}.get(index.origin, ObjectType.INDEX)
        columns = ", ".join(t.column or t.expression or "" for t in index.terms)
        name = index.name if index.origin == "c" else index.constraint or f"{label}({columns})"
        parts.object(kind, name, label, carried=False, reason=reason, sql=index.sql or f"({columns})")
    for key in draft.source.foreign_keys:
        name = key.name or f"{label}({', '.join(key.columns)})"
        sql = f"FOREIGN KEY ({', '.join(key.columns)}) REFERENCES {key.ref_table}"
        parts.object(ObjectType.FOREIGN_KEY, name, label, carried=False, reason=reason, sql=sql)
    for check in draft.source.checks:
        parts.object(ObjectType.CHECK, check.name or label, label, carried=False, reason=reason, sql=check.expression)
