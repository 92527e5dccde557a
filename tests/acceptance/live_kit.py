"""Live runs in real engine processes: started, waited for by what their journal says, compared from outside."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tests.acceptance.compare import differing
from tests.acceptance.harness import ROOT, Ran, Stand
from tests.run_kit import until

Json = dict[str, Any]
SECONDS = 120.0
"""Nothing that is waited for may take longer, on a machine that does much else."""

_SHOP = """
create table customer(id integer primary key autoincrement, email text not null unique, name text);
create table orders(
  id integer primary key, customer_id integer references customer(id) on delete cascade, total integer, changed integer
);
create table note(body text, n integer);
create table kv(k text primary key, v blob) without rowid;
create table audit(id integer primary key, what text);
create table spare(id integer primary key, what text);
create trigger ordered after insert on orders begin insert into audit(what) values ('order ' || new.id); end;
create trigger changed after update of total on orders begin update orders set changed = 1 where id = new.id; end;
"""


def make_shop(path: Path, *, wal: bool = True) -> None:
    """A shop: a secondary unique key, a cascade, a table without any key, one without rowids, two triggers."""
    with contextlib.closing(sqlite3.connect(path)) as made:
        made.execute(f"pragma journal_mode={'wal' if wal else 'delete'}")
        made.executescript(_SHOP)
        made.executemany(
            "insert into customer values (?, ?, ?)", [(i, f"{i}@x.org", f"name {i}") for i in range(1, 41)]
        )
        made.executemany("insert into orders values (?, ?, ?, 0)", [(i, i % 40 + 1, i) for i in range(1, 101)])
        made.executemany("insert into note values (?, ?)", [(f"note {i}", i) for i in range(60)])
        made.executemany("insert into kv values (?, ?)", [(f"k{i}", bytes([i])) for i in range(30)])
        made.execute("insert into spare values (1, 'nobody writes to it')")
        made.commit()


@contextlib.contextmanager
def opened(path: Path, *, foreign_keys: bool = True) -> Iterator[sqlite3.Connection]:
    """A connection as an application has one, in autocommit; closed afterwards."""
    with contextlib.closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute(f"pragma foreign_keys={foreign_keys:d}")
        yield connection


def rows_of(path: Path) -> dict[str, list[str]]:
    """All rows of the application's tables, sorted: what must survive whatever happens to a run."""
    with opened(path) as connection:
        names = connection.execute(
            "select name from sqlite_schema where type='table' and name not like 'sqlite\\_%' escape '\\' and name not like '\\_sf\\_%' escape '\\'"
        ).fetchall()
        return {n: sorted(repr(row) for row in connection.execute(f'select * from "{n}"')) for (n,) in names}


def target_rows(stand: Stand) -> dict[str, list[str]]:
    """All rows of the application's tables in the target, sorted."""
    names = [r[0] for r in stand.sql("select tablename::text from pg_tables where schemaname = 'public'")]
    return {n: sorted(r[0] for r in stand.sql(f'select t::text from public."{n}" t')) for n in names}


def catalog_of(path: Path) -> list[tuple[str, ...]]:
    """Everything that the catalog of a SQLite file names."""
    with opened(path) as connection:
        return connection.execute("select type, name, tbl_name, sql from sqlite_schema order by 1, 2").fetchall()


class Writer:
    """An application that writes all the time, in a process of its own."""

    def __init__(self, path: Path) -> None:
        script = Path(__file__).with_name("live_writer.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lines: list[str] = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self._process.stdout is not None
        self._lines.extend(self._process.stdout)  # as they come

    def more(self, transactions: int = 20) -> None:
        """Wait until so many more are acknowledged."""
        before = self._done()
        until(lambda: self._done() >= before + transactions, SECONDS)

    def _done(self) -> int:
        return sum(line.startswith("ok") for line in list(self._lines))

    def refused(self, words: str) -> None:
        """Wait until a transaction is refused with these words from now on."""
        seen = len(self._lines)
        until(lambda: any(line.startswith("no") and words in line for line in self._lines[seen:]), SECONDS)

    def stop(self) -> Json:
        """End it. Returns how many transactions were acknowledged, and refusals by message."""
        if self._process.stdin is not None and not self._process.stdin.closed:
            self._process.stdin.close()
        self._process.wait(60)
        self._reader.join(60)
        told: Json = json.loads(self._lines[-1])
        return told

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """A writer for the length of a block."""
    writer = Writer(path)
    try:
        yield writer
    finally:
        writer.close()


class Live:
    """One live run on a stand."""

    def __init__(self, stand: Stand) -> None:
        self.stand = stand

    def config(self, **changes: Any) -> None:
        """A live run that doesn't wait long anywhere: reads move at once, the way back stays open until it is closed."""
        keys: Json = {
            "mode": "live",
            "switch": {"steps": [100], "soak": "0s"},
            "cutover": {"max_freeze": "20s", "retries": 5},
        }
        self.stand.config(**keys | changes)

    def run(self, *args: str, yes: bool = True, env: dict[str, str] | None = None) -> Ran:
        """`stepflow run`, until it waits, observes or has ended."""
        return self.stand.run(*args, yes=yes, env=env)

    def hold(self) -> None:
        """Run until the cutover and no further; the engine stays."""
        ran = self.run("--until", "cutover")
        assert ran.code == 0, ran.out + self.trouble()
        assert self.status()["state"] == "waiting"
        assert self.stand.engines()

    def over(self) -> None:
        """Go on over the cutover, until the run observes."""
        ran = self.run()
        assert ran.code == 0, ran.out + self.trouble()
        assert self.status()["state"] == "observing", self.trouble()

    def status(self) -> Json:
        """`status --json`."""
        return self.stand.status()

    @property
    def seq(self) -> int:
        """The newest event's number: to wait for later ones only."""
        return int(self.stand.journal("select coalesce(max(seq), 0) from event")[0][0])

    def events(self, code: str, after: int = 0) -> list[Json]:
        """Data of the events of that code, oldest first."""
        rows = self.stand.journal(f"select data from event where code = '{code}' and seq > {after:d} order by seq")
        return [json.loads(data) for (data,) in rows]

    def event(self, code: str, after: int = 0) -> Json:
        """Wait for an event."""
        try:
            return until(lambda: self.events(code, after), SECONDS)[-1]
        except AssertionError:
            raise AssertionError(f"no event {code}: {self.trouble()}") from None

    def errors(self, after: int = 0) -> list[str]:
        """Codes of the errors it told."""
        return [e["code"] for e in self.events("error", after)]

    def failed(self, code: str, after: int = 0) -> Json:
        """Wait until the engine has ended with that error. Returns the error's data."""
        until(lambda: not self.stand.engines(), SECONDS)
        told = [e for e in self.events("error", after) if e["code"] == code]
        assert told, self.trouble()
        return told[-1]

    def kill(self) -> None:
        """Kill the engine as the kernel would."""
        for engine in self.stand.engines():
            with contextlib.suppress(Exception):
                engine.kill()
        self.stand.idle()

    def equal(self) -> None:
        """Wait until both sides hold the same rows. Nobody writes any more."""
        found: list[str] = []

        def same() -> bool:
            found[:] = differing(self.stand)
            return not found

        try:
            until(same, SECONDS)
        except AssertionError:
            raise AssertionError(f"{found}{self.trouble()}") from None

    def trouble(self) -> str:
        """What helps to understand: newest events and the engine's log."""
        events = self.stand.journal("select code, data from event where code <> 'step' order by seq desc limit 12")
        log = (self.stand.run_dir / "engine.log").read_text(errors="replace")[-2000:]
        return f"\nevents {events}\nlog {log}"

    def unguarded(self, folder: str) -> None:
        """Take a protection out of every process of this stand: what is patched stands in that folder."""
        self.stand.env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).with_name(folder)), str(ROOT)])
