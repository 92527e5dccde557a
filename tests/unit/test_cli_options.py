"""Global options before and after every command; usage errors; read-only sessions."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stepflow_tui import __version__
from stepflow_tui.cli.commands import COMMANDS, load
from stepflow_tui.cli.session import hoist
from tests.unit.cli_kit import CONFIG, RUN, STATUS, FakeEngine, FakeReader, finished, started

Cli = Callable[..., int]

CALLS: dict[str, list[str]] = {
    "init": ["init", "sqlite-to-postgres", "--source", "x.db", "-o", "new.yaml"],
    "check": ["check"],
    "plan": ["plan"],
    "run": ["run", "--yes"],
    "attach": ["attach"],
    "status": ["status"],
    "runs": ["runs"],
    "continue": ["continue", "--yes"],
    "pause": ["pause"],
    "resume": ["resume"],
    "tick": ["tick", "shop", "item", "--note", "done"],
    "abort": ["abort", "--yes"],
    "rollback": ["rollback", "shop", "--yes", "--reason", "wrong file"],
    "switch": ["switch", "set", "25", "shop", "--yes"],
    "cutover": ["cutover", "shop", "--yes"],
    "cleanup": ["cleanup", "shop", "--yes"],
    "control": ["control", "shop"],
    "application": ["application", "plan"],
    "verify": ["verify"],
    "backups": ["backups", "list"],
    "alerts": ["alerts", "list"],
    "benchmark": ["benchmark", "--rounds", "3"],
    "reveal": ["reveal", "shop", "users", "email", "--key", '{"id": 7}', "--yes", "--confirm", "shop"],
    "report": ["report"],
    "note": ["note", "shop", "words"],
    "audit": ["audit", "show"],
    "monitor": ["monitor", "--once"],
    "pragmas": ["pragmas"],
    "optimize": ["optimize", "--yes"],
    "doctor": ["doctor"],
    "keys": ["keys"],
    "embedded": ["embedded", "dsn"],
    "demo": ["demo", "--rows", "10"],
}
ACTING = [
    *("run", "continue", "pause", "resume", "tick", "abort", "rollback", "switch", "cutover", "cleanup", "reveal"),
    *("note", "embedded", "demo", "optimize", "benchmark"),
]


@pytest.fixture
def ready(engine: FakeEngine, tmp_path: Path) -> FakeEngine:
    (tmp_path / "stepflow.yaml").write_text(CONFIG)
    later = {"name": "cutover", "state": "pending", "steps": []}
    state = STATUS | {"phases": [*STATUS["phases"], later]}
    engine.reader = FakeReader(rows=[started(), finished(2, "rolled_back")], state=state)
    return engine


def test_every_command_is_called_here() -> None:
    assert set(CALLS) == set(COMMANDS)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("after", [False, True])
def test_global_options_stand_before_and_after(
    name: str, after: bool, cli: Cli, ready: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--json", "--state-dir", str(tmp_path / "elsewhere"), "--plain", "--no-input", "--no-color"]
    code = cli(*CALLS[name], *options) if after else cli(*options, *CALLS[name])
    out = capsys.readouterr().out
    assert code in (0, 5)
    assert all(json.loads(line) is not None for line in out.splitlines()), "stdout is JSON"
    assert out.strip()
    for called, value in ready.calls:
        if called in ("list_runs", "doctor"):
            assert value == tmp_path / "elsewhere"


@pytest.mark.parametrize("name", ACTING)
def test_read_only_refuses_to_act(name: str, cli: Cli, ready: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(*CALLS[name], "--read-only") == 2
    assert "read_only" in capsys.readouterr().err
    assert not [call for call in ready.calls if call[0] not in ("resolve_run",)]


@pytest.mark.parametrize("name", [n for n in CALLS if n not in ACTING and n != "init"])
def test_read_only_allows_to_look(name: str, cli: Cli, ready: FakeEngine) -> None:
    assert cli("--read-only", *CALLS[name]) in (0, 5)


def test_options_after_a_double_dash_are_text() -> None:
    assert hoist(["note", "r", "--", "--json"]) == ["note", "r", "--", "--json"]
    assert hoist(["runs", "--state-dir", "x", "--json"]) == ["--state-dir", "x", "--json", "runs"]
    assert hoist(["runs", "--state-dir=x"]) == ["--state-dir=x", "runs"]
    assert hoist(["runs", "--state-dir"]) == ["--state-dir", "runs"]


@pytest.mark.parametrize(
    "args", [["nonsense"], ["run", "--nonsense"], ["run", "a", "b"], ["tick"], ["demo", "--rows", "x"], ["backups"]]
)
def test_usage_errors_exit_2(args: list[str], cli: Cli, engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli(*args) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "hint:" in shown.err
    assert "Traceback" not in shown.err
    assert cli(*args, "--json") == 2
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    if args[0] in ("run", "demo"):
        assert (last["event"], last["exit_code"], last["result"]) == ("run_finished", 2, "refused")
    else:
        assert last["error"]["exit_code"] == 2


def test_bare_command_prints_help_and_version_prints_itself(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli() == 0
    help_text = capsys.readouterr().out
    assert all(f"  {name} " in help_text for name in COMMANDS)
    assert cli("--help") == 0
    assert capsys.readouterr().out == help_text
    assert cli("--version") == 0
    assert capsys.readouterr().out == f"stepflow {__version__}\n"


@pytest.mark.parametrize("name", COMMANDS)
def test_the_table_of_commands_says_what_the_commands_say(name: str) -> None:
    built = load(name)
    assert built.help.splitlines()[0] == COMMANDS[name][1]
    assert "install" not in str([p.name for p in built.params])


def test_runs_lists_ids(cli: Cli, engine: FakeEngine, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("runs") == 0
    assert RUN in capsys.readouterr().out
