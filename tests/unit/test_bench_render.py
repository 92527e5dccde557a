"""A benchmark's result on 80 columns, in plain words."""

from __future__ import annotations

from typing import Any

import pytest

from stepflow_tui.engine.bench.loads import loads_of_modes, loads_of_sides
from stepflow_tui.engine.model.config_wal import Benchmark
from stepflow_tui.render.benchmark import (
    LIMITS,
    LOADS,
    NOTES,
    REASONS,
    SIDES,
    benchmark_lines,
    conclusion,
    progress_line,
    ratio_text,
)
from stepflow_tui.render.width import cells


def figures(per_second: float) -> dict[str, Any]:
    return {
        "operations": 9,
        "per_second": per_second,
        "p50": 0.0004,
        "p95": 0.0123,
        "p99": 12.5,
        "locked": 0,
        "errors": 0,
    }


def result(better: bool | None, *, sides: tuple[str, ...] = ("rollback", "wal", "wal_settings")) -> dict[str, Any]:
    ratio = {"value": 69.71, "low": 0.953, "high": 12_345.6, "rounds": 5}
    compared = "sides" if "postgres" in sides else "modes"
    loads = loads_of_sides(Benchmark(), text=True) if compared == "sides" else loads_of_modes(Benchmark())
    names = [n for x in loads for n in (x.name, *([f"{x.name}_writes", f"{x.name}_reads"] if x.parts else []))]
    shown = [{"name": n, "figures": {s: figures(1_234_567) for s in sides}, "ratios": dict.fromkeys(sides[1:], ratio),
              "reason": ""} for n in names]  # fmt: skip
    shown.append({"name": "full_text", "figures": {}, "ratios": {}, "reason": "no_text"})
    verdicts = [{"name": n, "state": s, "figure": f, "limit": 3.0, "unit": u, "side": sides[1], "reason": r}
                for n, s, f, u, r in (("errors", "met", 0.001, "share", ""), ("p95", "missed", 0.0123, "seconds", ""),
                                      ("joins", "not_measured", 2.9, "ratio", "interval"),
                                      ("clients", "not_measured", None, "clients", "too_many_clients"))]  # fmt: skip
    return {
        "compared": compared, "sides": sides, "better": better, "loads": shown, "verdicts": verdicts, "notes": list(NOTES),
        "tables": {"writes": "order\x1b[31m_items", "rows": 100_000, "joined": ["a" * 40, "b" * 40]}, "source": "/data/shop.db",
        "bytes": 13_754_368, "rounds": 5, "seconds": 2.0, "took": 93.0,
        "machine": {"cpus": 2, "cpu": "Some Processor", "memory_bytes": 1 << 34, "disk_free_bytes": 1 << 35,
                    "filesystem": "ext4", "sqlite": "3.40.1", "python": "3.11.7"},
        "settings": {"postgres": {"server_version": "18.6", "fsync": "on"}} if compared == "sides" else {},
    }  # fmt: skip


@pytest.mark.parametrize("sides", [("rollback", "wal"), ("rollback", "wal", "wal_settings"), ("sqlite", "postgres")])
def test_it_fits_80_columns_and_obeys_no_name(sides: tuple[str, ...]) -> None:
    lines = list(benchmark_lines(result(True, sides=sides)))
    assert max(map(cells, lines)) <= 80
    assert not any("\x1b" in line for line in lines)
    assert any(line.startswith("met           share of failed operations: 0.10 %") for line in lines)
    assert any(line.startswith("not_measured  joins, ratio: 2.90, limit 3.00") for line in lines)


def test_no_better_side_is_said_plainly_with_the_way_back() -> None:
    assert conclusion(result(True)).startswith("WAL is better here: 69.7")
    for better, words in ((False, "WAL is not better here"), (None, "WAL is not shown to be better here")):
        told = conclusion(result(better))
        assert told.startswith(words)
        assert "stepflow rollback" in told


def test_of_both_sides_it_speaks_of_concurrent_writes() -> None:
    durable = {"notes": []}
    sides = ("sqlite", "postgres")
    assert "PostgreSQL is better" in conclusion(result(True, sides=sides) | durable)
    assert "PostgreSQL is not better" in conclusion(result(False, sides=sides) | durable)
    assert "can't be told" in conclusion(result(None, sides=sides) | durable)


@pytest.mark.parametrize("better", [True, False, None])
def test_a_server_that_answers_too_early_is_called_neither_better_nor_worse(better: bool | None) -> None:
    found = result(better, sides=("sqlite", "postgres")) | {"notes": ["server_not_durable"]}
    assert "was not compared" in conclusion(found)


def test_the_writes_and_the_reads_of_the_mixed_load_stand_beside_it() -> None:
    assert "Its writes: 69.7 (0.95->999), its reads: 69.7 (0.95->999)." in conclusion(result(True))


def test_progress_names_the_load() -> None:
    shown = progress_line({"step": "benchmark", "item": "full_text", "done": 3, "total": 70, "unit": "measurements"})
    assert shown == "full text: 3 of 70"


def test_a_ratio_has_three_digits() -> None:
    assert ratio_text({"value": 1.0, "low": 0.5, "high": 10.04}) == "1.00 (0.50-10.0)"
    assert ratio_text(None) == "-"


def test_every_code_has_words() -> None:
    names = {x.name for x in (*loads_of_modes(Benchmark()), *loads_of_sides(Benchmark(), text=True))}
    assert names <= set(LOADS)
    for words in (LOADS, SIDES, LIMITS, REASONS, NOTES):
        assert all(words.values())
