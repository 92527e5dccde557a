"""`sqlite-wal` through the real command line: an application that goes on working, the way back, and what is refused."""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import subprocess
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, closing, nullcontext, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.acceptance.harness import Stand, source_hash
from tests.convert_kit import READER, WRITER, Client, holder, told
from tests.run_kit import until
from tests.sample_app import command_line, free_port, make_app, wait_health

CLIENTS = 8
PAUSE = "0.01"
"""Seconds between two transactions of a client: sixteen processes share the machine with the run."""
TINY = {"rounds": 3, "seconds": "100ms", "writers": 2, "readers": 2}


@pytest.fixture
def stand(tmp_path: Path) -> Stand:
    """A rollback-journal database, and no PostgreSQL anywhere."""
    made = Stand(tmp_path, "postgresql://nobody@127.0.0.1:1/none")
    with closing(sqlite3.connect(made.source)) as conn:
        conn.executescript(
            "create table t(id integer primary key, who text, n integer);"
            "create table quiet(k text primary key, v blob) without rowid;"
            "insert into quiet values ('a', x'00ff'), ('b', null)"
        )
    config(made)
    return made


def config(stand: Stand, **changes: Any) -> None:
    """Without a benchmark, which most of these tests have no use for, unless one is asked for."""
    none = {"max_bytes": "1KiB"}
    keys = {"kind": "sqlite-wal", "target": None, "verify": None, "benchmark": none, "observe": {"window": "1s"}}
    stand.config(**keys | changes)


def mode_of(path: Path) -> str:
    with closing(sqlite3.connect(path)) as conn:
        return str(conn.execute("pragma journal_mode").fetchone()[0])


def rows_of(path: Path, table: str = "t") -> int:
    with closing(sqlite3.connect(path)) as conn:
        return int(conn.execute(f"select count(*) from {table}").fetchone()[0])


def test_an_application_that_goes_on_loses_nothing(stand: Stand) -> None:
    """Writers and readers that never stop: not one failed, nothing acknowledged is missing, there and back."""
    config(stand, benchmark=TINY)
    writers = [Client(WRITER, str(stand.source), f"w{n}", PAUSE) for n in range(CLIENTS)]
    readers = [Client(READER, str(stand.source), f"r{n}", PAUSE) for n in range(CLIENTS)]
    try:
        ran = stand.run()
        assert ran.code == 0, ran.out
        back = stand.rollback()
    finally:
        said = [told(client) for client in (*writers, *readers)]
    assert [t["failed"] for t in said] == [[]] * (2 * CLIENTS)
    assert rows_of(stand.source) == sum(t["done"] for t in said[:CLIENTS])
    report = stand.report()
    # they keep the file open, so it can't leave WAL mode: said, with their names, and nothing is forced
    assert (back.code, mode_of(stand.source)) == (7, "wal")
    assert f"pid {writers[0].pid} " in back.out
    assert (report["result"], stand.status()["state"]) == ("completed", "completed"), (
        "what the run reached still stands"
    )
    verdicts = {t["source"]: (t["verified"], t["reason"]) for t in report["tables"]}
    assert verdicts["quiet"] == ("equal", "")
    assert verdicts["t"][0] == "equal"
    assert "the conversion itself wrote the header page alone" in verdicts["t"][1]
    loads = {load["name"]: load for load in report["benchmark"]["loads"]}
    assert all(loads["mixed"]["figures"][side]["operations"] > 0 for side in report["benchmark"]["sides"])
    assert stand.rollback().code == 0
    assert mode_of(stand.source) == "delete"
    assert rows_of(stand.source) == sum(t["done"] for t in said[:CLIENTS])


def test_a_file_at_rest_is_proven_value_by_value(stand: Stand) -> None:
    ran = stand.run()
    report = stand.report()
    assert (ran.code, report["result"], mode_of(stand.source)) == (0, "completed", "wal")
    assert {t["source"]: (t["verified"], t["digest_source"] == t["digest_target"]) for t in report["tables"]} == {
        "t": ("equal", True),
        "quiet": ("equal", True),
    }
    assert report["in_place"]["prove"]["quiet"] is True
    assert report["in_place"]["convert"]["bytes_written"] < 3 * 4096
    assert {c["id"]: c["state"] for c in report["checklist"]}["mode-active"] == "ticked"
    assert stand.run().code == 0  # another look at it: there is nothing to do any more
    assert stand.report()["in_place"]["convert"]["converted"] is False


def test_a_changed_row_is_not_called_equal(stand: Stand) -> None:
    """The negative control of the proof: a row that changes behind the run's back, with no writer to explain it."""
    assert stand.run("--until", "observe").code == 0
    raw = stand.source.read_bytes()
    assert raw.count(b"\x00\xff") >= 1
    at = raw.rindex(b"\x00\xff")
    kept = stand.source.stat()
    stand.source.write_bytes(raw[:at] + b"\x01\xff" + raw[at + 2 :])
    os.utime(stand.source, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    ran = stand.run()
    assert ran.code == 5, ran.out
    assert {t["source"]: t["verified"] for t in stand.report()["tables"]} == {"t": "equal", "quiet": "different"}


def test_a_writer_that_comes_and_goes_is_no_difference(stand: Stand) -> None:
    """It leaves no -wal behind, and need not touch the file's own counter."""
    assert stand.run("--until", "observe").code == 0
    with closing(sqlite3.connect(stand.source)) as conn:
        conn.execute("update quiet set v = x'01' where k = 'b'")
        conn.commit()
    ran = stand.run()
    assert ran.code == 0, ran.out
    verdicts = {t["source"]: (t["verified"], t["reason"]) for t in stand.report()["tables"]}
    assert verdicts["t"] == ("equal", "")
    assert "the application wrote to it since the backup" in verdicts["quiet"][1]
    apart = "1 of 2 tables verified equal, 1 more equal apart from the application's writes"
    said = {t["source"]: t["apart_from"] for t in stand.report()["tables"]}
    assert (
        said
        == {t["source"]: t["apart_from"] for t in stand.status()["tables"]}
        == {"t": None, "quiet": "application_writes"}
    )
    proved = stand.report()["in_place"]["prove"]
    assert (proved["equal"], proved["written_to"], proved["tables"]) == (1, 1, 2)
    for name in ("report.md", "report.html"):
        text = (stand.run_dir / name).read_text().replace("&#x27;", "'")
        assert apart in text
        assert "1 of 2, 1 equal apart from the application's writes" in text
    assert text.count('class="equal"') == 1, "what is not proven by value is not green"


def test_the_backup_is_put_back(stand: Stand) -> None:
    """Database and folders as they were; what is there now stands aside."""
    uploads = stand.folder / "uploads"
    uploads.mkdir()
    (uploads / "a.txt").write_text("before")
    config(stand, application={"backup": ["./uploads"]})
    assert stand.run().code == 0
    with closing(sqlite3.connect(stand.source)) as conn:
        conn.execute("insert into t(who, n) values ('late', 1)")
        conn.execute("delete from quiet")
        conn.commit()
    (uploads / "a.txt").write_text("after")
    back = stand.rollback("--restore")
    assert back.code == 0, back.out + back.err
    assert (mode_of(stand.source), rows_of(stand.source), rows_of(stand.source, "quiet")) == ("delete", 0, 2)
    assert (uploads / "a.txt").read_text() == "before"
    [aside] = [p for p in stand.folder.glob("source.db.before-restore-*") if not p.name.endswith(("-wal", "-shm"))]
    assert rows_of(aside) == 1


def test_production_asks_for_the_name_before_a_backup_is_put_back(stand: Stand) -> None:
    config(stand, environment="production")
    assert stand.run("--confirm", stand.name).code == 0
    assert stand.rollback("--restore").code == 6
    assert mode_of(stand.source) == "wal"
    assert stand.rollback("--restore", "--confirm", stand.name).code == 0
    assert mode_of(stand.source) == "delete"


def test_a_database_in_wal_mode_is_left_alone(stand: Stand) -> None:
    """Nothing to do: not a byte is written, not even into its side files."""
    with holder(stand.source, "pragma journal_mode=wal; insert into t(who, n) values ('x', 1)"):
        before = source_hash(stand.source)
        ran = stand.run()
        assert source_hash(stand.source) == before
        assert before[1] is not None, "a live -wal"
    assert ran.code == 0, ran.out
    report = stand.report()
    assert report["in_place"]["convert"]["converted"] is False
    assert "wal_already" in {f["code"] for f in report["findings"]}
    assert stand.cli("rollback", stand.name, "--yes", "--json").code == 0
    assert mode_of(stand.source) == "wal"


def test_a_reader_that_never_leaves_is_named(stand: Stand) -> None:
    config(stand, wal={"max_wait": "1s"})
    before = source_hash(stand.source)
    with holder(stand.source, "begin; select count(*) from t;") as reader:
        ran = stand.run()
        assert (ran.code, ran.errors[-1]["code"]) == (7, "source_busy_conversion")
        assert f"pid {reader.pid} " in ran.errors[-1]["detail"]
        assert source_hash(stand.source) == before
    assert stand.run().code == 0
    assert mode_of(stand.source) == "wal"


@pytest.mark.parametrize("how", ["exclusive", "hard link"])
def test_what_would_be_dangerous_is_refused(stand: Stand, how: str) -> None:
    alone = "pragma locking_mode=exclusive; begin immediate; insert into t(who,n) values('x',1); commit;"
    with holder(stand.source, alone) if how == "exclusive" else nullcontext():
        if how == "hard link":
            os.link(stand.source, stand.folder / "other.db")
        before = source_hash(stand.source)
        ran = stand.run()
    assert ran.code == 4, ran.out
    assert source_hash(stand.source) == before


def test_another_file_under_the_name_is_not_taken_for_the_one_that_was_proven(stand: Stand) -> None:
    """A WAL file put in its place between conversion and proof: refused by name, not called equal."""
    ran = stand.run(env={"STEPFLOW_FAILPOINT": "wal_converted:1:kill"})
    assert ran.errors[-1]["code"] == "engine_lost"
    with closing(sqlite3.connect(stand.folder / "copy.db")) as conn:
        conn.executescript("pragma journal_mode=wal; create table t(id integer primary key, who text, n integer)")
    (stand.folder / "copy.db").replace(stand.source)
    ran = stand.run()
    assert (ran.code, ran.errors[-1]["code"]) == (4, "source_replaced")
    assert stand.report()["result"] == "refused"


def test_a_killed_engine_goes_on(stand: Stand) -> None:
    for place in ("wal_before_conversion", "wal_converted", "after_effect"):
        ran = stand.run("--new", env={"STEPFLOW_FAILPOINT": f"{place}:1:kill"})
        assert ran.code == 1, ran.out
        assert ran.errors[-1]["code"] == "engine_lost"
        done = stand.run()
        assert (done.code, mode_of(stand.source)) == (0, "wal"), done.out
        assert stand.rollback(env={"STEPFLOW_FAILPOINT": "wal_gone_back:1:kill"}).code == 1
        assert stand.rollback().code == 0
        assert mode_of(stand.source) == "delete"


@pytest.mark.parametrize("noted", [True, False])
def test_killed_right_behind_the_conversion_and_written_to(stand: Stand, noted: bool) -> None:
    """What it wrote was noted before anybody heard of it. Without the note nothing more is claimed than is known."""
    assert stand.run(env={"STEPFLOW_FAILPOINT": "wal_converted:1:kill"}).code == 1
    with closing(sqlite3.connect(stand.source)) as conn:
        conn.execute("update quiet set v = x'01' where k = 'b'")
        conn.commit()
    if not noted:
        (stand.run_dir / "converted.json").unlink()
    ran, report = stand.run(), stand.report()
    tables = {t["source"]: t for t in report["tables"]}
    assert (ran.code, report["result"]) == ((0, "completed") if noted else (5, "incomplete"))
    assert (tables["t"]["verified"], tables["t"]["apart_from"]) == ("equal", None)
    found = {f["code"]: f for f in report["findings"]}
    if noted:
        assert (tables["quiet"]["verified"], tables["quiet"]["apart_from"]) == ("equal", "application_writes")
        assert report["in_place"]["convert"]["bytes_written"] < 3 * 4096
        assert "wal_unproven" not in found
    else:
        assert tables["quiet"]["verified"] == "not_verified"
        assert "the engine was struck down before it was noted" in tables["quiet"]["reason"]
        assert "2 rows then, 2 now" in tables["quiet"]["reason"]
        [command] = re.findall(r"`stepflow (backups restore .*?)`", found["wal_unproven"]["fix"])
        assert stand.cli(*command.split(), "--yes").code == 0
        assert rows_of(stand.folder / "compare.db", "quiet") == 2


def test_a_mode_that_was_changed_back_is_not_done(stand: Stand) -> None:
    """Somebody sets the old mode while it is watched: refused at the end, and the next run converts it again."""
    config(stand, observe={"window": "6s"})
    process = stand.start("run", str(stand.config_path), "--json", "--yes")
    until(lambda: _watching(stand), 120)
    with closing(sqlite3.connect(stand.source)) as conn:
        assert conn.execute("pragma journal_mode=delete").fetchone() == ("delete",)
    ran = stand.ended(process)
    assert (ran.code, stand.report()["result"]) == (4, "refused")
    assert {c["id"]: c["state"] for c in stand.report()["checklist"]}["mode-active"] == "failed"
    config(stand)
    assert stand.run().code == 0
    assert mode_of(stand.source) == "wal"


def _watching(stand: Stand) -> bool:
    """Whether the newest run watches the new mode."""
    looked = stand.cli("status", stand.name, "--json")
    steps = [s for p in looked.object["phases"] for s in p["steps"]] if looked.code == 0 else []
    return any(s["name"] == "watch" and s["state"] == "running" for s in steps)


@pytest.fixture
def shop(stand: Stand) -> Iterator[Shop]:
    """The sample application on a rollback-journal database, started by hand."""
    made = Shop(stand)
    made.start()
    try:
        yield made
    finally:
        made.end()


class Shop:
    """An application that its recipe can stop and start; it finds a setting in `.env`."""

    def __init__(self, stand: Stand) -> None:
        self.stand, self.folder, self.port = stand, make_app(stand.folder / "shop", MARK="old"), free_port()
        stand.source = self.folder / "shop.db"
        with closing(sqlite3.connect(stand.source)) as conn:
            conn.execute("pragma journal_mode=delete")

    @property
    def pid(self) -> int:
        return int((self.stand.folder / "shop.pid").read_text().split()[0])

    @property
    def mark(self) -> str:
        return next(line for line in (self.folder / ".env").read_text().splitlines() if line.startswith("MARK="))

    def start(self) -> None:
        line = shlex.split(command_line(self.folder, self.port).removeprefix("exec "))
        process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        threading.Thread(target=process.wait, daemon=True).start()
        (self.stand.folder / "shop.pid").write_text(f"{process.pid}\n")
        wait_health(self.port)

    def end(self) -> None:
        with suppress(OSError, ValueError, psutil.Error):
            psutil.Process(self.pid).kill()

    def config(self, **changes: Any) -> None:
        recipe = {
            "kind": "command",
            "command": command_line(self.folder, self.port),
            "pid_file": str(self.stand.folder / "shop.pid"),
        }
        health = {"http": f"http://127.0.0.1:{self.port}/health", "start_period": "10s", "interval": "1s"}
        config(
            self.stand, application={"recipe": recipe, "health": [health], **changes.pop("application", {})}, **changes
        )


@pytest.mark.parametrize("offline", [False, True])
def test_the_application_is_changed_and_put_back(shop: Shop, offline: bool) -> None:
    """Settings, a restart, health: with the application running until then, or stopped for the conversion."""
    switch = {"switches": [{"file": str(shop.folder / ".env"), "set": {"MARK": "new"}}]}
    shop.config(application=switch, **({"mode": "offline"} if offline else {}))
    before = shop.pid
    ran = shop.stand.run()
    assert ran.code == 0, ran.out
    assert (mode_of(shop.stand.source), shop.mark, shop.pid != before) == ("wal", "MARK=new", True)
    wait_health(shop.port)
    back = shop.stand.rollback()
    assert back.code == 0, back.out + back.err
    assert (mode_of(shop.stand.source), shop.mark) == ("delete", "MARK=old")
    wait_health(shop.port)


def test_a_recipe_alone_restarts_nobody_on_the_way_there(shop: Shop) -> None:
    """It is there for the way back: the application that keeps the file open is stopped for it, and started again."""
    shop.config()
    before = shop.pid
    assert shop.stand.run().code == 0
    assert shop.pid == before
    with holder_of(shop) as late:
        back = shop.stand.rollback("--restore")
        assert (back.code, f"pid {late.pid} " in back.out + back.err) == (4, True)
    wait_health(shop.port)
    assert shop.stand.rollback("--restore").code == 0
    wait_health(shop.port)
    assert mode_of(shop.stand.source) == "delete"


def holder_of(shop: Shop) -> AbstractContextManager[Client]:
    """Another program that keeps the database open, which no recipe stops."""
    return holder(shop.stand.source, "select count(*) from sqlite_master")
