"""Change capture as SQL: which key each table's changes are logged by, and the triggers that log it.

The log holds keys that *may* have changed, never values; the tail reads what those rows are now. One key too many costs a
read, one too few loses a change. AFTER triggers log what was written. They don't see the rows that REPLACE removes to make
room (SQLite fires no trigger for those unless the application set `recursive_triggers`), so BEFORE triggers log every row
that could be removed: `capture_hints` has the rules.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.live import CANARY, CTL, LOG, OURS, SWITCH, CapturedTable, CapturePlan
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.schema import Affinity, SourceSchema, SourceTable, SourceTrigger, TableKind
from stepflow_tui.engine.plan.capture_hints import Hint, hints
from stepflow_tui.engine.plan.capture_limits import foreign_collation, lost_conflicts, unread_index
from stepflow_tui.engine.plan.quote import lite_ident, lite_literal

_EXACT = frozenset({Affinity.INTEGER, Affinity.NUMERIC, Affinity.TEXT})
"""Affinities under which values that SQLite calls equal, compared by bytes, are the same value."""

TRIGGERS = OURS + "cap_"
"""How the names of capture triggers begin; `<TRIGGERS><table>_bi` and so on."""


def key_of(table: SourceTable, usable_primary: bool) -> tuple[str, ...]:
    """The columns that tell this table's rows apart in the log; the rowid's name where no column does.

    Args:
        table: an ordinary table that `uncapturable` has nothing against.
        usable_primary: whether the values of its PRIMARY KEY compare alike on both sides.

    Returns:
        Raw source names; empty when nothing can tell rows apart.
    """
    if table.rowid_alias is not None:
        return (table.rowid_alias,)
    if table.without_rowid:
        return table.primary_key
    if table.primary_key and usable_primary and all(table.column(c).not_null for c in table.primary_key):
        return table.primary_key
    return (table.rowid_name,) if table.rowid_name is not None else ()


def uncapturable(table: SourceTable, usable_primary: bool = True) -> str | None:
    """Why no trigger can log this table's changes safely, None when triggers can."""
    if table.kind is TableKind.VIRTUAL:
        return "SQLite has no triggers on virtual tables"
    if table.kind is TableKind.SHADOW:
        return "it is the storage of a virtual table, which writes it past all triggers"
    if table.name.lower().startswith(OURS):
        return f"names that begin with {OURS} are StepFlow's own"
    if table.unreadable is not None:
        return table.unreadable
    if not key_of(table, usable_primary):
        return "columns named rowid, _rowid_ and oid hide its row number, and it has no key without NULL"
    return unread_index(table) or foreign_collation(table)


def reconcile_reason(table: SourceTable, triggers: Sequence[SourceTrigger] = ()) -> str | None:
    """Why the log may miss rows of this table that REPLACE removes, None when it misses none.

    Args:
        table: a table that can be captured.
        triggers: the application's triggers (any tables).
    """
    return lost_conflicts(table, triggers)


def capture_plan(schema: SourceSchema, tables: Sequence[TablePlan]) -> CapturePlan:
    """The triggers of these tables and the tables of ours that they write to. Impossible and uncapturable ones are left out.

    Raises:
        Refused: `not_capturable` for a table of which only the source schema tells that it can't be captured.
    """
    wanted = [t for t in tables if t.impossible is None and t.uncapturable is None]
    by_name = {t.name: t for t in schema.tables}
    found = tuple(captured_table(by_name[t.source], t.live_key, schema.triggers) for t in wanted)
    width = max((len(t.key) for t in found), default=1)
    return CapturePlan(tables=found, setup=_setup(width), width=width)


def captured_table(table: SourceTable, key: tuple[str, ...], triggers: Sequence[SourceTrigger] = ()) -> CapturedTable:
    """One table's triggers for a key settled before.

    Raises:
        Refused: `not_capturable`.
    """
    why = uncapturable(table) or _unknown_key(table, key)
    if why is not None:
        raise Refused(
            f"Changes of table {table.name!r} can't be captured: {why}.",
            hint="Leave it out with `tables.exclude`, or migrate with `mode: copy` while nobody writes.",
            code="not_capturable",
        )
    return CapturedTable(
        source=table.name,
        key=key,
        triggers=_triggers(table, key),
        reconcile=reconcile_reason(table, triggers),
        by_rowid=not _is_column(table, key[0]),
        shape=_shape(table),
        text=_digest([table.sql]),
    )


def _unknown_key(table: SourceTable, key: tuple[str, ...]) -> str | None:
    rowid = {table.rowid_name} if table.rowid_name is not None else set()
    missing = [c for c in key if not _is_column(table, c) and c not in rowid]
    if missing or not key:
        return f"its key ({', '.join(missing)}) is no column of it" if missing else "no key was settled for it"
    return None


def _is_column(table: SourceTable, name: str) -> bool:
    return any(c.name.lower() == name.lower() for c in table.columns)


def _triggers(table: SourceTable, key: tuple[str, ...]) -> dict[str, str]:
    """Name → text, exactly as SQLite keeps it, so that reading it back compares equal."""
    before = hints(table)
    old, new = _values(table, key, "old"), _values(table, key, "new")
    return dict(
        (
            _trigger(table, "bi", "BEFORE INSERT", [_log_rows(table, key, h, update=False) for h in before]),
            _trigger(table, "bu", "BEFORE UPDATE", [_log_rows(table, key, h, update=True) for h in before]),
            _trigger(table, "ai", "AFTER INSERT", [_log_one(table, key, new)]),
            _trigger(table, "au", "AFTER UPDATE", [_log_old(table, key, old), _log_one(table, key, new)]),
            _trigger(table, "ad", "AFTER DELETE", [_log_one(table, key, old)]),
        )
    )


def _trigger(table: SourceTable, suffix: str, when: str, body: Iterable[str]) -> tuple[str, str]:
    name = f"{TRIGGERS}{table.name}_{suffix}"
    statements = " ".join(f"{s};" for s in body)
    return name, f"CREATE TRIGGER {lite_ident(name)} {when} ON {lite_ident(table.name)} BEGIN {statements} END"


def _into(key: tuple[str, ...]) -> str:
    columns = ", ".join(("tb", *(f"k{i + 1}" for i in range(len(key)))))
    return f"INSERT INTO {lite_ident(LOG)}({columns})"


def _values(table: SourceTable, key: tuple[str, ...], row: str) -> str:
    return ", ".join((lite_literal(table.name), *(f"{row}.{lite_ident(c)}" for c in key)))


def _log_one(table: SourceTable, key: tuple[str, ...], values: str) -> str:
    return f"{_into(key)} VALUES ({values})"


def _log_old(table: SourceTable, key: tuple[str, ...], old: str) -> str:
    """The key the row had. Where it can be seen to be the same, an update needs one entry, not two.

    In columns of other affinities SQLite may call two values equal that are two in the target, such as 1 and 1.0.
    """
    affinities = [table.column(c).affinity if _is_column(table, c) else Affinity.INTEGER for c in key]
    if not set(affinities) <= _EXACT:
        return _log_one(table, key, old)
    names = [lite_ident(c) for c in key]
    moved = " OR ".join(f"old.{name} COLLATE BINARY <> new.{name}" for name in names)
    return f"{_into(key)} SELECT {old} WHERE {moved}"


def _log_rows(table: SourceTable, key: tuple[str, ...], hint: Hint, *, update: bool) -> str:
    values = ", ".join((lite_literal(table.name), *(lite_ident(c) for c in key)))
    guard = [hint.moved] if update and hint.moved is not None else []
    where = " AND ".join([*guard, hint.where, *([_another(table)] if update else [])])
    return f"{_into(key)} SELECT {values} FROM {lite_ident(table.name)} WHERE {where}"


def _another(table: SourceTable) -> str:
    """Any row but the one being updated, which the AFTER trigger logs.

    This and `Hint.moved` use OLD, which SQLite before 3.45.3 could get wrong in an UPDATE that an UPSERT does. Such an
    UPDATE never replaces rows (it runs with ABORT), so it needs no hint at all.
    """
    if table.without_rowid:
        return "NOT (" + " AND ".join(f"{lite_ident(c)} = old.{lite_ident(c)}" for c in table.primary_key) + ")"
    name = table.rowid_alias or table.rowid_name
    return "1" if name is None else f"{lite_ident(name)} <> old.{lite_ident(name)}"


def _setup(width: int) -> tuple[str, ...]:
    """No constraint and no index on the log: an outer `OR IGNORE` overrides a trigger's own conflict clause, and would
    then drop an entry.

    No AUTOINCREMENT: its counter is one more page that each transaction writes, makes a table that SQLite can't drop again,
    is reset by applications that empty `sqlite_sequence`, and doesn't know the entries of a statement that ended halfway.
    Numbers go on from the newest entry, which pruning leaves; entry 0 goes only when somebody empties the log.
    """
    keys = ", ".join(f"k{i + 1}" for i in range(width))
    log = f"CREATE TABLE {lite_ident(LOG)}(n integer primary key, tb text not null, {keys})"
    control = (
        f"CREATE TABLE {lite_ident(CTL)}(one integer primary key check (one = 1), run text not null, "
        "writer text not null default '', owner text not null default 'sqlite', fenced integer not null default 0, "
        "schema_version integer not null default 0, triggers text not null default '', "
        "app_triggers text not null default '[]', reverse_snapshot text)"
    )
    switch = (
        f"CREATE TABLE {lite_ident(SWITCH)}(one integer primary key check (one = 1), version integer not null, "
        "share integer not null, salt text not null, groups text not null default '[]', "
        "owner text not null default 'sqlite', lease_until_ms integer not null default 0)"
    )
    canary = f"CREATE TABLE {lite_ident(CANARY)}(id integer primary key, token text)"
    first = f"INSERT INTO {lite_ident(LOG)}(n, tb) VALUES (0, '')"
    return log, control, switch, canary, first


def _shape(table: SourceTable) -> str:
    """A digest of what the target's table was made from: columns and their order, types, keys."""
    columns = [
        repr((c.name, c.declared, c.not_null, c.pk, c.collation, c.generated.value, c.expression))
        for c in table.columns
    ]
    return _digest([table.name, *columns, repr((table.without_rowid, table.strict, table.rowid_alias))])


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\x00".join(parts).encode("utf-8", "surrogatepass")).hexdigest()
