"""The mark of a migrated file: what a later run, a rollback, a restore and a clean-up do with it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from stepflow_tui.client import write_owner
from stepflow_tui.engine.checks import check_context, run_checks
from stepflow_tui.engine.errors import Refused, StepFailed
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.control import FreeRunning, silent
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.plan.capture import capture_plan
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.sqlite.backup import make_backup
from stepflow_tui.engine.sqlite.backups import restore_backup
from stepflow_tui.engine.sqlite.examine import examine
from stepflow_tui.engine.sqlite.mark import Renamed, mark_of, read_mark, set_mark
from stepflow_tui.engine.steps.live.clean_up import rename_source
from stepflow_tui.engine.texts import render
from tests.integration.plan_kit import plan_of, schema_of, source

TABLES = "create table users (id integer primary key, name text); insert into users values (1, 'Ada');"
OLD, NEW = "shop-20260101T000000-0001", "shop-20260201T000000-0002"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file that the run OLD left for good."""
    made = source(tmp_path / "app.db", TABLES)
    set_mark(made, OLD)
    return made


async def found(path: Path, run_id: str | None = None, **more: Any) -> list[Finding]:
    """What the checks say of the mark."""
    base = {"name": "shop", "kind": "sqlite-to-postgres", "mode": "live", "source": {"path": path}}
    async with check_context(Config.model_validate(base | more), state_dir=path.parent / "s", run_id=run_id) as ctx:
        return [f for f in await run_checks(ctx) if "migrated" in f.code or "mark" in f.code]


async def captured(path: Path, run_id: str) -> None:
    """The capture of that run."""
    plan = await plan_of(path, mode="live")
    await capture.install(path, capture_plan(schema_of(path), plan.tables), run_id)


def rows(path: Path) -> list[str]:
    """What the file holds."""
    with closing(sqlite3.connect(path)) as opened:
        return [name for (name,) in opened.execute("select name from users")]


@pytest.mark.parametrize(
    ("more", "severity"),
    [
        ({}, Severity.BLOCKING),
        ({"mode": "offline"}, Severity.BLOCKING),
        ({"mode": "copy"}, Severity.WARNING),
        ({"kind": "sqlite-wal", "mode": "in-place"}, Severity.BLOCKING),
    ],
    ids=["live", "offline", "copy", "in place"],
)
async def test_a_migrated_file_is_no_source_until_somebody_says_so(
    path: Path, more: dict[str, Any], severity: Severity
) -> None:
    """Its routers would follow the new control row from PostgreSQL, where their data is, to this file."""
    [finding] = await found(path, **more)
    assert (finding.code, finding.severity) == ("source_migrated", severity)
    words = render(finding)
    assert OLD in words.what
    assert f"delete {mark_of(path)}" in words.fix
    assert await found(path, run_id=OLD, **more) == [], "the run itself, going on"
    mark_of(path).write_text("")
    assert [(f.code, f.severity) for f in await found(path, **more)] == [("source_mark_unreadable", severity)]
    mark_of(path).unlink()
    assert await found(path, **more) == []


async def test_a_mark_about_another_file_stops_nobody(path: Path) -> None:
    source(path.with_name("new.db"), TABLES).replace(path)
    assert await found(path) == []


async def test_a_capture_that_never_commits_leaves_the_mark(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(name: str) -> None:
        if name == "capture_stamped":
            raise StepFailed("no", code="no")

    monkeypatch.setattr(capture, "failpoint", fails)
    with pytest.raises(StepFailed):
        await captured(path, NEW)
    assert write_owner(path) == "postgresql"


async def test_a_run_that_is_taken_back_leaves_what_the_mark_said(path: Path) -> None:
    await captured(path, NEW)
    assert write_owner(path) == "sqlite"
    assert await capture.uninstall(path, NEW)
    assert write_owner(path) == "postgresql"
    mark = read_mark(path)
    assert mark is not None
    assert mark.run == OLD


@pytest.mark.parametrize(
    ("keep", "owner"), [(False, "sqlite"), (True, "postgresql")], ids=["rolled back", "cleaned up"]
)
async def test_the_mark_of_the_run_itself(tmp_path: Path, keep: bool, owner: str) -> None:
    path = source(tmp_path / "app.db", TABLES)
    await captured(path, NEW)
    set_mark(path, NEW)
    assert await capture.uninstall(path, NEW, keep_mark=keep)
    assert write_owner(path) == owner


async def test_no_backup_is_restored_in_the_place_of_a_migrated_file(path: Path) -> None:
    made = await make_backup(
        await examine(path),
        path.parent / "b",
        name="b.db",
        control=FreeRunning(),
        report=silent,
        deadline_s=60,
        now_ms=1,
    )
    await rename_source(path, OLD)
    with pytest.raises(Refused, match="migrated") as caught:
        await restore_backup(made, path, stamp="x")
    assert caught.value.code == "source_migrated"
    assert not path.exists()
    mark_of(path).unlink()
    await restore_backup(made, path, stamp="x")
    assert rows(path) == ["Ada"]


async def test_an_older_file_with_the_new_name_stays(path: Path) -> None:
    older = path.with_name("app.db.migrated")
    older.write_text("older")
    assert await rename_source(path, OLD) == str(path.with_name("app.db.migrated-2"))
    assert older.read_text() == "older"
    assert rows(path.with_name("app.db.migrated-2")) == ["Ada"]
    assert write_owner(path) == "postgresql"


@pytest.mark.parametrize("killed", ["before", "behind"])
async def test_a_file_that_appears_under_the_old_name_is_not_renamed(path: Path, killed: str) -> None:
    """The engine dies around the renaming; the application makes an empty database; the clean-up goes on."""
    if killed == "before":
        set_mark(path, OLD, renamed=Renamed(name="app.db.migrated", inode=path.stat().st_ino))
        assert write_owner(path) == "postgresql"
    else:
        await rename_source(path, OLD)
        source(path, "create table users (id, name); insert into users values (2, 'new');")
        assert write_owner(path) == "postgresql"
    assert await rename_source(path, OLD) == str(path.with_name("app.db.migrated"))
    assert rows(path.with_name("app.db.migrated")) == ["Ada"]
    assert path.exists() is (killed == "behind")


async def test_an_old_file_that_somebody_else_moved_is_told(path: Path) -> None:
    set_mark(path, OLD, renamed=Renamed(name="app.db.migrated", inode=path.stat().st_ino))
    path.rename(path.with_name("elsewhere.db"))
    with pytest.raises(StepFailed) as caught:
        await rename_source(path, OLD)
    assert caught.value.code == "source_gone"
