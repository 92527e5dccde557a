"""What an application has to change: connection, rights, names, types, habits. Made from the plan, one line each."""

from __future__ import annotations

from collections.abc import Iterator

from stepflow_tui.engine.model.plan import ColumnPlan, ObjectType, Plan, TablePlan
from stepflow_tui.engine.model.types import EpochUnit, Kind

_DRIVER_TYPE = {
    Kind.BOOLEAN: "{column} is PostgreSQL's boolean: send and expect true and false, not 1 and 0.",
    Kind.DECIMAL: "{column} is an exact numeric: drivers return a decimal type, not a float.",
    Kind.TIMESTAMP: "{column} is a timestamp: drivers return a date-time object, not text.",
    Kind.DATE: "{column} is a date: drivers return a date object, not text.",
    Kind.EPOCH: "{column} is a timestamp: drivers return a date-time object, not a number.",
    Kind.JSONB: "{column} is jsonb: drivers may return parsed JSON; key order and duplicates are not kept.",
    Kind.MIXED_TEXT: "{column} is text, because it holds several storage classes: numbers come back as text.",
    Kind.MIXED_BYTEA: "{column} is bytea with a class byte in front (i, r, t or b), because it holds several storage classes.",
}


def advise(plan: Plan, *, target: str, grants: dict[str, str], owner: str | None) -> list[str]:
    """The lines for the report. `target` describes server, database and user without a password."""
    return [*_connection(target, owner, grants), *_names(plan), *_types(plan), *_sequences(plan), *_habits(plan)]


def _connection(target: str, owner: str | None, grants: dict[str, str]) -> Iterator[str]:
    yield f"Connect to {target} instead of opening the SQLite file; give the application a role of its own."
    if owner:
        yield f"The tables belong to {owner}."
    for role, right in grants.items():
        yield f"{role} may read and write the tables." if right == "rw" else f"{role} may read the tables."
    if not owner and not grants:
        yield "No rights were granted: only the role that ran the migration can use the tables. Set target.owner or target.grant."


def _names(plan: Plan) -> Iterator[str]:
    for source, target in sorted(plan.name_changes.items()):
        yield f"{source} is now called {target}."
    if any(t.name != t.name.lower() or any(c.target != c.target.lower() for c in t.columns) for t in plan.tables):
        yield 'Names keep their case: write them in double quotes ("Name") wherever they contain capitals.'


def _types(plan: Plan) -> Iterator[str]:
    for table in plan.tables:
        for column in table.columns:
            words = _type_words(column)
            if words:
                yield words.format(column=f"{table.source}.{column.source}")


def _type_words(column: ColumnPlan) -> str:
    if column.type.unit in (EpochUnit.COCOA, EpochUnit.WEBKIT, EpochUnit.JULIAN):
        return _DRIVER_TYPE[Kind.EPOCH]
    return _DRIVER_TYPE.get(column.type.kind, "")


def _sequences(plan: Plan) -> Iterator[str]:
    names = [t.source for t in plan.tables if any(c.identity for c in t.columns)]
    if names:
        yield f"Keys are made by the database in {len(names)} tables: leave the column out and read it back with RETURNING (there is no last_insert_rowid())."


def _habits(plan: Plan) -> Iterator[str]:
    keyless = [t.source for t in plan.tables if _uses_rowid(t)]
    if keyless:
        yield f"There is no implicit rowid in PostgreSQL: check queries on {', '.join(keyless[:20])}."
    if any(o.type is ObjectType.COLLATION for o in plan.objects):
        yield "NOCASE columns: uniqueness is kept by an index on lower(); compare with lower(column) = lower(value) to find rows regardless of case."
    yield "LIKE is case-sensitive in PostgreSQL (use ILIKE), and comparing a number with text is an error instead of false."


def _uses_rowid(table: TablePlan) -> bool:
    return table.rowid_alias is None and not table.without_rowid and not table.primary_key
