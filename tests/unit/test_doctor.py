"""`doctor` without a database: its words, its judgement of mode bits, its command, and what of runs it tells."""

from __future__ import annotations

import ast
import json
import os
import sqlite3
import stat
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from stepflow_tui.engine.application.processes import User
from stepflow_tui.engine.facade import doctor_access
from stepflow_tui.engine.facade.doctor import doctor
from stepflow_tui.engine.facade.doctor_access import ENTER, READ, WRITE, Person, access_problems, may
from stepflow_tui.engine.facade.doctor_problem import Problem, told
from stepflow_tui.engine.facade.secrets import secret_name
from stepflow_tui.engine.journal.writer import JOURNAL
from stepflow_tui.engine.model.finding import Severity
from stepflow_tui.engine.model.redact import redactor
from stepflow_tui.engine.texts.doctor import PROBLEMS
from tests.run_kit import bench, book
from tests.unit.cli_kit import FakeEngine
from tests.unit.conftest import Cli

FACADE = Path(doctor_access.__file__).parent


def used() -> set[str]:
    """Literals of the doctor's modules that are codes."""
    found = set()
    for path in FACADE.glob("doctor*.py"):
        found |= {
            n.value
            for n in ast.walk(ast.parse(path.read_text()))
            if isinstance(n, ast.Constant) and isinstance(n.value, str)
        }
    return found


def test_every_code_is_used_and_every_text_is_whole() -> None:
    assert set(PROBLEMS) - used() == set(), "words without a problem"
    for advice in PROBLEMS.values():
        assert all(text.strip() for text in advice)


def test_a_problem_hides_secrets_in_all_its_parts() -> None:
    params = {"what": "http://u:hunter22@h/", "reason": "DB_PASSWORD=abcdefgh"}
    found = told(Problem(code="unhealthy", params=params, evidence=("token-canary",)), redactor({"token-canary"}))
    assert "hunter22" not in str(found)
    assert "abcdefgh" not in str(found)
    assert "token-canary" not in str(found)
    assert found["severity"] == "warning"
    assert not Problem(code="unhealthy", severity=Severity.INFO).counts


def facts(mode: int, uid: int, gid: int) -> os.stat_result:
    return os.stat_result((mode, 0, 0, 1, uid, gid, 0, 0, 0, 0))


@pytest.mark.parametrize(("mode", "uid", "gid", "wanted", "answer"), [
    (0o600, 5, 5, READ | WRITE, True), (0o400, 5, 5, READ | WRITE, False), (0o060, 5, 7, READ, False),
    (0o060, 6, 7, READ | WRITE, True), (0o006, 6, 7, READ, False), (0o006, 6, 8, READ | WRITE, True), (0o701, 6, 8, ENTER, True),
])  # fmt: skip
def test_mode_bits_are_judged_as_the_kernel_does(mode: int, uid: int, gid: int, wanted: int, answer: bool) -> None:
    assert may(Person(uid=5, groups=(7,)), facts(mode, uid, gid), wanted) is answer
    assert may(Person(uid=0, groups=()), facts(mode, uid, gid), wanted)


def test_those_who_use_the_file_are_asked_about_not_its_owner(tmp_path: Path) -> None:
    path = tmp_path / "shop.db"
    path.touch()
    path.chmod(0o600)
    nobody = User(pid=1, command="app", memory=None, uid=54_321, groups=(54_321,))
    codes = {p.code for p in access_problems(path, [nobody])}
    assert {"permission_file", "permission_folder"} <= codes
    assert f"uid {54_321}" == Person(uid=54_321, groups=()).name
    assert stat.filemode(path.stat().st_mode) in str(access_problems(path, [nobody]))


def test_a_read_only_file_system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "shop.db").touch()
    assert access_problems(tmp_path / "shop.db", ()) == []
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=os.ST_RDONLY))
    assert [p.code for p in access_problems(tmp_path / "shop.db", ())] == ["filesystem_read_only"]


@pytest.mark.parametrize(
    "name", ["DB_PASSWORD", "PGPASSWORD", "API_KEY", "SECRET_KEY", "DATABASE_URL", "GITHUB_TOKEN", "DSN"]
)
def test_names_of_secrets(name: str) -> None:
    assert secret_name(name)


@pytest.mark.parametrize("name", ["HOME", "GIT_AUTHOR_NAME", "KEYMAP", "LANG", "MONKEY"])
def test_names_of_no_secrets(name: str) -> None:
    assert not secret_name(name)


@pytest.mark.parametrize("text", [
    "DB_PASSWORD=geheim12 x", "export APP_DB_PASSWORD='geheim12' x", 'PGPASSWORD="geheim12" x', "password=geheim12 x",
    "postgresql://u:geheim12@h/d x", "A_PASSPHRASE=geheim12, x",
])  # fmt: skip
def test_passwords_are_found_by_their_names(text: str) -> None:
    shown = redactor(())(text)
    assert "geheim12" not in shown
    assert shown.endswith(" x")
    assert redactor(())("SET USER_PASSWORD=#fp:0123456789") == "SET USER_PASSWORD=#fp:0123456789"


async def lost_run(folder: Path) -> Path:
    """A run whose engine is gone, and whose verification found a difference; the state directory."""
    async with bench(folder, book()) as made:
        run_dir = made.ctx.run_dir
    with closing(sqlite3.connect(run_dir / JOURNAL)) as journal:
        journal.execute("update run set state='running', result=null")
        journal.execute(
            "insert into tbl(source, ord, target, source_rows, target_rows, state, verified)"
            " values ('orders', 0, 'orders', 5, 4, 'done', 'different')"
        )
        journal.commit()
    return folder / "state"


async def test_a_lost_engine_and_a_difference_are_told(tmp_path: Path) -> None:
    found = await doctor(await lost_run(tmp_path))
    assert {p["code"] for p in found["problems"]} == {"engine_lost", "data_different"}
    assert found["runs"][0]["name"] == "shop"
    assert "orders" in next(p for p in found["problems"] if p["code"] == "data_different")["what"]


async def test_a_state_directory_that_can_not_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (await doctor(tmp_path / "none"))["problems"] == []
    assert not (tmp_path / "none").exists()


def problem(severity: str) -> dict[str, Any]:
    return {
        "code": "x",
        "severity": severity,
        "what": "w" * 200,
        "why": "why",
        "fix": "f",
        "check": "c",
        "evidence": ["e\x1b[31m"],
    }


@pytest.mark.parametrize(("severity", "code"), [("blocking", 4), ("warning", 4), ("info", 0)])
def test_the_command_says_it_by_its_exit_code(
    severity: str, code: int, cli: Cli, engine: FakeEngine, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.problems = [problem(severity)]
    assert cli("doctor") == code
    out = capsys.readouterr().out
    assert "\x1b" not in out
    assert "check: c" in out
    assert cli("doctor", "--json") == code
    assert json.loads(capsys.readouterr().out)["problems"][0]["severity"] == severity


def test_the_bundle_is_asked_for(
    cli: Cli, engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli("doctor", "--bundle", "b.tar.gz") == 0
    assert ("support_bundle", Path.cwd() / "b.tar.gz") in engine.calls
    assert "b.tar.gz" in capsys.readouterr().out
