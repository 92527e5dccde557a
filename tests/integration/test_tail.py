"""The tail against real databases: after every whole step the target equals the source, whatever the application wrote."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tracemalloc
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.errors import Drift, Held, Refused, StepFailed, StepFlowError
from stepflow_tui.engine.live import tail_apply
from stepflow_tui.engine.live.convert import Codec
from stepflow_tui.engine.live.invariants import ask
from stepflow_tui.engine.live.prune import Room, prune_log, room_of
from stepflow_tui.engine.live.tail_apply import Applied, Applier
from stepflow_tui.engine.live.tail_classes import keep_classes
from stepflow_tui.engine.live.tail_source import Span
from stepflow_tui.engine.live.tail_target import TargetSide
from stepflow_tui.engine.model.config import Invariant
from stepflow_tui.engine.model.live import LOG
from stepflow_tui.engine.model.sensitive import NO_MASK, make_mask
from stepflow_tui.engine.model.types import Kind
from stepflow_tui.engine.postgres import control, progress
from stepflow_tui.engine.postgres.connect import Target
from tests.tail_kit import RUN, Rig, rig, source_rows, target_rows

Make = Callable[..., Awaitable[Rig]]

ITEMS = "create table item(id integer primary key, name text unique, n integer);"
THREE = ITEMS + "insert into item values (1,'a',10),(2,'b',20),(3,'c',30);"


@pytest.fixture
async def make(tmp_path: Path, pg_target: Target) -> AsyncIterator[Make]:
    made: list[Rig] = []

    async def build(script: str = THREE, **options: Any) -> Rig:
        made.append(await rig(tmp_path, pg_target, script, **options))
        return made[-1]

    yield build
    for one in made:
        await one.close()


TYPED = """
create table typed(id integer primary key, b boolean, d numeric(10,2), r real, t datetime, day date, e datetime, x blob, m, z text);
insert into typed values
  (1, 1, 1.25, 0.1, '2024-01-01 10:00:00', '2024-02-29', 1700000000, x'00ff', 5, 'ä'),
  (2, 0, -3, 2.0, '1999-12-31 23:59:59', '0001-01-01', 0, x'', 'five', ''),
  (3, null, null, null, null, null, null, null, 0.5, null);
"""


async def test_every_type_arrives_exactly(make: Make) -> None:
    live = await make(TYPED, types={"dates": {"typed": {"e": "epoch_s"}}})
    kinds = {c.source: c.type.kind for c in live.plan.table("typed").columns}
    assert kinds == {
        "id": Kind.INTEGER, "b": Kind.BOOLEAN, "d": Kind.DECIMAL, "r": Kind.REAL, "t": Kind.TIMESTAMP, "day": Kind.DATE,
        "e": Kind.EPOCH, "x": Kind.BLOB, "m": Kind.MIXED_TEXT, "z": Kind.TEXT,
    }  # fmt: skip
    tail = live.tail()
    assert (await tail.step()).rows == 3
    assert await live.differing() == []
    live.app.execute(
        "update typed set b = not b, d = d * 2, r = 1e300, e = e + 1, x = zeroblob(2000000), m = id, z = 'x\"y'"
    )
    live.app.execute("insert into typed(id, z, m) values (-9223372036854775808, ?, ?)", ("\\.\n,\r\n\t'", "NULL"))
    await tail.step()
    assert await live.differing() == []
    assert (await tail.step()).changes == 0


SHAPES = {
    "integer primary key": "create table {t}(id integer primary key, a unique, b);",
    "autoincrement": "create table {t}(id integer primary key autoincrement, a unique, b);",
    "rowid": "create table {t}(id unique, a unique, b);",
    "rowid hidden by a column": "create table {t}(id unique, a unique, b, rowid);",
    "text primary key": "create table {t}(id text primary key not null, a unique, b);",
    "nocase primary key": "create table {t}(id text primary key collate nocase not null, a unique, b);",
    "null primary key": "create table {t}(id text primary key, a unique, b);",
    "composite": "create table {t}(id integer, a, b, primary key (id, a));",
    "without rowid": "create table {t}(id text primary key, a unique, b) without rowid;",
    "without rowid, composite": "create table {t}(id integer, a text, b, primary key (a, id desc)) without rowid;",
    "without rowid, nocase": "create table {t}(id text collate nocase primary key, a unique, b) without rowid;",
    "generated": "create table {t}(id integer primary key, a unique, b, g text as (id || 'x') stored);",
    "partial unique": "create table {t}(id integer primary key, a, b); create unique index u on {t}(a) where b > 3;",
    "strict": "create table {t}(id integer primary key, a text unique, b integer) strict;",
}
FORMS = (
    "insert into {t}(id,a,b) values({id},{a},{b})",
    "insert or replace into {t}(id,a,b) values({id},{a},{b})",
    "insert or ignore into {t}(id,a,b) values({id},{a},{b})",
    "insert or fail into {t}(id,a,b) values({id},{a},{b}),({id2},{a2},{b})",
    "insert into {t}(id,a,b) values({id},{a},{b}) on conflict do update set b=excluded.b",
    "insert into {t}(id,a,b) values({id},{a},{b}) on conflict do nothing",
    "update {t} set b={b} where id={id}",
    "update {t} set id={id2} where id={id}",
    "update or replace {t} set a={a} where id={id}",
    "update or replace {t} set id={id2}, a={a2} where id={id}",
    "update or ignore {t} set a={a2} where id in ({id},{id2})",
    "delete from {t} where id={id}",
    "delete from {t} where a={a}",
)


def _write(app: sqlite3.Connection, table: str, dice: random.Random) -> None:
    """One transaction of one to five statements, sometimes rolled back; what SQLite refuses is refused."""
    app.execute("begin immediate")
    for _ in range(dice.randint(1, 5)):
        values = {
            "id": dice.randint(1, 9), "id2": dice.randint(1, 9), "b": dice.randint(1, 6),
            "a": f"'{dice.choice('abcABC')}'", "a2": f"'{dice.choice('abcABC')}'",
        }  # fmt: skip
        try:
            app.execute(dice.choice(FORMS).format(t=table, **values))
        except sqlite3.IntegrityError:
            continue
    if app.in_transaction:
        app.execute("commit" if dice.random() < 0.85 else "rollback")


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("journal", ["wal", "delete"])
async def test_every_conflict_form_on_every_shape(make: Make, shape: str, journal: str) -> None:
    dice = random.Random(f"{shape} {journal}")
    name = '"odd ""name; --"'
    live = await make(
        SHAPES[shape].format(t=name) + f"insert into {name}(id,a,b) values (1,'a',1),(2,'b',2),(3,'c',3);",
        journal=journal,
    )
    tail = live.tail(step_changes=4)
    for turn in range(25):
        for _ in range(dice.randint(1, 4)):
            _write(live.app, name, dice)
        while not (tick := await tail.step()).whole:
            pass
        assert await live.differing() == [], f"turn {turn}"
        assert tick.applied == live.log_max()
    assert await live.poison() == []
    assert (await live.watermark()).changes == live.log_max(), "each change is counted once"


async def test_unique_values_move_between_rows(make: Make) -> None:
    live = await make()
    tail = live.tail()
    await tail.step()
    live.app.executescript(
        "begin; update item set name='x' where id=1; update item set name='a' where id=2;"
        "update item set name='b' where id=3; update item set name='c' where id=1; commit;"
    )
    await tail.step()
    assert await live.differing() == []
    assert await live.poison() == []


async def test_a_swap_cut_in_two_takes_the_whole_backlog(make: Make) -> None:
    live = await make()
    await live.tail().step()
    live.app.executescript("update item set name='x' where id=1; update item set name='a' where id=2;")
    for n in range(40):
        live.app.execute("update item set n=? where id=3", (n,))
    live.app.execute("update item set name='b' where id=1")
    # the first entry is row 1's, whose present name is still row 2's in the target
    tick = await live.tail(step_changes=1).step()
    assert tick.whole, "widened"
    assert await live.differing() == []
    assert await live.poison() == []


async def test_without_widening_a_cut_swap_is_refused(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The protection is needed: the same step, believing it is whole, quarantines a good row."""
    live = await make()
    await live.tail().step()
    live.app.executescript("update item set name='x' where id=1; update item set name='a' where id=2;")
    live.app.execute("update item set name='b' where id=1")
    apply = Applier.apply

    async def pretend(self: Applier, span: Span, *, whole: bool) -> Applied:
        return await apply(self, span, whole=True)

    monkeypatch.setattr(Applier, "apply", pretend)
    await live.tail(step_changes=1).step()
    assert [p.key for p in await live.poison()] == [("1",)]


async def test_inserting_before_deleting_loses_rows(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The protection is needed: with the order turned round the comparison finds damage."""
    live = await make()
    tail = live.tail()
    await tail.step()
    clear, fill = Applier._clear, Applier._fill

    async def fill_first(self: Applier, codec: Codec, span: Span, again: tuple[int, ...]) -> int:
        return await fill(self, codec, span, again, whole=True)

    async def then_clear(self: Applier, codec: Codec, span: Span, again: tuple[int, ...], *, whole: bool) -> int:
        return await clear(self, codec, span, again) and 0

    monkeypatch.setattr(Applier, "_clear", fill_first)
    monkeypatch.setattr(Applier, "_fill", then_clear)
    live.app.execute("update item set n = n + 1")
    await tail.step()
    assert await live.differing() == ["item"]


BAD = """
create table t(id integer primary key, x text, b boolean not null, ip text, m);
insert into t values (1,'good',1,'10.0.0.1',1),(2,'good',0,'10.0.0.2','two');
"""


async def _bad(make: Make, **options: Any) -> Rig:
    return await make(BAD, types={"by_column": {"t": {"ip": "inet"}}}, **options)


async def test_rows_that_the_target_cant_hold_wait_in_quarantine(make: Make) -> None:
    live = await _bad(make)
    tail = live.tail()
    await tail.step()
    live.app.execute("update t set x = 'a' || char(0) || 'b' where id = 1")
    live.app.execute("insert into t values (3, cast(x'c328' as text), 1, '10.0.0.3', null)")
    live.app.execute("insert into t values (4, 'x', 7, '10.0.0.4', null)")
    live.app.execute("insert into t values (5, 'x', 1, '300.0.0.1', null)")
    live.app.execute("insert into t values (6, 'good', 1, '10.0.0.6', x'ff')")
    live.app.execute("insert into t values (7, 'good', 1, '10.0.0.7', null)")
    tick = await tail.step()
    assert (tick.poisoned, tail.stats.poison) == (5, 5)
    reasons = {p.key: (p.column, p.reason.split(":")[0]) for p in await live.poison()}
    assert reasons == {
        ("1",): ("x", "text contains a NUL character"),
        ("3",): ("x", "text is not valid Unicode"),
        ("4",): ("b", "a number other than 0 and 1 where a boolean is needed"),
        ("5",): ("ip", "PostgreSQL 22P02"),
        ("6",): ("m", "a blob where a text is needed"),
    }
    assert [r[0] for r in await live.pg.fetch("select id from app.t order by id")] == [2, 7], (
        "the old state of 1 is gone"
    )
    live.app.execute("update t set x = 'mended' where id in (1, 3)")
    live.app.execute("update t set b = 0, ip = '10.0.0.9', m = 'two'")
    tick = await tail.step()
    assert (tick.poisoned, tail.stats.poison) == (0, 0)
    assert await live.poison() == []


async def test_quarantine_ends_with_the_row(make: Make) -> None:
    live = await _bad(make)
    tail = live.tail()
    await tail.step()
    live.app.execute("update t set b = 7 where id = 1")
    await tail.step()
    assert await progress.count_poison(live.pg, RUN) == {"t": 1}
    live.app.execute("delete from t where id = 1")
    await tail.step()
    assert await progress.count_poison(live.pg, RUN) == {}
    assert [r[0] for r in await live.pg.fetch("select id from app.t")] == [2]


async def test_a_quarantined_row_is_tried_again_when_what_stood_in_its_way_is_gone(make: Make) -> None:
    live = await make()
    tail = live.tail()
    await tail.step()
    await live.pg.execute("insert into app.item(id, name, n) values (99, 'taken', 0)")  # a row that nobody captured
    live.app.execute("update item set name = 'taken' where id = 1")
    await tail.step()
    assert [(p.key, p.column, p.reason[:16]) for p in await live.poison()] == [(("1",), None, "PostgreSQL 23505")]
    await live.pg.execute("delete from app.item where id = 99")
    live.app.execute("update item set n = 5 where id = 2")
    await tail.step()
    assert await live.poison() == []
    assert await live.differing() == []


async def test_replace_writes_the_replacement(make: Make) -> None:
    live = await _bad(make, copy={"on_bad_value": "replace"})
    tail = live.tail()
    live.app.execute("update t set x = 'a' || char(0) where id = 1")
    live.app.execute("update t set x = cast(x'c328' as text) where id = 2")
    assert (await tail.step()).poisoned == 0
    assert [r[0] for r in await live.pg.fetch("select x from app.t order by id")] == ["a\ufffd", "\ufffd("]


async def test_sensitive_values_show_nowhere_in_the_quarantine(make: Make) -> None:
    live = await make(
        "create table p(mail text primary key not null, ip text); insert into p values ('canary@example.org','10.0.0.1');",
        types={"by_column": {"p": {"ip": "inet"}}},
    )
    mask = make_mask(b"key", {"p": {"mail": "configured", "ip": "configured"}})
    tail = live.tail(mask=mask)
    live.app.execute("update p set ip = 'canary-ip'")
    await tail.step()
    [row] = await live.poison()
    assert row.key[0].startswith("#fp:")
    assert "canary" not in repr(row)
    live.app.execute("update p set ip = '10.0.0.2'")
    await tail.step()
    assert await live.poison() == []


async def test_too_many_refusals_speak_against_the_plan(make: Make) -> None:
    live = await _bad(make)
    tail = live.tail(poison_limit=5)
    await tail.step()
    live.app.execute("update t set ip = 'no'")
    for n in range(10, 20):
        live.app.execute("insert into t values (?, 'x', 1, 'no', null)", (n,))
    before = await live.watermark()
    with pytest.raises(StepFailed) as caught:
        await tail.step()
    assert caught.value.code == "rows_refused"
    assert "last: key " in caught.value.detail
    assert "column ip: PostgreSQL 22P02" in caught.value.detail
    assert await live.watermark() == before, "nothing of the step was kept"
    assert await live.poison() == []


async def test_storage_classes_are_kept_for_the_way_back(make: Make) -> None:
    live = await make("create table t(id integer primary key, m); insert into t values (1,5),(2,'x'),(3,0.5);")
    tail = live.tail()

    async def classes() -> set[tuple[str, str, str]]:
        return {(r[0][0], r[1], r[2]) for r in await live.pg.fetch("select k, col, class from _stepflow.class")}

    await tail.step()
    assert await classes() == {("1", "m", "integer"), ("3", "m", "real")}
    live.app.executescript("update t set m='5' where id=1; update t set m=7 where id=2; update t set id=4 where id=3;")
    await tail.step()
    assert await classes() == {("2", "m", "integer"), ("4", "m", "real")}
    live.app.execute("delete from t")
    await live.tail().step()
    assert await classes() == set()


async def test_storage_classes_of_the_backfill(make: Make) -> None:
    live = await make(
        "create table t(id integer primary key, m, z text, q); insert into t values (1,5,'a',1),(2,'x','b',2),(3,0.5,'c',3);"
        "create table w(k text primary key, m) without rowid; insert into w values ('k', 1), ('l', 'one');",
        journal="delete",
        types={"by_column": {"t": {"q": "text"}}},
    )
    await live.pg.execute("insert into _stepflow.class values ('t', '{9}', 'm', 'real')")
    assert await keep_classes(live.job, live.path, live.plan.facts) == 6
    found = [tuple(r) for r in await live.pg.fetch("select tb, k, col, class from _stepflow.class order by 1, 2, 3")]
    assert found == [
        ("t", ["1"], "m", "integer"), ("t", ["1"], "q", "integer"), ("t", ["2"], "q", "integer"),
        ("t", ["3"], "m", "real"), ("t", ["3"], "q", "integer"), ("w", ["k"], "m", "integer"),
    ]  # fmt: skip
    await live.tail().step()
    assert await live.pg.fetchval("select count(*) from _stepflow.class") == 6, "the tail keeps the same"


@pytest.mark.parametrize("encoding", ["UTF-16le", "UTF-16be"])
async def test_utf_16_files(make: Make, encoding: str) -> None:
    live = await make(
        "create table t(k text primary key, x text, b blob) without rowid; insert into t values ('ä€','😀',x'00');",
        encoding=encoding,
    )
    tail = live.tail()
    await tail.step()
    live.app.execute("update t set x = x || 'ñ', k = '𝄞', b = x'00d8'")
    lone = {"UTF-16le": "3dd8", "UTF-16be": "d83d"}[encoding]
    live.app.execute(f"insert into t values ('lone', cast(x'{lone}' as text), null)")
    await tail.step()
    assert [(p.key, p.reason) for p in await live.poison()] == [(("lone",), "text is not valid Unicode")]
    assert [tuple(r) for r in await live.pg.fetch("select k, x, b from app.t")] == [("𝄞", "😀ñ", b"\x00\xd8")]


async def test_keys_that_differ_only_in_case(make: Make) -> None:
    live = await make(
        "create table t(k text primary key collate nocase, x) without rowid; insert into t values ('a',1);"
    )
    tail = live.tail()
    await tail.step()
    live.app.execute("update t set k = 'A'")
    await tail.step()
    assert [tuple(r) for r in await live.pg.fetch("select k from app.t")] == [("A",)]


async def test_large_backlogs_are_read_in_parts(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stepflow_tui.engine.live.tail_source.FETCH_ROWS", 7)
    monkeypatch.setattr("stepflow_tui.engine.live.tail_source.FETCH_BYTES", 20)
    monkeypatch.setattr(tail_apply, "BLOCK_ROWS", 11)
    live = await make(ITEMS)
    live.app.execute(
        "with recursive c(i) as (select 1 union all select i+1 from c where i<200) insert into item select i, i, i from c"
    )
    live.app.execute("update item set n = -n where id % 3 = 0")
    live.app.execute("delete from item where id % 5 = 0")
    tick = await live.tail().step()
    assert tick.rows == 200
    assert await live.differing() == []


@pytest.mark.parametrize(("journal", "changes"), [("wal", 50), ("delete", 20)])
async def test_writers_that_wait_for_readers_wait_shortly(
    make: Make, monkeypatch: pytest.MonkeyPatch, journal: str, changes: int
) -> None:
    monkeypatch.setattr("stepflow_tui.engine.live.tail._JOURNAL_CHANGES", 20)
    live = await make(journal=journal)
    for n in range(80):
        live.app.execute("update item set n = ? where id = 1", (n,))
    tail = live.tail(step_changes=50)
    assert (await tail.step()).changes == changes
    await tail.reach(live.log_max())
    assert await live.differing() == []


async def test_the_source_is_let_go_before_the_target_commits(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    live = await make(journal="delete")
    commit = TargetSide.commit

    async def writing(self: TargetSide) -> None:
        live.app.execute("update item set n = n + 1 where id = 1")  # would wait for a reader, then fail
        await commit(self)

    monkeypatch.setattr(TargetSide, "commit", writing)
    tick = await live.tail().step()
    assert tick.applied < live.log_max()


async def test_memory_does_not_grow_with_the_backlog(make: Make) -> None:
    live = await make("create table b(id integer primary key, x blob, y text); insert into b values (0, x'00', 'y');")
    tail = live.tail()
    await tail.step()
    live.app.execute(
        "with recursive c(i) as (select 1 union all select i+1 from c where i<32)"
        " insert into b select i, zeroblob(1 << 20), hex(zeroblob(1 << 18)) from c"
    )
    tracemalloc.start()
    try:
        assert (await tail.step()).rows == 32
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20, f"{peak} of 48 MiB, which are 80 MiB as text"
    assert await live.differing() == []


async def test_a_changed_value_is_sent_once_however_often_it_changed(make: Make) -> None:
    live = await make()
    tail = live.tail()
    await tail.step()
    for n in range(50):
        live.app.execute("update item set n=? where id=1", (n,))
    tick = await tail.step()
    assert (tick.changes, tick.rows) == (50, 1)


# -- one writer, exactly once ------------------------------------------------------------------------------------------


async def test_an_older_engine_is_fenced_out(make: Make) -> None:
    live = await make()
    old = live.tail()
    await old.step()
    epoch = await control.raise_epoch(live.pg, RUN)
    assert await progress.start(live.pg, RUN, epoch, 0) == live.log_max(), "what was applied stays applied"
    live.app.execute("update item set n = 1")
    with pytest.raises(Held) as caught:
        await old.step()
    assert caught.value.code == "superseded"
    assert (await live.tail(epoch=epoch).step()).changes
    assert await live.differing() == []
    with pytest.raises(Held):
        await progress.start(live.pg, RUN, epoch - 1, 0)


async def test_two_tails_at_once_apply_each_change_once(make: Make) -> None:
    live = await make()
    tails = [live.tail(step_changes=3) for _ in range(2)]
    for n in range(60):
        live.app.execute("update item set n = ? where id = ?", (n, n % 3 + 1))
        await asyncio.gather(*(t.step() for t in tails))
    while not (await tails[0].step()).whole:
        pass
    found = await live.watermark()
    assert (found.w, found.changes) == (live.log_max(), live.log_max())
    assert await live.differing() == []


async def test_without_epoch_and_lock_a_woken_engine_brings_old_rows_back(make: Make) -> None:
    """The protection is needed: a tail that trusts what it read before it was paused overwrites newer rows."""
    live = await make()
    await live.tail().step()
    live.app.execute("update item set n = 1 where id = 1")
    stale = live.tail()
    await stale._source.begin()  # its snapshot is of now
    w = (await live.watermark()).w
    span = await stale._source.span(w, None)
    live.app.execute("update item set n = 2 where id = 1")
    await live.tail().step()
    assert await live.differing() == []
    stale._target._connection = await live.job.target.connect()
    await stale._target.connection.execute("begin")
    await stale._applier.apply(span, whole=True)
    await stale._target.commit()
    assert await live.differing() == ["item"]


async def test_a_watermark_of_its_own_transaction_loses_changes(make: Make) -> None:
    """The protection is needed: watermark first, then a crash before the rows."""
    live = await make()
    await live.tail().step()
    live.app.execute("update item set n = 1")
    w = (await live.watermark()).w
    await progress.advance(live.pg, RUN, live.job.epoch, old=w, new=live.log_max(), changes=3)
    await live.tail().step()
    assert await live.differing() == ["item"]


async def test_the_watermark_moves_only_from_where_the_step_began(make: Make) -> None:
    live = await make()
    w = (await live.watermark()).w
    with pytest.raises(Held):
        await progress.advance(live.pg, RUN, live.job.epoch, old=w + 1, new=9, changes=1)
    with pytest.raises(Held):
        await progress.advance(live.pg, RUN, live.job.epoch + 1, old=w, new=9, changes=1)


# -- what the tail refuses ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "named"),
    [
        (
            "create table app.child(item bigint references app.item(id) on delete cascade)",
            "foreign key child_item_fkey of app.child on app.item",
        ),
        ("create table app.child(item bigint references app.item(id))", "foreign key child_item_fkey"),
        (
            """create function app.touch() returns trigger language plpgsql as 'begin return new; end';
            create trigger touch before insert on app.item for each row execute function app.touch()""",
            "trigger touch of app.item",
        ),
        ("create rule nothing as on delete to app.item do instead nothing", "rule nothing of app.item"),
    ],
)
async def test_a_target_that_acts_on_deletes_and_inserts_is_refused(make: Make, sql: str, named: str) -> None:
    live = await make()
    await live.pg.execute(sql)
    with pytest.raises(Refused) as caught:
        await live.tail().step()
    assert caught.value.code == "target_acts"
    assert named in caught.value.detail
    assert (await live.watermark()).w == 0


async def test_a_cascade_would_eat_the_children(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """The protection is needed."""

    async def look_away(*_: Any) -> None:
        return None

    live = await make(
        THREE + "create table child(id integer primary key, item integer); insert into child values (1,1);"
    )
    await live.tail().step()
    await live.pg.execute("alter table app.child add foreign key (item) references app.item(id) on delete cascade")
    monkeypatch.setattr("stepflow_tui.engine.live.tail_target.refuse_unsafe", look_away)
    live.app.execute("update item set n = 0 where id = 1")
    await live.tail().step()
    assert await live.differing() == ["child"]


async def test_triggers_of_ours_and_disabled_ones_are_no_hindrance(make: Make) -> None:
    live = await make()
    await live.pg.execute(
        "create function _stepflow.log() returns trigger language plpgsql as 'begin return new; end';"
        "create trigger log after insert on app.item for each row execute function _stepflow.log();"
        "create function app.touch() returns trigger language plpgsql as 'begin return null; end';"
        "create trigger touch before insert on app.item for each row execute function app.touch();"
        "alter table app.item disable trigger touch"
    )
    await live.tail().step()
    assert await live.differing() == []


async def test_a_change_of_the_schema_stops_the_tail(make: Make) -> None:
    live = await make()
    tail = live.tail()
    await tail.step()
    live.app.execute("alter table item add column more text")
    with pytest.raises(Drift):
        await tail.step()
    with pytest.raises(Drift):
        await tail.touched_since(0)


# -- waiting, marks, points --------------------------------------------------------------------------------------------


async def test_run_follows_the_application_until_cancelled(make: Make) -> None:
    live = await make()
    tail = live.tail()
    task = asyncio.create_task(tail.run())
    for n in range(30):
        live.app.execute("insert into item values (?, ?, ?)", (100 + n, f"n{n}", n))
        await asyncio.sleep(0)
    await tail.reach(live.log_max())
    assert await live.differing() == []
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    live.app.execute("delete from item")
    await tail.step()
    assert await live.differing() == [], "a cancelled tail can be used again"


async def test_lag_counts_what_is_not_applied(make: Make) -> None:
    live = await make()
    tail = live.tail(step_changes=100)
    await tail.step()
    assert (tail.lag.changes, tail.lag.seconds) == (0, 0.0)
    for n in range(150):
        live.app.execute("update item set n = ? where id = 1", (n,))
    tick = await tail.step()
    assert not tick.whole
    assert tail.lag.changes == tick.log_max - tick.applied == 50
    assert tail.lag.seconds > 0
    while not (await tail.step()).whole:
        pass
    assert (tail.lag.changes, tail.lag.seconds) == (0, 0.0)


async def test_a_limited_tail_goes_slower_and_a_drain_does_not_wait(make: Make) -> None:
    live = await make()
    tail = live.tail(max_rows_per_second=1_000_000)
    assert tail._job.capped == 50_000
    assert live.tail(max_rows_per_second=500)._job.capped == 500
    slow = live.tail(max_rows_per_second=1)
    live.app.execute("update _sf_ctl set fenced = 1")
    tick = await slow.drain()  # three seconds' worth of rows
    assert tick.whole
    assert tick.applied == live.log_max()


async def test_drain_needs_the_fence(make: Make) -> None:
    live = await make()
    with pytest.raises(Refused) as caught:
        await live.tail().drain()
    assert caught.value.code == "not_fenced"


async def test_common_points_are_equal_while_writes_go_on(make: Make) -> None:
    live = await make()
    tail = live.tail()
    dice = random.Random(4)
    running = asyncio.create_task(tail.run())
    seen = []
    for _ in range(8):
        for _ in range(5):
            live.app.execute(
                "insert or replace into item values (?, ?, ?)",
                (dice.randint(1, 30), dice.choice("abcdefgh"), dice.randint(0, 99)),
            )
        async with tail.point() as point:
            live.app.execute("update item set n = n + 1")  # after the point: neither side sees it
            applied = await tail.reach(live.log_max())
            assert applied.applied > point.n, "the tail goes on while a point is open"
            source = source_rows(point.source, live.plan.tables)
            assert source == await target_rows(point.target, live.plan.tables)
            seen.append(point.n)
    assert seen == sorted(set(seen))
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_invariants_are_asked_at_a_common_point(make: Make) -> None:
    """Of the tail's own: a question that fails leaves the point as it was for the next one."""
    live = await make()
    live.app.execute("insert into item values (100, 'x', 7)")
    asked = [
        Invariant(name="bad", sqlite="select 1", postgres="select nothing from nowhere"),
        Invariant(name="sum", sqlite="select sum(n) from item", postgres="select sum(n) from item"),
        Invariant(name="off", sqlite="select sum(n) from item", postgres="select sum(n) + 1 from item"),
    ]
    async with live.tail().point() as point:
        found = [await ask(point, one, NO_MASK) for one in asked]
    assert [d and d.cause.partition(":")[0] for d in found] == ["no answer", None, "the answers differ"]


async def test_touched_since_names_every_key(make: Make) -> None:
    live = await make(THREE + "create table k(a text, b blob, primary key (a, b)) without rowid;")
    tail = live.tail()
    await tail.step()
    n = live.log_max()
    live.app.executescript(
        "update item set id = 9 where id = 2; insert into k values ('x', x'00'); delete from item where id = 1;"
    )
    assert await tail.touched_since(n) == {"item": [(1,), (2,), (9,)], "k": [("x", b"\x00")]}
    assert await tail.touched_since(live.log_max()) == {}


# -- the log's retention -----------------------------------------------------------------------------------------------


async def test_the_log_is_pruned_behind_the_retention_only(make: Make) -> None:
    live = await make()
    tail = live.tail()
    await tail.step()
    assert await prune_log(replace(live.job, keep_seconds=3_600)) == 0
    live.app.execute("update item set n = 0")
    pruned = await prune_log(replace(live.job, keep_seconds=0))
    assert pruned == 2, "entry 3 is the watermark's and stays"
    assert live.app.execute(f"select min(n), max(n) from {LOG} where n > 0").fetchone() == (3, live.log_max())
    await tail.step()
    assert await live.differing() == []


async def test_marks_outlive_the_engine(make: Make) -> None:
    live = await make()
    await live.tail().step()
    await live.pg.execute("update _stepflow.mark set at = at - interval '8 days'")
    live.app.execute("update item set n = 0")
    await live.tail().step()
    assert await progress.prunable(live.pg, RUN, keep_seconds=7 * 86_400) == 3


async def test_quarantined_rows_keep_their_entries(make: Make) -> None:
    live = await _bad(make)
    tail = live.tail()
    await tail.step()
    live.app.execute("update t set b = 7 where id = 1")
    await tail.step()
    [bad] = await live.poison()
    live.app.execute("update t set x = 'new' where id = 2")
    await tail.step()
    await prune_log(replace(live.job, keep_seconds=0))
    assert live.app.execute(f"select count(*) from {LOG} where n = ?", (bad.n,)).fetchone() == (1,)


@pytest.mark.parametrize(("budget", "room"), [(1 << 30, Room.ENOUGH), (4_000, Room.NEARLY_FULL), (3_000, Room.FULL)])
async def test_the_budget_is_said_loudly(make: Make, budget: int, room: Room) -> None:
    live = await make()
    live.app.execute(
        f"with recursive c(i) as (select 1 union all select i+1 from c where i<{200 - live.log_max()})"
        f" insert into {LOG}(tb, k1) select 'item', 1 from c"
    )
    found = await room_of(live.job.source, budget)
    assert found.room is room, found
    assert found.rows == 200


async def test_a_target_set_back_finds_its_changes_again(make: Make) -> None:
    live = await make()
    tail = live.tail()
    await tail.step()
    kept = await target_rows(live.pg, live.plan.tables)
    live.app.execute("update item set n = 0")
    await tail.step()
    await live.pg.execute(
        "update _stepflow.progress set w = 3; update app.item set n = id * 10"
    )  # restored from a backup
    assert await target_rows(live.pg, live.plan.tables) == kept
    await tail.step()
    assert await live.differing() == []


async def test_a_target_set_back_behind_the_log_must_be_copied_again(make: Make) -> None:
    live = await make()
    tail = live.tail(keep_seconds=0)
    await tail.step()
    live.app.execute("update item set n = 0")
    await tail.step()
    assert await prune_log(replace(live.job, keep_seconds=0)) == live.log_max() - 1
    await live.pg.execute("update _stepflow.progress set w = 3")
    with pytest.raises(Drift) as caught:
        await tail.step()
    assert caught.value.code == "watermark_before_log"
    with pytest.raises(Drift):
        await tail.touched_since(3)
    await progress.rewind(live.pg, RUN, live.job.epoch, live.log_max())
    assert (await live.tail().step()).changes == 0


async def test_a_source_set_back_is_noticed(make: Make) -> None:
    live = await make(journal="delete")
    tail = live.tail()
    await tail.step()
    old = live.path.read_bytes()
    live.app.execute("update item set n = 0")
    await tail.step()
    live.path.write_bytes(old)  # the very file, an older state
    with pytest.raises(Drift) as caught:
        await tail.step()
    assert caught.value.code == "log_before_watermark"


@pytest.mark.parametrize("noticed", [True, False])
async def test_an_emptied_log_is_noticed_though_its_numbers_begin_anew(make: Make, noticed: bool) -> None:
    live = await make()
    tail = live.tail()
    live.app.execute("update item set n = 5 where id = 1")
    await tail.step()
    w = live.log_max()
    live.app.execute("update item set n = 6 where id = 2")  # lost with the log
    live.app.execute(f"delete from {LOG} where n > 0 or {int(noticed)}")
    while live.log_max() < w + 2:
        live.app.execute("update item set n = n + 1 where id = 3")
    if noticed:
        with pytest.raises(Drift) as caught:
            await tail.step()
        assert caught.value.code == "log_emptied"
        return
    await tail.step()  # without entry 0 nothing tells that numbers were given twice
    assert await live.differing() == ["item"]


async def test_numbers_go_on_after_a_statement_that_ended_halfway(make: Make) -> None:
    """`INSERT OR FAIL` leaves log entries that SQLite's counter does not know: an emptied log would use them again."""
    live = await make()
    tail = live.tail()
    with pytest.raises(sqlite3.IntegrityError):
        live.app.execute("insert or fail into item values (7,'g',1),(8,'h',1),(9,'a',1)")
    await tail.step()
    await prune_log(replace(live.job, keep_seconds=0))
    live.app.execute("update item set n = 77 where id = 7")
    await tail.step()
    assert await live.differing() == []


async def test_an_emptied_log_would_count_anew(make: Make) -> None:
    """The protection is needed: without the watermark's entry a change gets a number that is applied already."""
    live = await make()
    tail = live.tail()
    with pytest.raises(sqlite3.IntegrityError):
        live.app.execute("insert or fail into item values (7,'g',1),(8,'h',1),(9,'a',1)")
    await tail.step()
    live.app.execute(f"delete from {LOG} where n > 0")  # what pruning never does: it keeps the newest entry
    live.app.execute("update item set n = 77 where id = 7")
    with pytest.raises(StepFlowError) as caught:
        await tail.step()
    assert caught.value.code == "log_before_watermark"
