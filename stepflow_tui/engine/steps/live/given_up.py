"""Rows that SQLite can't hold, when somebody goes back all the same: kept in a file of the run, then taken out of the target."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from stepflow_tui.engine.model.plan import TablePlan
from stepflow_tui.engine.plan.quote import pg_ident, pg_name
from stepflow_tui.engine.postgres import reverse_rows
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.postgres.reverse_rows import Blocker
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.facts import connection
from stepflow_tui.engine.steps.live.gate import run_tables

if TYPE_CHECKING:
    import asyncpg

FILE = "given-up.ndjson"


async def give_up_rows(ctx: RunContext) -> int:
    """Keep these rows as they are in PostgreSQL, for nobody else to read. Returns how many.

    They are deleted there only when writes have gone back (`undo_return`) and foreign keys and triggers are off: till then
    going back may still fail, and a cascade or a trigger would change rows that nobody gave up.

    The caller has closed the gate, and somebody has agreed by name.
    """
    plans = {t.source: t for t in await run_tables(ctx)}
    async with connection(ctx) as conn:
        blocked = await reverse_rows.blockers(conn, ctx.run_id)
        with pg_errors("keep the rows that are given up"):
            rows = [row for b in blocked if (row := await _row(conn, plans[b.table], b)) is not None]
            await asyncio.to_thread(_keep, ctx.run_dir / "rejects", rows)
    return len(rows)


async def _row(conn: asyncpg.Connection, table: TablePlan, blocker: Blocker) -> dict[str, object] | None:
    text = await conn.fetchval(
        f"select to_jsonb(t)::text from {pg_name(table.schema, table.name)} t where {_where(table)}", *blocker.key
    )
    if text is None:
        return None
    return {"table": table.source, "key": list(blocker.key), "reason": blocker.reason, "row": json.loads(text)}


def _where(table: TablePlan) -> str:
    """The key by its text forms; its index is used."""
    types = {c.source: c.type.sql for c in table.columns}
    return " and ".join(
        f"{pg_ident(target)} = ${n}::text::{types[source]}"
        for n, (source, target) in enumerate(zip(table.live_key, table.live_targets, strict=True), 1)
    )


def _keep(folder: Path, rows: Sequence[dict[str, object]]) -> None:
    if not rows:
        return
    folder.mkdir(mode=0o700, exist_ok=True)
    path = folder / FILE
    path.touch(mode=0o600)
    with path.open("a", encoding="utf-8") as out:
        out.writelines(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
