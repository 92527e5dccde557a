"""The checks of live runs on real files, and tables made beforehand on a real server."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import namedtuple
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stepflow_tui.engine.checks import CHECKS, CheckContext, check_context, live_disk, live_owner, run_checks
from stepflow_tui.engine.checks.checklist import ITEMS
from stepflow_tui.engine.checks.live import LIVE_CHECKS
from stepflow_tui.engine.checks.live_tables import freeze_seconds, live_table_findings
from stepflow_tui.engine.model.checklist import ItemKind
from stepflow_tui.engine.model.config import Config
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.plan import ColumnFacts, Plan, TableFacts
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.plan.capture import capture_plan
from stepflow_tui.engine.playbooks.checklist import items_of
from stepflow_tui.engine.postgres.connect import Target
from stepflow_tui.engine.postgres.view import Wanted, look
from stepflow_tui.engine.sqlite import capture
from stepflow_tui.engine.texts import render
from stepflow_tui.engine.texts.checklist import TITLES
from tests.integration.plan_kit import plan_of, schema_of, source

B, W, N = Severity.BLOCKING, Severity.WARNING, Severity.INFO
RUN = "shop-20260101T000000-0001"
NAMES = {c.name for c in LIVE_CHECKS}
TABLES = "pragma journal_mode=wal; create table users (id integer primary key, name text unique);"


def config(path: Path, **more: Any) -> Config:
    base = {"name": "shop", "kind": "sqlite-to-postgres", "mode": "live", "source": {"path": path}}
    return Config.model_validate(base | more)


async def found(path: Path, *, run_id: str | None = None, **more: Any) -> list[Finding]:
    """What the checks of live runs say, in words without gaps."""
    async with check_context(config(path, **more), state_dir=path.parent / "state", run_id=run_id) as ctx:
        findings = [f for check in CHECKS if check.name in NAMES and ctx.has(check.needs) for f in await check.run(ctx)]
    return worded(findings)


def worded(findings: list[Finding]) -> list[Finding]:
    for finding in findings:
        words = render(finding)
        assert all((words.what, words.why, words.fix))
        assert "{" not in (words.what + words.why + words.fix).replace("{uncapturable: reconcile}", ""), words
    return findings


def told(findings: list[Finding]) -> list[tuple[str, Severity]]:
    return [(f.code, f.severity) for f in findings]


async def test_a_wal_file_of_ours_needs_no_word(tmp_path: Path) -> None:
    path = source(tmp_path / "shop.db", TABLES)
    assert await found(path) == []


async def test_other_modes_are_not_asked(tmp_path: Path) -> None:
    path = source(tmp_path / "shop.db", "create table _sf_log (x);")
    assert await found(path, mode="copy") == []
    assert ("live_names_taken", B) in told(await found(path))
    async with check_context(config(path), state_dir=tmp_path / "state") as ctx:
        assert "live_names_taken" in {f.code for f in await run_checks(ctx)}


async def test_capture_of_another_run_blocks_and_names_it(tmp_path: Path) -> None:
    path = source(tmp_path / "shop.db", TABLES)
    plan = await plan_of(path, mode="live")
    await capture.install(path, capture_plan(schema_of(path), plan.tables), RUN)
    [finding] = await found(path)
    assert told([finding]) == [("live_leftover", B)]
    assert finding.params["run"] == RUN
    assert "_sf_ctl" in str(finding.params["names"])
    assert await found(path, run_id=RUN) == []
    await capture.uninstall(path, RUN)
    assert await found(path) == []


async def test_names_that_capture_needs(tmp_path: Path) -> None:
    path = source(tmp_path / "shop.db", TABLES + "create table _SF_Log (x);")
    [finding] = await found(path)
    assert told([finding]) == [("live_names_taken", B)]
    assert finding.params["names"] == "_SF_Log"


async def test_rollback_journal_is_told(tmp_path: Path) -> None:
    path = source(tmp_path / "shop.db", "create table t (x integer primary key);")
    assert told(await found(path)) == [("live_rollback_journal", N)]


async def test_another_name_blocks(tmp_path: Path) -> None:
    path = source(tmp_path / "shop.db", "create table t (x integer primary key);")
    (tmp_path / "twin.db").hardlink_to(path)
    assert ("live_source_names", B) in told(await found(path))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can be another user for a moment")
async def test_a_source_that_only_others_may_write(tmp_path: Path) -> None:
    path = source(tmp_path / "shop.db", "create table t (x integer primary key);")
    for folder in (tmp_path, *tmp_path.parents[:-2]):
        folder.chmod(folder.stat().st_mode | 0o055)
    async with check_context(config(path), state_dir=tmp_path / "state") as ctx:
        said: dict[str, list[Finding]] = {}
        os.seteuid(65534)
        try:
            for check in LIVE_CHECKS:
                if check.name in ("live_writable", "live_owner"):
                    said[check.name] = worded(await check.run(ctx))
        finally:
            os.seteuid(0)
    assert told(said["live_writable"]) == [("live_source_read_only", B)]
    assert str(tmp_path) in str(said["live_writable"][0].params["paths"])
    assert told(said["live_owner"]) == [("live_other_owner", W)]
    assert said["live_owner"][0].params["owner"] == "root"


async def test_side_files_made_by_root_are_the_owners(tmp_path: Path) -> None:
    """Why root is not warned: what SQLite makes beside the file as root belongs to the file's owner."""
    if os.geteuid() != 0:
        pytest.skip("needs root")
    path = source(tmp_path / "shop.db", TABLES)
    os.chown(path, 65534, 65534)
    conn = sqlite3.connect(path)
    conn.execute("insert into users(name) values ('a')")
    assert {(tmp_path / f"shop.db{s}").stat().st_uid for s in ("-wal", "-shm")} == {65534}
    conn.close()
    async with check_context(config(path), state_dir=tmp_path / "state") as ctx:
        assert await live_owner.run(ctx) == []


async def test_the_applications_triggers_are_named(tmp_path: Path) -> None:
    triggers = """
    create trigger touched after update on users begin update users set name = new.name where id = new.id; end;
    create table audit (id integer primary key, who integer);
    create trigger audited after insert on users begin insert into audit(who) values (new.id); end;
    create view v as select 1 as x;
    create trigger through instead of insert on v begin insert into audit(who) values (1); end;
    """
    found_now = await found(source(tmp_path / "shop.db", TABLES + triggers))
    assert told(found_now) == [("live_app_triggers", N), ("live_recursive_triggers", N)]
    assert found_now[0].params == {"count": 2, "names": "touched, audited"}
    assert found_now[1].params == {"count": 1, "names": "touched"}


Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("free", "said"),
    [
        (10**12, []),
        (2 * 10**9 + 1, [("live_disk_space", W)]),  # the log has no room
        (10**9, [("live_disk_space", B)]),
    ],
)
async def test_room_on_one_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, said: list[tuple[str, Severity]]
) -> None:
    """A gigabyte to back up, a snapshot as large, and a log of a gibibyte."""
    path = source(tmp_path / "shop.db", TABLES)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(free, 0, free))
    async with check_context(config(path), state_dir=tmp_path) as ctx:
        assert told(worded(await live_disk.run(sized(ctx)))) == said


def sized(ctx: CheckContext) -> Any:
    facts = SimpleNamespace(size=10**9, wal_bytes=0, real=ctx.examined.real)
    return SimpleNamespace(config=ctx.config, state_dir=ctx.state_dir, backup_dir=ctx.backup_dir, examined=facts)


async def test_a_disk_that_holds_the_source_alone_needs_room_for_the_log(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = Path("/dev/shm")
    if not elsewhere.is_dir() or elsewhere.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    path = source(tmp_path / "shop.db", TABLES)
    monkeypatch.setattr(shutil, "disk_usage", lambda p: Usage(0, 0, 10**8 if str(p) == str(tmp_path) else 10**12))
    async with check_context(config(path), state_dir=elsewhere, run_dir=elsewhere) as ctx:
        [finding] = worded(await live_disk.run(sized(ctx)))
    assert (finding.code, finding.severity, finding.object) == ("live_disk_space", W, str(tmp_path))


MADE = """
create table public.parents (id bigint primary key);
create table public.children (id bigint primary key, parent bigint references public.parents on delete cascade);
create table public.calm (id bigint primary key, parent bigint references public.parents);
create table public.others (id bigint primary key);
create table public.apart (id bigint primary key, other bigint references public.others on delete set null);
create function public.stamp() returns trigger language plpgsql as 'begin return new; end';
create trigger stamped before update on public.calm for each row execute function public.stamp();
create trigger off before update on public.parents for each row execute function public.stamp();
alter table public.parents disable trigger off
"""


async def test_tables_made_beforehand_that_would_act(tmp_path: Path, pg_target: Target) -> None:
    connection = await pg_target.connect()
    await connection.execute(MADE)
    await connection.close()
    path = source(tmp_path / "shop.db", TABLES)
    view = await look(pg_target, Wanted(existing=True, tables=frozenset({"parents", "calm"})))
    async with check_context(config(path), state_dir=tmp_path / "state", target=view) as ctx:
        findings = worded([f for c in LIVE_CHECKS if c.name == "live_target" for f in await c.run(ctx)])
    assert [(f.code, f.object) for f in findings] == [
        ("live_target_triggers", "public.calm"),
        ("live_target_cascades", "public"),
    ]
    assert findings[0].params["names"] == "stamped"
    assert findings[1].params["names"] == "children.children_parent_fkey"


PARTED = """
create table public.plain (id bigint primary key);
create table public.parted (id bigint primary key) partition by range (id);
create table public.parted_1 partition of public.parted for values from (0) to (100);
create table public.heir () inherits (public.plain);
create table public.calm (id bigint primary key)
"""


async def test_tables_of_several_parts_are_refused(tmp_path: Path, pg_target: Target) -> None:
    connection = await pg_target.connect()
    await connection.execute(PARTED)
    await connection.close()
    path = source(tmp_path / "shop.db", TABLES)
    wanted = frozenset({"plain", "parted", "parted_1", "heir", "calm"})
    view = await look(pg_target, Wanted(existing=True, tables=wanted))
    async with check_context(config(path), state_dir=tmp_path / "state", target=view) as ctx:
        findings = worded([f for c in LIVE_CHECKS if c.name == "live_target" for f in await c.run(ctx)])
    assert {f.object for f in findings if f.code == "live_target_partitioned"} == {
        "public.plain", "public.parted", "public.parted_1", "public.heir",
    }  # fmt: skip
    assert {f.severity for f in findings} == {B}


ODD = """
create table plain (id integer primary key, v text);
create table hidden (rowid text, _rowid_ text, oid text);
create virtual table words using fts5(body);
create table codes (id integer primary key, code text not null default (random()) unique);
"""


async def odd(tmp_path: Path, **more: Any) -> tuple[Plan, SourceSchema, Config]:
    path = source(tmp_path / "shop.db", ODD)
    return await plan_of(path, mode="live", **more), schema_of(path), config(path, **more)


async def test_tables_that_can_not_be_captured_refuse_the_run(tmp_path: Path) -> None:
    plan, schema, asked = await odd(tmp_path)
    findings = worded(live_table_findings(plan, schema, asked))
    assert {(f.code, f.severity, f.object) for f in findings} == {
        ("live_uncapturable", B, "hidden"),
        ("live_uncapturable", B, "words"),
        ("live_partly_captured", B, "codes"),
    }
    reasons = {f.object: str(f.params["reason"]) for f in findings}
    assert "virtual" in reasons["words"]
    assert "gives another value" in reasons["codes"]


async def test_with_reconcile_a_log_that_may_miss_rows_costs_a_freeze_that_is_told(tmp_path: Path) -> None:
    plan, schema, asked = await odd(tmp_path, capture={"uncapturable": "reconcile"})
    findings = worded(live_table_findings(plan, schema, asked))
    assert {(f.code, f.severity, f.object) for f in findings} == {
        ("live_uncapturable", B, "hidden"),
        ("live_uncapturable", B, "words"),
        ("live_reconciled", W, "codes"),
    }
    told = next(f.params for f in findings if f.code == "live_reconciled")
    assert told["allowed_seconds"] == 5.0
    assert isinstance(told["seconds"], float)
    copying = asked.model_copy(update={"mode": "copy"})
    assert live_table_findings(plan, schema, copying) == []


def test_the_freeze_grows_with_rows_and_bytes() -> None:
    few, many = TableFacts(rows=1_000_000), TableFacts(rows=1_000_000, columns={"a": ColumnFacts(mean_bytes=100.0)})
    assert freeze_seconds([few]) == pytest.approx(16.0)
    assert freeze_seconds([many]) == pytest.approx(16.0 + 12.0)
    assert freeze_seconds([few, many]) == pytest.approx(44.0)


def test_live_items_of_the_checklist(tmp_path: Path) -> None:
    live = {i.id: i for i in items_of(config(tmp_path / "shop.db"))}
    copy = {i.id: i for i in items_of(config(tmp_path / "shop.db", mode="copy"))}
    assert live.keys() - copy.keys() == {"capture-healthy", "application-routed", "application-switched"}
    assert {i.id for i in ITEMS if i.live} == live.keys() - copy.keys()
    assert live["application-routed"].kind is ItemKind.MANUAL
    assert (live["application-routed"].before, live["application-switched"].before) == ("switch_reads", "observe")
    # both are a person's, and due before anything is made in the source
    assert {live[i].before for i in ("sqlite-version", "other-readers", "backup-database")} == {"capture"}
    assert {copy[i].before for i in ("sqlite-version", "other-readers", "backup-database")} == {"backfill"}
    assert live.keys() <= TITLES.keys()
