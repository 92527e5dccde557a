"""The live verifier on an idle source: every kind is equal where it is equal, and every single change is named."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import tracemalloc
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.errors import Stopping, TargetConnectionError
from stepflow_tui.engine.live import compare_sides, invariants, verifier_walk
from stepflow_tui.engine.live.compare_places import plain_key
from stepflow_tui.engine.live.compare_sides import TableSides
from stepflow_tui.engine.live.compare_tally import Sums, row_hash
from stepflow_tui.engine.live.verifier_state import Pace, PassResult, VerifierState
from stepflow_tui.engine.model.config import Invariant, VerifyRule
from stepflow_tui.engine.model.control import FreeRunning
from stepflow_tui.engine.model.discrepancy import DiffClass, Discrepancy, Verified
from stepflow_tui.engine.model.plan import ColumnPlan, Compare, CompareKind, TablePlan, Walk, WalkKind
from stepflow_tui.engine.model.sensitive import Mask
from stepflow_tui.engine.model.types import ColumnType, Kind
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.sqlite.connect import open_living
from tests.live_verify_kit import IdlePoints, execute, live, one_pass, only, places, verifier
from tests.verify_kit import INTEGER, SAMPLES, TEXT, Pair, make


def _by_lookups(table: TablePlan) -> TablePlan:
    """The same table without an order that the verifier may trust: each side is walked and looked up in the other."""
    return replace(table, rowid_alias=None, rowid_name=None, compare=replace(table.compare, kind=CompareKind.MULTISET))


WAYS = {"ranges": lambda t: t, "lookups": _by_lookups}


async def _pair(folder: Path, target: Target, sample: int, way: str, **more: object) -> Pair:
    pair = await make(folder, target, SAMPLES[sample], CompareKind.KEY, **more)  # type: ignore[arg-type]
    return replace(pair, table=WAYS[way](live(pair.table)))


@pytest.mark.parametrize("way", WAYS)
async def test_every_mutation_is_named(way: str, tmp_path: Path, pg_target: Target) -> None:
    seen = 0
    for n, sample in enumerate(SAMPLES):
        pair = await _pair(tmp_path, pg_target, n, way, name=f"t{n}")
        equal = await one_pass(pair.job())
        verdict = only(equal)
        assert verdict.verified is Verified.EQUAL, (sample.name, verdict)
        assert equal.clean
        assert (verdict.source_rows, verdict.target_rows) == (40, 40)
        assert verdict.digest_source == verdict.digest_target != ""
        literals = [literal for _, literal in sample.values]
        for before, after in sample.mutations:
            row = literals.index(before) + 1 + len(literals)
            await pair.sql(f"update t{n} set v = {after} where id = {row}")
            result = await one_pass(pair.job())
            verdict = only(result)
            context = (sample.name, before, after, verdict)
            assert not result.clean, context
            assert verdict.verified is Verified.DIFFERENT, context
            assert verdict.differences == 1, context
            assert [(d.column, d.key) for d in verdict.discrepancies] == [("v", {"id": row})], context
            assert verdict.discrepancies[0].repair_sql == "", context
            assert verdict.digest_source != verdict.digest_target, context
            await pair.sql(f"update t{n} set v = {before} where id = {row}")
            seen += 1
        assert (await one_pass(pair.job())).clean, sample.name
    assert seen == sum(len(sample.mutations) for sample in SAMPLES) > 60


@pytest.mark.parametrize("way", WAYS)
async def test_rows(way: str, tmp_path: Path, pg_target: Target) -> None:
    """Deleted, extra, re-keyed and swapped rows."""
    pair = await _pair(tmp_path, pg_target, 5, way)
    await pair.sql("delete from t where id = 7", "insert into t values (99, 'new', 'row'), (-4, null, null)")
    verdict = only(await one_pass(pair.job()))
    assert places(verdict.discrepancies) == [(-4, None, "extra"), (7, None, "missing"), (99, None, "extra")]
    assert (verdict.differences, verdict.source_rows, verdict.target_rows) == (3, 40, 41)
    await pair.sql("delete from t where id in (99, -4)", "update t set id = 7 where id = 12")
    rekeyed = only(await one_pass(pair.job()))
    assert rekeyed.differences == 2
    assert {(d.key["id"], d.cls.value) for d in rekeyed.discrepancies} >= {(12, "missing")}


async def test_a_table_full_of_extra_rows(tmp_path: Path, pg_target: Target) -> None:
    """More rows than any slice takes, between and behind those of the source."""
    pair = await _pair(tmp_path, pg_target, 0, "ranges")
    await pair.sql(
        "update t set id = id * 1000", "insert into t select n, n, 'extra' from generate_series(40001, 52000) n"
    )
    verdict = only(await one_pass(pair.job(named=10)))
    assert verdict.differences == 40 + 40 + 12000
    assert len(verdict.discrepancies) == 10
    assert (verdict.source_rows, verdict.target_rows) == (40, 12040)


class TestConfirmation:
    """What a slice suspects is looked at again at the next common point."""

    @pytest.fixture
    async def pair(self, tmp_path: Path, pg_target: Target) -> Pair:
        return await _pair(tmp_path, pg_target, 5, "ranges")

    async def test_what_passes_is_not_counted(self, pair: Pair) -> None:
        async def between(number: int) -> None:
            await pair.sql("delete from t where id = 3" if number == 1 else "insert into t values (3, 'é', 'row 1')")

        result = await one_pass(pair.job(), IdlePoints(pair.job(), between))
        assert (result.clean, result.differing) == (True, 0)

    async def test_what_stays_is(self, pair: Pair) -> None:
        async def between(number: int) -> None:
            if number == 1:
                await pair.sql("delete from t where id = 3")

        result = await one_pass(pair.job(), IdlePoints(pair.job(), between))
        assert places(only(result).discrepancies) == [(3, None, "missing")]

    async def test_at_the_next_point_the_row_is_read_anew(self, pair: Pair) -> None:
        """It differs in another way by then: that is what is reported."""

        async def between(number: int) -> None:
            await pair.sql(
                "delete from t where id = 3" if number == 1 else "insert into t values (3, 'other', 'row 1')"
            )

        result = await one_pass(pair.job(), IdlePoints(pair.job(), between))
        assert places(only(result).discrepancies) == [(3, "v", "changed")]


async def test_digests_name_no_false_equality(tmp_path: Path, pg_target: Target) -> None:
    """Two rows that exchanged their contents, and a pair of equal extra rows: sums and tags see both."""
    pair = await _pair(tmp_path, pg_target, 5, "ranges")
    good = only(await one_pass(pair.job()))
    await pair.sql("update t set (v, w) = (select v, w from t o where o.id = 13 - t.id) where id in (3, 10)")
    swapped = only(await one_pass(pair.job()))
    assert {d.cls.value for d in swapped.discrepancies} == {"order"}
    assert swapped.digest_target != good.digest_target
    assert row_hash((b"ab", b"c")) != row_hash((b"a", b"bc"))
    assert row_hash((None,)) != row_hash((b"",)) != row_hash((b"n",))
    assert row_hash((1,)) != row_hash((b"1",))
    pair_of_rows = Sums()
    for _ in range(2):
        pair_of_rows.add(row_hash((b"x",)))
    assert (pair_of_rows.high, pair_of_rows.low) != (0, 0)


async def test_rows_without_a_key_and_twice_the_same_key(tmp_path: Path, pg_target: Target) -> None:
    """A table made beforehand may have no primary key in the target."""
    pair = await _pair(tmp_path, pg_target, 0, "ranges")
    await pair.sql(
        "alter table t drop constraint t_pkey, alter id drop not null", "create index on t (id)",
        "insert into t values (null, 1, 'x'), (5, 5, 'row 2')",
    )  # fmt: skip
    for way in WAYS.values():
        verdict = only(await one_pass(replace(pair, table=way(pair.table)).job()))
        assert verdict.verified is Verified.DIFFERENT
        assert {(d.key["id"], d.cls.value) for d in verdict.discrepancies} == {(None, "extra"), (5, "extra")}


async def test_slices_are_bounded_by_bytes(tmp_path: Path, pg_target: Target) -> None:
    """Large values are read alone, and what is in memory does not grow with the table."""
    path, rows, each = tmp_path / "large.db", 40, 2 << 20
    execute(
        path, "create table t(id integer primary key, b blob)",
        f"with recursive n(i) as (select 1 union all select i + 1 from n where i < {rows})"
        f" insert into t select i, zeroblob({each} + i) from n",
    )  # fmt: skip
    columns = (
        ColumnPlan(source="id", target="id", declared="integer", type=INTEGER, not_null=True),
        ColumnPlan(source="b", target="b", declared="blob", type=ColumnType(kind=Kind.BLOB, sql="bytea")),
    )
    base = await make(tmp_path, pg_target, SAMPLES[0], CompareKind.KEY)
    pair = replace(base, path=path, table=replace(live(base.table), name="large", columns=columns))
    await pair.sql(
        "create table large(id bigint primary key, b bytea)",
        f"insert into large select n, decode(repeat('00', {each} + n), 'hex') from generate_series(1, {rows}) n",
    )
    points = IdlePoints(pair.job())
    tracemalloc.start()
    try:
        result = await one_pass(pair.job(), points)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert result.clean
    assert only(result).source_rows == rows
    assert points.opened > rows // 4
    assert peak < rows * each / 2
    await pair.sql("update large set b = set_byte(b, 1000000, 1) where id = 33")
    assert places(only(await one_pass(pair.job())).discrepancies) == [(33, "b", "changed")]


async def test_a_large_row_stands_alone(tmp_path: Path, pg_target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compare_sides, "SLICE_BYTES", 1_000)
    pair = await _pair(tmp_path, pg_target, 5, "ranges")
    execute(pair.path, "update t set w = printf('%.*c', 5000, 'x') where id in (7, 8, 20)")
    sides = TableSides(pair.job(), pair.table, pair.table.columns)
    lengths: list[list[int]] = []
    lo = None
    with closing(open_living(pair.path, exact_rows=True)) as conn:
        while True:
            part = sides.range_slice(conn, lo, 1_000, 60.0)
            lengths.append([len(row[2]) for row in part.rows])  # type: ignore[arg-type]
            if part.last is None:
                break
            lo = plain_key(part.last)
    assert [n for n in lengths if 5000 in n] == [[5000]] * 3
    assert sum(map(len, lengths)) == 40


async def test_many_small_tables_share_a_point(tmp_path: Path, pg_target: Target) -> None:
    pairs = [await _pair(tmp_path, pg_target, 0, "ranges", name=f"t{n}") for n in range(12)]
    for pair in pairs[1:]:
        execute(
            pairs[0].path,
            f"attach '{pair.path}' as other",
            f"create table {pair.table.name} as select * from other.{pair.table.name}",
        )
    job = pairs[0].job(tables=tuple(p.table for p in pairs))
    points = IdlePoints(job)
    result = await one_pass(job, points)
    assert result.clean
    assert len(result.verdicts) == 12
    assert points.opened < 12


class Halting(FreeRunning):
    """A control that says stop at the second look."""

    def __init__(self) -> None:
        self.looks = 0

    async def checkpoint(self) -> None:
        self.looks += 1
        if self.looks == 2:
            raise Stopping


async def test_the_control_is_asked_between_points(tmp_path: Path, pg_target: Target) -> None:
    pair = await _pair(tmp_path, pg_target, 0, "ranges")
    await pair.sql("delete from t where id = 3")  # it would be looked at again at a second point
    points = IdlePoints(pair.job())
    with pytest.raises(Stopping):
        await one_pass(pair.job(), points, control=Halting())
    assert (points.opened, points.open) == (1, 0)


async def test_the_continuous_verifier(tmp_path: Path, pg_target: Target) -> None:
    """It keeps walking, says so, finds what changes, and leaves nothing open when it is cancelled."""
    pair = await _pair(tmp_path, pg_target, 5, "ranges")
    points = IdlePoints(pair.job())
    states: list[VerifierState] = []
    results: asyncio.Queue[PassResult] = asyncio.Queue()
    made = verifier(pair.job(), points, pace=Pace(rest_seconds=0.01), gauge=states.append, on_pass=results.put)
    running = asyncio.create_task(made.run())
    first = await results.get()
    assert first.clean
    assert made.clean is not None
    assert (made.clean.from_n, made.state.clean_w) == (first.from_n, first.from_n)
    await pair.sql("update t set v = 'changed' where id = 4")
    while (await results.get()).clean:
        pass
    assert made.clean is None
    assert (made.state.differing, made.state.clean_at) == (1, None)
    await pair.sql("update t set v = 'a|b' where id = 4")
    while not (await results.get()).clean:
        pass
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert points.open == 0
    assert states[-1].passes >= 3
    assert {s.table for s in states} >= {"t"}
    assert all(0 <= s.done <= 40 for s in states)


async def test_repaired_rows_are_defects_and_need_a_newer_pass(tmp_path: Path, pg_target: Target) -> None:
    pair = await _pair(tmp_path, pg_target, 5, "ranges")
    await pair.sql("delete from t where id = 7", "insert into t values (99, 'new', 'row')")
    made = verifier(pair.job())
    found = only(await made.one_pass())
    assert made.repair_keys(found.discrepancies) == {"t": [(7,), (99,)]}
    assert made.state.repairs == 2
    await pair.sql("delete from t where id = 99", "insert into t values (7, null, 'row 3')")
    assert (await made.one_pass()).clean
    assert made.clean is not None
    assert made.state.repairs == 2
    await made.close()


async def test_a_pass_that_began_before_a_repair_is_not_clean(tmp_path: Path, pg_target: Target) -> None:
    pair = await _pair(tmp_path, pg_target, 5, "ranges")
    found = Discrepancy(table="t", key={"id": 1}, column=None, cls=DiffClass.MISSING, source="", target=None)

    async def between(_: int) -> None:
        made.repair_keys([found])

    made = verifier(pair.job(), IdlePoints(pair.job(), between))
    assert (await made.one_pass()).clean
    assert made.clean is None
    await made.close()


async def test_tables_left_to_the_cutover(tmp_path: Path, pg_target: Target) -> None:
    """No pass walks a table whose log may miss keys; it is compared as a whole at one point."""
    pair = await _pair(tmp_path, pg_target, 5, "ranges")
    await pair.sql("update t set v = 'x' where id in (4, 5)", "delete from t where id = 9")
    points = IdlePoints(pair.job())
    made = verifier(pair.job(), points, reconcile={"t": "a unique index over a generated column"})
    result = await made.one_pass()
    assert result.clean
    assert only(result).verified is Verified.NOT_VERIFIED
    assert "a unique index over a generated column" in only(result).reason
    async with points.point() as point:
        whole = await made.compare_whole(point, "t")
        few = await made.compare_whole(point, "t", most=1)
        by_key = await made.compare_keys(point, "t", [(4,), (1,), (9,), (4,), (77,)])
    assert places(whole.discrepancies) == [(4, "v", "changed"), (5, "v", "changed"), (9, None, "missing")]
    assert (few.differences, len(few.discrepancies)) == (3, 1)
    assert places(by_key) == [(4, "v", "changed"), (9, None, "missing")]
    await made.close()


async def test_sensitive_keys_and_values_are_masked(tmp_path: Path, pg_target: Target) -> None:
    pair = await _pair(tmp_path, pg_target, 5, "ranges")
    mask = Mask(key=b"k", columns={"t": frozenset({"id", "v"})})
    await pair.sql("update t set v = 'secret' where id = 8", "delete from t where id = 9")
    made = verifier(pair.job(mask=mask))
    found = only(await made.one_pass()).discrepancies
    assert len(found) == 2
    for entry in found:
        assert str(entry.key["id"]).startswith("#fp:")
        assert "secret" not in str(entry)
    assert sorted(made.repair_keys(found)["t"]) == [(8,), (9,)]
    await made.close()


class TestRules:
    """Columns left out and tolerances: not proven, and said so."""

    @pytest.fixture
    async def pair(self, tmp_path: Path, pg_target: Target) -> Pair:
        return await _pair(tmp_path, pg_target, 4, "ranges")

    async def test_what_is_not_proven_is_said(self, pair: Pair) -> None:
        rules = {"T": VerifyRule(exclude=("W",), tolerance={"v": "0.01"})}
        await pair.sql("update t set w = 'other'", "update t set v = v + 0.01 where id = 6")
        result = await one_pass(pair.job(), rules=rules)
        verdict = only(result)
        assert verdict.verified is Verified.EQUAL
        assert verdict.reason == "not proven: W (left out), v (within 0.01); 1 rows differ within the tolerance"
        assert verdict.digest_source != verdict.digest_target
        await pair.sql("update t set v = v + 0.01 where id = 6")
        beyond = only(await one_pass(pair.job(), rules=rules))
        assert places(beyond.discrepancies) == [(6, "v", "changed")]
        assert "not proven" in beyond.reason

    async def test_equal_tables_say_it_too(self, pair: Pair) -> None:
        verdict = only(await one_pass(pair.job(), rules={"t": VerifyRule(exclude=("w",))}))
        assert (verdict.verified, verdict.reason) == (Verified.EQUAL, "not proven: w (left out)")

    async def test_compare_by_key_keeps_the_rules(self, pair: Pair) -> None:
        await pair.sql("update t set w = 'other'", "update t set v = v + 0.01 where id = 6")
        made = verifier(pair.job(), rules={"t": VerifyRule(exclude=("w",), tolerance={"v": "0.01"})})
        async with IdlePoints(pair.job()).point() as point:
            assert await made.compare_keys(point, "t", [(n,) for n in range(1, 41)]) == []
        await made.close()


class TestInvariants:
    """The operator's own questions, on both sides at one point."""

    @pytest.fixture
    async def pair(self, tmp_path: Path, pg_target: Target) -> Pair:
        return await _pair(tmp_path, pg_target, 4, "ranges")

    @staticmethod
    def asks(sqlite: str, postgres: str = "", name: str = "q") -> Invariant:
        return Invariant(name=name, sqlite=sqlite, postgres=postgres or sqlite)

    @pytest.mark.parametrize(
        ("sqlite", "postgres"),
        [
            ("select count(*), sum(id), avg(id) from t", ""),
            ("select v, w from t order by id", "select v, w from t order by id desc"),
            ("select 1, 1.0, 'x', x'0061', null", "select true, 1.00::numeric, 'x', '\\x0061'::bytea, null"),
            ("select '2024-01-02 03:04:05', '2024-01-02'", "select timestamp '2024-01-02 03:04:05', date '2024-01-02'"),
            ("with a as (select 1 x) select x from a where x > 5", ""),
        ],
    )
    async def test_equal_answers(self, pair: Pair, sqlite: str, postgres: str) -> None:
        result = await one_pass(pair.job(), invariants=[self.asks(sqlite, postgres)])
        assert result.invariants == ()
        assert result.clean

    @pytest.mark.parametrize(
        ("sqlite", "postgres", "words"),
        [
            ("select count(*) from t", "select count(*) + 1 from t", "the answers differ"),
            ("select '5'", "select 5", "the answers differ"),
            ("select id from t", "select id from t union all select 1", "the answers differ"),
            ("select lost from t", "select 1", "the source says: no such column"),
            ("select 1", "select lost from t", "the target says: column"),
            ("select 1", "select nextval('s')", "the target says"),
            ("select 1; select 2", "select 1", "the source says"),
            ("select 1", "select 1; select 2", "the target says"),
            ("with recursive n(i) as (select 1 union all select i + 1 from n where i < 2000) select i from n", "select 1", "more than 1000 rows"),
        ],
    )  # fmt: skip
    async def test_what_does_not_hold(self, pair: Pair, sqlite: str, postgres: str, words: str) -> None:
        result = await one_pass(
            pair.job(), invariants=[self.asks(sqlite, postgres), self.asks("select 1", name="good")]
        )
        (found,) = result.invariants
        assert words in found.cause
        assert found.key == {"invariant": "q"}
        assert not result.clean
        assert result.differing == 1
        assert only(result).verified is Verified.EQUAL

    async def test_only_what_both_sides_do_not_share_is_shown(self, pair: Pair) -> None:
        ask = self.asks("select 'a', 1.50 union all select 'b', 2", "select 'a', 1.5 union all select 'b', 3")
        (found,) = (await one_pass(pair.job(), invariants=[ask])).invariants
        assert (found.source, found.target) == ("(b, 2)", "(b, 3)")
        mask = Mask(key=b"k", columns={"t": frozenset({"v"})})
        (hidden,) = (await one_pass(pair.job(mask=mask), invariants=[ask])).invariants
        assert "b" not in (hidden.source or "").replace("#fp:", "").split(",")
        assert "#fp:" in (hidden.source or "")

    async def test_an_answer_has_a_time_limit(self, pair: Pair, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(invariants, "ANSWER_SECONDS", 0.2)
        endless = "with recursive n(i) as (select 1 union all select i + 1 from n) select count(*) from n"
        slow = self.asks(endless, "select 1")
        late = self.asks("select 1", "select 1 from pg_sleep(60)", name="late")
        result = await one_pass(pair.job(), invariants=[slow, late])
        assert [
            "no end after 0.2 s" in result.invariants[0].cause,
            "statement timeout" in result.invariants[1].cause,
        ] == [True, True]


KEYS = ["", "a", "A", "b", "é", "z\U0001f600", "zz", "￿"]


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("way", WAYS)
async def test_any_mixture_of_changes_is_named_exactly(
    way: str, seed: int, tmp_path: Path, pg_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A composite key, slices of a few rows, changes at random: what is named is what a model says."""
    for name, value in (("_FIRST_ROWS", 7), ("_MOST_ROWS", 7), ("_FEWEST_ROWS", 7), ("_SPARE_ROWS", 2)):
        monkeypatch.setattr(verifier_walk, name, value)
    rnd = random.Random(seed)
    ours = {(n, k): f"v{n}" for n in range(-12, 12) for k in rnd.sample(KEYS, 5)}
    theirs = dict(ours)
    for key in rnd.sample(sorted(ours), 20):
        del theirs[key]
    for key in rnd.sample(sorted(theirs), 10):
        theirs[key] = "changed"
    for n in range(rnd.choice([3, 60])):
        theirs[rnd.choice([-40, 3, 40]), f"extra {n}"] = "extra"
    path = tmp_path / "pairs.db"
    execute(path, "create table p (n integer not null, k text not null, v text, primary key (n, k)) without rowid")
    with closing(sqlite3.connect(path)) as conn:
        conn.executemany("insert into p values (?, ?, ?)", [(*k, v) for k, v in ours.items()])
        conn.commit()
    connection = await pg_target.connect()
    await connection.execute('create table public.p (n bigint, k text collate "C", v text, primary key (n, k))')
    await connection.executemany("insert into public.p values ($1, $2, $3)", [(*k, v) for k, v in theirs.items()])
    await connection.close()
    columns = (
        ColumnPlan(source="n", target="n", declared="integer", type=INTEGER, not_null=True),
        *(ColumnPlan(source=c, target=c, declared="text", type=TEXT) for c in "kv"),
    )
    table = TablePlan(
        source="p", schema="public", name="p", columns=columns, walk=Walk(kind=WalkKind.PRIMARY, columns=("n", "k")),
        compare=Compare(kind=CompareKind.KEY, columns=("n", "k")), primary_key=("n", "k"), without_rowid=True, live_key=("n", "k"),
    )  # fmt: skip
    base = await make(tmp_path, pg_target, SAMPLES[0], CompareKind.KEY)
    verdict = only(await one_pass(replace(base, path=path, table=WAYS[way](table)).job()))
    named = {(d.key["n"], d.key["k"]): d.cls.value for d in verdict.discrepancies}
    expected = dict.fromkeys(ours.keys() - theirs.keys(), "missing")
    expected |= dict.fromkeys(theirs.keys() - ours.keys(), "extra")
    expected |= {key: "changed" for key in ours.keys() & theirs.keys() if ours[key] != theirs[key]}
    assert named == expected
    assert verdict.differences == len(expected)
    assert (verdict.source_rows, verdict.target_rows) == (len(ours), len(theirs))


async def test_a_lost_connection_is_tried_again(
    tmp_path: Path, pg_target: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The server ends the verifier's session in the middle of a slice: the pass is begun anew, nothing is called different."""
    pair = await _pair(tmp_path, pg_target, 5, "ranges")
    read, killed = TableSides.range_rows, 0

    async def dying(self: TableSides, conn: Any, *more: Any) -> Any:
        nonlocal killed
        killed += 1
        if killed <= 2:
            await pair.sql(f"select pg_terminate_backend({await conn.fetchval('select pg_backend_pid()')})")
        return await read(self, conn, *more)

    monkeypatch.setattr(TableSides, "range_rows", dying)
    results: asyncio.Queue[PassResult] = asyncio.Queue()
    points = IdlePoints(pair.job())
    made = verifier(pair.job(), points, pace=Pace(retry_seconds=0.01, tries=3), on_pass=results.put)
    running = asyncio.create_task(made.run())
    assert (await results.get()).clean
    assert made.state.passes == 1
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    killed = 0
    giving_up = verifier(pair.job(), points, pace=Pace(retry_seconds=0.01, tries=1))
    with pytest.raises(TargetConnectionError):
        await giving_up.run()
    assert giving_up.clean is None
