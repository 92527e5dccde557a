"""What tests of `monitor` and `doctor` share: a database with a config, processes that hold it, a web service."""

from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stepflow_tui.engine.config import LoadedConfig, load_config

ROOT = Path(__file__).parents[1]

HOLDER = """
import sqlite3, sys
conn = sqlite3.connect(sys.argv[1], isolation_level=None, timeout=0)
for statement in sys.argv[2:]:
    conn.execute(statement).fetchall()
print("ready", flush=True)
sys.stdin.readline()
"""


def make_shop(path: Path, mode: str = "wal", rows: int = 100) -> None:
    """A database of two tables in that journal mode; nobody has it open afterwards."""
    with closing(sqlite3.connect(path, isolation_level=None)) as conn:
        conn.execute(f"pragma journal_mode={mode}")
        conn.execute("create table orders(id integer primary key, note text)")
        conn.execute("create table codes(code text primary key) without rowid")
        conn.execute(
            "insert into orders(note) with recursive n(i) as (select 1 union all select i+1 from n where i<?) select i from n",
            (rows,),
        )
        conn.execute("insert into codes values ('a'), ('b')")


def shop_config(folder: Path, *, kind: str = "sqlite-wal", **sections: Any) -> LoadedConfig:
    """A config beside `shop.db`; JSON is YAML."""
    path = folder / "stepflow.yaml"
    path.write_text(
        json.dumps({"version": 1, "name": "shop", "kind": kind, "source": {"path": "./shop.db"}, **sections})
    )
    return load_config(path, dict(os.environ))


@contextmanager
def holding(path: Path, *statements: str, user: int | None = None) -> Iterator[int]:
    """A process that has run these statements and keeps its connection open; its pid."""
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(path), *statements], stdin=subprocess.PIPE, stdout=subprocess.PIPE, user=user
    )
    try:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"ready\n"
        yield holder.pid
    finally:
        holder.communicate(b"\n", timeout=30)


@contextmanager
def web(status: int = 200, delay: float = 0.0) -> Iterator[str]:
    """A web service; its address."""
    wait = threading.Event()

    class Answer(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wait.wait(delay)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_words: object) -> None: ...

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def stepflow(*args: str, state: Path, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """The command itself."""
    return subprocess.run(
        [sys.executable, "-m", "stepflow_tui", *args, "--state-dir", str(state)],
        env={**os.environ, "PYTHONPATH": str(ROOT), **(env or {})}, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def side_files(path: Path) -> dict[str, bytes | int]:
    """What lies beside a database, with sizes: nobody but the application may change it."""
    return {p.name: p.stat().st_size for p in sorted(path.parent.glob(path.name + "*"))}
