"""As much HTTP as the demo's shop and its customers need: one request and one answer a connection, bodies in JSON."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, urlsplit

MOST_BYTES = 8 * 1024 * 1024
SIDE = "x-database"
"""Header of an answer: the kind of the database that was asked."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request."""

    method: str
    path: str
    query: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Answered:
    """An answer."""

    status: int
    side: str
    body: Any


async def read_request(reader: asyncio.StreamReader) -> Asked:
    """Raises ValueError or EOFError when there is none."""
    first, _headers, body = await _read(reader)
    method, address, _version = first.split(" ")
    parts = urlsplit(address)
    return Asked(method=method, path=parts.path, query=dict(parse_qsl(parts.query)), body=body)


async def write_answer(writer: asyncio.StreamWriter, status: HTTPStatus, side: str, body: Any) -> None:
    """Send an answer and close."""
    await _write(writer, f"HTTP/1.1 {status.value} {status.phrase}", body, {SIDE: side, "connection": "close"})


async def ask(port: int, method: str, address: str, body: Any = None, *, seconds: float) -> Answered:
    """One request to this machine.

    Raises:
        OSError, EOFError: nobody answered; whether the request was carried out is unknown.
    """
    async with asyncio.timeout(seconds):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await _write(writer, f"{method} {address} HTTP/1.1", body, {"host": "127.0.0.1"})
            try:
                first, headers, answer = await _read(reader)
            except ValueError as exc:
                raise EOFError("no whole answer") from exc
        finally:
            writer.close()
    return Answered(status=int(first.split(" ")[1]), side=headers.get(SIDE, ""), body=answer)


async def _read(reader: asyncio.StreamReader) -> tuple[str, dict[str, str], Any]:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
    length = int(headers.get("content-length") or 0)
    if not 0 <= length <= MOST_BYTES:
        raise ValueError("a body of an odd length")
    data = await reader.readexactly(length)
    return head[0], headers, json.loads(data) if data else None


async def _write(writer: asyncio.StreamWriter, first: str, body: Any, headers: Mapping[str, str]) -> None:
    data = b"" if body is None else json.dumps(body).encode()
    lines = [first, *(f"{k}: {v}" for k, v in headers.items()), "content-type: application/json"]
    writer.write("\r\n".join([*lines, f"content-length: {len(data)}", "", ""]).encode("latin-1") + data)
    await writer.drain()
