"""Opening sources: settings that hold, values that arrive as they are, side files that survive."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from stepflow_tui.engine.errors import Held, Refused
from stepflow_tui.engine.sqlite.connect import Text, file_uri, open_frozen, open_living, shown
from stepflow_tui.engine.sqlite.examine import examine
from stepflow_tui.engine.sqlite.holders import find_holders
from stepflow_tui.engine.sqlite.lock import lock_source
from stepflow_tui.engine.sqlite.recover import readable
from tests.integration.sources import content, holder, hot_journal, live_wal, make_db


def test_every_setting_holds(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    for conn in (open_living(path, busy_timeout_ms=1234), open_frozen(path)):
        settings = [
            conn.execute(f"pragma {p}").fetchone()[0]
            for p in ("query_only", "trusted_schema", "cell_size_check", "mmap_size")
        ]
        assert settings == [1, 0, 1, 0]
        with pytest.raises(sqlite3.OperationalError):
            conn.execute("delete from parent")
        conn.close()


def test_text_and_blob_are_told_apart_even_when_invalid(tmp_path: Path) -> None:
    path = tmp_path / "t.db"
    conn = sqlite3.connect(path)
    conn.execute("create table t(v)")
    conn.execute("insert into t values('ä'),(x'c3a4'),(cast(x'c328' as text)),('a' || char(0) || 'b'),(7),(null),(1.5)")
    conn.commit()
    conn.close()
    conn = open_living(path, exact_rows=True)
    values = [v for (v,) in conn.execute("select v from t order by rowid")]
    conn.close()
    assert values == [b"\xc3\xa4", b"\xc3\xa4", b"\xc3\x28", b"a\x00b", 7, None, 1.5]
    assert [type(v) for v in values[:4]] == [Text, bytes, Text, Text]


@given(
    name=st.binary(min_size=1, max_size=40).filter(
        lambda b: b"/" not in b and b"\x00" not in b and b not in (b".", b"..")
    )
)
def test_any_file_name_survives_the_uri(name: bytes) -> None:
    uri = file_uri(os.fsdecode(b"/data/" + name), "mode=ro")
    assert uri.isascii()
    path, _, query = uri.partition("?")
    assert query == "mode=ro"
    assert "#" not in path
    from urllib.parse import unquote_to_bytes

    assert unquote_to_bytes(path.removeprefix("file://")) == b"/data/" + name


def test_paths_that_are_not_utf8_can_be_shown() -> None:
    assert shown(os.fsdecode(b"/a/\xffb")) == "/a/\\xffb"


def test_closing_a_reader_neither_checkpoints_nor_removes_the_wal(tmp_path: Path) -> None:
    path = live_wal(tmp_path / "w.db")
    before = content(path)
    conn = open_living(path)
    assert conn.execute("select count(*) from parent").fetchone() == (201,)
    conn.close()
    assert content(path) == before
    assert "-wal" in before


def test_what_a_table_lacks_does_not_stop_the_others(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    conn = sqlite3.connect(path, isolation_level=None)
    conn.create_collation("ODD", lambda a, b: 0)
    conn.create_function("odd", 1, str, deterministic=True)
    conn.execute("create table word(w text collate ODD, g as (odd(w)))")
    conn.execute("create index word_w on word(w)")
    conn.execute("insert into word(w) values(1)")
    conn.execute("create view broken as select 1")
    conn.execute("pragma writable_schema=on")
    conn.execute("update sqlite_schema set sql='create view broken as selekt' where name='broken'")
    conn.close()
    conn = open_frozen(path)
    assert conn.execute("select count(*) from parent").fetchone() == (200,)
    assert conn.execute("select w from word").fetchall() == [("1",)]
    conn.close()


async def test_hot_journal_is_read_through_a_copy_that_goes_away(tmp_path: Path) -> None:
    path = hot_journal(tmp_path / "h.db")
    before = content(path)
    async with readable(await examine(path), tmp_path / "scratch") as source:
        assert source.frozen
        conn = source.open()
        assert conn.execute("select count(*) from child where length(body)=300 and body<>zeroblob(300)").fetchone() == (
            200,
        )
        conn.close()
    assert list((tmp_path / "scratch").iterdir()) == []
    assert content(path) == before


async def test_what_can_not_be_read_is_refused_by_its_own_code(tmp_path: Path) -> None:
    with pytest.raises(Refused) as error:
        async with readable(await examine(tmp_path / "none.db"), tmp_path):
            pass
    assert error.value.code == "source_missing"


async def test_holders_are_named_by_pid_even_through_a_side_file(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db", "pragma journal_mode=wal")
    own = sqlite3.connect(path)
    own.execute("select count(*) from parent").fetchall()
    process = holder(path, "select count(*) from parent")
    try:
        found = await find_holders(path)
    finally:
        process.communicate()
        own.close()
    assert (found.known, [p.pid for p in found.processes]) == (True, [process.pid])
    assert "sqlite3" in found.text
    assert (await find_holders(path)).processes == ()


async def test_without_a_process_table_holders_are_unknown(tmp_path: Path) -> None:
    found = await find_holders(make_db(tmp_path / "s.db"), proc=tmp_path / "no proc")
    assert (found.known, found.processes) == (False, ())


def test_one_run_per_source(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    status = path.stat()
    first = lock_source(tmp_path / "state", status.st_dev, status.st_ino, "shop-1")
    with pytest.raises(Held) as error:
        lock_source(tmp_path / "state", status.st_dev, status.st_ino, "shop-2")
    assert (error.value.detail, int(error.value.exit_code)) == ("run shop-1", 7)
    first.release()
    first.release()
    lock_source(tmp_path / "state", status.st_dev, status.st_ino, "shop-2").release()
    assert first.path.stat().st_mode & 0o777 == 0o600
