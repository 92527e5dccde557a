"""`stepflow keys --listen`: what this terminal sends, until q."""

from __future__ import annotations

import json
import termios
from pathlib import Path

import pytest

from tests.pty.plain_kit import Terminal


@pytest.mark.parametrize("form", ["plain", "json"])
def test_keys_are_named_as_they_arrive_and_the_terminal_is_put_back(tmp_path: Path, form: str) -> None:
    with Terminal("keys", "--listen", f"--{form}", folder=tmp_path) as terminal:
        before = terminal.mode
        terminal.until("q ends it")
        terminal.until_raw()
        for sent, name in (("k", "k"), ("\x1b[A", "up"), ("\x13", "ctrl+s"), ("\x03", "ctrl+c"), ("\r", "enter")):
            terminal.type(sent)
            line = terminal.until(f".*{name.replace('+', '[+]')}.*\n")
            assert (json.loads(line)["key"] if form == "json" else line.split()[-1]) == name
        terminal.type("q")
        assert terminal.ended() == 0
        assert before[3] & termios.ICANON
        assert terminal.mode == before
