"""What the steps of a conversion in place keep for one another: what was there before, and what was done."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import Refused, StepFailed
from stepflow_tui.engine.model.codec import from_plain, to_plain
from stepflow_tui.engine.model.state import StepState
from stepflow_tui.engine.sqlite.connect import real_path
from stepflow_tui.engine.sqlite.content import Content
from stepflow_tui.engine.sqlite.convert import ModeFacts
from stepflow_tui.engine.steps.context import RunContext

RECORD = "state-before.json"
SCRATCH = "scratch"
CONVERT, LAYOUT = "cutover.convert", "cutover.layout"
CHANGES = frozenset({LAYOUT, CONVERT, "cutover.change-application"})
"""Steps after which the database, or what the application makes of it, may not be what it was."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """What was there before: the mode of the living file, and the content of the tested backup, made of it."""

    mode: ModeFacts
    content: Content
    change_counter: int  # of the living file when the backup was made


def source_of(ctx: RunContext) -> Path:
    """The real path of the database."""
    return real_path(ctx.config.source.path)


def scratch_of(ctx: RunContext) -> Path:
    """A private folder for copies; its user removes what it made."""
    folder = ctx.run_dir / SCRATCH
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder


async def save_record(ctx: RunContext, record: Recorded) -> None:
    """On disk when it returns: digests and counts, no row of data."""
    ctx.memory.drop(Recorded)
    ctx.memory.put(record)
    await asyncio.to_thread(_write, ctx.run_dir / RECORD, to_plain(record))


def _write(path: Path, plain: Any) -> None:
    draft = path.with_name(f".{path.name}.partial")
    draft.unlink(missing_ok=True)
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(handle, "w", encoding="utf-8", errors="surrogateescape") as file:
        json.dump(plain, file)
        file.flush()
        os.fsync(handle)
    draft.replace(path)


async def recorded(ctx: RunContext) -> Recorded:
    """What was there before, after a restart too.

    Raises:
        StepFailed: `state_record_missing`.
    """
    known = ctx.memory.find(Recorded)
    if known is None:
        known = await asyncio.to_thread(_read, ctx.run_dir / RECORD)
        ctx.memory.put(known)
    return known


def _read(path: Path) -> Recorded:
    try:
        plain = json.loads(path.read_text("utf-8", "surrogateescape"))
        found: Recorded = from_plain(Recorded, plain)
    except (OSError, ValueError, TypeError, KeyError) as exc:
        raise StepFailed(
            "What was there before the conversion was not recorded, or the record can't be read.",
            detail=f"{path.name}: {exc}",
            hint="Start a new run with --new.",
            code="state_record_missing",
        ) from exc
    return found


async def attempts(ctx: RunContext) -> int:
    """How often anything was begun that changes the database or its application; the same throughout one way back."""
    return sum(row["attempt"] for row in await ctx.journal.step_rows() if row["id"] in CHANGES)


async def changed(ctx: RunContext) -> bool:
    """Whether anything of it was begun and is not taken back yet."""
    rows = [row for row in await ctx.journal.step_rows() if row["id"] in CHANGES]
    return any(row["attempt"] > 0 and row["state"] != StepState.UNDONE.value for row in rows)


async def evidence_of(ctx: RunContext, step: str) -> dict[str, Any]:
    """What a step that is done has proved; {} before."""
    row = await ctx.journal.step_row(step)
    found: dict[str, Any] = json.loads(row["evidence"] or "{}") if row["state"] == "done" else {}
    return found


async def refuse_replaced(ctx: RunContext, now: ModeFacts) -> None:
    """Another file of that name is not the one that was looked at and backed up.

    Raises:
        Refused: `source_replaced`.
    """
    known = (await recorded(ctx)).mode
    if (known.dev, known.inode) != (now.dev, now.inode):
        raise Refused(
            f"{source_of(ctx)} was replaced by another file since its backup.",
            hint="Stop whatever replaces it. Look which file is the right one, then start a new run with --new.",
            code="source_replaced",
        )


async def converts(ctx: RunContext) -> bool:
    """Whether there is anything to convert: the file was not in WAL mode when the run looked at it."""
    return not (await recorded(ctx)).mode.wal
