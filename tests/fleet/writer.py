"""One writer process: random transactions, until a file named `stop` appears beside its history.

python -m tests.fleet.writer OPTIONS   (a JSON object, see `Options`)
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.client import write_owner
from tests.fleet.choices import Choices
from tests.fleet.history import History
from tests.fleet.lite_side import LiteSide
from tests.fleet.model import Audit, Conflict, Simple, State, Undone
from tests.fleet.pg_side import PgSide
from tests.fleet.schema import SHARED_KEYS, Key, Row
from tests.fleet.sides import Busy, Fenced, Lost, Surprise, differences

LOOK_EVERY = 25
"""Transactions between two looks at all of one's own rows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What a writer is told."""

    w: int
    seed: int
    path: str
    folder: str
    dsn: str | None = None
    schema: str = "public"
    pause: float = 0.0
    recursive: bool = False
    deferred: bool = False
    by_hand: bool = False


@dataclass(slots=True)
class Work:
    """What one transaction is going to have done, besides its writer's own rows."""

    v: int
    kind: str = ""
    counted: int = 0
    shared: tuple[str, int, bool] | None = None  # key, revision, whether it is there afterwards


class Stopped(Exception):
    """The fleet has been told to stop."""


class Writer:
    """Draws, carries out and records transactions on the side that owns writes."""

    def __init__(self, options: Options) -> None:
        self.options = options
        self.folder = Path(options.folder)
        self.history = History(self.folder / f"writer-{options.w}.jsonl", options.w)
        self.choices = Choices(options.w, options.seed)
        self.lite = LiteSide(Path(options.path), recursive=options.recursive, deferred=options.deferred)
        self.pg = PgSide(options.dsn, options.schema) if options.dsn else None
        self.side: LiteSide | PgSide = self.lite
        self.state = State()
        self.v = 0

    async def run(self) -> None:
        """Write until told to stop."""
        try:
            while True:
                self._stop_if_told()
                await self._one()
                if self.options.pause:
                    await asyncio.sleep(self.options.pause)
        except Stopped:
            await self.side.rollback()

    def _stop_if_told(self) -> None:
        if (self.folder / "stop").exists():
            raise Stopped

    async def _one(self) -> None:
        self.v += 1
        self.history.add("start", self.v, side=self.side.name)
        try:
            await self._transaction()
            if self.v % LOOK_EVERY == 0:
                await self.look()
        except Busy:
            await self._failed()
        except Fenced:
            await self._failed()
            await self._find_side()
        except Lost as lost:
            await self._lost(lost)
        except Surprise as surprise:
            self.history.add("wrong", self.v, sync=True, side=self.side.name, what=str(surprise))
            raise

    async def _failed(self) -> None:
        await self.side.rollback()
        self.history.add("fail", self.v)

    async def _transaction(self) -> None:
        state, work = self.state.copy(), Work(self.v)
        state.recursive = self.side.recursive
        await self.side.begin()
        kept = await self._steps(state, work) and self.choices.random.random() > 0.07
        if kept:
            await self._common_rows(work)
            await self.side.event(self.options.w, self.v, work.kind[:200])
        if not kept:
            await self._failed()
            return
        self.history.add("invoke", self.v, **self._record(state, work))
        self._next = state
        await self.side.commit()
        self._acknowledged(state)

    def _acknowledged(self, state: State, **data: Any) -> None:
        self.history.add("ok", self.v, sync=True, **data)
        self.state = state

    async def _steps(self, state: State, work: Work) -> bool:
        """The actions on one's own rows. Returns False when a conflict has taken the whole transaction with it."""
        for make in self.choices.transaction():
            for action in make(state, self.v):
                work.kind += f"{type(action).__name__} "
                if isinstance(action, Undone):
                    await self._undone(action, state)
                elif not await self._act(action, state):
                    return False
        return True

    async def _undone(self, action: Undone, state: State) -> None:
        trial = state.copy()
        await self.side.savepoint("part")
        for inner in action.actions:
            await self._act(inner, trial)
        await self.side.rollback_to("part")

    async def _act(self, action: Simple, state: State) -> bool:
        conflict = None
        try:
            effects = state.apply(action)
        except Conflict as found:
            effects, conflict = found.effects, found
        await self.side.run(action, effects, conflict)
        return not (conflict is not None and conflict.undone)

    async def _common_rows(self, work: Work) -> None:
        draw = self.choices.random
        if draw.random() < 0.5:
            work.counted = 1
            await self.side.increment("total")
        if draw.random() < 0.4:
            k, there = draw.choice(SHARED_KEYS), draw.random() < 0.8
            revision = await self.side.increment("revision")
            row: Row = {"k": k, "rev": revision, "w": self.options.w, "v": self.v, "note": self.choices.note()}
            await self.side.share(row if there else None, k)
            work.shared = (k, revision, there)

    def _record(self, state: State, work: Work) -> dict[str, Any]:
        puts: list[tuple[str, Row]] = []
        dels: list[tuple[str, Key]] = []
        for table, rows in state.tables.items():
            old = self.state.tables[table]
            puts += [(table, row) for key, row in rows.items() if old.get(key) is not row]
            dels += [(table, key) for key in old if key not in rows]
        audit: Audit = state.audit - self.state.audit
        return {"side": self.side.name, "kind": work.kind, "puts": puts, "dels": dels,
                "audit": [[*entry, n] for entry, n in audit.items()], "counted": work.counted, "shared": work.shared}  # fmt: skip

    async def look(self) -> None:
        """Read all of one's own rows and compare them with what is known.

        Raises:
            Surprise: they differ.
        """
        await self.side.begin()
        found = {table: await self.side.own(table, self.options.w) for table in self.state.tables}
        await self.side.rollback()
        state = self.state
        if isinstance(self.side, PgSide):
            state = State()
            state.tables = {
                t: {k: self.side.in_common(t, r) for k, r in rows.items()} for t, rows in self.state.tables.items()
            }
        wrong = differences(state, found)
        if wrong:
            raise Surprise("; ".join(wrong[:5]))

    async def _lost(self, lost: Lost) -> None:
        """The connection broke: find out what came of the transaction before anything else is done."""
        if not lost.committing:
            self.history.add("fail", self.v, why=str(lost)[:200])
        else:
            self.history.add("info", self.v, sync=True)
            if await self.side.happened(self.options.w, self.v):
                self._acknowledged(self._next, resolved=True)
            else:
                self.history.add("fail", self.v, resolved=True)
        await asyncio.sleep(0.05)
        if isinstance(self.side, PgSide):
            await self._find_side()

    async def _find_side(self) -> None:
        """Wait until one side takes writes, and look there whether everything acknowledged has come along."""
        before, since = self.side, time.monotonic()
        while True:
            self._stop_if_told()
            await asyncio.sleep(0.01)
            try:
                side = await self._open_side()
            except (Busy, Lost, sqlite3.OperationalError):
                side = None  # the file is locked, or PostgreSQL is not there: look again
            if side is not None:
                break
        self.side = side
        self.choices.classes = side is self.lite
        if side is not before:
            self.history.add("side", self.v, sync=True, to=side.name, waited=time.monotonic() - since)
            await self._look_after_move()

    async def _look_after_move(self) -> None:
        while True:
            try:
                await self.look()
            except (Busy, Lost):  # a server that crashes just now is waited for, as `_find_side` does
                self._stop_if_told()
                await asyncio.sleep(0.05)
            except Surprise as surprise:
                self.history.add("wrong", self.v, sync=True, side=self.side.name, what=f"after the move: {surprise}")
                raise
            else:
                return

    async def _open_side(self) -> LiteSide | PgSide | None:
        """By the client as applications use it, or (`by_hand`) by reading what an application in any language can read."""
        if not self.options.by_hand:
            return self.pg if write_owner(self.options.path) == "postgresql" else self.lite
        owner = await self.lite.owner()
        if owner == "sqlite":
            return self.lite
        if owner == "postgresql" and self.pg is not None and await self.pg.open_for_writes():
            return self.pg
        return None


def main() -> None:
    """Run the writer that the command line describes."""
    writer = Writer(Options(**json.loads(sys.argv[1])))
    try:
        asyncio.run(writer.run())
    except Surprise:
        sys.exit(3)


if __name__ == "__main__":
    main()
