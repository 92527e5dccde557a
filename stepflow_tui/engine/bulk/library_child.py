"""The child process that asks the Arrow driver which SQLite it brings along: that library must never be loaded beside ours."""

from __future__ import annotations

from typing import Any

import adbc_driver_manager as manager
import adbc_driver_sqlite
import nanoarrow as na

from stepflow_tui.engine.sqlite.serving import Emit, serve


def handle(_request: dict[str, Any], _emit: Emit) -> str:
    """The version of the driver's own SQLite library, such as `3.53.0`."""
    connection = manager.AdbcConnection(adbc_driver_sqlite.connect(":memory:"))
    statement = manager.AdbcStatement(connection)
    try:
        statement.set_sql_query("select sqlite_version() as version")
        stream, _ = statement.execute_query()
        [row] = na.ArrayStream(na.c_array_stream(stream)).read_all().to_pylist()
        return str(row["version"])
    finally:
        statement.close()
        connection.close()


if __name__ == "__main__":
    serve(handle)
