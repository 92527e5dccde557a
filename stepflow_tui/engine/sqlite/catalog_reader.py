"""Reads catalog rows whatever bytes names are made of."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

Row = tuple[Any, ...]


class CatalogReader:
    """Runs catalog queries on a connection whose text factory hands out bytes.

    A name that isn't valid UTF-8 becomes printable (`\\xff` for the byte), is remembered with its raw bytes for later
    queries, and `broken` tells it from the others.
    """

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._raw: dict[str, bytes] = {}

    def broken(self, name: str) -> bool:
        """Whether this name was not valid UTF-8 in the file."""
        return name in self._raw

    def rows(self, sql: str) -> list[Row]:
        """All rows of a query without parameters."""
        return [tuple(map(self._text, row)) for row in self._connection.execute(sql)]

    def about(self, pragma: str, name: str) -> list[Row]:
        """All rows of a PRAGMA that takes a name: table_xinfo, index_list, index_xinfo, foreign_key_list."""
        raw = self._raw.get(name)
        argument = "?" if raw is None else "cast(? as text)"
        cursor = self._connection.execute(f"select * from pragma_{pragma}({argument})", (name if raw is None else raw,))
        return [tuple(map(self._text, row)) for row in cursor]

    def value(self, pragma: str) -> Any:
        """The single value of a PRAGMA."""
        row = self._connection.execute(f"pragma {pragma}").fetchone()
        return None if row is None else self._text(row[0])

    def refusal(self, sql: str) -> str | None:
        """SQLite's words when a statement can't be prepared, None when it can."""
        try:
            self._connection.execute(f"explain {sql}").close()
        except sqlite3.Error as exc:
            return str(exc)
        return None

    def _text(self, value: Any) -> Any:
        if not isinstance(value, bytes):
            return value
        try:
            return value.decode("utf-8")
        except UnicodeDecodeError:
            printable = value.decode("utf-8", "backslashreplace")
            self._raw[printable] = value
            return printable


@contextmanager
def catalog_reader(connection: sqlite3.Connection) -> Iterator[CatalogReader]:
    """A reader for as long as the block runs; the connection's text factory is put back afterwards."""
    before = connection.text_factory
    connection.text_factory = bytes
    try:
        yield CatalogReader(connection)
    finally:
        connection.text_factory = before
