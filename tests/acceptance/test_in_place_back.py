"""`rollback --restore` of a conversion: killed in it, on a file that can't be read, once and not twice, never half-heartedly."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path

import pytest

from stepflow_tui.engine.sqlite.connect import side_file
from tests.acceptance.harness import Ran, Stand
from tests.acceptance.test_in_place import Shop, config, mode_of, rows_of, shop, stand
from tests.convert_kit import holder
from tests.sample_app import wait_health

__all__ = ["shop", "stand"]

LATE = "insert into t(who, n) values ('late', 1)"


@pytest.fixture
def converted(stand: Stand) -> Stand:
    """A run that is done, one row that was written after it, and a folder that changed."""
    uploads = stand.folder / "uploads"
    uploads.mkdir()
    (uploads / "a.txt").write_text("before")
    config(stand, application={"backup": ["./uploads"]})
    ran = stand.run()
    assert ran.code == 0, ran.out
    write(stand.source, LATE)
    (uploads / "a.txt").write_text("after")
    return stand


def write(path: Path, sql: str) -> None:
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(sql)
        conn.commit()


def asides(stand: Stand) -> list[Path]:
    return [p for p in stand.source.parent.glob(f"{stand.source.name}.before-restore-*") if p.suffix != ".db-shm"]


def put_back(stand: Stand, ran: Ran) -> None:
    """Everything is as it was when the backup was made, and what was written since stands aside, once."""
    assert ran.code == 0, ran.out + ran.err
    assert (mode_of(stand.source), rows_of(stand.source)) == ("delete", 0)
    assert (stand.folder / "uploads" / "a.txt").read_text() == "before"
    [aside] = asides(stand)
    assert rows_of(aside) == 1


def finding_codes(stand: Stand) -> set[str]:
    return {f["code"] for f in stand.report()["findings"]}


@pytest.mark.parametrize(
    ("place", "then"),
    [
        ("restore_move:2", "rollback"),
        ("restore_all_away:1", "restore"),
        ("restore_move:3", "run"),
        ("restore_move:4", "restore"),
        ("restore_all_into:1", "rollback"),
        ("wal_gone_back:1", "restore"),
    ],
)
def test_killed_in_a_restore(converted: Stand, place: str, then: str) -> None:
    """The database stands aside just then: whatever is called next finishes it."""
    settings = converted.config_path.read_text()
    converted.config_path.write_text(f"{settings}# written since\n")
    assert converted.rollback("--restore", env={"STEPFLOW_FAILPOINT": f"{place}:kill"}).code == 1
    assert converted.config_path.exists(), "nobody can go on without it"
    ran = converted.run() if then == "run" else converted.rollback(*(("--restore",) if then == "restore" else ()))
    put_back(converted, ran)
    assert converted.config_path.read_text() == settings
    [later] = converted.folder.glob("stepflow.yaml.before-restore-*")
    assert later.read_text().endswith("# written since\n")
    assert ("wal_restore_finished" in finding_codes(converted)) == (then == "rollback")


@pytest.mark.parametrize("how", ["header", "deleted"])
def test_a_database_that_is_lost_is_put_back(converted: Stand, how: str) -> None:
    """Then a restore is needed most; going back without one says so, and changes nothing."""
    if how == "deleted":
        converted.source.unlink()
    else:
        raw = converted.source.read_bytes()
        converted.source.write_bytes(bytes(100) + raw[100:])
    plain = converted.rollback()
    assert plain.code != 0
    assert "rollback --restore" in plain.out + plain.err
    back = converted.rollback("--restore")
    assert back.code == 0, back.out + back.err
    assert (mode_of(converted.source), rows_of(converted.source)) == ("delete", 0)
    assert (converted.folder / "uploads" / "a.txt").read_text() == "before"


def test_damage_is_found_before_the_mode_is_left(converted: Stand) -> None:
    """Nobody waits for a check in WAL mode; what is damaged is left as it is."""
    write(converted.source, "create index t_who on t(who)")
    with closing(sqlite3.connect(converted.source)) as conn:
        [page] = conn.execute("select rootpage from sqlite_schema where name='t_who'").fetchone()
        [size] = conn.execute("pragma page_size").fetchone()
    raw = bytearray(converted.source.read_bytes())
    at = raw.index(b"late", (page - 1) * size)
    raw[at : at + 4] = b"gone"
    converted.source.write_bytes(raw)
    plain = converted.rollback()
    assert (plain.code, "rollback_differs" in plain.out + plain.err) == (1, True)
    assert mode_of(converted.source) == "wal"
    assert converted.rollback("--restore").code == 0
    assert (mode_of(converted.source), rows_of(converted.source)) == ("delete", 0)


@pytest.mark.parametrize("how", ["never begun", "taken back"])
def test_a_restore_that_would_restore_nothing_is_refused(stand: Stand, how: str) -> None:
    if how == "never begun":
        assert stand.run("--until", "cutover").code == 0
    else:
        assert stand.run().code == 0
        assert stand.rollback("--to", "prepare").code == 0
    write(stand.source, LATE)
    refused = stand.rollback("--restore")
    assert (refused.code, "no_restore_yet" in refused.out + refused.err) == (4, True)
    assert stand.rollback().code == 0
    assert (mode_of(stand.source), rows_of(stand.source)) == ("delete", 1)


def test_the_backup_is_put_back_once(shop: Shop) -> None:
    """The application was restarted on it and went on writing before the conversion's own undo came: that stays."""
    shop.config(mode="offline")
    source = shop.stand.source
    assert shop.stand.run().code == 0
    wait_health(shop.port)
    write(source, "create table t(who, n)")
    assert shop.stand.rollback("--restore", env={"STEPFLOW_FAILPOINT": "application_back:1:kill"}).code == 1
    wait_health(shop.port)
    write(source, "create table acknowledged(x)")
    back = shop.stand.rollback("--restore")
    assert back.code == 0, back.out + back.err
    wait_health(shop.port)
    assert rows_of(source, "acknowledged") == 0
    [aside] = [p for p in asides(shop.stand) if not p.name.endswith(("-wal", "-shm"))]
    assert rows_of(aside) == 0
    with closing(sqlite3.connect(f"file:{shop.stand.run_dir / 'journal.db'}?mode=ro", uri=True)) as journal:
        [evidence] = journal.execute("select evidence from step where id='cutover.convert'").fetchone()
    assert json.loads(evidence)["aside"] == [str(aside)]


@pytest.mark.parametrize("how", ["over", "taken back in part"])
def test_after_the_old_mode_the_refusal_names_the_command_that_restores(converted: Stand, how: str) -> None:
    """The run is over, its backup is not: what the hint says is run as it stands there, and works."""
    config(converted, environment="production", application={"backup": ["./uploads"]})
    assert converted.rollback(*(["--to", "prepare"] if how != "over" else []), "--confirm", converted.name).code == 0
    assert (mode_of(converted.source), rows_of(converted.source)) == ("delete", 1)
    refused = converted.rollback("--restore", "--confirm", converted.name)
    assert refused.code == 4
    error = refused.object["error"]
    assert error["code"] == ("transition" if how == "over" else "no_restore_yet")
    assert rows_of(converted.source) == 1, "nothing was done"
    [command] = re.findall(r"`stepflow (backups restore .*?)`", error["hint"])
    put_back(converted, converted.cli(*command.split()))


LAYOUT = {"page_size": 8192, "auto_vacuum": "full", "max_wait": "1s"}


def layout_of(path: Path) -> tuple[int, int]:
    with closing(sqlite3.connect(path)) as conn:
        [[size], [vacuum]] = (conn.execute(f"pragma {name}").fetchone() for name in ("page_size", "auto_vacuum"))
    return size, vacuum


@pytest.mark.parametrize(
    ("killed_at", "restore"), [("wal_layout_set:1", True), ("wal_before_conversion:1", True), ("", True), ("", False)]
)
def test_a_file_whose_pages_were_changed_goes_back(stand: Stand, killed_at: str, restore: bool) -> None:
    """The backup has the old pages; without it they stay new, and what was written since stays too."""
    config(stand, wal=LAYOUT)
    before = layout_of(stand.source)
    env = {"STEPFLOW_FAILPOINT": f"{killed_at}:kill"} if killed_at else {}
    assert stand.run(env=env).code == (1 if killed_at else 0)
    assert (layout_of(stand.source), mode_of(stand.source)) == ((8192, 1), "delete" if killed_at else "wal")
    write(stand.source, LATE)
    back = stand.rollback(*(["--restore"] if restore else []))
    assert back.code == 0, back.out + back.err
    assert (layout_of(stand.source), rows_of(stand.source)) == ((before, 0) if restore else ((8192, 1), 1))
    assert mode_of(stand.source) == "delete"
    assert len(asides(stand)) == int(restore)
    assert stand.report()["result"] == "rolled_back"


@pytest.fixture
def small(stand: Stand) -> Iterator[Path]:
    """A disk of 3 MiB with the database on it."""
    disk = stand.folder / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("mounting needs root")
    try:
        stand.source = Path(shutil.move(stand.source, disk))
        yield disk
    finally:
        subprocess.run(["umount", str(disk)], check=True)


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("how", ["mode", "side file gone", "restore"])
def test_a_full_disk_says_how_much_room_is_missing(stand: Stand, small: Path, how: str) -> None:
    """Exactly that much, and nothing more, lets the command that it names go on; nothing is lost in between."""
    config(stand, requirements={"disk": {"minimum": 1, "recommended": 1}})
    count = "with recursive c(i) as (select 1 union all select i + 1 from c where i < 800)"
    write(stand.source, f"insert into t(who, n) {count} select hex(randomblob(300)), i from c")
    assert stand.run().code == 0
    grow = "pragma wal_autocheckpoint=0; insert into t(who, n) select hex(randomblob(300)), 1 from t limit 400"
    with holder(stand.source, grow) as app:
        os.kill(app.pid, signal.SIGKILL)
        app.process.wait()
    if how == "side file gone":
        side_file(stand.source, "-shm").unlink()
    with (small / "full").open("wb", buffering=0) as full, suppress(OSError):
        while full.write(bytes(4096)):
            pass
    args = ("--restore",) if how == "restore" else ()
    back = stand.rollback(*args)
    error = back.object["error"]
    assert (back.code, error["code"]) == (1, "disk_full")
    assert str(small) in error["message"]
    found = re.search(rf"{small} has 0 bytes free, and this needs about (\d+): make room for \1 more", error["hint"])
    assert found, error["hint"]
    assert f"`stepflow rollback {stand.run_dir.name}{' --restore' if args else ''}` again" in error["hint"]
    os.truncate(small / "full", (small / "full").stat().st_size - int(found[1]))
    back = stand.rollback(*args)
    assert back.code == 0, back.out + back.err
    assert (mode_of(stand.source), rows_of(stand.source)) == ("delete", 800 if args else 1200)
