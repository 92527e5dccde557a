"""What a live run's config says about the proof is held against the source by `check`, before anything is made."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from stepflow_tui.engine.config import load_config
from stepflow_tui.engine.facade.inspect import check

CONFIG = """\
version: 1
name: t
kind: sqlite-to-postgres
mode: MODE
source: {path: s.db}
target: {dsn: '${TARGET_DSN}'}
verify:
  rules: {orders: {exclude: [ID, note], tolerance: {total: 0.01}}}
  invariants:
    - {name: fine, sqlite: "with t as (select sum(total) s from orders) select s from t", postgres: "select 1"}
    - {name: column, sqlite: "select sum(totl) from orders", postgres: "select 1"}
    - {name: two, sqlite: "select 1; select 2", postgres: "select 1"}
"""


async def _found(folder: Path, dsn: str, mode: str) -> set[tuple[str, str | None]]:
    path = folder / "c.yaml"
    path.write_text(CONFIG.replace("MODE", mode))
    checked = await check(load_config(path, {"TARGET_DSN": dsn}), state=folder / "state")
    return {
        (f.code, f.object) for f in checked.findings if f.code.startswith("config_") and f.code != "config_not_used"
    }


async def test_a_key_in_the_rules_and_a_question_that_cant_be_asked(tmp_path: Path, pg_dsn: str) -> None:
    with closing(sqlite3.connect(tmp_path / "s.db")) as made:
        made.execute("create table orders(id integer primary key, total real, note text)")
    assert await _found(tmp_path, pg_dsn, "live") == {
        ("config_rule_of_key", "orders.ID"),
        ("config_invariant", "verify.invariants.column"),
        ("config_invariant", "verify.invariants.two"),
    }
    assert await _found(tmp_path, pg_dsn, "copy") == set(), "nothing of it is read there, and that is said"
