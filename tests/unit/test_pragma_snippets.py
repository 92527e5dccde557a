"""The snippets really set what they say, and the probes really tell it: executed where the language is there."""

from __future__ import annotations

import json
import shutil
import sqlite3
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from stepflow_tui.engine.model.config_wal import Wal
from stepflow_tui.engine.model.pragmas import PRODUCTION, profile
from stepflow_tui.engine.tuning.judging import Fit, judge, parse_probe
from stepflow_tui.engine.tuning.snippets import ASKED, STACKS, Stack, probe, snippet

NODE = shutil.which("node")
GOFMT = shutil.which("gofmt")
OWN = Wal(pragmas={"cache_size": "4000", "synchronous": "FULL", "foreign_keys": "ON", "busy_timeout": "1234"})


def load(text: str) -> dict[str, Any]:
    made: dict[str, Any] = {}
    exec(compile(text, "snippet", "exec"), made)
    return made


def fits(line: str, wal: Wal) -> bool:
    judged = judge(parse_probe(line), profile(wal))
    return {j.state for j in judged} == {Fit.OK}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A database in WAL mode with pages of 1 KiB: what counts pages can't pass for the usual size."""
    made = tmp_path / "shop.db"
    with sqlite3.connect(made) as conn:
        conn.execute("pragma page_size=1024")
        conn.execute("pragma journal_mode=wal")
        conn.execute("create table t(x)")
    return made


@pytest.mark.parametrize("wal", [Wal(), OWN], ids=["shipped", "own"])
def test_python(wal: Wal, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = load(probe(Stack.PYTHON))["probe"]
    ask(load(snippet(Stack.PYTHON, profile(wal)))["connect"](file))
    line = capsys.readouterr().out
    assert fits(line, wal)
    assert set(json.loads(line)) == {*ASKED, "sqlite_version"}
    ask(sqlite3.connect(file))
    assert not fits(capsys.readouterr().out, wal), "without the snippet they are not set"


@pytest.mark.parametrize("wal", [Wal(), OWN], ids=["shipped", "own"])
async def test_aiosqlite(wal: Wal, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    ask = load(probe(Stack.AIOSQLITE))["probe"]
    async with load(snippet(Stack.AIOSQLITE, profile(wal)))["connect"](file) as connection:
        await ask(connection)
    assert fits(capsys.readouterr().out, wal)
    async with aiosqlite.connect(file) as connection:
        await ask(connection)
    assert not fits(capsys.readouterr().out, wal)


@pytest.mark.parametrize("stack", [s for s in Stack if STACKS[s].language == "python"])
def test_python_s_own_compiler_takes_them(stack: Stack) -> None:
    for text in (snippet(stack, profile(OWN)), probe(stack)):
        compile(text, "snippet", "exec")


def test_sqlalchemy(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    engine = import_module("sqlalchemy").create_engine(f"sqlite:///{file}")
    ask = load(probe(Stack.SQLALCHEMY))["probe"]
    ask(engine)
    assert not fits(capsys.readouterr().out, Wal())
    engine.dispose()
    load(snippet(Stack.SQLALCHEMY, profile(Wal())))["tune"](engine)
    ask(engine)
    assert fits(capsys.readouterr().out, Wal())


def test_django_has_options_for_new_ones_and_a_signal_for_old_ones(file: Path) -> None:
    made = snippet(Stack.DJANGO, profile(Wal()))
    options = load(made.partition("# Older than 5.1")[0])["SQLITE_OPTIONS"]
    with sqlite3.connect(file, timeout=options["timeout"]) as conn:  # as its backend does: split by semicolons
        for command in options["init_command"].split(";"):
            conn.execute(command.strip()).fetchall()
        found = {name: conn.execute(f"pragma {name}").fetchone()[0] for name in PRODUCTION}
    assert {j.state for j in judge(found, profile(Wal()), page_size=1024)} == {Fit.OK}
    assert "connection_created.connect(tune" in made


DRIVER = """
import {{ tune }} from {snippet};
import {{ probe }} from {probe};
const said = [];
const answers = {answers};
const row = (sql) => {{ const name = sql.replace("PRAGMA ", ""); return name in answers ? {{ [name]: answers[name] }} : undefined; }};
const db = {{
  exec: (sql) => said.push(sql), prepare: (sql) => ({{ get: () => row(sql) }}),
  $queryRawUnsafe: async (sql) => {{ if (sql.includes("=")) said.push(sql); const found = row(sql); return found ? [found] : []; }},
}};
await tune(db);
await probe(db);
console.log(JSON.stringify(said));
"""


@pytest.mark.skipif(NODE is None, reason="there is no Node.js")
@pytest.mark.parametrize("stack", [Stack.NODE, Stack.PRISMA])
def test_node_and_prisma_say_these_statements_and_tell_what_they_are_answered(
    stack: Stack, tmp_path: Path, file: Path
) -> None:
    for name, text in (("snippet.mjs", snippet(stack, profile(Wal()))), ("probe.mjs", probe(stack))):
        (tmp_path / name).write_text(text)
    answers = '{"cache_size": 20000n, "synchronous": 1, "journal_mode": "wal"}'  # Prisma answers with BigInt
    (tmp_path / "main.mjs").write_text(DRIVER.format(snippet='"./snippet.mjs"', probe='"./probe.mjs"', answers=answers))
    ran = subprocess.run([str(NODE), "main.mjs"], cwd=tmp_path, capture_output=True, text=True, check=True)
    told, said = (json.loads(line) for line in ran.stdout.splitlines())
    assert said == [p.statement for p in profile(Wal())]
    assert (told["cache_size"], told["synchronous"], told["mmap_size"]) == (20000, 1, None)
    with sqlite3.connect(file) as conn:
        for statement in said:
            conn.execute(statement).fetchall()
        assert conn.execute("pragma cache_size").fetchone()[0] == -20000


@pytest.mark.parametrize("wal", [Wal(), OWN], ids=["shipped", "own"])
def test_go_names_every_setting_in_both_drivers(wal: Wal) -> None:
    made = snippet(Stack.GO, profile(wal))
    for one in profile(wal):
        assert f"_pragma={one.name}({one.value})" in made
        assert (f"_{one.name}={one.value}" in made) != (f'"{one.statement}"' in made), "in the address or in the hook"
    if GOFMT is not None:
        for text in (made, probe(Stack.GO)):
            ran = subprocess.run([GOFMT], input=text, capture_output=True, text=True, check=True)
            assert ran.stdout == text


@pytest.mark.parametrize("stack", Stack)
def test_every_way_has_both_and_asks_for_every_setting(stack: Stack) -> None:
    assert STACKS[stack].language in ("python", "javascript", "go")
    assert all(name in probe(stack) for name in ASKED)
    assert "sqlite_version" in probe(stack)
    assert all(name in snippet(stack, profile(Wal())) for name in PRODUCTION)


def test_a_snippet_runs_in_a_bare_interpreter(file: Path) -> None:
    text = snippet(Stack.PYTHON, profile(Wal())) + probe(Stack.PYTHON) + f"\nprobe(connect({str(file)!r}))\n"
    ran = subprocess.run([sys.executable, "-I", "-c", text], capture_output=True, text=True, check=True)
    assert fits(ran.stdout, Wal())
