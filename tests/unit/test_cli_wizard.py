"""The door to the wizard: when it opens, when questions or lines come instead, and what never loads Textual."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tests.unit.cli_kit import CONFIG, RUN, STATUS, FakeEngine, FakeReader, finished, started

Cli = Callable[..., int]
ROOT = Path(__file__).parents[2]


class Terminal:
    """What the door sees of stdin, stdout and stderr, and what it opened."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._monkeypatch = monkeypatch
        self.opened: list[dict[str, Any]] = []
        for name in ("ACCESSIBLE", "TERM"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setattr("stepflow_tui.cli.wizard.open_wizard", self._open)
        monkeypatch.setattr("stepflow_tui.cli.plain.menu.open_plain", lambda session: 42)
        self.streams()

    def streams(self, stdin: bool = True, stdout: bool = True, stderr: bool = True) -> None:
        answers = {"stdin": stdin, "stdout": stdout, "stderr": stderr}
        stand_in = SimpleNamespace(**{k: SimpleNamespace(isatty=lambda v=v: v) for k, v in answers.items()})
        self._monkeypatch.setattr("stepflow_tui.cli.wizard.sys", stand_in)

    def _open(self, session: Any, **what: Any) -> int:
        self.opened.append(what)
        return 5


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, engine: FakeEngine) -> Terminal:
    return Terminal(monkeypatch)


def test_bare_stepflow_opens_the_wizard_and_passes_its_exit_code_on(cli: Cli, terminal: Terminal) -> None:
    assert cli() == 5
    assert terminal.opened == [{}]


@pytest.mark.parametrize(
    ("args", "env", "streams"),
    [
        (("--plain",), {}, {}),
        ((), {"ACCESSIBLE": "1"}, {}),
        ((), {"TERM": "dumb"}, {}),
        ((), {}, {"stdout": False}),
    ],
)
def test_questions_where_the_wizard_can_not_be_drawn(
    cli: Cli, terminal: Terminal, monkeypatch: pytest.MonkeyPatch, args: tuple[str, ...], env: dict[str, str],
    streams: dict[str, bool],
) -> None:  # fmt: skip
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    terminal.streams(**streams)
    assert cli(*args) == 42
    assert terminal.opened == []


@pytest.mark.parametrize("streams", [{"stdin": False}, {"stderr": False}])
@pytest.mark.parametrize("args", [(), ("--plain",)])
def test_help_where_nobody_can_answer(
    cli: Cli, terminal: Terminal, capsys: pytest.CaptureFixture[str], args: tuple[str, ...], streams: dict[str, bool]
) -> None:
    terminal.streams(**streams)
    assert cli(*args) == 0
    assert "Usage: stepflow" in capsys.readouterr().out
    assert terminal.opened == []


@pytest.mark.parametrize("option", ["--json", "--no-input"])
def test_options_for_scripts_never_open_anything(cli: Cli, terminal: Terminal, option: str) -> None:
    assert cli(option) == 0
    assert terminal.opened == []


def test_attach_opens_the_wizard_on_the_run(cli: Cli, terminal: Terminal, engine: FakeEngine) -> None:
    assert cli("attach", "shop") == 5
    assert [what["run"].id for what in terminal.opened] == [RUN]


@pytest.mark.parametrize("option", ["--plain", "--json", "--no-follow", "--no-input"])
def test_attach_stays_with_lines_when_asked_to(
    cli: Cli, terminal: Terminal, engine: FakeEngine, option: str, capsys: pytest.CaptureFixture[str]
) -> None:
    engine.reader = FakeReader(rows=[started(), finished(2)], state=STATUS)
    assert cli("attach", "shop", option) == 0
    assert RUN in capsys.readouterr().out
    assert terminal.opened == []


def test_run_stays_with_lines(cli: Cli, terminal: Terminal, engine: FakeEngine, tmp_path: Path) -> None:
    (tmp_path / "stepflow.yaml").write_text(CONFIG)
    engine.reader = FakeReader(rows=[started(), finished(2)])
    assert cli("run") == 0
    assert terminal.opened == []


@pytest.mark.parametrize(
    ("state", "alive", "options", "tidied"),
    [
        ("completed", False, (), True),
        ("completed", False, ("--keep",), False),
        ("completed", True, (), False),
        ("running", True, (), False),
        ("failed", False, (), False),
    ],
)
def test_the_demo_opens_the_wizard_and_tidies_up_once_the_run_has_ended(
    cli: Cli, terminal: Terminal, engine: FakeEngine, state: str, alive: bool, options: tuple[str, ...], tidied: bool,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    engine.reader = FakeReader(state=STATUS | {"state": state, "engine": {"alive": alive}})
    assert cli("demo", "--rows", "10", *options) == 5
    (opened,) = terminal.opened
    assert opened["config"].name == "stepflow.yaml"
    assert ("end_demo" in [name for name, _what in engine.calls]) is tidied
    assert "report.html" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--yes", "--plain", "--json"])
def test_the_demo_stays_with_lines_when_asked_to(cli: Cli, terminal: Terminal, engine: FakeEngine, option: str) -> None:
    engine.reader = FakeReader(rows=[started(), finished(2)])
    assert cli("demo", "--rows", "10", option) == 0
    assert terminal.opened == []


@pytest.mark.parametrize(
    "args", [[], ["--plain"], ["runs"], ["attach"], ["status"], ["keys"], ["keys", "--json"], ["doctor"], ["check"]]
)
def test_without_terminals_textual_is_never_loaded(args: list[str], tmp_path: Path) -> None:
    code = (
        "import sys; from stepflow_tui.cli.app import run_command_line\n"
        f"run_command_line({[*args, '--state-dir', str(tmp_path)]!r})\n"
        "print('textual' in sys.modules, 'screens' in sys.modules, file=sys.stderr)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdin=subprocess.DEVNULL, capture_output=True, check=False, text=True, timeout=60
    )  # fmt: skip
    assert done.stderr.splitlines()[-1] == "False False"


def test_the_plain_menus_never_load_textual() -> None:
    code = (
        "import sys, stepflow_tui.cli.plain.menu, stepflow_tui.cli.keys\n"
        "print('textual' in sys.modules, 'screens' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, check=True, text=True, timeout=60
    )
    assert done.stdout == "False False\n"
