"""What a verification names of sensitive columns: fingerprints, at every level, on every way of comparing."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.discrepancy import DiffClass
from stepflow_tui.engine.model.plan import CompareKind
from stepflow_tui.engine.model.sensitive import Mask
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.verify.repair import apply_repair, plan_repair
from tests.verify_kit import SAMPLES, Sample, make

MASK = Mask(key=b"k" * 32, columns={"t": frozenset({"v"})})
KEYED = Mask(key=b"k" * 32, columns={"t": frozenset({"id", "w"})})
FINGERPRINT = re.compile(r"#fp:[0-9a-f]{10}")
BY_NAME = {s.name: s for s in SAMPLES}


@pytest.mark.parametrize("compare", [CompareKind.KEY, CompareKind.MULTISET])
@pytest.mark.parametrize("sample", SAMPLES, ids=lambda s: s.name)
async def test_both_sides_of_a_difference_are_fingerprints_and_it_is_repaired(
    sample: Sample, compare: CompareKind, pg_target: Target, tmp_path: Path
) -> None:
    pair = await make(tmp_path, pg_target, sample, compare, keyed=compare is CompareKind.KEY, rows=len(sample.values))
    before, after = sample.mutations[0]
    await pair.sql(f"update t set v = {after}::{sample.type.sql} where v::text = ({before}::{sample.type.sql})::text")
    open_verdict = await pair.verify(frozen=False)
    verdict = await pair.verify(frozen=False, mask=MASK)
    assert verdict.differences == open_verdict.differences > 0
    for found in (d for d in verdict.discrepancies if d.column == "v"):
        assert FINGERPRINT.fullmatch(found.source or "")
        assert found.target == "NULL" or FINGERPRINT.fullmatch(found.target or "")
        assert found.source != found.target
        assert re.search(rf'"v"={FINGERPRINT.pattern}', found.repair_sql)
    assert [d.true_sql for d in verdict.discrepancies] == [d.repair_sql for d in open_verdict.discrepancies]
    actions = plan_repair(verdict.discrepancies, (pair.table,))
    assert await apply_repair(actions, (pair.table,), pg_target, run="r", mask=MASK) == len(actions)
    assert (await pair.verify(frozen=False, mask=MASK)).differences == 0


@pytest.mark.parametrize("name", ["integer", "boolean", "real", "text", "varchar of numbers", "blob"])
async def test_a_value_has_one_fingerprint_on_both_sides(name: str, pg_target: Target, tmp_path: Path) -> None:
    pair = await make(tmp_path, pg_target, BY_NAME[name], CompareKind.KEY, rows=2)
    await pair.sql("create table kept as table t", "update t set v = (select v from kept k where k.id = 3 - t.id)")
    found = {d.key["id"]: d for d in (await pair.verify(frozen=False, mask=MASK)).discrepancies}
    assert (found[1].source, found[1].target) == (found[2].target, found[2].source)


async def test_aggregates_are_hidden_too(pg_target: Target, tmp_path: Path) -> None:
    pair = await make(tmp_path, pg_target, BY_NAME["integer"], CompareKind.KEY, rows=3)
    await pair.sql("update t set v = 9007199254740994 where v = 9007199254740993", "update t set v = 7 where v = 5")
    async with WorkerPool(1) as pool:
        shown = await pair.verify(pool, level=Level.STANDARD, mask=MASK)
    named = {(d.source or "").partition(":")[0]: d for d in shown.discrepancies}
    assert named.keys() == {"maximum", "sum"}
    for found in named.values():
        assert FINGERPRINT.search(found.source or "")
        assert not re.search(r"\d{12}", f"{found.source}{found.target}")


@pytest.mark.parametrize("compare", [CompareKind.KEY, CompareKind.MULTISET])
async def test_rows_and_keys_show_no_value(compare: CompareKind, pg_target: Target, tmp_path: Path) -> None:
    sample = BY_NAME["text"]
    pair = await make(tmp_path, pg_target, sample, compare, rows=4, keyed=compare is CompareKind.KEY)
    await pair.sql("delete from t where id = 2", "insert into t values (770077, 'A', 'canary')")
    await pair.sql("update t set id = 660066 where id = 4")
    verdict = await pair.verify(frozen=False, mask=KEYED)
    assert not re.search(r"77007|66006|canary|row \d", repr(verdict.discrepancies))
    assert {d.cls for d in verdict.discrepancies} >= {DiffClass.MISSING, DiffClass.EXTRA}
    actions = plan_repair(verdict.discrepancies, (pair.table,))
    await apply_repair(actions, (pair.table,), pg_target, run="r", mask=KEYED)
    assert (await pair.verify(frozen=False)).differences == 0
