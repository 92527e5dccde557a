"""A benchmark's arithmetic: percentiles, ratios with their interval, verdicts; with numbers worked out by hand."""

from __future__ import annotations

import math
import random

import pytest

from stepflow_tui.engine.bench.loads import MOST_CLIENTS, loads_of_modes, loads_of_sides
from stepflow_tui.engine.bench.rounds import Measured, _turned, refuse_lost
from stepflow_tui.engine.bench.verdicts import better, error_share, verdicts_of_modes, verdicts_of_sides
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.benchmark import Figures, LoadResult, VerdictState
from stepflow_tui.engine.model.benchmark_stats import Ratio, _t_975, added, histogram, paired_ratio, percentile
from stepflow_tui.engine.model.config_wal import Benchmark, BenchmarkLimits
from stepflow_tui.engine.sqlite.bench_script import Script, decoded, encoded, fresh_row

SHAPE = {
    "fresh": [[0, 100], [1, None]], "update": 2, "key": [0],
    "templates": [[7, "a", "x"], [8, "b", "y"]], "keys": [[7], [8]], "join_keys": [[7]], "words": ["amber"],
}  # fmt: skip


def figures(per_second: float = 100.0, *, p95: float | None = 0.001, errors: int = 0, operations: int = 100) -> Figures:
    return Figures(
        operations=operations, per_second=per_second, p50=p95, p95=p95, p99=p95, locked=errors, errors=errors,
        cpu_seconds=0.1, rounds=(per_second,) * 3,
    )  # fmt: skip


def ratio(value: float, low: float, high: float) -> Ratio:
    return Ratio(value=value, low=low, high=high, rounds=5)


def load(name: str, found: Ratio | None = None, *, of: str = "", **sides: Figures) -> LoadResult:
    return LoadResult(name=name, writers=1, readers=1, figures=sides, ratios={"wal": found, "postgres": found}, of=of)


def test_a_percentile_is_at_most_one_bucket_above_the_exact_one() -> None:
    values = [random.Random(5).randrange(1_000, 10_000_000) for _ in range(10_000)]
    counts = histogram(values)
    for share in (0.5, 0.95, 0.99, 1.0):
        exact = sorted(values)[math.ceil(share * len(values)) - 1] / 1e9
        found = percentile(counts, share)
        assert found is not None
        assert exact <= found * (1 + 1e-9)
        assert found <= exact * 2 ** (1 / 32)


def test_histograms_add_up_to_that_of_all_values() -> None:
    assert added([histogram([1, 5, 9]), histogram([5, 1_000])]) == histogram([1, 5, 9, 5, 1_000])


def test_without_operations_there_is_no_percentile() -> None:
    assert percentile({}, 0.5) is None


def test_the_interval_is_students_on_the_logarithms() -> None:
    found = paired_ratio([1, 1, 1], [math.e, math.e**2, math.e**3])
    assert found is not None
    half = 4.303 * 1 / math.sqrt(3)
    assert found.value == pytest.approx(math.e**2)
    assert found.low == pytest.approx(math.exp(2 - half))
    assert found.high == pytest.approx(math.exp(2 + half))
    assert found.rounds == 3


@pytest.mark.parametrize(
    ("freedom", "t"), [(1, 12.706), (4, 2.776), (30, 2.042), (31, 2.0395), (60, 2.0003), (99, 1.9842)]
)
def test_students_t(freedom: int, t: float) -> None:
    assert _t_975(freedom) == pytest.approx(t, abs=2e-3)


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ([100, 110, 90], [200, 221, 179], True),
        ([200, 221, 179], [100, 110, 90], False),
        ([100, 200, 50], [120, 150, 60], None),
        ([100, 100, 100], [100, 100, 100], None),
    ],
)
def test_better_only_where_the_whole_interval_says_so(
    old: list[float], new: list[float], expected: bool | None
) -> None:
    found = paired_ratio(old, new)
    assert found is not None
    assert found.better is expected


def test_what_disturbs_both_sides_of_a_round_cancels_out() -> None:
    found = paired_ratio([1_000, 10, 300, 5_000], [2_020, 20, 606, 9_900])
    assert found is not None
    assert found.better is True
    assert 1.9 < found.low < found.high < 2.1


@pytest.mark.parametrize(("old", "new"), [([1.0], [2.0]), ([1.0, 0.0], [1.0, 1.0]), ([1.0, 1.0], [1.0])])
def test_no_ratio_without_enough_rounds(old: list[float], new: list[float]) -> None:
    assert paired_ratio(old, new) is None


def test_limits_of_the_modes_are_met_from_their_value_on() -> None:
    limits = BenchmarkLimits(operations_per_second=500, clients=20, p95=0.005, errors=0.01)
    met = verdicts_of_modes([load("mixed", wal=figures(500, p95=0.005))], limits, side="wal", unharmed=20)
    assert [v.state for v in met] == [VerdictState.MET] * 4
    assert [v.figure for v in met] == [500, 20, 0.005, 0.0]
    slow = [load("mixed", wal=figures(499.9, p95=0.0051, errors=2, operations=98))]
    missed = verdicts_of_modes(slow, limits, side="wal", unharmed=19)
    assert [v.state for v in missed] == [VerdictState.MISSED] * 4
    assert [v.unit for v in missed] == ["per_second", "clients", "seconds", "share"]


def test_what_was_not_measured_is_said_to_be_so() -> None:
    limits = BenchmarkLimits(clients=MOST_CLIENTS + 1)
    found = verdicts_of_modes([], limits, side="wal", unharmed=MOST_CLIENTS)
    assert {v.name: (v.state, v.figure, v.reason) for v in found} == {
        "operations_per_second": (VerdictState.NOT_MEASURED, None, "not_run"),
        "clients": (VerdictState.NOT_MEASURED, None, "too_many_clients"),
        "p95": (VerdictState.NOT_MEASURED, None, "not_run"),
        "errors": (VerdictState.NOT_MEASURED, None, "not_run"),
    }


@pytest.mark.parametrize(
    ("found", "state", "reason"),
    [
        (ratio(4, 3.1, 5), VerdictState.MET, ""),
        (ratio(2.5, 2, 2.9), VerdictState.MISSED, ""),
        (ratio(3.5, 2.9, 4), VerdictState.NOT_MEASURED, "interval"),
        (None, VerdictState.NOT_MEASURED, "not_run"),
    ],
)
def test_a_ratio_is_held_to_its_limit_by_its_interval(found: Ratio | None, state: VerdictState, reason: str) -> None:
    loads = [load("concurrent_writes", found, postgres=figures())]
    first = verdicts_of_sides(loads, BenchmarkLimits(), side="postgres", durable=True)[0]
    assert (first.state, first.reason) == (state, reason)


def test_writes_are_not_compared_with_a_server_that_does_not_wait_for_its_disk() -> None:
    loads = [load("concurrent_writes", ratio(9, 8, 10), postgres=figures()), load("joins", ratio(3, 2.5, 4), postgres=figures())]  # fmt: skip
    writes, joins, _errors = verdicts_of_sides(loads, BenchmarkLimits(), side="postgres", durable=False)
    assert (writes.state, writes.reason) == (VerdictState.NOT_MEASURED, "not_durable")
    assert joins.state is VerdictState.MET


def test_errors_that_were_meant_and_parts_that_were_counted_stay_out() -> None:
    loads = [
        load("mixed", wal=figures(operations=99, errors=1)),
        load("mixed_writes", of="mixed", wal=figures(operations=1, errors=1)),
        load("impatient", wal=figures(operations=1, errors=99)),
    ]
    assert error_share(loads, "wal") == 0.01


def test_a_load_whose_reads_became_slower_is_not_called_better() -> None:
    mixed = load("mixed", ratio(3, 2, 4), wal=figures())
    slower, same = load("mixed_reads", ratio(0.5, 0.4, 0.6)), load("mixed_writes", ratio(1.1, 0.5, 2))
    assert better(mixed, [same], "wal") is True
    assert better(mixed, [same, slower], "wal") is None
    assert better(load("mixed", ratio(0.5, 0.4, 0.6)), [], "wal") is False


@pytest.mark.parametrize(("found", "certain"), [(99, True), (101, True), (99, False)])
def test_rows_that_do_not_add_up_are_an_error(found: int, certain: bool) -> None:
    with pytest.raises(StepFailed) as caught:
        refuse_lost("wal", 100, found, certain=certain)
    assert caught.value.code == "benchmark_lost_writes"


def test_a_row_whose_answer_was_lost_may_be_there() -> None:
    refuse_lost("postgres", 100, 101, certain=False)
    refuse_lost("postgres", 100, 100, certain=True)


def test_clients_are_added_up_and_the_worst_round_counts() -> None:
    def said(per_second: float, errors: int, locked: int) -> dict[str, object]:
        return {"operations": 10, "inserted": 4, "locked": locked, "errors": errors, "first_error": "x" if errors else "",
                "cpu_seconds": 0.5, "per_second": per_second, "histogram": [[640, 10]]}  # fmt: skip

    measured = Measured()
    measured.results["clients", "wal"] = [
        [("write", said(10, 0, 0)), ("read", said(30, 0, 0))],
        [("write", said(20, 1, 1)), ("read", said(40, 0, 0))],
    ]
    found = measured.figures("clients", "wal", ("write", "read"))
    assert (found.rounds, found.per_second, found.operations, found.errors) == ((40, 60), 50, 40, 1)
    assert measured.figures("clients", "wal", ("read",)).rounds == (30, 40)
    assert measured.unharmed("clients", "wal") == 1
    assert measured.inserted("wal") == 16
    assert measured.certain("wal")
    measured.results["clients", "wal"][0][0][1]["errors"] = 1
    assert not measured.certain("wal")


def test_the_sides_take_turns_in_every_order() -> None:
    sides = ["a", "b", "c"]
    orders = [_turned(sides, turn) for turn in range(6)]  # type: ignore[type-var, arg-type]
    assert len({tuple(o) for o in orders}) == 6
    assert sorted(o[0] for o in orders) == ["a", "a", "b", "b", "c", "c"]  # type: ignore[type-var]


def test_both_sides_are_asked_the_same() -> None:
    for kind in ("write", "batch", "read", "join", "text"):
        one, other = (Script(SHAPE, kind, seed=3, first=5_000_000, batch=4) for _ in range(2))
        assert [one.next() for _ in range(20)] == [other.next() for _ in range(20)]


def test_new_rows_have_keys_of_their_own() -> None:
    clients = [Script(SHAPE, "batch", seed=at, first=at * 1_000_000, batch=50) for at in range(3)]
    rows = [values for client in clients for _ in range(20) for _name, values in client.next().statements]
    assert len({row[0] for row in rows}) == len({row[1] for row in rows}) == len(rows) == 3_000
    assert fresh_row(SHAPE, [7, "a", "x"], 5) == (105, "a~5", "x")


def test_values_survive_the_pipe() -> None:
    row = [1, 2.5, "é", b"\x00\xff", None, float("inf")]
    assert decoded(encoded(row)) == row


def test_loads_follow_the_config() -> None:
    config = Benchmark(writers=3, readers=0, limits=BenchmarkLimits(clients=7))
    by_name = {x.name: x for x in loads_of_modes(config)}
    assert (by_name["mixed"].writers, by_name["mixed"].readers, by_name["mixed"].parts) == (3, 0, False)
    assert (by_name["clients"].writers, by_name["clients"].readers) == (4, 3)
    assert by_name["reads"].readers == 1
    assert not by_name["impatient"].patient
    assert "full_text" not in {x.name for x in loads_of_sides(config, text=False)}
