"""`keys`: the table of actions, a config's keymap in it, and names for what terminals send."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from stepflow_tui.actions import ACTIONS
from stepflow_tui.cli.key_names import name_of
from stepflow_tui.render.width import cells
from tests.unit.cli_kit import CONFIG, FakeEngine

Cli = Callable[..., int]


@pytest.mark.parametrize("language", ["en", "zh"])
def test_every_action_with_its_keys_within_80_cells(
    cli: Cli, capsys: pytest.CaptureFixture[str], language: str
) -> None:
    assert cli("keys", "--lang", language) == 0
    lines = capsys.readouterr().out.splitlines()
    assert max(map(cells, lines)) <= 80
    heads = [line.split() for line in lines if not line.startswith(" ")]
    assert len(heads) == len(ACTIONS)
    assert all(action.id in head for action, head in zip(ACTIONS, heads, strict=True))


def test_json_names_keys_screens_and_command(cli: Cli, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli("keys", "--json", "--lang", "zh") == 0
    listed = json.loads(capsys.readouterr().out)["actions"]
    assert [a["id"] for a in listed] == [a.id for a in ACTIONS]
    pause = next(a for a in listed if a["id"] == "pause")
    assert pause == {
        "id": "pause",
        "keys": ["p"],
        "label": "Pause",
        "help": "Pause the engine at the next chunk, or let a paused engine go on.",
        "screens": ["run"],
        "command": "stepflow pause",
        "only": None,
        "acts": True,
    }


def test_a_config_changes_the_keys(
    cli: Cli, engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "stepflow.yaml").write_text(CONFIG + "keymap: {pause: 't, %', quit-menu: f9, find: f8}\n")
    assert cli("keys", "--config", "stepflow.yaml", "--json") == 0
    listed = {a["id"]: a["keys"] for a in json.loads(capsys.readouterr().out)["actions"]}
    assert (listed["pause"], listed["quit-menu"]) == (["t", "percent_sign"], ["f9", "ctrl+c"])
    assert cli("keys", "--config", "stepflow.yaml") == 0
    assert "t %               pause             stepflow pause" in capsys.readouterr().out


@pytest.mark.parametrize("command", ["keys --config", "check", "plan", "run --yes"])
def test_a_keymap_that_can_not_be_is_told_by_every_command_that_reads_it(
    cli: Cli, engine: FakeEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    (tmp_path / "stepflow.yaml").write_text(CONFIG + "keymap: {pausee: k}\n")
    assert cli(*command.split(), "stepflow.yaml") == 2
    assert "stepflow.yaml:6: keymap.pausee: unknown action (did you mean pause?)" in capsys.readouterr().err
    assert engine.calls == []


def test_listening_needs_a_terminal(
    cli: Cli, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: False)
    assert cli("keys", "--listen") == 2
    assert "There is no terminal to listen to." in capsys.readouterr().err


@pytest.mark.parametrize(
    ("sent", "name"),
    [
        (b"k", "k"), (b"K", "K"), (b"/", "slash"), (b"?", "question_mark"), (b" ", "space"), (b"\r", "enter"), (b"\t", "tab"),
        (b"\x03", "ctrl+c"), (b"\x1b", "escape"), (b"\x7f", "backspace"), (b"\x1c", "ctrl+backslash"), ("é".encode(), "é"),
        (b"\x1b[A", "up"), (b"\x1bOP", "f1"), (b"\x1b[15~", "f5"), (b"\x1b[24~", "f12"), (b"\x1b[5~", "pageup"),
        (b"\x1b[Z", "shift+tab"), (b"\x1b[1;5C", "ctrl+right"), (b"\x1b[1;2P", "shift+f1"), (b"\x1bk", "alt+k"),
        (b"\x1b[1;6A", "ctrl+shift+up"), (b"\x1b[?1;2c", ""), (b"\xff", ""), (b"ab", ""), (b"\x1b[99~", ""), (b"\x1b\x1bk", ""),
    ],
)  # fmt: skip
def test_names_of_what_terminals_send(sent: bytes, name: str) -> None:
    assert name_of(sent) == name


def test_names_are_those_of_the_wizard() -> None:
    """What `--listen` calls a key is what the wizard's own parser calls it."""
    from textual import events
    from textual._xterm_parser import XTermParser

    for sent in (
        "k",
        "/",
        "\x1b[A",
        "\x1bOP",
        "\x1b[15~",
        "\x1b[5~",
        "\x1b[Z",
        "\x1b[1;5C",
        "\x03",
        "\r",
        "\t",
        "\x7f",
        " ",
    ):
        (key,) = [token for token in XTermParser().feed(sent) if isinstance(token, events.Key)]
        assert name_of(sent.encode()) == key.key, repr(sent)
