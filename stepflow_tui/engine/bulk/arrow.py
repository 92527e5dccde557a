"""Arrow batches: read from SQLite, checked against the plan, rebuilt where Python must, sent to PostgreSQL.

The only place that knows nanoarrow's and ADBC's calls.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import adbc_driver_manager as manager
import adbc_driver_postgresql
import adbc_driver_sqlite
import nanoarrow as na
from nanoarrow.c_array_stream import CArrayStream

from stepflow_tui.engine.sqlite.connect import file_uri

AdbcError = manager.Error
Connection = Any
Batch = Any
"""A nanoarrow CArray of struct type: one row set."""


def open_frozen(path: Path) -> Connection:
    """The driver's own SQLite on a file that can't change: no locks, no side files. Never on a living source."""
    return manager.AdbcConnection(adbc_driver_sqlite.connect(file_uri(path, "mode=ro", "immutable=1")))


def open_target(uri: str) -> Connection:
    """A libpq connection outside autocommit: nothing is kept without `commit`."""
    connection = manager.AdbcConnection(adbc_driver_postgresql.connect(uri))
    connection.set_autocommit(False)
    return connection


def execute(connection: Connection, sql: str) -> int:
    """Run one statement; returns the affected rows (-1 where there is no such number)."""
    statement = manager.AdbcStatement(connection)
    try:
        statement.set_sql_query(sql)
        return int(statement.execute_update())
    finally:
        statement.close()


@contextmanager
def query(connection: Connection, sql: str, **options: int | str) -> Iterator[Iterator[Batch]]:
    """Run a query; the batches are read inside the block.

    Every statement is closed, whatever happens: a connection with an open one can't be closed.

    Args:
        connection: of either database.
        sql: the query.
        options: statement options, `__` standing for a dot.
    """
    statement = manager.AdbcStatement(connection)
    try:
        if options:
            statement.set_options(**{key.replace("__", "."): value for key, value in options.items()})
        statement.set_sql_query(sql)
        handle, _ = statement.execute_query()
        yield _batches(handle)
    finally:
        statement.close()


def read_sqlite(connection: Connection, sql: str, batch_rows: int) -> list[Batch]:
    """All batches of a query on the frozen file. Types come from the values of the first one, so make it large enough.

    Args:
        batch_rows: rows per batch.
    """
    with query(connection, sql, adbc__sqlite__query__batch_rows=max(1, batch_rows)) as batches:
        return list(batches)


def _batches(handle: object) -> Iterator[Batch]:
    stream = na.c_array_stream(handle)
    try:
        while True:
            try:
                batch = stream.get_next()
            except StopIteration:
                return
            if batch.length:
                yield batch
    finally:
        stream.release()


def children(batch: Batch) -> list[Batch]:
    """The columns of a batch."""
    return [batch.child(i) for i in range(batch.n_children)]


def validity(column: Batch) -> bytes | None:
    """The validity bitmap with its padding bits cleared (they are uninitialised), None when every value is there."""
    length = column.length
    bitmap = column.view().buffer(0)
    if not bitmap.size_bytes:
        return None
    used = bytearray(memoryview(bitmap).cast("B")[: (length + 7) // 8])
    if length % 8:
        used[-1] &= (1 << length % 8) - 1
    return bytes(used)


def all_null(column: Batch) -> bool:
    """Whether no value is there."""
    bits = validity(column)
    return column.length == 0 or (bits is not None and not any(bits))


def buffer_bytes(column: Batch, index: int) -> memoryview:
    """One buffer of a column as bytes: 1 = values or offsets, 2 = data of text and blobs."""
    return memoryview(column.view().buffer(index)).cast("B")


def int64(column: Batch) -> array[int]:
    """The values of an int64 column; where there is none, anything may stand."""
    values = array("q")
    values.frombytes(buffer_bytes(column, 1)[: 8 * column.length])
    return values


def decimal128(low: Batch, high: Batch, scale: int) -> Batch:
    """Two int64 columns (value, sign extension) as one decimal of that scale."""
    length = low.length
    words = array("q", bytes(16 * length))
    words[0::2], words[1::2] = int64(low), int64(high)
    return na.c_array_from_buffers(na.decimal128(19, scale), length, [_bitmap(low), words])


def narrow(column: Batch, schema: Any, code: str) -> Batch:
    """An int64 column as a smaller integer type.

    Args:
        schema: nanoarrow type.
        code: `array` type code of the same width.

    Raises:
        OverflowError: a value does not fit.
    """
    values = int64(column)
    bits = validity(column)
    if bits is not None:
        for i, byte in enumerate(bits):
            if byte != 0xFF:  # whatever stands in place of a NULL need not fit
                for bit in range(min(8, column.length - 8 * i)):
                    if not byte >> bit & 1:
                        values[8 * i + bit] = 0
    return na.c_array_from_buffers(schema, column.length, [_bitmap(column), array(code, values)])


def _bitmap(column: Batch) -> Any:
    bitmap = column.view().buffer(0)
    return bitmap if bitmap.size_bytes else None


def as_batch(names: Sequence[str], columns: Sequence[Batch], length: int) -> Batch:
    """Columns put together under those names, without copying them."""
    schema = na.struct({name: na.c_schema(column.schema) for name, column in zip(names, columns, strict=True)})
    return na.c_array_from_buffers(schema, length, [None], children=list(columns))


def ingest(connection: Connection, schema: str, table: str, batches: Sequence[Batch]) -> int:
    """Append batches to a table by binary COPY, inside the connection's transaction; returns the rows written."""
    statement = manager.AdbcStatement(connection)
    try:
        statement.set_options(
            **{
                "adbc.ingest.target_table": table,
                "adbc.ingest.target_db_schema": schema,
                "adbc.ingest.mode": "adbc.ingest.mode.append",
            }
        )
        statement.bind_stream(CArrayStream.from_c_arrays(list(batches), na.c_schema(batches[0].schema)))
        return int(statement.execute_update())
    finally:
        statement.close()
