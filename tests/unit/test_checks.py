"""Each check decides by the facts it is given, and every finding has its words."""

from __future__ import annotations

import shutil
import sqlite3
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest

from stepflow_tui.engine import checks as registry
from stepflow_tui.engine.checks import (
    CHECKS,
    Check,
    CheckContext,
    Needs,
    config_tables,
    config_types,
    run_checks,
    source_encoding,
    source_file,
    source_filesystem,
    source_holders,
    source_journal,
    source_names,
    source_stall,
    source_tables,
    source_wal,
    system_backup_dir,
    system_disk,
    system_libraries,
    system_memory,
    system_state_dir,
    system_wal_reset,
)
from stepflow_tui.engine.errors import Refused
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.schema import Affinity, SourceColumn, SourceSchema, SourceTable, TableKind
from stepflow_tui.engine.sqlite.examine import Examined, Header, SourceState
from stepflow_tui.engine.sqlite.holders import Holder, Holders
from stepflow_tui.engine.sqlite.mounts import FileSystem, mount_of, parse_mountinfo
from stepflow_tui.engine.sqlite.recover import Readable
from stepflow_tui.engine.texts import render

NOBODY = Holders(known=True, complete=True)
SOMEBODY = Holders(known=True, complete=True, processes=(Holder(pid=7, command="app"),))
B, W, N = Severity.BLOCKING, Severity.WARNING, Severity.INFO


def table(name: str, *columns: str, kind: TableKind = TableKind.ORDINARY, unreadable: str | None = None) -> SourceTable:
    made = tuple(SourceColumn(name=c.split()[0], declared=c.partition(" ")[2], affinity=Affinity.TEXT) for c in columns)
    return SourceTable(name=name, kind=kind, columns=made, sql="", unreadable=unreadable)


def schema(*tables: SourceTable, encoding: str = "UTF-8") -> SourceSchema:
    return SourceSchema(encoding=encoding, page_size=4096, page_count=1, journal_mode="delete", schema_version=1, user_version=0,
                        application_id=0, tables=tables)  # fmt: skip


def header(*, wal: bool) -> Header:
    return Header(page_size=4096, wal=wal, change_counter=1, page_count=1, schema_cookie=1, library="3.40.1")


def context(
    tmp_path: Path, *, config: dict[str, Any] | None = None, tables: SourceSchema | None = None, **examined: Any
) -> CheckContext:
    base = {"name": "shop", "kind": "sqlite-to-postgres", "source": {"path": tmp_path / "s.db"}, **(config or {})}
    facts: dict[str, Any] = {
        "state": SourceState.SOUND,
        "filesystem": FileSystem(kind="ext4", mount_point="/"),
        "header": header(wal=False),
    }
    found = Examined(path=tmp_path / "s.db", real=tmp_path / "s.db", **{**facts, **examined})
    return CheckContext(
        config=Config.model_validate(base),
        state_dir=tmp_path / "state",
        backup_dir=tmp_path / "state" / "backup",
        examined=found,
        holders=NOBODY,
        readable=Readable(path=found.real, frozen=False) if found.readable else None,
        schema=tables or schema(table("users", "id INTEGER", "email TEXT")),
    )


def said(findings: list[Finding]) -> list[tuple[str, Severity]]:
    """Codes and severities; every finding must be fully worded."""
    for finding in findings:
        words = render(finding)
        for text in (words.what, words.why, words.fix):
            assert text
            assert "{" not in text, f"{finding.code}: {text}"
    return [(f.code, f.severity) for f in findings]


UNREADABLE = [s for s in SourceState if s not in (SourceState.SOUND, SourceState.HOT_JOURNAL, SourceState.EMPTY)]


@pytest.mark.parametrize("state", UNREADABLE)
async def test_every_unreadable_state_blocks_under_its_own_code(tmp_path: Path, state: SourceState) -> None:
    ctx = context(tmp_path, state=state, detail="what was seen")
    assert said(await source_file.run(ctx)) == [(f"source_{state.value}", B)]


async def test_empty_is_nothing_to_migrate_and_problems_are_passed_on(tmp_path: Path) -> None:
    assert said(await source_file.run(context(tmp_path, state=SourceState.EMPTY))) == [("source_empty", W)]
    assert said(await source_file.run(context(tmp_path))) == []
    ctx = context(tmp_path)
    ctx.problem = Refused("It changed.", detail="meanwhile", hint="Again.")
    assert said(await source_file.run(ctx)) == [("source_not_readable_now", B)]


async def test_journal_and_wal_are_told(tmp_path: Path) -> None:
    hot = context(tmp_path, state=SourceState.HOT_JOURNAL, journal_bytes=512)
    assert said(await source_journal.run(hot)) == [("source_hot_journal", W)]
    assert said(await source_journal.run(context(tmp_path))) == []
    wal = context(tmp_path, wal_bytes=4152, immutable=True, folder_read_only=True)
    assert said(await source_wal.run(wal)) == [("source_live_wal", N), ("source_read_without_locks", W)]
    assert said(await source_wal.run(context(tmp_path))) == []
    assert said(await source_wal.run(context(tmp_path, immutable=True))) == [], "a look that was proved afterwards"


async def test_names(tmp_path: Path) -> None:
    linked = {"links": 2, "other_names": ("t.db",), "file_mount": True}
    assert said(await source_names.run(context(tmp_path, **linked))) == [
        ("source_hard_links", W),
        ("source_file_mount", W),
    ]
    wal = context(tmp_path, header=header(wal=True), **linked)
    assert said(await source_names.run(wal)) == [("source_hard_links", B), ("source_file_mount", B)]
    (tmp_path / "s.db").symlink_to(tmp_path / "real.db")
    assert said(await source_names.run(context(tmp_path))) == [("source_symlink", N)]


async def test_file_systems(tmp_path: Path) -> None:
    network = FileSystem(kind="nfs4", mount_point="/mnt/data")
    assert said(await source_filesystem.run(context(tmp_path))) == []
    assert said(await source_filesystem.run(context(tmp_path, filesystem=FileSystem()))) == [
        ("source_filesystem_unknown", N)
    ]
    assert said(await source_filesystem.run(context(tmp_path, filesystem=network))) == [("source_on_network", W)]
    wal = context(tmp_path, filesystem=network, header=header(wal=True))
    assert said(await source_filesystem.run(wal)) == [("source_wal_on_network", B)]


async def test_holders_and_stall(tmp_path: Path) -> None:
    ctx = context(tmp_path, size=10**12)
    assert said(await source_stall.run(ctx)) == []
    ctx.holders = SOMEBODY
    assert said(await source_holders.run(ctx)) == [("source_held", W)]
    assert said(await source_stall.run(ctx)) == [("backup_would_stall", B)]
    ctx.config = ctx.config.model_copy(update={"mode": "live"})
    assert said(await source_holders.run(ctx)) == [("source_in_use", N)]
    ctx.holders = Holders(known=False, complete=False)
    assert said(await source_holders.run(ctx)) == [("source_holders_unknown", N)]
    ctx.holders = Holders(known=True, complete=False)
    assert said(await source_holders.run(ctx)) == [("source_holders_incomplete", N)]
    wal = context(tmp_path, size=10**12, header=header(wal=True))
    wal.holders = SOMEBODY
    assert said(await source_stall.run(wal)) == []


async def test_tables_and_encoding(tmp_path: Path) -> None:
    ctx = context(
        tmp_path,
        tables=schema(table("fts_data", kind=TableKind.SHADOW), encoding="UTF-16le"),
        schema_error="malformed (v)",
    )
    assert said(await source_tables.run(ctx)) == [("source_no_tables", W), ("source_schema_entry", W)]
    assert said(await source_encoding.run(ctx)) == [("source_utf16", N)]
    odd = context(
        tmp_path,
        tables=schema(table("t", "a"), table("v", kind=TableKind.VIRTUAL, unreadable="no such module: spellfix1")),
    )
    assert said(await source_tables.run(odd)) == [("source_table_unreadable", W)]
    assert said(await source_encoding.run(odd)) == []


async def test_config_names_must_exist_and_the_nearest_is_named(tmp_path: Path) -> None:
    config = {
        "tables": {"include": ("USERS", "log_*"), "exclude": ("usres",), "rename": {"user": "people"}},
        "types": {"by_type": {"integr": "bigint", "TEXT": "text"}, "by_column": {"users": {"emial": "citext", "ID": "bigint"}},
                  "dates": {"orders": {"made": "epoch_s"}}},
    }  # fmt: skip
    ctx = context(tmp_path, config=config)
    tables = await config_tables.run(ctx)
    assert said(tables) == [
        ("config_pattern_without_table", W),
        ("config_unknown_table", B),
        ("config_unknown_table", B),
    ]
    assert [f.params["name"] for f in tables] == ["log_*", "usres", "user"]
    assert tables[1].params["nearest"] == "did you mean users?"
    types = await config_types.run(ctx)
    assert said(types) == [("config_unknown_column", B), ("config_unknown_table", B), ("config_unknown_type", B)]
    assert [f.params["nearest"] for f in types] == ["did you mean email?", "there are: users", "did you mean INTEGER?"]


async def test_rules_of_the_verification_must_name_what_exists(tmp_path: Path) -> None:
    rules = {"USERS": {"exclude": ["emial"], "tolerance": {"ID": "1"}}, "lost": {"exclude": ["a"]}}
    found = await config_types.run(context(tmp_path, config={"verify": {"rules": rules}}))
    assert said(found) == [("config_unknown_column", B), ("config_unknown_table", B)]
    assert {f.params["key"] for f in found} == {"verify.rules"}


async def test_table_names_with_pattern_characters_match_themselves(tmp_path: Path) -> None:
    config = {"tables": {"include": ("a[1]*",)}, "types": {"by_type": {"decimal": "numeric"}}}
    ctx = context(tmp_path, config=config, tables=schema(table("A[1]*", "x DECIMAL(10,2)")))
    assert await config_tables.run(ctx) == []
    assert await config_types.run(ctx) == []


@pytest.mark.parametrize(
    ("version", "bad"),
    [((3, 6, 23), False), ((3, 7, 0), True), ((3, 40, 1), True), ((3, 44, 5), True), ((3, 44, 6), False), ((3, 45, 0), True),
     ((3, 50, 6), True), ((3, 50, 7), False), ((3, 51, 2), True), ((3, 51, 3), False), ((3, 53, 0), False)],
)  # fmt: skip
def test_wal_reset_range(version: tuple[int, int, int], *, bad: bool) -> None:
    assert system_wal_reset.has_wal_reset_bug(version) is bad


async def test_wal_reset_is_info_where_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 40, 1))
    assert said(await system_wal_reset.run(context(tmp_path))) == [("sqlite_wal_reset", N)]
    assert said(await system_wal_reset.run(context(tmp_path, config={"kind": "sqlite-wal"}))) == [
        ("sqlite_wal_reset", W)
    ]
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 53, 0))
    assert await system_wal_reset.run(context(tmp_path)) == []


async def test_libraries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    [versions] = await system_libraries.run(context(tmp_path))
    assert said([versions]) == [("library_versions", N)]
    assert str(versions.params["adbc_sqlite"]).startswith("3.")
    monkeypatch.setattr(sqlite3, "sqlite_version_info", (3, 30, 0))
    monkeypatch.setattr(system_libraries, "_version", lambda package: None if package == "asyncpg" else "1")
    found = said(await system_libraries.run(context(tmp_path)))
    assert found == [("sqlite_too_old", B), ("driver_missing", B), ("library_versions", N)]


async def test_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    config = {"backup": {"also": (tmp_path / "also",)}}
    ctx = context(tmp_path, size=10 * 2**30, config=config)
    for free, expected in ((100 * 2**30, []), (20 * 2**30, [("disk_space", W)]), (15 * 2**30, [("disk_space", B)])):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: usage(0, 0, free))
        assert said(await system_disk.run(ctx)) == expected


async def test_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for available, expected in ((2**30, []), (2**20, [("memory_low", W)])):
        monkeypatch.setattr(psutil, "virtual_memory", lambda available=available: SimpleNamespace(available=available))
        assert said(await system_memory.run(context(tmp_path))) == expected


async def test_state_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = context(tmp_path)
    assert await system_state_dir.run(ctx) == []
    ctx.state_dir.mkdir(mode=0o755)
    ctx.state_dir.chmod(0o755)
    assert said(await system_state_dir.run(ctx)) == [("state_dir_open", N)]
    ctx.state_dir.chmod(0o777)
    assert said(await system_state_dir.run(ctx)) == [("state_dir_open", W)]
    ctx.state_dir.chmod(0o700)
    monkeypatch.setattr(system_state_dir, "filesystem_of", lambda _: FileSystem(kind="nfs", mount_point="/home"))
    monkeypatch.setattr(system_state_dir.os, "access", lambda *_: False)
    assert said(await system_state_dir.run(ctx)) == [("state_dir_network", B), ("state_dir_not_writable", B)]


async def test_backup_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ctx = context(tmp_path, config={"backup": {"also": (tmp_path / "a" / "b",)}})
    before = sorted(tmp_path.iterdir())
    assert await system_backup_dir.run(ctx) == []
    assert sorted(tmp_path.iterdir()) == before

    def refuse(*_: object) -> int:
        raise OSError(30, "Read-only file system")

    monkeypatch.setattr(system_backup_dir.os, "open", refuse)
    monkeypatch.setattr(system_backup_dir, "filesystem_of", lambda _: FileSystem(kind="cifs", mount_point="/b"))
    found = await system_backup_dir.run(ctx)
    assert said(found) == [("backup_dir_not_writable", B), ("backup_dir_not_writable", B), ("backup_dir_network", W)]
    assert found[0].params["reason"] == "Read-only file system"


MOUNTS = r"""22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 22 0:40 / /srv/with\040space rw - nfs4 host:/export rw,vers=4.2
31 22 0:41 / /srv/fuse rw - fuse.sshfs user@host: rw
32 22 0:42 / /srv/ntfs rw - fuseblk /dev/sdb1 rw
33 22 8:1 /x.db /srv/app/x.db rw - ext4 /dev/sda1 rw
34 22 0:44 / /srv/wsl ro - 9p C:\134 rw
35 30 8:2 / /srv/with\040space/local rw - xfs /dev/sdc ro
"""


@pytest.mark.parametrize(
    ("path", "kind", "network"),
    [("/srv/other", "ext4", False), ("/srv/with space/a", "nfs4", True), ("/srv/with spaces", "ext4", False), ("/srv/fuse", "fuse.sshfs", True),
     ("/srv/ntfs/x", "fuseblk", False), ("/srv/app/x.db", "ext4", False), ("/srv/wsl/y", "9p", True), ("/srv/with space/local/z", "xfs", False)],
)  # fmt: skip
def test_the_longest_mount_point_decides(path: str, kind: str, *, network: bool) -> None:
    mounts = parse_mountinfo(MOUNTS)
    found = mount_of(path, mounts)
    assert (found.kind, found.network) == (kind, network)
    assert mount_of("/srv/app/x.db", mounts).mount_point == "/srv/app/x.db"
    assert mount_of("/srv/with space/local", mounts).read_only


async def test_all_checks_run_in_order_and_a_failing_one_blocks_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []

    def check(name: str, error: Exception | None = None, needs: Needs = Needs.NOTHING) -> Check:
        async def run(_: CheckContext) -> list[Finding]:
            ran.append(name)
            if error:
                raise error
            return []

        return Check(name=name, run=run, needs=needs)

    ctx = context(tmp_path, state=SourceState.MISSING)
    ctx.schema = None
    monkeypatch.setattr(
        registry, "CHECKS",
        (check("a", Refused("No.", detail="seen", hint="Do.")), check("b", PermissionError(13, "denied")), check("c", needs=Needs.SCHEMA), check("d")),
    )  # fmt: skip
    found = await run_checks(ctx)
    assert ran == ["a", "b", "d"]
    assert [(f.code, f.object) for f in found] == [("check_failed", "a"), ("check_failed", "b")]


def test_registry_has_each_check_once() -> None:
    names = [c.name for c in CHECKS]
    assert len(set(names)) == len(names)
    folder = Path(str(registry.__file__)).parent
    files = {
        f.stem
        for f in folder.glob("*.py")
        if f.stem.partition("_")[0]
        in ("source", "system", "config", "target", "live", "application", "wal", "app", "requirements")
    } - {"target", "live", "wal", "live_tables"}  # three lists, and what is asked of a plan
    assert files == set(names)
