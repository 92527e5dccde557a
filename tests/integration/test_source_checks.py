"""The whole preflight on real sources: what is found, and that nothing was changed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from stepflow_tui.engine.checks import check_context, run_checks
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.texts import render
from tests.integration.sources import content, holder, hot_journal, live_wal, make_db


async def findings(path: Path, state: Path) -> list[Finding]:
    config = Config.model_validate({"name": "shop", "kind": "sqlite-to-postgres", "source": {"path": path}})
    async with check_context(config, state_dir=state) as ctx:
        return await run_checks(ctx)


def graver(found: list[Finding]) -> dict[str, Severity]:
    return {f.code: f.severity for f in found if f.severity is not Severity.INFO}


async def test_a_sound_source_passes(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    before = content(path)
    assert graver(await findings(path, tmp_path / "state")) == {}
    assert content(path) == before
    assert not (tmp_path / "state").exists()


async def test_a_hot_journal_is_told_and_its_schema_read_from_a_copy(tmp_path: Path) -> None:
    path = hot_journal(tmp_path / "h.db")
    before = content(path)
    config = Config.model_validate({"name": "shop", "kind": "sqlite-to-postgres", "source": {"path": path}})
    async with check_context(config, state_dir=tmp_path / "state") as ctx:
        assert graver(await run_checks(ctx)) == {"source_hot_journal": Severity.WARNING}
        assert ctx.schema is not None
        assert [t.name for t in ctx.schema.tables] == ["parent", "child"]
    assert list((tmp_path / "state" / "scratch").iterdir()) == []
    assert content(path) == before


async def test_a_live_wal_passes_and_survives(tmp_path: Path) -> None:
    path = live_wal(tmp_path / "w.db")
    before = content(path)
    found = await findings(path, tmp_path / "state")
    assert graver(found) == {}
    assert "source_live_wal" in {f.code for f in found}
    assert content(path) == before


async def test_an_open_application_is_named(tmp_path: Path) -> None:
    path = make_db(tmp_path / "s.db")
    process = holder(path, "select count(*) from parent")
    try:
        found = await findings(path, tmp_path / "state")
    finally:
        process.communicate()
    assert graver(found) == {"source_held": Severity.WARNING}
    assert f"pid {process.pid}" in render(next(f for f in found if f.code == "source_held")).what


async def test_without_a_source_the_machine_is_checked_all_the_same(tmp_path: Path) -> None:
    found = await findings(tmp_path / "gone.db", tmp_path / "state")
    assert graver(found) == {"source_missing": Severity.BLOCKING}
    assert "library_versions" in {f.code for f in found}


@pytest.mark.parametrize("name", [os.fsdecode(b"\xff.db"), "50% off?.db"])
async def test_findings_about_odd_names_can_be_printed(tmp_path: Path, name: str) -> None:
    found = await findings(tmp_path / name, tmp_path / "state")
    text = render(next(f for f in found if f.code == "source_missing")).what
    assert text.encode("utf-8")
    assert ".db" in text


async def test_nothing_to_migrate(tmp_path: Path) -> None:
    (tmp_path / "zero.db").touch()
    assert graver(await findings(tmp_path / "zero.db", tmp_path / "state")) == {"source_empty": Severity.WARNING}
    import sqlite3

    conn = sqlite3.connect(tmp_path / "no tables.db", isolation_level=None)
    conn.execute("pragma user_version=1")
    conn.close()
    assert graver(await findings(tmp_path / "no tables.db", tmp_path / "state")) == {
        "source_no_tables": Severity.WARNING
    }
