"""Owns changing a database's page size and auto-vacuum, which rewrites the file. In WAL mode SQLite ignores a new page size,
so it comes before the conversion."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

from stepflow_tui.engine.errors import Held, Refused, StepFailed
from stepflow_tui.engine.model.config_wal import AutoVacuum
from stepflow_tui.engine.model.control import Control
from stepflow_tui.engine.sqlite.child import path_text
from stepflow_tui.engine.sqlite.connect import real_path, shown
from stepflow_tui.engine.sqlite.conversation import Conversation
from stepflow_tui.engine.sqlite.convert_errors import failure, refuse_unfit
from stepflow_tui.engine.sqlite.holders import find_holders
from stepflow_tui.engine.sqlite.mode import JournalMode, ModeFacts, read_mode, soundness

_CHILD = "stepflow_tui.engine.sqlite.convert_child"
_BUSY_MS = 100
_REST_SECONDS = 0.2
_LOOK_SECONDS = 0.2


async def set_layout(
    path: Path,
    *,
    page_size: int | None,
    auto_vacuum: AutoVacuum | None,
    wait: float,
    control: Control,
    identity: tuple[int, int] | None = None,
) -> dict[str, Any]:
    """Give a rollback-journal database another page size or auto-vacuum, and read both back by a fresh connection.

    Others can neither read nor write while the file is rewritten, so this belongs into a window without the application.

    Args:
        path: symlinks are followed.
        page_size: bytes; None keeps it. auto_vacuum: None keeps it.
        wait: seconds to look for a moment in which nobody uses the file.
        control: looked at between tries.
        identity: device and inode of the file that was examined, None: what stands there now.

    Returns:
        `changed`, `seconds`, `before` and `after` (page_size, auto_vacuum, bytes), `integrity` where it was rewritten.

    Raises:
        Refused: `layout_needs_rollback_journal`; `layout_renumbers_rows`: rows of the tables named would get other rowids;
            `layout_refused`: SQLite lacks something the schema names, such as a collation of the application;
            `source_replaced`, `source_schema_unreadable`, and as `convert`.
        Held: `source_busy_conversion`. DiskFull (temporary files need twice the room). StepFailed: `layout_not_taken`,
            `conversion_io`.
        Stopping: by `control`.
    """
    real = real_path(path)
    await control.checkpoint()
    before = await read_mode(real)
    refuse_unfit(real, JournalMode.DELETE, before)
    facts = {"before": _shown(before, real)}
    if page_size in (None, before.page_size) and auto_vacuum in (None, before.auto_vacuum):
        return {**facts, "changed": False, "seconds": 0.0, "after": facts["before"]}
    _refuse_wal(real, before)
    started = time.monotonic()
    size, vacuum = page_size or before.page_size, str(auto_vacuum or before.auto_vacuum)
    request = {"op": "layout", "path": path_text(real), "page_size": size, "auto_vacuum": vacuum, "busy_ms": _BUSY_MS}
    dev, inode = identity or (before.dev, before.inode)
    await _until_done(real, {**request, "dev": dev, "inode": inode}, wait, control)
    sound, after = await soundness(real), await read_mode(real)
    if (after.page_size, after.auto_vacuum) != (size, vacuum) or sound != "ok":
        raise _not_taken(real, after, sound)
    return {
        **facts,
        "changed": True,
        "seconds": time.monotonic() - started,
        "after": _shown(after, real),
        "integrity": sound,
    }


def _shown(facts: ModeFacts, path: Path) -> dict[str, Any]:
    return {"page_size": facts.page_size, "auto_vacuum": facts.auto_vacuum, "bytes": path.stat().st_size}


async def _until_done(path: Path, request: dict[str, Any], wait: float, control: Control) -> None:
    deadline = time.monotonic() + wait
    async with Conversation(_CHILD) as child:
        while True:
            paused = time.monotonic()
            await control.checkpoint()
            deadline += time.monotonic() - paused
            answer = await _ask(child, request, control)
            if "done" in answer:
                return
            if "renumbered" in answer:
                raise _renumbers(path, answer["renumbered"])
            if answer["failed"] == "SQLITE_ERROR":
                raise _refused(path, answer["text"])
            if not answer["failed"].startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
                raise await failure(path, answer["failed"], answer["text"])
            if time.monotonic() >= deadline:
                raise await _busy(path, wait)
            await asyncio.sleep(_REST_SECONDS)


async def _ask(child: Conversation, request: dict[str, Any], control: Control) -> dict[str, Any]:
    """One try, which may take long. An abort leaves it: the child then interrupts SQLite, which keeps the file as it was.

    A pause does not stop it: a process that is stopped would keep everybody out.
    """
    asking = asyncio.create_task(child.ask(request))
    try:
        while not asking.done():
            await asyncio.wait({asking}, timeout=_LOOK_SECONDS)
            if control.halted and not asking.done():
                await control.checkpoint()
        answer: dict[str, Any] = await asking
        return answer
    finally:
        asking.cancel()


def _refuse_wal(path: Path, before: ModeFacts) -> None:
    if before.mode != JournalMode.DELETE:
        raise Refused(
            f"The layout of {shown(path)} can only be changed while it has a rollback journal.",
            detail=before.text,
            hint="Leave `wal.page_size` and `wal.auto_vacuum` out, or go back to `journal_mode=DELETE` first.",
            code="layout_needs_rollback_journal",
        )


def _renumbers(path: Path, tables: list[str]) -> Refused:
    return Refused(
        f"Rewriting {shown(path)} would give rows another rowid.",
        detail=f"tables without INTEGER PRIMARY KEY and index whose rowids have gaps: {', '.join(tables)}",
        hint="Leave `wal.page_size` and `wal.auto_vacuum` out; or give these tables an index or an INTEGER PRIMARY KEY first.",
        code="layout_renumbers_rows",
    )


def _refused(path: Path, text: str) -> Refused:
    return Refused(
        f"SQLite can't rewrite {shown(path)} here.",
        detail=text,
        hint="Leave `wal.page_size` and `wal.auto_vacuum` out, or run VACUUM in the application, which has what is missing here.",
        code="layout_refused",
    )


async def _busy(path: Path, wait: float) -> Held:
    users = await find_holders(path)
    return Held(
        f"The layout of {shown(path)} could not be changed: somebody used it all the time.",
        detail=f"{wait:g} s; {users.text or 'nobody that can be seen from here'}; nothing was changed",
        hint="Stop these processes, or raise `wal.max_wait`, then run again.",
        code="source_busy_conversion",
    )


def _not_taken(path: Path, after: ModeFacts, sound: str) -> StepFailed:
    return StepFailed(
        f"{shown(path)} does not have the layout it was given.",
        detail=f"page size {after.page_size}, auto-vacuum {after.auto_vacuum}, integrity_check: {sound}",
        hint="Leave `wal.page_size` and `wal.auto_vacuum` out; restore the backup if the check does not say ok.",
        code="layout_not_taken",
    )
