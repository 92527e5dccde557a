"""Where the wizard opens and where it doesn't, and with which code it ends."""

from __future__ import annotations

import re
import signal
import sqlite3
from pathlib import Path

import pytest

from tests.acceptance.harness import Stand
from tests.acceptance.sources import shop
from tests.pty.kit import Open, commands, state
from tests.run_kit import until

RGB = re.compile(rb"[34]8;2;(\d+);(\d+);(\d+)")


def test_a_finished_runs_code_is_the_wizards(stand: Stand, wizards: Open) -> None:
    stand.source = shop(stand.folder / "source.db", rows=20)
    with sqlite3.connect(stand.source) as source:
        source.execute("update customer set email='nul' || char(0) where id=7")
    stand.config(verify={"level": "standard"})
    assert stand.run().code == 5
    wizard = wizards("attach", stand.run_dir.name, stand=stand)
    wizard.see("incomplete")
    wizard.send("d")
    assert wizard.exit_code() == 5


def test_detaching_from_a_run_that_goes_on_is_success(waiting: Stand, wizards: Open) -> None:
    run = waiting.run_dir.name
    wizard = wizards("attach", run, stand=waiting)
    stopped = wizards("attach", run, stand=waiting)
    suspended = wizards("attach", run, stand=waiting)
    wizard.see("waiting")
    wizard.send("d")
    assert wizard.exit_code() == 0
    assert b"\x1b[?1049l" in wizard.raw  # the screen of before is back
    stopped.see("waiting")
    stopped.signal(signal.SIGTERM)
    assert stopped.exit_code() == 143
    assert b"\x1b[?1049l" in stopped.raw
    suspended.see("waiting")
    suspended.signal(signal.SIGTSTP)
    suspended.quiet()
    suspended.signal(signal.SIGCONT)
    suspended.quiet()
    suspended.send("d")
    assert suspended.exit_code() == 0
    assert (state(waiting), commands(waiting)) == ("waiting", [])


CRASHING = """
from screens.picker import PickerScreen
from stepflow_tui.__main__ import main

PickerScreen.compose = lambda self: 1 // 0
main()
"""


def test_a_wizard_that_fails_says_where_its_traceback_is(tmp_path: Path, wizards: Open) -> None:
    wizard = wizards(program=("-c", CRASHING))
    assert wizard.exit_code() == 1
    assert b"\x1b[?1049l" in wizard.raw  # the screen of before is back
    [file] = (tmp_path / "state").glob("crash-*.log")
    assert "ZeroDivisionError" in file.read_text()
    told = bytes(wizard.raw).rpartition(b"\x1b[?1049l")[2].decode()
    assert f"the traceback is in {file}" in told
    assert "Traceback" not in told


@pytest.mark.parametrize("redirected", [(0,), (1,), (2,), (0, 1, 2)], ids=str)
def test_without_a_whole_terminal_nothing_is_drawn(tmp_path: Path, wizards: Open, redirected: tuple[int, ...]) -> None:
    file = tmp_path / "file"
    file.touch()
    with file.open("r+b") as talk:
        wizard = wizards(redirected=dict.fromkeys(redirected, talk))
        wizard.send("\x04")  # the end of what is typed, where numbers are asked for
        until(lambda: wizard.written or file.stat().st_size)
        wizard.quiet()
    written = bytes(wizard.raw) + file.read_bytes()
    assert written.strip()
    assert b"\x1b" not in written


@pytest.mark.parametrize("env", [{"TERM": "dumb"}, {"ACCESSIBLE": "1"}], ids=str)
def test_who_wants_lines_gets_lines(wizards: Open, env: dict[str, str]) -> None:
    wizard = wizards(env=env)
    wizard.see(lambda shown: shown.strip())
    assert b"\x1b" not in wizard.raw


@pytest.mark.parametrize("env", [{"NO_COLOR": "1"}, {"NO_COLOR": "1", "SSH_TTY": "/dev/pts/9"}], ids=str)
def test_no_color_shows_shades_of_grey(wizards: Open, env: dict[str, str]) -> None:
    wizard = wizards(env=env)
    wizard.see("migration")
    assert all(len(set(rgb)) == 1 for rgb in RGB.findall(bytes(wizard.raw)))
    wizard.send("q")
    assert wizard.exit_code() == 0


@pytest.mark.parametrize("env", [{"LANG": "C"}, {"LC_ALL": "POSIX"}, {"LANG": "de_DE.ISO-8859-1"}], ids=str)
def test_where_unicode_is_not_spoken_all_is_ascii(wizards: Open, env: dict[str, str]) -> None:
    wizard = wizards(env=env)
    wizard.see("migration")
    wizard.send("?")
    wizard.quiet()
    assert bytes(wizard.raw).isascii()
    wizard.send("\x1b")
    wizard.quiet()
    wizard.send("q")
    assert wizard.exit_code() == 0
