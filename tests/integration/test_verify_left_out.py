"""Records that functional probes left in the target are left out of the comparison by their key, and named; nothing else is."""

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
    "arrow": {},
    "digests of a living source": {"frozen": False},
    "both": {"level": Level.COMPREHENSIVE},
    "keys alone": {"level": Level.STANDARD},
}
LEFT = {"t": {"id": ["1000", "1001"]}}


@pytest.fixture
async def pool() -> AsyncIterator[WorkerPool]:
    async with WorkerPool(1) as workers:
        yield workers


@pytest.mark.parametrize("path", PATHS)
async def test_a_probes_record_is_no_difference(path: str, tmp_path: Path, pg_target: Target, pool: WorkerPool) -> None:
    options = PATHS[path]
    pair = await make(tmp_path, pg_target, SAMPLES[0], CompareKind.KEY)
    await pair.sql("insert into t values (1000, 5, 'probe')")
    verdict = await pair.verify(pool, **options)
    assert verdict.verified is Verified.DIFFERENT, "negative control: without the list"
    assert {"id": 1000} in [d.key for d in verdict.discrepancies]
    verdict = await pair.verify(pool, **options, left_out=LEFT)
    assert (verdict.verified, verdict.differences, verdict.discrepancies) == (Verified.EQUAL, 0, ())
    assert verdict.reason == "left out by key: 1 records of functional probes"
    assert verdict.digest_source == verdict.digest_target
    await pair.sql("insert into t values (1002, 5, 'somebody else')")
    verdict = await pair.verify(pool, **options, left_out=LEFT)
    assert (verdict.verified, verdict.differences) == (Verified.DIFFERENT, 1)
    assert [d.key for d in verdict.discrepancies] == [{"id": 1002}]


async def test_a_row_of_both_sides_is_compared_whatever_its_key(
    tmp_path: Path, pg_target: Target, pool: WorkerPool
) -> None:
    pair = await make(tmp_path, pg_target, SAMPLES[0], CompareKind.KEY)
    everything = {"t": {"id": [str(n) for n in range(100)]}}
    await pair.sql("update t set w = 'changed' where id = 7", "delete from t where id = 8")
    verdict = await pair.verify(pool, left_out=everything)
    assert (verdict.verified, verdict.differences) == (Verified.DIFFERENT, 2)
