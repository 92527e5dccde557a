"""Checks of a conversion in place: which are asked, what each says by its facts, and that every finding has its words."""

from __future__ import annotations

import os
import sqlite3
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stepflow_tui.engine.application.compose_file import read_compose
from stepflow_tui.engine.application.interpreter import ask_interpreter
from stepflow_tui.engine.checks import (
    CHECKS,
    CheckContext,
    app_interpreter,
    application_recipes,
    application_switches,
    requirements_machine,
    source_filesystem,
    source_journal,
    source_names,
    source_stall,
    source_tables,
    system_advice,
    wal_mode,
    wal_place,
)
from stepflow_tui.engine.checks.config_unused import run as unused_run
from stepflow_tui.engine.checks.config_unused import unused
from stepflow_tui.engine.checks.requirements_machine import memory_bytes
from stepflow_tui.engine.errors import StepFailed
from stepflow_tui.engine.model.config import Config, Mode
from stepflow_tui.engine.model.finding import Finding, Severity
from stepflow_tui.engine.model.schema import SourceSchema
from stepflow_tui.engine.model.versions import has_wal_reset_bug, older, version_of
from stepflow_tui.engine.plan.in_place import plan_in_place
from stepflow_tui.engine.sqlite.copies_child import find
from stepflow_tui.engine.sqlite.examine import Examined, Header, SourceState
from stepflow_tui.engine.sqlite.holders import Holder, Holders
from stepflow_tui.engine.sqlite.libraries import version_in
from stepflow_tui.engine.sqlite.mounts import FileSystem, mount_of, other_mounts, parse_mountinfo
from stepflow_tui.engine.sqlite.processes import allowed
from stepflow_tui.engine.sqlite.recover import Readable
from stepflow_tui.engine.texts import render

NOBODY = Holders(known=True, complete=True)
B, W, N = Severity.BLOCKING, Severity.WARNING, Severity.INFO
BASE: dict[str, Any] = {"name": "shop", "kind": "sqlite-wal", "source": {"path": "shop.db"}}


def schema(*, encoding: str = "UTF-8") -> SourceSchema:
    return SourceSchema(encoding=encoding, page_size=4096, page_count=1, journal_mode="delete", schema_version=1, user_version=0,
                        application_id=0, tables=())  # fmt: skip


def context(
    tmp_path: Path,
    config: dict[str, Any] | None = None,
    *,
    wal: bool = False,
    holders: Holders = NOBODY,
    **examined: Any,
) -> CheckContext:
    facts: dict[str, Any] = {
        "state": SourceState.SOUND,
        "filesystem": FileSystem(kind="ext4", mount_point="/"),
        "header": Header(page_size=4096, wal=wal, change_counter=1, page_count=1, schema_cookie=1, library="3.40.1"),
    }
    found = Examined(path=tmp_path / "s.db", real=tmp_path / "s.db", **{**facts, **examined})
    return CheckContext(
        config=Config.model_validate({**BASE, "source": {"path": tmp_path / "s.db"}, **(config or {})}),
        state_dir=tmp_path / "state",
        backup_dir=tmp_path / "state" / "backup",
        examined=found,
        holders=holders,
        readable=Readable(path=found.real, frozen=False),
        schema=schema(),
        folder=tmp_path,
    )


def said(findings: list[Finding]) -> list[tuple[str, Severity]]:
    """Codes and severities; every finding must be fully worded."""
    for finding in findings:
        words = render(finding)
        for text in (words.what, words.why, words.fix):
            assert text
            assert "{" not in text, f"{finding.code}: {text}"
    return [(f.code, f.severity) for f in findings]


# which checks are asked


@pytest.mark.parametrize("mode", ["in-place", "offline"])
def test_nothing_of_a_target_is_asked_in_place(tmp_path: Path, mode: str) -> None:
    ctx = context(tmp_path, {"mode": mode})
    asked = {c.name for c in CHECKS if c.asked(ctx)}
    assert not [n for n in asked if n.startswith(("target_", "live_", "config_tables", "config_types"))]
    assert {
        "wal_mode",
        "wal_holders",
        "app_interpreter",
        "requirements_machine",
        "application_health",
        "config_unused",
    } <= asked


def test_a_copy_is_asked_as_before(tmp_path: Path) -> None:
    ctx = context(tmp_path, {"kind": "sqlite-to-postgres"})
    asked = {c.name for c in CHECKS if c.asked(ctx)}
    assert not [n for n in asked if n.startswith(("wal_", "requirements_", "app_"))]
    assert {"source_holders", "config_tables", "config_types", "system_libraries", "live_writable"} <= asked


# the file


async def test_what_only_warns_a_copy_stops_a_conversion(tmp_path: Path) -> None:
    linked = {"links": 2, "other_names": ("t.db",), "file_mount": True}
    assert said(await source_names.run(context(tmp_path, **linked))) == [
        ("source_hard_links", B),
        ("source_file_mount", B),
    ]
    hot = context(tmp_path, state=SourceState.HOT_JOURNAL, journal_bytes=512)
    assert said(await source_journal.run(hot)) == [("wal_hot_journal", B)]
    broken = context(tmp_path, schema_error="malformed database schema (v)")
    assert said(await source_tables.run(broken)) == [("wal_schema_entry", B)]
    assert said(await source_tables.run(context(tmp_path))) == []
    used = Holders(known=True, complete=True, processes=(Holder(pid=7, command="app"),))
    assert said(await source_stall.run(context(tmp_path, holders=used, size=10**12))) == [("wal_backup_stalls", B)]


async def test_already_wal_is_nothing_to_do(tmp_path: Path) -> None:
    assert said(await wal_mode.run(context(tmp_path, wal=True))) == [("wal_already", N)]
    assert said(await wal_mode.run(context(tmp_path))) == []


MOUNTINFO = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
30 21 0:41 / /mnt/nfs rw,relatime shared:2 - nfs4 server:/export rw,vers=4.2
31 21 0:42 / /mnt/cifs rw,relatime - cifs //server/share rw
32 21 0:43 / /mnt/9p rw,relatime - 9p hostshare rw,trans=virtio
33 21 0:44 / /mnt/sshfs rw,nosuid,nodev,relatime - fuse.sshfs me@host:/srv rw
34 21 0:45 / /mnt/layer rw,noatime - overlay overlay rw,lowerdir=/l,upperdir=/u,workdir=/w
"""


@pytest.mark.parametrize("kind", ["nfs", "cifs", "9p", "sshfs"])
async def test_network_file_systems_stop_it_in_either_mode(tmp_path: Path, kind: str) -> None:
    where = mount_of(f"/mnt/{kind}/data", parse_mountinfo(MOUNTINFO))
    assert where.network
    for wal in (False, True):
        ctx = context(tmp_path, filesystem=where, wal=wal)
        assert said(await source_filesystem.run(ctx)) == [("wal_on_network", B)]


async def test_a_containers_layer_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "s.db").touch()
    where = mount_of("/mnt/layer/data", parse_mountinfo(MOUNTINFO))
    assert not where.network
    ctx = context(tmp_path, filesystem=where)
    assert said(await source_filesystem.run(ctx)) == []
    assert said(await wal_place.run(ctx)) == [("wal_overlay", W)]
    assert said(await wal_place.run(context(tmp_path))) == []


def test_single_file_mounts_are_found_by_the_file_itself(tmp_path: Path) -> None:
    real, point, other = tmp_path / "shop.db", tmp_path / "in" / "other.db", tmp_path / "in" / "shop.db"
    point.parent.mkdir()
    real.touch()
    os.link(real, point)  # the same identity under another name, as a mount shows it
    other.touch()
    device = real.stat().st_dev
    number = f"{os.major(device)}:{os.minor(device)}"
    table = tmp_path / "mountinfo"
    line = "40 21 {} {} {} rw - ext4 /dev/sda1 rw\n"
    table.write_text(
        line.format(number, real, point) + line.format("9:9", real, other) + line.format(number, real, real)
    )
    assert other_mounts(real, mountinfo=table) == (str(point),)
    assert other_mounts(real, mountinfo=tmp_path / "missing") == ()


# users and rights


@pytest.mark.parametrize(
    ("mode", "uid", "groups", "may"),
    [
        (0o700, 1000, {5}, True),
        (0o070, 1000, {50}, False),  # the owner's bits count for the owner, even where the group may do more
        (0o070, 1001, {50}, True),
        (0o755, 1001, {50}, False),
        (0o777, 1001, set(), True),
        (0o1777, 1001, set(), True),
        (0o702, 1001, set(), False),  # writing without entering makes no file
    ],
)
def test_rights_by_the_mode(mode: int, uid: int, groups: set[int], may: bool) -> None:
    status = os.stat_result((0o040000 | mode, 1, 1, 1, 1000, 50, 0, 0, 0, 0))
    assert allowed(status, uid, frozenset(groups), 0o3) is may


# the application's versions


@pytest.mark.parametrize(
    ("version", "bug"),
    [
        ("3.6.23", False),
        ("3.7.0", True),
        ("3.40.1", True),
        ("3.51.2", True),
        ("3.51.3", False),
        ("3.50.7", False),
        ("3.44.6", False),
    ],
)
async def test_the_sqlite_the_operator_names_is_judged(tmp_path: Path, version: str, bug: bool) -> None:
    assert has_wal_reset_bug(version_of(version)) is bug
    found = said(await app_interpreter.run(context(tmp_path, {"application": {"sqlite": version}})))
    expected = (
        ("app_sqlite_too_old", B) if version == "3.6.23" else ("app_wal_reset", W) if bug else ("app_sqlite_known", N)
    )
    assert found == [expected]


async def test_an_unknown_sqlite_is_asked_for_and_nothing_is_asked_without_a_folder(tmp_path: Path) -> None:
    ctx = context(tmp_path)
    assert said(await app_interpreter.run(ctx)) == [("app_sqlite_unknown", W)]
    ctx.folder = None
    assert await app_interpreter.run(ctx) == []


async def test_the_interpreter_is_asked(tmp_path: Path) -> None:
    asked = await ask_interpreter(Path(sys.executable), ("pytest", "no-such-package"))
    assert asked.python == sys.version_info[:3]
    assert asked.sqlite == sqlite3.sqlite_version
    assert asked.packages == {"pytest": pytest.__version__, "no-such-package": None}


async def test_modules_of_the_working_directory_do_not_answer_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "json.py").write_text("raise SystemExit('taken in')")
    monkeypatch.chdir(tmp_path)
    assert (await ask_interpreter(Path(sys.executable))).sqlite
    assert sorted(p.name for p in tmp_path.iterdir()) == ["json.py"]


@pytest.mark.parametrize(
    ("script", "detail"),
    [
        ("#!/bin/sh\necho hello", "did not answer as Python does"),
        ("#!/bin/sh\necho broken >&2; exit 3", "exit status 3: broken"),
        ("#!/bin/sh\nexec sleep 60", "not finished after"),
    ],
)
async def test_what_is_no_python_says_so_in_time(tmp_path: Path, script: str, detail: str) -> None:
    program = tmp_path / "python"
    program.write_text(script)
    program.chmod(0o755)
    with pytest.raises(StepFailed) as caught:
        await ask_interpreter(program, seconds=0.5 if "sleep" in script else 10)
    assert caught.value.code == "interpreter_failed"
    assert detail in caught.value.detail


async def test_an_interpreter_that_is_missing_stops_the_run(tmp_path: Path) -> None:
    ctx = context(tmp_path, {"application": {"python": tmp_path / "venv/bin/python", "sqlite": "3.53.0"}})
    assert said(await app_interpreter.run(ctx)) == [("app_interpreter", B), ("app_sqlite_known", N)]


async def test_requirements_of_the_interpreter(tmp_path: Path) -> None:
    python = {"python": Path(sys.executable), "sqlite": "3.53.0"}
    packages = {"pytest": "1.0", "pydantic": "99", "no-such-package": "1"}
    asked = {
        "application": python,
        "requirements": {"python": {"minimum": "3.99", "recommended": "4"}, "packages": packages},
    }
    codes = [
        c
        for c in said(await app_interpreter.run(context(tmp_path, asked)))
        if not c[0].startswith(("app_sqlite", "app_wal"))
    ]
    assert codes == [("app_python_old", B), ("app_package_old", B), ("app_package_missing", B)]
    better = {"application": python, "requirements": {"python": {"minimum": "3.8", "recommended": "4"}}}
    assert said(await app_interpreter.run(context(tmp_path, better)))[0] == ("app_python_recommended", N)
    without = {"application": {"sqlite": "3.53.0"}, "requirements": {"packages": {"pytest": "1"}}}
    assert said(await app_interpreter.run(context(tmp_path, without)))[0] == ("app_packages_unknown", W)


@pytest.mark.parametrize(
    ("version", "than", "is_older"),
    [
        ("3.8", "3.13", True),
        ("3.13.1", "3.13", False),
        ("2.0rc1", "2", False),
        ("1.2.3.4", "1.2.3.5", True),
        ("10", "9.9", False),
    ],
)
def test_versions_are_compared_by_numbers(version: str, than: str, is_older: bool) -> None:
    assert older(version, than) is is_older


def test_a_librarys_version_is_the_one_built_in(tmp_path: Path) -> None:
    source = b"2026-03-13 10:38:09 " + b"a" * 64
    library = tmp_path / "libsqlite3.so.0.8.6"
    library.write_bytes(b"\x7fELF\x00" + source + b"\x003.51.3\x00rest")
    assert version_in(library) == "3.51.3"
    library.write_bytes(b"\x7fELF\x003.51.3\x00rest")
    assert version_in(library) is None, "a number alone is no proof of SQLite"
    library.write_bytes(source + b"\x003.51.3\x00\x003.40.1\x00")
    assert version_in(library) is None, "two versions contradict each other"
    assert version_in(tmp_path / "missing") is None
    assert version_in(tmp_path) is None


# the machine


async def test_memory_and_disk(tmp_path: Path) -> None:
    written = {
        "requirements": {
            "memory": {"minimum": "900TiB", "recommended": "900TiB"},
            "disk": {"minimum": "900TiB", "recommended": "900TiB"},
        }
    }
    assert said(await requirements_machine.run(context(tmp_path, written))) == [
        ("app_memory_short", B),
        ("app_disk_short", B),
    ]
    better = {"requirements": {k: {"minimum": 1, "recommended": "900TiB"} for k in ("memory", "disk")}}
    assert said(await requirements_machine.run(context(tmp_path, better))) == [
        ("app_memory_recommended", W),
        ("app_disk_recommended", W),
    ]


async def test_our_own_figures_only_warn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requirements_machine, "memory_bytes", lambda pid: 1)
    monkeypatch.setattr(requirements_machine.shutil, "disk_usage", lambda _: SimpleNamespace(free=1))
    assert said(await requirements_machine.run(context(tmp_path))) == [("app_memory_short", W), ("app_disk_short", W)]


@pytest.mark.parametrize(
    ("table", "limits", "expected"),
    [
        ("0::/app/web\n", {"app/memory.max": "300", "app/web/memory.max": "max"}, 300),
        ("0::/app/web\n", {"app/memory.max": "300", "app/web/memory.max": "200"}, 200),
        ("0::/\n", {}, 1000),
        ("0::/\n", {"memory.max": "400"}, 400),
        ("5:memory:/docker/x\n4:cpu:/y\n", {"memory/docker/x/memory.limit_in_bytes": "250"}, 250),
        ("5:memory:/docker/x\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, 1000),
    ],
)
def test_a_control_groups_limit_counts(tmp_path: Path, table: str, limits: dict[str, str], expected: int) -> None:
    (tmp_path / "proc/7").mkdir(parents=True)
    (tmp_path / "proc/7/cgroup").write_text(table)
    for name, value in limits.items():
        file = tmp_path / "cgroup" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(value + "\n")
    assert memory_bytes("7", proc=tmp_path / "proc", cgroup=tmp_path / "cgroup", total=1000) == expected


async def test_settings_of_the_machine_are_advised(tmp_path: Path) -> None:
    for name, value in (("swappiness", 60), ("dirty_ratio", 20), ("dirty_background_ratio", 5)):
        (tmp_path / name).write_text(f"{value}\n")
    ctx = context(
        tmp_path, filesystem=FileSystem(kind="ext4", mount_point="/srv", options=frozenset({"rw", "relatime"}))
    )
    assert said(await system_advice.run(ctx, tmp_path)) == [
        ("advice_swappiness", N),
        ("advice_dirty_ratio", N),
        ("advice_noatime", N),
    ]
    quiet = replace(
        ctx.examined, filesystem=FileSystem(kind="ext4", mount_point="/srv", options=frozenset({"noatime"}))
    )
    ctx.examined = quiet
    assert said(await system_advice.run(ctx, tmp_path / "missing")) == []


# the config


FILLED: dict[str, Any] = {
    "target": {"schema": "app"}, "tables": {"exclude": ["t"]}, "types": {"by_type": {"X": "text"}}, "copy": {"streams": 2},
    "switch": {"strategy": "immediate"}, "capture": {"keep": "1d"}, "cutover": {"window": "1h", "retries": 1},
    "verify": {"invariants": [{"name": "n", "sqlite": "select 1", "postgres": "select 1"}]}, "sensitive": {"t": ["c"]},
    "application": {"pool": {"size": 5}}, "hooks": {"backfill": {"before": [{"run": "true"}]}, "cutover": {"before": [{"run": "true"}]}},
}  # fmt: skip


async def test_sections_that_mean_nothing_in_place_are_named(tmp_path: Path) -> None:
    ctx = context(tmp_path, FILLED)
    named = ["target", "tables", "types", "copy", "switch", "capture", "cutover.retries", "cutover.window", "verify.invariants",
             "sensitive", "application.pool", "hooks.backfill"]  # fmt: skip
    assert sorted(unused(ctx.config)) == sorted(named)
    assert set(said(await unused_run(ctx))) == {("wal_not_used", W)}
    offline = context(tmp_path, {**FILLED, "mode": "offline"}).config
    assert set(named) - set(unused(offline)) == {"cutover.window"}
    used = {
        "application": {"switches": [{"file": ".env", "set": {"A": "b"}}]},
        "wal": {"page_size": 8192},
        "requirements": {"network": ["a:1"]},
    }
    assert unused(context(tmp_path, used).config) == []


def test_the_applications_own_database_url_is_no_wish(tmp_path: Path) -> None:
    filled = {"database_env": {"prefix": "APP_"}, "target": {"dsn": "postgresql://app@db/app"}}
    assert unused(context(tmp_path, filled).config) == []
    assert unused(context(tmp_path, {"target": filled["target"]}).config) == ["target"]


async def test_a_switch_to_a_target_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("DATABASE_URL=x\nDB=y\n")
    config = {"application": {"switches": [{"file": tmp_path / ".env", "set": {"DATABASE_URL": "{target_dsn}"}}]}}
    assert said(await application_switches.run(context(tmp_path, config))) == [("wal_switch_target", B)]
    config = {"application": {"switches": [{"file": tmp_path / ".env", "set": {"DB": "{source_path}"}}]}}
    assert said(await application_switches.run(context(tmp_path, config))) == [("application_switches", N)]


async def test_offline_without_a_recipe_is_told_in_its_own_words(tmp_path: Path) -> None:
    assert said(await application_recipes.run(context(tmp_path, {"mode": "offline"}))) == [("wal_offline_no_recipe", N)]


def test_the_plan_has_no_tables_and_follows_schema_and_config(tmp_path: Path) -> None:
    config = context(tmp_path).config
    plan = plan_in_place(schema(), config, ())
    assert (plan.tables, plan.statements, plan.mode) == ((), (), Mode.IN_PLACE.value)
    other = context(tmp_path, {"wal": {"page_size": 8192}}).config
    hashes = {
        plan.hash,
        plan_in_place(schema(), other, ()).hash,
        plan_in_place(schema(encoding="UTF-16le"), config, ()).hash,
    }
    assert len(hashes) == 3
    assert plan_in_place(schema(), config, ()).hash == plan.hash


# several containers


def compose(tmp_path: Path, services: str, name: str = "compose.yaml") -> Path:
    file = tmp_path / name
    file.write_text(f"services:\n{services}")
    return file


SERVICES = [
    ("  web: {scale: 3}\n", "web", {"web": 3}, ()),
    ("  web: {deploy: {replicas: 2}}\n", "web", {"web": 2}, ()),
    ("  web: {deploy: {replicas: '${WEB_NUMBER:-4}'}}\n", "web", {"web": 4}, ()),
    ("  web: {deploy: {replicas: '${FROM_FILE}'}}\n", "web", {"web": 5}, ()),
    ("  web: {deploy: {replicas: '${NOT_SET}'}}\n", "web", {}, ()),
    ("  web: {deploy: {mode: global}}\n", "web", {"web": 2}, ()),
    ("  web: {deploy: {replicas: 1}}\n  other: {scale: 9}\n", "web", {}, ()),
    (
        "  web: {volumes: ['./data:/data']}\n  job: {volumes: [{type: bind, source: ./data, target: /x}]}\n",
        None,
        {},
        ("web", "job"),
    ),
    (
        "  web: {scale: 2, volumes: ['${DATA:-./data}:/data']}\n  proxy: {scale: 5, volumes: ['./conf:/c', '/anonymous']}\n",
        None,
        {"web": 2},
        ("web",),
    ),
]


@pytest.mark.parametrize(("services", "service", "replicas", "sharing"), SERVICES)
def test_compose_files(
    tmp_path: Path, services: str, service: str | None, replicas: dict[str, int], sharing: tuple[str, ...]
) -> None:
    (tmp_path / ".env").write_text("# numbers\nFROM_FILE='5'\n")
    found = read_compose(compose(tmp_path, services), tmp_path / "data" / "shop.db", service)
    assert (dict(found.replicas), found.services, found.problem) == (replicas, sharing, "")


def test_a_compose_files_override_counts_and_a_broken_one_is_told(tmp_path: Path) -> None:
    file = compose(tmp_path, "  web: {image: x}\n")
    compose(tmp_path, "  web: {scale: 2}\n", "compose.override.yaml")
    assert read_compose(file, tmp_path / "shop.db", "web").replicas == {"web": 2}
    for text in ("services: [", "services: {web: !!python/object:os.system {}}", "- a\n" * 2, "[" * 2000):
        file.write_text(text)
        found = read_compose(file, tmp_path / "shop.db", "web")
        assert found.problem or not found.services
    assert read_compose(tmp_path / "missing.yaml", tmp_path / "shop.db", "web").problem


# copies by timetable


LINES = [
    ("0 3 * * * root cp /srv/app/shop.db /backup/", "cp"),
    ("0 3 * * * root cp '/srv/app/shop.db' /backup/", "cp"),
    ("0 3 * * * rsync -a /srv/app/ backup@host:/b", "rsync"),
    ("0 3 * * * tar czf /backup/app.tgz /srv/app", "tar"),
    ("ExecStart=/usr/bin/scp /srv/app/shop.db* host:", "scp"),
    ("0 3 * * * cat /srv/app/shop.db | gzip > /backup/shop.gz", "cat"),
    ("# cp /srv/app/shop.db /backup/", ""),
    ("0 3 * * * sqlite3 /srv/app/shop.db \"VACUUM INTO '/backup/shop.db'\"", ""),
    ("0 3 * * * cp /etc/app.conf /srv/app/", ""),
    ("0 3 * * * cp /srv/app/shop.db.old /backup/", ""),
    ("0 3 * * * cp /old/srv/app/shop.db /backup/", ""),
]


@pytest.mark.parametrize(("line", "tool"), LINES)
def test_lines_that_copy_the_file(tmp_path: Path, line: str, tool: str) -> None:
    table = tmp_path / "crontab"
    table.write_text(f"MAILTO=root\n{line}\n")
    found = find(Path("/srv/app/shop.db"), Path("/srv/app/shop.db"), [table])
    assert found == ([{"file": str(table), "line": 2, "tool": tool}] if tool else [])


def test_scripts_and_units_are_read_and_nothing_else(tmp_path: Path) -> None:
    script = tmp_path / "backup.sh"
    script.write_text("#!/bin/sh\ncp /data/shop.db /backup/\n")
    cron, units = tmp_path / "cron.d", tmp_path / "systemd"
    (units / "app.service.d").mkdir(parents=True)
    cron.mkdir()
    (cron / "nightly").write_text(f"0 3 * * * root {script} >/dev/null 2>&1\n0 4 * * * root {tmp_path}\n")
    (cron / "binary").write_bytes(b"\x00cp /data/shop.db /backup/\n")
    os.mkfifo(cron / "pipe")
    (units / "app.service.d" / "x.conf").write_text("[Service]\nExecStartPost=/bin/cp /data/link.db /b\n")
    (units / "notes.txt").write_text("cp /data/shop.db /b\n")
    found = find(Path("/data/link.db"), Path("/data/shop.db"), [cron, units, tmp_path / "missing"])
    assert [(Path(f["file"]).name, f["line"]) for f in found] == [("x.conf", 2), ("backup.sh", 2)]
