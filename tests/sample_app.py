"""A small web application with a database, for tests: `python -m tests.sample_app FOLDER PORT [--daemon PIDFILE]`.

It can also be run by its path from any folder (see `command_line`): it imports the standard library alone, and asyncpg when
its database is PostgreSQL. Port 0 takes any free port; the port is written to FOLDER/port once it listens.

FOLDER holds:
    .env        DATABASE_URL=sqlite:///relative/or//absolute.db | postgresql://…, SECRET_KEY=… ; read at start, and anew by nobody
    VERSION     a text, "1" if it is missing; read at start

Answers:
    GET /health         200 {"status": "ok", "version": "1", "database": {"kind": "sqlite"}, "pid": 4711, "cwd": "/…"}
                        503 {"status": "…"} if the database can't be asked
    GET /orders         200 [{"id": 1, "note": "…"}, …]
    POST /orders        {"note": "…"} -> 201 {"id": 7}
    GET /orders/7       200 {"id": 7, "note": "…"}, else 404
    DELETE /orders/7    204, else 404

Switches are files in FOLDER. Empty: always in force; else only if their text is the version or the kind of the database
(`sqlite`, `postgresql`). The first three are looked at when it starts, the others all the time:
    fail-at-start       says so on its standard error and ends with exit status 3
    leak-and-exit       prints DATABASE_URL and SECRET_KEY, then ends with exit status 4
    ignore-sigterm      SIGTERM does nothing
    hang-health         /health does not answer while it is there
    unhealthy           /health answers 503

SIGTERM ends it with exit status 0, after "stopped" was printed. `--daemon` makes it a daemon that writes its own pid file.
"""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import json
import os
import shlex
import signal
import socket
import sqlite3
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

ORDERS = "create table if not exists orders(id integer primary key, note text not null)"


def make_app(folder: Path, *, version: str = "1", url: str | None = None, **env: str) -> Path:
    """A folder for the application, with a SQLite database of three orders if no `url` is given. Returns the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    if url is None:
        url = "sqlite:///shop.db"
        with contextlib.closing(sqlite3.connect(folder / "shop.db")) as conn, conn:
            conn.execute(ORDERS)
            conn.executemany("insert into orders(note) values (?)", [("one",), ("two",), ("three",)])
    (folder / "VERSION").write_text(version)
    lines = {"DATABASE_URL": url, "SECRET_KEY": "sample-secret-of-the-application", **env}
    (folder / ".env").write_text("# settings of the sample\n" + "".join(f"{k}={v}\n" for k, v in lines.items()))
    return folder


def command_line(folder: Path | str, port: int) -> str:
    """The shell command that runs it in the foreground, from any working directory."""
    return f"exec {shlex.quote(sys.executable)} {shlex.quote(__file__)} {shlex.quote(str(folder))} {port}"


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def call(port: int, path: str, method: str = "GET", data: Any = None, seconds: float = 5.0) -> tuple[int, Any]:
    """One request: status and decoded answer. Raises OSError if nobody answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=seconds)
    with contextlib.closing(connection):
        connection.request(method, path, None if data is None else json.dumps(data))
        answer = connection.getresponse()
        body = answer.read()
        return answer.status, json.loads(body) if body else None


def wait_health(port: int, seconds: float = 20.0) -> Any:
    """What /health says once it answers 200.

    Raises:
        TimeoutError: it didn't.
    """
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(OSError, http.client.HTTPException):
            status, answer = call(port, "/health")
            if status == 200:
                return answer
        time.sleep(0.02)
    raise TimeoutError(f"nobody is healthy on port {port}")


async def healthy(port: int, seconds: float = 20.0) -> Any:
    """`wait_health` for asynchronous tests."""
    return await asyncio.to_thread(wait_health, port, seconds)


def nobody_answers(port: int) -> bool:
    """Whether nothing listens there."""
    with socket.socket() as probe:
        probe.settimeout(5)
        return probe.connect_ex(("127.0.0.1", port)) != 0


class App:
    """The settings, and the database behind them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        lines = (line.partition("=") for line in (folder / ".env").read_text().splitlines() if not line.startswith("#"))
        self.env = {key.strip(): value.strip().strip("\"'") for key, _, value in lines}
        self.url = self.env["DATABASE_URL"]
        self.kind = "sqlite" if self.url.startswith("sqlite:") else "postgresql"
        version = folder / "VERSION"
        self.version = version.read_text().strip() if version.exists() else "1"

    def switched(self, name: str) -> bool:
        """Whether that switch is in force."""
        try:
            only = (self.folder / name).read_text().strip()
        except FileNotFoundError:
            return False
        return not only or only in (self.version, self.kind)

    def sql(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        """Rows of a statement; `?` stands for a value."""
        if self.kind == "sqlite":
            path = self.folder / self.url.removeprefix("sqlite:///")
            with contextlib.closing(sqlite3.connect(f"{path.as_uri()}?mode=rw", uri=True)) as conn, conn:
                return conn.execute(text, values).fetchall()
        return asyncio.run(self._postgres(text, values))

    async def _postgres(self, text: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        import asyncpg

        for number in range(1, len(values) + 1):
            text = text.replace("?", f"${number}", 1)
        connection = await asyncpg.connect(self.url)
        try:
            return [tuple(row) for row in await connection.fetch(text, *values)]
        finally:
            await connection.close()


def _handler(app: App) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            if self.path == "/health":
                self._health()
            elif self.path == "/orders":
                rows = app.sql("select id, note from orders order by id")
                self._answer(200, [{"id": i, "note": n} for i, n in rows])
            else:
                rows = app.sql("select id, note from orders where id = ?", self._id())
                self._answer(*((200, {"id": rows[0][0], "note": rows[0][1]}) if rows else (404, None)))

        def do_POST(self) -> None:
            sent = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
            [(key,)] = app.sql("insert into orders(note) values (?) returning id", sent["note"])
            self._answer(201, {"id": key})

        def do_DELETE(self) -> None:
            gone = app.sql("delete from orders where id = ? returning id", self._id())
            self._answer(204 if gone else 404, None)

        def _id(self) -> int:
            return int(self.path.rpartition("/")[2])

        def _health(self) -> None:
            while app.switched("hang-health"):
                time.sleep(0.05)
            try:
                app.sql("select 1")
            except Exception as error:
                self._answer(503, {"status": f"{type(error).__name__}"})
                return
            ok = not app.switched("unhealthy")
            database = {"kind": app.kind}
            answer = {"status": "ok" if ok else "unhealthy", "version": app.version, "database": database}
            self._answer(200 if ok else 503, {**answer, "pid": os.getpid(), "cwd": str(Path.cwd())})

        def _answer(self, status: int, body: Any) -> None:
            data = b"" if body is None else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, format: str, *args: Any) -> None:
            if self.path != "/health":
                print(format % args, flush=True)

    return Handler


class _Server(ThreadingHTTPServer):
    daemon_threads = True


def _become_daemon(pid_file: Path) -> None:
    for leave in (os.setsid, lambda: None):
        if os.fork():
            os._exit(0)
        leave()
    pid_file.write_text(f"{os.getpid()}\n")


def main(folder: Path, port: int, pid_file: Path | None) -> None:
    """Serve until SIGTERM."""
    app = App(folder)
    if app.switched("leak-and-exit"):
        print(f"could not connect to {app.url} with {app.env.get('SECRET_KEY')}", flush=True)
        sys.exit(4)
    if app.switched("fail-at-start"):
        sys.exit(print("refusing to start: fail-at-start", file=sys.stderr) or 3)
    if pid_file is not None:
        _become_daemon(pid_file)
    server = _Server(("127.0.0.1", port), _handler(app))
    stop = (
        signal.SIG_IGN
        if app.switched("ignore-sigterm")
        else (lambda *_: threading.Thread(target=server.shutdown).start())
    )
    signal.signal(signal.SIGTERM, stop)
    told = folder / ".port.new"
    told.write_text(f"{server.server_address[1]}\n")
    told.rename(folder / "port")
    print(f"version {app.version} listens on port {server.server_address[1]} with {app.kind}", flush=True)
    server.serve_forever(poll_interval=0.05)
    server.server_close()
    print("stopped", flush=True)


if __name__ == "__main__":
    _daemon = sys.argv.index("--daemon") if "--daemon" in sys.argv else None
    main(Path(sys.argv[1]).absolute(), int(sys.argv[2]), Path(sys.argv[_daemon + 1]) if _daemon else None)
