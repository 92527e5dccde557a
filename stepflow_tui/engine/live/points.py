"""Where both sides are known to be equal: what the tail offers to whoever compares them while writes go on."""

from __future__ import annotations

import sqlite3
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    import asyncpg


@dataclass(frozen=True, slots=True, kw_only=True)
class CommonPoint:
    """Two open snapshots: the source at log entry `n`, and the target after exactly those changes were applied.

    `source` stands in a read transaction (TEXT arrives as `Text`), `target` in a REPEATABLE READ one. Keep it short: an
    open read transaction holds back the source's WAL, and in rollback-journal mode its writers.
    """

    n: int
    source: sqlite3.Connection
    target: asyncpg.Connection


class CommonPoints(Protocol):
    """Gives common points; the tail goes on while one is open."""

    def point(self) -> AbstractAsyncContextManager[CommonPoint]:
        """A new common point: one whole tail step, then both snapshots."""
        ...
