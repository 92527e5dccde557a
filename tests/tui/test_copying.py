"""Copying: always a private file, and tmux or the terminal's clipboard where that can work."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot

from screens.copying import LONGEST_CLIP, copy_text
from stepflow_tui.files import file_name
from tests.tui.kit import wizard
from tests.tui.run_rows import attached, make_run, settled

TMUX = """#!/bin/sh
echo "$@" > "{folder}/args"
cat > "{folder}/buffer"
exit {code}
"""


@pytest.fixture
def clips(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What went to the terminal by OSC 52."""
    sent: list[str] = []
    monkeypatch.setattr("textual.app.App.copy_to_clipboard", lambda _self, text: sent.append(text))
    return sent


def fake_tmux(folder: Path, monkeypatch: pytest.MonkeyPatch, code: int = 0) -> None:
    """A tmux that writes down what it is given."""
    program = folder / "tmux"
    program.write_text(TMUX.format(folder=folder, code=code))
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setenv("TMUX", "/tmp/tmux-0/default,1,0")


async def copied(pilot: Pilot[Any], text: str, name: str = "log") -> list[tuple[str, str]]:
    """Copy; what the operator is told."""
    copy_text(pilot.app, text, name)
    await settled(pilot)
    return [(n.title, n.message) for n in pilot.app._notifications]


async def test_without_a_run_the_file_is_in_the_state_directory(tmp_path: Path, clips: list[str]) -> None:
    async with wizard(tmp_path).run_test() as pilot:
        told = await copied(pilot, "one\ntwo")
        file = tmp_path / "copies" / "log-20261122T120431.txt"
        assert file.read_text() == "one\ntwo"
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700
        assert clips == ["one\ntwo"]
        assert told == [("Copied to the terminal's clipboard and to a file", str(file))]


async def test_a_run_keeps_its_copies_and_none_is_overwritten(tmp_path: Path, clips: list[str]) -> None:
    async def nothing(_journal: Any) -> None: ...

    run = await make_run(tmp_path, nothing)
    async with attached(tmp_path, run).run_test() as pilot:
        await settled(pilot)
        await copied(pilot, "first")
        await copied(pilot, "second")
        files = sorted((run.path / "copies").iterdir())
        assert [f.read_text() for f in files] == ["second", "first"]
        assert clips == ["first", "second"]


async def test_tmux_takes_it_and_hands_it_on(tmp_path: Path, clips: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    fake_tmux(tmp_path, monkeypatch)
    async with wizard(tmp_path).run_test() as pilot:
        told = await copied(pilot, "客户")
        assert (tmp_path / "args").read_text() == "load-buffer -w -\n"
        assert (tmp_path / "buffer").read_text() == "客户"
        assert clips == []
        assert told[0][0] == "Copied to tmux's buffer and to a file"


async def test_a_tmux_that_fails_leaves_the_terminal(
    tmp_path: Path, clips: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    fake_tmux(tmp_path, monkeypatch, code=1)
    async with wizard(tmp_path).run_test() as pilot:
        await copied(pilot, "text")
        assert clips == ["text"]


async def test_what_is_too_long_for_a_terminal_is_in_the_file(tmp_path: Path, clips: list[str]) -> None:
    async with wizard(tmp_path).run_test() as pilot:
        told = await copied(pilot, "x" * LONGEST_CLIP)
        assert clips == []
        assert len(Path(told[0][1]).read_text()) == LONGEST_CLIP
        assert told[0][0] == "Too long for the clipboard: written to a file"


async def test_a_folder_that_takes_no_file_is_passed_over(tmp_path: Path, clips: list[str]) -> None:
    (tmp_path / "copies").write_text("a file where the folder should be")
    async with wizard(tmp_path).run_test() as pilot:
        told = await copied(pilot, "text")
        path = Path(told[0][1])
        assert path.read_text() == "text"
        assert tmp_path not in path.parents


async def test_no_folder_at_all_still_copies(tmp_path: Path, clips: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_args: Any, **_more: Any) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("screens.copying.save_text", full)
    async with wizard(tmp_path).run_test() as pilot:
        told = await copied(pilot, "text")
        assert clips == ["text"]
        assert "No space left" in told[0][1]


async def test_escapes_are_not_copied(tmp_path: Path, clips: list[str]) -> None:
    async with wizard(tmp_path).run_test() as pilot:
        await copied(pilot, "a\x1b]52;c;x\x07b\u202ec")
        assert clips == ["a]52;c;xbc"]


@pytest.mark.parametrize(
    ("name", "file"), [("log", "log"), ("../../etc/passwd", "etc-passwd"), ("订单", "text"), ("x" * 99, "x" * 60)]
)
def test_file_names_are_plain(name: str, file: str) -> None:
    assert file_name(name) == file
