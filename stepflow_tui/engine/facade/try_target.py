"""The connection test of a target that is being chosen: who answers, whether it can take the tables. Changes nothing.

The embedded server is not started: whether its programs are there and can be executed is looked at, and the run starts it.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.checks.target import check_target
from stepflow_tui.engine.errors import UsageError
from stepflow_tui.engine.model.draft import EMBEDDED, ENVIRONMENT
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.embedded import Embedded
from stepflow_tui.engine.postgres.embedded_home import binaries_version
from stepflow_tui.engine.postgres.view import TargetView, look

if TYPE_CHECKING:
    from stepflow_tui.engine.model.finding import Finding

_REFERENCE = re.compile(r"\$\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ROUNDS = 3


async def try_target(target: str, *, schema: str, state: Path, env: Mapping[str, str]) -> Mapping[str, Any]:
    """Ask the target.

    Args:
        target: an address, which may hold `${VARIABLE}`s; `embedded`; or `environment` for libpq's variables.
        schema: where the tables are to go.
        state: the state directory, whose embedded server is meant.
        env: the environment; nothing of it is kept.

    Returns:
        kind (embedded, environment, address) ok version findings[Finding]; for a server also address user database
        schema schema_exists tables encrypted latency_ms; for the embedded one also running exists. `ok`: nothing blocks.

    Raises:
        TargetConnectionError: it doesn't answer or refuses the login.
        UsageError: the address can't be read, a variable is missing, the embedded server's package isn't installed.
    """
    if target == EMBEDDED:
        return await _embedded(state)
    dsn = None if target == ENVIRONMENT else _expanded(target, env)
    aim = await asyncio.to_thread(Target.from_config, dsn, env, schema=schema)
    latency = await _latency(aim)
    view = await look(aim)
    if view.error is not None:
        raise view.error
    findings = await check_target(view)
    return _told(ENVIRONMENT if dsn is None else "address", view, findings, latency)


def _expanded(target: str, env: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        found = env.get(match[1], "")
        if not found:
            raise UsageError(
                f"The variable {match[1]} isn't set.",
                hint=f"Leave StepFlow, export {match[1]}=…, and start it again; or type the address.",
                code="variable_missing",
            )
        return found

    return _REFERENCE.sub(value, target)


async def _latency(aim: Target) -> float:
    """Milliseconds of the fastest of a few questions."""
    connection = await aim.connect()
    try:
        taken = []
        for _ in range(_ROUNDS):
            began = time.perf_counter()
            await connection.fetchval("select 1")
            taken.append(time.perf_counter() - began)
        return min(taken) * 1000
    finally:
        await connection.close()


def _told(kind: str, view: TargetView, findings: list[Finding], latency: float) -> dict[str, Any]:
    return {
        "kind": kind,
        "ok": not any(f.severity is Severity.BLOCKING for f in findings),
        "version": view.version,
        "address": view.target.describe(),
        "user": view.user,
        "database": view.target.database,
        "schema": view.target.schema,
        "schema_exists": view.schema_exists,
        "tables": len(view.tables),
        "encrypted": view.encrypted,
        "latency_ms": round(latency, 2),
        "findings": findings,
    }


async def _embedded(state: Path) -> dict[str, Any]:
    version = await asyncio.to_thread(binaries_version)
    exists = await asyncio.to_thread(Embedded.exists, state)
    running = (await Embedded(state).status()).running if exists else False
    return {"kind": EMBEDDED, "ok": True, "version": version, "running": running, "exists": exists, "findings": []}
