"""Puts keys into the source's change log: the tail then reads what their rows are now."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from stepflow_tui.engine.model.discrepancy import TableVerdict
from stepflow_tui.engine.model.live import LOG, CapturePlan
from stepflow_tui.engine.plan.quote import lite_ident
from stepflow_tui.engine.sqlite.capture import open_application
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.steps.context import RunContext
from stepflow_tui.engine.steps.live.capture import capture_plan_of


async def log_keys(ctx: RunContext, keys: Mapping[str, Sequence[Sequence[Any]]]) -> None:
    """Log these keys, by source table; a key's values are those of the captured key's columns."""
    captured = await capture_plan_of(ctx)
    await asyncio.to_thread(_log, real_path(ctx.config.source.path), captured, keys)


async def log_missed(ctx: RunContext, verdict: TableVerdict) -> int:
    """Log the rows that differ in a table whose log may miss some. Returns how many."""
    key = (await capture_plan_of(ctx)).table(verdict.table).key
    rows = list(dict.fromkeys(tuple(d.true_key[name] for name in key) for d in verdict.discrepancies))
    await log_keys(ctx, {verdict.table: rows})
    return len(rows)


def _log(path: Path, captured: CapturePlan, keys: Mapping[str, Sequence[Sequence[Any]]]) -> None:
    with sqlite_errors(f"The change log of {path}"), closing(open_application(path)) as opened:
        opened.execute("begin immediate")
        for table, rows in keys.items():
            width = len(captured.table(table).key)
            names = ", ".join(("tb", *(f"k{i + 1}" for i in range(width))))
            marks = ", ".join("?" * (1 + width))
            opened.executemany(
                f"insert into {lite_ident(LOG)}({names}) values ({marks})", [(table, *row) for row in rows]
            )
        opened.execute("commit")
