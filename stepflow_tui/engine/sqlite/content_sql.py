"""Owns the statements that read one table's stored values in a fixed order, as a whole or in slices."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass
from typing import Any

from stepflow_tui.engine.plan.quote import lite_ident

_ROWID_NAMES = ("rowid", "_rowid_", "oid")
_VIRTUAL_COLUMN = 2
"""`hidden` of a generated column that is computed when it is read: nothing of it is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a table is read.

    `rowid`: a name its rowid can be read by. `key`: for a table WITHOUT ROWID, its primary key's columns with their
    collations, and `places` where they stand in a row. Neither: it can only be read as a whole.
    """

    table: str
    columns: str
    rowid: str | None = None
    key: tuple[str, ...] = ()
    places: tuple[int, ...] = ()
    order: str = ""

    @property
    def whole(self) -> str:
        """The statement that reads all of it."""
        return f"select {self.columns} from {lite_ident(self.table)} not indexed {self.order}"

    @property
    def sliced(self) -> bool:
        """Whether it can be read in slices."""
        return bool(self.places)

    def slice(self, after: bool) -> str:
        """The statement for a slice. Parameters: the last row's key (if `after`), and how many rows."""
        names = ", ".join(self.key)
        where = f"where ({names}) > ({', '.join('?' for _ in self.key)})" if after else ""
        return f"select {self.columns} from {lite_ident(self.table)} not indexed {where} order by {names} limit ?"

    def key_of(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """The parameters that continue after a row.

        Raises:
            UnicodeDecodeError: a text in it is not UTF-8, so it can't be a parameter.
        """
        values = (row[place] for place in self.places)
        return tuple(v.decode("utf-8") if isinstance(v, bytearray) else v for v in values)


def reading_of(conn: sqlite3.Connection, table: str) -> Reading:
    """How to read a table through a connection whose TEXT arrives as `bytearray`."""
    if table == "sqlite_sequence":  # its rows belong to names; VACUUM gives them other rowids
        return Reading(table=table, columns="name, seq", order="order by name, seq")
    info = conn.execute(f"PRAGMA table_xinfo({lite_ident(table)})").fetchall()
    names = [bytes(column[1]).decode("utf-8") for column in info]
    stored = [name for name, column in zip(names, info, strict=True) if column[6] != _VIRTUAL_COLUMN]
    columns = ", ".join(lite_ident(name) for name in stored)
    rowid = _rowid(conn, table, names)
    if rowid:
        return Reading(
            table=table,
            columns=f"{rowid}, {columns}",
            rowid=rowid,
            key=(rowid,),
            places=(0,),
            order=f"order by {rowid}",
        )
    key = _primary_key(conn, table, stored)
    if key is None:
        return Reading(table=table, columns=columns)
    return Reading(table=table, columns=columns, key=tuple(key.values()), places=tuple(key))


def _rowid(conn: sqlite3.Connection, table: str, names: list[str]) -> str | None:
    taken = {name.lower() for name in names}
    name = next((n for n in _ROWID_NAMES if n not in taken), None)
    if name is None:
        return None
    try:
        conn.execute(f"select {name} from {lite_ident(table)} not indexed limit 0").fetchall()
    except sqlite3.OperationalError as error:
        if "no such column" not in str(error):
            raise
        return None
    return name


def _primary_key(conn: sqlite3.Connection, table: str, stored: list[str]) -> dict[int, str] | None:
    """Place in the row and term of each key column; None when one is descending: one comparison can't go both ways."""
    for index in conn.execute(f"PRAGMA index_list({lite_ident(table)})").fetchall():
        if bytes(index[3]) != b"pk":
            continue
        terms = conn.execute(f"PRAGMA index_xinfo({lite_ident(bytes(index[1]).decode())})").fetchall()
        parts = [term for term in terms if term[5]]
        if any(term[3] for term in parts) or any(term[2] is None for term in parts):
            return None
        named = [(bytes(term[2]).decode(), bytes(term[4]).decode()) for term in parts]
        return {stored.index(name): f"{lite_ident(name)} collate {lite_ident(collation)}" for name, collation in named}
    return None
