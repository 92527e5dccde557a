"""The profile, own values, what a value means, and judging what a probe told."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from stepflow_tui.engine.checks import wal_pragmas
from stepflow_tui.engine.checks.context import check_context
from stepflow_tui.engine.config import config_of
from stepflow_tui.engine.errors import ConfigError, UsageError
from stepflow_tui.engine.model.config_wal import AutoVacuum, Wal
from stepflow_tui.engine.model.pragmas import IN_FILE, KNOWN, PRODUCTION, in_file, meaning, profile
from stepflow_tui.engine.texts.pragmas import PRAGMAS
from stepflow_tui.engine.tuning.judging import Fit, findings_of, judge, parse_probe

CONFIG = "version: 1\nname: shop\nkind: sqlite-wal\nsource: {path: x}\n"


def wanted(**own: str) -> Wal:
    return Wal(pragmas=own)


def test_the_production_profile() -> None:
    values = {p.name: p.value for p in profile(Wal())}
    assert values == {
        "busy_timeout": "30000",
        "synchronous": "NORMAL",
        "cache_size": "-20000",
        "temp_store": "MEMORY",
        "mmap_size": "536870912",
        "wal_autocheckpoint": "1000",
        "journal_size_limit": "67108864",
    }
    assert not any(p.persists or p.own for p in profile(Wal()))


def test_what_the_file_keeps_is_asked_for_by_name() -> None:
    assert [p.statement for p in in_file(Wal())] == ["PRAGMA journal_mode = wal"]
    made = in_file(Wal(page_size=8192, auto_vacuum=AutoVacuum.INCREMENTAL))
    assert [(p.name, p.value, p.persists) for p in made[1:]] == [
        ("page_size", "8192", True),
        ("auto_vacuum", "incremental", True),
    ]


def test_every_setting_has_its_reasons() -> None:
    assert set(PRAGMAS) == {*KNOWN, *IN_FILE}
    assert all(text.strip() for about in PRAGMAS.values() for text in (about.meaning, about.why, about.risk))


@pytest.mark.parametrize("name", PRODUCTION)
def test_the_profile_persists_nothing(name: str, tmp_path: Path) -> None:
    """What one connection sets, the next does not have: the very reason for snippets."""
    file, other = tmp_path / "a.db", "1" if name in ("synchronous", "temp_store") else "4096"
    with sqlite3.connect(file) as first:
        first.execute("pragma journal_mode=wal")
        [(before,)] = first.execute(f"pragma {name}").fetchall() or [(None,)]
        first.execute(f"pragma {name}={other}").fetchall()
        assert first.execute(f"pragma {name}").fetchone()[0] != before
    with sqlite3.connect(file) as second:
        assert second.execute(f"pragma {name}").fetchone()[0] == before


@pytest.mark.parametrize(
    ("name", "written", "value"),
    [
        ("cache_size", "-64000", "-64000"),
        ("cache_size", "20000", "20000"),
        ("mmap_size", "1GiB", str(1 << 30)),
        ("mmap_size", "0", "0"),
        ("busy_timeout", "5s", "5000"),
        ("busy_timeout", "250ms", "250"),
        ("synchronous", "full", "FULL"),
        ("synchronous", "1", "NORMAL"),
        ("temp_store", "file", "FILE"),
        ("journal_size_limit", "-1", "-1"),
        ("wal_autocheckpoint", "0", "0"),
        ("foreign_keys", "true", "ON"),
    ],
)
def test_own_values_win(name: str, written: str, value: str) -> None:
    loaded = config_of(f"{CONFIG}wal: {{pragmas: {{{name}: {written}}}}}\n".encode(), Path("/c/s.yaml"), {})
    [own] = [p for p in profile(loaded.config.wal) if p.own]
    assert (own.name, own.value) == (name, value)
    others = {p.name: p.value for p in profile(loaded.config.wal) if not p.own}
    assert others == {n: v for n, v in PRODUCTION.items() if n != name}


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("cache_sice: 1", "did you mean cache_size?"),
        ("journal_mode: wal", "stands in the file"),
        ("page_size: 8192", "write wal.page_size"),
        ("locking_mode: exclusive", "would keep every other process out"),
        ("user_version: 3", "known here: busy_timeout"),
        ("cache_size: 0", "out of range"),
        ("cache_size: 20 MB", "not a whole number"),
        ("busy_timeout: 0", "out of range"),
        ("busy_timeout: -5", "out of range"),
        ("busy_timeout: soon", "not a duration"),
        ("mmap_size: 1e9", "not a size"),
        ("mmap_size: -1", "out of range"),
        ("synchronous: SOMETIMES", "one of OFF, NORMAL, FULL, EXTRA"),
        ("synchronous: 4", "an unknown value"),
        ("temp_store: '1; drop table t'", "an unknown value"),
        ("wal_autocheckpoint: -1", "out of range"),
    ],
)
def test_unusable_values_are_problems_of_their_line(line: str, problem: str) -> None:
    text = f"{CONFIG}wal:\n  pragmas:\n    temp_store: memory\n    {line}\n".replace(
        "    temp_store: memory\n", "" if line.startswith("temp_store") else "    temp_store: memory\n"
    )
    with pytest.raises(ConfigError) as error:
        config_of(text.encode(), Path("/c/s.yaml"), {})
    [told] = error.value.detail.splitlines()
    assert problem in told
    assert f"wal.pragmas.{line.partition(':')[0]}" in told


@pytest.mark.parametrize(
    ("name", "one", "other", "page", "same"),
    [
        ("synchronous", "NORMAL", 1, 4096, True),
        ("synchronous", "NORMAL", "normal", 4096, True),
        ("synchronous", "NORMAL", 2, 4096, False),
        ("temp_store", "MEMORY", "2", 4096, True),
        ("temp_store", "MEMORY", "memory", 4096, True),
        ("cache_size", "-20000", 5000, 4096, True),
        ("cache_size", "-20000", 20000, 4096, False),
        ("cache_size", "-20000", 20000, 1024, True),
        ("foreign_keys", "ON", True, 4096, True),
        ("mmap_size", "536870912", 536870912.0, 4096, True),
        ("busy_timeout", "30000", 30, 4096, False),
    ],
)
def test_values_are_compared_by_what_they_mean(name: str, one: object, other: object, page: int, *, same: bool) -> None:
    assert (meaning(name, one, page) == meaning(name, other, page)) is same


TOLD = {"busy_timeout": 30000, "synchronous": 1, "cache_size": -20000, "temp_store": 2, "mmap_size": 536870912,
        "wal_autocheckpoint": 1000, "journal_size_limit": 67108864, "page_size": 4096}  # fmt: skip


def states(found: dict[str, object], **own: str) -> dict[str, Fit]:
    return {j.name: j.state for j in judge(found, profile(wanted(**own)))}


def test_a_connection_that_is_set_fits() -> None:
    judged = judge(TOLD, profile(Wal()))
    assert {j.state for j in judged} == {Fit.OK}
    assert {j.name: j.found for j in judged}["synchronous"] == "NORMAL"
    assert [j.finding for j in judged] == [None] * 7


@pytest.mark.parametrize(
    ("name", "value", "state"),
    [
        ("cache_size", 20000, Fit.DIFFERS),
        ("synchronous", 2, Fit.DIFFERS),
        ("synchronous", "", Fit.NOT_TOLD),
        ("mmap_size", 0, Fit.DIFFERS),
        ("mmap_size", None, Fit.NOT_TOLD),
        ("busy_timeout", 5000, Fit.DIFFERS),
        ("busy_timeout", [30000], Fit.NOT_TOLD),
        ("busy_timeout", "9" * 400, Fit.DIFFERS),
        ("journal_size_limit", float("nan"), Fit.NOT_TOLD),
    ],
)
def test_one_setting_that_does_not_fit(name: str, value: object, state: Fit) -> None:
    found = states({**TOLD, name: value})
    assert found.pop(name) is state
    assert set(found.values()) == {Fit.OK}
    [bad] = [j for j in judge({**TOLD, name: value}, profile(Wal())) if j.finding is not None]
    assert bad.finding is not None
    assert len(str(bad.found)) <= 60


def test_the_page_size_is_the_connection_s_own_before_anybody_else_s() -> None:
    told = {**TOLD, "cache_size": 5000}
    assert states(told)["cache_size"] is Fit.OK
    assert states({**told, "page_size": 8192})["cache_size"] is Fit.DIFFERS
    untold = {k: v for k, v in told.items() if k != "page_size"}
    [other] = [j for j in judge(untold, profile(Wal()), page_size=1024) if j.name == "cache_size"]
    assert other.state is Fit.DIFFERS
    assert "5000 KiB with pages of 1024" in other.note


def test_the_probe_s_line_is_found_among_others() -> None:
    noise = 'starting\n{"level": "info"}\n{"synchronous": 2}\n{"synchronous": 1}\n{"done": true}\nbye\n'
    assert parse_probe(noise) == {"synchronous": 1}


@pytest.mark.parametrize(
    "text", ["", "{}", "null", '["synchronous"]', "{" * 5000, '{"synchronous": 1', '{"a": ' + "9" * 5000]
)
def test_output_without_settings_is_said_to_be(text: str) -> None:
    with pytest.raises(UsageError) as error:
        parse_probe(text)
    assert error.value.code == "probe_unreadable"


def test_own_values_that_are_easily_mistaken_are_told() -> None:
    [pages] = findings_of(wanted(cache_size="20000"), 8192)
    assert (pages.code, pages.params) == (
        "pragma_cache_pages",
        {"value": 20000, "size": "156.2 MiB", "page_size": 8192, "kib": 160000},
    )
    assert findings_of(Wal()) == []
    assert findings_of(wanted(cache_size="-20000", mmap_size="0")) == []
    risky = findings_of(wanted(synchronous="OFF", wal_autocheckpoint="0"))
    assert [f.code for f in risky] == ["pragma_not_durable", "pragma_no_checkpoints"]


@pytest.mark.parametrize(("line", "page"), [("", 2048), ("page_size: 8192, ", 8192)])
async def test_the_check_counts_in_pages_that_the_file_has_or_will_have(line: str, page: int, tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "x") as conn:
        conn.execute("pragma page_size=2048")
        conn.execute("create table t(x)")
    text = f"{CONFIG}wal: {{{line}pragmas: {{cache_size: 20000}}}}\n"
    config = config_of(text.encode(), tmp_path / "s.yaml", {}).config
    async with check_context(config, state_dir=tmp_path / "state") as ctx:
        [found] = await wal_pragmas.run(ctx)
    assert found.params["page_size"] == page
