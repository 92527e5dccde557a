"""Every kind, every path: equal tables are equal, every near-equal mutation is seen and named."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.bulk.pool import WorkerPool
from stepflow_tui.engine.model.config import Level
from stepflow_tui.engine.model.discrepancy import Verified
from stepflow_tui.engine.model.plan import CompareKind
from stepflow_tui.engine.postgres.connect import Target
from tests.verify_kit import SAMPLES, make

PATHS: dict[str, dict[str, Any]] = {
    "arrow": {"compare": CompareKind.KEY},
    "digests of a living source": {"compare": CompareKind.KEY, "frozen": False},
    "both": {"compare": CompareKind.KEY, "level": Level.COMPREHENSIVE},
    "ordered": {"compare": CompareKind.ORDERED, "keyed": False},
    "multiset": {"compare": CompareKind.MULTISET, "keyed": False},
    "multiset with a key": {"compare": CompareKind.MULTISET},
}


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(1) as workers:
        yield workers


@pytest.mark.parametrize("path", PATHS)
async def test_every_mutation_is_named(path: str, tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    options = dict(PATHS[path])
    compare, keyed = options.pop("compare"), options.pop("keyed", True)
    seen = 0
    for n, sample in enumerate(SAMPLES):
        pair = await make(tmp_path, pg_target, sample, compare, keyed=keyed, name=f"t{n}")
        equal = await pair.verify(pool, **options)
        assert equal.verified is Verified.EQUAL, (sample.name, equal.discrepancies)
        assert equal.digest_source == equal.digest_target != ""
        literals = [literal for _, literal in sample.values]
        for before, after in sample.mutations:
            row = literals.index(before) + 1 + len(literals)
            await pair.sql(f"update t{n} set v = {after} where id = {row}")
            verdict = await pair.verify(pool, **options)
            context = (sample.name, before, after, verdict)
            assert verdict.verified is Verified.DIFFERENT, context
            assert verdict.differences == 1, context
            assert [d.column for d in verdict.discrepancies] == ["v"], context
            if keyed:
                assert verdict.discrepancies[0].key == {"id": row}, context
            assert verdict.discrepancies[0].cause, context
            assert verdict.digest_source != verdict.digest_target, context
            await pair.sql(verdict.discrepancies[0].repair_sql)
            seen += 1
        repaired = await pair.verify(pool, **options)
        assert repaired.verified is Verified.EQUAL, (sample.name, repaired)
    assert seen == sum(len(sample.mutations) for sample in SAMPLES) > 60


@pytest.mark.parametrize("path", PATHS)
async def test_rows(path: str, tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    """Deleted, extra, re-keyed and swapped rows."""
    options = dict(PATHS[path])
    compare, keyed = options.pop("compare"), options.pop("keyed", True)
    pair = await make(tmp_path, pg_target, SAMPLES[5], compare, keyed=keyed)
    await pair.sql("delete from t where id = 7", "insert into t values (99, 'new', 'row'), (-4, null, null)")
    verdict = await pair.verify(pool, **options)
    assert verdict.verified is Verified.DIFFERENT
    assert verdict.differences == 3
    assert sorted(d.cls.value for d in verdict.discrepancies) == ["extra", "extra", "missing"]
    assert (verdict.source_rows, verdict.target_rows) == (40, 41)
    await pair.sql(*(d.repair_sql for d in verdict.discrepancies))
    assert (await pair.verify(pool, **options)).verified is Verified.EQUAL
    await pair.sql("update t set id = 1000 where id = 10")
    rekeyed = await pair.verify(pool, **options)
    assert rekeyed.verified is Verified.DIFFERENT
    if keyed:
        assert {d.cls.value for d in rekeyed.discrepancies} == {"missing", "extra"}
        assert any("key changed" in d.cause for d in rekeyed.discrepancies)
    await pair.sql("update t set id = 10 where id = 1000")
    await pair.sql("update t set (v, w) = (select v, w from t o where o.id = 13 - t.id) where id in (3, 10)")
    swapped = await pair.verify(pool, **options)
    assert swapped.verified is Verified.DIFFERENT
    if keyed:
        assert {d.cls.value for d in swapped.discrepancies} == {"order"}
        assert {d.key["id"] for d in swapped.discrepancies} == {3, 10}
