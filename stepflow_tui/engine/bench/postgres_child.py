"""A client of the PostgreSQL side: a process with one connection."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING, Any

from stepflow_tui.engine.errors import StepFlowError
from stepflow_tui.engine.postgres.bench import drop_schema
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.errors import pg_errors
from stepflow_tui.engine.sqlite.bench_script import Request, Script, decoded_shape
from stepflow_tui.engine.sqlite.bench_turns import Tally, Turns

if TYPE_CHECKING:
    import asyncpg

_PAUSE_SECONDS = 0.001


async def main() -> None:
    """Take turns until the parent is gone. The loop waits for the parent by itself: nothing else runs in it."""
    turns = Turns()
    client = Client(turns)
    while True:
        try:
            turns.say(await client.handle(turns.next()))
        except StepFlowError as error:
            turns.say({"error": [type(error).__name__, error.message, error.detail, error.hint, error.code]})


class Client:
    """Answers one message after the other."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._shape: dict[str, Any] = {}
        self._target: Target | None = None

    async def handle(self, message: dict[str, Any]) -> dict[str, Any]:
        """Raises StepFlowError, by its own code."""
        if message["op"] == "measure":
            return await self._measure(message)
        target = Target.from_config(message["uri"], {}, schema=message["schema"])
        if message["op"] == "keep":
            # a thread of its own calls it, with no loop of its own
            self._turns.orphaned = lambda: asyncio.run(drop_schema(target))
            return {}
        self._target = target
        self._shape = decoded_shape(message["shape"])
        return {}

    async def _measure(self, job: dict[str, Any]) -> dict[str, Any]:
        assert self._target is not None
        tally = Tally(job["seconds"])
        script = Script(self._shape, job["kind"], seed=job["seed"], first=job["first"], batch=job["batch"])
        session = None
        try:
            session = await Session.open(self._target, self._shape, job["kind"])
        except StepFlowError as error:
            tally.failed(f"{error.code}: {error.message}", locked=False)  # the detail may quote values
        self._turns.say({"ready": True})
        tally.begin(self._turns.next()["at"])
        if session is not None:
            while tally.going() and not session.lost:
                await session.ask(script.next(), tally)
            await session.close()
        return tally.result()


_STATEMENTS = {
    "write": ("insert", "update"),
    "batch": ("insert",),
    "read": ("point", "range"),
    "join": ("join",),
    "text": ("text",),
}


class Session:
    """A connection with its prepared statements, as an application's driver keeps them."""

    def __init__(self, target: Target, connection: asyncpg.Connection, prepared: dict[str, Any]) -> None:
        self._target, self._connection, self._prepared = target, connection, prepared

    @classmethod
    async def open(cls, target: Target, shape: dict[str, Any], kind: str) -> Session:
        """Connect and prepare. Raises StepFlowError."""
        connection = await target.connect()
        try:
            with pg_errors("prepare the benchmark's statements", target):
                names = [n for n in _STATEMENTS[kind] if shape["sql"][n]]
                prepared = {name: await connection.prepare(shape["sql"][name]) for name in names}
        except BaseException:
            await connection.close()
            raise
        return cls(target, connection, prepared)

    @property
    def lost(self) -> bool:
        """Whether the server has ended the connection."""
        return self._connection.is_closed()

    async def close(self) -> None:
        """Leave."""
        await self._connection.close()

    async def ask(self, request: Request, tally: Tally) -> None:
        """One request, timed."""
        began = time.perf_counter_ns()
        try:
            with pg_errors("run the benchmark's statement", self._target):
                await self._run(request)
        except StepFlowError as error:
            tally.failed(f"{error.code}: {error.message}", locked=False)  # the detail may quote values
            await asyncio.sleep(_PAUSE_SECONDS)
        else:
            tally.done(time.perf_counter_ns() - began, request.operations, request.inserted)

    async def _run(self, request: Request) -> None:
        if len(request.statements) == 1:
            [(name, values)] = request.statements
            await self._prepared[name].fetch(*values)
            return
        async with self._connection.transaction():
            for name, values in request.statements:
                await self._prepared[name].fetch(*values)


if __name__ == "__main__":
    asyncio.run(main())
