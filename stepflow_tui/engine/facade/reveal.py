"""Showing one value of a sensitive column: asked for by the run's name, kept in the audit, read in the caller's process.

The value never passes through the journal: the engine answers whether it may be shown, and writes down who asked for what.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import AsyncExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from stepflow_tui.engine.checks.nearest import nearest
from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.errors import StepFlowError, UsageError
from stepflow_tui.engine.facade.look import HasRun
from stepflow_tui.engine.facade.steer import send
from stepflow_tui.engine.journal.reader import RunReader
from stepflow_tui.engine.model.codec import from_plain, to_plain
from stepflow_tui.engine.model.discrepancy import Scalar
from stepflow_tui.engine.model.plan import ColumnPlan, TablePlan
from stepflow_tui.engine.model.sensitive import Mask, is_fingerprint
from stepflow_tui.engine.plan.quote import lite_ident, pg_literal, pg_name
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.connect import open_frozen, open_living, real_path
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.facts import find_target
from stepflow_tui.engine.steps.masking import planned_mask
from stepflow_tui.engine.verify.forms import read
from stepflow_tui.engine.verify.naming import key_condition
from stepflow_tui.engine.verify.printed import source_scalar, source_text, target_scalar, target_text
from stepflow_tui.engine.verify.sides import VERIFY_SETTINGS

_ROWIDS = ("rowid", "_rowid_", "oid")
_FETCH_ROWS = 5_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """The value that is asked for. `key` as the report shows it: sensitive parts are fingerprints."""

    table: TablePlan
    column: ColumnPlan
    key: dict[str, Scalar]
    mask: Mask

    @property
    def plain(self) -> dict[str, Scalar]:
        """The parts of the key that name the row by themselves."""
        return {n: v for n, v in self.key.items() if n not in self.hidden}

    @property
    def hidden(self) -> tuple[str, ...]:
        """The parts that are fingerprints: rows are looked through for the one that has them."""
        covers = partial(self.mask.covers, self.table.source)
        return tuple(n for n, v in self.key.items() if covers(n) and is_fingerprint(v))

    def fits(self, names: tuple[str, ...], values: tuple[Scalar, ...]) -> bool:
        """Whether values of the hidden parts are the row's."""
        return all(
            v is not None and self.mask.fingerprint(v) == self.key[n] for n, v in zip(names, values, strict=True)
        )


async def reveal(
    run: HasRun,
    table: str,
    key: Mapping[str, Any],
    column: str,
    *,
    state: Path,
    confirm: str | None,
    front: str = "",
    env: Mapping[str, str] | None = None,
) -> Mapping[str, Any]:
    """The present value of one column of one row on both sides.

    Args:
        run: the run whose tables these are.
        table, column: source names.
        key: the row's, as the report shows it; fingerprints in it are found by looking through the rows.
        state: the state directory.
        confirm: the run's name as somebody typed it.
        front: the terminal of a front end that stays.
        env: variables for the config, where they are not those of this process (a password typed in the wizard).

    Returns:
        `{source, target, source_file, problem}`: printable values, "NULL" for NULL, None where there is no such row (or it
        can't be found by this key); `problem` says why a side could not be read.

    Raises:
        UsageError: the run has no such table or column.
        StepFlowError: the engine refused (exit 6 without the right name), or did not answer.
    """
    with RunReader(run.path) as reader:
        row, plan, backup = reader.run() or {}, reader.plan(), reader.backup()
    if plan is None:
        raise UsageError(f"{run.id} has no plan yet.", hint="Let the run make its plan first.", code="no_plan")
    loaded = load_config(Path(row["config_path"]), env if env is not None else os.environ)
    planned = _table(plan.tables, table)
    mask = planned_mask(plan, loaded.config, state)
    given: dict[str, Scalar] = {_key_name(planned, n): from_plain(Scalar, v) for n, v in key.items()}
    wanted = Wanted(
        table=planned,
        column=_column(planned, column),
        # a true value of a sensitive key must not reach the journal either
        key=mask.shown_key(planned.source, given),
        mask=mask,
    )
    asked = {"table": planned.source, "column": wanted.column.source, "key": to_plain(wanted.key)}
    await send(run, "reveal", {**asked, "confirm": confirm}, state=state, front=front, env=env)
    path, frozen = _file(backup, loaded.config.source.path)
    source, problem = await _or_problem(asyncio.to_thread(_source, path, wanted, frozen=frozen))
    async with AsyncExitStack() as resources:
        target, other = await _or_problem(_target(loaded.config, state, wanted, resources))
    return {"source": source, "target": target, "source_file": str(path), "problem": problem or other}


def _table(tables: tuple[TablePlan, ...], name: str) -> TablePlan:
    found = next((t for t in tables if t.source.lower() == name.lower()), None)
    if found is None:
        hint = nearest(name, (t.source for t in tables))
        raise UsageError(f"The run has no table {name}.", hint=hint, code="unknown_table")
    return found


def _column(table: TablePlan, name: str) -> ColumnPlan:
    found = next((c for c in table.columns if c.source.lower() == name.lower()), None)
    if found is None:
        hint = nearest(name, (c.source for c in table.columns))
        raise UsageError(f"The table {table.source} has no column {name}.", hint=hint, code="unknown_column")
    return found


def _key_name(table: TablePlan, name: str) -> str:
    """A column of the table, or what else names a row: SQLite's rowid, a row's place in the target."""
    declared = {c.source.lower() for c in table.columns}
    others = (*_ROWIDS, table.rowid_name, "ctid")
    return name if name in others and name.lower() not in declared else _column(table, name).source


def _file(backup: Mapping[str, Any] | None, source: Path) -> tuple[Path, bool]:
    """The run's backup, else the source as it is now."""
    if backup is not None and Path(backup["path"]).exists():
        return Path(backup["path"]), True
    return real_path(source), False


async def _or_problem(work: Any) -> tuple[str | None, str]:
    try:
        return await work, ""
    except StepFlowError as error:  # one side alone is an answer too
        return None, error.message


def _source(path: Path, wanted: Wanted, *, frozen: bool) -> str | None:
    if "ctid" in wanted.key:  # a row of the target alone
        return None
    with sqlite_errors(f"Reading a row of {wanted.table.source}"):
        opened = open_frozen(path, exact_rows=True) if frozen else open_living(path, exact_rows=True)
        with closing(opened):
            return next((source_text(value) for value in _source_rows(opened, wanted)), None)


def _source_rows(opened: sqlite3.Connection, wanted: Wanted) -> Iterator[Any]:
    conditions, values = ["1"], []
    for name, value in wanted.plain.items():
        x = _source_name(wanted.table, name)
        conditions.append(f"cast({x} as blob) is ?" if isinstance(value, bytes) else f"{x} is ? collate binary")
        values.append(value)
    names = ",".join(_source_name(wanted.table, n) for n in (wanted.column.source, *wanted.hidden))
    sql = f"select {names} from {lite_ident(wanted.table.source)} where {' and '.join(conditions)}"
    for value, *parts in opened.execute(sql, values):
        if wanted.fits(wanted.hidden, tuple(map(source_scalar, parts))):
            yield value


def _source_name(table: TablePlan, name: str) -> str:
    declared = {c.source for c in table.columns}
    rowid = table.rowid_name or table.rowid_alias
    return lite_ident(rowid if name in _ROWIDS and name not in declared and rowid else name)


async def _target(config: Any, state: Path, wanted: Wanted, resources: AsyncExitStack) -> str | None:
    columns = {c.source: c for c in wanted.table.columns}
    if wanted.table.rowid_alias is None and any(n not in columns and n != "ctid" for n in wanted.key):
        return None  # named by its rowid, which the target has not
    named = {
        wanted.table.rowid_alias or n if n not in columns and n != "ctid" else n: v for n, v in wanted.plain.items()
    }
    ctid = named.pop("ctid", None)
    conditions = [key_condition(wanted.table.columns, named)] if named else []
    conditions += [f"ctid={pg_literal(str(ctid))}::tid"] if ctid is not None else []
    parts = [columns[n] for n in (wanted.column.source, *wanted.hidden)]
    where = f" where {' and '.join(conditions)}" if conditions else ""
    sql = (
        f"select {','.join(read(c).value for c in parts)} from {pg_name(wanted.table.schema, wanted.table.name)}{where}"
    )
    target = await find_target(config, state, resources)
    with pg_errors(f"read a row of {wanted.table.target}", target):
        connection = await target.connect()
        resources.push_async_callback(connection.close, timeout=5)
        await connection.execute("; ".join(f"set {name} to '{value}'" for name, value in VERIFY_SETTINGS.items()))
        async with connection.transaction(readonly=True):
            async for row in connection.cursor(sql, prefetch=_FETCH_ROWS):
                hidden = tuple(target_scalar(v, c) for v, c in zip(tuple(row)[1:], parts[1:], strict=True))
                if wanted.fits(wanted.hidden, hidden):
                    return target_text(row[0], wanted.column) or ("" if row[0] is not None else "NULL")
    return None
