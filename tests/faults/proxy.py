"""A TCP proxy before a PostgreSQL server that breaks connections at a chosen place of the protocol.

It reads the client's messages one by one (type byte, length), so that "before", "within" and "after" a COMMIT are exact.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from enum import StrEnum

from stepflow_tui.engine.postgres.connect import Target

READY = b"Z"


class Cut(StrEnum):
    """Where a connection breaks, seen from the message it is about."""

    NONE = "none"  # passes
    BEFORE = "before"  # the message never leaves
    WITHIN = "within"  # half of it arrives
    AFTER = "after"  # it arrives, its answer does not
    RESET = "reset"  # as AFTER, with RST in place of FIN
    BLACK_HOLE = "black_hole"  # as BEFORE, and nobody says a word


class Proxy:
    """One proxy. `plan` says what happens to the next messages that begin with `trigger`, in turn; then all pass.

    Args:
        target: the server, by its socket folder or address.
        trigger: how the text of a simple query begins.
    """

    def __init__(self, target: Target, trigger: bytes = b"commit") -> None:
        self._target = target
        self._trigger = trigger
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self.plan: Iterator[Cut] = iter(())
        self.cuts: list[Cut] = []
        self.connections = 0

    @property
    def target(self) -> Target:
        """The same database through the proxy."""
        assert self._server is not None
        return replace(
            self._target, hosts=(("127.0.0.1", self._server.sockets[0].getsockname()[1]),), sslmode="disable"
        )

    async def start(self) -> None:
        """Listen on a port of this machine."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def stop(self) -> None:
        """End all connections."""
        assert self._server is not None
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.connections += 1
        host, port = self._target.hosts[0]
        with suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            if host.startswith("/"):
                up_reader, up_writer = await asyncio.open_unix_connection(f"{host}/.s.PGSQL.{port}")
            else:
                up_reader, up_writer = await asyncio.open_connection(host, port)
            down = asyncio.create_task(_pump(up_reader, writer))
            try:
                await self._forward(reader, up_reader, up_writer, writer, down)
            finally:
                down.cancel()
                up_writer.close()
                writer.close()
        self._tasks.discard(task)

    async def _forward(
        self,
        reader: asyncio.StreamReader,
        up_reader: asyncio.StreamReader,
        up_writer: asyncio.StreamWriter,
        writer: asyncio.StreamWriter,
        down: asyncio.Task[None],
    ) -> None:
        length = await reader.readexactly(4)  # the startup message has no type
        up_writer.write(length + await reader.readexactly(struct.unpack(">I", length)[0] - 4))
        while True:
            head = await reader.readexactly(5)
            body = await reader.readexactly(struct.unpack(">I", head[1:])[0] - 4)
            cut = Cut.NONE
            if head[:1] == b"Q" and body.lower().startswith(self._trigger):
                cut = next(self.plan, Cut.NONE)
            if cut is Cut.NONE:
                up_writer.write(head + body)
                continue
            self.cuts.append(cut)
            down.cancel()
            await asyncio.gather(down, return_exceptions=True)
            await _break(cut, head + body, up_reader, up_writer, writer)
            return


async def _break(
    cut: Cut,
    message: bytes,
    up_reader: asyncio.StreamReader,
    up_writer: asyncio.StreamWriter,
    writer: asyncio.StreamWriter,
) -> None:
    if cut is Cut.WITHIN:
        up_writer.write(message[: len(message) // 2])
        await up_writer.drain()
    elif cut in (Cut.AFTER, Cut.RESET):
        up_writer.write(message)
        await up_writer.drain()
        answer = b""
        while READY + b"\0\0\0\5" not in answer:
            answer += await up_reader.read(4096)
    elif cut is Cut.BLACK_HOLE:
        await asyncio.Event().wait()
    if cut is Cut.RESET:
        sock = writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()
        writer.close()


@asynccontextmanager
async def proxied(target: Target, trigger: bytes = b"commit") -> AsyncIterator[Proxy]:
    """A proxy for the time of a block."""
    proxy = Proxy(target, trigger)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.stop()
