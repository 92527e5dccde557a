"""Repairing differences: shown as SQL, applied on request in one transaction with before-images."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.errors import Drift
from stepflow_tui.engine.model.codec import dumps
from stepflow_tui.engine.model.discrepancy import DiffClass, Discrepancy, Scalar
from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.model.sensitive import NO_MASK, Mask, hidden_names
from stepflow_tui.engine.plan.quote import pg_name
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.verify.forms import read
from stepflow_tui.engine.verify.naming import key_condition, shown_row, shown_value

_TABLE = (
    "n bigint generated always as identity, run text not null, tb text not null, k text not null, sql text not null,"
    " image text, at timestamptz not null default clock_timestamp()"
)
BEFORE_IMAGE_SQL = (
    "create schema if not exists _stepflow",
    f"create table if not exists _stepflow.before_image({_TABLE})",
)
"""Where rows are kept as they were before a repair; `image` is NULL where there was no row."""


_PLACE = " where ctid="


@dataclass(frozen=True, slots=True, kw_only=True)
class RepairAction:
    """One statement of a repair.

    `where` finds the target row; `column` and `seen` are what the verification saw there (None: the whole row). `key`,
    `sql` and `where` hold true values: they go to the target and its before-images, and into no message.
    """

    table: str
    target: str  # quoted schema.name
    key: dict[str, Scalar]
    cls: DiffClass
    sql: str
    where: str
    column: str | None = None
    seen: str | None = None


def plan_repair(discrepancies: Sequence[Discrepancy], tables: Sequence[TablePlan]) -> list[RepairAction]:
    """The statements that would make the target equal: deletes first, then updates, then inserts.

    Differences without a repair (values the target can't hold, generated columns, very long rows) are left out.
    """
    plans = {t.source: t for t in tables}
    actions = [_action(d, plans[d.table]) for d in discrepancies if d.true_sql and d.table in plans]
    # a deleted row may hold a unique value that an inserted one needs
    order = {DiffClass.EXTRA: 0, DiffClass.MISSING: 2}
    return sorted(actions, key=lambda a: order.get(a.cls, 1))


def _action(entry: Discrepancy, table: TablePlan) -> RepairAction:
    return RepairAction(
        table=table.source,
        target=pg_name(table.schema, table.name),
        key=entry.true_key,
        cls=entry.cls,
        sql=entry.true_sql,
        where=_where(entry, table),
        column=entry.column,
        seen=entry.target,
    )


def _where(entry: Discrepancy, table: TablePlan) -> str:
    """The row's condition: its key, or its place in a table without one."""
    _, found, place = entry.true_sql.rpartition(_PLACE)
    if found:
        return f"ctid={place}"
    names = {c.source for c in table.columns}
    key = entry.true_key
    return key_condition(table.columns, key) if key and set(key) <= names else ""


async def apply_repair(
    actions: Sequence[RepairAction], tables: Sequence[TablePlan], target: Target, *, run: str, mask: Mask = NO_MASK
) -> int:
    """Apply a repair in one transaction, each row kept in `_stepflow.before_image` as it was.

    Every row is locked and must still be as the verification saw it. The caller verifies again, and counts the repair
    as a defect.

    Args:
        actions: from `plan_repair`.
        tables: the plans they were made with.
        target: the database.
        run: the run's id, kept with the images.
        mask: the one the verification saw through.

    Returns:
        Statements applied.

    Raises:
        Drift: a row is no longer as it was seen; nothing was changed.
        StepFailed, TargetConnectionError: PostgreSQL refused; nothing was changed.
    """
    plans = {t.source: t for t in tables}
    with pg_errors("repair the differences", target, hidden_names(mask, *tables)):
        connection = await target.connect()
        try:
            async with connection.transaction():
                for sql in BEFORE_IMAGE_SQL:
                    await connection.execute(sql)
                awake = await _silence(connection, {a.target for a in actions})
                for action in actions:
                    await _apply(connection, action, plans[action.table], run, mask)
                if awake:  # a table with a deferred check still pending can't be altered
                    await connection.execute("set constraints all immediate")
                for sql in awake:
                    await connection.execute(sql)
        finally:
            await connection.close(timeout=5)
    return len(actions)


_ENABLED = {"O": "enable", "R": "enable replica", "A": "enable always"}


async def _silence(connection: Any, targets: set[str]) -> list[str]:
    """Triggers of these tables sleep until the end of the transaction: one that sets `updated_at` would undo the repair.

    Returns:
        The statements that wake them as they were.
    """
    rows = await connection.fetch(
        "select format('%I.%I', n.nspname, c.relname) as place, quote_ident(t.tgname) as name, t.tgenabled::text as state"
        " from pg_trigger t join pg_class c on c.oid = t.tgrelid join pg_namespace n on n.oid = c.relnamespace"
        " where not t.tgisinternal and t.tgparentid = 0 and t.tgenabled <> 'D'"
        " and c.oid = any(select to_regclass(x) from unnest($1::text[]) x) order by 1, 2",
        sorted(targets),
    )
    for row in rows:
        await connection.execute(f"alter table {row['place']} disable trigger {row['name']}")
    return [f"alter table {r['place']} {_ENABLED[r['state']]} trigger {r['name']}" for r in rows]


async def _apply(connection: Any, action: RepairAction, table: TablePlan, run: str, mask: Mask) -> None:
    image, seen = await _look(connection, action, table, mask)
    if not action.where:  # a sequence, or an index or constraint to be made again: no row to look at
        as_seen = True
    else:
        as_seen = image is None if action.cls is DiffClass.MISSING else image is not None and seen == action.seen
    if not as_seen:
        raise Drift(
            f"A row of {table.target} is no longer as the verification saw it; nothing was repaired.",
            detail=f"key {dumps(mask.shown_key(table.source, action.key))}, column {action.column}: "
            f"seen {action.seen!r}, now {seen!r}",
            hint="Verify again, then plan the repair again.",
            code="repair_drift",
        )
    await connection.execute(
        "insert into _stepflow.before_image(run,tb,k,sql,image) values($1,$2,$3,$4,$5)",
        run,
        table.target,
        dumps(action.key),
        action.sql,
        image,
    )
    await connection.execute(action.sql)


async def _look(connection: Any, action: RepairAction, table: TablePlan, mask: Mask) -> tuple[str | None, str | None]:
    """The locked row's image, and what the verification would show of it."""
    if not action.where:
        return None, None
    columns = [c for c in table.columns if action.column in (None, c.source)]
    # the order a verdict shows a whole row in
    columns = [*(c for c in columns if c.source in action.key), *(c for c in columns if c.source not in action.key)]
    values = ",".join(read(c).value for c in columns)
    row = await connection.fetchrow(
        f"select row_to_json(held)::text,{values} from {action.target} held where {action.where} for update"
    )
    if row is None:
        return None, None
    found = tuple(row)[1:]
    if action.column is not None:
        return row[0], shown_value(found[0], columns[0], mask, table)
    return row[0], shown_row(columns, found, mask, table)
