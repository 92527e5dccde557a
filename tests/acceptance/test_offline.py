"""The maintenance window: over with a restarted application, back by itself when time is over, writers kept out and named."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import sqlite3
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from stepflow_tui.engine.postgres.connect import Target
from tests.acceptance.harness import Stand
from tests.acceptance.live_kit import Live, opened
from tests.conftest import Server
from tests.run_kit import until
from tests.sample_app import call, command_line, free_port, make_app, wait_health

pytestmark = [pytest.mark.timeout(300)]
ROWS = 400


class Window:
    """A stand with the sample application, which runs by its recipe."""

    def __init__(self, stand: Stand) -> None:
        self.stand, self.live = stand, Live(stand)
        self.folder = make_app(stand.folder / "shop")
        self.port = free_port()
        stand.source = self.folder / "shop.db"
        with contextlib.closing(sqlite3.connect(stand.source)) as conn, conn:
            conn.execute("create table note(body text)")
            conn.executemany("insert into note values (?)", [(f"note {n}",) for n in range(ROWS)])
            conn.execute("create table line(id integer primary key, o references orders(id), n integer)")
            conn.executemany("insert into line(o, n) values (?, ?)", [(n % 3 + 1, n) for n in range(50)])
            conn.execute("create trigger noted after insert on orders begin insert into note values (new.note); end")

    def config(self, window: str = "5m", **more: Any) -> None:
        """An offline run that restarts the application, and asks it how it is."""
        recipe = {
            "kind": "command",
            "command": command_line(self.folder, self.port),
            "pid_file": str(self.stand.folder / "shop.pid"),
        }
        keys: dict[str, Any] = {
            "mode": "offline",
            "cutover": {"window": window},
            "application": {
                "switches": [{"file": str(self.folder / ".env"), "set": {"DATABASE_URL": "{target_dsn}"}}],
                "recipe": recipe,
                "health": [{"http": f"http://127.0.0.1:{self.port}/health", "start_period": "10s", "interval": "1s"}],
            },
        }
        self.stand.config(**keys | more)

    def database(self) -> str:
        """What the application says it works with; "" while nobody answers."""
        try:
            status, told = call(self.port, "/health")
        except OSError:
            return ""
        return str(told["database"]["kind"]) if status == 200 else ""

    def start(self) -> None:
        """The application as somebody started it once, by hand."""
        line = command_line(self.folder, self.port).removeprefix("exec ")
        with (self.stand.folder / "app.log").open("ab") as log:
            process = subprocess.Popen(shlex.split(line), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        threading.Thread(target=process.wait, daemon=True).start()
        (self.stand.folder / "shop.pid").write_text(f"{process.pid}\n")
        wait_health(self.port)

    def processes(self) -> list[psutil.Process]:
        """The application's, whoever started it."""
        found = []
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if str(self.folder) in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def order(self, note: str) -> int:
        """The application takes an order."""
        status, told = call(self.port, "/orders", "POST", {"note": note})
        assert status == 201
        return int(told["id"])

    def orders(self) -> list[str]:
        """The orders that the application shows."""
        return [order["note"] for order in call(self.port, "/orders")[1]]

    def gauge(self) -> dict[str, Any]:
        """The window, as `status --json` shows it."""
        found: dict[str, Any] = self.live.status()["window"]
        return found

    def old_side(self) -> None:
        """The application works with SQLite, as before, and nothing keeps it from writing."""
        assert self.database() == "sqlite", self.live.trouble()
        number = len(self.orders())
        self.order(f"after {number}")
        assert len(self.orders()) == number + 1
        with opened(self.stand.source) as conn:
            assert not conn.execute("select name from sqlite_schema where name like '\\_sf\\_%' escape '\\'").fetchall()


class Writer:
    """A program that nobody told to stop: it takes orders into the file as fast as it may."""

    def __init__(self, source: Path) -> None:
        script = Path(__file__).with_name("orders_writer.py")
        self._process = subprocess.Popen(
            [sys.executable, str(script), str(source)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == "ready\n"

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    def stop(self) -> tuple[int, list[str]]:
        """How many orders were acknowledged, and what the others were refused with."""
        out, _ = self._process.communicate(timeout=60)
        told = json.loads(out)
        return int(told["done"]), list(told["refused"])

    def close(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()


@contextlib.contextmanager
def writing_orders(source: Path) -> Iterator[Writer]:
    """A writer for the length of a block."""
    writer = Writer(source)
    try:
        yield writer
    finally:
        writer.close()


def _notes(source: Path) -> list[str]:
    with opened(source) as conn:
        return [note for (note,) in conn.execute("select note from orders order by id")]


@pytest.fixture
def window(stand: Stand) -> Iterator[Window]:
    """A shop that runs, and is to move in a window."""
    made = Window(stand)
    made.config()
    made.start()
    try:
        yield made
    finally:
        for process in made.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


def test_over_in_a_window_and_back(window: Window) -> None:
    """Stopped, copied, proven, switched, started; what is written in PostgreSQL comes back with the application."""
    window.order("last in SQLite")
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    assert window.live.status()["state"] == "observing"
    assert window.database() == "postgresql"
    assert window.orders() == ["one", "two", "three", "last in SQLite"]
    shown = window.gauge()
    assert shown["state"] == "switched"
    assert 0 < shown["actual_seconds"] < shown["seconds"]
    assert shown["predicted_seconds"] > 0
    assert {"stop-application", "snapshot", "copy", "verify", "cut-over"} <= shown["steps"].keys()
    window.order("first in PostgreSQL")
    until(lambda: "first in PostgreSQL" in _notes(window.stand.source), 30)
    back = window.stand.rollback()
    assert back.code == 0, back.out + back.err + window.live.trouble()
    assert window.orders() == ["one", "two", "three", "last in SQLite", "first in PostgreSQL"]
    window.old_side()


def test_a_window_that_is_too_short(window: Window) -> None:
    """It returns to the old side by itself, nothing is lost, and the next window, longer, goes through."""
    window.config("2s", copy={"max_rows_per_second": 20})  # the copy alone takes much longer
    ran = window.stand.run()
    assert (ran.code, ran.errors[0]["code"]) == (1, "window_over"), ran.out + window.live.trouble()
    assert window.stand.report()["result"] == "failed"
    codes = {f["code"] for f in window.stand.report()["findings"]}
    assert "offline_window_short" in codes
    window.old_side()
    window.config("5m")
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    assert window.live.events("offline_from_zero"), "the application wrote since"
    assert window.database() == "postgresql"
    assert window.orders() == ["one", "two", "three", "after 3"]


def test_a_writer_that_ignores_the_stop(window: Window) -> None:
    """It is locked out from before the copy until the switch, and named; not one of its rows is missing or torn."""
    with writing_orders(window.stand.source) as writer:
        ran = window.stand.run()
        assert ran.code == 0, ran.out + window.live.trouble()
        told = [f["params"] for f in window.live.events("finding") if f["code"] == "offline_locked_out"]
        assert [t["pid"] for t in told] == [writer.pid]
        assert "orders_writer" in told[0]["program"]
        assert "writer_locked_out" in {a["code"] for a in window.live.events("alert")}
        acknowledged, refused = writer.stop()
    assert any("locked" in r for r in refused)
    assert any("moved to PostgreSQL" in r for r in refused)
    assert [n for n in window.orders() if n.startswith("w")] == [f"w{n}" for n in range(acknowledged)]


def test_without_the_lock_nothing_is_switched(window: Window) -> None:
    """The negative control: the writer gets in, the comparison sees it, and the run goes back; not one of its rows is lost."""
    window.live.unguarded("unlocked")
    with writing_orders(window.stand.source) as writer:
        ran = window.stand.run()
        acknowledged, refused = writer.stop()
    assert ran.errors[0]["code"] in ("offline_differences", "locked_source_changed"), ran.out + window.live.trouble()
    assert not refused
    assert not window.live.events("cutover_point_of_no_return")
    assert [n for n in window.orders() if n.startswith("w")] == [f"w{n}" for n in range(acknowledged)]
    window.old_side()


def test_the_engine_is_killed_while_it_copies(window: Window) -> None:
    """The lock dies with it. What was written meanwhile is copied: the next engine begins from zero, and says so."""
    killed(window, "after_intent:12:kill")
    assert window.database() == ""
    with opened(window.stand.source) as conn:
        conn.execute("insert into orders(note) values ('while nobody kept the lock')")
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    assert window.live.events("offline_changed_meanwhile")
    assert window.orders()[-1] == "while nobody kept the lock"


def test_the_new_side_does_not_start(window: Window) -> None:
    """After the point of no return: writes are taken back, the old application is started and healthy, nothing is lost."""
    (window.folder / "fail-at-start").write_text("postgresql")
    ran = window.stand.run()
    assert (ran.code, ran.errors[0]["code"]) == (1, "application_start_failed"), ran.out + window.live.trouble()
    assert window.live.events("cutover_point_of_no_return")
    assert window.live.events("writes_taken_back")
    window.old_side()
    (window.folder / "fail-at-start").unlink()
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    assert window.database() == "postgresql"
    assert window.orders() == ["one", "two", "three", "after 3"]


def test_nobody_goes_on_in_a_window_whose_engine_is_killed(window: Window) -> None:
    """Its watcher brings the old side back when the window is over."""
    window.config("8s")
    killed(window, "after_intent:12:kill")
    until(lambda: window.database() == "sqlite", 60)
    window.stand.idle()
    assert window.live.status()["state"] == "failed"
    assert window.live.errors()[-1] == "window_over"
    window.old_side()


def test_a_lock_that_others_do_not_give(window: Window) -> None:
    """They are named, and the old side is started again."""
    with opened(window.stand.source) as conn:
        conn.execute("begin immediate")
        window.config("10s")
        ran = window.stand.run()
        error = ran.errors[0]
        assert (ran.code, error["code"]) == (7, "source_busy"), ran.out + window.live.trouble()
        assert f"pid {os.getpid()} " in error["detail"]
        conn.execute("rollback")
    window.old_side()
    back = window.stand.rollback()
    assert (back.code, back.object["state"]) == (0, "rolled_back"), back.out + back.err
    assert window.database() == "sqlite"


@pytest.mark.parametrize("command", ["continue", "cutover", "rollback", "abort"])
def test_held_before_the_switch(window: Window, command: str) -> None:
    """The application is stopped and the window goes on, which is said; each way out of it leaves a working application."""
    ran = window.stand.run("--until", "cutover")
    assert ran.code == 0, ran.out
    until(lambda: window.live.events("offline_waits"), 20)
    assert window.database() == ""
    with opened(window.stand.source) as conn:
        conn.execute("pragma busy_timeout=0")
        with pytest.raises(sqlite3.OperationalError, match="locked"):
            conn.execute("insert into orders(note) values ('refused')")
    confirmed = ("--yes", "--confirm", window.stand.name, "--json")
    back = command == "rollback"
    ran = window.stand.rollback() if back else window.stand.cli(command, window.stand.name, *confirmed)
    assert ran.code in (0, 130), ran.out + ran.err + window.live.trouble()
    if command in ("continue", "cutover"):
        until(lambda: window.live.status()["state"] == "observing", 60)
        assert window.database() == "postgresql"
        return
    window.stand.idle()
    assert window.live.status()["state"] == ("rolled_back" if back else "aborted")
    window.old_side()


@pytest.mark.parametrize(
    "point",
    ["offline_handed_over:1", "offline_decided:1", "application_settings_changed:1", "application_started:1"],
)
def test_the_engine_is_killed_in_the_switch(window: Window, point: str) -> None:
    """The next engine finishes it, from wherever it was; nobody else can write meanwhile."""
    killed(window, f"{point}:kill")
    with opened(window.stand.source) as conn, pytest.raises(sqlite3.IntegrityError, match="moved to PostgreSQL"):
        conn.execute("insert into orders(note) values ('refused')")
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    assert window.database() == "postgresql"
    assert not window.live.events("offline_from_zero")
    window.order("new")
    assert window.orders() == ["one", "two", "three", "new"]


def test_without_a_recipe(window: Window) -> None:
    """A person stops and starts the application: the window and the lock are the same, and it is said who has to act."""
    window.config(application={})
    for process in window.processes():
        process.terminate()
    until(lambda: not window.processes(), 20)
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    items = {i["id"]: i["state"] for i in window.live.status()["checklist"]}
    assert (items["writers-stopped"], items["application-switched"]) == ("accepted", "accepted")
    assert window.stand.sql("select count(*) from orders")[0][0] == 3
    back = window.stand.rollback()
    assert back.code == 0, back.out + back.err
    window.start()
    window.old_side()


def test_closed_at_last(window: Window) -> None:
    """Cleanup leaves nothing of StepFlow in either database, and the application where it is."""
    assert window.stand.run().code == 0
    ran = window.stand.cli("cleanup", window.stand.name, "--yes", "--json")
    assert ran.code == 0, ran.out + ran.err
    until(lambda: window.live.status()["state"] == "completed", 60)
    assert window.stand.report()["window"]["actual_seconds"] > 0
    assert window.stand.sql("select count(*) from pg_namespace where nspname = '_stepflow'")[0][0] == 0
    window.order("new")
    assert window.orders()[-1] == "new"
    with opened(window.stand.source) as conn:
        assert not conn.execute("select name from sqlite_schema where name like '\\_sf\\_%' escape '\\'").fetchall()


def killed(window: Window, point: str) -> None:
    """Run until the engine dies there, as the kernel would kill it."""
    window.stand.env["STEPFLOW_FAILPOINT"] = point
    window.stand.start("run", str(window.stand.config_path), "--yes", "--json").wait(120)
    del window.stand.env["STEPFLOW_FAILPOINT"]
    window.stand.idle()
    assert window.live.events("offline_locked"), window.live.trouble()


@pytest.mark.parametrize("mode", ["wal", "delete"])
def test_tables_made_beforehand(window: Window, mode: str) -> None:
    """By the application's own tool, with a key between them; over and back, in both journal modes."""
    with opened(window.stand.source) as conn:
        conn.executescript(f"drop trigger noted; drop table note; pragma journal_mode={mode}")
    window.stand.sql(
        "create table orders(id bigint generated by default as identity primary key, note text not null)",
        "create table line(id bigint primary key, o bigint references orders(id), n bigint)",
        "select 1",
    )
    window.config(target={"dsn": "${TARGET_DSN}", "tables": "existing"})
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    window.order("new")
    assert window.orders() == ["one", "two", "three", "new"]
    assert window.stand.sql("select count(*) from pg_constraint where contype = 'f' and convalidated")[0][0] == 1
    back = window.stand.rollback()
    assert back.code == 0, back.out + back.err + window.live.trouble()
    assert window.orders() == ["one", "two", "three", "new"]
    window.old_side()
    assert window.stand.sql("select count(*) from orders")[0][0] == 0
    assert window.stand.sql("select count(*) from pg_constraint where contype = 'f' and convalidated")[0][0] == 1


def test_what_is_not_equal_is_not_switched(window: Window) -> None:
    """A row that PostgreSQL can't hold: the old side works again, the row is named, and nothing was switched."""
    with opened(window.stand.source) as conn:
        conn.execute("insert into orders(note) values (cast(x'6100' as text))")
    ran = window.stand.run()
    assert (ran.code, ran.errors[0]["code"]) == (5, "offline_differences"), ran.out + window.live.trouble()
    assert not window.live.events("cutover_point_of_no_return")
    with opened(window.stand.source) as conn:
        conn.execute("update orders set note = 'a' where id = 4")
        conn.execute("update note set body = 'a' where rowid = 401")
    window.old_side()
    assert window.stand.rollback().code == 0
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    assert window.orders() == ["one", "two", "three", "a", "after 4"]


def test_told_to_end_in_the_window(window: Window) -> None:
    """SIGTERM: the run stops, resumable, and the application with it; who goes on in time finishes it."""
    assert window.stand.run("--until", "cutover").code == 0
    for engine in window.stand.engines():
        engine.terminate()
    window.stand.idle()
    assert window.database() == ""
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    assert not window.live.events("offline_from_zero")
    assert window.database() == "postgresql"


def test_over_and_back_and_over_again(window: Window) -> None:
    """What was written on either side in between is there in the end."""
    assert window.stand.run().code == 0
    took = window.gauge()["actual_seconds"]
    window.order("in PostgreSQL")
    back = window.stand.rollback("--to", "cutover")
    assert back.code == 0, back.out + back.err + window.live.trouble()
    window.old_side()
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    assert window.database() == "postgresql"
    assert window.orders() == ["one", "two", "three", "in PostgreSQL", "after 4"]
    assert window.gauge()["predicted_seconds"] == took, "the first window tells more than the estimate"


def test_the_target_is_gone(window: Window, pg_server: Server, pg_target: Target) -> None:
    """The old side needs no target to be started again; when it is back, the next window goes through."""
    name = pg_target.database
    assert window.stand.run("--until", "cutover").code == 0
    pg_server.sql(f'alter database "{name}" with allow_connections false')
    pg_server.sql(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
    window.stand.cli("continue", window.stand.name, "--yes", "--confirm", window.stand.name, "--json")
    window.stand.idle()
    assert window.live.events("offline_returned"), window.live.trouble()
    window.old_side()
    pg_server.sql(f'alter database "{name}" with allow_connections true')
    ran = window.stand.run()
    assert ran.code == 0, ran.out + window.live.trouble()
    assert window.orders() == ["one", "two", "three", "after 3"]
