"""Who may import whom, and what `stepflow --help` loads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAVY = (
    "textual",
    "rich",
    "asyncpg",
    "aiosqlite",
    "sqlite3",
    "pydantic",
    "yaml",
    "asyncio",
    "adbc_driver_manager",
    "nanoarrow",
    "click",
)


def test_import_contracts_hold() -> None:
    code = "import sys; from importlinter.cli import lint_imports_command; sys.argv=['lint-imports','--no-cache']; lint_imports_command()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("args", [["--help"], ["--version"], ["run", "--help"], ["backups", "--help"]])
def test_help_loads_nothing_heavy(args: list[str]) -> None:
    # typer itself checks arguments with pydantic; before any command is chosen it need not be there
    heavy = HEAVY if args[0].startswith("-") else tuple(m for m in HEAVY if m != "pydantic")
    code = (
        "import sys; from stepflow_tui.cli.app import run_command_line\n"
        f"code = run_command_line({args!r})\n"
        f"print([m for m in {heavy!r} if m in sys.modules], file=sys.stderr)\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, text=True, timeout=60
    )
    assert done.returncode == 0
    assert done.stdout
    assert done.stderr == "[]\n"


def test_help_loads_only_the_table_of_commands() -> None:
    code = (
        "import sys; from stepflow_tui.cli.app import run_command_line; run_command_line(['--help'])\n"
        "print(sorted(m for m in sys.modules if m.startswith('stepflow_tui.')), file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, text=True, timeout=60
    )
    assert "stepflow_tui.cli.run'" not in done.stderr
    assert "stepflow_tui.engine.config" not in done.stderr


@pytest.mark.parametrize(
    "module",
    ["stepflow_tui.engine", "stepflow_tui.engine.model", "stepflow_tui.engine.errors", "stepflow_tui.engine.texts"],
)
def test_values_load_no_driver(module: str) -> None:
    code = f"import {module}, sys; print([m for m in ('asyncpg','aiosqlite','sqlite3','pydantic','yaml','textual') if m in sys.modules])"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=False, text=True, timeout=60
    )
    assert done.stdout == "[]\n", done.stderr
