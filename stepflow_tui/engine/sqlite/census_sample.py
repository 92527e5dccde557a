"""A sample of a table: its first rows, and rows at random keys. A guess starts from it; every decision is counted."""

from __future__ import annotations

import random
import sqlite3
from dataclasses import dataclass

from stepflow_tui.engine.model.schema import SourceColumn, SourceTable, TableKind
from stepflow_tui.engine.plan.profile import Value
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.census_lane import source
from stepflow_tui.engine.sqlite.connect import Text

FIRST = 500
RANDOM = 500
BYTES = 4 * 1024 * 1024
"""A sample ends early when it has read this much."""


@dataclass(frozen=True, slots=True)
class Sample:
    """Values by column, in the order of the columns asked for; `whole`: these are all rows."""

    columns: tuple[list[Value], ...]
    whole: bool


def take_sample(connection: sqlite3.Connection, table: SourceTable, columns: tuple[SourceColumn, ...]) -> Sample:
    """Sample the columns of a table.

    The same file gives the same sample: random keys come from the table's name.
    """
    names = ", ".join(lite_ident(c.name) for c in columns)
    taken: tuple[list[Value], ...] = tuple([] for _ in columns)
    read = rows = 0
    for row in connection.execute(f"select {names} from {source(table)} limit {FIRST}"):
        read += _keep(taken, row)
        rows += 1
        if read > BYTES:
            break
    if rows < FIRST and read <= BYTES:
        return Sample(taken, whole=True)
    key = table.rowid_name or table.rowid_alias
    if key is not None and table.kind is TableKind.ORDINARY and not table.without_rowid and read <= BYTES:
        _at_random(connection, table, names, lite_ident(key), taken)
    return Sample(taken, whole=False)


def _at_random(
    connection: sqlite3.Connection, table: SourceTable, names: str, key: str, taken: tuple[list[Value], ...]
) -> None:
    name = lite_ident(table.name)
    low, high = connection.execute(
        f"select (select min({key}) from {name}), (select max({key}) from {name})"
    ).fetchone()
    dice = random.Random(table.name)  # noqa: S311 - a sample, no secret
    sql = f"select {names} from {source(table)} where {key}>=? order by {key} limit 1"
    read = 0
    for _ in range(RANDOM):
        row = connection.execute(sql, (dice.randint(low, high),)).fetchone()
        read += _keep(taken, row) if row else 0
        if read > BYTES:
            return


def _keep(taken: tuple[list[Value], ...], row: tuple[object, ...]) -> int:
    read = 0
    for column, value in zip(taken, row, strict=True):
        if isinstance(value, Text):
            read += len(value)
            column.append(value.decode("utf-8", "surrogateescape"))
        else:
            read += len(value) if isinstance(value, bytes) else 8
            column.append(value)  # type: ignore[arg-type]  # SQLite knows no other classes
    return read
