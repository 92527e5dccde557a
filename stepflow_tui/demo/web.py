"""The sample shop as a web application: `python -m stepflow_tui.demo.web FOLDER PORT OWNER`.

It knows nothing of StepFlow: which database it uses stands in `DATABASE_URL` of FOLDER/.env, read when it starts. It ends
with SIGTERM, after the requests that are under way, or when the process OWNER is gone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
from http import HTTPStatus
from pathlib import Path
from typing import Any

from stepflow_tui.demo.lite_orders import LiteOrders
from stepflow_tui.demo.messages import Asked, read_request, write_answer
from stepflow_tui.demo.names import SETTINGS, URL_VARIABLE
from stepflow_tui.demo.orders import Order, Orders
from stepflow_tui.demo.pg_orders import PgOrders

LITE = "sqlite:///"
OWNER_SECONDS = 1.0
LAST_SECONDS = 3.0
"""For requests that are under way when it is told to end."""


class Web:
    """Requests answered from one database."""

    def __init__(self, folder: Path) -> None:
        url = _setting(folder / SETTINGS)
        self.side = "sqlite" if url.startswith(LITE) else "postgresql"
        self._orders: Orders = LiteOrders(folder / url.removeprefix(LITE)) if self.side == "sqlite" else PgOrders(url)
        self._busy: set[asyncio.Task[Any] | None] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        self._busy.add(task)
        try:
            with contextlib.suppress(ValueError, EOFError, OSError):  # whoever asked has gone, or talks nonsense
                status, body = await self._answer(await read_request(reader))
                await write_answer(writer, status, self.side, body)
        finally:
            self._busy.discard(task)
            writer.close()

    async def end(self) -> None:
        """Let what is under way come to its end."""
        if self._busy:
            await asyncio.wait([t for t in self._busy if t is not None], timeout=LAST_SECONDS)
        await self._orders.close()

    async def _answer(self, asked: Asked) -> tuple[HTTPStatus, Any]:
        try:
            return await self._carried_out(asked)
        except LookupError as exc:
            return HTTPStatus.CONFLICT, {"status": str(exc)}
        except Exception as exc:  # whatever the database says: try again later
            return HTTPStatus.SERVICE_UNAVAILABLE, {"status": type(exc).__name__}

    async def _carried_out(self, asked: Asked) -> tuple[HTTPStatus, Any]:
        orders = self._orders
        match asked.method, asked.path.strip("/").split("/"):
            case "GET", ["health"]:
                await orders.look(0)
                return HTTPStatus.OK, {"status": "ok", "database": {"kind": self.side}, "pid": os.getpid()}
            case "GET", ["catalog"]:
                return HTTPStatus.OK, await orders.catalog()
            case "GET", ["orders"] if "note" in asked.query:
                return HTTPStatus.OK, await orders.find(asked.query["note"])
            case "GET", ["orders"]:
                return HTTPStatus.OK, await orders.all()
            case "GET", ["orders", number]:
                found = await orders.look(int(number))
                return (HTTPStatus.OK, found) if found else (HTTPStatus.NOT_FOUND, None)
            case "POST", ["orders"]:
                return HTTPStatus.CREATED, await orders.place(Order(**asked.body["order"]), asked.body["skus"])
            case "PUT", ["orders"]:
                await orders.move(Order(**asked.body))
                return HTTPStatus.NO_CONTENT, None
            case "DELETE", ["orders"]:
                await orders.cancel(Order(**asked.body))
                return HTTPStatus.NO_CONTENT, None
        return HTTPStatus.NOT_FOUND, None


def _setting(path: Path) -> str:
    lines = (line.partition("=") for line in path.read_text(encoding="utf-8").splitlines())
    return next(value.strip().strip("\"'") for name, _, value in lines if name.strip() == URL_VARIABLE)


async def main(folder: Path, port: int, owner: int) -> None:
    """Serve until SIGTERM, or until the owner is gone."""
    web, stop = Web(folder), asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    server = await asyncio.start_server(web.serve, "127.0.0.1", port)
    while not stop.is_set() and alive(owner):
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), OWNER_SECONDS)
    server.close()
    await web.end()


def alive(pid: int) -> bool:
    """Whether there is a process of that number."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])))
