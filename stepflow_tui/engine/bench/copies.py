"""The scratch copies of a SQLite database, made and counted by a child process of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stepflow_tui.engine.bench.fleet import Child, Fleet
from stepflow_tui.engine.bench.rounds import Side
from stepflow_tui.engine.sqlite.child import path_text

MODULE = "stepflow_tui.engine.sqlite.bench_child"


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What the database offers: `shape` for the clients, `tables` for the result."""

    shape: dict[str, Any]
    sqlite: str

    @property
    def tables(self) -> dict[str, Any]:
        """The parts of `TablesUsed`."""
        tables = self.shape["tables"]
        return {**tables, "joined": tuple(tables["joined"])}


class Copies:
    """Makes copies inside a scratch folder. Used as a context: its process ends with it, and removes the folder if we are killed."""

    module = MODULE

    def __init__(self, scratch: Path) -> None:
        self._scratch = scratch
        self._child: Child | None = None

    async def __aenter__(self) -> Copies:
        self._child = await Child.start(MODULE)
        await self.ask({"op": "keep", "scratch": path_text(self._scratch)})
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._child is not None:
            await self._child.end()

    async def ask(self, message: dict[str, Any]) -> dict[str, Any]:
        """One turn of the preparing process."""
        assert self._child is not None
        return await self._child.ask(message)

    def path(self, name: str) -> Path:
        """Where the copy of that name is."""
        return self._scratch / f"{name}.db"

    async def begin(self, source: Path, *, sides: bool = False, most_rows: int | None = None) -> Found:
        """The first copy, and what can be done with it. `sides`: also what another database needs to hold the same."""
        base = path_text(self.path("base"))
        await self.ask({"op": "copy", "path": path_text(source), "to": base})
        answer = await self.ask({"op": "find", "path": base, "sides": sides, "most_rows": most_rows})
        return Found(shape=answer["shape"], sqlite=answer["sqlite"])

    async def make(self, name: str, *, mode: str) -> None:
        """A copy of the first one, in that journal mode.

        Raises:
            StepFailed: `benchmark_mode_refused`.
        """
        to = path_text(self.path(name))
        await self.ask({"op": "copy", "path": path_text(self.path("base")), "to": to})
        await self.ask({"op": "mode", "path": to, "mode": mode})

    async def count(self, name: str, sql: str) -> int:
        """Rows of a copy."""
        answer = await self.ask({"op": "count", "path": path_text(self.path(name)), "sql": sql})
        return int(answer["rows"])


def lite_side(copies: Copies, fleet: Fleet, name: str, found: Found, pragmas: Mapping[str, str]) -> Side:
    """A copy as a side."""
    sql = found.shape["sql"]["count"]
    job = {"path": path_text(copies.path(name)), "pragmas": dict(pragmas)}
    return Side(name=name, fleet=fleet, job=job, count=lambda: copies.count(name, sql))
