"""Owns what checks may look at: gathered once, read-only, so that every check is a function of it."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.model.config import Config, MigrationKind, Mode
from stepflow_tui.engine.model.finding import Finding
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.examine import Examined, examine
from stepflow_tui.engine.sqlite.holders import Holders, find_holders
from stepflow_tui.engine.sqlite.mapping import sqlite_errors
from stepflow_tui.engine.sqlite.recover import Readable, readable

if TYPE_CHECKING:
    from stepflow_tui.engine.postgres.view import TargetView


class CheckStage(StrEnum):
    """Who asks: the command `check` (and `plan`), or the preflight step of a run."""

    CHECK = "check"
    RUN = "run"


class Needs(StrEnum):
    """What a check can't do without; it is left out when that is missing (another check has said why)."""

    NOTHING = "nothing"
    SOURCE = "source"  # a source whose rows can be read
    SCHEMA = "schema"  # its catalog
    TARGET = "target"  # a target that answers


PATIENCE_SECONDS = 15.0
"""How long a moment is looked for in which a writer lets the catalog be read."""
SHORT_WAIT_MS = 5

COPYING = frozenset({MigrationKind.SQLITE_TO_POSTGRES})
"""Kinds that have a target."""
IN_PLACE = frozenset({MigrationKind.SQLITE_WAL})
"""Kinds whose database stays where it is: there is nothing but the file, its machine and its application."""


@dataclass(slots=True, kw_only=True)
class CheckContext:
    """The facts all checks share.

    `readable`, `schema` are None when the source can't be read (`problem` says why, if it is not the source's state);
    `target` is None when it could not be reached or was not asked for. `backup_dir` is where the backup will be made,
    `folder` the config's, where its commands run.
    """

    config: Config
    state_dir: Path
    backup_dir: Path
    examined: Examined
    holders: Holders
    stage: CheckStage = CheckStage.CHECK
    run_id: str | None = None
    readable: Readable | None = None
    schema: SourceSchema | None = None
    problem: StepFlowError | None = None
    target: TargetView | None = None
    folder: Path | None = None

    @property
    def source_text(self) -> str:
        """The source as findings name it."""
        from stepflow_tui.engine.sqlite.connect import shown

        return shown(self.config.source.path)

    def has(self, needs: Needs) -> bool:
        """Whether what a check needs is there."""
        return {
            Needs.NOTHING: True,
            Needs.SOURCE: self.readable is not None,
            Needs.SCHEMA: self.schema is not None,
            Needs.TARGET: self.target is not None,
        }[needs]


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One preflight check as data. `kinds`, `modes` and `stages` tell which runs it is asked in."""

    name: str
    run: Callable[[CheckContext], Awaitable[list[Finding]]]
    needs: Needs = Needs.NOTHING
    stages: frozenset[CheckStage] = frozenset(CheckStage)
    kinds: frozenset[MigrationKind] = frozenset(MigrationKind)
    modes: frozenset[Mode] = frozenset(Mode)

    def asked(self, ctx: CheckContext) -> bool:
        """Whether it belongs to this run, and has what it needs."""
        config = ctx.config
        belongs = config.kind in self.kinds and config.mode in self.modes and ctx.stage in self.stages
        return belongs and ctx.has(self.needs)


@asynccontextmanager
async def check_context(
    config: Config,
    *,
    state_dir: Path,
    run_dir: Path | None = None,
    run_id: str | None = None,
    stage: CheckStage = CheckStage.CHECK,
    target: TargetView | None = None,
    folder: Path | None = None,
    resting: bool = False,
) -> AsyncIterator[CheckContext]:
    """Look at the source and keep what checks (and a plan) need while the context is open.

    A hot journal is recovered in a copy under `state_dir`, removed at the end.

    Args:
        config: the run's config.
        state_dir: StepFlow's state directory.
        run_dir: the run's folder; its `backup/` is where the backup goes unless `backup.dir` says otherwise.
        target: a view of the target, if one was reached.
        folder: the config's folder.
        resting: the source may be read without locks; see `sqlite.at_rest.undisturbed`.
    """
    examined = await examine(config.source.path, resting=resting)
    holders = await find_holders(examined.real)
    ctx = CheckContext(
        config=config, state_dir=state_dir, run_id=run_id, stage=stage, target=target, examined=examined, holders=holders,
        folder=folder,
        backup_dir=config.backup.dir or (run_dir or state_dir) / "backup",
    )  # fmt: skip
    async with AsyncExitStack() as stack:
        if examined.readable:
            try:
                ctx.readable = await stack.enter_async_context(readable(examined, state_dir / "scratch"))
                ctx.schema = await asyncio.to_thread(_schema, ctx.readable)
            except StepFlowError as error:
                ctx.problem = error
        yield ctx


def _schema(source: Readable) -> SourceSchema:
    """The catalog, in one read transaction. Many short waits find the gap between two commits of a busy writer."""
    until = time.monotonic() + PATIENCE_SECONDS
    with sqlite_errors("Reading the source's catalog"):
        while True:
            try:
                return _read(source)
            except sqlite3.OperationalError as error:
                if not str(error.sqlite_errorname).startswith("SQLITE_BUSY") or time.monotonic() >= until:
                    raise


def _read(source: Readable) -> SourceSchema:
    conn = source.open(busy_timeout_ms=SHORT_WAIT_MS)
    try:
        conn.execute("begin")
        return read_schema(conn)
    finally:
        conn.close()
