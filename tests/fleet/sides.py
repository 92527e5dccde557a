"""What both forms of the application share: how a refused or failed transaction is told, and what a side must offer."""

from __future__ import annotations

from typing import Protocol

from tests.fleet.model import Conflict, Effect, Simple, State
from tests.fleet.schema import Key, Row


class Busy(Exception):
    """The transaction was rolled back because somebody else was in the way; it may be tried again."""


class Fenced(Exception):
    """Writes are refused here: they have moved, or are about to."""


class Lost(Exception):
    """The connection is gone. `committing`: COMMIT had been sent, so nobody knows yet."""

    def __init__(self, text: str, *, committing: bool = False) -> None:
        super().__init__(text)
        self.committing = committing


class Surprise(Exception):
    """The database answered what it can't have answered if it held what was acknowledged."""


class Side(Protocol):
    """One database, as the application uses it."""

    name: str
    recursive: bool
    """Whether rows removed by REPLACE fire delete triggers here."""

    async def begin(self) -> None: ...

    async def commit(self) -> None: ...

    async def rollback(self) -> None: ...

    async def savepoint(self, name: str) -> None: ...

    async def rollback_to(self, name: str) -> None: ...

    async def run(self, action: Simple, effects: list[Effect], conflict: Conflict | None) -> None: ...

    async def event(self, w: int, v: int, kind: str) -> None: ...

    async def increment(self, counter: str) -> int: ...

    async def share(self, row: Row | None, k: str) -> None: ...

    async def own(self, table: str, w: int) -> dict[Key, list[Row]]: ...

    async def happened(self, w: int, v: int) -> bool: ...

    async def close(self) -> None: ...


def differences(state: State, found: dict[str, dict[Key, list[Row]]]) -> list[str]:
    """Where a writer's own rows are not what the writer knows."""
    wrong = []
    for table, rows in state.tables.items():
        seen = found[table]
        wrong += [f"{table} {key}: {row} not found" for key, row in rows.items() if key not in seen]
        wrong += [f"{table} {key}: {seen[key]} should not be there" for key in seen if key not in rows]
        wrong += [f"{table} {key}: {seen[key]} instead of {rows[key]}" for key in rows if key in seen and seen[key] != [rows[key]]]  # fmt: skip
    return wrong
