"""Owns "does this database hold exactly what it held?": a digest per table over every value, and one over the schema.

Nothing of how it is stored counts: journal mode, page size, free pages, indexes' trees. Rowids count: applications use them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stepflow_tui.engine.model.codec import from_plain
from stepflow_tui.engine.model.control import Control, Report
from stepflow_tui.engine.model.progress import Progress
from stepflow_tui.engine.sqlite.child import path_text, run_child
from stepflow_tui.engine.sqlite.connect import real_path

_CHILD = "stepflow_tui.engine.sqlite.content_child"
_LOOK_SECONDS = 0.2

Event = Callable[[dict[str, Any]], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class TableContent:
    """What one table holds. `digest`: over rowid and every stored value with its storage class, in the order of its tree."""

    rows: int
    digest: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Content:
    """What a database holds. Virtual tables are in it by the ordinary tables that they keep their data in.

    `unread`: tables that could not be read, with the reason. `changed`: somebody wrote while it was read in slices, so tables
    may be of different moments.
    """

    tables: dict[str, TableContent]
    schema_digest: str
    unread: dict[str, str] = field(default_factory=dict)
    changed: bool = False

    @property
    def rows(self) -> int:
        """Of all tables."""
        return sum(table.rows for table in self.tables.values())

    def same(self, other: Content) -> bool:
        """Whether both hold exactly the same, and all of it was read."""
        return (
            not (self.differences(other) or self.unread or other.unread) and self.schema_digest == other.schema_digest
        )

    def differences(self, other: Content) -> tuple[str, ...]:
        """Tables that differ, or that only one of them has."""
        names = {*self.tables, *other.tables}
        return tuple(sorted(name for name in names if self.tables.get(name) != other.tables.get(name)))


async def content_of(
    path: Path, *, frozen: bool, control: Control | None = None, report: Report | None = None
) -> Content:
    """Read a database as a whole in a child process.

    A WAL database is read in one transaction, which keeps nobody waiting. A rollback-journal database in use is read in slices
    of some milliseconds, so that no writer waits long; `changed` tells whether one wrote meanwhile.

    Args:
        path: symlinks are followed.
        frozen: a file of ours that nobody changes.
        control: a pause lets go of the application's file and reads it again from the start afterwards.
        report: gets rows done (of how many is not known).

    Raises:
        Refused: `source_corrupt`, `source_locked`, `source_hot_journal`. StepFailed: as `sqlite_errors`.
        Stopping: by `control`.
    """
    request = {"path": path_text(real_path(path)), "frozen": frozen}

    def on_event(event: dict[str, Any]) -> None:
        if report:
            report(Progress(step="content", item=event["table"], done=event["rows"]))

    if frozen or control is None:
        answer = await run_child(_CHILD, request, control=control, on_event=on_event)
    else:
        answer = await _letting_go(request, control, on_event)
    content: Content = from_plain(Content, answer)
    return content


async def _letting_go(request: dict[str, Any], control: Control, on_event: Event) -> Any:
    """A child that is stopped would keep its lock or its read transaction, so on a pause it is ended."""
    while True:
        await control.checkpoint()
        reading = asyncio.create_task(run_child(_CHILD, request, on_event=on_event))
        try:
            while not (reading.done() or control.halted):
                await asyncio.wait({reading}, timeout=_LOOK_SECONDS)
            if reading.done():
                return await reading
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
