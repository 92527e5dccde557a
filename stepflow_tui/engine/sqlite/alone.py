"""Owns the moment in which a database's files may be moved: nobody has it open, and nobody gets in until they have moved.

Processes of other users can't be looked at, and a file that is renamed under a connection in WAL mode goes on being written
to. So SQLite itself is asked: it leaves WAL mode, and locks the file exclusively, only where nobody is in the way.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.sqlite.backups import refuse_in_use
from stepflow_tui.engine.sqlite.child import path_text
from stepflow_tui.engine.sqlite.connect import shown
from stepflow_tui.engine.sqlite.conversation import Conversation
from stepflow_tui.engine.sqlite.file_locks import users_of

CHILD = "stepflow_tui.engine.sqlite.alone_child"


@asynccontextmanager
async def nobody_else(path: Path, *, wait: float) -> AsyncIterator[None]:
    """Keep everybody out of a database while its files are moved. In WAL mode it is put into a rollback journal first.

    A file that is not there, or that SQLite can't open (damaged: the reason to move it), is only looked at.

    Args:
        path: the real path.
        wait: seconds in which users that can't be seen must have left.

    Raises:
        Refused: `source_in_use`: somebody has it open; nothing was moved.
    """
    await refuse_in_use(path)
    if not path.exists():
        yield
        return
    async with Conversation(CHILD) as child:
        answer = await child.ask({"path": path_text(path), "wait": wait})
        if answer["state"] == "busy":
            raise await _in_use(path, answer["text"], besides=child.pid)
        yield


async def _in_use(path: Path, said: str, *, besides: int) -> Refused:
    users = [p for p in (await users_of(path)).processes if p.pid != besides]
    named = ", ".join(f"pid {p.pid} ({p.command})" for p in users)
    return Refused(
        f"{shown(path)} is in use.",
        detail=f"{named or 'by a process that can not be seen from here'}; SQLite says: {said}",
        hint="Stop whoever uses it (processes of other users are seen by root only), then try again.",
        code="source_in_use",
    )
