"""`check` and `plan` leave nothing beside a WAL database that nobody has open, and see whoever opens it meanwhile."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from dataclasses import replace as replace_field
from pathlib import Path

import pytest

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.facade.inspect import check, plan
from stepflow_tui.engine.facade.survey import describe
from stepflow_tui.engine.sqlite.at_rest import at_rest, undisturbed
from stepflow_tui.engine.sqlite.examine import examine

COPY = "kind: sqlite-to-postgres\ntarget: {dsn: '${TARGET_DSN}'}\n"
IN_PLACE = "kind: sqlite-wal\n"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """A WAL database without side files, last written a while ago."""
    path = tmp_path / "data" / "shop.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as made:
        made.execute("pragma journal_mode=wal").fetchall()
        made.execute("create table orders(id integer primary key, note text)")
        made.execute("insert into orders(note) values ('one')")
        made.commit()
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return path


def beside(path: Path) -> list[str]:
    return sorted(p.name for p in path.parent.iterdir())


@pytest.mark.parametrize("kind", [COPY, IN_PLACE])
async def test_check_and_plan_leave_no_files(kind: str, source: Path, tmp_path: Path, pg_dsn: str) -> None:
    config = tmp_path / "c.yaml"
    config.write_text(f"version: 1\nname: shop\nsource: {{path: {source}}}\n{kind}")
    loaded = load_config(config, {"TARGET_DSN": pg_dsn})
    before = source.stat(), source.read_bytes()
    checked = await check(loaded, state=tmp_path / "state")
    made = await plan(loaded, state=tmp_path / "state")
    assert (checked.exit_code, made.exit_code) == (0, 0)
    assert made.plan is not None
    assert "source_read_without_locks" not in {f.code for f in made.findings}
    assert beside(source) == ["shop.db"]
    assert (source.stat().st_mtime_ns, source.read_bytes()) == (before[0].st_mtime_ns, before[1])


async def test_what_is_told_is_the_same_with_and_without_locks(source: Path) -> None:
    resting = await examine(source, resting=True)
    assert (resting.immutable, resting.journal_mode) == (True, "wal")
    assert replace_field(resting, immutable=False) == await examine(source)


async def test_describing_a_source_leaves_none(source: Path) -> None:
    found = await describe(source)
    assert (found["rows"], found["rows_exact"], found["journal_mode"]) == (1, True, "wal")
    assert beside(source) == ["shop.db"]


async def test_the_control_a_look_with_locks_leaves_them(source: Path) -> None:
    assert (await examine(source)).immutable is False
    assert beside(source) == ["shop.db", "shop.db-shm", "shop.db-wal"]


def write(path: Path, note: str) -> sqlite3.Connection:
    conn = sqlite3.connect(path)
    conn.execute("insert into orders(note) values (?)", (note,))
    conn.commit()
    return conn


def write_and_close(path: Path) -> None:
    write(path, "two").close()
    assert beside(path) == ["shop.db"], "nothing but the file itself tells of it"


def replace(path: Path) -> None:
    copy = path.with_name("copy.db")
    copy.write_bytes(path.read_bytes())
    write(copy, "two").close()
    os.utime(copy, (1_700_000_000, 1_700_000_000))
    copy.replace(path)


@pytest.mark.parametrize("come", [write, write_and_close, replace])
@pytest.mark.parametrize("failing", [False, True])
async def test_whoever_comes_meanwhile_is_seen(come: object, failing: bool, source: Path) -> None:
    asked, kept = [], []

    async def look(resting: bool) -> int:
        asked.append(resting)
        examined = await examine(source, resting=resting)
        assert examined.immutable is resting
        uri = f"file:{source}?mode=ro" + ("&immutable=1" if resting else "")
        with closing(sqlite3.connect(uri, uri=True)) as conn:
            [(rows,)] = conn.execute("select count(*) from orders").fetchall()
        if resting:
            assert callable(come)
            if come is write:
                kept.append(write(source, "two"))
            else:
                come(source)
            if failing:
                raise sqlite3.DatabaseError("database disk image is malformed")
        return int(rows)

    assert await undisturbed(source, look) == 2
    assert asked == [True, False]
    for conn in kept:
        conn.close()


async def test_a_database_in_use_is_read_with_locks(source: Path) -> None:
    with closing(sqlite3.connect(source)) as user:
        user.execute("select count(*) from orders").fetchall()
        assert await at_rest(source) is None


async def test_an_error_of_the_file_itself_is_told_once(source: Path) -> None:
    asked = []

    async def look(resting: bool) -> None:
        asked.append(resting)
        raise ValueError("its own")

    with pytest.raises(ValueError, match="its own"):
        await undisturbed(source, look)
    assert asked == [True]


async def test_a_file_that_was_just_written_settles_first(source: Path) -> None:
    os.utime(source)
    assert await at_rest(source) is not None
    assert await at_rest(source.with_name("nothing.db")) is None
