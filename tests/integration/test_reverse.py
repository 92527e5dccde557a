"""The way back on real databases: PostgreSQL's changes arrive in the fenced SQLite file, exactly."""

from __future__ import annotations

from pathlib import Path

from stepflow_tui.engine.postgres.connect import Target
from tests.copy_kit import INTEGER, TEXT
from tests.reverse_kit import cut_over, live_table, new_file


async def test_inserts_updates_deletes_and_swaps_arrive(tmp_path: Path, pg_target: Target) -> None:
    path = new_file(
        tmp_path,
        "create table t(id integer primary key, u text unique, x text); create table log(x);"
        "create trigger audit after insert on t begin insert into log values (new.id); end",
        {"t": [(1, "a", "one"), (2, "b", "two"), (3, "c", "three")]},
    )
    table = live_table(path, "t", {"id": INTEGER, "u": TEXT, "x": TEXT})
    async with cut_over(path, pg_target, table) as pair:
        await pair.pg("create unique index on t (u)")
        await pair.pg("insert into t values (4, 'd', 'four')")
        await pair.pg("delete from t where id = 3")
        await pair.pg("update t set id = 7 where id = 4")
        await pair.pg("update t set u = 'z' where id = 1")
        await pair.pg("update t set u = 'a' where id = 2")
        await pair.pg("update t set u = 'b' where id = 1")
        tick = await pair.reverse.step()
        assert tick.whole
        assert tick.changes == 5
        assert await pair.differences() == []
        assert pair.lite("select * from t order by id") == [(1, "b", "one"), (2, "a", "two"), (7, "d", "four")]
        assert pair.lite("select count(*) from _sf_log where n > 0") == [(0,)]
        assert pair.lite("select count(*) from log") == [(3,)]  # as before the cutover: the trigger stayed silent
        assert pair.lite("select writer from _sf_ctl") == [("",)]
        assert (await pair.reverse.drain()).changes == 0
        assert await pair.pg("select count(*) from _stepflow.clog") == [(0,)]
