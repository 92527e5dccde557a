"""`verify.rules` and `verify.invariants`: how they are written, what they mean, and where it is said that they prove less."""

from __future__ import annotations

import struct
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.engine.checks.config_unused import unused
from stepflow_tui.engine.config import LoadedConfig, load_config
from stepflow_tui.engine.errors import ConfigError, UsageError
from stepflow_tui.engine.live.rules import near_by, table_rules
from stepflow_tui.engine.model.config import VerifyRule
from stepflow_tui.engine.model.plan import ColumnPlan, Compare, CompareKind, ObjectType, TablePlan, Walk, WalkKind
from stepflow_tui.engine.model.types import ColumnType, EpochUnit, Kind
from stepflow_tui.engine.verify.expected import PRECISION
from stepflow_tui.engine.verify.forms import OUT_OF_RANGE
from tests.integration.plan_kit import plan_of, source

HEAD = "version: 1\nname: shop\nkind: sqlite-to-postgres\nsource: {path: ./shop.db}\ntarget: {embedded: true}\n"


def load(tmp_path: Path, text: str) -> LoadedConfig:
    file = tmp_path / "stepflow.yaml"
    file.write_text(HEAD + text)
    return load_config(file, {})


def refused(tmp_path: Path, text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text)
    return caught.value.detail


def column(name: str, kind: Kind, sql: str, **more: Any) -> ColumnPlan:
    return ColumnPlan(source=name, target=name, declared="", type=ColumnType(kind=kind, sql=sql, **more))


ID = column("id", Kind.INTEGER, "bigint")
REAL = column("r", Kind.REAL, "double precision")
DECIMAL = column("d", Kind.DECIMAL, "numeric(10,2)", scale=2)
STAMP = column("s", Kind.TIMESTAMP, "timestamp")
DAY = column("day", Kind.DATE, "date")
EPOCH = column("e", Kind.EPOCH, "timestamp", unit=EpochUnit.SECONDS)
TEXT = column("t", Kind.TEXT, "text")
TABLE = TablePlan(
    source="Orders", schema="public", name="orders", columns=(ID, REAL, DECIMAL, STAMP, DAY, EPOCH, TEXT), live_key=("id",),
    walk=Walk(kind=WalkKind.ROWID, columns=("id",)), compare=Compare(kind=CompareKind.KEY, columns=("id",)), primary_key=("id",),
)  # fmt: skip


def real(value: float) -> bytes:
    return struct.pack(">d", value)


class TestConfig:
    def test_as_it_is_written(self, tmp_path: Path) -> None:
        config = load(
            tmp_path,
            "mode: live\nverify:\n  rules: {orders: {exclude: [a], tolerance: {b: 0.01, c: 1%, d: 1m30s}}}\n"
            "  invariants: [{name: sum, sqlite: ' SELECT 1', postgres: 'with a as (select 1) select * from a'}]\n",
        ).config
        rule = config.verify.rules["orders"]
        assert rule.not_proven == "not proven: a (left out), b (within 0.01), c (within 1%), d (within 1m30s)"
        assert config.verify.invariants[0].name == "sum"

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("rules: {t: {tolerance: {a: some}}}", "verify.rules.t.tolerance.a: not a tolerance"),
            ("rules: {t: {tolerance: {a: -1}}}", "not a tolerance"),
            ("rules: {t: {tolerance: {a: 5 %%}}}", "not a tolerance"),
            ("rules: {t: {leave_out: [a]}}", "verify.rules.t.leave_out: unknown key"),
            ("invariants: [{name: a, sqlite: select 1}]", "verify.invariants[0].postgres: missing"),
            ("invariants: [{name: a, sqlite: delete from t, postgres: select 1}]", "not a question"),
            ("invariants: [{name: a, sqlite: select 1, postgres: commit}]", "not a question"),
            ("invariants: [{name: a, sqlite: selective, postgres: select 1}]", "not a question"),
            ("invariants: [{name: a, sqlite: select 1, postgres: select 1}, {name: a, sqlite: select 2, postgres: select 2}]", "two invariants of one name"),
        ],
    )  # fmt: skip
    def test_what_is_refused(self, tmp_path: Path, text: str, words: str) -> None:
        assert words in refused(tmp_path, f"mode: live\nverify:\n  {text}\n")

    @pytest.mark.parametrize("level", ["basic", "standard", "detailed", "comprehensive"])
    def test_a_live_run_compares_every_value(self, tmp_path: Path, level: str) -> None:
        assert load(tmp_path, f"verify: {{level: {level}}}\n").config.verify.level == level
        live = f"mode: live\nverify: {{level: {level}}}\n"
        if level in ("basic", "standard"):
            expected = f":7: verify.level: {level} proves too little to move writes (detailed or comprehensive)"
            assert expected in refused(tmp_path, live)
        else:
            assert load(tmp_path, live).config.verify.level == level

    def test_a_changed_rule_is_another_plan(self, tmp_path: Path) -> None:
        plain = load(tmp_path, "mode: live\n")
        assert not [key for key in plain.plan_relevant if key in ("verify.rules", "verify.invariants")]
        ruled = load(tmp_path, "mode: live\nverify: {rules: {t: {exclude: [a]}}}\n")
        asked = load(tmp_path, "mode: live\nverify: {invariants: [{name: a, sqlite: select 1, postgres: select 1}]}\n")
        assert len({c.plan_hash for c in (plain, ruled, asked)}) == 3

    def test_other_modes_say_that_they_do_not_use_them(self, tmp_path: Path) -> None:
        text = "verify: {rules: {t: {exclude: [a]}}, invariants: [{name: a, sqlite: select 1, postgres: select 1}]}\n"
        assert set(unused(load(tmp_path, text).config)) >= {"verify.rules", "verify.invariants"}
        assert not set(unused(load(tmp_path, "mode: live\n" + text).config)) & {"verify.rules", "verify.invariants"}


class TestTolerance:
    @pytest.mark.parametrize(
        ("planned", "margin", "ours", "theirs", "near"),
        [
            (ID, "1", 5, 6, True),
            (ID, "1", 5, 7, False),
            (ID, "10%", 100, 90, True),
            (ID, "10%", 100, 89, False),
            (ID, "0", 2**63 - 1, 2**63 - 2, False),
            (REAL, "0.01", real(1.0), real(1.01), True),
            (REAL, "0.01", real(1.0), real(1.0100000000000002), False),
            (REAL, "50%", real(float("inf")), real(1e300), False),
            (REAL, "50%", real(float("inf")), real(float("-inf")), False),
            (REAL, "0.1%", real(-1000.0), real(-1001.0), True),
            (DECIMAL, "0.01", b"12.5", b"12.51", True),
            (DECIMAL, "0.01", b"12.5", b"12.52", False),
            (DECIMAL, "1", b"12.5", b"NaN", False),
            (DECIMAL, "1%", b"0", b"0.01", False),
            (STAMP, "500ms", 1_000_000, 1_500_000, True),
            (STAMP, "500ms", 1_000_000, 1_500_001, False),
            (STAMP, "1d", 0, OUT_OF_RANGE, False),
            (EPOCH, "1s", 0, -1_000_000, True),
            (DAY, "24h", 10, 11, True),
            (DAY, "23h", 10, 11, False),
        ],
    )
    def test_how_near_is_near(self, planned: ColumnPlan, margin: str, ours: Any, theirs: Any, near: bool) -> None:
        test = near_by(planned, margin)
        assert test is not None
        assert (test(ours, theirs), test(theirs, ours)) == (near, near)

    @pytest.mark.parametrize(
        ("planned", "margin"), [(TEXT, "0.01"), (TEXT, "1s"), (REAL, "1s"), (STAMP, "0.01"), (STAMP, "1%"), (DAY, "5")]
    )
    def test_what_does_not_fit(self, planned: ColumnPlan, margin: str) -> None:
        assert near_by(planned, margin) is None

    def test_only_values_that_are_there_are_near(self) -> None:
        (rules,) = table_rules({"orders": VerifyRule(tolerance={"d": "100"})}, [TABLE]).values()
        columns = (ID, DECIMAL)
        assert rules.within(columns, (1, b"5"), (1, b"6")) == (1, b"6")
        assert rules.within(columns, (1, None), (1, b"6")) == (1, None)
        assert rules.within(columns, (1, b"5"), (1, None)) == (1, b"5")
        assert rules.within(columns, (1, PRECISION), (1, b"6")) == (1, PRECISION)
        assert rules.within(columns, (1, b"5"), (2, b"5")) == (1, b"5")


def test_rules_that_can_not_be_kept_are_all_named() -> None:
    rules = {
        "orders": VerifyRule(exclude=("ID", "nothing"), tolerance={"t": "0.01", "r": "1s"}),
        "lost": VerifyRule(exclude=("a",)),
    }
    with pytest.raises(UsageError) as caught:
        table_rules(rules, [TABLE])
    assert caught.value.code == "verify_rules"
    assert caught.value.detail.splitlines() == [
        "Orders.ID: a key column",
        "Orders.nothing: no such column",
        "Orders.t: 0.01 does not fit the type text",
        "Orders.r: 1s does not fit the type double precision",
        "lost: no such table",
    ]


def test_names_are_folded_as_sqlite_does() -> None:
    found = table_rules({"ORDERS": VerifyRule(exclude=("T",), tolerance={"R": "1"})}, [TABLE])
    assert found["Orders"].excluded == {"t"}
    assert set(found["Orders"].near) == {"r"}


async def test_the_plan_says_what_is_not_proven(tmp_path: Path) -> None:
    path = source(
        tmp_path / "a.db", "create table t (id integer primary key, a text); create table u (id integer primary key)"
    )
    verify = {"rules": {"T": {"exclude": ["a"]}}}
    plan = await plan_of(path, mode="live", verify=verify)
    (said,) = [o for o in plan.objects if o.type is ObjectType.VERIFY_RULE]
    assert (said.table, said.carried, said.reason) == ("t", True, "not proven: a (left out)")
    copied = await plan_of(path, verify=verify)
    assert not [o for o in copied.objects if o.type is ObjectType.VERIFY_RULE]
