"""The command line as its users call it, in two languages and in terminals that can't show one of them."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HAN = re.compile("[\u4e00-\u9fff]")
CHINESE = {"LANG": "zh_CN.UTF-8", "PYTHONUTF8": "1"}


def stepflow(folder: Path, *args: str, **env: str) -> subprocess.CompletedProcess[bytes]:
    """One call with nothing in the environment but what is named."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "TMPDIR", "VIRTUAL_ENV")}
    state = str(folder / "state")
    return subprocess.run(
        [sys.executable, "-m", "stepflow_tui", "--state-dir", state, *args],
        cwd=folder, env={**kept, "PYTHONPATH": str(ROOT), **env}, capture_output=True, check=False, timeout=60,
    )  # fmt: skip


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A config whose source is small and sound and whose target nobody answers at."""
    with sqlite3.connect(tmp_path / "shop.db") as db:
        db.execute("create table item(id integer primary key, name text)")
        db.execute("insert into item values(1, 'tea')")
    db.close()
    path = tmp_path / "stepflow.yaml"
    path.write_text(
        "version: 1\nname: shop\nkind: sqlite-to-postgres\nmode: copy\nenvironment: test\nsource:\n  path: ./shop.db\n"
        "target:\n  dsn: postgresql://nobody@127.0.0.1:1/none\n  schema: public\n"
    )
    return path


@pytest.mark.parametrize("args", [(), ("run",), ("audit",), ("init",), ("demo",)], ids="-".join)
def test_help_is_chinese_by_option_and_by_environment(tmp_path: Path, args: tuple[str, ...]) -> None:
    asked = stepflow(tmp_path, *args, "--help", "--lang", "zh", PYTHONUTF8="1")
    found = stepflow(tmp_path, *args, "--help", **CHINESE)
    assert asked.stdout == found.stdout
    page = asked.stdout.decode()
    described = [line for line in page.splitlines() if line.startswith("  ") and "  " in line.strip()]
    assert described
    assert [line for line in described if not HAN.search(line)] == []
    assert page.startswith("用法: stepflow")


def test_chinese_help_fits_eighty_cells(tmp_path: Path) -> None:
    from rich.cells import cell_len

    page = stepflow(tmp_path, "init", "--help", "--lang", "zh", PYTHONUTF8="1", COLUMNS="80").stdout.decode()
    assert max(map(cell_len, page.splitlines())) <= 80


def test_check_speaks_chinese(config: Path) -> None:
    done = stepflow(config.parent, "check", **CHINESE)
    page = done.stdout.decode()
    assert done.returncode == 3, done.stderr.decode()
    assert "阻断      target_unreachable：" in page
    assert "          原因：没有目标，就什么也无法检查或复制。" in page
    english = stepflow(config.parent, "check", LANG="C").stdout.decode()
    assert "BLOCKING  target_unreachable: " in english
    assert not HAN.search(english)


def test_json_is_english_in_every_language(config: Path) -> None:
    chinese = json.loads(stepflow(config.parent, "check", "--json", **CHINESE).stdout)
    english = json.loads(stepflow(config.parent, "check", "--json", LANG="C").stdout)
    assert [f["what"] for f in chinese["findings"]] == [f["what"] for f in english["findings"]]
    error = json.loads(stepflow(config.parent, "check", "none.yaml", "--json", **CHINESE).stdout)["error"]
    assert error["message"].startswith("There is no config file ")


def test_errors_are_chinese_with_the_same_code_and_exit_code(tmp_path: Path) -> None:
    done = stepflow(tmp_path, "check", "none.yaml", **CHINESE)
    said = done.stderr.decode().splitlines()
    assert done.returncode == 2
    assert said[0] == f"错误：没有配置文件 {tmp_path / 'none.yaml'}。"
    assert said[-1] == "代码：config_missing（退出码 2）"
    usage = stepflow(tmp_path, "--nope", **CHINESE).stderr.decode()
    assert usage.startswith("错误：没有选项：--nope")


@pytest.mark.parametrize(
    "env", [{"LANG": "C"}, {"LC_ALL": "POSIX", "LANG": "zh_CN.UTF-8"}, {"LANG": "de_DE.UTF-8"}, {}]
)
def test_other_locales_speak_english(tmp_path: Path, env: dict[str, str]) -> None:
    done = stepflow(tmp_path, "--help", **env)
    assert done.stdout.startswith(b"Usage: stepflow [OPTIONS] COMMAND [ARGS]...")
    assert done.stdout.isascii()


def test_a_terminal_without_the_characters_gets_their_escapes(tmp_path: Path) -> None:
    done = stepflow(tmp_path, "runs", "--lang", "zh", PYTHONIOENCODING="ascii", PYTHONUTF8="0", LC_ALL="C")
    assert done.returncode == 0, done.stderr
    assert rb"\u4e2d\u6ca1\u6709\u8fd0\u884c" in done.stdout
    help_page = stepflow(tmp_path, "--help", "--lang", "zh", PYTHONIOENCODING="latin-1", PYTHONUTF8="0", LC_ALL="C")
    assert help_page.returncode == 0
    assert help_page.stdout.isascii()


def test_an_unknown_language_is_refused(tmp_path: Path) -> None:
    done = stepflow(tmp_path, "runs", "--lang", "xx", LANG="C")
    assert done.returncode == 2
    assert done.stderr.startswith(b"error: There is no language 'xx'.\n")
