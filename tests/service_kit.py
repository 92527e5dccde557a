"""Services for tests of health checks, probes and availability: real servers on real sockets, in the test's own loop."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

Handler = Callable[[str, str, bytes, asyncio.StreamWriter], Awaitable[None]]
"""method, path with query, body, and where the answer goes."""


def plain(text: str) -> str:
    """A redaction that hides nothing."""
    return text


def http(status: int, body: str = "", **headers: str) -> bytes:
    """An answer as bytes."""
    lines = [f"HTTP/1.1 {status} X", f"content-length: {len(body.encode())}", "connection: close"]
    return "\r\n".join([*lines, *(f"{k}: {v}" for k, v in headers.items()), "", body]).encode()


@asynccontextmanager
async def serving(handler: Handler, tls: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    """A server on a free port of 127.0.0.1; what still runs at the end is ended."""
    tasks: set[asyncio.Task[None]] = set()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            lengths = [
                line.partition(":")[2] for line in head.split("\r\n") if line.lower().startswith("content-length:")
            ]
            body = await reader.readexactly(int(lengths[0])) if lengths else b""
            method, path, _ = head.split(" ", 2)
            await handler(method, path, body, writer)
            await writer.drain()
        tasks.discard(task)
        writer.transport.abort() if writer.transport.get_write_buffer_size() else writer.close()

    server = await asyncio.start_server(one, "127.0.0.1", 0, ssl=tls)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def saying(answer: bytes) -> Handler:
    """Always the same."""

    async def handler(_method: str, _path: str, _body: bytes, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)

    return handler


async def hang(_method: str, _path: str, _body: bytes, _writer: asyncio.StreamWriter) -> None:
    """Never answers."""
    await asyncio.Event().wait()


async def trickle(_method: str, _path: str, _body: bytes, writer: asyncio.StreamWriter) -> None:
    """A byte every few milliseconds, for ever: no read ever times out."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b".")
        await writer.drain()
        await asyncio.sleep(0.01)


async def trickle_head(_method: str, _path: str, _body: bytes, writer: asyncio.StreamWriter) -> None:
    """The same, before the head has ended."""
    writer.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        writer.write(b"x-more: 1\r\n")
        await writer.drain()
        await asyncio.sleep(0.05)


async def flood(_method: str, _path: str, _body: bytes, writer: asyncio.StreamWriter) -> None:
    """A body without an end, as fast as it goes."""
    writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        writer.write(b"x" * 65536)
        await writer.drain()


async def reset(_method: str, _path: str, _body: bytes, writer: asyncio.StreamWriter) -> None:
    """Ends the connection with a reset."""
    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


@dataclass
class Orders:
    """A small application: POST, GET and DELETE of `/orders`. `deny` are methods that are answered 500."""

    records: dict[str, str] = field(default_factory=dict)
    deny: set[str] = field(default_factory=set)
    silent: set[str] = field(default_factory=set)  # done, and not answered
    asked: list[str] = field(default_factory=list)
    called: asyncio.Event = field(default_factory=asyncio.Event)
    held: dict[str, asyncio.Event] = field(
        default_factory=dict
    )  # waits for it; not done if the client leaves meanwhile
    prefix: str = "7/ä"
    gone: int = 404

    async def __call__(self, method: str, path: str, body: bytes, writer: asyncio.StreamWriter) -> None:
        """A `Handler`."""
        from urllib.parse import unquote

        self.asked.append(f"{method} {path}")
        key = unquote(path.partition("?")[0].rpartition("/")[2])
        if method in self.deny:
            writer.write(http(500, "secret-of-the-page"))
            return
        if (until := self.held.get(method)) is not None:
            self.called.set()
            await until.wait()
            if writer.transport.is_closing():
                return
        if method == "POST":
            key = f"{self.prefix}{len(self.records) + 1}"
            self.records[key] = json.loads(body)["note"]
            answer = http(201, json.dumps({"order": {"id": key}}))
        elif key not in self.records:
            answer = http(self.gone if method == "DELETE" else 404)
        elif method == "GET":
            answer = http(200, json.dumps({"id": key, "note": self.records[key]}))
        else:
            del self.records[key]
            answer = http(204)
        if method in self.silent:
            self.called.set()
            await asyncio.Event().wait()
        writer.write(answer)
