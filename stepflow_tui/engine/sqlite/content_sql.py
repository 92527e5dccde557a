"""Owns the statements that read one table's stored values in the order of its own tree, as a whole or in slices."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, replace
from typing import Any

from stepflow_tui.engine.plan.quote import lite_ident

_ROWID_NAMES = ("rowid", "_rowid_", "oid")
_BUILT_IN = {"binary", "nocase", "rtrim"}
_VIRTUAL_COLUMN = 2
"""`hidden` of a generated column that is computed when it is read: nothing of it is stored."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """How a table is read: `columns` through `access`, which keeps SQLite from reading an index instead.

    `key`: terms that a slice is found by, and `places` where their values stand in a row; () when it can only be read as a
    whole, in `order`.
    """

    table: str
    columns: str
    access: str = "not indexed"
    order: str = ""
    key: tuple[str, ...] = ()
    places: tuple[int, ...] = ()

    @property
    def _from(self) -> str:
        return f"select {self.columns} from {lite_ident(self.table)} {self.access}"

    @property
    def whole(self) -> str:
        """The statement that reads all of it."""
        return f"{self._from} {self.order}"

    def slice(self, *, after: bool) -> str:
        """The statement for a slice. Parameters: the last row's key (if `after`), and how many rows."""
        terms = ", ".join(self.key)
        where = f"where ({terms}) > ({', '.join('?' for _ in self.key)})" if after else ""
        return f"{self._from} {where} order by {terms} limit ?"

    def key_of(self, row: tuple[Any, ...]) -> tuple[Any, ...]:
        """The parameters that continue after a row.

        Raises:
            UnicodeDecodeError: a text in it is not UTF-8, so it can't be a parameter.
        """
        values = (row[place] for place in self.places)
        return tuple(v.decode("utf-8") if isinstance(v, bytearray) else v for v in values)


def reading_of(conn: sqlite3.Connection, table: str) -> Reading:
    """How to read a table through a connection whose TEXT arrives as `bytearray`.

    Raises:
        UnicodeDecodeError: a name in it is not UTF-8, so no statement can hold it.
    """
    if table == "sqlite_sequence":  # its rows belong to names; VACUUM gives them other rowids
        return Reading(table=table, columns="name, seq", order="order by name, seq")
    info = conn.execute(f"PRAGMA table_xinfo({lite_ident(table)})").fetchall()
    names = [_text(column[1]) for column in info]
    stored = [name for name, column in zip(names, info, strict=True) if column[6] != _VIRTUAL_COLUMN]
    columns = ", ".join(lite_ident(name) for name in stored)
    index = _own_index(conn, table)
    if index is not None:
        return _by_primary_key(
            conn, Reading(table=table, columns=columns, access=f"indexed by {lite_ident(index)}"), index, stored
        )
    taken = {name.lower() for name in names}
    rowid = next((n for n in _ROWID_NAMES if n not in taken), None)
    if rowid is None:  # columns have taken all its names: read in its order, without it
        return Reading(table=table, columns=columns)
    return Reading(table=table, columns=f"{rowid}, {columns}", order=f"order by {rowid}", key=(rowid,), places=(0,))


def _text(value: Any) -> str:
    return bytes(value).decode("utf-8")


def _own_index(conn: sqlite3.Connection, table: str) -> str | None:
    """The index that is the table itself, of one WITHOUT ROWID: a primary key that the schema lists no tree for."""
    for index in conn.execute(f"PRAGMA index_list({lite_ident(table)})").fetchall():
        name = _text(index[1])
        listed = conn.execute("select 1 from sqlite_schema where type='index' and name=?", (name,)).fetchone()
        if bytes(index[3]) == b"pk" and listed is None:
            return name
    return None


def _by_primary_key(conn: sqlite3.Connection, whole: Reading, index: str, stored: list[str]) -> Reading:
    terms = [term for term in conn.execute(f"PRAGMA index_xinfo({lite_ident(index)})").fetchall() if term[5]]
    collations = [_text(term[4]) for term in terms]
    if _stand_in(conn, collations) or any(term[3] for term in terms):
        return whole  # a made-up collation or a descending column: it can be walked through, not searched
    places = tuple(stored.index(_text(term[2])) for term in terms)
    key = tuple(f"{lite_ident(stored[p])} collate {c}" for p, c in zip(places, collations, strict=True))
    return replace(whole, key=key, places=places)


def _stand_in(conn: sqlite3.Connection, collations: list[str]) -> bool:
    """Give the connection the collations that only the application has; tell whether there are any.

    SQLite does not open a tree without its collation. Nothing is ever compared by it here, so any order will do.
    """
    missing = [name for name in collations if name.lower() not in _BUILT_IN]
    for name in missing:
        conn.create_collation(name, lambda a, b: (a > b) - (a < b))
    return bool(missing)
