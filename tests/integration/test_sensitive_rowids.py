"""A rowid that is a sensitive column itself: what the census tells names it by fingerprints."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from stepflow_tui.engine.model.census import Census
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.finding import warning
from stepflow_tui.engine.model.plan import ColumnFacts, TableFacts
from stepflow_tui.engine.model.sensitive import make_mask
from stepflow_tui.engine.model.sensitive import sensitive_columns as rules
from stepflow_tui.engine.sqlite.catalog import read_schema
from stepflow_tui.engine.sqlite.connect import open_frozen
from stepflow_tui.engine.sqlite.restore_test import restore_test
from stepflow_tui.engine.steps.masking import masked_census, masked_test, sensitive_findings, source_mask
from stepflow_tui.engine.texts import render


async def test_rowids_bounds_and_bad_rows_are_hidden(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.executescript(
            "create table p(id integer primary key);"
            "create table t(phone integer primary key, p integer references p(id));"
            "create table u(id integer primary key, p integer references p(id));"
            "insert into t values (98765431, 5), (98765432, 6); insert into u values (11, 7);"
        )
    with contextlib.closing(open_frozen(path)) as opened:
        schema = read_schema(opened)
    mask = make_mask(b"k", rules(schema, {}))
    assert mask.columns == {"t": frozenset({"phone"})}
    test = masked_test(await restore_test(path), schema, mask)
    keys = {k.table: k.first_keys for k in test.foreign_keys}
    assert keys == {"t": (mask.fingerprint(98765431), mask.fingerprint(98765432)), "u": ("11",)}
    facts = ColumnFacts(minimum="98765431", maximum="98765432")
    census = Census(
        facts={"t": TableFacts(rows=2, columns={"phone": facts, "p": facts}, bad_rowids=(98765431,))},
        findings=(
            warning("mixed_storage", "t.phone", minimum="98765431", maximum="98765432", texts=1),
            warning("mixed_storage", "t.p", minimum="1", maximum="2", texts=1),
        ),
    )
    hidden = masked_census(census, schema, mask)
    assert hidden.facts["t"].bad_rowids == ()
    assert hidden.facts["t"].columns == {
        "phone": ColumnFacts(minimum=mask.fingerprint("98765431"), maximum=mask.fingerprint("98765432")),
        "p": facts,
    }
    assert "9876543" not in render(hidden.findings[0]).what
    assert hidden.findings[1] == census.findings[1]


def test_findings_say_why_and_how_to_add_more(tmp_path: Path) -> None:
    said = [render(f) for f in sensitive_findings({"u": {"email": "name", "pay": "configured"}, "l": {"who": "tied"}})]
    assert ["u.email" in said[0].what, "u.pay" in said[1].what, "l.who" in said[2].what] == [True] * 3
    assert "`sensitive: {table: [column]}`" in said[0].fix
    assert sensitive_findings({}) == []


def test_one_state_directory_has_one_key(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    with contextlib.closing(sqlite3.connect(path)) as db:
        db.execute("create table t(email text)")
    with contextlib.closing(open_frozen(path)) as opened:
        schema = read_schema(opened)
    config = Config.model_validate(
        {"version": 1, "name": "shop", "kind": "sqlite-to-postgres", "source": {"path": str(path)}},
        context={"base": tmp_path},
    )
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir(mode=0o700)
    first, again, other = (source_mask(schema, config, tmp_path / f) for f in ("a", "a", "b"))
    assert first == again
    assert first.fingerprint("x") != other.fingerprint("x")
