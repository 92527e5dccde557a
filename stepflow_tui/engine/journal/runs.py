"""The run's own row: state, epoch, result."""

from __future__ import annotations

import platform
import sqlite3
from dataclasses import dataclass, field
from typing import Any

import aiosqlite

from stepflow_tui import __version__
from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.journal.events import Events
from stepflow_tui.engine.model.events import EventCode
from stepflow_tui.engine.model.state import TRANSITIONS, RunResult, RunState


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRun:
    """What a run is made of. `config` is the config without secrets, `source` names the source file as it was found."""

    id: str
    name: str
    kind: str
    mode: str
    environment: str
    config_hash: str
    config: dict[str, Any]
    config_path: str
    tool: str
    versions: dict[str, str] = field(default_factory=dict)
    source: dict[str, Any] = field(default_factory=dict)


def versions() -> dict[str, str]:
    """What this process runs on, as the report names it."""
    return {"stepflow": __version__, "python": platform.python_version(), "sqlite": sqlite3.sqlite_version}


class Runs(Events):
    """Reading and changing the run's row."""

    async def create_run(self, run: NewRun) -> None:
        """Make the run's row, state `pending`. Does nothing when it is there already."""
        await self.execute(
            "INSERT OR IGNORE INTO run(id,name,kind,mode,environment,state,config_hash,config,config_path,tool,versions,source,created_ms)"
            " VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?)",
            (
                run.id,
                run.name,
                run.kind,
                run.mode,
                run.environment,
                RunState.PENDING.value,
                run.config_hash,
                self.plain(run.config),
                run.config_path,
                run.tool,
                self.plain(run.versions),
                self.plain(run.source),
                self.clock.now_ms(),
            ),
        )

    async def run_row(self) -> dict[str, Any] | None:
        """The run's row, None before it is made."""
        rows = await self.fetch("SELECT * FROM run")
        return rows[0] if rows else None

    async def state(self) -> RunState:
        """The run's state."""
        return RunState((await self.fetch("SELECT state FROM run"))[0]["state"])

    async def set_state(self, to: RunState) -> None:
        """Move the run to another state; the same state again changes nothing.

        Raises:
            Refused: `TRANSITIONS` does not list the move.
        """

        async def body(db: aiosqlite.Connection) -> None:
            row = next(iter(await db.execute_fetchall("SELECT state FROM run")))
            now = RunState(row[0])
            if now is to:
                return
            if to not in TRANSITIONS[now]:
                raise Refused(
                    f"A run that is {now} can't become {to}.",
                    hint="`stepflow status` shows what the run is doing and what can be done now.",
                    code="transition",
                )
            await db.execute("UPDATE run SET state=?", (to.value,))
            await self._event(db, EventCode.STATE, {"from": now.value, "to": to.value})

        await self.write(body)

    async def finish(self, state: RunState, result: RunResult, exit_code: int) -> None:
        """State, result and exit code at the end of this engine's share."""
        await self.set_state(state)
        await self.execute(
            "UPDATE run SET result=?, exit_code=?, finished_ms=?", (result.value, int(exit_code), self.clock.now_ms())
        )

    async def restart(self) -> None:
        """A new engine goes on: result and exit code of the last one no longer hold."""
        await self.execute("UPDATE run SET result=NULL, exit_code=NULL, finished_ms=NULL")

    async def mark_changed(self) -> None:
        """Note that source or target are about to be changed for the first time: from here on the run can't be ignored."""
        await self.execute("UPDATE run SET changed_ms=coalesce(changed_ms,?)", (self.clock.now_ms(),))

    async def mark_source_changed(self, changed: bool = True) -> None:
        """Note that the source changed during the run; or that what it is now is copied from the beginning."""
        await self.execute("UPDATE run SET source_changed=?", (int(changed),))

    async def set_versions(self, **versions: str) -> None:
        """Add versions of what took part (sqlite, postgresql …) to the run's row."""
        await self.execute("UPDATE run SET versions=json_patch(versions,?)", (self.plain(versions),))

    async def set_source(self, **facts: str | int | None) -> None:
        """Add facts that identify the source (path, device, inode, size, sha256)."""
        await self.execute("UPDATE run SET source=json_patch(source,?)", (self.plain(facts),))
