"""Connecting: the pinned session, and one message for each way a target can refuse."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from stepflow_tui.engine.errors import Refused, StepFlowError, TargetConnectionError
from stepflow_tui.engine.postgres.connect import Target
from tests.conftest import Server


@asynccontextmanager
async def listening(answer: bytes | None) -> AsyncIterator[int]:
    """A TCP server that answers the first packet with some bytes, or never."""
    waiting = asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1024)
        if answer is None:
            await waiting.wait()
        else:
            writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        waiting.set()
        server.close()


async def refused(target: Target) -> StepFlowError:
    with pytest.raises(StepFlowError) as caught:
        await target.connect()
    assert caught.value.hint
    return caught.value


async def test_session_is_pinned(pg_target: Target) -> None:
    connection = await replace(pg_target, schema="app").connect()
    try:
        seen = {
            name: await connection.fetchval(f"show {name}")
            for name in ("datestyle", "timezone", "extra_float_digits", "bytea_output", "row_security", "search_path")
        }
        application = await connection.fetchval("show application_name")
        encoding = await connection.fetchval("show client_encoding")
    finally:
        await connection.close()
    assert seen == {
        "datestyle": "ISO, YMD",
        "timezone": "UTC",
        "extra_float_digits": "3",
        "bytea_output": "hex",
        "row_security": "off",
        "search_path": 'pg_catalog, "app", pg_temp',
    }
    assert (application, encoding.upper().replace("-", "")) == ("stepflow", "UTF8")


async def test_settings_of_the_role_do_not_reach_us(pg_server: Server, pg_target: Target) -> None:
    connection = await pg_target.connect()
    await connection.execute(f"alter database \"{pg_target.database}\" set datestyle = 'SQL, DMY'")
    await connection.execute(f'alter database "{pg_target.database}" set extra_float_digits = -15')
    await connection.execute(f"alter database \"{pg_target.database}\" set statement_timeout = '5s'")
    await connection.close()
    again = await pg_target.connect()
    try:
        assert await again.fetchval("select date '2001-02-03' || ' ' || 0.1::float8") == "2001-02-03 0.1"
        assert await again.fetchval("show statement_timeout") == "0"
    finally:
        await again.close()


async def test_worker_uri_works_with_libpq_driver(pg_target: Target) -> None:
    import adbc_driver_manager
    import adbc_driver_postgresql
    import nanoarrow

    with (
        adbc_driver_postgresql.connect(pg_target.uri()) as database,
        adbc_driver_manager.AdbcConnection(database) as conn,
    ):
        statement = adbc_driver_manager.AdbcStatement(conn)
        statement.set_sql_query("select current_database()::text as name")
        stream, _ = statement.execute_query()
        found = nanoarrow.ArrayStream(stream).read_all().to_pylist()
        statement.close()
    assert found == [{"name": pg_target.database}]


async def test_uri_of_config_reaches_the_same_database(pg_dsn: str, pg_target: Target) -> None:
    connection = await Target.from_config(pg_dsn, {}).connect()
    try:
        assert await connection.fetchval("select current_database()") == pg_target.database
    finally:
        await connection.close()


async def test_wrong_password(pg_target: Target) -> None:
    error = await refused(replace(pg_target, password="canary-wrong"))
    assert isinstance(error, TargetConnectionError)
    assert error.code == "password_refused"
    assert "canary-wrong" not in f"{error} {error.__cause__}"


async def test_no_password(pg_target: Target) -> None:
    assert (await refused(replace(pg_target, password=None))).code == "password_refused"


async def test_missing_role(pg_target: Target) -> None:
    assert (await refused(replace(pg_target, user="nobody_here"))).code == "password_refused"


async def test_missing_database(pg_target: Target) -> None:
    error = await refused(pg_target.at("not there"))
    assert isinstance(error, Refused)
    assert error.code == "database_missing"


async def test_nothing_listens(pg_target: Target) -> None:
    async with listening(b"") as port:
        pass
    assert (await refused(replace(pg_target, hosts=(("127.0.0.1", port),)))).code == "target_down"
    assert (await refused(replace(pg_target, hosts=(("/nonexistent", 5432),)))).code == "target_down"


async def test_unknown_host(pg_target: Target) -> None:
    error = await refused(replace(pg_target, hosts=(("no-such-host.invalid", 5432),)))
    assert error.code == "host_unknown"


async def test_silent_peer_is_given_up(pg_target: Target) -> None:
    async with listening(None) as port:
        target = replace(pg_target, hosts=(("127.0.0.1", port),), connect_timeout=0.2)
        assert (await refused(target)).code == "target_timeout"


@pytest.mark.parametrize("sslmode", ["require", "verify-full"])
async def test_server_without_tls(pg_target: Target, sslmode: str) -> None:
    async with listening(b"N") as port:
        options = (("sslrootcert", "system"),) if sslmode == "verify-full" else ()
        target = replace(pg_target, hosts=(("127.0.0.1", port),), sslmode=sslmode, options=options)
        error = await refused(target)
    assert isinstance(error, TargetConnectionError)
    assert error.code == "tls_refused"


async def test_missing_root_certificate(pg_target: Target) -> None:
    target = replace(
        pg_target, hosts=(("127.0.0.1", 1),), sslmode="verify-full", options=(("sslrootcert", "/nonexistent"),)
    )
    assert (await refused(target)).code == "tls_refused"


async def test_something_that_is_not_postgresql(pg_target: Target) -> None:
    async with listening(b"HTTP/1.1 400 Bad Request\r\n\r\n") as port:
        target = replace(pg_target, hosts=(("127.0.0.1", port),), sslmode="disable", connect_timeout=2)
        error = await refused(target)
    assert isinstance(error, TargetConnectionError)


async def test_server_that_has_no_connection_left(pg_target: Target) -> None:
    words = b"SFATAL\x00C53300\x00Msorry, too many clients already\x00\x00"
    async with listening(b"E" + struct.pack("!i", len(words) + 4) + words) as port:
        error = await refused(replace(pg_target, hosts=(("127.0.0.1", port),), sslmode="disable"))
    assert error.code == "too_many_connections"


async def test_second_host_is_tried(pg_target: Target) -> None:
    target = replace(pg_target, hosts=(("/nonexistent", 5432), *pg_target.hosts))
    connection = await target.connect()
    await connection.close()
    assert connection.is_closed()


async def test_terminated_session_is_a_lost_connection(pg_target: Target) -> None:
    from stepflow_tui.engine.postgres.errors import pg_errors

    connection, other = await pg_target.connect(), await pg_target.connect()
    try:
        await other.execute("select pg_terminate_backend($1)", connection.get_server_pid())
        with pytest.raises(TargetConnectionError) as caught, pg_errors("ask"):
            await connection.fetchval("select 1")
    finally:
        await other.close()
        connection.terminate()
    assert caught.value.code == "connection_lost"
