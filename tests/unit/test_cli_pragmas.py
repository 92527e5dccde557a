"""`stepflow pragmas`: the table, the snippets, the probe, and judging what it told; with the real engine."""

from __future__ import annotations

import io
import json
import os
import shlex
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Cli = Callable[..., int]
CONFIG = "version: 1\nname: shop\nkind: sqlite-wal\nsource: {path: shop.db}\n"
TOLD = {"busy_timeout": 30000, "synchronous": 1, "cache_size": -20000, "temp_store": 2, "mmap_size": 536870912,
        "wal_autocheckpoint": 1000, "journal_size_limit": 67108864, "sqlite_version": "3.40.1", "journal_mode": "wal"}  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    with sqlite3.connect(tmp_path / "shop.db") as conn:
        conn.execute("pragma page_size=8192")
        conn.execute("create table t(x)")
    file = tmp_path / "stepflow.yaml"
    file.write_text(CONFIG)
    return file


def given(capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_table_names_value_place_and_reason(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    """Without a config: the shipped profile."""
    assert cli("pragmas") == 0
    told = capsys.readouterr().out
    connection, _, file = told.partition("The file keeps:")
    assert "synchronous = NORMAL" in connection
    assert "cache_size = -20000, KiB" in connection
    assert "positive numbers count pages" in connection
    assert "foreign_keys is left as the application sets it" in connection
    assert "never damages the file" in " ".join(connection.split())
    assert "journal_mode = wal" in file
    assert cli("pragmas", "--json") == 0
    found = given(capsys)
    assert [row["name"] for row in found["file"]] == ["journal_mode"]
    assert {"value", "meaning", "why", "risk"} <= found["connection"][0].keys()


def test_a_cache_in_pages_is_told_in_bytes_of_this_database(
    cli: Cli, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(CONFIG + "wal: {pragmas: {cache_size: 20000, foreign_keys: 'ON'}}\n")
    assert cli("pragmas") == 0
    told = capsys.readouterr().out
    assert "156.2 MiB of memory for each connection with pages of 8192 bytes" in told
    assert "foreign_keys = ON, from the config" in told
    assert "is left as the application sets it" not in told
    assert cli("pragmas", str(config), "--json") == 0
    assert [f["code"] for f in given(capsys)["findings"]] == ["pragma_cache_pages"]


@pytest.mark.parametrize("stack", ["python", "aiosqlite", "sqlalchemy", "prisma", "django", "go", "node"])
def test_snippet_and_probe(stack: str, cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("pragmas", "--for", stack) == 0
    snippet = capsys.readouterr().out
    assert "30000" in snippet
    assert cli("pragmas", "--for", stack, "--probe") == 0
    probe = capsys.readouterr().out
    assert "sqlite_version" in probe
    assert cli("pragmas", "--for", stack, "--json") == 0
    found = given(capsys)
    assert (found["snippet"], found["probe"]) == (snippet, probe)


def test_what_the_probe_told_is_judged(
    cli: Cli, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    told = tmp_path / "told.json"
    told.write_text("a line of a log\n" + json.dumps(TOLD))
    assert cli("pragmas", "--check", str(told)) == 0
    assert "Every setting fits." in capsys.readouterr().out
    told.write_text(json.dumps({**TOLD, "cache_size": 20000, "mmap_size": None, "sqlite_version": "\x1b[2J3.51.3"}))
    assert cli("pragmas", "--check", str(told)) == 4
    text = capsys.readouterr().out
    assert "DIFFERS" in text
    assert "NOT TOLD" in text
    assert "160000 KiB with pages of 8192 bytes" in text
    assert "\x1b" not in text
    stdin = io.TextIOWrapper(io.BytesIO(json.dumps({**TOLD, "synchronous": 2}).encode()))
    monkeypatch.setattr("sys.stdin", stdin)
    assert cli("pragmas", "--check", "-", "--json") == 4
    found = given(capsys)
    assert (found["fits"], found["exit_code"], found["wal_reset_bug"]) == (False, 4, True)
    assert [(f["code"], f["object"]) for f in found["findings"]] == [("pragma_differs", "synchronous")]


def test_the_line_is_found_at_the_end_of_a_long_output(cli: Cli, config: Path, tmp_path: Path) -> None:
    told = tmp_path / "told.json"
    told.write_text("noise\n" * 400_000 + json.dumps(TOLD))
    assert cli("pragmas", "--check", str(told)) == 0


PROBE = """\
import sqlite3, sys
sys.path.insert(0, {folder!r})
from probe import probe
from tuned import connect
print("password=hunter22")
probe({connect}("shop.db"))
"""


@pytest.mark.parametrize(("connect", "code"), [("connect", 0), ("sqlite3.connect", 4)])
def test_the_config_s_own_probe_is_asked(
    connect: str, code: int, cli: Cli, config: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, args in (("probe", ["--probe"]), ("tuned", ["--for", "python"])):
        assert cli("pragmas", *args) == 0
        (tmp_path / f"{name}.py").write_text(capsys.readouterr().out)
    (tmp_path / "app.py").write_text(PROBE.format(folder=str(tmp_path), connect=connect))
    config.write_text(CONFIG + f"wal: {{probe: {json.dumps(shlex.join([sys.executable, 'app.py']))}}}\n")
    assert cli("pragmas", "--ask", "--json") == code
    found = given(capsys)
    assert found["sqlite_version"] == sqlite3.sqlite_version
    assert {row["state"] for row in found["settings"]} == ({"ok"} if code == 0 else {"ok", "differs"})
    assert cli("pragmas", "--ask") == code


@pytest.mark.parametrize(
    ("command", "code", "name"),
    [
        ("echo secret-$TOKEN password=hunter22; exit 3", 1, "probe_failed"),
        ("echo nothing of use", 2, "probe_unreadable"),
        ("no-such-program-here", 1, "probe_failed"),
    ],
)
def test_a_probe_that_tells_nothing(
    command: str, code: int, name: str, cli: Cli, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config.write_text(CONFIG + f"wal: {{probe: {json.dumps(command)}}}\n")
    assert cli("pragmas", "--ask", "--json") == code
    error = given(capsys)["error"]
    assert error["code"] == name
    assert "hunter22" not in json.dumps(error)


async def test_a_probe_that_never_ends_is_ended(tmp_path: Path) -> None:
    from stepflow_tui.engine.application.pragma_probe import ask_probe
    from stepflow_tui.engine.errors import StepFailed

    command = f"echo $$ > {shlex.quote(str(tmp_path / 'pid'))}; exec sleep 600"
    with pytest.raises(StepFailed) as error:
        await ask_probe(command, folder=tmp_path, redact=str, seconds=0.5)
    assert error.value.code == "probe_failed"
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "pid").read_text()), 0)


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (["--for", "cobol"], "unknown_stack"),
        (["--check", "nowhere.json"], "probe_unreadable"),
        (["--check", "."], "probe_unreadable"),
        (["--check", "stepflow.yaml"], "probe_unreadable"),
        (["--check", "x", "--ask"], "pragmas_what"),
        (["--ask", "--probe"], "pragmas_what"),
        (["--ask"], "no_probe"),
        (["nowhere.yaml"], "config_missing"),
    ],
)
def test_calls_that_can_not_be_done(
    args: list[str], code: str, cli: Cli, config: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("pragmas", *args, "--json") == 2
    error = given(capsys)["error"]
    assert error["code"] == code
    assert error["hint"]


def test_a_database_that_is_not_there_stops_no_advice(cli: Cli, config: Path, tmp_path: Path) -> None:
    (tmp_path / "shop.db").unlink()
    assert cli("pragmas") == 0
