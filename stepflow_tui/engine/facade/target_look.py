"""A short look at the PostgreSQL side: whether it answers, how long connecting takes, how large the tables are."""

from __future__ import annotations

import os
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.errors import StepFlowError, TargetConnectionError
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.embedded import Embedded
from stepflow_tui.engine.postgres.errors import pg_errors

if TYPE_CHECKING:
    import asyncpg

    from stepflow_tui.engine.config import LoadedConfig

TABLES = 100
ANSWER_SECONDS = 5.0
_SIZES = """
select c.relname, pg_total_relation_size(c.oid), greatest(c.reltuples, 0)::bigint
from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
where n.nspname = $1 and c.relkind = 'r' order by 2 desc limit $2
"""


async def look_at_target(loaded: LoadedConfig, state: Path) -> dict[str, Any]:
    """Ask the target once; never raises for what it answers.

    Returns:
        {ok address seconds bytes tables{name: {bytes rows}} code reason hint}. `seconds` is how long connecting took; `rows`
        is the server's own estimate; `code` is "" where all is well.
    """
    told: dict[str, Any] = {"ok": False, "address": "embedded", "seconds": None, "bytes": None, "tables": {}}
    try:
        async with _target(loaded, state) as target:
            told["address"] = target.describe()
            return told | await _ask(target) | {"ok": True, "code": "", "reason": "", "hint": ""}
    except StepFlowError as error:
        reason = f"{error.message} {error.detail}".strip()
        return told | {"code": error.code, "reason": reason, "hint": error.hint}


@asynccontextmanager
async def _target(loaded: LoadedConfig, state: Path) -> AsyncIterator[Target]:
    wanted = loaded.config.target
    if not wanted.embedded:
        dsn = wanted.dsn.get_secret_value() if wanted.dsn is not None else None
        yield Target.from_config(dsn, os.environ, schema=wanted.schema_name)
        return
    server = Embedded(state)
    if not Embedded.exists(state) or not (await server.status()).running:
        raise TargetConnectionError(
            "The embedded PostgreSQL isn't running.",
            hint="`stepflow embedded start` starts it; `stepflow run` starts it by itself.",
            code="embedded_not_running",
        )
    await server.start()  # it runs: this only counts us among its users while we look
    try:
        yield server.target(loaded.config.name, schema=wanted.schema_name)
    finally:
        await server.release()


async def _ask(target: Target) -> dict[str, Any]:
    began = time.perf_counter()
    connection: asyncpg.Connection = await target.connect()
    seconds = time.perf_counter() - began
    try:
        with pg_errors("look at the target's tables", target):
            rows = await connection.fetch(_SIZES, target.schema, TABLES, timeout=ANSWER_SECONDS)
            size = await connection.fetchval("select pg_database_size(current_database())", timeout=ANSWER_SECONDS)
    finally:
        await connection.close(timeout=ANSWER_SECONDS)
    tables = {name: {"bytes": taken, "rows": count} for name, taken, count in rows}
    return {"seconds": round(seconds, 4), "bytes": size, "tables": tables}
